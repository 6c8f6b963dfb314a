// SPDX-License-Identifier: GPL-2.0
/*
 * KVM's binary statistics: a read-only file of four parts,
 *
 *   header │ id string │ descriptors │ data (u64 each)
 *
 * which describes itself, so that tools (QEMU's query-stats) need not know
 * our figures. The tables below are also what /sys/kernel/penumbra shows.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "kvm/stats.h"
#include "kvm/vcpu.h"

#define STAT_NAME_SIZE	48	/* as the stock module's */
#define COUNT	(KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)
#define GAUGE	(KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)

enum pn_stat_base { BASE_VM, BASE_VM_MMU, BASE_VCPU, BASE_VCPU_MMU };

#define VM(type, field)		{ #field, type, BASE_VM, offsetof(struct pn_vm_stat, field) }
#define VM_MMU(type, name, field) { name, type, BASE_VM_MMU, offsetof(struct mmu_vm_stat, field) }
#define VCPU(type, field)	{ #field, type, BASE_VCPU, offsetof(struct pn_vcpu_stat, field) }
#define VCPU_MMU(name, field)	{ name, COUNT, BASE_VCPU_MMU, offsetof(struct mmu_vcpu_stat, field) }

const struct pn_stat_desc pn_vm_stat_desc[] = {
	VM_MMU(COUNT, "remote_tlb_flush", flushes),
	VM(COUNT, mmu_notifier_unmaps),
	VM(COUNT, mmu_notifier_ages),
	VM_MMU(GAUGE, "pages_4k", mapped[0]),
	VM_MMU(GAUGE, "pages_2m", mapped[1]),
	VM_MMU(GAUGE, "pages_1g", mapped[2]),
	VM_MMU(GAUGE, "table_pages", tables),
	VM_MMU(GAUGE, "shadow_pages", shadow_pages),
	VM_MMU(GAUGE, "shadow_leaves", shadow_leaves),
	VM_MMU(GAUGE, "shadow_traced", traced),
	VM_MMU(COUNT, "shadow_dropped", shadow_dropped),
	VM_MMU(COUNT, "mmu_unmapped", invalidated),
	VM_MMU(COUNT, "mmu_collapsed", collapsed),
	VM_MMU(COUNT, "mmu_recycled", reclaimed),
	VM_MMU(COUNT, "dirty_pages", harvested),
};
const unsigned int pn_nr_vm_stats = ARRAY_SIZE(pn_vm_stat_desc);

const struct pn_stat_desc pn_vcpu_stat_desc[] = {
	VCPU(COUNT, exits),
	VCPU(COUNT, pf_taken),
	VCPU(COUNT, pf_fixed),
	VCPU(COUNT, pf_mmio),
	VCPU_MMU("pf_guest", reflected),
	VCPU(COUNT, pf_emulate),
	VCPU_MMU("pf_fixed_4k", fixed[0]),
	VCPU_MMU("pf_fixed_2m", fixed[1]),
	VCPU_MMU("pf_fixed_1g", fixed[2]),
	VCPU_MMU("pf_around", around),
	VCPU_MMU("pf_upgraded", upgraded),
	VCPU_MMU("pf_spurious", spurious),
	VCPU_MMU("pf_retried", retried),
	VCPU_MMU("pf_slept", slept),
	VCPU(COUNT, io_exits),
	VCPU(COUNT, mmio_exits),
	VCPU(COUNT, signal_exits),
	VCPU(COUNT, irq_window_exits),
	VCPU(COUNT, nmi_window_exits),
	VCPU(COUNT, halt_exits),
	VCPU(COUNT, irq_exits),
	VCPU(COUNT, request_irq_exits),
	VCPU(COUNT, irq_injections),
	VCPU(COUNT, nmi_injections),
	VCPU(COUNT, exception_injections),
	VCPU(COUNT, insn_emulation),
	VCPU(COUNT, insn_emulation_fail),
	VCPU(COUNT, hypercalls),
	VCPU(COUNT, tlb_flush),
	VCPU_MMU("invlpg", invlpg),
	VCPU_MMU("shadow_hidden", hidden),
	VCPU_MMU("shadow_ahead", ahead),
	VCPU_MMU("shadow_linked", linked),
	VCPU_MMU("shadow_compared", compared),
	VCPU_MMU("shadow_corrected", corrected),
	VCPU_MMU("shadow_torn", torn),
	VCPU_MMU("shadow_untraced", untraced),
	VCPU_MMU("shadow_loads", loads),
	VCPU(COUNT, cr_exits),
	VCPU(COUNT, dr_exits),
	VCPU(COUNT, msr_exits),
	VCPU(COUNT, cpuid_exits),
	VCPU(COUNT, user_exits),
};
const unsigned int pn_nr_vcpu_stats = ARRAY_SIZE(pn_vcpu_stat_desc);

/* atomic64_t and u64 are read alike. */
static_assert(sizeof(atomic64_t) == sizeof(u64));

static u64 stat_read(const struct pn_stat_desc *desc, struct pn_vm *vm, struct pn_vcpu *vcpu)
{
	const void *base = NULL;

	switch (desc->where) {
	case BASE_VM:
		base = &vm->stat;
		break;
	case BASE_VM_MMU:
		base = &vm->mmu.stat;
		break;
	case BASE_VCPU:
		base = &vcpu->stat;
		break;
	case BASE_VCPU_MMU:
		base = &vcpu->mmu.stat;
		break;
	}
	return READ_ONCE(*(const u64 *)(base + desc->offset));
}

u64 pn_vm_stat_read(struct pn_vm *vm, unsigned int i)
{
	return stat_read(&pn_vm_stat_desc[i], vm, NULL);
}

u64 pn_vcpu_stat_read(struct pn_vcpu *vcpu, unsigned int i)
{
	return stat_read(&pn_vcpu_stat_desc[i], vcpu->vm, vcpu);
}

/* ---- the file ---- */

/* An open one. Holds a reference on the VM. */
struct stats_file {
	struct pn_vm *vm;
	struct pn_vcpu *vcpu;		/* or NULL: the VM's own */
	const struct pn_stat_desc *desc;
	unsigned int nr;
	char id[STAT_NAME_SIZE];
};

/* struct kvm_stats_desc with its name, which newer kernels' headers count in and older do not. */
struct desc_on_wire {
	u32 flags;
	s16 exponent;
	u16 size;
	u32 offset;
	u32 bucket_size;
	char name[STAT_NAME_SIZE];
};

static_assert(offsetof(struct desc_on_wire, name) == offsetof(struct kvm_stats_desc, name));
static_assert(offsetof(struct desc_on_wire, offset) == offsetof(struct kvm_stats_desc, offset));

static void fill_header(const struct stats_file *f, struct kvm_stats_header *h)
{
	*h = (struct kvm_stats_header){
		.name_size = STAT_NAME_SIZE,
		.num_desc = f->nr,
		.id_offset = sizeof(*h),
		.desc_offset = sizeof(*h) + sizeof(f->id),
		.data_offset = sizeof(*h) + sizeof(f->id) + f->nr * sizeof(struct desc_on_wire),
	};
}

static void fill_desc(const struct stats_file *f, unsigned int i, struct desc_on_wire *d)
{
	memset(d, 0, sizeof(*d));
	d->flags = f->desc[i].flags;
	d->size = 1;
	d->offset = i * sizeof(u64);
	strscpy(d->name, f->desc[i].name, sizeof(d->name));
}

/*
 * Copy what [*pos, *pos + *left) has in common with the @len bytes of @part that lie at
 * @at in the file.
 */
static int copy_part(char __user **buf, size_t *left, loff_t *pos, loff_t at,
		     const void *part, size_t len)
{
	size_t n;

	if (!*left || *pos < at || *pos >= at + len)
		return 0;
	n = min_t(size_t, *left, at + len - *pos);
	if (copy_to_user(*buf, part + (*pos - at), n))
		return -EFAULT;
	*buf += n;
	*left -= n;
	*pos += n;
	return 0;
}

static ssize_t stats_read(struct file *file, char __user *buf, size_t size, loff_t *pos)
{
	struct stats_file *f = file->private_data;
	struct kvm_stats_header header;
	size_t left = size;
	loff_t p = *pos;
	unsigned int i;
	int ret;

	fill_header(f, &header);
	ret = copy_part(&buf, &left, &p, 0, &header, sizeof(header));
	if (!ret)
		ret = copy_part(&buf, &left, &p, header.id_offset, f->id, sizeof(f->id));
	for (i = 0; !ret && i < f->nr; i++) {
		struct desc_on_wire d;

		fill_desc(f, i, &d);
		ret = copy_part(&buf, &left, &p, header.desc_offset + i * sizeof(d), &d, sizeof(d));
	}
	for (i = 0; !ret && i < f->nr; i++) {
		u64 value = stat_read(&f->desc[i], f->vm, f->vcpu);

		ret = copy_part(&buf, &left, &p, header.data_offset + i * sizeof(value),
				&value, sizeof(value));
	}
	if (ret)
		return ret;
	*pos = p;
	return size - left;
}

static int stats_release(struct inode *inode, struct file *file)
{
	struct stats_file *f = file->private_data;

	pn_vm_put(f->vm);
	kfree(f);
	return 0;
}

static const struct file_operations stats_fops = {
	.owner = THIS_MODULE,
	.read = stats_read,
	.llseek = noop_llseek,
	.release = stats_release,
};

static long stats_open(struct pn_vm *vm, struct pn_vcpu *vcpu, const char *name)
{
	struct stats_file *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	struct file *file;
	int fd;

	if (!f)
		return -ENOMEM;
	f->vm = vm;
	f->vcpu = vcpu;
	f->desc = vcpu ? pn_vcpu_stat_desc : pn_vm_stat_desc;
	f->nr = vcpu ? pn_nr_vcpu_stats : pn_nr_vm_stats;
	if (vcpu)
		snprintf(f->id, sizeof(f->id), "kvm-%d-%u/vcpu-%u", vm->pid, vm->id, vcpu->id);
	else
		snprintf(f->id, sizeof(f->id), "kvm-%d-%u", vm->pid, vm->id);

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		kfree(f);
		return fd;
	}
	file = anon_inode_getfile(name, &stats_fops, f, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		kfree(f);
		return PTR_ERR(file);
	}
	file->f_mode |= FMODE_PREAD;
	pn_vm_get(vm);
	fd_install(fd, file);
	return fd;
}

long pn_vm_stats_fd(struct pn_vm *vm)
{
	return stats_open(vm, NULL, "kvm-vm-stats");
}

long pn_vcpu_stats_fd(struct pn_vcpu *vcpu)
{
	char name[24];

	snprintf(name, sizeof(name), "kvm-vcpu-stats:%u", vcpu->id);
	return stats_open(vcpu->vm, vcpu, name);
}
