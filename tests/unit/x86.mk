# SPDX-License-Identifier: GPL-2.0
#
# Tests of the decoder and the emulator (x86/). The objects are built by the
# rules in kapi/modules.mk.
#
#   make fuzz-x86    the libFuzzer target, build/tests/fuzz/x86_fuzz_clang

X86_SRC   := $(wildcard x86/decode*.c x86/emulate*.c) x86/task.c
X86_OBJ   := $(X86_SRC:%.c=$(BUILD)/pure/%.o)
X86_AIDS  := $(BUILD)/pure/tests/unit/x86_machine.o $(BUILD)/pure/tests/unit/x86_gen.o
X86_TESTS := unit/x86_native unit/x86_restart unit/x86_modes unit/x86_system unit/x86_task fuzz/x86_fuzz

TEST_PROGRAMS += $(X86_TESTS:%=$(BUILD)/tests/%) $(BUILD)/tests/unit/x86_lengths

$(X86_TESTS:%=$(BUILD)/tests/%): $(BUILD)/tests/%: $(BUILD)/pure/tests/%.o $(X86_AIDS) $(X86_OBJ)
	@mkdir -p $(@D)
	$(CC) $(PURE_ASAN) -o $@ $^

$(BUILD)/tests/unit/x86_lengths: $(BUILD)/pure/tests/unit/x86_lengths.o \
		$(BUILD)/pure/tests/unit/x86_reference.o $(X86_OBJ)
	@mkdir -p $(@D)
	$(CC) $(PURE_ASAN) -o $@ $^ -lcapstone

.PHONY: fuzz-x86
fuzz-x86: $(BUILD)/tests/fuzz/x86_fuzz_clang

$(BUILD)/tests/fuzz/x86_fuzz_clang: tests/fuzz/x86_fuzz.c tests/unit/x86_machine.c $(X86_SRC)
	@mkdir -p $(@D)
	clang $(PURE_CFLAGS) -DX86_FUZZ_CLANG -fsanitize=fuzzer $(PURE_ASAN) -o $@ $^

-include $(X86_OBJ:.o=.d) $(X86_AIDS:.o=.d) $(X86_TESTS:%=$(BUILD)/pure/tests/%.d)
-include $(BUILD)/pure/tests/unit/x86_lengths.d $(BUILD)/pure/tests/unit/x86_reference.d
