// SPDX-License-Identifier: GPL-2.0
/*
 * Operations on ranges: fallocate, FICLONE and FICLONERANGE, FIDEDUPERANGE. Long ones
 * are done a chunk at a time, so that a signal can end them.
 */
#include <linux/fs.h>
#include <linux/falloc.h>		/* needs the types */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include "fs/fs.h"

#define KNOWN_MODES	(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)

/* How many of @nr pages from @first on lie in its chunk. */
static u64 in_chunk(u64 first, u64 nr)
{
	return min_t(u64, nr, MEM_HUGE_PAGES - first % MEM_HUGE_PAGES);
}

static int pause_range(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* ---- fallocate ---- */

static int punch_pages(struct inode *inode, u64 first, u64 end)
{
	struct mem_file *file = &pfs_inode(inode)->mem;
	int ret = 0;

	while (!ret && (first = mem_file_next(file, first)) < end) {
		u64 nr = in_chunk(first, end - first);

		ret = mem_file_punch(file, first, nr);
		first += nr;
		if (!ret)
			ret = pause_range();
	}
	return pfs_errno(ret);
}

/* Bytes [from, to), as far as they are inside the file, become zero: whole pages become holes. */
static int punch(struct inode *inode, loff_t from, loff_t to)
{
	loff_t first, last;
	int ret;

	to = min(to, i_size_read(inode));
	if (to == i_size_read(inode))
		to = round_up(to, PAGE_SIZE);
	if (from >= to)
		return 0;
	first = round_up(from, PAGE_SIZE);
	last = round_down(to, PAGE_SIZE);
	if (first > last)	/* all in one page */
		return pfs_zero_bytes(inode, from, to);
	ret = pfs_zero_bytes(inode, from, first);
	if (!ret)
		ret = pfs_zero_bytes(inode, last, to);
	if (ret)
		return ret;
	return punch_pages(inode, first >> PAGE_SHIFT, last >> PAGE_SHIFT);
}

/* What was brought for a range, from @first up to @at, goes back. */
static void give_back(struct mem_file *file, u64 first, u64 at, const struct mem_pages *holes)
{
	while (first < at) {
		u64 nr = in_chunk(first, at - first);

		mem_file_give_back(file, first, nr, holes++);
		first += nr;
		cond_resched();
	}
}

/*
 * All or nothing, as on tmpfs, and what cannot be is refused before anything is taken: else
 * others would find no memory meanwhile.
 */
static int allocate_pages(struct inode *inode, u64 first, u64 end)
{
	struct mem_file *file = &pfs_inode(inode)->mem;
	u64 missing = mem_file_missing(file, first, end - first), at = first;
	u64 chunk = first / MEM_HUGE_PAGES, chunks = (end - 1) / MEM_HUGE_PAGES - chunk + 1;
	struct mem_pages *holes;
	int ret = 0;

	if (!missing)
		return 0;
	if (missing > totalram_pages() || !mem_pool_has_room(file->pool, missing))
		return -ENOSPC;
	holes = kvcalloc(chunks, sizeof(*holes), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!holes)
		return -ENOMEM;
	while (at < end && !ret) {
		u64 nr = in_chunk(at, end - at);

		mem_file_holes(file, at, &holes[at / MEM_HUGE_PAGES - chunk]);
		ret = mem_file_allocate(file, at, nr);
		at += nr;
		if (!ret)
			ret = pause_range();
	}
	if (ret)
		give_back(file, first, at, holes);
	kvfree(holes);
	return pfs_errno(ret);
}

/* With FALLOC_FL_KEEP_SIZE what lies beyond the end is left out: nothing is kept there. */
static int allocate(struct inode *inode, loff_t from, loff_t to, bool grow)
{
	struct mem_file *file = &pfs_inode(inode)->mem;
	loff_t size = i_size_read(inode);
	int ret;

	if (!grow)
		to = min(to, size);
	if (from >= to)
		return 0;
	if (to <= size)
		return allocate_pages(inode, from >> PAGE_SHIFT, pfs_pages(to));
	ret = pfs_zero_end(inode);
	if (!ret)
		ret = pfs_errno(mem_file_resize(file, pfs_pages(to)));
	if (ret)
		return ret;
	ret = allocate_pages(inode, from >> PAGE_SHIFT, pfs_pages(to));
	if (ret)
		mem_file_resize(file, pfs_pages(size));
	else
		i_size_write(inode, to);
	return ret;
}

/*
 * FALLOC_FL_ZERO_RANGE leaves holes, which are zero, and for which memory is there when they are
 * written as long as the filesystem is not full.
 */
static int zero_range(struct inode *inode, loff_t from, loff_t to, bool grow)
{
	int ret = punch(inode, from, to);

	if (!ret && grow && to > i_size_read(inode))
		ret = pfs_inode_resize(inode, to);
	return ret;
}

long pfs_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	bool grow = !(mode & FALLOC_FL_KEEP_SIZE);
	loff_t end = offset + len;
	int ret = 0;

	if (mode & ~KNOWN_MODES)
		return -EOPNOTSUPP;
	inode_lock(inode);
	if (grow && end > i_size_read(inode))
		ret = inode_newsize_ok(inode, end);
	if (!ret)
		ret = file_modified(file);
	if (ret)
		goto unlock;
	if (mode & FALLOC_FL_PUNCH_HOLE)
		ret = punch(inode, offset, end);
	else if (mode & FALLOC_FL_ZERO_RANGE)
		ret = zero_range(inode, offset, end, grow);
	else
		ret = allocate(inode, offset, end, grow);
unlock:
	inode_unlock(inode);
	return ret;
}

/* ---- clones and deduplication ---- */

/* As pfs_group_follow(), where that is needed. */
static int same_group(struct inode *in, struct inode *out, struct mem_group **left)
{
	if (pfs_inode(in)->mem.never_share || pfs_inode(out)->mem.never_share)
		return -EOPNOTSUPP;
	if (pfs_inode(in)->mem.group == pfs_inode(out)->mem.group)
		return 0;
	return pfs_group_follow(out, in, left);
}

/* Pages done; fewer than @nr: *err says why. */
static u64 clone_pages(struct mem_file *src, u64 from, struct mem_file *dst, u64 to, u64 nr,
		       int *err)
{
	u64 done = 0;

	*err = 0;
	while (done < nr && !*err) {
		u64 holes = min(mem_file_next(src, from + done) - from - done,
				mem_file_next(dst, to + done) - to - done);
		u64 part = in_chunk(to + done, nr - done), n;

		if (holes) {
			done += min(holes, nr - done);
			continue;
		}
		n = mem_file_clone(src, from + done, dst, to + done, part, err);
		done += n;
		if (n < part)
			break;
		*err = pause_range();
	}
	return done;
}

/* What a clone that fails brings back: the destination as it was. */
struct undo {
	struct inode *saved;		/* a file of our own with its pages, if it had any in the range */
	u64 first, nr;			/* pages of the range that it had, holes or not */
	loff_t size;
};

/* A clone of the range itself: takes no memory but for pages that somebody holds. */
static int undo_save(struct undo *undo, struct inode *out, u64 nr)
{
	struct mem_file *dst = &pfs_inode(out)->mem, *copy;
	struct inode *saved;
	int ret;

	if (nr && mem_file_seek(dst, undo->first, true) < undo->first + nr) {
		saved = pfs_inode_new(out->i_sb, COMPAT_NOP_IDMAP, NULL, S_IFREG, 0);
		if (IS_ERR(saved))
			return PTR_ERR(saved);
		undo->saved = saved;
		copy = &pfs_inode(saved)->mem;
		ret = mem_file_set_group(copy, dst->group);
		if (!ret)
			ret = mem_file_resize(copy, undo->first + nr);
		if (!ret)
			clone_pages(dst, undo->first, copy, undo->first, nr, &ret);
		if (ret)
			return ret;
	}
	undo->nr = nr;
	return 0;
}

/* Asks for frames only where somebody has pinned what was cloned meanwhile. */
static void undo_restore(struct undo *undo, struct inode *out)
{
	struct mem_file *dst = &pfs_inode(out)->mem;
	int ret = 0;

	if (undo->saved && undo->nr)
		mem_file_clone(&pfs_inode(undo->saved)->mem, undo->first, dst, undo->first,
			       undo->nr, &ret);
	else if (undo->nr)
		ret = mem_file_punch(dst, undo->first, undo->nr);
	if (!ret && dst->pages > pfs_pages(undo->size))
		ret = mem_file_resize(dst, pfs_pages(undo->size));
	if (ret)
		pr_warn_ratelimited("penumbra_mem: what a failed clone had replaced is lost\n");
}

/* Bytes done; fewer than @len: *err says why. */
static loff_t clone_range(struct inode *in, loff_t pos_in, struct inode *out, loff_t pos_out,
			  loff_t len, int *err)
{
	struct mem_file *src = &pfs_inode(in)->mem, *dst = &pfs_inode(out)->mem;
	loff_t size = i_size_read(out), done;

	*err = pos_out > size ? pfs_zero_end(out) : 0;
	if (!*err && pos_out + len > size)
		*err = mem_file_resize(dst, pfs_pages(pos_out + len));
	if (*err)
		return 0;
	done = clone_pages(src, pos_in >> PAGE_SHIFT, dst, pos_out >> PAGE_SHIFT,
			   pfs_pages(len), err) << PAGE_SHIFT;
	return min(done, len);
}

/*
 * With both inodes locked, both in one group, the range checked. Bytes done or -errno: less than @len only with
 * @shorten; with an error the destination is as it was.
 */
static loff_t clone(struct inode *in, loff_t pos_in, struct inode *out, loff_t pos_out, loff_t len,
		    bool shorten)
{
	loff_t size = i_size_read(out), done = 0, end = min(pos_out + len, size);
	struct undo undo = { .first = pos_out >> PAGE_SHIFT, .size = size };
	int ret = 0;

	if (!shorten && pos_out < end)
		ret = undo_save(&undo, out, pfs_pages(end) - undo.first);
	if (!ret)
		done = clone_range(in, pos_in, out, pos_out, len, &ret);
	if (done == len || (done && shorten)) {
		i_size_write(out, max(size, pos_out + done));
		pfs_inode_shrink_back(out);
	} else {
		undo_restore(&undo, out);
		done = pfs_errno(ret);
	}
	iput(undo.saved);
	return done;
}

/* The checks that the kernel has for filesystems with a page cache, for one without. */
static int dedupe_check(struct inode *in, loff_t pos_in, struct inode *out, loff_t pos_out,
			loff_t *len)
{
	loff_t size_in = i_size_read(in), size_out = i_size_read(out);

	if (IS_IMMUTABLE(out))
		return -EPERM;
	if (!S_ISREG(in->i_mode) || !S_ISREG(out->i_mode))
		return S_ISDIR(in->i_mode) || S_ISDIR(out->i_mode) ? -EISDIR : -EINVAL;
	if (!PAGE_ALIGNED(pos_in) || !PAGE_ALIGNED(pos_out))
		return -EINVAL;
	if (pos_in >= size_in || pos_in + *len > size_in ||
	    pos_out >= size_out || pos_out + *len > size_out)
		return -EINVAL;
	/* Part of a page is compared only where both files end with it. */
	if (pos_in + *len != size_in || pos_out + *len != size_out)
		*len = round_down(*len, PAGE_SIZE);
	if (in == out && pos_out + *len > pos_in && pos_out < pos_in + *len)
		return -EINVAL;
	return 0;
}

static loff_t dedupe(struct inode *in, loff_t pos_in, struct inode *out, loff_t pos_out, loff_t len)
{
	struct mem_file *src = &pfs_inode(in)->mem, *dst = &pfs_inode(out)->mem;
	u64 from = pos_in >> PAGE_SHIFT, to = pos_out >> PAGE_SHIFT, done = 0;
	int ret = dedupe_check(in, pos_in, out, pos_out, &len);
	u64 nr = pfs_pages(len);

	if (ret)
		return ret;
	if (src->never_share || dst->never_share)
		return -EOPNOTSUPP;
	if (src->group != dst->group)
		return -EXDEV;
	/* What is behind an end in a page is in no file, but compared. */
	if (offset_in_page(len)) {
		ret = pfs_zero_end(in);
		if (!ret)
			ret = pfs_zero_end(out);
	}
	while (done < nr && !ret) {
		u64 part = in_chunk(to + done, nr - done);

		ret = mem_file_dedupe(src, from + done, dst, to + done, part);
		done += part;
		if (!ret)
			ret = pause_range();
	}
	return ret ? ret : len;
}

loff_t pfs_remap_file_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			    loff_t len, unsigned int flags)
{
	struct inode *inode_in = file_inode(in), *inode_out = file_inode(out);
	struct mem_group *left = NULL;
	loff_t ret;

	if (flags & ~(REMAP_FILE_DEDUP | REMAP_FILE_ADVISORY))
		return -EINVAL;
	lock_two_nondirectories(inode_in, inode_out);
	if (flags & REMAP_FILE_DEDUP) {
		ret = dedupe(inode_in, pos_in, inode_out, pos_out, len);
	} else {
		ret = generic_remap_file_range_prep(in, pos_in, out, pos_out, &len, flags);
		if (!ret && len)
			ret = same_group(inode_in, inode_out, &left);
		if (!ret && len)
			ret = clone(inode_in, pos_in, inode_out, pos_out, len,
				    flags & REMAP_FILE_CAN_SHORTEN);
		pfs_group_followed(inode_out, left);
	}
	unlock_two_nondirectories(inode_in, inode_out);
	return ret;
}
