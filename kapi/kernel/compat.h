/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between the kernels we build against (6.1 and 6.12) that
 * kernel-only code meets, under one name each: that of the newer kernel, or
 * compat_* or pn_* where the shape differs. Nowhere else is LINUX_VERSION_CODE asked,
 * save in kapi.h.
 */
#ifndef PENUMBRA_COMPAT_H
#define PENUMBRA_COMPAT_H

#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/version.h>

/* eventfd_signal() lost its count in 6.8: it always adds one. */
static inline void compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

#ifndef fd_file		/* 6.12 */
#define fd_file(f)	((f).file)
#endif

/*
 * Until 6.6 get_user_pages() took NUMA hinting faults unless forced; since then
 * it has to be asked to.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#define COMPAT_FOLL_NUMA	FOLL_HONOR_NUMA_FAULT
#else
#define COMPAT_FOLL_NUMA	0
#endif

/* Readers of page tables without their lock (6.5 renamed and extended them). */
static inline pmd_t compat_pmd_get_lockless(pmd_t *pmdp)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	return pmdp_get_lockless(pmdp);
#else
	return READ_ONCE(*pmdp);
#endif
}

/*
 * Dirtiness of a host entry. Since 6.6 it may be in a software bit, and stays there
 * in an entry of hugetlbfs that became writable later.
 */
#ifdef _PAGE_DIRTY_BITS
#define COMPAT_PAGE_DIRTY	_PAGE_DIRTY_BITS
#else
#define COMPAT_PAGE_DIRTY	_PAGE_DIRTY
#endif

/* Shrinkers are allocated by the kernel since 6.7. NULL when there is no memory. */
typedef unsigned long compat_shrinker_fn(struct shrinker *s, struct shrink_control *sc);

static inline struct shrinker *compat_shrinker_new(compat_shrinker_fn *count,
						   compat_shrinker_fn *scan, const char *name)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	struct shrinker *s = shrinker_alloc(0, "%s", name);

	if (!s)
		return NULL;
	s->count_objects = count;
	s->scan_objects = scan;
	shrinker_register(s);
	return s;
#else
	struct shrinker *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return NULL;
	s->count_objects = count;
	s->scan_objects = scan;
	s->seeks = DEFAULT_SEEKS;
	if (register_shrinker(s, "%s", name)) {
		kfree(s);
		return NULL;
	}
	return s;
#endif
}

/* On return no callback runs any more. NULL is fine. */
static inline void compat_shrinker_free(struct shrinker *s)
{
	if (!s)
		return;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	shrinker_free(s);
#else
	unregister_shrinker(s);
	kfree(s);
#endif
}

/* The kernel marks it unsafe since 6.11, since user space may change it at any time. */
static inline bool compat_immediate_exit(const struct kvm_run *run)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	return READ_ONCE(run->immediate_exit__unsafe);
#else
	return READ_ONCE(run->immediate_exit);
#endif
}

/* Time in a guest is a quiescent state for RCU; the argument went in 6.2 or so. */
static __always_inline void compat_rcu_note_guest(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	rcu_virt_note_context_switch();
#else
	rcu_virt_note_context_switch(smp_processor_id());
#endif
}

/* ---- filesystems ---- */

/* Inode operations are given an idmap, until 6.2 its user namespace. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
typedef struct mnt_idmap compat_idmap;
#define COMPAT_NOP_IDMAP	(&nop_mnt_idmap)
#else
typedef struct user_namespace compat_idmap;
#define COMPAT_NOP_IDMAP	(&init_user_ns)
#endif

static inline void compat_generic_fillattr(compat_idmap *idmap, u32 request_mask,
					   struct inode *inode, struct kstat *stat)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	generic_fillattr(idmap, request_mask, inode, stat);
#else
	generic_fillattr(idmap, inode, stat);
#endif
}

/* A new inode: all times are now. */
static inline void compat_inode_init_times(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	simple_inode_init_ts(inode);
#else
	inode->i_atime = inode->i_mtime = inode->i_ctime = current_time(inode);
#endif
}

/* Its content changed: mtime and ctime are now. */
static inline void compat_inode_touch(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
#else
	inode->i_mtime = inode->i_ctime = current_time(inode);
#endif
}

/* What a kobj_type's get_ownership is given, const since 6.2. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
typedef const struct kobject compat_kobject;
#else
typedef struct kobject compat_kobject;
#endif

/* splice_read by way of read_iter, 6.5 and later; before, the generic one did that. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define compat_splice_read	copy_splice_read
#else
#define compat_splice_read	generic_file_splice_read
#endif

/* ---- faults ---- */

/* Drops what handle_mm_fault() was called with; the area may be gone then. */
static inline void compat_release_fault_lock(struct vm_fault *vmf)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	release_fault_lock(vmf);
#else
	mmap_read_unlock(vmf->vma->vm_mm);
#endif
}

#endif
