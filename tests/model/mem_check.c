// SPDX-License-Identifier: GPL-2.0
/* The machine of mem_machine.h: everything it can be held against at rest. */
#include <stdio.h>

#include "kapi_test.h"
#include "tests/model/mem_machine.h"

/* What mem_file_page() says of a page. */
struct page_says {
	enum mem_page_kind kind;
	unsigned long refs;
	struct mem_frame *frame;
	bool huge;
};

static struct page_says ask(struct mm *m, int file, u64 index)
{
	struct page_says s = { 0 };

	s.kind = mem_file_page(&m->file[file].file, index, &s.huge, &s.refs, &s.frame);
	return s;
}

/* ----------------------------------------------------------------- mappings -- */

static bool is_zero_frame(struct mm *m, unsigned long n)
{
	return n == mf_number(m->pool.zero) ||
	       (m->pool.huge_zero && (n & ~511ul) == mf_number(m->pool.huge_zero));
}

static void check_mapping(struct mm *m, const struct mm_vma *v, u64 index, u32 entry)
{
	unsigned long n = (entry & ~MM_PTE_WRITE) - 1;
	struct page_says s;

	if (index >= m->file[v->file].file.pages) {
		if (!mf_info(mf_at(n))->huge || is_zero_frame(m, n))
			mm_violation(m, "a page beyond the end is mapped", v->file, index);
		return;
	}
	s = ask(m, v->file, index);
	if (s.kind == MEM_PAGE_HOLE || s.kind == MEM_PAGE_ZERO) {
		if (!is_zero_frame(m, n) || (entry & MM_PTE_WRITE))
			mm_violation(m, "a hole or zero page is mapped to a frame", v->file, index);
		return;
	}
	if (mf_number(s.frame) != n)
		mm_violation(m, "a page is mapped to another frame than its own", v->file, index);
	else if ((entry & MM_PTE_WRITE) && s.refs > 1)
		mm_violation(m, "a shared frame is mapped for writing", v->file, index);
}

static void check_mappings(struct mm *m, const struct mm_vma *v)
{
	u64 i;

	for (i = 0; i < MM_PAGES; i++) {
		u32 pmd = v->pmd[i / MEM_HUGE_PAGES];

		if (pmd && v->pte[i])
			mm_violation(m, "the model maps a page twice", v->file, i);
		if (pmd)
			check_mapping(m, v, i, pmd + i % MEM_HUGE_PAGES);
		else if (v->pte[i])
			check_mapping(m, v, i, v->pte[i]);
	}
}

void mm_check(struct mm *m)
{
	bool quiet = m->quiet;
	const char *what;
	int i;

	m->quiet = true;
	what = mem_audit(&m->pool);
	if (what)
		mm_violation(m, what, -1, 0);
	for (i = 0; i < MM_VMAS; i++)
		if (m->vma[i].live)
			check_mappings(m, &m->vma[i]);
	m->quiet = quiet;
}

/* ------------------------------------------------------------------- counts -- */

/* Who names each frame, by asking for every page of every file. */
static u32 named[MF_FRAMES];
static int named_by[MF_FRAMES];

static void count_page(struct mm *m, int file, u64 index)
{
	struct mm_file *f = &m->file[file];
	struct page_says s = ask(m, file, index);
	unsigned long n;

	if (f->hole[index] && s.kind != MEM_PAGE_HOLE)
		mm_violation(m, "a page that nobody touched is no hole", file, index);
	if (s.kind < MEM_PAGE_PRIVATE)
		return;
	n = mf_number(s.frame);
	if (is_zero_frame(m, n))
		mm_violation(m, "a page names the zero frame", file, index);
	if (mf_info(s.frame)->huge != s.huge)
		mm_violation(m, "a frame's size is not what is said", file, index);
	if (named[n]++ && m->file[named_by[n]].group != f->group)
		mm_violation(m, "files of two groups share a frame", file, index);
	if (named[n] > 1 && (f->file.never_share || m->file[named_by[n]].file.never_share))
		mm_violation(m, "a page of a file is shared that must not be", file, index);
	named_by[n] = file;
}

/* With all frames counted. */
static void check_file(struct mm *m, int file)
{
	struct mm_file *f = &m->file[file];
	u64 i, present = 0, zero = 0, huge = 0, shared = 0, parts = 0, said, rest;

	for (i = 0; i < f->file.pages; i++) {
		struct page_says s = ask(m, file, i);
		unsigned long refs;

		zero += s.kind == MEM_PAGE_ZERO;
		if (s.kind < MEM_PAGE_PRIVATE)
			continue;
		refs = named[mf_number(s.frame)];
		present++;
		shared += refs > 1;
		parts += 1024 / refs;
		huge += s.huge && i % MEM_HUGE_PAGES == 0;
		if ((s.refs ? s.refs : 1) != refs)
			mm_violation(m, "a frame is named by others than its count says", file, i);
		if (refs > 1 && s.kind != MEM_PAGE_SHARED)
			mm_violation(m, "a shared page is called private", file, i);
	}
	/* A pinned 2 MiB frame stays whole when the end moves into it. */
	rest = i % MEM_HUGE_PAGES && ask(m, file, i - 1).huge ?
	       MEM_HUGE_PAGES - i % MEM_HUGE_PAGES : 0;
	said = mem_file_proportional(&f->file);
	if (said + present < parts || said > parts + present + rest * 1024)
		mm_violation(m, "the proportional share is wrong", file, said);
	said = atomic64_read(&f->file.stat.present);
	if (said != present && said != present + rest)
		mm_violation(m, "the count of present pages is wrong", file, present);
	if ((u64)atomic64_read(&f->file.stat.zero) != zero)
		mm_violation(m, "the count of zero pages is wrong", file, zero);
	if ((u64)atomic64_read(&f->file.stat.huge) != huge)
		mm_violation(m, "the count of 2 MiB frames is wrong", file, huge);
	if ((u64)atomic64_read(&f->file.stat.shared) < shared ||
	    (u64)atomic64_read(&f->file.stat.shared) > said)
		mm_violation(m, "the count of shared pages is wrong", file, shared);
}

/* Data and holes as mem_file_page() tells them. */
static void check_seek(struct mm *m, int file)
{
	struct mem_file *f = &m->file[file].file;
	u64 start = f->pages ? mm_random(m, f->pages) : 0, i;
	bool data = mm_random(m, 2);

	for (i = start; i < f->pages; i++)
		if ((ask(m, file, i).kind != MEM_PAGE_HOLE) == data)
			break;
	if (mem_file_seek(f, start, data) != i)
		mm_violation(m, "seeking ends at the wrong page", file, start);
}

static void check_counts(struct mm *m)
{
	u64 frames = 0, expected;
	unsigned long n;
	int i;

	for (n = 0; n < MF_FRAMES; n++) {
		bool huge = named[n] && mf_info(mf_at(n))->huge;

		frames += huge ? (n % MEM_HUGE_PAGES ? 0 : MEM_HUGE_PAGES) : named[n] != 0;
	}
	if ((u64)atomic64_read(&m->pool.pages) != frames)
		mm_violation(m, "the pool's count of pages is too large, or too small, by", -1,
			     atomic64_read(&m->pool.pages) - frames);
	expected = frames + m->pool.reserve.nr + 1 + (m->pool.huge_zero ? MEM_HUGE_PAGES : 0);
	if (mf_pages() - mf_given_up() != expected)
		mm_violation(m, "frames that nobody names are kept", -1,
			     mf_pages() - mf_given_up() - expected);
	if (m->config.max_pages && frames + m->pool.reserve.nr > m->config.max_pages)
		mm_violation(m, "the pool is larger than its limit", -1, frames);
	for (i = 0; i < MM_FILES; i++)
		if (m->file[i].live)
			check_file(m, i);
}

void mm_check_all(struct mm *m)
{
	bool quiet = m->quiet;
	int i;
	u64 p;

	m->quiet = true;
	mm_check(m);
	memset(named, 0, sizeof(named));
	for (i = 0; i < MM_FILES; i++)
		for (p = 0; m->file[i].live && p < m->file[i].file.pages; p++)
			count_page(m, i, p);
	check_counts(m);
	for (i = 0; i < MM_FILES; i++) {
		if (!m->file[i].live)
			continue;
		mm_check_bytes(m, i);
		check_seek(m, i);
	}
	mf_check();
	m->quiet = quiet;
}
