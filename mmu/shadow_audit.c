// SPDX-License-Identifier: GPL-2.0
/*
 * The invariants of shadow mode, checked against the tables as they are (numbers as in
 * design.md):
 *
 *   1  a leaf maps the page that P2M has for the gfn stored with it, and no more rights
 *   2  … and grants no more than the guest's entry it was made from, with the levels above;
 *      nothing maps writable what is write-protected; a table at rest is what the guest's is
 *   3  nothing unlinked is still linked: no dead spages between operations
 *   4  what an entry points to agrees with the stored gfn and role; a kernel's table is reached by slots
 *      in which roots agree only, and others there are none; what a CR3 load is meant for is visited
 *   6  present bits, reverse maps, parents and counters say what the entries are
 */
#include "mmu/mode.h"
#include "mmu/shadow.h"

struct audit {
	struct mmu_vm *vm;
	mmu_report_fn report;
	void *ctx;
	unsigned int bad;
	s64 pages, leaves, traced;
};

static void complain(struct audit *a, const char *what, gfn_t gfn, u64 entry)
{
	a->bad++;
	if (a->report)
		a->report(a->ctx, what, gfn, entry);
}

static bool chain_has(const struct mmu_rmap *head, const u64 *slot)
{
	struct mmu_rmap_pos pos = { 0 };
	u64 *at;

	while ((at = mmu_rmap_next(head, &pos)))
		if (at == slot)
			return true;
	return false;
}

static unsigned int chain_length(const struct mmu_rmap *head)
{
	struct mmu_rmap_pos pos = { 0 };
	unsigned int n = 0;

	while (mmu_rmap_next(head, &pos))
		n++;
	return n;
}

/* Has the guest's table dirty bits? Not in ROM, where they cannot be set. */
static bool sets_dirty(const struct mmu_spage *sp)
{
	return sp->guest && sp->writable;
}

/* Invariant 2. A supervisor's write without CR0.WP is the exception: then not for the user. */
static void check_rights(struct audit *a, const struct mmu_spage *sp, unsigned int i, u64 entry)
{
	u64 snap = sp->snap[i];
	unsigned int access = mmu_entry_access(sp, snap);
	bool super = !sp->role.wp && (entry & PT_WRITE) && !(entry & PT_USER);

	if ((entry & PT_USER) && !(access & ACC_USER))
		complain(a, "open to the user", sp->gfn, entry);
	if (!(entry & PT_NX) && !(access & ACC_EXEC))
		complain(a, "executable", sp->gfn, entry);
	if (sp->role.smep && super && (access & ACC_USER) && !(entry & PT_NX))
		complain(a, "the supervisor may run a user's page", sp->gfn, entry);
	if (sp->role.guarded && super && (access & ACC_USER))
		complain(a, "out of the sight of SMAP and keys", sp->gfn, entry);
	if ((entry & PT_WRITE) && !(access & ACC_WRITE) && !super)
		complain(a, "writable", sp->gfn, entry);
	if ((entry & PT_WRITE) && (sp->role.direct ? sp->role.clean : sets_dirty(sp) && !(snap & PT_DIRTY)))
		complain(a, "writable, and not dirty to the guest", sp->gfn, entry);
}

/* Invariant 1. */
static void check_page(struct audit *a, const struct mmu_spage *sp, u64 entry, gfn_t gfn)
{
	struct mmu_vm *vm = a->vm;
	int level = sp->role.level, plevel;
	u64 p2m = mmu_p2m(vm, gfn, &plevel), pfn;

	if (!p2m || plevel < level) {
		complain(a, "mapped, but P2M has no such page", gfn, entry);
		return;
	}
	pfn = mmu_align((p2m & PT_ADDR) >> PAGE_SHIFT, plevel) + (gfn & (mmu_level_pages(plevel) - 1));
	if ((entry & PT_ADDR & ~(level > 1 ? PT_PAT_LARGE : 0)) >> PAGE_SHIFT != pfn)
		complain(a, "mapped to another page than P2M's", gfn, entry);
	if ((entry & PT_WRITE) && !(p2m & vm->fmt->write))
		complain(a, "writable, but not in P2M", gfn, entry);
	if ((entry & PT_P2M_WRITE) && !(p2m & vm->fmt->write))
		complain(a, "noted as writable, but not in P2M", gfn, entry);
}

static void check_leaf(struct audit *a, const struct mmu_spage *sp, unsigned int i, u64 entry)
{
	int level = sp->role.level;
	gfn_t gfn = mmu_snap_gfn(sp, sp->snap[i]);
	struct mmu_region *region = mmu_region_find(a->vm->shadow, gfn, level);

	a->leaves++;
	check_page(a, sp, entry, gfn);
	check_rights(a, sp, i, entry);
	if (!region || !chain_has(mmu_region_head(region, gfn, level), &sp->entries[i]))
		complain(a, "not in the reverse map", gfn, entry);
	if (level == 1 && (entry & PT_WRITE) && region && mmu_traced(region, gfn))
		complain(a, "a write-protected table is writable", gfn, entry);
	if (level > 1 && !mmu_may_map_large(a->vm, gfn, level))
		complain(a, "large over a write-protected table", gfn, entry);
	if (sp->role.direct && gfn != sp->gfn + i * mmu_level_pages(level))
		complain(a, "a direct entry maps another gfn", gfn, entry);
}

/* Is sp a root that may be loaded, and i in its upper half? */
static bool in_upper_half(const struct mmu_spage *sp, unsigned int i)
{
	return !list_empty(&sp->root_link) && i >= MMU_ENTRIES / 2;
}

static void check_kernel(struct audit *a, const struct mmu_spage *sp, unsigned int i, u64 entry)
{
	const struct mmu_upper *upper = &a->vm->shadow->upper;
	bool kernel = mmu_spage_at(entry)->role.kernel, upper_half = in_upper_half(sp, i);
	unsigned int slot = i - MMU_ENTRIES / 2;

	if (kernel && !sp->role.kernel && !upper_half && (sp->role.level <= 3 || !hlist_unhashed(&sp->hash)))
		complain(a, "points to a kernel's table, and is none", sp->gfn, entry);
	if (!kernel && sp->role.kernel)
		complain(a, "a kernel's table points to what is none", sp->gfn, entry);
	if (!upper_half || test_bit(slot, upper->due))
		return;
	if (kernel == test_bit(slot, upper->differs))
		complain(a, "a kernel's table where roots differ, or none where they agree", sp->gfn, entry);
	if (kernel && mmu_upper_table(a->vm->shadow, sp, i) != mmu_spage_at(entry))
		complain(a, "roots differ, and nobody knows", sp->gfn, entry);
}

/* Invariant 4. */
static void check_link(struct audit *a, const struct mmu_spage *sp, unsigned int i, u64 entry)
{
	const struct mmu_spage *child = mmu_spage_at(entry);
	u64 snap = sp->snap[i];

	if (child->entries != phys_to_virt(entry & PT_ADDR) || child->role.level != sp->role.level - 1) {
		complain(a, "points to what is no table of the level below", sp->gfn, entry);
		return;
	}
	if (!chain_has(&child->parents, &sp->entries[i]))
		complain(a, "not among the parents of what it points to", sp->gfn, entry);
	if (mmu_spage_needs_visit(child) && !test_bit(i, sp->busy))
		complain(a, "a visit is wanted below, and not known here", sp->gfn, entry);
	if (sp->role.pae_root)
		return;
	if (!child->role.direct)
		check_kernel(a, sp, i, entry);
	if (!child->role.direct && child->gfn != (snap & PT_ADDR) >> PAGE_SHIFT)
		complain(a, "points to the table of another gfn", sp->gfn, entry);
	if ((child->role.word ^ sp->role.word) & ROLE_COMMON & ~(child->role.direct ? ROLE_BYTES4 : 0))
		complain(a, "points to a table of another role", sp->gfn, entry);
	if (child->role.access & ~mmu_entry_access(sp, sp->role.direct ? ~PT_NX : snap))
		complain(a, "points to a table with more rights", sp->gfn, entry);
	if (child->role.direct && (sp->role.direct ? child->role.clean != sp->role.clean :
				   !child->role.clean && sets_dirty(sp) && !(snap & PT_DIRTY)))
		complain(a, "points to a table for a dirty page", sp->gfn, entry);
}

static void check_entries(struct audit *a, const struct mmu_spage *sp)
{
	unsigned int i, present = 0;
	bool nonglobal = false;

	for (i = 0; i < MMU_ENTRIES; i++) {
		u64 entry = READ_ONCE(sp->entries[i]);

		if (!!(entry & PT_PRESENT) != test_bit(i, sp->present) || (!(entry & PT_PRESENT) && entry))
			complain(a, "present bit says otherwise", sp->gfn, entry);
		if (!(entry & PT_PRESENT))
			continue;
		present++;
		if (!mmu_sp_leaf(sp, entry)) {
			check_link(a, sp, i, entry);
			continue;
		}
		nonglobal |= !sp->role.direct && !(entry & PT_GLOBAL);
		check_leaf(a, sp, i, entry);
	}
	if (present != sp->nr_present)
		complain(a, "entries counted wrong", sp->gfn, present);
	if (nonglobal && !sp->visit && !sp->traced)
		complain(a, "maps what a load of CR3 flushes, and is not visited", sp->gfn, 0);
}

/* The gfn of a table at rest is write-protected, and the table says what it said. */
static void check_rest(struct audit *a, struct mmu_spage *sp)
{
	struct mmu_region *region = mmu_region_find(a->vm->shadow, sp->gfn, 1);

	if (!region || !mmu_traced(region, sp->gfn))
		complain(a, "at rest, but not write-protected", sp->gfn, 0);
	if (sp->visit)
		complain(a, "at rest, and visited", sp->gfn, 0);
}

static void check_spage(struct audit *a, struct mmu_spage *sp)
{
	a->pages++;
	if (mmu_spage_of(sp->entries) != sp)
		complain(a, "the table's page belongs to another", sp->gfn, 0);
	if (sp->traced)
		check_rest(a, sp);
	else if (!sp->visit && !sp->role.direct && !(sp->role.kernel && sp->role.level == 1))
		complain(a, "nobody visits it", sp->gfn, sp->role.word);
	if (!sp->parents.val && !sp->users && list_empty(&sp->root_link) && !sp->orphan)
		complain(a, "lost: nothing points to it", sp->gfn, sp->role.word);
	check_entries(a, sp);
}

/* Every reverse map leads to a leaf that maps the gfn. */
static void check_regions(struct audit *a, int level)
{
	struct mmu_region *region;
	unsigned long key;
	s64 entries = 0;

	xa_for_each(&a->vm->shadow->regions[level - 1], key, region) {
		unsigned int i, traced = 0;

		for (i = 0; i < MMU_ENTRIES; i++) {
			entries += chain_length(&region->head[i]);
			traced += test_bit(i, region->traced);
		}
		if (traced != region->nr_traced)
			complain(a, "write-protected gfns counted wrong", (u64)key << 9, traced);
		a->traced += traced;
	}
	a->leaves -= entries;
}

unsigned int mmu_audit_shadow(struct mmu_vm *vm, mmu_report_fn report, void *ctx)
{
	struct audit a = { .vm = vm, .report = report, .ctx = ctx };
	struct mmu_shadow *shadow = vm->shadow;
	struct mmu_spage *sp;
	int level;

	lockdep_assert_held_write(&vm->lock);
	if (!list_empty(&shadow->dead))
		complain(&a, "dropping was not finished", 0, 0);
	list_for_each_entry(sp, &shadow->pages, link)
		check_spage(&a, sp);
	if (a.pages != atomic64_read(&vm->stat.shadow_pages))
		complain(&a, "shadow pages counted wrong", 0, a.pages);
	if (a.leaves != atomic64_read(&vm->stat.shadow_leaves))
		complain(&a, "shadow leaves counted wrong", 0, a.leaves);
	for (level = 1; level <= MMU_LEAF_MAX; level++)
		check_regions(&a, level);
	if (a.leaves)
		complain(&a, "reverse maps with other entries", 0, a.leaves);
	if (a.traced != atomic64_read(&vm->stat.traced))
		complain(&a, "write-protected tables counted wrong", 0, a.traced);
	return a.bad;
}
