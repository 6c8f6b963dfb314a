/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bench/sharing.c measures with: guests in a row, and the two ways to find equal
 * pages behind one interface. As in bench/qemu.h, all functions end the program when something
 * fails.
 */
#ifndef BENCH_SHARING_H
#define BENCH_SHARING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "qemu.h"

#define SHARING_MAX_GUESTS	16
#define SHARING_PATH_BYTES	256

/* What a scanner has done since it was loaded. */
struct scan_state {
	uint64_t cpu_ns;		/* of its thread */
	uint64_t saved;			/* pages, now */
	uint64_t visited;		/* pages; 0 if it does not say */
	uint64_t rounds;		/* over all memory */
};

/* KSM for anonymous memory, penumbra_mem for files in the folder of a mount. */
struct scanner {
	const char *name;
	/* Visit so many pages a second from now on; starts it if it does not run. */
	void (*run)(const struct scanner *scanner, uint64_t pages_per_second);
	void (*stop)(const struct scanner *scanner);
	void (*read)(const struct scanner *scanner, struct scan_state *state);
	char dir[SHARING_PATH_BYTES];	/* RAM files; empty: anonymous memory */
	char sysfs[SHARING_PATH_BYTES];
	pid_t thread;			/* KSM's */
};

/* @dir: "" for KSM, else a folder on a penumbra mount. */
void scanner_init(struct scanner *scanner, const char *dir);

struct guests {
	size_t nr;
	unsigned int mib;		/* each one's RAM */
	struct qemu qemu[SHARING_MAX_GUESTS];
};

/* CPU time of a process with all its threads, those that ended included; 0 if it is gone. */
uint64_t process_cpu_ns(pid_t pid);

/*
 * What the guest prints from now on, into @text, until @found says so of it, @ns have passed or
 * @text is full; whether it was found.
 */
bool guest_listen(struct qemu *qemu, uint64_t ns, char *text, size_t size,
		  bool (*found)(const char *text, void *data), void *data);

/* Start one more guest with its RAM where @scanner finds it, wait until it is up. */
void guests_add(struct guests *guests, const struct scanner *scanner, char *const qemu_argv[]);
/* Type @text on every guest's console. */
void guests_type(struct guests *guests, const char *text);
/* Let (emulated) time pass, reading what the guests print. */
void guests_wait_ns(struct guests *guests, uint64_t ns);
void guests_pause(struct guests *guests, bool pause);
uint64_t guests_cpu_ns(const struct guests *guests);
uint64_t guests_exits(struct guests *guests);
void guests_end(struct guests *guests, const struct scanner *scanner);
/* How bench-equal-pages calls the RAM of guest @index. */
void guests_source(const struct guests *guests, const struct scanner *scanner, size_t index,
		   char name[SHARING_PATH_BYTES]);

uint64_t now_ns(void);

#endif
