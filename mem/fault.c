// SPDX-License-Identifier: GPL-2.0
/*
 * Faults, and accesses through the kernel's own mapping.
 *
 *   read  ── a hole or a zero page: the zero frame ── else the frame that is there
 *
 *   write ── private: mark it ──────────────────────────────────► the frame
 *         ├─ hole in an empty chunk: 2 MiB of zeros, if possible ──►
 *         ├─ hole or zero page: a frame of zeros ─────────────────►
 *         ├─ shared 4 KiB: nobody else's any more ? it : a copy ────►
 *         └─ shared 2 MiB: alone ? it : dissolve the ring, then as above
 *
 * A mapped page that is shared is first written through mem_file_mkwrite(). It unmaps the page
 * and gets it the frame that it needs. That is not left to the fault that follows, which may be
 * one to read, by an instruction that reads the page before it writes it, and would come back.
 * A ring it cannot dissolve, as the caller has a reference on the 2 MiB frame (and Linux 6.12 will
 * drop it from the head, whatever became of it). There the fault that follows does it, of
 * whatever kind and page: the chunk is marked.
 */
#include "mem/chunk.h"

static bool beyond_end(const struct mem_chunk *chunk, u32 i)
{
	return chunk->first + i >= READ_ONCE(chunk->file->pages);
}

/* ---------------------------------------------------------- getting a frame -- */

/* The first frame of an empty chunk is about to come: it is huge or slotted now. */
static int fill_chunk(struct mem_chunk *chunk)
{
	mem_chunk_unmap_empty(chunk);
	return mem_huge_take(chunk) ? 0 : mem_chunk_slots_new(chunk);
}

/* A hole of a slotted chunk, or a zero page. */
static int fill_page(struct mem_chunk *chunk, u32 i)
{
	struct mem_pool *pool = chunk->file->pool;
	bool zero = chunk->slots[i] & MEM_SLOT_ZERO;
	struct mem_frame *frame;
	int err;

	err = zero ? mem_frame_alloc_break(chunk->file->group, &frame) :
		     mem_frame_alloc(pool, 0, &frame);
	if (unlikely(err))
		return err;
	mem_frame_clear(pool, frame, 0);
	mem_chunk_unmap(chunk, i, 1);
	chunk->slots[i] = (unsigned long)frame | MEM_SLOT_WRITABLE;
	mem_chunk_count(chunk, 1, 0, zero ? -1 : 0);
	if (zero) {
		atomic64_inc(&chunk->file->stat.cow_breaks);
		atomic64_inc(&chunk->file->stat.zero_breaks);
	}
	return 0;
}

static int break_sharing(struct mem_chunk *chunk, u32 i, struct mem_frame *mine)
{
	struct mem_pool *pool = chunk->file->pool;
	u64 old = chunk->slots[i];
	struct mem_frame *frame;
	int err;

	mem_chunk_unmap(chunk, i, 1);
	if (mem_chunk_take_back(chunk, i, mine == mem_slot_frame(old))) {
		chunk->slots[i] |= MEM_SLOT_WRITABLE;
		return 0;
	}
	err = mem_frame_alloc_break(chunk->file->group, &frame);
	if (unlikely(err))
		return err;
	err = mem_chunk_copy(chunk, i, pool->host->data(frame));
	if (unlikely(err)) {
		mem_frame_free(pool, frame, 0);
		return err;
	}
	chunk->slots[i] = (unsigned long)frame | MEM_SLOT_WRITABLE;
	mem_chunk_count(chunk, 0, -1, 0);
	atomic64_inc(&chunk->file->stat.cow_breaks);
	mem_slot_give_up(pool, old);
	return 0;
}

int mem_chunk_make_writable(struct mem_chunk *chunk, u32 i, struct mem_frame *mine,
			    struct mem_frame **frame)
{
	int err;

	lockdep_assert_held(&chunk->lock);
	WRITE_ONCE(chunk->written, true);
	for (;;) {
		/* Asked anew each time: the lock may have been dropped. */
		if (unlikely(beyond_end(chunk, i)))
			return -ERANGE;
		if (chunk->slots) {
			u64 slot = chunk->slots[i];

			if (likely(mem_slot_frame(slot) && !(slot & MEM_SLOT_SHARED))) {
				chunk->slots[i] = slot | MEM_SLOT_WRITABLE;
				*frame = mem_slot_frame(slot);
				return 0;
			}
			err = slot & MEM_SLOT_SHARED ? break_sharing(chunk, i, mine) :
						       fill_page(chunk, i);
		} else if (!chunk->huge) {
			err = fill_chunk(chunk);
		} else if (likely(!chunk->huge_shared)) {
			chunk->huge_writable = true;
			*frame = chunk->huge + i;
			return 0;
		} else {
			err = mem_huge_unshare(chunk);
		}
		if (unlikely(err)) {
			mem_chunk_tidy(chunk);
			return err;
		}
	}
}

/* What page @i is read through. */
static struct mem_frame *readable(struct mem_chunk *chunk, u32 i)
{
	struct mem_pool *pool = chunk->file->pool;
	struct mem_frame *huge_zero;

	if (chunk->huge)
		return chunk->huge + i;
	if (chunk->slots)
		return mem_slot_frame(chunk->slots[i]) ?: pool->zero;
	/* No table of small pages shall be there when the first write comes. */
	huge_zero = smp_load_acquire(&pool->huge_zero);
	if (huge_zero && READ_ONCE(pool->huge_pages) && !beyond_end(chunk, MEM_HUGE_PAGES - 1))
		return huge_zero + i;
	return pool->zero;
}

/* Everybody who gives up what is behind page @i settles and unmaps it first, from now on. */
static void mark_mapped(struct mem_chunk *chunk, u32 i)
{
	if (chunk->huge)
		chunk->huge_mapped = true;
	else if (chunk->slots)
		chunk->slots[i] |= MEM_SLOT_MAPPED;
	else
		chunk->zero_mapped = true;
}

static int frame_for(struct mem_chunk *chunk, u32 i, bool write, struct mem_frame **frame)
{
	int err = unlikely(chunk->huge_wanted) ? mem_huge_unshare(chunk) : 0;

	if (err || write)
		return err ?: mem_chunk_make_writable(chunk, i, NULL, frame);
	if (unlikely(beyond_end(chunk, i)))
		return -ERANGE;
	*frame = readable(chunk, i);
	return 0;
}

/* ------------------------------------------------------------ the interface -- */

int mem_file_fault(struct mem_file *file, u64 index, bool write, struct mem_frame **frame)
{
	const struct mem_host_ops *host = file->pool->host;
	u32 i = index % MEM_HUGE_PAGES;
	struct mem_chunk *chunk;
	int err;

	if (unlikely(index >= READ_ONCE(file->pages)))
		return -ERANGE;
	chunk = mem_chunk_get(file, index);
	if (unlikely(!chunk))
		return -ENOMEM;
	mutex_lock(&chunk->lock);
	err = frame_for(chunk, i, write, frame);
	if (likely(!err)) {
		mark_mapped(chunk, i);
		host->get(*frame);
		host->lock(*frame);
	}
	mutex_unlock(&chunk->lock);
	return err;
}

/* Is @frame what page @i may be written in? */
static bool writable_here(const struct mem_chunk *chunk, u32 i, const struct mem_frame *frame)
{
	if (chunk->huge)
		return !chunk->huge_shared && frame == chunk->huge + i;
	return chunk->slots && !(chunk->slots[i] & MEM_SLOT_SHARED) &&
	       frame == mem_slot_frame(chunk->slots[i]);
}

static void unmap_page(struct mem_chunk *chunk, u32 i)
{
	if (chunk->huge)
		mem_chunk_unmap_huge(chunk);
	else if (chunk->slots)
		mem_chunk_unmap(chunk, i, 1);
	else
		mem_chunk_unmap_empty(chunk);
}

int mem_file_mkwrite(struct mem_file *file, u64 index, struct mem_frame *frame)
{
	struct mem_chunk *chunk = mem_chunk_find(file, index);
	u32 i = index % MEM_HUGE_PAGES;
	struct mem_frame *there;
	int err = 0;

	if (unlikely(!chunk))
		return -EAGAIN;
	mutex_lock(&chunk->lock);
	if (likely(writable_here(chunk, i, frame))) {
		if (chunk->huge)
			chunk->huge_writable = true;
		else
			chunk->slots[i] |= MEM_SLOT_WRITABLE;
		WRITE_ONCE(chunk->written, true);
		mark_mapped(chunk, i);
		file->pool->host->lock(frame);
	} else {
		unmap_page(chunk, i);
		chunk->huge_wanted = chunk->huge_shared;
		if (!chunk->huge_shared)
			err = mem_chunk_make_writable(chunk, i, frame, &there);
		err = err ?: -EAGAIN;
	}
	mutex_unlock(&chunk->lock);
	return err;
}

int mem_file_pin(struct mem_file *file, u64 index, bool write, struct mem_frame **frame)
{
	struct mem_chunk *chunk;
	u32 i = index % MEM_HUGE_PAGES;
	int err = 0;

	*frame = NULL;
	if (index >= READ_ONCE(file->pages))
		return -ERANGE;
	chunk = write ? mem_chunk_get(file, index) : mem_chunk_find(file, index);
	if (!chunk)
		return write ? -ENOMEM : 0;
	mutex_lock(&chunk->lock);
	if (write)
		err = mem_chunk_make_writable(chunk, i, NULL, frame);
	else if (beyond_end(chunk, i))
		err = -ERANGE;
	else if (chunk->huge)
		*frame = chunk->huge + i;
	else if (chunk->slots)
		*frame = mem_slot_frame(chunk->slots[i]);
	if (!err && *frame && unlikely(file->pool->host->poisoned(*frame)))
		err = -EHWPOISON;
	if (!err && *frame)
		file->pool->host->get(*frame);
	mutex_unlock(&chunk->lock);
	return err;
}

/* ----------------------------------------------------------- allocating ahead -- */

static int allocate(struct mem_chunk *chunk, u32 first, u32 nr)
{
	int err = 0;
	u32 i;

	lockdep_assert_held(&chunk->lock);
	if (beyond_end(chunk, first + nr - 1))
		return -ERANGE;
	if (!chunk->huge && !chunk->slots)
		err = fill_chunk(chunk);
	for (i = first; i < first + nr && !err && chunk->slots; i++)
		if (!(chunk->slots[i] & ~MEM_SLOT_MAPPED))
			err = fill_page(chunk, i);
	mem_chunk_tidy(chunk);
	return err;
}

int mem_file_allocate(struct mem_file *file, u64 first, u64 nr)
{
	while (nr) {
		struct mem_chunk *chunk = mem_chunk_get(file, first);
		u32 i = first % MEM_HUGE_PAGES, n = min_t(u64, nr, MEM_HUGE_PAGES - i);
		int err;

		if (!chunk)
			return -ENOMEM;
		mutex_lock(&chunk->lock);
		err = allocate(chunk, i, n);
		mutex_unlock(&chunk->lock);
		if (err)
			return err;
		first += n;
		nr -= n;
		cond_resched();
	}
	return 0;
}
