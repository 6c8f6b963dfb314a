/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the unit tests of shadow mode share: a model machine with a 4-level guest whose one branch of
 * tables is at TABLE(4) to TABLE(1), for each test anew.
 */
#ifndef PENUMBRA_TESTS_UNIT_MMU_SHADOW_H
#define PENUMBRA_TESTS_UNIT_MMU_SHADOW_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kapi_test.h"
#include "mmu/shadow.h"
#include "tests/model/shadow_machine.h"

/* Tables of a 4-level guest, away from those of the random ones; level 1 to 4. */
#define TABLE(level)	(100 + (level))
#define ROOT		((u64)TABLE(4) << PAGE_SHIFT)
#define ROOT_B		(110ull << PAGE_SHIFT)	/* another root, with the same tables below */
#define PAGE_A		115
#define PAGE_B		116
#define OPEN		0x67ull			/* present, writable, user, accessed, dirty */
#define GVA		0x0ul

static const struct sm_config config = {
	.name = "unit", .mode = SM_LONG, .levels = 4, .max_leaf = 3,
};

static struct sm m;

static inline void put(gfn_t gfn, unsigned int index, u64 entry)
{
	sm_emulated_store(&m, (gfn << PAGE_SHIFT) + index * 8, entry, 8);
}

/* A guest's entry that points to gfn. */
static inline u64 to(gfn_t gfn, u64 flags)
{
	return gfn << PAGE_SHIFT | flags;
}

static inline void load_cr3(int cpu, u64 cr3)
{
	assert_true(sm_guest_cr3(&m, &m.vcpu[cpu], cr3));
	sm_guest_flush(&m, &m.vcpu[cpu], MMU_LOAD_CR3);
}

static inline int setup_for(const struct sm_config *c)
{
	int level, i;

	if (sm_init(&m, c, 1))
		return -1;
	for (level = 4; level > 1; level--)
		put(TABLE(level), 0, to(TABLE(level - 1), OPEN));
	put(TABLE(1), 0, to(PAGE_A, OPEN));
	put(TABLE(1), 1, to(PAGE_B, OPEN));
	put(ROOT_B >> PAGE_SHIFT, 0, to(TABLE(3), OPEN));
	for (i = 0; i < SM_VCPUS; i++) {
		struct mmu_paging *p = &m.vcpu[i].paging;

		p->cr0 |= X86_CR0_WP;
		p->cr4 &= ~(u64)(X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE);
		p->cr4 |= X86_CR4_PGE;
		p->efer |= EFER_NX;
		m.vcpu[i].pkru = 0;
		assert_true(sm_guest_cr3(&m, &m.vcpu[i], ROOT));
		sm_guest_flush(&m, &m.vcpu[i], MMU_LOAD_ALL);
	}
	return 0;
}

static inline int setup(void **state)
{
	return setup_for(&config);
}

static inline int teardown(void **state)
{
	sm_audit(&m);
	sm_fini(&m);
	if (m.violations)
		print_message("# %s\n", m.first);
	return m.violations || kapi_live() || kapi_warnings();
}

static inline enum sm_outcome access_by(int cpu, gva_t gva, struct gw_access a)
{
	struct sm_access x = { .gva = gva, .a = a, .ac = true, .size = 4 };

	return sm_access(&m, &m.vcpu[cpu], &x);
}

static inline enum sm_outcome read_by(int cpu, gva_t gva)
{
	return access_by(cpu, gva, (struct gw_access){ .user = true });
}

static inline enum sm_outcome write_by(int cpu, gva_t gva)
{
	return access_by(cpu, gva, (struct gw_access){ .user = true, .write = true });
}

/* Faults of an access that goes through. */
static inline unsigned long faults_of(int cpu, gva_t gva, bool write)
{
	unsigned long before = m.faults;

	assert_int_equal(write ? write_by(cpu, gva) : read_by(cpu, gva), SM_DONE);
	return m.faults - before;
}

static inline u64 entry_at(gfn_t gfn, unsigned int index)
{
	return sm_load(&m, (gfn << PAGE_SHIFT) + index * 8, 8);
}

/* A kernel with global pages in tables that all roots share, the first at KERNEL. */
#define KERNEL		0xffffff8000000000ul
#define KERNEL_TABLE(level)	(SM_CHUNK + (level))

static inline void put_kernel(void)
{
	int i;

	put(KERNEL_TABLE(3), 0, to(KERNEL_TABLE(2), OPEN));
	put(KERNEL_TABLE(2), 0, to(KERNEL_TABLE(1), OPEN));
	for (i = 0; i < 16; i++)
		put(KERNEL_TABLE(1), i, to(PAGE_A, OPEN | 0x100));
	put(TABLE(4), 511, to(KERNEL_TABLE(3), OPEN));
	put(ROOT_B >> PAGE_SHIFT, 511, to(KERNEL_TABLE(3), OPEN));
	m.vcpu[0].paging.cr4 |= X86_CR4_PGE;
	sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
	faults_of(0, KERNEL, true);
}

/* A gfn that is aligned to 4 MiB, where a table or a page can be, by one and the same entry. */
#define BIG		(2 * SM_CHUNK)

/* vCPU 0 out of long mode: cr4 says which of the older modes. */
static inline void legacy_paging(u64 cr4, u64 cr3)
{
	struct sm_vcpu *v = &m.vcpu[0];

	v->paging.cr4 = cr4;
	v->paging.efer = 0;
	assert_true(sm_guest_cr3(&m, v, cr3));
	sm_guest_flush(&m, v, MMU_LOAD_ALL);
}

/* The page that an access gets to. */
static inline gfn_t reached(int cpu, gva_t gva)
{
	struct sm_access x = { .gva = gva };

	assert_int_equal(sm_access(&m, &m.vcpu[cpu], &x), SM_DONE);
	return x.gpa >> PAGE_SHIFT;
}

/* TAP. argv[1], if there: the tests whose name it matches, e.g. 'test_root*'. */
static inline void begin_suite(int argc, char **argv)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
}

#define TEST(f)		cmocka_unit_test_setup_teardown(test_##f, setup, teardown)

#endif
