// SPDX-License-Identifier: GPL-2.0
/*
 * What all modes share: the life of a VM's and a vCPU's MMU, the invalidation
 * sequence that keeps stale answers of the host out of the tables, and the host
 * events, which take the lock, let the mode work, and flush before they drop it.
 *
 *   fault:  seq = inv_seq ── ask host ── lock: inv_seq == seq and gfn not being changed? ── map
 *   host:        invalidate_begin [active, removed, flushed] ── changes ── end [inv_seq + 1]
 *
 * An answer given before or during the change fails one of the two comparisons.
 */
#include "mmu/mode.h"
#include "mmu/shadow.h"
#include "mmu/table.h"

int mmu_vm_init(struct mmu_vm *vm, const struct mmu_vm_config *config)
{
	if (config->levels < 4 || config->levels > MMU_LEVELS_MAX ||
	    config->max_leaf < 1 || config->max_leaf > MMU_LEAF_MAX)
		return -EINVAL;
	memset(vm, 0, sizeof(*vm));
	vm->host = config->host;
	vm->fmt = config->format;
	vm->mode = &mmu_mode_nested;
	vm->levels = config->levels;
	vm->max_leaf = config->max_leaf;
	vm->host_pat = config->host_pat;
	vm->sync_some = MMU_SYNC_SOME;
	rwlock_init(&vm->lock);
	INIT_LIST_HEAD(&vm->dead);
	vm->root = mmu_table_new();
	if (!vm->root)
		return -ENOMEM;
	vm->root->level = vm->levels;
	atomic64_inc(&vm->stat.tables);
	return 0;
}

void mmu_vm_fini(struct mmu_vm *vm)
{
	int i;

	/* An invalidation cut in two by the end of the notifier has no second half. */
	vm->inv_active = 0;
	vm->logs = 0;
	mmu_vm_set_mode(vm, MMU_NESTED);
	mmu_unmap_all(vm);
	mmu_table_free(vm->root);
	vm->root = NULL;
	atomic64_dec(&vm->stat.tables);
	/* Invariant 6 */
	WARN_ON_ONCE(atomic64_read(&vm->stat.tables));
	for (i = 0; i < MMU_LEAF_MAX; i++)
		WARN_ON_ONCE(atomic64_read(&vm->stat.mapped[i]));
}

int mmu_vcpu_init(struct mmu_vcpu *vcpu, struct mmu_vm *vm)
{
	int r;

	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->vm = vm;
	vcpu->root_hpa = virt_to_phys(vm->root->entries);
	r = mmu_vcpu_topup(vcpu);
	if (r)
		mmu_vcpu_fini(vcpu);
	return r;
}

void mmu_vcpu_fini(struct mmu_vcpu *vcpu)
{
	struct mmu_cache *cache = &vcpu->cache;

	mmu_shadow_vcpu_fini(vcpu);
	while (cache->nr)
		mmu_table_free(cache->table[--cache->nr]);
	while (cache->nr_pages)
		mmu_spage_free(cache->page[--cache->nr_pages]);
	while (cache->nr_nodes)
		kfree(cache->node[--cache->nr_nodes]);
}

int mmu_vcpu_refill(struct mmu_vcpu *vcpu)
{
	struct mmu_cache *cache = &vcpu->cache;

	might_sleep();
	while (cache->nr < MMU_CACHE_MAX) {
		struct mmu_table *table = mmu_table_new();

		if (!table)
			break;
		cache->table[cache->nr++] = table;
	}
	if (vcpu->vm->shadow)
		mmu_shadow_refill(vcpu);
	return mmu_cache_enough(vcpu) ? 0 : -ENOMEM;
}

int mmu_vcpu_topup(struct mmu_vcpu *vcpu)
{
	return likely(mmu_cache_enough(vcpu)) ? 0 : mmu_vcpu_refill(vcpu);
}

enum mmu_verdict mmu_fault(struct mmu_vcpu *vcpu, gpa_t gpa, u64 error_code, unsigned int flags)
{
	vcpu->stat.faults++;
	vcpu->fault.gpa = gpa;
	vcpu->fault.error_code = error_code;
	if (unlikely(!mmu_cache_enough(vcpu))) {
		if (flags & MMU_ATOMIC) {
			vcpu->stat.slept++;
			return MMU_SLEEP;
		}
		if (mmu_vcpu_topup(vcpu)) {
			vcpu->stat.errors++;
			vcpu->fault.error = -ENOMEM;
			return MMU_ERROR;
		}
	}
	return vcpu->vm->mode->fault(vcpu, gpa, error_code, flags);
}

void mmu_retire_answers(struct mmu_vm *vm)
{
	lockdep_assert_held_write(&vm->lock);
	/* Pairs with the acquire before gfn_to_page: who sees this number sees the new state. */
	smp_store_release(&vm->inv_seq, vm->inv_seq + 1);
}

/* Lock held for writing, also at return, when all but the last chunk is finished. */
static void work_in_chunks(struct mmu_vm *vm, gfn_t start, gfn_t end, bool may_sleep,
			   bool (*work)(struct mmu_vm *vm, gfn_t *start, gfn_t end))
{
	while (work(vm, &start, end)) {
		mmu_finish(vm);
		write_unlock(&vm->lock);
		if (may_sleep)
			cond_resched();
		write_lock(&vm->lock);
	}
}

static bool unmap_chunk(struct mmu_vm *vm, gfn_t *start, gfn_t end)
{
	return vm->mode->unmap(vm, start, end, true);
}

/*
 * Leaf tables go first, so many at a time that burying them does not hold others up for
 * long, then what is above them.
 */
static void unmap_in_chunks(struct mmu_vm *vm, gfn_t start, gfn_t end, bool may_sleep)
{
	work_in_chunks(vm, start, end, may_sleep, unmap_chunk);
	vm->mode->unmap(vm, &start, end, false);
}

void mmu_invalidate_lock(struct mmu_vm *vm)
{
	write_lock(&vm->lock);
}

void mmu_invalidate_add(struct mmu_vm *vm, gfn_t start, gfn_t end)
{
	if (!vm->inv_active++) {
		vm->inv_start = start;
		vm->inv_end = end;
	} else {
		vm->inv_start = min(vm->inv_start, start);
		vm->inv_end = max(vm->inv_end, end);
	}
	unmap_in_chunks(vm, start, end, false);
}

void mmu_invalidate_unlock(struct mmu_vm *vm)
{
	mmu_finish(vm);
	write_unlock(&vm->lock);
}

void mmu_invalidate_begin(struct mmu_vm *vm, gfn_t start, gfn_t end)
{
	mmu_invalidate_lock(vm);
	mmu_invalidate_add(vm, start, end);
	mmu_invalidate_unlock(vm);
}

void mmu_invalidate_end(struct mmu_vm *vm)
{
	write_lock(&vm->lock);
	mmu_retire_answers(vm);
	WARN_ON_ONCE(--vm->inv_active < 0);
	write_unlock(&vm->lock);
}

void mmu_work_in_chunks(struct mmu_vm *vm, gfn_t start, gfn_t end,
			bool (*work)(struct mmu_vm *vm, gfn_t *start, gfn_t end))
{
	work_in_chunks(vm, start, end, true, work);
	mmu_finish(vm);
	write_unlock(&vm->lock);
}

void mmu_unmap_gfns(struct mmu_vm *vm, gfn_t start, gfn_t end)
{
	write_lock(&vm->lock);
	mmu_retire_answers(vm);
	unmap_in_chunks(vm, start, end, true);
	mmu_finish(vm);
	write_unlock(&vm->lock);
}

void mmu_unmap_all(struct mmu_vm *vm)
{
	mmu_unmap_gfns(vm, 0, mmu_gfn_end(vm));
}

bool mmu_age_gfns(struct mmu_vm *vm, gfn_t start, gfn_t end, bool clear)
{
	bool young;

	if (!clear || vm->fmt->accessed) {
		read_lock(&vm->lock);
		young = vm->mode->age(vm, start, end, clear);
		read_unlock(&vm->lock);
		return young;
	}
	write_lock(&vm->lock);
	young = vm->mode->age(vm, start, end, clear);
	mmu_finish(vm);
	write_unlock(&vm->lock);
	return young;
}

void mmu_flush(struct mmu_vm *vm)
{
	atomic64_inc(&vm->stat.flushes);
	vm->host->flush(vm);
}

static unsigned long reclaim_tables(struct mmu_vm *vm, unsigned long nr, bool idle_only)
{
	unsigned long freed;

	write_lock(&vm->lock);
	vm->mode->reclaim(vm, nr, idle_only);
	freed = mmu_finish(vm);
	write_unlock(&vm->lock);
	return freed;
}

unsigned long mmu_reclaim(struct mmu_vm *vm, unsigned long nr)
{
	unsigned long freed;

	freed = mmu_shadow_reclaim(vm, nr, true);
	if (freed < nr)
		freed += reclaim_tables(vm, nr - freed, true);
	if (freed < nr)
		freed += mmu_shadow_reclaim(vm, nr - freed, false);
	if (freed < nr)
		freed += reclaim_tables(vm, nr - freed, false);
	atomic64_add(freed, &vm->stat.reclaimed);
	return freed;
}

unsigned int mmu_audit(struct mmu_vm *vm, mmu_report_fn report, void *ctx)
{
	unsigned int bad;

	write_lock(&vm->lock);
	bad = vm->mode->audit(vm, report, ctx);
	if (vm->shadow)
		bad += mmu_audit_shadow(vm, report, ctx);
	write_unlock(&vm->lock);
	return bad;
}
