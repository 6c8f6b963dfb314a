// SPDX-License-Identifier: GPL-2.0
/*
 * The scanner, on guests with 4 KiB frames: what is saved is compared with what an exact comparison
 * of all pages says can be saved, and every page with what its guest wrote.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kapi_test.h"
#include "tests/unit/mem_guests.h"

/* Guests that do not run: one round finds everything there is. */
static void test_paused(void **state)
{
	struct mem_group *group = start_guests(GUESTS);

	fill_guests(GUESTS);
	assert_int_equal(frames_used(), GUESTS * PAGES);
	round_of_scan();
	print_message("# %lld frames left of %u, exact %llu\n", frames_used(), GUESTS * PAGES,
		      exact(group));
	assert_int_equal(frames_used(), exact(group));
	assert_int_equal(atomic64_read(&scan->stat.hashed) + atomic64_read(&scan->stat.zero),
			 GUESTS * PAGES);
	assert_int_equal(atomic64_read(&scan->stat.merged) + atomic64_read(&scan->stat.zero) +
			 frames_used(), GUESTS * PAGES);
	check_all();
	rounds_of_scan(20);
	assert_int_equal(frames_used(), exact(group));
	check_all();
}

static void test_paused_random(void **state)
{
	struct mem_group *group = start_guests(GUESTS);

	scan->order = MEM_SCAN_RANDOM;
	fill_guests(GUESTS);
	round_of_scan();
	assert_int_equal(frames_used(), exact(group));
	assert_int_equal(atomic64_read(&scan->stat.visited), GUESTS * PAGES);
	check_all();
}

static void test_one_guest(void **state)
{
	struct mem_group *group = start_guests(1);

	fill_guests(1);
	round_of_scan();
	assert_int_equal(frames_used(), exact(group));
	check_all();
}

/* What does not change is hashed twice and then never again. */
static void test_steady(void **state)
{
	u64 hashed;
	s64 skipped;

	start_guests(2);
	fill_guests(2);
	rounds_of_scan(40);
	hashed = atomic64_read(&scan->stat.hashed);
	skipped = atomic64_read(&scan->stat.skipped);
	assert_in_range(hashed, 0, 4 * PAGES);
	rounds_of_scan(32);
	assert_int_equal(atomic64_read(&scan->stat.hashed), hashed);
	assert_true(atomic64_read(&scan->stat.skipped) > skipped);
	/* Unless it is asked to. */
	mem_scan_restart(&pool);
	rounds_of_scan(2);
	assert_true((u64)atomic64_read(&scan->stat.hashed) > hashed);
	hashed = atomic64_read(&scan->stat.hashed);
	/* A page that is written is found again, and so is its new twin. */
	guest_write(&guests[0], 7, 4711);
	guest_write(&guests[1], 1007, 4711);
	rounds_of_scan(40);
	assert_in_range(atomic64_read(&scan->stat.hashed) - hashed, 2, 20);
	assert_ptr_equal(guests[0].map[7], NULL);
	check_all();
	assert_ptr_equal(guests[0].map[7], guests[1].map[1007]);
}

/* As if much had come and gone in the group: hints of pages that are not known go. */
static void sweep_index(struct mem_group *group)
{
	group->index.pressed = U32_MAX;
	rounds_of_scan(20);
}

/* Pages that were known when they were cloned are found again when the clone is gone. */
static void test_after_clone(void **state)
{
	struct mem_group *group = start_guests(2);
	u32 i;
	int err;

	for (i = 0; i < PAGES; i++)
		guest_write(&guests[0], i, 1 + i);
	rounds_of_scan(10);
	assert_int_equal(mem_file_clone(&guests[0].file, 0, &guests[1].file, 0, PAGES, &err),
			 PAGES);
	memcpy(guests[1].content, guests[0].content, sizeof(guests[0].content));
	check_all();
	guest_end(&guests[1]);
	sweep_index(group);
	check_all();
	guest_start(&guests[2], group);
	for (i = 0; i < PAGES; i++)
		guest_write(&guests[2], i, 1 + i);
	rounds_of_scan(10);
	assert_int_equal(frames_used(), exact(group));
	check_all();
}

/* A shared frame for which the index has no place any more when it grows is found again. */
static void test_lost_frames(void **state)
{
	struct mem_group *group = start_guests(2);
	struct mem_frame *frame;
	u32 i;

	for (i = 0; i < PAGES; i++) {
		guest_write(&guests[0], i, 1 + i);
		guest_write(&guests[1], i, 1 + i);
	}
	rounds_of_scan(20);
	for (i = 0; i < PAGES; i += 7) {
		frame = guests[0].map[i] ?: mem_slot_frame(
			mem_chunk_find(&guests[0].file, i)->slots[i % MEM_HUGE_PAGES]);
		mem_index_del_frame(&group->index, frame);
		frame->hash = 0;
		group->index.lost++;
	}
	sweep_index(group);
	assert_int_equal(group->index.lost, 0);
	assert_int_equal(group->index.frames, PAGES);
	guest_start(&guests[2], group);
	for (i = 0; i < PAGES; i++)
		guest_write(&guests[2], i, 1 + i);
	rounds_of_scan(10);
	assert_int_equal(frames_used(), PAGES);
	check_all();
}

/* All that is known of pages takes half a percent of them, and a few pages besides. */
static void test_metadata(void **state)
{
	u64 value = 1;
	u32 n, i, r;

	start_guests(GUESTS);
	for (r = 0; r < 10; r++) {
		for (n = 0; n < GUESTS; n++)
			for (i = 0; i < PAGES; i++)
				if (r == 0 || i % (r + 1) == 0)
					guest_write(&guests[n], i, value++);
		rounds_of_scan(8);
		print_message("# %lld bytes of metadata for %u pages\n",
			      atomic64_read(&pool.metadata_bytes), GUESTS * PAGES);
		assert_in_range(atomic64_read(&pool.metadata_bytes), 1,
				GUESTS * PAGES * PAGE_SIZE / 200 + 5 * PAGE_SIZE);
	}
	/* Four of the five end. */
	for (n = 1; n < GUESTS; n++)
		guest_end(&guests[n]);
	rounds_of_scan(2);
	assert_in_range(atomic64_read(&pool.metadata_bytes), 1,
			PAGES * PAGE_SIZE / 200 + 7 * PAGE_SIZE);
	check_all();
}

/* Groups do not share; a file that never shares is left alone. */
static void test_groups(void **state)
{
	struct mem_group *one = mem_group_new(&pool), *two = mem_group_new(&pool);

	guest_start(&guests[0], one);
	guest_start(&guests[1], two);
	guest_start(&guests[2], two);
	guests[2].file.never_share = true;
	mem_group_put(one);
	mem_group_put(two);
	fill_guests(3);
	rounds_of_scan(3);
	assert_int_equal(atomic64_read(&guests[2].file.stat.merged), 0);
	guests[2].file.group = NULL;	/* not counted */
	assert_int_equal(frames_used(), exact(one) + exact(two) + PAGES);
	guests[2].file.group = two;
	check_all();
}

/* Pages that change all the time are left alone more and more, the others are merged as ever. */
static void test_volatile(void **state)
{
	struct mem_group *group = start_guests(2);
	u64 value = 1ull << 32, hashed = 0;
	u32 r, i;

	fill_guests(2);
	for (r = 0; r < 100; r++) {
		for (i = 0; i < PAGES; i += 5)
			guest_write(&guests[0], i, value++);
		round_of_scan();
		if (r == 49)
			hashed = atomic64_read(&scan->stat.hashed);
	}
	check_all();
	hashed = atomic64_read(&scan->stat.hashed) - hashed;
	print_message("# %llu hashed in 50 rounds in which %u were written, %lld left, exact %llu\n",
		      hashed, 50 * PAGES / 5, frames_used(), exact(group));
	assert_in_range(hashed, 0, 50 * PAGES / 5 / 8);
	assert_in_range(frames_used(), exact(group), exact(group) * 103 / 100);
	/* And once they are quiet, they are found. */
	for (i = 0; i < PAGES; i += 5)
		guest_write(&guests[0], i, 77);
	rounds_of_scan(300);
	assert_int_equal(frames_used(), exact(group));
	check_all();
}

/* The other chunk is locked: nothing waits, and the round ends with it merged all the same. */
static void test_busy(void **state)
{
	struct mem_group *group = start_guests(2);
	struct mem_chunk *other;
	u64 left;

	fill_guests(2);
	other = mem_chunk_find(&guests[0].file, 0);
	left = exact(group);
	while (!other->visited)
		mem_scan_step(&pool);
	mutex_lock(&other->lock);
	while (!atomic64_read(&scan->stat.busy))
		mem_scan_step(&pool);
	assert_true(frames_used() > (s64)left);
	mutex_unlock(&other->lock);
	while (!atomic64_read(&scan->stat.rounds))
		mem_scan_step(&pool);
	assert_int_equal(frames_used(), left);
	check_all();
}

/* Somebody holds pages: they stay, and are merged when he lets go. */
static void test_pinned(void **state)
{
	struct mem_group *group = start_guests(2);
	struct mem_frame *frame[20];
	u32 i;

	fill_guests(2);
	for (i = 0; i < 20; i++)
		assert_int_equal(mem_file_pin(&guests[1].file, i, true, &frame[i]), 0);
	rounds_of_scan(2);
	assert_true(frames_used() > (s64)exact(group));
	assert_true(atomic64_read(&guests[1].file.stat.pinned) > 0);
	for (i = 0; i < 20; i++) {
		assert_true(holds(host_data(frame[i]), typical(1, i)));
		host_put(frame[i]);
	}
	rounds_of_scan(300);
	assert_int_equal(frames_used(), exact(group));
	check_all();
}

static void test_reserve(void **state)
{
	struct mem_scan_step step;

	start_guests(2);
	fill_guests(2);
	pool.reserve.low = true;
	step = mem_scan_step(&pool);
	assert_int_equal(step.visited, 0);
	assert_in_range(step.sleep_ns, 1000000, 1000000000);
	assert_int_equal(atomic64_read(&scan->stat.visited), 0);
	pool.reserve.low = false;
	step = mem_scan_step(&pool);
	assert_int_equal(step.visited, MEM_HUGE_PAGES);
	scan->run = false;
	step = mem_scan_step(&pool);
	assert_int_equal(step.visited, 0);
	assert_true(step.sleep_ns == U64_MAX);
}

/* So many pages a second, so much of a processor, and more under pressure. */
static void test_budget(void **state)
{
	u64 began, hashed;

	start_guests(GUESTS);
	fill_guests(GUESTS);
	scan->pages_per_second = 1000;
	began = now;
	round_of_scan();
	hashed = atomic64_read(&scan->stat.hashed);
	assert_in_range((now - began) / 1000000, hashed * 95 / 100, hashed * 115 / 100 + 500);
	scan->pages_per_second = 0;
	scan->cpu_percent = 10;
	scan->full = true;
	began = now;
	hashed = atomic64_read(&scan->stat.cpu_ns);
	while (scan->round < 3)
		now += mem_scan_step(&pool).sleep_ns;
	hashed = atomic64_read(&scan->stat.cpu_ns) - hashed;
	assert_true(now - began >= 9 * hashed);
	assert_int_equal(mem_scan_boost(scan), 1);
	scan->pressure_percent = 100;
	assert_int_equal(mem_scan_boost(scan), 16);
}

/* The thread is preempted for a second, or waits for a lock so long. */
static void another_runs(void)
{
	now += 1000000000;
}

static void test_preempted(void **state)
{
	u64 began;

	start_guests(1);
	fill_guests(1);
	kapi_set_resched(NULL, another_runs);
	began = now;
	round_of_scan();
	kapi_set_resched(NULL, NULL);
	assert_true(now - began >= 1000000000);
	assert_in_range(atomic64_read(&scan->stat.cpu_ns), 1000, 1000000);
}

static void test_estimate(void **state)
{
	u64 estimate;
	u32 n;

	start_guests(GUESTS);
	fill_guests(GUESTS);
	assert_int_equal(mem_scan_estimate(&pool), 0);
	scan->order = MEM_SCAN_RANDOM;
	for (n = 0; n < 10; n++)
		mem_scan_step(&pool);
	estimate = mem_scan_estimate(&pool);
	n = frames_used();
	rounds_of_scan(1);
	n -= frames_used();
	print_message("# estimated %llu, saved %u\n", estimate, n);
	assert_in_range(estimate, n / 4, n * 2);
	rounds_of_scan(40);
	assert_int_equal(mem_scan_estimate(&pool), 0);
}

/* Guests come and go between any two steps. */
static void test_coming_and_going(void **state)
{
	struct mem_group *group = start_guests(GUESTS);
	u32 r, i;

	mem_group_get(group);
	fill_guests(GUESTS);
	for (r = 0; r < 3000; r++) {
		struct guest *g = &guests[host_random() % GUESTS];

		scan->order = r % 3;
		if (host_random() % 100 < 5 && g->alive)
			guest_end(g);
		else if (!g->alive)
			guest_start(g, group);
		for (i = 0; i < 20 && g->alive; i++) {
			u32 at = host_random() % PAGES;

			guest_write(g, at, host_random() % 3 ? typical(0, at) : host_random());
		}
		now += mem_scan_step(&pool).sleep_ns;
		if (r % 300 == 0)
			check_all();
	}
	mem_scan_restart(&pool);
	rounds_of_scan(2);
	assert_int_equal(frames_used(), exact(group));
	check_all();
	mem_group_put(group);
}

int main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_paused), TEST(test_paused_random), TEST(test_one_guest),
		TEST(test_steady), TEST(test_after_clone), TEST(test_lost_frames),
		TEST(test_metadata), TEST(test_groups), TEST(test_volatile),
		TEST(test_busy), TEST(test_pinned), TEST(test_reserve), TEST(test_budget),
		TEST(test_preempted), TEST(test_estimate), TEST(test_coming_and_going),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
