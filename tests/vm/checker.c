// SPDX-License-Identifier: GPL-2.0
/* See checker.h. The guest's program is at the top, then its VM and threads. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "checker.h"

#define PORT_PASS	0x10
#define PORT_BAD	0x11

/*
 * esi pages, edi table, esp number of pages - 1, ebx pass. Odd pages get the same
 * content, for the host to merge.
 */
__asm__(
	".pushsection .rodata\n"
	".code32\n"
	".global guest_checker, guest_checker_end\n"
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
	"guest_checker_end:\n"
	".code64\n"
	".popsection\n");
extern const char guest_checker[], guest_checker_end[];

static unsigned int points, failures;

void point(bool ok, const char *name)
{
	printf("%s %u - %s\n", ok ? "ok" : "not ok", ++points, name);
	failures += !ok;
}

int points_done(void)
{
	printf("1..%u\n", points);
	return failures != 0;
}

void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

void nap(long us)
{
	nanosleep(&(struct timespec){ .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 }, NULL);
}

unsigned int next_random(unsigned int *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* ---- a VM ---- */

int vm_set_slot(struct vm *vm, unsigned int slot, unsigned int flags, unsigned long gpa, size_t size,
		void *hva)
{
	struct kvm_userspace_memory_region m = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (unsigned long)hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &m);
}

void vm_new(struct vm *vm, int kvm, uint8_t *ram, size_t size)
{
	memset(vm, 0, sizeof(*vm));
	pthread_mutex_init(&vm->park_lock, NULL);
	pthread_cond_init(&vm->park_changed, NULL);
	vm->ram = ram;
	vm->fd = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		die("KVM_CREATE_VM");
	memcpy(ram + CODE_GPA, guest_checker, guest_checker_end - guest_checker);
	if (vm_set_slot(vm, 0, 0, 0, size, ram))
		die("KVM_SET_USER_MEMORY_REGION");
}

static void set_flat32(struct cpu *c, const struct kvm_regs *regs)
{
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
	if (ioctl(c->fd, KVM_SET_REGS, regs))
		die("KVM_SET_REGS");
}

struct cpu *vm_add_cpu(struct vm *vm, int kvm, const struct kvm_regs *regs)
{
	struct cpu *c = &vm->cpus[vm->nr_cpus];
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	c->vm = vm;
	c->index = vm->nr_cpus++;
	c->fd = ioctl(vm->fd, KVM_CREATE_VCPU, c->index);
	if (c->fd < 0)
		die("KVM_CREATE_VCPU");
	c->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (c->run == MAP_FAILED)
		die("mapping a vCPU");
	set_flat32(c, regs);
	return c;
}

struct cpu *vm_add_checker(struct vm *vm, int kvm)
{
	struct kvm_regs r = { .rip = CODE_GPA, .rflags = 2, .rsp = CHECKED_PAGES - 1,
			      .rsi = PAGES_GPA(vm->nr_cpus), .rdi = TABLE_GPA(vm->nr_cpus) };

	return vm_add_cpu(vm, kvm, &r);
}

/* ---- running it ---- */

static void park_here(struct cpu *c)
{
	struct vm *vm = c->vm;

	pthread_mutex_lock(&vm->park_lock);
	c->run->immediate_exit = 0;
	while (vm->parks) {
		c->parked = true;
		pthread_cond_broadcast(&vm->park_changed);
		pthread_cond_wait(&vm->park_changed, &vm->park_lock);
	}
	c->parked = false;
	pthread_mutex_unlock(&vm->park_lock);
}

void vm_park(struct vm *vm)
{
	pthread_mutex_lock(&vm->park_lock);
	vm->parks++;
	for (int i = 0; i < vm->nr_cpus; i++) {
		vm->cpus[i].run->immediate_exit = 1;
		pthread_kill(vm->cpus[i].thread, SIGUSR1);
	}
	for (int i = 0; i < vm->nr_cpus; i++)
		while (!vm->cpus[i].parked)
			pthread_cond_wait(&vm->park_changed, &vm->park_lock);
	pthread_mutex_unlock(&vm->park_lock);
}

void vm_unpark(struct vm *vm)
{
	pthread_mutex_lock(&vm->park_lock);
	vm->parks--;
	pthread_cond_broadcast(&vm->park_changed);
	pthread_mutex_unlock(&vm->park_lock);
}

static bool handle_exit(struct cpu *c)
{
	struct kvm_run *run = c->run;

	if (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT_PASS) {
		c->passes++;
		return true;
	}
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT_BAD) {
		printf("# vCPU %d: page %u does not hold what it should\n", c->index,
		       *(uint32_t *)((char *)run + run->io.data_offset));
		return false;
	}
	if (c->vm->other_exit)
		return c->vm->other_exit(c);
	printf("# vCPU %d: exit %u\n", c->index, run->exit_reason);
	return false;
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
	struct vm *vm = c->vm;
	bool good = true;

	while (good && !vm->stopping)
		good = run_once(c);
	pthread_mutex_lock(&vm->park_lock);
	c->parked = true;	/* for good */
	pthread_cond_broadcast(&vm->park_changed);
	pthread_mutex_unlock(&vm->park_lock);
	return good ? NULL : c;
}

static void wake_for_park(int sig)
{
	(void)sig;
}

void vm_start(struct vm *vm)
{
	signal(SIGUSR1, wake_for_park);
	for (int i = 0; i < vm->nr_cpus; i++)
		if (pthread_create(&vm->cpus[i].thread, NULL, cpu_thread, &vm->cpus[i]))
			die("a vCPU's thread");
}

bool vm_stop(struct vm *vm)
{
	bool good = true;

	vm->stopping = true;
	for (int i = 0; i < vm->nr_cpus; i++) {
		void *failed;

		vm->cpus[i].run->immediate_exit = 1;
		pthread_kill(vm->cpus[i].thread, SIGUSR1);
		pthread_join(vm->cpus[i].thread, &failed);
		good &= !failed;
	}
	return good;
}

/* The page it is writing just now may have old words and new ones. */
bool vm_holds_what_it_wrote(struct vm *vm, int checker)
{
	const uint32_t *table = (const uint32_t *)(vm->ram + TABLE_GPA(checker));
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < CHECKED_PAGES; i++) {
		const uint32_t *page = (const uint32_t *)(vm->ram + PAGES_GPA(checker) + i * PAGE);

		wrong += page[0] != table[i] || page[511] != table[i] || page[1023] != table[i];
	}
	if (wrong > 1)
		printf("# checker %d: %u pages do not hold what it wrote\n", checker, wrong);
	return wrong <= 1;
}
