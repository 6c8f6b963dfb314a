// SPDX-License-Identifier: GPL-2.0
/*
 * Events towards the guest: exceptions, NMIs and the interrupts user space's
 * controllers send.
 *
 *   queued (pending) ──► pn_deliver_events ──► injected ──► VMRUN
 *                                                 ▲            │ exit in the middle
 *                                                 └────────────┘ of the delivery
 *
 * One event goes in at a world switch. What was cut short comes first, then a new
 * exception, an NMI, an interrupt (AMD APM vol. 2, 8.5). For the others a window is
 * opened: an exit as soon as the guest could take them.
 */
#include "kvm/trace.h"
#include "kvm/vcpu.h"

/* ---- exceptions ---- */

enum pn_exception_class { PN_BENIGN, PN_CONTRIBUTORY, PN_PAGE_FAULT };

static enum pn_exception_class pn_exception_class(u8 vector)
{
	switch (vector) {
	case X86_TRAP_PF:
		return PN_PAGE_FAULT;
	case X86_TRAP_DE:
	case X86_TRAP_TS:
	case X86_TRAP_NP:
	case X86_TRAP_SS:
	case X86_TRAP_GP:
		return PN_CONTRIBUTORY;
	default:
		return PN_BENIGN;
	}
}

/* Faults, whose handler returns to the instruction: RF is set in the flags they push. */
static bool pn_is_fault(u8 vector)
{
	return !(vector == X86_TRAP_DB || vector == X86_TRAP_BP || vector == X86_TRAP_OF ||
		 vector == X86_TRAP_DF || vector == X86_TRAP_MC || vector == X86_TRAP_NMI);
}

static void pn_set_exception(struct pn_vcpu *vcpu, u8 vector, bool has_error, u32 error,
			     bool has_payload, u64 payload)
{
	vcpu->events.exception = (struct pn_exception){
		.pending = true,
		.vector = vector,
		.has_error = has_error,
		.error = error,
		.has_payload = has_payload,
		.payload = payload,
	};
}

/* A second exception before the first is delivered, APM vol. 2, 8.2.9, table 8-3. */
static void pn_queue(struct pn_vcpu *vcpu, u8 vector, bool has_error, u32 error,
		     bool has_payload, u64 payload)
{
	struct pn_exception *e = &vcpu->events.exception;
	enum pn_exception_class first, second;

	/* Real mode pushes no error codes. */
	if (!(vcpu->cr0 & X86_CR0_PE))
		has_error = false;
	if (!e->pending && !e->injected) {
		pn_set_exception(vcpu, vector, has_error, error, has_payload, payload);
		return;
	}
	if (e->vector == X86_TRAP_DF) {
		e->pending = e->injected = false;
		pn_vcpu_request(vcpu, PN_REQ_TRIPLE_FAULT);
		return;
	}
	first = pn_exception_class(e->vector);
	second = pn_exception_class(vector);
	if ((first == PN_CONTRIBUTORY && second == PN_CONTRIBUTORY) ||
	    (first == PN_PAGE_FAULT && second != PN_BENIGN)) {
		/* The processor writes CR2 when it meets the fault: how a kernel knows that its stack has run out. */
		if (second == PN_PAGE_FAULT && has_payload)
			vcpu->cr2 = payload;
		pn_set_exception(vcpu, X86_TRAP_DF, vcpu->cr0 & X86_CR0_PE, 0, false, 0);
	} else {
		pn_set_exception(vcpu, vector, has_error, error, has_payload, payload);
	}
}

void pn_queue_exception(struct pn_vcpu *vcpu, u8 vector)
{
	pn_queue(vcpu, vector, false, 0, false, 0);
}

void pn_queue_exception_error(struct pn_vcpu *vcpu, u8 vector, u32 error)
{
	pn_queue(vcpu, vector, true, error, false, 0);
}

void pn_queue_exception_payload(struct pn_vcpu *vcpu, u8 vector, u64 payload)
{
	pn_queue(vcpu, vector, false, 0, true, payload);
}

void pn_queue_page_fault(struct pn_vcpu *vcpu, u64 gva, u32 error)
{
	pn_queue(vcpu, X86_TRAP_PF, true, error, true, gva);
}

/*
 * The side effect of an exception on CR2 or DR6, with its delivery: until then user space may
 * want to see it beside the registers. For #DB the payload holds the
 * bits of DR6 that are set, with RTM (bit 16) active high.
 */
void pn_apply_payload(struct pn_vcpu *vcpu)
{
	struct pn_exception *e = &vcpu->events.exception;

	if (!e->has_payload)
		return;
	if (e->vector == X86_TRAP_PF) {
		vcpu->cr2 = e->payload;
	} else if (e->vector == X86_TRAP_DB) {
		vcpu->dr6 &= ~PN_DR6_TRAPS;
		vcpu->dr6 |= PN_DR6_RESET;
		vcpu->dr6 |= e->payload;
		vcpu->dr6 ^= e->payload & PN_DR6_RTM;
		vcpu->dr7 &= ~PN_DR7_GD;
	}
	e->has_payload = false;
	e->payload = 0;
}

/* ---- what can be taken now ---- */

/* A debugger steps and wants no interrupt handler instead. */
static bool pn_events_held(struct pn_vcpu *vcpu)
{
	return unlikely(vcpu->guest_debug & KVM_GUESTDBG_BLOCKIRQ);
}

bool pn_delivering(const struct pn_events *ev)
{
	return ev->exception.injected || ev->nmi_injected ||
	       (ev->irq.injected && !ev->irq.waits);
}

bool pn_irq_allowed(struct pn_vcpu *vcpu)
{
	return (vcpu->regs.rflags & X86_EFLAGS_IF) && !vcpu->int_shadow;
}

bool pn_nmi_allowed(struct pn_vcpu *vcpu)
{
	return !vcpu->events.nmi_masked && !vcpu->int_shadow;
}

/* Could KVM_INTERRUPT hand one over at once? */
bool pn_ready_for_irq(struct pn_vcpu *vcpu)
{
	const struct pn_events *ev = &vcpu->events;

	return pn_irq_allowed(vcpu) && !pn_delivering(ev) && !ev->irq.injected &&
	       !ev->exception.pending && !pn_events_held(vcpu);
}

/* ---- delivery ---- */

static void pn_start_exception(struct pn_vcpu *vcpu)
{
	struct pn_exception *e = &vcpu->events.exception;

	if (pn_is_fault(e->vector))
		vcpu->regs.rflags |= X86_EFLAGS_RF;
	if (e->vector == X86_TRAP_DB && (vcpu->dr7 & PN_DR7_GD)) {
		pn_apply_payload(vcpu);
		cpu->update(vcpu, CPU_UPDATE_DEBUG);
	} else {
		pn_apply_payload(vcpu);
	}
	e->pending = false;
	e->injected = true;
	vcpu->stat.exception_injections++;
	trace_kvm_inj_exception(e->vector, e->has_error, e->error, false);
}

static void pn_start_nmi(struct pn_vcpu *vcpu)
{
	atomic_dec(&vcpu->events.nmi_pending);
	vcpu->events.nmi_injected = true;
	vcpu->events.nmi_masked = true;
	vcpu->stat.nmi_injections++;
}

/*
 * User space hands an interrupt over while an instruction waits for its answer, and that
 * may still end in an exception. The exception belongs to where RIP is and goes first; its
 * handler begins with interrupts off.
 */
static void pn_order_irq(struct pn_vcpu *vcpu)
{
	struct pn_events *ev = &vcpu->events;

	if (ev->irq.soft)
		ev->irq.waits = false;
	else if (ev->exception.pending || ev->exception.injected)
		ev->irq.waits = true;
	else if (ev->irq.waits)
		ev->irq.waits = !pn_irq_allowed(vcpu);
}

void pn_deliver_events(struct pn_vcpu *vcpu)
{
	struct pn_events *ev = &vcpu->events;
	bool inject;

	lockdep_assert_irqs_disabled();
	if (ev->irq.injected)
		pn_order_irq(vcpu);
	inject = pn_delivering(ev);
	/* Also before an NMI whose delivery it cut short, which goes in right behind it. */
	if (ev->exception.pending && (!inject || ev->nmi_injected)) {
		pn_start_exception(vcpu);
		inject = true;
		if (unlikely(ev->nmi_injected))
			pn_vcpu_exit_at_once();
	}
	if (unlikely(atomic_read(&ev->nmi_pending)) && !pn_events_held(vcpu)) {
		if (!inject && pn_nmi_allowed(vcpu)) {
			pn_start_nmi(vcpu);
			inject = true;
		}
		if (atomic_read(&ev->nmi_pending))
			cpu->open_window(vcpu, CPU_WINDOW_NMI);
	}
	if (inject)
		cpu->inject(vcpu);
	if (unlikely((vcpu->irq_window_wanted && !pn_events_held(vcpu)) || ev->irq.waits))
		cpu->open_window(vcpu, CPU_WINDOW_IRQ);
}

/* ---- from user space ---- */

#define PN_NR_INTERRUPTS	256

long pn_vcpu_interrupt(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_interrupt irq;

	if (copy_from_user(&irq, argp, sizeof(irq)))
		return -EFAULT;
	if (irq.irq >= PN_NR_INTERRUPTS)
		return -EINVAL;
	vcpu->events.irq.injected = true;
	vcpu->events.irq.soft = false;
	vcpu->events.irq.waits = false;
	vcpu->events.irq.vector = irq.irq;
	vcpu->stat.irq_injections++;
	trace_kvm_inj_virq(irq.irq, false, false);
	return 0;
}

/* One being handled and one waiting is all that the architecture keeps. */
void pn_limit_nmis(struct pn_vcpu *vcpu)
{
	int limit = vcpu->events.nmi_masked || vcpu->events.nmi_injected ? 1 : 2;

	if (atomic_read(&vcpu->events.nmi_pending) > limit)
		atomic_set(&vcpu->events.nmi_pending, limit);
}

long pn_vcpu_nmi(struct pn_vcpu *vcpu, void __user *argp)
{
	atomic_inc(&vcpu->events.nmi_pending);
	pn_limit_nmis(vcpu);
	return 0;
}
