// SPDX-License-Identifier: GPL-2.0
/*
 * The pool: what frames come from and go back to, counted against the size limit.
 *
 *   a hole is filled ──────► charge ──► host->alloc          refused: -ENOSPC, -ENOMEM
 *   sharing is broken ─────► the same, else the reserve      refused: -EBUSY, the writer waits
 *                                         ▲
 *                        mem_pool_refill ─┘ from a thread that may wait
 */
#include "mem/chunk.h"

static void reserve_free(struct mem_pool *pool)
{
	struct mem_frame *frame;

	while ((frame = pool->reserve.first)) {
		pool->reserve.first = (struct mem_frame *)frame->group;
		pool->reserve.nr--;
		pool->host->free(pool, frame, 0);
	}
}

static struct mem_frame *zero_new(struct mem_pool *pool, unsigned int order)
{
	struct mem_frame *frame = pool->host->alloc(pool, order);

	if (frame)
		mem_frame_clear(pool, frame, order);
	return frame;
}

int mem_pool_init(struct mem_pool *pool, const struct mem_host_ops *host, u64 max_pages,
		  u32 reserve_pages, bool huge_pages)
{
	memset(pool, 0, sizeof(*pool));
	pool->host = host;
	mutex_init(&pool->pair_lock);
	spin_lock_init(&pool->lock);
	spin_lock_init(&pool->reserve.lock);
	INIT_LIST_HEAD(&pool->files);
	INIT_LIST_HEAD(&pool->groups);
	pool->max_pages = max_pages;
	pool->huge_pages = huge_pages;
	pool->reserve.target = reserve_pages;
	pool->zero = zero_new(pool, 0);
	if (!pool->zero)
		return -ENOMEM;
	if (mem_pool_refill(pool))
		return 0;
	mem_pool_fini(pool);
	return -ENOMEM;
}

void mem_pool_fini(struct mem_pool *pool)
{
	WARN_ON_ONCE(!list_empty(&pool->files) || !list_empty(&pool->groups));
	WARN_ON_ONCE(atomic64_read(&pool->pages) || atomic64_read(&pool->metadata_bytes));
	reserve_free(pool);
	pool->host->free(pool, pool->zero, 0);
	if (pool->huge_zero)
		pool->host->free(pool, pool->huge_zero, MEM_HUGE_ORDER);
}

/* ---------------------------------------------------------------- reserve -- */

static struct mem_frame *reserve_pop(struct mem_reserve *reserve)
{
	struct mem_frame *frame = reserve->first;

	lockdep_assert_held(&reserve->lock);
	if (frame) {
		reserve->first = (struct mem_frame *)frame->group;
		WRITE_ONCE(reserve->nr, reserve->nr - 1);
	}
	return frame;
}

/* Events are told under the lock, so that they come in the order in which things happened. */
static struct mem_frame *reserve_take(struct mem_pool *pool)
{
	struct mem_reserve *reserve = &pool->reserve;
	struct mem_frame *frame;

	spin_lock(&reserve->lock);
	frame = reserve_pop(reserve);
	if (reserve->nr < READ_ONCE(reserve->target) / 4 && !reserve->low) {
		WRITE_ONCE(reserve->low, true);
		pool->host->event(pool, MEM_EVENT_RESERVE_LOW);
	}
	if (!frame && !reserve->gone) {
		WRITE_ONCE(reserve->gone, true);
		pool->host->event(pool, MEM_EVENT_RESERVE_GONE);
	}
	spin_unlock(&reserve->lock);
	return frame;
}

/*
 * One step towards the target. *surplus: a frame that is too many. False: nothing is left to
 * do, and the event is told if it had been low.
 */
static bool refill_step(struct mem_pool *pool, struct mem_frame **surplus)
{
	struct mem_reserve *reserve = &pool->reserve;
	u32 target = READ_ONCE(reserve->target);
	bool more;

	*surplus = NULL;
	spin_lock(&reserve->lock);
	more = reserve->nr != target;
	if (reserve->nr > target)
		*surplus = reserve_pop(reserve);
	if (!more && (reserve->low || reserve->gone)) {
		WRITE_ONCE(reserve->low, false);
		WRITE_ONCE(reserve->gone, false);
		pool->host->event(pool, MEM_EVENT_RESERVE_OK);
	}
	spin_unlock(&reserve->lock);
	return more;
}

/* Without it, reading an empty chunk puts small pages in the way of a large mapping. It stays. */
static void add_huge_zero(struct mem_pool *pool)
{
	struct mem_frame *frame;

	if (!READ_ONCE(pool->huge_pages) || READ_ONCE(pool->huge_zero))
		return;
	frame = zero_new(pool, MEM_HUGE_ORDER);
	if (frame && cmpxchg(&pool->huge_zero, NULL, frame))
		pool->host->free(pool, frame, MEM_HUGE_ORDER);
}

bool mem_pool_refill(struct mem_pool *pool)
{
	struct mem_reserve *reserve = &pool->reserve;
	struct mem_frame *frame;

	add_huge_zero(pool);
	while (refill_step(pool, &frame)) {
		u64 max = READ_ONCE(pool->max_pages);

		if (frame) {
			pool->host->free(pool, frame, 0);
			continue;
		}
		if (max && (u64)atomic64_read(&pool->pages) + READ_ONCE(reserve->nr) >= max)
			return false;
		frame = pool->host->alloc(pool, 0);
		if (!frame)
			return false;
		spin_lock(&reserve->lock);
		frame->group = (struct mem_group *)reserve->first;
		reserve->first = frame;
		WRITE_ONCE(reserve->nr, reserve->nr + 1);
		spin_unlock(&reserve->lock);
	}
	return true;
}

/* ----------------------------------------------------------------- frames -- */

/*
 * The room of the reserve is kept free even while some of it is in use. Never over the limit,
 * not even for a moment: a try for 2 MiB shall not make somebody's 4 KiB fail.
 */
static bool charge(struct mem_pool *pool, u64 nr)
{
	u64 max = READ_ONCE(pool->max_pages), pages;

	if (likely(!max)) {
		atomic64_add(nr, &pool->pages);
		return true;
	}
	do {
		pages = atomic64_read(&pool->pages);
		if (pages + nr + READ_ONCE(pool->reserve.target) > max)
			return false;
	} while ((u64)atomic64_cmpxchg(&pool->pages, pages, pages + nr) != pages);
	return true;
}

static int frame_alloc(struct mem_pool *pool, unsigned int order, struct mem_frame **frame)
{
	if (!charge(pool, BIT(order)))
		return -ENOSPC;
	*frame = pool->host->alloc(pool, order);
	if (likely(*frame))
		return 0;
	atomic64_sub(BIT(order), &pool->pages);
	return -ENOMEM;
}

int mem_frame_alloc(struct mem_pool *pool, unsigned int order, struct mem_frame **frame)
{
	int err = frame_alloc(pool, order, frame);

	if (err == -ENOSPC && !order)
		pool->host->event(pool, MEM_EVENT_POOL_FULL);
	return err;
}

int mem_frame_alloc_break(struct mem_pool *pool, struct mem_frame **frame)
{
	if (!frame_alloc(pool, 0, frame))
		return 0;
	*frame = reserve_take(pool);
	if (!*frame)
		return -EBUSY;
	atomic64_inc(&pool->pages);
	return 0;
}

void mem_frame_free(struct mem_pool *pool, struct mem_frame *frame, unsigned int order)
{
	atomic64_sub(BIT(order), &pool->pages);
	pool->host->free(pool, frame, order);
}

void mem_frame_clear(struct mem_pool *pool, struct mem_frame *frame, unsigned int order)
{
	char *data = pool->host->data(frame);
	u32 i;

	for (i = 0; i < BIT(order); i++)
		clear_page(data + i * PAGE_SIZE);
}

void mem_frame_copy(struct mem_pool *pool, struct mem_frame *frame, const void *from)
{
	copy_page(pool->host->data(frame), (void *)from);
}
