// SPDX-License-Identifier: GPL-2.0
/* See x86_gen.h. */
#include "tests/unit/x86_gen.h"

#define CF X86_EFLAGS_CF
#define PF X86_EFLAGS_PF
#define AF X86_EFLAGS_AF
#define ZF X86_EFLAGS_ZF
#define SF X86_EFLAGS_SF
#define OF X86_EFLAGS_OF
#define ALL (CF | PF | AF | ZF | SF | OF)

#define BRANCH	(G_WORD | G_BRANCH | G_NO_66 | G_NO_W)
#define VEC	(G_WORD | G_MEM | G_NO_66)
#define MMX	(VEC | G_NO_W)
#define BMI	(G_WORD | G_NO_66 | G_VEX_ONLY | G_NDS | G_L0)

const struct gen_form gen_forms[] = {
	/* name      map first last digit imm pp flags undefined */
	{ "add",      0, 0x00, 0x01, -1, 0, 0, G_BYTE | G_LOCK, 0 },
	{ "add r",    0, 0x02, 0x03, -1, 0, 0, G_BYTE, 0 },
	{ "add acc",  0, 0x04, 0x05, -1, 4, 0, G_BYTE | G_NO_MODRM, 0 },
	{ "or",       0, 0x08, 0x09, -1, 0, 0, G_BYTE | G_LOCK, AF },
	{ "or r",     0, 0x0a, 0x0b, -1, 0, 0, G_BYTE, AF },
	{ "adc",      0, 0x10, 0x11, -1, 0, 0, G_BYTE | G_LOCK, 0 },
	{ "adc r",    0, 0x12, 0x13, -1, 0, 0, G_BYTE, 0 },
	{ "sbb",      0, 0x18, 0x19, -1, 0, 0, G_BYTE | G_LOCK, 0 },
	{ "sbb acc",  0, 0x1c, 0x1d, -1, 4, 0, G_BYTE | G_NO_MODRM, 0 },
	{ "and",      0, 0x20, 0x21, -1, 0, 0, G_BYTE | G_LOCK, AF },
	{ "and r",    0, 0x22, 0x23, -1, 0, 0, G_BYTE, AF },
	{ "sub",      0, 0x28, 0x29, -1, 0, 0, G_BYTE | G_LOCK, 0 },
	{ "sub r",    0, 0x2a, 0x2b, -1, 0, 0, G_BYTE, 0 },
	{ "xor",      0, 0x30, 0x31, -1, 0, 0, G_BYTE | G_LOCK, AF },
	{ "xor r",    0, 0x32, 0x33, -1, 0, 0, G_BYTE, AF },
	{ "cmp",      0, 0x38, 0x39, -1, 0, 0, G_BYTE, 0 },
	{ "cmp r",    0, 0x3a, 0x3b, -1, 0, 0, G_BYTE, 0 },
	{ "cmp acc",  0, 0x3c, 0x3d, -1, 4, 0, G_BYTE | G_NO_MODRM, 0 },
	{ "add imm",  0, 0x80, 0x81, 0, 4, 0, G_BYTE | G_LOCK, 0 },
	{ "or imm",   0, 0x80, 0x81, 1, 4, 0, G_BYTE | G_LOCK, AF },
	{ "adc imm",  0, 0x80, 0x81, 2, 4, 0, G_BYTE | G_LOCK, 0 },
	{ "sbb imm",  0, 0x80, 0x81, 3, 4, 0, G_BYTE | G_LOCK, 0 },
	{ "and imm",  0, 0x80, 0x81, 4, 4, 0, G_BYTE | G_LOCK, AF },
	{ "sub imm",  0, 0x80, 0x81, 5, 4, 0, G_BYTE | G_LOCK, 0 },
	{ "xor imm",  0, 0x80, 0x81, 6, 4, 0, G_BYTE | G_LOCK, AF },
	{ "cmp imm",  0, 0x80, 0x81, 7, 4, 0, G_BYTE, 0 },
	{ "add imm8", 0, 0x83, 0x83, 0, 1, 0, G_WORD | G_LOCK, 0 },
	{ "and imm8", 0, 0x83, 0x83, 4, 1, 0, G_WORD | G_LOCK, AF },
	{ "sbb imm8", 0, 0x83, 0x83, 3, 1, 0, G_WORD | G_LOCK, 0 },
	{ "cmp imm8", 0, 0x83, 0x83, 7, 1, 0, G_WORD, 0 },
	{ "test",     0, 0x84, 0x85, -1, 0, 0, G_BYTE, AF },
	{ "test acc", 0, 0xa8, 0xa9, -1, 4, 0, G_BYTE | G_NO_MODRM, AF },
	{ "test imm", 0, 0xf6, 0xf7, 0, 4, 0, G_BYTE, AF },
	{ "test im1", 0, 0xf6, 0xf7, 1, 4, 0, G_BYTE, AF },
	{ "not",      0, 0xf6, 0xf7, 2, 0, 0, G_BYTE | G_LOCK, 0 },
	{ "neg",      0, 0xf6, 0xf7, 3, 0, 0, G_BYTE | G_LOCK, 0 },
	{ "mul",      0, 0xf6, 0xf7, 4, 0, 0, G_BYTE, SF | ZF | AF | PF },
	{ "imul1",    0, 0xf6, 0xf7, 5, 0, 0, G_BYTE, SF | ZF | AF | PF },
	{ "div",      0, 0xf6, 0xf7, 6, 0, 0, G_BYTE | G_DIVIDE, ALL },
	{ "idiv",     0, 0xf6, 0xf7, 7, 0, 0, G_BYTE | G_DIVIDE, ALL },
	{ "imul2",    1, 0xaf, 0xaf, -1, 0, 0, G_WORD, SF | ZF | AF | PF },
	{ "imul3",    0, 0x69, 0x69, -1, 4, 0, G_WORD, SF | ZF | AF | PF },
	{ "imul3 8",  0, 0x6b, 0x6b, -1, 1, 0, G_WORD, SF | ZF | AF | PF },
	{ "inc",      0, 0xfe, 0xff, 0, 0, 0, G_BYTE | G_LOCK, 0 },
	{ "dec",      0, 0xfe, 0xff, 1, 0, 0, G_BYTE | G_LOCK, 0 },
	{ "mov",      0, 0x88, 0x89, -1, 0, 0, G_BYTE, 0 },
	{ "mov r",    0, 0x8a, 0x8b, -1, 0, 0, G_BYTE, 0 },
	{ "mov imm",  0, 0xc6, 0xc7, 0, 4, 0, G_BYTE, 0 },
	{ "mov b imm", 0, 0xb0, 0xb7, -1, 1, 0, G_NO_MODRM | G_WORD, 0 },
	{ "mov r imm", 0, 0xb8, 0xbf, -1, 8, 0, G_NO_MODRM | G_WORD, 0 },
	{ "mov moffs", 0, 0xa0, 0xa3, -1, 0, 0, G_NO_MODRM | G_BYTE | G_MOFFS, 0 },
	{ "mov sreg", 0, 0x8c, 0x8c, 3, 0, 0, G_WORD, 0 },
	{ "movsxd",   0, 0x63, 0x63, -1, 0, 0, G_WORD, 0 },
	{ "movzx",    1, 0xb6, 0xb7, -1, 0, 0, G_WORD, 0 },
	{ "movsx",    1, 0xbe, 0xbf, -1, 0, 0, G_WORD, 0 },
	{ "movnti",   1, 0xc3, 0xc3, -1, 0, 0, G_WORD | G_MEM | G_NO_66, 0 },
	{ "movbe",    2, 0xf0, 0xf1, -1, 0, 0, G_WORD | G_MEM, 0 },
	{ "crc32",    2, 0xf0, 0xf1, -1, 0, 0xf2, G_BYTE, 0 },
	{ "cmovcc",   1, 0x40, 0x4f, -1, 0, 0, G_WORD, 0 },
	{ "setcc",    1, 0x90, 0x9f, -1, 0, 0, G_WORD | G_NO_66, 0 },
	{ "xchg",     0, 0x86, 0x87, -1, 0, 0, G_BYTE | G_LOCK, 0 },
	{ "xchg acc", 0, 0x91, 0x97, -1, 0, 0, G_NO_MODRM | G_WORD, 0 },
	{ "xadd",     1, 0xc0, 0xc1, -1, 0, 0, G_BYTE | G_LOCK, 0 },
	{ "cmpxchg",  1, 0xb0, 0xb1, -1, 0, 0, G_BYTE | G_LOCK, 0 },
	{ "cmpxchg8", 1, 0xc7, 0xc7, 1, 0, 0, G_WORD | G_LOCK | G_MEM | G_ALIGN, 0 },
	{ "rol 1",    0, 0xd0, 0xd1, 0, 0, 0, G_BYTE, 0 },
	{ "rcl 1",    0, 0xd0, 0xd1, 2, 0, 0, G_BYTE, 0 },
	{ "rcr 1",    0, 0xd0, 0xd1, 3, 0, 0, G_BYTE, 0 },
	{ "shl 1",    0, 0xd0, 0xd1, 4, 0, 0, G_BYTE, 0 },
	{ "sar 1",    0, 0xd0, 0xd1, 7, 0, 0, G_BYTE, 0 },
	{ "rol imm",  0, 0xc0, 0xc1, 0, 1, 0, G_BYTE, 0 },
	{ "ror imm",  0, 0xc0, 0xc1, 1, 1, 0, G_BYTE, 0 },
	{ "rcl imm",  0, 0xc0, 0xc1, 2, 1, 0, G_BYTE, 0 },
	{ "rcr imm",  0, 0xc0, 0xc1, 3, 1, 0, G_BYTE, 0 },
	{ "shl imm",  0, 0xc0, 0xc1, 4, 1, 0, G_BYTE, 0 },
	{ "shr imm",  0, 0xc0, 0xc1, 5, 1, 0, G_BYTE, 0 },
	{ "sal imm",  0, 0xc0, 0xc1, 6, 1, 0, G_BYTE, 0 },
	{ "sar imm",  0, 0xc0, 0xc1, 7, 1, 0, G_BYTE, 0 },
	{ "rol cl",   0, 0xd2, 0xd3, 0, 0, 0, G_BYTE, 0 },
	{ "ror cl",   0, 0xd2, 0xd3, 1, 0, 0, G_BYTE, 0 },
	{ "rcl cl",   0, 0xd2, 0xd3, 2, 0, 0, G_BYTE, 0 },
	{ "rcr cl",   0, 0xd2, 0xd3, 3, 0, 0, G_BYTE, 0 },
	{ "shl cl",   0, 0xd2, 0xd3, 4, 0, 0, G_BYTE, 0 },
	{ "shr cl",   0, 0xd2, 0xd3, 5, 0, 0, G_BYTE, 0 },
	{ "sar cl",   0, 0xd2, 0xd3, 7, 0, 0, G_BYTE, 0 },
	{ "shld imm", 1, 0xa4, 0xa4, -1, 1, 0, G_WORD, 0 },
	{ "shld cl",  1, 0xa5, 0xa5, -1, 0, 0, G_WORD, 0 },
	{ "shrd imm", 1, 0xac, 0xac, -1, 1, 0, G_WORD, 0 },
	{ "shrd cl",  1, 0xad, 0xad, -1, 0, 0, G_WORD, 0 },
	{ "bt",       1, 0xa3, 0xa3, -1, 0, 0, G_WORD | G_BIT_STRING, OF | SF | AF | PF },
	{ "bts",      1, 0xab, 0xab, -1, 0, 0, G_WORD | G_BIT_STRING | G_LOCK, OF | SF | AF | PF },
	{ "btr",      1, 0xb3, 0xb3, -1, 0, 0, G_WORD | G_BIT_STRING | G_LOCK, OF | SF | AF | PF },
	{ "btc",      1, 0xbb, 0xbb, -1, 0, 0, G_WORD | G_BIT_STRING | G_LOCK, OF | SF | AF | PF },
	{ "bt imm",   1, 0xba, 0xba, 4, 1, 0, G_WORD, OF | SF | AF | PF },
	{ "bts imm",  1, 0xba, 0xba, 5, 1, 0, G_WORD | G_LOCK, OF | SF | AF | PF },
	{ "btr imm",  1, 0xba, 0xba, 6, 1, 0, G_WORD | G_LOCK, OF | SF | AF | PF },
	{ "btc imm",  1, 0xba, 0xba, 7, 1, 0, G_WORD | G_LOCK, OF | SF | AF | PF },
	{ "bsf bsr",  1, 0xbc, 0xbd, -1, 0, 0, G_WORD, ALL & ~ZF },
	{ "tzcnt lzcnt", 1, 0xbc, 0xbd, -1, 0, 0xf3, G_WORD, OF | SF | AF | PF },
	{ "popcnt",   1, 0xb8, 0xb8, -1, 0, 0xf3, G_WORD, 0 },
	{ "andn",     2, 0xf2, 0xf2, -1, 0, 0, BMI, AF | PF },
	{ "blsr",     2, 0xf3, 0xf3, 1, 0, 0, BMI, AF | PF },
	{ "blsmsk",   2, 0xf3, 0xf3, 2, 0, 0, BMI, AF | PF },
	{ "blsi",     2, 0xf3, 0xf3, 3, 0, 0, BMI, AF | PF },
	{ "bzhi",     2, 0xf5, 0xf5, -1, 0, 0, BMI, AF | PF },
	{ "pext",     2, 0xf5, 0xf5, -1, 0, 0xf3, BMI, 0 },
	{ "pdep",     2, 0xf5, 0xf5, -1, 0, 0xf2, BMI, 0 },
	{ "mulx",     2, 0xf6, 0xf6, -1, 0, 0xf2, BMI, 0 },
	{ "bextr",    2, 0xf7, 0xf7, -1, 0, 0, BMI, AF | SF | PF },
	{ "shlx",     2, 0xf7, 0xf7, -1, 0, 0x66, BMI, 0 },
	{ "sarx",     2, 0xf7, 0xf7, -1, 0, 0xf3, BMI, 0 },
	{ "shrx",     2, 0xf7, 0xf7, -1, 0, 0xf2, BMI, 0 },
	{ "rorx",     3, 0xf0, 0xf0, -1, 1, 0xf2, BMI & ~G_NDS, 0 },
	{ "movs",     0, 0xa4, 0xa5, -1, 0, 0, G_NO_MODRM | G_BYTE | G_REP, 0 },
	{ "cmps",     0, 0xa6, 0xa7, -1, 0, 0, G_NO_MODRM | G_BYTE | G_REPCC, 0 },
	{ "stos",     0, 0xaa, 0xab, -1, 0, 0, G_NO_MODRM | G_BYTE | G_REP, 0 },
	{ "lods",     0, 0xac, 0xad, -1, 0, 0, G_NO_MODRM | G_BYTE | G_REP, 0 },
	{ "scas",     0, 0xae, 0xaf, -1, 0, 0, G_NO_MODRM | G_BYTE | G_REPCC, 0 },
	{ "push r",   0, 0x50, 0x57, -1, 0, 0, G_NO_MODRM | G_WORD | G_STACK, 0 },
	{ "pop r",    0, 0x58, 0x5f, -1, 0, 0, G_NO_MODRM | G_WORD | G_STACK, 0 },
	{ "push imm", 0, 0x68, 0x68, -1, 4, 0, G_NO_MODRM | G_WORD | G_STACK, 0 },
	{ "push imm8", 0, 0x6a, 0x6a, -1, 1, 0, G_NO_MODRM | G_WORD | G_STACK, 0 },
	{ "push rm",  0, 0xff, 0xff, 6, 0, 0, G_WORD | G_STACK, 0 },
	{ "pop rm",   0, 0x8f, 0x8f, 0, 0, 0, G_WORD | G_STACK, 0 },
	{ "jmp rm",   0, 0xff, 0xff, 4, 0, 0, BRANCH, 0 },
	{ "call rm",  0, 0xff, 0xff, 2, 0, 0, BRANCH | G_STACK, 0 },
	{ "call",     0, 0xe8, 0xe8, -1, 4, 0, BRANCH | G_NO_MODRM | G_STACK, 0 },
	{ "jmp",      0, 0xe9, 0xe9, -1, 4, 0, BRANCH | G_NO_MODRM, 0 },
	{ "jmp 8",    0, 0xeb, 0xeb, -1, 1, 0, BRANCH | G_NO_MODRM, 0 },
	{ "jcc 8",    0, 0x70, 0x7f, -1, 1, 0, BRANCH | G_NO_MODRM, 0 },
	{ "jcc",      1, 0x80, 0x8f, -1, 4, 0, BRANCH | G_NO_MODRM, 0 },
	{ "loop",     0, 0xe0, 0xe3, -1, 1, 0, BRANCH | G_NO_MODRM, 0 },
	{ "ret",      0, 0xc3, 0xc3, -1, 0, 0, BRANCH | G_NO_MODRM | G_STACK, 0 },
	{ "ret imm",  0, 0xc2, 0xc2, -1, 2, 0, BRANCH | G_NO_MODRM | G_STACK, 0 },
	{ "nop",      1, 0x1f, 0x1f, 0, 0, 0, G_WORD, 0 },
	{ "prefetch", 1, 0x18, 0x18, 1, 0, 0, G_WORD | G_MEM, 0 },
	/* vectors */
	{ "movups",   1, 0x10, 0x11, -1, 0, 0, VEC | G_VEX, 0 },
	{ "movupd",   1, 0x10, 0x11, -1, 0, 0x66, VEC | G_VEX, 0 },
	{ "movss",    1, 0x10, 0x11, -1, 0, 0xf3, VEC | G_VEX, 0 },
	{ "movsd",    1, 0x10, 0x11, -1, 0, 0xf2, VEC | G_VEX, 0 },
	{ "movlps",   1, 0x12, 0x12, -1, 0, 0, VEC | G_VEX | G_NDS | G_L0, 0 },
	{ "movlpd",   1, 0x12, 0x12, -1, 0, 0x66, VEC | G_VEX | G_NDS | G_L0, 0 },
	{ "movlps m", 1, 0x13, 0x13, -1, 0, 0, VEC | G_VEX | G_L0, 0 },
	{ "movlpd m", 1, 0x13, 0x13, -1, 0, 0x66, VEC | G_VEX | G_L0, 0 },
	{ "movhps",   1, 0x16, 0x16, -1, 0, 0, VEC | G_VEX | G_NDS | G_L0, 0 },
	{ "movhpd",   1, 0x16, 0x16, -1, 0, 0x66, VEC | G_VEX | G_NDS | G_L0, 0 },
	{ "movhps m", 1, 0x17, 0x17, -1, 0, 0, VEC | G_VEX | G_L0, 0 },
	{ "movhpd m", 1, 0x17, 0x17, -1, 0, 0x66, VEC | G_VEX | G_L0, 0 },
	{ "movaps",   1, 0x28, 0x29, -1, 0, 0, VEC | G_VEX | G_ALIGN, 0 },
	{ "movapd",   1, 0x28, 0x29, -1, 0, 0x66, VEC | G_VEX | G_ALIGN, 0 },
	{ "movntps",  1, 0x2b, 0x2b, -1, 0, 0, VEC | G_VEX | G_ALIGN, 0 },
	{ "movntpd",  1, 0x2b, 0x2b, -1, 0, 0x66, VEC | G_VEX | G_ALIGN, 0 },
	{ "movd",     1, 0x6e, 0x6e, -1, 0, 0x66, VEC | G_VEX | G_L0, 0 },
	{ "movd m",   1, 0x7e, 0x7e, -1, 0, 0x66, VEC | G_VEX | G_L0, 0 },
	{ "movd mm",  1, 0x6e, 0x6e, -1, 0, 0, VEC, 0 },
	{ "movd mm m", 1, 0x7e, 0x7e, -1, 0, 0, VEC, 0 },
	{ "movq",     1, 0x7e, 0x7e, -1, 0, 0xf3, VEC | G_VEX | G_L0, 0 },
	{ "movq m",   1, 0xd6, 0xd6, -1, 0, 0x66, VEC | G_VEX | G_L0, 0 },
	{ "movdqa",   1, 0x6f, 0x6f, -1, 0, 0x66, VEC | G_VEX | G_ALIGN, 0 },
	{ "movdqa m", 1, 0x7f, 0x7f, -1, 0, 0x66, VEC | G_VEX | G_ALIGN, 0 },
	{ "movdqu",   1, 0x6f, 0x6f, -1, 0, 0xf3, VEC | G_VEX, 0 },
	{ "movdqu m", 1, 0x7f, 0x7f, -1, 0, 0xf3, VEC | G_VEX, 0 },
	{ "movq mm",  1, 0x6f, 0x6f, -1, 0, 0, MMX, 0 },
	{ "movq mm m", 1, 0x7f, 0x7f, -1, 0, 0, MMX, 0 },
	{ "movntq",   1, 0xe7, 0xe7, -1, 0, 0, MMX, 0 },
	{ "movntdq",  1, 0xe7, 0xe7, -1, 0, 0x66, VEC | G_VEX | G_ALIGN, 0 },
	{ "lddqu",    1, 0xf0, 0xf0, -1, 0, 0xf2, VEC | G_VEX, 0 },
	{ "movntdqa", 2, 0x2a, 0x2a, -1, 0, 0x66, VEC | G_VEX | G_ALIGN, 0 },
};

const unsigned int gen_nr_forms = ARRAY_SIZE(gen_forms);

u64 gen_random(u64 *state)
{
	u64 x;

	*state += 0x9e3779b97f4a7c15ULL;
	x = *state;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* ---- one instruction in the making ---- */

struct gen {
	struct gen_case *c;
	const struct gen_form *form;
	const struct gen_places *at;
	u64 *random;
	u64 target;		/* of the memory operand */
	bool mem, wild, addr32, gs, opsize, vex, vex_l, lock;
	u8 rep, rex, opcode, vvvv;
	unsigned int op_bytes;
	u8 tail[8];		/* ModRM, SIB, displacement */
	unsigned int nr_tail;
	bool rip_relative;
};

static u64 rnd(struct gen *g, u64 below)
{
	return gen_random(g->random) % below;
}

static bool one_in(struct gen *g, unsigned int n)
{
	return rnd(g, n) == 0;
}

/* Values at which carries, signs and zeros happen are more likely than by chance. */
static u64 interesting(struct gen *g)
{
	static const u64 edges[] = {
		0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
		0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, ~0ULL, 0x100, 0x10000,
	};
	u64 r = gen_random(g->random);

	switch (rnd(g, 4)) {
	case 0:
		return edges[rnd(g, ARRAY_SIZE(edges))];
	case 1:
		return r >> rnd(g, 64);
	default:
		return r;
	}
}

static void choose_target(struct gen *g)
{
	u64 offset = 64 + rnd(g, MACHINE_RO_OFFSET - 128);

	switch (rnd(g, 16)) {
	case 0: case 1: case 2:
		offset = PAGE_SIZE - rnd(g, 33);
		break;
	case 3:
		offset = MACHINE_RO_OFFSET - rnd(g, 33);
		break;
	case 4:
		offset = MACHINE_RO_OFFSET + rnd(g, PAGE_SIZE - 32);
		break;
	case 5:
		offset = MACHINE_NONE_OFFSET - rnd(g, 17);
		break;
	}
	if (g->form->flags & G_ALIGN && !one_in(g, 4))
		offset &= ~31ULL;
	else if (one_in(g, 4))
		offset &= ~15ULL;
	g->target = g->at->mem + offset;
	/*
	 * Sometimes about the end of user space, or not canonical; never anywhere in between, where
	 * the test itself lives.
	 */
	g->wild = !g->addr32 && one_in(g, 64);
	if (g->wild)
		g->target = one_in(g, 2) ? 0x7ffffffffff0 + rnd(g, 32) :
			    (gen_random(g->random) & ~(3ULL << 62)) | 1ULL << 62;
}

static void put(struct gen *g, u64 val, unsigned int bytes)
{
	memcpy(g->tail + g->nr_tail, &val, bytes);
	g->nr_tail += bytes;
}

/* With 32-bit addresses the upper halves of the registers do not count. */
static u64 dirty(struct gen *g, u64 val)
{
	return g->addr32 ? (u32)val | gen_random(g->random) << 32 : val;
}

static void make_memory_operand(struct gen *g, unsigned int reg)
{
	unsigned int base = rnd(g, 16), index = rnd(g, 16), scale = rnd(g, 4), mod = rnd(g, 3);
	u64 *gpr = g->c->regs.gpr;
	u64 want = g->target - (g->gs ? g->c->gs_base : 0);
	bool sib = one_in(g, 2) || (base & 7) == 4;
	s64 disp = mod == 1 ? (s8)rnd(g, 256) : mod == 2 ? (s32)rnd(g, 1 << 20) - (1 << 19) : 0;

	if (!g->gs && !g->wild && one_in(g, 8)) {
		put(g, (reg & 7) << 3 | 5, 1);
		g->rip_relative = true;
		put(g, 0, 4);
		return;
	}
	if (index == X86_RSP || index == base)
		index = X86_NO_REG;
	if (mod == 0 && (base & 7) == 5 && !sib)
		mod = 1;
	if (sib && index != X86_NO_REG) {
		u64 i = (s8)rnd(g, 256);

		gpr[index] = dirty(g, i);
		want -= i << scale;
	}
	if (g->wild && mod == 0 && (base & 7) == 5)
		base = X86_RBX;
	if (sib && mod == 0 && (base & 7) == 5) {	/* no base */
		put(g, (reg & 7) << 3 | 4, 1);
		put(g, scale << 6 | (index == X86_NO_REG ? 4 : index & 7) << 3 | 5, 1);
		put(g, want, 4);
	} else {
		gpr[base] = dirty(g, want - disp);
		put(g, mod << 6 | (reg & 7) << 3 | (sib ? 4 : base & 7), 1);
		if (sib)
			put(g, scale << 6 | (index == X86_NO_REG ? 4 : index & 7) << 3 | (base & 7), 1);
		put(g, disp, mod == 1 ? 1 : mod == 2 ? 4 : 0);
		g->rex |= base >> 3;
	}
	if (sib && index != X86_NO_REG)
		g->rex |= (index >> 3) << 1;
}

/* Near, or so far that the address is not canonical. A register that is the base stays. */
static void choose_bit_offset(struct gen *g, unsigned int reg)
{
	u64 *r = &g->c->regs.gpr[reg];

	if (*r - (g->at->mem - (1 << 20)) < 1 << 21)
		return;
	*r = rnd(g, 4096) - 2048;
	if (!g->addr32 && one_in(g, 16))
		*r = 1ULL << 62 | rnd(g, 1ULL << 60);
}

static void make_modrm(struct gen *g)
{
	const struct gen_form *f = g->form;
	u32 flags = f->flags;
	unsigned int reg = f->digit >= 0 ? (unsigned int)f->digit : rnd(g, 16);
	unsigned int rm = rnd(g, 16);

	if (f->digit < 0)
		g->rex |= (reg >> 3) << 2;
	if (f->digit < 0 && (flags & VEC) == VEC && !(flags & G_VEX)) {
		reg &= 7;		/* MMX */
		g->rex &= ~4;
	}
	if (g->mem) {
		make_memory_operand(g, reg);
		if (flags & G_BIT_STRING)
			choose_bit_offset(g, reg);
	} else {
		if ((flags & G_BRANCH) && rm == X86_RSP)
			rm = X86_RBP;
		put(g, 0xc0 | (reg & 7) << 3 | (rm & 7), 1);
		g->rex |= rm >> 3;
		if (flags & G_BRANCH)
			g->c->regs.gpr[rm] = g->at->target;
	}
}

static u8 *emit_vex(struct gen *g, u8 *p)
{
	u8 pp = g->form->pp == 0x66 ? 1 : g->form->pp == 0xf3 ? 2 : g->form->pp == 0xf2 ? 3 : 0;
	u8 last = (~g->vvvv & 15) << 3 | g->vex_l << 2 | pp;

	if (g->form->map == 1 && !(g->rex & 0xb) && one_in(g, 2)) {
		*p++ = 0xc5;
		*p++ = (g->rex & 4 ? 0 : 0x80) | last;
	} else {
		*p++ = 0xc4;
		*p++ = (~g->rex & 7) << 5 | g->form->map;
		*p++ = (g->rex & 8) << 4 | last;
	}
	return p;
}

static u8 *emit_prefixes(struct gen *g, u8 *p)
{
	if (g->gs)
		*p++ = 0x65;
	if (g->addr32)
		*p++ = 0x67;
	if (g->lock)
		*p++ = 0xf0;
	if (g->vex)
		return emit_vex(g, p);
	if (g->opsize)
		*p++ = 0x66;
	if (g->rep)
		*p++ = g->rep;
	if (g->form->pp)
		*p++ = g->form->pp;
	if (g->rex || one_in(g, 8))
		*p++ = 0x40 | g->rex;
	if (g->form->map)
		*p++ = 0x0f;
	if (g->form->map > 1)
		*p++ = g->form->map == 2 ? 0x38 : 0x3a;
	return p;
}

static void emit(struct gen *g)
{
	struct gen_case *c = g->c;
	u8 *p = emit_prefixes(g, c->bytes), *disp;
	unsigned int imm_bytes = g->form->imm;
	u64 imm = interesting(g);
	s32 rel;

	*p++ = g->opcode;
	memcpy(p, g->tail, g->nr_tail);
	disp = p + 1;
	p += g->nr_tail;
	if (imm_bytes == 4 && g->op_bytes < 4)
		imm_bytes = g->op_bytes;
	else if (imm_bytes == 8)
		imm_bytes = g->op_bytes;
	if (g->form->flags & G_MOFFS) {
		imm_bytes = g->addr32 ? 4 : 8;
		imm = g->target - (g->gs ? c->gs_base : 0);
	} else if ((g->form->flags & G_BRANCH) && g->form->imm != 2) {
		imm = g->at->target - (g->at->code + (p - c->bytes) + imm_bytes);
	}
	memcpy(p, &imm, imm_bytes);
	p += imm_bytes;
	c->len = p - c->bytes;
	if (g->rip_relative) {
		rel = g->target - (g->at->code + c->len);
		memcpy(disp, &rel, 4);
	}
}

/* ---- registers and flags ---- */

static void fill_registers(struct gen *g)
{
	struct gen_case *c = g->c;
	unsigned int i, j;

	for (i = 0; i < X86_NR_GPR; i++)
		c->regs.gpr[i] = interesting(g);
	c->regs.gpr[X86_RSP] = g->at->mem + 512 + rnd(g, MACHINE_RO_OFFSET - 1024);
	if (g->form->flags & G_STACK) {
		if (one_in(g, 4))
			c->regs.gpr[X86_RSP] = g->at->mem + PAGE_SIZE + rnd(g, 16);
		else if (one_in(g, 8))
			c->regs.gpr[X86_RSP] = g->at->mem + MACHINE_RO_OFFSET + rnd(g, PAGE_SIZE + 16);
	}
	c->regs.rip = g->at->code;
	c->regs.rflags = 0x202 | (gen_random(g->random) & ALL);
	if (one_in(g, 6))
		c->regs.rflags |= X86_EFLAGS_AC;
	c->gs_base = rnd(g, 1 << 16) << 8;
	for (i = 0; i < 16; i++)
		for (j = 0; j < 32; j += 8)
			memcpy(&c->ymm[i][j], &(u64){ gen_random(g->random) }, 8);
	for (i = 0; i < 8; i++)
		memcpy(c->mmx[i], &(u64){ gen_random(g->random) }, 8);
}

static void fill_memory(struct gen *g, u8 *mem)
{
	u64 v = interesting(g);
	unsigned int i;

	/* Sometimes alike, so that comparisons and scans go on. */
	for (i = 0; i < MACHINE_RO_OFFSET; i += 8) {
		if (!one_in(g, 24))
			v = (g->form->flags & G_REPCC) ? v : gen_random(g->random);
		else
			v = interesting(g);
		memcpy(mem + i, &v, 8);
	}
}

static void place(struct gen *g, u8 *mem, u64 gva, u64 val)
{
	u64 offset = gva - g->at->mem;

	if (offset + 8 <= MACHINE_RO_OFFSET)
		memcpy(mem + offset, &val, 8);
}

static void prepare_string(struct gen *g)
{
	struct x86_regs *r = &g->c->regs;
	u32 flags = g->form->flags;

	choose_target(g);
	r->gpr[X86_RSI] = dirty(g, g->target - (g->gs ? g->c->gs_base : 0));
	choose_target(g);
	r->gpr[X86_RDI] = dirty(g, g->target);
	r->gpr[X86_RCX] = dirty(g, rnd(g, 40));
	if (one_in(g, 2))
		r->rflags |= X86_EFLAGS_DF;
	if (!one_in(g, 3))
		g->rep = (flags & G_REPCC) && one_in(g, 2) ? 0xf2 : 0xf3;
}

/* Operands with which a division or an exchange often goes through. */
static void prepare_accumulator(struct gen *g, u8 *mem)
{
	struct x86_regs *r = &g->c->regs;
	u64 val;

	if ((g->form->flags & G_DIVIDE) && !one_in(g, 3)) {
		r->gpr[X86_RDX] = one_in(g, 2) ? 0 : rnd(g, 64);
		if (g->op_bytes == 1)
			r->gpr[X86_RAX] &= 0x3ff;
		if (one_in(g, 3)) {
			r->gpr[X86_RDX] = ~0ULL;
			r->gpr[X86_RAX] |= 0x8000000080008000ULL;
		}
	}
	if (g->mem && g->form->map == 1 && one_in(g, 2) &&
	    (g->form->first == 0xb0 || g->form->first == 0xc7)) {
		u64 offset = g->target - g->at->mem;

		if (offset + 16 > MACHINE_RO_OFFSET)
			return;
		memcpy(&val, mem + offset, 8);
		r->gpr[X86_RAX] = val;
		if (g->form->first == 0xc7) {
			if (g->rex & 8)
				memcpy(&val, mem + offset + 8, 8);
			else
				val >>= 32;
			r->gpr[X86_RDX] = val;
		}
	}
}

/* ---- what is undefined ---- */

static unsigned int shift_count(const struct gen *g)
{
	unsigned int count = 1;

	if (g->form->imm)
		count = g->c->bytes[g->c->len - 1];
	else if (g->form->map || (g->opcode & 2))
		count = g->c->regs.gpr[X86_RCX];
	return count & (g->op_bytes == 8 ? 63 : 31);
}

static void find_undefined(struct gen *g)
{
	bool is_shift = g->form->map == 0 && ((g->opcode & 0xfe) == 0xc0 || (g->opcode & 0xfc) == 0xd0);
	bool is_double = g->form->map == 1 && (g->opcode & 0xf6) == 0xa4;
	unsigned int count;

	g->c->undefined = g->form->undefined;
	if (!is_shift && !is_double)
		return;
	count = shift_count(g);
	if (count == 0)
		return;
	if (count != 1)
		g->c->undefined |= OF;
	if (is_double || g->form->digit >= 4)
		g->c->undefined |= AF;
	if (!is_double && g->form->digit >= 4 && count > 8 * g->op_bytes)
		g->c->undefined |= CF;
	if (is_double && count > 8 * g->op_bytes)
		g->c->skip = true;
}

static void choose_prefixes(struct gen *g)
{
	u32 flags = g->form->flags;

	g->addr32 = one_in(g, 8);
	g->gs = one_in(g, 8);
	g->mem = !(flags & G_NO_MODRM) && ((flags & G_MEM) || !one_in(g, 4));
	g->lock = (flags & G_LOCK) && g->mem && one_in(g, 4);
	g->opsize = !(flags & (G_NO_66 | G_VEX_ONLY)) && one_in(g, 4);
	if (!(flags & G_NO_W) && one_in(g, 3))
		g->rex |= 8;
	g->vex = (flags & G_VEX_ONLY) || ((flags & G_VEX) && one_in(g, 2));
	g->vex_l = g->vex && !(flags & G_L0) && one_in(g, 2);
	g->vvvv = (flags & G_NDS) || (g->form->map == 2 && g->form->first == 0xf3) ? rnd(g, 16) : 0;
	g->opcode = g->form->first + rnd(g, g->form->last - g->form->first + 1);
	if (g->form->map == 0 && (g->opcode & 0xf0) == 0xb0 && g->opcode < 0xb8)
		g->op_bytes = 1;
	else if ((flags & G_BYTE) && !(g->opcode & 1))
		g->op_bytes = 1;
	else
		g->op_bytes = g->rex & 8 ? 8 : g->opsize ? 2 : 4;
}

void gen_make(struct gen_case *c, const struct gen_form *form, const struct gen_places *at,
	      u8 *mem, u64 *random)
{
	struct gen g = { .c = c, .form = form, .at = at, .random = random };

	memset(c, 0, sizeof(*c));
	c->form = form;
	fill_registers(&g);
	fill_memory(&g, mem);
	choose_prefixes(&g);
	choose_target(&g);
	prepare_accumulator(&g, mem);
	if (form->flags & (G_REP | G_REPCC))
		prepare_string(&g);
	if (!(form->flags & G_NO_MODRM))
		make_modrm(&g);
	else if (form->last - form->first == 7 || form->first == 0x91)
		g.rex |= rnd(&g, 2);
	if (form->flags & G_BRANCH) {
		place(&g, mem, g.target, at->target);
		if (form->first == 0xc2 || form->first == 0xc3)
			place(&g, mem, c->regs.gpr[X86_RSP], at->target);
		if (form->first == 0xe0)
			c->regs.gpr[X86_RCX] = dirty(&g, rnd(&g, 3));
	}
	emit(&g);
	find_undefined(&g);
}

int gen_load(struct machine *m, const struct gen_case *c)
{
	m->regs = c->regs;
	m->seg[X86_SEG_GS].base = c->gs_base;
	memcpy(m->ymm, c->ymm, sizeof(m->ymm));
	memcpy(m->mmx, c->mmx, sizeof(m->mmx));
	return x86_decode(&m->emu.insn, c->bytes, c->len, X86_MODE_LONG);
}
