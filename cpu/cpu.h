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

enum cpu_window { CPU_WINDOW_IRQ, CPU_WINDOW_NMI };

struct cpu_ops {
	const char *name;		/* "AMD SVM" */
	const char *isa;		/* "svm": for tools */
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
	/* Preemption still off, interrupts on: 1 enter again, 0 needs handle_exit. */
	int (*handle_exit_fast)(struct pn_vcpu *vcpu);
	/* May sleep: 1 enter again, 0 to user space (vcpu->run filled), -errno. */
	int (*handle_exit)(struct pn_vcpu *vcpu);

	/* State. */
	void (*get_seg)(struct pn_vcpu *vcpu, enum x86_seg_index i, struct x86_seg *seg);
	void (*set_seg)(struct pn_vcpu *vcpu, enum x86_seg_index i, const struct x86_seg *seg);
	void (*get_dtable)(struct pn_vcpu *vcpu, enum cpu_dtable t, struct x86_dtable *d);
	void (*set_dtable)(struct pn_vcpu *vcpu, enum cpu_dtable t, const struct x86_dtable *d);
	u8 (*cpl)(struct pn_vcpu *vcpu);
	void (*cr_changed)(struct pn_vcpu *vcpu);	/* cr0/3/4/8, efer in vcpu written */
	void (*debug_changed)(struct pn_vcpu *vcpu);	/* dr*, guest_debug written */
	void (*cpuid_changed)(struct pn_vcpu *vcpu);
	void (*tsc_changed)(struct pn_vcpu *vcpu);	/* tsc_offset written */
	u32 (*int_shadow)(struct pn_vcpu *vcpu);	/* KVM_X86_SHADOW_INT_* or 0 */
	void (*set_int_shadow)(struct pn_vcpu *vcpu, u32 shadow);
	/* Registers only hardware holds (SYSCALL, SYSENTER, FS/GS base ...): 0, or -ENOENT. */
	int (*get_msr)(struct pn_vcpu *vcpu, u32 index, u64 *value);
	int (*set_msr)(struct pn_vcpu *vcpu, u32 index, u64 value);

	/* Events (kvm/inject.c decides which). */
	void (*inject)(struct pn_vcpu *vcpu);		/* vcpu->events.*.injected to hardware */
	void (*cancel)(struct pn_vcpu *vcpu);		/* not entered after all: take it back */
	void (*open_window)(struct pn_vcpu *vcpu, enum cpu_window w);
};

extern const struct cpu_ops svm_ops;
extern const struct cpu_ops *cpu;	/* the one in use; set before /dev/kvm exists */

#endif
