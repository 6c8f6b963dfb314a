// SPDX-License-Identifier: GPL-2.0
/*
 * Any bytes in any state: decoder and emulator must stay inside their rules
 * (and the sanitizers'), change nothing when they refuse, and end in the same
 * way when every operation is refused once.
 *
 * With clang's libFuzzer: make fuzz-x86, then build/tests/fuzz/x86_fuzz_clang CORPUS.
 * As a test: x86_fuzz [number of inputs] [seed], inputs from a generator.
 */
#include <stdio.h>
#include <stdlib.h>
#include "tests/unit/x86_machine.h"

#define BASE	0x10000ULL

/* How an input is read: state first, the instruction in the rest. */
struct input {
	u8 mode, cpl, cr, seg_attrib, seg_limit, flat, budget, flags;
	u8 gpr_kind[16];
	u8 gpr_low[16];
	u8 insn[15];
};

static const enum x86_mode modes[] = {
	X86_MODE_REAL, X86_MODE_VM86, X86_MODE_PROT16, X86_MODE_PROT32, X86_MODE_LONG, X86_MODE_LONG,
};

static u64 register_value(u8 kind, u8 low)
{
	switch (kind % 8) {
	case 0:
		return low;
	case 1:
		return BASE + low * 64;
	case 2:
		return BASE + PAGE_SIZE - low % 40;
	case 3:
		return BASE + MACHINE_RO_OFFSET - low % 40;
	case 4:
		return (u64)(s8)low;
	case 5:
		return 0x7ffffffffff0ULL + low;
	case 6:
		return 0x0101010101010101ULL * low;
	default:
		return 0xfff0 + low % 32;
	}
}

static void set_segments(struct machine *m, const struct input *in)
{
	unsigned int i;

	for (i = 0; i < X86_NR_SEG; i++) {
		if (m->emu.mode != X86_MODE_LONG)
			m->seg[i].base = (in->seg_attrib >> i) & 1 ? BASE : 0;
		if (in->seg_limit & 1)
			m->seg[i].limit = 0xffff;
		if ((in->seg_limit >> 1) == i)
			m->seg[i].attrib ^= in->seg_attrib & (X86_SEG_TYPE | X86_SEG_P);
		if (in->seg_limit & 0x80)
			m->seg[i].attrib &= ~X86_SEG_DB;
	}
}

static void set_state(struct machine *m, const struct input *in)
{
	unsigned int i;

	m->emu.mode = modes[in->mode % ARRAY_SIZE(modes)];
	m->emu.cpl = m->emu.mode == X86_MODE_REAL ? 0 : m->emu.mode == X86_MODE_VM86 ? 3 : in->cpl & 3;
	m->emu.cr0 ^= in->cr & (X86_CR0_TS | X86_CR0_EM);
	if (in->cr & 1)
		m->emu.cr4 = 0;
	m->emu.budget = in->budget;
	m->flat = in->flat & 1;
	m->emu.io_buf = in->flat & 2 ? NULL : m->io_buf;
	m->regs.rip = m->emu.mode == X86_MODE_LONG ? BASE : 0x100;
	m->regs.rflags = 2 | (in->flags & 0xd5) | (in->flags & 2 ? X86_EFLAGS_DF : 0) |
			 (in->flags & 8 ? X86_EFLAGS_TF | X86_EFLAGS_AC : 0) |
			 (in->flags & 0x20 ? X86_EFLAGS_IOPL : 0);
	for (i = 0; i < X86_NR_GPR; i++)
		m->regs.gpr[i] = register_value(in->gpr_kind[i], in->gpr_low[i]);
	/* Long repetitions say no more than short ones. */
	m->regs.gpr[X86_RCX] &= 0xff;
	set_segments(m, in);
}

static u8 mem[2][MACHINE_BYTES], initial_mem[MACHINE_BYTES];

static void fill_memory(u8 *memory)
{
	unsigned int i;

	for (i = 0; !initial_mem[1] && i < MACHINE_BYTES; i++)
		initial_mem[i] = i * 3 + (i >> 8);
	memcpy(memory, initial_mem, MACHINE_BYTES);
}

static enum x86_emu_rc run(struct machine *m, const struct input *in, u8 *memory, bool refuse)
{
	fill_memory(memory);
	machine_init(m, memory, BASE);
	set_state(m, in);
	m->refuse_all = refuse;
	if (x86_decode(&m->emu.insn, in->insn, sizeof(in->insn), m->emu.mode))
		return X86_EMU_UNHANDLED;
	return machine_run(m, NULL);
}

static void fail(const struct input *in, const char *why)
{
	unsigned int i;

	fprintf(stderr, "mode %u: %s:", modes[in->mode % ARRAY_SIZE(modes)], why);
	for (i = 0; i < sizeof(in->insn); i++)
		fprintf(stderr, " %02x", in->insn[i]);
	fprintf(stderr, "\n");
	abort();
}

static bool is_same_end(const struct machine *a, const struct machine *b)
{
	return !memcmp(&a->regs, &b->regs, sizeof(a->regs)) &&
	       !memcmp(a->ymm, b->ymm, sizeof(a->ymm)) && !memcmp(a->mmx, b->mmx, sizeof(a->mmx)) &&
	       !memcmp(a->cr, b->cr, sizeof(a->cr)) && !memcmp(a->dr, b->dr, sizeof(a->dr)) &&
	       !memcmp(mem[0], mem[1], MACHINE_BYTES) && a->port_reads == b->port_reads;
}

static void check(const struct input *in, struct machine *a, struct machine *b)
{
	enum x86_emu_rc rc = run(a, in, mem[0], false);

	if (a->error)
		fail(in, a->error);
	if (rc == X86_EMU_IO || (rc == X86_EMU_RETRY && !a->emu.insn.lock))
		fail(in, "result that no operation gave");
	if (rc == X86_EMU_UNHANDLED) {
		if (a->emu.iterations == 0 && a->nr_writes)
			fail(in, "wrote before it refused");
		return;
	}
	if (rc != run(b, in, mem[1], true))
		fail(in, "another result after restarts");
	if (b->error)
		fail(in, b->error);
	if (!is_same_end(a, b))
		fail(in, "another end after restarts");
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct machine a, b;
	struct input in = { 0 };

	memset(in.insn, 0x90, sizeof(in.insn));
	memcpy(&in, data, min(size, sizeof(in)));
	check(&in, &a, &b);
	return 0;
}

#ifndef X86_FUZZ_CLANG
static u64 next_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1dULL;
}

/* Random bytes with prefixes in front more often than by chance. */
static void make_input(struct input *in, u64 *seed)
{
	static const u8 starts[][3] = {
		{ 0x0f }, { 0x66 }, { 0xf0 }, { 0xf3 }, { 0x48 }, { 0x67 }, { 0x66, 0x0f }, { 0xf3, 0x0f },
		{ 0xf0, 0x0f }, { 0xc5 }, { 0xc4, 0xe2 }, { 0xf2, 0x0f }, { 0x65 }, { 0x0f, 0x38 },
	};
	u8 *p = (u8 *)in;
	unsigned int i;
	u64 r;

	for (i = 0; i < sizeof(*in); i++)
		p[i] = next_random(seed) >> 56;
	r = next_random(seed) >> 32;
	if (r & 1) {
		r = (r >> 1) % ARRAY_SIZE(starts);
		for (i = 0; i < 3 && starts[r][i]; i++)
			in->insn[i] = starts[r][i];
	}
}

int main(int argc, char **argv)
{
	unsigned long nr = argc > 1 ? strtoul(argv[1], NULL, 0) : 500000, i;
	u64 seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 88172645463325252ULL;
	struct input in;

	printf("1..1\n");
	for (i = 0; i < nr; i++) {
		make_input(&in, &seed);
		LLVMFuzzerTestOneInput((const u8 *)&in, sizeof(in));
	}
	printf("ok 1 - %lu random instructions in random states\n", nr);
	return 0;
}
#endif
