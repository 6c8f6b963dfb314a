// SPDX-License-Identifier: GPL-2.0
/*
 * x86 emulator: integer arithmetic and logic.
 *
 * Flags that the architecture leaves undefined are set the way AMD processors
 * of the Zen family were seen to set them.
 */
#include "x86/emulate_flags.h"

/* The numbering of bits 5:3 of opcodes 00 .. 3d and of ModRM.reg of 80 .. 83. */
enum { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

static u64 flags_logic(u64 val, unsigned int bytes)
{
	return x86_flags_szp(val, bytes);	/* CF, OF, AF clear */
}

/* a <- a op b; the flags are all six. */
static u64 alu(unsigned int op, u64 *a, u64 b, u64 rflags, unsigned int bytes)
{
	unsigned int carry = rflags & X86_EFLAGS_CF ? 1 : 0;
	u64 diff;

	b &= x86_mask(bytes);
	switch (op) {
	case ALU_ADD:
		return x86_flags_add(*a, b, 0, bytes, a);
	case ALU_ADC:
		return x86_flags_add(*a, b, carry, bytes, a);
	case ALU_SUB:
		return x86_flags_sub(*a, b, 0, bytes, a);
	case ALU_SBB:
		return x86_flags_sub(*a, b, carry, bytes, a);
	case ALU_CMP:
		return x86_flags_sub(*a, b, 0, bytes, &diff);
	case ALU_OR:
		*a |= b;
		break;
	case ALU_AND:
		*a &= b;
		break;
	default:
		*a ^= b;
	}
	return flags_logic(*a, bytes);
}

/* r/m <- r/m op src */
static enum x86_emu_rc alu_to_rm(struct x86_emu *emu, unsigned int op, u64 src)
{
	unsigned int bytes = emu->insn.op_bytes;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val, flags;

	rc = x86_emu_read_rm(emu, &rm, bytes,
			     op == ALU_CMP ? X86_EMU_READ : X86_EMU_READ_FOR_WRITE, &val);
	if (rc != X86_EMU_OK)
		return rc;
	flags = alu(op, &val, src, emu->regs->rflags, bytes);
	if (op != ALU_CMP)
		rc = x86_emu_update_rm(emu, &rm, val);
	if (rc != X86_EMU_OK)
		return rc;
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH, flags);
	return x86_emu_retire(emu);
}

/* r <- r op src */
static enum x86_emu_rc alu_to_reg(struct x86_emu *emu, unsigned int op, unsigned int reg, u64 src)
{
	unsigned int bytes = emu->insn.op_bytes;
	u64 val = x86_emu_get(emu, reg, bytes);
	u64 flags = alu(op, &val, src, emu->regs->rflags, bytes);

	if (op != ALU_CMP)
		x86_emu_set(emu, reg, bytes, val);
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH, flags);
	return x86_emu_retire(emu);
}

enum x86_emu_rc x86_emu_alu(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int op = insn->opcode >> 3;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 src;

	if (!insn->has_modrm)
		return alu_to_reg(emu, op, X86_RAX, insn->imm);
	if (!(insn->opcode & 2))
		return alu_to_rm(emu, op, x86_emu_get(emu, insn->reg, insn->op_bytes));
	rc = x86_emu_read_rm(emu, &rm, insn->op_bytes, X86_EMU_READ, &src);
	if (rc != X86_EMU_OK)
		return rc;
	return alu_to_reg(emu, op, insn->reg, src);
}

enum x86_emu_rc x86_emu_alu_imm(struct x86_emu *emu)
{
	return alu_to_rm(emu, (emu->insn.modrm >> 3) & 7, emu->insn.imm);
}

/* r/m & src, flags only */
static enum x86_emu_rc test_rm(struct x86_emu *emu, u64 src)
{
	unsigned int bytes = emu->insn.op_bytes;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val;

	rc = x86_emu_read_rm(emu, &rm, bytes, X86_EMU_READ, &val);
	if (rc != X86_EMU_OK)
		return rc;
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH, flags_logic(val & src, bytes));
	return x86_emu_retire(emu);
}

enum x86_emu_rc x86_emu_test(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	u64 val;

	if (insn->has_modrm)
		return test_rm(emu, x86_emu_get(emu, insn->reg, insn->op_bytes));
	val = x86_emu_get(emu, X86_RAX, insn->op_bytes);
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH, flags_logic(val & insn->imm, insn->op_bytes));
	return x86_emu_retire(emu);
}

enum x86_emu_rc x86_emu_incdec(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	/* 40 .. 4f have the choice in the opcode. */
	bool dec = insn->has_modrm ? (insn->modrm >> 3) & 1 : (insn->opcode >> 3) & 1;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val, flags;

	rc = x86_emu_read_rm(emu, &rm, insn->op_bytes, X86_EMU_READ_FOR_WRITE, &val);
	if (rc != X86_EMU_OK)
		return rc;
	flags = dec ? x86_flags_sub(val, 1, 0, insn->op_bytes, &val) :
		      x86_flags_add(val, 1, 0, insn->op_bytes, &val);
	rc = x86_emu_update_rm(emu, &rm, val);
	if (rc != X86_EMU_OK)
		return rc;
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH & ~X86_EFLAGS_CF, flags);
	return x86_emu_retire(emu);
}

static enum x86_emu_rc not_neg(struct x86_emu *emu, bool neg)
{
	unsigned int bytes = emu->insn.op_bytes;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val, flags = 0;

	rc = x86_emu_read_rm(emu, &rm, bytes, X86_EMU_READ_FOR_WRITE, &val);
	if (rc != X86_EMU_OK)
		return rc;
	if (neg)
		flags = x86_flags_sub(0, val, 0, bytes, &val);
	else
		val = ~val & x86_mask(bytes);
	rc = x86_emu_update_rm(emu, &rm, val);
	if (rc != X86_EMU_OK)
		return rc;
	if (neg)
		x86_emu_set_flags(emu, X86_EFLAGS_ARITH, flags);
	return x86_emu_retire(emu);
}

/* ---- multiplication and division ---- */

/* Twice the operand size, in two halves of it. */
struct wide {
	u64 lo, hi;
};

static struct wide multiply(u64 a, u64 b, unsigned int bytes, bool is_signed)
{
	unsigned __int128 p;

	if (is_signed)
		p = (unsigned __int128)((__int128)x86_sign_extend(a, bytes) *
					x86_sign_extend(b, bytes));
	else
		p = (unsigned __int128)a * b;
	return (struct wide){
		.lo = (u64)p & x86_mask(bytes),
		.hi = (u64)(p >> (8 * bytes)) & x86_mask(bytes),
	};
}

/* CF = OF: the upper half is not just the extension of the lower. The other flags do not change. */
static void set_multiply_flags(struct x86_emu *emu, struct wide p, unsigned int bytes,
			       bool is_signed)
{
	u64 extension = is_signed && x86_msb(p.lo, bytes) ? x86_mask(bytes) : 0;

	x86_emu_set_flags(emu, X86_EFLAGS_CF | X86_EFLAGS_OF,
			  p.hi != extension ? X86_EFLAGS_CF | X86_EFLAGS_OF : 0);
}

/* AX, DX:AX, EDX:EAX or RDX:RAX */
static struct wide get_accumulator(const struct x86_emu *emu, unsigned int bytes)
{
	const u64 *gpr = emu->regs->gpr;

	if (bytes == 1)
		return (struct wide){ gpr[X86_RAX] & 0xff, (gpr[X86_RAX] >> 8) & 0xff };
	return (struct wide){ gpr[X86_RAX] & x86_mask(bytes), gpr[X86_RDX] & x86_mask(bytes) };
}

static void set_accumulator(struct x86_emu *emu, unsigned int bytes, struct wide v)
{
	if (bytes == 1) {
		x86_emu_set(emu, X86_RAX, 2, v.lo | v.hi << 8);
	} else {
		x86_emu_set(emu, X86_RAX, bytes, v.lo);
		x86_emu_set(emu, X86_RDX, bytes, v.hi);
	}
}

static struct wide negate(struct wide v, unsigned int bytes)
{
	u64 mask = x86_mask(bytes);

	v.lo = -v.lo & mask;
	v.hi = (~v.hi + !v.lo) & mask;
	return v;
}

/* Long division, bit by bit. Quotient in lo, remainder in hi; needs n.hi < d. */
static struct wide divide_unsigned(struct wide n, u64 d, unsigned int bytes)
{
	unsigned int bits = 8 * bytes;
	u64 quotient = 0, rest = n.hi;

	while (bits--) {
		bool carry = x86_msb(rest, bytes);

		rest = (rest << 1 | ((n.lo >> bits) & 1)) & x86_mask(bytes);
		quotient <<= 1;
		if (carry || rest >= d) {
			rest = (rest - d) & x86_mask(bytes);
			quotient |= 1;
		}
	}
	return (struct wide){ .lo = quotient, .hi = rest };
}

/* Returns false for #DE. */
static bool divide(struct wide *n, u64 d, unsigned int bytes, bool is_signed)
{
	bool negative_n = is_signed && x86_msb(n->hi, bytes);
	bool negative_d = is_signed && x86_msb(d, bytes);
	u64 limit = x86_mask(bytes);

	if (negative_n)
		*n = negate(*n, bytes);
	if (negative_d)
		d = -d & x86_mask(bytes);
	if (n->hi >= d)
		return false;		/* also d == 0 */
	*n = divide_unsigned(*n, d, bytes);
	if (is_signed)
		limit = (limit >> 1) + (negative_n != negative_d);
	if (n->lo > limit)
		return false;
	if (negative_n != negative_d)
		n->lo = -n->lo & x86_mask(bytes);
	if (negative_n)
		n->hi = -n->hi & x86_mask(bytes);
	return true;
}

/* f6 f7 /4 .. /7: MUL, IMUL, DIV, IDIV */
static enum x86_emu_rc multiply_divide(struct x86_emu *emu, unsigned int reg)
{
	unsigned int bytes = emu->insn.op_bytes;
	struct wide acc = get_accumulator(emu, bytes);
	bool is_signed = reg & 1;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val;

	rc = x86_emu_read_rm(emu, &rm, bytes, X86_EMU_READ, &val);
	if (rc != X86_EMU_OK)
		return rc;
	if (reg < 6) {
		acc = multiply(acc.lo, val, bytes, is_signed);
		set_multiply_flags(emu, acc, bytes, is_signed);
	} else if (!divide(&acc, val, bytes, is_signed)) {
		return x86_emu_raise(emu, X86_VECTOR_DE);
	} else {
		x86_emu_set_flags(emu, X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF,
				  X86_EFLAGS_AF);
	}
	set_accumulator(emu, bytes, acc);
	return x86_emu_retire(emu);
}

enum x86_emu_rc x86_emu_unary(struct x86_emu *emu)
{
	unsigned int reg = (emu->insn.modrm >> 3) & 7;

	if (reg <= 1)
		return test_rm(emu, emu->insn.imm);
	if (reg <= 3)
		return not_neg(emu, reg == 3);
	return multiply_divide(emu, reg);
}

/* 0f af: r <- r * r/m; 69 6b: r <- r/m * imm */
enum x86_emu_rc x86_emu_imul(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int bytes = insn->op_bytes;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	struct wide p;
	u64 val;

	rc = x86_emu_read_rm(emu, &rm, bytes, X86_EMU_READ, &val);
	if (rc != X86_EMU_OK)
		return rc;
	p = multiply(val, insn->imm_bytes ? insn->imm : x86_emu_get(emu, insn->reg, bytes), bytes,
		     true);
	set_multiply_flags(emu, p, bytes, true);
	x86_emu_set(emu, insn->reg, bytes, p.lo);
	return x86_emu_retire(emu);
}
