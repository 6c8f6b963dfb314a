/* SPDX-License-Identifier: GPL-2.0 */
/*
 * x86 instruction decoder: bytes in, facts out. No state, no memory access.
 *
 * Gives the exact length and operands of every instruction of 16-, 32- and
 * 64-bit code in all maps: legacy, 0F, 0F38, 0F3A, 3DNow!, VEX, EVEX and XOP.
 */
#ifndef PN_X86_DECODE_H
#define PN_X86_DECODE_H

#include "x86/state.h"

#define X86_MAX_INSN_BYTES	15
#define X86_NO_REG		0xff

enum x86_encoding {
	X86_ENC_LEGACY,
	X86_ENC_VEX,
	X86_ENC_XOP,
	X86_ENC_EVEX,
};

/* Opcode maps, in the numbering of VEX.mmmmm and XOP.mmmmm. */
enum x86_map {
	X86_MAP_ONE_BYTE = 0,
	X86_MAP_0F = 1,
	X86_MAP_0F38 = 2,
	X86_MAP_0F3A = 3,
	X86_MAP_XOP8 = 8,
	X86_MAP_XOP9 = 9,
	X86_MAP_XOPA = 10,
	X86_MAP_3DNOW = 15,	/* 0F 0F; the opcode is the byte after the operands */
};

/* Mandatory prefix, in the numbering of VEX.pp. */
enum x86_pp {
	X86_PP_NONE, X86_PP_66, X86_PP_F3, X86_PP_F2,
};

/*
 * What an instruction is, by family. Families with one entry for many
 * opcodes are told apart by opcode and modrm; X86_OP_OTHER is decoded but
 * has no name here and is never emulated.
 */
enum x86_op {
	X86_OP_OTHER,
	/* moves */
	X86_OP_MOV,		/* r/m <-> r, 88-8b */
	X86_OP_MOV_IMM,		/* r/m <- imm, c6 c7; r <- imm, b0-bf */
	X86_OP_MOV_MOFFS,	/* a0-a3 */
	X86_OP_MOV_FROM_SEG,	/* 8c */
	X86_OP_MOV_TO_SEG,	/* 8e */
	X86_OP_MOVZX, X86_OP_MOVSX, X86_OP_MOVSXD,
	X86_OP_MOVNTI, X86_OP_MOVBE,
	X86_OP_CMOVCC, X86_OP_SETCC,
	X86_OP_LEA,
	X86_OP_XCHG, X86_OP_XADD, X86_OP_CMPXCHG, X86_OP_CMPXCHG_WIDE,
	/* arithmetic */
	X86_OP_ALU,		/* 00-3d: r/m,r  r,r/m  acc,imm */
	X86_OP_ALU_IMM,		/* 80-83 */
	X86_OP_TEST,		/* 84 85 a8 a9 */
	X86_OP_UNARY,		/* f6 f7: test not neg mul imul div idiv */
	X86_OP_INCDEC,		/* fe, ff /0 /1, 40-4f */
	X86_OP_IMUL,		/* 0f af, 69, 6b */
	X86_OP_SHIFT,		/* c0 c1 d0-d3 */
	X86_OP_SHIFT_DOUBLE,	/* 0f a4 a5 ac ad */
	X86_OP_BT,		/* 0f a3 ab b3 bb, 0f ba */
	X86_OP_BITSCAN,		/* 0f bc bd, 0f b8 */
	X86_OP_BMI,		/* andn bextr blsr blsmsk blsi bzhi pdep pext rorx shlx sarx shrx mulx */
	X86_OP_CRC32,
	/* strings */
	X86_OP_MOVS, X86_OP_CMPS, X86_OP_STOS, X86_OP_LODS, X86_OP_SCAS,
	X86_OP_INS, X86_OP_OUTS,
	/* stack and control flow */
	X86_OP_PUSH, X86_OP_POP, X86_OP_PUSH_SEG, X86_OP_POP_SEG,
	X86_OP_PUSHF, X86_OP_POPF, X86_OP_PUSHA, X86_OP_POPA,
	X86_OP_CALL, X86_OP_JMP, X86_OP_RET, X86_OP_JCC,
	X86_OP_FAR,		/* far call, jmp, ret through pointer or memory */
	X86_OP_ENTER, X86_OP_LEAVE,
	X86_OP_INT, X86_OP_INT3, X86_OP_INTO, X86_OP_INT1, X86_OP_IRET,
	/* vectors */
	X86_OP_VECTOR_MOVE,
	/* no effect on what the guest can see */
	X86_OP_NOP,		/* 90, 0f 1f, prefetches, clflush and friends, pause */
	X86_OP_UD,		/* ud0 ud1 ud2 */
	/* port I/O */
	X86_OP_IN, X86_OP_OUT,
	/* privileged, or exiting for their own reasons */
	X86_OP_MOV_CR, X86_OP_MOV_DR, X86_OP_CLTS, X86_OP_LMSW, X86_OP_SMSW,
	X86_OP_INVLPG, X86_OP_INVLPGA, X86_OP_INVPCID,
	X86_OP_HLT, X86_OP_CLI, X86_OP_STI, X86_OP_CPUID,
	X86_OP_RDMSR, X86_OP_WRMSR, X86_OP_RDTSC, X86_OP_RDTSCP, X86_OP_RDPMC, X86_OP_RDPRU,
	X86_OP_INVD, X86_OP_WBINVD, X86_OP_XSETBV, X86_OP_XGETBV,
	X86_OP_MONITOR, X86_OP_MWAIT,
	X86_OP_VMMCALL, X86_OP_VMCALL, X86_OP_SVM, X86_OP_VMX,
	X86_OP_DESCRIPTOR_TABLE,	/* sgdt sidt lgdt lidt sldt str lldt ltr */
	X86_NR_OPS
};

struct x86_insn {
	u8 length;		/* bytes, 1 .. 15 */
	u8 mode;		/* enum x86_mode it was decoded for */
	u8 encoding;		/* enum x86_encoding */
	u8 map;			/* enum x86_map */
	u8 opcode;
	u8 op;			/* enum x86_op */

	u8 op_bytes;		/* operand size: 1, 2, 4 or 8 */
	u8 addr_bytes;		/* address size: 2, 4 or 8 */
	u8 seg;			/* enum x86_seg_index of the memory operand, override applied */
	u8 rep;			/* 0, 0xf2 (repne) or 0xf3 (rep, repe): the last one given */
	bool lock;
	bool opsize_prefix;	/* 66 was given */
	u8 rex;			/* 0 or 40 .. 4f; W R X B of the other encodings are put here too */
	u8 pp;			/* enum x86_pp: mandatory prefix in effect */
	u8 vvvv;		/* VEX, XOP, EVEX: second source, 0 .. 31, not inverted */
	u8 vl;			/* vector length 0: 128, 1: 256, 2: 512 bits (LL) */
	u8 evex_aaa;		/* EVEX: mask register */
	bool evex_r2, evex_z, evex_b;	/* EVEX: R' in effect, zeroing, broadcast or rounding */

	bool has_modrm;
	bool has_mem;		/* the ModRM or moffs operand is in memory */
	bool rip_relative;
	u8 modrm;
	u8 reg;			/* ModRM.reg with its extension bits */
	u8 rm;			/* ModRM.rm with its extension bits, when mod = 3; low opcode bits else */
	u8 base, index;		/* registers of the address or X86_NO_REG */
	u8 scale;		/* shift count of index */
	u8 imm_bytes;		/* size of imm as encoded, 0: none */
	u16 imm2;		/* selector of a far pointer, second immediate of ENTER and EXTRQ */
	s64 disp;		/* sign extended displacement, or the whole moffs address */
	u64 imm;		/* sign extended where the instruction does so */
	u8 bytes[X86_MAX_INSN_BYTES];
};

/*
 * Decodes the instruction at @bytes, of which @nr_bytes are valid (more than
 * 15 are fine and not looked at).
 *
 * Returns 0;
 * -EAGAIN: the instruction goes on behind @nr_bytes, fetch more and start again;
 * -EINVAL: undefined, the processor raises #UD;
 * -E2BIG: more than 15 bytes, the processor raises #GP(0).
 *
 * Only @insn is written; after an error its content means nothing. A near branch
 * with an operand size prefix in 64-bit code has a 16-bit displacement, as on
 * AMD processors (AMD APM vol. 3, 1.2.2).
 */
int x86_decode(struct x86_insn *insn, const u8 *bytes, unsigned int nr_bytes,
	       enum x86_mode mode);

/* Offset of the memory operand in its segment, cut to the address size. @next_rip is the
 * address of the following instruction. Only for has_mem.
 */
u64 x86_effective_address(const struct x86_insn *insn, const struct x86_regs *regs, u64 next_rip);

#endif
