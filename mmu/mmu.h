/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The virtual MMU: the outward header of mmu/.
 *
 *   guest access ──► walked by the hardware ──► nested page fault ──► mmu_fault()
 *                                                                        │
 *      host memory map (slots, host page tables) ◄── host->gfn_to_page ──┤
 *                                                                        ▼
 *      host events: mmu_invalidate_begin/end, mmu_age_gfns ──► tables the hardware walks
 *
 * A VM has one struct mmu_vm, a vCPU one struct mmu_vcpu; both are embedded in
 * the caller's own objects (use container_of). The mode (nested; later shadow and
 * direct) is a const table of operations over them. Everything in the tables is
 * a cache of "gfn → pfn" as the host answers it: any part may be dropped at any
 * moment and the next fault rebuilds it.
 *
 * Locking (docs/locking.md): vm->lock is taken inside this folder. Faults hold it
 * for reading and install entries by compare-exchange; removal holds it for
 * writing, through the TLB flush. The host operations flush and gfn_written run
 * under it and must not sleep or take it. Every function here is called with
 * interrupts enabled: a flush waits for the other processors.
 */
#ifndef PENUMBRA_MMU_MMU_H
#define PENUMBRA_MMU_MMU_H

#include "kapi.h"

/* The same types as the kernel's <linux/kvm_types.h>, so both may be included. */
typedef unsigned long gva_t;
typedef u64 gpa_t;
typedef u64 gfn_t;
typedef u64 hpa_t;

struct mmu_vm;
struct mmu_vcpu;
struct mmu_table;
struct mmu_format;
struct mmu_mode;
struct mmu_shadow;
struct mmu_spage;
struct mmu_rmap_node;

#define MMU_LEVELS_MAX	5	/* levels of a table: 1 = leaf table, 4 or 5 = root */
#define MMU_LEAF_MAX	3	/* largest leaf: 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB */
#define MMU_AROUND_MAX	16	/* neighbours a host answer may carry */

/* How many 4 KiB pages an entry of a level covers. */
static inline u64 mmu_level_pages(int level)
{
	return 1ULL << (9 * (level - 1));
}

/* ------------------------------------------------ what the host answers -- */

enum mmu_host_kind {
	MMU_HOST_RAM,		/* pfn, max_level, writable, dirty_log hold */
	MMU_HOST_NO_SLOT,	/* no memory slot there: MMIO */
	MMU_HOST_READONLY_SLOT,	/* only as the answer to a write: the slot forbids it */
	MMU_HOST_ERROR,		/* memory of the VMM is missing there: error holds (-EFAULT, -EHWPOISON) */
	MMU_HOST_SLEEP,		/* only with MMU_HOST_ATOMIC: would have to sleep */
};

/* flags of gfn_to_page */
#define MMU_HOST_WRITE	BIT(0)	/* will be written: break copy-on-write, refuse read-only slots */
#define MMU_HOST_ATOMIC	BIT(1)	/* must not sleep: MMU_HOST_SLEEP when it would have to */
#define MMU_HOST_AROUND	BIT(2)	/* neighbours are welcome if they come cheap */
#define MMU_HOST_AUDIT	BIT(3)	/* mmu_audit() asks: MMU_HOST_SLEEP in the midst of a change of which we are told later */

/* A neighbour: present in the host's page tables. 0 = none. */
#define MMU_AROUND_PRESENT	BIT_ULL(0)
#define MMU_AROUND_WRITABLE	BIT_ULL(1)	/* see writable below */
#define MMU_AROUND(pfn, writable) \
	((u64)(pfn) << PAGE_SHIFT | MMU_AROUND_PRESENT | ((writable) ? MMU_AROUND_WRITABLE : 0))

/*
 * One answer: a fact, true when it was given; the caller of gfn_to_page compares
 * the invalidation sequence before it relies on it.
 *
 * writable means: the host's own entry allows writing now AND the host already
 * counts the page as dirty (its entry's dirty bit, or set_page_dirty()). The
 * MMU never reports writes back for the host's own page cleaning.
 */
struct mmu_host_page {
	u8 kind;		/* enum mmu_host_kind */
	u8 max_level;		/* largest leaf that the host's mapping and the slot's alignment allow */
	bool writable;
	bool dirty_log;		/* the slot's writes are being logged */
	u8 around_nr;		/* entries of around[] that hold, 0 = none; set to 0 if not filled */
	int error;		/* negative errno of MMU_HOST_ERROR */
	u64 pfn;		/* of the 4 KiB page asked for, also when max_level > 1 */
	gfn_t around_gfn;	/* gfn of around[0]; all of one slot, any alignment */
	u64 around[MMU_AROUND_MAX];
};

/* flags of read_guest and cmpxchg_guest */
#define MMU_GUEST_ATOMIC	BIT(0)

/*
 * All that the pure code needs from its environment.
 *
 * Calls without a lock of ours held: gfn_to_page (but see mmu_audit), read_guest,
 * cmpxchg_guest. The caller of the public functions holds whatever keeps the
 * slots alive (an SRCU read section) around them.
 */
struct mmu_host_ops {
	/* Fill *out for gfn. Sleeps unless MMU_HOST_ATOMIC. Under MMU_HOST_ATOMIC it may be
	 * called with the MMU lock held (audit, log stop). */
	void (*gfn_to_page)(struct mmu_vm *vm, gfn_t gfn, unsigned int flags,
			    struct mmu_host_page *out);

	/* Read guest memory; [gpa, gpa + len) does not cross a page. 0, -EFAULT (no RAM
	 * there), or -EAGAIN (only with MMU_GUEST_ATOMIC: would have to sleep). */
	int (*read_guest)(struct mmu_vcpu *vcpu, gpa_t gpa, void *buf, unsigned int len,
			  unsigned int flags);

	/* Compare-exchange of size bytes (4 or 8, aligned) of guest memory, marked in the
	 * dirty log. 0 done, 1 lost (memory differs from old), -EFAULT (no RAM, or read-only),
	 * -EAGAIN as above. */
	int (*cmpxchg_guest)(struct mmu_vcpu *vcpu, gpa_t gpa, u64 old, u64 new,
			     unsigned int size, unsigned int flags);

	/* When it returns no processor holds a TLB or paging-structure entry of this VM made
	 * before the call. The MMU lock may be held (either way); must not sleep. */
	void (*flush)(struct mmu_vm *vm);

	/* The guest may have written [gfn, gfn + nr) since the last harvest: set the bits in
	 * the live bitmap of the slot (atomically), if it has one. MMU lock held. */
	void (*gfn_written)(struct mmu_vm *vm, gfn_t gfn, u64 nr);

	/* Where we can read and write a page that gfn_to_page named, for as long as an entry of ours
	 * maps it; NULL: nowhere (device memory). MMU lock held. Shadow mode only. */
	void *(*pfn_to_virt)(struct mmu_vm *vm, u64 pfn);
};

/* ------------------------------------------------------------ VM and vCPU -- */

struct mmu_vm_config {
	const struct mmu_host_ops *host;
	const struct mmu_format *format;	/* &mmu_format_npt, … */
	u8 levels;		/* 4, or 5 when the tables of this format have 5 on this host (NPT: CR4.LA57) */
	u8 max_leaf;		/* 1…3: largest leaf the processor supports (1 GiB: CPUID 8000_0001 EDX.26) */
	u64 host_pat;		/* shadow mode: the processor's PAT register */
};

extern const struct mmu_format mmu_format_npt;		/* AMD nested tables */
extern const struct mmu_format mmu_format_ept;		/* Intel, with accessed/dirty bits */
extern const struct mmu_format mmu_format_ept_noad;	/* Intel, without */

/* Statistics of a VM; read without a lock, each figure by itself. */
struct mmu_vm_stat {
	atomic64_t mapped[MMU_LEAF_MAX];	/* leaf entries now, by size: 4 KiB, 2 MiB, 1 GiB */
	atomic64_t tables;		/* table pages now, with the root, without vCPU caches */
	atomic64_t invalidated;		/* leaf entries removed since start */
	atomic64_t flushes;		/* TLB flushes asked of the host */
	atomic64_t collapsed;		/* tables replaced to map large */
	atomic64_t reclaimed;		/* tables given back by mmu_reclaim() */
	atomic64_t harvested;		/* dirty pages handed out */
	atomic64_t shadow_pages;	/* shadow mode: pages of tables now, with snapshots */
	atomic64_t shadow_leaves;	/* … leaf entries now */
	atomic64_t shadow_dropped;	/* … pages dropped because of the limit or memory pressure */
	atomic64_t traced;		/* … gfns write-protected as tables now */
	atomic64_t shadow_nodes;	/* … nodes of reverse maps now */
	atomic64_t shadow_regions;	/* … 2 MiB, 1 GiB, 512 GiB of guest memory with reverse maps now */
};

struct mmu_vm {
	const struct mmu_host_ops *host;
	const struct mmu_format *fmt;
	const struct mmu_mode *mode;
	u8 levels;
	u8 max_leaf;

	rwlock_t lock;
	struct mmu_table *root;		/* lives from init to fini */

	/* Invalidation in progress and past: written under lock for writing. */
	u64 inv_seq;			/* grows whenever an answer of the host may have become stale */
	int inv_active;			/* begun and not ended */
	gfn_t inv_start, inv_end;	/* covers the active ones */

	int logs;			/* ranges being logged: > 0 makes removal report dirty entries */
	gfn_t reclaim_gfn;		/* where reclaim goes on */
	struct list_head dead;		/* tables unlinked, freed after the flush */
	bool flush_due;			/* an entry was removed since the last flush (write lock) */

	struct mmu_shadow *shadow;	/* shadow mode's part; NULL in nested mode */
	atomic_t guest_writes;		/* between mmu_guest_write_begin() and _end() */
	unsigned long shadow_without;	/* bits of enum mmu_part; not changed once in shadow mode */
	u32 shadow_generation;		/* switches to shadow mode until now */
	atomic64_t shadow_shape;	/* changes that make a mmu_plan useless; never 0 in shadow mode */
	u64 host_pat;			/* the processor's PAT, from the configuration */
	/*
	 * So many shadow pages at most, 0: no limit. Kept by vCPUs as they allocate, so there may be what they
	 * have in hand beyond it. Less than 64 and 32 for each further vCPU may not be enough to get on with.
	 */
	unsigned long shadow_max;
	unsigned int sync_some;		/* entries compared in one go although others wait */

	struct mmu_vm_stat stat;
};

/* Statistics of a vCPU: written by its own thread. */
struct mmu_vcpu_stat {
	u64 faults;		/* calls of mmu_fault */
	u64 fixed[MMU_LEAF_MAX];/* mapped, by size */
	u64 around;		/* neighbours mapped along */
	u64 upgraded;		/* read-only entries made writable */
	u64 spurious;		/* found mapped already */
	u64 retried;		/* answer was stale, or another fault was faster */
	u64 mmio;		/* verdict MMU_MMIO */
	u64 slept;		/* verdict MMU_SLEEP */
	u64 errors;		/* verdict MMU_ERROR */
	/* shadow mode: */
	u64 reflected;		/* the guest's own faults */
	u64 hidden;		/* ours, fixed */
	u64 ahead;		/* entries filled before anybody asked */
	u64 linked;		/* tables linked */
	u64 compared;		/* tables compared with the guest's */
	u64 corrected;		/* entries that differed */
	u64 torn;		/* tables unlinked because much of them had gone */
	u64 untraced;		/* writes to tables that had been at rest */
	u64 loads;		/* mmu_load */
	u64 invlpg;
};

#define MMU_CACHE_MAX	8

/* Table pages in hand, so that a fault allocates nothing under the lock. */
struct mmu_cache {
	unsigned int nr;
	struct mmu_table *table[MMU_CACHE_MAX];
	/* shadow mode: */
	unsigned int nr_pages, nr_nodes;
	struct mmu_spage *page[MMU_CACHE_MAX];
	struct mmu_rmap_node *node[MMU_CACHE_MAX];
};

/* What a fault was about, for the caller to act on its verdict. */
struct mmu_fault_info {
	gpa_t gpa;
	u64 error_code;		/* as given to mmu_fault */
	int error;		/* of MMU_ERROR: negative errno */
	bool readonly;		/* of MMU_MMIO: write to a read-only slot rather than no slot */
	bool table;		/* of MMU_MMIO in shadow mode: gpa is where a table of the guest should be */
	u32 exception_error;	/* of MMU_REFLECT: #PF with this error code and CR2 */
	gva_t exception_addr;
};

/* The registers that decide how the guest's addresses are translated. */
struct mmu_paging {
	u64 cr0, cr3, cr4, efer, pat;
	u64 pdptrs[4];		/* PAE: as the processor has loaded them */
	u8 maxphyaddr;		/* of the guest's CPUID */
	bool pages_1g;		/* of the guest's CPUID */
	bool amd;		/* see struct mmu_walk_env */
};

/* Shadow mode: the tables that a load of CR3 compares, in the order in which they are walked; shadow_visit.c. */
#define MMU_PLANS	4
#define MMU_PLAN_MAX	24

struct mmu_plan {
	const struct mmu_spage *root;
	u64 shape;			/* vm->shadow_shape when it was made; 0: of no use */
	unsigned int nr;
	struct {
		struct mmu_spage *sp;
		u64 *slot;		/* our entry that points to it */
	} at[MMU_PLAN_MAX];
};

struct mmu_vcpu {
	struct mmu_vm *vm;
	hpa_t root_hpa;
	struct mmu_cache cache;
	struct mmu_host_page page;	/* scratch of a fault */
	struct mmu_fault_info fault;
	struct mmu_vcpu_stat stat;

	/* Shadow mode: of the last mmu_load(). */
	struct mmu_paging paging;
	u32 shadow_generation;		/* the one that root belongs to */
	u64 parts_seen;			/* shadow->parts_gone when the TLB was last emptied */
	u64 role;			/* union mmu_role: what all its spages have in common */
	u8 levels;			/* 3, 4 or 5 */
	u64 leaf_rsvd[2];		/* [level - 1]: reserved bits of the guest's leaves */
	bool globals;			/* entries may be global: shadow->globals at the last load */
	struct mmu_spage *root;
	struct mmu_spage *pae_root;	/* its own, made when first needed */
	unsigned int next_plan;
	struct mmu_plan plan[MMU_PLANS];	/* of the roots loaded last */
};

/*
 * A VM's tables: allocates the root. Sleeps. 0 or -ENOMEM, -EINVAL (config).
 * fini: no vCPU is left and no host event comes any more; everything is freed. An
 * mmu_invalidate_begin whose end never comes is fine.
 */
int mmu_vm_init(struct mmu_vm *vm, const struct mmu_vm_config *config);
void mmu_vm_fini(struct mmu_vm *vm);

/* init: 0 or -ENOMEM; sleeps. fini: gives the table cache back. */
int mmu_vcpu_init(struct mmu_vcpu *vcpu, struct mmu_vm *vm);
void mmu_vcpu_fini(struct mmu_vcpu *vcpu);

/* ------------------------------------------------------------- the guest -- */

/* Error code bits, APM vol. 2, 8.4.2 (#PF) and 15.25.6 (nested page fault: 32, 33). */
#define MMU_PF_PRESENT	BIT_ULL(0)
#define MMU_PF_WRITE	BIT_ULL(1)
#define MMU_PF_USER	BIT_ULL(2)
#define MMU_PF_RSVD	BIT_ULL(3)
#define MMU_PF_FETCH	BIT_ULL(4)
#define MMU_PF_PK	BIT_ULL(5)
#define MMU_PF_NPT_FINAL	BIT_ULL(32)	/* translating the guest's final address */
#define MMU_PF_NPT_TABLE	BIT_ULL(33)	/* translating the address of a guest table */

enum mmu_verdict {
	MMU_RESUME,	/* fixed (or somebody else did): run the guest again */
	MMU_MMIO,	/* no RAM takes this access: emulate; fault.readonly says which kind */
	MMU_SLEEP,	/* only with MMU_ATOMIC: call again without it, where sleeping is allowed */
	MMU_ERROR,	/* fault.error: fail to user space */
	MMU_REFLECT,	/* shadow mode: the guest's own #PF: inject it */
	MMU_EMULATE,	/* shadow mode: no entry can allow just this access: carry the instruction out */
};

#define MMU_ATOMIC	BIT(0)	/* preemption may be off; interrupts must be on */

/*
 * Fill the vCPU's cache of table pages if one fault might use it up. Sleeps. 0 or -ENOMEM.
 * Calling it before preemption goes off lets mmu_fault(MMU_ATOMIC) do without
 * MMU_SLEEP most of the time.
 */
int mmu_vcpu_topup(struct mmu_vcpu *vcpu);

/*
 * One nested page fault of this vCPU at gpa. error_code: as the hardware gave it
 * (EXITINFO1, or the same bits made from an EPT violation). Called by the vCPU's
 * own thread. Without MMU_ATOMIC it may sleep and tops the cache up itself.
 * Details of the verdict are in vcpu->fault.
 */
enum mmu_verdict mmu_fault(struct mmu_vcpu *vcpu, gpa_t gpa, u64 error_code, unsigned int flags);

/* Machine address of the root to load: nCR3, EPTP without its attribute bits; in shadow mode CR3. */
static inline hpa_t mmu_root(const struct mmu_vcpu *vcpu)
{
	return vcpu->root_hpa;
}

/* ------------------------------------------------------------ shadow mode -- */

/*
 * In shadow mode the hardware walks tables of ours that lead from gva to pfn: the
 * guest's own tables combined with P2M, which is the nested tree. All of them are
 * what a TLB is to the guest: made at a fault, brought up to date when the guest
 * flushes (docs/mmu.md). The processor runs with CR0.PG and WP, CR4.PAE and EFER.NXE
 * set whatever the guest has, and with its tables' depth: mmu_shadow_levels().
 */
enum mmu_vm_mode { MMU_NESTED, MMU_SHADOW };

/*
 * What shadow mode does to be fast, and would be right without: so that each can be switched off to see
 * what it is worth (docs/mmu.md, make bench-shadow-worth). Bits of vm->shadow_without.
 */
enum mmu_part {
	MMU_PART_FAST,		/* the short way of a fault, shadow_fast.c */
	MMU_PART_NEIGHBOURS,	/* a fault fills entries around it */
	MMU_PART_AHEAD,		/* at a flush entries are filled and changed; without, they only go */
	MMU_PART_ROOTS,		/* roots are kept across CR3 loads; without, no more than there are vCPUs */
	MMU_PART_REST,		/* tables at rest are write-protected and not compared */
	MMU_PART_BUSY,		/* a CR3 load goes only where there is something to compare */
	MMU_PART_PLAN,		/* … and by what the last one found to be there */
	MMU_PART_GLOBAL,	/* … and not to kernel tables with nothing but global pages */
	MMU_PART_LARGE,		/* large pages */
	MMU_PART_BATCH,		/* entries that go at a flush go by the word */
	MMU_PART_TORN,		/* … and if there are many, the table is unlinked */
	MMU_PART_EXITS,		/* #PF, CR3 and INVLPG end on the backend's fast path */
	MMU_PARTS
};

/*
 * Change the mode. The caller keeps every vCPU out of the guest and out of the functions
 * below; each calls mmu_load() with MMU_LOAD_ALL before it enters again. Sleeps. 0 or -ENOMEM.
 */
int mmu_vm_set_mode(struct mmu_vm *vm, enum mmu_vm_mode mode);

static inline bool mmu_is_shadow(const struct mmu_vm *vm)
{
	return vm->shadow;
}

static inline bool mmu_without(const struct mmu_vm *vm, enum mmu_part part)
{
	return unlikely(vm->shadow_without & BIT(part));
}

/* what of mmu_load */
#define MMU_LOAD_CR3	BIT(0)	/* the guest loaded CR3: it relies on no translation but global ones */
#define MMU_LOAD_ALL	BIT(1)	/* … on none at all: any other register changed, CR4.PGE, INVPCID */

/*
 * User space ran, or could: devices may have written tables of the guest where no fault tells.
 * The next mmu_load() of each vCPU looks at tables it would have left alone. Any context.
 */
void mmu_devices_ran(struct mmu_vm *vm);

/*
 * The vCPU's registers are p from now on: find or make the root, bring the tables up to date.
 * The caller empties the hardware's TLB of this vCPU. Called by the vCPU's own thread, in both
 * modes. MMU_RESUME: mmu_root() is what to load; MMU_SLEEP (only with MMU_ATOMIC): nothing was
 * done, call again; MMU_ERROR: fault.error.
 */
enum mmu_verdict mmu_load(struct mmu_vcpu *vcpu, const struct mmu_paging *p, unsigned int what,
			  unsigned int flags);

/*
 * One page fault that the processor took on our tables. error_code as the hardware gave it;
 * rflags and pkru are the guest's. MMU_REFLECT: fault.exception_error is the guest's error
 * code, exception_addr its CR2. MMU_MMIO: fault.gpa, and fault.table if it is a table of the
 * guest rather than the operand. MMU_EMULATE: carry out this one instruction.
 */
enum mmu_verdict mmu_shadow_fault(struct mmu_vcpu *vcpu, gva_t gva, u64 error_code, u64 rflags,
				  u32 pkru, unsigned int flags);

/*
 * The guest ran INVLPG. The caller empties the hardware's TLB of this vCPU: for gva, or if the
 * answer is true all of it, since it may hold parts of a page that is larger to the guest
 * than it is here. Does not sleep.
 */
bool mmu_invlpg(struct mmu_vcpu *vcpu, gva_t gva);

/*
 * Up to len bytes at gva as far as our tables map them readable, at most to the end of the page,
 * without asking the guest's. Returns how many. For instructions the processor has just fetched.
 * Does not sleep.
 */
unsigned int mmu_read_mapped(struct mmu_vcpu *vcpu, gva_t gva, void *buf, unsigned int len);

/* Depth of the tables at mmu_root(): 3 (PAE: four entries), 4 or 5. */
unsigned int mmu_shadow_levels(const struct mmu_vcpu *vcpu);

/*
 * Somebody but a processor writes guest memory [gpa, gpa + len) between the two: emulator, ioctl. What is a table there is
 * looked at again from the first on, so that a vCPU that sees the write and flushes has it compared; until the second no
 * table comes to rest. Neither sleeps; the writer may, in between.
 */
void mmu_guest_write_begin(struct mmu_vm *vm, gpa_t gpa, unsigned int len);
static inline void mmu_guest_write_end(struct mmu_vm *vm)
{
	/* A full barrier: who puts a table to rest after it, and compares it then, sees what was written. */
	atomic_dec_return(&vm->guest_writes);
}

/* ------------------------------------------------------------ host events -- */

/*
 * The host is about to change what backs [start, end): remove the entries, flush,
 * and keep new ones of this range out until the matching end. The pair brackets
 * the host's change; pairs may nest and overlap. Does not sleep, but lets others have the
 * lock between chunks.
 */
void mmu_invalidate_begin(struct mmu_vm *vm, gfn_t start, gfn_t end);
void mmu_invalidate_end(struct mmu_vm *vm);

/* mmu_invalidate_begin for several ranges with one flush; each has an end of its own. */
void mmu_invalidate_lock(struct mmu_vm *vm);
void mmu_invalidate_add(struct mmu_vm *vm, gfn_t start, gfn_t end);
void mmu_invalidate_unlock(struct mmu_vm *vm);

/*
 * A slot changed or went away, and the new state is what gfn_to_page answers from
 * now on: remove what was built from earlier answers. Sleeps between chunks.
 */
void mmu_unmap_gfns(struct mmu_vm *vm, gfn_t start, gfn_t end);
void mmu_unmap_all(struct mmu_vm *vm);

/*
 * Was anything in [start, end) accessed since it was last cleared? clear: clear
 * it (no flush: the caller may mmu_flush()). Without accessed bits in the format,
 * clear removes the entries. Does not sleep.
 */
bool mmu_age_gfns(struct mmu_vm *vm, gfn_t start, gfn_t end, bool clear);

/* Flush the TLBs of every vCPU of the VM. Does not sleep. */
void mmu_flush(struct mmu_vm *vm);

/* Give back up to nr table pages (with what they map), idle ones first. Returns how many.
 * Does not sleep. */
unsigned long mmu_reclaim(struct mmu_vm *vm, unsigned long nr);

/* Give shadow pages up until there are no more than shadow_max allows. Sleeps. */
void mmu_shadow_keep_limit(struct mmu_vm *vm);
/* What shadow mode takes now, all in all, in bytes. */
u64 mmu_shadow_bytes(const struct mmu_vm *vm);

/* ---------------------------------------------------------- dirty logging -- */

/*
 * Writes are found in the dirty bits of the entries; there are no faults for it.
 * live: the slot's bitmap, bit i = start + i, also written by gfn_written, by the
 * emulator and by user-space requests (write first, then set the bit).
 *
 * start: gfn_to_page already answers dirty_log, and the live bitmap is where
 * gfn_written finds it. Dirty bits are cleared and large leaves removed.
 * stop: gfn_to_page no longer answers dirty_log. Tables where the host maps large
 * are removed, so that large leaves come back. Both sleep.
 */
void mmu_dirty_log_start(struct mmu_vm *vm, gfn_t start, gfn_t end);
void mmu_dirty_log_stop(struct mmu_vm *vm, gfn_t start, gfn_t end);

/*
 * Take: move every dirty page, from the entries and from live, into taken (all of
 * its bits are written) and begin anew; when it returns, every write to a page
 * that is not in taken is or will be in a later one. [start, end) must begin at
 * the bit 0 of all bitmaps. True if taken is not empty. Sleeps between chunks.
 */
bool mmu_dirty_take(struct mmu_vm *vm, gfn_t start, gfn_t end,
		    unsigned long *live, unsigned long *taken);

/* Copy what is dirty now from the entries into live, and clear nothing (GET with manual protection). */
void mmu_dirty_peek(struct mmu_vm *vm, gfn_t start, gfn_t end, unsigned long *live);

/* Forget the pages whose bit is set in mask, in the entries and in live (KVM_CLEAR_DIRTY_LOG). */
void mmu_dirty_clear(struct mmu_vm *vm, gfn_t start, gfn_t end,
		     unsigned long *live, const unsigned long *mask);

/* ------------------------------------------------------------------ audit -- */

/*
 * Check the invariants of docs/mmu.md against the tables as they are; every
 * violation goes to report (NULL: only counted). Returns the number of them.
 * Takes the lock for writing and asks the host under MMU_HOST_ATOMIC.
 */
typedef void (*mmu_report_fn)(void *ctx, const char *what, gfn_t gfn, u64 entry);
unsigned int mmu_audit(struct mmu_vm *vm, mmu_report_fn report, void *ctx);

#endif
