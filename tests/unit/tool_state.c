// SPDX-License-Identifier: GPL-2.0
/* libpenumbra/vmstate: what it tells QEMU, in which order, and what it makes of the answers. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tool_tree.h"
#include "libpenumbra/vmstate.h"

#define GREETING "{\"QMP\": {}}\n"
#define OK	"{\"return\": {}}\n"
#define STATUS(s) "{\"return\": {\"status\": \"" s "\"}}\n"
#define NO	"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\\nway\"}}\n"

/* The next command, to @log; into a descriptor that comes along "state" is written. */
static bool take_command(int fd, int log)
{
	char text[1024];
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = { .iov_base = text, .iov_len = sizeof(text) };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &message, 0);
	struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	int got;

	if (n <= 0 || write(log, text, n) != n)
		return false;
	if (!header)
		return true;
	memcpy(&got, CMSG_DATA(header), sizeof(got));
	return write(got, "state", 5) == 5 && !close(got);
}

/* Answers one command after the other, then keeps silent. */
static pid_t serve(struct tree *t, const char *const *answers, struct qmp *qmp)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd, log;
	char path[128];
	pid_t pid;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", t->dir);
	unlink(address.sun_path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	snprintf(path, sizeof(path), "%s/log", t->dir);
	log = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(log >= 0);
	pid = fork();
	if (!pid) {
		fd = accept(listener, NULL, NULL);
		if (write(fd, GREETING, strlen(GREETING)) < 0 || !take_command(fd, log) ||
		    write(fd, OK, strlen(OK)) < 0)
			_exit(1);
		for (; *answers; answers++)
			if (!take_command(fd, log) || write(fd, *answers, strlen(*answers)) < 0)
				_exit(1);
		for (;;)
			pause();
	}
	close(listener);
	close(log);
	assert_int_equal(qmp_open(qmp, address.sun_path, 1000), 0);
	return pid;
}

/* Ends the server; the commands it got, "execute" and what follows, without arguments. */
static const char *commands(struct tree *t, struct qmp *qmp, pid_t pid)
{
	static char list[1024];
	char path[128], line[1024], *name;
	FILE *f;

	qmp_close(qmp);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(path, sizeof(path), "%s/log", t->dir);
	f = fopen(path, "r");
	assert_non_null(f);
	*list = 0;
	while (fgets(line, sizeof(line), f)) {
		name = line + strlen("{\"execute\":\"");
		name[strcspn(name, "\"")] = 0;
		strcat(list, strcmp(name, "qmp_capabilities") ? name : "");
		strcat(list, strcmp(name, "qmp_capabilities") ? " " : "");
	}
	fclose(f);
	return list;
}

#define ANSWERS(...) ((const char *const []){ __VA_ARGS__, NULL })

static void test_stop(void **state)
{
	struct tree *t = *state;
	struct qmp qmp;
	bool running;
	pid_t pid = serve(t, ANSWERS(STATUS("running"), OK), &qmp);

	assert_int_equal(vmstate_stop(&qmp, &running), 0);
	assert_true(running);
	assert_string_equal(commands(t, &qmp, pid), "query-status stop ");

	pid = serve(t, ANSWERS(STATUS("postmigrate"), OK, OK), &qmp);
	assert_int_equal(vmstate_stop(&qmp, &running), 0);
	assert_false(running);
	assert_string_equal(commands(t, &qmp, pid), "query-status cont stop ");

	pid = serve(t, ANSWERS(STATUS("shutdown")), &qmp);
	assert_int_equal(vmstate_stop(&qmp, &running), -EBUSY);
	assert_string_equal(qmp.error, "its state is 'shutdown'");
	assert_string_equal(commands(t, &qmp, pid), "query-status ");
}

static void test_write(void **state)
{
	struct tree *t = *state;
	int fd = memfd_create("state", MFD_CLOEXEC);
	struct qmp qmp;
	char text[8] = "";
	pid_t pid = serve(t, ANSWERS(OK, OK, OK, STATUS("active"), STATUS("completed"), OK), &qmp);

	assert_int_equal(vmstate_write(&qmp, fd, 5), 0);
	assert_string_equal(commands(t, &qmp, pid),
			    "migrate-set-capabilities getfd migrate query-migrate query-migrate "
			    "migrate-set-capabilities ");
	assert_int_equal(pread(fd, text, 7, 0), 5);
	assert_string_equal(text, "state");

	/* whatever happens, a later migration must take the RAM with it */
	pid = serve(t, ANSWERS(OK, OK, OK, STATUS("failed"), OK), &qmp);
	assert_int_equal(vmstate_write(&qmp, fd, 5), -EREMOTEIO);
	assert_string_equal(qmp.error, "the transfer has failed");
	assert_string_equal(commands(t, &qmp, pid),
			    "migrate-set-capabilities getfd migrate query-migrate "
			    "migrate-set-capabilities ");
	pid = serve(t, ANSWERS(OK, OK, NO, OK), &qmp);
	assert_int_equal(vmstate_write(&qmp, fd, 5), -EREMOTEIO);
	assert_string_equal(qmp.error, "no way");
	(void)commands(t, &qmp, pid);
	close(fd);
}

static void test_read(void **state)
{
	struct tree *t = *state;
	int fd = memfd_create("state", MFD_CLOEXEC);
	struct qmp qmp;
	pid_t pid = serve(t, ANSWERS(OK, OK, OK, STATUS("completed"), STATUS("inmigrate"),
				     STATUS("paused"), OK), &qmp);

	assert_int_equal(vmstate_read(&qmp, fd, 5), 0);
	assert_string_equal(commands(t, &qmp, pid),
			    "migrate-set-capabilities getfd migrate-incoming query-migrate "
			    "query-status query-status migrate-set-capabilities ");
	close(fd);
}

static void test_disks(void **state)
{
	struct tree *t = *state;
	struct vm_conf conf = { .nr_disks = 2 };
	struct vm_writable w;
	struct qmp qmp;
	pid_t pid = serve(t, ANSWERS(
		"{\"return\": [{\"device\": \"disk1\", \"inserted\": {\"ro\": false}},"
		" {\"device\": \"cdrom\", \"inserted\": {\"ro\": true}}, {\"device\": \"floppy\"}]}\n",
		"{\"return\": [{\"device\": \"disk2\", \"inserted\": {\"ro\": false}}]}\n",
		"{\"return\": []}\n", "{\"return\": {}}\n", OK), &qmp);

	assert_int_equal(vmstate_writable(&qmp, &conf, &w), 0);
	assert_true(w.any && w.disk[1] && !w.disk[0] && !w.others);
	assert_int_equal(vmstate_writable(&qmp, &conf, &w), 0);
	assert_true(w.any && w.others && !w.disk[1]);
	assert_int_equal(vmstate_writable(&qmp, &conf, &w), 0);
	assert_false(w.any || w.others);
	assert_int_equal(vmstate_writable(&qmp, &conf, &w), -EPROTO);
	assert_int_equal(vmstate_overlay(&qmp, 1, "/x\"y"), 0);
	(void)commands(t, &qmp, pid);
}

#define ON_TREE(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_TREE(test_stop), ON_TREE(test_write), ON_TREE(test_read), ON_TREE(test_disks),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("tool_state", tests, NULL, NULL);
}
