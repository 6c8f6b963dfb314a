// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/fs/penumbra/<mount>/files/<inode>: the numbers of a regular file. Removing the
 * folder waits for readers, so they may use the file without a reference.
 *
 * They are for the file's owner and root: they name files in folders that others may not look
 * into, and tell what a guest does with its memory.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <linux/sysfs.h>
#include "fs/fs.h"

struct pfs_file_dir {
	struct kobject kobj;
	struct pfs_inode *pi;
};

struct file_attribute {
	struct attribute attr;
	ssize_t (*show)(struct pfs_inode *pi, char *buf);
};

static ssize_t file_attr_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	struct file_attribute *a = container_of(attr, struct file_attribute, attr);

	return a->show(container_of(kobj, struct pfs_file_dir, kobj)->pi, buf);
}

static const struct sysfs_ops file_sysfs_ops = { .show = file_attr_show };

#define FILE_ATTR(_name)							\
static struct file_attribute file_##_name##_attr = {				\
	.attr = { .name = #_name, .mode = 0400 }, .show = _name##_get,		\
}

#define FILE_NUMBER(_name, _value)						\
static ssize_t _name##_get(struct pfs_inode *pi, char *buf)			\
{										\
	const struct mem_file_stat *stat __maybe_unused = &pi->mem.stat;	\
										\
	return sysfs_emit(buf, "%lld\n", (long long)(_value));			\
}										\
FILE_ATTR(_name)

/*
 * Its path in the mount, "//deleted" behind it or alone if it has no name any more. The names are
 * kept by i_lock: a reference to one would be in the way of an unmount, which does not wait.
 */
static ssize_t name_get(struct pfs_inode *pi, char *buf)
{
	const size_t room = PATH_MAX, most = PAGE_SIZE - 16;	/* "//deleted" and a newline */
	char *page = kmalloc(room, GFP_KERNEL), *path = "//deleted";
	struct dentry *dentry;
	bool unlinked;
	ssize_t len;

	if (!page)
		return -ENOMEM;
	spin_lock(&pi->vfs.i_lock);
	dentry = hlist_entry_safe(pi->vfs.i_dentry.first, struct dentry, d_u.d_alias);
	if (dentry)
		path = dentry_path_raw(dentry, page, room);
	unlinked = dentry && d_unlinked(dentry);
	spin_unlock(&pi->vfs.i_lock);
	if (IS_ERR(path)) {
		len = PTR_ERR(path);
	} else {
		len = string_escape_str(path, buf, most, ESCAPE_OCTAL, "\t\n\v\f\r\\");
		if (len > (ssize_t)most)
			len = -ENAMETOOLONG;
		else
			len += sysfs_emit_at(buf, len, "%s\n", unlinked ? "//deleted" : "");
	}
	kfree(page);
	return len;
}
FILE_ATTR(name);

/* Empty: a group of its own. */
static ssize_t group_get(struct pfs_inode *pi, char *buf)
{
	struct pfs_mount *m = pfs_mount(pi->vfs.i_sb);
	ssize_t len;

	mutex_lock(&m->groups_lock);
	len = sysfs_emit(buf, "%s\n", pi->group ? pi->group->name : "");
	mutex_unlock(&m->groups_lock);
	return len;
}
FILE_ATTR(group);

static ssize_t share_get(struct pfs_inode *pi, char *buf)
{
	return sysfs_emit(buf, "%s\n", READ_ONCE(pi->never_share) ? "never" : "group");
}
FILE_ATTR(share);

FILE_NUMBER(size_pages, pfs_pages(i_size_read(&pi->vfs)));
FILE_NUMBER(resident_pages, atomic64_read(&stat->present));
FILE_NUMBER(private_pages, max_t(s64, atomic64_read(&stat->present) -
				      atomic64_read(&stat->shared), 0));
FILE_NUMBER(shared_pages, atomic64_read(&stat->shared));
FILE_NUMBER(proportional_pages, (mem_file_proportional(&pi->mem) + 512) >> 10);
FILE_NUMBER(zero_pages, atomic64_read(&stat->zero));
FILE_NUMBER(punched_pages, atomic64_read(&stat->punched));
FILE_NUMBER(cow_breaks, atomic64_read(&stat->cow_breaks));
FILE_NUMBER(zero_breaks, atomic64_read(&stat->zero_breaks));
FILE_NUMBER(merged_pages, atomic64_read(&stat->merged));
FILE_NUMBER(pinned_pages, atomic64_read(&stat->pinned));
FILE_NUMBER(huge_frames, atomic64_read(&stat->huge));
FILE_NUMBER(swapped_pages, 0);		/* frames stay in memory */

static struct attribute *file_attrs[] = {
	&file_name_attr.attr, &file_group_attr.attr, &file_share_attr.attr,
	&file_size_pages_attr.attr, &file_resident_pages_attr.attr, &file_private_pages_attr.attr,
	&file_shared_pages_attr.attr, &file_proportional_pages_attr.attr,
	&file_zero_pages_attr.attr, &file_punched_pages_attr.attr, &file_cow_breaks_attr.attr,
	&file_zero_breaks_attr.attr, &file_merged_pages_attr.attr, &file_pinned_pages_attr.attr,
	&file_huge_frames_attr.attr, &file_swapped_pages_attr.attr, NULL,
};
ATTRIBUTE_GROUPS(file);

static void file_dir_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct pfs_file_dir, kobj));
}

static void file_dir_owner(compat_kobject *kobj, kuid_t *uid, kgid_t *gid)
{
	const struct inode *inode = &container_of(kobj, struct pfs_file_dir, kobj)->pi->vfs;

	*uid = inode->i_uid;
	*gid = inode->i_gid;
}

static const struct kobj_type file_dir_type = {
	.release = file_dir_release,
	.get_ownership = file_dir_owner,
	.sysfs_ops = &file_sysfs_ops,
	.default_groups = file_groups,
};

int pfs_sysfs_file_add(struct pfs_inode *pi)
{
	struct pfs_file_dir *dir = kzalloc(sizeof(*dir), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!dir)
		return -ENOMEM;
	dir->pi = pi;
	ret = kobject_init_and_add(&dir->kobj, &file_dir_type,
				   pfs_sysfs_files(pfs_mount(pi->vfs.i_sb)), "%lu", pi->vfs.i_ino);
	if (ret) {
		kobject_put(&dir->kobj);
		return ret;
	}
	pi->dir = dir;
	return 0;
}

void pfs_sysfs_file_del(struct pfs_inode *pi)
{
	if (!pi->dir)
		return;
	kobject_del(&pi->dir->kobj);
	kobject_put(&pi->dir->kobj);
	pi->dir = NULL;
}

int pfs_sysfs_file_chown(struct pfs_inode *pi, const struct iattr *attr)
{
	kuid_t uid = attr->ia_valid & ATTR_UID ? attr->ia_uid : pi->vfs.i_uid;
	kgid_t gid = attr->ia_valid & ATTR_GID ? attr->ia_gid : pi->vfs.i_gid;

	if (!(attr->ia_valid & (ATTR_UID | ATTR_GID)))
		return 0;
	return sysfs_change_owner(&pi->dir->kobj, uid, gid);
}
