// SPDX-License-Identifier: GPL-2.0
/* Signals, the signal mask and immediate_exit against a guest that spins. */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "abi.h"

static volatile sig_atomic_t caught;

static void handler(int sig)
{
	caught++;
}

static void spin(struct vmm *v)
{
	LOAD(v, 0x48, 0xff, 0xc0, 0xeb, 0xfb);	/* 1: inc %rax; jmp 1b */
	vmm_mode(v, 0, VMM_LONG);
}

static void timer(unsigned int us)
{
	struct itimerval t = { .it_value.tv_usec = us };

	setitimer(ITIMER_REAL, &t, NULL);
}

static int set_mask(struct vmm *v, uint32_t len, uint64_t mask)
{
	struct {
		struct kvm_signal_mask head;
		uint8_t bytes[8];
	} m = { .head.len = len };

	memcpy(m.head.sigset, &mask, 8);
	return ioctl(v->vcpu[0], KVM_SET_SIGNAL_MASK, &m);
}

static void eintr(struct vmm *v, const char *name)
{
	int ret = vmm_run(v, 0), err = errno;

	tap_errno(ret, err, EINTR, "%s", name);
	tap_eq(v->run[0]->exit_reason, KVM_EXIT_INTR, "its exit reason");
}

static void interrupted(struct vmm *v)
{
	spin(v);
	caught = 0;
	timer(20000);
	eintr(v, "a signal ends KVM_RUN of a spinning guest");
	tap_eq(caught, 1, "the handler ran");
	tap_ok(vmm_regs(v, 0).rax > 0, "so had the guest");
}

static void immediate(struct vmm *v)
{
	spin(v);
	v->run[0]->immediate_exit = 1;
	eintr(v, "immediate_exit ends KVM_RUN");
	tap_eq(vmm_regs(v, 0).rax, 0, "before the guest runs");
	v->run[0]->immediate_exit = 0;
}

static void mask(struct vmm *v)
{
	sigset_t block, old;
	struct timespec none = { 0, 0 };
	void (*old_action)(int);

	CALL(EFAULT, v->vcpu[0], KVM_SET_SIGNAL_MASK, BAD_POINTER, "KVM_SET_SIGNAL_MASK at a bad pointer");
	EXPECT(EINVAL, set_mask(v, 4, 0), "KVM_SET_SIGNAL_MASK of 4 bytes");
	EXPECT(EINVAL, set_mask(v, 128, 0), "KVM_SET_SIGNAL_MASK of 128 bytes");
	EXPECT(0, set_mask(v, 8, 0), "KVM_SET_SIGNAL_MASK that blocks nothing");
	/* Nobody handles it: let through for real, it would be the end. */
	old_action = signal(SIGALRM, SIG_DFL);
	spin(v);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	sigprocmask(SIG_BLOCK, &block, &old);
	caught = 0;
	timer(20000);
	eintr(v, "a blocked signal the mask lets through ends KVM_RUN");
	tap_eq(caught, 0, "and stays pending");
	tap_eq(sigtimedwait(&block, NULL, &none), SIGALRM, "until it is fetched");
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGALRM, old_action);
	CALL(0, v->vcpu[0], KVM_SET_SIGNAL_MASK, NULL, "KVM_SET_SIGNAL_MASK of none");
}

/* A signal that the mask blocks does not end the run; SIGUSR1 does. */
static void mask_blocks(struct vmm *v)
{
	pid_t child;

	EXPECT(0, set_mask(v, 8, 1ull << (SIGALRM - 1)), "KVM_SET_SIGNAL_MASK that blocks SIGALRM");
	spin(v);
	caught = 0;
	child = fork();
	if (!child) {
		usleep(20000);
		kill(getppid(), SIGALRM);
		usleep(60000);
		kill(getppid(), SIGUSR1);
		_exit(0);
	}
	eintr(v, "SIGUSR1 ends KVM_RUN, SIGALRM did not");
	tap_eq(caught, 2, "both handlers ran after it");
	ioctl(v->vcpu[0], KVM_SET_SIGNAL_MASK, NULL);
}

static void *kicker(void *arg)
{
	struct kvm_run *run = arg;

	usleep(20000);
	run->immediate_exit = 1;
	usleep(1000);
	return NULL;
}

/* immediate_exit set by another thread takes effect with the next entry after a kick. */
static void kicked(struct vmm *v)
{
	pthread_t t;

	spin(v);
	pthread_create(&t, NULL, kicker, v->run[0]);
	timer(60000);
	eintr(v, "immediate_exit from another thread and a kick");
	pthread_join(t, NULL);
	v->run[0]->immediate_exit = 0;
}

void abi_signal(void)
{
	struct sigaction sa = { .sa_handler = handler }, old;
	struct vmm *v = vmm_new_vcpu(VMM_LONG);

	sigaction(SIGALRM, &sa, &old);
	sigaction(SIGUSR1, &sa, NULL);
	interrupted(v);
	immediate(v);
	mask(v);
	mask_blocks(v);
	kicked(v);
	sigaction(SIGALRM, &old, NULL);
	vmm_free(v);
}
