/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The files of a VM that "penumbra run" started, in $PENUMBRA_RUN_DIR or
 * /run/penumbra:
 *
 *   NAME.pid      QEMU's process id, locked by QEMU while it lives
 *   NAME.sock     QMP
 *   NAME.console  the console of a detached VM, a socket
 *   NAME.log      what that console printed
 */
#ifndef LIBPENUMBRA_INSTANCE_H
#define LIBPENUMBRA_INSTANCE_H

#include <stddef.h>
#include <sys/types.h>

const char *instance_dir(void);

/* DIR/NAME.SUFFIX, in @buf: 0 or -ENAMETOOLONG. */
int instance_path(char *buf, size_t size, const char *name, const char *suffix);

/* The process that runs the VM of this name, or 0. */
pid_t instance_pid(const char *name);

#endif
