// SPDX-License-Identifier: GPL-2.0
/*
 * Tables at rest. Comparing a large process's tables at each CR3 load costs more than
 * they are worth once nothing changes in them any more; so they are write-protected,
 * and left alone until a write faults:
 *
 *   visited ── nothing changed, `patience` times ──► resting ──► traced: no entry maps the table's
 *      ▲                                                            gfn writable, no visits
 *      └──────────────── a write faults; patience doubles ─────────────┘
 *
 * Between the last comparison and the protection the guest may have written: hence the
 * tables are compared once more after the flush.
 */
#include "mmu/mode.h"
#include "mmu/shadow.h"

bool mmu_may_map_large(struct mmu_vm *vm, gfn_t gfn, int level)
{
	unsigned long key = mmu_align(gfn, level) >> 9;
	unsigned long last = key + (mmu_level_pages(level) >> 9) - 1;
	struct xarray *xa = &vm->shadow->regions[0];
	struct mmu_region *region;

	if (mmu_without(vm, MMU_PART_LARGE))
		return false;
	region = xa_find(xa, &key, last, XA_PRESENT);
	for (; region; region = xa_find_after(xa, &key, last, XA_PRESENT))
		if (READ_ONCE(region->nr_traced))
			return false;
	return true;
}

static void set_traced(struct mmu_vm *vm, struct mmu_region *region, gfn_t gfn, bool on)
{
	unsigned int i = mmu_index(gfn, 1);

	spin_lock(&region->lock);
	if (on != test_bit(i, region->traced)) {
		unsigned long *word = &region->traced[i / BITS_PER_LONG];

		/* Released after the tables' visits, for mmu_traced(). */
		smp_store_release(word, *word ^ BIT(i % BITS_PER_LONG));
		smp_store_release(&region->nr_traced, region->nr_traced + (on ? 1 : -1));
		atomic64_add(on ? 1 : -1, &vm->stat.traced);
	}
	spin_unlock(&region->lock);
}

void mmu_untrace(struct mmu_vm *vm, struct mmu_region *region, gfn_t gfn)
{
	/* First visits, then writes. */
	mmu_spages_rest(vm->shadow, gfn, false);
	set_traced(vm, region, gfn, false);
}

void mmu_trace_end(struct mmu_vm *vm, struct mmu_spage *sp)
{
	struct mmu_region *region = mmu_region_find(vm->shadow, sp->gfn, 1);

	/* Other tables made from the gfn go back to being visited. */
	mmu_spages_rest(vm->shadow, sp->gfn, false);
	set_traced(vm, region, sp->gfn, false);
}

/* No entry lets the guest write gfn. */
static void protect(struct mmu_vm *vm, struct mmu_region *region, gfn_t gfn)
{
	struct mmu_rmap_pos pos = { 0 };
	int level;
	u64 *slot;

	while ((slot = mmu_rmap_next(mmu_region_head(region, gfn, 1), &pos)))
		mmu_clear_bits(slot, PT_WRITE);
	for (level = 2; level <= MMU_LEAF_MAX; level++) {
		struct mmu_region *large = mmu_region_find(vm->shadow, gfn, level);

		if (large)
			mmu_entries_remove(vm, mmu_region_head(large, gfn, level));
	}
}

static void trace(struct mmu_vm *vm, struct mmu_spage *sp)
{
	struct mmu_region *region = mmu_region_find(vm->shadow, sp->gfn, 1);

	/* Never mapped with small pages: then the write would be no easier to catch than the table to compare. */
	if (!region) {
		WRITE_ONCE(sp->rests, 0);
		return;
	}
	protect(vm, region, sp->gfn);
	set_traced(vm, region, sp->gfn, true);
	mmu_spages_rest(vm->shadow, sp->gfn, true);
}

#define REST_BATCH	16	/* under one hold of the lock: each is compared */

void mmu_trace_resting(struct mmu_vcpu *vcpu)
{
	struct mmu_vm *vm = vcpu->vm;
	struct mmu_shadow *shadow = vm->shadow;
	struct mmu_spage *sp, *next;
	LIST_HEAD(traced);
	unsigned int nr;

	lockdep_assert_held_write(&vm->lock);
	if (list_empty(&shadow->resting) || atomic_read_acquire(&vm->guest_writes))
		return;
	for (nr = 0; nr < REST_BATCH && !list_empty(&shadow->resting); nr++)
		list_move_tail(shadow->resting.next, &traced);
	WRITE_ONCE(shadow->nr_resting, shadow->nr_resting - nr);
	list_for_each_entry(sp, &traced, rest_link)
		trace(vm, sp);
	vm->flush_due = true;
	mmu_finish(vm);
	list_for_each_entry_safe(sp, next, &traced, rest_link) {
		struct mmu_spage *other = NULL;

		list_del_init(&sp->rest_link);
		while ((other = mmu_spage_next(shadow, sp->gfn, other)))
			mmu_sync_table(vcpu, other);
	}
}

void mmu_guest_write_begin(struct mmu_vm *vm, gpa_t gpa, unsigned int len)
{
	gfn_t gfn, last = (gpa + len - 1) >> PAGE_SHIFT;

	/* A full barrier. What has not come to rest by the time the lock is taken does not until the end. */
	atomic_inc_return(&vm->guest_writes);
	if (likely(!mmu_is_shadow(vm)))
		return;
	read_lock(&vm->lock);
	for (gfn = gpa >> PAGE_SHIFT; vm->shadow && gfn <= last; gfn++) {
		struct mmu_region *region = mmu_region_find(vm->shadow, gfn, 1);

		if (region && mmu_traced(region, gfn))
			mmu_untrace(vm, region, gfn);
	}
	read_unlock(&vm->lock);
}
