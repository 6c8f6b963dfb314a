// SPDX-License-Identifier: GPL-2.0
/* Clones and deduplication: what they share, what breaks it, and bad ranges. */
#include "fs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool all_are(const char *map, unsigned long first, unsigned long pages, uint64_t salt)
{
	unsigned long i;

	for (i = 0; i < pages; i++)
		if (!fs_is(map + i * PAGE, first + i, salt))
			return false;
	return true;
}

static void whole(void)
{
	int a = fs_tmpfile(4 * HUGE + 3 * PAGE + 100), b = fs_tmpfile(0);
	char *ma, *mb;
	struct stat st;
	long long before;

	fs_fill(a, 0, 512, 1);
	fs_fill(a, 600, 10, 1);
	fs_fill(a, 2047, 4, 1);
	before = fs_mount_stat(DIR_PENUMBRA, "frame_pages");
	ma = fs_map(a, 4 * HUGE + 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	ma[0] = ma[0];		/* mapped for writing */
	ma[600 * PAGE] = ma[600 * PAGE];
	tap_errno(ioctl(b, FICLONE, a), errno, 0, "FICLONE into an empty file");
	fstat(b, &st);
	tap_eq(st.st_size, 4 * HUGE + 3 * PAGE + 100, "the clone's size");
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), before, "takes no frames");
	tap_eq(fs_stat(b, "shared_pages"), fs_stat(a, "resident_pages"), "all is shared");
	tap_ok(fs_mount_stat(DIR_PENUMBRA, "saved_pages") == fs_stat(a, "resident_pages"),
	       "and counts as saved");
	mb = fs_map(b, 4 * HUGE + 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	tap_ok(all_are(mb, 0, 512, 1) && all_are(mb + 600 * PAGE, 600, 10, 1), "the content is the same");
	ma[0] ^= 1;
	tap_ok(all_are(mb, 0, 512, 1), "a write to the source is not seen in the clone");
	mb[605 * PAGE] ^= 1;
	tap_ok(all_are(ma + 600 * PAGE, 600, 10, 1), "a write to the clone is not seen in the source");
	tap_ok(fs_stat(a, "cow_breaks") >= 1 && fs_stat(b, "cow_breaks") >= 1, "both broke sharing");
	fs_fill(b, 1, 1, 2);
	tap_ok(fs_is(ma + PAGE, 1, 1) && fs_is(mb + PAGE, 1, 2), "write() breaks sharing too");
	close(a);
	munmap(ma, 4 * HUGE + 4 * PAGE);
	tap_ok(all_are(mb + 2 * PAGE, 2, 510, 1), "the source gone, the clone has all");
	mb[300 * PAGE] ^= 1;
	mb[300 * PAGE] ^= 1;
	tap_ok(all_are(mb + 2 * PAGE, 2, 510, 1), "and can write it");
	munmap(mb, 4 * HUGE + 4 * PAGE);
	close(b);
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 0, "nothing is left");
}

/* Three files of one ring, each going its own way. */
static void ring(void)
{
	int fd[3] = { fs_tmpfile(2 * HUGE), fs_tmpfile(0), fs_tmpfile(0) };
	char *map[3];
	unsigned int i;

	fs_fill(fd[0], 0, 1024, 3);
	tap_ok(!ioctl(fd[1], FICLONE, fd[0]) && !ioctl(fd[2], FICLONE, fd[1]), "a clone of a clone");
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 1024, "three files, one set of frames");
	tap_eq(fs_stat(fd[2], "huge_frames"), 2, "2 MiB frames are shared as such");
	for (i = 0; i < 3; i++)
		map[i] = fs_map(fd[i], 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	map[1][0] = 1;
	tap_ok(all_are(map[0], 0, 1024, 3) && all_are(map[2], 0, 1024, 3), "one writes: others keep theirs");
	tap_ok(fs_mount_stat(DIR_PENUMBRA, "frame_pages") <= 1025 + 512, "at the price of a frame");
	fallocate(fd[2], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * PAGE, PAGE);
	tap_ok(all_are(map[0], 0, 1024, 3) && fs_is_zero(map[2] + 5 * PAGE), "one punches: likewise");
	ftruncate(fd[1], HUGE);
	tap_ok(all_are(map[0], 0, 1024, 3) && all_are(map[2] + HUGE, 512, 512, 3), "one is cut: likewise");
	for (i = 0; i < 3; i++) {
		munmap(map[i], 2 * HUGE);
		close(fd[i]);
	}
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 0, "nothing is left");
}

/* One instruction that reads the page, then writes it: the last word is copied onto itself. */
static void copy_in_place(char *page)
{
	char *from = page + PAGE - 8, *to = from;

	__asm__ volatile("movsq" : "+S"(from), "+D"(to) : : "memory");
}

/*
 * Such an instruction on what is shared gets on, and breaks sharing once. The mapping is not congruent, so
 * that 2 MiB frames are mapped in small pages and the write is noticed in page_mkwrite.
 */
static void read_and_write(void)
{
	int a = fs_tmpfile(HUGE), b = fs_tmpfile(0);
	char *room = fs_map(a, 2 * HUGE, PROT_READ, MAP_SHARED), *ma, *mb;
	unsigned long i;

	fs_fill(a, 0, 512, 6);
	ma = fs_map(a, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	ma[0] = ma[0];
	ioctl(b, FICLONE, a);
	mb = mmap(room + PAGE, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, b, 0);
	tap_ok(mb != MAP_FAILED && all_are(mb, 0, 512, 6), "a clone, read in small pages");
	for (i = 0; i < 512; i += 3)
		copy_in_place(mb + i * PAGE);
	tap_ok(all_are(mb, 0, 512, 6) && all_are(ma, 0, 512, 6), "pages read and written at once");
	tap_ok(fs_stat(b, "cow_breaks") >= 171, "had their copies made");
	munmap(room, 2 * HUGE);
	close(b);
	for (i = 0; i < 512; i += 5)
		copy_in_place(ma + i * PAGE);
	tap_ok(all_are(ma, 0, 512, 6), "the same when the clone is gone");
	munmap(ma, HUGE);
	close(a);
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 0, "nothing is left");
}

static void parts(void)
{
	int a = fs_tmpfile(64 * PAGE), b = fs_tmpfile(0), other;

	fs_fill(a, 0, 64, 4);
	tap_errno(fs_clone(a, 0, 10 * PAGE, b, 5 * PAGE), errno, 0, "part of a file beyond another's end");
	tap_ok(fs_reads_zero(b, 4) && fs_reads(b, 5, 4) == false, "what is before is a hole");
	tap_errno(fs_clone(a, 7 * PAGE, 3 * PAGE, a, 20 * PAGE), errno, 0, "inside one file");
	tap_ok(fs_reads(a, 19, 4) && fs_reads(a, 23, 4) && !fs_reads(a, 20, 4), "those pages alone");
	tap_errno(fs_clone(a, 1, PAGE, b, 0), errno, EINVAL, "source offset not aligned");
	tap_errno(fs_clone(a, 0, PAGE, b, 1), errno, EINVAL, "destination not aligned");
	tap_errno(fs_clone(a, 0, 100, b, 0), errno, EINVAL, "length not aligned");
	tap_errno(fs_clone(a, 0, 2 * PAGE, a, PAGE), errno, EINVAL, "overlap");
	tap_errno(fs_clone(a, 64 * PAGE, PAGE, b, 0), errno, EINVAL, "source beyond the end");
	tap_errno(fs_clone(a, 60 * PAGE, 8 * PAGE, b, 0), errno, EINVAL, "source goes beyond the end");
	tap_errno(fs_clone(a, 0, PAGE, b, 0x7ffffffffffff000), errno, EINVAL, "destination too far");
	other = open(DIR_TMPFS, O_RDWR | O_TMPFILE, 0600);
	tap_errno(fs_clone(other, 0, 0, b, 0), errno, EXDEV, "from another filesystem");
	close(other);
	other = open("/dev/null", O_RDWR);
	tap_errno(fs_clone(a, 0, PAGE, other, 0), errno, EXDEV, "into no regular file");
	close(other);
	other = open(DIR_PENUMBRA, O_RDONLY);
	tap_errno(fs_clone(other, 0, PAGE, b, 0), errno, EISDIR, "from a directory");
	close(other);
	close(a);
	close(b);
}

static void duplicates(void)
{
	int a = fs_tmpfile(600 * PAGE), b = fs_tmpfile(0), status;
	char *ma, *mb;

	fs_fill(a, 0, 600, 5);
	tap_ok(!fs_clone(a, 0, PAGE, b, 0) && !ftruncate(b, 600 * PAGE), "a file of the same group");
	fs_fill(b, 0, 600, 5);
	ma = fs_map(a, 600 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	mb = fs_map(b, 600 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	mb[PAGE * 599] ^= 1;
	ma[0] = ma[0];
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 1200, "two copies");
	tap_errno(fs_dedupe(a, 0, 599 * PAGE, b, 0, &status), errno, 0, "FIDEDUPERANGE");
	tap_eq(status, FILE_DEDUPE_RANGE_SAME, "they are the same");
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 601, "and become one");
	tap_ok(all_are(ma, 0, 600, 5) && all_are(mb, 0, 599, 5), "with their content");
	tap_ok(!fs_dedupe(a, 599 * PAGE, PAGE, b, 599 * PAGE, &status) &&
	       status == FILE_DEDUPE_RANGE_DIFFERS, "one that differs is told");
	ma[3] ^= 1;
	tap_ok(all_are(mb, 0, 599, 5), "a write parts them");
	tap_ok(!fs_dedupe(a, 100, PAGE, b, 0, &status) && status == -EINVAL, "not aligned: EINVAL");
	tap_ok(!fs_dedupe(a, 0, PAGE, b, 600 * PAGE, &status) && status == -EINVAL, "beyond the end: EINVAL");
	tap_ok(!fs_dedupe(a, 0, 2 * PAGE, a, PAGE, &status) && status == -EINVAL, "overlap: EINVAL");
	munmap(ma, 600 * PAGE);
	munmap(mb, 600 * PAGE);
	close(a);
	close(b);
}

#define SMALL	300UL		/* pages of a file that gets no 2 MiB frame */

static void write_all(char *map)
{
	unsigned long i;

	for (i = 0; i < SMALL; i++)
		map[i * PAGE] ^= 1;
}

/* A clone of it now, whole and as it should be; then its pages are written through @map, twice. */
static void clone_keeps(int a, char *map, const char *how)
{
	int b = fs_tmpfile(0);
	char *mb;

	tap_errno(ioctl(b, FICLONE, a), errno, 0, "a clone, %s", how);
	mb = fs_map(b, SMALL * PAGE, PROT_READ, MAP_SHARED);
	mprotect(map, SMALL * PAGE, PROT_READ);
	mprotect(map, SMALL * PAGE, PROT_READ | PROT_WRITE);
	write_all(map);
	tap_ok(all_are(mb, 0, SMALL, 7), "does not see what is written, %s", how);
	write_all(map);
	munmap(mb, SMALL * PAGE);
	close(b);
}

/* Small pages stay mapped for reading when they are cloned: nothing gives the right to write back. */
static void protected(void)
{
	int a = fs_tmpfile(SMALL * PAGE), b = fs_tmpfile(0), i;
	char *map[10];
	pid_t pid;

	fs_fill(a, 0, SMALL, 7);
	for (i = 0; i < 3; i++)
		map[i] = fs_map(a, SMALL * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	write_all(map[0]);
	write_all(map[0]);
	tap_ok(!ioctl(b, FICLONE, a) && fs_smaps(map[0], "Rss") == SMALL * 4,
	       "a cloned file's pages stay mapped");
	clone_keeps(a, map[0], "mapped once");
	write_all(map[0]);
	write_all(map[0]);
	mprotect(map[0], SMALL * PAGE, PROT_READ);
	clone_keeps(a, map[0], "protected before");
	write_all(map[1]);
	write_all(map[2]);
	clone_keeps(a, map[1], "mapped three times");
	pid = fork();
	if (!pid) {
		write_all(map[1]);
		write_all(map[1]);
		for (;;)
			pause();
	}
	usleep(100000);
	clone_keeps(a, map[2], "mapped by two processes");
	kill(pid, 9);
	waitpid(pid, NULL, 0);
	for (i = 3; i < 10; i++)
		map[i] = fs_map(a, SMALL * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	for (i = 1; i < 10; i += 2) {
		write_all(map[i]);
		write_all(map[i - 1]);
	}
	clone_keeps(a, map[9], "mapped ten times");
	for (i = 0; i < 10; i++)
		munmap(map[i], SMALL * PAGE);
	map[0] = fs_map(a, SMALL * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	map[1] = fs_map(a, SMALL * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	write_all(map[0]);
	write_all(map[0]);
	tap_ok(all_are(map[1], 0, SMALL, 7), "a private mapping beside it");
	clone_keeps(a, map[0], "mapped privately too");
	tap_ok(all_are(map[1], 0, SMALL, 7), "which sees the file");
	for (i = 0; i < 2; i++)
		munmap(map[i], SMALL * PAGE);
	close(a);
	close(b);
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 0, "nothing is left");
}

/* Cloned again and again while its owner writes: each clone is one moment of the source. */
static int writer(volatile uint64_t *map, unsigned long pages)
{
	uint64_t n;

	for (n = 1;; n++) {
		unsigned int i;

		for (i = 0; i < pages; i++)
			map[i * PAGE / 8] = n;
	}
	return 0;
}

static void while_written(unsigned long pages)
{
	int a = fs_tmpfile(pages * PAGE), b, round;
	unsigned int i, torn = 0, changed = 0;
	char *ma, *mb;
	pid_t pid;

	fs_fill(a, 0, pages, 6);
	ma = fs_map(a, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	pid = fork();
	if (!pid)
		_exit(writer((uint64_t *)ma, pages));
	for (round = 0; round < 30; round++) {
		uint64_t first;

		usleep(20000);
		b = fs_tmpfile(0);
		if (ioctl(b, FICLONE, a))
			break;
		mb = fs_map(b, pages * PAGE, PROT_READ, MAP_SHARED);
		first = *(uint64_t *)(mb + (pages - 1) * PAGE);
		usleep(10000);
		changed += *(uint64_t *)(mb + (pages - 1) * PAGE) != first;
		for (i = 0; i < pages; i++)
			torn += ((uint64_t *)(mb + i * PAGE))[1] != ((uint64_t *)(ma + i * PAGE))[1];
		munmap(mb, pages * PAGE);
		close(b);
	}
	kill(pid, 9);
	waitpid(pid, NULL, 0);
	tap_eq(round, 30, "30 clones while the source of %lu pages is written", pages);
	tap_eq(changed, 0, "no clone changes afterwards");
	tap_eq(torn, 0, "what was not written is in all of them");
	munmap(ma, pages * PAGE);
	close(a);
}

void test_clones(void)
{
	whole();
	ring();
	read_and_write();
	parts();
	duplicates();
	protected();
	while_written(1024);
	while_written(SMALL);
}
