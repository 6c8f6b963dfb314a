// SPDX-License-Identifier: GPL-2.0
/* Library of the bare-metal guests; see guest.h. */
#include "guest.h"

#define AP_PAGE		0x8000ull

struct gate {
	u16 offset0, selector, type;
	u16 offset1;
	u32 offset2, zero;
};

struct tss {
	u32 reserved0;
	u64 rsp[3], reserved1, ist[7], reserved2;
	u16 reserved3, iomap;
	u8 bitmap[8193];
} __attribute__((packed));

volatile struct trap trap;
volatile u64 trap_resume;
volatile u32 cpus_up = 1;
struct tss tss;

static struct gate idt[256];
static trap_fn handlers[256];
static u8 ist_stack[2][8192] __attribute__((aligned(16)));
static u8 user_stack[8192] __attribute__((aligned(16)));
static u8 pool[128 * 4096] __attribute__((aligned(4096)));
static unsigned int pool_used;
static u64 cpl0_rsp;
static void (*ap_function)(unsigned int cpu);

extern char trap_stubs[], ap_start[], ap_end[];
extern struct { u16 limit; u64 base; } __attribute__((packed)) gdt_pointer;
void trap_c(struct frame *f);
void ap_main(u32 cpu);
void guest_setup(void);

/* ---- traps ---- */

void trap_set(unsigned int vector, trap_fn fn)
{
	handlers[vector] = fn;
}

void trap_gate(unsigned int vector, unsigned int ist, unsigned int dpl)
{
	u64 at = (u64)trap_stubs + 16 * vector;

	idt[vector] = (struct gate){ at, 0x08, 0x8e00 | dpl << 13 | ist, at >> 16, at >> 32, 0 };
}

void trap_c(struct frame *f)
{
	if (handlers[f->vector]) {
		handlers[f->vector](f);
		return;
	}
	if (f->cs & 3) {
		/* at_cpl3() goes on behind its IRET. */
		trap = (struct trap){ f->vector, f->error, f->rip, f->rflags, READ_CR(2), 0 };
		f->cs = 0x08;
		f->ss = 0x10;
		f->rip = trap_resume;
		f->rsp = cpl0_rsp;
		f->rflags = 2;
		return;
	}
	if (!trap_resume)
		bail_out(f->vector, f->rip, f->error, READ_CR(2));
	trap = (struct trap){ f->vector, f->error, f->rip, f->rflags, READ_CR(2), 0 };
	if (f->vector == 1)
		trap.dr6 = READ_DR(6);
	f->rip = trap_resume;
	trap_resume = 0;
	f->rflags &= ~0x100ull;
}

int at_cpl3(void (*fn)(u64), u64 arg)
{
	/* User code returns to an INT 0x80 at the top of its stack's page. */
	static const u8 back[] = { 0xcd, 0x80 };
	u64 *sp = (u64 *)(user_stack + sizeof(user_stack) - 64);

	memcpy(sp + 2, back, 2);
	sp[0] = (u64)(sp + 2);
	trap.vector = -1;
	asm volatile("push %%rbp; push %%rbx\n\t"
		     "movq $1f, trap_resume\n\t"
		     "mov %%rsp, %[save]\n\t"
		     "mov %%rsp, %[rsp0]\n\t"
		     "pushq $0x2b; pushq %[sp]; pushq $2; pushq $0x33; pushq %[fn]\n\t"
		     "iretq\n"
		     "1:\tmovq $0, trap_resume\n\t"
		     "pop %%rbx; pop %%rbp"
		     : [save] "=m"(cpl0_rsp), [rsp0] "=m"(tss.rsp[0])
		     : [sp] "r"(sp), [fn] "r"(fn), "D"(arg)
		     : "memory", "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15");
	return trap.vector;
}

static void load_tables(void)
{
	struct { u16 limit; u64 base; } __attribute__((packed)) p = { sizeof(idt) - 1, (u64)idt };

	asm volatile("lidt %0" : : "m"(p));
}

void guest_setup(void)
{
	u64 at = (u64)&tss;

	for (unsigned int i = 0; i < 256; i++)
		trap_gate(i, 0, i == 3 || i == 4 || i == 0x80 ? 3 : 0);
	load_tables();
	tss.ist[0] = (u64)(ist_stack + 1);
	tss.ist[1] = (u64)(ist_stack + 2);
	tss.rsp[0] = (u64)(ist_stack + 2);
	tss.iomap = sizeof(tss);
	gdt[8] = (sizeof(tss) - 1) | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24 & 0xff) << 56;
	gdt[9] = at >> 32;
	asm volatile("ltr %w0" : : "r"(0x40));
	/* The stacks and code of CPL 3 lie in identity-mapped pages, all user-accessible. */
}

/* ---- memory ---- */

void *page_new(void)
{
	void *p = pool + PAGE * pool_used++;

	if (pool_used > sizeof(pool) / PAGE)
		asm volatile("ud2");
	return memset(p, 0, PAGE);
}

static u64 *below(u64 *entry)
{
	if (!(*entry & PTE_P) || *entry & PTE_PS)
		*entry = (u64)page_new() | PTE_P | PTE_W | PTE_U;
	return (u64 *)(*entry & 0xffffffffff000ull);
}

u64 *map(u64 gva, u64 pte)
{
	u64 *t = below(&pml4[gva >> 39 & 511]);

	t = below(&t[gva >> 30 & 511]);
	t = below(&t[gva >> 21 & 511]);
	t += gva >> 12 & 511;
	*t = pte;
	return t;
}

/* ---- interrupts and processors ---- */

void apic_on(void)
{
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	apic_write(0xf0, 0x1ff);
	apic_write(0x80, 0);
}

void apic_eoi(void)
{
	apic_write(0xb0, 0);
}

void ipi(u32 to, u32 low)
{
	apic_write(0x310, to << 24);
	apic_write(0x300, low);
	while (apic_read(0x300) & 0x1000)
		pause();
}

void ap_main(u32 cpu)
{
	asm volatile("lgdt %0" : : "m"(gdt_pointer));
	load_tables();
	asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss" : : "r"(0x10));
	apic_write(0xf0, 0x1ff);
	apic_write(0x80, 0);
	__atomic_add_fetch(&cpus_up, 1, __ATOMIC_SEQ_CST);
	ap_function(cpu);
}

unsigned int smp_start(void (*fn)(unsigned int cpu), unsigned int expected)
{
	ap_function = fn;
	memcpy((void *)AP_PAGE, ap_start, ap_end - ap_start);
	apic_write(0x310, 0);
	apic_write(0x300, 0xc4500);		/* INIT, all but this one */
	for (u64 t = rdtsc(); rdtsc() - t < 10000000;)
		pause();
	apic_write(0x300, 0xc4600 | AP_PAGE >> 12);
	for (u64 t = rdtsc(); cpus_up < expected && rdtsc() - t < 50000000000;)
		pause();
	return cpus_up;
}
