// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow mode against the model machine: random guests in every paging mode, a host that
 * never keeps still, audit after every step. One line of TAP for each configuration.
 *
 *	mmu_shadow [SEED [STEPS [LIVES [CONFIG]]]]
 *	mmu_shadow shrink CONFIG SEED STEPS	the few steps that matter, with what they do
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kapi_test.h"
#include "tests/model/shadow_machine.h"

#define STEPS_MAX	20000

static const struct sm_config configs[] = {
	{ "paging off", SM_OFF, 4, 3, 0, 10, false, false, false, false, false, 0 },
	{ "32-bit", SM_32, 4, 3, 0, 10, false, false, false, false, false, 0 },
	{ "32-bit with 4 MiB pages", SM_PSE, 4, 3, 0, 10, false, false, false, false, false, 0 },
	{ "PAE", SM_PAE, 4, 3, 0, 10, false, false, false, false, false, 0 },
	{ "4 levels", SM_LONG, 4, 3, 0, 5, false, false, false, false, false, 0 },
	{ "5 levels", SM_LA57, 5, 3, 0, 5, false, false, false, false, false, 0 },
	{ "4 levels, few shadow pages", SM_LONG, 4, 3, 12, 5, false, false, false, false,
	  false, 0 },
	{ "4 levels, guest runs until the flush", SM_LONG, 4, 3, 0, 5, false, true, false,
	  false, false, 0 },
	{ "4 levels, stale answers", SM_LONG, 4, 3, 0, 5, true, false, false, false, false, 0 },
	{ "4 levels, lock dropped between chunks", SM_LONG, 4, 3, 0, 5, false, false, true,
	  false, false, 0 },
	{ "paging off, everything", SM_OFF, 4, 3, 0, 30, true, true, true, true, false, 0 },
	{ "32-bit, everything", SM_PSE, 4, 2, 0, 10, true, true, true, true, false, 0 },
	{ "PAE, everything", SM_PAE, 5, 2, 10, 10, true, true, true, true, false, 0 },
	{ "4 levels, everything", SM_LONG, 4, 2, 0, 10, true, true, true, true, false, 0 },
	{ "4 levels under a host with 5, everything", SM_LONG, 5, 3, 20, 10, true, true, true,
	  true, false, 0 },
	{ "5 levels, everything", SM_LA57, 5, 3, 0, 10, true, true, true, true, false, 0 },
	{ "32-bit, with parts switched off", SM_PSE, 4, 3, 0, 10, true, true, true, true, true, 0 },
	{ "PAE, with parts switched off", SM_PAE, 4, 3, 0, 10, true, true, true, true, true, 0 },
	{ "4 levels, with parts switched off", SM_LONG, 4, 3, 0, 5, false, false, false,
	  false, true, 0 },
	{ "4 levels, everything, with parts switched off", SM_LONG, 4, 3, 20, 10, true, true,
	  true, true, true, 0 },
	{ "4 levels, compared in pieces", SM_LONG, 4, 3, 0, 5, false, true, true, false, false, 4 },
	{ "5 levels, few shadow pages, compared in pieces, everything", SM_LA57, 5, 3, 16, 10,
	  true, true,
	  true, true, false, 16 },
};

static struct sm machine;
static struct sm_op ops[STEPS_MAX];
static bool left_out[STEPS_MAX];

static bool ask_resched(void)
{
	return sm_random(&machine, 3) == 0;
}

static void others_run(void)
{
	sm_others_run(&machine);
}

/* The steps that are not left out. Returns whether nothing was wrong. */
static bool run(const struct sm_config *c, u64 seed, int steps, bool say)
{
	struct sm *m = &machine;
	unsigned long before = kapi_live(), warned = kapi_warnings();
	u64 rng = seed * 0x9e3779b97f4a7c15ULL | 1;
	int i;

	for (i = 0; i < steps; i++)
		sm_op_random(&ops[i], &rng);
	if (sm_init(m, c, seed))
		return false;
	if (c->yields)
		kapi_set_resched(ask_resched, others_run);
	for (i = 0; i < steps && !m->violations && kapi_warnings() == warned; i++) {
		m->step = i;
		if (!left_out[i])
			sm_op_do(m, &ops[i]);
	}
	kapi_set_resched(NULL, NULL);
	if (m->violations && say)
		printf("# seed %llu step %d: %s\n", seed, i - 1, m->first);
	sm_fini(m);
	if (kapi_live() != before && say)
		printf("# seed %llu: %ld allocations leaked\n", seed, (long)(kapi_live() - before));
	if (kapi_warnings() != warned && say)
		printf("# seed %llu step %d: a warning\n", seed, i - 1);
	return !m->violations && kapi_live() == before && kapi_warnings() == warned;
}

/* In a process of its own: what crashes is wrong as well. */
static bool fails(const struct sm_config *c, u64 seed, int steps)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(0);
		kapi_warn_quiet(true);
		_exit(run(c, seed, steps, false) ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	return status != 0;
}

/* Leave out ever smaller pieces as long as it still fails. */
static void shrink(const struct sm_config *c, u64 seed, int steps)
{
	int piece, at, i, n = 0;

	if (!fails(c, seed, steps)) {
		printf("# nothing fails\n");
		return;
	}
	for (piece = steps / 2; piece; piece /= 2) {
		for (at = 0; at < steps; at += piece) {
			bool before[STEPS_MAX];

			memcpy(before, left_out, sizeof(before));
			for (i = at; i < min(at + piece, steps); i++)
				left_out[i] = true;
			if (!memcmp(before, left_out, sizeof(before)) || fails(c, seed, steps))
				continue;
			memcpy(left_out, before, sizeof(before));
		}
	}
	for (i = 0; i < steps; i++)
		n += !left_out[i];
	printf("# %d of %d steps:\n", n, steps);
	machine.trace = true;
	setvbuf(stdout, NULL, _IOLBF, 0);
	run(c, seed, steps, true);
}

static void life(const struct sm_config *c, unsigned int n, u64 seed, int steps, int lives)
{
	unsigned long accesses = 0, faults = 0, reflected = 0, emulated = 0, mmio = 0, busy = 0;
	bool ok = true;
	u64 s;

	for (s = seed; s < seed + lives && ok; s++) {
		ok = run(c, s, steps, true);
		accesses += machine.accesses;
		faults += machine.faults;
		reflected += machine.reflected;
		emulated += machine.emulated;
		mmio += machine.mmio;
		busy += machine.busy;
	}
	printf("# %lu accesses, %lu faults, %lu reflected, %lu emulated, %lu mmio, %lu unfinished\n",
	       accesses, faults, reflected, emulated, mmio, busy);
	printf("%sok %u - %s\n", ok ? "" : "not ", n, c->name);
}

int main(int argc, char **argv)
{
	int lives = argc > 3 ? atoi(argv[3]) : getenv("TEST_LONG") ? 400 : 10;
	unsigned int i = argc > 4 ? atoi(argv[4]) % ARRAY_SIZE(configs) : 0;
	unsigned int last = argc > 4 ? i : ARRAY_SIZE(configs) - 1;

	if (argc == 5 && !strcmp(argv[1], "shrink")) {
		shrink(&configs[atoi(argv[2]) % ARRAY_SIZE(configs)], strtoull(argv[3], NULL, 0),
		       min(atoi(argv[4]), STEPS_MAX));
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%u\n", last - i + 1);
	for (; i <= last; i++)
		life(&configs[i], i + 1, argc > 1 ? strtoull(argv[1], NULL, 0) : 1,
		     argc > 2 ? min(atoi(argv[2]), STEPS_MAX) : 600, lives);
	return 0;
}
