/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The KVM userspace API, checked call by call. The expectations are those of
 * the stock module: the same program passes there, which is how it is itself
 * checked. Where the stock modules of 6.1 and 6.12 differ, both are accepted.
 */
#ifndef TESTS_ABI_ABI_H
#define TESTS_ABI_ABI_H

#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tap.h"
#include "vmm.h"

/* An address nothing is mapped at. */
#define BAD_POINTER	((void *)0xdead000000ull)

/* One point: ioctl @req gives errno @want (0: success). */
#define CALL(want, fd, req, arg, ...)					\
	do {								\
		errno = 0;						\
		long abi_ret = ioctl(fd, req, arg);			\
		tap_errno(abi_ret, errno, want, __VA_ARGS__);		\
	} while (0)

/* One point: @call, which returns as a system call does, gives errno @want. */
#define EXPECT(want, call, ...)						\
	do {								\
		errno = 0;						\
		long abi_ret = call;					\
		tap_errno(abi_ret, errno, want, __VA_ARGS__);		\
	} while (0)

/* One point: the next KVM_RUN of vCPU 0 ends with @reason. */
#define RUNS_TO(v, reason, ...)	abi_runs_to(v, reason, __VA_ARGS__)
bool abi_runs_to(struct vmm *v, uint32_t reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Loads the bytes of @code (an array) at VMM_CODE. */
#define LOAD(v, ...)							\
	do {								\
		static const uint8_t abi_code[] = { __VA_ARGS__ };	\
		vmm_load(v, abi_code, sizeof(abi_code));		\
	} while (0)

/* Groups; each makes and frees its own VMs. */
void abi_system(void);
void abi_vm(void);
void abi_slots(void);
void abi_regs(void);
void abi_sregs(void);
void abi_fpu(void);
void abi_msrs(void);
void abi_cpuid(void);
void abi_run(void);
void abi_events(void);
void abi_signal(void);
void abi_debug(void);
void abi_dirty(void);
void abi_eventfd(void);
void abi_coalesced(void);
void abi_stats(void);
void abi_state(void);
void abi_notifier(void);
void abi_mode(void);

#endif
