# SPDX-License-Identifier: GPL-2.0
#
# The emulator's tests: a static program with its own VMM (tests/abi/vmm.c).

GUEST_DIR := $(BUILD)/tests/guest
EMU_SRC	  := $(wildcard tests/guest/emu/*.c) $(wildcard tests/guest/emu/*.S)
EMU_HDR	  := $(wildcard tests/guest/emu/*.h) tests/abi/vmm.h tests/abi/tap.h

TEST_NEEDS += $(GUEST_DIR)/emu

$(GUEST_DIR)/emu: $(EMU_SRC) $(EMU_HDR) tests/abi/vmm.c tests/abi/tap.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -static -no-pie $(CFLAGS) $(WARN) -Itests/abi -Itests/guest/emu \
		-o $@ $(EMU_SRC) tests/abi/vmm.c tests/abi/tap.c

# Bare-metal guests, started with qemu -kernel: 64-bit code in a 32-bit ELF file.
BARE_GUESTS := cpu trap io irq mem smp triple nowhere loop
BARE_FLAGS  := -std=gnu11 -O1 -m64 -ffreestanding -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only \
	       -fcf-protection=none -fno-stack-protector -fno-asynchronous-unwind-tables \
	       -fno-tree-loop-distribute-patterns -Wall -Wextra -Wno-unused-parameter -Werror
BARE_LINK   := -nostdlib -static -Wl,-T,tests/guest/bare/link.ld -Wl,--build-id=none -Wl,-z,noexecstack \
	       -Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments
BARE_LIB    := tests/guest/bare/start.S tests/guest/bare/guest.c tests/guest/bare/bytes.c tests/guest/bare/console.c

BARE_HDR := $(wildcard tests/guest/bare/*.h) tests/guest/bare/link.ld tests/model/guest_walk.h

LEGACY := tests/guest/bare/legacy_start.S tests/guest/bare/legacy.c tests/guest/bare/console.c

TEST_NEEDS += $(GUEST_DIR)/legacy.elf

$(GUEST_DIR)/legacy.elf: $(LEGACY) tests/guest/bare/console.h tests/guest/bare/link.ld
	@mkdir -p $(@D)
	$(CC) $(subst -mno-red-zone,,$(BARE_FLAGS:-m64=-m32)) $(BARE_LINK) -o $@ $(LEGACY)

# Permutations of entries, control bits and accesses; what is right, says the model of the user-space tests.
PERM := $(wildcard tests/guest/bare/perm*.c)
PERM_COMMON := $(filter-out %/perm32.c %/perm64.c,$(PERM)) tests/model/guest_walk.c
PERM_FLAGS := $(BARE_FLAGS) -I. -fno-delete-null-pointer-checks

TEST_NEEDS += $(GUEST_DIR)/perm32.elf $(GUEST_DIR)/perm64.elf

$(GUEST_DIR)/perm32.elf: tests/guest/bare/perm32.c tests/guest/bare/legacy_start.S $(PERM_COMMON) $(BARE_HDR) tests/guest/bare/bytes.c \
		tests/guest/bare/console.c
	@mkdir -p $(@D)
	$(CC) $(subst -mno-red-zone,,$(PERM_FLAGS:-m64=-m32)) $(BARE_LINK) -o $@ $(filter %.c %.S,$^)

$(GUEST_DIR)/perm64.elf: tests/guest/bare/perm64.c $(BARE_LIB) $(PERM_COMMON) $(BARE_HDR)
	@mkdir -p $(@D)
	$(CC) $(PERM_FLAGS) $(BARE_LINK) -o $@64 $(filter %.c %.S,$^)
	objcopy -O elf32-i386 $@64 $@
	@rm -f $@64

TEST_NEEDS += $(BARE_GUESTS:%=$(GUEST_DIR)/%.elf)

$(GUEST_DIR)/%.elf: tests/guest/bare/%.c $(BARE_LIB) $(BARE_HDR)
	@mkdir -p $(@D)
	$(CC) $(BARE_FLAGS) $(BARE_LINK) -o $@64 $(BARE_LIB) $<
	objcopy -O elf32-i386 $@64 $@
	@rm -f $@64

# A guest made to be hard on shadow paging: a flat binary inside its VMM.
ADV_SRC := tests/guest/adversary

TEST_NEEDS += $(GUEST_DIR)/adversary

$(GUEST_DIR)/adversary.bin: $(ADV_SRC)/guest.c $(ADV_SRC)/adversary.h $(ADV_SRC)/link.ld
	@mkdir -p $(@D)
	$(CC) $(BARE_FLAGS) -nostdlib -static -Wl,-T,$(ADV_SRC)/link.ld -Wl,--build-id=none -Wl,-z,noexecstack \
		-Wl,--no-warn-rwx-segments -o $@.elf $<
	objcopy -O binary $@.elf $@
	@rm -f $@.elf

$(GUEST_DIR)/adversary: $(ADV_SRC)/vmm.c $(ADV_SRC)/adversary.h $(GUEST_DIR)/adversary.bin $(ABI_LIB) $(ABI_HDR)
	$(CC) -std=gnu11 -D_GNU_SOURCE -static $(CFLAGS) $(WARN) -Itests/abi -I$(ADV_SRC) \
		-DADV_BINARY='"$(GUEST_DIR)/adversary.bin"' -o $@ $(ADV_SRC)/vmm.c tests/abi/vmm.c tests/abi/tap.c -lpthread
