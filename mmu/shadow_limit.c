// SPDX-License-Identifier: GPL-2.0
/*
 * How many shadow pages there may be, and which of them go.
 *
 *   vm->shadow_max ──► a vCPU that fills its cache makes room first     (its own time)
 *   memory pressure ─► mmu_reclaim()
 *                                     │
 *        shadow->pages, gone round like a clock: what the processor has walked through, or a
 *        fault, since the hand last came by stays once more; what points to tables, until they went;
 *        a root in use always
 *
 * Whatever a guest's tables look like, the lock is held for writing for SHADOW_HOLD steps of work and not
 * much more: half a million to a million instructions. What is too much for that goes in several holds.
 */
#include "mmu/mode.h"
#include "mmu/shadow.h"

/* In pages; nodes of reverse maps, which a guest can have many of, count as what they take. */
static unsigned long pages_held(const struct mmu_vm *vm)
{
	return atomic64_read(&vm->stat.shadow_pages) +
	       atomic64_read(&vm->stat.shadow_nodes) * sizeof(struct mmu_rmap_node) / (2 * PAGE_SIZE);
}

u64 mmu_shadow_bytes(const struct mmu_vm *vm)
{
	u64 pages = atomic64_read(&vm->stat.shadow_pages);
	u64 regions = atomic64_read(&vm->stat.shadow_regions);

	return pages * (2 * PAGE_SIZE + sizeof(struct mmu_spage)) +
	       regions * (PAGE_SIZE + sizeof(struct mmu_region)) +
	       atomic64_read(&vm->stat.shadow_nodes) * sizeof(struct mmu_rmap_node);
}

/* Since the hand last came by. A TLB may go on using an entry that lost its accessed bit: then it looks older. */
static bool was_used(struct mmu_spage *sp)
{
	struct mmu_rmap_pos pos = { 0 };
	bool used = sp->used;
	u64 *slot;

	sp->used = false;
	while ((slot = mmu_rmap_next(&sp->parents, &pos)))
		used |= !!(mmu_clear_bits(slot, PT_ACCESSED) & PT_ACCESSED);
	return used;
}

/* Does it point to tables? They would go with it, used or not. */
static bool has_tables(const struct mmu_spage *sp)
{
	unsigned int i;

	if (sp->role.level > 1)
		for_each_set_bit(i, sp->present, MMU_ENTRIES)
			if (!mmu_sp_leaf(sp, mmu_sp_entry(sp, i)))
				return true;
	return false;
}

unsigned long mmu_shadow_shrink(struct mmu_vm *vm, unsigned long nr, unsigned long *scan)
{
	struct mmu_shadow *shadow = vm->shadow;
	unsigned long found = 0;
	long work = SHADOW_HOLD;

	lockdep_assert_held_write(&vm->lock);
	for (; *scan && work > 0 && found < nr && !list_empty(&shadow->pages); --*scan) {
		struct mmu_spage *sp = list_first_entry(&shadow->pages, struct mmu_spage, link);

		if (sp->users || has_tables(sp) || was_used(sp)) {
			list_move_tail(&sp->link, &shadow->pages);
			work -= SHADOW_STEP;
			continue;
		}
		work -= mmu_spage_drop(vm, sp);
		found++;
	}
	if (list_empty(&shadow->pages))
		*scan = 0;
	mmu_shadow_drop_orphans(vm, &work);
	atomic64_add(found, &vm->stat.shadow_dropped);
	return found;
}

/*
 * The limit is kept where spages are allocated, so that a fault cannot fail for it. What is given up
 * at once must leave the pages that one instruction may need: several paths of all levels.
 */
#define LIMIT_BATCH	32

void mmu_shadow_keep_limit(struct mmu_vm *vm)
{
	unsigned long max = READ_ONCE(vm->shadow_max), scan;
	unsigned long batch = clamp(max / 4, 1UL, (unsigned long)LIMIT_BATCH);

	if (likely(!max || pages_held(vm) < max))
		return;
	/* Once round to find out what is used, once more to take what is not. */
	scan = 2 * atomic64_read(&vm->stat.shadow_pages);
	while (scan && pages_held(vm) + batch > max) {
		write_lock(&vm->lock);
		if (vm->shadow)
			mmu_shadow_shrink(vm, batch, &scan);
		else
			scan = 0;
		mmu_finish(vm);
		write_unlock(&vm->lock);
		cond_resched();
	}
}

unsigned long mmu_shadow_reclaim(struct mmu_vm *vm, unsigned long nr, bool idle_only)
{
	unsigned long pages = atomic64_read(&vm->stat.shadow_pages), freed = 0;
	unsigned long scan = 2 * (idle_only ? min(nr, pages) : pages);

	while (scan && freed < nr) {
		write_lock(&vm->lock);
		if (vm->shadow)
			mmu_shadow_shrink(vm, nr - freed, &scan);
		else
			scan = 0;
		freed += mmu_finish(vm);
		write_unlock(&vm->lock);
	}
	return freed;
}

/* Has an entry that maps the part its accessed bit, or does a table rest in the region? */
static bool part_in_use(const struct mmu_region_part *part, int level)
{
	gfn_t gfn;

	if (part->region->nr_traced)
		return true;
	for (gfn = part->start; gfn < part->end; gfn += mmu_level_pages(level)) {
		struct mmu_rmap_pos pos = { 0 };
		u64 *slot;

		while ((slot = mmu_rmap_next(mmu_region_head(part->region, gfn, level), &pos)))
			if (READ_ONCE(*slot) & PT_ACCESSED)
				return true;
	}
	return false;
}

bool mmu_shadow_uses(struct mmu_vm *vm, gfn_t gfn, u64 nr)
{
	int level;

	lockdep_assert_held_write(&vm->lock);
	for (level = MMU_LEAF_MAX; level; level--) {
		struct mmu_region_part part = { 0 };

		while (mmu_region_next(vm->shadow, level, gfn, gfn + nr, &part))
			if (part_in_use(&part, level))
				return true;
	}
	return false;
}

/* A PAE root has only its four entries, and nobody looks for it: they go now. */
static void leave_pae_roots(struct mmu_vm *vm, struct mmu_spage *sp)
{
	if (sp->role.level == 2 && !sp->role.lma)
		mmu_entries_remove(vm, &sp->parents);
}

void mmu_shadow_disown_all(struct mmu_vm *vm)
{
	struct mmu_shadow *shadow = vm->shadow;
	struct mmu_spage *sp;

	lockdep_assert_held_write(&vm->lock);
	list_for_each_entry(sp, &shadow->pages, link) {
		if (sp->users) {
			mmu_spage_empty(vm, sp);
			continue;
		}
		mmu_spage_unhash(vm, sp);
		leave_pae_roots(vm, sp);
		if (mmu_rmap_empty(&sp->parents))
			mmu_spage_orphaned(shadow, sp);
	}
	mmu_shape_changed(vm);
	vm->flush_due = true;
}

bool mmu_shadow_drop_some(struct mmu_vm *vm)
{
	struct mmu_shadow *shadow = vm->shadow;
	long work = SHADOW_HOLD;

	lockdep_assert_held_write(&vm->lock);
	while (work > 0 && !list_empty(&shadow->pages))
		work -= mmu_spage_drop(vm, list_first_entry(&shadow->pages, struct mmu_spage, link));
	return !list_empty(&shadow->pages);
}
