/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tables the hardware walks, in any format: one algorithm over const descriptions.
 *
 *   root (level 4 or 5)      entry = 0                      not present
 *    └─ level 3                    = table bits | address   points to a table one level down
 *        └─ level 2 ── leaf 2M     = leaf bits  | address   maps memory
 *            └─ level 1 ── leaf 4K
 *
 * Every table has 512 entries of 8 bytes in one page; the page's struct page
 * carries the struct mmu_table that says what the page is (invariant 4: stored,
 * never computed from the position).
 *
 * Life of an entry: 0 → table or leaf by compare-exchange under the lock held for
 * reading; leaf → leaf with more rights or other A/D bits likewise (the hardware
 * sets A/D at the same time); anything → 0 only under the lock held for writing,
 * by mmu_unlink(), and mmu_finish() before the lock is dropped.
 */
#ifndef PENUMBRA_MMU_TABLE_H
#define PENUMBRA_MMU_TABLE_H

#include "kapi.h"
#include "mmu/mmu.h"

#define MMU_ENTRIES	512

/* A format: which bits say what. All have 9 index bits a level and 8-byte entries. */
struct mmu_format {
	const char *name;
	u64 present;	/* any of these set: present */
	u64 table;	/* set in an entry that points to a table */
	u64 leaf;	/* set in every leaf: readable and executable by the guest, cached */
	u64 large;	/* set in a leaf above level 1 as well */
	u64 write;
	u64 accessed;	/* 0: the hardware sets none */
	u64 dirty;	/* == write: the hardware sets none, and what is writable counts as dirty */
	u64 addr;
};

struct mmu_table {
	struct list_head link;	/* of vm->dead */
	u64 *entries;
	gfn_t gfn;		/* first gfn it maps */
	u8 level;
};

static_assert(MMU_ENTRIES * sizeof(u64) == PAGE_SIZE, "a table is a page");

static inline unsigned int mmu_index(gfn_t gfn, int level)
{
	return gfn >> (9 * (level - 1)) & (MMU_ENTRIES - 1);
}

static inline gfn_t mmu_align(gfn_t gfn, int level)
{
	return gfn & ~(mmu_level_pages(level) - 1);
}

static inline bool mmu_present(const struct mmu_format *fmt, u64 entry)
{
	return entry & fmt->present;
}

static inline bool mmu_is_leaf(const struct mmu_format *fmt, u64 entry, int level)
{
	return mmu_present(fmt, entry) && (level == 1 || (entry & fmt->large));
}

static inline bool mmu_is_table(const struct mmu_format *fmt, u64 entry, int level)
{
	return mmu_present(fmt, entry) && level > 1 && !(entry & fmt->large);
}

static inline u64 *mmu_entries(const struct mmu_format *fmt, u64 entry)
{
	return phys_to_virt(entry & fmt->addr);
}

static inline struct mmu_table *mmu_table_at(const u64 *entries)
{
	return (struct mmu_table *)page_private(virt_to_page(entries));
}

/* First gfn after everything the tables of this VM can map. */
static inline gfn_t mmu_gfn_end(const struct mmu_vm *vm)
{
	return 1ULL << (9 * vm->levels);
}

/* A table of zeroes, charged to the memory cgroup of the caller. Sleeps. NULL: no memory. */
struct mmu_table *mmu_table_new(void);
/* One that no hardware can reach. */
void mmu_table_free(struct mmu_table *table);

/*
 * All present entries that cover [gfn, end), tables before what is in them. Under
 * the lock, either way; what the caller removes or replaces is not descended into.
 *
 *	mmu_iter_start(&it, vm, start, end);
 *	while (mmu_iter_next(&it)) … it.gfn, it.level, it.entry, it.slot
 */
struct mmu_iter {
	const struct mmu_format *fmt;
	gfn_t gfn;	/* first one in range that the entry covers */
	gfn_t end;
	u64 *slot;
	u64 entry;	/* as read when the iterator came to it */
	int level;
	int root_level;
	u64 *entries[MMU_LEVELS_MAX + 1];	/* [level]: the table on the way */
};

void mmu_iter_start(struct mmu_iter *it, struct mmu_vm *vm, gfn_t start, gfn_t end);
bool mmu_iter_next(struct mmu_iter *it);

/* Does the iterator's entry map only gfns of [start, end)? */
static inline bool mmu_iter_within(const struct mmu_iter *it, gfn_t start, gfn_t end)
{
	gfn_t base = mmu_align(it->gfn, it->level);

	return base >= start && base + mmu_level_pages(it->level) <= end;
}

/* The leaf that maps gfn and its level, or NULL. Under the lock, either way. */
u64 *mmu_p2m_slot(const struct mmu_vm *vm, gfn_t gfn, int *level);

/* Clear mask in a leaf, atomically against the hardware and other faults. Returns the leaf before. */
u64 mmu_clear_bits(u64 *slot, u64 mask);

/* Count leaves mapped or gone. */
static inline void mmu_count_leaf(struct mmu_vm *vm, int level, s64 n)
{
	atomic64_add(n, &vm->stat.mapped[level - 1]);
}

/*
 * Remove the iterator's entry, leaf or table. Lock held for writing; the entry may
 * stay in TLBs until mmu_finish().
 */
void mmu_unlink(struct mmu_vm *vm, struct mmu_iter *it);

/*
 * Flush what was unlinked, and only then look at the dirty bits in the unlinked tables
 * (the hardware may set them until the flush), report them, and free the tables.
 * Lock held for writing. Returns how many table pages were freed.
 */
unsigned long mmu_finish(struct mmu_vm *vm);

/* Should the holder of the lock let others in? The caller finishes first. */
static inline bool mmu_should_yield(struct mmu_vm *vm)
{
	return need_resched() || rwlock_needbreak(&vm->lock);
}

#endif
