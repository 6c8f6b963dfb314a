// SPDX-License-Identifier: GPL-2.0
/*
 * AMD backend: module, processor and vCPU life, and the path into the guest.
 */
#include <linux/cc_platform.h>
#include <linux/cpufeature.h>
#include <linux/hw_breakpoint.h>
#include <linux/percpu.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/fpu/api.h>
#include <asm/mce.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/spec-ctrl.h>
#include "cpu/svm/svm.h"
#include "kvm/context.h"
#include "kvm/power.h"
#include "kvm/trace.h"
#include "mmu/mmu.h"

#define SVM_CPUID_LEAF		0x8000000a	/* APM vol. 3, appendix E.4.9 */
#define SVM_DR7_ENABLES		0xff		/* L0-3, G0-3 */
#define SVM_VM_CR		0xc0010114
#define SVM_VM_CR_DISABLED	BIT_ULL(4)
#define SVM_VM_HSAVE_PA		0xc0010117

DEFINE_PER_CPU(struct svm_cpu, svm_cpu);
struct svm_features svm_features;

static void svm_free_cpus(void)
{
	int i;

	for_each_possible_cpu(i) {
		struct svm_cpu *sc = per_cpu_ptr(&svm_cpu, i);

		if (sc->hsave)
			__free_page(sc->hsave);
		if (sc->host_vmcb)
			__free_page(sc->host_vmcb);
		memset(sc, 0, sizeof(*sc));
	}
}

static int svm_alloc_cpus(u32 nr_asids)
{
	int i;

	for_each_possible_cpu(i) {
		struct svm_cpu *sc = per_cpu_ptr(&svm_cpu, i);

		sc->hsave = alloc_page(GFP_KERNEL | __GFP_ZERO);
		sc->host_vmcb = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!sc->hsave || !sc->host_vmcb) {
			svm_free_cpus();
			return -ENOMEM;
		}
		sc->host_vmcb_pa = page_to_phys(sc->host_vmcb);
		sc->asid_generation = 1;
		sc->nr_asids = nr_asids;
		sc->next_asid = 1;
	}
	return 0;
}

static int svm_setup(void)
{
	u32 eax, nr_asids, ecx, edx;
	u64 vm_cr;
	int r;

	if (boot_cpu_data.x86_vendor != X86_VENDOR_AMD &&
	    boot_cpu_data.x86_vendor != X86_VENDOR_HYGON) {
		pr_err("penumbra_kvm: not an AMD processor; the Intel backend does not exist yet\n");
		return -EOPNOTSUPP;
	}
	if (!boot_cpu_has(X86_FEATURE_SVM)) {
		pr_err("penumbra_kvm: this processor has no SVM, or the firmware hides it\n");
		return -EOPNOTSUPP;
	}
	if (!rdmsrl_safe(SVM_VM_CR, &vm_cr) && (vm_cr & SVM_VM_CR_DISABLED)) {
		pr_err("penumbra_kvm: SVM is disabled by the firmware; enable it in the setup\n");
		return -EOPNOTSUPP;
	}
	if (cc_platform_has(CC_ATTR_HOST_MEM_ENCRYPT)) {
		pr_err("penumbra_kvm: the host encrypts its memory (SME), which is not supported; boot with mem_encrypt=off\n");
		return -EOPNOTSUPP;
	}
	cpuid(SVM_CPUID_LEAF, &eax, &nr_asids, &ecx, &edx);
	cpu_has_nested = edx & BIT(0);
	svm_features.nrips = edx & BIT(3);
	svm_features.vmcb_clean = edx & BIT(5);
	svm_features.flush_by_asid = edx & BIT(6);
	svm_features.decode_assists = svm_features.nrips && (edx & BIT(7));
	svm_features.pause_filter = edx & BIT(10);
	svm_features.v_spec_ctrl = edx & BIT(20);
	svm_features.invpcid = boot_cpu_has(X86_FEATURE_INVPCID);
	svm_features.int3_is_intn = svm_features.injects_twice = svm_features.forgets_shadow =
		svm_features.busy_tss_aborts =
		boot_cpu_has(X86_FEATURE_HYPERVISOR) && hypervisor_cpuid_base("TCGTCGTCGTCG", 0);
	if (nr_asids < 2) {
		pr_err("penumbra_kvm: the processor offers no ASIDs\n");
		return -EOPNOTSUPP;
	}
	r = svm_alloc_cpus(nr_asids);
	if (r)
		return r;
	r = svm_permissions_setup();
	if (r)
		svm_free_cpus();
	return r;
}

static void svm_teardown(void)
{
	svm_permissions_teardown();
	svm_free_cpus();
}

/*
 * The host's state that VMRUN does not save; it is loaded after each exit. Interrupts off,
 * and the extension on.
 */
static void svm_save_host(struct svm_cpu *sc)
{
	asm volatile("vmsave %0" : : "a"(sc->host_vmcb_pa) : "memory");
}

static int svm_cpu_enable(void)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpu);
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME) {
		pr_err("penumbra_kvm: another hypervisor uses SVM on CPU %d\n", smp_processor_id());
		return -EBUSY;
	}
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(SVM_VM_HSAVE_PA, page_to_phys(sc->hsave));
	/* Whatever the TLB holds of earlier ASIDs is stale: start a generation. */
	sc->asid_generation++;
	sc->next_asid = sc->nr_asids;
	/* A vCPU may have been loaded here while it was off. */
	svm_save_host(sc);
	return 0;
}

static void svm_cpu_disable(void)
{
	u64 efer;

	wrmsrl(SVM_VM_HSAVE_PA, 0);
	rdmsrl(MSR_EFER, efer);
	wrmsrl(MSR_EFER, efer & ~EFER_SVME);
}

static void svm_init_intercepts(struct svm_vcpu *svm)
{
	static const u8 always[] = {
		SVM_CR_WRITE + 4, SVM_CR_WRITE + 8, SVM_CR0_SELECTIVE,
		SVM_EXCEPTION + X86_TRAP_DB, SVM_EXCEPTION + X86_TRAP_AC,
		SVM_EXCEPTION + X86_TRAP_MC,
		SVM_INTR, SVM_NMI, SVM_SMI, SVM_INIT, SVM_SHUTDOWN,
		SVM_RDPMC, SVM_CPUID, SVM_INVD, SVM_HLT, SVM_INVLPGA,
		SVM_IOIO, SVM_MSR, SVM_WBINVD, SVM_XSETBV, SVM_RDPRU,
		SVM_MONITOR, SVM_MWAIT, SVM_VMRUN, SVM_VMMCALL, SVM_VMLOAD,
		SVM_VMSAVE, SVM_STGI, SVM_CLGI, SVM_SKINIT,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(always); i++)
		svm_intercept(svm, always[i]);
	for (i = 0; i < 8; i++) {
		svm_intercept(svm, SVM_DR_READ + i);
		svm_intercept(svm, SVM_DR_WRITE + i);
	}
	if (svm_features.pause_filter) {
		/* A vCPU that spins for one that does not run gives its time away. */
		svm->vmcb->control.pause_count = 3000;
		svm->vmcb->control.pause_threshold = 128;
		svm_intercept(svm, SVM_PAUSE);
	}
}

static int svm_vcpu_init(struct pn_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	int r;

	svm->vmcb = (struct vmcb *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!svm->vmcb)
		return -ENOMEM;
	r = svm_msrpm_init(svm);
	if (r) {
		free_page((unsigned long)svm->vmcb);
		return r;
	}
	svm->vmcb_pa = __pa(svm->vmcb);
	svm->asid_cpu = -1;
	return 0;
}

static void svm_vcpu_fini(struct pn_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	int i;

	/* A later vCPU at the same address must not pass for this one, which runs nowhere any more. */
	for_each_possible_cpu(i)
		cmpxchg(&per_cpu_ptr(&svm_cpu, i)->last, svm, NULL);
	svm_msrpm_fini(svm);
	free_page((unsigned long)svm->vmcb);
}

/* RESET and INIT: the control area starts anew, too (it is undefined after a shutdown). */
static void svm_vcpu_reset(struct pn_vcpu *vcpu, bool init)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_control *c = &svm->vmcb->control;

	memset(svm->vmcb, 0, sizeof(*svm->vmcb));
	svm->asid_generation = 0;
	svm->iret_intercepted = false;
	svm->nmi_singlestep = false;
	svm_init_intercepts(svm);
	c->iopm_pa = svm_iopm_pa();
	c->msrpm_pa = __pa(svm->msrpm);
	c->vintr = SVM_V_INTR_MASKING;
	svm_reset(vcpu, init);
}

/* What the kernel's own entry code and vDSO expect: node and CPU. */
static u32 svm_host_tsc_aux(void)
{
	int c = smp_processor_id();

	return cpu_to_node(c) << 12 | c;
}

static void svm_vcpu_load(struct pn_vcpu *vcpu, int cpu_nr)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpu);
	unsigned long flags;

	local_irq_save(flags);
	if (__this_cpu_read(pn_cpu_on))
		svm_save_host(sc);
	local_irq_restore(flags);
	if (svm->asid_cpu != cpu_nr) {
		svm->asid_cpu = cpu_nr;
		svm->asid_generation = 0;
		/* The cached parts of the VMCB are in the other processor. */
		svm->vmcb->control.clean = 0;
	}
	if (READ_ONCE(sc->last) != svm) {
		WRITE_ONCE(sc->last, svm);
		indirect_branch_prediction_barrier();
	}
	if (vcpu->has_rdtscp && vcpu->tsc_aux != svm_host_tsc_aux())
		wrmsrl(MSR_TSC_AUX, vcpu->tsc_aux);
}

static void svm_vcpu_put(struct pn_vcpu *vcpu)
{
	if (vcpu->has_rdtscp && vcpu->tsc_aux != svm_host_tsc_aux())
		wrmsrl(MSR_TSC_AUX, svm_host_tsc_aux());
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
}

/* Give the vCPU an ASID whose TLB entries are all its own and current. */
static void svm_new_asid(struct svm_vcpu *svm, struct svm_cpu *sc)
{
	struct svm_control *c = &svm->vmcb->control;

	if (sc->next_asid >= sc->nr_asids) {
		sc->asid_generation++;
		sc->next_asid = 1;
		c->tlb_control = SVM_TLB_FLUSH_ALL;
	}
	c->asid = sc->next_asid++;
	svm->asid_generation = sc->asid_generation;
	svm_dirty(svm, SVM_CLEAN_ASID);
}

/* VMRUN failed: the manual does not say whether it has flushed by then what it was asked to (15.5.1, 15.16.1). */
static void svm_flush_still_due(struct svm_vcpu *svm, struct svm_cpu *sc)
{
	/* One for all ASIDs of a new generation was meant for other vCPUs as well: whoever comes next asks for it again. */
	if (svm->vmcb->control.tlb_control == SVM_TLB_FLUSH_ALL) {
		sc->next_asid = sc->nr_asids;
		svm->asid_generation = 0;
	}
}

void svm_tlb_flush(struct pn_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm_features.flush_by_asid)
		svm->vmcb->control.tlb_control = SVM_TLB_FLUSH_ASID;
	else
		svm->asid_generation = 0;
}

static void svm_load_debug(struct pn_vcpu *vcpu)
{
	const u64 *dr = pn_debug_effective_dr(vcpu);

	/* The host's conditions must not meet the guest's addresses. VMRUN disables all of them. */
	set_debugreg(0, 7);
	set_debugreg(dr[0], 0);
	set_debugreg(dr[1], 1);
	set_debugreg(dr[2], 2);
	set_debugreg(dr[3], 3);
}

/* SPEC_CTRL where the hardware does not switch it; host: the kernel's own value. */
static bool svm_swap_spec_ctrl(const struct pn_vcpu *vcpu)
{
	return vcpu->spec_ctrl && !svm_features.v_spec_ctrl;
}

/*
 * Another thread may have given the process a new LDT since the vCPU was loaded: what was
 * saved then would bring the old one back, whose memory is free.
 */
static void svm_save_new_ldt(struct svm_cpu *sc)
{
#ifdef CONFIG_MODIFY_LDT_SYSCALL
	if (unlikely(READ_ONCE(current->mm->context.ldt)))
		svm_save_host(sc);
#endif
}

static void svm_regs_in(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	struct svm_save *s = &svm->vmcb->save;

	s->rax = vcpu->regs.gpr[X86_RAX];
	s->rsp = vcpu->regs.gpr[X86_RSP];
	s->rip = vcpu->regs.rip;
	s->rflags = vcpu->regs.rflags;
	if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP))
		s->rflags |= X86_EFLAGS_TF | X86_EFLAGS_RF;
	if (s->cr2 != vcpu->cr2) {
		s->cr2 = vcpu->cr2;
		svm_dirty(svm, SVM_CLEAN_CR2);
	}
	if ((svm->vmcb->control.vintr & SVM_V_TPR_MASK) != vcpu->cr8) {
		svm->vmcb->control.vintr &= ~SVM_V_TPR_MASK;
		svm->vmcb->control.vintr |= vcpu->cr8;
		svm_dirty(svm, SVM_CLEAN_TPR);
	}
	svm->vmcb->control.int_state = vcpu->int_shadow ? SVM_INT_SHADOW : 0;
}

static void svm_regs_out(struct svm_vcpu *svm)
{
	struct pn_vcpu *vcpu = &svm->vcpu;
	struct svm_save *s = &svm->vmcb->save;
	struct svm_control *c = &svm->vmcb->control;

	svm_recover_shadow(svm);
	vcpu->regs.gpr[X86_RAX] = s->rax;
	vcpu->regs.gpr[X86_RSP] = s->rsp;
	vcpu->regs.rip = s->rip;
	vcpu->regs.rflags = s->rflags;
	/* The debugger's steps are invisible to the guest; its own it does not get meanwhile. */
	if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP))
		vcpu->regs.rflags &= ~(u64)(X86_EFLAGS_TF | X86_EFLAGS_RF);
	vcpu->cr2 = s->cr2;
	if (!svm->shadow)
		vcpu->cr3 = s->cr3;
	/* TS and MP change without an exit. */
	vcpu->cr0 = (vcpu->cr0 & svm->cr0_held) | (s->cr0 & ~svm->cr0_held);
	c->event_inj = 0;
	c->tlb_control = SVM_TLB_KEEP;
	if (svm_features.vmcb_clean)
		c->clean = SVM_CLEAN_ALL;
}

/* The exit took a machine check away from the host: give it back, on this processor. */
static void svm_host_machine_check(void)
{
	struct pt_regs regs = {
		.cs = 3,		/* as if in user mode: recoverable */
		.flags = X86_EFLAGS_IF,
	};

	do_machine_check(&regs);
}

static void svm_enter(struct pn_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpu);
	bool debug = svm->vmcb->save.dr7 & SVM_DR7_ENABLES;

	lockdep_assert_irqs_disabled();
	svm_regs_in(svm);
	if (unlikely(svm->asid_generation != sc->asid_generation))
		svm_new_asid(svm, sc);
	svm_save_new_ldt(sc);
	if (unlikely(debug))
		svm_load_debug(vcpu);
	if (unlikely(svm_swap_spec_ctrl(vcpu)))
		wrmsrl(MSR_IA32_SPEC_CTRL, vcpu->spec_ctrl);

	pn_context_enter();
	svm_world_switch(&vcpu->regs, svm->vmcb_pa, sc->host_vmcb_pa);
	pn_context_exit();

	if (unlikely(svm_swap_spec_ctrl(vcpu)))
		wrmsrl(MSR_IA32_SPEC_CTRL, this_cpu_read(x86_spec_ctrl_current));
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
	if (unlikely(svm->vmcb->control.exit_code == SVM_EXIT_EXCEPTION + X86_TRAP_MC))
		svm_host_machine_check();
	if (unlikely(svm_entry_failed(svm))) {
		svm->vmcb->control.clean = 0;
		svm_flush_still_due(svm, sc);
		svm_take_back(svm);
		return;
	}
	svm_regs_out(svm);
	svm_recover_events(svm);
}

const struct cpu_ops svm_ops = {
	.name = "AMD SVM",
	.isa = PN_ISA_SVM,
	.vcpu_size = sizeof(struct svm_vcpu),
	.setup = svm_setup,
	.teardown = svm_teardown,
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,
	.vcpu_init = svm_vcpu_init,
	.vcpu_fini = svm_vcpu_fini,
	.vcpu_reset = svm_vcpu_reset,
	.vcpu_load = svm_vcpu_load,
	.vcpu_put = svm_vcpu_put,
	.enter = svm_enter,
	.handle_exit_fast = svm_handle_exit_fast,
	.handle_exit = svm_handle_exit,
	.tlb_flush = svm_tlb_flush,
	.segs = svm_segs,
	.seg = svm_get_seg,
	.set_seg = svm_set_seg,
	.get_dtable = svm_get_dtable,
	.set_dtable = svm_set_dtable,
	.update = svm_update,
	.get_msr = svm_get_msr,
	.set_msr = svm_set_msr,
	.inject = svm_inject,
	.open_window = svm_open_window,
	.step_done = svm_nmi_step_done,
};
