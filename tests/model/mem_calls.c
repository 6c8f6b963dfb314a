// SPDX-License-Identifier: GPL-2.0
/* The machine of mem_machine.h: pins, the public calls beside their model. */
#include <stdio.h>

#include "kapi_test.h"
#include "tests/model/mem_machine.h"

static u64 *word(struct mm_file *f, u64 index, unsigned int offset)
{
	return (u64 *)(f->bytes + index * PAGE_SIZE + offset);
}

static void op_begin(struct mm *m, int file)
{
	mm_file_get(m, file);
	m->nr_raced = 0;
	m->may_fail = false;
}

static void op_end(struct mm *m, int file)
{
	mm_file_put(m, file);
	m->nr_raced = 0;
}

/* ------------------------------------------------------------- whole pages -- */

static void set_page(struct mm_file *f, u64 index, const void *data)
{
	memcpy(word(f, index, 0), data, PAGE_SIZE);
	f->full[index] = true;
}

static void zero_page(struct mm_file *f, u64 index)
{
	if (f->full[index])
		memset(word(f, index, 0), 0, PAGE_SIZE);
	f->full[index] = false;
}

static void forget_pin(struct mm *m, struct mm_pin *p)
{
	struct mem_frame *there = NULL;
	unsigned long refs;
	bool huge;

	if (mem_file_page(&m->file[p->file].file, p->index, &huge, &refs, &there) >=
	    MEM_PAGE_PRIVATE && there == p->frame)
		return;		/* changed in place, as it was pinned: still the file's */
	p->valid = false;
	if (mf_info(p->frame)->owned)
		mm_pin_drop(m, p - m->pin);	/* part of a 2 MiB frame that was kept */
}

/* Write pins lose their page: what comes by them is seen in the file no more. */
static void forget_pins(struct mm *m, int file, u64 first, u64 nr)
{
	int i;

	for (i = 0; i < MM_PINS; i++)
		if (m->pin[i].live && m->pin[i].file == file && m->pin[i].index >= first &&
		    m->pin[i].index < first + nr && m->pin[i].valid)
			forget_pin(m, &m->pin[i]);
}

static bool has_valid_pin(struct mm *m, int file, u64 index)
{
	int i;

	for (i = 0; i < MM_PINS; i++)
		if (m->pin[i].valid && m->pin[i].file == file && m->pin[i].index == index)
			return true;
	return false;
}

/* Then part of a 2 MiB frame may be emptied where it is, and stay. */
static bool may_stay(struct mm *m, int file, u64 index)
{
	int i;

	if (!m->config.huge || m->short_of_memory || m->may_fail || kapi_failed())
		return m->config.huge;
	for (i = 0; i < MM_PINS; i++)
		if (m->pin[i].live && m->pin[i].file == file &&
		    m->pin[i].index / 512 == index / 512)
			return true;
	return false;
}

/* A page reads as the model says; 1 bit off is reported. Gives its contents, or NULL for zeros. */
static void *look(struct mm *m, int file, u64 index, int *error)
{
	struct mem_frame *frame = NULL;
	void *data;

	*error = mem_file_pin(&m->file[file].file, index, false, &frame);
	if (*error || !frame)
		return NULL;
	data = mf_data(frame);
	mf_put(frame);		/* nobody else runs before it is used */
	return data;
}

static bool is_zero(const u8 *p)
{
	return !p[0] && !memcmp(p, p + 1, PAGE_SIZE - 1);
}

static bool is_as_model(struct mm_file *f, u64 index, const void *data)
{
	if (!data)
		return !f->full[index] || is_zero((u8 *)word(f, index, 0));
	return f->full[index] ? !memcmp(data, word(f, index, 0), PAGE_SIZE) : is_zero(data);
}

void mm_check_bytes(struct mm *m, int file)
{
	struct mm_file *f = &m->file[file];
	bool quiet = m->quiet;
	void *data;
	u64 i;
	int r;

	m->quiet = true;
	for (i = 0; i < f->file.pages; i++) {
		data = look(m, file, i, &r);
		if (r)
			mm_violation(m, "a page cannot be looked at", file, i);
		else if (!is_as_model(f, i, data))
			mm_violation(m, "a page contains something else than was written", file, i);
	}
	m->quiet = quiet;
}

/* --------------------------------------------------------------------- pins -- */

static u64 sum_of(struct mem_frame *frame)
{
	const u64 *data = mf_data(frame);
	u64 sum = 0;
	int i;

	for (i = 0; i < 512; i++)
		sum = (sum ^ data[i]) * 0x9e3779b97f4a7c15ull;
	return sum;
}

static void pin_new(struct mm *m, int pin, const struct mm_pin *p)
{
	struct mem_frame *there = NULL;
	unsigned long refs = 0;
	bool huge;

	m->pin[pin] = *p;
	mem_file_page(&m->file[p->file].file, p->index, &huge, &refs, &there);
	if (p->write || there != p->frame || refs < 2)
		return;
	m->pin[pin].frozen = true;
	m->pin[pin].sum = sum_of(p->frame);
}

void mm_pin(struct mm *m, int pin, int file, u64 index, bool write)
{
	struct mm_pin p = {
		.live = true, .write = write, .valid = write, .file = file, .index = index,
	};
	bool beyond = index >= m->file[file].file.pages;
	int r;

	mm_pin_drop(m, pin);
	op_begin(m, file);
	r = mem_file_pin(&m->file[file].file, index, write, &p.frame);
	if (beyond != (r == -ERANGE) || (r && !beyond && !mm_is_refusal(m, r)))
		mm_violation(m, "a pin fails, or does not", file, index);
	if (!r && write) {
		mm_not_hole(m, file, index, 1);
		if (!p.frame)
			mm_violation(m, "a pin for writing has no frame", file, index);
	}
	if (!r && p.frame)
		pin_new(m, pin, &p);
	op_end(m, file);
}

void mm_pin_mapped(struct mm *m, int pin, int vma, u64 index, bool write)
{
	struct mm_vma *v = &m->vma[vma];
	struct mm_pin p;
	u32 entry;

	mm_pin_drop(m, pin);
	if (write ? mm_write(m, vma, index, 0, 42) : mm_read(m, vma, index, 0))
		return;
	entry = v->pmd[index / 512] ? v->pmd[index / 512] + index % 512 : v->pte[index];
	p = (struct mm_pin){
		.live = true, .write = write, .valid = write, .file = v->file, .index = index,
		.frame = mf_at((entry & ~MM_PTE_WRITE) - 1),
	};
	mf_get(p.frame);
	pin_new(m, pin, &p);
}

/* By a pin that is not valid any more one may write too: nobody must notice. */
void mm_pin_use(struct mm *m, int pin, unsigned int offset, u64 value)
{
	struct mm_pin *p = &m->pin[pin];
	struct mm_file *f = &m->file[p->file];
	u64 *at;

	if (!p->live || !p->write || m->nr_raced == MM_RACED)
		return;
	at = (u64 *)((u8 *)mf_data(p->frame) + offset);
	if (p->valid) {
		if (!m->emptying && memcmp(mf_data(p->frame), word(f, p->index, 0), PAGE_SIZE))
			mm_violation(m, "who pinned a page sees something else than it contains",
				     p->file, p->index);
		m->raced[m->nr_raced++] = (struct mm_raced){
			p->file, p->index, *word(f, p->index, offset), value, offset };
		*word(f, p->index, offset) = value;
		f->full[p->index] = true;
	}
	*at = value;
	m->writes++;
}

void mm_pin_drop(struct mm *m, int pin)
{
	struct mm_pin *p = &m->pin[pin];

	if (p->live && p->frozen && sum_of(p->frame) != p->sum)
		mm_violation(m, "a shared page changed for who pinned it", p->file, p->index);
	if (p->live)
		mf_put(p->frame);
	p->live = p->valid = p->frozen = false;
}

void mm_pread(struct mm *m, int file, u64 index)
{
	void *data;
	int r;

	op_begin(m, file);
	if (index < m->file[file].file.pages) {
		data = look(m, file, index, &r);
		if (r)
			mm_violation(m, "read() fails", file, index);
		else if (!is_as_model(&m->file[file], index, data))
			mm_violation(m, "read() gives what was not written", file, index);
	}
	op_end(m, file);
}

int mm_pwrite(struct mm *m, int file, u64 index, u64 fill)
{
	struct mm_file *f = &m->file[file];
	bool beyond = index >= f->file.pages;
	struct mem_frame *frame;
	u64 *data;
	int r, i;

	op_begin(m, file);
	r = mem_file_pin(&f->file, index, true, &frame);
	if (beyond != (r == -ERANGE) || (r && !beyond && !mm_is_refusal(m, r)))
		mm_violation(m, "write() fails, or does not", file, index);
	if (!r) {
		mm_not_hole(m, file, index, 1);
		data = mf_data(frame);
		for (i = 0; i < 512; i++)
			data[i] = fill;
		set_page(f, index, data);
		mf_put(frame);
	}
	op_end(m, file);
	return r;
}

/* -------------------------------------------------------------------- calls -- */

/* It is not known what they are good for now. */
static void drop_pins(struct mm *m, int file, u64 index)
{
	int i;

	for (i = 0; i < MM_PINS; i++)
		if (m->pin[i].file == file && m->pin[i].index == index)
			mm_pin_drop(m, i);
}

/* After an operation that failed half way: each page is as it was or empty. */
static void adopt_punched(struct mm *m, int file, u64 first, u64 nr)
{
	struct mm_file *f = &m->file[file];
	void *data;
	u64 i;
	int r;

	for (i = first; i < first + nr; i++) {
		data = look(m, file, i, &r);
		if (!r && (!data || is_zero(data))) {
			zero_page(f, i);
			drop_pins(m, file, i);
		} else if (r || !is_as_model(f, i, data)) {
			mm_violation(m, "a page is neither punched nor as it was", file, i);
		}
	}
}

/* Was the page written while the operation ran? */
static bool is_raced(struct mm *m, int file, u64 index)
{
	int i;

	for (i = 0; i < m->nr_raced; i++)
		if (m->raced[i].file == file && m->raced[i].index == index)
			return true;
	return false;
}

/* Any value the word had since the operation began. */
static bool was_ever(struct mm *m, int file, u64 index, unsigned int offset, u64 value)
{
	bool ever = *word(&m->file[file], index, offset) == value;
	int i;

	for (i = 0; i < m->nr_raced && !ever; i++)
		ever = m->raced[i].file == file && m->raced[i].index == index &&
		       m->raced[i].offset == offset &&
		       (m->raced[i].old == value || m->raced[i].new == value);
	return ever;
}

/*
 * The copy of a page that was written meanwhile: each word as it was at some moment. Or
 * (from and to are the same) a page that was emptied in place, as somebody has it pinned.
 */
static void adopt_copy(struct mm *m, int src, u64 from, int dst, u64 to)
{
	bool in_place = src == dst && from == to;

	static const u64 zeros[512];
	const u64 *data;
	int r, i;

	data = look(m, dst, to, &r);
	if (r)
		mm_violation(m, "a cloned page cannot be looked at", dst, to);
	if (!data)
		data = zeros;
	for (i = 0; i < 512; i++)
		if (!was_ever(m, src, from, i * 8, data[i]) && !(in_place && !data[i]))
			mm_violation(m, "a page has what was never written", dst, to);
	set_page(&m->file[dst], to, data);
}

/* The pages are holes now. */
static void now_holes(struct mm *m, int file, u64 first, u64 nr)
{
	struct mm_file *f = &m->file[file];
	u64 i;

	for (i = first; i < first + nr; i++) {
		f->hole[i] = !may_stay(m, file, i);
		if (!f->hole[i] && is_raced(m, file, i) && i < f->file.pages)
			adopt_copy(m, file, i, file, i);
		else
			zero_page(f, i);
	}
	forget_pins(m, file, first, nr);
}

void mm_punch(struct mm *m, int file, u64 first, u64 nr)
{
	struct mm_file *f = &m->file[file];
	int r;

	op_begin(m, file);
	m->emptying = true;
	r = mem_file_punch(&f->file, first, nr);
	m->emptying = false;
	nr = first < f->file.pages ? min_t(u64, nr, f->file.pages - first) : 0;
	if (r) {
		if (!m->config.huge || !mm_is_refusal(m, r))
			mm_violation(m, "punching fails", file, first);
		adopt_punched(m, file, first, nr);
	} else {
		now_holes(m, file, first, nr);
	}
	op_end(m, file);
}

void mm_allocate(struct mm *m, int file, u64 first, u64 nr)
{
	struct mm_file *f = &m->file[file];
	bool beyond = first + nr > f->file.pages, huge;
	struct mem_frame *frame;
	unsigned long refs;
	u64 i;
	int r;

	op_begin(m, file);
	mm_not_hole(m, file, first, min_t(u64, nr, MM_PAGES - first));
	r = mem_file_allocate(&f->file, first, nr);
	if ((r == -ERANGE && !beyond) || (r && r != -ERANGE && !mm_is_refusal(m, r)))
		mm_violation(m, "allocating fails", file, first);
	for (i = first; !r && i < first + nr && i < f->file.pages; i++)
		if (mem_file_page(&f->file, i, &huge, &refs, &frame) == MEM_PAGE_HOLE)
			mm_violation(m, "what was allocated is a hole", file, i);
	op_end(m, file);
}

void mm_resize(struct mm *m, int file, u64 pages)
{
	struct mm_file *f = &m->file[file];
	u64 old = f->file.pages;
	int r;

	op_begin(m, file);
	m->emptying = true;
	r = mem_file_resize(&f->file, pages);
	m->emptying = false;
	if (r && (pages > old || !m->config.huge || !mm_is_refusal(m, r)))
		mm_violation(m, "a new size is refused", file, pages);
	if (r)
		pages = old;	/* and nothing has changed */
	if (f->file.pages != pages)
		mm_violation(m, "the size is not what was asked for", file, pages);
	if (pages < old)
		now_holes(m, file, pages, old - pages);
	op_end(m, file);
}

/* The page was copied into the frame that it had, since that is pinned, and its user wrote. */
static void adopt_mixture(struct mm *m, int src, u64 from, int dst, u64 to)
{
	const u64 *data;
	int r, i;

	data = look(m, dst, to, &r);
	for (i = 0; data && i < 512; i++)
		if (!was_ever(m, src, from, i * 8, data[i]) &&
		    !was_ever(m, dst, to, i * 8, data[i]))
			mm_violation(m, "a page has what was never written", dst, to);
	if (data)
		set_page(&m->file[dst], to, data);
	else
		mm_violation(m, "a pinned page is a hole", dst, to);
}

static void model_clone(struct mm *m, int src, u64 src_first, int dst, u64 dst_first, u64 nr)
{
	struct mm_file *s = &m->file[src], *d = &m->file[dst];
	u64 i;

	forget_pins(m, dst, dst_first, nr);
	for (i = 0; i < nr; i++) {
		if (is_raced(m, dst, dst_first + i) && has_valid_pin(m, dst, dst_first + i))
			adopt_mixture(m, src, src_first + i, dst, dst_first + i);
		else if (is_raced(m, src, src_first + i))
			adopt_copy(m, src, src_first + i, dst, dst_first + i);
		else if (s->full[src_first + i])
			set_page(d, dst_first + i, word(s, src_first + i, 0));
		else
			zero_page(d, dst_first + i);
	}
	for (i = 0; i < nr && !m->config.huge; i++)
		d->hole[dst_first + i] = s->hole[src_first + i];
	if (m->config.huge)
		mm_not_hole(m, dst, dst_first, nr);
}

bool mm_may_share(const struct mm_file *a, const struct mm_file *b)
{
	return a->group == b->group && !a->file.never_share && !b->file.never_share;
}

void mm_clone(struct mm *m, int src, u64 src_first, int dst, u64 dst_first, u64 nr)
{
	int err = 0;
	u64 done;

	op_begin(m, src);
	mm_file_get(m, dst);
	m->emptying = true;
	done = mem_file_clone(&m->file[src].file, src_first, &m->file[dst].file, dst_first, nr,
			      &err);
	m->emptying = false;
	if (!mm_may_share(&m->file[src], &m->file[dst])) {
		if (done || err != -EXDEV)
			mm_violation(m, "a clone between groups", dst, dst_first);
	} else if (done > nr || (done < nr) != (err != 0) || (err && !mm_is_refusal(m, err))) {
		mm_violation(m, "a clone fails, or does not", dst, dst_first + done);
	}
	model_clone(m, src, src_first, dst, dst_first, min_t(u64, done, nr));
	mm_file_put(m, dst);
	op_end(m, src);
}

static bool is_equal(struct mm *m, int src, u64 from, int dst, u64 to)
{
	struct mm_file *s = &m->file[src], *d = &m->file[dst];

	return (!s->full[from] && !d->full[to]) ||
	       !memcmp(word(s, from, 0), word(d, to, 0), PAGE_SIZE);
}

/* Nothing was lost, whoever wrote meanwhile. */
static void check_range(struct mm *m, int file, u64 first, u64 nr)
{
	void *data;
	u64 i;
	int r;

	for (i = first; i < first + nr; i++) {
		data = look(m, file, i, &r);
		if (r || !is_as_model(&m->file[file], i, data))
			mm_violation(m, "deduplication changes a page", file, i);
	}
}

/* Nobody wrote: pages that are not zero have the same frames now. */
static void check_shared(struct mm *m, int src, u64 from, int dst, u64 to)
{
	struct mem_frame *a = NULL, *b = NULL;
	unsigned long refs;
	bool huge;

	if (is_zero((u8 *)word(&m->file[src], from, 0)))
		return;
	mem_file_page(&m->file[src].file, from, &huge, &refs, &a);
	mem_file_page(&m->file[dst].file, to, &huge, &refs, &b);
	if (a != b)
		mm_violation(m, "deduplicated pages have different frames", dst, to);
}

void mm_dedupe(struct mm *m, int src, u64 src_first, int dst, u64 dst_first, u64 nr)
{
	bool equal = true, pins = false;
	u64 i;
	int r;

	op_begin(m, src);
	mm_file_get(m, dst);
	for (i = 0; i < MM_PINS; i++)
		pins |= m->pin[i].live;
	r = mem_file_dedupe(&m->file[src].file, src_first, &m->file[dst].file, dst_first, nr);
	if (!mm_may_share(&m->file[src], &m->file[dst])) {
		if (r != -EXDEV)
			mm_violation(m, "deduplication between groups", dst, dst_first);
		goto end;
	}
	for (i = 0; i < nr && equal; i++)
		equal = is_equal(m, src, src_first + i, dst, dst_first + i);
	if (r && r != -EBADE && !(r == -EBUSY && pins) && !mm_is_refusal(m, r))
		mm_violation(m, "deduplication fails", dst, dst_first);
	if (!m->nr_raced && (r == -EBADE || !r) && equal != !r)
		mm_violation(m, "deduplication takes equal for different or the reverse", dst,
			     dst_first + i);
	for (i = 0; i < nr && !r && !m->nr_raced; i++)
		check_shared(m, src, src_first + i, dst, dst_first + i);
	check_range(m, src, src_first, nr);
	check_range(m, dst, dst_first, nr);
end:
	mm_file_put(m, dst);
	op_end(m, src);
}

void mm_set_group(struct mm *m, int file, int group)
{
	struct mm_file *f = &m->file[file];
	bool empty = mem_file_seek(&f->file, 0, true) >= f->file.pages;
	int r;

	op_begin(m, file);
	r = mem_file_set_group(&f->file, m->group[group]);
	if (r != (empty ? 0 : -EBUSY))
		mm_violation(m, "only an empty file goes to another group", file, group);
	if (!r)
		f->group = group;
	op_end(m, file);
}
