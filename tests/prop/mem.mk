# SPDX-License-Identifier: GPL-2.0
#
# mem/ against the model machine. The objects are built by the rules in kapi/modules.mk.
#
#   make fuzz-mem    the libFuzzer target, build/tests/fuzz/mem_fuzz_clang

MEM_PROOF_SRC   := $(wildcard mem/*.c) $(wildcard kapi/user/*.c)
MEM_MODEL       := $(wildcard tests/model/mem_*.c)
MEM_PROOFS      := prop/mem_file prop/mem_threads oom/mem fuzz/mem_fuzz

TEST_PROGRAMS += $(MEM_PROOFS:%=$(BUILD)/tests/%) $(BUILD)/tests/prop/mem_threads_tsan

MEM_PROOF_OBJ      := $(MEM_PROOF_SRC:%.c=$(BUILD)/pure/%.o) $(MEM_MODEL:%.c=$(BUILD)/pure/%.o)
MEM_PROOF_TSAN_OBJ := $(MEM_PROOF_SRC:%.c=$(BUILD)/tsan/%.o) $(BUILD)/tsan/tests/model/mem_frames.o

$(MEM_PROOFS:%=$(BUILD)/tests/%): $(BUILD)/tests/%: $(BUILD)/pure/tests/%.o $(MEM_PROOF_OBJ)
	@mkdir -p $(@D)
	$(CC) $(PURE_ASAN) -o $@ $^ -lpthread

$(BUILD)/tests/prop/mem_threads_tsan: $(BUILD)/tsan/tests/prop/mem_threads.o $(MEM_PROOF_TSAN_OBJ)
	@mkdir -p $(@D)
	$(CC) -fsanitize=thread -o $@ $^ -lpthread

.PHONY: fuzz-mem
fuzz-mem: $(BUILD)/tests/fuzz/mem_fuzz_clang

$(BUILD)/tests/fuzz/mem_fuzz_clang: tests/fuzz/mem_fuzz.c $(MEM_MODEL) $(MEM_PROOF_SRC)
	@mkdir -p $(@D)
	clang $(PURE_CFLAGS) -DMEM_FUZZ_CLANG -fsanitize=fuzzer $(PURE_ASAN) -o $@ $^ -lpthread

-include $(MEM_PROOF_OBJ:.o=.d) $(MEM_PROOF_TSAN_OBJ:.o=.d) $(MEM_PROOFS:%=$(BUILD)/pure/tests/%.d)
-include $(BUILD)/tsan/tests/prop/mem_threads.d
