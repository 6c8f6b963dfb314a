// SPDX-License-Identifier: GPL-2.0
/*
 * x86 emulator: string instructions, alone and repeated.
 *
 *   count = rCX ──┬── 0 ──────────────────────────────────> retire
 *        ^        └── step: ops, then rSI, rDI ──┬─ ok ──> rCX -= n, committed
 *        │                                       └─ fault, I/O: back to the caller,
 *        └── budget left, condition holds <──        earlier iterations stay done
 */
#include "x86/emulate_flags.h"

/* One iteration; sets *nr to how many it was, if more than one. At most @max. */
typedef enum x86_emu_rc string_step(struct x86_emu *emu, u64 max, u32 *nr);

static u64 get_index(const struct x86_emu *emu, unsigned int reg)
{
	return emu->regs->gpr[reg] & x86_mask(emu->insn.addr_bytes);
}

/* Moves rSI or rDI over @nr elements, in the direction of DF. */
static void advance(struct x86_emu *emu, unsigned int reg, u32 nr)
{
	u64 by = (u64)nr * emu->insn.op_bytes;

	if (emu->regs->rflags & X86_EFLAGS_DF)
		by = -by;
	x86_emu_set(emu, reg, emu->insn.addr_bytes, emu->regs->gpr[reg] + by);
}

static enum x86_emu_rc linear_source(struct x86_emu *emu, u64 *gva)
{
	return x86_emu_linear(emu, emu->insn.seg, get_index(emu, X86_RSI), emu->insn.op_bytes,
			      X86_EMU_READ, gva);
}

static enum x86_emu_rc linear_destination(struct x86_emu *emu, enum x86_emu_access access, u64 *gva)
{
	return x86_emu_linear(emu, X86_SEG_ES, get_index(emu, X86_RDI), emu->insn.op_bytes,
			      access, gva);
}

static enum x86_emu_rc read_source(struct x86_emu *emu, u64 *val)
{
	enum x86_emu_rc rc;
	u64 gva;

	*val = 0;
	rc = linear_source(emu, &gva);
	return rc == X86_EMU_OK ?
	       x86_emu_read(emu, gva, val, emu->insn.op_bytes, X86_EMU_READ) : rc;
}

static enum x86_emu_rc read_destination(struct x86_emu *emu, u64 *val)
{
	enum x86_emu_rc rc;
	u64 gva;

	*val = 0;
	rc = linear_destination(emu, X86_EMU_READ, &gva);
	return rc == X86_EMU_OK ?
	       x86_emu_read(emu, gva, val, emu->insn.op_bytes, X86_EMU_READ) : rc;
}

static enum x86_emu_rc write_destination(struct x86_emu *emu, u64 val)
{
	enum x86_emu_rc rc;
	u64 gva;

	rc = linear_destination(emu, X86_EMU_WRITE, &gva);
	return rc == X86_EMU_OK ? x86_emu_write(emu, gva, &val, emu->insn.op_bytes) : rc;
}

/* ---- repetition ---- */

static void count_iterations(struct x86_emu *emu, u32 nr)
{
	emu->iterations += nr;
	x86_emu_set(emu, X86_RCX, emu->insn.addr_bytes, emu->regs->gpr[X86_RCX] - nr);
}

/* A batch ended with iterations left: RIP stays; every iteration is a step for TF. */
static enum x86_emu_rc end_batch(struct x86_emu *emu)
{
	emu->retired = true;
	emu->single_step = emu->regs->rflags & X86_EFLAGS_TF;
	return X86_EMU_OK;
}

/* CMPS and SCAS go on while ZF is what the prefix says. */
static bool condition_ends(const struct x86_emu *emu)
{
	if (emu->insn.op != X86_OP_CMPS && emu->insn.op != X86_OP_SCAS)
		return false;
	return !(emu->regs->rflags & X86_EFLAGS_ZF) == (emu->insn.rep == 0xf3);
}

static enum x86_emu_rc repeat(struct x86_emu *emu, string_step *step)
{
	enum x86_emu_rc rc;
	u64 count;
	u32 nr;

	while ((count = get_index(emu, X86_RCX))) {
		u32 budget = emu->regs->rflags & X86_EFLAGS_TF ? 1 : max(emu->budget, 1u);

		if (emu->iterations >= budget)
			return end_batch(emu);
		nr = 1;
		/* Not what is left of the budget: a repeated attempt must ask for the same. */
		rc = step(emu, min_t(u64, count, budget), &nr);
		if (rc == X86_EMU_UNHANDLED && emu->iterations)
			return end_batch(emu);
		if (rc != X86_EMU_OK)
			return rc;
		count_iterations(emu, nr);
		if (condition_ends(emu))
			break;
	}
	return x86_emu_retire(emu);
}

static enum x86_emu_rc run(struct x86_emu *emu, string_step *step)
{
	enum x86_emu_rc rc;
	u32 nr = 1;

	if (emu->insn.rep)
		return repeat(emu, step);
	rc = step(emu, 1, &nr);
	return rc == X86_EMU_OK ? x86_emu_retire(emu) : rc;
}

/* ---- the steps ---- */

static enum x86_emu_rc step_movs(struct x86_emu *emu, u64 max, u32 *nr)
{
	enum x86_emu_rc rc;
	u64 val;

	rc = read_source(emu, &val);
	if (rc == X86_EMU_OK)
		rc = write_destination(emu, val);
	if (rc != X86_EMU_OK)
		return rc;
	advance(emu, X86_RSI, 1);
	advance(emu, X86_RDI, 1);
	return X86_EMU_OK;
}

static enum x86_emu_rc step_stos(struct x86_emu *emu, u64 max, u32 *nr)
{
	enum x86_emu_rc rc = write_destination(emu, emu->regs->gpr[X86_RAX]);

	if (rc == X86_EMU_OK)
		advance(emu, X86_RDI, 1);
	return rc;
}

static enum x86_emu_rc step_lods(struct x86_emu *emu, u64 max, u32 *nr)
{
	u64 val;
	enum x86_emu_rc rc = read_source(emu, &val);

	if (rc != X86_EMU_OK)
		return rc;
	x86_emu_set(emu, X86_RAX, emu->insn.op_bytes, val);
	advance(emu, X86_RSI, 1);
	return X86_EMU_OK;
}

static enum x86_emu_rc step_cmps(struct x86_emu *emu, u64 max, u32 *nr)
{
	enum x86_emu_rc rc;
	u64 a, b, diff;

	rc = read_source(emu, &a);
	if (rc == X86_EMU_OK)
		rc = read_destination(emu, &b);
	if (rc != X86_EMU_OK)
		return rc;
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH,
			  x86_flags_sub(a, b, 0, emu->insn.op_bytes, &diff));
	advance(emu, X86_RSI, 1);
	advance(emu, X86_RDI, 1);
	return X86_EMU_OK;
}

static enum x86_emu_rc step_scas(struct x86_emu *emu, u64 max, u32 *nr)
{
	unsigned int bytes = emu->insn.op_bytes;
	enum x86_emu_rc rc;
	u64 val, diff;

	rc = read_destination(emu, &val);
	if (rc != X86_EMU_OK)
		return rc;
	x86_emu_set_flags(emu, X86_EFLAGS_ARITH,
			  x86_flags_sub(x86_emu_get(emu, X86_RAX, bytes), val, 0, bytes, &diff));
	advance(emu, X86_RDI, 1);
	return X86_EMU_OK;
}

/* ---- ports ---- */

/*
 * How many elements from offset @ea of @seg on one batch may have: upwards only, in one
 * page, in the caller's buffer, and allowed by the segment up to the last of them. The
 * first one is known to be at @gva.
 */
static u32 batch_size(struct x86_emu *emu, unsigned int seg, u64 ea, u64 gva,
		      enum x86_emu_access access, u64 max)
{
	unsigned int bytes = emu->insn.op_bytes;
	u64 nr = min_t(u64, max, (PAGE_SIZE - (gva & ~PAGE_MASK)) / bytes);
	u64 last_ea, last_gva;

	if (!emu->io_buf || (emu->regs->rflags & X86_EFLAGS_DF))
		return 1;
	nr = min_t(u64, nr, emu->io_bytes / bytes);
	if (nr <= 1)
		return 1;
	last_ea = ea + (nr - 1) * bytes;
	if (last_ea > x86_mask(emu->insn.addr_bytes) ||
	    x86_emu_linear(emu, seg, last_ea, bytes, access, &last_gva) != X86_EMU_OK ||
	    last_gva != gva + (nr - 1) * bytes)
		return 1;
	return nr;
}

/* The destination is known to be writable before the port is read. */
static enum x86_emu_rc step_ins(struct x86_emu *emu, u64 max, u32 *nr)
{
	unsigned int bytes = emu->insn.op_bytes;
	u16 port = emu->regs->gpr[X86_RDX];
	enum x86_emu_rc rc;
	u32 one = 0;
	void *buf = &one;
	u64 gva;

	rc = linear_destination(emu, X86_EMU_WRITE, &gva);
	if (rc != X86_EMU_OK)
		return rc;
	*nr = batch_size(emu, X86_SEG_ES, get_index(emu, X86_RDI), gva, X86_EMU_WRITE, max);
	if (*nr > 1)
		buf = emu->io_buf;
	rc = x86_emu_probe_write(emu, gva, *nr * bytes);
	if (rc == X86_EMU_OK)
		rc = emu->ops->pio_in(emu, port, bytes, *nr, buf);
	if (rc == X86_EMU_OK)
		rc = x86_emu_write_back(emu, gva, buf, *nr * bytes);
	if (rc == X86_EMU_OK)
		advance(emu, X86_RDI, *nr);
	return rc;
}

static enum x86_emu_rc step_outs(struct x86_emu *emu, u64 max, u32 *nr)
{
	unsigned int bytes = emu->insn.op_bytes;
	u16 port = emu->regs->gpr[X86_RDX];
	enum x86_emu_rc rc;
	u32 one = 0;
	void *buf = &one;
	u64 gva;

	rc = linear_source(emu, &gva);
	if (rc != X86_EMU_OK)
		return rc;
	*nr = batch_size(emu, emu->insn.seg, get_index(emu, X86_RSI), gva, X86_EMU_READ, max);
	if (*nr > 1)
		buf = emu->io_buf;
	rc = x86_emu_read(emu, gva, buf, *nr * bytes, X86_EMU_READ);
	if (rc == X86_EMU_OK)
		rc = emu->ops->pio_out(emu, port, bytes, *nr, buf);
	if (rc == X86_EMU_OK)
		advance(emu, X86_RSI, *nr);
	return rc;
}

static enum x86_emu_rc run_pio(struct x86_emu *emu, string_step *step)
{
	enum x86_emu_rc rc;

	rc = x86_emu_pio_allowed(emu, emu->regs->gpr[X86_RDX], emu->insn.op_bytes);
	return rc == X86_EMU_OK ? run(emu, step) : rc;
}

enum x86_emu_rc x86_emu_movs(struct x86_emu *emu) { return run(emu, step_movs); }
enum x86_emu_rc x86_emu_stos(struct x86_emu *emu) { return run(emu, step_stos); }
enum x86_emu_rc x86_emu_lods(struct x86_emu *emu) { return run(emu, step_lods); }
enum x86_emu_rc x86_emu_cmps(struct x86_emu *emu) { return run(emu, step_cmps); }
enum x86_emu_rc x86_emu_scas(struct x86_emu *emu) { return run(emu, step_scas); }

enum x86_emu_rc x86_emu_ins(struct x86_emu *emu)
{
	return emu->ops->pio_in ? run_pio(emu, step_ins) : X86_EMU_UNHANDLED;
}

enum x86_emu_rc x86_emu_outs(struct x86_emu *emu)
{
	return emu->ops->pio_out ? run_pio(emu, step_outs) : X86_EMU_UNHANDLED;
}
