/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One instruction form of the emulator's tests. The forms are assembled into
 * tables by cases*.S; emu.c runs each twice, on RAM and on a device.
 *
 *   rdi   points into the device (what "device" means is flipped between runs)
 *   rsi   points into plain RAM
 *   rbx   a small index, 0..15
 *   rsp   a stack in RAM
 *   others, and the flags, random
 */
#ifndef TESTS_GUEST_EMU_CASE_H
#define TESTS_GUEST_EMU_CASE_H

/* What differs from the above, and what is demanded. */
#define MUST	0x001	/* must be emulated; otherwise it may end in an emulation failure */
#define COUNT	0x002	/* rcx is a small count, DF random */
#define SRC	0x004	/* rsi points into the device, rdi into RAM */
#define BOTH	0x008	/* rsi and rdi point into the device */
#define STACK	0x010	/* rsp points into the device */
#define BITS	0x020	/* rax is a bit offset that may lie far outside the operand */
#define FIXED	0x040	/* code at VMM_CODE exactly */
#define VECTOR	0x080	/* uses and compares vector registers */
#define ALIGN	0x100	/* the operand is aligned to 32 bytes */
#define NOSTOCK	0x200	/* the stock module's emulator does not have it */
#define MATCH	0x400	/* half of the time the accumulator equals the operand */
#define BOUNDED	0x800	/* no page crossing: order of partial effects is not architectural */
#define WRONG	0x1000	/* the stock module gets it wrong */

/* Flags an instruction leaves undefined. */
#define CF	0x001
#define PF	0x004
#define AF	0x010
#define ZF	0x040
#define SF	0x080
#define OF	0x800

#define ARITHMETIC	(CF | PF | AF | ZF | SF | OF)

/* Where the device lies in the guest's address space: two pages, RAM on both sides. */
#define DEVICE	0x00800000

#define CODE16	16
#define CODE32	32
#define CODE64	64

#ifndef __ASSEMBLER__
#include <stdint.h>

struct emu_case {
	const uint8_t *code;
	const char *name;
	uint32_t len;
	uint32_t undefined;
	uint32_t flags;
	uint32_t bits;		/* CODE16, CODE32, CODE64 */
};

/* Made by the assembler; the linker gives the bounds. */
extern const struct emu_case __start_emu_cases[], __stop_emu_cases[];
#endif

#endif
