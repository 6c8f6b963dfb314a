// SPDX-License-Identifier: GPL-2.0
/* The user-space side of the seam: that it refuses, counts and warns as tests rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kapi_test.h"

static void test_counts(void **state)
{
	unsigned long before = kapi_live(), page;
	void *p = kzalloc(10, GFP_KERNEL);

	assert_int_equal(kapi_live(), before + 1);
	page = get_zeroed_page(GFP_KERNEL);
	assert_int_equal(kapi_live(), before + 2);
	kfree(p);
	kfree(NULL);
	free_page(page);
	assert_int_equal(kapi_live(), before);
	assert_null(kcalloc(1ul << 40, 1ul << 40, GFP_KERNEL));
	assert_int_equal(kapi_live(), before);
}

static void test_refuses(void **state)
{
	void *p;

	kapi_fail_nth(2);
	p = kmalloc(1, GFP_KERNEL);
	assert_non_null(p);
	assert_false(kapi_failed());
	assert_int_equal(get_zeroed_page(GFP_KERNEL), 0);
	assert_true(kapi_failed());
	kfree(p);
	p = kmalloc(1, GFP_KERNEL);
	assert_non_null(p);
	kfree(p);
	kapi_fail_nth(0);
}

static void test_pages(void **state)
{
	unsigned long a = get_zeroed_page(GFP_KERNEL), b;
	u64 *p = (u64 *)a;
	int i;

	assert_true(IS_ALIGNED(a, PAGE_SIZE));
	for (i = 0; i < 512; i++)
		assert_int_equal(p[i], 0);
	assert_ptr_equal(phys_to_virt(virt_to_phys(p)), p);
	assert_int_equal(virt_to_phys(p) & ~GENMASK_ULL(51, 12), 0);
	set_page_private(virt_to_page(p), 42);
	assert_int_equal(page_private(virt_to_page(&p[511])), 42);
	free_page(a);
	/* Not the same one at once: whoever still uses it is caught. */
	b = get_zeroed_page(GFP_KERNEL);
	assert_int_not_equal(a, b);
	free_page(b);
}

static void test_locks(void **state)
{
	unsigned long before = kapi_warnings();
	rwlock_t rw;
	spinlock_t s;

	rwlock_init(&rw);
	spin_lock_init(&s);
	read_lock(&rw);
	lockdep_assert_held(&rw);
	lockdep_assert_held_read(&rw);
	read_unlock(&rw);
	write_lock(&rw);
	lockdep_assert_held_write(&rw);
	lockdep_assert_held(&rw);
	write_unlock(&rw);
	spin_lock(&s);
	lockdep_assert_held(&s);
	spin_unlock(&s);
	assert_int_equal(kapi_warnings(), before);

	kapi_warn_quiet(true);
	lockdep_assert_held(&s);
	lockdep_assert_held_write(&rw);
	read_lock(&rw);
	lockdep_assert_held_write(&rw);
	read_unlock(&rw);
	kapi_warn_quiet(false);
	assert_int_equal(kapi_warnings(), before + 3);
}

static void test_arithmetic(void **state)
{
	assert_int_equal(min(3, max(1, 2)), 2);
	assert_int_equal(clamp(7, 1, 5), 5);
	assert_true(GENMASK_ULL(51, 12) == 0xffffffffff000ULL);
	assert_true(GENMASK_ULL(63, 0) == ~0ULL);
	assert_int_equal(fls64(0), 0);
	assert_int_equal(fls64(1ULL << 63), 64);
	assert_int_equal(__ffs(8), 3);
	assert_true(sign_extend64(1ULL << 47, 47) == (s64)0xffff800000000000ULL);
	assert_int_equal(ALIGN(4097, 4096), 8192);
	assert_int_equal(rol64(1, 64), 1);
}

struct item {
	int n;
	struct list_head link;
};

static void test_lists(void **state)
{
	struct item a = { .n = 1 }, b = { .n = 2 }, *i, *t;
	int sum = 0;
	LIST_HEAD(l);
	LIST_HEAD(other);

	list_add(&a.link, &l);
	list_add_tail(&b.link, &l);
	assert_int_equal(list_first_entry(&l, struct item, link)->n, 1);
	list_for_each_entry(i, &l, link)
		sum = sum * 10 + i->n;
	assert_int_equal(sum, 12);
	list_splice_init(&l, &other);
	assert_true(list_empty(&l));
	list_for_each_entry_safe(i, t, &other, link)
		list_del(&i->link);
	assert_true(list_empty(&other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts), cmocka_unit_test(test_refuses), cmocka_unit_test(test_pages),
		cmocka_unit_test(test_locks), cmocka_unit_test(test_arithmetic), cmocka_unit_test(test_lists),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
