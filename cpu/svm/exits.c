// SPDX-License-Identifier: GPL-2.0
/*
 * AMD backend: why the guest stopped, and what is done about it.
 *
 *   svm_enter ─► svm_handle_exit_fast  preemption off: what needs nothing more
 *                   │ no
 *                   ▼
 *                svm_handle_exit       may sleep; table by exit code
 *
 * Handlers return 1: enter again, 0: to user space (run filled), or -errno.
 */
#include <linux/kvm.h>
#include <linux/nospec.h>
#include "cpu/svm/svm.h"
#include "kvm/trace.h"

/*
 * Length of the instruction that exited. Without NRIP save (APM vol. 2, 15.7.1)
 * its bytes have to be looked at, since it may carry prefixes.
 */
static bool svm_insn_length(struct svm_vcpu *svm, u32 opcode, unsigned int *len, int *result)
{
	u64 next = svm->vmcb->control.next_rip;

	if (svm_features.nrips && next) {
		*len = next - svm->vcpu.regs.rip;
		return true;
	}
	return pn_insn_length(&svm->vcpu, opcode, len, result);
}

#define OPCODE_CPUID	0xa20f
#define OPCODE_WRMSR	0x300f
#define OPCODE_RDMSR	0x320f
#define OPCODE_HLT	0xf4
#define OPCODE_VMMCALL	0xd9010f
#define OPCODE_XSETBV	0xd1010f
#define OPCODE_ANY	0

static int svm_exit_ud(struct svm_vcpu *svm)
{
	pn_queue_exception(&svm->vcpu, X86_TRAP_UD);
	return 1;
}

static int svm_exit_gp(struct svm_vcpu *svm)
{
	pn_queue_exception_error(&svm->vcpu, X86_TRAP_GP, 0);
	return 1;
}

/* The host has dealt with it when interrupts came on again. */
static int svm_exit_none(struct svm_vcpu *svm)
{
	return 1;
}

static int svm_exit_emulate(struct svm_vcpu *svm)
{
	return pn_emulate_insn(&svm->vcpu);
}

static int svm_exit_skip(struct svm_vcpu *svm)
{
	unsigned int len;
	int r;

	if (!svm_insn_length(svm, OPCODE_ANY, &len, &r))
		return r;
	return pn_skip(&svm->vcpu, len);
}

/* As pn_skip. */
static int svm_do_cpuid(struct pn_vcpu *vcpu, unsigned int len)
{
	u64 *gpr = vcpu->regs.gpr;
	u32 eax = gpr[X86_RAX], ebx, ecx = gpr[X86_RCX], edx;
	u32 function = eax, index = ecx;

	vcpu->stat.cpuid_exits++;
	pn_cpuid(vcpu, &eax, &ebx, &ecx, &edx);
	trace_kvm_cpuid(function, index, eax, ebx, ecx, edx);
	gpr[X86_RAX] = eax;
	gpr[X86_RBX] = ebx;
	gpr[X86_RCX] = ecx;
	gpr[X86_RDX] = edx;
	return pn_skip(vcpu, len);
}

static int svm_exit_cpuid(struct svm_vcpu *svm)
{
	unsigned int len;
	int r;

	if (!svm_insn_length(svm, OPCODE_CPUID, &len, &r))
		return r;
	return svm_do_cpuid(&svm->vcpu, len);
}

#define CPUID_LEAF_XSAVE	0xd

/*
 * Programs call CPUID dozens of times as they start. Not here: what may end in
 * user space (single steps), and what tells of XCR0, which is current only once
 * the FPU state has been saved.
 */
static bool svm_cpuid_fast(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	u64 next = svm->vmcb->control.next_rip;
	unsigned int len;

	if (svm_steps(svm) || (u32)vcpu->regs.gpr[X86_RAX] == CPUID_LEAF_XSAVE)
		return false;
	if (svm_features.nrips && next)
		len = next - vcpu->regs.rip;
	else if (!pn_insn_length_atomic(vcpu, OPCODE_CPUID, &len))
		return false;
	svm_do_cpuid(vcpu, len);
	return true;
}

static int svm_exit_msr(struct svm_vcpu *svm)
{
	bool write = svm->vmcb->control.exit_info_1;
	u64 *gpr = svm->vcpu.regs.gpr, val;
	u32 msr = gpr[X86_RCX];
	unsigned int len;
	bool refused;
	int r;

	if (!svm_insn_length(svm, write ? OPCODE_WRMSR : OPCODE_RDMSR, &len, &r))
		return r;
	svm->vcpu.stat.msr_exits++;
	if (write) {
		val = (u32)gpr[X86_RAX] | gpr[X86_RDX] << 32;
		refused = pn_set_msr(&svm->vcpu, msr, val, false);
	} else {
		refused = pn_get_msr(&svm->vcpu, msr, &val, false);
	}
	trace_kvm_msr(write, msr, refused && !write ? 0 : val, refused);
	if (refused)
		return svm_exit_gp(svm);
	if (!write) {
		gpr[X86_RAX] = (u32)val;
		gpr[X86_RDX] = val >> 32;
	}
	return pn_skip(&svm->vcpu, len);
}

static int svm_exit_hlt(struct svm_vcpu *svm)
{
	unsigned int len;
	int r;

	if (!svm_insn_length(svm, OPCODE_HLT, &len, &r))
		return r;
	svm->vcpu.stat.halt_exits++;
	r = pn_skip(&svm->vcpu, len);
	if (r > 0) {
		svm->vcpu.run->exit_reason = KVM_EXIT_HLT;
		return 0;
	}
	return r;
}

static int svm_exit_io(struct svm_vcpu *svm)
{
	struct svm_control *c = &svm->vmcb->control;
	u32 info = c->exit_info_1;

	svm->vcpu.stat.io_exits++;
	if (info & SVM_IO_STRING)
		return pn_emulate_insn(&svm->vcpu);
	/* EXITINFO2 is the next instruction's address, on every processor (15.10.2). */
	svm->vcpu.pio.next_rip = c->exit_info_2;
	return pn_pio(&svm->vcpu, info >> SVM_IO_PORT_SHIFT,
		      (info >> SVM_IO_SIZE_SHIFT) & 7, info & SVM_IO_IN);
}

static u64 svm_read_cr(struct pn_vcpu *vcpu, unsigned int cr)
{
	switch (cr) {
	case 0:
		return vcpu->cr0;
	case 3:
		return vcpu->cr3;
	case 4:
		return vcpu->cr4;
	default:
		return vcpu->cr8;
	}
}

static int svm_write_cr(struct pn_vcpu *vcpu, unsigned int cr, u64 val)
{
	switch (cr) {
	case 0:
		return pn_set_cr0(vcpu, val);
	case 3:
		return pn_set_cr3(vcpu, val);
	case 4:
		return pn_set_cr4(vcpu, val);
	case 8:
		return pn_set_cr8(vcpu, val);
	default:
		return 1;
	}
}

/* A lower task priority may let an interrupt in that user space's APIC holds back. */
static int svm_after_cr8(struct pn_vcpu *vcpu, u8 old)
{
	if (old <= vcpu->cr8)
		return 1;
	vcpu->run->exit_reason = KVM_EXIT_SET_TPR;
	return 0;
}

static int svm_exit_cr(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	struct svm_control *c = &svm->vmcb->control;
	bool write = c->exit_code >= SVM_EXIT_CR_WRITE;
	unsigned int cr = c->exit_code & 0xf, len;
	u8 old_cr8 = vcpu->cr8;
	u64 val;
	int r, gpr;

	vcpu->stat.cr_exits++;
	if (c->exit_code == SVM_EXIT_CR0_SELECTIVE) {
		write = true;
		cr = 0;
	}
	if (svm_features.decode_assists && (c->exit_info_1 & SVM_CR_ASSIST_VALID)) {
		gpr = c->exit_info_1 & SVM_CR_ASSIST_GPR;
		len = c->next_rip - vcpu->regs.rip;
	} else {
		if (!pn_insn_decode(vcpu, &r))
			return r;
		/* CLTS, LMSW, SMSW */
		if (vcpu->emu.insn.op != X86_OP_MOV_CR)
			return pn_emulate_decoded(vcpu);
		gpr = vcpu->emu.insn.rm;
		len = vcpu->emu.insn.length;
	}
	if (write) {
		val = vcpu->regs.gpr[gpr];
		if (pn_cpu_mode(vcpu) != X86_MODE_LONG)
			val = (u32)val;
		trace_kvm_cr(true, cr, val);
		if (svm_write_cr(vcpu, cr, val))
			return svm_exit_gp(svm);
	} else {
		vcpu->regs.gpr[gpr] = svm_read_cr(vcpu, cr);
		trace_kvm_cr(false, cr, vcpu->regs.gpr[gpr]);
	}
	r = pn_skip(vcpu, len);
	if (r == 1 && write && cr == 8)
		return svm_after_cr8(vcpu, old_cr8);
	return r;
}

static int svm_exit_dr(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	u64 code = svm->vmcb->control.exit_code, val;
	unsigned int dr = code & 0xf;
	int r, gpr;

	vcpu->stat.dr_exits++;
	if (!pn_insn_decode(vcpu, &r))
		return r;
	gpr = vcpu->emu.insn.rm;
	if (code >= SVM_EXIT_DR_WRITE) {
		val = vcpu->regs.gpr[gpr];
		if (pn_cpu_mode(vcpu) != X86_MODE_LONG)
			val = (u32)val;
		r = pn_set_dr(vcpu, dr, val);
	} else {
		r = pn_get_dr(vcpu, dr, &val);
		if (!r)
			vcpu->regs.gpr[gpr] = val;
	}
	if (r == 2)
		return svm_exit_ud(svm);
	if (r == 1)
		return svm_exit_gp(svm);
	if (r < 0)	/* general detect: #DB is queued */
		return 1;
	return pn_skip(vcpu, vcpu->emu.insn.length);
}

static int svm_exit_xsetbv(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	u64 *gpr = vcpu->regs.gpr;
	u64 val = (u32)gpr[X86_RAX] | gpr[X86_RDX] << 32;
	unsigned int len;
	int r;

	if (!svm_insn_length(svm, OPCODE_XSETBV, &len, &r))
		return r;
	if (pn_cpl(vcpu) || (u32)gpr[X86_RCX] || pn_set_xcr0(vcpu, val))
		return svm_exit_gp(svm);
	return pn_skip(vcpu, len);
}

static int svm_exit_vmmcall(struct svm_vcpu *svm)
{
	unsigned int len;
	int r;

	if (!svm_insn_length(svm, OPCODE_VMMCALL, &len, &r))
		return r;
	pn_hypercall(&svm->vcpu);
	return pn_skip(&svm->vcpu, len);
}

static int svm_exit_db(struct svm_vcpu *svm)
{
	u64 dr6 = svm->vmcb->save.dr6;

	svm->vmcb->save.dr6 = PN_DR6_RESET;
	svm_dirty(svm, SVM_CLEAN_DRX);
	if (svm_nmi_step_done(&svm->vcpu))
		return 1;
	return pn_debug_exception(&svm->vcpu, X86_TRAP_DB, dr6);
}

static int svm_exit_bp(struct svm_vcpu *svm)
{
	return pn_debug_exception(&svm->vcpu, X86_TRAP_BP, 0);
}

/*
 * INT n, INT3 or INTO; only on an emulated processor that does not tell them
 * apart, and while user space has breakpoints. All but INT3 go on as what they are.
 */
static int svm_exit_intn(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	struct x86_insn *insn = &vcpu->emu.insn;
	int r;

	if (!pn_insn_decode(vcpu, &r))
		return r;
	if (insn->op == X86_OP_INT3)
		return svm_exit_bp(svm);
	vcpu->events.irq.injected = true;
	vcpu->events.irq.soft = true;
	vcpu->events.irq.vector = insn->op == X86_OP_INTO ? X86_TRAP_OF :
				  insn->op == X86_OP_INT1 ? X86_TRAP_DB : insn->imm;
	vcpu->events.soft_insn_len = insn->length;
	return 1;
}

static int svm_exit_ac(struct svm_vcpu *svm)
{
	pn_queue_exception_error(&svm->vcpu, X86_TRAP_AC, svm->vmcb->control.exit_info_1);
	return 1;
}

static int svm_exit_pause(struct svm_vcpu *svm)
{
	yield();
	return 1;
}

/* Triple fault. The VMCB is undefined now (15.14.3): the vCPU is reset, as on real boards. */
static int svm_exit_shutdown(struct svm_vcpu *svm)
{
	pn_vcpu_reset(&svm->vcpu, true);
	svm->vcpu.run->exit_reason = KVM_EXIT_SHUTDOWN;
	return 0;
}

/*
 * An event whose delivery met a device: its stack, or a table, is no memory. What is
 * at RIP has nothing to do with the access and must not be carried out for it.
 */
int svm_delivery_failed(struct svm_vcpu *svm)
{
	struct kvm_run *run = svm->vcpu.run;
	struct svm_control *c = &svm->vmcb->control;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	run->internal.ndata = 4;
	run->internal.data[0] = c->exit_int_info;
	run->internal.data[1] = c->exit_code;
	run->internal.data[2] = c->exit_info_2;
	run->internal.data[3] = svm->vcpu.cpu;
	return 0;
}

static int svm_exit_npf(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	struct svm_control *c = &svm->vmcb->control;

	if (svm->verdict == MMU_SLEEP)
		svm->verdict = mmu_fault(&vcpu->mmu, c->exit_info_2, c->exit_info_1, 0);
	switch (svm->verdict) {
	case MMU_RESUME:
		vcpu->stat.pf_fixed++;
		return 1;
	case MMU_MMIO:
		if (unlikely(c->exit_int_info & SVM_EVENT_VALID))
			return svm_delivery_failed(svm);
		vcpu->stat.pf_mmio++;
		return pn_emulate_mmio(vcpu, c->exit_info_2,
				       c->exit_info_1 & MMU_PF_NPT_FINAL,
				       c->exit_info_1 & MMU_PF_WRITE);
	default:
		return pn_memory_error(vcpu);
	}
}

static int (*const svm_exits[SVM_NR_EXITS])(struct svm_vcpu *svm) = {
	[SVM_EXIT_CR_READ + 0]			= svm_exit_cr,
	[SVM_EXIT_CR_READ + 3]			= svm_exit_cr,
	[SVM_EXIT_CR_READ + 4]			= svm_exit_cr,
	[SVM_EXIT_CR_WRITE + 0]			= svm_exit_cr,
	[SVM_EXIT_CR_WRITE + 3]			= svm_exit_cr,
	[SVM_EXIT_CR_WRITE + 4]			= svm_exit_cr,
	[SVM_EXIT_CR_WRITE + 8]			= svm_exit_cr,
	[SVM_EXIT_CR0_SELECTIVE]		= svm_exit_cr,
	[SVM_EXIT_DR_READ ... SVM_EXIT_DR_READ + 7]	= svm_exit_dr,
	[SVM_EXIT_DR_WRITE ... SVM_EXIT_DR_WRITE + 7]	= svm_exit_dr,
	[SVM_EXIT_EXCEPTION + X86_TRAP_DB]	= svm_exit_db,
	[SVM_EXIT_EXCEPTION + X86_TRAP_BP]	= svm_exit_bp,
	[SVM_EXIT_EXCEPTION + X86_TRAP_PF]	= svm_exit_page_fault,
	[SVM_EXIT_EXCEPTION + X86_TRAP_AC]	= svm_exit_ac,
	[SVM_EXIT_EXCEPTION + X86_TRAP_MC]	= svm_exit_none,
	[SVM_EXIT_INTR]				= svm_exit_none,
	[SVM_EXIT_NMI]				= svm_exit_none,
	[SVM_EXIT_SMI]				= svm_exit_none,
	[SVM_EXIT_INIT]				= svm_exit_none,
	[SVM_EXIT_VINTR]			= svm_exit_none,
	[SVM_EXIT_RDPMC]			= svm_exit_gp,
	[SVM_EXIT_CPUID]			= svm_exit_cpuid,
	[SVM_EXIT_IRET]				= svm_exit_iret,
	[SVM_EXIT_INTN]				= svm_exit_intn,
	[SVM_EXIT_INVD]				= svm_exit_skip,
	[SVM_EXIT_PAUSE]			= svm_exit_pause,
	[SVM_EXIT_HLT]				= svm_exit_hlt,
	[SVM_EXIT_INVLPG]			= svm_exit_emulate,
	[SVM_EXIT_INVLPGA]			= svm_exit_ud,
	[SVM_EXIT_IOIO]				= svm_exit_io,
	[SVM_EXIT_MSR]				= svm_exit_msr,
	[SVM_EXIT_TASK_SWITCH]			= svm_exit_task_switch,
	[SVM_EXIT_SHUTDOWN]			= svm_exit_shutdown,
	[SVM_EXIT_VMRUN]			= svm_exit_ud,
	[SVM_EXIT_VMMCALL]			= svm_exit_vmmcall,
	[SVM_EXIT_VMLOAD]			= svm_exit_ud,
	[SVM_EXIT_VMSAVE]			= svm_exit_ud,
	[SVM_EXIT_STGI]				= svm_exit_ud,
	[SVM_EXIT_CLGI]				= svm_exit_ud,
	[SVM_EXIT_SKINIT]			= svm_exit_ud,
	[SVM_EXIT_RDTSCP]			= svm_exit_ud,
	[SVM_EXIT_WBINVD]			= svm_exit_skip,
	[SVM_EXIT_MONITOR]			= svm_exit_skip,
	[SVM_EXIT_MWAIT]			= svm_exit_skip,
	[SVM_EXIT_XSETBV]			= svm_exit_xsetbv,
	[SVM_EXIT_RDPRU]			= svm_exit_ud,
	[SVM_EXIT_INVPCID]			= svm_exit_emulate,
};

static int svm_exit_unknown(struct svm_vcpu *svm)
{
	struct kvm_run *run = svm->vcpu.run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON;
	run->internal.ndata = 2;
	run->internal.data[0] = svm->vmcb->control.exit_code;
	run->internal.data[1] = svm->vcpu.cpu;
	return 0;
}

bool svm_handle_exit_fast(struct pn_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_control *c = &svm->vmcb->control;

	trace_kvm_exit(vcpu, c->exit_code, c->exit_info_1, c->exit_info_2, c->exit_int_info);
	switch (c->exit_code) {
	case SVM_EXIT_NPF:
		vcpu->stat.pf_taken++;
		trace_kvm_page_fault(vcpu, c->exit_info_2, c->exit_info_1);
		svm->verdict = mmu_fault(&vcpu->mmu, c->exit_info_2, c->exit_info_1, MMU_ATOMIC);
		if (svm->verdict != MMU_RESUME)
			return false;
		vcpu->stat.pf_fixed++;
		return true;
	case SVM_EXIT_EXCEPTION + X86_TRAP_PF:
		return svm_page_fault_fast(svm);
	case SVM_EXIT_CR_READ + 3:
	case SVM_EXIT_CR_WRITE + 3:
		return svm_cr3_fast(svm);
	case SVM_EXIT_CR_WRITE + 4:
		return svm_cr4_fast(svm);
	case SVM_EXIT_INVLPG:
		return svm_invlpg_fast(svm);
	case SVM_EXIT_CPUID:
		return svm_cpuid_fast(svm);
	case SVM_EXIT_INTR:
		vcpu->stat.irq_exits++;
		return true;
	case SVM_EXIT_NMI:
		return true;
	case SVM_EXIT_VINTR:
		vcpu->stat.irq_window_exits++;
		svm_close_irq_window(svm);
		return false;
	default:
		return false;
	}
}

int svm_handle_exit(struct pn_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_control *c = &svm->vmcb->control;
	u64 code = c->exit_code;

	if (likely(code == SVM_EXIT_NPF))
		return svm_exit_npf(svm);
	if (unlikely(svm_entry_failed(svm))) {
		vcpu->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
		vcpu->run->fail_entry.hardware_entry_failure_reason = code;
		vcpu->run->fail_entry.cpu = vcpu->cpu;
		return 0;
	}
	if (code >= SVM_NR_EXITS || !svm_exits[array_index_nospec(code, SVM_NR_EXITS)])
		return svm_exit_unknown(svm);
	return svm_exits[array_index_nospec(code, SVM_NR_EXITS)](svm);
}
