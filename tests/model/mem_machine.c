// SPDX-License-Identifier: GPL-2.0
/* The machine of mem_machine.h: the other processors, host, files. */
#include <stdio.h>
#include <sys/mman.h>

#include "mem/scan.h"
#include "tests/model/mem_process.h"
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

/* ----------------------------------------------------- the other processors -- */

/* Every mapping of where the frame was last seen: read it, write it if it is writable. */
static void poke_around(struct mm *m, int file, u64 index)
{
	int i;

	if (file < 0 || index >= MM_PAGES)
		return;
	for (i = 0; i < MM_VMAS; i++)
		if (m->vma[i].live && m->vma[i].file == file &&
		    !mm_touch(m, i, index, 8 * mm_random(m, 4), true, m->rng))
			mm_touch(m, i, index, 8 * mm_random(m, 4), false, 0);
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

void mm_others_run(struct mm *m, struct mem_frame *frame)
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

	mm_others_run(m, NULL);
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

	mm_others_run(m, NULL);
	return !m->short_of_memory || !chance(m, m->config.refuse_pct);
}

static void op_free(struct mem_pool *pool, struct mem_frame *frame, unsigned int order)
{
	mm_others_run(container_of(pool, struct mm, pool), frame);
	mf_free(frame, order);
}

static void *op_data(struct mem_frame *frame)
{
	mm_others_run(now, frame);
	return mf_data(frame);
}

static void op_get(struct mem_frame *frame)
{
	mf_get(frame);
	mm_others_run(now, frame);
}

static void op_put(struct mem_frame *frame)
{
	mm_others_run(now, frame);
	mf_put(frame);
}

static void no_deadlock(struct mem_frame *frame)
{
	mm_finish(now, frame, -1);
	if (!mf_info(frame)->locked)
		return;
	fprintf(stderr, "# frame %lu: whoever waits for its lock holds it\n", mf_number(frame));
	abort();
}

static void op_lock(struct mem_frame *frame)
{
	mm_others_run(now, frame);
	if (mf_info(frame)->count < 2)
		mm_violation(now, "a frame is locked without a reference", -1, mf_number(frame));
	no_deadlock(frame);
	mf_lock(frame);
}

static void op_unlock(struct mem_frame *frame)
{
	mf_unlock(frame);
	mm_others_run(now, frame);
}

static void op_settle(struct mem_frame *frame)
{
	mm_others_run(now, frame);
	if (!mf_info(frame)->owned)
		mm_violation(now, "a frame is settled that is not ours", -1, mf_number(frame));
	no_deadlock(frame);
	mm_others_run(now, frame);
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
			mm_violation(now, "a frame is settled that is not ours", -1,
				     mf_number(frame));
		no_deadlock(frame);
	}
	mm_others_run(now, NULL);
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
		mm_others_run(m, NULL);
		if (!m->quiet && !m->in_others && chance(m, m->config.others_pct)) {
			m->in_others = true;
			poke_around(m, f - m->file, first + mm_random(m, min_t(u64, nr, MM_PAGES)));
			m->in_others = false;
		}
		mm_zap(m, &m->vma[i], first,
		       min_t(u64, nr, MM_PAGES - min_t(u64, first, MM_PAGES)));
	}
	mm_others_run(m, NULL);
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
		mm_others_run(m, NULL);
		mm_write_protect(m, &m->vma[i], first, nr);
	}
	mm_others_run(m, NULL);
	return true;
}

static bool op_pinned(struct mem_frame *frame)
{
	bool pinned = mf_pinned(mf_head(frame));

	mm_others_run(now, frame);
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
	mm_others_run(now, NULL);
	return pinned;
}

static bool op_dissolve(struct mem_pool *pool, struct mem_frame *huge)
{
	struct mm *m = container_of(pool, struct mm, pool);

	mm_others_run(m, huge);
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
	mm_others_run(now, NULL);
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
