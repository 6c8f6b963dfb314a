// SPDX-License-Identifier: GPL-2.0
/* Shadow mode: flushes of several vCPUs that are on their way at the same time, step by step. */
#include "tests/unit/mmu_shadow.h"

static struct mmu_sync begin(enum mmu_sync_kind kind)
{
	struct mmu_sync s = { .kind = kind, .left = MMU_SYNC_MUCH * MMU_SYNC_SOME };

	mmu_sync_start(m.vm.shadow, &s);
	return s;
}

static struct mmu_spage *spage_of(int cpu, u64 cr3)
{
	union mmu_role role = { .word = m.vcpu[cpu].mmu.role };

	role.level = 4;
	role.access = ACC_ALL;
	return mmu_spage_find(m.vm.shadow, cr3 >> PAGE_SHIFT, role);
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
	root = spage_of(0, ROOT);
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
	root = spage_of(0, ROOT_B);
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
	struct mmu_spage *sp = mmu_spage_next(m.vm.shadow, KERNEL_TABLE(1), NULL);

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

/* mmu_shadow_flush [PATTERN] */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(flush_amid_another), TEST(flush_amid_a_link), TEST(flush_amid_first_visited),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
