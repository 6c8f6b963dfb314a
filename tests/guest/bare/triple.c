// SPDX-License-Identifier: GPL-2.0
/* A triple fault: the machine must reset, which -no-reboot makes its end. */
#include "guest.h"

void guest_main(void)
{
	struct { u16 limit; u64 base; } __attribute__((packed)) none = { 0, 0 };

	note("about to fault three times", 3);
	asm volatile("lidt %0; ud2" : : "m"(none));
}
