/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A QEMU process as the measuring programs use it: its guest's serial line and
 * its monitor are sockets, its counters come from query-stats. All functions end
 * the program with a message when something fails.
 */
#ifndef BENCH_QEMU_H
#define BENCH_QEMU_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define QEMU_ANSWER_BYTES	65536
#define QEMU_MAX_STATS		128

struct counter {
	char name[64];
	uint64_t value;
};

struct qemu {
	pid_t pid;
	int serial;			/* the guest's serial line, both ways */
	int qmp;
	FILE *from_qmp;
	char answer[QEMU_ANSWER_BYTES];
};

/* Print the program's name, @what and errno, leave with status 1. */
__attribute__((noreturn)) void qemu_die(const char *what);

/* Execute @argv (ended by NULL) with arguments for the two sockets added. */
void qemu_start(struct qemu *qemu, char *const argv[]);
/* Send one QMP command, return the line that answers it. */
const char *qemu_command(struct qemu *qemu, const char *command);
/* The scalar counters of its vCPUs; their number. With several vCPUs a name comes several times. */
size_t qemu_stats(struct qemu *qemu, struct counter *list, size_t max);

void counter_add(struct counter *list, size_t *count, size_t max, const char *name, uint64_t value);
/* The value of the first of that name, 0 if there is none. */
uint64_t counter_value(const struct counter *list, size_t count, const char *name);

#endif
