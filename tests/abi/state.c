// SPDX-License-Identifier: GPL-2.0
/* Calls in the wrong state: from another process, after closing, from two threads. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi.h"

/* Runs @req in a child, which has its own mm; returns its errno. */
static int in_child(int fd, unsigned long req, void *arg)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		errno = 0;
		ioctl(fd, req, arg);
		_exit(errno);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void other_mm(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);
	struct kvm_regs r;
	struct kvm_userspace_memory_region m = { .slot = 1, .guest_phys_addr = 1 << 30, .memory_size = 4096,
						 .userspace_addr = (uintptr_t)v->ram };

	tap_eq(in_child(v->vcpu[0], KVM_RUN, NULL), EIO, "KVM_RUN from another process");
	tap_eq(in_child(v->vcpu[0], KVM_GET_REGS, &r), EIO, "KVM_GET_REGS from another process");
	tap_eq(in_child(v->vcpu[0], _IO(KVMIO, 0x0f), NULL), EIO, "unknown vCPU ioctl from another process");
	tap_eq(in_child(v->vm, KVM_CREATE_VCPU, (void *)1), EIO, "KVM_CREATE_VCPU from another process");
	tap_eq(in_child(v->vm, KVM_SET_USER_MEMORY_REGION, &m), EIO, "a slot from another process");
	tap_eq(in_child(v->vm, KVM_CHECK_EXTENSION, (void *)1), EIO, "KVM_CHECK_EXTENSION from another process");
	tap_eq(in_child(v->kvm, KVM_GET_API_VERSION, NULL), 0, "KVM_GET_API_VERSION from another process");
	LOAD(v, 0xf4);
	RUNS_TO(v, KVM_EXIT_HLT, "the VM is unharmed");
	vmm_free(v);
}

/* The VM lives as long as one of its descriptors. */
static void vm_closed(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);

	close(v->vm);
	v->vm = -1;
	close(v->kvm);
	v->kvm = -1;
	LOAD(v, 0xf4);
	RUNS_TO(v, KVM_EXIT_HLT, "a vCPU runs after the VM and the device were closed");
	vmm_free(v);
	tap_ok(true, "and closes");
}

static void memory_gone(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);
	void *ram = v->ram;
	int ret;

	LOAD(v, 0xf4);
	RUNS_TO(v, KVM_EXIT_HLT, "guest runs");
	munmap(ram, v->ram_size);
	ret = vmm_run(v, 0);
	/* With shadow tables the walk of the guest's own tables fails first: a triple fault. */
	tap_ok((ret == -1 && errno == EFAULT) ||
	       (!ret && vmm_engine_mode("shadow") && v->run[0]->exit_reason == KVM_EXIT_SHUTDOWN), "KVM_RUN without memory gives EFAULT (%d, errno %d, exit %u)", ret,
	       ret ? errno : 0, v->run[0]->exit_reason);
	v->ram = mmap(ram, v->ram_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	vmm_free(v);
}

/* A dead process's VM goes with it, running or not. */
static void killed(void)
{
	unsigned int ok = 0;

	for (unsigned int i = 0; i < 10; i++) {
		int status;
		pid_t pid = fork();

		if (!pid) {
			struct vmm *v = vmm_new_vcpu(VMM_LONG);

			LOAD(v, 0xeb, 0xfe);
			vmm_run(v, 0);
			_exit(1);
		}
		usleep(5000 + i * 3000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		ok += WIFSIGNALED(status);
	}
	tap_eq(ok, 10, "ten spinning guests killed");
}

static void *runner(void *arg)
{
	struct vmm *v = arg;

	while (!v->run[0]->immediate_exit)
		vmm_run(v, 0);
	return NULL;
}

static void nothing(int sig)
{
}

/* Slot changes and calls on a vCPU while it runs in another thread. */
static void concurrent(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);
	struct sigaction sa = { .sa_handler = nothing };
	volatile uint64_t *count = (uint64_t *)(v->ram + VMM_DATA);
	struct kvm_regs r;
	unsigned int failed = 0;
	uint64_t before;
	pthread_t t;

	sigaction(SIGUSR1, &sa, NULL);
	/* 1: incq (%rdi); jmp 1b */
	LOAD(v, 0x48, 0xff, 0x07, 0xeb, 0xfb);
	r = vmm_regs(v, 0);
	r.rdi = VMM_DATA;
	vmm_set_regs(v, 0, &r);
	pthread_create(&t, NULL, runner, v);
	while (!*count)
		sched_yield();
	for (unsigned int i = 0; i < 200; i++) {
		failed += vmm_slot(v, 1, 0, 1 << 30, 4096 * 16, v->ram) != 0;
		failed += vmm_slot(v, 1, KVM_MEM_LOG_DIRTY_PAGES, 1 << 30, 4096 * 16, v->ram) != 0;
		failed += vmm_slot(v, 1, 0, 1 << 30, 0, v->ram) != 0;
		madvise(v->ram + VMM_DATA + 0x10000, 0x10000, MADV_DONTNEED);
	}
	tap_eq(failed, 0, "slots change 600 times under a running vCPU");
	for (before = *count; *count == before;)	/* for ever, if it no longer runs */
		sched_yield();
	tap_ok(true, "and it goes on");
	v->run[0]->immediate_exit = 1;
	pthread_kill(t, SIGUSR1);
	pthread_join(t, NULL);
	v->run[0]->immediate_exit = 0;
	vmm_free(v);
}

void abi_state(void)
{
	other_mm();
	vm_closed();
	memory_gone();
	killed();
	concurrent();
}
