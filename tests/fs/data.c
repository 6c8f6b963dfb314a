// SPDX-License-Identifier: GPL-2.0
/*
 * Content: read, write, truncate, fallocate, seek; with values, and with random operations beside a
 * file on tmpfs.
 */
#include "fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static void ends_of_files(void)
{
	int fd = fs_tmpfile(10 * PAGE);
	char *map = fs_map(fd, 10 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	char byte = 1;

	fs_fill(fd, 0, 10, 1);
	tap_errno(ftruncate(fd, 5 * PAGE + 100), errno, 0, "truncated in the middle of a page");
	memset(map + 5 * PAGE, 'y', PAGE);	/* bytes beyond the end are there, but not kept */
	tap_errno(ftruncate(fd, 9 * PAGE), errno, 0, "and made longer");
	tap_ok(map[5 * PAGE + 99] == 'y', "what was inside is kept");
	tap_ok(!map[5 * PAGE + 100] && !map[6 * PAGE - 1], "what was outside is zero");
	tap_ok(fs_is_zero(map + 6 * PAGE), "pages that were cut off are zero");
	tap_eq(fs_stat(fd, "resident_pages"), 6, "pages that were cut off are given up");
	ftruncate(fd, 100);
	memset(map, 'z', PAGE);
	pwrite(fd, &byte, 1, 3 * PAGE);
	tap_ok(map[99] == 'z' && !map[100] && !map[PAGE - 1], "a write beyond the end zeroes the gap");
	tap_ok(fs_is_zero(map + PAGE) && map[3 * PAGE] == 1, "and leaves a hole");
	munmap(map, 10 * PAGE);
	close(fd);
}

static void holes(void)
{
	int fd = fs_tmpfile(8 * PAGE);
	struct stat st;

	fs_fill(fd, 1, 1, 2);
	fs_fill(fd, 4, 2, 2);
	tap_eq(lseek(fd, 0, SEEK_DATA), PAGE, "SEEK_DATA");
	tap_eq(lseek(fd, PAGE + 5, SEEK_DATA), PAGE + 5, "SEEK_DATA inside of it");
	tap_eq(lseek(fd, PAGE + 5, SEEK_HOLE), 2 * PAGE, "SEEK_HOLE");
	tap_eq(lseek(fd, 4 * PAGE, SEEK_HOLE), 6 * PAGE, "SEEK_HOLE behind two pages");
	tap_errno(lseek(fd, 6 * PAGE, SEEK_DATA), errno, ENXIO, "SEEK_DATA in the last hole");
	tap_errno(lseek(fd, 8 * PAGE, SEEK_HOLE), errno, ENXIO, "SEEK_HOLE at the end");
	fstat(fd, &st);
	tap_eq(st.st_blocks, 3 * PAGE / 512, "st_blocks");
	tap_errno(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * PAGE + 100, PAGE),
		  errno, 0, "a hole that begins and ends inside of pages");
	tap_eq(fs_stat(fd, "resident_pages"), 3, "gives up no page");
	tap_errno(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * PAGE, 100 * PAGE),
		  errno, 0, "a hole that goes beyond the end");
	tap_eq(fs_stat(fd, "resident_pages"), 1, "gives up what there was");
	tap_eq(fs_stat(fd, "punched_pages"), 2, "and counts it");
	tap_ok(fs_reads(fd, 1, 2) && fs_reads_zero(fd, 4), "its content is zero, others' stays");
	close(fd);
}

static void fallocates(void)
{
	int fd = fs_tmpfile(0);
	struct stat st;

	tap_errno(fallocate(fd, 0, 100, 3 * PAGE), errno, 0, "fallocate beyond the end");
	fstat(fd, &st);
	tap_eq(st.st_size, 3 * PAGE + 100, "makes the file longer");
	tap_eq(fs_stat(fd, "resident_pages"), 4, "and fills it");
	tap_errno(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 9 * PAGE), errno, 0, "with KEEP_SIZE");
	fstat(fd, &st);
	tap_eq(st.st_size, 3 * PAGE + 100, "the size stays");
	fs_fill(fd, 0, 3, 3);
	tap_errno(fallocate(fd, FALLOC_FL_ZERO_RANGE, PAGE, 4 * PAGE), errno, 0, "ZERO_RANGE");
	fstat(fd, &st);
	tap_eq(st.st_size, 5 * PAGE, "makes the file longer");
	tap_ok(fs_reads(fd, 0, 3) && fs_reads_zero(fd, 1) && fs_reads_zero(fd, 4), "and zeroes");
	tap_errno(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, PAGE), errno, EOPNOTSUPP,
		  "PUNCH_HOLE without KEEP_SIZE");
	tap_errno(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE), errno, EOPNOTSUPP,
		  "COLLAPSE_RANGE");
	tap_errno(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, PAGE), errno, EOPNOTSUPP, "INSERT_RANGE");
	tap_errno(fallocate(fd, 0, 0, 0), errno, EINVAL, "no length");
	tap_errno(fallocate(fd, 0, -1, PAGE), errno, EINVAL, "a negative offset");
	tap_errno(fallocate(fd, 0, 0, INT64_MAX), errno, EFBIG, "more than a file can have");
	tap_errno(fallocate(fd, 0, 0, INT64_MAX - 4095), errno, ENOSPC, "more than there can be");
	fstat(fd, &st);
	tap_eq(st.st_size, 5 * PAGE, "the size stays");
	close(fd);
}

static void pipes(void)
{
	int fd = fs_tmpfile(0), copy = fs_tmpfile(0), ends[2];
	loff_t at = 0;

	fs_fill(fd, 0, 16, 4);
	tap_ok(!pipe(ends) && splice(fd, &at, ends[1], NULL, 16 * PAGE, 0) > 0, "splice out");
	tap_ok(splice(ends[0], NULL, copy, NULL, at, 0) == at, "splice in");
	tap_ok(fs_reads(copy, 0, 4), "arrives as it was");
	lseek(copy, 0, SEEK_SET);
	lseek(fd, 0, SEEK_SET);
	tap_eq(sendfile(copy, fd, NULL, 16 * PAGE), 16 * PAGE, "sendfile");
	tap_ok(fs_reads(copy, 15, 4), "arrives as it was");
	tap_eq(copy_file_range(fd, &(loff_t){ 0 }, copy, &(loff_t){ 100 }, 5 * PAGE, 0), 5 * PAGE,
	       "copy_file_range, unaligned");
	close(ends[0]);
	close(ends[1]);
	close(copy);
	close(fd);
}

void test_data(void)
{
	ends_of_files();
	holes();
	fallocates();
	pipes();
}

/* ---- random operations ---- */

#define RANDOM_SIZE	(3 * HUGE + 5 * PAGE)
#define ROUNDS		4000

struct pair {
	int ours, theirs;
	char *map_ours, *map_theirs;
	off_t size;
};

static uint64_t seed = 1;

static uint64_t roll(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static void op_write(struct pair *p, off_t at, size_t len)
{
	static char buf[64 * 1024];
	size_t i;

	len = len % sizeof(buf) + 1;
	for (i = 0; i < len; i += 8)
		buf[i] = roll(256);
	if (pwrite(p->ours, buf, len, at) != pwrite(p->theirs, buf, len, at))
		tap_bail("a write of %zu at %lld differs", len, (long long)at);
	if ((off_t)(at + len) > p->size)
		p->size = at + len;
}

static void op_map(struct pair *p, off_t at, size_t len)
{
	if (at >= p->size)
		return;
	if ((off_t)(at + len) > p->size)
		len = p->size - at;
	memset(p->map_ours + at, at & 0xff, len);
	memset(p->map_theirs + at, at & 0xff, len);
}

static void op_allocate(struct pair *p, int mode, off_t at, size_t len)
{
	static const char zeros[64 * 1024];
	long a = fallocate(p->ours, mode, at, len), b;
	struct stat st;

	if (mode & FALLOC_FL_ZERO_RANGE)	/* tmpfs does not have it */
		b = pwrite(p->theirs, zeros, len, at) == (ssize_t)len ? 0 : -1;
	else
		b = fallocate(p->theirs, mode, at, len);
	fstat(p->ours, &st);
	if (a != b)
		tap_bail("fallocate mode %d of %zu at %lld: %ld, %ld", mode, len, (long long)at, a, b);
	p->size = st.st_size;
}

static void op_truncate(struct pair *p, off_t size)
{
	if (ftruncate(p->ours, size) || ftruncate(p->theirs, size))
		tap_bail("truncation to %lld", (long long)size);
	p->size = size;
}

/* A private mapping of all, written here and there, must not show in the file. */
static void op_private(struct pair *p)
{
	char *map = mmap(NULL, RANDOM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, p->ours, 0);
	unsigned int i;

	for (i = 0; i < 20 && p->size; i++)
		map[roll(p->size)] ^= 0x55;
	munmap(map, RANDOM_SIZE);
}

static void one_op(struct pair *p)
{
	off_t at = roll(RANDOM_SIZE - 70000);
	size_t len = roll(4) ? roll(20000) + 1 : roll(RANDOM_SIZE - at) + 1;

	switch (roll(9)) {
	case 0: case 1:
		op_write(p, at, len);
		break;
	case 2: case 3:
		op_map(p, at, len);
		break;
	case 4:
		op_allocate(p, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len);
		break;
	case 5:
		op_allocate(p, 0, at, len % 100000 + 1);
		break;
	case 6:
		op_allocate(p, FALLOC_FL_ZERO_RANGE, at, len % 60000 + 1);
		break;
	case 7:
		op_truncate(p, roll(3) ? RANDOM_SIZE - roll(3 * PAGE) : roll(RANDOM_SIZE));
		break;
	case 8:
		op_private(p);
	}
}

static bool same(struct pair *p)
{
	struct stat a, b;

	fstat(p->ours, &a);
	fstat(p->theirs, &b);
	if (a.st_size != b.st_size) {
		tap_note("sizes: %lld, %lld", (long long)a.st_size, (long long)b.st_size);
		return false;
	}
	return !memcmp(p->map_ours, p->map_theirs, p->size);
}

void test_random(void)
{
	struct pair p = {
		.ours = fs_tmpfile(0),
		.theirs = open(DIR_TMPFS, O_RDWR | O_TMPFILE, 0600),
	};
	const char *start = getenv("FS_SEED");
	unsigned int i;

	seed = start ? strtoull(start, NULL, 0) : 0x123456789abcdefULL;
	p.map_ours = fs_map(p.ours, RANDOM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	p.map_theirs = fs_map(p.theirs, RANDOM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	for (i = 0; i < ROUNDS; i++) {
		one_op(&p);
		if (i % 50 == 49 && !same(&p))
			break;
	}
	if (!tap_ok(i == ROUNDS, "%u random operations leave what they leave on tmpfs", ROUNDS))
		tap_note("after %u operations", i);
	munmap(p.map_ours, RANDOM_SIZE);
	munmap(p.map_theirs, RANDOM_SIZE);
	close(p.ours);
	close(p.theirs);
}
