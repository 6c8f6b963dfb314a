// SPDX-License-Identifier: GPL-2.0
/*
 * Task switches (x86/task.c) with values by hand from the manual: both kinds of TSS, all four
 * sources, and what is wrong with the new task, told by #TS, #NP and #SS.
 */
#include "tests/unit/x86_hand.h"
#include "x86/task.h"

#define GDT	0x100
#define LDT	0x180
#define OLD	0x200
#define NEW	0x300
#define STACK	0x800

enum { CODE0 = 0x08, DATA0 = 0x10, OLD_TSS = 0x18, NEW_TSS = 0x20, CODE3 = 0x2b, DATA3 = 0x33,
       LOCAL = 0x38, LOCAL_DATA = 0x04 };

static struct x86_task_switch t;

static void descriptor(unsigned int at, u64 base, u64 limit, u64 access, u64 flags)
{
	poke(at, (limit & 0xffff) | (base & 0xffffff) << 16 | access << 40 | (limit >> 16) << 48 |
		 flags << 52 | (base >> 24) << 56, 8);
}

/* An old task with registers 1, 2, 3 ... and a new one, of 32 bits, with 0x11, 0x12, ... */
static void two_tasks(enum x86_task_source source)
{
	unsigned int i;

	start(X86_MODE_PROT32);
	memset(mem, 0, 0x1000);
	m.emu.cr0 |= X86_CR0_PE;
	m.emu.insn.rep = 0xf3;		/* the machine takes it for a string: reads after writes are fine */
	descriptor(GDT + CODE0, 0, 0xfffff, 0x9b, 0xc);
	descriptor(GDT + DATA0, 0, 0xfffff, 0x93, 0xc);
	descriptor(GDT + OLD_TSS, BASE + OLD, 103, 0x8b, 0);
	descriptor(GDT + NEW_TSS, BASE + NEW, 103, source == X86_TASK_IRET ? 0x8b : 0x89, 0);
	descriptor(GDT + (CODE3 & ~7), 0, 0xfffff, 0xfa, 0xc);
	descriptor(GDT + (DATA3 & ~7), 0, 0xfffff, 0xf2, 0xc);
	descriptor(GDT + LOCAL, BASE + LDT, 7, 0x82, 0);
	descriptor(LDT, 0x1000, 0xff, 0x93, 4);
	for (i = 0; i < 8; i++) {
		m.regs.gpr[i] = i + 1;
		poke(NEW + 0x28 + 4 * i, 0x11 + i, 4);
	}
	poke(NEW + 0x1c, 0x5000, 4);
	poke(NEW + 0x20, 0x1234, 4);
	poke(NEW + 0x24, 0x46, 4);
	poke(NEW + 0x38, BASE + STACK, 4);
	for (i = 0; i < 6; i++)
		poke(NEW + 0x48 + 4 * i, i == X86_SEG_CS ? CODE0 : DATA0, 4);
	for (i = 0; i < 6; i++)
		m.seg[i].selector = 0x70 + 8 * i;
	m.seg[X86_SEG_TR] = (struct x86_seg){ .selector = OLD_TSS, .attrib = 0x8b, .limit = 103, .base = BASE + OLD };
	m.regs.rflags = 0x4203;		/* NT */
	t = (struct x86_task_switch){
		.selector = NEW_TSS, .source = source, .rip = 0x105,
		.gdt = { .base = BASE + GDT, .limit = 0x3f },
	};
}

static enum x86_emu_rc go(void)
{
	m.nr_writes = m.nr_memo = m.next_memo = 0;
	return x86_task_switch(&m.emu, &t);
}

static void fails(int line, bool done, unsigned int vector, u32 error)
{
	check_value(line, "result", go(), X86_EMU_FAULT);
	check_value(line, "done", t.done, done);
	check_value(line, "vector", m.emu.fault.vector, vector);
	check_value(line, "error", m.emu.fault.error, error);
}
#define FAILS(done, vector, error) fails(__LINE__, done, vector, error)

static void called(void)
{
	unsigned int i;

	two_tasks(X86_TASK_CALL);
	m.emu.cr0 |= X86_CR0_PG;
	IS(go(), X86_EMU_OK);
	IS(t.done, true);
	IS(peek(OLD + 0x20, 4), 0x105);
	IS(peek(OLD + 0x24, 4), 0x4203);
	for (i = 0; i < 8; i++)
		IS(peek(OLD + 0x28 + 4 * i, 4), i + 1);
	for (i = 0; i < 6; i++)
		IS(peek(OLD + 0x48 + 4 * i, 4), 0x70 + 8 * i);
	IS(peek(NEW, 2), OLD_TSS);
	IS(mem[GDT + OLD_TSS + 5], 0x8b);
	IS(mem[GDT + NEW_TSS + 5], 0x8b);
	IS(m.regs.rip, 0x1234);
	IS(m.regs.rflags, 0x4046);
	IS(GPR(RAX), 0x11);
	IS(GPR(RSP), BASE + STACK);
	IS(GPR(RDI), 0x18);
	IS(m.cr[3], 0x5000);
	IS(m.cr[0] >> 3 & 1, 1);
	IS(t.seg[X86_SEG_TR].selector, NEW_TSS);
	IS(t.seg[X86_SEG_TR].attrib, 0x8b);
	IS(t.seg[X86_SEG_CS].attrib, 0xc9b);
	IS(t.seg[X86_SEG_CS].limit, 0xffffffff);
	IS(t.seg[X86_SEG_GS].selector, DATA0);
	IS(t.trap, false);
}

static void jumped(void)
{
	two_tasks(X86_TASK_JMP);
	m.emu.cr0 &= ~(u64)X86_CR0_PG;
	poke(NEW + 0x64, 1, 2);
	IS(go(), X86_EMU_OK);
	IS(mem[GDT + OLD_TSS + 5], 0x89);
	IS(mem[GDT + NEW_TSS + 5], 0x8b);
	IS(peek(NEW, 2), 0);
	IS(m.regs.rflags, 0x46);
	IS(m.cr[3] == 0x5000, false);		/* no paging */
	IS(t.trap, true);
}

static void returned(void)
{
	two_tasks(X86_TASK_IRET);
	IS(go(), X86_EMU_OK);
	IS(peek(OLD + 0x24, 4), 0x203);		/* NT is gone */
	IS(mem[GDT + OLD_TSS + 5], 0x89);
	IS(mem[GDT + NEW_TSS + 5], 0x8b);
	IS(m.regs.rflags, 0x46);
}

static void event(void)
{
	two_tasks(X86_TASK_EVENT);
	t.external = t.has_error = true;
	t.error = 0xabcd;
	IS(go(), X86_EMU_OK);
	IS(GPR(RSP), BASE + STACK - 4);
	IS(peek(STACK - 4, 4), 0xabcd);
	IS(m.regs.rflags, 0x4046);

	two_tasks(X86_TASK_EVENT);
	t.external = true;
	poke(NEW + 0x4c, 0x78, 2);		/* beyond the table */
	FAILS(true, 10, 0x79);
}

static void to_16_bits(void)
{
	unsigned int i;

	two_tasks(X86_TASK_CALL);
	mem[GDT + NEW_TSS + 5] = 0x81;
	poke(GDT + NEW_TSS, 43, 2);
	memset(mem + NEW, 0, 104);
	poke(NEW + 0x0e, 0x1234, 2);
	poke(NEW + 0x10, 0x46, 2);
	for (i = 0; i < 8; i++)
		poke(NEW + 0x12 + 2 * i, 0x8011 + i, 2);
	for (i = 0; i < 4; i++)
		poke(NEW + 0x22 + 2 * i, i == X86_SEG_CS ? CODE0 : DATA0, 2);
	IS(go(), X86_EMU_OK);
	IS(GPR(RDI), 0x8018);
	IS(m.regs.rip, 0x1234);
	IS(t.seg[X86_SEG_FS].attrib & X86_SEG_P, 0);
	IS(t.seg[X86_SEG_TR].attrib, 0x83);
}

static void from_16_bits(void)
{
	two_tasks(X86_TASK_CALL);
	m.seg[X86_SEG_TR].attrib = 0x83;
	IS(go(), X86_EMU_OK);
	IS(peek(OLD + 0x0e, 4), 0x42030105);
	IS(peek(OLD + 0x20, 2), 8);
	IS(peek(OLD + 0x22, 2), 0x70);
	IS(peek(OLD + 0x2a, 8), 0);
}

/* A CALL of a task at CPL 3, with a segment of an LDT of its own. */
static void call_of_cpl3(void)
{
	two_tasks(X86_TASK_CALL);
	poke(NEW + 0x4c, CODE3, 2);
	poke(NEW + 0x50, DATA3, 2);
	poke(NEW + 0x48, DATA3, 2);
	poke(NEW + 0x54, 0, 2);
	poke(NEW + 0x58, 0, 2);
	poke(NEW + 0x5c, LOCAL_DATA | 3, 2);
	poke(NEW + 0x60, LOCAL, 2);
}

static void to_cpl3(void)
{
	call_of_cpl3();
	FAILS(true, 10, LOCAL_DATA);		/* DPL 0 */
	call_of_cpl3();
	mem[LDT + 5] = 0xf2;
	IS(go(), X86_EMU_OK);
	IS(m.emu.cpl, 3);
	IS(t.seg[X86_SEG_GS].base, 0x1000);
	IS(mem[LDT + 5], 0xf3);			/* accessed */
	IS(mem[GDT + (CODE3 & ~7) + 5], 0xfb);
	IS(t.seg[X86_SEG_LDTR].limit, 7);
}

static void to_v86(void)
{
	two_tasks(X86_TASK_IRET);
	poke(NEW + 0x24, 0x23202, 4);
	IS(go(), X86_EMU_OK);
	IS(m.emu.mode, X86_MODE_VM86);
	IS(t.seg[X86_SEG_CS].base, CODE0 << 4);
	IS(t.seg[X86_SEG_SS].attrib, 0xf3);
}

static void refused(void)
{
	two_tasks(X86_TASK_CALL);
	t.gdt.limit = NEW_TSS + 6;
	FAILS(false, 13, NEW_TSS);
	two_tasks(X86_TASK_IRET);
	t.gdt.limit = NEW_TSS + 6;
	FAILS(false, 10, NEW_TSS);
	two_tasks(X86_TASK_CALL);
	mem[GDT + NEW_TSS + 5] = 0x09;
	FAILS(false, 11, NEW_TSS);
	two_tasks(X86_TASK_CALL);
	poke(GDT + NEW_TSS, 102, 2);
	FAILS(false, 10, NEW_TSS);
	IS(m.regs.rip, 0x100);
	IS(peek(OLD + 0x20, 4), 0);
	two_tasks(X86_TASK_CALL);
	m.seg[X86_SEG_TR].base = BASE + MACHINE_RO_OFFSET;
	IS(go(), X86_EMU_FAULT);
	IS(m.emu.fault.vector, X86_VECTOR_PF);
	IS(t.done, false);
}

static void broken_segments(void)
{
	two_tasks(X86_TASK_CALL);
	poke(NEW + 0x50, CODE0, 2);
	FAILS(true, 10, CODE0);			/* a stack of code */
	two_tasks(X86_TASK_CALL);
	mem[GDT + DATA0 + 5] = 0x13;
	FAILS(true, 12, DATA0);			/* absent */
	two_tasks(X86_TASK_CALL);
	mem[GDT + CODE0 + 5] = 0x1b;
	FAILS(true, 11, CODE0);
	IS(m.regs.rip, 0x1234);			/* of the new task */
	two_tasks(X86_TASK_CALL);
	poke(NEW + 0x4c, 3, 2);
	FAILS(true, 10, 0);
	two_tasks(X86_TASK_CALL);
	poke(NEW + 0x60, DATA0, 2);
	FAILS(true, 10, DATA0);			/* no LDT */
	two_tasks(X86_TASK_CALL);
	poke(NEW + 0x54, LOCAL_DATA, 2);
	FAILS(true, 10, LOCAL_DATA);		/* there is none */
}

static const struct hand_test tests[] = {
	{ "called", called },
	{ "jumped to", jumped },
	{ "returned to", returned },
	{ "by an event", event },
	{ "to 16 bits", to_16_bits },
	{ "from 16 bits", from_16_bits },
	{ "to CPL 3", to_cpl3 },
	{ "to virtual-8086 mode", to_v86 },
	{ "refused", refused },
	{ "broken segments", broken_segments },
};

int main(void)
{
	return run_hand_tests(tests, ARRAY_SIZE(tests));
}
