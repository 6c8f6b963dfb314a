# SPDX-License-Identifier: GPL-2.0
#
# Programs for people: build/bin/penumbra, its library and its manual page.

TOOLS_OBJ    := $(BUILD)/tools
TOOLS_CFLAGS := -std=gnu11 $(CFLAGS) $(WARN) -D_GNU_SOURCE -I$(ROOT)/tools

LIBPENUMBRA_SRC := $(wildcard tools/libpenumbra/*.c)
PENUMBRA_SRC    := $(wildcard tools/penumbra/*.c)
LIBPENUMBRA_OBJ := $(LIBPENUMBRA_SRC:tools/%.c=$(TOOLS_OBJ)/%.o)
PENUMBRA_OBJ    := $(PENUMBRA_SRC:tools/%.c=$(TOOLS_OBJ)/%.o)

.PHONY: penumbra man
tools: penumbra man
penumbra: $(BUILD)/bin/penumbra
man: $(BUILD)/man/penumbra.1

$(TOOLS_OBJ)/%.o: tools/%.c
	@mkdir -p $(@D)
	$(CC) $(TOOLS_CFLAGS) -MMD -MP -c -o $@ $<

$(TOOLS_OBJ)/libpenumbra.a: $(LIBPENUMBRA_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/bin/penumbra: $(PENUMBRA_OBJ) $(TOOLS_OBJ)/libpenumbra.a
	@mkdir -p $(@D)
	$(CC) $(TOOLS_CFLAGS) $(LDFLAGS) -o $@ $^ -ljson-c

$(BUILD)/man/%.1: tools/penumbra/%.1.scd
	@mkdir -p $(@D)
	scdoc <$< >$@ || { rm -f $@; exit 1; }

-include $(LIBPENUMBRA_OBJ:.o=.d) $(PENUMBRA_OBJ:.o=.d)
