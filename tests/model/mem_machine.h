/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of everything around mem/: a host with frames (mem_frames.h), processes that
 * map files in 4 KiB and 2 MiB pages and fault as the kernel does, users of pins,
 * and plain byte arrays that say what each file must contain.
 *
 *   access ── mapped? ──► read or write it, and compare with the bytes
 *      │ no
 *   fault ── mem_file_fault() gives the frame out locked ─┬─ install, unlock
 *            [unlock, mem_file_mkwrite() locks it again]  └─ or stay pending: whoever
 *                                                            settles the frame finishes it
 *
 * All in one thread, and yet not quiet: in each operation of the host the other
 * processors go on (others_run): they write where they have a page mapped writable, by pins,
 * and finish faults. Whatever mem/ forgets to settle, unmap or check meets them there.
 *
 * It knows nothing of mem/ but its headers.
 */
#ifndef TESTS_MODEL_MEM_MACHINE_H
#define TESTS_MODEL_MEM_MACHINE_H

#include "mem/mem.h"
#include "tests/model/mem_frames.h"

#define MM_FILES	6
#define MM_GROUPS	3
#define MM_CHUNKS	4
#define MM_PAGES	(MM_CHUNKS * MEM_HUGE_PAGES)
#define MM_VMAS		10
#define MM_PINS		8
#define MM_PENDING	4
#define MM_RACED	256

struct mm_config {
	const char *name;
	bool huge;			/* 2 MiB frames */
	u32 reserve;			/* frames */
	u64 max_pages;			/* of the pool */
	unsigned int refuse_pct;	/* of the host's allocations, while memory is short */
	unsigned int others_pct;	/* how often others run in an operation of the host */
};

struct mm_file {
	struct mem_file file;
	bool live;		/* between mem_file_init() and mem_file_fini() */
	bool linked;		/* user space still has it */
	bool going;		/* host->file_get() refuses */
	bool ends;		/* somebody waits with the last reference for an operation to end */
	int refs, group;
	u8 *bytes;		/* MM_PAGES of what it contains */
	bool full[MM_PAGES];	/* may be other than zero */
	bool hole[MM_PAGES];	/* has to be a hole */
};

/* A mapping of a file by a process, from its page first on. */
struct mm_vma {
	bool live, writable, congruent;	/* congruent: 2 MiB mappings are possible */
	int busy;			/* somebody faults: it cannot go */
	int file;
	u64 first, nr;
	u32 pte[MM_PAGES];		/* by page of the file: frame number + 1, MM_PTE_WRITE */
	u32 pmd[MM_CHUNKS];		/* the same for whole chunks */
};
#define MM_PTE_WRITE	(1u << 31)

/* Somebody outside who uses a page by reference. */
struct mm_pin {
	bool live, write;
	bool valid;			/* what is written by it has to be seen in the file */
	bool frozen;			/* several had the page when it was pinned, for reading: */
	u64 sum;			/* it never changes */
	struct mem_frame *frame;
	int file;
	u64 index;
};

/* A fault between mem_file_fault() and the mapping: frame referenced and locked. */
struct mm_pending {
	bool live, write;
	u32 old;			/* mkwrite: the entry that must still be there */
	struct mem_frame *frame;
	int vma;
	u64 index;
};

/* A write by others during an operation: the word had old and got new. */
struct mm_raced {
	int file;
	u64 index, old, new;
	unsigned int offset;
};

struct mm {
	struct mem_pool pool;
	struct mem_group *group[MM_GROUPS];
	struct mm_file file[MM_FILES];
	struct mm_vma vma[MM_VMAS];
	struct mm_pin pin[MM_PINS];
	struct mm_pending pending[MM_PENDING];
	struct mm_config config;
	bool short_of_memory;	/* refuse_pct counts */
	bool may_fail;		/* a frame was refused in this operation: errors are all right */
	bool refused;		/* a frame was refused, ever; cleared by who looks */
	bool expect_refusal;	/* refusals earlier in a life explain errors too */

	/* during an operation */
	struct mm_raced raced[MM_RACED];
	int nr_raced;
	bool in_others;
	bool emptying;		/* pages that are pinned may be zeroed under their users */
	bool quiet;		/* nobody else runs */
	int file_held;		/* last by host->file_get() */
	u64 rng, clock;

	/* evidence */
	unsigned long violations;
	char first[200];
	unsigned long reads, writes, faults, hits, cow, host_ops;
	unsigned long events[4];
};

u32 mm_random(struct mm *m, u32 below);
void mm_violation(struct mm *m, const char *what, int file, u64 index);
/* Does this error say that memory was refused, and may it have been? */
bool mm_is_refusal(struct mm *m, int error);
/* Pages that were given memory need not be holes any more. */
void mm_not_hole(struct mm *m, int file, u64 first, u64 nr);

int mm_init(struct mm *m, const struct mm_config *config);
void mm_fini(struct mm *m);	/* everything must be gone after it */

/* Files. NULL where there is no such file now. */
struct mm_file *mm_file(struct mm *m, int file);
int mm_file_new(struct mm *m, int file, int group, u64 pages, bool never_share);
void mm_file_unlink(struct mm *m, int file);	/* goes when the last reference does */
void mm_files_end(struct mm *m);		/* those that others let go during an operation */
void mm_file_get(struct mm *m, int file);
void mm_file_put(struct mm *m, int file);

void mm_vma_new(struct mm *m, int vma, int file, u64 first, u64 nr, bool writable, bool congruent);
void mm_vma_del(struct mm *m, int vma);

/*
 * An access by a process: the eight bytes at offset (a multiple of 8) of a page. Faults until it
 * goes through. A write stores value. 0, or the error that a fault ended with.
 */
int mm_read(struct mm *m, int vma, u64 index, unsigned int offset);
int mm_write(struct mm *m, int vma, u64 index, unsigned int offset, u64 value);
int mm_exchange(struct mm *m, int vma, u64 index, unsigned int offset, u64 value);
/* One fault of such an access, left between the frame and the mapping. */
void mm_fault_begin(struct mm *m, int vma, u64 index, bool write);
void mm_fault_end(struct mm *m, int pending);
void mm_fault_end_all(struct mm *m);

/* Pins: by the kernel's own access, or out of a mapping as get_user_pages. */
void mm_pin(struct mm *m, int pin, int file, u64 index, bool write);
void mm_pin_mapped(struct mm *m, int pin, int vma, u64 index, bool write);
void mm_pin_use(struct mm *m, int pin, unsigned int offset, u64 value);
void mm_pin_drop(struct mm *m, int pin);

/* read() and write() of whole pages; fill is what each word gets, 0 for zeros. */
void mm_pread(struct mm *m, int file, u64 index);
int mm_pwrite(struct mm *m, int file, u64 index, u64 fill);

/* The public calls, with the model brought along. */
void mm_punch(struct mm *m, int file, u64 first, u64 nr);
void mm_allocate(struct mm *m, int file, u64 first, u64 nr);
void mm_resize(struct mm *m, int file, u64 pages);
void mm_clone(struct mm *m, int src, u64 src_first, int dst, u64 dst_first, u64 nr);
void mm_set_group(struct mm *m, int file, int group);
void mm_dedupe(struct mm *m, int src, u64 src_first, int dst, u64 dst_first, u64 nr);
/* Else clones and deduplication have to be refused. */
bool mm_may_share(const struct mm_file *a, const struct mm_file *b);

/* The scanner: some steps; or all it can do, and that then nearly nothing is left. */
int mm_scan_init(struct mm *m);
void mm_scan(struct mm *m, unsigned int steps, u32 order, bool restart);
void mm_scan_to_end(struct mm *m);

/* mem_audit(), and the mappings against what mem_file_page() says. */
void mm_check(struct mm *m);
/* That, and every byte of every file, every count and every frame. */
void mm_check_all(struct mm *m);
/* What one file contains, byte by byte. */
void mm_check_bytes(struct mm *m, int file);

#endif
