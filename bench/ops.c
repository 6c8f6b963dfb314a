// SPDX-License-Identifier: GPL-2.0
/*
 * The nine operations of the benchmark.  They are the ones where paging
 * techniques differ: page faults, table updates, address-space switches,
 * and a system call as the control that should cost the same everywhere.
 *
 * Every region is kept out of transparent huge pages, so that "per page"
 * means a 4 KiB page.  A batch is a few hundred thousand ticks natively, so
 * that most batches hold no timer interrupt (one every 4 million).
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ops.h"

#define PAGE		4096UL
#define GETPPIDS	1000u
#define FAULT_PAGES	128u
#define FAULT_BATCHES	61u
#define UNMAP_PAGES	256u
#define UNMAP_BATCHES	41u
#define SIGNALS		40u
#define PROT_PAGES	1024u
#define ROUND_TRIPS	30u
#define FORKS		2u
#define EXECS		1u
#define BIG_PAGES	(32u * 256u)
#define BIG_STRIDE	8u

const char *bench_self_path;

static char *region;
static size_t region_bytes;
static char *prot_page;
static int to_child[2], from_child[2];
static pid_t echo_pid;

void bench_die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void region_map(size_t pages)
{
	region_bytes = pages * PAGE;
	region = mmap(NULL, region_bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (region == MAP_FAILED)
		bench_die("mmap");
	/* Fails only on kernels without huge pages, where it is not needed. */
	(void)madvise(region, region_bytes, MADV_NOHUGEPAGE);
}

static void region_touch(size_t first, size_t pages)
{
	for (size_t i = first; i < first + pages; i++)
		*(volatile char *)(region + i * PAGE) = 1;
}

static void region_unmap(void)
{
	if (munmap(region, region_bytes))
		bench_die("munmap");
}

static void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		bench_die("waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		errno = ECHILD;
		bench_die("child");
	}
}

/* Getppid: the control.  No paging technique should change a system call. */
static void getppid_run(unsigned int batch)
{
	(void)batch;
	for (unsigned int i = 0; i < GETPPIDS; i++)
		syscall(SYS_getppid);
}

/* Anonymous page fault: the first write to each page of a fresh mapping. */
static void fault_setup(void)
{
	region_map(FAULT_PAGES * FAULT_BATCHES);
}

static void fault_run(unsigned int batch)
{
	region_touch(batch * FAULT_PAGES, FAULT_PAGES);
}

/* Munmap of pages that are all present, per page. */
static void munmap_setup(void)
{
	region_map(UNMAP_PAGES * UNMAP_BATCHES);
	region_touch(0, UNMAP_PAGES * UNMAP_BATCHES);
}

static void munmap_run(unsigned int batch)
{
	if (munmap(region + batch * UNMAP_PAGES * PAGE, UNMAP_PAGES * PAGE))
		bench_die("munmap");
}

/* Write-protection fault: a write to a read-only page, whose SIGSEGV handler makes it writable. */
static void on_segv(int signo)
{
	(void)signo;
	if (mprotect(prot_page, PAGE, PROT_READ | PROT_WRITE))
		_exit(1);
}

static void wpfault_setup(void)
{
	struct sigaction action = { .sa_handler = on_segv };

	region_map(1);
	region_touch(0, 1);
	prot_page = region;
	if (sigaction(SIGSEGV, &action, NULL))
		bench_die("sigaction");
}

static void wpfault_run(unsigned int batch)
{
	(void)batch;
	for (unsigned int i = 0; i < SIGNALS; i++) {
		if (mprotect(prot_page, PAGE, PROT_READ))
			bench_die("mprotect");
		*(volatile char *)prot_page = 1;
	}
}

static void wpfault_teardown(void)
{
	signal(SIGSEGV, SIG_DFL);
	region_unmap();
}

/* Mprotect to read-only and back, then a write to each page; per page. */
static void mprotect_setup(void)
{
	region_map(PROT_PAGES);
	region_touch(0, PROT_PAGES);
}

static void mprotect_run(unsigned int batch)
{
	(void)batch;
	if (mprotect(region, region_bytes, PROT_READ) ||
	    mprotect(region, region_bytes, PROT_READ | PROT_WRITE))
		bench_die("mprotect");
	region_touch(0, PROT_PAGES);
}

/* Pipe round trip: one byte to another process and back. */
static void echo_child(void)
{
	char byte;

	close(to_child[1]);
	close(from_child[0]);
	while (read(to_child[0], &byte, 1) == 1)
		if (write(from_child[1], &byte, 1) != 1)
			_exit(1);
	_exit(0);
}

static void pipe_setup(void)
{
	if (pipe(to_child) || pipe(from_child))
		bench_die("pipe");
	echo_pid = fork();
	if (echo_pid < 0)
		bench_die("fork");
	if (!echo_pid)
		echo_child();
	close(to_child[0]);
	close(from_child[1]);
}

static void pipe_run(unsigned int batch)
{
	char byte = 0;

	(void)batch;
	for (unsigned int i = 0; i < ROUND_TRIPS; i++)
		if (write(to_child[1], &byte, 1) != 1 ||
		    read(from_child[0], &byte, 1) != 1)
			bench_die("pipe");
}

static void pipe_teardown(void)
{
	close(to_child[1]);
	wait_for(echo_pid);
	close(from_child[0]);
}

/* Fork, exit of the child, wait for it. */
static void fork_run(unsigned int batch)
{
	(void)batch;
	for (unsigned int i = 0; i < FORKS; i++) {
		pid_t pid = fork();

		if (pid < 0)
			bench_die("fork");
		if (!pid)
			_exit(0);
		wait_for(pid);
	}
}

/* The same with an exec of this very program in between. */
static void exec_run(unsigned int batch)
{
	char *argv[] = { (char *)bench_self_path, BENCH_EXIT_ARG, NULL };
	char *envp[] = { NULL };

	(void)batch;
	for (unsigned int i = 0; i < EXECS; i++) {
		pid_t pid = fork();

		if (pid < 0)
			bench_die("fork");
		if (!pid) {
			execve(bench_self_path, argv, envp);
			_exit(127);
		}
		wait_for(pid);
	}
}

/* Fork of a process with 32 MiB in use, whose child writes every eighth page. */
static void bigfork_setup(void)
{
	region_map(BIG_PAGES);
	region_touch(0, BIG_PAGES);
}

static void bigfork_run(unsigned int batch)
{
	pid_t pid = fork();

	(void)batch;
	if (pid < 0)
		bench_die("fork");
	if (!pid) {
		for (unsigned int i = 0; i < BIG_PAGES; i += BIG_STRIDE)
			*(volatile char *)(region + i * PAGE) = 2;
		_exit(0);
	}
	wait_for(pid);
}

const struct bench_op bench_ops[] = {
	{ "getppid", 61, GETPPIDS, NULL, getppid_run, NULL },
	{ "anon-fault", FAULT_BATCHES, FAULT_PAGES, fault_setup, fault_run, region_unmap },
	{ "munmap", UNMAP_BATCHES, UNMAP_PAGES, munmap_setup, munmap_run, NULL },
	{ "wp-fault", 61, SIGNALS, wpfault_setup, wpfault_run, wpfault_teardown },
	{ "mprotect", 61, PROT_PAGES, mprotect_setup, mprotect_run, region_unmap },
	{ "pipe", 61, ROUND_TRIPS, pipe_setup, pipe_run, pipe_teardown },
	{ "fork", 61, FORKS, NULL, fork_run, NULL },
	{ "fork-exec", 41, EXECS, NULL, exec_run, NULL },
	{ "fork-32m", 11, 1, bigfork_setup, bigfork_run, region_unmap },
	{ NULL, 0, 0, NULL, NULL, NULL },
};
