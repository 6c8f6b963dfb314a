/* SPDX-License-Identifier: GPL-2.0 */
/*
 * I/O regions the kernel answers itself: event descriptors (ioeventfd) and
 * coalesced writes. Readers under vm->srcu, writers under vm->slots_lock.
 */
#ifndef PN_KVM_IOBUS_H
#define PN_KVM_IOBUS_H

#include "kvm/vm.h"

int pn_iobus_init(struct pn_vm *vm);
void pn_iobus_fini(struct pn_vm *vm);

/*
 * Offer a guest write of @len bytes at @addr to the regions of @bus. True when
 * it was consumed (an eventfd signalled, or stored in the coalesced ring), so
 * that no exit to user space is needed. Does not sleep.
 */
bool pn_iobus_write(struct pn_vcpu *vcpu, enum pn_bus bus, u64 addr,
		    unsigned int len, const void *val);

long pn_vm_ioeventfd(struct pn_vm *vm, void __user *argp);
long pn_vm_register_coalesced(struct pn_vm *vm, void __user *argp);
long pn_vm_unregister_coalesced(struct pn_vm *vm, void __user *argp);
/* The ring's page for mmap of a vCPU at KVM_COALESCED_MMIO_PAGE_OFFSET. */
struct page *pn_coalesced_page(struct pn_vm *vm);

#endif
