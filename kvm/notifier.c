// SPDX-License-Identifier: GPL-2.0
/*
 * The host's changes to its page tables, told to the MMU.
 *
 *   host: range_start(hva) ───► mmu_invalidate_begin(gfns): entries gone, TLBs
 *           │                    flushed, no new ones until the end
 *         changes its tables
 *           │
 *         range_end(hva) ─────► mmu_invalidate_end()
 *
 * The callbacks run with mmap_lock, page locks or rmap locks of the host held, and
 * may run in reclaim: they take vm->mmu.lock (inside the mmu_ functions) and enter
 * vm->srcu, both of which never wait for those locks, and allocate nothing.
 *
 * Both halves of a pair look the range up in the slots and must find the same
 * ones, or begin and end would not balance; hence the set of slots is only
 * swapped while no pair is open.
 */
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched.h>
#include "kvm/slots.h"
#include "kvm/trace.h"

static inline struct pn_vm *vm_of(struct mmu_notifier *mn)
{
	return container_of(mn, struct pn_vm, notifier);
}

/*
 * The part of @slot that [start, end) of user space backs, as gfns, each page counted
 * that the range touches. False when there is none.
 */
static bool slot_gfns(const struct pn_slot *slot, unsigned long start, unsigned long end,
		      gfn_t *first, gfn_t *last)
{
	unsigned long slot_end = slot->hva + (slot->nr_pages << PAGE_SHIFT);

	start = max(start, slot->hva);
	end = min(end, slot_end);
	if (start >= end)
		return false;
	*first = slot->base_gfn + ((start - slot->hva) >> PAGE_SHIFT);
	*last = slot->base_gfn + ((end - 1 - slot->hva) >> PAGE_SHIFT) + 1;
	return true;
}

static int range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct pn_vm *vm = vm_of(mn);
	struct pn_slots *slots;
	bool locked = false;
	gfn_t first, last;
	unsigned int i;
	int idx;

	spin_lock(&vm->notifier_lock);
	vm->notifier_active++;
	spin_unlock(&vm->notifier_lock);

	idx = srcu_read_lock(&vm->srcu);
	slots = pn_slots_get(vm);
	for (i = 0; i < slots->nr; i++) {
		if (!slot_gfns(slots->slot[i], range->start, range->end, &first, &last))
			continue;
		/* Many slots may show the same memory: one flush for all of them. */
		if (!locked)
			mmu_invalidate_lock(&vm->mmu);
		locked = true;
		mmu_invalidate_add(&vm->mmu, first, last);
		atomic64_inc(&vm->stat.mmu_notifier_unmaps);
	}
	if (locked) {
		mmu_invalidate_unlock(&vm->mmu);
		trace_kvm_unmap_hva_range(range->start, range->end);
	}
	srcu_read_unlock(&vm->srcu, idx);
	return 0;
}

static void range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct pn_vm *vm = vm_of(mn);
	struct pn_slots *slots;
	gfn_t first, last;
	unsigned int i;
	bool wake;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	slots = pn_slots_get(vm);
	for (i = 0; i < slots->nr; i++)
		if (slot_gfns(slots->slot[i], range->start, range->end, &first, &last))
			mmu_invalidate_end(&vm->mmu);
	srcu_read_unlock(&vm->srcu, idx);

	spin_lock(&vm->notifier_lock);
	wake = !--vm->notifier_active;
	spin_unlock(&vm->notifier_lock);
	if (wake)
		wake_up_all(&vm->notifier_wait);
}

struct pn_slots *pn_notifier_swap_slots(struct pn_vm *vm, struct pn_slots *slots)
{
	struct pn_slots *old = pn_slots_get(vm);

	lockdep_assert_held(&vm->slots_lock);
	spin_lock(&vm->notifier_lock);
	while (vm->notifier_active) {
		spin_unlock(&vm->notifier_lock);
		wait_event(vm->notifier_wait, !READ_ONCE(vm->notifier_active));
		spin_lock(&vm->notifier_lock);
	}
	rcu_assign_pointer(vm->slots, slots);
	spin_unlock(&vm->notifier_lock);
	return old;
}

static bool age_range(struct pn_vm *vm, unsigned long start, unsigned long end, bool clear)
{
	struct pn_slots *slots;
	gfn_t first, last;
	bool young = false;
	unsigned int i;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	slots = pn_slots_get(vm);
	for (i = 0; i < slots->nr; i++)
		if (slot_gfns(slots->slot[i], start, end, &first, &last))
			young |= mmu_age_gfns(&vm->mmu, first, last, clear);
	srcu_read_unlock(&vm->srcu, idx);
	atomic64_inc(&vm->stat.mmu_notifier_ages);
	trace_kvm_age_hva(start, end);
	return young;
}

/*
 * No flush although the name asks for one: a stale TLB entry only makes the page
 * look older than it is, and flushing every vCPU for each page that reclaim looks at costs
 * more than that. Unmapping flushes.
 */
static int clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
		       unsigned long start, unsigned long end)
{
	return age_range(vm_of(mn), start, end, true);
}

static int test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	return age_range(vm_of(mn), address, address + PAGE_SIZE, false);
}

/* The process is gone: its memory is about to be torn down without further calls. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct pn_vm *vm = vm_of(mn);
	int idx = srcu_read_lock(&vm->srcu);

	mmu_unmap_all(&vm->mmu);
	srcu_read_unlock(&vm->srcu, idx);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start	= range_start,
	.invalidate_range_end	= range_end,
	.clear_flush_young	= clear_young,
	.clear_young		= clear_young,
	.test_young		= test_young,
	.release		= release,
};

int pn_notifier_init(struct pn_vm *vm)
{
	spin_lock_init(&vm->notifier_lock);
	init_waitqueue_head(&vm->notifier_wait);
	vm->notifier.ops = &notifier_ops;
	return mmu_notifier_register(&vm->notifier, vm->mm);
}

void pn_notifier_fini(struct pn_vm *vm)
{
	/* Calls release() if the process still lives. A pair it cuts in two has no second half. */
	mmu_notifier_unregister(&vm->notifier, vm->mm);
}
