/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A virtual machine as the KVM API sees it: memory slots, I/O regions, vCPUs,
 * and the virtual MMU's per-VM state.
 *
 * Lifetime: the VM's descriptor, every vCPU descriptor and the statistics
 * descriptors hold a reference each; the last one frees it.
 * Locking: docs/locking.md. In short
 *   vm->lock (mutex)        creation of vCPUs, VM-wide settings
 *   vm->slots_lock (mutex)  writers of slots and of the I/O regions
 *   vm->srcu                readers of slots and of the I/O regions
 *   vm->mmu.lock (rwlock)   the tables; inside the above and inside mmap_lock
 */
#ifndef PN_KVM_VM_H
#define PN_KVM_VM_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/srcu.h>
#include <linux/wait.h>
#include <linux/kvm.h>
#include "kapi.h"
#include "mmu/mmu.h"

#define PN_MAX_VCPUS		64
#define PN_MAX_VCPU_ID		4096	/* vCPU ids are APIC IDs and may have gaps */
#define PN_MAX_SLOTS		32764	/* as many as the stock module offers */

struct pn_vcpu;
struct pn_slots;
struct pn_iobus;
struct pn_coalesced;
struct pn_vm_dir;

/* At the beginning of a table that readers under vm->srcu may still use: pn_vm_retire. */
struct pn_retired {
	struct list_head link;
};

/* Address spaces of I/O regions. Regions on the CCW bus (not x86's) are accepted and never hit. */
enum pn_bus { PN_BUS_PIO, PN_BUS_MMIO, PN_BUS_CCW, PN_NR_BUSES };

/* Counters of one VM; per-vCPU ones are in struct pn_vcpu_stat. */
struct pn_vm_stat {
	atomic64_t mmu_notifier_unmaps;
	atomic64_t mmu_notifier_ages;
};

struct pn_vm {
	struct kref ref;
	u32 id;				/* /sys/kernel/penumbra/vms/<id> */
	struct list_head node;		/* in the list of all VMs, under pn_vms_lock */
	struct mm_struct *mm;		/* the only one whose tasks may use it */
	pid_t pid;			/* of the creator, for people */
	struct mutex lock;

	/* Guest memory: kvm/slots.c, kvm/notifier.c. */
	struct mutex slots_lock;
	struct srcu_struct srcu;
	struct pn_slots __rcu *slots;
	struct mmu_notifier notifier;
	/*
	 * Host invalidations begun and not ended. The set of slots does not change
	 * while there is one, so that both halves of it see the same slots.
	 */
	spinlock_t notifier_lock;	/* a leaf */
	unsigned long notifier_active;	/* under notifier_lock */
	wait_queue_head_t notifier_wait;
	bool readers_kept_out;		/* see pn_vm_drop_readers */
	bool vcpus_kept_out;		/* see pn_vm_enter */
	struct list_head retired;	/* tables, under slots_lock */
	unsigned int nr_retired;
	wait_queue_head_t readers_wait;

	struct mmu_vm mmu;

	/* I/O regions that the kernel answers: kvm/iobus.c and its users. */
	struct pn_iobus __rcu *buses[PN_NR_BUSES];
	struct pn_coalesced *coalesced;

	/* vCPUs: written once each under lock, read with READ_ONCE. */
	unsigned int nr_vcpus;
	struct pn_vcpu *vcpus[PN_MAX_VCPUS];

	/* Settings by KVM_ENABLE_CAP and friends, under lock. */
	u64 dirty_log_caps;		/* KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE ... */
	u64 disabled_quirks;
	u64 max_vcpu_id;
	bool exception_payload;
	bool triple_fault_event;
	u32 default_tsc_khz;

	/* Guest time: kvm/clock.c. */
	spinlock_t clock_lock;
	s64 kvmclock_offset;		/* guest ns = boot-based ns + offset */
	u64 tsc_last_write, tsc_last_offset, tsc_last_ns;	/* to match TSCs of vCPUs */
	bool tsc_user_set;
	bool clock_stable;		/* the pair below holds: host time is a function of its TSC */
	u64 clock_tsc, clock_ns;	/* one moment: host TSC, boot-based ns */

	unsigned long shadow_request;	/* user space's limit of shadow pages, or 0; under slots_lock */

	struct pn_vm_stat stat;
	struct pn_vm_dir *dir;		/* kvm/sysfs.c */
};

/* All VMs of the module. */
extern struct list_head pn_vms;
extern struct mutex pn_vms_lock;

/* kvm/vm.c */
int pn_vm_setup(void);			/* module life */
void pn_vm_teardown(void);
int pn_vm_create(unsigned long type);	/* a new descriptor, or -errno */
void pn_vm_get(struct pn_vm *vm);
void pn_vm_put(struct pn_vm *vm);

/*
 * Ask every vCPU for @request (enum pn_request) and wait until none of them
 * is in the guest without having seen it. Any context that may wait for an
 * IPI: interrupts on.
 */
void pn_vm_request_all(struct pn_vm *vm, unsigned int request);

/* kvm/shadow_limit.c: slots, vCPUs or what was asked for changed. Under slots_lock. */
void pn_shadow_limit_update(struct pn_vm *vm);
/* 0: back to the fraction of its memory. 0, or -EINVAL: too few. Sleeps. */
long pn_vm_set_shadow_max(struct pn_vm *vm, unsigned long nr);
long pn_vm_set_nr_mmu_pages(struct pn_vm *vm, u32 nr);	/* the ioctls; the higher half of nr is ignored */
long pn_vm_get_nr_mmu_pages(struct pn_vm *vm);

/* kvm/mode.c */
const char *pn_mode_name(enum mmu_vm_mode mode);
int pn_mode_by_name(const char *name);	/* or -EINVAL, -EOPNOTSUPP */
enum mmu_vm_mode pn_default_mode(void);	/* of new VMs */
unsigned long pn_default_without(void);		/* … their mmu.shadow_without */
/* 0, or -EOPNOTSUPP, -ENOMEM. vCPUs go on running. Sleeps. */
int pn_vm_set_mode(struct pn_vm *vm, enum mmu_vm_mode mode);
/*
 * srcu_read_lock() of vm->srcu for whatever a vCPU does: not while the mode changes.
 * Sleeps.
 */
int pn_vm_enter(struct pn_vm *vm);

/* Page tables of all kinds made for the VM. */
static inline s64 pn_vm_table_pages(const struct pn_vm *vm)
{
	return atomic64_read(&vm->mmu.stat.tables) + atomic64_read(&vm->mmu.stat.shadow_pages);
}

static inline struct pn_vm *pn_vm_of_mmu(struct mmu_vm *mmu)
{
	return container_of(mmu, struct pn_vm, mmu);
}

#endif
