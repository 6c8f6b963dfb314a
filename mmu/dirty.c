// SPDX-License-Identifier: GPL-2.0
/*
 * Dirty logging without faults: the hardware sets dirty bits, we collect them.
 *
 * Why no write is lost. A page is handed out as dirty, and user space copies it
 * afterwards; a write is safe if it happens before the hand-out of a bitmap that
 * has the page, or is found by a later one. Three orders give that:
 *
 *   take:    clear the bit in the entry ─ flush ─ hand out
 *            writes through old TLB entries happen before the flush, later ones set the bit again
 *   removal: entry gone ─ flush ─ gfn_written, all in one hold of the lock for writing
 *            so a taker (lock for reading) sees the page in live only after the flush
 *   others:  write ─ set the bit in live
 *
 * In a format without dirty bits "dirty" is the write bit: what is writable counts
 * as written, taking write-protects, and the next write faults. Same code.
 */
#include "mmu/mode.h"
#include "mmu/table.h"

void mmu_dirty_log_start(struct mmu_vm *vm, gfn_t start, gfn_t end)
{
	write_lock(&vm->lock);
	vm->logs++;
	/* A fault may hold an answer "not logged, map large": keep it out. */
	mmu_retire_answers(vm);
	mmu_work_in_chunks(vm, start, end, vm->mode->log_start);
}

void mmu_dirty_log_stop(struct mmu_vm *vm, gfn_t start, gfn_t end)
{
	write_lock(&vm->lock);
	WARN_ON_ONCE(--vm->logs < 0);
	mmu_work_in_chunks(vm, start, end, vm->mode->collapse);
}

/* Work through the entries of [start, end); then flush if dirty bits were cleared. */
static void dirty_entries(struct mmu_vm *vm, gfn_t start, gfn_t end, const struct mmu_dirty_op *op)
{
	bool more, cleared = false;

	do {
		read_lock(&vm->lock);
		more = vm->mode->dirty(vm, &start, end, op, &cleared);
		read_unlock(&vm->lock);
		if (more)
			cond_resched();
	} while (more);
	if (cleared)
		mmu_flush(vm);
}

bool mmu_dirty_take(struct mmu_vm *vm, gfn_t start, gfn_t end,
		    unsigned long *live, unsigned long *taken)
{
	unsigned long i, words = BITS_TO_LONGS(end - start), pages = 0;
	struct mmu_dirty_op op = { .origin = start, .found = taken, .clear = true };

	memset(taken, 0, words * sizeof(*taken));
	dirty_entries(vm, start, end, &op);

	/* After the entries: what a removal reported meanwhile is in live. */
	read_lock(&vm->lock);
	for (i = 0; i < words; i++) {
		if (READ_ONCE(live[i]))
			taken[i] |= xchg(&live[i], 0);
		pages += hweight64(taken[i]);
	}
	read_unlock(&vm->lock);
	atomic64_add(pages, &vm->stat.harvested);
	return pages;
}

void mmu_dirty_peek(struct mmu_vm *vm, gfn_t start, gfn_t end, unsigned long *live)
{
	struct mmu_dirty_op op = { .origin = start, .found = live };

	dirty_entries(vm, start, end, &op);
}

void mmu_dirty_clear(struct mmu_vm *vm, gfn_t start, gfn_t end,
		     unsigned long *live, const unsigned long *mask)
{
	unsigned long i, old, words = BITS_TO_LONGS(end - start), pages = 0;
	struct mmu_dirty_op op = { .origin = start, .mask = mask, .clear = true };

	read_lock(&vm->lock);
	for (i = 0; i < words; i++) {
		if (!mask[i])
			continue;
		old = READ_ONCE(live[i]);
		while (!try_cmpxchg(&live[i], &old, old & ~mask[i]))
			;
		pages += hweight64(old & mask[i]);
	}
	read_unlock(&vm->lock);
	dirty_entries(vm, start, end, &op);
	atomic64_add(pages, &vm->stat.harvested);
}
