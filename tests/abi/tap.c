// SPDX-License-Identifier: GPL-2.0
/* TAP output; see tap.h. */
#include "tap.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	unsigned int points;
	unsigned int failed;
} tap;

static void point(bool pass, const char *fmt, va_list ap)
{
	printf("%sok %u - ", pass ? "" : "not ", ++tap.points);
	vprintf(fmt, ap);
	putchar('\n');
	if (!pass)
		tap.failed++;
	fflush(stdout);
}

bool tap_ok(bool pass, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	point(pass, fmt, ap);
	va_end(ap);
	return pass;
}

bool tap_eq(uint64_t got, uint64_t want, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	point(got == want, fmt, ap);
	va_end(ap);
	if (got != want)
		tap_note("expected %#llx, got %#llx", (unsigned long long)want,
			 (unsigned long long)got);
	return got == want;
}

bool tap_errno(long ret, int err, int want_errno, const char *fmt, ...)
{
	bool pass = want_errno ? ret == -1 && err == want_errno : ret >= 0;
	va_list ap;

	va_start(ap, fmt);
	point(pass, fmt, ap);
	va_end(ap);
	if (!pass)
		tap_note("expected %s, got %ld%s%s",
			 want_errno ? strerror(want_errno) : "success", ret,
			 ret < 0 ? ": " : "", ret < 0 ? strerror(err) : "");
	return pass;
}

void tap_skip(const char *name, const char *why, ...)
{
	va_list ap;

	printf("ok %u - %s # SKIP ", ++tap.points, name);
	va_start(ap, why);
	vprintf(why, ap);
	va_end(ap);
	putchar('\n');
}

void tap_note(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

void tap_bail(const char *fmt, ...)
{
	va_list ap;

	printf("Bail out! ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(" (errno %d: %s)\n", errno, strerror(errno));
	fflush(stdout);
	exit(2);
}

int tap_done(void)
{
	printf("1..%u\n", tap.points);
	fflush(stdout);
	return tap.failed ? 1 : 0;
}

unsigned int tap_failed(void)
{
	return tap.failed;
}
