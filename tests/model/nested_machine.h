/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of everything around nested mode: a host with memory that comes, goes,
 * moves and changes size; slots; processors with TLBs, paging-structure caches and
 * accessed/dirty bits; and what each of them may see.
 *
 * It shares no code with mmu/: entries are decoded here from the manuals again.
 * The host's own state (truth) changes only between mmu_invalidate_begin and _end,
 * as the kernel's does; every access the processors make is checked against it, and
 * every write is remembered until the dirty log has shown it.
 */
#ifndef TESTS_MODEL_NESTED_MACHINE_H
#define TESTS_MODEL_NESTED_MACHINE_H

#include "mmu/mmu.h"

#define NM_BASE		(2 * 262144ULL - 2048)	/* small pages, one by one, across a 1 GiB boundary */
#define NM_GFNS		4096
#define NM_END		(NM_BASE + NM_GFNS)
#define NM_CHUNK	512
#define NM_CHUNKS	(NM_GFNS / NM_CHUNK)
#define NM_GIANT	0	/* first gfn of 1 GiB that comes as a whole or in 2 MiB pieces */
#define NM_GIANT_GFNS	262144
#define NM_SLOTS	4
#define NM_VCPUS	3
#define NM_TLB		64

enum nm_hw { NM_NPT, NM_EPT, NM_EPT_NOAD };

struct nm_slot {
	gfn_t start, end;
	bool exists, readonly, log;
};

/* What the host has at a gfn. */
struct nm_page {
	u64 pfn;
	bool present, writable, missing;
};

/* A change the host announced with mmu_invalidate_begin and has not ended yet. */
struct nm_change {
	enum { NM_DROP, NM_MOVE, NM_PROTECT, NM_COLLAPSE, NM_SPLIT, NM_GIANT_NEW } kind;
	gfn_t start, end;
	int level;
	bool made;
};

#define NM_PENDING	4

struct nm_tlb {
	bool valid, write, dirty;
	gfn_t gfn;
	u64 pfn;
	const u64 *pde_table;	/* paging-structure cache: the leaf table the walk went through, or NULL */
};

struct nm_vcpu {
	struct mmu_vcpu mmu;
	struct nm_tlb tlb[NM_TLB];
};

struct nm {
	struct mmu_vm vm;
	struct nm_vcpu vcpu[NM_VCPUS];
	enum nm_hw hw;
	struct nm_slot slot[NM_SLOTS];
	struct nm_page page[NM_GFNS];
	bool huge[NM_CHUNKS];		/* the chunk is one 2 MiB mapping of the host */
	struct nm_page giant;		/* pfn of the first page */
	u8 giant_level;			/* 2 or 3 */
	u64 next_pfn;
	struct nm_change change[NM_PENDING];
	int pending;			/* of change[] */

	/* dirty logging */
	bool logging[NM_SLOTS];		/* start has returned */
	bool logged_once[NM_SLOTS];
	unsigned long live[NM_SLOTS][NM_GFNS / 64];
	bool must[NM_GFNS];		/* [gfn - NM_BASE]: written and not yet shown */
	bool maybe[NM_GFNS];		/* a write was at least tried */

	/* switches of the simulation */
	u64 rng;
	unsigned int race_pct;		/* a host answer becomes stale before it is used */
	unsigned int around_pct;
	unsigned int atomic_pct;
	bool guest_runs_in_flush;
	bool concurrent;		/* anything may happen during a call */
	bool in_event, in_flush, in_slot_change;
	void (*event)(struct nm *m);	/* what happens in a race */

	/* evidence */
	unsigned long violations;
	char first[160];
	unsigned long flushes, asked;
};

u32 nm_random(struct nm *m, u32 below);
void nm_violation(struct nm *m, const char *what, gfn_t gfn);

int nm_init(struct nm *m, enum nm_hw hw, int levels, u64 seed);
void nm_fini(struct nm *m);

struct nm_slot *nm_slot_of(struct nm *m, gfn_t gfn);
struct nm_page nm_truth(struct nm *m, gfn_t gfn);

/* One processor access without a fault handler: true when it went through. Checks it. */
bool nm_touch(struct nm *m, int cpu, gfn_t gfn, bool write, u64 *error_code);

enum nm_outcome { NM_DONE, NM_MMIO, NM_ERROR, NM_BUSY };
/* An access with faults served until it goes through or ends otherwise. faults may be NULL. */
enum nm_outcome nm_access(struct nm *m, int cpu, gfn_t gfn, bool write, int *faults);

/* Host events; pages [start, end) of the small area. The change may come and end later. */
void nm_host_drop(struct nm *m, gfn_t start, gfn_t end);
void nm_host_move(struct nm *m, gfn_t gfn);
void nm_host_protect(struct nm *m, gfn_t start, gfn_t end);
void nm_host_collapse(struct nm *m, int chunk);
void nm_host_split(struct nm *m, int chunk);
void nm_host_giant(struct nm *m, int level);	/* 0: drop; 2, 3: fresh memory of that size */
void nm_slot_set(struct nm *m, int slot, bool exists);

void nm_log_start(struct nm *m, int slot);
void nm_log_stop(struct nm *m, int slot);
void nm_log_take(struct nm *m, int slot);
void nm_log_peek_clear(struct nm *m, int slot);
/* Make and end pending changes: some, or all. */
void nm_host_end(struct nm *m, bool all);
void nm_emulator_write(struct nm *m, gfn_t gfn);

/* mmu_audit() with violations noted. */
void nm_audit(struct nm *m);

#endif
