// SPDX-License-Identifier: GPL-2.0
/*
 * Instructions the kernel carries out for the guest: the emulator (x86/) joined
 * to this vCPU's registers, page tables, memory and devices.
 *
 *   exit ─► pn_emulate_mmio / pn_emulate_insn
 *              │ fetch, decode
 *              ▼
 *           pn_emulate_attempt ◄────────────────┐ pn_emulate_again
 *              │ X86_EMU_OK      │ X86_EMU_IO   │
 *              ▼                 ▼              │
 *           writes noted?    user space answers ┘
 *              │ no   │ yes
 *              ▼      ▼
 *           guest   user space, then pn_emulate_finish
 *
 * All of it runs where sleeping is allowed, with vm->srcu held and the guest's
 * vector registers saved.
 */
#include <linux/kvm_para.h>
#include "kvm/state.h"
#include "kvm/trace.h"
#include "mmu/walk.h"

#define PN_EMU_BUDGET	4096	/* iterations of a string instruction at a time */

static struct pn_vcpu *pn_of_emu(struct x86_emu *emu)
{
	return container_of(emu, struct pn_vcpu, emu);
}

/* Mode of the code segment, APM vol. 2, 1.2 and 4.12. */
enum x86_mode pn_cpu_mode(struct pn_vcpu *vcpu)
{
	u16 attrib;

	if (!(vcpu->cr0 & X86_CR0_PE))
		return X86_MODE_REAL;
	if (vcpu->regs.rflags & X86_EFLAGS_VM)
		return X86_MODE_VM86;
	attrib = pn_seg(vcpu, X86_SEG_CS).attrib;
	if (pn_is_long_mode(vcpu) && (attrib & X86_SEG_L))
		return X86_MODE_LONG;
	return attrib & X86_SEG_DB ? X86_MODE_PROT32 : X86_MODE_PROT16;
}

/* ---- memory, by linear address ---- */

static enum x86_emu_rc pn_emu_fault(struct x86_emu *emu, u8 vector, u32 error, u64 cr2)
{
	emu->fault.vector = vector;
	emu->fault.has_error = true;
	emu->fault.error = error;
	emu->fault.cr2 = cr2;
	return X86_EMU_FAULT;
}

/*
 * The processor has just walked for the operand that faulted: with one memory
 * operand, the address whose page offset fits is it.
 */
static bool pn_emu_walked(const struct pn_vcpu *vcpu, u64 gva, u64 access)
{
	if (!vcpu->emu_gpa_valid || ((gva ^ vcpu->emu_gpa) & ~PAGE_MASK))
		return false;
	/* A processor may read first what it then writes: the fault was checked for reading only. */
	if ((access & MMU_ACC_WRITE) && !vcpu->emu_gpa_write)
		return false;
	switch (vcpu->emu.insn.op) {
	case X86_OP_MOV:
	case X86_OP_MOV_IMM:
	case X86_OP_MOV_MOFFS:
	case X86_OP_MOVZX:
	case X86_OP_MOVSX:
	case X86_OP_ALU:
	case X86_OP_ALU_IMM:
	case X86_OP_TEST:
	case X86_OP_BT:
	case X86_OP_XCHG:
	case X86_OP_VECTOR_MOVE:
		return true;
	default:
		return false;
	}
}

static enum x86_emu_rc pn_emu_translate(struct x86_emu *emu, u64 gva, u64 access, u64 *gpa)
{
	struct pn_vcpu *vcpu = pn_of_emu(emu);
	struct mmu_walk_env env;
	struct mmu_walk walk;

	if (!(vcpu->cr0 & X86_CR0_PG)) {
		*gpa = gva;
		return X86_EMU_OK;
	}
	if (pn_emu_walked(vcpu, gva, access)) {
		*gpa = vcpu->emu_gpa;
		return X86_EMU_OK;
	}
	if (emu->cpl == 3)
		access |= MMU_ACC_USER;
	pn_walk_env(vcpu, &env);
	switch (mmu_walk(&walk, &env, gva, access, MMU_WALK_SET_AD)) {
	case MMU_WALK_OK:
		*gpa = walk.gpa;
		return X86_EMU_OK;
	case MMU_WALK_FAULT:
		return pn_emu_fault(emu, X86_TRAP_PF, walk.error_code, gva);
	case MMU_WALK_NONCANONICAL:
		return pn_emu_fault(emu, X86_TRAP_GP, 0, 0);
	default:
		return X86_EMU_UNHANDLED;
	}
}

static enum x86_emu_rc pn_emu_read(struct x86_emu *emu, u64 gva, void *val, unsigned int len,
				   enum x86_emu_access access)
{
	struct pn_vcpu *vcpu = pn_of_emu(emu);
	enum x86_emu_rc rc;
	u64 gpa;

	rc = pn_emu_translate(emu, gva, access == X86_EMU_READ ? MMU_ACC_READ : MMU_ACC_WRITE,
			      &gpa);
	if (rc)
		return rc;
	switch (pn_guest_read(vcpu, gpa, val, len, false)) {
	case 0:
		return X86_EMU_OK;
	case -ENOENT:
		return pn_mmio_read(vcpu, gpa, val, len);
	default:
		return X86_EMU_UNHANDLED;
	}
}

static enum x86_emu_rc pn_emu_write(struct x86_emu *emu, u64 gva, const void *val,
				    unsigned int len)
{
	struct pn_vcpu *vcpu = pn_of_emu(emu);
	enum x86_emu_rc rc;
	u64 gpa;

	rc = pn_emu_translate(emu, gva, MMU_ACC_WRITE, &gpa);
	if (rc)
		return rc;
	switch (pn_guest_write(vcpu, gpa, val, len, false)) {
	case 0:
		return X86_EMU_OK;
	case -ENOENT:
	case -EROFS:
		return pn_mmio_write(vcpu, gpa, val, len);
	default:
		return X86_EMU_UNHANDLED;
	}
}

static enum x86_emu_rc pn_emu_probe_write(struct x86_emu *emu, u64 gva, unsigned int len)
{
	u64 gpa;

	return pn_emu_translate(emu, gva, MMU_ACC_WRITE, &gpa);
}

static enum x86_emu_rc pn_emu_cmpxchg(struct x86_emu *emu, u64 gva, const void *old,
				      const void *val, unsigned int len)
{
	struct pn_vcpu *vcpu = pn_of_emu(emu);
	enum x86_emu_rc rc;
	u64 expected[2];
	u64 gpa;

	rc = pn_emu_translate(emu, gva, MMU_ACC_WRITE, &gpa);
	if (rc)
		return rc;
	memcpy(expected, old, len);
	switch (pn_guest_cmpxchg(vcpu, gpa, expected, val, len, false)) {
	case 0:
		return X86_EMU_OK;
	case -EBUSY:
	case -EINVAL:	/* became RAM after the fault: the processor can do it now */
		return X86_EMU_RETRY;
	case -ENOENT:
	case -EROFS:
		return pn_mmio_write(vcpu, gpa, val, len);
	default:
		return X86_EMU_UNHANDLED;
	}
}

static enum x86_emu_rc pn_emu_fetch(struct x86_emu *emu, u64 gva, void *bytes, unsigned int len)
{
	struct pn_vcpu *vcpu = pn_of_emu(emu);
	enum x86_emu_rc rc;
	u64 gpa;

	rc = pn_emu_translate(emu, gva, MMU_ACC_FETCH, &gpa);
	if (rc)
		return rc;
	/* Code in device memory is not carried out. */
	return pn_guest_read(vcpu, gpa, bytes, len, false) ? X86_EMU_UNHANDLED : X86_EMU_OK;
}

/* ---- registers ---- */

static void pn_emu_fpu_read(struct x86_emu *emu, enum x86_emu_file file, unsigned int reg,
			    void *val)
{
	pn_fpu_read(pn_of_emu(emu), file, reg, val);
}

static void pn_emu_fpu_write(struct x86_emu *emu, enum x86_emu_file file, unsigned int reg,
			     const void *val)
{
	pn_fpu_write(pn_of_emu(emu), file, reg, val);
}

/* Others than CR0, and CR3 of a task, exit by themselves. */
static enum x86_emu_rc pn_emu_read_cr(struct x86_emu *emu, unsigned int nr, u64 *val)
{
	struct pn_vcpu *vcpu = pn_of_emu(emu);

	if (nr)
		return X86_EMU_UNHANDLED;
	*val = vcpu->cr0;
	return X86_EMU_OK;
}

static enum x86_emu_rc pn_emu_write_cr(struct x86_emu *emu, unsigned int nr, u64 val)
{
	struct pn_vcpu *vcpu = pn_of_emu(emu);

	if (nr && nr != 3)
		return X86_EMU_UNHANDLED;
	if (nr ? pn_set_cr3(vcpu, val) : pn_set_cr0(vcpu, val))
		return pn_emu_fault(emu, X86_TRAP_GP, 0, 0);
	return X86_EMU_OK;
}

/* Shadow mode: the MMU's tables are what the guest means by its TLB. */
static enum x86_emu_rc pn_emu_invlpg(struct x86_emu *emu, u64 gva)
{
	struct pn_vcpu *vcpu = pn_of_emu(emu);

	mmu_invlpg(&vcpu->mmu, gva);
	cpu->tlb_flush(vcpu);
	return X86_EMU_OK;
}

/* Other PCIDs' translations are brought up to date when CR3 is loaded: they need nothing. */
static enum x86_emu_rc pn_emu_invpcid(struct x86_emu *emu, unsigned int type, unsigned int pcid,
				      u64 gva)
{
	struct pn_vcpu *vcpu = pn_of_emu(emu);
	bool current_one = !(vcpu->cr4 & X86_CR4_PCIDE) || pcid == (vcpu->cr3 & X86_CR3_PCID_MASK);

	if (!pn_cpuid_has(vcpu, X86_CPU_INVPCID)) {
		emu->fault = (struct x86_fault){ .vector = X86_TRAP_UD };
		return X86_EMU_FAULT;
	}
	switch (type) {
	case 0:
		return current_one ? pn_emu_invlpg(emu, gva) : X86_EMU_OK;
	case 2:
		pn_mmu_changed(vcpu, MMU_LOAD_ALL);
		return X86_EMU_OK;
	default:
		if (type == 3 || current_one)
			pn_mmu_changed(vcpu, MMU_LOAD_CR3);
		return X86_EMU_OK;
	}
}

/*
 * I/O permission is the hardware's business: it checks the bitmap before the exit
 * (APM vol. 2, 15.10.1).
 */
static enum x86_emu_rc pn_emu_pio_allowed(struct x86_emu *emu, u16 port, unsigned int size)
{
	return X86_EMU_OK;
}

static const struct x86_emu_ops pn_emu_ops = {
	.read = pn_emu_read,
	.write = pn_emu_write,
	.probe_write = pn_emu_probe_write,
	.cmpxchg = pn_emu_cmpxchg,
	.fetch = pn_emu_fetch,
	.pio_in = pn_pio_in_string,
	.pio_out = pn_pio_out_string,
	.pio_allowed = pn_emu_pio_allowed,
	.fpu_read = pn_emu_fpu_read,
	.fpu_write = pn_emu_fpu_write,
	.read_cr = pn_emu_read_cr,
	.write_cr = pn_emu_write_cr,
	.invlpg = pn_emu_invlpg,
	.invpcid = pn_emu_invpcid,
};

/* ---- one instruction ---- */

void pn_emulate_begin(struct pn_vcpu *vcpu)
{
	struct x86_emu *emu = &vcpu->emu;

	emu->ops = &pn_emu_ops;
	emu->regs = &vcpu->regs;
	emu->seg = cpu->segs(vcpu, vcpu->emu_seg);
	emu->cr0 = vcpu->cr0;
	emu->cr4 = vcpu->cr4;
	emu->efer = vcpu->efer;
	emu->xcr0 = vcpu->fpu.xcr0;
	emu->has_tzcnt = boot_cpu_has(X86_FEATURE_BMI1);
	emu->has_lzcnt = boot_cpu_has(X86_FEATURE_ABM);
	emu->mode = pn_cpu_mode(vcpu);
	emu->cpl = pn_cpl(vcpu);
	emu->io_buf = vcpu->pio_data;
	emu->io_bytes = PAGE_SIZE;
	vcpu->emu_rip = vcpu->regs.rip;
	vcpu->emu_gpa_valid = false;
	vcpu->emu_step_due = false;
	vcpu->mmio.nr = 0;
	vcpu->pio.answered = false;
}

/*
 * What the stock module does as well: the guest gets #UD, and if it is a kernel
 * that has run into it, the machine stops and user space gets the bytes.
 */
int pn_emulation_failed(struct pn_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u8 n = vcpu->emu.insn.length;

	vcpu->stat.insn_emulation_fail++;
	trace_kvm_emulate_insn(vcpu, vcpu->emu.insn.bytes, n, true);
	pn_queue_exception(vcpu, X86_TRAP_UD);
	if (pn_cpl(vcpu))
		return 1;
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 0;
	run->emulation_failure.flags = 0;
	if (n) {
		run->emulation_failure.ndata = 3;
		run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.insn_size = n;
		memset(run->emulation_failure.insn_bytes, 0x90,
		       sizeof(run->emulation_failure.insn_bytes));
		memcpy(run->emulation_failure.insn_bytes, vcpu->emu.insn.bytes, n);
	}
	return 0;
}

int pn_memory_error(struct pn_vcpu *vcpu)
{
	switch (vcpu->mmu.fault.error) {
	case -EHWPOISON:	/* SIGBUS has been sent, and says where */
	case -EINTR:
		return 1;	/* the run ends at the signal */
	case 0:
		return -EFAULT;
	default:
		return vcpu->mmu.fault.error;
	}
}

int pn_emulate_fault(struct pn_vcpu *vcpu)
{
	const struct x86_fault *f = &vcpu->emu.fault;

	if (f->vector == X86_TRAP_PF)
		pn_queue_page_fault(vcpu, f->cr2, f->error);
	else if (f->has_error)
		pn_queue_exception_error(vcpu, f->vector, f->error);
	else
		pn_queue_exception(vcpu, f->vector);
	return 1;
}

/* The step is architecturally over: traps of it are due. */
int pn_emulate_finish(struct pn_vcpu *vcpu)
{
	if (!vcpu->emu_step_due)
		return 1;
	vcpu->emu_step_due = false;
	return pn_debug_step(vcpu);
}

static void pn_emulate_retired(struct pn_vcpu *vcpu)
{
	static const u8 shadow[] = {
		[X86_EMU_SHADOW_NONE] = 0,
		[X86_EMU_SHADOW_STI] = KVM_X86_SHADOW_INT_STI,
		[X86_EMU_SHADOW_MOV_SS] = KVM_X86_SHADOW_INT_MOV_SS,
	};

	if (!vcpu->emu.retired)
		return;
	vcpu->int_shadow = shadow[vcpu->emu.shadow];
	vcpu->emu_step_due = vcpu->emu.single_step ||
			     (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP);
}

static int pn_emulate_attempt(struct pn_vcpu *vcpu)
{
	enum x86_emu_rc rc;

	vcpu->mmio.used = 0;
	vcpu->emu.budget = PN_EMU_BUDGET;
	rc = x86_emulate(&vcpu->emu);
	vcpu->emu_rip = vcpu->regs.rip;
	pn_emulate_retired(vcpu);
	if (rc == X86_EMU_FAULT)
		pn_emulate_fault(vcpu);
	/* Also after a fault or a stop: iterations before it may have written. */
	if (pn_mmio_pending(vcpu))
		return pn_mmio_exit(vcpu);
	vcpu->mmio.nr = 0;
	switch (rc) {
	case X86_EMU_OK:
		if (vcpu->complete_io)
			return 0;
		return pn_emulate_finish(vcpu);
	case X86_EMU_IO:
		return 0;
	case X86_EMU_FAULT:
	case X86_EMU_RETRY:
		return 1;
	default:
		return pn_emulation_failed(vcpu);
	}
}

int pn_emulate_again(struct pn_vcpu *vcpu)
{
	return pn_emulate_attempt(vcpu);
}

int pn_emulate_decoded(struct pn_vcpu *vcpu)
{
	vcpu->stat.insn_emulation++;
	trace_kvm_emulate_insn(vcpu, vcpu->emu.insn.bytes, vcpu->emu.insn.length, false);
	return pn_emulate_attempt(vcpu);
}

/* Fetch and decode; what the decoder finds undefined is the guest's #UD. */
bool pn_insn_decode(struct pn_vcpu *vcpu, int *result)
{
	pn_emulate_begin(vcpu);
	vcpu->emu.insn.length = 0;
	switch (x86_emu_fetch(&vcpu->emu)) {
	case X86_EMU_OK:
		return true;
	case X86_EMU_FAULT:
		*result = pn_emulate_fault(vcpu);
		return false;
	case X86_EMU_RETRY:
		*result = 1;
		return false;
	default:
		*result = pn_emulation_failed(vcpu);
		return false;
	}
}

int pn_emulate_insn(struct pn_vcpu *vcpu)
{
	int r;

	if (!pn_insn_decode(vcpu, &r))
		return r;
	return pn_emulate_decoded(vcpu);
}

int pn_emulate_mmio(struct pn_vcpu *vcpu, u64 gpa, bool operand, bool write)
{
	int r;

	if (!pn_insn_decode(vcpu, &r))
		return r;
	vcpu->emu_gpa = gpa;
	vcpu->emu_gpa_valid = operand;
	vcpu->emu_gpa_write = write;
	return pn_emulate_decoded(vcpu);
}

/* Are the bytes at RIP just these, in 64-bit code? False when it is not that simple to tell. */
static bool pn_insn_is(struct pn_vcpu *vcpu, u32 opcode, unsigned int len, bool atomic)
{
	u64 access = MMU_ACC_FETCH, rip = vcpu->regs.rip;
	struct mmu_walk_env env;
	struct mmu_walk walk;
	u32 bytes = 0;

	if (!pn_is_long_mode(vcpu) || (rip & ~PAGE_MASK) > PAGE_SIZE - len ||
	    !(pn_seg(vcpu, X86_SEG_CS).attrib & X86_SEG_L))
		return false;
	if (pn_cpl(vcpu) == 3)
		access |= MMU_ACC_USER;
	pn_walk_env(vcpu, &env);
	return mmu_walk(&walk, &env, rip, access,
			MMU_WALK_SET_AD | (atomic ? MMU_WALK_ATOMIC : 0)) == MMU_WALK_OK &&
	       !pn_guest_read(vcpu, walk.gpa, &bytes, len, atomic) && bytes == opcode;
}

static unsigned int opcode_bytes(u32 opcode)
{
	return DIV_ROUND_UP(fls(opcode), 8);
}

bool pn_insn_length_atomic(struct pn_vcpu *vcpu, u32 opcode, unsigned int *len)
{
	*len = opcode_bytes(opcode);
	return pn_insn_is(vcpu, opcode, *len, true);
}

/* The opcode's bytes decide nearly always; prefixes make it the decoder's business. */
bool pn_insn_length(struct pn_vcpu *vcpu, u32 opcode, unsigned int *len, int *result)
{
	*len = opcode_bytes(opcode);
	if (opcode && pn_insn_is(vcpu, opcode, *len, false))
		return true;
	if (!pn_insn_decode(vcpu, result))
		return false;
	*len = vcpu->emu.insn.length;
	return true;
}

int pn_skip(struct pn_vcpu *vcpu, unsigned int len)
{
	u64 rflags = vcpu->regs.rflags;
	u64 rip = vcpu->regs.rip + len;

	/* Outside 64-bit code RIP has 32 bits; most of the time nothing is above them. */
	if (unlikely((rip ^ vcpu->regs.rip) >> 32) && pn_cpu_mode(vcpu) != X86_MODE_LONG)
		rip = (u32)rip;
	vcpu->regs.rip = rip;
	vcpu->int_shadow = 0;
	vcpu->regs.rflags = rflags & ~X86_EFLAGS_RF;
	if (likely(!(rflags & X86_EFLAGS_TF) && !(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)))
		return 1;
	return pn_debug_step(vcpu);
}

/* ---- KVM_TRANSLATE ---- */

long pn_vcpu_translate(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_translation tr;
	struct mmu_walk_env env;
	struct mmu_walk walk;

	if (copy_from_user(&tr, argp, sizeof(tr)))
		return -EFAULT;
	pn_walk_env(vcpu, &env);
	tr.valid = mmu_walk(&walk, &env, tr.linear_address, MMU_ACC_READ,
			    MMU_WALK_NO_CHECK) == MMU_WALK_OK;
	tr.physical_address = tr.valid ? walk.gpa : ~0ULL;
	tr.writeable = 1;
	tr.usermode = 0;
	return copy_to_user(argp, &tr, sizeof(tr)) ? -EFAULT : 0;
}

/* ---- hypercalls ---- */

/* VMMCALL as KVM guests use it: number in RAX, result in RAX. None is offered. */
void pn_hypercall(struct pn_vcpu *vcpu)
{
	u64 *rax = &vcpu->regs.gpr[X86_RAX];

	vcpu->stat.hypercalls++;
	trace_kvm_hypercall(*rax, vcpu->regs.gpr[X86_RBX], vcpu->regs.gpr[X86_RCX],
			    vcpu->regs.gpr[X86_RDX], vcpu->regs.gpr[X86_RSI]);
	if (pn_cpl(vcpu))
		*rax = -KVM_EPERM;
	else if ((u32)*rax == KVM_HC_VAPIC_POLL_IRQ)
		*rax = 0;
	else
		*rax = -KVM_ENOSYS;
	if (pn_cpu_mode(vcpu) != X86_MODE_LONG)
		*rax = (u32)*rax;
}
