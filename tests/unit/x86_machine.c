// SPDX-License-Identifier: GPL-2.0
/* See x86_machine.h. */
#include <stdio.h>
#include "tests/unit/x86_machine.h"

static struct machine *machine_of(struct x86_emu *emu)
{
	return container_of(emu, struct machine, emu);
}

static void complain(struct machine *m, const char *error)
{
	if (!m->error)
		m->error = error;
}

/* ---- memory of answers ---- */

/* What was remembered for iterations that are committed is used up. */
static void forget_committed(struct machine *m, u32 iterations)
{
	unsigned int i, kept = 0;

	for (i = 0; i < m->nr_memo; i++)
		if (m->memo[i].iteration >= iterations)
			m->memo[kept++] = m->memo[i];
	m->nr_memo = kept;
}

/*
 * Returns the remembered operation if this one is its repetition, NULL if it is new. A repetition
 * that differs is an error of the emulator.
 */
static struct machine_op *recall(struct machine *m, int kind, u64 address, unsigned int len,
				 const void *data)
{
	struct machine_op *op;

	if (m->next_memo >= m->nr_memo)
		return NULL;
	op = &m->memo[m->next_memo++];
	if ((int)op->kind != kind || op->address != address || op->len != len ||
	    op->iteration != m->emu.iterations ||
	    (data && memcmp(op->data, data, min_t(unsigned int, len, sizeof(op->data)))))
		complain(m, "replay differs from the first attempt");
	return op;
}

static void remember(struct machine *m, int kind, u64 address, unsigned int len, const void *data)
{
	struct machine_op *op;

	m->nr_ops++;
	if (m->nr_memo == MACHINE_MAX_OPS)
		forget_committed(m, m->emu.iterations);
	if (m->nr_memo == MACHINE_MAX_OPS) {
		complain(m, "too many operations in one iteration");
		return;
	}
	op = &m->memo[m->nr_memo++];
	m->next_memo = m->nr_memo;
	*op = (struct machine_op){ .kind = kind, .address = address, .len = len,
				   .iteration = m->emu.iterations };
	memcpy(op->data, data, min_t(unsigned int, len, sizeof(op->data)));
}

static bool refused(struct machine *m)
{
	if (m->refuse_all) {
		/* Let pass what was refused last time. */
		if (m->refuse_op == m->nr_ops)
			return false;
		m->refuse_op = m->nr_ops;
		return true;
	}
	if (m->refuse_op != m->nr_ops)
		return false;
	m->refuse_op = UINT_MAX;
	return true;
}

/* ---- memory ---- */

static enum x86_emu_rc page_fault(struct x86_emu *emu, u64 gva, bool write, bool present)
{
	emu->fault = (struct x86_fault){
		.vector = X86_VECTOR_PF, .has_error = true, .cr2 = gva,
		.error = (present ? 1 : 0) | (write ? 2 : 0) | (emu->cpl == 3 ? 4 : 0),
	};
	return X86_EMU_FAULT;
}

static enum x86_emu_rc find(struct machine *m, u64 gva, unsigned int len, bool write, u8 **p)
{
	u64 offset = m->flat ? gva % MACHINE_BYTES : gva - m->base;

	if (!len || (gva & ~PAGE_MASK) + len > PAGE_SIZE)
		complain(m, "operation crosses a page or is empty");
	if (m->flat) {
		offset = min_t(u64, offset, MACHINE_BYTES - len);
	} else {
		if (offset >= MACHINE_NONE_OFFSET)
			return page_fault(&m->emu, gva, write, false);
		if (write && offset >= MACHINE_RO_OFFSET)
			return page_fault(&m->emu, gva, write, true);
	}
	*p = m->mem + offset;
	return X86_EMU_OK;
}

static enum x86_emu_rc op_read(struct x86_emu *emu, u64 gva, void *val, unsigned int len,
			       enum x86_emu_access access)
{
	struct machine *m = machine_of(emu);
	struct machine_op *op = recall(m, OP_READ, gva, len, NULL);
	enum x86_emu_rc rc;
	u8 *p;

	if (op) {
		memcpy(val, op->data, len);
		return X86_EMU_OK;
	}
	if (m->nr_writes && !emu->insn.rep && emu->insn.op != X86_OP_CMPXCHG)
		complain(m, "read after write");
	rc = find(m, gva, len, access != X86_EMU_READ, &p);
	if (rc != X86_EMU_OK)
		return rc;
	if (refused(m))
		return X86_EMU_IO;
	memcpy(val, p, len);
	remember(m, OP_READ, gva, len, p);
	return X86_EMU_OK;
}

static enum x86_emu_rc op_write(struct x86_emu *emu, u64 gva, const void *val, unsigned int len)
{
	struct machine *m = machine_of(emu);
	enum x86_emu_rc rc;
	u8 *p;

	if (recall(m, OP_WRITE, gva, len, val))
		return X86_EMU_OK;
	rc = find(m, gva, len, true, &p);
	if (rc != X86_EMU_OK) {
		if (m->nr_writes && !emu->insn.rep)
			complain(m, "fault after write");
		return rc;
	}
	if (refused(m))
		return X86_EMU_IO;
	memcpy(p, val, len);
	m->nr_writes++;
	remember(m, OP_WRITE, gva, len, val);
	return X86_EMU_OK;
}

static enum x86_emu_rc op_probe(struct x86_emu *emu, u64 gva, unsigned int len)
{
	struct machine *m = machine_of(emu);
	enum x86_emu_rc rc;
	u8 *p;

	if (recall(m, OP_PROBE, gva, len, NULL))
		return X86_EMU_OK;
	rc = find(m, gva, len, true, &p);
	if (rc != X86_EMU_OK)
		return rc;
	if (refused(m))
		return X86_EMU_IO;
	remember(m, OP_PROBE, gva, len, p);
	return X86_EMU_OK;
}

static enum x86_emu_rc op_cmpxchg(struct x86_emu *emu, u64 gva, const void *old, const void *val,
				  unsigned int len)
{
	struct machine *m = machine_of(emu);
	enum x86_emu_rc rc;
	u8 *p;

	if (recall(m, OP_CMPXCHG, gva, len, val))
		return X86_EMU_OK;
	rc = find(m, gva, len, true, &p);
	if (rc != X86_EMU_OK)
		return rc;
	if (memcmp(p, old, len))
		return X86_EMU_RETRY;
	if (refused(m))
		return X86_EMU_IO;
	memcpy(p, val, len);
	m->nr_writes++;
	remember(m, OP_CMPXCHG, gva, len, val);
	return X86_EMU_OK;
}

static enum x86_emu_rc op_fetch(struct x86_emu *emu, u64 gva, void *bytes, unsigned int len)
{
	struct machine *m = machine_of(emu);
	enum x86_emu_rc rc;
	u8 *p;

	rc = find(m, gva, len, false, &p);
	if (rc != X86_EMU_OK)
		return rc;
	memcpy(bytes, p, len);
	return X86_EMU_OK;
}

/* ---- ports ---- */

static enum x86_emu_rc op_pio_in(struct x86_emu *emu, u16 port, unsigned int size,
				 unsigned int count, void *buf)
{
	struct machine *m = machine_of(emu);
	struct machine_op *op = recall(m, OP_PIO_IN, port, size * count, NULL);
	unsigned int i;

	if (size * count > sizeof(m->io_buf))
		complain(m, "batch larger than the buffer");
	if (op) {
		memcpy(buf, op->data, size * count);
		return X86_EMU_OK;
	}
	if (refused(m))
		return X86_EMU_IO;
	for (i = 0; i < size * count; i++)
		((u8 *)buf)[i] = ++m->port_reads * 7;
	remember(m, OP_PIO_IN, port, size * count, buf);
	return X86_EMU_OK;
}

static enum x86_emu_rc op_pio_out(struct x86_emu *emu, u16 port, unsigned int size,
				  unsigned int count, const void *buf)
{
	struct machine *m = machine_of(emu);
	unsigned int i;

	if (recall(m, OP_PIO_OUT, port, size * count, buf))
		return X86_EMU_OK;
	if (refused(m))
		return X86_EMU_IO;
	for (i = 0; i < size * count; i++)
		m->port_reads = m->port_reads * 31 + ((const u8 *)buf)[i];
	remember(m, OP_PIO_OUT, port, size * count, buf);
	return X86_EMU_OK;
}

/* ---- registers ---- */

static void op_fpu_read(struct x86_emu *emu, enum x86_emu_file file, unsigned int reg, void *val)
{
	struct machine *m = machine_of(emu);

	if (file == X86_EMU_MMX)
		memcpy(val, m->mmx[reg & 7], 8);
	else
		memcpy(val, m->ymm[reg & 15], file == X86_EMU_YMM ? 32 : 16);
}

static void op_fpu_write(struct x86_emu *emu, enum x86_emu_file file, unsigned int reg,
			 const void *val)
{
	struct machine *m = machine_of(emu);

	if (file == X86_EMU_MMX)
		memcpy(m->mmx[reg & 7], val, 8);
	else
		memcpy(m->ymm[reg & 15], val, file == X86_EMU_YMM ? 32 : 16);
}

static enum x86_emu_rc op_read_cr(struct x86_emu *emu, unsigned int nr, u64 *val)
{
	*val = machine_of(emu)->cr[nr];
	return X86_EMU_OK;
}

static enum x86_emu_rc op_write_cr(struct x86_emu *emu, unsigned int nr, u64 val)
{
	machine_of(emu)->cr[nr] = val;
	return X86_EMU_OK;
}

static enum x86_emu_rc op_read_dr(struct x86_emu *emu, unsigned int nr, u64 *val)
{
	*val = machine_of(emu)->dr[nr];
	return X86_EMU_OK;
}

static enum x86_emu_rc op_write_dr(struct x86_emu *emu, unsigned int nr, u64 val)
{
	machine_of(emu)->dr[nr] = val;
	return X86_EMU_OK;
}

static enum x86_emu_rc op_invlpg(struct x86_emu *emu, u64 gva)
{
	machine_of(emu)->invlpg = gva;
	return X86_EMU_OK;
}

static enum x86_emu_rc op_invpcid(struct x86_emu *emu, unsigned int type, unsigned int pcid, u64 gva)
{
	machine_of(emu)->invpcid_type = type;
	machine_of(emu)->invpcid = pcid;
	machine_of(emu)->invlpg = gva;
	return X86_EMU_OK;
}

const struct x86_emu_ops machine_ops = {
	.read = op_read, .write = op_write, .probe_write = op_probe, .cmpxchg = op_cmpxchg,
	.fetch = op_fetch, .pio_in = op_pio_in, .pio_out = op_pio_out,
	.fpu_read = op_fpu_read, .fpu_write = op_fpu_write,
	.read_cr = op_read_cr, .write_cr = op_write_cr,
	.read_dr = op_read_dr, .write_dr = op_write_dr, .invlpg = op_invlpg,
	.invpcid = op_invpcid,
};

void machine_init(struct machine *m, u8 *mem, u64 base)
{
	unsigned int i;

	memset(m, 0, sizeof(*m));
	m->mem = mem;
	m->base = base;
	m->refuse_op = UINT_MAX;
	for (i = 0; i < X86_NR_SEG; i++)
		m->seg[i] = (struct x86_seg){
			.attrib = X86_SEG_P | X86_SEG_S | X86_SEG_DB | X86_SEG_G | X86_SEG_DPL | 3,
			.limit = U32_MAX,
		};
	m->seg[X86_SEG_CS].attrib |= X86_SEG_CODE | X86_SEG_L;
	m->emu = (struct x86_emu){
		.ops = &machine_ops, .regs = &m->regs, .seg = m->seg,
		.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_AM, .cr4 = X86_CR4_OSFXSR | X86_CR4_OSXSAVE,
		.efer = 0x500, .xcr0 = 7, .mode = X86_MODE_LONG, .cpl = 3,
		.has_tzcnt = true, .has_lzcnt = true,
		.budget = UINT_MAX, .io_buf = m->io_buf, .io_bytes = sizeof(m->io_buf),
	};
}

/* The next call counts its iterations from 0 again. */
static void renumber(struct machine *m)
{
	unsigned int i;

	for (i = 0; i < m->nr_memo; i++)
		m->memo[i].iteration = 0;
}

/* After X86_EMU_IO nothing of the iteration in progress may show in the registers. */
enum x86_emu_rc machine_run(struct machine *m, unsigned int *nr_calls)
{
	struct x86_regs before;
	enum x86_emu_rc rc;
	unsigned int calls = 0;

	m->nr_memo = 0;
	do {
		before = m->regs;
		m->next_memo = 0;
		m->nr_writes = 0;
		rc = x86_emulate(&m->emu);
		calls++;
		if (rc != X86_EMU_OK && !m->emu.iterations &&
		    memcmp(&before, &m->regs, sizeof(before)))
			complain(m, "registers changed though nothing was done");
		if (rc != X86_EMU_OK && m->emu.retired)
			complain(m, "retired though not done");
		if (rc == X86_EMU_OK && !m->emu.retired)
			complain(m, "done though not retired");
		forget_committed(m, rc == X86_EMU_OK ? UINT_MAX : m->emu.iterations);
		renumber(m);
	} while (rc == X86_EMU_IO || (rc == X86_EMU_OK && m->regs.rip == before.rip &&
				      m->emu.iterations && calls < 10000));
	if (nr_calls)
		*nr_calls = calls;
	return rc;
}
