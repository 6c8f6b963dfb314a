/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random 64-bit instructions of every form the emulator executes in user mode,
 * with registers that make their operands lie in the memory of x86_machine.h.
 * Shared by the comparison with the processor and by the restart test.
 */
#ifndef TESTS_X86_GEN_H
#define TESTS_X86_GEN_H

#include "tests/unit/x86_machine.h"

/* Properties of a form. */
#define G_BYTE		0x00001	/* byte operands when the opcode is even, unless G_WORD */
#define G_WORD		0x00002	/* no byte form */
#define G_LOCK		0x00004
#define G_MEM		0x00008	/* memory only */
#define G_NO_MODRM	0x00010
#define G_NO_66		0x00020	/* 66 is not an operand size */
#define G_NO_W		0x00040
#define G_REP		0x00080	/* string: F3 */
#define G_REPCC		0x00100	/* string: F2 or F3 */
#define G_BRANCH	0x00200	/* goes to target */
#define G_BIT_STRING	0x00400	/* the register is a bit offset */
#define G_ALIGN		0x00800	/* aligned vector access */
#define G_VEX		0x01000	/* may be VEX coded */
#define G_VEX_ONLY	0x02000
#define G_NDS		0x04000	/* VEX.vvvv is an operand */
#define G_L0		0x08000	/* VEX.L must be 0 */
#define G_MOFFS		0x10000
#define G_DIVIDE	0x20000
#define G_STACK		0x40000
#define G_NEEDS_W	0x80000	/* always REX.W */

struct gen_form {
	const char *name;
	u8 map;			/* 0 .. 3 */
	u8 first, last;		/* opcodes */
	s8 digit;		/* ModRM.reg, -1: a register */
	u8 imm;			/* bytes; 4: at most 4 by operand size; 8: by operand size */
	u8 pp;			/* mandatory prefix 0, 66, f3, f2 */
	u32 flags;		/* G_* */
	u64 undefined;		/* RFLAGS bits that are undefined in all cases */
};

extern const struct gen_form gen_forms[];
extern const unsigned int gen_nr_forms;

struct gen_case {
	const struct gen_form *form;
	u8 bytes[32];
	unsigned int len;
	struct x86_regs regs;
	u64 gs_base;
	u8 ymm[16][32];
	u8 mmx[8][8];
	u64 undefined;		/* RFLAGS bits not to be compared */
	bool skip;		/* the result is undefined too */
};

/* Where things are; all below 2 GiB. */
struct gen_places {
	u64 mem;		/* MACHINE_BYTES */
	u64 code;		/* the instruction */
	u64 target;		/* of branches; at most 100 bytes from code */
};

u64 gen_random(u64 *state);

/* Fills @mem[MACHINE_BYTES] (but not its read-only part) and *c. */
void gen_make(struct gen_case *c, const struct gen_form *form, const struct gen_places *at,
	      u8 *mem, u64 *random);

/* The machine in the state of the case, with the instruction decoded. Returns x86_decode()'s. */
int gen_load(struct machine *m, const struct gen_case *c);

#endif
