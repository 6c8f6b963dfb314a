// SPDX-License-Identifier: GPL-2.0
/* What actors do: each kind of operation, and its random choice. */
#include <stdio.h>

#include "tests/explore/scenario.h"

enum kind {
	ACCESS, CR3, FLUSH_ALL, INVLPG, EDIT, EDIT_BY_HOST, SWITCH_PGE, SWITCH_WP,	/* the guest */
	MOVE, DROP, RECLAIM, COPY_DIRTY, UNMAP, AGE, RESTART_LOG,			/* the host */
	KINDS
};

static void do_access(struct scenario *s, unsigned int c, const struct op *op)
{
	cpu_access(&s->m, c, &(struct access){ .place = op->arg, .write = op->write, .user = op->user });
}

static void do_cr3(struct scenario *s, unsigned int c, const struct op *op)
{
	cpu_load(&s->m, c, op->arg, MMU_LOAD_CR3);
}

static void do_flush_all(struct scenario *s, unsigned int c, const struct op *op)
{
	cpu_load(&s->m, c, op->arg, MMU_LOAD_ALL);
}

static void do_invlpg(struct scenario *s, unsigned int c, const struct op *op)
{
	cpu_invlpg(&s->m, c, op->arg);
}

static void do_edit(struct scenario *s, unsigned int c, const struct op *op)
{
	struct edit e = tables_edit(op->arg, op->value);
	int place = tables_window(&s->m, e.gfn);

	if (place >= 0)
		cpu_access(&s->m, c, &(struct access){ .place = place, .write = true, .user = true, .edit = &e });
}

static void do_edit_by_host(struct scenario *s, unsigned int c, const struct op *op)
{
	struct edit e = tables_edit(op->arg, op->value);

	host_write(&s->m, &e);
}

static void do_switch_pge(struct scenario *s, unsigned int c, const struct op *op)
{
	struct cpu *cpu = &s->m.cpu[c];

	cpu->pge = !cpu->pge;
	cpu_load(&s->m, c, cpu->root, MMU_LOAD_ALL);
}

static void do_switch_wp(struct scenario *s, unsigned int c, const struct op *op)
{
	struct cpu *cpu = &s->m.cpu[c];

	cpu->wp = !cpu->wp;
	cpu_load(&s->m, c, cpu->root, MMU_LOAD_ALL);
}

static void do_move(struct scenario *s, unsigned int c, const struct op *op)
{
	host_move(&s->m, op->arg, false);
}

static void do_drop(struct scenario *s, unsigned int c, const struct op *op)
{
	host_move(&s->m, op->arg, true);
}

static void do_reclaim(struct scenario *s, unsigned int c, const struct op *op)
{
	mmu_reclaim(&s->m.vm, 1 + op->arg % 3);
}

static void do_copy_dirty(struct scenario *s, unsigned int c, const struct op *op)
{
	host_copy_dirty(&s->m);
}

static void do_unmap(struct scenario *s, unsigned int c, const struct op *op)
{
	mmu_unmap_gfns(&s->m.vm, op->arg, op->arg + 1);
}

static void do_age(struct scenario *s, unsigned int c, const struct op *op)
{
	mmu_age_gfns(&s->m.vm, 0, FRAMES, true);
}

static void do_restart_log(struct scenario *s, unsigned int c, const struct op *op)
{
	host_restart_log(&s->m);
}

static const struct {
	const char *name;
	void (*fn)(struct scenario *s, unsigned int c, const struct op *op);
} kinds[KINDS] = {
	[ACCESS] = { "access", do_access }, [CR3] = { "CR3", do_cr3 }, [FLUSH_ALL] = { "flush all", do_flush_all },
	[INVLPG] = { "INVLPG", do_invlpg }, [EDIT] = { "edit", do_edit },
	[EDIT_BY_HOST] = { "edit by the host", do_edit_by_host },
	[SWITCH_PGE] = { "CR4.PGE", do_switch_pge }, [SWITCH_WP] = { "CR0.WP", do_switch_wp },
	[MOVE] = { "move", do_move }, [DROP] = { "drop", do_drop }, [RECLAIM] = { "reclaim", do_reclaim },
	[COPY_DIRTY] = { "copy dirty", do_copy_dirty }, [UNMAP] = { "unmap", do_unmap }, [AGE] = { "age", do_age },
	[RESTART_LOG] = { "restart log", do_restart_log },
};

void op_do(struct scenario *s, unsigned int cpu, const struct op *op)
{
	kinds[op->kind].fn(s, cpu, op);
}

void op_trace(const struct scenario *s, unsigned int actor, const struct op *op)
{
	if (s->m.traces)
		printf("# actor %u: %s (%u, %s%s, %#llx)\n", actor, kinds[op->kind].name, op->arg,
		       op->write ? "write" : "read", op->user ? ", user" : "", op->value);
}

static unsigned int hot_place(struct scenario *s)
{
	return s->hot_place[any(&s->m, s->nr_hot_places)];
}

struct op op_access(struct scenario *s, bool write)
{
	return (struct op){ .kind = ACCESS, .arg = hot_place(s), .write = write, .user = true };
}

struct op op_edit(struct scenario *s, bool by_guest)
{
	unsigned int entry = s->hot_entry[any(&s->m, s->nr_hot_entries)];

	return (struct op){
		.kind = by_guest ? EDIT : EDIT_BY_HOST, .arg = entry, .value = tables_value(s, entry),
	};
}

struct op op_flush(struct scenario *s, unsigned int cpu)
{
	struct machine *m = &s->m;
	gfn_t root = m->cpu[cpu].root;

	switch (any(m, 4)) {
	case 0:
		return (struct op){ .kind = INVLPG, .arg = hot_place(s) };
	case 1:
		return (struct op){ .kind = FLUSH_ALL, .arg = root };
	default:
		return (struct op){ .kind = CR3, .arg = any(m, 2) ? root : ROOT + any(m, ROOTS) };
	}
}

struct op op_of_guest(struct scenario *s)
{
	struct machine *m = &s->m;
	unsigned int r = any(m, 16);
	struct op op = { .arg = ROOT + any(m, ROOTS) };

	if (r < 5) {
		op = op_access(s, !any(m, 3));
		op.user = any(m, 4);
	} else if (r < 8) {
		op.kind = CR3;
	} else if (r < 9) {
		op.kind = any(m, 3) ? FLUSH_ALL : s->wp_changes && any(m, 2) ? SWITCH_WP : SWITCH_PGE;
	} else if (r < 11) {
		op.kind = INVLPG;
		op.arg = hot_place(s);
	} else {
		op = op_edit(s, any(m, 2));
	}
	return op;
}

struct op op_of_host(struct scenario *s)
{
	static const u8 of[] = { MOVE, DROP, RECLAIM, COPY_DIRTY, COPY_DIRTY, UNMAP, AGE, RESTART_LOG };
	struct machine *m = &s->m;

	return (struct op){
		.kind = m->host.logs && any(m, 2) ? COPY_DIRTY : of[any(m, ARRAY_SIZE(of))],
		.arg = any(m, 3) ? 1 + any(m, TABLES - 1) : DATA + any(m, DATA_FRAMES),
	};
}
