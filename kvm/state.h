/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files that keep a vCPU's registers share: cr.c, cpuid.c, msr.c, fpu.c,
 * clock.c, debug.c, events.c and regs.c. Everything is called with vcpu->mutex held.
 */
#ifndef PN_KVM_STATE_H
#define PN_KVM_STATE_H

#include "kvm/vcpu.h"
#include "x86/cpuid.h"

/* ---- cpuid.c; features are enum x86_cpu_feature ---- */
bool pn_cpuid_offers(unsigned int feature);			/* by this host */
bool pn_cpuid_has(struct pn_vcpu *vcpu, unsigned int feature);	/* chosen by user space */
u64 pn_efer_offered(void);
void pn_host_cpuid(const struct x86_cpuid_host *host, u32 function, u32 index,
		   struct x86_cpuid_regs *out);

/* ---- cr.c ---- */
bool pn_cr0_is_valid(u64 cr0);
bool pn_uses_pdptrs(u64 cr0, u64 cr4, u64 efer);	/* PAE paging outside long mode */
/* Read the four top entries of PAE paging into vcpu->pdptrs. False: not there, or reserved bits. */
bool pn_load_pdptrs(struct pn_vcpu *vcpu, u64 cr3);
/* Others than those in memory, good or not: they hold until CR3 is loaded, if it is shadow mode. */
void pn_give_pdptrs(struct pn_vcpu *vcpu, const u64 entry[4]);
/* Is it PAE paging? vcpu->pdptrs are what the guest's accesses go by, then. May sleep. */
bool pn_current_pdptrs(struct pn_vcpu *vcpu);
/*
 * The vCPU enters a mode. Nested mode reads them from memory each time: what is there when it ends stays, good
 * or not.
 */
void pn_keep_pdptrs(struct pn_vcpu *vcpu);

/* ---- fpu.c ---- */
extern struct x86_xsave_layout pn_xsave_layout;
void pn_fpu_set_xcr0(struct pn_vcpu *vcpu, u64 xcr0);		/* a valid value */
void pn_fpu_update_pku(struct pn_vcpu *vcpu);			/* CR4, XCR0 or CPUID changed */

/* ---- msr.c ---- */
int pn_set_apic_base(struct pn_vcpu *vcpu, u64 val, bool host);	/* 0, or 1: illegal */

/* ---- clock.c ---- */
void pn_adjust_tsc_offset(struct pn_vcpu *vcpu, u64 delta);

/* ---- debug.c ---- */
u64 pn_linear_rip(struct pn_vcpu *vcpu);

/* ---- events.c ---- */
void pn_events_get(struct pn_vcpu *vcpu, struct kvm_vcpu_events *e);
int pn_events_set(struct pn_vcpu *vcpu, struct kvm_vcpu_events *e);	/* 0, or -EINVAL */

#endif
