// SPDX-License-Identifier: GPL-2.0
/* Calls on a VM that are not about memory. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi.h"

static void vcpus(struct vmm *v)
{
	int max_id = vmm_cap(v, KVM_CAP_MAX_VCPU_ID), max = vmm_cap(v, KVM_CAP_MAX_VCPUS);
	int fd = ioctl(v->vm, KVM_CREATE_VCPU, 1);
	void *page;

	tap_ok(fd >= 0, "KVM_CREATE_VCPU 1 before 0");
	tap_ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "a vCPU descriptor is closed on exec");
	CALL(EEXIST, v->vm, KVM_CREATE_VCPU, 1, "KVM_CREATE_VCPU of an id that is taken");
	CALL(EINVAL, v->vm, KVM_CREATE_VCPU, max_id ? max_id : max, "KVM_CREATE_VCPU above the largest id");
	CALL(EINVAL, v->vm, KVM_CREATE_VCPU, -1l, "KVM_CREATE_VCPU of id -1");
	page = mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tap_ok(page != MAP_FAILED, "the run structure maps");
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, v->run_size);
	if (page != MAP_FAILED) {
		/* The stock module maps; what is beyond the end faults. */
		int p[2];

		if (pipe(p))
			tap_bail("pipe");
		tap_ok(write(p[1], page, 1) == -1 && errno == EFAULT, "nothing lies beyond the run structure");
		close(p[0]);
		close(p[1]);
	} else {
		tap_ok(true, "nothing lies beyond the run structure");
	}
	tap_ok(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd, 0) != MAP_FAILED ||
	       errno == EINVAL || errno == EPERM, "mapping the run structure executable does no harm");
	close(fd);
	CALL(EEXIST, v->vm, KVM_CREATE_VCPU, 1, "a closed vCPU keeps its id while the VM lives");
}

static void unknown(struct vmm *v)
{
	unsigned int i = vmm_add_vcpu(v);

	CALL(ENOTTY, v->vm, _IO(KVMIO, 0x0f), 0, "unknown ioctl on a VM");
	CALL(ENOTTY, v->vm, KVM_RUN, 0, "vCPU ioctl on a VM");
	CALL(ENOTTY, v->vm, KVM_GET_API_VERSION, 0, "device ioctl on a VM");
	CALL(EINVAL, v->vcpu[i], _IO(KVMIO, 0x0f), 0, "unknown ioctl on a vCPU");
	CALL(EINVAL, v->vcpu[i], KVM_CREATE_VCPU, 0, "VM ioctl on a vCPU");
	CALL(EINVAL, v->vcpu[i], _IO('x', 1), 0, "ioctl of another kind on a vCPU");
	CALL(ENOTTY, v->vm, _IO('x', 1), 0, "ioctl of another kind on a VM");
}

static void addresses(struct vmm *v)
{
	uint64_t map = 0xfffbc000;

	CALL(0, v->vm, KVM_SET_TSS_ADDR, 0xfffbd000l, "KVM_SET_TSS_ADDR");
	CALL(EINVAL, v->vm, KVM_SET_TSS_ADDR, 0xfffff000l, "KVM_SET_TSS_ADDR across 4 GiB");
	if (vmm_cap(v, KVM_CAP_SET_IDENTITY_MAP_ADDR)) {
		CALL(EINVAL, v->vm, KVM_SET_IDENTITY_MAP_ADDR, &map,
		     "KVM_SET_IDENTITY_MAP_ADDR after a vCPU was made");
	} else {
		CALL(ENOTTY, v->vm, KVM_SET_IDENTITY_MAP_ADDR, &map, "KVM_SET_IDENTITY_MAP_ADDR, not claimed");
	}
}

static void enable_cap(struct vmm *v)
{
	struct kvm_enable_cap cap = { .cap = 100000 };

	CALL(EFAULT, v->vm, KVM_ENABLE_CAP, BAD_POINTER, "KVM_ENABLE_CAP at a bad pointer");
	CALL(EINVAL, v->vm, KVM_ENABLE_CAP, &cap, "KVM_ENABLE_CAP of an unknown capability");
	cap.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
	cap.flags = 1;
	CALL(EINVAL, v->vm, KVM_ENABLE_CAP, &cap, "KVM_ENABLE_CAP with flags");
	cap.flags = 0;
	cap.args[0] = 0x100;
	CALL(EINVAL, v->vm, KVM_ENABLE_CAP, &cap, "KVM_ENABLE_CAP with unknown argument bits");
}

static void clock(struct vmm *v)
{
	struct kvm_clock_data c, d;

	if (!vmm_cap(v, KVM_CAP_ADJUST_CLOCK)) {
		CALL(ENOTTY, v->vm, KVM_GET_CLOCK, &c, "KVM_GET_CLOCK, not claimed");
		return;
	}
	CALL(0, v->vm, KVM_GET_CLOCK, &c, "KVM_GET_CLOCK");
	c.clock += 1000000000000ull;
	c.flags = 0;
	CALL(0, v->vm, KVM_SET_CLOCK, &c, "KVM_SET_CLOCK");
	CALL(0, v->vm, KVM_GET_CLOCK, &d, "KVM_GET_CLOCK again");
	tap_ok(d.clock >= c.clock && d.clock - c.clock < 10000000000ull, "the clock was set");
	c.flags = 0x8000;
	CALL(EINVAL, v->vm, KVM_SET_CLOCK, &c, "KVM_SET_CLOCK with unknown flags");
	CALL(EFAULT, v->vm, KVM_GET_CLOCK, BAD_POINTER, "KVM_GET_CLOCK at a bad pointer");
}

/* Without an in-kernel interrupt controller its calls are in the wrong state. */
static void irqchip_calls(struct vmm *v)
{
	struct kvm_irq_level level = { .irq = 1, .level = 1 };
	struct kvm_irqchip chip = { 0 };
	struct kvm_lapic_state lapic;
	bool claimed = vmm_cap(v, KVM_CAP_IRQCHIP);

	CALL(claimed ? ENXIO : ENOTTY, v->vm, KVM_IRQ_LINE, &level, "KVM_IRQ_LINE without a chip");
	CALL(claimed ? ENXIO : ENOTTY, v->vm, KVM_GET_IRQCHIP, &chip, "KVM_GET_IRQCHIP without a chip");
	CALL(EINVAL, v->vcpu[0], KVM_GET_LAPIC, &lapic, "KVM_GET_LAPIC without an APIC");
	if (claimed)
		CALL(EINVAL, v->vm, KVM_CREATE_IRQCHIP, 0, "KVM_CREATE_IRQCHIP after a vCPU");
	else
		CALL(ENOTTY, v->vm, KVM_CREATE_IRQCHIP, 0, "KVM_CREATE_IRQCHIP, not claimed");
}

static void bsp(struct vmm *v)
{
	if (!vmm_cap(v, KVM_CAP_SET_BOOT_CPU_ID)) {
		CALL(ENOTTY, v->vm, KVM_SET_BOOT_CPU_ID, 0, "KVM_SET_BOOT_CPU_ID, not claimed");
		return;
	}
	CALL(EBUSY, v->vm, KVM_SET_BOOT_CPU_ID, 0, "KVM_SET_BOOT_CPU_ID after a vCPU");
}

/* The limit of shadow pages; in nested mode it is only kept. */
static void shadow_pages(struct vmm *v)
{
	tap_eq(vmm_cap(v, KVM_CAP_MMU_SHADOW_CACHE_CONTROL), 1, "KVM_CAP_MMU_SHADOW_CACHE_CONTROL");
	CALL(EINVAL, v->vm, KVM_SET_NR_MMU_PAGES, 0, "KVM_SET_NR_MMU_PAGES: none");
	CALL(EINVAL, v->vm, KVM_SET_NR_MMU_PAGES, 1ul << 32, "KVM_SET_NR_MMU_PAGES: none in the lower half");
	CALL(EINVAL, v->vm, KVM_SET_NR_MMU_PAGES, 63, "KVM_SET_NR_MMU_PAGES: too few");
	CALL(0, v->vm, KVM_SET_NR_MMU_PAGES, 500, "KVM_SET_NR_MMU_PAGES");
	if (!vmm_on_stock())	/* 6.12's has no KVM_GET_NR_MMU_PAGES */
		tap_eq(ioctl(v->vm, KVM_GET_NR_MMU_PAGES, 0), 500, "KVM_GET_NR_MMU_PAGES");
}

void abi_vm(void)
{
	struct vmm *v = vmm_new();

	vcpus(v);
	unknown(v);
	addresses(v);
	enable_cap(v);
	clock(v);
	irqchip_calls(v);
	bsp(v);
	shadow_pages(v);
	vmm_free(v);
}
