// SPDX-License-Identifier: GPL-2.0
/*
 * How many shadow pages a VM may have: a fraction of its memory, or what user space
 * asked for (KVM_SET_NR_MMU_PAGES, sysfs), and never less than its vCPUs need to get on.
 */
#include <linux/module.h>
#include "kvm/slots.h"

/* As the stock module's: fewer are refused. */
#define PN_MIN_SHADOW_PAGES	64
/* An instruction may need several paths of tables at once, and each vCPU its own. */
#define PN_SHADOW_PER_VCPU	32

/* A process's tables are a 512th of what it maps, and each is two pages of ours: this is ten times that. */
static unsigned int shadow_permille = 40;

static int set_permille(const char *val, const struct kernel_param *param)
{
	return param_set_uint_minmax(val, param, 0, 1000);
}

static const struct kernel_param_ops permille_ops = {
	.set = set_permille,
	.get = param_get_uint,
};
module_param_cb(shadow_permille, &permille_ops, &shadow_permille, 0644);
MODULE_PARM_DESC(shadow_permille, "memory for a VM's shadow tables, in thousandths of the VM's memory");

void pn_shadow_limit_update(struct pn_vm *vm)
{
	const struct pn_slots *slots = pn_slots_get(vm);
	unsigned int vcpus = smp_load_acquire(&vm->nr_vcpus), i;
	u64 pages = 0, least = PN_MIN_SHADOW_PAGES;

	lockdep_assert_held(&vm->slots_lock);
	if (vcpus > 1)
		least += (vcpus - 1) * PN_SHADOW_PER_VCPU;
	for (i = 0; i < slots->nr; i++)
		pages += slots->slot[i]->nr_pages;
	/* Each is a table and its snapshot. */
	pages = vm->shadow_request ?: pages * READ_ONCE(shadow_permille) / 1000 / 2;
	WRITE_ONCE(vm->mmu.shadow_max, max(pages, least));
}

long pn_vm_set_shadow_max(struct pn_vm *vm, unsigned long nr)
{
	if (nr && nr < PN_MIN_SHADOW_PAGES)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	vm->shadow_request = nr;
	pn_shadow_limit_update(vm);
	mutex_unlock(&vm->slots_lock);
	mmu_shadow_keep_limit(&vm->mmu);
	return 0;
}

long pn_vm_set_nr_mmu_pages(struct pn_vm *vm, u32 nr)
{
	return nr ? pn_vm_set_shadow_max(vm, nr) : -EINVAL;
}

long pn_vm_get_nr_mmu_pages(struct pn_vm *vm)
{
	return min_t(unsigned long, READ_ONCE(vm->mmu.shadow_max), INT_MAX);
}
