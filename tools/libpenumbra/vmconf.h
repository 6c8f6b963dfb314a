/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a VM is made of, as "penumbra run" was told. Kept as JSON beside the VM's other files
 * (instance.h) and in saved images, so that a second one can be made like it.
 */
#ifndef LIBPENUMBRA_VMCONF_H
#define LIBPENUMBRA_VMCONF_H

#include <json-c/json.h>
#include <stdint.h>
#include "libpenumbra/args.h"

#define VM_MAX_DISKS	8

/* Its memory as a RAM file; all NULL and false: anonymous memory. */
struct vm_ram {
	const char *path;	/* a file that stays */
	const char *dir;	/* or the folder of one that goes with the VM */
	const char *group;	/* NULL: as the folder says */
	bool never_share;
};

struct vm_conf {
	const char *name, *kernel, *initrd, *append, *cdrom, *qemu;
	struct args_disk disk[VM_MAX_DISKS];
	unsigned int nr_disks;
	uint64_t memory_bytes, vcpus;
	struct vm_ram ram;
	char **extra;		/* more of QEMU's arguments, NULL-terminated */

	/* of one that was read: what the pointers above point into */
	struct json_object *text;
	char **extra_space;
};

/* Paths become absolute. NULL: out of memory. */
struct json_object *vmconf_to_json(const struct vm_conf *conf);

/*
 * 0; -ENOMEM; or -EINVAL, and *@what is the member that is missing or not as it should be.
 * vmconf_free() afterwards, also after an error.
 */
int vmconf_from_json(struct vm_conf *conf, struct json_object *object, const char **what);
void vmconf_free(struct vm_conf *conf);

/* To a file that takes the place of one there was. 0 or -errno. */
int vmconf_write(const struct vm_conf *conf, const char *path);
/* 0 or -errno; -EINVAL as vmconf_from_json(), with *@what "" when the file is no JSON. */
int vmconf_read(struct vm_conf *conf, const char *path, const char **what);

#endif
