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
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "launch.h"
#include "libpenumbra/ramcopy.h"
#include "libpenumbra/text.h"
#include "vmoptions.h"

struct options {
	const char *name, *dir;
	struct vm_options vm;
	bool quit;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'q':
		o->quit = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->dir)
			return cmdline_refuse(state, "'%s': one VM and one folder", arg);
		*(o->name ? &o->dir : &o->name) = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->dir)
			return cmdline_refuse(state, "give the VM to save and a folder for it");
		if (o->quit && o->vm.overlay)
			return cmdline_refuse(state, "--quit or --disk-overlay: a VM that ends needs none");
		break;
	}
	return vm_options_parse(key, arg, state, &o->vm);
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
	/* somebody might take it for a free file while it is empty */
	if (fd >= 0)
		(void)flock(fd, LOCK_EX | LOCK_NB);
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
		*copy = ram_create(&aside, vm->conf.name, -1, false, &step);
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

/* Before it is called an image, and before the VM may go. */
static int check_whole(const struct running *vm, int ram_fd, int state_fd)
{
	struct stat ram, state;

	if (!fstat(ram_fd, &ram) && (uint64_t)ram.st_size == vm->conf.memory_bytes &&
	    ram_same_size(ram_fd, vm->ram_fd) && !fstat(state_fd, &state) && state.st_size)
		return 0;
	return fail("save", "the image has not come out whole: '%s' goes on", vm->conf.name);
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

/* A part of what is no image. */
static void remove_part(const struct options *o, const char *name)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", o->dir, name) < sizeof(path))
		unlink(path);
}

/* The stopped VM into the files; it runs on as soon as it can, but with --quit. */
static int write_image(const struct options *o, struct running *vm, const struct vm_conf *image,
		       int ram_fd, int state_fd)
{
	int copy, ret = keep_ram(vm, ram_fd, &copy), thawed = 0;

	if (ret)
		ret = fail("save", "cannot write %s/ram: %s", o->dir, strerror(-ret));
	if (!o->quit)
		thawed = running_thaw("save", vm);
	if (!ret)
		ret = finish_ram(ram_fd, copy, state_fd);
	if (!ret)
		ret = check_whole(vm, ram_fd, state_fd);
	if (!ret)
		ret = write_conf(o, image);
	if (ret) {
		remove_part(o, "ram");
		remove_part(o, "state");
	}
	if (o->quit)
		thawed = ret ? running_thaw("save", vm) : end_vm(vm);
	return ret ? ret : thawed;
}

static int save_to(const struct options *o, struct running *vm, int ram_fd, int state_fd)
{
	struct vm_conf image = vm->conf;
	int ret = running_freeze("save", vm, o->vm.overlay_dir, state_fd, image.disk);

	if (!ret)
		return write_image(o, vm, &image, ram_fd, state_fd);
	remove_part(o, "ram");
	remove_part(o, "state");
	return ret;
}

static int save_vm(const struct options *o, struct running *vm)
{
	int ret = running_check_disks("save", vm, o->quit ? "" : o->vm.overlay_dir,
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
	} else {
		remove_part(o, "ram");
	}
	close(ram_fd);
	return ret;
}

int builtin_save(const struct hostfs *fs, int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "quit", 'q', NULL, 0, "End the VM when it is saved", 0 },
		OPTION_OVERLAY("From now on the VM writes its disks to new qcow2 files in FOLDER", 0),
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
	struct running vm;
	int ret = cmdline_parse(&argp, argc, argv, &o);

	if (!ret)
		ret = vm_options_resolve("save", &o.vm);
	if (!ret)
		ret = running_open(fs, "save", o.name, &vm);
	if (!ret) {
		ret = save_vm(&o, &vm);
		running_close(&vm);
	}
	vm_options_free(&o.vm);
	if (ret)
		return ret;
	printf("%s is saved in %s%s\n", o.name, o.dir, o.quit ? " and has ended" : "");
	return output_finish("save");
}
