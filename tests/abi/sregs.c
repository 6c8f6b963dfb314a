// SPDX-License-Identifier: GPL-2.0
/* KVM_[GS]ET_SREGS and SREGS2: round trips, modes, invalid values. */
#include <stdio.h>

#include "abi.h"

#define CR0_PE		(1ull << 0)
#define CR0_PG		(1ull << 31)
#define CR0_NW		(1ull << 29)
#define CR0_CD		(1ull << 30)
#define CR4_PAE		(1ull << 5)
#define CR4_RESERVED	(1ull << 31)
#define EFER_LME	(1ull << 8)
#define EFER_LMA	(1ull << 10)
#define APIC_ENABLE	(1ull << 11)

static void round_trip(struct vmm *v)
{
	struct kvm_sregs in, out;

	for (int mode = VMM_REAL; mode <= VMM_LONG; mode++) {
		vmm_mode(v, 0, mode);
		in = vmm_sregs(v, 0);
		in.fs.base = 0x1234567;
		in.gs.base = 0x7654321;
		in.fs.selector = 0x10;
		in.cr2 = 0xabcdef000;
		in.cr8 = 5;
		vmm_set_sregs(v, 0, &in);
		memset(&out, 0xff, sizeof(out));
		CALL(0, v->vcpu[0], KVM_GET_SREGS, &out, "KVM_GET_SREGS in mode %d", mode);
		tap_ok(!memcmp(&in, &out, sizeof(in)), "special registers round trip in mode %d", mode);
		if (memcmp(&in, &out, sizeof(in)))
			for (size_t i = 0; i < sizeof(in) / 8; i++)
				if (((uint64_t *)&in)[i] != ((uint64_t *)&out)[i])
					tap_note("word %zu: set %#llx, got %#llx", i,
						 ((unsigned long long *)&in)[i],
						 ((unsigned long long *)&out)[i]);
	}
	CALL(EFAULT, v->vcpu[0], KVM_SET_SREGS, BAD_POINTER, "KVM_SET_SREGS at a bad pointer");
	CALL(EFAULT, v->vcpu[0], KVM_GET_SREGS, BAD_POINTER, "KVM_GET_SREGS at a bad pointer");
}

static void refused_one(struct vmm *v, void (*edit)(struct kvm_sregs *), const char *name)
{
	struct kvm_sregs before, s, after;

	vmm_mode(v, 0, VMM_LONG);
	before = s = vmm_sregs(v, 0);
	edit(&s);
	CALL(EINVAL, v->vcpu[0], KVM_SET_SREGS, &s, "KVM_SET_SREGS with %s", name);
	after = vmm_sregs(v, 0);
	tap_ok(!memcmp(&before.cr0, &after.cr0, 5 * 8), "%s: control registers stay as they were", name);
}

static void lma_without_lme(struct kvm_sregs *s) { s->efer &= ~EFER_LME; }
static void lme_without_lma(struct kvm_sregs *s) { s->efer &= ~EFER_LMA; }
static void long_without_pae(struct kvm_sregs *s) { s->cr4 &= ~CR4_PAE; }
static void cr4_reserved(struct kvm_sregs *s) { s->cr4 |= CR4_RESERVED; }
static void cr0_wide(struct kvm_sregs *s) { s->cr0 |= 1ull << 32; }
static void cr0_nw(struct kvm_sregs *s) { s->cr0 |= CR0_NW; }
static void pg_without_pe(struct kvm_sregs *s) { s->cr0 &= ~CR0_PE; }
static void lma_without_pg(struct kvm_sregs *s) { s->cr0 &= ~CR0_PG; }
static void cs_l_and_d(struct kvm_sregs *s) { s->cs.db = 1; }
static void wide_cr3(struct kvm_sregs *s) { s->cr3 |= 1ull << 60; }

static void refused(struct vmm *v)
{
	refused_one(v, lma_without_lme, "LMA without LME under paging");
	refused_one(v, lme_without_lma, "paging with LME and not LMA");
	refused_one(v, long_without_pae, "long mode without PAE");
	refused_one(v, cr4_reserved, "reserved CR4 bits");
	refused_one(v, lma_without_pg, "LMA without paging");
	refused_one(v, wide_cr3, "CR3 beyond the physical addresses");
	refused_one(v, cr0_wide, "CR0 above 32 bits");
	refused_one(v, cr0_nw, "NW without CD");
	refused_one(v, pg_without_pe, "PG without PE");
	(void)cs_l_and_d;
}

static void interrupt_bitmap(struct vmm *v)
{
	struct kvm_sregs s;

	vmm_mode(v, 0, VMM_LONG);
	s = vmm_sregs(v, 0);
	s.interrupt_bitmap[0x45 / 64] = 1ull << (0x45 % 64);
	vmm_set_sregs(v, 0, &s);
	s = vmm_sregs(v, 0);
	tap_eq(s.interrupt_bitmap[1], 1ull << (0x45 % 64), "a pending interrupt is in the bitmap");
	/* nop; hlt: the interrupt set with the registers is delivered at once */
	LOAD(v, 0x90, 0xf4);
	RUNS_TO(v, KVM_EXIT_HLT, "guest runs with an injected interrupt");
	tap_eq(vmm_vector(v, 0), 0x45, "and takes it");
}

static void apic_base(struct vmm *v)
{
	struct kvm_sregs s;

	vmm_mode(v, 0, VMM_LONG);
	s = vmm_sregs(v, 0);
	s.apic_base = 0xfee00000 | APIC_ENABLE | 0x100;
	CALL(0, v->vcpu[0], KVM_SET_SREGS, &s, "KVM_SET_SREGS with an APIC base");
	tap_eq(vmm_sregs(v, 0).apic_base, s.apic_base, "APIC base round trip");
	s.apic_base = 0xfee00000 | 1;
	CALL(EINVAL, v->vcpu[0], KVM_SET_SREGS, &s, "KVM_SET_SREGS with reserved APIC base bits");
}

static void sregs2(struct vmm *v)
{
	struct kvm_sregs2 a, b;

	if (!vmm_cap(v, KVM_CAP_SREGS2)) {
		tap_skip("SREGS2", "not claimed");
		return;
	}
	vmm_mode(v, 0, VMM_LONG);
	memset(&a, 0, sizeof(a));
	CALL(0, v->vcpu[0], KVM_GET_SREGS2, &a, "KVM_GET_SREGS2");
	tap_ok(a.cs.selector == SEL_CODE64 && a.cr3 && !(a.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID),
	       "long mode: no PDPTRs");
	CALL(0, v->vcpu[0], KVM_SET_SREGS2, &a, "KVM_SET_SREGS2");
	CALL(0, v->vcpu[0], KVM_GET_SREGS2, &b, "KVM_GET_SREGS2");
	tap_ok(!memcmp(&a, &b, sizeof(a)), "SREGS2 round trip");
	a.flags = 2;
	CALL(EINVAL, v->vcpu[0], KVM_SET_SREGS2, &a, "KVM_SET_SREGS2 with unknown flags");
	a.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	CALL(EINVAL, v->vcpu[0], KVM_SET_SREGS2, &a, "KVM_SET_SREGS2 with PDPTRs in long mode");
	CALL(EFAULT, v->vcpu[0], KVM_GET_SREGS2, BAD_POINTER, "KVM_GET_SREGS2 at a bad pointer");
	vmm_mode(v, 0, VMM_PAE);
	CALL(0, v->vcpu[0], KVM_GET_SREGS2, &a, "KVM_GET_SREGS2 in PAE mode");
	CALL(0, v->vcpu[0], KVM_SET_SREGS2, &a, "KVM_SET_SREGS2 in PAE mode");
}

/* Each mode executes, and its exceptions arrive. */
static void modes_run(struct vmm *v)
{
	static const char *const name[] = { "real", "16-bit protected", "32-bit protected",
					    "32-bit paged", "PAE", "compatibility", "long" };

	for (int mode = VMM_REAL; mode <= VMM_LONG; mode++) {
		struct kvm_regs r;

		LOAD(v, 0x90, 0x0f, 0x0b, 0xf4);	/* nop; ud2; hlt */
		vmm_mode(v, 0, mode);
		RUNS_TO(v, KVM_EXIT_HLT, "%s mode runs", name[mode]);
		tap_eq(vmm_vector(v, 0), 6, "%s mode: UD2 gives #UD", name[mode]);
		LOAD(v, 0x50, 0x58, 0x40, 0xf4);	/* push; pop; inc (REX in long mode); hlt */
		vmm_mode(v, 0, mode);
		RUNS_TO(v, KVM_EXIT_HLT, "%s mode runs again", name[mode]);
		r = vmm_regs(v, 0);
		tap_eq(r.rax, mode == VMM_LONG ? 0 : 1, "%s mode: size of code", name[mode]);
	}
}

/* From CPL 3 the exception finds its stack by TR, as it was loaded with the registers. */
static void user_mode_runs(void)
{
	static const char *const name[] = { [VMM_PAGED32] = "32-bit paged", [VMM_PAE] = "PAE" };

	if (vmm_on_stock() && vmm_under_tcg()) {
		tap_skip("user code in legacy modes", "QEMU's processor ends itself when a busy TSS is loaded");
		return;
	}
	for (int mode = VMM_PAGED32; mode <= VMM_PAE; mode++) {
		struct vmm *v = vmm_new_vcpu(mode);
		struct kvm_sregs s = vmm_sregs(v, 0);
		struct kvm_segment data = s.ss;

		data.selector = SEL_UDATA;
		data.dpl = 3;
		s.ss = s.ds = s.es = data;
		s.cs.selector = SEL_UCODE32;
		s.cs.dpl = 3;
		vmm_set_sregs(v, 0, &s);
		LOAD(v, 0x90, 0x0f, 0x0b, 0xf4);
		RUNS_TO(v, KVM_EXIT_HLT, "%s mode runs user code", name[mode]);
		tap_eq(vmm_vector(v, 0), 6, "%s mode: its UD2 gives #UD", name[mode]);
		tap_eq(vmm_regs(v, 0).rsp, VMM_STACK - 20, "%s mode: on the stack of the TSS", name[mode]);
		vmm_free(v);
	}
}

void abi_sregs(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);

	round_trip(v);
	vmm_free(v);
	v = vmm_new_vcpu(VMM_LONG);
	refused(v);
	interrupt_bitmap(v);
	apic_base(v);
	sregs2(v);
	modes_run(v);
	vmm_free(v);
	user_mode_runs();
}
