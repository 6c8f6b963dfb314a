/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of everything around shadow mode: a host with memory that comes, goes and
 * moves; processors that walk mmu_root() with TLBs and paging-structure caches; a guest
 * with tables of its own in every paging mode; and what its processor may do with them.
 *
 *   shadow_guest.c   random guests: edits, flushes, address spaces, modes
 *   shadow_tables.c  their tables
 *   shadow_cpu.c     a processor on our tables; one access from start to end
 *   shadow_oracle.c  what was where and when; the outcomes that an access may have
 *   shadow_host.c    memory, slots, invalidations, dirty log, allocations
 *
 * It shares no code with mmu/. What the guest's tables say comes from guest_walk.c, over
 * all values that the entries have had since the guest last flushed: an outcome is right
 * if one choice of them explains it. Such a value must have its accessed (dirty) bit set:
 * so a bit that should have been set and was not is found too.
 */
#ifndef TESTS_MODEL_SHADOW_MACHINE_H
#define TESTS_MODEL_SHADOW_MACHINE_H

#include "mmu/mmu.h"
#include "tests/model/guest_walk.h"

#define SM_VCPUS	3
#define SM_SMALL	1536		/* gfns [0, SM_SMALL): pages one by one, three chunks */
#define SM_CHUNK	512
#define SM_CHUNKS	(SM_SMALL / SM_CHUNK)
#define SM_GIANT	0x40000		/* 1 GiB that comes as a whole or in 2 MiB pieces */
#define SM_GIANT_GFNS	0x40000
#define SM_GFNS		(SM_GIANT + SM_GIANT_GFNS)
#define SM_SLOTS	5
#define SM_TABLES	60		/* gfns below: where the guest's tables usually are */
#define SM_SPACES	3		/* address spaces of each paging mode */
#define SM_TLB		64
#define SM_PSC		8
#define SM_MAXPHYADDR	40		/* of the guest */
#define SM_UNLIKE_BITS	36		/* of the vCPU that is unlike the others */
#define SM_HOST_PAT	0x0407050600070106ull
#define SM_WRITES	(1 << 17)	/* writes remembered in one life */
#define SM_FLUSHES	4096
#define SM_BUCKETS	4096

enum sm_mode { SM_OFF, SM_32, SM_PSE, SM_PAE, SM_LONG, SM_LA57, SM_MODES };

struct sm_slot {
	gfn_t start, end;
	bool exists, readonly, log;
	u64 gone, came;		/* when it last did */
};

struct sm_page {
	u64 pfn;
	bool present, writable;
	bool broken;		/* the VMM's memory is missing there: MMU_HOST_ERROR */
	u64 gone, came;		/* … when it last was, and was not any more */
};

/* A change that mmu_invalidate_begin has announced and that has not ended yet. */
struct sm_change {
	enum { SM_DROP, SM_MOVE, SM_PROTECT, SM_COLLAPSE, SM_SPLIT, SM_NEW_GIANT,
	       SM_BREAK, SM_MEND } kind;
	gfn_t start, end;
	int level;
	bool made;
};

#define SM_PENDING	4

/* 8 bytes of guest memory held old until time. */
struct sm_write {
	u64 at, old, time;
	u32 next;		/* older one of the same bucket, 0: none */
};

enum sm_flush_kind { SM_FLUSH_ALL, SM_FLUSH_CR3, SM_FLUSH_PAGE };

struct sm_flush {
	u64 time;
	enum sm_flush_kind kind;
	gva_t gva;
};

/* A value of CR3, with what was loaded along. */
struct sm_root {
	u64 cr3, until;
	u64 pdptrs[4];
};

#define SM_ROOTS	64

/* Accessed and dirty bits set in one call of mmu/. */
struct sm_bits {
	unsigned int nr;
	u64 at[64], old[64], new[64];
};

#define SM_ANY_TYPE	0xff

struct sm_tlb {
	bool valid, write, user, nx, dirty;
	u8 key, type, level;	/* level: of the leaf it came from: INVLPG removes all of that */
	u64 vpn, pfn;
};

/* Paging-structure cache: the table of some level that leads to an address. */
struct sm_psc {
	bool valid, write, user, nx;
	u64 tag;
	u64 *table;
};

struct sm_vcpu {
	struct mmu_vcpu mmu;
	enum sm_mode mode;
	struct mmu_paging paging;
	u32 pkru;
	bool loaded;		/* mmu_load went through for paging */
	struct sm_tlb tlb[SM_TLB];
	struct sm_psc psc[3][SM_PSC];
	u64 pdpte[4];		/* the hardware's, of our tables */
	bool in_core;		/* its thread is inside a function of mmu/ */
	struct sm_flush flush[SM_FLUSHES];
	unsigned int flushes;	/* of flush[], since the last complete one */
	struct sm_root root[SM_ROOTS];
	unsigned int roots;	/* of root[], likewise; the last is current */
};

/* What one step does; the rest is drawn from a generator that starts with seed. */
struct sm_op {
	u8 what, cpu;
	u16 arg;
	u32 seed;
};

struct sm_config {
	const char *name;
	enum sm_mode mode;	/* most vCPUs', most of the time */
	int levels;		/* of the host's tables */
	u8 max_leaf;
	unsigned int pages_max;	/* shadow pages allowed; 0: any number */
	unsigned int mode_pct;	/* how often a change of registers changes the mode */
	bool races;		/* answers become stale, others run where the lock is free */
	bool flush_races;	/* others run on until a flush is through */
	bool yields;
	bool switches;		/* nested <-> shadow */
	bool parts;		/* some parts of shadow mode are switched off */
	unsigned int sync_some;	/* entries compared in one go; 0: as mmu/ has it */
};

struct sm {
	struct mmu_vm vm;
	struct sm_config config;
	struct sm_vcpu vcpu[SM_VCPUS];

	/* the host */
	u8 *byte;		/* guest memory by gpa: what is at a pfn moves with it */
	struct sm_slot slot[SM_SLOTS];
	struct sm_page page[SM_SMALL];
	bool huge[SM_CHUNKS];
	struct sm_page giant;	/* pfn of the first page */
	u8 giant_level;
	u64 next_pfn, next_giant;
	struct sm_change change[SM_PENDING];
	int pending;
	bool logging[SM_SLOTS];
	unsigned long live[SM_SLOTS][SM_SMALL / 64];
	bool must[SM_SMALL];	/* written, and not yet in a dirty log */

	/* history */
	u64 now;
	struct sm_write write[SM_WRITES];
	u32 writes;
	u32 bucket[SM_BUCKETS];
	u8 *mirror;		/* byte, as far as history knows */
	bool watched[SM_SMALL];	/* we gave out its address: may be written behind our back */

	struct sm_bits ad;	/* in the current call */

	/* the guest */
	u64 pat;
	bool unlike;		/* the last vCPU's CPUID has less than the others' */
	u64 space[SM_MODES][SM_SPACES];	/* values for CR3 */

	/* the simulation */
	u64 rng;
	bool in_event, in_flush, slots_locked, trace;
	int in_slot_change;
	unsigned long step;

	/* evidence */
	unsigned long violations;
	char first[200];
	unsigned long accesses, done, faults, reflected, emulated, mmio, busy, calls;
};

/* shadow_host.c */
int sm_init(struct sm *m, const struct sm_config *config, u64 seed);
void sm_fini(struct sm *m);
u32 sm_random(struct sm *m, u32 below);
bool sm_chance(struct sm *m, unsigned int pct);
void sm_seed(struct sm *m, u64 seed);
void sm_violation(struct sm *m, const char *what, u64 address) __attribute__((cold));
void sm_trace(struct sm *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct sm_slot *sm_slot_of(struct sm *m, gfn_t gfn);
struct sm_page sm_truth(struct sm *m, gfn_t gfn);
bool sm_broken(struct sm *m, gfn_t gfn);
/* Is there memory to be read? */
bool sm_is_ram(struct sm *m, gpa_t gpa);
void sm_host_event(struct sm *m);
void sm_slot_event(struct sm *m);
void sm_break(struct sm *m, gfn_t gfn, bool broken);
void sm_host_end(struct sm *m, bool all);
void sm_wrote(struct sm *m, gfn_t gfn);
void sm_audit(struct sm *m);
/* Others get on while a thread is out of all locks, or lets go of one for them. No nesting. */
void sm_others_run(struct sm *m);

/* shadow_oracle.c */
void sm_store(struct sm *m, gpa_t gpa, u64 value, int size);
void sm_emulated_store(struct sm *m, gpa_t gpa, u64 value, int size);	/* and mmu/ is told */
u64 sm_load(struct sm *m, gpa_t gpa, int size);
void sm_sync_history(struct sm *m);
void sm_note_bits(struct sm *m, u64 at, u64 old, u64 new);
void sm_note_flush(struct sm_vcpu *v, enum sm_flush_kind kind, gva_t gva, u64 time);
struct gw_cpu sm_gw_cpu(const struct sm_vcpu *v, bool ac);
/* What the guest's tables say now. */
struct gw_result sm_truth_walk(struct sm *m, struct sm_vcpu *v, gva_t gva, struct gw_access a,
			       bool ac, bool set_ad);
/* May the access have reached pfn, as memory of a type (or SM_ANY_TYPE)? May it have ended so? */
bool sm_may_reach(struct sm *m, struct sm_vcpu *v, gva_t gva, struct gw_access a, bool ac, u64 pfn,
		  u8 type);
bool sm_may_end(struct sm *m, struct sm_vcpu *v, gva_t gva, struct gw_access a, bool ac, u64 since,
		bool (*wanted)(struct sm *m, const struct gw_result *r, u64 arg), u64 arg);

/* shadow_cpu.c */
enum sm_outcome { SM_DONE, SM_REFLECTED, SM_MMIO, SM_ERROR, SM_BUSY, SM_GP };

struct sm_access {
	gva_t gva;
	struct gw_access a;
	bool ac;
	u64 value;		/* what a write writes */
	int size;
	gpa_t gpa;		/* out, SM_DONE */
};

enum sm_outcome sm_access(struct sm *m, struct sm_vcpu *v, struct sm_access *x);
bool sm_hw_access(struct sm *m, struct sm_vcpu *v, const struct sm_access *x, u64 *pfn, u64 *code);
void sm_hw_flush(struct sm_vcpu *v);
void sm_hw_flush_page(struct sm_vcpu *v, gva_t gva);
void sm_guest_flush(struct sm *m, struct sm_vcpu *v, unsigned int what);
bool sm_guest_cr3(struct sm *m, struct sm_vcpu *v, u64 cr3);
void sm_guest_invlpg(struct sm *m, struct sm_vcpu *v, gva_t gva);
void sm_read_mapped(struct sm *m, struct sm_vcpu *v, gva_t gva);
int sm_set_mode(struct sm *m, bool shadow);

/* shadow_guest.c */
void sm_guest_setup(struct sm *m);
void sm_guest_mode(struct sm *m, struct sm_vcpu *v, enum sm_mode mode);
void sm_op_random(struct sm_op *op, u64 *rng);
void sm_op_do(struct sm *m, const struct sm_op *op);
void sm_event(struct sm *m);

#endif
