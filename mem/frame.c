// SPDX-License-Identifier: GPL-2.0
/*
 * References of shared 4 KiB frames.
 *
 *   private ── mem_frame_share ──► shared, refs 1 ── tryget, clone ──► refs 2, 3, …
 *      ▲                             │      ▲                             │
 *      └───── mem_frame_unshare ─────┘      └────── mem_frame_put ────────┘
 *                                           at 0: out of the index, freed
 *
 * New references come from a slot whose chunk is locked, or from the index under the group's lock
 * and then only while refs is not 0. So whoever brings refs from 1 to 0 has the frame alone,
 * but for its entry in the index, and that finds nothing any more.
 */
#include "mem/chunk.h"
#include "mem/group.h"

static void forget(struct mem_frame *frame)
{
	struct mem_group *group = frame->group;

	if (frame->hash) {
		spin_lock(&group->lock);
		mem_index_del_frame(&group->index, frame);
		spin_unlock(&group->lock);
	}
	frame->hash = 0;
	frame->group = NULL;
}

bool mem_frame_unshare(struct mem_frame *frame)
{
	if (atomic_long_read(&frame->refs) != 1 || atomic_long_cmpxchg(&frame->refs, 1, 0) != 1)
		return false;
	forget(frame);
	return true;
}

void mem_frame_put(struct mem_pool *pool, struct mem_frame *frame)
{
	if (!atomic_long_dec_and_test(&frame->refs))
		return;
	forget(frame);
	mem_frame_free(pool, frame, 0);
}

void mem_slot_give_up(struct mem_pool *pool, u64 slot)
{
	struct mem_frame *frame = mem_slot_frame(slot);

	if (slot & MEM_SLOT_SHARED)
		mem_frame_put(pool, frame);
	else if (frame)
		mem_frame_free(pool, frame, 0);
}
