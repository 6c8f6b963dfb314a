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

#define PAGE		4096ul
#define MIB		(1ul << 20)
#define CODE_GPA	0x1000ul
#define COUNTER_GPA	0x3000ul
#define CHECKERS	2
#define CHECKED_PAGES	512u		/* of each checker; a power of two */
#define TABLE_GPA(i)	(2 * MIB + (i) * MIB)		/* expected values */
#define PAGES_GPA(i)	(8 * MIB + (i) * CHECKED_PAGES * PAGE)
#define RAM_SIZE	(8 * MIB + CHECKERS * CHECKED_PAGES * PAGE)
#define MOVING_GPA	0x40000000ul
#define MOVING_SIZE	(256 * PAGE)
#define PORT_PASS	0x10
#define PORT_BAD	0x11

/*
 * Checker: esi pages, edi table, esp number of pages - 1, ebx pass. Odd pages get the
 * same content, for the host to merge.
 * Writer: esi region, esp size - 1, edi where it says what it writes next.
 */
__asm__(
	".pushsection .rodata\n"
	".code32\n"
	".global guest_checker, guest_writer, guest_end\n"
	"guest_checker:\n"
	"	xorl	%ecx, %ecx\n"
	"1:	imull	$2531, %ecx, %edx\n"
	"	addl	%ebx, %edx\n"
	"	andl	%esp, %edx\n"
	"	movl	(%edi,%edx,4), %eax\n"
	"	movl	%edx, %ebp\n"
	"	shll	$12, %ebp\n"
	"	addl	%esi, %ebp\n"
	"	cmpl	%eax, (%ebp)\n"
	"	jne	3f\n"
	"	cmpl	%eax, 2044(%ebp)\n"
	"	jne	3f\n"
	"	cmpl	%eax, 4092(%ebp)\n"
	"	jne	3f\n"
	"	imull	$1664525, %eax, %eax\n"
	"	leal	1013904223(%eax,%edx), %eax\n"
	"	testl	$1, %edx\n"
	"	jz	2f\n"
	"	movl	%ebx, %eax\n"
	"2:	movl	%eax, (%ebp)\n"
	"	movl	%eax, 2044(%ebp)\n"
	"	movl	%eax, 4092(%ebp)\n"
	"	movl	%eax, (%edi,%edx,4)\n"
	"	incl	%ecx\n"
	"	cmpl	%esp, %ecx\n"
	"	jbe	1b\n"
	"	incl	%ebx\n"
	"	movl	%ebx, %eax\n"
	"	movw	$0x10, %dx\n"
	"	outl	%eax, %dx\n"
	"	jmp	guest_checker\n"
	"3:	movl	%edx, %eax\n"
	"	movw	$0x11, %dx\n"
	"	outl	%eax, %dx\n"
	"	jmp	3b\n"
	"guest_writer:\n"
	"	incl	%ecx\n"
	"	movl	%ecx, (%edi)\n"
	"	imull	$68, %ecx, %edx\n"
	"	andl	%esp, %edx\n"
	"	andl	$-4, %edx\n"
	"	movl	%ecx, (%esi,%edx)\n"
	"	jmp	guest_writer\n"
	"guest_end:\n"
	".code64\n"
	".popsection\n");
extern const char guest_checker[], guest_writer[], guest_end[];

static int vm_fd;
static uint8_t *ram;
static volatile bool stopping;
static unsigned int points, failures;

/* One running processor. */
static struct cpu {
	int fd, index;
	struct kvm_run *run;
	pthread_t thread;
	unsigned long passes, mmio;
	bool parked;
} cpus[CHECKERS + 1];

/* Parking: the vCPUs stay outside the guest while parks is above zero. */
static pthread_mutex_t park_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t park_changed = PTHREAD_COND_INITIALIZER;
static int parks;

static void point(bool ok, const char *name)
{
	printf("%s %u - %s\n", ok ? "ok" : "not ok", ++points, name);
	failures += !ok;
}

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static void nap(long us)
{
	nanosleep(&(struct timespec){ .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 }, NULL);
}

static int set_slot(unsigned int slot, unsigned int flags, unsigned long gpa, size_t size, void *hva)
{
	struct kvm_userspace_memory_region m = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (unsigned long)hva,
	};

	return ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &m);
}

/* ---- vCPUs ---- */

static void set_flat32(struct cpu *c, unsigned long rip)
{
	bool writer = c->index == CHECKERS;
	struct kvm_regs r = { .rip = rip, .rflags = 2 };
	struct kvm_sregs s;

	if (ioctl(c->fd, KVM_GET_SREGS, &s))
		die("KVM_GET_SREGS");
	s.cs = (struct kvm_segment){ .limit = ~0u, .selector = 8, .type = 11, .present = 1, .db = 1,
				     .s = 1, .g = 1 };
	s.ds = s.es = s.ss = s.fs = s.gs = (struct kvm_segment){
		.limit = ~0u, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1 };
	s.cr0 |= 1;
	if (ioctl(c->fd, KVM_SET_SREGS, &s))
		die("KVM_SET_SREGS");
	r.rsi = writer ? MOVING_GPA : PAGES_GPA(c->index);
	r.rdi = writer ? COUNTER_GPA : TABLE_GPA(c->index);
	r.rsp = (writer ? MOVING_SIZE : CHECKED_PAGES) - 1;
	if (ioctl(c->fd, KVM_SET_REGS, &r))
		die("KVM_SET_REGS");
}

static void park_here(struct cpu *c)
{
	pthread_mutex_lock(&park_lock);
	c->run->immediate_exit = 0;
	while (parks) {
		c->parked = true;
		pthread_cond_broadcast(&park_changed);
		pthread_cond_wait(&park_changed, &park_lock);
	}
	c->parked = false;
	pthread_mutex_unlock(&park_lock);
}

static void park_all(void)
{
	pthread_mutex_lock(&park_lock);
	parks++;
	for (int i = 0; i <= CHECKERS; i++) {
		cpus[i].run->immediate_exit = 1;
		pthread_kill(cpus[i].thread, SIGUSR1);
	}
	for (int i = 0; i <= CHECKERS; i++)
		while (!cpus[i].parked)
			pthread_cond_wait(&park_changed, &park_lock);
	pthread_mutex_unlock(&park_lock);
}

static void unpark_all(void)
{
	pthread_mutex_lock(&park_lock);
	parks--;
	pthread_cond_broadcast(&park_changed);
	pthread_mutex_unlock(&park_lock);
}

static bool handle_exit(struct cpu *c)
{
	struct kvm_run *run = c->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		if (run->io.port == PORT_PASS) {
			c->passes++;
			return true;
		}
		printf("# vCPU %d: page %u does not hold what it should\n", c->index,
		       *(uint32_t *)((char *)run + run->io.data_offset));
		return false;
	case KVM_EXIT_MMIO:
		c->mmio++;
		nap(500);	/* leave the processor to the others */
		return c->index == CHECKERS && run->mmio.phys_addr - MOVING_GPA < 2 * MOVING_SIZE;
	default:
		printf("# vCPU %d: exit %u\n", c->index, run->exit_reason);
		return false;
	}
}

/* One entry: false when the guest cannot go on. */
static bool run_once(struct cpu *c)
{
	if (!ioctl(c->fd, KVM_RUN, 0))
		return handle_exit(c);
	if (errno == EINTR || errno == EAGAIN) {
		park_here(c);
		return true;
	}
	printf("# vCPU %d: KVM_RUN: %s\n", c->index, strerror(errno));
	return false;
}

static void *cpu_thread(void *arg)
{
	struct cpu *c = arg;
	bool good = true;

	while (good && !stopping)
		good = run_once(c);
	pthread_mutex_lock(&park_lock);
	c->parked = true;	/* for good */
	pthread_cond_broadcast(&park_changed);
	pthread_mutex_unlock(&park_lock);
	return good ? NULL : c;
}

static void new_cpu(int kvm, int i)
{
	struct cpu *c = &cpus[i];
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	c->index = i;
	c->fd = ioctl(vm_fd, KVM_CREATE_VCPU, i);
	if (c->fd < 0)
		die("KVM_CREATE_VCPU");
	c->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	set_flat32(c, CODE_GPA + (i == CHECKERS ? guest_writer - guest_checker : 0));
}

/* ---- what the host does ---- */

static unsigned int next_random(unsigned int *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

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
		if (set_slot(1, log, MOVING_GPA, MOVING_SIZE, m))
			die("creating the slot");
		nap(3000);
		expect_kept(m);
		if (moves & 4 && set_slot(1, log, MOVING_GPA + MOVING_SIZE, MOVING_SIZE, m))
			die("moving the slot");
		if (moves & 4)
			expect_untouched(m);
		if (set_slot(1, 0, MOVING_GPA, 0, m))
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

	if (ioctl(vm_fd, KVM_GET_DIRTY_LOG, &log))
		die("KVM_GET_DIRTY_LOG");
	if (clear && ioctl(vm_fd, KVM_CLEAR_DIRTY_LOG, &clr))
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
	if (set_slot(0, KVM_MEM_LOG_DIRTY_PAGES, 0, RAM_SIZE, ram))
		die("starting the log");
	memcpy(copy, ram, RAM_SIZE);
	for (int round = 0; round < 6 && !stopping; round++) {
		copy_logged(copy, bitmap, manual);
		nap(20000);
	}
	park_all();
	copy_logged(copy, bitmap, manual);
	for (size_t i = 0; i < RAM_SIZE; i += PAGE)
		lost_pages += !!memcmp(copy + i, ram + i, PAGE);
	unpark_all();
	if (set_slot(0, 0, 0, RAM_SIZE, ram))
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
		if (ioctl(vm_fd, KVM_ENABLE_CAP, &cap))
			die("KVM_ENABLE_CAP");
		migrate(copy, bitmap, migrations % 2);
		nap(200000);
	}
	return arg;
}

/* ---- */

static void wake_for_park(int sig)
{
	(void)sig;
}

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
	vm_fd = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm_fd < 0)
		die("KVM_CREATE_VM");
	ram = new_ram(shared);
	memcpy(ram + CODE_GPA, guest_checker, guest_end - guest_checker);
	if (set_slot(0, 0, 0, RAM_SIZE, ram))
		die("KVM_SET_USER_MEMORY_REGION");
	for (int i = 0; i <= CHECKERS; i++)
		new_cpu(kvm, i);
}

int main(int argc, char **argv)
{
	void *(*const work[])(void *) = { pageout_thread, huge_thread, merge_thread, fork_thread,
					  slot_thread, migrate_thread };
	pthread_t workers[sizeof(work) / sizeof(*work)];
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	bool good = true;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (kvm < 0 || argc < 2)
		die("usage: pressure SECONDS, with /dev/kvm");
	signal(SIGUSR1, wake_for_park);
	new_vm(kvm, argc > 2 && !strcmp(argv[2], "shared"));
	for (int i = 0; i <= CHECKERS; i++)
		pthread_create(&cpus[i].thread, NULL, cpu_thread, &cpus[i]);
	for (size_t i = 0; i < sizeof(work) / sizeof(*work); i++)
		pthread_create(&workers[i], NULL, work[i], NULL);

	nap(atol(argv[1]) * 1000000);
	stopping = true;
	for (size_t i = 0; i < sizeof(work) / sizeof(*work); i++)
		pthread_join(workers[i], NULL);
	for (int i = 0; i <= CHECKERS; i++) {
		void *failed;

		cpus[i].run->immediate_exit = 1;
		pthread_kill(cpus[i].thread, SIGUSR1);
		pthread_join(cpus[i].thread, &failed);
		good &= !failed;
	}
	printf("# passes %lu and %lu, MMIO writes %lu, slot changes %lu, migrations %lu, pages logged %lu\n",
	       cpus[0].passes, cpus[1].passes, cpus[CHECKERS].mmio, moves, migrations, logged_pages);
	point(good, "the guest finds its memory as it left it");
	point(cpus[0].passes && cpus[1].passes, "and gets somewhere");
	point(moves > 2 && !stale_bytes, "memory of a slot that went is not written any more");
	point(kept_checks && !lost_writes, "what was written after MADV_FREE is kept");
	point(migrations && !lost_pages, "a copy made by the dirty log is complete");
	printf("# stale bytes %lu, pages kept %lu, lost %lu, lost by the log %lu\n", stale_bytes,
	       kept_checks, lost_writes, lost_pages);
	printf("1..%u\n", points);
	return failures != 0;
}
