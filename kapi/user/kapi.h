/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The seam between pure code and its surroundings, user-space side: the
 * kernel's names in plain C, so that mmu/, mem/ and x86/ compile unchanged into
 * tests, fuzzers and tools. Memory comes from a counting allocator that can
 * refuse the N-th request and locks know who holds them; tests steer both
 * through kapi_test.h. The kernel side is kapi/kernel/kapi.h.
 */
#ifndef PENUMBRA_KAPI_H
#define PENUMBRA_KAPI_H

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <asm/processor-flags.h>

/* --- types: as in the kernel on x86-64 --- */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;
typedef unsigned int gfp_t;

#define U8_MAX	((u8)~0U)
#define U16_MAX	((u16)~0U)
#define U32_MAX	((u32)~0U)
#define U64_MAX	((u64)~0ULL)
#define S64_MAX	((s64)(U64_MAX >> 1))
#define S64_MIN	((s64)(-S64_MAX - 1))

/* --- processor: <asm/processor-flags.h> is above; of the kernel's <asm/msr-index.h> --- */

#define EFER_SCE	(1 << 0)
#define EFER_LME	(1 << 8)
#define EFER_LMA	(1 << 10)
#define EFER_NX		(1 << 11)
#define EFER_SVME	(1 << 12)
#define EFER_FFXSR	(1 << 14)

/* --- compiler --- */

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define barrier()	__asm__ __volatile__("" ::: "memory")
#ifndef __always_inline
#define __always_inline	inline __attribute__((always_inline))
#endif
#undef noinline
#define noinline	__attribute__((noinline))
#define __no_kcsan	__attribute__((no_sanitize_thread))	/* its races are meant */
#define __packed	__attribute__((packed))
#define __aligned(n)	__attribute__((aligned(n)))
#define __maybe_unused	__attribute__((unused))
#define __must_check	__attribute__((warn_unused_result))
#define __printf(a, b)	__attribute__((format(printf, a, b)))
#define fallthrough	__attribute__((fallthrough))
#define static_assert	_Static_assert
#define BUILD_BUG_ON(c)	_Static_assert(!(c), "BUILD_BUG_ON: " #c)
#define EXPORT_SYMBOL_GPL(sym)	_Static_assert(1, #sym)

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define sizeof_field(t, f)	sizeof(((t *)0)->f)
#define struct_size(p, member, n) \
	(sizeof(*(p)) + sizeof((p)->member[0]) * (size_t)(n))

/* --- arithmetic --- */

#define kapi_paste__(a, b)	a##b
#define kapi_paste_(a, b)	kapi_paste__(a, b)
#define kapi_cmp__(a, op, b, x, y) ({		\
	__typeof__(a) x = (a);			\
	__typeof__(b) y = (b);			\
	x op y ? x : y; })
#define kapi_cmp_(a, op, b)	/* names of their own, so that min(max()) shadows nothing */ \
	kapi_cmp__(a, op, b, kapi_paste_(kapi_x_, __COUNTER__), kapi_paste_(kapi_y_, __COUNTER__))
#define min(a, b)		kapi_cmp_(a, <, b)
#define max(a, b)		kapi_cmp_(a, >, b)
#define min_t(t, a, b)		kapi_cmp_((t)(a), <, (t)(b))
#define max_t(t, a, b)		kapi_cmp_((t)(a), >, (t)(b))
#define clamp(v, lo, hi)	min((__typeof__(v))max(v, lo), hi)
#define clamp_t(t, v, lo, hi)	min_t(t, max_t(t, v, lo), hi)
#define swap(a, b) do {				\
	__typeof__(a) kapi_t_ = (a);		\
	(a) = (b);				\
	(b) = kapi_t_; } while (0)

#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define GENMASK(h, l)		((~0UL << (l)) & (~0UL >> (63 - (h))))
#define GENMASK_ULL(h, l)	((~0ULL << (l)) & (~0ULL >> (63 - (h))))
#define BITS_PER_LONG		64
#define BITS_TO_LONGS(n)	(((n) + 63UL) / 64)
#define ALIGN(x, a)		(((x) + ((__typeof__(x))(a) - 1)) & ~((__typeof__(x))(a) - 1))
#define ALIGN_DOWN(x, a)	((x) & ~((__typeof__(x))(a) - 1))
#define IS_ALIGNED(x, a)	(((x) & ((__typeof__(x))(a) - 1)) == 0)
#define round_up(x, a)		ALIGN(x, a)
#define round_down(x, a)	ALIGN_DOWN(x, a)
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))

#define div_u64(n, d)		((u64)(n) / (u32)(d))
#define div64_u64(n, d)		((u64)(n) / (u64)(d))
#define check_add_overflow(a, b, d)	__builtin_add_overflow(a, b, d)
#define check_mul_overflow(a, b, d)	__builtin_mul_overflow(a, b, d)

/* __ffs() and __fls() are undefined for 0, fls64() is 1-based: as the kernel's. */
static inline unsigned long __ffs(unsigned long x) { return __builtin_ctzl(x); }
static inline unsigned long __fls(unsigned long x) { return 63 - __builtin_clzl(x); }
static inline int fls64(u64 x) { return x ? 64 - __builtin_clzll(x) : 0; }
static inline int fls(unsigned int x) { return x ? 32 - __builtin_clz(x) : 0; }
static inline int ilog2(u64 x) { return fls64(x) - 1; }
static inline unsigned int hweight8(u8 x) { return __builtin_popcount(x); }
static inline unsigned int hweight32(u32 x) { return __builtin_popcount(x); }
static inline unsigned long hweight64(u64 x) { return __builtin_popcountll(x); }
static inline u64 rol64(u64 x, unsigned int n) { return x << (n & 63) | x >> (-n & 63); }
static inline u64 ror64(u64 x, unsigned int n) { return x >> (n & 63) | x << (-n & 63); }
static inline s64 sign_extend64(u64 x, int bit) { return (s64)(x << (63 - bit)) >> (63 - bit); }
static inline bool is_power_of_2(unsigned long n) { return n && !(n & (n - 1)); }

#define kapi_unaligned_(name, type)					\
static inline type get_unaligned_##name(const void *p)			\
{ type v; memcpy(&v, p, sizeof(v)); return v; }				\
static inline void put_unaligned_##name(type v, void *p)		\
{ memcpy(p, &v, sizeof(v)); }
kapi_unaligned_(le16, u16)
kapi_unaligned_(le32, u32)
kapi_unaligned_(le64, u64)

/* --- atomics; the kernel's are fully ordered unless the name says otherwise --- */

/* What others share is about to be used: where a test chooses who goes on, it may be somebody else. */
#ifdef KAPI_STEPS
void kapi_step(void);
#else
#define kapi_step()		((void)0)
#endif

#define READ_ONCE(x)		(kapi_step(), __atomic_load_n(&(x), __ATOMIC_RELAXED))
#define WRITE_ONCE(x, v)	(kapi_step(), __atomic_store_n(&(x), (v), __ATOMIC_RELAXED))
#define smp_load_acquire(p)	(kapi_step(), __atomic_load_n(p, __ATOMIC_ACQUIRE))
#define smp_store_release(p, v)	(kapi_step(), __atomic_store_n(p, v, __ATOMIC_RELEASE))
#ifdef __SANITIZE_THREAD__	/* the thread sanitizer has no fences */
static inline void smp_mb(void) { int x = 0; __atomic_exchange_n(&x, 1, __ATOMIC_SEQ_CST); }
#define smp_rmb()		smp_mb()
#define smp_wmb()		smp_mb()
#else
#define smp_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb()		__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)
#endif
#define cpu_relax()		__builtin_ia32_pause()
#define xchg(p, v)		(kapi_step(), __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST))
#define cmpxchg(p, o, n) ({						\
	__typeof__(*(p)) kapi_o_ = (o);					\
	kapi_step();							\
	__atomic_compare_exchange_n(p, &kapi_o_, n, false,		\
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);\
	kapi_o_; })
#define try_cmpxchg(p, o, n)						\
	(kapi_step(), __atomic_compare_exchange_n(p, o, n, false,	\
						  __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
#define cmpxchg64		cmpxchg
#define try_cmpxchg64		try_cmpxchg

typedef struct { s64 counter; } atomic64_t;
typedef struct { long counter; } atomic_long_t;
typedef struct { int counter; } atomic_t;
#define ATOMIC_INIT(n)		{ (n) }
#define kapi_atomic_(pfx, type)						\
static inline type pfx##_read(const pfx##_t *a)				\
{ kapi_step(); return __atomic_load_n(&a->counter, __ATOMIC_RELAXED); }	\
static inline type pfx##_read_acquire(const pfx##_t *a)			\
{ kapi_step(); return __atomic_load_n(&a->counter, __ATOMIC_ACQUIRE); }	\
static inline void pfx##_set(pfx##_t *a, type v)			\
{ kapi_step(); __atomic_store_n(&a->counter, v, __ATOMIC_RELAXED); }	\
static inline void pfx##_add(type v, pfx##_t *a)			\
{ kapi_step(); __atomic_fetch_add(&a->counter, v, __ATOMIC_RELAXED); }	\
static inline void pfx##_sub(type v, pfx##_t *a)			\
{ kapi_step(); __atomic_fetch_sub(&a->counter, v, __ATOMIC_RELAXED); }	\
static inline type pfx##_add_return(type v, pfx##_t *a)			\
{ kapi_step(); return __atomic_add_fetch(&a->counter, v, __ATOMIC_SEQ_CST); } \
static inline void pfx##_inc(pfx##_t *a) { pfx##_add(1, a); }		\
static inline void pfx##_dec(pfx##_t *a) { pfx##_sub(1, a); }		\
static inline type pfx##_inc_return(pfx##_t *a) { return pfx##_add_return(1, a); } \
static inline type pfx##_dec_return(pfx##_t *a) { return pfx##_add_return(-1, a); } \
static inline bool pfx##_dec_and_test(pfx##_t *a) { return pfx##_add_return(-1, a) == 0; } \
static inline type pfx##_cmpxchg(pfx##_t *a, type o, type n)		\
{									\
	kapi_step();							\
	__atomic_compare_exchange_n(&a->counter, &o, n, false,		\
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);\
	return o;							\
}									\
static inline bool pfx##_inc_not_zero(pfx##_t *a)			\
{									\
	type o = pfx##_read(a);						\
									\
	while (o && !__atomic_compare_exchange_n(&a->counter, &o, o + 1, false, \
						 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) \
		;							\
	return o;							\
}
kapi_atomic_(atomic, int)
kapi_atomic_(atomic_long, long)
kapi_atomic_(atomic64, s64)

/* --- bitmaps --- */

static inline void __set_bit(unsigned long n, unsigned long *p) { p[n / 64] |= BIT(n % 64); }
static inline void __clear_bit(unsigned long n, unsigned long *p) { p[n / 64] &= ~BIT(n % 64); }
static inline bool test_bit(unsigned long n, const unsigned long *p)
{
	return READ_ONCE(p[n / 64]) >> (n % 64) & 1;
}
static inline void set_bit(unsigned long n, unsigned long *p)
{
	kapi_step();
	__atomic_fetch_or(&p[n / 64], BIT(n % 64), __ATOMIC_RELAXED);
}
static inline void clear_bit(unsigned long n, unsigned long *p)
{
	kapi_step();
	__atomic_fetch_and(&p[n / 64], ~BIT(n % 64), __ATOMIC_RELAXED);
}
static inline bool test_and_clear_bit(unsigned long n, unsigned long *p)
{
	kapi_step();
	return __atomic_fetch_and(&p[n / 64], ~BIT(n % 64), __ATOMIC_SEQ_CST) >> (n % 64) & 1;
}
static inline bool test_and_set_bit(unsigned long n, unsigned long *p)
{
	kapi_step();
	return __atomic_fetch_or(&p[n / 64], BIT(n % 64), __ATOMIC_SEQ_CST) >> (n % 64) & 1;
}

static inline unsigned long find_next_bit(const unsigned long *p, unsigned long n, unsigned long from)
{
	while (from < n) {
		unsigned long word = p[from / 64] >> (from % 64);

		if (word)
			return min(n, from + __ffs(word));
		from = (from / 64 + 1) * 64;
	}
	return n;
}
static inline bool bitmap_empty(const unsigned long *p, unsigned long n)
{
	return find_next_bit(p, n, 0) >= n;
}
#define for_each_set_bit(bit, p, n)						\
	for ((bit) = find_next_bit(p, n, 0); (bit) < (n); (bit) = find_next_bit(p, n, (bit) + 1))

/* --- lists --- */

struct list_head { struct list_head *next, *prev; };
#define LIST_HEAD_INIT(name)	{ &(name), &(name) }
#define LIST_HEAD(name)		struct list_head name = LIST_HEAD_INIT(name)
static inline void INIT_LIST_HEAD(struct list_head *h) { h->next = h->prev = h; }
static inline void kapi_list_insert_(struct list_head *n, struct list_head *a, struct list_head *b)
{
	n->prev = a;
	n->next = b;
	a->next = b->prev = n;
}
static inline void list_add(struct list_head *n, struct list_head *h) { kapi_list_insert_(n, h, h->next); }
static inline void list_add_tail(struct list_head *n, struct list_head *h) { kapi_list_insert_(n, h->prev, h); }
static inline void list_del_init(struct list_head *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	INIT_LIST_HEAD(n);
}
static inline void list_del(struct list_head *n)
{
	list_del_init(n);
	n->next = n->prev = NULL;
}
static inline bool list_empty(const struct list_head *h) { return h->next == h; }
static inline void list_move(struct list_head *n, struct list_head *h) { list_del_init(n); list_add(n, h); }
static inline void list_move_tail(struct list_head *n, struct list_head *h) { list_del_init(n); list_add_tail(n, h); }
static inline void list_splice_init(struct list_head *l, struct list_head *h)
{
	if (list_empty(l))
		return;
	l->next->prev = h;
	l->prev->next = h->next;
	h->next->prev = l->prev;
	h->next = l->next;
	INIT_LIST_HEAD(l);
}
#define list_entry(p, t, m)		container_of(p, t, m)
#define list_first_entry(h, t, m)	list_entry((h)->next, t, m)
#define list_last_entry(h, t, m)	list_entry((h)->prev, t, m)
#define list_next_entry(p, m)		list_entry((p)->m.next, __typeof__(*(p)), m)
#define list_first_entry_or_null(h, t, m) (list_empty(h) ? NULL : list_first_entry(h, t, m))
#define list_for_each_entry(p, h, m)					\
	for (p = list_first_entry(h, __typeof__(*p), m); &p->m != (h); p = list_next_entry(p, m))
#define list_for_each_entry_safe(p, n, h, m)				\
	for (p = list_first_entry(h, __typeof__(*p), m), n = list_next_entry(p, m); \
	     &p->m != (h); p = n, n = list_next_entry(n, m))

struct hlist_node { struct hlist_node *next, **pprev; };
struct hlist_head { struct hlist_node *first; };
static inline void hlist_add_head(struct hlist_node *n, struct hlist_head *h)
{
	n->next = h->first;
	if (n->next)
		n->next->pprev = &n->next;
	h->first = n;
	n->pprev = &h->first;
}
static inline bool hlist_unhashed(const struct hlist_node *n) { return !n->pprev; }
static inline void hlist_del_init(struct hlist_node *n)
{
	if (!n->pprev)
		return;
	*n->pprev = n->next;
	if (n->next)
		n->next->pprev = n->pprev;
	n->next = NULL;
	n->pprev = NULL;
}
#define hlist_entry_safe(p, t, m)	((p) ? container_of(p, t, m) : NULL)
#define hlist_for_each_entry(p, h, m)					\
	for (p = hlist_entry_safe((h)->first, __typeof__(*p), m); p;	\
	     p = hlist_entry_safe(p->m.next, __typeof__(*p), m))

/* --- xarray: a subset, one lock around each call --- */

struct xarray { pthread_mutex_t lock; void *root; unsigned int height; };
typedef struct { unsigned int unused; } xa_mark_t;
#define XA_PRESENT	((xa_mark_t){ 8 })
void xa_init(struct xarray *xa);
void xa_destroy(struct xarray *xa);
void *xa_load(struct xarray *xa, unsigned long index);
void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp);
void *xa_cmpxchg(struct xarray *xa, unsigned long index, void *old, void *entry, gfp_t gfp);
void *xa_erase(struct xarray *xa, unsigned long index);
/* The first entry in [*index, max], *index becomes its index; _after: beyond *index. */
void *xa_find(struct xarray *xa, unsigned long *index, unsigned long max, xa_mark_t filter);
void *xa_find_after(struct xarray *xa, unsigned long *index, unsigned long max, xa_mark_t filter);
#define XA_ERROR(e)	((void *)((unsigned long)(long)(e) << 2 | 2))
static inline bool xa_is_err(const void *p) { return (unsigned long)p >= (unsigned long)XA_ERROR(-4095); }
static inline int xa_err(void *p) { return xa_is_err(p) ? (int)((long)p >> 2) : 0; }
#define xa_for_each_start(xa, index, entry, start)				\
	for (index = (start), entry = xa_find(xa, &index, ULONG_MAX, XA_PRESENT); entry; \
	     entry = xa_find_after(xa, &index, ULONG_MAX, XA_PRESENT))
#define xa_for_each(xa, index, entry)	xa_for_each_start(xa, index, entry, 0)

/* --- warnings: reported and counted, tests fail on an unexpected one --- */

bool kapi_warn(const char *file, int line, const char *cond);
#define WARN_ON(c)	(unlikely(c) ? kapi_warn(__FILE__, __LINE__, #c) : false)
#define WARN_ON_ONCE(c)	WARN_ON(c)
#define WARN_ONCE(c, ...) WARN_ON(c)
#define BUG_ON(c)	do { if (unlikely(c)) { kapi_warn(__FILE__, __LINE__, #c); abort(); } } while (0)

void kapi_printk(const char *fmt, ...) __printf(1, 2);
#define pr_err(...)	kapi_printk(__VA_ARGS__)
#define pr_warn(...)	kapi_printk(__VA_ARGS__)
#define pr_info(...)	kapi_printk(__VA_ARGS__)

/* --- memory --- */

#define GFP_ATOMIC		1u
#define GFP_NOWAIT		2u
#define GFP_KERNEL		4u
#define GFP_KERNEL_ACCOUNT	8u
#define __GFP_ZERO		16u
#define GFP_DMA32		64u
#define __GFP_NOWARN		32u

#define PAGE_SHIFT	12
#define PAGE_SIZE	(1UL << PAGE_SHIFT)
#define PAGE_MASK	(~(PAGE_SIZE - 1))
typedef u64 phys_addr_t;

void *kapi_alloc(size_t size, gfp_t gfp);
void kfree(const void *p);
static inline void *kmalloc(size_t n, gfp_t gfp) { return kapi_alloc(n, gfp); }
static inline void *kzalloc(size_t n, gfp_t gfp) { return kapi_alloc(n, gfp | __GFP_ZERO); }
static inline void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	return check_mul_overflow(n, size, &bytes) ? NULL : kzalloc(bytes, gfp);
}
static inline void *kmalloc_array(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	return check_mul_overflow(n, size, &bytes) ? NULL : kmalloc(bytes, gfp);
}
#define kvmalloc	kmalloc
#define kvzalloc	kzalloc
#define kvcalloc	kcalloc
#define kvmalloc_array	kmalloc_array
#define kvfree		kfree
#define vmalloc(n)	kmalloc(n, GFP_KERNEL)
#define vzalloc(n)	kzalloc(n, GFP_KERNEL)
#define vfree		kfree

/* Whole pages have a machine address and a struct page, as in the kernel. */
struct page { unsigned long private; };
static inline void clear_page(void *page) { memset(page, 0, PAGE_SIZE); }
static inline void copy_page(void *to, const void *from) { memcpy(to, from, PAGE_SIZE); }
unsigned long get_zeroed_page(gfp_t gfp);
void free_page(unsigned long addr);
phys_addr_t virt_to_phys(const volatile void *p);
void *phys_to_virt(phys_addr_t pa);
struct page *virt_to_page(const void *p);
static inline void set_page_private(struct page *p, unsigned long v) { p->private = v; }
static inline unsigned long page_private(const struct page *p) { return p->private; }

/* --- locks: real ones, which also know their holder --- */

typedef struct { pthread_mutex_t m; pthread_t owner; int held; } spinlock_t;
struct mutex { spinlock_t s; };
typedef struct {
	pthread_rwlock_t l;
	int readers;		/* how many hold it for reading */
	int writer;		/* whether owner holds it for writing */
	pthread_t owner;
} rwlock_t;

void spin_lock_init(spinlock_t *l);
void spin_lock(spinlock_t *l);
bool spin_trylock(spinlock_t *l);
void spin_unlock(spinlock_t *l);
#define spin_lock_nested(l, subclass)	spin_lock(l)
#define spin_lock_irqsave(l, f)		((f) = 0, spin_lock(l))
#define spin_unlock_irqrestore(l, f)	((void)(f), spin_unlock(l))
static inline void mutex_init(struct mutex *m) { spin_lock_init(&m->s); }
static inline void mutex_lock(struct mutex *m) { spin_lock(&m->s); }
static inline bool mutex_trylock(struct mutex *m) { return spin_trylock(&m->s); }
/* Several locks of a kind at once; whoever does that holds @outer first. */
#define mutex_lock_nest_lock(m, outer)	(lockdep_assert_held(outer), mutex_lock(m))
static inline void mutex_unlock(struct mutex *m) { spin_unlock(&m->s); }
void rwlock_init(rwlock_t *l);
void read_lock(rwlock_t *l);
void read_unlock(rwlock_t *l);
void write_lock(rwlock_t *l);
void write_unlock(rwlock_t *l);
/* Whether to let others in: never, unless a test says so (kapi_test.h). */
bool need_resched(void);
static inline bool rwlock_needbreak(rwlock_t *l) { return false; }
void cond_resched(void);	/* no lock held: a test may do other things here */
#define might_sleep()		kapi_might_sleep(__FILE__, __LINE__)
void kapi_might_sleep(const char *file, int line);

bool kapi_spin_held(const spinlock_t *l);
bool kapi_rw_held(const rwlock_t *l, bool write);
#define lockdep_assert_held(l)							\
	((void)WARN_ON(!_Generic((l),						\
		rwlock_t *: kapi_rw_held((const rwlock_t *)(const void *)(l), false),	\
		default: kapi_spin_held((const spinlock_t *)(const void *)(l)))))
#define lockdep_assert_held_read(l)	((void)WARN_ON(!kapi_rw_held(l, false)))
#define lockdep_assert_held_write(l)	((void)WARN_ON(!kapi_rw_held(l, true)))

#endif
