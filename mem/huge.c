// SPDX-License-Identifier: GPL-2.0
/*
 * 2 MiB frames: taken by the first write to an empty chunk, shared as a whole by clones,
 * dissolved where a part has to go its own way, gathered again by copying.
 *
 *   chunk ◄─ring─► chunk ◄─ring─► chunk          chunk    chunk    chunk
 *        \           │           /                [512]    [512]    [512]   slots, SHARED
 *         └──────► huge ◄───────┘     dissolve      │ ╲      │      ╱ │
 *                 refs 3            ───────────►   huge+0  huge+1 … huge+511
 *                                                  refs 3  refs 3   refs 3
 *
 * A ring is dissolved as a whole: everyone's lock is taken, which only who holds
 * pool->pair_lock may wait for. If somebody holds the frame pinned, or the host cannot dissolve
 * it, the one chunk that needs to goes its own way with copies.
 */
#include "mem/chunk.h"

/* ------------------------------------------------------------------ rings -- */

/* Acquire: who left before has let go of our links. */
static bool alone(const struct mem_chunk *chunk)
{
	return atomic_long_read_acquire(&chunk->huge->refs) == 1;
}

bool mem_ring_lock(struct mem_chunk *chunk)
{
	struct mem_pool *pool = chunk->file->pool;

	lockdep_assert_held(&chunk->lock);
	if (!chunk->huge || alone(chunk))
		return false;
	mutex_unlock(&chunk->lock);
	mutex_lock(&pool->pair_lock);
	mutex_lock_nest_lock(&chunk->lock, &pool->pair_lock);
	return true;
}

void mem_ring_unlock(struct mem_chunk *chunk, bool locked)
{
	if (locked)
		mutex_unlock(&chunk->file->pool->pair_lock);
}

/* Nothing to wait for if there are no others, and then no need of the pair lock. */
static void ring_lock_others(struct mem_chunk *chunk, struct mem_chunk *held)
{
	struct mem_chunk *c;

	list_for_each_entry(c, &chunk->ring, ring)
		if (c != held)
			mutex_lock_nest_lock(&c->lock, &chunk->file->pool->pair_lock);
}

/* ----------------------------------------------------- coming and going -- */

static void become_huge(struct mem_chunk *chunk, struct mem_frame *huge)
{
	lockdep_assert_held(&chunk->lock);
	WARN_ON_ONCE(chunk->huge || chunk->slots || chunk->zero_mapped);
	chunk->huge = huge;
	chunk->huge_known = false;
	mem_chunk_count(chunk, MEM_HUGE_PAGES, 0, 0);
	atomic64_inc(&chunk->file->stat.huge);
}

/* What is behind the pages, and that they are counted, is the caller's business. */
static struct mem_frame *cease_huge(struct mem_chunk *chunk)
{
	struct mem_frame *huge = chunk->huge;

	if (chunk->huge_shared)
		mem_chunk_count(chunk, 0, -MEM_HUGE_PAGES, 0);
	chunk->huge = NULL;
	chunk->huge_writable = false;
	chunk->huge_shared = false;
	chunk->huge_mapped = false;
	chunk->huge_wanted = false;
	atomic64_dec(&chunk->file->stat.huge);
	return huge;
}

void mem_huge_set(struct mem_chunk *dst, struct mem_frame *huge)
{
	atomic_long_set(&huge->refs, 1);
	become_huge(dst, huge);
}

int mem_huge_copy(struct mem_chunk *chunk, struct mem_frame *huge)
{
	char *to = chunk->file->pool->host->data(huge);
	int err = 0;
	u32 i;

	for (i = 0; i < MEM_HUGE_PAGES && !err; i++)
		err = mem_chunk_copy(chunk, i, to + i * PAGE_SIZE);
	return err;
}

bool mem_huge_take(struct mem_chunk *chunk)
{
	struct mem_file *file = chunk->file;
	struct mem_pool *pool = file->pool;
	struct mem_frame *huge;

	if (!READ_ONCE(pool->huge_pages) || chunk->first + MEM_HUGE_PAGES > READ_ONCE(file->pages))
		return false;
	if (mem_frame_alloc(pool, MEM_HUGE_ORDER, &huge))
		return false;
	mem_frame_clear(pool, huge, MEM_HUGE_ORDER);
	mem_huge_set(chunk, huge);
	chunk->huge_writable = true;	/* not known to anybody yet */
	return true;
}

void mem_huge_join(struct mem_chunk *dst, struct mem_chunk *src)
{
	lockdep_assert_held(&dst->file->pool->pair_lock);
	lockdep_assert_held(&src->lock);
	WARN_ON_ONCE(src->huge_writable);
	become_huge(dst, src->huge);
	atomic_long_inc(&src->huge->refs);
	list_add(&dst->ring, &src->ring);
	dst->huge_shared = true;
	mem_chunk_count(dst, 0, MEM_HUGE_PAGES, 0);
	if (src->huge_shared)
		return;
	src->huge_shared = true;
	mem_chunk_count(src, 0, MEM_HUGE_PAGES, 0);
}

void mem_huge_drop(struct mem_chunk *chunk)
{
	struct mem_pool *pool = chunk->file->pool;
	struct mem_frame *huge;

	mem_chunk_unmap_huge(chunk);
	huge = cease_huge(chunk);
	mem_chunk_count(chunk, -MEM_HUGE_PAGES, 0, 0);
	list_del_init(&chunk->ring);
	if (atomic_long_dec_and_test(&huge->refs))
		mem_frame_free(pool, huge, MEM_HUGE_ORDER);
}

/* --------------------------------------------------------------- dissolving -- */

static int ring_slots_new(struct mem_chunk *chunk)
{
	struct mem_chunk *c;
	int err = mem_chunk_slots_new(chunk);

	list_for_each_entry(c, &chunk->ring, ring)
		if (!err)
			err = mem_chunk_slots_new(c);
	return err;
}

static bool ring_dissolve(struct mem_chunk *chunk)
{
	struct mem_pool *pool = chunk->file->pool;
	struct mem_chunk *c;

	mem_chunk_unmap_huge(chunk);
	list_for_each_entry(c, &chunk->ring, ring)
		mem_chunk_unmap_huge(c);
	return !pool->host->pinned(chunk->huge) && pool->host->dissolve(pool, chunk->huge);
}

/*
 * The chunk has slots already; they get the frames, which @refs chunks name. What lies beyond
 * the file's end goes: a pinned frame had to keep it when the file became shorter.
 */
static void into_slots(struct mem_chunk *chunk, long refs)
{
	u64 flags = refs > 1 ? MEM_SLOT_SHARED : chunk->huge_writable ? MEM_SLOT_WRITABLE : 0;
	struct mem_frame *huge = cease_huge(chunk);
	u32 i;

	for (i = 0; i < MEM_HUGE_PAGES; i++)
		chunk->slots[i] = (unsigned long)(huge + i) | flags;
	if (refs > 1)
		mem_chunk_count(chunk, 0, MEM_HUGE_PAGES, 0);
	if (chunk->first + MEM_HUGE_PAGES > READ_ONCE(chunk->file->pages))
		mem_chunk_give_up_end(chunk);
}

int mem_huge_dissolve(struct mem_chunk *chunk, struct mem_chunk *held)
{
	struct mem_frame *huge = chunk->huge;
	struct mem_chunk *c, *next;
	long refs;
	u32 i;
	int err;

	lockdep_assert_held(&chunk->lock);
	if (!huge)
		return 0;
	refs = atomic_long_read(&huge->refs);
	ring_lock_others(chunk, held);
	err = ring_slots_new(chunk);
	if (!err && !ring_dissolve(chunk))
		err = -EBUSY;
	for (i = 0; !err && refs > 1 && i < MEM_HUGE_PAGES; i++)
		mem_frame_share(huge + i, chunk->file->group, refs);
	list_for_each_entry_safe(c, next, &chunk->ring, ring) {
		if (err) {
			mem_chunk_slots_free(c);
		} else {
			into_slots(c, refs);
			list_del_init(&c->ring);
		}
		if (c != held)
			mutex_unlock(&c->lock);
	}
	if (err)
		mem_chunk_slots_free(chunk);
	else
		into_slots(chunk, refs);
	return err;
}

int mem_chunk_dissolve(struct mem_chunk *chunk)
{
	bool ring = mem_ring_lock(chunk);
	int err = mem_huge_dissolve(chunk, NULL);

	mem_ring_unlock(chunk, ring);
	return err;
}

/* ------------------------------------------------------------------ copying -- */

static int copy_slot(struct mem_chunk *chunk, u32 i)
{
	struct mem_pool *pool = chunk->file->pool;
	struct mem_frame *frame;
	int err = mem_frame_alloc_break(chunk->file->group, &frame);

	if (err)
		return err;
	chunk->slots[i] = (unsigned long)frame | MEM_SLOT_WRITABLE;
	return mem_chunk_copy(chunk, i, pool->host->data(frame));
}

/* Slots with copies of the 2 MiB frame's pages, without [skip, skip + nr). All or none. */
static int copy_slots(struct mem_chunk *chunk, u32 skip, u32 nr)
{
	struct mem_pool *pool = chunk->file->pool;
	u32 i;
	int err = mem_chunk_slots_new(chunk);

	if (err)
		return err;
	for (i = 0; i < MEM_HUGE_PAGES && !err; i++)
		if (i - skip >= nr)
			err = copy_slot(chunk, i);
	while (err && i-- > 0)
		mem_slot_give_up(pool, chunk->slots[i]);
	if (err)
		mem_chunk_slots_free(chunk);
	return err;
}

/* A shared 2 MiB frame is left to the others; small: copies of 4 KiB. */
static int copy_out(struct mem_chunk *chunk, u32 skip, u32 nr, bool small)
{
	struct mem_pool *pool = chunk->file->pool;
	struct mem_frame *copy;
	int err;

	if (!small && READ_ONCE(pool->huge_pages) &&
	    !mem_frame_alloc(pool, MEM_HUGE_ORDER, &copy)) {
		err = mem_huge_copy(chunk, copy);
		if (err) {
			mem_frame_free(pool, copy, MEM_HUGE_ORDER);
			return err;
		}
		mem_huge_drop(chunk);
		mem_huge_set(chunk, copy);
		chunk->huge_writable = true;
		return 0;
	}
	err = copy_slots(chunk, skip, nr);
	if (err)
		return err;
	mem_huge_drop(chunk);
	mem_chunk_count(chunk, MEM_HUGE_PAGES - nr, 0, 0);
	return 0;
}

int mem_huge_split(struct mem_chunk *chunk, struct mem_chunk *held, u32 skip, u32 nr)
{
	if (!mem_huge_dissolve(chunk, held) || !chunk->huge_shared)
		return 0;
	return copy_out(chunk, skip, nr, true);
}

/* Alone, and nobody uses the frame: it is private. */
static bool take_back(struct mem_chunk *chunk)
{
	mem_chunk_unmap_huge(chunk);
	if (chunk->file->pool->host->pinned(chunk->huge))
		return false;
	chunk->huge_shared = false;
	chunk->huge_wanted = false;
	mem_chunk_count(chunk, 0, -MEM_HUGE_PAGES, 0);
	return true;
}

static int unshare(struct mem_chunk *chunk)
{
	int err;

	if (alone(chunk) ? take_back(chunk) : !mem_huge_dissolve(chunk, NULL))
		return 0;
	err = copy_out(chunk, 0, 0, false);
	if (!err)
		atomic64_add(MEM_HUGE_PAGES, &chunk->file->stat.cow_breaks);
	return err;
}

int mem_huge_unshare(struct mem_chunk *chunk)
{
	bool ring = mem_ring_lock(chunk);
	int err = chunk->huge && chunk->huge_shared ? unshare(chunk) : 0;

	mem_ring_unlock(chunk, ring);
	return err;
}

/* ---------------------------------------------------------------- gathering -- */

static bool may_gather(const struct mem_chunk *chunk)
{
	u32 i;

	if (!chunk->slots || chunk->present != MEM_HUGE_PAGES ||
	    chunk->first + MEM_HUGE_PAGES > READ_ONCE(chunk->file->pages))
		return false;
	for (i = 0; i < MEM_HUGE_PAGES && chunk->shared; i++)
		if (chunk->slots[i] & MEM_SLOT_SHARED &&
		    atomic_long_read(&mem_slot_frame(chunk->slots[i])->refs) != 1)
			return false;
	return true;
}

/* Every page unmapped, private and nobody's but ours. */
static bool own_all(struct mem_chunk *chunk)
{
	struct mem_pages all;
	u32 i;

	memset(&all, 0xff, sizeof(all));
	if (mem_chunk_protect(chunk, &all))
		return false;
	for (i = 0; i < MEM_HUGE_PAGES && chunk->shared; i++)
		if (chunk->slots[i] & MEM_SLOT_SHARED && !mem_chunk_take_back(chunk, i, false))
			return false;
	return true;
}

/* The new frame takes the places of 512: pool->pages stays as it is. */
int mem_chunk_gather(struct mem_chunk *chunk)
{
	struct mem_pool *pool = chunk->file->pool;
	struct mem_frame *huge;
	u32 i;
	int err;

	lockdep_assert_held(&chunk->lock);
	if (!may_gather(chunk))
		return -EINVAL;
	huge = pool->host->alloc(pool, MEM_HUGE_ORDER, MEM_CHARGE_CALLER);
	if (!huge)
		return -ENOMEM;
	err = own_all(chunk) ? mem_huge_copy(chunk, huge) : -EBUSY;
	if (err) {
		pool->host->free(pool, huge, MEM_HUGE_ORDER);
		return err;
	}
	for (i = 0; i < MEM_HUGE_PAGES; i++)
		pool->host->free(pool, mem_slot_frame(chunk->slots[i]), 0);
	mem_chunk_slots_free(chunk);
	mem_chunk_count(chunk, -MEM_HUGE_PAGES, 0, 0);
	mem_huge_set(chunk, huge);
	return 0;
}
