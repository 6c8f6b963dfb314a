/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's own page tables, walked as its processor would: gva → gpa with
 * the facts an emulator, KVM_TRANSLATE or a shadow fault needs. All paging modes.
 */
#ifndef PENUMBRA_MMU_WALK_H
#define PENUMBRA_MMU_WALK_H

#include "kapi.h"
#include "mmu/mmu.h"

/* The access to check: page-fault error code bits, and one of ours. */
#define MMU_ACC_READ		0
#define MMU_ACC_WRITE		MMU_PF_WRITE
#define MMU_ACC_USER		MMU_PF_USER	/* made at CPL 3 */
#define MMU_ACC_FETCH		MMU_PF_FETCH
#define MMU_ACC_IMPLICIT	BIT_ULL(8)	/* supervisor access whatever the CPL: descriptor tables, TSS */

#define MMU_WALK_SET_AD		BIT(0)	/* set accessed and dirty bits if the access is allowed */
#define MMU_WALK_ATOMIC		BIT(1)	/* must not sleep */
#define MMU_WALK_NO_CHECK	BIT(2)	/* translate only: no permission faults (debugger, KVM_TRANSLATE) */

/* The state of the processor that decides how its tables are read. */
struct mmu_walk_env {
	struct mmu_vcpu *vcpu;		/* whose memory */
	u64 cr0, cr3, cr4, efer;
	u64 rflags;			/* AC, for SMAP */
	u32 pkru;
	u8 maxphyaddr;			/* of the guest's CPUID: bits above are reserved */
	bool pages_1g;			/* of the guest's CPUID */
	bool amd;			/* bit 8 of PML4E and of PDPE without PS is reserved there */
	const u64 *pdptrs;		/* PAE: the four cached entries, or NULL to read them from memory */
};

enum mmu_walk_result {
	MMU_WALK_OK,		/* gpa and what follows it hold */
	MMU_WALK_FAULT,		/* #PF with error_code; level says which entry */
	MMU_WALK_NONCANONICAL,	/* #GP or #SS: the caller knows which */
	MMU_WALK_NO_MEMORY,	/* a table (fail_gpa) is not in RAM */
	MMU_WALK_SLEEP,		/* only with MMU_WALK_ATOMIC: walk again without it */
	MMU_WALK_AGAIN,		/* other processors keep changing the tables: run the guest again */
};

struct mmu_walk {
	gpa_t gpa;		/* the byte of gva */
	u8 result;		/* enum mmu_walk_result */
	u8 level;		/* of the last entry used: 1 = 4 KiB, 2 = 2 or 4 MiB, 3 = 1 GiB; 0 = paging off */
	u8 root_level;		/* 0 = paging off; levels above 'level' were walked */
	u8 page_shift;		/* of the page: 12, 21, 22, 30 bits; paging off: 12 */
	bool write, user, exec;	/* all levels together, before CR0.WP, SMEP, SMAP and keys */
	bool accessed;		/* was set at all levels */
	u16 error_code;		/* of MMU_WALK_FAULT */
	gpa_t fail_gpa;		/* of MMU_WALK_NO_MEMORY */
	gpa_t table_gpa[MMU_LEVELS_MAX];	/* [level - 1]: address of the entry used */
	u64 entry[MMU_LEVELS_MAX];	/* [level - 1]: its value (A/D as found or as set) */
};

/* Bits that must be zero in a leaf of level 1 or 2, paging on. */
u64 mmu_leaf_reserved(const struct mmu_walk_env *env, int level);

/* Returns out->result. Sleeps unless MMU_WALK_ATOMIC. No lock of the MMU is held or taken. */
enum mmu_walk_result mmu_walk(struct mmu_walk *out, const struct mmu_walk_env *env,
			      gva_t gva, u64 access, unsigned int flags);

#endif
