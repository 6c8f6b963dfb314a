// SPDX-License-Identifier: GPL-2.0
/* Nested mode, one behaviour a test, on the model machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kapi_test.h"
#include "mmu/table.h"
#include "tests/model/nested_machine.h"

#define PAGE(n)	(NM_BASE + 512 + (n))	/* in the first slot */
#define RO(n)	(NM_BASE + 2048 + (n))	/* in the read-only slot */
#define HOLE	NM_BASE			/* no slot */

static struct nm m;

static int setup(void **state)
{
	return nm_init(&m, NM_NPT, 4, 1);
}

static int setup_noad(void **state)
{
	return nm_init(&m, NM_EPT_NOAD, 4, 1);
}

static int teardown(void **state)
{
	nm_audit(&m);
	nm_fini(&m);
	if (m.violations)
		print_message("# %s\n", m.first);
	return m.violations || kapi_live() || kapi_warnings();
}

static s64 mapped(int level)
{
	return atomic64_read(&m.vm.stat.mapped[level - 1]);
}

/* Faults that an access took; it must go through. */
static int faults(gfn_t gfn, bool write)
{
	int n;

	assert_int_equal(nm_access(&m, 0, gfn, write, &n), NM_DONE);
	return n;
}

static void test_one_page(void **state)
{
	assert_int_equal(faults(PAGE(0), true), 1);
	assert_int_equal(faults(PAGE(0), true), 0);
	assert_int_equal(faults(PAGE(0), false), 0);
	assert_int_equal(mapped(1), 1);
	assert_int_equal(atomic64_read(&m.vm.stat.tables), 4);
	assert_int_equal(m.vcpu[0].mmu.stat.fixed[0], 1);
}

static void test_sizes(void **state)
{
	nm_host_giant(&m, 3);
	assert_int_equal(faults(NM_GIANT + 12345, true), 1);
	assert_int_equal(mapped(3), 1);
	assert_int_equal(faults(NM_GIANT + 200000, true), 0);
	nm_host_giant(&m, 2);
	nm_host_end(&m, true);
	assert_int_equal(mapped(3), 0);
	assert_int_equal(faults(NM_GIANT + 12345, true), 1);
	assert_int_equal(faults(NM_GIANT + 12346, true), 0);
	assert_int_equal(mapped(2), 1);
}

static void test_max_leaf(void **state)
{
	m.vm.max_leaf = 2;
	nm_host_giant(&m, 3);
	nm_host_end(&m, true);
	assert_int_equal(faults(NM_GIANT + 12345, true), 1);
	assert_int_equal(mapped(3), 0);
	assert_int_equal(mapped(2), 1);
}

/* A large page not inside its slot, or with gfn and pfn aligned differently, is mapped small. */
static void test_alignment(void **state)
{
	int i;

	nm_host_collapse(&m, 5);
	nm_host_end(&m, true);
	assert_int_equal(faults(NM_BASE + 5 * 512 + 20, true), 1);	/* the slot begins at + 10 */
	assert_int_equal(mapped(2), 0);
	assert_int_equal(mapped(1), 1);

	nm_host_collapse(&m, 1);
	nm_host_end(&m, true);
	for (i = 512; i < 1024; i++)
		m.page[i].pfn++;
	assert_int_equal(faults(PAGE(7), true), 1);
	assert_int_equal(mapped(2), 0);
	assert_int_equal(mapped(1), 2);
}

static void test_around(void **state)
{
	int i;

	for (i = 0; i < 16; i += 2)
		faults(PAGE(i), true);
	mmu_unmap_all(&m.vm);
	m.around_pct = 100;
	assert_int_equal(faults(PAGE(4), false), 1);
	assert_int_equal(mapped(1), 8);
	assert_int_equal(m.vcpu[0].mmu.stat.around, 7);
	assert_int_equal(faults(PAGE(8), true), 0);
	/* Mapped along is not accessed. */
	assert_true(mmu_age_gfns(&m.vm, PAGE(4), PAGE(5), false));
	assert_true(mmu_age_gfns(&m.vm, PAGE(8), PAGE(9), false));
	assert_false(mmu_age_gfns(&m.vm, PAGE(10), PAGE(16), false));
}

static void test_upgrade(void **state)
{
	m.page[512] = (struct nm_page){ .pfn = 77, .present = true, .writable = false };
	assert_int_equal(faults(PAGE(0), false), 1);
	m.page[512].writable = true;
	assert_int_equal(faults(PAGE(0), true), 1);
	assert_int_equal(m.vcpu[0].mmu.stat.upgraded, 1);
	assert_int_equal(mapped(1), 1);
}

static void test_spurious(void **state)
{
	faults(PAGE(0), true);
	assert_int_equal(mmu_fault(&m.vcpu[1].mmu, PAGE(0) << 12, 6, 0), MMU_RESUME);
	assert_int_equal(m.vcpu[1].mmu.stat.spurious, 1);
}

static void test_mmio(void **state)
{
	assert_int_equal(nm_access(&m, 0, HOLE, false, NULL), NM_MMIO);
	assert_false(m.vcpu[0].mmu.fault.readonly);
	assert_int_equal(m.vcpu[0].mmu.fault.gpa, HOLE << 12 | 0x123);
	assert_int_equal(nm_access(&m, 0, RO(0), true, NULL), NM_MMIO);
	assert_true(m.vcpu[0].mmu.fault.readonly);
	assert_int_equal(faults(RO(0), false), 1);
	assert_int_equal(nm_access(&m, 0, RO(0), true, NULL), NM_MMIO);
	assert_int_equal(m.vcpu[0].mmu.stat.mmio, 3);
}

static void test_missing(void **state)
{
	m.page[512].missing = true;
	assert_int_equal(nm_access(&m, 0, PAGE(0), false, NULL), NM_ERROR);
	assert_int_equal(m.vcpu[0].mmu.fault.error, -EFAULT);
}

static void test_atomic(void **state)
{
	struct mmu_vcpu *v = &m.vcpu[0].mmu;

	/* Absent in the host: cannot be brought in without sleeping. */
	assert_int_equal(mmu_fault(v, PAGE(0) << 12, 6, MMU_ATOMIC), MMU_SLEEP);
	assert_int_equal(mmu_fault(v, PAGE(0) << 12, 6, 0), MMU_RESUME);
	/* Too few tables in hand. */
	while (v->cache.nr > 2)
		mmu_table_free(v->cache.table[--v->cache.nr]);
	assert_int_equal(mmu_fault(v, PAGE(0) << 12, 6, MMU_ATOMIC), MMU_SLEEP);
	assert_int_equal(mmu_vcpu_topup(v), 0);
	assert_int_equal(mmu_fault(v, PAGE(0) << 12, 6, MMU_ATOMIC), MMU_RESUME);
	assert_int_equal(v->stat.slept, 2);
}

static void race_move(struct nm *n)
{
	mmu_invalidate_begin(&n->vm, PAGE(0), PAGE(1));
	n->page[512].pfn++;
	mmu_invalidate_end(&n->vm);
	n->event = NULL;
}

static void test_stale_answer(void **state)
{
	m.race_pct = 100;
	m.event = race_move;
	assert_int_equal(faults(PAGE(0), true), 2);
	assert_int_equal(m.vcpu[0].mmu.stat.retried, 1);
}

static void test_being_changed(void **state)
{
	mmu_invalidate_begin(&m.vm, PAGE(0), PAGE(4));
	assert_int_equal(mmu_fault(&m.vcpu[0].mmu, PAGE(3) << 12, 6, 0), MMU_RESUME);
	assert_int_equal(mapped(1), 0);
	assert_int_equal(faults(PAGE(4), true), 1);
	mmu_invalidate_end(&m.vm);
	assert_int_equal(faults(PAGE(3), true), 1);
}

static void test_unmap_part_of_large(void **state)
{
	nm_host_collapse(&m, 1);
	nm_host_end(&m, true);
	faults(PAGE(100), true);
	assert_int_equal(mapped(2), 1);
	nm_host_drop(&m, PAGE(5), PAGE(6));
	nm_host_end(&m, true);
	assert_int_equal(mapped(2), 0);
	assert_int_equal(faults(PAGE(100), true), 1);
	assert_int_equal(mapped(1), 1);
}

/* A table is in the way of a large leaf. */
static void test_collapse(void **state)
{
	nm_host_collapse(&m, 1);
	nm_host_end(&m, true);
	mmu_invalidate_begin(&m.vm, PAGE(100), PAGE(101));
	faults(PAGE(0), true);
	faults(PAGE(1), true);
	assert_int_equal(mapped(1), 2);
	mmu_invalidate_end(&m.vm);
	assert_int_equal(faults(PAGE(2), true), 1);
	assert_int_equal(mapped(1), 0);
	assert_int_equal(mapped(2), 1);
	assert_int_equal(atomic64_read(&m.vm.stat.collapsed), 1);
	assert_int_equal(faults(PAGE(0), true), 0);
}

static void test_whole_table_goes(void **state)
{
	int i;

	for (i = 0; i < 40; i++)
		faults(PAGE(i), true);
	mmu_invalidate_begin(&m.vm, PAGE(0), PAGE(512));
	mmu_invalidate_end(&m.vm);
	assert_int_equal(mapped(1), 0);
	assert_int_equal(atomic64_read(&m.vm.stat.tables), 3);
	assert_int_equal(atomic64_read(&m.vm.stat.invalidated), 40);
}

static void test_age(void **state)
{
	faults(PAGE(0), false);
	faults(PAGE(9), false);
	assert_true(mmu_age_gfns(&m.vm, PAGE(0), PAGE(1), false));
	assert_true(mmu_age_gfns(&m.vm, PAGE(0), PAGE(1), true));
	assert_false(mmu_age_gfns(&m.vm, PAGE(0), PAGE(1), true));
	assert_true(mmu_age_gfns(&m.vm, PAGE(0), PAGE(10), false));
	mmu_flush(&m.vm);
	assert_int_equal(faults(PAGE(0), false), 0);
	assert_true(mmu_age_gfns(&m.vm, PAGE(0), PAGE(1), false));
}

static void test_age_noad(void **state)
{
	faults(PAGE(0), false);
	assert_true(mmu_age_gfns(&m.vm, PAGE(0), PAGE(1), true));
	assert_int_equal(mapped(1), 0);
	assert_false(mmu_age_gfns(&m.vm, PAGE(0), PAGE(1), false));
	assert_int_equal(faults(PAGE(0), false), 1);
}

static bool taken_bit(const unsigned long *taken, gfn_t gfn)
{
	return test_bit(gfn - m.slot[0].start, taken);
}

/* The whole protocol; how many faults a logged write takes is what the formats differ in. */
static void dirty(int faults_per_round)
{
	struct nm_slot *slot = &m.slot[0];
	unsigned long taken[NM_GFNS / 64];

	faults(PAGE(0), true);
	faults(PAGE(1), true);
	nm_log_start(&m, 0);
	assert_false(mmu_dirty_take(&m.vm, slot->start, slot->end, m.live[0], taken));
	assert_int_equal(faults(PAGE(1), true), faults_per_round);
	assert_int_equal(faults(PAGE(0), false), 0);
	assert_true(mmu_dirty_take(&m.vm, slot->start, slot->end, m.live[0], taken));
	assert_false(taken_bit(taken, PAGE(0)));
	assert_true(taken_bit(taken, PAGE(1)));
	assert_int_equal(faults(PAGE(1), true), faults_per_round);
	/* Written, then gone before anybody looked. */
	faults(PAGE(7), true);
	mmu_invalidate_begin(&m.vm, PAGE(0), PAGE(100));
	mmu_invalidate_end(&m.vm);
	assert_true(mmu_dirty_take(&m.vm, slot->start, slot->end, m.live[0], taken));
	assert_false(taken_bit(taken, PAGE(0)));
	assert_true(taken_bit(taken, PAGE(1)));
	assert_true(taken_bit(taken, PAGE(7)));
	memset(m.must, 0, sizeof(m.must));
	nm_log_stop(&m, 0);
}

static void test_dirty(void **state)
{
	dirty(0);
}

static void test_dirty_noad(void **state)
{
	dirty(1);
}

static void test_dirty_large(void **state)
{
	nm_host_collapse(&m, 1);
	nm_host_end(&m, true);
	faults(PAGE(3), true);
	assert_int_equal(mapped(2), 1);
	nm_log_start(&m, 0);
	assert_int_equal(mapped(2), 0);
	faults(PAGE(3), true);
	faults(PAGE(4), true);
	assert_int_equal(mapped(1), 2);
	nm_log_stop(&m, 0);
	/* The host maps large: the table went, and the next fault maps large again. */
	assert_int_equal(mapped(1), 0);
	assert_int_equal(faults(PAGE(3), true), 1);
	assert_int_equal(mapped(2), 1);
}

static void test_dirty_clear(void **state)
{
	unsigned long mask[NM_GFNS / 64] = { 0 };
	struct nm_slot *slot = &m.slot[0];

	nm_log_start(&m, 0);
	faults(PAGE(0), true);
	faults(PAGE(1), true);
	mmu_dirty_peek(&m.vm, slot->start, slot->end, m.live[0]);
	mmu_dirty_peek(&m.vm, slot->start, slot->end, m.live[0]);
	assert_true(taken_bit(m.live[0], PAGE(0)));
	assert_true(taken_bit(m.live[0], PAGE(1)));
	__set_bit(PAGE(0) - slot->start, mask);
	mmu_dirty_clear(&m.vm, slot->start, slot->end, m.live[0], mask);
	m.must[PAGE(0) - NM_BASE] = false;
	mmu_dirty_peek(&m.vm, slot->start, slot->end, m.live[0]);
	assert_false(taken_bit(m.live[0], PAGE(0)));
	assert_true(taken_bit(m.live[0], PAGE(1)));
	nm_log_stop(&m, 0);
}

static void test_reclaim(void **state)
{
	int chunk;

	for (chunk = 1; chunk < 4; chunk++)
		faults(NM_BASE + chunk * 512, true);
	assert_int_equal(atomic64_read(&m.vm.stat.tables), 6);
	/* The idle one goes first. */
	mmu_age_gfns(&m.vm, NM_BASE + 2 * 512, NM_BASE + 3 * 512, true);
	mmu_flush(&m.vm);
	assert_int_equal(mmu_reclaim(&m.vm, 1), 1);
	assert_int_equal(faults(NM_BASE + 512, true), 0);
	assert_int_equal(faults(NM_BASE + 3 * 512, true), 0);
	assert_int_equal(faults(NM_BASE + 2 * 512, true), 1);
	/* In the end only what cannot be rebuilt by a fault is left: the root. */
	while (mmu_reclaim(&m.vm, 100))
		;
	assert_int_equal(atomic64_read(&m.vm.stat.tables), 1);
	assert_int_equal(faults(NM_BASE + 512, true), 1);
}

static void test_config(void **state)
{
	struct mmu_vm_config c = {
		.host = m.vm.host, .format = &mmu_format_npt, .levels = 3, .max_leaf = 3,
	};
	struct mmu_vm vm;

	assert_int_equal(mmu_vm_init(&vm, &c), -EINVAL);
	c.levels = 6;
	assert_int_equal(mmu_vm_init(&vm, &c), -EINVAL);
	c.levels = 4;
	c.max_leaf = 0;
	assert_int_equal(mmu_vm_init(&vm, &c), -EINVAL);
	c.max_leaf = 4;
	assert_int_equal(mmu_vm_init(&vm, &c), -EINVAL);
}

static u64 *leaf_of(gfn_t gfn)
{
	struct mmu_iter it;

	mmu_iter_start(&it, &m.vm, gfn, gfn + 1);
	while (mmu_iter_next(&it))
		if (it.level == 1)
			return it.slot;
	fail();
	return NULL;
}

/* The audit sees what it is for. */
static void test_audit(void **state)
{
	u64 *leaf, good;

	faults(PAGE(0), true);
	leaf = leaf_of(PAGE(0));
	good = *leaf;
	assert_int_equal(mmu_audit(&m.vm, NULL, NULL), 0);
	*leaf = good ^ 1 << 12;		/* another page */
	assert_int_equal(mmu_audit(&m.vm, NULL, NULL), 1);
	*leaf = good | 1 << 3;		/* a bit that is not ours */
	assert_int_equal(mmu_audit(&m.vm, NULL, NULL), 1);
	*leaf = 0;			/* gone, and not counted */
	assert_int_equal(mmu_audit(&m.vm, NULL, NULL), 1);
	*leaf = good;
	m.page[512].writable = false;	/* behind our back */
	assert_int_equal(mmu_audit(&m.vm, NULL, NULL), 1);
	m.page[512].writable = true;
	mmu_table_at(leaf - mmu_index(PAGE(0), 1))->gfn++;
	assert_int_equal(mmu_audit(&m.vm, NULL, NULL), 1);
	mmu_table_at(leaf - mmu_index(PAGE(0), 1))->gfn--;
}

#define TEST(f)		cmocka_unit_test_setup_teardown(test_##f, setup, teardown)
#define TEST_NOAD(f)	cmocka_unit_test_setup_teardown(test_##f, setup_noad, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_page), TEST(sizes), TEST(max_leaf), TEST(alignment), TEST(around),
		TEST(upgrade), TEST(spurious), TEST(mmio), TEST(missing), TEST(atomic),
		TEST(stale_answer), TEST(being_changed), TEST(unmap_part_of_large), TEST(collapse),
		TEST(whole_table_goes), TEST(age), TEST_NOAD(age_noad), TEST(dirty),
		TEST_NOAD(dirty_noad), TEST(dirty_large), TEST(dirty_clear), TEST(reclaim),
		TEST(config), TEST(audit),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
