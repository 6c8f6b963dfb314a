// SPDX-License-Identifier: GPL-2.0
/*
 * x86 emulator: moves between general registers and memory, plain and
 * conditional, and the exchanges.
 */
#include "x86/emulate_flags.h"

/* 88 89: r/m <- r; 8a 8b: r <- r/m. What devices see most. */
enum x86_emu_rc x86_emu_mov(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val;

	if (insn->opcode & 2) {
		rc = x86_emu_read_rm(emu, &rm, insn->op_bytes, X86_EMU_READ, &val);
		if (rc != X86_EMU_OK)
			return rc;
		x86_emu_set(emu, insn->reg, insn->op_bytes, val);
	} else {
		val = x86_emu_get(emu, insn->reg, insn->op_bytes);
		rc = x86_emu_store_rm(emu, insn->op_bytes, val);
		if (rc != X86_EMU_OK)
			return rc;
	}
	return x86_emu_retire(emu);
}

static enum x86_emu_rc store(struct x86_emu *emu, unsigned int bytes, u64 val)
{
	enum x86_emu_rc rc = x86_emu_store_rm(emu, bytes, val);

	return rc == X86_EMU_OK ? x86_emu_retire(emu) : rc;
}

/* c6 c7, b0 .. bf: without ModRM the register is in the opcode. */
enum x86_emu_rc x86_emu_mov_imm(struct x86_emu *emu)
{
	return store(emu, emu->insn.op_bytes, emu->insn.imm);
}

/* a0 .. a3 */
enum x86_emu_rc x86_emu_mov_moffs(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val;

	if (insn->opcode & 2)
		return store(emu, insn->op_bytes, emu->regs->gpr[X86_RAX]);
	rc = x86_emu_read_rm(emu, &rm, insn->op_bytes, X86_EMU_READ, &val);
	if (rc != X86_EMU_OK)
		return rc;
	x86_emu_set(emu, X86_RAX, insn->op_bytes, val);
	return x86_emu_retire(emu);
}

enum x86_emu_rc x86_emu_mov_from_seg(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;

	return store(emu, insn->has_mem ? 2 : insn->op_bytes,
		     emu->seg[(insn->modrm >> 3) & 7].selector);
}

/* MOVZX, MOVSX; MOVSXD, whose source has 32 bits whatever the operand size. */
enum x86_emu_rc x86_emu_mov_extend(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int bytes = insn->opcode & 1 ? 2 : 1;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val;

	if (insn->op == X86_OP_MOVSXD)
		bytes = 4;
	rc = x86_emu_read_rm(emu, &rm, bytes, X86_EMU_READ, &val);
	if (rc != X86_EMU_OK)
		return rc;
	if (insn->op != X86_OP_MOVZX)
		val = x86_sign_extend(val, bytes);
	x86_emu_set(emu, insn->reg, insn->op_bytes, val);
	return x86_emu_retire(emu);
}

enum x86_emu_rc x86_emu_movnti(struct x86_emu *emu)
{
	unsigned int bytes = emu->insn.op_bytes;

	return store(emu, bytes, x86_emu_get(emu, emu->insn.reg, bytes));
}

static u64 swap_bytes(u64 val, unsigned int bytes)
{
	return __builtin_bswap64(val) >> (64 - 8 * bytes);
}

enum x86_emu_rc x86_emu_movbe(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int bytes = insn->op_bytes;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val;

	if (insn->opcode & 1)
		return store(emu, bytes, swap_bytes(x86_emu_get(emu, insn->reg, bytes), bytes));
	rc = x86_emu_read_rm(emu, &rm, bytes, X86_EMU_READ, &val);
	if (rc != X86_EMU_OK)
		return rc;
	x86_emu_set(emu, insn->reg, bytes, swap_bytes(val, bytes));
	return x86_emu_retire(emu);
}

/* Condition codes: pairs of a predicate and its opposite (AMD APM vol. 3, appendix A, "rFLAGS condition codes"). */
bool x86_emu_condition(u64 rflags, unsigned int cc)
{
	bool less = !(rflags & X86_EFLAGS_SF) != !(rflags & X86_EFLAGS_OF);
	bool holds;

	switch ((cc >> 1) & 7) {
	case 0: holds = rflags & X86_EFLAGS_OF; break;
	case 1: holds = rflags & X86_EFLAGS_CF; break;
	case 2: holds = rflags & X86_EFLAGS_ZF; break;
	case 3: holds = rflags & (X86_EFLAGS_CF | X86_EFLAGS_ZF); break;
	case 4: holds = rflags & X86_EFLAGS_SF; break;
	case 5: holds = rflags & X86_EFLAGS_PF; break;
	case 6: holds = less; break;
	default: holds = less || (rflags & X86_EFLAGS_ZF); break;
	}
	return holds != (cc & 1);
}

/* Reads its operand, and clears the upper half of a 32-bit destination, in any case. */
enum x86_emu_rc x86_emu_cmovcc(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val;

	rc = x86_emu_read_rm(emu, &rm, insn->op_bytes, X86_EMU_READ, &val);
	if (rc != X86_EMU_OK)
		return rc;
	if (!x86_emu_condition(emu->regs->rflags, insn->opcode))
		val = x86_emu_get(emu, insn->reg, insn->op_bytes);
	x86_emu_set(emu, insn->reg, insn->op_bytes, val);
	return x86_emu_retire(emu);
}

enum x86_emu_rc x86_emu_setcc(struct x86_emu *emu)
{
	return store(emu, 1, x86_emu_condition(emu->regs->rflags, emu->insn.opcode));
}

/* 86 87, and 90 .. 97 with the accumulator. */
enum x86_emu_rc x86_emu_xchg(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int other = insn->has_modrm ? insn->reg : X86_RAX;
	u64 val, other_val = x86_emu_get(emu, other, insn->op_bytes);
	enum x86_emu_rc rc;
	struct x86_rm rm;

	rc = x86_emu_read_rm(emu, &rm, insn->op_bytes, X86_EMU_READ_FOR_WRITE, &val);
	if (rc == X86_EMU_OK)
		rc = x86_emu_update_rm(emu, &rm, other_val);
	if (rc != X86_EMU_OK)
		return rc;
	x86_emu_set(emu, other, insn->op_bytes, val);
	return x86_emu_retire(emu);
}

enum x86_emu_rc x86_emu_xadd(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	u64 val, sum, flags, addend = x86_emu_get(emu, insn->reg, insn->op_bytes);
	enum x86_emu_rc rc;
	struct x86_rm rm;

	rc = x86_emu_read_rm(emu, &rm, insn->op_bytes, X86_EMU_READ_FOR_WRITE, &val);
	if (rc != X86_EMU_OK)
		return rc;
	flags = x86_flags_add(val, addend, 0, insn->op_bytes, &sum);
	if (insn->has_mem) {
		rc = x86_emu_update_rm(emu, &rm, sum);
		if (rc != X86_EMU_OK)
			return rc;
		x86_emu_set(emu, insn->reg, insn->op_bytes, val);
	} else {
		/* With one register for both the sum stays. */
		x86_emu_set(emu, insn->reg, insn->op_bytes, val);
		x86_emu_update_rm(emu, &rm, sum);
	}
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH, flags);
	return x86_emu_retire(emu);
}

/*
 * Memory gets a write cycle whether or not the comparison succeeded; a register stays as it is,
 * upper half included, when it did not.
 */
enum x86_emu_rc x86_emu_cmpxchg(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int bytes = insn->op_bytes;
	u64 val, diff, flags, expected = emu->regs->gpr[X86_RAX] & x86_mask(bytes);
	enum x86_emu_rc rc;
	struct x86_rm rm;

	rc = x86_emu_read_rm(emu, &rm, bytes, X86_EMU_READ_FOR_WRITE, &val);
	if (rc != X86_EMU_OK)
		return rc;
	flags = x86_flags_sub(expected, val, 0, bytes, &diff);
	if (!diff)
		rc = x86_emu_update_rm(emu, &rm, x86_emu_get(emu, insn->reg, bytes));
	else if (insn->has_mem)
		rc = x86_emu_update_rm(emu, &rm, val);
	if (rc != X86_EMU_OK)
		return rc;
	if (diff)
		x86_emu_set(emu, X86_RAX, bytes, val);
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH, flags);
	return x86_emu_retire(emu);
}

/* CMPXCHG8B, CMPXCHG16B: the halves in a pair of registers of half the size. */
enum x86_emu_rc x86_emu_cmpxchg_wide(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int half = insn->op_bytes == 8 ? 8 : 4, len = 2 * half;
	const u64 *gpr = emu->regs->gpr;
	u64 old[2] = { 0, 0 };		/* low half, high half */
	u64 mem[2] = { 0, 0 }, val[2] = { 0, 0 };
	enum x86_emu_rc rc;
	bool equal;
	u64 gva;

	rc = len == 16 ? x86_emu_linear_rm_aligned(emu, len, X86_EMU_READ_FOR_WRITE, &gva) :
			 x86_emu_linear_rm(emu, len, X86_EMU_READ_FOR_WRITE, &gva);
	if (rc != X86_EMU_OK)
		return rc;
	if (insn->lock && x86_emu_crosses_page(gva, len))
		return X86_EMU_UNHANDLED;
	rc = x86_emu_read(emu, gva, mem, len, X86_EMU_READ_FOR_WRITE);
	if (rc != X86_EMU_OK)
		return rc;
	memcpy(old, mem, sizeof(old));
	if (half == 4) {
		mem[1] = mem[0] >> 32;
		mem[0] = (u32)mem[0];
	}
	equal = mem[0] == (gpr[X86_RAX] & x86_mask(half)) &&
		mem[1] == (gpr[X86_RDX] & x86_mask(half));
	if (!equal) {
		memcpy(val, old, sizeof(val));
	} else if (half == 4) {
		val[0] = (u32)gpr[X86_RBX] | gpr[X86_RCX] << 32;
	} else {
		val[0] = gpr[X86_RBX];
		val[1] = gpr[X86_RCX];
	}
	rc = insn->lock ? x86_emu_compare_exchange(emu, gva, old, val, len) :
			  x86_emu_write_back(emu, gva, val, len);
	if (rc != X86_EMU_OK)
		return rc;
	if (!equal) {
		x86_emu_set(emu, X86_RAX, half, mem[0]);
		x86_emu_set(emu, X86_RDX, half, mem[1]);
	}
	x86_emu_set_flags(emu, X86_EFLAGS_ZF, equal ? X86_EFLAGS_ZF : 0);
	return x86_emu_retire(emu);
}
