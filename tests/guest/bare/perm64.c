// SPDX-License-Identifier: GPL-2.0
/* The permutation guest in long mode: tables of 4 levels, and of 5 where there are such. */
#include "guest.h"
#include "perm.h"

/* The path to the address under test begins with an entry of its own in the root. */
const struct mode modes[] = {
	{ "4 levels", 4, 8, false, CR4_PAE, (1ul << 39) + 0x02d45000, 2ul << 39 },
	{ "5 levels", 5, 8, false, CR4_PAE | CR4_LA57, (1ul << 48) + 0x02d45000, 2ul << 48 },
};
const unsigned int modes_nr = 2;

volatile struct hit hit;
u64 enter_sp, enter_back;

bool mode_offered(const struct mode *m)
{
	return m->levels == 4 || (cpuid(7, 0).c >> 16 & 1);
}

static void on_trap(struct frame *f)
{
	hit.vector = f->vector;
	hit.error = f->error;
	hit.value = f->rax;
	hit.cr2 = READ_CR(2);
	if (!enter_back)
		unexpected(f->rip);
	asm volatile("mov enter_sp, %rsp; jmp *enter_back");
}

__attribute__((noinline)) void enter(unsigned long ip, unsigned long arg, u32 value, bool user,
				     bool ac)
{
	register u64 flags asm("r8") = 2 | (ac ? FLAG_AC : 0);
	u64 cs = user ? 0x33 : 0x08, ss = user ? 0x2b : 0x10, si = value;

	asm volatile("push %%rbp; push %%rbx\n\t"
		     "movq $1f, enter_back\n\t"
		     "mov %%rsp, enter_sp\n\t"
		     "push %%rdx; push enter_sp; push %%r8; push %%rcx; push %%rax\n\t"
		     "iretq\n"
		     "1:\tpop %%rbx; pop %%rbp\n\t"
		     "movq $0, enter_back\n\t"
		     "push $2; popf"
		     : "+a"(ip), "+c"(cs), "+d"(ss), "+D"(arg), "+S"(si), "+r"(flags)
		     : : "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
}

/* The two slots behind the task's descriptor, which nothing else here needs. */
void local_table(unsigned long base)
{
	gdt[10] = 7 | (base & 0xffffff) << 16 | 0x82ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[11] = base >> 32;
	asm volatile("lldt %w0" : : "r"(0x50) : "memory");
}

/* CR4.LA57 changes without paging only, so from 32-bit code. */
asm(".globl go_over\n"
    "go_over:\n"
    "	push %rbx\n"
    "	pushq $0x18\n"
    "	pushq $1f\n"
    "	lretq\n"
    "	.code32\n"
    "1:	mov %cr0, %eax\n"
    "	and $0x7fffffff, %eax\n"
    "	mov %eax, %cr0\n"
    "	mov %esi, %cr4\n"
    "	mov %edi, %cr3\n"
    "	or $0x80000000, %eax\n"
    "	mov %eax, %cr0\n"
    "	ljmp $0x08, $1f\n"
    "	.code64\n"
    "1:	pop %rbx\n"
    "	ret\n");
void go_over(u64 top, u64 cr4);

void paging(const struct mode *m, u64 top)
{
	go_over(top, (READ(cr4) & ~CR4_LA57) | m->cr4);
	trap_set(14, on_trap);
	trap_set(0x80, on_trap);
}
