/* SPDX-License-Identifier: GPL-2.0 */
/* What the processor can do, as far as virtualization needs it. */
#ifndef LIBPENUMBRA_CPU_H
#define LIBPENUMBRA_CPU_H

#include "libpenumbra/hostfs.h"

struct cpu_info {
	char vendor[16];	/* "AuthenticAMD" */
	char model[64];
	unsigned int nr;	/* processors online */
	bool svm, npt;		/* AMD-V and its nested paging */
	bool nrip_save, decode_assists, flush_by_asid;
	bool vmx, ept;
	bool hypervisor;	/* this machine is a virtual one */
};

/* From the text of /proc/cpuinfo. False when it describes no processor. */
bool cpu_info_parse(const char *cpuinfo, struct cpu_info *cpu);
int cpu_info_read(const struct hostfs *fs, struct cpu_info *cpu);

/* AMD, or Hygon, which makes the same. */
bool cpu_is_amd(const struct cpu_info *cpu);

/*
 * Did the firmware switch SVM off? AMD APM vol. 2, 15.30.1: VM_CR.SVMDIS.
 * 1, 0, or -errno: it cannot be read (needs root and the msr module).
 */
int cpu_svm_disabled(const struct hostfs *fs);

#endif
