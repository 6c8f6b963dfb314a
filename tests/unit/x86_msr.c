// SPDX-License-Identifier: GPL-2.0
/* The MSR table and the rules for values that need nothing but the value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "x86/msr.h"

static const struct { u32 first, last; } ranges[] = {
	{ 0, 0x2100 }, { 0x4b564c00, 0x4b564f00 },
	{ 0xbfffff00, 0xc0002100 }, { 0xc000ff00, 0xc0012100 }, { 0xffffff00, 0xfffffffe },
};

/* The search finds an entry exactly for what is in its range, and ranges ascend. */
static void test_table(void **state)
{
	const struct x86_msr *last = NULL;
	unsigned int r, known = 0;
	u32 i;

	for (r = 0; r < ARRAY_SIZE(ranges); r++) {
		for (i = ranges[r].first; i <= ranges[r].last; i++) {
			const struct x86_msr *m = x86_msr_find(i);

			assert_non_null(m);
			if (m->class == X86_MSR_UNKNOWN)
				continue;
			known++;
			assert_true(i >= m->first && i - m->first < m->nr);
			if (last && m != last)
				assert_true(last->first + last->nr <= m->first);
			last = m;
			if (m->value)
				assert_true(m->class == X86_MSR_CONST || m->class == X86_MSR_CONST_RO);
		}
	}
	assert_true(known > 200);
}

/* Every entry is reached: the search would miss one that is out of order. */
static void test_reached(void **state)
{
	static const u32 some[] = {
		X86_MSR_P5_MC_ADDR, X86_MSR_P5_MC_TYPE, X86_MSR_TSC, X86_MSR_PV_WALL_CLOCK_OLD,
		X86_MSR_PV_SYSTEM_TIME_OLD, X86_MSR_PLATFORM_ID, X86_MSR_APIC_BASE,
		X86_MSR_EBL_CR_POWERON, X86_MSR_EBC_FREQUENCY_ID, X86_MSR_TSC_ADJUST,
		X86_MSR_SPEC_CTRL, X86_MSR_PRED_CMD, X86_MSR_UCODE_WRITE, X86_MSR_UCODE_REV,
		X86_MSR_P6_PERFCTR0, X86_MSR_FSB_FREQ, X86_MSR_PLATFORM_INFO, X86_MSR_MTRR_CAP,
		X86_MSR_ARCH_CAPABILITIES, X86_MSR_FLUSH_CMD, X86_MSR_BBL_CR_CTL3,
		X86_MSR_MISC_FEATURES, X86_MSR_SYSENTER_CS, X86_MSR_SYSENTER_EIP, X86_MSR_MCG_CAP,
		X86_MSR_MCG_STATUS, X86_MSR_MCG_CTL, X86_MSR_P6_EVNTSEL0, X86_MSR_PERF_STATUS,
		X86_MSR_PERF_CTL, X86_MSR_MISC_ENABLE, X86_MSR_DEBUGCTL, X86_MSR_LAST_BRANCH_FROM,
		X86_MSR_LAST_INT_TO, X86_MSR_POWER_CTL, X86_MSR_MTRR_VAR0, X86_MSR_MTRR_VAR0 + 15,
		X86_MSR_MTRR_FIX64K, X86_MSR_MTRR_FIX16K + 1, X86_MSR_MTRR_FIX4K + 7, X86_MSR_PAT,
		X86_MSR_MTRR_DEF_TYPE, X86_MSR_PERF_CAPABILITIES, X86_MSR_MC0_CTL,
		X86_MSR_MC0_CTL + 127, X86_MSR_RAPL_POWER_UNIT, X86_MSR_PP1_ENERGY,
		X86_MSR_TSC_DEADLINE, X86_MSR_XSS, X86_MSR_PV_WALL_CLOCK, X86_MSR_PV_SYSTEM_TIME,
		X86_MSR_EFER, X86_MSR_STAR, X86_MSR_LSTAR, X86_MSR_CSTAR, X86_MSR_SFMASK,
		X86_MSR_FS_BASE, X86_MSR_GS_BASE, X86_MSR_KERNEL_GS_BASE, X86_MSR_TSC_AUX,
		X86_MSR_K7_EVNTSEL0, X86_MSR_K7_PERFCTR0 + 3, X86_MSR_SYSCFG, X86_MSR_HWCR,
		X86_MSR_K7_CLK_CTL, X86_MSR_NB_CFG, X86_MSR_PATCH_LOADER, X86_MSR_K8_INT_PENDING,
		X86_MSR_MMIO_CONF_BASE, X86_MSR_TSEG_ADDR, X86_MSR_TSEG_MASK, X86_MSR_VM_CR,
		X86_MSR_IGNNE, X86_MSR_VM_HSAVE_PA, X86_MSR_OSVW_LENGTH, X86_MSR_OSVW_STATUS,
		X86_MSR_IC_CFG, X86_MSR_DC_CFG, X86_MSR_BU_CFG, X86_MSR_DE_CFG, X86_MSR_BU_CFG2,
		X86_MSR_EX_CFG,
	};
	static const u32 none[] = {
		2, 0x13, 0x3c, 0x4a, 0x210, 0x24f, 0x251, 0x25a, 0x267, 0x270, 0x300, 0x3ff, 0x480,
		0x800, 0x4b564cff, 0x4b564d02, 0x40000000, 0xc0000085, 0xc0000104, 0xc0010008,
		0xc0010200, 0x12345678, 0xffffffff,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(some); i++)
		if (x86_msr_find(some[i])->class == X86_MSR_UNKNOWN)
			fail_msg("%#x is not found", some[i]);
	for (i = 0; i < ARRAY_SIZE(none); i++)
		if (x86_msr_find(none[i])->class != X86_MSR_UNKNOWN)
			fail_msg("%#x is found", none[i]);
}

static void test_lists(void **state)
{
	unsigned int i, j;

	for (i = 0; i < x86_nr_msr_saved; i++) {
		u8 class = x86_msr_find(x86_msr_saved[i])->class;

		/* Saving what has no state of its own would be for nothing. */
		assert_true(class == X86_MSR_HARDWARE || class == X86_MSR_STATE);
		for (j = 0; j < i; j++)
			assert_int_not_equal(x86_msr_saved[i], x86_msr_saved[j]);
	}
	for (i = 0; i < x86_nr_msr_features; i++)
		assert_int_equal(x86_msr_find(x86_msr_features[i])->class, X86_MSR_STATE);
}

static void test_canonical(void **state)
{
	assert_true(x86_is_canonical(0, 48));
	assert_true(x86_is_canonical(0x00007fffffffffff, 48));
	assert_false(x86_is_canonical(0x0000800000000000, 48));
	assert_true(x86_is_canonical(0x0000800000000000, 57));
	assert_false(x86_is_canonical(0xffff7fffffffffff, 48));
	assert_true(x86_is_canonical(0xffff800000000000, 48));
	assert_true(x86_is_canonical(0xff00000000000000, 57));
	assert_false(x86_is_canonical(0x0100000000000000, 57));
	assert_true(x86_is_canonical(~0ull, 48));
}

static void test_pat(void **state)
{
	unsigned int byte, type;

	for (byte = 0; byte < 8; byte++) {
		for (type = 0; type < 256; type++) {
			u64 v = (X86_PAT_RESET & ~(0xffull << (8 * byte))) | (u64)type << (8 * byte);
			bool ok = type == 0 || type == 1 || (type >= 4 && type <= 7);

			assert_int_equal(x86_pat_is_valid(v), ok);
		}
	}
	assert_true(x86_pat_is_valid(X86_PAT_RESET));
}

static void test_mtrr(void **state)
{
	unsigned int type, i, seen = 0;
	u32 index;

	for (type = 0; type < 256; type++) {
		bool ok = type == 0 || type == 1 || (type >= 4 && type <= 6);

		assert_int_equal(x86_mtrr_type_is_valid(type), ok);
		assert_int_equal(x86_mtrr_is_valid(X86_MSR_MTRR_DEF_TYPE, 0xc00 | type, 40), ok);
		assert_int_equal(x86_mtrr_is_valid(X86_MSR_MTRR_VAR0, 0x80000000 | type, 40), ok);
		assert_int_equal(x86_mtrr_is_valid(X86_MSR_MTRR_FIX4K, (u64)type << 56, 40), ok);
	}
	assert_false(x86_mtrr_is_valid(X86_MSR_MTRR_DEF_TYPE, 0x100, 40));
	assert_false(x86_mtrr_is_valid(X86_MSR_MTRR_DEF_TYPE, 1ull << 32, 40));
	assert_false(x86_mtrr_is_valid(X86_MSR_MTRR_VAR0, 1ull << 40, 40));
	assert_true(x86_mtrr_is_valid(X86_MSR_MTRR_VAR0, 1ull << 39, 40));
	assert_false(x86_mtrr_is_valid(X86_MSR_MTRR_VAR0, 0x100, 40));
	assert_true(x86_mtrr_is_valid(X86_MSR_MTRR_VAR0 + 15, 0xffffc00800, 40));
	assert_false(x86_mtrr_is_valid(X86_MSR_MTRR_VAR0 + 15, 0xffffc00800, 39));
	assert_false(x86_mtrr_is_valid(X86_MSR_MTRR_VAR0 + 15, 0x400, 40));
	assert_true(x86_mtrr_is_valid(X86_MSR_MTRR_VAR0 + 1, 0xfffffffffff00800 & ~0x7ffull, 64));
	assert_false(x86_mtrr_is_valid(X86_MSR_PAT, 0, 40));
	assert_false(x86_mtrr_is_valid(X86_MSR_MTRR_VAR0 + 16, 0, 40));
	for (index = 0x240; index < 0x280; index++) {
		int f = x86_mtrr_fixed_index(index);

		if (f < 0)
			continue;
		assert_true(f < 11);
		assert_int_equal(seen & (1u << f), 0);
		seen |= 1u << f;
	}
	assert_int_equal(seen, (1u << 11) - 1);
	for (i = 0; i < 11; i++)
		assert_true(x86_mtrr_fixed_index(i) < 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_reached),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_pat),
		cmocka_unit_test(test_mtrr),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("x86_msr", tests, NULL, NULL);
}
