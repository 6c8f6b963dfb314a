/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From a VM's description to a running QEMU; for the verbs run, clone and restore.
 *
 * All return 0, or an exit status after one line on standard error.
 */
#ifndef PENUMBRA_LAUNCH_H
#define PENUMBRA_LAUNCH_H

#include "builtin.h"
#include "libpenumbra/qmp.h"
#include "libpenumbra/vmconf.h"

/* Are its name and the files of that name free? */
int launch_check_name(const char *verb, const char *name);
/* Is @path, given with the option @what, a file this user may open so? */
int launch_check_file(const char *verb, const char *what, const char *path, int mode);
/* Is @path a folder this user may make files in? *@full: from the root, to be freed. */
int launch_check_folder(const char *verb, const char *what, const char *path, char **full);
/* Is QEMU there? */
int launch_check_program(const char *verb, const struct vm_conf *conf);
/* Can /dev/kvm be opened, and does it give so many vCPUs? */
int launch_check_kvm(const struct hostfs *fs, const char *verb, const struct vm_conf *conf);

/*
 * Where the RAM file is to be. @asked: what --ram-file said, a file, a folder or "none"; NULL:
 * nothing, and then @conf->ram stays if it is on a penumbra mount, else it becomes a file in
 * /dev/penumbra if the filesystem is mounted there, else none.
 */
int launch_place_ram(const struct hostfs *fs, const char *verb, const char *asked,
		     struct vm_conf *conf);

/*
 * The file itself, a descriptor in *@fd; -1 when the VM has anonymous memory. @source: open at the
 * file it is to be filled from, or -1; @replace: a file with contents may make place (ramcopy.h).
 */
int launch_make_ram(const char *verb, const struct vm_conf *conf, int source, bool replace,
		    int *fd);
/* Closes @fd; if the VM does not stand its file goes as well. */
void launch_close_ram(const struct vm_conf *conf, int fd, bool stands);

/* The folder of the VM's files, and its description there. */
int launch_note(const char *verb, const struct vm_conf *conf);

/* In the background: until the VM stands. @incoming: it waits for its state. */
int launch_detached(const char *verb, const struct vm_conf *conf, int ram_fd, bool incoming);

/* In the background, from a state (vmstate.h) and a RAM file that is filled; runs unless @paused. */
int launch_with_state(const char *verb, const struct vm_conf *conf, int ram_fd, int state_fd,
		      bool paused);

/* ---- VMs that run: running.c ---- */

struct running {
	pid_t pid;
	struct vm_conf conf;
	struct qmp qmp;
	int ram_fd;		/* its RAM file, for reading */
	bool was_running;	/* before running_stop() */
};

/* A VM that this command started, with its RAM file and its QMP. running_close() after success. */
int running_open(const struct hostfs *fs, const char *verb, const char *name, struct running *vm);
void running_close(struct running *vm);

/* One line on why QEMU did not do it. STATUS_FAILED. */
int running_fail(const char *verb, const struct vm_conf *conf, const char *what,
		 const struct qmp *qmp, int err);

/* May a copy of the VM be made? Not while both would write one disk; @otherwise: what else helps. */
int running_check_disks(const char *verb, struct running *vm, const char *overlay_dir,
			const char *otherwise);

/*
 * Stop the VM, put overlays in @overlay_dir (NULL: none) over its writable disks, and write its state to
 * @state_fd. On failure it runs on as before. Its description, in @vm and beside it,
 * then names the overlays; @disks gets the images below, which nobody writes any more.
 */
int running_freeze(const char *verb, struct running *vm, const char *overlay_dir, int state_fd,
		   struct args_disk *disks);
/* As it was before running_freeze(). */
int running_thaw(const char *verb, struct running *vm);

/*
 * New qcow2 files in @dir, NAME-diskN.qcow2, on top of @conf's disks, which they take the place of.
 */
int overlay_disks(const char *verb, const char *dir, struct vm_conf *conf);
/* The path of one; false: too long. */
bool overlay_path(char *buf, size_t size, const char *dir, const char *name, unsigned int disk);

#endif
