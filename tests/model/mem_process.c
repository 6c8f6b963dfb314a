// SPDX-License-Identifier: GPL-2.0
/* The machine of mem_machine.h: what processes have mapped, their faults and accesses. */
#include "kapi_test.h"
#include "tests/model/mem_process.h"

/* ------------------------------------------------------- page table entries -- */

/* What maps a page, or 0; a 2 MiB entry as that of its part. */
static u32 entry_of(const struct mm_vma *v, u64 index)
{
	u32 pmd = v->pmd[index / MEM_HUGE_PAGES];

	return pmd ? pmd + index % MEM_HUGE_PAGES : v->pte[index];
}

static struct mem_frame *frame_of(u32 entry)
{
	return mf_at((entry & ~MM_PTE_WRITE) - 1);
}

static void zap_pte(struct mm_vma *v, u64 index)
{
	if (!v->pte[index])
		return;
	mf_unmap(frame_of(v->pte[index]));
	v->pte[index] = 0;
}

/* With @split the other parts stay mapped one by one; the kernel drops them. */
static void zap_pmd(struct mm_vma *v, u64 chunk, bool split)
{
	u32 pmd = v->pmd[chunk];
	u64 i;

	v->pmd[chunk] = 0;
	for (i = 0; split && i < MEM_HUGE_PAGES; i++) {
		v->pte[chunk * MEM_HUGE_PAGES + i] = pmd + i;
		mf_map(frame_of(pmd + i));
	}
	mf_unmap(frame_of(pmd));
}

void mm_zap(struct mm *m, struct mm_vma *v, u64 first, u64 nr)
{
	u64 c, i, last = min_t(u64, first + nr, MM_PAGES);

	for (c = first / MEM_HUGE_PAGES; c * MEM_HUGE_PAGES < last; c++)
		if (v->pmd[c])
			zap_pmd(v, c, !mm_random(m, 4));
	for (i = first; i < last; i++)
		zap_pte(v, i);
}

void mm_write_protect(struct mm *m, struct mm_vma *v, u64 first, u64 nr)
{
	u64 i, last = min_t(u64, first + nr, MM_PAGES);

	for (i = first; i < last; i++) {
		if (v->pmd[i / MEM_HUGE_PAGES])
			mm_violation(m, "a 2 MiB mapping is to be protected", v->file, i);
		v->pte[i] &= ~MM_PTE_WRITE;
	}
}

static bool is_chunk_empty(const struct mm_vma *v, u64 chunk)
{
	u64 i;

	for (i = chunk * MEM_HUGE_PAGES; i < (chunk + 1) * MEM_HUGE_PAGES; i++)
		if (v->pte[i])
			return false;
	return true;
}

static bool takes_pmd(struct mm *m, const struct mm_vma *v, const struct mm_pending *p)
{
	u64 start = p->index & ~511ull;

	return mf_info(p->frame)->huge && v->congruent && start >= v->first &&
	       start + MEM_HUGE_PAGES <= v->first + v->nr &&
	       is_chunk_empty(v, start / MEM_HUGE_PAGES) && mm_random(m, 8);
}

/* Under the frame's lock. Whatever came into the page table meanwhile stays. */
static void install(struct mm *m, struct mm_vma *v, const struct mm_pending *p)
{
	u32 flags = p->write ? MM_PTE_WRITE : 0, n = mf_number(p->frame);
	u64 chunk = p->index / MEM_HUGE_PAGES;

	if (p->old) {
		if (v->pte[p->index] == p->old)
			v->pte[p->index] |= MM_PTE_WRITE;
		return;
	}
	if (v->pmd[chunk] || v->pte[p->index])
		return;
	mf_map(p->frame);
	mf_info(p->frame)->file = v->file;
	mf_info(p->frame)->index = p->index;
	if (takes_pmd(m, v, p))
		v->pmd[chunk] = (n - p->index % MEM_HUGE_PAGES + 1) | flags;
	else
		v->pte[p->index] = (n + 1) | flags;
}

void mm_fault_end(struct mm *m, int pending)
{
	struct mm_pending *p = &m->pending[pending];

	if (!p->live)
		return;
	p->live = false;
	install(m, &m->vma[p->vma], p);
	mf_unlock(p->frame);
	mf_put(p->frame);
}

void mm_fault_end_all(struct mm *m)
{
	int i;

	for (i = 0; i < MM_PENDING; i++)
		mm_fault_end(m, i);
}

void mm_finish(struct mm *m, struct mem_frame *frame, int vma)
{
	int i;

	for (i = 0; i < MM_PENDING; i++)
		if (m->pending[i].live && (frame ? mf_head(m->pending[i].frame) == mf_head(frame) :
					   m->pending[i].vma == vma))
			mm_fault_end(m, i);
}

/* ---------------------------------------------------------------- mappings -- */

void mm_vma_new(struct mm *m, int vma, int file, u64 first, u64 nr, bool writable, bool congruent)
{
	struct mm_vma *v = &m->vma[vma];

	if (v->live || !mm_file(m, file) || first >= MM_PAGES)
		return;
	memset(v, 0, sizeof(*v));
	mm_file_get(m, file);
	v->live = true;
	v->file = file;
	v->first = first;
	v->nr = min_t(u64, nr, MM_PAGES - first);
	v->writable = writable;
	v->congruent = congruent;
}

void mm_vma_del(struct mm *m, int vma)
{
	struct mm_vma *v = &m->vma[vma];

	if (!v->live || v->busy)
		return;
	mm_finish(m, NULL, vma);
	mm_zap(m, v, v->first, v->nr);
	mm_zap(m, v, 0, MM_PAGES);		/* the rest of split ones */
	v->live = false;
	mm_file_put(m, v->file);
}

/* ----------------------------------------------------------------- contents -- */

static u64 *word(struct mm_file *f, u64 index, unsigned int offset)
{
	return (u64 *)(f->bytes + index * PAGE_SIZE + offset);
}

/* A write has reached the page. Every one is noted: operations may be under way. */
static void wrote(struct mm *m, int file, u64 index, unsigned int offset, u64 value)
{
	struct mm_file *f = &m->file[file];
	u64 *w = word(f, index, offset);

	if (f->hole[index])
		mm_violation(m, "a hole can be written", file, index);
	if (m->nr_raced < MM_RACED)
		m->raced[m->nr_raced++] = (struct mm_raced){ file, index, *w, value, offset };
	*w = value;
	f->full[index] = true;
	m->writes++;
}

bool mm_touch(struct mm *m, int vma, u64 index, unsigned int offset, bool write, u64 value)
{
	struct mm_vma *v = &m->vma[vma];
	u32 entry = entry_of(v, index);
	struct mm_file *f = &m->file[v->file];
	u8 *data;

	if (!entry || (write && !(entry & MM_PTE_WRITE)))
		return false;
	if (!mf_info(frame_of(entry))->owned) {
		mm_violation(m, "a page is mapped to a frame that was given up", v->file, index);
		return true;
	}
	if (index >= f->file.pages && mf_info(frame_of(entry))->huge)
		return false;	/* a pinned 2 MiB frame stayed whole when the file was cut */
	if (index >= f->file.pages && !m->in_others)
		mm_violation(m, "a page beyond the end is mapped", v->file, index);
	data = mf_data(frame_of(entry));
	m->reads++;
	if (*(u64 *)(data + offset) != *word(f, index, offset) ||
	    (!mm_random(m, 16) && memcmp(data, word(f, index, 0), PAGE_SIZE)))
		mm_violation(m, "a process reads something else than was written", v->file, index);
	if (write) {
		if (m->nr_raced == MM_RACED)
			return true;
		*(u64 *)(data + offset) = value;
		wrote(m, v->file, index, offset, value);
	}
	return true;
}

/* ------------------------------------------------------------------- access -- */

/* An error is all right only if something was refused, and of a few kinds. */
static int check_error(struct mm *m, int r, int file, u64 index)
{
	bool beyond = index >= m->file[file].file.pages;

	if (r == -ERANGE && beyond)
		return r;
	if (beyond)
		mm_violation(m, "a fault beyond the end is served", file, index);
	else if (r == -ERANGE || !mm_is_refusal(m, r))
		mm_violation(m, "a fault fails and nothing was refused", file, index);
	return r;
}

bool mm_is_refusal(struct mm *m, int r)
{
	if (r == -ENOSPC)
		return m->config.max_pages;
	return (r == -ENOMEM || r == -EBUSY) &&
	       (m->may_fail || m->short_of_memory || m->config.max_pages || kapi_failed() ||
		(m->expect_refusal && m->refused));
}

/* A write to the page, or memory for it, was granted: what may be no hole any more. */
void mm_not_hole(struct mm *m, int file, u64 first, u64 nr)
{
	u64 i = first, end = first + nr;

	if (m->config.huge) {
		i = round_down(i, MEM_HUGE_PAGES);
		end = min_t(u64, round_up(end, MEM_HUGE_PAGES), MM_PAGES);
	}
	for (; i < end; i++)
		m->file[file].hole[i] = false;
}

static void check_given(struct mm *m, struct mem_frame *frame, int file, u64 index, bool write)
{
	unsigned long refs = 0;
	struct mem_frame *there = NULL;
	bool huge;

	if (!mf_info(frame)->locked || mf_info(frame)->count < 2)
		mm_violation(m, "a frame is given out without lock or reference", file, index);
	if (write || m->file[file].file.never_share)
		mm_not_hole(m, file, index, 1);
	if (!write)
		return;
	if (mem_file_page(&m->file[file].file, index, &huge, &refs, &there) < MEM_PAGE_PRIVATE ||
	    there != frame || refs > 1)
		mm_violation(m, "the wrong or a shared frame is given out for writing", file,
			     index);
}

/* -EAGAIN: start over. 0: p has what is to be mapped. */
static int fault(struct mm *m, struct mm_pending *p, bool write)
{
	struct mm_vma *v = &m->vma[p->vma];
	struct mem_file *file = &m->file[v->file].file;
	u64 chunk = p->index / MEM_HUGE_PAGES;
	struct mem_frame *held;
	int r;

	if (v->pmd[chunk])
		zap_pmd(v, chunk, false);	/* for a write: it begins anew with small ones */
	/* Without page_mkwrite whatever is mapped into a writable area is writable. */
	if (file->never_share)
		write = v->writable;
	p->old = v->pte[p->index];
	p->write = write;
	if (p->old && file->never_share)
		mm_violation(m, "what is never shared was mapped read-only", v->file, p->index);
	if (p->old) {
		p->frame = frame_of(p->old);
		mf_get(p->frame);
	} else {
		r = mem_file_fault(file, p->index, write, &p->frame);
		if (r)
			return r;
		if (!write || file->never_share || !mm_random(m, 4)) {
			check_given(m, p->frame, v->file, p->index, write);
			return 0;
		}
		mf_unlock(p->frame);
		mm_others_run(m, p->frame);
	}
	held = mm_random(m, 2) ? mf_head(p->frame) : p->frame;	/* as Linux 6.12 and 6.1 have it */
	r = mem_file_mkwrite(file, p->index, p->frame);
	if (r == -EAGAIN)	/* who comes next, to read or to write, finds a page for it */
		mm_not_hole(m, v->file, p->index, 1);
	if (r)
		mf_put(held);
	else
		check_given(m, p->frame, v->file, p->index, true);
	return r;
}

static int fault_start(struct mm *m, int vma, u64 index, bool write, struct mm_pending **pending)
{
	struct mm_pending p = { .live = true, .vma = vma, .index = index };
	struct mm_vma *v = &m->vma[vma];
	int r, i;

	m->faults++;
	mm_file_get(m, v->file);
	v->busy++;
	r = fault(m, &p, write);
	v->busy--;
	for (i = 0; i < MM_PENDING && m->pending[i].live; i++)
		;
	if (i == MM_PENDING)
		mm_fault_end(m, i = mm_random(m, MM_PENDING));
	if (!r) {
		m->pending[i] = p;
		*pending = &m->pending[i];
	} else if (r != -EAGAIN) {
		r = check_error(m, r, v->file, index);
	}
	mm_file_put(m, v->file);
	return r;
}

static bool is_mapped_range(const struct mm_vma *v, u64 index)
{
	return v->live && index >= v->first && index < v->first + v->nr;
}

void mm_fault_begin(struct mm *m, int vma, u64 index, bool write)
{
	struct mm_vma *v = &m->vma[vma];
	struct mm_pending *p;
	u32 entry;

	if (!is_mapped_range(v, index) || (write && !v->writable))
		return;
	entry = entry_of(v, index);
	if (!entry || (write && !(entry & MM_PTE_WRITE)))
		fault_start(m, vma, index, write, &p);
}

/* exchange: an instruction that reads, then writes: it faults to read where nothing is mapped. */
static int access_page(struct mm *m, int vma, u64 index, unsigned int offset, bool write,
		       bool exchange, u64 value)
{
	struct mm_vma *v = &m->vma[vma];
	struct mm_pending *p;
	int tries, r;

	if (!is_mapped_range(v, index) || (write && !v->writable))
		return -EFAULT;
	for (tries = 0; tries < 32; tries++) {
		m->nr_raced = 0;
		if (mm_touch(m, vma, index, offset, write, value))
			return 0;
		r = fault_start(m, vma, index, exchange ? entry_of(v, index) : write, &p);
		if (r && r != -EAGAIN)
			return r;
		if (!r)
			mm_fault_end(m, p - m->pending);
	}
	mm_violation(m, "an access never goes through", v->file, index);
	return -EAGAIN;
}

int mm_exchange(struct mm *m, int vma, u64 index, unsigned int offset, u64 value)
{
	return access_page(m, vma, index, offset, true, true, value);
}

int mm_read(struct mm *m, int vma, u64 index, unsigned int offset)
{
	return access_page(m, vma, index, offset, false, false, 0);
}

int mm_write(struct mm *m, int vma, u64 index, unsigned int offset, u64 value)
{
	return access_page(m, vma, index, offset, true, false, value);
}
