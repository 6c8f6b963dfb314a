// SPDX-License-Identifier: GPL-2.0
/* Starting QEMU and talking with its monitor, for the measuring programs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qemu.h"

void qemu_die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(1);
}

void counter_add(struct counter *list, size_t *count, size_t max, const char *name, uint64_t value)
{
	if (*count == max)
		return;
	snprintf(list[*count].name, sizeof(list[*count].name), "%s", name);
	list[(*count)++].value = value;
}

uint64_t counter_value(const struct counter *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(list[i].name, name))
			return list[i].value;
	return 0;
}

/* The guest's serial line and QEMU's monitor are sockets that QEMU inherits as 3 and 4. */
static void exec_qemu(int serial, int qmp, char *const argv[])
{
	static const char *const extra[] = {
		"-chardev", "socket,id=bench-serial,fd=3", "-serial", "chardev:bench-serial",
		"-chardev", "socket,id=bench-qmp,fd=4", "-mon", "chardev=bench-qmp,mode=control",
		NULL,
	};
	size_t argc = 0;
	char **all;

	while (argv[argc])
		argc++;
	all = calloc(argc + sizeof(extra) / sizeof(*extra), sizeof(*all));
	if (!all)
		qemu_die("calloc");
	memcpy(all, argv, argc * sizeof(*all));
	memcpy(all + argc, extra, sizeof(extra));
	serial = fcntl(serial, F_DUPFD, 100);
	qmp = fcntl(qmp, F_DUPFD, 100);
	if (dup2(serial, 3) != 3 || dup2(qmp, 4) != 4)
		qemu_die("dup2");
	close(serial);
	close(qmp);
	execvp(all[0], all);
	qemu_die(all[0]);
}

void qemu_start(struct qemu *qemu, char *const argv[])
{
	int serial[2], qmp[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, serial) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qmp))
		qemu_die("socketpair");
	qemu->pid = fork();
	if (qemu->pid < 0)
		qemu_die("fork");
	if (!qemu->pid)
		exec_qemu(serial[1], qmp[1], argv);
	close(serial[1]);
	close(qmp[1]);
	qemu->serial = serial[0];
	qemu->qmp = qmp[0];
	qemu->from_qmp = fdopen(qmp[0], "r");
	if (!qemu->from_qmp)
		qemu_die("fdopen");
	qemu_command(qemu, "{\"execute\":\"qmp_capabilities\"}\n");
}

/* Events may come before the answer. */
const char *qemu_command(struct qemu *qemu, const char *command)
{
	char *line = qemu->answer;

	if (write(qemu->qmp, command, strlen(command)) < 0)
		qemu_die("qmp");
	while (fgets(line, QEMU_ANSWER_BYTES, qemu->from_qmp))
		if (!strncmp(line, "{\"return\"", 9) || !strncmp(line, "{\"error\"", 8))
			return line;
	qemu_die("qmp: no answer");
}

/*
 * The scalar counters in query-stats' answer look like {"name": "exits", "value": 123}.
 * QEMU prints either order of the two.
 */
size_t qemu_stats(struct qemu *qemu, struct counter *list, size_t max)
{
	const char *text = qemu_command(qemu,
		"{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"vcpu\"}}\n");
	const char *at = text, *open, *close, *name, *value;
	size_t count = 0;
	char word[64];

	while ((at = strstr(at, "\"name\": \""))) {
		for (open = at; open > text && *open != '{'; open--)
			;
		close = strchr(at, '}');
		if (!close)
			break;
		name = at + strlen("\"name\": \"");
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(name, "\""), name);
		value = strstr(open, "\"value\": ");
		if (value && value < close)
			counter_add(list, &count, max, word,
				    strtoull(value + strlen("\"value\": "), NULL, 10));
		at = close;
	}
	if (!count) {
		fprintf(stderr, "QEMU shows no vCPU statistics\n");
		exit(1);
	}
	return count;
}
