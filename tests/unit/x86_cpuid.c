// SPDX-License-Identifier: GPL-2.0
/*
 * What CPUID offers, against made-up hosts: nothing that is not on the list gets
 * through, whatever the host has; what needs the host's help is not there without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "x86/cpuid.h"

#define ALL	0xffffffffu
#define MANY	300

/* A processor with every bit of every leaf set, but for maxima and sizes. */
static void full_cpuid(const struct x86_cpuid_host *host, u32 function, u32 index,
		       struct x86_cpuid_regs *r)
{
	static const struct { u32 size, offset, align; } comp[] = {
		[2] = { 256, 576, 0 }, [3] = { 64, 960, 0 }, [4] = { 64, 1024, 0 },
		[5] = { 64, 1088, 0 }, [6] = { 512, 1152, 1 }, [7] = { 1024, 1664, 0 },
		[9] = { 8, 2688, 0 }, [17] = { 64, 2816, 1 }, [18] = { 8192, 3072, 1 },
	};

	*r = (struct x86_cpuid_regs) { ALL, ALL, ALL, ALL };
	switch (function) {
	case 0:
		*r = (struct x86_cpuid_regs) { 0x1f, 0x68747541, 0x444d4163, 0x69746e65 };
		break;
	case 4:
	case 0x8000001d:
		r->eax = index < 4 ? 1 : 0;
		break;
	case 7:
		if (index == 0)
			r->eax = 2;
		break;
	case 0xd:
		if (index >= 2 && index < ARRAY_SIZE(comp))
			*r = (struct x86_cpuid_regs) { comp[index].size, comp[index].offset,
						       comp[index].align << 1, 0 };
		break;
	case 0x80000000:
		r->eax = 0x80000026;
		break;
	case 0x80000008:
		r->eax = 0x00303930;
		break;
	}
}

/* A processor with the leaves and no features. */
static void bare_cpuid(const struct x86_cpuid_host *host, u32 function, u32 index,
		       struct x86_cpuid_regs *r)
{
	*r = (struct x86_cpuid_regs) { 0, 0, 0, 0 };
	if (function == 0)
		r->eax = 0xd;
	if (function == 0x80000000)
		r->eax = 0x8000001f;
	if (function == 0x80000008)
		r->eax = 0x3028;
}

/* One that repeats its last leaf for all it does not know, as old ones do. */
static void old_cpuid(const struct x86_cpuid_host *host, u32 function, u32 index,
		      struct x86_cpuid_regs *r)
{
	*r = (struct x86_cpuid_regs) { function == 4 ? 0 : 5, ALL, ALL, ALL };
}

static void endless_cpuid(const struct x86_cpuid_host *host, u32 function, u32 index,
			  struct x86_cpuid_regs *r)
{
	full_cpuid(host, function, index, r);
	if (function == 0x8000001d)
		r->eax = 1;
}

static const struct x86_cpuid_host full = { .cpuid = full_cpuid, .xcr0 = ~0ull, .pv_features = 0x55 };
static const struct x86_cpuid_host bare = { .cpuid = bare_cpuid };
static const struct x86_cpuid_host old = { .cpuid = old_cpuid };

static struct x86_cpuid_entry list[MANY];

static const struct x86_cpuid_entry *find(int nr, u32 function, u32 index)
{
	int i;

	for (i = 0; i < nr; i++)
		if (list[i].function == function && list[i].index == index)
			return &list[i];
	return NULL;
}

static u32 word_of(int nr, unsigned int feature)
{
	const struct x86_cpuid_place *p = x86_cpuid_place(feature);
	const struct x86_cpuid_entry *e = find(nr, p->function, p->index);
	struct x86_cpuid_regs r;

	assert_non_null(e);
	r = e->r;
	return *x86_cpuid_reg(&r, p->reg);
}

static bool has(int nr, unsigned int feature)
{
	return word_of(nr, feature) >> (feature % 32) & 1;
}

/* By leaf, register and bit, from the manuals: what must never be offered. */
static void test_never_offered(void **state)
{
	static const struct { u32 function, index; u8 reg; u8 bit; const char *name; } never[] = {
		{ 1, 0, 2, 3, "MONITOR" }, { 1, 0, 2, 5, "VMX" }, { 1, 0, 2, 6, "SMX" },
		{ 1, 0, 2, 15, "PDCM" }, { 1, 0, 2, 21, "x2APIC" },
		{ 1, 0, 2, 24, "TSC deadline" }, { 1, 0, 2, 27, "OSXSAVE" },
		{ 1, 0, 3, 21, "DS" }, { 1, 0, 3, 22, "ACPI" }, { 1, 0, 3, 28, "HTT" },
		{ 7, 0, 1, 2, "SGX" }, { 7, 0, 1, 14, "MPX" }, { 7, 0, 1, 25, "PT" },
		{ 7, 0, 2, 4, "OSPKE" }, { 7, 0, 2, 5, "WAITPKG" }, { 7, 0, 2, 7, "CET_SS" },
		{ 7, 0, 2, 24, "bus lock" }, { 7, 0, 3, 20, "CET_IBT" },
		{ 7, 0, 3, 22, "AMX_BF16" }, { 7, 0, 3, 24, "AMX_TILE" },
		{ 7, 0, 3, 25, "AMX_INT8" }, { 7, 1, 0, 26, "LAM" }, { 7, 1, 0, 21, "AMX_FP16" },
		{ 0xd, 1, 0, 4, "XFD" }, { 0x80000001, 0, 2, 2, "SVM" },
		{ 0x80000001, 0, 2, 3, "ExtApic" }, { 0x80000001, 0, 2, 10, "IBS" },
		{ 0x80000001, 0, 2, 12, "SKINIT" }, { 0x80000001, 0, 2, 15, "LWP" },
		{ 0x80000001, 0, 2, 23, "PERFCTR_CORE" }, { 0x80000001, 0, 2, 29, "MWAITX" },
		{ 0x80000008, 0, 1, 4, "RDPRU" }, { 0x80000008, 0, 1, 25, "VIRT_SSBD" },
	};
	int nr = x86_cpuid_list(&full, list, MANY);
	unsigned int i;

	assert_true(nr > 0);
	for (i = 0; i < ARRAY_SIZE(never); i++) {
		const struct x86_cpuid_entry *e = find(nr, never[i].function, never[i].index);
		struct x86_cpuid_regs r;

		assert_non_null(e);
		r = e->r;
		if (*x86_cpuid_reg(&r, never[i].reg) >> never[i].bit & 1)
			fail_msg("%s is offered", never[i].name);
	}
	/* Leaves of what is not there are empty: PMU, SGX, PT, AMX, SVM, SEV. */
	static const u32 empty[] = { 3, 5, 9, 0xa, 0xb, 0xf, 0x10, 0x12, 0x14, 0x1d, 0x1e, 0x1f,
				     0x8000000a, 0x8000001e, 0x8000001f, 0x80000020 };

	for (i = 0; i < ARRAY_SIZE(empty); i++) {
		const struct x86_cpuid_entry *e = find(nr, empty[i], 0);

		assert_non_null(e);
		assert_int_equal(e->r.eax | e->r.ebx | e->r.ecx | e->r.edx, 0);
	}
}

static void test_offered_is_subset(void **state)
{
	int nr = x86_cpuid_list(&bare, list, MANY), w;

	assert_true(nr > 0);
	/* On a host without features only what is forced is left. */
	for (w = 0; w < X86_NR_CPUID_WORDS; w++) {
		u32 bits = x86_cpuid_offered(&bare, w);

		switch (w) {
		case X86_CPUID_1_ECX:
			assert_int_equal(bits, 1u << 31);
			break;
		case X86_CPUID_7_0_EBX:
			assert_int_equal(bits, 1u << 1);
			break;
		case X86_CPUID_7_0_EDX:
			assert_int_equal(bits, 1u << 29);
			break;
		case X86_CPUID_80000021_EAX:
			assert_int_equal(bits, 1u << 9);
			break;
		default:
			assert_int_equal(bits, 0);
		}
		assert_int_equal(bits & ~(x86_cpuid_offered(&full, w)), 0);
	}
	assert_true(has(nr, X86_CPU_HYPERVISOR));
	assert_true(has(nr, X86_CPU_TSC_ADJUST));
	assert_false(has(nr, X86_CPU_XSAVE));
}

static void test_named_features(void **state)
{
	int nr = x86_cpuid_list(&full, list, MANY);
	static const unsigned int named[] = {
		X86_CPU_PCID, X86_CPU_XSAVE, X86_CPU_HYPERVISOR, X86_CPU_APIC, X86_CPU_FSGSBASE,
		X86_CPU_TSC_ADJUST, X86_CPU_SMEP, X86_CPU_SMAP, X86_CPU_UMIP, X86_CPU_PKU,
		X86_CPU_LA57, X86_CPU_RDPID, X86_CPU_SPEC_CTRL, X86_CPU_ARCH_CAPS, X86_CPU_XSAVEC,
		X86_CPU_XSAVES, X86_CPU_NX, X86_CPU_FXSR_OPT, X86_CPU_GBPAGES, X86_CPU_RDTSCP,
		X86_CPU_LM, X86_CPU_IBPB, X86_CPU_IBRS, X86_CPU_STIBP, X86_CPU_SSBD, X86_CPU_OSVW,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(named); i++)
		if (!has(nr, named[i]))
			fail_msg("feature %u.%u is not offered", named[i] / 32, named[i] % 32);
	assert_int_equal(x86_cpuid_place(X86_CPU_XSAVES)->function, 0xd);
	assert_int_equal(x86_cpuid_place(X86_CPU_XSAVES)->index, 1);
}

static void test_room(void **state)
{
	int nr = x86_cpuid_list(&full, list, MANY), i;

	assert_in_range(nr, 50, 256);
	for (i = 0; i < nr; i++)
		assert_int_equal(x86_cpuid_list(&full, list, i), -E2BIG);
	assert_int_equal(x86_cpuid_list(&full, list, nr), nr);
	struct x86_cpuid_host endless = full;

	endless.cpuid = endless_cpuid;
	assert_int_equal(x86_cpuid_list(&endless, list, MANY), -E2BIG);
}

static void test_order(void **state)
{
	int nr = x86_cpuid_list(&full, list, MANY), i;

	assert_int_equal(list[0].function, 0);
	assert_int_equal(list[0].r.eax, 0x1f);
	assert_int_equal(list[0].r.ebx, 0x68747541);
	for (i = 1; i < nr; i++) {
		const struct x86_cpuid_entry *a = &list[i - 1], *b = &list[i];

		if (b->function == 0x40000000)		/* starts the last range */
			continue;
		assert_true(a->function < b->function ||
			    (a->function == b->function && a->index < b->index));
		if (b->index)
			assert_true(x86_cpuid_is_indexed(b->function));
	}
	assert_int_equal(list[nr - 2].r.eax, 0x40000001);
	assert_memory_equal(&list[nr - 2].r.ebx, "KVMKVMKVM\0\0\0", 12);
	assert_int_equal(list[nr - 1].function, 0x40000001);
	assert_int_equal(list[nr - 1].r.eax, 0x55);
}

/* Widths, and the leaf that is made where the processor is from before it. */
static void test_extended(void **state)
{
	int nr = x86_cpuid_list(&full, list, MANY);
	struct x86_cpuid_host known = bare;

	/* 48 physical, 57 virtual bits; 48 of guest physical are not more. */
	assert_int_equal(find(nr, 0x80000008, 0)->r.eax & 0xffff, 0x3930);
	assert_int_equal(find(nr, 0x80000000, 0)->r.eax, 0x80000021);
	nr = x86_cpuid_list(&bare, list, MANY);
	assert_int_equal(find(nr, 0x80000000, 0)->r.eax, 0x8000001f);
	known.known_80000021 = 1u << 2 | 1u << 30;
	nr = x86_cpuid_list(&known, list, MANY);
	assert_int_equal(find(nr, 0x80000000, 0)->r.eax, 0x80000021);
	assert_int_equal(find(nr, 0x80000021, 0)->r.eax, 1u << 2 | 1u << 9);
	/* No extended leaves at all: nothing is made of the garbage. */
	nr = x86_cpuid_list(&old, list, MANY);
	assert_true(nr > 0);
	assert_null(find(nr, 0x80000000, 0));
	assert_null(find(nr, 7, 0));
	assert_int_equal(x86_cpuid_offered(&old, X86_CPUID_80000001_EDX), 0);
}

/* What depends on the host kernel having turned a state component on. */
static void test_needs_kernel(void **state)
{
	struct x86_cpuid_host h = full;
	struct x86_xsave_layout layout;

	assert_int_equal(x86_xcr0_offered(&full), 0x2e7);
	h.xcr0 = 0;
	assert_int_equal(x86_xcr0_offered(&h), 0);
	assert_false(x86_cpuid_offered(&h, X86_CPUID_1_ECX) & (1u << 26 | 1u << 28 | 1u << 12));
	assert_false(x86_cpuid_offered(&h, X86_CPUID_7_0_EBX) & (1u << 5 | 1u << 16 | 1u << 31));
	assert_int_equal(x86_cpuid_offered(&h, X86_CPUID_D_1_EAX), 0);
	assert_false(x86_cpuid_offered(&h, X86_CPUID_7_0_ECX) & 1u << 3);
	h.xcr0 = 7;
	assert_int_equal(x86_xcr0_offered(&h), 7);
	assert_true(x86_cpuid_offered(&h, X86_CPUID_1_ECX) & 1u << 28);
	assert_false(x86_cpuid_offered(&h, X86_CPUID_7_0_EBX) & 1u << 16);
	h.xcr0 = 0x67;		/* two of AVX-512's three */
	assert_int_equal(x86_xcr0_offered(&h), 7);
	x86_xsave_layout(&layout, &h);
	assert_int_equal(layout.size[6], 0);
}

static void test_sizes(void **state)
{
	struct x86_xsave_layout l;
	int nr = x86_cpuid_list(&full, list, MANY);

	x86_xsave_layout(&l, &full);
	assert_int_equal(x86_xsave_size(&l, 0), 576);
	assert_int_equal(x86_xsave_size(&l, 3), 576);
	assert_int_equal(x86_xsave_size(&l, 7), 832);
	assert_int_equal(x86_xsave_size(&l, 0xe7), 2688);
	assert_int_equal(x86_xsave_size(&l, 0x2e7), 2696);
	assert_int_equal(x86_xsave_size(&l, ~0ull), 2696);	/* what is not offered has no place */
	assert_int_equal(x86_xsave_compact_size(&l, 7), 832);
	/* 576 + 256 YMM, 64 opmask, ZMM_Hi256 at a multiple of 64, Hi16_ZMM, PKRU */
	assert_int_equal(x86_xsave_compact_size(&l, 0x2e7), 832 + 64 + 512 + 1024 + 8);
	assert_int_equal(x86_xsave_compact_size(&l, 0x203), 584);
	assert_int_equal(x86_xsave_compact_size(&l, 0x243), 640 - 64 + 512 + 8);
	assert_int_equal(find(nr, 0xd, 0)->r.eax, 0x2e7);
	assert_int_equal(find(nr, 0xd, 0)->r.ecx, 2696);
	assert_int_equal(find(nr, 0xd, 9)->r.ebx, 2688);
	assert_null(find(nr, 0xd, 17));
	assert_null(find(nr, 0xd, 3));
}

/* Every value of the low ten bits, against the rules one by one. */
static void test_xcr0(void **state)
{
	static const u64 supported[] = { 0, 1, 3, 7, 0xe7, 0x207, 0x2e7, 0x6e7 };
	unsigned int s;
	u64 v;

	for (s = 0; s < ARRAY_SIZE(supported); s++) {
		for (v = 0; v < 2048; v++) {
			bool x87 = v & 1, sse = v & 2, ymm = v & 4;
			unsigned int avx512 = !!(v & 0x20) + !!(v & 0x40) + !!(v & 0x80);
			bool ok = x87;

			if (ymm && !sse)
				ok = false;
			if (avx512 && (avx512 != 3 || !ymm))
				ok = false;
			if (v & ~(supported[s] | 1))
				ok = false;
			if (x86_xcr0_is_valid(v, supported[s]) != ok)
				fail_msg("XCR0 %#llx with %#llx supported", v, supported[s]);
		}
	}
	assert_false(x86_xcr0_is_valid(1ull << 63 | 7, 0x2e7));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_offered),
		cmocka_unit_test(test_offered_is_subset),
		cmocka_unit_test(test_named_features),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_extended),
		cmocka_unit_test(test_needs_kernel),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_xcr0),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("x86_cpuid", tests, NULL, NULL);
}
