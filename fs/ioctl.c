// SPDX-License-Identifier: GPL-2.0
/*
 * PENUMBRA_MEM_MAP: what each page of a file is, and which pages are one frame. That tells exactly
 * which contents others of the group have as well, so it is for the file's owner and root.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "fs/fs.h"
#include "uapi/penumbra.h"

#define TOKEN_HALF_BITS		22
#define BATCH			512

/*
 * A permutation of 44-bit numbers that only the mount's key tells: equal frames have equal
 * tokens, others different ones, and where a frame lies in the machine's memory is not said.
 * (A Feistel network of four rounds.)
 */
static u64 token(const struct pfs_mount *m, u64 pfn)
{
	const u64 mask = BIT_ULL(TOKEN_HALF_BITS) - 1;
	u64 left = pfn >> TOKEN_HALF_BITS & mask, right = pfn & mask, round;

	for (round = 0; round < 4; round++) {
		u64 mixed = left ^ (siphash_2u64(right, round, &m->token_key) & mask);

		left = right;
		right = mixed;
	}
	return left << TOKEN_HALF_BITS | right;
}

static u64 entry(struct pfs_mount *m, struct mem_file *file, u64 index)
{
	struct mem_frame *frame = NULL;
	unsigned long refs = 0;
	bool huge = false;
	u64 e = mem_file_page(file, index, &huge, &refs, &frame);

	if (huge)
		e |= PENUMBRA_PAGE_HUGE;
	e |= (u64)min(refs, 0xfffUL) << 8;
	if (frame)
		e |= token(m, page_to_pfn((struct page *)frame)) << 20;
	return e;
}

/* Entries written, or -errno if none was. */
static long map_pages(struct inode *inode, const struct penumbra_mem_map *map)
{
	u64 __user *to = (u64 __user *)(uintptr_t)map->entries;
	u64 size = pfs_pages(i_size_read(inode)), done = 0;
	u64 nr = map->first < size ? min(map->pages, size - map->first) : 0;
	u64 *batch = kmalloc_array(BATCH, sizeof(*batch), GFP_KERNEL);
	long ret = 0;

	if (!batch)
		return -ENOMEM;
	nr = min_t(u64, nr, LONG_MAX);
	while (done < nr) {
		u32 i, n = min_t(u64, BATCH, nr - done);

		for (i = 0; i < n; i++)
			batch[i] = entry(pfs_mount(inode->i_sb), &pfs_inode(inode)->mem,
					 map->first + done + i);
		if (copy_to_user(to + done, batch, n * sizeof(*batch))) {
			ret = -EFAULT;
			break;
		}
		done += n;
		if (signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}
	kfree(batch);
	return done ? done : ret;
}

long pfs_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct penumbra_mem_map map;

	static_assert(MEM_PAGE_HOLE == PENUMBRA_PAGE_HOLE && MEM_PAGE_ZERO == PENUMBRA_PAGE_ZERO &&
		      MEM_PAGE_PRIVATE == PENUMBRA_PAGE_PRIVATE &&
		      MEM_PAGE_SHARED == PENUMBRA_PAGE_SHARED);
	if (cmd != PENUMBRA_MEM_MAP)
		return -ENOTTY;
	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (!uid_eq(file_inode(file)->i_uid, current_fsuid()) && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&map, (void __user *)arg, sizeof(map)))
		return -EFAULT;
	return map_pages(file_inode(file), &map);
}
