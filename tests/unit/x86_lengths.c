// SPDX-License-Identifier: GPL-2.0
/*
 * The decoder's lengths against a packaged disassembler, for every opcode of
 * every map with many prefixes and operands, and for random bytes, in 16-, 32-
 * and 64-bit code.
 *
 * The two differ on purpose in the classes listed in explain(). Anything else
 * fails. Arguments: number of random strings for each mode, seed.
 */
#include <stdio.h>
#include <stdlib.h>
#include "x86/decode.h"
#include "tests/unit/x86_reference.h"

static const enum x86_mode modes[] = { X86_MODE_PROT16, X86_MODE_PROT32, X86_MODE_LONG };
static const unsigned int mode_bits[] = { 16, 32, 64 };

/* ---- why they may differ ---- */

enum reason {
	UNEXPLAINED,
	WHOLE_MAP,		/* maps whose unassigned opcodes we take by the rule of the map */
	X87,			/* unassigned x87 operations: all are two bytes and an address */
	HINT,			/* hint space and newer instructions unknown to the reference */
	UNDEFINED_UD,		/* UD0, UD1: the reference omits ModRM */
	LOCK_PREFIX,		/* LOCK where it is undefined; LOCK MOV CR0 = CR8 */
	MANDATORY_PREFIX,	/* the reference ignores prefixes that make an opcode undefined */
	MOV_TO_CS,		/* undefined, the reference accepts it */
	SEGMENT_REX_R,		/* REX.R does not extend segment registers */
	FOREIGN,		/* another vendor's: VIA PadLock, AMD SSE5, Cyrix */
	MANDATORY_16BIT,	/* the reference knows no mandatory prefixes in 16-bit code */
	PREFIX_ORDER,		/* the reference agrees when repeated and idle prefixes are taken out */
	ADDRSIZE_REX_W,		/* the reference takes 67 in front of REX.W for 66 */
	VEX_PREFIXED,		/* undefined: F2, F3 in front of VEX, XOP, EVEX */
	XOP_IMM_16BIT,		/* the reference cuts the immediate of map A by operand size */
	NR_REASONS
};

static const char *const reason_text[NR_REASONS] = {
	[WHOLE_MAP] = "unassigned opcode of a uniform map",
	[X87] = "unassigned x87 operation",
	[HINT] = "hint or newer instruction",
	[UNDEFINED_UD] = "UD0 UD1 with ModRM",
	[LOCK_PREFIX] = "LOCK on an instruction that has none",
	[MANDATORY_PREFIX] = "prefix that makes the opcode undefined",
	[MOV_TO_CS] = "MOV to CS",
	[SEGMENT_REX_R] = "REX.R with a segment register",
	[FOREIGN] = "another vendor's instruction",
	[PREFIX_ORDER] = "several prefixes, agrees with fewer",
	[MANDATORY_16BIT] = "mandatory prefix in 16-bit code",
	[ADDRSIZE_REX_W] = "67 with REX.W",
	[VEX_PREFIXED] = "prefix in front of VEX",
	[XOP_IMM_16BIT] = "immediate of XOP map A in 16-bit code",
};

struct sample {
	const u8 *bytes;
	unsigned int mode;		/* index of modes[] */
	int ours;			/* length or negative error */
	unsigned int theirs;		/* length or 0 */
	struct x86_insn insn;
};

static bool is_prefix(u8 b, bool long_mode)
{
	switch (b) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66: case 0x67:
	case 0xf0: case 0xf2: case 0xf3:
		return true;
	default:
		return long_mode && (b & 0xf0) == 0x40;
	}
}

/* Opcodes of 0F that are hints, or groups with members newer than the reference. */
static bool is_hint(const struct x86_insn *insn)
{
	if (insn->map != X86_MAP_0F)
		return false;
	switch (insn->opcode) {
	case 0x01: case 0x0d: case 0xae: case 0xc7:
		return true;
	default:
		return insn->opcode >= 0x18 && insn->opcode <= 0x1f;
	}
}

static bool is_legacy(const struct x86_insn *insn, enum x86_map map, u8 opcode)
{
	return insn->encoding == X86_ENC_LEGACY && insn->map == map && insn->opcode == opcode;
}

static bool is_mov_sreg(const struct x86_insn *insn)
{
	return is_legacy(insn, X86_MAP_ONE_BYTE, 0x8c) || is_legacy(insn, X86_MAP_ONE_BYTE, 0x8e);
}

static bool is_ud(const struct x86_insn *insn)
{
	return is_legacy(insn, X86_MAP_0F, 0xb9) || is_legacy(insn, X86_MAP_0F, 0xff);
}

/* We decode what the reference does not. */
static enum reason explain_ours_only(const struct sample *s)
{
	const struct x86_insn *insn = &s->insn;

	if (insn->encoding != X86_ENC_LEGACY || insn->map > X86_MAP_0F)
		return WHOLE_MAP;
	if (is_ud(insn))
		return UNDEFINED_UD;
	if (insn->map == X86_MAP_ONE_BYTE && insn->opcode >= 0xd8 && insn->opcode <= 0xdf)
		return X87;
	if (is_hint(insn))
		return HINT;
	if (is_mov_sreg(insn) && (insn->rex & 4))
		return SEGMENT_REX_R;
	if (s->mode == 0 && insn->pp && insn->map == X86_MAP_0F)
		return MANDATORY_16BIT;
	if (is_legacy(insn, X86_MAP_0F, 0x20) || is_legacy(insn, X86_MAP_0F, 0x22))
		return LOCK_PREFIX;
	if (is_legacy(insn, X86_MAP_0F, 0xd6) && insn->pp > X86_PP_66)
		return HINT;		/* MOVQ2DQ, MOVDQ2Q with memory; no length of their own */
	return UNEXPLAINED;
}

/* The reference decodes what is undefined to us. */
static enum reason explain_theirs_only(const struct sample *s)
{
	const struct x86_insn *insn = &s->insn;
	u8 opcode = insn->opcode;

	if (insn->lock)
		return LOCK_PREFIX;
	if ((insn->rep || insn->opsize_prefix) && !insn->opcode && !insn->map)
		return VEX_PREFIXED;	/* given up before the opcode */
	if (is_legacy(insn, X86_MAP_ONE_BYTE, 0x8e) && (insn->modrm & 0x38) == 0x08)
		return MOV_TO_CS;
	if (is_legacy(insn, X86_MAP_0F, 0xa6) || is_legacy(insn, X86_MAP_0F, 0xa7))
		return FOREIGN;
	if (insn->encoding == X86_ENC_LEGACY && insn->map == X86_MAP_0F && insn->pp &&
	    ((opcode >= 0x10 && opcode < 0x18) || (opcode >= 0x28 && opcode < 0x30) ||
	     (opcode >= 0x50 && opcode < 0x80) || opcode == 0xae || opcode >= 0xc2))
		return MANDATORY_PREFIX;
	return UNEXPLAINED;
}

static enum reason explain_lengths(const struct sample *s)
{
	const struct x86_insn *insn = &s->insn;

	if (is_ud(insn))
		return UNDEFINED_UD;
	if (s->mode == 0 && insn->pp && is_legacy(insn, X86_MAP_0F, 0x78))
		return MANDATORY_16BIT;
	if (s->mode == 0 && insn->map == X86_MAP_XOPA && s->ours == (int)s->theirs + 2)
		return XOP_IMM_16BIT;
	return UNEXPLAINED;
}

/*
 * Copies the sample without the prefixes @drop and @and_drop, and with all others
 * once and in the order the reference likes best: 67, others, 66, REX.
 */
static void drop_prefixes(const struct sample *s, u8 drop, u8 and_drop, u8 *out)
{
	static const u8 order[] = { 0x67, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0xf2, 0xf3, 0x66 };
	const u8 *b = s->bytes, *end = b + 15;
	unsigned int i;
	u8 *p = out;

	while (b < end && is_prefix(*b, s->mode == 2))
		b++;
	for (i = 0; i < sizeof(order); i++)
		if (order[i] != drop && order[i] != and_drop &&
		    memchr(s->bytes, order[i], b - s->bytes))
			*p++ = order[i];
	if (s->mode == 2 && b > s->bytes && (b[-1] & 0xf0) == 0x40)
		*p++ = b[-1];
	while (b < end)
		*p++ = *b++;
	memset(p, 0x11, out + 15 - p);
}

/* Prefixes without effect confuse the reference. Are the lengths the same without them? */
static bool agrees_with_fewer(const struct sample *s, u8 and_drop)
{
	static const u8 idle[] = { 0x66, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
	struct x86_insn insn;
	unsigned int i, theirs;
	u8 bytes[15];
	char text[64];

	for (i = 0; i < sizeof(idle); i++) {
		drop_prefixes(s, idle[i], and_drop, bytes);
		theirs = x86_reference_length(mode_bits[s->mode], bytes, 15, text);
		if (!theirs)
			continue;
		/* Ours must not care, apart from the bytes themselves. */
		if (!x86_decode(&insn, bytes, 15, modes[s->mode]) && insn.length == theirs &&
		    insn.op == s->insn.op && insn.imm_bytes == s->insn.imm_bytes)
			return true;
	}
	return false;
}

/* In 64-bit code 67 changes no length but that of moffs: both must agree without it. */
static bool agrees_without_addrsize(const struct sample *s)
{
	struct x86_insn insn;
	unsigned int theirs;
	u8 bytes[15];
	char text[64];
	int err;

	drop_prefixes(s, 0x67, 0x67, bytes);
	theirs = x86_reference_length(mode_bits[s->mode], bytes, 15, text);
	err = x86_decode(&insn, bytes, 15, modes[s->mode]);
	return err ? err == s->ours && !theirs : insn.length == theirs;
}

static enum reason explain(const struct sample *s)
{
	if (s->mode == 2 && (s->insn.rex & 8) && s->insn.addr_bytes == 4 && s->theirs &&
	    (agrees_without_addrsize(s) || agrees_with_fewer(s, 0x67)))
		return ADDRSIZE_REX_W;
	if (s->ours > 0 && s->insn.encoding == X86_ENC_LEGACY && agrees_with_fewer(s, 0))
		return PREFIX_ORDER;
	if (!s->theirs)
		return explain_ours_only(s);
	return s->ours < 0 ? explain_theirs_only(s) : explain_lengths(s);
}

/* ---- comparison ---- */

static unsigned long nr_samples, nr_agree, nr_reason[NR_REASONS];

static void show(const struct sample *s, const char *text)
{
	unsigned int i;

	printf("# %u-bit ours %d theirs %u %-30s enc %u map %u op %02x:", mode_bits[s->mode], s->ours,
	       s->theirs, text, s->insn.encoding, s->insn.map, s->insn.opcode);
	for (i = 0; i < 15; i++)
		printf(" %02x", s->bytes[i]);
	printf("\n");
}

/* One of each kind of unexplained difference is shown. */
static bool is_new(const struct sample *s)
{
	static bool seen[3][3][4][16][256];
	unsigned int kind = s->ours < 0 ? 0 : s->theirs ? 1 : 2;
	bool *p = &seen[s->mode][kind][s->insn.encoding][s->insn.map & 15][s->insn.opcode];
	bool is_first = !*p;

	*p = true;
	return is_first;
}

static void compare(unsigned int mode, const u8 *bytes)
{
	struct sample s = { .bytes = bytes, .mode = mode };
	enum reason why;
	char text[64];

	s.ours = x86_decode(&s.insn, bytes, 15, modes[mode]);
	if (!s.ours)
		s.ours = s.insn.length;
	s.theirs = x86_reference_length(mode_bits[mode], bytes, 15, text);
	nr_samples++;
	if (s.ours == (int)s.theirs || (s.ours < 0 && !s.theirs)) {
		nr_agree++;
		return;
	}
	why = explain(&s);
	if (!nr_reason[why]++ || (why == UNEXPLAINED && is_new(&s)))
		show(&s, text);
}

/* ---- what is tried ---- */

struct prefix_set {
	u8 nr;
	u8 bytes[4];
};

static const struct prefix_set prefix_sets[] = {
	{ 0, { 0 } }, { 1, { 0x66 } }, { 1, { 0x67 } }, { 1, { 0xf2 } }, { 1, { 0xf3 } },
	{ 1, { 0xf0 } }, { 1, { 0x2e } }, { 1, { 0x65 } }, { 1, { 0x48 } }, { 1, { 0x47 } },
	{ 2, { 0x66, 0x67 } }, { 2, { 0x66, 0x48 } }, { 2, { 0xf3, 0x4f } }, { 2, { 0xf2, 0x66 } },
	{ 3, { 0x67, 0x36, 0x41 } }, { 4, { 0x67, 0x66, 0xf3, 0x42 } },
};

static const struct prefix_set escapes[] = {
	{ 0, { 0 } }, { 1, { 0x0f } }, { 2, { 0x0f, 0x38 } }, { 2, { 0x0f, 0x3a } },
};

static const struct prefix_set vex_prefixes[] = {
	{ 2, { 0xc5, 0xf8 } }, { 2, { 0xc5, 0x7d } }, { 2, { 0xc5, 0xea } }, { 2, { 0xc5, 0xf3 } },
	{ 3, { 0xc4, 0xe1, 0x79 } }, { 3, { 0xc4, 0xc1, 0xf8 } }, { 3, { 0xc4, 0xe2, 0x79 } },
	{ 3, { 0xc4, 0xe2, 0x71 } }, { 3, { 0xc4, 0xe2, 0xfb } }, { 3, { 0xc4, 0xe2, 0x7a } },
	{ 3, { 0xc4, 0xe2, 0x75 } }, { 3, { 0xc4, 0xe3, 0x79 } }, { 3, { 0xc4, 0xe3, 0x7b } },
	{ 3, { 0xc4, 0xe3, 0xfd } }, { 3, { 0xc4, 0xe3, 0x71 } },
	{ 3, { 0x8f, 0xe8, 0x78 } }, { 3, { 0x8f, 0xe9, 0x78 } }, { 3, { 0x8f, 0xea, 0x78 } },
	{ 4, { 0x62, 0xf1, 0x7c, 0x48 } }, { 4, { 0x62, 0xf1, 0xfd, 0x28 } },
	{ 4, { 0x62, 0xf1, 0x7e, 0x08 } }, { 4, { 0x62, 0xf2, 0x7d, 0x4a } },
	{ 4, { 0x62, 0xf2, 0xfd, 0xc9 } }, { 4, { 0x62, 0xf3, 0x7d, 0x48 } },
	{ 4, { 0x62, 0xf3, 0xfd, 0x58 } }, { 4, { 0x62, 0xf2, 0x7e, 0x08 } },
};

static u8 *append(u8 *p, const struct prefix_set *set)
{
	memcpy(p, set->bytes, set->nr);
	return p + set->nr;
}

/* Operand bytes: a SIB that needs a displacement, then bytes that are no prefixes. */
static void try_operands(unsigned int mode, u8 *bytes, u8 *p, unsigned int step)
{
	unsigned int modrm;

	for (modrm = 0; modrm < 256; modrm += step) {
		p[0] = modrm;
		p[1] = modrm & 1 ? 0x25 : 0x61;
		memset(p + 2, 0x11, bytes + 15 - (p + 2));
		compare(mode, bytes);
	}
}

static void try_legacy(unsigned int mode)
{
	unsigned int i, j, opcode;
	u8 bytes[15], *p;

	for (i = 0; i < ARRAY_SIZE(prefix_sets); i++) {
		for (j = 0; j < ARRAY_SIZE(escapes); j++) {
			for (opcode = 0; opcode < 256; opcode++) {
				p = append(append(bytes, &prefix_sets[i]), &escapes[j]);
				*p++ = opcode;
				try_operands(mode, bytes, p, i == 0 ? 1 : 11);
			}
		}
	}
}

static void try_vex(unsigned int mode)
{
	unsigned int i, opcode;
	u8 bytes[15], *p;

	for (i = 0; i < ARRAY_SIZE(vex_prefixes); i++) {
		for (opcode = 0; opcode < 256; opcode++) {
			p = append(bytes, &vex_prefixes[i]);
			*p++ = opcode;
			try_operands(mode, bytes, p, 7);
		}
	}
}

static u64 next_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1dULL >> 16;
}

/* Random bytes, often with some prefixes and an escape in front. */
static void try_random(unsigned int mode, unsigned long nr, u64 seed)
{
	u8 bytes[15], *p;
	u64 r;

	while (nr--) {
		for (p = bytes; p < bytes + 15; p++)
			*p = next_random(&seed);
		r = next_random(&seed);
		p = bytes;
		if (r & 1)
			p = append(p, &prefix_sets[(r >> 8) % ARRAY_SIZE(prefix_sets)]);
		if (r & 2)
			p = append(p, &escapes[(r >> 16) % ARRAY_SIZE(escapes)]);
		else if (!(r & 0x3c))
			p = append(p, &vex_prefixes[(r >> 16) % ARRAY_SIZE(vex_prefixes)]);
		compare(mode, bytes);
	}
}

/* ---- properties that need no reference ---- */

/* Every proper prefix of an instruction asks for more, and more bytes change nothing. */
static bool is_monotonic(unsigned int mode, const u8 *bytes)
{
	struct x86_insn whole, cut;
	unsigned int n;

	if (x86_decode(&whole, bytes, 15, modes[mode]))
		return true;
	for (n = 0; n < whole.length; n++)
		if (x86_decode(&cut, bytes, n, modes[mode]) != -EAGAIN)
			return false;
	return x86_decode(&cut, bytes, whole.length, modes[mode]) == 0 &&
	       cut.length == whole.length && cut.op == whole.op && cut.imm == whole.imm &&
	       cut.disp == whole.disp;
}

static unsigned long count_not_monotonic(unsigned long nr, u64 seed)
{
	unsigned long bad = 0, i;
	u8 bytes[15];
	unsigned int j;

	for (i = 0; i < nr; i++) {
		for (j = 0; j < 15; j++)
			bytes[j] = next_random(&seed);
		if (i & 1)
			bytes[0] = 0x0f;
		bad += !is_monotonic(i % 3, bytes);
	}
	return bad;
}

static bool prefixes_overflow(void)
{
	struct x86_insn insn;
	u8 bytes[16];

	memset(bytes, 0x66, sizeof(bytes));
	if (x86_decode(&insn, bytes, 16, X86_MODE_LONG) != -E2BIG ||
	    x86_decode(&insn, bytes, 14, X86_MODE_LONG) != -EAGAIN)
		return false;
	bytes[14] = 0x90;
	return x86_decode(&insn, bytes, 16, X86_MODE_LONG) == 0 && insn.length == 15;
}

static unsigned int nr_failed;

static void result(unsigned int nr, bool ok, const char *name)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", nr, name);
	nr_failed += !ok;
}

static bool agree(void (*try)(unsigned int mode))
{
	unsigned long before = nr_reason[UNEXPLAINED];
	unsigned int mode;

	for (mode = 0; mode < 3; mode++)
		try(mode);
	return nr_reason[UNEXPLAINED] == before;
}

int main(int argc, char **argv)
{
	unsigned long nr_random = argc > 1 ? strtoul(argv[1], NULL, 0) : 150000;
	u64 seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 88172645463325252ULL;
	unsigned long before;
	unsigned int i;

	printf("1..5\n");
	result(1, agree(try_legacy), "legacy maps");
	result(2, agree(try_vex), "VEX, XOP and EVEX maps");
	before = nr_reason[UNEXPLAINED];
	for (i = 0; i < 3; i++)
		try_random(i, nr_random, seed + i);
	result(3, nr_reason[UNEXPLAINED] == before, "random bytes");
	result(4, !count_not_monotonic(100000, seed), "cut instructions ask for more bytes");
	result(5, prefixes_overflow(), "at most 15 bytes");

	printf("# %lu compared, %lu agree\n", nr_samples, nr_agree);
	for (i = 0; i < NR_REASONS; i++)
		printf("# %8lu %s\n", nr_reason[i], i ? reason_text[i] : "unexplained");
	return nr_failed != 0;
}
