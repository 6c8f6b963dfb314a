// SPDX-License-Identifier: GPL-2.0
/*
 * vCPUs: creation, reset, the descriptor and its ioctls, and where the vCPU is
 * among the host's processors.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <linux/uaccess.h>
#include <trace/events/ipi.h>	/* smp_send_reschedule traces itself since 6.4 */
#include "kvm/iobus.h"
#include "kvm/vcpu.h"

/* ---- on the host's processors ---- */

static struct pn_vcpu *pn_of_notifier(struct preempt_notifier *n)
{
	return container_of(n, struct pn_vcpu, preempt_notifier);
}

static void pn_load_here(struct pn_vcpu *vcpu, int cpu_nr)
{
	cpu->vcpu_load(vcpu, cpu_nr);
	pn_clock_load(vcpu, cpu_nr);
	WRITE_ONCE(vcpu->cpu, cpu_nr);
}

static void pn_sched_in(struct preempt_notifier *n, int cpu_nr)
{
	pn_load_here(pn_of_notifier(n), cpu_nr);
}

static void pn_sched_out(struct preempt_notifier *n, struct task_struct *next)
{
	struct pn_vcpu *vcpu = pn_of_notifier(n);

	cpu->vcpu_put(vcpu);
	WRITE_ONCE(vcpu->cpu, -1);
}

static struct preempt_ops pn_preempt_ops = {
	.sched_in = pn_sched_in,
	.sched_out = pn_sched_out,
};

void pn_vcpu_load(struct pn_vcpu *vcpu)
{
	preempt_disable();
	preempt_notifier_register(&vcpu->preempt_notifier);
	pn_load_here(vcpu, smp_processor_id());
	preempt_enable();
}

void pn_vcpu_put(struct pn_vcpu *vcpu)
{
	preempt_disable();
	cpu->vcpu_put(vcpu);
	WRITE_ONCE(vcpu->cpu, -1);
	preempt_notifier_unregister(&vcpu->preempt_notifier);
	preempt_enable();
}

void pn_vcpu_request(struct pn_vcpu *vcpu, enum pn_request r)
{
	set_bit(r, &vcpu->requests);
}

void pn_vcpu_kick(struct pn_vcpu *vcpu)
{
	int here, there;

	smp_mb();	/* the request before the mode; pairs with pn_enter_loop */
	if (READ_ONCE(vcpu->mode) != PN_IN_GUEST)
		return;
	here = get_cpu();
	there = READ_ONCE(vcpu->cpu);
	if (there >= 0 && there != here)
		smp_send_reschedule(there);
	put_cpu();
}

/* Interrupts off: the entry that follows exits before the guest's first instruction. */
void pn_vcpu_exit_at_once(void)
{
	lockdep_assert_irqs_disabled();
	smp_send_reschedule(smp_processor_id());
}

/* ---- reset ---- */

#define PN_PAT_RESET	0x0007040600070406ULL	/* APM vol. 2, 7.8.2 */

static void pn_reset_fields(struct pn_vcpu *vcpu)
{
	struct kvm_cpuid_entry2 *leaf1 = pn_cpuid_find(vcpu, 1, 0);

	memset(&vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs.gpr[X86_RDX] = leaf1 ? leaf1->eax : 0x600;
	vcpu->regs.rip = 0xfff0;
	vcpu->regs.rflags = X86_EFLAGS_FIXED;
	vcpu->cr2 = vcpu->cr3 = vcpu->cr4 = vcpu->cr8 = 0;
	vcpu->efer = 0;
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	vcpu->dr6 = PN_DR6_RESET;
	vcpu->dr7 = PN_DR7_RESET;
	vcpu->int_shadow = 0;
	vcpu->events.exception = (struct pn_exception){ };
	vcpu->events.irq.injected = vcpu->events.irq.waits = false;
	vcpu->events.nmi_injected = false;
	vcpu->events.nmi_masked = false;
	atomic_set(&vcpu->events.nmi_pending, 0);
}

/* APM vol. 2, 14.1.3, table 14-1. INIT leaves caches, x87, SSE, MTRRs and most MSRs alone. */
void pn_vcpu_reset(struct pn_vcpu *vcpu, bool init)
{
	u64 cd_nw = vcpu->cr0 & (X86_CR0_CD | X86_CR0_NW);

	pn_reset_fields(vcpu);
	if (init) {
		vcpu->cr0 = X86_CR0_ET | cd_nw;
	} else {
		vcpu->cr0 = X86_CR0_ET | X86_CR0_CD | X86_CR0_NW;
		vcpu->pat = PN_PAT_RESET;
		pn_fpu_reset(vcpu);
		pn_msr_reset(vcpu);
	}
	cpu->vcpu_reset(vcpu, init);
	pn_mmu_changed(vcpu, MMU_LOAD_ALL);
}

/* ---- the descriptor ---- */

static vm_fault_t pn_vcpu_fault(struct vm_fault *vmf)
{
	struct pn_vcpu *vcpu = vmf->vma->vm_file->private_data;
	struct page *page;

	switch (vmf->pgoff) {
	case 0:
		page = virt_to_page(vcpu->run);
		break;
	case KVM_PIO_PAGE_OFFSET:
		page = virt_to_page(vcpu->pio_data);
		break;
	case KVM_COALESCED_MMIO_PAGE_OFFSET:
		page = pn_coalesced_page(vcpu->vm);
		break;
	default:
		return VM_FAULT_SIGBUS;
	}
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct pn_vcpu_vm_ops = {
	.fault = pn_vcpu_fault,
};

static int pn_vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &pn_vcpu_vm_ops;
	return 0;
}

static int pn_vcpu_release(struct inode *inode, struct file *file)
{
	struct pn_vcpu *vcpu = file->private_data;

	pn_vm_put(vcpu->vm);
	return 0;
}

long pn_vcpu_set_signal_mask(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_signal_mask __user *user = argp;
	struct kvm_signal_mask mask;
	sigset_t set;

	if (!argp) {
		vcpu->sigset_active = false;
		return 0;
	}
	if (copy_from_user(&mask, user, sizeof(mask)))
		return -EFAULT;
	if (mask.len != sizeof(set))
		return -EINVAL;
	if (copy_from_user(&set, user->sigset, sizeof(set)))
		return -EFAULT;
	sigdelsetmask(&set, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigset = set;
	vcpu->sigset_active = true;
	return 0;
}

static long pn_vcpu_enable_cap(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_enable_cap cap;

	if (copy_from_user(&cap, argp, sizeof(cap)))
		return -EFAULT;
	/* None is offered on a vCPU. */
	return -EINVAL;
}

static const struct {
	unsigned int nr;
	pn_vcpu_ioctl_fn *fn;
} pn_vcpu_ioctls[] = {
	{ KVM_GET_REGS,			pn_vcpu_get_regs },
	{ KVM_SET_REGS,			pn_vcpu_set_regs },
	{ KVM_GET_SREGS,		pn_vcpu_get_sregs },
	{ KVM_SET_SREGS,		pn_vcpu_set_sregs },
	{ KVM_GET_SREGS2,		pn_vcpu_get_sregs2 },
	{ KVM_SET_SREGS2,		pn_vcpu_set_sregs2 },
	{ KVM_GET_VCPU_EVENTS,		pn_vcpu_get_events },
	{ KVM_SET_VCPU_EVENTS,		pn_vcpu_set_events },
	{ KVM_GET_MP_STATE,		pn_vcpu_get_mp_state },
	{ KVM_SET_MP_STATE,		pn_vcpu_set_mp_state },
	{ KVM_GET_DEBUGREGS,		pn_vcpu_get_debugregs },
	{ KVM_SET_DEBUGREGS,		pn_vcpu_set_debugregs },
	{ KVM_SET_GUEST_DEBUG,		pn_vcpu_set_guest_debug },
	{ KVM_GET_FPU,			pn_vcpu_get_fpu },
	{ KVM_SET_FPU,			pn_vcpu_set_fpu },
	{ KVM_GET_XSAVE,		pn_vcpu_get_xsave },
	{ KVM_GET_XSAVE2,		pn_vcpu_get_xsave2 },
	{ KVM_SET_XSAVE,		pn_vcpu_set_xsave },
	{ KVM_GET_XCRS,			pn_vcpu_get_xcrs },
	{ KVM_SET_XCRS,			pn_vcpu_set_xcrs },
	{ KVM_GET_MSRS,			pn_vcpu_get_msrs },
	{ KVM_SET_MSRS,			pn_vcpu_set_msrs },
	{ KVM_X86_SETUP_MCE,		pn_vcpu_setup_mce },
	{ KVM_X86_SET_MCE,		pn_vcpu_set_mce },
	{ KVM_SET_CPUID,		pn_vcpu_set_cpuid },
	{ KVM_SET_CPUID2,		pn_vcpu_set_cpuid2 },
	{ KVM_GET_CPUID2,		pn_vcpu_get_cpuid2 },
	{ KVM_GET_TSC_KHZ,		pn_vcpu_get_tsc_khz },
	{ KVM_KVMCLOCK_CTRL,		pn_vcpu_kvmclock_ctrl },
	{ KVM_TRANSLATE,		pn_vcpu_translate },
	{ KVM_SET_SIGNAL_MASK,		pn_vcpu_set_signal_mask },
	{ KVM_INTERRUPT,		pn_vcpu_interrupt },
	{ KVM_NMI,			pn_vcpu_nmi },
	{ KVM_ENABLE_CAP,		pn_vcpu_enable_cap },
};

static long pn_vcpu_ioctl_locked(struct pn_vcpu *vcpu, unsigned int nr, unsigned long arg)
{
	unsigned int i;
	long r = -EINVAL;
	int srcu;

	switch (nr) {
	case KVM_RUN:
		return arg ? -EINVAL : pn_vcpu_run(vcpu);
	case KVM_SET_TSC_KHZ:
		return pn_vcpu_set_tsc_khz(vcpu, arg);
	case KVM_GET_STATS_FD:
		return pn_vcpu_stats_fd(vcpu);
	}
	srcu = pn_vm_enter(vcpu->vm);
	for (i = 0; i < ARRAY_SIZE(pn_vcpu_ioctls); i++) {
		if (pn_vcpu_ioctls[i].nr == nr) {
			r = pn_vcpu_ioctls[i].fn(vcpu, (void __user *)arg);
			break;
		}
	}
	srcu_read_unlock(&vcpu->vm->srcu, srcu);
	return r;
}

static long pn_vcpu_ioctl(struct file *file, unsigned int nr, unsigned long arg)
{
	struct pn_vcpu *vcpu = file->private_data;
	long r;

	if (vcpu->vm->mm != current->mm)
		return -EIO;
	if (_IOC_TYPE(nr) != KVMIO)
		return -EINVAL;
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	r = pn_vcpu_ioctl_locked(vcpu, nr, arg);
	mutex_unlock(&vcpu->mutex);
	return r;
}

static const struct file_operations pn_vcpu_fops = {
	.owner = THIS_MODULE,
	.release = pn_vcpu_release,
	.unlocked_ioctl = pn_vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = pn_vcpu_mmap,
	.llseek = noop_llseek,
};

/* ---- creation ---- */

static int pn_vcpu_alloc_pages(struct pn_vcpu *vcpu)
{
	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vcpu->pio_data = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return vcpu->run && vcpu->pio_data ? 0 : -ENOMEM;
}

static void pn_vcpu_free_pages(struct pn_vcpu *vcpu)
{
	free_page((unsigned long)vcpu->run);
	free_page((unsigned long)vcpu->pio_data);
}

static struct pn_vcpu *pn_vcpu_new(struct pn_vm *vm, unsigned int id)
{
	struct pn_vcpu *vcpu = kzalloc(cpu->vcpu_size, GFP_KERNEL_ACCOUNT);
	int r = -ENOMEM;

	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->cpu = -1;
	mutex_init(&vcpu->mutex);
	preempt_notifier_init(&vcpu->preempt_notifier, &pn_preempt_ops);
	if (pn_vcpu_alloc_pages(vcpu))
		goto free_pages;
	r = pn_fpu_init(vcpu);
	if (r)
		goto free_pages;
	r = mmu_vcpu_init(&vcpu->mmu, &vm->mmu);
	if (r)
		goto free_fpu;
	r = cpu->vcpu_init(vcpu);
	if (r)
		goto free_mmu;
	pn_cpuid_vcpu_init(vcpu);
	pn_clock_vcpu_init(vcpu);
	pn_vcpu_reset(vcpu, false);
	atomic_long_inc(&pn_counts.vcpus);
	return vcpu;

free_mmu:
	mmu_vcpu_fini(&vcpu->mmu);
free_fpu:
	pn_fpu_fini(vcpu);
free_pages:
	pn_vcpu_free_pages(vcpu);
	kfree(vcpu);
	return ERR_PTR(r);
}

void pn_vcpu_free(struct pn_vcpu *vcpu)
{
	cpu->vcpu_fini(vcpu);
	mmu_vcpu_fini(&vcpu->mmu);
	pn_fpu_fini(vcpu);
	kvfree(vcpu->cpuid);
	pn_vcpu_free_pages(vcpu);
	kfree(vcpu);
	atomic_long_dec(&pn_counts.vcpus);
}

static int pn_vcpu_may_add(struct pn_vm *vm, unsigned int id)
{
	unsigned int i;

	lockdep_assert_held(&vm->lock);
	for (i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpus[i]->id == id)
			return -EEXIST;
	}
	return vm->nr_vcpus < PN_MAX_VCPUS ? 0 : -EINVAL;
}

/* The last step cannot fail: once published a vCPU lives as long as its VM. */
static int pn_vcpu_install(struct pn_vm *vm, struct pn_vcpu *vcpu)
{
	struct file *file;
	char name[32];
	int fd, r;

	r = pn_vcpu_may_add(vm, vcpu->id);
	if (r)
		return r;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	snprintf(name, sizeof(name), "kvm-vcpu:%u", vcpu->id);
	file = anon_inode_getfile(name, &pn_vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	pn_vm_get(vm);
	vcpu->index = vm->nr_vcpus;
	/* Somebody may keep readers out of the slots, or change the mode, and not have seen this vCPU. */
	pn_vcpu_request(vcpu, PN_REQ_SLOTS);
	pn_vcpu_request(vcpu, PN_REQ_MMU_MODE);
	WRITE_ONCE(vm->vcpus[vcpu->index], vcpu);
	smp_store_release(&vm->nr_vcpus, vm->nr_vcpus + 1);
	mutex_lock(&vm->slots_lock);
	pn_shadow_limit_update(vm);
	mutex_unlock(&vm->slots_lock);
	fd_install(fd, file);
	return fd;
}

int pn_vcpu_create(struct pn_vm *vm, unsigned long id)
{
	struct pn_vcpu *vcpu;
	int fd, r, srcu;

	if (id >= vm->max_vcpu_id)
		return -EINVAL;
	mutex_lock(&vm->lock);
	r = pn_vcpu_may_add(vm, id);
	mutex_unlock(&vm->lock);
	if (r)
		return r;
	srcu = pn_vm_enter(vm);
	vcpu = pn_vcpu_new(vm, id);
	srcu_read_unlock(&vm->srcu, srcu);
	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);
	mutex_lock(&vm->lock);
	fd = pn_vcpu_install(vm, vcpu);
	mutex_unlock(&vm->lock);
	if (fd < 0)
		pn_vcpu_free(vcpu);
	return fd;
}
