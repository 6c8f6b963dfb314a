// SPDX-License-Identifier: GPL-2.0
/* The binary statistics of a VM and of a vCPU. */
#include <stdio.h>
#include <unistd.h>

#include "abi.h"

struct stats {
	int fd;
	struct kvm_stats_header head;
	uint8_t *desc;
	size_t desc_size;
	char id[128];
};

static bool open_stats(struct stats *s, int owner, const char *name)
{
	s->fd = ioctl(owner, KVM_GET_STATS_FD, 0);
	if (!tap_ok(s->fd >= 0, "KVM_GET_STATS_FD of a %s", name))
		return false;
	if (!tap_eq(pread(s->fd, &s->head, sizeof(s->head), 0), sizeof(s->head), "%s: the header reads", name))
		return false;
	s->desc_size = sizeof(struct kvm_stats_desc) + s->head.name_size;
	s->desc = calloc(s->head.num_desc, s->desc_size);
	tap_ok(s->head.num_desc > 0 && s->head.name_size > 0 && s->head.name_size <= 128 &&
	       s->head.id_offset >= sizeof(s->head) && s->head.desc_offset >= s->head.id_offset + s->head.name_size &&
	       s->head.data_offset >= s->head.desc_offset + s->head.num_desc * s->desc_size,
	       "%s: header consistent (%u statistics)", name, s->head.num_desc);
	tap_eq(pread(s->fd, s->id, s->head.name_size, s->head.id_offset), s->head.name_size, "%s: the id reads", name);
	tap_ok(!strncmp(s->id, "kvm-", 4) && memchr(s->id, 0, s->head.name_size), "%s: id '%s'", name, s->id);
	return tap_eq(pread(s->fd, s->desc, s->head.num_desc * s->desc_size, s->head.desc_offset),
		      s->head.num_desc * s->desc_size, "%s: the descriptors read", name);
}

static struct kvm_stats_desc *desc(struct stats *s, unsigned int i)
{
	return (struct kvm_stats_desc *)(s->desc + i * s->desc_size);
}

static void consistent(struct stats *s, const char *name)
{
	unsigned int bad = 0;
	uint64_t end = 0;

	for (unsigned int i = 0; i < s->head.num_desc; i++) {
		struct kvm_stats_desc *d = desc(s, i);
		uint32_t type = d->flags & KVM_STATS_TYPE_MASK, unit = d->flags & KVM_STATS_UNIT_MASK,
			 base = d->flags & KVM_STATS_BASE_MASK;

		if (type > KVM_STATS_TYPE_MAX || unit > (0x4 << KVM_STATS_UNIT_SHIFT) ||
		    base > KVM_STATS_BASE_MAX || d->size < 1 || !d->name[0] ||
		    !memchr(d->name, 0, s->head.name_size) || d->offset % 8) {
			tap_note("statistic %u: flags %#x size %u offset %u", i, d->flags, d->size, d->offset);
			bad++;
		}
		for (unsigned int j = 0; j < i; j++)
			if (!strcmp(d->name, desc(s, j)->name)) {
				tap_note("'%s' twice", d->name);
				bad++;
			}
		if (d->offset + d->size * 8 > end)
			end = d->offset + d->size * 8;
	}
	tap_eq(bad, 0, "%s: descriptors consistent", name);
	uint64_t *data = calloc(1, end);
	tap_eq(pread(s->fd, data, end, s->head.data_offset), end, "%s: the data reads", name);
	tap_eq(pread(s->fd, data, 8, s->head.data_offset + end + 4096), 0, "%s: nothing far behind the data", name);
	free(data);
}

static bool value(struct stats *s, const char *name, uint64_t *val)
{
	for (unsigned int i = 0; i < s->head.num_desc; i++)
		if (!strcmp(desc(s, i)->name, name))
			return pread(s->fd, val, 8, s->head.data_offset + desc(s, i)->offset) == 8;
	return false;
}

static void changes(struct vmm *v, struct stats *s)
{
	uint64_t before = 0, after = 0, io = 0, io2 = 0, mmio = 0, mmio2 = 0;
	struct kvm_regs r;

	/* out; mov (%rdi),%eax; hlt */
	LOAD(v, 0xe6, 0x80, 0x8b, 0x07, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	r = vmm_regs(v, 0);
	r.rdi = VMM_HOLE;
	vmm_set_regs(v, 0, &r);
	tap_ok(value(s, "exits", &before) && value(s, "io_exits", &io) && value(s, "mmio_exits", &mmio),
	       "vCPU statistics have exits, io_exits, mmio_exits");
	RUNS_TO(v, KVM_EXIT_IO, "port I/O");
	RUNS_TO(v, KVM_EXIT_MMIO, "MMIO");
	RUNS_TO(v, KVM_EXIT_HLT, "HLT");
	value(s, "exits", &after);
	value(s, "io_exits", &io2);
	value(s, "mmio_exits", &mmio2);
	tap_ok(after >= before + 3, "exits counts (%llu, %llu)", (unsigned long long)before, (unsigned long long)after);
	tap_eq(io2 - io, 1, "io_exits counts one");
	tap_eq(mmio2 - mmio, 1, "mmio_exits counts one");
}

void abi_stats(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);
	struct stats vm, vcpu;
	uint64_t val;

	if (open_stats(&vm, v->vm, "VM")) {
		consistent(&vm, "VM");
		tap_ok(value(&vm, "remote_tlb_flush", &val), "VM statistics have remote_tlb_flush");
	}
	if (open_stats(&vcpu, v->vcpu[0], "vCPU")) {
		consistent(&vcpu, "vCPU");
		changes(v, &vcpu);
	}
	tap_ok(write(vm.fd, &val, 8) < 0, "statistics cannot be written");
	close(v->vm);
	v->vm = -1;
	tap_ok(pread(vcpu.fd, &val, 8, vcpu.head.data_offset) == 8, "statistics read after the VM was closed");
	free(vm.desc);
	free(vcpu.desc);
	close(vm.fd);
	close(vcpu.fd);
	vmm_free(v);
}
