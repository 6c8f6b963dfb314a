// SPDX-License-Identifier: GPL-2.0
/*
 * The frame logic step by step, on the host of mem_fake.h: what each call does to slots, counts
 * and mappings. What happens when frames are short is in mem_reserve.c, random operations against
 * a model are in tests/prop/.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kapi_test.h"
#include "mem/chunk.h"
#include "tests/unit/mem_fake.h"

static void test_small(void **state)
{
	struct mem_frame *frame;
	unsigned long refs;

	begin(false, 0, 0);
	assert_int_equal(get(&a, 7), 0);
	assert_int_equal(pages(), 0);
	unmaps = 0;
	assert_int_equal(put(&a, 7, 70), 0);
	assert_int_equal(unmaps, 1);		/* it had been read */
	assert_int_equal(put(&a, 8, 80), 0);
	assert_int_equal(unmaps, 1);		/* this one had not */
	assert_int_equal(get(&a, 7), 70);
	assert_int_equal(pages(), 2);
	assert_int_equal(kind(&a, 7, &refs), MEM_PAGE_PRIVATE);
	assert_int_equal(kind(&a, 9, &refs), MEM_PAGE_HOLE);
	assert_int_equal(mem_file_fault(&a, PAGES, false, &frame), -ERANGE);
	assert_int_equal(mem_file_fault(&a, PAGES, true, &frame), -ERANGE);
	assert_int_equal(mem_file_pin(&a, 100, false, &frame), 0);
	assert_null(frame);
	assert_int_equal(mem_file_pin(&a, 100, true, &frame), 0);
	assert_int_equal(*(u64 *)host_data(frame), 0);
	host_put(frame);
	assert_int_equal(mem_file_seek(&a, 0, true), 7);
	assert_int_equal(mem_file_seek(&a, 7, false), 9);
	assert_int_equal(mem_file_seek(&a, 101, true), PAGES);
	assert_int_equal(mem_file_seek(&a, PAGES - 1, false), PAGES - 1);
	assert_int_equal(mem_file_punch(&a, 0, 8), 0);
	assert_int_equal(get(&a, 7), 0);
	assert_int_equal(pages(), 2);
	assert_int_equal(stat_of(&a.stat.punched), 1);
	assert_int_equal(mem_file_punch(&a, 0, U64_MAX), 0);
	assert_int_equal(pages(), 0);
	end();
}

static void test_huge(void **state)
{
	struct mem_frame *frame;
	unsigned long refs;

	begin(true, 0, 0);
	assert_int_equal(get(&a, 1), 0);
	assert_int_equal(put(&a, 513, 1), 0);
	assert_int_equal(pages(), 512);
	assert_int_equal(get(&a, 514), 0);
	assert_int_equal(put(&a, 3 * 512 + 1, 2), 0);	/* the last chunk is not whole */
	assert_int_equal(pages(), 513);
	assert_int_equal(stat_of(&a.stat.huge), 1);
	/* a part of it goes: dissolved in place */
	assert_int_equal(mem_file_punch(&a, 512 + 100, 10), 0);
	assert_int_equal(pages(), 503);
	assert_int_equal(stat_of(&a.stat.huge), 0);
	assert_int_equal(get(&a, 513), 1);
	assert_int_equal(kind(&a, 512 + 105, &refs), MEM_PAGE_HOLE);
	/* all of it goes, as a whole */
	assert_int_equal(put(&a, 0, 3), 0);
	assert_int_equal(mem_file_punch(&a, 0, 512), 0);
	assert_int_equal(pages(), 503);
	/* a part of a pinned one is zeroed */
	assert_int_equal(put(&a, 5, 4), 0);
	assert_int_equal(put(&a, 6, 5), 0);
	assert_int_equal(mem_file_pin(&a, 6, true, &frame), 0);
	assert_int_equal(mem_file_punch(&a, 5, 1), 0);
	assert_int_equal(get(&a, 5), 0);
	assert_int_equal(get(&a, 6), 5);
	assert_int_equal(stat_of(&a.stat.huge), 1);
	host_put(frame);
	/* an end inside: no memory for slots, and nobody has beyond it mapped; then by slots */
	put(&a, 7, 6);
	unmaps = 0;
	kapi_fail_nth(1);
	assert_int_equal(mem_file_resize(&a, 7), 0);
	assert_true(kapi_failed());
	assert_int_equal(unmaps, 1 + 2);	/* two chunks behind it had pages */
	assert_int_equal(stat_of(&a.stat.huge), 1);
	assert_int_equal(mem_file_resize(&a, 6), 0);
	assert_int_equal(pages(), 6);
	assert_int_equal(mem_file_resize(&a, PAGES), 0);
	assert_int_equal(get(&a, 6), 0);
	end();
}

/* As an instruction does it that reads the page, then writes it, and each time starts anew. */
static void read_then_write(struct mem_file *file, u64 index)
{
	struct mem_frame *frame;
	int round, err = -EAGAIN;
	u32 held;

	for (round = 0; err && round < 3; round++) {
		assert_int_equal(mem_file_fault(file, index, false, &frame), 0);
		held = head(frame);	/* Linux 6.12 remembers the head, and drops that */
		err = mem_file_mkwrite(file, index, frame);
		assert_true(!err || err == -EAGAIN);
		drop(held);
		check();
	}
	assert_int_equal(err, 0);
}

static void test_read_then_write(void **state)
{
	int err;

	begin(false, 0, 0);
	read_then_write(&a, 7);					/* a hole */
	put(&a, 8, 80);
	assert_int_equal(mem_file_clone(&a, 0, &b, 0, PAGES, &err), PAGES);
	read_then_write(&b, 8);					/* shared */
	assert_int_equal(get(&a, 8), 80);
	assert_int_equal(get(&b, 8), 80);
	end();
	begin(true, 0, 0);
	read_then_write(&a, 7);					/* nothing in the chunk */
	assert_int_equal(stat_of(&a.stat.huge), 1);
	assert_int_equal(mem_file_clone(&a, 0, &b, 0, PAGES, &err), PAGES);
	read_then_write(&b, 8);					/* a shared 2 MiB frame */
	assert_int_equal(pages(), 513);
	put(&a, 512, 1);
	assert_int_equal(mem_file_clone(&a, 512, &b, 512, 512, &err), 512);
	refuse_dissolve = 1;
	read_then_write(&b, 513);				/* one that cannot be dissolved */
	assert_int_equal(pages(), 513 + 2 * 512);
	mem_file_punch(&b, 512, 512);
	read_then_write(&a, 514);				/* one that is alone again */
	assert_int_equal(pages(), 513 + 512);
	end();
}

static void test_clone_small(void **state)
{
	unsigned long refs;
	int err;

	begin(false, 0, 0);
	put(&a, 1, 10);
	put(&a, 2, 20);
	put(&b, 3, 30);
	assert_int_equal(mem_file_clone(&a, 0, &b, 0, PAGES, &err), PAGES);
	assert_int_equal(err, 0);
	check();
	assert_int_equal(pages(), 2);
	assert_int_equal(get(&b, 1), 10);
	assert_int_equal(get(&b, 3), 0);
	assert_int_equal(kind(&b, 1, &refs), MEM_PAGE_SHARED);
	assert_int_equal(refs, 2);
	assert_int_equal(mem_file_proportional(&a), 1024);
	put(&b, 1, 11);
	assert_int_equal(get(&a, 1), 10);
	assert_int_equal(get(&b, 1), 11);
	assert_int_equal(pages(), 3);
	assert_int_equal(stat_of(&b.stat.cow_breaks), 1);
	/* the other one has it alone now: no copy */
	put(&a, 1, 12);
	assert_int_equal(stat_of(&a.stat.cow_breaks), 0);
	assert_int_equal(kind(&a, 1, &refs), MEM_PAGE_PRIVATE);
	/* other offsets, inside one file, within one chunk */
	assert_int_equal(mem_file_clone(&a, 1, &a, 600, 2, &err), 2);
	assert_int_equal(mem_file_clone(&a, 0, &a, 100, 4, &err), 4);
	assert_int_equal(get(&a, 601), 20);
	assert_int_equal(get(&a, 101), 12);
	kind(&a, 2, &refs);
	assert_int_equal(refs, 4);
	end();
}

/* The source's pages stay mapped, unless the host prefers to unmap them. */
static void test_clone_protects(void **state)
{
	const struct mem_chunk *chunk;
	int err;
	u64 i;

	begin(false, 0, 0);
	for (i = 0; i < 10; i++)
		put(&a, i, i + 1);
	chunk = mem_chunk_find(&a, 0);
	unmaps = protects = 0;
	assert_int_equal(mem_file_clone(&a, 0, &b, 0, 512, &err), 512);
	assert_int_equal(protects, 1);
	assert_int_equal(unmaps, 0);
	for (i = 0; i < 10; i++)
		assert_int_equal(chunk->slots[i] & (MEM_SLOT_WRITABLE | MEM_SLOT_MAPPED),
				 MEM_SLOT_MAPPED);
	assert_int_equal(mem_file_clone(&a, 0, &b, 512, 512, &err), 512);
	assert_int_equal(protects, 1);		/* nothing had been written */
	put(&a, 3, 30);
	put(&a, 5, 50);
	put(&a, 200, 60);
	assert_int_equal(get(&b, 3), 4);
	assert_int_equal(mem_file_clone(&a, 0, &b, 0, 5, &err), 5);
	assert_int_equal(protects, 2);		/* up to what is not wanted and may be written */
	assert_int_equal(protected_first + protected_nr, 5);
	assert_true(chunk->slots[5] & MEM_SLOT_WRITABLE);
	assert_int_equal(get(&b, 3), 30);
	assert_int_equal(get(&b, 5), 6);
	protect_unmaps = true;
	assert_int_equal(mem_file_clone(&a, 5, &b, 5, 300, &err), 300);
	protect_unmaps = false;
	assert_int_equal(protects, 3);
	assert_false(chunk->slots[5] & MEM_SLOT_MAPPED);
	assert_false(chunk->slots[200] & (MEM_SLOT_MAPPED | MEM_SLOT_WRITABLE));
	assert_true(chunk->slots[3] & MEM_SLOT_MAPPED);	/* was not settled for that */
	assert_int_equal(get(&b, 200), 60);
	end();
}

static void test_clone_pinned(void **state)
{
	struct mem_frame *frame;
	unsigned long refs;
	int err;

	begin(false, 0, 0);
	put(&a, 1, 10);
	put(&a, 2, 20);
	assert_int_equal(mem_file_pin(&a, 1, true, &frame), 0);
	assert_int_equal(mem_file_clone(&a, 0, &b, 0, 512, &err), 512);
	assert_int_equal(kind(&a, 1, &refs), MEM_PAGE_PRIVATE);
	assert_int_equal(kind(&a, 2, &refs), MEM_PAGE_SHARED);
	assert_int_equal(get(&b, 1), 10);
	*(u64 *)host_data(frame) = 11;
	assert_int_equal(get(&a, 1), 11);
	assert_int_equal(get(&b, 1), 10);
	host_put(frame);
	/* no memory for the copy: the pages before it are done, those behind it as they were */
	put(&b, 2, 22);
	put(&b, 1, 15);
	assert_int_equal(mem_file_pin(&a, 1, true, &frame), 0);
	fail_allocs = 1;
	assert_int_equal(mem_file_clone(&a, 0, &b, 0, 512, &err), 1);
	assert_int_equal(err, -ENOMEM);
	fail_allocs = 0;
	assert_int_equal(get(&b, 1), 15);
	assert_int_equal(get(&b, 2), 22);
	host_put(frame);
	end();
}

static void test_ring(void **state)
{
	unsigned long refs;
	int err;

	begin(true, 0, 0);
	put(&a, 1, 10);
	put(&a, 511, 20);
	put(&a, 3 * 512, 30);
	assert_int_equal(mem_file_clone(&a, 0, &b, 0, PAGES, &err), PAGES);
	check();
	assert_int_equal(mem_file_clone(&b, 0, &b, 512, 512, &err), 512);
	assert_int_equal(pages(), 513);
	assert_int_equal(kind(&b, 1, &refs), MEM_PAGE_SHARED);
	assert_int_equal(refs, 3);
	assert_int_equal(get(&b, 512 + 511), 20);
	/* a write dissolves it for all of them */
	put(&b, 512 + 1, 11);
	assert_int_equal(stat_of(&a.stat.huge) + stat_of(&b.stat.huge), 0);
	assert_int_equal(pages(), 514);
	assert_int_equal(get(&a, 1), 10);
	assert_int_equal(get(&b, 1), 10);
	assert_int_equal(get(&b, 513), 11);
	kind(&a, 1, &refs);
	assert_int_equal(refs, 2);
	kind(&a, 2, &refs);
	assert_int_equal(refs, 3);
	end();
}

/* The last of a ring has the frame alone. */
static void test_ring_ends(void **state)
{
	struct mem_frame *frame;
	int err;

	begin(true, 0, 0);
	put(&a, 1, 10);
	assert_int_equal(mem_file_clone(&a, 0, &b, 0, 512, &err), 512);
	assert_int_equal(mem_file_punch(&b, 0, 512), 0);
	put(&a, 1, 11);
	assert_int_equal(stat_of(&a.stat.huge), 1);
	assert_int_equal(stat_of(&a.stat.shared), 0);
	assert_int_equal(stat_of(&a.stat.cow_breaks), 0);
	/* but not while somebody still looks at what the other had */
	assert_int_equal(mem_file_clone(&a, 0, &b, 0, 512, &err), 512);
	assert_int_equal(mem_file_pin(&b, 1, false, &frame), 0);
	assert_int_equal(mem_file_punch(&b, 0, 512), 0);
	put(&a, 1, 12);
	assert_int_equal(*(u64 *)host_data(frame), 11);
	assert_int_equal(stat_of(&a.stat.cow_breaks), 512);
	host_put(frame);
	end();
}

/* A ring that cannot be dissolved: whoever writes gets copies. */
static void test_ring_pinned(void **state)
{
	int err;

	begin(true, 0, 0);
	put(&a, 1, 10);
	mem_file_clone(&a, 0, &b, 0, 512, &err);
	refuse_dissolve = 1;
	put(&b, 1, 11);
	assert_int_equal(get(&a, 1), 10);
	assert_int_equal(get(&b, 1), 11);
	assert_int_equal(stat_of(&b.stat.huge), 1);
	mem_file_clone(&a, 0, &b, 0, 512, &err);
	assert_int_equal(mem_file_punch(&b, 1, 1), 0);
	assert_int_equal(get(&b, 1), 0);
	assert_int_equal(get(&a, 1), 10);
	assert_int_equal(stat_of(&b.stat.huge), 0);
	assert_int_equal(pages(), 512 + 511);
	end();
}

/* No copies to be had either: all is as before, and goes on when memory is back. */
static void test_ring_out_of_memory(void **state)
{
	u64 before;
	int err;

	begin(true, 0, 100);
	put(&a, 1, 10);
	mem_file_clone(&a, 0, &b, 0, 512, &err);
	refuse_dissolve = fail_allocs = 1;
	before = pages();
	assert_int_equal(put(&b, 1, 11), -EBUSY);
	assert_int_equal(mem_file_punch(&b, 1, 1), -EBUSY);
	assert_int_equal(mem_file_resize(&b, 100), -EBUSY);
	assert_int_equal(b.pages, PAGES);
	check();
	assert_int_equal(pages(), before);
	assert_int_equal(events[MEM_EVENT_RESERVE_GONE], 1);
	assert_int_equal(get(&b, 1), 10);
	/* giving all of it back needs nothing */
	assert_int_equal(mem_file_punch(&b, 0, 512), 0);
	fail_allocs = 0;
	assert_int_equal(get(&b, 1), 0);
	assert_true(mem_pool_refill(&pool));
	end();
}

/* Who still looks at a page that another file had shared goes on seeing it. */
static void test_pinned_by_reader(void **state)
{
	struct mem_frame *frame;
	unsigned long refs;
	int err;

	begin(false, 0, 0);
	put(&a, 1, 10);
	mem_file_clone(&a, 0, &b, 0, 512, &err);
	assert_int_equal(mem_file_pin(&b, 1, false, &frame), 0);
	assert_int_equal(mem_file_punch(&b, 1, 1), 0);
	kind(&a, 1, &refs);
	assert_int_equal(refs, 1);
	fail_allocs = 1;
	assert_int_equal(put(&a, 1, 11), -EBUSY);
	fail_allocs = 0;
	assert_int_equal(kind(&a, 1, &refs), MEM_PAGE_SHARED);
	put(&a, 1, 11);
	assert_int_equal(*(u64 *)host_data(frame), 10);
	assert_int_equal(stat_of(&a.stat.cow_breaks), 1);
	host_put(frame);
	end();
}

static void test_dedupe(void **state)
{
	struct mem_frame *frame;
	unsigned long refs;

	begin(true, 0, 0);
	put(&a, 3 * 512, 30);
	put(&b, 3 * 512, 30);
	put(&b, 3 * 512 + 1, 31);
	assert_int_equal(mem_file_dedupe(&a, 3 * 512, &b, 3 * 512, 1), 0);
	check();
	assert_int_equal(pages(), 2);
	kind(&a, 3 * 512, &refs);
	assert_int_equal(refs, 2);
	assert_int_equal(mem_file_dedupe(&a, 3 * 512, &b, 3 * 512, 2), -EBADE);
	put(&b, 3 * 512 + 1, 0);
	assert_int_equal(mem_file_dedupe(&a, 3 * 512, &b, 3 * 512, 10), 0);
	assert_int_equal(kind(&b, 3 * 512 + 1, &refs), MEM_PAGE_ZERO);
	assert_int_equal(pages(), 1);
	put(&b, 3 * 512 + 1, 1);
	assert_int_equal(stat_of(&b.stat.zero_breaks), 1);
	/* 2 MiB at a time */
	put(&a, 17, 1);
	put(&b, 512 + 17, 1);
	assert_int_equal(mem_file_pin(&b, 600, true, &frame), 0);
	assert_int_equal(mem_file_dedupe(&a, 0, &b, 512, 512), -EBUSY);
	host_put(frame);
	assert_int_equal(mem_file_dedupe(&a, 0, &b, 512, 512), 0);
	assert_int_equal(stat_of(&a.stat.huge), 1);
	assert_int_equal(pages(), 512 + 2);
	end();
}

/* A slot more, or less, that names a frame. */
static void count_slots(struct mem_chunk *chunk, int present)
{
	mutex_lock(&chunk->lock);
	mem_chunk_count(chunk, present, 0, 0);
	mutex_unlock(&chunk->lock);
}

/* That the audit sees what it is for. */
static void test_audit(void **state)
{
	struct mem_chunk *chunk;
	struct mem_frame *frame;
	int err;

	begin(false, 0, 2);
	put(&a, 1, 10);
	put(&a, 2, 20);
	mem_file_clone(&a, 1, &b, 1, 1, &err);
	chunk = mem_chunk_find(&a, 0);
	frame = mem_slot_frame(chunk->slots[1]);
#define FINDS(spoil, mend, what) do {				\
		spoil;						\
		assert_string_equal(mem_audit(&pool), what);	\
		mend;						\
		assert_null(mem_audit(&pool));			\
	} while (0)
	FINDS(atomic_long_inc(&frame->refs), atomic_long_dec(&frame->refs),
	      "references of a shared frame");
	FINDS(chunk->slots[1] |= MEM_SLOT_WRITABLE, chunk->slots[1] &= ~MEM_SLOT_WRITABLE,
	      "a shared page is marked writable");
	FINDS(chunk->slots[3] = chunk->slots[2]; count_slots(chunk, 1),
	      chunk->slots[3] = 0; count_slots(chunk, -1), "a private frame that two slots name");
	FINDS(chunk->zero++, chunk->zero--, "zero pages in a chunk");
	FINDS(atomic64_inc(&a.stat.shared), atomic64_dec(&a.stat.shared), "shared pages in a file");
	FINDS(atomic64_inc(&pool.pages), atomic64_dec(&pool.pages), "pages of the pool");
	FINDS(pool.reserve.nr++, pool.reserve.nr--, "frames in the reserve");
	FINDS(frame->group = NULL, frame->group = group, "a shared frame is of another group");
	FINDS(frame->hash = 1, frame->hash = 0, "frames in the indexes");
	end();
}

/* What the scanner is made of. */
static void test_scanner_parts(void **state)
{
	struct mem_pages set = { { 0 } };
	struct mem_frame *frame;
	struct mem_chunk *chunk;
	u32 i;

	begin(true, 0, 0);
	for (i = 0; i < 512; i++)
		put(&a, i, i + 1);
	chunk = mem_chunk_find(&a, 0);
	mutex_lock(&chunk->lock);
	assert_int_equal(mem_chunk_dissolve(chunk), 0);
	mem_pages_add(&set, 5);
	mem_pages_add(&set, 6);
	mem_pages_add(&set, 500);
	assert_int_equal(mem_chunk_protect(chunk, &set), 0);
	mem_chunk_share(chunk, 5);
	assert_int_equal(mem_chunk_gather(chunk), 0);
	assert_int_equal(mem_chunk_dissolve(chunk), 0);
	memset(&set, 0xff, sizeof(set));
	assert_int_equal(mem_chunk_protect(chunk, &set), 0);
	mem_chunk_set_zero(chunk, 6);
	assert_int_equal(mem_chunk_gather(chunk), -EINVAL);
	mutex_unlock(&chunk->lock);
	check();
	assert_int_equal(pages(), 511);
	put(&a, 6, 7);
	assert_int_equal(mem_file_pin(&a, 99, false, &frame), 0);
	mutex_lock(&chunk->lock);
	assert_int_equal(mem_chunk_gather(chunk), -EBUSY);
	refuse_huge = 1;
	assert_int_equal(mem_chunk_gather(chunk), -ENOMEM);
	mutex_unlock(&chunk->lock);
	host_put(frame);
	check();
	assert_int_equal(get(&a, 5), 6);
	/* read, then protected: runs end at what is mapped and not wanted */
	memset(&set, 0, sizeof(set));
	for (i = 10; i < 20; i++) {
		get(&a, i);
		if (i != 15)
			mem_pages_add(&set, i);
	}
	unmaps = 0;
	mutex_lock(&chunk->lock);
	assert_int_equal(mem_chunk_protect(chunk, &set), 0);
	mutex_unlock(&chunk->lock);
	assert_int_equal(unmaps, 2);
	end();
}

static void test_groups(void **state)
{
	struct mem_group *other;
	int err;

	begin(false, 0, 0);
	other = mem_group_new(&pool);
	put(&a, 1, 1);
	get(&b, 1);
	assert_int_equal(mem_file_set_group(&a, other), -EBUSY);
	assert_int_equal(mem_file_set_group(&b, other), 0);
	assert_int_equal(mem_file_clone(&a, 0, &b, 0, 512, &err), 0);
	assert_int_equal(err, -EXDEV);
	mem_group_put(other);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_read_then_write),
		cmocka_unit_test(test_clone_small),
		cmocka_unit_test(test_clone_protects),
		cmocka_unit_test(test_clone_pinned),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_ring_ends),
		cmocka_unit_test(test_ring_pinned),
		cmocka_unit_test(test_ring_out_of_memory),
		cmocka_unit_test(test_pinned_by_reader),
		cmocka_unit_test(test_dedupe),
		cmocka_unit_test(test_audit),
		cmocka_unit_test(test_scanner_parts),
		cmocka_unit_test(test_groups),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
