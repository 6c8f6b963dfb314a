// SPDX-License-Identifier: GPL-2.0
/* A VM's state out of QEMU and into another one; see vmstate.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "libpenumbra/vmstate.h"

#define POLL_MS	20

static const char *member_text(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) &&
	       json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

static struct json_object *with_text(struct json_object *o, const char *key, const char *text)
{
	if (o)
		json_object_object_add(o, key, json_object_new_string(text));
	return o;
}

/* Carries out a command whose answer says nothing. */
static int command(struct qmp *qmp, const char *name)
{
	struct json_object *result;
	int ret = qmp_execute(qmp, name, &result);

	json_object_put(result);
	return ret;
}

/* The member "status" of what a query returns. */
static int query_status(struct qmp *qmp, const char *query, char *status, size_t size)
{
	struct json_object *result;
	int ret = qmp_execute(qmp, query, &result);

	if (!ret)
		snprintf(status, size, "%s", member_text(result, "status"));
	json_object_put(result);
	return ret;
}

int vmstate_stop(struct qmp *qmp, bool *was_running)
{
	char status[32];
	int ret = query_status(qmp, "query-status", status, sizeof(status));

	if (ret)
		return ret;
	*was_running = !strcmp(status, "running");
	if (!strcmp(status, "postmigrate")) {
		ret = vmstate_continue(qmp);
	} else if (!*was_running && strcmp(status, "paused") && strcmp(status, "prelaunch")) {
		snprintf(qmp->error, sizeof(qmp->error), "its state is '%s'", status);
		return -EBUSY;
	}
	return ret ? ret : command(qmp, "stop");
}

int vmstate_continue(struct qmp *qmp)
{
	return command(qmp, "cont");
}

static int ignore_shared(struct qmp *qmp, bool on)
{
	struct json_object *arguments = json_object_new_object(), *list = json_object_new_array();
	struct json_object *item = with_text(json_object_new_object(), "capability",
					     "x-ignore-shared");

	json_object_object_add(item, "state", json_object_new_boolean(on));
	json_object_array_add(list, item);
	json_object_object_add(arguments, "capabilities", list);
	return qmp_call(qmp, "migrate-set-capabilities", arguments, -1, NULL);
}

static int give_descriptor(struct qmp *qmp, int fd)
{
	return qmp_call(qmp, "getfd", with_text(json_object_new_object(), "fdname", "state"), fd,
			NULL);
}

static int start_transfer(struct qmp *qmp, const char *which)
{
	return qmp_call(qmp, which, with_text(json_object_new_object(), "uri", "fd:state"), -1, NULL);
}

static void wait_a_little(void)
{
	struct timespec t = { .tv_nsec = POLL_MS * 1000000L };

	nanosleep(&t, NULL);
}

static int wait_transfer(struct qmp *qmp, int timeout_s)
{
	char status[32];
	int ret;

	for (long left_ms = timeout_s * 1000L; left_ms > 0; left_ms -= POLL_MS) {
		ret = query_status(qmp, "query-migrate", status, sizeof(status));
		if (ret)
			return ret;
		if (!strcmp(status, "completed"))
			return 0;
		if (!strcmp(status, "failed") || !strcmp(status, "cancelled")) {
			snprintf(qmp->error, sizeof(qmp->error), "the transfer has %s", status);
			return -EREMOTEIO;
		}
		wait_a_little();
	}
	return -ETIMEDOUT;
}

int vmstate_write(struct qmp *qmp, int fd, int timeout_s)
{
	int ret = ignore_shared(qmp, true);

	if (ret)
		return ret;
	ret = give_descriptor(qmp, fd);
	if (!ret)
		ret = start_transfer(qmp, "migrate");
	if (!ret)
		ret = wait_transfer(qmp, timeout_s);
	/* an ordinary migration later must not miss the RAM */
	if (ignore_shared(qmp, false) && !ret)
		ret = -EREMOTEIO;
	return ret;
}

/* The guest's own run state comes last. */
static int wait_arrived(struct qmp *qmp, int timeout_s)
{
	char status[32];
	int ret;

	for (long left_ms = timeout_s * 1000L; left_ms > 0; left_ms -= POLL_MS) {
		ret = query_status(qmp, "query-status", status, sizeof(status));
		if (ret || strcmp(status, "inmigrate"))
			return ret;
		wait_a_little();
	}
	return -ETIMEDOUT;
}

int vmstate_read(struct qmp *qmp, int fd, int timeout_s)
{
	int ret = ignore_shared(qmp, true);

	if (!ret)
		ret = give_descriptor(qmp, fd);
	if (!ret)
		ret = start_transfer(qmp, "migrate-incoming");
	if (!ret)
		ret = wait_transfer(qmp, timeout_s);
	if (!ret)
		ret = wait_arrived(qmp, timeout_s);
	return ret ? ret : ignore_shared(qmp, false);
}

static void note_disk(const struct vm_conf *conf, struct json_object *block, struct vm_writable *w)
{
	struct json_object *inserted, *ro;
	char name[16];

	if (!json_object_object_get_ex(block, "inserted", &inserted) ||
	    (json_object_object_get_ex(inserted, "ro", &ro) && json_object_get_boolean(ro)))
		return;
	w->any = true;
	for (unsigned int i = 0; i < conf->nr_disks; i++) {
		snprintf(name, sizeof(name), "disk%u", i);
		if (!strcmp(member_text(block, "device"), name)) {
			w->disk[i] = true;
			return;
		}
	}
	w->others = true;
}

int vmstate_writable(struct qmp *qmp, const struct vm_conf *conf, struct vm_writable *w)
{
	struct json_object *result;
	int ret = qmp_execute(qmp, "query-block", &result);

	*w = (struct vm_writable){};
	if (!ret && !json_object_is_type(result, json_type_array))
		ret = -EPROTO;
	for (size_t i = 0; !ret && i < json_object_array_length(result); i++)
		note_disk(conf, json_object_array_get_idx(result, i), w);
	json_object_put(result);
	return ret;
}

int vmstate_overlay(struct qmp *qmp, unsigned int nr, const char *path)
{
	struct json_object *arguments = json_object_new_object();
	char device[16];

	snprintf(device, sizeof(device), "disk%u", nr);
	with_text(arguments, "device", device);
	with_text(arguments, "snapshot-file", path);
	with_text(arguments, "format", "qcow2");
	return qmp_call(qmp, "blockdev-snapshot-sync", arguments, -1, NULL);
}
