/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Numbers of RAM files for people and as JSON. What could not be read (RAM_UNKNOWN) is "-" there
 * and null here, never 0.
 */
#ifndef PENUMBRA_FIGURES_H
#define PENUMBRA_FIGURES_H

#include <json-c/json.h>
#include "libpenumbra/ramfiles.h"
#include "libpenumbra/text.h"

/* Pages of 4 KiB as a size. @buf of TEXT_SIZE_BYTES. Returns @buf. */
char *figure_size(char *buf, uint64_t pages);
/* @buf of TEXT_COUNT_BYTES. Returns @buf. */
char *figure_count(char *buf, uint64_t n);

/* Cells of a table; and rows of two. */
void figure_add_size(struct text_table *t, uint64_t pages);
void figure_add_count(struct text_table *t, uint64_t n);
void figure_add_size_row(struct text_table *t, const char *title, uint64_t pages);
void figure_add_count_row(struct text_table *t, const char *title, uint64_t n);

/* Members of an object: a number; pages as bytes; a text, of which "" is null. */
void figure_add_number(struct json_object *o, const char *name, uint64_t n);
void figure_add_bytes(struct json_object *o, const char *name, uint64_t pages);
void figure_add_text(struct json_object *o, const char *name, const char *text);

#endif
