# SPDX-License-Identifier: GPL-2.0
#
# Tests of mem/: the objects are built by the rules in kapi/modules.mk.

MEM_SRC   := $(wildcard mem/*.c) $(wildcard kapi/user/*.c)
MEM_OBJ   := $(MEM_SRC:%.c=$(BUILD)/pure/%.o)
MEM_TESTS := unit/mem_file unit/mem_reserve

TEST_PROGRAMS += $(MEM_TESTS:%=$(BUILD)/tests/%)

$(MEM_TESTS:%=$(BUILD)/tests/%): $(BUILD)/tests/%: $(BUILD)/pure/tests/%.o $(MEM_OBJ)
	@mkdir -p $(@D)
	$(CC) $(PURE_ASAN) -o $@ $^ -lcmocka -lpthread

$(MEM_TESTS:%=$(BUILD)/tests/%): $(BUILD)/pure/tests/unit/mem_fake.o

-include $(MEM_OBJ:.o=.d) $(BUILD)/pure/tests/unit/mem_fake.d $(MEM_TESTS:%=$(BUILD)/pure/tests/%.d)
