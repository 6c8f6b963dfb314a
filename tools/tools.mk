# SPDX-License-Identifier: GPL-2.0
#
# Programs for people: build/bin/penumbra, its library and its manual page; penumbra-qemu for libvirt.

VERSION      := 0.1
TOOLS_OBJ    := $(BUILD)/tools
TOOLS_CFLAGS := -std=gnu11 $(CFLAGS) $(WARN) -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -I$(ROOT)/tools -I$(ROOT)

LIBPENUMBRA_SRC := $(wildcard tools/libpenumbra/*.c)
PENUMBRA_SRC    := $(wildcard tools/penumbra/*.c)
LIBPENUMBRA_OBJ := $(LIBPENUMBRA_SRC:tools/%.c=$(TOOLS_OBJ)/%.o)
PENUMBRA_OBJ    := $(PENUMBRA_SRC:tools/%.c=$(TOOLS_OBJ)/%.o)

.PHONY: penumbra man install-tools dkms-tree
tools: penumbra man $(BUILD)/bin/penumbra-qemu
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

$(BUILD)/bin/penumbra-qemu: tools/penumbra-qemu
	@mkdir -p $(@D)
	install -m 755 $< $@

$(BUILD)/man/%.1: tools/penumbra/%.1.scd
	@mkdir -p $(@D)
	scdoc <$< >$@ || { rm -f $@; exit 1; }

# DESTDIR and PREFIX as usual.
PREFIX ?= /usr/local
install-tools: tools
	install -D -m 755 $(BUILD)/bin/penumbra $(DESTDIR)$(PREFIX)/bin/penumbra
	install -D -m 755 $(BUILD)/bin/penumbra-qemu $(DESTDIR)$(PREFIX)/bin/penumbra-qemu
	install -D -m 644 $(BUILD)/man/penumbra.1 $(DESTDIR)$(PREFIX)/share/man/man1/penumbra.1

# The module's sources as DKMS wants them.
DKMS_TREE = $(BUILD)/dkms/penumbra-$(VERSION)
dkms-tree:
	@rm -rf $(DKMS_TREE) && mkdir -p $(DKMS_TREE)
	@cp -r --parents $(KMOD_SRC) LICENSE $(DKMS_TREE)/
	@sed 's/@VERSION@/$(VERSION)/' packaging/dkms.conf >$(DKMS_TREE)/dkms.conf
	@echo "as root: dkms add $(DKMS_TREE) && dkms install penumbra/$(VERSION)"

-include $(LIBPENUMBRA_OBJ:.o=.d) $(PENUMBRA_OBJ:.o=.d)
