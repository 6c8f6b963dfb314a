/* SPDX-License-Identifier: GPL-2.0 */
/* What the running kernel and its firmware allow: modules, signatures, memory. */
#ifndef LIBPENUMBRA_PLATFORM_H
#define LIBPENUMBRA_PLATFORM_H

#include "libpenumbra/hostfs.h"

enum module_state { MODULE_ABSENT, MODULE_LOADED, MODULE_BUILTIN };

/* @name with underscores, as in /sys/module. */
enum module_state platform_module(const struct hostfs *fs, const char *name);

/* 1 on, 0 off, -ENOENT no UEFI, other -errno: cannot be read. */
int platform_secure_boot(const struct hostfs *fs);

/* Must modules carry a signature the kernel knows (lockdown, module.sig_enforce)? */
bool platform_signatures_enforced(const struct hostfs *fs);

/* Is a module file called @name.ko, plain or compressed, under /lib/modules/@release? */
bool platform_module_installed(const struct hostfs *fs, const char *release, const char *name);

/* Bytes of a line of /proc/meminfo's form, "Key:  123 kB". */
int platform_kib_line(const char *text, const char *key, uint64_t *bytes);
int platform_memory(const struct hostfs *fs, uint64_t *total, uint64_t *available);

struct platform_ksm {
	bool running;
	uint64_t saved_bytes;
};
int platform_ksm(const struct hostfs *fs, struct platform_ksm *ksm);

/* The bracketed word of a line such as "always [madvise] never": 0, or -EINVAL. */
int platform_choice(const char *line, char *word, size_t size);

/*
 * The string that a line KEY = "VALUE" of @text gives, comments left aside; the last such line
 * counts. False: there is none, or it does not fit.
 */
bool platform_conf_string(const char *text, const char *key, char *value, size_t size);

/*
 * The folder in which libvirt makes files for guests' RAM, "" if it was not told any. -ENOENT:
 * there is no libvirt; other -errno: its configuration cannot be read.
 */
int platform_libvirt_ram_dir(const struct hostfs *fs, char *dir, size_t size);

/* The first executable @name in the folders of $PATH; false when there is none. */
bool platform_find_program(const char *name, char *path, size_t size);

/* The first line that "@path --version" prints; false when it prints none. */
bool platform_program_version(const char *path, char *line, size_t size);

/*
 * Debian's QEMU 7.2 of deb12u16 to deb12u18 leaves the start-up interrupt of a second
 * vCPU pending for ever where the interrupt controllers are in user space: such
 * guests hang. @version: the line "--version" prints.
 */
bool platform_qemu_hangs_smp(const char *version);

#endif
