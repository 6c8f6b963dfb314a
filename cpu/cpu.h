/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a processor vendor's virtualization extension supplies: one const table.
 *
 * The generic part (kvm/) owns the guest-visible values of the control
 * registers, RIP, RFLAGS and the general registers, in struct pn_vcpu; the
 * vendor part copies them in and out at the world switch, so no caller asks
 * whether a cached copy is fresh. Segments and descriptor tables live with the
 * vendor.
 */
#ifndef PN_CPU_H
#define PN_CPU_H

#include "kapi.h"
#include "x86/state.h"

struct pn_vcpu;

enum cpu_dtable { CPU_GDT, CPU_IDT };

/* For cpu_ops.update. */
#define CPU_UPDATE_CR		BIT(0)	/* cr0, cr3, cr4, efer, pat */
#define CPU_UPDATE_DEBUG	BIT(1)	/* dr*, guest_debug */
#define CPU_UPDATE_CPUID	BIT(2)
#define CPU_UPDATE_TSC		BIT(3)	/* tsc_offset */
#define CPU_UPDATE_NMI		BIT(4)	/* events.nmi_masked */
#define CPU_UPDATE_MODE		BIT(5)	/* mmu_is_shadow(); CPU_UPDATE_CR is part of it */
#define CPU_UPDATE_ROOT		BIT(6)	/* mmu_root() */

enum cpu_window { CPU_WINDOW_IRQ, CPU_WINDOW_NMI };

struct cpu_ops {
	const char *name;		/* "AMD SVM" */
	u32 isa;			/* PN_ISA_*, for tools that decode exit reasons */
	size_t vcpu_size;		/* its vCPU, whose first member is struct pn_vcpu */

	/* Module life. setup logs one line and fails when it cannot be used. */
	int (*setup)(void);
	void (*teardown)(void);
	int (*cpu_enable)(void);	/* on this CPU, interrupts off */
	void (*cpu_disable)(void);

	/* vCPU life. */
	int (*vcpu_init)(struct pn_vcpu *vcpu);
	void (*vcpu_fini)(struct pn_vcpu *vcpu);
	void (*vcpu_reset)(struct pn_vcpu *vcpu, bool init);	/* RESET or INIT */
	/* Preemption off: the vCPU comes to this CPU, or leaves it. */
	void (*vcpu_load)(struct pn_vcpu *vcpu, int cpu);
	void (*vcpu_put)(struct pn_vcpu *vcpu);

	/* The world switch, interrupts off, and what it ended with. */
	void (*enter)(struct pn_vcpu *vcpu);
	/* Preemption still off, interrupts on: true: enter again, false: needs handle_exit. */
	bool (*handle_exit_fast)(struct pn_vcpu *vcpu);
	/* May sleep: 1 enter again, 0 to user space (vcpu->run filled), -errno. */
	int (*handle_exit)(struct pn_vcpu *vcpu);

	/* Before the next entry, forget every TLB entry of this vCPU. */
	void (*tlb_flush)(struct pn_vcpu *vcpu);

	/* State. */
	/*
	 * The segments ES to GS, in the order of enum x86_seg_index, and LDTR and TR, behind
	 * one pointer when the hardware keeps them so, else put together in @cache.
	 */
	const struct x86_seg *(*segs)(struct pn_vcpu *vcpu, struct x86_seg cache[X86_NR_SEG]);
	struct x86_seg (*seg)(struct pn_vcpu *vcpu, enum x86_seg_index i);	/* one of them */
	void (*set_seg)(struct pn_vcpu *vcpu, enum x86_seg_index i, const struct x86_seg *seg);
	void (*get_dtable)(struct pn_vcpu *vcpu, enum cpu_dtable t, struct x86_dtable *d);
	void (*set_dtable)(struct pn_vcpu *vcpu, enum cpu_dtable t, const struct x86_dtable *d);
	/* What @what (bits CPU_UPDATE_*) names, fields of struct pn_vcpu most of it, was written. */
	void (*update)(struct pn_vcpu *vcpu, unsigned int what);
	/* Registers only hardware holds (SYSCALL, SYSENTER, FS/GS base ...): 0, or -ENOENT. */
	int (*get_msr)(struct pn_vcpu *vcpu, u32 index, u64 *value);
	int (*set_msr)(struct pn_vcpu *vcpu, u32 index, u64 value);

	/* Events (kvm/inject.c decides which); interrupts off, right before enter. */
	void (*inject)(struct pn_vcpu *vcpu);		/* the one of vcpu->events that is injected */
	void (*open_window)(struct pn_vcpu *vcpu, enum cpu_window w);	/* exit once it can be taken */
	/* An instruction is over. Was it only stepped for a window, so that no trap is due? */
	bool (*step_done)(struct pn_vcpu *vcpu);
};

extern const struct cpu_ops svm_ops;
extern const struct cpu_ops *cpu;	/* the one in use; set before /dev/kvm exists */
extern bool cpu_has_nested;		/* nested paging can be had; set by setup */

#endif
