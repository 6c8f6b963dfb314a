// SPDX-License-Identifier: GPL-2.0
/*
 * The explorer of interleavings: many short runs of a few processors in shadow mode, each in an order of its own of
 * the accesses to what they share (docs/testing.md).
 *
 *   interleave [SEED [RUNS]] [-v]      -v: say all that happens; actor -1 is what comes before and after them
 */
#include <stdio.h>

#include "tests/explore/scenario.h"

#define RUNS		100000
#define RUNS_LONG	1000000

static struct scenario scenario;

int main(int argc, char **argv)
{
	bool traces = argc > 1 && !strcmp(argv[argc - 1], "-v");
	u64 seed = 1, runs = getenv("TEST_LONG") ? RUNS_LONG : RUNS, i;
	unsigned long steps = 0;

	argc -= traces;
	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		runs = strtoull(argv[2], NULL, 0);
	scenario.m.traces = traces;
	printf("1..1\n");
	for (i = 0; i < runs; i++) {
		if (!scenario_run(&scenario, seed + i)) {
			printf("not ok 1 - seed %llu: %s\n# again, step by step: %s %llu 1 -v\n",
			       seed + i, scenario.m.why, argv[0], seed + i);
			return 1;
		}
		steps += scenario.steps;
	}
	printf("ok 1 - %llu runs from seed %llu, %lu steps, %lu changes of actor\n",
	       runs, seed, steps, steps_switches());
	return 0;
}
