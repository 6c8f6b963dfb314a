// SPDX-License-Identifier: GPL-2.0
/* penumbra restore - a VM from the folder that 'penumbra save' made of one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "launch.h"
#include "libpenumbra/instance.h"
#include "libpenumbra/ramcopy.h"
#include "vmoptions.h"

struct options {
	const char *dir, *name;
	struct vm_options vm;
	bool reuse;
};

enum { KEY_REUSE = 0x100 };

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'n':
		o->name = arg;
		return 0;
	case KEY_REUSE:
		o->reuse = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->dir)
			return cmdline_refuse(state, "'%s': one folder", arg);
		o->dir = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->dir)
			return cmdline_refuse(state, "give the folder that 'penumbra save' made");
		if (o->reuse && o->vm.overlay)
			return cmdline_refuse(state, "--disk-reuse or --disk-overlay, not both");
		break;
	}
	return vm_options_parse(key, arg, state, &o->vm);
}

/* A file of the image, -1 after one line. */
static int open_part(const struct options *o, const char *name)
{
	char path[PATH_MAX];
	int fd = -1;

	errno = ENAMETOOLONG;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", o->dir, name) < sizeof(path))
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("restore", "cannot open %s/%s: %s", o->dir, name, strerror(errno));
	return fd;
}

static int read_conf(const struct options *o, struct vm_conf *c)
{
	char path[PATH_MAX];
	const char *what = "";
	int ret = -ENAMETOOLONG;

	*c = (struct vm_conf){};
	if ((size_t)snprintf(path, sizeof(path), "%s/vm.json", o->dir) < sizeof(path))
		ret = vmconf_read(c, path, &what);
	if (!ret)
		return 0;
	vmconf_free(c);
	if (ret == -ENOENT)
		return fail("restore", "%s holds no whole image: vm.json is missing", o->dir);
	if (ret == -EINVAL)
		return fail("restore", "%s/vm.json is damaged%s%s", o->dir,
			    *what ? ": see its member " : "", what);
	return fail("restore", "cannot read %s/vm.json: %s", o->dir, strerror(-ret));
}

static int check_disks(const struct options *o, const struct vm_conf *c)
{
	int ret = 0;

	if (c->nr_disks && !o->vm.overlay && !o->reuse)
		return fail("restore", "'%s' has disks: give --disk-overlay FOLDER, and the image can be "
			    "restored again; or --disk-reuse, and it is written to", c->name);
	for (unsigned int i = 0; !ret && i < c->nr_disks; i++)
		ret = launch_check_file("restore", "disk", c->disk[i].path,
					o->reuse ? R_OK | W_OK : R_OK);
	return ret;
}

static int check(const struct hostfs *fs, const struct options *o, struct vm_conf *c)
{
	int ret = launch_check_name("restore", c->name);

	if (!ret)
		ret = check_disks(o, c);
	if (!ret)
		ret = launch_check_program("restore", c);
	if (!ret)
		ret = launch_check_kvm(fs, "restore", c);
	if (!ret)
		ret = launch_place_ram(fs, "restore", o->vm.ram_file, c);
	if (!ret && !c->ram.path && !c->ram.dir)
		ret = fail("restore", "no penumbra mount for its memory: mount -t penumbra none "
			   "/dev/penumbra, or give --ram-file");
	return ret;
}

/* The image's memory, -1 after one line. */
static int open_ram(const struct options *o, const struct vm_conf *c)
{
	int fd = open_part(o, "ram");
	struct stat st;

	if (fd < 0 || (!fstat(fd, &st) && (uint64_t)st.st_size == c->memory_bytes))
		return fd;
	close(fd);
	fail("restore", "%s/ram has not the VM's size", o->dir);
	return -1;
}

static int start_vm(const struct options *o, struct vm_conf *c, int from, int state_fd,
		    bool *shared)
{
	int ram_fd, ret = launch_make_ram("restore", c, from, o->vm.replace, &ram_fd);

	if (ret)
		return ret;
	ret = ram_copy(ram_fd, from, shared);
	if (ret)
		ret = fail("restore", "cannot read %s/ram in: %s", o->dir, strerror(-ret));
	if (!ret && o->vm.overlay_dir)
		ret = overlay_disks("restore", o->vm.overlay_dir, c);
	if (!ret)
		ret = launch_with_state("restore", c, ram_fd, state_fd, o->vm.paused);
	launch_close_ram(c, ram_fd, !ret);
	return ret;
}

/* All of the image is open before anything is made: its own memory may be named as the VM's. */
static int restore_vm(const struct options *o, struct vm_conf *c, bool *shared)
{
	int from = open_ram(o, c), state_fd = from < 0 ? -1 : open_part(o, "state");
	int ret = state_fd < 0 ? STATUS_FAILED : start_vm(o, c, from, state_fd, shared);

	if (state_fd >= 0)
		close(state_fd);
	if (from >= 0)
		close(from);
	return ret;
}

static int restore(const struct hostfs *fs, struct options *o)
{
	struct vm_conf c;
	bool shared = false;
	int ret = read_conf(o, &c);

	if (ret)
		return ret;
	/* a named file of memory is the first VM's */
	c.ram.path = NULL;
	if (o->name)
		c.name = o->name;
	ret = check(fs, o, &c);
	if (!ret)
		ret = restore_vm(o, &c, &shared);
	if (!ret) {
		printf("%s %s, restored from %s%s; console %s/%s.console\n", c.name,
		       o->vm.paused ? "is paused" : "runs", o->dir,
		       shared ? ", whose memory it shares" : "", instance_dir(), c.name);
		ret = output_finish("restore");
	}
	vmconf_free(&c);
	return ret;
}

int builtin_restore(const struct hostfs *fs, int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "name", 'n', "NAME", 0, "Of the new VM (the saved one's)", 1 },
		OPTION_PAUSED("The VM waits; QMP's 'cont' lets it run", 2),
		OPTION_OVERLAY("Write disks to new qcow2 files in FOLDER; the image stays as it is", 3),
		{ "disk-reuse", KEY_REUSE, NULL, 0,
		  "Write to the disks themselves: the image is of no use afterwards", 4 },
		OPTION_RAM_FILE("FILE|FOLDER", "The VM's memory (/dev/penumbra)", 5),
		OPTION_REPLACE(6),
		{}
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "FOLDER",
		.doc = "Start a VM from what 'penumbra save' wrote.\v"
		       "It runs in the background. If FOLDER is on the penumbra mount, the VM shares every "
		       "page with it. Restore only what you trust: an image names programs and files.",
	};
	struct options o = {};
	int ret = cmdline_parse(&argp, argc, argv, &o);

	if (!ret)
		ret = vm_options_resolve("restore", &o.vm);
	if (!ret)
		ret = restore(fs, &o);
	vm_options_free(&o.vm);
	return ret;
}
