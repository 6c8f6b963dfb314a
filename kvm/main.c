// SPDX-License-Identifier: GPL-2.0
/*
 * The module: finds out whether this machine can be used, turns the
 * virtualization extension on, and offers /dev/kvm.
 */
#include <linux/kvm.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include "kvm/caps.h"
#include "kvm/power.h"
#include "kvm/stats.h"
#include "kvm/trace.h"
#include "kvm/vcpu.h"

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Penumbra: a hypervisor with the KVM API");
MODULE_VERSION("0.1");
MODULE_ALIAS_MISCDEV(KVM_MINOR);
MODULE_ALIAS("devname:kvm");

const struct cpu_ops *cpu;
bool cpu_has_nested;

/* ---- /dev/kvm ---- */

static long pn_dev_ioctl(struct file *file, unsigned int nr, unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (nr) {
	case KVM_GET_API_VERSION:
		return arg ? -EINVAL : KVM_API_VERSION;
	case KVM_CREATE_VM:
		return pn_vm_create(arg);
	case KVM_CHECK_EXTENSION:
		return pn_cap_check(NULL, arg);
	case KVM_GET_VCPU_MMAP_SIZE:
		/* struct kvm_run, the port I/O data, the coalesced ring */
		return arg ? -EINVAL : 3 * PAGE_SIZE;
	case KVM_GET_SUPPORTED_CPUID:
		return pn_sys_get_supported_cpuid(argp, false);
	case KVM_GET_EMULATED_CPUID:
		return pn_sys_get_supported_cpuid(argp, true);
	case KVM_GET_MSR_INDEX_LIST:
		return pn_sys_get_msr_index_list(argp);
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		return pn_sys_get_msr_feature_index_list(argp);
	case KVM_GET_MSRS:
		return pn_sys_get_feature_msrs(argp);
	case KVM_X86_GET_MCE_CAP_SUPPORTED:
		return pn_sys_get_mce_cap(argp);
#ifdef KVM_TRACE_ENABLE		/* gone from the API in 6.4; the stock module answers as here */
	case KVM_TRACE_ENABLE:
	case KVM_TRACE_PAUSE:
	case KVM_TRACE_DISABLE:
		return -EOPNOTSUPP;
#endif
	default:
		return -EINVAL;
	}
}

static const struct file_operations pn_dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = pn_dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice pn_dev = {
	.minor = KVM_MINOR,
	.name = "kvm",
	.fops = &pn_dev_fops,
};

/* ---- load and unload ---- */

/* Two hypervisors cannot share the extension, nor two modules the kvm tracepoints. */
static int pn_refuse_beside_stock(void)
{
	if (!__symbol_get("kvm_cpu_caps"))
		return 0;
	__symbol_put("kvm_cpu_caps");
	pr_err("penumbra_kvm: the stock kvm module is loaded; unload kvm_amd, kvm_intel and kvm first\n");
	return -EBUSY;
}

static int __init pn_init_parts(void)
{
	int r;

	r = pn_fpu_setup();
	if (r)
		return r;
	r = pn_cpuid_init();
	if (r)
		return r;
	r = pn_vm_setup();
	if (r)
		return r;
	r = pn_reclaim_init();
	if (r)
		goto teardown_vm;
	r = pn_sysfs_init();
	if (r)
		goto fini_reclaim;
	return 0;

fini_reclaim:
	pn_reclaim_fini();
teardown_vm:
	pn_vm_teardown();
	return r;
}

static void pn_fini_parts(void)
{
	pn_sysfs_fini();
	pn_reclaim_fini();
	pn_vm_teardown();
}

static int __init pn_init(void)
{
	int r;

	r = pn_refuse_beside_stock();
	if (r)
		return r;
	cpu = &svm_ops;
	r = cpu->setup();
	if (r)
		return r;
	r = pn_trace_register();
	if (r)
		goto teardown_cpu;
	r = pn_power_init();
	if (r)
		goto teardown_cpu;
	r = pn_init_parts();
	if (r)
		goto fini_power;
	preempt_notifier_inc();
	r = misc_register(&pn_dev);
	if (r) {
		pr_err("penumbra_kvm: /dev/kvm is taken by another module\n");
		goto fini_parts;
	}
	pr_info("penumbra_kvm: ready on %s\n", cpu->name);
	return 0;

fini_parts:
	preempt_notifier_dec();
	pn_fini_parts();
fini_power:
	pn_power_fini();
teardown_cpu:
	cpu->teardown();
	return r;
}

static void __exit pn_exit(void)
{
	misc_deregister(&pn_dev);
	preempt_notifier_dec();
	pn_fini_parts();
	pn_power_fini();
	cpu->teardown();
}

module_init(pn_init);
module_exit(pn_exit);
