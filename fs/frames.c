// SPDX-License-Identifier: GPL-2.0
/*
 * Frames: what mem/ needs from the kernel, on struct page.
 *
 * A frame is a page we allocated: of order 0, or a compound one of order 9. Its
 * reference count is 1 for us plus one for each mapping and each other user; so after
 * unmapping, more than 1 means that somebody holds it. It is on no LRU list and has no
 * mapping, which leaves the words of struct page that mem_frame names to us:
 *
 *    0      8          16          24        32      40        48
 *   ┌──────┬──────────┬───────────┬─────────┬───────┬─────────┬────────────────────┐
 *   │flags │ lru.next │ lru.prev  │ mapping │ index │ private │ mapcount, refcount │
 *   │      │  group   │  hash     │  NULL   │   0   │  refs   │ memcg              │
 *   └──────┴──────────┴───────────┴─────────┴───────┴─────────┴────────────────────┘
 *
 * In the tail pages of a compound page these words are the kernel's (the head's address, mapcounts,
 * ...): a 2 MiB frame has only its head as a mem_frame, until it is dissolved.
 *
 * Memory is charged to the memory cgroup of whoever faults it in, as kernel memory. Frames that the
 * reserve or the scanning thread bring, or other kernel threads, are charged to nobody.
 */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/pagemap.h>
#include <linux/random.h>
#include <linux/sched.h>
#include "fs/fs.h"

struct percpu_counter pfs_frame_pages;

static_assert(sizeof(struct mem_frame) == sizeof(struct page));
static_assert(offsetof(struct mem_frame, kernel_flags) == offsetof(struct page, flags));
static_assert(offsetof(struct mem_frame, group) == offsetof(struct page, lru));
static_assert(offsetof(struct mem_frame, hash) == offsetof(struct page, lru.prev));
static_assert(offsetof(struct mem_frame, kernel_mapping) == offsetof(struct page, mapping));
static_assert(offsetof(struct mem_frame, kernel_index) == offsetof(struct page, index));
static_assert(offsetof(struct mem_frame, refs) == offsetof(struct page, private));
static_assert(offsetofend(struct mem_frame, refs) <= offsetof(struct page, _mapcount));
static_assert(MEM_HUGE_ORDER == PMD_SHIFT - PAGE_SHIFT);

static struct page *page_of(struct mem_frame *frame)
{
	return (struct page *)frame;
}

/*
 * Reclaim is welcome to make room for one page, but the machine's OOM killer is not called for a
 * guest: the fault waits and then ends its own VM. A 2 MiB page is taken only if there is one.
 */
static struct page *alloc_order(unsigned int order, enum mem_charge who)
{
	gfp_t gfp = GFP_HIGHUSER | __GFP_NOWARN | (who == MEM_CHARGE_CALLER ? __GFP_ACCOUNT : 0);
	struct folio *folio;

	if (!order) {
		gfp |= current->flags & PF_KTHREAD ? __GFP_NORETRY : __GFP_RETRY_MAYFAIL;
		return alloc_page(gfp);
	}
	folio = folio_alloc((gfp | __GFP_NOMEMALLOC) & ~__GFP_RECLAIM, order);
	return folio ? folio_page(folio, 0) : NULL;
}

static struct mem_frame *frame_alloc(struct mem_pool *pool, unsigned int order, enum mem_charge who)
{
	struct page *page = alloc_order(order, who);

	if (!page)
		return NULL;
	__SetPageUptodate(page);	/* pipes that refer to it ask */
	percpu_counter_add(&pfs_frame_pages, 1 << order);
	return (struct mem_frame *)page;
}

/* A frame that is not charged was refused as well: it is not (only) the memory cgroup's limit. */
static bool starved(struct mem_pool *pool)
{
	struct page *page = alloc_order(0, MEM_CHARGE_NOBODY);

	if (page)
		__free_page(page);
	return !page;
}

/* A page that was a tail: as it comes from the allocator, but with content. */
static void make_page_of_tail(struct page *tail)
{
	tail->flags &= ~PAGE_FLAGS_CHECK_AT_PREP;
	tail->mapping = NULL;
	tail->index = 0;
	set_page_private(tail, 0);
	tail->lru.prev = NULL;
	atomic_set(&tail->_mapcount, -1);
	__SetPageUptodate(tail);
	smp_wmb();		/* whoever finds it no tail any more, finds a page */
	clear_compound_head(tail);
}

/*
 * Takes a compound page apart where it is. With its count frozen at 0 nobody can take a reference,
 * neither get_user_pages() nor a walk over all pages. The kernel's split_page() is for pages that
 * were never compound; it does the rest: reference counts, and the memory cgroup's charge.
 */
static bool dissolve(struct mem_pool *pool, struct mem_frame *huge)
{
	struct page *head = page_of(huge);
	int i;

	/* A mark of mlock() that is left behind would be counted for one page instead of 512. */
	if (folio_test_mlocked(page_folio(head)) || !page_ref_freeze(head, 1))
		return false;
	for (i = 1; i < MEM_HUGE_PAGES; i++)
		make_page_of_tail(head + i);
	ClearPageHead(head);
	page_ref_unfreeze(head, 1);
	split_page(head, MEM_HUGE_ORDER);
	return true;
}

bool pfs_has_poison(struct page *head)
{
	u32 i;

	for (i = 0; i < MEM_HUGE_PAGES; i++)
		if (unlikely(PageHWPoison(head + i))) {
			SetPageHasHWPoisoned(head);
			return true;
		}
	return false;
}

/*
 * The kernel keeps a bad page from being used again, but not the bad part of a compound one. If
 * somebody still holds it as a whole, all of it is kept.
 */
static void free_poisoned(struct mem_pool *pool, struct mem_frame *huge)
{
	u32 i;

	if (!dissolve(pool, huge))
		return;
	for (i = 0; i < MEM_HUGE_PAGES; i++)
		put_page(page_of(huge + i));
}

static void frame_free(struct mem_pool *pool, struct mem_frame *frame, unsigned int order)
{
	percpu_counter_sub(&pfs_frame_pages, 1 << order);
	if (order && pfs_has_poison(page_of(frame)))
		free_poisoned(pool, frame);
	else
		put_page(page_of(frame));
	/* Missing the moment costs a waiter a second at most. */
	if (waitqueue_active(&pfs_mount_of_pool(pool)->frames_wait))
		pfs_frames_arrived(pfs_mount_of_pool(pool));
}

static void *frame_data(struct mem_frame *frame)
{
	return page_address(page_of(frame));
}

/*
 * memory_failure() tells only the page itself, as it does not know of memory like ours; the head is told
 * here, and the kernel no more maps the whole in one.
 */
static bool frame_poisoned(struct mem_frame *frame)
{
	struct page *page = page_of(frame);

	if (likely(!PageHWPoison(page)))
		return false;
	if (PageCompound(page))
		SetPageHasHWPoisoned(compound_head(page));
	return true;
}

/* A machine check that the copy meets is the end of the copy, where the processor can tell. */
static bool frame_copy(void *to, const void *from)
{
	if (likely(!copy_mc_to_kernel(to, from, PAGE_SIZE)))
		return true;
	memory_failure_queue(page_to_pfn(virt_to_page(from)), 0);
	return false;
}

static void frame_get(struct mem_frame *frame)
{
	get_page(page_of(frame));
}

static void frame_put(struct mem_frame *frame)
{
	put_page(page_of(frame));
}

static void frame_lock(struct mem_frame *frame)
{
	lock_page(page_of(frame));
}

static void frame_unlock(struct mem_frame *frame)
{
	unlock_page(page_of(frame));
}

/* A lock taken from now on needs the chunk's lock, which the caller has: seeing it free will do. */
static void frame_settle(struct mem_frame *frame)
{
	wait_on_page_locked(page_of(frame));
}

static struct page *page_in(u64 word)
{
	return (struct page *)(unsigned long)(word & ~MEM_FRAME_MARKS);
}

static void settle_all(const u64 *words, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		struct page *page = page_in(words[i]);

		if (page && unlikely(test_bit(PG_locked, &page->flags)))
			wait_on_page_locked(page);
	}
}

static void unmap(struct mem_file *file, u64 first, u64 nr)
{
	struct address_space *mapping = pfs_inode_of_file(file)->vfs.i_mapping;

	if (mapping_mapped(mapping))
		unmap_mapping_pages(mapping, first, nr, false);
}

/* memory_failure() keeps a reference of a bad page. What others do there concerns nobody any more. */
static bool frame_pinned(struct mem_frame *frame)
{
	struct page *page = page_of(frame);

	return page_count(compound_head(page)) > 1 &&
	       likely(PageCompound(page) || !PageHWPoison(page));
}

/*
 * Mappings may be left, in shared areas: no fault brings a new one, since the chunk is locked and
 * they are settled; one that goes takes its count of mappings away first, and its reference
 * afterwards. fork() alone adds mappings by itself, and of shared areas only those that
 * userfaultfd watches: hence the second look.
 */
static __always_inline bool small_pinned(struct page *page)
{
	int mapped, users;

	mapped = atomic_read(&page->_mapcount);
	smp_rmb();
	users = atomic_read(&page->_refcount);
	smp_rmb();
	/* _mapcount begins at -1, and the slot has a reference. */
	return users != mapped + 2 || atomic_read(&page->_mapcount) != mapped;
}

static u64 pinned_among(const u64 *words, u32 nr)
{
	u64 pinned = 0;
	u32 i;

	for (i = 0; i < nr; i++) {
		struct page *page = page_in(words[i]);

		if (page && unlikely(small_pinned(page)) && !PageHWPoison(page))
			pinned |= BIT_ULL(i);
	}
	return pinned;
}

/* A reference to the inode: as long as there is one, it is not evicted. */
static bool file_get(struct mem_file *file)
{
	return igrab(&pfs_inode_of_file(file)->vfs);
}

static void file_put(struct mem_file *file)
{
	iput(&pfs_inode_of_file(file)->vfs);
}

static void event(struct mem_pool *pool, enum mem_event event)
{
	struct pfs_mount *m = pfs_mount_of_pool(pool);

	if (event == MEM_EVENT_RESERVE_OK)
		pfs_frames_arrived(m);
	pfs_scand_wake(m);
}

static u64 now_ns(void)
{
	return ktime_get_ns();
}

/*
 * What the scheduler has charged to the thread: exact when it comes back from sleep, otherwise as of the
 * last tick. Nothing finer is exported, neither by 6.1 nor by 6.12.
 */
static u64 run_ns(void)
{
	return READ_ONCE(current->se.sum_exec_runtime);
}

static u64 random_word(void)
{
	return get_random_u64();
}

const struct mem_host_ops pfs_host_ops = {
	.alloc = frame_alloc,
	.starved = starved,
	.free = frame_free,
	.data = frame_data,
	.poisoned = frame_poisoned,
	.copy = frame_copy,
	.get = frame_get,
	.put = frame_put,
	.lock = frame_lock,
	.unlock = frame_unlock,
	.settle = frame_settle,
	.settle_all = settle_all,
	.unmap = unmap,
	.protect = pfs_protect,
	.pinned = frame_pinned,
	.pinned_among = pinned_among,
	.dissolve = dissolve,
	.file_get = file_get,
	.file_put = file_put,
	.event = event,
	.now_ns = now_ns,
	.run_ns = run_ns,
	.random = random_word,
};
