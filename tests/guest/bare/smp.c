// SPDX-License-Identifier: GPL-2.0
/* Several processors: start, interrupts between them, locked operations, TLB shootdown, clocks. */
#include "guest.h"

#define CALL	0x60
#define WAKE	0x61
#define ROUNDS	20000
#define TICKET_TICKS 1000000000ull
#define WINDOW	0x600000000ull

static volatile u32 phase, arrived, answered[8], wrong;
static volatile u64 counter, plain, taken, last_tsc;
static volatile u8 bits[64];
static unsigned int cpus;

static void call(struct frame *f)
{
	__atomic_add_fetch(&answered[apic_read(0x20) >> 24], 1, __ATOMIC_SEQ_CST);
	apic_eoi();
}

static void wake(struct frame *f) { apic_eoi(); }

/*
 * Sleeps until the timer, or another interrupt; IF stays as it is. Under the stock module, which
 * does not know that QEMU's emulation forgets the interrupt shadow, the timer is periodic.
 */
static void nap(void)
{
	bool on = flags() & 0x200;

	cli();
	apic_write(0x3e0, 0xb);
	apic_write(0x320, WAKE | (told("stock") ? 0x20000 : 0));
	apic_write(0x380, 100000);
	sti_hlt();
	if (!on)
		cli();
}

/*
 * One step, the @n-th, of waiting for another processor. The host may have fewer of them than
 * there are here: who only spins takes the time of those it waits for.
 */
static void wait_step(u32 n)
{
	if (n % 4096 == 4095)
		nap();
	else
		pause();
}

static void barrier(u32 n)
{
	__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
	for (u32 i = 0; arrived < n * cpus; i++)
		wait_step(i);
}

static void locked(unsigned int cpu)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		__atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
		asm volatile("lock btsq %1, %0" : "+m"(*(u64 *)bits) : "r"((u64)(i % 16 + 16 * cpu) % 64) : "memory");
		if (i % 64 == 0)
			cpuid(0, 0);
	}
}

/*
 * A ticket lock around a plain counter. It is handed over in order, and so stands still for a
 * time slice whenever the next in line has no processor of the host: hence the limit.
 */
static void ticketed(void)
{
	static volatile u32 next, serving;
	u64 start = rdtsc();
	unsigned int i;

	for (i = 0; i < ROUNDS / 8 && rdtsc() - start < TICKET_TICKS; i++) {
		u32 mine = __atomic_fetch_add(&next, 1, __ATOMIC_SEQ_CST);

		while (serving != mine)
			pause();
		plain++;
		__atomic_store_n(&serving, mine + 1, __ATOMIC_RELEASE);
	}
	__atomic_add_fetch(&taken, i, __ATOMIC_SEQ_CST);
}

/* The TSC of whoever comes next is never behind. */
static void clocks(void)
{
	static volatile u32 lock;

	for (unsigned int i = 0; i < 500; i++) {
		while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
			pause();
		u64 now = rdtsc();
		if (now < last_tsc)
			wrong++;
		last_tsc = now;
		__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	}
}

static volatile u64 *shared_pte;
static volatile u32 generation, seen[8];
static volatile u32 stop;

/* Reads the page again after each shootdown; an old value is a flush that was lost. */
static void reader(unsigned int cpu)
{
	u32 mine = 0, idle = 0;

	while (!stop) {
		u32 now = generation;

		if (now == mine) {
			wait_step(idle++);
			continue;
		}
		invlpg((void *)WINDOW);
		if (*(volatile u64 *)WINDOW != now)
			__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
		mine = now;
		seen[cpu] = now;
	}
}

static void work(unsigned int cpu)
{
	barrier(1);
	locked(cpu);
	barrier(2);
	ticketed();
	barrier(3);
	clocks();
	barrier(4);
	sti();
	if (cpu) {
		reader(cpu);
		for (;;)
			asm volatile("hlt");
	}
}

static void ap(unsigned int cpu)
{
	for (u32 i = 0; !phase; i++)
		wait_step(i);
	work(cpu);
}

static void test_calls(void)
{
	unsigned int bad = 0;

	for (unsigned int to = 1; to < cpus; to++)
		for (unsigned int i = 0; i < 50; i++) {
			u32 before = answered[to];

			ipi(to, 0x4000 | CALL);
			for (u32 n = 0; answered[to] == before && n < 2000000; n++)
				wait_step(n);
			bad += answered[to] == before;
		}
	is("fifty interrupts to each other processor", bad, 0);
}

static void test_shootdown(void)
{
	u64 *a = page_new(), *b = page_new();

	shared_pte = map(WINDOW, (u64)a | PTE_P | PTE_W);
	for (u32 g = 1; g <= 300; g++) {
		u64 *p = g & 1 ? a : b;

		*p = g;
		*shared_pte = (u64)p | PTE_P | PTE_W;
		generation = g;
		for (unsigned int to = 1; to < cpus; to++)
			for (u32 n = 0; seen[to] != g && n < 20000000; n++)
				wait_step(n);
	}
	stop = 1;
	is("300 pages exchanged under the others' eyes", wrong, 0);
	ok(cpus < 2 || seen[1] == 300, "all were seen");
}

void guest_main(void)
{
	apic_on();
	trap_set(CALL, call);
	trap_set(WAKE, wake);
	cpus = smp_start(ap, told("cpus=4") ? 4 : 2);
	is("processors", cpus, told("cpus=4") ? 4 : 2);
	phase = 1;
	work(0);
	is("locked adds", counter, (u64)cpus * ROUNDS);
	is("a counter under a ticket lock", plain, taken);
	is("time never went back between processors", wrong, 0);
	wrong = 0;
	test_calls();
	test_shootdown();
}
