/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Library of the 64-bit bare-metal guests: exceptions that can be tried, interrupts,
 * tables, other processors. Identity-mapped. What they say: console.h.
 */
#ifndef TESTS_GUEST_BARE_GUEST_H
#define TESTS_GUEST_BARE_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bytes.h"
#include "console.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* ---- traps ---- */

struct frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

struct trap {
	int vector;		/* -1: none */
	u64 error, rip, rflags, cr2, dr6;
};

extern volatile struct trap trap;		/* the last exception that was tried for */
extern volatile u64 trap_resume;	/* where a tried exception goes on, or 0 */

typedef void (*trap_fn)(struct frame *f);
/* What to call for a vector; NULL: a tried exception, or the end of the test. */
void trap_set(unsigned int vector, trap_fn fn);
/* Interrupt stack table entry (0: none) and DPL of a vector's gate. */
void trap_gate(unsigned int vector, unsigned int ist, unsigned int dpl);

/* Runs @insn; the vector of the exception it makes, or -1. Operands follow as in asm. */
#define TRY(insn, ...)							\
	({								\
		trap.vector = -1;					\
		asm volatile("movq $991f, trap_resume\n\t" insn		\
			     "\n991:\tmovq $0, trap_resume" __VA_ARGS__); \
		trap.vector;						\
	})

/* ---- processor ---- */

static inline void outb(u16 port, u8 val) { asm volatile("outb %0, %1" : : "a"(val), "Nd"(port)); }
static inline void outw(u16 port, u16 val) { asm volatile("outw %0, %1" : : "a"(val), "Nd"(port)); }
static inline void outl(u16 port, u32 val) { asm volatile("outl %0, %1" : : "a"(val), "Nd"(port)); }
static inline u8 inb(u16 port) { u8 v; asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u16 inw(u16 port) { u16 v; asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u32 inl(u16 port) { u32 v; asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }

static inline u64 rdmsr(u32 index)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(index));
	return lo | (u64)hi << 32;
}

static inline void wrmsr(u32 index, u64 val)
{
	asm volatile("wrmsr" : : "c"(index), "a"((u32)val), "d"((u32)(val >> 32)) : "memory");
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return lo | (u64)hi << 32;
}

struct regs4 {
	u32 a, b, c, d;
};

static inline struct regs4 cpuid(u32 leaf, u32 index)
{
	struct regs4 r;

	asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(index));
	return r;
}

#define READ_CR(n) ({ u64 val_; asm volatile("mov %%cr" #n ", %0" : "=r"(val_)); val_; })
#define WRITE_CR(n, val) asm volatile("mov %0, %%cr" #n : : "r"((u64)(val)) : "memory")
#define READ_DR(n) ({ u64 val_; asm volatile("mov %%db" #n ", %0" : "=r"(val_)); val_; })
#define WRITE_DR(n, val) asm volatile("mov %0, %%db" #n : : "r"((u64)(val)) : "memory")

static inline u64 flags(void) { u64 f; asm volatile("pushf; pop %0" : "=r"(f)); return f; }
static inline void sti(void) { asm volatile("sti" : : : "memory"); }
static inline void cli(void) { asm volatile("cli" : : : "memory"); }
/* The idiom of every idle loop: no interrupt fits between the two. */
static inline void sti_hlt(void) { asm volatile("sti; hlt" : : : "memory"); }
static inline void pause(void) { asm volatile("pause" : : : "memory"); }
static inline void invlpg(void *p) { asm volatile("invlpg (%0)" : : "r"(p) : "memory"); }

/* ---- memory ---- */

#define PTE_P	1ull
#define PTE_W	2ull
#define PTE_U	4ull
#define PTE_A	0x20ull
#define PTE_D	0x40ull
#define PTE_PS	0x80ull
#define PTE_G	0x100ull
#define PTE_NX	(1ull << 63)
#define PAGE	4096ull

extern u64 pml4[512], pdpt[512], pd[2048];
extern u64 gdt[];
/* A zeroed page. */
void *page_new(void);
/* Maps @gva to @pte (address and bits) by a 4 KiB entry; makes tables, user-accessible. The entry. */
u64 *map(u64 gva, u64 pte);
static inline void flush(void) { WRITE_CR(3, READ_CR(3)); }
/* Runs @fn(@arg) at CPL 3; the trap that ended it, INT 0x80 when it returned. */
int at_cpl3(void (*fn)(u64), u64 arg);

/* ---- interrupts and processors ---- */

#define APIC_BASE 0xfee00000ull
static inline u32 apic_read(u32 reg) { return *(volatile u32 *)(APIC_BASE + reg); }
static inline void apic_write(u32 reg, u32 val) { *(volatile u32 *)(APIC_BASE + reg) = val; }
/* Enables the local APIC, masks the 8259s. */
void apic_on(void);
void apic_eoi(void);
/* Sends ICR @low to APIC id @to and waits until it is accepted. */
void ipi(u32 to, u32 low);
/*
 * Starts all other processors, each in @fn(cpu) with interrupts off, and waits until there are
 * @expected with this one, or for long; how many there are.
 */
unsigned int smp_start(void (*fn)(unsigned int cpu), unsigned int expected);
extern volatile u32 cpus_up;

/* The test itself. */
void guest_main(void);

#endif
