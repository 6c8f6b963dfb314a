// SPDX-License-Identifier: GPL-2.0
/*
 * Nested mode against the model machine: random guests, a host that never keeps
 * still, audit after every step. One line of TAP for each configuration.
 *
 *	mmu_nested [seed [steps]]
 */
#include <stdio.h>

#include "kapi_test.h"
#include "tests/model/nested_machine.h"

struct config {
	const char *name;
	enum nm_hw hw;
	int levels;
	bool races, flush_races, yields;
	unsigned int max_leaf;
};

static const struct config configs[] = {
	{ "npt, quiet", NM_NPT, 4, false, false, false, 3 },
	{ "npt, guest runs until the flush", NM_NPT, 4, false, true, false, 3 },
	{ "npt, stale answers", NM_NPT, 4, true, false, false, 3 },
	{ "npt, lock dropped between chunks", NM_NPT, 4, false, false, true, 3 },
	{ "npt, everything", NM_NPT, 4, true, true, true, 3 },
	{ "npt, 5 levels, everything", NM_NPT, 5, true, true, true, 3 },
	{ "npt, no 1 GiB leaves", NM_NPT, 4, true, true, true, 2 },
	{ "ept, everything", NM_EPT, 4, true, true, true, 3 },
	{ "ept without A/D, quiet", NM_EPT_NOAD, 4, false, true, false, 3 },
	{ "ept without A/D, everything", NM_EPT_NOAD, 4, true, true, true, 3 },
};

static struct nm machine;

static gfn_t random_gfn(struct nm *m)
{
	switch (nm_random(m, 10)) {
	case 0:
		return NM_GIANT + nm_random(m, NM_GIANT_GFNS);
	case 1:
		return NM_GIANT + nm_random(m, 4) * NM_CHUNK + nm_random(m, 4);
	case 2:
		return NM_BASE + nm_random(m, NM_GFNS);
	default:	/* most in a few places, so that things meet */
		return NM_BASE + nm_random(m, NM_CHUNKS) * NM_CHUNK + nm_random(m, 24);
	}
}

static void random_range(struct nm *m, gfn_t *start, gfn_t *end)
{
	u64 len = nm_random(m, 3) ? 1 + nm_random(m, 40) : 1 + nm_random(m, 1200);

	*start = NM_BASE + nm_random(m, NM_CHUNKS) * NM_CHUNK + nm_random(m, 24);
	*end = min_t(gfn_t, *start + len, NM_END);
}

static void host_event(struct nm *m)
{
	static const int loggable[] = { 0, 2 };
	int slot = loggable[nm_random(m, 2)];
	struct nm_page *p;
	gfn_t start, end;

	random_range(m, &start, &end);
	p = &m->page[start - NM_BASE];
	switch (nm_random(m, 16)) {
	case 0: case 1:
		return nm_host_drop(m, start, end);
	case 2: case 3:
		return nm_host_move(m, start);
	case 4:
		return nm_host_protect(m, start, end);
	case 5:
		return nm_host_collapse(m, nm_random(m, NM_CHUNKS));
	case 6:
		return nm_host_split(m, nm_random(m, NM_CHUNKS));
	case 7:
		return nm_host_giant(m, nm_random(m, 3) ? 2 + nm_random(m, 2) : 0);
	case 8:
		mmu_age_gfns(&m->vm, start, end, nm_random(m, 2));
		return;
	case 9:
		mmu_reclaim(&m->vm, 1 + nm_random(m, 4));
		return;
	case 10:
		p->missing = !p->missing && !p->present;
		return;
	case 11:
		return nm_log_start(m, slot);
	case 12: case 13:
		return nm_log_take(m, slot);
	case 14:
		return nm_log_peek_clear(m, slot);
	default:
		nm_emulator_write(m, start);
	}
}

/* Rarer. */
static void slot_event(struct nm *m)
{
	int i = nm_random(m, NM_SLOTS);

	switch (nm_random(m, 4)) {
	case 0:
		return nm_slot_set(m, i, !m->slot[i].exists);
	case 1:
		return nm_log_stop(m, i);
	case 2:
		return mmu_unmap_all(&m->vm);
	default:
		return nm_slot_set(m, i, true);
	}
}

static void race(struct nm *m)
{
	if (nm_random(m, 10))
		host_event(m);
	else
		slot_event(m);
}

static bool ask_resched(void)
{
	return nm_random(&machine, 3) == 0;
}

/* What others do when the lock is dropped between chunks: no nesting. */
static void others_run(void)
{
	struct nm *m = &machine;
	gfn_t start, end;
	u64 code;

	if (m->in_event)
		return;
	m->in_event = true;
	random_range(m, &start, &end);
	switch (nm_random(m, 4)) {
	case 0:
		nm_host_drop(m, start, end);
		break;
	case 1:
		nm_host_move(m, start);
		break;
	default:
		if (!nm_touch(m, 1, start, true, &code))
			mmu_fault(&m->vcpu[1].mmu, start << 12, code, 0);
		nm_touch(m, 1, start, true, &code);
	}
	m->in_event = false;
}

static void step(struct nm *m, bool races)
{
	int what = nm_random(m, 100);

	m->event = races ? race : NULL;
	if (what < 80)
		nm_access(m, nm_random(m, NM_VCPUS), random_gfn(m), nm_random(m, 2), NULL);
	else if (what < 98)
		host_event(m);
	else
		slot_event(m);
	nm_audit(m);
	nm_host_end(m, false);
}

static bool run(const struct config *c, u64 seed, int steps)
{
	struct nm *m = &machine;
	unsigned long before = kapi_live(), warned = kapi_warnings();
	int i;

	if (nm_init(m, c->hw, c->levels, seed))
		return false;
	m->vm.max_leaf = c->max_leaf;	/* nothing is mapped yet */
	m->race_pct = c->races ? 20 : 0;
	m->around_pct = 60;
	m->atomic_pct = 50;
	m->guest_runs_in_flush = c->flush_races;
	m->concurrent = c->races || c->flush_races || c->yields;
	if (c->yields)
		kapi_set_resched(ask_resched, others_run);
	for (i = 0; i < steps && !m->violations; i++)
		step(m, c->races);
	kapi_set_resched(NULL, NULL);
	if (m->violations)
		printf("# seed %llu step %d: %s\n", seed, i, m->first);
	nm_fini(m);
	if (kapi_live() != before)
		printf("# seed %llu: %ld allocations leaked\n", seed, (long)(kapi_live() - before));
	return !m->violations && kapi_live() == before && kapi_warnings() == warned;
}

int main(int argc, char **argv)
{
	u64 seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	int steps = argc > 2 ? atoi(argv[2]) : 1500;
	unsigned int i;
	u64 s;

	printf("1..%zu\n", ARRAY_SIZE(configs));
	for (i = 0; i < ARRAY_SIZE(configs); i++) {
		bool ok = true;

		for (s = seed; s < seed + 8 && ok; s++)
			ok = run(&configs[i], s, steps);
		printf("%sok %u - %s\n", ok ? "" : "not ", i + 1, configs[i].name);
	}
	return 0;
}
