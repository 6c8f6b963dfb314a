// SPDX-License-Identifier: GPL-2.0
/*
 * What the comparison with the processor (x86_native.c) cannot reach from a
 * 64-bit user program, part two: ports, vector state, privileged instructions,
 * fetch, operands of instructions that exit, and what is left alone.
 */
#include "tests/unit/x86_hand.h"

/* ---- ports ---- */

static void string_ports(void)
{
	start(X86_MODE_LONG);
	GPR(RDI) = BASE + PAGE_SIZE - 8;
	GPR(RDX) = 0x1f0;
	GPR(RCX) = 100;
	m.emu.budget = 8;
	IS(RUN("\xf3\x66\x6d"), X86_EMU_OK);		/* rep insw: up to the end of the page first */
	IS(m.emu.iterations >= 8, true);
	IS(m.memo[1].kind, OP_PIO_IN);
	IS(m.memo[1].len, 8);
	IS(m.memo[1].address, 0x1f0);
	IS(peek(PAGE_SIZE - 8, 2), 0x0e07);

	start(X86_MODE_LONG);
	GPR(RDI) = BASE + MACHINE_RO_OFFSET - 4;
	GPR(RCX) = 8;
	expect_fault(__LINE__, RUN("\xf3\x6c"), X86_VECTOR_PF, true);
	IS(m.emu.iterations, 4);
	IS(m.port_reads, 4);				/* the fifth byte was not read from the port */

	start(X86_MODE_LONG);
	m.regs.rflags |= X86_EFLAGS_DF;
	GPR(RSI) = BASE + 0x10;
	GPR(RCX) = 3;
	IS(RUN("\xf3\x6e"), X86_EMU_OK);		/* rep outsb downwards: one by one */
	IS(m.nr_ops, 6);
	IS(GPR(RSI), BASE + 0xd);

	start(X86_MODE_REAL);
	m.flat = true;
	GPR(RSI) = 0xfffe;
	GPR(RCX) = 4;
	IS(RUN("\xf3\x6e"), X86_EMU_OK);		/* the batch stops at the end of the segment */
	IS(GPR(RSI), 2);
	m.regs.rip = 0x100;
	m.seg[X86_SEG_DS].limit = 0x100;
	GPR(RSI) = 0xfe;
	GPR(RCX) = 4;
	m.emu.io_bytes = 3;
	FAULTS("\xf3\x6e", GP, false);
	IS(GPR(RSI), 0x101);
	IS(GPR(RCX), 1);
}

static enum x86_emu_rc allow_port(struct x86_emu *emu, u16 port, unsigned int size)
{
	return port == 0x80 ? X86_EMU_OK : X86_EMU_UNHANDLED;
}

static void port_permission(void)
{
	struct x86_emu_ops ops = machine_ops;

	start(X86_MODE_LONG);
	m.emu.cpl = 3;
	GPR(RDI) = BASE;
	FAULTS("\x6c", GP, true);
	FAULTS("\xec", GP, true);
	FAULTS("\xe6\x80", GP, true);
	ops.pio_allowed = allow_port;
	m.emu.ops = &ops;
	IS(RUN("\xe6\x80"), X86_EMU_OK);
	m.regs.rip = 0x100;
	m.emu.ops = &machine_ops;
	m.regs.rflags |= X86_EFLAGS_IOPL;
	IS(RUN("\x6c"), X86_EMU_OK);
	start(X86_MODE_VM86);
	m.regs.rflags |= X86_EFLAGS_IOPL;
	FAULTS("\xec", GP, true);			/* virtual-8086: IOPL does not matter */
	start(X86_MODE_REAL);
	m.emu.cpl = 3;
	GPR(RAX) = 0xffff;
	IS(RUN("\xec"), X86_EMU_OK);
	IS(GPR(RAX), 0xff07);
	IS(RUN("\x66\xe5\x10"), X86_EMU_OK);		/* in eax, 10 */
	IS(GPR(RAX), 0x231c150e);
	IS(RUN("\x66\xef"), X86_EMU_OK);
	IS(m.memo[m.nr_memo - 1].len, 4);
}

/* ---- vectors ---- */

static void vector_state(void)
{
	start(X86_MODE_LONG);
	GPR(RBX) = BASE;
	m.emu.cr0 |= X86_CR0_TS;
	FAULTS("\x0f\x10\x03", NM, false);		/* movups */
	FAULTS("\xc5\xf8\x10\x03", NM, false);
	FAULTS("\x0f\x6f\x03", NM, false);		/* movq mm */
	m.emu.cr4 &= ~(u64)X86_CR4_OSFXSR;
	FAULTS("\x0f\x10\x03", UD, false);
	m.emu.cr0 = X86_CR0_PE | X86_CR0_EM;
	FAULTS("\x0f\x6f\x03", UD, false);
	m.emu.cr0 = X86_CR0_PE;
	IS(RUN("\x0f\x6f\x03"), X86_EMU_OK);
	m.regs.rip = 0x100;
	m.emu.cr4 &= ~(u64)X86_CR4_OSXSAVE;
	FAULTS("\xc5\xf8\x10\x03", UD, false);
	m.emu.cr4 |= X86_CR4_OSXSAVE;
	m.emu.xcr0 = 3;
	FAULTS("\xc5\xf8\x10\x03", UD, false);
	m.emu.xcr0 = 7;
	IS(RUN("\xc5\xf8\x10\x03"), X86_EMU_OK);
	m.regs.rip = 0x100;
	FAULTS("\xc5\xf0\x10\x03", UD, false);		/* vvvv must not be used */
	FAULTS("\xc5\xfc\x13\x03", UD, false);		/* vmovlps is of 128 bits */
	FAULTS("\xc5\xfd\x7e\x03", UD, false);
	m.emu.cr4 |= X86_CR4_OSFXSR;
	GPR(RBX) = BASE + 8;
	FAULTS("\x0f\x28\x03", GP, true);		/* movaps */
	IS(RUN("\x0f\x10\x03"), X86_EMU_OK);
}

static void vector_upper_halves(void)
{
	u8 zero[16] = { 0 };

	start(X86_MODE_PROT32);
	GPR(RBX) = BASE + 0x40;
	memset(m.ymm[1], 0xaa, 32);
	IS(RUN("\x0f\x10\x0b"), X86_EMU_OK);		/* SSE leaves the upper half */
	IS(m.ymm[1][16], 0xaa);
	IS(memcmp(m.ymm[1], mem + 0x40, 16), 0);
	IS(RUN("\xc5\xf8\x10\x0b"), X86_EMU_OK);	/* VEX.128 clears it */
	IS(memcmp(m.ymm[1] + 16, zero, 16), 0);
	IS(RUN("\xc5\xfc\x10\x0b"), X86_EMU_OK);
	IS(memcmp(m.ymm[1], mem + 0x40, 32), 0);
}

/* ---- privileged ---- */

static void control_registers(void)
{
	start(X86_MODE_LONG);
	GPR(RAX) = 0x123456789;
	IS(RUN("\x0f\x22\xd8"), X86_EMU_OK);		/* mov cr3, rax */
	IS(m.cr[3], 0x123456789);
	IS(RUN("\x44\x0f\x22\xc0"), X86_EMU_OK);	/* mov cr8, rax */
	IS(m.cr[8], 0x123456789);
	m.regs.rip = 0x100;
	FAULTS("\x0f\x22\xc8", UD, false);		/* cr1 */
	m.emu.cpl = 3;
	FAULTS("\x0f\x22\xd8", GP, true);
	FAULTS("\x0f\x06", GP, true);
	start(X86_MODE_PROT32);
	m.cr[4] = 0xffffffff00000020;
	GPR(RCX) = ~0ULL;
	IS(RUN("\x0f\x20\xe1"), X86_EMU_OK);		/* mov ecx, cr4 */
	IS(GPR(RCX), 0x20);
	GPR(RCX) = 7;
	IS(RUN("\xf0\x0f\x22\xc1"), X86_EMU_OK);	/* lock mov cr0: cr8 */
	IS(m.cr[8], 7);
	m.emu.cr0 = 0x80000000 | X86_CR0_PE | X86_CR0_TS;
	IS(RUN("\x0f\x06"), X86_EMU_OK);
	IS(m.cr[0], 0x80000000 | X86_CR0_PE);
	GPR(RAX) = 0xfff2;
	IS(RUN("\x0f\x01\xf0"), X86_EMU_OK);		/* lmsw ax: PE stays, TS goes, MP comes */
	IS(m.cr[0], 0x80000000 | X86_CR0_PE | X86_CR0_MP);
	GPR(RBX) = BASE;
	IS(RUN("\x0f\x01\x23"), X86_EMU_OK);		/* smsw [ebx] */
	IS(peek(0, 4), (initial(0, 4) & 0xffff0000) | 9);
	IS(RUN("\x0f\x01\xe2"), X86_EMU_OK);		/* smsw edx */
	IS(GPR(RDX), 0x80000009);
	m.regs.rip = 0x100;
	m.emu.cpl = 3;
	IS(RUN("\x0f\x01\x23"), X86_EMU_OK);
	m.regs.rip = 0x100;
	m.emu.cr4 |= BIT_ULL(11);			/* UMIP */
	FAULTS("\x0f\x01\x23", GP, true);
}

static void debug_registers(void)
{
	start(X86_MODE_LONG);
	GPR(RAX) = 0x1000;
	IS(RUN("\x0f\x23\xc0"), X86_EMU_OK);
	IS(m.dr[0], 0x1000);
	m.dr[6] = 0xffff0ff0;
	IS(RUN("\x0f\x21\xe1"), X86_EMU_OK);		/* mov rcx, dr4: dr6 */
	IS(GPR(RCX), 0xffff0ff0);
	m.regs.rip = 0x100;
	m.emu.cr4 |= BIT_ULL(3);			/* DE */
	FAULTS("\x0f\x21\xe1", UD, false);
	FAULTS("\x44\x0f\x21\xc1", UD, false);		/* dr8 */
	m.emu.cpl = 1;
	FAULTS("\x0f\x21\xc1", GP, true);
}

static void invalidations(void)
{
	start(X86_MODE_PROT32);
	m.seg[X86_SEG_DS].base = 0xfffff000;
	m.seg[X86_SEG_DS].limit = 0;
	GPR(RBX) = 0x2345;
	IS(RUN("\x0f\x01\x3b"), X86_EMU_OK);
	IS(m.invlpg, 0x1345);
	start(X86_MODE_LONG);
	GPR(RBX) = 0x0123456789abcdef;
	IS(RUN("\x0f\x01\x3b"), X86_EMU_OK);
	IS(m.invlpg, 0x0123456789abcdef);
	m.regs.rip = 0x100;
	m.emu.cpl = 3;
	FAULTS("\x0f\x01\x3b", GP, true);
}

#define INVPCID_RCX_RBX "\x66\x0f\x38\x82\x0b"

static void invalidations_by_pcid(void)
{
	start(X86_MODE_LONG);
	GPR(RBX) = BASE;
	GPR(RCX) = 1;
	poke(0, 0x123, 8);
	poke(8, 0x8000000000000000, 8);
	FAULTS(INVPCID_RCX_RBX, GP, true);		/* a PCID without CR4.PCIDE */
	m.emu.cr4 |= 1 << 17;
	IS(RUN(INVPCID_RCX_RBX), X86_EMU_OK);
	IS(m.invpcid_type, 1);
	IS(m.invpcid, 0x123);
	m.regs.rip = 0x100;
	GPR(RCX) = 0;
	FAULTS(INVPCID_RCX_RBX, GP, true);		/* an address that is not canonical */
	poke(8, 0x7000, 8);
	IS(RUN(INVPCID_RCX_RBX), X86_EMU_OK);
	IS(m.invlpg, 0x7000);
	m.regs.rip = 0x100;
	GPR(RCX) = 4;
	FAULTS(INVPCID_RCX_RBX, GP, true);
	GPR(RCX) = 2;
	poke(0, 0x1000, 8);
	FAULTS(INVPCID_RCX_RBX, GP, true);
	poke(0, 0, 8);
	m.emu.cr4 = 0;
	IS(RUN(INVPCID_RCX_RBX), X86_EMU_OK);
	IS(m.invpcid_type, 2);
	m.regs.rip = 0x100;
	m.emu.cpl = 3;
	FAULTS(INVPCID_RCX_RBX, GP, true);
}

static void interrupt_flag(void)
{
	start(X86_MODE_LONG);
	m.regs.rflags |= X86_EFLAGS_RF | X86_EFLAGS_TF;
	IS(RUN("\xfb"), X86_EMU_OK);
	IS(m.emu.shadow, X86_EMU_SHADOW_STI);
	IS(m.regs.rflags, 2 | X86_EFLAGS_IF | X86_EFLAGS_TF);
	IS(m.emu.single_step, true);
	IS(RUN("\xfb"), X86_EMU_OK);
	IS(m.emu.shadow, X86_EMU_SHADOW_NONE);		/* was set already */
	IS(RUN("\xfa"), X86_EMU_OK);
	IS(m.regs.rflags & X86_EFLAGS_IF, 0);
	m.regs.rip = 0x100;
	m.emu.cpl = 3;
	FAULTS("\xfb", GP, true);
	m.emu.cr4 |= BIT_ULL(1);			/* PVI */
	IS(RUN("\xfb"), X86_EMU_UNHANDLED);
	m.regs.rflags |= X86_EFLAGS_IOPL;
	IS(RUN("\xfa"), X86_EMU_OK);
}

static void older_processors(void)
{
	start(X86_MODE_LONG);
	m.emu.has_tzcnt = false;
	GPR(RBX) = BASE;
	poke(0, 0, 4);
	GPR(RAX) = 0x77;
	IS(RUN("\xf3\x0f\xbc\x03"), X86_EMU_OK);	/* bsf: the register stays */
	IS(GPR(RAX), 0x77);
	m.emu.has_tzcnt = true;
	IS(RUN("\xf3\x0f\xbc\x03"), X86_EMU_OK);
	IS(GPR(RAX), 32);
}

/* ---- fetch ---- */

static void fetch(void)
{
	start(X86_MODE_LONG);
	memset(mem + PAGE_SIZE - 4, 0x48, 1);
	memcpy(mem + PAGE_SIZE - 4, "\x48\xc7\x04\x25\x00\x00\x01\x00\x11\x22\x33\x44", 12);
	m.regs.rip = BASE + PAGE_SIZE - 4;
	IS(x86_emu_fetch(&m.emu), X86_EMU_OK);
	IS(m.emu.insn.length, 12);
	IS(x86_emulate(&m.emu), X86_EMU_OK);
	IS(peek(0, 8), 0x44332211);
	IS(m.regs.rip, BASE + PAGE_SIZE + 8);
	/* The last bytes of what can be executed: the instruction ends there, or does not. */
	memcpy(mem + MACHINE_NONE_OFFSET - 2, "\x90\x8b", 2);
	m.regs.rip = BASE + MACHINE_NONE_OFFSET - 2;
	IS(x86_emu_fetch(&m.emu), X86_EMU_OK);
	IS(m.emu.insn.length, 1);
	m.regs.rip++;
	IS(x86_emu_fetch(&m.emu), X86_EMU_FAULT);
	IS(m.emu.fault.vector, X86_VECTOR_PF);
	IS(m.emu.fault.cr2, BASE + MACHINE_NONE_OFFSET);
	memset(mem, 0x66, 20);
	m.regs.rip = BASE;
	IS(x86_emu_fetch(&m.emu), X86_EMU_FAULT);
	IS(m.emu.fault.vector, X86_VECTOR_GP);
	memcpy(mem, "\x0f\x0a", 2);
	IS(x86_emu_fetch(&m.emu), X86_EMU_FAULT);
	IS(m.emu.fault.vector, X86_VECTOR_UD);
	m.regs.rip = 0x800000000000;
	IS(x86_emu_fetch(&m.emu), X86_EMU_FAULT);
	IS(m.emu.fault.vector, X86_VECTOR_GP);

	start(X86_MODE_REAL);
	m.seg[X86_SEG_CS].limit = 0x101;
	memcpy(mem + 0x100, "\x8b\x46\x00", 3);
	IS(x86_emu_fetch(&m.emu), X86_EMU_FAULT);	/* cut by the limit */
	IS(m.emu.fault.vector, X86_VECTOR_GP);
	m.seg[X86_SEG_CS].limit = 0x102;
	IS(x86_emu_fetch(&m.emu), X86_EMU_OK);
	m.regs.rip = 0x103;
	IS(x86_emu_fetch(&m.emu), X86_EMU_FAULT);
}

/* ---- what is left alone ---- */

static void left_alone(void)
{
	static const struct {
		const char *bytes;
		unsigned int len;
	} insns[] = {
		{ "\x0f\xae\x03", 3 },			/* fxsave */
		{ "\x0f\x58\x03", 3 },			/* addps */
		{ "\x0f\x10\xc1", 3 },			/* movups register */
		{ "\x0f\x12\xc1", 3 },			/* movhlps */
		{ "\xf2\x0f\x12\x03", 4 },		/* movddup */
		{ "\xf3\x0f\x16\x03", 4 },		/* movshdup */
		{ "\xd8\x03", 2 },			/* x87 */
		{ "\xdd\x1b", 2 },
		{ "\xff\x1b", 2 },			/* far call */
		{ "\xff\x2b", 2 },
		{ "\x8e\x1b", 2 },			/* mov ds, [rbx] */
		{ "\x0f\xa1", 2 },			/* pop fs */
		{ "\x9c", 1 }, { "\x9d", 1 },		/* pushf popf */
		{ "\xcf", 1 }, { "\xcd\x80", 2 }, { "\xcc", 1 },
		{ "\xc8\x10\x00\x00", 4 }, { "\xc9", 1 },
		{ "\xd7", 1 },				/* xlat */
		{ "\x0f\xa2", 2 }, { "\x0f\x30", 2 }, { "\xf4", 1 },
		{ "\x0f\x01\x13", 3 },			/* lgdt */
		{ "\x0f\xc7\xf0", 3 },			/* rdrand */
		{ "\x0f\xc8", 2 },			/* bswap */
		{ "\xc5\xf8\x77", 3 },			/* vzeroupper */
		{ "\xc5\xfb\x12\x03", 4 },
		{ "\x62\xf1\x7c\x48\x10\x03", 6 },	/* vmovups zmm */
		{ "\x8f\xea\x78\x10\x03\x11\x22\x33\x44", 9 },
		{ "\x0f\x38\xf6\x03", 4 },		/* wrss */
		{ "\x8d\x03", 2 },			/* lea */
	};
	struct x86_regs before;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		start(X86_MODE_LONG);
		GPR(RBX) = BASE;
		GPR(RSP) = BASE + 0x100;
		before = m.regs;
		IS(run(insns[i].bytes, insns[i].len), X86_EMU_UNHANDLED);
		IS(memcmp(&before, &m.regs, sizeof(before)), 0);
		IS(m.nr_ops, 0);
	}
	FAULTS("\x0f\x0b", UD, false);			/* ud2 */
}

static void undefined(void)
{
	start(X86_MODE_LONG);
	IS(DECODE("\xf0\x8b\x03"), -EINVAL);		/* lock mov */
	IS(DECODE("\xf0\x01\xc3"), -EINVAL);		/* lock add register */
	IS(DECODE("\xf0\x03\x03"), -EINVAL);
	IS(DECODE("\xf0\x0f\xa3\x03"), -EINVAL);	/* lock bt */
	IS(DECODE("\xf0\x0f\xab\x03"), 0);		/* lock bts */
	IS(DECODE("\x06"), -EINVAL);			/* push es */
	IS(DECODE("\xea\x00\x00\x00\x00\x00\x00"), -EINVAL);
	IS(DECODE("\x66\xc5\xf8\x10\x03"), -EINVAL);	/* 66 in front of VEX */
	IS(DECODE("\x48\xc5\xf8\x10\x03"), -EINVAL);	/* REX in front of VEX */
	IS(DECODE("\xf3\x0f\x28\x03"), -EINVAL);
	start(X86_MODE_REAL);
	IS(DECODE("\xc5\xf8\x10\x03"), -EINVAL);	/* lds with a register */
	IS(DECODE("\x0f\x00\xc0"), -EINVAL);		/* sldt */
	IS(DECODE("\x63\xc0"), -EINVAL);		/* arpl */
	start(X86_MODE_PROT16);
	IS(DECODE("\xc5\xf8\x10\x07"), 0);
	IS(m.emu.insn.encoding, X86_ENC_VEX);
	IS(DECODE("\xc5\x3f"), 0);			/* lds di, [bx] */
	IS(m.emu.insn.encoding, X86_ENC_LEGACY);
}

/* ---- operands of instructions that exit for their own reasons ---- */

static void exiting_operands(void)
{
	const struct x86_insn *i = &m.emu.insn;

	start(X86_MODE_LONG);
	IS(DECODE("\x41\x0f\x22\xdd"), 0);		/* mov cr3, r13 */
	IS(i->op, X86_OP_MOV_CR);
	IS(i->reg, 3);
	IS(i->rm, 13);
	IS(DECODE("\x0f\x20\x03"), 0);			/* mod is ignored */
	IS(i->length, 3);
	IS(i->rm, 3);
	IS(DECODE("\x0f\x23\xf8"), 0);
	IS(i->op, X86_OP_MOV_DR);
	IS(i->reg, 7);
	IS(DECODE("\x65\x67\xf3\x48\x6d"), 0);		/* rep ins dword */
	IS(i->op, X86_OP_INS);
	IS(i->op_bytes, 4);
	IS(i->addr_bytes, 4);
	IS(i->rep, 0xf3);
	IS(DECODE("\x65\x6e"), 0);
	IS(i->seg, X86_SEG_GS);
	IS(DECODE("\xe5\xff"), 0);
	IS(i->imm, 0xff);
	IS(i->op_bytes, 4);
	IS(DECODE("\xcd\x80"), 0);
	IS(i->imm, 0x80);
	IS(DECODE("\x0f\x01\xd9"), 0);
	IS(i->op, X86_OP_VMMCALL);
	IS(DECODE("\x0f\x01\xc1"), 0);
	IS(i->op, X86_OP_VMCALL);
	IS(DECODE("\x0f\x01\xf9"), 0);
	IS(i->op, X86_OP_RDTSCP);
	IS(DECODE("\x0f\x01\xd1"), 0);
	IS(i->op, X86_OP_XSETBV);
	IS(DECODE("\x48\xb8\x01\x02\x03\x04\x05\x06\x07\x88"), 0);
	IS(i->imm, 0x8807060504030201);
	IS(DECODE("\x48\xc7\xc0\xff\xff\xff\xff"), 0);
	IS(i->imm, ~0ULL);
	IS(DECODE("\x36\x65\x8b\x00"), 0);		/* the last override counts */
	IS(i->seg, X86_SEG_GS);
	IS(DECODE("\x65\x36\x8b\x00"), 0);		/* an ignored one does not */
	IS(i->seg, X86_SEG_GS);
	IS(DECODE("\x48\x66\x8b\x00"), 0);		/* REX must be last */
	IS(i->op_bytes, 2);
}

static const struct hand_test tests[] = {
	{ "string ports", string_ports },
	{ "port permission", port_permission },
	{ "vector state", vector_state },
	{ "vector upper halves", vector_upper_halves },
	{ "control registers", control_registers },
	{ "debug registers", debug_registers },
	{ "invalidations", invalidations },
	{ "invalidations by PCID", invalidations_by_pcid },
	{ "interrupt flag", interrupt_flag },
	{ "older processors", older_processors },
	{ "fetch", fetch },
	{ "left alone", left_alone },
	{ "undefined", undefined },
	{ "operands of exiting instructions", exiting_operands },
};

int main(void)
{
	return run_hand_tests(tests, ARRAY_SIZE(tests));
}
