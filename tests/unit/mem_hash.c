// SPDX-License-Identifier: GPL-2.0
/* The loops over the bytes of pages: right for any content, and of few instructions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "kapi_test.h"
#include "mem/hash.h"
#include "tests/model/random.h"

static u64 seed = 1;

static u64 any(void)
{
	return random_word(&seed);
}

static struct mem_key key, other_key;
static u64 a[MEM_PAGE_WORDS], b[MEM_PAGE_WORDS];

static int setup(void **state)
{
	return mem_key_init(&key, any) || mem_key_init(&other_key, any);
}

static int teardown(void **state)
{
	mem_key_fini(&key);
	mem_key_fini(&other_key);
	return kapi_live() || kapi_warnings();
}

static void randomize(u64 *page)
{
	unsigned int i;

	for (i = 0; i < MEM_PAGE_WORDS; i++)
		page[i] = any();
}

/* The same sum, the plain way: 128 bits in two words, by schoolbook multiplication. */
static u64 plain_hash(const struct mem_key *k, const u64 *p)
{
	u64 high = 0, low = 0, x, y, mid, mid2, h, l;
	unsigned int i;

	for (i = 0; i <= MEM_PAGE_WORDS; i += 2) {
		x = i < MEM_PAGE_WORDS ? p[i] + k->words[i] : low + k->fold[0];
		y = i < MEM_PAGE_WORDS ? p[i + 1] + k->words[i + 1] : high + k->fold[1];
		mid = (x >> 32) * (u32)y + ((u64)(u32)x * (u32)y >> 32);
		mid2 = (u64)(u32)x * (y >> 32) + (u32)mid;
		h = (x >> 32) * (y >> 32) + (mid >> 32) + (mid2 >> 32);
		l = x * y;
		if (i == MEM_PAGE_WORDS)
			break;
		low += l;
		high += h + (low < l);
	}
	x = h ^ l;
	x = (x ^ x >> 32) * (k->fold[2] | 1);
	x ^= x >> 29;
	return x ? x : 1;
}

static void test_formula(void **state)
{
	int n;

	for (n = 0; n < 1000; n++) {
		randomize(a);
		if (n % 2)
			memset(a, n % 3 ? 0 : 0xff, n * 4);
		assert_int_equal(mem_hash_page(&key, a), plain_hash(&key, a));
		assert_int_not_equal(mem_hash_page(&key, a), mem_hash_page(&other_key, a));
	}
}

/* A sum that folds to zero is not "not known". */
static void test_never_zero(void **state)
{
	u64 word = key.fold[0];
	u64 low = 0;
	unsigned int i;

	memset(a, 0, sizeof(a));
	for (i = 0; i < MEM_PAGE_WORDS; i += 2)
		low += key.words[i] * key.words[i + 1];
	key.fold[0] = -low;	/* one factor of the fold is 0 */
	assert_int_equal(mem_hash_page(&key, a), 1);
	key.fold[0] = word;
}

/* Each bit of the page changes half of the hash's bits, on average and about. */
static void test_avalanche(void **state)
{
	unsigned int bit, i, changed[64] = { 0 }, all = 0, least = 64;
	u64 hash, diff;

	randomize(a);
	memset(a + 100, 0, 1000);
	hash = mem_hash_page(&key, a);
	for (bit = 0; bit < PAGE_SIZE * 8; bit++) {
		a[bit / 64] ^= BIT_ULL(bit % 64);
		diff = mem_hash_page(&key, a) ^ hash;
		a[bit / 64] ^= BIT_ULL(bit % 64);
		least = min(least, (unsigned int)hweight64(diff));
		all += hweight64(diff);
		for (i = 0; i < 64; i++)
			changed[i] += diff >> i & 1;
	}
	assert_in_range(all / (PAGE_SIZE * 8 / 100), 3170, 3230);
	assert_in_range(least, 9, 32);
	for (i = 0; i < 64; i++)
		assert_in_range(changed[i], PAGE_SIZE * 4 - 700, PAGE_SIZE * 4 + 700);
}

static int compare(const void *x, const void *y)
{
	u64 p = *(const u64 *)x, q = *(const u64 *)y;

	return p < q ? -1 : p > q;
}

/* Pages that are alike, as real ones are: no two hashes agree, nor many of their low 24 bits. */
static void test_collisions(void **state)
{
	enum { PAGES = 1 << 18 };
	u64 *hashes = malloc(PAGES * sizeof(u64));
	unsigned int i, equal = 0, close = 0;

	memset(a, 0, sizeof(a));
	for (i = 0; i < PAGES; i++) {
		u64 *word = &a[i % MEM_PAGE_WORDS];

		*word = i / MEM_PAGE_WORDS + 1;
		hashes[i] = mem_hash_page(&key, a);
		*word = 0;
	}
	qsort(hashes, PAGES, sizeof(u64), compare);
	for (i = 1; i < PAGES; i++)
		equal += hashes[i] == hashes[i - 1];
	assert_int_equal(equal, 0);
	for (i = 0; i < PAGES; i++)
		hashes[i] <<= 40;
	qsort(hashes, PAGES, sizeof(u64), compare);
	for (i = 1; i < PAGES; i++)
		close += hashes[i] == hashes[i - 1];
	/* 2^18 balls into 2^24 boxes: 2038 expected, standard deviation 45. */
	assert_in_range(close, 1800, 2280);
	free(hashes);
}

/* Swapped words, swapped pairs, halves and complements do not cancel out. */
static void test_structure(void **state)
{
	u64 hash;
	unsigned int i;

	randomize(a);
	hash = mem_hash_page(&key, a);
	for (i = 0; i + 2 < MEM_PAGE_WORDS; i++) {
		swap(a[i], a[i + 1]);
		assert_int_not_equal(mem_hash_page(&key, a), hash);
		swap(a[i], a[i + 1]);
		swap(a[i], a[i + 2]);
		assert_int_not_equal(mem_hash_page(&key, a), hash);
		swap(a[i], a[i + 2]);
		a[i] += BIT_ULL(63);
		a[i + 1] += BIT_ULL(63);
		assert_int_not_equal(mem_hash_page(&key, a), hash);
		a[i] -= BIT_ULL(63);
		a[i + 1] -= BIT_ULL(63);
	}
	assert_int_equal(mem_hash_page(&key, a), hash);
}

static void test_zero(void **state)
{
	unsigned int bit;

	memset(a, 0, sizeof(a));
	assert_true(mem_page_is_zero(a));
	for (bit = 0; bit < PAGE_SIZE * 8; bit++) {
		a[bit / 64] = BIT_ULL(bit % 64);
		assert_false(mem_page_is_zero(a));
		a[bit / 64] = 0;
	}
}

static void test_equal(void **state)
{
	unsigned int bit;

	randomize(a);
	memcpy(b, a, sizeof(a));
	assert_true(mem_pages_equal(a, b));
	assert_true(mem_pages_equal(a, a));
	for (bit = 0; bit < PAGE_SIZE * 8; bit++) {
		b[bit / 64] ^= BIT_ULL(bit % 64);
		assert_false(mem_pages_equal(a, b));
		b[bit / 64] ^= BIT_ULL(bit % 64);
	}
	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	assert_true(mem_pages_equal(a, b));
}

static void test_no_memory(void **state)
{
	struct mem_key k;

	kapi_fail_nth(1);
	assert_int_equal(mem_key_init(&k, any), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formula),
		cmocka_unit_test(test_never_zero),
		cmocka_unit_test(test_avalanche),
		cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_structure),
		cmocka_unit_test(test_zero),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_no_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
