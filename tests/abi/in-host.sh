# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# in_host ENGINE SHARE COMMAND...: runs COMMAND, which prints TAP, in the test
# host with ENGINE loaded and told through the environment. AUDIT says how often the MMU's
# tables are checked.

in_host() {
	local engine=$1 share=$2
	shift 2
	# shellcheck disable=SC2086
	appliance/run ${HOLD---hold} --engine "$engine" --kernel "${KERNEL:-6.1}" --smp "${SMP:-2}" --mem "${MEM:-1536}" --audit "${AUDIT:-20}" \
		--timeout "${LIMIT:-280}" --share "$share" -- "ENGINE=$engine $*"
}
