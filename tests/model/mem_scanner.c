// SPDX-License-Identifier: GPL-2.0
/* The machine of mem_machine.h: its scanner, and what there would be to find. */
#include "kapi_test.h"
#include "mem/scan.h"
#include "tests/model/mem_machine.h"

/* A chunk is visited every 16th round, or 256th if its pages were pinned, a page in every 8th visit. */
#define ROUNDS_CALM	280

int mm_scan_init(struct mm *m)
{
	int r = mem_scan_init(&m->pool);

	if (!r) {
		m->pool.scan->run = true;
		m->pool.scan->pages_per_second = 0;
		m->pool.scan->cpu_percent = 100;
		m->pool.scan->breath_pages = 3;
	}
	return r;
}

/* What is said to be still to be had is no more than there is. */
static void check_estimate(struct mm *m)
{
	u64 pages = 0;
	int i;

	for (i = 0; i < MM_FILES; i++)
		if (m->file[i].live)
			pages += atomic64_read(&m->file[i].file.stat.present);
	if (mem_scan_estimate(&m->pool) > pages)
		mm_violation(m, "the estimate is more than there is", -1, pages);
}

void mm_scan(struct mm *m, unsigned int steps, u32 order, bool restart)
{
	struct mem_scan_step step;

	WRITE_ONCE(m->pool.scan->order, order);
	if (restart)
		mem_scan_restart(&m->pool);
	while (steps--) {
		m->nr_raced = 0;
		step = mem_scan_step(&m->pool);
		if (step.sleep_ns == U64_MAX)
			mm_violation(m, "the scanner does not run", -1, 0);
		else
			m->clock += step.sleep_ns;
	}
	m->nr_raced = 0;
	check_estimate(m);
}

static bool rounds_pass(struct mm *m, u64 rounds)
{
	u64 end = atomic64_read(&m->pool.scan->stat.rounds) + rounds;
	unsigned int steps;

	for (steps = 0; steps < 20000 * rounds; steps += 16) {
		mm_scan(m, 16, MEM_SCAN_SEQUENTIAL, false);
		if ((u64)atomic64_read(&m->pool.scan->stat.rounds) >= end)
			return true;
	}
	return false;
}

/* --------------------------------------------------------------- what is left -- */

struct content {
	int group;
	const u8 *bytes;
	struct mem_frame *frame;
};

static struct content pages[MM_FILES * MM_PAGES];

static int compare(const void *a, const void *b)
{
	const struct content *x = a, *y = b;

	return x->group != y->group ? x->group - y->group : memcmp(x->bytes, y->bytes, PAGE_SIZE);
}

static int compare_all(const void *a, const void *b)
{
	const struct content *x = a, *y = b;
	int r = compare(a, b);

	return r ? r : (x->frame > y->frame) - (x->frame < y->frame);
}

static unsigned int collect(struct mm *m, int file, unsigned int nr)
{
	struct mm_file *f = &m->file[file];
	unsigned long refs;
	bool huge;
	u64 i;

	for (i = 0; i < f->file.pages; i++) {
		struct content *p = &pages[nr];

		if (mem_file_page(&f->file, i, &huge, &refs, &p->frame) < MEM_PAGE_PRIVATE)
			continue;
		p->group = f->group;
		p->bytes = f->bytes + i * PAGE_SIZE;
		nr++;
	}
	return nr;
}

/* Frames whose content another frame of the group has, or that are zero. */
static unsigned int duplicates(struct mm *m, unsigned int *frames)
{
	static const u8 zeros[PAGE_SIZE];
	unsigned int nr = 0, i, left = 0;

	for (i = 0; i < MM_FILES; i++)
		if (m->file[i].live && !m->file[i].file.never_share)
			nr = collect(m, i, nr);
	qsort(pages, nr, sizeof(pages[0]), compare_all);
	*frames = 0;
	for (i = 0; i < nr; i++) {
		if (i && !compare_all(&pages[i - 1], &pages[i]))
			continue;
		++*frames;
		left += !memcmp(pages[i].bytes, zeros, PAGE_SIZE) ||
			(i && !compare(&pages[i - 1], &pages[i]));
	}
	return left;
}

static void check_duplicates(struct mm *m)
{
	unsigned int frames, left = duplicates(m, &frames);

	if (!m->pool.reserve.low && left > 2 + frames / 50)
		mm_violation(m, "equal pages are left", frames, left);
}

/*
 * First as the scanner goes on by itself, skipping what it knows and leaving alone what changed, for as
 * long as it takes to come to every page; then with everything looked at anew.
 */
void mm_scan_to_end(struct mm *m)
{
	unsigned int i;
	bool quiet = m->quiet;

	m->quiet = true;
	m->short_of_memory = false;
	mm_fault_end_all(m);
	for (i = 0; i < MM_PINS; i++)
		mm_pin_drop(m, i);
	mem_pool_refill(&m->pool);
	WRITE_ONCE(m->pool.scan->dissolve_pages, 1);
	WRITE_ONCE(m->pool.scan->pages_per_second, 0);
	/* In a full pool the reserve can stay low, and then nothing is scanned. */
	if (!m->pool.reserve.low && !rounds_pass(m, ROUNDS_CALM))
		mm_violation(m, "a round does not end", -1, 0);
	check_duplicates(m);
	for (i = 0; i < 4 && !m->pool.reserve.low; i++) {
		mem_scan_restart(&m->pool);
		if (!rounds_pass(m, 3))
			mm_violation(m, "a round does not end", -1, i);
	}
	check_duplicates(m);
	m->quiet = quiet;
}
