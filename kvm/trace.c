// SPDX-License-Identifier: GPL-2.0
/*
 * Where the trace points of kvm/trace.h live, and the events on them.
 *
 * The events have the stock module's names, so they cannot exist twice; the loader would
 * register them before the module's first instruction, and complain of each when the
 * stock module is there. Hence kvm/trace.lds hides them from it.
 */
#include <linux/module.h>
#include <linux/trace_events.h>
#define CREATE_TRACE_POINTS
#include "kvm/trace.h"

/* From the linker script: an array of pointers, as the macros of the kernel make it. */
extern struct trace_event_call *pn_trace_events_start[], *pn_trace_events_end[];

/*
 * The kernel asks for its event_mutex here, which it does not export. What that guards
 * against each other, additions, trace_types_lock guards as well, and it is taken inside.
 * From then on they are like any module's: when this one goes, or does not come up, the kernel
 * ends their use and removes them.
 */
int pn_trace_register(void)
{
	struct trace_event_call **event;
	int r;

	for (event = pn_trace_events_start; event < pn_trace_events_end; event++) {
		r = trace_add_event_call(*event);
		if (r)
			return r;
		(*event)->module = THIS_MODULE;
	}
	return 0;
}
