/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shadow mode, inside: what its files share.
 *
 *   guest's tables (V2P)          our tables (V2M), walked by the processor
 *   cr3 ─► table ─► table         vcpu->root ─► spage ─► spage ─► leaf: pfn
 *            │ entry ────────────────────────► entry made from it, snap: the guest's entry then
 *            └ gfn, role ◄──────────────────── stored in the spage
 *
 *   shadow.c       the fault: reflect, or link and map; neighbours along with it
 *   shadow_fast.c  … when only the last entry of the path is missing
 *   shadow_entry.c one entry: what it may grant, set, changed, removed
 *   shadow_page.c  shadow pages: found, made, linked, dropped
 *   shadow_limit.c how many there may be, and which go
 *   shadow_sync.c  what a flush by the guest asks for; roots
 *   shadow_visit.c the tables below a root compared with the guest's
 *   shadow_upper.c the upper halves of roots: what all have in common, and what not
 *   shadow_trace.c tables that rest are write-protected and not looked at any more
 *   rmap.c         gfn → entries
 *
 * To the guest all of this is its TLB and its paging-structure caches: an entry may
 * stay as it was made until the guest flushes it, and never longer. A guest's table
 * that is not there needs no flush, so an entry that is absent here is always looked up in
 * the guest's tables.
 *
 * Locking: vm->lock for reading lets faults, INVLPG and CR3 loads of several vCPUs work at the
 * same time; an entry changes under the lock of its spage. Order: vm->lock, a spage's lock,
 * the locks of spages further down, then one of the leaves: region->lock, shadow->hash_lock,
 * shadow->list_lock (lists of spages, parents, busy). Spages are freed, and entries of a gfn removed, under vm->lock for
 * writing.
 */
#ifndef PENUMBRA_MMU_SHADOW_H
#define PENUMBRA_MMU_SHADOW_H

#include "kapi.h"
#include "mmu/mmu.h"
#include "mmu/table.h"
#include "mmu/rmap.h"
#include "mmu/walk.h"

/* Entries of the guest and of ours alike. APM vol. 2, 5.2 and 5.3. */
#define PT_PRESENT	BIT_ULL(0)
#define PT_WRITE	BIT_ULL(1)
#define PT_USER		BIT_ULL(2)
#define PT_PWT		BIT_ULL(3)
#define PT_PCD		BIT_ULL(4)
#define PT_ACCESSED	BIT_ULL(5)
#define PT_DIRTY	BIT_ULL(6)
#define PT_LARGE	BIT_ULL(7)	/* above level 1 */
#define PT_PAT		BIT_ULL(7)	/* at level 1 */
#define PT_GLOBAL	BIT_ULL(8)
#define PT_P2M_WRITE	BIT_ULL(9)	/* ours, ignored by the processor: P2M lets it be written */
#define PT_PAT_LARGE	BIT_ULL(12)	/* in a large leaf */
#define PT_KEY		GENMASK_ULL(62, 59)
#define PT_NX		BIT_ULL(63)
#define PT_ADDR		GENMASK_ULL(51, 12)

/* What all levels together allow. */
#define ACC_WRITE	BIT(0)
#define ACC_USER	BIT(1)
#define ACC_EXEC	BIT(2)
#define ACC_ALL		(ACC_WRITE | ACC_USER | ACC_EXEC)

/*
 * What a spage was built for. Two uses with different roles never share one. The
 * control bits are those that decide what an entry means.
 */
union mmu_role {
	u64 word;
	struct {
		u32 level	: 3;	/* 1 = leaf table */
		u32 direct	: 1;	/* maps gfn, gfn + 1, …: part of a large page, or paging off */
		u32 bytes4	: 1;	/* the guest's entries have 4 bytes: two or four of ours for one table */
		u32 quadrant	: 2;	/* … which part of the guest's table */
		u32 access	: 3;	/* ACC_*: of the levels above */
		u32 wp		: 1;	/* CR0.WP */
		u32 nx		: 1;	/* EFER.NXE */
		u32 pse		: 1;	/* a 4-byte entry may be a large leaf */
		u32 smep	: 1;	/* CR4.SMEP, only without WP */
		u32 guarded	: 1;	/* CR4.SMAP or PKE, only without WP */
		u32 lma		: 1;	/* long mode */
		u32 la57	: 1;	/* … with 5 levels: what is a root with 4 of them is none here */
		u32 pae_root	: 1;	/* four entries, of one vCPU */
		u32 key		: 4;	/* direct: the large page's protection key */
		u32 pat		: 3;	/* direct: its PAT index */
		u32 clean	: 1;	/* direct: it is not dirty to the guest, so nobody may write it yet */
		u32 kernel	: 1;	/* below a slot of the upper half in which roots agree; not direct */
		/* Of the vCPU's CPUID, which may differ: they decide what is a leaf, and what is reserved. */
		u32 maxphyaddr	: 6;
		u32 pages_1g	: 1;
		u32 amd		: 1;
	};
};

/* The bits that all tables of a vCPU have in common: struct mmu_vcpu's role. */
#define ROLE_COMMON	((union mmu_role){ .bytes4 = 1, .wp = 1, .nx = 1, .pse = 1, .smep = 1, \
					   .guarded = 1, .lma = 1, .la57 = 1, .maxphyaddr = 63, \
					   .pages_1g = 1, .amd = 1 }.word)

#define ROLE_BYTES4	((union mmu_role){ .bytes4 = 1, .pse = 1 }.word)

/* How much to compare; each includes those before it. */
enum mmu_sync_kind {
	MMU_SYNC_VISIT,		/* what a CR3 load asks for */
	MMU_SYNC_TRACED,	/* tables that are write-protected as well */
	MMU_SYNC_GLOBAL,	/* … and those with nothing but global pages */
	MMU_SYNC_KINDS
};

struct mmu_spage {
	u64 *entries;			/* ours */
	u64 *snap;			/* [i]: the guest's entry that entries[i] was made from */
	const void *guest;		/* the guest's table, or our part of it; NULL: to be found again */
	bool writable;			/* … and P2M lets it be written */
	gfn_t gfn;			/* the guest's table; direct: the first gfn mapped */
	union mmu_role role;
	spinlock_t lock;		/* entries, snap, present, nr_*, rests */

	/* Bytes of their own: set and cleared under different locks, read without. */
	bool visit;			/* compare at CR3 loads */
	bool traced;			/* writes to gfn fault, unless it is in visit */
	bool used;			/* since reclaim looked */
	bool orphan;			/* on shadow->orphans */
	bool loaded;			/* root: since mmu_upper_chores() looked; list_lock */
	u8 window;			/* log2 of how many neighbours a fault looks at */
	unsigned int rests;		/* cost of visits in a row that found nothing */
	unsigned int patience;		/* that much makes it traced */
	u64 written;			/* shadow->written when it and all below were last compared */
	u64 synced[MMU_SYNC_KINDS];	/* shadow->syncs when that was last begun, by how much was compared */
	u16 nr_present;
	unsigned long present[BITS_TO_LONGS(MMU_ENTRIES)];
	unsigned long busy[BITS_TO_LONGS(MMU_ENTRIES)];	/* tables below that want a visit; may be too many */

	struct mmu_rmap parents;	/* entries that point here; list_lock */
	unsigned int users;		/* vCPUs that have it as root; vm->lock */
	struct hlist_node hash;		/* by gfn and role; hash_lock */
	struct list_head link;		/* list_lock: shadow->pages; or a cache; or vm->shadow->dead */
	struct list_head orphan_link;	/* list_lock: shadow->orphans */
	struct list_head root_link;	/* list_lock: shadow->roots */
	struct list_head rest_link;	/* list_lock: shadow->resting */
};

#define MMU_SYNC_SOME	(64 << 10)	/* entries compared: some tens of microseconds */

#define SHADOW_HASH_BITS	12
#define SHADOW_DIR	4096	/* GiB of guest memory whose reverse maps are found fast */
#define SHADOW_WINDOW_MIN	3	/* log2 of the neighbours looked at, at first and at least */
#define SHADOW_WINDOW_MAX	9
#define SHADOW_VISIT	16	/* what a visit costs, beside 1 for each entry compared */
#define SHADOW_DENSE	16	/* so many of 64 entries are compared eight at a time */

/* What happens after many times only. The explorer of interleavings (docs/testing.md) lowers it, to be there in a few steps. */
#ifndef SHADOW_PATIENCE_MIN
#define SHADOW_PATIENCE_MIN	1024	/* so much in vain until a table is write-protected: about a fault's cost */
#define SHADOW_PATIENCE_MAX	16384
#define SHADOW_TORN	32	/* so many of 64 entries gone: the table is unlinked */
#define SHADOW_TRACE_PRESENT	4	/* not worth it for leaf tables with fewer entries */
#define SHADOW_ROOTS_MAX	32	/* kept although no vCPU uses them */
#define SHADOW_ORPHANS_MAX	32
#define SHADOW_RESTING_MAX	4
#endif

/*
 * What the upper halves of roots point to: shadow_upper.c. [i]: slot MMU_ENTRIES / 2 + i of a root. vm->lock for
 * writing; but a key that is 0, and due, are also set under vm->lock for reading.
 */
struct mmu_upper {
	u64 key[MMU_ENTRIES / 2];	/* the table and rights that all roots with an entry have; 0: none, or they differ */
	unsigned long known[BITS_TO_LONGS(MMU_ENTRIES / 2)];	/* the key is not 0, or soon */
	unsigned long differs[BITS_TO_LONGS(MMU_ENTRIES / 2)];	/* roots do not agree: no kernel's tables below */
	unsigned long due[BITS_TO_LONGS(MMU_ENTRIES / 2)];	/* a root has been found that does not */
	u8 strikes[MMU_ENTRIES / 2];	/* how often that was */
	bool is_due, any_differs;	/* some slot is */
	bool look;			/* do roots still differ? To be found out */
	unsigned int looked;		/* … in the slots from here on */
	u64 next, again;		/* … when shadow->syncs is next; so much after the last time */
};

struct mmu_shadow {
	struct mmu_vm *vm;
	u32 generation;			/* of this switch to shadow mode */

	/* Common to all vCPUs; a vCPU that brings another starts everything anew. */
	u64 pat;
	bool known;			/* it was set */
	u8 pat_map[8];			/* guest's PAT index → the processor's */

	spinlock_t hash_lock;
	struct hlist_head hash[1 << SHADOW_HASH_BITS];

	spinlock_t list_lock;
	struct list_head pages;		/* least lately looked at first */
	struct list_head roots;		/* … loaded first */
	struct list_head orphans;	/* linked from nowhere */
	struct list_head resting;	/* to be write-protected */
	unsigned int nr_roots, nr_orphans, nr_resting;
	bool crowded;			/* an orphan is none, but too many entries point to it */
	u64 crowded_leaf;		/* gfn << 2 | level that too many entries map, or 0 */
	unsigned int roots_max;		/* SHADOW_ROOTS_MAX, and one for each vCPU */
	struct list_head dead;		/* unlinked, to be freed after the flush; vm->lock for writing */
	/*
	 * Changes of what maps a part of one larger page of the guest. Its INVLPG is meant for all parts, of
	 * which the processor's TLB may hold any, also those that another vCPU has corrected.
	 */
	atomic64_t parts_gone;
	atomic64_t written;		/* how often devices may have written the guest's tables */
	atomic64_t syncs;		/* how often somebody began to compare tables */
	bool stale;			/* another vCPU's TLB may hold what is no longer in the tables */

	struct mmu_upper upper;
	bool globals;			/* a vCPU has had CR4.PGE on: entries may be global from now on */

	struct xarray regions[MMU_LEAF_MAX];
	struct mmu_region **dir[SHADOW_DIR];	/* [gfn >> 18][gfn >> 9 & 511]: those of level 1 */
};

/* The region of gfn for leaves of a level (1 to 3), or NULL. */
static inline struct mmu_region *mmu_region_find(struct mmu_shadow *shadow, gfn_t gfn, int level)
{
	struct mmu_region **page;

	if (unlikely(level > 1 || gfn >> 18 >= SHADOW_DIR))
		return xa_load(&shadow->regions[level - 1], gfn >> (9 * level));
	page = smp_load_acquire(&shadow->dir[gfn >> 18]);
	return page ? smp_load_acquire(&page[gfn >> 9 & (MMU_ENTRIES - 1)]) : NULL;
}

/* Spages are locked from the root down, at most one of a level. */
static inline void mmu_spage_lock(struct mmu_spage *sp)
{
	spin_lock_nested(&sp->lock, sp->role.level);
}

static inline void mmu_spage_unlock(struct mmu_spage *sp)
{
	spin_unlock(&sp->lock);
}

/* ---- shadow_entry.c: all under sp->lock or vm->lock for writing ---- */

/* What a guest's entry, with the levels above, allows. */
unsigned int mmu_entry_access(const struct mmu_spage *sp, u64 gpte);

/* The guest's entry behind entries[i] in 8-byte form, as it is now. sp->guest holds. */
u64 mmu_guest_entry4(const struct mmu_spage *sp, unsigned int i);
static inline u64 mmu_guest_entry(const struct mmu_spage *sp, unsigned int i)
{
	return likely(!sp->role.bytes4) ? READ_ONCE(((const u64 *)sp->guest)[i]) : mmu_guest_entry4(sp, i);
}
/* The same for an entry as it was read. */
u64 mmu_gpte_form(const struct mmu_spage *sp, unsigned int i, u64 raw);

/* The gfn that a leaf made from snap maps. */
gfn_t mmu_snap_gfn(const struct mmu_spage *sp, u64 snap);

/* entries[i], in which the processor sets bits at any time. */
static inline u64 mmu_sp_entry(const struct mmu_spage *sp, unsigned int i)
{
	return READ_ONCE(sp->entries[i]);
}

/* Does one of our entries map memory? */
static inline bool mmu_sp_leaf(const struct mmu_spage *sp, u64 entry)
{
	return sp->role.level == 1 || (entry & PT_LARGE);
}

/*
 * Make entries[i], empty until now, map P2M's leaf p2m (of level plevel) for gpte.
 * grant: ACC_* to grant. Needs mmu_entry_ready(). hot: set accessed, and dirty if written. Does nothing if
 * the guest happens to change its entry.
 */
void mmu_entry_map(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i, u64 gpte,
		   unsigned int grant, u64 p2m, int plevel, bool hot, bool written);
/* Can it be done: is there a region, and a node for its chain if need be? */
bool mmu_entry_ready(struct mmu_vcpu *vcpu, const struct mmu_spage *sp, gfn_t gfn);
/* Remove entries[i], leaf or table. */
void mmu_entry_remove(struct mmu_vm *vm, struct mmu_spage *sp, unsigned int i);
/* vm->lock for writing: remove all entries of a reverse map. Returns how many. */
unsigned int mmu_entries_remove(struct mmu_vm *vm, const struct mmu_rmap *head);
/* Remove leaves of a leaf table: bit i of gone is entries[first + i], present. */
void mmu_leaves_remove(struct mmu_vm *vm, struct mmu_spage *sp, unsigned int first, unsigned long gone);
/* The guest's entry behind entries[i] is gpte now: grant no more than that, and if cheap no less. */
void mmu_entry_update(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i, u64 gpte);
/* Point the empty entries[i] to child, for the guest's entry gpte. */
void mmu_entry_link(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i, u64 gpte,
		    struct mmu_spage *child);

/*
 * Fill the empty entries[i] for gpte, which is ready, if P2M has the page. False: it was not to be
 * had that cheaply.
 */
bool mmu_entry_ahead(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i, u64 gpte);
/* Is gpte one that may be mapped without a fault: present, accessed, nothing reserved? */
bool mmu_gpte_ready(const struct mmu_vcpu *vcpu, const struct mmu_spage *sp, u64 gpte);

/* May a leaf of level (2, 3) map gfn's surroundings: no table there is write-protected? */
bool mmu_may_map_large(struct mmu_vm *vm, gfn_t gfn, int level);

/* vm->lock for writing: remove the entries that map what too many map. */
void mmu_shadow_thin(struct mmu_vm *vm);
/* vm->lock for writing: remove every entry that maps one of [gfn, gfn + nr); what is dirty P2M remembers. */
void mmu_shadow_unmap(struct mmu_vm *vm, gfn_t gfn, u64 nr);
/* vm->lock: were [gfn, gfn + pages of level) dirty (or accessed)? clear: and clear that. */
bool mmu_shadow_test_bits(struct mmu_vm *vm, gfn_t gfn, int level, u64 bits, bool clear);

/* ---- shadow.c ---- */

/* Map what entries around i want and P2M has. sp->lock held; entries[i] was what the fault was about. */
void mmu_map_neighbours(struct mmu_vcpu *vcpu, struct mmu_spage *sp, unsigned int i);

/* ---- shadow_fast.c ---- */

/* The fault, if all is at hand: MMU_RESUME, MMU_REFLECT (*code), or MMU_SLEEP: take the long way. */
enum mmu_verdict mmu_fault_fast(struct mmu_vcpu *vcpu, gva_t gva, u64 error_code, u16 *code);

/* ---- shadow_page.c ---- */

struct mmu_spage *mmu_spage_at(u64 entry);	/* the one that an entry of ours points to */
struct mmu_spage *mmu_spage_of(const u64 *slot);	/* the one that an entry of ours is in */
static inline unsigned int mmu_slot_index(const u64 *slot)
{
	return ((unsigned long)slot & ~PAGE_MASK) / sizeof(*slot);
}

/* The table below entries[i], or NULL. It cannot go while vm->lock is held. Acquire: as leaf_table(). */
static inline struct mmu_spage *mmu_child_of(struct mmu_spage *sp, unsigned int i)
{
	u64 entry = smp_load_acquire(&sp->entries[i]);

	return (entry & PT_PRESENT) && !mmu_sp_leaf(sp, entry) ? mmu_spage_at(entry) : NULL;
}

/* Sleeps. */
struct mmu_spage *mmu_spage_new(bool low);	/* low: entries below 4 GiB */
void mmu_spage_free(struct mmu_spage *sp);
/* The next spage made from a guest's table gfn, after prev (NULL: the first). hash_lock, or vm->lock for writing. */
struct mmu_spage *mmu_spage_next(struct mmu_shadow *shadow, gfn_t gfn, struct mmu_spage *prev);
/*
 * The spage for gfn and role, from the hash or the vCPU's cache.
 * *found: it was there. NULL: cache empty.
 */
struct mmu_spage *mmu_spage_get(struct mmu_vcpu *vcpu, gfn_t gfn, union mmu_role role, bool *found);
/* The one that is there, or NULL. */
struct mmu_spage *mmu_spage_find(struct mmu_shadow *shadow, gfn_t gfn, union mmu_role role);
/* Nothing points to sp any more. */
void mmu_spage_orphaned(struct mmu_shadow *shadow, struct mmu_spage *sp);
static inline bool mmu_spage_busy(const struct mmu_spage *sp)
{
	unsigned long busy = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sp->busy); i++)
		busy |= READ_ONCE(sp->busy[i]);
	return busy;
}

static inline bool mmu_spage_needs_visit(const struct mmu_spage *sp)
{
	return READ_ONCE(sp->visit) || mmu_spage_busy(sp);
}

/* sp wants visits: tell the tables above. _mark_above: list_lock is held. */
void mmu_spage_wants_visit(struct mmu_shadow *shadow, struct mmu_spage *sp);
void mmu_spage_mark_above(struct mmu_spage *sp);
/* A table is about to be compared and linked at entries[i], sp->lock held: see shadow_visit.c. */
void mmu_link_begin(struct mmu_vm *vm, struct mmu_spage *sp, unsigned int i);
/*
 * vm->lock for writing, mmu_finish() before it is dropped. Work is counted in entries removed: _drop
 * says how much it was, others do as much as *work and what it ends in the middle of.
 */
#ifndef SHADOW_HOLD		/* the explorer of interleavings lowers it */
#define SHADOW_HOLD	(8 << 10)	/* in one hold of the lock */
#endif
#define SHADOW_STEP	8		/* a page looked at, and left */

unsigned int mmu_spage_drop(struct mmu_vm *vm, struct mmu_spage *sp);
/* sp is not found any more, and no root to be kept; what is linked stays. */
void mmu_spage_unhash(struct mmu_vm *vm, struct mmu_spage *sp);
void mmu_shadow_drop_orphans(struct mmu_vm *vm, long *work);
void mmu_shadow_trim_roots(struct mmu_vm *vm, long *work);
void mmu_spage_empty(struct mmu_vm *vm, struct mmu_spage *sp);	/* remove its entries */
void mmu_spages_rest(struct mmu_shadow *shadow, gfn_t gfn, bool traced);
unsigned long mmu_shadow_bury(struct mmu_vm *vm);	/* free what is dead; after the flush */
/* The backing of gfn goes: tables of the guest there have to be found again. */
void mmu_shadow_forget_tables(struct mmu_vm *vm, gfn_t gfn, u64 nr);

/* ---- shadow_limit.c ---- */

/*
 * Drop up to nr pages that nobody has used of late, looking at no more than *scan, which counts
 * down. Stops when the lock was held for long enough. Returns how many; vm->lock for writing.
 */
unsigned long mmu_shadow_shrink(struct mmu_vm *vm, unsigned long nr, unsigned long *scan);
/* In as many holds as it takes, no lock held: up to nr. Returns how many were freed. */
unsigned long mmu_shadow_reclaim(struct mmu_vm *vm, unsigned long nr, bool idle_only);
/*
 * vm->lock for writing: does one of our entries say that [gfn, gfn + nr) was accessed since that was last
 * cleared? Or is there a table of the guest at rest?
 */
bool mmu_shadow_uses(struct mmu_vm *vm, gfn_t gfn, u64 nr);
/* vm->lock for writing: no table is used any more but roots in use, emptied. What is left are orphans. */
void mmu_shadow_disown_all(struct mmu_vm *vm);
/* … free some of all pages, for a vm without vCPUs in shadow mode. Are any left? */
bool mmu_shadow_drop_some(struct mmu_vm *vm);

/* Find sp->guest: 0, -ENOENT (P2M has nothing for sp->gfn), -EFAULT (device memory). vm->lock held. */
int mmu_spage_resolve(struct mmu_vm *vm, struct mmu_spage *sp);

/* Shadow's part of mmu_vcpu_refill() and mmu_vcpu_fini(). */
void mmu_shadow_refill(struct mmu_vcpu *vcpu);
void mmu_shadow_vcpu_fini(struct mmu_vcpu *vcpu);

/* ---- shadow_visit.c ---- */

/*
 * Are global pages in a kernel's tables left alone by a CR3 load of the vCPU? Without CR4.PGE there are none; but
 * it is mostly off for two instructions that want a flush, so tables do not tell.
 */
static inline bool mmu_globals_rest(const struct mmu_vcpu *vcpu)
{
	const struct mmu_shadow *shadow = vcpu->vm->shadow;

	return !READ_ONCE(shadow->upper.is_due) &&
	       ((vcpu->paging.cr4 & X86_CR4_PGE) || !READ_ONCE(shadow->globals));
}

/* One go of comparing. */
struct mmu_sync {
	enum mmu_sync_kind kind;
	u64 since;		/* what was compared by anybody since then will do */
	u64 written;		/* by devices, when it began */
	bool all;		/* look at all tables for some to visit, whatever the busy bits say */
	long left;		/* entries until a pause, or a cut */
	bool progress;		/* some table is through: those above it are begun again after a pause */
	bool cut;		/* when nothing is left: unlink the rest, rather than stop */
	struct mmu_plan *plan;	/* to be made on the way */
};

#define MMU_SYNC_MUCH	16	/* times vm->sync_some, if nobody waits */

/* The guest has flushed, or somebody is about to link a table. */
void mmu_sync_start(struct mmu_shadow *shadow, struct mmu_sync *s);
/*
 * vm->lock held, no spage's: compare the tables below a root with the guest's. False: let go of the lock,
 * set left anew and progress to false, and call again.
 */
bool mmu_sync_root(struct mmu_vcpu *vcpu, struct mmu_spage *root, struct mmu_sync *s);
/* What mmu_upper_table() finds, in all slots, as part of mmu_sync_root(). */
bool mmu_sync_upper(struct mmu_vcpu *vcpu, struct mmu_spage *root, struct mmu_sync *s);
/* An spage that was there already is about to be linked at entries[i] of parent. */
void mmu_sync_found(struct mmu_vcpu *vcpu, struct mmu_spage *sp, const struct mmu_spage *parent,
		    unsigned int i);
/* Compare this table alone. */
void mmu_sync_table(struct mmu_vcpu *vcpu, struct mmu_spage *sp);

/*
 * What is below some root has changed such that a plan may lack a table that is to be visited; or a spage
 * goes. See shadow_visit.c for when. A full barrier.
 */
static inline void mmu_shape_changed(struct mmu_vm *vm)
{
	atomic64_inc_return(&vm->shadow_shape);
}

/* ---- shadow_upper.c ---- */

void mmu_upper_init(struct mmu_upper *upper);
/*
 * entries[i], in the upper half of a vCPU's root, is about to be linked for gpte: is what is below the kernel's,
 * since roots agree about it? sp->lock held.
 */
bool mmu_upper_agrees(struct mmu_shadow *shadow, const struct mmu_spage *root, unsigned int i, u64 gpte);
/*
 * What other roots have in their upper half where this one has nothing yet, or NULL. Global pages there
 * stay for this one too when CR3 is loaded, so flushes must not pass them by.
 */
struct mmu_spage *mmu_upper_table(struct mmu_shadow *shadow, const struct mmu_spage *root, unsigned int i);
/* CR3 was loaded. */
void mmu_upper_loaded(struct mmu_shadow *shadow);
static inline bool mmu_upper_due(const struct mmu_upper *upper)
{
	return READ_ONCE(upper->is_due) || READ_ONCE(upper->look);
}
/* … vm->lock for writing: slots become such in which roots agree, or differ. */
void mmu_upper_chores(struct mmu_vm *vm);

/* ---- shadow_sync.c ---- */

/* The entries of a PAE root, whose absence is no fault that a walk finds. False: no cache. */
bool mmu_load_pae(struct mmu_vcpu *vcpu);
void mmu_unload_root(struct mmu_vcpu *vcpu);
void mmu_walk_env_of(const struct mmu_vcpu *vcpu, struct mmu_walk_env *env);
/* What has piled up under the lock for reading. No lock held; does not sleep. */
void mmu_shadow_chores(struct mmu_vcpu *vcpu);

/* ---- shadow_trace.c ---- */

/* The guest (or somebody for it) writes gfn: its tables are looked at again. region: of gfn. */
void mmu_untrace(struct mmu_vm *vm, struct mmu_region *region, gfn_t gfn);

/* Without the region's lock: who sees that it is over also sees that the tables want a visit. */
static inline bool mmu_traced(const struct mmu_region *region, gfn_t gfn)
{
	unsigned int i = mmu_index(gfn, 1);

	return smp_load_acquire(&region->nr_traced) &&
	       smp_load_acquire(&region->traced[i / BITS_PER_LONG]) & BIT(i % BITS_PER_LONG);
}

/* vm->lock for writing: write-protect the tables on shadow->resting, compare them once more. */
void mmu_trace_resting(struct mmu_vcpu *vcpu);
/* … sp is dropped. */
void mmu_trace_end(struct mmu_vm *vm, struct mmu_spage *sp);

/* P2M's leaf for gfn and its level, or 0. vm->lock held. */
static inline u64 mmu_p2m(const struct mmu_vm *vm, gfn_t gfn, int *level)
{
	const u64 *slot = mmu_p2m_slot(vm, gfn, level);

	return slot ? READ_ONCE(*slot) : 0;
}

#endif
