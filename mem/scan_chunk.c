// SPDX-License-Identifier: GPL-2.0
/*
 * The scanner's visit to one chunk:
 *
 *   look      hash the pages as they are, mapped and perhaps being written; zero ones apart
 *   classify  ask the index: seen before (calm), seen elsewhere (match), or new
 *   validate  compare with the hinted pages, so that a stale hint disturbs nobody
 *   protect   all pages of use in one go: from here on their content stays
 *   merge     compare again, now for good, and give the frames up
 *   learn     what is calm is skipped until it is written; what changed is left alone for a while
 *
 * The lock is dropped and taken again after every few pages (mem_visit_breathe()), so that a guest
 * that faults in the chunk waits for those and not for all. Everything may be different then:
 *
 *   the chunk    has other slots, another 2 MiB frame, or another group: the visit ends and is made
 *                once more before the round does
 *   a page       may have gone, changed, come to be shared or mapped: a page whose frame is used
 *                has one, and what is merged was protected under the same hold of the lock
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
#include "mem/visit.h"

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

static u32 heat_of(u64 slot)
{
	return (slot & MEM_SLOT_HEAT) >> MEM_SLOT_HEAT_SHIFT;
}

static void set_heat(struct mem_chunk *chunk, u32 i, u64 heat)
{
	chunk->slots[i] = (chunk->slots[i] & ~MEM_SLOT_HEAT) | heat << MEM_SLOT_HEAT_SHIFT;
}

/* ---------------------------------------------------------------- breathing -- */

static bool is_same(const struct mem_visit *v)
{
	const struct mem_chunk *chunk = v->chunk;

	return chunk->file->group == v->group && !chunk->file->never_share &&
	       chunk->slots == v->slots && chunk->huge == v->huge;
}

bool mem_visit_breathe(struct mem_visit *v)
{
	if (v->lost || v->handled < v->scan->breath_pages)
		return !v->lost;
	v->handled = 0;
	v->touched = true;
	mutex_unlock(&v->chunk->lock);
	cond_resched();
	mutex_lock(&v->chunk->lock);
	v->lost = !is_same(v);
	return !v->lost;
}

/* ---------------------------------------------------------------- classify -- */

void mem_visit_enter_frame(struct mem_group *group, struct mem_frame *frame, u64 hash)
{
	lockdep_assert_held(&group->lock);
	frame->hash = hash;
	if (!mem_index_add_frame(&group->index, frame))
		frame->hash = 0;
}

static void classify_page(struct mem_visit *v, u32 i)
{
	struct mem_index *index = &v->group->index;
	u64 hash = v->scan->hash[i], self = mem_visit_location(v->chunk, i);
	bool shared = v->chunk->slots && v->chunk->slots[i] & MEM_SLOT_SHARED;
	struct mem_index_hit hits[4];
	u32 k, nr = mem_index_find(index, hash, hits, ARRAY_SIZE(hits));
	bool match = false;

	for (k = 0; k < nr; k++) {
		if (!hits[k].frame && hits[k].location == self) {
			mem_pages_add(&v->calm, i);
		} else if (!match && (hits[k].frame || !shared)) {
			v->scan->other[i] = hits[k].frame ? MEM_VISIT_OTHER_FRAME : hits[k].location;
			match = true;
		}
	}
	if (match)
		mem_pages_add(&v->match, i);
	else if (shared)
		mem_visit_enter_frame(v->group, mem_slot_frame(v->chunk->slots[i]), hash);
	else
		mem_index_add_hint(index, hash, self);
}

/* What was hashed since the last time. */
static void classify(struct mem_visit *v)
{
	u32 i;

	spin_lock(&v->group->lock);
	mem_pages_for_each(&v->fresh, i)
		classify_page(v, i);
	spin_unlock(&v->group->lock);
	v->looked = mem_pages_either(&v->looked, &v->fresh);
	memset(&v->fresh, 0, sizeof(v->fresh));
}

/* -------------------------------------------------------------------- look -- */

/* A page of heat i is looked at in one of so many visits and one more. */
static const u8 interval_mask[HEAT_MAX + 1] = { 0, 1, 7 };

/* Is page @i, which has a frame, to be hashed this time? */
static bool wanted(struct mem_visit *v, u32 i, u64 slot)
{
	u32 heat = heat_of(slot);

	if (slot & MEM_SLOT_SHARED) {
		if (!READ_ONCE(mem_slot_frame(slot)->hash)) {
			set_heat(v->chunk, i, 0);
			return true;
		}
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

/* Whoever touches it next faults, and is told, instead of reading what the machine cannot give. */
static void cut_off(struct mem_visit *v, u32 i)
{
	v->poisoned = v->huge;
	if (v->slots)
		mem_chunk_unmap(v->chunk, i, 1);
}

/* False: the visit is over. */
static bool look_at(struct mem_visit *v, u32 i)
{
	const void *data = mem_chunk_data(v->chunk, i);

	if (mem_chunk_poisoned(v->chunk, i)) {
		cut_off(v, i);
	} else if (mem_page_is_zero(data)) {
		mem_pages_add(&v->zero, i);
	} else {
		v->scan->hash[i] = mem_hash_page(&v->group->key, data);
		mem_pages_add(&v->fresh, i);
	}
	if (++v->handled < v->scan->breath_pages)
		return true;
	classify(v);
	return mem_visit_breathe(v);
}

/* Does an index know the frame of a page that is known, if that is a shared one? */
static bool is_indexed(u64 slot)
{
	return !(slot & MEM_SLOT_SHARED) || READ_ONCE(mem_slot_frame(slot)->hash);
}

/* Most of what is visited is known: five instructions a page. */
static void look_slots(struct mem_visit *v)
{
	u64 mask = v->scan->full ? 0 : MEM_SLOT_HEAT | MEM_SLOT_WRITABLE;
	bool lost = v->scan->lost;
	u32 i, known = 0;

	for (i = 0; i < MEM_HUGE_PAGES; i++) {
		u64 slot = v->slots[i];

		if ((slot & mask) == MEM_SLOT_HEAT && (!lost || is_indexed(slot)))
			known++;
		else if (mem_slot_frame(slot) && wanted(v, i, slot) && !look_at(v, i))
			break;
	}
	v->skipped = known;
}

static void look_huge(struct mem_visit *v)
{
	u32 i;

	if (v->chunk->huge_known && !v->chunk->huge_writable && !v->scan->full)
		v->skipped = MEM_HUGE_PAGES;
	else
		for (i = 0; i < MEM_HUGE_PAGES && look_at(v, i); i++)
			;
}

/* Returns how many pages there are. */
static u32 look(struct mem_visit *v)
{
	u32 pages = v->chunk->present;

	if (v->slots)
		look_slots(v);
	else if (v->huge)
		look_huge(v);
	if (!v->lost)
		classify(v);
	return pages;
}

/* A hint is worth keeping if its page is known: another's comes back when it is looked at. */
static bool is_known(const struct mem_chunk *chunk, u32 i)
{
	u64 slot = chunk->slots ? chunk->slots[i] : 0;

	if (chunk->huge)
		return chunk->huge_known && !chunk->huge_writable;
	return mem_slot_is_private(slot) && !(slot & MEM_SLOT_WRITABLE) && heat_of(slot) == HEAT_KNOWN;
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

/* ----------------------------------------------------------------- protect -- */

/* The lock may have been dropped. */
static bool dissolve(struct mem_visit *v)
{
	int err = mem_chunk_dissolve(v->chunk);

	v->pinned = err == -EBUSY;
	if (!err) {
		v->huge = NULL;
		v->slots = v->chunk->slots;
	}
	v->lost = !is_same(v);
	if (err || v->lost || !v->slots)
		return false;
	atomic64_inc(&v->scan->stat.dissolved);
	return true;
}

/*
 * A huge chunk: slotted if what was found is worth it, and otherwise known as a whole if nothing
 * of it had changed. True: it is slotted, go on.
 */
static bool settle_huge(struct mem_visit *v)
{
	struct mem_chunk *chunk = v->chunk;
	struct mem_pages of_use = mem_pages_either(&v->zero, &v->match);
	struct mem_pages all = mem_pages_either(&v->zero, &v->looked);
	u32 least = READ_ONCE(v->scan->dissolve_pages), nr = mem_pages_count(&of_use);

	if (v->poisoned || (nr && least && nr >= least))
		return dissolve(v);
	if (mem_pages_count(&v->calm) + mem_pages_count(&v->zero) < MEM_HUGE_PAGES)
		return false;
	mem_chunk_protect(chunk, &all);
	chunk->huge_known = mem_pages_count(&all);
	if (chunk->huge_known)
		atomic64_add(MEM_HUGE_PAGES, &v->scan->stat.protected);
	return false;
}

/* The calm pages that are marked WRITABLE, or are not: those are known already. */
static struct mem_pages calm_pages(struct mem_visit *v, u64 writable)
{
	struct mem_pages set = v->calm;
	u32 i;

	mem_pages_for_each(&v->calm, i)
		if ((v->chunk->slots[i] & MEM_SLOT_WRITABLE) != writable)
			mem_pages_del(&set, i);
	return set;
}

/*
 * The calm pages that are protected are known from here on: at once, as they are what was hashed
 * only while they are not WRITABLE.
 */
static void settle_calm(struct mem_visit *v)
{
	u32 i;

	v->known = calm_pages(v, 0);
	mem_pages_for_each(&v->known, i) {
		if (!mem_slot_is_private(v->slots[i]) || !v->chunk->visited)
			continue;
		if (heat_of(v->slots[i]) != HEAT_KNOWN)
			atomic64_inc(&v->scan->stat.protected);
		set_heat(v->chunk, i, HEAT_KNOWN);
	}
}

/* What was found is made use of. */
static void settle(struct mem_visit *v)
{
	struct mem_pages set, calm;

	if (v->huge && !settle_huge(v))
		return;
	if (!v->slots)
		return;
	set = mem_pages_either(&v->zero, &v->match);
	calm = calm_pages(v, MEM_SLOT_WRITABLE);
	if (mem_pages_count(&calm) >= PROTECT_MIN)
		set = mem_pages_either(&set, &calm);
	v->pinned = mem_chunk_protect(v->chunk, &set) > mem_pages_count(&set);
	v->touched = false;
	v->zero = mem_pages_both(&v->zero, &set);
	v->match = mem_pages_both(&v->match, &set);
	settle_calm(v);
	mem_visit_merge_zero(v);
	mem_visit_merge(v);
}

/* ------------------------------------------------------------------- learn -- */

/* A private page that was hashed. */
static void learn_page(struct mem_visit *v, u32 i)
{
	struct mem_chunk *chunk = v->chunk;
	u32 heat = heat_of(chunk->slots[i]);

	if (mem_pages_has(&v->open, i) || !chunk->visited) {
		heat = 0;
	} else if (mem_pages_has(&v->known, i)) {
		return;
	} else if (mem_pages_has(&v->calm, i)) {
		heat = HEAT_MAX;	/* pinned, or too few of them */
	} else {
		heat = heat == HEAT_KNOWN ? HEAT_MAX : min(heat + 1, (u32)HEAT_MAX);
	}
	set_heat(chunk, i, heat);
}

/* Where what was of use is to be found, if it is still there. */
static void enter_hints(struct mem_visit *v, const struct mem_pages *matched)
{
	struct mem_chunk *chunk = v->chunk;
	u32 i;

	spin_lock(&v->group->lock);
	mem_pages_for_each(matched, i) {
		if (!chunk->huge && !(chunk->slots && mem_slot_is_private(chunk->slots[i])))
			continue;
		mem_index_add_hint(&v->group->index, v->scan->hash[i], mem_visit_location(chunk, i));
		if (++v->handled < v->scan->breath_pages)
			continue;
		spin_unlock(&v->group->lock);
		if (!mem_visit_breathe(v))
			return;
		spin_lock(&v->group->lock);
	}
	spin_unlock(&v->group->lock);
}

/* @matched: what had a match when it was looked up. */
static void learn(struct mem_visit *v, const struct mem_pages *matched)
{
	struct mem_chunk *chunk = v->chunk;
	u32 i, looked = mem_pages_count(&v->looked), changed = looked - mem_pages_count(&v->calm);
	u32 heat_max = v->pinned ? CHUNK_HEAT_PINNED :
		       changed || v->postponed ? CHUNK_HEAT_UNSETTLED : CHUNK_HEAT_MAX;

	mem_pages_for_each(&v->looked, i)
		if (chunk->slots && mem_slot_is_private(chunk->slots[i]))
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
static void gather(struct mem_visit *v)
{
	struct mem_chunk *chunk = v->chunk;

	if (!READ_ONCE(v->scan->pool->huge_pages) || chunk->vain < GATHER_VISITS || !chunk->slots ||
	    chunk->present < MEM_HUGE_PAGES)
		return;
	chunk->vain = 0;
	if (!mem_chunk_gather(chunk))
		atomic64_inc(&v->scan->stat.gathered);
}

/* What there is to do with what was found; as long as it is the same chunk. */
static void go_on(struct mem_visit *v)
{
	struct mem_pages matched = v->match;

	mem_visit_validate(v);
	if (!v->lost)
		settle(v);
	if (!v->lost)
		enter_hints(v, &matched);
	if (v->lost)
		return;
	learn(v, &matched);
	if (!v->busy)
		gather(v);
}

/* Those with the lock held. Returns how many pages there were. */
static u32 visit(struct mem_visit *v)
{
	u32 pages = look(v);

	if (!v->lost)
		go_on(v);
	if (v->lost) {
		WRITE_ONCE(v->chunk->heat, 0);
		v->busy = true;
		v->scan->lost = 0;	/* not all pages were looked at: next time, then */
	}
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
	struct mem_visit v = { .scan = scan, .group = group, .chunk = chunk };
	u32 pages = 0, looked;

	mutex_lock(&chunk->lock);
	if (chunk->file->group == group && !chunk->file->never_share) {
		v.slots = chunk->slots;
		v.huge = chunk->huge;
		v.turn = chunk->turn++;
		WRITE_ONCE(chunk->written, false);
		pages = visit(&v);
	}
	if (v.busy && chunk->file->group == group)
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
