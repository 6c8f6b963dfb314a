// SPDX-License-Identifier: GPL-2.0
/*
 * The table formats: bits of hardware entries, from the manuals.
 */
#include "mmu/table.h"

#define ADDR_MASK	GENMASK_ULL(51, 12)

/*
 * AMD APM vol. 2, 15.25 and 5.3: the long-mode format of the host. Every nested
 * walk is a user access (15.25.5), so the user bit is set everywhere.
 */
#define NPT_P		BIT_ULL(0)
#define NPT_W		BIT_ULL(1)
#define NPT_U		BIT_ULL(2)
#define NPT_A		BIT_ULL(5)
#define NPT_D		BIT_ULL(6)
#define NPT_PS		BIT_ULL(7)

const struct mmu_format mmu_format_npt = {
	.name		= "npt",
	.present	= NPT_P,
	.table		= NPT_P | NPT_W | NPT_U,
	.leaf		= NPT_P | NPT_U,
	.large		= NPT_PS,
	.write		= NPT_W,
	.accessed	= NPT_A,
	.dirty		= NPT_D,
	.addr		= ADDR_MASK,
};

/* Intel SDM vol. 3, 29.3.2 (EPT entries). A leaf says write-back in bits 5:3. */
#define EPT_R		BIT_ULL(0)
#define EPT_W		BIT_ULL(1)
#define EPT_X		BIT_ULL(2)
#define EPT_WB		(6ULL << 3)
#define EPT_PS		BIT_ULL(7)
#define EPT_A		BIT_ULL(8)
#define EPT_D		BIT_ULL(9)

const struct mmu_format mmu_format_ept = {
	.name		= "ept",
	.present	= EPT_R | EPT_W | EPT_X,
	.table		= EPT_R | EPT_W | EPT_X,
	.leaf		= EPT_R | EPT_X | EPT_WB,
	.large		= EPT_PS,
	.write		= EPT_W,
	.accessed	= EPT_A,
	.dirty		= EPT_D,
	.addr		= ADDR_MASK,
};

/* Processors whose IA32_VMX_EPT_VPID_CAP has bit 21 clear. */
const struct mmu_format mmu_format_ept_noad = {
	.name		= "ept_noad",
	.present	= EPT_R | EPT_W | EPT_X,
	.table		= EPT_R | EPT_W | EPT_X,
	.leaf		= EPT_R | EPT_X | EPT_WB,
	.large		= EPT_PS,
	.write		= EPT_W,
	.accessed	= 0,
	.dirty		= EPT_W,
	.addr		= ADDR_MASK,
};
