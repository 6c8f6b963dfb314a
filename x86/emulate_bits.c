// SPDX-License-Identifier: GPL-2.0
/*
 * x86 emulator: single bits, bit scans, BMI and CRC32.
 */
#include "x86/emulate_flags.h"

/* ---- BT BTS BTR BTC ---- */

enum { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

/*
 * With the bit number in a register a memory operand is a bit string: the number is signed and
 * selects the operand to work on, which may lie before the address or far behind it.
 */
static enum x86_emu_rc read_bit_operand(struct x86_emu *emu, struct x86_rm *rm, unsigned int op,
					u64 *bit, u64 *val)
{
	enum x86_emu_access access = op == BIT_TEST ? X86_EMU_READ : X86_EMU_READ_FOR_WRITE;
	struct x86_insn *insn = &emu->insn;
	unsigned int bytes = insn->op_bytes;
	s64 disp = insn->disp;
	enum x86_emu_rc rc;

	if (insn->imm_bytes) {
		*bit = insn->imm;
	} else {
		*bit = x86_emu_get(emu, insn->reg, bytes);
		/* The decoded displacement is borrowed to reach the operand. */
		insn->disp += (x86_sign_extend(*bit, bytes) & ~(8 * (s64)bytes - 1)) / 8;
	}
	*bit &= 8 * bytes - 1;
	rc = x86_emu_read_rm(emu, rm, bytes, access, val);
	insn->disp = disp;
	return rc;
}

enum x86_emu_rc x86_emu_bt(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int op = insn->imm_bytes ? (insn->modrm >> 3) & 3 : (insn->opcode >> 3) & 3;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val, bit;
	bool was_set;

	rc = read_bit_operand(emu, &rm, op, &bit, &val);
	if (rc != X86_EMU_OK)
		return rc;
	was_set = (val >> bit) & 1;
	if (op == BIT_SET)
		val |= BIT_ULL(bit);
	else if (op == BIT_RESET)
		val &= ~BIT_ULL(bit);
	else if (op == BIT_COMPLEMENT)
		val ^= BIT_ULL(bit);
	if (op != BIT_TEST)
		rc = x86_emu_update_rm(emu, &rm, val);
	if (rc != X86_EMU_OK)
		return rc;
	x86_emu_set_flags(emu, X86_EFLAGS_CF, was_set ? X86_EFLAGS_CF : 0);
	return x86_emu_retire(emu);
}

/* ---- BSF BSR TZCNT LZCNT POPCNT ---- */

static unsigned int lowest_bit(u64 val)
{
	return __ffs(val);
}

static unsigned int highest_bit(u64 val)
{
	return fls64(val) - 1;
}

/* A zero operand sets ZF and leaves the destination as it is. Only ZF is defined. */
static void bit_scan(struct x86_emu *emu, u64 val, bool reverse)
{
	const struct x86_insn *insn = &emu->insn;
	u64 n = 0;

	if (val) {
		n = reverse ? highest_bit(val) : lowest_bit(val);
		x86_emu_set(emu, insn->reg, insn->op_bytes, n);
	}
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH, (x86_flags_szp(n, 8) & X86_EFLAGS_PF) |
			  (val ? 0 : X86_EFLAGS_ZF));
}

/* A zero operand sets CF and counts all bits; ZF is that of the result. OF does not change. */
static void bit_count(struct x86_emu *emu, u64 val, bool leading)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int count = 8 * insn->op_bytes;

	if (val)
		count = leading ? count - 1 - highest_bit(val) : lowest_bit(val);
	x86_emu_set(emu, insn->reg, insn->op_bytes, count);
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH & ~X86_EFLAGS_OF,
			  (val ? 0 : X86_EFLAGS_CF) | (count ? 0 : X86_EFLAGS_ZF));
}

static void population_count(struct x86_emu *emu, u64 val)
{
	x86_emu_set(emu, emu->insn.reg, emu->insn.op_bytes, hweight64(val));
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH, val ? 0 : X86_EFLAGS_ZF);
}

enum x86_emu_rc x86_emu_bitscan(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	bool reverse = insn->opcode & 1;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val;

	rc = x86_emu_read_rm(emu, &rm, insn->op_bytes, X86_EMU_READ, &val);
	if (rc != X86_EMU_OK)
		return rc;
	if (insn->opcode == 0xb8)
		population_count(emu, val);
	else if (insn->pp == X86_PP_F3 && (reverse ? emu->has_lzcnt : emu->has_tzcnt))
		bit_count(emu, val, reverse);
	else
		bit_scan(emu, val, reverse);
	return x86_emu_retire(emu);
}

/* ---- BMI1, BMI2 ---- */

/* Flags of ANDN and BLSx: of a logical operation, with CF given. */
static void set_bmi_flags(struct x86_emu *emu, u64 val, bool carry)
{
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH, x86_flags_szp(val, emu->insn.op_bytes) |
			  (carry ? X86_EFLAGS_CF : 0));
}

/* f3 /1 BLSR, /2 BLSMSK, /3 BLSI: the destination is vvvv. */
static enum x86_emu_rc bls(struct x86_emu *emu, u64 src)
{
	const struct x86_insn *insn = &emu->insn;
	u64 mask = x86_mask(insn->op_bytes), val;
	bool carry = !src;

	switch ((insn->modrm >> 3) & 7) {
	case 1:
		val = src & (src - 1);
		break;
	case 2:
		val = (src ^ (src - 1)) & mask;
		break;
	case 3:
		val = src & -src & mask;
		carry = src;
		break;
	default:
		return x86_emu_raise(emu, X86_VECTOR_UD);
	}
	x86_emu_set(emu, insn->vvvv, insn->op_bytes, val);
	set_bmi_flags(emu, val, carry);
	return x86_emu_retire(emu);
}

static u64 deposit_bits(u64 src, u64 mask)
{
	u64 val = 0;

	for (; mask; mask &= mask - 1, src >>= 1)
		val |= src & 1 ? mask & -mask : 0;
	return val;
}

static u64 extract_bits(u64 src, u64 mask)
{
	unsigned int i = 0;
	u64 val = 0;

	for (; mask; mask &= mask - 1, i++)
		val |= (u64)!!(src & mask & -mask) << i;
	return val;
}

/* f5: BZHI, PEXT (f3), PDEP (f2) */
static u64 bmi_f5(struct x86_emu *emu, u64 src, u64 vvvv)
{
	unsigned int bits = 8 * emu->insn.op_bytes, n = vvvv & 0xff;
	u64 val;

	if (emu->insn.pp == X86_PP_F3)
		return extract_bits(vvvv, src);
	if (emu->insn.pp == X86_PP_F2)
		return deposit_bits(vvvv, src);
	val = n < bits ? src & (BIT_ULL(n) - 1) : src;
	set_bmi_flags(emu, val, n >= bits);
	return val;
}

/* f7: BEXTR, SHLX (66), SARX (f3), SHRX (f2) */
static u64 bmi_f7(struct x86_emu *emu, u64 src, u64 vvvv)
{
	unsigned int bytes = emu->insn.op_bytes, count = vvvv & (8 * bytes - 1);
	unsigned int start = vvvv & 0xff, len = (vvvv >> 8) & 0xff;
	u64 val;

	switch (emu->insn.pp) {
	case X86_PP_66:
		return src << count;
	case X86_PP_F3:
		return x86_sign_extend(src, bytes) >> count;
	case X86_PP_F2:
		return src >> count;
	}
	val = start < 64 ? src >> start : 0;
	if (len < 64)
		val &= BIT_ULL(len) - 1;
	val &= x86_mask(bytes);
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH, X86_EFLAGS_AF |
			  (x86_flags_szp(val, bytes) & ~(u64)X86_EFLAGS_SF));
	return val;
}

/* f6: vvvv:reg <- rdx * src, high half to reg; when both are one the high half stays. */
static enum x86_emu_rc mulx(struct x86_emu *emu, u64 src)
{
	const struct x86_insn *insn = &emu->insn;
	unsigned int bytes = insn->op_bytes;
	unsigned __int128 p = (unsigned __int128)src * x86_emu_get(emu, X86_RDX, bytes);

	x86_emu_set(emu, insn->vvvv, bytes, (u64)p);
	x86_emu_set(emu, insn->reg, bytes, (u64)(p >> (8 * bytes)));
	return x86_emu_retire(emu);
}

static u64 rotate_right(u64 val, unsigned int count, unsigned int bytes)
{
	unsigned int bits = 8 * bytes;

	count &= bits - 1;
	return count ? (val >> count | val << (bits - count)) & x86_mask(bytes) : val;
}

enum x86_emu_rc x86_emu_bmi(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	u64 val, vvvv = x86_emu_get(emu, insn->vvvv, insn->op_bytes);
	enum x86_emu_rc rc;
	struct x86_rm rm;

	if (insn->vl || (insn->map == X86_MAP_0F3A && insn->vvvv))
		return x86_emu_raise(emu, X86_VECTOR_UD);
	rc = x86_emu_read_rm(emu, &rm, insn->op_bytes, X86_EMU_READ, &val);
	if (rc != X86_EMU_OK)
		return rc;
	if (insn->map == X86_MAP_0F3A) {
		val = rotate_right(val, insn->imm, insn->op_bytes);
	} else {
		switch (insn->opcode) {
		case 0xf2:
			val &= ~vvvv;
			set_bmi_flags(emu, val, false);
			break;
		case 0xf3:
			return bls(emu, val);
		case 0xf5:
			val = bmi_f5(emu, val, vvvv);
			break;
		case 0xf6:
			return mulx(emu, val);
		default:
			val = bmi_f7(emu, val, vvvv);
		}
	}
	x86_emu_set(emu, insn->reg, insn->op_bytes, val);
	return x86_emu_retire(emu);
}

/* ---- CRC32: polynomial 11EDC6F41, bits reflected ---- */

enum x86_emu_rc x86_emu_crc32(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	u32 crc = emu->regs->gpr[insn->reg];
	unsigned int i;
	enum x86_emu_rc rc;
	struct x86_rm rm;
	u64 val;

	rc = x86_emu_read_rm(emu, &rm, insn->op_bytes, X86_EMU_READ, &val);
	if (rc != X86_EMU_OK)
		return rc;
	for (i = 0; i < 8u * insn->op_bytes; i++)
		crc = crc >> 1 ^ (((crc ^ val >> i) & 1) ? 0x82f63b78 : 0);
	x86_emu_set(emu, insn->reg, 4, crc);
	return x86_emu_retire(emu);
}
