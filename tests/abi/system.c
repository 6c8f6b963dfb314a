// SPDX-License-Identifier: GPL-2.0
/* Calls on /dev/kvm itself. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "abi.h"

#define MSR_STAR	0xc0000081u
#define CAP_MEMORY_ATTRIBUTES	233	/* not in the headers of 6.1 */
#define CAP_GUEST_MEMFD		234

static void versions(int kvm)
{
	long size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	tap_eq(ioctl(kvm, KVM_GET_API_VERSION, 0), 12, "KVM_GET_API_VERSION is 12");
	CALL(EINVAL, kvm, KVM_GET_API_VERSION, 1, "KVM_GET_API_VERSION with an argument");
	tap_ok(size >= (long)sizeof(struct kvm_run) && size % 4096 == 0,
	       "KVM_GET_VCPU_MMAP_SIZE is whole pages (%ld)", size);
	CALL(EINVAL, kvm, KVM_GET_VCPU_MMAP_SIZE, 1, "KVM_GET_VCPU_MMAP_SIZE with an argument");
	/* EOPNOTSUPP on 6.1; on 6.12 a call like any unknown one. */
	tap_ok(ioctl(kvm, KVM_TRACE_ENABLE, 0) == -1 && (errno == EOPNOTSUPP || errno == EINVAL),
	       "KVM_TRACE_ENABLE is gone");
	CALL(EINVAL, kvm, _IO(KVMIO, 0x0f), 0, "unknown ioctl on /dev/kvm");
	CALL(EINVAL, kvm, KVM_RUN, 0, "vCPU ioctl on /dev/kvm");
	CALL(EINVAL, kvm, KVM_CREATE_VCPU, 0, "VM ioctl on /dev/kvm");
}

static void create_vm(int kvm)
{
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);

	tap_ok(vm >= 0, "KVM_CREATE_VM");
	tap_ok(fcntl(vm, F_GETFD) & FD_CLOEXEC, "a VM descriptor is closed on exec");
	close(vm);
	CALL(EINVAL, kvm, KVM_CREATE_VM, 0x100, "KVM_CREATE_VM of an unknown type");
	CALL(EINVAL, kvm, KVM_CREATE_VM, -1l, "KVM_CREATE_VM of type -1");
}

/* Capabilities a user-space interrupt controller VMM cannot do without. */
static void required_caps(int kvm)
{
	static const struct {
		long cap;
		const char *name;
	} need[] = {
		{ KVM_CAP_USER_MEMORY, "USER_MEMORY" },
		{ KVM_CAP_SET_TSS_ADDR, "SET_TSS_ADDR" },
		{ KVM_CAP_EXT_CPUID, "EXT_CPUID" },
		{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "DESTROY_MEMORY_REGION_WORKS" },
		{ KVM_CAP_SYNC_MMU, "SYNC_MMU" },
		{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, "JOIN_MEMORY_REGIONS_WORKS" },
		{ KVM_CAP_INTERNAL_ERROR_DATA, "INTERNAL_ERROR_DATA" },
		{ KVM_CAP_IOEVENTFD, "IOEVENTFD" },
		{ KVM_CAP_IOEVENTFD_ANY_LENGTH, "IOEVENTFD_ANY_LENGTH" },
		{ KVM_CAP_MP_STATE, "MP_STATE" },
		{ KVM_CAP_VCPU_EVENTS, "VCPU_EVENTS" },
		{ KVM_CAP_DEBUGREGS, "DEBUGREGS" },
		{ KVM_CAP_XSAVE, "XSAVE" },
		{ KVM_CAP_XCRS, "XCRS" },
		{ KVM_CAP_GET_TSC_KHZ, "GET_TSC_KHZ" },
		{ KVM_CAP_SET_GUEST_DEBUG, "SET_GUEST_DEBUG" },
		{ KVM_CAP_READONLY_MEM, "READONLY_MEM" },
		{ KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT" },
		{ KVM_CAP_USER_NMI, "USER_NMI" },
		{ KVM_CAP_COALESCED_MMIO, "COALESCED_MMIO" },
		{ KVM_CAP_COALESCED_PIO, "COALESCED_PIO" },
		{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, "MANUAL_DIRTY_LOG_PROTECT2" },
		{ KVM_CAP_BINARY_STATS_FD, "BINARY_STATS_FD" },
		{ KVM_CAP_SREGS2, "SREGS2" },
		{ KVM_CAP_CHECK_EXTENSION_VM, "CHECK_EXTENSION_VM" },
	};

	for (size_t i = 0; i < sizeof(need) / sizeof(need[0]); i++)
		tap_ok(ioctl(kvm, KVM_CHECK_EXTENSION, need[i].cap) > 0, "KVM_CAP_%s", need[i].name);
	tap_ok(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS) >= 32, "at least 32 slots");
	tap_ok(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS) >= 4, "at least 4 vCPUs");
	tap_eq(ioctl(kvm, KVM_CHECK_EXTENSION, 100000), 0, "an unknown capability is 0");
	tap_eq(ioctl(kvm, KVM_CHECK_EXTENSION, -1l), 0, "capability -1 is 0");
}

/* The VM's answers are the device's, for capabilities that do not depend on the VM. */
static void caps_agree(int kvm)
{
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	unsigned int differ = 0;

	for (long cap = 0; cap < 300; cap++) {
		int dev = ioctl(kvm, KVM_CHECK_EXTENSION, cap);
		int own = ioctl(vm, KVM_CHECK_EXTENSION, cap);

		/* These depend on the VM's type, for the stock module of 6.12. */
		if (cap == CAP_MEMORY_ATTRIBUTES || cap == CAP_GUEST_MEMFD)
			continue;
		if (dev < 0 || own < 0 || dev != own) {
			tap_note("capability %ld: %d on the device, %d on a VM", cap, dev, own);
			differ++;
		}
	}
	tap_eq(differ, 0, "capabilities on a VM equal those on the device");
	close(vm);
}

static void msr_list(int kvm, unsigned long req, const char *name)
{
	struct kvm_msr_list *l = calloc(1, sizeof(*l) + 4 * 1024);
	uint32_t n;

	CALL(EFAULT, kvm, req, BAD_POINTER, "%s at a bad pointer", name);
	l->nmsrs = 0;
	CALL(E2BIG, kvm, req, l, "%s with room for none", name);
	n = l->nmsrs;
	tap_ok(n > 0 && n < 1024, "%s told how many there are (%u)", name, n);
	l->nmsrs = n - 1;
	CALL(E2BIG, kvm, req, l, "%s one too short", name);
	l->nmsrs = 0xffffffff;
	CALL(0, kvm, req, l, "%s with the room of the world", name);
	tap_eq(l->nmsrs, n, "%s gives the same number", name);
	free(l);
}

static void msr_lists(int kvm)
{
	struct kvm_msr_list *l = calloc(1, sizeof(*l) + 4 * 1024);
	bool star = false;

	msr_list(kvm, KVM_GET_MSR_INDEX_LIST, "KVM_GET_MSR_INDEX_LIST");
	msr_list(kvm, KVM_GET_MSR_FEATURE_INDEX_LIST, "KVM_GET_MSR_FEATURE_INDEX_LIST");
	l->nmsrs = 1024;
	ioctl(kvm, KVM_GET_MSR_INDEX_LIST, l);
	for (uint32_t i = 0; i < l->nmsrs; i++)
		star |= l->indices[i] == MSR_STAR;
	tap_ok(star, "the index list holds STAR");
	free(l);
}

static void feature_msrs(int kvm)
{
	struct kvm_msr_list *l = calloc(1, sizeof(*l) + 4 * 1024);
	struct kvm_msrs *m = calloc(1, sizeof(*m) + sizeof(m->entries[0]) * 1024);

	l->nmsrs = 1024;
	if (!ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_GET_MSR_FEATURES)) {
		tap_skip("KVM_GET_MSRS on the device", "not claimed");
	} else {
		ioctl(kvm, KVM_GET_MSR_FEATURE_INDEX_LIST, l);
		m->nmsrs = l->nmsrs;
		for (uint32_t i = 0; i < l->nmsrs; i++)
			m->entries[i].index = l->indices[i];
		tap_eq(ioctl(kvm, KVM_GET_MSRS, m), l->nmsrs, "every feature MSR of the list can be read");
		m->nmsrs = 1;
		m->entries[0].index = 0x12345678;
		tap_eq(ioctl(kvm, KVM_GET_MSRS, m), 0, "an unknown feature MSR is not read");
		m->nmsrs = 256;
		CALL(E2BIG, kvm, KVM_GET_MSRS, m, "KVM_GET_MSRS on the device of 256");
	}
	free(l);
	free(m);
}

static void supported_cpuid(int kvm, unsigned long req, const char *name)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 512 * sizeof(c->entries[0]));
	uint32_t n;

	CALL(EFAULT, kvm, req, BAD_POINTER, "%s at a bad pointer", name);
	c->nent = 0;
	CALL(E2BIG, kvm, req, c, "%s with room for none", name);
	c->nent = 512;
	CALL(0, kvm, req, c, "%s with room for 512", name);
	n = c->nent;
	tap_ok(n > 0 && n <= 256, "%s gave %u entries", name, n);
	if (req == KVM_GET_SUPPORTED_CPUID) {
		c->nent = n - 1;
		CALL(E2BIG, kvm, req, c, "%s one too short", name);
	}
	/* For emulated CPUID the stock module wants room for one more than it gives. */
	c->nent = n + (req == KVM_GET_EMULATED_CPUID);
	CALL(0, kvm, req, c, "%s with just enough room", name);
	tap_eq(c->nent, n, "%s gives the same number", name);
	free(c);
}

void abi_system(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		tap_bail("open /dev/kvm");
	versions(kvm);
	create_vm(kvm);
	required_caps(kvm);
	caps_agree(kvm);
	msr_lists(kvm);
	feature_msrs(kvm);
	supported_cpuid(kvm, KVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID");
	if (ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_EXT_EMUL_CPUID))
		supported_cpuid(kvm, KVM_GET_EMULATED_CPUID, "KVM_GET_EMULATED_CPUID");
	close(kvm);
}
