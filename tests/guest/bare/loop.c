// SPDX-License-Identifier: GPL-2.0
/* Goes round for ever, through debug_here: for a debugger to stop it there. */
#include "guest.h"

void debug_here(volatile u64 *count);

static volatile u64 count;

__attribute__((noinline)) void debug_here(volatile u64 *n)
{
	*n += 1;
	asm volatile("nop; nop; nop");
}

void guest_main(void)
{
	note("looping", 0);
	for (;;)
		debug_here(&count);
}
