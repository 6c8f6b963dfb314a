/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest that goes through permutations of entry bits, control bits and accesses, in two
 * builds: perm64.c (4 and 5 levels) and perm32.c (the legacy modes) are what they need of
 * their processor mode, perm.c, perm_tables.c and perm_flush.c are common. What must come out
 * is computed by tests/model/guest_walk.c, the model that the user-space tests are held against.
 */
#ifndef TESTS_GUEST_BARE_PERM_H
#define TESTS_GUEST_BARE_PERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "console.h"
#include "tests/model/guest_walk.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define PAGE_SIZE	4096u
#define CR0_WP		(1ul << 16)
#define CR0_PG		(1ul << 31)
#define CR4_PSE		(1ul << 4)
#define CR4_PAE		(1ul << 5)
#define CR4_PGE		(1ul << 7)
#define CR4_LA57	(1ul << 12)
#define CR4_SMEP	(1ul << 20)
#define CR4_SMAP	(1ul << 21)
#define CR4_PKE		(1ul << 22)
#define EFER		0xc0000080u
#define EFER_NXE	(1u << 11)
#define FLAG_AC		(1u << 18)

#define READ(reg)	({ unsigned long v_; asm volatile("mov %%" #reg ", %0" : "=r"(v_)); v_; })
#define WRITE(reg, v)	asm volatile("mov %0, %%" #reg : : "r"((unsigned long)(v)) : "memory")

/* ---- perm32.c, perm64.c ---- */

/* How an access ended: in its #PF, or in the INT 0x80 behind it. */
struct hit {
	unsigned int vector;
	u32 error, value;
	unsigned long cr2;
};

extern volatile struct hit hit;

/* Runs at @ip with @arg in (E|R)DI and @value in (E|R)SI until a trap, which is then in hit. */
void enter(unsigned long ip, unsigned long arg, u32 value, bool user, bool ac);
/* Descriptor 0 of the local table, selector 7, is at @base. */
void local_table(unsigned long base);

/* A paging mode. */
struct mode {
	const char *name;
	u8 levels, width;	/* of an entry: 4 or 8 bytes */
	bool pse;
	unsigned long cr4;	/* PSE, PAE, LA57 */
	unsigned long gva;	/* the address under test; none of its entries is used otherwise */
	unsigned long user;	/* where the user's code is */
};

/* Has the processor this mode? */
bool mode_offered(const struct mode *m);
/* Paging goes on in @m with the root @top; it may be on already in another mode. */
void paging(const struct mode *m, u64 top);
/* An exception nobody waits for, in hit. */
void __attribute__((noreturn)) unexpected(unsigned long ip);

extern const struct mode modes[];
extern const unsigned int modes_nr;

/* ---- perm_tables.c: the guest's tables ---- */

/*
 *	0x0280_0000	4 MiB	what large leaves of 2 and 4 MiB show
 *	0x02c0_0000		pages of 4 KiB
 *	0x0300_0000		the tables on the path to the address under test
 *	0x0340_0000		all other tables
 */
#define SMALL_PAGES	0x02c00000ull
#define LARGE_PAGES	0x02800000ull

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX		(1ull << 63)

extern const struct mode *mode;
extern struct gw_cpu cpu;	/* the model's: as the control registers are */
extern struct gw_memory memory;
/*
 * QEMU's emulated processor walks the guest's tables itself (nested paging in the test host). What
 * it gets wrong is allowed for: it does not know AMD's reserved bit 8; faults for reserved bits
 * lack the present bit; it sets accessed bits in the four top entries of PAE, and in those of 1 GiB
 * that refuse an access; INVLPG forgets 4 KiB of a larger page.
 */
extern bool emulated_walk;
/*
 * The stock module in shadow mode: it takes bit 8 to be reserved in other entries, notes fetches in
 * the error code without PAE too, and never ends where SMAP refuses a descriptor under AC.
 */
extern bool stock_shadow;

/* Makes tables for @m, all of the path permissive, and goes over to them. */
void tables_begin(const struct mode *m);
/* Writes the entry of the path to mode->gva; does not flush. */
void put(int level, u64 entry);
/* The whole path, and the page at mode->gva + BESIDE, are permissive. */
void put_open(void);
#define BESIDE		0x5000ul
/* Does this level have leaves? */
bool leaf_level(int level);
/* An entry with @bits to the @n-th table below or, with PS or at level 1, the @n-th page. */
u64 toward(int level, unsigned int n, u64 bits);
/* To the table below, or a page of 4 KiB, with all rights. */
u64 permissive(int level, unsigned int n);

/*
 * Loading a control register is refused for accessed bits in the top entries of PAE: clears them.
 * False: there were none.
 */
bool clean_top(void);
void flush_page(unsigned long gva);
void flush_space(void);
void flush_all(void);
/* The page under test, after its entry of this level changed. */
void flush_path(int level);

/* ---- perm.c ---- */

struct access {
	const char *name;
	struct gw_access a;
	bool ac;
};

extern const struct access accesses[];
extern const unsigned int accesses_nr;

/* CR0.WP, EFER.NXE, CR4.SMEP, CR4.SMAP as the bits of @c say. False: there are no such. */
bool controls(unsigned int c);
/* Does it at mode->gva + @offset, compares with the model, counts and shows what differs. */
bool try_access(const struct access *a, unsigned long offset);
/* Does it, and takes a fault if there is one: the processor need not have seen the new entry. */
void fault_once(const struct access *a);
/* Begins to count; ends with a TAP point. */
void count_begin(void);
void count_end(const char *what);

/* ---- perm_flush.c, perm_keys.c ---- */
void test_flushes(void);
void test_keys(void);

#endif
