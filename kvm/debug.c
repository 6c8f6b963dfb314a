// SPDX-License-Identifier: GPL-2.0
/*
 * Debug registers of the guest, and user space debugging it (KVM_SET_GUEST_DEBUG).
 *
 * The hardware has one set of breakpoints. User space that sets its own takes it from
 * the guest, which goes on reading and writing its values without effect. A debug
 * exception then is user space's, which gives back what was the guest's.
 *
 * DR6 inside the module has its bits as the register does. Bits that are 1 when
 * nothing happened (AMD APM vol. 2, 13.1.1.3) are fixed: the conditions whose
 * bits are active low do not exist here.
 */
#include <linux/uaccess.h>
#include <asm/trapnr.h>
#include "kvm/state.h"

#define DR6_CONDITIONS	0xe00fULL	/* B0-3, BD, BS, BT */
#define DR7_WRITABLE	0xffff2bffULL

u64 pn_debug_effective_dr7(struct pn_vcpu *vcpu)
{
	return vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP ? vcpu->debug_dr7 : vcpu->dr7;
}

const u64 *pn_debug_effective_dr(struct pn_vcpu *vcpu)
{
	return vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP ? vcpu->debug_dr : vcpu->dr;
}

u64 pn_linear_rip(struct pn_vcpu *vcpu)
{
	u64 rip = vcpu->regs.rip;

	switch (pn_cpu_mode(vcpu)) {
	case X86_MODE_LONG:
		return rip;
	default:
		return (u32)(pn_seg(vcpu, X86_SEG_CS).base + rip);
	}
}

/* ---- MOV to and from debug registers ---- */

/* 4 and 5 are 6 and 7, or do not exist (13.1.1.2). -1: #UD. */
static int real_number(struct pn_vcpu *vcpu, unsigned int dr)
{
	if (dr != 4 && dr != 5)
		return dr;
	return vcpu->cr4 & X86_CR4_DE ? -1 : (int)dr + 2;
}

/* DR7.GD guards all of them; it is cleared when the exception is delivered (13.1.1.4). */
static bool general_detect(struct pn_vcpu *vcpu)
{
	if (!(pn_debug_effective_dr7(vcpu) & PN_DR7_GD))
		return false;
	if (vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP)
		return false;
	vcpu->dr6 &= ~PN_DR6_TRAPS;
	pn_queue_exception_payload(vcpu, X86_TRAP_DB, PN_DR6_BD);
	return true;
}

int pn_get_dr(struct pn_vcpu *vcpu, unsigned int dr, u64 *val)
{
	int nr = real_number(vcpu, dr);

	if (nr < 0)
		return 2;
	if (general_detect(vcpu))
		return -1;
	*val = nr == 6 ? vcpu->dr6 : nr == 7 ? vcpu->dr7 : vcpu->dr[nr & 3];
	return 0;
}

int pn_set_dr(struct pn_vcpu *vcpu, unsigned int dr, u64 val)
{
	int nr = real_number(vcpu, dr);

	if (nr < 0)
		return 2;
	if (general_detect(vcpu))
		return -1;
	switch (nr) {
	case 6:
		if (val >> 32)
			return 1;
		vcpu->dr6 = (val & DR6_CONDITIONS) | PN_DR6_RESET;
		return 0;		/* the hardware's is not the guest's */
	case 7:
		if (val >> 32)
			return 1;
		vcpu->dr7 = (val & DR7_WRITABLE) | PN_DR7_RESET;
		break;
	default:
		vcpu->dr[nr & 3] = val;
		break;
	}
	cpu->update(vcpu, CPU_UPDATE_DEBUG);
	return 0;
}

/* ---- debug exceptions ---- */

static int exit_to_debugger(struct pn_vcpu *vcpu, u8 vector, u64 dr6)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.exception = vector;
	run->debug.arch.pc = pn_linear_rip(vcpu);
	run->debug.arch.dr6 = (dr6 & DR6_CONDITIONS) | PN_DR6_RESET;
	run->debug.arch.dr7 = pn_debug_effective_dr7(vcpu);
	return 0;
}

int pn_debug_exception(struct pn_vcpu *vcpu, u8 vector, u64 dr6)
{
	u32 mine = vector == X86_TRAP_BP ? KVM_GUESTDBG_USE_SW_BP :
		   KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP;

	if (vcpu->guest_debug & mine)
		return exit_to_debugger(vcpu, vector, dr6);
	if (vector == X86_TRAP_BP) {
		vcpu->events.soft_insn_len = 1;
		pn_queue_exception(vcpu, vector);
	} else {
		pn_queue_exception_payload(vcpu, vector, dr6 & DR6_CONDITIONS);
	}
	return 1;
}

/* The trap is due: user space steps, or the guest itself had TF set, if it was not us. */
int pn_debug_step(struct pn_vcpu *vcpu)
{
	if (cpu->step_done(vcpu))
		return 1;
	return pn_debug_exception(vcpu, X86_TRAP_DB, PN_DR6_BS);
}

/* ---- ioctls ---- */

long pn_vcpu_get_debugregs(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_debugregs d = { .dr6 = vcpu->dr6, .dr7 = vcpu->dr7 };

	memcpy(d.db, vcpu->dr, sizeof(d.db));
	return copy_to_user(argp, &d, sizeof(d)) ? -EFAULT : 0;
}

long pn_vcpu_set_debugregs(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_debugregs d;

	if (copy_from_user(&d, argp, sizeof(d)))
		return -EFAULT;
	if (d.flags || d.dr6 >> 32 || d.dr7 >> 32)
		return -EINVAL;
	memcpy(vcpu->dr, d.db, sizeof(vcpu->dr));
	vcpu->dr6 = d.dr6;
	vcpu->dr7 = d.dr7;
	cpu->update(vcpu, CPU_UPDATE_DEBUG);
	return 0;
}

long pn_vcpu_set_guest_debug(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_guest_debug dbg;
	int i;

	if (copy_from_user(&dbg, argp, sizeof(dbg)))
		return -EFAULT;
	if (dbg.control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) {
		if (vcpu->events.exception.pending || vcpu->events.exception.injected)
			return -EBUSY;
		vcpu->events.soft_insn_len = 1;		/* RIP is at an INT3 of the guest's own */
		pn_queue_exception(vcpu, dbg.control & KVM_GUESTDBG_INJECT_DB ?
				   X86_TRAP_DB : X86_TRAP_BP);
	}
	vcpu->guest_debug = dbg.control & KVM_GUESTDBG_ENABLE ? dbg.control : 0;
	if (vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP) {
		for (i = 0; i < 4; i++)
			vcpu->debug_dr[i] = dbg.arch.debugreg[i];
		vcpu->debug_dr7 = dbg.arch.debugreg[7];
	}
	cpu->update(vcpu, CPU_UPDATE_DEBUG);
	return 0;
}
