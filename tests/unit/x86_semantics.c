// SPDX-License-Identifier: GPL-2.0
/*
 * What the comparison with the processor (x86_native.c) cannot reach from a
 * 64-bit user program: real, virtual-8086, 16- and 32-bit modes, segments,
 * privileged instructions, ports, single step, fetch, and what the emulator
 * leaves alone. Expected values are written by hand from the manuals.
 */
#include <stdio.h>
#include "x86_machine.h"

#define BASE	0x10000ULL

static struct machine m;
static u8 mem[MACHINE_BYTES];
static const char *test_name;
static unsigned int test_nr, nr_failed;
static bool test_ok;

#define GPR(r)	(m.regs.gpr[X86_##r])

static void check_value(int line, const char *what, u64 is, u64 should)
{
	if (is == should)
		return;
	printf("# line %d: %s is %#llx, not %#llx\n", line, what, is, should);
	test_ok = false;
}
#define IS(val, should)	check_value(__LINE__, #val, (u64)(val), (u64)(should))

/* Memory of a fresh machine holds its own offsets in 16-bit words, multiplied by 3. */
static u64 initial(unsigned int offset, unsigned int bytes)
{
	u64 val = 0;

	while (bytes--)
		val = val << 8 | (u8)((offset + bytes) * 3 + ((offset + bytes) >> 8));
	return val;
}

static u64 peek(unsigned int offset, unsigned int bytes)
{
	u64 val = 0;

	memcpy(&val, mem + offset, bytes);
	return val;
}

static void poke(unsigned int offset, u64 val, unsigned int bytes)
{
	memcpy(mem + offset, &val, bytes);
}

/* A machine in @mode, ring 0; real and 16-bit segments start at BASE. */
static void start(enum x86_mode mode)
{
	unsigned int i;

	for (i = 0; i < MACHINE_BYTES; i++)
		mem[i] = i * 3 + (i >> 8);
	machine_init(&m, mem, BASE);
	m.emu.mode = mode;
	m.emu.cpl = mode == X86_MODE_VM86 ? 3 : 0;
	m.regs.rip = 0x100;
	m.regs.rflags = 2;
	if (mode == X86_MODE_LONG)
		return;
	m.seg[X86_SEG_CS].attrib &= ~X86_SEG_L;
	for (i = 0; i < X86_NR_SEG; i++) {
		m.seg[i].base = mode == X86_MODE_PROT32 ? 0 : BASE;
		if (mode == X86_MODE_PROT32)
			continue;
		m.seg[i].limit = 0xffff;
		m.seg[i].attrib &= ~(X86_SEG_DB | X86_SEG_G);
	}
	if (mode == X86_MODE_REAL)
		m.emu.cr0 &= ~(u64)X86_CR0_PE;
}

static int decode(const char *bytes, unsigned int len)
{
	return x86_decode(&m.emu.insn, (const u8 *)bytes, len, m.emu.mode);
}

static enum x86_emu_rc run(const char *bytes, unsigned int len)
{
	int err = decode(bytes, len);

	if (err || m.emu.insn.length != len) {
		printf("# decoded: %d, length %u of %u\n", err, m.emu.insn.length, len);
		test_ok = false;
		return X86_EMU_UNHANDLED;
	}
	m.nr_writes = 0;
	m.nr_memo = 0;
	m.next_memo = 0;
	return x86_emulate(&m.emu);
}
#define RUN(bytes)	run(bytes, sizeof(bytes) - 1)
#define DECODE(bytes)	decode(bytes, sizeof(bytes) - 1)

static void expect_fault(int line, enum x86_emu_rc rc, unsigned int vector, bool has_error)
{
	check_value(line, "result", rc, X86_EMU_FAULT);
	check_value(line, "vector", m.emu.fault.vector, vector);
	check_value(line, "has_error", m.emu.fault.has_error, has_error);
	check_value(line, "error", vector == X86_VECTOR_PF ? 0 : m.emu.fault.error, 0);
	check_value(line, "rip", m.regs.rip, 0x100);
}
#define FAULTS(bytes, vector, has_error) \
	expect_fault(__LINE__, RUN(bytes), X86_VECTOR_##vector, has_error)

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

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
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
	{ "string ports", string_ports },
	{ "port permission", port_permission },
	{ "vector state", vector_state },
	{ "vector upper halves", vector_upper_halves },
	{ "control registers", control_registers },
	{ "debug registers", debug_registers },
	{ "invalidations", invalidations },
	{ "interrupt flag", interrupt_flag },
	{ "older processors", older_processors },
	{ "fetch", fetch },
	{ "left alone", left_alone },
	{ "undefined", undefined },
	{ "operands of exiting instructions", exiting_operands },
};

int main(void)
{
	printf("1..%zu\n", ARRAY_SIZE(tests));
	for (test_nr = 0; test_nr < ARRAY_SIZE(tests); test_nr++) {
		test_name = tests[test_nr].name;
		test_ok = true;
		tests[test_nr].run();
		if (m.error) {
			printf("# %s\n", m.error);
			test_ok = false;
		}
		printf("%sok %u - %s\n", test_ok ? "" : "not ", test_nr + 1, test_name);
		nr_failed += !test_ok;
	}
	return nr_failed != 0;
}
