// SPDX-License-Identifier: GPL-2.0
/*
 * x86 emulator: shifts and rotates.
 */
#include "x86/emulate_flags.h"

/* The numbering of ModRM.reg. */
enum { SHIFT_ROL, SHIFT_ROR, SHIFT_RCL, SHIFT_RCR, SHIFT_SHL, SHIFT_SHR, SHIFT_SAL, SHIFT_SAR };

/* OF of a left shift or rotate: did the sign change with the last step? */
static u64 flags_left(u64 val, bool carry, unsigned int bytes)
{
	return (carry ? X86_EFLAGS_CF : 0) | (x86_msb(val, bytes) != carry ? X86_EFLAGS_OF : 0);
}

/* The same of a right one, in which the last step moved the sign one bit down. */
static u64 flags_right(u64 val, bool carry, unsigned int bytes)
{
	return (carry ? X86_EFLAGS_CF : 0) |
	       (x86_msb(val ^ (val << 1), bytes) ? X86_EFLAGS_OF : 0);
}

/* AF is undefined; Zen sets it. */
static u64 flags_result(u64 val, unsigned int bytes)
{
	return x86_flags_szp(val, bytes) | X86_EFLAGS_AF;
}

static u64 rotate(unsigned int op, u64 *v, unsigned int count, unsigned int bytes)
{
	unsigned int bits = 8 * bytes, left;

	left = (op == SHIFT_ROL ? count : bits - count % bits) % bits;
	if (left)
		*v = (*v << left | *v >> (bits - left)) & x86_mask(bytes);
	return op == SHIFT_ROL ? flags_left(*v, *v & 1, bytes) :
				 flags_right(*v, x86_msb(*v, bytes), bytes);
}

/* Through CF: a rotate of one bit more than the operand has. */
static u64 rotate_carry(unsigned int op, u64 *v, unsigned int count, bool carry,
			unsigned int bytes)
{
	count %= 8 * bytes + 1;
	while (count--) {
		bool out = op == SHIFT_RCL ? x86_msb(*v, bytes) : *v & 1;

		if (op == SHIFT_RCL)
			*v = (*v << 1 | carry) & x86_mask(bytes);
		else
			*v = *v >> 1 | (u64)carry << (8 * bytes - 1);
		carry = out;
	}
	return op == SHIFT_RCL ? flags_left(*v, carry, bytes) : flags_right(*v, carry, bytes);
}

static u64 do_shift_left(u64 *v, unsigned int count, unsigned int bytes)
{
	u64 before_last = count - 1 < 64 ? *v << (count - 1) : 0;
	u64 val = (before_last << 1) & x86_mask(bytes);
	u64 flags = flags_left(val, x86_msb(before_last, bytes), bytes);

	*v = val;
	return flags | flags_result(val, bytes);
}

static u64 do_shift_right(u64 *v, unsigned int count, unsigned int bytes, bool arithmetic)
{
	s64 wide = arithmetic ? x86_sign_extend(*v, bytes) : (s64)*v;
	/* The logical shift of 64 bits must not see a sign. */
	u64 before_last = arithmetic ? (u64)(wide >> (count - 1)) : *v >> (count - 1);
	u64 val = (arithmetic ? (u64)((s64)before_last >> 1) : before_last >> 1) & x86_mask(bytes);
	u64 flags = flags_right(val, before_last & 1, bytes);

	*v = val;
	return flags | flags_result(val, bytes);
}

/* c0 c1 d0 .. d3 */
enum x86_emu_rc x86_emu_shift(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int op = (insn->modrm >> 3) & 7, bytes = insn->op_bytes, count = 1;
	u64 mask = X86_EFLAGS_CF | X86_EFLAGS_OF, val, flags = 0;
	enum x86_emu_rc rc;
	struct x86_rm rm;

	if (insn->imm_bytes)
		count = insn->imm;
	else if (insn->opcode & 2)
		count = emu->regs->gpr[X86_RCX];
	count &= bytes == 8 ? 63 : 31;
	rc = x86_emu_read_rm(emu, &rm, bytes, X86_EMU_READ_FOR_WRITE, &val);
	if (rc != X86_EMU_OK)
		return rc;
	if (!count) {
		mask = 0;
	} else if (op <= SHIFT_ROR) {
		flags = rotate(op, &val, count, bytes);
	} else if (op <= SHIFT_RCR) {
		flags = rotate_carry(op, &val, count, emu->regs->rflags & X86_EFLAGS_CF, bytes);
	} else {
		mask = X86_EFLAGS_ARITH;
		flags = op == SHIFT_SHL || op == SHIFT_SAL ? do_shift_left(&val, count, bytes) :
			do_shift_right(&val, count, bytes, op == SHIFT_SAR);
	}
	rc = x86_emu_update_rm(emu, &rm, val);
	if (rc != X86_EMU_OK)
		return rc;
	x86_emu_set_flags(emu, mask, flags);
	return x86_emu_retire(emu);
}

/*
 * SHLD (a4 a5) and SHRD (ac ad). With 16-bit operands and a count above 16 the
 * result is undefined; on Zen the source goes round and CF is clear.
 */
static u64 shift_double(bool right, u64 *v, u64 fill, unsigned int count, unsigned int bytes)
{
	unsigned int bits = 8 * bytes;
	u64 flags;
	bool carry;

	if (count > bits) {
		count -= bits;
		*v = right ? fill >> count | fill << (bits - count) :
			     fill << count | fill >> (bits - count);
		*v &= x86_mask(bytes);
		return flags_result(*v, bytes) | (right ? flags_right(*v, false, bytes) : 0);
	}
	if (right) {
		carry = (*v >> (count - 1)) & 1;
		*v = *v >> count | (fill << (bits - count) & x86_mask(bytes));
		flags = flags_right(*v, carry, bytes);
	} else {
		carry = (*v >> (bits - count)) & 1;
		*v = (*v << count) & x86_mask(bytes);
		flags = flags_left(*v, carry, bytes);
		*v |= fill >> (bits - count);
	}
	return flags | flags_result(*v, bytes);
}

enum x86_emu_rc x86_emu_shift_double(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int bytes = insn->op_bytes, count;
	u64 val, flags = 0;
	enum x86_emu_rc rc;
	struct x86_rm rm;

	count = insn->imm_bytes ? insn->imm : emu->regs->gpr[X86_RCX];
	count &= bytes == 8 ? 63 : 31;
	rc = x86_emu_read_rm(emu, &rm, bytes, X86_EMU_READ_FOR_WRITE, &val);
	if (rc != X86_EMU_OK)
		return rc;
	if (count)
		flags = shift_double(insn->opcode & 8, &val, x86_emu_get(emu, insn->reg, bytes),
				     count, bytes);
	rc = x86_emu_update_rm(emu, &rm, val);
	if (rc != X86_EMU_OK)
		return rc;
	x86_emu_set_flags(emu, count ? X86_EFLAGS_ARITH : 0, flags);
	return x86_emu_retire(emu);
}
