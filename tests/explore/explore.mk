# SPDX-License-Identifier: GPL-2.0
#
# The explorer of interleavings: mmu/ with steps at all shared accesses (KAPI_STEPS) and low limits, so that
# what needs many operations elsewhere happens within a few. interleave_crowded also takes pages that two entries map for crowded.
#
# Without the address sanitizer, which does not know of the stacks that actors change between. What was freed is
# overwritten instead: the walk of a table sees that.

EXPLORE_SRC   := $(wildcard mmu/*.c) $(filter-out %/locks.c,$(wildcard kapi/user/*.c)) $(wildcard tests/explore/*.c)
EXPLORE_TESTS := interleave interleave_crowded

EXPLORE_FLAGS := -DKAPI_STEPS -fsanitize=undefined -fno-sanitize-recover=undefined \
		 -DSHADOW_PATIENCE_MIN=40 -DSHADOW_PATIENCE_MAX=160 -DSHADOW_TORN=2 -DSHADOW_TRACE_PRESENT=1 \
		 -DSHADOW_ROOTS_MAX=1 -DSHADOW_ORPHANS_MAX=2 -DSHADOW_RESTING_MAX=1 \
		 -DUPPER_STRIKES=2 -DUPPER_AGAIN=4 -DUPPER_AGAIN_MAX=16

EXPLORE_CROWDED := -DMMU_RMAP_PER_NODE=2 -DMMU_RMAP_DEEP=1 -DSHADOW_HOLD=40

TEST_PROGRAMS += $(EXPLORE_TESTS:%=$(BUILD)/tests/explore/%)

define explore_rules
$(BUILD)/explore/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	$$(CC) $$(PURE_CFLAGS) $$(EXPLORE_FLAGS) $(2) -MMD -MP -c -o $$@ $$<

$(BUILD)/tests/explore/$(1): $(EXPLORE_SRC:%.c=$(BUILD)/explore/$(1)/%.o)
	@mkdir -p $$(@D)
	$$(CC) -fsanitize=undefined -o $$@ $$^ -lpthread

-include $(EXPLORE_SRC:%.c=$(BUILD)/explore/$(1)/%.d)
endef
$(eval $(call explore_rules,interleave,))
$(eval $(call explore_rules,interleave_crowded,$(EXPLORE_CROWDED)))
