// SPDX-License-Identifier: GPL-2.0
/*
 * Virtual machines: creation and end, requests to all vCPUs, VM ioctls.
 */
#include <linux/anon_inodes.h>
#include <linux/cpumask.h>
#include <linux/file.h>
#include <linux/sched/mm.h>
#include <linux/smp.h>
#include <linux/uaccess.h>
#include "kvm/caps.h"
#include "kvm/iobus.h"
#include "kvm/stats.h"
#include "kvm/vcpu.h"
#include "mmu/mmu.h"

LIST_HEAD(pn_vms);
DEFINE_MUTEX(pn_vms_lock);
static u32 pn_last_vm_id;	/* under pn_vms_lock */

/* ---- requests ---- */

static DEFINE_PER_CPU(cpumask_var_t, pn_kick_mask);

int pn_vm_setup(void)
{
	int i;

	for_each_possible_cpu(i) {
		if (!zalloc_cpumask_var_node(per_cpu_ptr(&pn_kick_mask, i), GFP_KERNEL,
					     cpu_to_node(i))) {
			pn_vm_teardown();
			return -ENOMEM;
		}
	}
	return 0;
}

void pn_vm_teardown(void)
{
	int i;

	for_each_possible_cpu(i) {
		free_cpumask_var(*per_cpu_ptr(&pn_kick_mask, i));
		if (IS_ENABLED(CONFIG_CPUMASK_OFFSTACK))
			memset(per_cpu_ptr(&pn_kick_mask, i), 0, sizeof(cpumask_var_t));
	}
}

/* That it ran is all that counts: the vCPU is out of the guest then. */
static void pn_acknowledge(void *unused)
{
}

void pn_vm_request_all(struct pn_vm *vm, unsigned int request)
{
	unsigned int i, nr = smp_load_acquire(&vm->nr_vcpus);
	struct cpumask *mask;
	int here, there;

	lockdep_assert_irqs_enabled();
	for (i = 0; i < nr; i++)
		pn_vcpu_request(READ_ONCE(vm->vcpus[i]), request);
	smp_mb();	/* requests before modes; pairs with pn_enter_loop */
	here = get_cpu();
	mask = *this_cpu_ptr(&pn_kick_mask);
	cpumask_clear(mask);
	for (i = 0; i < nr; i++) {
		if (READ_ONCE(vm->vcpus[i]->mode) != PN_IN_GUEST)
			continue;
		there = READ_ONCE(vm->vcpus[i]->cpu);
		if (there >= 0 && there != here)
			__cpumask_set_cpu(there, mask);
	}
	if (!cpumask_empty(mask))
		smp_call_function_many(mask, pn_acknowledge, NULL, true);
	put_cpu();
}

/* ---- life ---- */

static int pn_vm_init_parts(struct pn_vm *vm)
{
	struct mmu_vm_config config = {
		.host = &pn_mmu_host_ops,
		.format = &mmu_format_npt,
		.levels = pgtable_l5_enabled() ? 5 : 4,
		.max_leaf = boot_cpu_has(X86_FEATURE_GBPAGES) ? 3 : 2,
	};
	int r;

	rdmsrl(MSR_IA32_CR_PAT, config.host_pat);
	r = init_srcu_struct(&vm->srcu);
	if (r)
		return r;
	r = pn_slots_init(vm);
	if (r)
		goto fini_srcu;
	r = pn_iobus_init(vm);
	if (r)
		goto fini_slots;
	r = mmu_vm_init(&vm->mmu, &config);
	if (r)
		goto fini_iobus;
	vm->mmu.shadow_without = pn_default_without();
	r = mmu_vm_set_mode(&vm->mmu, pn_default_mode());
	if (r)
		goto fini_mmu;
	r = pn_clock_init(vm);
	if (r)
		goto fini_mmu;
	r = pn_notifier_init(vm);
	if (r)
		goto fini_mmu;
	return 0;

fini_mmu:
	mmu_vm_fini(&vm->mmu);
fini_iobus:
	pn_iobus_fini(vm);
fini_slots:
	pn_slots_fini(vm);
fini_srcu:
	cleanup_srcu_struct(&vm->srcu);
	return r;
}

static void pn_vm_fini_parts(struct pn_vm *vm)
{
	unsigned int i;

	/* No host event comes any more after this. */
	pn_notifier_fini(vm);
	for (i = 0; i < vm->nr_vcpus; i++)
		pn_vcpu_free(vm->vcpus[i]);
	pn_iobus_fini(vm);
	mmu_vm_fini(&vm->mmu);
	atomic_long_add(pn_vm_table_pages(vm), &pn_counts.table_pages);	/* leaked */
	pn_slots_fini(vm);
	cleanup_srcu_struct(&vm->srcu);
}

static void pn_vm_free(struct kref *ref)
{
	struct pn_vm *vm = container_of(ref, struct pn_vm, ref);

	pn_sysfs_vm_del(vm);
	mutex_lock(&pn_vms_lock);
	list_del(&vm->node);
	mutex_unlock(&pn_vms_lock);
	pn_vm_fini_parts(vm);
	mmdrop(vm->mm);
	kvfree(vm);
	atomic_long_dec(&pn_counts.vms);
}

void pn_vm_get(struct pn_vm *vm)
{
	kref_get(&vm->ref);
}

void pn_vm_put(struct pn_vm *vm)
{
	kref_put(&vm->ref, pn_vm_free);
}

static struct pn_vm *pn_vm_new(void)
{
	struct pn_vm *vm = kvzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	int r;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	kref_init(&vm->ref);
	mutex_init(&vm->lock);
	mutex_init(&vm->slots_lock);
	vm->pid = task_pid_nr(current);
	vm->max_vcpu_id = PN_MAX_VCPU_ID;
	vm->mm = current->mm;
	r = pn_vm_init_parts(vm);
	if (r) {
		kvfree(vm);
		return ERR_PTR(r);
	}
	mmgrab(vm->mm);
	atomic_long_inc(&pn_counts.vms);
	mutex_lock(&pn_vms_lock);
	vm->id = ++pn_last_vm_id;
	list_add_tail(&vm->node, &pn_vms);
	mutex_unlock(&pn_vms_lock);
	r = pn_sysfs_vm_add(vm);
	if (r) {
		pn_vm_put(vm);
		return ERR_PTR(r);
	}
	return vm;
}

/* ---- ioctls ---- */

static long pn_vm_enable_cap(struct pn_vm *vm, void __user *argp)
{
	struct kvm_enable_cap cap;
	long r;

	if (copy_from_user(&cap, argp, sizeof(cap)))
		return -EFAULT;
	mutex_lock(&vm->lock);
	r = pn_cap_enable(vm, &cap);
	mutex_unlock(&vm->lock);
	return r;
}

/* A page for Intel processors as below; nothing is to be kept. */
static long pn_vm_set_identity_map_addr(struct pn_vm *vm, void __user *argp)
{
	u64 addr;
	long r = 0;

	if (copy_from_user(&addr, argp, sizeof(addr)))
		return -EFAULT;
	mutex_lock(&vm->lock);
	if (vm->nr_vcpus)
		r = -EINVAL;
	mutex_unlock(&vm->lock);
	return r;
}

static long pn_vm_set_boot_cpu(struct pn_vm *vm, unsigned long id)
{
	long r;

	mutex_lock(&vm->lock);
	/* Which vCPU starts is user space's own affair without an APIC in the kernel. */
	r = vm->nr_vcpus ? -EBUSY : 0;
	mutex_unlock(&vm->lock);
	return r;
}

/* Three pages that Intel processors without unrestricted guest need; AMD's do not. */
static long pn_vm_set_tss_addr(unsigned long addr)
{
	if (addr > (unsigned int)(-3 * PAGE_SIZE))
		return -EINVAL;
	return 0;
}

static long pn_vm_ioctl(struct file *file, unsigned int nr, unsigned long arg)
{
	struct pn_vm *vm = file->private_data;
	void __user *argp = (void __user *)arg;

	if (vm->mm != current->mm)
		return -EIO;
	switch (nr) {
	case KVM_CREATE_VCPU:
		return pn_vcpu_create(vm, arg);
	case KVM_CHECK_EXTENSION:
		return pn_cap_check(vm, arg);
	case KVM_ENABLE_CAP:
		return pn_vm_enable_cap(vm, argp);
	case KVM_SET_USER_MEMORY_REGION:
		return pn_vm_set_user_memory_region(vm, argp);
	case KVM_GET_DIRTY_LOG:
		return pn_vm_get_dirty_log(vm, argp);
	case KVM_CLEAR_DIRTY_LOG:
		return pn_vm_clear_dirty_log(vm, argp);
	case KVM_REGISTER_COALESCED_MMIO:
		return pn_vm_register_coalesced(vm, argp);
	case KVM_UNREGISTER_COALESCED_MMIO:
		return pn_vm_unregister_coalesced(vm, argp);
	case KVM_IOEVENTFD:
		return pn_vm_ioeventfd(vm, argp);
	case KVM_SET_TSS_ADDR:
		return pn_vm_set_tss_addr(arg);
	case KVM_SET_IDENTITY_MAP_ADDR:
		return pn_vm_set_identity_map_addr(vm, argp);
	case KVM_SET_BOOT_CPU_ID:
		return pn_vm_set_boot_cpu(vm, arg);
	case KVM_GET_CLOCK:
		return pn_vm_get_clock(vm, argp);
	case KVM_SET_CLOCK:
		return pn_vm_set_clock(vm, argp);
	case KVM_SET_TSC_KHZ:
		return pn_vm_set_tsc_khz(vm, arg);
	case KVM_GET_TSC_KHZ:
		return READ_ONCE(vm->default_tsc_khz);
	case KVM_SET_NR_MMU_PAGES:
		return pn_vm_set_nr_mmu_pages(vm, arg);
	case KVM_GET_NR_MMU_PAGES:
		return pn_vm_get_nr_mmu_pages(vm);
	case KVM_SET_GSI_ROUTING:
		return -EINVAL;		/* no controller to route to */
	case KVM_GET_STATS_FD:
		return pn_vm_stats_fd(vm);
	default:
		return -ENOTTY;
	}
}

static int pn_vm_release(struct inode *inode, struct file *file)
{
	pn_vm_put(file->private_data);
	return 0;
}

static const struct file_operations pn_vm_fops = {
	.owner = THIS_MODULE,
	.release = pn_vm_release,
	.unlocked_ioctl = pn_vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

int pn_vm_create(unsigned long type)
{
	struct pn_vm *vm;
	int fd;

	if (type)
		return -EINVAL;
	vm = pn_vm_new();
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	fd = anon_inode_getfd("kvm-vm", &pn_vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		pn_vm_put(vm);
	return fd;
}
