// SPDX-License-Identifier: GPL-2.0
/* The guest's own page tables: sizes, accessed and dirty bits, flushes, protection, code that changes itself. */
#include "guest.h"

#define PF 14
#define WINDOW 0x500000000ull

static u64 *split(u64 gva)
{
	return &pdpt[gva >> 30 & 511];
}

static void test_sizes(void)
{
	u64 *page = page_new();
	u64 *pte = map(WINDOW, (u64)page | PTE_P | PTE_W);
	volatile u64 *at = (volatile u64 *)WINDOW;
	u64 two_mb = (u64)page & ~0x1fffffull;

	page[5] = 0x1111;
	is("a 4 KiB page", at[5], 0x1111);
	*pte = 0;
	/* 2 MiB: an entry in a directory of its own */
	u64 *dir = page_new();
	*split(WINDOW + (1ull << 30)) = (u64)dir | PTE_P | PTE_W;
	dir[3] = two_mb | PTE_P | PTE_W | PTE_PS;
	at = (volatile u64 *)(WINDOW + (1ull << 30) + (3ull << 21) + ((u64)page - two_mb));
	is("a 2 MiB page", at[5], 0x1111);
	at[6] = 0x2222;
	is("writes through it", page[6], 0x2222);
	ok((dir[3] & (PTE_A | PTE_D)) == (PTE_A | PTE_D), "sets its accessed and dirty bits");
	if (cpuid(0x80000001, 0).d >> 26 & 1) {
		*split(WINDOW + (2ull << 30)) = 0 | PTE_P | PTE_W | PTE_PS;
		at = (volatile u64 *)(WINDOW + (2ull << 30) + (u64)page);
		is("a 1 GiB page", at[6], 0x2222);
		at[7] = 0x3333;
		is("writes through it", page[7], 0x3333);
	} else {
		skip("1 GiB pages", "not offered");
	}
}

static void test_bits(void)
{
	u64 *page = page_new();
	u64 *pte = map(WINDOW, (u64)page | PTE_P | PTE_W);
	volatile u64 *at = (volatile u64 *)WINDOW;

	invlpg((void *)WINDOW);
	(void)at[0];
	is("a read sets the accessed bit alone", *pte & (PTE_A | PTE_D), PTE_A);
	at[0] = 1;
	is("a write sets the dirty bit", *pte & (PTE_A | PTE_D), PTE_A | PTE_D);
	*pte &= ~(PTE_A | PTE_D);
	invlpg((void *)WINDOW);
	(void)at[0];
	is("cleared and flushed, a read sets accessed again", *pte & (PTE_A | PTE_D), PTE_A);
}

static void test_flushes(void)
{
	u64 *a = page_new(), *b = page_new();
	u64 *pte = map(WINDOW, (u64)a | PTE_P | PTE_W);
	volatile u64 *at = (volatile u64 *)WINDOW;
	unsigned int bad = 0;

	*a = 1;
	*b = 2;
	for (unsigned int i = 0; i < 200; i++) {
		*pte = (u64)(i & 1 ? a : b) | PTE_P | PTE_W;
		if (i % 3)
			invlpg((void *)WINDOW);
		else
			flush();
		bad += *at != (i & 1 ? 1u : 2u);
	}
	is("two pages exchanged 200 times", bad, 0);
	*pte = (u64)a | PTE_P;
	invlpg((void *)WINDOW);
	is("made read-only", TRY("movq $9, (%0)", : : "r"(at) : "memory"), PF);
	*pte = (u64)a | PTE_P | PTE_W;
	is("made writable without a flush", TRY("movq $9, (%0)", : : "r"(at) : "memory"), -1);
	*pte = 0;
	invlpg((void *)WINDOW);
	is("removed", TRY("movq $9, (%0)", : : "r"(at) : "memory"), PF);
	*pte = (u64)b | PTE_P | PTE_W;
	is("an entry that was absent needs no flush", *at, 2);
}

#define LOW_WINDOW 0x40000000		/* within reach of the code, and of 32 bits; no memory behind it */
#define FS_BASE 0xc0000100

/* An entry that is in use becomes another, then @insn is to say so. */
#define FLUSHES(insn, ...)						\
	({								\
		*pte = (u64)a | PTE_P | PTE_W;				\
		invlpg((void *)at);					\
		bad += *at != 1;					\
		*pte = (u64)b | PTE_P | PTE_W;				\
		asm volatile(insn : : __VA_ARGS__ : "memory", "r12", "r13", "r14", "r15", "r8");		\
		if (*at != 2) {						\
			bad++;						\
			note("form", form);				\
		}							\
		form++;							\
	})

/* Operands of INVLPG and registers of MOV CR3, in all forms: who decodes them himself can get them wrong. */
static void test_forms(void)
{
	u64 *a = page_new(), *b = page_new();
	u64 *pte = map(LOW_WINDOW, (u64)a | PTE_P | PTE_W), cr3 = READ_CR(3), old = rdmsr(FS_BASE);
	volatile u64 *at = (volatile u64 *)(u64)LOW_WINDOW;
	u64 w = LOW_WINDOW;
	unsigned int bad = 0, form = 0;

	*a = 1;
	*b = 2;
	FLUSHES("invlpg (%0)", "r"(w + 0x88));
	FLUSHES("invlpg 0x7f(%0)", "b"(w - 0x10));
	FLUSHES("invlpg -0x80(%0)", "b"(w + 0x1010));
	FLUSHES("invlpg 0x12345678(%0)", "d"(w - 0x12345678));
	FLUSHES("invlpg -0x12345678(%0)", "S"(w + 0x12345678));
	FLUSHES("invlpg 8(%0,%1,4)", "a"(w - 0x400), "d"(0x100ull));
	FLUSHES("invlpg 8(,%0,8)", "r"(w / 8));
	FLUSHES("invlpg %c0", "i"(LOW_WINDOW));
	FLUSHES("invlpg low_window(%%rip)\n\t.set low_window, %c0", "i"(LOW_WINDOW));
	FLUSHES("addr32 invlpg (%%ebx)", "b"(w | 0xdead00000000));
	FLUSHES(".byte 0x2e, 0x48; invlpg (%0)", "b"(w));
	FLUSHES("mov %0, %%r12; invlpg (%%r12)", "r"(w));
	FLUSHES("mov %0, %%r13; invlpg (%%r13)", "r"(w));
	FLUSHES("mov %0, %%r13; mov $0x1002, %%r14d; invlpg -2(%%r13,%%r14)", "r"(w - 0x1000));
	FLUSHES("mov %%rsp, %%r15; mov %0, %%rsp; invlpg 8(%%rsp); mov %%r15, %%rsp", "r"(w - 8));
	FLUSHES("mov %%rbp, %%r15; mov %0, %%rbp; invlpg (%%rbp); mov %%r15, %%rbp", "r"(w));
	wrmsr(FS_BASE, w - 0x1000);
	FLUSHES("invlpg %%fs:(%0)", "r"(0x1000ull));
	wrmsr(FS_BASE, old);
	is("INVLPG with operands of all kinds", bad, 0);
	bad = form = 0;
	FLUSHES("mov %0, %%cr3", "a"(cr3));
	FLUSHES("mov %0, %%cr3", "D"(cr3));
	FLUSHES("mov %0, %%r8; mov %%r8, %%cr3", "r"(cr3));
	FLUSHES("mov %0, %%r15; .byte 0x48; mov %%r15, %%cr3", "r"(cr3));
	FLUSHES("mov %%rsp, %%r15; mov %0, %%rsp; mov %%rsp, %%cr3; mov %%r15, %%rsp", "r"(cr3));
	FLUSHES(".byte 0x66; mov %0, %%cr3", "b"(cr3));
	is("MOV CR3 from registers of all kinds", bad, 0);
	asm volatile("mov %%cr3, %%r14; mov %%r14, %0" : "=r"(cr3) : : "r14");
	is("MOV from CR3 to R14", cr3, READ_CR(3));
}

static void test_global(void)
{
	u64 *a = page_new(), *b = page_new();
	u64 *pte = map(WINDOW, (u64)a | PTE_P | PTE_W | PTE_G);
	volatile u64 *at = (volatile u64 *)WINDOW;

	*a = 1;
	*b = 2;
	WRITE_CR(4, READ_CR(4) | 0x80);
	is("a global page", *at, 1);
	*pte = (u64)b | PTE_P | PTE_W | PTE_G;
	invlpg((void *)WINDOW);
	is("INVLPG flushes a global page", *at, 2);
	*pte = (u64)a | PTE_P | PTE_W | PTE_G;
	WRITE_CR(4, READ_CR(4) & ~0x80ull);
	is("turning PGE off flushes all", *at, 1);
}

/* Another root table altogether, loaded 100 times. */
static void test_roots(void)
{
	u64 *other = page_new(), *a = page_new(), *b = page_new();
	u64 first = READ_CR(3);
	volatile u64 *at = (volatile u64 *)(WINDOW + (1ull << 39));
	unsigned int bad = 0;

	memcpy(other, pml4, PAGE);
	map((u64)at, (u64)a | PTE_P | PTE_W);
	u64 *l3 = page_new(), *l2 = page_new(), *l1 = page_new();
	other[(u64)at >> 39 & 511] = (u64)l3 | PTE_P | PTE_W;
	l3[(u64)at >> 30 & 511] = (u64)l2 | PTE_P | PTE_W;
	l2[(u64)at >> 21 & 511] = (u64)l1 | PTE_P | PTE_W;
	l1[(u64)at >> 12 & 511] = (u64)b | PTE_P | PTE_W;
	*a = 1;
	*b = 2;
	for (unsigned int i = 0; i < 100; i++) {
		WRITE_CR(3, first);
		bad += *at != 1;
		WRITE_CR(3, (u64)other);
		bad += *at != 2;
	}
	WRITE_CR(3, first);
	is("two root tables in turn", bad, 0);
	/* A root whose frame was never touched by the processor before and then reused as data. */
	memset(other, 0, PAGE);
	is("the abandoned root is memory", other[511], 0);
}

static void test_code(void)
{
	u8 *code = page_new();
	u64 *pte = map(WINDOW, (u64)code | PTE_P | PTE_W);
	u64 (*run)(void) = (void *)WINDOW;
	unsigned int bad = 0;

	invlpg((void *)WINDOW);		/* another page was there */
	/* mov $i,%eax; ret, written through one address and run at another */
	for (unsigned int i = 0; i < 100; i++) {
		code[0] = 0xb8;
		*(u32 *)(code + 1) = i;
		code[5] = 0xc3;
		cpuid(0, 0);
		bad += run() != i;
	}
	is("code changed 100 times", bad, 0);
	*pte |= PTE_NX;
	invlpg((void *)WINDOW);
	int v = TRY("call *%0", : : "r"(run) : "rax", "memory");
	if (v == PF)
		asm volatile("add $8, %%rsp" : : : "memory");
	is("NX", v, PF);
}

static void test_all_of_ram(void)
{
	unsigned int bad = 0;

	for (u64 at = 32 << 20; at < 60 << 20; at += PAGE)
		*(volatile u64 *)at = at * 3;
	for (u64 at = 32 << 20; at < 60 << 20; at += PAGE)
		bad += *(volatile u64 *)at != at * 3;
	is("7000 pages written and read", bad, 0);
}

void guest_main(void)
{
	test_sizes();
	test_bits();
	test_flushes();
	test_forms();
	test_global();
	test_roots();
	test_code();
	test_all_of_ram();
}
