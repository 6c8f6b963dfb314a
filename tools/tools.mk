# SPDX-License-Identifier: GPL-2.0
#
# Programs for people: build/bin/penumbra, its library and its manual page.

TOOLS_OBJ    := $(BUILD)/tools
TOOLS_CFLAGS := -std=gnu11 $(CFLAGS) $(WARN) -D_GNU_SOURCE -I$(ROOT)/tools

LIBPENUMBRA_SRC := $(wildcard tools/libpenumbra/*.c)
PENUMBRA_SRC    := $(wildcard tools/penumbra/*.c)
LIBPENUMBRA_OBJ := $(LIBPENUMBRA_SRC:tools/%.c=$(TOOLS_OBJ)/%.o)
PENUMBRA_OBJ    := $(PENUMBRA_SRC:tools/%.c=$(TOOLS_OBJ)/%.o)

.PHONY: penumbra
tools: penumbra
penumbra: $(BUILD)/bin/penumbra

$(TOOLS_OBJ)/%.o: tools/%.c
	@mkdir -p $(@D)
	$(CC) $(TOOLS_CFLAGS) -MMD -MP -c -o $@ $<

$(TOOLS_OBJ)/libpenumbra.a: $(LIBPENUMBRA_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/bin/penumbra: $(PENUMBRA_OBJ) $(TOOLS_OBJ)/libpenumbra.a
	@mkdir -p $(@D)
	$(CC) $(TOOLS_CFLAGS) $(LDFLAGS) -o $@ $^ -ljson-c

-include $(LIBPENUMBRA_OBJ:.o=.d) $(PENUMBRA_OBJ:.o=.d)
