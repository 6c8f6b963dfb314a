/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which frames RAM files share, exactly, from their page maps (PENUMBRA_MEM_MAP).
 *
 *   page map of a file:  entry = kind | references | token     token: names the frame
 *
 * A frame that file i names k_i times, for n files altogether, holds sum(k_i) pages. It saves
 * sum(k_i) - 1 of them:
 *
 *   inside  = sum(k_i - 1)   what would be saved if no two files shared anything
 *   between = n - 1          what sharing between the files adds
 *
 * Pages found to be zero have no frame of their own; they are counted apart.
 */
#ifndef LIBPENUMBRA_SHARING_H
#define LIBPENUMBRA_SHARING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pages of 4 KiB. */
struct sharing_file {
	uint64_t hole_pages, zero_pages;
	uint64_t private_pages;		/* their frames are named by no other page */
	uint64_t shared_pages;		/* their frames are named by other pages too */
	uint64_t huge_pages;		/* of both, those in 2 MiB frames */
	uint64_t inside_pages;		/* sum(k - 1) over its frames */
	uint64_t others_pages;		/* of the shared ones, those whose frames other files name */
	double proportional_pages;	/* each page as 1 / pages that its frame holds */
};

struct sharing_total {
	uint64_t present_pages, frame_pages, zero_pages;
	uint64_t inside_pages, between_pages;
};

/* Files a < b both name this many frames. */
struct sharing_pair {
	uint32_t a, b;
	uint64_t frame_pages;
};

struct sharing {
	struct sharing_file *file;
	uint32_t nr;
	struct sharing_total total;
	struct sharing_pair *pair;	/* most in common first; without those of nothing in common */
	size_t nr_pairs;
	uint64_t *name;			/* token << 20 | file, of each shared page */
	size_t nr_names, room;
};

/* As many files can be told apart in a name; and for so many the table of pairs has room. */
#define SHARING_MAX_FILES	(1u << 20)
#define SHARING_MAX_PAIRED	2048u

/* For @nr files of one mount: 0, -ENOMEM or -E2BIG. */
int sharing_init(struct sharing *s, uint32_t nr);
void sharing_free(struct sharing *s);

/* The next @nr entries of file @file's page map: 0 or -ENOMEM. */
int sharing_add(struct sharing *s, uint32_t file, const uint64_t *entry, size_t nr);

/* The whole page map of @file, open at @fd: 0; or -errno and none of it; -ENOTTY: no RAM file. */
int sharing_add_fd(struct sharing *s, uint32_t file, int fd);

/* After all files: works out the total and what is left of each file. */
void sharing_finish(struct sharing *s);

/* After sharing_finish(): works out the pairs. 0, -ENOMEM or -E2BIG. */
int sharing_find_pairs(struct sharing *s);

#endif
