// SPDX-License-Identifier: GPL-2.0
/*
 * The I/O regions that the kernel answers itself, one table per address space.
 *
 * A table is immutable once published. Readers (the exit path) look it up under
 * vm->srcu; a change, under vm->slots_lock, publishes an edited copy. When
 * something was taken out, the caller waits until no reader can see it; the old
 * copy of an addition is freed whenever the last reader has gone.
 */
#include <linux/eventfd.h>
#include <linux/slab.h>
#include "compat.h"
#include "kvm/iobus.h"
#include "kvm/iobus_table.h"
#include "kvm/vcpu.h"

static struct pn_iobus *table_new(unsigned int nr_events, unsigned int nr_zones)
{
	struct pn_iobus *bus;
	size_t size = sizeof(*bus) + nr_events * sizeof(*bus->events) +
		      nr_zones * sizeof(*bus->zones);

	bus = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!bus)
		return NULL;
	bus->nr_events = nr_events;
	bus->nr_zones = nr_zones;
	bus->events = (void *)(bus + 1);
	bus->zones = (void *)(bus->events + nr_events);
	return bus;
}

int pn_iobus_init(struct pn_vm *vm)
{
	int i;

	for (i = 0; i < PN_NR_BUSES; i++) {
		struct pn_iobus *bus = table_new(0, 0);

		if (!bus)
			goto fail;
		RCU_INIT_POINTER(vm->buses[i], bus);
	}
	if (pn_coalesced_init(vm))
		goto fail;
	return 0;
fail:
	pn_iobus_fini(vm);
	return -ENOMEM;
}

void pn_iobus_fini(struct pn_vm *vm)
{
	int i;

	for (i = 0; i < PN_NR_BUSES; i++) {
		struct pn_iobus *bus = rcu_dereference_protected(vm->buses[i], true);
		unsigned int e;

		for (e = 0; bus && e < bus->nr_events; e++) {
			eventfd_ctx_put(bus->events[e].ctx);
			atomic_long_dec(&pn_counts.ioeventfds);
		}
		RCU_INIT_POINTER(vm->buses[i], NULL);
		kvfree(bus);
	}
	pn_coalesced_fini(vm);
}

struct pn_iobus *pn_iobus_get(struct pn_vm *vm, enum pn_bus which)
{
	return rcu_dereference_protected(vm->buses[which], lockdep_is_held(&vm->slots_lock));
}

static_assert(offsetof(struct pn_iobus, retired) == 0);

static void table_publish(struct pn_vm *vm, enum pn_bus which, struct pn_iobus *bus)
{
	struct pn_iobus *old = pn_iobus_get(vm, which);

	rcu_assign_pointer(vm->buses[which], bus);
	pn_vm_retire(vm, &old->retired);
}

/* The first event at or above @addr. */
static unsigned int event_lower_bound(const struct pn_iobus *bus, u64 addr)
{
	unsigned int lo = 0, hi = bus->nr_events;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (bus->events[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int pn_iobus_add_event(struct pn_vm *vm, enum pn_bus which, const struct pn_io_event *event)
{
	struct pn_iobus *old = pn_iobus_get(vm, which);
	struct pn_iobus *bus = table_new(old->nr_events + 1, old->nr_zones);
	unsigned int at = event_lower_bound(old, event->addr);

	if (!bus)
		return -ENOMEM;
	memcpy(bus->events, old->events, at * sizeof(*event));
	bus->events[at] = *event;
	memcpy(bus->events + at + 1, old->events + at, (old->nr_events - at) * sizeof(*event));
	memcpy(bus->zones, old->zones, old->nr_zones * sizeof(*old->zones));
	table_publish(vm, which, bus);
	return 0;
}

int pn_iobus_del_event(struct pn_vm *vm, enum pn_bus which, unsigned int at)
{
	struct pn_iobus *old = pn_iobus_get(vm, which);
	struct pn_iobus *bus = table_new(old->nr_events - 1, old->nr_zones);

	if (!bus)
		return -ENOMEM;
	memcpy(bus->events, old->events, at * sizeof(*bus->events));
	memcpy(bus->events + at, old->events + at + 1, (bus->nr_events - at) * sizeof(*bus->events));
	memcpy(bus->zones, old->zones, old->nr_zones * sizeof(*old->zones));
	table_publish(vm, which, bus);
	pn_vm_drop_readers(vm);
	return 0;
}

int pn_iobus_add_zone(struct pn_vm *vm, enum pn_bus which, const struct pn_io_zone *zone)
{
	struct pn_iobus *old = pn_iobus_get(vm, which);
	struct pn_iobus *bus;

	if (old->nr_zones >= PN_MAX_ZONES)
		return -ENOSPC;
	bus = table_new(old->nr_events, old->nr_zones + 1);
	if (!bus)
		return -ENOMEM;
	memcpy(bus->events, old->events, old->nr_events * sizeof(*old->events));
	memcpy(bus->zones, old->zones, old->nr_zones * sizeof(*old->zones));
	bus->zones[old->nr_zones] = *zone;
	table_publish(vm, which, bus);
	return 0;
}

int pn_iobus_del_zones(struct pn_vm *vm, enum pn_bus which, u64 addr, u32 size)
{
	struct pn_iobus *old = pn_iobus_get(vm, which);
	struct pn_iobus *bus = table_new(old->nr_events, old->nr_zones);
	unsigned int i, n = 0;

	if (!bus)
		return -ENOMEM;
	memcpy(bus->events, old->events, old->nr_events * sizeof(*old->events));
	for (i = 0; i < old->nr_zones; i++)
		if (!pn_io_zone_contains(&old->zones[i], addr, size))
			bus->zones[n++] = old->zones[i];
	bus->nr_zones = n;
	if (n == old->nr_zones) {
		kvfree(bus);
		return 0;
	}
	table_publish(vm, which, bus);
	pn_vm_drop_readers(vm);
	return 0;
}

static bool event_matches(const struct pn_io_event *event, unsigned int len, const void *val)
{
	u64 data = 0;

	if (!event->len)
		return true;
	if (event->len != len)
		return false;
	if (event->wildcard)
		return true;
	memcpy(&data, val, len);	/* len is 1, 2, 4 or 8 as event->len is */
	return data == event->datamatch;
}

bool pn_iobus_write(struct pn_vcpu *vcpu, enum pn_bus which, u64 addr,
		    unsigned int len, const void *val)
{
	struct pn_vm *vm = vcpu->vm;
	struct pn_iobus *bus = srcu_dereference(vm->buses[which], &vm->srcu);
	unsigned int i;

	for (i = event_lower_bound(bus, addr); i < bus->nr_events; i++) {
		const struct pn_io_event *event = &bus->events[i];

		if (event->addr != addr)
			break;
		if (event_matches(event, len, val)) {
			compat_eventfd_signal(event->ctx);
			return true;
		}
	}
	for (i = 0; i < bus->nr_zones; i++)
		if (pn_io_zone_contains(&bus->zones[i], addr, len))
			return pn_coalesced_store(vm, which, addr, len, val);
	return false;
}
