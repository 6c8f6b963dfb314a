// SPDX-License-Identifier: GPL-2.0
/*
 * Runs in the test host: boots guests whose RAM is anonymous memory or files, lets them idle or
 * work, starts the scanner that finds their equal pages, and follows what it saves and what it
 * costs. One call measures one set of guests; bench/sharing-in-host calls it for KSM and for
 * penumbra_mem in one boot.
 *
 *	bench-sharing RESULT LABEL [options] -- qemu-system-x86_64 ARGUMENT...
 *
 *	--files DIR		RAM files in DIR, on a penumbra mount (else KSM)
 *	--guests N --mib M	how many, how large (1, 96)
 *	--kernels A,B,...	the guests run /boot/guest/vmlinuz-A, -B, ... in turn
 *	--type TEXT		typed on each guest's console when all are up
 *	--settle S		seconds from then until measuring starts (10)
 *	--window S		least length of a measured window (20)
 *	--catch-up P --steady P	pages a second until all is found, and afterwards (50000, 5000)
 *	--compare A,B,...	nothing but exact comparisons, of the first A, the first B, ... guests,
 *				labelled LABEL-A, LABEL-B, ...
 *	--equal PROGRAM		bench-equal-pages
 *
 * The phases, and the lines appended to RESULT (separated by tabs; see window_end()):
 *
 *	idle		nothing scans
 *	equal		the paused guests compared exactly, "before"
 *	catch-up	the scanner starts; "sample LABEL CPU_NS SAVED ROUNDS" until nothing is added
 *	fast		it goes on at that pace, for at least two rounds
 *	steady		the same at the other pace
 *	equal		compared again, "after"; saved then: "final LABEL PAUSED SETTLED"
 *
 * Time and CPU time are the emulated processor's: nanoseconds that are instructions
 * (docs/measuring.md).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sharing.h"

#define SECOND_NS	1000000000ull
#define SAMPLE_NS	(SECOND_NS / 20)
#define CATCH_UP_MAX_NS	(900 * SECOND_NS)
#define STEADY_MAX_NS	(600 * SECOND_NS)
#define MAX_KERNELS	4
#define MAX_ARGS	48

struct options {
	const char *label, *dir, *kernels, *input, *equal;
	unsigned int guests, mib;
	uint64_t settle_ns, window_ns, catch_up, steady;
	char *compare;
	char **qemu_argv;
};

struct measured {
	uint64_t ns, guests_ns, exits, all_ns;
	struct scan_state scan;
};

struct run {
	struct options opt;
	FILE *result;
	struct scanner scanner;
	struct guests guests;
	struct measured start;		/* of the window */
};

/* CPU time of everything but this program: nothing that a scanner causes can hide. */
static uint64_t all_cpu_ns(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint64_t sum = 0;
	pid_t pid;

	while ((entry = readdir(proc))) {
		pid = (pid_t)atoi(entry->d_name);
		if (pid > 0 && pid != getpid())
			sum += process_cpu_ns(pid);
	}
	closedir(proc);
	return sum;
}

static void measure(struct run *run, struct measured *m)
{
	m->exits = guests_exits(&run->guests);
	run->scanner.read(&run->scanner, &m->scan);
	m->guests_ns = guests_cpu_ns(&run->guests);
	m->all_ns = all_cpu_ns();
	m->ns = now_ns();
}

static void window_begin(struct run *run)
{
	measure(run, &run->start);
}

/* window LABEL NAME NS SCANNER_NS GUESTS_NS OTHER_NS EXITS ROUNDS VISITED SAVED */
static void window_end(struct run *run, const char *name)
{
	struct measured end, *start = &run->start;
	uint64_t scanner, guests;

	measure(run, &end);
	scanner = end.scan.cpu_ns - start->scan.cpu_ns;
	guests = end.guests_ns - start->guests_ns;
	fprintf(run->result, "window\t%s\t%s\t%lu\t%lu\t%lu\t%ld\t%lu\t%lu\t%lu\t%lu\n",
		run->opt.label, name, end.ns - start->ns, scanner, guests,
		(long)(end.all_ns - start->all_ns - guests - scanner),
		end.exits - start->exits, end.scan.rounds - start->scan.rounds,
		end.scan.visited - start->scan.visited, end.scan.saved);
	fflush(run->result);
}

/* The first @guests of them, which are paused. */
static void compare_exactly(struct run *run, const char *set, const char *when, size_t guests)
{
	char label[128], source[SHARING_MAX_GUESTS][SHARING_PATH_BYTES];
	char *argv[SHARING_MAX_GUESTS + 4];
	int n = 0, status;
	pid_t pid;

	snprintf(label, sizeof(label), "%s\t%s", set, when);
	argv[n++] = (char *)run->opt.equal;
	argv[n++] = (char *)"--tsv";
	argv[n++] = label;
	for (size_t i = 0; i < guests; i++) {
		guests_source(&run->guests, &run->scanner, i, source[i]);
		argv[n++] = source[i];
	}
	argv[n] = NULL;
	fflush(run->result);
	pid = fork();
	if (!pid) {
		dup2(fileno(run->result), 1);
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		errno = EIO;
		qemu_die(argv[0]);
	}
}

static void sample(struct run *run, struct scan_state *state)
{
	run->scanner.read(&run->scanner, state);
	fprintf(run->result, "sample\t%s\t%lu\t%lu\t%lu\n", run->opt.label,
		state->cpu_ns - run->start.scan.cpu_ns, state->saved,
		state->rounds - run->start.scan.rounds);
}

/* Until a round, after the first two, has added less than a thousandth. */
static void scan_until_stable(struct run *run)
{
	uint64_t limit = now_ns() + CATCH_UP_MAX_NS, mark_rounds, mark_saved = 0;
	struct scan_state state;

	run->scanner.run(&run->scanner, run->opt.catch_up);
	mark_rounds = run->start.scan.rounds + 2;
	do {
		guests_wait_ns(&run->guests, SAMPLE_NS);
		sample(run, &state);
		if (state.rounds < mark_rounds)
			continue;
		if (mark_saved && state.saved <= mark_saved + mark_saved / 1000)
			return;
		mark_rounds = state.rounds + 1;
		mark_saved = state.saved;
		fflush(run->result);
	} while (now_ns() < limit);
	fprintf(stderr, "bench-sharing: %s: savings still change\n", run->opt.label);
}

/* Everything has been found: what does it cost to go on at this pace? */
static void scan_steadily(struct run *run, const char *name, uint64_t pages_per_second)
{
	uint64_t start, now;
	struct scan_state state;

	run->scanner.run(&run->scanner, pages_per_second);
	guests_wait_ns(&run->guests, SECOND_NS);	/* the other pace has taken effect */
	window_begin(run);
	start = now_ns();
	do {
		guests_wait_ns(&run->guests, SECOND_NS);
		run->scanner.read(&run->scanner, &state);
		now = now_ns();
	} while (now < start + run->opt.window_ns / (pages_per_second == run->opt.steady ? 1 : 4) ||
		 (state.rounds < run->start.scan.rounds + 2 && now < start + STEADY_MAX_NS));
	window_end(run, name);
}

/* What is saved of what the same moment's exact comparison says, and after scanning on. */
static void compare_savings(struct run *run)
{
	struct scan_state paused, settled;

	guests_pause(&run->guests, true);
	run->scanner.read(&run->scanner, &paused);
	run->scanner.run(&run->scanner, run->opt.catch_up);
	settled = paused;
	while (settled.rounds < paused.rounds + 4) {
		guests_wait_ns(&run->guests, SAMPLE_NS);
		run->scanner.read(&run->scanner, &settled);
	}
	run->scanner.stop(&run->scanner);
	compare_exactly(run, run->opt.label, "after", run->guests.nr);
	fprintf(run->result, "final\t%s\t%lu\t%lu\n", run->opt.label, paused.saved, settled.saved);
}

static void report_set(struct run *run, const char *label, const char *scanner, size_t guests)
{
	fprintf(run->result, "set\t%s\t%s\t%zu\t%u\t%s\n", label, scanner, guests, run->opt.mib,
		run->opt.kernels);
}

static void compare_only(struct run *run)
{
	char label[128];
	size_t guests;

	guests_pause(&run->guests, true);
	for (char *at = strtok(run->opt.compare, ","); at; at = strtok(NULL, ",")) {
		guests = strtoul(at, NULL, 10);
		if (!guests || guests > run->guests.nr)
			continue;
		snprintf(label, sizeof(label), "%.100s-%zu", run->opt.label, guests);
		report_set(run, label, "exact", guests);
		compare_exactly(run, label, "after", guests);
	}
}

static void measure_set(struct run *run)
{
	if (run->opt.input)
		guests_type(&run->guests, run->opt.input);
	guests_wait_ns(&run->guests, run->opt.settle_ns);
	if (run->opt.compare) {
		compare_only(run);
		return;
	}
	report_set(run, run->opt.label, run->scanner.name, run->guests.nr);
	window_begin(run);
	guests_wait_ns(&run->guests, run->opt.window_ns);
	window_end(run, "idle");
	guests_pause(&run->guests, true);
	compare_exactly(run, run->opt.label, "before", run->guests.nr);
	guests_pause(&run->guests, false);
	window_begin(run);
	scan_until_stable(run);
	window_end(run, "catch-up");
	scan_steadily(run, "fast", run->opt.catch_up);
	scan_steadily(run, "steady", run->opt.steady);
	compare_savings(run);
}

/* --- guests and arguments -------------------------------------------------- */

static void start_guests(struct run *run)
{
	char names[128], path[160], *kernel[MAX_KERNELS], *argv[MAX_ARGS];
	size_t kernels = 0, n;

	snprintf(names, sizeof(names), "%s", run->opt.kernels);
	for (char *at = strtok(names, ","); at && kernels < MAX_KERNELS; at = strtok(NULL, ","))
		kernel[kernels++] = at;
	for (n = 0; run->opt.qemu_argv[n] && n < MAX_ARGS - 3; n++)
		argv[n] = run->opt.qemu_argv[n];
	argv[n] = (char *)"-kernel";
	argv[n + 1] = path;
	argv[n + 2] = NULL;
	for (unsigned int i = 0; i < run->opt.guests; i++) {
		snprintf(path, sizeof(path), "/boot/guest/vmlinuz-%s", kernel[i % kernels]);
		guests_add(&run->guests, &run->scanner, argv);
	}
}

static void usage(void)
{
	fprintf(stderr, "usage: bench-sharing RESULT LABEL [options] -- QEMU ARGUMENT...\n");
	exit(2);
}

static void parse(struct options *opt, int argc, char **argv)
{
	static const struct option names[] = {
		{ "files", 1, NULL, 'f' }, { "guests", 1, NULL, 'n' }, { "mib", 1, NULL, 'm' },
		{ "kernels", 1, NULL, 'k' }, { "type", 1, NULL, 't' }, { "settle", 1, NULL, 's' },
		{ "window", 1, NULL, 'w' }, { "catch-up", 1, NULL, 'c' }, { "steady", 1, NULL, 'p' },
		{ "equal", 1, NULL, 'e' }, { "compare", 1, NULL, 'o' }, { 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "+", names, NULL)) >= 0) {
		uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (c) {
		case 'f': opt->dir = optarg; break;
		case 'n': opt->guests = (unsigned int)number; break;
		case 'm': opt->mib = (unsigned int)number; break;
		case 'k': opt->kernels = optarg; break;
		case 't': opt->input = optarg; break;
		case 's': opt->settle_ns = number * SECOND_NS; break;
		case 'w': opt->window_ns = number * SECOND_NS; break;
		case 'c': opt->catch_up = number; break;
		case 'p': opt->steady = number; break;
		case 'e': opt->equal = optarg; break;
		case 'o': opt->compare = optarg; break;
		default: usage();
		}
	}
	opt->qemu_argv = argv + optind;
	if (!*opt->qemu_argv || !opt->guests || opt->guests > SHARING_MAX_GUESTS || !opt->mib)
		usage();
}

int main(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run || argc < 4)
		usage();
	run->opt = (struct options){
		.label = argv[2], .dir = "", .kernels = "6.1-cloud", .guests = 1, .mib = 96,
		.equal = "/tmp/bench/bench-equal-pages", .settle_ns = 10 * SECOND_NS,
		.window_ns = 20 * SECOND_NS, .catch_up = 50000, .steady = 5000,
	};
	parse(&run->opt, argc - 2, argv + 2);
	run->result = fopen(argv[1], "a");
	if (!run->result)
		qemu_die(argv[1]);
	setvbuf(run->result, NULL, _IOFBF, 1 << 20);
	scanner_init(&run->scanner, run->opt.dir);
	run->guests.mib = run->opt.mib;
	start_guests(run);
	measure_set(run);
	guests_end(&run->guests, &run->scanner);
	if (fclose(run->result))
		qemu_die(argv[1]);
	return 0;
}
