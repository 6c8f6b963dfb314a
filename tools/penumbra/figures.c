// SPDX-License-Identifier: GPL-2.0
/* Numbers of RAM files for people and as JSON; see figures.h. */
#include <string.h>
#include "figures.h"

char *figure_size(char *buf, uint64_t pages)
{
	return pages == RAM_UNKNOWN ? strcpy(buf, "-") : text_size(buf, pages * RAM_PAGE_BYTES);
}

char *figure_count(char *buf, uint64_t n)
{
	return n == RAM_UNKNOWN ? strcpy(buf, "-") : text_count(buf, n);
}

void figure_add_size(struct text_table *t, uint64_t pages)
{
	char text[TEXT_SIZE_BYTES];

	text_table_add(t, "%s", figure_size(text, pages));
}

void figure_add_count(struct text_table *t, uint64_t n)
{
	char text[TEXT_COUNT_BYTES];

	text_table_add(t, "%s", figure_count(text, n));
}

void figure_add_size_row(struct text_table *t, const char *title, uint64_t pages)
{
	text_table_add(t, "%s", title);
	figure_add_size(t, pages);
}

void figure_add_count_row(struct text_table *t, const char *title, uint64_t n)
{
	text_table_add(t, "%s", title);
	figure_add_count(t, n);
}

void figure_add_number(struct json_object *o, const char *name, uint64_t n)
{
	json_object_object_add(o, name, n == RAM_UNKNOWN ? NULL : json_object_new_uint64(n));
}

void figure_add_bytes(struct json_object *o, const char *name, uint64_t pages)
{
	figure_add_number(o, name, pages == RAM_UNKNOWN ? pages : pages * RAM_PAGE_BYTES);
}

void figure_add_text(struct json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, *text ? json_object_new_string(text) : NULL);
}
