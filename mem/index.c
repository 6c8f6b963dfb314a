// SPDX-License-Identifier: GPL-2.0
/*
 * The content index.
 *
 *   hash   …│ tag: x y b0 b1 … b19 │ line: 6 bits │
 *
 *   entry   │ tag: 22 bits │ kind: 2 │ location, or distance of the frame: 40 bits │   0: none
 *
 * Memory: pages of 64 lines (cache lines) of 8 entries. An entry may be in the line that its
 * hash says, or in that line's partner, which depends on the tag alone: so an entry can be moved
 * between the two, and from page to page, by what it carries. New ones go to the emptier line;
 * that alone lets a page fill to nine tenths before a line and its partner are full.
 *
 * Which page: G = 2^log_groups groups of pages; b0 b1 … are the number of the group (b0 its
 * lowest bit). A group has @parts pages, 4 to 7, or one more if its number is below @split. Read as
 * a fraction, u = 0.x y bk bk+1 … with k = log_groups; part = floor(u * pages of the group). The
 * page's number is part * G + group.
 *
 * To grow, the group @split gets one page more: each entry stays where it is or goes to the
 * next part. When all have eight, then (part x y bk, group) is the same number as (part x y, group
 * + bk * G) of twice as many groups of four: nothing has to be moved, and it goes on. So memory
 * grows and shrinks by a page at a time, and no page holds more than 5/4 of what another does: had
 * each page been split in two, it would be twice as much, and half of the memory be empty at times.
 *
 * There are no holes in a line: the first 0 ends it.
 */
#include "mem/index.h"
#include "mem/mem.h"

#define LINE_ENTRIES	8
#define PAGE_LINES	64
#define PAGE_ENTRIES	(LINE_ENTRIES * PAGE_LINES)
#define NODE_SLOTS	512	/* pointers in a page of pointers */

#define TAG_BITS	22
#define TAG_SHIFT	42
#define KIND_SHIFT	40
#define PAYLOAD_MASK	(BIT_ULL(40) - 1)

#define PARTS_MIN	4
#define PARTS_MAX	8
#define GROUPS_LOG_MAX	15	/* 8 * 2^15 pages are all that the two levels of pointers hold */
#define TAIL_BITS	5	/* bk … bk+4: what is used of the fraction after x y */

/* Entries of a page of a group that is to be split next, in 1/16 of the page. */
#define FULL_16THS	14

/* The lowest bit says: a hint; the other one: seen once only, and so the first to go. */
enum kind { HINT = 1, FRAME = 2, HINT_NEW = 3 };
#define NEW_MASK	BIT_ULL(KIND_SHIFT + 1)

static u32 tag_of(u64 hash)
{
	return hash >> 6 & (BIT(TAG_BITS) - 1);
}

static u32 tag_of_entry(u64 entry)
{
	return entry >> TAG_SHIFT;
}

static enum kind kind_of(u64 entry)
{
	return entry >> KIND_SHIFT & 3;
}

static u64 entry_of(u32 tag, enum kind kind, u64 payload)
{
	return (u64)tag << TAG_SHIFT | (u64)kind << KIND_SHIFT | payload;
}

/* An odd number of lines away, so never the line itself. */
static u32 partner(u32 line, u32 tag)
{
	return line ^ (tag * 0x9e3779b1u >> 26 | 1);
}

static struct mem_frame *frame_of(const struct mem_index *index, u64 entry)
{
	return index->base + sign_extend64(entry & PAYLOAD_MASK, 39);
}

/* --------------------------------------------------------------------- pages -- */

static u32 pages_of(const struct mem_index *index)
{
	return (index->parts << index->log_groups) + index->split;
}

static u32 group_of(const struct mem_index *index, u32 tag)
{
	return tag >> 2 & (BIT(index->log_groups) - 1);
}

/* In a group of @parts pages. */
static u32 part_of(const struct mem_index *index, u32 tag, u32 parts)
{
	u32 tail = tag >> (2 + index->log_groups) & (BIT(TAIL_BITS) - 1);
	u32 u = (tag & 2) << 5 | (tag & 1) << 5 | (tail & 1) << 4 | tail >> 1;

	return u * parts >> 7;
}

static u32 page_number(const struct mem_index *index, u32 tag)
{
	u32 group = group_of(index, tag);
	u32 parts = index->parts + (group < index->split);

	return (part_of(index, tag, parts) << index->log_groups) + group;
}

static u64 *page_at(const struct mem_index *index, u32 number)
{
	u64 **node = index->top ? index->top[number / NODE_SLOTS] : NULL;

	return node ? node[number % NODE_SLOTS] : NULL;
}

static void *page_new(struct mem_index *index)
{
	void *page = (void *)get_zeroed_page(GFP_NOWAIT | __GFP_NOWARN);

	if (page)
		atomic64_add(PAGE_SIZE, index->bytes);
	return page;
}

static void page_free(struct mem_index *index, void *page)
{
	if (page)
		atomic64_sub(PAGE_SIZE, index->bytes);
	free_page((unsigned long)page);
}

/* NULL: no memory. */
static u64 *page_make(struct mem_index *index, u32 number)
{
	u64 ***node, **page;

	if (!index->top)
		index->top = page_new(index);
	if (!index->top)
		return NULL;
	node = &index->top[number / NODE_SLOTS];
	if (!*node)
		*node = page_new(index);
	if (!*node)
		return NULL;
	page = &(*node)[number % NODE_SLOTS];
	if (!*page)
		*page = page_new(index);
	return *page;
}

/* A node that begins with @number goes as well: what comes after is gone already. */
static void page_drop(struct mem_index *index, u32 number)
{
	u64 **node = index->top ? index->top[number / NODE_SLOTS] : NULL;
	u32 i = number % NODE_SLOTS;

	for (; node && i < NODE_SLOTS; i++) {
		page_free(index, node[i]);
		node[i] = NULL;
	}
	if (!node || number % NODE_SLOTS)
		return;
	page_free(index, node);
	index->top[number / NODE_SLOTS] = NULL;
}

/* ------------------------------------------------------------------- entries -- */

static void count(struct mem_index *index, u64 entry, int nr)
{
	if (kind_of(entry) == FRAME)
		index->frames += nr;
	else
		index->hints += nr;
}

static u32 line_used(const u64 *line)
{
	u32 i = line[3] ? 4 : 0;

	i += line[i + 1] ? 2 : 0;
	i += line[i] ? 1 : 0;
	return i + (i == LINE_ENTRIES - 1 && line[i]);
}

static void line_remove(u64 *line, u32 i)
{
	u32 last = line_used(line) - 1;

	line[i] = line[last];
	line[last] = 0;
}

/* Moves one entry of a full line to where it may be as well. True: there is room now. */
static bool line_relieve(u64 *page, u32 line)
{
	u64 *from = page + line * LINE_ENTRIES;
	u32 i, used;
	u64 *to;

	for (i = 0; i < LINE_ENTRIES; i++) {
		to = page + partner(line, tag_of_entry(from[i])) * LINE_ENTRIES;
		used = line_used(to);
		if (used == LINE_ENTRIES)
			continue;
		to[used] = from[i];
		line_remove(from, i);
		return true;
	}
	return false;
}

/* Room for one more in the line or its partner: where, or NULL. */
static u64 *line_room(u64 *page, u32 line, u32 tag)
{
	u32 other = partner(line, tag);
	u64 *a = page + line * LINE_ENTRIES, *b = page + other * LINE_ENTRIES;
	u32 used_a = line_used(a), used_b = line_used(b);

	if (used_a == LINE_ENTRIES && used_b == LINE_ENTRIES) {
		if (line_relieve(page, line))
			return a + LINE_ENTRIES - 1;
		return line_relieve(page, other) ? b + LINE_ENTRIES - 1 : NULL;
	}
	return used_a <= used_b ? a + used_a : b + used_b;
}

/* The hint of the line or its partner that can best be done without, or NULL. */
static u64 *victim_of(struct mem_index *index, u64 *page, u32 line, u32 tag)
{
	u64 *lines[2] = { page + line * LINE_ENTRIES,
			  page + partner(line, tag) * LINE_ENTRIES };
	u64 *entry, *any = NULL;
	u32 i;

	index->victim++;
	for (i = 0; i < 2 * LINE_ENTRIES; i++) {
		entry = &lines[i / LINE_ENTRIES][(i + index->victim) % LINE_ENTRIES];
		if (kind_of(*entry) == HINT_NEW)
			return entry;
		if (kind_of(*entry) == HINT)
			any = entry;
	}
	return any;
}

/* Into this page: by pushing a hint out if there is no room, or if @full. True: it is in. */
static bool page_insert(struct mem_index *index, u64 *page, u32 line, u64 entry, bool full)
{
	u64 *room = full ? NULL : line_room(page, line, tag_of_entry(entry));

	if (!room) {
		room = victim_of(index, page, line, tag_of_entry(entry));
		if (!room)
			return false;
		count(index, *room, -1);
	}
	*room = entry;
	count(index, entry, 1);
	return true;
}

/* ---------------------------------------------------------- growing, shrinking -- */

/*
 * Between the parts @part and @part + 1 of a group: those that belong into @to and are in @from
 * go there. @parts: how many the group has from now on.
 */
static void move(struct mem_index *index, u64 *from, u64 *to, u32 to_part, u32 parts)
{
	u32 i;
	u64 entry;

	for (i = PAGE_ENTRIES; i-- > 0; ) {
		entry = from[i];
		if (!entry || part_of(index, tag_of_entry(entry), parts) != to_part)
			continue;
		line_remove(from + i / LINE_ENTRIES * LINE_ENTRIES, i % LINE_ENTRIES);
		count(index, entry, -1);
		if (page_insert(index, to, i / LINE_ENTRIES, entry, false) ||
		    kind_of(entry) != FRAME)
			continue;
		frame_of(index, entry)->hash = 0;	/* not known any more */
		index->lost++;
	}
}

/* Wherever the group's part @from has a page, part @to has one too, or false: no memory. */
static bool prepare(struct mem_index *index, u32 group, u32 from, u32 to)
{
	return !page_at(index, (from << index->log_groups) + group) ||
	       page_make(index, (to << index->log_groups) + group);
}

static void move_parts(struct mem_index *index, u32 group, u32 from, u32 to, u32 parts)
{
	u64 *page = page_at(index, (from << index->log_groups) + group);

	if (page)
		move(index, page, page_at(index, (to << index->log_groups) + group), to, parts);
}

/* The group @split gets a page more, if there is memory. */
static void grow(struct mem_index *index)
{
	u32 part, group = index->split;

	if (index->log_groups == GROUPS_LOG_MAX && index->parts == PARTS_MAX - 1 &&
	    group == BIT(GROUPS_LOG_MAX) - 1)
		return;
	for (part = 0; part < index->parts; part++)
		if (!prepare(index, group, part, part + 1))
			return;
	for (part = index->parts; part-- > 0; )
		move_parts(index, group, part, part + 1, index->parts + 1);
	if (!(++index->split >> index->log_groups))
		return;
	index->split = 0;
	if (++index->parts == PARTS_MAX) {
		index->parts = PARTS_MIN;
		index->log_groups++;
	}
}

/* The reverse: the last page of all is given back. */
static void shrink(struct mem_index *index)
{
	struct mem_index as_was = *index;
	u32 part, group;

	if (!index->split) {
		index->log_groups -= index->parts == PARTS_MIN;
		index->parts = (index->parts == PARTS_MIN ? PARTS_MAX : index->parts) - 1;
		index->split = BIT(index->log_groups);
	}
	group = --index->split;
	for (part = 0; part < index->parts; part++)
		if (!prepare(index, group, part + 1, part)) {
			index->log_groups = as_was.log_groups;
			index->parts = as_was.parts;
			index->split = as_was.split;
			return;
		}
	for (part = 0; part < index->parts; part++)
		move_parts(index, group, part + 1, part, index->parts);
	page_drop(index, (index->parts << index->log_groups) + group);
}

/*
 * How many entries fill the pages that are not split yet to FULL_16THS, if the next group
 * to be split were the last: what the index holds before it grows.
 */
static u64 capacity(const struct mem_index *index)
{
	u64 pages = pages_of(index);

	return div_u64(pages * index->parts * (PAGE_ENTRIES / 16 * FULL_16THS), index->parts + 1);
}

/* After an entry came or went. */
static void adapt(struct mem_index *index)
{
	u64 entries = index->hints + index->frames;

	if (entries > capacity(index))
		grow(index);
	else if (pages_of(index) > PARTS_MIN && entries * 4 < capacity(index) * 3)
		shrink(index);
}

/* -------------------------------------------------------------------- outside -- */

void mem_index_init(struct mem_index *index, struct mem_frame *base, atomic64_t *bytes)
{
	memset(index, 0, sizeof(*index));
	index->base = base;
	index->bytes = bytes;
	index->parts = PARTS_MIN;
}

void mem_index_fini(struct mem_index *index)
{
	u32 i;

	for (i = NODE_SLOTS; index->top && i-- > 0; )
		if (index->top[i])
			page_drop(index, i * NODE_SLOTS);
	page_free(index, index->top);
	mem_index_init(index, index->base, index->bytes);
}

/* Frames go to the front; what was there goes to the end. */
static unsigned int hit(const struct mem_index *index, u64 entry, u64 hash,
			struct mem_index_hit *hits, unsigned int nr, unsigned int max)
{
	struct mem_frame *frame;

	if (kind_of(entry) == FRAME) {
		frame = frame_of(index, entry);
		if (frame->hash != hash)
			return nr;
		if (nr && nr < max)
			hits[nr] = hits[0];
		hits[0].frame = frame;
		return nr + (nr < max);
	}
	if (!entry || nr == max)
		return nr;
	hits[nr].frame = NULL;
	hits[nr].location = entry & PAYLOAD_MASK;
	return nr + 1;
}

unsigned int mem_index_find(const struct mem_index *index, u64 hash,
			    struct mem_index_hit *hits, unsigned int max)
{
	u32 tag = tag_of(hash), line = hash & (PAGE_LINES - 1), half, i;
	const u64 *page = page_at(index, page_number(index, tag)), *at;
	unsigned int nr = 0;

	for (half = 0; page && half < 2; half++, line = partner(line, tag)) {
		at = page + line * LINE_ENTRIES;
#pragma GCC unroll 8
		for (i = 0; i < LINE_ENTRIES; i++)
			if (unlikely(tag_of_entry(at[i]) == tag))
				nr = hit(index, at[i], hash, hits, nr, max);
	}
	return nr;
}

/* Where an entry is, for a hint new or not. NULL: nowhere. */
static u64 *locate(const struct mem_index *index, u64 hash, u64 entry)
{
	u32 tag = tag_of(hash), line = hash & (PAGE_LINES - 1), half, i;
	u64 *page = page_at(index, page_number(index, tag)), *at;
	u64 mask = kind_of(entry) == FRAME ? U64_MAX : ~NEW_MASK;

	for (half = 0; page && half < 2; half++, line = partner(line, tag)) {
		at = page + line * LINE_ENTRIES;
#pragma GCC unroll 8
		for (i = 0; i < LINE_ENTRIES; i++)
			if (unlikely(!((at[i] ^ entry) & mask)))
				return &at[i];
	}
	return NULL;
}

static bool insert(struct mem_index *index, u64 hash, u64 entry, bool full)
{
	u64 *page = page_make(index, page_number(index, tag_of_entry(entry)));

	if (!page || !page_insert(index, page, hash & (PAGE_LINES - 1), entry, full))
		return false;
	adapt(index);
	return true;
}

bool mem_index_add_hint(struct mem_index *index, u64 hash, u64 location)
{
	bool full = index->max_entries && index->hints + index->frames >= index->max_entries;
	u64 entry = entry_of(tag_of(hash), HINT_NEW, location), *at;

	if (location > PAYLOAD_MASK)
		return false;
	at = locate(index, hash, entry);
	index->pressed += !at && full;
	if (!at)
		return insert(index, hash, entry, full);
	*at = entry & ~NEW_MASK;
	return true;
}

static u64 entry_of_frame(const struct mem_index *index, const struct mem_frame *frame, u64 hash)
{
	return entry_of(tag_of(hash), FRAME, (u64)(frame - index->base) & PAYLOAD_MASK);
}

bool mem_index_add_frame(struct mem_index *index, struct mem_frame *frame)
{
	if (frame_of(index, entry_of_frame(index, frame, 0)) != frame)
		return false;
	return insert(index, frame->hash, entry_of_frame(index, frame, frame->hash), false);
}

static void del(struct mem_index *index, u64 hash, u64 entry)
{
	u64 *at = locate(index, hash, entry);
	u32 i = ((unsigned long)at / sizeof(*at)) % LINE_ENTRIES;

	if (!at)
		return;
	count(index, *at, -1);
	line_remove(at - i, i);
	adapt(index);
}

void mem_index_del_hint(struct mem_index *index, u64 hash, u64 location)
{
	del(index, hash, entry_of(tag_of(hash), HINT, location & PAYLOAD_MASK));
}

void mem_index_del_frame(struct mem_index *index, struct mem_frame *frame)
{
	del(index, frame->hash, entry_of_frame(index, frame, frame->hash));
}

/* ------------------------------------------------------------------- sweeping -- */

bool mem_index_wants_sweep(const struct mem_index *index)
{
	u64 entries = index->hints + index->frames;

	return index->hints && (entries > index->max_entries || index->pressed > entries / 16);
}

u32 mem_index_sweep_begin(struct mem_index *index)
{
	index->pressed = 0;
	return pages_of(index);
}

void mem_index_sweep(struct mem_index *index, u32 part,
		     bool (*keep)(void *context, u64 location), void *context)
{
	u64 *page = page_at(index, part);
	u32 i;

	for (i = PAGE_ENTRIES; page && i-- > 0; ) {
		if (!page[i] || kind_of(page[i]) == FRAME ||
		    keep(context, page[i] & PAYLOAD_MASK))
			continue;
		count(index, page[i], -1);
		line_remove(page + ALIGN_DOWN(i, LINE_ENTRIES), i % LINE_ENTRIES);
	}
	adapt(index);
}

/* --------------------------------------------------------------------- audit -- */

static const char *audit_entry(const struct mem_index *index, u32 number, u32 line, u64 entry)
{
	struct mem_frame *frame;
	u32 tag = tag_of_entry(entry);

	if (!kind_of(entry))
		return "index: an entry of no kind";
	if (page_number(index, tag) != number)
		return "index: an entry in the wrong page";
	if (kind_of(entry) != FRAME)
		return NULL;
	frame = frame_of(index, entry);
	if (tag_of(frame->hash) != tag)
		return "index: a frame with another hash";
	if ((frame->hash & (PAGE_LINES - 1)) != line &&
	    partner(frame->hash & (PAGE_LINES - 1), tag) != line)
		return "index: a frame in the wrong line";
	return NULL;
}

const char *mem_index_audit(const struct mem_index *index)
{
	u64 hints = 0, frames = 0;
	u32 number, i, pages = pages_of(index);
	const u64 *page;
	const char *wrong;

	for (number = 0; number < pages; number++) {
		page = page_at(index, number);
		for (i = 0; page && i < PAGE_ENTRIES; i++) {
			if (!page[i])
				continue;
			if (i % LINE_ENTRIES && !page[i - 1])
				return "index: a hole in a line";
			wrong = audit_entry(index, number, i / LINE_ENTRIES, page[i]);
			if (wrong)
				return wrong;
			*(kind_of(page[i]) == FRAME ? &frames : &hints) += 1;
		}
	}
	if (hints != index->hints || frames != index->frames)
		return "index: entries are miscounted";
	return NULL;
}
