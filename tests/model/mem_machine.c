// SPDX-License-Identifier: GPL-2.0
/* The machine of mem_machine.h: host, files, processes. */
#include <stdio.h>
#include <sys/mman.h>

#include "kapi_test.h"
#include "mem/scan.h"
#include "tests/model/mem_machine.h"
#include "tests/model/random.h"

static struct mm *now;		/* the host's operations do not say whose they are */

u32 mm_random(struct mm *m, u32 below)
{
	return (u32)random_word(&m->rng) % below;
}

static bool chance(struct mm *m, unsigned int pct)
{
	return pct && mm_random(m, 100) < pct;
}

void mm_violation(struct mm *m, const char *what, int file, u64 index)
{
	if (!m->violations++)
		snprintf(m->first, sizeof(m->first), "%s (file %d page %llu)", what, file, index);
}

static void frame_report(const char *what, unsigned long frame)
{
	if (!now->violations++)
		snprintf(now->first, sizeof(now->first), "%s (frame %lu)", what, frame);
}

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

/* Of one mapping: [first, first + nr). */
static void zap(struct mm *m, struct mm_vma *v, u64 first, u64 nr)
{
	u64 c, i, last = min_t(u64, first + nr, MM_PAGES);

	for (c = first / MEM_HUGE_PAGES; c * MEM_HUGE_PAGES < last; c++)
		if (v->pmd[c])
			zap_pmd(v, c, !mm_random(m, 4));
	for (i = first; i < last; i++)
		zap_pte(v, i);
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

/* Those that keep the frame locked, or of one mapping, go on. */
static void finish(struct mm *m, struct mem_frame *frame, int vma)
{
	int i;

	for (i = 0; i < MM_PENDING; i++)
		if (m->pending[i].live && (frame ? mf_head(m->pending[i].frame) == mf_head(frame) :
					   m->pending[i].vma == vma))
			mm_fault_end(m, i);
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

/* What a processor does without a fault. False: it would fault. */
static bool touch(struct mm *m, int vma, u64 index, unsigned int offset, bool write, u64 value)
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

/* ----------------------------------------------------- the other processors -- */

/* Every mapping of where the frame was last seen: read it, write it if it is writable. */
static void poke_around(struct mm *m, int file, u64 index)
{
	int i;

	if (file < 0 || index >= MM_PAGES)
		return;
	for (i = 0; i < MM_VMAS; i++)
		if (m->vma[i].live && m->vma[i].file == file &&
		    !touch(m, i, index, 8 * mm_random(m, 4), true, m->rng))
			touch(m, i, index, 8 * mm_random(m, 4), false, 0);
}

static void process_exits(struct mm *m)
{
	int i = mm_random(m, MM_VMAS), file = mm_random(m, MM_FILES);

	if (!m->vma[i].live || m->vma[i].busy || mm_random(m, 8))
		return;
	mm_vma_del(m, i);
	if (!mm_random(m, 4) && mm_file(m, file))
		mm_file_unlink(m, file);
}

static void one_of_others(struct mm *m, struct mem_frame *frame)
{
	int vma = mm_random(m, MM_VMAS);
	struct mf_info *info;

	switch (mm_random(m, 8)) {
	case 0:
		return mm_fault_end(m, mm_random(m, MM_PENDING));
	case 1:
		return mm_pin_use(m, mm_random(m, MM_PINS), 8 * mm_random(m, 512), m->rng);
	case 2:
		if (m->vma[vma].live)
			poke_around(m, m->vma[vma].file,
				    mm_random(m, MM_CHUNKS) * 512 + mm_random(m, 24));
		return;
	case 3:
		return process_exits(m);
	}
	info = frame ? mf_info(frame) : NULL;
	if (!info || !info->count)
		return;
	poke_around(m, info->file, info->huge ?
		    (info->index & ~511ull) + (mf_number(frame) & 511) : info->index);
}

/* What happens elsewhere while mem/ is between two instructions. */
static void others_run(struct mm *m, struct mem_frame *frame)
{
	m->host_ops++;
	if (m->quiet || m->in_others || !chance(m, m->config.others_pct))
		return;
	m->in_others = true;
	one_of_others(m, frame);
	m->in_others = false;
}

/* --------------------------------------------------------------------- host -- */

static struct mem_frame *op_alloc(struct mem_pool *pool, unsigned int order, enum mem_charge who)
{
	struct mm *m = container_of(pool, struct mm, pool);
	struct mem_frame *frame = NULL;

	others_run(m, NULL);
	if (!m->short_of_memory || !chance(m, m->config.refuse_pct))
		frame = mf_alloc(order);
	if (!frame)
		m->refused = true;
	if (!frame && !order)
		m->may_fail = true;
	return frame;
}

/* Now and then it was only the caller who may not have more. */
static bool op_starved(struct mem_pool *pool)
{
	struct mm *m = container_of(pool, struct mm, pool);

	others_run(m, NULL);
	return !m->short_of_memory || !chance(m, m->config.refuse_pct);
}

static void op_free(struct mem_pool *pool, struct mem_frame *frame, unsigned int order)
{
	others_run(container_of(pool, struct mm, pool), frame);
	mf_free(frame, order);
}

static void *op_data(struct mem_frame *frame)
{
	others_run(now, frame);
	return mf_data(frame);
}

static void op_get(struct mem_frame *frame)
{
	mf_get(frame);
	others_run(now, frame);
}

static void op_put(struct mem_frame *frame)
{
	others_run(now, frame);
	mf_put(frame);
}

static void no_deadlock(struct mem_frame *frame)
{
	finish(now, frame, -1);
	if (!mf_info(frame)->locked)
		return;
	fprintf(stderr, "# frame %lu: whoever waits for its lock holds it\n", mf_number(frame));
	abort();
}

static void op_lock(struct mem_frame *frame)
{
	others_run(now, frame);
	if (mf_info(frame)->count < 2)
		mm_violation(now, "a frame is locked without a reference", -1, mf_number(frame));
	no_deadlock(frame);
	mf_lock(frame);
}

static void op_unlock(struct mem_frame *frame)
{
	mf_unlock(frame);
	others_run(now, frame);
}

static void op_settle(struct mem_frame *frame)
{
	others_run(now, frame);
	if (!mf_info(frame)->owned)
		mm_violation(now, "a frame is settled that is not ours", -1, mf_number(frame));
	no_deadlock(frame);
	others_run(now, frame);
}

static struct mem_frame *frame_in(u64 word)
{
	return (struct mem_frame *)(unsigned long)(word & ~MEM_FRAME_MARKS);
}

static void op_settle_all(const u64 *words, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		struct mem_frame *frame = frame_in(words[i]);

		if (!frame)
			continue;
		if (!mf_info(frame)->owned)
			mm_violation(now, "a frame is settled that is not ours", -1, mf_number(frame));
		no_deadlock(frame);
	}
	others_run(now, NULL);
}

static void op_unmap(struct mem_file *file, u64 first, u64 nr)
{
	struct mm_file *f = container_of(file, struct mm_file, file);
	struct mm *m = now;
	int i;

	if (!nr)
		mm_violation(m, "nothing is unmapped", f - m->file, first);
	for (i = 0; i < MM_VMAS; i++) {
		if (!m->vma[i].live || &m->file[m->vma[i].file] != f)
			continue;
		others_run(m, NULL);
		if (!m->quiet && !m->in_others && chance(m, m->config.others_pct)) {
			m->in_others = true;
			poke_around(m, f - m->file, first + mm_random(m, min_t(u64, nr, MM_PAGES)));
			m->in_others = false;
		}
		zap(m, &m->vma[i], first, min_t(u64, nr, MM_PAGES - min_t(u64, first, MM_PAGES)));
	}
	others_run(m, NULL);
}

/* Of one mapping. */
static void write_protect(struct mm *m, struct mm_vma *v, u64 first, u64 nr)
{
	u64 i, last = min_t(u64, first + nr, MM_PAGES);

	for (i = first; i < last; i++) {
		if (v->pmd[i / MEM_HUGE_PAGES])
			mm_violation(m, "a 2 MiB mapping is to be protected", v->file, i);
		v->pte[i] &= ~MM_PTE_WRITE;
	}
}

/* Now and then it prefers to unmap. */
static bool op_protect(struct mem_file *file, u64 first, u64 nr)
{
	struct mm_file *f = container_of(file, struct mm_file, file);
	struct mm *m = now;
	int i;

	if (!nr)
		mm_violation(m, "nothing is protected", f - m->file, first);
	if (!m->quiet && !m->in_others && chance(m, 10)) {
		op_unmap(file, first, nr);
		return false;
	}
	for (i = 0; i < MM_VMAS; i++) {
		if (!m->vma[i].live || &m->file[m->vma[i].file] != f)
			continue;
		others_run(m, NULL);
		write_protect(m, &m->vma[i], first, nr);
	}
	others_run(m, NULL);
	return true;
}

static bool op_pinned(struct mem_frame *frame)
{
	bool pinned = mf_pinned(mf_head(frame));

	others_run(now, frame);
	return pinned;
}

static u64 op_pinned_among(const u64 *words, u32 nr)
{
	u64 pinned = 0;
	u32 i;

	if (nr > 64)
		mm_violation(now, "too many frames are asked about", -1, nr);
	for (i = 0; i < nr; i++)
		if (frame_in(words[i]))
			pinned |= (u64)mf_pinned(frame_in(words[i])) << i;
	others_run(now, NULL);
	return pinned;
}

static bool op_dissolve(struct mem_pool *pool, struct mem_frame *huge)
{
	struct mm *m = container_of(pool, struct mm, pool);

	others_run(m, huge);
	return !(m->short_of_memory && chance(m, m->config.refuse_pct)) && mf_dissolve(huge);
}

static bool op_file_get(struct mem_file *file)
{
	struct mm_file *f = container_of(file, struct mm_file, file);

	if (!f->live)
		mm_violation(now, "a reference to a file that is gone", f - now->file, 0);
	if (f->going)
		return false;
	f->refs++;
	now->file_held = f - now->file;
	return true;
}

static void op_file_put(struct mem_file *file)
{
	others_run(now, NULL);
	mm_file_put(now, container_of(file, struct mm_file, file) - now->file);
}

static void op_event(struct mem_pool *pool, enum mem_event event)
{
	container_of(pool, struct mm, pool)->events[event]++;
}

static u64 op_now_ns(void)
{
	return now->clock += 1000;
}

static u64 op_random(void)
{
	return (u64)mm_random(now, U32_MAX) << 32 | mm_random(now, U32_MAX);
}

static const struct mem_host_ops host_ops = {
	.alloc = op_alloc, .starved = op_starved, .free = op_free, .data = op_data,
	.poisoned = mf_poisoned, .copy = mf_copy, .get = op_get, .put = op_put,
	.lock = op_lock, .unlock = op_unlock, .settle = op_settle, .settle_all = op_settle_all,
	.unmap = op_unmap, .protect = op_protect, .pinned = op_pinned,
	.pinned_among = op_pinned_among, .dissolve = op_dissolve, .file_get = op_file_get,
	.file_put = op_file_put, .event = op_event, .now_ns = op_now_ns, .run_ns = op_now_ns,
	.random = op_random,
};

/* -------------------------------------------------------------------- files -- */

struct mm_file *mm_file(struct mm *m, int file)
{
	return m->file[file].live && m->file[file].linked ? &m->file[file] : NULL;
}

int mm_file_new(struct mm *m, int file, int group, u64 pages, bool never_share)
{
	struct mm_file *f = &m->file[file];
	u8 *bytes = f->bytes;
	int r;

	if (f->live)
		return -EEXIST;
	if (!bytes)
		bytes = mmap(NULL, MM_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	else
		madvise(bytes, MM_PAGES * PAGE_SIZE, MADV_DONTNEED);
	memset(f, 0, sizeof(*f));
	memset(f->hole, true, sizeof(f->hole));
	f->bytes = bytes;
	f->group = group;
	f->file.pages = pages;
	f->file.never_share = never_share;
	r = mem_file_init(&f->file, &m->pool, m->group[group]);
	if (r)
		return r;
	r = mem_file_resize(&f->file, pages);
	if (r) {
		mem_file_fini(&f->file);
		return r;
	}
	f->file.never_share = never_share;
	f->live = f->linked = true;
	f->refs = 1;
	return 0;
}

void mm_file_get(struct mm *m, int file)
{
	m->file[file].refs++;
}

void mm_file_put(struct mm *m, int file)
{
	struct mm_file *f = &m->file[file];
	int i;

	if (f->refs <= 0)
		mm_violation(m, "a reference too many to a file is dropped", file, 0);
	if (f->refs == 1 && m->in_others) {
		f->going = f->ends = true;	/* another thread's: it would wait for our locks */
		return;
	}
	if (--f->refs)
		return;
	f->going = true;
	for (i = 0; i < MM_PINS; i++)
		if (m->pin[i].file == file)
			m->pin[i].valid = false;
	mem_file_fini(&f->file);
	f->live = false;
}

void mm_files_end(struct mm *m)
{
	int i;

	for (i = 0; i < MM_FILES; i++) {
		if (m->file[i].ends) {
			m->file[i].ends = false;
			mm_file_put(m, i);
		}
	}
}

void mm_file_unlink(struct mm *m, int file)
{
	m->file[file].linked = false;
	mm_file_put(m, file);
}

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
	finish(m, NULL, vma);
	zap(m, v, v->first, v->nr);
	zap(m, v, 0, MM_PAGES);		/* the rest of split ones */
	v->live = false;
	mm_file_put(m, v->file);
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
		others_run(m, p->frame);
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
		if (touch(m, vma, index, offset, write, value))
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

/* --------------------------------------------------------------------- life -- */

static void end_pool(struct mm *m)
{
	int i;

	for (i = 0; i < MM_GROUPS; i++)
		if (m->group[i])
			mem_group_put(m->group[i]);
	if (atomic64_read(&m->pool.metadata_bytes))
		mm_violation(m, "metadata is left", -1, atomic64_read(&m->pool.metadata_bytes));
	mem_scan_fini(&m->pool);
	mem_pool_fini(&m->pool);
}

int mm_init(struct mm *m, const struct mm_config *config)
{
	u8 *bytes[MM_FILES];
	int i, r;

	for (i = 0; i < MM_FILES; i++)
		bytes[i] = m->file[i].bytes;
	memset(m, 0, sizeof(*m));
	for (i = 0; i < MM_FILES; i++)
		m->file[i].bytes = bytes[i];
	now = m;
	m->rng = 0x9e3779b97f4a7c15ull;
	m->config = *config;
	mf_reset(frame_report);
	r = mem_pool_init(&m->pool, &host_ops, config->max_pages, config->reserve, config->huge);
	if (r)
		return r;
	r = mm_scan_init(m);
	for (i = 0; i < MM_GROUPS && !r; i++) {
		m->group[i] = mem_group_new(&m->pool);
		r = m->group[i] ? 0 : -ENOMEM;
	}
	if (r)
		end_pool(m);
	return r;
}

void mm_fini(struct mm *m)
{
	int i;

	m->quiet = true;
	mm_files_end(m);
	mm_fault_end_all(m);
	for (i = 0; i < MM_VMAS; i++)
		mm_vma_del(m, i);
	for (i = 0; i < MM_FILES; i++)
		if (mm_file(m, i))
			mm_file_unlink(m, i);
	for (i = 0; i < MM_PINS; i++)
		mm_pin_drop(m, i);
	for (i = 0; i < MM_FILES; i++)
		if (m->file[i].live)
			mm_violation(m, "somebody still holds a file", i, m->file[i].refs);
	if (atomic64_read(&m->pool.pages))
		mm_violation(m, "pages are counted that no file has", -1,
			     atomic64_read(&m->pool.pages));
	end_pool(m);
	if (mf_pages())
		mm_violation(m, "frames are left", -1, mf_pages());
}
