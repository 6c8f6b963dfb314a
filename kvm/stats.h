/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters and where they are read: KVM's binary statistics descriptors
 * (KVM_GET_STATS_FD) and /sys/kernel/penumbra.
 */
#ifndef PN_KVM_STATS_H
#define PN_KVM_STATS_H

#include <linux/types.h>

struct pn_vm;
struct pn_vcpu;

/* What a vCPU counts. Plain u64, written by the vCPU's own thread only. */
struct pn_vcpu_stat {
	/* names follow the stock module's where the meaning is the same */
	u64 exits;
	u64 pf_taken, pf_fixed, pf_mmio;	/* nested page faults */
	u64 io_exits, mmio_exits, signal_exits;
	u64 irq_window_exits, nmi_window_exits;
	u64 halt_exits, irq_exits, request_irq_exits;
	u64 irq_injections, nmi_injections, exception_injections;
	u64 insn_emulation, insn_emulation_fail;
	u64 hypercalls, fpu_reload, host_state_reload;
	u64 tlb_flush, guest_mode;
	u64 cr_exits, dr_exits, msr_exits, cpuid_exits, invlpg_exits;
	u64 user_exits;				/* returns from KVM_RUN */
};

long pn_vm_stats_fd(struct pn_vm *vm);
long pn_vcpu_stats_fd(struct pn_vcpu *vcpu);

/* /sys/kernel/penumbra: module life and one folder a VM. */
int pn_sysfs_init(void);
void pn_sysfs_fini(void);
int pn_sysfs_vm_add(struct pn_vm *vm);
void pn_sysfs_vm_del(struct pn_vm *vm);

/* Module-wide counters, for leak checks: all return to zero with the last VM. */
struct pn_counts {
	atomic_long_t vms, vcpus, slots, ioeventfds, table_pages;
};
extern struct pn_counts pn_counts;

#endif
