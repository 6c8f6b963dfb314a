// SPDX-License-Identifier: GPL-2.0
/* The host and the two files of mem_fake.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kapi_test.h"
#include "tests/unit/mem_fake.h"

/* --- the host: frames with a count, one flag for "mapped" a page --- */

#define FRAMES	8192

static struct mem_frame frames[FRAMES];
static int count[FRAMES];		/* references, in the head; 0 is free */
static bool head_of_huge[FRAMES];
static char data[FRAMES * PAGE_SIZE] __aligned(PAGE_SIZE);

int refuse_huge, fail_allocs, caller_broke, refuse_dissolve;
unsigned long unmaps;
unsigned long protects;
u64 protected_first, protected_nr;
bool protect_unmaps;
int events[4];

static u32 number(const struct mem_frame *frame)
{
	return frame - frames;
}

u32 head(const struct mem_frame *frame)
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

static struct mem_frame *host_alloc(struct mem_pool *p, unsigned int order, enum mem_charge who)
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

static bool host_starved(struct mem_pool *p) { return fail_allocs; }

void drop(u32 n)
{
	u32 nr = head_of_huge[n] ? MEM_HUGE_PAGES : 1;

	assert_true(count[n] > 0);
	if (--count[n])
		return;
	head_of_huge[n] = false;
	memset(count + n, 0, nr * sizeof(count[0]));
}

static void host_free(struct mem_pool *p, struct mem_frame *frame, unsigned int order)
{
	assert_int_equal(head_of_huge[number(frame)], !!order);
	drop(number(frame));
}

void *host_data(struct mem_frame *frame)
{
	return data + number(frame) * PAGE_SIZE;
}

static void host_get(struct mem_frame *frame) { count[head(frame)]++; }
void host_put(struct mem_frame *frame) { drop(head(frame)); }
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
}

static bool host_protect(struct mem_file *file, u64 first, u64 nr)
{
	protects++;
	protected_first = first;
	protected_nr = nr;
	return !protect_unmaps;
}

static bool host_dissolve(struct mem_pool *p, struct mem_frame *huge)
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
static void host_event(struct mem_pool *p, enum mem_event event) { events[event]++; }
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

/* --- two files of one group --- */

struct mem_pool pool;
struct mem_group *group;
struct mem_file a, b;

void check(void)
{
	const char *wrong = mem_audit(&pool);

	if (wrong)
		fail_msg("audit: %s", wrong);
	assert_int_equal(kapi_warnings(), 0);
}

void begin(bool huge, u64 max_pages, u32 reserve)
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

void end(void)
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

int put(struct mem_file *file, u64 index, u64 value)
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

u64 get(struct mem_file *file, u64 index)
{
	struct mem_frame *frame;
	u64 value;

	assert_int_equal(mem_file_fault(file, index, false, &frame), 0);
	value = *(u64 *)host_data(frame);
	host_put(frame);
	check();
	return value;
}

u64 pages(void)
{
	return atomic64_read(&pool.pages);
}

u64 stat_of(atomic64_t *stat)
{
	return atomic64_read(stat);
}

enum mem_page_kind kind(struct mem_file *file, u64 index, unsigned long *refs)
{
	struct mem_frame *frame;
	bool huge;

	return mem_file_page(file, index, &huge, refs, &frame);
}
