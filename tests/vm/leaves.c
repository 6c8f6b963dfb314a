// SPDX-License-Identifier: GPL-2.0
/*
 * Which sizes of page the tables map: as large as the host's own page and the slot's
 * alignment allow, 4 KiB while a log is on, and large again afterwards. Needs one
 * 1 GiB page of the host, and Penumbra's counters to see the sizes.
 */
#include <glob.h>
#include <linux/mman.h>
#include <stdio.h>
#include <sys/mman.h>

#include "abi.h"

#define MIB	(1ull << 20)
#define GIB	(1ull << 30)
#define BASE	GIB		/* of the slot, gpa */

/* A counter of the only VM, or -1. */
static long counter(const char *name)
{
	char pattern[128];
	long value = -1;
	glob_t found;
	FILE *f;

	snprintf(pattern, sizeof(pattern), "/sys/kernel/penumbra/vms/*/%s", name);
	if (glob(pattern, 0, NULL, &found))
		return -1;
	f = fopen(found.gl_pathv[0], "r");
	if (f && fscanf(f, "%ld", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	globfree(&found);
	return value;
}

/* The guest stores or loads rax at @gpa; what rax is then. */
static uint64_t access_gpa(struct vmm *v, uint64_t gpa, bool store, uint64_t rax)
{
	struct kvm_regs r;

	if (store)
		LOAD(v, 0x48, 0x89, 0x07, 0xf4);	/* mov %rax, (%rdi); hlt */
	else
		LOAD(v, 0x48, 0x8b, 0x07, 0xf4);
	r = vmm_regs(v, 0);
	r.rip = VMM_CODE;
	r.rdi = gpa;
	r.rax = rax;
	vmm_set_regs(v, 0, &r);
	if (vmm_run(v, 0) || v->run[0]->exit_reason != KVM_EXIT_HLT)
		return ~0ull;
	return vmm_regs(v, 0).rax;
}

static uint64_t host_word(const uint8_t *mem, uint64_t offset)
{
	return *(const volatile uint64_t *)(mem + offset);
}

static void aligned(struct vmm *v, uint8_t *mem)
{
	EXPECT(0, vmm_slot(v, 1, 0, BASE, GIB, mem), "a slot of 1 GiB, aligned");
	access_gpa(v, BASE + 0x12345678, true, 77);
	tap_eq(host_word(mem, 0x12345678), 77, "a store reaches its place");
	tap_eq(counter("pages_1g"), 1, "through a leaf of 1 GiB");
	*(volatile uint64_t *)(mem + 0x3fffff00) = 99;
	tap_eq(access_gpa(v, BASE + 0x3fffff00, false, 0), 99, "a load from its end");
}

static void logged(struct vmm *v, uint8_t *mem)
{
	static uint64_t bits[GIB / 4096 / 64];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	unsigned int pages = 0;

	EXPECT(0, vmm_slot(v, 1, KVM_MEM_LOG_DIRTY_PAGES, BASE, GIB, mem), "log on");
	tap_eq(counter("pages_1g"), 0, "no leaf of 1 GiB meanwhile");
	access_gpa(v, BASE + 0x5000, true, 5);
	access_gpa(v, BASE + 0x20000000, false, 0);
	CALL(0, v->vm, KVM_GET_DIRTY_LOG, &log, "the log");
	for (size_t i = 0; i < sizeof(bits) / sizeof(*bits); i++)
		pages += __builtin_popcountll(bits[i]);
	tap_eq(pages, 1, "one page is dirty");
	tap_eq(bits[0], 1 << 5, "the one that was written");
	EXPECT(0, vmm_slot(v, 1, 0, BASE, GIB, mem), "log off");
	access_gpa(v, BASE + 0x5000, true, 6);
	tap_eq(counter("pages_1g"), 1, "a leaf of 1 GiB again");
	EXPECT(0, vmm_slot(v, 1, 0, BASE, 0, mem), "slot deleted");
	tap_eq(counter("pages_1g"), 0, "and the leaf is gone");
}

/* The slot begins @shift into its gpa range and @offset into the memory. */
static void shifted(struct vmm *v, uint8_t *mem, uint64_t shift, uint64_t offset, const char *how)
{
	uint64_t small = counter("pages_2m");

	EXPECT(0, vmm_slot(v, 1, 0, BASE + shift, GIB - 4 * MIB, mem + offset), "a slot %s", how);
	access_gpa(v, BASE + 8 * MIB, true, shift + 1);
	tap_eq(host_word(mem, 8 * MIB - shift + offset), shift + 1, "a store reaches its place");
	tap_eq(counter("pages_1g"), 0, "no leaf of 1 GiB");
	tap_eq(counter("pages_2m") - small, !(shift % (2 * MIB)), "leaves of 2 MiB where alignment allows");
	EXPECT(0, vmm_slot(v, 1, 0, BASE + shift, 0, mem), "slot deleted");
}

int main(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);
	uint8_t *mem = mmap(NULL, GIB, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 30 << MAP_HUGE_SHIFT, -1, 0);

	if (mem == MAP_FAILED)
		tap_bail("no page of 1 GiB");
	aligned(v, mem);
	logged(v, mem);
	shifted(v, mem, 2 * MIB, 4 * MIB, "whose addresses agree to 2 MiB");
	shifted(v, mem, 4096, 0, "whose addresses agree to 4 KiB");
	vmm_free(v);
	return tap_done();
}
