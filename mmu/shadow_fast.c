// SPDX-License-Identifier: GPL-2.0
/*
 * The faults of every day: all tables of the path are linked and as the guest has them, and
 * only the leaf's entry is missing or grants too little. Then one entry of the guest,
 * read where it is, says what the fault is about:
 *
 *   root ─► … ─► leaf table      entries present, made from what the guest has now
 *                  │ guest's entry absent, or forbids the access ─► reflect
 *                  │ allows it: accessed, dirty set; P2M has the page ─► map
 *
 * Whatever is otherwise (a table to link, a mode without CR0.WP, keys, SMAP, P2M to be filled,
 * a table at rest written to) takes the long way in shadow.c, which knows everything.
 */
#include "mmu/mode.h"
#include "mmu/shadow.h"

/* The leaf table for gva, if the path to it is as the guest has it. No spage's lock is held. */
static struct mmu_spage *leaf_table(struct mmu_vcpu *vcpu, gva_t gva)
{
	struct mmu_spage *sp = vcpu->root;

	while (sp->role.level > 1) {
		unsigned int i = mmu_index(gva >> PAGE_SHIFT, sp->role.level);
		u64 entry = smp_load_acquire(&sp->entries[i]);
		const u64 *guest = READ_ONCE(sp->guest);	/* of 8 bytes: see mmu_fault_fast() */

		if (!guest || sp->role.direct || !(entry & PT_PRESENT) || mmu_sp_leaf(sp, entry) ||
		    READ_ONCE(guest[i]) != READ_ONCE(sp->snap[i]))
			return NULL;
		WRITE_ONCE(sp->used, true);
		sp = mmu_spage_at(entry);
	}
	return READ_ONCE(sp->guest) && !sp->role.direct ? sp : NULL;
}

/* Do the rights of the path allow the access? Only for what may_decide() has let through. */
static bool allowed(unsigned int access, u64 error_code)
{
	if ((error_code & MMU_PF_USER) && !(access & ACC_USER))
		return false;
	if ((error_code & MMU_PF_WRITE) && !(access & ACC_WRITE))
		return false;
	return !(error_code & MMU_PF_FETCH) || (access & ACC_EXEC);
}

/* Are the plain rights all there is to it? */
static bool may_decide(const struct mmu_vcpu *vcpu, unsigned int access, u64 error_code)
{
	u64 cr4 = vcpu->paging.cr4;

	if (cr4 & X86_CR4_PKE)
		return false;
	return (error_code & MMU_PF_USER) || !(access & ACC_USER) ||
	       !(cr4 & (X86_CR4_SMEP | X86_CR4_SMAP));
}

/* Set accessed, and dirty for a write. False: not here, or somebody was faster. */
static bool set_accessed_dirty(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i, u64 *gpte,
			       bool write)
{
	u64 want = *gpte | PT_ACCESSED | (write ? PT_DIRTY : 0);

	if (want == *gpte)
		return true;
	if (!sp->writable || sp->role.bytes4 || vcpu->vm->logs)
		return false;
	if (!try_cmpxchg64((u64 *)sp->guest + i, gpte, want))
		return false;
	*gpte = want;
	return true;
}

static bool map(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i, u64 gpte,
		unsigned int access, bool write)
{
	struct mmu_vm *vm = vcpu->vm;
	gfn_t gfn = mmu_snap_gfn(sp, gpte);
	struct mmu_region *region = mmu_region_find(vm->shadow, gfn, 1);
	int plevel;
	u64 p2m;

	if (!region || !vcpu->cache.nr_nodes || (write && mmu_traced(region, gfn)))
		return false;
	p2m = mmu_p2m(vm, gfn, &plevel);
	if (!p2m || (write && !(p2m & vm->fmt->write)))
		return false;
	if (!set_accessed_dirty(vcpu, sp, i, &gpte, write))
		return false;
	if (!(gpte & PT_DIRTY) || !(p2m & vm->fmt->write))
		access &= ~ACC_WRITE;
	if (test_bit(i, sp->present))
		mmu_entry_remove(vm, sp, i);
	mmu_entry_map(vcpu, sp, i, gpte, access, p2m, plevel, true, write);
	mmu_map_neighbours(vcpu, sp, i);
	vcpu->stat.hidden++;
	return true;
}

/* sp->lock held. */
static enum mmu_verdict decide(struct mmu_vcpu *vcpu, struct mmu_spage *sp, gva_t gva, u64 error_code,
			       u16 *code)
{
	unsigned int i = mmu_index(gva >> PAGE_SHIFT, 1), access;
	u64 gpte = mmu_guest_entry(sp, i);

	*code = error_code & (MMU_PF_WRITE | MMU_PF_USER);
	if ((error_code & MMU_PF_FETCH) && (sp->role.nx || (vcpu->paging.cr4 & X86_CR4_SMEP)))
		*code |= MMU_PF_FETCH;
	if (!(gpte & PT_PRESENT))
		return MMU_REFLECT;
	access = mmu_entry_access(sp, gpte);
	if ((!sp->role.bytes4 && (gpte & vcpu->leaf_rsvd[0])) || !may_decide(vcpu, access, error_code))
		return MMU_SLEEP;
	if (!allowed(access, error_code)) {
		*code |= MMU_PF_PRESENT;
		return MMU_REFLECT;
	}
	return map(vcpu, sp, i, gpte, access, error_code & MMU_PF_WRITE) ? MMU_RESUME : MMU_SLEEP;
}

enum mmu_verdict mmu_fault_fast(struct mmu_vcpu *vcpu, gva_t gva, u64 error_code, u16 *code)
{
	enum mmu_verdict verdict = MMU_SLEEP;
	struct mmu_vm *vm = vcpu->vm;
	struct mmu_spage *sp;

	if (vcpu->levels == 3 || !(vcpu->paging.cr0 & X86_CR0_WP) || mmu_without(vm, MMU_PART_FAST))
		return MMU_SLEEP;
	read_lock(&vm->lock);
	sp = leaf_table(vcpu, gva);
	if (sp) {
		mmu_spage_lock(sp);
		verdict = decide(vcpu, sp, gva, error_code, code);
		mmu_spage_unlock(sp);
	}
	read_unlock(&vm->lock);
	/* The other chores can wait; this one grows with each fault. */
	if (unlikely(READ_ONCE(vm->shadow->crowded_leaf)))
		mmu_shadow_chores(vcpu);
	return verdict;
}
