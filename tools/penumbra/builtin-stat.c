// SPDX-License-Identifier: GPL-2.0
/*
 * penumbra stat - exits by reason, faults, events and memory of VMs
 *
 * One sample shows totals; with --watch each further one shows rates as well,
 * from the difference to the one before.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "builtin.h"
#include "libpenumbra/text.h"
#include "libpenumbra/vms.h"

struct options {
	struct show_options show;	/* of a VM, by its id or name */
	bool watch;
	double interval_s;
	uint64_t count;		/* samples with --watch; 0: no end */
};

struct sample {
	struct vms_list list;
	double time_s;
};

/* How counters are shown. The names are the module's: docs/abi.md. */
struct row {
	const char *counter;
	const char *title;
};

/* Each exit of the hardware is counted in "exits" and, if it has one, in a reason. */
static const struct row exit_rows[] = {
	{ "pf_taken", "page fault" },
	{ "io_exits", "port I/O" },
	{ "halt_exits", "halt" },
	{ "irq_exits", "host interrupt" },
	{ "irq_window_exits", "interrupt window" },
	{ "nmi_window_exits", "NMI window" },
	{ "cr_exits", "control register" },
	{ "invlpg", "INVLPG" },
	{ "dr_exits", "debug register" },
	{ "msr_exits", "MSR" },
	{ "cpuid_exits", "CPUID" },
	{ "hypercalls", "hypercall" },
};

static const struct row fault_rows[] = {
	{ "pf_taken", "taken" },
	{ "pf_fixed", "mapped" },
	{ "pf_guest", "the guest's own" },
	{ "pf_mmio", "device memory" },
	{ "pf_around", "neighbours mapped along" },
	{ "tlb_flush", "TLB flushes" },
};

static const struct row event_rows[] = {
	{ "irq_injections", "interrupts injected" },
	{ "nmi_injections", "NMIs injected" },
	{ "exception_injections", "exceptions injected" },
	{ "insn_emulation", "instructions emulated" },
	{ "insn_emulation_fail", "emulation failed" },
	{ "user_exits", "returns to the VMM" },
	{ "mmio_exits", "device memory, by the VMM" },
	{ "signal_exits", "signals" },
};

#define ROWS(a)	(a), sizeof(a) / sizeof(*(a))

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* The VM in the sample before, if it was there; ids are not used twice. */
static const struct vms_vm *before(const struct sample *last, const struct vms_vm *vm)
{
	for (size_t i = 0; last && i < last->list.nr; i++)
		if (last->list.vm[i].id == vm->id)
			return &last->list.vm[i];
	return NULL;
}

static double rate(const struct vms_vm *vm, const struct vms_vm *old, const char *name, double seconds)
{
	uint64_t now = vms_counter(&vm->stat, name), then = vms_counter(&old->stat, name);

	return now > then && seconds > 0 ? (now - then) / seconds : 0;
}

/* ---- text ---- */

static void add_rate(struct text_table *t, const struct vms_vm *vm, const struct vms_vm *old,
		     const char *name, double seconds)
{
	char count[TEXT_COUNT_BYTES];

	text_table_add(t, "%s/s", text_count(count, rate(vm, old, name, seconds) + 0.5));
}

static void add_row(struct text_table *t, const struct vms_vm *vm, const struct vms_vm *old,
		    const struct row *row, double seconds)
{
	char count[TEXT_COUNT_BYTES];

	text_table_add(t, "%s", row->title);
	text_table_add(t, "%s", text_count(count, vms_counter(&vm->stat, row->counter)));
	if (old)
		add_rate(t, vm, old, row->counter, seconds);
}

static void print_exits(const struct vms_vm *vm, const struct vms_vm *old, double seconds)
{
	uint64_t all = vms_counter(&vm->stat, "exits"), n;
	static const struct row total = { "exits", "all" };
	struct text_table t;

	text_table_init(&t, old ? "lrrr" : "lrr");
	add_row(&t, vm, old, &total, seconds);
	text_table_add(&t, "%s", "");
	for (size_t i = 0; i < sizeof(exit_rows) / sizeof(*exit_rows); i++) {
		n = vms_counter(&vm->stat, exit_rows[i].counter);
		if (!n)
			continue;
		add_row(&t, vm, old, &exit_rows[i], seconds);
		text_table_add(&t, "%.1f %%", all ? 100.0 * n / all : 0);
	}
	puts("exits");
	text_table_print(&t, "  ");
}

static void print_rows(const char *title, const struct row *rows, size_t nr,
		       const struct vms_vm *vm, const struct vms_vm *old, double seconds)
{
	struct text_table t;

	text_table_init(&t, old ? "lrr" : "lr");
	for (size_t i = 0; i < nr; i++)
		add_row(&t, vm, old, &rows[i], seconds);
	puts(title);
	text_table_print(&t, "  ");
}

static void print_memory(const struct vms_vm *vm)
{
	char size[TEXT_SIZE_BYTES];

	puts("memory");
	printf("  guest     %10s\n", text_size(size, vm->memory_bytes));
	printf("  mapped    %10s\n", text_size(size, vm->mapped_bytes));
	printf("  resident  %10s\n", text_size(size, vm->resident_bytes));
	printf("  tables    %10s\n", text_size(size, vm->table_bytes));
}

static void print_vm(const struct vms_vm *vm, const struct vms_vm *old, double seconds)
{
	printf("%s%sid %" PRIu32 ", process %d, %s paging, %" PRIu64 " vCPU%s\n", vm->name,
	       vm->name[0] ? ": " : "", vm->id, (int)vm->pid, vm->mode, vm->vcpus,
	       vm->vcpus == 1 ? "" : "s");
	print_exits(vm, old, seconds);
	print_rows("faults", ROWS(fault_rows), vm, old, seconds);
	print_rows("events", ROWS(event_rows), vm, old, seconds);
	print_memory(vm);
}

/* All VMs, one a line; with rates beside the totals when some VM was there before. */
static void print_summary(const struct sample *now, const struct sample *last, double seconds)
{
	static const struct row shown[] = {
		{ "exits", "EXITS" }, { "pf_taken", "FAULTS" }, { "user_exits", "TO VMM" },
	};
	char text[TEXT_COUNT_BYTES];
	struct text_table t;

	if (!now->list.nr) {
		puts("no VM is running");
		return;
	}
	text_table_init(&t, last ? "rllrrrrrrrr" : "rllrrrrr");
	text_table_add(&t, "ID");
	text_table_add(&t, "NAME");
	text_table_add(&t, "MODE");
	for (size_t c = 0; c < sizeof(shown) / sizeof(*shown); c++) {
		text_table_add(&t, "%s", shown[c].title);
		if (last)
			text_table_add(&t, "%s", "");
	}
	text_table_add(&t, "RESIDENT");
	text_table_add(&t, "TABLES");
	for (size_t i = 0; i < now->list.nr; i++) {
		const struct vms_vm *vm = &now->list.vm[i], *old = before(last, vm);

		text_table_add(&t, "%" PRIu32, vm->id);
		text_table_add(&t, "%s", vm->name[0] ? vm->name : "-");
		text_table_add(&t, "%s", vm->mode);
		for (size_t c = 0; c < sizeof(shown) / sizeof(*shown); c++) {
			text_table_add(&t, "%s", text_count(text, vms_counter(&vm->stat,
									     shown[c].counter)));
			if (old)
				add_rate(&t, vm, old, shown[c].counter, seconds);
			else if (last)
				text_table_add(&t, "%s", "");
		}
		text_table_add(&t, "%s", text_size(text, vm->resident_bytes));
		text_table_add(&t, "%s", text_size(text, vm->table_bytes));
	}
	text_table_print(&t, "");
}

/* ---- JSON ---- */

static struct json_object *counters_to_json(const struct vms_vm *vm)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; i < vm->stat.nr; i++)
		json_object_object_add(o, vm->stat.counter[i].name,
				       json_object_new_uint64(vm->stat.counter[i].value));
	return o;
}

static struct json_object *rates_to_json(const struct vms_vm *vm, const struct vms_vm *old,
					 double seconds)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; i < vm->stat.nr; i++)
		json_object_object_add(o, vm->stat.counter[i].name,
				       json_object_new_double(rate(vm, old, vm->stat.counter[i].name,
								   seconds)));
	return o;
}

static struct json_object *vm_to_json(const struct vms_vm *vm, const struct vms_vm *old,
				      double seconds)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "id", json_object_new_int64(vm->id));
	json_object_object_add(o, "name", vm->name[0] ? json_object_new_string(vm->name) : NULL);
	json_object_object_add(o, "pid", json_object_new_int64(vm->pid));
	json_object_object_add(o, "mode", json_object_new_string(vm->mode));
	json_object_object_add(o, "vcpus", json_object_new_uint64(vm->vcpus));
	json_object_object_add(o, "memory_bytes", json_object_new_uint64(vm->memory_bytes));
	json_object_object_add(o, "mapped_bytes", json_object_new_uint64(vm->mapped_bytes));
	json_object_object_add(o, "resident_bytes", json_object_new_uint64(vm->resident_bytes));
	json_object_object_add(o, "table_bytes", json_object_new_uint64(vm->table_bytes));
	json_object_object_add(o, "stat", counters_to_json(vm));
	json_object_object_add(o, "rate", old ? rates_to_json(vm, old, seconds) : NULL);
	return o;
}

static struct json_object *to_json(const struct sample *now, const struct sample *last,
				   double seconds, const struct vms_vm *only)
{
	struct json_object *root = json_object_new_object(), *vms = json_object_new_array();

	json_object_object_add(root, "schema", json_object_new_int(JSON_SCHEMA));
	for (size_t i = 0; i < now->list.nr; i++) {
		const struct vms_vm *vm = &now->list.vm[i];

		if (!only || only == vm)
			json_object_array_add(vms, vm_to_json(vm, before(last, vm), seconds));
	}
	json_object_object_add(root, "vms", vms);
	return root;
}

/* ---- samples ---- */

static int show(const struct options *o, const struct sample *now, const struct sample *last)
{
	double seconds = last ? now->time_s - last->time_s : 0;
	const struct vms_vm *only = NULL;
	bool many;

	if (o->show.which) {
		only = vms_find(&now->list, o->show.which, &many);
		if (many)
			return fail("stat", "several VMs are called '%s': give an id ('penumbra ls')",
				    o->show.which);
		if (!only)
			return fail("stat", "no VM '%s' is running ('penumbra ls' lists them)",
				    o->show.which);
	}
	if (o->show.json)
		return output_json("stat", to_json(now, last, seconds, only), o->watch);
	/* on a terminal each sample takes the place of the one before */
	if (o->watch && isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	if (only)
		print_vm(only, before(last, only), seconds);
	else
		print_summary(now, last, seconds);
	if (o->watch && !isatty(STDOUT_FILENO))
		putchar('\n');
	return output_finish("stat");
}

static void wait_interval(double seconds)
{
	struct timespec t = { .tv_sec = seconds };

	t.tv_nsec = (seconds - t.tv_sec) * 1e9;
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static int take(const struct hostfs *fs, struct sample *sample)
{
	int ret = vms_read(fs, &sample->list);

	sample->time_s = now_s();
	return ret ? fail_no_module(fs, "stat", ret) : 0;
}

static int watch(const struct hostfs *fs, const struct options *o)
{
	struct sample samples[2] = {}, *now = &samples[0], *last = NULL;
	int ret;

	for (uint64_t n = 1;; n++) {
		ret = take(fs, now);
		if (!ret)
			ret = show(o, now, last);
		if (last)
			vms_free(&last->list);
		last = now;
		if (ret || n == o->count)
			break;
		now = now == &samples[0] ? &samples[1] : &samples[0];
		wait_interval(o->interval_s);
	}
	vms_free(&last->list);
	return ret;
}

/* ---- arguments ---- */

/* "--watch 2": argp knows optional values only as "--watch=2", so look ahead. */
static error_t parse_watch(const char *arg, struct argp_state *state, struct options *o)
{
	const char *next = state->next < state->argc ? state->argv[state->next] : NULL;

	o->watch = true;
	if (!arg && next && *next >= '0' && *next <= '9') {
		arg = next;
		state->next++;
	}
	if (arg && text_parse_seconds(arg, &o->interval_s))
		return cmdline_refuse(state, "--watch %s: give seconds from 0.01 to 86400", arg);
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'w':
		return parse_watch(arg, state, o);
	case 'n':
		if (text_parse_u64(arg, &o->count) || !o->count)
			return cmdline_refuse(state, "--count %s: give a number from 1 on", arg);
		return 0;
	case ARGP_KEY_END:
		if (o->count && !o->watch)
			return cmdline_refuse(state, "--count needs --watch");
		return 0;
	default:
		return cmdline_show(key, arg, state, &o->show);
	}
}

int builtin_stat(const struct hostfs *fs, int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION_JSON("Print JSON; with --watch one object a line", 0),
		{ "watch", 'w', "SECONDS", OPTION_ARG_OPTIONAL,
		  "Again and again, with rates (every second)", 0 },
		{ "count", 'n', "N", 0, "Stop watching after N samples", 0 },
		{}
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "[VM]",
		.doc = "Show exits, faults, events and memory of a VM, by id or name, or of all.\v"
		       "A number right after --watch is its interval; "
		       "to watch the VM with an id, write --watch=SECONDS ID.",
	};
	struct options o = { .show.one = "VM", .interval_s = 1 };
	int ret = cmdline_parse(&argp, argc, argv, &o);

	if (ret)
		return ret;
	if (!o.watch)
		o.count = 1;
	return watch(fs, &o);
}
