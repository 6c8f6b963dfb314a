# SPDX-License-Identifier: GPL-2.0
#
# make test: everything that must pass before a change lands.
#
# Suites print TAP. Scripts are found by name: executable tests/<folder>/run-*.
# Compiled ones are registered by tests/<folder>/<folder>.mk:
#
#   TEST_PROGRAMS += $(BUILD)/tests/unit/walk     a suite; also say how to build it
#   TEST_NEEDS    += $(BUILD)/tests/guest/kvm.bin  built before the suites run
#
# make test-long runs them at full size (TEST_LONG is set for them): a million
# random calls, a hundred kills, five minutes of load, ...
# make test ONLY=word runs the suites whose name has the word in it.

TEST_PROGRAMS :=
TEST_NEEDS    :=
-include $(sort $(wildcard tests/*/*.mk))

.PHONY: test test-build
test-build: modules tools image $(TEST_PROGRAMS) $(TEST_NEEDS)

test: deps
	@$(MAKE) -s --no-print-directory -j2 test-build
	@tests/run $(if $(ONLY),--only $(ONLY)) $(TEST_PROGRAMS)

.PHONY: test-long
test-long: export TEST_LONG := 1
test-long: test
