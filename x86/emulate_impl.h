/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the emulator share: operands, memory, the end of an
 * instruction. Nothing outside x86/ includes this.
 *
 * A handler computes everything first, makes its reads, then its writes, and
 * changes registers only after the last operation has succeeded.
 */
#ifndef PN_X86_EMULATE_IMPL_H
#define PN_X86_EMULATE_IMPL_H

#include "x86/emulate.h"

#define X86_EFLAGS_ARITH (X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | \
			  X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF)

typedef enum x86_emu_rc x86_emu_handler(struct x86_emu *emu);

/* The ModRM.rm or moffs operand while an instruction works on it. */
struct x86_rm {
	u64 gva;
	u64 old;		/* the value read, for LOCK */
	u8 bytes;
	bool locked;
};

static inline u64 x86_mask(unsigned int bytes)
{
	return bytes >= 8 ? ~0ULL : (1ULL << (8 * bytes)) - 1;
}

static inline s64 x86_sign_extend(u64 val, unsigned int bytes)
{
	unsigned int shift = 64 - 8 * bytes;

	return (s64)(val << shift) >> shift;
}

/* Reads @bytes of general register @reg; AH .. BH where the encoding means these. */
static inline u64 x86_emu_get(const struct x86_emu *emu, unsigned int reg, unsigned int bytes)
{
	if (bytes == 1 && !emu->insn.rex && reg >= 4)
		return (emu->regs->gpr[reg & 3] >> 8) & 0xff;
	return emu->regs->gpr[reg & 15] & x86_mask(bytes);
}

/* Writes likewise; four bytes clear the upper half, fewer leave the rest. */
static inline void x86_emu_set(struct x86_emu *emu, unsigned int reg, unsigned int bytes, u64 val)
{
	u64 mask = x86_mask(bytes);
	u64 *r = &emu->regs->gpr[reg & 15];

	if (bytes == 1 && !emu->insn.rex && reg >= 4) {
		r = &emu->regs->gpr[reg & 3];
		*r = (*r & ~0xff00ULL) | (val & 0xff) << 8;
	} else if (bytes >= 4) {
		*r = val & mask;
	} else {
		*r = (*r & ~mask) | (val & mask);
	}
}

static inline void x86_emu_set_flags(struct x86_emu *emu, u64 mask, u64 flags)
{
	emu->regs->rflags = (emu->regs->rflags & ~mask) | (flags & mask);
}

static inline enum x86_emu_rc x86_emu_compare_exchange(struct x86_emu *emu, u64 gva,
							const void *old, const void *val,
							unsigned int len)
{
	/* In parentheses: cmpxchg() is a macro of the kernel. */
	return (emu->ops->cmpxchg)(emu, gva, old, val, len);
}

/* ---- emulate.c ---- */

enum x86_emu_rc x86_emu_raise(struct x86_emu *emu, enum x86_vector vector);

bool x86_emu_is_canonical(const struct x86_emu *emu, u64 la);
/* Linear address of @len bytes at offset @ea of segment @seg: limit, type, canonical form and
 * alignment checked.
 */
enum x86_emu_rc x86_emu_linear(struct x86_emu *emu, unsigned int seg, u64 ea, unsigned int len,
			       enum x86_emu_access access, u64 *gva);
/* The same for the memory operand of the instruction. */
enum x86_emu_rc x86_emu_linear_rm(struct x86_emu *emu, unsigned int len,
				  enum x86_emu_access access, u64 *gva);
/* The same where a misaligned address is #GP(0). */
enum x86_emu_rc x86_emu_linear_rm_aligned(struct x86_emu *emu, unsigned int len,
					  enum x86_emu_access access, u64 *gva);
u64 x86_emu_next_rip(const struct x86_emu *emu);

/* Memory by linear address, across a page boundary if need be. */
enum x86_emu_rc x86_emu_read(struct x86_emu *emu, u64 gva, void *val, unsigned int len,
			     enum x86_emu_access access);
enum x86_emu_rc x86_emu_write(struct x86_emu *emu, u64 gva, const void *val, unsigned int len);
enum x86_emu_rc x86_emu_probe_write(struct x86_emu *emu, u64 gva, unsigned int len);
/* After a read with X86_EMU_READ_FOR_WRITE of the same bytes: permissions are known. */
enum x86_emu_rc x86_emu_write_back(struct x86_emu *emu, u64 gva, const void *val, unsigned int len);
bool x86_emu_crosses_page(u64 gva, unsigned int len);

/*
 * The operand in ModRM.rm, register or memory. read_rm() with
 * X86_EMU_READ_FOR_WRITE begins a read-modify-write, update_rm() ends it;
 * store_rm() writes without reading.
 */
enum x86_emu_rc x86_emu_read_rm(struct x86_emu *emu, struct x86_rm *rm, unsigned int bytes,
				enum x86_emu_access access, u64 *val);
enum x86_emu_rc x86_emu_update_rm(struct x86_emu *emu, const struct x86_rm *rm, u64 val);
enum x86_emu_rc x86_emu_store_rm(struct x86_emu *emu, unsigned int bytes, u64 val);

/* The instruction is done, RIP moves on; always X86_EMU_OK. */
enum x86_emu_rc x86_emu_retire(struct x86_emu *emu);
/* The same with a branch; the target must have been checked. */
enum x86_emu_rc x86_emu_retire_at(struct x86_emu *emu, u64 rip);

/* ---- the families ---- */

bool x86_emu_condition(u64 rflags, unsigned int cc);

x86_emu_handler x86_emu_mov, x86_emu_mov_imm, x86_emu_mov_moffs, x86_emu_mov_from_seg,
	x86_emu_mov_extend, x86_emu_movnti, x86_emu_movbe, x86_emu_cmovcc, x86_emu_setcc,
	x86_emu_xchg, x86_emu_xadd, x86_emu_cmpxchg, x86_emu_cmpxchg_wide;	/* emulate_move.c */
x86_emu_handler x86_emu_alu, x86_emu_alu_imm, x86_emu_test, x86_emu_unary, x86_emu_incdec,
	x86_emu_imul;							/* emulate_alu.c */
x86_emu_handler x86_emu_shift, x86_emu_shift_double;			/* emulate_shift.c */
x86_emu_handler x86_emu_bt, x86_emu_bitscan, x86_emu_bmi, x86_emu_crc32; /* emulate_bits.c */
x86_emu_handler x86_emu_movs, x86_emu_stos, x86_emu_lods, x86_emu_cmps, x86_emu_scas,
	x86_emu_ins, x86_emu_outs;					/* emulate_string.c */
x86_emu_handler x86_emu_push, x86_emu_pop, x86_emu_call, x86_emu_jmp, x86_emu_ret,
	x86_emu_jcc;							/* emulate_stack.c */
x86_emu_handler x86_emu_vector_move;					/* emulate_vector.c */
x86_emu_handler x86_emu_mov_cr, x86_emu_mov_dr, x86_emu_clts, x86_emu_lmsw, x86_emu_smsw,
	x86_emu_invlpg, x86_emu_invpcid, x86_emu_cli, x86_emu_sti, x86_emu_in, x86_emu_out; /* emulate_system.c */

/* May this privilege use @port? X86_EMU_OK or #GP(0). */
enum x86_emu_rc x86_emu_pio_allowed(struct x86_emu *emu, u16 port, unsigned int size);

#endif
