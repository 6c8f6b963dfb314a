// SPDX-License-Identifier: GPL-2.0
/*
 * Everything in libpenumbra that reads text others wrote, on a hundred thousand
 * damaged texts each, the same ones every time: no sanitizer may complain, and what
 * comes out must keep its promises.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "libpenumbra/args.h"
#include "libpenumbra/cpu.h"
#include "libpenumbra/platform.h"
#include "libpenumbra/text.h"
#include "libpenumbra/vmconf.h"

#define ROUNDS	100000
#define MAX_LEN	256

/* xorshift64* */
static uint32_t draw(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return (*seed * UINT64_C(0x2545f4914f6cdd1d)) >> 32;
}

/*
 * One of @seeds with a few bytes changed, cut out or doubled, in memory of just
 * its size and NUL-terminated. *@len is without the NUL.
 */
static char *damaged(uint64_t *seed, const char *const *seeds, size_t nr, size_t *len)
{
	static const char tokens[] = " \t\n:,[]=.-0199MKGTx\xff\x80\x1b";
	const char *from = seeds[draw(seed) % nr];
	char text[MAX_LEN * 2], *out;
	size_t n = strlen(from), at;

	memcpy(text, from, n);
	for (uint32_t i = draw(seed) % 6; i; i--) {
		at = n ? draw(seed) % n : 0;
		switch (draw(seed) % 4) {
		case 0:
			if (n)
				text[at] = tokens[draw(seed) % (sizeof(tokens) - 1)];
			break;
		case 1:
			n = at;
			break;
		case 2:
			if (n > at)
				memmove(text + at, text + at + 1, n-- - at - 1);
			break;
		case 3:
			if (n * 2 <= MAX_LEN) {
				memcpy(text + n, text, n);
				n *= 2;
			}
			break;
		}
	}
	out = malloc(n + 1);
	assert_non_null(out);
	memcpy(out, text, n);
	out[n] = 0;
	*len = strlen(out);
	return out;
}

#define SEEDS(...) static const char *const seeds[] = { __VA_ARGS__ }; \
	const size_t nr = sizeof(seeds) / sizeof(*seeds); \
	uint64_t seed = 0x9e3779b97f4a7c15; \
	size_t len; \
	char *text

#define EACH for (unsigned int i = 0; i < ROUNDS && (text = damaged(&seed, seeds, nr, &len)); \
		  i++, free(text))

static void test_numbers(void **state)
{
	SEEDS("18446744073709551615", "512M", "16777215T", "0.25", "86400", "4096k", "0");
	uint64_t v;
	double d;

	EACH {
		(void)text_parse_u64(text, &v);
		if (!text_parse_size(text, &v))
			assert_true(v % 1024 == 0);
		if (!text_parse_seconds(text, &d))
			assert_true(d >= 0.01 && d <= 86400);
	}
}

static void test_names(void **state)
{
	SEEDS("web-1", "guest=a,debug-threads=on", "-name", "a,,b", "qemu -name a -m 1G");
	char name[16], copy[MAX_LEN * 2];

	EACH {
		if (text_is_name(text))
			assert_true(len <= TEXT_NAME_MAX && !strpbrk(text, "/ ,=\n"));
		(void)text_has_word(text, len, "a");
		/* blanks become the NULs between arguments */
		memcpy(copy, text, len);
		for (size_t k = 0; k < len; k++)
			if (copy[k] == ' ')
				copy[k] = 0;
		memcpy(text, copy, len);
		if (text_name_of_cmdline(text, len, name, sizeof(name)))
			assert_true(*name && strlen(name) < sizeof(name));
	}
}

static void test_system(void **state)
{
	SEEDS("processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: x\nflags\t: svm npt\n",
	      "always [madvise] never", "[none] integrity", "MemTotal: 10 kB\nMemAvailable: 2 kB\n",
	      "VmRSS:\t 18446744073709551615 kB", "# x\ndir = \"/dev/shm\"\n dir=\"\"\n");
	struct cpu_info cpu;
	char word[16];
	uint64_t v;

	EACH {
		if (cpu_info_parse(text, &cpu))
			assert_true(cpu.nr && *cpu.vendor && strlen(cpu.vendor) < sizeof(cpu.vendor));
		if (!platform_choice(text, word, sizeof(word)))
			assert_true(*word && strlen(word) < sizeof(word));
		(void)platform_kib_line(text, "MemAvailable", &v);
		(void)platform_kib_line(text, "VmRSS", &v);
		if (platform_conf_string(text, "dir", word, sizeof(word)))
			assert_true(strlen(word) < sizeof(word) && !strpbrk(word, "\"\n"));
	}
}

static void test_args(void **state)
{
	SEEDS("a.img", "a,format=raw", "/x/y.qcow2", "a,b,format=qcow2", ",format=raw,format=raw");
	struct args_disk disk;
	struct args a = {};

	EACH {
		if (!args_parse_disk(text, &disk))
			assert_true(*disk.path && strlen(disk.path) <= len);
		if (i % 64 == 0)
			args_free(&a);
		args_option_path(&a, "-drive", "file=", text, ",x");
		assert_false(a.failed);
		assert_true(strlen(a.arg[a.nr - 1]) >= len + 7);
	}
	args_free(&a);
}

static void test_conf(void **state)
{
	SEEDS("{\"version\":1,\"name\":\"a\",\"qemu\":\"q\",\"memory_bytes\":9,\"vcpus\":1,\"disks\":[]}",
	      "{\"version\":1,\"name\":\"a\",\"qemu\":\"q\",\"memory_bytes\":9,\"vcpus\":1,"
	      "\"disks\":[{\"path\":\"d\",\"format\":\"raw\"}],\"ram\":{\"dir\":\"/r\"},\"extra\":[\"-S\",\"\"]}");
	struct json_object *object;
	struct vm_conf conf;
	const char *what;

	EACH {
		object = json_tokener_parse(text);
		if (!vmconf_from_json(&conf, object, &what)) {
			assert_true(conf.name && conf.qemu && conf.memory_bytes && conf.vcpus);
			assert_true(conf.nr_disks <= VM_MAX_DISKS);
			for (char **arg = conf.extra; *arg; arg++)
				(void)strlen(*arg);
		}
		vmconf_free(&conf);
		json_object_put(object);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_system),
		cmocka_unit_test(test_args),
		cmocka_unit_test(test_conf),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("tool_fuzz", tests, NULL, NULL);
}
