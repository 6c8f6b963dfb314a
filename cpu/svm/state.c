// SPDX-License-Identifier: GPL-2.0
/*
 * AMD backend: the registers that live in the VMCB's save area.
 */
#include <asm/msr-index.h>
#include "cpu/svm/svm.h"
#include "mmu/mmu.h"

static_assert(offsetof(struct svm_save, gs) == X86_SEG_GS * sizeof(struct x86_seg));
static_assert(offsetof(struct svm_save, ldtr) == (X86_SEG_LDTR + 1) * sizeof(struct x86_seg));
static_assert(offsetof(struct svm_save, tr) == (X86_SEG_TR + 2) * sizeof(struct x86_seg));

/* The VMCB puts GDTR before LDTR and IDTR before TR. */
static struct x86_seg *svm_seg(struct svm_vcpu *svm, enum x86_seg_index i)
{
	struct svm_save *s = &svm->vmcb->save;

	switch (i) {
	case X86_SEG_LDTR:
		return &s->ldtr;
	case X86_SEG_TR:
		return &s->tr;
	default:
		return &s->es + i;
	}
}

/* SS.DPL as saved need not be the privilege level (15.5.1); the CPL field is. */
static inline u16 svm_ss_attrib(const struct svm_save *s)
{
	return (s->ss.attrib & ~X86_SEG_DPL) | s->cpl << X86_SEG_DPL_SHIFT;
}

const struct x86_seg *svm_segs(struct pn_vcpu *vcpu, struct x86_seg cache[X86_NR_SEG])
{
	struct svm_save *s = &to_svm(vcpu)->vmcb->save;

	memcpy(cache, &s->es, X86_SEG_LDTR * sizeof(*cache));
	cache[X86_SEG_LDTR] = s->ldtr;
	cache[X86_SEG_TR] = s->tr;
	cache[X86_SEG_SS].attrib = svm_ss_attrib(s);
	return cache;
}

struct x86_seg svm_get_seg(struct pn_vcpu *vcpu, enum x86_seg_index i)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct x86_seg seg = *svm_seg(svm, i);

	if (i == X86_SEG_SS)
		seg.attrib = svm_ss_attrib(&svm->vmcb->save);
	return seg;
}

#define SVM_TSS_BUSY	BIT(1)

void svm_set_seg(struct pn_vcpu *vcpu, enum x86_seg_index i, const struct x86_seg *seg)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	*svm_seg(svm, i) = *seg;
	if (i == X86_SEG_TR && svm_features.busy_tss_aborts)
		svm->vmcb->save.tr.attrib &= ~SVM_TSS_BUSY;
	if (i == X86_SEG_SS)
		svm->vmcb->save.cpl = (seg->attrib & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT;
	svm_dirty(svm, SVM_CLEAN_SEG);
}

static struct x86_seg *svm_dtable(struct svm_vcpu *svm, enum cpu_dtable t)
{
	return t == CPU_GDT ? &svm->vmcb->save.gdtr : &svm->vmcb->save.idtr;
}

void svm_get_dtable(struct pn_vcpu *vcpu, enum cpu_dtable t, struct x86_dtable *d)
{
	struct x86_seg *r = svm_dtable(to_svm(vcpu), t);

	d->base = r->base;
	d->limit = r->limit;
}

void svm_set_dtable(struct pn_vcpu *vcpu, enum cpu_dtable t, const struct x86_dtable *d)
{
	struct x86_seg *r = svm_dtable(to_svm(vcpu), t);

	r->base = d->base;
	r->limit = d->limit;
	svm_dirty(to_svm(vcpu), SVM_CLEAN_DT);
}

static void svm_intercept_if(struct svm_vcpu *svm, enum svm_intercept i, bool on)
{
	if (on)
		svm_intercept(svm, i);
	else
		svm_pass(svm, i);
}

#define SVM_CR0_HIDDEN	(X86_CR0_CD | X86_CR0_NW)

/*
 * In shadow mode the hardware pages by our tables whatever the guest does by its own,
 * also in real mode (15.19). They have 64-bit entries, with NX, and are read-only where
 * they say so. What the guest's own tables would mean without paging: every address is
 * for everybody. CR3 is the root's.
 */
static void svm_replace_paging(const struct pn_vcpu *vcpu, struct svm_save *s)
{
	s->cr0 |= X86_CR0_PG | X86_CR0_WP;
	s->cr4 |= X86_CR4_PAE;
	s->cr4 &= ~X86_CR4_PCIDE;
	s->efer |= EFER_NX;
	if (!(vcpu->cr0 & X86_CR0_PG))
		s->cr4 &= ~(X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE);
	if (!(vcpu->efer & EFER_LMA)) {
		s->cr4 &= ~X86_CR4_LA57;
		s->efer &= ~EFER_LME;
	}
}

/*
 * CD and NW are kept from the hardware: the guest's caches are the host's, and a
 * guest with caching off would only be slow. While it has them set, its reads of
 * CR0 are answered by us.
 */
static void svm_update_cr(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	struct svm_save *s = &svm->vmcb->save;

	s->cr0 = vcpu->cr0 & ~SVM_CR0_HIDDEN;
	/* A machine check must reach the host whatever the guest thinks of it, and reads. */
	s->cr4 = vcpu->cr4 | X86_CR4_MCE;
	s->efer = vcpu->efer | EFER_SVME;
	s->pat = vcpu->pat;
	if (svm->shadow)
		svm_replace_paging(vcpu, s);
	else
		s->cr3 = vcpu->cr3;
	svm->cr0_held = svm->shadow ? ~(X86_CR0_TS | X86_CR0_MP) : SVM_CR0_HIDDEN;
	svm_intercept_if(svm, SVM_CR_READ + 0, s->cr0 != vcpu->cr0);
	svm_intercept_if(svm, SVM_CR_WRITE + 0, s->cr0 != vcpu->cr0);
	svm_intercept_if(svm, SVM_CR_READ + 4, s->cr4 != vcpu->cr4);
	svm_dirty(svm, SVM_CLEAN_CRX | SVM_CLEAN_NESTED);
}

/* A task switch loads CR3, without the intercept of writes to it (15.7.1, 15.14.1). */
static void svm_update_mode(struct svm_vcpu *svm)
{
	bool shadow = mmu_is_shadow(&svm->vcpu.vm->mmu);

	svm->shadow = shadow;
	svm_intercept_if(svm, SVM_EXCEPTION + X86_TRAP_PF, shadow);
	svm_intercept_if(svm, SVM_CR_READ + 3, shadow);
	svm_intercept_if(svm, SVM_CR_WRITE + 3, shadow);
	svm_intercept_if(svm, SVM_INVLPG, shadow);
	svm_intercept_if(svm, SVM_TASK_SWITCH, shadow);
	svm_intercept_if(svm, SVM_INVPCID, shadow && svm_features.invpcid);
	svm->vmcb->control.nested_ctl = shadow ? 0 : SVM_NESTED_ENABLE;
	svm_update_cr(svm);
}

static void svm_update_root(struct svm_vcpu *svm)
{
	u64 root = mmu_root(&svm->vcpu.mmu);

	if (svm->shadow) {
		svm->vmcb->save.cr3 = root;
		svm_dirty(svm, SVM_CLEAN_CRX);
	} else {
		svm->vmcb->control.ncr3 = root;
		svm_dirty(svm, SVM_CLEAN_NESTED);
	}
}

static void svm_update_debug(struct svm_vcpu *svm)
{
	struct svm_save *s = &svm->vmcb->save;

	s->dr7 = pn_debug_effective_dr7(&svm->vcpu);
	/* New conditions are told from old ones by starting with none. */
	s->dr6 = PN_DR6_RESET;
	if (svm->vcpu.guest_debug & KVM_GUESTDBG_USE_SW_BP) {
		svm_intercept(svm, SVM_EXCEPTION + X86_TRAP_BP);
		if (svm_features.int3_is_intn)
			svm_intercept(svm, SVM_INTN);
	} else {
		svm_pass(svm, SVM_EXCEPTION + X86_TRAP_BP);
		svm_pass(svm, SVM_INTN);
	}
	svm_dirty(svm, SVM_CLEAN_DRX);
}

static void svm_update_cpuid(struct svm_vcpu *svm)
{
	svm_msrpm_update(svm);
	if (svm->vcpu.has_rdtscp)
		svm_pass(svm, SVM_RDTSCP);
	else
		svm_intercept(svm, SVM_RDTSCP);
}

void svm_update(struct pn_vcpu *vcpu, unsigned int what)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (what & CPU_UPDATE_MODE)
		svm_update_mode(svm);
	else if (what & CPU_UPDATE_CR)
		svm_update_cr(svm);
	if (what & CPU_UPDATE_ROOT)
		svm_update_root(svm);
	if (what & CPU_UPDATE_DEBUG)
		svm_update_debug(svm);
	if (what & CPU_UPDATE_CPUID)
		svm_update_cpuid(svm);
	if (what & CPU_UPDATE_NMI)
		svm_update_nmi(svm);
	if (what & CPU_UPDATE_TSC) {
		svm->vmcb->control.tsc_offset = vcpu->tsc_offset;
		svm_dirty(svm, SVM_CLEAN_INTERCEPTS);
	}
}

static u64 *svm_msr(struct svm_vcpu *svm, u32 index)
{
	struct svm_save *s = &svm->vmcb->save;

	switch (index) {
	case MSR_FS_BASE:
		return &s->fs.base;
	case MSR_GS_BASE:
		return &s->gs.base;
	case MSR_KERNEL_GS_BASE:
		return &s->kernel_gs_base;
	case MSR_STAR:
		return &s->star;
	case MSR_LSTAR:
		return &s->lstar;
	case MSR_CSTAR:
		return &s->cstar;
	case MSR_SYSCALL_MASK:
		return &s->sfmask;
	case MSR_IA32_SYSENTER_CS:
		return &s->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:
		return &s->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:
		return &s->sysenter_eip;
	case MSR_IA32_SPEC_CTRL:
		return svm_features.v_spec_ctrl ? &s->spec_ctrl : NULL;
	default:
		return NULL;
	}
}

int svm_get_msr(struct pn_vcpu *vcpu, u32 index, u64 *value)
{
	u64 *r = svm_msr(to_svm(vcpu), index);

	if (!r)
		return -ENOENT;
	*value = *r;
	return 0;
}

int svm_set_msr(struct pn_vcpu *vcpu, u32 index, u64 value)
{
	u64 *r = svm_msr(to_svm(vcpu), index);

	if (!r)
		return -ENOENT;
	*r = value;
	svm_dirty(to_svm(vcpu), SVM_CLEAN_SEG);
	return 0;
}

static void svm_reset_segs(struct svm_save *s)
{
	static const struct x86_seg data = { .attrib = 0x93, .limit = 0xffff };

	s->es = s->ss = s->ds = s->fs = s->gs = data;
	s->cs = (struct x86_seg){ .selector = 0xf000, .attrib = 0x9b,
				  .limit = 0xffff, .base = 0xffff0000 };
	s->ldtr = (struct x86_seg){ .attrib = 0x82, .limit = 0xffff };
	s->tr = (struct x86_seg){ .attrib = 0x8b, .limit = 0xffff };
	s->gdtr = (struct x86_seg){ .limit = 0xffff };
	s->idtr = (struct x86_seg){ .limit = 0xffff };
	s->cpl = 0;
}

/* State after RESET and INIT, APM vol. 2, 14.1.3; vcpu's own fields are set already. */
void svm_reset(struct pn_vcpu *vcpu, bool init)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm_reset_segs(&svm->vmcb->save);
	svm_update(vcpu, CPU_UPDATE_MODE | CPU_UPDATE_ROOT | CPU_UPDATE_DEBUG | CPU_UPDATE_CPUID |
		   CPU_UPDATE_TSC);
	svm->vmcb->control.clean = 0;
}
