// SPDX-License-Identifier: GPL-2.0
/* CPUID, MSR, control registers, privileged instructions, processor state across exits. */
#include "guest.h"

#define UD 6
#define GP 13
#define EFER 0xc0000080u
#define TSC_AUX 0xc0000103u
#define FS_BASE 0xc0000100u
#define GS_BASE 0xc0000101u
#define KERNEL_GS 0xc0000102u

static void test_cpuid(void)
{
	struct regs4 first = cpuid(1, 0), r;
	u64 a = 0xffffffff00000000, b = ~0ull, c = 0xffffffff00000000, d = ~0ull;
	unsigned int differ = 0;

	asm volatile("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
	ok(!(a >> 32) && !(b >> 32) && !(c >> 32) && !(d >> 32), "CPUID clears the upper halves");
	r = cpuid(0x40000000, 0);
	ok(first.c >> 31 && r.a >= 0x40000000, "a hypervisor tells itself");
	for (unsigned int i = 0; i < 500; i++) {
		r = cpuid(1, 0);
		differ += r.a != first.a || r.c != first.c || r.d != first.d;
	}
	is("CPUID gives the same 500 times", differ, 0);
}

static int read_msr(u32 index) { u32 lo, hi; return TRY("rdmsr", : "=a"(lo), "=d"(hi) : "c"(index)); }
static int write_msr(u32 index, u64 v)
{
	return TRY("wrmsr", : : "c"(index), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static void test_msrs(void)
{
	u64 old;

	is("RDMSR of an unknown register", read_msr(0x12345678), GP);
	is("its error code", trap.error, 0);
	is("WRMSR of an unknown register", write_msr(0x12345678, 0), GP);
	is("RDMSR of EFER", read_msr(EFER), -1);
	is("EFER has LMA and LME", rdmsr(EFER) & 0x500, 0x500);
	is("WRMSR of a reserved EFER bit", write_msr(EFER, rdmsr(EFER) | 1ull << 40), GP);
	is("WRMSR that turns long mode off under paging", write_msr(EFER, rdmsr(EFER) & ~0x100ull), GP);
	ok(rdmsr(0x1b) >> 11 & 1, "the APIC is on");
	if (cpuid(0x80000001, 0).d >> 27 & 1) {
		u32 aux = 0, lo, hi;

		wrmsr(TSC_AUX, 0x1234);
		asm volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
		is("RDTSCP gives TSC_AUX", aux, 0x1234);
		cpuid(0, 0);
		asm volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
		is("TSC_AUX survives an exit", aux, 0x1234);
	}
	old = rdmsr(0x176);
	for (u32 index = 0x174; index <= 0x176; index++) {
		wrmsr(index, 0x4000 + index);
		cpuid(0, 0);
		is("a SYSENTER register keeps its value", rdmsr(index), 0x4000 + index);
	}
	wrmsr(0x176, old);
	for (u32 index = 0xc0000081; index <= 0xc0000083; index++) {
		u64 keep = rdmsr(index);

		wrmsr(index, 0xffffffff80001000 + index % 16);
		cpuid(0, 0);
		is("a SYSCALL register keeps its value", rdmsr(index), 0xffffffff80001000 + index % 16);
		wrmsr(index, keep);
	}
}

static int write_cr0(u64 v) { return TRY("mov %0, %%cr0", : : "r"(v) : "memory"); }
static int write_cr3(u64 v) { return TRY("mov %0, %%cr3", : : "r"(v) : "memory"); }
static int write_cr4(u64 v) { return TRY("mov %0, %%cr4", : : "r"(v) : "memory"); }
static int write_cr8(u64 v) { return TRY("mov %0, %%cr8", : : "r"(v) : "memory"); }

static void test_control(void)
{
	u64 cr0 = READ_CR(0), cr4 = READ_CR(4), w;

	is("CR0 with PG and without PE", write_cr0(cr0 & ~1ull), GP);
	is("CR0 with NW and without CD", write_cr0(cr0 | 1 << 29), GP);
	is("CR0 is as it was", READ_CR(0), cr0);
	is("CR0 with CD", write_cr0(cr0 | 1 << 30), -1);
	ok(READ_CR(0) >> 30 & 1, "CD reads back");
	WRITE_CR(0, cr0);
	is("CR4 with a reserved bit", write_cr4(cr4 | 1ull << 31), GP);
	is("CR4 without PAE in long mode", write_cr4(cr4 & ~0x20ull), GP);
	is("CR4 is as it was", READ_CR(4), cr4);
	is("CR4 with PGE", write_cr4(cr4 | 0x80), -1);
	is("PGE reads back", READ_CR(4), cr4 | 0x80);
	WRITE_CR(4, cr4);
	if (told("tcg"))
		skip("CR0 above 32 bits", "QEMU's processor does not check what is not intercepted");
	else
		is("CR0 above 32 bits", write_cr0(cr0 | 1ull << 40), GP);
	if (told("tcg") && !told("shadow"))
		skip("CR3 beyond the physical addresses",
		     "QEMU's processor does not check what is not intercepted");
	else
		is("CR3 beyond the physical addresses", write_cr3(READ_CR(3) | 1ull << 60), GP);
	is("CR3 reloaded", write_cr3(READ_CR(3)), -1);
	is("CR8 of 16", write_cr8(16), GP);
	for (w = 0; w < 16; w++) {
		WRITE_CR(8, w);
		cpuid(0, 0);
		if (READ_CR(8) != w)
			break;
	}
	is("CR8 takes 0 to 15", w, 16);
	is("the APIC's task priority follows CR8", apic_read(0x80), 0xf0);
	WRITE_CR(8, 0);
	apic_write(0x80, 0x50);
	is("CR8 follows the APIC's task priority", READ_CR(8), 5);
	WRITE_CR(8, 0);
	WRITE_CR(2, 0x123456789abc);
	cpuid(0, 0);
	is("CR2 keeps its value", READ_CR(2), 0x123456789abc);
	is("CR1 is not there", TRY("mov %%cr1, %0", : "=r"(w)), UD);
}

static void test_ts(void)
{
	u64 w, cr0 = READ_CR(0);

	asm volatile("lmsw %w0" : : "r"(cr0 | 8));
	ok(READ_CR(0) >> 3 & 1, "LMSW sets TS");
	is("FPU with TS", TRY("fnop", : : ), 7);
	is("SSE with TS", TRY("pxor %%xmm0, %%xmm0", : : ), 7);
	asm volatile("clts");
	is("CLTS clears TS", READ_CR(0), cr0);
	is("FPU without TS", TRY("fnop", : : ), -1);
	asm volatile("lmsw %w0" : : "r"(0));
	ok(READ_CR(0) & 1, "LMSW cannot clear PE");
	WRITE_CR(0, cr0);
	asm volatile("smsw %0" : "=r"(w));
	is("SMSW reads CR0", (u16)w, (u16)cr0);
}

static void test_undefined(void)
{
	struct regs4 r = cpuid(1, 0);

	is("UD2", TRY("ud2", : : ), UD);
	is("VMRUN", TRY("vmrun %%rax", : : "a"(0ull)), UD);
	is("VMLOAD", TRY("vmload %%rax", : : "a"(0ull)), UD);
	is("VMSAVE", TRY("vmsave %%rax", : : "a"(0ull)), UD);
	is("STGI", TRY("stgi", : : ), UD);
	is("CLGI", TRY("clgi", : : ), UD);
	is("SKINIT", TRY("skinit %%eax", : : "a"(0)), UD);
	is("INVLPGA", TRY("invlpga %%rax, %%ecx", : : "a"(0ull), "c"(0)), UD);
	is("RSM", TRY("rsm", : : ), UD);
	is("VMXON", TRY("vmxon (%%rsp)", : : ), UD);
	if (r.c >> 3 & 1) {
		static u64 line;

		is("MONITOR, which CPUID has", TRY("monitor", : : "a"(&line), "c"(0), "d"(0)), -1);
	} else {
		static u64 line;
		int v = TRY("monitor", : : "a"(&line), "c"(0), "d"(0));

		ok(v == UD || v == -1, "MONITOR, which CPUID has not: #UD or nothing");
		v = TRY("mwait", : : "a"(0), "c"(0));
		ok(v == UD || v == -1, "MWAIT, which CPUID has not: #UD or nothing");
	}
	is("WBINVD", TRY("wbinvd", : : : "memory"), -1);
	is("INVD", TRY("invd", : : : "memory"), -1);
	is("a hypercall nobody knows is answered", TRY("vmmcall", : : "a"(0x7777ull) : "memory"), -1);
}

static void test_tsc(void)
{
	u64 last = rdtsc(), now;
	unsigned int back = 0;

	for (unsigned int i = 0; i < 1000; i++) {
		if (i % 4 == 0)
			cpuid(0, 0);
		now = rdtsc();
		back += now < last;
		last = now;
	}
	is("the TSC never goes back", back, 0);
	wrmsr(0x10, 0x100000000000);
	now = rdtsc();
	ok(now >= 0x100000000000 && now < 0x110000000000, "the TSC runs on from what is written");
}

static void test_bases(void)
{
	static u64 one = 1, two = 2;
	u64 v;

	wrmsr(FS_BASE, (u64)&one);
	wrmsr(GS_BASE, (u64)&one);
	wrmsr(KERNEL_GS, (u64)&two);
	cpuid(0, 0);
	asm volatile("mov %%fs:0, %0" : "=r"(v));
	is("FS base", v, 1);
	asm volatile("swapgs; mov %%gs:0, %0" : "=r"(v));
	is("SWAPGS", v, 2);
	cpuid(0, 0);
	is("SWAPGS exchanges the registers", rdmsr(KERNEL_GS), (u64)&one);
	asm volatile("swapgs");
}

static u8 user_seen;

static void user_syscall(u64 arg)
{
	asm volatile("mov $0x55, %%eax; syscall; movb $1, %0" : "=m"(user_seen) : : "rax", "rcx", "r11", "memory");
}

static void test_syscall(void)
{
	/* SYSCALL lands on code that puts RAX away and goes back with SYSRET. */
	static u64 seen;
	u64 target;

	asm volatile("jmp 1f\n2:\tmov %%rax, %1\n\tsysretq\n1:\tmov $2b, %0"
		     : "=r"(target), "=m"(seen));
	wrmsr(0xc0000081, 0x0020000800000000 | 0);
	wrmsr(0xc0000082, target);
	wrmsr(0xc0000084, 0x200);
	is("CPL 3 comes back by INT 0x80", at_cpl3(user_syscall, 0), 0x80);
	is("SYSCALL reached its target", seen, 0x55);
	is("SYSRET went back", user_seen, 1);
}

static void test_xsave(void)
{
	static u8 area[1024] __attribute__((aligned(64))), ymm[64], back[64];
	struct regs4 r = cpuid(1, 0);
	bool avx = r.c >> 28 & 1;

	for (unsigned int i = 0; i < 32; i++)
		ymm[i] = i + 1;
	asm volatile("movdqu (%0), %%xmm5; cpuid; outb %%al, $0x80; movdqu %%xmm5, (%1)"
		     : : "r"(ymm), "r"(back) : "eax", "ebx", "ecx", "edx", "memory");
	ok(!memcmp(ymm, back, 16), "an SSE register survives exits");
	if (!(r.c >> 26 & 1)) {
		skip("XSAVE", "not offered");
		return;
	}
	WRITE_CR(4, READ_CR(4) | 1 << 18);
	ok(cpuid(1, 0).c >> 27 & 1, "CPUID shows OSXSAVE");
	if (told("tcg") && told("stock")) {
		skip("XSETBV", "QEMU's emulated SVM does not intercept it");
		return;
	}
	is("XSETBV without x87", TRY("xsetbv", : : "a"(2), "d"(0), "c"(0)), GP);
	is("XSETBV of a register that is not there", TRY("xsetbv", : : "a"(1), "d"(0), "c"(5)), GP);
	is("XSETBV", TRY("xsetbv", : : "a"(avx ? 7 : 3), "d"(0), "c"(0)), -1);
	cpuid(0, 0);
	u32 lo, hi;
	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	is("XGETBV gives it after an exit", lo, avx ? 7 : 3);
	if (!avx)
		return;
	asm volatile("vmovdqu (%0), %%ymm6; cpuid; outb %%al, $0x80; vmovdqu %%ymm6, (%1)"
		     : : "r"(ymm), "r"(back) : "eax", "ebx", "ecx", "edx", "memory");
	ok(!memcmp(ymm, back, 32), "an AVX register survives exits");
	asm volatile("xsave (%0)" : : "r"(area), "a"(7), "d"(0) : "memory");
	ok(!memcmp(area + 576 + 16 * 6, ymm + 16, 16), "XSAVE stores it");
	memset(area + 576 + 16 * 6, 0x77, 16);
	asm volatile("xrstor (%0); vmovdqu %%ymm6, (%1)" : : "r"(area), "r"(back), "a"(7), "d"(0) : "memory");
	ok(back[16] == 0x77 && back[0] == 1, "XRSTOR loads it");
}

static void test_fpu(void)
{
	double a = 1.5, b = 0;
	u16 cw = 0x27f, cw2;

	asm volatile("fninit; fldcw %2; fldl %3; cpuid; outb %%al, $0x80; fstpl %0; fnstcw %1"
		     : "=m"(b), "=m"(cw2) : "m"(cw), "m"(a) : "eax", "ebx", "ecx", "edx");
	ok(!memcmp(&a, &b, 8), "an x87 register survives exits");
	is("so does the control word", cw2, 0x27f);
}

static void test_kvmclock(void)
{
	static volatile struct { u32 version, pad; u64 tsc, time; u32 mul; signed char shift; u8 flags, pad2[2]; } clock
		__attribute__((aligned(64)));
	u64 before, patience = 0;

	if (cpuid(0x40000000, 0).a < 0x40000001 || !(cpuid(0x40000001, 0).a & 8)) {
		skip("the paravirtual clock", "not offered");
		return;
	}
	wrmsr(0x4b564d01, (u64)&clock | 1);
	cpuid(0, 0);
	ok(clock.version && !(clock.version & 1), "the clock's version is even");
	ok(clock.mul && clock.tsc, "the clock is filled in");
	before = clock.time;
	do
		outb(0x80, 0);
	while (clock.time == before && patience++ < 1000);
	ok(clock.time >= before, "the clock does not go back");
	wrmsr(0x4b564d01, 0);
}

void guest_main(void)
{
	test_cpuid();
	test_msrs();
	test_control();
	test_ts();
	test_undefined();
	test_tsc();
	test_bases();
	test_syscall();
	test_fpu();
	test_xsave();
	test_kvmclock();
}
