# SPDX-License-Identifier: GPL-2.0
#
# Side-by-side measurements in one boot of the test host (docs/measuring.md):
#
#	make bench          nine operations and boot to init: table, build/bench/ops.json
#	make bench-reasons  the same with exits by reason: build/bench/reasons.json
#	make bench-exits    what one exit of each kind costs: build/bench/exits.json
#	make bench-ram      operations with RAM files against anonymous RAM: build/bench/ram.json
#	make bench-scale    operations on several vCPUs at once: build/bench/scale.json
#	make bench-shadow-worth   shadow mode without each of its parts: build/bench/shadow-worth.json
#
# BENCH_ENGINES, BENCH_OPS (separated by spaces) and BENCH_BOOTS choose a part;
# BENCH_APPEND goes to the guests' command line (pti=on).
# BENCH_FLAGS=--json prints the JSON instead of the table.

BENCH_ENGINES ?= native kvm:nested kvm:shadow penumbra:nested
BENCH_OPS     ?=
BENCH_BOOTS   ?= 3
BENCH_KERNEL  ?= 6.1
BENCH_TIMEOUT ?= 1500
BENCH_FLAGS   ?=
BENCH_APPEND  ?=
BENCH_RAM_ENGINES ?= kvm:nested kvm:nested+file penumbra:nested penumbra:nested+file
# What the parameter shadow_without knows, one by one, some that stand in for each other, and all.
WORTH_PARTS   ?= fast neighbours ahead roots rest busy plan global large batch torn exits
WORTH_SETS    ?= rest,busy rest,busy,global fast,exits $(shell echo $(WORTH_PARTS) | tr ' ' ,)
BENCH_WORTH_ENGINES ?= kvm:shadow penumbra:shadow $(addprefix penumbra:shadow-,$(WORTH_PARTS) $(WORTH_SETS))
BENCH_SCALE_ENGINES ?= native penumbra:nested penumbra:shadow
# So many processes at once, from 1; the last is the number of the guest's processors.
BENCH_SCALE   ?= 1,2,4
BENCH_SHARE   := $(BUILD)/bench/share
BENCH_CFLAGS  := $(CFLAGS) -std=gnu11 $(WARN) -static

$(BENCH_SHARE)/bench-workload: bench/workload.c bench/ops.c bench/scale.c bench/ops.h
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -o $@ $(filter %.c,$^)

$(BENCH_SHARE)/bench-runner: bench/runner.c bench/qemu.c bench/qemu.h
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -o $@ $(filter %.c,$^)

$(BENCH_SHARE)/bench-%: bench/%.c
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -o $@ $<

# The guest's whole file system is one program.
$(BENCH_SHARE)/bench.cpio: $(BENCH_SHARE)/bench-workload
	@rm -rf $(@D)/../root && mkdir -p $(@D)/../root && cp $< $(@D)/../root/init
	cd $(@D)/../root && echo init | busybox cpio -o -H newc > $(abspath $@)

$(BENCH_SHARE)/in-host.sh: bench/in-host.sh
	@mkdir -p $(@D)
	cp $< $@

.PHONY: bench-files bench-module
bench-files: $(addprefix $(BENCH_SHARE)/,bench-workload bench-runner bench-exits bench.cpio in-host.sh) \
		$(if $(findstring penumbra:,$(BENCH_ENGINES)),bench-module)

bench-module: modules-$(BENCH_KERNEL)
	@mkdir -p $(BENCH_SHARE)
	@for m in $(BUILD)/kmod/$(BENCH_KERNEL)/penumbra_*.ko; do \
		objcopy --strip-debug $$m $(BENCH_SHARE)/$${m##*/} || exit 1; done

# $(call bench_run,NAME,MODE): measure in the test host, report what came back.
define bench_run
	@rm -f $(BENCH_SHARE)/$(1).tsv
	@appliance/run --icount --engine none --kernel $(BENCH_KERNEL) --smp 1 --mem 2048 \
		--share $(BENCH_SHARE) --timeout $(BENCH_TIMEOUT) -- \
		/share/in-host.sh $(2) /share /share/$(1).tsv '$(BENCH_ENGINES)' '$(BENCH_BOOTS)' \
		'$(shell echo $(BENCH_OPS) | tr ' ' ,)' '$(BENCH_APPEND)' || test -s $(BENCH_SHARE)/$(1).tsv
	@bench/report $(BENCH_FLAGS) $(BENCH_SHARE)/$(1).tsv $(BUILD)/bench/$(1).json
endef

.PHONY: bench bench-reasons bench-exits bench-ram bench-scale bench-shadow-worth
bench: bench-files
	$(call bench_run,ops,ops)

bench-reasons: bench-files
	$(call bench_run,reasons,reasons)

bench-exits: bench-files
	$(call bench_run,exits,exits)

bench-ram: BENCH_ENGINES := $(BENCH_RAM_ENGINES)
bench-ram: bench-files bench-module
	$(call bench_run,ram,ops)

bench-scale: BENCH_ENGINES := $(BENCH_SCALE_ENGINES)
bench-scale: BENCH_TIMEOUT := 7200
bench-scale: bench-files bench-module
	$(call bench_run,scale,scale=$(BENCH_SCALE))

bench-shadow-worth: BENCH_ENGINES := $(BENCH_WORTH_ENGINES)
bench-shadow-worth: BENCH_TIMEOUT := 7200
bench-shadow-worth: bench-files bench-module
	$(call bench_run,shadow-worth,ops)

include bench/sharing.mk
