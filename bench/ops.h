/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The operations whose cost a virtual MMU changes, each as set-up, a batch
 * that is timed, and clean-up.  workload.c times them.
 */
#ifndef BENCH_OPS_H
#define BENCH_OPS_H

/*
 * setup() runs before the first batch and teardown() after the last, both
 * outside the measured phase; either may be NULL.  run(i) performs batch i,
 * which is `per_batch` operations.  All end the program on error: a figure
 * from a half-failed run would be worse than none.
 */
struct bench_op {
	const char *name;
	unsigned int batches;
	unsigned int per_batch;
	void (*setup)(void);
	void (*run)(unsigned int batch);
	void (*teardown)(void);
};

/* Ends with an entry whose name is NULL. */
extern const struct bench_op bench_ops[];

/* scale.c: ticks of an operation while n processes do it, on processors 0 to n - 1. */
#define BENCH_SCALE_MAX	16
double bench_scale(const struct bench_op *op, unsigned int n);

/* The program that fork + exec + wait executes: called with BENCH_EXIT_ARG it exits at once. */
#define BENCH_EXIT_ARG "--exit"
extern const char *bench_self_path;

/* Print `what` with errno and leave with status 1. */
__attribute__((noreturn)) void bench_die(const char *what);

#endif
