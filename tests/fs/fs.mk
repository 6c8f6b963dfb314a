# SPDX-License-Identifier: GPL-2.0
#
# The filesystem's tests: a static program that runs in the test host.

FS_DIR := $(BUILD)/tests/fs
FS_SRC := $(wildcard tests/fs/*.c)

TEST_NEEDS += $(FS_DIR)/fs

$(FS_DIR)/fs: $(FS_SRC) $(wildcard tests/fs/*.h) tests/abi/tap.c tests/abi/tap.h uapi/penumbra.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -static $(CFLAGS) $(WARN) -I. -Itests/fs -Itests/abi -o $@ \
		$(FS_SRC) tests/abi/tap.c
