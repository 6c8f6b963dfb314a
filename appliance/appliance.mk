# SPDX-License-Identifier: GPL-2.0
#
# The test host: packages, its image, and the demonstration.

.PHONY: deps image run

# Install what appliance/packages.txt lists and this machine lacks.
deps:
	@appliance/install-packages

# Build the test host's image ahead of its first use.
image: deps
	@appliance/build-image >/dev/null

# Two guests at once in the test host; ends by itself, from a terminal after a shell.
# ENGINE=kvm:nested shows the same on the stock module.
run: deps
	@$(MAKE) -s --no-print-directory modules-6.1 tools
	@appliance/demo $(ENGINE)
