/* SPDX-License-Identifier: GPL-2.0 */
/* What this hypervisor says it can: KVM_CHECK_EXTENSION and KVM_ENABLE_CAP. */
#ifndef PN_KVM_CAPS_H
#define PN_KVM_CAPS_H

#include <linux/kvm.h>

struct pn_vm;

/* 0: not supported. @vm is NULL when asked of /dev/kvm. */
long pn_cap_check(struct pn_vm *vm, unsigned long cap);
/* Under vm->lock. */
long pn_cap_enable(struct pn_vm *vm, const struct kvm_enable_cap *cap);

#endif
