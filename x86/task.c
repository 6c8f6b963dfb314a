// SPDX-License-Identifier: GPL-2.0
/*
 * Task switches: see task.h.
 *
 *   GDT[selector] ─► new TSS ─ read ───────────────────────────┐
 *   TR ─► old TSS ◄─ written: ip, flags, registers, selectors   │
 *   busy bits, link, NT                                        ▼
 *   - - - - - - - - - - from here on faults are the new task's - - - - - - - - - -
 *   TR, CR0.TS, CR3, registers ─► LDTR ─► CS SS ES DS FS GS ─► error code
 */
#include "x86/emulate_impl.h"
#include "x86/task.h"

#define VECTOR_TS	10
#define VECTOR_NP	11

#define SELECTOR_TI	4u
#define SELECTOR_RPL	3u
#define TYPE_TSS_32	8u
#define TYPE_BUSY	2u
#define TYPE_LDT	2u
#define TYPE_ACCESSED	1u

/* Where things are in a TSS (12.2.4); general registers and segments in hardware order. */
struct tss_format {
	u8 bytes;	/* a TSS has at least so many */
	u8 width;	/* of ip, flags and registers, which follow one another */
	u8 cr3;		/* 0: it has none */
	u8 ip, flags, gpr, seg, ldt;
	u8 nr_seg;
	u8 trap;	/* 0: it has none */
};

static const struct tss_format format_16 = {
	.bytes = 44, .width = 2, .ip = 0x0e, .flags = 0x10, .gpr = 0x12, .seg = 0x22, .ldt = 0x2a,
	.nr_seg = 4,
};

static const struct tss_format format_32 = {
	.bytes = 104, .width = 4, .cr3 = 0x1c, .ip = 0x20, .flags = 0x24, .gpr = 0x28, .seg = 0x48,
	.ldt = 0x60, .nr_seg = 6, .trap = 0x64,
};

#define TSS_MAX_BYTES	104

static const struct tss_format *format_of(u16 type)
{
	return type & TYPE_TSS_32 ? &format_32 : &format_16;
}

static u32 get(const u8 *at, unsigned int width)
{
	u32 val = 0;

	memcpy(&val, at, width);
	return val;
}

static enum x86_emu_rc raise_selector(struct x86_emu *emu, const struct x86_task_switch *t,
				      unsigned int vector, u16 selector)
{
	emu->fault = (struct x86_fault){
		.vector = vector,
		.has_error = true,
		.error = (selector & ~SELECTOR_RPL) | (t->source == X86_TASK_EVENT && t->external),
	};
	return X86_EMU_FAULT;
}

/* ---- descriptors ---- */

static struct x86_seg unpack(u16 selector, u64 d)
{
	struct x86_seg seg = {
		.selector = selector,
		.attrib = (d >> 40 & 0xff) | (d >> 44 & 0xf00),
		.limit = (d & 0xffff) | (d >> 32 & 0xf0000),
		.base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000),
	};

	if (seg.attrib & X86_SEG_G)
		seg.limit = seg.limit << 12 | 0xfff;
	return seg;
}

/* Its linear address. False: beyond the table. */
static bool descriptor_at(const struct x86_task_switch *t, u16 selector, u64 *gva)
{
	const struct x86_seg *ldt = &t->seg[X86_SEG_LDTR];
	u32 offset = selector & ~7u;

	if (selector & SELECTOR_TI) {
		*gva = (u32)(ldt->base + offset);
		return (ldt->attrib & X86_SEG_P) && offset + 7 <= ldt->limit;
	}
	*gva = (u32)(t->gdt.base + offset);
	return offset + 7 <= t->gdt.limit;
}

static enum x86_emu_rc read_descriptor(struct x86_emu *emu, const struct x86_task_switch *t,
				       u16 selector, unsigned int vector, struct x86_seg *seg)
{
	enum x86_emu_rc rc;
	u64 gva, d;

	if (!descriptor_at(t, selector, &gva))
		return raise_selector(emu, t, vector, selector);
	rc = x86_emu_read(emu, gva, &d, sizeof(d), X86_EMU_READ);
	*seg = unpack(selector, d);
	return rc;
}

/* The byte with the type: bits that are set, and those that are cleared. */
static enum x86_emu_rc change_type(struct x86_emu *emu, const struct x86_task_switch *t, u16 selector,
				   u8 clear, u8 set)
{
	enum x86_emu_rc rc;
	u64 gva;
	u8 type;

	if (!descriptor_at(t, selector, &gva))
		return X86_EMU_OK;	/* the table has shrunk since TR was loaded */
	rc = x86_emu_read(emu, gva + 5, &type, 1, X86_EMU_READ_FOR_WRITE);
	if (rc != X86_EMU_OK)
		return rc;
	type = (type & ~clear) | set;
	return x86_emu_write_back(emu, gva + 5, &type, 1);
}

/* ---- the old task ---- */

static enum x86_emu_rc read_new_tss(struct x86_emu *emu, const struct x86_task_switch *t,
				    struct x86_seg *tr, u8 *tss)
{
	unsigned int vector = t->source == X86_TASK_IRET ? VECTOR_TS : X86_VECTOR_GP;
	const struct tss_format *f;
	enum x86_emu_rc rc;

	if ((t->selector & SELECTOR_TI) || !(t->selector & ~SELECTOR_RPL))
		return raise_selector(emu, t, vector, t->selector);
	rc = read_descriptor(emu, t, t->selector, vector, tr);
	if (rc != X86_EMU_OK)
		return rc;
	if (!(tr->attrib & X86_SEG_P))
		return raise_selector(emu, t, VECTOR_NP, t->selector);
	f = format_of(tr->attrib);
	if (tr->limit < f->bytes - 1u)
		return raise_selector(emu, t, VECTOR_TS, t->selector);
	return x86_emu_read(emu, tr->base, tss, f->bytes, X86_EMU_READ);
}

static enum x86_emu_rc save_old(struct x86_emu *emu, const struct x86_task_switch *t)
{
	const struct x86_seg *tr = &t->seg[X86_SEG_TR];
	const struct tss_format *f = format_of(tr->attrib);
	unsigned int bytes = f->ldt - f->ip, i;
	u64 gva = (u32)(tr->base + f->ip), flags = emu->regs->rflags;
	u8 tss[TSS_MAX_BYTES];
	enum x86_emu_rc rc = x86_emu_read(emu, gva, tss + f->ip, bytes, X86_EMU_READ_FOR_WRITE);

	if (rc != X86_EMU_OK)
		return rc;
	if (t->source == X86_TASK_IRET)
		flags &= ~(u64)X86_EFLAGS_NT;
	memcpy(tss + f->ip, &t->rip, f->width);
	memcpy(tss + f->flags, &flags, f->width);
	for (i = 0; i < 8; i++)
		memcpy(tss + f->gpr + i * f->width, &emu->regs->gpr[i], f->width);
	for (i = 0; i < f->nr_seg; i++)
		memcpy(tss + f->seg + i * f->width, &t->seg[i].selector, sizeof(u16));
	return x86_emu_write_back(emu, gva, tss + f->ip, bytes);
}

/* Busy bits and the link. The old task stays busy when the new one is to return to it. */
static enum x86_emu_rc tie(struct x86_emu *emu, const struct x86_task_switch *t,
			   const struct x86_seg *tr)
{
	u16 old = t->seg[X86_SEG_TR].selector;
	enum x86_emu_rc rc = X86_EMU_OK;

	if (t->source == X86_TASK_JMP || t->source == X86_TASK_IRET)
		rc = change_type(emu, t, old, TYPE_BUSY, 0);
	else
		rc = x86_emu_write(emu, tr->base, &old, sizeof(old));
	if (rc == X86_EMU_OK && t->source != X86_TASK_IRET)
		rc = change_type(emu, t, t->selector, 0, TYPE_BUSY);
	return rc;
}

/* ---- the new task ---- */

static void load_registers(struct x86_emu *emu, struct x86_task_switch *t,
			   const struct tss_format *f, const u8 *tss)
{
	unsigned int i;

	emu->regs->rip = get(tss + f->ip, f->width);
	emu->regs->rflags = get(tss + f->flags, f->width) | X86_EFLAGS_FIXED;
	if (t->source == X86_TASK_CALL || t->source == X86_TASK_EVENT)
		emu->regs->rflags |= X86_EFLAGS_NT;
	for (i = 0; i < 8; i++)
		emu->regs->gpr[i] = get(tss + f->gpr + i * f->width, f->width);
	/* Not loaded yet: what is met now is a fault. The privilege level is known already. */
	emu->cpl = get(tss + f->seg + X86_SEG_CS * f->width, 2) & SELECTOR_RPL;
	if (emu->regs->rflags & X86_EFLAGS_VM)
		emu->cpl = 3;
	for (i = 0; i < X86_SEG_LDTR; i++)
		t->seg[i] = (struct x86_seg){
			.selector = i < f->nr_seg ? get(tss + f->seg + i * f->width, 2) : 0,
			.attrib = emu->cpl << X86_SEG_DPL_SHIFT,
		};
}

static enum x86_emu_rc load_control(struct x86_emu *emu, const struct tss_format *f, const u8 *tss)
{
	enum x86_emu_rc rc = emu->ops->write_cr(emu, 0, emu->cr0 | X86_CR0_TS);

	if (rc == X86_EMU_OK && f->cr3 && (emu->cr0 & X86_CR0_PG))
		rc = emu->ops->write_cr(emu, 3, get(tss + f->cr3, 4));
	return rc;
}

/* Tables are read with the rights of the system, whatever those of the task. */
static enum x86_emu_rc as_system(struct x86_emu *emu, const struct x86_task_switch *t, u16 selector,
				 struct x86_seg *seg)
{
	u8 cpl = emu->cpl;
	enum x86_emu_rc rc;

	emu->cpl = 0;
	rc = read_descriptor(emu, t, selector, VECTOR_TS, seg);
	if (rc == X86_EMU_OK && (seg->attrib & X86_SEG_S) && (seg->attrib & X86_SEG_P) &&
	    !(seg->attrib & TYPE_ACCESSED)) {
		seg->attrib |= TYPE_ACCESSED;
		rc = change_type(emu, t, selector, 0, TYPE_ACCESSED);
	}
	emu->cpl = cpl;
	return rc;
}

static enum x86_emu_rc load_ldt(struct x86_emu *emu, struct x86_task_switch *t, u16 selector)
{
	struct x86_seg seg;
	enum x86_emu_rc rc;

	t->seg[X86_SEG_LDTR] = (struct x86_seg){ .selector = selector };
	if (!(selector & ~SELECTOR_RPL))
		return X86_EMU_OK;
	if (selector & SELECTOR_TI)
		return raise_selector(emu, t, VECTOR_TS, selector);
	rc = as_system(emu, t, selector, &seg);
	if (rc != X86_EMU_OK)
		return rc;
	if ((seg.attrib & (X86_SEG_S | X86_SEG_TYPE)) != TYPE_LDT || !(seg.attrib & X86_SEG_P))
		return raise_selector(emu, t, VECTOR_TS, selector);
	t->seg[X86_SEG_LDTR] = seg;
	return X86_EMU_OK;
}

/* May the segment be in this register at this privilege? 4.10 and 12.3.3. */
static bool segment_fits(enum x86_seg_index i, const struct x86_seg *s, unsigned int cpl)
{
	unsigned int dpl = (s->attrib & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT;
	unsigned int rpl = s->selector & SELECTOR_RPL;
	bool code = s->attrib & X86_SEG_CODE;
	bool conforming = code && (s->attrib & X86_SEG_EXPAND_DOWN);	/* the same bit */

	if (!(s->attrib & X86_SEG_S))
		return false;
	switch (i) {
	case X86_SEG_CS:
		return code && (conforming ? dpl <= cpl : dpl == cpl);
	case X86_SEG_SS:
		return !code && (s->attrib & X86_SEG_WRITABLE) && rpl == cpl && dpl == cpl;
	default:
		if (code && !(s->attrib & X86_SEG_WRITABLE))	/* not readable */
			return false;
		return conforming || dpl >= max(cpl, rpl);
	}
}

static enum x86_emu_rc load_segment(struct x86_emu *emu, struct x86_task_switch *t,
				    enum x86_seg_index i)
{
	u16 selector = t->seg[i].selector;
	struct x86_seg seg;
	enum x86_emu_rc rc;

	if (!(selector & ~SELECTOR_RPL)) {
		if (i == X86_SEG_CS || i == X86_SEG_SS)
			return raise_selector(emu, t, VECTOR_TS, selector);
		return X86_EMU_OK;
	}
	rc = as_system(emu, t, selector, &seg);
	if (rc != X86_EMU_OK)
		return rc;
	if (!segment_fits(i, &seg, emu->cpl))
		return raise_selector(emu, t, VECTOR_TS, selector);
	if (!(seg.attrib & X86_SEG_P))
		return raise_selector(emu, t, i == X86_SEG_SS ? X86_VECTOR_SS : VECTOR_NP, selector);
	t->seg[i] = seg;
	return X86_EMU_OK;
}

/* In virtual-8086 mode segments are what they are in real mode. */
static void load_v86_segments(struct x86_task_switch *t)
{
	unsigned int i;

	for (i = 0; i < X86_SEG_LDTR; i++) {
		t->seg[i].base = (u32)t->seg[i].selector << 4;
		t->seg[i].limit = 0xffff;
		t->seg[i].attrib = X86_SEG_P | X86_SEG_S | X86_SEG_DPL | X86_SEG_WRITABLE | TYPE_ACCESSED;
	}
}

static enum x86_emu_rc load_segments(struct x86_emu *emu, struct x86_task_switch *t, u16 ldt)
{
	static const u8 order[] = {
		X86_SEG_CS, X86_SEG_SS, X86_SEG_ES, X86_SEG_DS, X86_SEG_FS, X86_SEG_GS,
	};
	enum x86_emu_rc rc = load_ldt(emu, t, ldt);
	unsigned int i;

	if (rc != X86_EMU_OK)
		return rc;
	if (emu->regs->rflags & X86_EFLAGS_VM) {
		emu->mode = X86_MODE_VM86;
		load_v86_segments(t);
		return X86_EMU_OK;
	}
	for (i = 0; i < ARRAY_SIZE(order) && rc == X86_EMU_OK; i++)
		rc = load_segment(emu, t, order[i]);
	emu->mode = t->seg[X86_SEG_CS].attrib & X86_SEG_DB ? X86_MODE_PROT32 : X86_MODE_PROT16;
	return rc;
}

static enum x86_emu_rc push_error(struct x86_emu *emu, const struct x86_task_switch *t, unsigned int width)
{
	u64 mask = t->seg[X86_SEG_SS].attrib & X86_SEG_DB ? U32_MAX : U16_MAX;
	u64 *rsp = &emu->regs->gpr[X86_RSP], sp = (*rsp - width) & mask, gva;
	enum x86_emu_rc rc = x86_emu_linear(emu, X86_SEG_SS, sp, width, X86_EMU_WRITE, &gva);

	if (rc == X86_EMU_OK)
		rc = x86_emu_write(emu, gva, &t->error, width);
	if (rc == X86_EMU_OK)
		*rsp = (*rsp & ~mask) | sp;
	return rc;
}

enum x86_emu_rc x86_task_switch(struct x86_emu *emu, struct x86_task_switch *t)
{
	const struct tss_format *f;
	u8 tss[TSS_MAX_BYTES];
	struct x86_seg tr = {};
	enum x86_emu_rc rc;

	memcpy(t->seg, emu->seg, sizeof(t->seg));
	t->done = t->trap = false;
	emu->cpl = 0;
	rc = read_new_tss(emu, t, &tr, tss);
	if (rc == X86_EMU_OK)
		rc = save_old(emu, t);
	if (rc == X86_EMU_OK)
		rc = tie(emu, t, &tr);
	if (rc != X86_EMU_OK)
		return rc;

	t->done = true;
	f = format_of(tr.attrib);
	t->seg[X86_SEG_TR] = tr;
	t->seg[X86_SEG_TR].attrib |= TYPE_BUSY;
	emu->seg = t->seg;
	load_registers(emu, t, f, tss);
	rc = load_control(emu, f, tss);
	if (rc == X86_EMU_OK)
		rc = load_segments(emu, t, get(tss + f->ldt, 2));
	if (rc == X86_EMU_OK && t->has_error)
		rc = push_error(emu, t, f->width);
	if (rc == X86_EMU_OK)
		t->trap = f->trap && (tss[f->trap] & 1);
	return rc;
}
