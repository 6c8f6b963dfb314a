// SPDX-License-Identifier: GPL-2.0
/*
 * Names and attributes: the same calls on tmpfs and on penumbra, which must answer alike.
 */
#include "fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE	1
#define RENAME_EXCHANGE		2
#endif

/* One call: its name and what came out: a number, or -errno. */
struct answer {
	const char *call;
	long result;
};

struct answers {
	struct answer a[128];
	unsigned int nr;
};

static void note(struct answers *list, const char *call, long result)
{
	list->a[list->nr].call = call;
	list->a[list->nr++].result = result < 0 ? -errno : result;
}

#define NOTE(call)	do { errno = 0; note(list, #call, call); } while (0)

static long create(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL, 0640);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static long mode_of(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) ? -1 : (long)st.st_mode;
}

static long links_of(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, 0) ? -1 : (long)st.st_nlink;
}

static long entries(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	long nr = 0;

	if (!d)
		return -1;
	while (readdir(d))
		nr++;
	closedir(d);
	return nr;
}

static long change(int from, const char *a, const char *b, unsigned int flags)
{
	return syscall(SYS_renameat2, from, a, from, b, flags);
}

static long unnamed(int dir)
{
	int fd = openat(dir, ".", O_TMPFILE | O_RDWR, 0600);
	char path[64];
	long ret;

	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = linkat(AT_FDCWD, path, dir, "was unnamed", AT_SYMLINK_FOLLOW);
	close(fd);
	return ret;
}

static long target_of(int dir, const char *name)
{
	char target[256];
	ssize_t n = readlinkat(dir, name, target, sizeof(target));

	return n < 0 ? -1 : n * 256 + target[0];
}

static void files(struct answers *list, int dir)
{
	char long_name[257];

	memset(long_name, 'n', 256);
	long_name[256] = 0;
	NOTE(create(dir, "file"));
	NOTE(create(dir, "file"));
	NOTE(create(dir, long_name));
	long_name[255] = 0;
	NOTE(create(dir, long_name));
	NOTE(unlinkat(dir, long_name, 0));
	NOTE(mode_of(dir, "file"));
	NOTE(openat(dir, "nothing", O_RDWR));
	NOTE(openat(dir, "file/", O_RDWR));
	NOTE(openat(dir, "file/more", O_RDWR));
	NOTE(linkat(dir, "file", dir, "other", 0));
	NOTE(links_of(dir, "file"));
	NOTE(linkat(dir, "file", dir, "other", 0));
	NOTE(linkat(dir, "nothing", dir, "more", 0));
	NOTE(unlinkat(dir, "nothing", 0));
	NOTE(unlinkat(dir, "other", 0));
	NOTE(links_of(dir, "file"));
	NOTE(fchmodat(dir, "file", 04755, 0));
	NOTE(mode_of(dir, "file"));
	NOTE(fchownat(dir, "file", 7, 7, 0));
	NOTE(mode_of(dir, "file"));
	NOTE(unnamed(dir));
	NOTE(links_of(dir, "was unnamed"));
	NOTE(unlinkat(dir, "was unnamed", 0));
	NOTE(mknodat(dir, "fifo", S_IFIFO | 0600, 0));
	NOTE(mode_of(dir, "fifo"));
	NOTE(unlinkat(dir, "fifo", 0));
}

static void folders(struct answers *list, int dir)
{
	NOTE(mkdirat(dir, "d", 0750));
	NOTE(mkdirat(dir, "d", 0750));
	NOTE(mkdirat(dir, "d/e", 0750));
	NOTE(links_of(dir, "d"));
	NOTE(entries(dir, "d"));
	NOTE(mode_of(dir, "d"));
	NOTE(unlinkat(dir, "d", 0));
	NOTE(unlinkat(dir, "d", AT_REMOVEDIR));
	NOTE(unlinkat(dir, "file", AT_REMOVEDIR));
	NOTE(change(dir, "file", "d/e", 0));
	NOTE(change(dir, "d", "d/e/f", 0));
	NOTE(change(dir, "d", "file", 0));
	NOTE(change(dir, "file", "d/file", 0));
	NOTE(entries(dir, "d"));
	NOTE(create(dir, "second"));
	NOTE(change(dir, "second", "d/file", RENAME_NOREPLACE));
	NOTE(change(dir, "second", "d/file", RENAME_EXCHANGE));
	NOTE(change(dir, "second", "d/file", 0));
	NOTE(change(dir, "second", "d/file", 0));
	NOTE(change(dir, "d/e", "e", 0));
	NOTE(links_of(dir, "d"));
	NOTE(change(dir, "e", "d", 0));
	NOTE(unlinkat(dir, "d/file", 0));
	NOTE(change(dir, "e", "d", 0));
	NOTE(unlinkat(dir, "d", AT_REMOVEDIR));
	NOTE(links_of(dir, "."));
	NOTE(symlinkat("some/where", dir, "link"));
	NOTE(symlinkat("some/where", dir, "link"));
	NOTE(target_of(dir, "link"));
	NOTE(mode_of(dir, "link"));
	NOTE(openat(dir, "link", O_RDONLY));
	NOTE(openat(dir, "link", O_RDONLY | O_NOFOLLOW));
	NOTE(unlinkat(dir, "link", 0));
	NOTE(entries(dir, "."));
}

static void descriptors(struct answers *list, int dir)
{
	int fd = openat(dir, "data", O_RDWR | O_CREAT, 0600);
	int ro = openat(dir, "data", O_RDONLY);
	char buf[16] = "abc", *volatile nowhere = NULL;

	NOTE(openat(dir, "data", O_RDWR | O_CREAT | O_EXCL, 0600));
	NOTE(write(ro, buf, 3));
	NOTE(ftruncate(ro, 3));
	NOTE(ftruncate(fd, -1));
	NOTE(pwrite(fd, buf, 3, -1));
	NOTE(pread(fd, buf, 3, 0));
	NOTE(lseek(fd, -1, SEEK_SET));
	NOTE(lseek(fd, 0, SEEK_DATA));
	NOTE(lseek(fd, 5, SEEK_END));
	NOTE(write(fd, nowhere, 5));
	NOTE(read(fd, buf, 5));
	NOTE(pwrite(fd, buf, 3, 0x7fffffffffffffff - 1));
	NOTE(fsync(fd));
	NOTE(fdatasync(fd));
	NOTE(posix_fadvise(fd, 0, 4096, POSIX_FADV_DONTNEED));
	NOTE(ftruncate(fd, 100));
	NOTE(lseek(fd, 0, SEEK_DATA));
	NOTE(lseek(fd, 0, SEEK_HOLE));
	NOTE(lseek(fd, 100, SEEK_HOLE));
	NOTE(pwrite(fd, buf, 3, 10));
	NOTE(lseek(fd, 5, SEEK_DATA));
	NOTE(lseek(fd, 5, SEEK_HOLE));
	NOTE(pread(fd, buf, 16, 95));
	NOTE(pread(fd, buf, 16, 100));
	close(ro);
	close(fd);
	NOTE(unlinkat(dir, "data", 0));
}

static void ask(struct answers *list, const char *where)
{
	char path[64];
	int dir;

	snprintf(path, sizeof(path), "%s/names", where);
	mkdir(path, 0755);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		tap_bail("no %s", path);
	files(list, dir);
	folders(list, dir);
	descriptors(list, dir);
	close(dir);
	rmdir(path);
}

/* Descriptors that both left open differ by how many, not in kind. */
static long kind(const struct answer *a)
{
	return !strncmp(a->call, "openat", 6) && a->result >= 0 ? 0 : a->result;
}

void test_names(void)
{
	static struct answers tmpfs, ours;
	unsigned int i;

	ask(&tmpfs, DIR_TMPFS);
	ask(&ours, DIR_PENUMBRA);
	for (i = 0; i < ours.nr; i++)
		tap_eq(kind(&ours.a[i]), kind(&tmpfs.a[i]), "as on tmpfs: %s", ours.a[i].call);
}
