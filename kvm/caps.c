// SPDX-License-Identifier: GPL-2.0
/*
 * Capabilities. What is not listed is not there, and its ioctls say so.
 */
#include <linux/cpumask.h>
#include "kvm/caps.h"
#include "kvm/vcpu.h"

/* Capabilities that are there or not, with nothing to be said beside. */
static const u16 pn_caps[] = {
	KVM_CAP_USER_MEMORY,
	KVM_CAP_MMU_SHADOW_CACHE_CONTROL,
	KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
	KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
	KVM_CAP_READONLY_MEM,
	KVM_CAP_SYNC_MMU,
	KVM_CAP_SET_TSS_ADDR,
	KVM_CAP_SET_IDENTITY_MAP_ADDR,
	KVM_CAP_SET_BOOT_CPU_ID,
	KVM_CAP_EXT_CPUID,
	KVM_CAP_EXT_EMUL_CPUID,
	KVM_CAP_GET_MSR_FEATURES,
	KVM_CAP_CLOCKSOURCE,
	KVM_CAP_KVMCLOCK_CTRL,
	KVM_CAP_GET_TSC_KHZ,
	KVM_CAP_NOP_IO_DELAY,
	KVM_CAP_MP_STATE,
	KVM_CAP_USER_NMI,
	KVM_CAP_VCPU_EVENTS,
	KVM_CAP_EXCEPTION_PAYLOAD,
	KVM_CAP_X86_TRIPLE_FAULT_EVENT,
	KVM_CAP_X86_ROBUST_SINGLESTEP,
	KVM_CAP_DEBUGREGS,
	KVM_CAP_SET_GUEST_DEBUG,
	KVM_CAP_XSAVE,
	KVM_CAP_XCRS,
	KVM_CAP_SREGS2,
	KVM_CAP_INTERNAL_ERROR_DATA,
	KVM_CAP_IMMEDIATE_EXIT,
	KVM_CAP_IOEVENTFD,
	KVM_CAP_IOEVENTFD_NO_LENGTH,
	KVM_CAP_IOEVENTFD_ANY_LENGTH,
	KVM_CAP_COALESCED_PIO,
	KVM_CAP_BINARY_STATS_FD,
	KVM_CAP_CHECK_EXTENSION_VM,
	KVM_CAP_ENABLE_CAP_VM,
	KVM_CAP_DISABLE_QUIRKS,
};

#define PN_MAX_IRQ_ROUTES	4096	/* as the stock module */
#define PN_VALID_QUIRKS	KVM_X86_QUIRK_OUT_7E_INC_RIP

static long pn_cap_value(struct pn_vm *vm, unsigned long cap)
{
	switch (cap) {
	case KVM_CAP_NR_VCPUS:
		return min_t(unsigned int, num_online_cpus(), PN_MAX_VCPUS);
	case KVM_CAP_MAX_VCPUS:
		return PN_MAX_VCPUS;
	case KVM_CAP_MAX_VCPU_ID:
		return PN_MAX_VCPU_ID;
	case KVM_CAP_NR_MEMSLOTS:
		return PN_MAX_SLOTS;
	case KVM_CAP_ADJUST_CLOCK:
		return KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
	case KVM_CAP_COALESCED_MMIO:
		return KVM_COALESCED_MMIO_PAGE_OFFSET;
	case KVM_CAP_SYNC_REGS:
		return KVM_SYNC_X86_VALID_FIELDS;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
	case KVM_CAP_MCE:
		return PN_NR_MCE_BANKS;
	case KVM_CAP_XSAVE2:
		return max_t(unsigned int, pn_fpu_size, sizeof(struct kvm_xsave));
	case KVM_CAP_IRQ_ROUTING:
		/*
		 * QEMU does not start without. As in the stock module, routes can be set
		 * once there is a controller in the kernel to route to.
		 */
		return PN_MAX_IRQ_ROUTES;
	case KVM_CAP_SET_GUEST_DEBUG2:
		return PN_GUESTDBG_VALID;
	case KVM_CAP_DISABLE_QUIRKS2:
		return PN_VALID_QUIRKS;
	default:
		return 0;
	}
}

long pn_cap_check(struct pn_vm *vm, unsigned long cap)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pn_caps); i++) {
		if (pn_caps[i] == cap)
			return 1;
	}
	return pn_cap_value(vm, cap);
}

static long pn_enable_dirty_log(struct pn_vm *vm, u64 caps)
{
	u64 allowed = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

	/* INITIALLY_SET means nothing without the other. */
	if (caps & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		allowed |= KVM_DIRTY_LOG_INITIALLY_SET;
	if (caps & ~allowed)
		return -EINVAL;
	WRITE_ONCE(vm->dirty_log_caps, caps);
	return 0;
}

long pn_cap_enable(struct pn_vm *vm, const struct kvm_enable_cap *cap)
{
	lockdep_assert_held(&vm->lock);
	if (cap->flags)
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		if (cap->args[1] || cap->args[2] || cap->args[3])
			return -EINVAL;
		return pn_enable_dirty_log(vm, cap->args[0]);
	case KVM_CAP_EXCEPTION_PAYLOAD:
		vm->exception_payload = cap->args[0];
		return 0;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		vm->triple_fault_event = cap->args[0];
		return 0;
	case KVM_CAP_DISABLE_QUIRKS2:
		if (cap->args[0] & ~(u64)PN_VALID_QUIRKS)
			return -EINVAL;
		fallthrough;
	case KVM_CAP_DISABLE_QUIRKS:
		vm->disabled_quirks = cap->args[0];
		return 0;
	case KVM_CAP_MAX_VCPU_ID:
		if (cap->args[0] > PN_MAX_VCPU_ID || !cap->args[0] || vm->nr_vcpus)
			return -EINVAL;
		vm->max_vcpu_id = cap->args[0];
		return 0;
	default:
		return -EINVAL;
	}
}
