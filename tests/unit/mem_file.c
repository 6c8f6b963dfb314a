// SPDX-License-Identifier: GPL-2.0
/*
 * The frame logic step by step, on a host of a few lines: what each call does to slots, counts
 * and mappings. Random operations against a model are in tests/prop/.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kapi_test.h"
#include "mem/chunk.h"

/* --- the host: frames with a count, one flag for "mapped" a page --- */

#define FRAMES	8192

static struct mem_frame frames[FRAMES];
static int count[FRAMES];		/* references, in the head; 0 is free */
static bool head_of_huge[FRAMES];
static char *data;
static int refuse_huge, fail_allocs, caller_broke, refuse_dissolve;
static unsigned long unmaps;		/* calls */
static u64 unmapped;			/* pages */
static unsigned long protects;		/* calls */
static u64 protected_first, protected_nr;	/* pages of the last */
static bool protect_unmaps;		/* as its answer has it */
static int events[4];

static u32 number(const struct mem_frame *frame)
{
	return frame - frames;
}

static u32 head(const struct mem_frame *frame)
{
	u32 n = number(frame), h = ALIGN_DOWN(n, MEM_HUGE_PAGES);

	return head_of_huge[h] ? h : n;
}

static bool free_run(u32 at, u32 nr)
{
	u32 i;

	for (i = at; i < at + nr; i++)
		if (count[i])
			return false;
	return true;
}

static struct mem_frame *host_alloc(struct mem_pool *pool, unsigned int order, enum mem_charge who)
{
	u32 nr = 1u << order, i, k;

	if (fail_allocs || (caller_broke && who == MEM_CHARGE_CALLER) || (order && refuse_huge))
		return NULL;
	for (i = 0; i < FRAMES; i += nr) {
		if (!free_run(i, nr))
			continue;
		for (k = i; k < i + nr; k++)
			count[k] = 1;
		head_of_huge[i] = order;
		memset(&frames[i], 0xa5, nr * sizeof(frames[0]));
		memset(data + i * PAGE_SIZE, 0xa5, nr * PAGE_SIZE);
		return &frames[i];
	}
	return NULL;
}

static bool host_starved(struct mem_pool *pool) { return fail_allocs; }

static void drop(u32 n)
{
	u32 nr = head_of_huge[n] ? MEM_HUGE_PAGES : 1;

	assert_true(count[n] > 0);
	if (--count[n])
		return;
	head_of_huge[n] = false;
	memset(count + n, 0, nr * sizeof(count[0]));
}

static void host_free(struct mem_pool *pool, struct mem_frame *frame, unsigned int order)
{
	assert_int_equal(head_of_huge[number(frame)], !!order);
	drop(number(frame));
}

static void *host_data(struct mem_frame *frame)
{
	return data + number(frame) * PAGE_SIZE;
}

static void host_get(struct mem_frame *frame) { count[head(frame)]++; }
static void host_put(struct mem_frame *frame) { drop(head(frame)); }
static void host_lock(struct mem_frame *frame) { }
static void host_settle_all(const u64 *words, u32 nr) { }
static bool host_pinned(struct mem_frame *frame) { return count[head(frame)] > 1; }

static u64 host_pinned_among(const u64 *words, u32 nr)
{
	u64 pinned = 0;
	u32 i;

	for (i = 0; i < nr; i++) {
		struct mem_frame *frame = (void *)(unsigned long)(words[i] & ~MEM_FRAME_MARKS);

		if (frame && host_pinned(frame))
			pinned |= BIT_ULL(i);
	}
	return pinned;
}

static void host_unmap(struct mem_file *file, u64 first, u64 nr)
{
	unmaps++;
	unmapped += nr;
}

static bool host_protect(struct mem_file *file, u64 first, u64 nr)
{
	protects++;
	protected_first = first;
	protected_nr = nr;
	return !protect_unmaps;
}

static bool host_dissolve(struct mem_pool *pool, struct mem_frame *huge)
{
	if (refuse_dissolve)
		return false;
	assert_true(head_of_huge[number(huge)]);
	head_of_huge[number(huge)] = false;
	return true;
}

static bool host_poisoned(struct mem_frame *frame) { return false; }
static bool host_copy(void *to, const void *from) { copy_page(to, from); return true; }
static bool host_file_get(struct mem_file *file) { return true; }
static void host_file_put(struct mem_file *file) { }
static void host_event(struct mem_pool *pool, enum mem_event event) { events[event]++; }
static u64 host_now(void) { return 0; }
static u64 host_random(void) { static const u64 value = 0x9e3779b97f4a7c15; return value; }

static const struct mem_host_ops host = {
	.alloc = host_alloc, .starved = host_starved, .free = host_free, .data = host_data,
	.poisoned = host_poisoned, .copy = host_copy,
	.get = host_get, .put = host_put,
	.lock = host_lock, .unlock = host_lock, .settle = host_lock,
	.settle_all = host_settle_all, .unmap = host_unmap, .protect = host_protect,
	.pinned = host_pinned, .pinned_among = host_pinned_among, .dissolve = host_dissolve,
	.file_get = host_file_get, .file_put = host_file_put,
	.event = host_event, .now_ns = host_now, .random = host_random,
};

/* --- two files of one group, of three chunks and a bit --- */

#define PAGES	(3 * MEM_HUGE_PAGES + 10)

static struct mem_pool pool;
static struct mem_group *group;
static struct mem_file a, b;

static void check(void)
{
	const char *wrong = mem_audit(&pool);

	if (wrong)
		fail_msg("audit: %s", wrong);
	assert_int_equal(kapi_warnings(), 0);
}

static void begin(bool huge, u64 max_pages, u32 reserve)
{
	refuse_huge = fail_allocs = caller_broke = refuse_dissolve = 0;
	memset(events, 0, sizeof(events));
	assert_int_equal(mem_pool_init(&pool, &host, max_pages, reserve, huge), 0);
	group = mem_group_new(&pool);
	assert_int_equal(mem_file_init(&a, &pool, group), 0);
	assert_int_equal(mem_file_init(&b, &pool, group), 0);
	mem_group_put(group);
	assert_int_equal(mem_file_resize(&a, PAGES), 0);
	assert_int_equal(mem_file_resize(&b, PAGES), 0);
}

static void end(void)
{
	u32 i;

	check();
	mem_file_fini(&a);
	mem_file_fini(&b);
	mem_pool_fini(&pool);
	for (i = 0; i < FRAMES; i++)
		assert_int_equal(count[i], 0);
	assert_int_equal(kapi_live(), 0);
	assert_int_equal(kapi_warnings(), 0);
}

/* As the kernel does it: fault, mkwrite, again if need be. Writes the page's first word. */
static int put(struct mem_file *file, u64 index, u64 value)
{
	struct mem_frame *frame;
	u32 held;
	int err;

	do {
		err = mem_file_fault(file, index, true, &frame);
		if (err)
			return err;
		held = head(frame);
		err = mem_file_mkwrite(file, index, frame);
		if (!err)
			*(u64 *)host_data(frame) = value;
		drop(held);
	} while (err == -EAGAIN);
	check();
	return err;
}

static u64 get(struct mem_file *file, u64 index)
{
	struct mem_frame *frame;
	u64 value;

	assert_int_equal(mem_file_fault(file, index, false, &frame), 0);
	value = *(u64 *)host_data(frame);
	host_put(frame);
	check();
	return value;
}

static u64 pages(void)
{
	return atomic64_read(&pool.pages);
}

static u64 stat_of(atomic64_t *stat)
{
	return atomic64_read(stat);
}

static enum mem_page_kind kind(struct mem_file *file, u64 index, unsigned long *refs)
{
	struct mem_frame *frame;
	bool huge;

	return mem_file_page(file, index, &huge, refs, &frame);
}

/* A slot more, or less, that names a frame. */
static void count_slots(struct mem_chunk *chunk, int present)
{
	mutex_lock(&chunk->lock);
	mem_chunk_count(chunk, present, 0, 0);
	mutex_unlock(&chunk->lock);
}

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
		assert_int_equal(chunk->slots[i] & (MEM_SLOT_WRITABLE | MEM_SLOT_MAPPED), MEM_SLOT_MAPPED);
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

/* Who waits is told to try again only when there is something to be had, however small the reserve. */
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
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_clone_small),
		cmocka_unit_test(test_clone_protects),
		cmocka_unit_test(test_clone_pinned),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_ring_ends),
		cmocka_unit_test(test_ring_pinned),
		cmocka_unit_test(test_ring_out_of_memory),
		cmocka_unit_test(test_pinned_by_reader),
		cmocka_unit_test(test_dedupe),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_small_reserve),
		cmocka_unit_test(test_caller_broke),
		cmocka_unit_test(test_reserve_shares),
		cmocka_unit_test(test_allocate_ahead),
		cmocka_unit_test(test_audit),
		cmocka_unit_test(test_scanner_parts),
		cmocka_unit_test(test_groups),
	};
	static char memory[FRAMES * PAGE_SIZE] __aligned(PAGE_SIZE);

	data = memory;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
