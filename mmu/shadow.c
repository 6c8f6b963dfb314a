// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow mode: the fault, and the life of a VM's shadow side. See shadow.h for the picture.
 *
 *   #PF at gva ─► mmu_walk(): the guest's tables      ─► not allowed: reflect (a true fault)
 *                    │ allowed, A and D are set; entries of all levels   (no lock)
 *                    ▼
 *                 lock for reading
 *                    │ P2M has the page, and each table on the way?    no: nested mode's fault, again
 *                    │ from the root down, under each spage's lock:
 *                    │   the guest's entry is still the one walked?     no: the guest faults again
 *                    │   link the table below, or map the page; neighbours along with it
 *                 unlock ─► resume (a hidden fault)
 */
#include "mmu/mode.h"
#include "mmu/shadow.h"

enum step {
	DONE,
	CHANGED,	/* by another vCPU meanwhile: let the guest fault again */
	NEED_P2M,	/* of need_gfn */
	NEED_CACHE,
	NEED_REGION,	/* of need_gfn, need_level */
	UNREACHABLE,	/* the guest has a table where we cannot read it */
};

/* One fault on its way. */
struct fault {
	struct mmu_walk walk;
	gva_t gva;
	gfn_t gfn;
	bool write, user;
	bool super_write;	/* allowed only because CR0.WP is off */
	u64 p2m;		/* P2M's leaf for gfn */
	int p2m_level;
	gfn_t need_gfn;
	int need_level;
};

/* Is the guest's own leaf of this level or above it? (Paging off: above all.) */
static bool guest_leaf_here(const struct fault *f, int level)
{
	return f->walk.level == 0 || level <= f->walk.level;
}

/* Is it a leaf of ours, too? */
static bool map_here(const struct mmu_vm *vm, const struct fault *f, const struct mmu_spage *sp)
{
	int level = sp->role.level;

	if (level == 1)
		return true;
	return guest_leaf_here(f, level) && level <= f->p2m_level && level <= vm->max_leaf &&
	       !sp->role.pae_root && mmu_may_map_large((struct mmu_vm *)vm, f->gfn, level);
}

/* For a page of a direct spage there is no guest's entry: this one says the same. */
static u64 direct_gpte(const struct mmu_spage *sp, unsigned int i)
{
	return (sp->gfn + i * mmu_level_pages(sp->role.level)) << PAGE_SHIFT |
	       PT_PRESENT | PT_WRITE | PT_USER | PT_ACCESSED | PT_DIRTY |
	       (sp->role.level > 1 ? PT_LARGE : 0);
}

/* The guest's entry for this step as the walk found it, in 8-byte form. */
static u64 walked_gpte(const struct fault *f, const struct mmu_spage *sp, unsigned int i)
{
	if (sp->role.direct)
		return direct_gpte(sp, i);
	return mmu_gpte_form(sp, i, f->walk.entry[sp->role.level - 1]);
}

/* What the leaf may grant for this access. */
static unsigned int leaf_grant(const struct mmu_vm *vm, const struct fault *f,
			       const struct mmu_spage *sp, u64 gpte)
{
	unsigned int grant = mmu_entry_access(sp, gpte);

	if (f->super_write) {
		/* For the supervisor alone, and not to run under SMEP what was a user's page. */
		if ((grant & ACC_USER) && sp->role.smep)
			grant &= ~ACC_EXEC;
		grant = (grant & ~ACC_USER) | ACC_WRITE;
	} else if (!f->write && !(gpte & PT_DIRTY)) {
		grant &= ~ACC_WRITE;
	}
	return f->p2m & vm->fmt->write ? grant : grant & ~ACC_WRITE;
}

/* Entries that nobody would map ahead, told by a look: most of them, where windows are large. */
static bool out_of_use(const u64 *guest, unsigned int j)
{
	return guest && (READ_ONCE(guest[j]) & (PT_PRESENT | PT_ACCESSED)) != (PT_PRESENT | PT_ACCESSED);
}

void mmu_map_neighbours(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i)
{
	unsigned int size = 1u << sp->window, j, end, found = 0;
	const u64 *guest = sp->role.direct || sp->role.bytes4 ? NULL : sp->guest;

	if (mmu_without(vcpu->vm, MMU_PART_NEIGHBOURS))
		return;
	for (j = i & ~(size - 1), end = j + size; j < end && vcpu->cache.nr_nodes > 1; j++) {
		u64 gpte;

		if (out_of_use(guest, j) || test_bit(j, sp->present))
			continue;
		gpte = sp->role.direct ? direct_gpte(sp, j) : mmu_guest_entry(sp, j);
		if (sp->role.direct || mmu_gpte_ready(vcpu, sp, gpte))
			found += mmu_entry_ahead(vcpu, sp, j, gpte);
	}
	/* As far as it pays. */
	if (2 * found >= size)
		sp->window = min(sp->window + 1, SHADOW_WINDOW_MAX);
	else if (8 * found < size)
		sp->window = max(sp->window - 1, SHADOW_WINDOW_MIN);
}

static enum step map_leaf(struct mmu_vcpu *vcpu, struct fault *f, struct mmu_spage *sp,
			  unsigned int i, u64 gpte)
{
	unsigned int grant = leaf_grant(vcpu->vm, f, sp, gpte);

	if (!mmu_region_find(vcpu->vm->shadow, f->gfn, sp->role.level)) {
		f->need_gfn = f->gfn;
		f->need_level = sp->role.level;
		return NEED_REGION;
	}
	if (!vcpu->cache.nr_nodes)
		return NEED_CACHE;
	if (test_bit(i, sp->present))
		mmu_entry_remove(vcpu->vm, sp, i);
	mmu_entry_map(vcpu, sp, i, gpte, grant, f->p2m, f->p2m_level, true, f->write);
	if (sp->role.level == 1)
		mmu_map_neighbours(vcpu, sp, i);
	return DONE;
}

/* gfn and role of the table below entries[i]. */
static union mmu_role child_role(const struct fault *f, const struct mmu_spage *sp, unsigned int i,
				 u64 gpte, bool kernel, gfn_t *gfn)
{
	union mmu_role role = sp->role;

	role.level--;
	role.quadrant = 0;
	role.kernel = kernel;
	if (!sp->role.direct)
		role.access = mmu_entry_access(sp, gpte);
	if (!guest_leaf_here(f, sp->role.level)) {
		*gfn = (gpte & PT_ADDR) >> PAGE_SHIFT;
		if (role.bytes4)
			role.quadrant = i & 1;
		return role;
	}
	*gfn = mmu_align(f->gfn, sp->role.level);
	if (sp->role.direct)
		return role;
	role.direct = 1;
	role.bytes4 = 0;
	role.kernel = 0;
	role.key = sp->role.bytes4 ? 0 : gpte >> 59 & 15;
	role.pat = (gpte & (PT_PWT | PT_PCD)) >> 3 | (gpte & PT_PAT_LARGE ? 4 : 0);
	/* Also where the guest forbids writing: without CR0.WP the supervisor may. */
	if (!(gpte & PT_DIRTY) && !f->write) {
		role.access &= ~ACC_WRITE;
		role.clean = 1;
	}
	return role;
}

/* Another vCPU may have found a new table, linked it elsewhere, and filled it. */
static bool is_filled(struct mmu_spage *sp)
{
	bool filled;

	mmu_spage_lock(sp);
	filled = sp->nr_present;
	mmu_spage_unlock(sp);
	return filled;
}

/* The table below entries[i] for gpte; linked if it is not. */
static struct mmu_spage *link_below(struct mmu_vcpu *vcpu, const struct fault *f,
				    struct mmu_spage *sp, unsigned int i, u64 gpte, bool kernel)
{
	struct mmu_spage *child;
	union mmu_role role;
	bool found;
	gfn_t gfn;

	/* Linked for just this entry, and not as a page split in two ways. */
	if (test_bit(i, sp->present) && sp->snap[i] == gpte && !mmu_sp_leaf(sp, mmu_sp_entry(sp, i))) {
		child = mmu_spage_at(mmu_sp_entry(sp, i));
		if (!child->role.direct || sp->role.direct || !f->write || (gpte & PT_DIRTY))
			return child;
	}
	role = child_role(f, sp, i, gpte, kernel, &gfn);
	if (test_bit(i, sp->present)) {
		u64 entry = mmu_sp_entry(sp, i);

		child = mmu_sp_leaf(sp, entry) ? NULL : mmu_spage_at(entry);
		if (child && child->gfn == gfn && child->role.word == role.word) {
			WRITE_ONCE(sp->snap[i], gpte);
			return child;
		}
		mmu_entry_remove(vcpu->vm, sp, i);
	}
	if (!vcpu->cache.nr_nodes)
		return NULL;
	child = mmu_spage_get(vcpu, gfn, role, &found);
	if (!child)
		return NULL;
	if (found || !role.direct)
		mmu_link_begin(vcpu->vm, sp, i);
	if (found || is_filled(child))
		mmu_sync_found(vcpu, child, sp, i);
	mmu_entry_link(vcpu, sp, i, gpte, child);
	return child;
}

/* One level: *sp becomes the table below. */
static enum step descend(struct mmu_vcpu *vcpu, struct fault *f, struct mmu_spage **at)
{
	struct mmu_vm *vm = vcpu->vm;
	struct mmu_spage *sp = *at;
	unsigned int i = mmu_index(f->gva >> PAGE_SHIFT, sp->role.level);
	u64 gpte = walked_gpte(f, sp, i);
	bool kernel = sp->role.kernel;

	WRITE_ONCE(sp->used, true);
	if (!sp->role.direct) {
		int r = sp->guest ? 0 : mmu_spage_resolve(vm, sp);

		if (unlikely(r)) {
			f->need_gfn = sp->gfn;
			return r == -ENOENT ? NEED_P2M : UNREACHABLE;
		}
		if (mmu_guest_entry(sp, i) != gpte)
			return CHANGED;
	}
	if (map_here(vm, f, sp)) {
		*at = NULL;
		return map_leaf(vcpu, f, sp, i, gpte);
	}
	if (sp == vcpu->root && sp->role.level > 3 && i >= MMU_ENTRIES / 2)
		kernel = mmu_upper_agrees(vm->shadow, sp, i, gpte);
	*at = link_below(vcpu, f, sp, i, gpte, kernel);
	return *at ? DONE : NEED_CACHE;
}

/* vm->lock held for reading. */
static enum step map_path(struct mmu_vcpu *vcpu, struct fault *f)
{
	struct mmu_vm *vm = vcpu->vm;
	struct mmu_spage *sp = vcpu->root, *at;
	enum step step = DONE;

	f->p2m = mmu_p2m(vm, f->gfn, &f->p2m_level);
	if (!f->p2m || (f->write && !(f->p2m & vm->fmt->write))) {
		f->need_gfn = f->gfn;
		return NEED_P2M;
	}
	if (f->write) {
		struct mmu_region *region = mmu_region_find(vm->shadow, f->gfn, 1);

		if (region && mmu_traced(region, f->gfn)) {
			mmu_untrace(vm, region, f->gfn);
			vcpu->stat.untraced++;
		}
	}
	if (sp->role.pae_root) {
		unsigned int i = f->gva >> 30 & 3;

		if (!test_bit(i, sp->present) && !mmu_load_pae(vcpu))
			return NEED_CACHE;
		if (!test_bit(i, sp->present))
			return CHANGED;
		sp = mmu_spage_at(mmu_sp_entry(sp, i));
	}
	while (sp && step == DONE) {
		at = sp;
		mmu_spage_lock(sp);
		step = descend(vcpu, f, &at);
		mmu_spage_unlock(sp);
		sp = at;
	}
	return step;
}

static enum mmu_verdict refill(struct mmu_vcpu *vcpu, unsigned int flags)
{
	if (flags & MMU_ATOMIC)
		return MMU_SLEEP;
	if (!mmu_vcpu_refill(vcpu))
		return MMU_RESUME;
	vcpu->stat.errors++;
	vcpu->fault.error = -ENOMEM;
	return MMU_ERROR;
}

/* Make P2M know need_gfn, as nested mode does at a fault there. */
static enum mmu_verdict fill_p2m(struct mmu_vcpu *vcpu, const struct fault *f, unsigned int flags)
{
	bool write = f->write && f->need_gfn == f->gfn;
	gpa_t gpa = f->need_gfn << PAGE_SHIFT;
	enum mmu_verdict verdict;

	if (unlikely(!mmu_cache_enough(vcpu)))
		return refill(vcpu, flags);
	if (f->need_gfn == f->gfn)
		gpa |= f->walk.gpa & ~PAGE_MASK;
	verdict = vcpu->vm->mode->fault(vcpu, gpa, write ? MMU_PF_WRITE : 0, flags);
	vcpu->fault.gpa = gpa;
	vcpu->fault.table = f->need_gfn != f->gfn;
	return verdict;
}

static enum mmu_verdict make_region(struct mmu_vcpu *vcpu, const struct fault *f, unsigned int flags)
{
	if (flags & MMU_ATOMIC)
		return MMU_SLEEP;
	if (mmu_region_make(vcpu->vm->shadow, f->need_gfn, f->need_level))
		return MMU_RESUME;
	vcpu->stat.errors++;
	vcpu->fault.error = -ENOMEM;
	return MMU_ERROR;
}

/* Each table on the way and the page may ask for P2M, a region or the cache once, and lose it again. */
#define FAULT_TRIES	16

static enum mmu_verdict hidden_fault(struct mmu_vcpu *vcpu, struct fault *f, unsigned int flags)
{
	struct mmu_vm *vm = vcpu->vm;
	enum mmu_verdict verdict = MMU_RESUME;
	unsigned int tries;

	for (tries = 0; tries < FAULT_TRIES && verdict == MMU_RESUME; tries++) {
		enum step step;

		read_lock(&vm->lock);
		step = map_path(vcpu, f);
		read_unlock(&vm->lock);
		switch (step) {
		case DONE:
			vcpu->stat.hidden++;
			return MMU_RESUME;
		case CHANGED:
			vcpu->stat.retried++;
			return MMU_RESUME;
		case NEED_P2M:
			verdict = fill_p2m(vcpu, f, flags);
			break;
		case NEED_CACHE:
			verdict = refill(vcpu, flags);
			break;
		case NEED_REGION:
			verdict = make_region(vcpu, f, flags);
			break;
		case UNREACHABLE:
			vcpu->stat.errors++;
			vcpu->fault.error = -EFAULT;
			return MMU_ERROR;
		}
	}
	return verdict;
}

static enum mmu_verdict no_table(struct mmu_vcpu *vcpu, const struct mmu_walk *walk)
{
	vcpu->fault.gpa = walk->fail_gpa;
	vcpu->fault.table = true;
	vcpu->fault.readonly = false;
	vcpu->stat.mmio++;
	return MMU_MMIO;
}

static enum mmu_verdict reflect(struct mmu_vcpu *vcpu, gva_t gva, u16 code)
{
	vcpu->fault.exception_error = code;
	vcpu->fault.exception_addr = gva;
	vcpu->stat.reflected++;
	return MMU_REFLECT;
}

/*
 * A supervisor's write that is allowed only because CR0.WP is off, which it is not in the
 * hardware: an entry for the supervisor alone would allow it, but be out of the sight of SMAP and
 * of the keys; and no entry makes the processor overlook a key.
 */
static bool without_wp_only(const struct fault *f, const struct mmu_walk_env *env, u64 error_code)
{
	if (f->super_write && f->walk.user && (env->cr4 & (X86_CR4_SMAP | X86_CR4_PKE)))
		return true;
	return f->write && !f->user && (error_code & MMU_PF_PK) && !(env->cr0 & X86_CR0_WP);
}

enum mmu_verdict mmu_shadow_fault(struct mmu_vcpu *vcpu, gva_t gva, u64 error_code, u64 rflags,
				  u32 pkru, unsigned int flags)
{
	const u64 access = error_code & (MMU_PF_WRITE | MMU_PF_USER | MMU_PF_FETCH);
	struct mmu_walk_env env;
	struct fault f = {
		.gva = vcpu->levels == 3 ? (u32)gva : gva,
		.write = access & MMU_PF_WRITE,
		.user = access & MMU_PF_USER,
	};
	enum mmu_verdict verdict;
	u16 code;

	vcpu->stat.faults++;
	vcpu->fault.error_code = error_code;
	vcpu->fault.table = false;
	verdict = mmu_fault_fast(vcpu, gva, error_code, &code);
	if (verdict == MMU_REFLECT)
		return reflect(vcpu, gva, code);
	if (verdict == MMU_RESUME)
		return verdict;
	mmu_walk_env_of(vcpu, &env);
	env.rflags = rflags;
	env.pkru = pkru;
	switch (mmu_walk(&f.walk, &env, gva, access,
			 MMU_WALK_SET_AD | (flags & MMU_ATOMIC ? MMU_WALK_ATOMIC : 0))) {
	case MMU_WALK_FAULT:
		return reflect(vcpu, gva, f.walk.error_code);
	case MMU_WALK_NO_MEMORY:
		return no_table(vcpu, &f.walk);
	case MMU_WALK_SLEEP:
		vcpu->stat.slept++;
		return MMU_SLEEP;
	case MMU_WALK_OK:
		break;
	default:
		return MMU_RESUME;
	}
	f.gfn = f.walk.gpa >> PAGE_SHIFT;
	f.super_write = f.write && !f.user && !f.walk.write;
	if (without_wp_only(&f, &env, error_code))
		return MMU_EMULATE;
	verdict = hidden_fault(vcpu, &f, flags);
	mmu_shadow_chores(vcpu);
	return verdict;
}

unsigned int mmu_read_mapped(struct mmu_vcpu *vcpu, gva_t gva, void *buf, unsigned int len)
{
	struct mmu_vm *vm = vcpu->vm;
	u64 offset_mask, entry = 0;
	const char *page;
	const u64 *entries;
	int level;

	len = min_t(unsigned int, len, PAGE_SIZE - (gva & ~PAGE_MASK));
	if (vcpu->levels == 3)
		gva = (u32)gva;
	read_lock(&vm->lock);
	entries = vm->shadow && vcpu->root ? vcpu->root->entries : NULL;
	for (level = vcpu->levels; entries; level--) {
		entry = READ_ONCE(entries[mmu_index(gva >> PAGE_SHIFT, level)]);
		if (!(entry & PT_PRESENT)) {
			entries = NULL;
			break;
		}
		if (level == 1 || (level <= MMU_LEAF_MAX && (entry & PT_LARGE)))
			break;
		entries = phys_to_virt(entry & PT_ADDR);
	}
	if (!entries) {
		read_unlock(&vm->lock);
		return 0;
	}
	offset_mask = (mmu_level_pages(level) << PAGE_SHIFT) - 1;
	page = vm->host->pfn_to_virt(vm, ((entry & PT_ADDR & ~offset_mask) | (gva & offset_mask)) >>
				     PAGE_SHIFT);
	if (page)
		memcpy(buf, page + (gva & ~PAGE_MASK), len);
	read_unlock(&vm->lock);
	return page ? len : 0;
}

/* ------------------------------------------------------------------ life -- */

static struct mmu_spage *pae_root_new(void)
{
	struct mmu_spage *sp = mmu_spage_new(true);

	if (sp) {
		sp->role.level = 3;
		sp->role.pae_root = 1;
	}
	return sp;
}

void mmu_shadow_refill(struct mmu_vcpu *vcpu)
{
	struct mmu_cache *cache = &vcpu->cache;

	mmu_shadow_keep_limit(vcpu->vm);
	if (!vcpu->pae_root)
		vcpu->pae_root = pae_root_new();
	while (cache->nr_pages < MMU_CACHE_MAX) {
		struct mmu_spage *sp = mmu_spage_new(false);

		if (!sp)
			break;
		cache->page[cache->nr_pages++] = sp;
	}
	while (cache->nr_nodes < MMU_CACHE_MAX) {
		struct mmu_rmap_node *node = kzalloc(sizeof(*node), GFP_KERNEL_ACCOUNT);

		if (!node)
			break;
		cache->node[cache->nr_nodes++] = node;
	}
}

void mmu_shadow_vcpu_fini(struct mmu_vcpu *vcpu)
{
	struct mmu_vm *vm = vcpu->vm;

	mmu_unload_root(vcpu);
	if (!vcpu->pae_root)
		return;
	write_lock(&vm->lock);
	if (vm->shadow) {
		mmu_spage_empty(vm, vcpu->pae_root);
		vm->flush_due = true;
		mmu_finish(vm);
	}
	write_unlock(&vm->lock);
	mmu_spage_free(vcpu->pae_root);
	vcpu->pae_root = NULL;
}

static struct mmu_shadow *shadow_new(struct mmu_vm *vm)
{
	struct mmu_shadow *shadow = kvzalloc(sizeof(*shadow), GFP_KERNEL_ACCOUNT);
	int i;

	if (!shadow)
		return NULL;
	shadow->vm = vm;
	shadow->roots_max = mmu_without(vm, MMU_PART_ROOTS) ? 0 : SHADOW_ROOTS_MAX;
	mmu_upper_init(&shadow->upper);
	spin_lock_init(&shadow->hash_lock);
	spin_lock_init(&shadow->list_lock);
	INIT_LIST_HEAD(&shadow->pages);
	INIT_LIST_HEAD(&shadow->roots);
	INIT_LIST_HEAD(&shadow->orphans);
	INIT_LIST_HEAD(&shadow->resting);
	INIT_LIST_HEAD(&shadow->dead);
	for (i = 0; i < MMU_LEAF_MAX; i++)
		xa_init(&shadow->regions[i]);
	return shadow;
}

/* The vCPUs forget their roots at their next mmu_load(): the generation tells. */
static void shadow_free(struct mmu_vm *vm)
{
	struct mmu_shadow *shadow = vm->shadow;
	struct mmu_spage *sp;
	bool more;

	write_lock(&vm->lock);
	list_for_each_entry(sp, &shadow->pages, link)
		sp->users = 0;
	do {
		more = mmu_shadow_drop_some(vm);
		mmu_finish(vm);
		if (!more)
			break;
		write_unlock(&vm->lock);
		cond_resched();
		write_lock(&vm->lock);
	} while (true);
	vm->shadow = NULL;
	write_unlock(&vm->lock);
	mmu_regions_free(shadow);
	kvfree(shadow);
	/* Invariant 6 */
	WARN_ON_ONCE(atomic64_read(&vm->stat.shadow_pages));
	WARN_ON_ONCE(atomic64_read(&vm->stat.shadow_leaves));
	WARN_ON_ONCE(atomic64_read(&vm->stat.traced));
	WARN_ON_ONCE(atomic64_read(&vm->stat.shadow_nodes));
	WARN_ON_ONCE(atomic64_read(&vm->stat.shadow_regions));
}

int mmu_vm_set_mode(struct mmu_vm *vm, enum mmu_vm_mode mode)
{
	struct mmu_shadow *shadow;

	if (mode == (vm->shadow ? MMU_SHADOW : MMU_NESTED))
		return 0;
	if (mode == MMU_NESTED) {
		shadow_free(vm);
		return 0;
	}
	shadow = shadow_new(vm);
	if (!shadow)
		return -ENOMEM;
	shadow->generation = ++vm->shadow_generation;
	mmu_shape_changed(vm);
	write_lock(&vm->lock);
	vm->shadow = shadow;
	write_unlock(&vm->lock);
	return 0;
}
