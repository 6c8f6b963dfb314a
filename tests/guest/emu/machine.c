// SPDX-License-Identifier: GPL-2.0
/*
 * The machine of the emulator's tests: its memory, its modes, one run of an
 * instruction on RAM or on the device.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emu.h"

/* Guest-physical places; the group's RAM twin and its pages around the device. */
#define RAM_GROUP	0x200000u
#define DEV_GROUP	0x2000000u
#define TABLE64		0x100000u	/* page table of the 2 MiB around DEVICE, 64-bit entries */
#define TABLE32		0x101000u	/* of the 4 MiB, 32-bit entries */
#define ROOTS		0x102000u	/* two copies of the root */

#define CR4_OSXSAVE	(1ull << 18)
#define PTE_P		1u
#define PTE_W		2u
#define PTE_U		4u
#define PTE_AD		0x60u
#define RFLAGS_RF	0x10000u

const struct emu_mode emu_modes[] = {
	{ .name = "long", .vmm = VMM_LONG, .bits = CODE64 },
	{ .name = "32-bit", .vmm = VMM_PAGED32, .bits = CODE32 },
	{ .name = "16-bit", .vmm = VMM_PAGED32, .bits = CODE16 },
	{ .name = "real", .vmm = VMM_REAL, .bits = CODE16 },
	{ .name = "user", .vmm = VMM_LONG, .bits = CODE64, .user = true, .brief = true },
	{ .name = "rom", .vmm = VMM_LONG, .bits = CODE64, .rom = true, .brief = true },
	{ .name = "compatibility", .vmm = VMM_COMPAT, .bits = CODE32, .brief = true },
	{ .name = "pae", .vmm = VMM_PAE, .bits = CODE32, .brief = true },
	{ 0 }
};

/* Ends a run that does not end by itself. */
static void timed_out(int sig)
{
}

struct emu *emu_new(uint64_t seed)
{
	struct emu *e = calloc(1, sizeof(*e));
	struct sigaction sa = { .sa_handler = timed_out };
	struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs[0].value = 7 };

	sigaction(SIGALRM, &sa, NULL);
	e->random = seed * 0x9e3779b97f4a7c15ull + 1;
	e->v = vmm_new();
	vmm_add_vcpu(e->v);
	e->beside = mmap(NULL, EMU_GROUP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	e->rom = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vmm_slot(e->v, 1, 0, DEV_GROUP, EMU_DEVICE, e->beside) ||
	    vmm_slot(e->v, 2, 0, DEV_GROUP + 0x6000, 0x2000, e->beside + 0x6000) ||
	    vmm_slot(e->v, 3, KVM_MEM_READONLY, EMU_ROM, 0x2000, e->rom))
		tap_bail("slots");
	if (ioctl(e->v->vcpu[0], KVM_SET_XCRS, &x))
		tap_note("no AVX: KVM_SET_XCRS of 7 failed");
	e->xsave = calloc(1, 16384);
	emu_fill_noise(e);
	return e;
}

void emu_free(struct emu *e)
{
	vmm_free(e->v);
	free(e->xsave);
	free(e);
}

static void put(struct emu *e, uint32_t gpa, uint64_t val, unsigned int size)
{
	memcpy(e->v->ram + gpa, &val, size);
}

/* Segments whose bases make offset 0 of 16-bit code the group's start. */
static void segments16(struct kvm_sregs *s, const struct emu_mode *mode)
{
	uint32_t base = mode->vmm == VMM_REAL ? 0 : DEVICE - EMU_DEVICE;
	struct kvm_segment *const data[] = { &s->ds, &s->es, &s->ss, &s->fs, &s->gs };

	for (unsigned int i = 0; i < 5; i++) {
		data[i]->base = base;
		data[i]->limit = 0xffff;
		data[i]->g = 0;
		data[i]->db = 0;
	}
	s->cs.base = VMM_CODE;
	s->cs.limit = 0xffff;
	s->cs.g = 0;
	s->cs.db = 0;
}

static void user_segments(struct kvm_sregs *s)
{
	s->cs.selector = SEL_UCODE64;
	s->cs.dpl = 3;
	s->ss.selector = s->ds.selector = s->es.selector = SEL_UDATA;
	s->ss.dpl = s->ds.dpl = s->es.dpl = 3;
}

void emu_enter(struct emu *e, const struct emu_mode *mode)
{
	struct kvm_sregs *s = &e->sregs;

	vmm_mode(e->v, 0, mode->vmm);
	*s = vmm_sregs(e->v, 0);
	if (mode->bits == CODE16)
		segments16(s, mode);
	if (mode->user)
		user_segments(s);
	s->fs.base += 0x40;
	s->gs.base += 0x80;
	s->cr4 |= CR4_OSXSAVE;
}

/* Two roots with the same content: loading the other flushes what the guest's TLB holds. */
static uint64_t root(struct emu *e, const struct emu_mode *mode)
{
	uint32_t to = ROOTS + (e->other_root ? 0x1000 : 0), tables = VMM_TABLES;

	e->other_root = !e->other_root;
	switch (mode->vmm) {
	case VMM_LONG:
	case VMM_COMPAT:
		memcpy(e->v->ram + to, e->v->ram + tables, 0x1000);
		return to;
	case VMM_PAE:
		memcpy(e->v->ram + to, e->v->ram + tables + 0x7000, 0x1000);
		return to;
	case VMM_PAGED32:
		memcpy(e->v->ram + to, e->v->ram + tables + 0x6000, 0x1000);
		put(e, to + 4 * (DEVICE >> 22), TABLE32 | PTE_P | PTE_W | PTE_U, 4);
		put(e, to + 4 * ((DEVICE >> 22) - 1), TABLE32 | PTE_P | PTE_W | PTE_U, 4);
		return to;
	default:
		return 0;
	}
}

static void map_group(struct emu *e, const struct emu_input *in, bool on_device)
{
	uint32_t group = on_device ? DEV_GROUP : RAM_GROUP;
	uint32_t first = (DEVICE - EMU_DEVICE) >> 12;

	for (uint32_t i = 0; i < EMU_GROUP >> 12; i++) {
		/*
		 * Dirty, so that no store faults that the load before it did not: in RCL and RCR QEMU's
		 * processor has lost the carry by then. Pages that are not dirty are read-only in shadow mode.
		 */
		uint64_t pte = (group + (i << 12)) | PTE_P | PTE_W | PTE_U | PTE_AD;
		bool device = i == 4 || i == 5;

		if (in->edge == EDGE_ABSENT && i == 6)
			pte = 0;
		if ((in->edge == EDGE_READ_ONLY && i == 6) || (in->edge == EDGE_DEVICE_READ_ONLY && device))
			pte &= ~(uint64_t)PTE_W;
		if (in->edge == EDGE_SUPERVISOR && device)
			pte &= ~(uint64_t)PTE_U;
		put(e, TABLE64 + 8 * ((first + i) & 511), pte, 8);
		put(e, TABLE32 + 4 * ((first + i) & 1023), pte, 4);
	}
}

/*
 * DEVICE is 4 MiB-aligned and the group begins before it, so it straddles two
 * directory entries; one table serves both, as the indices differ.
 */
static void hook_directory(struct emu *e)
{
	uint32_t pd = VMM_TABLES + 0x2000;

	put(e, pd + 8 * (DEVICE >> 21), TABLE64 | PTE_P | PTE_W | PTE_U, 8);
	put(e, pd + 8 * ((DEVICE >> 21) - 1), TABLE64 | PTE_P | PTE_W | PTE_U, 8);
}

static uint8_t *code_at(struct emu *e, const struct emu_input *in)
{
	return in->mode->rom ? e->rom + in->code - EMU_ROM : e->v->ram + in->code;
}

static void load_vectors(struct emu *e, const struct emu_input *in)
{
	uint8_t *x = (uint8_t *)e->xsave;
	uint64_t bv = 7;
	uint32_t mxcsr = 0x1f80;

	memset(x, 0, 4096);
	memcpy(x + 24, &mxcsr, 4);
	memcpy(x + 160, in->xmm, 256);
	memcpy(x + 512, &bv, 8);
	memcpy(x + 576, in->xmm + 256, 256);
	if (ioctl(e->v->vcpu[0], KVM_SET_XSAVE, x))
		tap_bail("KVM_SET_XSAVE");
}

static void load(struct emu *e, const struct emu_input *in, bool on_device)
{
	struct kvm_sregs s = e->sregs;
	struct kvm_regs r = in->regs;
	uint8_t *code = code_at(e, in);

	memcpy(on_device ? e->beside : e->v->ram + RAM_GROUP, in->group, EMU_GROUP);
	memcpy(e->device, in->group + EMU_DEVICE, EMU_DEVICE_SIZE);
	memset(code - (in->mode->rom ? 0 : 16), 0x90, 48);
	memcpy(code, in->test->code, in->test->len);
	code[in->test->len] = 0xf4;
	hook_directory(e);
	map_group(e, in, on_device);
	s.cr3 = root(e, in->mode);
	if (in->mode->vmm == VMM_REAL) {
		uint64_t base = on_device ? DEV_GROUP : RAM_GROUP;

		s.ds.base = s.es.base = s.ss.base = base;
		s.fs.base = base + 0x40;
		s.gs.base = base + 0x80;
	}
	r.rip = in->code - s.cs.base;
	vmm_set_sregs(e->v, 0, &s);
	vmm_set_regs(e->v, 0, &r);
	if (in->test->flags & VECTOR)
		load_vectors(e, in);
}

/* Serves the device; anything else outside RAM reads as ones. */
static void serve(struct emu *e)
{
	struct kvm_run *run = e->v->run[0];
	uint64_t off = run->mmio.phys_addr - DEV_GROUP - EMU_DEVICE;

	if (off >= EMU_DEVICE_SIZE || off + run->mmio.len > EMU_DEVICE_SIZE) {
		memset(run->mmio.data, 0xff, 8);
		return;
	}
	if (run->mmio.is_write)
		memcpy(e->device + off, run->mmio.data, run->mmio.len);
	else
		memcpy(run->mmio.data, e->device + off, run->mmio.len);
}

static bool carries_bytes(struct emu *e, const struct emu_input *in)
{
	struct kvm_run *run = e->v->run[0];
	uint32_t len = in->test->len, on_page = 0x1000 - in->code % 0x1000;

	/* The stock module carries what it has fetched: perhaps only to the page's end. */
	if (vmm_on_stock() && on_page < len)
		len = on_page;
	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION)
		return true;
	return run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES &&
	       run->emulation_failure.insn_size >= len &&
	       !memcmp(run->emulation_failure.insn_bytes, in->test->code, len);
}

/*
 * The resume flag in an exception's frame is the processor's business; its
 * arithmetic flags are compared where they are in the register. So is,
 * under QEMU's emulation, the write bit of a page fault's error code: it reads
 * before it writes where a processor asks for writing at once.
 */
static void hide_details(const struct emu_input *in, struct emu_run *out)
{
	unsigned int word = in->mode->vmm == VMM_LONG || in->mode->vmm == VMM_COMPAT ? 8 : 4;
	bool error = out->vector == 8 || (out->vector >= 10 && out->vector <= 14) || out->vector == 17;
	uint64_t at = out->regs.rsp - in->base + (2 + error) * word;

	if (out->vector < 0 || in->mode->vmm == VMM_REAL || at > EMU_GROUP - 4)
		return;
	out->group[at + 2] &= ~(RFLAGS_RF >> 16);
	out->group[at] |= ARITHMETIC & 0xff;
	out->group[at + 1] |= ARITHMETIC >> 8;
	if (out->vector == 14 && vmm_under_tcg())
		out->group[out->regs.rsp - in->base] |= 2;
}

void emu_run(struct emu *e, const struct emu_input *in, struct emu_run *out, bool on_device)
{
	struct kvm_run *run = e->v->run[0];
	unsigned int exits = 0;

	load(e, in, on_device);
	alarm(20);
	while (!vmm_run(e->v, 0) && run->exit_reason == KVM_EXIT_MMIO && exits++ < 1000)
		serve(e);
	alarm(0);
	out->exit = run->exit_reason;
	out->bytes_right = out->exit == KVM_EXIT_INTERNAL_ERROR && carries_bytes(e, in);
	out->regs = vmm_regs(e->v, 0);
	out->vector = vmm_vector(e->v, 0);
	out->cr2 = vmm_sregs(e->v, 0).cr2;
	memcpy(out->group, on_device ? e->beside : e->v->ram + RAM_GROUP, EMU_GROUP);
	if (on_device)
		memcpy(out->group + EMU_DEVICE, e->device, EMU_DEVICE_SIZE);
	hide_details(in, out);
	if (in->test->flags & VECTOR) {
		uint8_t *x = (uint8_t *)e->xsave;

		if (ioctl(e->v->vcpu[0], KVM_GET_XSAVE, x))
			tap_bail("KVM_GET_XSAVE");
		memcpy(out->xmm, x + 160, 256);
		memcpy(out->xmm + 256, x + 576, 256);
	}
}
