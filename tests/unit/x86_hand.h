/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For tests of the emulator with values written by hand from the manuals: one
 * machine, instructions as strings of bytes, checks that say which line failed.
 * Included by programs of one file.
 */
#ifndef TESTS_X86_HAND_H
#define TESTS_X86_HAND_H

#include <stdio.h>
#include "tests/unit/x86_machine.h"

#define BASE	0x10000ULL

static struct machine m;
static u8 mem[MACHINE_BYTES];
static unsigned int nr_failed;
static bool test_ok;

struct hand_test {
	const char *name;
	void (*run)(void);
};

#define GPR(r)	(m.regs.gpr[X86_##r])

static void check_value(int line, const char *what, u64 is, u64 should)
{
	if (is == should)
		return;
	printf("# line %d: %s is %#llx, not %#llx\n", line, what, is, should);
	test_ok = false;
}
#define IS(val, should)	check_value(__LINE__, #val, (u64)(val), (u64)(should))

/* Memory of a fresh machine holds its own offsets in 16-bit words, multiplied by 3. */
static inline u64 initial(unsigned int offset, unsigned int bytes)
{
	u64 val = 0;

	while (bytes--)
		val = val << 8 | (u8)((offset + bytes) * 3 + ((offset + bytes) >> 8));
	return val;
}

static u64 peek(unsigned int offset, unsigned int bytes)
{
	u64 val = 0;

	memcpy(&val, mem + offset, bytes);
	return val;
}

static void poke(unsigned int offset, u64 val, unsigned int bytes)
{
	memcpy(mem + offset, &val, bytes);
}

/* A machine in @mode, ring 0; real and 16-bit segments start at BASE. */
static void start(enum x86_mode mode)
{
	unsigned int i;

	for (i = 0; i < MACHINE_BYTES; i++)
		mem[i] = i * 3 + (i >> 8);
	machine_init(&m, mem, BASE);
	m.emu.mode = mode;
	m.emu.cpl = mode == X86_MODE_VM86 ? 3 : 0;
	m.regs.rip = 0x100;
	m.regs.rflags = 2;
	if (mode == X86_MODE_LONG)
		return;
	m.seg[X86_SEG_CS].attrib &= ~X86_SEG_L;
	for (i = 0; i < X86_NR_SEG; i++) {
		m.seg[i].base = mode == X86_MODE_PROT32 ? 0 : BASE;
		if (mode == X86_MODE_PROT32)
			continue;
		m.seg[i].limit = 0xffff;
		m.seg[i].attrib &= ~(X86_SEG_DB | X86_SEG_G);
	}
	if (mode == X86_MODE_REAL)
		m.emu.cr0 &= ~(u64)X86_CR0_PE;
}

static inline int decode(const char *bytes, unsigned int len)
{
	return x86_decode(&m.emu.insn, (const u8 *)bytes, len, m.emu.mode);
}

static inline enum x86_emu_rc run(const char *bytes, unsigned int len)
{
	int err = decode(bytes, len);

	if (err || m.emu.insn.length != len) {
		printf("# decoded: %d, length %u of %u\n", err, m.emu.insn.length, len);
		test_ok = false;
		return X86_EMU_UNHANDLED;
	}
	m.nr_writes = 0;
	m.nr_memo = 0;
	m.next_memo = 0;
	return x86_emulate(&m.emu);
}
#define RUN(bytes)	run(bytes, sizeof(bytes) - 1)
#define DECODE(bytes)	decode(bytes, sizeof(bytes) - 1)

static inline void expect_fault(int line, enum x86_emu_rc rc, unsigned int vector, bool has_error)
{
	check_value(line, "result", rc, X86_EMU_FAULT);
	check_value(line, "vector", m.emu.fault.vector, vector);
	check_value(line, "has_error", m.emu.fault.has_error, has_error);
	check_value(line, "error", vector == X86_VECTOR_PF ? 0 : m.emu.fault.error, 0);
	check_value(line, "rip", m.regs.rip, 0x100);
}
#define FAULTS(bytes, vector, has_error) \
	expect_fault(__LINE__, RUN(bytes), X86_VECTOR_##vector, has_error)

static int run_hand_tests(const struct hand_test *tests, unsigned int nr)
{
	unsigned int i;

	printf("1..%u\n", nr);
	for (i = 0; i < nr; i++) {
		test_ok = true;
		tests[i].run();
		if (m.error) {
			printf("# %s\n", m.error);
			test_ok = false;
		}
		printf("%sok %u - %s\n", test_ok ? "" : "not ", i + 1, tests[i].name);
		nr_failed += !test_ok;
	}
	return nr_failed != 0;
}

#endif
