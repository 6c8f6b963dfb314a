// SPDX-License-Identifier: GPL-2.0
/* Where the trace points of kvm/trace.h live. */
#define CREATE_TRACE_POINTS
#include "kvm/trace.h"
