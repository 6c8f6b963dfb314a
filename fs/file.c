// SPDX-License-Identifier: GPL-2.0
/*
 * Reading, writing and seeking. Data is copied through the kernel's own mapping, a
 * page at a time; while a copy is under way the frame is held, so that it stays what it is.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include "fs/fs.h"

/* The part of a transfer that lies in one page. */
static size_t part_of_page(loff_t pos, size_t len)
{
	return min_t(size_t, len, PAGE_SIZE - offset_in_page(pos));
}

static void *bytes_at(struct mem_frame *frame, loff_t pos)
{
	return (char *)pfs_host_ops.data(frame) + offset_in_page(pos);
}

int pfs_zero_bytes(struct inode *inode, loff_t from, loff_t to)
{
	struct mem_file *file = &pfs_inode(inode)->mem;
	struct mem_frame *frame;
	u64 index = from >> PAGE_SHIFT;
	bool zero;
	int ret;

	if (from >= to)
		return 0;
	ret = mem_file_pin(file, index, false, &frame);
	if (ret || !frame)
		return pfs_errno(ret);
	zero = !memchr_inv(bytes_at(frame, from), 0, to - from);
	pfs_host_ops.put(frame);
	if (zero)	/* a shared page stays so */
		return 0;
	ret = mem_file_pin(file, index, true, &frame);
	if (ret)
		return pfs_errno(ret);
	memset(bytes_at(frame, from), 0, to - from);
	pfs_host_ops.put(frame);
	return 0;
}

int pfs_zero_end(struct inode *inode)
{
	loff_t size = i_size_read(inode);

	return pfs_zero_bytes(inode, size, round_up(size, PAGE_SIZE));
}

/* ---- read ---- */

/* Bytes copied, less than @len if the destination is not there; or -errno. */
static ssize_t read_page(struct inode *inode, loff_t pos, size_t len, struct iov_iter *to)
{
	struct mem_frame *frame;
	size_t done;
	int ret;

	ret = mem_file_pin(&pfs_inode(inode)->mem, pos >> PAGE_SHIFT, false, &frame);
	if (ret == -ERANGE)	/* truncated meanwhile */
		return 0;
	if (ret)
		return pfs_errno(ret);
	if (!frame)
		return iov_iter_zero(len, to);
	done = copy_page_to_iter((struct page *)frame, offset_in_page(pos), len, to);
	pfs_host_ops.put(frame);
	return done;
}

static ssize_t read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t total = 0, n = 0;

	while (iov_iter_count(to)) {
		loff_t size = i_size_read(inode);
		size_t len;

		if (iocb->ki_pos >= size)
			break;
		len = part_of_page(iocb->ki_pos, min_t(u64, iov_iter_count(to),
						       size - iocb->ki_pos));
		n = read_page(inode, iocb->ki_pos, len, to);
		if (n > 0) {
			iocb->ki_pos += n;
			total += n;
		}
		if (n < (ssize_t)len) {
			if (n >= 0 && iocb->ki_pos < i_size_read(inode))
				n = -EFAULT;
			break;
		}
		if (fatal_signal_pending(current)) {
			n = -EINTR;
			break;
		}
		cond_resched();
	}
	file_accessed(iocb->ki_filp);
	return total ? total : n < 0 ? n : 0;
}

/* ---- write ---- */

static ssize_t write_page(struct inode *inode, loff_t pos, size_t len, struct iov_iter *from)
{
	struct mem_file *file = &pfs_inode(inode)->mem;
	struct mem_frame *frame;
	size_t done;
	int ret;

	ret = mem_file_pin(file, pos >> PAGE_SHIFT, true, &frame);
	if (ret)
		return pfs_errno(ret);
	done = copy_page_from_iter((struct page *)frame, offset_in_page(pos), len, from);
	pfs_host_ops.put(frame);
	return done ? done : -EFAULT;
}

static ssize_t write_locked(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct mem_file *file = &pfs_inode(inode)->mem;
	loff_t old = i_size_read(inode);
	u64 pages = pfs_pages(iocb->ki_pos + iov_iter_count(from));
	ssize_t total = 0, n = 0;

	if (iocb->ki_pos > old)		/* as truncating upwards, bytes in between are zero */
		n = pfs_zero_end(inode);
	if (!n && pages > file->pages)
		n = pfs_errno(mem_file_resize(file, pages));
	if (n)
		return n;
	while (iov_iter_count(from)) {
		size_t len = part_of_page(iocb->ki_pos, iov_iter_count(from));

		n = write_page(inode, iocb->ki_pos, len, from);
		if (n > 0) {
			iocb->ki_pos += n;
			total += n;
			if (iocb->ki_pos > i_size_read(inode))
				i_size_write(inode, iocb->ki_pos);
		}
		if (n < (ssize_t)len || fatal_signal_pending(current))
			break;
		cond_resched();
	}
	pfs_inode_shrink_back(inode);
	return total ? total : n < 0 ? n : -EINTR;
}

static ssize_t write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret;

	inode_lock(inode);
	ret = generic_write_checks(iocb, from);
	if (ret > 0) {
		ssize_t err = file_modified(iocb->ki_filp);

		ret = err ? err : write_locked(iocb, from);
	}
	inode_unlock(inode);
	return ret;
}

/* ---- seek ---- */

static loff_t seek_data_or_hole(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	bool data = whence == SEEK_DATA;
	loff_t size, found;
	u64 index;

	inode_lock_shared(inode);
	size = i_size_read(inode);
	if (offset < 0 || offset >= size) {
		found = -ENXIO;
		goto unlock;
	}
	index = mem_file_seek(&pfs_inode(inode)->mem, offset >> PAGE_SHIFT, data);
	found = max_t(loff_t, offset, index << PAGE_SHIFT);
	if (found >= size)
		found = data ? -ENXIO : size;
	if (found >= 0)
		found = vfs_setpos(file, found, inode->i_sb->s_maxbytes);
unlock:
	inode_unlock_shared(inode);
	return found;
}

static loff_t llseek(struct file *file, loff_t offset, int whence)
{
	if (whence == SEEK_DATA || whence == SEEK_HOLE)
		return seek_data_or_hole(file, offset, whence);
	return generic_file_llseek(file, offset, whence);
}

const struct file_operations pfs_file_operations = {
	.llseek = llseek,
	.read_iter = read_iter,
	.write_iter = write_iter,
	.mmap = pfs_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.fsync = noop_fsync,
	.splice_read = compat_splice_read,
	.splice_write = iter_file_splice_write,
	.fallocate = pfs_fallocate,
	.remap_file_range = pfs_remap_file_range,
	.unlocked_ioctl = pfs_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
