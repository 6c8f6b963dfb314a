// SPDX-License-Identifier: GPL-2.0
/* Instruction lengths according to libcapstone. */
#include <stdio.h>
#include <stdlib.h>
#include <capstone/capstone.h>
#include "tests/unit/x86_reference.h"

struct reference {
	csh handle;
	cs_insn *insn;
};

static struct reference *reference_for(unsigned int bits)
{
	static const cs_mode modes[] = { CS_MODE_16, CS_MODE_32, CS_MODE_64 };
	static struct reference refs[3];
	unsigned int i = bits / 32;

	if (!refs[i].insn) {
		if (cs_open(CS_ARCH_X86, modes[i], &refs[i].handle) != CS_ERR_OK)
			abort();
		refs[i].insn = cs_malloc(refs[i].handle);
	}
	return &refs[i];
}

unsigned int x86_reference_length(unsigned int bits, const unsigned char *bytes,
				  unsigned int nr_bytes, char *text)
{
	struct reference *r = reference_for(bits);
	const uint8_t *p = bytes;
	size_t left = nr_bytes;
	uint64_t address = 0;

	if (!cs_disasm_iter(r->handle, &p, &left, &address, r->insn)) {
		snprintf(text, 64, "(bad)");
		return 0;
	}
	snprintf(text, 64, "%.20s %.40s", r->insn->mnemonic, r->insn->op_str);
	return r->insn->size;
}
