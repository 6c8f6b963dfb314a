// SPDX-License-Identifier: GPL-2.0
/* 2 MiB frames of guests that write through mappings: scanned, gathered, shared by clones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kapi_test.h"
#include "tests/unit/mem_guests.h"

static void test_huge(void **state)
{
	struct mem_group *group = start_guests(GUESTS);

	fill_guests(GUESTS);
	assert_int_equal(atomic64_read(&guests[0].file.stat.huge), PAGES / MEM_HUGE_PAGES);
	round_of_scan();
	assert_int_equal(frames_used(), exact(group));
	assert_int_equal(atomic64_read(&guests[0].file.stat.huge), 0);
	check_all();
}

/* Nothing to share: they stay, and are known as a whole. */
static void test_huge_unique(void **state)
{
	u64 hashed;
	u32 i;

	start_guests(2);
	for (i = 0; i < PAGES; i++) {
		guest_write(&guests[0], i, 1 + i);
		guest_write(&guests[1], i, 100000 + i);
	}
	rounds_of_scan(40);
	assert_int_equal(atomic64_read(&guests[0].file.stat.huge), PAGES / MEM_HUGE_PAGES);
	hashed = atomic64_read(&scan->stat.hashed);
	assert_int_equal(hashed, 4 * PAGES);
	rounds_of_scan(32);
	assert_int_equal(atomic64_read(&scan->stat.hashed), hashed);
	guest_write(&guests[0], 700, 100799);
	rounds_of_scan(40);
	check_all();
	assert_ptr_equal(guests[0].map[700], guests[1].map[799]);
	assert_int_equal(atomic64_read(&guests[0].file.stat.huge), PAGES / MEM_HUGE_PAGES - 1);
}

/* One page in common is not worth a 2 MiB frame where it is said to take more. */
static void test_huge_threshold(void **state)
{
	u32 i;

	scan->dissolve_pages = 10;
	start_guests(2);
	for (i = 0; i < PAGES; i++) {
		guest_write(&guests[0], i, 1 + i);
		guest_write(&guests[1], i, 100000 + i);
	}
	for (i = 0; i < 9; i++)
		guest_write(&guests[1], i, 1 + i);
	rounds_of_scan(20);
	assert_int_equal(atomic64_read(&scan->stat.merged), 0);
	guest_write(&guests[1], 9, 10);
	rounds_of_scan(20);
	assert_int_equal(atomic64_read(&scan->stat.merged), 10);
	check_all();
}

/* What was shared once and is private again goes back into a 2 MiB frame. */
static void test_gather(void **state)
{
	u32 i;

	start_guests(2);
	for (i = 0; i < PAGES; i++) {
		guest_write(&guests[0], i, 1 + i);
		guest_write(&guests[1], i, i % MEM_HUGE_PAGES ? 100000 + i : 1 + i);
	}
	rounds_of_scan(3);
	assert_int_equal(atomic64_read(&guests[1].file.stat.huge), 0);
	for (i = 0; i < PAGES; i += MEM_HUGE_PAGES)
		guest_write(&guests[1], i, 200000 + i);
	rounds_of_scan(100);
	assert_int_equal(atomic64_read(&guests[1].file.stat.huge), PAGES / MEM_HUGE_PAGES);
	assert_int_equal(atomic64_read(&guests[0].file.stat.huge), PAGES / MEM_HUGE_PAGES);
	check_all();
	/* No sooner than one of its pages has a twin. */
	guest_write(&guests[1], 5, 6);
	rounds_of_scan(60);
	check_all();
	assert_ptr_equal(guests[0].map[5], guests[1].map[5]);
}

/* Clones share whole 2 MiB frames; what they have in common with others is found all the same. */
static void test_clones(void **state)
{
	struct mem_group *group = start_guests(3);
	u32 i;
	int err;

	for (i = 0; i < PAGES; i++)
		guest_write(&guests[0], i, 1 + i);
	for (i = 1; i < 3; i++) {
		assert_int_equal(mem_file_clone(&guests[0].file, 0, &guests[i].file, 0, PAGES,
						&err), PAGES);
		memcpy(guests[i].content, guests[0].content, sizeof(guests[0].content));
	}
	rounds_of_scan(10);
	assert_int_equal(frames_used(), PAGES);
	guest_start(&guests[3], group);
	for (i = 0; i < PAGES; i++)
		guest_write(&guests[3], i, i % 3 ? 1 + i : 300000 + i);
	rounds_of_scan(40);
	print_message("# %lld frames, exact %llu\n", frames_used(), exact(group));
	assert_int_equal(frames_used(), exact(group));
	check_all();
}

/* Clones of guest 0, which has written all its pages and reads them; they read theirs. */
static void start_clones(u32 nr)
{
	u32 n, i;
	int err;

	start_guests(nr + 1);
	for (i = 0; i < PAGES; i++)
		guest_write(&guests[0], i, 1 + i);
	for (n = 1; n <= nr; n++) {
		assert_int_equal(mem_file_clone(&guests[0].file, 0, &guests[n].file, 0, PAGES,
						&err), PAGES);
		memcpy(guests[n].content, guests[0].content, sizeof(guests[0].content));
	}
	check_all();
}

/*
 * A ring that everybody has mapped, and nobody pinned, is dissolved where it is: whoever writes takes a
 * page more, not a copy of the 2 MiB. That wants the others' mappings gone as well.
 */
static void test_ring_mapped(void **state)
{
	start_clones(2);
	assert_int_equal(frames_used(), PAGES);
	guest_write(&guests[1], 5, 4711);
	assert_int_equal(frames_used(), PAGES + 1);
	assert_int_equal(atomic64_read(&guests[1].file.stat.cow_breaks), 1);
	assert_int_equal(atomic64_read(&guests[0].file.stat.huge), PAGES / MEM_HUGE_PAGES - 1);
	assert_int_equal(atomic64_read(&guests[2].file.stat.huge), PAGES / MEM_HUGE_PAGES - 1);
	check_all();
	/* The same by who it came from, and by a hole. */
	guest_write(&guests[0], 600, 4712);
	assert_int_equal(frames_used(), PAGES + 2);
	assert_int_equal(mem_file_punch(&guests[2].file, 1030, 1), 0);
	guests[2].content[1030] = 0;
	assert_int_equal(frames_used(), PAGES + 2);
	assert_int_equal(atomic64_read(&guests[1].file.stat.huge), PAGES / MEM_HUGE_PAGES - 3);
	check_all();
}

static struct mem_group *another;

/* In the middle of a clone or a deduplication the file becomes empty and goes to another group. */
static void move_away(void)
{
	kapi_set_resched(NULL, NULL);
	assert_int_equal(mem_file_punch(&guests[1].file, 0, PAGES), 0);
	assert_int_equal(mem_file_set_group(&guests[1].file, another), 0);
	memset(guests[1].content, 0, sizeof(guests[1].content));
	guest_write(&guests[1], MEM_HUGE_PAGES, 1 + MEM_HUGE_PAGES);
}

static void test_group_changes(void **state)
{
	int err;

	start_clones(1);
	another = mem_group_new(&pool);
	kapi_set_resched(NULL, move_away);
	assert_int_equal(mem_file_clone(&guests[0].file, 0, &guests[1].file, 0, PAGES, &err),
			 MEM_HUGE_PAGES);
	assert_int_equal(err, -EXDEV);
	check_all();
	assert_int_equal(mem_file_punch(&guests[1].file, 0, PAGES), 0);
	assert_int_equal(mem_file_set_group(&guests[1].file, guests[0].file.group), 0);
	guest_write(&guests[1], MEM_HUGE_PAGES - 1, MEM_HUGE_PAGES);
	kapi_set_resched(NULL, move_away);
	assert_int_equal(mem_file_dedupe(&guests[0].file, MEM_HUGE_PAGES - 1, &guests[1].file,
					 MEM_HUGE_PAGES - 1, 2), -EXDEV);
	check_all();
	mem_group_put(another);
}

/* Each allocation in turn refused in a round: nothing breaks, the next round makes up for it. */
static void test_no_memory(void **state)
{
	struct mem_group *group;
	u32 n = 0, i;
	bool failed;

	do {
		group = start_guests(3);
		for (i = 0; i < 2 * MEM_HUGE_PAGES; i++) {
			guest_write(&guests[0], i, typical(0, i));
			guest_write(&guests[1], i, typical(1, i));
			guest_write(&guests[2], i, typical(2, i));
		}
		kapi_fail_nth(++n);
		round_of_scan();
		failed = kapi_failed();
		kapi_fail_nth(0);
		mem_scan_restart(&pool);
		rounds_of_scan(2);
		assert_int_equal(frames_used(), exact(group));
		check_all();
		for (i = 0; i < 3; i++)
			guest_end(&guests[i]);
	} while (failed);
	assert_in_range(n, 5, 1000);
}

/* Thousands of clones: what a write costs is bounded, and nothing but slots is. */
static void test_long_ring(void **state)
{
	enum { CLONES = 3 * MEM_RING_MAX };
	struct mem_file *clones = calloc(CLONES, sizeof(*clones));
	struct mem_group *group = start_guests(1);
	struct mem_chunk *chunk;
	u32 i, longest = 0;
	int err;

	for (i = 0; i < PAGES; i++)
		guest_write(&guests[0], i, 1 + i);
	chunk = mem_chunk_find(&guests[0].file, 0);
	for (i = 0; i < CLONES; i++) {
		assert_int_equal(mem_file_init(&clones[i], &pool, group), 0);
		clones[i].pages = PAGES;
		assert_int_equal(mem_file_clone(i % 2 ? &clones[i - 1] : &guests[0].file, 0,
						&clones[i], 0, PAGES, &err), PAGES);
		if (chunk->huge)
			longest = max_t(u32, longest, atomic_long_read(&chunk->huge->refs));
	}
	assert_int_equal(longest, MEM_RING_MAX);
	assert_int_equal(frames_used(), PAGES);
	check_all();
	guest_write(&guests[0], 5, 4711);
	assert_int_equal(frames_used(), PAGES + 1);
	check_all();
	for (i = 0; i < CLONES; i++)
		mem_file_fini(&clones[i]);
	free(clones);
}

int main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup_huge, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_huge), TEST(test_huge_unique), TEST(test_huge_threshold),
		TEST(test_gather), TEST(test_clones), TEST(test_ring_mapped),
		TEST(test_long_ring),
		TEST(test_group_changes), TEST(test_no_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
