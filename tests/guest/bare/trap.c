// SPDX-License-Identifier: GPL-2.0
/* Exceptions of every kind, page-fault codes, double fault, single step, breakpoints. */
#include "guest.h"

#define DE 0
#define DB 1
#define BP 3
#define UD 6
#define NM 7
#define DF 8
#define NP 11
#define SS 12
#define GP 13
#define PF 14
#define MF 16
#define AC 17
#define XM 19
#define WINDOW 0x200000000ull		/* where pages are mapped for these tests */

static void test_simple(void)
{
	u32 mxcsr = 0x1f80 & ~0x200, zero = 0;

	is("division by zero", TRY("div %%ecx", : : "a"(1), "d"(0), "c"(0) : "cc"), DE);
	is("division overflow", TRY("idivl %%ecx", : : "a"(0), "d"(0x80000000), "c"(1) : "cc"), DE);
	is("INT3", TRY("int3", : : ), BP);
	is("UD2", TRY("ud2", : : ), UD);
	is("a segment beyond the table", TRY("mov %%eax, %%es", : : "a"(0x200)), GP);
	is("its error code names it", trap.error, 0x200);
	is("a segment that is not present", TRY("mov %%eax, %%es", : : "a"(0x38)), NP);
	is("its error code names it", trap.error, 0x38);
	is("a stack segment that is not writable", TRY("mov %%eax, %%ss", : : "a"(0x08)), GP);
	is("a stack segment that is not present", TRY("mov %%eax, %%ss", : : "a"(0x38)), SS);
	is("an address that is not canonical", TRY("movb $0, (%0)", : : "r"(1ull << 60)), GP);
	is("an interrupt beyond its gate's privilege is no matter at CPL 0", TRY("int $0x21", : : ), 0x21);
	WRITE_CR(0, READ_CR(0) | 8);
	is("FPU with TS", TRY("fld1", : : ), NM);
	asm volatile("clts");
	asm volatile("fninit");
	u16 cw = 0x37f & ~4;
	is("x87 division by zero", TRY("fldcw %0; fld1; fldz; fdivrp; fwait", : : "m"(cw)), MF);
	asm volatile("fnclex; fninit");
	if (told("tcg"))
		skip("SSE division by zero", "QEMU's processor has no SSE exceptions");
	else
		is("SSE division by zero", TRY("ldmxcsr %0; divss %1, %%xmm0", : : "m"(mxcsr), "m"(zero)), XM);
	mxcsr = 0x1f80;
	asm volatile("ldmxcsr %0" : : "m"(mxcsr));
}

static int touch(u64 gva, bool write)
{
	if (write)
		return TRY("movb $1, (%0)", : : "r"(gva) : "memory");
	return TRY("movb (%0), %%al", : : "r"(gva) : "rax", "memory");
}

static void fault(const char *name, int vector, u64 error, u64 cr2)
{
	ok(trap.vector == vector && trap.error == error && trap.cr2 == cr2, name);
	if (trap.vector != vector || trap.error != error || trap.cr2 != cr2) {
		note("vector", trap.vector);
		note("error", trap.error);
		note("cr2", trap.cr2);
	}
}

static void user_read(u64 gva) { *(volatile u8 *)gva; }
static void user_write(u64 gva) { *(volatile u8 *)gva = 1; }
static void user_jump(u64 gva) { ((void (*)(void))gva)(); }

static void test_page_faults(void)
{
	u64 page = (u64)page_new();
	u64 *pte = map(WINDOW, 0);

	*(u8 *)page = 0xc3;
	touch(WINDOW + 0x123, false);
	fault("read of an absent page", PF, 0, WINDOW + 0x123);
	touch(WINDOW + 0x123, true);
	fault("write of an absent page", PF, 2, WINDOW + 0x123);
	TRY("call *%0", : : "r"(WINDOW + 5));
	if (trap.vector == PF)
		asm volatile("add $8, %%rsp" : : : "memory");
	ok(trap.vector == PF && (trap.error & ~0x10ull) == 0 && trap.cr2 == WINDOW + 5, "fetch from an absent page");
	at_cpl3(user_read, WINDOW + 9);
	fault("user's read of an absent page", PF, 4, WINDOW + 9);
	*pte = page | PTE_P;
	touch(WINDOW, true);
	fault("write of a read-only page", PF, 3, WINDOW);
	ok(touch(WINDOW, false) == -1, "read of a read-only page");
	at_cpl3(user_read, WINDOW);
	fault("user's read of a supervisor page", PF, 5, WINDOW);
	*pte = page | PTE_P | PTE_U;
	flush();
	at_cpl3(user_write, WINDOW);
	fault("user's write of a read-only page", PF, 7, WINDOW);
	WRITE_CR(0, READ_CR(0) & ~0x10000ull);
	ok(touch(WINDOW + 1, true) == -1, "without WP the supervisor writes a read-only page");
	WRITE_CR(0, READ_CR(0) | 0x10000);
	flush();
	ok(touch(WINDOW + 1, true) == PF, "and with WP not again");
	*pte = page | PTE_P | PTE_W | PTE_U | PTE_NX;
	flush();
	at_cpl3(user_jump, WINDOW);
	fault("user's fetch from an NX page", PF, 0x15, WINDOW);
	*pte = page | PTE_P | PTE_W | PTE_U | 1ull << 51;
	flush();
	touch(WINDOW, false);
	/* QEMU's processor leaves out P. */
	fault("a reserved bit", PF, told("tcg") && !told("shadow") ? 8 : 9, WINDOW);
	*pte = page | PTE_P | PTE_W | PTE_U;
	flush();
	ok(at_cpl3(user_jump, WINDOW) == 0x80, "user runs code from an executable page");
	*pte = 0;
	flush();
	ok(touch(WINDOW, false) == PF, "removed and flushed it faults");
}

/* #DF: the #PF handler's gate is gone. */
static void test_double_fault(void)
{
	u64 saved[2], *gate;
	struct { u16 limit; u64 base; } __attribute__((packed)) p;

	asm volatile("sidt %0" : "=m"(p));
	gate = (u64 *)(p.base + 16 * PF);
	memcpy(saved, gate, 16);
	gate[0] &= ~(1ull << 47);
	trap_gate(DF, 1, 0);
	/* QEMU's processor forgets the first fault when a nested page fault comes between. */
	int v = TRY("movb (%0), %%al", : : "r"(WINDOW) : "rax");
	ok(v == DF || (told("tcg") && v == NP), "a page fault whose gate is not present");
	gate[0] = saved[0];
	/* #GP whose gate is absent, which is #NP, whose gate is absent. */
	u64 *gp = (u64 *)(p.base + 16 * GP), *np = (u64 *)(p.base + 16 * NP), g = gp[0], n = np[0];
	gp[0] &= ~(1ull << 47);
	np[0] &= ~(1ull << 47);
	is("a fault while delivering a fault", TRY("movb $0, (%0)", : : "r"(1ull << 60)), DF);
	is("a double fault's error code", trap.error, 0);
	gp[0] = g;
	np[0] = n;
	trap_gate(DF, 0, 0);
}

/* A kernel's stack that has run out: the #PF for it comes while another one is delivered. CR2 is the second's. */
static void test_stack_overflow(void)
{
	const u64 stack = WINDOW + 0x10000;

	map(stack, 0);
	flush();
	trap_gate(DF, 1, 0);
	trap.vector = -1;
	asm volatile("movq $1f, trap_resume\n\t"
		     "mov %%rsp, %%rbx\n\t"
		     "mov %0, %%rsp\n\t"
		     "movb (%1), %%al\n"
		     "1:\tmov %%rbx, %%rsp\n\t"
		     "movq $0, trap_resume"
		     : : "r"(stack), "r"(WINDOW) : "rax", "rbx", "memory");
	if (told("stock") && told("shadow"))
		skip("a page fault without a stack to take it on", "the stock module leaves CR2 as it was");
	else
		fault("a page fault without a stack to take it on", DF, 0, stack - 8);
	trap_gate(DF, 0, 0);
}

static volatile u64 steps, step_rip[32];

static void stepped(struct frame *f)
{
	if (steps < 32)
		step_rip[steps] = f->rip;
	steps++;
	if (!(READ_DR(6) >> 14 & 1))
		steps += 1000;
	WRITE_DR(6, 0xffff0ff0);
}

/* TF over instructions that exit: one trap after each. */
static void test_single_step(void)
{
	u64 start;

	trap_set(DB, stepped);
	steps = 0;
	asm volatile("mov $1f, %0\n\t"
		     "pushf; orl $0x100, (%%rsp); popf\n"
		     "1:\tnop\n\t"
		     "cpuid\n\t"
		     "inb $0x71, %%al\n\t"
		     "rdtsc\n\t"
		     "mov 0x30(%1), %%eax\n\t"
		     "outb %%al, $0x80\n\t"
		     "pushf; andl $~0x100, (%%rsp); popf\n\t"
		     : "=&r"(start) : "S"(APIC_BASE) : "rax", "rbx", "rcx", "rdx", "memory");
	is("one trap for each of nine instructions", steps, 9);
	ok(step_rip[0] == start + 1 && step_rip[1] == start + 3 && step_rip[2] == start + 5 &&
	   step_rip[3] == start + 7 && step_rip[4] == start + 10 && step_rip[5] == start + 12,
	   "each behind its instruction");
	trap_set(DB, NULL);
}

static volatile u64 db_dr6, db_rip;

static void breakpoint(struct frame *f)
{
	db_dr6 = READ_DR(6);
	db_rip = f->rip;
	f->rflags |= 0x10000;
	WRITE_DR(6, 0xffff0ff0);
	steps++;
}

static void test_debug_registers(void)
{
	static volatile u64 watched;
	u64 v;

	WRITE_DR(0, 0x1111);
	WRITE_DR(3, 0x3333);
	cpuid(0, 0);
	is("DR0 keeps its value", READ_DR(0), 0x1111);
	is("DR3 keeps its value", READ_DR(3), 0x3333);
	is("DR7 at rest", READ_DR(7), 0x400);
	WRITE_DR(6, 0xffff0ff0);
	is("DR6 at rest", READ_DR(6), 0xffff0ff0);
	is("DR4 is DR6", TRY("mov %%db4, %0", : "=r"(v)), -1);
	is("and reads the same", v, 0xffff0ff0);
	WRITE_CR(4, READ_CR(4) | 8);
	is("DR4 with CR4.DE", TRY("mov %%db4, %0", : "=r"(v)), UD);
	WRITE_CR(4, READ_CR(4) & ~8ull);
	is("a wide DR7", TRY("mov %0, %%db7", : : "r"(1ull << 40)), GP);
	if (told("tcg")) {
		skip("hardware breakpoints of the guest", "QEMU's emulated VMRUN does not load DR7");
		return;
	}
	trap_set(DB, breakpoint);
	steps = 0;
	WRITE_DR(1, (u64)&watched);
	WRITE_DR(7, 0x400 | 1 << 3 | 0xdull << 20);
	watched = 1;
	WRITE_DR(7, 0x400);
	is("a write watchpoint", steps, 1);
	is("DR6 names it", db_dr6 & 0xf, 2);
	trap_set(DB, NULL);
}

static void user_privileged(u64 what)
{
	switch (what) {
	case 0: asm volatile("hlt"); break;
	case 1: asm volatile("cli"); break;
	case 2: asm volatile("mov %%cr0, %%rax" : : : "rax"); break;
	case 3: asm volatile("rdmsr" : : "c"(0xc0000080) : "rax", "rdx"); break;
	case 4: asm volatile("invlpg (%rsp)"); break;
	case 5: asm volatile("mov %%db0, %%rax" : : : "rax"); break;
	case 6: asm volatile("int $0x21"); break;
	case 7: asm volatile("lgdt (%rsp)"); break;
	case 8: asm volatile("clts"); break;
	case 9: asm volatile("mov %%cr8, %%rax" : : : "rax"); break;
	case 10: asm volatile("wbinvd"); break;
	case 11: asm volatile("xor %%ecx, %%ecx; xsetbv" : : "a"(7), "d"(0) : "rcx"); break;
	case 12: asm volatile("swapgs"); break;
	}
}

static void user_unaligned(u64 p)
{
	asm volatile("pushf; orl $0x40000, (%%rsp); popf; mov %0, %%eax" : : "m"(*(u32 *)(p + 1)) : "rax");
}

static void test_user(void)
{
	unsigned int wrong = 0;
	static u64 data;

	WRITE_CR(4, READ_CR(4) | 1 << 18);
	for (u64 what = 0; what <= 12; what++)
		if (at_cpl3(user_privileged, what) != GP) {
			note("instruction", what);
			note("gave vector", trap.vector);
			wrong++;
		}
	is("thirteen privileged instructions at CPL 3", wrong, 0);
	WRITE_CR(0, READ_CR(0) | 1 << 18);
	if (told("tcg"))
		skip("an unaligned access at CPL 3 with AC", "QEMU's processor does not check alignment");
	else
		is("an unaligned access at CPL 3 with AC", at_cpl3(user_unaligned, (u64)&data), AC);
	WRITE_CR(0, READ_CR(0) & ~(1ull << 18));
	is("without CR0.AM it is none", at_cpl3(user_unaligned, (u64)&data), 0x80);
}

void guest_main(void)
{
	apic_on();
	test_simple();
	test_page_faults();
	test_double_fault();
	test_stack_overflow();
	test_single_step();
	test_debug_registers();
	test_user();
}
