/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A mode of the virtual MMU: one const table of operations. mmu.c and dirty.c do
 * what all modes share (locking, invalidation sequence, bitmaps); a mode does what
 * touches its tables.
 */
#ifndef PENUMBRA_MMU_MODE_H
#define PENUMBRA_MMU_MODE_H

#include "kapi.h"
#include "mmu/mmu.h"

/* What to do with the dirty leaves of a range; bit i of the bitmaps is gfn origin + i. */
struct mmu_dirty_op {
	gfn_t origin;
	unsigned long *found;		/* bits to set, atomically; NULL: none */
	const unsigned long *mask;	/* only these pages; NULL: all */
	bool clear;			/* clear the dirty bits too */
};

/*
 * Functions with a gfn_t *start work through [*start, end) and return true when
 * they stopped early because somebody waits for the lock or the processor; *start
 * then says where to go on.
 */
struct mmu_mode {
	const char *name;

	/* One fault: ask the host, walk, map, verdict. The vCPU's cache is full enough. */
	enum mmu_verdict (*fault)(struct mmu_vcpu *vcpu, gpa_t gpa, u64 error_code,
				  unsigned int flags);

	/* Lock held for writing. Remove what maps the range. */
	bool (*unmap)(struct mmu_vm *vm, gfn_t *start, gfn_t end, bool may_yield);

	/* Lock held for writing. No large leaf and no dirty bit in the range. */
	bool (*log_start)(struct mmu_vm *vm, gfn_t *start, gfn_t end);

	/* Lock held for writing. Remove tables of the range where the host maps large. */
	bool (*collapse)(struct mmu_vm *vm, gfn_t *start, gfn_t end);

	/* Lock held, either way. *cleared is set when a dirty bit was cleared. */
	bool (*dirty)(struct mmu_vm *vm, gfn_t *start, gfn_t end,
		      const struct mmu_dirty_op *op, bool *cleared);

	/* Lock held, either way. Was any leaf of the range accessed? clear: and clear that. */
	bool (*age)(struct mmu_vm *vm, gfn_t start, gfn_t end, bool clear);

	/* Lock held for writing. Unlink up to nr tables, in this turn only idle ones or any. */
	unsigned long (*reclaim)(struct mmu_vm *vm, unsigned long nr, bool idle_only);

	/* Lock held for writing. Report and count the violations of the mode's invariants. */
	unsigned int (*audit)(struct mmu_vm *vm, mmu_report_fn report, void *ctx);
};

extern const struct mmu_mode mmu_mode_nested;

/* The same for the tables of shadow mode. */
unsigned int mmu_audit_shadow(struct mmu_vm *vm, mmu_report_fn report, void *ctx);
unsigned int mmu_audit_nested(struct mmu_vm *vm, mmu_report_fn report, void *ctx);

/* Does the vCPU's cache hold all tables that one walk may link, in shadow mode on both ways? */
static inline bool mmu_cache_enough(const struct mmu_vcpu *vcpu)
{
	const struct mmu_cache *cache = &vcpu->cache;

	return cache->nr >= vcpu->vm->levels - 1u &&
	       (!vcpu->vm->shadow || (cache->nr_pages >= MMU_LEVELS_MAX &&
				      cache->nr_nodes > MMU_LEVELS_MAX && vcpu->pae_root));
}

/* Fill the cache as far as it goes. Sleeps. 0, or -ENOMEM if it is not enough for a fault. */
int mmu_vcpu_refill(struct mmu_vcpu *vcpu);

/*
 * mmu.c. Both: lock held for writing. Answers given until now become stale. Work
 * through [start, end), flushing and letting others in between chunks; the lock is
 * free at return.
 */
void mmu_retire_answers(struct mmu_vm *vm);
void mmu_work_in_chunks(struct mmu_vm *vm, gfn_t start, gfn_t end,
			bool (*work)(struct mmu_vm *vm, gfn_t *start, gfn_t end));

/* Could an answer the host gave at sequence seq have become stale? Lock held. */
static inline bool mmu_answer_stale(const struct mmu_vm *vm, u64 seq)
{
	return vm->inv_seq != seq;
}

/* Is the host changing something of [start, end) right now? Lock held. */
static inline bool mmu_being_changed(const struct mmu_vm *vm, gfn_t start, gfn_t end)
{
	return unlikely(vm->inv_active) && start < vm->inv_end && vm->inv_start < end;
}

#endif
