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

struct pn_slot {
	u64 base_gfn;
	u64 nr_pages;
	unsigned long hva;
	u32 flags;			/* KVM_MEM_* */
	u16 id;
	unsigned long *dirty;		/* one bit a page, NULL when not logged */
};

struct pn_slots {
	u64 generation;
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

int pn_slots_init(struct pn_vm *vm);
void pn_slots_fini(struct pn_vm *vm);		/* no vCPU left */

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
 * -EBUSY: it held something else; else as above.
 */
int pn_guest_cmpxchg(struct pn_vcpu *vcpu, u64 gpa, void *old, const void *new,
		     unsigned int size, bool atomic);

/* VM ioctls. */
long pn_vm_set_user_memory_region(struct pn_vm *vm, void __user *argp);
long pn_vm_get_dirty_log(struct pn_vm *vm, void __user *argp);
long pn_vm_clear_dirty_log(struct pn_vm *vm, void __user *argp);

/* kvm/notifier.c: P2M's second half, hva -> pfn, and the host's side of it. */
extern const struct mmu_host_ops pn_mmu_host_ops;
int pn_notifier_init(struct pn_vm *vm);
void pn_notifier_fini(struct pn_vm *vm);

#endif
