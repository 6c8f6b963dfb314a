// SPDX-License-Identifier: GPL-2.0
/*
 * Clones: dst's pages become the frames of src, piece by piece, a piece lying in one
 * chunk of either. A whole chunk with a 2 MiB frame joins its ring:
 *
 *   src: protect ──► dst: gives up what it had ──► refs++, into the ring
 *
 * Otherwise both are slotted and each page is shared for itself:
 *
 *   src: protect what is writable (pinned: stays so) ──► dst: unmap
 *   each page: pinned ? a copy : one reference more ──► dst's slot, what it had is given up
 *
 * What can fail comes before the page of dst is given up, so that the pages that are not
 * done are what they were. Locks: pool->pair_lock, then src's, then dst's.
 */
#include "mem/chunk.h"

/* Pages [first, first + nr) of a chunk of the source, and as many in one of the destination. */
struct piece {
	struct mem_chunk *src, *dst;
	u32 from, to, nr;
	int present, shared, zero;	/* how dst's counts change, shared pages aside */
};

/* ---------------------------------------------------------------- whole chunks -- */

/* The pages are pinned: a copy of all of them, in a 2 MiB frame. False: none was to be had. */
static bool copy_whole(struct piece *p)
{
	struct mem_pool *pool = p->src->file->pool;
	struct mem_frame *huge;

	if (!READ_ONCE(pool->huge_pages) || mem_frame_alloc(pool, MEM_HUGE_ORDER, &huge))
		return false;
	if (mem_huge_copy(p->src, huge)) {
		mem_frame_free(pool, huge, MEM_HUGE_ORDER);
		return false;
	}
	mem_chunk_give_up(p->dst, NULL, 0, MEM_HUGE_PAGES);
	mem_chunk_unmap_empty(p->dst);
	mem_huge_set(p->dst, huge);
	p->dst->huge_writable = true;
	return true;
}

/* False: not done, and nothing is changed. */
static bool clone_whole(struct piece *p)
{
	struct mem_pages all;

	if (p->dst->huge == p->src->huge)
		return true;
	memset(&all, 0xff, sizeof(all));
	if (p->src->huge_writable && mem_chunk_protect(p->src, &all))
		return copy_whole(p);
	mem_chunk_give_up(p->dst, NULL, 0, MEM_HUGE_PAGES);
	mem_chunk_unmap_empty(p->dst);
	mem_huge_join(p->dst, p->src);
	return true;
}

/* --------------------------------------------------------------- page by page -- */

static void protect_source(struct piece *p)
{
	struct mem_pages set;
	unsigned long any = 0;
	u32 word, i;

	for (word = 0; word < ARRAY_SIZE(set.bits); word++) {
		const u64 *slots = p->src->slots + word * BITS_PER_LONG;
		unsigned long bits = 0;

		for (i = BITS_PER_LONG; i-- > 0; )
			bits = bits << 1 | !!(slots[i] & MEM_SLOT_WRITABLE);
		set.bits[word] = bits;
		any |= bits;
	}
	if (any && p->nr < MEM_HUGE_PAGES)
		mem_pages_cut(&set, p->from, p->nr);
	if (any)
		mem_chunk_write_protect(p->src, &set);
}

/* dst gets slots, or stays a 2 MiB frame that is pinned, to be copied into. */
static int prepare_dst(struct piece *p)
{
	struct mem_chunk *dst = p->dst;
	int err;

	if (dst->huge) {
		err = mem_huge_split(dst, p->src, 0, 0);
		if (err || dst->huge)
			return err;
	}
	if (!dst->slots) {
		mem_chunk_unmap_empty(dst);
		return mem_chunk_slots_new(dst);
	}
	mem_chunk_unmap(dst, p->to, p->nr);
	return 0;
}

static int copy_frame(struct mem_chunk *src, u32 i, struct mem_frame **frame)
{
	struct mem_pool *pool = src->file->pool;
	int err = mem_frame_alloc(pool, 0, frame);

	if (err)
		return err;
	err = mem_chunk_copy(src, i, pool->host->data(*frame));
	if (err)
		mem_frame_free(pool, *frame, 0);
	return err;
}

/* What dst's slot is to be for a page of src with an unchanging frame: another reference to it. */
static __always_inline u64 share_page(u64 *slot, struct mem_group *group, int *was_private)
{
	struct mem_frame *frame = mem_slot_frame(*slot);

	if (*slot & MEM_SLOT_SHARED) {
		atomic_long_inc(&frame->refs);
	} else {
		mem_frame_share(frame, group, 2);
		*slot = (*slot & ~MEM_SLOT_HEAT) | MEM_SLOT_SHARED;
		++*was_private;
	}
	return (unsigned long)frame | MEM_SLOT_SHARED;
}

/* The same for a page without a frame, or one that has to be copied. */
static int other_page(struct piece *p, u32 i, u64 *new)
{
	u64 slot = p->src->huge ? MEM_SLOT_WRITABLE : p->src->slots[i];
	struct mem_frame *frame;
	int err;

	if (slot & MEM_SLOT_WRITABLE) {
		err = copy_frame(p->src, i, &frame);
		if (err)
			return err;
		*new = (unsigned long)frame | MEM_SLOT_WRITABLE;
		p->present++;
		return 0;
	}
	*new = slot & MEM_SLOT_ZERO;
	p->zero += !!*new;
	return 0;
}

static void give_up_old(struct piece *p, u64 slot)
{
	if (mem_slot_frame(slot))
		p->present--;
	else if (slot & MEM_SLOT_ZERO)
		p->zero--;
	if (slot & MEM_SLOT_SHARED)
		p->shared--;
	mem_slot_give_up(p->dst->file->pool, slot);
}

static u32 clone_slots(struct piece *p, int *err)
{
	u64 *src = p->src->huge ? NULL : p->src->slots + p->from, *dst = p->dst->slots + p->to;
	struct mem_group *group = p->dst->file->group;
	int src_shared = 0, shared = 0;
	u32 done;

	for (done = 0; done < p->nr; done++) {
		u64 old = dst[done], new;

		if (likely(src && mem_slot_frame(src[done]) && !(src[done] & MEM_SLOT_WRITABLE))) {
			new = share_page(&src[done], group, &src_shared);
			shared++;
		} else {
			*err = other_page(p, p->from + done, &new);
			if (*err)
				break;
		}
		dst[done] = new;
		if (unlikely(old))
			give_up_old(p, old);
	}
	mem_chunk_count(p->src, 0, src_shared, 0);
	mem_chunk_count(p->dst, p->present + shared, p->shared + shared, p->zero);
	return done;
}

/* dst is a 2 MiB frame that others use by reference: they are to see the new contents. */
static u32 copy_in_place(struct piece *p, int *err)
{
	u32 i;

	p->dst->huge_writable = true;
	for (i = 0; i < p->nr; i++) {
		void *to = mem_chunk_data(p->dst, p->to + i);

		if (mem_chunk_frame(p->src, p->from + i))
			*err = mem_chunk_copy(p->src, p->from + i, to);
		else
			clear_page(to);
		if (*err)
			break;
	}
	return i;
}

static u32 clone_pages(struct piece *p, int *err)
{
	u32 done;

	*err = prepare_dst(p);
	if (*err)
		return 0;
	/* Not before: dissolving dst may have dissolved src as well. */
	if (p->src->slots)
		protect_source(p);
	if (p->dst->huge)
		done = copy_in_place(p, err);
	else
		done = clone_slots(p, err);
	mem_chunk_tidy(p->src);
	mem_chunk_tidy(p->dst);
	return done;
}

/* ---------------------------------------------------------------- one piece -- */

static u32 clone_locked(struct piece *p, int *err)
{
	int gone;

	if (p->src && p->src->file->group != p->dst->file->group)
		*err = -EXDEV;
	else if (p->dst->first + p->to + p->nr > READ_ONCE(p->dst->file->pages))
		*err = -ERANGE;
	if (*err)
		return 0;
	if (!p->src || (!p->src->huge && !p->src->slots)) {
		gone = mem_chunk_give_up(p->dst, p->src, p->to, p->nr);
		*err = min(gone, 0);
		return *err ? 0 : p->nr;
	}
	if (p->src->huge && p->nr == MEM_HUGE_PAGES && !mem_ring_is_full(p->src) && clone_whole(p))
		return p->nr;
	return clone_pages(p, err);
}

static u32 clone_piece(struct piece *p, int *err)
{
	struct mem_pool *pool = p->dst->file->pool;
	u32 done;

	mutex_lock(&pool->pair_lock);
	if (p->src) {
		mutex_lock_nest_lock(&p->src->lock, &pool->pair_lock);
		/* If it cannot be, pages are copied. */
		if (p->nr < MEM_HUGE_PAGES || mem_ring_is_full(p->src))
			mem_huge_dissolve(p->src, NULL);
	}
	if (p->dst != p->src)
		mutex_lock_nest_lock(&p->dst->lock, &pool->pair_lock);
	done = clone_locked(p, err);
	if (p->dst != p->src)
		mutex_unlock(&p->dst->lock);
	if (p->src)
		mutex_unlock(&p->src->lock);
	mutex_unlock(&pool->pair_lock);
	return done;
}

u64 mem_file_clone(struct mem_file *src, u64 src_first, struct mem_file *dst, u64 dst_first,
		   u64 nr, int *err)
{
	u64 done = 0;

	*err = mem_file_may_share(src, dst) ? 0 : -EXDEV;
	while (done < nr && !*err) {
		u64 from = src_first + done, to = dst_first + done;
		struct piece p = {
			.src = mem_chunk_find(src, from), .from = from % MEM_HUGE_PAGES,
			.dst = mem_chunk_find(dst, to), .to = to % MEM_HUGE_PAGES,
		};

		p.nr = min_t(u64, nr - done, MEM_HUGE_PAGES - max(p.from, p.to));
		if (p.src && !p.dst)
			p.dst = mem_chunk_get(dst, to);
		if (p.dst)
			done += clone_piece(&p, err);
		else if (p.src)
			*err = -ENOMEM;
		else
			done += p.nr;
		cond_resched();
	}
	return done;
}
