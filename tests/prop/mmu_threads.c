// SPDX-License-Identifier: GPL-2.0
/*
 * Nested mode under real threads: guests that walk and fault, a host that moves
 * their pages, a migration that takes dirty pages, a reclaimer. Built once with the
 * address sanitizer and once with the thread sanitizer.
 *
 * A guest is "inside" while its counter is odd; a flush returns when every guest
 * that was inside has been outside since, as an IPI does. While inside, what a
 * walk found must be what the host has. A write raises the page's version; the
 * migration copies the versions of the pages it was given: in the end no copy
 * may be older than its page.
 */
#include <stdio.h>
#include <unistd.h>

#include "kapi_test.h"
#include "mmu/mmu.h"

#define GFNS	2048
#define GUESTS	3

static struct mmu_vm vm;
static struct mmu_vcpu vcpu[GUESTS];
static unsigned long inside[GUESTS];
static u64 host_pfn[GFNS];		/* 0: absent. Changes between begin and end */
static bool host_huge[GFNS / 512];
static u64 next_pfn = 1 << 20;
static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long version[GFNS], copied[GFNS];
static unsigned long live[GFNS / 64];
static bool logging, stop;
static unsigned long bad, stuck, done, faults;

static u64 fresh(u64 n)
{
	u64 pfn = ALIGN(next_pfn, n);

	next_pfn = pfn + n;
	return pfn;
}

static void gfn_to_page(struct mmu_vm *v, gfn_t gfn, unsigned int flags, struct mmu_host_page *out)
{
	int i;

	out->kind = gfn < GFNS ? MMU_HOST_RAM : MMU_HOST_NO_SLOT;
	if (gfn >= GFNS)
		return;
	pthread_mutex_lock(&host_lock);
	if (!host_pfn[gfn])
		WRITE_ONCE(host_pfn[gfn], fresh(1));
	out->pfn = host_pfn[gfn];
	out->writable = true;
	out->dirty_log = READ_ONCE(logging);
	out->max_level = host_huge[gfn / 512] ? 2 : 1;
	out->around_gfn = gfn & ~7ull;
	out->around_nr = 8;
	for (i = 0; i < 8; i++)
		out->around[i] = host_pfn[out->around_gfn + i] ?
				 MMU_AROUND(host_pfn[out->around_gfn + i], true) : 0;
	pthread_mutex_unlock(&host_lock);
}

static void flush(struct mmu_vm *v)
{
	int i;

	for (i = 0; i < GUESTS; i++) {
		unsigned long seen = __atomic_load_n(&inside[i], __ATOMIC_SEQ_CST);

		while ((seen & 1) && __atomic_load_n(&inside[i], __ATOMIC_SEQ_CST) == seen)
			sched_yield();
	}
}

static void gfn_written(struct mmu_vm *v, gfn_t gfn, u64 nr)
{
	for (; nr--; gfn++)
		set_bit(gfn, live);
}

static const struct mmu_host_ops host_ops = {
	.gfn_to_page = gfn_to_page, .flush = flush, .gfn_written = gfn_written,
};

/* What the processor does: true if the access went through. NPT bits. */
static bool guest_access(int me, gfn_t gfn, bool write)
{
	u64 *table = phys_to_virt(vcpu[me].root_hpa), *slot, e, pfn;
	int level;

	for (level = 4;; level--) {
		slot = &table[gfn >> (9 * (level - 1)) & 511];
		e = READ_ONCE(*slot);
		if (!(e & 1) || (write && !(e & 2)))
			return false;
		if (level == 1 || (e & 0x80))
			break;
		table = phys_to_virt(e & 0xffffffffff000ULL);
	}
	/* Accessed and dirty are set atomically, and only in a present entry. */
	do {
		if (!(e & 1) || (write && !(e & 2)))
			return false;
	} while (!try_cmpxchg(slot, &e, e | 0x20 | (write ? 0x40 : 0)));
	pfn = ((e & 0xffffffffff000ULL) >> 12) + (level == 2 ? (gfn & 511) : 0);
	if (pfn != READ_ONCE(host_pfn[gfn]))
		__atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
	if (write)
		__atomic_add_fetch(&version[gfn], 1, __ATOMIC_RELAXED);
	return true;
}

static u64 next_random(u64 *r)
{
	*r ^= *r << 13;
	*r ^= *r >> 7;
	*r ^= *r << 17;
	return *r >> 13;
}

static void *guest(void *arg)
{
	int me = (int)(long)arg;
	u64 rng = 0x1234567 * (me + 1);

	while (!READ_ONCE(stop)) {
		gfn_t gfn = next_random(&rng) % GFNS;
		bool ok, write = next_random(&rng) & 1;
		int tries = 0;

		if (next_random(&rng) & 7)
			gfn &= ~0x1c0ull;	/* mostly the same few */
		do {
			__atomic_add_fetch(&inside[me], 1, __ATOMIC_SEQ_CST);
			ok = guest_access(me, gfn, write);
			__atomic_add_fetch(&inside[me], 1, __ATOMIC_SEQ_CST);
			if (!ok && mmu_fault(&vcpu[me], gfn << 12, write ? 6 : 4, 0) != MMU_RESUME)
				__atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
			__atomic_add_fetch(ok ? &done : &faults, 1, __ATOMIC_RELAXED);
			if (!ok && ++tries > 100)
				usleep(tries);	/* the host may be in the middle of a change */
		} while (!ok && tries < 2000 && !READ_ONCE(stop));
		if (tries == 2000)
			__atomic_add_fetch(&stuck, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Memory moves, goes, becomes huge. */
static void *host(void *arg)
{
	u64 rng = 0xabcdef;

	while (!READ_ONCE(stop)) {
		gfn_t start = next_random(&rng) % GFNS, end = start + 1 + next_random(&rng) % 64, g;
		bool huge = !(next_random(&rng) % 8), drop = next_random(&rng) & 1;
		u64 pfn;

		if (huge) {
			start &= ~511ull;
			end = start + 512;
		}
		end = min_t(gfn_t, end, GFNS);
		mmu_invalidate_begin(&vm, start, end);
		pthread_mutex_lock(&host_lock);
		pfn = huge ? fresh(512) : 0;
		for (g = start; g < end; g++) {
			host_huge[g / 512] = huge;
			WRITE_ONCE(host_pfn[g], huge ? pfn + (g & 511) : drop ? 0 : fresh(1));
		}
		pthread_mutex_unlock(&host_lock);
		mmu_invalidate_end(&vm);
		usleep(50 + next_random(&rng) % 200);
	}
	return NULL;
}

static void migrate_round(unsigned long *taken)
{
	gfn_t gfn;

	mmu_dirty_take(&vm, 0, GFNS, live, taken);
	for (gfn = 0; gfn < GFNS; gfn++)
		if (test_bit(gfn, taken))
			copied[gfn] = READ_ONCE(version[gfn]);
}

static void *migration(void *arg)
{
	unsigned long taken[GFNS / 64];
	gfn_t gfn;
	int i;

	while (!READ_ONCE(stop)) {
		WRITE_ONCE(logging, true);
		mmu_dirty_log_start(&vm, 0, GFNS);
		for (gfn = 0; gfn < GFNS; gfn++)
			copied[gfn] = READ_ONCE(version[gfn]);
		for (i = 0; i < 50 && !READ_ONCE(stop); i++) {
			usleep(100);
			migrate_round(taken);
		}
		if (READ_ONCE(stop))
			break;		/* the log stays on for the last round */
		WRITE_ONCE(logging, false);
		mmu_dirty_log_stop(&vm, 0, GFNS);
	}
	return NULL;
}

static void *reclaimer(void *arg)
{
	u64 rng = 77;

	while (!READ_ONCE(stop)) {
		gfn_t start = next_random(&rng) % GFNS;

		mmu_reclaim(&vm, 1 + next_random(&rng) % 3);
		mmu_age_gfns(&vm, start, start + 32, next_random(&rng) & 1);
		if (!(next_random(&rng) % 64))
			mmu_unmap_gfns(&vm, start, GFNS);
		usleep(300);
	}
	return NULL;
}

static void report(void *ctx, const char *what, gfn_t gfn, u64 entry)
{
	printf("# audit: %s at %llu: %llx\n", what, gfn, entry);
}

int main(int argc, char **argv)
{
	struct mmu_vm_config config = {
		.host = &host_ops, .format = &mmu_format_npt, .levels = 4, .max_leaf = 3,
	};
	void *(*const work[])(void *) = { host, migration, reclaimer };
	unsigned long stale = 0, taken[GFNS / 64], violations;
	int i, ms = argc > 1 ? atoi(argv[1]) : 4000;
	pthread_t thread[GUESTS + 3];
	gfn_t gfn;

	mmu_vm_init(&vm, &config);
	for (i = 0; i < GUESTS; i++)
		mmu_vcpu_init(&vcpu[i], &vm);
	for (i = 0; i < GUESTS; i++)
		pthread_create(&thread[i], NULL, guest, (void *)(long)i);
	for (i = 0; i < 3; i++)
		pthread_create(&thread[GUESTS + i], NULL, work[i], NULL);
	usleep(ms * 1000);
	WRITE_ONCE(stop, true);
	for (i = 0; i < GUESTS + 3; i++)
		pthread_join(thread[i], NULL);

	migrate_round(taken);
	for (gfn = 0; gfn < GFNS; gfn++)
		stale += copied[gfn] != version[gfn];
	violations = mmu_audit(&vm, report, NULL);
	for (i = 0; i < GUESTS; i++)
		mmu_vcpu_fini(&vcpu[i]);
	mmu_vm_fini(&vm);

	printf("# %lu accesses, %lu faults\n1..5\n", done, faults);
	printf("%sok 1 - no guest reached another page than the host's\n", bad ? "not " : "");
	printf("%sok 2 - no write was lost by the dirty log\n", stale ? "not " : "");
	printf("%sok 3 - audit\n", violations ? "not " : "");
	printf("%sok 4 - nothing left behind, no warning\n", kapi_live() || kapi_warnings() ? "not " : "");
	printf("%sok 5 - the guests got on\n", done > 1000 && !stuck ? "" : "not ");
	return 0;
}
