// SPDX-License-Identifier: GPL-2.0
/*
 * MMU tables are a cache: when the host is short of memory, some are dropped, of
 * each VM in turn. Called from wherever somebody allocates, so it only tries
 * locks.
 */
#include <linux/slab.h>
#include "compat.h"
#include "kvm/slots.h"
#include "kvm/stats.h"

static struct shrinker *shrinker;

static unsigned long reclaim_count(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long nr = 0;
	struct pn_vm *vm;

	if (!mutex_trylock(&pn_vms_lock))
		return 0;
	list_for_each_entry(vm, &pn_vms, node)
		nr += pn_vm_table_pages(vm);
	mutex_unlock(&pn_vms_lock);
	return nr ?: SHRINK_EMPTY;
}

static unsigned long reclaim_scan(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long freed = 0;
	struct pn_vm *vm, *first;

	if (!mutex_trylock(&pn_vms_lock))
		return SHRINK_STOP;
	first = list_first_entry_or_null(&pn_vms, struct pn_vm, node);
	list_for_each_entry(vm, &pn_vms, node) {
		int idx = srcu_read_lock(&vm->srcu);

		freed += mmu_reclaim(&vm->mmu, sc->nr_to_scan - freed);
		srcu_read_unlock(&vm->srcu, idx);
		if (freed >= sc->nr_to_scan)
			break;
	}
	/* The next call begins with another VM. */
	if (first)
		list_move_tail(&first->node, &pn_vms);
	mutex_unlock(&pn_vms_lock);
	return freed ?: SHRINK_STOP;
}

int pn_reclaim_init(void)
{
	shrinker = compat_shrinker_new(reclaim_count, reclaim_scan, "penumbra-mmu");
	return shrinker ? 0 : -ENOMEM;
}

void pn_reclaim_fini(void)
{
	compat_shrinker_free(shrinker);
	shrinker = NULL;
}
