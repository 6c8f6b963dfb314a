// SPDX-License-Identifier: GPL-2.0
/*
 * Coalesced writes: writes to registered zones are appended to a ring page that
 * user space drains when it next has reason to, instead of one exit each.
 *
 * The ring is shared with user space, which may write anything into it at any
 * time: its indices are read once and checked before use.
 */
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "kvm/iobus_table.h"

struct pn_coalesced {
	spinlock_t lock;	/* appending; a leaf */
	struct kvm_coalesced_mmio_ring *ring;	/* one page */
};

int pn_coalesced_init(struct pn_vm *vm)
{
	struct pn_coalesced *c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);

	if (!c)
		return -ENOMEM;
	c->ring = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!c->ring) {
		kfree(c);
		return -ENOMEM;
	}
	spin_lock_init(&c->lock);
	vm->coalesced = c;
	return 0;
}

void pn_coalesced_fini(struct pn_vm *vm)
{
	if (!vm->coalesced)
		return;
	/* A mapping of the page in user space holds a reference of its own. */
	free_page((unsigned long)vm->coalesced->ring);
	kfree(vm->coalesced);
	vm->coalesced = NULL;
}

struct page *pn_coalesced_page(struct pn_vm *vm)
{
	return virt_to_page(vm->coalesced->ring);
}

bool pn_coalesced_store(struct pn_vm *vm, enum pn_bus which, u64 addr,
			unsigned int len, const void *val)
{
	struct pn_coalesced *c = vm->coalesced;
	struct kvm_coalesced_mmio *entry;
	u32 first, last, next;
	bool room;

	if (len > sizeof(entry->data))
		return false;
	spin_lock(&c->lock);
	first = READ_ONCE(c->ring->first);
	last = READ_ONCE(c->ring->last);
	next = (last + 1) % KVM_COALESCED_MMIO_MAX;
	room = last < KVM_COALESCED_MMIO_MAX && next != first % KVM_COALESCED_MMIO_MAX;
	if (room) {
		entry = &c->ring->coalesced_mmio[last];
		entry->phys_addr = addr;
		entry->len = len;
		memcpy(entry->data, val, len);
		entry->pio = which == PN_BUS_PIO;
		/* The entry before the index that makes it visible. */
		smp_store_release(&c->ring->last, next);
	}
	spin_unlock(&c->lock);
	return room;
}

long pn_vm_register_coalesced(struct pn_vm *vm, void __user *argp)
{
	struct kvm_coalesced_mmio_zone args;
	struct pn_io_zone zone;
	int ret;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	if (args.pio > 1)
		return -EINVAL;
	zone = (struct pn_io_zone){ .addr = args.addr, .size = args.size };
	mutex_lock(&vm->slots_lock);
	ret = pn_iobus_add_zone(vm, args.pio ? PN_BUS_PIO : PN_BUS_MMIO, &zone);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

/* Ends every zone that contains the given range; none is not an error. */
long pn_vm_unregister_coalesced(struct pn_vm *vm, void __user *argp)
{
	struct kvm_coalesced_mmio_zone args;
	int ret;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	if (args.pio > 1)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	ret = pn_iobus_del_zones(vm, args.pio ? PN_BUS_PIO : PN_BUS_MMIO, args.addr, args.size);
	mutex_unlock(&vm->slots_lock);
	return ret;
}
