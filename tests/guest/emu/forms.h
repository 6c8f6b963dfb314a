/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Instruction forms that exist in every code size; cases*.S include this once
 * each with P, the operand at the device pointer, and PX, one with index and
 * displacement, written in their address size. After the list the forms of
 * 64-bit operands follow where REX exists.
 */
#include "case.h"

.macro CASE undefined, flags, insn:vararg
	.pushsection emu_code, "a"
771:	\insn
772:
	.popsection
	.pushsection emu_names, "a"
773:	.asciz "\insn"
	.popsection
	.pushsection emu_cases, "a"
	.quad 771b, 773b
	.long 772b - 771b, \undefined, \flags, BITS_OF_CODE
	.popsection
.endm

#define C(undefined, flags, ...) CASE (undefined), (flags), __VA_ARGS__;

/* Two operands, register and memory, every width without REX.W. */
#define ALU(op, u)						\
	C(u, MUST, op %al, P) C(u, MUST, op %dh, P)		\
	C(u, MUST, op %ax, P) C(u, MUST, op %edx, P)		\
	C(u, MUST, op P, %cl) C(u, MUST, op P, %bp) C(u, MUST, op P, %eax) \
	C(u, MUST, op##b $0x5a, P) C(u, MUST, op##w $0x1234, P)	\
	C(u, MUST, op##l $0x12345678, P) C(u, MUST, op##w $-3, P) \
	C(u, MUST, op##l $-3, PX)

#define LOCKED(op, u)						\
	C(u, MUST, lock op %al, P) C(u, MUST, lock op %ax, P)	\
	C(u, MUST, lock op %edx, P) C(u, MUST, lock op##l $77, P)

#define UNARY(op, u)						\
	C(u, MUST, op##b P) C(u, MUST, op##w P) C(u, MUST, op##l PX)

#define SHIFT(op, u)						\
	C(u, MUST, op##b P) C(u, MUST, op##w P) C(u, MUST, op##l P) \
	C((u) | OF, MUST, op##b $3, P) C((u) | OF, MUST, op##l $7, P) \
	C((u) | OF | CF, MUST, op##b %cl, P) C((u) | OF | CF, MUST, op##w %cl, P) \
	C((u) | OF | CF, MUST, op##l %cl, P)

#define SETCC(cc) C(0, MUST, set##cc P)
#define CMOV(cc) C(0, MUST, cmov##cc P, %dx) C(0, MUST, cmov##cc P, %edx)

#define BITOP(op)						\
	C(OF | SF | AF | PF, MUST | BITS, op %ax, P) C(OF | SF | AF | PF, MUST | BITS, op %eax, P) \
	C(OF | SF | AF | PF, MUST, op##w $9, P) C(OF | SF | AF | PF, MUST, op##l $29, P)

#define STRING(op, how)						\
	C(0, MUST | how, op##b) C(0, MUST | how, op##w) C(0, MUST | how, op##l)

#define REPEATED(rep, op, how)					\
	C(0, MUST | COUNT | how, rep op##b) C(0, MUST | COUNT | how, rep op##w) \
	C(0, MUST | COUNT | how, rep op##l)

	/* Moves */
	C(0, MUST, mov %al, P) C(0, MUST, mov %ch, P) C(0, MUST, mov %ax, P) C(0, MUST, mov %edx, P)
	C(0, MUST, mov P, %al) C(0, MUST, mov P, %dh) C(0, MUST, mov P, %cx) C(0, MUST, mov P, %ebp)
	C(0, MUST, movb $0x7f, P) C(0, MUST, movw $0x7ffe, P) C(0, MUST, movl $0x89abcdef, PX)
	C(0, MUST, mov PX, %eax) C(0, MUST, mov %cl, PX)
	C(0, MUST, mov %fs:P, %eax) C(0, MUST, mov %eax, %gs:P) C(0, MUST, mov %es:P, %dl)
	C(0, MUST, movzbw P, %cx) C(0, MUST, movzbl P, %ecx) C(0, MUST, movzwl P, %edx)
	C(0, MUST, movsbw P, %cx) C(0, MUST, movsbl P, %ecx) C(0, MUST, movswl P, %edx)
	C(0, MUST, mov %ds, P)
	C(0, 0, movnti %eax, P)

	/* Arithmetic and logic */
	ALU(add, 0) ALU(adc, 0) ALU(sub, 0) ALU(sbb, 0) ALU(cmp, 0)
	ALU(and, AF) ALU(or, AF) ALU(xor, AF)
	C(AF, MUST, test %al, P) C(AF, MUST, test %cx, P) C(AF, MUST, test %edx, P)
	C(AF, MUST, testb $0x81, P) C(AF, MUST, testw $0x8001, P) C(AF, MUST, testl $0x80000001, P)
	LOCKED(add, 0) LOCKED(adc, 0) LOCKED(sub, 0) LOCKED(sbb, 0)
	LOCKED(and, AF) LOCKED(or, AF) LOCKED(xor, AF)
	UNARY(inc, 0) UNARY(dec, 0) UNARY(not, 0) UNARY(neg, 0)
	UNARY(lock inc, 0) UNARY(lock dec, 0) UNARY(lock not, 0) UNARY(lock neg, 0)
	UNARY(mul, SF | ZF | AF | PF) UNARY(imul, SF | ZF | AF | PF)
	C(SF | ZF | AF | PF, MUST, imul P, %cx) C(SF | ZF | AF | PF, MUST, imul P, %edx)
	C(SF | ZF | AF | PF, MUST, imul $-7, P, %cx) C(SF | ZF | AF | PF, MUST, imul $0x1234567, P, %edx)
	UNARY(div, CF | OF | SF | ZF | AF | PF) UNARY(idiv, CF | OF | SF | ZF | AF | PF)
	SHIFT(shl, AF) SHIFT(shr, AF) SHIFT(sar, AF) SHIFT(rol, 0) SHIFT(ror, 0) SHIFT(rcl, 0) SHIFT(rcr, 0)
	C(AF | OF, MUST, shld $5, %edx, P) C(AF | OF, MUST, shld %cl, %edx, P)
	C(AF | OF, MUST, shrd $5, %edx, P) C(AF | OF, MUST, shrd %cl, %edx, P)

	/* Exchanges */
	C(0, MUST, xchg %al, P) C(0, MUST, xchg %cx, P) C(0, MUST, xchg %edx, P)
	C(0, MUST, xadd %cl, P) C(0, MUST, xadd %cx, P) C(0, MUST, xadd %edx, P)
	C(0, MUST, lock xadd %edx, P) C(0, MUST, lock xadd %cx, P)
	C(0, MUST | MATCH, cmpxchg %cl, P) C(0, MUST | MATCH, cmpxchg %cx, P)
	C(0, MUST | MATCH, cmpxchg %edx, P)
	C(0, MUST | MATCH, lock cmpxchg %cl, P) C(0, MUST | MATCH, lock cmpxchg %edx, P)
	C(0, MUST | MATCH, cmpxchg8b P) C(0, MUST | MATCH, lock cmpxchg8b P)

	/* Bits and conditions */
	BITOP(bt) BITOP(bts) BITOP(btr) BITOP(btc) BITOP(lock bts) BITOP(lock btr) BITOP(lock btc)
	C(CF | OF | SF | AF | PF, MUST, bsf P, %ecx) C(CF | OF | SF | AF | PF, MUST, bsr P, %ecx)
	C(CF | OF | SF | AF | PF, MUST, bsf P, %cx) C(CF | OF | SF | AF | PF, MUST, bsr P, %cx)
	SETCC(o) SETCC(no) SETCC(c) SETCC(nc) SETCC(z) SETCC(nz) SETCC(be) SETCC(a)
	SETCC(s) SETCC(ns) SETCC(p) SETCC(np) SETCC(l) SETCC(ge) SETCC(le) SETCC(g)
	CMOV(o) CMOV(nc) CMOV(z) CMOV(a) CMOV(s) CMOV(p) CMOV(l) CMOV(g)

	/* Strings */
	STRING(movs, 0) STRING(movs, SRC) STRING(movs, BOTH) STRING(stos, 0) STRING(lods, SRC)
	STRING(scas, 0) STRING(cmps, 0) STRING(cmps, SRC) STRING(cmps, BOTH)
	REPEATED(rep, movs, 0) REPEATED(rep, movs, SRC) REPEATED(rep, movs, BOTH) REPEATED(rep, stos, 0)
	REPEATED(rep, lods, SRC)
	REPEATED(repe, scas, 0) REPEATED(repne, scas, 0) REPEATED(repe, cmps, SRC)
	REPEATED(repne, cmps, 0) REPEATED(repe, cmps, BOTH)

	/* Stack */
	C(0, MUST, pushw P) C(0, MUST, popw P) C(0, MUST | STACK, pushw %ax) C(0, MUST | STACK, popw %ax)
	C(0, STACK, pushfw) C(0, MUST | STACK, pushw $0x1234) C(0, STACK, pushw %fs)

	/* Not instructions, or not allowed: #UD whatever the memory is */
	C(0, 0, .byte 0xf0, 0x39, MODRM_P)

	/* Vectors */
	C(0, MUST | VECTOR | ALIGN, movaps P, %xmm3) C(0, MUST | VECTOR | ALIGN, movaps %xmm3, P)
	C(0, MUST | VECTOR, movups P, %xmm3) C(0, MUST | VECTOR, movups %xmm5, P)
	C(0, MUST | VECTOR | ALIGN, movdqa P, %xmm1) C(0, MUST | VECTOR | ALIGN, movdqa %xmm1, P)
	C(0, MUST | VECTOR, movdqu P, %xmm1) C(0, MUST | VECTOR, movdqu %xmm7, P)
	C(0, MUST | VECTOR, movdqa P, %xmm1) C(0, MUST | VECTOR, movaps %xmm1, P)
	C(0, MUST | VECTOR | NOSTOCK, movq P, %xmm2) C(0, MUST | VECTOR | NOSTOCK, movq %xmm2, P)
	C(0, MUST | VECTOR | NOSTOCK, movd P, %xmm2) C(0, MUST | VECTOR | NOSTOCK, movd %xmm2, P)
	C(0, MUST | VECTOR | NOSTOCK, movss P, %xmm2) C(0, MUST | VECTOR | NOSTOCK, movss %xmm2, P)
	C(0, MUST | VECTOR | NOSTOCK, movsd P, %xmm2) C(0, MUST | VECTOR | NOSTOCK, movsd %xmm2, P)
	C(0, MUST | VECTOR | ALIGN, movntdq %xmm4, P) C(0, VECTOR | ALIGN, movntps %xmm4, P)
	C(0, VECTOR | ALIGN, paddb P, %xmm4) C(0, VECTOR, addss P, %xmm4)
