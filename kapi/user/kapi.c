// SPDX-License-Identifier: GPL-2.0
/*
 * The user-space side of the seam: a counting allocator that can refuse, pages
 * with machine addresses, warnings that count. Locks are in locks.c.
 *
 * Pages come from one arena, so that an address and a "machine address" are the
 * same distance apart everywhere; a page that is not in use is poisoned for the
 * address sanitizer and never handed out again before all others.
 */
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include "kapi.h"
#include "kapi_test.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)		((void)(p))
#define ASAN_UNPOISON_MEMORY_REGION(p, n)	((void)(p))
#endif

#define ARENA_PAGES	(1u << 16)	/* 256 MiB of address space, touched only as used */
#define ARENA_PA	(1ULL << 40)	/* machine address of the arena: unlike any pfn tests make up */

static unsigned long allocs, live, fail_at, warnings;
static bool failed, quiet;
static bool (*resched_ask)(void);
static void (*resched_others)(void);

static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;
static char *arena;
static struct page pages[ARENA_PAGES];
static u32 free_ring[ARENA_PAGES];	/* page numbers, oldest first */
static u32 ring_head, ring_used;

void kapi_fail_nth(unsigned long n)
{
	__atomic_store_n(&failed, false, __ATOMIC_SEQ_CST);
	__atomic_store_n(&fail_at, n ? kapi_allocs() + n : 0, __ATOMIC_SEQ_CST);
}

bool kapi_failed(void)
{
	return __atomic_load_n(&failed, __ATOMIC_SEQ_CST);
}

unsigned long kapi_allocs(void)
{
	return __atomic_load_n(&allocs, __ATOMIC_SEQ_CST);
}

unsigned long kapi_live(void)
{
	return __atomic_load_n(&live, __ATOMIC_SEQ_CST);
}

unsigned long kapi_warnings(void)
{
	return __atomic_load_n(&warnings, __ATOMIC_SEQ_CST);
}

void kapi_warn_quiet(bool on)
{
	quiet = on;
}

void kapi_set_resched(bool (*ask)(void), void (*others)(void))
{
	resched_ask = ask;
	resched_others = others;
}

bool need_resched(void)
{
	return resched_ask && resched_ask();
}

void cond_resched(void)
{
	if (resched_others)
		resched_others();
}

void kapi_might_sleep(const char *file, int line)
{
}

bool kapi_warn(const char *file, int line, const char *cond)
{
	__atomic_add_fetch(&warnings, 1, __ATOMIC_SEQ_CST);
	if (!quiet)
		fprintf(stderr, "# WARNING: %s:%d: %s\n", file, line, cond);
	return true;
}

void kapi_printk(const char *fmt, ...)
{
	va_list ap;

	if (quiet)
		return;
	va_start(ap, fmt);
	fputs("# ", stderr);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
}

/* Count a request; should it be refused? */
static bool refuse(void)
{
	unsigned long n = __atomic_add_fetch(&allocs, 1, __ATOMIC_SEQ_CST);

	if (n != __atomic_load_n(&fail_at, __ATOMIC_SEQ_CST))
		return false;
	__atomic_store_n(&failed, true, __ATOMIC_SEQ_CST);
	return true;
}

void *kapi_alloc(size_t size, gfp_t gfp)
{
	void *p = NULL;

	if (!refuse())
		p = gfp & __GFP_ZERO ? calloc(1, size) : malloc(size);
	if (p)
		__atomic_add_fetch(&live, 1, __ATOMIC_SEQ_CST);
	return p;
}

void kfree(const void *p)
{
	if (!p)
		return;
	__atomic_sub_fetch(&live, 1, __ATOMIC_SEQ_CST);
	free((void *)p);
}

static void arena_init(void)
{
	u32 i;

	arena = mmap(NULL, ARENA_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED)
		abort();
	for (i = 0; i < ARENA_PAGES; i++)
		free_ring[i] = i;
}

unsigned long get_zeroed_page(gfp_t gfp)
{
	char *p = NULL;

	if (refuse())
		return 0;
	pthread_mutex_lock(&arena_lock);
	if (!arena)
		arena_init();
	if (ring_used < ARENA_PAGES) {
		p = arena + free_ring[ring_head] * PAGE_SIZE;
		ring_head = (ring_head + 1) % ARENA_PAGES;
		ring_used++;
	}
	pthread_mutex_unlock(&arena_lock);
	if (!p)
		return 0;
	ASAN_UNPOISON_MEMORY_REGION(p, PAGE_SIZE);
	memset(p, 0, PAGE_SIZE);
	virt_to_page(p)->private = 0;
	__atomic_add_fetch(&live, 1, __ATOMIC_SEQ_CST);
	return (unsigned long)p;
}

void free_page(unsigned long addr)
{
	char *p = (char *)addr;

	if (!p)
		return;
	/* Whoever still reads it in a build without the sanitizer sees garbage. */
	memset(p, 0xdb, PAGE_SIZE);
	ASAN_POISON_MEMORY_REGION(p, PAGE_SIZE);
	pthread_mutex_lock(&arena_lock);
	free_ring[(ring_head + ARENA_PAGES - ring_used) % ARENA_PAGES] = (p - arena) / PAGE_SIZE;
	ring_used--;
	pthread_mutex_unlock(&arena_lock);
	__atomic_sub_fetch(&live, 1, __ATOMIC_SEQ_CST);
}

phys_addr_t virt_to_phys(const volatile void *p)
{
	return ARENA_PA + ((const volatile char *)p - arena);
}

void *phys_to_virt(phys_addr_t pa)
{
	return arena + (pa - ARENA_PA);
}

struct page *virt_to_page(const void *p)
{
	return &pages[((const char *)p - arena) / PAGE_SIZE];
}
