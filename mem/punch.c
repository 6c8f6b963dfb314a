// SPDX-License-Identifier: GPL-2.0
/* Giving pages back: holes punched, and what lies beyond a new end. */
#include "mem/chunk.h"

/* Slotted: unmap, then give up what the slots named. */
static int release(struct mem_chunk *chunk, u32 first, u32 nr)
{
	struct mem_pool *pool = chunk->file->pool;
	int present = 0, shared = 0, zero = 0;
	u32 i;

	mem_chunk_unmap(chunk, first, nr);
	for (i = first; i < first + nr; i++) {
		u64 slot = chunk->slots[i];

		chunk->slots[i] = 0;
		if (mem_slot_frame(slot)) {
			present++;
			shared += !!(slot & MEM_SLOT_SHARED);
			mem_slot_give_up(pool, slot);
		} else {
			zero += !!(slot & MEM_SLOT_ZERO);
		}
	}
	mem_chunk_count(chunk, -present, -shared, -zero);
	mem_chunk_tidy(chunk);
	return present + zero;
}

int mem_chunk_give_up(struct mem_chunk *chunk, struct mem_chunk *held, u32 first, u32 nr)
{
	u32 i;
	int err;

	lockdep_assert_held(&chunk->lock);
	if (!chunk->huge)
		return chunk->slots ? release(chunk, first, nr) : 0;
	if (nr == MEM_HUGE_PAGES) {
		mem_huge_drop(chunk);
		return nr;
	}
	err = mem_huge_split(chunk, held, first, nr);
	if (err)
		return err;
	if (!chunk->huge) {
		if (chunk->slots)
			release(chunk, first, nr);
		return nr;
	}
	/* Pinned: who holds it goes on seeing what the file has. Unmapped: the end may be here. */
	mem_chunk_unmap_huge(chunk);
	for (i = first; i < first + nr; i++)
		clear_page(mem_chunk_data(chunk, i));
	chunk->huge_writable = true;
	return 0;
}

static int punch(struct mem_chunk *chunk, u32 first, u32 nr)
{
	bool ring;
	int done;

	mutex_lock(&chunk->lock);
	ring = mem_ring_lock(chunk);
	done = mem_chunk_give_up(chunk, NULL, first, nr);
	mem_ring_unlock(chunk, ring);
	mutex_unlock(&chunk->lock);
	if (done > 0)
		atomic64_add(done, &chunk->file->stat.punched);
	return min(done, 0);
}

int mem_file_punch(struct mem_file *file, u64 first, u64 nr)
{
	u64 end = nr > U64_MAX - first ? U64_MAX : first + nr;
	struct mem_chunk *chunk;
	unsigned long at;
	int err;

	xa_for_each_start(&file->chunks, at, chunk, first / MEM_HUGE_PAGES) {
		u64 from = max(first, chunk->first), to = min(end, chunk->first + MEM_HUGE_PAGES);

		if (from >= to)
			break;
		err = punch(chunk, from - chunk->first, to - from);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/* ----------------------------------------------------------------- the size -- */

void mem_chunk_give_up_end(struct mem_chunk *chunk)
{
	u64 pages = READ_ONCE(chunk->file->pages);
	u32 first = pages > chunk->first ? pages - chunk->first : 0;

	release(chunk, first, MEM_HUGE_PAGES - first);
}

/* The chunk with the new end in it: what is beyond goes, and then the size is this. */
static int cut(struct mem_chunk *chunk, u64 pages)
{
	u32 first = pages % MEM_HUGE_PAGES;
	bool ring;
	int err;

	mutex_lock(&chunk->lock);
	ring = mem_ring_lock(chunk);
	err = mem_chunk_give_up(chunk, NULL, first, MEM_HUGE_PAGES - first);
	mem_ring_unlock(chunk, ring);
	mem_chunk_unmap_empty(chunk);	/* holes beyond the end too */
	if (err >= 0)
		WRITE_ONCE(chunk->file->pages, pages);
	mutex_unlock(&chunk->lock);
	return min(err, 0);
}

/*
 * What lies beyond the size, which is this already. All of a chunk, or part of a new one that no
 * clone has shared yet: that cannot fail.
 */
static void give_up_beyond(struct mem_chunk *chunk, u64 pages)
{
	u32 first = pages > chunk->first ? pages - chunk->first : 0;
	bool ring;

	mutex_lock(&chunk->lock);
	ring = mem_ring_lock(chunk);
	mem_chunk_give_up(chunk, NULL, first, MEM_HUGE_PAGES - first);
	mem_ring_unlock(chunk, ring);
	mem_chunk_unmap_empty(chunk);
	mutex_unlock(&chunk->lock);
}

/*
 * A pinned 2 MiB frame that had to be left in place when it was cut may have been written
 * beyond the old end since.
 */
static void grow(struct mem_file *file, u64 old, u64 pages)
{
	u32 first = old % MEM_HUGE_PAGES;
	struct mem_chunk *chunk = first ? mem_chunk_find(file, old) : NULL;

	if (!chunk) {
		WRITE_ONCE(file->pages, pages);
		return;
	}
	mutex_lock(&chunk->lock);
	/* No ring has a chunk with the end inside. */
	mem_chunk_give_up(chunk, NULL, first, MEM_HUGE_PAGES - first);
	WRITE_ONCE(file->pages, pages);
	mutex_unlock(&chunk->lock);
}

int mem_file_resize(struct mem_file *file, u64 pages)
{
	u64 old = READ_ONCE(file->pages), from = DIV_ROUND_UP(pages, MEM_HUGE_PAGES);
	struct mem_chunk *chunk;
	unsigned long at;
	int err;

	if (pages >= old) {
		grow(file, old, pages);
		return 0;
	}
	chunk = pages % MEM_HUGE_PAGES ? mem_chunk_find(file, pages) : NULL;
	if (chunk) {
		err = cut(chunk, pages);
		if (err)
			return err;
	} else {
		WRITE_ONCE(file->pages, pages);
		from = pages / MEM_HUGE_PAGES;	/* one with the end inside may just be coming */
	}
	/* Who adds a chunk now sees the new size under its lock: pairs with mem_chunk_get(). */
	smp_mb();
	xa_for_each_start(&file->chunks, at, chunk, from) {
		give_up_beyond(chunk, pages);
		cond_resched();
	}
	return 0;
}
