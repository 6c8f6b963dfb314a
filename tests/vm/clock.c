// SPDX-License-Identifier: GPL-2.0
/*
 * A guest's init that watches its clocks: one thread on each processor reads the
 * monotonic clock in turn with the others, and none may see it behind what another
 * has seen. What it found is printed in lines "CLOCK word value".
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECONDS		8
#define MAX_CPUS	8

static _Atomic long long latest, worst, reads;
static atomic_bool stop;

static long long now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void *watch(void *arg)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((long)arg, &set);
	sched_setaffinity(0, sizeof(set), &set);
	while (!stop) {
		long long before = latest, now = now_ns(CLOCK_MONOTONIC);

		if (now < before)
			worst = before - now > worst ? before - now : worst;
		else
			atomic_compare_exchange_strong(&latest, &before, now);
		reads++;
	}
	return NULL;
}

static void setup(void)
{
	int fd;

	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	fd = open("/dev/console", O_RDWR);
	dup2(fd, 1);
	dup2(fd, 2);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static void print_source(void)
{
	char name[32] = "";
	FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");

	if (f && fscanf(f, "%31s", name) == 1)
		printf("CLOCK source %s\n", name);
}

int main(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t thread[MAX_CPUS];
	long long start;

	setup();
	print_source();
	if (cpus > MAX_CPUS)
		cpus = MAX_CPUS;
	start = now_ns(CLOCK_MONOTONIC);
	printf("CLOCK begin %lld\n", now_ns(CLOCK_REALTIME) / 1000000);
	for (long i = 0; i < cpus; i++)
		pthread_create(&thread[i], NULL, watch, (void *)i);
	sleep(SECONDS);
	stop = true;
	for (long i = 0; i < cpus; i++)
		pthread_join(thread[i], NULL);
	printf("CLOCK end %lld\n", now_ns(CLOCK_REALTIME) / 1000000);
	printf("CLOCK elapsed %lld\n", (now_ns(CLOCK_MONOTONIC) - start) / 1000000);
	printf("CLOCK cpus %ld\n", cpus);
	printf("CLOCK reads %lld\n", (long long)reads);
	printf("CLOCK backwards %lld\n", (long long)worst);
	sleep(1);
	reboot(RB_POWER_OFF);
	return 0;
}
