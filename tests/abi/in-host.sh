# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# in_host ENGINE SHARE COMMAND...: runs COMMAND, which prints TAP, in the test
# host with ENGINE loaded and told through the environment. A run that ended with
# the emulator's own random abort (facts: tcg_handle_interrupt) is repeated once,
# and says so.

in_host() {
	local engine=$1 share=$2 status=0 out
	shift 2
	out=$(mktemp)
	appliance/run --engine "$engine" --kernel "${KERNEL:-6.1}" --smp "${SMP:-2}" --mem "${MEM:-1536}" \
		--timeout "${LIMIT:-280}" --share "$share" -- "ENGINE=$engine $*" >"$out" || status=$?
	if [ $status = 125 ] && grep -q 'tcg_handle_interrupt: assertion failed' "$out"; then
		echo "# the emulator aborted by itself (tcg_handle_interrupt); repeated"
		status=0
		appliance/run --engine "$engine" --kernel "${KERNEL:-6.1}" --smp "${SMP:-2}" --mem "${MEM:-1536}" \
			--timeout "${LIMIT:-280}" --share "$share" -- "ENGINE=$engine $*" >"$out" || status=$?
	fi
	cat "$out"
	rm -f "$out"
	return $status
}
