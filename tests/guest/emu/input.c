// SPDX-License-Identifier: GPL-2.0
/* Random inputs for an instruction form, and where its operands lie. */
#include <string.h>

#include "emu.h"

#define RFLAGS_DF	0x400

static uint64_t rnd(struct emu *e)
{
	e->random ^= e->random << 13;
	e->random ^= e->random >> 7;
	e->random ^= e->random << 17;
	return e->random;
}

static uint64_t below(struct emu *e, uint64_t n)
{
	return rnd(e) % n;
}

const char *emu_edge_name(enum emu_edge edge)
{
	static const char *const name[] = { "RAM", "absent", "read-only", "device read-only", "supervisor" };

	return name[edge];
}

/* Offset in the group of the device operand; a string may run either way from it. */
static uint32_t place(struct emu *e, const struct emu_case *t, unsigned int n)
{
	uint32_t spread = t->flags & COUNT ? 64 : 8;
	uint32_t off = EMU_DEVICE + 0x400 + below(e, 0x400);

	if (!(t->flags & (BITS | STACK | BOUNDED))) {
		if (n % 8 == 3)		/* across the device's two pages */
			off = EMU_DEVICE + 0x1000 - below(e, spread);
		else if (n % 8 == 5)	/* RAM into device */
			off = EMU_DEVICE - below(e, spread);
		else if (n % 4 == 2)	/* device into what is behind it */
			off = EMU_DEVICE + EMU_DEVICE_SIZE - below(e, spread);
	}
	if (t->flags & BITS)
		off = EMU_DEVICE + 0x1000 + below(e, 64) - 32;
	return t->flags & ALIGN ? off & ~31u : off;
}

static enum emu_edge edge(struct emu *e, const struct emu_mode *mode, const struct emu_case *t, unsigned int n)
{
	if (mode->vmm == VMM_REAL || t->flags & (STACK | BITS))
		return EDGE_RAM;
	if (n % 16 == 6)
		return EDGE_ABSENT;
	if (n % 16 == 10)
		return EDGE_READ_ONLY;
	if (n % 16 == 9)
		return EDGE_DEVICE_READ_ONLY;
	return mode->user && n % 16 == 13 ? EDGE_SUPERVISOR : EDGE_RAM;
}

/* Half of the time the accumulator is what CMPXCHG finds. */
static void match(struct emu *e, struct emu_input *in, uint32_t off)
{
	uint64_t lo, hi;

	if (below(e, 2))
		return;
	memcpy(&lo, in->group + off, 8);
	memcpy(&hi, in->group + off + 8, 8);
	in->regs.rax = lo;
	if (strstr(in->test->name, "16b")) {
		in->regs.rdx = hi;
	} else if (strstr(in->test->name, "8b")) {
		in->regs.rax = (uint32_t)lo;
		in->regs.rdx = lo >> 32;
	}
}

void emu_fill_noise(struct emu *e)
{
	for (unsigned int i = 0; i < sizeof(e->noise); i++)
		e->noise[i] = rnd(e) >> 24;
}

static void pointers(struct emu *e, struct emu_input *in, unsigned int n)
{
	uint32_t flags = in->test->flags, dev = place(e, in->test, n);
	uint32_t ram = 0x1000 + below(e, 0x1000);
	struct kvm_regs *r = &in->regs;

	r->rdi = in->base + dev;
	r->rsi = in->base + ram;
	if (flags & SRC) {
		r->rsi = in->base + dev;
		r->rdi = in->base + ram;
	} else if (flags & BOTH) {
		r->rsi = in->base + EMU_DEVICE + 0x800 + below(e, 0x100);
		if (n & 1)	/* overlapping */
			r->rsi = r->rdi + below(e, 16) - 8;
	}
	r->rsp = in->base + 0x7f00;
	if (flags & STACK)
		r->rsp = in->base + EMU_DEVICE + 0x800 + 2 * below(e, 64);
	if (flags & MATCH)
		match(e, in, dev);
}

static void registers(struct emu *e, struct emu_input *in)
{
	struct kvm_regs *r = &in->regs;
	uint64_t *all = (uint64_t *)r, mask = in->mode->bits == CODE64 ? ~0ull : 0xffffffff;

	for (unsigned int i = 0; i < 16; i++)
		all[i] = rnd(e) & mask;
	r->rbx = below(e, 16);
	if (!below(e, 4))
		r->rdx = 0;
	if (!below(e, 4))
		r->rax &= 0xff;
	if (in->test->flags & COUNT)
		r->rcx = below(e, 4) ? below(e, 20) : 0;
	if (in->test->flags & BITS)
		r->rax = (int64_t)(int16_t)rnd(e) & mask;
	r->rflags = 2 | (rnd(e) & (CF | PF | AF | ZF | SF | OF | RFLAGS_DF));
}

void emu_make_input(struct emu *e, const struct emu_mode *mode, const struct emu_case *test, unsigned int n)
{
	struct emu_input *in = &e->input;

	in->mode = mode;
	in->test = test;
	in->base = mode->bits == CODE16 ? 0 : DEVICE - EMU_DEVICE;
	memcpy(in->group, e->noise + below(e, EMU_GROUP), EMU_GROUP);
	/* Repeated content, so that REPE runs on. */
	if (test->flags & COUNT && n % 3 == 1)
		memset(in->group, 0x5a, EMU_GROUP);
	for (unsigned int i = 0; i < sizeof(in->xmm); i += 8) {
		uint64_t val = rnd(e);

		memcpy(in->xmm + i, &val, 8);
	}
	registers(e, in);
	if (test->flags & COUNT && n % 3 == 1 && n % 2)
		in->regs.rax = 0x5a5a5a5a5a5a5a5a & (mode->bits == CODE64 ? ~0ull : 0xffffffff);
	pointers(e, in, n);
	in->edge = edge(e, mode, test, n);
	/* Every other instruction lies across two pages of code. */
	in->code = mode->rom ? EMU_ROM : VMM_CODE;
	if (!(test->flags & FIXED) && n % 2)
		in->code += 0x1000 - 1 - below(e, test->len);
}
