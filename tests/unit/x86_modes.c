// SPDX-License-Identifier: GPL-2.0
/*
 * What the comparison with the processor (x86_native.c) cannot reach from a
 * 64-bit user program, part one: real, virtual-8086, 16- and 32-bit modes,
 * segments, pages, stack, branches, repetition and single step.
 */
#include "tests/unit/x86_hand.h"

/* ---- addresses ---- */

static void real_mode_addresses(void)
{
	start(X86_MODE_REAL);
	GPR(RBX) = 0xffff;
	GPR(RSI) = 0x0102;
	GPR(RAX) = 0x1122334455667788;
	IS(RUN("\x8b\x00"), X86_EMU_OK);		/* mov ax, [bx+si]: wraps at 64 KiB */
	IS(GPR(RAX), 0x1122334455660000 | initial(0x101, 2));
	IS(m.regs.rip, 0x102);

	start(X86_MODE_REAL);
	m.seg[X86_SEG_SS].base = BASE + 0x100;
	GPR(RBP) = 0x20;
	IS(RUN("\x8b\x46\xf0"), X86_EMU_OK);		/* mov ax, [bp-16]: stack segment */
	IS(GPR(RAX), initial(0x110, 2));
	m.regs.rip = 0x100;
	IS(RUN("\x3e\x8b\x46\xf0"), X86_EMU_OK);	/* mov ax, ds:[bp-16] */
	IS(GPR(RAX), initial(0x10, 2));
	IS(RUN("\x66\xa1\x34\x12"), X86_EMU_OK);	/* mov eax, [0x1234] */
	IS(GPR(RAX), initial(0x1234, 4));
	IS(RUN("\x67\x8b\x04\x5d\x10\x00\x00\x00"), X86_EMU_OK); /* mov ax, [ebx*2+16] */
	IS(GPR(RAX) & 0xffff, initial(0x10, 2));
}

static void real_mode_limits(void)
{
	start(X86_MODE_REAL);
	GPR(RBX) = 0xffff;
	FAULTS("\x8b\x07", GP, false);			/* mov ax, [bx]: no error code in real mode */
	FAULTS("\x89\x07", GP, false);
	GPR(RBP) = 0xffff;
	FAULTS("\x8b\x46\x00", SS, false);
	GPR(RBX) = 0x10000;
	FAULTS("\x67\x8b\x03", GP, false);		/* mov ax, [ebx] beyond the limit */
	m.seg[X86_SEG_DS].limit = U32_MAX;		/* big real mode */
	GPR(RBX) = 0x2000;
	IS(RUN("\x67\x8b\x03"), X86_EMU_OK);
	m.regs.rip = 0x100;
	GPR(RBX) = 0x20;
	m.seg[X86_SEG_CS].attrib |= X86_SEG_CODE;
	IS(RUN("\x2e\x88\x07"), X86_EMU_OK);		/* mov cs:[bx], al: allowed here */
}

static void vm86_faults_have_error_codes(void)
{
	start(X86_MODE_VM86);
	GPR(RBX) = 0xffff;
	FAULTS("\x8b\x07", GP, true);
	GPR(RBP) = 0xffff;
	FAULTS("\x8b\x46\x00", SS, true);
}

static void segment_types(void)
{
	start(X86_MODE_PROT32);
	GPR(RBX) = BASE + 0x40;
	GPR(RBP) = BASE + 0x40;
	m.seg[X86_SEG_CS].attrib |= X86_SEG_CODE;
	FAULTS("\x2e\x89\x03", GP, true);		/* write to code */
	IS(RUN("\x2e\x8b\x03"), X86_EMU_OK);		/* readable code */
	m.regs.rip = 0x100;
	m.seg[X86_SEG_CS].attrib &= ~X86_SEG_WRITABLE;
	FAULTS("\x2e\x8b\x03", GP, true);		/* execute only */
	m.seg[X86_SEG_DS].attrib &= ~X86_SEG_WRITABLE;
	FAULTS("\x89\x03", GP, true);
	FAULTS("\x01\x03", GP, true);			/* read-modify-write */
	IS(RUN("\x8b\x03"), X86_EMU_OK);
	m.regs.rip = 0x100;
	m.seg[X86_SEG_ES].attrib &= ~X86_SEG_P;
	FAULTS("\x26\x8b\x03", GP, true);
	m.seg[X86_SEG_SS].attrib &= ~X86_SEG_P;
	FAULTS("\x8b\x45\x00", SS, true);
	/* 64-bit code looks at none of this. */
	m.emu.mode = X86_MODE_LONG;
	IS(RUN("\x8b\x45\x00"), X86_EMU_OK);
}

static void expand_down(void)
{
	start(X86_MODE_PROT32);
	m.seg[X86_SEG_DS].attrib |= X86_SEG_EXPAND_DOWN;
	m.seg[X86_SEG_DS].limit = BASE + 0xff;
	GPR(RBX) = BASE + 0x100;
	IS(RUN("\x8b\x03"), X86_EMU_OK);
	m.regs.rip = 0x100;
	GPR(RBX) = BASE + 0xff;
	FAULTS("\x8b\x03", GP, true);
	GPR(RBX) = BASE + 0x10;
	FAULTS("\x8a\x03", GP, true);
	m.flat = true;
	GPR(RBX) = 0xfffffffc;
	IS(RUN("\x8b\x03"), X86_EMU_OK);
	m.regs.rip = 0x100;
	GPR(RBX) = 0xfffffffd;
	FAULTS("\x8b\x03", GP, true);
	m.seg[X86_SEG_DS].attrib &= ~X86_SEG_DB;	/* upper bound 64 KiB */
	m.seg[X86_SEG_DS].limit = 0xff;
	GPR(RBX) = 0xfffc;
	IS(RUN("\x8b\x03"), X86_EMU_OK);
	m.regs.rip = 0x100;
	GPR(RBX) = 0xfffd;
	FAULTS("\x8b\x03", GP, true);
}

static void wrap_at_4g(void)
{
	start(X86_MODE_PROT32);
	m.flat = true;
	GPR(RBX) = 0xfffffffe;
	poke(MACHINE_BYTES - 2, 0x2211, 2);
	poke(0, 0x4433, 2);
	IS(RUN("\x8b\x03"), X86_EMU_OK);
	IS(GPR(RAX), 0x44332211);
	IS(m.nr_ops, 2);
	m.seg[X86_SEG_DS].base = 0x1004;
	IS(RUN("\x8b\x03"), X86_EMU_OK);		/* base and offset wrap */
	IS(GPR(RAX), initial(0x1002, 4));
	IS(m.memo[0].address, 0x1002);
	m.regs.rip = 0x100;
	m.seg[X86_SEG_DS].limit = 0xfffffffe;
	FAULTS("\x8b\x03", GP, true);
	/* In 64-bit code a 32-bit address does not wrap inside an operand. */
	start(X86_MODE_LONG);
	m.base = 0xfffff000;
	GPR(RBX) = 0xffffffff00000000 | 0xfffffffe;
	IS(RUN("\x67\x8b\x03"), X86_EMU_OK);
	IS(GPR(RAX), initial(0xffe, 4));
}

static void canonical_addresses(void)
{
	start(X86_MODE_LONG);
	GPR(RBX) = 0x0000800000000000;
	FAULTS("\x8b\x03", GP, true);
	GPR(RBX) = 0x00007fffffffffff;
	FAULTS("\x8b\x03", GP, true);			/* the last byte is not canonical */
	GPR(RBP) = 0xffff7fffffffffff;
	FAULTS("\x8b\x45\x00", SS, true);
	FAULTS("\x3e\x8b\x45\x00", SS, true);		/* an ignored override */
	FAULTS("\x64\x8b\x45\x00", GP, true);
	GPR(RSP) = 0x8000000000000000;
	FAULTS("\x50", SS, true);
	m.seg[X86_SEG_GS].base = 0x8000000000000000;
	GPR(RBX) = BASE;
	FAULTS("\x65\x8b\x03", GP, true);
	m.seg[X86_SEG_DS].base = 0x8000000000000000;
	IS(RUN("\x8b\x03"), X86_EMU_OK);		/* other bases are not used */
	m.emu.cr4 |= BIT_ULL(12);			/* five levels */
	m.regs.rip = 0x100;
	m.flat = true;
	GPR(RBX) = 0x0000800000000000;
	IS(RUN("\x8b\x03"), X86_EMU_OK);
	m.regs.rip = 0x100;
	GPR(RBX) = 0x0100000000000000;
	FAULTS("\x8b\x03", GP, true);
}

static void rip_relative(void)
{
	start(X86_MODE_LONG);
	m.regs.rip = BASE;
	IS(RUN("\xc7\x05\x10\x00\x00\x00\x78\x56\x34\x12"), X86_EMU_OK);
	IS(peek(0x1a, 4), 0x12345678);			/* counts from behind the immediate */
	m.regs.rip = 0x500000000 + BASE;
	IS(RUN("\x67\x8b\x05\x00\x00\x00\x00"), X86_EMU_OK); /* eip-relative */
	IS(GPR(RAX), initial(7, 4));
}

/* ---- pages ---- */

static void page_crossing(void)
{
	start(X86_MODE_LONG);
	GPR(RBX) = BASE + MACHINE_RO_OFFSET - 3;
	GPR(RAX) = 0x1122334455667788;
	expect_fault(__LINE__, RUN("\x48\x89\x03"), X86_VECTOR_PF, true);
	IS(m.emu.fault.cr2, BASE + MACHINE_RO_OFFSET);
	IS(m.emu.fault.error, 3);
	IS(peek(MACHINE_RO_OFFSET - 3, 3), initial(MACHINE_RO_OFFSET - 3, 3));
	expect_fault(__LINE__, RUN("\x48\x01\x03"), X86_VECTOR_PF, true);
	IS(m.emu.fault.error, 3);			/* a write fault, though it reads first */
	IS(RUN("\x48\x39\x03"), X86_EMU_OK);		/* cmp only reads */
	m.regs.rip = 0x100;
	GPR(RBX) = BASE + PAGE_SIZE - 3;
	IS(RUN("\x48\x89\x03"), X86_EMU_OK);
	IS(peek(PAGE_SIZE - 3, 8), 0x1122334455667788);
	IS(m.emu.retired, true);
	IS(RUN("\xf0\x48\x01\x03"), X86_EMU_UNHANDLED);	/* a lock across pages */
	IS(RUN("\xf0\x48\x0f\xba\x2b\x01"), X86_EMU_UNHANDLED);
	IS(RUN("\x48\x87\x03"), X86_EMU_UNHANDLED);
}

static void alignment_check(void)
{
	start(X86_MODE_LONG);
	m.regs.rflags |= X86_EFLAGS_AC;
	GPR(RBX) = BASE + 1;
	IS(RUN("\x8b\x03"), X86_EMU_OK);		/* ring 0 */
	m.regs.rip = 0x100;
	m.emu.cpl = 3;
	FAULTS("\x8b\x03", AC, true);
	IS(RUN("\x8a\x03"), X86_EMU_OK);
	m.regs.rip = 0x100;
	m.emu.cr0 &= ~(u64)X86_CR0_AM;
	IS(RUN("\x8b\x03"), X86_EMU_OK);
}

static enum x86_emu_rc lose_race(struct x86_emu *emu, u64 gva, const void *old, const void *val,
				 unsigned int len)
{
	return X86_EMU_RETRY;
}

static void lost_races(void)
{
	struct x86_emu_ops ops = machine_ops;
	struct x86_regs before;

	start(X86_MODE_LONG);
	ops.cmpxchg = lose_race;
	m.emu.ops = &ops;
	GPR(RBX) = BASE;
	GPR(RAX) = 5;
	before = m.regs;
	IS(RUN("\xf0\x01\x03"), X86_EMU_RETRY);
	IS(RUN("\x87\x03"), X86_EMU_RETRY);
	IS(RUN("\xf0\x0f\xc1\x03"), X86_EMU_RETRY);
	IS(RUN("\xf0\x0f\xb1\x03"), X86_EMU_RETRY);
	IS(RUN("\xf0\x48\x0f\xc7\x0b"), X86_EMU_RETRY);
	IS(RUN("\xf0\x0f\xab\x03"), X86_EMU_RETRY);
	IS(memcmp(&before, &m.regs, sizeof(before)), 0);
	IS(m.emu.retired, false);
	IS(RUN("\x01\x03"), X86_EMU_OK);		/* without LOCK there is no race to lose */
}

/* ---- stack and branches ---- */

static void stack_width(void)
{
	start(X86_MODE_PROT32);
	m.seg[X86_SEG_SS].attrib &= ~X86_SEG_DB;	/* 16-bit stack under 32-bit code */
	m.seg[X86_SEG_SS].base = BASE;
	GPR(RSP) = 0xabcd0002;
	GPR(RAX) = 0x11223344;
	m.flat = true;
	IS(RUN("\x66\x50"), X86_EMU_OK);		/* push ax */
	IS(GPR(RSP), 0xabcd0000);
	IS(peek(0, 2), 0x3344);
	IS(RUN("\x66\x50"), X86_EMU_OK);
	IS(GPR(RSP), 0xabcdfffe);
	IS(RUN("\x66\x58"), X86_EMU_OK);
	IS(GPR(RSP), 0xabcd0000);

	start(X86_MODE_PROT32);
	GPR(RSP) = BASE + 0x10;
	IS(RUN("\x54"), X86_EMU_OK);			/* push esp: the old value */
	IS(peek(0xc, 4), BASE + 0x10);
	poke(0xc, 0x77, 4);
	IS(RUN("\x5c"), X86_EMU_OK);			/* pop esp: the value read */
	IS(GPR(RSP), 0x77);
	GPR(RSP) = BASE + 0x10;
	poke(0x10, 0xcafe, 4);
	IS(RUN("\x8f\x44\x24\x04"), X86_EMU_OK);	/* pop [esp+4]: esp as it is afterwards */
	IS(peek(0x18, 4), 0xcafe);
	IS(GPR(RSP), BASE + 0x14);
	IS(RUN("\x6a\xfe"), X86_EMU_OK);		/* push -2 */
	IS(peek(0x10, 4), 0xfffffffe);
}

static void pop_faults_on_its_destination(void)
{
	start(X86_MODE_LONG);
	GPR(RSP) = BASE + 0x10;
	GPR(RBX) = BASE + MACHINE_RO_OFFSET;
	expect_fault(__LINE__, RUN("\x8f\x03"), X86_VECTOR_PF, true);
	IS(GPR(RSP), BASE + 0x10);
}

static void branches(void)
{
	start(X86_MODE_PROT32);
	m.seg[X86_SEG_CS].limit = 0xfff;
	GPR(RSP) = BASE + 0x10;
	FAULTS("\xe8\x00\x10\x00\x00", GP, true);	/* call beyond the limit */
	IS(GPR(RSP), BASE + 0x10);
	IS(peek(0xc, 4), initial(0xc, 4));
	GPR(RAX) = 0x12340200;
	IS(RUN("\x66\xff\xe0"), X86_EMU_OK);		/* jmp ax: upper half cut */
	IS(m.regs.rip, 0x200);
	IS(RUN("\x66\xe8\xfb\xff"), X86_EMU_OK);	/* call, 16-bit: pushes two bytes */
	IS(m.regs.rip, 0x1ff);
	IS(GPR(RSP), BASE + 0xe);
	IS(peek(0xe, 2), 0x204);
	IS(RUN("\x66\xc2\x06\x00"), X86_EMU_OK);	/* ret 6 */
	IS(m.regs.rip, 0x204);
	IS(GPR(RSP), BASE + 0x16);

	start(X86_MODE_REAL);
	m.regs.rip = 0;
	IS(RUN("\xeb\xf0"), X86_EMU_OK);
	IS(m.regs.rip, 0xfff2);				/* IP wraps */
	GPR(RCX) = 0xffff0001;
	IS(RUN("\xe2\x10"), X86_EMU_OK);		/* loop counts in cx */
	IS(GPR(RCX), 0xffff0000);
	IS(m.regs.rip, 0xfff4);
	IS(RUN("\x67\xe2\x01"), X86_EMU_OK);		/* and in ecx */
	IS(GPR(RCX), 0xfffeffff);
	IS(m.regs.rip, 0xfff8);

	start(X86_MODE_LONG);
	GPR(RAX) = 0x0001000000000000;
	FAULTS("\xff\xe0", GP, true);
	IS(RUN("\x66\xff\xe0"), X86_EMU_UNHANDLED);	/* vendors differ */
}

static void opcodes_of_32bit_code(void)
{
	start(X86_MODE_PROT32);
	GPR(RBX) = 0xffffffff;
	IS(RUN("\x43"), X86_EMU_OK);			/* inc ebx */
	IS(GPR(RBX), 0);
	IS(m.regs.rflags & X86_EFLAGS_ZF, X86_EFLAGS_ZF);
	IS(RUN("\x66\x4b"), X86_EMU_OK);		/* dec bx */
	IS(GPR(RBX), 0xffff);
	IS(RUN("\xb4\x12"), X86_EMU_OK);		/* mov ah, 12 */
	IS(GPR(RAX), 0x1200);
	IS(RUN("\x90"), X86_EMU_OK);
	IS(RUN("\x93"), X86_EMU_OK);			/* xchg eax, ebx */
	IS(GPR(RBX), 0x1200);
	IS(RUN("\xa2\x05\x00\x01\x00"), X86_EMU_OK);	/* mov [BASE+5], al */
	IS(peek(5, 1), 0xff);
	IS(RUN("\x63\xc0"), X86_EMU_UNHANDLED);		/* arpl */
	GPR(RBX) = BASE;
	m.seg[X86_SEG_FS].selector = 0xabcd;
	IS(RUN("\x8c\x23"), X86_EMU_OK);		/* mov [ebx], fs: two bytes */
	IS(peek(0, 4), (initial(0, 4) & 0xffff0000) | 0xabcd);
}

static void division_limits(void)
{
	start(X86_MODE_LONG);
	GPR(RBX) = 1;
	GPR(RAX) = 0xff80;
	IS(RUN("\xf6\xfb"), X86_EMU_OK);		/* idiv bl: -128 fits */
	IS(GPR(RAX), 0x0080);
	m.regs.rip = 0x100;
	FAULTS("\xf6\xfb", DE, false);			/* 128 does not */
	GPR(RAX) = 0xff7f;
	FAULTS("\xf6\xfb", DE, false);
	GPR(RDX) = ~0ULL;
	GPR(RAX) = 1ULL << 63;
	IS(RUN("\x48\xf7\xfb"), X86_EMU_OK);
	IS(GPR(RAX), 1ULL << 63);
	IS(GPR(RDX), 0);
	m.regs.rip = 0x100;
	GPR(RDX) = 0;
	FAULTS("\x48\xf7\xfb", DE, false);
	IS(RUN("\x48\xf7\xf3"), X86_EMU_OK);		/* unsigned it does */
	m.regs.rip = 0x100;
	GPR(RDX) = 1;
	FAULTS("\x48\xf7\xf3", DE, false);
	GPR(RBX) = 0;
	FAULTS("\x48\xf7\xf3", DE, false);
}

/* ---- string instructions ---- */

static void string_wraps_at_its_address_size(void)
{
	start(X86_MODE_REAL);
	m.flat = true;
	m.seg[X86_SEG_ES].base = 0;
	m.seg[X86_SEG_DS].base = 0;
	GPR(RSI) = 0xaaaa1fff;
	GPR(RDI) = 0xbbbbffff;
	GPR(RCX) = 0xcccc0003;
	IS(RUN("\xf3\xa4"), X86_EMU_OK);
	IS(GPR(RSI), 0xaaaa2002);
	IS(GPR(RDI), 0xbbbb0002);
	IS(GPR(RCX), 0xcccc0000);
	IS(peek(0xffff % MACHINE_BYTES, 1), initial(0x1fff, 1));
	IS(peek(0, 2), initial(0x2000, 2));
	IS(m.emu.iterations, 3);
	/* A word at offset ffff is beyond the limit. */
	m.regs.rip = 0x100;
	GPR(RSI) = 0xffff;
	FAULTS("\xa5", GP, false);
}

static void string_segments(void)
{
	start(X86_MODE_PROT32);
	m.seg[X86_SEG_ES].attrib &= ~X86_SEG_WRITABLE;
	GPR(RSI) = BASE;
	GPR(RDI) = BASE + 0x100;
	FAULTS("\xa4", GP, true);
	FAULTS("\x3e\xa4", GP, true);			/* the destination has no override */
	IS(RUN("\xa6"), X86_EMU_OK);			/* cmps reads it */
	m.seg[X86_SEG_FS].base = 0x40;
	GPR(RSI) = BASE;
	IS(RUN("\x64\xac"), X86_EMU_OK);		/* lodsb fs:[esi] */
	IS(GPR(RAX) & 0xff, initial(0x40, 1));
}

static void fault_in_repetition(void)
{
	start(X86_MODE_LONG);
	GPR(RSI) = BASE;
	GPR(RDI) = BASE + MACHINE_RO_OFFSET - 3;
	GPR(RCX) = 10;
	expect_fault(__LINE__, RUN("\xf3\xa4"), X86_VECTOR_PF, true);
	IS(m.emu.iterations, 3);
	IS(GPR(RCX), 7);
	IS(GPR(RSI), BASE + 3);
	IS(GPR(RDI), BASE + MACHINE_RO_OFFSET);
	IS(m.emu.fault.cr2, BASE + MACHINE_RO_OFFSET);
	IS(peek(MACHINE_RO_OFFSET - 3, 3), initial(0, 3));
	IS(m.emu.retired, false);
	/* An element across the border leaves nothing behind. */
	GPR(RDI) = BASE + MACHINE_RO_OFFSET - 2;
	GPR(RSI) = BASE + 0x100;
	expect_fault(__LINE__, RUN("\xf3\xa5"), X86_VECTOR_PF, true);
	IS(m.emu.iterations, 0);
	IS(peek(MACHINE_RO_OFFSET - 2, 2), initial(1, 2));
}

static void budget_and_single_step(void)
{
	start(X86_MODE_LONG);
	GPR(RDI) = BASE;
	GPR(RCX) = 5;
	m.emu.budget = 2;
	m.regs.rflags |= X86_EFLAGS_RF;
	IS(RUN("\xf3\xaa"), X86_EMU_OK);
	IS(m.emu.iterations, 2);
	IS(m.regs.rip, 0x100);
	IS(GPR(RCX), 3);
	IS(m.emu.retired, true);
	IS(m.emu.single_step, false);
	IS(m.regs.rflags & X86_EFLAGS_RF, X86_EFLAGS_RF); /* until the instruction is done */
	m.emu.budget = 100;
	m.regs.rflags |= X86_EFLAGS_TF;
	IS(RUN("\xf3\xaa"), X86_EMU_OK);
	IS(m.emu.iterations, 1);
	IS(m.emu.single_step, true);
	IS(m.regs.rip, 0x100);
	IS(RUN("\xf3\xaa"), X86_EMU_OK);
	IS(RUN("\xf3\xaa"), X86_EMU_OK);
	IS(GPR(RCX), 0);
	IS(m.regs.rip, 0x102);				/* with the last iteration */
	IS(m.emu.single_step, true);
	IS(m.regs.rflags & X86_EFLAGS_RF, 0);
	IS(RUN("\xf3\xaa"), X86_EMU_OK);		/* none at all */
	IS(m.emu.iterations, 0);
	IS(m.regs.rip, 0x104);
	IS(m.emu.single_step, true);
	m.regs.rflags &= ~(u64)X86_EFLAGS_TF;
	IS(RUN("\xaa"), X86_EMU_OK);
	IS(m.emu.single_step, false);
	/* The budget of 0 makes progress too. */
	m.emu.budget = 0;
	GPR(RCX) = 2;
	IS(RUN("\xf3\xaa"), X86_EMU_OK);
	IS(GPR(RCX), 1);
}

static enum x86_emu_rc write_and_stop(struct x86_emu *emu, u64 gva, const void *val,
				      unsigned int len)
{
	emu->budget = 0;
	return machine_ops.write(emu, gva, val, len);
}

static void an_operation_ends_the_batch(void)
{
	struct x86_emu_ops ops = machine_ops;

	start(X86_MODE_LONG);
	ops.write = write_and_stop;
	m.emu.ops = &ops;
	GPR(RDI) = BASE;
	GPR(RCX) = 5;
	IS(RUN("\xf3\xaa"), X86_EMU_OK);
	IS(GPR(RCX), 4);
	IS(m.regs.rip, 0x100);
}

static const struct hand_test tests[] = {
	{ "real mode addresses", real_mode_addresses },
	{ "real mode limits", real_mode_limits },
	{ "virtual-8086 faults", vm86_faults_have_error_codes },
	{ "segment types", segment_types },
	{ "expand-down segments", expand_down },
	{ "wrap at 4 GiB", wrap_at_4g },
	{ "canonical addresses", canonical_addresses },
	{ "RIP-relative", rip_relative },
	{ "page crossing", page_crossing },
	{ "alignment check", alignment_check },
	{ "lost races", lost_races },
	{ "stack width", stack_width },
	{ "POP faults on its destination", pop_faults_on_its_destination },
	{ "branches", branches },
	{ "opcodes of 32-bit code", opcodes_of_32bit_code },
	{ "division limits", division_limits },
	{ "string address size", string_wraps_at_its_address_size },
	{ "string segments", string_segments },
	{ "fault in a repetition", fault_in_repetition },
	{ "budget and single step", budget_and_single_step },
	{ "an operation ends the batch", an_operation_ends_the_batch },
};

int main(void)
{
	return run_hand_tests(tests, ARRAY_SIZE(tests));
}
