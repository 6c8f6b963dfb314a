/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the adversary guest and its VMM know of each other. The VMM is tests/abi/vmm.c's,
 * with two more slots:
 *
 *   ADV_BASE   RAM: code, shared page, stacks, a pool of pages for tables, data pages
 *   ADV_ROM    read-only: a leaf table, a directory that points to it, data
 *
 * The first 4 GiB are mapped one to one by entry 0 of every root.
 */
#ifndef TESTS_GUEST_ADVERSARY_H
#define TESTS_GUEST_ADVERSARY_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

#define ADV_BASE	0x1000000ul
#define ADV_SIZE	0x4000000ul
#define ADV_CODE	ADV_BASE
#define ADV_SHARED	(ADV_BASE + 0x40000)
#define ADV_STACK(cpu)	(ADV_BASE + 0x50000 + ((cpu) + 1ul) * 0x8000)
#define ADV_POOL	(ADV_BASE + 0x100000)
#define ADV_DATA	(ADV_BASE + 0x3000000)
#define ADV_NR_DATA	4096u
#define ADV_ROM		0x8000000ul
#define ADV_ROM_PAGES	3u		/* leaf table, directory, data */
#define ADV_NR_ROM	64u		/* entries of the leaf table */
#define ADV_HOLE	0x80000000ul	/* no slot */

#define ADV_PAGE	4096ul
#define PTE_OPEN	0x67ul		/* present, writable, user, accessed, dirty */

/* The first word of each data page, and of ADV_ROM's. */
#define ADV_WORD(gpa)	((gpa) ^ 0x5a5a000000000000ul)

/* Ports: the guest asks its VMM. */
#define ADV_PORT_DMA	0x10		/* change shared->dma[] entries at shared->dma_nr places */
#define ADV_PORT_YIELD	0x11

enum adv_part {
	ADV_CYCLE, ADV_RECURSION, ADV_LEVELS, ADV_IN_ROM, ADV_BY_DMA, ADV_ONE_PAGE, ADV_MANY, ADV_WATCHED,
	ADV_WRITER, ADV_IN_HOLE,
};

#define ADV_NR_DMA	48

struct adv_shared {
	u32 seq, ack;		/* of ADV_WRITER and ADV_WATCHED */
	u64 root;		/* they share */
	u64 dma_at[ADV_NR_DMA];	/* where the VMM writes dma[i], an entry */
	u64 dma[ADV_NR_DMA];
};

#endif
