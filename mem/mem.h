/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest memory: the outward header of mem/.
 *
 *   pool ── files ── chunks (2 MiB of a file) ── slots (4 KiB each) ── frames
 *     │                 └── or one 2 MiB frame for all 512 of them      │ named by
 *     │                                                                 │ one slot: private
 *     └── groups ── content index: hash → a page that had that content  │ several: shared
 *
 * One rule gives everything: a frame with more than one reference is mapped read-only
 * everywhere; the first write gets a private copy. Sharing found by scanning, clones,
 * FIDEDUPERANGE and the zero page are all uses of it.
 *
 * A slot changes only under its chunk's lock, and its frame is given up only after every
 * mapping of the page is gone (host->settle, then host->unmap). A mapping is installed only
 * after mem_file_fault() or mem_file_mkwrite() gave the frame out *locked* (host->lock),
 * and before it is unlocked. So whoever holds the chunk's lock and has settled and unmapped a
 * page knows that nobody can write it but those who hold a reference (host->pinned).
 *
 * A page that may be mapped for writing is marked so in its slot. Clear the mark, settle,
 * unmap, and until the mark is set again the content cannot change: that is what hashing
 * and merging rest on.
 *
 * Locking (docs/locking.md): chunk lock (mutex) → frame lock (host) ; chunk lock → pool and
 * group locks (spinlocks, leaves). Two chunks at once: under pool->pair_lock, or the second by trylock.
 * The host operations unmap and settle may sleep.
 */
#ifndef PENUMBRA_MEM_MEM_H
#define PENUMBRA_MEM_MEM_H

#include "kapi.h"

#define MEM_HUGE_ORDER	9
#define MEM_HUGE_PAGES	512	/* 4 KiB pages of a chunk, and of a 2 MiB frame */
#define MEM_FRAME_MARKS	63ull	/* bits of a word with a frame's address that are not of it */

struct mem_pool;
struct mem_file;
struct mem_group;
struct mem_chunk;

/*
 * What is known of a frame. In the kernel this overlays its struct page (fs/frames.c
 * asserts the offsets): words that the kernel leaves to a page's owner while the page is on no LRU
 * list. A private 4 KiB frame uses none of them. The frames of a dissolved 2 MiB frame lie one after
 * the other: huge + i.
 */
struct mem_frame {
	unsigned long kernel_flags;	/* not ours */
	struct mem_group *group;	/* shared: whose index knows it; the low two bits stay clear */
	u64 hash;			/* shared: of the content, 0 = not known */
	void *kernel_mapping;		/* not ours, stays NULL */
	unsigned long kernel_index;	/* not ours, stays 0: 6.12 compares it with the file's size */
	atomic_long_t refs;		/* shared: slots that name it; a 2 MiB frame: chunks, always */
} __aligned(64);

/* A set of pages of a chunk. */
struct mem_pages {
	unsigned long bits[BITS_TO_LONGS(MEM_HUGE_PAGES)];
};

enum mem_event {
	MEM_EVENT_RESERVE_LOW,	/* scanning has stopped */
	MEM_EVENT_RESERVE_GONE,	/* writers wait */
	MEM_EVENT_RESERVE_OK,	/* full again */
	MEM_EVENT_POOL_FULL,	/* the size limit: a hole could not be filled */
};

/* Whom the host has pay for a frame: who asks, as far as he may have more, or nobody. */
enum mem_charge { MEM_CHARGE_CALLER, MEM_CHARGE_NOBODY };

/* All that the pure code needs from its environment. Frames are of order 0 or MEM_HUGE_ORDER. */
struct mem_host_ops {
	/* NULL: no memory. Contents undefined. Must not try hard for a huge one. May sleep. */
	struct mem_frame *(*alloc)(struct mem_pool *pool, unsigned int order, enum mem_charge who);
	/* After a 4 KiB frame was refused: nobody can have one, not only the caller. May sleep. */
	bool (*starved)(struct mem_pool *pool);
	/* Gives up our reference; the memory is free when the last other user is done. */
	void (*free)(struct mem_pool *pool, struct mem_frame *frame, unsigned int order);
	/* Its bytes: 4 KiB, or 2 MiB in a row. */
	void *(*data)(struct mem_frame *frame);
	/* Must these 4 KiB, which may be part of 2 MiB, not be read? The machine has found them bad. */
	bool (*poisoned)(struct mem_frame *frame);
	/* Copies 4 KiB. False: what was to be read is bad, and poisoned from now on. */
	bool (*copy)(void *to, const void *from);
	/* One more user, or one less, besides the slots (of the whole, for a part of a 2 MiB frame). */
	void (*get)(struct mem_frame *frame);
	void (*put)(struct mem_frame *frame);
	/* Keeps settle() waiting. The caller has a reference by get(). Sleeps. */
	void (*lock)(struct mem_frame *frame);
	void (*unlock)(struct mem_frame *frame);
	/* On return whoever had locked it before has unlocked it. Sleeps. */
	void (*settle)(struct mem_frame *frame);
	/*
	 * The same for many 4 KiB frames: words that hold a frame's address, with MEM_FRAME_MARKS
	 * that mean nothing here, or no frame.
	 */
	void (*settle_all)(const u64 *words, u32 nr);
	/* No process has [first, first + nr) of the file mapped afterwards. Sleeps. */
	void (*unmap)(struct mem_file *file, u64 first, u64 nr);
	/*
	 * No process can write [first, first + nr) of the file afterwards: 4 KiB frames, settled.
	 * True: they may be mapped for reading still, and writing asks mem_file_mkwrite().
	 * False: none is mapped. Sleeps.
	 */
	bool (*protect)(struct mem_file *file, u64 first, u64 nr);
	/* After settle() and unmap(): does anybody else hold a reference? */
	bool (*pinned)(struct mem_frame *frame);
	/*
	 * After settle_all(), and unmap() or protect(): of which of at most 64 4 KiB frames does
	 * anybody else hold a reference, mappings aside? Bit i: of words[i].
	 */
	u64 (*pinned_among)(const u64 *words, u32 nr);
	/* An unmapped, not pinned 2 MiB frame becomes 512 frames, or false: it cannot be done. */
	bool (*dissolve)(struct mem_pool *pool, struct mem_frame *huge);
	/* A reference that keeps the file from going; false: it is going already. Must not sleep. */
	bool (*file_get)(struct mem_file *file);
	void (*file_put)(struct mem_file *file);	/* without a chunk's lock: may end the file */
	void (*event)(struct mem_pool *pool, enum mem_event event);	/* must not sleep */
	u64 (*now_ns)(void);
	/* Processor time of the calling thread; may lag behind by a few ms as long as it does not sleep. */
	u64 (*run_ns)(void);
	u64 (*random)(void);
};

/* ------------------------------------------------------------------- pool -- */

struct mem_reserve {
	spinlock_t lock;
	struct mem_frame *first;	/* linked through ->group */
	u32 nr, target;			/* frames in it; it is low below target / 4 */
	u32 round;			/* counts the times when it was full */
	bool low, gone;			/* as last told by an event */
};

struct mem_pool {
	const struct mem_host_ops *host;
	struct mutex pair_lock;		/* whoever holds two chunks' locks */
	spinlock_t lock;		/* lists */
	struct list_head files;		/* by mem_file.node, in order of creation */
	struct list_head groups;	/* by mem_group.node */
	struct xarray scanned;		/* serial → a group with chunks */
	u64 last_serial;		/* under pair_lock */
	u64 max_pages;			/* size limit in frames' pages, reserve included; 0 = none */
	atomic64_t pages;		/* pages of all frames that slots name, each counted once */
	struct mem_frame *zero;		/* what holes and zero pages are read through */
	struct mem_frame *huge_zero;	/* the same for whole chunks; NULL: none */
	struct mem_reserve reserve;
	bool huge_pages;		/* new chunks take 2 MiB frames where they can */
	atomic64_t metadata_bytes;	/* chunks, slots, index */
	struct mem_scan *scan;		/* mem/scan.h */
};

/* 0 or -ENOMEM. reserve_pages are allocated at once. */
int mem_pool_init(struct mem_pool *pool, const struct mem_host_ops *host, u64 max_pages,
		  u32 reserve_pages, bool huge_pages);
void mem_pool_fini(struct mem_pool *pool);	/* all files and groups are gone */
/* Fills the reserve as far as memory is there; from a thread that may wait. True: it is full. */
bool mem_pool_refill(struct mem_pool *pool);

/* ----------------------------------------------------------------- groups -- */

/* A new group of one reference, or NULL. salt: its secret, MEM_SALT_WORDS random words are drawn. */
struct mem_group *mem_group_new(struct mem_pool *pool);
struct mem_group *mem_group_get(struct mem_group *group);
void mem_group_put(struct mem_group *group);

/* ------------------------------------------------------------------ files -- */

struct mem_file_stat {			/* pages, unless the name says otherwise */
	atomic64_t present;		/* slots that name a frame: private + shared */
	atomic64_t shared;		/* of them, those whose frame has, or had, other references */
	atomic64_t zero;		/* slots found zero, and mapped to the zero page */
	atomic64_t huge;		/* 2 MiB frames (not pages) */
	atomic64_t punched;		/* given back by punching, ever */
	atomic64_t cow_breaks;		/* copies made for a writer, ever; of zero pages too */
	atomic64_t zero_breaks;		/* those of zero pages found by scanning */
	atomic64_t merged;		/* pages given up for an equal one, ever */
	atomic64_t pinned;		/* tries to merge that met another user of the page, ever */
};

struct mem_file {
	struct mem_pool *pool;
	struct mem_group *group;
	struct list_head node;		/* in pool->files */
	struct xarray chunks;		/* page index / 512 → struct mem_chunk; they live as long as the file */
	u64 pages;			/* size; read and written under the chunk lock concerned, see resize */
	bool never_share;		/* nothing of it is ever shared: no clones, no merging */
	struct mem_file_stat stat;
};

/* The file enters the pool's list and takes a reference to the group. */
int mem_file_init(struct mem_file *file, struct mem_pool *pool, struct mem_group *group);
/* Moves an empty file to another group, whose reference it takes. 0; -EBUSY: it is not empty. */
int mem_file_set_group(struct mem_file *file, struct mem_group *group);
/* No mapping, no fault and no other call is under way any more. Gives every frame up. */
void mem_file_fini(struct mem_file *file);

/*
 * The frame behind page @index, to be mapped: for writing if @write, else read-only unless
 * mem_file_mkwrite() follows. 0: *frame is referenced and locked, the caller maps it,
 * unlocks it and drops the reference when the mapping has its own. *frame may be part of a 2 MiB frame (or of
 * the huge zero frame), and then the whole chunk may be mapped in one. Where no mem_file_mkwrite() follows
 * (never_share), whatever may become writable has to be asked for with @write.
 * -ERANGE: beyond the end. -ENOMEM. -ENOSPC: the pool is full. -EBUSY: a shared page has to be
 * copied and the reserve is gone, or the group's share of it; wait and try again.
 */
int mem_file_fault(struct mem_file *file, u64 index, bool write, struct mem_frame **frame);

/*
 * May @frame, which is mapped or about to be mapped at @index, be written where it is? 0: yes; it is locked (the
 * caller has a reference), map it writable and unlock it. -EAGAIN: it is not what is there
 * (any more); all mappings of the page were removed where that was needed, and it has, or the next fault brings, a
 * frame that may be written: fault again, for reading or for writing. Others as mem_file_fault(): the page is unmapped.
 */
int mem_file_mkwrite(struct mem_file *file, u64 index, struct mem_frame *frame);

/*
 * The frame behind page @index for a copy through the kernel's own mapping (host->data):
 * referenced, not locked; drop with host->put. Without @write, *frame is NULL for a hole or a zero page.
 * Errors as mem_file_fault(); -EHWPOISON for every page that must not be read.
 */
int mem_file_pin(struct mem_file *file, u64 index, bool write, struct mem_frame **frame);

/* Allocates what [first, first + nr) lacks. As mem_file_fault(); -EINTR is the caller's business: chunk by chunk. */
int mem_file_allocate(struct mem_file *file, u64 first, u64 nr);

/*
 * For who wants all of a range or nothing. How many pages mem_file_allocate() would have to bring; is there room for
 * so many (somebody may be quicker)? Which pages of the chunk with page @index are holes? And in the end, should
 * the rest not be had: what of [first, first + nr), all in one chunk, was a hole then and holds but zeros now, is a
 * hole again. (A 2 MiB frame that came for a part of the chunk goes as well.)
 */
u64 mem_file_missing(struct mem_file *file, u64 first, u64 nr);
bool mem_pool_has_room(struct mem_pool *pool, u64 nr);
void mem_file_holes(struct mem_file *file, u64 index, struct mem_pages *holes);
void mem_file_give_back(struct mem_file *file, u64 first, u64 nr, const struct mem_pages *holes);

/*
 * Gives [first, first + nr) back: holes afterwards. A part of a 2 MiB frame of this file alone
 * that somebody holds pinned is zeroed where it is instead. Cannot fail, save -ENOMEM, -ENOSPC
 * and -EBUSY when part of a 2 MiB frame that other chunks share has to be copied.
 */
int mem_file_punch(struct mem_file *file, u64 first, u64 nr);

/*
 * A new size in pages; pages beyond it are given up. Fails as mem_file_punch(), with nothing changed. A 2 MiB frame
 * with the end inside that is pinned stays where it is, zeroed beyond the end; who maps it
 * as a whole can reach that part, until it is dissolved. Growing, the part is zero again.
 */
int mem_file_resize(struct mem_file *file, u64 pages);

/* First index >= @index with data (@data) or without; file->pages if there is none.
 * Zero pages found by scanning are data: user space put them there. */
u64 mem_file_seek(struct mem_file *file, u64 index, bool data);

/* @index, or the first page of the next chunk if it has none: all in between are holes that nobody
 * has mapped. U64_MAX: no chunk comes any more. */
u64 mem_file_next(struct mem_file *file, u64 index);

/* What page @index is, for reports. *frame: identity only, not to be used. */
enum mem_page_kind { MEM_PAGE_HOLE, MEM_PAGE_ZERO, MEM_PAGE_PRIVATE, MEM_PAGE_SHARED };
enum mem_page_kind mem_file_page(struct mem_file *file, u64 index, bool *huge,
				 unsigned long *refs, struct mem_frame **frame);

/* Pages in use if every shared one counts as 1/references, in 1/1024 pages. Walks the file. */
u64 mem_file_proportional(struct mem_file *file);

/*
 * Makes dst's pages the same frames as src's, as FICLONERANGE: what dst had is given up.
 * The ranges lie inside the files and do not overlap in one file. -EXDEV: the files are in different
 * groups, or one is never to share.
 * Frames that somebody holds pinned are copied instead; into a 2 MiB frame of dst's alone that is pinned, in
 * place: whoever holds it sees, and may go on writing, what the file has. Returns pages done (less than nr: then *err says why).
 */
u64 mem_file_clone(struct mem_file *src, u64 src_first, struct mem_file *dst, u64 dst_first,
		   u64 nr, int *err);

/* Shares the pages if their contents agree, as FIDEDUPERANGE. 0, -EBADE: they differ (nothing was
 * changed from the first difference on), -EXDEV (as above), -EBUSY (pinned), -ENOMEM. */
int mem_file_dedupe(struct mem_file *src, u64 src_first, struct mem_file *dst, u64 dst_first,
		    u64 nr);

/* Checks every invariant of the pool, under all locks it needs, with nothing else going on.
 * NULL, or what is wrong. */
const char *mem_audit(struct mem_pool *pool);

#endif
