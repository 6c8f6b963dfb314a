// SPDX-License-Identifier: GPL-2.0
/* The operations of mem_ops.h. */
#include "kapi_test.h"
#include "mem/scan.h"
#include "tests/model/mem_ops.h"
#include "tests/model/random.h"

u64 mm_op_index(u16 x)
{
	u64 chunk = (x >> 8) % MM_CHUNKS, page = x & 255;

	if (page < 150)
		page %= 24;
	else if (page < 190)
		page = MEM_HUGE_PAGES - 1 - page % 16;
	else
		page = page * 2 + (x >> 14 & 1);
	return chunk * MEM_HUGE_PAGES + page;
}

/* How many pages: one, some, a chunk, several. */
static u64 length(const struct mm_op *op)
{
	switch (op->nr & 7) {
	case 0: case 1:
		return 1;
	case 2:
		return MEM_HUGE_PAGES;
	case 3:
		return MEM_HUGE_PAGES * 2;
	case 4:
		return 1 + (op->nr >> 3) % 1500;
	default:
		return 1 + (op->nr >> 3) % 40;
	}
}

/* A range in a file, often of whole chunks. */
static u64 range_start(const struct mm_op *op, u16 x)
{
	u64 i = mm_op_index(x);

	return (op->nr & 7) == 2 || (op->nr & 7) == 3 ? i & ~511ull : i;
}

static bool is_scan(const struct mm_op *op);

/* Contents of which there are few. */
static u64 few(u16 x)
{
	return x % 6 ? (x % 6) * 0x0101010101010101ull : 0;
}

static struct mm_vma *vma_of(struct mm *m, const struct mm_op *op)
{
	return &m->vma[op->a % MM_VMAS];
}

static void do_read(struct mm *m, const struct mm_op *op)
{
	mm_read(m, op->a % MM_VMAS, mm_op_index(op->x), op->y % 512 * 8);
}

/* By everybody who has the file mapped. */
static void do_read_all(struct mm *m, const struct mm_op *op)
{
	int i;

	for (i = 0; i < MM_VMAS; i++)
		if (m->vma[i].live && m->vma[i].file == op->a % MM_FILES)
			mm_read(m, i, mm_op_index(op->x), op->y % 512 * 8);
}

static void do_write(struct mm *m, const struct mm_op *op)
{
	mm_write(m, op->a % MM_VMAS, mm_op_index(op->x), op->y % 4 * 8,
		 op->flags & 1 ? few(op->nr) : op->seed);
}

static void do_exchange(struct mm *m, const struct mm_op *op)
{
	mm_exchange(m, op->a % MM_VMAS, mm_op_index(op->x), op->y % 4 * 8, few(op->nr));
}

/* The same contents in a row of pages, or in those of a whole mapping. */
static void do_fill(struct mm *m, const struct mm_op *op)
{
	u64 first = mm_op_index(op->x), nr = 1 + op->nr % (op->flags & 1 ? 40 : 6), i;
	int file = op->a % MM_FILES;

	for (i = first; i < first + nr && mm_file(m, file); i++)
		if (mm_pwrite(m, file, i, few(op->y + i % 4)))
			return;
}

static void do_fault_begin(struct mm *m, const struct mm_op *op)
{
	mm_fault_begin(m, op->a % MM_VMAS, mm_op_index(op->x), op->flags & 1);
}

static void do_fault_end(struct mm *m, const struct mm_op *op)
{
	mm_fault_end(m, op->a % MM_PENDING);
}

static void do_pin(struct mm *m, const struct mm_op *op)
{
	if (mm_file(m, op->b % MM_FILES))
		mm_pin(m, op->a % MM_PINS, op->b % MM_FILES, mm_op_index(op->x), op->flags & 1);
}

static void do_pin_mapped(struct mm *m, const struct mm_op *op)
{
	mm_pin_mapped(m, op->b % MM_PINS, op->a % MM_VMAS, mm_op_index(op->x), op->flags & 1);
}

static void do_pin_use(struct mm *m, const struct mm_op *op)
{
	mm_pin_use(m, op->a % MM_PINS, op->y % 512 * 8, op->seed);
}

static void do_pin_drop(struct mm *m, const struct mm_op *op)
{
	mm_pin_drop(m, op->a % MM_PINS);
}

/* Who has a shared page pinned keeps it as it is, whoever writes it, down to the last one. */
static void do_pin_shared(struct mm *m, const struct mm_op *op)
{
	int pin = op->b % MM_PINS, file = op->a % MM_FILES, f;
	struct mem_frame *frame, *other;
	u64 index = mm_op_index(op->x), i;
	unsigned long refs;
	bool huge;

	if (!mm_file(m, file) || mem_file_page(&m->file[file].file, index, &huge, &refs, &frame) !=
	    MEM_PAGE_SHARED || refs < 2)
		return;
	mm_pin(m, pin, file, index, false);
	if (op->flags & 1 && mm_file(m, file))
		mm_punch(m, file, index + 1, op->y % 8);
	for (f = 0; f < MM_FILES; f++)
		for (i = 0; mm_file(m, f) && i < m->file[f].file.pages; i++)
			if ((f != file || i != index) &&
			    mem_file_page(&m->file[f].file, i, &huge, &refs, &other) ==
			    MEM_PAGE_SHARED && other == frame && mm_pwrite(m, f, i, op->seed))
				return;
	if (mm_file(m, file))
		mm_pwrite(m, file, index, op->seed);
	mm_pin_drop(m, pin);
}

static void do_pread(struct mm *m, const struct mm_op *op)
{
	if (mm_file(m, op->a % MM_FILES))
		mm_pread(m, op->a % MM_FILES, mm_op_index(op->x));
}

static void do_punch(struct mm *m, const struct mm_op *op)
{
	u64 first = range_start(op, op->x);

	if (mm_file(m, op->a % MM_FILES))
		mm_punch(m, op->a % MM_FILES, first, min_t(u64, length(op), MM_PAGES - first));
}

static void do_allocate(struct mm *m, const struct mm_op *op)
{
	struct mm_file *f = mm_file(m, op->a % MM_FILES);
	u64 first = range_start(op, op->x);

	if (f && first < f->file.pages)
		mm_allocate(m, op->a % MM_FILES, first,
			    min_t(u64, length(op), f->file.pages - first));
}

static void do_resize(struct mm *m, const struct mm_op *op)
{
	u64 pages = op->flags & 1 ? MM_PAGES : mm_op_index(op->x) + (op->flags & 2);

	if (mm_file(m, op->a % MM_FILES))
		mm_resize(m, op->a % MM_FILES, min_t(u64, pages, MM_PAGES));
}

/* Two ranges for a clone, now and then of files that must not share; false: there are none. */
static bool two_ranges(struct mm *m, const struct mm_op *op, u64 *src, u64 *dst, u64 *nr)
{
	struct mm_file *a = mm_file(m, op->a % MM_FILES), *b = mm_file(m, op->b % MM_FILES);

	if (!a || !b || (!mm_may_share(a, b) && op->seed % 8))
		return false;
	*src = range_start(op, op->x);
	*dst = op->flags & 1 ? *src : range_start(op, op->y);
	if (*src >= a->file.pages || *dst >= b->file.pages)
		return false;
	*nr = min_t(u64, length(op), min_t(u64, a->file.pages - *src, b->file.pages - *dst));
	if (a == b)
		*nr = min_t(u64, *nr, *src > *dst ? *src - *dst : *dst - *src);
	return *nr > 0;
}

static void do_clone(struct mm *m, const struct mm_op *op)
{
	struct mm_op whole = *op;
	u64 src, dst, nr;

	if ((op->flags & 6) == 6)	/* a chunk, so that 2 MiB frames come to be shared */
		whole.nr = 2;
	if (two_ranges(m, &whole, &src, &dst, &nr))
		mm_clone(m, op->a % MM_FILES, src, op->b % MM_FILES, dst, nr);
}

/* A whole file into a new one, as a snapshot. */
static void do_snapshot(struct mm *m, const struct mm_op *op)
{
	struct mm_file *f = mm_file(m, op->a % MM_FILES);

	if (!f || f->file.never_share || !f->file.pages || op->a % MM_FILES == op->b % MM_FILES ||
	    mm_file_new(m, op->b % MM_FILES, f->group, f->file.pages, false))
		return;
	mm_clone(m, op->a % MM_FILES, 0, op->b % MM_FILES, 0, f->file.pages);
}

/* A word is written as it is by all who have the page mapped: it stays mapped, writable. */
static void map_page(struct mm *m, int file, u64 index)
{
	int i;

	for (i = 0; i < MM_VMAS; i++)
		if (m->vma[i].live && m->vma[i].file == file)
			mm_write(m, i, index, 0, *(u64 *)(m->file[file].bytes + index * PAGE_SIZE));
}

/* Pages that are the same by chance are few: mostly they are made so first. */
static void make_equal(struct mm *m, const struct mm_op *op, u64 src, u64 dst, u64 nr)
{
	int a = op->a % MM_FILES, b = op->b % MM_FILES;
	u64 i;

	if (nr == MEM_HUGE_PAGES && (op->flags & 8)) {
		mm_punch(m, a, src, nr);
		if (mm_file(m, b))
			mm_punch(m, b, dst, nr);
		nr = 1;
	}
	for (i = 0; i < min_t(u64, nr, 8) && mm_file(m, a) && mm_file(m, b); i++)
		if (mm_pwrite(m, a, src + i, few(op->x + i)) ||
		    (mm_file(m, b) && mm_pwrite(m, b, dst + i, few(op->x + i))))
			return;
	for (i = 0; i < min_t(u64, nr, 8) && op->flags & 16; i++) {
		if (mm_file(m, a))
			map_page(m, a, src + i);
		if (mm_file(m, b))
			map_page(m, b, dst + i);
	}
}

static void do_dedupe(struct mm *m, const struct mm_op *op)
{
	struct mm_op whole = *op;
	u64 src, dst, nr;

	if (op->flags & 32) {	/* as for clones; equal but for a page, which most often is too */
		whole.nr = 2;
		whole.flags |= 8 | 2;
	}
	if (!two_ranges(m, &whole, &src, &dst, &nr))
		return;
	if (nr != MEM_HUGE_PAGES)
		nr = min_t(u64, nr, 64);
	if (whole.flags & 6)
		make_equal(m, &whole, src, dst, nr);
	if (mm_file(m, op->a % MM_FILES) && mm_file(m, op->b % MM_FILES))
		mm_dedupe(m, op->a % MM_FILES, src, op->b % MM_FILES, dst, nr);
}

/* A chunk in which nothing is like anything else. */
static void do_fill_chunk(struct mm *m, const struct mm_op *op)
{
	u64 first = mm_op_index(op->x) & ~511ull, i;
	int file = op->a % MM_FILES;

	for (i = 0; i < MEM_HUGE_PAGES && mm_file(m, file); i++)
		if (mm_pwrite(m, file, first + i, op->seed + i))
			return;
}

static void do_huge(struct mm *m, const struct mm_op *op)
{
	WRITE_ONCE(m->pool.huge_pages, m->config.huge && op->flags & 1);
}

static void do_set_group(struct mm *m, const struct mm_op *op)
{
	if (mm_file(m, op->a % MM_FILES))
		mm_set_group(m, op->a % MM_FILES, op->x % MM_GROUPS);
}

static void do_file_new(struct mm *m, const struct mm_op *op)
{
	static const u64 sizes[] = {
		MM_PAGES, MEM_HUGE_PAGES, 2 * MEM_HUGE_PAGES, 1, 2 * MEM_HUGE_PAGES + 5,
		MM_PAGES - 1, 3 * MEM_HUGE_PAGES, MEM_HUGE_PAGES - 1,
	};

	if (!m->file[op->a % MM_FILES].live)
		mm_file_new(m, op->a % MM_FILES, op->x % 5 % MM_GROUPS, sizes[op->y % 8],
			    op->flags % 16 == 0);
}

/*
 * An empty file that nobody has mapped shares nothing from now on. It gets the page that it had
 * before, where the scanner may remember it, and another file gets it too.
 */
static void do_never_share(struct mm *m, const struct mm_op *op)
{
	int file = op->a % MM_FILES, other = op->b % MM_FILES, i;
	struct mm_file *f = mm_file(m, file);
	u64 index = mm_op_index(op->x), value;

	for (i = 0; i < MM_VMAS; i++)
		if (!f || (m->vma[i].live && m->vma[i].file == file))
			return;
	value = *(u64 *)(f->bytes + index * PAGE_SIZE);
	mm_file_get(m, file);
	mm_resize(m, file, 0);
	if (!f->file.pages) {
		WRITE_ONCE(f->file.never_share, true);
		mm_resize(m, file, MM_PAGES);
		mm_pwrite(m, file, index, value);
	}
	mm_file_put(m, file);
	if (mm_file(m, other))
		mm_pwrite(m, other, mm_op_index(op->y), value);
}

static void do_file_unlink(struct mm *m, const struct mm_op *op)
{
	if (mm_file(m, op->a % MM_FILES))
		mm_file_unlink(m, op->a % MM_FILES);
}

static void do_vma_new(struct mm *m, const struct mm_op *op)
{
	u64 first = op->flags & 4 ? mm_op_index(op->x) : 0;

	if (mm_file(m, op->b % MM_FILES))
		mm_vma_new(m, op->a % MM_VMAS, op->b % MM_FILES, first,
			   op->flags & 8 ? 1 + op->nr % 700 : MM_PAGES, op->flags & 3,
			   op->flags & 48);
}

static void do_vma_del(struct mm *m, const struct mm_op *op)
{
	mm_vma_del(m, op->a % MM_VMAS);
}

/* Touch many pages: what makes chunks full. */
static void do_sweep(struct mm *m, const struct mm_op *op)
{
	u64 first = mm_op_index(op->x) & (op->flags & 4 ? ~511ull : ~0ull), i;
	u64 nr = op->flags & 4 ? MEM_HUGE_PAGES : 1 + op->nr % 64;
	struct mm_vma *v = vma_of(m, op);

	for (i = first; i < first + nr && v->live; i++) {
		if (!(op->flags & 1 ? mm_read(m, op->a % MM_VMAS, i, 0) :
				      mm_write(m, op->a % MM_VMAS, i, 0, few(op->y + i))))
			continue;
		return;
	}
}

static void do_memory(struct mm *m, const struct mm_op *op)
{
	bool full;

	m->short_of_memory = op->flags % 3 == 0;
	full = mem_pool_refill(&m->pool);
	if (full && m->pool.reserve.nr < m->pool.reserve.target)
		mm_violation(m, "the reserve is called full", -1, m->pool.reserve.nr);
	if (!full && !m->short_of_memory && !m->config.max_pages && !m->may_fail)
		mm_violation(m, "the reserve is not filled although there is memory", -1,
			     m->pool.reserve.nr);
}

static struct mm *scanned;	/* cond_resched() does not say whose it is */

/*
 * The scanner holds no lock for a moment, amid its visit to a chunk: others do whole operations, one
 * in two with the file that it is at.
 */
static void while_it_breathes(void)
{
	struct mm *m = scanned;
	struct mm_op op;
	u64 rng;

	if (m->quiet || mm_random(m, 100) >= m->config.others_pct / 2)
		return;
	rng = m->rng;
	do
		mm_op_random(&op, &rng);
	while (is_scan(&op));
	if (op.seed & 1)
		op.a = m->file_held;
	kapi_set_resched(NULL, NULL);
	mm_op_do(m, &op);
	kapi_set_resched(NULL, while_it_breathes);
}

static void do_scan(struct mm *m, const struct mm_op *op)
{
	struct mem_scan *scan = m->pool.scan;

	WRITE_ONCE(scan->dissolve_pages, op->y % 4 ? 1 : op->y % 9);
	WRITE_ONCE(scan->pages_per_second, op->b % 4 ? 0 : 1000 * op->b);
	WRITE_ONCE(scan->pressure_percent, op->flags & 8 ? 0 : op->nr % 101);
	scanned = m;
	kapi_set_resched(NULL, while_it_breathes);
	mm_scan(m, 1 + op->x % 24, op->a % 3, !(op->flags & 7));
	kapi_set_resched(NULL, NULL);
}

static const struct {
	const char *name;
	void (*run)(struct mm *m, const struct mm_op *op);
	unsigned int weight;
} kinds[] = {
	{ "read", do_read, 16 },
	{ "read all", do_read_all, 10 },
	{ "write", do_write, 24 },
	{ "exchange", do_exchange, 8 },
	{ "fill", do_fill, 8 },
	{ "sweep", do_sweep, 3 },
	{ "fault begin", do_fault_begin, 8 },
	{ "fault end", do_fault_end, 4 },
	{ "pin", do_pin, 3 },
	{ "pin mapped", do_pin_mapped, 2 },
	{ "pin shared", do_pin_shared, 2 },
	{ "pin use", do_pin_use, 5 },
	{ "pin drop", do_pin_drop, 6 },
	{ "pread", do_pread, 3 },
	{ "punch", do_punch, 6 },
	{ "allocate", do_allocate, 2 },
	{ "resize", do_resize, 2 },
	{ "clone", do_clone, 8 },
	{ "snapshot", do_snapshot, 3 },
	{ "dedupe", do_dedupe, 4 },
	{ "fill chunk", do_fill_chunk, 1 },
	{ "huge", do_huge, 1 },
	{ "group", do_set_group, 1 },
	{ "new file", do_file_new, 4 },
	{ "unlink", do_file_unlink, 1 },
	{ "never share", do_never_share, 1 },
	{ "mmap", do_vma_new, 6 },
	{ "munmap", do_vma_del, 2 },
	{ "memory", do_memory, 2 },
	{ "scan", do_scan, 10 },
};

static bool is_scan(const struct mm_op *op)
{
	return kinds[op->kind % ARRAY_SIZE(kinds)].run == do_scan;
}

const char *mm_op_name(const struct mm_op *op)
{
	return kinds[op->kind % ARRAY_SIZE(kinds)].name;
}

void mm_op_do(struct mm *m, const struct mm_op *op)
{
	m->rng = op->seed * 0x9e3779b97f4a7c15ull | 1;
	m->nr_raced = 0;
	m->may_fail = false;
	kinds[op->kind % ARRAY_SIZE(kinds)].run(m, op);
	mm_files_end(m);
}

void mm_op_random(struct mm_op *op, u64 *rng)
{
	unsigned int sum = 0, i, pick;
	u64 r = random_word(rng);

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		sum += kinds[i].weight;
	pick = (r >> 40) % sum;
	for (i = 0; pick >= kinds[i].weight; i++)
		pick -= kinds[i].weight;
	op->kind = i;
	op->flags = r >> 16;
	op->a = r >> 24;
	op->b = r >> 32;
	r = random_word(rng);
	op->x = r;
	op->y = r >> 16;
	op->nr = r >> 32;
	op->seed = random_word(rng) >> 32;
}
