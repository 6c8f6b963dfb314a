// SPDX-License-Identifier: GPL-2.0
/*
 * penumbra save - a VM into a folder, from which 'penumbra restore' makes VMs
 *
 *   FOLDER/ram      the RAM file: shared if FOLDER is on the same penumbra mount, else a sparse copy
 *   FOLDER/state    processors and devices, as QEMU writes them
 *   FOLDER/vm.json  what the VM is made of (vmconf.h); written last: it makes an image of the folder
 *
 * The guest stands still only until its state is written and its RAM cloned; what is copied is the clone.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "launch.h"
#include "libpenumbra/ramcopy.h"
#include "libpenumbra/text.h"

struct options {
	const char *name, *dir, *overlay_dir;
	bool quit;
};

enum { KEY_OVERLAY = 0x100 };

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'q':
		o->quit = true;
		return 0;
	case KEY_OVERLAY:
		o->overlay_dir = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (o->dir)
			return cmdline_refuse(state, "'%s': one VM and one folder", arg);
		*(o->name ? &o->dir : &o->name) = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->dir)
			return cmdline_refuse(state, "give the VM to save and a folder for it");
		if (o->quit && o->overlay_dir)
			return cmdline_refuse(state, "--quit or --disk-overlay: a VM that ends needs none");
		return 0;
	default:
		return cmdline_default(key, arg, state);
	}
}

/* A new file of the image, or -1 after one line. */
static int create(const struct options *o, const char *name)
{
	char path[PATH_MAX];
	int fd = -1;

	errno = ENAMETOOLONG;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", o->dir, name) < sizeof(path))
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		fail("save", "%s is there already: give a new folder", path);
	else if (fd < 0)
		fail("save", "cannot create %s/%s: %s", o->dir, name, strerror(errno));
	return fd;
}

/*
 * The stopped VM's memory for the image: *@copy is what to copy from later, when it runs on;
 * -1 when nothing is left to do.
 */
static int keep_ram(struct running *vm, int ram_fd, int *copy)
{
	struct vm_ram aside = { .dir = vm->conf.ram.dir };
	const char *step;
	int ret;

	*copy = -1;
	if (!ram_clone(ram_fd, vm->ram_fd))
		return 0;
	if (aside.dir) {
		*copy = ram_create(&aside, vm->conf.name, &step);
		if (*copy >= 0 && !ram_clone(*copy, vm->ram_fd))
			return 0;
		if (*copy >= 0)
			close(*copy);
	}
	/* no clone of it to be had: it stands still for as long as this takes */
	ret = ram_copy(ram_fd, vm->ram_fd, &(bool){ false });
	*copy = -1;
	return ret;
}

static int write_conf(const struct options *o, const struct vm_conf *c)
{
	char path[PATH_MAX];
	int ret = -ENAMETOOLONG, dir;

	if ((size_t)snprintf(path, sizeof(path), "%s/vm.json", o->dir) < sizeof(path))
		ret = vmconf_write(c, path);
	if (ret)
		return fail("save", "cannot write %s/vm.json: %s", o->dir, strerror(-ret));
	dir = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		(void)fsync(dir);
		close(dir);
	}
	return 0;
}

/* After the guest runs on, or not at all: the memory to disk. */
static int finish_ram(int ram_fd, int copy, int state_fd)
{
	bool cloned;
	int ret = 0;

	if (copy >= 0) {
		ret = ram_copy(ram_fd, copy, &cloned);
		close(copy);
	}
	if (!ret && (fsync(ram_fd) || fsync(state_fd)))
		ret = -errno;
	return ret ? fail("save", "cannot write the memory: %s", strerror(-ret)) : 0;
}

static int end_vm(struct running *vm)
{
	struct json_object *result;
	int ret = qmp_execute(&vm->qmp, "quit", &result);

	json_object_put(result);
	/* it may be gone before it has answered */
	if (ret && ret != -ECONNRESET)
		return running_fail("save", &vm->conf, "end", &vm->qmp, ret);
	return 0;
}

static int save_to(const struct options *o, struct running *vm, int ram_fd, int state_fd)
{
	struct vm_conf image = vm->conf;
	int ret = running_freeze("save", vm, o->overlay_dir, state_fd, image.disk), copy = -1, then;

	if (ret)
		return ret;
	ret = keep_ram(vm, ram_fd, &copy);
	if (ret)
		ret = fail("save", "cannot write %s/ram: %s", o->dir, strerror(-ret));
	then = o->quit && !ret ? 0 : running_thaw("save", vm);
	if (!ret)
		ret = finish_ram(ram_fd, copy, state_fd);
	if (!ret)
		ret = write_conf(o, &image);
	if (!ret && o->quit)
		ret = end_vm(vm);
	else if (o->quit && !then)
		then = running_thaw("save", vm);
	return ret ? ret : then;
}

static int save_vm(const struct options *o, struct running *vm)
{
	int ret = running_check_disks("save", vm, o->quit ? "" : o->overlay_dir,
				      ", or --quit to end the VM"), ram_fd, state_fd;

	if (ret)
		return ret;
	if (mkdir(o->dir, 0700) && errno != EEXIST)
		return fail("save", "cannot make %s: %s", o->dir, strerror(errno));
	ram_fd = create(o, "ram");
	if (ram_fd < 0)
		return STATUS_FAILED;
	state_fd = create(o, "state");
	ret = STATUS_FAILED;
	if (state_fd >= 0) {
		ret = save_to(o, vm, ram_fd, state_fd);
		close(state_fd);
	}
	close(ram_fd);
	return ret;
}

int builtin_save(const struct hostfs *fs, int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "quit", 'q', NULL, 0, "End the VM when it is saved", 0 },
		{ "disk-overlay", KEY_OVERLAY, "FOLDER", 0,
		  "From now on the VM writes its disks to new qcow2 files in FOLDER", 0 },
		{}
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "VM FOLDER",
		.doc = "Save a VM that 'penumbra run' started with a RAM file, its memory included.\v"
		       "It runs on, unless --quit. On the VM's own penumbra mount the image's memory is "
		       "shared with it; anywhere else it is a sparse copy. Disks are not copied.",
	};
	struct options o = {};
	char *overlay_dir = NULL;
	struct running vm;
	int ret = cmdline_parse(&argp, argc, argv, &o);

	if (!ret && o.overlay_dir)
		ret = launch_check_folder("save", "--disk-overlay", o.overlay_dir, &overlay_dir);
	if (!ret)
		ret = running_open(fs, "save", o.name, &vm);
	if (!ret) {
		o.overlay_dir = overlay_dir;
		ret = save_vm(&o, &vm);
		running_close(&vm);
	}
	free(overlay_dir);
	if (ret)
		return ret;
	printf("%s is saved in %s%s\n", o.name, o.dir, o.quit ? " and has ended" : "");
	return output_finish("save");
}
