// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that the machine found bad (MADV_HWPOISON): the page gives SIGBUS and EIO, its neighbours
 * and whoever shares nothing with it go on. The bad memory is not used again.
 */
#include "fs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

/* False: this kernel cannot. The call itself may fail, as the memory is none the kernel knows. */
static bool poison(char *page)
{
	return !madvise(page, PAGE, MADV_HWPOISON) || errno != EINVAL;
}

static char *map_anew(int fd, char *old)
{
	munmap(old, 2 * HUGE);
	return fs_map(fd, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static void bad_page(bool huge)
{
	int fd, copy;
	char *map, byte;

	fs_mount_set(DIR_PENUMBRA, "huge", huge ? "1" : "0");
	fd = fs_tmpfile(2 * HUGE);
	copy = fs_tmpfile(0);
	map = fs_map(fd, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	fs_fill(fd, 0, 1024, 1);
	if (!poison(map + 5 * PAGE)) {
		tap_skip("a bad page", "the kernel has no MADV_HWPOISON");
		goto out;
	}
	map = map_anew(fd, map);
	tap_eq(fs_touch(map + 4 * PAGE, true), 0, "%s: before a bad page", huge ? "2 MiB" : "4 KiB");
	tap_eq(fs_touch(map + 6 * PAGE, true), 0, "behind it");
	tap_eq(fs_touch(map + 5 * PAGE, false), 1, "reading it: SIGBUS");
	tap_eq(fs_touch(map + 5 * PAGE, true), 1, "writing it: SIGBUS");
	tap_errno(pread(fd, &byte, 1, 5 * PAGE), errno, EIO, "read()");
	tap_errno(pwrite(fd, "x", 1, 5 * PAGE), errno, EIO, "write()");
	tap_ok(fs_reads(fd, 7, 1), "another page is read");
	tap_errno(ioctl(copy, FICLONE, fd), errno, 0, "a clone");
	tap_errno(pread(copy, &byte, 1, 5 * PAGE), errno, EIO, "its page is bad as well");
	tap_ok(fs_reads(copy, 7, 1) && fs_reads(copy, 1023, 1), "the others are not");
	tap_errno(pwrite(copy, "x", 1, 0), errno, 0, "a write to the clone");
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * PAGE, PAGE);
	tap_ok(fs_reads_zero(fd, 5) && fs_touch(map + 5 * PAGE, true) == 0, "given back, there is a new one");
	fallocate(copy, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * PAGE, PAGE);
	tap_ok(fs_reads_zero(copy, 5), "in the clone too");
out:
	munmap(map, 2 * HUGE);
	close(fd);
	close(copy);
	fs_mount_set(DIR_PENUMBRA, "huge", "1");
}

/* A 2 MiB frame with a bad part goes as it is; all but the part can be had again. */
static void bad_part_freed(void)
{
	int fd = fs_tmpfile(2 * HUGE);
	char *map = fs_map(fd, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	unsigned int i, bad = 0;

	fs_fill(fd, 0, 1024, 1);
	poison(map + 700 * PAGE);
	munmap(map, 2 * HUGE);
	close(fd);
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 0, "a file with a bad page goes");
	for (i = 0; i < 100; i++) {
		fd = fs_tmpfile(2 * HUGE);
		map = fs_map(fd, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
		for (unsigned int page = 0; page < 1024; page++)
			bad += fs_touch(map + page * PAGE, true) != 0;
		munmap(map, 2 * HUGE);
		close(fd);
	}
	tap_eq(bad, 0, "and no file gets it again");
}

void test_poison(void)
{
	bad_page(false);
	bad_page(true);
	bad_part_freed();
}
