/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tables behind kvm/iobus.h, for the files that edit them (ioeventfd.c,
 * coalesced.c). Everything here is called under vm->slots_lock unless it says
 * otherwise.
 */
#ifndef PN_KVM_IOBUS_TABLE_H
#define PN_KVM_IOBUS_TABLE_H

#include "kvm/iobus.h"

#define PN_MAX_ZONES	1000	/* coalesced zones per bus, as many as the stock module takes */

struct eventfd_ctx;

struct pn_io_event {
	u64 addr;
	u64 datamatch;
	struct eventfd_ctx *ctx;
	u8 len;			/* 1, 2, 4, 8, or 0: any */
	bool wildcard;		/* any data */
};

struct pn_io_zone {
	u64 addr;
	u32 size;
};

struct pn_iobus {
	struct pn_retired retired;	/* the first, see pn_vm_retire */
	unsigned int nr_events, nr_zones;
	struct pn_io_event *events;	/* by addr, ascending */
	struct pn_io_zone *zones;
};

static inline bool pn_io_zone_contains(const struct pn_io_zone *zone, u64 addr, u32 len)
{
	return addr >= zone->addr && addr + len >= addr && addr + len <= zone->addr + zone->size;
}

struct pn_iobus *pn_iobus_get(struct pn_vm *vm, enum pn_bus which);

/*
 * Publish an edited copy: 0, -ENOMEM, or -ENOSPC (too many zones). After a
 * deletion no reader sees the region any more.
 */
int pn_iobus_add_event(struct pn_vm *vm, enum pn_bus which, const struct pn_io_event *event);
int pn_iobus_del_event(struct pn_vm *vm, enum pn_bus which, unsigned int at);
int pn_iobus_add_zone(struct pn_vm *vm, enum pn_bus which, const struct pn_io_zone *zone);
int pn_iobus_del_zones(struct pn_vm *vm, enum pn_bus which, u64 addr, u32 size);

/* kvm/coalesced.c */
int pn_coalesced_init(struct pn_vm *vm);
void pn_coalesced_fini(struct pn_vm *vm);
/* Append to the ring; false when it is full. Any context. */
bool pn_coalesced_store(struct pn_vm *vm, enum pn_bus which, u64 addr,
			unsigned int len, const void *val);

#endif
