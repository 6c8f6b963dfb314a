/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A packaged disassembler as the reference for instruction lengths. Its header
 * and ours use the same names, so it is kept behind this one.
 */
#ifndef TESTS_X86_REFERENCE_H
#define TESTS_X86_REFERENCE_H

/* Length of the first instruction, 0 if it is none; its text in text[64]. @bits: 16, 32, 64. */
unsigned int x86_reference_length(unsigned int bits, const unsigned char *bytes,
				  unsigned int nr_bytes, char *text);

#endif
