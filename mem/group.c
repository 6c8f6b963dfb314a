// SPDX-License-Identifier: GPL-2.0
/* Groups: birth, references, end, and the ids of their chunks. */
#include "mem/group.h"

struct mem_group *mem_group_new(struct mem_pool *pool)
{
	struct mem_group *group = kzalloc(sizeof(*group), GFP_KERNEL);

	if (!group)
		return NULL;
	if (mem_key_init(&group->key, pool->host->random)) {
		kfree(group);
		return NULL;
	}
	atomic64_add(sizeof(*group) + PAGE_SIZE, &pool->metadata_bytes);
	group->pool = pool;
	group->refs = 1;
	spin_lock_init(&group->lock);
	mem_index_init(&group->index, pool->zero, &pool->metadata_bytes);
	xa_init(&group->chunks);
	spin_lock(&pool->lock);
	group->serial = 1;
	if (!list_empty(&pool->groups))
		group->serial += list_last_entry(&pool->groups, struct mem_group, node)->serial;
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
	struct mem_group *group, *found = NULL;

	spin_lock(&pool->lock);
	list_for_each_entry(group, &pool->groups, node)
		if (group->serial >= serial) {
			found = group;
			group->refs++;
			break;
		}
	spin_unlock(&pool->lock);
	return found;
}

void mem_group_put(struct mem_group *group)
{
	struct mem_pool *pool = group->pool;
	bool last;

	spin_lock(&pool->lock);
	last = !--group->refs;
	if (last)
		list_del(&group->node);
	spin_unlock(&pool->lock);
	if (!last)
		return;
	mem_index_fini(&group->index);
	xa_destroy(&group->chunks);
	mem_key_fini(&group->key);
	atomic64_sub(sizeof(*group) + PAGE_SIZE, &pool->metadata_bytes);
	kfree(group);
}

#define LAST_ID	((1u << (MEM_LOCATION_BITS - MEM_HUGE_ORDER)) - 1)

/* The index may have an entry for each page: that bounds what it takes of memory. */
static void count_chunk(struct mem_group *group, int nr)
{
	group->nr_chunks += nr;
	group->index.max_entries = (u64)group->nr_chunks * MEM_HUGE_PAGES;
}

void mem_group_add_chunk(struct mem_group *group, struct mem_chunk *chunk)
{
	u32 id = 0;

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
