/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A host of a few lines that a test can tell what to refuse and ask what it was told to do, and
 * two files of one group on it, for tests of the frame logic by hand.
 */
#ifndef TESTS_UNIT_MEM_FAKE_H
#define TESTS_UNIT_MEM_FAKE_H

#include "mem/mem.h"

#define PAGES	(3 * MEM_HUGE_PAGES + 10)	/* of each file: three chunks and a bit */

extern struct mem_pool pool;
extern struct mem_group *group;
extern struct mem_file a, b;

/* What the host refuses; begin() clears these: */
extern int refuse_huge;			/* 2 MiB frames */
extern int fail_allocs;			/* all frames */
extern int caller_broke;		/* frames that the caller pays for */
extern int refuse_dissolve;

extern bool protect_unmaps;		/* it answers protect() as if it had unmapped */

/* What it was told to do: */
extern unsigned long unmaps;		/* calls */
extern unsigned long protects;		/* calls */
extern u64 protected_first, protected_nr;	/* pages of the last */
extern int events[4];			/* by enum mem_event; begin() clears them */

/* A pool with both files, empty; and that all of it goes. */
void begin(bool huge, u64 max_pages, u32 reserve);
void end(void);

/* The audit finds nothing. */
void check(void);

/* As the kernel does it: fault, mkwrite, again if need be. Writes the page's first word. */
int put(struct mem_file *file, u64 index, u64 value);
/* Reads it by a fault. */
u64 get(struct mem_file *file, u64 index);

u64 pages(void);			/* of the pool */
u64 stat_of(atomic64_t *stat);
enum mem_page_kind kind(struct mem_file *file, u64 index, unsigned long *refs);

/* References to frames are counted in the head: that of a frame, and one less there. */
u32 head(const struct mem_frame *frame);
void drop(u32 head);
void *host_data(struct mem_frame *frame);
void host_put(struct mem_frame *frame);

#endif
