# SPDX-License-Identifier: GPL-2.0
#
# Kernel modules, one build tree per kernel version: build/kmod/<6.1|6.12>/.
# Kbuild writes its objects beside the sources, so each tree is a mirror of the
# module sources, refreshed by time stamp so that only what changed is compiled.
#
# KVERS=running builds for the kernel this machine runs, against its own headers.

KVERS      ?= 6.1 6.12
KMOD_DIRS  := kapi/kernel kvm cpu x86 mmu fs mem uapi
KMOD_SRC    = Kbuild $(shell find $(wildcard $(KMOD_DIRS)) -type f)

# The newest installed Debian headers of a version: /usr/src/linux-headers-6.1.0-NN-amd64
kmod_newest  = $(lastword $(shell ls -dv /usr/src/linux-headers-$(1).[0-9]*-amd64 2>/dev/null | grep -v -e -rt- -e -cloud-))
KREL        ?= $(shell uname -r)
kmod_headers = $(if $(filter running,$(1)),$(wildcard /lib/modules/$(KREL)/build),$(call kmod_newest,$(1)))

define kmod_rules
.PHONY: modules-$(1)
modules-$(1): $(BUILD)/kmod/$(1)/.built

$(BUILD)/kmod/$(1)/.built: $$(KMOD_SRC)
	@test -n "$$(call kmod_headers,$(1))" || { echo "no Linux $(1) headers: run 'make deps', or install linux-headers-$(KREL) for KVERS=running" >&2; exit 1; }
	@mkdir -p $$(@D)
	@for f in $$(KMOD_SRC); do mkdir -p $$(@D)/$$$$(dirname $$$$f) && { cmp -s $$$$f $$(@D)/$$$$f || cp $$$$f $$(@D)/$$$$f; }; done
	$$(MAKE) -s -C $$(call kmod_headers,$(1)) M=$$(@D) modules
	@touch $$@
endef
$(foreach v,$(KVERS),$(eval $(call kmod_rules,$(v))))

.PHONY: modules
modules: $(foreach v,$(KVERS),modules-$(v))

# Pure code for user space, with sanitizers, for tests and fuzzers: the object of
# mmu/walk.c is build/pure/mmu/walk.o. build/tsan/ has the same for the thread sanitizer.
PURE_CFLAGS := -std=gnu11 $(CFLAGS) $(WARN) -Ikapi/user -I. -fno-omit-frame-pointer
PURE_ASAN   := -fsanitize=address,undefined -fno-sanitize-recover=undefined

$(BUILD)/pure/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(PURE_CFLAGS) $(PURE_ASAN) -MMD -MP -c -o $@ $<

$(BUILD)/tsan/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(PURE_CFLAGS) -fsanitize=thread -MMD -MP -c -o $@ $<

# Without sanitizers, to see which symbols pure code needs.
$(BUILD)/plain/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(PURE_CFLAGS) -fno-pie -MMD -MP -c -o $@ $<
