// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings and their faults.
 *
 *   read,  or write to MAP_PRIVATE       write to MAP_SHARED
 *     fault ─ mem_file_fault(read)         fault ─ mem_file_fault(write)
 *       page, locked                         page, locked; the kernel unlocks it ...
 *       mapped read-only, or copied          page_mkwrite ─ mem_file_mkwrite()
 *       unlocked                               page, locked, if it is still the one
 *                                              mapped writable, unlocked
 *
 * The pages are ordinary ones for the kernel, counted in and out of page tables, so that
 * get_user_pages(), mlock(), fork() and accounting work as for any file. They have no
 * page->mapping: reclaim, migration and writeback leave them alone. For a compound page the
 * kernel installs a whole PMD where the area is congruent with the file, under the same page lock.
 * (A PMD is only right if the chunk is one 2 MiB frame: mem/ never puts part of one into a slot.)
 *
 * Private areas get small pages only, see keep_pmd_out().
 *
 * A file that shares nothing need not notice writes. Its areas have no page_mkwrite, so
 * that the kernel allows long-term pins. They then are writable by mprotect(), without a fault, as
 * soon as they are mapped: every page is fetched for writing from the start.
 *
 * No frame, since memory or the reserve is gone: the fault waits and tries again whenever
 * some came, until wait_ms are over, whoever else was quicker meanwhile. Then the process gets
 * SIGBUS. Where the caller allows it mmap_lock is dropped: that can be done once, and nobody
 * tells the fault that comes next how long this one has waited, so three quarters of the time
 * are spent there, the fourth is left to that one. It seldom needs it: the page is made ready
 * before. In page_mkwrite the lock stays.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include "fs/fs.h"

static const struct vm_operations_struct exclusive_vm_ops;

void pfs_frames_arrived(struct pfs_mount *m)
{
	atomic_inc(&m->frames_seq);
	wake_up_all(&m->frames_wait);
}

/* In ns, since jiffies lag on a busy machine: when a fault that began to wait then gives up. */
static u64 give_up_at(const struct vm_fault *vmf, const struct pfs_mount *m, u64 began)
{
	u64 all = READ_ONCE(m->wait_ms) * (u64)NSEC_PER_MSEC;

	if (fault_flag_allow_retry_first(vmf->flags))
		all -= all / 4;
	else if (vmf->flags & FAULT_FLAG_TRIED)
		all /= 4;
	return began + all;
}

/* True: frames came after @seq was read. False: it is too late, or the process is being killed. */
static bool until_frames(struct pfs_mount *m, int seq, u64 give_up)
{
	s64 left = give_up - ktime_get_ns();

	pfs_scand_wake(m);
	return left > 0 &&
	       wait_event_killable_timeout(m->frames_wait, atomic_read(&m->frames_seq) != seq,
					   nsecs_to_jiffies(left) + 1) > 0;
}

static bool may_come(int err)
{
	return err == -EBUSY || err == -ENOMEM;
}

/*
 * With mmap_lock dropped: the area may go, and the mount with it. @write: the page is made
 * ready, so that who has waited is not too late again.
 */
static vm_fault_t wait_unlocked(struct vm_fault *vmf, struct pfs_mount *m, int seq,
				u64 give_up, bool write)
{
	struct file *file = get_file(vmf->vma->vm_file);
	struct mem_file *mem = &pfs_inode(file_inode(file))->mem;
	u64 index = vmf->pgoff;
	struct mem_frame *frame;
	int err;

	compat_release_fault_lock(vmf);
	while (until_frames(m, seq, give_up) && write) {
		seq = atomic_read(&m->frames_seq);
		err = mem_file_pin(mem, index, true, &frame);
		if (!err)
			pfs_host_ops.put(frame);
		if (!may_come(err))
			break;
	}
	fput(file);
	return VM_FAULT_RETRY | VM_FAULT_MAJOR;		/* so that the next one is told of this */
}

/*
 * Waits for frames that came after @seq was read. Returns 0 with the locks still held: try again;
 * or what the fault returns.
 */
static vm_fault_t wait_for_frames(struct vm_fault *vmf, struct pfs_mount *m, int seq,
				  u64 *began, bool write)
{
	u64 give_up;

	if (!*began)
		*began = ktime_get_ns();
	give_up = give_up_at(vmf, m, *began);
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	if (fault_flag_allow_retry_first(vmf->flags))
		return wait_unlocked(vmf, m, seq, give_up, write);
	return until_frames(m, seq, give_up) ? 0 : VM_FAULT_SIGBUS;
}

/* Must the page be fetched so that it may be written from now on, without further notice? */
static bool for_writing(struct vm_fault *vmf)
{
	const struct vm_area_struct *vma = vmf->vma;

	if (!(vma->vm_flags & VM_SHARED))
		return false;
	return (vmf->flags & FAULT_FLAG_WRITE) ||
	       (vma->vm_ops == &exclusive_vm_ops && (vma->vm_flags & VM_MAYWRITE));
}

/* A page is never mapped so often that its counts could overflow: the zero frame could be. */
static bool mapped_too_often(struct page *page)
{
	return page_count(page) > INT_MAX / 2;
}

/* The kernel would look for the mapping of a poisoned page, which has none. */
static vm_fault_t give_out(struct vm_fault *vmf, struct page *page)
{
	bool poisoned = PageHWPoison(page);

	if (unlikely(poisoned || mapped_too_often(page))) {
		unlock_page(page);
		put_page(page);
		return poisoned ? VM_FAULT_HWPOISON : VM_FAULT_SIGBUS;
	}
	/* About to be mapped in one, for all that is known here. */
	if (PageCompound(page) && pmd_none(READ_ONCE(*vmf->pmd)))
		pfs_has_poison(compound_head(page));
	vmf->page = page;
	return VM_FAULT_LOCKED;
}

static int keep_small(pte_t *pte, unsigned long addr, void *data)
{
	return 0;
}

/*
 * A private area is mapped by small pages: where a PMD maps one of ours read-only, a long-term pin
 * for reading asks for a copy, the kernel answers by splitting the PMD, the next fault maps it again, and so
 * on for ever (6.1, 6.12). With a table in place no PMD is installed.
 */
static vm_fault_t keep_pmd_out(struct vm_fault *vmf)
{
	if ((vmf->vma->vm_flags & VM_SHARED) || !pmd_none(READ_ONCE(*vmf->pmd)))
		return 0;
	return apply_to_page_range(vmf->vma->vm_mm, vmf->address & PAGE_MASK, PAGE_SIZE,
				   keep_small, NULL) ? VM_FAULT_OOM : 0;
}

/* What is locked has its pages: a hole is filled by reading, too. Errors as mem_file_fault(). */
static int fill_locked(struct vm_fault *vmf, struct mem_file *file)
{
	const vm_flags_t both = VM_LOCKED | VM_SHARED | VM_MAYWRITE;

	return (vmf->vma->vm_flags & both) == both ? mem_file_allocate(file, vmf->pgoff, 1) : 0;
}

static vm_fault_t fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct mem_file *file = &pfs_inode(inode)->mem;
	struct pfs_mount *m = pfs_mount(inode->i_sb);
	u64 began = 0;		/* to wait */
	vm_fault_t wait = keep_pmd_out(vmf);
	struct mem_frame *frame;

	if (wait)
		return wait;
	for (;;) {
		int seq = atomic_read(&m->frames_seq);
		int ret;

		if (vmf->pgoff >= pfs_pages(i_size_read(inode)))
			return VM_FAULT_SIGBUS;
		ret = fill_locked(vmf, file);
		if (!ret)
			ret = mem_file_fault(file, vmf->pgoff, for_writing(vmf), &frame);
		if (!ret)
			return give_out(vmf, (struct page *)frame);
		if (!may_come(ret))
			return ret == -EHWPOISON ? VM_FAULT_HWPOISON : VM_FAULT_SIGBUS;
		/* Reading, too, it is a copy that was asked for if the reserve was. */
		wait = wait_for_frames(vmf, m, seq, &began, for_writing(vmf) || ret == -EBUSY);
		if (wait)
			return wait;
	}
}

/*
 * A write to a page that is mapped read-only, or is about to be mapped. If it has to become another
 * page, mem/ makes it so here, not in the fault that follows: that may be for reading, where an instruction
 * reads the page before it writes it, and would map the old one again, and so on for ever.
 */
static vm_fault_t page_mkwrite(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct pfs_mount *m = pfs_mount(inode->i_sb);
	u64 began = 0;		/* to wait */
	vm_fault_t wait;

	if (unlikely(PageHWPoison(vmf->page)))
		return VM_FAULT_HWPOISON;
	file_update_time(vmf->vma->vm_file);
	do {
		int seq = atomic_read(&m->frames_seq);

		switch (mem_file_mkwrite(&pfs_inode(inode)->mem, vmf->pgoff,
					 (struct mem_frame *)vmf->page)) {
		case 0:
			return VM_FAULT_LOCKED;
		case -EAGAIN:
		case -ERANGE:
			return VM_FAULT_NOPAGE;
		case -EBUSY:
		case -ENOMEM:
			wait = wait_for_frames(vmf, m, seq, &began, true);
			break;
		case -EHWPOISON:
			return VM_FAULT_HWPOISON;
		default:
			return VM_FAULT_SIGBUS;
		}
	} while (!wait);
	return wait;
}

static const struct vm_operations_struct shareable_vm_ops = {
	.fault = fault,
	.page_mkwrite = page_mkwrite,
};

static const struct vm_operations_struct exclusive_vm_ops = {
	.fault = fault,
};

int pfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct pfs_inode *pi = pfs_inode(file_inode(file));

	file_accessed(file);
	if (!(vma->vm_flags & VM_MAYSHARE))
		WRITE_ONCE(pi->mapped_private, true);
	vma->vm_ops = READ_ONCE(pi->mem.never_share) ?
		      &exclusive_vm_ops : &shareable_vm_ops;
	return 0;
}
