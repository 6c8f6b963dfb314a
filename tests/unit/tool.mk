# SPDX-License-Identifier: GPL-2.0
#
# Unit tests of tools/: libpenumbra and the command, built again with sanitizers.

TOOL_TESTS      := tool_text tool_host tool_args tool_qmp tool_ram tool_sharing tool_state \
		   tool_fuzz tool_oom
TOOL_TEST_DIR   := $(BUILD)/tests/unit
TOOL_TEST_FLAGS := $(TOOLS_CFLAGS) -O1 -fno-omit-frame-pointer \
		   -fsanitize=address,undefined -fno-sanitize-recover=undefined
TOOL_TEST_LIB   := $(LIBPENUMBRA_SRC:tools/%.c=$(TOOL_TEST_DIR)/tools/%.o)
TOOL_TEST_CMD   := $(PENUMBRA_SRC:tools/%.c=$(TOOL_TEST_DIR)/tools/%.o)

TEST_PROGRAMS += $(TOOL_TESTS:%=$(TOOL_TEST_DIR)/%)
TEST_NEEDS    += $(TOOL_TEST_DIR)/penumbra-asan

$(TOOL_TEST_DIR)/tools/%.o: tools/%.c
	@mkdir -p $(@D)
	$(CC) $(TOOL_TEST_FLAGS) -MMD -MP -c -o $@ $<

$(TOOL_TESTS:%=$(TOOL_TEST_DIR)/%): $(TOOL_TEST_DIR)/%: tests/unit/%.c $(TOOL_TEST_LIB)
	@mkdir -p $(@D)
	$(CC) $(TOOL_TEST_FLAGS) -Itests/unit -MMD -MP -o $@ $< $(TOOL_TEST_LIB) -lcmocka -ljson-c -lm

# every allocation goes through the test, which refuses one at a time
$(TOOL_TEST_DIR)/tool_oom: TOOL_TEST_FLAGS += \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=vasprintf

# clones that end early; names that are looked at
$(TOOL_TEST_DIR)/tool_ram: TOOL_TEST_FLAGS += -Wl,--wrap=ioctl,--wrap=fstatat

# run by tests/unit/run-tool with every bad argument there is
$(TOOL_TEST_DIR)/penumbra-asan: TOOL_TEST_FLAGS += -Wl,--wrap=ioctl
$(TOOL_TEST_DIR)/penumbra-asan: $(TOOL_TEST_CMD) $(TOOL_TEST_LIB) $(TOOL_TEST_DIR)/tool_fake_map.o
	$(CC) $(TOOL_TEST_FLAGS) -o $@ $^ -ljson-c

$(TOOL_TEST_DIR)/tool_fake_map.o: tests/unit/tool_fake_map.c
	@mkdir -p $(@D)
	$(CC) $(TOOL_TEST_FLAGS) -MMD -MP -c -o $@ $<

-include $(TOOL_TEST_LIB:.o=.d) $(TOOL_TEST_CMD:.o=.d) $(TOOL_TESTS:%=$(TOOL_TEST_DIR)/%.d) $(TOOL_TEST_DIR)/tool_fake_map.d
