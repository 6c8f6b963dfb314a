# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# TAP for suites written in bash. Source it, then:
#
#   check NAME COMMAND...    ok when COMMAND succeeds; what it prints is shown if not
#   is NAME GOT WANTED       ok when the two strings are the same
#   skip NAME WHY            not run, and why
#   done_testing             prints the plan; the script's last line
#
# $tap_failed is how many failed so far.

tap_count=0
tap_failed=0

tap_result() {
	tap_count=$((tap_count + 1))
	[ "$1" = ok ] || tap_failed=$((tap_failed + 1))
	echo "$1 $tap_count - $2"
}

check() {
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then tap_result ok "$name"; else
		tap_result "not ok" "$name"
		echo "# failed: $*"
		[ -z "$output" ] || tail -n 60 <<<"$output" | sed 's/^/#   /'
	fi
}

is() {
	if [ "$2" = "$3" ]; then tap_result ok "$1"; else
		tap_result "not ok" "$1"
		printf '# got:    %q\n# wanted: %q\n' "$2" "$3"
	fi
}

skip() {
	tap_result ok "$1 # SKIP $2"
}

done_testing() {
	echo "1..$tap_count"
}
