// SPDX-License-Identifier: GPL-2.0
/*
 * Pages in which the scanner saw others, or zeros: compared, and given up for the one frame that
 * both can be. First as they are, so that a stale hint disturbs nobody, then protected, for good.
 *
 * A partner is a shared frame that the index knows, or a page of this or another chunk. That
 * one is locked by trylock. All is done in turns of few pages, see mem_visit_breathe(): with both
 * locks dropped in between, and the other one first.
 */
#include "mem/visit.h"

/* ------------------------------------------------------------- other chunks -- */

static void forget_hint(struct mem_visit *v, u64 hash, u64 where)
{
	spin_lock(&v->group->lock);
	mem_index_del_hint(&v->group->index, hash, where);
	spin_unlock(&v->group->lock);
}

/*
 * Locked, or NULL: it is gone, or *busy. May be our own. A file that no longer shares is as good as
 * gone: it was empty when it was told so, but hints may lead to what it has got since.
 */
static struct mem_chunk *other_get(struct mem_visit *v, u32 id, bool *busy)
{
	struct mem_chunk *other;

	*busy = false;
	if (id == v->chunk->id)
		return v->chunk;
	other = mem_group_trylock_chunk(v->group, id, busy);
	if (!other || !READ_ONCE(other->file->never_share))
		return other;
	mem_group_unlock_chunk(v->group, other);
	return NULL;
}

static void other_put(struct mem_visit *v, struct mem_chunk *other)
{
	if (other != v->chunk)
		mem_group_unlock_chunk(v->group, other);
}

/* The pages of @from with hints into the same chunk as page @i's move to @to; so many at most. */
static u32 take_same(struct mem_visit *v, struct mem_pages *from, u32 i, struct mem_pages *to,
		     u32 most)
{
	u32 id = v->scan->other[i] >> MEM_HUGE_ORDER;

	memset(to, 0, sizeof(*to));
	for (; i < MEM_HUGE_PAGES && most; i = mem_pages_next(from, i + 1)) {
		if (v->scan->other[i] >> MEM_HUGE_ORDER != id)
			continue;
		mem_pages_del(from, i);
		mem_pages_add(to, i);
		most--;
	}
	return id;
}

/* Those of @set whose match is a hint. */
static struct mem_pages hinted(struct mem_visit *v, const struct mem_pages *set)
{
	struct mem_pages some = *set;
	u32 i;

	mem_pages_for_each(set, i)
		if (v->scan->other[i] == MEM_VISIT_OTHER_FRAME)
			mem_pages_del(&some, i);
	return some;
}

/* ---------------------------------------------------------------- validate -- */

/* Does it look as if page @i were equal to the one its hint names? */
static bool plausible(struct mem_visit *v, u32 i, const struct mem_chunk *other)
{
	u64 hash = v->scan->hash[i];
	const void *data = mem_visit_page_data(other, v->scan->other[i] % MEM_HUGE_PAGES);
	const void *ours = mem_visit_page_data(v->chunk, i);

	if (!ours)
		return false;
	if (data && mem_pages_equal(ours, data))
		return true;
	/* The hint is stale, unless it only looks like one for this hash. */
	if (!data || (mem_hash_page(&v->group->key, data) ^ hash) & (BIT_ULL(28) - 1))
		forget_hint(v, hash, v->scan->other[i]);
	return false;
}

void mem_visit_validate(struct mem_visit *v)
{
	struct mem_pages left = hinted(v, &v->match), same;
	struct mem_chunk *other;
	bool busy;
	u32 i, id;

	while ((i = mem_pages_next(&left, 0)) < MEM_HUGE_PAGES && mem_visit_breathe(v)) {
		id = take_same(v, &left, i, &same, v->scan->breath_pages);
		v->handled += mem_pages_count(&same);
		other = other_get(v, id, &busy);
		mem_pages_for_each(&same, i) {
			if (other && plausible(v, i, other))
				continue;
			mem_pages_del(&v->match, i);
			if (busy)
				mem_pages_add(&v->open, i);
			else if (!other)
				forget_hint(v, v->scan->hash[i], v->scan->other[i]);
		}
		if (other)
			other_put(v, other);
		v->busy |= busy;
	}
}

/* ------------------------------------------------------------------- merge -- */

/*
 * Some of the pages of @left, which were protected, move to @some. To those of them that somebody
 * may have come to since it is done again; not if they were written, and so are not what was found.
 * False: there are no more, or the visit is over.
 */
static bool take_some(struct mem_visit *v, struct mem_pages *left, struct mem_pages *some)
{
	u32 i = 0, nr = 0;

	memset(some, 0, sizeof(*some));
	if (!mem_visit_breathe(v))
		return false;
	while (nr < v->scan->breath_pages && (i = mem_pages_next(left, i)) < MEM_HUGE_PAGES) {
		mem_pages_del(left, i);
		if (v->touched && v->slots[i] & MEM_SLOT_WRITABLE)
			continue;
		mem_pages_add(some, i);
		nr++;
	}
	v->handled += nr;
	if (v->touched)
		mem_chunk_protect(v->chunk, some);
	return nr;
}

/* Page @i, protected, becomes the frame, which is equal to it; the reference is the caller's. */
static void give_up(struct mem_visit *v, u32 i, struct mem_frame *frame)
{
	mem_chunk_replace(v->chunk, i, frame);
	v->gained++;
	atomic64_inc(&v->scan->stat.merged);
}

static bool equals(struct mem_visit *v, u32 i, struct mem_frame *frame)
{
	return mem_slot_frame(v->chunk->slots[i]) != frame && !mem_chunk_poisoned(v->chunk, i) &&
	       likely(!v->scan->pool->host->poisoned(frame)) &&
	       mem_pages_equal(mem_chunk_data(v->chunk, i), v->scan->pool->host->data(frame));
}

/* With the shared frame that the index knows, if there is one. True: it has it (by now). */
static bool merge_indexed(struct mem_visit *v, u32 i)
{
	struct mem_index_hit hit = { NULL, 0 };
	bool found, same;

	spin_lock(&v->group->lock);
	found = mem_index_find(&v->group->index, v->scan->hash[i], &hit, 1) && hit.frame &&
		mem_frame_tryget(hit.frame);
	spin_unlock(&v->group->lock);
	if (!found)
		return false;
	if (equals(v, i, hit.frame)) {
		give_up(v, i, hit.frame);
		return true;
	}
	same = mem_slot_frame(v->chunk->slots[i]) == hit.frame;
	mem_frame_put(v->scan->pool, hit.frame);
	return same;
}

/* With page @j of a locked chunk, which is shared or protected. */
static void merge_hinted(struct mem_visit *v, u32 i, struct mem_chunk *other, u32 j)
{
	struct mem_frame *frame = mem_slot_frame(other->slots[j]);

	if (!equals(v, i, frame))
		return;
	if (!(other->slots[j] & MEM_SLOT_SHARED))
		mem_chunk_share(other, j);
	spin_lock(&v->group->lock);
	mem_index_del_hint(&v->group->index, v->scan->hash[i], v->scan->other[i]);
	if (!frame->hash)
		mem_visit_enter_frame(v->group, frame, v->scan->hash[i]);
	spin_unlock(&v->group->lock);
	if (mem_frame_tryget(frame))
		give_up(v, i, frame);
}

/* The other chunk has slots, or false. One with a ring cannot be dissolved while ours is locked. */
static bool other_slotted(struct mem_visit *v, struct mem_chunk *other, const struct mem_pages *same)
{
	u32 least = READ_ONCE(v->scan->dissolve_pages);

	if (!other->huge)
		return other->slots;
	if (!least || mem_pages_count(same) < least)
		return false;
	if (atomic_long_read(&other->huge->refs) > 1) {
		mem_scan_later(v->scan, v->group, other->id, true);
		v->busy = true;
		v->open = mem_pages_either(&v->open, same);
		return false;
	}
	if (mem_chunk_dissolve(other))
		return false;
	atomic64_inc(&v->scan->stat.dissolved);
	return other->slots;
}

/*
 * The pages of @some with those that their hints name, all in chunk @other, locked and slotted; the
 * partners of @reach are protected in one go. Where such a page is pinned there is nothing more to
 * try: it will look for ours when it no longer is.
 */
static void merge_some(struct mem_visit *v, struct mem_chunk *other, const struct mem_pages *reach,
		       const struct mem_pages *some)
{
	struct mem_pages theirs = { { 0 } };
	u32 i, j;

	mem_pages_for_each(reach, i) {
		j = v->scan->other[i] % MEM_HUGE_PAGES;
		if (mem_slot_is_private(other->slots[j]))
			mem_pages_add(&theirs, j);
	}
	mem_chunk_protect(other, &theirs);
	mem_pages_for_each(some, i) {
		j = v->scan->other[i] % MEM_HUGE_PAGES;
		/* The first such pair may have made the frame for this one. */
		if (merge_indexed(v, i))
			continue;
		if (mem_pages_has(&theirs, j) || other->slots[j] & MEM_SLOT_SHARED)
			merge_hinted(v, i, other, j);
	}
}

/* The pages of @same, protected, all with hints into the chunk with the id. */
static void merge_hints(struct mem_visit *v, u32 id, const struct mem_pages *same)
{
	struct mem_pages left = *same, some;
	const struct mem_pages *reach = same;
	struct mem_chunk *other;
	bool busy;

	while (take_some(v, &left, &some)) {
		other = other_get(v, id, &busy);
		v->busy |= busy;
		if (busy)
			v->open = mem_pages_either(&v->open, same);
		if (!other)
			return;
		if (other_slotted(v, other, same))
			merge_some(v, other, reach, &some);
		other_put(v, other);
		reach = &some;
	}
}

void mem_visit_merge(struct mem_visit *v)
{
	struct mem_pages todo = v->match, left = { { 0 } }, some;
	u32 i, id;

	while (take_some(v, &todo, &some))
		mem_pages_for_each(&some, i)
			if (!merge_indexed(v, i) && v->scan->other[i] != MEM_VISIT_OTHER_FRAME)
				mem_pages_add(&left, i);
	while (!v->lost && (i = mem_pages_next(&left, 0)) < MEM_HUGE_PAGES) {
		id = take_same(v, &left, i, &some, MEM_HUGE_PAGES);
		merge_hints(v, id, &some);
	}
}

void mem_visit_merge_zero(struct mem_visit *v)
{
	struct mem_pages left = v->zero, some;
	u32 i;

	while (take_some(v, &left, &some)) {
		mem_pages_for_each(&some, i) {
			if (mem_chunk_poisoned(v->chunk, i) ||
			    !mem_page_is_zero(mem_chunk_data(v->chunk, i)))
				continue;
			mem_chunk_set_zero(v->chunk, i);
			v->gained++;
			atomic64_inc(&v->scan->stat.zero);
		}
	}
}
