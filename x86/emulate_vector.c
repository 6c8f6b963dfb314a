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

struct vector_move {
	u8 bytes;		/* of memory; FULL, or the smaller amount */
	u8 offset;		/* in the register */
	bool store;
	bool aligned;
	bool mmx;
	bool merge;		/* load: the rest comes from vvvv, or stays */
	bool vex;		/* there is a VEX form */
	bool any_l;		/* its VEX.L is ignored */
	bool by_w;		/* bytes doubled by REX.W */
};

#define KEY(map, opcode, pp)	((map) << 16 | (opcode) << 8 | X86_PP_##pp)

/* Returns false for a form that is not a plain move to or from memory. */
static bool find_move(const struct x86_insn *insn, struct vector_move *m)
{
	*m = (struct vector_move){ .vex = true };
	switch (insn->map << 16 | insn->opcode << 8 | insn->pp) {
	case KEY(1, 0x11, NONE): case KEY(1, 0x11, 66):		/* MOVUPS MOVUPD */
	case KEY(1, 0x7f, F3):					/* MOVDQU */
		m->store = true;
		return true;
	case KEY(1, 0x10, NONE): case KEY(1, 0x10, 66): case KEY(1, 0x6f, F3):
	case KEY(1, 0xf0, F2):					/* LDDQU */
		return true;
	case KEY(1, 0x29, NONE): case KEY(1, 0x29, 66):		/* MOVAPS MOVAPD */
	case KEY(1, 0x7f, 66):					/* MOVDQA */
	case KEY(1, 0x2b, NONE): case KEY(1, 0x2b, 66):		/* MOVNTPS MOVNTPD */
	case KEY(1, 0xe7, 66):					/* MOVNTDQ */
		m->store = true;
		m->aligned = true;
		return true;
	case KEY(1, 0x28, NONE): case KEY(1, 0x28, 66): case KEY(1, 0x6f, 66):
	case KEY(2, 0x2a, 66):					/* MOVNTDQA */
		m->aligned = true;
		return true;
	case KEY(1, 0x10, F3): case KEY(1, 0x11, F3):		/* MOVSS */
		m->bytes = 4;
		m->any_l = true;
		m->store = insn->opcode == 0x11;
		return true;
	case KEY(1, 0x10, F2): case KEY(1, 0x11, F2):		/* MOVSD */
		m->bytes = 8;
		m->any_l = true;
		m->store = insn->opcode == 0x11;
		return true;
	case KEY(1, 0x2b, F3): case KEY(1, 0x2b, F2):		/* MOVNTSS MOVNTSD (SSE4A) */
		m->bytes = insn->pp == X86_PP_F3 ? 4 : 8;
		m->vex = false;
		m->store = true;
		return true;
	case KEY(1, 0x12, NONE): case KEY(1, 0x12, 66):		/* MOVLPS MOVLPD */
	case KEY(1, 0x13, NONE): case KEY(1, 0x13, 66):
	case KEY(1, 0x16, NONE): case KEY(1, 0x16, 66):		/* MOVHPS MOVHPD */
	case KEY(1, 0x17, NONE): case KEY(1, 0x17, 66):
		m->bytes = 8;
		m->offset = insn->opcode & 4 ? 8 : 0;
		m->store = insn->opcode & 1;
		m->merge = true;
		return true;
	case KEY(1, 0x7e, F3):					/* MOVQ */
	case KEY(1, 0xd6, 66):
		m->bytes = 8;
		m->store = insn->opcode == 0xd6;
		return true;
	case KEY(1, 0x6e, 66): case KEY(1, 0x7e, 66):		/* MOVD, MOVQ with REX.W */
		m->bytes = 4;
		m->by_w = true;
		m->store = insn->opcode == 0x7e;
		return true;
	case KEY(1, 0x6e, NONE): case KEY(1, 0x7e, NONE):
		m->bytes = 4;
		m->by_w = true;
		m->mmx = true;
		m->vex = false;
		m->store = insn->opcode == 0x7e;
		return true;
	case KEY(1, 0x6f, NONE): case KEY(1, 0x7f, NONE):	/* MOVQ mm */
	case KEY(1, 0xe7, NONE):				/* MOVNTQ */
		m->bytes = 8;
		m->mmx = true;
		m->vex = false;
		m->store = insn->opcode != 0x6f;
		return true;
	default:
		return false;
	}
}

/* Is the register state there (#UD), and switched in (#NM)? AMD APM vol. 4, chapter 2, exceptions. */
static enum x86_emu_rc check_state(struct x86_emu *emu, const struct vector_move *m)
{
	const struct x86_insn *insn = &emu->insn;
	bool vex = insn->encoding == X86_ENC_VEX, ok;

	if (vex)
		ok = (emu->cr4 & CR4_OSXSAVE) && (emu->xcr0 & XCR0_SSE_AVX) == XCR0_SSE_AVX &&
		     m->vex && !(insn->vl && m->bytes && !m->any_l) &&
		     (insn->vvvv == 0 || (m->merge && !m->store));
	else
		ok = !(emu->cr0 & X86_CR0_EM) && (m->mmx || (emu->cr4 & CR4_OSFXSR));
	if (!ok)
		return x86_emu_raise(emu, X86_VECTOR_UD);
	if (emu->cr0 & X86_CR0_TS)
		return x86_emu_raise(emu, X86_VECTOR_NM);
	return X86_EMU_OK;
}

static enum x86_emu_rc linear_operand(struct x86_emu *emu, const struct vector_move *m,
				      unsigned int len, u64 *gva)
{
	enum x86_emu_access access = m->store ? X86_EMU_WRITE : X86_EMU_READ;

	return m->aligned ? x86_emu_linear_rm_aligned(emu, len, access, gva) :
			    x86_emu_linear_rm(emu, len, access, gva);
}

static enum x86_emu_rc load(struct x86_emu *emu, const struct vector_move *m, unsigned int len,
			    enum x86_emu_file file, u64 gva)
{
	const struct x86_insn *insn = &emu->insn;
	bool vex = insn->encoding == X86_ENC_VEX;
	u8 val[32] = { 0 };
	enum x86_emu_rc rc;

	if (m->merge)
		emu->ops->fpu_read(emu, X86_EMU_XMM, vex ? insn->vvvv : insn->reg, val);
	rc = x86_emu_read(emu, gva, val + m->offset, len, X86_EMU_READ);
	if (rc != X86_EMU_OK)
		return rc;
	emu->ops->fpu_write(emu, file, insn->reg & (m->mmx ? 7 : 15), val);
	return X86_EMU_OK;
}

static enum x86_emu_rc store(struct x86_emu *emu, const struct vector_move *m, unsigned int len,
			     enum x86_emu_file file, u64 gva)
{
	u8 val[32];

	emu->ops->fpu_read(emu, file, emu->insn.reg & (m->mmx ? 7 : 15), val);
	return x86_emu_write(emu, gva, val + m->offset, len);
}

enum x86_emu_rc x86_emu_vector_move(struct x86_emu *emu)
{
	const struct x86_insn *insn = &emu->insn;
	bool vex = insn->encoding == X86_ENC_VEX;
	enum x86_emu_file file = vex ? X86_EMU_YMM : X86_EMU_XMM;
	struct vector_move m;
	enum x86_emu_rc rc;
	unsigned int len;
	u64 gva;

	if (!insn->has_mem || !find_move(insn, &m) || !emu->ops->fpu_read || !emu->ops->fpu_write)
		return X86_EMU_UNHANDLED;
	if (m.mmx)
		file = X86_EMU_MMX;
	rc = check_state(emu, &m);
	if (rc != X86_EMU_OK)
		return rc;
	len = m.bytes ? m.bytes : insn->vl ? 32 : 16;
	if (m.by_w && insn->op_bytes == 8)
		len = 8;
	rc = linear_operand(emu, &m, len, &gva);
	if (rc == X86_EMU_OK)
		rc = m.store ? store(emu, &m, len, file, gva) : load(emu, &m, len, file, gva);
	return rc == X86_EMU_OK ? x86_emu_retire(emu) : rc;
}
