// SPDX-License-Identifier: GPL-2.0
/* Shadow mode, one behaviour a test, on the model machine, which checks every access itself. */
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

static void put(gfn_t gfn, unsigned int index, u64 entry)
{
	gpa_t gpa = (gfn << PAGE_SHIFT) + index * 8;

	sm_store(&m, gpa, entry, 8);
	mmu_guest_written(&m.vm, gpa, 8);
}

/* A guest's entry that points to gfn. */
static u64 to(gfn_t gfn, u64 flags)
{
	return gfn << PAGE_SHIFT | flags;
}

static void load_cr3(int cpu, u64 cr3)
{
	assert_true(sm_guest_cr3(&m, &m.vcpu[cpu], cr3));
	sm_guest_flush(&m, &m.vcpu[cpu], MMU_LOAD_CR3);
}

static int setup(void **state)
{
	int level, i;

	if (sm_init(&m, &config, 1))
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

static int teardown(void **state)
{
	sm_audit(&m);
	sm_fini(&m);
	if (m.violations)
		print_message("# %s\n", m.first);
	return m.violations || kapi_live() || kapi_warnings();
}

static enum sm_outcome access_by(int cpu, gva_t gva, struct gw_access a)
{
	struct sm_access x = { .gva = gva, .a = a, .ac = true, .size = 4 };

	return sm_access(&m, &m.vcpu[cpu], &x);
}

static enum sm_outcome read_by(int cpu, gva_t gva)
{
	return access_by(cpu, gva, (struct gw_access){ .user = true });
}

static enum sm_outcome write_by(int cpu, gva_t gva)
{
	return access_by(cpu, gva, (struct gw_access){ .user = true, .write = true });
}

/* Faults of an access that goes through. */
static unsigned long faults_of(int cpu, gva_t gva, bool write)
{
	unsigned long before = m.faults;

	assert_int_equal(write ? write_by(cpu, gva) : read_by(cpu, gva), SM_DONE);
	return m.faults - before;
}

static u64 entry_at(gfn_t gfn, unsigned int index)
{
	return sm_load(&m, (gfn << PAGE_SHIFT) + index * 8, 8);
}

static void test_hidden_fault(void **state)
{
	assert_in_range(faults_of(0, GVA, true), 1, 2);
	assert_int_equal(faults_of(0, GVA, true), 0);
	assert_int_equal(faults_of(0, GVA, false), 0);
}

static void test_reflected(void **state)
{
	put(TABLE(1), 1, to(PAGE_B, OPEN) & ~2ull);
	assert_int_equal(read_by(0, GVA), SM_DONE);
	assert_int_equal(write_by(0, 0x1000), SM_REFLECTED);
	assert_int_equal(m.vcpu[0].mmu.fault.exception_error, 7);
	assert_int_equal(m.vcpu[0].mmu.fault.exception_addr, 0x1000);
	assert_int_equal(read_by(0, 0x8000000000), SM_REFLECTED);
	assert_int_equal(m.vcpu[0].mmu.fault.exception_error, 4);
}

static void test_accessed_and_dirty(void **state)
{
	put(TABLE(1), 0, to(PAGE_A, 7));
	put(TABLE(2), 0, to(TABLE(1), 7));
	assert_int_equal(faults_of(0, GVA, false) > 0, true);
	assert_int_equal(entry_at(TABLE(1), 0), to(PAGE_A, 0x27));
	assert_int_equal(entry_at(TABLE(2), 0), to(TABLE(1), 0x27));
	assert_int_equal(faults_of(0, GVA, true), 1);	/* read-only here until it is dirty */
	assert_int_equal(entry_at(TABLE(1), 0), to(PAGE_A, 0x67));
}

static void test_absent_needs_no_flush(void **state)
{
	put(TABLE(1), 2, 0);
	assert_int_equal(read_by(0, 0x2000), SM_REFLECTED);
	put(TABLE(1), 2, to(PAGE_A, OPEN));
	assert_int_equal(read_by(0, 0x2000), SM_DONE);
}

static void test_invlpg(void **state)
{
	struct sm_access x = { .gva = GVA };

	faults_of(0, GVA, true);
	put(TABLE(1), 0, to(PAGE_B, OPEN));
	sm_guest_invlpg(&m, &m.vcpu[0], GVA);
	assert_int_equal(sm_access(&m, &m.vcpu[0], &x), SM_DONE);
	assert_int_equal(x.gpa >> PAGE_SHIFT, PAGE_B);
	put(TABLE(1), 0, 0);
	sm_guest_invlpg(&m, &m.vcpu[0], GVA);
	assert_int_equal(read_by(0, GVA), SM_REFLECTED);
}

static void test_cr3(void **state)
{
	faults_of(0, GVA, true);
	put(TABLE(1), 0, 0);
	load_cr3(0, ROOT);
	assert_int_equal(read_by(0, GVA), SM_REFLECTED);
}

/* What is linked below a root that is left stays for when it is loaded again. */
static void test_roots_are_kept(void **state)
{
	faults_of(0, GVA, true);
	load_cr3(0, ROOT_B);
	faults_of(0, GVA, true);
	load_cr3(0, ROOT);
	assert_int_equal(faults_of(0, GVA, true), 0);
}

/* A kernel with global pages in tables that all roots share, the first at KERNEL. */
#define KERNEL		0xffffff8000000000ul
#define KERNEL_TABLE(level)	(SM_CHUNK + (level))

static void put_kernel(void)
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

static gfn_t reached(int cpu, gva_t gva)
{
	struct sm_access x = { .gva = gva };

	assert_int_equal(sm_access(&m, &m.vcpu[cpu], &x), SM_DONE);
	return x.gpa >> PAGE_SHIFT;
}

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

/* Any address of a large page: the page is fresh, also where we map it in small ones. */
static void test_invlpg_of_large_page(void **state)
{
	put(TABLE(2), 1, to(0, OPEN | 0x80));
	faults_of(0, 0x200000, true);
	faults_of(1, 0x200000, true);
	put(TABLE(2), 1, 0);
	sm_guest_invlpg(&m, &m.vcpu[0], 0x203000);
	assert_int_equal(read_by(0, 0x200000), SM_REFLECTED);
	/* The first one has corrected the tables: the second one's TLB is its own affair. */
	sm_guest_invlpg(&m, &m.vcpu[1], 0x203000);
	assert_int_equal(read_by(1, 0x200000), SM_REFLECTED);
}

static void test_without_wp(void **state)
{
	struct gw_access write = { .write = true };

	m.vcpu[0].paging.cr0 &= ~(u64)X86_CR0_WP;
	put(TABLE(1), 0, to(PAGE_A, OPEN) & ~2ull);
	sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
	assert_int_equal(access_by(0, GVA, write), SM_DONE);
	assert_int_equal(write_by(0, GVA), SM_REFLECTED);
	assert_int_equal(read_by(0, GVA), SM_DONE);
	assert_int_equal(access_by(1, GVA, write), SM_REFLECTED);	/* which has WP */
}

/* What is the supervisor's alone for want of WP is a user's page to SMAP. */
static void test_without_wp_then_smap(void **state)
{
	struct sm_access x = { .gva = GVA, .size = 4 };

	m.vcpu[0].paging.cr0 &= ~(u64)X86_CR0_WP;
	put(TABLE(1), 0, to(PAGE_A, OPEN) & ~2ull);
	sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
	assert_int_equal(access_by(0, GVA, (struct gw_access){ .write = true }), SM_DONE);
	m.vcpu[0].paging.cr4 |= X86_CR4_SMAP;
	sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
	assert_int_equal(sm_access(&m, &m.vcpu[0], &x), SM_REFLECTED);
}

/* A large page in small ones: what is writable for want of WP belongs to the page while it is dirty. */
static void test_split_page_not_dirty_again(void **state)
{
	struct gw_access write = { .write = true };

	m.vcpu[0].paging.cr0 &= ~(u64)X86_CR0_WP;
	put(TABLE(2), 1, to(0, (OPEN | 0x80) & ~2ull));
	sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
	assert_int_equal(access_by(0, 0x200000, write), SM_DONE);
	put(TABLE(2), 1, to(0, (OPEN | 0x80) & ~0x42ull));
	sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
	assert_int_equal(read_by(0, 0x201000), SM_DONE);
	assert_int_equal(access_by(0, 0x200000, write), SM_DONE);
	assert_int_equal(entry_at(TABLE(2), 1), to(0, (OPEN | 0x80) & ~2ull));
}

/* The same where dirty bits cannot be set: read first, the page is written all the same. */
static void test_split_page_in_rom(void **state)
{
	const gfn_t rom = 130;

	put(rom, 0, to(0, (OPEN | 0x80) & ~0x40ull));
	put(TABLE(3), 1, to(rom, OPEN));
	assert_int_equal(read_by(0, 1ul << 30), SM_DONE);
	assert_int_equal(write_by(0, 1ul << 30), SM_DONE);
}

/* Tables that rest are write-protected; whoever writes them, the next flush sees it. */
static void rest(void)
{
	int i, j;

	for (i = 0; i < 4; i++) {
		put(TABLE(2), i, to(i ? 111 + i : TABLE(1), OPEN));
		for (j = 0; j < 32; j++)
			put(i ? 111 + i : TABLE(1), j, to(PAGE_A + j % 4, OPEN));
	}
	put(TABLE(2), 5, to(0, OPEN | 0x80));		/* the tables themselves */
	for (i = 0; i < 4 * 32; i++)
		faults_of(0, (gva_t)(i / 32) << 21 | (i % 32) << 12, false);
	faults_of(0, 0xa00000 + (TABLE(1) << PAGE_SHIFT), false);
	for (i = 0; i < 24; i++)
		load_cr3(0, ROOT);
	assert_true(atomic64_read(&m.vm.stat.traced) > 0);
}

static void test_write_to_table_at_rest(void **state)
{
	struct sm_access x = { .gva = 0xa00000 + (TABLE(1) << PAGE_SHIFT), .a.write = true,
			       .value = 0, .size = 8 };

	rest();
	assert_int_equal(sm_access(&m, &m.vcpu[0], &x), SM_DONE);
	load_cr3(0, ROOT);
	assert_int_equal(read_by(0, GVA), SM_REFLECTED);
}

/* Also if another vCPU could write it before, and its TLB knows that. */
static void test_write_to_table_at_rest_from_tlb(void **state)
{
	struct sm_access x = { .gva = 0xa00000 + (TABLE(1) << PAGE_SHIFT) + 8 * 40, .a.write = true,
			       .value = 0, .size = 8 };

	put(TABLE(2), 5, to(0, OPEN | 0x80));
	assert_int_equal(sm_access(&m, &m.vcpu[1], &x), SM_DONE);
	rest();
	x.gva -= 8 * 40;
	assert_int_equal(sm_access(&m, &m.vcpu[1], &x), SM_DONE);
	load_cr3(1, ROOT);
	assert_int_equal(read_by(1, GVA), SM_REFLECTED);
}

static void test_device_writes_table_at_rest(void **state)
{
	rest();
	sm_store(&m, TABLE(1) << PAGE_SHIFT, 0, 8);
	sm_guest_flush(&m, &m.vcpu[1], MMU_LOAD_WRITTEN);	/* another vCPU's exit */
	load_cr3(0, ROOT);
	assert_int_equal(read_by(0, GVA), SM_REFLECTED);
}

static void test_no_slot(void **state)
{
	put(TABLE(1), 2, to(150, OPEN));
	assert_int_equal(read_by(0, 0x2000), SM_MMIO);
	assert_int_equal(m.vcpu[0].mmu.fault.gpa, 150 << PAGE_SHIFT);
	assert_false(m.vcpu[0].mmu.fault.table);
	put(TABLE(2), 1, to(150, OPEN));
	assert_int_equal(read_by(0, 0x200000), SM_MMIO);
	assert_true(m.vcpu[0].mmu.fault.table);
}

/* The VMM's memory is missing: an error for a page, nothing to read for a table; and all is well again. */
static void test_host_error(void **state)
{
	faults_of(0, GVA, true);
	sm_break(&m, PAGE_A, true);
	assert_int_equal(read_by(0, GVA), SM_ERROR);
	assert_int_equal(m.vcpu[0].mmu.fault.error, -EHWPOISON);
	sm_break(&m, PAGE_A, false);
	faults_of(0, GVA, true);
	sm_break(&m, TABLE(1), true);
	load_cr3(0, ROOT);
	assert_int_equal(read_by(0, GVA), SM_MMIO);
	assert_true(m.vcpu[0].mmu.fault.table);
	sm_break(&m, TABLE(1), false);
	faults_of(0, GVA, true);
}

static void test_switch(void **state)
{
	int i;

	for (i = 0; i < 20; i++) {
		assert_int_equal(write_by(i % SM_VCPUS, GVA), SM_DONE);
		assert_int_equal(sm_set_mode(&m, i & 1), 0);
		assert_int_equal(write_by(i % SM_VCPUS, GVA), SM_DONE);
		sm_audit(&m);
	}
}

/* A vCPU that does not run between two switches has a root of tables that are gone. */
static void test_switch_twice(void **state)
{
	int i;

	faults_of(0, GVA, true);
	for (i = 0; i < 4; i++) {
		assert_int_equal(mmu_vm_set_mode(&m.vm, MMU_NESTED), 0);
		assert_int_equal(mmu_vm_set_mode(&m.vm, MMU_SHADOW), 0);
		sm_guest_flush(&m, &m.vcpu[1], MMU_LOAD_ALL);
		faults_of(1, GVA, true);
		sm_audit(&m);
		sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
		faults_of(0, GVA, true);
		sm_guest_flush(&m, &m.vcpu[2], MMU_LOAD_ALL);
	}
}

/* Keys, and bits that became reserved, are found by a flush. */
static void test_keys_and_reserved_bits(void **state)
{
	static const u64 bad[] = { 1ull << 51, 1ull << 45 };
	unsigned int i;

	m.vcpu[0].paging.cr4 |= X86_CR4_PKE;
	m.vcpu[0].pkru = 1 << 10;		/* key 5: no access */
	sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
	faults_of(0, GVA, true);
	put(TABLE(1), 0, to(PAGE_A, OPEN) | 5ull << 59);
	sm_guest_invlpg(&m, &m.vcpu[0], GVA);
	assert_int_equal(read_by(0, GVA), SM_REFLECTED);
	assert_int_equal(m.vcpu[0].mmu.fault.exception_error, 0x25);
	m.vcpu[0].pkru = 0;
	faults_of(0, GVA, true);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		put(TABLE(2), 0, to(TABLE(1), OPEN) | bad[i]);
		sm_guest_invlpg(&m, &m.vcpu[0], GVA);
		assert_int_equal(read_by(0, GVA), SM_REFLECTED);
		assert_int_equal(m.vcpu[0].mmu.fault.exception_error, 0xd);
		put(TABLE(2), 0, to(TABLE(1), OPEN));
		faults_of(0, GVA, true);
	}
}

/* A table at rest whose page goes is not there any more, and that must be seen at a load of CR3. */
static void test_table_at_rest_goes(void **state)
{
	rest();
	sm_break(&m, TABLE(1), true);
	load_cr3(0, ROOT);
	assert_int_equal(read_by(0, GVA), SM_MMIO);
	sm_break(&m, TABLE(1), false);
	faults_of(0, GVA, true);
}

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

/* What is a leaf, and what is reserved, is a matter of each vCPU's CPUID. */
static void test_unlike_vcpus(void **state)
{
	struct mmu_paging *p = &m.vcpu[1].paging;
	const gva_t giant = 5ul << 30, high = 0x5000;

	put(TABLE(3), 5, to(0, OPEN | 0x80));
	put(TABLE(1), 5, to(0xf00000000 >> PAGE_SHIFT, OPEN));		/* 36 bits; no slot there */
	p->pages_1g = false;
	p->maxphyaddr = 32;
	sm_guest_flush(&m, &m.vcpu[1], MMU_LOAD_ALL);
	assert_in_range(faults_of(0, giant, true), 1, 3);
	assert_int_equal(write_by(1, giant), SM_REFLECTED);
	assert_int_equal(m.vcpu[1].mmu.fault.exception_error, 0xf);
	sm_guest_flush(&m, &m.vcpu[1], MMU_LOAD_ALL);
	assert_int_equal(faults_of(0, giant, true), 0);		/* the other's tables are not its business */
	assert_int_equal(read_by(0, high), SM_MMIO);
	assert_int_equal(read_by(1, high), SM_REFLECTED);
	assert_int_equal(m.vcpu[1].mmu.fault.exception_error, 0xd);
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

/* Much of a leaf table goes at once: ours is unlinked, wherever it is linked, and right when linked again. */
static void test_torn(void **state)
{
	unsigned int i;

	put(TABLE(2), 1, to(TABLE(1), OPEN));
	for (i = 0; i < 64; i++)
		put(TABLE(1), i, to(800 + i, OPEN));
	for (i = 0; i < 64; i++) {
		faults_of(0, (gva_t)i << PAGE_SHIFT, true);
		faults_of(0, 0x200000 | (gva_t)i << PAGE_SHIFT, true);
	}
	for (i = 0; i < 50; i++)
		put(TABLE(1), i, 0);
	load_cr3(0, ROOT);
	assert_in_range(m.vcpu[0].mmu.stat.torn, 1, 2);
	assert_int_equal(read_by(0, 0x200000 | 49 << PAGE_SHIFT), SM_REFLECTED);
	assert_int_equal(read_by(0, 0x200000 | 50 << PAGE_SHIFT), SM_DONE);
	assert_int_equal(read_by(0, 3 << PAGE_SHIFT), SM_REFLECTED);
	put(TABLE(1), 3, to(PAGE_A, OPEN));
	assert_int_equal(write_by(0, 3 << PAGE_SHIFT), SM_DONE);
	assert_int_equal(write_by(0, 63 << PAGE_SHIFT), SM_DONE);
}

/* A load of CR3 goes by what the last one did, but not past what another vCPU has linked since. */
static void test_plan(void **state)
{
	unsigned int i;

	faults_of(0, GVA, true);
	for (i = 0; i < 3; i++)
		load_cr3(0, ROOT);
	put(120, 0, to(PAGE_A, OPEN));
	put(TABLE(2), 3, to(120, OPEN));
	load_cr3(1, ROOT);
	faults_of(1, 0x600000, true);
	faults_of(0, 0x600000, true);
	put(120, 0, 0);
	load_cr3(0, ROOT);
	assert_int_equal(read_by(0, 0x600000), SM_REFLECTED);
	put(TABLE(1), 0, 0);
	load_cr3(0, ROOT);
	assert_int_equal(read_by(0, GVA), SM_REFLECTED);
}

/* A table at rest that is written wants visits again, also of a root whose plan does not have it. */
static void test_plan_without_table_at_rest(void **state)
{
	struct sm_access x = { .gva = 0xa00000 + (TABLE(1) << PAGE_SHIFT), .a.write = true,
			       .value = 0, .size = 8 };
	unsigned int i;

	rest();
	for (i = 0; i < 3; i++)
		load_cr3(0, ROOT);
	assert_int_equal(sm_access(&m, &m.vcpu[1], &x), SM_DONE);
	load_cr3(0, ROOT);
	assert_int_equal(read_by(0, GVA), SM_REFLECTED);
}

/* … nor when another vCPU has gone through more roots than are kept. */
static void test_root_survives_other_roots(void **state)
{
	gfn_t gfn;

	faults_of(0, GVA, true);
	for (gfn = SM_CHUNK; gfn < SM_CHUNK + SHADOW_ROOTS_MAX + 8; gfn++) {
		put(gfn, 0, to(TABLE(3), OPEN));
		load_cr3(1, gfn << PAGE_SHIFT);
		faults_of(1, GVA, true);
		sm_audit(&m);
	}
	assert_int_equal(faults_of(0, GVA, true), 0);
	assert_in_range(m.vm.shadow->nr_roots, 2, SHADOW_ROOTS_MAX);
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
	unsigned int n = 0;

	while (mmu_rmap_at(head, n))
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

#define TEST(f)		cmocka_unit_test_setup_teardown(test_##f, setup, teardown)

/* mmu_shadow [PATTERN]: the tests whose name it matches, e.g. 'test_root*'. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(hidden_fault), TEST(reflected), TEST(accessed_and_dirty), TEST(absent_needs_no_flush),
		TEST(invlpg), TEST(cr3), TEST(roots_are_kept), TEST(invlpg_of_large_page),
		TEST(global_page_flushed_elsewhere), TEST(global_table_at_two_places),
		TEST(global_page_below_other_rights),
		TEST(without_wp), TEST(without_wp_then_smap), TEST(split_page_not_dirty_again), TEST(split_page_in_rom),
		TEST(write_to_table_at_rest), TEST(write_to_table_at_rest_from_tlb),
		TEST(device_writes_table_at_rest),
		TEST(no_slot), TEST(host_error), TEST(switch), TEST(switch_twice),
		TEST(keys_and_reserved_bits), TEST(table_at_rest_goes), TEST(gfn_is_stored),
		TEST(gfn_of_child_is_compared), TEST(role_is_compared),
		TEST(unlike_vcpus), TEST(root_survives_reclaim),
		TEST(root_survives_other_roots), TEST(root_survives_other_types),
		TEST(root_survives_other_kernel), TEST(torn), TEST(plan),
		TEST(plan_without_table_at_rest), TEST(limit),
		TEST(used_tables_stay), TEST(ways_are_not_walked), TEST(too_many_ways),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
