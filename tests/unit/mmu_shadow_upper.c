// SPDX-License-Identifier: GPL-2.0
/*
 * The upper halves of roots: what all have in common, what not, and global pages in both.
 */
#include "tests/unit/mmu_shadow.h"

/* A root that has none of the kernel's tables yet: a flush there is meant for them all the same. */
static void test_global_page_flushed_elsewhere(void **state)
{
	gfn_t gfn, root;
	int i;

	put_kernel();
	for (i = 0; i < 8; i++) {
		gfn = i & 1 ? PAGE_A : PAGE_B;
		root = KERNEL_TABLE(16 + i);
		put(root, 511, to(KERNEL_TABLE(3), OPEN));
		load_cr3(0, ROOT);
		faults_of(0, KERNEL, true);
		load_cr3(0, root << PAGE_SHIFT);
		put(KERNEL_TABLE(1), 0, to(gfn, OPEN | 0x100));
		if (i & 2)
			sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
		else
			sm_guest_invlpg(&m, &m.vcpu[0], KERNEL);
		/* In this root, where another page brings the table in, or in one that has it. */
		if (i & 4)
			load_cr3(0, ROOT);
		else
			faults_of(0, KERNEL + 0x3000, true);
		assert_int_equal(reached(0, KERNEL), gfn);
	}
}

/* What is no global page any more, though the same, is one that a load of CR3 flushes. */
static void test_page_that_was_global(void **state)
{
	put_kernel();
	put(KERNEL_TABLE(1), 0, to(PAGE_A, OPEN));
	sm_guest_invlpg(&m, &m.vcpu[0], KERNEL);
	assert_int_equal(reached(0, KERNEL), PAGE_A);
	put(KERNEL_TABLE(1), 0, to(PAGE_B, OPEN));
	load_cr3(0, ROOT);
	assert_int_equal(reached(0, KERNEL), PAGE_B);
}

/* Linked at a second place, a table has what the guest's has: nobody can have cached anything there. */
static void test_global_table_at_two_places(void **state)
{
	put_kernel();
	faults_of(0, KERNEL + 0x5000, true);
	put(KERNEL_TABLE(1), 5, to(PAGE_B, OPEN | 0x100));
	put(KERNEL_TABLE(2), 1, to(KERNEL_TABLE(1), OPEN));
	faults_of(0, KERNEL + 0x206000, true);
	assert_int_equal(reached(0, KERNEL + 0x205000), PAGE_B);
}

/* The same tables, but with other rights, are other tables of ours: not all are flushed by one INVLPG. */
static void test_global_page_below_other_rights(void **state)
{
	put_kernel();
	put(ROOT_B >> PAGE_SHIFT, 511, to(KERNEL_TABLE(3), OPEN & ~2ull));
	load_cr3(0, ROOT_B);
	assert_int_equal(read_by(0, KERNEL), SM_DONE);
	load_cr3(0, ROOT);
	assert_int_equal(read_by(0, KERNEL), SM_DONE);
	put(KERNEL_TABLE(1), 0, to(PAGE_B, OPEN | 0x100));
	sm_guest_invlpg(&m, &m.vcpu[0], KERNEL);
	load_cr3(0, ROOT_B);
	assert_int_equal(reached(0, KERNEL), PAGE_B);
}

/* A table that is in the lower half of a root, and then in the upper halves too: what is linked below it later is in both. */
static void test_global_table_below_both_halves(void **state)
{
	const gva_t high = KERNEL - (1ul << 39), low = 1ul << 39;
	const gfn_t table = KERNEL_TABLE(8);

	put_kernel();
	put(table + 3, 0, to(table + 2, OPEN));
	put(table + 2, 0, to(table + 1, OPEN));
	put(table + 1, 0, to(PAGE_A, OPEN | 0x100));
	put(table + 3, 7, to(TABLE(2), OPEN));
	put(TABLE(4), 510, to(table + 3, OPEN));
	put(ROOT_B >> PAGE_SHIFT, 510, to(table + 3, OPEN));
	put(TABLE(4), 1, to(table + 3, OPEN));
	assert_int_equal(read_by(0, low | 7ul << 30), SM_DONE);
	assert_int_equal(reached(0, high), PAGE_A);
	assert_int_equal(reached(0, low), PAGE_A);
	/* To be flushed also where the address means nothing. */
	load_cr3(0, ROOT_B);
	put(table + 1, 0, to(PAGE_B, OPEN | 0x100));
	sm_guest_invlpg(&m, &m.vcpu[0], low);
	load_cr3(0, ROOT);
	assert_int_equal(reached(0, low), PAGE_B);
}

/* ------------------------------------------------------ roots that differ -- */

/*
 * ROOT and ROOT_B have the kernel's tables in the last slot, in the one before it tables of their own above a leaf table
 * that both have, with global pages, and below that themselves.
 */
#define PARTED		(KERNEL - (1ul << 39))
#define ITSELF		(KERNEL - (2ul << 39))
#define PARTED_TABLE	KERNEL_TABLE(8)
#define IDLE		((u64)KERNEL_TABLE(10) << PAGE_SHIFT)
#define PARTED_TABLE_OF(root, level)	KERNEL_TABLE(((root) == ROOT ? 12 : 14) + (level) - 2)

static void put_parted(u64 root)
{
	put(PARTED_TABLE_OF(root, 3), 0, to(PARTED_TABLE_OF(root, 2), OPEN));
	put(PARTED_TABLE_OF(root, 2), 0, to(PARTED_TABLE, OPEN));
	put(root >> PAGE_SHIFT, 510, to(PARTED_TABLE_OF(root, 3), OPEN));
	put(root >> PAGE_SHIFT, 509, to(root >> PAGE_SHIFT, OPEN));
}

static void put_both(void)
{
	int i;

	put_kernel();
	for (i = 0; i < 16; i++)
		put(PARTED_TABLE, i, to(PAGE_A, OPEN | 0x100));
	put_parted(ROOT);
	put_parted(ROOT_B);
	/* The other vCPUs in a space of their own, so that a root that is left is in nobody's use. */
	put(IDLE >> PAGE_SHIFT, 511, to(KERNEL_TABLE(3), OPEN));
	load_cr3(1, IDLE);
	load_cr3(2, IDLE);
}

/* Faults of all that a process and its kernel do there. */
static unsigned long use_all(int cpu)
{
	/* By way of itself twice: the guest's directory is data. */
	return faults_of(cpu, GVA, true) + faults_of(cpu, KERNEL, true) + faults_of(cpu, PARTED, true) +
	       faults_of(cpu, ITSELF | 509ul << 30, false);
}

static unsigned long take_turns(int times)
{
	unsigned long faults = 0;

	while (times--) {
		load_cr3(0, ROOT_B);
		faults += use_all(0);
		load_cr3(0, ROOT);
		faults += use_all(0);
	}
	return faults;
}

static bool differs(unsigned int slot)
{
	return test_bit(slot - MMU_ENTRIES / 2, m.vm.shadow->upper.differs);
}

/* After a few turns nothing of either root goes any more. */
static void test_roots_that_differ_are_kept(void **state)
{
	put_both();
	take_turns(3);
	assert_int_equal(take_turns(20), 0);
	assert_true(differs(509));
	assert_true(differs(510));
	assert_false(differs(511));
}

/* … nor with one vCPU on each of them. */
static void test_roots_that_differ_in_use(void **state)
{
	unsigned long faults = 0;
	int i;

	put_both();
	load_cr3(1, ROOT_B);
	load_cr3(2, ROOT);
	for (i = 0; i < 12; i++) {
		faults = use_all(i & 1) + use_all(2);
		load_cr3(2, i & 2 ? ROOT : ROOT_B);
	}
	assert_int_equal(faults, 0);
}

/* Where roots agree a kernel's leaf table is not looked at when CR3 is loaded, whatever is in other slots. */
static void test_global_pages_rest(void **state)
{
	u64 compared;

	put_both();
	take_turns(4);
	compared = m.vcpu[0].mmu.stat.compared;
	take_turns(4);
	compared = m.vcpu[0].mmu.stat.compared - compared;
	assert_in_range(compared, 1, 8 * 16);	/* the others at most once each */
	/* Without a word to mmu/, so that a comparison alone would find it. */
	sm_store(&m, (u64)KERNEL_TABLE(1) << PAGE_SHIFT, to(PAGE_B, OPEN | 0x100), 8);
	load_cr3(0, ROOT_B);
	load_cr3(0, ROOT);
	sm_hw_flush(&m.vcpu[0]);
	assert_int_equal(reached(0, KERNEL), PAGE_A);
	/* While another vCPU is about to find out whether roots differ, they are not left alone. */
	m.vm.shadow->upper.is_due = true;
	load_cr3(0, ROOT);
	assert_int_equal(reached(0, KERNEL), PAGE_B);
}

/* Where they differ a flush in one root is meant for what the other one has there. */
static void test_global_page_where_roots_differ(void **state)
{
	gfn_t gfn;
	int i;

	put_both();
	for (i = 0; i < 16; i++) {
		gfn = i & 1 ? PAGE_A : PAGE_B;
		take_turns(1);
		load_cr3(0, i & 2 ? ROOT : ROOT_B);
		if (i & 8)
			use_all(0);
		put(PARTED_TABLE, 0, to(gfn, OPEN | 0x100));
		if (i & 4)
			sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
		else
			sm_guest_invlpg(&m, &m.vcpu[0], PARTED);
		load_cr3(0, i & 2 ? ROOT_B : ROOT);
		assert_int_equal(reached(0, PARTED), gfn);
	}
}

/* … also if the table is in a slot where they agree, too, and so not the lower half's alone. */
static void test_global_table_where_roots_agree_and_differ(void **state)
{
	gfn_t gfn;
	int i;

	put_both();
	put(PARTED_TABLE_OF(ROOT, 2), 0, to(KERNEL_TABLE(1), OPEN));
	for (i = 0; i < 16; i++) {
		gfn = i & 1 ? PAGE_A : PAGE_B;
		take_turns(1);
		load_cr3(0, i & 2 ? ROOT : ROOT_B);
		put(KERNEL_TABLE(1), 0, to(gfn, OPEN | 0x100));
		sm_guest_invlpg(&m, &m.vcpu[0], i & 4 ? PARTED : KERNEL);
		load_cr3(0, ROOT);
		assert_int_equal(reached(0, i & 4 ? PARTED : KERNEL), gfn);
	}
}

/* A kernel's first root is out of use once it has others: for its sake they do not differ for good. */
static void test_first_root(void **state)
{
	const gfn_t root = KERNEL_TABLE(24);
	int i;

	put_kernel();
	put(root, 511, to(PARTED_TABLE_OF(ROOT, 3), OPEN));
	put(PARTED_TABLE_OF(ROOT, 3), 0, to(KERNEL_TABLE(2), OPEN));
	load_cr3(1, root << PAGE_SHIFT);
	faults_of(1, KERNEL, true);
	load_cr3(1, ROOT_B);
	for (i = 0; i < 4; i++) {
		faults_of(1, KERNEL, true);
		load_cr3(1, i & 1 ? ROOT_B : ROOT);
	}
	assert_false(differs(511));
	assert_int_equal(faults_of(0, KERNEL, true) + faults_of(1, KERNEL, true), 0);
}

/* Roots that differed and are out of use leave nothing behind, after a while. */
static void test_roots_agree_again(void **state)
{
	int i;

	put_both();
	take_turns(4);
	assert_true(differs(510));
	for (i = 0; i < 2000; i++) {
		load_cr3(0, ROOT);
		use_all(0);
	}
	assert_false(differs(510));
	sm_store(&m, (u64)PARTED_TABLE << PAGE_SHIFT, to(PAGE_B, OPEN | 0x100), 8);
	load_cr3(0, ROOT);
	sm_hw_flush(&m.vcpu[0]);
	assert_int_equal(reached(0, PARTED), PAGE_A);
	/* Should they be used again, it is as before. */
	sm_guest_invlpg(&m, &m.vcpu[0], PARTED);
	take_turns(4);
	assert_true(differs(510));
	assert_int_equal(take_turns(8), 0);
}

/* mmu_shadow_upper [PATTERN]: the tests whose name it matches, e.g. 'test_root*'. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(global_page_flushed_elsewhere), TEST(page_that_was_global), TEST(global_table_at_two_places),
		TEST(global_page_below_other_rights), TEST(global_table_below_both_halves),
		TEST(roots_that_differ_are_kept), TEST(roots_that_differ_in_use), TEST(global_pages_rest),
		TEST(global_page_where_roots_differ), TEST(global_table_where_roots_agree_and_differ),
		TEST(first_root), TEST(roots_agree_again),
	};

	begin_suite(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
