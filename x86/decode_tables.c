// SPDX-License-Identifier: GPL-2.0
/*
 * Opcode tables of the decoder. One row of eight opcodes after the other, in
 * the order of the opcode maps in AMD APM vol. 3, appendix A.
 */
#include "x86/decode_tables.h"

#define UD		{ .flags = D_UD }
#define PLAIN(o)	{ .op = X86_OP_##o }
#define PLAIN_F(f, o)	{ .flags = (f), .op = X86_OP_##o }
#define IMM(f, i, o)	{ .flags = (f), .imm = X86_IMM_##i, .op = X86_OP_##o }
#define RM(f, o)	{ .flags = D_MODRM | (f), .op = X86_OP_##o }
#define RMI(f, i, o)	{ .flags = D_MODRM | (f), .imm = X86_IMM_##i, .op = X86_OP_##o }
/* A group brings the operation; flags and immediate are those of opcode and member together. */
#define GROUP(f, i, g)	{ .flags = D_MODRM | (f), .imm = X86_IMM_##i, .group = X86_GROUP_##g }
/* Vector instructions: defined with the mandatory prefixes p. */
#define V(p, f, o)	{ .flags = D_MODRM | (f), .op = X86_OP_##o, .pp = (p) }
#define VI(p, f, i, o)	{ .flags = D_MODRM | (f), .imm = X86_IMM_##i, .op = X86_OP_##o, .pp = (p) }

#define PP_MMX	(PP_NP | PP_66)
#define PP_ALL	(PP_NP | PP_66 | PP_F3 | PP_F2)

/* The six encodings of one of ADD OR ADC SBB AND SUB XOR CMP. */
#define ALU(base, lock)							\
	[(base) + 0] = RM(D_BYTE | (lock), ALU),			\
	[(base) + 1] = RM(lock, ALU),					\
	[(base) + 2] = RM(D_BYTE, ALU),					\
	[(base) + 3] = RM(0, ALU),					\
	[(base) + 4] = IMM(D_BYTE, 8, ALU),				\
	[(base) + 5] = IMM(0, Z, ALU)

const struct x86_opcode x86_opcodes_one_byte[256] = {
	ALU(0x00, D_LOCK), ALU(0x08, D_LOCK), ALU(0x10, D_LOCK), ALU(0x18, D_LOCK),
	ALU(0x20, D_LOCK), ALU(0x28, D_LOCK), ALU(0x30, D_LOCK), ALU(0x38, 0),
	[0x06] = PLAIN_F(D_NO64, PUSH_SEG), [0x07] = PLAIN_F(D_NO64, POP_SEG),
	[0x0e] = PLAIN_F(D_NO64, PUSH_SEG),
	[0x16] = PLAIN_F(D_NO64, PUSH_SEG), [0x17] = PLAIN_F(D_NO64, POP_SEG),
	[0x1e] = PLAIN_F(D_NO64, PUSH_SEG), [0x1f] = PLAIN_F(D_NO64, POP_SEG),
	[0x27] = PLAIN_F(D_NO64, OTHER), [0x2f] = PLAIN_F(D_NO64, OTHER),
	[0x37] = PLAIN_F(D_NO64, OTHER), [0x3f] = PLAIN_F(D_NO64, OTHER),
	/* 40: REX in 64-bit code, taken as a prefix before it gets here */
	[0x40 ... 0x4f] = PLAIN(INCDEC),
	[0x50 ... 0x57] = PLAIN_F(D_64, PUSH),
	[0x58 ... 0x5f] = PLAIN_F(D_64, POP),
	[0x60] = PLAIN_F(D_NO64, PUSHA), [0x61] = PLAIN_F(D_NO64, POPA),
	[0x62] = RM(D_NO64 | D_MEM, OTHER),		/* BOUND; EVEX */
	[0x63] = RM(D_PROT | D_SPECIAL, MOVSXD),			/* ARPL outside 64-bit code */
	[0x68] = IMM(D_64, Z, PUSH),
	[0x69] = RMI(0, Z, IMUL),
	[0x6a] = IMM(D_64, 8, PUSH),
	[0x6b] = RMI(0, 8, IMUL),
	[0x6c] = PLAIN_F(D_BYTE, INS), [0x6d] = PLAIN_F(D_DWORD, INS),
	[0x6e] = PLAIN_F(D_BYTE, OUTS), [0x6f] = PLAIN_F(D_DWORD, OUTS),
	[0x70 ... 0x7f] = IMM(D_64, 8, JCC),
	[0x80] = GROUP(D_BYTE, Z, 1), [0x81] = GROUP(0, Z, 1),
	[0x82] = GROUP(D_BYTE | D_NO64, Z, 1), [0x83] = GROUP(0, 8, 1),
	[0x84] = RM(D_BYTE, TEST), [0x85] = RM(0, TEST),
	[0x86] = RM(D_BYTE | D_LOCK, XCHG), [0x87] = RM(D_LOCK, XCHG),
	[0x88] = RM(D_BYTE, MOV), [0x89] = RM(0, MOV),
	[0x8a] = RM(D_BYTE, MOV), [0x8b] = RM(0, MOV),
	[0x8c] = RM(D_SPECIAL, MOV_FROM_SEG),
	[0x8d] = RM(D_MEM, LEA),
	[0x8e] = RM(D_SPECIAL, MOV_TO_SEG),
	[0x8f] = GROUP(D_64, NONE, 1A),			/* XOP */
	[0x90] = PLAIN_F(D_SPECIAL, NOP),			/* XCHG with REX.B */
	[0x91 ... 0x97] = PLAIN(XCHG),
	[0x98 ... 0x99] = PLAIN(OTHER),
	[0x9a] = IMM(D_NO64, FAR, FAR),
	[0x9b] = PLAIN(OTHER),
	[0x9c] = PLAIN_F(D_64, PUSHF), [0x9d] = PLAIN_F(D_64, POPF),
	[0xa0] = IMM(D_BYTE, MOFFS, MOV_MOFFS), [0xa1] = IMM(0, MOFFS, MOV_MOFFS),
	[0xa2] = IMM(D_BYTE, MOFFS, MOV_MOFFS), [0xa3] = IMM(0, MOFFS, MOV_MOFFS),
	[0xa4] = PLAIN_F(D_BYTE, MOVS), [0xa5] = PLAIN(MOVS),
	[0xa6] = PLAIN_F(D_BYTE, CMPS), [0xa7] = PLAIN(CMPS),
	[0xa8] = IMM(D_BYTE, 8, TEST), [0xa9] = IMM(0, Z, TEST),
	[0xaa] = PLAIN_F(D_BYTE, STOS), [0xab] = PLAIN(STOS),
	[0xac] = PLAIN_F(D_BYTE, LODS), [0xad] = PLAIN(LODS),
	[0xae] = PLAIN_F(D_BYTE, SCAS), [0xaf] = PLAIN(SCAS),
	[0xb0 ... 0xb7] = IMM(D_BYTE, 8, MOV_IMM),
	[0xb8 ... 0xbf] = IMM(0, V, MOV_IMM),
	[0xc0] = GROUP(D_BYTE, U8, 2), [0xc1] = GROUP(0, U8, 2),
	[0xc2] = IMM(D_64, 16, RET), [0xc3] = PLAIN_F(D_64, RET),
	[0xc4] = RM(D_NO64 | D_MEM, OTHER),		/* LES; VEX */
	[0xc5] = RM(D_NO64 | D_MEM, OTHER),		/* LDS; VEX */
	[0xc6] = GROUP(D_BYTE | D_SPECIAL, Z, 11), [0xc7] = GROUP(D_SPECIAL, Z, 11),
	[0xc8] = IMM(D_64, ENTER, ENTER), [0xc9] = PLAIN_F(D_64, LEAVE),
	[0xca] = IMM(0, 16, FAR), [0xcb] = PLAIN(FAR),
	[0xcc] = PLAIN(INT3), [0xcd] = IMM(0, U8, INT),
	[0xce] = PLAIN_F(D_NO64, INTO), [0xcf] = PLAIN(IRET),
	[0xd0] = GROUP(D_BYTE, NONE, 2), [0xd1] = GROUP(0, NONE, 2),
	[0xd2] = GROUP(D_BYTE, NONE, 2), [0xd3] = GROUP(0, NONE, 2),
	[0xd4] = IMM(D_NO64, U8, OTHER), [0xd5] = IMM(D_NO64, U8, OTHER),
	[0xd6] = PLAIN_F(D_NO64, OTHER),
	[0xd7] = PLAIN(OTHER),
	[0xd8 ... 0xdf] = RM(0, OTHER),			/* x87 */
	[0xe0 ... 0xe3] = IMM(D_64, 8, JCC),		/* LOOPcc, JrCXZ */
	[0xe4] = IMM(D_BYTE, U8, IN), [0xe5] = IMM(D_DWORD, U8, IN),
	[0xe6] = IMM(D_BYTE, U8, OUT), [0xe7] = IMM(D_DWORD, U8, OUT),
	[0xe8] = IMM(D_64, Z, CALL), [0xe9] = IMM(D_64, Z, JMP),
	[0xea] = IMM(D_NO64, FAR, FAR), [0xeb] = IMM(D_64, 8, JMP),
	[0xec] = PLAIN_F(D_BYTE, IN), [0xed] = PLAIN_F(D_DWORD, IN),
	[0xee] = PLAIN_F(D_BYTE, OUT), [0xef] = PLAIN_F(D_DWORD, OUT),
	[0xf1] = PLAIN(INT1),
	[0xf4] = PLAIN(HLT),
	[0xf6] = GROUP(D_BYTE, NONE, 3), [0xf7] = GROUP(0, NONE, 3),
	[0xfa] = PLAIN(CLI), [0xfb] = PLAIN(STI),
	[0xfe] = GROUP(D_BYTE, NONE, 4), [0xff] = GROUP(0, NONE, 5),
};

const struct x86_opcode x86_opcodes_0f[256] = {
	[0x00] = GROUP(D_PROT, NONE, 6),
	[0x01] = GROUP(D_SPECIAL, NONE, 7),
	[0x02 ... 0x03] = RM(D_PROT, OTHER),		/* LAR, LSL */
	[0x04] = UD,
	[0x05] = PLAIN(OTHER),				/* SYSCALL */
	[0x06] = PLAIN(CLTS),
	[0x07] = PLAIN(OTHER),				/* SYSRET */
	[0x08] = PLAIN(INVD), [0x09] = PLAIN(WBINVD),
	[0x0a] = UD,
	[0x0b] = PLAIN(UD),
	[0x0c] = UD,
	[0x0d] = RM(0, NOP),				/* prefetches */
	[0x0e] = PLAIN(OTHER),				/* FEMMS */
	[0x0f] = RMI(D_SPECIAL, U8, OTHER),		/* 3DNow! */
	[0x10 ... 0x11] = V(PP_ALL, 0, VECTOR_MOVE),
	[0x12] = V(PP_ALL, 0, VECTOR_MOVE),
	[0x13] = V(PP_MMX, D_MEM, VECTOR_MOVE),
	[0x14 ... 0x15] = V(PP_MMX, 0, OTHER),
	[0x16] = V(PP_NP | PP_66 | PP_F3, 0, VECTOR_MOVE),
	[0x17] = V(PP_MMX, D_MEM, VECTOR_MOVE),
	[0x18 ... 0x1f] = RM(0, NOP),			/* hints; MPX and CET where they exist */
	[0x20] = RM(D_NO_MOD | D_SPECIAL, MOV_CR), [0x21] = RM(D_NO_MOD, MOV_DR),
	[0x22] = RM(D_NO_MOD | D_SPECIAL, MOV_CR), [0x23] = RM(D_NO_MOD, MOV_DR),
	[0x24 ... 0x27] = UD,
	[0x28 ... 0x29] = V(PP_MMX, 0, VECTOR_MOVE),
	[0x2a] = V(PP_ALL, 0, OTHER),
	[0x2b] = V(PP_ALL, D_MEM, VECTOR_MOVE),
	[0x2c ... 0x2d] = V(PP_ALL, 0, OTHER),
	[0x2e ... 0x2f] = V(PP_MMX, 0, OTHER),
	[0x30] = PLAIN(WRMSR), [0x31] = PLAIN(RDTSC),
	[0x32] = PLAIN(RDMSR), [0x33] = PLAIN(RDPMC),
	[0x34 ... 0x35] = PLAIN(OTHER),			/* SYSENTER, SYSEXIT */
	[0x36] = UD,
	[0x37] = PLAIN(OTHER),				/* GETSEC */
	[0x38 ... 0x3f] = UD,				/* 38 and 3a are escapes */
	[0x40 ... 0x4f] = RM(0, CMOVCC),
	[0x50] = V(PP_MMX, D_REG, OTHER),
	[0x51] = V(PP_ALL, 0, OTHER),
	[0x52 ... 0x53] = V(PP_NP | PP_F3, 0, OTHER),
	[0x54 ... 0x57] = V(PP_MMX, 0, OTHER),
	[0x58 ... 0x59] = V(PP_ALL, 0, OTHER),
	[0x5a] = V(PP_ALL, 0, OTHER),
	[0x5b] = V(PP_NP | PP_66 | PP_F3, 0, OTHER),
	[0x5c ... 0x5f] = V(PP_ALL, 0, OTHER),
	[0x60 ... 0x6b] = V(PP_MMX, 0, OTHER),
	[0x6c ... 0x6d] = V(PP_66, 0, OTHER),
	[0x6e] = V(PP_MMX, 0, VECTOR_MOVE),
	[0x6f] = V(PP_NP | PP_66 | PP_F3, 0, VECTOR_MOVE),
	[0x70] = VI(PP_ALL, 0, U8, OTHER),
	[0x71 ... 0x72] = GROUP(D_REG, U8, 12),
	[0x73] = GROUP(D_REG, U8, 14),
	[0x74 ... 0x76] = V(PP_MMX, 0, OTHER),
	[0x77] = { .op = X86_OP_OTHER, .pp = PP_NP },	/* EMMS */
	[0x78 ... 0x79] = V(PP_NP | PP_66 | PP_F2, D_SPECIAL, OTHER), /* VMREAD, VMWRITE, EXTRQ, INSERTQ */
	[0x7a ... 0x7b] = UD,
	[0x7c ... 0x7d] = V(PP_66 | PP_F2, 0, OTHER),
	[0x7e] = V(PP_NP | PP_66 | PP_F3, 0, VECTOR_MOVE),
	[0x7f] = V(PP_NP | PP_66 | PP_F3, 0, VECTOR_MOVE),
	[0x80 ... 0x8f] = IMM(D_64, Z, JCC),
	[0x90 ... 0x9f] = RM(D_BYTE, SETCC),
	[0xa0] = PLAIN_F(D_64, PUSH_SEG), [0xa1] = PLAIN_F(D_64, POP_SEG),
	[0xa2] = PLAIN(CPUID),
	[0xa3] = RM(0, BT),
	[0xa4] = RMI(0, U8, SHIFT_DOUBLE), [0xa5] = RM(0, SHIFT_DOUBLE),
	[0xa6 ... 0xa7] = UD,
	[0xa8] = PLAIN_F(D_64, PUSH_SEG), [0xa9] = PLAIN_F(D_64, POP_SEG),
	[0xaa] = PLAIN(OTHER),				/* RSM */
	[0xab] = RM(D_LOCK, BT),
	[0xac] = RMI(0, U8, SHIFT_DOUBLE), [0xad] = RM(0, SHIFT_DOUBLE),
	[0xae] = GROUP(D_SPECIAL, NONE, 15),
	[0xaf] = RM(0, IMUL),
	[0xb0] = RM(D_BYTE | D_LOCK, CMPXCHG), [0xb1] = RM(D_LOCK, CMPXCHG),
	[0xb2] = RM(D_MEM, OTHER),			/* LSS */
	[0xb3] = RM(D_LOCK, BT),
	[0xb4 ... 0xb5] = RM(D_MEM, OTHER),		/* LFS, LGS */
	[0xb6 ... 0xb7] = RM(0, MOVZX),
	[0xb8] = RM(D_SPECIAL, BITSCAN),		/* POPCNT, with F3 only */
	[0xb9] = RM(0, UD),
	[0xba] = GROUP(0, U8, 8),
	[0xbb] = RM(D_LOCK, BT),
	[0xbc ... 0xbd] = RM(0, BITSCAN),
	[0xbe ... 0xbf] = RM(0, MOVSX),
	[0xc0] = RM(D_BYTE | D_LOCK, XADD), [0xc1] = RM(D_LOCK, XADD),
	[0xc2] = VI(PP_ALL, 0, U8, OTHER),
	[0xc3] = V(PP_NP, D_MEM, MOVNTI),
	[0xc4] = VI(PP_MMX, 0, U8, OTHER),
	[0xc5] = VI(PP_MMX, D_REG, U8, OTHER),
	[0xc6] = VI(PP_MMX, 0, U8, OTHER),
	[0xc7] = GROUP(D_SPECIAL, NONE, 9),
	[0xc8 ... 0xcf] = PLAIN(OTHER),			/* BSWAP */
	[0xd0] = V(PP_66 | PP_F2, 0, OTHER),
	[0xd1 ... 0xd5] = V(PP_MMX, 0, OTHER),
	[0xd6] = V(PP_66 | PP_F3 | PP_F2, 0, VECTOR_MOVE),
	[0xd7] = V(PP_MMX, D_REG, OTHER),
	[0xd8 ... 0xe5] = V(PP_MMX, 0, OTHER),
	[0xe6] = V(PP_66 | PP_F3 | PP_F2, 0, OTHER),
	[0xe7] = V(PP_MMX, D_MEM, VECTOR_MOVE),
	[0xe8 ... 0xef] = V(PP_MMX, 0, OTHER),
	[0xf0] = V(PP_F2, D_MEM, VECTOR_MOVE),
	[0xf1 ... 0xf6] = V(PP_MMX, 0, OTHER),
	[0xf7] = V(PP_MMX, D_REG, OTHER),
	[0xf8 ... 0xfe] = V(PP_MMX, 0, OTHER),
	[0xff] = RM(0, UD),
};

const struct x86_opcode x86_opcode_groups[X86_NR_GROUPS][8] = {
	[X86_GROUP_1] = { [0 ... 6] = RM(D_LOCK, ALU_IMM), [7] = RM(0, ALU_IMM) },
	[X86_GROUP_1A] = { [0] = RM(0, POP), [1 ... 7] = UD },
	[X86_GROUP_2] = { [0 ... 7] = RM(0, SHIFT) },
	[X86_GROUP_3] = {
		[0 ... 1] = RMI(0, Z, UNARY),
		[2 ... 3] = RM(D_LOCK, UNARY),
		[4 ... 7] = RM(0, UNARY),
	},
	[X86_GROUP_4] = { [0 ... 1] = RM(D_LOCK, INCDEC), [2 ... 7] = UD },
	[X86_GROUP_5] = {
		[0 ... 1] = RM(D_LOCK, INCDEC),
		[2] = RM(D_64, CALL), [3] = RM(D_MEM, FAR),
		[4] = RM(D_64, JMP), [5] = RM(D_MEM, FAR),
		[6] = RM(D_64, PUSH), [7] = UD,
	},
	[X86_GROUP_6] = {
		[0 ... 3] = RM(0, DESCRIPTOR_TABLE),
		[4 ... 5] = RM(0, OTHER), [6 ... 7] = UD,
	},
	[X86_GROUP_7] = {				/* in memory; LMSW, SMSW: both */
		[0 ... 3] = RM(0, DESCRIPTOR_TABLE),
		[4] = RM(0, SMSW), [5] = V(PP_F3, 0, OTHER),
		[6] = RM(0, LMSW), [7] = RM(0, INVLPG),
	},
	[X86_GROUP_8] = { [0 ... 3] = UD, [4] = RM(0, BT), [5 ... 7] = RM(D_LOCK, BT) },
	[X86_GROUP_9] = {
		[0] = UD, [1] = RM(D_LOCK, CMPXCHG_WIDE), [2] = UD,
		[3 ... 5] = RM(0, OTHER),		/* XRSTORS, XSAVEC, XSAVES */
		[6] = V(PP_NP | PP_66 | PP_F3, D_PROT, VMX), [7] = V(PP_NP, D_PROT, VMX),
	},
	[X86_GROUP_9_REG] = { [0 ... 5] = UD, [6 ... 7] = RM(0, OTHER) },
	[X86_GROUP_11] = { [0] = RM(0, MOV_IMM), [1 ... 6] = UD, [7] = RM(D_REG, OTHER) },
	[X86_GROUP_12] = {
		[0 ... 1] = UD, [2] = V(PP_MMX, 0, OTHER), [3] = UD,
		[4] = V(PP_MMX, 0, OTHER), [5] = UD, [6] = V(PP_MMX, 0, OTHER), [7] = UD,
	},
	[X86_GROUP_14] = {
		[0 ... 1] = UD, [2] = V(PP_MMX, 0, OTHER), [3] = V(PP_66, 0, OTHER),
		[4 ... 5] = UD, [6] = V(PP_MMX, 0, OTHER), [7] = V(PP_66, 0, OTHER),
	},
	[X86_GROUP_15] = {
		[0 ... 3] = V(PP_NP, 0, OTHER),		/* FXSAVE .. STMXCSR */
		[4] = V(PP_NP | PP_F3, 0, OTHER),		/* XSAVE, PTWRITE */
		[5] = V(PP_NP, 0, OTHER),		/* XRSTOR */
		[6] = V(PP_NP | PP_66 | PP_F3, 0, OTHER),	/* XSAVEOPT, CLWB, CLRSSBSY */
		[7] = V(PP_NP | PP_66, 0, NOP),		/* CLFLUSH, CLFLUSHOPT */
	},
	[X86_GROUP_15_REG] = {
		[0 ... 3] = V(PP_F3, D_ONLY64, OTHER),	/* RDFSBASE .. WRGSBASE */
		[4] = V(PP_F3, 0, OTHER),
		[5] = V(PP_NP | PP_F3, 0, NOP),		/* LFENCE, INCSSP */
		[6] = V(PP_ALL, 0, NOP),			/* MFENCE, UMONITOR, TPAUSE, UMWAIT */
		[7] = V(PP_NP, 0, NOP),			/* SFENCE */
	},
};

#define NONE	X86_NR_OPS
#define OP(o)	X86_OP_##o

const u8 x86_opcodes_0f01_reg[64] = {
	/* c0 */ OP(OTHER), OP(VMCALL), OP(VMX), OP(VMX), OP(VMX), OP(OTHER), NONE, NONE,
	/* c8 */ OP(MONITOR), OP(MWAIT), OP(OTHER), OP(OTHER), NONE, NONE, NONE, OP(OTHER),
	/* d0 */ OP(XGETBV), OP(XSETBV), NONE, NONE, OP(VMX), OP(OTHER), OP(OTHER), OP(OTHER),
	/* d8 */ OP(SVM), OP(VMMCALL), OP(SVM), OP(SVM), OP(SVM), OP(SVM), OP(SVM), OP(INVLPGA),
	/* e0: SMSW with a register */
	[0x20 ... 0x27] = OP(SMSW),
	/* e8 */ OP(OTHER), NONE, OP(OTHER), NONE, OP(OTHER), OP(OTHER), OP(OTHER), OP(OTHER),
	/* f0: LMSW with a register */
	[0x30 ... 0x37] = OP(LMSW),
	/* f8 */ OP(OTHER), OP(RDTSCP), OP(MONITOR), OP(MWAIT), OP(OTHER), OP(RDPRU), OP(OTHER), OP(OTHER),
};
