// SPDX-License-Identifier: GPL-2.0
/* libpenumbra/{ramfiles,ramusers,ramcopy,vmconf}: RAM files on fake trees, descriptions of VMs. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cmocka.h>
#include "tool_tree.h"
#include "libpenumbra/ramcopy.h"
#include "libpenumbra/ramfiles.h"
#include "libpenumbra/vmconf.h"

/* Bytes that FICLONE gives, and says it is done; 0: the real one. */
static size_t clone_bytes;

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	char data[4096];
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (request != FICLONE || !clone_bytes)
		return __real_ioctl(fd, request, arg);
	assert_true(clone_bytes <= sizeof(data));
	assert_int_equal(pread((intptr_t)arg, data, clone_bytes, 0), clone_bytes);
	assert_int_equal(pwrite(fd, data, clone_bytes, 0), clone_bytes);
	return 0;
}

/* Names that were looked at. */
static int nr_looked;

int __real_fstatat(int dir, const char *name, struct stat *st, int flags);
int __wrap_fstatat(int dir, const char *name, struct stat *st, int flags);

int __wrap_fstatat(int dir, const char *name, struct stat *st, int flags)
{
	nr_looked++;
	return __real_fstatat(dir, name, st, flags);
}

static void put_file(struct tree *t, const char *mount, const char *inode, const char *name,
		     const char *resident)
{
	char path[256];

	snprintf(path, sizeof(path), RAM_DIR "/%s/files/%s/name", mount, inode);
	tree_text(t, path, name);
	snprintf(path, sizeof(path), RAM_DIR "/%s/files/%s/group", mount, inode);
	tree_text(t, path, "web\n");
	snprintf(path, sizeof(path), RAM_DIR "/%s/files/%s/resident_pages", mount, inode);
	tree_text(t, path, resident);
}

static void test_list(void **state)
{
	struct tree *t = *state;
	struct ram_list list;
	char path[256];
	dev_t dev;

	assert_int_equal(ram_list_read(&t->fs, &list), -ENOENT);
	tree_text(t, RAM_DIR "/version", "0.1\n");
	tree_text(t, RAM_DIR "/counters/mounts", "2\n");
	assert_int_equal(ram_list_read(&t->fs, &list), 0);
	assert_int_equal(list.nr, 0);
	ram_list_free(&list);

	tree_text(t, RAM_DIR "/0:42/frame_pages", "100\n");
	tree_text(t, RAM_DIR "/0:42/scan/order", "volatile\n");
	tree_text(t, RAM_DIR "/0:42/scan/estimate_pages", "7\n");
	tree_text(t, RAM_DIR "/0:42/reserve/state", "ok\n");
	tree_text(t, RAM_DIR "/0:9/frame_pages", "not a number\n");
	put_file(t, "0:42", "12", "a\033b\n", "5\n");
	put_file(t, "0:42", "3", "first\n", "1\n");
	tree_text(t, RAM_DIR "/0:42/files/junk", "");
	/* listed, and gone when it is looked at; the same for a mount */
	snprintf(path, sizeof(path), "%s" RAM_DIR "/0:42/files/4", t->dir);
	assert_int_equal(symlink("none", path), 0);
	snprintf(path, sizeof(path), "%s" RAM_DIR "/0:43", t->dir);
	assert_int_equal(symlink("none", path), 0);
	tree_text(t, "/proc/self/mountinfo",
		  "20 1 0:42 /sub /mnt/part rw - penumbra none rw\n"
		  "21 1 0:42 / /dev/pe\\040num rw,noatime shared:3 master:1 - penumbra none rw\n"
		  "22 1 0:42 / /elsewhere rw - penumbra none rw\n"
		  "23 1 0:9 / /tmp/penumbra rw - tmpfs penumbra rw\n"
		  "short - penumbra x\n");
	assert_int_equal(ram_list_read(&t->fs, &list), 0);
	assert_int_equal(list.nr, 2);
	assert_string_equal(list.mount[0].id, "0:9");
	assert_true(list.mount[0].frame_pages == RAM_UNKNOWN);
	assert_true(list.mount[0].scan.run == RAM_UNKNOWN);
	assert_string_equal(list.mount[0].path, "");
	assert_int_equal(list.mount[1].dev, makedev(0, 42));
	assert_int_equal(list.mount[1].frame_pages, 100);
	assert_int_equal(list.mount[1].scan.estimate_pages, 7);
	assert_string_equal(list.mount[1].scan.order, "volatile");
	assert_string_equal(list.mount[1].path, "/dev/pe num");
	assert_int_equal(list.mount[1].nr, 2);
	assert_int_equal(list.mount[1].file[0].inode, 3);
	assert_int_equal(list.mount[1].file[1].resident_pages, 5);
	assert_string_equal(list.mount[1].file[1].name, "a?b");
	assert_string_equal(list.mount[1].file[1].group, "web");
	ram_list_free(&list);

	assert_int_equal(ram_mount_at(&t->fs, "/elsewhere", &dev), 0);
	assert_int_equal(dev, makedev(0, 42));
	assert_int_equal(ram_mount_at(&t->fs, "/tmp/penumbra", &dev), -ENOENT);
}

static int count(size_t file, int fd, void *arg)
{
	const struct ram_mount *m = ((const void **)arg)[0];
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_ino, m->file[file].inode);
	++*(int *)((void **)arg)[1];
	return 0;
}

static int stop(size_t file, int fd, void *arg)
{
	++*(int *)arg;
	return 7;
}

/* How many files of the mount can be read. */
static int reach(struct tree *t, const struct ram_mount *mount, const struct ram_users *users)
{
	int nr = 0;

	assert_int_equal(ram_files_each(&t->fs, mount, users, count,
					(const void *[]){ mount, &nr }), 0);
	return nr;
}

/* A mount whose device is the one the tree is on, with a file in a folder and one without a name. */
static void test_users(void **state)
{
	struct tree *t = *state;
	char path[256], line[512];
	struct ram_users users;
	struct ram_list list;
	struct stat st;

	tree_text(t, "/mnt/deep/er/one", "1");
	snprintf(path, sizeof(path), "%s/mnt/deep/er/one", t->dir);
	assert_int_equal(stat(path, &st), 0);
	snprintf(path, sizeof(path), RAM_DIR "/%u:%u/frame_pages", major(st.st_dev), minor(st.st_dev));
	tree_text(t, path, "1\n");
	snprintf(line, sizeof(line), "%u:%u", major(st.st_dev), minor(st.st_dev));
	snprintf(path, sizeof(path), "%lu", (unsigned long)st.st_ino);
	put_file(t, line, path, "one\n", "1\n");
	put_file(t, line, "1", "gone\n", "1\n");
	snprintf(line, sizeof(line), "21 1 %u:%u / /mnt rw - penumbra none rw\n", major(st.st_dev),
		 minor(st.st_dev));
	tree_text(t, "/proc/self/mountinfo", line);
	tree_write(t, "/proc/7/cmdline", "q\0-name\0web\0", 12, 0);
	tree_text(t, "/proc/7/fd/0", "");
	tree_write(t, "/proc/8/cmdline", "cat\0", 4, 0);
	snprintf(path, sizeof(path), "%s/proc/7/fd/11", t->dir);
	assert_int_equal(symlink("../../../mnt/deep/er/one", path), 0);

	assert_int_equal(ram_list_read(&t->fs, &list), 0);
	assert_int_equal(list.mount[0].nr, 2);
	assert_int_equal(ram_users_read(&t->fs, &list, &users), 0);
	assert_non_null(ram_user_of(&users, st.st_dev, st.st_ino));
	assert_int_equal(ram_user_of(&users, st.st_dev, st.st_ino)->fd, 11);
	assert_string_equal(ram_user_of(&users, st.st_dev, st.st_ino)->name, "web");
	/* by the user's descriptor, by name when it has closed it, by name alone */
	assert_int_equal(reach(t, &list.mount[0], &users), 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(reach(t, &list.mount[0], &users), 1);
	ram_users_free(&users);
	assert_int_equal(reach(t, &list.mount[0], &users), 1);
	/* it has gone, and what has its name now is another */
	snprintf(path, sizeof(path), "%s/mnt/deep/er/one", t->dir);
	assert_int_equal(rename(path, strcat(strcpy(line, path), "-kept")), 0);
	tree_text(t, "/mnt/deep/er/one", "1");
	assert_int_equal(unlink(line), 0);
	assert_int_equal(reach(t, &list.mount[0], &users), 0);
	ram_list_free(&list);
}

#define MANY	300

/* Many files, users and folders: each name is looked at once, however deep it is. */
static void test_many(void **state)
{
	struct tree *t = *state;
	char path[512], id[32], deep[200] = "/mnt";
	int nr_stops = 0;
	struct ram_users users;
	struct ram_list list;
	struct stat st;

	for (int i = 0; i < MANY; i++) {
		if (i % 10 == 9)
			strcat(deep, "/d");
		snprintf(path, sizeof(path), "%s/f%d", deep, i);
		tree_text(t, path, "1");
		snprintf(path, sizeof(path), "%s%s/f%d", t->dir, deep, i);
		assert_int_equal(stat(path, &st), 0);
		snprintf(id, sizeof(id), "%u:%u", major(st.st_dev), minor(st.st_dev));
		snprintf(path, sizeof(path), "%lu", (unsigned long)st.st_ino);
		put_file(t, id, path, "f\n", "1\n");
		if (i % 2)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/cmdline", 1000 - i);
		tree_write(t, path, "q\0-name\0web\0", 12, 0);
		snprintf(path, sizeof(path), "/proc/%d/fd/none", 1000 - i);
		tree_text(t, path, "");
		snprintf(path, sizeof(path), "%s/proc/%d/fd/3", t->dir, 1000 - i);
		snprintf(id, sizeof(id), "/f%d", i);
		assert_int_equal(symlink(strcat(strcat(strcpy((char[512]){}, t->dir), deep), id), path), 0);
	}
	snprintf(path, sizeof(path), "21 1 %u:%u / /mnt rw - penumbra none rw\n", major(st.st_dev),
		 minor(st.st_dev));
	tree_text(t, "/proc/self/mountinfo", path);
	assert_int_equal(ram_list_read(&t->fs, &list), 0);
	assert_int_equal(list.mount[0].nr, MANY);
	assert_int_equal(ram_users_read(&t->fs, &list, &users), 0);
	assert_int_equal(users.nr, MANY / 2);
	nr_looked = 0;
	assert_int_equal(reach(t, &list.mount[0], &users), MANY);
	assert_true(nr_looked && nr_looked <= MANY + MANY / 10);
	/* ends early, among those who have files open and among names */
	assert_int_equal(ram_files_each(&t->fs, &list.mount[0], &users, stop, &nr_stops), 7);
	assert_int_equal(nr_stops, 1);
	ram_users_free(&users);
	assert_int_equal(ram_files_each(&t->fs, &list.mount[0], &users, stop, &nr_stops), 7);
	assert_int_equal(nr_stops, 2);
	ram_list_free(&list);
}

/* Names that cannot be had, and why. */
static void test_labels(void **state)
{
	static const struct { const char *name; int err; const char *label; } cases[] = {
		{ "/a/b", 0, "a/b" }, { "a", 0, "a" }, { "/a//deleted", 0, "(no name)" },
		{ "//deleted", 0, "(no name)" }, { "", 0, "(no name)" }, { NULL, -ENOENT, "(no name)" },
		{ NULL, -ENAMETOOLONG, "(long name)" }, { NULL, -EACCES, "-" },
	};
	char name[256 + 1] = "", path[512];
	struct tree *t = *state;
	struct ram_list list;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ram_file file = { .name = (char *)cases[i].name, .name_err = cases[i].err };

		assert_string_equal(ram_file_label(&file), cases[i].label);
	}
	/* a link to a name that no filesystem has: opening it is ENAMETOOLONG */
	memset(name, 'a', sizeof(name) - 1);
	put_file(t, "0:7", "5", "", "1\n");
	snprintf(path, sizeof(path), "%s" RAM_DIR "/0:7/files/5/name", t->dir);
	assert_int_equal(unlink(path) || symlink(name, path), 0);
	memset(path, 'b', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	put_file(t, "0:7", "6", path, "1\n");
	assert_int_equal(ram_list_read(&t->fs, &list), 0);
	assert_string_equal(ram_file_label(&list.mount[0].file[0]), "(long name)");
	assert_int_equal(list.mount[0].file[0].resident_pages, 1);
	assert_true(list.mount[0].file[0].zero_pages == RAM_UNKNOWN);
	assert_false(list.mount[0].file[0].hidden);
	assert_string_equal(ram_file_label(&list.mount[0].file[1]), path);
	ram_list_free(&list);
}

static void test_create(void **state)
{
	struct tree *t = *state;
	char text[32];
	struct vm_ram ram = { .dir = t->dir };
	const char *step;
	struct stat st;
	int fd, other;

	fd = ram_create(&ram, "web", -1, false, &step);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	other = open(ram_fd_path(text, fd), O_RDWR);
	assert_true(other >= 0);
	close(other);
	close(fd);

	ram = (struct vm_ram){ .path = "/none/such" };
	assert_int_equal(ram_create(&ram, "web", -1, true, &step), -ENOENT);
	assert_string_equal(step, "create");
	ram.path = t->dir;
	assert_int_equal(ram_create(&ram, "web", -1, true, &step), -EISDIR);
	ram_discard(&ram, open("/dev/null", O_RDONLY));
	assert_int_equal(access(t->dir, R_OK), 0);
}

static bool holds(const char *path, const char *text)
{
	char got[32] = "";
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_true(read(fd, got, sizeof(got) - 1) >= 0);
	close(fd);
	return !strcmp(got, text);
}

/* What stands there already makes place only if it holds nothing, or by order. */
static void test_replace(void **state)
{
	struct tree *t = *state;
	char path[128], same[128];
	struct vm_ram ram = { .path = path };
	const char *step;
	int fd, source;

	tree_text(t, "/mem", "old contents");
	snprintf(path, sizeof(path), "%s/mem", t->dir);
	snprintf(same, sizeof(same), "%s/same", t->dir);
	assert_int_equal(link(path, same), 0);
	assert_int_equal(ram_create(&ram, "web", -1, false, &step), -EEXIST);
	assert_true(holds(path, "old contents"));
	source = open(same, O_RDONLY);
	assert_int_equal(ram_create(&ram, "web", source, false, &step), -EDEADLK);
	assert_int_equal(ram_create(&ram, "web", source, true, &step), -EDEADLK);
	assert_true(holds(path, "old contents"));
	close(source);

	fd = ram_create(&ram, "web", -1, true, &step);
	assert_true(fd >= 0);
	assert_true(holds(path, ""));
	assert_true(holds(same, "old contents"));
	assert_int_equal(ram_create(&ram, "web", -1, true, &step), -EBUSY);
	/* long, and nothing in it */
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	fd = ram_create(&ram, "web", -1, false, &step);
	assert_true(fd >= 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	/* somebody else's by now */
	assert_int_equal(rename(same, path), 0);
	ram_discard(&ram, fd);
	assert_true(holds(path, "old contents"));
	fd = ram_create(&ram, "web", -1, true, &step);
	ram_discard(&ram, fd);
	assert_int_equal(access(path, F_OK), -1);
}

#define COPY_BYTES	(5u << 20)

static void test_copy(void **state)
{
	char *data = calloc(1, COPY_BYTES), *got = calloc(1, COPY_BYTES);
	const char *step;
	struct vm_ram ram = { .dir = ((struct tree *)*state)->dir };
	int from = ram_create(&ram, "a", -1, false, &step), to = ram_create(&ram, "b", -1, false, &step);
	struct stat st;
	bool cloned;

	assert_true(data && got && from >= 0 && to >= 0);
	/* blocks with something at their ends, next to each other, and across the parts of a copy */
	data[0] = data[4095] = data[8192] = data[(1 << 20) - 1] = data[1 << 20] = 1;
	memset(data + (3 << 20), 7, 4096 * 5 + 100);
	assert_int_equal(write(from, data, COPY_BYTES), COPY_BYTES);
	assert_int_equal(ftruncate(from, COPY_BYTES + 4096), 0);
	assert_true(ram_can_clone(to, from) <= 0);
	assert_int_equal(lseek(to, 0, SEEK_END), 0);
	assert_int_equal(ram_copy(to, from, &cloned), 0);
	assert_int_equal(fstat(to, &st), 0);
	assert_int_equal(st.st_size, COPY_BYTES + 4096);
	assert_int_equal(pread(to, got, COPY_BYTES, 0), COPY_BYTES);
	assert_memory_equal(data, got, COPY_BYTES);
	if (!cloned)
		assert_true(st.st_blocks * 512 < COPY_BYTES / 4);
	close(from);
	close(to);
	free(data);
	free(got);
}

/* A clone that ends early, with success: never taken for the whole. */
static void test_short_clone(void **state)
{
	struct vm_ram ram = { .dir = ((struct tree *)*state)->dir };
	const char *step;
	int from = ram_create(&ram, "a", -1, false, &step), to = ram_create(&ram, "b", -1, false, &step);
	char data[3000], got[3000];
	bool cloned;

	memset(data, 'x', sizeof(data));
	assert_int_equal(write(from, data, sizeof(data)), sizeof(data));
	clone_bytes = 1000;
	assert_int_equal(ram_clone(to, from), -ENOSPC);
	assert_int_equal(ram_copy(to, from, &cloned), 0);
	assert_false(cloned);
	assert_true(ram_same_size(to, from));
	assert_int_equal(pread(to, got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(data, got, sizeof(data));
	clone_bytes = sizeof(data);
	assert_int_equal(ftruncate(to, 0), 0);
	assert_int_equal(ram_copy(to, from, &cloned), 0);
	assert_true(cloned);
	clone_bytes = 0;
	close(from);
	close(to);
}

static char *extra[] = { "-S", "it's", NULL };

static void test_conf(void **state)
{
	struct tree *t = *state;
	struct vm_conf c = {
		.name = "web", .qemu = "qemu-system-x86_64", .kernel = "/boot/k", .append = "quiet x=\"1\"",
		.nr_disks = 2, .memory_bytes = 1 << 30, .vcpus = 3, .extra = extra,
		.ram = { .dir = "/dev/penumbra", .group = "g", .never_share = true },
	}, d;
	char path[128], here[PATH_MAX];
	const char *what;

	strcpy(c.disk[0].path, "relative.img");
	strcpy(c.disk[1].path, "/a,b");
	c.disk[1].format = ARGS_DISK_QCOW2;
	snprintf(path, sizeof(path), "%s/vm.json", t->dir);
	assert_int_equal(vmconf_read(&d, path, &what), -ENOENT);
	assert_int_equal(vmconf_write(&c, path), 0);
	assert_int_equal(vmconf_read(&d, path, &what), 0);
	assert_string_equal(d.name, "web");
	assert_string_equal(d.kernel, "/boot/k");
	assert_string_equal(d.append, "quiet x=\"1\"");
	assert_null(d.initrd);
	assert_int_equal(d.memory_bytes, 1 << 30);
	assert_int_equal(d.vcpus, 3);
	assert_int_equal(d.nr_disks, 2);
	assert_non_null(getcwd(here, sizeof(here) - 20));
	strcat(here, "/relative.img");
	assert_string_equal(d.disk[0].path, here);
	assert_int_equal(d.disk[1].format, ARGS_DISK_QCOW2);
	assert_string_equal(d.ram.dir, "/dev/penumbra");
	assert_null(d.ram.path);
	assert_string_equal(d.ram.group, "g");
	assert_true(d.ram.never_share);
	assert_string_equal(d.extra[1], "it's");
	assert_null(d.extra[2]);
	vmconf_free(&d);
}

#define GOOD "\"version\":1,\"name\":\"a\",\"qemu\":\"q\",\"memory_bytes\":1,\"vcpus\":1"

static void test_bad_conf(void **state)
{
	static const struct { const char *text, *what; } bad[] = {
		{ "", "" }, { "{", "" }, { "[]", "version" }, { "{\"version\":2}", "version" },
		{ "{\"version\":1}", "name" },
		{ "{\"version\":1,\"name\":\"a\\u0000b\"}", "name" },
		{ "{\"version\":1,\"name\":\"a\",\"qemu\":3}", "qemu" },
		{ "{\"version\":1,\"name\":\"a\",\"qemu\":\"q\",\"memory_bytes\":-1}", "memory_bytes" },
		{ "{" GOOD ",\"kernel\":1}", "kernel" },
		{ "{" GOOD ",\"disks\":{}}", "disks" },
		{ "{" GOOD ",\"disks\":[{\"path\":\"a\"}]}", "disks" },
		{ "{" GOOD ",\"disks\":[{\"path\":\"a\",\"format\":\"vmdk\"}]}", "disks" },
		{ "{" GOOD ",\"disks\":[1,2,3,4,5,6,7,8,9]}", "disks" },
		{ "{" GOOD ",\"ram\":{}}", "ram" }, { "{" GOOD ",\"ram\":7}", "ram" },
		{ "{" GOOD ",\"extra\":[1]}", "extra" },
	};
	struct tree *t = *state;
	struct vm_conf c;
	char path[128];
	const char *what;

	snprintf(path, sizeof(path), "%s/c", t->dir);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		tree_text(t, "/c", bad[i].text);
		assert_int_equal(vmconf_read(&c, path, &what), -EINVAL);
		assert_string_equal(what, bad[i].what);
		vmconf_free(&c);
	}
	tree_text(t, "/c", "{" GOOD "}");
	assert_int_equal(vmconf_read(&c, path, &what), 0);
	assert_null(c.extra[0]);
	vmconf_free(&c);
}

#define ON_TREE(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_TREE(test_list), ON_TREE(test_users), ON_TREE(test_many), ON_TREE(test_labels),
		ON_TREE(test_create),
		ON_TREE(test_replace), ON_TREE(test_copy), ON_TREE(test_short_clone),
		ON_TREE(test_conf), ON_TREE(test_bad_conf),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("tool_ram", tests, NULL, NULL);
}
