/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A host of a few lines and guests that write through mappings, for tests of the scanner and of
 * 2 MiB frames by hand. A guest's page is made of one number; 0 is zeros.
 */
#ifndef TESTS_UNIT_MEM_GUESTS_H
#define TESTS_UNIT_MEM_GUESTS_H

#include "mem/scan.h"

#define GUESTS	5
#define PAGES	(4 * MEM_HUGE_PAGES)

struct guest {
	struct mem_file file;
	bool alive;
	struct mem_frame *map[PAGES];	/* what it has mapped, with a reference */
	bool writable[PAGES];
	u64 content[PAGES];
};

extern struct guest guests[GUESTS];
extern struct mem_pool pool;
extern struct mem_scan *scan;		/* the pool's; runs without limits */
extern u64 now;				/* the host's clock, ns */

/* For each test: a pool without, or with, 2 MiB frames; at the end nothing is left. */
int setup(void **state);
int setup_huge(void **state);
int teardown(void **state);

void *host_data(struct mem_frame *frame);
/* As if the machine had found the memory bad: reading it ends the test. */
void poison(struct mem_frame *frame);
void host_put(struct mem_frame *frame);
u64 host_random(void);

void guest_start(struct guest *g, struct mem_group *group);
void guest_end(struct guest *g);
void guest_write(struct guest *g, u32 i, u64 content);
bool holds(const void *page, u64 content);

/* @nr guests of one group. */
struct mem_group *start_guests(u32 nr);
/* As guests of one distribution: a third in common, some zeros, some inside, the rest unique. */
u64 typical(u32 n, u32 i);
void fill_guests(u32 nr);

void round_of_scan(void);
void rounds_of_scan(u32 nr);

s64 frames_used(void);
/* Frames that an exact comparison would leave of a group: one for each content but zero. */
u64 exact(struct mem_group *group);
/* The audit finds nothing, and every guest reads what it wrote. */
void check_all(void);

#endif
