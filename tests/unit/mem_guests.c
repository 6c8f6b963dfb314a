// SPDX-License-Identifier: GPL-2.0
/* The host and the guests of mem_guests.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/mman.h>

#include "kapi_test.h"
#include "tests/model/random.h"
#include "tests/unit/mem_guests.h"

/* ----------------------------------------------------------------- the host -- */

#define FRAMES	(40 * MEM_HUGE_PAGES)

static struct mem_frame *frames;
static char *data;
static int refs[FRAMES];		/* in the head; 0 is free */
static bool head_of_huge[FRAMES];
static bool bad[FRAMES];		/* must not be read, and cannot: it is not mapped */
static u32 cursor;
static u64 random_seed;
static u64 ran;				/* of now, not slept */
u64 now;

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
		if (refs[i] || bad[i])
			return false;
	return true;
}

static struct mem_frame *host_alloc(struct mem_pool *p, unsigned int order, enum mem_charge who)
{
	u32 nr = 1u << order, i, k, at;

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

static bool host_starved(struct mem_pool *p)
{
	return true;
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

void poison(struct mem_frame *frame)
{
	bad[number(frame)] = true;
	assert_int_equal(mprotect(host_data(frame), PAGE_SIZE, PROT_NONE), 0);
}

static bool host_poisoned(struct mem_frame *frame)
{
	return bad[number(frame)];
}

static bool host_copy(void *to, const void *from)
{
	copy_page(to, from);
	return true;
}

static void host_get(struct mem_frame *frame) { refs[head(frame)]++; }
void host_put(struct mem_frame *frame) { drop(head(frame)); }
static void host_lock(struct mem_frame *frame) { }
static void host_settle_all(const u64 *words, u32 nr) { }
static bool host_pinned(struct mem_frame *frame) { return refs[head(frame)] > 1; }
static u64 host_pinned_among(const u64 *words, u32 nr);
static bool host_protect(struct mem_file *file, u64 first, u64 nr);

static bool host_dissolve(struct mem_pool *p, struct mem_frame *huge)
{
	assert_true(head_of_huge[number(huge)]);
	assert_int_equal(refs[number(huge)], 1);
	head_of_huge[number(huge)] = false;
	return true;
}

static void host_unmap(struct mem_file *file, u64 first, u64 nr);
static bool host_file_get(struct mem_file *file) { return true; }
static void host_file_put(struct mem_file *file) { }
static void host_event(struct mem_pool *p, enum mem_event event) { }
static u64 host_now(void) { ran += 1000; return now += 1000; }
static u64 host_run(void) { return ran; }

u64 host_random(void)
{
	return random_word(&random_seed);
}

static const struct mem_host_ops host = {
	.alloc = host_alloc, .starved = host_starved, .free = host_free, .data = host_data,
	.poisoned = host_poisoned, .copy = host_copy,
	.get = host_get, .put = host_put, .lock = host_lock, .unlock = host_lock,
	.settle = host_lock, .settle_all = host_settle_all, .unmap = host_unmap,
	.protect = host_protect, .pinned = host_pinned, .pinned_among = host_pinned_among,
	.dissolve = host_dissolve,
	.file_get = host_file_get, .file_put = host_file_put,
	.event = host_event, .now_ns = host_now, .run_ns = host_run,
	.random = host_random,
};

/* ------------------------------------------------------------------- guests -- */

struct guest guests[GUESTS];
struct mem_pool pool;
struct mem_scan *scan;

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

static bool host_protect(struct mem_file *file, u64 first, u64 nr)
{
	struct guest *g = container_of(file, struct guest, file);
	u64 i;

	for (i = first; i < first + nr && i < PAGES; i++)
		g->writable[i] = false;
	return true;
}

static int mappings(const struct mem_frame *frame)
{
	u32 n, i;
	int nr = 0;

	for (n = 0; n < GUESTS; n++)
		for (i = 0; i < PAGES && guests[n].alive; i++)
			nr += guests[n].map[i] == frame;
	return nr;
}

static u64 host_pinned_among(const u64 *words, u32 nr)
{
	u64 pinned = 0;
	u32 i;

	for (i = 0; i < nr; i++) {
		struct mem_frame *frame = (void *)(unsigned long)(words[i] & ~MEM_FRAME_MARKS);

		if (frame && host_pinned(frame) && refs[number(frame)] > 1 + mappings(frame))
			pinned |= BIT_ULL(i);
	}
	return pinned;
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

void guest_write(struct guest *g, u32 i, u64 content)
{
	if (!g->map[i] || !g->writable[i])
		fault(g, i, true);
	fill(host_data(g->map[i]), content);
	g->content[i] = content;
}

bool holds(const void *page, u64 content)
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

void guest_start(struct guest *g, struct mem_group *group)
{
	memset(g, 0, sizeof(*g));
	assert_int_equal(mem_file_init(&g->file, &pool, group), 0);
	g->file.pages = PAGES;
	g->alive = true;
}

void guest_end(struct guest *g)
{
	host_unmap(&g->file, 0, PAGES);
	mem_file_fini(&g->file);
	g->alive = false;
}

void check_all(void)
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

u64 exact(struct mem_group *group)
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

void round_of_scan(void)
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

void rounds_of_scan(u32 nr)
{
	while (nr--)
		round_of_scan();
}

s64 frames_used(void)
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
	memset(bad, 0, sizeof(bad));
	memset(guests, 0, sizeof(guests));
	cursor = 0;
	ran = 0;
	random_seed = 1;
	assert_int_equal(mem_pool_init(&pool, &host, 0, 16, huge), 0);
	assert_int_equal(mem_scan_init(&pool), 0);
	scan = pool.scan;
	scan->run = true;
	scan->pages_per_second = 0;
	scan->cpu_percent = 100;
}

int setup(void **state)
{
	start(false);
	return 0;
}

int setup_huge(void **state)
{
	start(true);
	return 0;
}

int teardown(void **state)
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

struct mem_group *start_guests(u32 nr)
{
	struct mem_group *group = mem_group_new(&pool);
	u32 n;

	for (n = 0; n < nr; n++)
		guest_start(&guests[n], group);
	mem_group_put(group);
	return group;
}

u64 typical(u32 n, u32 i)
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

void fill_guests(u32 nr)
{
	u32 n, i;

	for (n = 0; n < nr; n++)
		for (i = 0; i < PAGES; i++)
			guest_write(&guests[n], i, typical(n, i));
}
