// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
/*
 * The seam's locks for threads: real ones, which know their holder. Where a test chooses who goes on
 * (KAPI_STEPS), it has locks of its own instead: tests/explore/locks.c.
 */
#include "kapi.h"
#include "kapi_test.h"

static struct {
	const spinlock_t *lock;
	unsigned int nth;
	void (*step)(void);
} before;

static bool holds(const pthread_t *owner)
{
	return pthread_equal(__atomic_load_n(owner, __ATOMIC_RELAXED), pthread_self());
}

void spin_lock_init(spinlock_t *l)
{
	pthread_mutex_init(&l->m, NULL);
	l->held = 0;
}

static void spin_taken(spinlock_t *l)
{
	__atomic_store_n(&l->owner, pthread_self(), __ATOMIC_RELAXED);
	__atomic_store_n(&l->held, 1, __ATOMIC_RELAXED);
}

void kapi_before_lock(const spinlock_t *lock, unsigned int nth, void (*step)(void))
{
	before.lock = lock;
	before.nth = nth;
	before.step = step;
}

bool kapi_stepped(void)
{
	return !before.lock;
}

static void step_before(const spinlock_t *l)
{
	if (l != before.lock || --before.nth)
		return;
	before.lock = NULL;
	before.step();
}

void spin_lock(spinlock_t *l)
{
	if (kapi_spin_held(l))
		abort();
	step_before(l);
	pthread_mutex_lock(&l->m);
	spin_taken(l);
}

bool spin_trylock(spinlock_t *l)
{
	if (pthread_mutex_trylock(&l->m))
		return false;
	spin_taken(l);
	return true;
}

void spin_unlock(spinlock_t *l)
{
	WARN_ON(!kapi_spin_held(l));
	__atomic_store_n(&l->held, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&l->m);
}

bool kapi_spin_held(const spinlock_t *l)
{
	return __atomic_load_n(&l->held, __ATOMIC_RELAXED) && holds(&l->owner);
}

void rwlock_init(rwlock_t *l)
{
	pthread_rwlockattr_t attr;

	/* As the kernel's: a waiting writer keeps new readers out. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&l->l, &attr);
	l->readers = l->writer = 0;
}

void read_lock(rwlock_t *l)
{
	if (kapi_rw_held(l, true))
		abort();
	pthread_rwlock_rdlock(&l->l);
	__atomic_add_fetch(&l->readers, 1, __ATOMIC_RELAXED);
}

void read_unlock(rwlock_t *l)
{
	WARN_ON(__atomic_sub_fetch(&l->readers, 1, __ATOMIC_RELAXED) < 0);
	pthread_rwlock_unlock(&l->l);
}

void write_lock(rwlock_t *l)
{
	if (kapi_rw_held(l, true))
		abort();
	pthread_rwlock_wrlock(&l->l);
	__atomic_store_n(&l->owner, pthread_self(), __ATOMIC_RELAXED);
	__atomic_store_n(&l->writer, 1, __ATOMIC_RELAXED);
}

void write_unlock(rwlock_t *l)
{
	WARN_ON(!kapi_rw_held(l, true));
	__atomic_store_n(&l->writer, 0, __ATOMIC_RELAXED);
	pthread_rwlock_unlock(&l->l);
}

bool kapi_rw_held(const rwlock_t *l, bool write)
{
	if (__atomic_load_n(&l->writer, __ATOMIC_RELAXED))
		return holds(&l->owner);
	return !write && __atomic_load_n(&l->readers, __ATOMIC_RELAXED) > 0;
}
