// SPDX-License-Identifier: GPL-2.0
/*
 * What a flush by the guest asks for: entries made from what its tables no longer say
 * are corrected. And roots, since a flush is mostly a load of CR3.
 *
 *   CR3 load    the tables below the new root that want a visit:  present entries compared
 *                 with the guest's table as it is now
 *               not: tables at rest, which are write-protected; kernel tables that map
 *               global pages only, which a CR3 load leaves alone
 *   INVLPG      the entries on the path of one address
 *   everything  all tables
 *
 *   root ─ busy ─► table ─ busy ─► table      a bit for each table below that has one to visit
 *                                             below it; set at once, cleared by the visit
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
	if (!all && hweight64(gone) >= SHADOW_TORN)
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

/* The table below entries[i], or NULL. It cannot go while vm->lock is held. */
static struct mmu_spage *child_of(struct mmu_spage *sp, unsigned int i)
{
	u64 entry = smp_load_acquire(&sp->entries[i]);	/* as in leaf_table() */

	return (entry & PT_PRESENT) && !mmu_sp_leaf(sp, entry) ? mmu_spage_at(entry) : NULL;
}

/*
 * Work of comparing is counted in entries. A guest can make trees of tables that are large, and
 * reach a table on hundreds of millions of ways, each of its levels pointing to the next with
 * all 512 entries: so no table is looked at twice in one go, and after vm->sync_some others who
 * wait go first, after SYNC_MUCH times that in any case. Where a table is linked, locks of
 * spages are held: what is below and was not compared by then is unlinked.
 */
#define SYNC_TABLE	64		/* what each table costs besides */
#define SYNC_MUCH	16

struct sync {
	enum mmu_sync_kind kind;
	u64 since;		/* what was compared by anybody since then will do */
	u64 written;		/* by devices, when it began */
	bool all;		/* look at all tables for some to visit, whatever the busy bits say */
	long left;
	bool progress;		/* some table is through: those above it are begun again after a pause */
	bool cut;		/* when nothing is left: unlink the rest, rather than stop */
};

static void sync_start(struct mmu_shadow *shadow, struct sync *s)
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
	if (READ_ONCE(sp->traced))
		return kind == MMU_SYNC_TRACED;
	return READ_ONCE(sp->visit);
}

static u64 sync_begin(const struct mmu_shadow *shadow)
{
	u64 begun = atomic64_read(&shadow->syncs);

	smp_rmb();	/* before the guest's entries */
	return begun;
}

/* All of sp, and below, was compared that was there at the time begun. Another vCPU may have been faster. */
static void sync_end(struct mmu_spage *sp, struct sync *s, u64 begun)
{
	unsigned int i;

	for (i = 0; i <= s->kind; i++)
		if (READ_ONCE(sp->synced[i]) < begun)
			WRITE_ONCE(sp->synced[i], begun);
	s->progress = true;
}

static bool is_synced(const struct mmu_spage *sp, const struct sync *s)
{
	return READ_ONCE(sp->synced[s->kind]) >= s->since;
}

static bool pause_here(struct mmu_vm *vm, const struct sync *s)
{
	if (s->cut || !s->progress)
		return false;
	return s->left <= 0 ||
	       (s->left <= (SYNC_MUCH - 1) * (long)vm->sync_some && mmu_should_yield(vm));
}

/* A leaf table below another one. False: it is torn. */
static bool sync_leaf(struct mmu_vcpu *vcpu, struct mmu_spage *sp, struct sync *s)
{
	u64 begun = sync_begin(vcpu->vm->shadow);
	bool done = true;

	mmu_spage_lock(sp);
	if (to_compare(sp, s->kind))
		done = visit(vcpu, sp, s->kind || s->all || sp->kernel);
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
static void unlink_torn(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i,
			const struct mmu_spage *child)
{
	mmu_spage_lock(sp);
	if (child_of(sp, i) == child) {
		mmu_entry_remove(vcpu->vm, sp, i);
		vcpu->stat.torn++;
	}
	mmu_spage_unlock(sp);
}

/* Any part may go at any moment: what is needed is linked again, compared by itself. */
static void cut_below(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i)
{
	mmu_spage_lock(sp);
	if (child_of(sp, i))
		mmu_entry_remove(vcpu->vm, sp, i);
	mmu_spage_unlock(sp);
}

static bool sync_tree(struct mmu_vcpu *vcpu, struct mmu_spage *sp, struct sync *s);

/* False: not finished. */
static bool sync_below(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i, struct sync *s)
{
	struct mmu_shadow *shadow = vcpu->vm->shadow;
	struct mmu_spage *child = child_of(sp, i);

	if (child && !is_synced(child, s)) {
		if (pause_here(vcpu->vm, s))
			return false;
		if (child->role.level > 1) {
			if (!sync_tree(vcpu, child, s))
				return false;
		} else if (!sync_leaf(vcpu, child, s)) {
			unlink_torn(vcpu, sp, i, child);
			return true;
		}
	}
	if (child && mmu_spage_needs_visit(child))
		return true;
	/* Again, now that nobody can want a visit without setting the bit. */
	spin_lock(&shadow->list_lock);
	if (!child || !mmu_spage_needs_visit(child))
		clear_bit(i, sp->busy);
	spin_unlock(&shadow->list_lock);
	return true;
}

/*
 * Compare sp, and the tables below, with the guest's. sp->lock not held; the parents' may be.
 * False: not finished. Tables that are through are not done again.
 */
static bool sync_tree(struct mmu_vcpu *vcpu, struct mmu_spage *sp, struct sync *s)
{
	const unsigned long *from = s->kind || s->all ? sp->present : sp->busy;
	unsigned long below[BITS_TO_LONGS(MMU_ENTRIES)];
	u64 begun = sync_begin(vcpu->vm->shadow);
	unsigned int i;

	/*
	 * Whoever links a table here, compared before, does both under the lock: either it is seen
	 * here, or it was compared after what the guest wrote before this flush.
	 */
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
	sync_end(sp, s, begun);
	return true;
}

/*
 * The same from a root, or from a table that is about to be linked. If a device may have written
 * tables since this was done last, those at rest are compared as well.
 */
static bool sync_from(struct mmu_vcpu *vcpu, struct mmu_spage *sp, struct sync *s)
{
	if (s->kind == MMU_SYNC_VISIT && READ_ONCE(sp->written) != s->written)
		s->kind = MMU_SYNC_TRACED;
	if (!is_synced(sp, s) && !sync_tree(vcpu, sp, s))
		return false;
	WRITE_ONCE(sp->written, s->written);
	return true;
}

void mmu_sync_found(struct mmu_vcpu *vcpu, struct mmu_spage *sp, bool kernel)
{
	struct mmu_shadow *shadow = vcpu->vm->shadow;
	struct sync s = { .left = vcpu->vm->sync_some, .cut = true };

	/*
	 * A kernel's table also in the lower half: then global pages may be reached on two
	 * ways, and are no longer left alone.
	 */
	if (sp->kernel && !kernel)
		WRITE_ONCE(shadow->kernel_below, true);
	/* Linked elsewhere, it is as that root's last flush left it; else nobody has looked after it. */
	s.kind = !mmu_rmap_empty(&sp->parents) && mmu_globals_rest(shadow) ? MMU_SYNC_VISIT
									   : MMU_SYNC_GLOBAL;
	sync_start(shadow, &s);
	sync_from(vcpu, sp, &s);
}

/* entries[i] is on the path of an INVLPG. */
static void invlpg_entry(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i)
{
	u64 gpte;

	if (sp->role.pae_root)	/* loaded with CR3 only */
		return;
	if (!sp->guest && mmu_spage_resolve(vcpu->vm, sp)) {
		mmu_spage_empty(vcpu->vm, sp);
		return;
	}
	gpte = mmu_guest_entry(sp, i);
	if (!test_bit(i, sp->present)) {
		if (sp->role.level == 1 && mmu_gpte_ready(vcpu, sp, gpte) &&
		    !mmu_without(vcpu->vm, MMU_PART_AHEAD))
			mmu_entry_ahead(vcpu, sp, i, gpte);
	} else if (gpte != sp->snap[i]) {
		mmu_entry_update(vcpu, sp, i, gpte);
	}
}

/* Has a part of a larger page gone since the vCPU's TLB was last emptied? It is emptied now. */
static bool parts_gone(struct mmu_vcpu *vcpu)
{
	u64 seen = vcpu->parts_seen;

	vcpu->parts_seen = atomic64_read(&vcpu->vm->shadow->parts_gone);
	return vcpu->parts_seen != seen;
}

bool mmu_invlpg(struct mmu_vcpu *vcpu, gva_t gva)
{
	struct mmu_vm *vm = vcpu->vm;
	struct mmu_spage *sp;

	vcpu->stat.invlpg++;
	if (!vm->shadow || !vcpu->root)
		return true;
	if (vcpu->levels == 3)
		gva = (u32)gva;
	read_lock(&vm->lock);
	for (sp = vcpu->root; sp && !sp->role.direct; ) {
		unsigned int i = mmu_index(gva >> PAGE_SHIFT, sp->role.level);

		mmu_spage_lock(sp);
		invlpg_entry(vcpu, sp, i);
		/* The other half of what may be 4 MiB to the guest. */
		if (sp->role.bytes4 && sp->role.level == 2)
			invlpg_entry(vcpu, sp, i ^ 1);
		mmu_spage_unlock(sp);
		sp = sp->role.level > 1 ? child_of(sp, i) : NULL;
	}
	read_unlock(&vm->lock);
	return parts_gone(vcpu);
}

/* ---------------------------------------------------------------- roots -- */

/* list_lock held. */
static void use_root(struct mmu_vcpu *vcpu, struct mmu_spage *sp)
{
	struct mmu_shadow *shadow = vcpu->vm->shadow;

	if (!sp->role.pae_root) {
		if (list_empty(&sp->root_link))
			WRITE_ONCE(shadow->nr_roots, shadow->nr_roots + 1);
		list_move_tail(&sp->root_link, &shadow->roots);
	}
	if (vcpu->root == sp)
		return;
	if (vcpu->root)
		vcpu->root->users--;
	sp->users++;
	vcpu->root = sp;
}

void mmu_unload_root(struct mmu_vcpu *vcpu)
{
	struct mmu_shadow *shadow = vcpu->vm->shadow;

	if (vcpu->root && shadow && vcpu->shadow_generation == shadow->generation) {
		spin_lock(&shadow->list_lock);
		vcpu->root->users--;
		spin_unlock(&shadow->list_lock);
	}
	vcpu->root = NULL;
}

/* What the four entries above PAE tables stand for. gpte 0: nothing. */
static void pae_entry(const struct mmu_vcpu *vcpu, unsigned int i, u64 *gpte, gfn_t *gfn,
		      union mmu_role *role)
{
	const struct mmu_paging *p = &vcpu->paging;

	role->word = vcpu->role;
	role->level = 2;
	role->access = ACC_ALL;
	if (!(p->cr0 & X86_CR0_PG)) {
		role->direct = 1;
		*gfn = (gfn_t)i << 18;
		*gpte = (u64)i << 30 | PT_PRESENT;
	} else if (role->bytes4) {
		role->quadrant = i;
		*gfn = (p->cr3 & GENMASK_ULL(31, 12)) >> PAGE_SHIFT;
		*gpte = *gfn << PAGE_SHIFT | PT_PRESENT;
	} else {
		*gpte = p->pdptrs[i] & PT_PRESENT ? p->pdptrs[i] : 0;
		*gfn = (*gpte & PT_ADDR) >> PAGE_SHIFT;
	}
}

/* False: the vCPU's cache is used up. */
static bool load_pae_entry(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i)
{
	union mmu_role role;
	struct mmu_spage *child;
	bool found;
	gfn_t gfn;
	u64 gpte;

	pae_entry(vcpu, i, &gpte, &gfn, &role);
	if (test_bit(i, sp->present)) {
		child = mmu_spage_at(mmu_sp_entry(sp, i));
		if (gpte && child->gfn == gfn && child->role.word == role.word)
			return true;
		mmu_entry_remove(vcpu->vm, sp, i);
	}
	if (!gpte)
		return true;
	if (!vcpu->cache.nr_nodes)
		return false;
	child = mmu_spage_get(vcpu, gfn, role, false, &found);
	if (!child)
		return false;
	if (found)
		mmu_sync_found(vcpu, child, false);
	mmu_entry_link(vcpu, sp, i, gpte, child);
	return true;
}

bool mmu_load_pae(struct mmu_vcpu *vcpu)
{
	struct mmu_spage *sp = vcpu->pae_root;
	bool ok = true;
	unsigned int i;

	mmu_spage_lock(sp);
	for (i = 0; i < 4 && ok; i++)
		ok = load_pae_entry(vcpu, sp, i);
	mmu_spage_unlock(sp);
	return ok;
}

static struct mmu_spage *find_root(struct mmu_vcpu *vcpu, bool *found)
{
	gfn_t gfn = (vcpu->paging.cr3 & PT_ADDR) >> PAGE_SHIFT;
	union mmu_role role = { .word = vcpu->role };

	role.level = vcpu->levels;
	role.access = ACC_ALL;
	return mmu_spage_get(vcpu, gfn, role, false, found);
}

enum load { LOADED, NEED_CACHE, PAUSED };

/* vm->lock held. what: MMU_LOAD_*. PAUSED: let others go first, and call again with the same s. */
static enum load load_root(struct mmu_vcpu *vcpu, unsigned int what, struct sync *s)
{
	struct mmu_shadow *shadow = vcpu->vm->shadow;
	struct mmu_spage *sp = vcpu->pae_root;
	bool found = true;

	if (vcpu->levels > 3)
		sp = find_root(vcpu, &found);
	else if (!mmu_load_pae(vcpu))
		return NEED_CACHE;
	if (!sp)
		return NEED_CACHE;
	if (what & MMU_LOAD_ALL || !mmu_globals_rest(shadow))
		s->kind = MMU_SYNC_GLOBAL;
	/* Where the guest has flushed nothing, everything may stay as it is. */
	if (found && !(sp == vcpu->root && what == MMU_LOAD_WRITTEN) && !sync_from(vcpu, sp, s))
		return PAUSED;
	spin_lock(&shadow->list_lock);
	use_root(vcpu, sp);
	spin_unlock(&shadow->list_lock);
	vcpu->root_hpa = virt_to_phys(sp->entries);
	return LOADED;
}

/* The bits of the role that all tables of a vCPU have in common. */
static u64 common_role(const struct mmu_paging *p)
{
	union mmu_role role = { .word = 0 };

	role.wp = !!(p->cr0 & X86_CR0_WP);
	role.smep = !role.wp && (p->cr4 & X86_CR4_SMEP);
	/* They do not see a user's page that is the supervisor's alone for a write without WP. */
	role.guarded = !role.wp && (p->cr4 & (X86_CR4_SMAP | X86_CR4_PKE));
	role.pge = !!(p->cr4 & X86_CR4_PGE);
	if (!(p->cr0 & X86_CR0_PG)) {
		role.wp = 1;
		role.smep = role.guarded = role.pge = 0;
		return role.word;
	}
	role.lma = !!(p->efer & EFER_LMA);
	role.maxphyaddr = p->maxphyaddr;
	role.pages_1g = p->pages_1g;
	role.amd = p->amd;
	role.bytes4 = !(p->cr4 & X86_CR4_PAE);
	role.nx = !role.bytes4 && (p->efer & EFER_NX);
	role.pse = role.bytes4 && (p->cr4 & X86_CR4_PSE);
	return role.word;
}

static u8 table_levels(const struct mmu_paging *p)
{
	if (!(p->cr0 & X86_CR0_PG) || !(p->efer & EFER_LMA))
		return 3;
	return p->cr4 & X86_CR4_LA57 ? 5 : 4;
}

void mmu_walk_env_of(const struct mmu_vcpu *vcpu, struct mmu_walk_env *env)
{
	const struct mmu_paging *p = &vcpu->paging;

	*env = (struct mmu_walk_env) {
		.vcpu = (struct mmu_vcpu *)vcpu,
		.cr0 = p->cr0, .cr3 = p->cr3, .cr4 = p->cr4, .efer = p->efer,
		.maxphyaddr = p->maxphyaddr, .pages_1g = p->pages_1g, .amd = p->amd,
		.pdptrs = p->pdptrs,
	};
}

static void set_paging(struct mmu_vcpu *vcpu, const struct mmu_paging *p)
{
	struct mmu_walk_env env;
	bool same = vcpu->root && !((p->cr0 ^ vcpu->paging.cr0) | (p->cr4 ^ vcpu->paging.cr4) |
				    (p->efer ^ vcpu->paging.efer)) &&
		    p->maxphyaddr == vcpu->paging.maxphyaddr && p->pages_1g == vcpu->paging.pages_1g &&
		    p->amd == vcpu->paging.amd;

	vcpu->paging = *p;
	/* Mostly it is another CR3 alone. */
	if (likely(same))
		return;
	vcpu->role = common_role(p);
	vcpu->levels = table_levels(p);
	mmu_walk_env_of(vcpu, &env);
	vcpu->leaf_rsvd[0] = mmu_leaf_reserved(&env, 1);
	vcpu->leaf_rsvd[1] = mmu_leaf_reserved(&env, 2);
}

/* Memory types: the guest's index means pat's type; ours is the processor's index for it. */
static void map_types(struct mmu_shadow *shadow, u64 guest, u64 host)
{
	unsigned int i, j;

	for (i = 0; i < 8; i++) {
		u8 type = guest >> (8 * i);

		for (j = 0; j < 8 && (u8)(host >> (8 * j)) != type; j++)
			;
		shadow->pat_map[i] = j < 8 ? j : i;
	}
}

/* The memory types, which all vCPUs have in common, are the first's; if one differs, all starts anew. */
static void agree(struct mmu_vcpu *vcpu, const struct mmu_paging *p)
{
	struct mmu_vm *vm = vcpu->vm;
	struct mmu_shadow *shadow = vm->shadow;

	if (likely(READ_ONCE(shadow->known) && READ_ONCE(shadow->pat) == p->pat))
		return;
	write_lock(&vm->lock);
	WRITE_ONCE(shadow->known, true);
	WRITE_ONCE(shadow->pat, p->pat);
	map_types(shadow, p->pat, vm->host_pat ?: p->pat);
	mmu_shadow_drop_all(vm);
	mmu_finish(vm);
	write_unlock(&vm->lock);
}

void mmu_shadow_chores(struct mmu_vcpu *vcpu)
{
	struct mmu_vm *vm = vcpu->vm;
	struct mmu_shadow *shadow = vm->shadow;

	if (likely(READ_ONCE(shadow->nr_orphans) < SHADOW_ORPHANS_MAX &&
		   READ_ONCE(shadow->nr_roots) <= shadow->roots_max &&
		   READ_ONCE(shadow->nr_resting) < SHADOW_RESTING_MAX &&
		   !READ_ONCE(shadow->upper_due)))
		return;
	write_lock(&vm->lock);
	if (shadow->upper_due)
		mmu_shadow_compare_roots(vm);
	mmu_shadow_trim_roots(vm);
	mmu_shadow_drop_orphans(vm);
	mmu_trace_resting(vcpu);
	mmu_finish(vm);
	write_unlock(&vm->lock);
}

static enum mmu_verdict load_nested(struct mmu_vcpu *vcpu, const struct mmu_paging *p)
{
	vcpu->paging = *p;
	vcpu->root = NULL;
	vcpu->root_hpa = virt_to_phys(vcpu->vm->root->entries);
	return MMU_RESUME;
}

static enum mmu_verdict out_of_memory(struct mmu_vcpu *vcpu)
{
	vcpu->stat.errors++;
	vcpu->fault.error = -ENOMEM;
	return MMU_ERROR;
}

/* The tables of other vCPUs may use up what this one has in hand: twice is not often. */
#define LOAD_TRIES	8

/* Roots that differ may have gone out of use: look again after so many loads. */
#define UPPER_AGAIN	256

/* Make p's root the vCPU's, brought up to date. */
static enum mmu_verdict load_paging(struct mmu_vcpu *vcpu, const struct mmu_paging *p,
				    unsigned int what, unsigned int flags)
{
	struct mmu_vm *vm = vcpu->vm;
	struct sync s = { .kind = MMU_SYNC_VISIT };
	enum load result = NEED_CACHE;
	unsigned int tries = 0;

	sync_start(vm->shadow, &s);
	while (result != LOADED && tries < LOAD_TRIES) {
		if (!mmu_cache_enough(vcpu)) {
			if (flags & MMU_ATOMIC)
				return MMU_SLEEP;
			if (mmu_vcpu_topup(vcpu))
				return out_of_memory(vcpu);
		}
		agree(vcpu, p);
		s.left = SYNC_MUCH * (long)vm->sync_some;
		s.progress = false;
		read_lock(&vm->lock);
		result = load_root(vcpu, what, &s);
		read_unlock(&vm->lock);
		tries += result == NEED_CACHE;
		if (result == PAUSED && (flags & MMU_ATOMIC))
			return MMU_SLEEP;
		if (result == PAUSED)
			cond_resched();
	}
	return WARN_ON_ONCE(result != LOADED) ? out_of_memory(vcpu) : MMU_RESUME;
}

/* A vCPU's own root outlives shadow mode; what it knows of the last time does not hold. */
static void forget_life(struct mmu_spage *sp)
{
	sp->users = 0;
	sp->written = 0;
	memset(sp->synced, 0, sizeof(sp->synced));
}

enum mmu_verdict mmu_load(struct mmu_vcpu *vcpu, const struct mmu_paging *p, unsigned int what,
			  unsigned int flags)
{
	struct mmu_vm *vm = vcpu->vm;
	enum mmu_verdict verdict;

	if (!vm->shadow)
		return load_nested(vcpu, p);
	vcpu->stat.loads++;
	if (vcpu->shadow_generation != vm->shadow->generation) {
		vcpu->root = NULL;
		if (vcpu->pae_root)
			forget_life(vcpu->pae_root);
		vcpu->shadow_generation = vm->shadow->generation;
	}
	if (what & MMU_LOAD_WRITTEN)
		mmu_devices_ran(vm);
	set_paging(vcpu, p);
	verdict = load_paging(vcpu, p, what, flags);
	if (verdict != MMU_RESUME)
		return verdict;
	parts_gone(vcpu);
	if (unlikely(READ_ONCE(vm->shadow->upper_differs) && !(vcpu->stat.loads % UPPER_AGAIN)))
		WRITE_ONCE(vm->shadow->upper_due, true);
	mmu_shadow_chores(vcpu);
	return MMU_RESUME;
}

void mmu_devices_ran(struct mmu_vm *vm)
{
	if (vm->shadow)
		atomic64_inc(&vm->shadow->written);
}

unsigned int mmu_shadow_levels(const struct mmu_vcpu *vcpu)
{
	return vcpu->levels;
}
