// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow mode under real threads: guests that edit their tables, flush, walk and fault; a host
 * that moves their pages; a migration that takes dirty pages; a reclaimer; the mode changed
 * under all of them. Built with the address sanitizer and with the thread sanitizer.
 *
 * Each guest has a leaf table of its own, and some entries of a kernel's table in the upper half,
 * where pages may be global, and of one there below tables in which roots differ: of these it knows
 * what it must see after a flush, whatever the others do. One more table belongs to all; each entry is
 * written by one. It writes its tables as an emulator would, or by itself, through an entry that maps
 * them, which mmu/ protects when they come to rest. As in mmu_threads.c a guest is inside while its
 * counter is odd, a flush waits for everybody who is, and a copy that migration made may in the end not
 * be older than its page.
 */
#include <stdio.h>
#include <unistd.h>

#include "kapi_test.h"
#include "mmu/shadow.h"

#define GFNS	512
#define TABLES	20		/* gfns below: tables */
#define GUESTS	3
#define SHARED	GUESTS		/* index in the page directory */
#define KERNEL	(GUESTS + 1)	/* its leaf table is the next one, below tables of the upper half */
#define PARTED	(GUESTS + 6)	/* its leaf table is below two tables that roots have in two kinds */
#define PTES	64
#define SHARED_PTES	2	/* of each guest's, few, so that they meet there */
#define OWN	PTES		/* entries behind those: the guest's leaf table, the kernel's, and the parted one */
#define KERNEL_GVA	0xffffff8000000000ul
#define PARTED_GVA	0xffffff0000000000ul
#define GLOBAL	0x100
#define FIRST_PFN	(1ull << 20)

static const gfn_t roots[] = { 1, 2, 12, 13 };	/* all with the same tables below, but for PARTED */

static struct mmu_vm vm;
static struct mmu_vcpu vcpu[GUESTS];
static u64 memory[GFNS][512] __aligned(4096);
static unsigned long inside[GUESTS];
static u64 host_pfn[GFNS];		/* changes between begin and end; pfn mod GFNS is the gfn */
static u64 next_pfn = FIRST_PFN;
static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;
static rwlock_t world;			/* for writing: nobody is in the guest */
static unsigned int mode_changes;
static unsigned long version[GFNS], copied[GFNS], live[GFNS / 64];
static bool logging, stop;
static unsigned long bad, stuck, done, faults;

static void wrong(const char *what, u64 value)
{
	if (!__atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED))
		printf("# %s: %#llx\n", what, value);
}

static void name(gfn_t gfn)
{
	WRITE_ONCE(host_pfn[gfn], next_pfn + gfn);
	next_pfn += GFNS;
}

static void gfn_to_page(struct mmu_vm *v, gfn_t gfn, unsigned int flags, struct mmu_host_page *out)
{
	out->around_nr = 0;
	out->kind = gfn < GFNS ? MMU_HOST_RAM : MMU_HOST_NO_SLOT;
	if (gfn >= GFNS)
		return;
	pthread_mutex_lock(&host_lock);
	if (!host_pfn[gfn])
		name(gfn);
	out->pfn = host_pfn[gfn];
	pthread_mutex_unlock(&host_lock);
	out->writable = true;
	out->dirty_log = READ_ONCE(logging);
	out->max_level = 1;
}

static int read_guest(struct mmu_vcpu *v, gpa_t gpa, void *buf, unsigned int len,
		      unsigned int flags)
{
	u64 word;

	if (gpa >> PAGE_SHIFT >= GFNS || len != 8)
		return -EFAULT;
	word = READ_ONCE(memory[gpa >> PAGE_SHIFT][gpa / 8 % 512]);
	memcpy(buf, &word, 8);
	return 0;
}

static int cmpxchg_guest(struct mmu_vcpu *v, gpa_t gpa, u64 old, u64 new, unsigned int size,
			 unsigned int flags)
{
	if (gpa >> PAGE_SHIFT >= GFNS)
		return -EFAULT;
	return try_cmpxchg(&memory[gpa >> PAGE_SHIFT][gpa / 8 % 512], &old, new) ? 0 : 1;
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
		if (gfn < GFNS)
			set_bit(gfn, live);
}

static void *pfn_to_virt(struct mmu_vm *v, u64 pfn)
{
	if (READ_ONCE(host_pfn[pfn % GFNS]) != pfn)
		wrong("address asked of a page that is gone", pfn);
	return memory[pfn % GFNS];
}

static const struct mmu_host_ops host_ops = {
	.gfn_to_page = gfn_to_page, .read_guest = read_guest, .cmpxchg_guest = cmpxchg_guest,
	.flush = flush, .gfn_written = gfn_written, .pfn_to_virt = pfn_to_virt,
};

/* An access; a write to a table changes an entry. */
struct access {
	gva_t gva;
	bool write;
	u64 *entry, value;
};

/* What the processor does, on our tables: the entry, or 0 for a fault. */
static u64 guest_access(int me, const struct access *a)
{
	const gva_t gva = a->gva;
	const bool write = a->write;
	u64 *table = phys_to_virt(mmu_root(&vcpu[me])), *slot, e;
	int level;

	for (level = 4;; level--) {
		slot = &table[gva >> (12 + 9 * (level - 1)) & 511];
		e = READ_ONCE(*slot);
		if (!(e & 1) || (write && !(e & 2)))
			return 0;
		if (level == 1)
			break;
		table = phys_to_virt(e & GENMASK_ULL(51, 12));
	}
	do {
		if (!(e & 1) || (write && !(e & 2)))
			return 0;
	} while (!try_cmpxchg(slot, &e, e | 0x20 | (write ? 0x40 : 0)));
	if (((e & GENMASK_ULL(51, 12)) >> 12) != READ_ONCE(host_pfn[(e >> 12) % GFNS]))
		wrong("reaches another page than the host's", e);
	if (a->entry)
		WRITE_ONCE(*a->entry, a->value);
	if (write)
		__atomic_add_fetch(&version[(e >> 12) % GFNS], 1, __ATOMIC_RELAXED);
	return e;
}

static u64 next_random(u64 *r)
{
	*r ^= *r << 13;
	*r ^= *r >> 7;
	*r ^= *r << 17;
	return *r >> 13;
}

/* Does the guest's entry allow the access? */
static bool allows(u64 pte, bool write)
{
	return (pte & 5) == 5 && (!write || (pte & 2));
}

/* pte: what the guest's entry is known to be, if it is. False: it did not go through. */
static bool run_access(int me, const struct access *a, bool known, u64 pte)
{
	enum mmu_verdict r = MMU_RESUME;
	int tries;
	u64 e = 0;

	for (tries = 0; tries < 3000 && !READ_ONCE(stop); tries++) {
		__atomic_add_fetch(&inside[me], 1, __ATOMIC_SEQ_CST);
		e = guest_access(me, a);
		__atomic_add_fetch(&inside[me], 1, __ATOMIC_SEQ_CST);
		if (e)
			break;
		r = mmu_shadow_fault(&vcpu[me], a->gva, (a->write ? 2 : 0) | 4, 0, 0, 0);
		__atomic_add_fetch(&faults, 1, __ATOMIC_RELAXED);
		if (r != MMU_RESUME)
			break;
		if (tries > 100)
			usleep(tries);
	}
	__atomic_add_fetch(&done, 1, __ATOMIC_RELAXED);
	if (tries == 3000)
		__atomic_add_fetch(&stuck, 1, __ATOMIC_RELAXED);
	if (r != MMU_RESUME && r != MMU_REFLECT)
		wrong("verdict", r);
	if (!known || READ_ONCE(stop))
		return e;
	if (e && (!allows(pte, a->write) || (e >> 12) % GFNS != (pte >> 12) % GFNS))
		wrong("an access that the guest's own table does not allow", pte);
	if (r == MMU_REFLECT && allows(pte, a->write))
		wrong("a fault that the guest's own table does not say", pte);
	return e;
}

static void load(int me, unsigned int what, unsigned int space)
{
	struct mmu_paging p = {
		.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP, .cr4 = X86_CR4_PAE | X86_CR4_PGE,
		.efer = EFER_LME | EFER_LMA | EFER_NX, .pat = 0x0007040600070406ull,
		.maxphyaddr = 40, .cr3 = roots[space % ARRAY_SIZE(roots)] << PAGE_SHIFT,
	};

	if (mmu_load(&vcpu[me], &p, what, 0) != MMU_RESUME)
		wrong("mmu_load", me);
}

/* Tables: level 3 at 3, level 2 at 4, leaf tables from 5 on; the kernel's other ones behind its leaf table. */
#define LEAF_TABLE(table)	(5 + (table))
#define KERNEL_TABLE(level)	(LEAF_TABLE(KERNEL) + (level) - 1)
#define PARTED_TABLE(kind, level)	(LEAF_TABLE(PARTED) + 2 * (kind) + (level) - 1)

static gva_t gva_of(int table, int i)
{
	gva_t base = table == KERNEL ? KERNEL_GVA : table == PARTED ? PARTED_GVA : (gva_t)table << 21;

	return base | (gva_t)i << 12;
}

/* By an emulator. */
static void edit(int table, int i, u64 pte)
{
	mmu_guest_write_begin(&vm, ((u64)LEAF_TABLE(table) << PAGE_SHIFT) + i * 8, 8);
	WRITE_ONCE(memory[LEAF_TABLE(table)][i], pte);
	set_bit(LEAF_TABLE(table), live);
	mmu_guest_write_end(&vm);
}

/* By the guest, where it has the table mapped. False: it could not. */
static bool edit_mapped(int me, int table, int i, u64 pte)
{
	struct access a = { gva_of(me, OWN + (table == KERNEL) + 2 * (table == PARTED)), true,
			    &memory[LEAF_TABLE(table)][i], pte };

	return run_access(me, &a, true, (u64)LEAF_TABLE(table) << PAGE_SHIFT | 7);
}

/* An entry of which only this guest knows, and the flush that it takes. */
static void change(int me, u64 *rng, int table, int i, u64 *known, u64 pte)
{
	int how = next_random(rng) % 8;

	if (how & 1)
		edit(table, i, pte);
	else if (!edit_mapped(me, table, i, pte))
		return;
	if (how < 4)
		mmu_invlpg(&vcpu[me], gva_of(table, i));
	else
		load(me, *known & GLOBAL ? MMU_LOAD_ALL : MMU_LOAD_CR3, next_random(rng));
	*known = pte;
}

/*
 * An entry that all guests use, and this one writes: nobody else does more than set accessed and dirty bits in it.
 * Several times in a row, as others fault meanwhile.
 */
static void change_shared(int me, int i, u64 *known, u64 pte)
{
	u64 *entry = &memory[LEAF_TABLE(SHARED)][i], was;
	int n;

	for (n = 0; n < 8; n++) {
		was = READ_ONCE(*entry);
		if ((was ^ *known) & ~0x60ull)
			wrong("an entry of the guest's was written over", was);
		*known = pte ^ (u64)(n & 1) << PAGE_SHIFT;
		edit(SHARED, i, *known);
		mmu_invlpg(&vcpu[me], gva_of(SHARED, i));
	}
}

static void one_step(int me, u64 *rng, u64 (*known)[PTES])
{
	int i = next_random(rng) % PTES, what = next_random(rng) % 16;
	int which = 1 + next_random(rng) % 3;
	int table = which == 1 ? me : which == 2 ? KERNEL : PARTED, index = which > 1 ? me * PTES + i : i;
	u64 pte = (TABLES + next_random(rng) % (GFNS - TABLES)) << PAGE_SHIFT |
		  (next_random(rng) % 4 ? 7 : next_random(rng) % 8);
	struct access a = { .write = next_random(rng) & 1 };

	if (what < 4) {
		pte |= which > 1 && next_random(rng) % 4 ? GLOBAL : 0;
		change(me, rng, table, index, &known[which - 1][i], pte);
	} else if (what == 4) {
		i = i % SHARED_PTES * GUESTS + me;
		change_shared(me, i, &known[SHARED][i], pte);
	} else if (what == 5) {
		load(me, next_random(rng) & 1 ? MMU_LOAD_CR3 : MMU_LOAD_ALL, next_random(rng));
	} else if (what < 9) {
		a.gva = gva_of(SHARED, i % (SHARED_PTES * GUESTS));
		run_access(me, &a, false, 0);
	} else {
		a.gva = gva_of(table, index);
		run_access(me, &a, true, known[which - 1][i]);
	}
}

static void *guest(void *arg)
{
	int me = (int)(long)arg;
	u64 rng = 0x1234567 * (me + 1), known[GUESTS + 1][PTES] = { { 0 } };
	unsigned int changes = ~0u;

	while (!READ_ONCE(stop)) {
		read_lock(&world);
		if (changes != mode_changes) {
			changes = mode_changes;
			load(me, MMU_LOAD_ALL, 0);
		}
		if (mmu_is_shadow(&vm))
			one_step(me, &rng, known);
		else if (mmu_fault(&vcpu[me], next_random(&rng) % GFNS << PAGE_SHIFT, 6, 0) != MMU_RESUME)
			wrong("nested fault", me);
		read_unlock(&world);
	}
	return NULL;
}

/* Memory moves and goes. */
static void *host(void *arg)
{
	u64 rng = 0xabcdef;

	while (!READ_ONCE(stop)) {
		gfn_t start = next_random(&rng) % GFNS, end = start + 1 + next_random(&rng) % 32, g;
		bool drop = next_random(&rng) & 1;

		end = min_t(gfn_t, end, GFNS);
		mmu_invalidate_begin(&vm, start, end);
		pthread_mutex_lock(&host_lock);
		for (g = start; g < end; g++) {
			if (drop)
				WRITE_ONCE(host_pfn[g], 0);
			else
				name(g);
		}
		pthread_mutex_unlock(&host_lock);
		mmu_invalidate_end(&vm);
		usleep(50 + next_random(&rng) % 400);
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

static void log_start(void)
{
	gfn_t gfn;

	WRITE_ONCE(logging, true);
	mmu_dirty_log_start(&vm, 0, GFNS);
	for (gfn = 0; gfn < GFNS; gfn++)
		copied[gfn] = READ_ONCE(version[gfn]);
}

/* Half of the time there is no log: then accessed and dirty bits are set where they are. It is on in the end. */
static void *migration(void *arg)
{
	unsigned long taken[GFNS / 64];
	int i;

	for (log_start(); !READ_ONCE(stop); log_start()) {
		for (i = 0; i < 100 && !READ_ONCE(stop); i++) {
			usleep(200);
			migrate_round(taken);
		}
		if (READ_ONCE(stop))
			break;
		WRITE_ONCE(logging, false);
		mmu_dirty_log_stop(&vm, 0, GFNS);
		usleep(20000);
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
		if (!(next_random(&rng) % 16)) {
			write_lock(&world);
			if (mmu_vm_set_mode(&vm, mmu_is_shadow(&vm) ? MMU_NESTED : MMU_SHADOW))
				wrong("set_mode", 0);
			vm.sync_some = mode_changes & 1 ? MMU_SYNC_SOME : 128;
			mode_changes++;
			write_unlock(&world);
		}
		usleep(300);
	}
	return NULL;
}

static void report(void *ctx, const char *what, gfn_t gfn, u64 entry)
{
	printf("# audit: %s at %llu: %llx\n", what, gfn, entry);
}

static void make_tables(void)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(roots); i++) {
		memory[roots[i]][0] = 3 << PAGE_SHIFT | 7;
		memory[roots[i]][511] = KERNEL_TABLE(3) << PAGE_SHIFT | 7;
		memory[roots[i]][510] = (u64)PARTED_TABLE(i & 1, 3) << PAGE_SHIFT | 7;
	}
	memory[KERNEL_TABLE(3)][0] = KERNEL_TABLE(2) << PAGE_SHIFT | 7;
	memory[KERNEL_TABLE(2)][0] = KERNEL_TABLE(1) << PAGE_SHIFT | 7;
	memory[3][0] = 4 << PAGE_SHIFT | 7;
	for (i = 0; i <= SHARED; i++)
		memory[4][i] = (u64)LEAF_TABLE(i) << PAGE_SHIFT | 7;
	for (i = 0; i < GUESTS; i++) {
		memory[LEAF_TABLE(i)][OWN] = (u64)LEAF_TABLE(i) << PAGE_SHIFT | 7;
		memory[LEAF_TABLE(i)][OWN + 1] = (u64)LEAF_TABLE(KERNEL) << PAGE_SHIFT | 7;
		memory[LEAF_TABLE(i)][OWN + 2] = (u64)LEAF_TABLE(PARTED) << PAGE_SHIFT | 7;
	}
	for (i = 0; i < 2; i++) {
		memory[PARTED_TABLE(i, 3)][0] = (u64)PARTED_TABLE(i, 2) << PAGE_SHIFT | 7;
		memory[PARTED_TABLE(i, 2)][0] = (u64)LEAF_TABLE(PARTED) << PAGE_SHIFT | 7;
	}
}

int main(int argc, char **argv)
{
	struct mmu_vm_config config = { .host = &host_ops, .format = &mmu_format_npt, .levels = 4,
					.max_leaf = 3 };
	void *(*const work[])(void *) = { host, migration, reclaimer };
	int i, ms = argc > 1 ? atoi(argv[1]) : getenv("TEST_LONG") ? 120000 : 3000;
	unsigned long stale = 0, taken[GFNS / 64], violations;
	pthread_t thread[GUESTS + 3];
	gfn_t gfn;

	rwlock_init(&world);
	make_tables();
	mmu_vm_init(&vm, &config);
	for (i = 0; i < GUESTS; i++)
		mmu_vcpu_init(&vcpu[i], &vm);
	mmu_vm_set_mode(&vm, MMU_SHADOW);
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

	printf("# %lu accesses, %lu faults, %u changes of mode\n1..5\n", done, faults, mode_changes);
	printf("%sok 1 - every outcome was right\n", bad ? "not " : "");
	printf("%sok 2 - no write was lost by the dirty log\n", stale ? "not " : "");
	printf("%sok 3 - audit\n", violations ? "not " : "");
	printf("%sok 4 - nothing left behind, no warning\n", kapi_live() || kapi_warnings() ? "not " : "");
	printf("%sok 5 - the guests got on\n", done > 1000 && !stuck ? "" : "not ");
	return 0;
}
