// SPDX-License-Identifier: GPL-2.0
/* Runs off to where neither memory nor a device is: the machine must stop, not the host. */
#include "guest.h"

void guest_main(void)
{
	note("about to leave for", 0xd0000000);
	asm volatile("jmp *%0" : : "r"(0xd0000000ull));
}
