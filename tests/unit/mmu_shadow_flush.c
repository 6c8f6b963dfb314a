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

/* mmu_shadow_flush [PATTERN] */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { TEST(flush_amid_another), TEST(flush_amid_a_link) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
