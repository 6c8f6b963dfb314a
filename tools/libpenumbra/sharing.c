// SPDX-License-Identifier: GPL-2.0
/* Which frames RAM files share; see sharing.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include "libpenumbra/sharing.h"
#include "uapi/penumbra.h"

/* Entries read with one call. */
#define CALL_PAGES	32768u
#define FILE_MASK	(SHARING_MAX_FILES - 1)

_Static_assert(SHARING_MAX_FILES == 1 << 20, "a name has 44 bits of token and 20 of file");

int sharing_init(struct sharing *s, uint32_t nr)
{
	*s = (struct sharing){ .nr = nr };
	if (nr > SHARING_MAX_FILES)
		return -E2BIG;
	s->file = calloc(nr ? nr : 1, sizeof(*s->file));
	return s->file ? 0 : -ENOMEM;
}

void sharing_free(struct sharing *s)
{
	free(s->file);
	free(s->pair);
	free(s->name);
	*s = (struct sharing){};
}

static int make_room(struct sharing *s, size_t more)
{
	size_t room = s->room ? s->room : 4096;
	uint64_t *bigger;

	if (s->nr_names + more <= s->room)
		return 0;
	while (room < s->nr_names + more)
		room *= 2;
	bigger = realloc(s->name, room * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	s->name = bigger;
	s->room = room;
	return 0;
}

int sharing_add(struct sharing *s, uint32_t file, const uint64_t *entry, size_t nr)
{
	struct sharing_file *f = &s->file[file];

	if (make_room(s, nr))
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++) {
		switch (PENUMBRA_PAGE_KIND(entry[i])) {
		case PENUMBRA_PAGE_PRIVATE:
			f->private_pages++;
			break;
		case PENUMBRA_PAGE_SHARED:
			s->name[s->nr_names++] = PENUMBRA_PAGE_TOKEN(entry[i]) << 20 | file;
			break;
		case PENUMBRA_PAGE_ZERO:
			f->zero_pages++;
			continue;
		default:
			f->hole_pages++;
			continue;
		}
		f->huge_pages += !!(entry[i] & PENUMBRA_PAGE_HUGE);
	}
	return 0;
}

int sharing_add_fd(struct sharing *s, uint32_t file, int fd)
{
	uint64_t *entry = malloc(CALL_PAGES * sizeof(*entry));
	struct penumbra_mem_map map = { .pages = CALL_PAGES, .entries = (uintptr_t)entry };
	size_t nr_names = s->nr_names;
	int n, ret = 0;

	if (!entry)
		return -ENOMEM;
	while (!ret) {
		n = ioctl(fd, PENUMBRA_MEM_MAP, &map);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			ret = n ? -errno : 0;
			break;
		}
		ret = sharing_add(s, file, entry, n);
		map.first += n;
	}
	if (ret) {	/* all of it, or nothing */
		s->nr_names = nr_names;
		s->file[file] = (struct sharing_file){};
	}
	free(entry);
	return ret;
}

static int compare_names(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Names from @first on that are of one frame: where they end. */
static size_t frame_end(const struct sharing *s, size_t first)
{
	size_t end = first + 1;

	while (end < s->nr_names && s->name[end] >> 20 == s->name[first] >> 20)
		end++;
	return end;
}

/* Names from @first on, before @end, that are of one file: where they end. */
static size_t file_end(const struct sharing *s, size_t first, size_t end)
{
	size_t next = first + 1;

	while (next < end && s->name[next] == s->name[first])
		next++;
	return next;
}

static void count_frame(struct sharing *s, size_t first, size_t end)
{
	bool alone = s->name[first] == s->name[end - 1];
	uint64_t pages = end - first, files = 0;
	struct sharing_file *f;
	size_t next;

	s->total.frame_pages++;
	for (size_t i = first; i < end; i = next) {
		next = file_end(s, i, end);
		f = &s->file[s->name[i] & FILE_MASK];
		files++;
		/* the other pages that named it may have gone since the kernel marked it */
		if (pages == 1)
			f->private_pages++;
		else
			f->shared_pages += next - i;
		f->others_pages += alone ? 0 : next - i;
		f->inside_pages += next - i - 1;
		f->proportional_pages += (double)(next - i) / pages;
	}
	s->total.inside_pages += pages - files;
	s->total.between_pages += files - 1;
}

void sharing_finish(struct sharing *s)
{
	size_t end;

	s->total = (struct sharing_total){};
	for (uint32_t i = 0; i < s->nr; i++) {
		struct sharing_file *f = &s->file[i];

		f->proportional_pages = f->private_pages;
		s->total.frame_pages += f->private_pages;
	}
	if (s->nr_names)
		qsort(s->name, s->nr_names, sizeof(*s->name), compare_names);
	for (size_t i = 0; i < s->nr_names; i = end) {
		end = frame_end(s, i);
		count_frame(s, i, end);
	}
	for (uint32_t i = 0; i < s->nr; i++) {
		s->total.present_pages += s->file[i].private_pages + s->file[i].shared_pages;
		s->total.zero_pages += s->file[i].zero_pages;
	}
}

/* ---- pairs ---- */

/* Where the pair of @a < @b stands in a triangle without its diagonal. */
static size_t pair_index(size_t a, size_t b)
{
	return b * (b - 1) / 2 + a;
}

static void count_pairs(const struct sharing *s, uint64_t *common, uint32_t *files)
{
	size_t end, next;

	for (size_t i = 0; i < s->nr_names; i = end) {
		uint32_t nr = 0;

		end = frame_end(s, i);
		for (size_t k = i; k < end; k = next) {
			next = file_end(s, k, end);
			files[nr++] = s->name[k] & FILE_MASK;
		}
		for (uint32_t b = 1; b < nr; b++)
			for (uint32_t a = 0; a < b; a++)
				common[pair_index(files[a], files[b])]++;
	}
}

static int compare_pairs(const void *x, const void *y)
{
	const struct sharing_pair *p = x, *q = y;

	if (p->frame_pages != q->frame_pages)
		return p->frame_pages > q->frame_pages ? -1 : 1;
	if (p->a != q->a)
		return p->a < q->a ? -1 : 1;
	return p->b < q->b ? -1 : p->b > q->b;
}

int sharing_find_pairs(struct sharing *s)
{
	size_t all = (size_t)s->nr * (s->nr ? s->nr - 1 : 0) / 2;
	uint64_t *common;
	uint32_t *files;
	int ret = -ENOMEM;

	if (s->nr > SHARING_MAX_PAIRED)
		return -E2BIG;
	free(s->pair);
	s->nr_pairs = 0;
	common = calloc(all + 1, sizeof(*common));
	files = calloc(s->nr + 1, sizeof(*files));
	s->pair = calloc(all + 1, sizeof(*s->pair));
	if (common && files && s->pair) {
		count_pairs(s, common, files);
		for (uint32_t b = 1; b < s->nr; b++)
			for (uint32_t a = 0; a < b; a++)
				if (common[pair_index(a, b)])
					s->pair[s->nr_pairs++] = (struct sharing_pair){
						a, b, common[pair_index(a, b)] };
		qsort(s->pair, s->nr_pairs, sizeof(*s->pair), compare_pairs);
		ret = 0;
	}
	free(common);
	free(files);
	return ret;
}
