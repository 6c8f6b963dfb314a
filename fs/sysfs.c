// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/fs/penumbra, one value a file; pages are 4 KiB:
 *
 *   version
 *   counters/{mounts,files,groups,frame_pages,metadata_bytes}    all zero without mounts
 *   <major:minor>/                                               a mount, by its st_dev
 *       size_pages, frame_pages, saved_pages, metadata_bytes, huge (rw)
 *       reserve/{target_pages (rw),pages,state,wait_ms (rw)}
 *       scan/...                                                 scan_sysfs.c
 *       files/<inode>/...                                        files_sysfs.c
 */
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "fs/sysfs.h"

static struct kobject *root_kobj;

/* ---- the module's ---- */

static ssize_t version_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", THIS_MODULE->version ?: "");
}

/* What all mounts have, as @count counts, and @left over from those that are gone. */
static ssize_t show_sum(char *buf, u64 (*count)(struct pfs_mount *m), u64 left)
{
	struct pfs_mount *m;

	mutex_lock(&pfs_mounts_lock);
	list_for_each_entry(m, &pfs_mounts, node)
		left += count(m);
	mutex_unlock(&pfs_mounts_lock);
	return sysfs_emit(buf, "%lld\n", (long long)left);
}

static u64 count_one(struct pfs_mount *m)
{
	return 1;
}

static u64 count_groups(struct pfs_mount *m)
{
	struct list_head *group;
	u64 nr = 0;

	spin_lock(&m->pool.lock);
	list_for_each(group, &m->pool.groups)
		nr++;
	spin_unlock(&m->pool.lock);
	return nr;
}

static u64 count_metadata(struct pfs_mount *m)
{
	return atomic64_read(&m->pool.metadata_bytes);
}

static ssize_t mounts_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return show_sum(buf, count_one, 0);
}

static ssize_t files_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lld\n", (long long)atomic64_read(&pfs_files));
}

static ssize_t groups_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return show_sum(buf, count_groups, atomic64_read(&pfs_left.groups));
}

static ssize_t frame_pages_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lld\n", (long long)percpu_counter_sum(&pfs_frame_pages));
}

static ssize_t metadata_bytes_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return show_sum(buf, count_metadata, atomic64_read(&pfs_left.metadata_bytes));
}

static struct kobj_attribute version_attr = __ATTR_RO(version);
static struct kobj_attribute mounts_attr = __ATTR_RO(mounts);
static struct kobj_attribute files_attr = __ATTR_RO(files);
static struct kobj_attribute groups_attr = __ATTR_RO(groups);
static struct kobj_attribute frame_pages_attr = __ATTR_RO(frame_pages);
static struct kobj_attribute metadata_bytes_attr = __ATTR_RO(metadata_bytes);

static struct attribute *root_attrs[] = { &version_attr.attr, NULL };
static struct attribute *counter_attrs[] = {
	&mounts_attr.attr, &files_attr.attr, &groups_attr.attr, &frame_pages_attr.attr,
	&metadata_bytes_attr.attr, NULL,
};
static const struct attribute_group root_group = { .attrs = root_attrs };
static const struct attribute_group counter_group = { .name = "counters", .attrs = counter_attrs };
static const struct attribute_group *root_groups[] = { &root_group, &counter_group, NULL };

/* ---- a mount's ---- */

struct pfs_mount_dir {
	struct kobject kobj;
	struct kobject *files;
	struct pfs_mount *m;
};

static ssize_t mount_attr_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	struct pfs_mount_attribute *a = container_of(attr, struct pfs_mount_attribute, attr);

	return a->show(container_of(kobj, struct pfs_mount_dir, kobj)->m, buf);
}

static ssize_t mount_attr_store(struct kobject *kobj, struct attribute *attr, const char *buf,
				size_t len)
{
	struct pfs_mount_attribute *a = container_of(attr, struct pfs_mount_attribute, attr);
	int ret;

	if (!a->store)
		return -EIO;
	ret = a->store(container_of(kobj, struct pfs_mount_dir, kobj)->m, buf);
	return ret ? ret : len;
}

static const struct sysfs_ops mount_sysfs_ops = {
	.show = mount_attr_show,
	.store = mount_attr_store,
};

static ssize_t size_pages_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%llu\n", READ_ONCE(m->pool.max_pages));
}
PFS_MOUNT_RO(size_pages);

static ssize_t frame_pages_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%lld\n", (long long)atomic64_read(&m->pool.pages));
}
PFS_MOUNT_RO(frame_pages);

/* What all files hold, less the frames it takes. */
static ssize_t saved_pages_get(struct pfs_mount *m, char *buf)
{
	struct mem_file *file;
	s64 nr = 0;

	spin_lock(&m->pool.lock);
	list_for_each_entry(file, &m->pool.files, node)
		nr += atomic64_read(&file->stat.present) + atomic64_read(&file->stat.zero);
	spin_unlock(&m->pool.lock);
	nr -= atomic64_read(&m->pool.pages);
	return sysfs_emit(buf, "%lld\n", max_t(s64, nr, 0));
}
PFS_MOUNT_RO(saved_pages);

static ssize_t metadata_bytes_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%lld\n", (long long)atomic64_read(&m->pool.metadata_bytes));
}
PFS_MOUNT_RO(metadata_bytes);

static ssize_t huge_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(m->pool.huge_pages));
}

static int huge_set(struct pfs_mount *m, const char *text)
{
	bool huge;
	int ret = kstrtobool(text, &huge);

	if (!ret)
		WRITE_ONCE(m->pool.huge_pages, huge);
	return ret;
}
PFS_MOUNT_RW(huge);

static ssize_t target_pages_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(m->pool.reserve.target));
}

static int target_pages_set(struct pfs_mount *m, const char *text)
{
	u64 max = READ_ONCE(m->pool.max_pages);
	u32 target;
	int ret = kstrtou32(text, 0, &target);

	if (ret)
		return ret;
	if (target > PFS_RESERVE_MAX_PAGES || (max && target >= max))
		return -EINVAL;
	WRITE_ONCE(m->pool.reserve.target, target);
	pfs_scand_wake(m);
	return 0;
}
PFS_MOUNT_RW(target_pages);

static ssize_t pages_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(m->pool.reserve.nr));
}
PFS_MOUNT_RO(pages);

/* May be polled: it changes with POLLPRI. */
static ssize_t state_get(struct pfs_mount *m, char *buf)
{
	struct mem_reserve *reserve = &m->pool.reserve;

	return sysfs_emit(buf, "%s\n", READ_ONCE(reserve->gone) ? "gone" :
			  READ_ONCE(reserve->low) ? "low" : "ok");
}
PFS_MOUNT_RO(state);

static ssize_t wait_ms_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(m->wait_ms));
}

static int wait_ms_set(struct pfs_mount *m, const char *text)
{
	u32 ms;
	int ret = kstrtou32(text, 0, &ms);

	if (ret)
		return ret;
	if (ms > 3600 * 1000)
		return -EINVAL;
	WRITE_ONCE(m->wait_ms, ms);
	return 0;
}
PFS_MOUNT_RW(wait_ms);

static struct attribute *mount_attrs[] = {
	&mount_size_pages_attr.attr, &mount_frame_pages_attr.attr, &mount_saved_pages_attr.attr,
	&mount_metadata_bytes_attr.attr, &mount_huge_attr.attr, NULL,
};
static struct attribute *reserve_attrs[] = {
	&mount_target_pages_attr.attr, &mount_pages_attr.attr, &mount_state_attr.attr,
	&mount_wait_ms_attr.attr, NULL,
};
static const struct attribute_group mount_group = { .attrs = mount_attrs };
static const struct attribute_group reserve_group = { .name = "reserve", .attrs = reserve_attrs };
static const struct attribute_group *mount_groups[] = { &mount_group, &reserve_group, &pfs_scan_group, NULL };

static void mount_dir_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct pfs_mount_dir, kobj));
}

static const struct kobj_type mount_dir_type = {
	.release = mount_dir_release,
	.sysfs_ops = &mount_sysfs_ops,
	.default_groups = mount_groups,
};

int pfs_sysfs_mount_add(struct pfs_mount *m)
{
	struct pfs_mount_dir *dir = kzalloc(sizeof(*dir), GFP_KERNEL);
	dev_t dev = m->sb->s_dev;
	int ret;

	if (!dir)
		return -ENOMEM;
	dir->m = m;
	ret = kobject_init_and_add(&dir->kobj, &mount_dir_type, root_kobj, "%u:%u",
				   MAJOR(dev), MINOR(dev));
	if (!ret) {
		dir->files = kobject_create_and_add("files", &dir->kobj);
		ret = dir->files ? 0 : -ENOMEM;
	}
	if (ret) {
		kobject_put(&dir->kobj);
		return ret;
	}
	m->dir = dir;
	return 0;
}

void pfs_sysfs_mount_del(struct pfs_mount *m)
{
	if (!m->dir)
		return;
	kobject_put(m->dir->files);
	kobject_del(&m->dir->kobj);	/* waits for readers */
	kobject_put(&m->dir->kobj);
	m->dir = NULL;
}

void pfs_sysfs_reserve_changed(struct pfs_mount *m)
{
	sysfs_notify(&m->dir->kobj, "reserve", "state");
}

struct kobject *pfs_sysfs_files(struct pfs_mount *m)
{
	return m->dir->files;
}

/* ---- module life ---- */

int pfs_sysfs_init(void)
{
	int ret;

	root_kobj = kobject_create_and_add("penumbra", fs_kobj);
	if (!root_kobj)
		return -ENOMEM;
	ret = sysfs_create_groups(root_kobj, root_groups);
	if (ret)
		pfs_sysfs_fini();
	return ret;
}

void pfs_sysfs_fini(void)
{
	kobject_put(root_kobj);
	root_kobj = NULL;
}
