// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that others hold: direct I/O, pipes, other processes' writes, long-term pins. Whoever holds a
 * page for writing must go on writing the file's page, whatever happens to its neighbours.
 */
#include "fs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

static bool punch(int fd, unsigned long first, unsigned long pages)
{
	return !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first * PAGE, pages * PAGE);
}

static void direct_io(void)
{
	int disk = open("/dev/vda", O_RDONLY | O_DIRECT), fd = fs_tmpfile(2 * HUGE);
	char *map = fs_map(fd, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	char *want = fs_map(-1, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);

	if (disk < 0 || pread(disk, want, 64 * PAGE, 0) != 64 * (ssize_t)PAGE) {
		tap_skip("direct I/O into a mapping", "no disk");
		return;
	}
	tap_eq(pread(disk, map + 100 * PAGE, 64 * PAGE, 0), 64 * PAGE, "direct I/O into holes");
	tap_ok(!memcmp(map + 100 * PAGE, want, 64 * PAGE), "arrives");
	memset(map + HUGE, 1, HUGE);
	tap_eq(pread(disk, map + HUGE - 32 * PAGE, 64 * PAGE, 0), 64 * PAGE, "across two 2 MiB frames");
	tap_ok(!memcmp(map + HUGE - 32 * PAGE, want, 64 * PAGE), "arrives");
	close(disk);
	munmap(want, 64 * PAGE);
	munmap(map, 2 * HUGE);
	close(fd);
}

/* A pipe holds page 5 of a 2 MiB frame, for reading. */
static void held_by_a_pipe(void)
{
	int fd = fs_tmpfile(2 * HUGE), copy = fs_tmpfile(0), ends[2];
	char *map = fs_map(fd, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	struct iovec held = { map + 5 * PAGE, PAGE };
	char page[PAGE];

	fs_fill(fd, 0, 1024, 1);
	tap_ok(!pipe(ends) && vmsplice(ends[1], &held, 1, 0) == (ssize_t)PAGE, "a pipe holds a page");
	tap_ok(punch(fd, 6, 1), "its neighbour is given back");
	tap_ok(fs_is_zero(map + 6 * PAGE) && fs_is(map + 5 * PAGE, 5, 1) && fs_is(map + 7 * PAGE, 7, 1),
	       "that page alone is zero");
	map[5 * PAGE] ^= 0xff;
	tap_errno(ioctl(copy, FICLONE, fd), errno, 0, "a clone meanwhile");
	tap_ok(fs_reads(copy, 4, 1) && fs_reads(copy, 512, 1), "has the content");
	map[5 * PAGE] ^= 0xff;
	tap_ok(fs_is(map + 5 * PAGE, 5, 1), "the source is written");
	tap_ok(!fs_reads(copy, 5, 1), "and not the clone");
	tap_ok(punch(fd, 5, 1) && fs_is_zero(map + 5 * PAGE), "the page itself is given back");
	tap_ok(read(ends[0], page, PAGE) == (ssize_t)PAGE, "the pipe still has something");
	close(ends[0]);
	close(ends[1]);
	munmap(map, 2 * HUGE);
	close(copy);
	close(fd);
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 0, "nothing is left");
}

struct remote {
	pid_t pid;
	char *at;
};

static int write_remote(void *arg)
{
	struct remote *r = arg;
	char from[3 * PAGE];
	struct iovec local = { from, sizeof(from) }, remote = { r->at + 100, sizeof(from) };

	memset(from, 0x77, sizeof(from));
	return process_vm_writev(r->pid, &local, 1, &remote, 1, 0) == (ssize_t)sizeof(from) ? 0 : 1;
}

static void other_processes(void)
{
	int fd = fs_tmpfile(HUGE), copy = fs_tmpfile(0), mem;
	char *map = fs_map(fd, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	char *private = fs_map(fd, HUGE, PROT_READ, MAP_PRIVATE);
	struct remote r = { getpid(), map };

	fs_fill(fd, 0, 512, 2);
	ioctl(copy, FICLONE, fd);
	tap_eq(fs_child(write_remote, &r), 0, "process_vm_writev to shared pages");
	tap_ok(map[100] == 0x77 && map[3 * PAGE + 99] == 0x77, "arrives");
	tap_ok(fs_reads(copy, 0, 2) && fs_reads(copy, 3, 2), "and not in the clone");
	mem = open("/proc/self/mem", O_RDWR);
	tap_eq(pwrite(mem, "debugger", 8, (uintptr_t)private + 9 * PAGE), 8,
	       "/proc/self/mem writes a read-only private mapping");
	tap_ok(!memcmp(private + 9 * PAGE, "debugger", 8) && fs_reads(fd, 9, 2), "as a private copy");
	close(mem);
	munmap(private, HUGE);
	munmap(map, HUGE);
	close(copy);
	close(fd);
}

static int register_buffer(void *at, size_t size)
{
	struct io_uring_params params = { 0 };
	struct iovec buffer = { at, size };
	int ring = syscall(SYS_io_uring_setup, 2, &params), ret;

	if (ring < 0)
		return -1;
	ret = syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1);
	return ret ? (close(ring), -1) : ring;
}

static void long_term(void)
{
	int fd = fs_file("never", 0), ring;
	struct utsname name;
	char *map;

	uname(&name);
	tap_errno(fsetxattr(fd, "user.penumbra.share", "never", 5, 0), errno, 0, "share=never");
	ftruncate(fd, 2 * HUGE);
	map = fs_map(fd, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	tap_eq(map[PAGE], 0, "is read");
	map[PAGE] = 1;
	tap_ok(map[0] == 0 && map[PAGE] == 1 && fs_reads_zero(fd, 0), "and written, without notice");
	if (!strncmp(name.release, "6.1.", 4)) {
		tap_skip("long-term pins", "6.1 has none for files by io_uring");
	} else {
		ring = register_buffer(map, HUGE);
		tap_ok(ring >= 0, "can be pinned for long");
		close(ring);
		munmap(map, 2 * HUGE);
		close(fd);
		fd = fs_tmpfile(2 * HUGE);
		map = fs_map(fd, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED);
		tap_eq(register_buffer(map, HUGE), (uint64_t)-1, "others cannot");
	}
	munmap(map, 2 * HUGE);
	close(fd);
	fs_remove("never");
}

void test_pins(void)
{
	direct_io();
	held_by_a_pipe();
	other_processes();
	long_term();
}
