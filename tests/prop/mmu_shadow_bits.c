// SPDX-License-Identifier: GPL-2.0
/*
 * The shadow path over entry bits × control bits × kinds of access, at two levels at once in
 * each paging mode: the outcome, the outcome again (now in the TLB), what other accesses may do
 * without a flush, and the outcome after the entries have changed, in one bit or in any, and the
 * address is flushed. The model machine knows what is right. Every 101st combination, or all with TEST_LONG.
 *
 *	mmu_shadow_bits [STRIDE]
 */
#include <stdio.h>

#include "kapi_test.h"
#include "tests/model/shadow_machine.h"

#define TABLE(level)	(100 + (level))		/* gfns that the random guest does not use */
#define PAGE		120
#define GVA		0x400000ull	/* index 1 in 4 MiB, 2 in 2 MiB tables, 0 above */

static const struct sm_config configs[] = {
	{ .name = "32-bit", .mode = SM_32, .levels = 4, .max_leaf = 3 },
	{ .name = "32-bit with 4 MiB pages", .mode = SM_PSE, .levels = 4, .max_leaf = 3 },
	{ .name = "PAE", .mode = SM_PAE, .levels = 4, .max_leaf = 3 },
	{ .name = "4 levels", .mode = SM_LONG, .levels = 4, .max_leaf = 3 },
	{ .name = "4 levels, small leaves", .mode = SM_LONG, .levels = 4, .max_leaf = 1 },
	{ .name = "5 levels", .mode = SM_LA57, .levels = 5, .max_leaf = 3 },
};

static const struct gw_access accesses[] = {
	{ false, false, false, false }, { true, false, false, false }, { false, true, false, false },
	{ false, false, true, false }, { true, false, true, false }, { false, true, true, false },
	{ false, false, true, true }, { true, false, true, true },
};

static struct sm m;

static int levels_of(enum sm_mode mode)
{
	return mode <= SM_PSE ? 2 : mode == SM_PAE ? 3 : mode == SM_LONG ? 4 : 5;
}

static void put(enum sm_mode mode, int level, u64 e)
{
	int width = mode <= SM_PSE ? 4 : 8, bits = width == 4 ? 10 : 9;
	gpa_t gpa = (TABLE(level) << PAGE_SHIFT) +
		    (GVA >> (12 + bits * (level - 1)) & ((1 << bits) - 1)) * width;

	if (sm_load(&m, gpa, width) == (width == 4 ? (u32)e : e))
		return;
	sm_emulated_store(&m, gpa, e, width);
}

#define COMBOS	129	/* of an entry: 128 that are present, and one that is not */
#define OPEN	3	/* the permissive one */

/* Combination n of the bits that are varied. */
static u64 entry_of(enum sm_mode mode, int level, unsigned int n)
{
	unsigned int v = n < 128 ? n << 1 | 1 : 6;
	bool large = (v & 8) && level > 1 && level <= 3 && mode != SM_32;
	u64 target = level == 1 ? PAGE : TABLE(level - 1), e;

	if (large)
		target = level == 3 ? SM_GIANT : mode == SM_PSE ? 1024 : 512;
	if (mode == SM_PAE && level == 3)
		return (TABLE(2) << PAGE_SHIFT) | (v & 1) | (v & 32 ? 1ull << 45 : 0);
	e = target << PAGE_SHIFT | (v & 7) | (v & 8 ? 0x80 : 0) | (v & 64 ? 0x100 : 0) |
	    (v & 128 ? 0x60 : 0);
	if (mode <= SM_PSE)
		return e | (v & 32 && large ? 1 << 21 : 0);
	return e | (v & 16 ? 1ull << 63 : 0) | (v & 32 ? 1ull << 45 : 0);
}

static void controls(struct sm_vcpu *v, unsigned int c)
{
	struct mmu_paging *p = &v->paging;

	p->cr0 = (p->cr0 & ~(u64)X86_CR0_WP) | (c & 1 ? X86_CR0_WP : 0);
	p->efer = (p->efer & ~(u64)EFER_NX) | (c & 2 ? EFER_NX : 0);
	p->cr4 &= ~(u64)(X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PGE | X86_CR4_PKE);
	p->cr4 |= (c & 4 ? X86_CR4_SMEP : 0) | (c & 8 ? X86_CR4_SMAP : 0);
	sm_guest_flush(&m, v, MMU_LOAD_ALL);
}

static void touch(struct sm_vcpu *v, struct gw_access a, bool ac)
{
	struct sm_access x = { .gva = GVA | 0x128, .a = a, .ac = ac, .value = 0, .size = 4 };

	sm_access(&m, v, &x);
}

/* Two entries as v and w say, every access, each fresh and again, then all without a flush. */
static void all_accesses(enum sm_mode mode, int upper, unsigned int v, int lower, unsigned int w)
{
	struct sm_vcpu *cpu = &m.vcpu[0];
	unsigned int a, ac;

	for (a = 0; a < ARRAY_SIZE(accesses); a++) {
		for (ac = 0; ac < 2; ac++) {
			put(mode, upper, entry_of(mode, upper, v));
			put(mode, lower, entry_of(mode, lower, w));
			sm_guest_invlpg(&m, cpu, GVA | 0x128);
			if (mode == SM_PAE && upper == 3 &&
			    sm_guest_cr3(&m, cpu, cpu->paging.cr3))
				sm_guest_flush(&m, cpu, MMU_LOAD_CR3);
			touch(cpu, accesses[a], ac);
			touch(cpu, accesses[a], ac);
		}
	}
	for (a = 0; a < ARRAY_SIZE(accesses); a++)
		touch(cpu, accesses[a], a & 1);
}

/* A new history when this one is long. */
static void forget(struct sm_vcpu *cpu)
{
	if (m.writes <= SM_WRITES / 2)
		return;
	sm_guest_flush(&m, cpu, MMU_LOAD_ALL);
	m.writes = 0;
	memset(m.bucket, 0, sizeof(m.bucket));
}

/* Each entry used, one of its bits changed, flushed and used again: whatever differs is seen. */
static void flips(enum sm_mode mode, int level, unsigned int stride)
{
	struct sm_vcpu *cpu = &m.vcpu[0];
	unsigned int n, i, last = ~0u;

	if (mode == SM_PAE && level == 3)
		return;		/* loaded with CR3: pair() does that */
	for (i = levels_of(mode); i >= 1; i--)
		put(mode, i, entry_of(mode, i, OPEN));
	for (n = 0; n < 16 * 128 * 7 && !m.violations; n += stride) {
		unsigned int v = n / 7 % 128;

		if (n / (7 * 128) != last) {
			last = n / (7 * 128);
			controls(cpu, last);
		}
		put(mode, level, entry_of(mode, level, v));
		sm_guest_invlpg(&m, cpu, GVA | 0x128);
		for (i = 0; i < 2 * ARRAY_SIZE(accesses); i++)
			touch(cpu, accesses[i / 2], i & 1);
		put(mode, level, entry_of(mode, level, v ^ 1u << n % 7));
		sm_guest_invlpg(&m, cpu, GVA | 0x128);
		for (i = 0; i < 2 * ARRAY_SIZE(accesses); i++)
			touch(cpu, accesses[(i + n) / 2 % ARRAY_SIZE(accesses)], i & 1);
		forget(cpu);
	}
}

static void pair(enum sm_mode mode, int upper, int lower, unsigned int stride)
{
	struct sm_vcpu *cpu = &m.vcpu[0];
	unsigned int n, last = ~0u;
	int level;

	for (level = levels_of(mode); level >= 1; level--)
		put(mode, level, entry_of(mode, level, OPEN));
	/* Controls change slowest. */
	for (n = 0; n < 16 * COMBOS * COMBOS && !m.violations; n += stride) {
		if (n / (COMBOS * COMBOS) != last) {
			last = n / (COMBOS * COMBOS);
			controls(cpu, last);
		}
		all_accesses(mode, upper, n / COMBOS % COMBOS, lower, n % COMBOS);
		forget(cpu);
	}
}

static bool run(const struct sm_config *c, unsigned int stride)
{
	struct sm_vcpu *cpu = &m.vcpu[0];
	int upper, lower, levels = levels_of(c->mode);

	if (sm_init(&m, c, 1))
		return false;
	put(c->mode, levels, entry_of(c->mode, levels, OPEN));
	if (c->mode == SM_PAE)
		put(c->mode, 2, entry_of(c->mode, 2, OPEN));
	if (sm_guest_cr3(&m, cpu, TABLE(levels) << PAGE_SHIFT))
		sm_guest_flush(&m, cpu, MMU_LOAD_ALL);
	for (upper = levels; upper > 1; upper--)
		for (lower = upper - 1; lower >= 1; lower--)
			pair(c->mode, upper, lower, upper == 2 ? stride : stride * 8 + 3);
	for (upper = levels; upper >= 1; upper--)
		flips(c->mode, upper, stride / 8 + 1);
	sm_audit(&m);
	if (m.violations)
		printf("# %s\n", m.first);
	sm_fini(&m);
	return !m.violations && !kapi_live() && !kapi_warnings();
}

int main(int argc, char **argv)
{
	unsigned int stride = argc > 1 ? atoi(argv[1]) : getenv("TEST_LONG") ? 1 : 101, i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%zu\n", ARRAY_SIZE(configs));
	for (i = 0; i < ARRAY_SIZE(configs); i++) {
		bool ok = run(&configs[i], stride);

		printf("# %lu accesses, %lu reflected, %lu emulated\n", m.accesses, m.reflected, m.emulated);
		printf("%sok %u - %s: entry bits x control bits x access\n", ok ? "" : "not ", i + 1,
		       configs[i].name);
	}
	return 0;
}
