/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters and where they are read: KVM's binary statistics descriptors
 * (KVM_GET_STATS_FD) and /sys/kernel/penumbra.
 */
#ifndef PN_KVM_STATS_H
#define PN_KVM_STATS_H

#include <linux/atomic.h>
#include <linux/types.h>

struct pn_vm;
struct pn_vcpu;

/* What a vCPU counts. Plain u64, written by the vCPU's own thread only. */
struct pn_vcpu_stat {
	/* names follow the stock module's where the meaning is the same */
	u64 exits;
	u64 pf_taken, pf_fixed, pf_mmio;	/* page faults: nested, or on shadow tables */
	u64 pf_emulate;
	u64 io_exits, mmio_exits, signal_exits;
	u64 irq_window_exits, nmi_window_exits;
	u64 halt_exits, irq_exits, request_irq_exits;
	u64 irq_injections, nmi_injections, exception_injections;
	u64 insn_emulation, insn_emulation_fail;
	u64 hypercalls, tlb_flush;
	u64 cr_exits, dr_exits, msr_exits, cpuid_exits;
	u64 user_exits;				/* returns from KVM_RUN */
};

/*
 * One statistic: its name and kind for KVM's descriptors, and where it is.
 * Reading takes no lock; each figure is right by itself.
 */
struct pn_stat_desc {
	const char *name;
	u32 flags;		/* KVM_STATS_TYPE_* and _UNIT_* */
	u16 where;		/* enum pn_stat_base in kvm/stats.c */
	u16 offset;
};

extern const struct pn_stat_desc pn_vm_stat_desc[], pn_vcpu_stat_desc[];
extern const unsigned int pn_nr_vm_stats, pn_nr_vcpu_stats;

u64 pn_vm_stat_read(struct pn_vm *vm, unsigned int i);
u64 pn_vcpu_stat_read(struct pn_vcpu *vcpu, unsigned int i);

long pn_vm_stats_fd(struct pn_vm *vm);		/* KVM_GET_STATS_FD: a descriptor, or -errno */
long pn_vcpu_stats_fd(struct pn_vcpu *vcpu);

/* /sys/kernel/penumbra: module life and one folder a VM. */
int pn_sysfs_init(void);
void pn_sysfs_fini(void);
/*
 * add: when vm->id is set and the MMU, slots and locks stand; 0 or -errno. del: while
 * vCPUs, slots and MMU still stand; on return nobody reads the folder any more.
 * Not under a lock that pn_vms_lock is taken inside of. del without add is fine.
 */
int pn_sysfs_vm_add(struct pn_vm *vm);
void pn_sysfs_vm_del(struct pn_vm *vm);

/* kvm/reclaim.c: gives MMU tables back when the host is short of memory. */
int pn_reclaim_init(void);
void pn_reclaim_fini(void);

/*
 * Module-wide counters, for leak checks: all return to zero with the last VM.
 * table_pages counts what a VM failed to free; those in use are in each VM.
 */
struct pn_counts {
	atomic_long_t vms, vcpus, slots, ioeventfds, table_pages;
};
extern struct pn_counts pn_counts;	/* kvm/sysfs.c */

#endif
