/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reverse maps: from a frame of the guest (gfn, and the size of the leaf) to the shadow
 * entries that map it, and from a shadow page to the entries that point to it.
 *
 *   regions[level - 1]   (gfn >> 9·level) ─► struct mmu_region
 *                                              head[512] ─► 0 │ entry │ chain of nodes │ 1
 *                                              traced[512] bits: gfns whose tables are write-protected
 *
 * Small pages up to 4 TiB are found by two loads (dir); the xarrays know all of them.
 *
 * A region, once made, lives as long as shadow mode does, so that a fault can make it
 * where sleeping is allowed and use it under the lock.
 */
#ifndef PENUMBRA_MMU_RMAP_H
#define PENUMBRA_MMU_RMAP_H

#include "kapi.h"
#include "mmu/mmu.h"
#include "mmu/table.h"

/*
 * A head: 0, the one entry's address, or the address of the first node with bit 0 set. Whether
 * it is 0 may be asked without the lock.
 */
struct mmu_rmap {
	unsigned long val;
};

#ifndef MMU_RMAP_PER_NODE	/* the explorer of interleavings lowers both */
#define MMU_RMAP_PER_NODE	6
/*
 * Removing one entry takes a look at all: so that is the most that a head is left with, by removing all of
 * them. More than there are roots kept map a guest's page of zeroes, or what is made to be hard on us.
 */
#define MMU_RMAP_DEEP		(96 / MMU_RMAP_PER_NODE)
#endif

struct mmu_rmap_node {
	struct mmu_rmap_node *next;
	u32 nr;
	u32 depth;		/* nodes from here on */
	u64 *slot[MMU_RMAP_PER_NODE];
};

struct mmu_region {
	spinlock_t lock;		/* of head[] and traced[], which mmu_traced() reads without; a leaf */
	unsigned int nr_traced;
	unsigned long traced[BITS_TO_LONGS(MMU_ENTRIES)];	/* level 1 only */
	struct mmu_rmap *head;		/* a page of 512 */
};

/* The region of gfn for leaves of a level (1 to 3), made if it is not there. Sleeps. NULL: no memory. */
struct mmu_region *mmu_region_make(struct mmu_shadow *shadow, gfn_t gfn, int level);
/* All of them; nothing is mapped any more. */
void mmu_regions_free(struct mmu_shadow *shadow);

/*
 * The regions of a level that have a part of [gfn, end), and which part; its start is aligned to the level's pages. xarray's
 * own lock is enough for the search.
 *
 *	struct mmu_region_part part = { 0 };
 *	while (mmu_region_next(shadow, level, gfn, end, &part)) …
 */
struct mmu_region_part {
	struct mmu_region *region;		/* NULL: not begun */
	unsigned long key;
	gfn_t start, end;
};

bool mmu_region_next(struct mmu_shadow *shadow, int level, gfn_t gfn, gfn_t end, struct mmu_region_part *part);

static inline struct mmu_rmap *mmu_region_head(struct mmu_region *region, gfn_t gfn, int level)
{
	return &region->head[mmu_index(gfn, level)];
}

/*
 * The caller holds the head's lock. add: *spare is a node that may be used up (then
 * *spare is NULL); it must be there unless the head is empty. del: returns a node that became
 * free, or NULL.
 */
void mmu_rmap_add(struct mmu_rmap *head, u64 *slot, struct mmu_rmap_node **spare);
struct mmu_rmap_node *mmu_rmap_del(struct mmu_rmap *head, u64 *slot);

static inline bool mmu_rmap_empty(const struct mmu_rmap *head)
{
	return !READ_ONCE(head->val);
}

/* Has it a node? Without the lock. */
static inline bool mmu_rmap_shared(const struct mmu_rmap *head)
{
	return READ_ONCE(head->val) & 1;
}

/* Are there more entries than a head is left with? */
bool mmu_rmap_crowded(const struct mmu_rmap *head);

/* Any one entry of the head, or NULL. */
u64 *mmu_rmap_any(const struct mmu_rmap *head);

/*
 * All entries of the head, in no particular order; none is added or removed meanwhile.
 *
 *	struct mmu_rmap_pos pos = { 0 };
 *	while ((slot = mmu_rmap_next(head, &pos))) …
 */
struct mmu_rmap_pos {
	const struct mmu_rmap_node *node;	/* NULL: not begun */
	unsigned int i;				/* the next of node, or 1: the only one was given */
};

u64 *mmu_rmap_next(const struct mmu_rmap *head, struct mmu_rmap_pos *pos);

#endif
