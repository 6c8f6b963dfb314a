# SPDX-License-Identifier: GPL-2.0
#
# Penumbra: everything is built into build/, nothing is installed by a build.
#
#   make            modules for every kernel in KVERS, tools
#   make run        boot the test host, run guests, show the result
#   make test       all that must pass before a change lands
#   make bench      side by side against the stock modules and native
#
# Each folder brings its own rules in a fragment; this file only joins them.

ROOT  := $(CURDIR)
BUILD := $(ROOT)/build

CC      ?= gcc
CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Wshadow -Wundef -Wmissing-prototypes \
	   -Wstrict-prototypes -Wno-unused-parameter -Werror

.DEFAULT_GOAL := all
.PHONY: all run test bench clean deps
all: modules tools

include kapi/modules.mk
-include appliance/appliance.mk
-include tools/tools.mk
-include tests/tests.mk
-include bench/bench.mk

.PHONY: tools
tools:

clean:
	rm -rf $(BUILD)
