// SPDX-License-Identifier: GPL-2.0
/*
 * Every invariant of a pool, looked at with nothing else going on.
 *
 * References are compared with the slots that name a frame without any memory of its
 * own: a first pass takes one reference from a shared frame for each slot, all
 * must be at 0 then, and a last pass gives them back. A private frame's count is nobody's, so
 * that it serves to find one that two slots name.
 */
#include "mem/group.h"

struct audit {
	struct mem_pool *pool;
	const char *wrong;		/* the first thing found */
	u64 pages;			/* of frames, each counted once */
	u64 indexed;			/* shared frames that an index knows */
	u64 present, shared, zero, huge;	/* of one file */
};

static void check(struct audit *a, bool holds, const char *what)
{
	if (!holds && !a->wrong)
		a->wrong = what;
}

/* ----------------------------------------------------------------- structure -- */

static void check_slot(struct audit *a, const struct mem_chunk *chunk, u32 i,
		       struct mem_chunk *sum)
{
	u64 slot = chunk->slots[i];
	struct mem_frame *frame = mem_slot_frame(slot);

	if (!frame) {
		check(a, !(slot & (MEM_SLOT_SHARED | MEM_SLOT_WRITABLE)),
		      "a mark of a frame where none is");
		sum->zero += !!(slot & MEM_SLOT_ZERO);
		return;
	}
	sum->present++;
	check(a, !(slot & MEM_SLOT_ZERO), "a frame, and found zero");
	if (!(slot & MEM_SLOT_SHARED))
		return;
	sum->shared++;
	check(a, !(slot & MEM_SLOT_WRITABLE), "a shared page is marked writable");
	check(a, frame->group == chunk->file->group, "a shared frame is of another group");
	check(a, !chunk->file->never_share, "a shared frame in a file that never shares");
	/* The scanner does not look at it again: nobody would ever find it. */
	check(a, (slot & MEM_SLOT_HEAT) != MEM_SLOT_HEAT || frame->hash ||
	      chunk->file->group->index.lost, "a shared page is known, and no index knows its frame");
}

static void check_huge(struct audit *a, struct mem_chunk *chunk, struct mem_chunk *sum)
{
	struct mem_chunk *c;
	bool first = true;
	long members = 1;

	sum->present = MEM_HUGE_PAGES;
	sum->shared = chunk->huge_shared ? MEM_HUGE_PAGES : 0;
	a->huge++;
	check(a, !chunk->slots, "a huge chunk has slots");
	check(a, !chunk->huge_shared || !chunk->huge_writable,
	      "a shared 2 MiB frame is marked writable");
	list_for_each_entry(c, &chunk->ring, ring) {
		members++;
		first = first && chunk < c;
		check(a, c->huge == chunk->huge, "a ring of two 2 MiB frames");
		check(a, c->huge_shared && chunk->huge_shared, "a ring, and not marked shared");
		check(a, c->file->group == chunk->file->group, "a ring across groups");
	}
	check(a, atomic_long_read(&chunk->huge->refs) == members, "references of a 2 MiB frame");
	if (first)
		a->pages += MEM_HUGE_PAGES;
}

static void check_chunk(struct audit *a, struct mem_chunk *chunk)
{
	struct mem_chunk sum = { 0 };
	u32 i;

	if (chunk->huge) {
		check_huge(a, chunk, &sum);
	} else {
		check(a, list_empty(&chunk->ring), "a ring without a 2 MiB frame");
		check(a, !chunk->huge_shared && !chunk->huge_writable && !chunk->huge_mapped,
		      "a mark of a 2 MiB frame where none is");
	}
	check(a, !chunk->zero_mapped || (!chunk->huge && !chunk->slots),
	      "holes mapped, but not empty");
	for (i = 0; i < MEM_HUGE_PAGES && chunk->slots; i++)
		check_slot(a, chunk, i, &sum);
	check(a, !chunk->slots || sum.present || sum.zero, "slots that say nothing");
	check(a, sum.present == chunk->present, "pages present in a chunk");
	check(a, sum.shared == chunk->shared, "shared pages in a chunk");
	check(a, sum.zero == chunk->zero, "zero pages in a chunk");
	check(a, chunk->first < chunk->file->pages || (!chunk->huge && !chunk->slots),
	      "pages beyond the end");
	a->present += sum.present;
	a->shared += sum.shared;
	a->zero += sum.zero;
}

/* ---------------------------------------------------------------- references -- */

static void take_refs(struct audit *a, struct mem_frame *frame, bool shared)
{
	if (shared)
		atomic_long_dec(&frame->refs);
	else
		atomic_long_set(&frame->refs, 0);
}

static void count_refs(struct audit *a, struct mem_frame *frame, bool shared)
{
	if (shared)
		check(a, !atomic_long_read(&frame->refs), "references of a shared frame");
	else
		atomic_long_inc(&frame->refs);
}

static void give_refs(struct audit *a, struct mem_frame *frame, bool shared)
{
	if (!shared) {
		check(a, atomic_long_read(&frame->refs) == 1,
		      "a private frame that two slots name");
		a->pages++;
	} else if (atomic_long_inc_return(&frame->refs) == 1) {
		a->pages++;
		a->indexed += !!frame->hash;
	}
}

typedef void pass_fn(struct audit *a, struct mem_frame *frame, bool shared);

static void run_pass(struct audit *a, pass_fn *pass)
{
	struct mem_chunk *chunk;
	struct mem_file *file;
	unsigned long at;
	u32 i;

	list_for_each_entry(file, &a->pool->files, node) {
		xa_for_each(&file->chunks, at, chunk) {
			mutex_lock(&chunk->lock);
			for (i = 0; i < MEM_HUGE_PAGES && chunk->slots; i++)
				if (mem_slot_frame(chunk->slots[i]))
					pass(a, mem_slot_frame(chunk->slots[i]),
					     chunk->slots[i] & MEM_SLOT_SHARED);
			mutex_unlock(&chunk->lock);
		}
	}
}

/* ---------------------------------------------------------------- the pool -- */

static void check_file(struct audit *a, struct mem_file *file)
{
	struct mem_chunk *chunk;
	unsigned long at;

	a->present = a->shared = a->zero = a->huge = 0;
	xa_for_each(&file->chunks, at, chunk) {
		mutex_lock(&chunk->lock);
		check(a, chunk->file == file && chunk->first == at * MEM_HUGE_PAGES,
		      "a chunk's place");
		check_chunk(a, chunk);
		mutex_unlock(&chunk->lock);
	}
	check(a, a->present == (u64)atomic64_read(&file->stat.present), "pages present in a file");
	check(a, a->shared == (u64)atomic64_read(&file->stat.shared), "shared pages in a file");
	check(a, a->zero == (u64)atomic64_read(&file->stat.zero), "zero pages in a file");
	check(a, a->huge == (u64)atomic64_read(&file->stat.huge), "2 MiB frames in a file");
}

static void check_groups(struct audit *a)
{
	struct mem_group *group;
	u64 indexed = 0;

	list_for_each_entry(group, &a->pool->groups, node) {
		const char *wrong;

		spin_lock(&group->lock);
		wrong = mem_index_audit(&group->index);
		indexed += group->index.frames;
		spin_unlock(&group->lock);
		check(a, !wrong, wrong);
	}
	check(a, indexed == a->indexed, "frames in the indexes");
}

static void check_reserve(struct audit *a)
{
	struct mem_reserve *reserve = &a->pool->reserve;
	struct mem_frame *frame;
	u32 nr = 0;

	spin_lock(&reserve->lock);
	for (frame = reserve->first; frame; frame = (struct mem_frame *)frame->group)
		nr++;
	check(a, nr == reserve->nr, "frames in the reserve");
	spin_unlock(&reserve->lock);
}

/* Files and groups do not come and go meanwhile, and no frame does: the caller sees to that. */
const char *mem_audit(struct mem_pool *pool)
{
	struct audit a = { .pool = pool };
	struct mem_file *file;

	mutex_lock(&pool->pair_lock);
	list_for_each_entry(file, &pool->files, node)
		check_file(&a, file);
	mutex_unlock(&pool->pair_lock);
	run_pass(&a, take_refs);
	run_pass(&a, count_refs);
	run_pass(&a, give_refs);
	check(&a, a.pages == (u64)atomic64_read(&pool->pages), "pages of the pool");
	check_groups(&a);
	check_reserve(&a);
	return a.wrong;
}
