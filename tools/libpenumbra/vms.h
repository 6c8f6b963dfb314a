/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VMs of penumbra_kvm, from /sys/kernel/penumbra (docs/abi.md), with the
 * names of their VMMs from /proc/<pid>/cmdline.
 */
#ifndef LIBPENUMBRA_VMS_H
#define LIBPENUMBRA_VMS_H

#include "libpenumbra/hostfs.h"

#define VMS_DIR	"/sys/kernel/penumbra"

struct vms_counter {
	char *name;
	uint64_t value;
};

/* Counters, sorted by name. */
struct vms_counters {
	struct vms_counter *counter;
	size_t nr;
};

struct vms_vm {
	uint32_t id;
	pid_t pid;
	char name[64];		/* "" when its VMM has none */
	char mode[16];		/* "nested" */
	uint64_t vcpus;
	uint64_t memory_bytes;		/* of its slots; 0 when not known */
	uint64_t mapped_bytes;		/* the guest can reach without a fault */
	uint64_t table_bytes;		/* of the page tables made for it, with what shadow mode keeps beside them */
	uint64_t resident_bytes;	/* of its VMM's process; 0 when that is gone */
	struct vms_counters stat;
};

struct vms_list {
	struct vms_vm *vm;
	size_t nr;
};

/* All VMs by id. -ENOENT: the module is not loaded. One that ends meanwhile is left out. */
int vms_read(const struct hostfs *fs, struct vms_list *list);
void vms_free(struct vms_list *list);

/* By id, or else by name. NULL when there is none; *@many when several have the name. */
struct vms_vm *vms_find(const struct vms_list *list, const char *which, bool *many);

/* A folder of files that hold one number each. Files that hold something else are left out. */
int vms_counters_read(const struct hostfs *fs, struct vms_counters *counters, const char *dir);
void vms_counters_free(struct vms_counters *counters);
/* 0 when there is no such counter. */
uint64_t vms_counter(const struct vms_counters *counters, const char *name);

#endif
