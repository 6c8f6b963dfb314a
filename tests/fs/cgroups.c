// SPDX-License-Identifier: GPL-2.0
/*
 * Memory cgroups: what a limited one may have, and who pays for what.
 *
 * A process that is to meet its limit has all its page tables before, so that only frames are
 * asked for and the kernel need not kill anybody for other memory.
 */
#include "fs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MNT	"/tmp/charged"
#define CGROUPS	"/tmp/cgroups"
#define BOX	CGROUPS "/box"
#define FILE_PAGES	4096UL

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		tap_note("cannot write '%s' to %s: %s", text, path, strerror(errno));
	close(fd);
}

static long long used_bytes(void)
{
	char text[32] = "";
	int fd = open(BOX "/memory.current", O_RDONLY);

	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return atoll(text);
}

static void enter_box(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	put(BOX "/cgroup.procs", pid);
}

struct writer {
	int fd;
	const char *max;		/* memory.max from the first write on */
};

/* Reads all of the file; then writes until that ends with SIGBUS, and write() with ENOMEM. */
static int writes_until_sigbus(void *arg)
{
	const struct writer *w = arg;
	char *map = mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	unsigned long i;

	enter_box();
	for (i = 0; i < FILE_PAGES; i++)
		if (fs_touch(map + i * PAGE, false))
			return 10;
	put(BOX "/memory.max", w->max);
	for (i = 0; i < FILE_PAGES; i++)
		if (fs_touch(map + i * PAGE, true))
			break;
	if (i == FILE_PAGES)
		return 11;
	while (i < FILE_PAGES && pwrite(w->fd, "x", 1, i * PAGE) == 1)
		i++;		/* one may have come free since */
	return i < FILE_PAGES && errno == ENOMEM ? 0 : 12;
}

static int file_at(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	if (fd < 0)
		tap_bail("%s", path);
	return fd;
}

/* A clone of 16 MiB is written in a box of @max, which has room for fewer than @limit copies. */
static void writes_clone(const char *options, const char *max, unsigned long long limit)
{
	struct writer w = { .max = max };
	unsigned long long copies;
	long long left;
	int a;

	tap_ok(fs_mount(MNT, options), "mount -o %s", options);
	fs_mount_set(MNT, "reserve/wait_ms", "100");
	mkdir(BOX, 0755);
	a = file_at(MNT "/a");
	w.fd = file_at(MNT "/b");
	fs_fill(a, 0, FILE_PAGES, 1);
	tap_errno(ioctl(w.fd, FICLONE, a), errno, 0, "a clone");
	tap_eq(fs_child(writes_until_sigbus, &w), 0,
	       "memory.max=%s: a writer of its pages gets SIGBUS", max);
	copies = fs_stat(w.fd, "cow_breaks");
	left = fs_mount_stat(MNT, "reserve/pages");
	tap_ok(copies > limit / 8 && copies < limit, "after %llu copies, of %llu at most",
	       copies, limit);
	tap_ok(used_bytes() > (long long)(copies * PAGE * 9 / 10), "for which it pays (%lld KiB)",
	       used_bytes() / 1024);
	tap_ok(left >= 1024 - (long long)limit, "the reserve is not for that (%lld pages)", left);
	close(a);
	close(w.fd);
	tap_errno(fs_umount(MNT), errno, 0, "umount");
	rmdir(BOX);
}

static int mounts(void *arg)
{
	enter_box();
	return !fs_mount(MNT, "size=64M,reserve=16M");
}

void test_cgroups(void)
{
	mkdir(CGROUPS, 0755);
	if (mount("none", CGROUPS, "cgroup2", 0, NULL)) {
		tap_skip("cgroups", "no cgroup2: %s", strerror(errno));
		return;
	}
	put(CGROUPS "/cgroup.subtree_control", "+memory");
	tap_note("there is memory and room");
	writes_clone("size=64M,reserve=4M,huge=never", "4M", 1024);
	tap_note("there is memory but no room: the reserve makes it");
	writes_clone("size=20M,reserve=4M,huge=never", "2M", 512);
	mkdir(BOX, 0755);
	tap_eq(fs_child(mounts, NULL), 0, "a mount with a reserve of 16 MiB");
	tap_ok(used_bytes() < 4 << 20, "whoever mounts does not pay for it (%lld KiB)",
	       used_bytes() / 1024);
	tap_eq(fs_mount_stat(MNT, "reserve/pages"), 4096, "which is there");
	tap_errno(fs_umount(MNT), errno, 0, "umount");
	rmdir(BOX);
	umount(CGROUPS);
}
