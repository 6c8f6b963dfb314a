/* SPDX-License-Identifier: GPL-2.0 */
/* The machine the emulator's tests run on: modes, inputs, one run. */
#ifndef TESTS_GUEST_EMU_EMU_H
#define TESTS_GUEST_EMU_EMU_H

#include <stdbool.h>
#include <stdint.h>

#include "case.h"
#include "tap.h"
#include "vmm.h"

#define EMU_GROUP	0x8000u		/* bytes in the group of pages */
#define EMU_DEVICE	0x4000		/* where in it the device begins */
#define EMU_DEVICE_SIZE	0x2000
#define EMU_ROM		0x3000000u	/* guest-physical, read-only */

struct emu_mode {
	const char *name;
	enum vmm_mode vmm;
	unsigned int bits;
	bool user;		/* at CPL 3 */
	bool rom;		/* code in a read-only slot */
	bool brief;		/* fewer inputs */
};

/* What comes behind the device, and what the device's own pages allow. */
enum emu_edge { EDGE_RAM, EDGE_ABSENT, EDGE_READ_ONLY, EDGE_DEVICE_READ_ONLY, EDGE_SUPERVISOR };

struct emu_input {
	const struct emu_mode *mode;
	const struct emu_case *test;
	struct kvm_regs regs;
	uint64_t base;		/* what the pointers count from: the group's offset in its segment */
	uint32_t code;		/* guest-physical address of the code */
	enum emu_edge edge;
	uint8_t group[EMU_GROUP];
	uint8_t xmm[512];	/* 16 low halves, 16 high halves */
};

struct emu_run {
	uint32_t exit;
	int vector;
	struct kvm_regs regs;
	uint64_t cr2;
	bool bytes_right;	/* an emulation failure carried the code's bytes */
	uint8_t group[EMU_GROUP];
	uint8_t xmm[512];
};

struct emu {
	struct vmm *v;
	uint64_t random;
	uint8_t *beside;	/* RAM pages around the device */
	uint8_t *rom;
	uint8_t device[EMU_DEVICE_SIZE];
	uint8_t noise[2 * EMU_GROUP];
	struct kvm_sregs sregs;	/* of the mode */
	bool other_root;	/* two equal root tables, used in turn: a new one flushes */
	struct kvm_xsave *xsave;
	struct emu_input input;
	struct emu_run ram, dev;
};

/* Ends with an entry without a name. */
extern const struct emu_mode emu_modes[];

struct emu *emu_new(uint64_t seed);
void emu_free(struct emu *e);
void emu_enter(struct emu *e, const struct emu_mode *mode);
/* Fills e->input; @n chooses where the operand lies. */
void emu_make_input(struct emu *e, const struct emu_mode *mode, const struct emu_case *test, unsigned int n);
/* Random bytes to draw from. */
void emu_fill_noise(struct emu *e);
void emu_run(struct emu *e, const struct emu_input *in, struct emu_run *out, bool on_device);
const char *emu_edge_name(enum emu_edge edge);

#endif
