// SPDX-License-Identifier: GPL-2.0
/*
 * x86 emulator: control and debug registers, INVLPG, INVPCID, the interrupt flag, ports.
 */
#include "x86/emulate_impl.h"

#define CR4_VME		BIT_ULL(0)
#define CR4_PVI		BIT_ULL(1)
#define CR4_DE		BIT_ULL(3)
#define CR4_UMIP	BIT_ULL(11)
#define CR4_PCIDE	BIT_ULL(17)

static bool is_privileged(const struct x86_emu *emu)
{
	return emu->mode == X86_MODE_REAL || (emu->cpl == 0 && emu->mode != X86_MODE_VM86);
}

/* The end of an instruction whose last operation returned @rc. */
static enum x86_emu_rc finish(struct x86_emu *emu, enum x86_emu_rc rc)
{
	return rc == X86_EMU_OK ? x86_emu_retire(emu) : rc;
}

/* ---- control and debug registers ---- */

static unsigned int cr_bytes(const struct x86_emu *emu)
{
	return emu->mode == X86_MODE_LONG ? 8 : 4;
}

/* 0f 20: r <- CR; 0f 22: CR <- r */
enum x86_emu_rc x86_emu_mov_cr(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int bytes = cr_bytes(emu), nr = insn->reg;
	enum x86_emu_rc rc;
	u64 val;

	if (nr == 1 || (nr > 4 && nr != 8))
		return x86_emu_raise(emu, X86_VECTOR_UD);
	if (!is_privileged(emu))
		return x86_emu_raise(emu, X86_VECTOR_GP);
	if (!emu->ops->read_cr || !emu->ops->write_cr)
		return X86_EMU_UNHANDLED;
	if (insn->opcode & 2)
		return finish(emu, emu->ops->write_cr(emu, nr, x86_emu_get(emu, insn->rm, bytes)));
	rc = emu->ops->read_cr(emu, nr, &val);
	if (rc == X86_EMU_OK)
		x86_emu_set(emu, insn->rm, bytes, val);
	return finish(emu, rc);
}

/* 0f 21: r <- DR; 0f 23: DR <- r */
enum x86_emu_rc x86_emu_mov_dr(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int bytes = cr_bytes(emu), nr = insn->reg;
	enum x86_emu_rc rc;
	u64 val;

	if (nr > 7 || ((nr == 4 || nr == 5) && (emu->cr4 & CR4_DE)))
		return x86_emu_raise(emu, X86_VECTOR_UD);
	if (!is_privileged(emu))
		return x86_emu_raise(emu, X86_VECTOR_GP);
	if (!emu->ops->read_dr || !emu->ops->write_dr)
		return X86_EMU_UNHANDLED;
	if (nr == 4 || nr == 5)
		nr += 2;		/* the old names of DR6 and DR7 */
	if (insn->opcode & 2)
		return finish(emu, emu->ops->write_dr(emu, nr, x86_emu_get(emu, insn->rm, bytes)));
	rc = emu->ops->read_dr(emu, nr, &val);
	if (rc == X86_EMU_OK)
		x86_emu_set(emu, insn->rm, bytes, val);
	return finish(emu, rc);
}

enum x86_emu_rc x86_emu_clts(struct x86_emu *emu)
{
	if (!is_privileged(emu))
		return x86_emu_raise(emu, X86_VECTOR_GP);
	if (!emu->ops->write_cr)
		return X86_EMU_UNHANDLED;
	return finish(emu, emu->ops->write_cr(emu, 0, emu->cr0 & ~(u64)X86_CR0_TS));
}

/* Sets PE, MP, EM and TS; PE cannot be cleared. */
enum x86_emu_rc x86_emu_lmsw(struct x86_emu *emu)
{
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val, cr0;

	if (!is_privileged(emu))
		return x86_emu_raise(emu, X86_VECTOR_GP);
	if (!emu->ops->write_cr)
		return X86_EMU_UNHANDLED;
	rc = x86_emu_read_rm(emu, &rm, 2, X86_EMU_READ, &val);
	if (rc != X86_EMU_OK)
		return rc;
	cr0 = (emu->cr0 & ~(u64)(X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)) | (val & 0xf);
	return finish(emu, emu->ops->write_cr(emu, 0, cr0));
}

enum x86_emu_rc x86_emu_smsw(struct x86_emu *emu)
{
	if ((emu->cr4 & CR4_UMIP) && emu->cpl)
		return x86_emu_raise(emu, X86_VECTOR_GP);
	return finish(emu, x86_emu_store_rm(emu, emu->insn.has_mem ? 2 : emu->insn.op_bytes,
					    emu->cr0));
}

/* Neither limit nor canonical form of the address is checked (AMD APM vol. 3, INVLPG). */
enum x86_emu_rc x86_emu_invlpg(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	u64 gva = x86_effective_address(insn, emu->regs, x86_emu_next_rip(emu));

	if (!is_privileged(emu))
		return x86_emu_raise(emu, X86_VECTOR_GP);
	if (!emu->ops->invlpg)
		return X86_EMU_UNHANDLED;
	if (emu->mode != X86_MODE_LONG || insn->seg >= X86_SEG_FS)
		gva += emu->seg[insn->seg].base;
	if (emu->mode != X86_MODE_LONG)
		gva = (u32)gva;
	return finish(emu, emu->ops->invlpg(emu, gva));
}

#define INVPCID_ADDRESS		0
#define INVPCID_CONTEXT		1
#define INVPCID_NONGLOBAL	3	/* the last there is */

/* The operand: PCID in bits 11:0, zeroes, the address (AMD APM vol. 3, INVPCID). */
enum x86_emu_rc x86_emu_invpcid(struct x86_emu *emu)
{
	u64 type = x86_emu_get(emu, emu->insn.reg, cr_bytes(emu)), operand[2], gva;
	enum x86_emu_rc rc;

	if (!is_privileged(emu))
		return x86_emu_raise(emu, X86_VECTOR_GP);
	if (!emu->ops->invpcid)
		return X86_EMU_UNHANDLED;
	rc = x86_emu_linear_rm(emu, sizeof(operand), X86_EMU_READ, &gva);
	if (rc == X86_EMU_OK)
		rc = x86_emu_read(emu, gva, operand, sizeof(operand), X86_EMU_READ);
	if (rc != X86_EMU_OK)
		return rc;
	if (type > INVPCID_NONGLOBAL || operand[0] >> 12)
		return x86_emu_raise(emu, X86_VECTOR_GP);
	if (type <= INVPCID_CONTEXT && operand[0] && !(emu->cr4 & CR4_PCIDE))
		return x86_emu_raise(emu, X86_VECTOR_GP);
	if (type == INVPCID_ADDRESS && !x86_emu_is_canonical(emu, operand[1]))
		return x86_emu_raise(emu, X86_VECTOR_GP);
	return finish(emu, emu->ops->invpcid(emu, type, operand[0], operand[1]));
}

/* ---- interrupt flag ---- */

static unsigned int iopl(const struct x86_emu *emu)
{
	return (emu->regs->rflags & X86_EFLAGS_IOPL) >> 12;
}

/* Virtual interrupts (VME, PVI) are left alone. */
static enum x86_emu_rc may_change_if(struct x86_emu *emu)
{
	if (emu->mode == X86_MODE_REAL || emu->cpl <= iopl(emu))
		return X86_EMU_OK;
	if (emu->cr4 & (emu->mode == X86_MODE_VM86 ? CR4_VME : CR4_PVI))
		return X86_EMU_UNHANDLED;
	return x86_emu_raise(emu, X86_VECTOR_GP);
}

enum x86_emu_rc x86_emu_cli(struct x86_emu *emu)
{
	enum x86_emu_rc rc = may_change_if(emu);

	if (rc == X86_EMU_OK)
		emu->regs->rflags &= ~(u64)X86_EFLAGS_IF;
	return finish(emu, rc);
}

enum x86_emu_rc x86_emu_sti(struct x86_emu *emu)
{
	enum x86_emu_rc rc = may_change_if(emu);

	if (rc != X86_EMU_OK)
		return rc;
	if (!(emu->regs->rflags & X86_EFLAGS_IF))
		emu->shadow = X86_EMU_SHADOW_STI;
	emu->regs->rflags |= X86_EFLAGS_IF;
	return x86_emu_retire(emu);
}

/* ---- ports ---- */

enum x86_emu_rc x86_emu_pio_allowed(struct x86_emu *emu, u16 port, unsigned int size)
{
	if (emu->mode == X86_MODE_REAL ||
	    (emu->mode != X86_MODE_VM86 && emu->cpl <= iopl(emu)))
		return X86_EMU_OK;
	if (!emu->ops->pio_allowed)
		return x86_emu_raise(emu, X86_VECTOR_GP);
	return emu->ops->pio_allowed(emu, port, size);
}

/* e4 .. e7 name the port, ec .. ef take it from DX. */
static u16 port_number(const struct x86_emu *emu)
{
	return emu->insn.imm_bytes ? emu->insn.imm : emu->regs->gpr[X86_RDX];
}

enum x86_emu_rc x86_emu_in(struct x86_emu *emu)
{
	unsigned int bytes = emu->insn.op_bytes;
	u16 port = port_number(emu);
	enum x86_emu_rc rc;
	u32 val = 0;

	if (!emu->ops->pio_in)
		return X86_EMU_UNHANDLED;
	rc = x86_emu_pio_allowed(emu, port, bytes);
	if (rc == X86_EMU_OK)
		rc = emu->ops->pio_in(emu, port, bytes, 1, &val);
	if (rc == X86_EMU_OK)
		x86_emu_set(emu, X86_RAX, bytes, val);
	return finish(emu, rc);
}

enum x86_emu_rc x86_emu_out(struct x86_emu *emu)
{
	unsigned int bytes = emu->insn.op_bytes;
	u16 port = port_number(emu);
	u32 val = emu->regs->gpr[X86_RAX];
	enum x86_emu_rc rc;

	if (!emu->ops->pio_out)
		return X86_EMU_UNHANDLED;
	rc = x86_emu_pio_allowed(emu, port, bytes);
	if (rc == X86_EMU_OK)
		rc = emu->ops->pio_out(emu, port, bytes, 1, &val);
	return finish(emu, rc);
}
