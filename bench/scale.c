// SPDX-License-Identifier: GPL-2.0
/*
 * The operations on several processors at once: n processes, each pinned to a processor of
 * its own as far as there are, do the same operation until the first of them has done all its batches.
 *
 *	process 0   warm-up │ setup │ batch batch batch … batch ─► stop
 *	process 1   warm-up │ setup │ batch batch … batch        ◄─┘ its last that ended before
 *	                    └ all wait for the last
 *
 * The figure is the mean ticks of an operation: of each process the ticks from the common
 * start to the end of its last batch, divided by what it did by then; of all n the
 * harmonic mean, since what counts is how much is done in a time.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>
#include "ops.h"

struct result {
	uint64_t start, end, operations;
};

/* Between the processes, a cache line each. */
struct meeting {
	_Alignas(64) unsigned int arrived;
	_Alignas(64) bool stop;
	_Alignas(64) struct result result[BENCH_SCALE_MAX];
};

static void pin(unsigned int i)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(i % (unsigned long)sysconf(_SC_NPROCESSORS_ONLN), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		bench_die("sched_setaffinity");
}

static void meet(struct meeting *m, unsigned int n)
{
	__atomic_add_fetch(&m->arrived, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&m->arrived, __ATOMIC_ACQUIRE) < n)
		sched_yield();
}

static void run_all(const struct bench_op *op)
{
	if (op->setup)
		op->setup();
	for (unsigned int i = 0; i < op->batches; i++)
		op->run(i);
	if (op->teardown)
		op->teardown();
}

static void process(const struct bench_op *op, struct meeting *m, unsigned int i, unsigned int n)
{
	struct result r = { 0 };

	pin(i);
	run_all(op);
	if (op->setup)
		op->setup();
	meet(m, n);
	r.start = r.end = __rdtsc();
	for (unsigned int b = 0; b < op->batches; b++) {
		op->run(b);
		if (__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE))
			break;
		r.end = __rdtsc();
		r.operations += op->per_batch;
	}
	__atomic_store_n(&m->stop, true, __ATOMIC_RELEASE);
	m->result[i] = r;
	if (op->teardown)
		op->teardown();
}

static double rate(const struct result *r)
{
	return r->operations ? (double)r->operations / (double)(r->end - r->start) : 0;
}

double bench_scale(const struct bench_op *op, unsigned int n)
{
	struct meeting *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double sum = 0;

	if (m == MAP_FAILED)
		bench_die("mmap");
	for (unsigned int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			bench_die("fork");
		if (!pid) {
			process(op, m, i, n);
			_exit(0);
		}
	}
	for (unsigned int i = 0; i < n; i++) {
		int status;

		if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
			bench_die("a process of several");
	}
	for (unsigned int i = 0; i < n; i++)
		sum += rate(&m->result[i]);
	munmap(m, sizeof(*m));
	return sum ? n / sum : 0;
}
