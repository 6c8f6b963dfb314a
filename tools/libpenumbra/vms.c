// SPDX-License-Identifier: GPL-2.0
/* The VMs of penumbra_kvm; see vms.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libpenumbra/platform.h"
#include "libpenumbra/text.h"
#include "libpenumbra/vms.h"

#define PAGE_BYTES	4096u	/* all counts of pages are of 4 KiB */

int vms_counters_read(const struct hostfs *fs, struct vms_counters *counters, const char *dir)
{
	struct hostfs_names names;
	struct vms_counter *c;
	int ret;

	*counters = (struct vms_counters){};
	ret = hostfs_list(fs, &names, "%s", dir);
	if (ret)
		return ret;
	counters->counter = calloc(names.nr + 1, sizeof(*counters->counter));
	if (!counters->counter)
		ret = -ENOMEM;
	for (size_t i = 0; !ret && i < names.nr; i++) {
		c = &counters->counter[counters->nr];
		if (hostfs_read_u64(fs, &c->value, "%s/%s", dir, names.name[i]))
			continue;
		c->name = names.name[i];
		names.name[i] = NULL;
		counters->nr++;
	}
	hostfs_names_free(&names);
	return ret;
}

void vms_counters_free(struct vms_counters *counters)
{
	for (size_t i = 0; i < counters->nr; i++)
		free(counters->counter[i].name);
	free(counters->counter);
	*counters = (struct vms_counters){};
}

uint64_t vms_counter(const struct vms_counters *counters, const char *name)
{
	for (size_t i = 0; i < counters->nr; i++)
		if (!strcmp(counters->counter[i].name, name))
			return counters->counter[i].value;
	return 0;
}

static void read_process(const struct hostfs *fs, struct vms_vm *vm)
{
	size_t len;
	char *text = hostfs_read_all(fs, &len, "/proc/%d/cmdline", (int)vm->pid);

	if (text && !text_name_of_cmdline(text, len, vm->name, sizeof(vm->name)))
		vm->name[0] = 0;
	free(text);
	text = hostfs_read_all(fs, &len, "/proc/%d/status", (int)vm->pid);
	if (!text || platform_kib_line(text, "VmRSS", &vm->resident_bytes))
		vm->resident_bytes = 0;
	free(text);
}

/* Files that a version of the module may lack: 0 then. */
static uint64_t read_pages(const struct hostfs *fs, const struct vms_vm *vm, const char *file)
{
	uint64_t n;

	return hostfs_read_u64(fs, &n, VMS_DIR "/vms/%u/%s", vm->id, file) ? 0 : n;
}

/* A page of a table is not all that shadow mode takes for it: shadow_bytes says what is. */
static uint64_t table_bytes(const struct hostfs *fs, const struct vms_vm *vm)
{
	uint64_t pages = read_pages(fs, vm, "table_pages"), shadow = vms_counter(&vm->stat, "shadow_pages"), bytes;

	if (shadow > pages || hostfs_read_u64(fs, &bytes, VMS_DIR "/vms/%u/shadow_bytes", vm->id))
		return pages * PAGE_BYTES;
	return (pages - shadow) * PAGE_BYTES + bytes;
}

static void read_memory(const struct hostfs *fs, struct vms_vm *vm)
{
	vm->memory_bytes = read_pages(fs, vm, "memory_pages") * PAGE_BYTES;
	vm->table_bytes = table_bytes(fs, vm);
	vm->mapped_bytes = (read_pages(fs, vm, "pages_4k") +
			    read_pages(fs, vm, "pages_2m") * 512 +
			    read_pages(fs, vm, "pages_1g") * 512 * 512) * PAGE_BYTES;
}

static int read_vm(const struct hostfs *fs, const char *id, struct vms_vm *vm)
{
	char dir[64];
	uint64_t n;
	int ret;

	*vm = (struct vms_vm){};
	if (text_parse_u64(id, &n) || n > UINT32_MAX)
		return -ENOENT;
	vm->id = n;
	ret = hostfs_read_u64(fs, &n, VMS_DIR "/vms/%u/pid", vm->id);
	if (ret)
		return ret;
	vm->pid = n <= INT32_MAX ? (pid_t)n : 0;
	if (hostfs_read(fs, vm->mode, sizeof(vm->mode), VMS_DIR "/vms/%u/mmu", vm->id) < 0 ||
	    hostfs_read_u64(fs, &vm->vcpus, VMS_DIR "/vms/%u/vcpus", vm->id))
		return -ENOENT;
	snprintf(dir, sizeof(dir), VMS_DIR "/vms/%u/stat", vm->id);
	ret = vms_counters_read(fs, &vm->stat, dir);
	if (ret)
		return ret;
	read_memory(fs, vm);
	read_process(fs, vm);
	return 0;
}

int vms_read(const struct hostfs *fs, struct vms_list *list)
{
	struct hostfs_names names;
	int ret;

	*list = (struct vms_list){};
	ret = hostfs_list(fs, &names, VMS_DIR "/vms");
	if (ret)
		return ret;
	list->vm = calloc(names.nr + 1, sizeof(*list->vm));
	if (!list->vm)
		ret = -ENOMEM;
	for (size_t i = 0; !ret && i < names.nr; i++) {
		ret = read_vm(fs, names.name[i], &list->vm[list->nr]);
		if (!ret)
			list->nr++;
		else if (ret == -ENOENT || ret == -ENODEV || ret == -EINVAL)
			ret = 0;	/* gone meanwhile, or not a VM */
	}
	hostfs_names_free(&names);
	if (ret)
		vms_free(list);
	return ret;
}

void vms_free(struct vms_list *list)
{
	for (size_t i = 0; i < list->nr; i++)
		vms_counters_free(&list->vm[i].stat);
	free(list->vm);
	*list = (struct vms_list){};
}

struct vms_vm *vms_find(const struct vms_list *list, const char *which, bool *many)
{
	struct vms_vm *found = NULL;
	uint64_t id;

	*many = false;
	if (!text_parse_u64(which, &id))
		for (size_t i = 0; i < list->nr; i++)
			if (list->vm[i].id == id)
				return &list->vm[i];
	for (size_t i = 0; i < list->nr; i++) {
		if (strcmp(list->vm[i].name, which))
			continue;
		*many = found;
		found = &list->vm[i];
		if (*many)
			break;
	}
	return found;
}
