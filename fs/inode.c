// SPDX-License-Identifier: GPL-2.0
/*
 * Inodes and directories, as a ram filesystem has them: what is created stays in
 * the dentry cache, and an inode goes with its last name and its last user.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/xattr.h>
#include "fs/fs.h"

static struct kmem_cache *inode_cache;

static const struct inode_operations file_inode_operations;
static const struct inode_operations dir_inode_operations;
static const struct inode_operations symlink_inode_operations;

/* ---- allocation ---- */

static void init_once(void *object)
{
	struct pfs_inode *pi = object;

	inode_init_once(&pi->vfs);
}

int pfs_inode_cache_init(void)
{
	inode_cache = kmem_cache_create("penumbra_inode", sizeof(struct pfs_inode), 0,
					SLAB_ACCOUNT, init_once);
	return inode_cache ? 0 : -ENOMEM;
}

void pfs_inode_cache_fini(void)
{
	rcu_barrier();		/* inodes are freed after a grace period */
	kmem_cache_destroy(inode_cache);
}

struct inode *pfs_inode_alloc(struct super_block *sb)
{
	struct pfs_inode *pi = alloc_inode_sb(sb, inode_cache, GFP_KERNEL);

	if (!pi)
		return NULL;
	memset(pi, 0, offsetof(struct pfs_inode, vfs));
	return &pi->vfs;
}

void pfs_inode_free(struct inode *inode)
{
	if (S_ISLNK(inode->i_mode))
		kfree(inode->i_link);
	kmem_cache_free(inode_cache, pfs_inode(inode));
}

/* One inode, or one more name of one. */
static int reserve_inode(struct pfs_mount *m)
{
	u64 max = READ_ONCE(m->max_inodes);

	if ((u64)atomic64_inc_return(&m->inodes) <= max || !max)
		return 0;
	atomic64_dec(&m->inodes);
	return -ENOSPC;
}

static void release_inode(struct pfs_mount *m)
{
	atomic64_dec(&m->inodes);
}

/* Nobody has it open or mapped, and the scanning thread has no reference. */
void pfs_inode_evict(struct inode *inode)
{
	struct pfs_inode *pi = pfs_inode(inode);

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (pi->mem_live) {
		pfs_sysfs_file_del(pi);
		mem_file_fini(&pi->mem);
		pi->mem_live = false;
		atomic64_dec(&pfs_files);
	}
	pfs_group_put(pfs_mount(inode->i_sb), pi->group);
	pi->group = NULL;
	release_inode(pfs_mount(inode->i_sb));
}

/* ---- creation ---- */

/* One that no folder asked for is our own and not told about. */
static int init_regular(struct inode *inode, bool told)
{
	struct pfs_mount *m = pfs_mount(inode->i_sb);
	struct pfs_inode *pi = pfs_inode(inode);
	struct mem_group *group = pi->group ? mem_group_get(pi->group->mem) :
					      mem_group_new(&m->pool);
	bool never = pi->never_share;
	int ret;

	if (!group)
		return -ENOMEM;
	ret = mem_file_init(&pi->mem, &m->pool, group);
	mem_group_put(group);
	if (ret)
		return ret;
	pi->mem_live = true;
	pi->mem.never_share = never;
	pi->mapped_private = false;
	atomic64_inc(&pfs_files);
	inode->i_op = &file_inode_operations;
	inode->i_fop = &pfs_file_operations;
	return told ? pfs_sysfs_file_add(pi) : 0;
}

struct inode *pfs_inode_new(struct super_block *sb, compat_idmap *idmap, struct inode *dir,
			    umode_t mode, dev_t dev)
{
	struct pfs_mount *m = pfs_mount(sb);
	struct inode *inode;
	int ret = reserve_inode(m);

	if (ret)
		return ERR_PTR(ret);
	inode = new_inode(sb);
	if (!inode) {
		release_inode(m);
		return ERR_PTR(-ENOMEM);
	}
	inode->i_ino = atomic64_inc_return(&m->next_ino);
	inode_init_owner(idmap, inode, dir, mode);
	compat_inode_init_times(inode);
	if (dir && (S_ISREG(mode) || S_ISDIR(mode))) {
		pfs_inode(inode)->group = pfs_group_inherit(m, dir);
		pfs_inode(inode)->never_share = READ_ONCE(pfs_inode(dir)->never_share);
	}
	switch (mode & S_IFMT) {
	case S_IFREG:
		ret = init_regular(inode, dir);
		break;
	case S_IFDIR:
		inode->i_op = &dir_inode_operations;
		inode->i_fop = &simple_dir_operations;
		inc_nlink(inode);	/* for "." */
		break;
	case S_IFLNK:
		inode->i_op = &symlink_inode_operations;
		break;
	default:
		init_special_inode(inode, mode, dev);
	}
	if (ret) {
		iput(inode);
		return ERR_PTR(ret);
	}
	return inode;
}

/* The name stays in the dentry cache for as long as it exists: there is no other place. */
static void add_name(struct inode *dir, struct dentry *dentry, struct inode *inode)
{
	d_instantiate(dentry, inode);
	dget(dentry);
	compat_inode_touch(dir);
}

static int dir_mknod(compat_idmap *idmap, struct inode *dir, struct dentry *dentry,
		     umode_t mode, dev_t dev)
{
	struct inode *inode = pfs_inode_new(dir->i_sb, idmap, dir, mode, dev);

	if (IS_ERR(inode))
		return PTR_ERR(inode);
	add_name(dir, dentry, inode);
	return 0;
}

static int dir_create(compat_idmap *idmap, struct inode *dir, struct dentry *dentry,
		      umode_t mode, bool excl)
{
	return dir_mknod(idmap, dir, dentry, mode | S_IFREG, 0);
}

static int dir_mkdir(compat_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	int ret = dir_mknod(idmap, dir, dentry, mode | S_IFDIR, 0);

	if (!ret)
		inc_nlink(dir);
	return ret;
}

static int dir_symlink(compat_idmap *idmap, struct inode *dir, struct dentry *dentry,
		       const char *target)
{
	char *link = kstrdup(target, GFP_KERNEL);
	struct inode *inode;

	if (!link)
		return -ENOMEM;
	inode = pfs_inode_new(dir->i_sb, idmap, dir, S_IFLNK | 0777, 0);
	if (IS_ERR(inode)) {
		kfree(link);
		return PTR_ERR(inode);
	}
	inode->i_link = link;
	inode->i_size = strlen(link);
	add_name(dir, dentry, inode);
	return 0;
}

static int dir_link(struct dentry *old, struct inode *dir, struct dentry *dentry)
{
	bool another = d_inode(old)->i_nlink;	/* an unnamed one gets its first */
	int ret = another ? reserve_inode(pfs_mount(dir->i_sb)) : 0;

	if (ret)
		return ret;
	ret = simple_link(old, dir, dentry);
	if (ret && another)
		release_inode(pfs_mount(dir->i_sb));
	return ret;
}

/* Does the inode keep another name if it loses this one? */
static bool has_others(const struct inode *inode)
{
	return inode && !S_ISDIR(inode->i_mode) && inode->i_nlink > 1;
}

static int dir_unlink(struct inode *dir, struct dentry *dentry)
{
	if (has_others(d_inode(dentry)))
		release_inode(pfs_mount(dir->i_sb));
	return simple_unlink(dir, dentry);
}

static int dir_rename(compat_idmap *idmap, struct inode *old_dir, struct dentry *old,
		      struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	bool goes = !(flags & RENAME_EXCHANGE) && has_others(d_inode(dentry));
	int ret = simple_rename(idmap, old_dir, old, dir, dentry, flags);

	if (!ret && goes)
		release_inode(pfs_mount(dir->i_sb));
	return ret;
}

static int dir_tmpfile(compat_idmap *idmap, struct inode *dir, struct file *file, umode_t mode)
{
	struct inode *inode = pfs_inode_new(dir->i_sb, idmap, dir, mode, 0);

	if (IS_ERR(inode))
		return finish_open_simple(file, PTR_ERR(inode));
	d_tmpfile(file, inode);
	return finish_open_simple(file, 0);
}

/* ---- attributes ---- */

int pfs_inode_resize(struct inode *inode, loff_t size)
{
	struct mem_file *file = &pfs_inode(inode)->mem;
	loff_t old = i_size_read(inode), cut = min(old, size);
	int ret;

	/*
	 * What lies behind the end in the last page may have been written through a
	 * mapping. It must not be seen when the file grows, now or later.
	 */
	ret = pfs_zero_bytes(inode, cut, round_up(cut, PAGE_SIZE));
	if (ret)
		return ret;
	if (size > old) {
		ret = mem_file_resize(file, pfs_pages(size));
		if (!ret)
			i_size_write(inode, size);
		return pfs_errno(ret);
	}
	/* No fault gets a page beyond the new end once resize has it; copies that private
	 * mappings made until then go last. */
	i_size_write(inode, size);
	ret = mem_file_resize(file, pfs_pages(size));
	if (ret) {
		i_size_write(inode, old);
		return pfs_errno(ret);
	}
	unmap_mapping_range(inode->i_mapping, round_up(size, PAGE_SIZE), 0, 1);
	return 0;
}

/*
 * Only part of a 2 MiB frame that others share could keep a file from becoming shorter. None has the
 * old end inside, and nothing beyond what an operation has done is shared.
 */
void pfs_inode_shrink_back(struct inode *inode)
{
	struct mem_file *file = &pfs_inode(inode)->mem;
	u64 pages = pfs_pages(i_size_read(inode));

	if (file->pages > pages)
		WARN_ON_ONCE(mem_file_resize(file, pages));
}

static int file_setattr(compat_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	int ret = setattr_prepare(idmap, dentry, attr);

	if (!ret)
		ret = pfs_sysfs_file_chown(pfs_inode(inode), attr);
	if (ret)
		return ret;
	if ((attr->ia_valid & ATTR_SIZE) && attr->ia_size != i_size_read(inode)) {
		ret = pfs_inode_resize(inode, attr->ia_size);
		if (ret)
			return ret;
		compat_inode_touch(inode);
	}
	setattr_copy(idmap, inode, attr);
	mark_inode_dirty(inode);
	return 0;
}

static int file_getattr(compat_idmap *idmap, const struct path *path, struct kstat *stat,
			u32 request_mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);

	compat_generic_fillattr(idmap, request_mask, inode, stat);
	stat->blocks = atomic64_read(&pfs_inode(inode)->mem.stat.present) << (PAGE_SHIFT - 9);
	return 0;
}

static const struct inode_operations file_inode_operations = {
	.setattr = file_setattr,
	.getattr = file_getattr,
	.listxattr = generic_listxattr,
};

static const struct inode_operations dir_inode_operations = {
	.lookup = simple_lookup,
	.create = dir_create,
	.mknod = dir_mknod,
	.mkdir = dir_mkdir,
	.symlink = dir_symlink,
	.tmpfile = dir_tmpfile,
	.link = dir_link,
	.unlink = dir_unlink,
	.rmdir = simple_rmdir,
	.rename = dir_rename,
	.listxattr = generic_listxattr,
};

static const struct inode_operations symlink_inode_operations = {
	.get_link = simple_get_link,
};
