/* SPDX-License-Identifier: GPL-2.0 */
/* Instruction forms in 16-bit code: run in protected and in real mode. */
	.code16
	.set BITS_OF_CODE, 16
#define P (%di)
#define PX 0x13(%bx,%di)
#define MODRM_P 0x05
#include "forms.h"
	C(0, MUST, mov 0x7(%di), %eax) C(0, MUST, mov -0x25(%di), %al) C(0, MUST, mov (%bx,%di), %cx)
	C(0, MUST, mov 0x4123, %ax) C(0, MUST, mov %al, 0x4124) C(0, MUST, mov (%edi), %eax)
	C(0, MUST, mov %dx, 0x6(%edi,%ebx,2)) C(0, MUST | COUNT, addr32 rep movsw) C(0, MUST | COUNT, addr32 rep stosb)
	C(0, MUST, pushl P) C(0, MUST, popl P) C(0, MUST | STACK, push %eax) C(0, STACK | WRONG, pusha) C(0, STACK, call .+3)
	.section .note.GNU-stack, "", @progbits
