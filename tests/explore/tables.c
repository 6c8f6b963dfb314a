// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's tables at the beginning of a run, and what their entries may become.
 *
 *   ROOT, +1, +2 ─[0]──► USER3 ─[0]─► USER2 ──[0]─► LEAF_A      tables are also linked elsewhere: what one
 *        │  │              └───[1]─► OTHER2 ─[1]─► LEAF_B      place shows is changed through another one
 *        │  │                        USER2 ──[2]─► WINDOW      maps all tables, to write them
 *        │  └──[511]──► KERNEL3 ───► KERNEL2 ─[0]─► KERNEL_A   global pages, shared by all roots
 *        │                              └─────[1]─► KERNEL_B
 *        └─────[510]──► OWN3_A, in the third root OWN3_B ─► OWN2_A, _B ─► OWN    upper halves that differ
 *
 *   without a place at first: LEAF_C, KERNEL_C, KERNEL3_B, USER3_B
 */
#include "tests/explore/scenario.h"

#define HALF_UP		0xffff000000000000ull
#define KERNEL_GVA	(HALF_UP | 511ull << 39)
#define OWN_GVA		(HALF_UP | 510ull << 39)
#define WINDOW_GVA	(2ull << 21)

/* An entry that runs change, and the tables it may point to (0: none, not present); a leaf points to data. */
static const struct {
	u8 gfn;
	u16 index;
	u8 to[3];
	bool leaf, kernel;
} entries[] = {
	{ LEAF_A, 0, .leaf = true }, { LEAF_A, 1, .leaf = true }, { LEAF_A, 2, .leaf = true },
	{ LEAF_B, 0, .leaf = true }, { LEAF_C, 0, .leaf = true },
	{ KERNEL_A, 0, .leaf = true, .kernel = true }, { KERNEL_A, 1, .leaf = true, .kernel = true },
	{ KERNEL_A, 2, .leaf = true, .kernel = true }, { KERNEL_B, 0, .leaf = true, .kernel = true },
	{ KERNEL_C, 0, .leaf = true, .kernel = true },
	{ OWN, 0, .leaf = true, .kernel = true }, { OWN, 1, .leaf = true, .kernel = true },
	{ USER2, 0, .to = { LEAF_A, LEAF_C, 0 } }, { USER2, 1, .to = { LEAF_B, LEAF_A, LEAF_C } },
	{ OTHER2, 0, .to = { LEAF_A, LEAF_B, 0 } }, { OTHER2, 1, .to = { LEAF_B, LEAF_C, 0 } },
	{ USER3, 1, .to = { OTHER2, OTHER2, 0 } },
	{ KERNEL2, 0, .to = { KERNEL_A, KERNEL_C, 0 } }, { KERNEL2, 1, .to = { KERNEL_B, KERNEL_C, KERNEL_A } },
	{ KERNEL3, 0, .to = { KERNEL2, KERNEL2, 0 } },
	{ ROOT, 0, .to = { USER3, USER3_B, USER3 } }, { ROOT + 1, 0, .to = { USER3, USER3_B, 0 } },
	{ ROOT, 511, .to = { KERNEL3, KERNEL3_B, 0 } }, { ROOT + 1, 511, .to = { KERNEL3, KERNEL3_B, KERNEL3 } },
	{ ROOT + 2, 511, .to = { KERNEL3, KERNEL3, 0 } },
	{ ROOT, 510, .to = { OWN3_A, OWN3_B, 0 } }, { ROOT + 1, 510, .to = { OWN3_A, OWN3_B, OWN3_A } },
	{ OWN3_A, 0, .to = { OWN2_A, OWN2_B, 0 } }, { OWN2_A, 0, .to = { OWN, OWN, 0 } }, { OWN2_B, 0, .to = { OWN, LEAF_A, 0 } },
};

static const struct {
	u8 first, nr;
} areas[AREAS] = { { 0, 6 }, { 3, 3 }, { 6, 5 }, { 11, 2 } };

#define AREA_PLACES	13

static void add_places(struct machine *m)
{
	static const struct {
		gva_t gva;
		unsigned int pages;
	} runs[] = {
		{ 0, 3 }, { 1ull << 21, 1 }, { 1ull << 30, 1 }, { (1ull << 30) + (1ull << 21), 1 },
		{ KERNEL_GVA, 4 }, { KERNEL_GVA + (1ull << 21), 1 }, { OWN_GVA, 2 },
	};
	unsigned int i, page;

	for (i = 0; i < ARRAY_SIZE(runs); i++)
		for (page = 0; page < runs[i].pages; page++)
			m->place[m->nr_places++] = runs[i].gva + page * PAGE_SIZE;
	BUG_ON(m->nr_places != AREA_PLACES);
}

static void point(struct machine *m, gfn_t from, unsigned int index, gfn_t to)
{
	m->memory[from][index] = to << PAGE_SHIFT | OPEN | ACCESSED_DIRTY;
}

static void make_leaves(struct machine *m)
{
	static const u8 leaf[] = { LEAF_A, LEAF_B, LEAF_C, KERNEL_A, KERNEL_B, KERNEL_C, OWN };
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(leaf); i++) {
		for (k = 0; k < 4; k++) {
			point(m, leaf[i], k, DATA + 4 * i + k);
			/* The last one of KERNEL_A's is not, and of OWN's each second one: loads of CR3 are for these. */
			if (leaf[i] == OWN ? k & 1 : leaf[i] == KERNEL_A ? k < 3 : leaf[i] > KERNEL_A)
				m->memory[leaf[i]][k] |= PT_GLOBAL;
		}
	}
	for (i = 1; i < TABLES; i++)
		point(m, WINDOW, i, i);
}

/* Some runs begin with something different. */
static void make_variants(struct scenario *s)
{
	struct machine *m = &s->m;

	if (!any(m, 3)) {
		point(m, USER2, any(m, 2), LEAF_C);
		point(m, OTHER2, any(m, 2), LEAF_C);
	}
	if (any(m, 2)) {
		m->memory[USER3][1] = 0;
		point(m, USER3_B, 0, OTHER2);
		point(m, OTHER2, 2, WINDOW);
		point(m, ROOT + 1, 0, USER3_B);
	}
	if (!any(m, 4))
		point(m, KERNEL2, any(m, 2), KERNEL_C);
}

void tables_make(struct scenario *s)
{
	struct machine *m = &s->m;
	gfn_t root;

	for (root = ROOT; root < ROOT + ROOTS; root++) {
		point(m, root, 0, USER3);
		point(m, root, 511, KERNEL3);
		point(m, root, 510, root < ROOT + 2 ? OWN3_A : OWN3_B);
	}
	point(m, USER3, 0, USER2);
	point(m, USER3, 1, OTHER2);
	point(m, USER2, 0, LEAF_A);
	point(m, USER2, 1, LEAF_B);
	point(m, USER2, 2, WINDOW);
	point(m, OTHER2, 0, LEAF_A);
	point(m, OTHER2, 1, LEAF_B);
	point(m, KERNEL3, 0, KERNEL2);
	point(m, KERNEL3_B, 0, KERNEL2);
	point(m, KERNEL2, 0, KERNEL_A);
	point(m, KERNEL2, 1, KERNEL_B);
	point(m, OWN3_A, 0, OWN2_A);
	point(m, OWN3_B, 0, OWN2_B);
	point(m, OWN2_A, 0, OWN);
	point(m, OWN2_B, 0, OWN);
	make_leaves(m);
	make_variants(s);
	add_places(m);
}

unsigned int tables_place(struct scenario *s, enum area area)
{
	return areas[area].first + any(&s->m, areas[area].nr);
}

unsigned int tables_any_place(struct scenario *s)
{
	return any(&s->m, AREA_PLACES);
}

int tables_window(struct machine *m, gfn_t gfn)
{
	if (m->window[gfn])
		return m->window[gfn];
	if (m->nr_places == PLACES)
		return -1;
	m->window[gfn] = m->nr_places++;
	m->place[m->window[gfn]] = WINDOW_GVA + (gfn << PAGE_SHIFT);
	return m->window[gfn];
}

unsigned int tables_any_entry(struct scenario *s)
{
	return any(&s->m, ARRAY_SIZE(entries));
}

static u64 some_rights(struct machine *m)
{
	u64 bits = any(m, 4) ? OPEN : any(m, 8);

	return bits | (any(m, 5) ? ACCESSED_DIRTY : any(m, 2) ? PT_ACCESSED : 0);
}

u64 tables_value(struct scenario *s, unsigned int entry)
{
	struct machine *m = &s->m;
	bool kernel = entries[entry].kernel;
	u8 from = entries[entry].gfn, to = entries[entry].to[any(m, 3)];

	if (entries[entry].leaf) {
		bool global = any(m, kernel ? 4 : 16) ? kernel : !kernel;

		return (u64)(DATA + any(m, DATA_FRAMES)) << PAGE_SHIFT | some_rights(m) |
		       (global ? PT_GLOBAL : 0);
	}
	if (s->large_entries && (from == USER2 || from == OTHER2 || from == KERNEL2) && !any(m, 3))
		return PT_LARGE | some_rights(m) | (from == KERNEL2 && any(m, 3) ? PT_GLOBAL : 0);
	if (!to)
		return 0;
	return (u64)to << PAGE_SHIFT | (any(m, 6) ? OPEN : PT_PRESENT | PT_USER) | ACCESSED_DIRTY;
}

struct edit tables_edit(unsigned int entry, u64 value)
{
	return (struct edit){ entries[entry].gfn, entries[entry].index, value };
}

bool tables_on_the_way(struct scenario *s, unsigned int entry, unsigned int place)
{
	struct machine *m = &s->m;
	gfn_t table = ROOT + any(m, ROOTS);
	int level;

	for (level = 4; level >= 1; level--) {
		unsigned int index = index_of(m->place[place], level);

		if (table == entries[entry].gfn && index == entries[entry].index)
			return true;
		table = ((m->memory[table][index] & PT_ADDR) >> PAGE_SHIFT) % FRAMES;
	}
	return false;
}
