// SPDX-License-Identifier: GPL-2.0
/*
 * x86 emulator: moves between memory and MMX, SSE and AVX registers.
 *
 * A load builds the whole register in a buffer, a store takes its bytes from
 * one; the table says how many bytes of memory and where in the register.
 */
#include "x86/emulate_impl.h"

#define CR4_OSFXSR	BIT_ULL(9)
#define CR4_OSXSAVE	BIT_ULL(18)
#define XCR0_SSE_AVX	6ULL

#define FULL		0	/* 16 bytes, or 32 with VEX.L */

#define M_STORE		0x01
#define M_ALIGNED	0x02
#define M_MMX		0x04	/* no VEX form */
#define M_SSE		0x08	/* no VEX form */
#define M_LOW		0x10	/* half a register: the other comes from vvvv, or stays */
#define M_HIGH		0x20
#define M_ANY_L		0x40	/* less than a register, and VEX.L is ignored */
#define M_BY_W		0x80	/* bytes are doubled by REX.W */

struct vector_move {
	u8 map, opcode, pp;
	u8 bytes;		/* of memory; FULL, or fewer */
	u8 flags;		/* M_* */
};

#define MOVE(map, opcode, pp, bytes, flags) { map, opcode, X86_PP_##pp, bytes, flags }

static const struct vector_move moves[] = {
	/* MOVUPS MOVUPD MOVDQU LDDQU */
	MOVE(1, 0x10, NONE, FULL, 0), MOVE(1, 0x11, NONE, FULL, M_STORE),
	MOVE(1, 0x10, 66, FULL, 0), MOVE(1, 0x11, 66, FULL, M_STORE),
	MOVE(1, 0x6f, F3, FULL, 0), MOVE(1, 0x7f, F3, FULL, M_STORE),
	MOVE(1, 0xf0, F2, FULL, 0),
	/* MOVAPS MOVAPD MOVDQA */
	MOVE(1, 0x28, NONE, FULL, M_ALIGNED), MOVE(1, 0x29, NONE, FULL, M_ALIGNED | M_STORE),
	MOVE(1, 0x28, 66, FULL, M_ALIGNED), MOVE(1, 0x29, 66, FULL, M_ALIGNED | M_STORE),
	MOVE(1, 0x6f, 66, FULL, M_ALIGNED), MOVE(1, 0x7f, 66, FULL, M_ALIGNED | M_STORE),
	/* MOVNTPS MOVNTPD MOVNTDQ MOVNTDQA */
	MOVE(1, 0x2b, NONE, FULL, M_ALIGNED | M_STORE), MOVE(1, 0x2b, 66, FULL, M_ALIGNED | M_STORE),
	MOVE(1, 0xe7, 66, FULL, M_ALIGNED | M_STORE), MOVE(2, 0x2a, 66, FULL, M_ALIGNED),
	/* MOVSS MOVSD, MOVNTSS MOVNTSD (SSE4A) */
	MOVE(1, 0x10, F3, 4, M_ANY_L), MOVE(1, 0x11, F3, 4, M_ANY_L | M_STORE),
	MOVE(1, 0x10, F2, 8, M_ANY_L), MOVE(1, 0x11, F2, 8, M_ANY_L | M_STORE),
	MOVE(1, 0x2b, F3, 4, M_SSE | M_STORE), MOVE(1, 0x2b, F2, 8, M_SSE | M_STORE),
	/* MOVLPS MOVLPD MOVHPS MOVHPD */
	MOVE(1, 0x12, NONE, 8, M_LOW), MOVE(1, 0x13, NONE, 8, M_LOW | M_STORE),
	MOVE(1, 0x12, 66, 8, M_LOW), MOVE(1, 0x13, 66, 8, M_LOW | M_STORE),
	MOVE(1, 0x16, NONE, 8, M_HIGH), MOVE(1, 0x17, NONE, 8, M_HIGH | M_STORE),
	MOVE(1, 0x16, 66, 8, M_HIGH), MOVE(1, 0x17, 66, 8, M_HIGH | M_STORE),
	/* MOVD MOVQ */
	MOVE(1, 0x6e, 66, 4, M_BY_W), MOVE(1, 0x7e, 66, 4, M_BY_W | M_STORE),
	MOVE(1, 0x7e, F3, 8, 0), MOVE(1, 0xd6, 66, 8, M_STORE),
	/* MMX: MOVD MOVQ MOVNTQ */
	MOVE(1, 0x6e, NONE, 4, M_MMX | M_BY_W), MOVE(1, 0x7e, NONE, 4, M_MMX | M_BY_W | M_STORE),
	MOVE(1, 0x6f, NONE, 8, M_MMX), MOVE(1, 0x7f, NONE, 8, M_MMX | M_STORE),
	MOVE(1, 0xe7, NONE, 8, M_MMX | M_STORE),
};

/* NULL for what is not a plain move to or from memory. */
static const struct vector_move *find_move(const struct x86_insn *insn)
{
	const struct vector_move *m;

	for (m = moves; m < moves + ARRAY_SIZE(moves); m++)
		if (m->opcode == insn->opcode && m->pp == insn->pp && m->map == insn->map)
			return m;
	return NULL;
}

/* VEX: the processor and the fields of the prefix allow it. */
static bool vex_allows(const struct x86_emu *emu, const struct vector_move *m)
{
	const struct x86_insn *insn = &emu->insn;
	bool merges = (m->flags & (M_LOW | M_HIGH)) && !(m->flags & M_STORE);

	if (!(emu->cr4 & CR4_OSXSAVE) || (emu->xcr0 & XCR0_SSE_AVX) != XCR0_SSE_AVX)
		return false;
	if (insn->vl && m->bytes && !(m->flags & M_ANY_L))
		return false;
	return !(m->flags & (M_MMX | M_SSE)) && (insn->vvvv == 0 || merges);
}

/* Is the register state there (#UD), and switched in (#NM)? AMD APM vol. 4, chapter 2, exceptions. */
static enum x86_emu_rc check_state(struct x86_emu *emu, const struct vector_move *m)
{
	bool ok;

	if (emu->insn.encoding == X86_ENC_VEX)
		ok = vex_allows(emu, m);
	else
		ok = !(emu->cr0 & X86_CR0_EM) &&
		     ((m->flags & M_MMX) || (emu->cr4 & CR4_OSFXSR));
	if (!ok)
		return x86_emu_raise(emu, X86_VECTOR_UD);
	if (emu->cr0 & X86_CR0_TS)
		return x86_emu_raise(emu, X86_VECTOR_NM);
	return X86_EMU_OK;
}

static enum x86_emu_rc linear_operand(struct x86_emu *emu, const struct vector_move *m,
				      unsigned int len, u64 *gva)
{
	enum x86_emu_access access = m->flags & M_STORE ? X86_EMU_WRITE : X86_EMU_READ;

	return m->flags & M_ALIGNED ? x86_emu_linear_rm_aligned(emu, len, access, gva) :
			    x86_emu_linear_rm(emu, len, access, gva);
}

/* Where in the register the bytes of memory belong. */
static unsigned int register_offset(const struct vector_move *m)
{
	return m->flags & M_HIGH ? 8 : 0;
}

static unsigned int register_number(const struct x86_insn *insn, const struct vector_move *m)
{
	return insn->reg & (m->flags & M_MMX ? 7 : 15);
}

static enum x86_emu_rc load(struct x86_emu *emu, const struct vector_move *m, unsigned int len,
			    enum x86_emu_file file, u64 gva)
{
	const struct x86_insn *insn = &emu->insn;
	bool vex = insn->encoding == X86_ENC_VEX;
	u8 val[32] = { 0 };
	enum x86_emu_rc rc;

	if (m->flags & (M_LOW | M_HIGH))
		emu->ops->fpu_read(emu, X86_EMU_XMM, vex ? insn->vvvv : insn->reg, val);
	rc = x86_emu_read(emu, gva, val + register_offset(m), len, X86_EMU_READ);
	if (rc != X86_EMU_OK)
		return rc;
	emu->ops->fpu_write(emu, file, register_number(insn, m), val);
	return X86_EMU_OK;
}

static enum x86_emu_rc store(struct x86_emu *emu, const struct vector_move *m, unsigned int len,
			     enum x86_emu_file file, u64 gva)
{
	u8 val[32];

	emu->ops->fpu_read(emu, file, register_number(&emu->insn, m), val);
	return x86_emu_write(emu, gva, val + register_offset(m), len);
}

enum x86_emu_rc x86_emu_vector_move(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	const struct vector_move *m = insn->has_mem ? find_move(insn) : NULL;
	enum x86_emu_file file;
	enum x86_emu_rc rc;
	unsigned int len;
	u64 gva;

	if (!m || !emu->ops->fpu_read || !emu->ops->fpu_write)
		return X86_EMU_UNHANDLED;
	rc = check_state(emu, m);
	if (rc != X86_EMU_OK)
		return rc;
	file = m->flags & M_MMX ? X86_EMU_MMX :
	       insn->encoding == X86_ENC_VEX ? X86_EMU_YMM : X86_EMU_XMM;
	len = m->bytes ? m->bytes : insn->vl ? 32 : 16;
	if ((m->flags & M_BY_W) && insn->op_bytes == 8)
		len = 8;
	rc = linear_operand(emu, m, len, &gva);
	if (rc == X86_EMU_OK)
		rc = m->flags & M_STORE ? store(emu, m, len, file, gva) :
					  load(emu, m, len, file, gva);
	return rc == X86_EMU_OK ? x86_emu_retire(emu) : rc;
}
