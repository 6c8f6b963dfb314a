/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small VM whose processors check their own memory without end, and the threads
 * that run them; for programs that do things to that memory meanwhile.
 */
#ifndef TESTS_VM_CHECKER_H
#define TESTS_VM_CHECKER_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE		4096ul
#define MIB		(1ul << 20)
#define CODE_GPA	0x1000ul
#define CPUS_MAX	3
#define CHECKED_PAGES	512u		/* of each checker; a power of two */
#define TABLE_GPA(i)	(2 * MIB + (i) * MIB)		/* expected values */
#define PAGES_GPA(i)	(8 * MIB + (i) * CHECKED_PAGES * PAGE)
#define RAM_SIZE	(PAGES_GPA(2))		/* for two checkers; below it is theirs */

struct vm;

/* One running processor. */
struct cpu {
	struct vm *vm;
	int fd, index;
	struct kvm_run *run;
	pthread_t thread;
	unsigned long passes;
	bool parked;
};

struct vm {
	int fd, nr_cpus;
	uint8_t *ram;
	struct cpu cpus[CPUS_MAX];
	volatile bool stopping;
	/* An exit that the checkers do not make; false ends the processor. May be NULL. */
	bool (*other_exit)(struct cpu *c);

	/* Parking: the processors stay outside the guest while parks is above zero. */
	pthread_mutex_t park_lock;
	pthread_cond_t park_changed;
	int parks;
};

/* A VM with @ram, of @size, at gpa 0. Everything here ends the program if it cannot. */
void vm_new(struct vm *vm, int kvm, uint8_t *ram, size_t size);
/* One more processor, at @rip in flat 32-bit mode; @regs gives rsi, rdi and rsp. */
struct cpu *vm_add_cpu(struct vm *vm, int kvm, const struct kvm_regs *regs);
/* One more checker: of PAGES_GPA(i), i the number of processors so far. */
struct cpu *vm_add_checker(struct vm *vm, int kvm);
int vm_set_slot(struct vm *vm, unsigned int slot, unsigned int flags, unsigned long gpa, size_t size,
		void *hva);

void vm_start(struct vm *vm);
/* Ends all processors; whether all had found what they should. */
bool vm_stop(struct vm *vm);

/* No processor is in the guest between the two. */
void vm_park(struct vm *vm);
void vm_unpark(struct vm *vm);

/* Parked or stopped: does RAM hold what the checker says it wrote? Checked by the host. */
bool vm_holds_what_it_wrote(struct vm *vm, int checker);

/* --- for such programs --- */

void point(bool ok, const char *name);
int points_done(void);		/* prints the plan; the program's status */
void die(const char *what);
void nap(long us);
unsigned int next_random(unsigned int *seed);	/* 24 bits */

#endif
