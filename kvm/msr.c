// SPDX-License-Identifier: GPL-2.0
/*
 * Model specific registers: RDMSR and WRMSR of the guest, KVM_GET/SET_MSRS of
 * user space, and the machine-check registers.
 *
 *   index ─► x86/msr.c's table ─► constant, ignored, unknown: answered at once
 *                              ─► hardware: the vendor part
 *                              ─► state: the functions below
 */
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/barrier.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include "kvm/state.h"
#include "x86/msr.h"

#define MAX_IO_MSRS	256	/* in one ioctl, as the stock module */

#define MCE_CAP_SUPPORTED	(X86_MCG_CTL_P | X86_MCG_SER_P)
#define MCE_CAP_BANKS		0xffULL
#define MCE_CAP_EXT_REGS	0xff0000ULL
#define MC_VECTOR		18


#define DEBUGCTL_DEFINED	GENMASK_ULL(5, 0)	/* LBR BTF PB0-3 */
#define SPEC_CTRL_VALID	(BIT_ULL(0) | BIT_ULL(1) | BIT_ULL(2) | BIT_ULL(7))	/* IBRS STIBP SSBD PSFD */

/* Immunities that can be told to a guest (Intel SDM vol. 4, IA32_ARCH_CAPABILITIES). */
static const struct { u16 bug; u64 capability; } immunities[] = {
	{ X86_BUG_CPU_MELTDOWN, ARCH_CAP_RDCL_NO },
	{ X86_BUG_SPEC_STORE_BYPASS, ARCH_CAP_SSB_NO },
	{ X86_BUG_MDS, ARCH_CAP_MDS_NO },
	{ X86_BUG_GDS, ARCH_CAP_GDS_NO },
	{ X86_BUG_RFDS, ARCH_CAP_RFDS_NO },
	{ X86_BUG_ITS, ARCH_CAP_ITS_NO },
};

static u64 arch_capabilities(void)
{
	/* Large pages are not split for execution's sake, nor the L1 cache flushed. */
	u64 caps = ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_SKIP_VMENTRY_L1DFLUSH;
	int i;

	for (i = 0; i < ARRAY_SIZE(immunities); i++)
		if (!boot_cpu_has_bug(immunities[i].bug))
			caps |= immunities[i].capability;
	return caps;
}

/* DE_CFG tells the guest one thing: LFENCE waits for earlier instructions. */
static u64 de_cfg_offered(void)
{
	return boot_cpu_has(X86_FEATURE_LFENCE_RDTSC) ? X86_DE_CFG_LFENCE_SERIALIZE : 0;
}

/* Registers that describe the host; 0, or 1: not one of them. */
static int feature_msr(u32 index, u64 *val)
{
	switch (index) {
	case X86_MSR_DE_CFG:
		*val = de_cfg_offered();
		return 0;
	case X86_MSR_UCODE_REV:
		*val = 0;
		rdmsrl_safe(X86_MSR_UCODE_REV, val);
		return 0;
	case X86_MSR_ARCH_CAPABILITIES:
		*val = arch_capabilities();
		return 0;
	case X86_MSR_PERF_CAPABILITIES:
		*val = 0;
		return 0;
	default:
		return 1;
	}
}

/* RESET; INIT leaves nearly all of them alone (APM vol. 2, 14.1.3). */
void pn_msr_reset(struct pn_vcpu *vcpu)
{
	u64 bsp = vcpu->id == 0 ? X86_APIC_BASE_BSP : 0;

	vcpu->apic_base = X86_APIC_BASE_DEFAULT | X86_APIC_BASE_ENABLE | bsp;
	vcpu->pat = X86_PAT_RESET;
	vcpu->misc_enable = X86_MISC_ENABLE_NO_BTS | X86_MISC_ENABLE_NO_PEBS;
	vcpu->arch_capabilities = arch_capabilities();
	vcpu->de_cfg = de_cfg_offered();
	vcpu->ucode_rev = 0x01000065;	/* what the stock module gives on AMD */
	vcpu->mcg_cap = PN_NR_MCE_BANKS;
	vcpu->mtrr_def_type = 0;
	memset(vcpu->mtrr_fixed, 0, sizeof(vcpu->mtrr_fixed));
	memset(vcpu->mtrr_var, 0, sizeof(vcpu->mtrr_var));
	vcpu->spec_ctrl = vcpu->hwcr = vcpu->power_ctl = vcpu->tsc_aux = 0;
	vcpu->debugctl = 0;
}

/* ---- single registers with rules ---- */

static bool has_spec_ctrl(struct pn_vcpu *vcpu)
{
	return pn_cpuid_has(vcpu, X86_CPU_SPEC_CTRL) || pn_cpuid_has(vcpu, X86_CPU_INTEL_STIBP) ||
	       pn_cpuid_has(vcpu, X86_CPU_IBRS) || pn_cpuid_has(vcpu, X86_CPU_STIBP) ||
	       pn_cpuid_has(vcpu, X86_CPU_SSBD);
}

static int get_spec_ctrl(struct pn_vcpu *vcpu, u64 *val, bool host)
{
	if (!host && !has_spec_ctrl(vcpu))
		return 1;
	if (cpu->get_msr(vcpu, X86_MSR_SPEC_CTRL, val))
		*val = vcpu->spec_ctrl;
	return 0;
}

static int set_spec_ctrl(struct pn_vcpu *vcpu, u64 val, bool host)
{
	if (!host && !has_spec_ctrl(vcpu))
		return 1;
	/* The world switch writes it to the hardware: only what that will take. */
	if (val & ~SPEC_CTRL_VALID)
		return 1;
	if (val && !pn_cpuid_offers(X86_CPU_SPEC_CTRL) && !pn_cpuid_offers(X86_CPU_IBRS) &&
	    !pn_cpuid_offers(X86_CPU_STIBP) && !pn_cpuid_offers(X86_CPU_SSBD))
		return 1;
	if (cpu->set_msr(vcpu, X86_MSR_SPEC_CTRL, val))
		vcpu->spec_ctrl = val;
	return 0;
}

static int set_pred_cmd(struct pn_vcpu *vcpu, u64 val, bool host)
{
	if (!host && !pn_cpuid_has(vcpu, X86_CPU_IBPB) && !pn_cpuid_has(vcpu, X86_CPU_SPEC_CTRL))
		return 1;
	if (val & ~PRED_CMD_IBPB)
		return 1;
	if (val && boot_cpu_has(X86_FEATURE_IBPB))
		wrmsrl(X86_MSR_PRED_CMD, PRED_CMD_IBPB);
	return 0;
}

static int set_flush_cmd(struct pn_vcpu *vcpu, u64 val, bool host)
{
	if (!host && !pn_cpuid_has(vcpu, X86_CPU_FLUSH_L1D))
		return 1;
	if (val & ~1ULL)
		return 1;
	if (val && boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		wrmsrl(X86_MSR_FLUSH_CMD, 1);
	return 0;
}

int pn_set_apic_base(struct pn_vcpu *vcpu, u64 val, bool host)
{
	u64 reserved = 0x2ff | ~0ULL << vcpu->maxphyaddr;
	u64 old = vcpu->apic_base;
	bool x2apic = val & X86_APIC_BASE_X2APIC, enabled = val & X86_APIC_BASE_ENABLE;

	if (!pn_cpuid_has(vcpu, X86_CPU_X2APIC))
		reserved |= X86_APIC_BASE_X2APIC;
	if ((val & reserved) || (x2apic && !enabled))
		return 1;
	if (!host) {
		/* From x2APIC only to off, and into it only from on (SDM vol. 3, 10.12.5). */
		if ((old & X86_APIC_BASE_X2APIC) && enabled && !x2apic)
			return 1;
		if (!(old & X86_APIC_BASE_ENABLE) && x2apic)
			return 1;
	}
	vcpu->apic_base = val;
	return 0;
}

static int set_misc_enable(struct pn_vcpu *vcpu, u64 val, bool host)
{
	u64 read_only = X86_MISC_ENABLE_NO_BTS | X86_MISC_ENABLE_NO_PEBS;

	if (!host) {
		if ((val ^ vcpu->misc_enable) & read_only)
			return 1;
		val = (val & ~X86_MISC_ENABLE_EMON) | (vcpu->misc_enable & X86_MISC_ENABLE_EMON);
	}
	vcpu->misc_enable = val;
	return 0;
}

static int set_hwcr(struct pn_vcpu *vcpu, u64 val)
{
	val &= ~X86_HWCR_IGNORED;
	if (val & ~(X86_HWCR_MC_STATUS_WR | X86_HWCR_TSC_FREQ_SEL))
		return 1;
	vcpu->hwcr = val;
	return 0;
}

static int set_de_cfg(struct pn_vcpu *vcpu, u64 val, bool host)
{
	if (val & ~de_cfg_offered())
		return 1;
	if (!host && val != vcpu->de_cfg)
		return 1;
	vcpu->de_cfg = val;
	return 0;
}

static int set_tsc_adjust(struct pn_vcpu *vcpu, u64 val, bool host)
{
	if (!pn_cpuid_has(vcpu, X86_CPU_TSC_ADJUST))
		return host ? 0 : 1;
	if (!host)
		pn_adjust_tsc_offset(vcpu, val - vcpu->tsc_adjust);
	vcpu->tsc_adjust = val;
	return 0;
}

static int set_tsc_aux(struct pn_vcpu *vcpu, u64 val, bool host)
{
	if (!host && !vcpu->has_rdtscp)
		return 1;
	/* 32 bits exist on AMD, the others are dropped; Intel's fault (APM vol. 3, RDTSCP). */
	vcpu->tsc_aux = (u32)val;
	preempt_disable();
	if (vcpu->has_rdtscp && vcpu->cpu == smp_processor_id())
		wrmsrl(X86_MSR_TSC_AUX, vcpu->tsc_aux);
	preempt_enable();
	return 0;
}

static u64 *mtrr(struct pn_vcpu *vcpu, u32 index)
{
	int fixed = x86_mtrr_fixed_index(index);

	if (index == X86_MSR_MTRR_DEF_TYPE)
		return &vcpu->mtrr_def_type;
	if (fixed >= 0)
		return &vcpu->mtrr_fixed[array_index_nospec(fixed, ARRAY_SIZE(vcpu->mtrr_fixed))];
	index -= X86_MSR_MTRR_VAR0;
	if (index < ARRAY_SIZE(vcpu->mtrr_var))
		return &vcpu->mtrr_var[array_index_nospec(index, ARRAY_SIZE(vcpu->mtrr_var))];
	return NULL;
}

static int set_pat(struct pn_vcpu *vcpu, u64 val)
{
	if (!x86_pat_is_valid(val))
		return 1;
	vcpu->pat = val;
	cpu->update(vcpu, CPU_UPDATE_CR);
	pn_mmu_changed(vcpu, MMU_LOAD_ALL);
	return 0;
}

/* ---- machine checks ---- */

static u64 *mce_bank_reg(struct pn_vcpu *vcpu, u32 index)
{
	u32 nr = 4 * (vcpu->mcg_cap & MCE_CAP_BANKS);

	index -= X86_MSR_MC0_CTL;
	return index < nr ? &vcpu->mce_banks[array_index_nospec(index, nr)] : NULL;
}

static int get_mce(struct pn_vcpu *vcpu, u32 index, u64 *val, bool host)
{
	u64 *reg;

	switch (index) {
	case X86_MSR_MCG_CAP:
		*val = vcpu->mcg_cap;
		return 0;
	case X86_MSR_MCG_STATUS:
		*val = vcpu->mcg_status;
		return 0;
	case X86_MSR_MCG_CTL:
		if (!(vcpu->mcg_cap & X86_MCG_CTL_P) && !host)
			return 1;
		*val = vcpu->mcg_ctl;
		return 0;
	default:
		reg = mce_bank_reg(vcpu, index);
		if (!reg)
			return 1;
		*val = *reg;
		return 0;
	}
}

static int set_mce(struct pn_vcpu *vcpu, u32 index, u64 val, bool host)
{
	u32 which = (index - X86_MSR_MC0_CTL) & 3;
	u64 *reg;

	switch (index) {
	case X86_MSR_MCG_CAP:
		return 1;
	case X86_MSR_MCG_STATUS:
		vcpu->mcg_status = val;
		return 0;
	case X86_MSR_MCG_CTL:
		if (!(vcpu->mcg_cap & X86_MCG_CTL_P) && (val || !host))
			return 1;
		if (val && ~val)
			return 1;
		vcpu->mcg_ctl = val;
		return 0;
	}
	reg = mce_bank_reg(vcpu, index);
	if (!reg)
		return 1;
	/*
	 * A bank's control is all or nothing; old kernels clear bit 10 or bit 0 of one
	 * for the sake of a K8 erratum. Its status can be cleared, or set where HWCR allows.
	 */
	if (which == 0 && val && ~(val | 1 << 10 | 1))
		return 1;
	if (which == 1 && !host && val && !(vcpu->hwcr & X86_HWCR_MC_STATUS_WR))
		return 1;
	*reg = val;
	return 0;
}

long pn_vcpu_setup_mce(struct pn_vcpu *vcpu, void __user *argp)
{
	u64 cap, banks;
	u32 i;

	if (copy_from_user(&cap, argp, sizeof(cap)))
		return -EFAULT;
	banks = cap & MCE_CAP_BANKS;
	if (!banks || banks > PN_NR_MCE_BANKS)
		return -EINVAL;
	if (cap & ~(MCE_CAP_SUPPORTED | MCE_CAP_BANKS | MCE_CAP_EXT_REGS))
		return -EINVAL;
	vcpu->mcg_cap = cap;
	if (cap & X86_MCG_CTL_P)
		vcpu->mcg_ctl = ~0ULL;
	for (i = 0; i < banks; i++)
		vcpu->mce_banks[4 * i] = ~0ULL;
	return 0;
}

static void record_mce(u64 *bank, const struct kvm_x86_mce *mce)
{
	u64 status = mce->status;

	if (bank[1] & X86_MCI_STATUS_VAL)
		status |= X86_MCI_STATUS_OVER;
	bank[1] = status;
	bank[2] = mce->addr;
	bank[3] = mce->misc;
}

long pn_vcpu_set_mce(struct pn_vcpu *vcpu, void __user *argp)
{
	u64 banks = vcpu->mcg_cap & MCE_CAP_BANKS;
	struct kvm_x86_mce mce;
	u64 *bank;

	if (copy_from_user(&mce, argp, sizeof(mce)))
		return -EFAULT;
	if (mce.bank >= banks || !(mce.status & X86_MCI_STATUS_VAL))
		return -EINVAL;
	bank = &vcpu->mce_banks[4 * array_index_nospec(mce.bank, banks)];
	if (!(mce.status & X86_MCI_STATUS_UC)) {
		/* Corrected errors do not push out uncorrected ones. */
		if ((bank[1] & X86_MCI_STATUS_VAL) && (bank[1] & X86_MCI_STATUS_UC))
			bank[1] |= X86_MCI_STATUS_OVER;
		else
			record_mce(bank, &mce);
		return 0;
	}
	/* Reporting that the guest has switched off, as a whole or for this bank. */
	if (((vcpu->mcg_cap & X86_MCG_CTL_P) && ~vcpu->mcg_ctl) || ~bank[0])
		return 0;
	if ((vcpu->mcg_status & X86_MCG_STATUS_MCIP) || !(vcpu->cr4 & X86_CR4_MCE)) {
		pn_vcpu_request(vcpu, PN_REQ_TRIPLE_FAULT);
		return 0;
	}
	record_mce(bank, &mce);
	vcpu->mcg_status = mce.mcg_status;
	pn_queue_exception(vcpu, MC_VECTOR);
	return 0;
}

long pn_sys_get_mce_cap(void __user *argp)
{
	u64 cap = MCE_CAP_SUPPORTED;

	return copy_to_user(argp, &cap, sizeof(cap)) ? -EFAULT : 0;
}

/* ---- the two entries ---- */

static int get_state(struct pn_vcpu *vcpu, u32 index, u64 *val, bool host)
{
	switch (index) {
	case X86_MSR_TSC:
		*val = pn_guest_tsc(vcpu);
		return 0;
	case X86_MSR_TSC_ADJUST:
		*val = vcpu->tsc_adjust;
		return 0;
	case X86_MSR_TSC_AUX:
		*val = vcpu->tsc_aux;
		return !host && !vcpu->has_rdtscp;
	case X86_MSR_PV_WALL_CLOCK_OLD:
	case X86_MSR_PV_WALL_CLOCK:
		*val = vcpu->pvclock.wall_clock_msr;
		return 0;
	case X86_MSR_PV_SYSTEM_TIME_OLD:
	case X86_MSR_PV_SYSTEM_TIME:
		*val = vcpu->pvclock.system_time_msr;
		return 0;
	case X86_MSR_APIC_BASE:
		*val = vcpu->apic_base;
		return 0;
	case X86_MSR_EFER:
		*val = vcpu->efer;
		return 0;
	case X86_MSR_PAT:
		*val = vcpu->pat;
		return 0;
	case X86_MSR_SPEC_CTRL:
		return get_spec_ctrl(vcpu, val, host);
	case X86_MSR_ARCH_CAPABILITIES:
		*val = vcpu->arch_capabilities;
		return !host && !pn_cpuid_has(vcpu, X86_CPU_ARCH_CAPS);
	case X86_MSR_MISC_ENABLE:
		*val = vcpu->misc_enable;
		return 0;
	case X86_MSR_UCODE_REV:
		*val = vcpu->ucode_rev;
		return 0;
	case X86_MSR_POWER_CTL:
		*val = vcpu->power_ctl;
		return 0;
	case X86_MSR_HWCR:
		*val = vcpu->hwcr;
		return 0;
	case X86_MSR_DE_CFG:
		*val = vcpu->de_cfg;
		return 0;
	case X86_MSR_PLATFORM_INFO:
		*val = vcpu->platform_info;
		return 0;
	case X86_MSR_OSVW_LENGTH:
	case X86_MSR_OSVW_STATUS:
		*val = vcpu->osvw[index - X86_MSR_OSVW_LENGTH];
		return !pn_cpuid_has(vcpu, X86_CPU_OSVW);
	case X86_MSR_XSS:
		*val = vcpu->fpu.xss;
		return !host && !pn_cpuid_has(vcpu, X86_CPU_XSAVES);
	case X86_MSR_PERF_CAPABILITIES:
		*val = 0;
		return !host;		/* CPUID never offers PDCM */
	case X86_MSR_DEBUGCTL:
		*val = vcpu->debugctl;
		return 0;
	case X86_MSR_PRED_CMD:
	case X86_MSR_FLUSH_CMD:
		return 1;		/* write only */
	}
	if (index >= X86_MSR_MCG_CAP && index <= X86_MSR_MC0_CTL + 4 * PN_NR_MCE_BANKS &&
	    !mtrr(vcpu, index))
		return get_mce(vcpu, index, val, host);
	if (!mtrr(vcpu, index))
		return 1;
	*val = *mtrr(vcpu, index);
	return 0;
}

static int set_state(struct pn_vcpu *vcpu, u32 index, u64 val, bool host)
{
	switch (index) {
	case X86_MSR_TSC:
		pn_set_guest_tsc(vcpu, val, host);
		return 0;
	case X86_MSR_TSC_ADJUST:
		return set_tsc_adjust(vcpu, val, host);
	case X86_MSR_TSC_AUX:
		return set_tsc_aux(vcpu, val, host);
	case X86_MSR_PV_WALL_CLOCK_OLD:
	case X86_MSR_PV_WALL_CLOCK:
		return pn_set_wall_clock_msr(vcpu, val);
	case X86_MSR_PV_SYSTEM_TIME_OLD:
	case X86_MSR_PV_SYSTEM_TIME:
		return pn_set_system_time_msr(vcpu, val);
	case X86_MSR_APIC_BASE:
		return pn_set_apic_base(vcpu, val, host);
	case X86_MSR_EFER:
		return pn_set_efer(vcpu, val, host);
	case X86_MSR_PAT:
		return set_pat(vcpu, val);
	case X86_MSR_SPEC_CTRL:
		return set_spec_ctrl(vcpu, val, host);
	case X86_MSR_PRED_CMD:
		return set_pred_cmd(vcpu, val, host);
	case X86_MSR_FLUSH_CMD:
		return set_flush_cmd(vcpu, val, host);
	case X86_MSR_ARCH_CAPABILITIES:
		if (!host)
			return 1;
		vcpu->arch_capabilities = val;
		return 0;
	case X86_MSR_MISC_ENABLE:
		return set_misc_enable(vcpu, val, host);
	case X86_MSR_UCODE_REV:
		if (host)
			vcpu->ucode_rev = val;
		return 0;
	case X86_MSR_POWER_CTL:
		vcpu->power_ctl = val;
		return 0;
	case X86_MSR_HWCR:
		return set_hwcr(vcpu, val);
	case X86_MSR_DE_CFG:
		return set_de_cfg(vcpu, val, host);
	case X86_MSR_PLATFORM_INFO:
		if (!host)
			return 1;
		vcpu->platform_info = val;
		return 0;
	case X86_MSR_OSVW_LENGTH:
	case X86_MSR_OSVW_STATUS:
		if (!pn_cpuid_has(vcpu, X86_CPU_OSVW))
			return 1;
		if (host)
			vcpu->osvw[index - X86_MSR_OSVW_LENGTH] = val;
		return 0;
	case X86_MSR_XSS:
		return val || (!host && !pn_cpuid_has(vcpu, X86_CPU_XSAVES));
	case X86_MSR_PERF_CAPABILITIES:
		return !host || val;
	case X86_MSR_DEBUGCTL:
		/* Kept, but neither last branches are recorded nor branches stepped. */
		if (val & ~DEBUGCTL_DEFINED)
			return 1;
		vcpu->debugctl = val;
		return 0;
	}
	if (!mtrr(vcpu, index))
		return set_mce(vcpu, index, val, host);
	if (!x86_mtrr_is_valid(index, val, vcpu->maxphyaddr))
		return 1;
	*mtrr(vcpu, index) = val;
	return 0;
}

/* Linear addresses among the hardware's registers must be canonical (APM vol. 2, 5.3.1). */
static int set_hardware(struct pn_vcpu *vcpu, u32 index, u64 val)
{
	switch (index) {
	case X86_MSR_FS_BASE:
	case X86_MSR_GS_BASE:
	case X86_MSR_KERNEL_GS_BASE:
	case X86_MSR_LSTAR:
	case X86_MSR_CSTAR:
		if (!x86_is_canonical(val, vcpu->cr4 & X86_CR4_LA57 ? 57 : 48))
			return 1;
		break;
	case X86_MSR_SYSENTER_ESP:
	case X86_MSR_SYSENTER_EIP:
		val = (u32)val;		/* AMD keeps 32 bits (APM vol. 2, 6.1.2) */
		break;
	}
	return cpu->set_msr(vcpu, index, val) ? (int)(val != 0) : 0;
}

static bool is_saved(u32 index)
{
	unsigned int i;

	for (i = 0; i < x86_nr_msr_saved; i++)
		if (x86_msr_saved[i] == index)
			return true;
	return false;
}

int pn_get_msr(struct pn_vcpu *vcpu, u32 index, u64 *val, bool host)
{
	const struct x86_msr *msr = x86_msr_find(index);

	*val = 0;
	switch (msr->class) {
	case X86_MSR_HARDWARE:
		cpu->get_msr(vcpu, index, val);	/* what it does not hold reads 0 */
		return 0;
	case X86_MSR_STATE:
		return get_state(vcpu, index, val, host);
	case X86_MSR_CONST:
	case X86_MSR_CONST_RO:
		*val = msr->value;
		return 0;
	case X86_MSR_ZERO:
		return 0;
	default:
		return 1;
	}
}

int pn_set_msr(struct pn_vcpu *vcpu, u32 index, u64 val, bool host)
{
	switch (x86_msr_find(index)->class) {
	case X86_MSR_HARDWARE:
		return set_hardware(vcpu, index, val);
	case X86_MSR_STATE:
		return set_state(vcpu, index, val, host);
	case X86_MSR_CONST:
	case X86_MSR_WRITE_IGNORED:
		return 0;
	case X86_MSR_ZERO:
		return val != 0;
	default:
		/* User space may clear whatever it has been told to save. */
		return !(host && !val && is_saved(index));
	}
}

/* ---- ioctls ---- */

typedef int msr_fn(struct pn_vcpu *vcpu, struct kvm_msr_entry *entry);

static int get_entry(struct pn_vcpu *vcpu, struct kvm_msr_entry *entry)
{
	return pn_get_msr(vcpu, entry->index, &entry->data, true);
}

static int set_entry(struct pn_vcpu *vcpu, struct kvm_msr_entry *entry)
{
	return pn_set_msr(vcpu, entry->index, entry->data, true);
}

static int get_feature_entry(struct pn_vcpu *vcpu, struct kvm_msr_entry *entry)
{
	return feature_msr(entry->index, &entry->data);
}

/* How many entries went well, or -errno. */
static long for_each_entry(struct pn_vcpu *vcpu, void __user *argp, msr_fn *fn, bool write_back)
{
	struct kvm_msrs __user *user = argp;
	struct kvm_msr_entry *entries;
	struct kvm_msrs head;
	size_t size;
	long n;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= MAX_IO_MSRS)
		return -E2BIG;
	size = head.nmsrs * sizeof(*entries);
	if (!size)
		return 0;
	entries = memdup_user(user->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	for (n = 0; n < head.nmsrs; n++)
		if (fn(vcpu, &entries[n]))
			break;
	if (write_back && copy_to_user(user->entries, entries, size))
		n = -EFAULT;
	kfree(entries);
	return n;
}

long pn_vcpu_get_msrs(struct pn_vcpu *vcpu, void __user *argp)
{
	return for_each_entry(vcpu, argp, get_entry, true);
}

long pn_vcpu_set_msrs(struct pn_vcpu *vcpu, void __user *argp)
{
	return for_each_entry(vcpu, argp, set_entry, false);
}

long pn_sys_get_feature_msrs(void __user *argp)
{
	return for_each_entry(NULL, argp, get_feature_entry, true);
}

static long get_list(void __user *argp, const u32 *list, u32 nr)
{
	struct kvm_msr_list __user *user = argp;
	struct kvm_msr_list head;
	u32 room;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	room = head.nmsrs;
	head.nmsrs = nr;
	if (copy_to_user(user, &head, sizeof(head)))
		return -EFAULT;
	if (room < nr)
		return -E2BIG;
	return copy_to_user(user->indices, list, nr * sizeof(*list)) ? -EFAULT : 0;
}

/* Those that this host can keep: without RDTSCP there is no TSC_AUX to save. */
static bool is_kept(u32 index)
{
	switch (index) {
	case X86_MSR_TSC_AUX:
		return pn_cpuid_offers(X86_CPU_RDTSCP) || pn_cpuid_offers(X86_CPU_RDPID);
	case X86_MSR_SPEC_CTRL:
		return pn_cpuid_offers(X86_CPU_SPEC_CTRL) || pn_cpuid_offers(X86_CPU_IBRS) ||
		       pn_cpuid_offers(X86_CPU_STIBP) || pn_cpuid_offers(X86_CPU_SSBD);
	default:
		return true;
	}
}

long pn_sys_get_msr_index_list(void __user *argp)
{
	u32 *list = kmalloc_array(x86_nr_msr_saved, sizeof(*list), GFP_KERNEL);
	u32 i, nr = 0;
	long r;

	if (!list)
		return -ENOMEM;
	for (i = 0; i < x86_nr_msr_saved; i++)
		if (is_kept(x86_msr_saved[i]))
			list[nr++] = x86_msr_saved[i];
	r = get_list(argp, list, nr);
	kfree(list);
	return r;
}

long pn_sys_get_msr_feature_index_list(void __user *argp)
{
	return get_list(argp, x86_msr_features, x86_nr_msr_features);
}
