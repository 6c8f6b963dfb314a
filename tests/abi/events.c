// SPDX-License-Identifier: GPL-2.0
/* Interrupts, NMI, exceptions and the state KVM_GET_VCPU_EVENTS carries. */
#include "abi.h"

static void fresh(struct vmm *v, uint64_t rflags)
{
	struct kvm_regs r;
	struct kvm_vcpu_events e = { 0 };

	vmm_mode(v, 0, VMM_LONG);
	r = vmm_regs(v, 0);
	r.rflags = rflags;
	vmm_set_regs(v, 0, &r);
	e.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	ioctl(v->vcpu[0], KVM_SET_VCPU_EVENTS, &e);
}

static void interrupt(struct vmm *v)
{
	struct kvm_interrupt irq = { .irq = 0x51 };
	struct kvm_vcpu_events e;

	LOAD(v, 0x90, 0xf4);
	fresh(v, 0x202);
	CALL(EFAULT, v->vcpu[0], KVM_INTERRUPT, BAD_POINTER, "KVM_INTERRUPT at a bad pointer");
	CALL(0, v->vcpu[0], KVM_INTERRUPT, &irq, "KVM_INTERRUPT");
	ioctl(v->vcpu[0], KVM_GET_VCPU_EVENTS, &e);
	tap_ok(e.interrupt.injected && e.interrupt.nr == 0x51, "the events carry it");
	RUNS_TO(v, KVM_EXIT_HLT, "guest runs");
	tap_eq(vmm_vector(v, 0), 0x51, "and takes the interrupt first");
	ioctl(v->vcpu[0], KVM_GET_VCPU_EVENTS, &e);
	tap_ok(!e.interrupt.injected, "then the events do not carry it");
	irq.irq = 256;
	CALL(EINVAL, v->vcpu[0], KVM_INTERRUPT, &irq, "KVM_INTERRUPT 256");
	irq.irq = -1;
	CALL(EINVAL, v->vcpu[0], KVM_INTERRUPT, &irq, "KVM_INTERRUPT -1");
	/* HLT, then an interrupt, as every idle guest does */
	LOAD(v, 0xf4);
	fresh(v, 0x202);
	RUNS_TO(v, KVM_EXIT_HLT, "guest halts with interrupts on");
	irq.irq = 0x61;
	CALL(0, v->vcpu[0], KVM_INTERRUPT, &irq, "KVM_INTERRUPT of a halted vCPU");
	RUNS_TO(v, KVM_EXIT_HLT, "it wakes");
	tap_eq(vmm_vector(v, 0), 0x61, "in the handler");
}

static void window(struct vmm *v)
{
	struct kvm_interrupt irq = { .irq = 0x52 };
	struct kvm_run *run = v->run[0];

	/* cli; nop; sti; nop; nop; hlt */
	LOAD(v, 0xfa, 0x90, 0xfb, 0x90, 0x90, 0xf4);
	fresh(v, 2);
	run->request_interrupt_window = 1;
	RUNS_TO(v, KVM_EXIT_IRQ_WINDOW_OPEN, "the window opens");
	tap_ok(run->ready_for_interrupt_injection && run->if_flag, "and the run structure says so");
	tap_eq(vmm_regs(v, 0).rip, VMM_CODE + 4, "one instruction after STI");
	run->request_interrupt_window = 0;
	CALL(0, v->vcpu[0], KVM_INTERRUPT, &irq, "KVM_INTERRUPT in the window");
	RUNS_TO(v, KVM_EXIT_HLT, "guest goes on");
	tap_eq(vmm_vector(v, 0), 0x52, "and takes it");
	tap_eq(*(uint64_t *)(v->ram + (vmm_regs(v, 0).rsp)), VMM_CODE + 4, "where the window opened");

	/* Open already: no guest instruction is needed. */
	LOAD(v, 0x90, 0x90, 0xf4);
	fresh(v, 0x202);
	run->request_interrupt_window = 1;
	RUNS_TO(v, KVM_EXIT_IRQ_WINDOW_OPEN, "the window is open at once");
	run->request_interrupt_window = 0;
	/* MOV SS holds interrupts off like STI. mov %ss,%ax; sti; mov %eax,%ss; nop; nop; hlt */
	LOAD(v, 0x8c, 0xd0, 0xfb, 0x8e, 0xd0, 0x90, 0x90, 0xf4);
	fresh(v, 2);
	run->request_interrupt_window = 1;
	RUNS_TO(v, KVM_EXIT_IRQ_WINDOW_OPEN, "the window opens after MOV SS");
	tap_ok(vmm_regs(v, 0).rip >= VMM_CODE + 5, "not between MOV SS and what follows (rip %#llx)",
	       vmm_regs(v, 0).rip);
	run->request_interrupt_window = 0;
}

static void shadow_state(struct vmm *v)
{
	struct kvm_vcpu_events e = { .flags = KVM_VCPUEVENT_VALID_SHADOW };
	struct kvm_run *run = v->run[0];

	LOAD(v, 0x90, 0x90, 0xf4);
	fresh(v, 0x202);
	e.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	CALL(0, v->vcpu[0], KVM_SET_VCPU_EVENTS, &e, "KVM_SET_VCPU_EVENTS with an interrupt shadow");
	ioctl(v->vcpu[0], KVM_GET_VCPU_EVENTS, &e);
	tap_ok(e.interrupt.shadow, "the shadow reads back");
	if (vmm_under_tcg()) {
		tap_skip("the window opens after the shadow",
			 "QEMU's emulated VMRUN does not load the shadow");
		return;
	}
	run->request_interrupt_window = 1;
	RUNS_TO(v, KVM_EXIT_IRQ_WINDOW_OPEN, "the window opens");
	tap_eq(vmm_regs(v, 0).rip, VMM_CODE + 1, "after one instruction");
	run->request_interrupt_window = 0;
}

static void nmi(struct vmm *v)
{
	struct kvm_vcpu_events e;
	uint8_t *stub = v->ram + VMM_STUBS + 32;

	LOAD(v, 0x90, 0x90, 0xf4);
	fresh(v, 2);
	CALL(0, v->vcpu[0], KVM_NMI, 0, "KVM_NMI");
	ioctl(v->vcpu[0], KVM_GET_VCPU_EVENTS, &e);
	tap_ok(e.nmi.pending || e.nmi.injected, "the events carry it");
	RUNS_TO(v, KVM_EXIT_HLT, "guest runs");
	tap_eq(vmm_vector(v, 0), 2, "and takes the NMI, interrupts off or not");
	ioctl(v->vcpu[0], KVM_GET_VCPU_EVENTS, &e);
	tap_ok(e.nmi.masked && !e.nmi.pending && !e.nmi.injected, "now NMI are masked");
	CALL(0, v->vcpu[0], KVM_NMI, 0, "a second KVM_NMI in the handler");
	memcpy(stub + 1, "\x90\x90\xf4\x48\xcf", 5);	/* nop; nop; hlt; iretq */
	RUNS_TO(v, KVM_EXIT_HLT, "the handler goes on");
	tap_eq(vmm_regs(v, 0).rip, VMM_STUBS + 32 + 4, "not interrupted by the second");
	RUNS_TO(v, KVM_EXIT_HLT, "IRET, and the second NMI");
	tap_eq(vmm_vector(v, 0), 2, "is taken");
	RUNS_TO(v, KVM_EXIT_HLT, "second handler");
	RUNS_TO(v, KVM_EXIT_HLT, "back in the program");
	tap_eq(vmm_regs(v, 0).rip, VMM_CODE + 3, "which ends");
	ioctl(v->vcpu[0], KVM_GET_VCPU_EVENTS, &e);
	tap_ok(!e.nmi.masked, "NMI are open again");
	memset(stub + 1, 0x90, 5);
}

static void nmi_state(struct vmm *v)
{
	struct kvm_vcpu_events e = { .flags = KVM_VCPUEVENT_VALID_NMI_PENDING };

	LOAD(v, 0x90, 0xf4);
	fresh(v, 2);
	e.nmi.masked = 1;
	e.nmi.pending = 1;
	CALL(0, v->vcpu[0], KVM_SET_VCPU_EVENTS, &e, "KVM_SET_VCPU_EVENTS with a masked pending NMI");
	RUNS_TO(v, KVM_EXIT_HLT, "guest runs");
	tap_eq(vmm_regs(v, 0).rip, VMM_CODE + 2, "the masked NMI waits");
	e.nmi.masked = 0;
	e.nmi.pending = 1;
	ioctl(v->vcpu[0], KVM_SET_VCPU_EVENTS, &e);
	RUNS_TO(v, KVM_EXIT_HLT, "guest runs with it unmasked");
	tap_eq(vmm_vector(v, 0), 2, "now it comes");
}

static void exception(struct vmm *v)
{
	struct kvm_vcpu_events e = { 0 };
	struct kvm_sregs s;

	LOAD(v, 0x90, 0xf4);
	fresh(v, 2);
	e.exception.injected = 1;
	e.exception.nr = 13;
	e.exception.has_error_code = 1;
	e.exception.error_code = 0x1238;
	CALL(0, v->vcpu[0], KVM_SET_VCPU_EVENTS, &e, "KVM_SET_VCPU_EVENTS with #GP");
	RUNS_TO(v, KVM_EXIT_HLT, "guest runs");
	tap_eq(vmm_vector(v, 0), 13, "and takes #GP");
	tap_eq(*(uint64_t *)(v->ram + vmm_regs(v, 0).rsp), 0x1238, "with its error code");

	fresh(v, 2);
	s = vmm_sregs(v, 0);
	s.cr2 = 0xabc000;
	vmm_set_sregs(v, 0, &s);
	e.exception.nr = 14;
	e.exception.error_code = 2;
	CALL(0, v->vcpu[0], KVM_SET_VCPU_EVENTS, &e, "KVM_SET_VCPU_EVENTS with #PF");
	RUNS_TO(v, KVM_EXIT_HLT, "guest runs");
	tap_eq(vmm_vector(v, 0), 14, "and takes #PF");
	tap_eq(vmm_sregs(v, 0).cr2, 0xabc000, "with CR2");

	e.exception.nr = 32;
	CALL(EINVAL, v->vcpu[0], KVM_SET_VCPU_EVENTS, &e, "KVM_SET_VCPU_EVENTS with exception 32");
	e.exception.nr = 2;
	CALL(EINVAL, v->vcpu[0], KVM_SET_VCPU_EVENTS, &e, "KVM_SET_VCPU_EVENTS with exception 2");
	e.exception.injected = 0;
	e.flags = 1u << 31;
	CALL(EINVAL, v->vcpu[0], KVM_SET_VCPU_EVENTS, &e, "KVM_SET_VCPU_EVENTS with unknown flags");
	CALL(EFAULT, v->vcpu[0], KVM_SET_VCPU_EVENTS, BAD_POINTER, "KVM_SET_VCPU_EVENTS at a bad pointer");
	CALL(EFAULT, v->vcpu[0], KVM_GET_VCPU_EVENTS, BAD_POINTER, "KVM_GET_VCPU_EVENTS at a bad pointer");
}

/* An exception while an interrupt is delivered: the interrupt comes after it. */
static void delivery_faults(struct vmm *v)
{
	struct kvm_interrupt irq = { .irq = 0x71 };
	struct kvm_sregs s;
	struct kvm_regs r;

	LOAD(v, 0x90, 0xf4);
	fresh(v, 0x202);
	s = vmm_sregs(v, 0);
	s.idt.limit = 0x6ff;			/* gate 0x71 is beyond the limit */
	vmm_set_sregs(v, 0, &s);
	ioctl(v->vcpu[0], KVM_INTERRUPT, &irq);
	RUNS_TO(v, KVM_EXIT_HLT, "an interrupt without a gate");
	tap_eq(vmm_vector(v, 0), 13, "gives #GP");
	/* QEMU's emulated processor gives 16 * vector and no EXT bit. */
	tap_eq(*(uint64_t *)(v->ram + vmm_regs(v, 0).rsp), vmm_under_tcg() ? 0x71 << 4 | 2 : 0x71 << 3 | 3,
	       "naming the gate");

	fresh(v, 0x202);
	r = vmm_regs(v, 0);
	r.rsp = VMM_HOLE + 0x800;
	vmm_set_regs(v, 0, &r);
	ioctl(v->vcpu[0], KVM_INTERRUPT, &irq);
	if (vmm_on_stock()) {
		tap_skip("an interrupt onto a stack that is a device", "carries out what is at RIP");
		return;
	}
	RUNS_TO(v, KVM_EXIT_INTERNAL_ERROR, "an interrupt onto a stack that is a device");
	tap_eq(v->run[0]->internal.suberror, KVM_INTERNAL_ERROR_DELIVERY_EV, "suberror: delivery");
}

static void other_calls(struct vmm *v)
{
	uint64_t cap = 1;

	if (vmm_cap(v, KVM_CAP_X86_SMM))
		CALL(0, v->vcpu[0], KVM_SMI, 0, "KVM_SMI");
	else
		CALL(EINVAL, v->vcpu[0], KVM_SMI, 0, "KVM_SMI, not claimed");
	if (vmm_cap(v, KVM_CAP_MCE))
		CALL(0, v->vcpu[0], KVM_X86_SETUP_MCE, &cap, "KVM_X86_SETUP_MCE of one bank");
	else
		CALL(EINVAL, v->vcpu[0], KVM_X86_SETUP_MCE, &cap, "KVM_X86_SETUP_MCE, not claimed");
	CALL(EINVAL, v->vcpu[0], KVM_KVMCLOCK_CTRL, 0, "KVM_KVMCLOCK_CTRL without the guest's clock");
}

/* An interrupt and an NMI at once: the NMI is taken right behind the interrupt's delivery. */
static void nmi_behind_interrupt(struct vmm *v)
{
	struct kvm_interrupt irq = { .irq = 0x51 };
	const uint64_t *nmi, *interrupted;

	LOAD(v, 0x90, 0xf4);
	fresh(v, 0x202);
	ioctl(v->vcpu[0], KVM_INTERRUPT, &irq);
	CALL(0, v->vcpu[0], KVM_NMI, 0, "KVM_NMI behind KVM_INTERRUPT");
	RUNS_TO(v, KVM_EXIT_HLT, "both are taken");
	if (!tap_eq(vmm_vector(v, 0), 2, "the NMI last"))
		return;
	nmi = (const uint64_t *)(v->ram + vmm_regs(v, 0).rsp);
	tap_eq(nmi[0], VMM_STUBS + 16 * 0x51, "before the first instruction of the other's handler");
	tap_eq(nmi[2] & 0x300, 0, "its frame shows no trap flag");
	interrupted = (const uint64_t *)(v->ram + nmi[3]);
	tap_eq(interrupted[2], 0x202, "nor does the interrupt's");
}

void abi_events(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);

	interrupt(v);
	window(v);
	shadow_state(v);
	nmi(v);
	nmi_state(v);
	exception(v);
	nmi_behind_interrupt(v);
	vmm_free(v);
	v = vmm_new_vcpu(VMM_LONG);
	delivery_faults(v);
	vmm_free(v);
	v = vmm_new_vcpu(VMM_LONG);
	other_calls(v);
	vmm_free(v);
}
