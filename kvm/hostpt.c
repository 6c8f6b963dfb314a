// SPDX-License-Identifier: GPL-2.0
/*
 * A walk of the current process's page tables without locks.
 *
 *   pgd ── p4d ── pud ─┬─ pmd ─┬─ pte
 *                 1 GiB leaf   2 MiB leaf
 *
 * Interrupts are off throughout. Before a table is freed, the kernel sends an IPI
 * to every processor that may use it or waits for an RCU grace period that such a section holds up
 * (that is what lets get_user_pages_fast() do the same), so no table goes away
 * under us. Entries may change at any time: each is read once and judged by the
 * copy.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include "compat.h"
#include "kvm/hostpt.h"
#include "mmu/mmu.h"

/*
 * The bits mean the same in entries of every level (save PSE). PROT_NONE entries,
 * of mprotect() and NUMA balancing, have the hardware's present bit clear.
 */
#define LEAF_NEEDS	(_PAGE_PRESENT | _PAGE_USER)

static bool leaf(struct pn_hostpt *out, u64 flags, u64 pfn, u8 level, bool odd)
{
	if ((flags & LEAF_NEEDS) != LEAF_NEEDS)
		return false;
	out->pfn = pfn;
	out->level = level;
	out->writable = flags & _PAGE_RW;
	out->dirty = flags & COMPAT_PAGE_DIRTY;
	out->special = odd || (flags & _PAGE_SPECIAL);
	return true;
}

static inline u64 page_in_leaf(u64 pfn, unsigned long hva, unsigned long size)
{
	return pfn + ((hva & (size - 1)) >> PAGE_SHIFT);
}

/* Down to the entry that decides: true when a leaf (out filled) or nothing was found. */
static bool walk_to_pmd(unsigned long hva, struct pn_hostpt *out, bool *found, pmd_t *pmd)
{
	pgd_t pgd = READ_ONCE(*pgd_offset(current->mm, hva));
	p4d_t p4d;
	pud_t pud;

	*found = false;
	if (!pgd_present(pgd))
		return true;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (!p4d_present(p4d))
		return true;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (!(pud_flags(pud) & _PAGE_PRESENT))
		return true;
	if (pud_leaf(pud)) {
		*found = leaf(out, pud_flags(pud), page_in_leaf(pud_pfn(pud), hva, PUD_SIZE),
			      3, pud_devmap(pud));
		return true;
	}
	*pmd = compat_pmd_get_lockless(pmd_offset(&pud, hva));
	if (!(pmd_flags(*pmd) & _PAGE_PRESENT))
		return true;
	if (pmd_leaf(*pmd)) {
		*found = leaf(out, pmd_flags(*pmd), page_in_leaf(pmd_pfn(*pmd), hva, PMD_SIZE),
			      2, pmd_devmap(*pmd));
		return true;
	}
	return false;
}

static bool leaf_pte(struct pn_hostpt *out, pte_t pte)
{
	return leaf(out, pte_flags(pte), pte_pfn(pte), 1, pte_devmap(pte));
}

bool pn_hostpt_read(unsigned long hva, struct pn_hostpt *out)
{
	unsigned long irq;
	bool found;
	pmd_t pmd;

	local_irq_save(irq);
	if (!walk_to_pmd(hva, out, &found, &pmd))
		found = leaf_pte(out, ptep_get_lockless(pte_offset_kernel(&pmd, hva)));
	local_irq_restore(irq);
	return found;
}

unsigned int pn_hostpt_read_around(unsigned long first, unsigned int nr, u64 *out)
{
	struct pn_hostpt page;
	unsigned int i, got = 0;
	unsigned long irq;
	bool found;
	pmd_t pmd;
	pte_t *pte;

	local_irq_save(irq);
	if (!walk_to_pmd(first, &page, &found, &pmd)) {
		pte = pte_offset_kernel(&pmd, first);
		for (i = 0; i < nr; i++)
			out[i] = leaf_pte(&page, ptep_get_lockless(pte + i)) && !page.special ?
				 MMU_AROUND(page.pfn, page.writable && page.dirty) : 0;
		got = nr;
	} else if (found && !page.special) {
		/* One large page; the slot or the dirty log wants it in pieces. */
		for (i = 0; i < nr; i++)
			out[i] = MMU_AROUND(page.pfn + i, page.writable && page.dirty);
		got = nr;
	}
	local_irq_restore(irq);
	return got;
}
