/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A virtual processor: its registers as the guest sees them, the events waiting
 * for it, and the state of its conversation with user space.
 *
 * A vCPU is used by one thread at a time: every ioctl takes vcpu->mutex.
 * Other threads may only set vcpu->requests and kick.
 */
#ifndef PN_KVM_VCPU_H
#define PN_KVM_VCPU_H

#include <linux/jiffies.h>
#include <linux/kvm.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <asm/trapnr.h>
#include "kvm/slots.h"
#include "kvm/stats.h"
#include "cpu/cpu.h"
#include "x86/emulate.h"
#include "x86/task.h"
#include "x86/state.h"

struct mmu_walk_env;

/* Debug registers, APM vol. 2, 13.1.1: fixed bits, and those with a meaning here. */
#define PN_DR6_RESET		0xffff0ff0ULL
#define PN_DR6_TRAPS		0xfULL		/* B0-3 */
#define PN_DR6_BD		BIT_ULL(13)
#define PN_DR6_BS		BIT_ULL(14)
#define PN_DR6_BT		BIT_ULL(15)
#define PN_DR6_RTM		BIT_ULL(16)	/* active low */
#define PN_DR7_RESET		0x400ULL
#define PN_DR7_GD		BIT_ULL(13)

#define PN_MAX_CPUID	256		/* entries, as the stock module */
#define PN_MAX_MMIO_FRAGMENTS	8	/* memo of one instruction, see kvm/emulate.c */
#define PN_NR_MCE_BANKS	32

/* Where the vCPU thread is; decides whether a kick needs an IPI. */
enum pn_vcpu_mode { PN_OUTSIDE_GUEST, PN_IN_GUEST };

enum pn_request {
	PN_REQ_TLB_FLUSH,	/* all entries of this VM */
	PN_REQ_SLOTS,		/* let go of vm->srcu once */
	PN_REQ_CLOCK,		/* rewrite the kvmclock page */
	PN_REQ_TRIPLE_FAULT,
	PN_REQ_MMU_MODE,	/* the VM's mode changed */
	PN_REQ_MMU_LOAD,	/* vcpu->mmu_due */
};

struct pn_exception {
	bool pending;		/* to be delivered */
	bool injected;		/* being delivered; again if delivery is cut short */
	bool has_error;
	bool has_payload;	/* #PF: cr2, #DB: dr6 bits; applied at delivery */
	u8 vector;
	u32 error;
	u64 payload;
};

struct pn_events {
	struct pn_exception exception;
	struct {
		bool injected;	/* by KVM_INTERRUPT, or cut short */
		bool soft;
		bool waits;	/* behind an exception, until it can be taken */
		u8 vector;
	} irq;
	bool nmi_injected;
	bool nmi_masked;	/* until IRET */
	atomic_t nmi_pending;	/* 0..2 */
	u8 soft_insn_len;	/* of a soft interrupt or #BP: from RIP to where the handler returns */
};

/* kvmclock: where the guest wants its clock page. */
struct pn_pvclock {
	u64 system_time_msr;	/* bit 0: enabled */
	u64 wall_clock_msr;
	bool guest_stopped;	/* KVM_KVMCLOCK_CTRL */
	int cpu;		/* where the page was last made to fit, -1: nowhere */
	unsigned long due;	/* jiffies: when to look at it again */
};

/* The extended state area, in standard (non-compacted) XSAVE format. */
struct pn_fpu {
	void *area;		/* 64-byte aligned; pn_fpu_size bytes */
	u64 xcr0;
	u64 xss;
	u32 pkru, host_pkru;	/* PKRU is not kept in area, see kvm/fpu.c */
	bool swap_pkru;		/* the guest can use protection keys now */
	bool loaded;		/* the guest's state is in this CPU's registers */
};

/* One access the emulator could not finish in the kernel; see kvm/mmio.c. */
struct pn_mmio_fragment {
	u64 gpa;
	u8 data[8];
	u8 len;
	bool write;
	bool done;
};

struct pn_vcpu {
	struct pn_vm *vm;
	unsigned int id;		/* KVM_CREATE_VCPU's argument: the APIC ID */
	unsigned int index;		/* in vm->vcpus */
	struct mutex mutex;
	struct kvm_run *run;		/* shared with user space: never trusted */
	void *pio_data;			/* the page at KVM_PIO_PAGE_OFFSET */
	struct preempt_notifier preempt_notifier;
	int cpu;			/* loaded on, or -1 */
	int srcu_index;
	enum pn_vcpu_mode mode;
	unsigned long requests;		/* bits: enum pn_request */

	/*
	 * Registers as the guest sees them, always current outside ops->enter.
	 * cr3 and cr2 too: hardware may change them, enter() copies them back.
	 */
	struct x86_regs regs;
	u64 cr0, cr2, cr3, cr4, cr8, efer;
	u64 pdptrs[4];
	bool has_pdptrs;		/* they are those of CR3; false: nested mode reads them from memory */
	u64 dr[4], dr6, dr7;
	u32 int_shadow;			/* KVM_X86_SHADOW_INT_*, 0: none */
	u64 apic_base;
	u64 pat;
	u64 tsc_aux;
	u64 spec_ctrl;
	u64 misc_enable, arch_capabilities;
	u64 mtrr_def_type, mtrr_fixed[11], mtrr_var[16];	/* var: base, mask pairs */
	u64 mcg_cap, mcg_status, mcg_ctl, mce_banks[4 * PN_NR_MCE_BANKS];
	u64 debugctl, hwcr, de_cfg, ucode_rev, power_ctl, platform_info, osvw[2];
	struct pn_fpu fpu;

	/* Guest time: guest TSC = host TSC + tsc_offset. */
	u64 tsc_offset;
	u64 tsc_adjust;
	u32 tsc_khz;
	struct pn_pvclock pvclock;

	/* CPUID as user space set it, sorted as given. kvm/cpuid.c */
	struct kvm_cpuid_entry2 *cpuid;
	unsigned int nr_cpuid;
	u8 maxphyaddr;
	u64 cr4_reserved;		/* bits that must be zero, from CPUID */
	u64 efer_reserved;
	u64 xcr0_supported;
	bool has_rdtscp, has_pku, has_gbpages, has_nx, has_lm;

	struct pn_events events;

	/* Guest debug: kvm/debug.c */
	u32 guest_debug;		/* KVM_GUESTDBG_* */
	u64 debug_dr[4], debug_dr7;	/* user space's own breakpoints */

	/* User space's side of the run. */
	bool sigset_active;
	sigset_t sigset;
	bool irq_window_wanted;
	/*
	 * What to finish at the next KVM_RUN after an exit to user space: called
	 * with vm->srcu held, may sleep; result as cpu_ops.handle_exit.
	 */
	int (*complete_io)(struct pn_vcpu *vcpu);

	/* IN and OUT that user space is carrying out: kvm/pio.c */
	struct {
		u64 rip, next_rip;	/* of the instruction, and behind it */
		u16 port;
		u8 size;
		bool answered;		/* string input: the data page holds the answer */
	} pio;

	/* The instruction the kernel is carrying out: kvm/emulate.c, kvm/mmio.c */
	struct x86_emu emu;
	struct x86_seg emu_seg[X86_NR_SEG];
	u64 emu_rip;			/* where it began; if RIP differs later, it is void */
	u64 emu_gpa;			/* of the fault that started it ... */
	bool emu_gpa_valid;		/* ... if it was for an operand */
	bool emu_gpa_write;		/* ... and the guest's tables let it be written */
	bool emu_step_due;		/* its single-step trap, once user space has done its part */
	struct {
		struct pn_mmio_fragment fragment[PN_MAX_MMIO_FRAGMENTS];
		u8 nr;			/* of them in use */
		u8 used;		/* answers the running attempt has taken */
		u8 cur;			/* the one user space has */
	} mmio;

	struct mmu_vcpu mmu;
	unsigned int mmu_due;		/* MMU_LOAD_*: what the next mmu_load() has to know */
	unsigned int slot_hint;		/* for pn_slot_find */
	unsigned int audit_exits;	/* since the last audit: kvm/audit.c */
	struct pn_vcpu_stat stat;
};

static inline struct pn_vcpu *pn_vcpu_of_mmu(struct mmu_vcpu *mmu)
{
	return container_of(mmu, struct pn_vcpu, mmu);
}

static inline bool pn_is_long_mode(const struct pn_vcpu *v)	/* EFER.LMA */
{
	return v->efer & BIT_ULL(10);
}

/* One segment, by value. */
static inline struct x86_seg pn_seg(struct pn_vcpu *v, enum x86_seg_index i)
{
	return cpu->seg(v, i);
}

/* The privilege level: SS.DPL, which is 0 in real and 3 in virtual-8086 mode. */
static inline u8 pn_cpl(struct pn_vcpu *v)
{
	return (pn_seg(v, X86_SEG_SS).attrib & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT;
}

/* ---- kvm/vcpu.c ---- */
int pn_vcpu_create(struct pn_vm *vm, unsigned long id);	/* a descriptor, or -errno */
void pn_vcpu_reset(struct pn_vcpu *vcpu, bool init);	/* RESET, or INIT */
void pn_vcpu_free(struct pn_vcpu *vcpu);		/* from the VM's end */
void pn_vcpu_request(struct pn_vcpu *vcpu, enum pn_request r);	/* sets the bit only */
void pn_vcpu_kick(struct pn_vcpu *vcpu);		/* out of the guest, soon */
void pn_vcpu_exit_at_once(void);
/* The vCPU's registers come to this processor and follow the thread, until put. */
void pn_vcpu_load(struct pn_vcpu *vcpu);
void pn_vcpu_put(struct pn_vcpu *vcpu);

/* ---- kvm/run.c ---- */
long pn_vcpu_run(struct pn_vcpu *vcpu);			/* KVM_RUN */

/* ---- kvm/mode.c ---- */
void pn_mmu_enter_mode(struct pn_vcpu *vcpu);	/* PN_REQ_MMU_MODE */
/* What decides how addresses are translated was written. @what: MMU_LOAD_* */
void pn_mmu_changed(struct pn_vcpu *vcpu, unsigned int what);
/* mmu_load() of what is due, with the vCPU's registers; @flags and result are its. */
enum mmu_verdict pn_mmu_load(struct pn_vcpu *vcpu, unsigned int flags);

/* ---- kvm/audit.c ---- */
void pn_audit(struct pn_vcpu *vcpu);	/* at an exit, under vm->srcu: if the parameter says so */

/* ---- kvm/work.c ---- */
int pn_handle_work(void);	/* signals, rescheduling ...: 0, or -EINTR: a signal waits */

/* ---- kvm/inject.c: events towards the guest ---- */
/* Queue an exception; two that collide become #DF or a triple fault (APM vol. 2, 8.2.9). */
void pn_queue_exception(struct pn_vcpu *vcpu, u8 vector);
void pn_queue_exception_error(struct pn_vcpu *vcpu, u8 vector, u32 error);
void pn_queue_exception_payload(struct pn_vcpu *vcpu, u8 vector, u64 payload);
/* Right before the world switch, interrupts off: hand at most one event to the hardware. */
void pn_deliver_events(struct pn_vcpu *vcpu);
void pn_queue_page_fault(struct pn_vcpu *vcpu, u64 gva, u32 error);
void pn_apply_payload(struct pn_vcpu *vcpu);	/* of the pending exception, to CR2 or DR6 */
void pn_limit_nmis(struct pn_vcpu *vcpu);
bool pn_ready_for_irq(struct pn_vcpu *vcpu);	/* KVM_INTERRUPT could inject at once */
bool pn_delivering(const struct pn_events *ev);	/* one goes in at the next entry */
bool pn_irq_allowed(struct pn_vcpu *vcpu);	/* RFLAGS.IF, no shadow, nothing being delivered */
bool pn_nmi_allowed(struct pn_vcpu *vcpu);
long pn_vcpu_interrupt(struct pn_vcpu *vcpu, void __user *argp);	/* KVM_INTERRUPT */
long pn_vcpu_nmi(struct pn_vcpu *vcpu, void __user *argp);		/* KVM_NMI */

/*
 * ---- kvm/emulate.c: instructions carried out in the kernel ----
 * "As handle_exit" is 1: enter the guest, 0: to user space, or -errno.
 */
/* As handle_exit. The fault was for an @operand of the instruction, and to @write it. */
int pn_emulate_mmio(struct pn_vcpu *vcpu, u64 gpa, bool operand, bool write);
int pn_emulate_insn(struct pn_vcpu *vcpu);		/* the one at RIP; as handle_exit */
int pn_emulate_decoded(struct pn_vcpu *vcpu);		/* after pn_insn_decode; as handle_exit */
int pn_emulate_again(struct pn_vcpu *vcpu);		/* an answer is there; as handle_exit */
void pn_emulate_begin(struct pn_vcpu *vcpu);		/* vcpu->emu gets the vCPU's state */
int pn_emulate_fault(struct pn_vcpu *vcpu);		/* emu.fault to the guest; as handle_exit */
int pn_emulate_finish(struct pn_vcpu *vcpu);		/* user space has done its part; as handle_exit */
/*
 * Decode the instruction at RIP into vcpu->emu.insn. False: it could not be, and
 * *@result is what handle_exit returns.
 */
bool pn_insn_decode(struct pn_vcpu *vcpu, int *result);
/*
 * Length of the instruction at RIP, which exited because it is @opcode: its one to three
 * bytes without prefixes, the first one lowest; 0: one of several. As pn_insn_decode.
 */
bool pn_insn_length(struct pn_vcpu *vcpu, u32 opcode, unsigned int *len, int *result);
/* The same where sleeping is forbidden. False: it cannot be told there. */
bool pn_insn_length_atomic(struct pn_vcpu *vcpu, u32 opcode, unsigned int *len);
int pn_skip(struct pn_vcpu *vcpu, unsigned int len);	/* RIP past it, traps; as handle_exit */
enum x86_mode pn_cpu_mode(struct pn_vcpu *vcpu);
int pn_emulation_failed(struct pn_vcpu *vcpu);		/* as handle_exit */
int pn_memory_error(struct pn_vcpu *vcpu);		/* of vcpu->mmu.fault; as handle_exit */
void pn_hypercall(struct pn_vcpu *vcpu);

/* ---- kvm/task.c ---- */
/* The processor was about to switch tasks, at an instruction or for an event; as handle_exit. */
int pn_task_switch(struct pn_vcpu *vcpu, struct x86_task_switch *t, bool by_insn);

/* ---- kvm/mmio.c: device memory in user space ---- */
enum x86_emu_rc pn_mmio_read(struct pn_vcpu *vcpu, u64 gpa, void *val, unsigned int len);
enum x86_emu_rc pn_mmio_write(struct pn_vcpu *vcpu, u64 gpa, const void *val, unsigned int len);
bool pn_mmio_pending(struct pn_vcpu *vcpu);
int pn_mmio_exit(struct pn_vcpu *vcpu);			/* hand the next one over; 0 */

/* ---- kvm/pio.c ---- */
int pn_pio(struct pn_vcpu *vcpu, u16 port, unsigned int size, bool in);	/* IN, OUT; as handle_exit */
enum x86_emu_rc pn_pio_in_string(struct x86_emu *emu, u16 port, unsigned int size,
				 unsigned int count, void *buf);
enum x86_emu_rc pn_pio_out_string(struct x86_emu *emu, u16 port, unsigned int size,
				  unsigned int count, const void *buf);

/* ---- kvm/cr.c: control registers written by the guest or by user space ---- */
/* 0, or 1: the write is illegal, inject #GP(0); nothing was changed. */
int pn_set_cr0(struct pn_vcpu *vcpu, u64 val);
int pn_set_cr3(struct pn_vcpu *vcpu, u64 val);
/*
 * In shadow mode and without sleeping: true: done, pn_mmu_load() is due; false: leave it to the
 * one above.
 */
bool pn_set_cr3_atomic(struct pn_vcpu *vcpu, u64 val);
/* val is CR4 but for PGE, and the vCPU in long mode. The caller calls pn_mmu_load(). */
void pn_set_pge_atomic(struct pn_vcpu *vcpu, u64 val);
int pn_set_cr4(struct pn_vcpu *vcpu, u64 val);
int pn_set_cr8(struct pn_vcpu *vcpu, u64 val);
int pn_set_efer(struct pn_vcpu *vcpu, u64 val, bool host);
int pn_set_xcr0(struct pn_vcpu *vcpu, u64 val);		/* XSETBV */
/*
 * Debug registers: dr 0-7 (4 and 5 as CR4.DE says). 0, or 1: #GP, or 2: #UD,
 * or -1: general detect, a #DB is queued.
 */
int pn_get_dr(struct pn_vcpu *vcpu, unsigned int dr, u64 *val);
int pn_set_dr(struct pn_vcpu *vcpu, unsigned int dr, u64 val);
/* Fill what the guest walker needs to know of this vCPU. */
void pn_walk_env(struct pn_vcpu *vcpu, struct mmu_walk_env *env);

/* ---- kvm/msr.c ---- */
/* 0, or 1: #GP. @host: by user space, which may write read-only ones. */
int pn_get_msr(struct pn_vcpu *vcpu, u32 index, u64 *val, bool host);
int pn_set_msr(struct pn_vcpu *vcpu, u32 index, u64 val, bool host);
void pn_msr_reset(struct pn_vcpu *vcpu);	/* RESET: what vcpu.h stores of them */

/* ---- kvm/cpuid.c ---- */
int pn_cpuid_init(void);		/* at module load: what this host can offer */
void pn_cpuid_vcpu_init(struct pn_vcpu *vcpu);	/* no entries yet: what follows from that */
struct kvm_cpuid_entry2 *pn_cpuid_find(struct pn_vcpu *vcpu, u32 function, u32 index);
/* The CPUID instruction as the guest sees it, with the registers' current values in and out. */
void pn_cpuid(struct pn_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);

/* ---- kvm/fpu.c ---- */
extern unsigned int pn_fpu_size;	/* bytes of pn_fpu.area */
extern u64 pn_host_xcr0;
int pn_fpu_setup(void);
int pn_fpu_init(struct pn_vcpu *vcpu);
void pn_fpu_fini(struct pn_vcpu *vcpu);
void pn_fpu_reset(struct pn_vcpu *vcpu);
/*
 * Put the guest's state into the registers, or save it and give them back.
 * Inside a kernel_fpu_begin()/end() section, preemption off. Idempotent.
 */
void pn_fpu_swap_pkru_in(struct pn_fpu *fpu);
void pn_fpu_swap_pkru_out(struct pn_fpu *fpu);
void pn_fpu_load(struct pn_vcpu *vcpu);
void pn_fpu_put(struct pn_vcpu *vcpu);
/* Right around the world switch, interrupts off: user memory is out of reach between them. */
static inline void pn_fpu_enter(struct pn_vcpu *v)
{
	if (unlikely(v->fpu.swap_pkru))
		pn_fpu_swap_pkru_in(&v->fpu);
}

static inline void pn_fpu_leave(struct pn_vcpu *v)
{
	if (unlikely(v->fpu.swap_pkru))
		pn_fpu_swap_pkru_out(&v->fpu);
}

/* One register for the emulator, sizes as enum x86_emu_file says; the state must be saved (not loaded). */
void pn_fpu_read(struct pn_vcpu *vcpu, enum x86_emu_file file, unsigned int reg, void *val);
void pn_fpu_write(struct pn_vcpu *vcpu, enum x86_emu_file file, unsigned int reg, const void *val);

/* ---- kvm/clock.c ---- */
u64 pn_guest_tsc(struct pn_vcpu *vcpu);
int pn_set_system_time_msr(struct pn_vcpu *vcpu, u64 val);	/* 0, or 1: #GP */
int pn_set_wall_clock_msr(struct pn_vcpu *vcpu, u64 val);
void pn_set_guest_tsc(struct pn_vcpu *vcpu, u64 tsc, bool host);
void pn_clock_update(struct pn_vcpu *vcpu);		/* PN_REQ_CLOCK */
void pn_clock_refresh(struct pn_vcpu *vcpu, int cpu);
/* The vCPU comes to this CPU. A page made from an unstable TSC is good on one CPU only. */
static inline void pn_clock_load(struct pn_vcpu *v, int cpu_nr)
{
	if (unlikely(time_after(jiffies, v->pvclock.due) ||
		     (v->pvclock.cpu != cpu_nr && !v->vm->clock_stable)))
		pn_clock_refresh(v, cpu_nr);
}

int pn_clock_init(struct pn_vm *vm);
void pn_clock_vcpu_init(struct pn_vcpu *vcpu);
long pn_vm_get_clock(struct pn_vm *vm, void __user *argp);
long pn_vm_set_clock(struct pn_vm *vm, void __user *argp);
long pn_vm_set_tsc_khz(struct pn_vm *vm, unsigned long khz);

/* ---- kvm/debug.c ---- */
#define PN_GUESTDBG_VALID	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | \
				 KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP | \
				 KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP | \
				 KVM_GUESTDBG_BLOCKIRQ)
/*
 * A #DB (bits @dr6 set) or #BP happened in the guest: 1 when it is the guest's
 * own and has been queued, 0 when it is user space's (KVM_EXIT_DEBUG filled).
 */
int pn_debug_exception(struct pn_vcpu *vcpu, u8 vector, u64 dr6);
/* One instruction was carried out by the emulator: deliver its single-step trap. As handle_exit. */
int pn_debug_step(struct pn_vcpu *vcpu);
/* DR7 and DR0-3 that the hardware must hold, guest's or user space's. */
u64 pn_debug_effective_dr7(struct pn_vcpu *vcpu);
const u64 *pn_debug_effective_dr(struct pn_vcpu *vcpu);

/* ---- vCPU ioctls by family; all with vcpu->mutex held, vCPU loaded ---- */
typedef long pn_vcpu_ioctl_fn(struct pn_vcpu *vcpu, void __user *argp);
pn_vcpu_ioctl_fn pn_vcpu_get_regs, pn_vcpu_set_regs;			/* kvm/regs.c */
pn_vcpu_ioctl_fn pn_vcpu_get_sregs, pn_vcpu_set_sregs;
pn_vcpu_ioctl_fn pn_vcpu_get_sregs2, pn_vcpu_set_sregs2;
pn_vcpu_ioctl_fn pn_vcpu_get_events, pn_vcpu_set_events;		/* kvm/events.c */
pn_vcpu_ioctl_fn pn_vcpu_get_mp_state, pn_vcpu_set_mp_state;
pn_vcpu_ioctl_fn pn_vcpu_get_debugregs, pn_vcpu_set_debugregs;		/* kvm/debug.c */
pn_vcpu_ioctl_fn pn_vcpu_set_guest_debug;
pn_vcpu_ioctl_fn pn_vcpu_get_fpu, pn_vcpu_set_fpu;			/* kvm/fpu.c */
pn_vcpu_ioctl_fn pn_vcpu_get_xsave, pn_vcpu_set_xsave, pn_vcpu_get_xsave2;
pn_vcpu_ioctl_fn pn_vcpu_get_xcrs, pn_vcpu_set_xcrs;
pn_vcpu_ioctl_fn pn_vcpu_get_msrs, pn_vcpu_set_msrs;			/* kvm/msr.c */
pn_vcpu_ioctl_fn pn_vcpu_setup_mce, pn_vcpu_set_mce;
pn_vcpu_ioctl_fn pn_vcpu_set_cpuid, pn_vcpu_set_cpuid2, pn_vcpu_get_cpuid2;	/* kvm/cpuid.c */
pn_vcpu_ioctl_fn pn_vcpu_get_tsc_khz, pn_vcpu_kvmclock_ctrl;		/* kvm/clock.c */
long pn_vcpu_set_tsc_khz(struct pn_vcpu *vcpu, unsigned long khz);
pn_vcpu_ioctl_fn pn_vcpu_translate;					/* kvm/emulate.c */
pn_vcpu_ioctl_fn pn_vcpu_set_signal_mask;				/* kvm/vcpu.c */

/* KVM_CAP_SYNC_REGS: registers in struct kvm_run; kvm/regs.c. 0, or -EINVAL. */
void pn_sync_regs_store(struct pn_vcpu *vcpu);
int pn_sync_regs_load(struct pn_vcpu *vcpu);

/* ---- system ioctls by family ---- */
long pn_sys_get_supported_cpuid(void __user *argp, bool emulated);	/* kvm/cpuid.c */
long pn_sys_get_msr_index_list(void __user *argp);			/* kvm/msr.c */
long pn_sys_get_msr_feature_index_list(void __user *argp);
long pn_sys_get_feature_msrs(void __user *argp);
long pn_sys_get_mce_cap(void __user *argp);

#endif
