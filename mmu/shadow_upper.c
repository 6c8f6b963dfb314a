// SPDX-License-Identifier: GPL-2.0
/*
 * The upper halves of roots. Kernels have themselves there, in the same tables for all address spaces, and
 * much of it in global pages, which a load of CR3 leaves alone. So it is with us, slot by slot of the root:
 *
 *   roots agree    what is below is for the kernel alone (role.kernel), and leaf tables with global
 *                  pages only are not visited at loads of CR3. INVLPG and flushes of everything find
 *                  them by upper.key also where the vCPU's root has nothing in the slot yet
 *   roots differ   (a table mapped into itself, the two roots of a process whose user side is kept away
 *                  from the kernel's) tables as in the lower half: all are visited
 *
 *             another table than the others have          the same again, within 3 times
 *   agree ───────────────────────────────────────► due ─────────────────────────────────► differ
 *     ▲ ◄──────────── all let go of what they have there ──┘                                 │
 *     └─────────────── the roots loaded of late have the same, or none ──────────────────────┘
 *
 * Three times, since a kernel's first root is soon out of use, and has others after it only. On each of the ways
 * every root loses its entry in the slot; the tables stay, and are compared when they are linked again. As
 * long as a slot is due, global pages are compared at loads of CR3, wherever they are.
 *
 * A table that is in a slot where roots agree and elsewhere, too, is two of ours: the role tells them apart.
 */
#include "mmu/mode.h"
#include "mmu/shadow.h"

/* Roots are looked at after so many comparisons, and after twice as many each time, up to UPPER_AGAIN_MAX. */
#ifndef UPPER_STRIKES		/* the explorer of interleavings lowers these, as those in shadow.h */
#define UPPER_STRIKES	3
#define UPPER_AGAIN	256
#define UPPER_AGAIN_MAX	(64 << 10)
#endif

void mmu_upper_init(struct mmu_upper *upper)
{
	upper->again = UPPER_AGAIN;
}

/* Where an entry of a root points to, and with which rights. Never 0. */
static u64 key_of(const struct mmu_spage *root, u64 gpte)
{
	return (gpte & PT_ADDR) | mmu_entry_access(root, gpte) << 1 | 1;
}

static unsigned int key_access(u64 key)
{
	return key >> 1 & ACC_ALL;
}

bool mmu_upper_agrees(struct mmu_shadow *shadow, const struct mmu_spage *root, unsigned int i, u64 gpte)
{
	struct mmu_upper *upper = &shadow->upper;
	unsigned int slot = i - MMU_ENTRIES / 2;
	u64 key = key_of(root, gpte), known = READ_ONCE(upper->key[slot]);

	if (likely(known == key))
		return true;
	if (test_bit(slot, upper->differs))
		return false;
	/* Before the key: who finds that may fill the tables, and a flush of everything goes by what is known. */
	set_bit(slot, upper->known);
	/* Two vCPUs may be the first at once, each with another table. */
	if (known || (!try_cmpxchg64(&upper->key[slot], &known, key) && known != key)) {
		set_bit(slot, upper->due);
		WRITE_ONCE(upper->is_due, true);
	}
	return true;
}

struct mmu_spage *mmu_upper_table(struct mmu_shadow *shadow, const struct mmu_spage *root, unsigned int i)
{
	union mmu_role role = root->role;
	u64 key;

	if (root->role.level <= 3 || i < MMU_ENTRIES / 2)
		return NULL;
	key = READ_ONCE(shadow->upper.key[i - MMU_ENTRIES / 2]);
	if (!key)
		return NULL;
	role.level--;
	role.access = key_access(key);
	role.kernel = 1;
	return mmu_spage_find(shadow, (key & PT_ADDR) >> PAGE_SHIFT, role);
}

/* No root has anything in the slot any more: whoever is the next begins anew. Returns how much work it was. */
static long leave_slot(struct mmu_vm *vm, unsigned int slot)
{
	struct mmu_shadow *shadow = vm->shadow;
	unsigned int i = MMU_ENTRIES / 2 + slot;
	struct mmu_spage *sp;
	long work = shadow->nr_roots;

	list_for_each_entry(sp, &shadow->roots, root_link) {
		if (!test_bit(i, sp->present))
			continue;
		mmu_entry_remove(vm, sp, i);
		work += SHADOW_STEP;
	}
	WRITE_ONCE(shadow->upper.key[slot], 0);
	clear_bit(slot, shadow->upper.known);
	vm->flush_due = true;
	return work;
}

/* Roots are looked at again later. */
static void look_later(struct mmu_shadow *shadow)
{
	WRITE_ONCE(shadow->upper.next, atomic64_read(&shadow->syncs) + shadow->upper.again);
}

static void part_roots(struct mmu_vm *vm)
{
	struct mmu_upper *upper = &vm->shadow->upper;
	unsigned int slot;

	for_each_set_bit(slot, upper->due, MMU_ENTRIES / 2) {
		leave_slot(vm, slot);
		clear_bit(slot, upper->due);
		if (upper->strikes[slot] < UPPER_STRIKES)
			upper->strikes[slot]++;
		if (upper->strikes[slot] < UPPER_STRIKES)
			continue;
		set_bit(slot, upper->differs);
		look_later(vm->shadow);
		WRITE_ONCE(upper->any_differs, true);
	}
	WRITE_ONCE(upper->is_due, false);
}

static bool still_differs(const struct mmu_shadow *shadow, unsigned int slot)
{
	unsigned int i = MMU_ENTRIES / 2 + slot;
	const struct mmu_spage *sp;
	u64 seen = 0, key;

	list_for_each_entry(sp, &shadow->roots, root_link) {
		if (!(sp->loaded || sp->users) || !test_bit(i, sp->present))
			continue;
		key = key_of(sp, sp->snap[i]);
		if (seen && seen != key)
			return true;
		seen = key;
	}
	return false;
}

/* Slot after slot; where the lock was held for long enough, the next chores go on. */
static void join_roots(struct mmu_vm *vm)
{
	struct mmu_shadow *shadow = vm->shadow;
	struct mmu_upper *upper = &shadow->upper;
	long work = SHADOW_HOLD;
	struct mmu_spage *sp;

	for (; upper->looked < MMU_ENTRIES / 2 && work > 0; upper->looked++) {
		if (!test_bit(upper->looked, upper->differs))
			continue;
		work -= shadow->nr_roots;
		if (still_differs(shadow, upper->looked))
			continue;
		work -= leave_slot(vm, upper->looked);
		clear_bit(upper->looked, upper->differs);
	}
	if (upper->looked < MMU_ENTRIES / 2)
		return;
	list_for_each_entry(sp, &shadow->roots, root_link)
		sp->loaded = false;
	upper->looked = 0;
	upper->again = min_t(u64, 2 * upper->again, UPPER_AGAIN_MAX);
	look_later(shadow);
	WRITE_ONCE(upper->any_differs, !bitmap_empty(upper->differs, MMU_ENTRIES / 2));
	WRITE_ONCE(upper->look, false);
}

void mmu_upper_loaded(struct mmu_shadow *shadow)
{
	struct mmu_upper *upper = &shadow->upper;

	if (unlikely(READ_ONCE(upper->any_differs)) &&
	    (u64)atomic64_read(&shadow->syncs) >= READ_ONCE(upper->next))
		WRITE_ONCE(upper->look, true);
}

void mmu_upper_chores(struct mmu_vm *vm)
{
	struct mmu_upper *upper = &vm->shadow->upper;

	lockdep_assert_held_write(&vm->lock);
	if (READ_ONCE(upper->look))
		join_roots(vm);
	if (upper->is_due)
		part_roots(vm);
}
