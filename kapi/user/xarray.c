// SPDX-License-Identifier: GPL-2.0
/*
 * The xarray's subset of the seam: a tree of 64 entries a node, as high as the largest index
 * needs, one lock around everything. Nodes live until xa_destroy().
 */
#include "kapi.h"

#define NODE_BITS	6
#define NODE_ENTRIES	(1u << NODE_BITS)

struct node {
	void *entry[NODE_ENTRIES];
};

void xa_init(struct xarray *xa)
{
	pthread_mutex_init(&xa->lock, NULL);
	xa->root = NULL;
	xa->height = 0;
}

static void node_free(struct node *node, unsigned int height)
{
	unsigned int i;

	for (i = 0; i < NODE_ENTRIES && height > 1; i++)
		if (node->entry[i])
			node_free(node->entry[i], height - 1);
	kfree(node);
}

void xa_destroy(struct xarray *xa)
{
	if (xa->height)
		node_free(xa->root, xa->height);
	xa->root = NULL;
	xa->height = 0;
}

static bool fits(const struct xarray *xa, unsigned long index)
{
	unsigned int bits = xa->height * NODE_BITS;

	return bits >= BITS_PER_LONG || !(index >> bits);
}

/* Where the entry of index is. NULL: nowhere, or with make: no memory. */
static void **place(struct xarray *xa, unsigned long index, bool make, gfp_t gfp)
{
	void **at = &xa->root;
	unsigned int height;

	while (!xa->height || !fits(xa, index)) {
		struct node *top = make ? kzalloc(sizeof(*top), gfp) : NULL;

		if (!top)
			return NULL;
		top->entry[0] = xa->root;
		xa->root = top;
		xa->height++;
	}
	for (height = xa->height; height; height--) {
		if (!*at && make)
			*at = kzalloc(sizeof(struct node), gfp);
		if (!*at)
			return NULL;
		at = &((struct node *)*at)->entry[index >> ((height - 1) * NODE_BITS) &
						  (NODE_ENTRIES - 1)];
	}
	return at;
}

void *xa_load(struct xarray *xa, unsigned long index)
{
	void **at, *entry;

	pthread_mutex_lock(&xa->lock);
	at = place(xa, index, false, 0);
	entry = at ? *at : NULL;
	pthread_mutex_unlock(&xa->lock);
	return entry;
}

static void *put(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp,
		 bool compare, void *expected)
{
	void **at, *old;

	pthread_mutex_lock(&xa->lock);
	at = place(xa, index, entry, gfp);
	old = at ? *at : entry ? XA_ERROR(-ENOMEM) : NULL;
	if (at && (!compare || old == expected))
		*at = entry;
	pthread_mutex_unlock(&xa->lock);
	return old;
}

void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)
{
	return put(xa, index, entry, gfp, false, NULL);
}

void *xa_cmpxchg(struct xarray *xa, unsigned long index, void *old, void *entry, gfp_t gfp)
{
	return put(xa, index, entry, gfp, true, old);
}

void *xa_erase(struct xarray *xa, unsigned long index)
{
	return put(xa, index, NULL, 0, false, NULL);
}

static void *find(const struct node *node, unsigned int height, unsigned long base,
		  unsigned long *index)
{
	unsigned int shift = (height - 1) * NODE_BITS;
	unsigned long i = *index > base ? (*index - base) >> shift : 0;

	for (; i < NODE_ENTRIES; i++) {
		unsigned long start = base + (i << shift);
		void *entry = node->entry[i];

		if (entry && height > 1)
			entry = find(entry, height - 1, start, index);
		else if (entry && *index < start)
			*index = start;
		if (entry)
			return entry;
	}
	return NULL;
}

void *xa_find(struct xarray *xa, unsigned long *index, unsigned long max, xa_mark_t filter)
{
	unsigned long at = *index;
	void *entry = NULL;

	pthread_mutex_lock(&xa->lock);
	if (xa->height && fits(xa, at))
		entry = find(xa->root, xa->height, 0, &at);
	pthread_mutex_unlock(&xa->lock);
	if (!entry || at > max)
		return NULL;
	*index = at;
	return entry;
}

void *xa_find_after(struct xarray *xa, unsigned long *index, unsigned long max, xa_mark_t filter)
{
	unsigned long at = *index + 1;
	void *entry = at ? xa_find(xa, &at, max, filter) : NULL;

	if (entry)
		*index = at;
	return entry;
}
