// SPDX-License-Identifier: GPL-2.0
/* Shadow mode: faults and flushes, one behaviour a test, on the model machine, which checks every access itself. */
#include "tests/model/random.h"
#include "tests/unit/mmu_shadow.h"

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

/*
 * A page of 4 MiB is two of ours, and as many as it has where P2M is small: all of it goes, wherever in it the
 * INVLPG points.
 */
static void test_invlpg_of_4m_page(void **state)
{
	static const gfn_t where[] = { 0, SM_GIANT };
	const gpa_t entry = (120 << PAGE_SHIFT) + 4;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(where); i++) {
		sm_store(&m, entry, to(where[i], OPEN | 0x80), 4);
		legacy_paging(X86_CR4_PSE, 120 << PAGE_SHIFT);
		faults_of(0, 0x403000, false);
		faults_of(0, 0x603000, false);
		sm_store(&m, entry, to(where[i], (OPEN | 0x80) & ~4ull), 4);
		sm_guest_invlpg(&m, &m.vcpu[0], 0x405000);
		assert_int_equal(read_by(0, 0x603000), SM_REFLECTED);
		assert_int_equal(read_by(0, 0x403000), SM_REFLECTED);
	}
}

/* Bits above the address are reserved in PAE, in an entry that points to a table as well. */
static void test_reserved_bit_of_pae_table(void **state)
{
	sm_store(&m, 121 << PAGE_SHIFT, to(122, 1), 8);
	sm_store(&m, 122 << PAGE_SHIFT, to(TABLE(1), OPEN), 8);
	legacy_paging(X86_CR4_PAE, 121 << PAGE_SHIFT);
	faults_of(0, GVA, true);
	sm_store(&m, 122 << PAGE_SHIFT, to(TABLE(1), OPEN) | 1ull << 52, 8);
	sm_guest_invlpg(&m, &m.vcpu[0], GVA);
	assert_int_equal(read_by(0, GVA), SM_REFLECTED);
	assert_int_equal(m.vcpu[0].mmu.fault.exception_error, 0xd);
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

/* … until they can be: what is writable for want of them is made again. */
static void test_rom_becomes_ram(void **state)
{
	const gfn_t rom = 130;
	struct sm_slot *slot = sm_slot_of(&m, rom);

	put(rom, 0, to(PAGE_A, OPEN & ~0x40ull));
	put(TABLE(2), 1, to(rom, OPEN));
	put(TABLE(1), 3, to(rom, OPEN));
	assert_int_equal(write_by(0, 0x200000), SM_DONE);
	slot->readonly = false;
	mmu_unmap_gfns(&m.vm, slot->start, slot->end);
	faults_of(0, 0x3000, true);		/* P2M knows it */
	put(rom, 0, to(PAGE_A, OPEN & ~0x40ull));
	sm_guest_flush(&m, &m.vcpu[0], MMU_LOAD_ALL);
	faults_of(0, 0x200000, true);
	assert_int_equal(entry_at(rom, 0), to(PAGE_A, OPEN));
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

/* … or gets the right to write it when it rests already. */
static void test_right_to_write_table_at_rest(void **state)
{
	struct sm_access x = { .gva = 0xc00000, .a.write = true, .value = 0, .size = 8 };

	put(TABLE(2), 6, to(118, OPEN));
	put(118, 0, to(TABLE(1), OPEN & ~2ull));
	rest();
	faults_of(0, x.gva, false);
	put(118, 0, to(TABLE(1), OPEN));
	sm_guest_invlpg(&m, &m.vcpu[0], x.gva);
	sm_audit(&m);
	assert_int_equal(sm_access(&m, &m.vcpu[0], &x), SM_DONE);
	load_cr3(0, ROOT);
	assert_int_equal(read_by(0, GVA), SM_REFLECTED);
}

static void test_device_writes_table_at_rest(void **state)
{
	rest();
	sm_store(&m, TABLE(1) << PAGE_SHIFT, 0, 8);
	mmu_devices_ran(&m.vm);
	load_cr3(0, ROOT);
	assert_int_equal(read_by(0, GVA), SM_REFLECTED);
}

/*
 * One vCPU's flush removed an entry that another one's TLB still has as written: when a log starts, nothing in the
 * tables says so, and what is written by that TLB must be in the log all the same.
 */
static void test_log_after_flush_by_another(void **state)
{
	struct sm_slot *slot = sm_slot_of(&m, PAGE_A);
	unsigned long taken[SM_SMALL / BITS_PER_LONG], *live = m.live[slot - m.slot];
	int way, i;

	for (way = 0; way < 4; way++) {
		for (i = 0; i < 8; i++)
			put(TABLE(1), i, to(PAGE_A + i, OPEN));
		sm_guest_flush(&m, &m.vcpu[1], MMU_LOAD_ALL);
		faults_of(1, GVA, false);
		faults_of(1, GVA, true);
		for (i = 0; i < 8; i++)
			put(TABLE(1), i, 0);
		if (way & 1)
			load_cr3(0, ROOT);
		else
			sm_guest_invlpg(&m, &m.vcpu[0], GVA);
		slot->log = true;
		mmu_dirty_log_start(&m.vm, slot->start, slot->end);
		if (write_by(1, GVA) == SM_DONE) {
			mmu_dirty_take(&m.vm, slot->start, slot->end, live, taken);
			assert_true(test_bit(PAGE_A - slot->start, taken));
		}
		mmu_dirty_log_stop(&m.vm, slot->start, slot->end);
		slot->log = false;
	}
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

/* … and what its tables are compared with before they rest is made for whom they are, not for who compares. */
static void test_unlike_vcpu_rests(void **state)
{
	m.vcpu[1].paging.maxphyaddr = 30;
	sm_guest_flush(&m, &m.vcpu[1], MMU_LOAD_ALL);
	put(TABLE(1), 40, to(PAGE_A, OPEN));
	put(TABLE(1), 41, to(SM_GIANT, OPEN));
	faults_of(0, 41 << PAGE_SHIFT, false);
	faults_of(1, 40 << PAGE_SHIFT, false);
	put(TABLE(1), 40, to(SM_GIANT, OPEN));		/* which has a reserved bit to vCPU 1 */
	rest();
	sm_guest_flush(&m, &m.vcpu[1], MMU_LOAD_ALL);
	assert_int_equal(read_by(1, 40 << PAGE_SHIFT), SM_REFLECTED);
	assert_int_equal(m.vcpu[1].mmu.fault.exception_error, 0xd);
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

#define SETS	20000

static unsigned int sets;

/* A processor that writes the page again as soon as its dirty bit was taken, or some time later. */
static void *sets_dirty(void *arg)
{
	u64 *slot = arg, rng = 1;
	unsigned int i, wait;

	for (i = 0; i < SETS; i++) {
		while (READ_ONCE(*slot) & PT_DIRTY)
			sched_yield();
		for (wait = random_word(&rng) >> 55; wait; wait--)
			cpu_relax();
		__atomic_fetch_or(slot, PT_DIRTY, __ATOMIC_SEQ_CST);
		WRITE_ONCE(sets, i + 1);
	}
	return NULL;
}

static bool take_dirty(void)
{
	bool dirty;

	read_lock(&m.vm.lock);
	dirty = mmu_shadow_test_bits(&m.vm, PAGE_A, 1, PT_DIRTY, true);
	read_unlock(&m.vm.lock);
	return dirty;
}

/* A dirty bit that the processor sets while the dirty log takes it is either told of or still there. */
static void test_dirty_set_meanwhile(void **state)
{
	struct mmu_spage *sp;
	unsigned int taken = 0;
	pthread_t thread;

	faults_of(0, GVA, true);
	sp = mmu_spage_next(m.vm.shadow, TABLE(1), NULL);
	take_dirty();
	assert_int_equal(pthread_create(&thread, NULL, sets_dirty, &sp->entries[0]), 0);
	/* One that was lost would let it go on without having been told of. */
	while (READ_ONCE(sets) < SETS)
		taken += take_dirty();
	pthread_join(thread, NULL);
	taken += take_dirty();
	assert_int_equal(taken, SETS);
}

/* mmu_shadow [PATTERN]: the tests whose name it matches, e.g. 'test_root*'. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(hidden_fault), TEST(reflected), TEST(accessed_and_dirty),
		TEST(absent_needs_no_flush), TEST(invlpg), TEST(cr3), TEST(roots_are_kept),
		TEST(invlpg_of_large_page), TEST(invlpg_of_4m_page), TEST(reserved_bit_of_pae_table),
		TEST(without_wp), TEST(without_wp_then_smap), TEST(split_page_not_dirty_again),
		TEST(split_page_in_rom), TEST(rom_becomes_ram), TEST(write_to_table_at_rest),
		TEST(write_to_table_at_rest_from_tlb), TEST(right_to_write_table_at_rest),
		TEST(device_writes_table_at_rest), TEST(log_after_flush_by_another),
		TEST(no_slot), TEST(host_error), TEST(switch), TEST(switch_twice),
		TEST(keys_and_reserved_bits), TEST(table_at_rest_goes),
		TEST(unlike_vcpu_rests), TEST(torn), TEST(plan),
		TEST(plan_without_table_at_rest), TEST(dirty_set_meanwhile),
	};

	begin_suite(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
