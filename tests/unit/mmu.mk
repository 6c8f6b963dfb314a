# SPDX-License-Identifier: GPL-2.0
#
# Tests of mmu/ and kapi/, and checks of all pure code. The objects are built by
# the rules in kapi/modules.mk.
#
#   make fuzz-shadow    the libFuzzer target, build/tests/fuzz/mmu_shadow_fuzz_clang

MMU_SRC   := $(wildcard mmu/*.c) $(wildcard kapi/user/*.c)
MMU_MODEL := tests/model/nested_machine.c tests/model/guest_walk.c $(wildcard tests/model/shadow_*.c)
MMU_TESTS := unit/mmu_nested unit/mmu_walk unit/kapi prop/mmu_nested prop/mmu_walk prop/mmu_threads \
	     prop/mmu_shadow prop/mmu_shadow_bits prop/mmu_shadow_threads \
	     unit/mmu_shadow unit/mmu_shadow_flush unit/mmu_shadow_pages unit/mmu_shadow_upper \
	     oom/mmu oom/mmu_shadow fuzz/mmu_shadow_fuzz

MMU_TSAN  := prop/mmu_threads prop/mmu_shadow_threads

TEST_PROGRAMS += $(MMU_TESTS:%=$(BUILD)/tests/%) $(MMU_TSAN:%=$(BUILD)/tests/%_tsan)

MMU_OBJ      := $(MMU_SRC:%.c=$(BUILD)/pure/%.o) $(MMU_MODEL:%.c=$(BUILD)/pure/%.o)
MMU_TSAN_OBJ := $(MMU_SRC:%.c=$(BUILD)/tsan/%.o)

$(MMU_TESTS:%=$(BUILD)/tests/%): $(BUILD)/tests/%: $(BUILD)/pure/tests/%.o $(MMU_OBJ)
	@mkdir -p $(@D)
	$(CC) $(PURE_ASAN) -o $@ $^ -lcmocka -lpthread

$(MMU_TSAN:%=$(BUILD)/tests/%_tsan): $(BUILD)/tests/%_tsan: $(BUILD)/tsan/tests/%.o $(MMU_TSAN_OBJ)
	@mkdir -p $(@D)
	$(CC) -fsanitize=thread -o $@ $^ -lpthread

.PHONY: fuzz-shadow
fuzz-shadow: $(BUILD)/tests/fuzz/mmu_shadow_fuzz_clang

$(BUILD)/tests/fuzz/mmu_shadow_fuzz_clang: tests/fuzz/mmu_shadow_fuzz.c $(MMU_MODEL) $(MMU_SRC)
	@mkdir -p $(@D)
	clang $(PURE_CFLAGS) -DSHADOW_FUZZ_CLANG -fsanitize=fuzzer $(PURE_ASAN) -o $@ $^ -lpthread

# What pure code needs from outside, for tests/unit/run-pure-symbols.
PURE_PLAIN := $(patsubst %.c,$(BUILD)/plain/%.o,$(wildcard mmu/*.c x86/*.c mem/*.c))
TEST_NEEDS += $(BUILD)/plain/pure.o

$(BUILD)/plain/pure.o: $(PURE_PLAIN)
	$(LD) -r -o $@ $^

-include $(MMU_OBJ:.o=.d) $(MMU_TSAN_OBJ:.o=.d) $(PURE_PLAIN:.o=.d)
-include $(MMU_TESTS:%=$(BUILD)/pure/tests/%.d) $(MMU_TSAN:%=$(BUILD)/tsan/tests/%.d)
