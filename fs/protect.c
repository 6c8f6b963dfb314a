// SPDX-License-Identifier: GPL-2.0
/*
 * Pages of a file protected from writing where they are mapped: they need not be faulted in again
 * to be read, and it costs a fraction of unmapping them.
 *
 *   1. take_rights()              entries of shared areas lose the right to write and the dirty
 *                                 bit, both at once
 *   2. wp_shared_mapping_range()  mmu notifiers are called, TLBs are flushed
 *
 * The dirty bit goes too, for the kernel gives the right back to what has it without
 * page_mkwrite() (mprotect(), NUMA hinting, userfaultfd): it believes that the filesystem knows of
 * the write already. Both at once, so that nobody does that in between.
 *
 * The second would do the first as well, save the dirty bits, for more. It flushes what it has not
 * changed itself because we declare a flush that is due (inc_tlb_flush_pending). An area that goes
 * between the two is flushed by whoever removes or moves it.
 *
 * That the notifiers come after the change is all right here: nothing is freed, and what counts
 * is that a hypervisor has no entry for writing when we are done. It drops those it has, and
 * any that it makes from an answer older than the notifier. That a flush is due tells its audit
 * not to look in between.
 *
 * Areas and tables stay while i_mmap_rwsem is held: it is taken for writing before either goes.
 */
#include <linux/fs.h>
#include <linux/interval_tree_generic.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/sched/mm.h>
#include "fs/fs.h"

#define AREAS	8		/* that show one page; with more of them it is unmapped */

#define area_first(area)	((area)->vm_pgoff)
#define area_last(area)		((area)->vm_pgoff + vma_pages(area) - 1)

/* The tree is the kernel's, which does not export what looks it up. */
INTERVAL_TREE_DEFINE(struct vm_area_struct, shared.rb, unsigned long, shared.rb_subtree_last,
		     area_first, area_last, static __maybe_unused, area_tree)

/* Processes whose TLBs are to be flushed, one for each area. */
struct flush {
	struct mm_struct *mm[AREAS];
	unsigned int nr;
};

/* All entries of a table from this one up to the end: no call for each of them. */
static int take_rights(pte_t *pte, unsigned long addr, void *data)
{
	const unsigned long *end = data;

	for (; addr < *end; addr += PAGE_SIZE, pte++) {
		pte_t old = ptep_get(pte), new;

		do {
			if (!pte_present(old) || (!pte_write(old) && !pte_dirty(old)))
				break;
			new = pte_wrprotect(pte_mkclean(old));
		} while (!try_cmpxchg(&pte->pte, &old.pte, new.pte));
	}
	return 1;		/* no more of this table */
}

/* Pages [first, last] of the file, as far as the area has them. */
static void protect_area(struct vm_area_struct *area, pgoff_t first, pgoff_t last)
{
	unsigned long addr, end, next;

	first = max(first, area_first(area));
	last = min(last, area_last(area));
	addr = area->vm_start + ((first - area->vm_pgoff) << PAGE_SHIFT);
	end = area->vm_start + ((last + 1 - area->vm_pgoff) << PAGE_SHIFT);
	for (; addr < end; addr = next) {
		next = min(end, ALIGN(addr + 1, PMD_SIZE));
		apply_to_existing_page_range(area->vm_mm, addr, next - addr, take_rights, &next);
	}
}

/* False: there are too many areas, and not all have been protected. */
static bool protect_areas(struct address_space *mapping, pgoff_t first, pgoff_t last,
			  struct flush *flush)
{
	struct vm_area_struct *area;
	bool done = true;

	i_mmap_lock_read(mapping);
	for (area = area_tree_iter_first(&mapping->i_mmap, first, last); area && done;
	     area = area_tree_iter_next(area, first, last)) {
		/* An area of a file opened for reading only is never writable. */
		if ((area->vm_flags & (VM_SHARED | VM_MAYWRITE)) != (VM_SHARED | VM_MAYWRITE))
			continue;
		done = flush->nr < AREAS;
		if (!done)
			break;
		flush->mm[flush->nr++] = area->vm_mm;
		mmgrab(area->vm_mm);
		inc_tlb_flush_pending(area->vm_mm);
		protect_area(area, first, last);
	}
	i_mmap_unlock_read(mapping);
	return done;
}

static void flush_end(struct flush *flush)
{
	while (flush->nr) {
		struct mm_struct *mm = flush->mm[--flush->nr];

		dec_tlb_flush_pending(mm);
		mmdrop(mm);
	}
}

bool pfs_protect(struct mem_file *file, u64 first, u64 nr)
{
	struct pfs_inode *pi = pfs_inode_of_file(file);
	struct address_space *mapping = pi->vfs.i_mapping;
	struct flush flush = { .nr = 0 };
	bool done;

	if (!mapping_mapped(mapping))
		return false;
	done = !READ_ONCE(pi->mapped_private) &&
	       protect_areas(mapping, first, first + nr - 1, &flush);
	/* It finds nothing to do but to flush; or who did it is nobody we know of. */
	if (done && wp_shared_mapping_range(mapping, first, nr))
		done = false;
	if (!done)
		unmap_mapping_pages(mapping, first, nr, false);
	flush_end(&flush);
	return done;
}
