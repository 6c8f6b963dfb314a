/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How tests steer the user-space side of the seam: refuse allocations, count what
 * is alive, see warnings, let others in where the kernel would.
 */
#ifndef PENUMBRA_KAPI_TEST_H
#define PENUMBRA_KAPI_TEST_H

#include "kapi.h"

/* Refuse the n-th allocation from now (1 = the next one), once. 0: refuse none. */
void kapi_fail_nth(unsigned long n);
/* Has the refusal of kapi_fail_nth() happened? */
bool kapi_failed(void);
/* Allocations asked for since start, refused or not; and those not freed yet. */
unsigned long kapi_allocs(void);
unsigned long kapi_live(void);

/* Warnings since start; quiet: only count, do not print. */
unsigned long kapi_warnings(void);
void kapi_warn_quiet(bool quiet);

/*
 * ask: what need_resched() answers, called with the caller's locks held; NULL:
 * false. others: what happens in cond_resched(), where no lock is held; may be NULL.
 */
void kapi_set_resched(bool (*ask)(void), void (*others)(void));

/*
 * What another processor does before @lock is taken for the @nth time from now (1 = the next one), once. The locks
 * held there stay held: what @step takes of them is a deadlock, which ends the program.
 */
void kapi_before_lock(const spinlock_t *lock, unsigned int nth, void (*step)(void));
/* Has it been done? */
bool kapi_stepped(void);

#endif
