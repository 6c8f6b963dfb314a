/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory slots: P2M's first half, gfn -> hva, as user space set it up.
 *
 * The set is immutable once published; a change builds a new sorted array,
 * publishes it, asks all vCPUs to let go of the old one and frees it after an
 * SRCU grace period. A slot object lives as long as some published array
 * names it.
 */
#ifndef PN_KVM_SLOTS_H
#define PN_KVM_SLOTS_H

#include "kvm/vm.h"

/* Slots of one size limit, as the stock module's. */
#define PN_SLOT_MAX_PAGES	((1UL << 31) - 1)

struct pn_slot {
	u64 base_gfn;
	u64 nr_pages;
	unsigned long hva;
	u32 flags;			/* KVM_MEM_* */
	u16 id;
	unsigned long *dirty;		/* one bit a page, NULL when not logged */
	unsigned long *taken;		/* as large: what a log read hands out */
};

struct pn_slots {
	struct pn_retired retired;	/* the first, see pn_vm_retire */
	unsigned int nr;
	struct pn_slot *slot[];		/* by base_gfn, ascending */
};

/*
 * The slot that holds @gfn, or NULL. Under vm->srcu (vCPUs hold it while they
 * run) or vm->slots_lock. @hint remembers where the last answer was; any value
 * is safe, and it may be NULL.
 */
struct pn_slot *pn_slot_find(struct pn_vm *vm, u64 gfn, unsigned int *hint);

static inline unsigned long pn_slot_hva(const struct pn_slot *slot, u64 gfn)
{
	return slot->hva + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

/*
 * init: 0 or -ENOMEM; vm->srcu must be set up before. fini: no vCPU is left;
 * afterwards nobody uses vm->srcu but cleanup_srcu_struct().
 */
int pn_slots_init(struct pn_vm *vm);
void pn_slots_fini(struct pn_vm *vm);

/*
 * Wait until nobody uses slots or I/O tables that were replaced before the call.
 * vCPUs are asked to come out of the guest, and answer by pn_vcpu_drop_slots().
 * Under slots_lock. Sleeps.
 */
void pn_vm_drop_readers(struct pn_vm *vm);

/*
 * Free a replaced table, which begins with @r, once nobody uses it: at the next
 * pn_vm_drop_readers(), which is now if many wait. Under vm->slots_lock. May sleep.
 */
void pn_vm_retire(struct pn_vm *vm, struct pn_retired *r);
/* PN_REQ_SLOTS: leave vm->srcu, wait while readers are kept out, enter it again. */
void pn_vcpu_drop_slots(struct pn_vcpu *vcpu);

/* The slots, under vm->srcu or vm->slots_lock. */
static inline struct pn_slots *pn_slots_get(struct pn_vm *vm)
{
	return srcu_dereference_check(vm->slots, &vm->srcu, lockdep_is_held(&vm->slots_lock));
}

/* The slot of user space's number @id, or NULL. As pn_slots_get. */
struct pn_slot *pn_slot_by_id(struct pn_slots *slots, unsigned int id);

/* Set the page's bit in the slot's dirty bitmap, if it has one. */
void pn_slot_mark_dirty(struct pn_slot *slot, u64 gfn);

/*
 * Guest memory by guest physical address, from the VMM process's context.
 * 0; -EFAULT: user memory is missing; -ENOENT: no slot (MMIO); -EROFS: write
 * to a read-only slot. The ranges may cross pages and slots. With
 * @atomic (page faults disabled) -EAGAIN asks to try again sleepable. All
 * writes mark the page dirty. Under vm->srcu.
 */
int pn_guest_read(struct pn_vcpu *vcpu, u64 gpa, void *buf, unsigned int len, bool atomic);
int pn_guest_write(struct pn_vcpu *vcpu, u64 gpa, const void *buf, unsigned int len, bool atomic);
/*
 * Compare-exchange of @size 1, 2, 4, 8 or 16 naturally aligned bytes, atomic with
 * the guest's own. *@old is updated with what was found. 0: exchanged;
 * -EBUSY: it held something else; -EINVAL: misaligned memory; else as above.
 */
int pn_guest_cmpxchg(struct pn_vcpu *vcpu, u64 gpa, void *old, const void *new,
		     unsigned int size, bool atomic);
/* The same by the MMU itself, which need not be told of it. */
int pn_table_cmpxchg(struct pn_vcpu *vcpu, u64 gpa, void *old, const void *new,
		     unsigned int size, bool atomic);

/* VM ioctls. */
long pn_vm_set_user_memory_region(struct pn_vm *vm, void __user *argp);
long pn_vm_get_dirty_log(struct pn_vm *vm, void __user *argp);
long pn_vm_clear_dirty_log(struct pn_vm *vm, void __user *argp);

/* kvm/dirty.c: a slot's bitmaps. 0 or -ENOMEM. */
int pn_dirty_alloc(struct pn_vm *vm, struct pn_slot *slot);
void pn_dirty_free(struct pn_slot *slot);

/* kvm/notifier.c: P2M's second half, hva -> pfn, and the host's side of it. */
extern const struct mmu_host_ops pn_mmu_host_ops;
/* After pn_slots_init and mmu_vm_init; 0 or -errno. Takes mmap_lock. */
int pn_notifier_init(struct pn_vm *vm);
/* On return no callback runs or will; before pn_slots_fini and mmu_vm_fini. */
void pn_notifier_fini(struct pn_vm *vm);
/*
 * Make @slots the published set, at a moment when no host invalidation is under
 * way: its second half must find the slots that its first half did. Returns the
 * old set. Under slots_lock. Sleeps.
 */
struct pn_slots *pn_notifier_swap_slots(struct pn_vm *vm, struct pn_slots *slots);

#endif
