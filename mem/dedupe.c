// SPDX-License-Identifier: GPL-2.0
/*
 * Deduplication on demand: pages that a caller believes to be equal are compared, and share a
 * frame if they are. First without disturbing anybody, up to the first difference; what is
 * equal so far is protected, compared again, and merged.
 */
#include "mem/group.h"

/* Pages of a chunk of the source, and as many in one of the destination. NULL: all holes. */
struct pair {
	struct mem_pool *pool;
	struct mem_chunk *src, *dst;
	u32 from, to, nr;
};

static struct mem_frame *frame_at(const struct mem_chunk *chunk, u32 i)
{
	return chunk ? mem_chunk_frame(chunk, i) : NULL;
}

static bool poisoned_at(const struct mem_chunk *chunk, u32 i)
{
	return frame_at(chunk, i) && mem_chunk_poisoned(chunk, i);
}

static const void *bytes_at(const struct pair *p, const struct mem_chunk *chunk, u32 i)
{
	return frame_at(chunk, i) ? mem_chunk_data(chunk, i) : p->pool->host->data(p->pool->zero);
}

static bool one_frame(const struct pair *p, u32 k)
{
	return frame_at(p->src, p->from + k) == frame_at(p->dst, p->to + k);
}

static bool equal(const struct pair *p, u32 k)
{
	if (one_frame(p, k))
		return true;
	if (poisoned_at(p->src, p->from + k) || poisoned_at(p->dst, p->to + k))
		return false;
	return mem_pages_equal(bytes_at(p, p->src, p->from + k), bytes_at(p, p->dst, p->to + k));
}

static u32 equal_pages(const struct pair *p)
{
	u32 k = 0;

	while (k < p->nr && equal(p, k))
		k++;
	return k;
}

/* src is a 2 MiB frame, and all of it is equal: dst joins its ring. */
static int merge_whole(struct pair *p)
{
	struct mem_pages set;
	u32 gone = p->dst->present;

	memset(&set, 0xff, sizeof(set));
	if (mem_chunk_protect(p->src, &set))
		return -EBUSY;
	memset(&set, 0xff, sizeof(set));
	if (mem_chunk_protect(p->dst, &set))
		return -EBUSY;
	if (equal_pages(p) != MEM_HUGE_PAGES)
		return -EBADE;
	mem_chunk_give_up(p->dst, p->src, 0, MEM_HUGE_PAGES);
	mem_chunk_unmap_empty(p->dst);
	mem_huge_join(p->dst, p->src);
	atomic64_add(gone, &p->dst->file->stat.merged);
	return 0;
}

/* Protects those of the first @nr pages that have a frame, and not that of their partner. */
static void protect(const struct pair *p, u32 nr, struct mem_pages *src, struct mem_pages *dst)
{
	u32 k;

	memset(src, 0, sizeof(*src));
	memset(dst, 0, sizeof(*dst));
	for (k = 0; k < nr; k++) {
		if (one_frame(p, k))
			continue;
		mem_pages_add(src, p->from + k);
		mem_pages_add(dst, p->to + k);
	}
	if (p->src)
		mem_chunk_protect(p->src, src);
	mem_chunk_protect(p->dst, dst);
}

static int merge_page(const struct pair *p, u32 k, const struct mem_pages *src,
		      const struct mem_pages *dst)
{
	u32 from = p->from + k, to = p->to + k;
	struct mem_frame *frame = frame_at(p->src, from);

	if (one_frame(p, k) || !frame_at(p->dst, to))
		return 0;	/* nothing to be had */
	if (!mem_pages_has(dst, to) || (frame && !mem_pages_has(src, from)))
		return -EBUSY;
	if (!equal(p, k))
		return -EBADE;
	if (!frame) {
		mem_chunk_set_zero(p->dst, to);
		return 0;
	}
	if (!(p->src->slots[from] & MEM_SLOT_SHARED))
		mem_chunk_share(p->src, from);
	atomic_long_inc(&frame->refs);
	mem_chunk_replace(p->dst, to, frame);
	return 0;
}

static int merge_pages(struct pair *p, u32 nr)
{
	struct mem_pages src, dst;
	int err = 0;
	u32 k;

	if (p->src)
		err = mem_huge_dissolve(p->src, p->dst);
	if (!err)
		err = mem_huge_dissolve(p->dst, p->src);
	if (err)
		return err;
	protect(p, nr, &src, &dst);
	for (k = 0; k < nr && !err; k++)
		err = merge_page(p, k, &src, &dst);
	return err;
}

static int dedupe_locked(struct pair *p)
{
	u32 nr = equal_pages(p), differ = 0;
	int err = 0;

	while (differ < nr && one_frame(p, differ))
		differ++;
	if (differ == nr)
		err = 0;	/* they share already what they can */
	else if (p->src && p->src->file->group != p->dst->file->group)
		err = -EXDEV;
	else if (p->src && p->src->huge && nr == MEM_HUGE_PAGES && !mem_ring_is_full(p->src) &&
		 p->dst->first + MEM_HUGE_PAGES <= READ_ONCE(p->dst->file->pages))
		err = merge_whole(p);
	else
		err = merge_pages(p, nr);
	return err ?: nr < p->nr ? -EBADE : 0;
}

static int dedupe_piece(struct pair *p)
{
	int err;

	mutex_lock(&p->pool->pair_lock);
	if (p->src)
		mutex_lock_nest_lock(&p->src->lock, &p->pool->pair_lock);
	if (p->dst && p->dst != p->src)
		mutex_lock_nest_lock(&p->dst->lock, &p->pool->pair_lock);
	if (p->dst) {
		err = dedupe_locked(p);
	} else {
		/* All holes: equal to zeros, and nothing to save. */
		err = equal_pages(p) < p->nr ? -EBADE : 0;
	}
	if (p->dst && p->dst != p->src)
		mutex_unlock(&p->dst->lock);
	if (p->src)
		mutex_unlock(&p->src->lock);
	mutex_unlock(&p->pool->pair_lock);
	return err;
}

int mem_file_dedupe(struct mem_file *src, u64 src_first, struct mem_file *dst, u64 dst_first,
		    u64 nr)
{
	int err = mem_file_may_share(src, dst) ? 0 : -EXDEV;
	u64 done = 0;

	while (done < nr && !err) {
		u64 from = src_first + done, to = dst_first + done;
		struct pair p = {
			.pool = src->pool,
			.src = mem_chunk_find(src, from), .from = from % MEM_HUGE_PAGES,
			.dst = mem_chunk_find(dst, to), .to = to % MEM_HUGE_PAGES,
		};

		p.nr = min_t(u64, nr - done, MEM_HUGE_PAGES - max(p.from, p.to));
		err = dedupe_piece(&p);
		done += p.nr;
		cond_resched();
	}
	return err;
}
