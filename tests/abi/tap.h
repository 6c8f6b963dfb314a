/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TAP for the test programs that run in the test host. One process is one
 * suite: points are numbered as they come and the plan follows at the end.
 * A failing point prints what was expected and what was got as "# " lines.
 */
#ifndef TESTS_ABI_TAP_H
#define TESTS_ABI_TAP_H

#include <stdbool.h>
#include <stdint.h>

/* Point: @pass, named by @fmt. Returns @pass. */
bool tap_ok(bool pass, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Point that passes when @got == @want; prints both otherwise. */
bool tap_eq(uint64_t got, uint64_t want, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Point that passes when the call returned @ret and, for -1, left @want_errno. */
bool tap_errno(long ret, int err, int want_errno, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Point not run, with the reason. */
void tap_skip(const char *name, const char *why, ...) __attribute__((format(printf, 2, 3)));
/* "# " line. */
void tap_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Ends the process: the suite cannot go on. */
void tap_bail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Prints the plan; returns the exit status of the program. */
int tap_done(void);
/* Points failed until now. */
unsigned int tap_failed(void);

#endif
