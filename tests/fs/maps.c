// SPDX-License-Identifier: GPL-2.0
/* Mappings: shared and private, truncation below them, fork, mlock, mremap, madvise. */
#include "fs.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void shared_and_private(void)
{
	int fd = fs_tmpfile(64 * PAGE);
	char *shared = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char *read_only = mmap(NULL, 64 * PAGE, PROT_READ, MAP_SHARED, fd, 0);

	tap_ok(fs_is_zero(read_only + 5 * PAGE), "a hole reads as zero");
	tap_eq(fs_stat(fd, "resident_pages"), 0, "and stays a hole");
	shared[5 * PAGE] = 'a';
	tap_ok(read_only[5 * PAGE] == 'a' && private[5 * PAGE] == 'a', "a shared write is seen by all");
	tap_eq(fs_stat(fd, "resident_pages"), 1, "and takes a page");
	private[5 * PAGE] = 'b';
	private[6 * PAGE] = 'c';
	tap_ok(shared[5 * PAGE] == 'a' && !shared[6 * PAGE], "a private write is not");
	shared[5 * PAGE] = 'd';
	tap_ok(private[5 * PAGE] == 'b', "a private copy stays what it is");
	tap_errno(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 64 * PAGE), errno, 0,
		  "a hole is punched below all");
	tap_ok(!shared[5 * PAGE] && !read_only[5 * PAGE], "shared mappings read zero");
	tap_ok(private[5 * PAGE] == 'b' && private[6 * PAGE] == 'c', "private copies are kept");
	fs_fill(fd, 9, 1, 1);
	tap_ok(fs_is(shared + 9 * PAGE, 9, 1) && fs_is(private + 9 * PAGE, 9, 1),
	       "write() is seen by mappings");
	munmap(shared, 64 * PAGE);
	munmap(private, 64 * PAGE);
	munmap(read_only, 64 * PAGE);
	close(fd);
}

static void protections(void)
{
	int fd = fs_file("protections", 4 * PAGE);
	int ro = open(DIR_PENUMBRA "/protections", O_RDONLY);
	char *map;

	tap_errno((long)mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, ro, 0) == -1 ? -1 : 0, errno, EACCES,
		  "a writable shared mapping of a file open for reading");
	tap_errno((long)mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0) == -1 ? -1 : 0, errno,
		  EPERM, "an executable mapping");
	map = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	tap_eq(fs_touch(map, false), 0, "read");
	tap_eq(fs_touch(map, true), (uint64_t)-1, "write without permission: SIGSEGV");
	mprotect(map, 4 * PAGE, PROT_READ | PROT_WRITE);
	tap_eq(fs_touch(map, true), 0, "write after mprotect");
	tap_eq(fs_stat(fd, "resident_pages"), 1, "to a page of its own, not to the zero page");
	tap_eq(map[PAGE], 0, "other holes are still zero");
	tap_eq(fs_touch(map + 3 * PAGE, true), 0, "write to a page never read");
	mprotect(map, 4 * PAGE, PROT_READ);
	tap_eq(fs_touch(map, true), (uint64_t)-1, "write after it is taken back: SIGSEGV");
	munmap(map, 4 * PAGE);
	close(ro);
	close(fd);
	fs_remove("protections");
}

static void truncation(void)
{
	int fd = fs_tmpfile(4 * HUGE);
	char *shared = fs_map(fd, 4 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	char *private = fs_map(fd, 4 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	memset(shared, 1, 4 * HUGE);
	private[2 * HUGE] = 2;
	private[PAGE] = 2;
	tap_eq(fs_touch(shared + 4 * HUGE - 1, true), 0, "the last byte");
	tap_errno(ftruncate(fd, HUGE + 3 * PAGE), errno, 0, "truncated while mapped");
	tap_eq(fs_touch(shared + HUGE + 3 * PAGE, false), 1, "reading beyond the end: SIGBUS");
	tap_eq(fs_touch(shared + 3 * HUGE, true), 1, "writing beyond the end: SIGBUS");
	tap_eq(fs_touch(private + 2 * HUGE, false), 1, "private copies beyond the end are gone too");
	tap_eq(private[PAGE], 2, "those inside are kept");
	tap_eq(shared[HUGE + 3 * PAGE - 1], 1, "the file is kept up to its end");
	tap_eq(fs_stat(fd, "resident_pages"), 512 + 3, "pages beyond are given back");
	ftruncate(fd, 4 * HUGE);
	tap_eq(fs_touch(shared + 3 * HUGE, true), 0, "made longer it can be written again");
	tap_eq(shared[2 * HUGE], 0, "and is zero");
	ftruncate(fd, 0);
	tap_eq(fs_touch(shared, false), 1, "nothing left");
	tap_eq(fs_stat(fd, "resident_pages"), 0, "no page");
	munmap(shared, 4 * HUGE);
	munmap(private, 4 * HUGE);
	close(fd);
}

static int child_writes(void *arg)
{
	char *const *map = arg;

	map[0][0] = 'S';
	map[1][0] = 'P';
	map[1][PAGE] = 'Q';
	return map[0][PAGE] == 's' && map[1][2 * PAGE] == 'p' ? 0 : 1;
}

static void forks(void)
{
	int fd = fs_tmpfile(2 * HUGE);
	char *map[2] = {
		fs_map(fd, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED),
		fs_map(fd, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE),
	};

	map[0][PAGE] = 's';
	map[1][2 * PAGE] = 'p';
	tap_eq(map[1][3 * PAGE], 0, "a private mapping has read the file");
	tap_eq(fs_child(child_writes, map), 0, "a child sees what its parent has");
	tap_ok(map[0][0] == 'S', "the parent sees what the child wrote to the shared mapping");
	tap_ok(map[1][0] == 'S' && map[1][PAGE] == 's', "and not what it wrote to the private one");
	munmap(map[0], 2 * HUGE);
	munmap(map[1], 2 * HUGE);
	close(fd);
}

static void advice(void)
{
	int fd = fs_tmpfile(4 * HUGE);
	char *map = fs_map(fd, 4 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED), *moved;

	memset(map, 7, 2 * HUGE);
	tap_errno(madvise(map, 2 * HUGE, MADV_DONTNEED), errno, 0, "MADV_DONTNEED");
	tap_eq(fs_stat(fd, "resident_pages"), 1024, "the file keeps its pages");
	tap_eq(map[HUGE], 7, "and they are mapped again");
	tap_errno(madvise(map + HUGE, PAGE * 100, MADV_REMOVE), errno, 0, "MADV_REMOVE");
	tap_eq(fs_stat(fd, "resident_pages"), 1024 - 100, "gives pages back");
	tap_ok(!map[HUGE] && map[HUGE + 100 * PAGE] == 7, "those and no others");
	tap_errno(madvise(map, HUGE, MADV_COLD), errno, 0, "MADV_COLD");
	tap_errno(madvise(map + PAGE, PAGE, MADV_COLD), errno, 0, "MADV_COLD of one page");
	tap_errno(madvise(map, 2 * HUGE, MADV_PAGEOUT), errno, 0, "MADV_PAGEOUT");
	tap_errno(madvise(map, HUGE, MADV_FREE), errno, EINVAL, "MADV_FREE is for anonymous memory");
	madvise(map, 4 * HUGE, MADV_HUGEPAGE);
	madvise(map, 4 * HUGE, MADV_NOHUGEPAGE);
	tap_errno(madvise(map + 3 * HUGE, HUGE, MADV_POPULATE_WRITE), errno, 0, "MADV_POPULATE_WRITE");
	tap_eq(fs_stat(fd, "resident_pages"), 1024 - 100 + 512, "fills");
	tap_eq(map[0], 7, "nothing is lost");
	moved = mremap(map, 2 * HUGE, 2 * HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, map + 16 * HUGE);
	tap_ok(moved == map + 16 * HUGE && moved[0] == 7 && !moved[HUGE], "mremap moves a mapping");
	moved = mremap(moved, 2 * HUGE, 4 * HUGE, MREMAP_MAYMOVE);
	tap_ok(moved != MAP_FAILED && moved[0] == 7 && !moved[3 * HUGE], "and makes it longer");
	moved[0] = 8;
	tap_ok(fs_touch(moved + 3 * HUGE, true) == 0, "which can be written");
	munmap(moved, 4 * HUGE);
	munmap(map + 2 * HUGE, 2 * HUGE);
	close(fd);
}

static void locked(void)
{
	int fd = fs_tmpfile(2 * HUGE);
	char *map = fs_map(fd, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	char *private = fs_map(fd, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	tap_errno(mlock(map, 2 * HUGE), errno, 0, "mlock");
	tap_eq(fs_stat(fd, "resident_pages"), 1024, "brings all pages in");
	tap_eq(fs_smaps(map, "Locked"), 2 * HUGE / 1024, "they count as locked");
	tap_errno(mlock(private, PAGE * 10), errno, 0, "mlock of a private mapping");
	memset(map, 3, 2 * HUGE);
	tap_errno(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE), errno, 0,
		  "a hole in what is locked");
	tap_ok(!map[PAGE] && map[2 * PAGE] == 3 && map[0] == 3, "that page alone is zero");
	tap_errno(ftruncate(fd, HUGE), errno, 0, "truncated");
	tap_errno(munlock(map, HUGE), errno, 0, "munlock");
	munmap(map, 2 * HUGE);
	munmap(private, 2 * HUGE);
	close(fd);
}

void test_maps(void)
{
	shared_and_private();
	protections();
	truncation();
	forks();
	advice();
	locked();
}
