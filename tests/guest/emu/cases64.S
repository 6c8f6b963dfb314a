/* SPDX-License-Identifier: GPL-2.0 */
/* Instruction forms in 64-bit code. */
	.code64
	.set BITS_OF_CODE, 64
#define P (%rdi)
#define PX 0x13(%rdi,%rbx,4)
#define MODRM_P 0x07
#include "forms.h"

#define WIDE(op, u)						\
	C(u, MUST, op %rax, P) C(u, MUST, op P, %r9) C(u, MUST, op##q $-77, P) C(u, MUST, op##q $0x12345678, PX) \
	C(u, MUST, op %r10b, P) C(u, MUST, op %sil, P) C(u, MUST, op %r11w, P) C(u, MUST, op P, %r12d)

	WIDE(add, 0) WIDE(adc, 0) WIDE(sub, 0) WIDE(sbb, 0) WIDE(cmp, 0) WIDE(and, AF) WIDE(or, AF) WIDE(xor, AF)
	C(0, MUST, mov %rax, P) C(0, MUST, mov P, %r15) C(0, MUST, movq $-2, P) C(0, MUST, mov %r8d, P)
	C(0, MUST, mov %spl, P) C(0, MUST, mov P, %r13b) C(0, MUST, mov %r9w, P)
	C(0, MUST, movslq P, %rcx) C(0, MUST, movsbq P, %rcx) C(0, MUST, movswq P, %rcx)
	C(0, MUST, movzbq P, %rcx) C(0, MUST, movzwq P, %rcx)
	/* Every way to write an address */
	C(0, MUST, mov 0x7(%rdi), %rax) C(0, MUST, mov -0x85(%rdi), %eax) C(0, MUST, mov (%rdi,%rbx), %eax)
	C(0, MUST, mov 0x10(%rdi,%rbx,8), %eax) C(0, MUST, mov (%edi), %eax) C(0, MUST, mov %ax, 0x5(%edi,%ebx,2))
	C(0, MUST, mov DEVICE + 0x123, %eax) C(0, MUST, mov %ecx, DEVICE + 0x124)
	C(0, MUST, mov DEVICE(,%rbx,8), %edx) C(0, MUST, movabs DEVICE + 0x345, %al)
	C(0, MUST, movabs DEVICE + 0x346, %eax) C(0, MUST, movabs %rax, DEVICE + 0x347)
	C(0, MUST, addr32 mov DEVICE + 0x128, %eax) C(0, MUST, movabs %ax, DEVICE + 0x347)
	C(0, MUST | FIXED, mov DEVICE + 0x10 - 0x30000 - 6(%rip), %eax)
	C(0, MUST | FIXED, movl $0x11223344, DEVICE + 0x14 - 0x30000 - 10(%rip))
	C(0, MUST | FIXED, addb $0x11, DEVICE + 0x14 - 0x30000 - 7(%rip))
	C(0, MUST, lock add %rax, P) C(0, MUST, lock decq P) C(AF, MUST, lock orq $1, P)
	C(0, MUST, xchg %r8, P) C(0, MUST, xadd %rcx, P) C(0, MUST, lock xadd %rcx, P)
	C(0, MUST | MATCH, cmpxchg %rdx, P) C(0, MUST | MATCH, lock cmpxchg %r14, P)
	C(0, MUST | MATCH | ALIGN | NOSTOCK, cmpxchg16b P) C(0, MUST | MATCH | ALIGN | NOSTOCK, lock cmpxchg16b P)
	C(0, MATCH | NOSTOCK, cmpxchg16b 0x8 P)
	C(SF | ZF | AF | PF, MUST, mulq P) C(SF | ZF | AF | PF, MUST, imul P, %r9) C(CF | OF | SF | ZF | AF | PF, MUST, divq P)
	C(CF | OF | SF | ZF | AF | PF, MUST, idivq P) C(0, MUST, negq P) C(0, MUST, notq P) C(0, MUST, incq P)
	C(AF | OF | CF, MUST, shlq %cl, P) C(AF | OF, MUST, sarq $33, P) C(OF, MUST, rolq $5, P) C(OF | CF, MUST, rcrq %cl, P)
	C(AF | OF, MUST, shld $40, %rdx, P) C(AF, MUST, test %rax, P) C(AF, MUST, testq $-5, P)
	C(OF | SF | AF | PF, MUST | BITS, bt %rax, P) C(OF | SF | AF | PF, MUST | BITS, bts %rax, P)
	C(OF | SF | AF | PF, MUST | BITS, lock btr %rax, P) C(OF | SF | AF | PF, MUST, btcq $50, P)
	C(CF | OF | SF | AF | PF, MUST, bsf P, %rcx) C(CF | OF | SF | AF | PF, MUST, bsr P, %rcx)
	C(0, MUST, cmovz P, %rdx) C(0, MUST, cmovg P, %r8)
	C(0, 0, movbe P, %rax) C(0, 0, movbe %cx, P) C(0, 0, movbe P, %eax) C(0, 0, movnti %rax, P)
	C(OF | SF | AF | PF, 0, popcnt P, %rcx) C(OF | SF | AF | PF, WRONG, tzcnt P, %rcx) C(0, 0, crc32q P, %rcx)
	C(0, MUST | SRC, movsq) C(0, MUST, movsq) C(0, MUST | BOTH, movsq) C(0, MUST, stosq) C(0, MUST | SRC, lodsq)
	C(0, MUST, scasq) C(0, MUST | SRC, cmpsq)
	C(0, MUST | SRC | COUNT, rep movsq) C(0, MUST | COUNT, rep movsq) C(0, MUST | BOTH | COUNT, rep movsq)
	C(0, MUST | COUNT, rep stosq) C(0, MUST | COUNT, repe scasq) C(0, MUST | SRC | COUNT, repne cmpsq)
	C(0, MUST | COUNT, addr32 rep movsb) C(0, MUST | COUNT, addr32 rep stosl)
	C(0, MUST, pushq P) C(0, MUST, popq P) C(0, MUST | STACK, push %rax) C(0, MUST | STACK, pop %rdx)
	C(0, MUST | STACK, pushq $-5) C(0, STACK, pushfq) C(0, STACK, popfq) C(0, STACK, enter $16, $0)
	C(0, STACK, call .+5) C(0, MUST | STACK, pushq P) C(0, STACK, push %fs)
	C(0, 0, invlpg P) C(0, 0, prefetcht0 P) C(0, 0, clflush P) C(0, 0, nopl P)
	C(0, WRONG, sgdt P) C(0, WRONG, sidt P) C(0, 0, smsw P) C(0, WRONG, sldt P) C(0, WRONG, str P)
	/* AVX, VEX-encoded */
	C(0, MUST | VECTOR | NOSTOCK, vmovdqu P, %ymm3) C(0, MUST | VECTOR | NOSTOCK, vmovdqu %ymm3, P)
	C(0, MUST | VECTOR | NOSTOCK, vmovdqu P, %xmm9) C(0, MUST | VECTOR | NOSTOCK, vmovdqu %xmm9, P)
	C(0, MUST | VECTOR | NOSTOCK | ALIGN, vmovdqa P, %ymm12) C(0, MUST | VECTOR | NOSTOCK | ALIGN, vmovdqa %ymm12, P)
	C(0, MUST | VECTOR | NOSTOCK | ALIGN, vmovaps P, %ymm1) C(0, MUST | VECTOR | NOSTOCK | ALIGN, vmovaps %ymm1, P)
	C(0, MUST | VECTOR | NOSTOCK, vmovups P, %ymm1) C(0, MUST | VECTOR | NOSTOCK, vmovups %xmm1, P)
	C(0, MUST | VECTOR | NOSTOCK, vmovdqa P, %ymm12) C(0, MUST | VECTOR | NOSTOCK | ALIGN, vmovntdq %ymm2, P)
	C(0, VECTOR | NOSTOCK, vmovq P, %xmm2) C(0, VECTOR | NOSTOCK, vmovd %xmm2, P) C(0, VECTOR | NOSTOCK, vpaddb P, %ymm2, %ymm3)
	C(0, MUST | VECTOR, movdqu %xmm15, P) C(0, MUST | VECTOR, movups P, %xmm8) C(0, VECTOR | NOSTOCK, movq %xmm9, P)
	.section .note.GNU-stack, "", @progbits
