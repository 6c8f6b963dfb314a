/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The state of a VM out of QEMU and into another one, by QMP: processors and devices. Its
 * RAM is not in it: that is a file, which whoever calls this copies or clones meanwhile
 * (QEMU's migration with the capability x-ignore-shared).
 *
 * All return 0 or -errno; -EREMOTEIO and -EBUSY: qmp->error says what QEMU did not like.
 */
#ifndef LIBPENUMBRA_VMSTATE_H
#define LIBPENUMBRA_VMSTATE_H

#include <stdbool.h>
#include "libpenumbra/qmp.h"
#include "libpenumbra/vmconf.h"

/*
 * Stop the guest. -EBUSY: it is neither running nor paused, but shut down, say. One that
 * stands still since its state was written before runs for an instant: QEMU writes it only then.
 */
int vmstate_stop(struct qmp *qmp, bool *was_running);
int vmstate_continue(struct qmp *qmp);

/* The stopped guest's state to @fd. -ETIMEDOUT after @timeout_s seconds. */
int vmstate_write(struct qmp *qmp, int fd, int timeout_s);

/* Into a QEMU that was started with -incoming defer and stays paused afterwards. */
int vmstate_read(struct qmp *qmp, int fd, int timeout_s);

struct vm_writable {
	bool disk[VM_MAX_DISKS];	/* of the VM's description */
	bool any, others;		/* one at all; one that is not in the description */
};

/* Which disks the guest can write. */
int vmstate_writable(struct qmp *qmp, const struct vm_conf *conf, struct vm_writable *w);

/* From now on disk @nr is written into a new qcow2 file, @path, on top of what it is now. */
int vmstate_overlay(struct qmp *qmp, unsigned int nr, const char *path);

#endif
