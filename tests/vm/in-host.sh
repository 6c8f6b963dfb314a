# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# vm_suite NAME ARGUMENTS...: runs tests/vm/NAME-in-host in the test host on
# ENGINE; what it needs besides is put into $share first. The test host has SMP
# processors (2). HOST_ARGS go to appliance/run. AUDIT says how often the MMU's tables are checked.
#
# Suites that are not about processors of the host use one: emulated ones that patch code which
# another runs can leave a stale translation behind (docs/testing.md, "The test host").

share=$(mktemp -d)
trap 'rm -rf "$share"' EXIT

vm_suite() {
	local name=$1 engine=${ENGINE:-penumbra:nested}
	shift
	cp tests/vm/guests-in-host.sh "tests/vm/$name-in-host" "$share/"
	# shellcheck disable=SC2086
	appliance/run ${HOLD---hold} --engine "$engine" --kernel "${KERNEL:-6.1}" --smp "${SMP:-2}" --mem 2048 --audit "${AUDIT:-50}" \
		--timeout "${LIMIT:-$([ -z "${TEST_LONG:-}" ] && echo 480 || echo 3500)}" --share "$share" ${HOST_ARGS:-} \
		-- "ENGINE=$engine TEST_LONG=${TEST_LONG:-} TIME=${TIME:-100}; export ENGINE TEST_LONG TIME
		    sh /share/$name-in-host $*"
}
