// SPDX-License-Identifier: GPL-2.0
/* See fs.h. */
#include "fs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- files ---- */

static void path_of(char *path, size_t size, const char *name)
{
	snprintf(path, size, DIR_PENUMBRA "/%s", name);
}

static int sized(int fd, off_t size)
{
	if (fd < 0)
		tap_bail("no file");
	if (size && ftruncate(fd, size))
		tap_bail("ftruncate");
	return fd;
}

int fs_file(const char *name, off_t size)
{
	char path[256];

	path_of(path, sizeof(path), name);
	return sized(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), size);
}

void fs_remove(const char *name)
{
	char path[256];

	path_of(path, sizeof(path), name);
	unlink(path);
}

int fs_tmpfile(off_t size)
{
	return sized(open(DIR_PENUMBRA, O_RDWR | O_TMPFILE, 0600), size);
}

void *fs_map(int fd, size_t size, int prot, int flags)
{
	char *room = mmap(NULL, size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = (char *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1));

	if (room == MAP_FAILED)
		tap_bail("no room for a mapping");
	munmap(room, at - room);
	munmap(at + size, room + HUGE - at);
	at = mmap(at, size, prot, flags | MAP_FIXED, fd, 0);
	if (at == MAP_FAILED)
		tap_bail("mmap");
	return at;
}

/* ---- content ---- */

static uint64_t word_of(unsigned long index, uint64_t salt)
{
	return (index + 1) * 0x9e3779b97f4a7c15ULL + salt;
}

static void make_page(uint64_t *page, unsigned long index, uint64_t salt)
{
	unsigned int i;

	for (i = 0; i < PAGE / 8; i++)
		page[i] = word_of(index, salt) + i;
}

void fs_fill(int fd, unsigned long first, unsigned long pages, uint64_t salt)
{
	uint64_t page[PAGE / 8];
	unsigned long i;

	for (i = first; i < first + pages; i++) {
		make_page(page, i, salt);
		if (pwrite(fd, page, PAGE, i * PAGE) != (ssize_t)PAGE)
			tap_bail("write of page %lu", i);
	}
}

bool fs_is(const void *page, unsigned long index, uint64_t salt)
{
	uint64_t want[PAGE / 8];

	make_page(want, index, salt);
	return !memcmp(page, want, PAGE);
}

bool fs_is_zero(const void *page)
{
	const uint64_t *word = page;
	unsigned int i;

	for (i = 0; i < PAGE / 8; i++)
		if (word[i])
			return false;
	return true;
}

static void read_page(int fd, unsigned long index, void *page)
{
	memset(page, 0x5a, PAGE);
	if (pread(fd, page, PAGE, index * PAGE) != (ssize_t)PAGE)
		tap_note("page %lu cannot be read: %s", index, strerror(errno));
}

bool fs_reads(int fd, unsigned long index, uint64_t salt)
{
	uint64_t page[PAGE / 8];

	read_page(fd, index, page);
	return fs_is(page, index, salt);
}

bool fs_reads_zero(int fd, unsigned long index)
{
	uint64_t page[PAGE / 8];

	read_page(fd, index, page);
	return fs_is_zero(page);
}

/* ---- numbers ---- */

static long long read_number(const char *path)
{
	FILE *f = fopen(path, "r");
	long long value;

	if (!f)
		return -1;
	if (fscanf(f, "%lld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

long long fs_stat(int fd, const char *name)
{
	char path[256];
	struct stat st;

	if (fstat(fd, &st))
		return -1;
	snprintf(path, sizeof(path), "/sys/fs/penumbra/%u:%u/files/%lu/%s", major(st.st_dev),
		 minor(st.st_dev), (unsigned long)st.st_ino, name);
	return read_number(path);
}

static void mount_path(char *path, size_t size, const char *dir, const char *name)
{
	struct stat st;

	if (stat(dir, &st))
		tap_bail("no %s", dir);
	snprintf(path, size, "/sys/fs/penumbra/%u:%u/%s", major(st.st_dev), minor(st.st_dev), name);
}

long long fs_mount_stat(const char *dir, const char *name)
{
	char path[256];

	mount_path(path, sizeof(path), dir, name);
	return read_number(path);
}

bool fs_mount_set(const char *dir, const char *name, const char *value)
{
	char path[256];
	ssize_t n;
	int fd;

	mount_path(path, sizeof(path), dir, name);
	fd = open(path, O_WRONLY);
	n = write(fd, value, strlen(value));
	close(fd);
	return n == (ssize_t)strlen(value);
}

long long fs_counter(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "/sys/fs/penumbra/counters/%s", name);
	return read_number(path);
}

long fs_smaps(const void *address, const char *field)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long at;
	bool here = false;
	char line[512], after;
	long kib = -1;

	while (f && kib < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx%c", &at, &after) == 2 && after == '-')
			here = at == (uintptr_t)address;
		else if (here && !strncmp(line, field, strlen(field)) && line[strlen(field)] == ':')
			kib = atol(line + strlen(field) + 1);
	}
	if (f)
		fclose(f);
	return kib;
}

/* ---- access ---- */

static sigjmp_buf fault_jump;

static void on_fault(int signal)
{
	siglongjmp(fault_jump, signal);
}

int fs_touch(volatile char *p, bool write)
{
	struct sigaction act = { .sa_handler = on_fault }, bus, segv;
	volatile int result = 0;
	int signal;

	sigaction(SIGBUS, &act, &bus);
	sigaction(SIGSEGV, &act, &segv);
	signal = sigsetjmp(fault_jump, 1);
	if (signal)
		result = signal == SIGBUS ? 1 : -1;
	else if (write)
		*p = 'x';
	else
		(void)*p;
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return result;
}

/* ---- calls ---- */

int fs_clone(int src, off_t src_at, off_t len, int dst, off_t dst_at)
{
	struct file_clone_range range = {
		.src_fd = src, .src_offset = src_at, .src_length = len, .dest_offset = dst_at,
	};

	return ioctl(dst, FICLONERANGE, &range);
}

int fs_dedupe(int src, off_t src_at, off_t len, int dst, off_t dst_at, int *status)
{
	struct file_dedupe_range *range = calloc(1, sizeof(*range) + sizeof(range->info[0]));
	int ret;

	range->src_offset = src_at;
	range->src_length = len;
	range->dest_count = 1;
	range->info[0].dest_fd = dst;
	range->info[0].dest_offset = dst_at;
	ret = ioctl(src, FIDEDUPERANGE, range);
	*status = range->info[0].status;
	free(range);
	return ret;
}

bool fs_mount(const char *dir, const char *options)
{
	mkdir(dir, 0755);
	return !mount("none", dir, "penumbra", 0, options);
}

int fs_umount(const char *dir)
{
	return umount(dir);
}

int fs_child(int (*fn)(void *), void *arg)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(fn(arg));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		tap_bail("no child");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
