/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the files of a mount's folder in sysfs are described.
 */
#ifndef PENUMBRA_FS_SYSFS_H
#define PENUMBRA_FS_SYSFS_H

#include <linux/sysfs.h>
#include "fs/fs.h"

struct pfs_mount_attribute {
	struct attribute attr;
	ssize_t (*show)(struct pfs_mount *m, char *buf);
	int (*store)(struct pfs_mount *m, const char *text);	/* 0 or -errno */
};

/* mount_NAME_attr, from NAME_get() and NAME_set(). */
#define PFS_MOUNT_RO(_name)								\
static struct pfs_mount_attribute mount_##_name##_attr = {			\
	.attr = { .name = __stringify(_name), .mode = 0444 }, .show = _name##_get,	\
}
#define PFS_MOUNT_RW(_name)								\
static struct pfs_mount_attribute mount_##_name##_attr = {			\
	.attr = { .name = __stringify(_name), .mode = 0644 }, .show = _name##_get,	\
	.store = _name##_set,							\
}

extern const struct attribute_group pfs_scan_group;	/* scan_sysfs.c */

#endif
