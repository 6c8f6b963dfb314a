# SPDX-License-Identifier: GPL-2.0
#
# The emulator's tests: a static program with its own VMM (tests/abi/vmm.c).

GUEST_DIR := $(BUILD)/tests/guest
EMU_SRC	  := $(wildcard tests/guest/emu/*.c) $(wildcard tests/guest/emu/*.S)
EMU_HDR	  := $(wildcard tests/guest/emu/*.h) tests/abi/vmm.h tests/abi/tap.h

TEST_NEEDS += $(GUEST_DIR)/emu

$(GUEST_DIR)/emu: $(EMU_SRC) $(EMU_HDR) tests/abi/vmm.c tests/abi/tap.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -static -no-pie $(CFLAGS) $(WARN) -Itests/abi -Itests/guest/emu \
		-o $@ $(EMU_SRC) tests/abi/vmm.c tests/abi/tap.c
