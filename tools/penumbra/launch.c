// SPDX-License-Identifier: GPL-2.0
/* From a VM's description to a running QEMU; see launch.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "launch.h"
#include "libpenumbra/instance.h"
#include "libpenumbra/platform.h"
#include "libpenumbra/qemu.h"
#include "libpenumbra/ramcopy.h"
#include "libpenumbra/ramfiles.h"
#include "libpenumbra/text.h"
#include "libpenumbra/vmstate.h"

/* What QEMU may take for an answer, and for all of a state. */
#define QMP_TIMEOUT_MS	20000
#define STATE_TIMEOUT_S	120

/* ---- checks ---- */

int launch_check_file(const char *verb, const char *what, const char *path, int mode)
{
	struct stat st;

	if (stat(path, &st))
		return fail(verb, "%s %s: %s", what, path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return fail(verb, "%s %s: is a folder; give a file", what, path);
	if (access(path, mode))
		return fail(verb, "%s %s: %s", what, path, strerror(errno));
	return 0;
}

int launch_check_folder(const char *verb, const char *what, const char *path, char **full)
{
	if (access(path, W_OK | X_OK))
		return fail(verb, "%s %s: %s", what, path, strerror(errno));
	*full = realpath(path, NULL);
	return *full ? 0 : fail(verb, "%s %s: %s", what, path, strerror(errno));
}

int launch_check_name(const char *verb, const char *name)
{
	/* sockets have short names */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	pid_t pid;

	if (!text_is_name(name))
		return fail(verb, "'%s' is no name for a VM: use a letter, then letters, digits, '.', "
			    "'_' or '-', at most %d in all", name, TEXT_NAME_MAX);
	if (instance_path(path, sizeof(path), name, "console"))
		return fail(verb, "%s is too long for sockets in it: set PENUMBRA_RUN_DIR to a "
			    "shorter one", instance_dir());
	pid = instance_pid(name);
	if (pid)
		return fail(verb, "the name '%s' is in use by process %d: choose another, or end that "
			    "VM", name, (int)pid);
	return 0;
}

int launch_check_program(const char *verb, const struct vm_conf *c)
{
	char path[PATH_MAX], version[128];

	if (strchr(c->qemu, '/') ? access(c->qemu, X_OK) :
	    !platform_find_program(c->qemu, path, sizeof(path)))
		return fail(verb, "cannot find %s: install qemu-system-x86, or give --qemu PROGRAM",
			    c->qemu);
	if (strchr(c->qemu, '/'))
		snprintf(path, sizeof(path), "%s", c->qemu);
	if (c->vcpus > 1 && platform_program_version(path, version, sizeof(version)) &&
	    platform_qemu_hangs_smp(version))
		fprintf(stderr, "penumbra %s: this QEMU hangs with several vCPUs; "
			"'penumbra doctor' names one that does not\n", verb);
	return 0;
}

int launch_check_kvm(const struct hostfs *fs, const char *verb, const struct vm_conf *c)
{
	int fd, max;

	fd = hostfs_open_file(fs, O_RDWR, "/dev/kvm");
	if (fd < 0)
		return fail(verb, "cannot open /dev/kvm: %s ('penumbra doctor' tells more)",
			    strerror(-fd));
	max = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	close(fd);
	if (max > 0 && c->vcpus > (uint64_t)max)
		return fail(verb, "--vcpus %u: this host allows at most %d", (unsigned int)c->vcpus,
			    max);
	return 0;
}

/* ---- the RAM file ---- */

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

int launch_place_ram(const struct hostfs *fs, const char *verb, const char *asked,
		     struct vm_conf *c)
{
	bool wanted = c->ram.group || c->ram.never_share;
	const char *kept = c->ram.path ? c->ram.path : c->ram.dir;
	char id[24];
	dev_t dev;

	if (!asked && kept && !ram_mount_of(fs, kept, id, sizeof(id)))
		return 0;
	c->ram.path = c->ram.dir = NULL;
	if (asked && strcmp(asked, "none")) {
		*(is_folder(asked) ? &c->ram.dir : &c->ram.path) = asked;
		return !ram_mount_of(fs, asked, id, sizeof(id)) ? 0 :
			fail(verb, "--ram-file %s: is not on a penumbra mount; "
			     "mount -t penumbra none " RAM_MOUNT, asked);
	}
	if (!asked && !ram_mount_at(fs, RAM_MOUNT, &dev) && !hostfs_access(fs, W_OK, RAM_MOUNT))
		c->ram.dir = RAM_MOUNT;
	else if (wanted)
		return fail(verb, "groups and sharing are of RAM files: "
			    "mount -t penumbra none " RAM_MOUNT ", or give --ram-file");
	return 0;
}

/* A file of a folder that 'penumbra save' made: without it the image is lost. */
static int check_no_image(const char *verb, const char *path)
{
	const char *slash = strrchr(path, '/');
	int len = slash ? slash - path : 1;
	char conf[PATH_MAX];

	snprintf(conf, sizeof(conf), "%.*s/vm.json", len, slash ? path : ".");
	if (access(path, F_OK) || access(conf, F_OK))
		return 0;
	return fail(verb, "--ram-file %s: is of the image in %.*s: give another file, or remove the image "
		    "first", path, len, slash ? path : ".");
}

static int create_ram(const char *verb, const struct vm_conf *c, int source, bool replace)
{
	const char *where = c->ram.path ? c->ram.path : c->ram.dir, *step;
	int fd = ram_create(&c->ram, c->name, source, replace, &step);

	if (fd == -EBUSY)
		fail(verb, "%s: another VM uses this file as its RAM", where);
	else if (fd == -EDEADLK)
		fail(verb, "%s: is the memory that the new VM is made from: give another file", where);
	else if (fd == -EEXIST)
		fail(verb, "%s: holds a VM's memory: give another file, or say --replace and it is lost",
		     where);
	else if (fd < 0)
		fail(verb, "cannot %s %s: %s", step, where, strerror(-fd));
	return fd;
}

int launch_make_ram(const char *verb, const struct vm_conf *c, int source, bool replace, int *fd)
{
	int ret = c->ram.path ? check_no_image(verb, c->ram.path) : 0;

	*fd = -1;
	if (ret || (!c->ram.path && !c->ram.dir))
		return ret;
	ret = create_ram(verb, c, source, replace);
	if (ret < 0)
		return STATUS_FAILED;
	*fd = ret;
	return 0;
}

void launch_close_ram(const struct vm_conf *c, int fd, bool stands)
{
	if (fd < 0)
		return;
	if (stands)
		close(fd);
	else
		ram_discard(&c->ram, fd);
}

/* ---- start ---- */

int launch_note(const char *verb, const struct vm_conf *c)
{
	char path[PATH_MAX];
	int ret;

	if (mkdir(instance_dir(), 0755) && errno != EEXIST)
		return fail(verb, "cannot make %s: %s; be root, or set PENUMBRA_RUN_DIR",
			    instance_dir(), strerror(errno));
	ret = instance_path(path, sizeof(path), c->name, "json");
	if (!ret)
		ret = vmconf_write(c, path);
	return ret ? fail(verb, "cannot write %s: %s", path, strerror(-ret)) : 0;
}

/* QEMU's first process ends, with status 0, when the VM stands. */
static int run_to_end(const char *verb, struct args *a, const char *name)
{
	pid_t pid;
	int status;

	if (a->failed)
		return fail(verb, "out of memory");
	pid = fork();
	if (pid < 0)
		return fail(verb, "cannot start a process: %s", strerror(errno));
	if (!pid) {
		execvp(a->arg[0], a->arg);
		_exit(fail(verb, "cannot start %s: %s", a->arg[0], strerror(errno)));
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail(verb, "lost QEMU: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return fail(verb, "QEMU did not start '%s': what it printed above says why", name);
	return 0;
}

int launch_detached(const char *verb, const struct vm_conf *c, int ram_fd, bool incoming)
{
	struct qemu_start s = { .detach = true, .incoming = incoming };
	struct args a = {};
	char ram_path[32];
	int ret;

	if (ram_fd >= 0)
		s.ram_path = ram_fd_path(ram_path, ram_fd);
	qemu_command(&a, c, &s);
	ret = run_to_end(verb, &a, c->name);
	args_free(&a);
	return ret;
}

static int feed_state(const char *verb, const struct vm_conf *c, int state_fd, bool paused)
{
	const char *what = "take the state";
	char path[PATH_MAX];
	struct qmp qmp;
	int ret = instance_path(path, sizeof(path), c->name, "sock");

	if (!ret)
		ret = qmp_open(&qmp, path, QMP_TIMEOUT_MS);
	if (ret)
		return fail(verb, "cannot reach the QEMU of '%s': %s", c->name, strerror(-ret));
	ret = vmstate_read(&qmp, state_fd, STATE_TIMEOUT_S);
	if (!ret && !paused) {
		what = "start";
		ret = vmstate_continue(&qmp);
	}
	if (ret)
		ret = running_fail(verb, c, what, &qmp, ret);
	qmp_close(&qmp);
	return ret;
}

int launch_with_state(const char *verb, const struct vm_conf *c, int ram_fd, int state_fd,
		      bool paused)
{
	int ret = launch_note(verb, c);
	pid_t pid;

	if (!ret)
		ret = launch_detached(verb, c, ram_fd, true);
	if (ret)
		return ret;
	ret = feed_state(verb, c, state_fd, paused);
	if (!ret)
		return 0;
	/* half a VM is of no use to anybody */
	pid = instance_pid(c->name);
	if (pid)
		kill(pid, SIGTERM);
	return ret;
}
