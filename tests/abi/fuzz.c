// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz [CALLS] [SEED]: a million random calls on /dev/kvm, from several threads
 * on the same VMs, in child processes that end in any way they like. What it
 * checks is outside: that the host lives, warns of nothing, and that nothing is
 * left behind (counters, unloading).
 *
 *   parent ── child 1 (its share of calls) ── thread 1 ─┐
 *          │                                 ├ thread 2 ─┼─ the VMs of the child
 *          └─ child 2 …                      └ thread 3 ─┘
 *
 * A timer interrupts KVM_RUN; code and register state in the guests are random.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define THREADS		3
#define VMS		3
#define VCPUS		3
#define RAM		(2u << 20)
#define OURS		(1u << 20)	/* of it, where this program writes too: never protected */
#define ARG_SIZE	16384
#define PER_CHILD	20000

struct machine {
	int vm;
	int vcpu[VCPUS];
	struct kvm_run *run[VCPUS];
};

struct thread {
	pthread_t id;
	uint64_t random;
	unsigned long calls;
	uint8_t *arg;		/* ends at a page nothing is mapped behind */
};

static struct machine machines[VMS];
static uint8_t *ram;
static int kvm, event;
static size_t run_size;
static volatile unsigned long succeeded;

static uint64_t rnd(struct thread *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random * 0x2545f4914f6cdd1dull;
}

static uint64_t below(struct thread *t, uint64_t n)
{
	return rnd(t) % n;
}

/* A number of the kinds that matter: small, round, an address, wild. */
static uint64_t number(struct thread *t)
{
	switch (below(t, 8)) {
	case 0: return below(t, 8);
	case 1: return below(t, 300);
	case 2: return below(t, 64) << 12;
	case 3: return below(t, 1024) << 21;
	case 4: return 1ull << below(t, 64);
	case 5: return (1ull << below(t, 64)) - 1;
	case 6: return (uintptr_t)ram + (below(t, RAM >> 12) << 12);
	default: return rnd(t);
	}
}

/* ---- the calls ---- */

enum owner { DEVICE, VM, VCPU };

static const struct call {
	enum owner owner;
	unsigned long req;
	bool number;		/* the argument is a number, not a pointer */
	bool get_first;		/* begin with what the paired GET gives */
	unsigned long get;
	unsigned int often;
} calls[] = {
	{ DEVICE, KVM_GET_API_VERSION, true, 0, 0, 1 }, { DEVICE, KVM_CHECK_EXTENSION, true, 0, 0, 2 },
	{ DEVICE, KVM_GET_VCPU_MMAP_SIZE, true, 0, 0, 1 }, { DEVICE, KVM_GET_MSR_INDEX_LIST, 0, 0, 0, 1 },
	{ DEVICE, KVM_GET_SUPPORTED_CPUID, 0, 0, 0, 1 }, { DEVICE, KVM_GET_EMULATED_CPUID, 0, 0, 0, 1 },
	{ DEVICE, KVM_GET_MSR_FEATURE_INDEX_LIST, 0, 0, 0, 1 }, { DEVICE, KVM_GET_MSRS, 0, 0, 0, 1 },
	{ VM, KVM_CHECK_EXTENSION, true, 0, 0, 1 }, { VM, KVM_SET_TSS_ADDR, true, 0, 0, 1 },
	{ VM, KVM_SET_IDENTITY_MAP_ADDR, 0, 0, 0, 1 }, { VM, KVM_ENABLE_CAP, 0, 0, 0, 1 },
	{ VM, KVM_GET_DIRTY_LOG, 0, 0, 0, 4 }, { VM, KVM_CLEAR_DIRTY_LOG, 0, 0, 0, 4 },
	{ VM, KVM_IOEVENTFD, 0, 0, 0, 4 }, { VM, KVM_REGISTER_COALESCED_MMIO, 0, 0, 0, 2 },
	{ VM, KVM_UNREGISTER_COALESCED_MMIO, 0, 0, 0, 2 }, { VM, KVM_GET_CLOCK, 0, 0, 0, 1 },
	{ VM, KVM_SET_CLOCK, 0, 0, 0, 1 }, { VM, KVM_IRQ_LINE, 0, 0, 0, 1 }, { VM, KVM_SET_GSI_ROUTING, 0, 0, 0, 1 },
	{ VM, KVM_SIGNAL_MSI, 0, 0, 0, 1 }, { VM, KVM_SET_BOOT_CPU_ID, true, 0, 0, 1 },
	{ VM, KVM_IRQFD, 0, 0, 0, 1 }, { VM, KVM_CREATE_DEVICE, 0, 0, 0, 1 }, { VM, KVM_SET_TSC_KHZ, true, 0, 0, 1 },
	{ VM, KVM_GET_STATS_FD, true, 0, 0, 1 }, { VM, KVM_MEMORY_ENCRYPT_OP, 0, 0, 0, 1 },
	{ VCPU, KVM_GET_REGS, 0, 0, 0, 1 }, { VCPU, KVM_SET_REGS, 0, true, KVM_GET_REGS, 6 },
	{ VCPU, KVM_GET_SREGS, 0, 0, 0, 1 }, { VCPU, KVM_SET_SREGS, 0, true, KVM_GET_SREGS, 6 },
	{ VCPU, KVM_GET_SREGS2, 0, 0, 0, 1 }, { VCPU, KVM_SET_SREGS2, 0, true, KVM_GET_SREGS2, 3 },
	{ VCPU, KVM_GET_FPU, 0, 0, 0, 1 }, { VCPU, KVM_SET_FPU, 0, true, KVM_GET_FPU, 1 },
	{ VCPU, KVM_GET_XSAVE, 0, 0, 0, 1 }, { VCPU, KVM_SET_XSAVE, 0, true, KVM_GET_XSAVE, 2 },
	{ VCPU, KVM_GET_XSAVE2, 0, 0, 0, 1 }, { VCPU, KVM_GET_XCRS, 0, 0, 0, 1 },
	{ VCPU, KVM_SET_XCRS, 0, true, KVM_GET_XCRS, 2 }, { VCPU, KVM_GET_MSRS, 0, 0, 0, 2 },
	{ VCPU, KVM_SET_MSRS, 0, 0, 0, 4 }, { VCPU, KVM_GET_CPUID2, 0, 0, 0, 1 },
	{ VCPU, KVM_SET_CPUID2, 0, 0, 0, 2 }, { VCPU, KVM_SET_CPUID, 0, 0, 0, 1 },
	{ VCPU, KVM_GET_DEBUGREGS, 0, 0, 0, 1 }, { VCPU, KVM_SET_DEBUGREGS, 0, true, KVM_GET_DEBUGREGS, 2 },
	{ VCPU, KVM_GET_VCPU_EVENTS, 0, 0, 0, 1 }, { VCPU, KVM_SET_VCPU_EVENTS, 0, true, KVM_GET_VCPU_EVENTS, 4 },
	{ VCPU, KVM_GET_MP_STATE, 0, 0, 0, 1 }, { VCPU, KVM_SET_MP_STATE, 0, true, KVM_GET_MP_STATE, 1 },
	{ VCPU, KVM_SET_TSC_KHZ, true, 0, 0, 1 }, { VCPU, KVM_GET_TSC_KHZ, true, 0, 0, 1 },
	{ VCPU, KVM_INTERRUPT, 0, 0, 0, 3 }, { VCPU, KVM_NMI, true, 0, 0, 2 }, { VCPU, KVM_SMI, true, 0, 0, 1 },
	{ VCPU, KVM_TRANSLATE, 0, 0, 0, 2 }, { VCPU, KVM_SET_GUEST_DEBUG, 0, 0, 0, 2 },
	{ VCPU, KVM_SET_SIGNAL_MASK, 0, 0, 0, 1 }, { VCPU, KVM_KVMCLOCK_CTRL, true, 0, 0, 1 },
	{ VCPU, KVM_TPR_ACCESS_REPORTING, 0, 0, 0, 1 }, { VCPU, KVM_SET_VAPIC_ADDR, 0, 0, 0, 1 },
	{ VCPU, KVM_X86_SETUP_MCE, 0, 0, 0, 1 }, { VCPU, KVM_ENABLE_CAP, 0, 0, 0, 1 },
	{ VCPU, KVM_GET_LAPIC, 0, 0, 0, 1 }, { VCPU, KVM_SET_LAPIC, 0, 0, 0, 1 }, { VCPU, KVM_GET_STATS_FD, true, 0, 0, 1 },
	{ VCPU, KVM_GET_NESTED_STATE, 0, 0, 0, 1 }, { VCPU, KVM_SET_NESTED_STATE, 0, 0, 0, 1 },
};

#define NR_CALLS (sizeof(calls) / sizeof(calls[0]))

static void note_result(long ret, unsigned long req)
{
	if (ret < 0)
		return;
	succeeded++;
	/* Descriptors given out: statistics and devices. */
	if (req == KVM_GET_STATS_FD && ret > 2) {
		uint8_t buf[256];

		if (pread(ret, buf, sizeof(buf), 0) < 0)
			succeeded--;
		close(ret);
	}
}

/* Some words of the argument become numbers that matter. */
static void mutate(struct thread *t, size_t size)
{
	for (uint64_t n = below(t, 4); n; n--) {
		uint64_t val = number(t);
		size_t at = below(t, size > 8 ? size - 8 : 1);

		memcpy(t->arg + (below(t, 4) ? at & ~3ull : at), &val, below(t, 2) ? 4 : 8);
	}
}

static void call(struct thread *t, struct machine *m)
{
	const struct call *c = &calls[below(t, NR_CALLS)];
	size_t size = _IOC_SIZE(c->req) ? _IOC_SIZE(c->req) : 64;
	int fd = c->owner == DEVICE ? kvm : c->owner == VM ? m->vm : m->vcpu[below(t, VCPUS)];
	void *arg = t->arg;

	for (unsigned int i = 0; i < c->often; i++) {
		if (c->number) {
			arg = (void *)number(t);
		} else if (c->get_first && below(t, 8)) {
			ioctl(fd, c->get, t->arg);
			mutate(t, size);
		} else {
			memset(t->arg, below(t, 3) ? 0 : below(t, 256), size + 256);
			mutate(t, size + 64);
			if (!below(t, 16))	/* too close to the end of what is mapped */
				arg = t->arg + ARG_SIZE - below(t, size + 8);
		}
		note_result(ioctl(fd, c->req, arg), c->req);
		/* A mask that stays could make a run endless. */
		if (c->req == KVM_SET_SIGNAL_MASK)
			ioctl(fd, c->req, NULL);
		t->calls++;
	}
}

static void slot(struct thread *t, struct machine *m)
{
	struct kvm_userspace_memory_region r = {
		.slot = below(t, 6), .flags = below(t, 4), .guest_phys_addr = below(t, 16) << 20,
		.memory_size = below(t, 5) << (below(t, 2) ? 12 : 20),
		.userspace_addr = (uintptr_t)ram + (below(t, 4) << 12),
	};

	if (r.memory_size > RAM - 0x4000)
		r.memory_size = RAM - 0x4000;
	if (!below(t, 8))
		((uint64_t *)&r)[below(t, 4)] = number(t);
	note_result(ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
	t->calls++;
}

static void eventfds(struct thread *t, struct machine *m)
{
	struct kvm_ioeventfd e = {
		.addr = below(t, 4) ? below(t, 16) << 20 : number(t), .len = 1u << below(t, 4), .fd = event,
		.flags = below(t, 8), .datamatch = below(t, 4),
	};

	if (!below(t, 4))
		e.len = 0;
	note_result(ioctl(m->vm, KVM_IOEVENTFD, &e), 0);
	t->calls++;
}

/* Runs what is there for a little while. */
static void run(struct thread *t, struct machine *m)
{
	unsigned int i = below(t, VCPUS);
	struct kvm_run *r = m->run[i];

	if (below(t, 4)) {
		struct kvm_regs regs;
		uint8_t code[32];

		for (unsigned int n = 0; n < sizeof(code); n++)
			code[n] = rnd(t);
		memcpy(ram + below(t, OURS - 32), code, sizeof(code));
		if (!ioctl(m->vcpu[i], KVM_GET_REGS, &regs)) {
			regs.rip = below(t, 2) ? below(t, 0x10000) : number(t);
			ioctl(m->vcpu[i], KVM_SET_REGS, &regs);
		}
	}
	if (r) {
		r->request_interrupt_window = !below(t, 4);
		r->immediate_exit = !below(t, 8);
		r->cr8 = below(t, 2) ? below(t, 16) : number(t);
		if (!below(t, 16))
			r->kvm_valid_regs = number(t);
		if (!below(t, 16))
			r->kvm_dirty_regs = number(t);
		if (!below(t, 16))
			((uint64_t *)r)[below(t, 512)] = rnd(t);
	}
	note_result(ioctl(m->vcpu[i], KVM_RUN, 0), 0);
	t->calls++;
}

static void memory(struct thread *t)
{
	uint8_t *at = ram + OURS + (below(t, (RAM - OURS) >> 12) << 12);

	switch (below(t, 4)) {
	case 0: madvise(at, below(t, 8) << 12, MADV_DONTNEED); break;
	case 1: mprotect(at, 4096, below(t, 2) ? PROT_READ : PROT_READ | PROT_WRITE); break;
	case 2: mprotect(ram + OURS, RAM - OURS, PROT_READ | PROT_WRITE); break;
	default: madvise(ram, RAM, below(t, 2) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE); break;
	}
}

/* ---- machines ---- */

static void open_machine(struct machine *m)
{
	struct kvm_userspace_memory_region r = { .slot = 0, .memory_size = RAM, .userspace_addr = (uintptr_t)ram };

	m->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &r);
	for (unsigned int i = 0; i < VCPUS; i++) {
		m->vcpu[i] = ioctl(m->vm, KVM_CREATE_VCPU, i);
		m->run[i] = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu[i], 0);
		if (m->run[i] == MAP_FAILED)
			m->run[i] = NULL;
	}
}

static void close_machine(struct machine *m, unsigned int order)
{
	if (order & 1)
		close(m->vm);
	for (unsigned int i = 0; i < VCPUS; i++) {
		if (m->run[i])
			munmap(m->run[i], run_size);
		m->run[i] = NULL;
		close(m->vcpu[i]);
	}
	if (!(order & 1))
		close(m->vm);
}

static void *work(void *arg)
{
	struct thread *t = arg;
	unsigned long until = PER_CHILD / THREADS;

	while (t->calls < until) {
		struct machine *m = &machines[below(t, VMS)];

		switch (below(t, 16)) {
		case 0: case 1: slot(t, m); break;
		case 2: eventfds(t, m); break;
		case 3: case 4: case 5: case 6: run(t, m); break;
		case 7: memory(t); break;
		default: call(t, m); break;
		}
	}
	return NULL;
}

static void tick(int sig)
{
}

/* ITIMER goes to one thread; all of them have to be woken. */
static void *ticker(void *arg)
{
	struct thread *threads = arg;

	for (;;) {
		usleep(3000);
		for (unsigned int i = 0; i < THREADS; i++)
			pthread_kill(threads[i].id, SIGUSR1);
	}
	return NULL;
}

static uint8_t *guarded(size_t size)
{
	uint8_t *p = mmap(NULL, size + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(p + size, 8192);
	return p;
}

static unsigned long child(uint64_t seed)
{
	struct thread threads[THREADS] = { 0 };
	struct sigaction sa = { .sa_handler = tick };
	unsigned long total = 0;
	pthread_t extra;

	sigaction(SIGUSR1, &sa, NULL);
	kvm = open("/dev/kvm", O_RDWR);
	event = eventfd(0, EFD_NONBLOCK);
	run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	ram = mmap(NULL, RAM + 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (unsigned int i = 0; i < VMS; i++)
		open_machine(&machines[i]);
	for (unsigned int i = 0; i < THREADS; i++) {
		threads[i].random = seed * THREADS + i + 1;
		threads[i].arg = guarded(ARG_SIZE);
		for (unsigned int n = 0; n < 20; n++)
			rnd(&threads[i]);
		pthread_create(&threads[i].id, NULL, work, &threads[i]);
	}
	pthread_create(&extra, NULL, ticker, threads);
	if (seed % 4 == 1) {
		/* Dies in the middle of it. */
		usleep(200000 + seed % 7 * 100000);
		_exit(0);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(threads[i].id, NULL);
		total += threads[i].calls;
	}
	for (unsigned int i = 0; i < VMS && seed % 4 != 2; i++)
		close_machine(&machines[i], seed + i);
	return total;
}

/* Its calls and successes come back through a pipe; 0 calls when it was killed. */
static bool one_child(uint64_t seed, unsigned long *done, unsigned long *good)
{
	unsigned long told[2] = { 0, 0 };
	int p[2], status;
	pid_t pid;

	if (pipe(p))
		tap_bail("pipe");
	pid = fork();
	if (!pid) {
		alarm(120);
		told[0] = child(seed);
		told[1] = succeeded;
		if (write(p[1], told, sizeof(told)) != sizeof(told))
			_exit(1);
		_exit(0);
	}
	close(p[1]);
	if (read(p[0], told, sizeof(told)) < 0)
		told[0] = 0;
	close(p[0]);
	waitpid(pid, &status, 0);
	*done += told[0];
	*good += told[1];
	if (WIFEXITED(status))
		return true;
	tap_note("the child with seed %llu ended with signal %d", (unsigned long long)seed, WTERMSIG(status));
	return false;
}

int main(int argc, char **argv)
{
	unsigned long want = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000000, done = 0, good = 0, stuck = 0;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;

	tap_note("seed %llu, %lu calls", (unsigned long long)seed, want);
	while (done < want && stuck < 5) {
		if (!one_child(seed++, &done, &good))
			stuck++;
	}
	tap_ok(done >= want, "%lu random calls, %lu of them successful", done, good);
	tap_ok(!stuck, "every process ended by itself");
	return tap_done();
}
