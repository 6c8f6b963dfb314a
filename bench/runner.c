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
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#define TRIGGER		"/sys/kernel/tracing/events/kvm/kvm_exit/trigger"
#define HISTOGRAM	"/sys/kernel/tracing/events/kvm/kvm_exit/hist"
#define HIST_SPEC	"hist:keys=exit_reason:size=512"
#define MAX_STATS	128
#define MAX_REASONS	512
#define LINE_MAX_BYTES	65536

struct counter {
	char name[64];
	uint64_t value;
};

struct snapshot {
	struct counter stat[MAX_STATS];
	size_t stats;
	struct counter reason[MAX_REASONS];
	size_t reasons;
};

struct run {
	const char *engine;
	FILE *result;
	bool reasons;
	pid_t pid;
	int serial;
	FILE *from_serial;
	int qmp;
	FILE *from_qmp;
	uint64_t start;
	struct snapshot before, now;
	char line[LINE_MAX_BYTES];	/* of the workload */
	char answer[LINE_MAX_BYTES];	/* of QEMU */
};

static void die(const char *what)
{
	fprintf(stderr, "bench-runner: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void add_counter(struct counter *list, size_t *count, size_t max,
			const char *name, uint64_t value)
{
	if (*count == max)
		return;
	snprintf(list[*count].name, sizeof(list[*count].name), "%s", name);
	list[(*count)++].value = value;
}

static uint64_t counter_value(const struct counter *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(list[i].name, name))
			return list[i].value;
	return 0;
}

/* Send one QMP command and return the line that answers it, past any events. */
static const char *qmp_command(struct run *run, const char *command)
{
	char *line = run->answer;

	if (write(run->qmp, command, strlen(command)) < 0)
		die("qmp");
	while (fgets(line, LINE_MAX_BYTES, run->from_qmp))
		if (!strncmp(line, "{\"return\"", 9) || !strncmp(line, "{\"error\"", 8))
			return line;
	die("qmp: no answer");
	return NULL;
}

/*
 * Pick the scalar counters out of query-stats' answer, whose members look like
 * {"name": "exits", "value": 123}.  QEMU prints either order of the two.
 */
static void parse_stats(struct snapshot *snap, const char *text)
{
	const char *at = text, *open, *close, *name, *value;
	char word[64];

	while ((at = strstr(at, "\"name\": \""))) {
		for (open = at; open > text && *open != '{'; open--)
			;
		close = strchr(at, '}');
		if (!close)
			break;
		name = at + strlen("\"name\": \"");
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(name, "\""), name);
		value = strstr(open, "\"value\": ");
		if (value && value < close)
			add_counter(snap->stat, &snap->stats, MAX_STATS, word,
				    strtoull(value + strlen("\"value\": "), NULL, 10));
		at = close;
	}
}

/* Histogram lines look like "{ exit_reason:        114 } hitcount:       1234". */
static void read_reasons(struct snapshot *snap)
{
	char line[256], name[32];
	unsigned long reason, hits;
	FILE *file = fopen(HISTOGRAM, "r");

	if (!file)
		die(HISTOGRAM);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "{ exit_reason: %lu } hitcount: %lu", &reason, &hits) == 2) {
			snprintf(name, sizeof(name), "%#lx", reason);
			add_counter(snap->reason, &snap->reasons, MAX_REASONS, name, hits);
		}
	fclose(file);
}

static void take_snapshot(struct run *run)
{
	struct snapshot *snap = &run->now;

	snap->stats = 0;
	snap->reasons = 0;
	if (run->qmp < 0)
		return;
	parse_stats(snap, qmp_command(run,
		"{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"vcpu\"}}\n"));
	if (!snap->stats) {
		fprintf(stderr, "bench-runner: QEMU shows no vCPU statistics\n");
		exit(1);
	}
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
	if (run->serial >= 0 && write(run->serial, "\n", 1) != 1)
		die("serial");
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
		die(TRIGGER);
	close(fd);
}

/* The guest's serial line and QEMU's monitor are sockets that QEMU inherits as 3 and 4. */
static void exec_qemu(int serial, int qmp, char **argv, int argc)
{
	static const char *const extra[] = {
		"-chardev", "socket,id=bench-serial,fd=3", "-serial", "chardev:bench-serial",
		"-chardev", "socket,id=bench-qmp,fd=4", "-mon", "chardev=bench-qmp,mode=control",
		NULL,
	};
	char **all = calloc((size_t)argc + sizeof(extra) / sizeof(*extra), sizeof(*all));

	if (!all)
		die("calloc");
	memcpy(all, argv, (size_t)argc * sizeof(*all));
	memcpy(all + argc, extra, sizeof(extra));
	if (fcntl(serial, F_DUPFD, 10) != 10 || fcntl(qmp, F_DUPFD, 11) != 11 ||
	    dup2(10, 3) != 3 || dup2(11, 4) != 4)
		die("dup2");
	close(10);
	close(11);
	execvp(all[0], all);
	die(all[0]);
}

static void start_qemu(struct run *run, char **argv, int argc)
{
	int serial[2], qmp[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, serial) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qmp))
		die("socketpair");
	run->start = __rdtsc();
	run->pid = fork();
	if (run->pid < 0)
		die("fork");
	if (!run->pid)
		exec_qemu(serial[1], qmp[1], argv, argc);
	close(serial[1]);
	close(qmp[1]);
	run->serial = serial[0];
	run->qmp = qmp[0];
	run->from_serial = fdopen(serial[0], "r");
	run->from_qmp = fdopen(qmp[0], "r");
	if (!run->from_serial || !run->from_qmp)
		die("fdopen");
	qmp_command(run, "{\"execute\":\"qmp_capabilities\"}\n");
}

static void start_native(struct run *run, char **argv)
{
	int out[2];

	if (pipe2(out, O_CLOEXEC))
		die("pipe2");
	run->start = __rdtsc();
	run->pid = fork();
	if (run->pid < 0)
		die("fork");
	if (!run->pid) {
		if (dup2(out[1], 1) != 1)
			die("dup2");
		execv(argv[0], argv);
		die(argv[0]);
	}
	close(out[1]);
	run->serial = -1;
	run->qmp = -1;
	run->from_serial = fdopen(out[0], "r");
	if (!run->from_serial)
		die("fdopen");
}

int main(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	bool done = false;
	int at = 3, status;

	if (!run)
		die("calloc");
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
		die(argv[2]);
	if (run->reasons)
		trace_reasons(true);
	if (!strcmp(run->engine, "native"))
		start_native(run, argv + at);
	else
		start_qemu(run, argv + at, argc - at);
	while (!done && fgets(run->line, sizeof(run->line), run->from_serial))
		done = !follow(run, run->line);
	waitpid(run->pid, &status, 0);
	if (run->reasons)
		trace_reasons(false);
	if (fclose(run->result))
		die(argv[2]);
	if (!done)
		fprintf(stderr, "bench-runner: %s ended before the workload was done\n", run->engine);
	return done ? 0 : 1;
}
