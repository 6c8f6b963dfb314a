/* SPDX-License-Identifier: GPL-2.0 */
/* QEMU's command line for a VM. */
#ifndef LIBPENUMBRA_QEMU_H
#define LIBPENUMBRA_QEMU_H

#include "libpenumbra/vmconf.h"

struct qemu_start {
	bool detach;		/* in the background, the console a socket */
	bool incoming;		/* wait for a state by QMP before anything runs */
	const char *ram_path;	/* its RAM file, or the folder to make one in; NULL: anonymous memory */
};

void qemu_command(struct args *a, const struct vm_conf *conf, const struct qemu_start *start);

#endif
