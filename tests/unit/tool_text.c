// SPDX-License-Identifier: GPL-2.0
/* libpenumbra/text: numbers, sizes, names, tables. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "libpenumbra/text.h"

static void test_u64(void **state)
{
	uint64_t v = 7;

	assert_int_equal(text_parse_u64("0", &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(text_parse_u64("18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(text_parse_u64("18446744073709551616", &v), -ERANGE);
	assert_int_equal(text_parse_u64("184467440737095516150", &v), -ERANGE);
	assert_true(v == UINT64_MAX);	/* left alone */
	for (const char **bad = (const char *[]){ "", " 1", "-1", "+1", "1 ", "0x10", "1\n", "a", NULL };
	     *bad; bad++)
		assert_int_equal(text_parse_u64(*bad, &v), -EINVAL);
}

static void test_size(void **state)
{
	uint64_t v;

	assert_int_equal(text_parse_size("512M", &v), 0);
	assert_int_equal(v, 512 << 20);
	assert_int_equal(text_parse_size("3k", &v), 0);
	assert_int_equal(v, 3072);
	assert_int_equal(text_parse_size("2G", &v), 0);
	assert_true(v == UINT64_C(2) << 30);
	assert_int_equal(text_parse_size("16777215T", &v), 0);
	assert_int_equal(text_parse_size("16777216T", &v), -ERANGE);
	for (const char **bad = (const char *[]){ "", "M", "512", "512MB", "512 M", "-1M", "1.5G", "1P",
						  "1\xed", NULL }; *bad; bad++)
		assert_int_equal(text_parse_size(*bad, &v), -EINVAL);
}

static void test_seconds(void **state)
{
	double v;

	assert_int_equal(text_parse_seconds("2", &v), 0);
	assert_true(v == 2);
	assert_int_equal(text_parse_seconds("0.25", &v), 0);
	assert_true(v == 0.25);
	assert_int_equal(text_parse_seconds("0", &v), -ERANGE);
	assert_int_equal(text_parse_seconds("0.001", &v), -ERANGE);
	assert_int_equal(text_parse_seconds("86401", &v), -ERANGE);
	assert_int_equal(text_parse_seconds("1.99999999999999999999999", &v), -ERANGE);
	for (const char **bad = (const char *[]){ "", ".5", "1.", "1e3", "nan", "inf", "-1", NULL };
	     *bad; bad++)
		assert_int_equal(text_parse_seconds(*bad, &v), -EINVAL);
}

static void test_name(void **state)
{
	char longest[TEXT_NAME_MAX + 2];

	memset(longest, 'a', sizeof(longest));
	longest[TEXT_NAME_MAX] = 0;
	assert_true(text_is_name("a"));
	assert_true(text_is_name("Web-1.b_c"));
	assert_true(text_is_name(longest));
	longest[TEXT_NAME_MAX] = 'a';
	longest[TEXT_NAME_MAX + 1] = 0;
	assert_false(text_is_name(longest));
	for (const char **bad = (const char *[]){ "", "1a", ".a", "-a", "a/b", "a b", "a,b", "..", "\xc3\xa4",
						  NULL }; *bad; bad++)
		assert_false(text_is_name(*bad));
}

static void test_shown(void **state)
{
	char buf[TEXT_COUNT_BYTES], size[TEXT_SIZE_BYTES];

	assert_string_equal(text_size(size, 0), "0 B");
	assert_string_equal(text_size(size, 1023), "1023 B");
	assert_string_equal(text_size(size, 1024), "1.0 KiB");
	assert_string_equal(text_size(size, 512 << 20), "512.0 MiB");
	assert_string_equal(text_size(size, (1 << 20) - 1), "1.0 MiB");
	assert_string_equal(text_size(size, UINT64_MAX), "16.0 EiB");
	assert_string_equal(text_count(buf, 0), "0");
	assert_string_equal(text_count(buf, 999), "999");
	assert_string_equal(text_count(buf, 1000), "1 000");
	assert_string_equal(text_count(buf, 1234567), "1 234 567");
	assert_string_equal(text_count(buf, UINT64_MAX), "18 446 744 073 709 551 615");
}

#define CMDLINE(s) (s), sizeof(s) - 1

static void test_cmdline(void **state)
{
	char name[8];

	assert_true(text_name_of_cmdline(CMDLINE("qemu\0-name\0web\0-m\0"), name, sizeof(name)));
	assert_string_equal(name, "web");
	assert_true(text_name_of_cmdline(CMDLINE("qemu\0-name\0guest=db,debug-threads=on\0"), name,
					 sizeof(name)));
	assert_string_equal(name, "db");
	assert_true(text_name_of_cmdline(CMDLINE("qemu\0-name\0a,,b,process=x"), name, sizeof(name)));
	assert_string_equal(name, "a,b");
	assert_true(text_name_of_cmdline(CMDLINE("q\0-name\0a\033[31m\0"), name, sizeof(name)));
	assert_string_equal(name, "a?[31m");
	assert_true(text_name_of_cmdline(CMDLINE("q\0-name\0much_too_long\0"), name, sizeof(name)));
	assert_string_equal(name, "much_to");
	assert_true(text_name_of_cmdline(CMDLINE("lkvm\0run\0--name\0k\0"), name, sizeof(name)));
	assert_string_equal(name, "k");
	assert_false(text_name_of_cmdline(CMDLINE("q\0-name"), name, sizeof(name)));
	assert_false(text_name_of_cmdline(CMDLINE("q\0-name\0\0"), name, sizeof(name)));
	assert_false(text_name_of_cmdline(CMDLINE("q\0-m\0-names\0"), name, sizeof(name)));
	assert_false(text_name_of_cmdline("", 0, name, sizeof(name)));
}

static bool has_word(const char *list, const char *word)
{
	return text_has_word(list, strlen(list), word);
}

static void test_word(void **state)
{
	assert_true(has_word("fpu svm npt", "svm"));
	assert_true(has_word("svm", "svm"));
	assert_true(has_word("svm_lock svm", "svm"));
	assert_true(text_has_word("svmx", 3, "svm"));
	assert_false(has_word("svm_lock npt", "svm"));
	assert_false(has_word("xsvm", "svm"));
	assert_false(has_word("", "svm"));
	assert_false(has_word("svm", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_cmdline),
		cmocka_unit_test(test_word),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("tool_text", tests, NULL, NULL);
}
