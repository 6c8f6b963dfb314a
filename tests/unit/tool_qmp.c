// SPDX-License-Identifier: GPL-2.0
/* libpenumbra/qmp against servers that behave, and servers that do not. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tool_tree.h"
#include "libpenumbra/qmp.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define OK_REPLY "{\"return\": {}}\r\n"

/*
 * A server that sends replies[0] at once and replies[n] after the n-th command,
 * then closes. NULL ends the list; with @hang it stays silent instead of closing.
 */
static pid_t serve(struct tree *t, const char *const *replies, bool hang)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;
	char command[256];
	pid_t pid;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", t->dir);
	unlink(address.sun_path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	pid = fork();
	if (pid) {
		close(listener);
		return pid;
	}
	fd = accept(listener, NULL, NULL);
	for (size_t i = 0; replies[i]; i++) {
		if (i && read(fd, command, sizeof(command)) <= 0)
			break;
		if (write(fd, replies[i], strlen(replies[i])) < 0)
			break;
	}
	while (hang)
		pause();
	_exit(0);
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int open_qmp(struct tree *t, struct qmp *qmp)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/sock", t->dir);
	return qmp_open(qmp, path, 300);
}

static void test_good(void **state)
{
	static const char *const replies[] = {
		GREETING, OK_REPLY,
		"{\"event\": \"STOP\"}\r\n{\"return\": {\"status\": \"paused\"}}\r\n{\"event\":1}\n",
		"{\"error\": {\"class\": \"CommandNotFound\"}}", NULL,
	};
	struct json_object *result, *status;
	pid_t pid = serve(*state, replies, true);
	struct qmp qmp;

	assert_int_equal(open_qmp(*state, &qmp), 0);
	assert_int_equal(qmp_execute(&qmp, "query-status", &result), 0);
	assert_true(json_object_object_get_ex(result, "status", &status));
	assert_string_equal(json_object_get_string(status), "paused");
	json_object_put(result);
	assert_int_equal(qmp_execute(&qmp, "nonsense", &result), -EREMOTEIO);
	assert_null(result);
	assert_int_equal(qmp_execute(&qmp, "query-status", &result), -ETIMEDOUT);
	qmp_close(&qmp);
	stop(pid);
}

/* What a server may send instead of a greeting, and what comes of it. */
static void test_bad(void **state)
{
	static const struct { const char *says; bool hang; int ret; } bad[] = {
		{ "", true, -ETIMEDOUT },	/* busy with another client */
		{ "", false, -ECONNRESET },
		{ "HTTP/1.1 400\r\n", true, -EPROTO },
		{ "[1, 2]", true, -EPROTO },
		{ "{\"QMP\": ", true, -ETIMEDOUT },
		{ "{\"return\": {}}", true, -EPROTO },
		{ "null\n", true, -EPROTO },
		{ "\xff\xfe{", true, -EPROTO },
	};
	struct qmp qmp;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const char *const replies[] = { bad[i].says, NULL };
		pid_t pid = serve(*state, replies, bad[i].hang);

		assert_int_equal(open_qmp(*state, &qmp), bad[i].ret);
		stop(pid);
	}
}

static void test_endless(void **state)
{
	char *text = malloc(QMP_MAX_BYTES * 2 + 1);
	const char *const replies[] = { text, NULL };
	struct qmp qmp;
	pid_t pid;

	assert_non_null(text);
	memset(text, 'x', QMP_MAX_BYTES * 2);
	text[0] = '"';
	text[QMP_MAX_BYTES * 2] = 0;
	pid = serve(*state, replies, false);
	assert_int_equal(open_qmp(*state, &qmp), -EPROTO);
	stop(pid);
	free(text);
}

static void test_no_server(void **state)
{
	char path[200];
	struct qmp qmp;

	assert_int_equal(open_qmp(*state, &qmp), -ENOENT);
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = 0;
	assert_int_equal(qmp_open(&qmp, path, 100), -ENAMETOOLONG);
}

#define ON_TREE(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_TREE(test_good), ON_TREE(test_bad), ON_TREE(test_endless), ON_TREE(test_no_server),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("tool_qmp", tests, NULL, NULL);
}
