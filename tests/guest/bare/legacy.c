// SPDX-License-Identifier: GPL-2.0
/*
 * The modes before long mode: 32-bit without paging, with two-level tables, with
 * PAE; segment limits; real mode and back; 16-bit protected mode; virtual-8086
 * mode; task switches by call, jump, gate and IRET.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "console.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define LOW 0x9000u
#define WINDOW 0x10000000u

struct frame {
	u32 es, ds, edi, esi, ebp, esp0, ebx, edx, ecx, eax;
	u32 vector, error, eip, cs, eflags, esp, ss;
};

struct tss32 {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt, iomap;
};

extern u64 gdt[];
extern char trap_stubs[], low_start[], low_end[], v86_code[], prot16_code[], other_task[];
extern volatile u32 task_ran, task_flags;
u32 real_mode(u32 ax);
u32 prot16(u32 a);
void trap_c(struct frame *f);
void guest_main(void);

static u64 idt[256];
static volatile struct { int vector; u32 error, eip, cr2; } trap;
static volatile u32 resume;
static struct tss32 tasks[2];
static u8 stacks[2][4096] __attribute__((aligned(16)));
static u32 directory[1024] __attribute__((aligned(4096))), table[1024] __attribute__((aligned(4096)));
static u64 pdpt[4] __attribute__((aligned(32))), pae_dirs[4][512] __attribute__((aligned(4096)));
static u8 page[4096] __attribute__((aligned(4096)));
static u32 v86_resume_esp;

#define TRY(insn, ...)							\
	({								\
		trap.vector = -1;					\
		asm volatile("movl $991f, %%ds:resume\n\t" insn		\
			     "\n991:\tmovl $0, %%ds:resume" __VA_ARGS__); \
		trap.vector;						\
	})

void trap_c(struct frame *f)
{
	u32 cr2;

	asm volatile("mov %%cr2, %0" : "=r"(cr2));
	trap.vector = f->vector;
	trap.error = f->error;
	trap.eip = f->eip;
	trap.cr2 = cr2;
	if (f->eflags >> 17 & 1) {
		/* Out of virtual-8086 mode, to where run_v86() waits. */
		asm volatile("mov %0, %%esp; ret" : : "r"(v86_resume_esp));
	}
	if (!resume)
		bail_out(f->vector, f->eip, f->error, cr2);
	f->eip = resume;
	resume = 0;
}

static u64 descriptor(u32 base, u32 limit, u32 access, u32 flags)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 |
	       (u64)(limit >> 16 & 0xf) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56;
}

static void setup(void)
{
	struct { u16 limit; u32 base; } __attribute__((packed)) p = { sizeof(idt) - 1, (u32)idt };
	u32 n = low_end - low_start;

	for (u32 i = 0; i < 256; i++) {
		u32 at = (u32)trap_stubs + 16 * i;

		idt[i] = (at & 0xffff) | 0x08 << 16 | 0x8e00ull << 32 | (u64)(at >> 16) << 48;
	}
	asm volatile("lidt %0" : : "m"(p));
	for (u32 i = 0; i < n; i++)
		((volatile u8 *)LOW)[i] = low_start[i];
	gdt[5] = descriptor((u32)prot16_code, 0xffff, 0x9b, 0);
	gdt[6] = descriptor((u32)&tasks[0], 0x67, 0x89, 0);
	gdt[7] = descriptor((u32)&tasks[1], 0x67, 0x89, 0);
	gdt[8] = (u64)0x38 << 16 | 0x8500ull << 32;
	tasks[0].iomap = tasks[1].iomap = 0x68 << 16;
	asm volatile("ltr %w0" : : "r"(0x30));
}

static void test_flat(void)
{
	u32 v = 0;

	is("UD2 without paging", TRY("ud2", : : ), 6);
	is("division by zero", TRY("divl %0", : : "r"(0), "a"(1), "d"(0)), 0);
	is("INT3", TRY("int3", : : ), 3);
	is("INTO", TRY("movb $0x7f, %%al; addb $1, %%al; into", : : : "eax", "cc"), 4);
	is("BOUND", TRY("bound %0, (%1)", : : "r"(5), "r"((u32[]){ 1, 2 }) : "memory"), 5);
	is("a selector beyond the table", TRY("mov %0, %%fs", : : "r"(0x800)), 13);
	is("its error code", trap.error, 0x800);
	asm volatile("mov %0, %%fs" : : "r"(0x58));
	is("within a segment's limit", TRY("mov %%fs:0xffc, %0", : "=r"(v)), -1);
	if (told("tcg")) {
		skip("segment limits and null selectors", "QEMU's processor does not check them");
	} else {
		is("across a segment's limit", TRY("mov %%fs:0xffd, %0", : "=r"(v)), 13);
		asm volatile("mov %0, %%fs" : : "r"(0));
		is("through a null selector", TRY("mov %%fs:0, %0", : "=r"(v)), 13);
	}
	asm volatile("mov %0, %%fs" : : "r"(0x10));
	asm volatile("cpuid" : "=a"(v) : "a"(0) : "ebx", "ecx", "edx");
	is("CPUID answers", v > 0, 1);
}

#define WRITE_CR(n, val) asm volatile("mov %0, %%cr" #n : : "r"(val) : "memory")
#define CR0_TS (1u << 3)
#define CR0_WP (1u << 16)
#define CR0_CD (1u << 30)
#define CR4_PGE (1u << 7)
#define CR4_OSFXSR (1u << 9)

static u64 other_dirs[2][512] __attribute__((aligned(4096))), other_tables[2][512] __attribute__((aligned(4096)));

/*
 * When the processor reads the four top entries of PAE: CR3, and changes of some bits of CR0 and CR4.
 * In between what is in memory does not count. Paging is on, with pdpt.
 */
static void test_top_entries(void)
{
	volatile u32 *at = (volatile u32 *)0x80000000;
	u32 cr0, cr4;

	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	asm volatile("mov %%cr4, %0" : "=r"(cr4));
	for (u32 i = 0; i < 2; i++) {
		other_dirs[i][0] = (u32)other_tables[i] | 3;
		other_tables[i][0] = (u32)(i ? page : stacks[0]) | 3;
	}
	*(volatile u32 *)stacks[0] = 1;
	*(volatile u32 *)page = 2;
	pdpt[2] = (u32)other_dirs[0] | 1;
	WRITE_CR(3, pdpt);
	is("a top entry", *at, 1);
	pdpt[2] = (u32)other_dirs[1] | 1;
	is("changed in memory", *at, 1);
	asm volatile("invlpg (%0)" : : "r"(at) : "memory");
	is("INVLPG does not read it", *at, 1);
	WRITE_CR(4, cr4 ^ CR4_OSFXSR);
	WRITE_CR(4, cr4);
	WRITE_CR(0, cr0 ^ CR0_TS);
	WRITE_CR(0, cr0);
	is("nor do CR4.OSFXSR and CR0.TS", *at, 1);
	WRITE_CR(0, cr0 ^ CR0_WP);
	WRITE_CR(0, cr0);
	is("nor does CR0.WP", *at, 1);
	WRITE_CR(4, cr4 ^ CR4_PGE);
	is("CR4.PGE does", *at, 2);
	WRITE_CR(4, cr4);
	pdpt[2] = (u32)other_dirs[0] | 1;
	WRITE_CR(0, cr0 ^ CR0_CD);
	is("CR0.CD does", *at, 1);
	WRITE_CR(0, cr0);
	pdpt[2] = (u32)other_dirs[1] | 0x1e1;
	is("a reserved bit, and CR4.PGE", TRY("mov %0, %%cr4", : : "r"(cr4 ^ CR4_PGE) : "memory"), 13);
	u32 now;
	asm volatile("mov %%cr4, %0" : "=r"(now));
	is("leave CR4 as it was", now, cr4);
	is("and the entry", *at, 1);
	pdpt[2] = 0;
	is("an absent one in memory", *at, 1);
	WRITE_CR(3, pdpt);
	is("and in the processor", TRY("movl (%0), %%eax", : : "r"(at) : "eax", "memory"), 14);
	is("its error code", trap.error, 0);
	pdpt[2] = (u32)pae_dirs[2] | 1;
	WRITE_CR(3, pdpt);
}

/* INVLPG of an operand in a segment with a base, by 16-bit addressing. at: of table[5], present. */
static void test_segment(volatile u32 *at)
{
	u64 saved = gdt[11];

	gdt[11] = descriptor((u32)at - 0x1000, 0xfffff, 0x93, 0xc);
	asm volatile("mov %0, %%fs" : : "r"(0x58));
	(void)*at;
	table[5] = 0;
	asm volatile("addr16 invlpg %%fs:0x10(%%bx)" : : "b"(0xffff1000) : "memory");
	is("removed and invalidated in a segment", TRY("movl (%0), %%eax", : : "r"(at) : "eax", "memory"), 14);
	table[5] = (u32)page | 3;
	gdt[11] = saved;
	asm volatile("mov %0, %%fs" : : "r"(0x10));
}

static void test_paging(u32 bits)
{
	u32 cr0, cr4;

	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	asm volatile("mov %%cr4, %0" : "=r"(cr4));
	if (bits == 32) {
		for (u32 i = 0; i < 1024; i++)
			directory[i] = i << 22 | 0x83;
		directory[WINDOW >> 22] = (u32)table | 3;
		table[5] = (u32)page | 3;
		table[6] = (u32)page | 1;
		asm volatile("mov %0, %%cr4" : : "r"(cr4 | 0x10));
		asm volatile("mov %0, %%cr3" : : "r"(directory) : "memory");
	} else {
		for (u32 d = 0; d < 4; d++) {
			pdpt[d] = (u32)pae_dirs[d] | 1;
			for (u32 i = 0; i < 512; i++)
				pae_dirs[d][i] = (u64)d << 30 | i << 21 | 0x83;
		}
		u64 *t = (u64 *)table;

		for (u32 i = 0; i < 512; i++)
			t[i] = 0;
		pae_dirs[0][WINDOW >> 21] = (u32)table | 3;
		t[5] = (u32)page | 3;
		t[6] = (u32)page | 1;
		asm volatile("mov %0, %%cr4" : : "r"(cr4 | 0x20));
		asm volatile("mov %0, %%cr3" : : "r"(pdpt) : "memory");
	}
	asm volatile("mov %0, %%cr0; jmp 1f; 1:" : : "r"(cr0 | 0x80010000) : "memory");
	volatile u32 *at = (volatile u32 *)(WINDOW + 0x5000);

	*(volatile u32 *)page = 0x1111;
	is("a 4 KiB page", *at, 0x1111);
	at[1] = 0x2222;
	is("a write through it", ((volatile u32 *)page)[1], 0x2222);
	is("an absent page", TRY("movl $1, (%0)", : : "r"(WINDOW + 0x7000) : "memory"), 14);
	is("its error code", trap.error, 2);
	is("its address", trap.cr2, WINDOW + 0x7000);
	is("a read-only page", TRY("movl $1, (%0)", : : "r"(WINDOW + 0x6000) : "memory"), 14);
	is("its error code", trap.error, 3);
	if (bits == 32) {
		table[5] = 0;
		asm volatile("invlpg (%0)" : : "r"(at) : "memory");
		is("removed and invalidated", TRY("movl (%0), %%eax", : : "r"(at) : "eax", "memory"), 14);
		table[5] = (u32)page | 3;
		test_segment(at);
	} else {
		/* The four top entries are read when CR3 is loaded. */
		pdpt[3] |= 0x1e0ull;
		if (told("tcg") && !told("shadow"))
			skip("a reserved bit in a top entry", "QEMU's processor does not look at them here");
		else
			is("a reserved bit in a top entry", TRY("mov %0, %%cr3", : : "r"(pdpt) : "memory"), 13);
		pdpt[3] &= ~0x1e0ull;
		is("without it", TRY("mov %0, %%cr3", : : "r"(pdpt) : "memory"), -1);
		pae_dirs[0][(WINDOW >> 21) + 1] = 0;
		asm volatile("mov %0, %%cr3" : : "r"(pdpt) : "memory");
		is("a directory entry removed", TRY("movl (%0), %%eax", : : "r"(WINDOW + 0x200000) : "eax", "memory"), 14);
		if (told("shadow"))
			test_top_entries();
		else
			skip("when top entries are read", "with nested paging the processor reads them in each walk");
	}
	asm volatile("mov %0, %%cr0; jmp 1f; 1:" : : "r"(cr0) : "memory");
	asm volatile("mov %0, %%cr4" : : "r"(cr4));
}

static void test_real(void)
{
	unsigned int bad = 0;

	is("real mode: interrupt, far call, string, and back", real_mode(0x2000), 0x2111);
	for (u32 i = 0; i < 50; i++)
		bad += real_mode(i) != i + 0x111;
	is("fifty times", bad, 0);
	is("16-bit protected code", prot16(0x12340005) & 0xffff, 8);
}

/* IRET with VM set; the fault that HLT makes there comes back through trap_c(). */
static void run_v86(void)
{
	tasks[0].ss0 = 0x10;
	tasks[0].esp0 = (u32)(stacks[1] + 4096);
	asm volatile("push %%ebp; push %%ebx; push %%esi; push %%edi\n\t"
		     "push $1f\n\t"
		     "mov %%esp, %0\n\t"
		     "push $0; push $0; push $0; push $0\n\t"	/* gs fs ds es */
		     "push $0; push $0x5000\n\t"		/* ss esp */
		     "push $0x20002\n\t"
		     "push $0; push %1\n\t"
		     "iret\n"
		     "1:\tpop %%edi; pop %%esi; pop %%ebx; pop %%ebp\n\t"
		     "mov $0x10, %%eax; mov %%eax, %%ds; mov %%eax, %%es"
		     : "=m"(v86_resume_esp) : "r"(LOW + (v86_code - low_start))
		     : "eax", "ecx", "edx", "memory");
}

static void test_v86(void)
{
	*(volatile u32 *)0x6100 = 0;
	trap.vector = -1;
	run_v86();
	is("virtual-8086 mode ends with #GP of HLT", trap.vector, 13);
	is("it ran", *(volatile u32 *)0x6100, 0x12341234);
}

static void test_tasks(void)
{
	struct tss32 *other = &tasks[1];

	other->eip = (u32)other_task;
	other->eflags = 2;
	other->esp = (u32)(stacks[0] + 4096);
	other->cs = 0x08;
	other->ss = other->ds = other->es = other->fs = other->gs = 0x10;
	task_ran = 0;
	asm volatile("lcall $0x38, $0" : : : "memory");
	is("a task called", task_ran, 1);
	is("ran with NT", task_flags >> 14 & 1, 1);
	is("its link names this one", other->link & 0xffff, 0x30);
	asm volatile("lcall $0x40, $0" : : : "memory");
	is("called through a gate", task_ran, 2);
	u32 kept;
	asm volatile("mov $0x12345, %%ebx; lcall $0x38, $0; mov %%ebx, %0" : "=r"(kept) : : "ebx", "memory");
	is("registers are kept", kept, 0x12345);
	is("three times", task_ran, 3);
	/* A task gate in the IDT */
	idt[0x50] = (u64)0x38 << 16 | 0x8500ull << 32;
	asm volatile("int $0x50" : : : "memory");
	is("an interrupt through a task gate", task_ran, 4);
	is("calling a busy task", TRY("lcall $0x30, $0", : : : "memory"), 13);
	is("its error code", trap.error, 0x30);
}

void guest_main(void)
{
	setup();
	test_flat();
	test_paging(32);
	test_paging(64);
	test_real();
	test_v86();
	if (told("tcg") && told("shadow"))
		skip("task switches", "QEMU's processor does not intercept them, and they load CR3");
	else
		test_tasks();
}
