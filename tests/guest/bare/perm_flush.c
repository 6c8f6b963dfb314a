// SPDX-License-Identifier: GPL-2.0
/*
 * What a flush must make the processor see. An entry on the path is used by every kind of access,
 * changed, flushed in each way there is, and used again: everything must be as the new entry says.
 * And what needs no flush: an entry that was not present; more rights, after one fault.
 */
#include "perm.h"

static const struct change {
	const char *name;
	u64 set, clear;		/* bits of the entry */
	unsigned int page;	/* which page or table it leads to afterwards */
	bool absent;
	bool resize;		/* a table becomes a page, or a page a table */
} changes[] = {
	{ .name = "another page", .page = 1 },
	{ .name = "not writable", .clear = W },
	{ .name = "not the user's", .clear = U },
	{ .name = "not executable", .set = NX },
	{ .name = "not present", .absent = true },
	{ .name = "not accessed", .clear = A | D },
	{ .name = "of another size", .resize = true },
	{ .name = "not global", .clear = G },
};

enum flush { BY_PAGE, BY_SPACE, BY_PGE, FLUSHES };

static const unsigned int control_sets[] = { 0xf, 3, 2, 0xa };	/* see controls() */

static void use(unsigned int first, bool beside)
{
	for (unsigned int i = 0; i < accesses_nr; i++) {
		try_access(&accesses[(first + i) % accesses_nr], 0);
		if (beside)
			try_access(&accesses[(first + i) % accesses_nr], BESIDE);
	}
}

/* The path open, with a leaf at this level if @large, else with one of 4 KiB; global if wanted. */
static u64 prepare(int level, bool large, u64 global)
{
	u64 e = permissive(level, 0);

	put_open();
	if (large)
		e = toward(level, 0, P | W | U | PS | global);
	else if (level == 1)
		e |= global;
	else
		put(1, permissive(1, 0) | global);
	put(level, e);
	flush_all();
	return e;
}

static u64 changed(int level, bool large, u64 e, const struct change *c)
{
	if (c->absent)
		return 0;
	if (c->resize)
		return large ? permissive(level, 0) : toward(level, 0, P | W | U | PS);
	if (c->page)
		e = toward(level, c->page, e & (large ? 0x1fff : 0xfff));
	return (e | c->set) & ~c->clear;
}

static bool possible(int level, bool large, const struct change *c)
{
	if (mode->levels == 3 && level == 3)
		return c->page || c->absent;
	if (c->set & NX && (mode->width == 4 || !cpu.nxe))
		return false;
	if (c->resize)
		return level > 1 && leaf_level(level);
	return !(c->page && large && level == 3);	/* RAM has no second GiB */
}

static void flush_by(enum flush how, int level)
{
	if (how == BY_PAGE)
		flush_path(level);
	else if (how == BY_SPACE)
		flush_space();
	else
		flush_all();
}

static void flushed(int level, bool large, const struct change *c, enum flush how, bool global,
		    unsigned int n)
{
	u64 e = prepare(level, large, global ? G : 0);

	use(n, true);
	put(level, changed(level, large, e, c));
	flush_by(how, level);
	/* INVLPG is for one page; a large one is gone as a whole. */
	use(n, how != BY_PAGE || (large && !emulated_walk));
}

static void test_changes(int level, bool large, bool pge)
{
	unsigned int n = 0;

	WRITE(cr4, (READ(cr4) & ~CR4_PGE) | (pge ? CR4_PGE : 0));
	for (unsigned int i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		if (!possible(level, large, &changes[i]))
			continue;
		for (unsigned int k = 0; k < 2 * FLUSHES; k++) {
			enum flush how = k % FLUSHES;
			bool global = k / FLUSHES;

			if (!(how == BY_SPACE && global && pge))
				flushed(level, large, &changes[i], how, global, n++);
		}
	}
	WRITE(cr4, READ(cr4) & ~CR4_PGE);
}

/* An entry without @clear gets it back: whoever still sees the old one faults once at most. */
static void more_rights(int level, bool large, u64 clear, unsigned int n)
{
	u64 e = prepare(level, large, 0);

	put(level, e & P & clear ? 0 : e & ~clear);
	flush_path(level);
	use(n, false);
	/* Nobody walks to set them if the old entry is remembered. */
	put(level, mode->levels == 3 && level == 3 ? e : e | A | D);
	if (mode->levels == 3 && level == 3)
		flush_space();
	for (unsigned int i = 0; i < accesses_nr; i++) {
		const struct access *a = &accesses[(n + i) % accesses_nr];

		if (!(clear & P))
			fault_once(a);
		try_access(a, 0);
	}
}

static void test_more_rights(int level, bool large)
{
	bool bare = mode->levels == 3 && level == 3;

	for (unsigned int n = 0; n < accesses_nr; n++) {
		more_rights(level, large, P, n);
		if (!bare)
			more_rights(level, large, W, n);
		if (!bare)
			more_rights(level, large, U, n);
	}
}

void test_flushes(void)
{
	count_begin();
	for (unsigned int i = 0; i < sizeof(control_sets) / sizeof(control_sets[0]); i++) {
		if (!controls(control_sets[i]))
			continue;
		for (int level = mode->levels; level >= 1; level--)
			for (unsigned int k = 0; k < 4; k++)
				if (!(k & 2) || (level > 1 && leaf_level(level)))
					test_changes(level, k & 2, k & 1);
	}
	count_end("changes and flushes");

	count_begin();
	controls(3);
	for (int level = mode->levels; level >= 1; level--) {
		test_more_rights(level, false);
		if (level > 1 && leaf_level(level))
			test_more_rights(level, true);
	}
	count_end("more rights without a flush");
}
