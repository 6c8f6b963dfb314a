// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow pages: how they are found, made and dropped. Which of them and when: shadow_limit.c.
 *
 *   mmu_spage_new ─► vCPU's cache ─► mmu_spage_get: hash (gfn, role), shadow->pages
 *                                       │ linked from entries above (parents), or a root
 *                                       │ last parent gone, no root
 *                                       ▼
 *                                    shadow->orphans     still findable: may be linked again
 *                                       │ enough of them, limit, memory pressure
 *                                       ▼
 *                    mmu_spage_drop: out of the hash, entries gone ─► shadow->dead ─► flush ─► freed
 */
#include "mmu/mode.h"
#include "mmu/shadow.h"

struct mmu_spage *mmu_spage_of(const u64 *slot)
{
	return (struct mmu_spage *)page_private(virt_to_page(slot));
}

struct mmu_spage *mmu_spage_at(u64 entry)
{
	return mmu_spage_of(phys_to_virt(entry & PT_ADDR));
}

void mmu_spage_free(struct mmu_spage *sp)
{
	if (sp->entries) {
		set_page_private(virt_to_page(sp->entries), 0);
		free_page((unsigned long)sp->entries);
	}
	if (sp->snap)
		free_page((unsigned long)sp->snap);
	kfree(sp);
}

struct mmu_spage *mmu_spage_new(bool low)
{
	struct mmu_spage *sp = kzalloc(sizeof(*sp), GFP_KERNEL_ACCOUNT);

	if (!sp)
		return NULL;
	sp->entries = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT | (low ? GFP_DMA32 : 0));
	sp->snap = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!sp->entries || !sp->snap) {
		mmu_spage_free(sp);
		return NULL;
	}
	set_page_private(virt_to_page(sp->entries), (unsigned long)sp);
	spin_lock_init(&sp->lock);
	INIT_LIST_HEAD(&sp->link);
	INIT_LIST_HEAD(&sp->orphan_link);
	INIT_LIST_HEAD(&sp->root_link);
	INIT_LIST_HEAD(&sp->rest_link);
	sp->window = SHADOW_WINDOW_MIN;
	sp->patience = SHADOW_PATIENCE_MIN;
	return sp;
}

static struct hlist_head *bucket(struct mmu_shadow *shadow, gfn_t gfn)
{
	return &shadow->hash[(u64)(gfn * 0x9e3779b97f4a7c15ULL) >> (64 - SHADOW_HASH_BITS)];
}

/* hash_lock held. */
static struct mmu_spage *find(struct mmu_shadow *shadow, gfn_t gfn, union mmu_role role)
{
	struct mmu_spage *sp;

	hlist_for_each_entry(sp, bucket(shadow, gfn), hash)
		if (sp->gfn == gfn && sp->role.word == role.word)
			return sp;
	return NULL;
}

/* Another vCPU may find and fill it at once: so all that a new one is, is said here. */
static void insert(struct mmu_vcpu *vcpu, struct mmu_spage *sp, gfn_t gfn, union mmu_role role)
{
	struct mmu_shadow *shadow = vcpu->vm->shadow;

	sp->gfn = gfn;
	sp->role = role;
	/* A kernel's leaf table wants none until it maps what is not global. */
	sp->visit = !role.direct && !(role.kernel && role.level == 1 &&
				      !mmu_without(vcpu->vm, MMU_PART_GLOBAL));
	sp->written = atomic64_read(&shadow->written);
	hlist_add_head(&sp->hash, bucket(shadow, gfn));
	spin_lock(&shadow->list_lock);
	list_add_tail(&sp->link, &shadow->pages);
	spin_unlock(&shadow->list_lock);
	atomic64_inc(&vcpu->vm->stat.shadow_pages);
}

struct mmu_spage *mmu_spage_get(struct mmu_vcpu *vcpu, gfn_t gfn, union mmu_role role, bool *found)
{
	struct mmu_shadow *shadow = vcpu->vm->shadow;
	struct mmu_cache *cache = &vcpu->cache;
	struct mmu_spage *sp;

	spin_lock(&shadow->hash_lock);
	sp = find(shadow, gfn, role);
	*found = sp;
	if (!sp && cache->nr_pages) {
		sp = cache->page[--cache->nr_pages];
		insert(vcpu, sp, gfn, role);
	}
	spin_unlock(&shadow->hash_lock);
	return sp;
}

struct mmu_spage *mmu_spage_find(struct mmu_shadow *shadow, gfn_t gfn, union mmu_role role)
{
	struct mmu_spage *sp;

	spin_lock(&shadow->hash_lock);
	sp = find(shadow, gfn, role);
	spin_unlock(&shadow->hash_lock);
	return sp;
}

int mmu_spage_resolve(struct mmu_vm *vm, struct mmu_spage *sp)
{
	int plevel;
	u64 p2m = mmu_p2m(vm, sp->gfn, &plevel), pfn;
	const char *page;

	if (!p2m)
		return -ENOENT;
	pfn = mmu_align((p2m & vm->fmt->addr) >> PAGE_SHIFT, plevel) +
	      (sp->gfn & (mmu_level_pages(plevel) - 1));
	page = vm->host->pfn_to_virt(vm, pfn);
	if (!page)
		return -EFAULT;
	if (sp->role.bytes4)	/* a leaf table is two of ours, a directory four */
		page += sp->role.quadrant * (sp->role.level == 1 ? PAGE_SIZE / 2 : PAGE_SIZE / 4);
	/* What had no dirty bits has some now: what is writable for want of them is made again. */
	if (!sp->writable && (p2m & vm->fmt->write))
		mmu_spage_empty(vm, sp);
	sp->writable = p2m & vm->fmt->write;
	WRITE_ONCE(sp->guest, page);
	return 0;
}

void mmu_spage_orphaned(struct mmu_shadow *shadow, struct mmu_spage *sp)
{
	spin_lock(&shadow->list_lock);
	if (!sp->orphan && list_empty(&sp->root_link)) {
		sp->orphan = true;
		WRITE_ONCE(shadow->nr_orphans, shadow->nr_orphans + 1);
		list_add_tail(&sp->orphan_link, &shadow->orphans);
	}
	spin_unlock(&shadow->list_lock);
}

/* list_lock held. */
static void no_orphan(struct mmu_shadow *shadow, struct mmu_spage *sp)
{
	if (!sp->orphan)
		return;
	sp->orphan = false;
	WRITE_ONCE(shadow->nr_orphans, shadow->nr_orphans - 1);
	list_del_init(&sp->orphan_link);
}

/* Above one that has a busy bit all is marked: a table may have hundreds of entries for this one. */
void mmu_spage_mark_above(struct mmu_spage *sp)
{
	struct mmu_rmap_pos pos = { 0 };
	u64 *slot;

	while ((slot = mmu_rmap_next(&sp->parents, &pos))) {
		struct mmu_spage *parent = mmu_spage_of(slot);
		bool marked = mmu_spage_busy(parent);

		if (!test_and_set_bit(mmu_slot_index(slot), parent->busy) && !marked)
			mmu_spage_mark_above(parent);
	}
}

void mmu_spage_wants_visit(struct mmu_shadow *shadow, struct mmu_spage *sp)
{
	spin_lock(&shadow->list_lock);
	mmu_spage_mark_above(sp);
	spin_unlock(&shadow->list_lock);
}

void mmu_link_begin(struct mmu_vm *vm, struct mmu_spage *sp, unsigned int i)
{
	spin_lock(&vm->shadow->list_lock);
	if (!test_and_set_bit(i, sp->busy))
		mmu_spage_mark_above(sp);
	spin_unlock(&vm->shadow->list_lock);
	mmu_shape_changed(vm);
}

/* ------------------------------------------------------------- dropping -- */

void mmu_spage_empty(struct mmu_vm *vm, struct mmu_spage *sp)
{
	unsigned int i;

	if (sp->role.level > 1) {
		for_each_set_bit(i, sp->present, MMU_ENTRIES)
			mmu_entry_remove(vm, sp, i);
		return;
	}
	for (i = 0; i < MMU_ENTRIES; i += BITS_PER_LONG)
		if (sp->present[i / BITS_PER_LONG])
			mmu_leaves_remove(vm, sp, i, sp->present[i / BITS_PER_LONG]);
}

void mmu_spage_unhash(struct mmu_vm *vm, struct mmu_spage *sp)
{
	struct mmu_shadow *shadow = vm->shadow;

	lockdep_assert_held_write(&vm->lock);
	if (sp->traced)
		mmu_trace_end(vm, sp);
	hlist_del_init(&sp->hash);
	if (!list_empty(&sp->root_link)) {
		list_del_init(&sp->root_link);
		WRITE_ONCE(shadow->nr_roots, shadow->nr_roots - 1);
	}
	if (!list_empty(&sp->rest_link)) {
		list_del_init(&sp->rest_link);
		WRITE_ONCE(shadow->nr_resting, shadow->nr_resting - 1);
	}
}

unsigned int mmu_spage_drop(struct mmu_vm *vm, struct mmu_spage *sp)
{
	unsigned int work = 4 * SHADOW_STEP + sp->nr_present;

	lockdep_assert_held_write(&vm->lock);
	mmu_spage_empty(vm, sp);
	work += mmu_entries_remove(vm, &sp->parents);
	mmu_spage_unhash(vm, sp);
	no_orphan(vm->shadow, sp);
	list_move_tail(&sp->link, &vm->shadow->dead);
	mmu_shape_changed(vm);
	vm->flush_due = true;
	return work;
}

static bool in_use(const struct mmu_spage *sp)
{
	return !mmu_rmap_empty(&sp->parents) || sp->users || !list_empty(&sp->root_link);
}

void mmu_shadow_drop_orphans(struct mmu_vm *vm, long *work)
{
	struct mmu_shadow *shadow = vm->shadow;

	lockdep_assert_held_write(&vm->lock);
	while (*work > 0 && !list_empty(&shadow->orphans)) {
		struct mmu_spage *sp = list_first_entry(&shadow->orphans, struct mmu_spage, orphan_link);

		*work -= SHADOW_STEP;
		/* Linked again since? Or is it here because of too many links? */
		if (in_use(sp) && !mmu_rmap_crowded(&sp->parents))
			no_orphan(shadow, sp);
		else
			*work -= mmu_spage_drop(vm, sp);
	}
}

void mmu_shadow_trim_roots(struct mmu_vm *vm, long *work)
{
	struct mmu_shadow *shadow = vm->shadow;
	struct mmu_spage *sp, *next;

	lockdep_assert_held_write(&vm->lock);
	list_for_each_entry_safe(sp, next, &shadow->roots, root_link) {
		if (*work <= 0 || shadow->nr_roots <= READ_ONCE(shadow->roots_max))
			break;
		if (!sp->users)
			*work -= mmu_spage_drop(vm, sp);
	}
}

unsigned long mmu_shadow_bury(struct mmu_vm *vm)
{
	struct mmu_shadow *shadow = vm->shadow;
	unsigned long freed = 0;

	while (!list_empty(&shadow->dead)) {
		struct mmu_spage *sp = list_first_entry(&shadow->dead, struct mmu_spage, link);

		list_del(&sp->link);
		mmu_spage_free(sp);
		atomic64_dec(&vm->stat.shadow_pages);
		freed++;
	}
	return freed;
}

struct mmu_spage *mmu_spage_next(struct mmu_shadow *shadow, gfn_t gfn, struct mmu_spage *prev)
{
	struct hlist_node *node = prev ? prev->hash.next : bucket(shadow, gfn)->first;

	for (; node; node = node->next) {
		struct mmu_spage *sp = container_of(node, struct mmu_spage, hash);

		if (sp->gfn == gfn && !sp->role.direct)
			return sp;
	}
	return NULL;
}

/* Perhaps for good: then it must not rest, or nobody would see that it is not there any more. */
static void forget_table(struct mmu_vm *vm, struct mmu_spage *sp)
{
	sp->guest = NULL;
	if (sp->traced)
		mmu_untrace(vm, mmu_region_find(vm->shadow, sp->gfn, 1), sp->gfn);
}

void mmu_shadow_forget_tables(struct mmu_vm *vm, gfn_t gfn, u64 nr)
{
	struct mmu_shadow *shadow = vm->shadow;
	struct mmu_spage *sp;
	gfn_t end = gfn + nr;

	lockdep_assert_held_write(&vm->lock);
	if (nr > MMU_ENTRIES) {
		list_for_each_entry(sp, &shadow->pages, link)
			if (sp->gfn >= gfn && sp->gfn < end)
				forget_table(vm, sp);
		return;
	}
	for (; gfn < end; gfn++)
		for (sp = NULL; (sp = mmu_spage_next(shadow, gfn, sp)); )
			forget_table(vm, sp);
}

/* Every spage made from gfn: see mmu_untrace(). */
void mmu_spages_rest(struct mmu_shadow *shadow, gfn_t gfn, bool traced)
{
	struct mmu_spage *sp = NULL;

	spin_lock(&shadow->hash_lock);
	while ((sp = mmu_spage_next(shadow, gfn, sp))) {
		if (sp->traced == traced)
			continue;
		WRITE_ONCE(sp->visit, !traced);
		smp_store_release(&sp->traced, traced);		/* who sees that it rests no more visits it */
		WRITE_ONCE(sp->rests, 0);
		if (traced)
			continue;
		WRITE_ONCE(sp->patience, min_t(unsigned int, 2 * sp->patience, SHADOW_PATIENCE_MAX));
		mmu_spage_wants_visit(shadow, sp);
		mmu_shape_changed(shadow->vm);
	}
	spin_unlock(&shadow->hash_lock);
}
