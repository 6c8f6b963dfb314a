// SPDX-License-Identifier: GPL-2.0
/*
 * The invariants of nested mode, checked against the tables as they are
 * (docs/mmu.md numbers them as design.md does):
 *
 *   1  every leaf maps what the host answers now and grants no more
 *   3  nothing unlinked stays linked: no dead tables, no flush due between operations
 *   4  what a table stores about itself agrees with where it hangs
 *   6  the counters say what the tables hold
 */
#include "mmu/mode.h"
#include "mmu/table.h"

struct audit {
	struct mmu_vm *vm;
	mmu_report_fn report;
	void *ctx;
	unsigned int bad;
	s64 tables;
	s64 mapped[MMU_LEAF_MAX];
};

static void complain(struct audit *a, const char *what, gfn_t gfn, u64 entry)
{
	a->bad++;
	if (a->report)
		a->report(a->ctx, what, gfn, entry);
}

static void check_table(struct audit *a, const struct mmu_iter *it)
{
	const struct mmu_format *fmt = it->fmt;
	const u64 *entries = mmu_entries(fmt, it->entry);
	const struct mmu_table *table = mmu_table_at(entries);

	a->tables++;
	if (it->entry & ~(fmt->addr | fmt->table | fmt->accessed))
		complain(a, "table entry with foreign bits", it->gfn, it->entry);
	if (table->entries != entries)
		complain(a, "table entry points to another table's page", it->gfn, it->entry);
	if (table->level != it->level - 1 || table->gfn != mmu_align(it->gfn, it->level))
		complain(a, "table hangs where it does not belong", it->gfn, it->entry);
}

/* Invariant 1. Nothing can be said while the host is changing its mind about the gfn. */
static void check_answer(struct audit *a, const struct mmu_iter *it)
{
	gfn_t end = it->gfn + mmu_level_pages(it->level);
	struct mmu_host_page page;

	if (mmu_being_changed(a->vm, it->gfn, end))
		return;
	page.around_nr = 0;
	a->vm->host->gfn_to_page(a->vm, it->gfn, MMU_HOST_ATOMIC | MMU_HOST_AUDIT, &page);
	if (page.kind == MMU_HOST_SLEEP)
		return;
	if (page.kind != MMU_HOST_RAM) {
		complain(a, "mapped, but the host has no page", it->gfn, it->entry);
		return;
	}
	if (page.pfn << PAGE_SHIFT != (it->entry & it->fmt->addr))
		complain(a, "mapped to another page than the host's", it->gfn, it->entry);
	if ((it->entry & it->fmt->write) && !page.writable)
		complain(a, "writable, but not for the host", it->gfn, it->entry);
	if (it->level > page.max_level)
		complain(a, "mapped larger than the host's", it->gfn, it->entry);
	if (it->level > 1 && page.dirty_log)
		complain(a, "large leaf in a logged slot", it->gfn, it->entry);
}

static void check_leaf(struct audit *a, const struct mmu_iter *it)
{
	const struct mmu_format *fmt = it->fmt;
	u64 allowed = fmt->addr | fmt->leaf | fmt->write | fmt->accessed | fmt->dirty;

	if (it->level > a->vm->max_leaf) {
		complain(a, "leaf larger than the processor supports", it->gfn, it->entry);
		return;
	}
	a->mapped[it->level - 1]++;
	if (it->level > 1)
		allowed |= fmt->large;
	if ((it->entry & ~allowed) || (it->entry & fmt->leaf) != fmt->leaf)
		complain(a, "leaf with the wrong bits", it->gfn, it->entry);
	if ((it->entry & fmt->addr) & ((mmu_level_pages(it->level) << PAGE_SHIFT) - 1))
		complain(a, "leaf with an unaligned page", it->gfn, it->entry);
	check_answer(a, it);
}

unsigned int mmu_audit_nested(struct mmu_vm *vm, mmu_report_fn report, void *ctx)
{
	struct audit a = { .vm = vm, .report = report, .ctx = ctx, .tables = 1 };
	struct mmu_iter it;
	int i;

	lockdep_assert_held_write(&vm->lock);
	if (vm->flush_due || !list_empty(&vm->dead))
		complain(&a, "removal was not finished", 0, 0);
	if (mmu_table_at(vm->root->entries) != vm->root || vm->root->level != vm->levels)
		complain(&a, "the root is not the root", 0, 0);

	mmu_iter_start(&it, vm, 0, U64_MAX);
	while (mmu_iter_next(&it)) {
		if (mmu_is_leaf(vm->fmt, it.entry, it.level))
			check_leaf(&a, &it);
		else
			check_table(&a, &it);
	}

	if (a.tables != atomic64_read(&vm->stat.tables))
		complain(&a, "tables counted wrong", 0, a.tables);
	for (i = 0; i < MMU_LEAF_MAX; i++)
		if (a.mapped[i] != atomic64_read(&vm->stat.mapped[i]))
			complain(&a, "leaves counted wrong", 0, a.mapped[i]);
	return a.bad;
}
