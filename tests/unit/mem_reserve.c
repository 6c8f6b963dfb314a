// SPDX-License-Identifier: GPL-2.0
/*
 * What the frame logic does when frames are short, on the host of mem_fake.h: the limit of a pool,
 * its reserve and who may have of it, memory that is brought ahead and goes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem/chunk.h"
#include "tests/unit/mem_fake.h"

/* A hole cannot be filled beyond the limit; a 2 MiB frame that does not fit is done without. */
static void test_limit(void **state)
{
	u64 i;

	begin(true, 512 + 14, 4);
	for (i = 0; i < 10; i++)
		assert_int_equal(put(&a, 3 * 512 + i, i), 0);
	assert_int_equal(put(&a, 0, 1), 0);		/* 522 and the reserve: full */
	assert_int_equal(stat_of(&a.stat.huge), 1);
	assert_int_equal(put(&a, 512, 1), -ENOSPC);
	assert_int_equal(events[MEM_EVENT_POOL_FULL], 1);
	assert_int_equal(mem_file_allocate(&a, 512, 1), -ENOSPC);
	assert_int_equal(mem_file_punch(&a, 3 * 512, 2), 0);
	assert_int_equal(mem_file_allocate(&a, 512, 2), 0);
	assert_int_equal(put(&a, 514, 1), -ENOSPC);
	check();
	end();
}

static void test_reserve(void **state)
{
	int i, err;

	begin(false, 0, 8);
	for (i = 0; i < 10; i++)
		put(&a, i, i);
	mem_file_clone(&a, 0, &b, 0, 512, &err);
	fail_allocs = 1;
	for (i = 0; i < 8; i++)
		assert_int_equal(put(&b, i, 100 + i), 0);
	assert_int_equal(events[MEM_EVENT_RESERVE_LOW], 1);
	assert_int_equal(put(&b, 8, 108), -EBUSY);
	assert_int_equal(put(&b, 9, 109), -EBUSY);
	assert_int_equal(events[MEM_EVENT_RESERVE_GONE], 1);
	assert_false(mem_pool_refill(&pool));
	fail_allocs = 0;
	assert_true(mem_pool_refill(&pool));
	assert_int_equal(events[MEM_EVENT_RESERVE_OK], 1);
	assert_int_equal(put(&b, 8, 108), 0);
	for (i = 0; i < 9; i++) {
		assert_int_equal(get(&a, i), i);
		assert_int_equal(get(&b, i), 100 + i);
	}
	pool.reserve.target = 3;
	assert_true(mem_pool_refill(&pool));
	assert_int_equal(pool.reserve.nr, 3);
	end();
}

/* a and b share the first @shared pages, and the pool has no room for more. */
static void begin_full(u32 shared, u32 reserve)
{
	u32 i;
	int err;

	begin(false, shared + reserve, reserve);
	for (i = 0; i < shared; i++)
		put(&a, i, i);
	assert_int_equal(put(&a, shared, 1), -ENOSPC);
	assert_int_equal(mem_file_clone(&a, 0, &b, 0, shared, &err), shared);
}

/* Who waits is told to try again only when there is something, however small the reserve. */
static void test_small_reserve(void **state)
{
	u32 reserve, i;

	for (reserve = 0; reserve < 5; reserve++) {
		begin_full(20, reserve);
		for (i = 0; i < reserve; i++)
			assert_int_equal(put(&b, i, 100 + i), 0);
		assert_int_equal(put(&b, i, 100), -EBUSY);
		assert_true(pool.reserve.low && pool.reserve.gone);
		assert_int_equal(events[MEM_EVENT_RESERVE_LOW], 1);
		assert_int_equal(events[MEM_EVENT_RESERVE_GONE], 1);
		for (i = 0; i < 3; i++)
			assert_false(mem_pool_refill(&pool));
		assert_int_equal(events[MEM_EVENT_RESERVE_OK], 0);
		assert_true(pool.reserve.low && pool.reserve.gone);
		assert_int_equal(mem_file_punch(&a, 15, 5), 0);
		assert_int_equal(mem_file_punch(&b, 15, 5), 0);
		assert_true(mem_pool_refill(&pool));
		assert_int_equal(events[MEM_EVENT_RESERVE_OK], 1);
		assert_int_equal(pool.reserve.nr, reserve);
		assert_int_equal(put(&b, 10, 100), 0);
		end();
	}
}

/* A caller who may not have more gets nothing of the reserve: not for a copy either. */
static void test_caller_broke(void **state)
{
	int err;

	begin(false, 0, 8);
	put(&a, 0, 1);
	mem_file_clone(&a, 0, &b, 0, 512, &err);
	caller_broke = 1;
	assert_int_equal(put(&b, 0, 2), -ENOMEM);
	assert_int_equal(put(&b, 1, 2), -ENOMEM);
	assert_int_equal(pool.reserve.nr, 8);
	assert_int_equal(pages(), 1);
	caller_broke = 0;
	assert_int_equal(put(&b, 0, 2), 0);
	end();

	begin_full(20, 8);
	caller_broke = 1;
	assert_int_equal(put(&b, 0, 2), -ENOMEM);
	assert_int_equal(pool.reserve.nr, 8);
	assert_int_equal(pages(), 20);
	caller_broke = 0;
	assert_int_equal(put(&b, 0, 2), 0);	/* his own frame, for one of the reserve */
	assert_int_equal(pool.reserve.nr, 7);
	assert_int_equal(pages(), 21);
	fail_allocs = 1;
	assert_int_equal(put(&b, 1, 2), 0);	/* the reserve's */
	assert_int_equal(pool.reserve.nr, 6);
	assert_int_equal(pages(), 22);
	fail_allocs = 0;
	end();
}

/* One group's burst leaves a quarter for the others, if there are others. */
static void test_reserve_shares(void **state)
{
	struct mem_group *other;
	struct mem_file c, d;
	int i, err;

	begin(false, 0, 16);
	other = mem_group_new(&pool);
	assert_int_equal(mem_file_init(&c, &pool, other), 0);
	assert_int_equal(mem_file_init(&d, &pool, other), 0);
	mem_file_resize(&c, 512);
	mem_file_resize(&d, 512);
	for (i = 0; i < 20; i++)
		assert_true(!put(&a, i, i) && !put(&c, i, i));
	mem_file_clone(&a, 0, &b, 0, 512, &err);
	mem_file_clone(&c, 0, &d, 0, 512, &err);
	fail_allocs = 1;
	for (i = 0; i < 12; i++)
		assert_int_equal(put(&b, i, 100), 0);
	assert_int_equal(put(&b, 12, 100), -EBUSY);
	assert_true(pool.reserve.gone);
	for (i = 0; i < 3; i++)
		assert_int_equal(put(&d, i, 100), 0);
	assert_int_equal(put(&d, 3, 100), -EBUSY);
	assert_int_equal(pool.reserve.nr, 1);
	fail_allocs = 0;
	assert_true(mem_pool_refill(&pool));
	fail_allocs = 1;
	for (i = 12; i < 20; i++)	/* full again: counted anew */
		assert_int_equal(put(&b, i, 100), 0);
	assert_int_equal(pool.reserve.nr, 8);
	mem_file_fini(&c);
	mem_file_fini(&d);
	mem_group_put(other);
	end();
}

/* What was brought for a range goes back, but for what somebody used or uses. */
static void test_allocate_ahead(void **state)
{
	struct mem_pages first, second;
	struct mem_frame *frame;

	begin(false, 1000, 10);
	put(&a, 5, 5);
	assert_int_equal(mem_file_missing(&a, 0, 520), 519);
	assert_int_equal(mem_file_missing(&a, 5, 1), 0);
	assert_int_equal(mem_file_missing(&a, 6, U64_MAX - 6), U64_MAX - 6);
	assert_true(mem_pool_has_room(&pool, 989));
	assert_false(mem_pool_has_room(&pool, 990));
	mem_file_holes(&a, 0, &first);
	mem_file_holes(&a, 512, &second);
	assert_int_equal(mem_pages_count(&first), 511);
	assert_int_equal(mem_pages_count(&second), 512);
	assert_int_equal(mem_file_allocate(&a, 0, 520), 0);
	assert_int_equal(pages(), 520);
	put(&a, 7, 7);					/* written */
	assert_int_equal(mem_file_pin(&a, 8, true, &frame), 0);	/* about to be */
	assert_int_equal(get(&a, 513), 0);		/* read */
	mem_file_give_back(&a, 2, 510, &first);
	mem_file_give_back(&a, 512, 8, &second);
	assert_int_equal(pages(), 2 + 3);		/* 0 and 1; 5, 7 and 8 */
	host_put(frame);
	assert_int_equal(get(&a, 5), 5);
	assert_int_equal(get(&a, 7), 7);
	end();

	begin(true, 0, 0);
	mem_file_holes(&a, 0, &first);
	mem_file_holes(&a, 512, &second);
	assert_int_equal(mem_file_allocate(&a, 0, 520), 0);
	assert_int_equal(pages(), 1024);
	assert_int_equal(mem_file_missing(&a, 0, 520), 0);
	put(&a, 700, 1);				/* beside the range, in its 2 MiB frame */
	mem_file_give_back(&a, 0, 512, &first);
	mem_file_give_back(&a, 512, 8, &second);
	assert_int_equal(pages(), 512);
	assert_int_equal(get(&a, 700), 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_small_reserve),
		cmocka_unit_test(test_caller_broke),
		cmocka_unit_test(test_reserve_shares),
		cmocka_unit_test(test_allocate_ahead),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
