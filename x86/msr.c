// SPDX-License-Identifier: GPL-2.0
/*
 * Model specific registers: the table of those a guest may touch, and the rules
 * for the values of those whose rules need nothing but the value.
 */
#include "x86/msr.h"

#define REG(first, nr, class)		{ first, nr, class, 0 }
#define VALUE(index, class, value)	{ index, 1, class, value }

/*
 * Ascending by number, ranges do not overlap (tests check it). Registers of other
 * vendors and models are here because firmware and kernels read them before
 * they look where they run.
 */
static const struct x86_msr msrs[] = {
	REG(X86_MSR_P5_MC_ADDR, 2, X86_MSR_CONST_RO),
	REG(X86_MSR_TSC, 1, X86_MSR_STATE),
	REG(X86_MSR_PV_WALL_CLOCK_OLD, 2, X86_MSR_STATE),
	REG(X86_MSR_PLATFORM_ID, 1, X86_MSR_CONST_RO),
	REG(X86_MSR_APIC_BASE, 1, X86_MSR_STATE),
	REG(X86_MSR_EBL_CR_POWERON, 1, X86_MSR_CONST_RO),
	VALUE(X86_MSR_EBC_FREQUENCY_ID, X86_MSR_CONST_RO, 1 << 24),
	REG(X86_MSR_TSC_ADJUST, 1, X86_MSR_STATE),
	REG(X86_MSR_SPEC_CTRL, 2, X86_MSR_STATE),
	REG(X86_MSR_UCODE_WRITE, 1, X86_MSR_WRITE_IGNORED),
	REG(X86_MSR_UCODE_REV, 1, X86_MSR_STATE),
	REG(X86_MSR_P6_PERFCTR0, 2, X86_MSR_CONST),
	VALUE(X86_MSR_FSB_FREQ, X86_MSR_CONST_RO, 3),
	REG(X86_MSR_PLATFORM_INFO, 1, X86_MSR_STATE),
	VALUE(X86_MSR_MTRR_CAP, X86_MSR_CONST_RO, X86_MTRR_CAP_VALUE),
	REG(X86_MSR_ARCH_CAPABILITIES, 1, X86_MSR_STATE),
	REG(X86_MSR_FLUSH_CMD, 1, X86_MSR_STATE),
	VALUE(X86_MSR_BBL_CR_CTL3, X86_MSR_CONST, 0xbe702111),
	REG(X86_MSR_MISC_FEATURES, 1, X86_MSR_ZERO),
	REG(X86_MSR_SYSENTER_CS, 3, X86_MSR_HARDWARE),
	REG(X86_MSR_MCG_CAP, 3, X86_MSR_STATE),
	REG(X86_MSR_P6_EVNTSEL0, 2, X86_MSR_CONST),
	VALUE(X86_MSR_PERF_STATUS, X86_MSR_CONST_RO, 1000 | 4ULL << 40),
	REG(X86_MSR_PERF_CTL, 1, X86_MSR_CONST_RO),
	REG(X86_MSR_MISC_ENABLE, 1, X86_MSR_STATE),
	REG(X86_MSR_DEBUGCTL, 1, X86_MSR_STATE),
	REG(X86_MSR_LAST_BRANCH_FROM, 4, X86_MSR_CONST_RO),
	REG(X86_MSR_POWER_CTL, 1, X86_MSR_STATE),
	REG(X86_MSR_MTRR_VAR0, 2 * X86_NR_MTRR_VAR, X86_MSR_STATE),
	REG(X86_MSR_MTRR_FIX64K, 1, X86_MSR_STATE),
	REG(X86_MSR_MTRR_FIX16K, 2, X86_MSR_STATE),
	REG(X86_MSR_MTRR_FIX4K, 8, X86_MSR_STATE),
	REG(X86_MSR_PAT, 1, X86_MSR_STATE),
	REG(X86_MSR_MTRR_DEF_TYPE, 1, X86_MSR_STATE),
	REG(X86_MSR_PERF_CAPABILITIES, 1, X86_MSR_STATE),
	REG(X86_MSR_MC0_CTL, 4 * 32, X86_MSR_STATE),
	REG(X86_MSR_RAPL_POWER_UNIT, 1, X86_MSR_CONST_RO),
	REG(X86_MSR_PKG_ENERGY, 1, X86_MSR_CONST_RO),
	REG(X86_MSR_DRAM_ENERGY, 1, X86_MSR_CONST_RO),
	REG(X86_MSR_PP0_ENERGY, 1, X86_MSR_CONST_RO),
	REG(X86_MSR_PP1_ENERGY, 1, X86_MSR_CONST_RO),
	REG(X86_MSR_TSC_DEADLINE, 1, X86_MSR_CONST),
	REG(X86_MSR_XSS, 1, X86_MSR_STATE),
	REG(X86_MSR_PV_WALL_CLOCK, 2, X86_MSR_STATE),
	REG(X86_MSR_EFER, 1, X86_MSR_STATE),
	REG(X86_MSR_STAR, 4, X86_MSR_HARDWARE),
	REG(X86_MSR_FS_BASE, 3, X86_MSR_HARDWARE),
	REG(X86_MSR_TSC_AUX, 1, X86_MSR_STATE),
	REG(X86_MSR_K7_EVNTSEL0, 8, X86_MSR_CONST),
	REG(X86_MSR_SYSCFG, 1, X86_MSR_CONST_RO),
	REG(X86_MSR_HWCR, 1, X86_MSR_STATE),
	VALUE(X86_MSR_K7_CLK_CTL, X86_MSR_CONST, 0x20000000),
	REG(X86_MSR_NB_CFG, 1, X86_MSR_CONST),
	REG(X86_MSR_PATCH_LOADER, 1, X86_MSR_WRITE_IGNORED),
	REG(X86_MSR_K8_INT_PENDING, 1, X86_MSR_CONST_RO),
	REG(X86_MSR_MMIO_CONF_BASE, 1, X86_MSR_ZERO),
	REG(X86_MSR_TSEG_ADDR, 2, X86_MSR_CONST_RO),
	REG(X86_MSR_VM_CR, 1, X86_MSR_ZERO),
	REG(X86_MSR_IGNNE, 1, X86_MSR_WRITE_IGNORED),
	REG(X86_MSR_VM_HSAVE_PA, 1, X86_MSR_CONST),
	REG(X86_MSR_OSVW_LENGTH, 2, X86_MSR_STATE),
	REG(X86_MSR_IC_CFG, 1, X86_MSR_CONST_RO),
	REG(X86_MSR_DC_CFG, 1, X86_MSR_CONST),
	REG(X86_MSR_BU_CFG, 1, X86_MSR_CONST),
	REG(X86_MSR_DE_CFG, 1, X86_MSR_STATE),
	REG(X86_MSR_BU_CFG2, 1, X86_MSR_CONST),
	REG(X86_MSR_EX_CFG, 1, X86_MSR_CONST),
};

const struct x86_msr *x86_msr_find(u32 index)
{
	static const struct x86_msr unknown = { .class = X86_MSR_UNKNOWN };
	unsigned int low = 0, high = ARRAY_SIZE(msrs);

	while (low < high) {
		unsigned int mid = (low + high) / 2;
		const struct x86_msr *m = &msrs[mid];

		if (index < m->first)
			high = mid;
		else if (index - m->first >= m->nr)
			low = mid + 1;
		else
			return m;
	}
	return &unknown;
}

const u32 x86_msr_saved[] = {
	X86_MSR_SYSENTER_CS, X86_MSR_SYSENTER_ESP, X86_MSR_SYSENTER_EIP,
	X86_MSR_STAR, X86_MSR_LSTAR, X86_MSR_CSTAR, X86_MSR_SFMASK,
	X86_MSR_KERNEL_GS_BASE, X86_MSR_TSC, X86_MSR_PAT,
	X86_MSR_TSC_AUX, X86_MSR_SPEC_CTRL,
	X86_MSR_PV_WALL_CLOCK_OLD, X86_MSR_PV_SYSTEM_TIME_OLD,
	X86_MSR_PV_WALL_CLOCK, X86_MSR_PV_SYSTEM_TIME,
	X86_MSR_TSC_ADJUST, X86_MSR_ARCH_CAPABILITIES, X86_MSR_MISC_ENABLE,
	X86_MSR_MCG_STATUS, X86_MSR_MCG_CTL, X86_MSR_PLATFORM_INFO,
	X86_MSR_POWER_CTL, X86_MSR_UCODE_REV, X86_MSR_HWCR,
};
const unsigned int x86_nr_msr_saved = ARRAY_SIZE(x86_msr_saved);

const u32 x86_msr_features[] = {
	X86_MSR_DE_CFG, X86_MSR_UCODE_REV, X86_MSR_ARCH_CAPABILITIES,
	X86_MSR_PERF_CAPABILITIES,
};
const unsigned int x86_nr_msr_features = ARRAY_SIZE(x86_msr_features);

bool x86_mtrr_type_is_valid(u8 type)
{
	return type < 8 && (BIT(type) & 0x73);
}

bool x86_pat_is_valid(u64 value)
{
	int i;

	for (i = 0; i < 8; i++, value >>= 8)
		if ((value & 0xff) > 7 || !(BIT(value & 7) & 0xf3))
			return false;
	return true;
}

int x86_mtrr_fixed_index(u32 index)
{
	if (index == X86_MSR_MTRR_FIX64K)
		return 0;
	if (index - X86_MSR_MTRR_FIX16K < 2)
		return 1 + index - X86_MSR_MTRR_FIX16K;
	if (index - X86_MSR_MTRR_FIX4K < 8)
		return 3 + index - X86_MSR_MTRR_FIX4K;
	return -1;
}

bool x86_mtrr_is_valid(u32 index, u64 value, u8 maxphyaddr)
{
	u64 reserved = maxphyaddr < 64 ? ~0ULL << maxphyaddr : 0;
	int i;

	if (index == X86_MSR_MTRR_DEF_TYPE)
		return !(value & ~0xcffULL) && x86_mtrr_type_is_valid(value);
	if (x86_mtrr_fixed_index(index) >= 0) {
		for (i = 0; i < 8; i++, value >>= 8)
			if (!x86_mtrr_type_is_valid(value))
				return false;
		return true;
	}
	if (index - X86_MSR_MTRR_VAR0 >= 2 * X86_NR_MTRR_VAR)
		return false;
	if (index & 1)		/* mask: bit 11 is its valid bit */
		return !(value & (reserved | 0x7ff));
	return !(value & (reserved | 0xf00)) && x86_mtrr_type_is_valid(value);
}
