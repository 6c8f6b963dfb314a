/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Chunks, slots and frames: the inward header of mem/.
 *
 * A chunk is 2 MiB of a file. It is in one of three states:
 *
 *   empty     huge NULL, slots NULL           512 holes
 *   huge      huge a 2 MiB frame, slots NULL  512 pages of it, shared with the ring if there is one
 *   slotted   huge NULL, slots[512]           each page by itself
 *
 * A slot is a word:
 *
 *    63                              6  5      4       3 2    1       0
 *   ┌─────────────────────────────────┬──────┬──────┬──────┬──────┬────────┐
 *   │ frame (64-byte aligned), or 0   │MAPPED│ ZERO │ heat │SHARED│WRITABLE│
 *   └─────────────────────────────────┴──────┴──────┴──────┴──────┴────────┘
 *
 *   frame 0, ZERO clear   a hole
 *   frame 0, ZERO set     found zero by the scanner
 *   frame, SHARED clear   private: this slot alone names the frame
 *   frame, SHARED set     frame->refs slots name it, never WRITABLE; even if they are one again
 *
 * MAPPED: a fault may have mapped the page since it was last unmapped (a hole or a zero page
 * through the zero frame). Where it is clear there is nothing to settle and to unmap.
 * WRITABLE: its content may change: by a mapping, or by a pin for writing. Clear means that
 * it was found unpinned and unmapped when the mark was taken away, and that it has not changed since.
 *
 * Locking: everything in a chunk is under chunk->lock, save what is said to be
 * under pool->pair_lock. Whoever holds one chunk's lock takes a second with
 * mutex_trylock() only, or waits for it if pool->pair_lock was taken before the first.
 */
#ifndef PENUMBRA_MEM_CHUNK_H
#define PENUMBRA_MEM_CHUNK_H

#include "mem/mem.h"

#define MEM_SLOT_WRITABLE	BIT_ULL(0)
#define MEM_SLOT_SHARED		BIT_ULL(1)
#define MEM_SLOT_HEAT_SHIFT	2
#define MEM_SLOT_HEAT		GENMASK_ULL(3, 2)	/* the scanner's; survives nothing but marks */
#define MEM_SLOT_ZERO		BIT_ULL(4)
#define MEM_SLOT_MAPPED		BIT_ULL(5)
#define MEM_SLOT_FLAGS		GENMASK_ULL(5, 0)

struct mem_chunk {
	struct mutex lock;
	struct mem_file *file;
	u64 first;			/* index of its first page */
	struct mem_frame *huge;
	u64 *slots;
	u16 present, shared, zero;	/* pages of each kind; 512 or 0 if huge */
	bool huge_writable;		/* as WRITABLE, for the 2 MiB frame */
	bool huge_shared;		/* as SHARED: it has, or had, a ring */
	bool huge_mapped;		/* as MAPPED */
	bool zero_mapped;		/* empty: as MAPPED, for any of the holes */
	struct list_head ring;		/* chunks with the same 2 MiB frame; under pool->pair_lock */

	/* The scanner's, mem/scan.c and mem/group.c. */
	u32 id;				/* in the group; 0: none yet. mem_file_fini() has it forgotten */
	u8 heat;			/* rarer visits: every 2^heat rounds */
	u8 volatility;			/* 0 to 3: how much of it had changed when last looked at */
	bool visited;
	bool huge_known;		/* huge: all hints entered, and unchanged since if not huge_writable */
};

static inline struct mem_frame *mem_slot_frame(u64 slot)
{
	return (struct mem_frame *)(unsigned long)(slot & ~MEM_SLOT_FLAGS);
}

/* ----------------------------------------------------------------- chunks -- */

/* The chunk with page @index: NULL if there is none yet; or made if need be, NULL: no memory. */
struct mem_chunk *mem_chunk_find(struct mem_file *file, u64 index);
struct mem_chunk *mem_chunk_get(struct mem_file *file, u64 index);

/* The bytes of page @i of a chunk, which has a frame. */
static inline void *mem_chunk_data(const struct mem_chunk *chunk, u32 i)
{
	const struct mem_host_ops *host = chunk->file->pool->host;

	if (chunk->huge)
		return (char *)host->data(chunk->huge) + i * PAGE_SIZE;
	return host->data(mem_slot_frame(chunk->slots[i]));
}

/* A set of pages of a chunk. */
struct mem_pages {
	unsigned long bits[BITS_TO_LONGS(MEM_HUGE_PAGES)];
};

/*
 * What the scanner, clones and deduplication are made of. All with the chunk's lock held.
 *
 * mem_chunk_protect: unmaps the pages of the set (in runs) and takes their WRITABLE marks away.
 * Pages without a frame, and those that somebody holds pinned, are removed from the set; the
 * latter keep their mark and are counted in file->stat.pinned. A huge chunk is protected as a whole: the set
 * is left as it is or becomes empty. Until the lock is dropped the pages of the set have no mapping and no other user,
 * until their mark is set again their content stays. Returns how many were pinned.
 */
u32 mem_chunk_protect(struct mem_chunk *chunk, struct mem_pages *set);

/*
 * Page @i, protected under this hold of the lock, slotted and with a frame. The frame it
 * had is given up:
 * - for @frame, of the same content and group, whose reference (mem_frame_tryget) becomes the slot's,
 * - or for nothing, since it is full of zeros.
 */
void mem_chunk_replace(struct mem_chunk *chunk, u32 i, struct mem_frame *frame);
void mem_chunk_set_zero(struct mem_chunk *chunk, u32 i);

/* The private frame of page @i, protected under this hold of the lock, becomes a shared one with one reference
 * (the slot's), of the file's group and with hash 0. */
struct mem_frame *mem_chunk_share(struct mem_chunk *chunk, u32 i);

/*
 * A huge chunk becomes slotted, together with its ring, frames staying where they are. May drop
 * the lock and take it again when it has a ring; look again at everything.
 * 0: it is not huge (any more). -EBUSY: pinned, or the host cannot. -ENOMEM.
 */
int mem_chunk_dissolve(struct mem_chunk *chunk);

/*
 * A slotted chunk of 512 private frames (or shared ones with one reference) inside the file becomes huge, by
 * copying. 0; -EINVAL: it is none; -EBUSY: a page is pinned; -ENOMEM: no 2 MiB frame.
 */
int mem_chunk_gather(struct mem_chunk *chunk);

/* ----------------------------------------------------------------- frames -- */

/*
 * One more reference of a shared frame that was found in the index, under group->lock:
 * false if its last one is going. Frees take group->lock after the count reached 0 to remove it from
 * the index, and only then give the memory up.
 */
static inline bool mem_frame_tryget(struct mem_frame *frame)
{
	return atomic_long_inc_not_zero(&frame->refs);
}

/* Drops a reference of a shared 4 KiB frame; the last one frees it. Not under group->lock. */
void mem_frame_put(struct mem_pool *pool, struct mem_frame *frame);

#endif
