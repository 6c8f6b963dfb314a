// SPDX-License-Identifier: GPL-2.0
/* penumbra set - change how a VM runs while it runs */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "builtin.h"
#include "libpenumbra/vms.h"

struct options {
	const char *which;
	const char *mmu;	/* the mode, as given */
};

static int set_mmu(const struct hostfs *fs, const struct vms_vm *vm, const char *mode)
{
	const char *name = vm->name[0] ? vm->name : "the VM";
	int ret = hostfs_write(fs, mode, VMS_DIR "/vms/%" PRIu32 "/mmu", vm->id);

	switch (ret) {
	case 0:
		return STATUS_OK;
	case -EACCES:
	case -EPERM:
		return fail("set", "cannot set the mode of %s: be root", name);
	case -EINVAL:
		return fail("set", "there is no mode '%s'", mode);
	case -EOPNOTSUPP:
		return fail("set", "mode '%s' is not to be had here", mode);
	default:
		return fail("set", "cannot set the mode of %s: %s", name, strerror(-ret));
	}
}

static error_t parse_setting(const char *arg, struct argp_state *state, struct options *o)
{
	if (strncmp(arg, "mmu=", 4))
		return cmdline_refuse(state, "'%s': what can be set is mmu=MODE", arg);
	if (o->mmu)
		return cmdline_refuse(state, "'%s': it is set already", arg);
	if (!arg[4])
		return cmdline_refuse(state, "'%s': give a mode", arg);
	o->mmu = arg + 4;
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (o->which)
			return parse_setting(arg, state, o);
		o->which = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->which || !o->mmu)
			return cmdline_refuse(state, "give a VM and what to set, e.g. mmu=shadow");
		return 0;
	default:
		return cmdline_default(key, arg, state);
	}
}

int builtin_set(const struct hostfs *fs, int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "VM mmu=MODE",
		.doc = "Change how a VM, named by id or name, runs, while it runs: its MMU is virtualized by "
		       "nested paging (nested) or by shadow page tables (shadow).",
	};
	struct options o = {};
	struct vms_list list;
	struct vms_vm *vm;
	bool many;
	int ret;

	ret = cmdline_parse(&argp, argc, argv, &o);
	if (ret)
		return ret;
	ret = vms_read(fs, &list);
	if (ret)
		return fail_no_module(fs, "set", ret);
	vm = vms_find(&list, o.which, &many);
	if (many)
		ret = fail("set", "several VMs are called '%s': give an id ('penumbra ls')", o.which);
	else if (!vm)
		ret = fail("set", "no VM '%s' is running ('penumbra ls' lists them)", o.which);
	else
		ret = set_mmu(fs, vm, o.mmu);
	vms_free(&list);
	return ret;
}
