// SPDX-License-Identifier: GPL-2.0
/*
 * What a flush by the guest asks for: entries made from what its tables no longer say
 * are corrected. And roots, since a flush is mostly a load of CR3.
 *
 *   CR3 load    the tables below the new root that want a visit (shadow_visit.c)
 *   INVLPG      the entries on the path of one address
 *   everything  all tables
 */
#include "mmu/mode.h"
#include "mmu/shadow.h"

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

/* The table below entries[i] on the path of an INVLPG, or NULL. */
static struct mmu_spage *invlpg_below(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i)
{
	struct mmu_spage *child = mmu_child_of(sp, i);

	return child || sp != vcpu->root ? child : mmu_upper_table(vcpu->vm->shadow, sp, i);
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
	struct mmu_spage *sp, *below;

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
		/* Under the lock: who unlinks it has said so (parts_gone) when the lock is free again. */
		below = sp->role.level > 1 ? invlpg_below(vcpu, sp, i) : NULL;
		mmu_spage_unlock(sp);
		sp = below;
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
		sp->loaded = true;
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
	child = mmu_spage_get(vcpu, gfn, role, &found);
	if (!child)
		return false;
	if (found)
		mmu_sync_found(vcpu, child, sp, i);
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
	return mmu_spage_get(vcpu, gfn, role, found);
}

enum load { LOADED, NEED_CACHE, PAUSED };

/* vm->lock held. what: MMU_LOAD_*. PAUSED: let others go first, and call again with the same s. */
static enum load load_root(struct mmu_vcpu *vcpu, unsigned int what, struct mmu_sync *s)
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
	if (what & MMU_LOAD_ALL || !mmu_globals_rest(vcpu))
		s->kind = MMU_SYNC_GLOBAL;
	if (found && !mmu_sync_root(vcpu, sp, s))
		return PAUSED;
	if (s->kind == MMU_SYNC_GLOBAL && vcpu->levels > 3 && !mmu_sync_upper(vcpu, sp, s)) {
		mmu_spage_orphaned(shadow, sp);		/* it may be new, and nobody's yet */
		return PAUSED;
	}
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
	if (!(p->cr0 & X86_CR0_PG)) {
		role.wp = 1;
		role.smep = role.guarded = 0;
		return role.word;
	}
	role.lma = !!(p->efer & EFER_LMA);
	role.la57 = role.lma && (p->cr4 & X86_CR4_LA57);
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

/*
 * A vCPU makes global entries only if it has found, or said, that there may be some before it read what of the guest it
 * makes them from: another one that has CR4.PGE off, and flushes, looks at it after it wrote that.
 */
static void note_globals(struct mmu_vcpu *vcpu, const struct mmu_paging *p)
{
	struct mmu_shadow *shadow = vcpu->vm->shadow;

	if (unlikely((p->cr4 & X86_CR4_PGE) && !READ_ONCE(shadow->globals)))
		WRITE_ONCE(shadow->globals, true);
	if (likely(vcpu->globals == READ_ONCE(shadow->globals)))
		return;
	vcpu->globals = READ_ONCE(shadow->globals);
	smp_mb();
}

static void set_paging(struct mmu_vcpu *vcpu, const struct mmu_paging *p)
{
	struct mmu_walk_env env;
	bool same = vcpu->root && !((p->cr0 ^ vcpu->paging.cr0) | (p->cr4 ^ vcpu->paging.cr4) |
				    (p->efer ^ vcpu->paging.efer)) &&
		    p->maxphyaddr == vcpu->paging.maxphyaddr && p->pages_1g == vcpu->paging.pages_1g &&
		    p->amd == vcpu->paging.amd;

	vcpu->paging = *p;
	note_globals(vcpu, p);
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
	mmu_shadow_disown_all(vm);
	mmu_finish(vm);
	write_unlock(&vm->lock);
}

void mmu_shadow_chores(struct mmu_vcpu *vcpu)
{
	struct mmu_vm *vm = vcpu->vm;
	struct mmu_shadow *shadow = vm->shadow;
	long work = SHADOW_HOLD;

	if (likely(READ_ONCE(shadow->nr_orphans) < SHADOW_ORPHANS_MAX &&
		   READ_ONCE(shadow->nr_roots) <= READ_ONCE(shadow->roots_max) &&
		   READ_ONCE(shadow->nr_resting) < SHADOW_RESTING_MAX &&
		   !READ_ONCE(shadow->crowded) && !READ_ONCE(shadow->crowded_leaf) &&
		   !mmu_upper_due(&shadow->upper)))
		return;
	write_lock(&vm->lock);
	if (mmu_upper_due(&shadow->upper)) {
		/* What it unlinks is mostly linked again soon: so it is not dropped in the same go. */
		mmu_upper_chores(vm);
		mmu_finish(vm);
		write_unlock(&vm->lock);
		return;
	}
	if (shadow->crowded_leaf)
		mmu_shadow_thin(vm);
	WRITE_ONCE(shadow->crowded, false);
	mmu_shadow_trim_roots(vm, &work);
	mmu_shadow_drop_orphans(vm, &work);
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

/* Make p's root the vCPU's, brought up to date. */
static enum mmu_verdict load_paging(struct mmu_vcpu *vcpu, const struct mmu_paging *p,
				    unsigned int what, unsigned int flags)
{
	struct mmu_vm *vm = vcpu->vm;
	struct mmu_sync s = { .kind = MMU_SYNC_VISIT };
	enum load result = NEED_CACHE;
	unsigned int tries = 0;

	mmu_sync_start(vm->shadow, &s);
	while (result != LOADED && tries < LOAD_TRIES) {
		if (!mmu_cache_enough(vcpu)) {
			if (flags & MMU_ATOMIC)
				return MMU_SLEEP;
			if (mmu_vcpu_topup(vcpu))
				return out_of_memory(vcpu);
		}
		agree(vcpu, p);
		s.left = MMU_SYNC_MUCH * (long)vm->sync_some;
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

/* The vCPU's first load since the mode was changed to shadow. */
static void join(struct mmu_vcpu *vcpu, struct mmu_shadow *shadow)
{
	vcpu->root = NULL;
	if (vcpu->pae_root)
		forget_life(vcpu->pae_root);
	vcpu->shadow_generation = shadow->generation;
	spin_lock(&shadow->list_lock);
	WRITE_ONCE(shadow->roots_max, shadow->roots_max + 1);
	spin_unlock(&shadow->list_lock);
}

enum mmu_verdict mmu_load(struct mmu_vcpu *vcpu, const struct mmu_paging *p, unsigned int what,
			  unsigned int flags)
{
	struct mmu_vm *vm = vcpu->vm;
	enum mmu_verdict verdict;

	if (!vm->shadow)
		return load_nested(vcpu, p);
	vcpu->stat.loads++;
	if (vcpu->shadow_generation != vm->shadow->generation)
		join(vcpu, vm->shadow);
	set_paging(vcpu, p);
	verdict = load_paging(vcpu, p, what, flags);
	if (verdict != MMU_RESUME)
		return verdict;
	parts_gone(vcpu);
	mmu_upper_loaded(vm->shadow);
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
