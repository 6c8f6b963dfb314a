// SPDX-License-Identifier: GPL-2.0
/*
 * The pool: what frames come from and go back to, counted against the size limit.
 *
 *   a hole is filled ──────► charge ──► host->alloc          refused: -ENOSPC, -ENOMEM
 *   sharing is broken ─────► the same, else the reserve      refused: -EBUSY, the writer waits
 *                                         ▲
 *                        mem_pool_refill ─┘ from a thread that may wait
 *
 * The reserve is for when the machine has no memory, or the pool no room. A caller who only may
 * not have more (his memory cgroup is full) gets nothing of it: -ENOMEM, as for a hole. So where
 * there is memory but no room the copy is in a frame of the caller's, charged to him, and one of
 * the reserve is given back for it.
 *
 * A group may take three times what it leaves of the reserve, counted from when that was last
 * full. One with a burst so waits before the others have nothing left. If there are no others it
 * may take all.
 */
#include "mem/group.h"

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
	struct mem_frame *frame = pool->host->alloc(pool, order, MEM_CHARGE_NOBODY);

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
	xa_init(&pool->scanned);
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
	xa_destroy(&pool->scanned);
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

/* Is there no other group that something has to be left for? */
static bool is_only_group(struct mem_pool *pool)
{
	bool only;

	spin_lock(&pool->lock);
	only = pool->groups.next == pool->groups.prev;
	spin_unlock(&pool->lock);
	return only;
}

/* Three times what it leaves; but one frame in any case. */
static bool has_share(struct mem_reserve *reserve, struct mem_group *group)
{
	lockdep_assert_held(&reserve->lock);
	if (group->reserve_round != reserve->round) {
		group->reserve_round = reserve->round;
		group->reserve_taken = 0;
	}
	return !group->reserve_taken || group->reserve_taken / 3 + 2 <= reserve->nr;
}

static void reserve_push(struct mem_reserve *reserve, struct mem_frame *frame)
{
	lockdep_assert_held(&reserve->lock);
	frame->group = (struct mem_group *)reserve->first;
	reserve->first = frame;
	WRITE_ONCE(reserve->nr, reserve->nr + 1);
}

/* Events are told under the lock, so that they come in the order in which things happened. */
static struct mem_frame *reserve_take(struct mem_group *group)
{
	struct mem_pool *pool = group->pool;
	struct mem_reserve *reserve = &pool->reserve;
	bool only = is_only_group(pool);
	struct mem_frame *frame = NULL;

	spin_lock(&reserve->lock);
	if (has_share(reserve, group) || only)
		frame = reserve_pop(reserve);
	if (frame)
		group->reserve_taken++;
	if (!reserve->low &&
	    (!frame || reserve->nr < DIV_ROUND_UP(READ_ONCE(reserve->target), 4))) {
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

static void reserve_put_back(struct mem_group *group, struct mem_frame *frame)
{
	struct mem_reserve *reserve = &group->pool->reserve;

	spin_lock(&reserve->lock);
	reserve_push(reserve, frame);
	if (group->reserve_taken)
		group->reserve_taken--;
	spin_unlock(&reserve->lock);
}

/* It is as it should be. The event is told if it had been low. */
static void reserve_full(struct mem_pool *pool)
{
	struct mem_reserve *reserve = &pool->reserve;

	lockdep_assert_held(&reserve->lock);
	reserve->round++;
	if (!reserve->low && !reserve->gone)
		return;
	WRITE_ONCE(reserve->low, false);
	WRITE_ONCE(reserve->gone, false);
	pool->host->event(pool, MEM_EVENT_RESERVE_OK);
}

/*
 * One step towards the target. *surplus: a frame that is too many. False: nothing is left to do.
 * While somebody waits that is one frame at least, also where none is wanted: only then has he a
 * reason to try again.
 */
static bool refill_step(struct mem_pool *pool, struct mem_frame **surplus)
{
	struct mem_reserve *reserve = &pool->reserve;
	u32 target = READ_ONCE(reserve->target);
	bool more;

	*surplus = NULL;
	spin_lock(&reserve->lock);
	if (reserve->nr == max_t(u32, target, reserve->gone))
		reserve_full(pool);
	target = max_t(u32, target, reserve->gone);
	more = reserve->nr != target;
	if (reserve->nr > target)
		*surplus = reserve_pop(reserve);
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
		frame = pool->host->alloc(pool, 0, MEM_CHARGE_NOBODY);
		if (!frame)
			return false;
		spin_lock(&reserve->lock);
		reserve_push(reserve, frame);
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
	*frame = pool->host->alloc(pool, order, MEM_CHARGE_CALLER);
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

/* No room: one of the reserve goes for one of the caller's, unless the machine has none. */
static int exchange(struct mem_group *group, struct mem_frame *reserved, struct mem_frame **frame)
{
	struct mem_pool *pool = group->pool;

	*frame = pool->host->alloc(pool, 0, MEM_CHARGE_CALLER);
	if (*frame) {
		pool->host->free(pool, reserved, 0);
		return 0;
	}
	*frame = reserved;
	if (pool->host->starved(pool))
		return 0;
	reserve_put_back(group, reserved);
	return -ENOMEM;
}

int mem_frame_alloc_break(struct mem_group *group, struct mem_frame **frame)
{
	struct mem_pool *pool = group->pool;
	int err = frame_alloc(pool, 0, frame);

	if (likely(!err))
		return 0;
	if (err == -ENOMEM && !pool->host->starved(pool))
		return -ENOMEM;
	/* Counted before it leaves the reserve, which else would be filled up beyond the limit. */
	atomic64_inc(&pool->pages);
	*frame = reserve_take(group);
	if (!*frame)
		err = -EBUSY;
	else
		err = err == -ENOSPC ? exchange(group, *frame, frame) : 0;
	if (err)
		atomic64_dec(&pool->pages);
	return err;
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
