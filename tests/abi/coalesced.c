// SPDX-License-Identifier: GPL-2.0
/* Coalesced MMIO and PIO: writes collected in the ring, no exit until it is full. */
#include "abi.h"

#define ZONE	(VMM_HOLE + 0x2000)
#define PORT	0x620

static struct kvm_coalesced_mmio_ring *ring(struct vmm *v)
{
	return (void *)((uint8_t *)v->run[0] + vmm_cap(v, KVM_CAP_COALESCED_MMIO) * 4096);
}

static int zone(struct vmm *v, unsigned long req, uint64_t addr, uint32_t size, uint32_t pio)
{
	struct kvm_coalesced_mmio_zone z = { .addr = addr, .size = size, .pio = pio };

	errno = 0;
	return ioctl(v->vm, req, &z);
}

static void start(struct vmm *v, uint64_t rcx, uint64_t rdi)
{
	struct kvm_regs r;

	vmm_mode(v, 0, VMM_LONG);
	r = vmm_regs(v, 0);
	r.rcx = rcx;
	r.rdi = rdi;
	r.rdx = PORT;
	r.rax = 0x8877665544332211;
	vmm_set_regs(v, 0, &r);
}

static void mmio(struct vmm *v)
{
	struct kvm_coalesced_mmio_ring *q = ring(v);

	q->first = q->last = 0;
	EXPECT(0, zone(v, KVM_REGISTER_COALESCED_MMIO, ZONE, 0x100, 0), "a zone");
	/* mov %al,(%rdi); mov %eax,4(%rdi); mov %rax,8(%rdi); hlt */
	LOAD(v, 0x88, 0x07, 0x89, 0x47, 0x04, 0x48, 0x89, 0x47, 0x08, 0xf4);
	start(v, 0, ZONE);
	RUNS_TO(v, KVM_EXIT_HLT, "writes in the zone make no exit");
	tap_eq(q->last, 3, "three are in the ring");
	tap_ok(q->coalesced_mmio[0].phys_addr == ZONE && q->coalesced_mmio[0].len == 1 &&
	       q->coalesced_mmio[0].data[0] == 0x11 && !q->coalesced_mmio[0].pio, "the first is right");
	tap_ok(q->coalesced_mmio[2].phys_addr == ZONE + 8 && q->coalesced_mmio[2].len == 8 &&
	       q->coalesced_mmio[2].data[7] == 0x88, "the third is right");
	start(v, 0, ZONE + 0xfc);
	RUNS_TO(v, KVM_EXIT_MMIO, "a write behind the zone exits");
	tap_ok(v->run[0]->mmio.phys_addr == ZONE + 0x100, "with its address");
	LOAD(v, 0x8b, 0x07, 0xf4);
	start(v, 0, ZONE);
	RUNS_TO(v, KVM_EXIT_MMIO, "a read in the zone exits");
}

static void full(struct vmm *v)
{
	struct kvm_coalesced_mmio_ring *q = ring(v);
	const unsigned int max = (4096 - sizeof(*q)) / sizeof(q->coalesced_mmio[0]);

	/* 1: mov %ecx,(%rdi); loop 1b; hlt */
	LOAD(v, 0x89, 0x0f, 0xe2, 0xfc, 0xf4);
	q->first = q->last = 0;
	start(v, 1000, ZONE);
	RUNS_TO(v, KVM_EXIT_MMIO, "a full ring exits");
	/* 6.1 stops early: it takes a difference modulo 2^32 modulo the size. */
	tap_ok(q->last == max - 1 || (vmm_on_stock() && q->last == 0xffffffffu % max),
	       "with all but one entry used (%u of %u)", q->last, max);
	q->first = q->last;
	RUNS_TO(v, KVM_EXIT_MMIO, "an emptied ring is filled again");
	if (!vmm_on_stock())
		tap_eq((q->last + max - q->first) % max, max - 1, "with as many");
	EXPECT(0, zone(v, KVM_UNREGISTER_COALESCED_MMIO, ZONE, 0x100, 0), "the zone removed");
	q->first = q->last;
	start(v, 1, ZONE);
	RUNS_TO(v, KVM_EXIT_MMIO, "without a zone a write exits");
}

/* The VMM owns first, anybody may scribble: the kernel must cope. */
static void scribbled(struct vmm *v)
{
	struct kvm_coalesced_mmio_ring *q = ring(v);

	zone(v, KVM_REGISTER_COALESCED_MMIO, ZONE, 0x100, 0);
	LOAD(v, 0x89, 0x0f, 0xf4);
	q->first = 0xfffffff0;
	q->last = 0xffffffff;
	start(v, 1, ZONE);
	RUNS_TO(v, KVM_EXIT_MMIO, "an index out of range makes the write exit");
	q->first = q->last = 0;
	zone(v, KVM_UNREGISTER_COALESCED_MMIO, ZONE, 0x100, 0);
}

static void pio(struct vmm *v)
{
	struct kvm_coalesced_mmio_ring *q = ring(v);

	if (!vmm_cap(v, KVM_CAP_COALESCED_PIO)) {
		tap_skip("coalesced PIO", "not claimed");
		return;
	}
	q->first = q->last = 0;
	EXPECT(0, zone(v, KVM_REGISTER_COALESCED_MMIO, PORT, 4, 1), "a zone of ports");
	LOAD(v, 0xee, 0xef, 0xf4);
	start(v, 0, 0);
	RUNS_TO(v, KVM_EXIT_HLT, "writes to the ports make no exit");
	tap_ok(q->last == 2 && q->coalesced_mmio[1].pio == 1 && q->coalesced_mmio[1].phys_addr == PORT &&
	       q->coalesced_mmio[1].len == 4, "they are in the ring");
	LOAD(v, 0xec, 0xf4);
	start(v, 0, 0);
	RUNS_TO(v, KVM_EXIT_IO, "a read exits");
	EXPECT(0, zone(v, KVM_UNREGISTER_COALESCED_MMIO, PORT, 4, 1), "removed");
}

static void refused(struct vmm *v)
{
	CALL(EFAULT, v->vm, KVM_REGISTER_COALESCED_MMIO, BAD_POINTER, "a zone at a bad pointer");
	EXPECT(EINVAL, zone(v, KVM_REGISTER_COALESCED_MMIO, ZONE, 8, 2), "a zone of kind 2");
	EXPECT(EINVAL, zone(v, KVM_UNREGISTER_COALESCED_MMIO, ZONE, 8, 2), "removing a zone of kind 2");
	EXPECT(0, zone(v, KVM_UNREGISTER_COALESCED_MMIO, 0x1000, 8, 0),
		  "removing a zone that is not there");
}

void abi_coalesced(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);

	mmio(v);
	full(v);
	scribbled(v);
	pio(v);
	refused(v);
	vmm_free(v);
}
