// SPDX-License-Identifier: GPL-2.0
/*
 * libpenumbra when memory runs out: each thing is done again and again, with the
 * first, second, ... allocation refused, until it needs no more. It must either
 * succeed whole or fail as its header says; the sanitizer looks for leaks.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>
#include "tool_tree.h"
#include "libpenumbra/args.h"
#include "libpenumbra/cpu.h"
#include "libpenumbra/ramcopy.h"
#include "libpenumbra/ramfiles.h"
#include "libpenumbra/sharing.h"
#include "libpenumbra/text.h"
#include "libpenumbra/vmconf.h"
#include "libpenumbra/vms.h"
#include "uapi/penumbra.h"

/* Allocations that still succeed; negative: all. */
static long left = -1;

static bool refuse(void)
{
	return left >= 0 && left-- == 0;
}

/* One refusal a round: what comes after it succeeds. */
#define WRAP(ret, name, params, args) \
	ret __real_##name params; \
	ret __wrap_##name params; \
	ret __wrap_##name params { return refuse() ? FAIL_##name : __real_##name args; }

#define FAIL_malloc	NULL
#define FAIL_calloc	NULL
#define FAIL_realloc	NULL
#define FAIL_strdup	NULL
#define FAIL_vasprintf	-1

WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, calloc, (size_t nr, size_t size), (nr, size))
WRAP(void *, realloc, (void *old, size_t size), (old, size))
WRAP(char *, strdup, (const char *s), (s))
WRAP(int, vasprintf, (char **out, const char *fmt, va_list list), (out, fmt, list))

/* Run @once with more and more allocations allowed until none was refused. */
static void exhaust(struct tree *t, void (*once)(struct tree *t))
{
	long n = 0;

	do {
		left = n++;
		once(t);
	} while (left < 0 && n < 10000);
	left = -1;
	assert_true(n > 1 && n < 10000);
}

static void list_vms(struct tree *t)
{
	struct vms_list list;
	bool many;
	int ret = vms_read(&t->fs, &list);

	if (ret) {
		assert_int_equal(ret, -ENOMEM);
		return;
	}
	assert_int_equal(list.nr, 2);
	assert_int_equal(list.vm[0].stat.nr, 20);
	(void)vms_find(&list, "a", &many);
	vms_free(&list);
}

static void test_vms(void **state)
{
	struct tree *t = *state;
	char path[128];

	for (int id = 1; id <= 2; id++) {
		for (int i = 0; i < 20; i++) {
			snprintf(path, sizeof(path), VMS_DIR "/vms/%d/stat/s%d", id, i);
			tree_text(t, path, "1\n");
		}
		snprintf(path, sizeof(path), VMS_DIR "/vms/%d/pid", id);
		tree_text(t, path, "7\n");
		snprintf(path, sizeof(path), VMS_DIR "/vms/%d/mmu", id);
		tree_text(t, path, "nested\n");
		snprintf(path, sizeof(path), VMS_DIR "/vms/%d/vcpus", id);
		tree_text(t, path, "1\n");
	}
	tree_write(t, "/proc/7/cmdline", "q\0-name\0a\0", 10, 0);
	tree_text(t, "/proc/7/status", "VmRSS: 1 kB\n");
	exhaust(t, list_vms);
}

static void read_cpu(struct tree *t)
{
	struct cpu_info cpu;

	if (!cpu_info_read(&t->fs, &cpu))
		assert_true(cpu.svm);
}

static void test_cpu(void **state)
{
	tree_text(*state, "/proc/cpuinfo", "processor : 0\nvendor_id : AuthenticAMD\nflags : svm\n");
	exhaust(*state, read_cpu);
}

static void build_args(struct tree *t)
{
	struct args a = {};

	for (int i = 0; i < 40; i++) {
		args_option(&a, "-x", "%d", i);
		args_option_path(&a, "-drive", "file=", "a,b", ",id=c");
		args_append_path(&a, ",");
	}
	if (!a.failed)
		assert_string_equal(a.arg[a.nr - 1], "file=a,,b,id=c,,");
	args_free(&a);
}

static void test_args(void **state)
{
	exhaust(*state, build_args);
}

static void fill_table(struct tree *t)
{
	struct text_table table;

	text_table_init(&table, "l");
	for (int i = 0; i < 200; i++)
		text_table_add(&table, "%d", i);
	assert_true(table.failed || table.nr == 200);
	for (size_t i = 0; i < table.nr; i++)
		free(table.cell[i]);
	free(table.cell);
}

static void test_table(void **state)
{
	exhaust(*state, fill_table);
}

/* Three files: as many names as the vector's first size holds twice over. */
static void share(struct tree *t)
{
	static uint64_t entry[5000];
	struct sharing s;
	int ret = sharing_init(&s, 3);

	for (size_t i = 0; i < 5000; i++)
		entry[i] = (uint64_t)i << 20 | PENUMBRA_PAGE_SHARED;
	for (uint32_t i = 0; !ret && i < 3; i++)
		ret = sharing_add(&s, i, entry, 5000);
	if (!ret) {
		sharing_finish(&s);
		assert_int_equal(s.total.between_pages, 10000);
		ret = sharing_find_pairs(&s);
	}
	assert_true(!ret ? s.nr_pairs == 3 : ret == -ENOMEM);
	sharing_free(&s);
}

static void test_sharing(void **state)
{
	exhaust(*state, share);
}

static int refuse_file(size_t file, int fd, void *arg)
{
	return -EIO;
}

static void list_ram(struct tree *t)
{
	struct ram_users users = {};
	struct ram_list list;
	int ret = ram_list_read(&t->fs, &list);

	if (!ret) {
		assert_int_equal(list.nr, 2);
		assert_int_equal(list.mount[0].nr, 20);
		ret = ram_users_read(&t->fs, &list, &users);
		assert_true(ret || users.nr == 0);
		if (!ret)
			ret = ram_files_each(&t->fs, &list.mount[0], &users, refuse_file, NULL);
		ram_list_free(&list);
	}
	assert_true(!ret || ret == -ENOMEM);
	ram_users_free(&users);
}

static void test_ram(void **state)
{
	struct tree *t = *state;
	char path[128];

	for (int mount = 1; mount <= 2; mount++) {
		for (int i = 1; i <= 20; i++) {
			snprintf(path, sizeof(path), RAM_DIR "/0:%d/files/%d/name", mount, i);
			tree_text(t, path, "a\n");
		}
	}
	tree_text(t, "/proc/self/mountinfo", "1 1 0:1 / /dev/penumbra rw - penumbra none rw\n");
	tree_write(t, "/proc/7/cmdline", "q\0-name\0a\0", 10, 0);
	tree_text(t, "/proc/7/fd/1", "");
	exhaust(t, list_ram);
}

static void keep_conf(struct tree *t)
{
	static char *extra[] = { "-S", NULL };
	struct vm_conf c = { .name = "a", .qemu = "q", .vcpus = 1, .memory_bytes = 1, .extra = extra,
			     .nr_disks = 1 }, d;
	char path[128];
	const char *what;
	int ret;

	strcpy(c.disk[0].path, "disk");
	snprintf(path, sizeof(path), "%s/vm", t->dir);
	/* json-c's own refusals end in an incomplete file or none: refused as a whole */
	if (vmconf_write(&c, path))
		return;
	ret = vmconf_read(&d, path, &what);
	assert_true(!ret || ret == -ENOMEM || ret == -EINVAL);
	if (!ret)
		assert_string_equal(d.name, "a");
	vmconf_free(&d);
}

static void test_conf(void **state)
{
	exhaust(*state, keep_conf);
}

static void copy_ram(struct tree *t)
{
	struct vm_ram ram = { .dir = t->dir };
	const char *step;
	int from = ram_create(&ram, "a", -1, false, &step);
	int to = ram_create(&ram, "b", -1, false, &step), ret;
	bool cloned;

	assert_true(from >= 0 && to >= 0);
	assert_int_equal(pwrite(from, "x", 1, 10000), 1);
	ret = ram_copy(to, from, &cloned);
	assert_true(!ret || ret == -ENOMEM);
	close(from);
	close(to);
}

static void test_copy(void **state)
{
	exhaust(*state, copy_ram);
}

#define ON_TREE(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_TREE(test_vms), ON_TREE(test_cpu), ON_TREE(test_args), ON_TREE(test_table),
		ON_TREE(test_sharing), ON_TREE(test_ram), ON_TREE(test_conf), ON_TREE(test_copy),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("tool_oom", tests, NULL, NULL);
}
