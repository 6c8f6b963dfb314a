// SPDX-License-Identifier: GPL-2.0
/*
 * Dirty logs: which pages of a slot were written since the last look.
 *
 *   guest stores ──► dirty bits of the entries ──┐ (mmu_dirty_*)
 *   emulator, ioctls ──► pn_slot_mark_dirty() ───┴──► slot->dirty ──► user space
 *
 * A page's bit is set after the write it stands for, and a harvest flushes the TLBs
 * before it returns; so what user space copies after the ioctl holds every write
 * whose bit it was given, and later writes set the bit again.
 */
#include <linux/bitmap.h>
#include <linux/kvm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "kvm/slots.h"

static size_t bitmap_bytes(u64 nr_pages)
{
	return BITS_TO_LONGS(nr_pages) * sizeof(long);
}

int pn_dirty_alloc(struct pn_vm *vm, struct pn_slot *slot)
{
	size_t bytes = bitmap_bytes(slot->nr_pages);

	/* Up to half a GiB if user space asks for it: rather refused than an OOM kill. */
	slot->dirty = kvzalloc(2 * bytes, GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	if (!slot->dirty)
		return -ENOMEM;
	slot->taken = slot->dirty + bytes / sizeof(long);
	if (READ_ONCE(vm->dirty_log_caps) & KVM_DIRTY_LOG_INITIALLY_SET)
		bitmap_set(slot->dirty, 0, slot->nr_pages);
	return 0;
}

void pn_dirty_free(struct pn_slot *slot)
{
	kvfree(slot->dirty);
	slot->dirty = slot->taken = NULL;
}

void pn_slot_mark_dirty(struct pn_slot *slot, u64 gfn)
{
	if (slot->dirty)
		set_bit(gfn - slot->base_gfn, slot->dirty);
}

/* The slot whose log user space asks for, or an ERR_PTR. Under slots_lock. */
static struct pn_slot *logged_slot(struct pn_vm *vm, u32 id)
{
	struct pn_slot *slot;

	if (id >= PN_MAX_SLOTS)
		return ERR_PTR(-EINVAL);
	slot = pn_slot_by_id(pn_slots_get(vm), id);
	return slot && slot->dirty ? slot : ERR_PTR(-ENOENT);
}

/* User space did not get it: what was taken is dirty still. */
static void give_back(struct pn_slot *slot)
{
	unsigned long i;

	for_each_set_bit(i, slot->taken, slot->nr_pages)
		set_bit(i, slot->dirty);
}

static int get_log(struct pn_vm *vm, struct pn_slot *slot, void __user *to)
{
	bool manual = READ_ONCE(vm->dirty_log_caps) & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	u64 end = slot->base_gfn + slot->nr_pages;

	if (manual) {
		mmu_dirty_peek(&vm->mmu, slot->base_gfn, end, slot->dirty);
		memcpy(slot->taken, slot->dirty, bitmap_bytes(slot->nr_pages));
	} else {
		mmu_dirty_take(&vm->mmu, slot->base_gfn, end, slot->dirty, slot->taken);
	}
	if (!copy_to_user(to, slot->taken, bitmap_bytes(slot->nr_pages)))
		return 0;
	if (!manual)
		give_back(slot);
	return -EFAULT;
}

long pn_vm_get_dirty_log(struct pn_vm *vm, void __user *argp)
{
	struct kvm_dirty_log args;
	struct pn_slot *slot;
	int ret;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	mutex_lock(&vm->slots_lock);
	slot = logged_slot(vm, args.slot);
	ret = IS_ERR(slot) ? PTR_ERR(slot) : get_log(vm, slot, args.dirty_bitmap);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

static int clear_log(struct pn_vm *vm, struct pn_slot *slot, const struct kvm_clear_dirty_log *args)
{
	u64 rest, start = slot->base_gfn + args->first_page;

	if (args->first_page > slot->nr_pages)
		return -EINVAL;
	rest = slot->nr_pages - args->first_page;
	if (args->num_pages > rest || (args->num_pages < rest && args->num_pages % 64))
		return -EINVAL;
	if (copy_from_user(slot->taken, args->dirty_bitmap, bitmap_bytes(args->num_pages)))
		return -EFAULT;
	mmu_dirty_clear(&vm->mmu, start, start + args->num_pages,
			slot->dirty + args->first_page / BITS_PER_LONG, slot->taken);
	return 0;
}

long pn_vm_clear_dirty_log(struct pn_vm *vm, void __user *argp)
{
	struct kvm_clear_dirty_log args;
	struct pn_slot *slot;
	int ret;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	if (args.slot < PN_MAX_SLOTS && args.first_page % 64)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	slot = logged_slot(vm, args.slot);
	ret = IS_ERR(slot) ? PTR_ERR(slot) : clear_log(vm, slot, &args);
	mutex_unlock(&vm->slots_lock);
	return ret;
}
