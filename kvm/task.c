// SPDX-License-Identifier: GPL-2.0
/*
 * Task switches that the processor leaves to us (shadow mode): x86/task.c joined to the
 * vCPU's segments, control registers and events.
 */
#include "kvm/state.h"
#include "kvm/vcpu.h"

#define DR7_LOCAL	0x155ULL	/* L0-3 and LE: a task's own breakpoints */

/* The event that the switch was the delivery of has arrived. */
static void event_done(struct pn_events *ev)
{
	if (ev->exception.injected)
		ev->exception.injected = false;
	else if (ev->nmi_injected)
		ev->nmi_injected = false;
	else
		ev->irq.injected = false;
}

static void enter_task(struct pn_vcpu *vcpu, const struct x86_task_switch *t)
{
	unsigned int i;

	if (t->external)
		event_done(&vcpu->events);
	for (i = 0; i < X86_NR_SEG; i++)
		cpu->set_seg(vcpu, i, &t->seg[i]);
	vcpu->int_shadow = 0;
	vcpu->dr7 &= ~DR7_LOCAL;
	cpu->update(vcpu, CPU_UPDATE_DEBUG);
}

/* Where the instruction that switches ends; an event returns to where it came. */
static bool find_next(struct pn_vcpu *vcpu, struct x86_task_switch *t, bool by_insn, int *result)
{
	t->rip = vcpu->regs.rip;
	if (!by_insn) {
		pn_emulate_begin(vcpu);
		return true;
	}
	if (!pn_insn_decode(vcpu, result))
		return false;
	t->rip = (u32)(t->rip + vcpu->emu.insn.length);
	return true;
}

int pn_task_switch(struct pn_vcpu *vcpu, struct x86_task_switch *t, bool by_insn)
{
	enum x86_emu_rc rc;
	int r;

	if (!find_next(vcpu, t, by_insn, &r))
		return r;
	cpu->get_dtable(vcpu, CPU_GDT, &t->gdt);
	vcpu->stat.insn_emulation++;
	rc = x86_task_switch(&vcpu->emu, t);
	if (t->done)
		enter_task(vcpu, t);
	switch (rc) {
	case X86_EMU_OK:
		if (t->trap)
			pn_queue_exception_payload(vcpu, X86_TRAP_DB, PN_DR6_BT);
		return 1;
	case X86_EMU_FAULT:
		return pn_emulate_fault(vcpu);
	case X86_EMU_RETRY:
		/* Before anything was changed: the processor comes here again. */
		return t->done ? pn_emulation_failed(vcpu) : 1;
	default:
		return pn_emulation_failed(vcpu);
	}
}
