/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Operations on the machine of mem_machine.h as data: a generator or a fuzzer makes
 * them, and leaving some out leaves the others what they were.
 */
#ifndef TESTS_MODEL_MEM_OPS_H
#define TESTS_MODEL_MEM_OPS_H

#include "tests/model/mem_machine.h"

struct mm_op {
	u8 kind;	/* of mm_op_kinds */
	u8 a, b, flags;	/* files, mappings, pins: taken modulo their number */
	u16 x, y, nr;	/* pages: see mm_op_index() */
	u32 seed;	/* of all that is random during the operation */
};

/* Random operations, in a mixture that makes things meet. */
void mm_op_random(struct mm_op *op, u64 *rng);
/* Does it; what does not make sense now is left. */
void mm_op_do(struct mm *m, const struct mm_op *op);
const char *mm_op_name(const struct mm_op *op);
/* Most in a few places of each chunk. */
u64 mm_op_index(u16 x);

#endif
