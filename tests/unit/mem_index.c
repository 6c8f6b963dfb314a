// SPDX-License-Identifier: GPL-2.0
/*
 * The content index against the plainest model there is, an array of what was entered: whatever
 * it finds was entered, frames are always found, hints nearly always, and it needs no more memory
 * than it may.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "kapi_test.h"
#include "mem/index.h"
#include "mem/mem.h"
#include "tests/model/random.h"

#define FRAMES	40000
#define HINTS	60000

static u64 seed = 1;

static u64 any(void)
{
	return random_word(&seed);
}

static struct mem_index ix;
static atomic64_t bytes;
static struct mem_frame *frames;	/* hash 0: not entered */
static u64 hint_hash[HINTS];		/* of location i; 0: not entered */

static int setup(void **state)
{
	frames = aligned_alloc(64, (FRAMES + 1) * sizeof(*frames));
	memset(frames, 0, (FRAMES + 1) * sizeof(*frames));
	memset(hint_hash, 0, sizeof(hint_hash));
	atomic64_set(&bytes, 0);
	mem_index_init(&ix, frames + FRAMES / 3, &bytes);
	return 0;
}

static int teardown(void **state)
{
	mem_index_fini(&ix);
	free(frames);
	return kapi_live() || kapi_warnings() || atomic64_read(&bytes);
}

static void audit(void)
{
	const char *wrong = mem_index_audit(&ix);

	if (wrong)
		fail_msg("%s", wrong);
}

static bool found_hint(u64 hash, u64 location)
{
	struct mem_index_hit hits[16];
	unsigned int i, nr = mem_index_find(&ix, hash, hits, 16);

	for (i = 0; i < nr; i++)
		if (!hits[i].frame && hits[i].location == location)
			return true;
	return false;
}

static bool found_frame(struct mem_frame *frame)
{
	struct mem_index_hit hits[16];
	unsigned int i, nr = mem_index_find(&ix, frame->hash, hits, 16);

	for (i = 0; i < nr; i++) {
		if (hits[i].frame == frame)
			return true;
		if (!hits[i].frame)
			return false;	/* frames come first */
	}
	return false;
}

static void test_small(void **state)
{
	struct mem_index_hit hit;

	assert_int_equal(mem_index_find(&ix, 5, &hit, 1), 0);
	mem_index_del_hint(&ix, 5, 7);
	assert_int_equal(atomic64_read(&bytes), 0);
	assert_true(mem_index_add_hint(&ix, 5, 7));
	assert_true(mem_index_add_hint(&ix, 5, 7));
	assert_int_equal(ix.hints, 1);
	assert_int_equal(mem_index_find(&ix, 5, &hit, 1), 1);
	assert_null(hit.frame);
	assert_int_equal(hit.location, 7);
	frames[0].hash = 5;
	assert_true(mem_index_add_frame(&ix, &frames[0]));
	assert_int_equal(mem_index_find(&ix, 5, &hit, 1), 1);
	assert_ptr_equal(hit.frame, &frames[0]);
	mem_index_del_frame(&ix, &frames[0]);
	mem_index_del_frame(&ix, &frames[0]);
	mem_index_del_hint(&ix, 5, 8);
	assert_int_equal(ix.frames, 0);
	assert_int_equal(ix.hints, 1);
	mem_index_del_hint(&ix, 5, 7);
	assert_int_equal(mem_index_find(&ix, 5, &hit, 1), 0);
	audit();
}

static void test_limits(void **state)
{
	u64 last = BIT_ULL(MEM_LOCATION_BITS) - 1;

	assert_true(mem_index_add_hint(&ix, U64_MAX, last));
	assert_true(found_hint(U64_MAX, last));
	assert_false(mem_index_add_hint(&ix, U64_MAX, last + 1));
	/* Too far away to be named: not even looked at. */
	assert_false(mem_index_add_frame(&ix, ix.base + BIT_ULL(39)));
	assert_false(mem_index_add_frame(&ix, ix.base - BIT_ULL(39) - 1));
}

/* Many pages with one hash: no more than two lines of them, and nothing else suffers. */
static void test_one_hash(void **state)
{
	int i;

	for (i = 0; i < 1000; i++)
		assert_true(mem_index_add_hint(&ix, 77, i));
	assert_in_range(ix.hints, 8, 16);
	for (i = 0; i < 1000; i++) {
		frames[i].hash = 77;
		mem_index_add_frame(&ix, &frames[i]);
	}
	assert_in_range(ix.frames, 8, 16);
	assert_false(mem_index_add_hint(&ix, 77, 5000));
	audit();
	for (i = 0; i < 1000; i++)
		mem_index_del_frame(&ix, &frames[i]);
	assert_int_equal(ix.frames, 0);
}

/* How full it is while it grows and shrinks, and how many hints that costs. */
static void test_growth(void **state)
{
	enum { NR = 1 << 20 };
	u64 *hashes = malloc(NR * sizeof(u64));
	u64 lost = 0, worst = 0;
	u32 i;

	for (i = 0; i < NR; i++) {
		hashes[i] = any();
		assert_true(mem_index_add_hint(&ix, hashes[i], i));
		if (i >= 32768)
			worst = max(worst, (u64)atomic64_read(&bytes) * 100 / (i + 1));
	}
	for (i = 0; i < NR; i++)
		lost += !found_hint(hashes[i], i);
	print_message("# at worst %llu/100 bytes an entry, %llu of %u hints pushed out\n",
		      worst, lost, NR);
	assert_in_range(worst, 800, 1200);
	assert_in_range(lost, 0, NR / 1000);
	assert_int_equal(ix.hints, NR - lost);
	audit();
	for (i = 0; i < NR; i++) {
		mem_index_del_hint(&ix, hashes[i], i);
		if (i % 65536 == 0)
			audit();
	}
	assert_int_equal(ix.hints, 0);
	assert_in_range(atomic64_read(&bytes), 0, 6 * PAGE_SIZE);
	free(hashes);
}

static void test_max_entries(void **state)
{
	u64 i, found = 0;

	ix.max_entries = 10000;
	for (i = 0; i < 20000; i++)
		mem_index_add_hint(&ix, (i + 1) * 0x9e3779b97f4a7c15, i);
	assert_int_equal(ix.hints, 10000);
	for (i = 0; i < 20000; i++)
		found += found_hint((i + 1) * 0x9e3779b97f4a7c15, i);
	assert_int_equal(found, 10000);
	audit();
}

static bool keep_even(void *asked, u64 location)
{
	++*(u64 *)asked;
	return location % 2 == 0;
}

/* Full of hints: they are asked about once each, those not kept go, frames are not asked about. */
static void test_sweep(void **state)
{
	u64 i, asked = 0, evens = 0;
	u32 part;

	ix.max_entries = 20000;
	for (i = 0; i < 100; i++) {
		frames[i].hash = any();
		assert_true(mem_index_add_frame(&ix, &frames[i]));
	}
	for (i = 0; i < 20000; i++) {
		hint_hash[i] = any();
		mem_index_add_hint(&ix, hint_hash[i], i);
	}
	assert_false(mem_index_wants_sweep(&ix));
	for (i = 20000; i < 22000; i++)
		mem_index_add_hint(&ix, any(), i);
	assert_true(mem_index_wants_sweep(&ix));
	assert_int_equal(ix.hints + ix.frames, 20000);
	for (part = mem_index_sweep_begin(&ix); part-- > 0; )
		mem_index_sweep(&ix, part, keep_even, &asked);
	assert_in_range(asked, 19000, 25000);	/* some move meanwhile */
	assert_int_equal(ix.frames, 100);
	assert_in_range(ix.hints, 9000, 11000);
	assert_false(mem_index_wants_sweep(&ix));
	for (i = 0; i < 100; i++)
		assert_true(found_frame(&frames[i]));
	for (i = 0; i < 20000; i++)
		evens += found_hint(hint_hash[i], i) && i % 2 == 0;
	assert_in_range(evens, 8500, 10000);
	/* Fewer chunks than before: also a reason. */
	ix.max_entries = 1000;
	assert_true(mem_index_wants_sweep(&ix));
	audit();
}

static void random_operation(u64 *lost)
{
	u64 r = any(), hash = (r >> 40) % 5000 ? any() : r % 100 + 1;
	struct mem_frame *frame = &frames[(r >> 8) % FRAMES];
	u64 location = (r >> 8) % HINTS;

	switch (r % 8) {
	case 0 ... 3:
		if (hint_hash[location])
			mem_index_del_hint(&ix, hint_hash[location], location);
		hint_hash[location] = mem_index_add_hint(&ix, hash, location) ? hash : 0;
		break;
	case 4:
		if (hint_hash[location])
			mem_index_del_hint(&ix, hint_hash[location], location);
		hint_hash[location] = 0;
		break;
	case 5:
	case 6:
		if (frame->hash)
			break;
		frame->hash = hash;
		if (!mem_index_add_frame(&ix, frame))
			frame->hash = 0;
		break;
	case 7:
		if (!frame->hash)
			break;
		*lost += !found_frame(frame);
		mem_index_del_frame(&ix, frame);
		frame->hash = 0;
		break;
	}
}

static void test_random(void **state)
{
	u64 lost_frames = 0, lost_hints = 0, in_hints = 0, in_frames = 0, i;

	for (i = 0; i < 1000000; i++) {
		random_operation(&lost_frames);
		if (i % 100000 == 0)
			audit();
		if (i % 250000 == 0)
			seed += i;
	}
	for (i = 0; i < HINTS; i++) {
		in_hints += hint_hash[i] != 0;
		lost_hints += hint_hash[i] && !found_hint(hint_hash[i], i);
	}
	for (i = 0; i < FRAMES; i++)
		in_frames += frames[i].hash && found_frame(&frames[i]);
	print_message("# %llu hints, %llu of them pushed out, %llu frames, %llu lost\n", in_hints,
		      lost_hints, in_frames, lost_frames);
	assert_int_equal(ix.frames, in_frames);
	assert_int_equal(ix.hints, in_hints - lost_hints);
	assert_in_range(lost_hints, 0, in_hints / 200);
	assert_in_range(lost_frames, 0, 20);
}

/* Allocations refused again and again: consistent, and nothing is forgotten that was taken. */
static void test_no_memory(void **state)
{
	u64 i, refused = 0;

	for (i = 1; i < 30000; i++) {
		if (i % 3 == 0)
			kapi_fail_nth(1);
		refused += !mem_index_add_hint(&ix, i * 0x9e3779b97f4a7c15, i);
		kapi_fail_nth(0);
	}
	audit();
	assert_in_range(ix.hints, 20000, 30000 - refused);
	for (i = 1; i < 30000; i++) {
		kapi_fail_nth(1);
		mem_index_del_hint(&ix, i * 0x9e3779b97f4a7c15, i);
		kapi_fail_nth(0);
	}
	assert_int_equal(ix.hints, 0);
	audit();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_small), TEST(test_limits), TEST(test_one_hash), TEST(test_growth),
		TEST(test_max_entries), TEST(test_sweep), TEST(test_random), TEST(test_no_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
