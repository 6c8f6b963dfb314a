// SPDX-License-Identifier: GPL-2.0
/*
 * The scanner's visit to one chunk, under its lock:
 *
 *   look      hash the pages as they are, mapped and perhaps being written; zero ones apart
 *   classify  ask the index: seen before (calm), seen elsewhere (match), or new
 *   validate  compare with the hinted pages, so that a stale hint disturbs nobody
 *   protect   all pages of use in one go: from here on their content stays
 *   merge     compare again, now for good, and give the frames up
 *   learn     what is calm is skipped until it is written; what changed is left alone for a while
 *
 * A match is a shared frame that the index knows, or a hint: a page of this or another chunk. That
 * one is locked by trylock; if it is busy the chunk is visited again before the round ends. Pages
 * with hints into the same chunk are handled together.
 *
 * How often a page is looked at: its slot has 2 bits for the scanner.
 *
 *   0, 1, 2   at each visit, each 2nd, each 8th: grows when it had changed, 0 if not
 *   3         known: its hash is in the index. Skipped as long as it is not WRITABLE. Of a shared
 *             page: that of its frame.
 */
#include "mem/scan.h"

#define HEAT_MAX	2
#define HEAT_KNOWN	3
#define CHUNK_HEAT_MAX	4
#define CHUNK_HEAT_UNSETTLED	1	/* with pages that change */
#define CHUNK_HEAT_PINNED	8	/* trying disturbs its users for nothing */
/*
 * Protecting a few pages of a chunk costs the scanner and the guest, which has to fault, more than it
 * does to hash them now and then: what is written now and then would cost that again and again.
 */
#define PROTECT_MIN	16
#define GATHER_VISITS	6	/* so many visits for nothing, and a chunk is put together again */

#define OTHER_FRAME	U64_MAX		/* mem_scan.other: a shared frame */

struct visit {
	struct mem_scan *scan;
	struct mem_group *group;
	struct mem_chunk *chunk;
	u32 turn;			/* counts visits, for the pages' heat */
	struct mem_pages looked;	/* hashed: scan->hash[] holds */
	struct mem_pages zero;
	struct mem_pages match;		/* scan->other[] holds */
	struct mem_pages calm;		/* hash as at the last visit */
	struct mem_pages known;		/* of them, protected */
	struct mem_pages open;		/* a match that is still to be tried */
	u32 skipped, postponed, gained;
	bool busy;			/* something was locked */
	bool pinned;			/* most of what was of use is pinned */
};

/* The first page of the set from @i on, or MEM_HUGE_PAGES. */
static u32 next(const struct mem_pages *set, u32 i)
{
	unsigned long word;

	while (i < MEM_HUGE_PAGES) {
		word = set->bits[i / BITS_PER_LONG] >> (i % BITS_PER_LONG);
		if (word)
			return i + __ffs(word);
		i = ALIGN_DOWN(i, BITS_PER_LONG) + BITS_PER_LONG;
	}
	return MEM_HUGE_PAGES;
}

#define for_each_page(set, i) \
	for ((i) = next(set, 0); (i) < MEM_HUGE_PAGES; (i) = next(set, (i) + 1))

static struct mem_pages either(const struct mem_pages *a, const struct mem_pages *b)
{
	struct mem_pages set;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(set.bits); i++)
		set.bits[i] = a->bits[i] | b->bits[i];
	return set;
}

static struct mem_pages both(const struct mem_pages *a, const struct mem_pages *b)
{
	struct mem_pages set;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(set.bits); i++)
		set.bits[i] = a->bits[i] & b->bits[i];
	return set;
}

static u64 location(const struct mem_chunk *chunk, u32 i)
{
	return (u64)chunk->id << MEM_HUGE_ORDER | i;
}

static u32 heat_of(u64 slot)
{
	return (slot & MEM_SLOT_HEAT) >> MEM_SLOT_HEAT_SHIFT;
}

static void set_heat(struct mem_chunk *chunk, u32 i, u64 heat)
{
	chunk->slots[i] = (chunk->slots[i] & ~MEM_SLOT_HEAT) | heat << MEM_SLOT_HEAT_SHIFT;
}

static bool is_private(u64 slot)
{
	return mem_slot_frame(slot) && !(slot & MEM_SLOT_SHARED);
}

/* -------------------------------------------------------------------- look -- */

/* A page of heat i is looked at in one of so many visits and one more. */
static const u8 interval_mask[HEAT_MAX + 1] = { 0, 1, 7 };

/* Is page @i, which has a frame, to be hashed this time? */
static bool wanted(struct visit *v, u32 i, u64 slot)
{
	u32 heat = heat_of(slot);

	if (slot & MEM_SLOT_SHARED) {
		if (!READ_ONCE(mem_slot_frame(slot)->hash))
			return true;
		set_heat(v->chunk, i, HEAT_KNOWN);	/* its frame need not be looked at again */
		return false;
	}
	if (v->scan->full || heat == HEAT_KNOWN)
		return true;
	if ((v->turn + i) & interval_mask[heat]) {
		v->postponed++;
		return false;
	}
	return true;
}

static void look_at(struct visit *v, u32 i)
{
	const void *data = mem_chunk_data(v->chunk, i);

	if (mem_page_is_zero(data)) {
		mem_pages_add(&v->zero, i);
		return;
	}
	v->scan->hash[i] = mem_hash_page(&v->group->key, data);
	mem_pages_add(&v->looked, i);
}

/* Most of what is visited is known: four instructions a page. */
static void look_slots(struct visit *v)
{
	const u64 *slots = v->chunk->slots;
	u64 mask = v->scan->full ? 0 : MEM_SLOT_HEAT | MEM_SLOT_WRITABLE;
	u32 i, others = 0;

	for (i = 0; i < MEM_HUGE_PAGES; i++) {
		if ((slots[i] & mask) == MEM_SLOT_HEAT || !mem_slot_frame(slots[i]))
			continue;
		others++;
		if (wanted(v, i, slots[i]))
			look_at(v, i);
	}
	v->skipped = v->chunk->present - others;
}

/* Returns how many pages there are. */
static u32 look(struct visit *v)
{
	struct mem_chunk *chunk = v->chunk;
	u32 i;

	if (chunk->slots)
		look_slots(v);
	if (!chunk->huge)
		return chunk->present;
	if (chunk->huge_known && !chunk->huge_writable && !v->scan->full) {
		v->skipped = MEM_HUGE_PAGES;
		return MEM_HUGE_PAGES;
	}
	for (i = 0; i < MEM_HUGE_PAGES; i++)
		look_at(v, i);
	return MEM_HUGE_PAGES;
}

/* A hint is worth keeping if its page is known: another's comes back when it is looked at. */
static bool is_known(const struct mem_chunk *chunk, u32 i)
{
	u64 slot = chunk->slots ? chunk->slots[i] : 0;

	if (chunk->huge)
		return chunk->huge_known && !chunk->huge_writable;
	return is_private(slot) && !(slot & MEM_SLOT_WRITABLE) && heat_of(slot) == HEAT_KNOWN;
}

bool mem_scan_keep(struct mem_group *group, u64 where)
{
	struct mem_chunk *chunk = xa_load(&group->chunks, where >> MEM_HUGE_ORDER);
	bool keep;

	lockdep_assert_held(&group->lock);
	if (!chunk || !mutex_trylock(&chunk->lock))
		return chunk;
	keep = is_known(chunk, where % MEM_HUGE_PAGES);
	mutex_unlock(&chunk->lock);
	return keep;
}

/* ---------------------------------------------------------------- classify -- */

/* The frame, which a slot of a locked chunk names, is found by this hash from now on. */
static void enter_frame(struct mem_group *group, struct mem_frame *frame, u64 hash)
{
	lockdep_assert_held(&group->lock);
	frame->hash = hash;
	if (!mem_index_add_frame(&group->index, frame))
		frame->hash = 0;
}

static void classify_page(struct visit *v, u32 i)
{
	struct mem_index *index = &v->group->index;
	u64 hash = v->scan->hash[i], self = location(v->chunk, i);
	bool shared = v->chunk->slots && v->chunk->slots[i] & MEM_SLOT_SHARED;
	struct mem_index_hit hits[4];
	u32 k, nr = mem_index_find(index, hash, hits, ARRAY_SIZE(hits));
	bool match = false;

	for (k = 0; k < nr; k++) {
		if (!hits[k].frame && hits[k].location == self) {
			mem_pages_add(&v->calm, i);
		} else if (!match && (hits[k].frame || !shared)) {
			v->scan->other[i] = hits[k].frame ? OTHER_FRAME : hits[k].location;
			match = true;
		}
	}
	if (match)
		mem_pages_add(&v->match, i);
	else if (shared)
		enter_frame(v->group, mem_slot_frame(v->chunk->slots[i]), hash);
	else
		mem_index_add_hint(index, hash, self);
}

static void classify(struct visit *v)
{
	u32 i, nr = 0;

	spin_lock(&v->group->lock);
	for_each_page(&v->looked, i) {
		classify_page(v, i);
		if (++nr % 32)
			continue;
		spin_unlock(&v->group->lock);
		spin_lock(&v->group->lock);
	}
	spin_unlock(&v->group->lock);
}

/* ------------------------------------------------------------- other chunks -- */

static void forget_hint(struct visit *v, u64 hash, u64 where)
{
	spin_lock(&v->group->lock);
	mem_index_del_hint(&v->group->index, hash, where);
	spin_unlock(&v->group->lock);
}

/*
 * Locked, or NULL: it is gone, or *busy. May be our own. A file that no longer shares is as good as
 * gone: it was empty when it was told so, but hints may lead to what it has got since.
 */
static struct mem_chunk *other_get(struct visit *v, u32 id, bool *busy)
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

static void other_put(struct visit *v, struct mem_chunk *other)
{
	if (other != v->chunk)
		mem_group_unlock_chunk(v->group, other);
}

/* The pages of @from with hints into the same chunk as page @i's move to @to. */
static u32 take_same(struct visit *v, struct mem_pages *from, u32 i, struct mem_pages *to)
{
	u32 id = v->scan->other[i] >> MEM_HUGE_ORDER;

	memset(to, 0, sizeof(*to));
	for (; i < MEM_HUGE_PAGES; i = next(from, i + 1)) {
		if (v->scan->other[i] >> MEM_HUGE_ORDER != id)
			continue;
		mem_pages_del(from, i);
		mem_pages_add(to, i);
	}
	return id;
}

/* Those of @set whose match is a hint. */
static struct mem_pages hinted(struct visit *v, const struct mem_pages *set)
{
	struct mem_pages some = *set;
	u32 i;

	for_each_page(set, i)
		if (v->scan->other[i] == OTHER_FRAME)
			mem_pages_del(&some, i);
	return some;
}

/* ---------------------------------------------------------------- validate -- */

static const void *page_data(const struct mem_chunk *chunk, u32 i)
{
	if (chunk->huge || (chunk->slots && mem_slot_frame(chunk->slots[i])))
		return mem_chunk_data(chunk, i);
	return NULL;
}

/* Does it look as if page @i were equal to the one its hint names? */
static bool plausible(struct visit *v, u32 i, const struct mem_chunk *other)
{
	u64 hash = v->scan->hash[i];
	const void *data = page_data(other, v->scan->other[i] % MEM_HUGE_PAGES);

	if (data && mem_pages_equal(mem_chunk_data(v->chunk, i), data))
		return true;
	/* The hint is stale, unless it only looks like one for this hash. */
	if (!data || (mem_hash_page(&v->group->key, data) ^ hash) & (BIT_ULL(28) - 1))
		forget_hint(v, hash, v->scan->other[i]);
	return false;
}

static void validate(struct visit *v)
{
	struct mem_pages left = hinted(v, &v->match), same;
	struct mem_chunk *other;
	bool busy;
	u32 i, id;

	while ((i = next(&left, 0)) < MEM_HUGE_PAGES) {
		id = take_same(v, &left, i, &same);
		other = other_get(v, id, &busy);
		for_each_page(&same, i) {
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

/* Page @i, protected, becomes the frame, which is equal to it; the reference is the caller's. */
static void give_up(struct visit *v, u32 i, struct mem_frame *frame)
{
	mem_chunk_replace(v->chunk, i, frame);
	v->gained++;
	atomic64_inc(&v->scan->stat.merged);
}

static bool equals(struct visit *v, u32 i, struct mem_frame *frame)
{
	return mem_slot_frame(v->chunk->slots[i]) != frame &&
	       mem_pages_equal(mem_chunk_data(v->chunk, i), v->scan->pool->host->data(frame));
}

/* With the shared frame that the index knows, if there is one. True: it has it (by now). */
static bool merge_indexed(struct visit *v, u32 i)
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
static void merge_hinted(struct visit *v, u32 i, struct mem_chunk *other, u32 j)
{
	struct mem_frame *frame = mem_slot_frame(other->slots[j]);

	if (!equals(v, i, frame))
		return;
	if (!(other->slots[j] & MEM_SLOT_SHARED))
		mem_chunk_share(other, j);
	spin_lock(&v->group->lock);
	mem_index_del_hint(&v->group->index, v->scan->hash[i], v->scan->other[i]);
	if (!frame->hash)
		enter_frame(v->group, frame, v->scan->hash[i]);
	spin_unlock(&v->group->lock);
	if (mem_frame_tryget(frame))
		give_up(v, i, frame);
}

/* The other chunk has slots, or false. One with a ring cannot be dissolved while ours is locked. */
static bool other_slotted(struct visit *v, struct mem_chunk *other, const struct mem_pages *same)
{
	u32 least = READ_ONCE(v->scan->dissolve_pages);

	if (!other->huge)
		return other->slots;
	if (!least || mem_pages_count(same) < least)
		return false;
	if (atomic_long_read(&other->huge->refs) > 1) {
		mem_scan_later(v->scan, v->group, other->id, true);
		v->busy = true;
		v->open = either(&v->open, same);
		return false;
	}
	if (mem_chunk_dissolve(other))
		return false;
	atomic64_inc(&v->scan->stat.dissolved);
	return other->slots;
}

/*
 * The pages of @same with those that their hints name, all in chunk @other, locked. Where that page
 * is pinned there is nothing more to try: it will look for ours when it no longer is.
 */
static void merge_chunk(struct visit *v, struct mem_chunk *other, const struct mem_pages *same)
{
	struct mem_pages theirs = { { 0 } };
	u32 i, j;

	for_each_page(same, i)
		mem_pages_add(&theirs, v->scan->other[i] % MEM_HUGE_PAGES);
	if (!other_slotted(v, other, same))
		return;
	for_each_page(&theirs, j)
		if (!is_private(other->slots[j]))
			mem_pages_del(&theirs, j);
	mem_chunk_protect(other, &theirs);
	for_each_page(same, i) {
		j = v->scan->other[i] % MEM_HUGE_PAGES;
		/* The first such pair may have made the frame for this one. */
		if (merge_indexed(v, i))
			continue;
		if (mem_pages_has(&theirs, j) || other->slots[j] & MEM_SLOT_SHARED)
			merge_hinted(v, i, other, j);
	}
}

static void merge_zero(struct visit *v, const struct mem_pages *set)
{
	u32 i;

	for_each_page(set, i) {
		if (!mem_page_is_zero(mem_chunk_data(v->chunk, i)))
			continue;
		mem_chunk_set_zero(v->chunk, i);
		v->gained++;
		atomic64_inc(&v->scan->stat.zero);
	}
}

/* All of @set is protected. */
static void merge_matches(struct visit *v, const struct mem_pages *set)
{
	struct mem_pages left = *set, same;
	struct mem_chunk *other;
	bool busy;
	u32 i, id;

	for_each_page(set, i)
		if (merge_indexed(v, i) || v->scan->other[i] == OTHER_FRAME)
			mem_pages_del(&left, i);
	while ((i = next(&left, 0)) < MEM_HUGE_PAGES) {
		id = take_same(v, &left, i, &same);
		other = other_get(v, id, &busy);
		v->busy |= busy;
		if (busy)
			v->open = either(&v->open, &same);
		if (!other)
			continue;
		merge_chunk(v, other, &same);
		other_put(v, other);
	}
}

/* ----------------------------------------------------------------- protect -- */

/*
 * A huge chunk: slotted if what was found is worth it, and otherwise known as a whole if nothing
 * of it had changed. True: it is slotted, go on.
 */
static bool settle_huge(struct visit *v)
{
	struct mem_chunk *chunk = v->chunk;
	struct mem_pages of_use = either(&v->zero, &v->match), all = either(&v->zero, &v->looked);
	u32 least = READ_ONCE(v->scan->dissolve_pages), nr = mem_pages_count(&of_use);

	if (nr && least && nr >= least) {
		v->pinned = mem_chunk_dissolve(chunk) == -EBUSY;
		if (v->pinned || !chunk->slots)
			return false;
		atomic64_inc(&v->scan->stat.dissolved);
		return true;
	}
	if (mem_pages_count(&v->calm) + mem_pages_count(&v->zero) < MEM_HUGE_PAGES)
		return false;
	mem_chunk_protect(chunk, &all);
	chunk->huge_known = mem_pages_count(&all);
	if (chunk->huge_known)
		atomic64_add(MEM_HUGE_PAGES, &v->scan->stat.protected);
	return false;
}

/* The calm pages that are marked WRITABLE, or are not: those are known already. */
static struct mem_pages calm_pages(struct visit *v, u64 writable)
{
	struct mem_pages set = v->calm;
	u32 i;

	for_each_page(&v->calm, i)
		if ((v->chunk->slots[i] & MEM_SLOT_WRITABLE) != writable)
			mem_pages_del(&set, i);
	return set;
}

/* What was found is made use of. */
static void settle(struct visit *v)
{
	struct mem_pages set, calm;

	if (v->chunk->huge && !settle_huge(v))
		return;
	if (!v->chunk->slots)
		return;
	set = either(&v->zero, &v->match);
	calm = calm_pages(v, MEM_SLOT_WRITABLE);
	if (mem_pages_count(&calm) >= PROTECT_MIN)
		set = either(&set, &calm);
	v->pinned = mem_chunk_protect(v->chunk, &set) > mem_pages_count(&set);
	v->zero = both(&v->zero, &set);
	v->match = both(&v->match, &set);
	v->known = calm_pages(v, 0);
	merge_zero(v, &v->zero);
	merge_matches(v, &v->match);
}

/* ------------------------------------------------------------------- learn -- */

/* A private page that was hashed. */
static void learn_page(struct visit *v, u32 i)
{
	struct mem_chunk *chunk = v->chunk;
	u32 heat = heat_of(chunk->slots[i]);

	if (mem_pages_has(&v->open, i) || !chunk->visited) {
		heat = 0;
	} else if (mem_pages_has(&v->known, i)) {
		if (heat != HEAT_KNOWN)
			atomic64_inc(&v->scan->stat.protected);
		heat = HEAT_KNOWN;
	} else if (mem_pages_has(&v->calm, i)) {
		heat = HEAT_MAX;	/* pinned, or too few of them */
	} else {
		heat = heat == HEAT_KNOWN ? HEAT_MAX : min(heat + 1, (u32)HEAT_MAX);
	}
	set_heat(chunk, i, heat);
}

/* @matched: what was not entered when it was looked up. */
static void learn(struct visit *v, const struct mem_pages *matched)
{
	struct mem_chunk *chunk = v->chunk;
	u32 i, looked = mem_pages_count(&v->looked), changed = looked - mem_pages_count(&v->calm);
	u32 heat_max = v->pinned ? CHUNK_HEAT_PINNED :
		       changed || v->postponed ? CHUNK_HEAT_UNSETTLED : CHUNK_HEAT_MAX;

	spin_lock(&v->group->lock);
	for_each_page(matched, i)
		if (chunk->huge || (chunk->slots && is_private(chunk->slots[i])))
			mem_index_add_hint(&v->group->index, v->scan->hash[i],
					   location(chunk, i));
	spin_unlock(&v->group->lock);
	for_each_page(&v->looked, i)
		if (chunk->slots && is_private(chunk->slots[i]))
			learn_page(v, i);
	if (looked && chunk->visited)
		WRITE_ONCE(chunk->volatility, changed * 3 / looked);
	chunk->vain = mem_pages_count(matched) || v->gained ? 0 :
		      min_t(u32, chunk->vain + 1, U8_MAX);
	if (v->gained || v->busy)
		WRITE_ONCE(chunk->heat, 0);
	else
		WRITE_ONCE(chunk->heat, min(chunk->heat + 1u, heat_max));
	WRITE_ONCE(chunk->visited, true);
}

/* Back into a 2 MiB frame, when there was nothing to share in it for a while. */
static void gather(struct visit *v)
{
	struct mem_chunk *chunk = v->chunk;

	if (!READ_ONCE(v->scan->pool->huge_pages) || chunk->vain < GATHER_VISITS || !chunk->slots ||
	    chunk->present < MEM_HUGE_PAGES)
		return;
	chunk->vain = 0;
	if (!mem_chunk_gather(chunk))
		atomic64_inc(&v->scan->stat.gathered);
}

/* Those with the lock held. Returns how many pages there were. */
static u32 visit(struct visit *v)
{
	u32 pages = look(v);
	struct mem_pages matched;

	classify(v);
	matched = v->match;
	validate(v);
	settle(v);
	learn(v, &matched);
	if (!v->busy)
		gather(v);
	return pages;
}

/* What was found of late counts: it becomes more as more is known. */
static void account(struct mem_scan *scan, u32 looked, u32 gained)
{
	WRITE_ONCE(scan->looked, scan->looked + looked);
	WRITE_ONCE(scan->gained, scan->gained + gained);
	if (scan->looked < 8 * MEM_HUGE_PAGES)
		return;
	WRITE_ONCE(scan->looked, scan->looked / 2);
	WRITE_ONCE(scan->gained, scan->gained / 2);
}

u32 mem_scan_visit(struct mem_scan *scan, struct mem_group *group, struct mem_chunk *chunk)
{
	struct visit v = { .scan = scan, .group = group, .chunk = chunk };
	u32 pages = 0, looked;

	mutex_lock(&chunk->lock);
	if (chunk->file->group == group && !chunk->file->never_share) {
		v.turn = chunk->turn++;
		WRITE_ONCE(chunk->written, false);
		pages = visit(&v);
	}
	if (v.busy)
		mem_scan_later(scan, group, chunk->id, false);
	mutex_unlock(&chunk->lock);
	looked = mem_pages_count(&v.looked);
	scan->postponed += v.postponed;
	account(scan, looked + mem_pages_count(&v.zero), v.gained);
	scan->seen += pages;
	scan->round_gained += v.gained;
	atomic64_add(looked, &scan->stat.hashed);
	atomic64_add(v.skipped, &scan->stat.skipped);
	atomic64_add(pages, &scan->stat.visited);
	atomic64_add(v.busy, &scan->stat.busy);
	return pages;
}
