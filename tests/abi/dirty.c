// SPDX-License-Identifier: GPL-2.0
/* The dirty log: exactly the pages that were written, by guest or on its behalf. */
#include <stdio.h>
#include <sys/mman.h>

#include "abi.h"

#define PAGE	4096ull
#define BASE	0x10000000ull
#define NPAGES	1024ull			/* two large pages' worth */

static uint64_t bitmap[NPAGES / 64];

static struct vmm *machine(uint8_t **mem, uint32_t flags)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);

	*mem = mmap(NULL, NPAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(*mem, 1, NPAGES * PAGE);
	if (vmm_slot(v, 1, flags, BASE, NPAGES * PAGE, *mem))
		tap_bail("slot");
	return v;
}

/* Guest touches page @n: write or read. */
static void touch(struct vmm *v, uint64_t n, bool write)
{
	struct kvm_regs r;

	if (write)
		LOAD(v, 0x48, 0x89, 0x07, 0xf4);
	else
		LOAD(v, 0x48, 0x8b, 0x07, 0xf4);
	r = vmm_regs(v, 0);
	r.rip = VMM_CODE;
	r.rdi = BASE + n * PAGE + 8;
	vmm_set_regs(v, 0, &r);
	if (vmm_run(v, 0) || v->run[0]->exit_reason != KVM_EXIT_HLT)
		tap_note("touching page %llu ended with exit %u", (unsigned long long)n,
			 v->run[0]->exit_reason);
}

static int get_log(struct vmm *v, uint32_t slot)
{
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bitmap };

	memset(bitmap, 0xcc, sizeof(bitmap));
	return ioctl(v->vm, KVM_GET_DIRTY_LOG, &log);
}

/* The log holds exactly the pages of @pages (ends with -1). */
static void log_is(struct vmm *v, const int *want, const char *name)
{
	uint64_t expect[NPAGES / 64] = { 0 };

	for (; *want >= 0; want++)
		expect[*want / 64] |= 1ull << (*want % 64);
	CALL(0, v->vm, KVM_GET_DIRTY_LOG, (&(struct kvm_dirty_log){ .slot = 1, .dirty_bitmap = bitmap }),
	     "%s: KVM_GET_DIRTY_LOG", name);
	tap_ok(!memcmp(bitmap, expect, sizeof(bitmap)), "%s: exactly the written pages", name);
	for (unsigned int i = 0; i < NPAGES / 64; i++)
		if (bitmap[i] != expect[i])
			tap_note("pages %u..: expected %#llx, got %#llx", i * 64,
				 (unsigned long long)expect[i], (unsigned long long)bitmap[i]);
}

#define LOG_IS(v, name, ...) log_is(v, (const int[]){ __VA_ARGS__, -1 }, name)

static void refused(struct vmm *v)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	CALL(EFAULT, v->vm, KVM_GET_DIRTY_LOG, BAD_POINTER, "KVM_GET_DIRTY_LOG at a bad pointer");
	log.slot = 5;
	CALL(ENOENT, v->vm, KVM_GET_DIRTY_LOG, &log, "KVM_GET_DIRTY_LOG of no slot");
	log.slot = 0;
	CALL(ENOENT, v->vm, KVM_GET_DIRTY_LOG, &log, "KVM_GET_DIRTY_LOG of a slot without a log");
	log.slot = 0xffff;
	CALL(EINVAL, v->vm, KVM_GET_DIRTY_LOG, &log, "KVM_GET_DIRTY_LOG of slot 65535");
	log.slot = 1;
	log.dirty_bitmap = BAD_POINTER;
	CALL(EFAULT, v->vm, KVM_GET_DIRTY_LOG, &log, "KVM_GET_DIRTY_LOG into a bad pointer");
}

static void basic(void)
{
	uint8_t *mem;
	struct vmm *v = machine(&mem, 0);

	/* Mapped large and writable before logging starts. */
	for (int i = 0; i < (int)NPAGES; i += 100)
		touch(v, i, true);
	tap_ok(!vmm_slot(v, 1, KVM_MEM_LOG_DIRTY_PAGES, BASE, NPAGES * PAGE, mem), "logging turned on");
	LOG_IS(v, "nothing yet", -1);
	touch(v, 3, true);
	touch(v, 700, true);
	/* The stock module maps for writing what is read, and logs it. */
	if (!vmm_on_stock())
		touch(v, 701, false);
	LOG_IS(v, "two writes", 3, 700);
	LOG_IS(v, "read and cleared", -1);
	touch(v, 3, true);
	touch(v, 3, true);
	touch(v, 1023, true);
	LOG_IS(v, "written again", 3, 1023);
	mem[5 * PAGE] = 1;
	LOG_IS(v, "the VMM's own writes are not logged", -1);
	refused(v);
	touch(v, 9, true);
	tap_ok(!vmm_slot(v, 1, 0, BASE, NPAGES * PAGE, mem), "logging turned off");
	EXPECT(ENOENT, get_log(v, 1), "no log then");
	touch(v, 10, true);
	tap_ok(!vmm_slot(v, 1, KVM_MEM_LOG_DIRTY_PAGES, BASE, NPAGES * PAGE, mem), "and on again");
	LOG_IS(v, "a new log is empty", -1);
	touch(v, 10, true);
	LOG_IS(v, "and works", 10);
	vmm_free(v);
	munmap(mem, NPAGES * PAGE);
}

/* Writes the emulator or the processor does for the guest are writes too. */
static void indirect(void)
{
	uint8_t *mem;
	struct vmm *v = machine(&mem, KVM_MEM_LOG_DIRTY_PAGES);
	struct kvm_regs r = vmm_regs(v, 0);

	LOG_IS(v, "nothing yet", -1);
	/* push (mmio): the emulator writes the stack. push (%rbx); hlt */
	LOAD(v, 0xff, 0x33, 0xf4);
	r.rbx = VMM_HOLE;
	r.rsp = BASE + 20 * PAGE + 64;
	r.rip = VMM_CODE;
	vmm_set_regs(v, 0, &r);
	RUNS_TO(v, KVM_EXIT_MMIO, "push of MMIO");
	RUNS_TO(v, KVM_EXIT_HLT, "then HLT");
	LOG_IS(v, "the emulator's write to the stack", 20);
	/* rep insb into page 30 */
	LOAD(v, 0xf3, 0x6c, 0xf4);
	r.rcx = 4;
	r.rdi = BASE + 30 * PAGE;
	vmm_set_regs(v, 0, &r);
	while (!vmm_run(v, 0) && v->run[0]->exit_reason == KVM_EXIT_IO)
		;
	LOG_IS(v, "string input", 30);
	/* an interrupt pushes its frame */
	LOAD(v, 0x0f, 0x0b);
	r.rsp = BASE + 41 * PAGE;
	vmm_set_regs(v, 0, &r);
	RUNS_TO(v, KVM_EXIT_HLT, "an exception");
	LOG_IS(v, "the exception's frame", 40);
	vmm_free(v);
	munmap(mem, NPAGES * PAGE);
}

static int clear_log(struct vmm *v, uint32_t slot, uint64_t first, uint32_t n, void *bits)
{
	struct kvm_clear_dirty_log c = { .slot = slot, .first_page = first, .num_pages = n,
					 .dirty_bitmap = bits };

	errno = 0;
	return ioctl(v->vm, KVM_CLEAR_DIRTY_LOG, &c);
}

static void manual(void)
{
	uint8_t *mem;
	struct vmm *v = vmm_new_vcpu(VMM_LONG);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args[0] = 1 };
	uint64_t bits[NPAGES / 64] = { 0 };

	mem = mmap(NULL, NPAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	vmm_slot(v, 1, KVM_MEM_LOG_DIRTY_PAGES, BASE, NPAGES * PAGE, mem);
	EXPECT(vmm_cap(v, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) ? 0 : ENOTTY, clear_log(v, 1, 0, NPAGES, bits),
		  "KVM_CLEAR_DIRTY_LOG before the capability is enabled");
	CALL(0, v->vm, KVM_ENABLE_CAP, &cap, "manual dirty log protection enabled");
	touch(v, 1, true);
	touch(v, 65, true);
	LOG_IS(v, "manual: written", 1, 65);
	LOG_IS(v, "manual: reading does not clear", 1, 65);
	bits[0] = 1ull << 1;
	EXPECT(0, clear_log(v, 1, 0, 64, bits), "KVM_CLEAR_DIRTY_LOG of one page");
	LOG_IS(v, "manual: one cleared", 65);
	touch(v, 1, true);
	LOG_IS(v, "manual: written again", 1, 65);
	bits[0] = ~0ull;
	EXPECT(0, clear_log(v, 1, 64, 64, bits), "KVM_CLEAR_DIRTY_LOG of the second word");
	LOG_IS(v, "manual: the second word cleared", 1);
	touch(v, 65, true);
	LOG_IS(v, "manual: a cleared page is logged again", 1, 65);
	EXPECT(EINVAL, clear_log(v, 1, 1, 64, bits), "KVM_CLEAR_DIRTY_LOG from page 1");
	EXPECT(EINVAL, clear_log(v, 1, 0, 65, bits), "KVM_CLEAR_DIRTY_LOG of 65 pages");
	EXPECT(EINVAL, clear_log(v, 1, NPAGES, 64, bits), "KVM_CLEAR_DIRTY_LOG behind the end");
	EXPECT(EINVAL, clear_log(v, 1, 0, NPAGES + 64, bits), "KVM_CLEAR_DIRTY_LOG of too many");
	EXPECT(ENOENT, clear_log(v, 7, 0, 64, bits), "KVM_CLEAR_DIRTY_LOG of no slot");
	EXPECT(EFAULT, clear_log(v, 1, 0, 64, BAD_POINTER), "KVM_CLEAR_DIRTY_LOG from a bad pointer");
	vmm_free(v);
	munmap(mem, NPAGES * PAGE);
}

void abi_dirty(void)
{
	basic();
	indirect();
	manual();
}
