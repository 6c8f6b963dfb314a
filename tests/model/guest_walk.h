/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An independent model of the x86 page walk, written from the manual one paging
 * mode after the other, in the slowest and plainest way. No code of mmu/.
 */
#ifndef TESTS_MODEL_GUEST_WALK_H
#define TESTS_MODEL_GUEST_WALK_H

#include <stdbool.h>
#include <stdint.h>

struct gw_cpu {
	bool pg, wp, pse, pae, lma, la57, nxe, smep, smap, pke, ac;
	bool pages_1g, amd;
	unsigned int maxphyaddr;
	uint32_t pkru;
	uint64_t cr3;
	const unsigned long long *pdptrs;		/* PAE: as loaded in the processor, or NULL: in memory */
};

struct gw_access {
	bool write, fetch, user, implicit;
};

struct gw_result {
	enum { GW_OK, GW_FAULT, GW_NONCANONICAL, GW_NO_MEMORY } what;
	uint64_t gpa;
	unsigned int error_code;
	uint64_t size;		/* GW_OK: of the page */
	bool global;		/* GW_OK: bit G of the leaf */
	int n;			/* entries in memory that were present, from the root down: */
	uint64_t at[5];		/* their addresses */
	uint64_t nowhere;	/* GW_NO_MEMORY: address of the entry */
};

/* Guest memory, from address 0. load: instead of byte, false where there is no memory. */
struct gw_memory {
	uint8_t *byte;
	uint64_t size;
	bool (*load)(const struct gw_memory *memory, uint64_t at, int width, uint64_t *value);
};

/* set_ad: update the tables as the processor does. */
struct gw_result gw_walk(const struct gw_cpu *cpu, struct gw_memory *memory, uint64_t gva,
			 struct gw_access access, bool set_ad);

#endif
