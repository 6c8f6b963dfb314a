/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Opcode tables of the decoder: what follows an opcode, when it is defined,
 * and to which family it belongs (AMD APM vol. 3, appendix A).
 */
#ifndef PN_X86_DECODE_TABLES_H
#define PN_X86_DECODE_TABLES_H

#include "x86/decode.h"

/* What follows ModRM and displacement. */
enum x86_imm {
	X86_IMM_NONE,
	X86_IMM_8,		/* sign extended */
	X86_IMM_U8,
	X86_IMM_16,
	X86_IMM_Z,		/* operand size, but at most 4 bytes, sign extended */
	X86_IMM_V,		/* operand size */
	X86_IMM_FAR,		/* Z, then a selector */
	X86_IMM_ENTER,		/* 2 bytes, then one */
	X86_IMM_8_8,
	X86_IMM_32,
	X86_IMM_MOFFS,		/* an address of the address size: a memory operand */
};

/* Conditions and properties of an opcode. */
#define D_MODRM		0x0001	/* ModRM follows */
#define D_NO_MOD	0x0002	/* ... and always names a register */
#define D_MEM		0x0004	/* defined with a memory operand only */
#define D_REG		0x0008	/* defined with a register operand only */
#define D_BYTE		0x0010	/* operand size is one byte */
#define D_NO64		0x0020	/* undefined in 64-bit code */
#define D_ONLY64	0x0040	/* undefined outside 64-bit code */
#define D_64		0x0080	/* operand size is 64 bits by default in 64-bit code */
#define D_DWORD		0x0100	/* REX.W does not widen the operand */
#define D_LOCK		0x0200	/* LOCK is allowed with a memory operand */
#define D_PROT		0x0400	/* undefined in real and virtual-8086 mode */
#define D_UD		0x0800	/* undefined; an entry left out is defined and plain */
#define D_SPECIAL	0x1000	/* depends on more: refine() */

/* Mandatory prefixes an opcode is defined with; 0: it has none, 66 is the operand size. */
#define PP_NP	(1 << X86_PP_NONE)
#define PP_66	(1 << X86_PP_66)
#define PP_F3	(1 << X86_PP_F3)
#define PP_F2	(1 << X86_PP_F2)

struct x86_opcode {
	u16 flags;		/* D_* */
	u8 imm;			/* enum x86_imm */
	u8 op;			/* enum x86_op */
	u8 pp;			/* P_* */
	u8 group;		/* enum x86_group: ModRM.reg selects the entry that completes this */
};

/* Opcodes extended by ModRM.reg. */
enum x86_group {
	X86_GROUP_NONE,
	X86_GROUP_1, X86_GROUP_1A, X86_GROUP_2, X86_GROUP_3, X86_GROUP_4, X86_GROUP_5,
	X86_GROUP_6, X86_GROUP_7, X86_GROUP_8, X86_GROUP_9, X86_GROUP_9_REG, X86_GROUP_11,
	X86_GROUP_12, X86_GROUP_14, X86_GROUP_15, X86_GROUP_15_REG,
	X86_NR_GROUPS
};

extern const struct x86_opcode x86_opcodes_one_byte[256];
extern const struct x86_opcode x86_opcodes_0f[256];
extern const struct x86_opcode x86_opcode_groups[X86_NR_GROUPS][8];
/* 0F 01 with a register operand, by modrm & 0x3f: enum x86_op, X86_NR_OPS if undefined. */
extern const u8 x86_opcodes_0f01_reg[64];

#endif
