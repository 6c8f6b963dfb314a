# SPDX-License-Identifier: GPL-2.0
#
# Tests of the decoder and emulator (x86/), built for user space with sanitizers.
#
#   make fuzz-x86    the libFuzzer target, build/tests/fuzz/x86_fuzz_clang

X86_TEST_DIR   := $(BUILD)/tests/unit
X86_TEST_FLAGS := -std=gnu11 -O1 -g -fno-omit-frame-pointer $(WARN) -fsanitize=address,undefined \
		  -fno-sanitize-recover=undefined -Ikapi/user -I. -Itests/unit
X86_TEST_SRC   := $(wildcard x86/decode*.c x86/emulate*.c)
X86_TEST_LIB   := $(X86_TEST_SRC:%.c=$(X86_TEST_DIR)/%.o)
X86_TEST_AIDS  := $(X86_TEST_DIR)/x86_machine.o $(X86_TEST_DIR)/x86_gen.o
X86_TEST_NAMES := x86_lengths x86_native x86_restart x86_semantics

TEST_PROGRAMS += $(X86_TEST_NAMES:%=$(X86_TEST_DIR)/%) $(BUILD)/tests/fuzz/x86_fuzz

$(X86_TEST_DIR)/x86/%.o: x86/%.c
	@mkdir -p $(@D)
	$(CC) $(X86_TEST_FLAGS) -MMD -MP -c -o $@ $<

$(X86_TEST_DIR)/x86_%.o: tests/unit/x86_%.c
	@mkdir -p $(@D)
	$(CC) $(X86_TEST_FLAGS) -MMD -MP -c -o $@ $<

$(X86_TEST_DIR)/x86_lengths: $(X86_TEST_DIR)/x86_lengths.o $(X86_TEST_DIR)/x86_reference.o $(X86_TEST_LIB)
	$(CC) $(X86_TEST_FLAGS) -o $@ $^ -lcapstone

$(X86_TEST_DIR)/x86_native $(X86_TEST_DIR)/x86_restart $(X86_TEST_DIR)/x86_semantics: \
		%: %.o $(X86_TEST_AIDS) $(X86_TEST_LIB)
	$(CC) $(X86_TEST_FLAGS) -o $@ $^

$(BUILD)/tests/fuzz/x86_fuzz: tests/fuzz/x86_fuzz.c $(X86_TEST_DIR)/x86_machine.o $(X86_TEST_LIB)
	@mkdir -p $(@D)
	$(CC) $(X86_TEST_FLAGS) -MMD -MP -o $@ $^

.PHONY: fuzz-x86
fuzz-x86: $(BUILD)/tests/fuzz/x86_fuzz_clang

$(BUILD)/tests/fuzz/x86_fuzz_clang: tests/fuzz/x86_fuzz.c tests/unit/x86_machine.c $(X86_TEST_SRC)
	@mkdir -p $(@D)
	clang -std=gnu11 -O1 -g -DX86_FUZZ_CLANG -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=undefined -Ikapi/user -I. -Itests/unit -o $@ $^

-include $(X86_TEST_LIB:.o=.d) $(X86_TEST_AIDS:.o=.d) $(X86_TEST_NAMES:%=$(X86_TEST_DIR)/%.d) \
	 $(BUILD)/tests/fuzz/x86_fuzz.d
