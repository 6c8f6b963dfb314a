/* SPDX-License-Identifier: GPL-2.0 */
/* What the bare-metal guests, 32-bit and 64-bit ones, say: TAP on QEMU's debug console. */
#ifndef TESTS_GUEST_BARE_CONSOLE_H
#define TESTS_GUEST_BARE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

void ok(bool pass, const char *name);
/* ok() that shows both numbers when they differ. */
void is(const char *name, unsigned long got, unsigned long want);
void skip(const char *name, const char *why);
void note(const char *text, unsigned long number);
/* Prints the plan and ends the machine. */
void done(void) __attribute__((noreturn));
/* An exception that nobody tried for: ends the machine as a failure. */
void bail_out(unsigned long vector, unsigned long at, unsigned long error, unsigned long cr2)
	__attribute__((noreturn));
/* A word on the guest's command line: "tcg" under QEMU's emulation, "stock" on the stock module. */
bool told(const char *word);

#endif
