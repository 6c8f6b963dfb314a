// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation of a pool's life refused in turn: the seam's, the host's frames of
 * either size, and all frames from one on. What fails says so, contents and counts stay
 * right, nothing leaks, and once memory is back everything goes through.
 */
#include <stdio.h>

#include "kapi_test.h"
#include "mem/scan.h"
#include "tests/model/mem_machine.h"

enum { A, B, C, D };	/* files; A to C are of one group */

static struct mm m;
static bool checked;

static bool was_refused(void)
{
	return kapi_failed() || m.refused;
}

/* After each step: right behind the refusal everything is looked at. */
static void look(void)
{
	if (was_refused() && !checked) {
		mm_check_all(&m);
		checked = true;
	}
}

#define STEP(call)	do { call; look(); } while (0)

static void fill(int file, u64 first, u64 nr, u64 value)
{
	for (; nr--; first++)
		STEP(mm_pwrite(&m, file, first, value));
}

static void files(void)
{
	STEP(mm_file_new(&m, A, 0, 3 * MEM_HUGE_PAGES, false));
	STEP(mm_file_new(&m, B, 0, 3 * MEM_HUGE_PAGES, false));
	STEP(mm_file_new(&m, C, 0, MM_PAGES, false));
	STEP(mm_file_new(&m, D, 1, MEM_HUGE_PAGES + 9, true));
	mm_vma_new(&m, A, A, 0, MM_PAGES, true, true);
	mm_vma_new(&m, B, B, 0, MM_PAGES, true, true);
	mm_vma_new(&m, C, C, 0, MM_PAGES, true, false);
	mm_vma_new(&m, D, D, 0, MM_PAGES, true, true);
}

static bool all_files(void)
{
	return mm_file(&m, A) && mm_file(&m, B) && mm_file(&m, C) && mm_file(&m, D);
}

static void accesses(void)
{
	u64 i;

	STEP(mm_read(&m, A, 5, 0));			/* a hole */
	STEP(mm_write(&m, A, 5, 8, 17));		/* 2 MiB where it can be */
	STEP(mm_write(&m, A, MEM_HUGE_PAGES + 1, 0, 3));
	STEP(mm_write(&m, D, MEM_HUGE_PAGES + 2, 0, 4));	/* a chunk that ends early */
	STEP(mm_pin(&m, 0, A, 700, false));
	STEP(mm_pin(&m, 0, B, 1, true));
	mm_pin_use(&m, 0, 64, 99);
	mm_pin_drop(&m, 0);
	STEP(mm_allocate(&m, B, 2 * MEM_HUGE_PAGES - 3, 6));
	for (i = 0; i < 3; i++)
		fill(C, i * MEM_HUGE_PAGES + 7, 4, 0x1111 * (i + 1));
	fill(B, 20, 3, 0x1111);
}

static void clones(void)
{
	STEP(mm_scan(&m, 16, MEM_SCAN_SEQUENTIAL, false));
	STEP(mm_clone(&m, A, 0, C, 3 * MEM_HUGE_PAGES, MEM_HUGE_PAGES));	/* a whole chunk */
	/* a clone of it */
	STEP(mm_clone(&m, C, 3 * MEM_HUGE_PAGES, B, MEM_HUGE_PAGES, MEM_HUGE_PAGES));
	STEP(mm_clone(&m, A, 4, B, 100, 30));		/* a part, elsewhere in its chunk */
	STEP(mm_clone(&m, C, 500, C, 900, 40));		/* across a boundary, in one file */
	STEP(mm_pin(&m, 1, A, MEM_HUGE_PAGES + 1, true));
	STEP(mm_clone(&m, A, MEM_HUGE_PAGES, B, 2 * MEM_HUGE_PAGES, MEM_HUGE_PAGES));	/* pinned */
	mm_pin_use(&m, 1, 0, 1234);
	STEP(mm_write(&m, B, MEM_HUGE_PAGES + 5, 8, 5));	/* a part of what is shared */
	STEP(mm_write(&m, C, 3 * MEM_HUGE_PAGES + 5, 8, 6));
	STEP(mm_write(&m, A, 5, 8, 7));
	STEP(mm_write(&m, C, 905, 8, 8));
}

static void punches(void)
{
	STEP(mm_dedupe(&m, C, 7, B, 20, 3));
	STEP(mm_dedupe(&m, C, 8, B, 21, 4));
	STEP(mm_punch(&m, A, MEM_HUGE_PAGES + 100, 7));	/* beside a pinned page */
	STEP(mm_punch(&m, A, 9, 2));
	STEP(mm_write(&m, A, 9, 0, 1));
	STEP(mm_punch(&m, C, 3 * MEM_HUGE_PAGES, MEM_HUGE_PAGES));
	mm_pin_drop(&m, 1);
	STEP(mm_punch(&m, A, MEM_HUGE_PAGES + 300, 300));
	STEP(mm_resize(&m, B, MEM_HUGE_PAGES + 200));
	STEP(mm_resize(&m, B, MM_PAGES));
	STEP(mm_write(&m, B, MEM_HUGE_PAGES + 300, 0, 77));
	STEP(mm_scan(&m, 24, MEM_SCAN_RANDOM, true));
	STEP(mm_write(&m, C, 8, 0, 5));		/* what was merged */
}

/* Memory is back: nothing fails any more. */
static void again(void)
{
	int file;
	u64 i;

	kapi_fail_nth(0);
	mf_fail_nth(0, 0);
	mem_pool_refill(&m.pool);
	m.refused = m.may_fail = false;
	for (file = A; file <= C; file++)
		for (i = 0; i < m.file[file].file.pages; i += 61)
			if (mm_write(&m, file, i, 16, i) || mm_pwrite(&m, file, i + 1, i))
				mm_violation(&m, "a write fails although memory is back", file, i);
	mm_clone(&m, A, 0, C, 0, 2 * MEM_HUGE_PAGES);
	mm_punch(&m, A, 3, 1000);
	mm_scan_to_end(&m);
	mm_check_all(&m);
}

/* False: it could not begin. */
static bool live(const struct mm_config *config)
{
	checked = false;
	if (mm_init(&m, config))
		return false;
	m.expect_refusal = true;
	files();
	if (all_files()) {
		accesses();
		clones();
		punches();
		again();
	}
	mm_fini(&m);
	return true;
}

static bool is_well(const char *what, unsigned long n)
{
	if (!m.violations && !kapi_live() && !kapi_warnings() && !mf_pages())
		return true;
	printf("# %s %lu: %s, %lu alive, %lu frames, %lu warnings\n", what, n, m.first, kapi_live(),
	       mf_pages(), kapi_warnings());
	return false;
}

/* times 0: the seam's allocations; else the host's, so many of them. */
static bool refuse_each(const struct mm_config *config, unsigned long times, unsigned long *total)
{
	unsigned long n, before = times ? mf_allocs() : kapi_allocs();
	bool ok = true;

	live(config);
	*total = (times ? mf_allocs() : kapi_allocs()) - before;
	ok = is_well("nothing refused", 0);
	for (n = 1; n <= *total && ok; n++) {
		if (times)
			mf_fail_nth(n, times);
		else
			kapi_fail_nth(n);
		live(config);
		ok = is_well(times ? "frame" : "allocation", n);
	}
	kapi_fail_nth(0);
	mf_fail_nth(0, 0);
	return ok;
}

int main(void)
{
	static const struct mm_config configs[] = {
		{ "4 KiB", false, 8, 0, 0, 0 },
		{ "2 MiB", true, 8, 0, 0, 0 },
	};
	static const struct { const char *what; unsigned long times; } ways[] = {
		{ "each allocation refused", 0 },
		{ "each frame refused", 1 },
		{ "all frames from each on refused", 1000000 },
	};
	unsigned int i, j, nr = 0;
	unsigned long total;

	printf("1..%zu\n", ARRAY_SIZE(configs) * ARRAY_SIZE(ways));
	for (i = 0; i < ARRAY_SIZE(configs); i++) {
		for (j = 0; j < ARRAY_SIZE(ways); j++) {
			bool ok = refuse_each(&configs[i], ways[j].times, &total);

			printf("%sok %u - %s: %s (%lu)\n", ok ? "" : "not ", ++nr, configs[i].name,
			       ways[j].what, total);
		}
	}
	return 0;
}
