// SPDX-License-Identifier: GPL-2.0
/*
 * Protection keys: rights of a page and of its key, by PKRU, which needs no flush. Data of the
 * user's pages only, and CR0.WP decides whether a supervisor may write what its key protects.
 */
#include "perm.h"

#define KEY	5u
#define KEYED	((u64)KEY << 59)

static void write_pkru(u32 v)
{
	cpu.pkru = v;
	asm volatile("wrpkru" : : "a"(v), "c"(0), "d"(0) : "memory");
}

/* PKRU says this of the page's key, and the same or the contrary of all others. */
static void all_pkru(unsigned int first)
{
	for (u32 n = 0; n < 8; n++) {
		u32 mine = n & 3, others = n & 4 ? 0xffffffff : 0;

		write_pkru((others & ~(3u << 2 * KEY)) | mine << 2 * KEY);
		for (unsigned int i = 0; i < accesses_nr; i++)
			try_access(&accesses[(first + i) % accesses_nr], 0);
	}
	write_pkru(0);
}

void test_keys(void)
{
	count_begin();
	WRITE(cr4, READ(cr4) | CR4_PKE);
	cpu.pke = true;
	for (unsigned int c = 0; c < 16; c++) {
		if (!controls(c))
			continue;
		for (int level = 1; level <= mode->levels; level++)
			for (u64 rights = 0; leaf_level(level) && rights <= (W | U); rights += W) {
				put_open();
				put(level, toward(level, 0, P | rights | (level > 1 ? PS : 0)) | KEYED);
				flush_path(level);
				all_pkru(c + rights);
			}
	}
	WRITE(cr4, READ(cr4) & ~CR4_PKE);
	cpu.pke = false;
	count_end("protection keys");
}
