/* SPDX-License-Identifier: GPL-2.0 */
/* A client of QEMU's machine protocol (QMP) on a UNIX socket. */
#ifndef LIBPENUMBRA_QMP_H
#define LIBPENUMBRA_QMP_H

#include <json-c/json.h>

struct qmp {
	int fd;
	int timeout_ms;		/* for each message */
	struct json_tokener *tokener;
	char error[160];	/* what QEMU said when it last refused */
	char buf[4096];
	size_t have, used;
};

/* Longest message that is read. */
#define QMP_MAX_BYTES	(1u << 20)

/*
 * Connect and negotiate. -ETIMEDOUT: somebody else holds the connection (QMP
 * serves one client at a time); -EPROTO: what answers is not QMP.
 */
int qmp_open(struct qmp *qmp, const char *socket_path, int timeout_ms);
void qmp_close(struct qmp *qmp);

/*
 * Carry out @command, without arguments. *@result is what it returned; put it
 * with json_object_put(). -EREMOTEIO: QEMU refused it. Events are skipped.
 */
int qmp_execute(struct qmp *qmp, const char *command, struct json_object **result);

/*
 * The same with @arguments, which is put in any case (NULL: there was no memory for them), and
 * with @fd going along if it is not negative. @result may be NULL.
 */
int qmp_call(struct qmp *qmp, const char *command, struct json_object *arguments, int fd,
	     struct json_object **result);

#endif
