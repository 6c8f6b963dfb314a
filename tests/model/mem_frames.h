/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The frames of a model host: real contents, counted references and mappings, a
 * lock, and the words of struct page that are not ours.
 *
 * What is free is poisoned (for the address sanitizer too) and found out if somebody
 * writes it. Fresh frames hold garbage, in their contents and in the words that a
 * frame of one owner does not use. Tails of a 2 MiB frame are the kernel's altogether.
 *
 * There is one arena. Every function may be called by several threads.
 */
#ifndef TESTS_MODEL_MEM_FRAMES_H
#define TESTS_MODEL_MEM_FRAMES_H

#include "mem/mem.h"

#define MF_BLOCKS	96
#define MF_FRAMES	(MF_BLOCKS * MEM_HUGE_PAGES)

/* What else is known of a frame. Counts are in the head of a 2 MiB frame. */
struct mf_info {
	u32 count;		/* references: the owner's, mappings', others' */
	u32 maps;		/* mappings; of 2 MiB ones and of parts alike */
	bool owned;		/* not given up by free() */
	bool locked, huge, tail;
	int file;		/* where it was last mapped: a hint */
	u64 index;
};

/* Empties the arena; report is called with what is found wrong. */
void mf_reset(void (*report)(const char *what, unsigned long frame));

struct mem_frame *mf_alloc(unsigned int order);
void mf_free(struct mem_frame *frame, unsigned int order);
void *mf_data(struct mem_frame *frame);
bool mf_poisoned(struct mem_frame *frame);	/* none is */
bool mf_copy(void *to, const void *from);
void mf_get(struct mem_frame *frame);
void mf_put(struct mem_frame *frame);
void mf_lock(struct mem_frame *frame);
void mf_unlock(struct mem_frame *frame);
bool mf_pinned(struct mem_frame *frame);
bool mf_dissolve(struct mem_frame *huge);

/* A mapping's reference. map: the caller has one itself. */
void mf_map(struct mem_frame *frame);
void mf_unmap(struct mem_frame *frame);

struct mem_frame *mf_head(struct mem_frame *frame);
struct mf_info *mf_info(struct mem_frame *frame);	/* of the head */
unsigned long mf_number(const struct mem_frame *frame);
struct mem_frame *mf_at(unsigned long number);

/* Refuse the n-th allocation from now (1: the next) and those behind it, times in all. 0: none. */
void mf_fail_nth(unsigned long n, unsigned long times);
unsigned long mf_allocs(void);		/* asked for since start, refused or not */
void mf_limit(unsigned long pages);	/* no more than so many at once; 0: what the arena has */

unsigned long mf_pages(void);		/* not free, in 4 KiB */
unsigned long mf_given_up(void);	/* of them, given up by the owner but in use by others */

/* Looks at every frame: the words that are not ours, the poison of the free ones. */
void mf_check(void);

#endif
