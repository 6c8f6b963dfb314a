# SPDX-License-Identifier: GPL-2.0
#
# The API tests: static programs that run in the test host.

ABI_DIR	  := $(BUILD)/tests/abi
ABI_FLAGS := -std=gnu11 -D_GNU_SOURCE -static $(CFLAGS) $(WARN) -Itests/abi
ABI_LIB	  := tests/abi/tap.c tests/abi/vmm.c
ABI_SRC	  := $(filter-out $(ABI_LIB) tests/abi/fuzz.c,$(wildcard tests/abi/*.c))
ABI_HDR	  := $(wildcard tests/abi/*.h)

TEST_NEEDS += $(ABI_DIR)/abi $(ABI_DIR)/fuzz

$(ABI_DIR)/abi: $(ABI_SRC) $(ABI_LIB) $(ABI_HDR)
	@mkdir -p $(@D)
	$(CC) $(ABI_FLAGS) -o $@ $(ABI_SRC) $(ABI_LIB) -lpthread

$(ABI_DIR)/fuzz: tests/abi/fuzz.c tests/abi/tap.c tests/abi/tap.h
	@mkdir -p $(@D)
	$(CC) $(ABI_FLAGS) -o $@ tests/abi/fuzz.c tests/abi/tap.c -lpthread
