// SPDX-License-Identifier: GPL-2.0
/* The permutation guest in protected mode: 4-byte entries without and with 4 MiB pages, PAE. */
#include "perm.h"

struct frame {
	u32 es, ds, edi, esi, ebp, esp0, ebx, edx, ecx, eax;
	u32 vector, error, eip, cs, eflags, esp, ss;
};

const struct mode modes[] = {
	{ "32-bit", 2, 4, false, 0, 0x82d45000, 0x40000000 },
	{ "32-bit with 4 MiB pages", 2, 4, true, CR4_PSE, 0x82d45000, 0x40000000 },
	{ "PAE", 3, 8, false, CR4_PAE, 0x82d45000, 0x40000000 },
};
const unsigned int modes_nr = 3;

extern u64 gdt[];
extern char trap_stubs[];
void trap_c(struct frame *f);

volatile struct hit hit;
u32 enter_sp, enter_back;
static u64 idt[256];
static u32 task[26];
static u8 trap_stack[8192] __attribute__((aligned(16)));

bool mode_offered(const struct mode *m)
{
	return true;
}

/* May a refused load of a control register be tried again? */
static bool again(u32 eip)
{
	/* Fetching it there must not be what sets an accessed bit next. */
	(void)*(volatile u8 *)eip;
	(void)*(volatile u8 *)(eip + 4);
	return mode && clean_top();
}

void trap_c(struct frame *f)
{
	if (f->vector == 13 && again(f->eip))
		return;
	hit.vector = f->vector;
	hit.error = f->error;
	hit.value = f->eax;
	hit.cr2 = READ(cr2);
	if (f->vector != 14 && f->vector != 0x80)
		unexpected(f->eip);
	if (!enter_back)
		unexpected(f->eip);
	asm volatile("mov enter_sp, %esp; jmp *enter_back");
}

__attribute__((noinline)) void enter(unsigned long ip, unsigned long arg, u32 value, bool user,
				     bool ac)
{
	u32 flags = 2 | (ac ? FLAG_AC : 0), cs = user ? 0x4b : 0x08, data = user ? 0x53 : 0x10;

	asm volatile("push %%ebp\n\t"
		     "movl $2f, enter_back\n\t"
		     "mov %%esp, enter_sp\n\t"
		     "mov %%dx, %%ds; mov %%dx, %%es\n\t"
		     "test $3, %%cl; jz 1f\n\t"
		     "push %%edx; pushl %%ss:enter_sp\n"
		     "1:\tpush %%ebx; push %%ecx; push %%eax\n\t"
		     "iret\n"
		     "2:\tpop %%ebp\n\t"
		     "movl $0, enter_back\n\t"
		     "push $2; popf"
		     : "+a"(ip), "+b"(flags), "+c"(cs), "+d"(data), "+D"(arg), "+S"(value)
		     : : "memory", "cc");
}

static u64 descriptor(u32 base, u32 limit, u32 access)
{
	return limit | (u64)(base & 0xffffff) << 16 | (u64)access << 40 | (u64)(base >> 24) << 56;
}

void local_table(unsigned long base)
{
	gdt[11] = descriptor(base, 7, 0x82);
	asm volatile("lldt %w0" : : "r"(0x58) : "memory");
}

static void setup(void)
{
	struct { u16 limit; u32 base; } __attribute__((packed)) p = { sizeof(idt) - 1, (u32)idt };

	for (u32 i = 0; i < 256; i++) {
		u32 at = (u32)trap_stubs + 16 * i;

		idt[i] = (at & 0xffff) | 0x08 << 16 | (u64)(at >> 16) << 48 |
			 (i == 0x80 ? 0xee00ull : 0x8e00ull) << 32;
	}
	asm volatile("lidt %0" : : "m"(p));
	task[1] = (u32)(trap_stack + sizeof(trap_stack));
	task[2] = 0x10;
	gdt[6] = descriptor((u32)task, 0x67, 0x89);
	asm volatile("ltr %w0" : : "r"(0x30));
}

void paging(const struct mode *m, u64 top)
{
	WRITE(cr0, READ(cr0) & ~CR0_PG);
	if (!idt[0])
		setup();
	WRITE(cr4, (READ(cr4) & ~(CR4_PSE | CR4_PAE)) | m->cr4);
	WRITE(cr3, top);
	WRITE(cr0, READ(cr0) | CR0_PG);
}
