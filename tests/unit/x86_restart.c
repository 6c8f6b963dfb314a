// SPDX-License-Identifier: GPL-2.0
/*
 * Restarting the emulator: an operation of an instruction cannot finish
 * (X86_EMU_IO), the caller gets its answer and emulates again with the answers
 * so far. For every form of instruction, and every operation in turn and all of
 * them, the end must be that of the uninterrupted run, and the repetition must
 * ask for the same operations with the same arguments.
 *
 * Arguments: cases for each form, seed.
 */
#include <stdio.h>
#include <stdlib.h>
#include "tests/unit/x86_gen.h"

#define MEM_ADDRESS	0x10002000ULL
#define CODE_ADDRESS	0x18000000ULL
#define REFUSE_ALL	(UINT_MAX - 1)

/* What the caller of the emulator can see at the end. */
struct end {
	enum x86_emu_rc rc;
	struct x86_regs regs;
	struct x86_fault fault;
	u8 ymm[16][32], mmx[8][8];
	u8 mem[MACHINE_RO_OFFSET];
	unsigned int nr_ops, port_reads;
	const char *error;
};

static u8 template[MACHINE_BYTES], mem[MACHINE_BYTES];

static int run(const struct gen_case *c, u32 budget, unsigned int refuse, struct end *end)
{
	static struct machine m;

	memcpy(mem, template, sizeof(mem));
	machine_init(&m, mem, MEM_ADDRESS);
	if (gen_load(&m, c))
		return -1;
	m.emu.budget = budget;
	m.refuse_op = refuse == REFUSE_ALL ? UINT_MAX : refuse;
	m.refuse_all = refuse == REFUSE_ALL;
	memset(end, 0, sizeof(*end));
	end->rc = machine_run(&m, NULL);
	end->regs = m.regs;
	if (end->rc == X86_EMU_FAULT)
		end->fault = m.emu.fault;
	memcpy(end->ymm, m.ymm, sizeof(end->ymm));
	memcpy(end->mmx, m.mmx, sizeof(end->mmx));
	memcpy(end->mem, mem, sizeof(end->mem));
	end->nr_ops = m.nr_ops;
	end->port_reads = m.port_reads;
	end->error = m.error;
	return 0;
}

static void show(const struct gen_case *c, unsigned int refuse, const char *what)
{
	unsigned int i;

	printf("# %s: %s, operation %d refused:", c->form->name, what, (int)refuse);
	for (i = 0; i < c->len; i++)
		printf(" %02x", c->bytes[i]);
	printf("\n");
}

static unsigned long nr_restarts;

/* Returns whether the run with @refuse ends as @whole did. */
static bool ends_alike(const struct gen_case *c, u32 budget, unsigned int refuse,
		       const struct end *whole)
{
	static struct end end;

	nr_restarts++;
	run(c, budget, refuse, &end);
	if (end.error) {
		show(c, refuse, end.error);
		return false;
	}
	if (memcmp(&end, whole, sizeof(end))) {
		show(c, refuse, end.rc != whole->rc ? "other result" : "other end");
		return false;
	}
	return true;
}

static bool run_case(const struct gen_case *c, u32 budget)
{
	static struct end whole;
	unsigned int i;

	if (run(c, budget, UINT_MAX, &whole))
		return true;		/* too long an instruction */
	if (whole.error) {
		show(c, UINT_MAX, whole.error);
		return false;
	}
	for (i = 0; i < whole.nr_ops; i++)
		if (!ends_alike(c, budget, i, &whole))
			return false;
	return ends_alike(c, budget, REFUSE_ALL, &whole);
}

static bool run_form(const struct gen_form *form, unsigned long nr, u64 seed)
{
	static const struct gen_places at = {
		.mem = MEM_ADDRESS, .code = CODE_ADDRESS, .target = CODE_ADDRESS + 90,
	};
	struct gen_case c;

	while (nr--) {
		gen_make(&c, form, &at, template, &seed);
		if (!run_case(&c, 1 + gen_random(&seed) % 64))
			return false;
	}
	return true;
}

/* INS and OUTS cannot run natively in user mode, so they are not among the shared forms. */
static const struct gen_form port_forms[] = {
	{ "ins", 0, 0x6c, 0x6d, -1, 0, 0, G_NO_MODRM | G_BYTE | G_REP, 0 },
	{ "outs", 0, 0x6e, 0x6f, -1, 0, 0, G_NO_MODRM | G_BYTE | G_REP, 0 },
};

static bool run_port_form(const struct gen_form *form, unsigned long nr, u64 seed)
{
	/* IOPL 3, so that ring 3 may use ports. */
	static const struct gen_places at = { .mem = MEM_ADDRESS, .code = CODE_ADDRESS };
	struct gen_case c;

	while (nr--) {
		gen_make(&c, form, &at, template, &seed);
		c.regs.rflags |= X86_EFLAGS_IOPL;
		if (!run_case(&c, 1 + gen_random(&seed) % 64))
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	unsigned long nr = argc > 1 ? strtoul(argv[1], NULL, 0) : 150;
	u64 seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	unsigned int i, n = 0, failed = 0;
	bool ok;

	printf("1..%zu\n", gen_nr_forms + ARRAY_SIZE(port_forms));
	for (i = 0; i < gen_nr_forms; i++) {
		ok = run_form(&gen_forms[i], nr, seed + i);
		printf("%sok %u - %s\n", ok ? "" : "not ", ++n, gen_forms[i].name);
		failed += !ok;
	}
	for (i = 0; i < ARRAY_SIZE(port_forms); i++) {
		ok = run_port_form(&port_forms[i], 4 * nr, seed + i);
		printf("%sok %u - %s\n", ok ? "" : "not ", ++n, port_forms[i].name);
		failed += !ok;
	}
	printf("# %lu restarts\n", nr_restarts);
	return failed != 0;
}
