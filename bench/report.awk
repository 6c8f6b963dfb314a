#!/usr/bin/awk -f
# SPDX-License-Identifier: GPL-2.0
#
# Turns the runner's result lines (see runner.c) into a table on standard
# output and JSON in the file named by -v json=FILE.
#
#	awk -v json=FILE -v flags=WHAT -v quiet=0 -f report.awk RESULT
#
# The figure of an operation is the median over its batches; the minimum is in
# the JSON beside it.  Exits per operation are those between the phase's two
# marks, less those of the phase "nothing", divided by the operations.  Boot
# figures are the least of the boots.
#
# The exit status is 0 if every engine could be measured, whatever the figures.

BEGIN {
	FS = OFS = "\t"
	# AMD APM vol. 2, appendix C: exit codes
	n = split("0 cr0-read,0x4 cr4-read,0x10 cr0-write,0x13 cr3-write,0x14 cr4-write,0x18 cr8-write," \
		"0x20 dr0-read,0x27 dr7-read,0x30 dr0-write,0x37 dr7-write,0x41 #db,0x43 #bp," \
		"0x46 #ud,0x47 #nm,0x4d #gp,0x4e #pf,0x51 #ac,0x60 intr,0x61 nmi,0x64 vintr," \
		"0x65 cr0-selective,0x6e rdtsc,0x6f rdpmc,0x72 cpuid,0x73 rsm,0x74 iret,0x76 invd," \
		"0x77 pause,0x78 hlt,0x79 invlpg,0x7b ioio,0x7c msr,0x7f shutdown,0x81 vmmcall," \
		"0x89 wbinvd,0x8a monitor,0x8b mwait,0x8d xsetbv,0x400 npf", codes, ",")
	for (i = 1; i <= n; i++) {
		split(codes[i], code_name, " ")
		reason_name[code_name[1]] = code_name[2]
	}
}

$1 == "meta"	{ meta[$2] = $3; metas[++nmeta] = $2 }
$1 == "flags"	{ flag[$2] = $3; see_engine($2) }
$1 == "failed"	{ failed[$2] = 1; see_engine($2) }
$1 == "op" && $3 == "nothing" {
	if (!(($2) in nothing))
		nothing[$2] = $7
	next
}
$1 == "op" {
	see_engine($2)
	if (!($3 in known_op)) {
		known_op[$3] = 1
		ops[++nops] = $3
	}
	min[$2, $3] = $4 / 100
	ticks[$2, $3] = $5 / 100
	count[$2, $3] = $6
	rawexits[$2, $3] = $7
	measured[$2] = 1
}
$1 == "boot" {
	see_engine($2)
	n = ++boots[$2]
	boot_ticks[$2, n] = $3
	boot_guest[$2, n] = $4
	boot_exits[$2, n] = $5
}
$1 == "scale" {
	see_engine($2)
	if (!($3 in known_scale)) {
		known_scale[$3] = 1
		scales[++nscales] = $3
	}
	if (!($4 in known_number)) {
		known_number[$4] = 1
		numbers[++nnumbers] = $4
	}
	# All of them on one processor: each waits while the others work.
	scale_ticks[$2, $3, $4] = $5 / 100 / (meta["processors"] == 1 ? $4 : 1)
	measured[$2] = 1
}
$1 == "exit" {
	see_engine($2)
	if (!($3 in known_kind)) {
		known_kind[$3] = 1
		kinds[++nkinds] = $3
	}
	exit_ticks[$2, $3] = $4 / 100
	measured[$2] = 1
}
$1 == "reason" {
	reasons[$2, $3, $4] = $5
	if (!(($3, $4) in known_reason)) {
		known_reason[$3, $4] = 1
		reason_list[$3] = reason_list[$3] " " $4
		if (!($3 in known_phase)) {
			known_phase[$3] = 1
			phases[++nphases] = $3
		}
	}
}

function see_engine(name) {
	if (!(name in known_engine)) {
		known_engine[name] = 1
		engines[++nengines] = name
	}
}

# The least of list[engine, 1..n].
function least(list, engine, n,    i, v) {
	v = list[engine, 1] + 0
	for (i = 2; i <= n; i++)
		if (list[engine, i] + 0 < v)
			v = list[engine, i] + 0
	return v
}

function spread_percent(list, engine, n,    i, lo, hi) {
	lo = hi = list[engine, 1] + 0
	for (i = 2; i <= n; i++) {
		if (list[engine, i] + 0 < lo) lo = list[engine, i] + 0
		if (list[engine, i] + 0 > hi) hi = list[engine, i] + 0
	}
	return lo ? 100 * (hi - lo) / lo : 0
}

function has(engine, op) { return (engine, op) in ticks }

function exits_per_op(engine, op,    n) {
	n = rawexits[engine, op] - nothing[engine]
	return n > 0 ? n / count[engine, op] : 0
}

function ratio(engine, base, op) {
	return has(engine, op) && has(base, op) && ticks[base, op] ? \
		ticks[engine, op] / ticks[base, op] : 0
}

# What an engine is compared with: without the RAM file, the stock module, nothing at all.
function base_of(engine) {
	if (sub(/\+file$/, "", engine) || sub(/^penumbra:shadow-.*/, "penumbra:shadow", engine))
		return engine
	return engine ~ /^penumbra:/ ? "kvm:" substr(engine, 10) : "native"
}

function cell_ratio(r) { return r ? sprintf("%.3f", r) : "-" }

function table(    i, j, e, line) {
	line = sprintf("%-12s", "operation")
	for (j = 1; j <= nengines; j++)
		line = line sprintf(" | %-31s", engines[j] (engines[j] == "native" ? "" : \
			" (÷ " base_of(engines[j]) ")"))
	print line
	line = sprintf("%-12s", "")
	for (j = 1; j <= nengines; j++)
		line = line sprintf(" | %12s %7s %10s", "ticks", "ratio", "exits")
	print line
	for (i = 1; i <= nops; i++) {
		line = sprintf("%-12s", ops[i])
		for (j = 1; j <= nengines; j++) {
			e = engines[j]
			if (has(e, ops[i]))
				line = line sprintf(" | %12.1f %7s %10.4f", ticks[e, ops[i]], \
					cell_ratio(ratio(e, base_of(e), ops[i])), \
					exits_per_op(e, ops[i]))
			else
				line = line sprintf(" | %12s %7s %10s", "-", "-", "-")
		}
		print line
	}
	print ""
	for (j = 1; j <= nengines; j++) {
		e = engines[j]
		if (e in failed)
			printf "%s could not be measured\n", e
		if (boots[e] + 0)
			printf "boot to init  %-16s least of %d boots: %.0f ticks (spread %.2f %%), " \
				"%.0f by the guest's clock, %.0f exits (spread %.2f %%)\n", e, boots[e], \
				least(boot_ticks, e, boots[e]), spread_percent(boot_ticks, e, boots[e]), \
				least(boot_guest, e, boots[e]), least(boot_exits, e, boots[e]), \
				spread_percent(boot_exits, e, boots[e])
	}
}

# ---- several vCPUs at once ----

function scale_ratio(e, op, n) {
	return scale_ticks[e, op, numbers[1]] ? \
		scale_ticks[e, op, n] / scale_ticks[e, op, numbers[1]] : 0
}

function scale_table(    i, j, k, e, line) {
	printf "ticks of an operation done by so many processes at once, and to those of %s\n%-12s", \
		numbers[1], "operation"
	for (j = 1; j <= nengines; j++)
		printf " | %-*s", 12 + 18 * (nnumbers - 1), engines[j]
	printf "\n%-12s", ""
	for (j = 1; j <= nengines; j++) {
		printf " | %12d", numbers[1]
		for (k = 2; k <= nnumbers; k++)
			printf " %10d %6s", numbers[k], ""
	}
	print ""
	for (i = 1; i <= nscales; i++) {
		line = sprintf("%-12s", scales[i])
		for (j = 1; j <= nengines; j++) {
			e = engines[j]
			line = line sprintf(" | %12.0f", scale_ticks[e, scales[i], numbers[1]])
			for (k = 2; k <= nnumbers; k++)
				line = line sprintf(" %10.0f %6s", scale_ticks[e, scales[i], numbers[k]], \
					cell_ratio(scale_ratio(e, scales[i], numbers[k])))
		}
		print line
	}
}

# ---- shadow mode without some of its parts: a row for each ----

function worth_row(e, cells,    label) {
	label = e
	if (!sub(/^penumbra:shadow-/, "without ", label) && e == "penumbra:shadow")
		label = "all there is"
	if (gsub(/,/, ", ", label) > 4)
		label = "without any of them"
	printf "%-32s %s\n", label, cells
}

function worth_boot_cell(e, list) {
	if (!boots[e] || !boots["penumbra:shadow"])
		return sprintf(" %10s", "-")
	return sprintf(" %10.3f", least(list, e, boots[e]) / \
		least(list, "penumbra:shadow", boots["penumbra:shadow"]))
}

function worth_heading(what, last,    i, s) {
	for (i = 1; i <= nops; i++)
		s = s sprintf(" %10s", ops[i])
	printf "\n%-32s %s%s\n", what, s, last
}

# Ticks and the geometric mean of all operations, to what they are with all parts.
function worth_ticks(    i, j, e, r, s, sum) {
	worth_heading("ticks, to all there is", sprintf(" %10s %10s", "mean", "boot"))
	for (j = 1; j <= nengines; j++) {
		e = engines[j]
		s = ""
		sum = 0
		for (i = 1; i <= nops; i++) {
			r = ratio(e, "penumbra:shadow", ops[i])
			sum += r ? log(r) : 0
			s = s sprintf(" %10s", cell_ratio(r))
		}
		worth_row(e, s sprintf(" %10.3f", nops ? exp(sum / nops) : 0) \
			worth_boot_cell(e, boot_ticks))
	}
}

function worth_exits(    i, j, e, s) {
	worth_heading("exits of an operation", sprintf(" %10s", "boot"))
	for (j = 1; j <= nengines; j++) {
		e = engines[j]
		s = ""
		for (i = 1; i <= nops; i++)
			s = s sprintf(" %10.2f", exits_per_op(e, ops[i]))
		worth_row(e, s (boots[e] ? \
			sprintf(" %10d", least(boot_exits, e, boots[e])) : sprintf(" %10s", "-")))
	}
}

function is_worth(    i) {
	for (i = 1; i <= nengines; i++)
		if (engines[i] ~ /^penumbra:shadow-/)
			return 1
	return 0
}

function reason_tables(    i, j, k, n, list, line) {
	for (i = 1; i <= nphases; i++) {
		printf "\nexits by reason: %s\n", phases[i]
		n = split(reason_list[phases[i]], list, " ")
		for (k = 1; k <= n; k++) {
			line = sprintf("%-14s", list[k] in reason_name ? reason_name[list[k]] : list[k])
			for (j = 1; j <= nengines; j++)
				if (engines[j] != "native")
					line = line sprintf(" | %s %9d", engines[j], \
						reasons[engines[j], phases[i], list[k]])
			print line
		}
	}
}

function exit_ratio(e, kind,    base) {
	base = exit_ticks[base_of(e), kind]
	return base ? exit_ticks[e, kind] / base : 0
}

function exit_table(    i, j, e, line) {
	line = sprintf("%-12s", "one exit")
	for (j = 1; j <= nengines; j++)
		if (engines[j] != "native")
			line = line sprintf(" | %-20s", engines[j])
	print line
	for (i = 1; i <= nkinds; i++) {
		line = sprintf("%-12s", kinds[i])
		for (j = 1; j <= nengines; j++) {
			e = engines[j]
			if (e != "native")
				line = line sprintf(" | %12.1f %7s", exit_ticks[e, kinds[i]], \
					cell_ratio(exit_ratio(e, kinds[i])))
		}
		print line
	}
}

function geometric_mean(    i, r, sum, n) {
	for (i = 1; i <= nops; i++) {
		r = ratio(subject, reference, ops[i])
		if (r) {
			sum += log(r)
			n++
		}
	}
	return n ? exp(sum / n) : 0
}

function worst_op(    i, r, worst, name) {
	for (i = 1; i <= nops; i++) {
		r = ratio(subject, reference, ops[i])
		if (r > worst) {
			worst = r
			name = ops[i]
		}
	}
	worst_name = name
	return worst
}

function verdict(what, value, limit) {
	if (!value)
		printf "verdict: %-44s not measured\n", what
	else
		printf "verdict: %-44s %.4f  (limit %.2f)  %s\n", what, value, limit, \
			value <= limit ? "reached" : "NOT reached"
}

function boot_ratio(list) {
	if (!boots[subject] || !boots[reference])
		return 0
	return least(list, subject, boots[subject]) / least(list, reference, boots[reference])
}

# What the figures below are of. Returns whether both were measured.
function compare(engine) {
	subject = engine
	reference = base_of(engine)
	return measured[subject] && measured[reference]
}

# Of the least boot and all operations together.
function all_exits(engine,    i, sum) {
	for (i = 1; i <= nops; i++)
		sum += exits_per_op(engine, ops[i]) * count[engine, ops[i]]
	return sum + least(boot_exits, engine, boots[engine])
}

function verdicts_of(mean_limit, worst_limit, boot_limit, exits_limit,    worst) {
	print ""
	print "verdict: " subject " ÷ " reference
	verdict("geometric mean of " nops " operations", geometric_mean(), mean_limit)
	worst = worst_op()
	verdict("worst operation: " worst_name, worst, worst_limit)
	verdict("boot to init, ticks", boot_ratio(boot_ticks), boot_limit)
	verdict("boot to init, exits", boot_ratio(boot_exits), exits_limit)
}

# RAM files must cost nothing: see docs/measuring.md, "RAM files".
function verdicts(    i) {
	if (compare("penumbra:nested"))
		verdicts_of(1.00, 1.05, 1.00, 1.00)
	if (compare("penumbra:shadow")) {
		# Exits: 20 000 and 75 000 where the stock module had 38 868 and 141 600.
		verdicts_of(0.65, 1.00, 1.00, 20000 / 38868)
		verdict("boot and operations, exits", boots[subject] && boots[reference] ? \
			all_exits(subject) / all_exits(reference) : 0, 75000 / 141600)
	}
	for (i = 1; i <= nengines; i++) {
		if (engines[i] !~ /\+file$/)
			continue
		compare(engines[i])
		verdicts_of(1.02, 1.02, 1.02, 1.02)
		verdict("most exits added to an operation, past 2 %", most_exits_added() + 1e-9, 0.01)
	}
}

function most_exits_added(    i, more, most) {
	for (i = 1; i <= nops; i++) {
		more = exits_per_op(subject, ops[i]) - 1.02 * exits_per_op(reference, ops[i])
		if (more > most)
			most = more
	}
	return most
}

function quote(s) {
	gsub(/\\/, "\\\\", s)
	gsub(/"/, "\\\"", s)
	return "\"" s "\""
}

function json_boots(e,    i, s) {
	for (i = 1; i <= boots[e]; i++)
		s = s (i > 1 ? ", " : "") sprintf("{\"ticks\": %d, \"guest_ticks\": %.0f, " \
			"\"exits\": %d}", boot_ticks[e, i], boot_guest[e, i], boot_exits[e, i])
	return "[" s "]"
}

function json_reasons(e, phase,    n, k, list, s) {
	n = split(reason_list[phase], list, " ")
	for (k = 1; k <= n; k++)
		if (reasons[e, phase, list[k]])
			s = s (s ? ", " : "") quote(list[k]) ": " reasons[e, phase, list[k]]
	return "{" s "}"
}

function json_exits(e,    i, s) {
	for (i = 1; i <= nkinds; i++)
		if ((e, kinds[i]) in exit_ticks)
			s = s (s ? ", " : "") sprintf("%s: %.2f", quote(kinds[i]), exit_ticks[e, kinds[i]])
	return "{" s "}"
}

function json_scale(e,    i, k, s) {
	for (i = 1; i <= nscales; i++)
		for (k = 1; k <= nnumbers; k++)
			if ((e, scales[i], numbers[k]) in scale_ticks)
				s = s (s ? ", " : "") sprintf("{\"name\": %s, \"processes\": %d, \"ticks\": %.2f}", \
					quote(scales[i]), numbers[k], scale_ticks[e, scales[i], numbers[k]])
	return "[" s "]"
}

function json_engine(e,    i, s, sep) {
	s = "    {\"engine\": " quote(e) ", \"flags\": " quote(flag[e]) \
		", \"measured\": " (e in failed ? "false" : "true") ",\n"
	s = s "     \"boots\": " json_boots(e) ",\n     \"boot_reasons\": " \
		json_reasons(e, "boot") ",\n     \"exit_ticks\": " json_exits(e) \
		",\n     \"scale\": " json_scale(e) ",\n     \"operations\": ["
	for (i = 1; i <= nops; i++) {
		if (!has(e, ops[i]))
			continue
		s = s sep sprintf("\n      {\"name\": %s, \"ticks\": %.2f, \"ticks_min\": %.2f, " \
			"\"operations\": %d, \"exits\": %.4f, \"ratio\": %.4f, \"reasons\": %s}", \
			quote(ops[i]), ticks[e, ops[i]], min[e, ops[i]], count[e, ops[i]], \
			exits_per_op(e, ops[i]), ratio(e, base_of(e), ops[i]), json_reasons(e, ops[i]))
		sep = ","
	}
	return s "\n     ]}"
}

function write_json(    i) {
	printf "{\n  \"schema\": 1,\n" > json
	for (i = 1; i <= nmeta; i++)
		printf "  %s: %s,\n", quote(metas[i]), quote(meta[metas[i]]) > json
	printf "  \"ratio_of\": {\"penumbra\": \"kvm\", \"kvm\": \"native\"},\n" > json
	printf "  \"compared\": %s,\n", quote(subject) > json
	printf "  \"geometric_mean\": %.4f,\n  \"worst\": {\"name\": %s, \"ratio\": %.4f},\n", \
		geometric_mean(), quote(worst_name), worst_op() > json
	printf "  \"boot_ticks_ratio\": %.4f,\n  \"boot_exits_ratio\": %.4f,\n", \
		boot_ratio(boot_ticks), boot_ratio(boot_exits) > json
	printf "  \"engines\": [\n" > json
	for (i = 1; i <= nengines; i++)
		printf "%s%s\n", json_engine(engines[i]), i < nengines ? "," : "" > json
	printf "  ]\n}\n" > json
	close(json)
}

END {
	# An engine that took the test host down could not even say that it failed.
	for (i = 1; i <= nengines; i++)
		if (!measured[engines[i]] && !(nkinds && engines[i] == "native"))
			failed[engines[i]] = 1
	for (e in failed)
		nfailed++
	if (!compare("penumbra:nested"))
		compare("penumbra:shadow")
	worst_op()
	if (json)
		write_json()
	if (quiet + 0 == 0) {
		if (nkinds)
			exit_table()
		if (nscales)
			scale_table()
		if (nops && is_worth()) {
			worth_ticks()
			worth_exits()
		} else if (nops) {
			table()
			reason_tables()
			verdicts()
		}
	}
	exit nfailed > 0 || !nengines
}
