// SPDX-License-Identifier: GPL-2.0
/* penumbra ls - the running VMs, one a line. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "builtin.h"
#include "libpenumbra/instance.h"
#include "libpenumbra/qmp.h"
#include "libpenumbra/text.h"
#include "libpenumbra/vms.h"

/* How long a VMM may take to say how it is. */
#define QMP_TIMEOUT_MS	300

/*
 * "running", "paused", ... as QEMU says, for VMs with a control socket of ours;
 * "" when it cannot be asked.
 */
static void query_state(const struct vms_vm *vm, char *state, size_t size)
{
	struct json_object *result, *status;
	char path[PATH_MAX];
	struct qmp qmp;

	*state = 0;
	if (!text_is_name(vm->name) || instance_pid(vm->name) != vm->pid ||
	    instance_path(path, sizeof(path), vm->name, "sock") ||
	    qmp_open(&qmp, path, QMP_TIMEOUT_MS))
		return;
	if (!qmp_execute(&qmp, "query-status", &result)) {
		if (json_object_object_get_ex(result, "status", &status))
			snprintf(state, size, "%s", json_object_get_string(status));
		json_object_put(result);
	}
	qmp_close(&qmp);
}

static void add_row(struct text_table *t, const struct vms_vm *vm)
{
	char memory[TEXT_SIZE_BYTES], resident[TEXT_SIZE_BYTES], exits[TEXT_COUNT_BYTES], state[32];

	query_state(vm, state, sizeof(state));
	text_table_add(t, "%" PRIu32, vm->id);
	text_table_add(t, "%s", vm->name[0] ? vm->name : "-");
	text_table_add(t, "%d", (int)vm->pid);
	text_table_add(t, "%s", vm->mode);
	text_table_add(t, "%s", state[0] ? state : "-");
	text_table_add(t, "%" PRIu64, vm->vcpus);
	text_table_add(t, "%s", text_size(memory, vm->memory_bytes));
	text_table_add(t, "%s", text_size(resident, vm->resident_bytes));
	text_table_add(t, "%s", text_count(exits, vms_counter(&vm->stat, "exits")));
}

static void print_text(const struct vms_list *list)
{
	static const char *const heads[] = {
		"ID", "NAME", "PID", "MODE", "STATE", "VCPUS", "MEMORY", "RESIDENT", "EXITS",
	};
	struct text_table t;

	if (!list->nr) {
		puts("no VM is running");
		return;
	}
	text_table_init(&t, "rlrllrrrr");
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++)
		text_table_add(&t, "%s", heads[i]);
	for (size_t i = 0; i < list->nr; i++)
		add_row(&t, &list->vm[i]);
	text_table_print(&t, "");
}

static struct json_object *vm_to_json(const struct vms_vm *vm)
{
	struct json_object *o = json_object_new_object();
	char state[32];

	query_state(vm, state, sizeof(state));
	json_object_object_add(o, "id", json_object_new_int64(vm->id));
	json_object_object_add(o, "name", vm->name[0] ? json_object_new_string(vm->name) : NULL);
	json_object_object_add(o, "pid", json_object_new_int64(vm->pid));
	json_object_object_add(o, "mode", json_object_new_string(vm->mode));
	json_object_object_add(o, "state", state[0] ? json_object_new_string(state) : NULL);
	json_object_object_add(o, "vcpus", json_object_new_uint64(vm->vcpus));
	json_object_object_add(o, "memory_bytes", json_object_new_uint64(vm->memory_bytes));
	json_object_object_add(o, "resident_bytes", json_object_new_uint64(vm->resident_bytes));
	json_object_object_add(o, "exits",
			       json_object_new_uint64(vms_counter(&vm->stat, "exits")));
	return o;
}

static struct json_object *to_json(const struct vms_list *list)
{
	struct json_object *root = json_object_new_object(), *vms = json_object_new_array();

	json_object_object_add(root, "schema", json_object_new_int(JSON_SCHEMA));
	for (size_t i = 0; i < list->nr; i++)
		json_object_array_add(vms, vm_to_json(&list->vm[i]));
	json_object_object_add(root, "vms", vms);
	return root;
}

int builtin_ls(const struct hostfs *fs, int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION_JSON("Print JSON", 0), {}
	};
	static const struct argp argp = {
		.options = options,
		.parser = cmdline_show_only,
		.doc = "List the VMs that run on penumbra_kvm.",
	};
	struct vms_list list;
	struct show_options o = {};
	int ret;

	ret = cmdline_parse(&argp, argc, argv, &o);
	if (ret)
		return ret;
	ret = vms_read(fs, &list);
	if (ret)
		return fail_no_module(fs, "ls", ret);
	if (o.json) {
		ret = output_json("ls", to_json(&list), false);
	} else {
		print_text(&list);
		ret = output_finish("ls");
	}
	vms_free(&list);
	return ret;
}
