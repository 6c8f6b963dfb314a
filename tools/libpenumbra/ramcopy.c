// SPDX-License-Identifier: GPL-2.0
/* Making RAM files, and filling them from others; see ramcopy.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "libpenumbra/ramcopy.h"

#define PART_BYTES	(1u << 20)
#define BLOCK_BYTES	4096u

static int set_attribute(int fd, const char *name, const char *value)
{
	return value && fsetxattr(fd, name, value, strlen(value), 0) ? -errno : 0;
}

/* Has it contents? Holes are none, however long they are. */
static bool has_data(int fd)
{
	return lseek(fd, 0, SEEK_DATA) >= 0 || errno != ENXIO;
}

static bool is_same(const struct stat *st, int fd)
{
	struct stat other;

	return fd >= 0 && !fstat(fd, &other) && other.st_dev == st->st_dev &&
	       other.st_ino == st->st_ino;
}

/* 0: what is open at @fd may make place. Locks it, so that nobody takes it into use meanwhile. */
static int check_old(int fd, int source, bool replace)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return -EINVAL;
	if (is_same(&st, source))
		return -EDEADLK;
	if (flock(fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return !replace && has_data(fd) ? -EEXIST : 0;
}

/* What stands at @path makes place: only a new file can be put into a group. */
static int remove_old(const char *path, int source, bool replace)
{
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK), ret;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	ret = check_old(fd, source, replace);
	if (!ret && unlink(path))
		ret = -errno;
	close(fd);
	return ret;
}

/* A file that stays. */
static int open_named(const char *path, int source, bool replace, const char **step)
{
	int ret = remove_old(path, source, replace), fd;

	*step = "create";
	if (ret)
		return ret;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
	close(fd);
	return ret;
}

/* One that goes with its last user: its name shows in sysfs only. */
static int open_unnamed(const char *dir, const char *vm_name, const char **step)
{
	char path[PATH_MAX];
	int fd;

	*step = "create a file in";
	if ((size_t)snprintf(path, sizeof(path), "%s/%s.XXXXXX", dir, vm_name) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = mkstemp(path);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

int ram_create(const struct vm_ram *ram, const char *vm_name, int source, bool replace,
	       const char **step)
{
	int fd = ram->path ? open_named(ram->path, source, replace, step) :
		 open_unnamed(ram->dir, vm_name, step), ret;

	if (fd < 0)
		return fd;
	*step = "set the group of";
	ret = set_attribute(fd, "user.penumbra.group", ram->group);
	if (!ret && ram->never_share) {
		*step = "forbid sharing of";
		ret = set_attribute(fd, "user.penumbra.share", "never");
	}
	if (ret)
		ram_discard(ram, fd);
	return ret ? ret : fd;
}

void ram_discard(const struct vm_ram *ram, int fd)
{
	struct stat st;

	if (ram->path && !lstat(ram->path, &st) && is_same(&st, fd))
		unlink(ram->path);
	close(fd);
}

char *ram_fd_path(char *buf, int fd)
{
	snprintf(buf, 32, "/proc/self/fd/%d", fd);
	return buf;
}

bool ram_same_size(int a, int b)
{
	struct stat one, other;

	return !fstat(a, &one) && !fstat(b, &other) && one.st_size == other.st_size;
}

int ram_clone(int to, int from)
{
	if (ioctl(to, FICLONE, from))
		return -errno;
	/* a filesystem may stop half way, as when there is no memory for more, and call it done */
	return ram_same_size(to, from) ? 0 : -ENOSPC;
}

int ram_can_clone(int to, int from)
{
	struct file_clone_range one = { .src_fd = from, .src_length = BLOCK_BYTES };

	if (ioctl(to, FICLONERANGE, &one))
		return -errno;
	return ftruncate(to, 0) ? -errno : 0;
}

/* ---- copying ---- */

static int write_all(int fd, const char *data, size_t len, off_t at)
{
	ssize_t n;

	while (len) {
		n = pwrite(fd, data, len, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= n;
		at += n;
	}
	return 0;
}

static bool is_zero(const char *data, size_t len)
{
	return !*data && !memcmp(data, data + 1, len - 1);
}

/* What of @data is not zero, by blocks, in runs. */
static int write_sparse(int fd, const char *data, size_t len, off_t at)
{
	size_t block, run = 0, start = 0;
	int ret = 0;

	for (size_t done = 0; !ret && done < len; done += block) {
		block = len - done < BLOCK_BYTES ? len - done : BLOCK_BYTES;
		if (is_zero(data + done, block)) {
			ret = write_all(fd, data + start, run, at + start);
			run = 0;
		} else {
			start = run ? start : done;
			run += block;
		}
	}
	return ret ? ret : write_all(fd, data + start, run, at + start);
}

/* [at, end) of @from. */
static int copy_range(int to, int from, off_t at, off_t end, char *part)
{
	ssize_t n;
	int ret = 0;

	while (!ret && at < end) {
		n = pread(from, part, end - at < PART_BYTES ? end - at : PART_BYTES, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;	/* shorter than it was */
		ret = write_sparse(to, part, n, at);
		at += n;
	}
	return ret;
}

static int copy_data(int to, int from, off_t size)
{
	char *part = malloc(PART_BYTES);
	off_t at = 0, end;
	int ret = part ? 0 : -ENOMEM;

	while (!ret && at < size) {
		at = lseek(from, at, SEEK_DATA);
		if (at < 0) {
			ret = errno == ENXIO ? 0 : -errno;
			break;
		}
		end = lseek(from, at, SEEK_HOLE);
		ret = end < 0 ? -errno : copy_range(to, from, at, end < size ? end : size, part);
		at = end;
	}
	free(part);
	return ret;
}

int ram_copy(int to, int from, bool *cloned)
{
	struct stat st;

	*cloned = !ram_clone(to, from);
	if (*cloned)
		return 0;
	/* without the part that was cloned, if any */
	if (fstat(from, &st) || ftruncate(to, 0) || ftruncate(to, st.st_size))
		return -errno;
	return copy_data(to, from, st.st_size);
}
