/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One run: a machine, the guest's tables, a few addresses and entries that everything is about, and what each
 * actor does. Everything follows from the seed.
 */
#ifndef PENUMBRA_TESTS_EXPLORE_SCENARIO_H
#define PENUMBRA_TESTS_EXPLORE_SCENARIO_H

#include "tests/explore/machine.h"
#include "tests/explore/steps.h"

#define OPS		5		/* of an actor, at most */
#define HOT		3

/* The guest's tables, by gfn, and where its data is. See tables.c. */
enum {
	ROOT = 1, ROOTS = 3,
	USER3 = 5, USER2, LEAF_A, LEAF_B, LEAF_C, WINDOW, OTHER2, USER3_B,
	KERNEL3, KERNEL3_B, KERNEL2, KERNEL_A, KERNEL_B, KERNEL_C,
	OWN3_A, OWN2_A, OWN3_B, OWN2_B, OWN,
	TABLES,
	DATA = 32, DATA_FRAMES = 30,
};

/* Places that belong together. */
enum area { AREA_USER, AREA_USER_B, AREA_KERNEL, AREA_OWN, AREAS };

struct op {
	u8 kind;
	u8 arg;			/* place, root, frame, or which entry of tables.c */
	bool write, user;
	u64 value;
};

struct scenario {
	struct machine m;
	bool large_entries;		/* the guest has large pages */
	bool wp_changes;		/* CR0.WP, in this run */
	bool cold;			/* what is hot is not touched before */
	bool short_actors;		/* some have a few accesses only, and changes come early */
	unsigned int hot_place[HOT], nr_hot_places;
	unsigned int hot_entry[HOT], nr_hot_entries;
	struct op script[ACTORS][OPS];
	unsigned int nr_ops[ACTORS], nr_actors;
	unsigned long steps;
};

/* ---- tables.c ---- */

void tables_make(struct scenario *s);
unsigned int tables_place(struct scenario *s, enum area area);
unsigned int tables_any_place(struct scenario *s);
/* The place at which the guest writes a table; -1: no more places. */
int tables_window(struct machine *m, gfn_t gfn);
unsigned int tables_any_entry(struct scenario *s);
/* Something for an entry to become; and where it is. */
u64 tables_value(struct scenario *s, unsigned int entry);
struct edit tables_edit(unsigned int entry, u64 value);
/* Is the entry on the way from a root, any, to the place? */
bool tables_on_the_way(struct scenario *s, unsigned int entry, unsigned int place);

/* ---- ops.c ---- */

void op_do(struct scenario *s, unsigned int cpu, const struct op *op);
void op_trace(const struct scenario *s, unsigned int actor, const struct op *op);
struct op op_access(struct scenario *s, bool write);
struct op op_edit(struct scenario *s, bool by_guest);
struct op op_flush(struct scenario *s, unsigned int cpu);
struct op op_of_guest(struct scenario *s);
struct op op_of_host(struct scenario *s);

/* ---- prepare.c ---- */

/* Everything before the actors begin, by one after the other. */
void prepare(struct scenario *s);

/* ---- scenario.c ---- */

/* False: s->m.why says what was wrong. */
bool scenario_run(struct scenario *s, u64 seed);

#endif
