// SPDX-License-Identifier: GPL-2.0
/* libpenumbra/{args,instance}: QEMU's command line, and who has a name. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tool_tree.h"
#include "libpenumbra/args.h"
#include "libpenumbra/instance.h"

/* What args_print() writes, without the newline. */
static char *printed(const struct args *a)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	args_print(a, f);
	fclose(f);
	assert_true(len && text[len - 1] == '\n');
	text[len - 1] = 0;
	return text;
}

static void test_list(void **state)
{
	struct args a = {};
	char *text;

	args_add(&a, "qemu");
	args_option(&a, "-smp", "%u", 2);
	args_option_path(&a, "-drive", "if=none,file=", "/a,b c", ",id=x");
	args_option(&a, "-append", "it's");
	args_option(&a, "-x", "%s", "");
	assert_false(a.failed);
	assert_int_equal(a.nr, 9);
	assert_null(a.arg[9]);
	assert_string_equal(a.arg[4], "if=none,file=/a,,b c,id=x");
	text = printed(&a);
	assert_string_equal(text, "qemu -smp 2 -drive 'if=none,file=/a,,b c,id=x' "
			    "-append 'it'\\''s' -x ''");
	free(text);
	args_free(&a);
	for (unsigned int i = 0; i < 1000; i++)
		args_add(&a, "%u", i);
	assert_int_equal(a.nr, 1000);
	assert_string_equal(a.arg[999], "999");
	assert_null(a.arg[1000]);
	args_free(&a);
}

static void test_disk(void **state)
{
	struct args_disk d;
	char longest[ARGS_DISK_PATH + 1];

	assert_int_equal(args_parse_disk("a.img", &d), 0);
	assert_int_equal(d.format, ARGS_DISK_GUESSED_RAW);
	assert_string_equal(d.path, "a.img");
	assert_int_equal(args_parse_disk("a,b.img,format=raw", &d), 0);
	assert_int_equal(d.format, ARGS_DISK_RAW);
	assert_string_equal(d.path, "a,b.img");
	assert_int_equal(args_parse_disk("a.qcow2", &d), 0);
	assert_int_equal(d.format, ARGS_DISK_QCOW2);
	assert_int_equal(args_parse_disk("a,format=qcow2", &d), 0);
	assert_int_equal(d.format, ARGS_DISK_QCOW2);
	assert_string_equal(d.path, "a");
	for (const char **bad = (const char *[]){ "", ",format=raw", "a,format=vmdk", "a,format=",
						  "a,format=raw,cache=none", NULL }; *bad; bad++)
		assert_int_equal(args_parse_disk(*bad, &d), -EINVAL);
	memset(longest, 'a', sizeof(longest));
	longest[ARGS_DISK_PATH] = 0;
	assert_int_equal(args_parse_disk(longest, &d), -EINVAL);
	longest[ARGS_DISK_PATH - 1] = 0;
	assert_int_equal(args_parse_disk(longest, &d), 0);
}

static void test_qcow2(void **state)
{
	struct tree *t = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/disk", t->dir);
	assert_false(args_is_qcow2(path));
	tree_write(t, "/disk", "QFI", 3, 0);
	assert_false(args_is_qcow2(path));
	tree_write(t, "/disk", "QFI\xfb\0\0\0\3", 8, 0);
	assert_true(args_is_qcow2(path));
}

/* A process that locks the file as QEMU does, and holds it until killed. */
static pid_t hold(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		int fd = open(path, O_RDWR | O_CREAT, 0600);

		if (fcntl(fd, F_SETLK, &lock) || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void test_instance(void **state)
{
	struct tree *t = *state;
	char path[128];
	pid_t pid;

	setenv("PENUMBRA_RUN_DIR", t->dir, 1);
	assert_int_equal(instance_path(path, sizeof(path), "a", "pid"), 0);
	assert_int_equal(instance_pid("a"), 0);
	tree_text(t, "/a.pid", "1\n");	/* left behind: not locked */
	assert_int_equal(instance_pid("a"), 0);
	pid = hold(path);
	assert_int_equal(instance_pid("a"), pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(instance_pid("a"), 0);
	assert_int_equal(instance_path(path, 10, "a", "pid"), -ENAMETOOLONG);
	setenv("PENUMBRA_RUN_DIR", "", 1);
	assert_string_equal(instance_dir(), "/run/penumbra");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_disk),
		cmocka_unit_test_setup_teardown(test_qcow2, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_instance, tree_setup, tree_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("tool_args", tests, NULL, NULL);
}
