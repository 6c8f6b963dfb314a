/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The content index of a group: hash of a page → where such a page is. 8 bytes an entry.
 *
 *   hint    a page, by location, that had this content when it was last looked at. Nobody
 *           removes it when the page is written: whoever finds it looks again.
 *   frame   a shared frame; its content cannot change. Entered when it becomes shared and
 *           taken out before it ends.
 *
 * It is a cache: an entry that finds no place, or is pushed out by another, costs
 * savings and nothing else. Frames are not pushed out.
 *
 * Everything here is called with the group's lock held and does not sleep.
 */
#ifndef PENUMBRA_MEM_INDEX_H
#define PENUMBRA_MEM_INDEX_H

#include "kapi.h"

struct mem_frame;

/* Where a page is: chunk id << 9 | page in the chunk. Larger ones are not taken. */
#define MEM_LOCATION_BITS	40

struct mem_index {
	struct mem_frame *base;		/* frames are known by their distance from this one */
	atomic64_t *bytes;		/* where our memory is counted */
	u64 ***top;			/* a page of pointers to such pages to pages of entries */
	u64 hints, frames;		/* entries */
	u64 max_entries;		/* beyond it hints push others out; 0 = no limit */
	u32 log_groups, parts, split;	/* how far it has grown, see index.c */
	u32 victim;			/* turns, for choosing whom to push out */
	u32 pressed;			/* hints that came when it was full, since the last sweep */
	u64 lost;			/* frames that found no place when it grew or shrank: their hash
					 * is 0, and whoever clears this has looked at all pages again */
};

/* Needs no memory yet. base: any frame, the others are within 2^39 frames of it. */
void mem_index_init(struct mem_index *index, struct mem_frame *base, atomic64_t *bytes);
void mem_index_fini(struct mem_index *index);

struct mem_index_hit {
	struct mem_frame *frame;	/* a shared frame with this very hash, or NULL: a hint */
	u64 location;
};

/* What may have this content, frames first: at most @max. Hints need not have had this hash. */
unsigned int mem_index_find(const struct mem_index *index, u64 hash,
			    struct mem_index_hit *hits, unsigned int max);

/*
 * Enter it; true: it is in. A hint that was there already is the last to be pushed out: its page
 * does not change often.
 */
bool mem_index_add_hint(struct mem_index *index, u64 hash, u64 location);
/* frame->hash is its hash and stays so until it is taken out. */
bool mem_index_add_frame(struct mem_index *index, struct mem_frame *frame);

/* Take it out if it is there. */
void mem_index_del_hint(struct mem_index *index, u64 hash, u64 location);
void mem_index_del_frame(struct mem_index *index, struct mem_frame *frame);

/*
 * Is it time to look which hints are of no use any more? Then mem_index_sweep() for each of its
 * mem_index_sweep_begin() parts, the last first: takes out the hints that are not to be kept.
 */
bool mem_index_wants_sweep(const struct mem_index *index);
u32 mem_index_sweep_begin(struct mem_index *index);
void mem_index_sweep(struct mem_index *index, u32 part,
		     bool (*keep)(void *context, u64 location), void *context);

/* NULL, or what is wrong. */
const char *mem_index_audit(const struct mem_index *index);

#endif
