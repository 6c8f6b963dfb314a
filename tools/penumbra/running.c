// SPDX-License-Identifier: GPL-2.0
/* VMs that run: finding one with its RAM file, stopping it, its state, its disks; see launch.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "launch.h"
#include "libpenumbra/instance.h"
#include "libpenumbra/ramfiles.h"
#include "libpenumbra/text.h"
#include "libpenumbra/vmstate.h"

#define QMP_TIMEOUT_MS	20000
#define STATE_TIMEOUT_S	120

int running_fail(const char *verb, const struct vm_conf *c, const char *what,
		 const struct qmp *qmp, int err)
{
	bool told = err == -EREMOTEIO || err == -EBUSY;

	return fail(verb, "'%s' did not %s: %s", c->name, what,
		    told && qmp->error[0] ? qmp->error : strerror(-err));
}

/* ---- finding ---- */

static int read_conf(const char *verb, const char *name, struct running *vm)
{
	char path[PATH_MAX];
	const char *what;
	int ret = instance_path(path, sizeof(path), name, "json");

	if (!ret)
		ret = vmconf_read(&vm->conf, path, &what);
	if (!ret)
		return 0;
	vmconf_free(&vm->conf);
	if (ret == -ENOENT)
		return fail(verb, "%s is missing: '%s' was not started by this version's 'penumbra "
			    "run'", path, name);
	if (ret == -EINVAL)
		return fail(verb, "%s is damaged%s%s", path, *what ? ": see its member " : "", what);
	return fail(verb, "cannot read %s: %s", path, strerror(-ret));
}

/* Of several the one it was given first. */
static const struct ram_user *user_of_process(const struct ram_users *users, pid_t pid)
{
	const struct ram_user *first = NULL;

	for (size_t i = 0; i < users->nr; i++)
		if (users->user[i].pid == pid && (!first || users->user[i].fd < first->fd))
			first = &users->user[i];
	return first;
}

/* The RAM file of process @pid: a descriptor or -errno; -ENOENT: it has none. */
static int open_ram(const struct hostfs *fs, pid_t pid)
{
	struct ram_users users = {};
	const struct ram_user *user;
	struct ram_list list;
	int ret = ram_list_read(fs, &list);

	if (ret)
		return ret;
	ret = ram_users_read(fs, &list, &users);
	user = ret ? NULL : user_of_process(&users, pid);
	if (!ret)
		ret = user ? hostfs_open_file(fs, O_RDONLY, "/proc/%d/fd/%d", (int)pid, user->fd) :
			     -ENOENT;
	ram_users_free(&users);
	ram_list_free(&list);
	return ret;
}

/* Its RAM and its QMP. */
static int attach(const struct hostfs *fs, const char *verb, const char *name, struct running *vm)
{
	char path[PATH_MAX];
	int ret;

	vm->ram_fd = open_ram(fs, vm->pid);
	if (vm->ram_fd == -ENOENT)
		return fail(verb, "the memory of '%s' is no RAM file: mount -t penumbra none " RAM_MOUNT
			    " before it starts, or start it with --ram-file", name);
	if (vm->ram_fd < 0)
		return fail(verb, "cannot open the RAM of '%s': %s", name, strerror(-vm->ram_fd));
	ret = instance_path(path, sizeof(path), name, "sock");
	if (!ret)
		ret = qmp_open(&vm->qmp, path, QMP_TIMEOUT_MS);
	if (!ret)
		return 0;
	close(vm->ram_fd);
	return fail(verb, "cannot reach the QEMU of '%s': %s", name, ret == -ETIMEDOUT ?
		    "somebody else holds its QMP connection" : strerror(-ret));
}

int running_open(const struct hostfs *fs, const char *verb, const char *name, struct running *vm)
{
	int ret;

	*vm = (struct running){ .ram_fd = -1 };
	vm->pid = text_is_name(name) ? instance_pid(name) : 0;
	if (!vm->pid)
		return fail(verb, "no VM '%s' of 'penumbra run' is running", name);
	ret = read_conf(verb, name, vm);
	if (ret)
		return ret;
	ret = attach(fs, verb, name, vm);
	if (ret)
		vmconf_free(&vm->conf);
	return ret;
}

void running_close(struct running *vm)
{
	qmp_close(&vm->qmp);
	close(vm->ram_fd);
	vmconf_free(&vm->conf);
}

/* ---- disks ---- */

bool overlay_path(char *buf, size_t size, const char *dir, const char *name, unsigned int disk)
{
	return (size_t)snprintf(buf, size, "%s/%s-disk%u.qcow2", dir, name, disk) < size;
}

int running_check_disks(const char *verb, struct running *vm, const char *overlay_dir,
			const char *otherwise)
{
	struct vm_writable w;
	int ret = vmstate_writable(&vm->qmp, &vm->conf, &w);

	if (ret)
		return running_fail(verb, &vm->conf, "tell its disks", &vm->qmp, ret);
	if (w.others)
		return fail(verb, "'%s' can write disks that were given to QEMU itself, after \"--\": "
			    "only those of --disk can be taken care of", vm->conf.name);
	if (w.any && !overlay_dir)
		return fail(verb, "'%s' can write its disks, and two guests must not write one: give "
			    "--disk-overlay FOLDER%s", vm->conf.name, otherwise);
	return 0;
}

/* A new overlay must not take the place of a file. */
static int check_overlay(const char *verb, const char *path)
{
	if (!access(path, F_OK))
		return fail(verb, "--disk-overlay: %s is there already: remove it, or give another "
			    "folder", path);
	return 0;
}

static int make_overlay(const char *verb, const char *path, const struct args_disk *below)
{
	const char *format = below->format == ARGS_DISK_QCOW2 ? "qcow2" : "raw";
	char *base = realpath(below->path, NULL);
	pid_t pid;
	int status = -1;

	if (!base)
		return fail(verb, "disk %s: %s", below->path, strerror(errno));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		execlp("qemu-img", "qemu-img", "create", "-q", "-f", "qcow2", "-F", format, "-b", base,
		       path, NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	free(base);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return fail(verb, "qemu-img could not make %s%s", path,
			    WIFEXITED(status) && WEXITSTATUS(status) == 127 ?
			    ": install qemu-utils" : "");
	return 0;
}

int overlay_disks(const char *verb, const char *dir, struct vm_conf *c)
{
	char path[ARGS_DISK_PATH];
	int ret = 0;

	for (unsigned int i = 0; !ret && i < c->nr_disks; i++) {
		if (!overlay_path(path, sizeof(path), dir, c->name, i))
			return fail(verb, "--disk-overlay %s: too long", dir);
		ret = check_overlay(verb, path);
		if (!ret)
			ret = make_overlay(verb, path, &c->disk[i]);
		if (ret)
			break;
		strcpy(c->disk[i].path, path);
		c->disk[i].format = ARGS_DISK_QCOW2;
	}
	return ret;
}

/* The stopped VM's own overlays, which its QEMU makes. */
static int put_overlays(const char *verb, struct running *vm, const char *dir)
{
	char path[ARGS_DISK_PATH], name[TEXT_NAME_MAX + 24];
	int ret = 0;

	/* each time another one: those before stay below */
	snprintf(name, sizeof(name), "%s-%llx", vm->conf.name, (unsigned long long)time(NULL));
	for (unsigned int i = 0; !ret && i < vm->conf.nr_disks; i++) {
		if (!overlay_path(path, sizeof(path), dir, name, i))
			return fail(verb, "--disk-overlay %s: too long", dir);
		ret = check_overlay(verb, path);
		if (ret)
			return ret;
		ret = vmstate_overlay(&vm->qmp, i, path);
		if (ret)
			return running_fail(verb, &vm->conf, "put an overlay over its disk", &vm->qmp,
					    ret);
		strcpy(vm->conf.disk[i].path, path);
		vm->conf.disk[i].format = ARGS_DISK_QCOW2;
	}
	return ret;
}

/* ---- stopping ---- */

int running_thaw(const char *verb, struct running *vm)
{
	int ret = vm->was_running ? vmstate_continue(&vm->qmp) : 0;

	return ret ? running_fail(verb, &vm->conf, "go on", &vm->qmp, ret) : 0;
}

int running_freeze(const char *verb, struct running *vm, const char *overlay_dir, int state_fd,
		   struct args_disk *disks)
{
	int ret = vmstate_stop(&vm->qmp, &vm->was_running);

	memcpy(disks, vm->conf.disk, sizeof(vm->conf.disk));
	if (ret)
		return running_fail(verb, &vm->conf, "stop", &vm->qmp, ret);
	if (overlay_dir && vm->conf.nr_disks) {
		ret = put_overlays(verb, vm, overlay_dir);
		if (launch_note(verb, &vm->conf) && !ret)
			ret = STATUS_FAILED;
	}
	if (!ret) {
		ret = vmstate_write(&vm->qmp, state_fd, STATE_TIMEOUT_S);
		if (ret)
			ret = running_fail(verb, &vm->conf, "write its state", &vm->qmp, ret);
	}
	if (ret)
		(void)running_thaw(verb, vm);
	return ret;
}
