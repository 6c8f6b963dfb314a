// SPDX-License-Identifier: GPL-2.0
/*
 * P2M as the host answers it: gfn ──slot──► hva ──host page tables──► pfn.
 *
 * An answer holds no reference to the page. What keeps the page ours while an
 * entry maps it is the mmu notifier: the host frees, moves or write-protects it
 * only between range_start and range_end, and the MMU drops an answer that was given before
 * or during such a pair (mmu_invalidate_begin).
 *
 * Writable means dirty as well: the host must already count the page as dirty
 * when we let the guest write it. That suffices, because the host forgets dirtiness
 * (writeback, MADV_FREE, migration ...) only after it has write-protected or removed its own
 * entry, which notifies us first; the next write faults here again.
 *
 * The usual case reads the host's entry directly. Everything odd (absent, PROT_NONE,
 * read-only, special, device memory) goes through get_user_pages(), which brings the page
 * in the way a store by the process itself would.
 */
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include "compat.h"
#include "kvm/hostpt.h"
#include "kvm/slots.h"
#include "kvm/vcpu.h"

/* The largest leaf whose gfns and hvas are aligned alike and that lies inside the slot. */
static u8 slot_max_level(const struct pn_slot *slot, gfn_t gfn, u8 level)
{
	u64 first = slot->base_gfn ^ (slot->hva >> PAGE_SHIFT);

	for (; level > 1; level--) {
		u64 nr = mmu_level_pages(level);
		u64 start = gfn & ~(nr - 1);

		if (!(first & (nr - 1)) && start >= slot->base_gfn &&
		    start + nr <= slot->base_gfn + slot->nr_pages)
			break;
	}
	return level;
}

static void answer_error(struct mmu_host_page *out, int error)
{
	out->kind = MMU_HOST_ERROR;
	out->error = error;
}

static void answer_ram(struct mmu_host_page *out, const struct pn_slot *slot, gfn_t gfn,
		       u64 pfn, u8 level, bool writable)
{
	out->kind = MMU_HOST_RAM;
	out->pfn = pfn;
	out->max_level = slot_max_level(slot, gfn, level);
	out->writable = writable && !(slot->flags & KVM_MEM_READONLY);
}

/* The aligned group of neighbours that @gfn is in, as far as slot and host table reach. */
static void answer_around(struct mmu_host_page *out, const struct pn_slot *slot, gfn_t gfn)
{
	unsigned long hva = pn_slot_hva(slot, gfn);
	u64 index = hva >> PAGE_SHIFT;	/* grouped by hva: a group lies in one host table */
	u64 before = min(index % MMU_AROUND_MAX, gfn - slot->base_gfn);
	u64 after = min(MMU_AROUND_MAX - index % MMU_AROUND_MAX,
			slot->base_gfn + slot->nr_pages - gfn);
	unsigned int i;

	out->around_gfn = gfn - before;
	out->around_nr = pn_hostpt_read_around(hva - (before << PAGE_SHIFT), before + after,
					       out->around);
	if (slot->flags & KVM_MEM_READONLY)
		for (i = 0; i < out->around_nr; i++)
			out->around[i] &= ~MMU_AROUND_WRITABLE;
}

/* Answer from the host's page tables as they are, if they allow the access. */
static bool answer_fast(struct mmu_host_page *out, const struct pn_slot *slot, gfn_t gfn,
			unsigned int flags)
{
	struct pn_hostpt pt;
	bool writable;

	if (!pn_hostpt_read(pn_slot_hva(slot, gfn), &pt) || pt.special)
		return false;
	/* The page itself may carry the dirtiness: after migration, or from answer_faulted. */
	writable = pt.writable && (pt.dirty || PageDirty(pfn_to_page(pt.pfn)));
	if ((flags & MMU_HOST_WRITE) && !writable)
		return false;
	answer_ram(out, slot, gfn, pt.pfn, pt.level, writable);
	if ((flags & MMU_HOST_AROUND) && (out->max_level == 1 || out->dirty_log))
		answer_around(out, slot, gfn);
	return true;
}

/*
 * Memory without struct pages that user space mapped, of a device for instance.
 * Its owner revokes it through unmapping, which notifies like any other.
 */
static int answer_pfnmap(struct mmu_host_page *out, const struct pn_slot *slot, gfn_t gfn,
			 bool write)
{
	unsigned long hva = pn_slot_hva(slot, gfn);
	struct vm_area_struct *vma;
	struct pn_hostpt pt;
	bool unlocked = false;
	int ret = -EFAULT;

	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, hva);
	if (vma && (vma->vm_flags & (VM_IO | VM_PFNMAP)))
		ret = fixup_user_fault(current->mm, hva, write ? FAULT_FLAG_WRITE : 0, &unlocked);
	mmap_read_unlock(current->mm);
	if (ret)
		return ret;
	if (!pn_hostpt_read(hva, &pt) || (write && !pt.writable))
		return -EAGAIN;		/* gone again */
	answer_ram(out, slot, gfn, pt.pfn, pt.level, pt.writable);	/* nothing to write back */
	return 0;
}

/* Bring the page in as a load or store of the process would, and answer from what came. */
static int answer_faulted(struct mmu_host_page *out, const struct pn_slot *slot, gfn_t gfn,
			  bool write)
{
	unsigned long hva = pn_slot_hva(slot, gfn);
	unsigned int gup = FOLL_HWPOISON | COMPAT_FOLL_NUMA | (write ? FOLL_WRITE : 0);
	struct pn_hostpt pt;
	struct page *page;
	bool writable;
	u8 level = 1;
	long got;

	got = get_user_pages_unlocked(hva, 1, &page, gup);
	if (got != 1)
		return got < 0 ? got : -EFAULT;

	writable = write;
	if (pn_hostpt_read(hva, &pt) && pt.pfn == page_to_pfn(page)) {
		level = pt.level;
		writable = pt.writable && pt.dirty;
	}
	/*
	 * The entry may be clean although the page may be written (MADV_FREE). The
	 * page itself then has to carry the dirtiness.
	 */
	if (write && !writable) {
		set_page_dirty_lock(page);
		writable = true;
		level = 1;
	}
	answer_ram(out, slot, gfn, page_to_pfn(page), level, writable);
	put_page(page);
	return 0;
}

static void answer_slow(struct mmu_host_page *out, const struct pn_slot *slot, gfn_t gfn,
			bool write)
{
	int ret = answer_faulted(out, slot, gfn, write);

	if (ret == -EFAULT) {
		do
			ret = answer_pfnmap(out, slot, gfn, write);
		while (ret == -EAGAIN && !signal_pending(current));
	}
	/* As a load of the process would: the signal says where. */
	if (ret == -EHWPOISON)
		send_sig_mceerr(BUS_MCEERR_AR, (void __user *)pn_slot_hva(slot, gfn),
				PAGE_SHIFT, current);
	if (ret)
		answer_error(out, ret);
}

/*
 * Is somebody in the midst of changing the host's tables? A filesystem may take the right to write before it
 * notifies us (fs/protect.c). It then waits for vm->mmu.lock, which the audit holds: so ask after reading the tables.
 */
static bool host_is_changing(const struct pn_vm *vm)
{
	smp_rmb();
	return mm_tlb_flush_pending(vm->mm);
}

static void gfn_to_page(struct mmu_vm *mmu, gfn_t gfn, unsigned int flags,
			struct mmu_host_page *out)
{
	struct pn_vm *vm = pn_vm_of_mmu(mmu);
	struct pn_slot *slot = pn_slot_find(vm, gfn, NULL);

	out->around_nr = 0;
	if (!slot) {
		out->kind = MMU_HOST_NO_SLOT;
		return;
	}
	out->dirty_log = slot->dirty;
	if ((flags & MMU_HOST_WRITE) && (slot->flags & KVM_MEM_READONLY)) {
		out->kind = MMU_HOST_READONLY_SLOT;
		return;
	}
	if (current->mm != vm->mm) {
		answer_error(out, -EIO);
		return;
	}
	if (answer_fast(out, slot, gfn, flags)) {
		if (unlikely(flags & MMU_HOST_AUDIT) && host_is_changing(vm))
			out->kind = MMU_HOST_SLEEP;
		return;
	}
	if (flags & MMU_HOST_ATOMIC)
		out->kind = MMU_HOST_SLEEP;
	else
		answer_slow(out, slot, gfn, flags & MMU_HOST_WRITE);
}

static int read_guest(struct mmu_vcpu *mmu, gpa_t gpa, void *buf, unsigned int len,
		      unsigned int flags)
{
	int ret = pn_guest_read(pn_vcpu_of_mmu(mmu), gpa, buf, len, flags & MMU_GUEST_ATOMIC);

	return !ret || ret == -EAGAIN ? ret : -EFAULT;
}

static int cmpxchg_guest(struct mmu_vcpu *mmu, gpa_t gpa, u64 old, u64 new,
			 unsigned int size, unsigned int flags)
{
	int ret = pn_table_cmpxchg(pn_vcpu_of_mmu(mmu), gpa, &old, &new, size,
				   flags & MMU_GUEST_ATOMIC);

	if (ret == -EBUSY)
		return 1;
	return !ret || ret == -EAGAIN ? ret : -EFAULT;
}

static void flush(struct mmu_vm *mmu)
{
	pn_vm_request_all(pn_vm_of_mmu(mmu), PN_REQ_TLB_FLUSH);
}

/* vm->mmu.lock is held for writing by somebody who holds vm->srcu or slots_lock. */
static void gfn_written(struct mmu_vm *mmu, gfn_t gfn, u64 nr)
{
	struct pn_vm *vm = pn_vm_of_mmu(mmu);
	unsigned int hint = 0;

	for (; nr; nr--, gfn++) {
		struct pn_slot *slot = pn_slot_find(vm, gfn, &hint);

		if (slot)
			pn_slot_mark_dirty(slot, gfn);
	}
}

/*
 * Memory of secretmem is not in the kernel's mapping, and the one thing that tells it from
 * other files' pages here is that it is unevictable. The page is mapped into the guest, so
 * it stays what it is.
 */
static bool in_kernel_mapping(struct page *page)
{
	const struct address_space *mapping = READ_ONCE(compound_head(page)->mapping);
	unsigned int level;
	pte_t *pte;

	if (!mapping || ((unsigned long)mapping & PAGE_MAPPING_FLAGS) ||
	    !test_bit(AS_UNEVICTABLE, &mapping->flags))
		return true;
	pte = lookup_address((unsigned long)page_address(page), &level);
	return pte && (pte_flags(*pte) & _PAGE_PRESENT);
}

static void *pfn_to_virt(struct mmu_vm *mmu, u64 pfn)
{
	struct page *page;

	if (!pfn_valid(pfn))
		return NULL;
	page = pfn_to_page(pfn);
	if (PageReserved(page) && !is_zero_pfn(pfn))
		return NULL;
	return likely(in_kernel_mapping(page)) ? page_address(page) : NULL;
}

const struct mmu_host_ops pn_mmu_host_ops = {
	.gfn_to_page	= gfn_to_page,
	.read_guest	= read_guest,
	.cmpxchg_guest	= cmpxchg_guest,
	.flush		= flush,
	.gfn_written	= gfn_written,
	.pfn_to_virt	= pfn_to_virt,
};
