/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The random tables of the model's guests, for shadow_guest.c. Tables of all modes are in a pool of pages, where each
 * level has its usual places; entries often point elsewhere: to the table itself, to another level's, to data, ROM,
 * nothing. A direct map of the first 2 MiB lets the guest write its tables.
 *
 *	pool + 1…5 leaf tables   6…10 level 2   11…15 level 3   16…20 level 4   21…23 level 5
 *	       24 roots of PAE   25…28 direct map, levels 1 to 4
 */
#ifndef TESTS_MODEL_SHADOW_TABLES_H
#define TESTS_MODEL_SHADOW_TABLES_H

#include "tests/model/shadow_machine.h"

enum { P = 1, RW = 2, US = 4, PWT = 8, PCD = 0x10, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };

#define NX		(1ull << 63)

/* Levels, bytes of an entry, bits of an index. */
struct sm_shape { int levels, width, bits; };

struct sm_shape sm_shape_of(enum sm_mode mode);
/* The first gfn of a mode's pool; a table there, and an index that is often used. */
gfn_t sm_pool_of(struct sm *m, enum sm_mode mode);
gfn_t sm_table_of(struct sm *m, enum sm_mode mode, int level);
unsigned int sm_random_index(struct sm *m, enum sm_mode mode, int level);
gva_t sm_random_gva(struct sm *m, enum sm_mode mode);
/* What an entry may point to: mostly something sensible. */
gfn_t sm_random_page(struct sm *m);
gfn_t sm_random_table(struct sm *m, enum sm_mode mode, int level);
u64 sm_random_entry(struct sm *m, enum sm_mode mode, int level);
/* The emulator or an ioctl writes; … an entry of a table. */
void sm_host_write(struct sm *m, gpa_t gpa, u64 value, int size);
void sm_put(struct sm *m, gfn_t gfn, unsigned int index, u64 value, int width);
/* gpa by the direct map. */
gva_t sm_direct_gva(struct sm *m, enum sm_mode mode, gpa_t gpa);
/* All of a mode's tables anew. */
void sm_build_tables(struct sm *m, enum sm_mode mode);

#endif
