// SPDX-License-Identifier: GPL-2.0
/* Model-specific registers through the ioctls and from the guest. */
#include <stdio.h>

#include "abi.h"

#define MSR_TSC		0x10u
#define MSR_SYSENTER_CS	0x174u
#define MSR_SYSENTER_ESP 0x175u
#define MSR_SYSENTER_EIP 0x176u
#define MSR_PAT		0x277u
#define MSR_EFER	0xc0000080u
#define MSR_STAR	0xc0000081u
#define MSR_LSTAR	0xc0000082u
#define MSR_CSTAR	0xc0000083u
#define MSR_SFMASK	0xc0000084u
#define MSR_FS_BASE	0xc0000100u
#define MSR_GS_BASE	0xc0000101u
#define MSR_KERNEL_GS	0xc0000102u
#define MSR_TSC_AUX	0xc0000103u
#define MSR_NONE	0x12345678u
#define GP		13

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry e;
};

static int get(struct vmm *v, uint32_t index, uint64_t *val)
{
	struct one_msr m = { .head.nmsrs = 1, .e.index = index };
	int n = ioctl(v->vcpu[0], KVM_GET_MSRS, &m);

	*val = m.e.data;
	return n;
}

static int set(struct vmm *v, uint32_t index, uint64_t val)
{
	struct one_msr m = { .head.nmsrs = 1, .e = { .index = index, .data = val } };

	return ioctl(v->vcpu[0], KVM_SET_MSRS, &m);
}

static void round_trips(struct vmm *v)
{
	static const struct {
		uint32_t index;
		const char *name;
		uint64_t val;
	} m[] = {
		{ MSR_SYSENTER_CS, "SYSENTER_CS", 0x1234 },
		{ MSR_SYSENTER_ESP, "SYSENTER_ESP", 0x81234567 },
		{ MSR_SYSENTER_EIP, "SYSENTER_EIP", 0x87654321 },
		{ MSR_PAT, "PAT", 0x0007040600070405 },
		{ MSR_STAR, "STAR", 0x0023001012345678 },
		{ MSR_LSTAR, "LSTAR", 0xffffffff80001000 },
		{ MSR_CSTAR, "CSTAR", 0xffffffff80002000 },
		{ MSR_SFMASK, "SFMASK", 0x47700 },
		{ MSR_FS_BASE, "FS_BASE", 0x7f0000001000 },
		{ MSR_GS_BASE, "GS_BASE", 0x7f0000002000 },
		{ MSR_KERNEL_GS, "KERNEL_GS_BASE", 0xffff888000003000 },
	};

	for (size_t i = 0; i < sizeof(m) / sizeof(m[0]); i++) {
		uint64_t val = 0;

		tap_eq(set(v, m[i].index, m[i].val), 1, "KVM_SET_MSRS of %s", m[i].name);
		tap_eq(get(v, m[i].index, &val), 1, "KVM_GET_MSRS of %s", m[i].name);
		tap_eq(val, m[i].val, "%s round trip", m[i].name);
	}
}

static void refused(struct vmm *v)
{
	struct kvm_msrs *m = calloc(1, sizeof(*m) + 512 * sizeof(m->entries[0]));
	uint64_t val;

	CALL(EFAULT, v->vcpu[0], KVM_GET_MSRS, BAD_POINTER, "KVM_GET_MSRS at a bad pointer");
	CALL(EFAULT, v->vcpu[0], KVM_SET_MSRS, BAD_POINTER, "KVM_SET_MSRS at a bad pointer");
	m->nmsrs = 0;
	tap_eq(ioctl(v->vcpu[0], KVM_GET_MSRS, m), 0, "KVM_GET_MSRS of none");
	m->nmsrs = 256;
	CALL(E2BIG, v->vcpu[0], KVM_GET_MSRS, m, "KVM_GET_MSRS of 256");
	CALL(E2BIG, v->vcpu[0], KVM_SET_MSRS, m, "KVM_SET_MSRS of 256");
	m->nmsrs = 0xffffffff;
	CALL(E2BIG, v->vcpu[0], KVM_GET_MSRS, m, "KVM_GET_MSRS of 2^32-1");
	tap_eq(get(v, MSR_NONE, &val), 0, "an unknown MSR is not read");
	tap_eq(set(v, MSR_NONE, 1), 0, "an unknown MSR is not set");
	m->nmsrs = 3;
	m->entries[0].index = MSR_STAR;
	m->entries[1].index = MSR_NONE;
	m->entries[2].index = MSR_STAR;
	tap_eq(ioctl(v->vcpu[0], KVM_GET_MSRS, m), 1, "KVM_GET_MSRS stops at the first failure");
	tap_eq(set(v, MSR_PAT, 0x0202020202020202), 0, "PAT with a reserved type is refused");
	tap_eq(set(v, MSR_EFER, 1ull << 40), 0, "EFER with reserved bits is refused");
	tap_eq(set(v, MSR_LSTAR, 1ull << 62), 0, "LSTAR not canonical is refused");
	free(m);
}

/* KVM's own registers: some the stock module only takes with its own APIC. */
static bool paravirtual(uint32_t index)
{
	return index >> 8 == 0x4b564d;
}

/* Every MSR of the index list can be read, and written with what was read. */
static void whole_list(struct vmm *v)
{
	struct kvm_msr_list *l = calloc(1, sizeof(*l) + 4 * 1024);
	unsigned int unread = 0, unwritten = 0;

	l->nmsrs = 1024;
	ioctl(v->kvm, KVM_GET_MSR_INDEX_LIST, l);
	for (uint32_t i = 0; i < l->nmsrs; i++) {
		uint64_t val;

		if (get(v, l->indices[i], &val) != 1) {
			/* Hyper-V's need their CPUID leaves. */
			if (l->indices[i] >= 0x40000000 && l->indices[i] < 0x40000200)
				continue;
			tap_note("MSR %#x of the list cannot be read", l->indices[i]);
			unread++;
		} else if (!paravirtual(l->indices[i]) && set(v, l->indices[i], val) != 1) {
			tap_note("MSR %#x of the list cannot be written with %#llx", l->indices[i],
				 (unsigned long long)val);
			unwritten++;
		}
	}
	tap_ok(unread == 0, "every MSR of the index list can be read");
	tap_ok(unwritten == 0, "every MSR of the index list can be written back");
	free(l);
}

/* wrmsr or rdmsr with ECX=index, EDX:EAX=val; returns the vector or -1 for none. */
static int guest_msr(struct vmm *v, bool write, uint32_t index, uint64_t *val)
{
	struct kvm_regs r;

	if (write)
		LOAD(v, 0x0f, 0x30, 0xf4);
	else
		LOAD(v, 0x0f, 0x32, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	r = vmm_regs(v, 0);
	/* Bits above ECX would lead QEMU's emulated SVM astray in the MSR bitmap. */
	r.rcx = vmm_under_tcg() ? index : 0xdead00000000 | index;
	r.rax = 0xffffffff00000000 | (uint32_t)*val;
	r.rdx = 0xffffffff00000000 | *val >> 32;
	vmm_set_regs(v, 0, &r);
	if (vmm_run(v, 0) || v->run[0]->exit_reason != KVM_EXIT_HLT)
		tap_bail("%s of MSR %#x does not run", write ? "WRMSR" : "RDMSR", index);
	r = vmm_regs(v, 0);
	if (r.rip == VMM_CODE + 3) {
		if (!write && (r.rax >> 32 || r.rdx >> 32))
			return -3;
		if (!write)
			*val = r.rax | r.rdx << 32;
		return -1;
	}
	return vmm_vector(v, 0);
}

static void from_guest(struct vmm *v)
{
	static const uint32_t plain[] = { MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
		MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE, MSR_KERNEL_GS };
	uint64_t val, got;

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		/* TCG's SYSENTER_CS keeps 16 bits; SFMASK 32. */
		val = plain[i] == MSR_SYSENTER_CS ? 0x4321 : 0x12340000 + i;
		tap_eq(guest_msr(v, true, plain[i], &val), -1, "guest writes MSR %#x", plain[i]);
		get(v, plain[i], &got);
		tap_eq(got, val, "the VMM reads what the guest wrote");
		got = 0;
		if (plain[i] != MSR_FS_BASE)	/* guest_msr() sets the segments anew */
			tap_ok(guest_msr(v, false, plain[i], &got) == -1 && got == val, "guest reads it back");
	}
	val = 1;
	tap_eq(guest_msr(v, false, MSR_NONE, &val), GP, "guest reads an unknown MSR: #GP");
	tap_eq(guest_msr(v, true, MSR_NONE, &val), GP, "guest writes an unknown MSR: #GP");
	val = 1ull << 40;
	tap_eq(guest_msr(v, true, MSR_EFER, &val), GP, "guest writes reserved EFER bits: #GP");
	val = 0x500 | 1;
	tap_eq(guest_msr(v, true, MSR_EFER, &val), -1, "guest writes EFER");
	val = 1;
	tap_eq(guest_msr(v, true, MSR_EFER, &val), GP, "guest clears LME under paging: #GP");
}

/* Registers the guest writes without an exit: the processor checks them. */
static void processor_checks(struct vmm *v)
{
	uint64_t odd = 1ull << 62, pat = 0x0202020202020202;

	if (vmm_under_tcg()) {
		tap_skip("#GP of non-canonical LSTAR and FS_BASE and of a reserved PAT type",
			 "QEMU's emulated processor does not check them");
		return;
	}
	tap_eq(guest_msr(v, true, MSR_LSTAR, &odd), GP, "guest writes a non-canonical LSTAR: #GP");
	tap_eq(guest_msr(v, true, MSR_FS_BASE, &odd), GP, "guest writes a non-canonical FS_BASE: #GP");
	tap_eq(guest_msr(v, true, MSR_PAT, &pat), GP, "guest writes a reserved PAT type: #GP");
}

static void tsc(struct vmm *v)
{
	uint64_t a = 0, b = 0, c = 0;

	tap_eq(set(v, MSR_TSC, 0x123456789000), 1, "the VMM sets the TSC");
	get(v, MSR_TSC, &a);
	tap_eq(guest_msr(v, false, MSR_TSC, &b), -1, "guest reads the TSC");
	get(v, MSR_TSC, &c);
	tap_ok(a >= 0x123456789000 && a <= b && b <= c && c - a < 1ull << 40,
	       "the TSC runs on from there, in guest and VMM (%#llx %#llx %#llx)",
	       (unsigned long long)a, (unsigned long long)b, (unsigned long long)c);
	a = 0x1000;
	tap_eq(guest_msr(v, true, MSR_TSC, &a), -1, "guest writes the TSC");
	get(v, MSR_TSC, &b);
	tap_ok(b >= 0x1000 && b < 1ull << 40, "the TSC runs on from there (%#llx)", (unsigned long long)b);
}

void abi_msrs(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);

	round_trips(v);
	refused(v);
	from_guest(v);
	processor_checks(v);
	tsc(v);
	vmm_free(v);
	v = vmm_new_vcpu(VMM_LONG);
	whole_list(v);
	vmm_free(v);
}
