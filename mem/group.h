/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A group: the files that may share frames, and what finding equal pages among them
 * needs. Its lock is a leaf.
 */
#ifndef PENUMBRA_MEM_GROUP_H
#define PENUMBRA_MEM_GROUP_H

#include "mem/chunk.h"
#include "mem/hash.h"
#include "mem/index.h"
#include "mem/mem.h"

struct mem_group {
	struct mem_pool *pool;
	struct list_head node;		/* in pool->groups; it and refs: under pool->lock */
	u64 refs;
	u64 serial;			/* in pool->scanned, in order of the first chunks; 0: none yet */
	struct mem_key key;		/* made for the first chunk */
	spinlock_t lock;		/* the rest */
	struct mem_index index;
	struct xarray chunks;		/* id → chunk; found and taken out under the lock */
	u32 last_id, nr_chunks;
	u32 reserve_taken;		/* frames of the reserve, in this reserve_round; under its lock */
	u32 reserve_round;
};

/* The first group from this serial on, referenced, or NULL. */
struct mem_group *mem_group_from(struct mem_pool *pool, u64 serial);

/*
 * Gives the chunk an id by which the scanner finds it, one that no chunk of the group ever had; none
 * if there is no memory, or if all have been used. Chunk locked, or not known to anybody yet;
 * pool->pair_lock held. May sleep.
 */
void mem_group_add_chunk(struct mem_group *group, struct mem_chunk *chunk);
/* Afterwards nobody finds the chunk. It need not have an id. */
void mem_group_del_chunk(struct mem_group *group, struct mem_chunk *chunk);
/*
 * The chunk with this id, and its file is kept from going: host->file_put(chunk->file) when
 * done. NULL: it is gone, or going. Does not sleep.
 */
struct mem_chunk *mem_group_get_chunk(struct mem_group *group, u32 id);

/*
 * The chunk with this id, locked, while the caller holds another one's lock. NULL: it is gone, or
 * *busy. No reference to its file is needed, and none may be dropped there: the last one would end
 * the file, and that waits for pool->pair_lock. What keeps it is the lock. Whoever ends the file
 * takes that and then the group's, before it frees the chunk; so dropping the first under the second is over by then.
 */
struct mem_chunk *mem_group_trylock_chunk(struct mem_group *group, u32 id, bool *busy);
void mem_group_unlock_chunk(struct mem_group *group, struct mem_chunk *chunk);

#endif
