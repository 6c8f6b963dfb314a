// SPDX-License-Identifier: GPL-2.0
/* Mounts and their limits: options, a full filesystem, the reserve, what is busy. */
#include "fs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define MNT	"/tmp/mnt"

static int file_at(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	if (fd < 0)
		tap_bail("%s", path);
	return fd;
}

static bool must_mount(const char *options)
{
	return tap_ok(fs_mount(MNT, options), "mount -o %s", options);
}

static void options(void)
{
	static const char * const bad[] = {
		"size=x", "size=1Q", "size", "mode=9", "uid=-2", "huge=maybe", "reserve=1T", "group=", "nothing=1",
	};
	struct statfs fs;
	struct stat st;
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_errno(fs_mount(MNT, bad[i]) ? 0 : -1, errno, EINVAL, "mount -o %s", bad[i]);
	must_mount("size=25%,mode=0711,uid=5,gid=6,reserve=1M,huge=never,group=g");
	stat(MNT, &st);
	tap_ok(st.st_mode == (S_IFDIR | 0711) && st.st_uid == 5 && st.st_gid == 6, "mode and owner");
	statfs(MNT, &fs);
	tap_eq(fs.f_type, 0x50454e55, "statfs: type");
	tap_ok(fs.f_blocks > 1000 && fs.f_bsize == 4096, "statfs: size");
	tap_eq(fs.f_bfree, fs.f_blocks - 256, "statfs: free, less the reserve");
	tap_eq(fs_mount_stat(MNT, "reserve/target_pages"), 256, "reserve");
	tap_eq(fs_mount_stat(MNT, "huge"), 0, "huge");
	tap_eq(fs_mount_stat(MNT, "scan/dissolve_pages"), 1, "2 MiB frames are taken apart for a page");
	tap_errno(mount("none", MNT, "penumbra", MS_REMOUNT, "size=64M,huge=always"), errno, 0, "remount");
	tap_eq(fs_mount_stat(MNT, "size_pages"), 16384, "the size has changed");
	tap_errno(mount("none", MNT, "penumbra", MS_REMOUNT | MS_RDONLY, ""), errno, 0, "remount: ro");
	tap_errno(open(MNT "/f", O_RDWR | O_CREAT, 0600), errno, EROFS, "creation then");
	tap_errno(fs_umount(MNT), errno, 0, "umount");
}

static void full(void)
{
	struct statfs fs;
	char *map;
	int fd;

	must_mount("size=4M,reserve=0,huge=never");
	fd = file_at(MNT "/f");
	tap_errno(ftruncate(fd, 16 << 20), errno, 0, "a sparse file may be larger than the filesystem");
	map = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tap_errno(fallocate(fd, 0, 0, 1000 * PAGE), errno, 0, "1000 of 1024 pages");
	statfs(MNT, &fs);
	tap_eq(fs.f_bavail, 24, "statfs: 24 are free");
	tap_errno(fallocate(fd, 0, 1000 * PAGE, 100 * PAGE), errno, ENOSPC, "100 more");
	tap_errno(fallocate(fd, 0, 0, 1L << 40), errno, ENOSPC, "1 TiB");
	statfs(MNT, &fs);
	tap_eq(fs.f_bavail, 24, "nothing is taken for what cannot be");
	memset(map, 1, 1024 * PAGE);
	tap_eq(fs_touch(map + 1030 * PAGE, true), 1, "a fault then: SIGBUS");
	tap_eq(fs_touch(map + 1030 * PAGE, false), 0, "reading a hole is possible");
	tap_errno(pwrite(fd, "x", 1, 1030 * PAGE), errno, ENOSPC, "write()");
	tap_eq(map[5 * PAGE], 1, "what is there can be used");
	statfs(MNT, &fs);
	tap_eq(fs.f_bfree, 0, "statfs: nothing free");
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE);
	tap_eq(fs_touch(map + 1030 * PAGE, true), 0, "a page given back can be used elsewhere");
	tap_errno(mount("none", MNT, "penumbra", MS_REMOUNT, "size=1M"), errno, EINVAL,
		  "remount: less than is in use");
	tap_errno(mount("none", MNT, "penumbra", MS_REMOUNT, "size=8M"), errno, 0, "remount: more");
	tap_eq(fs_touch(map + 1031 * PAGE, true), 0, "which can be used");
	tap_errno(fs_umount(MNT), errno, EBUSY, "umount while a file is open");
	close(fd);
	tap_errno(fs_umount(MNT), errno, EBUSY, "umount while it is mapped");
	munmap(map, 16 << 20);
	tap_errno(fs_umount(MNT), errno, 0, "umount");
}

/* A 2 MiB frame for the first page makes the end of the range fail. */
static void ahead(void)
{
	struct statfs fs;
	int fd;

	must_mount("size=8M,reserve=0");
	fd = file_at(MNT "/f");
	ftruncate(fd, 6 * HUGE);
	fs_fill(fd, 2000, 1, 1);
	tap_errno(fallocate(fd, 0, HUGE - PAGE, 3 * HUGE + 100 * PAGE), errno, ENOSPC,
		  "a range without room for its end");
	statfs(MNT, &fs);
	tap_eq(fs.f_bfree, 4 * 512 - 512, "all is given back but what was there");
	tap_ok(fs_reads(fd, 2000, 1), "which is what it was");
	tap_errno(fallocate(fd, 0, 0, 3 * HUGE), errno, 0, "one with room for all");
	close(fd);
	tap_errno(fs_umount(MNT), errno, 0, "umount");
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static int child_writes(void *page)
{
	*(char *)page = 2;
	return 0;
}

/* A write gets SIGBUS after so many seconds, not sooner, and not much later. */
static void ends_after(char *page, double seconds, const char *what)
{
	double start = now();
	int result = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(fs_touch(page, true));
	while (now() - start < 20 && !waitpid(pid, &result, WNOHANG))
		usleep(10000);
	start = now() - start;
	if (result == -1) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	tap_ok(WIFEXITED(result) && WEXITSTATUS(result) == 1, "%s: SIGBUS", what);
	tap_ok(start > seconds * 0.9 && start < seconds + 1.6, "%s: after %d ms", what,
	       (int)(start * 1000));
}

/* All but the reserve is shared by two files: each write takes one frame of it. */
static void reserve(void)
{
	char *map, *first;
	int a, b, i, status;
	double start;
	pid_t pid;

	must_mount("size=4M,reserve=64k,huge=never");
	tap_eq(fs_mount_stat(MNT, "reserve/pages"), 16, "a reserve of 16 pages");
	a = file_at(MNT "/a");
	b = file_at(MNT "/b");
	fs_fill(a, 0, 1008, 1);
	tap_errno(pwrite(a, "x", 1, 1008 * PAGE), errno, ENOSPC, "which is not for filling holes");
	tap_errno(ioctl(b, FICLONE, a), errno, 0, "all is shared");
	map = mmap(NULL, 1008 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0);
	first = mmap(NULL, 1008 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0);
	for (i = 0; i < 16; i++)
		map[i * PAGE] = 2;
	tap_eq(fs_stat(b, "cow_breaks"), 16, "16 writes use it up");
	fs_mount_set(MNT, "reserve/wait_ms", "2000");
	ends_after(map + 20 * PAGE, 2, "the next, not mapped");
	tap_eq(map[20 * PAGE], first[20 * PAGE], "it can still be read");
	ends_after(map + 20 * PAGE, 2, "mapped to be read");
	tap_ok(map[0] == 2 && first[0] != 2, "and what was written stays");
	fs_mount_set(MNT, "reserve/wait_ms", "20000");
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(child_writes(map + 21 * PAGE));
	usleep(300000);
	tap_eq(waitpid(pid, &status, WNOHANG), 0, "a writer waits");
	fallocate(a, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 900 * PAGE, 100 * PAGE);
	fallocate(b, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 900 * PAGE, 100 * PAGE);
	start = now();
	waitpid(pid, &status, 0);
	tap_eq(status, 0, "until memory is given back");
	tap_ok(now() - start < 10, "at once (%d ms)", (int)((now() - start) * 1000));
	usleep(300000);
	tap_eq(fs_mount_stat(MNT, "reserve/pages"), 16, "the reserve is full again");
	munmap(map, 1008 * PAGE);
	munmap(first, 1008 * PAGE);
	close(a);
	close(b);
	tap_errno(fs_umount(MNT), errno, 0, "umount");
}

/* Without a reserve, or a tiny one, a writer waits as well, and goes on when there is room. */
static void small_reserve(void)
{
	char options[64], *map;
	int a, b, pages;

	for (pages = 0; pages < 4; pages++) {
		snprintf(options, sizeof(options), "size=1M,reserve=%dk,huge=never", pages * 4);
		must_mount(options);
		fs_mount_set(MNT, "reserve/wait_ms", "1000");
		a = file_at(MNT "/a");
		b = file_at(MNT "/b");
		fs_fill(a, 0, 256 - pages, 1);
		tap_errno(ioctl(b, FICLONE, a), errno, 0, "all is shared");
		map = mmap(NULL, 256 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0);
		memset(map, 2, pages * PAGE);
		ends_after(map + 10 * PAGE, 1, "a writer without a frame");
		fallocate(a, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100 * PAGE, 10 * PAGE);
		fallocate(b, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100 * PAGE, 10 * PAGE);
		tap_eq(fs_touch(map + 10 * PAGE, true), 0, "with one");
		munmap(map, 256 * PAGE);
		close(a);
		close(b);
		tap_errno(fs_umount(MNT), errno, 0, "umount");
	}
}

/* The one page is pinned, so a clone has to copy it, and there is no room. */
static void failed_clone(void)
{
	static const char group[] = "user.penumbra.group";
	int a, b, pin[2];
	struct iovec page;

	must_mount("size=4k,reserve=0,huge=never");
	a = file_at(MNT "/a");
	b = file_at(MNT "/b");
	fsetxattr(a, group, "g", 1, 0);
	fs_fill(a, 0, 1, 1);
	page.iov_base = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0);
	page.iov_len = PAGE;
	fs_touch(page.iov_base, true);
	tap_ok(!pipe(pin) && vmsplice(pin[1], &page, 1, 0) == (ssize_t)PAGE, "a page is pinned");
	tap_errno(ioctl(b, FICLONE, a), errno, ENOSPC, "a clone that cannot be made");
	tap_errno(fgetxattr(b, group, NULL, 0), errno, ENODATA, "leaves the file in its own group");
	close(pin[0]);
	close(pin[1]);
	tap_errno(ioctl(b, FICLONE, a), errno, 0, "until it can");
	tap_eq(fgetxattr(b, group, NULL, 0), 1, "then it joins");
	munmap(page.iov_base, PAGE);
	close(a);
	close(b);
	tap_errno(fs_umount(MNT), errno, 0, "umount");
}

static void two_mounts(void)
{
	int a, b;

	tap_eq(fs_counter("mounts"), 1, "one mount");
	must_mount("");
	tap_eq(fs_counter("mounts"), 2, "two");
	a = fs_tmpfile(PAGE);
	b = file_at(MNT "/b");
	fs_fill(a, 0, 1, 1);
	tap_errno(ioctl(b, FICLONE, a), errno, EXDEV, "a clone into the other");
	tap_eq(fs_counter("files"), 2, "two files");
	close(a);
	close(b);
	tap_errno(fs_umount(MNT), errno, 0, "umount");
	tap_eq(fs_counter("mounts"), 1, "one mount");
	tap_eq(fs_counter("files"), 0, "no file");
	tap_eq(fs_counter("metadata_bytes"), 0, "no metadata");
}

void test_limits(void)
{
	options();
	full();
	ahead();
	reserve();
	small_reserve();
	failed_clone();
	two_mounts();
}
