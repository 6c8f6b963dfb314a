/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A processor and a few pages of memory for tests of the emulator: flat linear
 * memory with permissions, vector registers, ports, and operations that can be
 * told to answer "not now" (X86_EMU_IO) and then remember, as a VMM does for
 * devices.
 *
 *   base                                                          base + MACHINE_BYTES
 *   │ page 0: rw │ page 1: rw │ page 2: read only │ page 3: nothing │
 */
#ifndef TESTS_X86_MACHINE_H
#define TESTS_X86_MACHINE_H

#include "x86/emulate.h"

#define MACHINE_RW_PAGES	2
#define MACHINE_PAGES		4
#define MACHINE_BYTES		(MACHINE_PAGES * PAGE_SIZE)
#define MACHINE_RO_OFFSET	(MACHINE_RW_PAGES * PAGE_SIZE)
#define MACHINE_NONE_OFFSET	(MACHINE_RO_OFFSET + PAGE_SIZE)

/* One operation as it was carried out, for the memory of answers. */
struct machine_op {
	enum { OP_READ, OP_WRITE, OP_PROBE, OP_CMPXCHG, OP_PIO_IN, OP_PIO_OUT } kind;
	u64 address;
	unsigned int len;
	u32 iteration;
	u8 data[64];		/* read: the answer; write: what was written */
};

#define MACHINE_MAX_OPS		64

struct machine {
	struct x86_emu emu;
	struct x86_regs regs;
	struct x86_seg seg[X86_NR_SEG];
	u8 ymm[16][32];
	u8 mmx[8][8];

	u64 base;		/* linear address of mem */
	u8 *mem;		/* MACHINE_BYTES */
	bool flat;		/* no permissions: the whole address space is mem, modulo its size */
	u64 cr[9], dr[8];
	u64 invlpg;
	unsigned int invpcid_type, invpcid;

	/* The op whose first attempt is refused, counted from 0 over all; UINT_MAX: none. */
	unsigned int refuse_op;
	bool refuse_all;	/* every op is refused once */
	unsigned int nr_ops;	/* carried out so far */
	unsigned int nr_writes;
	unsigned int port_reads;	/* a port answers with a sequence */

	struct machine_op memo[MACHINE_MAX_OPS];
	unsigned int nr_memo, next_memo;
	const char *error;	/* what the emulator did wrong, NULL: nothing */
	u8 io_buf[64];
};

/* Long mode, flat segments, ring 3; the caller sets registers, memory and base. */
void machine_init(struct machine *m, u8 *mem, u64 base);

/*
 * Runs emu.insn to its end the way a VMM does: repeats what was refused, goes on after batches. Returns
 * the last result. *nr_calls, if given: how often the emulator was called.
 */
enum x86_emu_rc machine_run(struct machine *m, unsigned int *nr_calls);

extern const struct x86_emu_ops machine_ops;

#endif
