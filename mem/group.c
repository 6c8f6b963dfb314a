// SPDX-License-Identifier: GPL-2.0
/* Groups: birth, references, end, and the ids of their chunks. */
#include "mem/group.h"

struct mem_group *mem_group_new(struct mem_pool *pool)
{
	struct mem_group *group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);

	if (!group)
		return NULL;
	atomic64_add(sizeof(*group), &pool->metadata_bytes);
	group->pool = pool;
	group->refs = 1;
	spin_lock_init(&group->lock);
	mem_index_init(&group->index, pool->zero, &pool->metadata_bytes);
	xa_init(&group->chunks);
	spin_lock(&pool->lock);
	list_add_tail(&group->node, &pool->groups);
	spin_unlock(&pool->lock);
	return group;
}

struct mem_group *mem_group_get(struct mem_group *group)
{
	spin_lock(&group->pool->lock);
	group->refs++;
	spin_unlock(&group->pool->lock);
	return group;
}

struct mem_group *mem_group_from(struct mem_pool *pool, u64 serial)
{
	struct mem_group *group;
	unsigned long at = serial;

	spin_lock(&pool->lock);
	group = xa_find(&pool->scanned, &at, ULONG_MAX, XA_PRESENT);
	if (group)
		group->refs++;
	spin_unlock(&pool->lock);
	return group;
}

void mem_group_put(struct mem_group *group)
{
	struct mem_pool *pool = group->pool;
	bool last;

	spin_lock(&pool->lock);
	last = !--group->refs;
	if (last) {
		list_del(&group->node);
		xa_erase(&pool->scanned, group->serial);
	}
	spin_unlock(&pool->lock);
	if (!last)
		return;
	mem_index_fini(&group->index);
	xa_destroy(&group->chunks);
	if (group->key.words)
		atomic64_sub(PAGE_SIZE, &pool->metadata_bytes);
	mem_key_fini(&group->key);
	atomic64_sub(sizeof(*group), &pool->metadata_bytes);
	kfree(group);
}

#define LAST_ID	((1u << (MEM_LOCATION_BITS - MEM_HUGE_ORDER)) - 1)

/* The index may have an entry for each page: that bounds what it takes of memory. */
static void count_chunk(struct mem_group *group, int nr)
{
	group->nr_chunks += nr;
	group->index.max_entries = (u64)group->nr_chunks * MEM_HUGE_PAGES;
}

/*
 * The scanner finds the group from now on. A group of empty files costs it nothing, and has no key
 * yet. False: no memory.
 */
static bool be_scanned(struct mem_group *group)
{
	struct mem_pool *pool = group->pool;

	lockdep_assert_held(&pool->pair_lock);
	if (group->serial)
		return true;
	if (!group->key.words) {
		if (mem_key_init(&group->key, pool->host->random))
			return false;
		atomic64_add(PAGE_SIZE, &pool->metadata_bytes);
	}
	group->serial = ++pool->last_serial;
	if (!xa_err(xa_store(&pool->scanned, group->serial, group, GFP_KERNEL_ACCOUNT)))
		return true;
	group->serial = 0;
	return false;
}

void mem_group_add_chunk(struct mem_group *group, struct mem_chunk *chunk)
{
	u32 id = 0;

	if (!be_scanned(group))
		return;
	spin_lock(&group->lock);
	if (group->last_id < LAST_ID) {
		id = ++group->last_id;
		count_chunk(group, 1);
	}
	spin_unlock(&group->lock);
	if (!id)
		return;
	chunk->id = id;
	if (xa_err(xa_store(&group->chunks, id, chunk, GFP_KERNEL)))
		mem_group_del_chunk(group, chunk);
}

void mem_group_del_chunk(struct mem_group *group, struct mem_chunk *chunk)
{
	if (!chunk->id)
		return;
	spin_lock(&group->lock);
	xa_erase(&group->chunks, chunk->id);
	count_chunk(group, -1);
	spin_unlock(&group->lock);
	chunk->id = 0;
}

struct mem_chunk *mem_group_get_chunk(struct mem_group *group, u32 id)
{
	struct mem_chunk *chunk;

	spin_lock(&group->lock);
	chunk = xa_load(&group->chunks, id);
	if (chunk && !group->pool->host->file_get(chunk->file))
		chunk = NULL;
	spin_unlock(&group->lock);
	return chunk;
}

struct mem_chunk *mem_group_trylock_chunk(struct mem_group *group, u32 id, bool *busy)
{
	struct mem_chunk *chunk;

	spin_lock(&group->lock);
	chunk = xa_load(&group->chunks, id);
	*busy = chunk && !mutex_trylock(&chunk->lock);
	spin_unlock(&group->lock);
	return *busy ? NULL : chunk;
}

void mem_group_unlock_chunk(struct mem_group *group, struct mem_chunk *chunk)
{
	spin_lock(&group->lock);
	mutex_unlock(&chunk->lock);
	spin_unlock(&group->lock);
}
