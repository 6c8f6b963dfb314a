/* SPDX-License-Identifier: GPL-2.0 */
/*
 * AMD backend: what its files share. svm.c is module and vCPU life, state.c
 * registers, exits.c what the guest was stopped for, shadow.c the exits that only
 * shadow mode has, events.c injection and windows, permissions.c the MSR and I/O
 * bitmaps, enter.S the world switch.
 */
#ifndef PN_CPU_SVM_SVM_H
#define PN_CPU_SVM_SVM_H

#include <linux/percpu.h>
#include "kvm/vcpu.h"
#include "cpu/svm/vmcb.h"

/* A processor's own part. ASIDs tag TLB entries; 0 is the host's (APM vol. 2, 15.16). */
struct svm_cpu {
	struct page *hsave;		/* for VMRUN's own host save */
	struct page *host_vmcb;		/* VMSAVE area: host FS, GS, TR, LDTR, SYSCALL MSRs */
	u64 host_vmcb_pa;
	u64 asid_generation;		/* starts at 1; vCPUs at 0 have none */
	u32 next_asid, nr_asids;
	struct svm_vcpu *last;		/* for the indirect branch barrier between guests */
};
DECLARE_PER_CPU(struct svm_cpu, svm_cpu);

struct svm_vcpu {
	struct pn_vcpu vcpu;		/* first: cpu_ops.vcpu_size */
	struct vmcb *vmcb;
	u64 vmcb_pa;
	u64 asid_generation;
	int asid_cpu;			/* the ASID is of this CPU's pool */
	unsigned long *msrpm;		/* two pages, own because intercepts follow CPUID */
	bool shadow;			/* the VMCB is for shadow mode */
	u64 cr0_held;			/* bits of vcpu->cr0 that the hardware's CR0 does not tell */

	/* NMI blocking without hardware help, see events.c. */
	bool iret_intercepted;
	bool nmi_singlestep;
	u64 iret_rip;
	u64 stepped_rflags;		/* TF and RF the guest had before we stepped */

	unsigned int shadow_exits;	/* since the interrupt shadow was seen, see svm_recover_shadow */

	/* Of a soft event injected without NEXT_RIP: where its instruction is, and behind it. */
	u64 soft_rip, soft_next_rip;
	enum mmu_verdict verdict;	/* of the fast path's page fault */
};

/* What this processor can, fixed after setup. */
struct svm_features {
	bool nrips, flush_by_asid, decode_assists, vmcb_clean;
	bool pause_filter, v_spec_ctrl, invpcid;
	/*
	 * QEMU's emulation (7.2). INT3 is intercepted as INT n, not as #BP. It keeps the vector
	 * of an interrupt from EVENTINJ, and delivers it again if something else than
	 * the guest makes it leave its loop before the next exit or exception: so the exit comes
	 * right behind the delivery. VMRUN does not load the interrupt shadow: a virtual interrupt
	 * comes before the instruction behind STI, and a guest's STI; HLT then sleeps through
	 * the interrupt that was to wake it. It holds a TSS without the busy bit, and ends itself when it is
	 * to leave CPL 3 in legacy mode with one that has it, as VMMs load it.
	 */
	bool int3_is_intn, injects_twice, forgets_shadow, busy_tss_aborts;
};
extern struct svm_features svm_features;

static inline struct svm_vcpu *to_svm(struct pn_vcpu *vcpu)
{
	return container_of(vcpu, struct svm_vcpu, vcpu);
}

/* VMRUN found the VMCB wrong (15.5.1); nothing but the exit code is valid then. QEMU's emulation gives 32 bits. */
static inline bool svm_entry_failed(const struct svm_vcpu *svm)
{
	return (u32)svm->vmcb->control.exit_code == (u32)SVM_EXIT_INVALID;
}

static inline void svm_intercept(struct svm_vcpu *svm, enum svm_intercept i)
{
	svm->vmcb->control.intercepts[i / 32] |= BIT(i % 32);
	svm->vmcb->control.clean &= ~SVM_CLEAN_INTERCEPTS;
}

static inline void svm_pass(struct svm_vcpu *svm, enum svm_intercept i)
{
	svm->vmcb->control.intercepts[i / 32] &= ~BIT(i % 32);
	svm->vmcb->control.clean &= ~SVM_CLEAN_INTERCEPTS;
}

static inline bool svm_is_intercepted(struct svm_vcpu *svm, enum svm_intercept i)
{
	return svm->vmcb->control.intercepts[i / 32] & BIT(i % 32);
}

static inline void svm_dirty(struct svm_vcpu *svm, u32 clean_bits)
{
	svm->vmcb->control.clean &= ~clean_bits;
}

/*
 * enter.S: run the guest until it exits. Interrupts off. General registers
 * other than RAX and RSP come from and go to @regs.
 */
void svm_world_switch(struct x86_regs *regs, u64 vmcb_pa, u64 host_vmcb_pa);

/* svm.c */
void svm_tlb_flush(struct pn_vcpu *vcpu);

/* permissions.c */
int svm_permissions_setup(void);
void svm_permissions_teardown(void);
u64 svm_iopm_pa(void);
int svm_msrpm_init(struct svm_vcpu *svm);
void svm_msrpm_fini(struct svm_vcpu *svm);
void svm_msrpm_update(struct svm_vcpu *svm);	/* CPUID changed */

/* state.c */
void svm_reset(struct pn_vcpu *vcpu, bool init);
const struct x86_seg *svm_segs(struct pn_vcpu *vcpu, struct x86_seg cache[X86_NR_SEG]);
struct x86_seg svm_get_seg(struct pn_vcpu *vcpu, enum x86_seg_index i);
void svm_set_seg(struct pn_vcpu *vcpu, enum x86_seg_index i, const struct x86_seg *seg);
void svm_get_dtable(struct pn_vcpu *vcpu, enum cpu_dtable t, struct x86_dtable *d);
void svm_set_dtable(struct pn_vcpu *vcpu, enum cpu_dtable t, const struct x86_dtable *d);
void svm_update(struct pn_vcpu *vcpu, unsigned int what);
int svm_get_msr(struct pn_vcpu *vcpu, u32 index, u64 *value);
int svm_set_msr(struct pn_vcpu *vcpu, u32 index, u64 value);

/* events.c */
void svm_inject(struct pn_vcpu *vcpu);
void svm_open_window(struct pn_vcpu *vcpu, enum cpu_window w);
void svm_close_irq_window(struct svm_vcpu *svm);
void svm_recover_shadow(struct svm_vcpu *svm);	/* after every exit, before the registers */
void svm_recover_events(struct svm_vcpu *svm);	/* after every exit */
void svm_take_back(struct svm_vcpu *svm);	/* there was no entry */
int svm_exit_iret(struct svm_vcpu *svm);
bool svm_nmi_step_done(struct pn_vcpu *vcpu);	/* was this step ours? */
void svm_update_nmi(struct svm_vcpu *svm);	/* events.nmi_masked was written */

/* exits.c */
bool svm_handle_exit_fast(struct pn_vcpu *vcpu);
int svm_handle_exit(struct pn_vcpu *vcpu);
int svm_delivery_failed(struct svm_vcpu *svm);

/* A trap is due behind the instruction that exited: its handler may end in user space. */
static inline bool svm_steps(const struct svm_vcpu *svm)
{
	return unlikely((svm->vcpu.regs.rflags & X86_EFLAGS_TF) ||
			(svm->vcpu.guest_debug & KVM_GUESTDBG_SINGLESTEP));
}

/* shadow.c: results as cpu_ops.handle_exit_fast and handle_exit. */
bool svm_page_fault_fast(struct svm_vcpu *svm);
int svm_exit_page_fault(struct svm_vcpu *svm);
bool svm_cr3_fast(struct svm_vcpu *svm);
bool svm_cr4_fast(struct svm_vcpu *svm);
bool svm_invlpg_fast(struct svm_vcpu *svm);
int svm_exit_task_switch(struct svm_vcpu *svm);

#endif
