/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Telling the host that the processor is in a guest: between enter and exit RCU
 * may not be watching (nohz_full), so nothing is called there but the world switch.
 */
#ifndef PN_KVM_CONTEXT_H
#define PN_KVM_CONTEXT_H

#include <linux/context_tracking.h>
#include "kapi/kernel/compat.h"

/* Interrupts off. */
static __always_inline void pn_context_enter(void)
{
	/* Without context tracking, time in the guest is a quiescent state to be noted. */
	if (!context_tracking_guest_enter())
		compat_rcu_note_guest();
}

static __always_inline void pn_context_exit(void)
{
	context_tracking_guest_exit();
}

#endif
