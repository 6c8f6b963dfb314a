// SPDX-License-Identifier: GPL-2.0
/* Numbers, sizes and names as people write and read them; see text.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libpenumbra/text.h"

/* Not isdigit() and its kin: these do not depend on the locale. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Reads digits from *@s on; -EINVAL when there are none. */
static int take_digits(const char **s, uint64_t *val)
{
	uint64_t n = 0;

	if (!is_digit(**s))
		return -EINVAL;
	for (; is_digit(**s); (*s)++)
		if (__builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (unsigned int)(**s - '0'), &n))
			return -ERANGE;
	*val = n;
	return 0;
}

int text_parse_u64(const char *s, uint64_t *val)
{
	uint64_t n;
	int ret = take_digits(&s, &n);

	if (ret)
		return ret;
	if (*s)
		return -EINVAL;
	*val = n;
	return 0;
}

int text_parse_size(const char *s, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	uint64_t n;
	int ret = take_digits(&s, &n);

	if (ret)
		return ret;
	if (!*s || s[1])
		return -EINVAL;
	unit = strchr(units, *s >= 'a' ? *s - 'a' + 'A' : *s);
	if (!unit)
		return -EINVAL;
	return __builtin_mul_overflow(n, UINT64_C(1) << (10 * (unit - units + 1)), bytes) ?
		-ERANGE : 0;
}

int text_parse_seconds(const char *s, double *seconds)
{
	uint64_t whole, part = 0;
	double scale = 1;
	const char *point;
	int ret = take_digits(&s, &whole);

	if (ret)
		return ret;
	if (*s == '.') {
		point = ++s;
		ret = take_digits(&s, &part);
		if (ret)
			return ret;
		for (; point < s; point++)
			scale *= 10;
	}
	if (*s)
		return -EINVAL;
	*seconds = (double)whole + (double)part / scale;
	return *seconds < 0.01 || *seconds > 86400 ? -ERANGE : 0;
}

bool text_is_name(const char *s)
{
	size_t len = strlen(s);

	if (!is_letter(*s) || len > TEXT_NAME_MAX)
		return false;
	for (; *s; s++)
		if (!is_letter(*s) && !is_digit(*s) && !strchr("._-", *s))
			return false;
	return true;
}

char *text_size(char *buf, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned int u = 0;
	double v = bytes;

	/* what would be printed as 1024.0 belongs to the next unit */
	while (v >= 1023.95 && u < 6) {
		v /= 1024;
		u++;
	}
	snprintf(buf, TEXT_SIZE_BYTES, u ? "%.1f %s" : "%.0f %s", v, units[u]);
	return buf;
}

char *text_count(char *buf, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *out = buf;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*out++ = ' ';
		*out++ = digits[i];
	}
	*out = 0;
	return buf;
}

/* QEMU's -name: "NAME", "guest=NAME,...", "NAME,process=..."; ",," stands for a comma. */
static void copy_name(const char *arg, size_t len, char *name, size_t size)
{
	size_t n = 0;

	if (len >= 6 && !memcmp(arg, "guest=", 6)) {
		arg += 6;
		len -= 6;
	}
	for (size_t i = 0; i < len && n + 1 < size; i++) {
		if (arg[i] == ',' && (i + 1 == len || arg[++i] != ','))
			break;
		/* names are shown on terminals: no control characters */
		name[n++] = (unsigned char)arg[i] < ' ' || arg[i] == 0x7f ? '?' : arg[i];
	}
	name[n] = 0;
}

bool text_name_of_cmdline(const char *cmdline, size_t len, char *name, size_t size)
{
	const char *end = cmdline + len, *arg = cmdline, *next;
	bool wanted = false;

	for (; arg < end; arg = next + 1) {
		next = memchr(arg, 0, end - arg);
		if (!next)
			next = end;
		if (wanted) {
			copy_name(arg, next - arg, name, size);
			return *name;
		}
		wanted = (next - arg == 5 && !memcmp(arg, "-name", 5)) ||
			 (next - arg == 6 && !memcmp(arg, "--name", 6));
	}
	return false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

bool text_has_word(const char *list, size_t len, const char *word)
{
	const char *p = list, *end = list + len;
	size_t word_len = strlen(word);

	while (word_len && (p = memmem(p, end - p, word, word_len))) {
		if ((p == list || is_blank(p[-1])) &&
		    (p + word_len == end || is_blank(p[word_len])))
			return true;
		p += word_len;
	}
	return false;
}

void text_table_init(struct text_table *t, const char *align)
{
	*t = (struct text_table){ .columns = strlen(align), .align = align };
}

void text_table_add(struct text_table *t, const char *fmt, ...)
{
	char **bigger;
	va_list args;

	if (t->nr == t->room) {
		t->room = t->room ? t->room * 2 : 64;
		bigger = realloc(t->cell, t->room * sizeof(*bigger));
		if (!bigger) {
			t->room = t->nr;
			t->failed = true;
			return;
		}
		t->cell = bigger;
	}
	va_start(args, fmt);
	if (vasprintf(&t->cell[t->nr], fmt, args) < 0)
		t->failed = true;
	else
		t->nr++;
	va_end(args);
}

/* Columns a terminal shows: bytes that do not continue a UTF-8 sequence. */
static int shown_width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static int column_width(const struct text_table *t, unsigned int column)
{
	int width = 0, shown;

	for (size_t i = column; i < t->nr; i += t->columns) {
		shown = shown_width(t->cell[i]);
		if (shown > width)
			width = shown;
	}
	return width;
}

void text_table_print(struct text_table *t, const char *indent)
{
	int width[TEXT_MAX_COLUMNS];

	for (unsigned int column = 0; column < t->columns; column++)
		width[column] = column_width(t, column);
	for (size_t i = 0; i < t->nr; i++) {
		unsigned int column = i % t->columns;
		int pad = width[column] - shown_width(t->cell[i]);
		bool last = column + 1 == t->columns;

		if (last && !*t->cell[i])
			;	/* no blanks at the end of a line */
		else if (t->align[column] == 'r')
			printf("%s%*s%s", column ? "  " : indent, pad, "", t->cell[i]);
		else
			printf("%s%s%*s", column ? "  " : indent, t->cell[i], last ? 0 : pad, "");
		if (last)
			putchar('\n');
	}
	if (t->failed)
		fputs("(out of memory: the table is incomplete)\n", stdout);
	for (size_t i = 0; i < t->nr; i++)
		free(t->cell[i]);
	free(t->cell);
	t->cell = NULL;
	t->nr = t->room = 0;
}
