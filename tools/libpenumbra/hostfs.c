// SPDX-License-Identifier: GPL-2.0
/* Small files of the host; see hostfs.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "libpenumbra/hostfs.h"
#include "libpenumbra/text.h"

int hostfs_open(struct hostfs *fs, const char *root)
{
	if (!root)
		root = getenv("PENUMBRA_ROOT");
	if (!root || !*root)
		root = "/";
	fs->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fs->root < 0 ? -errno : 0;
}

void hostfs_close(struct hostfs *fs)
{
	close(fs->root);
	fs->root = -1;
}

/* The formatted path, relative to the root. */
static int make_path(char *out, size_t size, const char *path, va_list args)
{
	int n = vsnprintf(out, size, path, args);
	size_t slashes;

	if (n < 0 || (size_t)n >= size)
		return -ENAMETOOLONG;
	slashes = strspn(out, "/");
	memmove(out, out + slashes, n - slashes + 1);
	return 0;
}

static int open_file(const struct hostfs *fs, int flags, const char *path, va_list args)
{
	char rel[PATH_MAX];
	int fd, ret;

	ret = make_path(rel, sizeof(rel), path, args);
	if (ret)
		return ret;
	/* never wait for the other end of a FIFO */
	fd = openat(fs->root, rel, flags | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* Up to @size bytes; the length, or -errno. */
static ssize_t read_fd(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size) {
		n = read(fd, buf + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		len += n;
	}
	return len;
}

/* The file's text without trailing newlines: its length, or -errno. Takes @fd, which may be -errno. */
static ssize_t read_text(int fd, char *buf, size_t size)
{
	ssize_t len;

	buf[0] = 0;
	if (fd < 0)
		return fd;
	len = read_fd(fd, buf, size - 1);
	close(fd);
	if (len < 0)
		return len;
	while (len && buf[len - 1] == '\n')
		len--;
	buf[len] = 0;
	return len;
}

ssize_t hostfs_read(const struct hostfs *fs, char *buf, size_t size, const char *path, ...)
{
	va_list args;
	int fd;

	va_start(args, path);
	fd = open_file(fs, O_RDONLY, path, args);
	va_end(args);
	return read_text(fd, buf, size);
}

/* Everything up to the limit, in a buffer that grows; NULL with errno set. */
static char *read_growing(int fd, size_t *len)
{
	size_t size = 4096, have = 0;
	char *buf = malloc(size + 1), *bigger;
	ssize_t n;

	while (buf) {
		n = read_fd(fd, buf + have, size - have);
		if (n < 0) {
			free(buf);
			errno = -n;
			return NULL;
		}
		have += n;
		if (have < size || size >= HOSTFS_MAX_BYTES)
			break;
		size *= 2;
		bigger = realloc(buf, size + 1);
		if (!bigger)
			free(buf);
		buf = bigger;
	}
	if (buf)
		buf[have] = 0;
	*len = have;
	return buf;
}

char *hostfs_read_all(const struct hostfs *fs, size_t *len, const char *path, ...)
{
	va_list args;
	char *buf;
	int fd;

	va_start(args, path);
	fd = open_file(fs, O_RDONLY, path, args);
	va_end(args);
	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	buf = read_growing(fd, len);
	close(fd);
	return buf;
}

int hostfs_read_u64(const struct hostfs *fs, uint64_t *val, const char *path, ...)
{
	char buf[32];
	va_list args;
	ssize_t len;
	int fd;

	va_start(args, path);
	fd = open_file(fs, O_RDONLY, path, args);
	va_end(args);
	len = read_text(fd, buf, sizeof(buf));
	return len < 0 ? (int)len : text_parse_u64(buf, val);
}

int hostfs_open_file(const struct hostfs *fs, int flags, const char *path, ...)
{
	va_list args;
	int fd;

	va_start(args, path);
	fd = open_file(fs, flags, path, args);
	va_end(args);
	return fd;
}

/* As faccessat(): 0 or -errno. */
static int access_path(const struct hostfs *fs, int mode, int flags, const char *path, va_list args)
{
	char rel[PATH_MAX];
	int ret = make_path(rel, sizeof(rel), path, args);

	if (ret)
		return ret;
	return faccessat(fs->root, rel, mode, flags) ? -errno : 0;
}

int hostfs_access(const struct hostfs *fs, int mode, const char *path, ...)
{
	va_list args;
	int ret;

	va_start(args, path);
	ret = access_path(fs, mode, AT_EACCESS, path, args);
	va_end(args);
	return ret;
}

bool hostfs_exists(const struct hostfs *fs, const char *path, ...)
{
	va_list args;
	int ret;

	va_start(args, path);
	ret = access_path(fs, F_OK, 0, path, args);
	va_end(args);
	return !ret;
}

int hostfs_stat(const struct hostfs *fs, struct stat *st, const char *path, ...)
{
	char rel[PATH_MAX];
	va_list args;
	int ret;

	va_start(args, path);
	ret = make_path(rel, sizeof(rel), path, args);
	va_end(args);
	if (ret)
		return ret;
	return fstatat(fs->root, rel, st, 0) ? -errno : 0;
}

int hostfs_write(const struct hostfs *fs, const char *text, const char *path, ...)
{
	size_t len = strlen(text);
	va_list args;
	ssize_t n;
	int fd;

	va_start(args, path);
	fd = open_file(fs, O_WRONLY | O_TRUNC, path, args);
	va_end(args);
	if (fd < 0)
		return fd;
	n = write(fd, text, len);
	if (n < 0)
		n = -errno;
	else
		n = (size_t)n == len ? 0 : -EIO;
	close(fd);
	return n;
}

int hostfs_pread(const struct hostfs *fs, void *buf, size_t size, off_t offset,
		 const char *path, ...)
{
	va_list args;
	ssize_t n;
	int fd;

	va_start(args, path);
	fd = open_file(fs, O_RDONLY, path, args);
	va_end(args);
	if (fd < 0)
		return fd;
	n = pread(fd, buf, size, offset);
	if (n < 0)
		n = -errno;
	else if ((size_t)n < size)
		n = -EIO;
	close(fd);
	return n < 0 ? n : 0;
}

static int compare_names(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;

	return strverscmp(x, y);
}

static int add_name(struct hostfs_names *names, size_t *room, const char *name)
{
	char **bigger;

	if (names->nr == *room) {
		*room = *room ? *room * 2 : 16;
		bigger = realloc(names->name, *room * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		names->name = bigger;
	}
	names->name[names->nr] = strdup(name);
	if (!names->name[names->nr])
		return -ENOMEM;
	names->nr++;
	return 0;
}

int hostfs_list(const struct hostfs *fs, struct hostfs_names *names, const char *path, ...)
{
	struct dirent *entry;
	va_list args;
	size_t room = 0;
	int fd, ret = 0;
	DIR *dir;

	*names = (struct hostfs_names){};
	va_start(args, path);
	fd = open_file(fs, O_RDONLY | O_DIRECTORY, path, args);
	va_end(args);
	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (!ret && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			ret = add_name(names, &room, entry->d_name);
	closedir(dir);
	if (ret)
		hostfs_names_free(names);
	else if (names->nr)
		qsort(names->name, names->nr, sizeof(*names->name), compare_names);
	return ret;
}

void hostfs_names_free(struct hostfs_names *names)
{
	for (size_t i = 0; i < names->nr; i++)
		free(names->name[i]);
	free(names->name);
	*names = (struct hostfs_names){};
}
