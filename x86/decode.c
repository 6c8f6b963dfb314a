// SPDX-License-Identifier: GPL-2.0
/*
 * x86 instruction decoder.
 *
 *   [legacy prefixes] [REX] [0F | 0F 38 | 0F 3A] opcode [ModRM [SIB] [disp]] [imm]
 *   [legacy prefixes]  VEX / XOP / EVEX          opcode  ModRM [SIB] [disp]  [imm]
 *
 * The tables (decode_tables.c) say what follows an opcode and what forbids it.
 * Opcodes of the maps 0F 38 and 0F 3A and of the VEX, XOP and EVEX maps are
 * all alike in shape; of these only the ones with a family of their own are
 * told apart, and no opcode in them is taken to be undefined.
 */
#include "x86/decode_tables.h"

#define REX_W 8
#define REX_R 4
#define REX_X 2
#define REX_B 1

/* Reads bytes in order; the first one missing makes err stick. */
struct cursor {
	const u8 *bytes;
	unsigned int pos, end;
	int err;
};

static u8 take(struct cursor *c)
{
	if (c->pos < c->end)
		return c->bytes[c->pos++];
	if (!c->err)
		c->err = c->end == X86_MAX_INSN_BYTES ? -E2BIG : -EAGAIN;
	return 0;
}

static u64 take_int(struct cursor *c, unsigned int nr_bytes)
{
	u64 val = 0;
	unsigned int i;

	/* Most often there are bytes enough to take eight and cut them. */
	if (nr_bytes && c->end - c->pos >= sizeof(val)) {
		val = get_unaligned_le64(c->bytes + c->pos);
		c->pos += nr_bytes;
		return val & (~0ULL >> (64 - 8 * nr_bytes));
	}
	for (i = 0; i < nr_bytes; i++)
		val |= (u64)take(c) << (8 * i);
	return val;
}

static s64 take_signed(struct cursor *c, unsigned int nr_bytes)
{
	unsigned int shift = 64 - 8 * nr_bytes;

	return nr_bytes ? (s64)(take_int(c, nr_bytes) << shift) >> shift : 0;
}

static bool is_long(const struct x86_insn *insn)
{
	return insn->mode == X86_MODE_LONG;
}

static bool is_16bit(const struct x86_insn *insn)
{
	return insn->mode != X86_MODE_LONG && insn->mode != X86_MODE_PROT32;
}

static bool is_protected(const struct x86_insn *insn)
{
	return insn->mode != X86_MODE_REAL && insn->mode != X86_MODE_VM86;
}

/* ---- prefixes ---- */

struct prefixes {
	bool addrsize;
	u8 seg;			/* X86_NO_REG: none */
};

/* In 64-bit code the overrides other than FS and GS are there but have no effect. */
static void set_seg(const struct x86_insn *insn, struct prefixes *p, u8 seg)
{
	if (!is_long(insn) || seg >= X86_SEG_FS)
		p->seg = seg;
}

/* Returns the first byte that is not a prefix. */
static u8 take_prefixes(struct cursor *c, struct x86_insn *insn, struct prefixes *p)
{
	p->addrsize = false;
	p->seg = X86_NO_REG;
	for (;;) {
		u8 b = take(c);

		switch (b) {
		case 0x26: case 0x2e: case 0x36: case 0x3e:
			set_seg(insn, p, (b >> 3) & 3);
			break;
		case 0x64: case 0x65:
			set_seg(insn, p, b - 0x64 + X86_SEG_FS);
			break;
		case 0x66:
			insn->opsize_prefix = true;
			break;
		case 0x67:
			p->addrsize = true;
			break;
		case 0xf0:
			insn->lock = true;
			break;
		case 0xf2: case 0xf3:
			insn->rep = b;
			break;
		default:
			if (!is_long(insn) || (b & 0xf0) != 0x40)
				return b;
			insn->rex = b;
			continue;
		}
		insn->rex = 0;		/* REX counts only right before the opcode */
	}
}

static u8 legacy_pp(const struct x86_insn *insn)
{
	if (insn->rep)
		return insn->rep == 0xf3 ? X86_PP_F3 : X86_PP_F2;
	return insn->opsize_prefix ? X86_PP_66 : X86_PP_NONE;
}

/* ---- VEX, XOP, EVEX ---- */

/* The second and third byte of three-byte VEX and XOP share their layout. */
static void set_vex_fields(struct x86_insn *insn, u8 rxb_map, u8 w_vvvv_l_pp)
{
	insn->rex = 0x40 | ((~rxb_map >> 5) & 7) | (w_vvvv_l_pp >> 7 ? REX_W : 0);
	insn->map = rxb_map & 0x1f;
	insn->vvvv = (~w_vvvv_l_pp >> 3) & 15;
	insn->vl = (w_vvvv_l_pp >> 2) & 1;
	insn->pp = w_vvvv_l_pp & 3;
}

static int take_evex(struct cursor *c, struct x86_insn *insn)
{
	u8 p0 = take(c), p1 = take(c), p2 = take(c);

	if (c->err)
		return c->err;
	if ((p0 & 0x08) || !(p1 & 0x04))
		return -EINVAL;
	set_vex_fields(insn, (p0 & 0xe0) | (p0 & 7), p1);
	if (!(p0 & 0x10) && is_long(insn))
		insn->evex_r2 = true;
	insn->vl = (p2 >> 5) & 3;
	insn->evex_z = p2 >> 7;
	insn->evex_b = (p2 >> 4) & 1;
	insn->evex_aaa = p2 & 7;
	if (!(p2 & 0x08) && is_long(insn))
		insn->vvvv |= 16;
	return 0;
}

static bool vex_map_exists(const struct x86_insn *insn)
{
	switch (insn->encoding) {
	case X86_ENC_XOP:
		return insn->map >= X86_MAP_XOP8 && insn->map <= X86_MAP_XOPA;
	case X86_ENC_EVEX:
		return (insn->map >= X86_MAP_0F && insn->map <= X86_MAP_0F3A) ||
		       insn->map == 5 || insn->map == 6;
	default:
		return insn->map >= X86_MAP_0F && insn->map <= X86_MAP_0F3A;
	}
}

/* After the first byte @escape of 62, c4, c5, 8f: up to and including the opcode. */
static int take_vex(struct cursor *c, struct x86_insn *insn, u8 escape)
{
	u8 b;
	int err;

	if (insn->lock || insn->rep || insn->opsize_prefix || insn->rex)
		return -EINVAL;
	switch (escape) {
	case 0xc5:
		insn->encoding = X86_ENC_VEX;
		b = take(c);
		set_vex_fields(insn, (b & 0x80) | 0x60 | X86_MAP_0F, b & 0x7f);
		break;
	case 0x62:
		insn->encoding = X86_ENC_EVEX;
		err = take_evex(c, insn);
		if (err)
			return err;
		break;
	default:
		insn->encoding = escape == 0x8f ? X86_ENC_XOP : X86_ENC_VEX;
		b = take(c);
		set_vex_fields(insn, b, take(c));
	}
	if (c->err)
		return c->err;
	if (!vex_map_exists(insn))
		return -EINVAL;
	if (!is_long(insn)) {
		insn->rex &= ~(REX_R | REX_X | REX_B);
		insn->vvvv &= 7;
	}
	insn->opcode = take(c);
	return c->err;
}

/* Does @first begin a VEX, XOP or EVEX prefix here, and not one of LES, LDS, BOUND, POP? */
static bool is_vex(const struct cursor *c, const struct x86_insn *insn, u8 first)
{
	u8 second;

	if (first != 0xc4 && first != 0xc5 && first != 0x62 && first != 0x8f)
		return false;
	if (c->pos >= c->end)
		return false;		/* the next byte is needed in any case */
	second = c->bytes[c->pos];
	if (first == 0x8f)
		return (second & 0x1f) >= 8 && is_protected(insn);
	return is_long(insn) || (second >= 0xc0 && is_protected(insn));
}

/* ---- ModRM and address ---- */

static void take_address_16(struct cursor *c, struct x86_insn *insn)
{
	static const u8 base[8] = { X86_RBX, X86_RBX, X86_RBP, X86_RBP,
				    X86_RSI, X86_RDI, X86_RBP, X86_RBX };
	static const u8 index[8] = { X86_RSI, X86_RDI, X86_RSI, X86_RDI,
				     X86_NO_REG, X86_NO_REG, X86_NO_REG, X86_NO_REG };
	unsigned int mod = insn->modrm >> 6, rm = insn->modrm & 7;

	insn->base = base[rm];
	insn->index = index[rm];
	if (mod == 0 && rm == 6) {
		insn->base = X86_NO_REG;
		insn->disp = take_signed(c, 2);
	} else {
		insn->disp = take_signed(c, mod);
	}
}

static void take_address(struct cursor *c, struct x86_insn *insn)
{
	unsigned int mod = insn->modrm >> 6, rm = insn->modrm & 7;
	unsigned int disp_bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;

	if (rm == 4) {
		u8 sib = take(c);

		insn->scale = sib >> 6;
		insn->index = ((sib >> 3) & 7) | (insn->rex & REX_X ? 8 : 0);
		if (insn->index == X86_RSP)
			insn->index = X86_NO_REG;
		rm = sib & 7;
	} else if (mod == 0 && rm == 5) {
		insn->rip_relative = is_long(insn);
	}
	if (mod == 0 && rm == 5)
		disp_bytes = 4;
	else
		insn->base = rm | (insn->rex & REX_B ? 8 : 0);
	insn->disp = take_signed(c, disp_bytes);
}

static void take_modrm(struct cursor *c, struct x86_insn *insn, u16 flags)
{
	insn->modrm = take(c);
	insn->has_modrm = true;
	insn->reg = ((insn->modrm >> 3) & 7) | (insn->rex & REX_R ? 8 : 0) |
		    (insn->evex_r2 ? 16 : 0);
	if (insn->modrm >= 0xc0 || (flags & D_NO_MOD)) {
		insn->rm = (insn->modrm & 7) | (insn->rex & REX_B ? 8 : 0);
		if (insn->encoding == X86_ENC_EVEX && (insn->rex & REX_X))
			insn->rm |= 16;
		return;
	}
	insn->has_mem = true;
	if (insn->addr_bytes == 2)
		take_address_16(c, insn);
	else
		take_address(c, insn);
}

/* The stack segment serves addresses that start from the stack or frame pointer. */
static u8 memory_segment(const struct x86_insn *insn, const struct prefixes *p)
{
	if (p->seg != X86_NO_REG)
		return p->seg;
	return insn->base == X86_RSP || insn->base == X86_RBP ? X86_SEG_SS : X86_SEG_DS;
}

/* ---- sizes and immediates ---- */

static void set_address_size(struct x86_insn *insn, const struct prefixes *p)
{
	if (is_long(insn))
		insn->addr_bytes = p->addrsize ? 4 : 8;
	else
		insn->addr_bytes = is_16bit(insn) != p->addrsize ? 2 : 4;
}

static void set_operand_size(struct x86_insn *insn, const struct x86_opcode *o)
{
	bool wide = is_long(insn) && (insn->rex & REX_W) && !(o->flags & D_DWORD);
	bool mandatory = o->pp || insn->encoding != X86_ENC_LEGACY;

	if (o->flags & D_BYTE)
		insn->op_bytes = 1;
	else if (wide)
		insn->op_bytes = 8;
	else if (mandatory)
		insn->op_bytes = 4;
	else if (is_16bit(insn) != insn->opsize_prefix)
		insn->op_bytes = 2;
	else
		insn->op_bytes = is_long(insn) && (o->flags & D_64) ? 8 : 4;
}

static void take_immediate(struct cursor *c, struct x86_insn *insn, enum x86_imm kind)
{
	unsigned int z = min_t(unsigned int, insn->op_bytes, 4);

	switch (kind) {
	case X86_IMM_NONE:
		return;
	case X86_IMM_MOFFS:
		insn->disp = take_int(c, insn->addr_bytes);
		insn->has_mem = true;
		return;
	case X86_IMM_8_8:
		insn->imm_bytes = 1;
		insn->imm = take(c);
		insn->imm2 = take(c);
		return;
	case X86_IMM_ENTER:
		insn->imm_bytes = 2;
		insn->imm = take_int(c, 2);
		insn->imm2 = take(c);
		return;
	case X86_IMM_FAR:
		insn->imm_bytes = z;
		insn->imm = take_int(c, z);
		insn->imm2 = take_int(c, 2);
		return;
	case X86_IMM_8:
		insn->imm_bytes = 1;
		break;
	case X86_IMM_U8:
		insn->imm_bytes = 1;
		insn->imm = take(c);
		return;
	case X86_IMM_16:
		insn->imm_bytes = 2;
		insn->imm = take_int(c, 2);
		return;
	case X86_IMM_32:
		insn->imm_bytes = 4;
		break;
	case X86_IMM_Z:
		insn->imm_bytes = z;
		break;
	case X86_IMM_V:
		insn->imm_bytes = insn->op_bytes;
		break;
	}
	insn->imm = take_signed(c, insn->imm_bytes);
}

/* ---- opcodes ---- */

static u8 op_0f38(const struct x86_insn *insn)
{
	switch (insn->opcode) {
	case 0x2a:
		return insn->pp == X86_PP_66 ? X86_OP_VECTOR_MOVE : X86_OP_OTHER;
	case 0x82:
		return insn->pp == X86_PP_66 ? X86_OP_INVPCID : X86_OP_OTHER;
	case 0xf0: case 0xf1:
		if (insn->pp == X86_PP_F3)
			return X86_OP_OTHER;
		return insn->pp == X86_PP_F2 ? X86_OP_CRC32 : X86_OP_MOVBE;
	default:
		return X86_OP_OTHER;
	}
}

static struct x86_opcode legacy_opcode(const struct x86_insn *insn)
{
	struct x86_opcode o = { .flags = D_MODRM };

	switch (insn->map) {
	case X86_MAP_ONE_BYTE:
		return x86_opcodes_one_byte[insn->opcode];
	case X86_MAP_0F:
		return x86_opcodes_0f[insn->opcode];
	case X86_MAP_0F38:
		o.op = op_0f38(insn);
		if (o.op == X86_OP_MOVBE)
			o.flags |= D_MEM;
		else if (o.op == X86_OP_CRC32)
			o.flags |= insn->opcode == 0xf0 ? D_BYTE : 0;
		else
			o.pp = PP_NP | PP_66 | PP_F3 | PP_F2;
		return o;
	default:
		o.imm = X86_IMM_U8;
		o.pp = PP_NP | PP_66 | PP_F3 | PP_F2;
		return o;
	}
}

static bool is_bmi(const struct x86_insn *insn)
{
	if (insn->map == X86_MAP_0F3A)
		return insn->opcode == 0xf0 && insn->pp == X86_PP_F2;
	switch (insn->map == X86_MAP_0F38 ? insn->opcode : 0) {
	case 0xf2: case 0xf3:
		return insn->pp == X86_PP_NONE;
	case 0xf5:
		return insn->pp != X86_PP_66;
	case 0xf6:
		return insn->pp == X86_PP_F2;
	case 0xf7:
		return true;
	default:
		return false;
	}
}

static struct x86_opcode vex_opcode(const struct x86_insn *insn)
{
	struct x86_opcode o = { .flags = D_MODRM };
	u8 b = insn->opcode;

	switch (insn->map) {
	case X86_MAP_0F:
		if (b == 0x77 && insn->encoding == X86_ENC_VEX)
			o.flags = 0;
		else if ((b >= 0x70 && b <= 0x73) || b == 0xc2 || (b >= 0xc4 && b <= 0xc6))
			o.imm = X86_IMM_U8;
		if (x86_opcodes_0f[b].op == X86_OP_VECTOR_MOVE && insn->encoding == X86_ENC_VEX)
			o.op = X86_OP_VECTOR_MOVE;
		break;
	case X86_MAP_0F38:
		if (b == 0x2a && insn->encoding == X86_ENC_VEX && insn->pp == X86_PP_66)
			o.op = X86_OP_VECTOR_MOVE;
		break;
	case X86_MAP_0F3A: case X86_MAP_XOP8:
		o.imm = X86_IMM_U8;
		break;
	case X86_MAP_XOPA:
		o.imm = X86_IMM_32;
		break;
	}
	if (insn->encoding == X86_ENC_VEX && is_bmi(insn))
		o.op = X86_OP_BMI;
	return o;
}

static void set_undefined(struct x86_opcode *o)
{
	o->flags = D_UD;
	o->pp = 0;
}

/* 0F 01, 0F AE and 0F C7 mean something else with a register operand. */
static void refine_register_group(const struct x86_insn *insn, struct x86_opcode *o)
{
	u8 op;

	switch (insn->opcode) {
	case 0x01:
		op = x86_opcodes_0f01_reg[insn->modrm & 0x3f];
		if (op == X86_NR_OPS)
			set_undefined(o);
		*o = (struct x86_opcode){ .flags = o->flags & (D_MODRM | D_UD), .op = op };
		break;
	case 0xae:
		o->group = X86_GROUP_15_REG;
		break;
	case 0xc7:
		o->group = X86_GROUP_9_REG;
		break;
	}
}

static void apply_group(const struct x86_insn *insn, struct x86_opcode *o)
{
	const struct x86_opcode *member;

	if (insn->map == X86_MAP_0F && (o->flags & D_SPECIAL) && insn->modrm >= 0xc0)
		refine_register_group(insn, o);
	if (!o->group)
		return;
	member = &x86_opcode_groups[o->group][(insn->modrm >> 3) & 7];
	o->flags |= member->flags;
	o->imm |= member->imm;
	o->op = member->op;
	o->pp = member->pp;
}

/* EXTRQ and INSERTQ (SSE4A) and VMREAD and VMWRITE share two opcodes. */
static void refine_0f78(const struct x86_insn *insn, struct x86_opcode *o)
{
	if (insn->pp == X86_PP_NONE) {
		*o = (struct x86_opcode){ .flags = D_MODRM | D_PROT, .op = X86_OP_VMX, .pp = PP_NP };
		return;
	}
	o->flags |= D_REG;
	if (insn->opcode == 0x78) {
		o->imm = X86_IMM_8_8;
		if (insn->pp == X86_PP_66 && (insn->modrm & 0x38))
			set_undefined(o);
	}
}

static void refine_0f(struct x86_insn *insn, struct x86_opcode *o)
{
	switch (insn->opcode) {
	case 0x0f:
		insn->map = X86_MAP_3DNOW;
		break;
	case 0x20: case 0x22:
		if (insn->lock && insn->reg == 0) {
			insn->lock = false;	/* the other name of CR8: APM vol. 3, MOV CRn */
			insn->reg = 8;
		}
		break;
	case 0x78: case 0x79:
		refine_0f78(insn, o);
		break;
	case 0xae:
		if (o->group == X86_GROUP_15_REG) {
			if ((insn->modrm & 0x38) >= 0x28 && insn->pp != X86_PP_NONE)
				o->op = X86_OP_OTHER;
		} else if ((insn->modrm & 0x38) == 0x30 && insn->pp == X86_PP_66) {
			o->op = X86_OP_NOP;		/* CLWB */
		}
		break;
	case 0xb8:
		if (insn->pp != X86_PP_F3)
			set_undefined(o);
		break;
	}
}

/* What the tables cannot say. */
static void refine(struct x86_insn *insn, struct x86_opcode *o)
{
	unsigned int reg = (insn->modrm >> 3) & 7;

	if (insn->map == X86_MAP_0F) {
		refine_0f(insn, o);
		return;
	}
	switch (insn->opcode) {
	case 0x63:
		if (!is_long(insn))
			*o = (struct x86_opcode){ .flags = D_MODRM | D_PROT, .op = X86_OP_OTHER };
		else
			o->flags &= ~D_PROT;
		break;
	case 0x8c: case 0x8e:
		if (reg > X86_SEG_GS || (insn->opcode == 0x8e && reg == X86_SEG_CS))
			set_undefined(o);
		break;
	case 0x90:
		if (insn->rex & REX_B)
			o->op = X86_OP_XCHG;
		break;
	case 0xc6: case 0xc7:
		if (reg == 7 && (insn->modrm & 7))
			set_undefined(o);	/* not XABORT, XBEGIN */
		break;
	}
}

static bool is_undefined(const struct x86_insn *insn, const struct x86_opcode *o)
{
	u16 f = o->flags;

	if ((f & D_UD) || (o->pp && !(o->pp & (1 << insn->pp))))
		return true;
	if (is_long(insn) ? f & D_NO64 : f & D_ONLY64)
		return true;
	if (((f & D_MEM) && !insn->has_mem) || ((f & D_REG) && insn->has_mem))
		return true;
	if ((f & D_PROT) && !is_protected(insn))
		return true;
	return insn->lock && !((f & D_LOCK) && insn->has_mem);
}

/* Escapes and opcode of the legacy encoding; @b is the first byte. */
static int take_legacy_opcode(struct cursor *c, struct x86_insn *insn, u8 b)
{
	insn->pp = legacy_pp(insn);
	if (b == 0x0f) {
		insn->map = X86_MAP_0F;
		b = take(c);
		if (b == 0x38 || b == 0x3a) {
			insn->map = b == 0x38 ? X86_MAP_0F38 : X86_MAP_0F3A;
			b = take(c);
		}
	}
	insn->opcode = b;
	return c->err;
}

static void init_insn(struct x86_insn *insn, const u8 *bytes, unsigned int nr_bytes,
		      enum x86_mode mode)
{
	/* Everything in front of the bytes. */
	memset(insn, 0, offsetof(struct x86_insn, bytes));
	memcpy(insn->bytes, bytes, nr_bytes);
	insn->mode = mode;
	insn->base = X86_NO_REG;
	insn->index = X86_NO_REG;
}

int x86_decode(struct x86_insn *insn, const u8 *bytes, unsigned int nr_bytes,
	       enum x86_mode mode)
{
	struct cursor c = { bytes, 0, min_t(unsigned int, nr_bytes, X86_MAX_INSN_BYTES), 0 };
	struct prefixes p;
	struct x86_opcode o;
	u8 first;
	int err;

	init_insn(insn, bytes, c.end, mode);
	first = take_prefixes(&c, insn, &p);
	if (c.err)
		return c.err;
	set_address_size(insn, &p);
	if (is_vex(&c, insn, first)) {
		err = take_vex(&c, insn, first);
		o = err ? (struct x86_opcode){} : vex_opcode(insn);
	} else {
		err = take_legacy_opcode(&c, insn, first);
		o = legacy_opcode(insn);
	}
	if (err)
		return err;

	if (o.flags & D_MODRM)
		take_modrm(&c, insn, o.flags);
	else
		insn->rm = (insn->opcode & 7) | (insn->rex & REX_B ? 8 : 0);
	if (c.err)
		return c.err;
	if (insn->encoding == X86_ENC_LEGACY) {
		apply_group(insn, &o);
		if (o.flags & D_SPECIAL)
			refine(insn, &o);
	}
	insn->op = o.op;
	if (is_undefined(insn, &o))
		return -EINVAL;
	insn->seg = memory_segment(insn, &p);
	set_operand_size(insn, &o);
	take_immediate(&c, insn, o.imm);
	if (insn->map == X86_MAP_3DNOW)
		insn->opcode = insn->imm;
	insn->length = c.pos;
	return c.err;
}

u64 x86_effective_address(const struct x86_insn *insn, const struct x86_regs *regs, u64 next_rip)
{
	u64 ea = insn->disp;

	if (insn->base != X86_NO_REG)
		ea += regs->gpr[insn->base];
	if (insn->index != X86_NO_REG)
		ea += regs->gpr[insn->index] << insn->scale;
	if (insn->rip_relative)
		ea += next_rip;
	return insn->addr_bytes == 8 ? ea : ea & ((1ULL << (8 * insn->addr_bytes)) - 1);
}
