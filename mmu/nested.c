// SPDX-License-Identifier: GPL-2.0
/*
 * Nested mode: the hardware walks the guest's tables by itself and ours for every
 * guest physical address it meets. There is one tree a VM, gfn → pfn, shared by
 * its vCPUs.
 *
 *   fault at gpa ─► host answer (pfn, size, rights; neighbours)      no lock
 *                └► lock for reading: answer still true?
 *                     └► find_slot: walk down, linking tables         compare-exchange
 *                         └► install the leaf                         compare-exchange
 *                             └► neighbours in the same leaf table
 *
 * Whatever does not fit (another size is in the way) is removed under the lock
 * held for writing and the fault starts over.
 */
#include "mmu/mode.h"
#include "mmu/shadow.h"
#include "mmu/table.h"

/* A place in the tree where the walk for a leaf ended. */
struct spot {
	u64 *entries;	/* the table */
	u64 *slot;
	u64 old;	/* what slot held */
	int level;
};

enum map_result {
	MAPPED,
	UPGRADED,	/* was mapped with fewer rights */
	SPURIOUS,	/* was mapped as wanted */
	LOST,		/* the entry changed meanwhile */
	IN_THE_WAY,	/* a table or another leaf must go first */
};

/* Point an empty slot to a table of the given level from the vCPU's cache. Returns what is there then. */
static u64 link_table(struct mmu_vcpu *vcpu, u64 *slot, gfn_t gfn, int level)
{
	struct mmu_vm *vm = vcpu->vm;
	struct mmu_table *table = vcpu->cache.table[vcpu->cache.nr - 1];
	u64 old = 0, new = virt_to_phys(table->entries) | vm->fmt->table;

	table->level = level;
	table->gfn = mmu_align(gfn, level + 1);
	if (!try_cmpxchg64(slot, &old, new))
		return old;
	vcpu->cache.nr--;
	atomic64_inc(&vm->stat.tables);
	return new;
}

/* Walk to the entry of gfn at level, linking tables; ends earlier at a larger leaf. */
static struct spot find_slot(struct mmu_vcpu *vcpu, gfn_t gfn, int level)
{
	const struct mmu_format *fmt = vcpu->vm->fmt;
	struct spot s = { .entries = vcpu->vm->root->entries, .level = vcpu->vm->levels };

	for (;; s.level--) {
		s.slot = &s.entries[mmu_index(gfn, s.level)];
		s.old = READ_ONCE(*s.slot);
		if (s.level == level)
			return s;
		if (!mmu_present(fmt, s.old))
			s.old = link_table(vcpu, s.slot, gfn, s.level - 1);
		if (s.old & fmt->large)
			return s;
		s.entries = mmu_entries(fmt, s.old);
	}
}

/* Put leaf, made for level, where the walk ended. */
static enum map_result install(struct mmu_vm *vm, const struct spot *s, int level, u64 leaf)
{
	const struct mmu_format *fmt = vm->fmt;
	u64 old = s->old;

	if (!mmu_present(fmt, old)) {
		if (!try_cmpxchg64(s->slot, &old, leaf))
			return LOST;
		mmu_count_leaf(vm, level, 1);
		return MAPPED;
	}
	if (mmu_is_table(fmt, old, s->level))
		return IN_THE_WAY;
	if ((old ^ leaf) & fmt->addr & ~((mmu_level_pages(s->level) << PAGE_SHIFT) - 1))
		return IN_THE_WAY;
	if (!(leaf & ~old & fmt->write))
		return SPURIOUS;
	/* The rights were answered for this size, not for a larger leaf. */
	if (s->level != level)
		return IN_THE_WAY;
	/* A read-only leaf has no dirty bit to keep, and the new one is accessed. */
	return try_cmpxchg64(s->slot, &old, leaf) ? UPGRADED : LOST;
}

/*
 * Map the neighbours of gfn that came with the answer, where nothing is mapped
 * yet. They are not accessed or dirty until the guest touches them; where writable
 * counts as dirty they stay read-only in a logged slot.
 */
static void map_around(struct mmu_vcpu *vcpu, u64 *entries, gfn_t gfn)
{
	struct mmu_vm *vm = vcpu->vm;
	const struct mmu_format *fmt = vm->fmt;
	const struct mmu_host_page *page = &vcpu->page;
	bool may_write = !page->dirty_log || fmt->dirty != fmt->write;
	unsigned int i, nr = 0;

	for (i = 0; i < page->around_nr; i++) {
		gfn_t g = page->around_gfn + i;
		u64 *slot = &entries[mmu_index(g, 1)];
		u64 a = page->around[i], old = 0, leaf;

		if (!a || g >> 9 != gfn >> 9 || READ_ONCE(*slot))
			continue;
		leaf = (a & fmt->addr) | fmt->leaf;
		if ((a & MMU_AROUND_WRITABLE) && may_write)
			leaf |= fmt->write;
		nr += try_cmpxchg64(slot, &old, leaf);
	}
	if (nr) {
		mmu_count_leaf(vm, 1, nr);
		vcpu->stat.around += nr;
	}
}

/* The largest leaf for the answer about gfn. */
static int leaf_level(const struct mmu_vm *vm, const struct mmu_host_page *page, gfn_t gfn)
{
	int level = page->dirty_log ? 1 : min(page->max_level, vm->max_leaf);

	while (level > 1 && ((gfn ^ page->pfn) & (mmu_level_pages(level) - 1)))
		level--;
	return level;
}

static u64 make_leaf(const struct mmu_vm *vm, const struct mmu_host_page *page, int level, bool write)
{
	const struct mmu_format *fmt = vm->fmt;
	u64 leaf = mmu_align(page->pfn, level) << PAGE_SHIFT | fmt->leaf | fmt->accessed;

	if (level > 1)
		leaf |= fmt->large;
	if (write)
		return leaf | fmt->write | fmt->dirty;
	if (page->writable && (!page->dirty_log || fmt->dirty != fmt->write))
		leaf |= fmt->write;
	return leaf;
}

/* Remove what is mapped at gfn, a leaf of any size or a table of at most level. */
static void make_way(struct mmu_vm *vm, gfn_t gfn, int level)
{
	struct mmu_iter it;

	write_lock(&vm->lock);
	mmu_iter_start(&it, vm, gfn, gfn + 1);
	while (mmu_iter_next(&it)) {
		if (!mmu_is_leaf(vm->fmt, it.entry, it.level)) {
			if (it.level > level)
				continue;
			atomic64_inc(&vm->stat.collapsed);
		}
		mmu_unlink(vm, &it);
		break;
	}
	mmu_finish(vm);
	write_unlock(&vm->lock);
}

/* Map the answer in vcpu->page, unless it has become stale. The cache must suffice for a whole walk. */
static enum map_result map_answer(struct mmu_vcpu *vcpu, gfn_t gfn, u64 seq, bool write, int *level)
{
	struct mmu_vm *vm = vcpu->vm;
	struct mmu_host_page *page = &vcpu->page;
	enum map_result r = LOST;
	struct spot s;
	gfn_t base;

	*level = leaf_level(vm, page, gfn);
	read_lock(&vm->lock);
	if (mmu_answer_stale(vm, seq) || mmu_being_changed(vm, gfn, gfn + 1))
		goto out;
	base = mmu_align(gfn, *level);
	if (mmu_being_changed(vm, base, base + mmu_level_pages(*level)))
		*level = 1;

	s = find_slot(vcpu, gfn, *level);
	r = install(vm, &s, *level, make_leaf(vm, page, *level, write));
	if (r == MAPPED && page->around_nr && *level == 1 &&
	    !mmu_being_changed(vm, page->around_gfn, page->around_gfn + page->around_nr))
		map_around(vcpu, s.entries, gfn);
out:
	read_unlock(&vm->lock);
	return r;
}

static enum mmu_verdict not_ram(struct mmu_vcpu *vcpu)
{
	switch (vcpu->page.kind) {
	case MMU_HOST_NO_SLOT:
	case MMU_HOST_READONLY_SLOT:
		vcpu->fault.readonly = vcpu->page.kind == MMU_HOST_READONLY_SLOT;
		vcpu->stat.mmio++;
		return MMU_MMIO;
	case MMU_HOST_SLEEP:
		vcpu->stat.slept++;
		return MMU_SLEEP;
	default:
		vcpu->fault.error = vcpu->page.error;
		vcpu->stat.errors++;
		return MMU_ERROR;
	}
}

static void count_result(struct mmu_vcpu *vcpu, enum map_result r, int level)
{
	switch (r) {
	case MAPPED:
		vcpu->stat.fixed[level - 1]++;
		break;
	case UPGRADED:
		vcpu->stat.upgraded++;
		break;
	case SPURIOUS:
		vcpu->stat.spurious++;
		break;
	default:
		vcpu->stat.retried++;
	}
}

static enum mmu_verdict nested_fault(struct mmu_vcpu *vcpu, gpa_t gpa, u64 error_code,
				     unsigned int flags)
{
	struct mmu_vm *vm = vcpu->vm;
	struct mmu_host_page *page = &vcpu->page;
	gfn_t gfn = gpa >> PAGE_SHIFT;
	bool write = error_code & MMU_PF_WRITE;
	unsigned int ask = MMU_HOST_AROUND;
	enum map_result r;
	int level;
	u64 seq;

	if (write)
		ask |= MMU_HOST_WRITE;
	if (flags & MMU_ATOMIC)
		ask |= MMU_HOST_ATOMIC;
	/* Before asking: what changes from here on makes the answer stale. */
	seq = smp_load_acquire(&vm->inv_seq);
	page->around_nr = 0;
	vm->host->gfn_to_page(vm, gfn, ask, page);
	if (unlikely(page->kind != MMU_HOST_RAM))
		return not_ram(vcpu);
	if (WARN_ON_ONCE((write && !page->writable) || gfn >= mmu_gfn_end(vm))) {
		vcpu->fault.error = -EFAULT;
		return MMU_ERROR;
	}

	r = map_answer(vcpu, gfn, seq, write, &level);
	if (unlikely(r == IN_THE_WAY)) {
		make_way(vm, gfn, level);
		if (mmu_cache_enough(vcpu))
			r = map_answer(vcpu, gfn, seq, write, &level);
	}
	count_result(vcpu, r, level);
	return MMU_RESUME;
}

#define UNMAP_CHUNK	256	/* tables: half a GiB of small leaves, a few milliseconds */

static bool nested_unmap(struct mmu_vm *vm, gfn_t *start, gfn_t end, bool may_yield)
{
	unsigned int tables = 0;
	struct mmu_iter it;

	mmu_iter_start(&it, vm, *start, end);
	while (mmu_iter_next(&it)) {
		if (!mmu_is_leaf(vm->fmt, it.entry, it.level)) {
			if ((may_yield && it.level > 2) || !mmu_iter_within(&it, *start, end))
				continue;
			tables++;
		}
		mmu_unlink(vm, &it);
		if (may_yield && (tables == UNMAP_CHUNK || mmu_should_yield(vm))) {
			*start = it.gfn;
			return true;
		}
	}
	return false;
}

/* A good place to let others in: before a leaf table, but not before the first (progress). */
static bool yield_here(struct mmu_vm *vm, const struct mmu_iter *it, gfn_t start)
{
	return it->level == 2 && it->gfn != start && mmu_should_yield(vm);
}

static bool nested_log_start(struct mmu_vm *vm, gfn_t *start, gfn_t end)
{
	struct mmu_iter it;

	mmu_iter_start(&it, vm, *start, end);
	while (mmu_iter_next(&it)) {
		if (!mmu_is_leaf(vm->fmt, it.entry, it.level)) {
			if (yield_here(vm, &it, *start)) {
				*start = it.gfn;
				return true;
			}
			continue;
		}
		/* What was written before the log started is not for the log: also not when it goes. */
		if (mmu_clear_bits(it.slot, vm->fmt->dirty) & vm->fmt->dirty)
			vm->flush_due = true;
		if (vm->shadow && mmu_shadow_test_bits(vm, it.gfn, it.level, PT_DIRTY, true))
			vm->flush_due = true;
		if (it.level > 1)
			mmu_unlink(vm, &it);
	}
	return false;
}

static bool nested_collapse(struct mmu_vm *vm, gfn_t *start, gfn_t end)
{
	struct mmu_host_page page;
	struct mmu_iter it;

	mmu_iter_start(&it, vm, *start, end);
	while (mmu_iter_next(&it)) {
		if (it.level != 2 || mmu_is_leaf(vm->fmt, it.entry, it.level))
			continue;
		vm->host->gfn_to_page(vm, it.gfn, MMU_HOST_ATOMIC, &page);
		if (page.kind == MMU_HOST_RAM && leaf_level(vm, &page, it.gfn) > 1) {
			atomic64_inc(&vm->stat.collapsed);
			mmu_unlink(vm, &it);
		}
		if (mmu_should_yield(vm)) {
			*start = mmu_align(it.gfn, 2) + mmu_level_pages(2);
			return true;
		}
	}
	return false;
}

/* The dirty pages of one leaf. Larger ones, not expected in a logged range, stay dirty: that is safe. */
static void dirty_leaf(struct mmu_vm *vm, struct mmu_iter *it, const struct mmu_dirty_op *op,
		       gfn_t end, bool *cleared)
{
	gfn_t gfn = it->gfn, stop = min(end, mmu_align(gfn, it->level) + mmu_level_pages(it->level));

	bool clear = op->clear && it->level == 1, dirty = it->entry & vm->fmt->dirty;

	if (op->mask && !test_bit(gfn - op->origin, op->mask))
		return;
	if (vm->shadow && mmu_shadow_test_bits(vm, gfn, it->level, PT_DIRTY, clear))
		dirty = true;
	if (!dirty)
		return;
	if (clear) {
		mmu_clear_bits(it->slot, vm->fmt->dirty);
		*cleared = true;
	}
	if (op->found)
		for (; gfn < stop; gfn++)
			set_bit(gfn - op->origin, op->found);
}

static bool nested_dirty(struct mmu_vm *vm, gfn_t *start, gfn_t end,
			 const struct mmu_dirty_op *op, bool *cleared)
{
	struct mmu_iter it;

	mmu_iter_start(&it, vm, *start, end);
	while (mmu_iter_next(&it)) {
		if (mmu_is_leaf(vm->fmt, it.entry, it.level)) {
			dirty_leaf(vm, &it, op, end, cleared);
		} else if (yield_here(vm, &it, *start)) {
			*start = it.gfn;
			return true;
		}
	}
	return false;
}

static bool nested_age(struct mmu_vm *vm, gfn_t start, gfn_t end, bool clear)
{
	const u64 accessed = vm->fmt->accessed;
	struct mmu_iter it;
	bool young = false;

	mmu_iter_start(&it, vm, start, end);
	while (mmu_iter_next(&it)) {
		if (!mmu_is_leaf(vm->fmt, it.entry, it.level))
			continue;
		if (vm->shadow && mmu_shadow_test_bits(vm, it.gfn, it.level, PT_ACCESSED, clear))
			young = true;
		if (!accessed) {
			young = true;
			if (clear)
				mmu_unlink(vm, &it);
		} else if (it.entry & accessed) {
			young = true;
			if (clear)
				mmu_clear_bits(it.slot, accessed);
		}
		if (young && !clear)
			break;
	}
	return young;
}

/* Has nothing in the table been used since its accessed bits were cleared? */
static bool table_idle(const struct mmu_vm *vm, const u64 *entries, int level)
{
	int i;

	for (i = 0; i < MMU_ENTRIES; i++) {
		u64 entry = READ_ONCE(entries[i]);

		if (!mmu_present(vm->fmt, entry))
			continue;
		if (mmu_is_table(vm->fmt, entry, level) || !vm->fmt->accessed ||
		    (entry & vm->fmt->accessed))
			return false;
	}
	return true;
}

/* … nor by the tables of shadow mode, which are walked instead? */
static bool below_idle(struct mmu_vm *vm, const struct mmu_iter *it)
{
	if (!table_idle(vm, mmu_entries(vm->fmt, it->entry), it->level - 1))
		return false;
	return !vm->shadow ||
	       !mmu_shadow_uses(vm, mmu_align(it->gfn, it->level), mmu_level_pages(it->level));
}

/*
 * Tables that hold only leaves (or nothing), from where the last reclaim stopped.
 * Scanning is bounded, so that a large VM cannot hold its lock for long.
 */
static unsigned long nested_reclaim(struct mmu_vm *vm, unsigned long nr, bool idle_only)
{
	unsigned long found = 0, scan = 512;
	struct mmu_iter it;
	int turn;

	for (turn = 0; turn < 2 && found < nr; turn++) {
		mmu_iter_start(&it, vm, vm->reclaim_gfn, U64_MAX);
		while (found < nr && scan && mmu_iter_next(&it)) {
			if (mmu_is_leaf(vm->fmt, it.entry, it.level))
				continue;
			scan--;
			if (idle_only ? !below_idle(vm, &it) : it.level != 2)
				continue;
			mmu_unlink(vm, &it);
			found++;
		}
		vm->reclaim_gfn = it.gfn < it.end ? it.gfn : 0;
	}
	return found;
}

const struct mmu_mode mmu_mode_nested = {
	.name		= "nested",
	.fault		= nested_fault,
	.unmap		= nested_unmap,
	.log_start	= nested_log_start,
	.collapse	= nested_collapse,
	.dirty		= nested_dirty,
	.age		= nested_age,
	.reclaim	= nested_reclaim,
	.audit		= mmu_audit_nested,
};
