// SPDX-License-Identifier: GPL-2.0
/*
 * x86 emulator: dispatch, operands and memory. The families of instructions
 * are in emulate_*.c.
 *
 *   ModRM ──x86_effective_address──> offset in a segment
 *         ──x86_emu_linear─────────> linear address (limits, types, canonical form: #GP #SS #AC)
 *         ──x86_emu_read, _write───> pieces that each lie in one page
 *         ──emu->ops───────────────> paging, RAM, devices (the caller)
 */
#include "x86/emulate_impl.h"

#define CR4_LA57	BIT_ULL(12)

/* ---- faults and the end of an instruction ---- */

enum x86_emu_rc x86_emu_raise(struct x86_emu *emu, enum x86_vector vector)
{
	bool has_error = vector == X86_VECTOR_SS || vector == X86_VECTOR_GP ||
			 vector == X86_VECTOR_AC;

	emu->fault = (struct x86_fault){
		.vector = vector,
		.has_error = has_error && emu->mode != X86_MODE_REAL,
	};
	return X86_EMU_FAULT;
}

u64 x86_emu_next_rip(const struct x86_emu *emu)
{
	u64 rip = emu->regs->rip + emu->insn.length;

	return emu->mode == X86_MODE_LONG ? rip : (u32)rip;
}

enum x86_emu_rc x86_emu_retire_at(struct x86_emu *emu, u64 rip)
{
	emu->regs->rip = rip;
	emu->single_step = emu->regs->rflags & X86_EFLAGS_TF;
	emu->regs->rflags &= ~X86_EFLAGS_RF;
	emu->retired = true;
	return X86_EMU_OK;
}

enum x86_emu_rc x86_emu_retire(struct x86_emu *emu)
{
	return x86_emu_retire_at(emu, x86_emu_next_rip(emu));
}

/* ---- segmentation ---- */

bool x86_emu_is_canonical(const struct x86_emu *emu, u64 la)
{
	unsigned int shift = emu->cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(la << shift) >> shift) == la;
}

static enum x86_emu_rc raise_segment(struct x86_emu *emu, unsigned int seg)
{
	return x86_emu_raise(emu, seg == X86_SEG_SS ? X86_VECTOR_SS : X86_VECTOR_GP);
}

/* AMD APM vol. 2, 4.7: the type must allow the access; real and virtual-8086 mode do not look. */
static bool type_allows(const struct x86_emu *emu, const struct x86_seg *s,
			enum x86_emu_access access)
{
	if (emu->mode == X86_MODE_REAL || emu->mode == X86_MODE_VM86)
		return true;
	if (!(s->attrib & X86_SEG_P))
		return false;
	if (access != X86_EMU_READ)
		return !(s->attrib & X86_SEG_CODE) && (s->attrib & X86_SEG_WRITABLE);
	return !(s->attrib & X86_SEG_CODE) || (s->attrib & X86_SEG_WRITABLE);
}

/* AMD APM vol. 2, 4.12. With a limit of 4 GiB - 1 offsets wrap around without a fault. */
static bool limit_allows(const struct x86_seg *s, u64 ea, unsigned int len)
{
	u64 last = ea + len - 1;

	if ((s->attrib & (X86_SEG_CODE | X86_SEG_EXPAND_DOWN)) == X86_SEG_EXPAND_DOWN)
		return ea > s->limit && last <= (s->attrib & X86_SEG_DB ? U32_MAX : U16_MAX);
	return last <= s->limit || s->limit == U32_MAX;
}

/* The natural alignment, but of 32 bytes that of 16. All lengths are powers of two. */
static bool is_misaligned(const struct x86_emu *emu, u64 gva, unsigned int len)
{
	if (likely(!(gva & (min(len, 16u) - 1))) || emu->cpl != 3)
		return false;
	return (emu->cr0 & X86_CR0_AM) && (emu->regs->rflags & X86_EFLAGS_AC);
}

enum x86_emu_rc x86_emu_linear(struct x86_emu *emu, unsigned int seg, u64 ea, unsigned int len,
			       enum x86_emu_access access, u64 *gva)
{
	const struct x86_seg *s = &emu->seg[seg];

	if (emu->mode == X86_MODE_LONG) {
		*gva = ea + (seg >= X86_SEG_FS ? s->base : 0);
		if (!x86_emu_is_canonical(emu, *gva) || !x86_emu_is_canonical(emu, *gva + len - 1))
			return raise_segment(emu, seg);
	} else {
		if (!type_allows(emu, s, access) || !limit_allows(s, ea, len))
			return raise_segment(emu, seg);
		*gva = (u32)(s->base + ea);
	}
	if (unlikely(is_misaligned(emu, *gva, len)))
		return x86_emu_raise(emu, X86_VECTOR_AC);
	return X86_EMU_OK;
}

enum x86_emu_rc x86_emu_linear_rm(struct x86_emu *emu, unsigned int len,
				  enum x86_emu_access access, u64 *gva)
{
	u64 ea = x86_effective_address(&emu->insn, emu->regs, x86_emu_next_rip(emu));

	return x86_emu_linear(emu, emu->insn.seg, ea, len, access, gva);
}

/* In 64-bit code a misaligned address is found before one that is not canonical. */
enum x86_emu_rc x86_emu_linear_rm_aligned(struct x86_emu *emu, unsigned int len,
					  enum x86_emu_access access, u64 *gva)
{
	enum x86_emu_rc rc = x86_emu_linear_rm(emu, len, access, gva);

	if ((rc == X86_EMU_OK || emu->mode == X86_MODE_LONG) && (*gva & (len - 1)))
		return x86_emu_raise(emu, X86_VECTOR_GP);
	return rc;
}

/* ---- memory ---- */

static unsigned int bytes_left_in_page(u64 gva)
{
	return PAGE_SIZE - (gva & ~PAGE_MASK);
}

bool x86_emu_crosses_page(u64 gva, unsigned int len)
{
	return len > bytes_left_in_page(gva);
}

static u64 add_linear(const struct x86_emu *emu, u64 gva, unsigned int bytes)
{
	gva += bytes;
	return emu->mode == X86_MODE_LONG ? gva : (u32)gva;
}

enum x86_emu_rc x86_emu_read(struct x86_emu *emu, u64 gva, void *val, unsigned int len,
			     enum x86_emu_access access)
{
	unsigned int first = bytes_left_in_page(gva);
	enum x86_emu_rc rc;

	if (likely(len <= first))
		return emu->ops->read(emu, gva, val, len, access);
	rc = emu->ops->read(emu, gva, val, first, access);
	if (rc != X86_EMU_OK)
		return rc;
	return emu->ops->read(emu, add_linear(emu, gva, first), (u8 *)val + first, len - first,
			      access);
}

enum x86_emu_rc x86_emu_write_back(struct x86_emu *emu, u64 gva, const void *val, unsigned int len)
{
	unsigned int first = bytes_left_in_page(gva);
	enum x86_emu_rc rc;

	if (likely(len <= first))
		return emu->ops->write(emu, gva, val, len);
	rc = emu->ops->write(emu, gva, val, first);
	if (rc != X86_EMU_OK)
		return rc;
	return emu->ops->write(emu, add_linear(emu, gva, first), (const u8 *)val + first,
			       len - first);
}

enum x86_emu_rc x86_emu_probe_write(struct x86_emu *emu, u64 gva, unsigned int len)
{
	unsigned int first = bytes_left_in_page(gva);
	enum x86_emu_rc rc;

	if (len <= first)
		return emu->ops->probe_write(emu, gva, len);
	rc = emu->ops->probe_write(emu, gva, first);
	if (rc != X86_EMU_OK)
		return rc;
	return emu->ops->probe_write(emu, add_linear(emu, gva, first), len - first);
}

/* Nothing is written when either of two pages refuses. */
enum x86_emu_rc x86_emu_write(struct x86_emu *emu, u64 gva, const void *val, unsigned int len)
{
	enum x86_emu_rc rc;

	if (likely(len <= bytes_left_in_page(gva)))
		return emu->ops->write(emu, gva, val, len);
	rc = x86_emu_probe_write(emu, gva, len);
	return rc == X86_EMU_OK ? x86_emu_write_back(emu, gva, val, len) : rc;
}

/* ---- the ModRM.rm operand ---- */

enum x86_emu_rc x86_emu_read_rm(struct x86_emu *emu, struct x86_rm *rm, unsigned int bytes,
				enum x86_emu_access access, u64 *val)
{
	const struct x86_insn *insn = &emu->insn;
	enum x86_emu_rc rc;

	rm->bytes = bytes;
	if (!insn->has_mem) {
		*val = x86_emu_get(emu, insn->rm, bytes);
		return X86_EMU_OK;
	}
	rc = x86_emu_linear_rm(emu, bytes, access, &rm->gva);
	if (rc != X86_EMU_OK)
		return rc;
	/* XCHG with memory is always locked. */
	rm->locked = access == X86_EMU_READ_FOR_WRITE && (insn->lock || insn->op == X86_OP_XCHG);
	if (rm->locked && x86_emu_crosses_page(rm->gva, bytes))
		return X86_EMU_UNHANDLED;
	rm->old = 0;
	rc = x86_emu_read(emu, rm->gva, &rm->old, bytes, access);
	*val = rm->old;
	return rc;
}

enum x86_emu_rc x86_emu_update_rm(struct x86_emu *emu, const struct x86_rm *rm, u64 val)
{
	if (!emu->insn.has_mem) {
		x86_emu_set(emu, emu->insn.rm, rm->bytes, val);
		return X86_EMU_OK;
	}
	if (rm->locked)
		return x86_emu_compare_exchange(emu, rm->gva, &rm->old, &val, rm->bytes);
	return x86_emu_write_back(emu, rm->gva, &val, rm->bytes);
}

enum x86_emu_rc x86_emu_store_rm(struct x86_emu *emu, unsigned int bytes, u64 val)
{
	enum x86_emu_rc rc;
	u64 gva;

	if (!emu->insn.has_mem) {
		x86_emu_set(emu, emu->insn.rm, bytes, val);
		return X86_EMU_OK;
	}
	rc = x86_emu_linear_rm(emu, bytes, X86_EMU_WRITE, &gva);
	if (rc != X86_EMU_OK)
		return rc;
	return x86_emu_write(emu, gva, &val, bytes);
}

/* ---- fetch ---- */

/* Linear address of RIP and how many bytes of code may follow it, at most 15. */
static enum x86_emu_rc linear_rip(struct x86_emu *emu, u64 *gva, unsigned int *avail)
{
	const struct x86_seg *cs = &emu->seg[X86_SEG_CS];
	u64 rip = emu->regs->rip;

	*avail = X86_MAX_INSN_BYTES;
	if (emu->mode == X86_MODE_LONG) {
		*gva = rip;
		return x86_emu_is_canonical(emu, rip) ? X86_EMU_OK : x86_emu_raise(emu, X86_VECTOR_GP);
	}
	rip = (u32)rip;
	if (rip > cs->limit)
		return x86_emu_raise(emu, X86_VECTOR_GP);
	*avail = min_t(u64, *avail, cs->limit - rip + 1);
	*gva = (u32)(cs->base + rip);
	return X86_EMU_OK;
}

enum x86_emu_rc x86_emu_fetch(struct x86_emu *emu)
{
	u8 bytes[X86_MAX_INSN_BYTES];
	unsigned int avail, have;
	enum x86_emu_rc rc;
	u64 gva = 0;
	int err;

	if (!emu->ops->fetch)
		return X86_EMU_UNHANDLED;
	rc = linear_rip(emu, &gva, &avail);
	if (rc != X86_EMU_OK)
		return rc;
	have = min(avail, bytes_left_in_page(gva));
	rc = emu->ops->fetch(emu, gva, bytes, have);
	if (rc != X86_EMU_OK)
		return rc;
	err = x86_decode(&emu->insn, bytes, have, emu->mode);
	if (err == -EAGAIN && have < avail) {
		rc = emu->ops->fetch(emu, add_linear(emu, gva, have), bytes + have, avail - have);
		if (rc != X86_EMU_OK)
			return rc;
		err = x86_decode(&emu->insn, bytes, avail, emu->mode);
	}
	if (!err)
		return X86_EMU_OK;
	return x86_emu_raise(emu, err == -EINVAL ? X86_VECTOR_UD : X86_VECTOR_GP);
}

/* ---- dispatch ---- */

static enum x86_emu_rc raise_ud(struct x86_emu *emu)
{
	return x86_emu_raise(emu, X86_VECTOR_UD);
}

static x86_emu_handler *const handlers[X86_NR_OPS] = {
	[X86_OP_MOV] = x86_emu_mov,
	[X86_OP_MOV_IMM] = x86_emu_mov_imm,
	[X86_OP_MOV_MOFFS] = x86_emu_mov_moffs,
	[X86_OP_MOV_FROM_SEG] = x86_emu_mov_from_seg,
	[X86_OP_MOVZX] = x86_emu_mov_extend,
	[X86_OP_MOVSX] = x86_emu_mov_extend,
	[X86_OP_MOVSXD] = x86_emu_mov_extend,
	[X86_OP_MOVNTI] = x86_emu_movnti,
	[X86_OP_MOVBE] = x86_emu_movbe,
	[X86_OP_CMOVCC] = x86_emu_cmovcc,
	[X86_OP_SETCC] = x86_emu_setcc,
	[X86_OP_XCHG] = x86_emu_xchg,
	[X86_OP_XADD] = x86_emu_xadd,
	[X86_OP_CMPXCHG] = x86_emu_cmpxchg,
	[X86_OP_CMPXCHG_WIDE] = x86_emu_cmpxchg_wide,
	[X86_OP_ALU] = x86_emu_alu,
	[X86_OP_ALU_IMM] = x86_emu_alu_imm,
	[X86_OP_TEST] = x86_emu_test,
	[X86_OP_UNARY] = x86_emu_unary,
	[X86_OP_INCDEC] = x86_emu_incdec,
	[X86_OP_IMUL] = x86_emu_imul,
	[X86_OP_SHIFT] = x86_emu_shift,
	[X86_OP_SHIFT_DOUBLE] = x86_emu_shift_double,
	[X86_OP_BT] = x86_emu_bt,
	[X86_OP_BITSCAN] = x86_emu_bitscan,
	[X86_OP_BMI] = x86_emu_bmi,
	[X86_OP_CRC32] = x86_emu_crc32,
	[X86_OP_MOVS] = x86_emu_movs,
	[X86_OP_CMPS] = x86_emu_cmps,
	[X86_OP_STOS] = x86_emu_stos,
	[X86_OP_LODS] = x86_emu_lods,
	[X86_OP_SCAS] = x86_emu_scas,
	[X86_OP_INS] = x86_emu_ins,
	[X86_OP_OUTS] = x86_emu_outs,
	[X86_OP_PUSH] = x86_emu_push,
	[X86_OP_POP] = x86_emu_pop,
	[X86_OP_CALL] = x86_emu_call,
	[X86_OP_JMP] = x86_emu_jmp,
	[X86_OP_RET] = x86_emu_ret,
	[X86_OP_JCC] = x86_emu_jcc,
	[X86_OP_VECTOR_MOVE] = x86_emu_vector_move,
	[X86_OP_NOP] = x86_emu_retire,
	[X86_OP_UD] = raise_ud,
	[X86_OP_IN] = x86_emu_in,
	[X86_OP_OUT] = x86_emu_out,
	[X86_OP_MOV_CR] = x86_emu_mov_cr,
	[X86_OP_MOV_DR] = x86_emu_mov_dr,
	[X86_OP_CLTS] = x86_emu_clts,
	[X86_OP_LMSW] = x86_emu_lmsw,
	[X86_OP_SMSW] = x86_emu_smsw,
	[X86_OP_INVLPG] = x86_emu_invlpg,
	[X86_OP_INVPCID] = x86_emu_invpcid,
	[X86_OP_CLI] = x86_emu_cli,
	[X86_OP_STI] = x86_emu_sti,
};

enum x86_emu_rc x86_emulate(struct x86_emu *emu)
{
	x86_emu_handler *handler = handlers[emu->insn.op];

	emu->iterations = 0;
	emu->retired = false;
	emu->single_step = false;
	emu->shadow = X86_EMU_SHADOW_NONE;
	return handler ? handler(emu) : X86_EMU_UNHANDLED;
}
