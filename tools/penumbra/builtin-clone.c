// SPDX-License-Identifier: GPL-2.0
/*
 * penumbra clone - a second VM from one that runs, every page of memory shared
 *
 * The first stops for a moment: its processors' and devices' state goes to a file in memory,
 * its RAM file is cloned by reference, and it runs on. A second QEMU starts with that RAM and takes
 * up that state.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "launch.h"
#include "libpenumbra/instance.h"
#include "libpenumbra/ramcopy.h"
#include "vmoptions.h"

struct options {
	const char *source, *name;
	struct vm_options vm;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (o->name)
			return cmdline_refuse(state, "'%s': one VM and one new name", arg);
		*(o->source ? &o->name : &o->source) = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->name)
			return cmdline_refuse(state, "give the VM to clone and a name for the new one");
		break;
	}
	return vm_options_parse(key, arg, state, &o->vm);
}

/* Where the clone's memory goes: beside that of the first, but never into the same file. */
static int place(const struct hostfs *fs, const struct options *o, struct vm_conf *c, char **beside)
{
	char *slash;

	if (c->ram.path && !o->vm.ram_file) {
		*beside = strdup(c->ram.path);
		if (!*beside)
			return fail("clone", "out of memory");
		slash = strrchr(*beside, '/');
		if (slash)
			slash[slash == *beside] = 0;
		c->ram.path = NULL;
		c->ram.dir = *beside;
	}
	return launch_place_ram(fs, "clone", o->vm.ram_file, c);
}

/* @ret: what cloning the RAM file came to. */
static int check_clone(const struct running *vm, const struct vm_conf *c, int ret)
{
	if (!ret)
		return 0;
	if (ret == -EXDEV)
		return fail("clone", "the RAM files would be on two mounts or in two groups (%s)",
			    c->ram.path ? c->ram.path : c->ram.dir);
	return fail("clone", "cannot share the RAM of '%s'%s: %s", vm->conf.name,
		    c->ram.never_share ? ", which is share=never" : "", strerror(-ret));
}

/* The first VM's part: its state, its memory, its disks; it runs on whatever happens. */
static int take(const struct options *o, struct running *vm, struct vm_conf *c, int state_fd,
		int ram_fd)
{
	int ret = running_freeze("clone", vm, o->vm.overlay_dir, state_fd, c->disk), thawed;

	if (ret)
		return ret;
	ret = check_clone(vm, c, ram_clone(ram_fd, vm->ram_fd));
	thawed = running_thaw("clone", vm);
	return ret ? ret : thawed;
}

static int clone_with(const struct options *o, struct running *vm, struct vm_conf *c, int ram_fd)
{
	int state_fd = memfd_create("state", MFD_CLOEXEC), ret;

	if (state_fd < 0)
		return fail("clone", "cannot make a file in memory: %s", strerror(errno));
	/* before anything is done to the first VM */
	ret = check_clone(vm, c, ram_can_clone(ram_fd, vm->ram_fd));
	if (!ret)
		ret = take(o, vm, c, state_fd, ram_fd);
	if (!ret && o->vm.overlay_dir)
		ret = overlay_disks("clone", o->vm.overlay_dir, c);
	/* both QEMUs and this process share the place in the file */
	if (!ret && lseek(state_fd, 0, SEEK_SET) < 0)
		ret = fail("clone", "cannot rewind the state: %s", strerror(errno));
	if (!ret)
		ret = launch_with_state("clone", c, ram_fd, state_fd, o->vm.paused);
	close(state_fd);
	return ret;
}

static int clone_vm(const struct hostfs *fs, const struct options *o, struct running *vm)
{
	struct vm_conf c = vm->conf;
	char *beside = NULL;
	int ram_fd, ret;

	c.name = o->name;
	ret = running_check_disks("clone", vm, o->vm.overlay_dir, "");
	if (!ret)
		ret = place(fs, o, &c, &beside);
	if (!ret)
		ret = launch_make_ram("clone", &c, vm->ram_fd, o->vm.replace, &ram_fd);
	if (!ret) {
		ret = clone_with(o, vm, &c, ram_fd);
		launch_close_ram(&c, ram_fd, !ret);
	}
	free(beside);
	return ret;
}

int builtin_clone(const struct hostfs *fs, int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION_PAUSED("The new VM waits; QMP's 'cont' lets it run", 1),
		OPTION_OVERLAY("From now on both VMs write their disks to new qcow2 files in FOLDER", 2),
		OPTION_RAM_FILE("FILE|FOLDER", "The new VM's memory (beside the first's)", 3),
		OPTION_REPLACE(4),
		{}
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "VM NEWNAME",
		.doc = "Make a second VM from one that 'penumbra run' started with a RAM file; they share "
		       "every page until one of them writes it.\v"
		       "The first stops for a moment. The new one runs in the background.",
	};
	struct options o = {};
	struct running vm;
	int ret = cmdline_parse(&argp, argc, argv, &o);

	if (!ret)
		ret = launch_check_name("clone", o.name);
	if (!ret)
		ret = vm_options_resolve("clone", &o.vm);
	if (!ret)
		ret = running_open(fs, "clone", o.source, &vm);
	if (!ret) {
		ret = clone_vm(fs, &o, &vm);
		running_close(&vm);
	}
	vm_options_free(&o.vm);
	if (ret)
		return ret;
	printf("%s %s, a clone of %s; console %s/%s.console\n", o.name,
	       o.vm.paused ? "is paused" : "runs", o.source, instance_dir(), o.name);
	return output_finish("clone");
}
