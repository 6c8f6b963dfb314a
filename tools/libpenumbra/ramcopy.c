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

/* 0, and @fd is locked; -EBUSY: somebody else has it. Closes @fd otherwise. */
static int lock_or_close(int fd)
{
	int ret = flock(fd, LOCK_EX | LOCK_NB) ? -errno : 0;

	if (ret)
		close(fd);
	return ret == -EWOULDBLOCK ? -EBUSY : ret;
}

/*
 * What stands at @path makes place, if it is a file that nobody uses: only a new one can be
 * put into a group.
 */
static int remove_old(const char *path)
{
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK), ret = 0;
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	ret = lock_or_close(fd);
	if (ret)
		return ret;
	ret = unlink(path) ? -errno : 0;
	close(fd);
	return ret;
}

/* A file that stays. */
static int open_named(const char *path, const char **step)
{
	int ret = remove_old(path), fd;

	*step = "create";
	if (ret)
		return ret;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	ret = lock_or_close(fd);
	return ret ? ret : fd;
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

int ram_create(const struct vm_ram *ram, const char *vm_name, const char **step)
{
	int fd = ram->path ? open_named(ram->path, step) : open_unnamed(ram->dir, vm_name, step);
	int ret;

	if (fd < 0)
		return fd;
	*step = "set the group of";
	ret = set_attribute(fd, "user.penumbra.group", ram->group);
	if (!ret && ram->never_share) {
		*step = "forbid sharing of";
		ret = set_attribute(fd, "user.penumbra.share", "never");
	}
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

char *ram_fd_path(char *buf, int fd)
{
	snprintf(buf, 32, "/proc/self/fd/%d", fd);
	return buf;
}

int ram_clone(int to, int from)
{
	return ioctl(to, FICLONE, from) ? -errno : 0;
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
	if (fstat(from, &st) || ftruncate(to, st.st_size))
		return -errno;
	return copy_data(to, from, st.st_size);
}
