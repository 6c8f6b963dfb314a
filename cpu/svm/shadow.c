// SPDX-License-Identifier: GPL-2.0
/*
 * AMD backend: exits that only shadow mode has. They are as frequent as the guest's
 * page faults and address space switches, so most of them end on the fast path, with
 * preemption off and without the emulator:
 *
 *   #PF ──► mmu_shadow_fault   fixed · the guest's own: injected · device, sleep: slow path
 *   MOV CR3, CR4 ──► mmu_load  the next root; everything flushed
 *   INVLPG ──► mmu_invlpg      and the hardware's TLB
 *
 * Without decode assists (APM vol. 2, 15.33) the instruction is decoded from the bytes that our own
 * tables map: the processor has just fetched it through them.
 */
#include "cpu/svm/svm.h"
#include "kvm/power.h"
#include "kvm/trace.h"
#include "mmu/mmu.h"

/* The longest of the forms that compilers make of MOV CR3 and INVLPG: REX, opcode, ModRM, disp8. */
#define SVM_SHORT_BYTES		5

#define REX_R	4
#define REX_B	1

static bool svm_in_64bit_code(const struct svm_vcpu *svm)
{
	return pn_is_long_mode(&svm->vcpu) && (svm->vmcb->save.cs.attrib & X86_SEG_L);
}

static u64 svm_linear_rip(const struct svm_vcpu *svm)
{
	u64 rip = svm->vcpu.regs.rip;

	return svm_in_64bit_code(svm) ? rip : (u32)(svm->vmcb->save.cs.base + rip);
}

/* Is this exit to take the long way? */
static bool svm_goes_slow(const struct svm_vcpu *svm)
{
	return svm_steps(svm) || mmu_without(&svm->vcpu.vm->mmu, MMU_PART_EXITS);
}

/* The instruction at RIP. False when that takes more than what is mapped. */
static bool svm_decode_mapped(struct svm_vcpu *svm, struct x86_insn *insn)
{
	u8 bytes[X86_MAX_INSN_BYTES];
	unsigned int nr = mmu_read_mapped(&svm->vcpu.mmu, svm_linear_rip(svm), bytes, sizeof(bytes));

	return nr && !x86_decode(insn, bytes, nr, pn_cpu_mode(&svm->vcpu));
}

/*
 * Is it 64-bit code of a short form, 0F @opcode with ModRM.reg @reg? The length without
 * displacement, ModRM and REX; 0: no, or it cannot be told so easily.
 */
static unsigned int svm_decode_short(struct svm_vcpu *svm, u8 opcode, u8 reg, u8 *rex, u8 *modrm,
				     s8 *disp)
{
	u8 bytes[SVM_SHORT_BYTES], *b = bytes;

	if (!svm_in_64bit_code(svm) ||
	    mmu_read_mapped(&svm->vcpu.mmu, svm->vcpu.regs.rip, bytes, sizeof(bytes)) != sizeof(bytes))
		return 0;
	*rex = 0;
	if ((*b & 0xf0) == 0x40)
		*rex = *b++;
	if (b[0] != 0x0f || b[1] != opcode || ((b[2] >> 3) & 7) != reg || (*rex & REX_R))
		return 0;
	*modrm = b[2];
	*disp = b[3];
	return b + 3 - bytes;
}

/* ---- #PF ---- */

static enum mmu_verdict svm_shadow_fault(struct svm_vcpu *svm, unsigned int flags)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	struct svm_control *c = &svm->vmcb->control;
	u64 rflags = vcpu->regs.rflags;

	/* The processor's own access to its tables from user mode: AC is not for it (APM vol. 2, 5.6.6). */
	if (!(c->exit_info_1 & MMU_PF_USER) && svm->vmcb->save.cpl == 3)
		rflags &= ~(u64)X86_EFLAGS_AC;
	return mmu_shadow_fault(&vcpu->mmu, c->exit_info_2, c->exit_info_1, rflags, vcpu->fpu.pkru,
				flags);
}

/* The guest's own. What it interrupted, if that was the delivery of an event, is sorted out there. */
static void svm_reflect(struct pn_vcpu *vcpu)
{
	const struct mmu_fault_info *f = &vcpu->mmu.fault;

	pn_queue_page_fault(vcpu, f->exception_addr, f->exception_error);
}

bool svm_page_fault_fast(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	struct svm_control *c = &svm->vmcb->control;

	vcpu->stat.pf_taken++;
	trace_kvm_page_fault(vcpu, c->exit_info_2, c->exit_info_1);
	svm->verdict = mmu_without(&vcpu->vm->mmu, MMU_PART_EXITS) ? MMU_SLEEP :
		       svm_shadow_fault(svm, MMU_ATOMIC);
	switch (svm->verdict) {
	case MMU_RESUME:
		vcpu->stat.pf_fixed++;
		return true;
	case MMU_REFLECT:
		svm_reflect(vcpu);
		return true;
	default:
		return false;
	}
}

int svm_exit_page_fault(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	struct svm_control *c = &svm->vmcb->control;
	const struct mmu_fault_info *f = &vcpu->mmu.fault;

	if (svm->verdict == MMU_SLEEP)
		svm->verdict = svm_shadow_fault(svm, 0);
	switch (svm->verdict) {
	case MMU_RESUME:
		vcpu->stat.pf_fixed++;
		return 1;
	case MMU_REFLECT:
		svm_reflect(vcpu);
		return 1;
	case MMU_MMIO:
		if (unlikely(c->exit_int_info & SVM_EVENT_VALID))
			return svm_delivery_failed(svm);
		/* There is memory for the guest's table, but the VMM has it no more. */
		if (f->table && pn_slot_find(vcpu->vm, f->gpa >> PAGE_SHIFT, NULL))
			return -EFAULT;
		vcpu->stat.pf_mmio++;
		return pn_emulate_mmio(vcpu, f->gpa, !f->table, c->exit_info_1 & MMU_PF_WRITE);
	case MMU_EMULATE:
		if (unlikely(c->exit_int_info & SVM_EVENT_VALID))
			return svm_delivery_failed(svm);
		vcpu->stat.pf_emulate++;
		return pn_emulate_insn(vcpu);
	default:
		return pn_memory_error(vcpu);
	}
}

/* ---- MOV to and from CR3, and to CR4 ---- */

static bool svm_mov_cr_operand(struct svm_vcpu *svm, unsigned int cr, bool write, unsigned int *gpr,
			       unsigned int *len)
{
	struct svm_control *c = &svm->vmcb->control;
	struct x86_insn insn;
	u8 rex, modrm;
	s8 disp;

	if (svm_features.decode_assists && (c->exit_info_1 & SVM_CR_ASSIST_VALID)) {
		*gpr = c->exit_info_1 & SVM_CR_ASSIST_GPR;
		*len = c->next_rip - svm->vcpu.regs.rip;
		return true;
	}
	*len = svm_decode_short(svm, write ? 0x22 : 0x20, cr, &rex, &modrm, &disp);
	if (likely(*len)) {
		*gpr = (modrm & 7) | (rex & REX_B ? 8 : 0);
		return true;
	}
	if (!svm_decode_mapped(svm, &insn) || insn.op != X86_OP_MOV_CR)
		return false;
	*gpr = insn.rm;
	*len = insn.length;
	return true;
}

static bool svm_load_cr3(struct pn_vcpu *vcpu, u64 val)
{
	trace_kvm_cr(true, 3, val);
	if (!pn_set_cr3_atomic(vcpu, val))
		return false;
	if (pn_mmu_load(vcpu, MMU_ATOMIC) != MMU_RESUME)
		pn_vcpu_request(vcpu, PN_REQ_MMU_LOAD);
	return true;
}

bool svm_cr3_fast(struct svm_vcpu *svm)
{
	bool write = svm->vmcb->control.exit_code >= SVM_EXIT_CR_WRITE;
	struct pn_vcpu *vcpu = &svm->vcpu;
	unsigned int gpr, len;
	u64 val;

	if (svm_goes_slow(svm) || !svm_mov_cr_operand(svm, 3, write, &gpr, &len))
		return false;
	if (write) {
		val = vcpu->regs.gpr[gpr];
		if (!svm_load_cr3(vcpu, svm_in_64bit_code(svm) ? val : (u32)val))
			return false;
	} else {
		vcpu->regs.gpr[gpr] = vcpu->cr3;
		trace_kvm_cr(false, 3, vcpu->cr3);
	}
	vcpu->stat.cr_exits++;
	pn_skip(vcpu, len);
	return true;
}

/* CR4.PGE off and on again is how a kernel flushes everything; other bits are rarely written. */
bool svm_cr4_fast(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	unsigned int gpr, len;
	u64 val;

	if (!svm->shadow || svm_goes_slow(svm) || !svm_mov_cr_operand(svm, 4, true, &gpr, &len))
		return false;
	val = vcpu->regs.gpr[gpr];
	if ((val ^ vcpu->cr4) != X86_CR4_PGE || !svm_in_64bit_code(svm))
		return false;
	trace_kvm_cr(true, 4, val);
	pn_set_pge_atomic(vcpu, val);
	if (pn_mmu_load(vcpu, MMU_ATOMIC) != MMU_RESUME)
		pn_vcpu_request(vcpu, PN_REQ_MMU_LOAD);
	vcpu->stat.cr_exits++;
	pn_skip(vcpu, len);
	return true;
}

/* ---- INVLPG ---- */

/* What the hardware's TLB holds for the address. If the ASID is not this processor's, it goes anyway. */
static void svm_flush_address(struct svm_vcpu *svm, u64 gva)
{
	unsigned long flags;

	local_irq_save(flags);
	if (svm->asid_generation == this_cpu_read(svm_cpu.asid_generation) &&
	    __this_cpu_read(pn_cpu_on))
		asm volatile("invlpga %0, %1" : : "a"(gva), "c"(svm->vmcb->control.asid) : "memory");
	local_irq_restore(flags);
}

/* The operand's linear address. There are no checks: at worst nothing is to be done for it. */
static bool svm_invlpg_operand(struct svm_vcpu *svm, u64 *gva, unsigned int *len)
{
	const struct x86_regs *regs = &svm->vcpu.regs;
	const struct x86_seg *seg;
	struct x86_insn insn;
	u8 rex, modrm;
	s8 disp;

	if (svm_features.decode_assists) {
		*gva = svm->vmcb->control.exit_info_1;
		*len = svm->vmcb->control.next_rip - regs->rip;
		return true;
	}
	*len = svm_decode_short(svm, 0x01, 7, &rex, &modrm, &disp);
	/* (%reg) or disp8(%reg): no SIB byte, no RIP */
	if (likely(*len && modrm < 0x80 && (modrm & 7) != 4 && (modrm & 0xc7) != 5)) {
		*gva = regs->gpr[(modrm & 7) | (rex & REX_B ? 8 : 0)];
		if (modrm >= 0x40) {
			*gva += disp;
			++*len;
		}
		return true;
	}
	if (!svm_decode_mapped(svm, &insn) || insn.op != X86_OP_INVLPG)
		return false;
	*len = insn.length;
	*gva = x86_effective_address(&insn, regs, regs->rip + insn.length);
	seg = &svm->vmcb->save.es + insn.seg;
	if (insn.mode != X86_MODE_LONG)
		*gva = (u32)(*gva + seg->base);
	else if (insn.seg >= X86_SEG_FS)
		*gva += seg->base;
	return true;
}

bool svm_invlpg_fast(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	unsigned int len;
	u64 gva;

	if (svm_goes_slow(svm) || !svm_invlpg_operand(svm, &gva, &len))
		return false;
	if (mmu_invlpg(&vcpu->mmu, gva))
		svm_tlb_flush(vcpu);
	else
		svm_flush_address(svm, gva);
	pn_skip(vcpu, len);
	return true;
}

/* ---- task switches ---- */

/* INT n, INT3 and INTO return behind themselves. */
static bool svm_is_soft_event(u64 info)
{
	u8 vector = info & SVM_EVENT_VECTOR;

	return (info & SVM_EVENT_TYPE) == SVM_EVENT_SOFT ||
	       ((info & SVM_EVENT_TYPE) == SVM_EVENT_EXCEPTION &&
		(vector == X86_TRAP_BP || vector == X86_TRAP_OF));
}

int svm_exit_task_switch(struct svm_vcpu *svm)
{
	struct svm_control *c = &svm->vmcb->control;
	bool event = c->exit_int_info & SVM_EVENT_VALID;
	bool soft = event && svm_is_soft_event(c->exit_int_info);
	struct x86_task_switch t = {
		.selector = c->exit_info_1,
		.source = c->exit_info_2 & SVM_TASK_IRET ? X86_TASK_IRET :
			  c->exit_info_2 & SVM_TASK_JMP ? X86_TASK_JMP :
			  event ? X86_TASK_EVENT : X86_TASK_CALL,
		.external = event && !soft,
		.has_error = c->exit_info_2 & SVM_TASK_HAS_ERROR,
		.error = c->exit_info_2,
	};

	return pn_task_switch(&svm->vcpu, &t, !event || soft);
}
