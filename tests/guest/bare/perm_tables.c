// SPDX-License-Identifier: GPL-2.0
/* The tables of the permutation guest, of any format. All RAM is mapped for the supervisor. */
#include "perm.h"

#define RAM		(64ull << 20)
#define PATH_TABLES	0x03000000ull
#define OTHER_TABLES	0x03400000ull

const struct mode *mode;
static u64 top;
static u64 free_page = OTHER_TABLES;	/* the mode before is in use while tables are made */

static unsigned long long pdptrs[4];

/* What the user runs; enter() of the supervisor runs it as well, at the address it has here. */
extern char perm_code[];

static void store(u64 table, unsigned int index, u64 e)
{
	if (mode->width == 4)
		((volatile u32 *)(unsigned long)table)[index] = e;
	else
		((volatile u64 *)(unsigned long)table)[index] = e;
}

static u64 load(u64 table, unsigned int index)
{
	if (mode->width == 4)
		return ((volatile u32 *)(unsigned long)table)[index];
	return ((volatile u64 *)(unsigned long)table)[index];
}

static void clear(u64 page)
{
	for (u32 *p = (u32 *)(unsigned long)page, *end = p + PAGE_SIZE / 4; p < end; p++)
		*p = 0;
}

unsigned int index_of(unsigned long gva, int level)
{
	int bits = mode->width == 4 ? 10 : 9;

	return gva >> (12 + bits * (level - 1)) & ((1u << bits) - 1);
}

static bool pdpte(int level)
{
	return mode->levels == 3 && level == 3;
}

static void map_small(unsigned long gva, u64 pte)
{
	u64 table = top, e;

	for (int level = mode->levels; level > 1; level--) {
		e = load(table, index_of(gva, level));
		if (!(e & P)) {
			e = free_page | P | (pdpte(level) ? 0 : W | U);
			clear(free_page);
			free_page += PAGE_SIZE;
			store(table, index_of(gva, level), e);
		}
		table = e & ~0xfffull;
	}
	store(table, index_of(gva, 1), pte);
}

static u64 path_table(int level, unsigned int n)
{
	return level == mode->levels ? top : PATH_TABLES + (n * 8 + level) * PAGE_SIZE;
}

void put(int level, u64 e)
{
	store(path_table(level, 0), index_of(mode->gva, level), e);
}

void put_beside(unsigned long offset, u64 e)
{
	store(path_table(1, 0), index_of(mode->gva + offset, 1), e);
}

bool leaf_level(int level)
{
	if (level == 3)
		return mode->levels > 3 && cpu.pages_1g;
	return level == 1 || (level == 2 && (mode->width == 8 || mode->pse));
}

u64 toward(int level, unsigned int n, u64 bits)
{
	if (level == 1)
		return SMALL_PAGES + n * PAGE_SIZE + bits;
	if (!(bits & PS) || !leaf_level(level))
		return path_table(level - 1, n) + bits;
	if (level == 3)
		return bits;
	return LARGE_PAGES + n * (mode->width == 4 ? 4ull << 20 : 2ull << 20) + bits;
}

u64 permissive(int level, unsigned int n)
{
	return toward(level, n, P | (pdpte(level) ? 0 : W | U));
}

void put_open(void)
{
	for (int level = mode->levels; level >= 1; level--)
		put(level, permissive(level, 0));
	put_beside(BESIDE, SMALL_PAGES + BESIDE + (P | W | U));
}

/* The second set of tables leads to the second page. */
static void make_paths(void)
{
	u64 beside = SMALL_PAGES + BESIDE + (P | W | U);

	put_open();
	for (int level = mode->levels - 1; level >= 1; level--)
		store(path_table(level, 1), index_of(mode->gva, level), permissive(level, 1));
	store(path_table(1, 1), index_of(mode->gva + BESIDE, 1), beside);
}

bool clean_top(void)
{
	bool any = false;

	for (unsigned int i = 0; emulated_walk && mode->levels == 3 && i < 4; i++) {
		any |= load(top, i) & A;
		store(top, i, load(top, i) & ~(u64)A);
	}
	return any;
}

/* The processor has the top entries of PAE in registers. */
static void load_top(void)
{
	cpu.pdptrs = mode->levels == 3 ? pdptrs : NULL;
	for (unsigned int i = 0; mode->levels == 3 && i < 4; i++)
		pdptrs[i] = load(top, i) & ~(emulated_walk ? (u64)A : 0);
}

void tables_begin(const struct mode *m)
{
	mode = m;
	top = free_page;
	for (u64 at = 0; at < 16; at++)
		clear(PATH_TABLES + at * PAGE_SIZE);
	clear(top);
	free_page += PAGE_SIZE;
	for (u64 at = 0; at < RAM; at += PAGE_SIZE)
		map_small(at, at | P | W);
	map_small(m->user, (unsigned long)perm_code | P | W | U);
	cpu.pg = true;
	cpu.pse = m->pse;
	cpu.pae = m->width == 8;
	cpu.lma = m->levels > 3;
	cpu.la57 = m->levels == 5;
	cpu.cr3 = top;
	make_paths();
	load_top();
	paging(m, top);
}

void flush_page(unsigned long gva)
{
	asm volatile("invlpg (%0)" : : "r"(gva) : "memory");
}

void flush_space(void)
{
	load_top();
	WRITE(cr3, READ(cr3));
}

void flush_all(void)
{
	WRITE(cr4, READ(cr4) ^ CR4_PGE);
	WRITE(cr4, READ(cr4) ^ CR4_PGE);
	if (mode->levels == 3)
		flush_space();
}

void flush_path(int level)
{
	if (pdpte(level))
		flush_space();		/* the processor has the four in registers */
	else
		flush_page(mode->gva);
}
