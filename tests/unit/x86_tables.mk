# SPDX-License-Identifier: GPL-2.0
#
# Tests of the CPUID and MSR tables. The objects are built by the rules in
# kapi/modules.mk.

X86_TABLES_TESTS := unit/x86_cpuid unit/x86_msr

TEST_PROGRAMS += $(X86_TABLES_TESTS:%=$(BUILD)/tests/%)

$(X86_TABLES_TESTS:%=$(BUILD)/tests/%): $(BUILD)/tests/unit/x86_%: $(BUILD)/pure/tests/unit/x86_%.o \
		$(BUILD)/pure/x86/%.o
	@mkdir -p $(@D)
	$(CC) $(PURE_ASAN) -o $@ $^ -lcmocka

-include $(X86_TABLES_TESTS:%=$(BUILD)/pure/tests/%.d) $(BUILD)/pure/x86/cpuid.d $(BUILD)/pure/x86/msr.d
