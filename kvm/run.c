// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_RUN: the vCPU's loop.
 *
 *   pn_vcpu_run                    signals, unfinished I/O
 *     pn_run_loop                  may sleep: work, requests, slow exits
 *       pn_enter_loop              preemption off, guest FPU loaded
 *         ┌─► interrupts off, requests? work? ──yes──► out
 *         │   events in, world switch
 *         │   interrupts on
 *         └── fast exits
 *
 * vcpu->mode and vcpu->requests form the handshake with other threads, which set
 * a request and then look at the mode; here the mode is set first and the
 * requests are looked at afterwards (docs/locking.md). vm->srcu is held throughout,
 * across guest time, and let go of when PN_REQ_SLOTS asks.
 */
#include <linux/entry-kvm.h>
#include <linux/sched/signal.h>
#include <linux/vtime.h>
#include <asm/fpu/api.h>
#include "kapi/kernel/compat.h"
#include "kvm/power.h"
#include "kvm/trace.h"
#include "kvm/vcpu.h"

/* Interrupts off. */
static bool pn_must_leave(struct pn_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests) || xfer_to_guest_mode_work_pending() ||
	       unlikely(!__this_cpu_read(pn_cpu_on));
}

/* One world switch. Interrupts are off on entry and on at return. */
static void pn_enter_once(struct pn_vcpu *vcpu)
{
	pn_deliver_events(vcpu);
	trace_kvm_entry(vcpu);
	vtime_account_guest_enter();
	pn_fpu_enter(vcpu);
	cpu->enter(vcpu);
	pn_fpu_leave(vcpu);
	WRITE_ONCE(vcpu->mode, PN_OUTSIDE_GUEST);
	/*
	 * The interrupt that ended the guest is taken here, still in guest time: the
	 * tick charges the guest. It is not taken right behind the enabling instruction.
	 */
	local_irq_enable();
	vcpu->stat.exits++;
	local_irq_disable();
	vtime_account_guest_exit();
	local_irq_enable();
}

/* True: the last exit needs cpu->handle_exit. */
static bool pn_enter_loop(struct pn_vcpu *vcpu)
{
	bool slow = false;

	preempt_disable();
	kernel_fpu_begin_mask(0);
	pn_fpu_load(vcpu);
	for (;;) {
		local_irq_disable();
		WRITE_ONCE(vcpu->mode, PN_IN_GUEST);
		smp_mb();	/* mode before requests; pairs with pn_vcpu_kick and pn_vm_request_all */
		if (pn_must_leave(vcpu)) {
			WRITE_ONCE(vcpu->mode, PN_OUTSIDE_GUEST);
			local_irq_enable();
			break;
		}
		pn_enter_once(vcpu);
		if (!cpu->handle_exit_fast(vcpu)) {
			slow = true;
			break;
		}
	}
	pn_fpu_put(vcpu);
	kernel_fpu_end();
	preempt_enable();
	return slow;
}

static bool pn_take_request(struct pn_vcpu *vcpu, enum pn_request r)
{
	return test_bit(r, &vcpu->requests) && test_and_clear_bit(r, &vcpu->requests);
}

/* As cpu_ops.handle_exit. */
static int pn_handle_requests(struct pn_vcpu *vcpu)
{
	if (pn_take_request(vcpu, PN_REQ_SLOTS))
		pn_vcpu_drop_slots(vcpu);
	if (pn_take_request(vcpu, PN_REQ_MMU_MODE))
		pn_mmu_enter_mode(vcpu);
	if (pn_take_request(vcpu, PN_REQ_MMU_LOAD) && pn_mmu_load(vcpu, 0) != MMU_RESUME) {
		pn_vcpu_request(vcpu, PN_REQ_MMU_LOAD);
		return pn_memory_error(vcpu);
	}
	if (pn_take_request(vcpu, PN_REQ_TLB_FLUSH)) {
		vcpu->stat.tlb_flush++;
		cpu->tlb_flush(vcpu);
	}
	if (pn_take_request(vcpu, PN_REQ_CLOCK))
		pn_clock_update(vcpu);
	if (pn_take_request(vcpu, PN_REQ_TRIPLE_FAULT)) {
		vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
		return 0;
	}
	return 1;
}

static bool pn_offer_irq_window(struct pn_vcpu *vcpu)
{
	if (likely(!vcpu->irq_window_wanted) || !pn_ready_for_irq(vcpu))
		return false;
	vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	vcpu->stat.request_irq_exits++;
	return true;
}

static int pn_run_loop(struct pn_vcpu *vcpu)
{
	int r;

	for (;;) {
		if (unlikely(READ_ONCE(vcpu->requests))) {
			r = pn_handle_requests(vcpu);
			if (r <= 0)
				return r;
		}
		if (pn_offer_irq_window(vcpu))
			return 0;
		if (__xfer_to_guest_mode_work_pending()) {
			srcu_read_unlock(&vcpu->vm->srcu, vcpu->srcu_index);
			r = pn_handle_work();
			vcpu->srcu_index = pn_vm_enter(vcpu->vm);
			if (r) {
				vcpu->run->exit_reason = KVM_EXIT_INTR;
				vcpu->stat.signal_exits++;
				return -EINTR;
			}
			continue;	/* the mode may be another one: that comes first */
		}
		r = mmu_vcpu_topup(&vcpu->mmu);
		if (r)
			return r;
		if (!pn_enter_loop(vcpu))
			continue;
		pn_audit(vcpu);
		r = cpu->handle_exit(vcpu);
		if (r <= 0)
			return r;
	}
}

/* What user space's interrupt controllers need to see after every run. */
static void pn_fill_run(struct pn_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->if_flag = !!(vcpu->regs.rflags & X86_EFLAGS_IF);
	run->flags = 0;
	run->cr8 = vcpu->cr8;
	run->apic_base = vcpu->apic_base;
	run->ready_for_interrupt_injection = pn_ready_for_irq(vcpu);
	if (run->kvm_valid_regs)
		pn_sync_regs_store(vcpu);
}

static long pn_run_checked(struct pn_vcpu *vcpu)
{
	int (*complete_io)(struct pn_vcpu *vcpu) = vcpu->complete_io;
	struct kvm_run *run = vcpu->run;
	int r;

	if (pn_set_cr8(vcpu, run->cr8))
		return -EINVAL;
	if (complete_io) {
		vcpu->complete_io = NULL;
		r = complete_io(vcpu);
		if (r <= 0)
			return r;
	}
	if (compat_immediate_exit(run))
		return -EINTR;
	return pn_run_loop(vcpu);
}

/*
 * real_blocked tells the kernel that what the mask lets through is waited for: it stays
 * pending for the caller, and neither kills nor is dropped (as in sigtimedwait).
 */
static void pn_mask_signals(struct pn_vcpu *vcpu)
{
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
}

static void pn_unmask_signals(struct pn_vcpu *vcpu)
{
	if (!vcpu->sigset_active)
		return;
	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
	sigemptyset(&current->real_blocked);
}

/* What user space has written beside the ioctls. PAE's top entries are read from guest memory: as in an ioctl. */
static int pn_load_dirty_regs(struct pn_vcpu *vcpu)
{
	int srcu = pn_vm_enter(vcpu->vm);
	int r = pn_sync_regs_load(vcpu);

	srcu_read_unlock(&vcpu->vm->srcu, srcu);
	return r;
}

long pn_vcpu_run(struct pn_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	long r;

	if ((run->kvm_valid_regs & ~KVM_SYNC_X86_VALID_FIELDS) ||
	    (run->kvm_dirty_regs & ~KVM_SYNC_X86_VALID_FIELDS))
		return -EINVAL;
	if (run->kvm_dirty_regs) {
		r = pn_load_dirty_regs(vcpu);
		if (r)
			return r;
	}
	pn_mask_signals(vcpu);
	run->flags = 0;
	vcpu->irq_window_wanted = READ_ONCE(run->request_interrupt_window);

	pn_vcpu_load(vcpu);
	vcpu->srcu_index = pn_vm_enter(vcpu->vm);
	mmu_devices_ran(&vcpu->vm->mmu);
	r = pn_run_checked(vcpu);
	pn_fill_run(vcpu);
	srcu_read_unlock(&vcpu->vm->srcu, vcpu->srcu_index);
	pn_vcpu_put(vcpu);

	vcpu->stat.user_exits++;
	trace_kvm_userspace_exit(run->exit_reason, r);
	pn_unmask_signals(vcpu);
	return r;
}
