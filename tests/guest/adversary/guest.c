// SPDX-License-Identifier: GPL-2.0
/*
 * A guest written to defeat a hypervisor that shadows its page tables. Each part is run by
 * itself and halts with 0 in rax, or with the line that found something wrong.
 */
#include "adversary.h"

#define P		1ul
#define W		2ul
#define U		4ul
#define A		0x20ul
#define D		0x40ul
#define CR4_PGE		(1ul << 7)
#define CHECK(x)	do { if (!(x)) fail(__LINE__, 0); } while (0)
#define CHECK_AT(x, at)	do { if (!(x)) fail(__LINE__, at); } while (0)

/* rdi: part, rsi: vCPU. */
__asm__(".section .entry, \"ax\"\n"
	"	xor	%r15, %r15\n"
	"	call	guest_main\n"
	"	xor	%eax, %eax\n"
	"1:	hlt\n"
	"	jmp	1b\n"
	/* #PF: go on at r15 if a probe set it. */
	"	.globl	pf_entry\n"
	"pf_entry:\n"
	"	test	%r15, %r15\n"
	"	jz	2f\n"
	"	mov	%r15, 8(%rsp)\n"
	"	add	$8, %rsp\n"
	"	iretq\n"
	"2:	mov	$0xdead, %eax\n"
	"	mov	%cr2, %rbx\n"
	"	mov	8(%rsp), %rcx\n"
	"3:	hlt\n"
	"	jmp	3b\n"
	".text\n");
extern char pf_entry[];

static struct adv_shared *const shared = (struct adv_shared *)ADV_SHARED;
static u64 pool[2];		/* of each vCPU */
static u64 random_state;

static void fail(u64 line, u64 at)
{
	__asm__ volatile("hlt" : : "a"(line), "b"(at));
}

static u32 random_below(u32 below)
{
	random_state = random_state * 6364136223846793005ul + 1442695040888963407ul;
	return (random_state >> 33) % below;
}

static u64 read_cr3(void)
{
	u64 v;

	__asm__ volatile("mov %%cr3, %0" : "=r"(v));
	return v;
}

static void load_cr3(u64 v)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory");
}

static void flush(void)
{
	load_cr3(read_cr3());
}

static void flush_all(void)
{
	u64 v;

	__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	__asm__ volatile("mov %0, %%cr4" : : "r"(v ^ CR4_PGE) : "memory");
	__asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory");
}

static void invlpg(u64 va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static void ask(u32 port)
{
	__asm__ volatile("outb %%al, %%dx" : : "a"(0), "d"(port) : "memory");
}

static volatile u64 *word(u64 va)
{
	return (volatile u64 *)va;
}

/* Does a read fault? */
static int faults(u64 va)
{
	int r = 1;

	__asm__ volatile("lea 1f(%%rip), %%r15\n\tmov (%1), %%rax\n\txor %0, %0\n1:\txor %%r15, %%r15"
			 : "+r"(r) : "r"(va) : "rax", "r15", "memory", "cc");
	return r;
}

static u64 data(u64 i)
{
	return ADV_DATA + i % ADV_NR_DATA * ADV_PAGE;
}

static u64 *new_table(int cpu)
{
	u64 *t = (u64 *)pool[cpu];
	u32 i;

	pool[cpu] += ADV_PAGE;
	for (i = 0; i < 512; i++)
		t[i] = 0;
	return t;
}

static u64 *new_root(int cpu)
{
	u64 *root = new_table(cpu), *old = (u64 *)(read_cr3() & ~0xffful);

	root[0] = old[0];
	return root;
}

static u64 address(u32 l4, u32 l3, u32 l2, u32 l1)
{
	u64 va = (u64)l4 << 39 | (u64)l3 << 30 | (u64)l2 << 21 | (u64)l1 << 12;

	return l4 & 256 ? va | 0xffff000000000000ul : va;
}

/* The table below t[i]. */
static u64 *below(int cpu, u64 *t, u32 i)
{
	if (!t[i])
		t[i] = (u64)new_table(cpu) | PTE_OPEN;
	return (u64 *)(t[i] & 0xffffffffff000ul);
}

/* The leaf entry for va below root. */
static u64 *leaf_of(int cpu, u64 *root, u64 va)
{
	u64 *t = below(cpu, root, va >> 39 & 511);

	t = below(cpu, t, va >> 30 & 511);
	t = below(cpu, t, va >> 21 & 511);
	return &t[va >> 12 & 511];
}

/* ---- a cycle of tables that is larger than what is kept ---- */

#define CYCLE	300

static u64 cycle_va(u32 i)
{
	return address(1 + i % 100, i / 100, i * 5 % 512, i * 7 % 512);
}

static void cycle_once(u64 *root, u32 round, u32 shift)
{
	u32 i;

	for (i = 0; i < CYCLE; i++) {
		u64 va = cycle_va(i), *leaf = leaf_of(0, root, va), page = data(i + shift);

		CHECK_AT(*word(va) == ADV_WORD(page), va);
		CHECK_AT(*leaf & A, va);
		word(va)[1] = (u64)round << 32 | i;
		CHECK_AT(*leaf & D, va);
		CHECK_AT(word(page)[1] == ((u64)round << 32 | i), va);
	}
}

static void cycle(void)
{
	u64 *root = new_root(0);
	u32 i, round;

	for (i = 0; i < CYCLE; i++)
		*leaf_of(0, root, cycle_va(i)) = data(i) | P | W;
	load_cr3((u64)root);
	cycle_once(root, 0, 0);
	cycle_once(root, 1, 0);
	/* One by one ... */
	for (i = 0; i < CYCLE; i++) {
		CHECK_AT(*word(cycle_va(i)) == ADV_WORD(data(i)), i);
		*leaf_of(0, root, cycle_va(i)) = data(i + 1) | P | W;
		invlpg(cycle_va(i));
		CHECK_AT(*word(cycle_va(i)) == ADV_WORD(data(i + 1)), i);
	}
	cycle_once(root, 2, 1);
	/* ... and all with one flush, to other pages and to none. */
	for (round = 3; round < 6; round++) {
		for (i = 0; i < CYCLE; i++)
			*leaf_of(0, root, cycle_va(i)) = data(i + round) | P | W;
		flush();
		cycle_once(root, round, round);
	}
	for (i = 0; i < CYCLE; i++)
		*leaf_of(0, root, cycle_va(i)) = 0;
	flush();
	for (i = 0; i < CYCLE; i++)
		CHECK_AT(faults(cycle_va(i)), i);
}

/* ---- a root all of whose entries point to itself: 511^4 ways to one page ---- */

static void recursion(void)
{
	u64 *root = new_root(0), *leaf = new_table(0), *dir = new_table(0), self = (u64)root | PTE_OPEN;
	u32 i, k;

	for (i = 1; i < 512; i++)
		root[i] = self;
	load_cr3((u64)root);
	for (k = 0; k < 1500; k++) {
		u64 va = address(1 + random_below(511), 1 + random_below(511), 1 + random_below(511),
				 1 + random_below(511));

		i = 1 + random_below(511);
		CHECK_AT(word(va)[i] == self, va);
		if (k % 10 == 0)
			flush();
		if (k % 100 == 0)
			flush_all();
	}
	/* Through itself it gets something else to point to. */
	leaf[3] = data(9) | P | W;
	dir[4] = (u64)leaf | PTE_OPEN;
	word(address(1, 2, 3, 4))[5] = (u64)dir | PTE_OPEN;
	invlpg(address(7, 5, 4, 3));
	CHECK(*word(address(7, 5, 4, 3)) == ADV_WORD(data(9)));
	flush();
	CHECK(*word(address(8, 5, 4, 3)) == ADV_WORD(data(9)));
	word(address(9, 9, 9, 9))[5] = 0;
	flush();
	for (i = 1; i < 512; i++)
		CHECK_AT(faults(address(i, 5, 4, 3)) == 1, i);
}

/* ---- one table at several levels ---- */

static void levels(void)
{
	u64 *root = new_root(0), *x = new_table(0), *leaf = new_table(0), *dir = new_table(0);
	u64 *ptr = new_table(0);
	static const u64 rights[] = { P | A, P | W | A, P | U | A, P | W | U | A };
	u32 i, round;

	leaf[5] = data(20) | PTE_OPEN;
	leaf[6] = (u64)x | PTE_OPEN;
	x[3] = (u64)leaf | PTE_OPEN;
	x[4] = (u64)x | PTE_OPEN;
	for (i = 0; i < 4; i++) {
		dir[i] = (u64)x | rights[i];
		ptr[i] = (u64)dir | rights[3 - i];
		ptr[8 + i] = (u64)x | rights[i];
	}
	root[1] = (u64)ptr | PTE_OPEN;
	root[2] = (u64)x | PTE_OPEN;
	load_cr3((u64)root);
	for (round = 0; round < 40; round++) {
		u64 page = data(20 + round);

		for (i = 0; i < 16; i++) {
			/* x as leaf table: what it maps is another table; as directory; one level up */
			CHECK(word(address(1, i / 4, i % 4, 3))[5] == leaf[5]);
			CHECK(word(address(1, i / 4, i % 4, 4))[3] == x[3]);
			CHECK(*word(address(1, 8 + i / 4, 3, 5)) == ADV_WORD(page));
			CHECK(word(address(1, 8 + i / 4, 3, 6))[4] == x[4]);
			CHECK(*word(address(2, 4, 3, 5)) == ADV_WORD(page));
			CHECK(*word(address(2, 3, 6, 3)) == leaf[0]);
		}
		/* The table is changed through one of its maps, the flush is for all of them. */
		word(address(1, 0, 3, 3))[5] = data(21 + round) | PTE_OPEN;
		flush();
	}
}

/* ---- tables in read-only memory; and read-only memory mapped writable ---- */

static void in_rom(void)
{
	u64 *root = new_root(0), *ptr = new_table(0);
	u32 i, k;

	ptr[1] = (ADV_ROM + ADV_PAGE) | PTE_OPEN;
	root[1] = (u64)ptr | PTE_OPEN;
	*leaf_of(0, root, address(2, 0, 0, 0)) = (ADV_ROM + 2 * ADV_PAGE) | P | W;
	load_cr3((u64)root);
	for (k = 0; k < 40; k++) {
		for (i = 0; i < ADV_NR_ROM; i++) {
			u64 va = address(1, 1, 0, i);

			CHECK_AT(*word(va) == ADV_WORD(data(i)), va);
			word(va)[2] = k;
			CHECK_AT(word(data(i))[2] == k, va);
		}
		flush();
	}
	for (k = 0; k < 5; k++) {
		*word(address(2, 0, 0, 0)) = k;		/* goes to the VMM, which drops it */
		CHECK(*word(address(2, 0, 0, 0)) == ADV_WORD(ADV_ROM + 2 * ADV_PAGE));
	}
}

/* ---- tables that have come to rest are written by a device ---- */

static void by_dma(void)
{
	u64 *root = new_root(0);
	u32 i, k, round;

	for (i = 0; i < ADV_NR_DMA; i++) {
		u64 *leaf = leaf_of(0, root, address(1, 0, i, 7));

		for (k = 0; k < 16; k++)
			leaf[k] = data(i) | PTE_OPEN;
		shared->dma_at[i] = (u64)leaf;
	}
	load_cr3((u64)root);
	for (round = 1; round < 5; round++) {
		for (k = 0; k < 60; k++) {
			for (i = 0; i < ADV_NR_DMA; i++)
				CHECK_AT(*word(address(1, 0, i, 7)) ==
					 ADV_WORD(data(i + 100 * (round - 1))), i);
			flush();
		}
		for (i = 0; i < ADV_NR_DMA; i++)
			shared->dma[i] = data(i + 100 * round) | PTE_OPEN;
		ask(ADV_PORT_DMA);
		flush();
	}
}

/* ---- one page mapped by thousands of entries; one table linked by thousands ---- */

#define MANY_TABLES	10

static void one_page(void)
{
	u64 *root = new_root(0), *leaf[MANY_TABLES], *dir;
	u32 i, j, round;

	for (i = 0; i < MANY_TABLES; i++)
		leaf[i] = leaf_of(0, root, address(1, 0, i, 0));
	for (i = 0; i < 4; i++) {
		dir = below(0, below(0, root, 2), i);
		for (j = 0; j < 512; j++)
			dir[j] = (u64)leaf[0] | PTE_OPEN;
	}
	load_cr3((u64)root);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < MANY_TABLES; i++)
			for (j = 0; j < 512; j++)
				leaf[i][j] = data(round) | PTE_OPEN;
		flush();
		for (i = 0; i < MANY_TABLES; i++)
			for (j = 0; j < 512; j++)
				CHECK_AT(*word(address(1, 0, i, j)) == ADV_WORD(data(round)), i);
		for (i = 0; i < 2048; i++)
			CHECK_AT(*word(address(2, i / 512, i % 512, i * 3 % 512)) == ADV_WORD(data(round)), i);
		for (i = 0; i < MANY_TABLES; i++)
			for (j = 0; j < 512; j++)
				leaf[i][j] = 0;
		flush();
		for (i = 0; i < 512; i++) {
			CHECK_AT(faults(address(1, 0, i % MANY_TABLES, i)), i);
			CHECK_AT(faults(address(2, i % 4, i, i)), i);
		}
	}
}

/* ---- as many tables as are kept, all changed, all out of use at once ---- */

#define MANY		3000
#define MSR_PAT		0x277
#define PAT		0x0007040600070406ul	/* as after a reset */

static u64 many_va(u32 i, u32 page)
{
	return address(1, i / 512, i % 512, page);
}

static void set_pat(u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(MSR_PAT), "a"((u32)v), "d"(v >> 32) : "memory");
}

/* Pages so far apart that each fault finds as many neighbours as it looks for. */
static void touch_many(u32 shift)
{
	u32 i, j;

	for (i = 0; i < MANY; i++) {
		CHECK_AT(*word(many_va(i, 0)) == ADV_WORD(data(i + shift)), i);
		for (j = 8; j < 512; j *= 2)
			CHECK_AT(*word(many_va(i, j)) == ADV_WORD(data(i + j)), i);
	}
}

static void many(void)
{
	u64 *root = new_root(0), *leaf;
	u32 i, j;

	for (i = 0; i < MANY; i++) {
		leaf = leaf_of(0, root, many_va(i, 0));
		for (j = 0; j < 512; j++)
			leaf[j] = data(i + j) | PTE_OPEN;
	}
	load_cr3((u64)root);
	touch_many(0);
	for (j = 1; j < 4; j++) {
		for (i = 0; i < MANY; i++)
			*leaf_of(0, root, many_va(i, 0)) = data(i + j) | PTE_OPEN;
		flush();
		touch_many(j);
		flush_all();
	}
	/* Another PAT is another set of tables. */
	set_pat(PAT ^ 1ul << 40);
	touch_many(3);
	set_pat(PAT);
	touch_many(3);
	/* So many other roots that this one is not kept. */
	for (i = 0; i < 40; i++) {
		u64 *other = new_root(0);

		*leaf_of(0, other, many_va(0, 0)) = data(i) | PTE_OPEN;
		load_cr3((u64)other);
		CHECK_AT(*word(many_va(0, 0)) == ADV_WORD(data(i)), i);
	}
	load_cr3((u64)root);
	touch_many(3);
}

/* ---- one vCPU changes tables that another one uses ---- */

#define WATCHED		120
#define CHANGES		240

static u64 watched_va(u32 i)
{
	return address(1, i % 4, i * 3 % 512, 0);
}

static void wait_for(u32 *at, u32 value)
{
	u32 i = 0;

	while (__atomic_load_n(at, __ATOMIC_ACQUIRE) != value) {
		__asm__ volatile("pause");
		if (++i % 2000 == 0)
			ask(ADV_PORT_YIELD);
	}
}

static void watched(void)
{
	u64 *root = new_root(0);
	u32 k, i;

	for (i = 0; i < WATCHED; i++)
		*leaf_of(0, root, watched_va(i)) = data(i) | PTE_OPEN;
	load_cr3((u64)root);
	for (i = 0; i < WATCHED; i++)
		CHECK_AT(*word(watched_va(i)) == ADV_WORD(data(i)), i);
	shared->root = (u64)root;
	__atomic_store_n(&shared->ack, 1, __ATOMIC_RELEASE);
	for (k = 2; k < CHANGES; k++) {
		u64 va = watched_va(k % WATCHED);

		wait_for(&shared->seq, k);
		if (k % 3)
			invlpg(va);
		else
			flush();
		CHECK_AT(*word(va) == ADV_WORD(data(k * 5)), k);
		word(va)[3] = k;
		__atomic_store_n(&shared->ack, k, __ATOMIC_RELEASE);
	}
}

static void writer(void)
{
	u64 *root;
	u32 k;

	wait_for(&shared->ack, 1);
	root = (u64 *)shared->root;
	load_cr3((u64)root);
	for (k = 2; k < CHANGES; k++) {
		u64 va = watched_va(k % WATCHED);

		CHECK_AT(*word(va) != 0, k);
		*leaf_of(1, root, va) = data(k * 5) | PTE_OPEN;
		invlpg(va);
		__atomic_store_n(&shared->seq, k, __ATOMIC_RELEASE);
		wait_for(&shared->ack, k);
		CHECK_AT(word(va)[3] == k, k);
	}
}

/* ---- tables where there is no memory: whatever comes of it, it ends ---- */

static void in_hole(void)
{
	u64 *root = new_root(0), *ptr = new_table(0);

	ptr[0] = (ADV_HOLE + 0x5000) | PTE_OPEN;
	root[1] = (u64)ptr | PTE_OPEN;
	root[2] = ADV_HOLE | PTE_OPEN;
	load_cr3((u64)root);
	faults(address(1, 0, 0, 0));
	faults(address(2, 0, 0, 0));
	load_cr3(ADV_HOLE);
}

static void set_pf_handler(void)
{
	u64 *gate = (u64 *)(0x2000 + 14 * 16), at = (u64)pf_entry;

	gate[0] = (at & 0xffff) | 0x8ul << 16 | 0x8e00ul << 32 | (at >> 16 & 0xffff) << 48;
	gate[1] = at >> 32;
}

void guest_main(u32 part, u32 cpu);
void guest_main(u32 part, u32 cpu)
{
	static void (*const parts[])(void) = {
		cycle, recursion, levels, in_rom, by_dma, one_page, many, watched, writer, in_hole,
	};

	pool[cpu] = ADV_POOL + cpu * (ADV_DATA - ADV_POOL) / 2;
	random_state = part;
	set_pf_handler();
	parts[part]();
}
