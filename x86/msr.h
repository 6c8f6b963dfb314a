/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Model specific registers a guest may have: their numbers, who keeps each, and
 * the rules that say which values are legal.
 *
 * Names carry X86_MSR_ because the kernel's own MSR_* are in scope where this
 * header is included. AMD APM vol. 2, appendix A; Intel SDM vol. 4.
 */
#ifndef PN_X86_MSR_H
#define PN_X86_MSR_H

#include "kapi.h"

/* Architectural */
#define X86_MSR_P5_MC_ADDR		0x00000000
#define X86_MSR_P5_MC_TYPE		0x00000001
#define X86_MSR_TSC			0x00000010
#define X86_MSR_PLATFORM_ID		0x00000017
#define X86_MSR_APIC_BASE		0x0000001b
#define X86_MSR_EBL_CR_POWERON		0x0000002a
#define X86_MSR_EBC_FREQUENCY_ID	0x0000002c
#define X86_MSR_FEATURE_CONTROL		0x0000003a
#define X86_MSR_TSC_ADJUST		0x0000003b
#define X86_MSR_SPEC_CTRL		0x00000048
#define X86_MSR_PRED_CMD		0x00000049
#define X86_MSR_UCODE_WRITE		0x00000079
#define X86_MSR_UCODE_REV		0x0000008b
#define X86_MSR_SMBASE			0x0000009e
#define X86_MSR_P6_PERFCTR0		0x000000c1
#define X86_MSR_FSB_FREQ		0x000000cd
#define X86_MSR_PLATFORM_INFO		0x000000ce
#define X86_MSR_MPERF			0x000000e7
#define X86_MSR_APERF			0x000000e8
#define X86_MSR_MTRR_CAP		0x000000fe
#define X86_MSR_ARCH_CAPABILITIES	0x0000010a
#define X86_MSR_FLUSH_CMD		0x0000010b
#define X86_MSR_BBL_CR_CTL3		0x0000011e
#define X86_MSR_MISC_FEATURES		0x00000140
#define X86_MSR_SYSENTER_CS		0x00000174
#define X86_MSR_SYSENTER_ESP		0x00000175
#define X86_MSR_SYSENTER_EIP		0x00000176
#define X86_MSR_MCG_CAP			0x00000179
#define X86_MSR_MCG_STATUS		0x0000017a
#define X86_MSR_MCG_CTL			0x0000017b
#define X86_MSR_P6_EVNTSEL0		0x00000186
#define X86_MSR_PERF_STATUS		0x00000198
#define X86_MSR_PERF_CTL		0x00000199
#define X86_MSR_MISC_ENABLE		0x000001a0
#define X86_MSR_DEBUGCTL		0x000001d9
#define X86_MSR_LAST_BRANCH_FROM	0x000001db
#define X86_MSR_LAST_BRANCH_TO		0x000001dc
#define X86_MSR_LAST_INT_FROM		0x000001dd
#define X86_MSR_LAST_INT_TO		0x000001de
#define X86_MSR_POWER_CTL		0x000001fc
#define X86_MSR_MTRR_VAR0		0x00000200	/* base, mask, base, ... */
#define X86_MSR_MTRR_FIX64K		0x00000250
#define X86_MSR_MTRR_FIX16K		0x00000258	/* two */
#define X86_MSR_MTRR_FIX4K		0x00000268	/* eight */
#define X86_MSR_PAT			0x00000277
#define X86_MSR_MTRR_DEF_TYPE		0x000002ff
#define X86_MSR_PERF_CAPABILITIES	0x00000345
#define X86_MSR_MC0_CTL			0x00000400	/* control, status, address, misc; four a bank */
#define X86_MSR_RAPL_POWER_UNIT		0x00000606
#define X86_MSR_PKG_ENERGY		0x00000611
#define X86_MSR_DRAM_ENERGY		0x00000619
#define X86_MSR_PP0_ENERGY		0x00000639
#define X86_MSR_PP1_ENERGY		0x00000641
#define X86_MSR_TSC_DEADLINE		0x000006e0
#define X86_MSR_XSS			0x00000da0

/* kvmclock, as guests' drivers know it */
#define X86_MSR_PV_WALL_CLOCK_OLD	0x00000011
#define X86_MSR_PV_SYSTEM_TIME_OLD	0x00000012
#define X86_MSR_PV_WALL_CLOCK		0x4b564d00
#define X86_MSR_PV_SYSTEM_TIME		0x4b564d01

/* AMD64 */
#define X86_MSR_EFER			0xc0000080
#define X86_MSR_STAR			0xc0000081
#define X86_MSR_LSTAR			0xc0000082
#define X86_MSR_CSTAR			0xc0000083
#define X86_MSR_SFMASK			0xc0000084
#define X86_MSR_FS_BASE			0xc0000100
#define X86_MSR_GS_BASE			0xc0000101
#define X86_MSR_KERNEL_GS_BASE		0xc0000102
#define X86_MSR_TSC_AUX			0xc0000103
#define X86_MSR_K7_EVNTSEL0		0xc0010000	/* four */
#define X86_MSR_K7_PERFCTR0		0xc0010004	/* four */
#define X86_MSR_SYSCFG			0xc0010010
#define X86_MSR_HWCR			0xc0010015
#define X86_MSR_K7_CLK_CTL		0xc001001b
#define X86_MSR_NB_CFG			0xc001001f
#define X86_MSR_PATCH_LOADER		0xc0010020
#define X86_MSR_K8_INT_PENDING		0xc0010055
#define X86_MSR_MMIO_CONF_BASE		0xc0010058
#define X86_MSR_TSEG_ADDR		0xc0010112
#define X86_MSR_TSEG_MASK		0xc0010113
#define X86_MSR_VM_CR			0xc0010114
#define X86_MSR_IGNNE			0xc0010115
#define X86_MSR_VM_HSAVE_PA		0xc0010117
#define X86_MSR_OSVW_LENGTH		0xc0010140
#define X86_MSR_OSVW_STATUS		0xc0010141
#define X86_MSR_IC_CFG			0xc0011021
#define X86_MSR_DC_CFG			0xc0011022
#define X86_MSR_BU_CFG			0xc0011023
#define X86_MSR_DE_CFG			0xc0011029
#define X86_MSR_BU_CFG2			0xc001102a
#define X86_MSR_EX_CFG			0xc001102c

#define X86_EFER_SCE		BIT_ULL(0)
#define X86_EFER_LME		BIT_ULL(8)
#define X86_EFER_LMA		BIT_ULL(10)
#define X86_EFER_NX		BIT_ULL(11)
#define X86_EFER_SVME		BIT_ULL(12)
#define X86_EFER_FFXSR		BIT_ULL(14)

#define X86_APIC_BASE_BSP	BIT_ULL(8)
#define X86_APIC_BASE_X2APIC	BIT_ULL(10)
#define X86_APIC_BASE_ENABLE	BIT_ULL(11)
#define X86_APIC_BASE_DEFAULT	0xfee00000ULL

#define X86_PAT_RESET		0x0007040600070406ULL
#define X86_NR_MTRR_VAR		8
#define X86_MTRR_CAP_VALUE	(0x500 | X86_NR_MTRR_VAR)	/* fixed ranges, WC, eight variable */

#define X86_MISC_ENABLE_NO_BTS	BIT_ULL(11)
#define X86_MISC_ENABLE_NO_PEBS	BIT_ULL(12)
#define X86_MISC_ENABLE_EMON	BIT_ULL(7)

#define X86_MCG_CTL_P		BIT_ULL(8)
#define X86_MCG_SER_P		BIT_ULL(24)
#define X86_MCG_STATUS_MCIP	BIT_ULL(2)
#define X86_MCI_STATUS_VAL	BIT_ULL(63)
#define X86_MCI_STATUS_OVER	BIT_ULL(62)
#define X86_MCI_STATUS_UC	BIT_ULL(61)

#define X86_HWCR_MC_STATUS_WR	BIT_ULL(18)
#define X86_HWCR_TSC_FREQ_SEL	BIT_ULL(24)
#define X86_HWCR_IGNORED	(BIT_ULL(3) | BIT_ULL(6) | BIT_ULL(8))	/* TlbCacheDis, FFDIS, IGNNE_EM */

#define X86_DE_CFG_LFENCE_SERIALIZE	BIT_ULL(1)

/* Who answers for a register, and how. */
enum x86_msr_class {
	X86_MSR_UNKNOWN,	/* #GP; user space is told where its list stopped */
	X86_MSR_HARDWARE,	/* the vendor part: in the world switch or the VMCB */
	X86_MSR_STATE,		/* a register of the vCPU with rules of its own */
	X86_MSR_CONST,		/* reads x86_msr.value; writes are ignored */
	X86_MSR_CONST_RO,	/* reads x86_msr.value; a write is #GP */
	X86_MSR_ZERO,		/* reads 0; a write of 0 is ignored, of anything else #GP */
	X86_MSR_WRITE_IGNORED,	/* reads are #GP; writes are ignored */
};

struct x86_msr {
	u32 first;
	u16 nr;
	u8 class;		/* enum x86_msr_class */
	u64 value;
};

/* The class of a register. Never NULL: unknown ones have X86_MSR_UNKNOWN. */
const struct x86_msr *x86_msr_find(u32 index);

/*
 * Registers that make up a vCPU's state for saving and restoring it
 * (KVM_GET_MSR_INDEX_LIST), and the ones that describe the host's features
 * (KVM_GET_MSR_FEATURE_INDEX_LIST).
 */
extern const u32 x86_msr_saved[];
extern const unsigned int x86_nr_msr_saved;
extern const u32 x86_msr_features[];
extern const unsigned int x86_nr_msr_features;

/* Is @va canonical with @bits (48 or 57) of virtual address? */
static inline bool x86_is_canonical(u64 va, unsigned int bits)
{
	return (u64)((s64)(va << (64 - bits)) >> (64 - bits)) == va;
}

/* Each byte a memory type that PAT knows: UC WC WT WP WB UC-. APM vol. 2, 7.8.1. */
bool x86_pat_is_valid(u64 value);
bool x86_mtrr_type_is_valid(u8 type);	/* UC WC WT WP WB; 7.7.1 */
/* A value for MTRR @index (variable, fixed or default type); 7.7.2. */
bool x86_mtrr_is_valid(u32 index, u64 value, u8 maxphyaddr);
/* Which of the 11 fixed-range registers, in the order of their numbers; -1: none. */
int x86_mtrr_fixed_index(u32 index);

#endif
