// SPDX-License-Identifier: GPL-2.0
/* libpenumbra/sharing: small maps by hand, and random ones against counting page by page. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "libpenumbra/sharing.h"
#include "uapi/penumbra.h"

#define HOLE		((uint64_t)PENUMBRA_PAGE_HOLE)
#define ZERO		((uint64_t)PENUMBRA_PAGE_ZERO)
#define PRIVATE(token)	((uint64_t)(token) << 20 | 1 << 8 | PENUMBRA_PAGE_PRIVATE)
#define SHARED(token)	((uint64_t)(token) << 20 | 2 << 8 | PENUMBRA_PAGE_SHARED)

#define ADD(s, file, ...) do { \
	const uint64_t entries[] = { __VA_ARGS__ }; \
	assert_int_equal(sharing_add(s, file, entries, sizeof(entries) / 8), 0); \
} while (0)

/*
 *   frame 1: twice in file 0, once in file 1     inside 1, between 1
 *   frame 2: three times in file 2               inside 2
 *   frame 3: once in each                        between 2
 *   frame 4: marked as shared, named once        nothing
 */
static void test_by_hand(void **state)
{
	struct sharing s;

	assert_int_equal(sharing_init(&s, 3), 0);
	ADD(&s, 0, HOLE, SHARED(1), SHARED(3), PRIVATE(8), SHARED(1), ZERO);
	ADD(&s, 1, SHARED(3), SHARED(1) | PENUMBRA_PAGE_HUGE, ZERO);
	ADD(&s, 2, SHARED(2), SHARED(2), SHARED(3), SHARED(2), SHARED(4));
	sharing_finish(&s);
	assert_int_equal(s.total.present_pages, 11);
	assert_int_equal(s.total.frame_pages, 5);
	assert_int_equal(s.total.zero_pages, 2);
	assert_int_equal(s.total.inside_pages, 3);
	assert_int_equal(s.total.between_pages, 3);
	assert_int_equal(s.total.present_pages - s.total.frame_pages,
			 s.total.inside_pages + s.total.between_pages);
	assert_int_equal(s.file[0].hole_pages, 1);
	assert_int_equal(s.file[0].private_pages, 1);
	assert_int_equal(s.file[0].shared_pages, 3);
	assert_int_equal(s.file[0].inside_pages, 1);
	assert_int_equal(s.file[0].others_pages, 3);
	assert_int_equal(s.file[1].huge_pages, 1);
	assert_int_equal(s.file[2].private_pages, 1);	/* frame 4 */
	assert_int_equal(s.file[2].inside_pages, 2);
	assert_int_equal(s.file[2].others_pages, 1);
	assert_true(fabs(s.file[0].proportional_pages - (1 + 2 / 3. + 1 / 3.)) < 1e-9);

	assert_int_equal(sharing_find_pairs(&s), 0);
	assert_int_equal(s.nr_pairs, 3);
	assert_int_equal(s.pair[0].a, 0);
	assert_int_equal(s.pair[0].b, 1);
	assert_int_equal(s.pair[0].frame_pages, 2);
	assert_int_equal(s.pair[1].frame_pages, 1);
	assert_int_equal(s.pair[2].frame_pages, 1);
	sharing_free(&s);
}

static void test_nothing(void **state)
{
	struct sharing s;

	assert_int_equal(sharing_init(&s, 0), 0);
	sharing_finish(&s);
	assert_int_equal(sharing_find_pairs(&s), 0);
	assert_int_equal(s.nr_pairs, 0);
	assert_int_equal(s.total.frame_pages, 0);
	sharing_free(&s);
	assert_int_equal(sharing_init(&s, SHARING_MAX_FILES + 1), -E2BIG);
	sharing_free(&s);
	assert_int_equal(sharing_init(&s, SHARING_MAX_PAIRED + 1), 0);
	sharing_finish(&s);
	assert_int_equal(sharing_find_pairs(&s), -E2BIG);
	sharing_free(&s);
}

static void test_no_ram_file(void **state)
{
	struct sharing s;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(sharing_init(&s, 1), 0);
	assert_int_equal(sharing_add_fd(&s, 0, fds[0]), -ENOTTY);
	assert_int_equal(sharing_add_fd(&s, 0, -1), -EBADF);
	sharing_free(&s);
	close(fds[0]);
	close(fds[1]);
}

#define FILES	6
#define FRAMES	40
#define PAGES	120

/* names[frame][file]: how often. */
static void compare(const struct sharing *s, unsigned int names[FRAMES][FILES], uint64_t private)
{
	uint64_t inside = 0, between = 0, frames = private, common[FILES][FILES] = {}, pairs = 0;
	double proportional = 0;

	for (int f = 0; f < FRAMES; f++) {
		int files = 0, pages = 0;

		for (int i = 0; i < FILES; i++) {
			files += names[f][i] > 0;
			pages += names[f][i];
			for (int j = i + 1; j < FILES; j++)
				common[i][j] += names[f][i] && names[f][j];
		}
		frames += files > 0;
		inside += pages - files;
		between += files ? files - 1 : 0;
	}
	assert_int_equal(s->total.frame_pages, frames);
	assert_int_equal(s->total.inside_pages, inside);
	assert_int_equal(s->total.between_pages, between);
	for (int i = 0; i < FILES; i++)
		proportional += s->file[i].proportional_pages;
	assert_true(fabs(proportional - frames) < 1e-6);	/* all shares make up the whole */
	for (size_t p = 0; p < s->nr_pairs; p++) {
		assert_true(s->pair[p].a < s->pair[p].b);
		assert_int_equal(s->pair[p].frame_pages, common[s->pair[p].a][s->pair[p].b]);
		assert_true(!p || s->pair[p - 1].frame_pages >= s->pair[p].frame_pages);
	}
	for (int i = 0; i < FILES; i++)
		for (int j = i + 1; j < FILES; j++)
			pairs += common[i][j] > 0;
	assert_int_equal(s->nr_pairs, pairs);
}

static void test_random(void **state)
{
	srandom(1);
	for (int round = 0; round < 500; round++) {
		unsigned int names[FRAMES][FILES] = {};
		uint64_t private = 0, entry;
		struct sharing s;

		assert_int_equal(sharing_init(&s, FILES), 0);
		for (uint32_t file = 0; file < FILES; file++) {
			for (long n = random() % PAGES; n; n--) {
				long what = random() % 4, frame = random() % FRAMES;

				entry = what == 0 ? HOLE : what == 1 ? ZERO :
					what == 2 ? PRIVATE(FRAMES + private) : SHARED(frame);
				private += what == 2;
				names[frame][file] += what == 3;
				assert_int_equal(sharing_add(&s, file, &entry, 1), 0);
			}
		}
		sharing_finish(&s);
		assert_int_equal(sharing_find_pairs(&s), 0);
		compare(&s, names, private);
		sharing_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_hand), cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_no_ram_file), cmocka_unit_test(test_random),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("tool_sharing", tests, NULL, NULL);
}
