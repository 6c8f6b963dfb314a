// SPDX-License-Identifier: GPL-2.0
/*
 * The seam's locks for actors that take turns (steps.h), in place of kapi/user/locks.c. Taking and dropping one is a step,
 * and so is what follows a drop: what was protected until then is not any more.
 */
#include "tests/explore/steps.h"

/* Never 0, which is nobody. */
static int self(void)
{
	return steps_me() + 2;
}

void spin_lock_init(spinlock_t *l)
{
	l->held = 0;
}

void spin_lock(spinlock_t *l)
{
	kapi_step();
	while (l->held)
		steps_wait();
	l->held = self();
}

bool spin_trylock(spinlock_t *l)
{
	kapi_step();
	if (l->held)
		return false;
	l->held = self();
	return true;
}

void spin_unlock(spinlock_t *l)
{
	WARN_ON(!kapi_spin_held(l));
	kapi_step();
	l->held = 0;
	steps_wake();
	kapi_step();
}

bool kapi_spin_held(const spinlock_t *l)
{
	return l->held == self();
}

void rwlock_init(rwlock_t *l)
{
	l->readers = l->writer = 0;
}

void read_lock(rwlock_t *l)
{
	kapi_step();
	while (l->writer)
		steps_wait();
	l->readers++;
}

void read_unlock(rwlock_t *l)
{
	WARN_ON(!l->readers);
	kapi_step();
	l->readers--;
	steps_wake();
	kapi_step();
}

void write_lock(rwlock_t *l)
{
	kapi_step();
	while (l->writer || l->readers)
		steps_wait();
	l->writer = self();
}

void write_unlock(rwlock_t *l)
{
	WARN_ON(!kapi_rw_held(l, true));
	kapi_step();
	l->writer = 0;
	steps_wake();
	kapi_step();
}

bool kapi_rw_held(const rwlock_t *l, bool write)
{
	return l->writer ? l->writer == self() : !write && l->readers;
}
