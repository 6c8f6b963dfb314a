// SPDX-License-Identifier: GPL-2.0
/* Random tables of the model's guests: see shadow_tables.h. */
#include "tests/model/shadow_tables.h"

#define DIRECT		4	/* index in the root */
#define OTHER_POOL	30	/* of modes that are not the configuration's */

struct sm_shape sm_shape_of(enum sm_mode mode)
{
	switch (mode) {
	case SM_OFF: case SM_32: case SM_PSE:
		return (struct sm_shape){ 2, 4, 10 };
	case SM_PAE:
		return (struct sm_shape){ 3, 8, 9 };
	case SM_LONG:
		return (struct sm_shape){ 4, 8, 9 };
	default:
		return (struct sm_shape){ 5, 8, 9 };
	}
}

gfn_t sm_pool_of(struct sm *m, enum sm_mode mode)
{
	return mode == m->config.mode ? 0 : OTHER_POOL;
}

gfn_t sm_table_of(struct sm *m, enum sm_mode mode, int level)
{
	return sm_pool_of(m, mode) + 1 + (level - 1) * 5 + sm_random(m, level == 5 ? 3 : 5);
}

unsigned int sm_random_index(struct sm *m, enum sm_mode mode, int level)
{
	struct sm_shape s = sm_shape_of(mode);
	unsigned int last = (1u << s.bits) - 1;

	if (mode == SM_PAE && level == 3)
		return sm_random(m, 4);
	switch (sm_random(m, level == s.levels ? 10 : 16)) {
	case 0:
		return last;
	case 1:
		if (level == s.levels && level > 3)
			return last - sm_random(m, 3);
		return level == 1 || s.levels == 2 ? sm_random(m, last + 1) : 0;
	case 2: case 3:
		return 2;
	case 4: case 5: case 6:
		return 1;
	case 7: case 8:
		return level == 1 ? sm_random(m, 32) : 0;
	default:
		return 0;
	}
}

gva_t sm_random_gva(struct sm *m, enum sm_mode mode)
{
	struct sm_shape s = sm_shape_of(mode);
	int level, sign = s.levels == 5 ? 7 : 16;
	gva_t gva = sm_random(m, PAGE_SIZE / 8) * 8;

	if (mode == SM_OFF)
		return gva | (gva_t)sm_random(m, sm_random(m, 3) ? 128 : SM_SMALL) << PAGE_SHIFT;
	for (level = 1; level <= s.levels; level++)
		gva |= (gva_t)sm_random_index(m, mode, level) << (12 + s.bits * (level - 1));
	if (s.width == 4 && !sm_random(m, 6))	/* the other half of 4 MiB */
		gva ^= 1ul << 21;
	if (s.levels > 3 && sm_random(m, 200))
		gva = (gva_t)((long)(gva << sign) >> sign);
	return gva;
}

/* ---------------------------------------------------------------- entries -- */

gfn_t sm_random_page(struct sm *m)
{
	switch (sm_random(m, 20)) {
	case 0: case 1: case 2:
		return sm_random(m, SM_TABLES);
	case 3: case 4: case 5:
		return 256 + sm_random(m, 64);
	case 6: case 7:
		return 128 + sm_random(m, 16);
	case 8:
		return 150 + sm_random(m, 4);
	case 9: case 10:
		return 512 + sm_random(m, 1024);
	case 11:
		return SM_GIANT + sm_random(m, 4) * SM_CHUNK + sm_random(m, 4);
	case 12:
		return SM_GFNS + sm_random(m, 4);
	default:
		return SM_TABLES + sm_random(m, 10);
	}
}

gfn_t sm_random_table(struct sm *m, enum sm_mode mode, int level)
{
	switch (sm_random(m, 24)) {
	case 0: case 1:
		return sm_pool_of(m, mode) + 1 + sm_random(m, 28);
	case 2:
		return 128 + sm_random(m, 16);
	case 3:
		return sm_random(m, 3) ? 256 + sm_random(m, 4) : sm_random_page(m);
	case 4:		/* device memory: nowhere to be read but by read_guest */
		return sm_random(m, 4) ? sm_table_of(m, mode, level) : 310 + sm_random(m, 2);
	default:
		return sm_table_of(m, mode, level);
	}
}

static u64 large_page(struct sm *m, enum sm_mode mode, int level)
{
	u64 base;

	if (level == 3)
		base = sm_random(m, 2) ? 0 : SM_GIANT;
	else if (sm_random(m, 4))
		base = sm_shape_of(mode).width == 4 ? sm_random(m, 2) * 1024 : sm_random(m, 3) * SM_CHUNK;
	else
		base = SM_GIANT + sm_random(m, 4) * 1024;
	return base << PAGE_SHIFT;
}

static u64 random_flags(struct sm *m, enum sm_mode mode)
{
	u64 e = sm_random(m, 12) ? P : 0;

	e |= sm_random(m, 5) ? RW : 0;
	e |= sm_random(m, 5) ? US : 0;
	e |= sm_random(m, 3) ? A : 0;
	e |= sm_random(m, 2) ? D : 0;
	e |= sm_random(m, 4) ? 0 : G;
	e |= sm_random(m, 20) ? 0 : (sm_random(m, 2) ? PWT : PCD);
	if (sm_shape_of(mode).width == 4)
		return e;
	if (!sm_random(m, 8))
		e |= NX;
	if (mode >= SM_LONG && !sm_random(m, 4))
		e |= (u64)sm_random(m, 16) << 59;
	if (!sm_random(m, 40))
		e |= 1ull << ((m->unlike ? SM_UNLIKE_BITS : SM_MAXPHYADDR) + sm_random(m, 23));
	return e;
}

u64 sm_random_entry(struct sm *m, enum sm_mode mode, int level)
{
	u64 e = random_flags(m, mode), base;
	bool large = level > 1 && level < 4 && !sm_random(m, 6);

	if (mode == SM_PAE && level == 3)
		return (e & P) | sm_table_of(m, mode, 2) << PAGE_SHIFT | (sm_random(m, 60) ? 0 : RW);
	if (mode == SM_32 || (mode == SM_OFF && level == 2))
		large = large && !sm_random(m, 4);	/* the bit is ignored there */
	if (level == 1)
		return sm_random_page(m) << PAGE_SHIFT | e | (sm_random(m, 10) ? 0 : PS);
	if (large) {
		base = large_page(m, mode, level) | PS;
		if (!sm_random(m, 30))
			base |= 1ull << (13 + sm_random(m, 9));
		return base | e;
	}
	if (level > 3 && !sm_random(m, 60))
		e |= PS;
	if (sm_random(m, 10))
		e &= ~(u64)G;	/* reserved at some levels of AMD's */
	return sm_random_table(m, mode, level - 1) << PAGE_SHIFT | e;
}

/* ------------------------------------------------------------- the writes -- */

void sm_host_write(struct sm *m, gpa_t gpa, u64 value, int size)
{
	struct sm_slot *slot = sm_slot_of(m, gpa >> PAGE_SHIFT);

	if (!slot || slot->readonly || sm_broken(m, gpa >> PAGE_SHIFT))
		return;
	sm_emulated_store(m, gpa, value, size);
	sm_wrote(m, gpa >> PAGE_SHIFT);
}

void sm_put(struct sm *m, gfn_t gfn, unsigned int index, u64 value, int width)
{
	sm_host_write(m, (gfn << PAGE_SHIFT) + index * width, value, width);
}

/* Tables of a mode: each level's in their places, random; the direct map; the roots. */
static void fill_level(struct sm *m, enum sm_mode mode, gfn_t first, int level)
{
	struct sm_shape s = sm_shape_of(mode);
	unsigned int i, last = (1u << s.bits) - 1;
	gfn_t gfn;

	for (gfn = first; gfn < first + (level == 5 ? 3 : 5); gfn++) {
		for (i = 0; i < (level == 1 ? 32 : 4); i++)
			sm_put(m, gfn, i, sm_random_entry(m, mode, level), s.width);
		sm_put(m, gfn, last, sm_random_entry(m, mode, level), s.width);
		for (i = 0; i < 8; i++)
			sm_put(m, gfn, sm_random(m, last), sm_random_entry(m, mode, level), s.width);
	}
}

static void fill_direct(struct sm *m, enum sm_mode mode, gfn_t pool)
{
	struct sm_shape s = sm_shape_of(mode);
	u64 rights = P | RW | A | D;
	unsigned int i;
	int level;

	for (i = 0; i < 1u << s.bits; i++)
		sm_put(m, pool + 25, i, (u64)i << PAGE_SHIFT | rights, s.width);
	for (level = 2; level <= 4 && s.width == 8; level++)
		sm_put(m, pool + 24 + level, 0, (pool + 23 + level) << PAGE_SHIFT | rights, 8);
	if (s.width == 8)
		sm_put(m, pool + 26, 1, rights | PS, 8);
	for (i = 0; i < SM_SPACES; i++) {
		if (s.width == 4) {
			sm_put(m, pool + 6 + i, DIRECT, (pool + 25) << PAGE_SHIFT | rights, 4);
			sm_put(m, pool + 6 + i, DIRECT + 1, rights | PS, 4);
		} else if (mode == SM_PAE) {
			sm_put(m, pool + 24, i * 4 + 2, (pool + 26) << PAGE_SHIFT | P, 8);
		} else {
			sm_put(m, pool + 1 + (s.levels - 1) * 5 + i, DIRECT,
			    (pool + 23 + s.levels) << PAGE_SHIFT | rights, 8);
		}
	}
}

gva_t sm_direct_gva(struct sm *m, enum sm_mode mode, gpa_t gpa)
{
	struct sm_shape s = sm_shape_of(mode);
	bool large = sm_random(m, 2);

	if (mode == SM_OFF)
		return gpa;
	if (s.width == 4)
		return gpa + ((gva_t)(DIRECT + (large && mode == SM_PSE)) << 22);
	gpa += large ? 1ull << 21 : 0;
	return mode == SM_PAE ? gpa + (2ul << 30) : gpa + ((gva_t)DIRECT << (12 + 9 * (s.levels - 1)));
}

void sm_build_tables(struct sm *m, enum sm_mode mode)
{
	struct sm_shape s = sm_shape_of(mode);
	gfn_t pool = sm_pool_of(m, mode);
	unsigned int i;
	int level;

	for (level = 1; level <= s.levels; level++)
		if (mode != SM_PAE || level < 3)
			fill_level(m, mode, pool + 1 + (level - 1) * 5, level);
	for (i = 0; i < SM_SPACES; i++) {
		m->space[mode][i] = (pool + 1 + (s.levels - 1) * 5 + i) << PAGE_SHIFT;
		if (mode != SM_PAE)
			continue;
		m->space[mode][i] = (pool + 24) << PAGE_SHIFT | i * 32;
		for (level = 0; level < 4; level++)
			sm_put(m, pool + 24, i * 4 + level, sm_table_of(m, mode, 2) << PAGE_SHIFT | P, 8);
	}
	fill_direct(m, mode, pool);
}
