// SPDX-License-Identifier: GPL-2.0
/* ioeventfd on ports and memory: signalled inside the kernel, no exit. */
#include <sys/eventfd.h>
#include <unistd.h>

#include "abi.h"

#define PORT	0x510
#define MMIO	(VMM_HOLE + 0x1000)

static int assign(struct vmm *v, int fd, uint64_t addr, uint32_t len, uint32_t flags, uint64_t match)
{
	struct kvm_ioeventfd e = { .addr = addr, .len = len, .fd = fd, .flags = flags, .datamatch = match };

	errno = 0;
	return ioctl(v->vm, KVM_IOEVENTFD, &e);
}

static uint64_t count(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, 8) == 8 ? n : 0;
}

/* Guest writes rax with @code to rdi or dx and halts; true if that made no exit of its own. */
static bool quiet(struct vmm *v, const uint8_t *code, size_t len, uint64_t rax, uint64_t addr)
{
	struct kvm_regs r;

	vmm_load(v, code, len);
	v->ram[VMM_CODE + len] = 0xf4;
	vmm_mode(v, 0, VMM_LONG);
	r = vmm_regs(v, 0);
	r.rax = rax;
	r.rdx = r.rdi = addr;
	vmm_set_regs(v, 0, &r);
	if (!vmm_run(v, 0) && v->run[0]->exit_reason == KVM_EXIT_HLT)
		return true;
	/* Complete what is pending, so that it is not taken for the next one. */
	v->run[0]->immediate_exit = 1;
	vmm_run(v, 0);
	v->run[0]->immediate_exit = 0;
	return false;
}

static const uint8_t out8[] = { 0xee }, out16[] = { 0x66, 0xef }, out32[] = { 0xef }, in8[] = { 0xec };
static const uint8_t st8[] = { 0x88, 0x07 }, st16[] = { 0x66, 0x89, 0x07 }, st32[] = { 0x89, 0x07 },
	st64[] = { 0x48, 0x89, 0x07 }, ld32[] = { 0x8b, 0x07 };

#define QUIET(v, code, rax, addr) quiet(v, code, sizeof(code), rax, addr)

static void ports(struct vmm *v, int fd)
{
	EXPECT(0, assign(v, fd, PORT, 2, KVM_IOEVENTFD_FLAG_PIO, 0), "ioeventfd on a port of 2 bytes");
	tap_ok(QUIET(v, out16, 5, PORT), "a write of 2 makes no exit");
	tap_eq(count(fd), 1, "and signals");
	tap_ok(!QUIET(v, out8, 5, PORT), "a write of 1 exits");
	tap_ok(!QUIET(v, out32, 5, PORT), "a write of 4 exits");
	tap_ok(!QUIET(v, out16, 5, PORT + 1), "a write beside it exits");
	tap_ok(!QUIET(v, in8, 5, PORT), "a read exits");
	tap_eq(count(fd), 0, "none of them signals");
	EXPECT(EEXIST, assign(v, fd, PORT, 2, KVM_IOEVENTFD_FLAG_PIO, 0), "the same again");
	EXPECT(0, assign(v, fd, PORT, 2, KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN, 0),
		  "taken off");
	tap_ok(!QUIET(v, out16, 5, PORT), "then a write exits");
	EXPECT(ENOENT, assign(v, fd, PORT, 2, KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN, 0),
		  "taken off twice");
}

static void memory(struct vmm *v, int fd)
{
	EXPECT(0, assign(v, fd, MMIO, 4, 0, 0), "ioeventfd on 4 bytes of memory");
	tap_ok(QUIET(v, st32, 5, MMIO), "a write of 4 makes no exit");
	tap_eq(count(fd), 1, "and signals");
	tap_ok(!QUIET(v, st8, 5, MMIO), "a write of 1 exits");
	tap_ok(!QUIET(v, st64, 5, MMIO), "a write of 8 exits");
	tap_ok(!QUIET(v, ld32, 5, MMIO), "a read exits");
	tap_ok(!QUIET(v, st32, 5, MMIO + 4), "a write beside it exits");
	tap_eq(count(fd), 0, "none of them signals");
	EXPECT(0, assign(v, fd, MMIO, 4, KVM_IOEVENTFD_FLAG_DEASSIGN, 0), "taken off");
	tap_ok(!QUIET(v, st32, 5, MMIO), "then a write exits");
}

static void datamatch(struct vmm *v, int fd, int fd2)
{
	const uint32_t match = KVM_IOEVENTFD_FLAG_DATAMATCH;

	EXPECT(0, assign(v, fd, MMIO, 4, match, 7), "ioeventfd that matches 7");
	EXPECT(0, assign(v, fd2, MMIO, 4, match, 8), "another that matches 8");
	EXPECT(EEXIST, assign(v, fd2, MMIO, 4, match, 8), "the same again");
	EXPECT(EEXIST, assign(v, fd2, MMIO, 4, 0, 0), "a wildcard over them");
	tap_ok(QUIET(v, st32, 0xffffffff00000007, MMIO), "a write of 7 makes no exit");
	tap_ok(QUIET(v, st32, 8, MMIO), "a write of 8 makes no exit");
	tap_ok(!QUIET(v, st32, 9, MMIO), "a write of 9 exits");
	tap_eq(count(fd), 1, "the first is signalled once");
	tap_eq(count(fd2), 1, "the second is signalled once");
	EXPECT(ENOENT, assign(v, fd, MMIO, 4, match | KVM_IOEVENTFD_FLAG_DEASSIGN, 9),
		  "taking off one that is not there");
	EXPECT(0, assign(v, fd, MMIO, 4, match | KVM_IOEVENTFD_FLAG_DEASSIGN, 7), "taking off the first");
	tap_ok(!QUIET(v, st32, 7, MMIO), "a write of 7 exits");
	tap_ok(QUIET(v, st32, 8, MMIO), "a write of 8 does not");
	EXPECT(0, assign(v, fd2, MMIO, 4, match | KVM_IOEVENTFD_FLAG_DEASSIGN, 8), "taking off the second");
}

static void any_length(struct vmm *v, int fd)
{
	EXPECT(0, assign(v, fd, MMIO, 0, 0, 0), "ioeventfd of any length");
	count(fd);
	tap_ok(QUIET(v, st8, 1, MMIO) && QUIET(v, st16, 1, MMIO) && QUIET(v, st32, 1, MMIO) &&
	       QUIET(v, st64, 1, MMIO), "no write exits");
	tap_eq(count(fd), 4, "each signals");
	tap_ok(!QUIET(v, ld32, 1, MMIO), "a read exits");
	EXPECT(0, assign(v, fd, MMIO, 0, KVM_IOEVENTFD_FLAG_DEASSIGN, 0), "taken off");
	EXPECT(0, assign(v, fd, PORT, 0, KVM_IOEVENTFD_FLAG_PIO, 0), "a port of any length");
	tap_ok(QUIET(v, out8, 1, PORT) && QUIET(v, out16, 1, PORT) && QUIET(v, out32, 1, PORT), "no write exits");
	tap_eq(count(fd), 3, "each signals");
	EXPECT(0, assign(v, fd, PORT, 0, KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN, 0), "taken off");
}

static void refused(struct vmm *v, int fd)
{
	CALL(EFAULT, v->vm, KVM_IOEVENTFD, BAD_POINTER, "KVM_IOEVENTFD at a bad pointer");
	EXPECT(EINVAL, assign(v, fd, MMIO, 3, 0, 0), "a length of 3");
	EXPECT(EINVAL, assign(v, fd, MMIO, 16, 0, 0), "a length of 16");
	EXPECT(EINVAL, assign(v, fd, MMIO, 0, KVM_IOEVENTFD_FLAG_DATAMATCH, 5), "any length with a match");
	EXPECT(EINVAL, assign(v, fd, ~0ull - 1, 4, 0, 0), "an address that wraps");
	EXPECT(EINVAL, assign(v, fd, MMIO, 4, 0x100, 0), "unknown flags");
	EXPECT(EBADF, assign(v, -1, MMIO, 4, 0, 0), "descriptor -1");
	EXPECT(EINVAL, assign(v, v->vm, MMIO, 4, 0, 0), "a descriptor that is not an eventfd");
	EXPECT(EBADF, assign(v, -1, MMIO, 4, KVM_IOEVENTFD_FLAG_DEASSIGN, 0), "taking off descriptor -1");
}

/* The event outlives the caller's descriptor. */
static void closed(struct vmm *v)
{
	int fd = eventfd(0, EFD_NONBLOCK), keep = dup(fd);

	EXPECT(0, assign(v, fd, MMIO, 4, 0, 0), "ioeventfd");
	close(fd);
	tap_ok(QUIET(v, st32, 5, MMIO), "works after its descriptor was closed");
	tap_eq(count(keep), 1, "and signals");
	close(keep);
}

void abi_eventfd(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);
	int fd = eventfd(0, EFD_NONBLOCK), fd2 = eventfd(0, EFD_NONBLOCK);

	ports(v, fd);
	memory(v, fd);
	datamatch(v, fd, fd2);
	any_length(v, fd);
	refused(v, fd);
	closed(v);
	vmm_free(v);
	close(fd);
	close(fd2);
}
