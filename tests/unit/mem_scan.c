// SPDX-License-Identifier: GPL-2.0
/*
 * The scanner on a host of a few lines and guests that write through mappings: what is saved is
 * compared with what an exact comparison of all pages says can be saved, and every page with what
 * its guest wrote.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/mman.h>

#include "kapi_test.h"
#include "mem/scan.h"

/* ----------------------------------------------------------------- the host -- */

#define FRAMES	(40 * MEM_HUGE_PAGES)

static struct mem_frame *frames;
static char *data;
static int refs[FRAMES];		/* in the head; 0 is free */
static bool head_of_huge[FRAMES];
static u32 cursor;
static bool refuse_huge, going;
static u64 now, random_seed;

static u32 number(const struct mem_frame *frame)
{
	return frame - frames;
}

static u32 head(const struct mem_frame *frame)
{
	u32 n = number(frame), h = ALIGN_DOWN(n, MEM_HUGE_PAGES);

	return head_of_huge[h] ? h : n;
}

static bool is_free(u32 at, u32 nr)
{
	u32 i;

	for (i = at; i < at + nr; i++)
		if (refs[i])
			return false;
	return true;
}

static struct mem_frame *host_alloc(struct mem_pool *pool, unsigned int order)
{
	u32 nr = 1u << order, i, k, at;

	if (order && refuse_huge)
		return NULL;
	for (i = 0; i < FRAMES / nr; i++) {
		at = order ? i * nr : (cursor + i) % FRAMES;
		if (!is_free(at, nr))
			continue;
		for (k = at; k < at + nr; k++)
			refs[k] = 1;
		head_of_huge[at] = order;
		cursor = order ? cursor : at + 1;
		memset(&frames[at], 0, nr * sizeof(frames[0]));
		memset(data + at * PAGE_SIZE, 0xa5, nr * PAGE_SIZE);
		return &frames[at];
	}
	return NULL;
}

static void drop(u32 n)
{
	assert_true(refs[n] > 0);
	if (--refs[n])
		return;
	if (head_of_huge[n])
		memset(&refs[n], 0, MEM_HUGE_PAGES * sizeof(refs[0]));
	head_of_huge[n] = false;
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

static void host_get(struct mem_frame *frame) { refs[head(frame)]++; }
static void host_put(struct mem_frame *frame) { drop(head(frame)); }
static void host_lock(struct mem_frame *frame) { }
static bool host_pinned(struct mem_frame *frame) { return refs[head(frame)] > 1; }

static bool host_dissolve(struct mem_pool *pool, struct mem_frame *huge)
{
	assert_true(head_of_huge[number(huge)]);
	assert_int_equal(refs[number(huge)], 1);
	head_of_huge[number(huge)] = false;
	return true;
}

static void host_unmap(struct mem_file *file, u64 first, u64 nr);
static bool host_file_get(struct mem_file *file) { return !going; }
static void host_file_put(struct mem_file *file) { }
static void host_event(struct mem_pool *pool, enum mem_event event) { }
static u64 host_now(void) { return now += 1000; }

static u64 host_random(void)
{
	u64 x = random_seed += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static const struct mem_host_ops host = {
	.alloc = host_alloc, .free = host_free, .data = host_data,
	.get = host_get, .put = host_put, .lock = host_lock, .unlock = host_lock,
	.settle = host_lock, .unmap = host_unmap, .pinned = host_pinned, .dissolve = host_dissolve,
	.file_get = host_file_get, .file_put = host_file_put,
	.event = host_event, .now_ns = host_now, .random = host_random,
};

/* ------------------------------------------------------------------- guests -- */

#define GUESTS	5
#define PAGES	(4 * MEM_HUGE_PAGES)

/* A guest's page is made of one number: 0 is zeros. */
static struct guest {
	struct mem_file file;
	bool alive;
	struct mem_frame *map[PAGES];	/* what it has mapped, with a reference */
	bool writable[PAGES];
	u64 content[PAGES];
} guests[GUESTS];

static struct mem_pool pool;
static struct mem_scan *scan;

static void unmap_page(struct guest *g, u32 i)
{
	if (g->map[i])
		drop(head(g->map[i]));
	g->map[i] = NULL;
	g->writable[i] = false;
}

static void host_unmap(struct mem_file *file, u64 first, u64 nr)
{
	struct guest *g = container_of(file, struct guest, file);
	u64 i;

	for (i = first; i < first + nr && i < PAGES; i++)
		unmap_page(g, i);
}

static void fault(struct guest *g, u32 i, bool write)
{
	struct mem_frame *frame = g->map[i];

	if (frame && write) {
		host_get(frame);
		if (mem_file_mkwrite(&g->file, i, frame) == 0) {
			g->writable[i] = true;
			host_put(frame);
			return;
		}
		host_put(frame);
	}
	unmap_page(g, i);
	assert_int_equal(mem_file_fault(&g->file, i, write, &frame), 0);
	g->map[i] = frame;	/* the mapping keeps the reference */
	g->writable[i] = write;
}

static void fill(void *page, u64 content)
{
	u64 *p = page;
	u32 i;

	for (i = 0; i < 512; i++)
		p[i] = content ? content * 0x9e3779b97f4a7c15 + i * (content | 1) : 0;
}

static void guest_write(struct guest *g, u32 i, u64 content)
{
	if (!g->map[i] || !g->writable[i])
		fault(g, i, true);
	fill(host_data(g->map[i]), content);
	g->content[i] = content;
}

static bool holds(const void *page, u64 content)
{
	u64 want[512];

	fill(want, content);
	return !memcmp(want, page, PAGE_SIZE);
}

static void guest_check(struct guest *g)
{
	u32 i;

	for (i = 0; i < PAGES; i++) {
		if (!g->map[i])
			fault(g, i, false);
		if (!holds(host_data(g->map[i]), g->content[i]))
			fail_msg("guest %d page %u is not what it wrote", (int)(g - guests), i);
	}
}

static void guest_start(struct guest *g, struct mem_group *group)
{
	memset(g, 0, sizeof(*g));
	assert_int_equal(mem_file_init(&g->file, &pool, group), 0);
	g->file.pages = PAGES;
	g->alive = true;
}

static void guest_end(struct guest *g)
{
	host_unmap(&g->file, 0, PAGES);
	mem_file_fini(&g->file);
	g->alive = false;
}

static void check_all(void)
{
	const char *wrong = mem_audit(&pool);
	u32 n;

	if (wrong)
		fail_msg("audit: %s", wrong);
	for (n = 0; n < GUESTS; n++)
		if (guests[n].alive)
			guest_check(&guests[n]);
	assert_int_equal(kapi_warnings(), 0);
}

/* Frames that an exact comparison would leave of a group: one for each content but zero. */
static u64 exact(struct mem_group *group)
{
	static struct { u64 content; u32 stamp; } seen[1 << 16];
	static u32 stamp;
	u64 nr = 0, c;
	u32 n, i, at;

	stamp++;
	for (n = 0; n < GUESTS; n++)
		for (i = 0; i < PAGES; i++) {
			c = guests[n].content[i];
			if (!guests[n].alive || guests[n].file.group != group || !c)
				continue;
			for (at = c * 40503 % ARRAY_SIZE(seen); seen[at].stamp == stamp &&
			     seen[at].content != c; at = (at + 1) % ARRAY_SIZE(seen))
				;
			if (seen[at].stamp == stamp)
				continue;
			seen[at].stamp = stamp;
			seen[at].content = c;
			nr++;
		}
	return nr;
}

/* --- steps --- */

static void round_of_scan(void)
{
	s64 rounds = atomic64_read(&scan->stat.rounds);
	u32 steps = 0;

	while (atomic64_read(&scan->stat.rounds) == rounds) {
		struct mem_scan_step step = mem_scan_step(&pool);

		assert_true(step.sleep_ns != U64_MAX);
		now += step.sleep_ns;
		assert_in_range(++steps, 0, 100000);
	}
}

static void rounds_of_scan(u32 nr)
{
	while (nr--)
		round_of_scan();
}

static s64 frames_used(void)
{
	return atomic64_read(&pool.pages);
}

static void start(bool huge)
{
	frames = aligned_alloc(64, FRAMES * sizeof(*frames));
	data = mmap(NULL, FRAMES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(data != MAP_FAILED);
	memset(refs, 0, sizeof(refs));
	memset(head_of_huge, 0, sizeof(head_of_huge));
	memset(guests, 0, sizeof(guests));
	cursor = 0;
	refuse_huge = going = false;
	random_seed = 1;
	assert_int_equal(mem_pool_init(&pool, &host, 0, 16, huge), 0);
	assert_int_equal(mem_scan_init(&pool), 0);
	scan = pool.scan;
	scan->run = true;
	scan->pages_per_second = 0;
	scan->cpu_percent = 100;
}

static int setup(void **state)
{
	start(false);
	return 0;
}

static int setup_huge(void **state)
{
	start(true);
	return 0;
}

static int teardown(void **state)
{
	u32 n, used = 0;

	for (n = 0; n < GUESTS; n++)
		if (guests[n].alive)
			guest_end(&guests[n]);
	mem_scan_fini(&pool);
	mem_pool_fini(&pool);
	for (n = 0; n < FRAMES; n++)
		used += refs[n];
	free(frames);
	munmap(data, FRAMES * PAGE_SIZE);
	return used || kapi_live() || kapi_warnings();
}

/* @nr guests of one group. */
static struct mem_group *start_guests(u32 nr)
{
	struct mem_group *group = mem_group_new(&pool);
	u32 n;

	for (n = 0; n < nr; n++)
		guest_start(&guests[n], group);
	mem_group_put(group);
	return group;
}

/* As guests of one distribution: a third in common, some zeros, some inside, the rest unique. */
static u64 typical(u32 n, u32 i)
{
	switch (i % 8) {
	case 0 ... 2:
		return 1000 + i;
	case 3:
		return 0;
	case 4:
		return 500 + n * 10 + i % 7;
	default:
		return 1000000 + n * 100000 + i;
	}
}

static void fill_guests(u32 nr)
{
	u32 n, i;

	for (n = 0; n < nr; n++)
		for (i = 0; i < PAGES; i++)
			guest_write(&guests[n], i, typical(n, i));
}

/* -------------------------------------------------------------------- tests -- */

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

/* --- 2 MiB frames --- */

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

int main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
#define HUGE(f)	cmocka_unit_test_setup_teardown(f, setup_huge, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_paused), TEST(test_paused_random), TEST(test_one_guest),
		TEST(test_steady), TEST(test_metadata), TEST(test_groups), TEST(test_volatile),
		TEST(test_busy), TEST(test_pinned), TEST(test_reserve), TEST(test_budget), TEST(test_estimate),
		TEST(test_coming_and_going),
		HUGE(test_huge), HUGE(test_huge_unique), HUGE(test_huge_threshold),
		HUGE(test_gather), HUGE(test_clones), HUGE(test_no_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
