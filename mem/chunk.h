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
 * it was found unpinned and unmapped when the mark was taken away, and has not changed since.
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
/* The scanner's: cleared with WRITABLE, and when sharing begins or ends. */
#define MEM_SLOT_HEAT		GENMASK_ULL(3, 2)
#define MEM_SLOT_ZERO		BIT_ULL(4)
#define MEM_SLOT_MAPPED		BIT_ULL(5)
#define MEM_SLOT_FLAGS		MEM_FRAME_MARKS

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
	bool huge_wanted;		/* shared, a writer waits: the next fault unshares it */
	bool zero_mapped;		/* empty: as MAPPED, for any of the holes */
	struct list_head ring;		/* who has the same 2 MiB frame; under pool->pair_lock */

	/* The scanner's, mem/scan.c and mem/group.c. */
	u32 id;				/* in the group; 0: none */
	u8 heat;			/* rarer visits: every 2^heat rounds */
	u8 volatility;			/* 0 to 3: how much of it had changed when last looked at */
	bool written;			/* a mark for writing was set since its last visit */
	u8 turn;			/* counts visits, for the heat of pages */
	u8 vain;			/* visits since something was found to share, up to 255 */
	bool visited;
	bool huge_known;		/* hints entered; unchanged since if not huge_writable */
};

static inline struct mem_frame *mem_slot_frame(u64 slot)
{
	return (struct mem_frame *)(unsigned long)(slot & ~MEM_SLOT_FLAGS);
}

static inline bool mem_slot_is_private(u64 slot)
{
	return mem_slot_frame(slot) && !(slot & MEM_SLOT_SHARED);
}

/* As far as can be told without a lock: an empty file may go to another group at any time. */
static inline bool mem_file_may_share(const struct mem_file *a, const struct mem_file *b)
{
	return READ_ONCE(a->group) == READ_ONCE(b->group) && !a->never_share && !b->never_share;
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

/* The frame of page @i, or the part of the 2 MiB frame; NULL: none. */
static inline struct mem_frame *mem_chunk_frame(const struct mem_chunk *chunk, u32 i)
{
	if (chunk->huge)
		return chunk->huge + i;
	return chunk->slots ? mem_slot_frame(chunk->slots[i]) : NULL;
}

/* Page @i, which has a frame, must not be read. */
static inline bool mem_chunk_poisoned(const struct mem_chunk *chunk, u32 i)
{
	return unlikely(chunk->file->pool->host->poisoned(mem_chunk_frame(chunk, i)));
}

/* Copies page @i, which has a frame. 0 or -EHWPOISON. */
static inline int mem_chunk_copy(const struct mem_chunk *chunk, u32 i, void *to)
{
	if (mem_chunk_poisoned(chunk, i) ||
	    unlikely(!chunk->file->pool->host->copy(to, mem_chunk_data(chunk, i))))
		return -EHWPOISON;
	return 0;
}

static inline bool mem_pages_has(const struct mem_pages *set, u32 i)
{
	return set->bits[i / BITS_PER_LONG] >> (i % BITS_PER_LONG) & 1;
}

static inline void mem_pages_add(struct mem_pages *set, u32 i)
{
	set->bits[i / BITS_PER_LONG] |= BIT(i % BITS_PER_LONG);
}

static inline void mem_pages_del(struct mem_pages *set, u32 i)
{
	set->bits[i / BITS_PER_LONG] &= ~BIT(i % BITS_PER_LONG);
}

/* What is outside [first, first + nr) leaves the set. */
static inline void mem_pages_cut(struct mem_pages *set, u32 first, u32 nr)
{
	u32 i;

	for (i = 0; i < MEM_HUGE_PAGES; i++)
		if (i - first >= nr)
			mem_pages_del(set, i);
}

static inline u32 mem_pages_count(const struct mem_pages *set)
{
	u32 i, nr = 0;

	for (i = 0; i < ARRAY_SIZE(set->bits); i++)
		nr += hweight64(set->bits[i]);
	return nr;
}

/* The first page of the set from @i on, or MEM_HUGE_PAGES. */
static inline u32 mem_pages_next(const struct mem_pages *set, u32 i)
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

#define mem_pages_for_each(set, i) \
	for ((i) = mem_pages_next(set, 0); (i) < MEM_HUGE_PAGES; (i) = mem_pages_next(set, (i) + 1))

static inline struct mem_pages mem_pages_either(const struct mem_pages *a,
						const struct mem_pages *b)
{
	struct mem_pages set;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(set.bits); i++)
		set.bits[i] = a->bits[i] | b->bits[i];
	return set;
}

static inline struct mem_pages mem_pages_both(const struct mem_pages *a, const struct mem_pages *b)
{
	struct mem_pages set;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(set.bits); i++)
		set.bits[i] = a->bits[i] & b->bits[i];
	return set;
}

/*
 * What the scanner, clones and deduplication are made of. All with the chunk's lock held.
 *
 * mem_chunk_protect: unmaps the pages of the set (in runs) and takes their WRITABLE marks away.
 * Pages without a frame, and those that somebody holds pinned, are removed from the set; the
 * latter keep their mark and are counted in file->stat.pinned. A huge chunk is protected as a
 * whole: the set is left as it is or becomes empty. Until the lock is dropped the pages of the
 * set have no mapping and no other user (but users of shared ones by other slots), until their
 * mark is set again their content stays. Returns how many were pinned.
 */
u32 mem_chunk_protect(struct mem_chunk *chunk, struct mem_pages *set);

/*
 * The same, but small pages may stay mapped for reading: enough for whoever only wants their
 * content to stay.
 */
u32 mem_chunk_write_protect(struct mem_chunk *chunk, struct mem_pages *set);

/*
 * Page @i, protected (and unmapped) under this hold of the lock, slotted and with a frame. The
 * frame it had is given up:
 * - for @frame, of the same content and group, whose reference (tryget) becomes the slot's,
 * - or for nothing, since it is full of zeros.
 */
void mem_chunk_replace(struct mem_chunk *chunk, u32 i, struct mem_frame *frame);
void mem_chunk_set_zero(struct mem_chunk *chunk, u32 i);

/*
 * The private frame of page @i, which is not marked WRITABLE, becomes a shared one with
 * one reference (the slot's), of the file's group and with hash 0.
 */
struct mem_frame *mem_chunk_share(struct mem_chunk *chunk, u32 i);

/*
 * A huge chunk becomes slotted, together with its ring, frames staying where they are. May drop
 * the lock and take it again when it has a ring; look again at everything.
 * 0: it is not huge (any more). -EBUSY: pinned, or the host cannot. -ENOMEM.
 */
int mem_chunk_dissolve(struct mem_chunk *chunk);

/*
 * A slotted chunk of 512 private frames (or shared ones with one reference) inside the file
 * becomes huge, by copying. 0; -EINVAL: it is none; -EBUSY: a page is pinned; -ENOMEM: no
 * 2 MiB frame.
 */
int mem_chunk_gather(struct mem_chunk *chunk);

/* ----------------------------------------------------------------- frames -- */

/*
 * One more reference of a shared frame that was found in the index, under group->lock:
 * false if its last one is going. Frees take group->lock after the count reached 0 to remove it
 * from the index, and only then give the memory up.
 */
static inline bool mem_frame_tryget(struct mem_frame *frame)
{
	return atomic_long_inc_not_zero(&frame->refs);
}

/* Drops a reference of a shared 4 KiB frame; the last one frees it. Not under group->lock. */
void mem_frame_put(struct mem_pool *pool, struct mem_frame *frame);

/* A private 4 KiB frame becomes one with @refs references, found by nobody yet. */
static inline void mem_frame_share(struct mem_frame *frame, struct mem_group *group, long refs)
{
	frame->group = group;
	frame->hash = 0;
	atomic_long_set(&frame->refs, refs);
}

/* True: the caller's reference was the only one, and the frame is private now. */
bool mem_frame_unshare(struct mem_frame *frame);

/*
 * A frame for a slot or a chunk, counted in pool->pages; contents undefined. -ENOMEM, -ENOSPC
 * (with its event, for 4 KiB). _break: a 4 KiB one for the group to copy to, with the
 * reserve's help if need be; -EBUSY: it is gone, or the group has had its share. -ENOMEM: the caller may not have more.
 */
int mem_frame_alloc(struct mem_pool *pool, unsigned int order, struct mem_frame **frame);
int mem_frame_alloc_break(struct mem_group *group, struct mem_frame **frame);
void mem_frame_free(struct mem_pool *pool, struct mem_frame *frame, unsigned int order);
void mem_frame_clear(struct mem_pool *pool, struct mem_frame *frame, unsigned int order);

/* What a slot named that names it no more: reference dropped, or frame freed. Page unmapped. */
void mem_slot_give_up(struct mem_pool *pool, u64 slot);

/* --------------------------------------------------- slots (mem/chunk.c) -- */

/* Counts pages that became, or ceased to be, of a kind: in the chunk and in its file. */
void mem_chunk_count(struct mem_chunk *chunk, int present, int shared, int zero);

/* An empty chunk gets an array of holes; or a huge one, which is to be slotted. 0 or -ENOMEM. */
int mem_chunk_slots_new(struct mem_chunk *chunk);
void mem_chunk_slots_free(struct mem_chunk *chunk);
/* Slotted, but all holes: empty. */
void mem_chunk_tidy(struct mem_chunk *chunk);

/* Nobody has the pages mapped afterwards: of a slotted, an empty, a huge chunk. */
void mem_chunk_unmap(struct mem_chunk *chunk, u32 first, u32 nr);
void mem_chunk_unmap_empty(struct mem_chunk *chunk);
void mem_chunk_unmap_huge(struct mem_chunk *chunk);

/* An unmapped shared page: if nobody else has its frame (@mine: but the caller), it is private. */
bool mem_chunk_take_back(struct mem_chunk *chunk, u32 i, bool mine);

/* -------------------------------------------- 2 MiB frames (mem/huge.c) -- */

/*
 * A ring changes under pool->pair_lock and the lock of the chunk that enters or leaves; its
 * members are counted in the frame's refs. Who holds a member's lock and finds refs 1 is alone
 * and stays so.
 *
 * mem_ring_lock: the chunk's lock is held; if it has others in its ring it is dropped, and taken
 * again under pool->pair_lock. True if so: look again at everything, mem_ring_unlock() in the end.
 * The functions below it want that; held: another chunk that the caller has locked, or NULL.
 */
bool mem_ring_lock(struct mem_chunk *chunk);
void mem_ring_unlock(struct mem_chunk *chunk, bool locked);

/*
 * Who writes to a ring takes every member's lock and gives each its slots, while all who need the pair
 * lock wait: so there are never more than this. A ring that is full is dissolved by the next clone.
 */
#define MEM_RING_MAX	128
static inline bool mem_ring_is_full(const struct mem_chunk *chunk)
{
	return chunk->huge && atomic_long_read(&chunk->huge->refs) >= MEM_RING_MAX;
}

/* An empty chunk, unmapped, gets a 2 MiB frame of zeros; false: it cannot have one. */
bool mem_huge_take(struct mem_chunk *chunk);
/* As mem_chunk_dissolve(), which see. */
int mem_huge_dissolve(struct mem_chunk *chunk, struct mem_chunk *held);
/*
 * Makes it slotted, by copying if need be. 0 and still huge: it is private, but pinned: work in
 * place. -ENOMEM, -EBUSY. [skip, skip + nr) is not copied then, but becomes holes.
 */
int mem_huge_split(struct mem_chunk *chunk, struct mem_chunk *held, u32 skip, u32 nr);
/* It can be written: huge and private, or slotted. Errors as mem_file_fault(). */
int mem_huge_unshare(struct mem_chunk *chunk);
/* The chunk is empty afterwards. */
void mem_huge_drop(struct mem_chunk *chunk);
/* The empty chunk dst becomes huge: with a frame that is counted, or with src's, protected. */
void mem_huge_set(struct mem_chunk *dst, struct mem_frame *huge);
/* All pages of the chunk, into a 2 MiB frame. 0 or -EHWPOISON. */
int mem_huge_copy(struct mem_chunk *chunk, struct mem_frame *huge);
void mem_huge_join(struct mem_chunk *dst, struct mem_chunk *src);

/* ---------------------------------------------- giving up (mem/punch.c) -- */

/*
 * Pages [first, first + nr) of the chunk become holes, as mem_file_punch() has it; under
 * mem_ring_lock(). Returns how many had something and have nothing now, or an error.
 */
int mem_chunk_give_up(struct mem_chunk *chunk, struct mem_chunk *held, u32 first, u32 nr);
/* Slotted: the slots beyond the end of the file. */
void mem_chunk_give_up_end(struct mem_chunk *chunk);

/* ------------------------------------------------- faults (mem/fault.c) -- */

/*
 * Page @i gets a frame that may be written where it is, and its mark. May drop the lock and take
 * it again. @mine: NULL, or a 4 KiB frame on which the caller has a reference that is not to be
 * taken for a pin. Errors as mem_file_fault().
 */
int mem_chunk_make_writable(struct mem_chunk *chunk, u32 i, struct mem_frame *mine,
			    struct mem_frame **frame);

#endif
