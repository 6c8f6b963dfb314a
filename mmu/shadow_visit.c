// SPDX-License-Identifier: GPL-2.0
/*
 * What a load of CR3 asks for: the tables below the root that may have changed are compared with the
 * guest's.
 *
 *   root ─ busy ─► table ─ busy ─► table      a bit for each table below that has one to visit
 *                                             below it; set at once, cleared by the visit
 *   plan: [ table │ table │ … ]               what that walk has visited, for the next load of the
 *                                             same root: good as long as vm->shadow_shape is the same
 *
 * Not visited: tables at rest, which are write-protected; kernel tables that map global pages
 * only, which a CR3 load leaves alone.
 *
 * A flush must not pass by a table that another vCPU is about to make reachable, or to map something with.
 * So, always in this order:
 *
 *   that vCPU    busy bits above ─► shape ─► reads the guest's entries ─► ours can be walked
 *   this one     the guest has written ─► reads shape ─► reads busy bits ─► compares
 *
 * Either the bits are seen here, or what the guest has written is seen there.
 */
#include "mmu/mode.h"
#include "mmu/shadow.h"

#define TORN	(-1)

/* Eight entries of 8 bytes are as they were. */
static bool same8(const u64 *entry, const u64 *snap)
{
	u64 differ = 0;
	unsigned int i;

	for (i = 0; i < 8; i++)
		differ |= READ_ONCE(entry[i]) ^ snap[i];
	return !differ;
}

/* Those of 64 entries that are present and may differ. */
static unsigned long may_differ(const struct mmu_spage *sp, unsigned int first)
{
	unsigned long left = sp->present[first / BITS_PER_LONG];
	const u64 *entry = (const u64 *)sp->guest + first, *snap = sp->snap + first;
	unsigned int i;

	/* Where there are many, mostly none does. */
	if (hweight64(left) < SHADOW_DENSE || sp->role.bytes4)
		return left;
	for (i = 0; i < BITS_PER_LONG; i += 8)
		if ((u8)(left >> i) == 0xff && same8(entry + i, snap + i))
			left &= ~(0xffUL << i);
	return left;
}

/*
 * Compare those of 64 entries that are present. Returns how many differed, or TORN: the guest
 * has removed so many of them that the table is better done without for now. Not if all is to be right.
 */
static int compare_word(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int first, bool all)
{
	unsigned long left = may_differ(sp, first), gone = 0;
	int differ = 0;

	for (; left; left &= left - 1) {
		unsigned int i = first + __ffs(left);
		u64 gpte = mmu_guest_entry(sp, i);

		if (likely(gpte == sp->snap[i]))
			continue;
		differ++;
		if (!(gpte & PT_PRESENT) && sp->role.level == 1 &&
		    !mmu_without(vcpu->vm, MMU_PART_BATCH))
			gone |= BIT(i - first);
		else
			mmu_entry_update(vcpu, sp, i, gpte);
	}
	if (!gone)
		return differ;
	if (!all && hweight64(gone) >= SHADOW_TORN && !mmu_without(vcpu->vm, MMU_PART_TORN))
		return TORN;
	vcpu->stat.corrected += hweight64(gone);
	mmu_leaves_remove(vcpu->vm, sp, first, gone);
	return differ;
}

/* Compare each present entry. sp->lock held. Returns as compare_word(). */
static int compare(struct mmu_vcpu *vcpu, struct mmu_spage *sp, bool all)
{
	unsigned int i;
	int differ = 0, n;

	vcpu->stat.compared++;
	if (!sp->guest && mmu_spage_resolve(vcpu->vm, sp)) {
		mmu_spage_empty(vcpu->vm, sp);
		return 1;
	}
	for (i = 0; i < MMU_ENTRIES; i += BITS_PER_LONG) {
		if (!sp->present[i / BITS_PER_LONG])
			continue;
		n = compare_word(vcpu, sp, i, all);
		if (n < 0)
			return n;
		differ += n;
	}
	return differ;
}

void mmu_sync_table(struct mmu_vcpu *vcpu, struct mmu_spage *sp)
{
	mmu_spage_lock(sp);
	compare(vcpu, sp, true);
	mmu_spage_unlock(sp);
}

/* Nothing has changed for so long that the comparisons cost more than a fault would. */
static void comes_to_rest(struct mmu_shadow *shadow, struct mmu_spage *sp)
{
	if (mmu_without(shadow->vm, MMU_PART_REST))
		return;
	spin_lock(&shadow->list_lock);
	if (list_empty(&sp->rest_link)) {
		list_add_tail(&sp->rest_link, &shadow->resting);
		WRITE_ONCE(shadow->nr_resting, shadow->nr_resting + 1);
	}
	spin_unlock(&shadow->list_lock);
}

/* sp->lock held; mmu_spages_rest() may set rests and patience at the same time. False: torn, not done with. */
static bool visit(struct mmu_vcpu *vcpu, struct mmu_spage *sp, bool all)
{
	int differ = compare(vcpu, sp, all);
	unsigned int rests;

	if (differ == TORN)
		return false;
	if (READ_ONCE(sp->traced))
		return true;
	rests = differ ? 0 : READ_ONCE(sp->rests) + SHADOW_VISIT + sp->nr_present;
	WRITE_ONCE(sp->rests, rests);
	if (rests >= READ_ONCE(sp->patience) &&
	    (sp->role.level > 1 || sp->nr_present >= SHADOW_TRACE_PRESENT))
		comes_to_rest(vcpu->vm->shadow, sp);
	return true;
}

/*
 * Work of comparing is counted in entries. A guest can make trees of tables that are large, and
 * reach a table on hundreds of millions of ways, each of its levels pointing to the next with
 * all 512 entries: so no table is looked at twice in one go, and after vm->sync_some others who
 * wait go first, after MMU_SYNC_MUCH times that in any case. Where a table is linked, locks of
 * spages are held: what is below and was not compared by then is unlinked.
 */
#define SYNC_TABLE	64		/* what each table costs besides */

void mmu_sync_start(struct mmu_shadow *shadow, struct mmu_sync *s)
{
	s->all = mmu_without(shadow->vm, MMU_PART_BUSY);
	/* In this order: what a device writes in between is for the next one. */
	s->written = atomic64_read(&shadow->written);
	s->since = atomic64_inc_return(&shadow->syncs);
}

static bool to_compare(const struct mmu_spage *sp, enum mmu_sync_kind kind)
{
	if (sp->role.direct || sp->role.pae_root)
		return false;
	if (kind == MMU_SYNC_GLOBAL)
		return true;
	if (smp_load_acquire(&sp->traced))
		return kind == MMU_SYNC_TRACED;
	return READ_ONCE(sp->visit);
}

static u64 sync_begin(const struct mmu_shadow *shadow)
{
	u64 begun = atomic64_read(&shadow->syncs);

	smp_rmb();	/* before the guest's entries */
	return begun;
}

/*
 * All of sp, and below, was compared that was there at the time when. With tables below it that is when this go
 * began, not sp's turn: those that others had compared since then were passed over. Another vCPU may have been faster.
 */
static void sync_end(struct mmu_spage *sp, struct mmu_sync *s, u64 when)
{
	unsigned int i;

	for (i = 0; i <= s->kind; i++)
		if (READ_ONCE(sp->synced[i]) < when)
			WRITE_ONCE(sp->synced[i], when);
	s->progress = true;
}

static bool is_synced(const struct mmu_spage *sp, const struct mmu_sync *s)
{
	return READ_ONCE(sp->synced[s->kind]) >= s->since;
}

static bool pause_here(struct mmu_vm *vm, const struct mmu_sync *s)
{
	if (s->cut || !s->progress)
		return false;
	return s->left <= 0 ||
	       (s->left <= (MMU_SYNC_MUCH - 1) * (long)vm->sync_some && mmu_should_yield(vm));
}

/* A leaf table below another one. False: it is torn. */
static bool sync_leaf(struct mmu_vcpu *vcpu, struct mmu_spage *sp, struct mmu_sync *s)
{
	u64 begun = sync_begin(vcpu->vm->shadow);
	bool done = true;

	mmu_spage_lock(sp);
	if (to_compare(sp, s->kind))
		done = visit(vcpu, sp, s->kind || s->all || sp->role.kernel);
	s->left -= SYNC_TABLE + sp->nr_present;
	mmu_spage_unlock(sp);
	if (done)
		sync_end(sp, s, begun);
	return done;
}

/*
 * A process unmaps by the table, and frees that soon. So ours goes out of its place in one step; should
 * the guest go on with it, the next fault there compares all of it. What it maps goes with it, or then.
 */
static void unlink_torn(struct mmu_vcpu *vcpu, u64 *slot, const struct mmu_spage *child)
{
	struct mmu_spage *sp = mmu_spage_of(slot);
	unsigned int i = mmu_slot_index(slot);

	mmu_spage_lock(sp);
	if (mmu_child_of(sp, i) == child) {
		mmu_entry_remove(vcpu->vm, sp, i);
		vcpu->stat.torn++;
	}
	mmu_spage_unlock(sp);
}

/* Any part may go at any moment: what is needed is linked again, compared by itself. */
static void cut_below(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i)
{
	mmu_spage_lock(sp);
	if (mmu_child_of(sp, i))
		mmu_entry_remove(vcpu->vm, sp, i);
	mmu_spage_unlock(sp);
}

/* One more table that is visited. slot: our entry that points to it. */
static void note(struct mmu_plan *plan, struct mmu_spage *sp, u64 *slot)
{
	if (plan->nr < MMU_PLAN_MAX) {
		plan->at[plan->nr].sp = sp;
		plan->at[plan->nr].slot = slot;
	}
	plan->nr++;
}

/*
 * Nothing below entries[i] wants a visit, unless that has changed meanwhile. child: what was there, or NULL. Who links
 * another one holds sp->lock from setting the bit on.
 */
static void not_busy(struct mmu_shadow *shadow, struct mmu_spage *sp, unsigned int i,
		     const struct mmu_spage *child)
{
	mmu_spage_lock(sp);
	if (mmu_child_of(sp, i) == child) {
		spin_lock(&shadow->list_lock);
		if (!child || !mmu_spage_needs_visit(child))
			clear_bit(i, sp->busy);
		spin_unlock(&shadow->list_lock);
	}
	mmu_spage_unlock(sp);
}

static bool sync_tree(struct mmu_vcpu *vcpu, struct mmu_spage *sp, struct mmu_sync *s);

/* False: not finished. *torn: the child was. */
static bool sync_child(struct mmu_vcpu *vcpu, struct mmu_spage *child, u64 *slot, struct mmu_sync *s,
		       bool *torn)
{
	if (s->plan && to_compare(child, s->kind))
		note(s->plan, child, slot);
	if (is_synced(child, s)) {
		/* What is below it, the plan lacks. */
		if (s->plan && child->role.level > 1)
			s->plan->nr = MMU_PLAN_MAX + 1;
		return true;
	}
	if (pause_here(vcpu->vm, s))
		return false;
	if (child->role.level > 1)
		return sync_tree(vcpu, child, s);
	*torn = !sync_leaf(vcpu, child, s);
	if (*torn)
		unlink_torn(vcpu, slot, child);
	return true;
}

/* False: not finished. */
static bool sync_below(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i, struct mmu_sync *s)
{
	struct mmu_shadow *shadow = vcpu->vm->shadow;
	struct mmu_spage *child = mmu_child_of(sp, i);
	bool torn = false;

	if (!child) {
		not_busy(shadow, sp, i, NULL);
		return true;
	}
	if (!sync_child(vcpu, child, &sp->entries[i], s, &torn))
		return false;
	if (!torn && !mmu_spage_needs_visit(child))
		not_busy(shadow, sp, i, child);
	return true;
}

/*
 * Compare sp, and the tables below, with the guest's. sp->lock not held; the parents' may be.
 * False: not finished. Tables that are through are not done again.
 */
static bool sync_tree(struct mmu_vcpu *vcpu, struct mmu_spage *sp, struct mmu_sync *s)
{
	const unsigned long *from = s->kind || s->all ? sp->present : sp->busy;
	unsigned long below[BITS_TO_LONGS(MMU_ENTRIES)];
	unsigned int i;

	mmu_spage_lock(sp);
	if (to_compare(sp, s->kind))
		visit(vcpu, sp, true);
	if (sp->role.level > 1)
		for (i = 0; i < ARRAY_SIZE(below); i++)
			below[i] = READ_ONCE(from[i]);
	s->left -= SYNC_TABLE + sp->nr_present;
	mmu_spage_unlock(sp);
	for (i = 0; i < MMU_ENTRIES && sp->role.level > 1; i += BITS_PER_LONG) {
		unsigned long left = below[i / BITS_PER_LONG];

		for (; left; left &= left - 1) {
			if (s->cut && s->left <= 0)
				cut_below(vcpu, sp, i + __ffs(left));
			else if (!sync_below(vcpu, sp, i + __ffs(left), s))
				return false;
		}
	}
	sync_end(sp, s, s->since);
	return true;
}

/* ------------------------------------------------------------ by the plan -- */

/* The vCPU's plan for a root, maybe of another shape, or one to be made. */
static struct mmu_plan *plan_for(struct mmu_vcpu *vcpu, const struct mmu_spage *root)
{
	struct mmu_plan *plan;
	unsigned int i;

	for (i = 0; i < MMU_PLANS; i++)
		if (vcpu->plan[i].root == root)
			return &vcpu->plan[i];
	plan = &vcpu->plan[vcpu->next_plan++ % MMU_PLANS];
	plan->root = root;
	plan->shape = 0;
	return plan;
}

static bool make_plan(struct mmu_vcpu *vcpu, struct mmu_spage *root, struct mmu_plan *plan, u64 shape,
		      struct mmu_sync *s)
{
	bool done;

	plan->nr = 0;
	if (to_compare(root, s->kind))
		note(plan, root, NULL);
	s->plan = plan;
	done = sync_tree(vcpu, root, s);
	s->plan = NULL;
	plan->shape = done && plan->nr <= MMU_PLAN_MAX ? shape : 0;
	return done;
}

/* Tables that are in it, but want no visit any more or are linked no longer, do no harm. */
static void follow_plan(struct mmu_vcpu *vcpu, const struct mmu_plan *plan, struct mmu_sync *s)
{
	unsigned int i;

	for (i = 0; i < plan->nr; i++) {
		struct mmu_spage *sp = plan->at[i].sp;

		if (sp->role.level == 1) {
			if (!sync_leaf(vcpu, sp, s))
				unlink_torn(vcpu, plan->at[i].slot, sp);
			continue;
		}
		mmu_spage_lock(sp);
		if (to_compare(sp, s->kind))
			visit(vcpu, sp, true);
		mmu_spage_unlock(sp);
	}
}

/* If a device may have written tables since sp was compared last, those at rest are compared as well. */
static void since_written(const struct mmu_spage *sp, struct mmu_sync *s)
{
	if (s->kind == MMU_SYNC_VISIT && READ_ONCE(sp->written) != s->written)
		s->kind = MMU_SYNC_TRACED;
}

bool mmu_sync_root(struct mmu_vcpu *vcpu, struct mmu_spage *root, struct mmu_sync *s)
{
	u64 shape = atomic64_read(&vcpu->vm->shadow_shape);
	struct mmu_plan *plan;
	bool done = true;

	smp_rmb();	/* shape before busy bits and what is compared */
	since_written(root, s);
	if (is_synced(root, s))
		goto out;
	if (s->kind != MMU_SYNC_VISIT || s->all || root->role.pae_root ||
	    mmu_without(vcpu->vm, MMU_PART_PLAN)) {
		done = sync_tree(vcpu, root, s);
		goto out;
	}
	plan = plan_for(vcpu, root);
	if (plan->shape == shape)
		follow_plan(vcpu, plan, s);
	else
		done = make_plan(vcpu, root, plan, shape, s);
out:
	if (done)
		WRITE_ONCE(root->written, s->written);
	return done;
}

bool mmu_sync_upper(struct mmu_vcpu *vcpu, struct mmu_spage *root, struct mmu_sync *s)
{
	struct mmu_shadow *shadow = vcpu->vm->shadow;
	unsigned int w;

	for (w = 0; w < ARRAY_SIZE(shadow->upper.known); w++) {
		unsigned long left = READ_ONCE(shadow->upper.known[w]);

		for (; left; left &= left - 1) {
			unsigned int i = MMU_ENTRIES / 2 + w * BITS_PER_LONG + __ffs(left);
			struct mmu_spage *sp = mmu_upper_table(shadow, root, i);

			if (sp && !is_synced(sp, s) && !sync_tree(vcpu, sp, s))
				return false;
		}
	}
	return true;
}

/*
 * Is sp linked already, and so as every address space has its kernel, at the same place of another root? Then it is
 * as that one's last flush left it. At any other place nothing of it may have been seen before, not even what is global.
 */
static bool is_linked(struct mmu_shadow *shadow, const struct mmu_spage *sp, const struct mmu_spage *parent,
		      unsigned int i)
{
	const u64 *slot;
	bool linked;

	spin_lock(&shadow->list_lock);
	slot = mmu_rmap_any(&sp->parents);
	linked = slot && (!sp->role.kernel || (mmu_slot_index(slot) == i && !list_empty(&parent->root_link)));
	spin_unlock(&shadow->list_lock);
	return linked;
}

void mmu_sync_found(struct mmu_vcpu *vcpu, struct mmu_spage *sp, const struct mmu_spage *parent,
		    unsigned int i)
{
	struct mmu_shadow *shadow = vcpu->vm->shadow;
	struct mmu_sync s = { .left = vcpu->vm->sync_some, .cut = true };

	s.kind = mmu_globals_rest(vcpu) && is_linked(shadow, sp, parent, i) ? MMU_SYNC_VISIT : MMU_SYNC_GLOBAL;
	mmu_sync_start(shadow, &s);
	since_written(sp, &s);
	if (!is_synced(sp, &s))
		sync_tree(vcpu, sp, &s);	/* all of it, or it is cut */
	WRITE_ONCE(sp->written, s.written);
}

