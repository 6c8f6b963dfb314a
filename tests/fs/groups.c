// SPDX-License-Identifier: GPL-2.0
/* Who may share with whom: the attributes' rules, inheritance, clones across groups. */
#include "fs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "uapi/penumbra.h"

#define GROUP	"user.penumbra.group"
#define SHARE	"user.penumbra.share"

static int set_group(int fd, const char *name)
{
	return fsetxattr(fd, GROUP, name, strlen(name), 0);
}

static bool in_group(int fd, const char *name)
{
	char value[64];
	ssize_t n = fgetxattr(fd, GROUP, value, sizeof(value));

	return name ? n == (ssize_t)strlen(name) && !memcmp(value, name, n) :
		      n < 0 && errno == ENODATA;
}

static void of_files(void)
{
	int a = fs_file("a", 0), b = fs_file("b", 0), c = fs_file("c", 0);
	char list[256], name[65];
	ssize_t n;

	tap_ok(in_group(a, NULL), "a new file is in a group of its own");
	tap_errno(set_group(a, "one"), errno, 0, "it goes into a named one");
	tap_ok(in_group(a, "one"), "which can be read back");
	tap_errno(fgetxattr(a, GROUP, list, 2), errno, ERANGE, "into a buffer that is long enough");
	n = flistxattr(a, list, sizeof(list));
	tap_ok(n == sizeof(GROUP) && !strcmp(list, GROUP), "it is listed");
	tap_errno(set_group(a, "two"), errno, 0, "an empty file may change");
	tap_errno(fsetxattr(a, GROUP, "x", 1, XATTR_CREATE), errno, EEXIST, "XATTR_CREATE");
	tap_errno(fsetxattr(b, GROUP, "x", 1, XATTR_REPLACE), errno, ENODATA, "XATTR_REPLACE");
	tap_errno(fremovexattr(a, GROUP), errno, 0, "or leave");
	tap_ok(in_group(a, NULL), "and is on its own again");
	memset(name, 'g', 64);
	name[64] = 0;
	tap_errno(set_group(a, name), errno, EINVAL, "a name of 64 characters");
	tap_errno(set_group(a, name + 1), errno, 0, "of 63");
	tap_errno(set_group(a, ""), errno, EINVAL, "of none");
	tap_errno(set_group(a, "a b"), errno, EINVAL, "with a space");
	tap_errno(set_group(a, "a/b"), errno, EINVAL, "with a slash");
	tap_errno(fsetxattr(a, "user.other", "x", 1, 0), errno, EOPNOTSUPP, "other attributes");
	set_group(a, "one");
	fs_fill(a, 0, 4, 1);
	tap_errno(set_group(a, "two"), errno, EBUSY, "a file that is not empty");
	set_group(b, "two");
	tap_errno(ioctl(b, FICLONE, a), errno, EXDEV, "a clone into another named group");
	tap_errno(ioctl(c, FICLONE, a), errno, 0, "a clone into a new file");
	tap_ok(in_group(c, "one"), "which joins");
	ftruncate(b, 0);
	tap_errno(set_group(b, "one"), errno, 0, "an empty file joins by name");
	tap_errno(ioctl(b, FICLONE, a), errno, 0, "and takes a clone");
	close(a);
	close(b);
	close(c);
	fs_remove("a");
	fs_remove("b");
	fs_remove("c");
}

static void across(void)
{
	int a = fs_tmpfile(0), b = fs_tmpfile(0), status;

	fs_fill(a, 0, 4, 1);
	fs_fill(b, 0, 4, 1);
	tap_errno(fs_clone(a, 0, PAGE, b, 0), errno, EXDEV, "a clone into a file with content");
	tap_ok(!fs_dedupe(a, 0, PAGE, b, 0, &status) && status == -EXDEV, "FIDEDUPERANGE across groups");
	tap_errno(fs_clone(a, 0, PAGE, a, 2 * PAGE), errno, 0, "inside one file it is allowed");
	ftruncate(b, 0);
	tap_errno(ioctl(b, FICLONE, a), errno, 0, "emptied, it joins");
	tap_ok(!fs_dedupe(a, 0, PAGE, b, 0, &status) && !status, "and may be deduplicated");
	close(a);
	close(b);
}

static void of_directories(void)
{
	int dir, fd;

	mkdir(DIR_PENUMBRA "/vms", 0755);
	dir = open(DIR_PENUMBRA "/vms", O_RDONLY | O_DIRECTORY);
	tap_errno(set_group(dir, "vms"), errno, 0, "a directory has a group");
	fd = fs_file("vms/one", 0);
	tap_ok(in_group(fd, "vms"), "a file in it is in its group");
	close(fd);
	fd = openat(dir, ".", O_RDWR | O_TMPFILE, 0600);
	tap_ok(in_group(fd, "vms"), "an unnamed one too");
	close(fd);
	mkdirat(dir, "sub", 0755);
	fd = openat(dir, "sub", O_RDONLY);
	tap_ok(in_group(fd, "vms"), "and a directory");
	close(fd);
	fremovexattr(dir, GROUP);
	tap_errno(fsetxattr(dir, SHARE, "never", 5, 0), errno, 0, "a directory of what is never shared");
	fd = fs_file("vms/never", 0);
	tap_eq(fgetxattr(fd, SHARE, NULL, 0), 5, "a file in it is not");
	tap_errno(fsetxattr(dir, SHARE, "group", 5, 0), errno, EINVAL, "nothing but never");
	tap_errno(fremovexattr(dir, SHARE), errno, 0, "taken back");
	tap_errno(fremovexattr(fd, SHARE), errno, EPERM, "but not for the file");
	close(fd);
	fs_remove("vms/one");
	fs_remove("vms/never");
	rmdir(DIR_PENUMBRA "/vms/sub");
	close(dir);
	rmdir(DIR_PENUMBRA "/vms");
}

static void never(void)
{
	int a = fs_file("n", 0), b = fs_tmpfile(0), status;

	tap_errno(fsetxattr(a, SHARE, "never", 5, 0), errno, 0, "a file that is never shared");
	fs_fill(a, 0, 4, 1);
	tap_errno(fsetxattr(b, SHARE, "never", 5, 0), errno, 0, "another");
	tap_errno(ioctl(b, FICLONE, a), errno, EOPNOTSUPP, "is not cloned");
	tap_ok(!fs_dedupe(a, 0, PAGE, a, PAGE, &status) && status == -EOPNOTSUPP, "nor deduplicated");
	close(b);
	b = fs_tmpfile(PAGE);
	tap_errno(fsetxattr(b, SHARE, "never", 5, 0), errno, EBUSY, "a file that is not empty");
	close(a);
	close(b);
	fs_remove("n");
}

static int as_user(void *arg)
{
	int dir = *(int *)arg, fd;

	if (setgid(1000) || setuid(1000))
		return 10;
	fd = openat(dir, "mine", O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return 11;
	if (!set_group(fd, "roots") || errno != EPERM)
		return 12;
	if (set_group(fd, "users"))
		return 13;
	if (openat(dir, "../roots", O_RDWR) >= 0 || errno != EACCES)
		return 14;
	return 0;
}

/* Who may read a file of a group is not in it for that: what he copies is a copy. */
static int as_reader(void *arg)
{
	int source = *(int *)arg, fd, at = open(DIR_PENUMBRA "/user", O_RDONLY | O_DIRECTORY);
	struct penumbra_mem_map map = { .pages = 4 };
	uint64_t entries[4];
	loff_t from = 0, to = 0;

	map.entries = (uintptr_t)entries;
	if (setgid(1000) || setuid(1000))
		return 10;
	fd = openat(at, "reader", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return 11;
	if (!ioctl(fd, FICLONE, source) || errno != EXDEV)
		return 12;
	if (!fs_clone(source, 0, PAGE, fd, 0) || errno != EXDEV)
		return 13;
	if (!in_group(fd, NULL))
		return 14;
	if (copy_file_range(source, &from, fd, &to, 4 * PAGE, 0) != 4 * (long)PAGE)
		return 15;
	if (!in_group(fd, NULL) || !fs_reads(fd, 3, 1))
		return 16;
	if (fs_stat(fd, "private_pages") != 4)
		return 17;
	if (ioctl(fd, PENUMBRA_MEM_MAP, &map) != 4 ||
	    PENUMBRA_PAGE_KIND(entries[0]) != PENUMBRA_PAGE_PRIVATE)
		return 18;
	if (ioctl(source, PENUMBRA_MEM_MAP, &map) != -1 || errno != EPERM)
		return 19;
	return 0;
}

/* His own he may clone; into the directory, which is his, as root may from there. */
static int as_owner(void *arg)
{
	const char *group = arg;
	int source, fd, at = open(DIR_PENUMBRA "/user", O_RDONLY | O_DIRECTORY);

	if (setgid(1000) || setuid(1000))
		return 10;
	source = openat(at, "source", O_RDWR | O_CREAT, 0600);
	if (group && set_group(source, group))
		return 11;
	fs_fill(source, 0, 4, 1);
	fd = openat(at, "clone", O_RDWR | O_CREAT, 0600);
	if (ioctl(fd, FICLONE, source) || !in_group(fd, group))
		return 12;
	return 0;
}

static void owner_clones(const char *group)
{
	int source, clone = fs_tmpfile(0);

	tap_eq(fs_child(as_owner, (void *)group), 0, "a user clones his own (%s)",
	       group ? group : "no name");
	source = open(DIR_PENUMBRA "/user/source", O_RDONLY);
	tap_errno(ioctl(clone, FICLONE, source), errno, 0, "and root anybody's");
	tap_eq(fs_stat(source, "shared_pages"), 4, "which is shared");
	close(source);
	close(clone);
	fs_remove("user/source");
	fs_remove("user/clone");
}

static void readers(void)
{
	int named = fs_file("named", 0), own = fs_file("own", 0);

	set_group(named, "named");
	fs_fill(named, 0, 4, 1);
	fs_fill(own, 0, 4, 1);
	mkdir(DIR_PENUMBRA "/user", 0755);
	chown(DIR_PENUMBRA "/user", 1000, 1000);
	tap_eq(fs_child(as_reader, &named), 0,
	       "who may read a file copies it, and does not get into its group");
	tap_eq(fs_child(as_reader, &own), 0, "nor where the group has no name");
	owner_clones("users");
	owner_clones(NULL);
	close(named);
	close(own);
	fs_remove("named");
	fs_remove("own");
	fs_remove("user/reader");
	rmdir(DIR_PENUMBRA "/user");
}

static void owners(void)
{
	int mine = fs_file("roots", 0), dir, other;

	set_group(mine, "roots");
	mkdir(DIR_PENUMBRA "/user", 0755);
	chown(DIR_PENUMBRA "/user", 1000, 1000);
	dir = open(DIR_PENUMBRA "/user", O_RDONLY | O_DIRECTORY);
	tap_eq(fs_child(as_user, &dir), 0, "a user takes a name that is free, and not another's");
	other = fs_file("other", 0);
	tap_errno(set_group(other, "users"), errno, EPERM,
		  "root does not get into another's unawares");
	close(other);
	close(mine);
	close(dir);
	fs_remove("other");
	fs_remove("roots");
	fs_remove("user/mine");
	rmdir(DIR_PENUMBRA "/user");
	tap_eq(fs_counter("groups"), 0, "groups go with their last file");
}

void test_groups(void)
{
	of_files();
	across();
	of_directories();
	never();
	owners();
	readers();
}
