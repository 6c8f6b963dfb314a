// SPDX-License-Identifier: GPL-2.0
/* Files: birth and end, the group they are in, and what they tell of their pages. */
#include "mem/group.h"

int mem_file_init(struct mem_file *file, struct mem_pool *pool, struct mem_group *group)
{
	memset(file, 0, sizeof(*file));
	file->pool = pool;
	file->group = mem_group_get(group);
	xa_init(&file->chunks);
	spin_lock(&pool->lock);
	list_add_tail(&file->node, &pool->files);
	spin_unlock(&pool->lock);
	return 0;
}

/* Nobody comes but those who dissolve a ring, under pool->pair_lock. */
static void chunk_end(struct mem_chunk *chunk)
{
	struct mem_pool *pool = chunk->file->pool;

	mutex_lock(&pool->pair_lock);
	mutex_lock_nest_lock(&chunk->lock, &pool->pair_lock);
	mem_group_del_chunk(chunk->file->group, chunk);
	mem_chunk_give_up(chunk, NULL, 0, MEM_HUGE_PAGES);
	mutex_unlock(&chunk->lock);
	mutex_unlock(&pool->pair_lock);
}

void mem_file_fini(struct mem_file *file)
{
	struct mem_pool *pool = file->pool;
	struct mem_chunk *chunk;
	unsigned long at;

	spin_lock(&pool->lock);
	list_del(&file->node);
	spin_unlock(&pool->lock);
	xa_for_each(&file->chunks, at, chunk) {
		chunk_end(chunk);
		kfree(chunk);
		atomic64_sub(sizeof(*chunk), &pool->metadata_bytes);
		cond_resched();
	}
	xa_destroy(&file->chunks);
	mem_group_put(file->group);
}

/* ------------------------------------------------------------------ groups -- */

static bool is_empty(const struct mem_chunk *chunk)
{
	return !chunk->huge && !chunk->slots;
}

/* No chunk comes or changes while the pair lock and the locks of all are held. */
int mem_file_set_group(struct mem_file *file, struct mem_group *group)
{
	struct mem_pool *pool = file->pool;
	struct mem_group *old = file->group;
	struct mem_chunk *chunk;
	unsigned long at;
	bool empty = true;

	mem_group_get(group);
	mutex_lock(&pool->pair_lock);
	xa_for_each(&file->chunks, at, chunk) {
		mutex_lock_nest_lock(&chunk->lock, &pool->pair_lock);
		empty = empty && is_empty(chunk);
	}
	if (empty)
		file->group = group;
	xa_for_each(&file->chunks, at, chunk) {
		if (empty)
			mem_group_del_chunk(old, chunk);
		if (empty && !file->never_share)
			mem_group_add_chunk(group, chunk);
		mutex_unlock(&chunk->lock);
	}
	mutex_unlock(&pool->pair_lock);
	mem_group_put(empty ? old : group);
	return empty ? 0 : -EBUSY;
}

/* ------------------------------------------------------------- what is where -- */

static bool has_data(const struct mem_chunk *chunk, u32 i)
{
	return chunk->huge || (chunk->slots && chunk->slots[i] & ~MEM_SLOT_MAPPED);
}

/* The first page of the chunk from @i on that has data, or has none; 512: none such. */
static u32 seek(struct mem_chunk *chunk, u32 i, bool data)
{
	mutex_lock(&chunk->lock);
	while (i < MEM_HUGE_PAGES && has_data(chunk, i) != data)
		i++;
	mutex_unlock(&chunk->lock);
	return i;
}

u64 mem_file_seek(struct mem_file *file, u64 index, bool data)
{
	u64 pages = READ_ONCE(file->pages);

	while (index < pages) {
		unsigned long at = index / MEM_HUGE_PAGES;
		struct mem_chunk *chunk = xa_find(&file->chunks, &at, ULONG_MAX, XA_PRESENT);
		u32 i;

		if (!chunk)
			return data ? pages : index;
		if (chunk->first > index) {
			if (!data)
				return index;
			index = chunk->first;
		}
		i = seek(chunk, index % MEM_HUGE_PAGES, data);
		if (i < MEM_HUGE_PAGES)
			return min(chunk->first + i, pages);
		index = chunk->first + MEM_HUGE_PAGES;
	}
	return pages;
}

u64 mem_file_next(struct mem_file *file, u64 index)
{
	unsigned long at = index / MEM_HUGE_PAGES;
	struct mem_chunk *chunk = xa_find(&file->chunks, &at, ULONG_MAX, XA_PRESENT);

	return chunk ? max(index, chunk->first) : U64_MAX;
}

static enum mem_page_kind huge_kind(struct mem_chunk *chunk, unsigned long *refs)
{
	*refs = atomic_long_read(&chunk->huge->refs);
	return chunk->huge_shared ? MEM_PAGE_SHARED : MEM_PAGE_PRIVATE;
}

static enum mem_page_kind slot_kind(u64 slot, unsigned long *refs)
{
	struct mem_frame *frame = mem_slot_frame(slot);

	*refs = !frame ? 0 : slot & MEM_SLOT_SHARED ? atomic_long_read(&frame->refs) : 1;
	if (!frame)
		return slot & MEM_SLOT_ZERO ? MEM_PAGE_ZERO : MEM_PAGE_HOLE;
	return slot & MEM_SLOT_SHARED ? MEM_PAGE_SHARED : MEM_PAGE_PRIVATE;
}

enum mem_page_kind mem_file_page(struct mem_file *file, u64 index, bool *huge,
				 unsigned long *refs, struct mem_frame **frame)
{
	struct mem_chunk *chunk = mem_chunk_find(file, index);
	enum mem_page_kind kind = MEM_PAGE_HOLE;
	u32 i = index % MEM_HUGE_PAGES;

	*huge = false;
	*refs = 0;
	*frame = NULL;
	if (!chunk || index >= READ_ONCE(file->pages))
		return kind;
	mutex_lock(&chunk->lock);
	if (chunk->huge) {
		*huge = true;
		*frame = chunk->huge + i;
		kind = huge_kind(chunk, refs);
	} else if (chunk->slots) {
		*frame = mem_slot_frame(chunk->slots[i]);
		kind = slot_kind(chunk->slots[i], refs);
	}
	mutex_unlock(&chunk->lock);
	return kind;
}

#define SHARE	1024	/* of a page: the unit of mem_file_proportional() */

static u64 proportional(struct mem_chunk *chunk)
{
	unsigned long refs;
	u64 sum = 0;
	u32 i;

	lockdep_assert_held(&chunk->lock);
	if (chunk->huge) {
		huge_kind(chunk, &refs);
		return (u64)MEM_HUGE_PAGES * SHARE / refs;
	}
	if (!chunk->shared)
		return (u64)chunk->present * SHARE;
	for (i = 0; i < MEM_HUGE_PAGES; i++) {
		slot_kind(chunk->slots[i], &refs);
		if (refs)
			sum += SHARE / refs;
	}
	return sum;
}

u64 mem_file_proportional(struct mem_file *file)
{
	struct mem_chunk *chunk;
	unsigned long at;
	u64 sum = 0;

	xa_for_each(&file->chunks, at, chunk) {
		mutex_lock(&chunk->lock);
		sum += proportional(chunk);
		mutex_unlock(&chunk->lock);
		cond_resched();
	}
	return sum;
}
