// SPDX-License-Identifier: GPL-2.0
/*
 * Hardware tables in any format: making and freeing them, iterating, and the one
 * way in which entries go away. See table.h for the picture.
 */
#include "mmu/shadow.h"
#include "mmu/table.h"

struct mmu_table *mmu_table_new(void)
{
	struct mmu_table *table = kzalloc(sizeof(*table), GFP_KERNEL_ACCOUNT);

	if (!table)
		return NULL;
	table->entries = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!table->entries) {
		kfree(table);
		return NULL;
	}
	INIT_LIST_HEAD(&table->link);
	set_page_private(virt_to_page(table->entries), (unsigned long)table);
	return table;
}

void mmu_table_free(struct mmu_table *table)
{
	set_page_private(virt_to_page(table->entries), 0);
	free_page((unsigned long)table->entries);
	kfree(table);
}

void mmu_iter_start(struct mmu_iter *it, struct mmu_vm *vm, gfn_t start, gfn_t end)
{
	it->fmt = vm->fmt;
	it->gfn = start;
	it->end = min(end, mmu_gfn_end(vm));
	it->slot = NULL;
	it->entry = 0;
	it->level = it->root_level = vm->levels;
	it->entries[it->level] = vm->root->entries;
}

/* To the next entry of this table, or of the table above when this one is through. */
static void iter_advance(struct mmu_iter *it)
{
	it->gfn = mmu_align(it->gfn, it->level) + mmu_level_pages(it->level);
	while (it->level < it->root_level && mmu_index(it->gfn, it->level) == 0)
		it->level++;
}

bool mmu_iter_next(struct mmu_iter *it)
{
	if (it->slot) {
		/* Read again: the caller may have removed the table. */
		u64 entry = READ_ONCE(*it->slot);

		if (mmu_is_table(it->fmt, entry, it->level)) {
			it->entries[it->level - 1] = mmu_entries(it->fmt, entry);
			it->level--;
		} else {
			iter_advance(it);
		}
	}
	for (; it->gfn < it->end; iter_advance(it)) {
		it->slot = &it->entries[it->level][mmu_index(it->gfn, it->level)];
		it->entry = READ_ONCE(*it->slot);
		if (mmu_present(it->fmt, it->entry))
			return true;
	}
	return false;
}

u64 *mmu_p2m_slot(const struct mmu_vm *vm, gfn_t gfn, int *level)
{
	u64 *entries = vm->root->entries, entry;
	int l;

	if (unlikely(gfn >= mmu_gfn_end(vm)))
		return NULL;
	for (l = vm->levels;; l--) {
		u64 *slot = &entries[mmu_index(gfn, l)];

		entry = READ_ONCE(*slot);
		if (!mmu_present(vm->fmt, entry))
			return NULL;
		if (mmu_is_leaf(vm->fmt, entry, l)) {
			*level = l;
			return slot;
		}
		entries = mmu_entries(vm->fmt, entry);
	}
}

u64 mmu_clear_bits(u64 *slot, u64 mask)
{
	u64 old = READ_ONCE(*slot);

	while ((old & mask) && !try_cmpxchg64(slot, &old, old & ~mask))
		;
	return old;
}

static void leaves_gone(struct mmu_vm *vm, int level, s64 nr)
{
	mmu_count_leaf(vm, level, -nr);
	atomic64_add(nr, &vm->stat.invalidated);
}

/* A leaf is gone: its last dirty bit was in entry. */
static void leaf_was(struct mmu_vm *vm, gfn_t base, int level, u64 entry)
{
	if (vm->logs && (entry & vm->fmt->dirty))
		vm->host->gfn_written(vm, base, mmu_level_pages(level));
}

void mmu_unlink(struct mmu_vm *vm, struct mmu_iter *it)
{
	gfn_t base = mmu_align(it->gfn, it->level);
	u64 old;

	lockdep_assert_held_write(&vm->lock);
	/* First what was made from it, which may leave its dirty bit here. */
	if (vm->shadow)
		mmu_shadow_unmap(vm, base, mmu_level_pages(it->level));
	old = xchg(it->slot, 0);
	vm->flush_due = true;
	if (mmu_is_leaf(it->fmt, old, it->level)) {
		leaves_gone(vm, it->level, 1);
		leaf_was(vm, base, it->level, old);
	} else {
		list_add_tail(&mmu_table_at(mmu_entries(it->fmt, old))->link, &vm->dead);
	}
}

/* Account for what an unreachable table maps; its tables become dead too. */
static void bury(struct mmu_vm *vm, struct mmu_table *table)
{
	gfn_t gfn = table->gfn;
	int i, leaves = 0;

	for (i = 0; i < MMU_ENTRIES; i++, gfn += mmu_level_pages(table->level)) {
		u64 entry = table->entries[i];

		if (mmu_is_leaf(vm->fmt, entry, table->level)) {
			leaf_was(vm, gfn, table->level, entry);
			leaves++;
		} else if (mmu_is_table(vm->fmt, entry, table->level)) {
			list_add_tail(&mmu_table_at(mmu_entries(vm->fmt, entry))->link, &vm->dead);
		}
	}
	if (leaves)
		leaves_gone(vm, table->level, leaves);
	list_del(&table->link);
	mmu_table_free(table);
	atomic64_dec(&vm->stat.tables);
}

unsigned long mmu_finish(struct mmu_vm *vm)
{
	unsigned long freed = 0;

	lockdep_assert_held_write(&vm->lock);
	if (vm->flush_due || (vm->shadow && vm->shadow->stale)) {
		vm->flush_due = false;
		if (vm->shadow)
			vm->shadow->stale = false;
		atomic64_inc(&vm->stat.flushes);
		vm->host->flush(vm);
	}
	if (vm->shadow)
		freed = mmu_shadow_bury(vm);
	while (!list_empty(&vm->dead)) {
		bury(vm, list_first_entry(&vm->dead, struct mmu_table, link));
		freed++;
	}
	return freed;
}
