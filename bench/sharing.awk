#!/usr/bin/awk -f
# SPDX-License-Identifier: GPL-2.0
#
# Turns the lines of bench-sharing (see sharing.c) into tables on standard output,
# JSON in the file named by -v json=FILE, and the verdicts of what must hold.
#
#	awk [-v json=FILE] [-v tap=1] -f sharing.awk RESULT
#
# With tap=1 the verdicts are TAP points, after the tables as comments.
#
# Labels are SCANNER-CASE: ksm-10 and penumbra-10 are the same case on both sides.
# CPU times are instructions (ns under -icount). "to 95 %": what the scanner's thread had used
# when 95 % of KSM's final savings of the case were reached. Without KSM in the same boot
# penumbra_mem is held against the ticks a page in KSM_95 and KSM_STEADY.

BEGIN {
	FS = OFS = "\t"
	comment = tap ? "# " : ""
	# What KSM takes for 1 guest of the same kind, which is its best case (docs/measuring.md)
	KSM_95 = 21700
	KSM_STEADY = 9100
}

$1 == "meta"	{ meta[$2] = $3; metas[++nmeta] = $2 }
$1 == "set" {
	label = $2
	sets[++nsets] = label
	scanner[label] = $3
	guests[label] = $4
	mib[label] = $5
	kernels[label] = $6
	name = label
	sub(/^[^-]*-/, "", name)
	of_case[label] = name
	set_of[$3, name] = label
	if (!(name in seen))
		cases[++ncases] = name
	seen[name] = 1
	nscanned += $3 != "exact"
}
$1 == "equal"	{ equal[$2, $3, $4] = $5 }
$1 == "window" {
	key = $2 SUBSEP $3
	win_ns[key] = $4
	win_scanner[key] = $5
	win_guests[key] = $6
	win_other[key] = $7
	win_exits[key] = $8
	win_rounds[key] = $9
	win_visited[key] = $10
	win_saved[key] = $11
}
$1 == "sample" {
	n = ++samples[$2]
	sample_cpu[$2, n] = $3
	sample_saved[$2, n] = $4
}
$1 == "final"	{ paused[$2] = $3; settled[$2] = $4 }
$1 == "clone" {
	clones[++nclones] = $2
	clone_pages[$2] = $3
	clone_ticks[$2] = $4
	clone_again[$2] = $5
}
$1 == "clone-write" { written[$2] = $3; write_ticks[$2] = $4; new_frames[$2] = $5 }
$1 == "clone-after" { idle_before[$2] = $3; idle_after[$2] = $4 }
$1 == "freed" {
	freed[++nfreed] = $2
	for (i = 3; i <= 10; i++)
		freed_pages[$2, i] = $i
}

function percent(part, whole) { return whole ? 100 * part / whole : 0 }

function per_second(value, key) { return win_ns[key] ? value / win_ns[key] * 1e9 : 0 }

# CPU of set @label when it had saved @target pages, between two samples in proportion; 0: never.
function cpu_until(label, target,    i, part, more) {
	for (i = 1; i <= samples[label]; i++) {
		if (sample_saved[label, i] < target)
			continue
		if (i == 1)
			return sample_cpu[label, 1]
		more = sample_saved[label, i] - sample_saved[label, i - 1]
		part = more > 0 ? (target - sample_saved[label, i - 1]) / more : 1
		return sample_cpu[label, i - 1] + \
			part * (sample_cpu[label, i] - sample_cpu[label, i - 1])
	}
	return 0
}

function to_95(label,    base) {
	base = set_of["ksm", of_case[label]]
	if (base == "")
		base = label
	return cpu_until(label, 0.95 * settled[base])
}

# CPU per second in a window beyond what the guests and the rest use when nothing scans.
function added(label, phase,    key, idle) {
	key = label SUBSEP phase
	idle = label SUBSEP "idle"
	return per_second(win_scanner[key] + win_guests[key] + win_other[key], key) - \
		per_second(win_guests[idle] + win_other[idle], idle)
}

function ratio(a, b) { return b > 0 ? a / b : 0 }

function savings_table(    i, l, line) {
	printf comment "%-14s %3s %8s %7s %7s %7s %8s %8s %8s | %8s %7s %8s %7s\n", \
		"savings, pages", "n", "present", "zero", "inside", "between", "possible", "%", \
		"nonzero%", "saved", "%", "settled", "%"
	for (i = 1; i <= nsets; i++) {
		l = sets[i]
		line = sprintf("%-14s %3.0f %8.0f %7.0f %7.0f %7.0f %8.0f %8.2f %8.2f", l, guests[l], \
			equal[l, "after", "present"], equal[l, "after", "zero"], \
			equal[l, "after", "inside"], equal[l, "after", "between"], \
			equal[l, "after", "possible"], \
			percent(equal[l, "after", "possible"], equal[l, "after", "present"]), \
			percent(equal[l, "after", "possible-nonzero"], \
				equal[l, "after", "present"] - equal[l, "after", "zero"]))
		if (scanner[l] != "exact")
			line = line sprintf(" | %8.0f %7.2f %8.0f %7.2f", paused[l], \
				percent(paused[l], equal[l, "after", "possible"]), settled[l], \
				percent(settled[l], equal[l, "after", "possible"]))
		print comment line
	}
}

function cost_table(    i, l, k, f, p) {
	if (!nscanned)
		return
	print comment
	printf comment "%-14s %3s %12s %9s | %12s %12s %9s %9s | %12s\n", "cost, ticks", "n", "to 95 %", \
		"per page", "steady, /s", "all added/s", "exits/s", "idle's", "fast, /s"
	for (i = 1; i <= nsets; i++) {
		l = sets[i]
		if (scanner[l] == "exact")
			continue
		k = l SUBSEP "steady"
		f = l SUBSEP "fast"
		p = equal[l, "after", "present"]
		printf comment "%-14s %3.0f %12.0f %9.0f | %12.0f %12.0f %9.1f %9.1f | %12.0f\n", l, guests[l], \
			to_95(l), ratio(to_95(l), p), per_second(win_scanner[k], k), \
			added(l, "steady"), per_second(win_exits[k], k), \
			per_second(win_exits[l, "idle"], l SUBSEP "idle"), \
			per_second(win_scanner[f], f)
	}
}

function verdict(what, value, limit, at_least,    good) {
	good = at_least ? value >= limit : value <= limit
	if (!good)
		missed++
	if (tap) {
		printf "%s %.0f - %s\n# %.4f, limit %.3f\n", good ? "ok" : "not ok", ++points, what, \
			value, limit
		return
	}
	printf "verdict: %-58s %8.4f  (limit %.3f)  %s\n", what, value, limit, \
		good ? "reached" : "NOT reached"
}

function case_verdicts(name,    k, p, n) {
	k = set_of["ksm", name]
	p = set_of["penumbra", name]
	if (p == "")
		return
	n = ", " name
	verdict("saved, of what is possible" n, ratio(settled[p], equal[p, "after", "possible"]), \
		0.97, 1)
	if (k == "") {
		verdict("ticks a page to 95 %, of KSM's usual" n, \
			ratio(to_95(p), equal[p, "after", "present"] * KSM_95), 1 / 3, 0)
		verdict("ticks a visit in the steady state, of KSM's usual" n, \
			ratio(win_scanner[p, "steady"], win_visited[p, "steady"] * KSM_STEADY), 0.1, 0)
		return
	}
	verdict("saved, of KSM's" n, ratio(settled[p], settled[k]), 1, 1)
	verdict("CPU to 95 % of KSM's savings, of KSM's" n, \
		to_95(p) ? ratio(to_95(p), to_95(k)) : 999, 1 / 3, 0)
	verdict("steady state, scanner's CPU, of KSM's" n, \
		ratio(per_second(win_scanner[p, "steady"], p SUBSEP "steady"), \
		      per_second(win_scanner[k, "steady"], k SUBSEP "steady")), 0.1, 0)
	verdict("steady state, all CPU added, of KSM's" n, \
		ratio(added(p, "steady"), added(k, "steady")), 0.1, 0)
}

function clone_verdicts(l) {
	print comment
	printf comment "clone %s: %.0f pages present, %.0f ticks, again %.0f; %.0f pages of the clone " \
		"written, %.0f ticks each, %.0f new frames; the guest idling %.0f ticks before, " \
		"%.0f after\n", l, \
		clone_pages[l], clone_ticks[l], clone_again[l], written[l], \
		ratio(write_ticks[l], written[l]), new_frames[l], idle_before[l], idle_after[l]
	verdict("clone " l ", ticks a present page", ratio(clone_ticks[l], clone_pages[l]), 40, 0)
	verdict("clone " l ", new frames a page written", ratio(new_frames[l], written[l]), 1, 0)
}

function freed_verdicts(l) {
	print comment
	printf comment "freed %s: resident and used by the guest, pages: %.0f %.0f; full %.0f %.0f; " \
		"freed %.0f %.0f, after %.1f s; free and not reported %.0f\n", l, freed_pages[l, 3], \
		freed_pages[l, 4], freed_pages[l, 5], freed_pages[l, 6], freed_pages[l, 7], freed_pages[l, 8], \
		freed_pages[l, 9] / 1000, freed_pages[l, 10]
	# With its default a guest reports 2 MiB blocks only, and holds what is free between used pages.
	if (l ~ /order|zero/)
		verdict("freed " l ", resident of what the guest uses", \
			ratio(freed_pages[l, 7], freed_pages[l, 8]), 1.05, 0)
	else
		verdict("freed " l ", resident of what the guest uses or does not report", \
			ratio(freed_pages[l, 7], freed_pages[l, 8] + freed_pages[l, 10]), 1.05, 0)
}

function json_window(l, phase,    k) {
	k = l SUBSEP phase
	return sprintf("{\"ns\": %.0f, \"scanner_ns\": %.0f, \"guests_ns\": %.0f, \"other_ns\": %.0f, " \
		"\"exits\": %.0f, \"rounds\": %.0f, \"visited\": %.0f, \"saved\": %.0f}", win_ns[k], \
		win_scanner[k], win_guests[k], win_other[k], win_exits[k], win_rounds[k], \
		win_visited[k], win_saved[k])
}

function json_equal(l, when) {
	return sprintf("{\"present\": %.0f, \"zero\": %.0f, \"distinct\": %.0f, \"inside\": %.0f, " \
		"\"between\": %.0f, \"possible\": %.0f}", equal[l, when, "present"], \
		equal[l, when, "zero"], equal[l, when, "distinct"], equal[l, when, "inside"], \
		equal[l, when, "between"], equal[l, when, "possible"])
}

function json_set(l) {
	return sprintf("    {\"set\": \"%s\", \"scanner\": \"%s\", \"guests\": %.0f, \"mib\": %.0f, " \
		"\"kernels\": \"%s\",\n     \"saved\": %.0f, \"settled\": %.0f, \"to_95_ns\": %.0f,\n" \
		"     \"before\": %s,\n     \"after\": %s,\n     \"idle\": %s,\n     \"catch_up\": %s,\n" \
		"     \"steady\": %s,\n     \"fast\": %s}", l, scanner[l], guests[l], mib[l], kernels[l], \
		paused[l], settled[l], to_95(l), json_equal(l, "before"), json_equal(l, "after"), \
		json_window(l, "idle"), json_window(l, "catch-up"), json_window(l, "steady"), \
		json_window(l, "fast"))
}

function json_clone(l) {
	return sprintf("    {\"clone\": \"%s\", \"present\": %.0f, \"ticks\": %.0f, " \
		"\"again_ticks\": %.0f, \"written\": %.0f, \"write_ticks\": %.0f, \"new_frames\": %.0f}", \
		l, clone_pages[l], clone_ticks[l], clone_again[l], written[l], write_ticks[l], new_frames[l])
}

function json_freed(l) {
	return sprintf("    {\"freed\": \"%s\", \"peak_resident\": %.0f, \"peak_used\": %.0f, " \
		"\"resident\": %.0f, \"used\": %.0f, \"waited_ms\": %.0f, \"held\": %.0f}", l, \
		freed_pages[l, 5], freed_pages[l, 6], freed_pages[l, 7], freed_pages[l, 8], freed_pages[l, 9], \
		freed_pages[l, 10])
}

function write_json(    i) {
	printf "{\n  \"schema\": 1,\n" > json
	for (i = 1; i <= nmeta; i++)
		printf "  \"%s\": \"%s\",\n", metas[i], meta[metas[i]] > json
	printf "  \"sets\": [\n" > json
	for (i = 1; i <= nsets; i++)
		printf "%s%s\n", json_set(sets[i]), i < nsets ? "," : "" > json
	printf "  ],\n  \"clones\": [\n" > json
	for (i = 1; i <= nclones; i++)
		printf "%s%s\n", json_clone(clones[i]), i < nclones ? "," : "" > json
	printf "  ],\n  \"freed\": [\n" > json
	for (i = 1; i <= nfreed; i++)
		printf "%s%s\n", json_freed(freed[i]), i < nfreed ? "," : "" > json
	printf "  ]\n}\n" > json
	close(json)
}

END {
	if (json)
		write_json()
	if (nsets) {
		savings_table()
		cost_table()
		print comment
	}
	for (i = 1; i <= ncases; i++)
		case_verdicts(cases[i])
	for (i = 1; i <= nclones; i++)
		clone_verdicts(clones[i])
	for (i = 1; i <= nfreed; i++)
		freed_verdicts(freed[i])
	if (tap)
		print "1.." points + 0
	exit missed > 0 || !(nsets + nclones + nfreed)
}
