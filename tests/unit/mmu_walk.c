// SPDX-License-Identifier: GPL-2.0
/* The guest walker: what it reports, and what the model of tests/prop cannot show (memory that fails or changes). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mmu/walk.h"

static u64 memory[8 * 512];
static int lose, reads, read_error, cmpxchg_error;
static bool atomic_seen;

static int read_guest(struct mmu_vcpu *vcpu, gpa_t gpa, void *buf, unsigned int len, unsigned int flags)
{
	reads++;
	atomic_seen = flags & MMU_GUEST_ATOMIC;
	if (read_error)
		return read_error;
	if (gpa + len > sizeof(memory))
		return -EFAULT;
	memcpy(buf, (u8 *)memory + gpa, len);
	return 0;
}

static int cmpxchg_guest(struct mmu_vcpu *vcpu, gpa_t gpa, u64 old, u64 new, unsigned int size,
			 unsigned int flags)
{
	if (cmpxchg_error)
		return cmpxchg_error;
	if (lose) {
		lose--;
		return 1;
	}
	assert_int_equal(size, 8);
	assert_int_equal(memory[gpa / 8], old);
	memory[gpa / 8] = new;
	return 0;
}

static const struct mmu_host_ops host_ops = { .read_guest = read_guest, .cmpxchg_guest = cmpxchg_guest };
static struct mmu_vm vm = { .host = &host_ops };
static struct mmu_vcpu vcpu = { .vm = &vm };
static struct mmu_walk_env env;
static struct mmu_walk w;

#define GVA	0x12345678ull	/* indexes 0, 0, 0x91, 0x145 */

static int setup(void **state)
{
	memset(memory, 0, sizeof(memory));
	memory[1 * 512] = 0x2007;
	memory[2 * 512] = 0x3007;
	memory[3 * 512 + 0x91] = 0x4007;
	memory[4 * 512 + 0x145] = 0xabc000 | 7;
	env = (struct mmu_walk_env){
		.vcpu = &vcpu, .cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP, .cr3 = 0x1000,
		.cr4 = X86_CR4_PAE, .efer = EFER_LME | EFER_LMA | EFER_NX, .maxphyaddr = 40,
	};
	lose = reads = read_error = cmpxchg_error = 0;
	return 0;
}

static void test_facts(void **state)
{
	assert_int_equal(mmu_walk(&w, &env, GVA, MMU_ACC_USER | MMU_ACC_WRITE, 0), MMU_WALK_OK);
	assert_int_equal(w.result, MMU_WALK_OK);
	assert_int_equal(w.gpa, 0xabc678);
	assert_int_equal(w.level, 1);
	assert_int_equal(w.root_level, 4);
	assert_int_equal(w.page_shift, 12);
	assert_true(w.write && w.user && w.exec);
	assert_int_equal(w.table_gpa[3], 0x1000);
	assert_int_equal(w.table_gpa[1], 0x3000 + 0x91 * 8);
	assert_int_equal(w.table_gpa[0], 0x4000 + 0x145 * 8);
	assert_int_equal(w.entry[0], 0xabc007);
	assert_int_equal(reads, 4);
	/* Looking changes nothing. */
	assert_int_equal(memory[1 * 512], 0x2007);
}

static void test_large(void **state)
{
	memory[3 * 512 + 0x91] = 0x80000000 | 1 << 7 | 5;
	assert_int_equal(mmu_walk(&w, &env, GVA, 0, 0), MMU_WALK_OK);
	assert_int_equal(w.gpa, 0x80000000 | (GVA & 0x1fffff));
	assert_int_equal(w.level, 2);
	assert_int_equal(w.page_shift, 21);
	assert_false(w.write);
}

static void test_fault_level(void **state)
{
	memory[3 * 512 + 0x91] = 0;
	assert_int_equal(mmu_walk(&w, &env, GVA, MMU_ACC_USER, 0), MMU_WALK_FAULT);
	assert_int_equal(w.level, 2);
	assert_int_equal(w.error_code, MMU_PF_USER);
}

static void test_accessed_dirty(void **state)
{
	mmu_walk(&w, &env, GVA, 0, MMU_WALK_SET_AD);
	assert_int_equal(memory[1 * 512], 0x2027);
	assert_int_equal(memory[4 * 512 + 0x145], 0xabc027);
	mmu_walk(&w, &env, GVA, MMU_ACC_WRITE, MMU_WALK_SET_AD);
	assert_int_equal(memory[1 * 512], 0x2027);
	assert_int_equal(memory[4 * 512 + 0x145], 0xabc067);
	assert_int_equal(w.entry[0], 0xabc067);
}

static void test_no_ad_when_denied(void **state)
{
	memory[4 * 512 + 0x145] = 0xabc005;
	assert_int_equal(mmu_walk(&w, &env, GVA, MMU_ACC_USER | MMU_ACC_WRITE, MMU_WALK_SET_AD), MMU_WALK_FAULT);
	assert_int_equal(w.error_code, MMU_PF_PRESENT | MMU_PF_WRITE | MMU_PF_USER);
	assert_int_equal(memory[1 * 512], 0x2007);
}

static void test_lost_exchange(void **state)
{
	lose = 3;
	assert_int_equal(mmu_walk(&w, &env, GVA, MMU_ACC_WRITE, MMU_WALK_SET_AD), MMU_WALK_OK);
	assert_int_equal(reads, 16);
	assert_int_equal(memory[4 * 512 + 0x145], 0xabc067);
	setup(state);
	lose = 1000;
	assert_int_equal(mmu_walk(&w, &env, GVA, MMU_ACC_WRITE, MMU_WALK_SET_AD), MMU_WALK_AGAIN);
}

static void test_tables_in_rom(void **state)
{
	cmpxchg_error = -EFAULT;
	assert_int_equal(mmu_walk(&w, &env, GVA, MMU_ACC_WRITE, MMU_WALK_SET_AD), MMU_WALK_OK);
	assert_int_equal(w.gpa, 0xabc678);
}

static void test_atomic(void **state)
{
	mmu_walk(&w, &env, GVA, 0, 0);
	assert_false(atomic_seen);
	mmu_walk(&w, &env, GVA, 0, MMU_WALK_ATOMIC);
	assert_true(atomic_seen);
	read_error = -EAGAIN;
	assert_int_equal(mmu_walk(&w, &env, GVA, 0, MMU_WALK_ATOMIC), MMU_WALK_SLEEP);
	read_error = 0;
	cmpxchg_error = -EAGAIN;
	assert_int_equal(mmu_walk(&w, &env, GVA, 0, MMU_WALK_ATOMIC | MMU_WALK_SET_AD), MMU_WALK_SLEEP);
}

static void test_no_memory(void **state)
{
	memory[2 * 512] = 0x12345007;
	assert_int_equal(mmu_walk(&w, &env, GVA, 0, 0), MMU_WALK_NO_MEMORY);
	assert_int_equal(w.fail_gpa, 0x12345000 + 0x91 * 8);
	assert_int_equal(w.level, 2);
}

static void test_no_check(void **state)
{
	memory[4 * 512 + 0x145] = 0xabc001;
	assert_int_equal(mmu_walk(&w, &env, GVA, MMU_ACC_USER | MMU_ACC_WRITE, MMU_WALK_NO_CHECK), MMU_WALK_OK);
	assert_false(w.write || w.user);
	memory[4 * 512 + 0x145] = 0;
	assert_int_equal(mmu_walk(&w, &env, GVA, 0, MMU_WALK_NO_CHECK), MMU_WALK_FAULT);
}

static void test_cached_pdptrs(void **state)
{
	u64 pdptrs[4] = { 0x3001, 0, 0, 0 };

	env.efer = EFER_NX;
	env.pdptrs = pdptrs;
	memory[1 * 512] = 0;	/* what memory says does not count */
	assert_int_equal(mmu_walk(&w, &env, GVA, MMU_ACC_WRITE, MMU_WALK_SET_AD), MMU_WALK_OK);
	assert_int_equal(w.gpa, 0xabc678);
	assert_int_equal(w.root_level, 3);
	assert_int_equal(pdptrs[0], 0x3001);
	assert_int_equal(mmu_walk(&w, &env, GVA | 1u << 30, 0, 0), MMU_WALK_FAULT);
	assert_int_equal(w.level, 3);
}

static void test_noncanonical(void **state)
{
	assert_int_equal(mmu_walk(&w, &env, 1ull << 47, 0, 0), MMU_WALK_NONCANONICAL);
	env.cr4 |= X86_CR4_LA57;
	assert_int_equal(mmu_walk(&w, &env, 1ull << 47, 0, 0), MMU_WALK_FAULT);
	assert_int_equal(mmu_walk(&w, &env, 1ull << 56, 0, 0), MMU_WALK_NONCANONICAL);
}

static void test_paging_off(void **state)
{
	env.cr0 = X86_CR0_PE;
	assert_int_equal(mmu_walk(&w, &env, 0x1fffff123, MMU_ACC_WRITE | MMU_ACC_USER, MMU_WALK_SET_AD), MMU_WALK_OK);
	assert_int_equal(w.gpa, 0xfffff123);
	assert_int_equal(w.level, 0);
	assert_true(w.write && w.user && w.exec);
	assert_int_equal(reads, 0);
}

#define TEST(f)	cmocka_unit_test_setup(test_##f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(facts), TEST(large), TEST(fault_level), TEST(accessed_dirty),
		TEST(no_ad_when_denied), TEST(lost_exchange), TEST(tables_in_rom), TEST(atomic),
		TEST(no_memory), TEST(no_check), TEST(cached_pdptrs), TEST(noncanonical),
		TEST(paging_off),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
