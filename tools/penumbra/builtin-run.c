// SPDX-License-Identifier: GPL-2.0
/*
 * penumbra run - start a VM: a short command instead of QEMU's long one
 *
 * Everything is checked before QEMU starts, so that what is wrong is said in
 * our words; what is right becomes a description (vmconf.h), from which the command line is made.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "launch.h"
#include "libpenumbra/instance.h"
#include "libpenumbra/platform.h"
#include "libpenumbra/qemu.h"
#include "libpenumbra/ramcopy.h"
#include "libpenumbra/ramfiles.h"
#include "libpenumbra/text.h"
#include "vmoptions.h"

#define MAX_VCPUS	255	/* what any version may have; the module is asked too */
#define MAX_MEMORY	(UINT64_C(4) << 40)
#define MAX_GROUP	63	/* characters; docs/abi.md */

/* The modes of the MMU there are: with one, there is nothing to set. */
static const char *const modes[] = { "nested" };

#define NR_MODES	(sizeof(modes) / sizeof(*modes))

struct options {
	struct vm_conf conf;
	struct vm_options vm;
	bool detach, dry_run, stock, huge;
};

enum {
	KEY_KERNEL = 0x100, KEY_INITRD, KEY_APPEND, KEY_DISK, KEY_CDROM, KEY_DRY_RUN, KEY_QEMU,
	KEY_GROUP, KEY_SHARE, KEY_HUGE, KEY_STOCK,
};

/* In groups of their own, so that argp keeps this order. */
static const struct argp_option argp_options[] = {
	{ "name", 'n', "NAME", 0, "A letter, then letters, digits, '.', '_', '-'", 1 },
	{ "memory", 'm', "SIZE", 0, "With its unit, e.g. 512M or 2G (512M)", 2 },
	{ "vcpus", 'c', "N", 0, "Virtual processors (1)", 3 },
	{ "mode", 'M', "MODE", 0, "How the MMU is virtualized: nested (nested)", 4 },
	{ "kernel", KEY_KERNEL, "FILE", 0, "Boot this Linux kernel", 5 },
	{ "initrd", KEY_INITRD, "FILE", 0, "... with this initial RAM disk", 6 },
	{ "append", KEY_APPEND, "TEXT", 0, "... and this on its command line", 7 },
	{ "disk", KEY_DISK, "FILE[,format=raw|qcow2]", 0,
	  "A disk, up to 8 of them; *.qcow2 is qcow2, all else raw", 8 },
	{ "cdrom", KEY_CDROM, "FILE", 0, "A CD, booted first", 9 },
	{ "detach", 'd', NULL, 0, "Run in the background; the console is a socket", 10 },
	OPTION_RAM_FILE("FILE|FOLDER|none",
			"Its memory as a file of penumbra_mem that stays, or in this folder and gone with "
			"the VM (" RAM_MOUNT " if it is mounted)", 11),
	OPTION_REPLACE(12),
	{ "group", KEY_GROUP, "NAME", 0, "... that shares equal pages with the files of this group", 13 },
	{ "share", KEY_SHARE, "never", 0, "... that shares nothing, whoever asks", 14 },
	{ "huge", KEY_HUGE, NULL, 0, "... and only if the mount gives out 2 MiB frames", 15 },
	{ "stock", KEY_STOCK, NULL, 0, "Run under the stock kvm module as well", 16 },
	{ "qemu", KEY_QEMU, "PROGRAM", 0, "The QEMU to start (qemu-system-x86_64)", 17 },
	{ "dry-run", KEY_DRY_RUN, NULL, 0, "Print QEMU's command instead of running it", 18 },
	{}
};

/* ---- arguments ---- */

static error_t parse_memory(const char *arg, struct argp_state *state, uint64_t *bytes)
{
	int err = text_parse_size(arg, bytes);

	if (err == -EINVAL)
		return cmdline_refuse(state, "--memory %s: give a number with its unit, e.g. 512M or 2G",
				      arg);
	if (err || *bytes < (1u << 20) || *bytes > MAX_MEMORY || *bytes & ((1u << 20) - 1))
		return cmdline_refuse(state, "--memory %s: give whole MiB, from 1M to 4T", arg);
	return 0;
}

static error_t parse_vcpus(const char *arg, struct argp_state *state, uint64_t *vcpus)
{
	if (text_parse_u64(arg, vcpus) || !*vcpus || *vcpus > MAX_VCPUS)
		return cmdline_refuse(state, "--vcpus %s: give a number from 1 to %u", arg, MAX_VCPUS);
	return 0;
}

static error_t parse_mode(const char *arg, struct argp_state *state)
{
	char known[64] = "";

	for (size_t i = 0; i < NR_MODES; i++) {
		if (!strcmp(arg, modes[i]))
			return 0;
		snprintf(known + strlen(known), sizeof(known) - strlen(known), " %s", modes[i]);
	}
	return cmdline_refuse(state, "--mode %s: unknown; this version has:%s", arg, known);
}

static error_t parse_name(const char *arg, struct argp_state *state)
{
	if (text_is_name(arg))
		return 0;
	return cmdline_refuse(state, "--name %s: use a letter, then letters, digits, '.', '_' or '-', "
			      "at most %d in all", arg, TEXT_NAME_MAX);
}

static error_t parse_disk(const char *arg, struct argp_state *state, struct vm_conf *o)
{
	if (o->nr_disks == VM_MAX_DISKS)
		return cmdline_refuse(state, "--disk %s: at most %d disks", arg, VM_MAX_DISKS);
	if (args_parse_disk(arg, &o->disk[o->nr_disks]))
		return cmdline_refuse(state, "--disk %s: give FILE, FILE,format=raw or FILE,format=qcow2",
				      arg);
	o->nr_disks++;
	return 0;
}

static error_t parse_group(const char *arg, struct argp_state *state, struct vm_ram *ram)
{
	const char *c = arg;

	ram->group = arg;
	while (*c > ' ' && *c < 0x7f && *c != '/')
		c++;
	if (!*c && c > arg && c - arg <= MAX_GROUP)
		return 0;
	return cmdline_refuse(state, "--group: give a name of 1 to %d characters, without blanks and "
			      "'/'", MAX_GROUP);
}

static error_t parse_share(const char *arg, struct argp_state *state, struct vm_ram *ram)
{
	ram->never_share = !strcmp(arg, "never");
	if (ram->never_share || !strcmp(arg, "group"))
		return 0;
	return cmdline_refuse(state, "--share %s: give never, or group (what it is without)", arg);
}

/* What only makes sense together. */
static error_t check_whole(struct argp_state *state, const struct options *o)
{
	const struct vm_conf *c = &o->conf;
	bool none = o->vm.ram_file && !strcmp(o->vm.ram_file, "none");

	if (!c->name)
		return cmdline_refuse(state, "give the VM a name, e.g. --name a");
	if (!c->kernel && (c->initrd || c->append))
		return cmdline_refuse(state, "--%s needs --kernel", c->initrd ? "initrd" : "append");
	if (!c->kernel && !c->nr_disks && !c->cdrom && !c->extra[0])
		return cmdline_refuse(state, "nothing to boot: give --kernel, --disk or --cdrom");
	if (none && (c->ram.group || c->ram.never_share || o->huge))
		return cmdline_refuse(state, "--%s is of a RAM file: not with --ram-file none",
				      c->ram.group ? "group" : o->huge ? "huge" : "share");
	return 0;
}

static error_t parse_ram(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case KEY_GROUP:
		return parse_group(arg, state, &o->conf.ram);
	case KEY_SHARE:
		return parse_share(arg, state, &o->conf.ram);
	case KEY_HUGE:
		o->huge = true;
		return 0;
	case ARGP_KEY_END:
		if (check_whole(state, o))
			return EINVAL;
		break;
	}
	return vm_options_parse(key, arg, state, &o->vm);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	struct vm_conf *c = &o->conf;

	switch (key) {
	case 'n':
		c->name = arg;
		return parse_name(arg, state);
	case 'm':
		return parse_memory(arg, state, &c->memory_bytes);
	case 'c':
		return parse_vcpus(arg, state, &c->vcpus);
	case 'M':
		return parse_mode(arg, state);
	case KEY_KERNEL:
		c->kernel = arg;
		return 0;
	case KEY_INITRD:
		c->initrd = arg;
		return 0;
	case KEY_APPEND:
		c->append = arg;
		return 0;
	case KEY_DISK:
		return parse_disk(arg, state, c);
	case KEY_CDROM:
		c->cdrom = arg;
		return 0;
	case KEY_QEMU:
		c->qemu = arg;
		return 0;
	case 'd':
		o->detach = true;
		return 0;
	case KEY_DRY_RUN:
		o->dry_run = true;
		return 0;
	case KEY_STOCK:
		o->stock = true;
		return 0;
	default:
		return parse_ram(key, arg, state);
	}
}

/* ---- checks of the machine ---- */

/* A raw disk whose guest wrote a qcow2 header must not make QEMU open other files. */
static int check_disk(const struct args_disk *disk)
{
	int ret = launch_check_file("run", "--disk", disk->path, R_OK | W_OK);

	if (!ret && disk->format == ARGS_DISK_GUESSED_RAW && args_is_qcow2(disk->path))
		ret = fail("run", "--disk %s: holds qcow2; say so (%s,format=qcow2) or insist on "
			   "format=raw", disk->path, disk->path);
	return ret;
}

static int check_files(const struct vm_conf *o)
{
	int ret = 0;

	if (o->kernel)
		ret = launch_check_file("run", "--kernel", o->kernel, R_OK);
	if (!ret && o->initrd)
		ret = launch_check_file("run", "--initrd", o->initrd, R_OK);
	if (!ret && o->cdrom)
		ret = launch_check_file("run", "--cdrom", o->cdrom, R_OK);
	for (unsigned int i = 0; !ret && i < o->nr_disks; i++)
		ret = check_disk(&o->disk[i]);
	return ret;
}

static int check_module(const struct hostfs *fs, const struct options *o)
{
	if (o->stock || platform_module(fs, "penumbra_kvm") != MODULE_ABSENT)
		return 0;
	if (platform_module(fs, "kvm_amd") != MODULE_ABSENT ||
	    platform_module(fs, "kvm_intel") != MODULE_ABSENT)
		return fail("run", "the stock kvm module is loaded: load penumbra_kvm in its place, or say "
			    "--stock to run on it");
	return fail_no_module(fs, "run", -ENOENT);
}

static int check_huge(const struct hostfs *fs, const struct vm_ram *ram)
{
	const char *where = ram->path ? ram->path : ram->dir;
	uint64_t huge = 0;
	char id[24];
	int ret = where ? ram_mount_of(fs, where, id, sizeof(id)) : -ENOENT;

	if (!ret)
		ret = hostfs_read_u64(fs, &huge, RAM_DIR "/%s/huge", id);
	if (!ret && huge)
		return 0;
	if (ret)
		return fail("run", "--huge: there is no RAM file: mount -t penumbra none " RAM_MOUNT
			    ", or give --ram-file");
	return fail("run", "--huge: the mount of %s gives out none: mount it with -o huge=always",
		    where);
}

static int check_all(const struct hostfs *fs, struct options *o)
{
	struct vm_conf *c = &o->conf;
	int ret = check_files(c);

	if (!ret)
		ret = launch_check_name("run", c->name);
	/* what a dry run prints need not be possible here */
	if (!ret && !o->dry_run)
		ret = launch_check_program("run", c);
	if (!ret && !o->dry_run)
		ret = check_module(fs, o);
	if (!ret && !o->dry_run)
		ret = launch_check_kvm(fs, "run", c);
	if (!ret)
		ret = launch_place_ram(fs, "run", o->vm.ram_file, c);
	if (!ret && o->huge)
		ret = check_huge(fs, &c->ram);
	return ret;
}

/* ---- start ---- */

static int print_command(const struct vm_conf *c, bool detach)
{
	struct qemu_start s = { .detach = detach };
	struct args a = {};
	int ret;

	s.ram_path = c->ram.path ? c->ram.path : c->ram.dir;
	if (c->ram.group || c->ram.never_share)
		fprintf(stderr, "penumbra run: group and sharing are attributes of the RAM file, which "
			"this line does not set\n");
	qemu_command(&a, c, &s);
	ret = a.failed ? fail("run", "out of memory") : 0;
	if (!ret)
		args_print(&a, stdout);
	args_free(&a);
	return ret ? ret : output_finish("run");
}

/* Returns only if QEMU does not start. */
static int run_here(const struct vm_conf *c, int ram_fd)
{
	struct qemu_start s = {};
	struct args a = {};
	char ram_path[32];
	int ret;

	if (ram_fd >= 0)
		s.ram_path = ram_fd_path(ram_path, ram_fd);
	qemu_command(&a, c, &s);
	if (isatty(STDIN_FILENO))
		fprintf(stderr, "penumbra run: Ctrl-A X ends the VM, Ctrl-A H shows more keys\n");
	if (!a.failed)
		execvp(a.arg[0], a.arg);
	ret = a.failed ? fail("run", "out of memory") :
	      fail("run", "cannot start %s: %s", c->qemu, strerror(errno));
	args_free(&a);
	return ret;
}

/* More than there is may be promised, but not unawares. */
static void warn_of_size(const struct hostfs *fs, const struct vm_conf *c)
{
	const char *where = c->ram.path ? c->ram.path : c->ram.dir;
	char id[24], wanted[TEXT_SIZE_BYTES], left[TEXT_SIZE_BYTES];
	uint64_t size, frames, reserve, bytes;

	if (!where || ram_mount_of(fs, where, id, sizeof(id)) ||
	    hostfs_read_u64(fs, &size, RAM_DIR "/%s/size_pages", id) || !size ||
	    hostfs_read_u64(fs, &frames, RAM_DIR "/%s/frame_pages", id) ||
	    hostfs_read_u64(fs, &reserve, RAM_DIR "/%s/reserve/target_pages", id))
		return;
	bytes = size > frames + reserve ? (size - frames - reserve) * RAM_PAGE_BYTES : 0;
	if (c->memory_bytes > bytes)
		fprintf(stderr, "penumbra run: %s of memory, and the mount of %s has %s left: if the guest "
			"uses more it gets SIGBUS\n", text_size(wanted, c->memory_bytes), where,
			text_size(left, bytes));
}

static int start(const struct hostfs *fs, const struct options *o)
{
	const struct vm_conf *c = &o->conf;
	int ret, ram_fd;

	if (o->dry_run)
		return print_command(c, o->detach);
	ret = launch_note("run", c);
	if (!ret)
		ret = launch_make_ram("run", c, -1, o->vm.replace, &ram_fd);
	if (ret)
		return ret;
	warn_of_size(fs, c);
	ret = o->detach ? launch_detached("run", c, ram_fd, false) : run_here(c, ram_fd);
	launch_close_ram(c, ram_fd, !ret);
	if (ret)
		return ret;
	printf("%s runs; console %s/%s.console, its output so far in %s.log\n", c->name,
	       instance_dir(), c->name, c->name);
	return output_finish("run");
}

/* Cut the arguments at "--"; what follows it is QEMU's. */
static char **split_extra(int *argc, char **argv)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		argv[i] = NULL;
		*argc = i;
		return argv + i + 1;
	}
	return argv + *argc;
}

int builtin_run(const struct hostfs *fs, int argc, char **argv)
{
	static const struct argp argp = {
		.options = argp_options,
		.parser = parse,
		.args_doc = "[-- QEMU-ARGUMENT...]",
		.doc = "Start a VM on penumbra_kvm with QEMU.\v"
		       "What follows \"--\" is handed to QEMU as it is. The console is the terminal; "
		       "with --detach it is the socket /run/penumbra/NAME.console. "
		       "QMP is on /run/penumbra/NAME.sock.",
	};
	struct options o = {
		.conf = {
			.memory_bytes = UINT64_C(512) << 20,
			.vcpus = 1,
			.qemu = "qemu-system-x86_64",
		},
		.vm.may_be_none = true,
	};
	int ret;

	o.conf.extra = split_extra(&argc, argv);
	ret = cmdline_parse(&argp, argc, argv, &o);
	if (!ret)
		ret = check_all(fs, &o);
	return ret ? ret : start(fs, &o);
}
