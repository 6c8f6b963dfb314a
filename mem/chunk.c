// SPDX-License-Identifier: GPL-2.0
/*
 * Chunks and their slots: found and made, counted, unmapped, protected, and one page's
 * frame exchanged for another. The states are drawn in chunk.h.
 */
#include "mem/chunk.h"
#include "mem/group.h"

struct mem_chunk *mem_chunk_find(struct mem_file *file, u64 index)
{
	return xa_load(&file->chunks, index / MEM_HUGE_PAGES);
}

struct mem_chunk *mem_chunk_get(struct mem_file *file, u64 index)
{
	struct mem_chunk *chunk = mem_chunk_find(file, index), *old;

	if (likely(chunk))
		return chunk;
	chunk = kzalloc(sizeof(*chunk), GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return NULL;
	mutex_init(&chunk->lock);
	INIT_LIST_HEAD(&chunk->ring);
	chunk->file = file;
	chunk->first = ALIGN_DOWN(index, MEM_HUGE_PAGES);
	/* Under this lock, so that mem_file_set_group() knows all of them. */
	mutex_lock(&file->pool->pair_lock);
	old = xa_cmpxchg(&file->chunks, index / MEM_HUGE_PAGES, NULL, chunk, GFP_KERNEL_ACCOUNT);
	if (!old && !file->never_share)
		mem_group_add_chunk(file->group, chunk);
	mutex_unlock(&file->pool->pair_lock);
	if (old) {
		kfree(chunk);
		return xa_is_err(old) ? NULL : old;
	}
	atomic64_add(sizeof(*chunk), &file->pool->metadata_bytes);
	smp_mb();	/* entered, then the size is read: pairs with mem_file_resize() */
	return chunk;
}

void mem_chunk_count(struct mem_chunk *chunk, int present, int shared, int zero)
{
	struct mem_file_stat *stat = &chunk->file->stat;

	lockdep_assert_held(&chunk->lock);
	chunk->present += present;
	chunk->shared += shared;
	chunk->zero += zero;
	if (present)
		atomic64_add(present, &stat->present);
	if (shared)
		atomic64_add(shared, &stat->shared);
	if (zero)
		atomic64_add(zero, &stat->zero);
}

/* ------------------------------------------------------------- the slots -- */

int mem_chunk_slots_new(struct mem_chunk *chunk)
{
	lockdep_assert_held(&chunk->lock);
	WARN_ON_ONCE(chunk->slots || chunk->zero_mapped);
	chunk->slots = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!chunk->slots)
		return -ENOMEM;
	atomic64_add(PAGE_SIZE, &chunk->file->pool->metadata_bytes);
	return 0;
}

void mem_chunk_slots_free(struct mem_chunk *chunk)
{
	if (!chunk->slots)
		return;
	free_page((unsigned long)chunk->slots);
	chunk->slots = NULL;
	atomic64_sub(PAGE_SIZE, &chunk->file->pool->metadata_bytes);
}

void mem_chunk_tidy(struct mem_chunk *chunk)
{
	u32 i;

	lockdep_assert_held(&chunk->lock);
	if (!chunk->slots || chunk->present || chunk->zero)
		return;
	for (i = 0; i < MEM_HUGE_PAGES && !chunk->zero_mapped; i++)
		chunk->zero_mapped = chunk->slots[i] & MEM_SLOT_MAPPED;
	mem_chunk_slots_free(chunk);
}

/* --------------------------------------------------------------- unmapping -- */

void mem_chunk_unmap_empty(struct mem_chunk *chunk)
{
	struct mem_pool *pool = chunk->file->pool;
	struct mem_frame *huge_zero = READ_ONCE(pool->huge_zero);

	lockdep_assert_held(&chunk->lock);
	if (!chunk->zero_mapped)
		return;
	pool->host->settle(pool->zero);
	if (huge_zero)
		pool->host->settle(huge_zero);
	pool->host->unmap(chunk->file, chunk->first, MEM_HUGE_PAGES);
	chunk->zero_mapped = false;
}

void mem_chunk_unmap_huge(struct mem_chunk *chunk)
{
	const struct mem_host_ops *host = chunk->file->pool->host;

	lockdep_assert_held(&chunk->lock);
	if (!chunk->huge_mapped)
		return;
	host->settle(chunk->huge);
	host->unmap(chunk->file, chunk->first, MEM_HUGE_PAGES);
	chunk->huge_mapped = false;
}

/* A stretch of slots that are to be settled and unmapped in one go; none if end is 0. */
struct run {
	struct mem_chunk *chunk;
	struct mem_pool *pool;
	u32 first, end;
	bool zero;		/* the zero frame is to be settled, too */
};

static __always_inline void run_add(struct run *run, u64 *slots, u32 i)
{
	slots[i] &= ~MEM_SLOT_MAPPED;
	if (unlikely(!mem_slot_frame(slots[i])))
		run->zero = true;
	if (!run->end)
		run->first = i;
	run->end = i + 1;
}

/* Settles what lies between the pages of the run as well: cheaper than to tell them apart. */
static void run_end(struct run *run)
{
	const struct mem_host_ops *host = run->pool->host;
	u32 nr = run->end - run->first;

	if (!run->end)
		return;
	host->settle_all(run->chunk->slots + run->first, nr);
	if (run->zero)
		host->settle(run->pool->zero);
	host->unmap(run->chunk->file, run->chunk->first + run->first, nr);
	run->end = 0;
	run->zero = false;
}

void mem_chunk_unmap(struct mem_chunk *chunk, u32 first, u32 nr)
{
	struct run run = { .chunk = chunk, .pool = chunk->file->pool };
	u64 *slots = chunk->slots;
	u32 i;

	lockdep_assert_held(&chunk->lock);
	for (i = first; i < first + nr; i++)
		if (slots[i] & MEM_SLOT_MAPPED)
			run_add(&run, slots, i);
	run_end(&run);
}

/* A run goes on over pages that nobody has mapped, and ends at a mapped one outside the set. */
static void unmap_set(struct mem_chunk *chunk, const struct mem_pages *set)
{
	struct run run = { .chunk = chunk, .pool = chunk->file->pool };
	u64 *slots = chunk->slots;
	u32 word, i;

	for (word = 0; word < ARRAY_SIZE(set->bits); word++) {
		unsigned long bits = set->bits[word];

		if (!bits && !run.end)
			continue;
		for (i = word * BITS_PER_LONG; i < (word + 1) * BITS_PER_LONG; i++, bits >>= 1) {
			if (!(slots[i] & MEM_SLOT_MAPPED))
				continue;
			if (bits & 1)
				run_add(&run, slots, i);
			else
				run_end(&run);
		}
	}
	run_end(&run);
}

/* ------------------------------------------------------------- protecting -- */

/*
 * A ring's frame is mapped read-only everywhere, and other chunks' mappings count as users:
 * nothing to ask there. The same goes for shared frames.
 */
static u32 protect_huge(struct mem_chunk *chunk, struct mem_pages *set)
{
	mem_chunk_unmap_huge(chunk);
	if (chunk->huge_shared)
		return 0;
	if (chunk->file->pool->host->pinned(chunk->huge)) {
		u32 nr = mem_pages_count(set);

		memset(set, 0, sizeof(*set));
		return nr;
	}
	if (chunk->huge_writable)
		chunk->huge_known = false;
	chunk->huge_writable = false;
	return 0;
}

/* Those of 64 slots that may be written where they are mapped. */
static unsigned long mapped_writable(const u64 *slots)
{
	const u64 both = MEM_SLOT_MAPPED | MEM_SLOT_WRITABLE;
	unsigned long bits = 0;
	u32 i;

	for (i = BITS_PER_LONG; i-- > 0; )
		bits = bits << 1 | ((slots[i] & both) == both);
	return bits;
}

/*
 * If they are unmapped instead, MAPPED goes from those of the set only: others in between
 * may have been given out and not been settled.
 */
static void write_protect(struct mem_chunk *chunk, const struct mem_pages *set, u32 first, u32 end)
{
	const struct mem_host_ops *host = chunk->file->pool->host;
	u32 i;

	host->settle_all(chunk->slots + first, end - first);
	if (host->protect(chunk->file, chunk->first + first, end - first))
		return;
	for (i = first; i < end; i++)
		if (mem_pages_has(set, i) && mem_slot_frame(chunk->slots[i]))
			chunk->slots[i] &= ~MEM_SLOT_MAPPED;
}

/*
 * In stretches from one page outside the set that may be written to the next, in most cases the
 * whole chunk: a hypervisor drops whole tables then.
 */
static void write_protect_set(struct mem_chunk *chunk, const struct mem_pages *set)
{
	u32 word, i, first = 0;
	bool any = false;

	for (word = 0; word < ARRAY_SIZE(set->bits); word++) {
		unsigned long bits = mapped_writable(chunk->slots + word * BITS_PER_LONG);
		unsigned long others = bits & ~set->bits[word];

		for (; others; others &= others - 1) {
			i = __ffs(others);
			if (any || bits & set->bits[word] & (BIT(i) - 1))
				write_protect(chunk, set, first, word * BITS_PER_LONG + i);
			any = false;
			first = word * BITS_PER_LONG + i + 1;
			bits &= ~(BIT(i) | (BIT(i) - 1));
		}
		any |= bits;
	}
	if (any)
		write_protect(chunk, set, first, MEM_HUGE_PAGES);
}

/* Of 64 pages of the set: those without a frame, and those that are pinned, leave it. */
static u32 protect_word(struct mem_chunk *chunk, unsigned long *set, u64 *slots)
{
	unsigned long left = *set, pinned;
	u32 nr = 0;

	pinned = chunk->file->pool->host->pinned_among(slots, BITS_PER_LONG);
	for (; left; left &= left - 1) {
		u32 i = __ffs(left);
		u64 slot = slots[i];

		if (!mem_slot_frame(slot)) {
			*set &= ~BIT(i);
		} else if (pinned & BIT(i) && !(slot & MEM_SLOT_SHARED)) {
			*set &= ~BIT(i);
			nr++;
		} else if (slot & MEM_SLOT_WRITABLE) {
			/* What the scanner knows of it may have been written over since. */
			slots[i] = slot & ~(MEM_SLOT_WRITABLE | MEM_SLOT_HEAT);
		}
	}
	return nr;
}

static u32 protect_slots(struct mem_chunk *chunk, struct mem_pages *set)
{
	u32 word, pinned = 0;

	for (word = 0; word < ARRAY_SIZE(set->bits); word++)
		if (set->bits[word])
			pinned += protect_word(chunk, &set->bits[word],
					       chunk->slots + word * BITS_PER_LONG);
	return pinned;
}

static u32 protect(struct mem_chunk *chunk, struct mem_pages *set, bool keep_mapped)
{
	u32 pinned = 0;

	lockdep_assert_held(&chunk->lock);
	if (chunk->huge) {
		pinned = protect_huge(chunk, set);
	} else if (chunk->slots) {
		if (keep_mapped)
			write_protect_set(chunk, set);
		else
			unmap_set(chunk, set);
		pinned = protect_slots(chunk, set);
	} else {
		memset(set, 0, sizeof(*set));
	}
	if (pinned)
		atomic64_add(pinned, &chunk->file->stat.pinned);
	return pinned;
}

u32 mem_chunk_protect(struct mem_chunk *chunk, struct mem_pages *set)
{
	return protect(chunk, set, false);
}

u32 mem_chunk_write_protect(struct mem_chunk *chunk, struct mem_pages *set)
{
	return protect(chunk, set, true);
}

/* --------------------------------------------------------- one page's frame -- */

static u64 protected_slot(struct mem_chunk *chunk, u32 i, u64 marks)
{
	u64 slot = chunk->slots[i];

	lockdep_assert_held(&chunk->lock);
	WARN_ON_ONCE(!mem_slot_frame(slot) || slot & marks);
	return slot;
}

void mem_chunk_replace(struct mem_chunk *chunk, u32 i, struct mem_frame *frame)
{
	u64 slot = protected_slot(chunk, i, MEM_SLOT_WRITABLE | MEM_SLOT_MAPPED);

	chunk->slots[i] = (unsigned long)frame | MEM_SLOT_SHARED;
	mem_chunk_count(chunk, 0, !(slot & MEM_SLOT_SHARED), 0);
	atomic64_inc(&chunk->file->stat.merged);
	mem_slot_give_up(chunk->file->pool, slot);
}

void mem_chunk_set_zero(struct mem_chunk *chunk, u32 i)
{
	u64 slot = protected_slot(chunk, i, MEM_SLOT_WRITABLE | MEM_SLOT_MAPPED);

	chunk->slots[i] = MEM_SLOT_ZERO;
	mem_chunk_count(chunk, -1, slot & MEM_SLOT_SHARED ? -1 : 0, 1);
	atomic64_inc(&chunk->file->stat.merged);
	mem_slot_give_up(chunk->file->pool, slot);
}

struct mem_frame *mem_chunk_share(struct mem_chunk *chunk, u32 i)
{
	u64 slot = protected_slot(chunk, i, MEM_SLOT_WRITABLE);
	struct mem_frame *frame = mem_slot_frame(slot);

	WARN_ON_ONCE(slot & MEM_SLOT_SHARED);
	mem_frame_share(frame, chunk->file->group, 1);
	chunk->slots[i] = (slot & ~MEM_SLOT_HEAT) | MEM_SLOT_SHARED;
	mem_chunk_count(chunk, 0, 1, 0);
	return frame;
}

/*
 * First out of everybody's reach, then the look for other users: one that came by
 * another slot, gone since, would be missed the other way round.
 */
bool mem_chunk_take_back(struct mem_chunk *chunk, u32 i, bool mine)
{
	const struct mem_host_ops *host = chunk->file->pool->host;
	struct mem_frame *frame = mem_slot_frame(chunk->slots[i]);
	bool pinned;

	lockdep_assert_held(&chunk->lock);
	if (!mem_frame_unshare(frame))
		return false;
	if (mine)
		host->put(frame);	/* the slot keeps it */
	pinned = host->pinned(frame);
	if (mine)
		host->get(frame);
	chunk->slots[i] &= ~MEM_SLOT_HEAT;	/* no index knows it any more */
	if (pinned) {
		mem_frame_share(frame, chunk->file->group, 1);
		return false;
	}
	chunk->slots[i] &= ~MEM_SLOT_SHARED;
	mem_chunk_count(chunk, 0, -1, 0);
	return true;
}
