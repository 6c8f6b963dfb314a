// SPDX-License-Identifier: GPL-2.0
/*
 * The measured program.  As process 1 of a guest it reports on the serial
 * console and pauses at phase boundaries, so that the runner beside QEMU can
 * read the exit counters there:
 *
 *	@boot TSC                           then waits for a line
 *	@begin NAME                         then waits for a line
 *	@end NAME MIN MEDIAN OPERATIONS     then waits for a line
 *	@done
 *
 * MIN and MEDIAN are over batches, in hundredths of a TSC tick per operation.
 * The first phase, "nothing", has no operations: its exits are the price of
 * the hand-shake, which the report takes off all others.  Each operation's
 * batches run once unmeasured first, so that memory the guest has never used
 * before, caches and lazily made tables do not count.
 *
 * Run by hand (not as process 1) it prints the same lines and never waits.
 * The environment variable bench_ops lists the operations wanted, by name. If bench_scale
 * is set, to numbers of processes, each operation is done by so many at once instead (scale.c):
 *
 *	@scale NAME PROCESSES TICKS         TICKS in hundredths; then waits for a line
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <x86intrin.h>
#include "ops.h"

#define MAX_BATCHES	64
#define CONSOLE		"/dev/console"
/* The kernel hands parameters it does not know to init as environment. */
#define OPS_VARIABLE	"bench_ops"
#define SCALE_VARIABLE	"bench_scale"
#define GUEST_VARIABLE	"bench_guest"

static bool is_guest;

static void console_open(void)
{
	struct termios raw;
	int fd;

	(void)mount("dev", "/dev", "devtmpfs", 0, NULL);
	fd = open(CONSOLE, O_RDWR | O_NOCTTY);
	if (fd < 0)
		bench_die(CONSOLE);
	for (int i = 0; i < 3; i++)
		if (dup2(fd, i) != i)
			bench_die("dup2");
	if (tcgetattr(0, &raw))
		bench_die("tcgetattr");
	cfmakeraw(&raw);
	if (tcsetattr(0, TCSANOW, &raw))
		bench_die("tcsetattr");
}

/* End a report line and, in a guest, wait for the runner to have noted the counters. */
static void report_end(void)
{
	char c = 0;

	putchar('\n');
	fflush(stdout);
	while (is_guest && c != '\n')
		if (read(0, &c, 1) != 1)
			bench_die("console");
}

static int compare_ticks(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void cycle(const struct bench_op *op, uint64_t *ticks)
{
	if (op->setup)
		op->setup();
	if (ticks) {
		printf("@begin %s", op->name);
		report_end();
	}
	for (unsigned int i = 0; i < op->batches; i++) {
		uint64_t start = __rdtsc();

		op->run(i);
		if (ticks)
			ticks[i] = __rdtsc() - start;
	}
	if (ticks) {
		uint64_t n = op->per_batch;

		qsort(ticks, op->batches, sizeof(*ticks), compare_ticks);
		printf("@end %s %lu %lu %lu", op->name, ticks[0] * 100 / n,
		       ticks[op->batches / 2] * 100 / n, op->batches * n);
		report_end();
	}
	if (op->teardown)
		op->teardown();
}

static void measure(const struct bench_op *op)
{
	uint64_t ticks[MAX_BATCHES];

	cycle(op, NULL);
	cycle(op, ticks);
}

static void measure_several(const struct bench_op *op, const char *numbers)
{
	char *end;

	for (const char *p = numbers; *p; p = *end ? end + 1 : end) {
		unsigned long n = strtoul(p, &end, 10);

		if (end == p || !n || n > BENCH_SCALE_MAX)
			bench_die(SCALE_VARIABLE);
		printf("@scale %s %lu %.0f", op->name, n, 100 * bench_scale(op, (unsigned int)n));
		report_end();
	}
}

/* True if `name` is in a list separated by commas or spaces; an empty list holds everything. */
static bool chosen(const char *list, const char *name)
{
	size_t len = strlen(name);

	if (!*list)
		return true;
	for (const char *p = list; *p; p += *p != 0) {
		size_t word = strcspn(p, ", ");

		if (word == len && !strncmp(p, name, len))
			return true;
		p += word;
	}
	return false;
}

/*
 * Only the child returns; process 1 waits for it and turns the guest off.  The
 * kernel treats process 1 specially (it logs its signals, for one).
 */
static void run_as_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		bench_die("fork");
	if (!pid)
		return;
	waitpid(pid, NULL, 0);
	reboot(RB_POWER_OFF);
	bench_die("reboot");
}

/*
 * Neither the layout of the process nor the moment at which a woken process
 * takes over (batch scheduling: when the waker sleeps) may differ between runs.
 */
static void settle(char **argv)
{
	struct sched_param param = { 0 };
	int persona = personality(0xffffffff);

	if (sched_setscheduler(0, SCHED_BATCH, &param))
		bench_die("sched_setscheduler");
	if (persona < 0 || (persona & ADDR_NO_RANDOMIZE))
		return;
	if (personality((unsigned long)persona | ADDR_NO_RANDOMIZE) < 0)
		bench_die("personality");
	execv(bench_self_path, argv);
	bench_die("execv");
}

int main(int argc, char **argv)
{
	uint64_t boot = __rdtsc();
	const char *list = getenv(OPS_VARIABLE), *scale = getenv(SCALE_VARIABLE);

	if (argc > 1 && !strcmp(argv[1], BENCH_EXIT_ARG))
		return 0;
	bench_self_path = (const char *)getauxval(AT_EXECFN);
	if (getpid() == 1) {
		is_guest = true;
		console_open();
		printf("@boot %lu", boot);
		report_end();
		setenv(GUEST_VARIABLE, "1", 1);
		run_as_child();
	}
	is_guest = getenv(GUEST_VARIABLE) != NULL;
	settle(argv);

	if (!scale) {
		printf("@begin nothing");
		report_end();
		printf("@end nothing 0 0 1");
		report_end();
	}
	for (const struct bench_op *op = bench_ops; op->name; op++) {
		if (list && strcmp(list, "all") && !chosen(list, op->name))
			continue;
		if (scale)
			measure_several(op, scale);
		else
			measure(op);
	}
	printf("@done\n");
	fflush(stdout);
	return 0;
}
