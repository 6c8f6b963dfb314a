// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that the machine found bad: nobody reads them. They are not mapped in this host, so that who
 * does dies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kapi_test.h"
#include "tests/unit/mem_guests.h"

static struct mem_frame *frame_at(struct guest *g, u32 i)
{
	return mem_chunk_frame(mem_chunk_find(&g->file, i), i % MEM_HUGE_PAGES);
}

static void poison_page(struct guest *g, u32 i)
{
	poison(frame_at(g, i));
}

/* A bad page is given back, and the guest has a good one of zeros. */
static void heal(struct guest *g, u32 i)
{
	assert_int_equal(mem_file_punch(&g->file, i, 1), 0);
	g->content[i] = 0;
}

static void fill_equal(u32 nr)
{
	u32 n, i;

	for (n = 0; n < nr; n++)
		for (i = 0; i < PAGES; i++)
			guest_write(&guests[n], i, 1 + i);
}

/* Private, shared, about to be merged: the others are scanned as ever. */
static void test_scan(void **state)
{
	u32 i;

	start_guests(3);
	fill_equal(2);
	guest_write(&guests[0], 9, 0);
	poison_page(&guests[0], 5);
	poison_page(&guests[0], 9);
	poison_page(&guests[1], 7);
	rounds_of_scan(20);
	assert_int_equal(frames_used(), PAGES + 3);	/* 5, 7 and 9 have no twin */
	poison_page(&guests[0], 100);
	mem_scan_restart(&pool);
	rounds_of_scan(3);
	assert_ptr_equal(guests[0].map[5], NULL);	/* the guest will be told when it comes */
	for (i = 0; i < PAGES; i++)
		if (i != 5 && i != 7 && i != 9 && i != 100)
			guest_write(&guests[2], i, 1 + i);
	rounds_of_scan(20);
	heal(&guests[0], 5);
	heal(&guests[0], 9);
	heal(&guests[1], 7);
	heal(&guests[0], 100);
	heal(&guests[1], 100);
	check_all();
}

static void test_write(void **state)
{
	struct mem_frame *frame;

	start_guests(2);
	fill_equal(2);
	rounds_of_scan(20);
	poison_page(&guests[0], 3);
	assert_int_equal(mem_file_fault(&guests[0].file, 3, true, &frame), -EHWPOISON);
	assert_int_equal(mem_file_pin(&guests[0].file, 3, true, &frame), -EHWPOISON);
	assert_int_equal(mem_file_pin(&guests[1].file, 3, false, &frame), -EHWPOISON);
	guest_write(&guests[0], 4, 4711);
	heal(&guests[0], 3);
	heal(&guests[1], 3);
	check_all();
}

/* A clone has the same bad page; one that has to be copied ends it. */
static void test_clone(void **state)
{
	struct mem_frame *frame, *held;
	int err, status;

	start_guests(2);
	fill_equal(1);
	poison_page(&guests[0], 3);
	assert_int_equal(mem_file_clone(&guests[0].file, 0, &guests[1].file, 0, 512, &err), 512);
	assert_ptr_equal(frame_at(&guests[0], 3), frame_at(&guests[1], 3));
	assert_int_equal(mem_file_pin(&guests[1].file, 3, false, &frame), -EHWPOISON);
	assert_int_equal(mem_file_pin(&guests[0].file, 600, true, &held), 0);
	poison(held);
	assert_int_equal(mem_file_clone(&guests[0].file, 598, &guests[1].file, 598, 5, &err), 2);
	assert_int_equal(err, -EHWPOISON);
	host_put(held);
	status = mem_file_dedupe(&guests[0].file, 600, &guests[1].file, 600, 1);
	assert_int_equal(status, -EBADE);
	heal(&guests[0], 3);
	heal(&guests[1], 3);
	heal(&guests[0], 600);
	memcpy(guests[1].content, guests[0].content, 512 * sizeof(u64));
	guests[1].content[598] = guests[0].content[598];
	guests[1].content[599] = guests[0].content[599];
	check_all();
}

/* 2 MiB frames with a bad part are taken apart, and not put together again. */
static void test_huge(void **state)
{
	struct mem_chunk *chunk;
	struct mem_frame *held;
	int err;
	u32 i;

	start_guests(3);
	for (i = 0; i < PAGES; i++)
		guest_write(&guests[0], i, 100000 + i);
	poison_page(&guests[0], 3);
	rounds_of_scan(60);
	assert_int_equal(atomic64_read(&guests[0].file.stat.huge), 3);
	assert_ptr_equal(guests[0].map[3], NULL);
	chunk = mem_chunk_find(&guests[0].file, 0);
	mutex_lock(&chunk->lock);
	assert_int_equal(mem_chunk_gather(chunk), -EHWPOISON);
	mutex_unlock(&chunk->lock);
	/* A pinned ring cannot be taken apart: a copy fails, and the ring stays. */
	poison_page(&guests[0], 513);
	assert_int_equal(mem_file_clone(&guests[0].file, 512, &guests[1].file, 512, 512, &err), 512);
	assert_int_equal(mem_file_pin(&guests[0].file, 514, false, &held), 0);
	assert_int_equal(mem_file_fault(&guests[1].file, 515, true, &held), -EHWPOISON);
	host_put(frame_at(&guests[0], 514));
	guest_write(&guests[1], 515, 5);
	heal(&guests[0], 3);
	heal(&guests[0], 513);
	heal(&guests[1], 513);
	for (i = 512; i < 1024; i++)
		if (i != 515 && i != 513)
			guests[1].content[i] = guests[0].content[i];
	check_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_scan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_huge, setup_huge, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
