// SPDX-License-Identifier: GPL-2.0
/* KVM_[GS]ET_CPUID2 and what the guest's CPUID then gives. */
#include "abi.h"

#define MAX_ENTRIES	256	/* KVM_MAX_CPUID_ENTRIES */

static void lists(struct vmm *v, struct kvm_cpuid2 *c)
{
	struct kvm_cpuid2 *d = calloc(1, sizeof(*d) + 512 * sizeof(d->entries[0]));
	uint32_t n = c->nent;

	CALL(0, v->vcpu[0], KVM_SET_CPUID2, c, "KVM_SET_CPUID2 of what is supported");
	d->nent = 0;
	CALL(E2BIG, v->vcpu[0], KVM_GET_CPUID2, d, "KVM_GET_CPUID2 with room for none");
	d->nent = n - 1;
	CALL(E2BIG, v->vcpu[0], KVM_GET_CPUID2, d, "KVM_GET_CPUID2 one too short");
	d->nent = 512;
	CALL(0, v->vcpu[0], KVM_GET_CPUID2, d, "KVM_GET_CPUID2");
	/* 6.1 leaves the number as it was, 6.12 says how many there are. */
	tap_ok(d->nent == n || d->nent == 512, "the number of entries (%u)", d->nent);
	tap_ok(d->entries[0].function == c->entries[0].function && d->entries[0].ebx == c->entries[0].ebx,
	       "and the same");
	CALL(EFAULT, v->vcpu[0], KVM_SET_CPUID2, BAD_POINTER, "KVM_SET_CPUID2 at a bad pointer");
	CALL(EFAULT, v->vcpu[0], KVM_GET_CPUID2, BAD_POINTER, "KVM_GET_CPUID2 at a bad pointer");
	d->nent = MAX_ENTRIES + 1;
	CALL(E2BIG, v->vcpu[0], KVM_SET_CPUID2, d, "KVM_SET_CPUID2 of 257");
	d->nent = 0xffffffff;
	CALL(E2BIG, v->vcpu[0], KVM_SET_CPUID2, d, "KVM_SET_CPUID2 of 2^32-1");
	d->nent = 0;
	CALL(0, v->vcpu[0], KVM_SET_CPUID2, d, "KVM_SET_CPUID2 of none");
	CALL(0, v->vcpu[0], KVM_SET_CPUID2, c, "KVM_SET_CPUID2 again before the first run");
	free(d);
}

/* cpuid with EAX, ECX as given; the answer is in the registers. */
static struct kvm_regs guest_cpuid(struct vmm *v, uint32_t fn, uint32_t idx)
{
	struct kvm_regs r;

	LOAD(v, 0x0f, 0xa2, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	r = vmm_regs(v, 0);
	r.rax = 0xffffffff00000000 | fn;
	r.rbx = r.rdx = ~0ull;
	r.rcx = 0xffffffff00000000 | idx;
	vmm_set_regs(v, 0, &r);
	if (vmm_run(v, 0) || v->run[0]->exit_reason != KVM_EXIT_HLT)
		tap_bail("CPUID %#x does not run", fn);
	return vmm_regs(v, 0);
}

/* Bits the processor's state changes: OSXSAVE, OSPKE, the APIC bit, xsave sizes. */
static bool varies(uint32_t fn)
{
	return fn == 1 || fn == 7 || fn == 0xd || fn == 0x80000001;
}

static void seen_by_guest(struct vmm *v, struct kvm_cpuid2 *c)
{
	unsigned int bad = 0;
	struct kvm_regs r;

	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (varies(e->function) || (e->flags & 6))
			continue;
		r = guest_cpuid(v, e->function, e->index);
		if (r.rax != e->eax || r.rbx != e->ebx || r.rcx != e->ecx || r.rdx != e->edx) {
			tap_note("leaf %#x.%u: set %x %x %x %x, guest got %llx %llx %llx %llx",
				 e->function, e->index, e->eax, e->ebx, e->ecx, e->edx,
				 r.rax, r.rbx, r.rcx, r.rdx);
			bad++;
		}
	}
	tap_eq(bad, 0, "guest's CPUID gives what was set, upper halves clear");
	r = guest_cpuid(v, 0x40000000, 0);
	tap_ok(r.rax >= 0x40000000 && r.rbx, "guest sees a hypervisor's signature");
	r = guest_cpuid(v, 0x4fff1234, 0);
	tap_ok(!r.rax && !r.rbx && !r.rcx && !r.rdx, "a leaf that was not set is zero");
}

/* CPUID.1:ECX.OSXSAVE follows CR4. */
static void follows_cr4(struct vmm *v)
{
	struct kvm_regs r = guest_cpuid(v, 1, 0);
	struct kvm_sregs s;

	if (!(r.rcx >> 26 & 1)) {
		tap_skip("OSXSAVE follows CR4", "no XSAVE");
		return;
	}
	tap_eq(r.rcx >> 27 & 1, 0, "OSXSAVE is clear with CR4.OSXSAVE clear");
	s = vmm_sregs(v, 0);
	s.cr4 |= 1 << 18;
	vmm_set_sregs(v, 0, &s);
	r.rip = VMM_CODE;
	r.rax = 1;
	r.rcx = 0;
	vmm_set_regs(v, 0, &r);
	vmm_run(v, 0);
	tap_eq(vmm_regs(v, 0).rcx >> 27 & 1, 1, "OSXSAVE is set with CR4.OSXSAVE set");
}

/* After a run the same list is accepted, a different one refused or taken as the stock module does. */
static void after_run(struct vmm *v, struct kvm_cpuid2 *c)
{
	guest_cpuid(v, 0, 0);
	CALL(0, v->vcpu[0], KVM_SET_CPUID2, c, "KVM_SET_CPUID2 of the same after a run");
	c->entries[0].ebx ^= 0x20;
	CALL(EINVAL, v->vcpu[0], KVM_SET_CPUID2, c, "KVM_SET_CPUID2 of something else after a run");
	c->entries[0].ebx ^= 0x20;
}

void abi_cpuid(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);
	struct kvm_cpuid2 *c = vmm_supported_cpuid(v->kvm);

	lists(v, c);
	seen_by_guest(v, c);
	follows_cr4(v);
	after_run(v, c);
	free(c);
	vmm_free(v);
}
