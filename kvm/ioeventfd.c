// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_IOEVENTFD: a guest write to an address signals an eventfd instead of
 * leaving to user space. The registration holds the eventfd's context; closing
 * the descriptor does not end it, KVM_IOEVENTFD_FLAG_DEASSIGN or the VM's end does.
 */
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/kvm.h>
#include <linux/uaccess.h>
#include "kvm/iobus_table.h"
#include "kvm/stats.h"

static enum pn_bus bus_from_flags(u32 flags)
{
	if (flags & KVM_IOEVENTFD_FLAG_PIO)
		return PN_BUS_PIO;
	if (flags & KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY)
		return PN_BUS_CCW;
	return PN_BUS_MMIO;
}

/* Would one write match both? */
static bool events_collide(const struct pn_io_event *a, const struct pn_io_event *b)
{
	if (a->addr != b->addr)
		return false;
	if (!a->len || !b->len)
		return true;
	return a->len == b->len &&
	       (a->wildcard || b->wildcard || a->datamatch == b->datamatch);
}

static int event_add(struct pn_vm *vm, enum pn_bus which, const struct pn_io_event *event)
{
	struct pn_iobus *bus = pn_iobus_get(vm, which);
	unsigned int i;

	for (i = 0; i < bus->nr_events; i++)
		if (events_collide(&bus->events[i], event))
			return -EEXIST;
	return pn_iobus_add_event(vm, which, event);
}

static int event_assign(struct pn_vm *vm, const struct kvm_ioeventfd *args)
{
	struct pn_io_event event = {
		.addr = args->addr,
		.len = args->len,
		.wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH),
		.datamatch = args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH ? args->datamatch : 0,
	};
	int ret;

	if (args->len > 8 || (args->len & (args->len - 1)))
		return -EINVAL;		/* 0, 1, 2, 4 or 8 */
	if (args->addr + args->len < args->addr)
		return -EINVAL;
	if (args->flags & ~KVM_IOEVENTFD_VALID_FLAG_MASK)
		return -EINVAL;
	if (!args->len && !event.wildcard)
		return -EINVAL;

	event.ctx = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(event.ctx))
		return PTR_ERR(event.ctx);

	mutex_lock(&vm->slots_lock);
	ret = event_add(vm, bus_from_flags(args->flags), &event);
	mutex_unlock(&vm->slots_lock);
	if (ret)
		eventfd_ctx_put(event.ctx);
	else
		atomic_long_inc(&pn_counts.ioeventfds);
	return ret;
}

/* Its index, or -ENOENT. */
static int event_find(const struct pn_iobus *bus, const struct kvm_ioeventfd *args,
		      const struct eventfd_ctx *ctx)
{
	bool wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	unsigned int i;

	for (i = 0; i < bus->nr_events; i++) {
		const struct pn_io_event *event = &bus->events[i];

		if (event->ctx == ctx && event->addr == args->addr &&
		    event->len == args->len && event->wildcard == wildcard &&
		    (wildcard || event->datamatch == args->datamatch))
			return i;
	}
	return -ENOENT;
}

static int event_deassign(struct pn_vm *vm, const struct kvm_ioeventfd *args)
{
	enum pn_bus which = bus_from_flags(args->flags);
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(args->fd);
	int ret;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);

	mutex_lock(&vm->slots_lock);
	ret = event_find(pn_iobus_get(vm, which), args, ctx);
	if (ret >= 0)
		ret = pn_iobus_del_event(vm, which, ret);
	mutex_unlock(&vm->slots_lock);
	if (!ret) {
		eventfd_ctx_put(ctx);	/* the registration's */
		atomic_long_dec(&pn_counts.ioeventfds);
	}
	eventfd_ctx_put(ctx);
	return ret;
}

long pn_vm_ioeventfd(struct pn_vm *vm, void __user *argp)
{
	struct kvm_ioeventfd args;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	if (args.flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		return event_deassign(vm, &args);
	return event_assign(vm, &args);
}
