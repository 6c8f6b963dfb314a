# SPDX-License-Identifier: GPL-2.0
#
# What sharing saves and costs, measured in the test host (docs/measuring.md):
#
#	make bench-sharing	KSM and penumbra_mem side by side: build/bench/sharing.json
#	make bench-ramfile	clones, and memory that guests free: build/bench/ramfile.json
#
# SHARING_CASES chooses the sets of guests (bench/sharing-in-host.sh has their form),
# SHARING_SCANNERS the sides, SHARING_HUGE=always 2 MiB pages on both sides.

SHARING_ENGINE   ?= penumbra:nested+mem
SHARING_KERNEL   ?= 6.1
SHARING_CASES    ?= 1:1 5:5 10:10
SHARING_SCANNERS ?= ksm penumbra
SHARING_HUGE     ?= never
SHARING_MIB      ?= 96
SHARING_OPTIONS  ?=
SHARING_TIMEOUT  ?= 3000
SHARING_NAME     ?= sharing
RAMFILE_CASES    ?= clone:512:never clone:512:always \
		    freed:256:never freed:256:always freed:256:never:4 freed:256:always:4 \
		    freed:256:always:4:boot freed:256:always::zero

SHARING_SOURCES := $(addprefix bench/,sharing.c sharing_scan.c sharing_guests.c qemu.c)

$(BENCH_SHARE)/bench-sharing: $(SHARING_SOURCES) bench/sharing.h bench/qemu.h
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -o $@ $(filter %.c,$^)

$(BENCH_SHARE)/bench-clone $(BENCH_SHARE)/bench-freed: $(BENCH_SHARE)/bench-%: bench/%.c \
		$(filter-out bench/sharing.c,$(SHARING_SOURCES)) bench/sharing.h bench/qemu.h
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -o $@ $(filter %.c,$^)

$(BENCH_SHARE)/bench-equal-pages: bench/equal_pages.c
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -o $@ $<

$(BENCH_SHARE)/%-in-host.sh: bench/%-in-host.sh
	@mkdir -p $(@D)
	cp $< $@

.PHONY: sharing-files bench-sharing bench-ramfile
sharing-files: $(addprefix $(BENCH_SHARE)/,bench-sharing bench-clone bench-freed bench-equal-pages \
		sharing-in-host.sh ramfile-in-host.sh)

bench-sharing: sharing-files
	@rm -f $(BENCH_SHARE)/$(SHARING_NAME).tsv
	@appliance/run --icount --engine $(SHARING_ENGINE) --kernel $(SHARING_KERNEL) --smp 1 --mem 3072 \
		--share $(BENCH_SHARE) --timeout $(SHARING_TIMEOUT) -- "SCANNERS='$(SHARING_SCANNERS)' \
		MIB=$(SHARING_MIB) HUGE=$(SHARING_HUGE) OPTIONS='$(SHARING_OPTIONS)' sh /share/sharing-in-host.sh \
		/share /share/$(SHARING_NAME).tsv $(SHARING_CASES)"
	@awk -v json=$(BUILD)/bench/$(SHARING_NAME).json -f bench/sharing.awk $(BENCH_SHARE)/$(SHARING_NAME).tsv

bench-ramfile: sharing-files
	@rm -f $(BENCH_SHARE)/ramfile.tsv
	@appliance/run --icount --engine $(SHARING_ENGINE) --kernel $(SHARING_KERNEL) --smp 1 --mem 2048 \
		--share $(BENCH_SHARE) --timeout $(SHARING_TIMEOUT) -- sh /share/ramfile-in-host.sh \
		/share /share/ramfile.tsv $(RAMFILE_CASES)
	@awk -v json=$(BUILD)/bench/ramfile.json -f bench/sharing.awk $(BENCH_SHARE)/ramfile.tsv
