/* SPDX-License-Identifier: GPL-2.0 */
/* A fake root folder for libpenumbra, in a new folder under /tmp. */
#ifndef TESTS_TOOL_TREE_H
#define TESTS_TOOL_TREE_H

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "libpenumbra/hostfs.h"

struct tree {
	char dir[64];
	struct hostfs fs;
};

static inline int tree_setup(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		return -1;
	*state = t;
	strcpy(t->dir, "/tmp/penumbra-tree-XXXXXX");
	return mkdtemp(t->dir) ? hostfs_open(&t->fs, t->dir) : -1;
}

static inline int tree_teardown(void **state)
{
	struct tree *t = *state;
	char command[128];
	int ret;

	hostfs_close(&t->fs);
	snprintf(command, sizeof(command), "rm -rf %s", t->dir);
	ret = system(command);
	free(t);
	return ret;
}

/* Write @size bytes to DIR/@path, @offset bytes in; its folders come into being. */
static inline void tree_write(struct tree *t, const char *path, const void *data, size_t size,
			      long offset)
{
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", t->dir, path);
	for (char *slash = full + strlen(t->dir) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		mkdir(full, 0755);
		*slash = '/';
	}
	f = fopen(full, "w");
	if (!f || fseek(f, offset, SEEK_SET) || fwrite(data, 1, size, f) != size || fclose(f))
		abort();
}

static inline void tree_text(struct tree *t, const char *path, const char *text)
{
	tree_write(t, path, text, strlen(text), 0);
}

#endif
