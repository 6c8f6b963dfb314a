// SPDX-License-Identifier: GPL-2.0
/*
 * The guest walker against the model in tests/model/guest_walk.c: exhaustively over
 * entry bits × control bits × access for each paging mode, then random tables with
 * accessed and dirty bits set.
 */
#include <stdio.h>

#include "mmu/walk.h"
#include "tests/model/guest_walk.h"

#define PAGES	16
static u8 memory[PAGES * PAGE_SIZE] __aligned(4096);
static struct gw_memory model_memory = { .byte = memory, .size = sizeof(memory) };

static int read_guest(struct mmu_vcpu *vcpu, gpa_t gpa, void *buf, unsigned int len, unsigned int flags)
{
	if (gpa + len > sizeof(memory))
		return -EFAULT;
	memcpy(buf, memory + gpa, len);
	return 0;
}

static int cmpxchg_guest(struct mmu_vcpu *vcpu, gpa_t gpa, u64 old, u64 new, unsigned int size,
			 unsigned int flags)
{
	u64 now = 0;

	if (gpa + size > sizeof(memory))
		return -EFAULT;
	memcpy(&now, memory + gpa, size);
	if (now != old)
		return 1;
	memcpy(memory + gpa, &new, size);
	return 0;
}

static const struct mmu_host_ops host_ops = { .read_guest = read_guest, .cmpxchg_guest = cmpxchg_guest };
static struct mmu_vm vm = { .host = &host_ops };
static struct mmu_vcpu vcpu = { .vm = &vm };

static struct mmu_walk_env env_of(const struct gw_cpu *c)
{
	struct mmu_walk_env e = {
		.vcpu = &vcpu, .cr3 = c->cr3, .pkru = c->pkru,
		.maxphyaddr = c->maxphyaddr, .pages_1g = c->pages_1g, .amd = c->amd,
	};

	e.cr0 = 1 | (c->pg ? 1u << 31 : 0) | (c->wp ? 1 << 16 : 0);
	e.cr4 = (c->pse ? 1 << 4 : 0) | (c->pae || c->lma ? 1 << 5 : 0) | (c->la57 ? 1 << 12 : 0) |
		(c->smep ? 1 << 20 : 0) | (c->smap ? 1 << 21 : 0) | (c->pke ? 1 << 22 : 0);
	e.efer = (c->nxe ? 1 << 11 : 0) | (c->lma ? 1 << 10 | 1 << 8 : 0);
	e.rflags = c->ac ? 1 << 18 : 0;
	return e;
}

static u64 acc_of(struct gw_access a)
{
	return (a.write ? MMU_ACC_WRITE : 0) | (a.user ? MMU_ACC_USER : 0) |
	       (a.fetch ? MMU_ACC_FETCH : 0) | (a.implicit ? MMU_ACC_IMPLICIT : 0);
}

static unsigned long walks, wrong;

static bool same(const struct mmu_walk *w, const struct gw_result *r)
{
	switch (r->what) {
	case GW_OK:
		return w->result == MMU_WALK_OK && w->gpa == r->gpa;
	case GW_FAULT:
		return w->result == MMU_WALK_FAULT && w->error_code == r->error_code;
	case GW_NO_MEMORY:
		return w->result == MMU_WALK_NO_MEMORY;
	default:
		return w->result == MMU_WALK_NONCANONICAL;
	}
}

static void complain(const struct gw_cpu *c, u64 gva, struct gw_access a, const struct mmu_walk *w,
		     const struct gw_result *r)
{
	if (wrong++)
		return;
	printf("# gva %#llx access %#llx nxe %d wp %d smep %d smap %d ac %d lma %d pae %d pse %d maxphy %u\n",
	       gva, acc_of(a), c->nxe, c->wp, c->smep, c->smap, c->ac, c->lma, c->pae, c->pse, c->maxphyaddr);
	printf("# got %d gpa %#llx code %#x level %d; model %d gpa %#llx code %#x\n", w->result, w->gpa,
	       w->error_code, w->level, r->what, (u64)r->gpa, r->error_code);
	for (int i = 0; i < 5; i++)
		printf("#  entry %d: %#llx\n", i + 1, w->entry[i]);
}

static void compare(const struct gw_cpu *c, const struct mmu_walk_env *env, u64 gva, struct gw_access a)
{
	struct gw_result r = gw_walk(c, &model_memory, gva, a, false);
	struct mmu_walk w = { 0 };

	walks++;
	mmu_walk(&w, env, gva, acc_of(a), 0);
	if (!same(&w, &r))
		complain(c, gva, a, &w, &r);
}

/* The same on copies of the memory, which must end up the same. */
static void compare_ad(const struct gw_cpu *c, u64 gva, struct gw_access a)
{
	static u8 before[sizeof(memory)], after[sizeof(memory)];
	struct mmu_walk_env env = env_of(c);
	struct mmu_walk w = { 0 };
	struct gw_result r;

	walks++;
	memcpy(before, memory, sizeof(memory));
	r = gw_walk(c, &model_memory, gva, a, true);
	memcpy(after, memory, sizeof(memory));
	memcpy(memory, before, sizeof(memory));
	mmu_walk(&w, &env, gva, acc_of(a), MMU_WALK_SET_AD);
	if (!same(&w, &r) || memcmp(memory, after, sizeof(memory)))
		complain(c, gva, a, &w, &r);
	memcpy(memory, before, sizeof(memory));
}

static const struct gw_access accesses[] = {
	{ false, false, false, false }, { true, false, false, false }, { false, true, false, false },
	{ false, false, true, false }, { true, false, true, false }, { false, true, true, false },
	{ false, false, true, true }, { true, false, true, true },
};

/* A mode of the exhaustive part. */
struct mode {
	const char *name;
	int levels;
	int width;
	struct gw_cpu cpu;
};

static const struct mode modes[] = {
	{ "32-bit", 2, 4, { .pg = true, .pse = false } },
	{ "32-bit PSE", 2, 4, { .pg = true, .pse = true } },
	{ "PAE", 3, 8, { .pg = true, .pae = true } },
	{ "4-level", 4, 8, { .pg = true, .lma = true, .pages_1g = true } },
	{ "4-level, no 1 GiB pages, AMD", 4, 8, { .pg = true, .lma = true, .amd = true } },
	{ "5-level, AMD", 5, 8, { .pg = true, .lma = true, .la57 = true, .pages_1g = true, .amd = true } },
};

/* Entry bits that are varied: all combinations of them, in place of the permissive entry. */
static u64 varied(int width, unsigned int v, u64 target)
{
	u64 e = target & ~7ull;

	e |= (v & 1 ? 1 : 0) | (v & 2 ? 2 : 0) | (v & 4 ? 4 : 0) | (v & 8 ? 0x80 : 0);
	if (width == 4)
		return e | (v & 16 ? 1 << 21 : 0) | (v & 32 ? 1 << 8 : 0);
	return e | (v & 16 ? 1ull << 63 : 0) | (v & 32 ? 1ull << 45 : 0) | (v & 64 ? 1 << 8 : 0);
}

#define GVA	0x400000ull	/* index 1 in 4 MiB, 2 in 2 MiB tables, 0 above */

static void put_entry(const struct mode *m, int level, u64 e)
{
	int bits = m->width == 4 ? 10 : 9;
	u64 at = (m->levels - level + 1) * PAGE_SIZE +
		 (GVA >> (12 + bits * (level - 1)) & ((1 << bits) - 1)) * m->width;

	memcpy(memory + at, &e, m->width);
}

/* The permissive entry: points to the next table, or from level 1 to page 9. */
static u64 plain(const struct mode *m, int level)
{
	if (level == 1)
		return 0x9000 | 7;
	if (m->levels == 3 && level == 3)
		return 0x2000 | 1;
	return (m->levels - level + 2) * PAGE_SIZE | 7;
}

static void all_controls(const struct mode *m)
{
	struct gw_cpu c = m->cpu;
	unsigned int v, a;

	c.cr3 = PAGE_SIZE;
	c.maxphyaddr = 40;
	for (v = 0; v < 32; v++) {
		struct mmu_walk_env env;

		c.wp = v & 1;
		c.nxe = v & 2;
		c.smep = v & 4;
		c.smap = v & 8;
		c.ac = v & 16;
		env = env_of(&c);
		for (a = 0; a < ARRAY_SIZE(accesses); a++)
			compare(&c, &env, GVA | 0x123, accesses[a]);
	}
}

/* Every combination of bits at two levels at once, the others permissive. */
static void exhaustive(const struct mode *m)
{
	unsigned int combos = m->width == 4 ? 64 : 128, v, w;
	int upper, lower, level;

	for (upper = m->levels; upper > 1; upper--) {
		for (lower = upper - 1; lower >= 1; lower--) {
			/* All of both for the two lowest levels; else the rights only below. */
			unsigned int low = upper == 2 || m->levels == 3 ? combos : 8;

			for (level = m->levels; level >= 1; level--)
				put_entry(m, level, plain(m, level));
			for (v = 0; v < combos; v++) {
				put_entry(m, upper, varied(m->width, v, plain(m, upper)));
				for (w = 0; w < low; w++) {
					put_entry(m, lower, varied(m->width, w, plain(m, lower)));
					all_controls(m);
				}
			}
		}
	}
}

static void keys(const struct mode *m)
{
	struct gw_cpu c = m->cpu;
	unsigned int v, a;
	u64 key;
	int level;

	c.cr3 = PAGE_SIZE;
	c.maxphyaddr = 52;
	for (level = m->levels; level >= 1; level--)
		put_entry(m, level, plain(m, level));
	for (key = 0; key < 16; key++)
		for (v = 0; v < 1 << 9; v++) {
			struct mmu_walk_env env;

			put_entry(m, 1, (plain(m, 1) & ~6ull) | (v & 3) << 1 | key << 59);
			c.pkru = (v >> 2 & 3) << (2 * key) | (v & 16 ? ~(3u << (2 * key)) : 0);
			c.wp = v & 32;
			c.pke = v & 64;
			c.smap = v & 128;
			c.ac = v & 256;
			env = env_of(&c);
			for (a = 0; a < ARRAY_SIZE(accesses); a++)
				compare(&c, &env, GVA, accesses[a]);
		}
}

static u64 rng = 88172645463325252ULL;

static u64 random64(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1dULL;
}

static u64 random_entry(int width, unsigned int maxphyaddr)
{
	u64 r = random64(), e = (r >> 8 & 15) << 12 | (r & 0x67) | 1;

	if ((r >> 16 & 7) == 0)
		e |= 0x80;
	if ((r >> 20 & 15) == 0)
		e &= ~1ull;
	if ((r >> 24 & 7) < 5)
		e |= 6;
	if ((r >> 28 & 7) == 0)
		e |= 0x100;
	if (width == 4)
		return (r >> 32 & 15) ? e : e | (1u << (16 + (r >> 36 & 15)));
	if ((r >> 32 & 15) == 0)
		e |= 1ull << (52 + (r >> 36 & 7));
	if ((r >> 40 & 7) == 0)
		e |= 1ull << 63;
	if ((r >> 58 & 15) == 0)	/* reserved in a large leaf */
		e |= 1ull << (13 + random64() % 17);
	if ((r >> 44 & 31) == 0 && maxphyaddr < 52)
		e |= 1ull << (maxphyaddr + (r >> 50) % (52 - maxphyaddr));
	return e;
}

static struct gw_cpu random_cpu(void)
{
	u64 r = random64();
	int mode = r % 5;
	struct gw_cpu c = {
		.pg = r >> 8 & 31, .wp = r >> 13 & 1, .pse = r >> 14 & 1, .nxe = r >> 15 & 3,
		.smep = r >> 17 & 1, .smap = r >> 18 & 1, .pke = r >> 19 & 1, .ac = r >> 20 & 1,
		.pages_1g = r >> 21 & 1, .amd = r >> 22 & 1, .maxphyaddr = 32 + (r >> 24) % 21,
		.pkru = r >> 32, .pae = mode >= 2, .lma = mode >= 3, .la57 = mode == 4,
	};

	c.cr3 = (random64() & 15) << 12;
	if (mode == 2)
		c.cr3 |= random64() & 0xfe0;
	return c;
}

static u64 random_gva(const struct gw_cpu *c)
{
	u64 r = random64();

	if (!c->lma)	/* the upper half does not count */
		return r & 7 ? r >> 32 : r;
	if ((r & 15) == 0)
		return r;
	return (s64)(r << 8) >> (c->la57 ? 7 : 16);
}

static void random_tables(int rounds)
{
	int i, j, n;

	for (i = 0; i < rounds; i++) {
		struct gw_cpu c = random_cpu();
		int width = c.lma || c.pae ? 8 : 4;

		for (j = 0; j < (int)sizeof(memory); j += width) {
			u64 e = random_entry(width, c.maxphyaddr);

			/* Pointers of PAE have few legal bits: let some be legal. */
			if (c.pae && !c.lma && (random64() & 3))
				e &= ~0x8000000000000066ull;
			memcpy(memory + j, &e, width);
		}
		for (n = 0; n < 40; n++)
			compare_ad(&c, random_gva(&c), accesses[random64() % ARRAY_SIZE(accesses)]);
	}
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 6000;
	unsigned int i, n = 0;

	printf("1..%zu\n", ARRAY_SIZE(modes) + 3);
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		walks = wrong = 0;
		memset(memory, 0, sizeof(memory));
		exhaustive(&modes[i]);
		printf("%sok %u - %s: entry bits x control bits x access\n# %lu walks\n",
		       wrong ? "not " : "", ++n, modes[i].name, walks);
	}
	for (i = 3; i < ARRAY_SIZE(modes); i += 2) {
		walks = wrong = 0;
		memset(memory, 0, sizeof(memory));
		keys(&modes[i]);
		printf("%sok %u - %s: protection keys\n# %lu walks\n", wrong ? "not " : "", ++n,
		       modes[i].name, walks);
	}
	walks = wrong = 0;
	random_tables(rounds);
	printf("%sok %u - random tables, accessed and dirty bits\n# %lu walks\n", wrong ? "not " : "", ++n, walks);
	return 0;
}
