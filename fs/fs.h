/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The RAM filesystem: what its files (one per matter) know of each other.
 *
 *   pfs_mount ─ struct mem_pool      a mount: its frames, its limit, its scanning thread
 *   pfs_inode ─ struct mem_file      a regular file: its pages, all in mem/
 *   pfs_group ─ struct mem_group     a group that has a name; others have one file
 *
 * Nothing is in the page cache. What the files hold is found by mem_file_*(), and what
 * protects it is there (mem/mem.h). Here, outer first:
 *
 *   inode lock      size, fallocate, clones, attributes. Not taken by faults
 *   mmap_lock       of a process that faults; so no copying to or from user space below it
 *   chunk lock, page lock: mem/mem.h
 *   groups_lock     names of groups; nothing is taken below it but the pool's leaves
 */
#ifndef PENUMBRA_FS_H
#define PENUMBRA_FS_H

#include <linux/fs.h>
#include <linux/fs_parser.h>
#include <linux/kobject.h>
#include <linux/percpu_counter.h>
#include <linux/siphash.h>
#include <linux/wait.h>
#include "compat.h"
#include "mem/mem.h"

#define PFS_MAGIC		0x50454e55	/* statfs: "PENU" */
#define PFS_GROUP_NAME_MAX	63
#define PFS_RESERVE_MAX_PAGES	(16ULL << (30 - PAGE_SHIFT))

struct pfs_mount_dir;
struct pfs_file_dir;

/* What mount and remount can set. */
struct pfs_options {
	u64 size, reserve;		/* pages */
	u64 inodes;			/* 0: no limit */
	bool huge;
	umode_t mode;
	kuid_t uid;
	kgid_t gid;
	char *group;			/* of the root directory; NULL: none */
	unsigned int set;		/* BIT(enum pfs_param): given, not default */
};

struct pfs_mount {
	struct mem_pool pool;
	struct super_block *sb;
	struct list_head node;		/* in pfs_mounts, under pfs_mounts_lock */
	struct pfs_options options;	/* as given at mount, for /proc/mounts */
	atomic64_t next_ino;
	u64 max_inodes;			/* 0: no limit */
	atomic64_t inodes;		/* with further names counted, as on tmpfs */
	siphash_key_t token_key;	/* of PENUMBRA_MEM_MAP */

	struct mutex groups_lock;
	struct list_head groups;	/* by pfs_group.node */

	wait_queue_head_t frames_wait;	/* faults that got no frame */
	atomic_t frames_seq;		/* counts reasons to try again */
	unsigned int wait_ms;		/* how long they wait */

	struct task_struct *scand;
	wait_queue_head_t scand_wait;
	bool scand_kick;		/* the reserve wants filling */
	bool scand_settings;		/* settings of the scanner are new */
	unsigned long scand_pressure_next;	/* jiffies: when memory is looked at again */
	struct pfs_mount_dir *dir;
};

struct pfs_inode {
	struct mem_file mem;		/* of a regular file */
	bool mem_live;			/* it is set up */
	bool never_share;		/* inherited by what is created in a directory */
	bool mapped_private;		/* MAP_PRIVATE has been asked for, ever */
	struct pfs_group *group;	/* under groups_lock; NULL: a file is in a group of its own */
	struct pfs_file_dir *dir;
	struct inode vfs;
};

/* A named group. It exists as long as a file or a directory is in it. */
struct pfs_group {
	struct list_head node;
	struct mem_group *mem;
	kuid_t owner;			/* who may put things into it */
	unsigned int users;		/* under groups_lock */
	char name[PFS_GROUP_NAME_MAX + 1];
};

static inline struct pfs_mount *pfs_mount(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline struct pfs_inode *pfs_inode(const struct inode *inode)
{
	return container_of(inode, struct pfs_inode, vfs);
}

static inline struct pfs_mount *pfs_mount_of_pool(struct mem_pool *pool)
{
	return container_of(pool, struct pfs_mount, pool);
}

static inline struct pfs_inode *pfs_inode_of_file(struct mem_file *file)
{
	return container_of(file, struct pfs_inode, mem);
}

/* Pages that so many bytes touch. */
static inline u64 pfs_pages(loff_t bytes)
{
	return ((u64)bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/* An error of mem/ as system calls show it: nothing of it can be waited for there. */
static inline int pfs_errno(int err)
{
	return err == -EBUSY ? -ENOMEM : err == -ERANGE ? -EINVAL : err == -EHWPOISON ? -EIO : err;
}

/* main.c: all mounts, and what is left of those that are gone */
extern bool pfs_audit;			/* parameter: mem_audit() at unmount */
extern struct list_head pfs_mounts;
extern struct mutex pfs_mounts_lock;
extern struct pfs_left {		/* found at unmount, always 0 if all is well */
	atomic64_t groups, metadata_bytes;
} pfs_left;
extern atomic64_t pfs_files;		/* regular files */

/* super.c */
int pfs_init_fs_context(struct fs_context *fc);
void pfs_kill_sb(struct super_block *sb);
extern const struct fs_parameter_spec pfs_parameters[];

/* inode.c */
int pfs_inode_cache_init(void);
void pfs_inode_cache_fini(void);
struct inode *pfs_inode_alloc(struct super_block *sb);	/* super_operations.alloc_inode */
void pfs_inode_free(struct inode *inode);		/* .free_inode */
void pfs_inode_evict(struct inode *inode);		/* .evict_inode */
/*
 * A new inode, NULL or an error never: ERR_PTR. Inherits from @dir; NULL for the root, and for a
 * regular file of our own.
 */
struct inode *pfs_inode_new(struct super_block *sb, compat_idmap *idmap, struct inode *dir,
			    umode_t mode, dev_t dev);
/*
 * A new size in bytes, with the inode lock held: bytes that appear are zero, pages beyond
 * it are given up and unmapped. Errors as mem_file_resize().
 */
int pfs_inode_resize(struct inode *inode, loff_t size);
/* The end of an operation that had made the file longer than i_size: it is as long as that again. */
void pfs_inode_shrink_back(struct inode *inode);

/* fault.c */
int pfs_mmap(struct file *file, struct vm_area_struct *vma);
/* Whoever waits for frames tries again. Does not sleep. */
void pfs_frames_arrived(struct pfs_mount *m);

/* file.c */
extern const struct file_operations pfs_file_operations;
/* Bytes [from, to) of one page read as zero; a hole stays one. With the inode lock held. */
int pfs_zero_bytes(struct inode *inode, loff_t from, loff_t to);
/* Those behind the end in the last page, which a mapping may have written. */
int pfs_zero_end(struct inode *inode);

/* range.c */
long pfs_fallocate(struct file *file, int mode, loff_t offset, loff_t len);
loff_t pfs_remap_file_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			    loff_t len, unsigned int flags);

/* frames.c */
extern const struct mem_host_ops pfs_host_ops;
/* Is any part of this 2 MiB page bad? Then the kernel is told as well, and maps none of it by a PMD. */
bool pfs_has_poison(struct page *head);
extern struct percpu_counter pfs_frame_pages;	/* of all mounts, reserves included */

/* protect.c */
bool pfs_protect(struct mem_file *file, u64 first, u64 nr);	/* mem_host_ops.protect */

/* scand.c */
int pfs_scand_start(struct pfs_mount *m);	/* 0 or -errno */
void pfs_scand_stop(struct pfs_mount *m);
/* The reserve wants filling; settings of pool->scan are new. Do not sleep. */
void pfs_scand_wake(struct pfs_mount *m);
void pfs_scand_settings_changed(struct pfs_mount *m);

/* sysfs.c */
int pfs_sysfs_init(void);
void pfs_sysfs_fini(void);
int pfs_sysfs_mount_add(struct pfs_mount *m);	/* 0 or -errno */
void pfs_sysfs_mount_del(struct pfs_mount *m);	/* waits for readers */
void pfs_sysfs_reserve_changed(struct pfs_mount *m);	/* wakes those who poll its state */
struct kobject *pfs_sysfs_files(struct pfs_mount *m);

/* files_sysfs.c */
int pfs_sysfs_file_add(struct pfs_inode *pi);	/* 0 or -errno */
void pfs_sysfs_file_del(struct pfs_inode *pi);	/* waits for readers */
/* The file is about to have other owners, if @attr says so. 0 or -errno. */
int pfs_sysfs_file_chown(struct pfs_inode *pi, const struct iattr *attr);

/* xattr.c */
extern const struct xattr_handler *pfs_xattr_handlers[];
/* The group called @name; made, and the caller's, if there is none. -EPERM: it is somebody else's. */
struct pfs_group *pfs_group_get(struct pfs_mount *m, const char *name);
/* The group that @dir's new children are in, or NULL. */
struct pfs_group *pfs_group_inherit(struct pfs_mount *m, struct inode *dir);
void pfs_group_put(struct pfs_mount *m, struct pfs_group *group);	/* NULL is fine */
/*
 * An empty file goes into @group; NULL: one of its own. Takes the reference over if it
 * succeeds. With the inode lock held. -EBUSY: it is not empty.
 */
int pfs_group_join(struct inode *inode, struct pfs_group *group);
/*
 * A file that was just made, and is in a group of its own because nobody said otherwise, goes
 * into the group of @source. With both inode locks held. -EXDEV: it is no such file, or the group
 * is not the caller's. When done, pfs_group_followed(): a file that is still empty goes back to
 * the group that it @left (NULL: none).
 */
int pfs_group_follow(struct inode *inode, struct inode *source, struct mem_group **left);
void pfs_group_followed(struct inode *inode, struct mem_group *left);

/* ioctl.c */
long pfs_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif
