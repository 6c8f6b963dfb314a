/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The filesystem's tests: what they share. They run as root in the test host, with
 * penumbra mounted at /dev/penumbra and tmpfs at /tmp.
 */
#ifndef TESTS_FS_FS_H
#define TESTS_FS_FS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include "tap.h"

/* The call first, then its errno. */
#define tap_errno(ret, err, want, ...)						\
({										\
	long ret_ = (long)(ret);						\
	int err_ = (err);							\
										\
	(tap_errno)(ret_, err_, want, __VA_ARGS__);				\
})

#define PAGE	4096UL
#define HUGE	(512 * PAGE)
#define DIR_PENUMBRA	"/dev/penumbra"
#define DIR_TMPFS	"/tmp"

/* A file in /dev/penumbra, empty or of @size bytes; the suite ends if it cannot be made. */
int fs_file(const char *name, off_t size);
void fs_remove(const char *name);
/* An unnamed one. */
int fs_tmpfile(off_t size);

/* Maps @size bytes; at an address congruent to the offset modulo 2 MiB. Ends the suite on failure. */
void *fs_map(int fd, size_t size, int prot, int flags);

/* Writes the number of each page, plus @salt, all over it: a content that tells where it belongs. */
void fs_fill(int fd, unsigned long first, unsigned long pages, uint64_t salt);
/* The page holds that content (mapped at @page). */
bool fs_is(const void *page, unsigned long index, uint64_t salt);
bool fs_is_zero(const void *page);
/* Page @index of the file by read(). */
bool fs_reads(int fd, unsigned long index, uint64_t salt);
bool fs_reads_zero(int fd, unsigned long index);

/* sysfs: a number of the file's folder, of the mount's, of the counters. -1: there is none. */
long long fs_stat(int fd, const char *name);
long long fs_mount_stat(const char *dir, const char *name);
bool fs_mount_set(const char *dir, const char *name, const char *value);
long long fs_counter(const char *name);

/* Ends up with SIGBUS: 1; works: 0; another signal: -1. Touches one byte. */
int fs_touch(volatile char *p, bool write);

/* A line of /proc/self/smaps for the mapping at @address, in KiB. */
long fs_smaps(const void *address, const char *field);

/* Kernel's FICLONERANGE and FIDEDUPERANGE; 0 or -1 with errno. *status as the kernel has it. */
int fs_clone(int src, off_t src_at, off_t len, int dst, off_t dst_at);
int fs_dedupe(int src, off_t src_at, off_t len, int dst, off_t dst_at, int *status);

/* Mounts another one; false: refused. fs_umount: 0 or -1 with errno. */
bool fs_mount(const char *dir, const char *options);
int fs_umount(const char *dir);

/* A child that runs @fn and exits with its result. */
int fs_child(int (*fn)(void *), void *arg);

/* The suites. */
void test_names(void);
void test_data(void);
void test_random(void);
void test_maps(void);
void test_huge(void);
void test_pins(void);
void test_clones(void);
void test_groups(void);
void test_limits(void);
void test_cgroups(void);
void test_edges(void);
void test_poison(void);
void test_reports(void);

#endif
