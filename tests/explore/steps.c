// SPDX-License-Identifier: GPL-2.0
/* Actors that take turns: each is a context with a stack of its own. See steps.h. */
#include <stdio.h>
#include <ucontext.h>

#include "tests/explore/steps.h"

#define STACK		(256 << 10)
#define STEPS_MAX	400000		/* whoever has not come to an end by then never will */

struct actor {
	ucontext_t context;
	void *stack;
	void (*fn)(unsigned int actor);
	int priority;
	bool over, waits;
};

static struct {
	struct actor actor[ACTORS];
	unsigned int nr;
	int me, last;
	int lowest;			/* priority that nobody has had yet */
	unsigned long change_at[STEPS_CHANGES];
	unsigned int nr_changes;
	unsigned long done, switches;
	ucontext_t chooser;		/* steps_run() */
} steps = { .me = -1 };

void steps_begin(void)
{
	steps.nr = 0;
	steps.nr_changes = 0;
	steps.lowest = -1;
	steps.last = -1;
	steps.done = 0;
}

void steps_change_at(unsigned long step)
{
	steps.change_at[steps.nr_changes++] = step;
}

static void start(void)
{
	struct actor *actor = &steps.actor[steps.me];

	actor->fn(steps.me);
	actor->over = true;
	steps_wake();
	swapcontext(&actor->context, &steps.chooser);
	abort();
}

void steps_actor(int priority, void (*fn)(unsigned int actor))
{
	struct actor *actor = &steps.actor[steps.nr++];

	if (!actor->stack)
		actor->stack = malloc(STACK);
	if (!actor->stack || getcontext(&actor->context))
		abort();
	actor->context.uc_stack.ss_sp = actor->stack;
	actor->context.uc_stack.ss_size = STACK;
	makecontext(&actor->context, start, 0);
	actor->fn = fn;
	actor->priority = priority;
	actor->over = actor->waits = false;
}

/* -1: nobody can go on. */
static int choose(bool *all_over)
{
	unsigned int i;
	int best = -1;

	*all_over = true;
	for (i = 0; i < steps.nr; i++) {
		const struct actor *actor = &steps.actor[i];

		if (actor->over)
			continue;
		*all_over = false;
		if (!actor->waits && (best < 0 || actor->priority > steps.actor[best].priority))
			best = i;
	}
	return best;
}

enum steps_end steps_run(void)
{
	bool all_over;
	int next;

	while ((next = choose(&all_over)) >= 0) {
		steps.switches += next != steps.last;
		steps.me = steps.last = next;
		swapcontext(&steps.chooser, &steps.actor[next].context);
		steps.me = -1;
		if (steps.done > STEPS_MAX)
			return STEPS_ENDLESS;
	}
	return all_over ? STEPS_OVER : STEPS_DEADLOCK;
}

int steps_me(void)
{
	return steps.me;
}

unsigned long steps_done(void)
{
	return steps.done;
}

unsigned long steps_switches(void)
{
	return steps.switches;
}

static void to_chooser(void)
{
	swapcontext(&steps.actor[steps.me].context, &steps.chooser);
}

void steps_give_way(void)
{
	if (steps.me < 0)
		return;
	steps.actor[steps.me].priority = steps.lowest--;
	to_chooser();
}

void steps_wait(void)
{
	if (steps.me < 0) {
		fprintf(stderr, "# waits, and there is nobody to wait for\n");
		abort();
	}
	steps.actor[steps.me].waits = true;
	to_chooser();
}

void steps_wake(void)
{
	unsigned int i;

	for (i = 0; i < steps.nr; i++)
		steps.actor[i].waits = false;
}

void kapi_step(void)
{
	unsigned int i;

	if (steps.me < 0)
		return;
	if (++steps.done > STEPS_MAX)
		to_chooser();
	for (i = 0; i < steps.nr_changes; i++) {
		if (steps.change_at[i] == steps.done) {
			steps_give_way();
			return;
		}
	}
}
