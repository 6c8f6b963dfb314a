// SPDX-License-Identifier: GPL-2.0
/* Building QEMU's command line; see args.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "libpenumbra/args.h"

/* Takes @text, which may be NULL. */
static void add_text(struct args *a, char *text)
{
	size_t room = a->room ? a->room * 2 : 32;
	char **bigger;

	if (text && a->nr + 1 >= a->room) {
		bigger = realloc(a->arg, room * sizeof(*bigger));
		if (bigger) {
			a->arg = bigger;
			a->room = room;
		} else {
			free(text);
			text = NULL;
		}
	}
	if (!text) {
		a->failed = true;
		return;
	}
	a->arg[a->nr++] = text;
	a->arg[a->nr] = NULL;
}

__attribute__((format(printf, 2, 0)))
static void add_formatted(struct args *a, const char *fmt, va_list args)
{
	char *text;

	add_text(a, vasprintf(&text, fmt, args) < 0 ? NULL : text);
}

void args_add(struct args *a, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add_formatted(a, fmt, args);
	va_end(args);
}

void args_option(struct args *a, const char *option, const char *fmt, ...)
{
	va_list args;

	args_add(a, "%s", option);
	va_start(args, fmt);
	add_formatted(a, fmt, args);
	va_end(args);
}

void args_append_path(struct args *a, const char *path)
{
	size_t len;
	char *text, *out;

	if (a->failed || !a->nr)
		return;
	len = strlen(a->arg[a->nr - 1]);
	text = realloc(a->arg[a->nr - 1], len + 2 * strlen(path) + 1);
	if (!text) {
		a->failed = true;
		return;
	}
	a->arg[a->nr - 1] = text;
	for (out = text + len; *path; path++) {
		if (*path == ',')
			*out++ = ',';
		*out++ = *path;
	}
	*out = 0;
}

static void append_text(struct args *a, const char *more)
{
	char *text;

	if (a->failed || asprintf(&text, "%s%s", a->arg[a->nr - 1], more) < 0) {
		a->failed = true;
		return;
	}
	free(a->arg[a->nr - 1]);
	a->arg[a->nr - 1] = text;
}

void args_option_path(struct args *a, const char *option, const char *head, const char *path,
		      const char *tail)
{
	args_option(a, option, "%s", head);
	args_append_path(a, path);
	append_text(a, tail);
}

void args_free(struct args *a)
{
	for (size_t i = 0; i < a->nr; i++)
		free(a->arg[i]);
	free(a->arg);
	*a = (struct args){};
}

static bool is_plain(const char *s)
{
	return *s && !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			       "0123456789-_=+,./:@%")];
}

static void print_quoted(const char *s, FILE *out)
{
	if (is_plain(s)) {
		fputs(s, out);
		return;
	}
	fputc('\'', out);
	for (; *s; s++) {
		if (*s == '\'')
			fputs("'\\''", out);
		else
			fputc(*s, out);
	}
	fputc('\'', out);
}

void args_print(const struct args *a, FILE *out)
{
	for (size_t i = 0; i < a->nr; i++) {
		if (i)
			fputc(' ', out);
		print_quoted(a->arg[i], out);
	}
	fputc('\n', out);
}

static bool ends_with(const char *s, size_t len, const char *tail)
{
	size_t tail_len = strlen(tail);

	return len >= tail_len && !memcmp(s + len - tail_len, tail, tail_len);
}

int args_parse_disk(const char *arg, struct args_disk *disk)
{
	static const char raw[] = ",format=raw", qcow2[] = ",format=qcow2";
	size_t len = strlen(arg);

	disk->format = ARGS_DISK_GUESSED_RAW;
	if (ends_with(arg, len, raw)) {
		disk->format = ARGS_DISK_RAW;
		len -= sizeof(raw) - 1;
	} else if (ends_with(arg, len, qcow2)) {
		disk->format = ARGS_DISK_QCOW2;
		len -= sizeof(qcow2) - 1;
	} else if (strstr(arg, ",format=")) {
		return -EINVAL;
	} else if (ends_with(arg, len, ".qcow2")) {
		disk->format = ARGS_DISK_QCOW2;
	}
	if (!len || len >= sizeof(disk->path))
		return -EINVAL;
	memcpy(disk->path, arg, len);
	disk->path[len] = 0;
	return 0;
}

bool args_is_qcow2(const char *path)
{
	char magic[4] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, magic, sizeof(magic));

	if (fd >= 0)
		close(fd);
	return n == sizeof(magic) && !memcmp(magic, "QFI\xfb", sizeof(magic));
}
