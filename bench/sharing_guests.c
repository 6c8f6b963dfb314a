// SPDX-License-Identifier: GPL-2.0
/* A row of guests for bench/sharing.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sharing.h"

#define UP_TEXT		"guest up"
#define UP_LIMIT_NS	200000000000ull
#define MAX_ARGS	64

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t process_cpu_ns(pid_t pid)
{
	struct timespec cpu;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &cpu))
		return 0;
	return (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec;
}

/*
 * Only the guest's RAM takes part: firmware and device memory, which KSM would merge too, are
 * no RAM files and would make the two sides differ.
 */
static void ram_arguments(const struct guests *guests, const struct scanner *scanner, size_t index,
			  char object[2 * SHARING_PATH_BYTES])
{
	if (*scanner->dir)
		snprintf(object, 2 * SHARING_PATH_BYTES, "memory-backend-file,id=ram,size=%uM,"
			 "mem-path=%s/guest%zu,share=on,align=2M", guests->mib, scanner->dir, index);
	else
		snprintf(object, 2 * SHARING_PATH_BYTES,
			 "memory-backend-ram,id=ram,size=%uM,merge=on", guests->mib);
}

void guests_source(const struct guests *guests, const struct scanner *scanner, size_t index,
		   char name[SHARING_PATH_BYTES])
{
	if (*scanner->dir)
		snprintf(name, SHARING_PATH_BYTES, "%.200s/guest%zu", scanner->dir, index);
	else
		snprintf(name, SHARING_PATH_BYTES, "pid:%d", guests->qemu[index].pid);
}

bool guest_listen(struct qemu *qemu, uint64_t ns, char *text, size_t size,
		  bool (*found)(const char *text, void *data), void *data)
{
	uint64_t limit = now_ns() + ns;
	size_t have = 0;
	ssize_t n;

	*text = 0;
	while (now_ns() < limit && have < size - 1) {
		struct pollfd poll_for = { .fd = qemu->serial, .events = POLLIN };

		if (poll(&poll_for, 1, 1000) <= 0)
			continue;
		n = read(qemu->serial, text + have, size - 1 - have);
		if (n <= 0)
			break;
		have += (size_t)n;
		text[have] = 0;
		if (found(text, data))
			return true;
	}
	return false;
}

static bool is_up(const char *text, void *data)
{
	return strstr(text, UP_TEXT);
}

static void wait_until_up(struct guests *guests, struct qemu *qemu)
{
	char text[1 << 16];

	if (guest_listen(qemu, UP_LIMIT_NS, text, sizeof(text), is_up, NULL))
		return;
	fprintf(stderr, "bench-sharing: guest %zu does not come up:\n%s\n", guests->nr, text);
	exit(1);
}

void guests_add(struct guests *guests, const struct scanner *scanner, char *const qemu_argv[])
{
	char object[2 * SHARING_PATH_BYTES], mem[32], *argv[MAX_ARGS];
	struct qemu *qemu = &guests->qemu[guests->nr];
	size_t n;

	for (n = 0; qemu_argv[n] && n < MAX_ARGS - 8; n++)
		argv[n] = qemu_argv[n];
	ram_arguments(guests, scanner, guests->nr, object);
	snprintf(mem, sizeof(mem), "%uM", guests->mib);
	argv[n++] = (char *)"-m";
	argv[n++] = mem;
	argv[n++] = (char *)"-object";
	argv[n++] = object;
	argv[n++] = (char *)"-machine";
	argv[n++] = (char *)"mem-merge=off,memory-backend=ram";
	argv[n] = NULL;
	qemu_start(qemu, argv);
	wait_until_up(guests, qemu);
	guests->nr++;
}

void guests_type(struct guests *guests, const char *text)
{
	for (size_t i = 0; i < guests->nr; i++)
		if (write(guests->qemu[i].serial, text, strlen(text)) < 0)
			qemu_die("serial");
}

void guests_wait_ns(struct guests *guests, uint64_t ns)
{
	struct pollfd poll_for[SHARING_MAX_GUESTS];
	uint64_t end = now_ns() + ns, now;
	char text[4096];

	for (size_t i = 0; i < guests->nr; i++)
		poll_for[i] = (struct pollfd){ .fd = guests->qemu[i].serial, .events = POLLIN };
	while ((now = now_ns()) < end) {
		struct timespec left = { .tv_sec = (time_t)((end - now) / 1000000000),
					 .tv_nsec = (long)((end - now) % 1000000000) };

		if (ppoll(poll_for, guests->nr, &left, NULL) <= 0)
			continue;
		for (size_t i = 0; i < guests->nr; i++)
			if (poll_for[i].revents && read(poll_for[i].fd, text, sizeof(text)) <= 0) {
				fprintf(stderr, "bench-sharing: guest %zu ended\n", i);
				exit(1);
			}
	}
}

void guests_pause(struct guests *guests, bool pause)
{
	for (size_t i = 0; i < guests->nr; i++)
		qemu_command(&guests->qemu[i], pause ? "{\"execute\":\"stop\"}\n" :
			     "{\"execute\":\"cont\"}\n");
}

uint64_t guests_cpu_ns(const struct guests *guests)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < guests->nr; i++)
		sum += process_cpu_ns(guests->qemu[i].pid);
	return sum;
}

uint64_t guests_exits(struct guests *guests)
{
	struct counter list[QEMU_MAX_STATS];
	uint64_t sum = 0;
	size_t n;

	for (size_t i = 0; i < guests->nr; i++) {
		n = qemu_stats(&guests->qemu[i], list, QEMU_MAX_STATS);
		sum += counter_value(list, n, "exits");
	}
	return sum;
}

void guests_end(struct guests *guests, const struct scanner *scanner)
{
	char path[SHARING_PATH_BYTES];

	for (size_t i = 0; i < guests->nr; i++) {
		kill(guests->qemu[i].pid, SIGKILL);
		waitpid(guests->qemu[i].pid, NULL, 0);
		guests_source(guests, scanner, i, path);
		if (*scanner->dir && unlink(path))
			qemu_die(path);
	}
}
