// SPDX-License-Identifier: GPL-2.0
/*
 * Mounts: options, size limit, statfs, life and end of a superblock.
 *
 * Order at the end: the scanning thread stops first (it holds references to inodes), then
 * the inodes go and give their frames up, then put_super() gives up the pool.
 */
#include <linux/ctype.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/statfs.h>
#include <linux/random.h>
#include "fs/fs.h"
#include "mem/scan.h"

#define RESERVE_DEFAULT		(64ULL << (20 - PAGE_SHIFT))	/* pages */
#define INODE_PAGES		16	/* so many pages of the machine's memory to an inode */

enum pfs_param {
	OPT_SIZE, OPT_INODES, OPT_MODE, OPT_UID, OPT_GID, OPT_RESERVE, OPT_HUGE, OPT_GROUP,
};

static const struct constant_table huge_values[] = {
	{ "never", 0 }, { "always", 1 }, {}
};

const struct fs_parameter_spec pfs_parameters[] = {
	fsparam_string("size", OPT_SIZE),
	fsparam_string("nr_inodes", OPT_INODES),
	fsparam_u32oct("mode", OPT_MODE),
	fsparam_u32("uid", OPT_UID),
	fsparam_u32("gid", OPT_GID),
	fsparam_string("reserve", OPT_RESERVE),
	fsparam_enum("huge", OPT_HUGE, huge_values),
	fsparam_string("group", OPT_GROUP),
	{}
};

/* ---- options ---- */

/* How far what follows a number moves it to the left; *text is what comes behind. */
static unsigned int parse_unit(const char **text)
{
	static const char units[] = "kmgtpe";
	const char *unit = **text ? strchr(units, tolower(**text)) : NULL;

	if (!unit)
		return 0;
	++*text;
	return 10 * (unit - units + 1);
}

/* As the kernel's memparse(), which takes what is too large for something else. False: no number. */
static bool parse_number(const char **text, u64 *value)
{
	const char *hex = strncasecmp(*text, "0x", 2) ? "" : "xXabcdefABCDEF";
	size_t len = 0;
	char digits[32];
	unsigned int shift;

	while ((*text)[len] && (isdigit((*text)[len]) || strchr(hex, (*text)[len])))
		len++;
	if (len >= sizeof(digits))
		return false;
	memcpy(digits, *text, len);
	digits[len] = 0;
	if (kstrtou64(digits, 0, value))
		return false;
	*text += len;
	shift = parse_unit(text);
	if (*value > U64_MAX >> shift)
		return false;
	*value <<= shift;
	return true;
}

/* "64M", or with @percent "50%" of the machine's memory, as pages: a part of one counts as one. */
static int parse_pages(struct fs_context *fc, const char *name, const char *text, bool percent,
		       u64 *pages)
{
	const char *rest = text;
	u64 bytes;
	bool ok = parse_number(&rest, &bytes);

	if (ok && percent && *rest == '%') {
		ok = !check_mul_overflow(bytes, (u64)totalram_pages() << PAGE_SHIFT, &bytes);
		bytes = div_u64(bytes, 100);
		rest++;
	}
	if (!ok || *rest)
		return invalfc(fc, "%s=%s is not a size", name, text);
	*pages = (bytes >> PAGE_SHIFT) + !!offset_in_page(bytes);
	return 0;
}

static int parse_inodes(struct fs_context *fc, const char *text, u64 *nr)
{
	const char *rest = text;

	if (!parse_number(&rest, nr) || *rest || *nr > S64_MAX)
		return invalfc(fc, "nr_inodes=%s is not a number", text);
	return 0;
}

static int parse_id(struct fs_context *fc, struct pfs_options *o, int opt, u32 id)
{
	if (opt == OPT_UID) {
		o->uid = make_kuid(fc->user_ns, id);
		return uid_valid(o->uid) ? 0 : invalfc(fc, "there is no such uid");
	}
	o->gid = make_kgid(fc->user_ns, id);
	return gid_valid(o->gid) ? 0 : invalfc(fc, "there is no such gid");
}

static int parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct pfs_options *o = fc->fs_private;
	struct fs_parse_result result;
	int opt = fs_parse(fc, pfs_parameters, param, &result);
	int ret = 0;

	if (opt < 0)
		return opt;
	switch (opt) {
	case OPT_SIZE:
		ret = parse_pages(fc, "size", param->string, true, &o->size);
		break;
	case OPT_INODES:
		ret = parse_inodes(fc, param->string, &o->inodes);
		break;
	case OPT_RESERVE:
		ret = parse_pages(fc, "reserve", param->string, false, &o->reserve);
		if (!ret && o->reserve > PFS_RESERVE_MAX_PAGES)
			ret = invalfc(fc, "reserve= is at most 16G");
		break;
	case OPT_MODE:
		o->mode = result.uint_32 & 07777;
		break;
	case OPT_UID:
	case OPT_GID:
		ret = parse_id(fc, o, opt, result.uint_32);
		break;
	case OPT_HUGE:
		o->huge = result.uint_32;
		break;
	case OPT_GROUP:
		if (!*param->string || strlen(param->string) > PFS_GROUP_NAME_MAX)
			return invalfc(fc, "group= has 1 to %d characters", PFS_GROUP_NAME_MAX);
		kfree(o->group);
		o->group = param->string;
		param->string = NULL;
		break;
	}
	if (!ret)
		o->set |= BIT(opt);
	return ret;
}

static u64 default_inodes(void)
{
	return totalram_pages() / INODE_PAGES;
}

static int show_options(struct seq_file *seq, struct dentry *root)
{
	struct pfs_mount *m = pfs_mount(root->d_sb);
	const struct pfs_options *o = &m->options;

	if (READ_ONCE(m->pool.max_pages))
		seq_printf(seq, ",size=%lluk",
			   READ_ONCE(m->pool.max_pages) << (PAGE_SHIFT - 10));
	seq_printf(seq, ",reserve=%lluk",
		   (u64)READ_ONCE(m->pool.reserve.target) << (PAGE_SHIFT - 10));
	if (READ_ONCE(m->max_inodes) != default_inodes())
		seq_printf(seq, ",nr_inodes=%llu", READ_ONCE(m->max_inodes));
	seq_printf(seq, ",huge=%s", READ_ONCE(m->pool.huge_pages) ? "always" : "never");
	if (o->set & BIT(OPT_MODE))
		seq_printf(seq, ",mode=%03o", o->mode);
	if (o->set & BIT(OPT_UID))
		seq_printf(seq, ",uid=%u", from_kuid_munged(&init_user_ns, o->uid));
	if (o->set & BIT(OPT_GID))
		seq_printf(seq, ",gid=%u", from_kgid_munged(&init_user_ns, o->gid));
	if (o->group)
		seq_show_option(seq, "group", o->group);
	return 0;
}

/* ---- a superblock ---- */

static int statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct pfs_mount *m = pfs_mount(dentry->d_sb);
	struct mem_pool *pool = &m->pool;
	u64 max = READ_ONCE(pool->max_pages);
	u64 used = atomic64_read(&pool->pages) + READ_ONCE(pool->reserve.target);

	buf->f_type = PFS_MAGIC;
	buf->f_bsize = PAGE_SIZE;
	buf->f_namelen = NAME_MAX;
	buf->f_fsid = u64_to_fsid(huge_encode_dev(dentry->d_sb->s_dev));
	if (max) {
		buf->f_blocks = max;
		buf->f_bfree = buf->f_bavail = max > used ? max - used : 0;
	}
	max = READ_ONCE(m->max_inodes);
	used = atomic64_read(&m->inodes);
	if (max) {
		buf->f_files = max;
		buf->f_ffree = max > used ? max - used : 0;
	}
	return 0;
}

static void mount_free(struct pfs_mount *m)
{
	kfree(m->options.group);
	kfree(m);
}

/* All inodes are gone. */
static void put_super(struct super_block *sb)
{
	struct pfs_mount *m = pfs_mount(sb);
	struct list_head *group;

	mutex_lock(&pfs_mounts_lock);
	list_del(&m->node);
	mutex_unlock(&pfs_mounts_lock);
	pfs_sysfs_mount_del(m);
	list_for_each(group, &m->pool.groups)
		atomic64_inc(&pfs_left.groups);
	mem_scan_fini(&m->pool);
	mem_pool_fini(&m->pool);
	atomic64_add(atomic64_read(&m->pool.metadata_bytes), &pfs_left.metadata_bytes);
	sb->s_fs_info = NULL;
	mount_free(m);
}

static const struct super_operations super_ops = {
	.alloc_inode = pfs_inode_alloc,
	.free_inode = pfs_inode_free,
	.drop_inode = generic_delete_inode,
	.evict_inode = pfs_inode_evict,
	.put_super = put_super,
	.statfs = statfs,
	.show_options = show_options,
};

static struct pfs_mount *mount_new(struct super_block *sb, struct pfs_options *o)
{
	struct pfs_mount *m = kzalloc(sizeof(*m), GFP_KERNEL);

	if (!m)
		return NULL;
	m->sb = sb;
	m->options = *o;
	o->group = NULL;
	m->max_inodes = m->options.inodes;
	m->wait_ms = 1000;
	mutex_init(&m->groups_lock);
	INIT_LIST_HEAD(&m->groups);
	init_waitqueue_head(&m->frames_wait);
	init_waitqueue_head(&m->scand_wait);
	get_random_bytes(&m->token_key, sizeof(m->token_key));
	if (mem_pool_init(&m->pool, &pfs_host_ops, m->options.size, m->options.reserve,
			  m->options.huge))
		goto free;
	if (mem_scan_init(&m->pool))
		goto fini_pool;
	return m;

fini_pool:
	mem_pool_fini(&m->pool);
free:
	mount_free(m);
	return NULL;
}

static int make_root(struct super_block *sb, struct pfs_mount *m)
{
	struct inode *root = pfs_inode_new(sb, COMPAT_NOP_IDMAP, NULL,
					   S_IFDIR | m->options.mode, 0);

	if (IS_ERR(root))
		return PTR_ERR(root);
	root->i_uid = m->options.uid;
	root->i_gid = m->options.gid;
	if (m->options.group) {
		struct pfs_group *group = pfs_group_get(m, m->options.group);

		if (IS_ERR(group)) {
			iput(root);
			return PTR_ERR(group);
		}
		pfs_inode(root)->group = group;
	}
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static int fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct pfs_mount *m;
	int ret;

	sb->s_maxbytes = MAX_LFS_FILESIZE & PAGE_MASK;	/* rounded up a size is still one */
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = PFS_MAGIC;
	sb->s_op = &super_ops;
	sb->s_xattr = pfs_xattr_handlers;
	sb->s_time_gran = 1;
	sb->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;

	m = mount_new(sb, fc->fs_private);
	if (!m)
		return -ENOMEM;
	sb->s_fs_info = m;
	mutex_lock(&pfs_mounts_lock);
	list_add_tail(&m->node, &pfs_mounts);
	mutex_unlock(&pfs_mounts_lock);
	ret = pfs_sysfs_mount_add(m);
	if (!ret)
		ret = make_root(sb, m);
	if (ret) {
		put_super(sb);	/* without a root the kernel does not call it */
		return ret;
	}
	return pfs_scand_start(m);
}

/* Nothing is open or mapped and the scanning thread is gone: the moment to look at everything. */
static void audit(struct pfs_mount *m)
{
	const char *wrong = pfs_audit ? mem_audit(&m->pool) : NULL;

	WARN(wrong, "penumbra_mem: %s\n", wrong);
}

void pfs_kill_sb(struct super_block *sb)
{
	if (pfs_mount(sb)) {
		pfs_scand_stop(pfs_mount(sb));
		audit(pfs_mount(sb));
	}
	kill_litter_super(sb);
}

/* ---- mount and remount ---- */

static int check_reserve(struct fs_context *fc, const struct pfs_options *o)
{
	return o->size && o->reserve >= o->size ?
	       invalfc(fc, "the reserve has to be smaller than the size") : 0;
}

static int get_tree(struct fs_context *fc)
{
	struct pfs_options *o = fc->fs_private;
	int ret;

	if (o->size && !(o->set & BIT(OPT_RESERVE)))
		o->reserve = min(o->reserve, o->size / 8);
	ret = check_reserve(fc, o);
	return ret ? ret : get_tree_nodev(fc, fill_super);
}

/* mount(8) repeats the options of the mount: what cannot change may be given as it is. */
static int check_remount(struct fs_context *fc, const struct pfs_mount *m,
			 const struct pfs_options *o)
{
	u64 used = atomic64_read(&m->pool.pages) + min_t(u64, m->pool.reserve.nr, o->reserve);
	const char *group = m->options.group ?: "";

	if ((o->set & BIT(OPT_GROUP)) && strcmp(o->group, group))
		return invalfc(fc, "group= cannot change");
	if (o->size && o->size < used)
		return invalfc(fc, "more than that size is in use");
	if (o->inodes && o->inodes < (u64)atomic64_read(&m->inodes))
		return invalfc(fc, "more than that nr_inodes are in use");
	return check_reserve(fc, o);
}

/* mode=, uid= and gid= are for the mount, as on tmpfs: the root folder has its own by now. */
static int reconfigure(struct fs_context *fc)
{
	struct pfs_mount *m = pfs_mount(fc->root->d_sb);
	struct pfs_options *o = fc->fs_private;
	int ret;

	if (!(o->set & BIT(OPT_SIZE)))
		o->size = READ_ONCE(m->pool.max_pages);
	if (!(o->set & BIT(OPT_INODES)))
		o->inodes = READ_ONCE(m->max_inodes);
	if (!(o->set & BIT(OPT_RESERVE)))
		o->reserve = READ_ONCE(m->pool.reserve.target);
	ret = check_remount(fc, m, o);
	if (ret)
		return ret;
	WRITE_ONCE(m->pool.max_pages, o->size);
	WRITE_ONCE(m->max_inodes, o->inodes);
	WRITE_ONCE(m->pool.reserve.target, o->reserve);
	if (o->set & BIT(OPT_HUGE))
		WRITE_ONCE(m->pool.huge_pages, o->huge);
	pfs_scand_wake(m);
	return 0;
}

static void free_context(struct fs_context *fc)
{
	struct pfs_options *o = fc->fs_private;

	kfree(o->group);
	kfree(o);
}

static const struct fs_context_operations context_ops = {
	.free = free_context,
	.parse_param = parse_param,
	.get_tree = get_tree,
	.reconfigure = reconfigure,
};

int pfs_init_fs_context(struct fs_context *fc)
{
	struct pfs_options *o = kzalloc(sizeof(*o), GFP_KERNEL);
	u64 ram = totalram_pages();

	if (!o)
		return -ENOMEM;
	o->size = ram / 2;
	o->inodes = default_inodes();
	o->reserve = min(RESERVE_DEFAULT, ram / 32);
	o->huge = true;
	o->mode = 0755;
	o->uid = current_fsuid();
	o->gid = current_fsgid();
	fc->fs_private = o;
	fc->ops = &context_ops;
	return 0;
}
