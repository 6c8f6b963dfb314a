/* SPDX-License-Identifier: GPL-2.0 */
/* Instruction forms in 32-bit code. */
	.code32
	.set BITS_OF_CODE, 32
#define P (%edi)
#define PX 0x13(%edi,%ebx,4)
#define MODRM_P 0x07
#include "forms.h"
	C(0, MUST, mov 0x7(%edi), %eax) C(0, MUST, mov -0x85(%edi), %al) C(0, MUST, mov DEVICE + 0x123, %eax)
	C(0, MUST, mov DEVICE + 0x123, %cl) C(0, MUST, mov %al, DEVICE + 0x124) C(0, MUST, mov DEVICE(,%ebx,8), %edx)
	C(0, MUST, pushl P) C(0, MUST, popl P) C(0, MUST | STACK, push %eax) C(0, MUST | STACK, pop %edx)
	C(0, STACK | WRONG, pusha) C(0, STACK | WRONG, popa) C(0, STACK, pushfl) C(0, STACK, popfl) C(0, STACK, call .+5)
	C(0, STACK | WRONG, push %ds) C(0, 0, movbe %cx, P) C(0, 0, movbe P, %eax) C(0, STACK, enter $8, $0) C(0, 0, bound %eax, P) C(0, 0, arpl %ax, P)
	C(0, WRONG, sgdt P) C(0, WRONG, sidt P) C(0, MUST | COUNT, rep movsl %fs:(%esi), %es:(%edi))
	.section .note.GNU-stack, "", @progbits
