// SPDX-License-Identifier: GPL-2.0
/*
 * One entry of a shadow page: what the guest's entry lets it grant, and how it comes,
 * changes and goes.
 *
 *   guest's entry ── 8-byte form ──► snap[i]      rights of all levels · dirty? · P2M's rights · traced?
 *                                    entries[i] = pfn of P2M │ what all of them allow │ type, key
 *
 * The levels above are open (writable, user, executable): a leaf carries the rights of
 * the whole path, since without CR0.WP a supervisor's write ignores them at every level. A guest's
 * page that is not dirty is mapped read-only, and one not accessed not at all, so that the
 * first write and the first use come to mmu_walk(), which sets those bits.
 */
#include "mmu/shadow.h"

/*
 * What of a guest's entry matters. Bits 58:52 are the guest's to use in long mode only; an
 * entry that points to a table becomes one with a reserved bit in many ways.
 */
#define LEAF_MATTERS	(~GENMASK_ULL(11, 9))
#define TABLE_MATTERS	(~(GENMASK_ULL(11, 9) | PT_DIRTY))

#define PAT_INDEX_BITS	3

unsigned int mmu_entry_access(const struct mmu_spage *sp, u64 gpte)
{
	unsigned int access = 0;

	if (gpte & PT_WRITE)
		access |= ACC_WRITE;
	if (gpte & PT_USER)
		access |= ACC_USER;
	if (!(sp->role.nx && (gpte & PT_NX)))
		access |= ACC_EXEC;
	return access & sp->role.access;
}

/*
 * A 4 MiB entry as two of 2 MiB; bits 20:13 are address bits 39:32 (APM vol. 2, 5.2.2). The reserved
 * bit 21, whose place the half takes, is kept as bit 53: an entry that gets it has changed.
 */
static u64 split_4m(u32 raw, unsigned int half)
{
	u64 base = (raw & GENMASK_ULL(31, 22)) | (raw & GENMASK_ULL(20, 13)) << (32 - 13);

	return base | (u64)half << 21 | (raw & BIT_ULL(21)) << 32 | (raw & (PT_PAT_LARGE | GENMASK_ULL(11, 0)));
}

u64 mmu_gpte_form(const struct mmu_spage *sp, unsigned int i, u64 raw)
{
	if (!sp->role.bytes4 || sp->role.level == 1)
		return raw;
	if (!sp->role.pse)
		return raw & ~PT_LARGE;
	return raw & PT_LARGE ? split_4m(raw, i & 1) : raw;
}

u64 mmu_guest_entry4(const struct mmu_spage *sp, unsigned int i)
{
	const u32 *entry4 = sp->guest;

	return mmu_gpte_form(sp, i, READ_ONCE(entry4[sp->role.level == 1 ? i : i / 2]));
}

gfn_t mmu_snap_gfn(const struct mmu_spage *sp, u64 snap)
{
	return mmu_align((snap & PT_ADDR) >> PAGE_SHIFT, sp->role.level);
}

/* The memory type, as the index that means it to this processor. */
static u64 type_bits(const struct mmu_shadow *shadow, const struct mmu_spage *sp, u64 gpte)
{
	bool large = sp->role.level > 1;
	unsigned int i = sp->role.pat;

	if (!sp->role.direct)
		i = (gpte & (PT_PWT | PT_PCD)) >> 3 | (gpte & (large ? PT_PAT_LARGE : PT_PAT) ? 4 : 0);
	i = shadow->pat_map[i];
	return (u64)(i & 3) << 3 | (i & 4 ? (large ? PT_PAT_LARGE : PT_PAT) : 0);
}

/* All of a leaf but the address, the write bit, accessed and dirty. */
static u64 leaf_bits(const struct mmu_vcpu *vcpu, const struct mmu_spage *sp, u64 gpte,
		     unsigned int grant)
{
	u64 bits = PT_PRESENT | type_bits(vcpu->vm->shadow, sp, gpte);

	if (grant & ACC_USER)
		bits |= PT_USER;
	if (!(grant & ACC_EXEC))
		bits |= PT_NX;
	if (sp->role.level > 1)
		bits |= PT_LARGE;
	if (sp->role.direct)
		return bits | (u64)sp->role.key << 59;
	if (vcpu->globals)
		bits |= gpte & PT_GLOBAL;
	return sp->role.bytes4 ? bits : bits | (gpte & PT_KEY);
}

/*
 * entries[i] is about to become the leaf `entry`, for gpte. If it is the first one of the table that a load of CR3
 * is meant for, one that is on its way may pass the table by: so visits begin, and then the guest's entry is
 * read once more (see shadow_visit.c). False: it has changed.
 */
static bool begin_visits(struct mmu_vm *vm, struct mmu_spage *sp, unsigned int i, u64 gpte, u64 entry)
{
	if (READ_ONCE(sp->visit) || READ_ONCE(sp->traced) || sp->role.direct || (entry & PT_GLOBAL))
		return true;
	WRITE_ONCE(sp->visit, true);
	mmu_spage_wants_visit(vm->shadow, sp);
	mmu_shape_changed(vm);
	return mmu_guest_entry(sp, i) == gpte;
}

bool mmu_entry_ready(struct mmu_vcpu *vcpu, const struct mmu_spage *sp, gfn_t gfn)
{
	return vcpu->cache.nr_nodes &&
	       mmu_region_find(vcpu->vm->shadow, gfn, sp->role.level);
}

/* Add slot to head, with a node of the vCPU's if one is needed. */
static void rmap_add(struct mmu_vcpu *vcpu, struct mmu_rmap *head, u64 *slot)
{
	struct mmu_cache *cache = &vcpu->cache;
	struct mmu_rmap_node *spare = cache->node[cache->nr_nodes - 1];

	mmu_rmap_add(head, slot, &spare);
	if (!spare) {
		cache->nr_nodes--;
		atomic64_inc(&vcpu->vm->stat.shadow_nodes);
	}
}

/* The entry was taken out of head; with it may go a node. */
static void rmap_del(struct mmu_vm *vm, struct mmu_rmap *head, u64 *slot)
{
	struct mmu_rmap_node *node = mmu_rmap_del(head, slot);

	if (node) {
		kfree(node);
		atomic64_dec(&vm->stat.shadow_nodes);
	}
}

void mmu_entry_map(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i, u64 gpte,
		   unsigned int grant, u64 p2m, int plevel, bool hot, bool written)
{
	struct mmu_vm *vm = vcpu->vm;
	int level = sp->role.level;
	gfn_t gfn = mmu_snap_gfn(sp, gpte);
	struct mmu_region *region = mmu_region_find(vm->shadow, gfn, level);
	struct mmu_rmap *head = mmu_region_head(region, gfn, level);
	u64 pfn = (p2m & PT_ADDR) >> PAGE_SHIFT, entry;

	pfn = mmu_align(pfn, plevel) + (gfn & (mmu_level_pages(plevel) - 1));
	entry = pfn << PAGE_SHIFT | leaf_bits(vcpu, sp, gpte, grant);
	if (p2m & vm->fmt->write)
		entry |= PT_P2M_WRITE;
	if (hot)
		entry |= PT_ACCESSED;
	if (!begin_visits(vm, sp, i, gpte, entry))
		return;

	spin_lock(&region->lock);
	if ((grant & ACC_WRITE) && !(level == 1 && mmu_traced(region, gfn)))
		entry |= PT_WRITE | (written ? PT_DIRTY : 0);
	rmap_add(vcpu, head, &sp->entries[i]);
	if (unlikely(mmu_rmap_crowded(head)))
		WRITE_ONCE(vm->shadow->crowded_leaf, gfn << 2 | level);
	WRITE_ONCE(sp->entries[i], entry);
	spin_unlock(&region->lock);

	WRITE_ONCE(sp->snap[i], gpte);
	__set_bit(i, sp->present);
	sp->nr_present++;
	atomic64_inc(&vm->stat.shadow_leaves);
}

/*
 * A dirty entry goes before the dirty log has seen it. P2M's leaf remembers: whoever clears
 * that also flushes the TLBs that may still know the page as dirty.
 */
static void remember_dirty(struct mmu_vm *vm, gfn_t gfn)
{
	int level;
	u64 *slot = mmu_p2m_slot(vm, gfn, &level);
	u64 old;

	if (!slot)
		return;
	old = READ_ONCE(*slot);
	while (!(old & vm->fmt->dirty) && !try_cmpxchg64(slot, &old, old | vm->fmt->dirty))
		;
}

/* Part of a page that is larger to the guest goes or changes: see struct mmu_shadow. */
static void part_gone(struct mmu_shadow *shadow)
{
	atomic64_inc(&shadow->parts_gone);
}

static void remove_leaf(struct mmu_vm *vm, struct mmu_spage *sp, unsigned int i)
{
	int level = sp->role.level;
	gfn_t gfn = mmu_snap_gfn(sp, sp->snap[i]);
	struct mmu_region *region = mmu_region_find(vm->shadow, gfn, level);
	u64 old;

	spin_lock(&region->lock);
	old = xchg(&sp->entries[i], 0);
	rmap_del(vm, mmu_region_head(region, gfn, level), &sp->entries[i]);
	spin_unlock(&region->lock);
	if (sp->role.bytes4 && level > 1)
		part_gone(vm->shadow);
	atomic64_dec(&vm->stat.shadow_leaves);
	if (unlikely(vm->logs) && (old & PT_DIRTY))
		remember_dirty(vm, gfn);
}

static void unlink_child(struct mmu_vm *vm, struct mmu_spage *sp, unsigned int i)
{
	struct mmu_shadow *shadow = vm->shadow;
	struct mmu_spage *child;
	bool last;

	child = mmu_spage_at(xchg(&sp->entries[i], 0));
	spin_lock(&shadow->list_lock);
	rmap_del(vm, &child->parents, &sp->entries[i]);
	clear_bit(i, sp->busy);
	last = mmu_rmap_empty(&child->parents);
	spin_unlock(&shadow->list_lock);
	if (child->role.level > 1 || child->role.direct)
		part_gone(shadow);	/* or with all that is below it */
	if (last)
		mmu_spage_orphaned(shadow, child);
}

void mmu_entry_remove(struct mmu_vm *vm, struct mmu_spage *sp, unsigned int i)
{
	if (mmu_sp_leaf(sp, mmu_sp_entry(sp, i)))
		remove_leaf(vm, sp, i);
	else
		unlink_child(vm, sp, i);
	__clear_bit(i, sp->present);
	sp->nr_present--;
	/* The vCPU that asked for this flushes its TLB; another one may go on using the entry. */
	WRITE_ONCE(vm->shadow->stale, true);
}

unsigned int mmu_entries_remove(struct mmu_vm *vm, const struct mmu_rmap *head)
{
	unsigned int removed = 0;
	u64 *slot;

	lockdep_assert_held_write(&vm->lock);
	for (; (slot = mmu_rmap_any(head)); removed++)
		mmu_entry_remove(vm, mmu_spage_of(slot), mmu_slot_index(slot));
	return removed;
}

/* One of mmu_leaves_remove(); the region's lock is held. Returns what was there. */
static u64 take_leaf(struct mmu_vm *vm, struct mmu_region *region, u64 *slot, gfn_t gfn)
{
	struct mmu_rmap *head = mmu_region_head(region, gfn, 1);
	u64 old = xchg(slot, 0);

	if (likely(head->val == (unsigned long)slot))
		head->val = 0;
	else
		rmap_del(vm, head, slot);
	return old;
}

/*
 * A process that unmaps memory does so by the thousand pages: what is counted, is counted
 * once, and neighbours are mostly of the same region.
 */
void mmu_leaves_remove(struct mmu_vm *vm, struct mmu_spage *sp, unsigned int first, unsigned long gone)
{
	unsigned int removed = hweight64(gone);
	struct mmu_region *region = NULL;
	const bool logs = vm->logs;
	gfn_t key = ~0ULL;
	unsigned long left;

	for (left = gone; left; left &= left - 1) {
		unsigned int i = first + __ffs(left);
		gfn_t gfn = (sp->snap[i] & PT_ADDR) >> PAGE_SHIFT;
		u64 old;

		if (gfn >> 9 != key) {
			if (region)
				spin_unlock(&region->lock);
			key = gfn >> 9;
			region = mmu_region_find(vm->shadow, gfn, 1);
			spin_lock(&region->lock);
		}
		old = take_leaf(vm, region, &sp->entries[i], gfn);
		if (unlikely(logs) && (old & PT_DIRTY))
			remember_dirty(vm, gfn);
	}
	spin_unlock(&region->lock);
	atomic64_sub(removed, &vm->stat.shadow_leaves);
	sp->nr_present -= removed;
	sp->present[first / BITS_PER_LONG] &= ~gone;
	WRITE_ONCE(vm->shadow->stale, true);
}

bool mmu_gpte_ready(const struct mmu_vcpu *vcpu, const struct mmu_spage *sp, u64 gpte)
{
	int level = sp->role.level;

	/* Another vCPU's table, in a mode that this one is not in: it will see for itself. */
	if ((sp->role.word & ROLE_COMMON) != vcpu->role)
		return false;
	if ((gpte & (PT_PRESENT | PT_ACCESSED)) != (PT_PRESENT | PT_ACCESSED))
		return false;
	if (level == 1)
		return sp->role.bytes4 || !(gpte & vcpu->leaf_rsvd[0]);
	return level == 2 && !sp->role.bytes4 && (gpte & PT_LARGE) && !(gpte & vcpu->leaf_rsvd[1]);
}

/* Do so many entries map gfn that only a fault is a reason for one more? */
static bool crowded(struct mmu_shadow *shadow, gfn_t gfn, int level)
{
	struct mmu_region *region = mmu_region_find(shadow, gfn, level);
	struct mmu_rmap *head = mmu_region_head(region, gfn, level);
	bool is;

	if (likely(!mmu_rmap_shared(head)))
		return false;
	spin_lock(&region->lock);
	is = mmu_rmap_crowded(head);
	spin_unlock(&region->lock);
	return is;
}

bool mmu_entry_ahead(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i, u64 gpte)
{
	struct mmu_vm *vm = vcpu->vm;
	gfn_t gfn = mmu_snap_gfn(sp, gpte);
	unsigned int grant = mmu_entry_access(sp, gpte);
	int plevel;
	u64 p2m = mmu_p2m(vm, gfn, &plevel);

	if (!p2m || plevel < sp->role.level || !mmu_entry_ready(vcpu, sp, gfn))
		return false;
	/* The last node is for what the fault is about. */
	if (vcpu->cache.nr_nodes == 1 || crowded(vm->shadow, gfn, sp->role.level))
		return false;
	if (sp->role.level > 1 && !mmu_may_map_large(vm, gfn, sp->role.level))
		return false;
	if (!(p2m & vm->fmt->write) || (!sp->role.direct && !(gpte & PT_DIRTY)))
		grant &= ~ACC_WRITE;
	mmu_entry_map(vcpu, sp, i, gpte, grant, p2m, plevel, false, false);
	vcpu->stat.ahead++;
	return true;
}

/* Is a page that P2M lets be written not a table at rest? */
static bool may_write(struct mmu_vm *vm, const struct mmu_spage *sp, gfn_t gfn)
{
	return sp->role.level > 1 || !mmu_traced(mmu_region_find(vm->shadow, gfn, 1), gfn);
}

/* The same page with other rights. Not half of 4 MiB, of which mmu_gpte_ready() wants none. */
static void change_rights(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i, u64 gpte)
{
	const u64 addr = PT_ADDR & ~(sp->role.level > 1 ? PT_PAT_LARGE : 0);
	const u64 keep = addr | PT_ACCESSED | PT_DIRTY | PT_P2M_WRITE;
	struct mmu_vm *vm = vcpu->vm;
	unsigned int grant = mmu_entry_access(sp, gpte);
	u64 old = mmu_sp_entry(sp, i), new, bits = leaf_bits(vcpu, sp, gpte, grant);
	bool write = (grant & ACC_WRITE) && (gpte & PT_DIRTY);

	if (!begin_visits(vm, sp, i, gpte, bits)) {
		mmu_entry_remove(vm, sp, i);
		return;
	}
	if (write && !(old & PT_WRITE))
		write = (old & PT_P2M_WRITE) && may_write(vm, sp, mmu_snap_gfn(sp, gpte));
	do {
		new = (old & keep) | bits | (write ? PT_WRITE : 0);
	} while (!try_cmpxchg64(&sp->entries[i], &old, new));
	WRITE_ONCE(sp->snap[i], gpte);
	WRITE_ONCE(vm->shadow->stale, true);
}

void mmu_entry_update(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i, u64 gpte)
{
	u64 old = mmu_sp_entry(sp, i), differs = gpte ^ sp->snap[i];

	if (!mmu_sp_leaf(sp, old)) {
		/* A large page of the guest may be in smaller ones here. */
		u64 matters = gpte & PT_LARGE ? LEAF_MATTERS : TABLE_MATTERS;

		/* Accessed was not set, and is: nothing to do. */
		if (!(differs & matters & ~(gpte & PT_ACCESSED)))
			WRITE_ONCE(sp->snap[i], gpte);
		else
			mmu_entry_remove(vcpu->vm, sp, i);
		return;
	}
	if (!(differs & LEAF_MATTERS)) {
		WRITE_ONCE(sp->snap[i], gpte);
		return;
	}
	vcpu->stat.corrected++;
	/* Without WP a read-only page may be mapped writable for the supervisor alone. */
	if (!mmu_gpte_ready(vcpu, sp, gpte) || !sp->role.wp || mmu_without(vcpu->vm, MMU_PART_AHEAD)) {
		mmu_entry_remove(vcpu->vm, sp, i);
		return;
	}
	if (mmu_snap_gfn(sp, gpte) == mmu_snap_gfn(sp, sp->snap[i])) {
		change_rights(vcpu, sp, i, gpte);
		return;
	}
	mmu_entry_remove(vcpu->vm, sp, i);
	mmu_entry_ahead(vcpu, sp, i, gpte);
}

void mmu_entry_link(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i, u64 gpte,
		    struct mmu_spage *child)
{
	struct mmu_shadow *shadow = vcpu->vm->shadow;
	u64 entry = virt_to_phys(child->entries) | PT_PRESENT;
	bool many;

	if (!sp->role.pae_root)		/* whose entries have no rights (APM vol. 2, 5.2.3) */
		entry |= PT_WRITE | PT_USER | PT_ACCESSED;
	spin_lock(&shadow->list_lock);
	rmap_add(vcpu, &child->parents, &sp->entries[i]);
	if (mmu_spage_needs_visit(child))
		mmu_spage_mark_above(child);
	many = mmu_rmap_crowded(&child->parents);
	spin_unlock(&shadow->list_lock);
	if (unlikely(many)) {
		mmu_spage_orphaned(shadow, child);
		WRITE_ONCE(shadow->crowded, true);
	}
	/* In this order for leaf_table(), which looks without the lock. */
	WRITE_ONCE(sp->snap[i], gpte);
	smp_store_release(&sp->entries[i], entry);
	__set_bit(i, sp->present);
	sp->nr_present++;
	vcpu->stat.linked++;
}

static void unmap_part(struct mmu_vm *vm, const struct mmu_region_part *part, int level)
{
	gfn_t gfn;

	for (gfn = part->start; gfn < part->end; gfn += mmu_level_pages(level))
		mmu_entries_remove(vm, mmu_region_head(part->region, gfn, level));
}

void mmu_shadow_thin(struct mmu_vm *vm)
{
	struct mmu_shadow *shadow = vm->shadow;
	gfn_t gfn = shadow->crowded_leaf >> 2;
	int level = shadow->crowded_leaf & 3;

	lockdep_assert_held_write(&vm->lock);
	WRITE_ONCE(shadow->crowded_leaf, 0);
	mmu_entries_remove(vm, mmu_region_head(mmu_region_find(shadow, gfn, level), gfn, level));
	vm->flush_due = true;
}

void mmu_shadow_unmap(struct mmu_vm *vm, gfn_t gfn, u64 nr)
{
	int level;

	lockdep_assert_held_write(&vm->lock);
	for (level = 1; level <= MMU_LEAF_MAX; level++) {
		struct mmu_region_part part = { 0 };

		while (mmu_region_next(vm->shadow, level, gfn, gfn + nr, &part))
			unmap_part(vm, &part, level);
	}
	mmu_shadow_forget_tables(vm, gfn, nr);
	vm->flush_due = true;
}

bool mmu_shadow_test_bits(struct mmu_vm *vm, gfn_t gfn, int level, u64 bits, bool clear)
{
	gfn_t end = mmu_align(gfn, level) + mmu_level_pages(level);
	bool found = false;
	int l;

	for (l = 1; l <= MMU_LEAF_MAX; l++) {
		gfn_t g;

		for (g = mmu_align(gfn, l); g < end; g += mmu_level_pages(l)) {
			struct mmu_region *region = mmu_region_find(vm->shadow, g, l);
			struct mmu_rmap_pos pos = { 0 };
			u64 *slot;

			if (!region) {
				g = mmu_align(g, l + 1) + mmu_level_pages(l + 1) - mmu_level_pages(l);
				continue;
			}
			spin_lock(&region->lock);
			/* What is cleared is what is told: the processor sets bits at any time. */
			while ((slot = mmu_rmap_next(mmu_region_head(region, g, l), &pos)))
				found |= !!((clear ? mmu_clear_bits(slot, bits) : READ_ONCE(*slot)) & bits);
			spin_unlock(&region->lock);
		}
	}
	return found;
}
