// SPDX-License-Identifier: GPL-2.0
/*
 * What a processor may come to: some combination of what the entries on the way have been since its flush. An entry has
 * as many values as it was changed since, and one more; all ways through them are tried.
 */
#include "tests/explore/machine.h"

struct search {
	const struct machine *m;
	const struct cpu *cpu;
	const struct outcome *outcome;
	unsigned int since;
	bool global;		/* only pages that are */
};

struct value {
	u64 word;
	unsigned int until;
};

static bool reaches(const struct search *s, gfn_t table, int level, u64 rights);

static bool granted(const struct search *s, u64 rights)
{
	const struct access *a = s->outcome->access;

	if (a->user && !(rights & PT_USER))
		return false;
	return !a->write || (rights & PT_WRITE) || (!a->user && !s->cpu->wp);
}

static bool follows(const struct search *s, int level, u64 rights, const struct value *v)
{
	const struct outcome *o = s->outcome;
	gva_t gva = s->m->place[o->access->place];
	gfn_t gfn = (v->word & PT_ADDR) >> PAGE_SHIFT;
	bool large = level == 2 && (v->word & PT_LARGE);

	if (!(v->word & PT_PRESENT))
		return o->fault && !(o->code & MMU_PF_PRESENT);
	rights &= v->word;
	if (level > 1 && !large)
		return reaches(s, gfn, level - 1, rights);
	/* INVLPG anywhere in a large page is for all of it. */
	if (large && v->until <= s->cpu->flushed_region[o->access->place])
		return false;
	if (o->fault)
		return !granted(s, rights) && (o->code & MMU_PF_PRESENT);
	if (large)
		gfn += index_of(gva, 1);
	return granted(s, rights) && gfn == o->gfn && (!s->global || (v->word & PT_GLOBAL));
}

static bool reaches(const struct search *s, gfn_t table, int level, u64 rights)
{
	const struct machine *m = s->m;
	unsigned int index = index_of(m->place[s->outcome->access->place], level), i;
	struct value v = { m->memory[table][index], UINT_MAX };

	if (follows(s, level, rights, &v))
		return true;
	for (i = 0; i < m->nr_changes; i++) {
		const struct change *c = &m->change[i];

		if (c->gfn != table || c->index != index || c->time <= s->since)
			continue;
		v = (struct value){ c->old, c->time };
		if (follows(s, level, rights, &v))
			return true;
	}
	return false;
}

/* A fault's code has the bits of the access, and of ours only whether something is mapped. */
static bool is_code_of(const struct outcome *o)
{
	u32 code = (o->access->write ? MMU_PF_WRITE : 0) | (o->access->user ? MMU_PF_USER : 0);

	return (o->code & ~MMU_PF_PRESENT) == code;
}

bool oracle_allows(const struct machine *m, unsigned int c, const struct outcome *o)
{
	const struct cpu *cpu = &m->cpu[c];
	struct search s = { .m = m, .cpu = cpu, .outcome = o };
	unsigned int global = max(cpu->flushed_all, cpu->flushed_page[o->access->place]), i;

	if (o->fault && !is_code_of(o))
		return false;
	s.since = max(cpu->flushed, global);
	if (reaches(&s, cpu->root, 4, ~0ull))
		return true;
	if (o->fault || !cpu->pge)
		return false;
	/* Global pages stay across loads of CR3, those of roots before as well. */
	s.global = true;
	s.since = global;
	for (i = 0; i < cpu->nr_before; i++)
		if (cpu->before[i].until > global && reaches(&s, cpu->before[i].root, 4, ~0ull))
			return true;
	return reaches(&s, cpu->root, 4, ~0ull);
}
