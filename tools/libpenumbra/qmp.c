// SPDX-License-Identifier: GPL-2.0
/* A client of QEMU's machine protocol; see qmp.h. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "libpenumbra/qmp.h"

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static int refill(struct qmp *qmp, long long deadline)
{
	struct pollfd p = { .fd = qmp->fd, .events = POLLIN };
	long long left = deadline - now_ms();
	ssize_t n;

	if (left <= 0)
		return -ETIMEDOUT;
	n = poll(&p, 1, left);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (!n)
		return -ETIMEDOUT;
	n = recv(qmp->fd, qmp->buf, sizeof(qmp->buf), MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	if (!n)
		return -ECONNRESET;
	qmp->used = 0;
	qmp->have = n;
	return 0;
}

/* The next message, an object; to be put by the caller. */
static int receive(struct qmp *qmp, struct json_object **message)
{
	long long deadline = now_ms() + qmp->timeout_ms;
	struct json_object *object;
	size_t total = 0;
	int ret;

	json_tokener_reset(qmp->tokener);
	for (;;) {
		if (qmp->used == qmp->have) {
			ret = refill(qmp, deadline);
			if (ret)
				return ret;
			continue;
		}
		object = json_tokener_parse_ex(qmp->tokener, qmp->buf + qmp->used,
					       qmp->have - qmp->used);
		if (json_tokener_get_error(qmp->tokener) == json_tokener_success) {
			qmp->used += json_tokener_get_parse_end(qmp->tokener);
			break;
		}
		total += qmp->have - qmp->used;
		qmp->used = qmp->have;
		if (json_tokener_get_error(qmp->tokener) != json_tokener_continue ||
		    total > QMP_MAX_BYTES)
			return -EPROTO;
	}
	if (!json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		return -EPROTO;
	}
	*message = object;
	return 0;
}

/* @fd, unless negative, goes along with the first byte. */
static int send_all(struct qmp *qmp, const char *text, size_t len, int fd)
{
	struct iovec part = { .iov_base = (char *)text, .iov_len = len };
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {};
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *header;
	ssize_t n;

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(int));
	}
	/* commands are far shorter than a socket's buffer: no need to wait */
	n = sendmsg(qmp->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

/* QEMU's words, for a terminal: one line without control characters. */
static void keep_error(struct qmp *qmp, struct json_object *error)
{
	struct json_object *desc;

	snprintf(qmp->error, sizeof(qmp->error), "%s",
		 json_object_object_get_ex(error, "desc", &desc) ?
		 json_object_get_string(desc) : "no reason given");
	for (char *c = qmp->error; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
}

/* The answer to the command that was sent last. */
static int receive_answer(struct qmp *qmp, struct json_object **result)
{
	struct json_object *message, *value;
	int ret = 0;

	while (!ret) {
		ret = receive(qmp, &message);
		if (ret)
			break;
		if (json_object_object_get_ex(message, "return", &value)) {
			*result = json_object_get(value);
			json_object_put(message);
			return 0;
		}
		if (json_object_object_get_ex(message, "error", &value)) {
			keep_error(qmp, value);
			ret = -EREMOTEIO;
		} else if (!json_object_object_get_ex(message, "event", &value)) {
			ret = -EPROTO;
		}
		json_object_put(message);
	}
	return ret;
}

int qmp_execute(struct qmp *qmp, const char *command, struct json_object **result)
{
	char text[128];
	int n, ret;

	*result = NULL;
	n = snprintf(text, sizeof(text), "{\"execute\":\"%s\"}\n", command);
	if (n < 0 || (size_t)n >= sizeof(text))
		return -EINVAL;
	ret = send_all(qmp, text, n, -1);
	return ret ? ret : receive_answer(qmp, result);
}

int qmp_call(struct qmp *qmp, const char *command, struct json_object *arguments, int fd,
	     struct json_object **result)
{
	struct json_object *answer = NULL;
	const char *words;
	char *text = NULL;
	int n, ret = -ENOMEM;

	if (result)
		*result = NULL;
	words = arguments ? json_object_to_json_string_ext(arguments, JSON_C_TO_STRING_PLAIN) : NULL;
	n = words ? asprintf(&text, "{\"execute\":\"%s\",\"arguments\":%s}\n", command, words) : -1;
	if (n >= 0) {
		ret = send_all(qmp, text, n, fd);
		free(text);
	}
	json_object_put(arguments);
	if (!ret)
		ret = receive_answer(qmp, &answer);
	if (!ret && result)
		*result = answer;
	else
		json_object_put(answer);
	return ret;
}

static int negotiate(struct qmp *qmp)
{
	struct json_object *message, *value;
	int ret = receive(qmp, &message);

	if (ret)
		return ret;
	ret = json_object_object_get_ex(message, "QMP", &value) ? 0 : -EPROTO;
	json_object_put(message);
	if (!ret)
		ret = qmp_execute(qmp, "qmp_capabilities", &message);
	if (!ret)
		json_object_put(message);
	return ret;
}

int qmp_open(struct qmp *qmp, const char *socket_path, int timeout_ms)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int ret;

	*qmp = (struct qmp){ .fd = -1, .timeout_ms = timeout_ms };
	if (strlen(socket_path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, socket_path);
	qmp->tokener = json_tokener_new();
	if (!qmp->tokener)
		return -ENOMEM;
	/* non-blocking: a full backlog must not hold us up */
	qmp->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = qmp->fd < 0 || connect(qmp->fd, (struct sockaddr *)&address, sizeof(address)) ?
		-errno : negotiate(qmp);
	if (ret == -EAGAIN)
		ret = -ETIMEDOUT;
	if (ret)
		qmp_close(qmp);
	return ret;
}

void qmp_close(struct qmp *qmp)
{
	if (qmp->fd >= 0)
		close(qmp->fd);
	if (qmp->tokener)
		json_tokener_free(qmp->tokener);
	*qmp = (struct qmp){ .fd = -1 };
}
