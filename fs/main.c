// SPDX-License-Identifier: GPL-2.0
/*
 * The module: the filesystem type "penumbra", whose files are guest RAM.
 */
#include <linux/module.h>
#include "fs/fs.h"

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Penumbra: guest memory as files, with one copy of equal pages");
MODULE_VERSION("0.1");
MODULE_ALIAS_FS("penumbra");

bool pfs_audit;
module_param_named(audit, pfs_audit, bool, 0644);
MODULE_PARM_DESC(audit, "check all frames, slots and indexes of a mount when it ends");

LIST_HEAD(pfs_mounts);
DEFINE_MUTEX(pfs_mounts_lock);
struct pfs_left pfs_left;
atomic64_t pfs_files;

static struct file_system_type pfs_type = {
	.owner = THIS_MODULE,
	.name = "penumbra",
	.init_fs_context = pfs_init_fs_context,
	.parameters = pfs_parameters,
	.kill_sb = pfs_kill_sb,
};

static int __init pfs_init(void)
{
	int ret;

	ret = percpu_counter_init(&pfs_frame_pages, 0, GFP_KERNEL);
	if (ret)
		return ret;
	ret = pfs_inode_cache_init();
	if (ret)
		goto fini_counter;
	ret = pfs_sysfs_init();
	if (ret)
		goto fini_cache;
	ret = register_filesystem(&pfs_type);
	if (ret)
		goto fini_sysfs;
	return 0;

fini_sysfs:
	pfs_sysfs_fini();
fini_cache:
	pfs_inode_cache_fini();
fini_counter:
	percpu_counter_destroy(&pfs_frame_pages);
	return ret;
}

static void __exit pfs_exit(void)
{
	unregister_filesystem(&pfs_type);
	pfs_sysfs_fini();
	pfs_inode_cache_fini();
	percpu_counter_destroy(&pfs_frame_pages);
}

module_init(pfs_init);
module_exit(pfs_exit);
