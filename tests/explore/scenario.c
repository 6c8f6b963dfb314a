// SPDX-License-Identifier: GPL-2.0
/*
 * A run from its beginning to its end: it is prepared, then actors do what they are to do in an order that the seed
 * chooses, then all is looked at once more: without a flush, and after one; the audit; the dirty log.
 *
 *   actors 0 to 2   a processor each: accesses, changes of tables, flushes
 *   actor 3         the host, in some runs: moves and drops pages, reclaims, copies what is dirty
 */
#include "kapi_test.h"
#include "tests/explore/scenario.h"

#define STEPS_USUAL	1600	/* of the actors of a run, about */
#define STEPS_EARLY	600

/* Actors and what is called back have no argument. */
static struct scenario *running;

static void run_actor(unsigned int actor)
{
	struct scenario *s = running;
	unsigned int i;

	for (i = 0; i < s->nr_ops[actor] && !s->m.failed; i++)
		op_do(s, actor < CPUS ? actor : 0, &s->script[actor][i]);
}

/* need_resched(), in some runs: long work is cut where it may be. */
static bool sometimes(void)
{
	return steps_me() >= 0 && !any(&running->m, 8);
}

/* As a guest does it: a change, the flush that belongs to it, what follows. */
static void write_edit(struct scenario *s, unsigned int actor)
{
	struct op *op = s->script[actor];
	struct machine *m = &s->m;

	s->nr_ops[actor] = 3 + any(m, 2);
	op[0] = op_edit(s, any(m, 2));
	op[1] = op_flush(s, actor);
	op[2] = op_access(s, any(m, 2));
	op[3] = op_access(s, any(m, 2));
}

static void write_script(struct scenario *s, unsigned int actor)
{
	struct op *op = s->script[actor];
	struct machine *m = &s->m;
	unsigned int i;

	if (s->short_actors && actor < 2 && any(m, 4)) {
		s->nr_ops[actor] = 1 + any(m, 2);
		op[0] = op_access(s, any(m, 2));
		op[1] = op_access(s, any(m, 2));
	} else if (actor < CPUS && any(m, 2)) {
		write_edit(s, actor);
	} else {
		s->nr_ops[actor] = 1 + any(m, actor < CPUS ? 4 : 2);
		for (i = 0; i < s->nr_ops[actor]; i++)
			op[i] = actor < CPUS ? op_of_guest(s) : op_of_host(s);
	}
	for (i = 0; i < s->nr_ops[actor]; i++)
		op_trace(s, actor, &op[i]);
}

static void write_scripts(struct scenario *s)
{
	unsigned int i;

	s->short_actors = any(&s->m, 2);
	s->nr_actors = CPUS + (s->m.host.logs || !any(&s->m, s->short_actors ? 4 : 2));
	for (i = 0; i < s->nr_actors; i++)
		write_script(s, i);
}

/* False: it did not come to its end, and nothing can be asked any more. */
static bool run_actors(struct scenario *s)
{
	struct machine *m = &s->m;
	unsigned int nr = any(m, 6), i;
	enum steps_end end;

	for (i = 0; i < nr; i++)
		steps_change_at(1 + any(m, s->short_actors ? STEPS_EARLY : any(m, 2) ? STEPS_USUAL : STEPS_USUAL / 4));
	for (i = 0; i < s->nr_actors; i++)
		steps_actor(any(m, 1000), run_actor);
	end = steps_run();
	s->steps = steps_done();
	if (end == STEPS_DEADLOCK)
		wrong(m, "deadlock", 0, 0);
	if (end == STEPS_ENDLESS)
		wrong(m, "without an end", s->steps, 0);
	return end == STEPS_OVER;
}

static void access_hot(struct scenario *s, unsigned int c, bool write)
{
	unsigned int i;

	for (i = 0; i < s->nr_hot_places && !s->m.failed; i++)
		cpu_access(&s->m, c, &(struct access){ .place = s->hot_place[i], .write = write, .user = true });
}

static void look_at_all(struct scenario *s)
{
	struct machine *m = &s->m;
	unsigned int c;

	for (c = 0; c < CPUS && !m->failed; c++) {
		access_hot(s, c, false);
		access_hot(s, c, true);
	}
	machine_audit(m);
	for (c = 0; c < CPUS && !m->failed; c++) {
		cpu_load(m, c, ROOT + any(m, ROOTS), MMU_LOAD_CR3);
		access_hot(s, c, any(m, 2));
	}
	machine_audit(m);
	host_check_log(m);
}

bool scenario_run(struct scenario *s, u64 seed)
{
	struct machine *m = &s->m;
	unsigned long warnings = kapi_warnings();

	running = s;
	steps_begin();
	machine_init(m, seed);
	kapi_set_resched(any(m, 4) ? NULL : sometimes, kapi_step);
	prepare(s);
	write_scripts(s);
	if (!run_actors(s))
		return false;
	look_at_all(s);
	machine_fini(m);
	if (kapi_warnings() != warnings)
		wrong(m, "a warning", kapi_warnings() - warnings, 0);
	return !m->failed;
}
