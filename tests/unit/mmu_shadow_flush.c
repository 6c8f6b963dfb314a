// SPDX-License-Identifier: GPL-2.0
/* Shadow mode: flushes of several vCPUs that are on their way at the same time, step by step. */
#include "tests/unit/mmu_shadow.h"

static struct mmu_sync begin(enum mmu_sync_kind kind)
{
	struct mmu_sync s = { .kind = kind, .left = MMU_SYNC_MUCH * MMU_SYNC_SOME };

	mmu_sync_start(m.vm.shadow, &s);
	return s;
}

/* Ours for a table of the guest that has one use only. */
static struct mmu_spage *spage_of(gfn_t gfn)
{
	return mmu_spage_next(m.vm.shadow, gfn, NULL);
}

static void sync(int cpu, struct mmu_spage *sp, struct mmu_sync *s)
{
	read_lock(&m.vm.lock);
	assert_true(mmu_sync_root(&m.vcpu[cpu].mmu, sp, s));
	read_unlock(&m.vm.lock);
}

/*
 * The first flush has compared a part of the tables when the guest changes an entry there, and flushes by another
 * vCPU. When the first one is through with the rest, the root is not as the second one asks for.
 */
static void test_flush_amid_another(void **state)
{
	struct mmu_spage *root;
	struct mmu_sync first, second;

	assert_int_equal(reached(0, GVA), PAGE_A);
	root = spage_of(ROOT >> PAGE_SHIFT);
	first = begin(MMU_SYNC_VISIT);
	sync(0, mmu_child_of(root, 0), &first);
	put(TABLE(1), 0, to(PAGE_B, OPEN));
	second = begin(MMU_SYNC_VISIT);
	sync(0, root, &first);
	sync(1, root, &second);
	assert_int_equal(reached(1, GVA), PAGE_B);
}

/* While a flush of all is on its way, another vCPU links the kernel's tables below the root: it has to look there, too. */
static void test_flush_amid_a_link(void **state)
{
	struct mmu_spage *root;
	struct mmu_sync s;

	put_kernel();
	load_cr3(0, ROOT_B);
	load_cr3(1, ROOT_B);
	root = spage_of(ROOT_B >> PAGE_SHIFT);
	put(KERNEL_TABLE(1), 0, to(PAGE_B, OPEN | 0x100));
	s = begin(MMU_SYNC_GLOBAL);
	sync(0, root, &s);
	assert_int_equal(reached(1, KERNEL + 0x1000), PAGE_A);
	read_lock(&m.vm.lock);
	assert_true(mmu_sync_upper(&m.vcpu[0].mmu, root, &s));
	read_unlock(&m.vm.lock);
	assert_int_equal(reached(0, KERNEL), PAGE_B);
}

/* What another vCPU does in the middle of the next one's fault, before that takes list_lock for the nth time. */
static void meanwhile(unsigned int nth, void (*step)(void))
{
	kapi_before_lock(&m.vm.shadow->list_lock, nth, step);
}

#define OTHER		20		/* of a kernel's leaf table: a page that is not global */

static u64 entry_then;

static void change_first_visited(void)
{
	struct mmu_spage *sp = spage_of(KERNEL_TABLE(1));

	put(KERNEL_TABLE(1), OTHER, to(PAGE_B, OPEN));
	load_cr3(1, ROOT);
	entry_then = mmu_sp_entry(sp, OTHER);
}

/*
 * The first page of a kernel's leaf table that is not global. Until the table is visited a load of CR3 passes by: so the entry
 * may not be there yet, or the vCPU that has just loaded CR3 would have what the guest has changed in its TLB.
 */
static void test_flush_amid_first_visited(void **state)
{
	put_kernel();
	put(KERNEL_TABLE(1), OTHER, to(PAGE_A, OPEN));
	load_cr3(1, ROOT);
	meanwhile(1, change_first_visited);
	assert_int_equal(reached(0, KERNEL + OTHER * PAGE_SIZE), PAGE_B);
	assert_true(kapi_stepped());
	assert_int_equal(entry_then, 0);
}

/* A leaf table below two directories, of two roots. */
#define LEAF		KERNEL_TABLE(25)
#define DIRECTORY(level)	KERNEL_TABLE(20 + (level))
#define NEAR_TABLE(i)	(111 + (i))	/* where the guest's tables and pages are mapped small */
#define GVA_A		(5ul << 21)	/* in ROOT */
#define GVA_B		(3ul << 21)	/* in ROOT_B */

static void fill_and_flush(void)
{
	assert_int_equal(reached(1, GVA_B), PAGE_A);
	put(LEAF, 0, to(PAGE_B, OPEN));
	load_cr3(2, ROOT);
}

/* So many loads of CR3 that the first vCPU's directory and all below it come to rest, if they may. */
static void load_often(void)
{
	struct mmu_spage *sp = spage_of(TABLE(2));
	int i, page;

	/* Enough leaf tables with enough pages, and the directory mapped by a small page. */
	for (i = 1; i < 4; i++)
		put(TABLE(2), i, to(NEAR_TABLE(i), OPEN));
	put(TABLE(2), 6, to(0, OPEN | 0x80));
	for (page = 0; page < 32; page++) {
		put(TABLE(1), page, to(PAGE_A, OPEN));
		reached(0, page << PAGE_SHIFT);
		for (i = 1; i < 4; i++) {
			put(NEAR_TABLE(i), page, to(PAGE_A, OPEN));
			reached(0, i << 21 | page << PAGE_SHIFT);
		}
	}
	reached(0, (6ul << 21) + (TABLE(2) << PAGE_SHIFT));
	for (i = 0; i < 1000 && mmu_spage_needs_visit(sp); i++) {
		load_cr3(0, ROOT);
		load_cr3(1, ROOT_B);	/* some tables at a time are put to rest */
	}
}

/* They do: a load of CR3 need not take the directory's lock. */
static void directory_rests(void)
{
	struct mmu_spage *sp = spage_of(TABLE(2));

	load_often();
	assert_true(sp->traced);
	assert_false(mmu_spage_busy(sp));
}

/* Two leaf tables of the first directory; the second is below ROOT_B as well. */
static void put_directories(void)
{
	int i;

	for (i = 0; i < 16; i++)
		put(LEAF, i, to(PAGE_A, OPEN));
	put(TABLE(2), 5, to(LEAF, OPEN));
	put(ROOT_B >> PAGE_SHIFT, 0, to(DIRECTORY(3), OPEN));
	put(DIRECTORY(3), 0, to(DIRECTORY(2), OPEN));
	put(DIRECTORY(2), 0, to(TABLE(1), OPEN));
	put(DIRECTORY(2), 3, to(LEAF, OPEN));
	load_cr3(1, ROOT_B);
	reached(1, GVA);
	reached(2, GVA);
}

/* A table that is new to its linker, but found and filled by another vCPU before it is linked. */
static void test_flush_amid_link_of_new(void **state)
{
	put_directories();
	directory_rests();
	/* The first time is for the list of all pages. */
	meanwhile(2, fill_and_flush);
	reached(0, GVA_A + 0x3000);
	assert_true(kapi_stepped());
	assert_int_equal(reached(2, GVA_A), PAGE_B);
}

/*
 * The emulator, on another processor, has said that it writes the directory, and writes; before it says that it is done, a
 * vCPU that has seen the write loads CR3.
 */
static void test_flush_amid_emulated_write(void **state)
{
	gpa_t entry = (TABLE(2) << PAGE_SHIFT) + 5 * 8;
	int i;

	put_directories();
	for (i = 0; i < 16; i++)
		assert_int_equal(reached(2, GVA_A + i * PAGE_SIZE), PAGE_A);
	mmu_guest_write_begin(&m.vm, entry, 8);
	load_often();
	put(NEAR_TABLE(1), 0, to(PAGE_B, OPEN));
	sm_store(&m, entry, to(NEAR_TABLE(1), OPEN), 8);
	load_cr3(2, ROOT);
	assert_int_equal(reached(2, GVA_A), PAGE_B);
	mmu_guest_write_end(&m.vm);
	assert_false(spage_of(TABLE(2))->traced);
}

/* Without CR4.PGE a load of CR3 flushes global pages, too, also in tables that the root lacks as yet. */
static void test_flush_without_global_pages(void **state)
{
	put_kernel();
	m.vcpu[1].paging.cr4 &= ~(u64)X86_CR4_PGE;
	sm_guest_flush(&m, &m.vcpu[1], MMU_LOAD_ALL);
	load_cr3(0, ROOT);
	assert_int_equal(reached(0, KERNEL), PAGE_A);
	put(KERNEL_TABLE(1), 0, to(PAGE_B, OPEN | 0x100));
	load_cr3(1, ROOT_B);
	load_cr3(0, ROOT_B);
	reached(0, KERNEL + 0x1000);
	assert_int_equal(reached(1, KERNEL), PAGE_B);
}

static const struct sm_config small = { .name = "small", .mode = SM_LONG, .levels = 4, .max_leaf = 1 };

static int setup_small(void **state)
{
	return setup_for(&small);
}

/* mmu_shadow_flush [PATTERN] */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(flush_amid_another), TEST(flush_amid_a_link), TEST(flush_amid_first_visited),
		TEST(flush_without_global_pages),
		cmocka_unit_test_setup_teardown(test_flush_amid_link_of_new, setup_small, teardown),
		cmocka_unit_test_setup_teardown(test_flush_amid_emulated_write, setup_small, teardown),
	};

	begin_suite(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
