// SPDX-License-Identifier: GPL-2.0
/* Memory slots: what is refused, and what the guest sees of each change. */
#include <sys/mman.h>
#include <unistd.h>

#include "abi.h"

#define PAGE	4096ull
#define BASE	0x10000000ull		/* where the slots under test live */
#define MAX_PAGES	(1ull << 31)

/* At VMM_CODE: read; at +16: write. */
static const uint8_t read_code[] = { 0x48, 0x8b, 0x07, 0xf4 };	/* mov (%rdi),%rax; hlt */
static const uint8_t write_code[] = { 0x48, 0x89, 0x07, 0xf4 };	/* mov %rax,(%rdi); hlt */

static void *pages(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		tap_bail("mmap");
	return p;
}

static struct vmm *machine(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);

	memcpy(v->ram + VMM_CODE, read_code, sizeof(read_code));
	memcpy(v->ram + VMM_CODE + 16, write_code, sizeof(write_code));
	return v;
}

/* Runs the probe; finishes a pending MMIO first. Returns the exit or -errno. */
static int probe(struct vmm *v, uint32_t entry, uint64_t gpa, uint64_t *val)
{
	struct kvm_regs r = vmm_regs(v, 0);
	int reason;

	r.rip = VMM_CODE + entry;
	r.rdi = gpa;
	r.rax = *val;
	vmm_set_regs(v, 0, &r);
	if (vmm_run(v, 0))
		return -errno;
	reason = v->run[0]->exit_reason;
	if (reason == KVM_EXIT_MMIO) {
		memcpy(val, v->run[0]->mmio.data, 8);
		memset(v->run[0]->mmio.data, 0, 8);
		v->run[0]->immediate_exit = 1;
		vmm_run(v, 0);
		v->run[0]->immediate_exit = 0;
	} else if (reason == KVM_EXIT_HLT) {
		*val = vmm_regs(v, 0).rax;
	}
	return reason;
}

static void reads(struct vmm *v, uint64_t gpa, uint64_t want, const char *name)
{
	uint64_t val = 0;
	int reason = probe(v, 0, gpa, &val);

	tap_ok(reason == KVM_EXIT_HLT && val == want, "%s", name);
	if (reason != KVM_EXIT_HLT || val != want)
		tap_note("expected %#llx, got %#llx with exit %d", (unsigned long long)want,
			 (unsigned long long)val, reason);
}

static void is_mmio(struct vmm *v, uint32_t entry, uint64_t gpa, const char *name)
{
	uint64_t val = 0x1122334455667788;
	int reason = probe(v, entry, gpa, &val);
	struct kvm_run *run = v->run[0];

	tap_ok(reason == KVM_EXIT_MMIO && run->mmio.phys_addr == gpa && run->mmio.len == 8 &&
	       run->mmio.is_write == !!entry && (!entry || val == 0x1122334455667788), "%s", name);
	if (reason != KVM_EXIT_MMIO)
		tap_note("expected MMIO at %#llx, got exit %d", (unsigned long long)gpa, reason);
}

static void slot_fails(struct vmm *v, int want, uint32_t slot, uint32_t flags, uint64_t gpa,
		       uint64_t size, void *hva, const char *name)
{
	EXPECT(want, vmm_slot(v, slot, flags, gpa, size, hva), "%s", name);
}

static void refused(struct vmm *v, uint8_t *mem)
{
	int max = vmm_cap(v, KVM_CAP_NR_MEMSLOTS);

	CALL(EFAULT, v->vm, KVM_SET_USER_MEMORY_REGION, BAD_POINTER, "slot at a bad pointer");
	slot_fails(v, EINVAL, 1, 0, BASE + 1, PAGE, mem, "slot at an unaligned address");
	slot_fails(v, EINVAL, 1, 0, BASE, PAGE + 1, mem, "slot of an unaligned size");
	slot_fails(v, EINVAL, 1, 0, BASE, PAGE, mem + 1, "slot at an unaligned host address");
	slot_fails(v, EINVAL, 1, 0x80, BASE, PAGE, mem, "slot with unknown flags");
	slot_fails(v, EINVAL, 1, ~0u, BASE, PAGE, mem, "slot with all flags");
	slot_fails(v, EINVAL, max, 0, BASE, PAGE, mem, "slot number too large");
	slot_fails(v, EINVAL, 0xffff, 0, BASE, PAGE, mem, "slot number 65535");
	slot_fails(v, EINVAL, 0xffffffff, 0, BASE, PAGE, mem, "slot number 2^32-1");
	slot_fails(v, EINVAL, 0x00020001, 0, BASE, PAGE, mem, "slot in address space 2");
	slot_fails(v, EINVAL, 1, 0, -PAGE, 2 * PAGE, mem, "slot that wraps around");
	slot_fails(v, EINVAL, 1, 0, BASE, PAGE, (void *)0xffff888000000000ull, "slot at a kernel address");
	slot_fails(v, EINVAL, 1, 0, BASE, PAGE, (void *)-PAGE, "slot at the end of the address space");
	slot_fails(v, EINVAL, 1, 0, BASE, MAX_PAGES * PAGE, mem, "slot of 2^31 pages");
	slot_fails(v, EINVAL, 1, 0, BASE, ~0ull & -PAGE, mem, "slot of 2^64 bytes");
	slot_fails(v, EINVAL, 1, 0, BASE, 0, mem, "removing a slot that is not there");
	slot_fails(v, EEXIST, 1, 0, 0, PAGE, mem, "slot over the start of another");
	slot_fails(v, EEXIST, 1, 0, VMM_RAM - PAGE, 2 * PAGE, mem, "slot over the end of another");
	slot_fails(v, EEXIST, 1, 0, PAGE, PAGE, mem, "slot inside another");
	slot_fails(v, 0, 1, 0, VMM_RAM, PAGE, mem, "slot right behind another");
	slot_fails(v, 0, 1, 0, VMM_RAM, 0, mem, "and removed");
}

static void changed(struct vmm *v, uint8_t *mem)
{
	*(uint64_t *)mem = 0xaaaa;
	*(uint64_t *)(mem + PAGE) = 0xbbbb;
	slot_fails(v, 0, 1, 0, BASE, 2 * PAGE, mem, "slot added");
	slot_fails(v, 0, 1, 0, BASE, 2 * PAGE, mem, "the same slot again");
	reads(v, BASE, 0xaaaa, "guest reads the slot");
	reads(v, BASE + PAGE, 0xbbbb, "guest reads its second page");
	is_mmio(v, 0, BASE + 2 * PAGE, "behind it is MMIO");
	slot_fails(v, EINVAL, 1, 0, BASE, PAGE, mem, "slot cannot change its size");
	slot_fails(v, EINVAL, 1, 0, BASE, 2 * PAGE, mem + PAGE, "slot cannot change its host address");
	slot_fails(v, EINVAL, 1, KVM_MEM_READONLY, BASE, 2 * PAGE, mem, "slot cannot become read-only");
	slot_fails(v, EEXIST, 1, 0, 0, 2 * PAGE, mem, "slot cannot move over another");
	slot_fails(v, 0, 1, 0, BASE + 16 * PAGE, 2 * PAGE, mem, "slot moves");
	is_mmio(v, 0, BASE, "where it was is MMIO");
	is_mmio(v, 16, BASE, "where it was is MMIO for writes");
	reads(v, BASE + 17 * PAGE, 0xbbbb, "guest reads it where it is");
	slot_fails(v, 0, 1, 0, BASE + 17 * PAGE, 2 * PAGE, mem, "slot moves over itself");
	reads(v, BASE + 17 * PAGE, 0xaaaa, "guest reads the right page");
	reads(v, BASE + 18 * PAGE, 0xbbbb, "guest reads the right second page");
	slot_fails(v, 0, 1, 0, BASE + 17 * PAGE, 0, mem, "slot removed");
	is_mmio(v, 0, BASE + 17 * PAGE, "a removed slot is MMIO");
	slot_fails(v, EINVAL, 1, 0, BASE + 17 * PAGE, 0, mem, "removing it twice");
}

static void read_only(struct vmm *v, uint8_t *mem)
{
	*(uint64_t *)mem = 0xcccc;
	slot_fails(v, 0, 1, KVM_MEM_READONLY, BASE, PAGE, mem, "read-only slot added");
	reads(v, BASE, 0xcccc, "guest reads a read-only slot");
	is_mmio(v, 16, BASE, "a write to it is MMIO");
	reads(v, BASE, 0xcccc, "guest reads the same after the write");
	tap_eq(*(uint64_t *)mem, 0xcccc, "and memory is as it was");
	slot_fails(v, EINVAL, 1, 0, BASE, PAGE, mem, "a read-only slot cannot become writable");
	*(uint64_t *)mem = 0xcdcd;
	reads(v, BASE, 0xcdcd, "guest sees the VMM's write");
	memcpy(mem, write_code, sizeof(write_code));
	struct kvm_regs r = vmm_regs(v, 0);
	r.rip = BASE;
	r.rdi = VMM_DATA;
	r.rax = 0x77;
	vmm_set_regs(v, 0, &r);
	RUNS_TO(v, KVM_EXIT_HLT, "code runs from a read-only slot");
	tap_eq(v->ram[VMM_DATA], 0x77, "with effect");
	slot_fails(v, 0, 1, 0, BASE, 0, mem, "read-only slot removed");
}

/* A slot may be added over nothing; the guest's access then fails the run. */
static void unbacked(struct vmm *v)
{
	uint64_t val = 0;
	uint8_t *p = pages(2 * PAGE);

	munmap(p + PAGE, PAGE);
	slot_fails(v, 0, 1, 0, BASE, 2 * PAGE, p, "slot with a hole in the VMM's memory");
	reads(v, BASE, 0, "the mapped page reads");
	tap_eq(probe(v, 0, BASE + PAGE, &val), -EFAULT, "reading the hole gives EFAULT");
	tap_eq(probe(v, 16, BASE + PAGE, &val), -EFAULT, "writing the hole gives EFAULT");
	tap_ok(mmap(p + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + PAGE,
	       "the hole filled with a read-only mapping");
	reads(v, BASE + PAGE, 0, "and now it reads");
	tap_eq(probe(v, 16, BASE + PAGE, &val), -EFAULT, "writing it gives EFAULT");
	mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE);
	val = 0x99;
	tap_eq(probe(v, 16, BASE + PAGE, &val), KVM_EXIT_HLT, "made writable, it takes the write");
	tap_eq(p[PAGE], 0x99, "with effect");
	slot_fails(v, 0, 1, 0, BASE, 0, p, "slot removed");
	munmap(p, 2 * PAGE);
}

static void many(struct vmm *v)
{
	unsigned int n = vmm_cap(v, KVM_CAP_NR_MEMSLOTS), bad = 0;
	uint8_t *mem;

	n = n > 256 ? 256 : n;
	mem = pages(n * PAGE);
	for (unsigned int i = 1; i < n; i++) {
		*(uint32_t *)(mem + i * PAGE) = i;
		bad += vmm_slot(v, i, 0, BASE + (n - i) * 2 * PAGE, PAGE, mem + i * PAGE) != 0;
	}
	tap_eq(bad, 0, "%u slots added", n - 1);
	for (unsigned int i = 1; i < n; i++) {
		uint64_t val = 0;

		bad += probe(v, 0, BASE + (n - i) * 2 * PAGE, &val) != KVM_EXIT_HLT || val != i;
	}
	tap_eq(bad, 0, "the guest reads each");
	for (unsigned int i = 1; i < n; i++)
		bad += vmm_slot(v, i, 0, BASE + (n - i) * 2 * PAGE, 0, NULL) != 0;
	tap_eq(bad, 0, "all removed, whatever the host address");
	munmap(mem, n * PAGE);
}

/* Guest and host addresses that differ modulo 2 MiB must not be mapped large. */
static void large(struct vmm *v)
{
	const uint64_t size = 8 << 20, huge = 2 << 20;
	uint8_t *raw = pages(size + 2 * huge);
	uint8_t *mem = (uint8_t *)(((uintptr_t)raw + huge - 1) & -huge);

	madvise(raw, size + 2 * huge, MADV_HUGEPAGE);
	for (uint64_t shift = 0; shift <= PAGE; shift += PAGE) {
		unsigned int bad = 0;

		for (uint64_t off = 0; off < size; off += PAGE)
			*(uint64_t *)(mem + shift + off) = off + shift + 1;
		slot_fails(v, 0, 1, 0, BASE, size, mem + shift, "slot of 8 MiB");
		for (uint64_t off = 0; off < size; off += 37 * PAGE) {
			uint64_t val = 0;

			bad += probe(v, 0, BASE + off, &val) != KVM_EXIT_HLT || val != off + shift + 1;
			val = ~off;
			bad += probe(v, 16, BASE + off, &val) != KVM_EXIT_HLT ||
			       *(uint64_t *)(mem + shift + off) != ~off;
		}
		tap_eq(bad, 0, "8 MiB with host address off by %llu: reads and writes right",
		       (unsigned long long)shift);
		slot_fails(v, 0, 1, 0, BASE, 0, mem, "removed");
	}
	munmap(raw, size + 2 * huge);
}

/* Two slots show the same host memory. */
static void aliased(struct vmm *v, uint8_t *mem)
{
	uint64_t val = 0x5555;

	slot_fails(v, 0, 1, 0, BASE, PAGE, mem, "slot");
	slot_fails(v, 0, 2, 0, BASE + 4 * PAGE, PAGE, mem, "second slot on the same memory");
	tap_eq(probe(v, 16, BASE, &val), KVM_EXIT_HLT, "write through the first");
	reads(v, BASE + 4 * PAGE, 0x5555, "read through the second");
	vmm_slot(v, 1, 0, BASE, 0, mem);
	reads(v, BASE + 4 * PAGE, 0x5555, "the second outlives the first");
	vmm_slot(v, 2, 0, BASE, 0, mem);
}

void abi_slots(void)
{
	struct vmm *v = machine();
	uint8_t *mem = pages(64 * PAGE);

	refused(v, mem);
	changed(v, mem);
	read_only(v, mem);
	unbacked(v);
	many(v);
	large(v);
	aliased(v, mem);
	vmm_free(v);
	munmap(mem, 64 * PAGE);
}
