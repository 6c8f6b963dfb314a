// SPDX-License-Identifier: GPL-2.0
/* What the processor can do; see cpu.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "libpenumbra/cpu.h"
#include "libpenumbra/text.h"

#define MSR_VM_CR	0xc0010114u
#define VM_CR_SVMDIS	(1u << 4)

/* "key\t: value" of the line at @line: the value, @len bytes, if the key is @key. */
static const char *value_of(const char *line, size_t line_len, const char *key, size_t *len)
{
	size_t key_len = strlen(key);
	const char *colon = memchr(line, ':', line_len), *value;

	if (!colon || line_len < key_len || memcmp(line, key, key_len) || line + key_len > colon)
		return NULL;
	for (const char *p = line + key_len; p < colon; p++)
		if (*p != ' ' && *p != '\t')
			return NULL;
	value = colon + 1;
	while (value < line + line_len && *value == ' ')
		value++;
	*len = line + line_len - value;
	return value;
}

static void copy_value(char *out, size_t size, const char *value, size_t len)
{
	if (len >= size)
		len = size - 1;
	memcpy(out, value, len);
	out[len] = 0;
}

static void parse_flags(struct cpu_info *cpu, const char *flags, size_t len)
{
	cpu->svm = text_has_word(flags, len, "svm");
	cpu->npt = text_has_word(flags, len, "npt");
	cpu->nrip_save = text_has_word(flags, len, "nrip_save");
	cpu->decode_assists = text_has_word(flags, len, "decodeassists");
	cpu->flush_by_asid = text_has_word(flags, len, "flushbyasid");
	cpu->vmx = text_has_word(flags, len, "vmx");
	cpu->ept = text_has_word(flags, len, "ept");
	cpu->hypervisor = text_has_word(flags, len, "hypervisor");
}

/* Of many processors the first describes all: hosts that mix them do not virtualize. */
bool cpu_info_parse(const char *cpuinfo, struct cpu_info *cpu)
{
	const char *line, *next, *value;
	bool have_flags = false;
	size_t len;

	*cpu = (struct cpu_info){};
	for (line = cpuinfo; *line; line = *next ? next + 1 : next) {
		next = strchrnul(line, '\n');
		if (value_of(line, next - line, "processor", &len)) {
			cpu->nr++;
		} else if (!cpu->vendor[0] &&
			   (value = value_of(line, next - line, "vendor_id", &len))) {
			copy_value(cpu->vendor, sizeof(cpu->vendor), value, len);
		} else if (!cpu->model[0] &&
			   (value = value_of(line, next - line, "model name", &len))) {
			copy_value(cpu->model, sizeof(cpu->model), value, len);
		} else if (!have_flags &&
			   (value = value_of(line, next - line, "flags", &len))) {
			parse_flags(cpu, value, len);
			have_flags = true;
		}
	}
	return cpu->nr && cpu->vendor[0];
}

int cpu_info_read(const struct hostfs *fs, struct cpu_info *cpu)
{
	size_t len;
	char *text = hostfs_read_all(fs, &len, "/proc/cpuinfo");
	bool ok;

	if (!text)
		return -errno;
	ok = cpu_info_parse(text, cpu);
	free(text);
	return ok ? 0 : -EINVAL;
}

bool cpu_is_amd(const struct cpu_info *cpu)
{
	return !strcmp(cpu->vendor, "AuthenticAMD") || !strcmp(cpu->vendor, "HygonGenuine");
}

int cpu_svm_disabled(const struct hostfs *fs)
{
	uint64_t vm_cr;
	int ret = hostfs_pread(fs, &vm_cr, sizeof(vm_cr), MSR_VM_CR, "/dev/cpu/0/msr");

	return ret ? ret : !!(vm_cr & VM_CR_SVMDIS);
}
