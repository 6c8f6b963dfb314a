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
