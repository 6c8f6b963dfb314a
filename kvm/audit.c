// SPDX-License-Identifier: GPL-2.0
/*
 * The MMU's invariants checked while guests run: parameter audit=N walks a VM's
 * whole tree (mmu_audit) at about every N-th exit that needs more than the fast path. For tests:
 * a violation warns, and the test host fails on warnings.
 */
#include <linux/module.h>
#include "kvm/vcpu.h"
#include "kvm/vm.h"

static unsigned int audit_every;
module_param_named(audit, audit_every, uint, 0644);
MODULE_PARM_DESC(audit, "check the MMU's tables at every N-th slow exit (0: never)");

static void report(void *ctx, const char *what, gfn_t gfn, u64 entry)
{
	pr_err_ratelimited("penumbra_kvm: audit: %s: gfn %#llx entry %#llx\n", what, gfn, entry);
}

void pn_audit(struct pn_vcpu *vcpu)
{
	unsigned int every = READ_ONCE(audit_every);

	if (likely(!every) || ++vcpu->audit_exits < every)
		return;
	vcpu->audit_exits = 0;
	WARN_ONCE(mmu_audit(&vcpu->vm->mmu, report, NULL), "penumbra_kvm: the MMU's tables are wrong\n");
}
