// SPDX-License-Identifier: GPL-2.0
/* Interrupts: APIC timer, PIT, HLT, windows and shadows, priorities, NMI and its blocking. */
#include "guest.h"

#define TIMER	0x40
#define SELF	0x41
#define HIGH	0x51
#define PIT	0x30
#define FRESH	0x3000000ull	/* RAM that nobody has touched */

static volatile u64 ticks, selfs, highs, pits, nmis;
static volatile u64 irq_rip, nmi_depth, nmi_deepest, nmi_inside;

static void timer(struct frame *f) { ticks++; apic_eoi(); }
static void self(struct frame *f) { selfs++; irq_rip = f->rip; apic_eoi(); }
static void high(struct frame *f) { highs++; apic_eoi(); }
static void pit(struct frame *f) { pits++; outb(0x20, 0x20); }

static void send_self(u32 vector) { ipi(apic_read(0x20) >> 24, 0x4000 | vector); }
static void send_nmi(void) { ipi(apic_read(0x20) >> 24, 0x4400); }

static void wait(volatile u64 *what, u64 until)
{
	for (u64 n = 0; *what < until && n < 200000; n++)
		outb(0x80, 0);
}

static void test_self(void)
{
	u64 rip;

	trap_set(SELF, self);
	trap_set(HIGH, high);
	cli();
	send_self(SELF);
	cpuid(0, 0);
	is("an interrupt waits while IF is clear", selfs, 0);
	asm volatile("sti\n1:\tnop\n2:\tnop\n\tlea 2b(%%rip), %0" : "=r"(rip) : : "memory");
	is("it comes once IF is set", selfs, 1);
	if (told("tcg") && irq_rip != rip)
		note("behind STI by", irq_rip - rip);
	ok(irq_rip >= rip, "one instruction after STI");
	cli();
	send_self(SELF);
	asm volatile("mov %%ss, %%eax; sti; mov %%eax, %%ss\n\tnop\n2:\tnop\n\tlea 2b(%%rip), %0"
		     : "=r"(rip) : : "rax", "memory");
	is("it comes after STI and MOV SS", selfs, 2);
	cli();
	send_self(SELF);
	asm volatile("sti\n1:\tmovb $1, (%1)\n\tnop\n\tlea 1b(%%rip), %0"
		     : "=&r"(rip) : "r"(FRESH) : "memory");
	wait(&selfs, 3);
	is("it comes after STI and a store that exits", selfs, 3);
	if (told("stock") && told("tcg"))
		skip("behind the store", "QEMU's VMRUN does not load the interrupt shadow");
	else
		ok(irq_rip != rip, "behind the store");
	sti();
	for (unsigned int i = 0; i < 50; i++)
		send_self(SELF);
	wait(&selfs, 53);
	ok(selfs >= 4 && selfs <= 53, "a stream of interrupts to itself");
	cli();
}

static void test_priority(void)
{
	selfs = highs = 0;
	sti();
	WRITE_CR(8, 4);
	send_self(SELF);
	send_self(HIGH);
	wait(&highs, 1);
	is("CR8 of 4 holds vector 0x41 off", selfs, 0);
	is("and not vector 0x51", highs, 1);
	WRITE_CR(8, 0);
	wait(&selfs, 1);
	is("CR8 of 0 lets it through", selfs, 1);
	cli();
}

static void test_timer(void)
{
	trap_set(TIMER, timer);
	apic_write(0x3e0, 0xb);
	apic_write(0x320, TIMER);
	ticks = 0;
	apic_write(0x380, 100000);
	sti();
	wait(&ticks, 1);
	is("the APIC timer fires once", ticks, 1);
	apic_write(0x320, 0x20000 | TIMER);
	apic_write(0x380, 3000000);
	ticks = 0;
	for (unsigned int i = 0; i < 20; i++)
		asm volatile("hlt");
	ok(ticks >= 20, "twenty HLT end by twenty timer interrupts");
	cli();
	ticks = 0;
	for (unsigned int i = 0; i < 10; i++) {
		sti_hlt();
		cli();
	}
	ok(ticks >= 10 && ticks < 20, "STI; HLT does not miss one");
	apic_write(0x320, 0x10000);
	apic_write(0x380, 0);
}

static void test_pit(void)
{
	trap_set(PIT, pit);
	/* 8259: vectors from 0x30, only the timer */
	outb(0x20, 0x11);
	outb(0x21, PIT);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0x21, 0xfe);
	apic_write(0x350, 0x700);		/* LINT0: ExtINT */
	outb(0x43, 0x34);
	outb(0x40, 0);
	outb(0x40, 0x20);			/* about 7 ms */
	pits = 0;
	for (unsigned int i = 0; i < 100 && pits < 10; i++)
		sti_hlt();
	cli();
	ok(pits >= 10, "the PIT ends ten HLT");
	outb(0x21, 0xff);
	apic_write(0x350, 0x10000);
}

static void nmi(struct frame *f)
{
	nmis++;
	nmi_depth++;
	if (nmi_depth > nmi_deepest)
		nmi_deepest = nmi_depth;
	if (nmi_inside) {
		nmi_inside = 0;
		send_nmi();
		cpuid(0, 0);
		outb(0x80, 0);
	}
	nmi_depth--;
}

static void test_nmi(void)
{
	trap_set(2, nmi);
	send_nmi();
	wait(&nmis, 1);
	is("an NMI comes with IF clear", nmis, 1);
	nmi_inside = 1;
	send_nmi();
	wait(&nmis, 3);
	is("an NMI sent in the handler comes too", nmis, 3);
	is("but only after IRET", nmi_deepest, 1);
	nmis = 0;
	for (unsigned int i = 0; i < 20; i++) {
		send_nmi();
		wait(&nmis, i + 1);
	}
	is("twenty NMI", nmis, 20);
}

/* An NMI wakes a HLT although interrupts are off. */
static void test_nmi_hlt(void)
{
	nmis = 0;
	outb(0x21, 0xfe);
	apic_write(0x350, 0x400);		/* LINT0: NMI */
	outb(0x43, 0x34);
	outb(0x40, 0);
	outb(0x40, 0x20);
	cli();
	asm volatile("hlt");
	apic_write(0x350, 0x10000);
	outb(0x21, 0xff);
	ok(nmis >= 1, "an NMI ends a HLT with IF clear");
}

/* Interrupts over string instructions and over exits: state must survive. */
static void test_storm(void)
{
	static u8 from[65536], to[65536];
	unsigned int bad = 0;

	for (unsigned int i = 0; i < sizeof(from); i++)
		from[i] = i * 7;
	apic_write(0x320, 0x20000 | TIMER);
	apic_write(0x380, 400000);
	ticks = 0;
	sti();
	for (unsigned int i = 0; i < 2000 && (ticks < 50 || i < 20); i++) {
		memset(to, 0, sizeof(to));
		memcpy(to, from, sizeof(to));
		bad += memcmp(to, from, sizeof(to)) != 0;
		cpuid(0, 0);
	}
	cli();
	apic_write(0x320, 0x10000);
	apic_write(0x380, 0);
	is("copies under a storm of timer interrupts", bad, 0);
	ok(ticks > 0, "there was a storm");
}

void guest_main(void)
{
	apic_on();
	test_self();
	test_priority();
	test_timer();
	test_pit();
	test_nmi();
	test_nmi_hlt();
	test_storm();
}
