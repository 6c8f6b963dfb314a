// SPDX-License-Identifier: GPL-2.0
/*
 * Allocating ahead: how much is missing of a range, and how what was brought goes back if the
 * rest could not be had.
 *
 * What goes back is what was a hole before and holds only zeros that nobody can be writing: so no
 * content changes, whoever used the file meanwhile.
 */
#include "mem/chunk.h"
#include "mem/hash.h"

static bool is_hole(const struct mem_chunk *chunk, u32 i)
{
	return !chunk->huge && !(chunk->slots && chunk->slots[i] & ~MEM_SLOT_MAPPED);
}

static u32 count_holes(struct mem_chunk *chunk, u32 first, u32 nr)
{
	u32 i, holes = 0;

	mutex_lock(&chunk->lock);
	for (i = first; i < first + nr; i++)
		holes += is_hole(chunk, i);
	mutex_unlock(&chunk->lock);
	return holes;
}

u64 mem_file_missing(struct mem_file *file, u64 first, u64 nr)
{
	u64 end = first + nr, missing = nr;
	struct mem_chunk *chunk;
	unsigned long at;

	xa_for_each_start(&file->chunks, at, chunk, first / MEM_HUGE_PAGES) {
		u64 from = max(first, chunk->first), to = min(end, chunk->first + MEM_HUGE_PAGES);

		if (from >= to)
			break;
		missing -= to - from - count_holes(chunk, from - chunk->first, to - from);
		cond_resched();
	}
	return missing;
}

bool mem_pool_has_room(struct mem_pool *pool, u64 nr)
{
	u64 max = READ_ONCE(pool->max_pages);
	u64 used = atomic64_read(&pool->pages) + READ_ONCE(pool->reserve.target);

	return !max || (used <= max && nr <= max - used);
}

void mem_file_holes(struct mem_file *file, u64 index, struct mem_pages *holes)
{
	struct mem_chunk *chunk = mem_chunk_find(file, index);
	u32 i;

	memset(holes, chunk ? 0 : 0xff, sizeof(*holes));
	if (!chunk)
		return;
	mutex_lock(&chunk->lock);
	for (i = 0; i < MEM_HUGE_PAGES; i++)
		if (is_hole(chunk, i))
			mem_pages_add(holes, i);
	mutex_unlock(&chunk->lock);
}

/* Takes from the set what is not private and full of zeros. */
static void keep_zeros(struct mem_chunk *chunk, struct mem_pages *set)
{
	u32 i;

	mem_pages_for_each(set, i) {
		bool private = chunk->huge || mem_slot_is_private(chunk->slots[i]);

		if (!private || !mem_page_is_zero(mem_chunk_data(chunk, i)))
			mem_pages_del(set, i);
	}
}

static void give_back(struct mem_chunk *chunk, const struct mem_pages *holes, u32 first, u32 nr)
{
	struct mem_pages set = *holes;
	u32 i;

	/* A 2 MiB frame came for the whole chunk, and goes as a whole. */
	for (i = 0; i < MEM_HUGE_PAGES; i++)
		if (!chunk->huge && i - first >= nr)
			mem_pages_del(&set, i);
	keep_zeros(chunk, &set);
	mem_chunk_protect(chunk, &set);
	keep_zeros(chunk, &set);
	if (chunk->huge) {
		if (mem_pages_count(&set) == MEM_HUGE_PAGES)
			mem_huge_drop(chunk);
		return;
	}
	mem_pages_for_each(&set, i)
		if (chunk->slots)
			mem_chunk_give_up(chunk, NULL, i, 1);
}

void mem_file_give_back(struct mem_file *file, u64 first, u64 nr, const struct mem_pages *holes)
{
	struct mem_chunk *chunk = mem_chunk_find(file, first);

	if (!chunk)
		return;
	mutex_lock(&chunk->lock);
	if (chunk->slots || (chunk->huge && !chunk->huge_shared))
		give_back(chunk, holes, first - chunk->first, nr);
	mutex_unlock(&chunk->lock);
}
