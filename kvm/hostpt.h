/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The host's own page tables of the current process, read without their locks.
 */
#ifndef PN_KVM_HOSTPT_H
#define PN_KVM_HOSTPT_H

#include <linux/types.h>

/* One look at a 4 KiB page. */
struct pn_hostpt {
	u64 pfn;
	u8 level;		/* of the leaf: 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB */
	bool writable;
	bool dirty;
	bool special;		/* no ordinary page: VM_PFNMAP, the zero page, device memory */
};

/*
 * False when nothing is mapped there that user space could read now. A fact of
 * the moment: the mmu notifiers tell when it ends. Any context with
 * interrupts on, in a thread of the process.
 */
bool pn_hostpt_read(unsigned long hva, struct pn_hostpt *out);

/*
 * The neighbours, for fault-around: the @nr pages from @first on, which lie in one
 * aligned group of 512. out[i] is 0 or MMU_AROUND(); only ordinary pages, each by itself or
 * pieces of a large one. Returns how many entries hold: @nr, or 0 when nothing is mapped.
 */
unsigned int pn_hostpt_read_around(unsigned long first, unsigned int nr, u64 *out);

#endif
