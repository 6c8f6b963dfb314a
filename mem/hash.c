// SPDX-License-Identifier: GPL-2.0
/*
 * The hash is NH over words of 64 bits: with the key's words k and the page's words p
 *
 *     sum of (p[2i] + k[2i]) * (p[2i+1] + k[2i+1])   modulo 2^128, each + modulo 2^64
 *
 * For any two different pages the sums agree for one key in 2^64 at most, whoever chose
 * the pages, as long as he does not know the key. Seven instructions take 16 bytes:
 * nothing that multiplies once for each word or that works in bytes comes near.
 * The sum is then folded to 64 bits in which each bit depends on all of them: the index takes
 * its addresses from the low ones.
 */
#include "mem/hash.h"

typedef unsigned __int128 u128;

int mem_key_init(struct mem_key *key, u64 (*random)(void))
{
	unsigned int i;

	key->words = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!key->words)
		return -ENOMEM;
	for (i = 0; i < MEM_PAGE_WORDS; i++)
		key->words[i] = random();
	for (i = 0; i < MEM_FOLD_WORDS; i++)
		key->fold[i] = random();
	return 0;
}

void mem_key_fini(struct mem_key *key)
{
	free_page((unsigned long)key->words);
	key->words = NULL;
}

/* One of the products: of the words i and i + 1. */
static __no_kcsan __always_inline u128 product(const u64 *p, const u64 *k, unsigned int i)
{
	return (u128)(p[i] + k[i]) * (p[i + 1] + k[i + 1]);
}

static u64 fold(const u64 *k, u128 sum)
{
	u128 mixed = (u128)((u64)sum + k[0]) * ((u64)(sum >> 64) + k[1]);
	u64 hash = (u64)mixed ^ (u64)(mixed >> 64);

	hash = (hash ^ hash >> 32) * (k[2] | 1);
	hash ^= hash >> 29;
	return hash ?: 1;
}

__no_kcsan u64 mem_hash_page(const struct mem_key *key, const void *page)
{
	const u64 *p = page, *end = p + MEM_PAGE_WORDS, *k = key->words;
	unsigned int i;
	u128 sum = 0;

	do {
#pragma GCC unroll 32
		for (i = 0; i < 64; i += 2)
			sum += product(p, k, i);
		k += 64;
		p += 64;
	} while (p != end);
	return fold(key->fold, sum);
}

/* One instruction a word. Most pages that are not zero say so in the first turn. */
__no_kcsan bool mem_page_is_zero(const void *page)
{
	const u64 *p = page, *end = p + MEM_PAGE_WORDS;

	do {
		if (p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7] |
		    p[8] | p[9] | p[10] | p[11] | p[12] | p[13] | p[14] | p[15])
			return false;
		p += 16;
	} while (p != end);
	return true;
}

/*
 * The string instruction, since any loop takes three for a word. It needs more cycles than that
 * loop when both pages are in the first cache (1500 and 320 of a Zen 5) and the same when one
 * comes from memory, as of two pages that are about to become one it does.
 */
bool mem_pages_equal(const void *a, const void *b)
{
	unsigned long words = MEM_PAGE_WORDS;
	bool equal;

	__asm__ __volatile__("repe cmpsq"
			     : "=@cce" (equal), "+S" (a), "+D" (b), "+c" (words)
			     : : "memory");
	return equal;
}
