/* SPDX-License-Identifier: GPL-2.0 */
/* A visit of the scanner to a chunk: what its two parts, scan_chunk.c and scan_merge.c, share. */
#ifndef PENUMBRA_MEM_VISIT_H
#define PENUMBRA_MEM_VISIT_H

#include "mem/scan.h"

#define MEM_VISIT_OTHER_FRAME	U64_MAX	/* mem_scan.other: a shared frame */

struct mem_visit {
	struct mem_scan *scan;
	struct mem_group *group;
	struct mem_chunk *chunk;
	const u64 *slots;		/* the chunk's, as they were when the visit began, or it was */
	const struct mem_frame *huge;	/* dissolved: with others it is another chunk */
	u32 turn;			/* counts visits, for the pages' heat */
	u32 handled;			/* pages since the lock was taken */
	struct mem_pages fresh;		/* hashed, and not yet classified */
	struct mem_pages looked;	/* hashed and classified: scan->hash[] holds */
	struct mem_pages zero;
	struct mem_pages match;		/* scan->other[] holds */
	struct mem_pages calm;		/* hash as at the last visit */
	struct mem_pages known;		/* of them, protected */
	struct mem_pages open;		/* a match that is still to be tried */
	u32 skipped, postponed, gained;
	bool busy;			/* something was locked */
	bool pinned;			/* most of what was of use is pinned */
	bool touched;			/* the lock was dropped since pages were protected */
	bool lost;			/* the chunk is another one */
	bool poisoned;			/* a part of the 2 MiB frame must not be read */
};

/*
 * If enough pages were handled, lets those in who wait for the chunk; no other lock is held. False:
 * it is another chunk now, and the visit is over (lost). The visitor holds the file: it stays.
 */
bool mem_visit_breathe(struct mem_visit *v);

/* The frame, which a slot of a locked chunk names, is found by this hash. With the group's lock. */
void mem_visit_enter_frame(struct mem_group *group, struct mem_frame *frame, u64 hash);

/* --------------------------------------------------------- mem/scan_merge.c -- */

/* Those go from v->match that are unlike the page which their hint names. May lose the chunk. */
void mem_visit_validate(struct mem_visit *v);

/* v->zero and v->match, which were protected: give up what is zero or equal. May lose the chunk. */
void mem_visit_merge_zero(struct mem_visit *v);
void mem_visit_merge(struct mem_visit *v);

/* -------------------------------------------------------------------- pages -- */

static inline u64 mem_visit_location(const struct mem_chunk *chunk, u32 i)
{
	return (u64)chunk->id << MEM_HUGE_ORDER | i;
}

/* NULL: it has no frame, or one that must not be read. */
static inline const void *mem_visit_page_data(const struct mem_chunk *chunk, u32 i)
{
	if (!mem_chunk_frame(chunk, i) || mem_chunk_poisoned(chunk, i))
		return NULL;
	return mem_chunk_data(chunk, i);
}

#endif
