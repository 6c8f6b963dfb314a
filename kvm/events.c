// SPDX-License-Identifier: GPL-2.0
/*
 * Events on their way into the guest as user space saves and restores them
 * (KVM_GET/SET_VCPU_EVENTS), and the multiprocessing state.
 *
 * An exception is pending (to be delivered) or injected (its delivery was cut short).
 * User space that has not asked for payloads is shown both as injected, with
 * CR2 or DR6 already written.
 */
#include <linux/uaccess.h>
#include <asm/trapnr.h>
#include "kvm/state.h"

#define EVENTS_VALID_FLAGS \
	(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR | \
	 KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM | \
	 KVM_VCPUEVENT_VALID_PAYLOAD | KVM_VCPUEVENT_VALID_TRIPLE_FAULT)

/* INT3 and INTO: without the instruction's length they cannot be restored, so are not shown. */
static bool is_soft(u8 vector)
{
	return vector == X86_TRAP_BP || vector == X86_TRAP_OF;
}

void pn_events_get(struct pn_vcpu *vcpu, struct kvm_vcpu_events *e)
{
	struct pn_exception *ex = &vcpu->events.exception;
	struct pn_vm *vm = vcpu->vm;

	memset(e, 0, sizeof(*e));
	if (!vm->exception_payload && ex->pending)
		pn_apply_payload(vcpu);
	if (!is_soft(ex->vector)) {
		e->exception.injected = ex->injected;
		e->exception.pending = ex->pending;
		if (!vm->exception_payload)
			e->exception.injected |= ex->pending;
	}
	e->exception.nr = ex->vector;
	e->exception.has_error_code = ex->has_error;
	e->exception.error_code = ex->error;
	e->exception_has_payload = ex->has_payload;
	e->exception_payload = ex->payload;
	e->interrupt.injected = vcpu->events.irq.injected && !vcpu->events.irq.soft;
	e->interrupt.nr = vcpu->events.irq.vector;
	e->interrupt.shadow = vcpu->int_shadow;
	e->nmi.injected = vcpu->events.nmi_injected;
	e->nmi.pending = atomic_read(&vcpu->events.nmi_pending);
	e->nmi.masked = vcpu->events.nmi_masked;
	e->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	if (vm->exception_payload)
		e->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (vm->triple_fault_event) {
		e->triple_fault.pending = test_bit(PN_REQ_TRIPLE_FAULT, &vcpu->requests);
		e->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
}

static int check_events(struct pn_vcpu *vcpu, struct kvm_vcpu_events *e)
{
	struct pn_vm *vm = vcpu->vm;

	if (e->flags & ~EVENTS_VALID_FLAGS)
		return -EINVAL;
	if (e->flags & KVM_VCPUEVENT_VALID_PAYLOAD) {
		if (!vm->exception_payload)
			return -EINVAL;
		if (e->exception.pending)
			e->exception.injected = 0;
		else
			e->exception_has_payload = 0;
	} else {
		e->exception.pending = 0;
		e->exception_has_payload = 0;
	}
	if ((e->exception.injected || e->exception.pending) &&
	    (e->exception.nr > 31 || e->exception.nr == X86_TRAP_NMI))
		return -EINVAL;
	/* There is no system management mode to be in. */
	if ((e->flags & KVM_VCPUEVENT_VALID_SMM) &&
	    (e->smi.smm || e->smi.pending || e->smi.smm_inside_nmi))
		return -EINVAL;
	if ((e->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) && !vm->triple_fault_event)
		return -EINVAL;
	return 0;
}

int pn_events_set(struct pn_vcpu *vcpu, struct kvm_vcpu_events *e)
{
	struct pn_events *ev = &vcpu->events;
	int r = check_events(vcpu, e);

	if (r)
		return r;
	ev->exception = (struct pn_exception) {
		.injected = e->exception.injected,
		.pending = e->exception.pending,
		.vector = e->exception.nr,
		.has_error = e->exception.has_error_code,
		.error = e->exception.error_code,
		.has_payload = e->exception_has_payload,
		.payload = e->exception_payload,
	};
	/* One that waits goes on waiting when a monitor writes back what it has read. */
	ev->irq.waits = ev->irq.waits && e->interrupt.injected && !e->interrupt.soft &&
			e->interrupt.nr == ev->irq.vector;
	ev->irq.injected = e->interrupt.injected;
	ev->irq.vector = e->interrupt.nr;
	ev->irq.soft = e->interrupt.soft;
	ev->soft_insn_len = 0;		/* not told: RIP is where it is to return to */
	if (e->flags & KVM_VCPUEVENT_VALID_SHADOW)
		vcpu->int_shadow = e->interrupt.shadow &
			(KVM_X86_SHADOW_INT_MOV_SS | KVM_X86_SHADOW_INT_STI);
	ev->nmi_injected = e->nmi.injected;
	if (e->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		atomic_set(&ev->nmi_pending, min_t(u8, e->nmi.pending, 2));
	if (ev->nmi_masked != !!e->nmi.masked) {
		ev->nmi_masked = e->nmi.masked;
		cpu->update(vcpu, CPU_UPDATE_NMI);
	}
	if (e->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) {
		if (e->triple_fault.pending)
			pn_vcpu_request(vcpu, PN_REQ_TRIPLE_FAULT);
		else
			clear_bit(PN_REQ_TRIPLE_FAULT, &vcpu->requests);
	}
	return 0;
}

long pn_vcpu_get_events(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_vcpu_events e;

	pn_events_get(vcpu, &e);
	return copy_to_user(argp, &e, sizeof(e)) ? -EFAULT : 0;
}

long pn_vcpu_set_events(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_vcpu_events e;

	if (copy_from_user(&e, argp, sizeof(e)))
		return -EFAULT;
	return pn_events_set(vcpu, &e);
}

long pn_vcpu_get_mp_state(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

	return copy_to_user(argp, &mp, sizeof(mp)) ? -EFAULT : 0;
}

/* Every other state is the local APIC's doing, and that is in user space. */
long pn_vcpu_set_mp_state(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_mp_state mp;

	if (copy_from_user(&mp, argp, sizeof(mp)))
		return -EFAULT;
	if (mp.mp_state != KVM_MP_STATE_RUNNABLE)
		return -EINVAL;
	return 0;
}
