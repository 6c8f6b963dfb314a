# SPDX-License-Identifier: GPL-2.0
#
# Tests of finding equal pages: mem/hash.c, mem/index.c, mem/group.c, mem/scan*.c. The objects of
# mem/ are those of mem.mk.

MEM_SHARE_TESTS := unit/mem_hash unit/mem_index unit/mem_scan unit/mem_huge unit/mem_poison

TEST_PROGRAMS += $(MEM_SHARE_TESTS:%=$(BUILD)/tests/%)

$(MEM_SHARE_TESTS:%=$(BUILD)/tests/%): $(BUILD)/tests/%: $(BUILD)/pure/tests/%.o $(MEM_OBJ)
	@mkdir -p $(@D)
	$(CC) $(PURE_ASAN) -o $@ $^ -lcmocka -lpthread

$(addprefix $(BUILD)/tests/unit/,mem_scan mem_huge mem_poison): $(BUILD)/pure/tests/unit/mem_guests.o

-include $(BUILD)/pure/tests/unit/mem_guests.d $(MEM_SHARE_TESTS:%=$(BUILD)/pure/tests/%.d)
