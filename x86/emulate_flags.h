/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Status flags of arithmetic results, by the definitions of AMD APM vol. 1, 3.1.4.
 * @bytes is the operand size; operands must fit it.
 */
#ifndef PN_X86_EMULATE_FLAGS_H
#define PN_X86_EMULATE_FLAGS_H

#include "x86/emulate_impl.h"

static inline bool x86_msb(u64 val, unsigned int bytes)
{
	return (val >> (8 * bytes - 1)) & 1;
}

/* SF, ZF, PF of a result. */
static inline u64 x86_flags_szp(u64 val, unsigned int bytes)
{
	u64 flags = 0;

	val &= x86_mask(bytes);
	if (!val)
		flags |= X86_EFLAGS_ZF;
	if (x86_msb(val, bytes))
		flags |= X86_EFLAGS_SF;
	if (!(hweight8(val & 0xff) & 1))
		flags |= X86_EFLAGS_PF;
	return flags;
}

/* a + b + carry, carry 0 or 1. */
static inline u64 x86_flags_add(u64 a, u64 b, unsigned int carry, unsigned int bytes, u64 *sum)
{
	u64 s = (a + b + carry) & x86_mask(bytes);
	u64 carries = (a & b) | ((a | b) & ~s);		/* out of each bit */
	u64 flags = x86_flags_szp(s, bytes);

	if (x86_msb(carries, bytes))
		flags |= X86_EFLAGS_CF;
	if (carries & 8)
		flags |= X86_EFLAGS_AF;
	if (x86_msb((a ^ s) & (b ^ s), bytes))
		flags |= X86_EFLAGS_OF;
	*sum = s;
	return flags;
}

/* a - b - borrow, borrow 0 or 1. */
static inline u64 x86_flags_sub(u64 a, u64 b, unsigned int borrow, unsigned int bytes, u64 *diff)
{
	u64 d = (a - b - borrow) & x86_mask(bytes);
	u64 borrows = (~a & b) | ((~a | b) & d);
	u64 flags = x86_flags_szp(d, bytes);

	if (x86_msb(borrows, bytes))
		flags |= X86_EFLAGS_CF;
	if (borrows & 8)
		flags |= X86_EFLAGS_AF;
	if (x86_msb((a ^ b) & (a ^ d), bytes))
		flags |= X86_EFLAGS_OF;
	*diff = d;
	return flags;
}

#endif
