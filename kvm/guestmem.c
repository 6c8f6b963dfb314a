// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's memory as the kernel reads and writes it on a vCPU's behalf:
 * through the VMM process's own mapping, so that the host's paging, copy-on-write
 * and sharing apply as for any access of the process, and no page needs a
 * reference.
 *
 * The addresses were checked by access_ok() when the slot was made.
 */
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/asm.h>
#include "kvm/vcpu.h"

/* Of one page: where it is, or why not. */
static int guest_page(struct pn_vcpu *vcpu, u64 gpa, bool write, struct pn_slot **slot,
		      unsigned long *hva)
{
	*slot = pn_slot_find(vcpu->vm, gpa >> PAGE_SHIFT, &vcpu->slot_hint);
	if (unlikely(!*slot))
		return -ENOENT;
	if (write && unlikely((*slot)->flags & KVM_MEM_READONLY))
		return -EROFS;
	*hva = pn_slot_hva(*slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);
	return 0;
}

static inline unsigned int part_in_page(u64 gpa, unsigned int len)
{
	return min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));
}

/*
 * As __copy_from_user_inatomic(). The sizes of page table entries and of most
 * operands are worth one load.
 */
static inline unsigned long copy_in(void *to, const void __user *from, unsigned int len)
{
	switch (len) {
	case 8:
		return __get_user(*(u64 *)to, (const u64 __user *)from) ? len : 0;
	case 4:
		return __get_user(*(u32 *)to, (const u32 __user *)from) ? len : 0;
	default:
		return __copy_from_user_inatomic(to, from, len);
	}
}

static int read_page(struct pn_vcpu *vcpu, u64 gpa, void *buf, unsigned int len, bool atomic)
{
	struct pn_slot *slot;
	unsigned long hva, left;
	int ret = guest_page(vcpu, gpa, false, &slot, &hva);

	if (unlikely(ret))
		return ret;
	if (!atomic) {
		might_fault();
		return copy_in(buf, (void __user *)hva, len) ? -EFAULT : 0;
	}
	pagefault_disable();
	left = copy_in(buf, (void __user *)hva, len);
	pagefault_enable();
	return left ? -EAGAIN : 0;
}

int pn_guest_read(struct pn_vcpu *vcpu, u64 gpa, void *buf, unsigned int len, bool atomic)
{
	int ret;

	while (unlikely(offset_in_page(gpa) + len > PAGE_SIZE)) {
		unsigned int part = part_in_page(gpa, len);

		ret = read_page(vcpu, gpa, buf, part, atomic);
		if (ret)
			return ret;
		gpa += part;
		buf += part;
		len -= part;
	}
	return read_page(vcpu, gpa, buf, len, atomic);
}

static int write_page(struct pn_vcpu *vcpu, u64 gpa, const void *buf, unsigned int len,
		      bool atomic)
{
	struct pn_slot *slot;
	unsigned long hva, left;
	int ret = guest_page(vcpu, gpa, true, &slot, &hva);

	if (unlikely(ret))
		return ret;
	mmu_guest_write_begin(&vcpu->vm->mmu, gpa, len);
	if (atomic) {
		pagefault_disable();
		left = __copy_to_user_inatomic((void __user *)hva, buf, len);
		pagefault_enable();
	} else {
		left = __copy_to_user((void __user *)hva, buf, len);
	}
	mmu_guest_write_end(&vcpu->vm->mmu);
	/* Also when only a part was written. */
	pn_slot_mark_dirty(slot, gpa >> PAGE_SHIFT);
	if (left)
		return atomic ? -EAGAIN : -EFAULT;
	return 0;
}

int pn_guest_write(struct pn_vcpu *vcpu, u64 gpa, const void *buf, unsigned int len, bool atomic)
{
	int ret;

	while (unlikely(offset_in_page(gpa) + len > PAGE_SIZE)) {
		unsigned int part = part_in_page(gpa, len);

		ret = write_page(vcpu, gpa, buf, part, atomic);
		if (ret)
			return ret;
		gpa += part;
		buf += part;
		len -= part;
	}
	return write_page(vcpu, gpa, buf, len, atomic);
}

/* 0 exchanged, 1 found something else (now in *old), -EFAULT. */
static int cmpxchg16_user(void __user *ptr, u64 *old, const u64 *new)
{
	u64 lo = old[0], hi = old[1];
	bool done = false;
	int err = 0;

	if (!user_access_begin(ptr, 16))
		return -EFAULT;
	asm volatile("1: lock cmpxchg16b %[ptr]\n\t"
		     "setz %[done]\n"
		     "2:\n"
		     _ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_EFAULT_REG, %[err])
		     : [ptr] "+m" (*(__force unsigned __int128 *)ptr),
		       [done] "+q" (done), [err] "+r" (err), "+a" (lo), "+d" (hi)
		     : "b" (new[0]), "c" (new[1])
		     : "memory", "cc");
	user_access_end();
	if (err)
		return err;
	old[0] = lo;
	old[1] = hi;
	return !done;
}

#define CMPXCHG_USER(type, ptr, old, new) \
	__try_cmpxchg_user((type __user *)(ptr), (type *)(old), *(const type *)(new), fault_##type)

static int cmpxchg_user(void __user *ptr, void *old, const void *new, unsigned int size)
{
	switch (size) {
	case 1:
		return CMPXCHG_USER(u8, ptr, old, new);
	case 2:
		return CMPXCHG_USER(u16, ptr, old, new);
	case 4:
		return CMPXCHG_USER(u32, ptr, old, new);
	case 8:
		return CMPXCHG_USER(u64, ptr, old, new);
	case 16:
		return cmpxchg16_user(ptr, old, new);
	}
	return -EINVAL;
}

int pn_table_cmpxchg(struct pn_vcpu *vcpu, u64 gpa, void *old, const void *new,
		     unsigned int size, bool atomic)
{
	struct pn_slot *slot;
	unsigned long hva;
	int ret = guest_page(vcpu, gpa, true, &slot, &hva);

	if (unlikely(ret))
		return ret;
	if (unlikely(gpa & (size - 1)))
		return -EINVAL;
	if (atomic) {
		pagefault_disable();
		ret = cmpxchg_user((void __user *)hva, old, new, size);
		pagefault_enable();
	} else {
		might_fault();
		ret = cmpxchg_user((void __user *)hva, old, new, size);
	}
	if (ret < 0)
		return atomic && ret == -EFAULT ? -EAGAIN : ret;
	/* A failed compare writes the old value back: the bit does no harm. */
	pn_slot_mark_dirty(slot, gpa >> PAGE_SHIFT);
	return ret ? -EBUSY : 0;
}

int pn_guest_cmpxchg(struct pn_vcpu *vcpu, u64 gpa, void *old, const void *new,
		     unsigned int size, bool atomic)
{
	int ret;

	mmu_guest_write_begin(&vcpu->vm->mmu, gpa, size);
	ret = pn_table_cmpxchg(vcpu, gpa, old, new, size, atomic);
	mmu_guest_write_end(&vcpu->vm->mmu);
	return ret;
}
