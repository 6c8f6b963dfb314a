// SPDX-License-Identifier: GPL-2.0
/*
 * RAM files under real threads. Built once with the address sanitizer and once with
 * the thread sanitizer.
 *
 *   chunk 0      pages of the guests: one thread each, no lock
 *   chunk 1      half of them guests' and a device's (which writes by pins), half as chunk 2
 *   chunk 2      changed as a whole, under a lock for each block of 64 pages: punched, cloned
 *                to (from pages that are being written, too), written, deduplicated
 *
 * One more file comes and goes all the time; whoever drops its last reference ends it.
 *
 * A page has two counters; whoever owns it raises the first, then the second, and
 * reads them before: a lost write, or one that came from elsewhere, is seen at once. A copy
 * taken meanwhile must be of one moment. Pages are often equal, so that there is much to merge.
 *
 * A process maps a file under a lock of its page table: for reading to access, for
 * writing to change entries. So an access is over when unmapping returns, as after
 * a TLB flush, and the thread sanitizer knows it.
 */
#include <stdio.h>
#include <unistd.h>

#include "kapi_test.h"
#include "mem/scan.h"
#include "tests/model/mem_frames.h"
#include "tests/model/random.h"

#define FILES	3
#define CHUNKS	3
#define PAGES	(CHUNKS * MEM_HUGE_PAGES)
#define MAPS	(FILES * 2)
#define BLOCK	64
#define HALF	(MEM_HUGE_PAGES + MEM_HUGE_PAGES / 2)	/* from here on: changed as a whole */
#define GUESTS	2
#define WRITE	(1u << 31)

struct map {
	pthread_rwlock_t lock;
	bool congruent;
	u32 pte[PAGES], pmd[CHUNKS];
};

static struct mem_pool pool;
static struct mem_group *group;
static struct mem_file file[FILES + 1];	/* the last one comes and goes */
static int visitor_refs;
static pthread_mutex_t visitor_lock = PTHREAD_MUTEX_INITIALIZER;
static struct map map[MAPS];	/* of file i / 2 */
static u64 counter[FILES][PAGES];	/* what a page's two counters are */
static u64 lag[FILES][PAGES];		/* by how much the second is behind: 0 or 1 */
static pthread_mutex_t block_lock[FILES * PAGES / BLOCK];
static bool stop;
static unsigned long bad, done, faults, clones, punches, merged;
static char first_bad[160];
static pthread_mutex_t bad_lock = PTHREAD_MUTEX_INITIALIZER;

/* Whoever copies a pinned page reads what is being written. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:^device$\n";
}

/* Two chunks are locked in any order, under the pool's pair_lock: more than it can see. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "detect_deadlocks=0";
}

static void wrong(const char *what, unsigned long where)
{
	pthread_mutex_lock(&bad_lock);
	if (!bad++)
		snprintf(first_bad, sizeof(first_bad), "%s (%lu)", what, where);
	pthread_mutex_unlock(&bad_lock);
}

/* -------------------------------------------------------------- page tables -- */

static struct mem_frame *frame_of(u32 entry)
{
	return mf_at((entry & ~WRITE) - 1);
}

static u32 entry_of(const struct map *m, u64 index)
{
	u32 pmd = m->pmd[index / 512];

	return pmd ? pmd + index % 512 : m->pte[index];
}

static void clear(u32 *entry)
{
	if (*entry)
		mf_unmap(frame_of(*entry));
	*entry = 0;
}

static void op_unmap(struct mem_file *f, u64 first, u64 nr)
{
	u64 i, end = min_t(u64, first + nr, PAGES);
	int n;

	if (f == &file[FILES])
		return;		/* never mapped */
	for (n = (f - file) * 2; n < (f - file) * 2 + 2; n++) {
		pthread_rwlock_wrlock(&map[n].lock);
		for (i = first / 512; i * 512 < end; i++)
			clear(&map[n].pmd[i]);
		for (i = first; i < end; i++)
			clear(&map[n].pte[i]);
		pthread_rwlock_unlock(&map[n].lock);
	}
}

static bool op_protect(struct mem_file *f, u64 first, u64 nr)
{
	u64 i, end = min_t(u64, first + nr, PAGES);
	int n;

	if (f == &file[FILES])
		return false;
	for (n = (f - file) * 2; n < (f - file) * 2 + 2; n++) {
		pthread_rwlock_wrlock(&map[n].lock);
		for (i = first; i < end; i++)
			map[n].pte[i] &= ~WRITE;
		pthread_rwlock_unlock(&map[n].lock);
	}
	return true;
}

static bool is_chunk_empty(const struct map *m, u64 chunk)
{
	u64 i;

	for (i = chunk * 512; i < (chunk + 1) * 512; i++)
		if (m->pte[i])
			return false;
	return true;
}

/* The frame is locked. */
static void install(struct map *m, u64 index, struct mem_frame *frame, u32 old, bool write)
{
	u32 entry = (mf_number(frame) + 1) | (write ? WRITE : 0);

	pthread_rwlock_wrlock(&m->lock);
	if (old) {
		if (m->pte[index] == old)
			m->pte[index] |= WRITE;
	} else if (!m->pmd[index / 512] && !m->pte[index]) {
		mf_map(frame);
		if (mf_info(frame)->huge && m->congruent && is_chunk_empty(m, index / 512))
			m->pmd[index / 512] = entry - index % 512;
		else
			m->pte[index] = entry;
	}
	pthread_rwlock_unlock(&m->lock);
}

/* A write to what is mapped read-only: the page table says to what, with a reference. */
static struct mem_frame *get_readonly(struct map *m, u64 index, u32 *old)
{
	struct mem_frame *frame = NULL;

	pthread_rwlock_wrlock(&m->lock);
	clear(&m->pmd[index / 512]);
	*old = m->pte[index];
	if (*old) {
		frame = frame_of(*old);
		mf_get(frame);
	}
	pthread_rwlock_unlock(&m->lock);
	return frame;
}

static void fault(int n, u64 index, bool write)
{
	struct mem_file *f = &file[n / 2];
	struct mem_frame *frame = NULL;
	u32 old = 0;
	int r = 0;

	__atomic_add_fetch(&faults, 1, __ATOMIC_RELAXED);
	if (write)
		frame = get_readonly(&map[n], index, &old);
	if (old & WRITE) {	/* somebody else was faster */
		mf_put(frame);
		return;
	}
	if (!frame) {
		r = mem_file_fault(f, index, write, &frame);
		if (!r && write)
			mf_unlock(frame);
	}
	if (!r && write) {
		r = mem_file_mkwrite(f, index, frame);
		if (r)
			mf_put(frame);
	}
	if (!r) {
		install(&map[n], index, frame, old, write);
		mf_unlock(frame);
		mf_put(frame);
	} else if (r == -EBUSY) {
		usleep(100);
	} else if (r != -EAGAIN) {
		wrong("a fault fails", -r);
	}
}

static bool try_access(int n, u64 index, unsigned int i, bool write, u64 *value)
{
	struct map *m = &map[n];
	bool ok;
	u32 entry;
	u64 *p;

	pthread_rwlock_rdlock(&m->lock);
	entry = entry_of(m, index);
	ok = entry && (!write || (entry & WRITE));
	if (ok) {
		p = (u64 *)mf_data(frame_of(entry)) + i * 100;
		if (write)
			*p = *value;
		else
			*value = *p;
	}
	pthread_rwlock_unlock(&m->lock);
	return ok;
}

static void access_word(int n, u64 index, unsigned int i, bool write, u64 *value)
{
	int tries;

	for (tries = 0; tries < 20000; tries++) {
		if (try_access(n, index, i, write, value))
			return;
		fault(n, index, write);
	}
	wrong("an access never goes through", index);
}

/* --------------------------------------------------------------------- host -- */

static struct mem_frame *op_alloc(struct mem_pool *p, unsigned int order, enum mem_charge who)
{
	return mf_alloc(order);
}

static bool op_starved(struct mem_pool *p)
{
	return true;
}

static void op_free(struct mem_pool *p, struct mem_frame *frame, unsigned int order)
{
	mf_free(frame, order);
}

static void op_settle(struct mem_frame *frame)
{
	mf_lock(frame);
	mf_unlock(frame);
}

static struct mem_frame *frame_in(u64 word)
{
	return (struct mem_frame *)(unsigned long)(word & ~MEM_FRAME_MARKS);
}

static void op_settle_all(const u64 *words, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (frame_in(words[i]))
			op_settle(frame_in(words[i]));
}

static bool op_pinned(struct mem_frame *frame)
{
	return mf_pinned(frame);
}

static u64 op_pinned_among(const u64 *words, u32 nr)
{
	u64 pinned = 0;
	u32 i;

	for (i = 0; i < nr; i++)
		if (frame_in(words[i]))
			pinned |= (u64)mf_pinned(frame_in(words[i])) << i;
	return pinned;
}

static bool op_dissolve(struct mem_pool *p, struct mem_frame *huge)
{
	return mf_dissolve(huge);
}

static bool op_file_get(struct mem_file *f)
{
	bool there = true;

	if (f != &file[FILES])
		return true;
	pthread_mutex_lock(&visitor_lock);
	there = visitor_refs > 0;
	visitor_refs += there;
	pthread_mutex_unlock(&visitor_lock);
	return there;
}

/* -1: it has ended. */
static void op_file_put(struct mem_file *f)
{
	bool last;

	if (f != &file[FILES])
		return;
	pthread_mutex_lock(&visitor_lock);
	last = !--visitor_refs;
	pthread_mutex_unlock(&visitor_lock);
	if (!last)
		return;
	mem_file_fini(f);
	pthread_mutex_lock(&visitor_lock);
	visitor_refs = -1;
	pthread_mutex_unlock(&visitor_lock);
}

static void op_event(struct mem_pool *p, enum mem_event event)
{
}

static u64 op_now_ns(void)
{
	static u64 ns;

	return __atomic_add_fetch(&ns, 1000, __ATOMIC_RELAXED);
}

static u64 op_random(void)
{
	static u64 x;

	return __atomic_add_fetch(&x, 0x9e3779b97f4a7c15ull, __ATOMIC_RELAXED) *
	       0xbf58476d1ce4e5b9ull;
}

static const struct mem_host_ops host_ops = {
	.alloc = op_alloc, .starved = op_starved, .free = op_free, .data = mf_data,
	.poisoned = mf_poisoned, .copy = mf_copy, .get = mf_get, .put = mf_put,
	.lock = mf_lock, .unlock = mf_unlock, .settle = op_settle, .settle_all = op_settle_all,
	.unmap = op_unmap, .protect = op_protect, .pinned = op_pinned,
	.pinned_among = op_pinned_among, .dissolve = op_dissolve, .file_get = op_file_get,
	.file_put = op_file_put, .event = op_event, .now_ns = op_now_ns, .run_ns = op_now_ns,
	.random = op_random,
};

/* ------------------------------------------------------------------ workers -- */

/* Read both counters, compare, raise both. n: by which mapping. */
static void raise(int n, u64 index, bool write)
{
	u64 *c = &counter[n / 2][index], *l = &lag[n / 2][index], value;

	access_word(n, index, 0, false, &value);
	if (value != *c)
		wrong("the first counter is wrong", index);
	access_word(n, index, 1, false, &value);
	if (value != *c - *l)
		wrong("the second counter is wrong", index);
	if (!write)
		return;
	*c += 1;
	*l = 0;
	access_word(n, index, 0, true, c);
	access_word(n, index, 1, true, c);
	__atomic_add_fetch(&done, 1, __ATOMIC_RELAXED);
}

static bool is_device_page(u64 index)
{
	return index >= MEM_HUGE_PAGES && index % 32 == 31;
}

static void *guest(void *arg)
{
	int me = (int)(long)arg;
	u64 rng = 0x1234567 * (me + 1), index;

	while (!READ_ONCE(stop)) {
		/* Now many pages once, now a few often. */
		index = random_word(&rng) % (random_word(&rng) % 4 ? 48 : HALF);
		index = index / GUESTS * GUESTS + me;
		if (index < HALF && !is_device_page(index))
			raise(random_word(&rng) % MAPS, index, random_word(&rng) & 1);
	}
	return NULL;
}

/* Writes by references that it keeps for a while. */
static void *device(void *arg)
{
	u64 rng = 0x55555, index;
	struct mem_frame *frame;
	int f, i;
	u64 *p;

	while (!READ_ONCE(stop)) {
		f = random_word(&rng) % FILES;
		index = MEM_HUGE_PAGES + (random_word(&rng) % 8 * 32 + 31);
		raise(f * 2, index, false);
		if (mem_file_pin(&file[f], index, true, &frame))
			continue;
		for (i = random_word(&rng) % 20; i >= 0; i--) {
			p = mf_data(frame);
			if (p[0] != counter[f][index] || p[100] != counter[f][index])
				wrong("a device sees another page", index);
			p[0] = ++counter[f][index];
			p[100] = counter[f][index];
			usleep(random_word(&rng) % 50);
		}
		mf_put(frame);
	}
	return NULL;
}

static pthread_mutex_t *lock_of(int f, u64 index)
{
	return &block_lock[(f * PAGES + index) / BLOCK];
}

static void lock_range(int f, u64 first, u64 nr, bool lock)
{
	u64 i;

	for (i = first; i < first + nr; i += BLOCK) {
		if (lock)
			pthread_mutex_lock(lock_of(f, i));
		else
			pthread_mutex_unlock(lock_of(f, i));
	}
}

/*
 * A copy of pages that were written meanwhile: each of one moment, unless it was a
 * device that wrote. Nothing of mem/ can stop that.
 */
static void adopt(int f, u64 from, u64 first, u64 nr)
{
	u64 i, a = 0, b = 0;

	for (i = first; i < first + nr; i++) {
		access_word(f * 2, i, 0, false, &a);
		access_word(f * 2, i, 1, false, &b);
		if (a - b > 1 && !is_device_page(from + i - first))
			wrong("a clone is not of one moment", i);
		counter[f][i] = a;
		lag[f][i] = a - b;
	}
}

static void clone_pages(u64 *rng, int dst, u64 to, u64 nr)
{
	int src = random_word(rng) % FILES, err = 0;
	u64 from = nr == MEM_HUGE_PAGES ? random_word(rng) % (src == dst ? 2 : CHUNKS) * nr :
					  random_word(rng) % (HALF / BLOCK) * BLOCK;

	if (mem_file_clone(&file[src], from, &file[dst], to, nr, &err) != nr)
		wrong("a clone fails", -err);
	adopt(dst, from, to, nr);
	__atomic_add_fetch(&clones, 1, __ATOMIC_RELAXED);
}

static void punch_pages(int f, u64 first, u64 nr)
{
	u64 i;

	if (mem_file_punch(&file[f], first, nr))
		wrong("punching fails", first);
	for (i = first; i < first + nr; i++)
		counter[f][i] = lag[f][i] = 0;
	__atomic_add_fetch(&punches, 1, __ATOMIC_RELAXED);
}

static void dedupe_pages(u64 *rng, int f, u64 first)
{
	u64 with = random_word(rng) % HALF;
	int src = random_word(rng) % FILES;
	int r = mem_file_dedupe(&file[src], with, &file[f], first, 1 + random_word(rng) % 4);

	if (r && r != -EBADE && r != -EBUSY)
		wrong("deduplication fails", -r);
}

/* Changes ranges as a whole. */
static void *owner(void *arg)
{
	u64 rng = 0xabcdef + (long)arg, first, nr, i;
	int f;

	while (!READ_ONCE(stop)) {
		bool whole = !(random_word(&rng) % 8);

		f = random_word(&rng) % FILES;
		first = whole ? 2 * MEM_HUGE_PAGES :
				HALF + random_word(&rng) % ((PAGES - HALF) / BLOCK) * BLOCK;
		nr = whole ? MEM_HUGE_PAGES : BLOCK;
		lock_range(f, first, nr, true);
		switch (random_word(&rng) % 6) {
		case 0:
			punch_pages(f, first, nr);
			break;
		case 1: case 2:
			clone_pages(&rng, f, first, nr);
			break;
		case 3:
			dedupe_pages(&rng, f, first + random_word(&rng) % 32);
			break;
		default:
			for (i = first; i < first + nr; i += 1 + random_word(&rng) % 16)
				raise(f * 2 + random_word(&rng) % 2, i, random_word(&rng) % 2);
		}
		lock_range(f, first, nr, false);
	}
	return NULL;
}

/* A page of the visiting file: written, or found to be what was written. */
static void visit_page(u64 index, u64 value, bool write)
{
	struct mem_frame *frame = NULL;
	u64 *p;

	if (mem_file_pin(&file[FILES], index, write, &frame) || !frame) {
		wrong("a page of the visiting file is not there", index);
		return;
	}
	p = mf_data(frame);
	if (write)
		p[0] = p[100] = value;
	else if (p[0] != value || p[100] != value)
		wrong("a page of the visiting file changed", index);
	mf_put(frame);
}

/* A file with much that others have as well; gone before much is done with it, or after. */
static void *visitor(void *arg)
{
	struct mem_file *f = &file[FILES];
	u64 rng = 31337, i, nr;
	int err;

	while (!READ_ONCE(stop)) {
		nr = 1 + random_word(&rng) % 200;
		mem_file_init(f, &pool, group);
		mem_file_resize(f, PAGES);
		pthread_mutex_lock(&visitor_lock);
		visitor_refs = 1;
		pthread_mutex_unlock(&visitor_lock);
		for (i = 0; i < nr; i++)
			visit_page(i * 3, 1 + i % 5, true);
		if (random_word(&rng) & 1)
			mem_file_clone(&file[random_word(&rng) % FILES], 0, f, 2 * MEM_HUGE_PAGES,
				       MEM_HUGE_PAGES, &err);
		usleep(random_word(&rng) % 3000);
		for (i = 0; i < nr; i++)
			visit_page(i * 3, 1 + i % 5, false);
		op_file_put(f);
		do {
			usleep(10);
			pthread_mutex_lock(&visitor_lock);
			err = visitor_refs;
			pthread_mutex_unlock(&visitor_lock);
		} while (err >= 0);
	}
	return NULL;
}

/* Who only looks, and fills the reserve. */
static void *observer(void *arg)
{
	struct mem_frame *frame;
	unsigned long refs;
	u64 rng = 99;
	bool huge;

	while (!READ_ONCE(stop)) {
		struct mem_file *f = &file[random_word(&rng) % FILES];

		mem_pool_refill(&pool);
		mem_file_page(f, random_word(&rng) % PAGES, &huge, &refs, &frame);
		mem_file_seek(f, random_word(&rng) % PAGES, random_word(&rng) & 1);
		if (mem_file_proportional(f) > PAGES * 1024)
			wrong("more than all pages in proportion", 0);
		usleep(300);
	}
	return NULL;
}

/* As fast as it can, in every order; now and then all over again. */
static void *scanner(void *arg)
{
	struct mem_scan *scan = pool.scan;
	u64 rng = 4711;

	WRITE_ONCE(scan->run, true);
	WRITE_ONCE(scan->pages_per_second, 0);
	WRITE_ONCE(scan->cpu_percent, 100);
	scan->breath_pages = 5;	/* the more often others come in between */
	while (!READ_ONCE(stop)) {
		scan->next_ns = scan->round_start_ns = 0;
		mem_scan_step(&pool);
		if (random_word(&rng) % 64)
			continue;
		WRITE_ONCE(scan->order, random_word(&rng) % 3);
		mem_scan_restart(&pool);
	}
	merged = atomic64_read(&scan->stat.merged);
	return NULL;
}

static void *(*const work[])(void *) = {
	guest, guest, owner, owner, device, observer, scanner, visitor,
};

static void start(bool huge)
{
	int i;

	mf_reset(wrong);
	if (mem_pool_init(&pool, &host_ops, 0, 64, huge))
		abort();
	if (mem_scan_init(&pool))
		abort();
	group = mem_group_new(&pool);
	for (i = 0; i < FILES; i++) {
		memset(&file[i], 0, sizeof(file[i]));
		mem_file_init(&file[i], &pool, group);
		mem_file_resize(&file[i], PAGES);
	}
	memset(counter, 0, sizeof(counter));
	memset(lag, 0, sizeof(lag));
	memset(map, 0, sizeof(map));
	for (i = 0; i < MAPS; i++) {
		pthread_rwlock_init(&map[i].lock, NULL);
		map[i].congruent = i & 1;
	}
	for (i = 0; i < (int)ARRAY_SIZE(block_lock); i++)
		pthread_mutex_init(&block_lock[i], NULL);
	stop = false;
}

static void finish(void)
{
	const char *what;
	int n;
	u64 i;

	for (n = 0; n < MAPS; n++)
		for (i = 0; i < PAGES; i++)
			raise(n, i, false);
	what = mem_audit(&pool);
	if (what)
		wrong(what, 0);
	for (n = 0; n < FILES; n++) {
		op_unmap(&file[n], 0, PAGES);
		mem_file_fini(&file[n]);
	}
	mem_group_put(group);
	mem_scan_fini(&pool);
	mem_pool_fini(&pool);
}

static bool got_on(void)
{
	return READ_ONCE(done) && READ_ONCE(clones) && READ_ONCE(punches) &&
	       atomic64_read(&pool.scan->stat.merged);
}

static void run(bool huge, int ms)
{
	pthread_t thread[ARRAY_SIZE(work)];
	unsigned int i;

	start(huge);
	for (i = 0; i < ARRAY_SIZE(work); i++)
		pthread_create(&thread[i], NULL, work[i], (void *)(long)(i % GUESTS));
	usleep(ms * 1000);
	for (i = 0; i < 600 && !got_on(); i++)	/* a busy machine */
		usleep(100000);
	WRITE_ONCE(stop, true);
	for (i = 0; i < ARRAY_SIZE(work); i++)
		pthread_join(thread[i], NULL);
	finish();
}

int main(int argc, char **argv)
{
	int huge, ms = argc > 1 ? atoi(argv[1]) : getenv("TEST_LONG") ? 60000 : 3000;

	printf("1..6\n");
	for (huge = 0; huge < 2; huge++) {
		bad = done = faults = clones = punches = merged = 0;
		run(huge, ms);
		printf("# %s: %lu writes, %lu faults, %lu clones, %lu punches, %lu merged\n",
		       huge ? "2 MiB" : "4 KiB", done, faults, clones, punches, merged);
		if (bad)
			printf("# %s\n", first_bad);
		printf("%sok %d - %s: no write is lost or astray\n", bad ? "not " : "",
		       huge * 3 + 1, huge ? "2 MiB" : "4 KiB");
		printf("%sok %d - nothing left behind, no warning\n",
		       kapi_live() || kapi_warnings() || mf_pages() ? "not " : "", huge * 3 + 2);
		printf("%sok %d - all got on\n",
		       done && clones && punches && merged ? "" : "not ", huge * 3 + 3);
	}
	return 0;
}
