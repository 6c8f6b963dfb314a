/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What Penumbra adds to the kernel's ABI: ioctls on files of the penumbra filesystem.
 */
#ifndef _UAPI_PENUMBRA_H
#define _UAPI_PENUMBRA_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * PENUMBRA_MEM_MAP: what the pages [first, first + pages) of a file are. entries is a pointer to
 * as many __u64. Returns how many were written (fewer at the file's end, or when interrupted).
 * The file must be open for reading, and the caller's own; others need CAP_SYS_ADMIN.
 */
struct penumbra_mem_map {
	__u64 first;
	__u64 pages;
	__u64 entries;
};

#define PENUMBRA_MEM_MAP	_IOW(0xb7, 0x01, struct penumbra_mem_map)

/* An entry: kind, references (saturating), and a token of the frame. */
#define PENUMBRA_PAGE_KIND(e)	((e) & 0x7)
#define PENUMBRA_PAGE_HOLE	0	/* nothing there, reads as zero */
#define PENUMBRA_PAGE_ZERO	1	/* found zero: no frame of its own */
#define PENUMBRA_PAGE_PRIVATE	2
#define PENUMBRA_PAGE_SHARED	3
#define PENUMBRA_PAGE_HUGE	(1ULL << 3)	/* in a 2 MiB frame */
#define PENUMBRA_PAGE_REFS(e)	(((e) >> 8) & 0xfff)
/* The same for two pages of a mount if, and only if, they are one frame. Says nothing else. */
#define PENUMBRA_PAGE_TOKEN(e)	((e) >> 20)

#endif
