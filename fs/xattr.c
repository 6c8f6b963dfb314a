// SPDX-License-Identifier: GPL-2.0
/*
 * Groups and how they are told: extended attributes of files and directories.
 *
 *   user.penumbra.group   name of the group; a file must be empty
 *   user.penumbra.share   "never": nothing of the file is ever shared. An empty file; cannot be undone
 *
 * What a directory has is inherited by what is created in it. A name belongs to the user who
 * used it first, for as long as anything is in the group; nobody else puts something into it by
 * its name, root neither: whoever took a name first would have root's files in his group, and
 * nobody would notice.
 * (Who may create files in a directory may use its group.)
 *
 * Who is in a group can find out what the others have: by timing, and exactly by what is told of
 * his own pages. So being able to read a file is not enough to get into its group by cloning it.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/ctype.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/xattr.h>
#include "fs/fs.h"

/* ---- named groups ---- */

static struct pfs_group *group_find(struct pfs_mount *m, const char *name)
{
	struct pfs_group *group;

	list_for_each_entry(group, &m->groups, node)
		if (!strcmp(group->name, name))
			return group;
	return NULL;
}

static struct pfs_group *group_new(struct pfs_mount *m, const char *name)
{
	struct pfs_group *group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);

	if (!group)
		return ERR_PTR(-ENOMEM);
	group->mem = mem_group_new(&m->pool);
	if (!group->mem) {
		kfree(group);
		return ERR_PTR(-ENOMEM);
	}
	strscpy(group->name, name, sizeof(group->name));
	group->owner = current_fsuid();
	list_add_tail(&group->node, &m->groups);
	return group;
}

struct pfs_group *pfs_group_get(struct pfs_mount *m, const char *name)
{
	struct pfs_group *group;

	mutex_lock(&m->groups_lock);
	group = group_find(m, name);
	if (!group)
		group = group_new(m, name);
	else if (!uid_eq(group->owner, current_fsuid()))
		group = ERR_PTR(-EPERM);
	if (!IS_ERR(group))
		group->users++;
	mutex_unlock(&m->groups_lock);
	return group;
}

struct pfs_group *pfs_group_inherit(struct pfs_mount *m, struct inode *dir)
{
	struct pfs_group *group;

	mutex_lock(&m->groups_lock);
	group = pfs_inode(dir)->group;
	if (group)
		group->users++;
	mutex_unlock(&m->groups_lock);
	return group;
}

static void group_put_locked(struct pfs_group *group)
{
	if (!group || --group->users)
		return;
	list_del(&group->node);
	mem_group_put(group->mem);
	kfree(group);
}

void pfs_group_put(struct pfs_mount *m, struct pfs_group *group)
{
	if (!group)
		return;
	mutex_lock(&m->groups_lock);
	group_put_locked(group);
	mutex_unlock(&m->groups_lock);
}

static void set_group(struct inode *inode, struct pfs_group *group)
{
	struct pfs_mount *m = pfs_mount(inode->i_sb);
	struct pfs_inode *pi = pfs_inode(inode);

	mutex_lock(&m->groups_lock);
	swap(pi->group, group);
	group_put_locked(group);
	mutex_unlock(&m->groups_lock);
}

int pfs_group_join(struct inode *inode, struct pfs_group *group)
{
	struct mem_group *new;
	int ret;

	if (i_size_read(inode))
		return -EBUSY;
	new = group ? mem_group_get(group->mem) : mem_group_new(&pfs_mount(inode->i_sb)->pool);
	if (!new)
		return -ENOMEM;
	ret = mem_file_set_group(&pfs_inode(inode)->mem, new);
	mem_group_put(new);
	if (!ret)
		set_group(inode, group);
	return ret;
}

/* Whose a group is: its first user's, or that of the file which is in no named one. */
static bool may_follow(struct inode *source)
{
	struct pfs_mount *m = pfs_mount(source->i_sb);
	kuid_t owner = source->i_uid;

	mutex_lock(&m->groups_lock);
	if (pfs_inode(source)->group)
		owner = pfs_inode(source)->group->owner;
	mutex_unlock(&m->groups_lock);
	/* Every plain cp asks: a refusal is nothing to put into an audit log. */
	return uid_eq(owner, current_fsuid()) || ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
}

int pfs_group_follow(struct inode *inode, struct inode *source, struct mem_group **left)
{
	struct pfs_inode *pi = pfs_inode(inode);
	struct mem_group *own;

	if (pi->group || i_size_read(inode) || !may_follow(source))
		return -EXDEV;
	own = mem_group_get(pi->mem.group);
	if (mem_file_set_group(&pi->mem, pfs_inode(source)->mem.group)) {
		mem_group_put(own);
		return -EXDEV;
	}
	set_group(inode, pfs_group_inherit(pfs_mount(inode->i_sb), source));
	*left = own;
	return 0;
}

void pfs_group_followed(struct inode *inode, struct mem_group *left)
{
	if (!left)
		return;
	if (!i_size_read(inode) && !mem_file_set_group(&pfs_inode(inode)->mem, left))
		set_group(inode, NULL);
	mem_group_put(left);
}

/* ---- attributes ---- */

static ssize_t give_value(const char *value, void *buffer, size_t size)
{
	size_t len = strlen(value);

	if (!buffer)
		return len;
	if (size < len)
		return -ERANGE;
	memcpy(buffer, value, len);
	return len;
}

static int group_get(const struct xattr_handler *handler, struct dentry *dentry,
		     struct inode *inode, const char *name, void *buffer, size_t size)
{
	struct pfs_mount *m = pfs_mount(inode->i_sb);
	int ret = -ENODATA;

	mutex_lock(&m->groups_lock);
	if (pfs_inode(inode)->group)
		ret = give_value(pfs_inode(inode)->group->name, buffer, size);
	mutex_unlock(&m->groups_lock);
	return ret;
}

static bool is_printable(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!isgraph(text[i]) || text[i] == '/')
			return false;
	return true;
}

/* 0: may be set, with regard to setxattr's flags. */
static int check_flags(bool there, int flags)
{
	if ((flags & XATTR_CREATE) && there)
		return -EEXIST;
	if ((flags & XATTR_REPLACE) && !there)
		return -ENODATA;
	return 0;
}

static int group_set(const struct xattr_handler *handler, compat_idmap *idmap,
		     struct dentry *dentry, struct inode *inode, const char *attribute,
		     const void *value, size_t size, int flags)
{
	struct pfs_mount *m = pfs_mount(inode->i_sb);
	struct pfs_group *group = NULL;
	char name[PFS_GROUP_NAME_MAX + 1];
	int ret = check_flags(pfs_inode(inode)->group, flags);

	if (ret)
		return ret;
	if (value) {
		if (!size || size > PFS_GROUP_NAME_MAX || !is_printable(value, size))
			return -EINVAL;
		memcpy(name, value, size);
		name[size] = 0;
		group = pfs_group_get(m, name);
		if (IS_ERR(group))
			return PTR_ERR(group);
	}
	if (S_ISREG(inode->i_mode)) {
		ret = pfs_group_join(inode, group);
		if (ret)
			pfs_group_put(m, group);
	} else {
		set_group(inode, group);
	}
	return ret;
}

static bool group_list(struct dentry *dentry)
{
	return READ_ONCE(pfs_inode(d_inode(dentry))->group);
}

static bool is_never(struct inode *inode)
{
	return READ_ONCE(pfs_inode(inode)->never_share);
}

static int share_get(const struct xattr_handler *handler, struct dentry *dentry,
		     struct inode *inode, const char *name, void *buffer, size_t size)
{
	return is_never(inode) ? give_value("never", buffer, size) : -ENODATA;
}

/*
 * Mappings of a file that shares nothing do not tell when they are written, so it must
 * stay so. The other way round is fine: those that tell are asked too often.
 */
static int share_set(const struct xattr_handler *handler, compat_idmap *idmap,
		     struct dentry *dentry, struct inode *inode, const char *name,
		     const void *value, size_t size, int flags)
{
	bool never = value && size == 5 && !memcmp(value, "never", 5);
	int ret = check_flags(is_never(inode), flags);

	if (ret)
		return ret;
	if (value && !never)
		return -EINVAL;
	if (S_ISREG(inode->i_mode)) {
		if (i_size_read(inode))
			return -EBUSY;
		if (is_never(inode) && !never)
			return -EPERM;
		WRITE_ONCE(pfs_inode(inode)->mem.never_share, never);
	}
	WRITE_ONCE(pfs_inode(inode)->never_share, never);
	return 0;
}

static bool share_list(struct dentry *dentry)
{
	return is_never(d_inode(dentry));
}

static const struct xattr_handler group_handler = {
	.name = "user.penumbra.group",
	.list = group_list,
	.get = group_get,
	.set = group_set,
};

static const struct xattr_handler share_handler = {
	.name = "user.penumbra.share",
	.list = share_list,
	.get = share_get,
	.set = share_set,
};

const struct xattr_handler *pfs_xattr_handlers[] = { &group_handler, &share_handler, NULL };
