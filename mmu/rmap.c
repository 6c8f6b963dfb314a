// SPDX-License-Identifier: GPL-2.0
/*
 * Reverse maps; see rmap.h for the picture.
 */
#include "mmu/rmap.h"
#include "mmu/shadow.h"

#define RMAP_NODE	1UL

static struct mmu_rmap_node *node_of(const struct mmu_rmap *head)
{
	return head->val & RMAP_NODE ? (struct mmu_rmap_node *)(head->val & ~RMAP_NODE) : NULL;
}

void mmu_rmap_add(struct mmu_rmap *head, u64 *slot, struct mmu_rmap_node **spare)
{
	struct mmu_rmap_node *node = node_of(head);

	if (!head->val) {
		WRITE_ONCE(head->val, (unsigned long)slot);
		return;
	}
	if (!node || node->nr == MMU_RMAP_PER_NODE) {
		struct mmu_rmap_node *new = *spare;

		*spare = NULL;
		new->next = node;
		new->nr = 0;
		new->depth = node ? node->depth + 1 : 1;
		if (!node)
			new->slot[new->nr++] = (u64 *)head->val;
		node = new;
		WRITE_ONCE(head->val, (unsigned long)node | RMAP_NODE);
	}
	node->slot[node->nr++] = slot;
}

/* Only the first node has room, so the hole is filled with the first node's last entry. */
struct mmu_rmap_node *mmu_rmap_del(struct mmu_rmap *head, u64 *slot)
{
	struct mmu_rmap_node *first = node_of(head), *node;
	unsigned int i;

	if (!first) {
		if (!WARN_ON_ONCE(head->val != (unsigned long)slot))
			WRITE_ONCE(head->val, 0);
		return NULL;
	}
	for (node = first; node; node = node->next)
		for (i = 0; i < node->nr; i++)
			if (node->slot[i] == slot)
				goto found;
	(void)WARN_ON_ONCE(1);
	return NULL;
found:
	node->slot[i] = first->slot[--first->nr];
	if (first->nr)
		return NULL;
	WRITE_ONCE(head->val, first->next ? (unsigned long)first->next | RMAP_NODE : 0);
	return first;
}

bool mmu_rmap_crowded(const struct mmu_rmap *head)
{
	const struct mmu_rmap_node *node = node_of(head);

	return node && node->depth > MMU_RMAP_DEEP;
}

u64 *mmu_rmap_next(const struct mmu_rmap *head, struct mmu_rmap_pos *pos)
{
	if (!pos->node) {
		pos->node = node_of(head);
		if (!pos->node)
			return pos->i++ ? NULL : (u64 *)head->val;
	}
	if (pos->i == pos->node->nr) {
		if (!pos->node->next)
			return NULL;
		pos->node = pos->node->next;
		pos->i = 0;
	}
	return pos->node->slot[pos->i++];
}

u64 *mmu_rmap_any(const struct mmu_rmap *head)
{
	struct mmu_rmap_pos pos = { 0 };

	return mmu_rmap_next(head, &pos);
}

static unsigned long region_key(gfn_t gfn, int level)
{
	return gfn >> (9 * level);
}

static void region_free(struct mmu_region *region)
{
	if (!region)
		return;
	if (region->head)
		free_page((unsigned long)region->head);
	kfree(region);
}

/* Enter a small pages' region in the directory. False: no memory. */
static bool enter(struct mmu_shadow *shadow, gfn_t gfn, struct mmu_region *region)
{
	struct mmu_region **page = READ_ONCE(shadow->dir[gfn >> 18]), **old = NULL;

	if (!page) {
		page = (struct mmu_region **)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!page)
			return false;
		if (!try_cmpxchg(&shadow->dir[gfn >> 18], &old, page)) {
			free_page((unsigned long)page);
			page = old;
		}
	}
	smp_store_release(&page[gfn >> 9 & (MMU_ENTRIES - 1)], region);
	return true;
}

struct mmu_region *mmu_region_make(struct mmu_shadow *shadow, gfn_t gfn, int level)
{
	struct xarray *xa = &shadow->regions[level - 1];
	struct mmu_region *region = mmu_region_find(shadow, gfn, level), *other;

	BUILD_BUG_ON(sizeof(struct mmu_rmap) * MMU_ENTRIES != PAGE_SIZE);
	if (region)
		return region;
	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region)
		return NULL;
	spin_lock_init(&region->lock);
	region->head = (struct mmu_rmap *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!region->head)
		goto fail;
	other = xa_cmpxchg(xa, region_key(gfn, level), NULL, region, GFP_KERNEL_ACCOUNT);
	if (!other)
		atomic64_inc(&shadow->vm->stat.shadow_regions);
	if (other) {
		region_free(region);
		if (xa_is_err(other))
			return NULL;
		region = other;
	}
	if (level > 1 || gfn >> 18 >= SHADOW_DIR || enter(shadow, gfn, region))
		return region;
	return NULL;
fail:
	region_free(region);
	return NULL;
}

bool mmu_region_next(struct mmu_shadow *shadow, int level, gfn_t gfn, gfn_t end, struct mmu_region_part *part)
{
	struct xarray *xa = &shadow->regions[level - 1];
	unsigned long last = region_key(end - 1, level);
	u64 span = mmu_level_pages(level + 1);

	if (part->region) {
		part->region = xa_find_after(xa, &part->key, last, XA_PRESENT);
	} else {
		part->key = region_key(gfn, level);
		part->region = xa_find(xa, &part->key, last, XA_PRESENT);
	}
	part->start = max_t(u64, mmu_align(gfn, level), part->key * span);
	part->end = min_t(u64, end, (part->key + 1) * span);
	return part->region;
}

void mmu_regions_free(struct mmu_shadow *shadow)
{
	struct mmu_region *region;
	unsigned long key;
	int i;

	for (i = 0; i < MMU_LEAF_MAX; i++) {
		xa_for_each(&shadow->regions[i], key, region) {
			region_free(region);
			atomic64_dec(&shadow->vm->stat.shadow_regions);
		}
		xa_destroy(&shadow->regions[i]);
	}
	for (i = 0; i < SHADOW_DIR; i++)
		if (shadow->dir[i])
			free_page((unsigned long)shadow->dir[i]);
}
