// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/penumbra, one value a file:
 *
 *   version
 *   counters/{vms,vcpus,slots,ioeventfds,table_pages}   all zero without VMs
 *   vms/<id>/{pid,mmu,vcpus,memory_slots,memory_pages,table_pages,
 *                pages_4k,pages_2m,pages_1g,shadow_bytes,shadow_max_pages}
 *   vms/<id>/stat/<name>      of the VM, and the sum over its vCPUs
 *
 * Removing a folder waits for readers of its files and makes later reads of open
 * ones fail, so a file may use the VM without a reference.
 */
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include "kvm/slots.h"
#include "kvm/stats.h"
#include "kvm/vcpu.h"

struct pn_counts pn_counts;

static struct kobject *root_kobj, *vms_kobj;

/* ---- the module's ---- */

static ssize_t version_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", THIS_MODULE->version ?: "");
}

static struct kobj_attribute version_attr = __ATTR_RO(version);

#define COUNTER(_name)								\
static ssize_t _name##_show(struct kobject *kobj, struct kobj_attribute *attr,	\
			    char *buf)						\
{										\
	return sysfs_emit(buf, "%ld\n", atomic_long_read(&pn_counts._name));	\
}										\
static struct kobj_attribute _name##_attr = __ATTR_RO(_name)

COUNTER(vms);
COUNTER(vcpus);
COUNTER(slots);
COUNTER(ioeventfds);

static ssize_t table_pages_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	long nr = atomic_long_read(&pn_counts.table_pages);
	struct pn_vm *vm;

	mutex_lock(&pn_vms_lock);
	list_for_each_entry(vm, &pn_vms, node)
		nr += pn_vm_table_pages(vm);
	mutex_unlock(&pn_vms_lock);
	return sysfs_emit(buf, "%ld\n", nr);
}

static struct kobj_attribute table_pages_attr = __ATTR_RO(table_pages);

static struct attribute *root_attrs[] = { &version_attr.attr, NULL };
static struct attribute *counter_attrs[] = {
	&vms_attr.attr, &vcpus_attr.attr, &slots_attr.attr, &ioeventfds_attr.attr,
	&table_pages_attr.attr, NULL,
};
static const struct attribute_group root_group = { .attrs = root_attrs };
static const struct attribute_group counter_group = { .name = "counters", .attrs = counter_attrs };
static const struct attribute_group *root_groups[] = { &root_group, &counter_group, NULL };

/* ---- a VM's ---- */

struct pn_vm_dir {
	struct kobject kobj;
	struct pn_vm *vm;
};

struct vm_attribute {
	struct attribute attr;
	ssize_t (*show)(struct pn_vm *vm, const struct attribute *attr, char *buf);
	ssize_t (*store)(struct pn_vm *vm, const char *buf, size_t len);
};

static ssize_t vm_attr_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	struct vm_attribute *a = container_of(attr, struct vm_attribute, attr);

	return a->show(container_of(kobj, struct pn_vm_dir, kobj)->vm, attr, buf);
}

static ssize_t vm_attr_store(struct kobject *kobj, struct attribute *attr,
			     const char *buf, size_t len)
{
	struct vm_attribute *a = container_of(attr, struct vm_attribute, attr);

	if (!a->store)
		return -EIO;
	return a->store(container_of(kobj, struct pn_vm_dir, kobj)->vm, buf, len);
}

static const struct sysfs_ops vm_sysfs_ops = { .show = vm_attr_show, .store = vm_attr_store };

static ssize_t vm_pid_show(struct pn_vm *vm, const struct attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", vm->pid);
}

static ssize_t vm_mmu_show(struct pn_vm *vm, const struct attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", pn_mode_name(mmu_is_shadow(&vm->mmu) ? MMU_SHADOW : MMU_NESTED));
}

/* Modes that exist by name but cannot be had: EOPNOTSUPP. Others: EINVAL. */
static ssize_t vm_mmu_store(struct pn_vm *vm, const char *buf, size_t len)
{
	int r = pn_mode_by_name(buf);

	if (r >= 0)
		r = pn_vm_set_mode(vm, r);
	return r < 0 ? r : len;
}

static ssize_t vm_vcpus_show(struct pn_vm *vm, const struct attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(vm->nr_vcpus));
}

static ssize_t vm_memory_slots_show(struct pn_vm *vm, const struct attribute *attr, char *buf)
{
	int idx = srcu_read_lock(&vm->srcu);
	unsigned int nr = pn_slots_get(vm)->nr;

	srcu_read_unlock(&vm->srcu, idx);
	return sysfs_emit(buf, "%u\n", nr);
}

/* What the slots hold, in pages; memory that two slots show counts twice. */
static ssize_t vm_memory_pages_show(struct pn_vm *vm, const struct attribute *attr, char *buf)
{
	int idx = srcu_read_lock(&vm->srcu);
	struct pn_slots *slots = pn_slots_get(vm);
	u64 nr = 0;
	unsigned int i;

	for (i = 0; i < slots->nr; i++)
		nr += slots->slot[i]->nr_pages;
	srcu_read_unlock(&vm->srcu, idx);
	return sysfs_emit(buf, "%llu\n", nr);
}

static ssize_t vm_table_pages_show(struct pn_vm *vm, const struct attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lld\n", (long long)pn_vm_table_pages(vm));
}

static ssize_t vm_shadow_bytes_show(struct pn_vm *vm, const struct attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", mmu_shadow_bytes(&vm->mmu));
}

static ssize_t vm_shadow_max_pages_show(struct pn_vm *vm, const struct attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lu\n", READ_ONCE(vm->mmu.shadow_max));
}

static ssize_t vm_shadow_max_pages_store(struct pn_vm *vm, const char *buf, size_t len)
{
	unsigned long nr;
	int r = kstrtoul(buf, 0, &nr);

	if (!r)
		r = pn_vm_set_shadow_max(vm, nr);
	return r ?: len;
}

#define VM_MMU_ATTR(_name, _field)						\
static ssize_t vm_##_name##_show(struct pn_vm *vm, const struct attribute *attr,	\
				 char *buf)					\
{										\
	return sysfs_emit(buf, "%lld\n",					\
			  (long long)atomic64_read(&vm->mmu.stat._field));	\
}										\
static struct vm_attribute vm_##_name##_attr = {				\
	.attr = { .name = #_name, .mode = 0444 }, .show = vm_##_name##_show,	\
}

VM_MMU_ATTR(pages_4k, mapped[0]);
VM_MMU_ATTR(pages_2m, mapped[1]);
VM_MMU_ATTR(pages_1g, mapped[2]);

#define VM_ATTR(_name, _mode, _store)						\
static struct vm_attribute vm_##_name##_attr = {				\
	.attr = { .name = #_name, .mode = _mode },				\
	.show = vm_##_name##_show, .store = _store,				\
}

VM_ATTR(pid, 0444, NULL);
VM_ATTR(mmu, 0644, vm_mmu_store);
VM_ATTR(vcpus, 0444, NULL);
VM_ATTR(memory_slots, 0444, NULL);
VM_ATTR(memory_pages, 0444, NULL);
VM_ATTR(table_pages, 0444, NULL);
VM_ATTR(shadow_bytes, 0444, NULL);
VM_ATTR(shadow_max_pages, 0644, vm_shadow_max_pages_store);

static struct attribute *vm_attrs[] = {
	&vm_pid_attr.attr, &vm_mmu_attr.attr, &vm_vcpus_attr.attr, &vm_memory_slots_attr.attr,
	&vm_memory_pages_attr.attr, &vm_table_pages_attr.attr, &vm_pages_4k_attr.attr,
	&vm_pages_2m_attr.attr, &vm_pages_1g_attr.attr, &vm_shadow_bytes_attr.attr,
	&vm_shadow_max_pages_attr.attr, NULL,
};
static const struct attribute_group vm_group = { .attrs = vm_attrs };
static const struct attribute_group *vm_groups[] = { &vm_group, NULL };

/*
 * The files of stat/ come from the tables in stats.c. Their attributes are made
 * once, at module load: first the VM's own statistics, then the vCPUs'.
 */
struct stat_attribute {
	struct vm_attribute va;
	unsigned int index;
};

static struct stat_attribute *stat_attr;
static struct attribute_group stat_group = { .name = "stat" };

static ssize_t vm_stat_show(struct pn_vm *vm, const struct attribute *attr, char *buf)
{
	unsigned int i = container_of(attr, struct stat_attribute, va.attr)->index;
	unsigned int v, nr = smp_load_acquire(&vm->nr_vcpus);
	u64 sum = 0;

	if (i < pn_nr_vm_stats)
		return sysfs_emit(buf, "%llu\n", pn_vm_stat_read(vm, i));
	for (v = 0; v < nr; v++)
		sum += pn_vcpu_stat_read(READ_ONCE(vm->vcpus[v]), i - pn_nr_vm_stats);
	return sysfs_emit(buf, "%llu\n", sum);
}

static void stat_group_fini(void)
{
	kfree(stat_group.attrs);
	kfree(stat_attr);
	stat_group.attrs = NULL;
	stat_attr = NULL;
}

static int stat_group_init(void)
{
	unsigned int i, nr = pn_nr_vm_stats + pn_nr_vcpu_stats;

	stat_attr = kcalloc(nr, sizeof(*stat_attr), GFP_KERNEL);
	stat_group.attrs = kcalloc(nr + 1, sizeof(*stat_group.attrs), GFP_KERNEL);
	if (!stat_attr || !stat_group.attrs) {
		stat_group_fini();
		return -ENOMEM;
	}
	for (i = 0; i < nr; i++) {
		struct vm_attribute *va = &stat_attr[i].va;

		stat_attr[i].index = i;
		sysfs_attr_init(&va->attr);
		va->attr.name = i < pn_nr_vm_stats ? pn_vm_stat_desc[i].name :
				pn_vcpu_stat_desc[i - pn_nr_vm_stats].name;
		va->attr.mode = 0444;
		va->show = vm_stat_show;
		stat_group.attrs[i] = &va->attr;
	}
	return 0;
}

static void vm_dir_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct pn_vm_dir, kobj));
}

static const struct kobj_type vm_dir_type = {
	.release = vm_dir_release,
	.sysfs_ops = &vm_sysfs_ops,
	.default_groups = vm_groups,
};

int pn_sysfs_vm_add(struct pn_vm *vm)
{
	struct pn_vm_dir *dir = kzalloc(sizeof(*dir), GFP_KERNEL);
	int ret;

	if (!dir)
		return -ENOMEM;
	dir->vm = vm;
	ret = kobject_init_and_add(&dir->kobj, &vm_dir_type, vms_kobj, "%u", vm->id);
	if (!ret)
		ret = sysfs_create_group(&dir->kobj, &stat_group);
	if (ret) {
		kobject_put(&dir->kobj);
		return ret;
	}
	vm->dir = dir;
	return 0;
}

void pn_sysfs_vm_del(struct pn_vm *vm)
{
	if (!vm->dir)
		return;
	kobject_del(&vm->dir->kobj);	/* waits for readers */
	kobject_put(&vm->dir->kobj);
	vm->dir = NULL;
}

/* ---- module life ---- */

int pn_sysfs_init(void)
{
	int ret = stat_group_init();

	if (ret)
		return ret;
	root_kobj = kobject_create_and_add("penumbra", kernel_kobj);
	if (!root_kobj) {
		stat_group_fini();
		return -ENOMEM;
	}
	ret = sysfs_create_groups(root_kobj, root_groups);
	if (!ret) {
		vms_kobj = kobject_create_and_add("vms", root_kobj);
		ret = vms_kobj ? 0 : -ENOMEM;
	}
	if (ret)
		pn_sysfs_fini();
	return ret;
}

void pn_sysfs_fini(void)
{
	kobject_put(vms_kobj);
	kobject_put(root_kobj);
	vms_kobj = root_kobj = NULL;
	stat_group_fini();
}
