/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Looking at the bytes of 4 KiB pages: hash, zero, equal. These three loops are nearly
 * all of what scanning costs; each is written for few instructions.
 *
 * None minds that somebody writes the page meanwhile: then the answer is of no use,
 * and whoever needs one that holds makes sure that nobody can write.
 */
#ifndef PENUMBRA_MEM_HASH_H
#define PENUMBRA_MEM_HASH_H

#include "kapi.h"

#define MEM_PAGE_WORDS	512	/* words of 64 bits in a page */
#define MEM_FOLD_WORDS	3

/* The secret of a group: random words, the same number as a page has, and some for the end. */
struct mem_key {
	u64 *words;		/* a page of MEM_PAGE_WORDS */
	u64 fold[MEM_FOLD_WORDS];
};

/* Draws the key from @random. 0 or -ENOMEM. */
int mem_key_init(struct mem_key *key, u64 (*random)(void));
void mem_key_fini(struct mem_key *key);

/* Never 0. */
u64 mem_hash_page(const struct mem_key *key, const void *page);
bool mem_page_is_zero(const void *page);
bool mem_pages_equal(const void *a, const void *b);

#endif
