/* SPDX-License-Identifier: GPL-2.0 */
/* Building QEMU's command line. */
#ifndef LIBPENUMBRA_ARGS_H
#define LIBPENUMBRA_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A NULL-terminated argument list that grows. */
struct args {
	char **arg;
	size_t nr, room;
	bool failed;	/* out of memory: not to be used */
};

void args_add(struct args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Two arguments, "-option" and its formatted value. */
void args_option(struct args *a, const char *option, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The value is @head, @path with its commas doubled as QEMU wants them, @tail. */
void args_option_path(struct args *a, const char *option, const char *head, const char *path,
		      const char *tail);
/* Append @path, its commas doubled, to the last argument. */
void args_append_path(struct args *a, const char *path);
void args_free(struct args *a);

/* One line that a shell would read as this command. */
void args_print(const struct args *a, FILE *out);

enum args_disk_format { ARGS_DISK_GUESSED_RAW, ARGS_DISK_RAW, ARGS_DISK_QCOW2 };

#define ARGS_DISK_PATH	1024

struct args_disk {
	char path[ARGS_DISK_PATH];
	enum args_disk_format format;
};

/* "PATH" or "PATH,format=raw|qcow2": 0, or -EINVAL. */
int args_parse_disk(const char *arg, struct args_disk *disk);

/* Does the file begin as qcow2 images do? */
bool args_is_qcow2(const char *path);

#endif
