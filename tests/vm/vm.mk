# SPDX-License-Identifier: GPL-2.0
#
# Programs for the suites that run whole machines.

VM_TESTS := $(BUILD)/tests/vm

TEST_NEEDS += $(VM_TESTS)/pressure $(VM_TESTS)/gdbstub $(VM_TESTS)/clock $(VM_TESTS)/leaves $(VM_TESTS)/setgroup $(VM_TESTS)/churn

# bench/sharing.mk: what vm/sharing measures with
TEST_NEEDS += sharing-files

$(VM_TESTS)/%: tests/vm/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -static $(CFLAGS) $(WARN) -o $@ $< -lpthread

$(VM_TESTS)/gdbstub: tests/vm/gdbstub.c tests/abi/tap.c tests/abi/tap.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -static $(CFLAGS) $(WARN) -Itests/abi -o $@ tests/vm/gdbstub.c tests/abi/tap.c

$(VM_TESTS)/leaves: tests/vm/leaves.c $(ABI_LIB) $(ABI_HDR)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -static $(CFLAGS) $(WARN) -Itests/abi -o $@ tests/vm/leaves.c $(ABI_LIB) -lpthread

$(VM_TESTS)/pressure $(VM_TESTS)/churn: $(VM_TESTS)/%: tests/vm/%.c tests/vm/checker.c tests/vm/checker.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -static $(CFLAGS) $(WARN) -Itests/vm -o $@ $(filter %.c,$^) -lpthread
