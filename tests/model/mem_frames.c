// SPDX-License-Identifier: GPL-2.0
/* The frames of mem_frames.h. */
#include <stdio.h>
#include <sys/mman.h>

#include "tests/model/mem_frames.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)		((void)(p))
#define ASAN_UNPOISON_MEMORY_REGION(p, n)	((void)(p))
#endif

#define POISON		0xdb
#define FLAGS(n)	(0x17ffffc0000000ul + (n))
#define TAIL_WORD(n)	(0xdead000000000400ul + ((n) << 16))

static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t unlocked = PTHREAD_COND_INITIALIZER;
static struct mem_frame *frames;
static u8 *contents;
static struct mf_info info[MF_FRAMES];
static unsigned int used_of_block[MF_BLOCKS], next_block;
static unsigned long in_use, limit, allocs, fail_at, fail_times;
static void (*report_to)(const char *what, unsigned long frame);

static void report(const char *what, unsigned long n)
{
	report_to(what, n);
}

unsigned long mf_number(const struct mem_frame *frame)
{
	unsigned long n = frame - frames;

	if (n >= MF_FRAMES || &frames[n] != frame) {
		fprintf(stderr, "# %p is no frame\n", (const void *)frame);
		abort();
	}
	return n;
}

struct mem_frame *mf_at(unsigned long number)
{
	return &frames[number];
}

static unsigned long head_of(unsigned long n)
{
	return info[n].tail ? n & ~511ul : n;
}

struct mem_frame *mf_head(struct mem_frame *frame)
{
	return &frames[head_of(mf_number(frame))];
}

struct mf_info *mf_info(struct mem_frame *frame)
{
	return &info[head_of(mf_number(frame))];
}

/* Of what a live frame is made of: garbage where the owner may write. */
static void set_words(unsigned long n, bool tail)
{
	struct mem_frame *f = &frames[n];

	f->kernel_flags = FLAGS(n);
	f->group = (void *)(0xbadbadbad000ul + n * 8);
	f->hash = 0x5a5a5a5a5a5a5a5aull + n;
	f->kernel_mapping = NULL;
	f->kernel_index = 0;
	atomic_long_set(&f->refs, 77 + n);
	if (!tail)
		return;
	f->group = (void *)((unsigned long)&frames[n & ~511ul] | 1);
	f->hash = TAIL_WORD(n);
	f->kernel_mapping = (void *)TAIL_WORD(n);
	f->kernel_index = TAIL_WORD(n);
	atomic_long_set(&f->refs, TAIL_WORD(n));
}

static void check_words(unsigned long n)
{
	struct mem_frame *f = &frames[n];

	if (f->kernel_flags != FLAGS(n))
		report("the kernel's flags of a frame are overwritten", n);
	if (info[n].tail) {
		if (f->group != (void *)((unsigned long)&frames[n & ~511ul] | 1) ||
		    f->hash != TAIL_WORD(n) || f->kernel_mapping != (void *)TAIL_WORD(n) ||
		    f->kernel_index != TAIL_WORD(n) ||
		    (unsigned long)atomic_long_read(&f->refs) != TAIL_WORD(n))
			report("words of a 2 MiB frame's tail are overwritten", n);
		return;
	}
	if (f->kernel_mapping || f->kernel_index)
		report("a frame's mapping or index is set", n);
	if ((unsigned long)f->group & 3)
		report("the low bits of a frame's group are set", n);
}

static void poison(unsigned long n, unsigned long nr)
{
	ASAN_UNPOISON_MEMORY_REGION(contents + n * PAGE_SIZE, nr * PAGE_SIZE);
	memset(contents + n * PAGE_SIZE, POISON, nr * PAGE_SIZE);
	ASAN_POISON_MEMORY_REGION(contents + n * PAGE_SIZE, nr * PAGE_SIZE);
	ASAN_POISON_MEMORY_REGION(&frames[n], nr * sizeof(*frames));
}

static void unpoison(unsigned long n, unsigned long nr)
{
	u8 *p = contents + n * PAGE_SIZE;

	ASAN_UNPOISON_MEMORY_REGION(p, nr * PAGE_SIZE);
	ASAN_UNPOISON_MEMORY_REGION(&frames[n], nr * sizeof(*frames));
	if (p[0] != POISON || memcmp(p, p + 1, nr * PAGE_SIZE - 1))
		report("a free frame was written", n);
}

void mf_reset(void (*to)(const char *what, unsigned long frame))
{
	size_t words = MF_FRAMES * sizeof(*frames), bytes = MF_FRAMES * PAGE_SIZE;
	unsigned long n;

	if (!frames) {
		frames = mmap(NULL, words, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		contents = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (frames == MAP_FAILED || contents == MAP_FAILED)
			abort();
		poison(0, MF_FRAMES);
	}
	for (n = 0; n < MF_FRAMES; n++)		/* what a failed run left */
		if (info[n].count || info[n].tail)
			poison(n, 1);
	memset(info, 0, sizeof(info));
	memset(used_of_block, 0, sizeof(used_of_block));
	next_block = 0;
	in_use = limit = 0;
	report_to = to;
}

void mf_fail_nth(unsigned long n, unsigned long times)
{
	pthread_mutex_lock(&arena_lock);
	fail_at = n ? allocs + n : 0;
	fail_times = times;
	pthread_mutex_unlock(&arena_lock);
}

unsigned long mf_allocs(void)
{
	return __atomic_load_n(&allocs, __ATOMIC_RELAXED);
}

void mf_limit(unsigned long pages)
{
	limit = pages;
}

/* A free place; the one that was free longest, roughly. */
static bool find(unsigned int order, unsigned long *n)
{
	unsigned int i, b, most = order ? 0 : MEM_HUGE_PAGES - 1;

	for (i = 0; i < MF_BLOCKS; i++) {
		b = (next_block + i) % MF_BLOCKS;
		if (used_of_block[b] > most)
			continue;
		/* Small ones come from a few blocks, so that whole ones remain. */
		if (!order && !used_of_block[b] && i < MF_BLOCKS / 2 && in_use > 8)
			continue;
		next_block = order || allocs % 64 == 0 ? (b + 1) % MF_BLOCKS : b;
		for (*n = b * 512ul; info[*n].count || info[*n].tail; ++*n)
			;
		return true;
	}
	return false;
}

static bool refuse(unsigned int order)
{
	unsigned long nr = ++allocs;

	if (fail_at && nr >= fail_at && nr < fail_at + fail_times)
		return true;
	return limit && in_use + (1ul << order) > limit;
}

struct mem_frame *mf_alloc(unsigned int order)
{
	unsigned long n, i, nr = 1ul << order;

	if (order && order != MEM_HUGE_ORDER)
		report("a frame of unknown size is asked for", order);
	pthread_mutex_lock(&arena_lock);
	if (refuse(order) || !find(order, &n)) {
		pthread_mutex_unlock(&arena_lock);
		return NULL;
	}
	unpoison(n, nr);
	for (i = n; i < n + nr; i++) {
		info[i] = (struct mf_info){ .tail = i > n, .file = -1 };
		set_words(i, i > n);
	}
	info[n].count = 1;
	info[n].owned = true;
	info[n].huge = order;
	used_of_block[n / 512] += nr;
	in_use += nr;
	pthread_mutex_unlock(&arena_lock);
	return &frames[n];
}

/* The last reference is gone. */
static void release(unsigned long n)
{
	unsigned long i, nr = info[n].huge ? MEM_HUGE_PAGES : 1;

	if (info[n].maps)
		report("a frame becomes free while it is mapped", n);
	if (info[n].locked)
		report("a frame becomes free while it is locked", n);
	for (i = n; i < n + nr; i++) {
		check_words(i);
		info[i] = (struct mf_info){ 0 };
	}
	used_of_block[n / 512] -= nr;
	in_use -= nr;
	poison(n, nr);
}

static void drop(unsigned long n)
{
	if (!info[n].count)
		report("a reference too many is dropped", n);
	else if (!--info[n].count)
		release(n);
}

void mf_free(struct mem_frame *frame, unsigned int order)
{
	unsigned long n = mf_number(frame);

	pthread_mutex_lock(&arena_lock);
	if (!info[n].owned || info[n].tail) {
		report("what is freed is not ours", n);
	} else {
		if (info[n].huge != (order == MEM_HUGE_ORDER))
			report("freed with the wrong size", n);
		if (info[n].maps)
			report("a frame is given up while it is mapped", n);
		info[n].owned = false;
		drop(n);
	}
	pthread_mutex_unlock(&arena_lock);
}

void *mf_data(struct mem_frame *frame)
{
	unsigned long n = mf_number(frame);

	pthread_mutex_lock(&arena_lock);
	if (!info[head_of(n)].count)
		report("the contents of a free frame are asked for", n);
	pthread_mutex_unlock(&arena_lock);
	return contents + n * PAGE_SIZE;
}

void mf_get(struct mem_frame *frame)
{
	pthread_mutex_lock(&arena_lock);
	if (!mf_info(frame)->count)
		report("a reference to a free frame is taken", mf_number(frame));
	mf_info(frame)->count++;
	pthread_mutex_unlock(&arena_lock);
}

void mf_put(struct mem_frame *frame)
{
	pthread_mutex_lock(&arena_lock);
	drop(head_of(mf_number(frame)));
	pthread_mutex_unlock(&arena_lock);
}

void mf_lock(struct mem_frame *frame)
{
	struct mf_info *i;

	pthread_mutex_lock(&arena_lock);
	i = mf_info(frame);
	if (!i->count)
		report("a free frame is locked", mf_number(frame));
	while (i->locked)
		pthread_cond_wait(&unlocked, &arena_lock);
	i->locked = true;
	pthread_mutex_unlock(&arena_lock);
}

void mf_unlock(struct mem_frame *frame)
{
	pthread_mutex_lock(&arena_lock);
	if (!mf_info(frame)->locked)
		report("a frame is unlocked that is not locked", mf_number(frame));
	mf_info(frame)->locked = false;
	pthread_cond_broadcast(&unlocked);
	pthread_mutex_unlock(&arena_lock);
}

bool mf_poisoned(struct mem_frame *frame)
{
	return false;
}

bool mf_copy(void *to, const void *from)
{
	copy_page(to, from);
	return true;
}

bool mf_pinned(struct mem_frame *frame)
{
	bool pinned;

	pthread_mutex_lock(&arena_lock);
	if (!mf_info(frame)->owned)
		report("a frame that is not ours is asked about", mf_number(frame));
	pinned = mf_info(frame)->count > 1 + (mf_info(frame)->huge ? 0 : mf_info(frame)->maps);
	pthread_mutex_unlock(&arena_lock);
	return pinned;
}

bool mf_dissolve(struct mem_frame *huge)
{
	unsigned long n = mf_number(huge), i;

	pthread_mutex_lock(&arena_lock);
	if (!info[n].huge || !info[n].owned)
		report("what is dissolved is no 2 MiB frame of ours", n);
	if (info[n].maps)
		report("a 2 MiB frame is dissolved while it is mapped", n);
	if (info[n].count > 1 || info[n].locked) {	/* the kernel refuses: somebody came */
		pthread_mutex_unlock(&arena_lock);
		return false;
	}
	for (i = n; i < n + MEM_HUGE_PAGES; i++) {
		check_words(i);
		info[i] = (struct mf_info){ .count = 1, .owned = true, .file = -1 };
		set_words(i, false);
	}
	pthread_mutex_unlock(&arena_lock);
	return true;
}

void mf_map(struct mem_frame *frame)
{
	struct mf_info *i;

	pthread_mutex_lock(&arena_lock);
	i = mf_info(frame);
	if (!i->owned)
		report("a frame is mapped that was given up", mf_number(frame));
	i->count++;
	i->maps++;
	pthread_mutex_unlock(&arena_lock);
}

void mf_unmap(struct mem_frame *frame)
{
	unsigned long n;

	pthread_mutex_lock(&arena_lock);
	n = head_of(mf_number(frame));
	if (!info[n].maps)
		report("a mapping too many is removed", n);
	info[n].maps--;
	drop(n);
	pthread_mutex_unlock(&arena_lock);
}

unsigned long mf_pages(void)
{
	return __atomic_load_n(&in_use, __ATOMIC_RELAXED);
}

unsigned long mf_given_up(void)
{
	unsigned long n, nr = 0;

	for (n = 0; n < MF_FRAMES; n++)
		if (info[n].count && !info[n].owned)
			nr += info[n].huge ? MEM_HUGE_PAGES : 1;
	return nr;
}

void mf_check(void)
{
	unsigned long n;

	pthread_mutex_lock(&arena_lock);
	for (n = 0; n < MF_FRAMES; n++)
		if (info[n].count || info[n].tail)
			check_words(n);
	pthread_mutex_unlock(&arena_lock);
}
