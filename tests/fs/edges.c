// SPDX-License-Identifier: GPL-2.0
/* Where things end: mount options at their limits, the largest file, clones cut short. */
#include "fs.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MNT	"/tmp/mnt"
#define SIZE_MAX_FILE	(LLONG_MAX & ~(off_t)(PAGE - 1))

static int file_at(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	if (fd < 0)
		tap_bail("%s", path);
	return fd;
}

static int remount(const char *options)
{
	return mount("none", MNT, "penumbra", MS_REMOUNT, options);
}

/* ---- mount options ---- */

static void sizes(void)
{
	static const char * const bad[] = {
		"size=99999999999999999999", "size=16E", "size=999999999999999%", "size=1M,reserve=1M",
		"size=1M,reserve=2M", "reserve=99999999999999999999", "nr_inodes=x", "nr_inodes=",
		"nr_inodes=99999999999999999999",
	};
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_errno(fs_mount(MNT, bad[i]) ? 0 : -1, errno, EINVAL, "mount -o %s", bad[i]);
	tap_ok(fs_mount(MNT, "size=16M"), "a mount smaller than the usual reserve");
	tap_eq(fs_mount_stat(MNT, "reserve/target_pages"), 512, "its reserve is an eighth");
	tap_ok(!fs_mount_set(MNT, "reserve/target_pages", "4096"), "and cannot become all of it");
	fs_umount(MNT);
	tap_ok(fs_mount(MNT, "size=100"), "size=100");
	tap_eq(fs_mount_stat(MNT, "size_pages"), 1, "is a page, and not no limit");
	fs_umount(MNT);
	tap_ok(fs_mount(MNT, "size=0,reserve=1"), "size=0");
	tap_eq(fs_mount_stat(MNT, "size_pages"), 0, "is no limit");
	tap_eq(fs_mount_stat(MNT, "reserve/target_pages"), 1, "a reserve of part of a page is a page");
	fs_umount(MNT);
	tap_ok(fs_mount(MNT, "size=0x100000,reserve=0"), "size=0x100000");
	tap_eq(fs_mount_stat(MNT, "size_pages"), 256, "is 1 MiB");
	fs_umount(MNT);
}

/* mount(8) repeats what the mount has. */
static void remounts(void)
{
	struct stat st;

	tap_ok(fs_mount(MNT, "size=64M,reserve=1M,mode=0711,uid=5,gid=6,group=g"), "mount");
	tap_errno(remount("size=32M,reserve=1M,huge=always,mode=0711,uid=5,gid=6,group=g"), errno, 0,
		  "remount with all that it has, and another size");
	tap_eq(fs_mount_stat(MNT, "size_pages"), 8192, "which it has then");
	tap_errno(remount("mode=0700,uid=0"), errno, 0, "mode and uid of a remount");
	stat(MNT, &st);
	tap_ok(st.st_mode == (S_IFDIR | 0711) && st.st_uid == 5, "say nothing, as on tmpfs");
	tap_errno(remount("group=h"), errno, EINVAL, "another group");
	tap_errno(remount("reserve=32M"), errno, EINVAL, "a reserve as large as the size");
	tap_errno(remount("size=1M"), errno, EINVAL, "a size as small as the reserve");
	tap_errno(remount("size=1M,reserve=512k"), errno, 0, "both smaller");
	tap_eq(fs_mount_stat(MNT, "reserve/target_pages"), 128, "the reserve is");
	tap_errno(fs_umount(MNT), errno, 0, "umount");
}

static void inodes(void)
{
	struct statfs fs;

	tap_ok(fs_mount(MNT, "size=4M,nr_inodes=4"), "mount -o nr_inodes=4");
	close(file_at(MNT "/a"));
	close(file_at(MNT "/b"));
	tap_ok(fs_mount_stat(MNT, "metadata_bytes") < 2048, "empty files take next to nothing (%lld)",
	       fs_mount_stat(MNT, "metadata_bytes"));
	tap_errno(mkdir(MNT "/d", 0755), errno, 0, "two files, a folder, and the root");
	statfs(MNT, &fs);
	tap_ok(fs.f_files == 4 && fs.f_ffree == 0, "statfs: 4, none is free");
	tap_errno(open(MNT "/c", O_RDWR | O_CREAT, 0600), errno, ENOSPC, "one more file");
	tap_errno(open(MNT, O_RDWR | O_TMPFILE, 0600), errno, ENOSPC, "without a name");
	tap_errno(symlink("a", MNT "/s"), errno, ENOSPC, "a symbolic link");
	tap_errno(link(MNT "/a", MNT "/a2"), errno, ENOSPC, "one more name");
	tap_errno(remount("nr_inodes=3"), errno, EINVAL, "remount: fewer than there are");
	tap_errno(rmdir(MNT "/d"), errno, 0, "rmdir");
	tap_errno(link(MNT "/a", MNT "/a2"), errno, 0, "makes room for a name");
	tap_errno(rename(MNT "/b", MNT "/a2"), errno, 0, "which is replaced");
	tap_errno(link(MNT "/a", MNT "/a3"), errno, 0, "room again");
	tap_errno(unlink(MNT "/a"), errno, 0, "and again");
	tap_errno(mkdir(MNT "/d", 0755), errno, 0, "for a folder");
	tap_errno(mkdir(MNT "/e", 0755), errno, ENOSPC, "for one");
	tap_errno(remount("nr_inodes=0"), errno, 0, "remount: no limit");
	tap_errno(mkdir(MNT "/e", 0755), errno, 0, "then");
	tap_errno(fs_umount(MNT), errno, 0, "umount");
}

/* ---- the largest file ---- */

static bool reads(int fd, off_t at, const char *want)
{
	char bytes[8];
	size_t n = strlen(want) + 1;

	return pread(fd, bytes, n, at) == (ssize_t)n && !memcmp(bytes, want, n);
}

static void largest(void)
{
	const off_t end = SIZE_MAX_FILE;
	int fd = fs_tmpfile(0), copy = fs_tmpfile(0);

	tap_errno(ftruncate(fd, LLONG_MAX), errno, EFBIG, "ftruncate to LLONG_MAX");
	tap_errno(ftruncate(fd, end), errno, 0, "to the last page before it");
	tap_errno(lseek(fd, 0, SEEK_DATA), errno, ENXIO, "SEEK_DATA: there is none");
	tap_errno(lseek(fd, 4096, SEEK_DATA), errno, ENXIO, "SEEK_DATA further on");
	tap_eq(lseek(fd, 8192, SEEK_HOLE), 8192, "SEEK_HOLE");
	pwrite(fd, "hello", 6, 0);
	pwrite(fd, "tail", 5, end - 5);
	tap_eq(lseek(fd, HUGE, SEEK_DATA), end - (off_t)PAGE, "SEEK_DATA finds the last page");
	tap_errno(ioctl(copy, FICLONE, fd), errno, 0, "a clone");
	tap_ok(reads(copy, 0, "hello") && reads(copy, end - 5, "tail"), "has all of it");
	tap_errno(pwrite(fd, "x", 1, end), errno, EFBIG, "a write behind it");
	tap_errno(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LLONG_MAX), errno, EFBIG,
		  "a hole of LLONG_MAX");
	tap_ok(reads(fd, 0, "hello"), "is none");
	tap_errno(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, end - PAGE), errno, 0,
		  "a hole of all but a page");
	tap_ok(reads(fd, 0, "") && reads(fd, end - 5, "tail"), "leaves that");
	pwrite(fd, "hello", 6, 0);
	tap_errno(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, end), errno, 0, "zeros everywhere");
	tap_ok(reads(fd, 0, "") && reads(fd, end - 5, ""), "are");
	pwrite(fd, "tail", 5, end - 5);
	tap_errno(ftruncate(fd, end - 3), errno, 0, "two bytes stay");
	tap_errno(ftruncate(fd, end), errno, 0, "and it grows again");
	tap_ok(reads(fd, end - 5, "ta"), "the others are zero");
	close(copy);
	close(fd);
}

/* ---- clones that cannot be finished ---- */

/* A source of 1024 pages, page 700 in a pipe, and another file takes the rest of the mount. */
struct crowded {
	int src, fill, ends[2];
	char *map;
};

static void crowd(struct crowded *c)
{
	char page[PAGE] = { 1 };
	struct iovec held;
	off_t at = 0;

	tap_ok(fs_mount(MNT, "size=8M,reserve=0,huge=never"), "mount");
	c->src = file_at(MNT "/src");
	c->fill = file_at(MNT "/fill");
	fsetxattr(c->src, "user.penumbra.group", "web", 3, 0);
	fs_fill(c->src, 0, 1024, 1);
	c->map = mmap(NULL, 1024 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, c->src, 0);
	c->map[700 * PAGE] ^= 1;
	c->map[700 * PAGE] ^= 1;
	held = (struct iovec){ c->map + 700 * PAGE, PAGE };
	if (pipe(c->ends) || vmsplice(c->ends[1], &held, 1, 0) != (ssize_t)PAGE)
		tap_bail("no page in a pipe");
	while (pwrite(c->fill, page, PAGE, at) == (ssize_t)PAGE)
		at += PAGE;
}

static void leave(struct crowded *c)
{
	munmap(c->map, 1024 * PAGE);
	close(c->ends[0]);
	close(c->ends[1]);
	close(c->src);
	close(c->fill);
	tap_errno(fs_umount(MNT), errno, 0, "umount");
}

static off_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_size;
}

static bool file_is(int fd, unsigned long first, unsigned long pages, uint64_t salt)
{
	unsigned long i;

	for (i = first; i < first + pages; i++)
		if (!fs_reads(fd, i, salt))
			return false;
	return true;
}

static void all_or_nothing(void)
{
	struct crowded c;
	int dst;

	crowd(&c);
	dst = file_at(MNT "/dst");
	tap_errno(ioctl(dst, FICLONE, c.src), errno, ENOSPC, "FICLONE with a page that cannot be copied");
	tap_eq(size_of(dst), 0, "the clone is empty");
	tap_eq(fs_stat(dst, "resident_pages"), 0, "and has no pages");
	tap_errno(fgetxattr(dst, "user.penumbra.group", NULL, 0), errno, ENODATA, "nor the source's group");
	tap_errno(fs_clone(c.src, 0, 0, dst, 0), errno, ENOSPC, "FICLONERANGE of all");
	tap_errno(fs_clone(c.src, 0, 1024 * PAGE, dst, 0), errno, ENOSPC, "with a length");
	tap_eq(size_of(dst), 0, "the clone is empty");
	tap_errno(copy_file_range(c.src, NULL, dst, NULL, 1024 * PAGE, 0) > 0 ? 0 : -1, errno, 0,
		  "copy_file_range() may do part of it");
	tap_ok(size_of(dst) > 0 && size_of(dst) <= 700 * (off_t)PAGE && file_is(dst, 0, 700, 1),
	       "and has done so (%ld pages)", (long)(size_of(dst) / (off_t)PAGE));
	close(dst);
	leave(&c);
}

/* What the destination had in the range comes back: pages, holes, what its clones share with it. */
static void brings_back(void)
{
	struct crowded c;
	int dst, twin;

	crowd(&c);
	fallocate(c.fill, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 200 * PAGE);
	dst = file_at(MNT "/dst");
	twin = file_at(MNT "/twin");
	fsetxattr(dst, "user.penumbra.group", "web", 3, 0);
	fs_fill(dst, 0, 100, 2);
	tap_errno(ioctl(twin, FICLONE, dst), errno, 0, "a file with a clone");
	fs_fill(dst, 600, 100, 2);
	ftruncate(dst, 700 * PAGE - 100);
	tap_errno(ioctl(dst, FICLONE, c.src), errno, ENOSPC, "becomes no other's clone");
	tap_eq(size_of(dst), 700 * PAGE - 100, "it has its size");
	tap_eq(fs_stat(dst, "resident_pages"), 200, "its pages");
	tap_ok(file_is(dst, 0, 100, 2) && file_is(dst, 600, 99, 2) && fs_reads_zero(dst, 300),
	       "and its content");
	tap_ok(file_is(twin, 0, 100, 2), "the clone has the same");
	tap_eq(fs_counter("files"), 4, "four files");
	close(dst);
	close(twin);
	leave(&c);
}

/* Bytes behind the ends of two files are in neither. */
static void behind_the_end(void)
{
	int a = fs_file("a", 0), b = fs_file("b", 0), status;
	char *ma, *mb;

	tap_ok(!fsetxattr(a, "user.penumbra.group", "g", 1, 0) &&
	       !fsetxattr(b, "user.penumbra.group", "g", 1, 0), "two files of a group");
	fs_fill(a, 0, 2, 1);
	fs_fill(b, 0, 2, 1);
	ftruncate(a, PAGE + 100);
	ftruncate(b, PAGE + 100);
	ma = fs_map(a, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	mb = fs_map(b, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	ma[PAGE + 2000] = 'x';
	tap_ok(!fs_dedupe(a, 0, PAGE + 100, b, 0, &status) && !status, "are equal, whatever is behind them");
	tap_eq(fs_stat(b, "shared_pages"), 2, "and share both pages");
	tap_ok(!ma[PAGE + 2000] && !mb[PAGE + 2000], "zeros are there");
	tap_ok(!fs_dedupe(a, 0, PAGE + 100, b, 0, &status) && !status, "once more");
	tap_eq(fs_stat(b, "cow_breaks"), 0, "parts nothing");
	munmap(ma, 2 * PAGE);
	munmap(mb, 2 * PAGE);
	close(a);
	close(b);
	fs_remove("a");
	fs_remove("b");
}

/* A path of @depth folders, each with a name of 200 characters. */
static size_t long_path(char *path, unsigned int depth)
{
	size_t len = sprintf(path, DIR_PENUMBRA);

	while (depth--) {
		path[len++] = '/';
		memset(path + len, 'a' + depth, 200);
		len += 200;
		path[len] = 0;
		mkdir(path, 0755);
	}
	return len;
}

static void long_name(void)
{
	char path[4096], name[4200] = "";
	size_t len = long_path(path, 15);
	struct stat st;
	FILE *f;
	int fd;

	strcpy(path + len, "/f");
	fd = open(path, O_RDWR | O_CREAT, 0600);
	fstat(fd, &st);
	snprintf(name, sizeof(name), "/sys/fs/penumbra/%u:%u/files/%lu/name", major(st.st_dev),
		 minor(st.st_dev), (unsigned long)st.st_ino);
	f = fopen(name, "r");
	tap_ok(f && fgets(name, sizeof(name), f), "the name of a file %zu characters down", len);
	name[strcspn(name, "\n")] = 0;
	tap_ok(!strcmp(name, path + strlen(DIR_PENUMBRA)), "is all there");
	if (f)
		fclose(f);
	close(fd);
	unlink(path);
	for (path[len] = 0; len > strlen(DIR_PENUMBRA); path[len -= 201] = 0)
		rmdir(path);
}

void test_edges(void)
{
	sizes();
	remounts();
	inodes();
	largest();
	all_or_nothing();
	brings_back();
	behind_the_end();
	long_name();
}
