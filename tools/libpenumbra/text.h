/* SPDX-License-Identifier: GPL-2.0 */
/* Numbers, sizes and names as people write and read them. */
#ifndef LIBPENUMBRA_TEXT_H
#define LIBPENUMBRA_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A decimal number and nothing else: 0, -EINVAL, or -ERANGE. */
int text_parse_u64(const char *s, uint64_t *val);

/* A size with its unit, K M G or T (powers of 1024), e.g. "512M": 0, -EINVAL, or -ERANGE. */
int text_parse_size(const char *s, uint64_t *bytes);

/* Seconds, with a fraction if wanted, 0.01 to 86400: 0, -EINVAL or -ERANGE. */
int text_parse_seconds(const char *s, double *seconds);

/* A VM's name: a letter, then letters, digits, '.', '_', '-'; at most 48. */
#define TEXT_NAME_MAX	48
bool text_is_name(const char *s);

/* "512.0 MiB"; "16 B". @buf of TEXT_SIZE_BYTES. Returns @buf. */
#define TEXT_SIZE_BYTES	16
char *text_size(char *buf, uint64_t bytes);

/* "1 234 567". @buf of TEXT_COUNT_BYTES. Returns @buf. */
#define TEXT_COUNT_BYTES	32
char *text_count(char *buf, uint64_t n);

/*
 * The name of a VM from its VMM's command line, @len bytes of NUL-separated
 * arguments: what follows QEMU's "-name" (its guest= part), or kvmtool's
 * "--name". False when there is none. Bytes that do not print become '?'.
 */
bool text_name_of_cmdline(const char *cmdline, size_t len, char *name, size_t size);

/* Does @word stand in @list, @len bytes of words separated by blanks? */
bool text_has_word(const char *list, size_t len, const char *word);

#define TEXT_MAX_COLUMNS	16

/* A table of aligned columns, TEXT_MAX_COLUMNS at most, collected first and printed once. */
struct text_table {
	char **cell;
	size_t nr, room;
	unsigned int columns;
	const char *align;	/* 'l' or 'r' for each column */
	bool failed;		/* out of memory */
};

void text_table_init(struct text_table *t, const char *align);
void text_table_add(struct text_table *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Prints to standard output and empties it. */
void text_table_print(struct text_table *t, const char *indent);

#endif
