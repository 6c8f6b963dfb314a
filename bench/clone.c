// SPDX-License-Identifier: GPL-2.0
/*
 * Runs in the test host: what a clone of a guest's RAM costs.
 *
 *	bench-clone RESULT LABEL DIR MIB -- qemu-system-x86_64 ARGUMENT...
 *
 * Boots a guest with a RAM file in DIR (on a penumbra mount), pauses it, and clones the file
 * with FICLONE, first as the guest left it, then again. Each clone is compared with the
 * original. Then pages of a clone are written, and the guest goes on. Lines appended to RESULT,
 * separated by tabs:
 *
 *	clone LABEL PRESENT TICKS AGAIN_TICKS		TSC ticks around the system call
 *	clone-write LABEL PAGES TICKS NEW_FRAMES	writing so many pages of the clone
 *	clone-after LABEL BEFORE_NS AFTER_NS SECONDS	the guest's CPU idling, before and after
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

#include "sharing.h"

#define PAGE		4096u
#define WRITTEN		1000u
#define IDLE_SECONDS	5u
#define SETTLE_SECONDS	5u
#define SECOND_NS	1000000000ull

struct file {
	char path[SHARING_PATH_BYTES];
	int fd;
	off_t size;
};

static void file_open(struct file *file, const char *dir, const char *name, int flags)
{
	struct stat st;

	snprintf(file->path, sizeof(file->path), "%.200s/%s", dir, name);
	file->fd = open(file->path, flags | O_RDWR | O_CLOEXEC, 0600);
	if (file->fd < 0 || fstat(file->fd, &st))
		qemu_die(file->path);
	file->size = st.st_size;
}

static uint64_t present_pages(const struct file *file)
{
	off_t data = 0, hole = 0;
	uint64_t pages = 0;

	while ((data = lseek(file->fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(file->fd, data, SEEK_HOLE);
		pages += (uint64_t)(hole - data) / PAGE;
	}
	return pages;
}

static void must_be_equal(const struct file *a, const struct file *b)
{
	static char x[1 << 20], y[1 << 20];
	off_t at;

	for (at = 0; at < a->size; at += (off_t)sizeof(x)) {
		ssize_t n = pread(a->fd, x, sizeof(x), at);

		if (n <= 0 || pread(b->fd, y, sizeof(y), at) != n || memcmp(x, y, (size_t)n)) {
			fprintf(stderr, "bench-clone: the clone differs near byte %ld\n", (long)at);
			exit(1);
		}
	}
}

static uint64_t clone_ticks(const struct file *from, const char *dir, const char *name,
			    struct file *to)
{
	uint64_t start;

	file_open(to, dir, name, O_CREAT | O_EXCL);
	start = __rdtsc();
	if (ioctl(to->fd, FICLONE, from->fd))
		qemu_die("FICLONE");
	return __rdtsc() - start;
}

static uint64_t frame_pages(const char *dir)
{
	char path[SHARING_PATH_BYTES];
	struct scanner scanner;
	uint64_t value;
	FILE *file;

	scanner_init(&scanner, dir);
	snprintf(path, sizeof(path), "%.200s/frame_pages", scanner.sysfs);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%lu", &value) != 1)
		qemu_die(path);
	fclose(file);
	return value;
}

/* Every so many-th page, among those that are present, gets another byte. */
static void write_pages(FILE *result, const char *label, const struct file *file, const char *dir,
			uint64_t present)
{
	uint64_t frames = frame_pages(dir), step = present / WRITTEN, nth = 0, written = 0, ticks = 0;
	off_t at = 0;

	while (written < WRITTEN && (at = lseek(file->fd, at, SEEK_DATA)) >= 0) {
		if (nth++ % (step ? step : 1) == 0) {
			uint64_t start = __rdtsc();

			if (pwrite(file->fd, "x", 1, at) != 1)
				qemu_die(file->path);
			ticks += __rdtsc() - start;
			written++;
		}
		at += PAGE;
	}
	fprintf(result, "clone-write\t%s\t%lu\t%lu\t%ld\n", label, written, ticks,
		(long)(frame_pages(dir) - frames));
}

static uint64_t idle_ns(struct guests *guests)
{
	uint64_t before = guests_cpu_ns(guests);

	guests_wait_ns(guests, IDLE_SECONDS * SECOND_NS);
	return guests_cpu_ns(guests) - before;
}

static void measure(FILE *result, const char *label, const char *dir, struct guests *guests)
{
	uint64_t present, first, again, before, after;
	struct file from, to, second;

	guests_wait_ns(guests, SETTLE_SECONDS * SECOND_NS);
	before = idle_ns(guests);
	guests_pause(guests, true);
	file_open(&from, dir, "guest0", 0);
	present = present_pages(&from);
	first = clone_ticks(&from, dir, "clone1", &to);
	must_be_equal(&from, &to);
	again = clone_ticks(&from, dir, "clone2", &second);
	must_be_equal(&from, &second);
	fprintf(result, "clone\t%s\t%lu\t%lu\t%lu\n", label, present, first, again);
	unlink(second.path);
	close(second.fd);
	write_pages(result, label, &to, dir, present);
	guests_pause(guests, false);
	after = idle_ns(guests);
	fprintf(result, "clone-after\t%s\t%lu\t%lu\t%u\n", label, before, after, IDLE_SECONDS);
	unlink(to.path);
	close(to.fd);
}

int main(int argc, char **argv)
{
	struct guests *guests = calloc(1, sizeof(*guests));
	struct scanner scanner;
	FILE *result;

	if (argc < 7 || !guests || strcmp(argv[5], "--")) {
		fprintf(stderr, "usage: bench-clone RESULT LABEL DIR MIB -- QEMU ARGUMENT...\n");
		return 2;
	}
	result = fopen(argv[1], "a");
	if (!result)
		qemu_die(argv[1]);
	scanner_init(&scanner, argv[3]);
	guests->mib = (unsigned int)atoi(argv[4]);
	guests_add(guests, &scanner, argv + 6);
	measure(result, argv[2], argv[3], guests);
	guests_end(guests, &scanner);
	if (fclose(result))
		qemu_die(argv[1]);
	return 0;
}
