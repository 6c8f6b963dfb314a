/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What CPUID may say to a guest: tables of the feature bits the project can
 * honour, the list of leaves made from them and the host's own, and the layout
 * of the extended state area.
 *
 *     host CPUID ──and──► table "offered" ──or──► table "forced" ──► a guest's
 *
 * A bit is in a table only when everything behind it works: the instruction
 * runs in a guest, its MSRs are answered, its state is switched.
 */
#ifndef PN_X86_CPUID_H
#define PN_X86_CPUID_H

#include "kapi.h"

struct x86_cpuid_regs {
	u32 eax, ebx, ecx, edx;
};

/* Registers of CPUID that hold features. */
enum x86_cpuid_word {
	X86_CPUID_1_ECX,
	X86_CPUID_1_EDX,
	X86_CPUID_7_0_EBX,
	X86_CPUID_7_0_ECX,
	X86_CPUID_7_0_EDX,
	X86_CPUID_7_1_EAX,
	X86_CPUID_D_1_EAX,
	X86_CPUID_80000001_ECX,
	X86_CPUID_80000001_EDX,
	X86_CPUID_80000007_EDX,
	X86_CPUID_80000008_EBX,
	X86_CPUID_80000021_EAX,
	X86_NR_CPUID_WORDS
};

#define X86_CPU_FEATURE(word, bit)	((word) * 32 + (bit))

/* The features the code asks for by name; the tables know more. */
enum x86_cpu_feature {
	X86_CPU_PCID		= X86_CPU_FEATURE(X86_CPUID_1_ECX, 17),
	X86_CPU_X2APIC		= X86_CPU_FEATURE(X86_CPUID_1_ECX, 21),
	X86_CPU_XSAVE		= X86_CPU_FEATURE(X86_CPUID_1_ECX, 26),
	X86_CPU_OSXSAVE		= X86_CPU_FEATURE(X86_CPUID_1_ECX, 27),
	X86_CPU_HYPERVISOR	= X86_CPU_FEATURE(X86_CPUID_1_ECX, 31),
	X86_CPU_APIC		= X86_CPU_FEATURE(X86_CPUID_1_EDX, 9),
	X86_CPU_FSGSBASE	= X86_CPU_FEATURE(X86_CPUID_7_0_EBX, 0),
	X86_CPU_TSC_ADJUST	= X86_CPU_FEATURE(X86_CPUID_7_0_EBX, 1),
	X86_CPU_INVPCID		= X86_CPU_FEATURE(X86_CPUID_7_0_EBX, 10),
	X86_CPU_SMEP		= X86_CPU_FEATURE(X86_CPUID_7_0_EBX, 7),
	X86_CPU_SMAP		= X86_CPU_FEATURE(X86_CPUID_7_0_EBX, 20),
	X86_CPU_UMIP		= X86_CPU_FEATURE(X86_CPUID_7_0_ECX, 2),
	X86_CPU_PKU		= X86_CPU_FEATURE(X86_CPUID_7_0_ECX, 3),
	X86_CPU_OSPKE		= X86_CPU_FEATURE(X86_CPUID_7_0_ECX, 4),
	X86_CPU_LA57		= X86_CPU_FEATURE(X86_CPUID_7_0_ECX, 16),
	X86_CPU_RDPID		= X86_CPU_FEATURE(X86_CPUID_7_0_ECX, 22),
	X86_CPU_SPEC_CTRL	= X86_CPU_FEATURE(X86_CPUID_7_0_EDX, 26),
	X86_CPU_INTEL_STIBP	= X86_CPU_FEATURE(X86_CPUID_7_0_EDX, 27),
	X86_CPU_FLUSH_L1D	= X86_CPU_FEATURE(X86_CPUID_7_0_EDX, 28),
	X86_CPU_ARCH_CAPS	= X86_CPU_FEATURE(X86_CPUID_7_0_EDX, 29),
	X86_CPU_SPEC_CTRL_SSBD	= X86_CPU_FEATURE(X86_CPUID_7_0_EDX, 31),
	X86_CPU_XSAVEC		= X86_CPU_FEATURE(X86_CPUID_D_1_EAX, 1),
	X86_CPU_XSAVES		= X86_CPU_FEATURE(X86_CPUID_D_1_EAX, 3),
	X86_CPU_OSVW		= X86_CPU_FEATURE(X86_CPUID_80000001_ECX, 9),
	X86_CPU_NX		= X86_CPU_FEATURE(X86_CPUID_80000001_EDX, 20),
	X86_CPU_FXSR_OPT	= X86_CPU_FEATURE(X86_CPUID_80000001_EDX, 25),
	X86_CPU_GBPAGES		= X86_CPU_FEATURE(X86_CPUID_80000001_EDX, 26),
	X86_CPU_RDTSCP		= X86_CPU_FEATURE(X86_CPUID_80000001_EDX, 27),
	X86_CPU_LM		= X86_CPU_FEATURE(X86_CPUID_80000001_EDX, 29),
	X86_CPU_IBPB		= X86_CPU_FEATURE(X86_CPUID_80000008_EBX, 12),
	X86_CPU_IBRS		= X86_CPU_FEATURE(X86_CPUID_80000008_EBX, 14),
	X86_CPU_STIBP		= X86_CPU_FEATURE(X86_CPUID_80000008_EBX, 15),
	X86_CPU_SSBD		= X86_CPU_FEATURE(X86_CPUID_80000008_EBX, 24),
};

/* Where a word of features is found: leaf, subleaf and which register (0 EAX .. 3 EDX). */
struct x86_cpuid_place {
	u32 function, index;
	u8 reg;
};
const struct x86_cpuid_place *x86_cpuid_place(unsigned int feature);
/* One register of @r by its number; 0 EAX .. 3 EDX. */
u32 *x86_cpuid_reg(struct x86_cpuid_regs *r, unsigned int reg);

/* State components, APM vol. 2, 11.5.2; AMX's and MPX's are not offered. */
#define X86_XCR0_FP	BIT_ULL(0)
#define X86_XCR0_SSE	BIT_ULL(1)
#define X86_XCR0_YMM	BIT_ULL(2)
#define X86_XCR0_AVX512	GENMASK_ULL(7, 5)
#define X86_XCR0_PKRU	BIT_ULL(9)
#define X86_XCR0_OFFERED \
	(X86_XCR0_FP | X86_XCR0_SSE | X86_XCR0_YMM | X86_XCR0_AVX512 | X86_XCR0_PKRU)

#define X86_XSAVE_LEGACY	512U	/* bytes: the FXSAVE image */
#define X86_XSAVE_HEADER	64U
#define X86_XSAVE_COMPONENTS	63

struct x86_xsave_layout {
	u32 offset[X86_XSAVE_COMPONENTS];	/* standard format, from 2 on */
	u32 size[X86_XSAVE_COMPONENTS];		/* 0: not there */
	u64 aligned;				/* compacted format: start at a multiple of 64 */
};

/* The host as its CPUID and XGETBV describe it, and what the caller adds. */
struct x86_cpuid_host {
	void (*cpuid)(const struct x86_cpuid_host *host, u32 function, u32 index,
		      struct x86_cpuid_regs *out);
	u64 xcr0;			/* 0: the host does not use XSAVE */
	u32 known_80000021;		/* bits of leaf 8000_0021h EAX that hold though CPUID lacks them */
	u32 pv_features;		/* leaf 4000_0001h EAX */
};

/* What may be placed in XCR0 by a guest: a subset of X86_XCR0_OFFERED. */
u64 x86_xcr0_offered(const struct x86_cpuid_host *host);
/* The feature bits a guest may be given in a word. */
u32 x86_cpuid_offered(const struct x86_cpuid_host *host, enum x86_cpuid_word word);

/* Which subleaves are told apart by ECX. */
bool x86_cpuid_is_indexed(u32 function);

struct x86_cpuid_entry {
	u32 function, index;
	struct x86_cpuid_regs r;
};

/*
 * All leaves a guest may be given, in ascending order within the basic, the
 * extended and the hypervisor range. The number of them, or -E2BIG when more than @max.
 */
int x86_cpuid_list(const struct x86_cpuid_host *host, struct x86_cpuid_entry *entry,
		   unsigned int max);

void x86_xsave_layout(struct x86_xsave_layout *layout, const struct x86_cpuid_host *host);
/* Bytes of an area that holds the components @xcr0 names, standard and compacted format. */
u32 x86_xsave_size(const struct x86_xsave_layout *layout, u64 xcr0);
u32 x86_xsave_compact_size(const struct x86_xsave_layout *layout, u64 components);

/*
 * May @value be written to XCR0 where @supported is what CPUID offers?
 * APM vol. 2, 11.5.2: x87 always; YMM needs SSE; AVX-512's three go together, with YMM.
 */
bool x86_xcr0_is_valid(u64 value, u64 supported);

#endif
