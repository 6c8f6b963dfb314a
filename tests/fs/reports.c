// SPDX-License-Identifier: GPL-2.0
/* What is told of a file: page maps, sysfs. */
#include "fs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "uapi/penumbra.h"

static long map_of(int fd, uint64_t first, uint64_t pages, uint64_t *entries)
{
	struct penumbra_mem_map map = { first, pages, (uintptr_t)entries };

	return ioctl(fd, PENUMBRA_MEM_MAP, &map);
}

static void page_maps(void)
{
	int a = fs_file("map", 10 * PAGE), b = fs_tmpfile(0), ro, wo;
	uint64_t ea[1024], eb[1024];

	fs_fill(a, 0, 4, 1);
	ioctl(b, FICLONE, a);
	fs_fill(b, 1, 1, 2);
	memset(ea, 0xff, sizeof(ea));
	tap_eq(map_of(a, 0, 1024, ea), 10, "as many entries as pages");
	tap_eq(map_of(b, 0, 1024, eb), 10, "of the clone too");
	tap_eq(ea[10], UINT64_MAX, "and no more");
	tap_eq(PENUMBRA_PAGE_KIND(ea[5]), PENUMBRA_PAGE_HOLE, "a hole");
	tap_eq(PENUMBRA_PAGE_KIND(ea[0]), PENUMBRA_PAGE_SHARED, "a shared page");
	tap_eq(PENUMBRA_PAGE_REFS(ea[0]), 2, "of two");
	tap_ok(PENUMBRA_PAGE_TOKEN(ea[0]) == PENUMBRA_PAGE_TOKEN(eb[0]), "its token is the same in both");
	tap_ok(PENUMBRA_PAGE_TOKEN(ea[1]) != PENUMBRA_PAGE_TOKEN(eb[1]), "another frame's is another");
	tap_eq(PENUMBRA_PAGE_KIND(eb[1]), PENUMBRA_PAGE_PRIVATE, "a private page");
	tap_eq(map_of(a, 8, 5, ea), 2, "from the middle");
	tap_eq(map_of(a, 10, 5, ea), 0, "from the end");
	tap_errno(map_of(a, 0, 5, NULL), errno, EFAULT, "to nowhere");
	tap_errno(ioctl(a, 0x1234), errno, ENOTTY, "another ioctl");
	ro = open(DIR_PENUMBRA "/map", O_RDONLY);
	wo = open(DIR_PENUMBRA "/map", O_WRONLY);
	tap_eq(map_of(ro, 0, 5, ea), 5, "of a file open for reading");
	tap_errno(map_of(wo, 0, 5, ea), errno, EBADF, "of one that is not");
	close(ro);
	close(wo);
	close(a);
	close(b);
	fs_remove("map");
	a = fs_tmpfile(2 * HUGE);
	fs_fill(a, 5, 1, 1);
	tap_eq(map_of(a, 0, 1024, ea), 1024, "with a 2 MiB frame");
	tap_ok((ea[0] & PENUMBRA_PAGE_HUGE) && (ea[511] & PENUMBRA_PAGE_HUGE) &&
	       !(ea[512] & PENUMBRA_PAGE_HUGE), "it is told");
	close(a);
}

static bool says(int fd, const char *name, const char *want)
{
	char path[256], text[256] = "";
	struct stat st;
	FILE *f;

	fstat(fd, &st);
	snprintf(path, sizeof(path), "/sys/fs/penumbra/%u:%u/files/%lu/%s", major(st.st_dev),
		 minor(st.st_dev), (unsigned long)st.st_ino, name);
	f = fopen(path, "r");
	if (!f || !fgets(text, sizeof(text), f))
		text[0] = 0;
	if (f)
		fclose(f);
	text[strcspn(text, "\n")] = 0;
	if (strcmp(text, want))
		tap_note("%s: '%s', not '%s'", name, text, want);
	return !strcmp(text, want);
}

static void names(void)
{
	int fd;

	mkdir(DIR_PENUMBRA "/dir", 0755);
	fd = fs_file("dir/a name", 3 * PAGE);
	tap_ok(says(fd, "name", "/dir/a name"), "a file's name is its path in the mount");
	tap_ok(says(fd, "group", "") && says(fd, "share", "group"), "group and share");
	tap_ok(says(fd, "size_pages", "3"), "size");
	fs_remove("dir/a name");
	tap_ok(says(fd, "name", "/dir/a name//deleted"), "a file without a name");
	close(fd);
	fd = fs_file("dir/with\nnewline\\", 0);
	tap_ok(says(fd, "name", "/dir/with\\012newline\\134"), "a name is one line");
	close(fd);
	fs_remove("dir/with\nnewline\\");
	rmdir(DIR_PENUMBRA "/dir");
}

/* How many of the file's numbers a user can read. */
static int as_user(void *arg)
{
	static const char * const names[] = { "name", "group", "resident_pages", "merged_pages" };
	unsigned int i, nr = 0;
	char path[256];
	struct stat st;

	if (setgid(1000) || setuid(1000) || fstat(*(int *)arg, &st))
		return 10;
	for (i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "/sys/fs/penumbra/%u:%u/files/%lu/%s", major(st.st_dev),
			 minor(st.st_dev), (unsigned long)st.st_ino, names[i]);
		nr += open(path, O_RDONLY) >= 0;
	}
	return nr;
}

static void owners(void)
{
	int fd = fs_file("owned", 3 * PAGE);

	tap_eq(fs_child(as_user, &fd), 0, "a file tells nothing to another user");
	tap_errno(fchown(fd, 1000, 1000), errno, 0, "given to him");
	tap_eq(fs_child(as_user, &fd), 4, "it tells everything");
	tap_errno(fchown(fd, 0, -1), errno, 0, "taken back");
	tap_eq(fs_child(as_user, &fd), 0, "nothing any more");
	tap_eq(fs_stat(fd, "size_pages"), 3, "but to root");
	close(fd);
	fs_remove("owned");
}

static void counts(void)
{
	int a = fs_tmpfile(8 * PAGE), b = fs_tmpfile(0), c = fs_tmpfile(0);

	fs_fill(a, 0, 6, 1);
	ioctl(b, FICLONE, a);
	ioctl(c, FICLONE, a);
	fs_fill(c, 0, 3, 2);
	tap_eq(fs_stat(a, "resident_pages"), 6, "resident");
	tap_eq(fs_stat(c, "private_pages"), 3, "private");
	tap_eq(fs_stat(c, "shared_pages"), 3, "shared");
	tap_eq(fs_stat(c, "proportional_pages"), 4, "proportional: 3 + 3/3");
	tap_eq(fs_stat(c, "cow_breaks"), 3, "broken");
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 9, "frames");
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "saved_pages"), 9, "saved");
	tap_ok(fs_mount_stat(DIR_PENUMBRA, "metadata_bytes") > 0, "metadata");
	tap_eq(fs_counter("files"), 3, "files");
	close(a);
	close(b);
	close(c);
}

void test_reports(void)
{
	page_maps();
	names();
	owners();
	counts();
}
