// SPDX-License-Identifier: GPL-2.0
/*
 * penumbra run - start a VM: a short command instead of QEMU's long one
 *
 * Everything is checked before QEMU starts, so that what is wrong is said in
 * our words; what is right is written into an argument list by qemu_*().
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "builtin.h"
#include "libpenumbra/args.h"
#include "libpenumbra/instance.h"
#include "libpenumbra/platform.h"
#include "libpenumbra/text.h"

#define MAX_DISKS	8
#define MAX_VCPUS	255	/* what any version may have; the module is asked too */
#define MAX_MEMORY	(UINT64_C(4) << 40)

/* The modes of the MMU there are: with one, there is nothing to set. */
static const char *const modes[] = { "nested" };

#define NR_MODES	(sizeof(modes) / sizeof(*modes))

struct options {
	const char *name, *kernel, *initrd, *append, *cdrom, *qemu;
	struct args_disk disk[MAX_DISKS];
	unsigned int nr_disks;
	uint64_t memory_bytes, vcpus;
	bool detach, dry_run;
	char **extra;		/* after "--", NULL-terminated */
};

enum { KEY_KERNEL = 0x100, KEY_INITRD, KEY_APPEND, KEY_DISK, KEY_CDROM, KEY_DRY_RUN, KEY_QEMU };

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
	{ "qemu", KEY_QEMU, "PROGRAM", 0, "The QEMU to start (qemu-system-x86_64)", 11 },
	{ "dry-run", KEY_DRY_RUN, NULL, 0, "Print QEMU's command instead of running it", 12 },
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

static error_t parse_disk(const char *arg, struct argp_state *state, struct options *o)
{
	if (o->nr_disks == MAX_DISKS)
		return cmdline_refuse(state, "--disk %s: at most %d disks", arg, MAX_DISKS);
	if (args_parse_disk(arg, &o->disk[o->nr_disks]))
		return cmdline_refuse(state, "--disk %s: give FILE, FILE,format=raw or FILE,format=qcow2",
				      arg);
	o->nr_disks++;
	return 0;
}

/* What only makes sense together. */
static error_t check_whole(struct argp_state *state, const struct options *o)
{
	if (!o->name)
		return cmdline_refuse(state, "give the VM a name, e.g. --name a");
	if (!o->kernel && (o->initrd || o->append))
		return cmdline_refuse(state, "--%s needs --kernel", o->initrd ? "initrd" : "append");
	if (!o->kernel && !o->nr_disks && !o->cdrom && !o->extra[0])
		return cmdline_refuse(state, "nothing to boot: give --kernel, --disk or --cdrom");
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'n':
		o->name = arg;
		return parse_name(arg, state);
	case 'm':
		return parse_memory(arg, state, &o->memory_bytes);
	case 'c':
		return parse_vcpus(arg, state, &o->vcpus);
	case 'M':
		return parse_mode(arg, state);
	case KEY_KERNEL:
		o->kernel = arg;
		return 0;
	case KEY_INITRD:
		o->initrd = arg;
		return 0;
	case KEY_APPEND:
		o->append = arg;
		return 0;
	case KEY_DISK:
		return parse_disk(arg, state, o);
	case KEY_CDROM:
		o->cdrom = arg;
		return 0;
	case KEY_QEMU:
		o->qemu = arg;
		return 0;
	case 'd':
		o->detach = true;
		return 0;
	case KEY_DRY_RUN:
		o->dry_run = true;
		return 0;
	case ARGP_KEY_END:
		return check_whole(state, o);
	default:
		return cmdline_default(key, arg, state);
	}
}

/* ---- checks of the machine ---- */

/* Is @path a file this user may open so? @what: the option it came with. */
static int check_file(const char *what, const char *path, int mode)
{
	struct stat st;

	if (stat(path, &st))
		return fail("run", "%s %s: %s", what, path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return fail("run", "%s %s: is a folder; give a file", what, path);
	if (access(path, mode))
		return fail("run", "%s %s: %s", what, path, strerror(errno));
	return 0;
}

/* A raw disk whose guest wrote a qcow2 header must not make QEMU open other files. */
static int check_disk(const struct args_disk *disk)
{
	int ret = check_file("--disk", disk->path, R_OK | W_OK);

	if (!ret && disk->format == ARGS_DISK_GUESSED_RAW && args_is_qcow2(disk->path))
		ret = fail("run", "--disk %s: holds qcow2; say so (%s,format=qcow2) or insist on "
			   "format=raw", disk->path, disk->path);
	return ret;
}

static int check_files(const struct options *o)
{
	int ret = 0;

	if (o->kernel)
		ret = check_file("--kernel", o->kernel, R_OK);
	if (!ret && o->initrd)
		ret = check_file("--initrd", o->initrd, R_OK);
	if (!ret && o->cdrom)
		ret = check_file("--cdrom", o->cdrom, R_OK);
	for (unsigned int i = 0; !ret && i < o->nr_disks; i++)
		ret = check_disk(&o->disk[i]);
	return ret;
}

static int check_name(const struct options *o)
{
	pid_t pid = instance_pid(o->name);

	if (!pid)
		return 0;
	return fail("run", "the name '%s' is in use by process %d: choose another, or end that VM",
		    o->name, (int)pid);
}

/* Sockets have short names. */
static int check_dir(const struct options *o)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	if (!instance_path(path, sizeof(path), o->name, "console"))
		return 0;
	return fail("run", "%s is too long for sockets in it: set PENUMBRA_RUN_DIR to a shorter one",
		    instance_dir());
}

static int check_program(const struct options *o)
{
	char path[PATH_MAX], version[128];

	if (strchr(o->qemu, '/') ? access(o->qemu, X_OK) :
	    !platform_find_program(o->qemu, path, sizeof(path)))
		return fail("run", "cannot find %s: install qemu-system-x86, or give --qemu PROGRAM",
			    o->qemu);
	if (strchr(o->qemu, '/'))
		snprintf(path, sizeof(path), "%s", o->qemu);
	if (o->vcpus > 1 && platform_program_version(path, version, sizeof(version)) &&
	    platform_qemu_hangs_smp(version))
		fprintf(stderr, "penumbra run: this QEMU hangs with several vCPUs; "
			"'penumbra doctor' names one that does not\n");
	return 0;
}

static int check_module(const struct hostfs *fs, const struct options *o)
{
	int fd, max;

	if (platform_module(fs, "penumbra_kvm") == MODULE_ABSENT)
		return fail_no_module(fs, "run", -ENOENT);
	fd = hostfs_open_file(fs, O_RDWR, "/dev/kvm");
	if (fd < 0)
		return fail("run", "cannot open /dev/kvm: %s ('penumbra doctor' tells more)",
			    strerror(-fd));
	max = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	close(fd);
	if (max > 0 && o->vcpus > (uint64_t)max)
		return fail("run", "--vcpus %u: this host allows at most %d", (unsigned int)o->vcpus,
			    max);
	return 0;
}

static int make_dir(void)
{
	if (!mkdir(instance_dir(), 0755) || errno == EEXIST)
		return 0;
	return fail("run", "cannot make %s: %s; be root, or set PENUMBRA_RUN_DIR", instance_dir(),
		    strerror(errno));
}

/* ---- QEMU's command line ---- */

static void qemu_machine(struct args *a, const struct options *o)
{
	char pid[PATH_MAX], sock[PATH_MAX];

	instance_path(pid, sizeof(pid), o->name, "pid");
	instance_path(sock, sizeof(sock), o->name, "sock");
	args_add(a, "%s", o->qemu);
	args_option(a, "-name", "guest=%s,debug-threads=on", o->name);
	args_add(a, "-no-user-config");
	args_add(a, "-nodefaults");
	/* without graphics the firmware, too, talks on the serial port */
	args_option(a, "-machine", "pc,graphics=off");
	args_option(a, "-accel", "kvm");
	args_option(a, "-cpu", "host");
	args_option(a, "-smp", "%u", (unsigned int)o->vcpus);
	args_option(a, "-m", "%lluM", (unsigned long long)(o->memory_bytes >> 20));
	args_option(a, "-display", "none");
	args_option(a, "-pidfile", "%s", pid);
	args_option_path(a, "-qmp", "unix:", sock, ",server=on,wait=off");
}

static void qemu_console(struct args *a, const struct options *o)
{
	char console[PATH_MAX], log[PATH_MAX];

	if (o->detach) {
		instance_path(console, sizeof(console), o->name, "console");
		instance_path(log, sizeof(log), o->name, "log");
		args_add(a, "-daemonize");
		args_option_path(a, "-chardev", "socket,id=console,server=on,wait=off,path=", console,
				 ",logfile=");
		args_append_path(a, log);
	} else {
		args_option(a, "-chardev", "stdio,id=console,mux=on,signal=off");
		args_option(a, "-mon", "chardev=console,mode=readline");
	}
	args_option(a, "-serial", "chardev:console");
}

static void qemu_devices(struct args *a, const struct options *o)
{
	for (unsigned int i = 0; i < o->nr_disks; i++) {
		const struct args_disk *d = &o->disk[i];
		char head[80];

		snprintf(head, sizeof(head), "if=none,id=disk%u,format=%s,discard=unmap,file=", i,
			 d->format == ARGS_DISK_QCOW2 ? "qcow2" : "raw");
		args_option_path(a, "-drive", head, d->path, "");
		args_option(a, "-device", "virtio-blk-pci,drive=disk%u,bootindex=%u", i, i + 1);
	}
	if (o->cdrom) {
		args_option_path(a, "-drive",
				 "if=none,id=cdrom,media=cdrom,readonly=on,format=raw,file=",
				 o->cdrom, "");
		args_option(a, "-device", "ide-cd,drive=cdrom,bootindex=0");
	}
	args_option(a, "-netdev", "user,id=net0");
	/* no option ROM: nothing here boots from the network */
	args_option(a, "-device", "virtio-net-pci,netdev=net0,romfile=");
	/* what the guest frees goes back to the host */
	args_option(a, "-device", "virtio-balloon-pci,free-page-reporting=on");
	args_option(a, "-device", "virtio-rng-pci");
}

static void qemu_kernel(struct args *a, const struct options *o)
{
	const char *append = o->append ? o->append : "";

	if (!o->kernel)
		return;
	args_option(a, "-kernel", "%s", o->kernel);
	if (o->initrd)
		args_option(a, "-initrd", "%s", o->initrd);
	if (strstr(append, "console="))
		args_option(a, "-append", "%s", append);
	else
		args_option(a, "-append", "console=ttyS0%s%s", *append ? " " : "", append);
}

static void qemu_command(struct args *a, const struct options *o)
{
	qemu_machine(a, o);
	qemu_console(a, o);
	qemu_devices(a, o);
	qemu_kernel(a, o);
	for (char **extra = o->extra; *extra; extra++)
		args_add(a, "%s", *extra);
}

/* ---- start ---- */

static int exec_qemu(struct args *a)
{
	execvp(a->arg[0], a->arg);
	return fail("run", "cannot start %s: %s", a->arg[0], strerror(errno));
}

/* QEMU's first process ends, with status 0, when the VM stands. */
static int start_detached(struct args *a, const struct options *o)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return fail("run", "cannot start a process: %s", strerror(errno));
	if (!pid)
		_exit(exec_qemu(a));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail("run", "lost QEMU: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return fail("run", "QEMU did not start '%s': what it printed above says why", o->name);
	printf("%s runs; console %s/%s.console, its output so far in %s.log\n", o->name,
	       instance_dir(), o->name, o->name);
	return output_finish("run");
}

static int start(struct args *a, const struct options *o)
{
	if (a->failed)
		return fail("run", "out of memory");
	if (o->dry_run) {
		args_print(a, stdout);
		return output_finish("run");
	}
	if (o->detach)
		return start_detached(a, o);
	if (isatty(STDIN_FILENO))
		fprintf(stderr, "penumbra run: Ctrl-A X ends the VM, Ctrl-A H shows more keys\n");
	return exec_qemu(a);
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
		.memory_bytes = UINT64_C(512) << 20,
		.vcpus = 1,
		.qemu = "qemu-system-x86_64",
	};
	struct args a = {};
	int ret;

	o.extra = split_extra(&argc, argv);
	ret = cmdline_parse(&argp, argc, argv, &o);
	if (!ret)
		ret = check_files(&o);
	if (!ret)
		ret = check_dir(&o);
	if (!ret)
		ret = check_name(&o);
	if (!ret && !o.dry_run)
		ret = check_program(&o);
	if (!ret && !o.dry_run)
		ret = check_module(fs, &o);
	if (!ret && !o.dry_run)
		ret = make_dir();
	if (ret)
		return ret;
	qemu_command(&a, &o);
	ret = start(&a, &o);
	args_free(&a);
	return ret;
}
