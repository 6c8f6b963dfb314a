// SPDX-License-Identifier: GPL-2.0
/*
 * AMD backend: events into the guest (APM vol. 2, 15.20), windows in which they
 * can be taken (15.21.4), and NMI blocking without hardware help:
 *
 *    NMI injected ──► masked, IRET intercepted
 *                        │ IRET is about to run
 *                        ▼
 *                     masked, IRET passes; a waiting NMI makes us single-step it
 *                        │ RIP has moved on (or the step's #DB)
 *                        ▼
 *                     unmasked
 */
#include "cpu/svm/svm.h"

#define SVM_SHADOW_EXITS	4	/* without an instruction between them */

/*
 * #BP and soft interrupts return behind their instruction. The processor takes
 * that address from NEXT_RIP where it has it (15.20), else RIP has to be there.
 */
static void svm_pass_instruction(struct svm_vcpu *svm)
{
	u64 next = svm->vcpu.regs.rip + svm->vcpu.events.soft_insn_len;

	if (svm_features.nrips) {
		svm->vmcb->control.next_rip = next;
		return;
	}
	svm->soft_rip = svm->vcpu.regs.rip;
	svm->soft_next_rip = next;
	svm->vcpu.regs.rip = next;
}

/* Undo the step; flags that IRET has loaded meanwhile are the guest's own. */
static void svm_end_step(struct svm_vcpu *svm)
{
	u64 ours = (X86_EFLAGS_TF | X86_EFLAGS_RF) & ~svm->stepped_rflags;

	svm->nmi_singlestep = false;
	if (!(svm->vcpu.guest_debug & KVM_GUESTDBG_SINGLESTEP))
		svm->vcpu.regs.rflags &= ~ours;
}

/* An event goes in instead of the instruction that was to be stepped. */
static void svm_cancel_step(struct svm_vcpu *svm)
{
	svm_end_step(svm);
	if (svm->vcpu.events.nmi_masked && !svm->iret_intercepted)
		svm_update_nmi(svm);
}

void svm_inject(struct pn_vcpu *vcpu)
{
	struct pn_events *ev = &vcpu->events;
	u64 event = SVM_EVENT_VALID;

	if (unlikely(to_svm(vcpu)->nmi_singlestep))
		svm_cancel_step(to_svm(vcpu));
	if (ev->exception.injected) {
		event |= SVM_EVENT_EXCEPTION | ev->exception.vector;
		if (ev->exception.vector == X86_TRAP_BP)
			svm_pass_instruction(to_svm(vcpu));
		if (ev->exception.has_error)
			event |= SVM_EVENT_HAS_ERROR | (u64)ev->exception.error << 32;
	} else if (ev->nmi_injected) {
		event |= SVM_EVENT_NMI | X86_TRAP_NMI;
		svm_update_nmi(to_svm(vcpu));
	} else if (ev->irq.soft) {
		event |= SVM_EVENT_SOFT | ev->irq.vector;
		svm_pass_instruction(to_svm(vcpu));
	} else {
		event |= SVM_EVENT_IRQ | ev->irq.vector;
		if (unlikely(svm_features.injects_twice))
			pn_vcpu_exit_at_once();
	}
	to_svm(vcpu)->vmcb->control.event_inj = event;
}

/* A virtual interrupt of highest priority: exits as soon as the guest would take it. */
static void svm_open_irq_window(struct svm_vcpu *svm)
{
	/* It would open in the shadow. Without, the instruction runs; at the next exit it is opened. */
	if (unlikely(svm->vcpu.int_shadow && svm_features.forgets_shadow)) {
		svm_close_irq_window(svm);
		return;
	}
	if (svm_is_intercepted(svm, SVM_VINTR))
		return;
	svm->vmcb->control.vintr |= SVM_V_NOW;
	svm_dirty(svm, SVM_CLEAN_TPR);
	svm_intercept(svm, SVM_VINTR);
}

void svm_close_irq_window(struct svm_vcpu *svm)
{
	svm->vmcb->control.vintr &= ~SVM_V_NOW;
	svm_dirty(svm, SVM_CLEAN_TPR);
	svm_pass(svm, SVM_VINTR);
}

/*
 * After an exit; RIP is still what it was at the entry. Which of the two instructions the shadow
 * is of is not told: STI's is the weaker claim. Where VMRUN forgets it, it lasts while
 * nothing has run; an instruction that jumps to itself looks alike, hence the limit.
 */
void svm_recover_shadow(struct svm_vcpu *svm)
{
	const struct vmcb *vmcb = svm->vmcb;

	if (unlikely(vmcb->control.int_state & SVM_INT_SHADOW)) {
		svm->vcpu.int_shadow = KVM_X86_SHADOW_INT_MOV_SS | KVM_X86_SHADOW_INT_STI;
		svm->shadow_exits = 0;
	} else if (unlikely(svm->vcpu.int_shadow)) {
		if (svm_features.forgets_shadow && vmcb->save.rip == svm->vcpu.regs.rip &&
		    svm->shadow_exits++ < SVM_SHADOW_EXITS)
			return;
		svm->vcpu.int_shadow = 0;
		svm->shadow_exits = 0;
	}
}

static void svm_start_step(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;

	svm->nmi_singlestep = true;
	svm->stepped_rflags = vcpu->regs.rflags;
	vcpu->regs.rflags |= X86_EFLAGS_TF | X86_EFLAGS_RF;
}

void svm_open_window(struct pn_vcpu *vcpu, enum cpu_window w)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (w == CPU_WINDOW_IRQ) {
		svm_open_irq_window(svm);
		return;
	}
	/* Masked until an IRET that has not begun: its intercept tells. */
	if (vcpu->events.nmi_masked && svm->iret_intercepted)
		return;
	/* Something else goes in, whose frame must not show our trap flag: right behind it, then. */
	if (pn_delivering(&vcpu->events)) {
		if (!vcpu->events.nmi_injected)
			pn_vcpu_exit_at_once();
		return;
	}
	if (!svm->nmi_singlestep)
		svm_start_step(svm);
}

void svm_update_nmi(struct svm_vcpu *svm)
{
	svm->iret_intercepted = svm->vcpu.events.nmi_masked;
	svm->iret_rip = 0;
	if (svm->iret_intercepted)
		svm_intercept(svm, SVM_IRET);
	else
		svm_pass(svm, SVM_IRET);
}

/* The guest is at an IRET while NMIs are masked: let it run, they are not masked behind it. */
int svm_exit_iret(struct svm_vcpu *svm)
{
	svm->vcpu.stat.nmi_window_exits++;
	svm_pass(svm, SVM_IRET);
	svm->iret_intercepted = false;
	svm->iret_rip = svm->vcpu.regs.rip;
	return 1;
}

static void svm_unmask_nmi(struct svm_vcpu *svm)
{
	svm->vcpu.events.nmi_masked = false;
	svm->iret_rip = 0;
}

bool svm_nmi_step_done(struct pn_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (!svm->nmi_singlestep)
		return false;
	svm_end_step(svm);
	if (vcpu->events.nmi_masked && !svm->iret_intercepted)
		svm_unmask_nmi(svm);
	/* Not ours alone if the guest, or its debugger, steps as well. */
	return !(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP) &&
	       !(svm->stepped_rflags & X86_EFLAGS_TF);
}

/* A soft event whose delivery was cut short: back to its instruction, to be done again by it. */
static void svm_end_soft(struct svm_vcpu *svm, bool again)
{
	if (again && svm->vcpu.regs.rip == svm->soft_next_rip)
		svm->vcpu.regs.rip = svm->soft_rip;
	svm->soft_next_rip = 0;
}

/* VMRUN refused: nothing has gone in. */
void svm_take_back(struct svm_vcpu *svm)
{
	if (svm->soft_next_rip)
		svm_end_soft(svm, true);
	svm->vmcb->control.event_inj = 0;
}

/*
 * What was injected has been delivered, unless the exit came in the middle of
 * it: then EXITINTINFO says what has to be done again. Software interrupts and
 * the exceptions of INT3 and INTO are done again by their instruction, at which
 * RIP still is.
 */
void svm_recover_events(struct svm_vcpu *svm)
{
	struct pn_events *ev = &svm->vcpu.events;
	u64 info = svm->vmcb->control.exit_int_info;
	u8 vector = info & SVM_EVENT_VECTOR;

	/* In the order of svm_inject: what had to wait behind it still waits. */
	if (ev->exception.injected)
		ev->exception.injected = false;
	else if (ev->nmi_injected)
		ev->nmi_injected = false;
	else if (!ev->irq.waits)
		ev->irq.injected = false;
	if (ev->nmi_masked && svm->iret_rip && svm->vcpu.regs.rip != svm->iret_rip)
		svm_unmask_nmi(svm);
	if (unlikely(svm->soft_next_rip))
		svm_end_soft(svm, info & SVM_EVENT_VALID);
	if (likely(!(info & SVM_EVENT_VALID)))
		return;
	switch (info & SVM_EVENT_TYPE) {
	case SVM_EVENT_IRQ:
		ev->irq.injected = true;
		ev->irq.soft = false;
		ev->irq.vector = vector;
		break;
	case SVM_EVENT_NMI:
		ev->nmi_injected = true;
		break;
	case SVM_EVENT_EXCEPTION:
		if (vector == X86_TRAP_BP || vector == X86_TRAP_OF)
			break;
		ev->exception.injected = true;
		ev->exception.pending = false;
		ev->exception.vector = vector;
		ev->exception.has_error = info & SVM_EVENT_HAS_ERROR;
		ev->exception.error = info >> 32;
		ev->exception.has_payload = false;
		break;
	}
}
