// SPDX-License-Identifier: GPL-2.0
/*
 * Control registers: CR0, CR3, CR4, CR8, EFER and XCR0 as the guest or user
 * space writes them. The rules are those of the processor (AMD APM vol. 2, 3.1,
 * 5.3 and 14.6); what we do not offer through CPUID is reserved.
 *
 * CR0.PG and EFER.LME together make long mode:
 *
 *      LME=1, PG 0 -> 1   needs CR4.PAE and a CS without L; sets LMA
 *             PG 1 -> 0   not from 64-bit code, not with PCIDE; clears LMA
 */
#include <asm/processor.h>
#include "kvm/slots.h"
#include "kvm/state.h"
#include "mmu/walk.h"
#include "x86/msr.h"

#define CR0_DEFINED \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE | \
	 X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)

/* Changes after which no old translation may be used (5.5.3). */
#define CR0_FLUSH	(X86_CR0_PG | X86_CR0_WP | X86_CR0_CD | X86_CR0_NW)
#define CR4_FLUSH \
	(X86_CR4_PGE | X86_CR4_PAE | X86_CR4_PSE | X86_CR4_PCIDE | X86_CR4_SMEP | \
	 X86_CR4_SMAP | X86_CR4_PKE | X86_CR4_LA57)

/* Changes after which PAE paging reads its four top entries again. */
#define CR0_PDPTR	(X86_CR0_CD | X86_CR0_NW | X86_CR0_PG)
#define CR4_PDPTR	(X86_CR4_PGE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_SMEP)

#define PCID_MASK	0xfffULL
#define PCID_NOFLUSH	BIT_ULL(63)
#define PDPTE_RESERVED	0x1c6ULL
#define PDPTE_ACCESSED	BIT_ULL(5)

bool pn_cr0_is_valid(u64 cr0)
{
	if (cr0 >> 32)
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	return !(cr0 & X86_CR0_PG) || (cr0 & X86_CR0_PE);
}

/* PAE paging outside long mode: four entries are read when CR3 is loaded (5.2.3). */
bool pn_uses_pdptrs(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & X86_EFER_LMA);
}

/* As they are in memory, good or not. */
static bool read_pdptrs(struct pn_vcpu *vcpu, u64 cr3, u64 entry[4], bool atomic)
{
	int i;

	if (pn_guest_read(vcpu, cr3 & 0xffffffe0, entry, 4 * sizeof(*entry), atomic))
		return false;
	/* Reserved as well, but emulated processors set it as in every entry. */
	for (i = 0; i < 4; i++)
		entry[i] &= ~PDPTE_ACCESSED;
	return true;
}

void pn_give_pdptrs(struct pn_vcpu *vcpu, const u64 entry[4])
{
	memcpy(vcpu->pdptrs, entry, sizeof(vcpu->pdptrs));
	vcpu->has_pdptrs = mmu_is_shadow(&vcpu->vm->mmu);
}

static bool load_pdptrs(struct pn_vcpu *vcpu, u64 cr3, bool atomic)
{
	u64 reserved = PDPTE_RESERVED | ~0ULL << vcpu->maxphyaddr;
	u64 entry[4];
	int i;

	if (!read_pdptrs(vcpu, cr3, entry, atomic))
		return false;
	for (i = 0; i < 4; i++)
		if ((entry[i] & 1) && (entry[i] & reserved))
			return false;
	pn_give_pdptrs(vcpu, entry);
	return true;
}

bool pn_load_pdptrs(struct pn_vcpu *vcpu, u64 cr3)
{
	return load_pdptrs(vcpu, cr3, false);
}

/* @what: MMU_LOAD_*, or 0: no translation is different now. */
static void commit(struct pn_vcpu *vcpu, unsigned int what)
{
	pn_fpu_update_pku(vcpu);
	cpu->update(vcpu, CPU_UPDATE_CR);
	if (!what)
		return;
	cpu->tlb_flush(vcpu);
	pn_mmu_changed(vcpu, what);
}

int pn_set_cr0(struct pn_vcpu *vcpu, u64 val)
{
	u64 changed, efer = vcpu->efer;
	bool is_64bit;

	if (val >> 32)
		return 1;
	val = (val & CR0_DEFINED) | X86_CR0_ET;
	if (!pn_cr0_is_valid(val))
		return 1;
	changed = val ^ vcpu->cr0;
	if (!changed)
		return 0;
	is_64bit = pn_seg(vcpu, X86_SEG_CS).attrib & X86_SEG_L;
	if ((changed & X86_CR0_PG) && (val & X86_CR0_PG) && (efer & X86_EFER_LME)) {
		if (!(vcpu->cr4 & X86_CR4_PAE) || is_64bit)
			return 1;
		efer |= X86_EFER_LMA;
	}
	if ((changed & X86_CR0_PG) && !(val & X86_CR0_PG)) {
		if (((efer & X86_EFER_LMA) && is_64bit) || (vcpu->cr4 & X86_CR4_PCIDE))
			return 1;
		efer &= ~X86_EFER_LMA;
	}
	if ((changed & CR0_PDPTR) && pn_uses_pdptrs(val, vcpu->cr4, efer) &&
	    !pn_load_pdptrs(vcpu, vcpu->cr3))
		return 1;
	vcpu->cr0 = val;
	vcpu->efer = efer;
	commit(vcpu, changed & CR0_FLUSH ? MMU_LOAD_ALL : 0);
	return 0;
}

int pn_set_cr3(struct pn_vcpu *vcpu, u64 val)
{
	if (vcpu->cr4 & X86_CR4_PCIDE)
		val &= ~PCID_NOFLUSH;	/* keeping entries is allowed, not demanded */
	if (val >> vcpu->maxphyaddr)
		return 1;
	if (pn_uses_pdptrs(vcpu->cr0, vcpu->cr4, vcpu->efer) && !pn_load_pdptrs(vcpu, val))
		return 1;
	vcpu->cr3 = val;
	commit(vcpu, MMU_LOAD_CR3);
	return 0;
}

bool pn_set_cr3_atomic(struct pn_vcpu *vcpu, u64 val)
{
	if (vcpu->cr4 & X86_CR4_PCIDE)
		val &= ~PCID_NOFLUSH;
	if (val >> vcpu->maxphyaddr)
		return false;
	if (pn_uses_pdptrs(vcpu->cr0, vcpu->cr4, vcpu->efer) && !load_pdptrs(vcpu, val, true))
		return false;
	vcpu->cr3 = val;
	vcpu->mmu_due |= MMU_LOAD_CR3;
	return true;
}

int pn_set_cr4(struct pn_vcpu *vcpu, u64 val)
{
	u64 changed = val ^ vcpu->cr4;

	if (val & vcpu->cr4_reserved)
		return 1;
	if (pn_is_long_mode(vcpu) && (!(val & X86_CR4_PAE) || (changed & X86_CR4_LA57)))
		return 1;
	if (changed & val & X86_CR4_PCIDE) {
		if (!pn_is_long_mode(vcpu) || (vcpu->cr3 & PCID_MASK))
			return 1;
	}
	if ((changed & CR4_PDPTR) && pn_uses_pdptrs(vcpu->cr0, val, vcpu->efer) &&
	    !pn_load_pdptrs(vcpu, vcpu->cr3))
		return 1;
	vcpu->cr4 = val;
	if (changed)
		commit(vcpu, changed & CR4_FLUSH ? MMU_LOAD_ALL : 0);
	return 0;
}

void pn_set_pge_atomic(struct pn_vcpu *vcpu, u64 val)
{
	vcpu->cr4 = val;
	vcpu->mmu_due |= MMU_LOAD_ALL;
	cpu->update(vcpu, CPU_UPDATE_CR);
}

int pn_set_cr8(struct pn_vcpu *vcpu, u64 val)
{
	if (val & ~0xfULL)
		return 1;
	vcpu->cr8 = val;
	return 0;
}

int pn_set_efer(struct pn_vcpu *vcpu, u64 val, bool host)
{
	u64 changed;

	if (val & ~pn_efer_offered())
		return 1;
	if (!host) {
		if (val & vcpu->efer_reserved)
			return 1;
		if ((vcpu->cr0 & X86_CR0_PG) && ((val ^ vcpu->efer) & X86_EFER_LME))
			return 1;
	}
	/* LMA follows CR0.PG and cannot be written. */
	val = (val & ~X86_EFER_LMA) | (vcpu->efer & X86_EFER_LMA);
	changed = val ^ vcpu->efer;
	vcpu->efer = val;
	if (changed)
		commit(vcpu, changed & X86_EFER_NX ? MMU_LOAD_ALL : 0);
	return 0;
}

int pn_set_xcr0(struct pn_vcpu *vcpu, u64 val)
{
	if (!x86_xcr0_is_valid(val, vcpu->xcr0_supported))
		return 1;
	pn_fpu_set_xcr0(vcpu, val);
	return 0;
}

/*
 * With nested paging the hardware reads the top entries of PAE from memory each
 * time (15.25.10), so what was loaded earlier does not count, and one that is
 * not good matters to the addresses below it only: the walk finds out. In shadow mode
 * they are what CR3 brought, or user space, as on a processor without a hypervisor; but not before the
 * vCPU has entered that mode, if it comes from the other.
 */
static bool current_pdptrs(struct pn_vcpu *vcpu)
{
	return (mmu_is_shadow(&vcpu->vm->mmu) && vcpu->has_pdptrs) ||
	       read_pdptrs(vcpu, vcpu->cr3, vcpu->pdptrs, false);
}

bool pn_current_pdptrs(struct pn_vcpu *vcpu)
{
	return pn_uses_pdptrs(vcpu->cr0, vcpu->cr4, vcpu->efer) && current_pdptrs(vcpu);
}

void pn_keep_pdptrs(struct pn_vcpu *vcpu)
{
	pn_current_pdptrs(vcpu);
	vcpu->has_pdptrs = mmu_is_shadow(&vcpu->vm->mmu);
}

void pn_walk_env(struct pn_vcpu *vcpu, struct mmu_walk_env *env)
{
	bool pdptrs = pn_current_pdptrs(vcpu);

	*env = (struct mmu_walk_env) {
		.vcpu = &vcpu->mmu,
		.cr0 = vcpu->cr0,
		.cr3 = vcpu->cr3,
		.cr4 = vcpu->cr4,
		.efer = vcpu->efer,
		.rflags = vcpu->regs.rflags,
		.pkru = vcpu->fpu.pkru,
		.maxphyaddr = vcpu->maxphyaddr,
		.pages_1g = vcpu->has_gbpages,
		.amd = boot_cpu_data.x86_vendor != X86_VENDOR_INTEL,
		.pdptrs = pdptrs ? vcpu->pdptrs : NULL,
	};
}
