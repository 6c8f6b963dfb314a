// SPDX-License-Identifier: GPL-2.0
/* Shadow mode: which shadow page is whose, and how many there may be; one behaviour a test, on the model machine. */
#include "tests/unit/mmu_shadow.h"
#include "mmu/mode.h"

/*
 * gfn computed instead of stored. A large page in small ones, and then the guest's own table, hang
 * at the same place one after the other: what is removed must be what was mapped, not what the
 * position says.
 */
static void test_gfn_is_stored(void **state)
{
	put(TABLE(2), 1, to(0, OPEN | 0x80));		/* gva 2 MiB + x = gpa x */
	faults_of(0, 0x200000 + (PAGE_A << PAGE_SHIFT), true);
	put(TABLE(2), 1, to(TABLE(1), OPEN));		/* and now the pages of TABLE(1) */
	sm_guest_invlpg(&m, &m.vcpu[0], 0x200000);
	faults_of(0, 0x200000, true);
	sm_audit(&m);
	/* PAGE_A moves: no way to it may stay, by whichever gva. */
	mmu_invalidate_begin(&m.vm, PAGE_A, PAGE_A + 1);
	m.page[PAGE_A].present = false;
	mmu_invalidate_end(&m.vm);
	faults_of(0, 0x200000, true);
	faults_of(0, GVA, true);
	/* The guest has another page there now, and has not flushed: what goes is what was mapped. */
	put(TABLE(1), 0, to(PAGE_B, OPEN));
	mmu_unmap_gfns(&m.vm, PAGE_A, PAGE_A + 1);
	assert_int_equal(kapi_warnings(), 0);
	sm_audit(&m);
	sm_guest_invlpg(&m, &m.vcpu[0], GVA);
	faults_of(0, GVA, true);
}

/* … and the table that hangs there may be another's by now, though nothing was flushed. */
static void test_gfn_of_child_is_compared(void **state)
{
	struct sm_access x = { .gva = 40 << PAGE_SHIFT };
	const gfn_t other = 112;

	faults_of(0, GVA, true);
	put(other, 40, to(PAGE_B, OPEN));
	put(TABLE(2), 0, to(other, OPEN));
	assert_int_equal(sm_access(&m, &m.vcpu[0], &x), SM_DONE);
	assert_int_equal(x.gpa >> PAGE_SHIFT, PAGE_B);
	sm_audit(&m);
	/* The same with tables of a large page, for another large page. */
	put(TABLE(2), 1, to(0, OPEN | 0x80));
	faults_of(0, 0x200000 + (PAGE_A << PAGE_SHIFT), true);
	put(TABLE(2), 1, to(SM_CHUNK, OPEN | 0x80));
	x.gva = 0x200000 + (200 << PAGE_SHIFT);
	assert_int_equal(sm_access(&m, &m.vcpu[0], &x), SM_DONE);
	assert_int_equal(x.gpa >> PAGE_SHIFT, SM_CHUNK + 200);
}

/* A child reused without comparing its role: one table of the guest, below two sets of rights. */
static void test_role_is_compared(void **state)
{
	put(TABLE(3), 0, to(TABLE(2), OPEN));
	put(TABLE(3), 1, to(TABLE(2), OPEN & ~2ull));			/* read-only */
	put(TABLE(3), 2, to(TABLE(2), OPEN) | 1ull << 63);		/* not to run */
	put(TABLE(3), 3, to(TABLE(2), OPEN & ~4ull));			/* supervisor's */
	faults_of(0, GVA, true);
	assert_int_equal(write_by(0, 1ul << 30), SM_REFLECTED);
	assert_int_equal(faults_of(0, 1ul << 30, false) > 0, true);
	assert_int_equal(access_by(0, 2ul << 30, (struct gw_access){ .fetch = true, .user = true }),
			 SM_REFLECTED);
	assert_int_equal(read_by(0, 3ul << 30), SM_REFLECTED);
	/* The rights change, and before the flush a fault goes the same way. */
	put(TABLE(1), 40, to(PAGE_B, 7));
	put(TABLE(2), 0, to(TABLE(1), OPEN & ~2ull));
	faults_of(0, 40 << PAGE_SHIFT, false);
	sm_guest_invlpg(&m, &m.vcpu[0], GVA);
	assert_int_equal(write_by(0, GVA), SM_REFLECTED);
	put(TABLE(2), 0, to(TABLE(1), OPEN));
	faults_of(0, GVA, true);
	/* The table as its own parent: one frame at two levels. */
	put(TABLE(2), 3, to(TABLE(2), OPEN));
	faults_of(0, 0x600000, false);
}

/* … and a table of the guest at the beginning of what a large page maps, which we have in smaller ones. */
static void test_table_and_large_page(void **state)
{
	put(TABLE(2), 1, to(0, OPEN | 0x80));
	put(TABLE(2), 2, to(0, OPEN));
	put(0, 5, to(PAGE_A, OPEN));
	assert_int_equal(reached(0, 0x205000), 5);
	assert_int_equal(reached(0, 0x405000), PAGE_A);
	/* The one is flushed, and the other stays what it is. */
	put(0, 5, to(PAGE_B, OPEN));
	sm_guest_invlpg(&m, &m.vcpu[0], 0x405000);
	assert_int_equal(reached(0, 0x405000), PAGE_B);
	assert_int_equal(reached(0, 0x205000), 5);
}

/* … and the same tables before and after CR4 says that the entries are others. */
static void test_tables_of_other_modes(void **state)
{
	const gva_t gva = 0x405000;

	/* 32-bit: directory 120; PAE: 121 and 122. Their entries for gva come from BIG, of 4 and of 8 bytes. */
	sm_store(&m, (120 << PAGE_SHIFT) + 4, BIG << PAGE_SHIFT | OPEN | 0x80, 4);
	sm_store(&m, (BIG << PAGE_SHIFT) + 5 * 4, to(PAGE_A, OPEN), 4);
	sm_store(&m, 121 << PAGE_SHIFT, to(122, 1), 8);
	sm_store(&m, (122 << PAGE_SHIFT) + 2 * 8, to(BIG, OPEN), 8);
	sm_store(&m, (BIG << PAGE_SHIFT) + 5 * 8, to(PAGE_B, OPEN), 8);
	legacy_paging(0, 120 << PAGE_SHIFT);
	assert_int_equal(reached(0, gva), PAGE_A);
	legacy_paging(X86_CR4_PSE, 120 << PAGE_SHIFT);
	assert_int_equal(reached(0, gva), BIG + 5);
	legacy_paging(0, 120 << PAGE_SHIFT);
	assert_int_equal(reached(0, gva), PAGE_A);
	legacy_paging(X86_CR4_PAE, 121 << PAGE_SHIFT);
	assert_int_equal(reached(0, gva), PAGE_B);
	legacy_paging(0, 120 << PAGE_SHIFT);
	assert_int_equal(reached(0, gva), PAGE_A);
}

/* … and two large pages that are one, which we have in smaller ones, but for their key. */
static void test_keys_of_large_page(void **state)
{
	put(TABLE(2), 1, to(0, OPEN | 0x80) | 1ull << 59);
	put(TABLE(2), 2, to(0, OPEN | 0x80) | 2ull << 59);
	m.vcpu[0].paging.cr4 |= X86_CR4_PKE;
	m.vcpu[0].pkru = 1 << 2 * 2;			/* no access with key 2 */
	sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
	assert_int_equal(read_by(0, 0x205000), SM_DONE);
	/* To fetch needs no key, and has the page there. */
	assert_int_equal(access_by(0, 0x405000, (struct gw_access){ .fetch = true, .user = true }), SM_DONE);
	assert_int_equal(read_by(0, 0x405000), SM_REFLECTED);
	assert_int_equal(m.vcpu[0].mmu.fault.exception_error, 0x25);
}

/* vCPU 1 is unlike the others in one thing, for which an entry at gva has a reserved bit to it. */
static void is_unlike(gva_t gva)
{
	sm_guest_flush(&m, &m.vcpu[1], MMU_LOAD_ALL);
	assert_int_equal(read_by(0, gva), SM_DONE);
	assert_int_equal(read_by(1, gva), SM_REFLECTED);
	assert_int_equal(m.vcpu[1].mmu.fault.exception_error, 0xd);
	sm_guest_flush(&m, &m.vcpu[1], MMU_LOAD_ALL);
	assert_int_equal(faults_of(0, gva, false), 0);		/* the other's tables are not its business */
}

/* What is a leaf, and what is reserved, is a matter of each vCPU's CPUID. */
static void test_unlike_vcpus(void **state)
{
	struct mmu_paging *p = &m.vcpu[1].paging, was = *p;

	put(TABLE(3), 5, to(0, OPEN | 0x80));
	put(TABLE(1), 5, to(SM_GIANT, OPEN));
	put(TABLE(3), 6, to(112, OPEN | 0x100));			/* reserved by AMD */
	put(112, 0, to(TABLE(1), OPEN));
	p->pages_1g = false;
	is_unlike(5ul << 30);
	p->pages_1g = was.pages_1g;
	p->maxphyaddr = 30;
	is_unlike(0x5000);
	p->maxphyaddr = was.maxphyaddr;
	m.vcpu[0].paging.amd = false;
	sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
	is_unlike(6ul << 30);
}

/* The root invalidated during reclaim: whatever goes, the vCPU's root is one that is alive. */
static void test_root_survives_reclaim(void **state)
{
	int i;

	for (i = 0; i < 40; i++) {
		faults_of(i % SM_VCPUS, GVA, true);
		mmu_reclaim(&m.vm, 1 + i);
		sm_audit(&m);
		if (i == 20)
			load_cr3(0, ROOT_B);
	}
	mmu_unmap_all(&m.vm);
	faults_of(0, GVA, true);
	sm_guest_mode(&m, &m.vcpu[0], SM_PAE);		/* its root is of another kind */
	mmu_reclaim(&m.vm, 1000);
	read_by(0, GVA);
	assert_int_equal(m.busy, 0);
}

#define CYCLE		64
#define CYCLE_GVA(i)	((gva_t)(1 + (i)) << 30)

/* So many directories and leaf tables beside each other. */
static void put_cycle(void)
{
	int i;

	for (i = 0; i < CYCLE; i++) {
		put(TABLE(3), 1 + i, to(600 + i, OPEN));
		put(600 + i, 0, to(700 + i, OPEN));
		put(700 + i, 0, to(PAGE_A, OPEN));
	}
}

/* … nor when another vCPU has gone through more roots than are kept. */
static void test_root_survives_other_roots(void **state)
{
	gfn_t gfn;

	faults_of(0, GVA, true);
	for (gfn = SM_CHUNK; gfn < SM_CHUNK + SHADOW_ROOTS_MAX + SM_VCPUS + 8; gfn++) {
		put(gfn, 0, to(TABLE(3), OPEN));
		load_cr3(1, gfn << PAGE_SHIFT);
		faults_of(1, GVA, true);
		sm_audit(&m);
	}
	assert_int_equal(faults_of(0, GVA, true), 0);
	assert_in_range(m.vm.shadow->nr_roots, 2, SHADOW_ROOTS_MAX + SM_VCPUS);
}

/* … nor when it brings other memory types, and all starts anew. */
static void test_root_survives_other_types(void **state)
{
	faults_of(0, GVA, true);
	m.vcpu[1].paging.pat ^= 3ull << 56;	/* of an index that nobody uses */
	sm_guest_flush(&m, &m.vcpu[1], MMU_LOAD_ALL);
	faults_of(1, GVA, true);
	faults_of(0, GVA, true);
}

/* … nor when the upper halves of roots differ. */
static void test_root_survives_other_kernel(void **state)
{
	const gva_t kernel = 0xffffff8000000000ul;
	int i;

	put(TABLE(4), 511, to(TABLE(3), OPEN));
	put(ROOT_B >> PAGE_SHIFT, 511, to(111, OPEN));
	put(111, 0, to(TABLE(2), OPEN));
	load_cr3(1, ROOT_B);
	for (i = 0; i < 4; i++) {
		faults_of(0, kernel, true);
		faults_of(1, kernel, true);
		load_cr3(2, i & 1 ? ROOT_B : ROOT);
		faults_of(2, kernel, true);
		sm_audit(&m);
	}
}

/* A cycle of tables larger than the limit is served all the same. */
static void test_limit(void **state)
{
	int i, j;

	m.vm.shadow_max = 12;
	put_cycle();
	for (j = 0; j < 4; j++) {
		for (i = 0; i < CYCLE; i++) {
			assert_int_equal(read_by(0, CYCLE_GVA(i)), SM_DONE);
			assert_in_range(atomic64_read(&m.vm.stat.shadow_pages), 4, 12 + 2 * MMU_CACHE_MAX);
		}
	}
	assert_in_range(atomic64_read(&m.vm.stat.shadow_dropped), CYCLE, 10 * CYCLE);
}

/* What the processor walks through stays, although no fault tells of it. */
static void test_used_tables_stay(void **state)
{
	int i;

	put_cycle();
	for (i = 0; i < CYCLE; i++)
		read_by(0, CYCLE_GVA(i));
	faults_of(0, GVA, true);
	for (i = 0; i < 100 && atomic64_read(&m.vm.stat.shadow_dropped) < CYCLE; i++) {
		mmu_shadow_reclaim(&m.vm, 8, true);
		sm_hw_flush(&m.vcpu[0]);
		assert_int_equal(faults_of(0, GVA, false), 0);
	}
	assert_in_range(i, CYCLE / 8, 99);
	assert_true(faults_of(0, CYCLE_GVA(0), false));
}

/* A root of which several entries point to itself: hundreds of ways to one table at each level. */
static void test_ways_are_not_walked(void **state)
{
	const int nr = 8;
	u64 compared;
	int i, j, k;

	for (i = 1; i <= nr; i++)
		put(TABLE(4), i, to(TABLE(4), OPEN));
	for (i = 1; i <= nr; i++)
		for (j = 1; j <= nr; j++)
			for (k = 1; k <= nr; k++)
				faults_of(0, (gva_t)i << 39 | (gva_t)j << 30 | (gva_t)k << 21 | 5 << 12, false);
	for (i = 0; i < 3; i++) {
		compared = m.vcpu[0].mmu.stat.compared;
		load_cr3(0, ROOT);
		assert_in_range(m.vcpu[0].mmu.stat.compared - compared, 1, 8);
		compared = m.vcpu[0].mmu.stat.compared;
		sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
		assert_in_range(m.vcpu[0].mmu.stat.compared - compared, 1, 8);
	}
	/* Compared once is enough to find what has changed. */
	put(TABLE(4), 5, 0);
	load_cr3(0, ROOT);
	assert_int_equal(read_by(0, (gva_t)1 << 39 | (gva_t)2 << 30 | (gva_t)5 << 21 | 5 << 12), SM_REFLECTED);
	assert_int_equal(read_by(0, (gva_t)5 << 39 | (gva_t)2 << 30 | (gva_t)1 << 21 | 5 << 12), SM_REFLECTED);
}

static unsigned int length(const struct mmu_rmap *head)
{
	struct mmu_rmap_pos pos = { 0 };
	unsigned int n = 0;

	while (mmu_rmap_next(head, &pos))
		n++;
	return n;
}

/* One page mapped by all entries of one table, that by all entries of several: no list gets long. */
static void test_too_many_ways(void **state)
{
	struct mmu_spage *sp;
	int i, j;

	for (i = 0; i < MMU_ENTRIES; i++) {
		put(TABLE(1), i, to(PAGE_A, OPEN));
		put(TABLE(2), i, to(TABLE(1), OPEN));
		put(TABLE(3), i, to(TABLE(2), OPEN));
	}
	for (i = 0; i < 4; i++) {
		for (j = 0; j < MMU_ENTRIES; j++) {
			gva_t gva = (gva_t)(i & 1) << 30 | (gva_t)j << 21 | (gva_t)(i ^ j) << 12;
			struct mmu_region *region;

			/* Another role, another table of ours, the same page. */
			put(TABLE(3), 1, to(TABLE(2), i & 2 ? OPEN : OPEN & ~2ull));
			assert_int_equal(read_by(0, gva), SM_DONE);
			region = mmu_region_find(m.vm.shadow, PAGE_A, 1);
			assert_in_range(length(mmu_region_head(region, PAGE_A, 1)), 0, 96 + MMU_RMAP_PER_NODE);
			for (sp = NULL; (sp = mmu_spage_next(m.vm.shadow, TABLE(1), sp)); )
				assert_in_range(length(&sp->parents), 0, 96 + MMU_RMAP_PER_NODE);
		}
	}
	sm_audit(&m);
}

/* The same by the fast faults of a guest that never loads CR3 and links no table; others fill the vCPU's cache. */
static void test_too_many_entries(void **state)
{
	unsigned int tables = 8, i, j, longest = 0;

	for (i = 0; i < tables; i++) {
		put(TABLE(2), i, to(600 + i, OPEN));
		for (j = 0; j < MMU_ENTRIES; j++)
			put(600 + i, j, to(PAGE_A, OPEN));
		put(600 + i, 0, to(PAGE_B, OPEN));
		assert_int_equal(read_by(0, (gva_t)i << 21), SM_DONE);
	}
	for (i = 0; i < tables * MMU_ENTRIES; i++) {
		if (!(i % MMU_ENTRIES))
			continue;
		assert_int_equal(mmu_vcpu_topup(&m.vcpu[0].mmu), 0);
		assert_int_equal(read_by(0, (gva_t)i << 12), SM_DONE);
		longest = max(longest, length(mmu_region_head(mmu_region_find(m.vm.shadow, PAGE_A, 1), PAGE_A, 1)));
	}
	assert_in_range(longest, 0, 96 + MMU_RMAP_PER_NODE);
	sm_audit(&m);
}

/* Idle tables of P2M, as memory pressure takes them; how many pages it maps then. */
static s64 mapped_after_reclaim(void)
{
	write_lock(&m.vm.lock);
	m.vm.mode->reclaim(&m.vm, 8, true);
	mmu_finish(&m.vm);
	write_unlock(&m.vm.lock);
	return atomic64_read(&m.vm.stat.mapped[0]);
}

/* What is in use says our entry: the processor does not walk P2M in shadow mode. */
static void test_used_pages_stay(void **state)
{
	s64 mapped;

	faults_of(0, GVA, true);
	mapped = atomic64_read(&m.vm.stat.mapped[0]);
	assert_true(mapped > 0);
	mmu_age_gfns(&m.vm, 0, SM_CHUNK, true);
	mmu_flush(&m.vm);
	assert_int_equal(faults_of(0, GVA, false), 0);
	assert_int_equal(mapped_after_reclaim(), mapped);
	assert_int_equal(faults_of(0, GVA, false), 0);
	mmu_age_gfns(&m.vm, 0, SM_CHUNK, true);
	assert_int_equal(mapped_after_reclaim(), 0);
	assert_true(faults_of(0, GVA, false) > 0);
}

/* Asked from the middle of a large page of P2M on, as for a range that begins there: what is behind that page is not meant. */
static void test_bits_of_a_part(void **state)
{
	const gfn_t behind = SM_CHUNK + 10;

	put(TABLE(1), 20, to(behind, OPEN));
	faults_of(0, 20 << PAGE_SHIFT, true);
	assert_false(mmu_shadow_test_bits(&m.vm, 300, 2, PT_ACCESSED, true));
	assert_true(mmu_shadow_test_bits(&m.vm, behind, 1, PT_ACCESSED, false));
}

static int setup_5_levels(void **state)
{
	static const struct sm_config levels5 = {
		.name = "unit", .mode = SM_LONG, .levels = 5, .max_leaf = 3,
	};

	return setup_for(&levels5);
}

/* One vCPU's root is what another one, with a level more, has below all entries of its own: the two share no table. */
static void test_root_below_root(void **state)
{
	struct mmu_spage *sp;
	unsigned int i;

	m.vcpu[1].paging.cr4 |= X86_CR4_LA57;
	assert_true(sm_guest_cr3(&m, &m.vcpu[1], ROOT_B));
	sm_guest_flush(&m, &m.vcpu[1], MMU_LOAD_ALL);
	for (i = 0; i < 120; i++) {
		put(ROOT_B >> PAGE_SHIFT, i, to(TABLE(4), OPEN));
		assert_int_equal(read_by(1, (gva_t)i << 48), SM_DONE);
		assert_int_equal(read_by(0, GVA), SM_DONE);
		for (sp = NULL; (sp = mmu_spage_next(m.vm.shadow, TABLE(4), sp)); )
			assert_in_range(length(&sp->parents), 0, sp->users ? 0 : 96 + MMU_RMAP_PER_NODE);
	}
}

/* mmu_shadow_pages [PATTERN]: the tests whose name it matches, e.g. 'test_root*'. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(gfn_is_stored), TEST(gfn_of_child_is_compared), TEST(role_is_compared),
		TEST(table_and_large_page), TEST(tables_of_other_modes), TEST(keys_of_large_page),
		TEST(unlike_vcpus), TEST(root_survives_reclaim), TEST(root_survives_other_roots),
		TEST(root_survives_other_types), TEST(root_survives_other_kernel), TEST(limit),
		TEST(used_tables_stay), TEST(ways_are_not_walked), TEST(too_many_ways),
		TEST(too_many_entries), TEST(used_pages_stay), TEST(bits_of_a_part),
		cmocka_unit_test_setup_teardown(test_root_below_root, setup_5_levels, teardown),
	};

	begin_suite(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
