// SPDX-License-Identifier: GPL-2.0
/*
 * How often do pages have the same content? Compares the memory of several paused
 * guests exactly, byte for byte:
 *
 *	bench-equal-pages [--tsv LABEL] SOURCE...
 *
 * A source is a RAM file, or pid:PID: the largest writable mapping of that process,
 * which for a QEMU is its guest's RAM. Holes of a file, pages of a mapping that were never
 * touched and the kernel's own zero page take no memory and are not counted.
 *
 *	present		pages that would take memory if nothing were shared
 *	zero		of them, those that hold only zeros
 *	distinct	different contents among the others
 *	inside		pages whose content an earlier page of the same guest has (without zero)
 *	between		contents that a page of an earlier guest has (without zero)
 *	possible	what sharing can save: zero + inside + between
 *
 *	present = zero + distinct + inside + between
 *
 * With --tsv the lines are "equal LABEL NAME VALUE" and "equal-guest LABEL SOURCE PRESENT ZERO
 * DISTINCT INSIDE", separated by tabs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE		4096u
#define WORDS		(PAGE / sizeof(uint64_t))
#define MAP_BATCH	512u			/* pagemap entries read at a time */
#define PM_PRESENT	(1ull << 63)		/* Documentation/admin-guide/mm/pagemap.rst */
#define PM_SWAPPED	(1ull << 62)
#define PM_PFN		((1ull << 55) - 1)
#define KPF_ZERO_PAGE	(1ull << 24)

struct source {
	const char *name;
	int fd;				/* the file, or the process's memory */
	int pagemap;			/* of the process, or -1 */
	uint64_t start;			/* of the mapping, 0 for a file */
	uint64_t pages;
	uint64_t present, zero, distinct, inside;
};

/* One content. Pages are numbered in their source. */
struct content {
	uint64_t hash;
	uint32_t page;
	uint16_t source;		/* that has it first, + 1; 0: empty */
	uint16_t last;			/* that has it last, + 1 */
};

struct comparison {
	struct source *source;
	size_t sources;
	struct content *table;		/* open addressing, at most half full */
	uint64_t mask;
	uint64_t contents;
	int kpageflags;
};

__attribute__((noreturn, format(printf, 1, 2)))
static void die(const char *format, ...)
{
	int error = errno;
	va_list list;

	fprintf(stderr, "bench-equal-pages: ");
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, ": %s\n", error ? strerror(error) : "not as expected");
	exit(1);
}

/* --- sources ------------------------------------------------------------- */

static int open_proc(const char *pid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s", path);
	return fd;
}

static void find_largest_mapping(struct source *source, const char *pid)
{
	FILE *maps = fdopen(open_proc(pid, "maps"), "r");
	uint64_t from, to;
	char *line = NULL, access[5];
	size_t size = 0;

	while (getline(&line, &size, maps) > 0) {
		if (sscanf(line, "%lx-%lx %4s", &from, &to, access) != 3 || access[1] != 'w' ||
		    (to - from) / PAGE <= source->pages)
			continue;
		source->start = from;
		source->pages = (to - from) / PAGE;
	}
	free(line);
	fclose(maps);
}

static void open_source(struct source *source, const char *name)
{
	struct stat st;

	source->name = name;
	source->pagemap = -1;
	if (!strncmp(name, "pid:", 4)) {
		find_largest_mapping(source, name + 4);
		source->fd = open_proc(name + 4, "mem");
		source->pagemap = open_proc(name + 4, "pagemap");
	} else {
		source->fd = open(name, O_RDONLY | O_CLOEXEC);
		if (source->fd < 0 || fstat(source->fd, &st))
			die("%s", name);
		source->pages = (uint64_t)st.st_size / PAGE;
	}
}

static void read_page(const struct source *source, uint64_t page, uint64_t *data)
{
	off_t at = (off_t)(source->start + page * PAGE);

	errno = 0;
	if (pread(source->fd, data, PAGE, at) != PAGE)
		die("%s: page %lu", source->name, page);
}

/* --- contents ------------------------------------------------------------ */

/* Four lanes, because a multiplication is slow. What it says is always confirmed by comparing. */
static uint64_t hash_page(const uint64_t *data)
{
	uint64_t a = 1, b = 2, c = 3, d = 4;

	for (size_t i = 0; i < WORDS; i += 4) {
		a = (a ^ data[i]) * 0x9e3779b97f4a7c15u;
		b = (b ^ data[i + 1]) * 0xc2b2ae3d27d4eb4fu;
		c = (c ^ data[i + 2]) * 0x165667b19e3779f9u;
		d = (d ^ data[i + 3]) * 0xff51afd7ed558ccdu;
		a ^= a >> 32;
		b ^= b >> 32;
		c ^= c >> 32;
		d ^= d >> 32;
	}
	a ^= b * 3 ^ c * 5 ^ d * 7;
	return a ^ a >> 29;
}

static bool is_zero(const uint64_t *data)
{
	return !data[0] && !memcmp(data, data + 1, PAGE - sizeof(*data));
}

/* The kernel's zero page, small or huge, may be mapped where the guest has only read. */
static bool is_kernels_zero_page(const struct comparison *cmp, uint64_t map_entry)
{
	uint64_t flags;

	if (!(map_entry & PM_PRESENT) || cmp->kpageflags < 0)
		return false;
	if (pread(cmp->kpageflags, &flags, sizeof(flags),
		  (off_t)((map_entry & PM_PFN) * sizeof(flags))) != sizeof(flags))
		die("/proc/kpageflags");
	return flags & KPF_ZERO_PAGE;
}

static void new_content(struct comparison *cmp, struct content *content, uint64_t hash,
			size_t index, uint64_t page)
{
	content->hash = hash;
	content->page = (uint32_t)page;
	content->source = content->last = (uint16_t)(index + 1);
	cmp->contents++;
	cmp->source[index].distinct++;
}

static void add_page(struct comparison *cmp, size_t index, uint64_t page, uint64_t map_entry)
{
	uint64_t data[WORDS], other[WORDS], hash;
	struct source *source = &cmp->source[index];
	struct content *content;

	read_page(source, page, data);
	if (is_zero(data)) {
		if (is_kernels_zero_page(cmp, map_entry))
			return;
		source->present++;
		source->zero++;
		return;
	}
	source->present++;
	hash = hash_page(data);
	for (uint64_t at = hash & cmp->mask;; at = (at + 1) & cmp->mask) {
		content = &cmp->table[at];
		if (!content->source) {
			new_content(cmp, content, hash, index, page);
			return;
		}
		if (content->hash != hash)
			continue;
		read_page(&cmp->source[content->source - 1], content->page, other);
		if (!memcmp(data, other, PAGE))
			break;
	}
	if (content->last == index + 1) {
		source->inside++;
	} else {
		content->last = (uint16_t)(index + 1);
		source->distinct++;
	}
}

/* --- walking ------------------------------------------------------------- */

static void walk_mapping(struct comparison *cmp, size_t index)
{
	struct source *source = &cmp->source[index];
	uint64_t map[MAP_BATCH], first, n;

	for (first = 0; first < source->pages; first += n) {
		n = source->pages - first < MAP_BATCH ? source->pages - first : MAP_BATCH;
		if (pread(source->pagemap, map, n * sizeof(*map),
			  (off_t)((source->start / PAGE + first) * sizeof(*map))) !=
		    (ssize_t)(n * sizeof(*map)))
			die("%s: pagemap", source->name);
		for (uint64_t i = 0; i < n; i++)
			if (map[i] & (PM_PRESENT | PM_SWAPPED))
				add_page(cmp, index, first + i, map[i]);
	}
}

static void walk_file(struct comparison *cmp, size_t index)
{
	struct source *source = &cmp->source[index];
	off_t data = 0, hole;

	for (;;) {
		data = lseek(source->fd, data, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return;
		hole = data < 0 ? -1 : lseek(source->fd, data, SEEK_HOLE);
		if (hole < 0)
			die("%s: lseek", source->name);
		for (; data < hole; data += PAGE)
			add_page(cmp, index, (uint64_t)data / PAGE, 0);
	}
}

/* --- reporting ----------------------------------------------------------- */

static void report_tsv(const struct comparison *cmp, const char *label,
		       const struct source *total, uint64_t between)
{
	const struct { const char *name; uint64_t value; } line[] = {
		{ "guests", cmp->sources }, { "present", total->present }, { "zero", total->zero },
		{ "distinct", cmp->contents }, { "inside", total->inside }, { "between", between },
		{ "possible", total->zero + total->inside + between },
		{ "possible-nonzero", total->inside + between },
	};

	for (size_t i = 0; i < sizeof(line) / sizeof(*line); i++)
		printf("equal\t%s\t%s\t%lu\n", label, line[i].name, line[i].value);
	for (size_t i = 0; i < cmp->sources; i++)
		printf("equal-guest\t%s\t%s\t%lu\t%lu\t%lu\t%lu\n", label, cmp->source[i].name,
		       cmp->source[i].present, cmp->source[i].zero, cmp->source[i].distinct,
		       cmp->source[i].inside);
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void report_table(const struct comparison *cmp, const struct source *total,
			 uint64_t between)
{
	uint64_t possible = total->zero + total->inside + between;
	uint64_t nonzero = total->present - total->zero;

	printf("%-32s %9s %9s %9s %9s\n", "pages of 4 KiB", "present", "zero", "distinct", "inside");
	for (size_t i = 0; i < cmp->sources; i++)
		printf("%-32s %9lu %9lu %9lu %9lu\n", cmp->source[i].name, cmp->source[i].present,
		       cmp->source[i].zero, cmp->source[i].distinct, cmp->source[i].inside);
	printf("%-32s %9lu %9lu %9lu %9lu  between guests %lu\n", "all together", total->present,
	       total->zero, cmp->contents, total->inside, between);
	printf("sharing can save %lu of %lu (%.1f %%); without zero pages %lu of %lu (%.1f %%)\n",
	       possible, total->present, percent(possible, total->present),
	       total->inside + between, nonzero, percent(total->inside + between, nonzero));
}

static void report(const struct comparison *cmp, const char *label)
{
	struct source total = { 0 };

	for (size_t i = 0; i < cmp->sources; i++) {
		total.present += cmp->source[i].present;
		total.zero += cmp->source[i].zero;
		total.distinct += cmp->source[i].distinct;
		total.inside += cmp->source[i].inside;
	}
	if (label)
		report_tsv(cmp, label, &total, total.distinct - cmp->contents);
	else
		report_table(cmp, &total, total.distinct - cmp->contents);
}

int main(int argc, char **argv)
{
	struct comparison cmp = { .mask = 1023 };
	const char *label = NULL;
	uint64_t pages = 0;
	int at = 1;

	if (argc > 2 && !strcmp(argv[1], "--tsv")) {
		label = argv[2];
		at = 3;
	}
	if (at >= argc || argc - at >= UINT16_MAX) {
		fprintf(stderr, "usage: bench-equal-pages [--tsv LABEL] FILE|pid:PID...\n");
		return 2;
	}
	cmp.sources = (size_t)(argc - at);
	cmp.source = calloc(cmp.sources, sizeof(*cmp.source));
	for (size_t i = 0; i < cmp.sources; i++) {
		open_source(&cmp.source[i], argv[at + (int)i]);
		pages += cmp.source[i].pages;
	}
	while (cmp.mask < 2 * pages)
		cmp.mask = cmp.mask * 2 + 1;
	cmp.table = calloc(cmp.mask + 1, sizeof(*cmp.table));
	cmp.kpageflags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	if (!cmp.source || !cmp.table)
		die("memory");
	for (size_t i = 0; i < cmp.sources; i++)
		if (cmp.source[i].pagemap < 0)
			walk_file(&cmp, i);
		else
			walk_mapping(&cmp, i);
	report(&cmp, label);
	return 0;
}
