// SPDX-License-Identifier: GPL-2.0
/*
 * What was before the actors begin: which parts of the shadow mode there are, which addresses and entries everything is
 * about, what is mapped already, which tables are at rest, or were linked once.
 */
#include "tests/explore/scenario.h"

static void choose_machine(struct scenario *s)
{
	struct machine *m = &s->m;
	bool pge_off = !any(m, 6);
	unsigned int c;

	m->host.logs = !any(m, 4);
	m->host.large = !any(m, 4);
	m->structure_cache = any(m, 2);
	s->large_entries = m->host.large || !any(m, 3);
	s->wp_changes = !any(m, 6);
	for (c = 0; c < CPUS; c++) {
		m->cpu[c].wp = !s->wp_changes || any(m, 2);
		m->cpu[c].pge = !pge_off && any(m, 8);
	}
	if (!any(m, 8))
		m->vm.shadow_without = BIT(any(m, MMU_PARTS));
	if (m->host.large && any(m, 2))
		m->vm.shadow_without |= BIT(MMU_PART_REST);
	if (!any(m, 4))
		m->vm.sync_some = 128;
	if (!any(m, 8))
		m->vm.shadow_max = 24;
}

static void begin_shadow_mode(struct scenario *s)
{
	struct machine *m = &s->m;
	unsigned int c;

	for (c = 0; c < CPUS; c++)
		mmu_vcpu_init(&m->cpu[c].mmu, &m->vm);
	mmu_vm_set_mode(&m->vm, MMU_SHADOW);
	if (m->host.logs)
		mmu_dirty_log_start(&m->vm, 0, FRAMES);
	for (c = 0; c < CPUS; c++)
		cpu_load(m, c, ROOT + any(m, ROOTS), MMU_LOAD_ALL);
}

static void choose_large(struct scenario *s)
{
	static const u8 of[] = { USER2, USER2, KERNEL2, OTHER2 };
	struct machine *m = &s->m;
	gfn_t table = of[any(m, ARRAY_SIZE(of))];

	if (s->large_entries && any(m, 2))
		m->memory[table][any(m, 2)] = PT_LARGE | OPEN | ACCESSED_DIRTY |
					      (table == KERNEL2 ? PT_GLOBAL : 0);
}

/* Places of one area mostly, and entries that they depend on. */
static void choose_hot(struct scenario *s)
{
	struct machine *m = &s->m;
	enum area area = any(m, AREAS);
	unsigned int i, tries;

	s->nr_hot_places = 1 + any(m, HOT);
	s->nr_hot_entries = 1 + any(m, HOT);
	for (i = 0; i < s->nr_hot_places; i++)
		s->hot_place[i] = any(m, 5) ? tables_place(s, area) : tables_any_place(s);
	for (i = 0; i < s->nr_hot_entries; i++) {
		for (tries = 0; tries < 40; tries++) {
			s->hot_entry[i] = tables_any_entry(s);
			if (tables_on_the_way(s, s->hot_entry[i], s->hot_place[any(m, s->nr_hot_places)]))
				break;
		}
	}
}

static bool is_near_hot(const struct scenario *s, unsigned int place)
{
	unsigned int i;

	for (i = 0; i < s->nr_hot_places; i++)
		if (s->m.place[s->hot_place[i]] >> 21 == s->m.place[place] >> 21)
			return true;
	return false;
}

/* All but what is hot is mapped. */
static void map_others(struct scenario *s)
{
	struct machine *m = &s->m;
	unsigned int i, place;

	for (i = 0; i < 10 && !m->failed; i++) {
		place = tables_any_place(s);
		if (!is_near_hot(s, place))
			cpu_access(m, any(m, CPUS), &(struct access){ .place = place, .write = any(m, 2), .user = true });
	}
}

static void warm_up(struct scenario *s)
{
	struct machine *m = &s->m;
	int left = any(m, 5) ? 2 + any(m, 14) : 0;

	for (; left > 0 && !m->failed; left--) {
		struct op op = any(m, 2) ? op_access(s, any(m, 2)) : any(m, 30) ? op_of_guest(s) : op_of_host(s);

		op_do(s, any(m, CPUS), &op);
	}
}

/* Loads of CR3 again and again: tables that are compared in vain come to rest. */
static void let_rest(struct scenario *s)
{
	struct machine *m = &s->m;
	unsigned int style = any(m, 4), i;

	for (i = 0; style && i < 12 && !m->failed; i++) {
		cpu_load(m, i % CPUS, ROOT + (style == 1 ? 0 : any(m, ROOTS)), MMU_LOAD_CR3);
		if (!s->cold && !any(m, 3)) {
			struct op op = op_access(s, any(m, 2));

			op_do(s, i % CPUS, &op);
		}
	}
}

/* Tables that were linked are to be linked anew. */
static void unlink_some(struct scenario *s)
{
	struct machine *m = &s->m;
	unsigned int c;
	int left;

	for (left = any(m, 3); left >= 0 && !m->failed; left--) {
		struct op op = op_edit(s, false);

		op_do(s, 0, &op);
	}
	for (c = 0; c < CPUS && !m->failed; c++)
		cpu_load(m, c, any(m, 2) ? m->cpu[c].root : ROOT + any(m, ROOTS),
			 any(m, 3) ? MMU_LOAD_CR3 : MMU_LOAD_ALL);
}

void prepare(struct scenario *s)
{
	struct machine *m = &s->m;
	unsigned int i;

	tables_make(s);
	choose_machine(s);
	begin_shadow_mode(s);
	choose_large(s);
	choose_hot(s);
	s->cold = !any(m, 3);
	if (s->cold)
		map_others(s);
	else
		warm_up(s);
	let_rest(s);
	if (any(m, 2))
		unlink_some(s);
	for (i = any(m, 3) ? 0 : 14; i && !m->failed; i--)
		cpu_load(m, i % CPUS, m->cpu[i % CPUS].root, MMU_LOAD_CR3);
}
