// SPDX-License-Identifier: GPL-2.0
/*
 * RAM files against the model machine: random operations on several files and groups
 * while others never keep still, audit and comparison again and again. One line of TAP
 * for each configuration.
 *
 *	mem_file [seed [steps [every]]]		every: steps between full comparisons
 *	mem_file shrink CONFIG SEED STEPS	the fewest operations that still fail
 *
 * A failure names configuration, seed and step; the second form then shows the way there.
 */
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kapi_test.h"
#include "tests/model/mem_ops.h"

static const struct mm_config configs[] = {
	{ "4 KiB, quiet", false, 16, 0, 0, 0 },
	{ "2 MiB, quiet", true, 16, 0, 0, 0 },
	{ "4 KiB, others run", false, 16, 0, 0, 30 },
	{ "2 MiB, others run", true, 16, 0, 0, 30 },
	{ "4 KiB, memory short at times", false, 8, 0, 40, 20 },
	{ "2 MiB, memory short at times", true, 8, 0, 40, 20 },
	{ "4 KiB, a small pool", false, 16, 900, 0, 20 },
	{ "2 MiB, a small pool, no reserve", true, 0, 2600, 10, 20 },
};

static struct mm machine;

/* What is under way, for the last words. */
static struct {
	const struct mm_config *config;
	u64 seed;
	int step;
} at;

static void make(struct mm_op *ops, u64 seed, int steps)
{
	u64 rng = seed * 0x9e3779b97f4a7c15ull | 1;
	int i;

	for (i = 0; i < steps; i++)
		mm_op_random(&ops[i], &rng);
}

/* Something to begin with: two files of a group, mapped. */
static void set_up(struct mm *m)
{
	mm_file_new(m, 0, 0, MM_PAGES, false);
	mm_file_new(m, 1, 0, MM_PAGES - 3, false);
	mm_vma_new(m, 0, 0, 0, MM_PAGES, true, true);
	mm_vma_new(m, 1, 1, 0, MM_PAGES, true, true);
	mm_vma_new(m, 2, 0, 0, MM_PAGES, true, false);
	mm_vma_new(m, 3, 1, 0, MM_PAGES, false, true);
}

static void run(const struct mm_config *c, const struct mm_op *ops, int steps, int every)
{
	unsigned long before = kapi_live(), warned = kapi_warnings();
	struct mm *m = &machine;
	int i;

	if (mm_init(m, c)) {
		mm_violation(m, "there is no machine", -1, 0);
		return;
	}
	set_up(m);
	for (i = 0; i < steps && !m->violations; i++) {
		at.step = i;
		mm_op_do(m, &ops[i]);
		if (i % every == every - 1)
			mm_check_all(m);
		else if (every > 1 && i % 16 == 15)
			mm_check(m);
		if (kapi_warnings() != warned)
			mm_violation(m, "a warning", -1, 0);
	}
	at.step = i;
	if (!m->violations)
		mm_scan_to_end(m);
	if (!m->violations)
		mm_check_all(m);
	if (m->violations)
		return;
	mm_fini(m);
	if (kapi_live() != before)
		mm_violation(m, "allocations are left", -1, kapi_live() - before);
}

static void say_where(const char *what)
{
	printf("# %s, seed %llu, until step %d: %s\n", at.config->name, at.seed, at.step, what);
	printf("# mem_file shrink %zu %llu %d\n", at.config - configs, at.seed, at.step + 1);
	fflush(stdout);
}

static void died(void)
{
	say_where("died");
}

/* The other sanitizer does not ask died(). */
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "abort_on_error=1:print_stacktrace=1";
}

static void aborted(int signal)
{
	died();
	_exit(1);
}

static bool run_seed(const struct mm_config *c, u64 seed, int steps, int every)
{
	struct mm_op *ops = calloc(steps, sizeof(*ops));

	at.config = c;
	at.seed = seed;
	make(ops, seed, steps);
	run(c, ops, steps, every);
	free(ops);
	if (machine.violations)
		say_where(machine.first);
	return !machine.violations;
}

/* ---------------------------------------------------------------- shrinking -- */

/* In a process of its own: it may crash, or hang. */
static bool fails(const struct mm_config *c, const struct mm_op *ops, int steps)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(0);
		alarm(60);
		run(c, ops, steps, 1);
		_exit(machine.violations != 0);
	}
	waitpid(pid, &status, 0);
	return status != 0;
}

static int without(struct mm_op *ops, int steps, int from, int nr)
{
	memmove(&ops[from], &ops[from + nr], (steps - from - nr) * sizeof(*ops));
	return steps - nr;
}

static void shrink(const struct mm_config *c, u64 seed, int steps)
{
	struct mm_op *ops = calloc(steps, sizeof(*ops)), *try = calloc(steps, sizeof(*ops));
	int piece, from, i;

	make(ops, seed, steps);
	if (!fails(c, ops, steps))
		printf("# it does not fail\n");
	for (piece = max(steps / 2, 1); piece; piece /= 2) {
		for (from = 0; from + piece <= steps;) {
			memcpy(try, ops, steps * sizeof(*ops));
			if (fails(c, try, without(try, steps, from, piece)))
				steps = without(ops, steps, from, piece);
			else
				from += piece;
		}
	}
	for (i = 0; i < steps; i++)
		printf("# %-12s a %d %d %d, b %d %d, flags %02x, pages %llu %llu, nr %u, seed %u\n",
		       mm_op_name(&ops[i]), ops[i].a % MM_FILES, ops[i].a % MM_VMAS,
		       ops[i].a % MM_PINS,
		       ops[i].b % MM_FILES, ops[i].b % MM_PINS, ops[i].flags, mm_op_index(ops[i].x),
		       mm_op_index(ops[i].y), ops[i].nr, ops[i].seed);
	fflush(stdout);
	run(c, ops, steps, 1);
	printf("# %s\n", machine.first);
	fflush(stdout);
	free(ops);
	free(try);
}

int main(int argc, char **argv)
{
	bool is_long = getenv("TEST_LONG"), all_ok = true;
	int steps, every, seeds = is_long ? 400 : 16;
	unsigned int i;
	u64 seed, s;

	if (argc == 5 && !strcmp(argv[1], "shrink")) {
		shrink(&configs[atoi(argv[2]) % ARRAY_SIZE(configs)], strtoull(argv[3], NULL, 0),
		       atoi(argv[4]));
		return 0;
	}
	__sanitizer_set_death_callback(died);
	signal(SIGABRT, aborted);
	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	steps = argc > 2 ? atoi(argv[2]) : 2000;
	every = argc > 3 ? max(atoi(argv[3]), 1) : 200;
	printf("1..%zu\n", ARRAY_SIZE(configs));
	for (i = 0; i < ARRAY_SIZE(configs); i++) {
		bool ok = true;

		for (s = seed; s < seed + seeds && ok; s++)
			ok = run_seed(&configs[i], s, steps, every);
		printf("%sok %u - %s\n", ok ? "" : "not ", i + 1, configs[i].name);
		all_ok &= ok;
	}
	fflush(stdout);
	if (!all_ok)
		_exit(1);	/* what a failed run left is no leak of its own */
	return 0;
}
