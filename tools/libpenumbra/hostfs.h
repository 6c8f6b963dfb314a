/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Small files of the host (/proc, /sys, /dev, /run), read under a root folder
 * that tests replace: $PENUMBRA_ROOT, or "/".
 *
 * Paths are absolute and printf-formatted. Errors are negative errno values.
 */
#ifndef LIBPENUMBRA_HOSTFS_H
#define LIBPENUMBRA_HOSTFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct hostfs {
	int root;	/* descriptor of the root folder */
};

/* The most that is read of one file; longer ones are cut. */
#define HOSTFS_MAX_BYTES	(4u << 20)

/* @root NULL: $PENUMBRA_ROOT, or "/". */
int hostfs_open(struct hostfs *fs, const char *root);
void hostfs_close(struct hostfs *fs);

/*
 * Up to @size - 1 bytes of the file into @buf, NUL-terminated, without trailing
 * newlines. Returns the length.
 */
ssize_t hostfs_read(const struct hostfs *fs, char *buf, size_t size, const char *path, ...)
	__attribute__((format(printf, 4, 5)));

/* The whole file (at most HOSTFS_MAX_BYTES), NUL-terminated; free() it. NULL: errno says why. */
char *hostfs_read_all(const struct hostfs *fs, size_t *len, const char *path, ...)
	__attribute__((format(printf, 3, 4)));

/* A file that holds one decimal number. -EINVAL when it holds anything else. */
int hostfs_read_u64(const struct hostfs *fs, uint64_t *val, const char *path, ...)
	__attribute__((format(printf, 3, 4)));

bool hostfs_exists(const struct hostfs *fs, const char *path, ...)
	__attribute__((format(printf, 2, 3)));
/* As access(2). */
int hostfs_access(const struct hostfs *fs, int mode, const char *path, ...)
	__attribute__((format(printf, 3, 4)));

/* As open(2), close-on-exec and non-blocking: a descriptor. */
int hostfs_open_file(const struct hostfs *fs, int flags, const char *path, ...)
	__attribute__((format(printf, 3, 4)));

/* As stat(2), symbolic links followed: 0. */
int hostfs_stat(const struct hostfs *fs, struct stat *st, const char *path, ...)
	__attribute__((format(printf, 3, 4)));

/* Writes @text, as the files of /sys want it: at once, to a file that is there already. 0. */
int hostfs_write(const struct hostfs *fs, const char *text, const char *path, ...)
	__attribute__((format(printf, 3, 4)));

/* @size bytes at @offset, all of them: 0. For /dev/cpu/N/msr. */
int hostfs_pread(const struct hostfs *fs, void *buf, size_t size, off_t offset,
		 const char *path, ...) __attribute__((format(printf, 5, 6)));

/* Names in a folder without "." files, numbers by value, others by name. */
struct hostfs_names {
	char **name;
	size_t nr;
};

int hostfs_list(const struct hostfs *fs, struct hostfs_names *names, const char *path, ...)
	__attribute__((format(printf, 3, 4)));
void hostfs_names_free(struct hostfs_names *names);

#endif
