// SPDX-License-Identifier: GPL-2.0
/*
 * Port I/O: sizes, strings with every prefix, faults in their middle, privilege.
 * Port 0xe0 is the test device's register, which reads back what was written.
 */
#include "guest.h"

#define ECHO 0xe0
#define GP 13
#define PF 14
#define WINDOW 0x300000000ull

extern struct {
	u32 reserved0;
	u64 rsp[3], reserved1, ist[7], reserved2;
	u16 reserved3, iomap;
	u8 bitmap[8193];
} __attribute__((packed)) tss;

static void test_sizes(void)
{
	u64 rax = 0x1122334455667788;

	outl(ECHO, 0x89abcdef);
	is("in of 4", inl(ECHO), 0x89abcdef);
	is("in of 2", inw(ECHO), 0xcdef);
	is("in of 1", inb(ECHO), 0xef);
	asm volatile("inb %%dx, %%al" : "+a"(rax) : "d"(ECHO));
	is("in of 1 leaves the rest of RAX", rax, 0x11223344556677ef);
	asm volatile("inw %%dx, %%ax" : "+a"(rax) : "d"(ECHO));
	is("in of 2 leaves the rest of RAX", rax, 0x112233445566cdef);
	asm volatile("inl %%dx, %%eax" : "+a"(rax) : "d"(ECHO));
	is("in of 4 clears the upper half", rax, 0x89abcdef);
	outw(ECHO, 0x1234);
	is("out of 2", inw(ECHO), 0x1234);
	outb(ECHO, 0x99);
	is("out of 1", inb(ECHO), 0x99);
	is("a port nobody has reads ones", inl(0x5550), 0xffffffff);
}

static void test_strings(void)
{
	static u32 buf[2048] __attribute__((aligned(4096)));
	u32 *p = buf;
	u64 n = 1500, di, si;
	unsigned int bad = 0;

	outl(ECHO, 0x13579bdf);
	asm volatile("rep insl" : "+D"(p), "+c"(n) : "d"(ECHO) : "memory");
	for (unsigned int i = 0; i < 1500; i++)
		bad += buf[i] != 0x13579bdf;
	ok(p == buf + 1500 && !n && !bad && !buf[1500], "rep insl of 6000 bytes across pages");
	for (unsigned int i = 0; i < 2048; i++)
		buf[i] = i;
	p = buf;
	n = 1777;
	asm volatile("rep outsl" : "+S"(p), "+c"(n) : "d"(ECHO) : "memory");
	ok(p == buf + 1777 && !n && inl(ECHO) == 1776, "rep outsl: the last one stays");
	n = 5;
	si = (u64)(buf + 100);
	asm volatile("std; rep outsl; cld" : "+S"(si), "+c"(n) : "d"(ECHO) : "memory");
	ok(si == (u64)(buf + 95) && inl(ECHO) == 96, "backwards");
	n = 0;
	di = (u64)buf;
	asm volatile("rep insb" : "+D"(di), "+c"(n) : "d"(ECHO) : "memory");
	ok(di == (u64)buf, "a count of 0 does nothing");
	di = (u64)buf + 1;
	outw(ECHO, 0x7777);
	asm volatile("insw" : "+D"(di) : "d"(ECHO) : "memory");
	ok(di == (u64)buf + 3 && *(u16 *)((u8 *)buf + 1) == 0x7777, "insw without rep");
	n = 0xffffffff00000003;
	di = 0xffffffff00000000 | (u64)buf;
	asm volatile("addr32 rep insb" : "+D"(di), "+c"(n) : "d"(ECHO) : "memory");
	ok(di == (u64)buf + 3 && n == 0, "32-bit addresses: ECX counts, EDI wraps alone");
	wrmsr(0xc0000100, (u64)buf);
	si = 4 * 55;
	asm volatile("fs outsl" : "+S"(si) : "d"(ECHO) : "memory");
	is("a segment's base is added", inl(ECHO), 55);
	wrmsr(0xc0000100, 0);
}

/* A string runs into a page that is not there: what came before counts. */
static void test_string_faults(void)
{
	u8 *page = page_new();
	u64 *pte = map(WINDOW, (u64)page | PTE_P | PTE_W | PTE_U);
	u64 di, n, si;

	map(WINDOW + PAGE, 0);
	outl(ECHO, 0x42424242);
	di = WINDOW + PAGE - 8;
	n = 10;
	is("rep insl into an absent page", TRY("rep insl", : "+D"(di), "+c"(n) : "d"(ECHO) : "memory"), PF);
	if (told("stock"))
		skip("counts what went before", "the stock module reads ahead");
	else
		ok(di == WINDOW + PAGE && n == 8, "counts what went before");
	is("faults at the page", trap.cr2, WINDOW + PAGE);
	ok((trap.error & 3) == 2 && page[PAGE - 1] == 0x42, "for writing");
	si = WINDOW + PAGE - 8;
	n = 10;
	is("rep outsw out of an absent page", TRY("rep outsw", : "+S"(si), "+c"(n) : "d"(ECHO) : "memory"), PF);
	ok(si == WINDOW + PAGE && n == 6 && trap.cr2 == WINDOW + PAGE, "counts what went before");
	*pte = (u64)page | PTE_P | PTE_U;
	flush();
	di = WINDOW + 16;
	is("insb into a read-only page", TRY("insb", : "+D"(di) : "d"(ECHO) : "memory"), PF);
	ok(trap.error == 3 && di == WINDOW + 16, "is a protection fault");
	di = WINDOW + PAGE - 2;
	*pte = (u64)page | PTE_P | PTE_W | PTE_U;
	flush();
	page[PAGE - 1] = 0;
	is("insl half into an absent page", TRY("insl", : "+D"(di) : "d"(ECHO) : "memory"), PF);
	is("at its second half", trap.cr2, WINDOW + PAGE);
	di = 1ull << 60;
	is("insb to an address that is not canonical", TRY("insb", : "+D"(di) : "d"(ECHO)), GP);
}

static void user_in(u64 port) { asm volatile("inb %%dx, %%al" : : "d"(port) : "rax"); }
static void user_inl(u64 port) { asm volatile("inl %%dx, %%eax" : : "d"(port) : "rax"); }
static void user_outs(u64 port) { asm volatile("outsb" : : "d"(port), "S"(&tss)); }

static void test_privilege(void)
{
	is("IN at CPL 3 without a bitmap", at_cpl3(user_in, ECHO), GP);
	is("its error code", trap.error, 0);
	is("OUTS at CPL 3 without a bitmap", at_cpl3(user_outs, ECHO), GP);
	tss.iomap = (u8 *)tss.bitmap - (u8 *)&tss;
	memset(tss.bitmap, 0xff, sizeof(tss.bitmap));
	is("IN at CPL 3 with the port's bit set", at_cpl3(user_in, ECHO), GP);
	tss.bitmap[ECHO / 8] &= ~(1 << ECHO % 8);
	is("IN at CPL 3 with the bit clear", at_cpl3(user_in, ECHO), 0x80);
	is("OUTS at CPL 3 with the bit clear", at_cpl3(user_outs, ECHO), 0x80);
	is("IN of the next port", at_cpl3(user_in, ECHO + 1), GP);
	is("IN of 4 with one bit of four clear", at_cpl3(user_inl, ECHO), GP);
	tss.bitmap[ECHO / 8] &= ~(0xf << ECHO % 8);
	is("IN of 4 with four bits clear", at_cpl3(user_inl, ECHO), 0x80);
	tss.iomap = sizeof(tss);
}

/* The test device's memory: reads and writes of each size, and across its end. */
static void test_memory(void)
{
	volatile u8 *dev = (volatile u8 *)0xff000000ull;
	unsigned int bad = 0;

	for (unsigned int i = 0; i < 256; i++)
		dev[i] = i;
	for (unsigned int i = 0; i < 256; i++)
		bad += dev[i] != i;
	is("device memory by bytes", bad, 0);
	is("by 4", *(volatile u32 *)(dev + 4), 0x07060504);
	is("by 8, unaligned", *(volatile u64 *)(dev + 3), 0x0a09080706050403);
	*(volatile u16 *)(dev + 0x11) = 0xaabb;
	ok(dev[0x11] == 0xbb && dev[0x12] == 0xaa && dev[0x13] == 0x13, "write of 2, unaligned");
	__atomic_add_fetch((volatile u32 *)(dev + 0x20), 1, __ATOMIC_SEQ_CST);
	is("locked add", *(volatile u32 *)(dev + 0x20), 0x23222121);
	u64 old = 0x2f2e2d2c2b2a2928;
	is("locked compare and exchange",
	   __atomic_compare_exchange_n((volatile u64 *)(dev + 0x28), &old, 5, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST), 1);
	is("its effect", *(volatile u64 *)(dev + 0x28), 5);
}

void guest_main(void)
{
	test_sizes();
	test_strings();
	test_string_faults();
	test_privilege();
	test_memory();
}
