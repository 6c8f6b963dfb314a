// SPDX-License-Identifier: GPL-2.0
/*
 * The host's memory management under a guest: what the VMM does to its own
 * memory shows in the guest at once, whatever translations are cached.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi.h"

#define PAGE	4096ull
#define BASE	0x20000000ull
#define SIZE	(4ull << 20)

static uint8_t *window(struct vmm *v)
{
	uint8_t *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED || vmm_slot(v, 1, 0, BASE, SIZE, mem))
		tap_bail("slot");
	return mem;
}

/* Guest writes @val and reads it back at @off of the window. */
static uint64_t guest_rw(struct vmm *v, uint64_t off, bool write, uint64_t val)
{
	struct kvm_regs r;

	if (write)
		LOAD(v, 0x48, 0x89, 0x07, 0xf4);
	else
		LOAD(v, 0x48, 0x8b, 0x07, 0xf4);
	r = vmm_regs(v, 0);
	r.rip = VMM_CODE;
	r.rdi = BASE + off;
	r.rax = val;
	vmm_set_regs(v, 0, &r);
	if (vmm_run(v, 0) || v->run[0]->exit_reason != KVM_EXIT_HLT)
		return ~0ull;
	return vmm_regs(v, 0).rax;
}

static void dropped(struct vmm *v, uint8_t *mem)
{
	for (uint64_t off = 0; off < SIZE; off += 16 * PAGE)
		guest_rw(v, off, true, off + 1);
	madvise(mem + SIZE / 2, SIZE / 2, MADV_DONTNEED);
	tap_eq(guest_rw(v, 16 * PAGE, false, 9), 16 * PAGE + 1, "memory that stays, stays");
	tap_eq(guest_rw(v, SIZE / 2 + 16 * PAGE, false, 9), 0, "memory dropped reads zero");
	tap_eq(guest_rw(v, SIZE / 2 + 32 * PAGE, true, 7), 7, "and takes writes");
	tap_eq(*(uint64_t *)(mem + SIZE / 2 + 32 * PAGE), 7, "which the VMM sees");
}

/* A shared zero page must be replaced when the guest writes. */
static void zero_page(struct vmm *v, uint8_t *mem)
{
	madvise(mem, SIZE, MADV_DONTNEED);
	tap_eq(*(volatile uint64_t *)(mem + 5 * PAGE), 0, "VMM reads a zero page");
	tap_eq(guest_rw(v, 5 * PAGE, false, 1), 0, "guest reads it");
	guest_rw(v, 5 * PAGE, true, 0x1234);
	tap_eq(*(volatile uint64_t *)(mem + 5 * PAGE), 0x1234, "VMM sees what the guest wrote");
	*(volatile uint64_t *)(mem + 6 * PAGE) = 0;
	guest_rw(v, 6 * PAGE, false, 1);
	*(volatile uint64_t *)(mem + 6 * PAGE) = 0x5678;
	tap_eq(guest_rw(v, 6 * PAGE, false, 1), 0x5678, "guest sees what the VMM wrote");
}

/* fork() makes the memory copy-on-write: the guest's writes must not reach the child. */
static void copy_on_write(struct vmm *v, uint8_t *mem)
{
	int to_child[2], from_child[2];
	uint64_t seen = 0;
	char c = 0;
	pid_t pid;

	guest_rw(v, 0, true, 0x1111);
	if (pipe(to_child) || pipe(from_child))
		tap_bail("pipe");
	pid = fork();
	if (!pid) {
		if (read(to_child[0], &c, 1) != 1 || write(from_child[1], mem, 8) != 8)
			_exit(1);
		_exit(0);
	}
	guest_rw(v, 0, true, 0x2222);
	if (write(to_child[1], &c, 1) != 1 || read(from_child[0], &seen, 8) != 8)
		tap_bail("pipe");
	tap_eq(seen, 0x1111, "a forked child keeps the page of before");
	tap_eq(*(volatile uint64_t *)mem, 0x2222, "the VMM has what the guest wrote");
	tap_eq(guest_rw(v, 0, false, 0), 0x2222, "so has the guest");
	close(to_child[0]);
	close(to_child[1]);
	close(from_child[0]);
	close(from_child[1]);
}

static void moved(struct vmm *v, uint8_t *mem)
{
	uint8_t *other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	guest_rw(v, 8 * PAGE, true, 0xaaaa);
	*(uint64_t *)other = 0xbbbb;
	if (mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, mem + 8 * PAGE) != mem + 8 * PAGE)
		tap_bail("mremap");
	tap_eq(guest_rw(v, 8 * PAGE, false, 0), 0xbbbb, "a page moved over the guest's is the guest's");
	mprotect(mem + 8 * PAGE, PAGE, PROT_READ);
	tap_eq(guest_rw(v, 8 * PAGE, false, 0), 0xbbbb, "write-protected by the VMM it reads");
	tap_eq(guest_rw(v, 8 * PAGE, true, 1), ~0ull, "and does not take writes");
	mprotect(mem + 8 * PAGE, PAGE, PROT_NONE);
	tap_eq(guest_rw(v, 8 * PAGE, false, 0), ~0ull, "without access it does not read");
	mprotect(mem + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	tap_eq(guest_rw(v, 8 * PAGE, false, 0), 0xbbbb, "given back it reads");
}

/* Pages of a shared file: a hole punched in it, and a writer elsewhere. */
static void shared_file(struct vmm *v)
{
	int fd = syscall(SYS_memfd_create, "guest", 0);
	uint8_t *mem;

	if (fd < 0 || ftruncate(fd, SIZE))
		tap_bail("memfd");
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (vmm_slot(v, 2, 0, BASE + SIZE, SIZE, mem))
		tap_bail("slot");
	guest_rw(v, SIZE + 3 * PAGE, true, 0x77);
	uint64_t val = 0;
	tap_ok(pread(fd, &val, 8, 3 * PAGE) == 8 && val == 0x77, "guest's write is in the file");
	val = 0x88;
	tap_ok(pwrite(fd, &val, 8, 3 * PAGE) == 8 && guest_rw(v, SIZE + 3 * PAGE, false, 0) == 0x88,
	       "a write to the file is in the guest");
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * PAGE, PAGE);
	tap_eq(guest_rw(v, SIZE + 3 * PAGE, false, 5), 0, "a hole punched reads zero");
	guest_rw(v, SIZE + 3 * PAGE, true, 0x99);
	tap_ok(pread(fd, &val, 8, 3 * PAGE) == 8 && val == 0x99, "and takes writes");
	if (ftruncate(fd, PAGE))
		tap_bail("ftruncate");
	tap_eq(guest_rw(v, SIZE + 3 * PAGE, false, 5), ~0ull, "behind the end of the file nothing reads");
	vmm_slot(v, 2, 0, BASE + SIZE, 0, mem);
	munmap(mem, SIZE);
	close(fd);
}

/* Huge pages made and split under the guest. */
static void collapse(struct vmm *v, uint8_t *mem)
{
	unsigned int bad = 0;

	madvise(mem, SIZE, MADV_DONTNEED);
	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	for (uint64_t off = 0; off < SIZE; off += PAGE)
		*(uint64_t *)(mem + off) = off;
	guest_rw(v, 0, true, 0);
	madvise(mem, SIZE, MADV_HUGEPAGE);
	madvise(mem, SIZE, 25);		/* MADV_COLLAPSE, where the kernel has it */
	for (uint64_t off = 0; off < SIZE; off += 17 * PAGE)
		bad += guest_rw(v, off, false, 1) != off;
	tap_eq(bad, 0, "contents after pages were collapsed");
	madvise(mem + 64 * PAGE, PAGE, MADV_DONTNEED);
	madvise(mem + 700 * PAGE, PAGE, MADV_DONTNEED);
	tap_eq(guest_rw(v, 64 * PAGE, false, 1), 0, "a page dropped out of a huge one");
	tap_eq(guest_rw(v, 63 * PAGE, false, 1), 63 * PAGE, "its neighbour");
	tap_eq(guest_rw(v, 65 * PAGE, false, 1), 65 * PAGE, "its other neighbour");
}

void abi_notifier(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);
	uint8_t *mem = window(v);

	dropped(v, mem);
	zero_page(v, mem);
	copy_on_write(v, mem);
	moved(v, mem);
	shared_file(v);
	vmm_free(v);
	munmap(mem, SIZE);
	v = vmm_new_vcpu(VMM_LONG);
	mem = window(v);
	collapse(v, mem);
	vmm_free(v);
	munmap(mem, SIZE);
}
