// SPDX-License-Identifier: GPL-2.0
/*
 * x86 emulator: PUSH, POP and near branches.
 *
 * The stack pointer has the width that SS.B says (64 bits in 64-bit code); a
 * push writes first and moves the pointer afterwards, so that a fault leaves it alone.
 */
#include "x86/emulate_flags.h"

static unsigned int stack_bytes(const struct x86_emu *emu)
{
	if (emu->mode == X86_MODE_LONG)
		return 8;
	return emu->seg[X86_SEG_SS].attrib & X86_SEG_DB ? 4 : 2;
}

static void move_stack(struct x86_emu *emu, s64 by)
{
	x86_emu_set(emu, X86_RSP, stack_bytes(emu), emu->regs->gpr[X86_RSP] + by);
}

static enum x86_emu_rc linear_push(struct x86_emu *emu, u64 *gva)
{
	unsigned int bytes = emu->insn.op_bytes;
	u64 sp = (emu->regs->gpr[X86_RSP] - bytes) & x86_mask(stack_bytes(emu));

	return x86_emu_linear(emu, X86_SEG_SS, sp, bytes, X86_EMU_WRITE, gva);
}

static enum x86_emu_rc push(struct x86_emu *emu, u64 val)
{
	unsigned int bytes = emu->insn.op_bytes;
	enum x86_emu_rc rc;
	u64 gva;

	rc = linear_push(emu, &gva);
	if (rc == X86_EMU_OK)
		rc = x86_emu_write(emu, gva, &val, bytes);
	if (rc == X86_EMU_OK)
		move_stack(emu, -(s64)bytes);
	return rc;
}

/* Reads the top without moving the pointer. */
static enum x86_emu_rc peek(struct x86_emu *emu, u64 *val)
{
	unsigned int bytes = emu->insn.op_bytes;
	u64 sp = emu->regs->gpr[X86_RSP] & x86_mask(stack_bytes(emu));
	enum x86_emu_rc rc;
	u64 gva;

	*val = 0;
	rc = x86_emu_linear(emu, X86_SEG_SS, sp, bytes, X86_EMU_READ, &gva);
	return rc == X86_EMU_OK ? x86_emu_read(emu, gva, val, bytes, X86_EMU_READ) : rc;
}

/* 50 .. 57, 68, 6a, ff /6 */
enum x86_emu_rc x86_emu_push(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	enum x86_emu_rc rc = X86_EMU_OK;
	u64 val = insn->imm;
	struct x86_rm rm;

	if (!insn->imm_bytes)
		rc = x86_emu_read_rm(emu, &rm, insn->op_bytes, X86_EMU_READ, &val);
	if (rc == X86_EMU_OK)
		rc = push(emu, val);
	return rc == X86_EMU_OK ? x86_emu_retire(emu) : rc;
}

/* 8f /0 to memory: an address that uses the stack pointer uses it as it is afterwards. */
static enum x86_emu_rc pop_to_memory(struct x86_emu *emu, u64 val)
{
	const struct x86_insn *insn = &emu->insn;
	u64 ea = x86_effective_address(insn, emu->regs, x86_emu_next_rip(emu));
	enum x86_emu_rc rc;
	u64 gva;

	if (insn->base == X86_RSP)
		ea = (ea + insn->op_bytes) & x86_mask(insn->addr_bytes);
	rc = x86_emu_linear(emu, insn->seg, ea, insn->op_bytes, X86_EMU_WRITE, &gva);
	return rc == X86_EMU_OK ? x86_emu_write(emu, gva, &val, insn->op_bytes) : rc;
}

enum x86_emu_rc x86_emu_pop(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	enum x86_emu_rc rc;
	u64 val;

	rc = peek(emu, &val);
	if (rc == X86_EMU_OK && insn->has_mem)
		rc = pop_to_memory(emu, val);
	if (rc != X86_EMU_OK)
		return rc;
	move_stack(emu, insn->op_bytes);
	if (!insn->has_mem)
		x86_emu_set(emu, insn->rm, insn->op_bytes, val);
	return x86_emu_retire(emu);
}

/* ---- near branches ---- */

/*
 * Cuts *rip to the operand size and checks it. A 16-bit branch in 64-bit code
 * differs between vendors and is left alone.
 */
static enum x86_emu_rc check_target(struct x86_emu *emu, u64 *rip)
{
	unsigned int bytes = emu->insn.op_bytes;

	if (emu->mode == X86_MODE_LONG) {
		u64 gva;

		if (bytes != 8)
			return X86_EMU_UNHANDLED;
		/* CS has no base; an odd address needs no alignment. */
		return x86_emu_linear(emu, X86_SEG_CS, *rip, 1, X86_EMU_READ, &gva);
	}
	*rip &= x86_mask(bytes);
	if (*rip > emu->seg[X86_SEG_CS].limit)
		return x86_emu_raise(emu, X86_VECTOR_GP);
	return X86_EMU_OK;
}

static enum x86_emu_rc read_target(struct x86_emu *emu, u64 *rip)
{
	const struct x86_insn *insn = &emu->insn;
	enum x86_emu_rc rc = X86_EMU_OK;
	struct x86_rm rm;

	if (insn->has_modrm)
		rc = x86_emu_read_rm(emu, &rm, insn->op_bytes, X86_EMU_READ, rip);
	else
		*rip = x86_emu_next_rip(emu) + insn->imm;
	return rc;
}

enum x86_emu_rc x86_emu_jmp(struct x86_emu *emu)
{
	enum x86_emu_rc rc;
	u64 rip;

	rc = read_target(emu, &rip);
	if (rc == X86_EMU_OK)
		rc = check_target(emu, &rip);
	return rc == X86_EMU_OK ? x86_emu_retire_at(emu, rip) : rc;
}

/* A stack that cannot be written comes before a bad target. */
enum x86_emu_rc x86_emu_call(struct x86_emu *emu)
{
	u64 next = x86_emu_next_rip(emu);
	enum x86_emu_rc rc;
	u64 rip, gva;

	rc = read_target(emu, &rip);
	if (rc == X86_EMU_OK)
		rc = linear_push(emu, &gva);
	if (rc == X86_EMU_OK)
		rc = x86_emu_probe_write(emu, gva, emu->insn.op_bytes);
	if (rc == X86_EMU_OK)
		rc = check_target(emu, &rip);
	if (rc == X86_EMU_OK)
		rc = push(emu, next);
	return rc == X86_EMU_OK ? x86_emu_retire_at(emu, rip) : rc;
}

enum x86_emu_rc x86_emu_ret(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	enum x86_emu_rc rc;
	u64 rip;

	rc = peek(emu, &rip);
	if (rc == X86_EMU_OK)
		rc = check_target(emu, &rip);
	if (rc != X86_EMU_OK)
		return rc;
	move_stack(emu, insn->op_bytes + insn->imm);
	return x86_emu_retire_at(emu, rip);
}

/* e0 LOOPNE, e1 LOOPE, e2 LOOP, e3 JrCXZ: the counter has the address size. */
static bool loop_taken(const struct x86_emu *emu, u64 count)
{
	bool zf = emu->regs->rflags & X86_EFLAGS_ZF;

	switch (emu->insn.opcode) {
	case 0xe0:
		return count && !zf;
	case 0xe1:
		return count && zf;
	case 0xe2:
		return count;
	default:
		return !count;
	}
}

enum x86_emu_rc x86_emu_jcc(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	bool is_loop = insn->map == X86_MAP_ONE_BYTE && insn->opcode >= 0xe0;
	u64 count = emu->regs->gpr[X86_RCX];
	enum x86_emu_rc rc = X86_EMU_OK;
	u64 rip = x86_emu_next_rip(emu);
	bool taken;

	if (is_loop && insn->opcode != 0xe3)
		count--;
	count &= x86_mask(insn->addr_bytes);
	taken = is_loop ? loop_taken(emu, count) :
			  x86_emu_condition(emu->regs->rflags, insn->opcode);
	if (taken)
		rc = read_target(emu, &rip);
	if (rc == X86_EMU_OK && taken)
		rc = check_target(emu, &rip);
	if (rc != X86_EMU_OK)
		return rc;
	if (is_loop && insn->opcode != 0xe3)
		x86_emu_set(emu, X86_RCX, insn->addr_bytes, count);
	return x86_emu_retire_at(emu, rip);
}
