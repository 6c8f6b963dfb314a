// SPDX-License-Identifier: GPL-2.0
/*
 * How guest addresses are translated: nested or shadow mode, chosen for a new VM by the
 * parameter mmu and changed while it runs; and what a vCPU owes the MMU before it enters
 * in either of them.
 *
 *   registers written ──► vcpu->mmu_due, PN_REQ_MMU_LOAD ──► pn_mmu_load() ──► the root
 *
 *   mode written      ──► vCPUs out, the gate closed ──► mmu_vm_set_mode()
 *                         PN_REQ_MMU_MODE, the gate open ──► each vCPU: pn_mmu_enter_mode()
 */
#include <linux/bitops.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "kvm/slots.h"
#include "kvm/state.h"
#include "kvm/vcpu.h"

/* ---- names and the default ---- */

static const char *const mode_names[] = { [MMU_NESTED] = "nested", [MMU_SHADOW] = "shadow" };

static enum mmu_vm_mode default_mode = MMU_NESTED;

const char *pn_mode_name(enum mmu_vm_mode mode)
{
	return mode_names[mode];
}

int pn_mode_by_name(const char *name)
{
	if (sysfs_streq(name, "direct"))
		return -EOPNOTSUPP;
	return __sysfs_match_string(mode_names, ARRAY_SIZE(mode_names), name);
}

static int default_mode_set(const char *val, const struct kernel_param *kp)
{
	int mode = pn_mode_by_name(val);

	if (mode < 0)
		return mode;
	WRITE_ONCE(default_mode, mode);
	return 0;
}

static int default_mode_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", pn_mode_name(pn_default_mode()));
}

static const struct kernel_param_ops default_mode_ops = {
	.set = default_mode_set,
	.get = default_mode_get,
};

module_param_cb(mmu, &default_mode_ops, NULL, 0644);
MODULE_PARM_DESC(mmu, "mode of new VMs: nested or shadow (shadow where the processor has no nested paging)");

enum mmu_vm_mode pn_default_mode(void)
{
	return cpu_has_nested ? READ_ONCE(default_mode) : MMU_SHADOW;
}

/* ---- shadow mode with some of its parts switched off, to measure what they are worth ---- */

static const char *const part_names[MMU_PARTS] = {
	[MMU_PART_FAST] = "fast", [MMU_PART_NEIGHBOURS] = "neighbours", [MMU_PART_AHEAD] = "ahead",
	[MMU_PART_ROOTS] = "roots", [MMU_PART_REST] = "rest", [MMU_PART_BUSY] = "busy",
	[MMU_PART_PLAN] = "plan", [MMU_PART_GLOBAL] = "global", [MMU_PART_LARGE] = "large",
	[MMU_PART_BATCH] = "batch", [MMU_PART_TORN] = "torn", [MMU_PART_EXITS] = "exits",
};

static unsigned long without;

static int without_set(const char *val, const struct kernel_param *kp)
{
	char *copy = kstrdup(val, GFP_KERNEL), *rest, *name;
	unsigned long parts = 0;
	int part = 0;

	if (!copy)
		return -ENOMEM;
	rest = strim(copy);
	while (part >= 0 && (name = strsep(&rest, ","))) {
		if (!*name)
			continue;
		part = match_string(part_names, MMU_PARTS, name);
		if (part >= 0)
			parts |= BIT(part);
	}
	kfree(copy);
	if (part < 0)
		return part;
	WRITE_ONCE(without, parts);
	return 0;
}

static int without_get(char *buf, const struct kernel_param *kp)
{
	unsigned long parts = READ_ONCE(without);
	int part, len = 0;

	for_each_set_bit(part, &parts, MMU_PARTS)
		len += sysfs_emit_at(buf, len, "%s%s", len ? "," : "", part_names[part]);
	return len + sysfs_emit_at(buf, len, "\n");
}

static const struct kernel_param_ops without_ops = { .set = without_set, .get = without_get };

module_param_cb(shadow_without, &without_ops, NULL, 0644);
MODULE_PARM_DESC(shadow_without, "parts of shadow mode that new VMs do without, by name, separated by commas");

unsigned long pn_default_without(void)
{
	return READ_ONCE(without);
}

/* ---- the mode of a VM that runs ---- */

int pn_vm_enter(struct pn_vm *vm)
{
	int idx;

	for (;;) {
		idx = srcu_read_lock(&vm->srcu);
		/* Pairs with the release in pn_vm_set_mode: what was asked of vCPUs before is seen. */
		if (likely(!smp_load_acquire(&vm->vcpus_kept_out)))
			return idx;
		srcu_read_unlock(&vm->srcu, idx);
		wait_event(vm->readers_wait, !READ_ONCE(vm->vcpus_kept_out));
	}
}

/* A vCPU that finds the gate open was not waited for, so the change was before it or is not yet. */
int pn_vm_set_mode(struct pn_vm *vm, enum mmu_vm_mode mode)
{
	unsigned int i, nr;
	int r = 0;

	if (mode == MMU_NESTED && !cpu_has_nested)
		return -EOPNOTSUPP;
	mutex_lock(&vm->slots_lock);
	if (mmu_is_shadow(&vm->mmu) == (mode == MMU_SHADOW))
		goto unlock;
	WRITE_ONCE(vm->vcpus_kept_out, true);
	pn_vm_drop_readers(vm);
	r = mmu_vm_set_mode(&vm->mmu, mode);
	/* One that is being created is asked when it is installed. */
	nr = smp_load_acquire(&vm->nr_vcpus);
	for (i = 0; i < nr; i++)
		pn_vcpu_request(READ_ONCE(vm->vcpus[i]), PN_REQ_MMU_MODE);
	smp_store_release(&vm->vcpus_kept_out, false);
	wake_up_all(&vm->readers_wait);
unlock:
	mutex_unlock(&vm->slots_lock);
	return r;
}

/* ---- a vCPU's part ---- */

void pn_mmu_enter_mode(struct pn_vcpu *vcpu)
{
	pn_keep_pdptrs(vcpu);
	cpu->update(vcpu, CPU_UPDATE_MODE);
	vcpu->mmu_due |= MMU_LOAD_ALL;
	pn_vcpu_request(vcpu, PN_REQ_MMU_LOAD);
}

void pn_mmu_changed(struct pn_vcpu *vcpu, unsigned int what)
{
	/* A mode that comes later loads everything. */
	if (!mmu_is_shadow(&vcpu->vm->mmu))
		return;
	vcpu->mmu_due |= what;
	pn_vcpu_request(vcpu, PN_REQ_MMU_LOAD);
}

enum mmu_verdict pn_mmu_load(struct pn_vcpu *vcpu, unsigned int flags)
{
	const struct mmu_paging p = {
		.cr0 = vcpu->cr0,
		.cr3 = vcpu->cr3,
		.cr4 = vcpu->cr4,
		.efer = vcpu->efer,
		.pat = vcpu->pat,
		.pdptrs = { vcpu->pdptrs[0], vcpu->pdptrs[1], vcpu->pdptrs[2], vcpu->pdptrs[3] },
		.maxphyaddr = vcpu->maxphyaddr,
		.pages_1g = vcpu->has_gbpages,
		.amd = boot_cpu_data.x86_vendor != X86_VENDOR_INTEL,
	};
	enum mmu_verdict verdict = mmu_load(&vcpu->mmu, &p, vcpu->mmu_due, flags);

	if (verdict == MMU_RESUME) {
		vcpu->mmu_due = 0;
		vcpu->stat.tlb_flush++;
		cpu->update(vcpu, CPU_UPDATE_ROOT);
		cpu->tlb_flush(vcpu);
	}
	return verdict;
}
