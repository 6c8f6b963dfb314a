// SPDX-License-Identifier: GPL-2.0
/*
 * Runs in the test host: starts QEMU with the workload as its guest, follows
 * the workload's report on the guest's serial line, and at each phase
 * boundary, while the guest waits, reads the vCPU's exit counters.
 *
 *	bench-runner ENGINE RESULT [--reasons] -- qemu-system-x86_64 ARGUMENT...
 *	bench-runner ENGINE RESULT -- WORKLOAD          (ENGINE "native")
 *
 *   this program --serial--> workload      "@begin fork" ... "\n"
 *                --QMP-----> QEMU          query-stats: KVM's binary statistics
 *                --tracefs-> kvm:kvm_exit  exits by reason (--reasons only)
 *
 * Lines appended to RESULT, fields separated by tabs:
 *
 *	op	ENGINE	NAME	MIN	MEDIAN	OPERATIONS	EXITS
 *	boot	ENGINE	TICKS	GUEST_TICKS	EXITS
 *	reason	ENGINE	PHASE	REASON	COUNT
 *	stat	ENGINE	PHASE	NAME	CHANGE
 *	scale	ENGINE	NAME	PROCESSES	TICKS
 *
 * Ticks are of this machine's TSC, from just before QEMU is executed to the
 * line's arrival.  MIN and MEDIAN are hundredths of ticks (see workload.c).
 * Reading the histogram of reasons makes every exit dearer, so ticks of a run
 * with --reasons mean nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "qemu.h"

#define TRIGGER		"/sys/kernel/tracing/events/kvm/kvm_exit/trigger"
#define HISTOGRAM	"/sys/kernel/tracing/events/kvm/kvm_exit/hist"
#define HIST_SPEC	"hist:keys=exit_reason:size=512"
#define MAX_REASONS	512
#define LINE_MAX_BYTES	65536

struct snapshot {
	struct counter stat[QEMU_MAX_STATS];
	size_t stats;
	struct counter reason[MAX_REASONS];
	size_t reasons;
};

struct run {
	const char *engine;
	FILE *result;
	bool reasons;
	bool native;			/* no QEMU: qemu.pid is the workload's */
	struct qemu qemu;
	FILE *from_workload;
	uint64_t start;
	struct snapshot before, now;
	char line[LINE_MAX_BYTES];	/* of the workload */
};

/* Histogram lines look like "{ exit_reason:        114 } hitcount:       1234". */
static void read_reasons(struct snapshot *snap)
{
	char line[256], name[32];
	unsigned long reason, hits;
	FILE *file = fopen(HISTOGRAM, "r");

	if (!file)
		qemu_die(HISTOGRAM);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "{ exit_reason: %lu } hitcount: %lu", &reason, &hits) == 2) {
			snprintf(name, sizeof(name), "%#lx", reason);
			counter_add(snap->reason, &snap->reasons, MAX_REASONS, name, hits);
		}
	fclose(file);
}

static void take_snapshot(struct run *run)
{
	struct snapshot *snap = &run->now;

	snap->reasons = 0;
	if (run->native)
		return;
	snap->stats = qemu_stats(&run->qemu, snap->stat, QEMU_MAX_STATS);
	if (run->reasons)
		read_reasons(snap);
}

static void report_changes(struct run *run, const char *kind, const char *phase,
			   const struct counter *now, size_t count,
			   const struct counter *before, size_t before_count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t change = now[i].value -
			counter_value(before, before_count, now[i].name);

		if (change)
			fprintf(run->result, "%s\t%s\t%s\t%s\t%lu\n", kind, run->engine,
				phase, now[i].name, change);
	}
}

static void report_phase(struct run *run, const char *phase)
{
	const struct snapshot *was = &run->before, *is = &run->now;

	report_changes(run, "stat", phase, is->stat, is->stats, was->stat, was->stats);
	report_changes(run, "reason", phase, is->reason, is->reasons, was->reason, was->reasons);
}

static uint64_t exits_since(const struct run *run)
{
	return counter_value(run->now.stat, run->now.stats, "exits") -
	       counter_value(run->before.stat, run->before.stats, "exits");
}

static void resume_guest(struct run *run)
{
	if (!run->native && write(run->qemu.serial, "\n", 1) != 1)
		qemu_die("serial");
}

/* Act on one line of the workload; false after the last. */
static bool follow(struct run *run, const char *line)
{
	uint64_t now = __rdtsc();
	unsigned long a, b, n;
	char name[32];

	if (sscanf(line, "@boot %lu", &a) == 1) {
		take_snapshot(run);
		fprintf(run->result, "boot\t%s\t%lu\t%lu\t%lu\n", run->engine,
			now - run->start, a, exits_since(run));
		report_phase(run, "boot");
	} else if (sscanf(line, "@begin %31s", name) == 1) {
		take_snapshot(run);
		run->before = run->now;
	} else if (sscanf(line, "@end %31s %lu %lu %lu", name, &a, &b, &n) == 4) {
		take_snapshot(run);
		fprintf(run->result, "op\t%s\t%s\t%lu\t%lu\t%lu\t%lu\n", run->engine,
			name, a, b, n, exits_since(run));
		report_phase(run, name);
	} else if (sscanf(line, "@scale %31s %lu %lu", name, &n, &a) == 3) {
		fprintf(run->result, "scale\t%s\t%s\t%lu\t%lu\n", run->engine, name, n, a);
	} else {
		if (*line != '@')
			fprintf(stderr, "guest: %s", line);
		return strncmp(line, "@done", 5) != 0;
	}
	fflush(run->result);
	resume_guest(run);
	return true;
}

static void trace_reasons(bool on)
{
	int fd = open(TRIGGER, O_WRONLY | O_APPEND);
	const char *spec = on ? HIST_SPEC : "!" HIST_SPEC;

	if (fd < 0 || write(fd, spec, strlen(spec)) < 0)
		qemu_die(TRIGGER);
	close(fd);
}

static void start_qemu(struct run *run, char **argv)
{
	run->start = __rdtsc();
	qemu_start(&run->qemu, argv);
	run->from_workload = fdopen(run->qemu.serial, "r");
	if (!run->from_workload)
		qemu_die("fdopen");
}

static void start_native(struct run *run, char **argv)
{
	int out[2];

	if (pipe2(out, O_CLOEXEC))
		qemu_die("pipe2");
	run->start = __rdtsc();
	run->qemu.pid = fork();
	if (run->qemu.pid < 0)
		qemu_die("fork");
	if (!run->qemu.pid) {
		if (dup2(out[1], 1) != 1)
			qemu_die("dup2");
		execv(argv[0], argv);
		qemu_die(argv[0]);
	}
	close(out[1]);
	run->native = true;
	run->from_workload = fdopen(out[0], "r");
	if (!run->from_workload)
		qemu_die("fdopen");
}

int main(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	bool done = false;
	int at = 3, status;

	if (!run)
		qemu_die("calloc");
	if (argc > 3 && !strcmp(argv[3], "--reasons")) {
		run->reasons = true;
		at++;
	}
	if (argc < at + 2 || strcmp(argv[at], "--")) {
		fprintf(stderr, "usage: bench-runner ENGINE RESULT [--reasons] -- COMMAND...\n");
		return 2;
	}
	at++;
	run->engine = argv[1];
	run->result = fopen(argv[2], "a");
	if (!run->result)
		qemu_die(argv[2]);
	if (run->reasons)
		trace_reasons(true);
	if (!strcmp(run->engine, "native"))
		start_native(run, argv + at);
	else
		start_qemu(run, argv + at);
	while (!done && fgets(run->line, sizeof(run->line), run->from_workload))
		done = !follow(run, run->line);
	waitpid(run->qemu.pid, &status, 0);
	if (run->reasons)
		trace_reasons(false);
	if (fclose(run->result))
		qemu_die(argv[2]);
	if (!done)
		fprintf(stderr, "bench-runner: %s ended before the workload was done\n", run->engine);
	return done ? 0 : 1;
}
