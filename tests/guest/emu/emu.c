// SPDX-License-Identifier: GPL-2.0
/*
 * The emulator against the processor: every instruction form of cases*.S runs
 * twice with the same registers, flags, memory and addresses, once on RAM (the
 * processor does it: the oracle) and once on a device which this VMM backs with
 * an array (the module's emulator does it). Everything must come out the same.
 *
 *   group of 8 pages, at one guest-virtual address in both runs
 *   +-----+-----+-----+-----+--------+--------+-----+-----+
 *   | RAM | RAM | RAM | RAM | device | device | RAM | RAM |   device run
 *   +-----+-----+-----+-----+--------+--------+-----+-----+
 *   | RAM | RAM | RAM | RAM |  RAM   |  RAM   | RAM | RAM |   RAM run
 *   +-----+-----+-----+-----+--------+--------+-----+-----+
 *            strings'        ^ DEVICE                 stack
 *            other operand
 *
 * Operands lie inside the device, across its two pages, across either edge, or
 * run into a page that is absent or read-only. An instruction the emulator does
 * not have must end in KVM_EXIT_INTERNAL_ERROR with its bytes.
 *
 * emu [MODE...]; EMU_ROUNDS (8) inputs for each form, EMU_SEED (1).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "case.h"
#include "emu.h"

/* Compares the two results; tells the first difference. */
static bool same(const struct emu_run *ram, const struct emu_run *dev, const struct emu_input *in,
		 char *why, size_t size)
{
	uint64_t mask = in->mode->bits == CODE64 ? ~0ull : 0xffffffff;
	const uint64_t *a = (const uint64_t *)&ram->regs, *b = (const uint64_t *)&dev->regs;
	uint64_t flags = ~(uint64_t)in->test->undefined;
	uint64_t want = ram->regs.rflags;

	/*
	 * A fault leaves the flags as they were, which QEMU's processor does not
	 * always do; a repeated comparison that faults on its way may change them.
	 */
	if (ram->vector == 14)
		want = (want & ~(uint64_t)ARITHMETIC) | (in->regs.rflags & ARITHMETIC);
	if (ram->vector >= 0 && in->test->flags & COUNT)
		flags &= ~(uint64_t)ARITHMETIC;
	if (ram->exit != dev->exit || ram->vector != dev->vector) {
		snprintf(why, size, "RAM ends in %s vector %d, device in %s vector %d",
			 vmm_exit_name(ram->exit), ram->vector, vmm_exit_name(dev->exit), dev->vector);
		return false;
	}
	for (unsigned int i = 0; i < 17; i++)
		if ((a[i] ^ b[i]) & mask) {
			snprintf(why, size, "register %u: RAM %#llx, device %#llx", i,
				 (unsigned long long)a[i], (unsigned long long)b[i]);
			return false;
		}
	if ((want ^ dev->regs.rflags) & flags && (ram->regs.rflags ^ dev->regs.rflags) & flags) {
		snprintf(why, size, "flags: wanted %#llx, device %#llx", (unsigned long long)want,
			 dev->regs.rflags);
		return false;
	}
	if (ram->vector == 14 && ram->cr2 != dev->cr2) {
		snprintf(why, size, "CR2: RAM %#llx, device %#llx", (unsigned long long)ram->cr2,
			 (unsigned long long)dev->cr2);
		return false;
	}
	for (unsigned int i = 0; memcmp(ram->group, dev->group, EMU_GROUP) && i < EMU_GROUP; i++)
		if (ram->group[i] != dev->group[i]) {
			snprintf(why, size, "memory at device%+d: before %02x, RAM %02x, device %02x",
				 (int)i - EMU_DEVICE, in->group[i], ram->group[i], dev->group[i]);
			return false;
		}
	if (in->test->flags & VECTOR && memcmp(ram->xmm, dev->xmm, sizeof(ram->xmm))) {
		for (unsigned int i = 0; i < 16; i++)
			if (memcmp(ram->xmm + 16 * i, dev->xmm + 16 * i, 16) ||
			    memcmp(ram->xmm + 256 + 16 * i, dev->xmm + 256 + 16 * i, 16))
				snprintf(why, size, "vector register %u", i);
		return false;
	}
	return true;
}

static void tell(const struct emu_input *in, const char *why)
{
	tap_note("%s", why);
	tap_note("rdi device%+lld rsi device%+lld rax %#llx rcx %#llx rdx %#llx rsp device%+lld flags %#llx, code at %#x, edge %s",
		 (long long)(in->regs.rdi - in->base - EMU_DEVICE), (long long)(in->regs.rsi - in->base - EMU_DEVICE),
		 in->regs.rax, in->regs.rcx, in->regs.rdx, (long long)(in->regs.rsp - in->base - EMU_DEVICE),
		 in->regs.rflags, in->code, emu_edge_name(in->edge));
}

/*
 * What the stock module gets wrong, and is not held to: with nested paging it
 * takes the exit's guest-physical address for checked, so the write of a
 * read-modify-write instruction whose read made the exit is not checked.
 */
static bool stock_defect(const struct emu_run *ram, const struct emu_run *dev, const struct emu_input *in)
{
	return vmm_on_stock() && ram->vector == 14 && dev->vector == (in->mode->user ? 13 : -1) && in->edge == EDGE_DEVICE_READ_ONLY;
}

/* An emulation failure is an answer, if it carries the instruction. */
static bool gave_up(const struct emu_run *dev, const struct emu_run *ram, const struct emu_input *in)
{
	if (in->mode->user && dev->vector == 6 && ram->vector != 6)
		return true;
	return dev->exit == KVM_EXIT_INTERNAL_ERROR;
}

/* No emulator can lock two pages, one of them a device's, at once. */
static bool locks_two_pages(const struct emu_input *in)
{
	return (!strncmp(in->test->name, "lock", 4) || !strncmp(in->test->name, "xchg", 4)) &&
	       in->regs.rdi % 0x1000 > 0x1000 - 8;
}

static void one_case(struct emu *e, const struct emu_mode *mode, const struct emu_case *test, unsigned int rounds)
{
	unsigned int first = test - __start_emu_cases;

	bool must = test->flags & MUST && !(test->flags & NOSTOCK && vmm_on_stock());
	unsigned int given_up = 0, wrong = 0;
	char why[256] = "", name[160];

	for (unsigned int n = 0; n < rounds && !wrong; n++) {
		struct emu_input *in = &e->input;

		emu_make_input(e, mode, test, first + n);
		emu_run(e, in, &e->ram, false);
		emu_run(e, in, &e->dev, true);
		if (gave_up(&e->dev, &e->ram, in)) {
			given_up++;
			if (e->dev.exit == KVM_EXIT_INTERNAL_ERROR && !e->dev.bytes_right) {
				snprintf(why, sizeof(why), "emulation failure without the instruction's bytes");
				wrong++;
			} else if (must && !locks_two_pages(in)) {
				snprintf(why, sizeof(why), "emulation failure (RAM ends in %s vector %d)",
					 vmm_exit_name(e->ram.exit), e->ram.vector);
				wrong++;
			}
		} else if (!stock_defect(&e->ram, &e->dev, in) && !same(&e->ram, &e->dev, in, why, sizeof(why))) {
			wrong++;
		}
	}
	snprintf(name, sizeof(name), "%s: %s", mode->name, test->name);
	if (wrong && test->flags & WRONG && vmm_on_stock()) {
		tap_note("%s", why);
		tap_skip(name, "the stock module gets it wrong");
	} else if (!wrong && given_up == rounds && rounds) {
		tap_skip(name, "not emulated; ends in an emulation failure that carries its bytes");
	} else if (!tap_ok(!wrong, "%s", name)) {
		tell(&e->input, why);
	}
}

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(name, argv[i]))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	const char *env = getenv("EMU_ROUNDS"), *only = getenv("EMU_ONLY");
	unsigned int rounds = env ? atoi(env) : 8;
	struct emu *e = emu_new(getenv("EMU_SEED") ? atoi(getenv("EMU_SEED")) : 1);

	for (const struct emu_mode *mode = emu_modes; mode->name; mode++) {
		if (!wanted(mode->name, argc, argv))
			continue;
		emu_enter(e, mode);
		for (const struct emu_case *t = __start_emu_cases; t < __stop_emu_cases; t++)
			if (t->bits == mode->bits && (!only || strstr(t->name, only)))
				one_case(e, mode, t, mode->brief ? (rounds + 5) / 6 : rounds);
	}
	emu_free(e);
	return tap_done();
}
