/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The machine of a run: processors with TLBs that walk our tables, the guest's memory with all that was ever in its tables,
 * a host that moves pages and keeps a dirty log.
 *
 *   memory[gfn][512] ── changes[]: what an entry was, and until when ──┐
 *                                                                      ▼
 *   cpu: TLB ◄─ our tables ◄─ mmu/ ◄─ the guest's     page reached, or fault ──► oracle: may that be?
 *        flushed at: loads of CR3, of everything, INVLPG of a page ────────────────┘
 *
 * Time is the number of changes. A processor may go by anything that an entry was since its own last flush that counts for
 * the page, and by nothing older: that, and not when others flushed, is what the guest can rely on.
 */
#ifndef PENUMBRA_TESTS_EXPLORE_MACHINE_H
#define PENUMBRA_TESTS_EXPLORE_MACHINE_H

#include "kapi.h"
#include "mmu/shadow.h"
#include "tests/model/random.h"

#define CPUS		3
#define FRAMES		64		/* of guest memory, with room for tables and data */
#define PLACES		24		/* addresses that are used in a run, at most */
#define CHANGES		4096
#define LOADS		64

#define ACCESSED_DIRTY	(PT_ACCESSED | PT_DIRTY)
#define OPEN		(PT_PRESENT | PT_WRITE | PT_USER)

struct change {
	gfn_t gfn;
	unsigned int index;
	u64 old;
	unsigned int time;		/* until then */
};

struct tlb_entry {
	bool valid, large, write, user, dirty;
	u64 pfn;
};

struct cpu {
	struct mmu_vcpu mmu;
	gfn_t root;
	bool wp, pge;
	bool inside;			/* the guest runs: the host's flush waits until it does not */
	struct tlb_entry tlb[PLACES];
	u64 *leaf_table[PLACES];	/* paging-structure cache */
	unsigned int flushed, flushed_all;	/* all but global pages; these as well */
	unsigned int flushed_page[PLACES], flushed_region[PLACES];	/* 4 KiB, 2 MiB around it */
	struct {
		gfn_t root;
		unsigned int until;
	} before[LOADS];		/* roots whose global pages may be in the TLB */
	unsigned int nr_before;
};

struct host {
	u64 pfn[FRAMES], next_pfn;	/* a pfn is that of frame pfn % FRAMES; 0: not there */
	bool large;			/* pages are 2 MiB, all of memory is in one */
	bool logs;
	unsigned long written;		/* bits of frames: by the host or devices */
	unsigned long version[FRAMES], copied[FRAMES];	/* writes so far; when it was copied last */
};

struct machine {
	struct mmu_vm vm;
	struct cpu cpu[CPUS];
	struct host host;
	u64 memory[FRAMES][MMU_ENTRIES] __aligned(4096);
	struct change change[CHANGES];
	unsigned int nr_changes, now;
	gva_t place[PLACES];
	unsigned int nr_places;
	int window[FRAMES];		/* the place that maps a table; 0: none yet */
	bool structure_cache;
	u64 random;
	bool traces;
	bool failed;
	char why[200];
};

struct edit {
	gfn_t gfn;
	unsigned int index;
	u64 value;
};

struct access {
	unsigned int place;
	bool write, user;
	const struct edit *edit;	/* what is written, or NULL: data */
};

/* What an access came to. */
struct outcome {
	const struct access *access;
	bool fault;
	u32 code;
	gfn_t gfn;
};

static inline unsigned int index_of(gva_t gva, int level)
{
	return gva >> (PAGE_SHIFT + 9 * (level - 1)) & (MMU_ENTRIES - 1);
}

/* ---- machine.c ---- */

void machine_init(struct machine *m, u64 seed);
void machine_fini(struct machine *m);
static inline unsigned int any(struct machine *m, unsigned int n)
{
	return random_word(&m->random) % n;
}
void trace(const struct machine *m, const char *fmt, ...) __printf(2, 3);
/* The first one counts. */
void wrong(struct machine *m, const char *what, u64 a, u64 b);
void machine_store(struct machine *m, const struct edit *e);
void machine_audit(struct machine *m);

/* ---- cpu.c: what the guest does ---- */

void cpu_access(struct machine *m, unsigned int c, const struct access *a);
void cpu_load(struct machine *m, unsigned int c, gfn_t root, unsigned int what);
void cpu_invlpg(struct machine *m, unsigned int c, unsigned int place);

/* ---- host.c ---- */

extern const struct mmu_host_ops host_ops;
/* The frame gets another page, or with drop none until it is used. */
void host_move(struct machine *m, gfn_t gfn, bool drop);
/* Something outside the guest changes a table. */
void host_write(struct machine *m, const struct edit *e);
void host_copy_dirty(struct machine *m);
void host_restart_log(struct machine *m);
/* Whatever was written and not copied was lost. */
void host_check_log(struct machine *m);

/* ---- oracle.c ---- */

bool oracle_allows(const struct machine *m, unsigned int c, const struct outcome *o);

#endif
