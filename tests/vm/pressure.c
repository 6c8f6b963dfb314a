// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that checks its own memory while the host does everything to it that a
 * host may do: swap it out, merge it, fork over it, build and split huge pages,
 * log its writes, and pull slots away.
 *
 *   vCPU 0, 1   read every page, compare with their own table, write a new value
 *   vCPU 2      writes without end into a slot that comes, goes and moves
 *   threads     one for each thing the host does
 *
 * Runs in the test host on any KVM: the stock module passes it as well.
 * usage: pressure SECONDS [shared]     guest memory: anonymous, or a shared memfd
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "checker.h"

#define COUNTER_GPA	0x3000ul
#define WRITER_GPA	0x1800ul
#define MOVING_GPA	0x40000000ul
#define MOVING_SIZE	(256 * PAGE)

/* Writer: esi region, esp size - 1, edi where it says what it writes next. */
__asm__(
	".pushsection .rodata\n"
	".code32\n"
	".global guest_writer, guest_writer_end\n"
	"guest_writer:\n"
	"	incl	%ecx\n"
	"	movl	%ecx, (%edi)\n"
	"	imull	$68, %ecx, %edx\n"
	"	andl	%esp, %edx\n"
	"	andl	$-4, %edx\n"
	"	movl	%ecx, (%esi,%edx)\n"
	"	jmp	guest_writer\n"
	"guest_writer_end:\n"
	".code64\n"
	".popsection\n");
extern const char guest_writer[], guest_writer_end[];

static struct vm vm;
static uint8_t *ram;
static struct cpu *writer;
static unsigned long mmio_writes;
static volatile bool stopping;

/* The writer finds no memory while its slot is away. */
static bool writer_exit(struct cpu *c)
{
	struct kvm_run *run = c->run;

	if (c != writer || run->exit_reason != KVM_EXIT_MMIO) {
		printf("# vCPU %d: exit %u\n", c->index, run->exit_reason);
		return false;
	}
	mmio_writes++;
	nap(500);	/* leave the processor to the others */
	return run->mmio.phys_addr - MOVING_GPA < 2 * MOVING_SIZE;
}

/* ---- what the host does ---- */

/* A random aligned part of RAM. */
static uint8_t *part(unsigned int *seed, size_t *size)
{
	*size = (next_random(seed) % 8 + 1) * 64 * 1024;
	return ram + next_random(seed) % ((RAM_SIZE - *size) / PAGE) * PAGE;
}

static void *pageout_thread(void *arg)
{
	unsigned int seed = 1;
	size_t size;

	while (!stopping) {
		uint8_t *p = part(&seed, &size);

		madvise(p, size, next_random(&seed) & 1 ? MADV_PAGEOUT : MADV_COLD);
		nap(10000);
	}
	return arg;
}

static void *huge_thread(void *arg)
{
	unsigned int seed = 2;
	size_t size;

	while (!stopping) {
		uint8_t *p = part(&seed, &size);

		p = (uint8_t *)((uintptr_t)p & ~(2 * MIB - 1));
		madvise(p, 2 * MIB, MADV_HUGEPAGE);
		madvise(p, 2 * MIB, 25);	/* MADV_COLLAPSE, where the kernel has it */
		nap(5000);
		madvise(p, 2 * MIB, MADV_NOHUGEPAGE);
		mprotect(p + MIB, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);	/* splits */
		mprotect(p + MIB, PAGE, PROT_READ | PROT_WRITE);
		nap(5000);
	}
	return arg;
}

static void *merge_thread(void *arg)
{
	while (!stopping) {
		madvise(ram, RAM_SIZE, MADV_MERGEABLE);
		nap(300000);
		madvise(ram, RAM_SIZE, MADV_UNMERGEABLE);
		nap(100000);
	}
	return arg;
}

static void *fork_thread(void *arg)
{
	while (!stopping) {
		pid_t pid = fork();

		if (!pid) {
			unsigned int sum = 0;

			for (size_t i = 0; i < RAM_SIZE; i += 16 * PAGE)
				sum += ram[i];
			_exit(sum & 1);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
		nap(100000);
	}
	return arg;
}

static unsigned long moves, stale_bytes, kept_checks, lost_writes;

static uint32_t newest_in_page(const uint8_t *page)
{
	const volatile uint32_t *word = (const volatile uint32_t *)page;
	uint32_t newest = 0;

	for (size_t i = 0; i < PAGE / 4; i++)
		newest = word[i] > newest ? word[i] : newest;
	return newest;
}

/*
 * What the guest writes after MADV_FREE stays, although the host's entry is clean
 * then: the host may throw away only what was not written since. The writer counts
 * upwards, so a page's newest word never falls back.
 */
static void expect_kept(uint8_t *mem)
{
	uint32_t freed_at, seen[MOVING_SIZE / PAGE];

	if (madvise(mem, MOVING_SIZE, MADV_FREE))
		return;
	/* Newer words than this one were written after all was freed. */
	freed_at = __atomic_load_n((uint32_t *)(ram + COUNTER_GPA), __ATOMIC_SEQ_CST);
	nap(20000);
	for (size_t i = 0; i < MOVING_SIZE / PAGE; i++)
		seen[i] = newest_in_page(mem + i * PAGE);
	madvise(mem, MOVING_SIZE, MADV_PAGEOUT);
	for (size_t i = 0; i < MOVING_SIZE / PAGE; i++) {
		if (seen[i] <= freed_at)
			continue;
		kept_checks++;
		lost_writes += newest_in_page(mem + i * PAGE) < seen[i];
	}
}

/* What a slot showed is the host's alone again once the slot is gone. */
static void expect_untouched(uint8_t *mem)
{
	memset(mem, 0x5a, MOVING_SIZE);
	nap(3000);
	for (size_t i = 0; i < MOVING_SIZE; i++)
		stale_bytes += mem[i] != 0x5a;
}

static void *slot_thread(void *arg)
{
	uint8_t *mem[2];

	for (int i = 0; i < 2; i++)
		mem[i] = mmap(NULL, MOVING_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (; !stopping; moves++) {
		uint8_t *m = mem[moves & 1];
		unsigned int log = moves & 2 ? KVM_MEM_LOG_DIRTY_PAGES : 0;

		memset(m, 0, MOVING_SIZE);
		if (vm_set_slot(&vm, 1, log, MOVING_GPA, MOVING_SIZE, m))
			die("creating the slot");
		nap(3000);
		expect_kept(m);
		if (moves & 4 && vm_set_slot(&vm, 1, log, MOVING_GPA + MOVING_SIZE, MOVING_SIZE, m))
			die("moving the slot");
		if (moves & 4)
			expect_untouched(m);
		if (vm_set_slot(&vm, 1, 0, MOVING_GPA, 0, m))
			die("deleting the slot");
		expect_untouched(m);
	}
	return arg;
}

/* ---- a migration, to a copy in the same process ---- */

static unsigned long migrations, logged_pages, lost_pages;

static void copy_logged(uint8_t *copy, uint64_t *bitmap, bool clear)
{
	struct kvm_dirty_log log = { .slot = 0, .dirty_bitmap = bitmap };
	struct kvm_clear_dirty_log clr = { .slot = 0, .num_pages = RAM_SIZE / PAGE,
					   .dirty_bitmap = bitmap };

	if (ioctl(vm.fd, KVM_GET_DIRTY_LOG, &log))
		die("KVM_GET_DIRTY_LOG");
	if (clear && ioctl(vm.fd, KVM_CLEAR_DIRTY_LOG, &clr))
		die("KVM_CLEAR_DIRTY_LOG");
	for (size_t i = 0; i < RAM_SIZE / PAGE; i++) {
		if (!(bitmap[i / 64] >> i % 64 & 1))
			continue;
		memcpy(copy + i * PAGE, ram + i * PAGE, PAGE);
		logged_pages++;
	}
}

static void migrate(uint8_t *copy, uint64_t *bitmap, bool manual)
{
	if (vm_set_slot(&vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, RAM_SIZE, ram))
		die("starting the log");
	memcpy(copy, ram, RAM_SIZE);
	for (int round = 0; round < 6 && !stopping; round++) {
		copy_logged(copy, bitmap, manual);
		nap(20000);
	}
	vm_park(&vm);
	copy_logged(copy, bitmap, manual);
	for (size_t i = 0; i < RAM_SIZE; i += PAGE)
		lost_pages += !!memcmp(copy + i, ram + i, PAGE);
	vm_unpark(&vm);
	if (vm_set_slot(&vm, 0, 0, 0, RAM_SIZE, ram))
		die("stopping the log");
	migrations++;
}

static void *migrate_thread(void *arg)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 };
	uint8_t *copy = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *bitmap = calloc(RAM_SIZE / PAGE / 64 + 1, 8);

	while (!stopping) {
		cap.args[0] = migrations % 2;
		if (ioctl(vm.fd, KVM_ENABLE_CAP, &cap))
			die("KVM_ENABLE_CAP");
		migrate(copy, bitmap, migrations % 2);
		nap(200000);
	}
	return arg;
}

/* ---- */

static uint8_t *new_ram(bool shared)
{
	size_t size = RAM_SIZE + 2 * MIB;
	int fd = shared ? memfd_create("ram", MFD_CLOEXEC) : -1;
	uint8_t *mem;

	if (shared && (fd < 0 || ftruncate(fd, size)))
		die("memfd");
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
	if (mem == MAP_FAILED)
		die("mmap");
	return (uint8_t *)(((uintptr_t)mem + 2 * MIB - 1) & ~(2 * MIB - 1));
}

static void new_vm(int kvm, bool shared)
{
	struct kvm_regs r = { .rip = WRITER_GPA, .rflags = 2, .rsi = MOVING_GPA, .rdi = COUNTER_GPA,
			      .rsp = MOVING_SIZE - 1 };

	ram = new_ram(shared);
	vm_new(&vm, kvm, ram, RAM_SIZE);
	memcpy(ram + WRITER_GPA, guest_writer, guest_writer_end - guest_writer);
	vm.other_exit = writer_exit;
	vm_add_checker(&vm, kvm);
	vm_add_checker(&vm, kvm);
	writer = vm_add_cpu(&vm, kvm, &r);
}

int main(int argc, char **argv)
{
	void *(*const work[])(void *) = { pageout_thread, huge_thread, merge_thread, fork_thread,
					  slot_thread, migrate_thread };
	pthread_t workers[sizeof(work) / sizeof(*work)];
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	bool good;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (kvm < 0 || argc < 2)
		die("usage: pressure SECONDS, with /dev/kvm");
	new_vm(kvm, argc > 2 && !strcmp(argv[2], "shared"));
	vm_start(&vm);
	for (size_t i = 0; i < sizeof(work) / sizeof(*work); i++)
		pthread_create(&workers[i], NULL, work[i], NULL);

	nap(atol(argv[1]) * 1000000);
	stopping = true;
	for (size_t i = 0; i < sizeof(work) / sizeof(*work); i++)
		pthread_join(workers[i], NULL);
	good = vm_stop(&vm);
	printf("# passes %lu and %lu, MMIO writes %lu, slot changes %lu, migrations %lu, pages logged %lu\n",
	       vm.cpus[0].passes, vm.cpus[1].passes, mmio_writes, moves, migrations, logged_pages);
	point(good, "the guest finds its memory as it left it");
	point(vm.cpus[0].passes && vm.cpus[1].passes, "and gets somewhere");
	point(moves > 2 && !stale_bytes, "memory of a slot that went is not written any more");
	point(kept_checks && !lost_writes, "what was written after MADV_FREE is kept");
	point(migrations && !lost_pages, "a copy made by the dirty log is complete");
	printf("# stale bytes %lu, pages kept %lu, lost %lu, lost by the log %lu\n", stale_bytes,
	       kept_checks, lost_writes, lost_pages);
	return points_done();
}
