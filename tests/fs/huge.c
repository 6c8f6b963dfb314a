// SPDX-License-Identifier: GPL-2.0
/* 2 MiB frames: when they come, how they are mapped, taken apart and shared. */
#include "fs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static long mapped_huge(const void *at)
{
	long file = fs_smaps(at, "FilePmdMapped"), shmem = fs_smaps(at, "ShmemPmdMapped");

	return (file > 0 ? file : 0) + (shmem > 0 ? shmem : 0);
}

static bool punch(int fd, off_t at, off_t len)
{
	return !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len);
}

static void coming(void)
{
	int fd = fs_tmpfile(3 * HUGE + PAGE);
	char *map = fs_map(fd, 3 * HUGE + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);

	tap_eq(map[5 * PAGE], 0, "a hole is read");
	tap_eq(fs_stat(fd, "resident_pages"), 0, "nothing is there");
	map[5 * PAGE] = 1;
	tap_eq(fs_stat(fd, "huge_frames"), 1, "the first write takes a 2 MiB frame");
	tap_eq(fs_stat(fd, "resident_pages"), 512, "of 512 pages");
	tap_eq(mapped_huge(map), HUGE / 1024, "it is mapped in one");
	tap_ok(fs_is_zero(map) && fs_is_zero(map + HUGE - PAGE), "the rest is zero");
	map[3 * HUGE] = 1;
	tap_eq(fs_stat(fd, "huge_frames"), 1, "the end of the file has no room for one");
	tap_eq(fs_stat(fd, "resident_pages"), 513, "and takes a page");
	fs_fill(fd, 512, 1, 1);
	tap_eq(fs_stat(fd, "huge_frames"), 2, "write() takes one too");
	tap_eq(fs_touch(map + HUGE, false), 0, "read it");
	tap_eq(mapped_huge(map), 2 * HUGE / 1024, "mapped in one");
	munmap(map, 3 * HUGE + PAGE);
	map = mmap(NULL, HUGE + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, HUGE - PAGE);
	tap_ok(fs_is(map + PAGE, 512, 1), "mapped at an odd place it is the same");
	map[0] = 9;
	map[2 * PAGE] = 9;
	munmap(map, HUGE + PAGE);
	map = fs_map(fd, 2 * HUGE, PROT_READ, MAP_PRIVATE);
	tap_ok(map[HUGE - PAGE] == 9 && map[HUGE + PAGE] == 9, "and what was written there is there");
	munmap(map, 2 * HUGE);
	close(fd);
}

static void apart(void)
{
	int fd = fs_tmpfile(2 * HUGE);
	char *map = fs_map(fd, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	unsigned int i, wrong = 0;

	fs_fill(fd, 0, 1024, 5);
	tap_eq(map[0], map[0], "mapped");
	map[HUGE] = map[HUGE];
	tap_eq(fs_stat(fd, "huge_frames"), 2, "two 2 MiB frames");
	tap_ok(punch(fd, 7 * PAGE, PAGE), "one page is given back");
	tap_eq(fs_stat(fd, "huge_frames"), 1, "its frame is dissolved");
	tap_eq(fs_stat(fd, "resident_pages"), 1023, "511 pages of it are left");
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 1023, "and one is free");
	for (i = 0; i < 1024; i++)
		wrong += i != 7 && !fs_is(map + i * PAGE, i, 5);
	tap_eq(wrong, 0, "all others are as they were");
	tap_ok(fs_is_zero(map + 7 * PAGE), "that page is zero");
	memset(map, 0x33, HUGE);
	tap_eq(fs_stat(fd, "resident_pages"), 1024, "written, they are there again");
	tap_ok(punch(fd, 0, HUGE), "all 512 are given back");
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 512, "and are free");
	map[0] = 1;
	tap_eq(fs_stat(fd, "huge_frames"), 2, "then a 2 MiB frame comes again");
	tap_ok(punch(fd, 0, HUGE), "given back as a whole");
	tap_eq(fs_stat(fd, "huge_frames"), 1, "it is gone");
	munmap(map, 2 * HUGE);
	close(fd);
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 0, "the last user gone, all is free");
}

/* Over and over, with the machine's memory short enough that pages are used again. */
static void again(void)
{
	int fd = fs_tmpfile(64 * HUGE);
	char *map = fs_map(fd, 64 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	unsigned int round, i, wrong = 0;

	for (round = 0; round < 8; round++) {
		for (i = 0; i < 64; i++) {
			memset(map + i * HUGE, round + 1, HUGE);
			punch(fd, i * HUGE + (i * 8 + round) * PAGE, PAGE);
		}
		for (i = 0; i < 64; i++)
			wrong += map[i * HUGE + ((i * 8 + round + 1) % 512) * PAGE] != (char)(round + 1);
		if (round % 2)
			punch(fd, 0, 64 * HUGE);
	}
	tap_eq(wrong, 0, "frames taken apart and given back over and over keep their content");
	munmap(map, 64 * HUGE);
	close(fd);
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 0, "and none is lost");
}

static void never(void)
{
	int fd;
	char *map;

	tap_ok(fs_mount_set(DIR_PENUMBRA, "huge", "0"), "huge = 0");
	fd = fs_tmpfile(HUGE);
	map = fs_map(fd, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	map[0] = 1;
	tap_eq(fs_stat(fd, "resident_pages"), 1, "a write takes one page");
	munmap(map, HUGE);
	close(fd);
	tap_ok(fs_mount_set(DIR_PENUMBRA, "huge", "1"), "huge = 1");
}

void test_huge(void)
{
	coming();
	apart();
	again();
	never();
}
