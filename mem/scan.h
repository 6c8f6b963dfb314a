/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The scanner: finds pages of equal content inside each group and makes them one.
 *
 * One thread calls mem_scan_step() again and again; everything else may be called
 * at any time. Settings are words of their own: written and read with WRITE_ONCE and READ_ONCE.
 */
#ifndef PENUMBRA_MEM_SCAN_H
#define PENUMBRA_MEM_SCAN_H

#include "mem/chunk.h"
#include "mem/group.h"

enum mem_scan_order {
	MEM_SCAN_SEQUENTIAL,	/* as the chunks came into being */
	MEM_SCAN_RANDOM,	/* each once a round, in another order each time */
	MEM_SCAN_VOLATILE,	/* as sequential, and where much changes more rarely */
};

#define MEM_SCAN_PAGES_PER_SECOND	20000
#define MEM_SCAN_CPU_PERCENT		20
#define MEM_SCAN_BREATH_PAGES		32

struct mem_scan_stat {
	atomic64_t rounds;	/* ended */
	atomic64_t visited;	/* pages looked at or skipped, of chunks whose turn it was */
	atomic64_t hashed;
	atomic64_t merged;	/* pages given up for an equal one */
	atomic64_t zero;	/* pages given up for being zero */
	atomic64_t protected;	/* unchanged pages write-protected, so that they can be skipped */
	atomic64_t skipped;	/* pages known to be unchanged */
	atomic64_t busy;	/* another chunk was locked: tried again later */
	atomic64_t dissolved;	/* 2 MiB frames taken apart */
	atomic64_t gathered;	/* and put together again */
	atomic64_t cpu_ns;	/* of the scanning thread, while it is to scan */
};

/* Chunks to come back to before the round ends. */
#define MEM_SCAN_LATER	256
struct mem_scan_later {
	u64 group;		/* serial */
	u32 id;
	bool dissolve;		/* ... to make it slotted, else to visit it */
};

struct mem_scan {
	/* Settings */
	bool run;
	u32 pages_per_second;	/* 0 = no limit */
	u32 cpu_percent;	/* 1 to 100, of one CPU */
	u32 order;		/* enum mem_scan_order */
	u32 dissolve_pages;	/* so many sharable pages are worth a 2 MiB frame; 0 = none are */
	u32 breath_pages;	/* handled under one hold of a chunk's lock */
	u32 pressure_percent;	/* how badly the host needs memory: the budget grows with it */
	bool restart;		/* see mem_scan_restart() */

	struct mem_scan_stat stat;

	/* The rest is the scanning thread's. */
	struct mem_pool *pool;
	u64 group;		/* serial of the group it is at */
	u64 id;			/* of the next chunk in it; in random order: steps done */
	bool in_group;		/* id and what follows is set up for the group */
	bool random;
	u32 random_bits;	/* ids below 2^bits, in an order made of */
	u64 random_key[2];
	u32 round;
	bool full;		/* this round everything is looked at */
	u32 sweep;		/* parts of the group's index still to be swept */
	u64 lost;		/* frames its index had lost when it entered: they are looked for */
	bool closing;		/* all groups are done: what is left is later[] */
	u32 later_first, later_nr, later_todo;
	struct mem_scan_later later[MEM_SCAN_LATER];
	u64 round_start_ns;
	u64 interval_ns;	/* from one round's start to the next */
	u64 round_gained;	/* pages given up this round */
	u64 next_ns;		/* when the budget allows the next step */
	u64 run_ns;		/* host->run_ns() when cpu_ns was last added to */

	/* For the estimate. Pages: hashed and given up of late, */
	u64 looked, gained;
	u64 postponed, postponed_before;	/* left out: this round, the one before */
	u64 seen;				/* of the chunks visited this round */

	/* Of the chunk being visited: hash of each page, and where an equal one may be. */
	u64 hash[MEM_HUGE_PAGES];
	u64 other[MEM_HUGE_PAGES];
};

/* pool->scan; settings at their defaults, run false. 0 or -ENOMEM. fini: the thread has ended. */
int mem_scan_init(struct mem_pool *pool);
void mem_scan_fini(struct mem_pool *pool);

struct mem_scan_step {
	u64 visited;		/* pages */
	u64 sleep_ns;		/* until the next step; U64_MAX: until a setting changes */
};

/* Visits a chunk or so. Sleeps in locks. */
struct mem_scan_step mem_scan_step(struct mem_pool *pool);

/* A new round begins in which every page is looked at, whatever is known of it. */
void mem_scan_restart(struct mem_pool *pool);

/* What the budget is multiplied by, for the pressure there is. 1 to 16. */
u32 mem_scan_boost(const struct mem_scan *scan);

/* Pages that going on would save, as far as can be told from what has been looked at. */
u64 mem_scan_estimate(struct mem_pool *pool);

/* ---------------------------------------------- one chunk (mem/scan_chunk.c) -- */

/*
 * Looks at the chunk's pages and merges what it can; takes its lock. The caller keeps its file and
 * group from going. Returns how many pages there were.
 */
u32 mem_scan_visit(struct mem_scan *scan, struct mem_group *group, struct mem_chunk *chunk);

/* Is the page at least not known to be another one than when its hint was entered? Group locked. */
bool mem_scan_keep(struct mem_group *group, u64 location);

/* Remembers to visit the chunk, or to dissolve it, before the round ends. */
void mem_scan_later(struct mem_scan *scan, struct mem_group *group, u32 id, bool dissolve);

#endif
