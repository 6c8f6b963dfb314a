// SPDX-License-Identifier: GPL-2.0
/*
 * The scanner's rounds: which chunk is next, and how fast.
 *
 *   round ── groups, by serial ── chunks, by id or at random ── if it is their turn: mem_scan_visit()
 *     └── in the end those that were busy, once more
 *
 * Between two steps nothing is held: the place is remembered by the group's serial and the chunk's
 * id, so groups, files and chunks come and go as they like.
 *
 * A chunk in which nothing was found is visited in every second round, then every fourth, up to
 * every sixteenth, until a page in it is written that was known not to change. Pages that change
 * are looked at more rarely (scan_chunk.c). What it costs to have everything scanned that does not
 * change is therefore next to nothing, and the budget is spent on what is new.
 */
#include "mem/scan.h"

#define NS_PER_S	1000000000ull
#define ROUND_MIN_NS	NS_PER_S		/* no two rounds begin sooner after each other */
#define ROUND_MAX_NS	(8 * NS_PER_S)		/* nor need to, when they find next to nothing */
#define ROUND_WORTH	256			/* a gain of less than 1 in so many pages */
#define RESERVE_WAIT_NS	(NS_PER_S / 10)
#define DEBT_NS		(NS_PER_S / 200)	/* sleeps shorter than this are saved up */
#define BOOST_MAX	16
#define SKIP_COST	64			/* so many pages not hashed count as one that is */
#define FIND_MAX	256			/* chunks passed over in one step */

int mem_scan_init(struct mem_pool *pool)
{
	struct mem_scan *scan = kvzalloc(sizeof(*scan), GFP_KERNEL);

	if (!scan)
		return -ENOMEM;
	scan->pool = pool;
	scan->pages_per_second = MEM_SCAN_PAGES_PER_SECOND;
	scan->cpu_percent = MEM_SCAN_CPU_PERCENT;
	scan->order = MEM_SCAN_SEQUENTIAL;
	scan->dissolve_pages = 1;
	scan->breath_pages = MEM_SCAN_BREATH_PAGES;
	scan->interval_ns = ROUND_MIN_NS;
	pool->scan = scan;
	return 0;
}

void mem_scan_fini(struct mem_pool *pool)
{
	kvfree(pool->scan);
	pool->scan = NULL;
}

void mem_scan_restart(struct mem_pool *pool)
{
	WRITE_ONCE(pool->scan->restart, true);
}

/* ------------------------------------------------------------------- order -- */

static bool is_due(const struct mem_scan *scan, const struct mem_chunk *chunk)
{
	u32 heat = READ_ONCE(chunk->heat);

	if (scan->full || scan->lost || !READ_ONCE(chunk->visited))
		return true;
	if (READ_ONCE(chunk->written))
		heat = 0;
	if (READ_ONCE(scan->order) == MEM_SCAN_VOLATILE)
		heat = max(heat, 2u * READ_ONCE(chunk->volatility));
	return !((scan->round + chunk->id) & (BIT(heat) - 1));
}

static void enter_group(struct mem_scan *scan, struct mem_group *group)
{
	const struct mem_host_ops *host = scan->pool->host;

	scan->group = group->serial;
	scan->in_group = true;
	scan->id = 0;
	scan->random_key[0] = host->random();
	scan->random_key[1] = host->random();
	spin_lock(&group->lock);
	scan->random_bits = fls(group->last_id);
	/* Where most ids are of chunks long gone, nobody would find the others at random. */
	scan->random = READ_ONCE(scan->order) == MEM_SCAN_RANDOM &&
		       group->last_id / 16 <= group->nr_chunks;
	scan->lost = group->index.lost;
	scan->sweep = 0;
	if (mem_index_wants_sweep(&group->index))
		scan->sweep = mem_index_sweep_begin(&group->index);
	spin_unlock(&group->lock);
}

/* Each number below 2^bits once, for @n from 0 to there. */
static u64 shuffled(const struct mem_scan *scan, u64 n)
{
	u64 mask = BIT_ULL(scan->random_bits) - 1;
	u32 half = scan->random_bits / 2 + 1;

	n = ((n ^ scan->random_key[0]) * (scan->random_key[1] | 1)) & mask;
	n ^= n >> half;
	n = (n * (scan->random_key[0] | 1) + scan->random_key[1]) & mask;
	return n ^ n >> half;
}

/* One step through the ids of the group. *end: there are no more. */
static struct mem_chunk *walk(struct mem_scan *scan, struct mem_group *group, bool *end)
{
	struct mem_chunk *chunk;
	unsigned long id = scan->id;

	if (scan->random) {
		*end = scan->id >> scan->random_bits;
		return *end ? NULL : xa_load(&group->chunks, shuffled(scan, scan->id++));
	}
	chunk = xa_find(&group->chunks, &id, ULONG_MAX, XA_PRESENT);
	*end = !chunk;
	scan->id = id + 1;
	return chunk;
}

/* The next chunk whose turn it is, with its file held. NULL: not yet found, or *end. */
static struct mem_chunk *next_chunk(struct mem_scan *scan, struct mem_group *group, bool *end)
{
	struct mem_chunk *chunk = NULL;
	u32 n;

	*end = false;
	spin_lock(&group->lock);
	for (n = 0; n < FIND_MAX && !chunk && !*end; n++) {
		chunk = walk(scan, group, end);
		if (chunk && (!is_due(scan, chunk) || !scan->pool->host->file_get(chunk->file)))
			chunk = NULL;
	}
	spin_unlock(&group->lock);
	return chunk;
}

/* ------------------------------------------------------------------- later -- */

void mem_scan_later(struct mem_scan *scan, struct mem_group *group, u32 id, bool dissolve)
{
	struct mem_scan_later *entry;

	/* One too many is visited in the next round: its heat is 0. */
	if (scan->later_nr == MEM_SCAN_LATER)
		return;
	entry = &scan->later[(scan->later_first + scan->later_nr++) % MEM_SCAN_LATER];
	entry->group = group->serial;
	entry->id = id;
	entry->dissolve = dissolve;
}

static u32 revisit(struct mem_scan *scan, struct mem_group *group, u32 id, bool dissolve)
{
	struct mem_chunk *chunk = mem_group_get_chunk(group, id);
	u32 pages = 0;

	if (!chunk)
		return 0;
	if (dissolve) {
		mutex_lock(&chunk->lock);
		if (chunk->huge && !mem_chunk_dissolve(chunk))
			atomic64_inc(&scan->stat.dissolved);
		mutex_unlock(&chunk->lock);
	} else {
		pages = mem_scan_visit(scan, group, chunk);
	}
	scan->pool->host->file_put(chunk->file);
	return pages;
}

static u32 later(struct mem_scan *scan)
{
	struct mem_scan_later *entry = &scan->later[scan->later_first];
	struct mem_group *group = mem_group_from(scan->pool, entry->group);
	u32 pages = 0;

	scan->later_first = (scan->later_first + 1) % MEM_SCAN_LATER;
	scan->later_nr--;
	scan->later_todo--;
	if (!group)
		return 0;
	if (group->serial == entry->group)
		pages = revisit(scan, group, entry->id, entry->dissolve);
	mem_group_put(group);
	return pages;
}

/* ------------------------------------------------------------------- rounds -- */

static void begin_round(struct mem_scan *scan)
{
	scan->group = 0;
	scan->in_group = false;
	scan->closing = false;
	scan->round++;
	scan->full = READ_ONCE(scan->restart);
	WRITE_ONCE(scan->restart, false);
	scan->postponed_before = scan->postponed;
	scan->postponed = 0;
	scan->seen = 0;
	scan->round_gained = 0;
}

/*
 * While guests idle, a round takes what they wrote meanwhile and each page of that costs them a
 * fault when they write it again: so rounds that find little become rare.
 */
static u64 next_interval(const struct mem_scan *scan)
{
	if (scan->full || scan->round_gained > scan->seen / ROUND_WORTH)
		return ROUND_MIN_NS;
	return min(2 * scan->interval_ns, (u64)ROUND_MAX_NS);
}

/* Everything has been visited; what was busy is done once more. Returns pages visited. */
static u32 close_round(struct mem_scan *scan, u64 now)
{
	if (!scan->closing) {
		scan->closing = true;
		scan->later_todo = scan->later_nr;
	}
	if (scan->later_todo)
		return later(scan);
	atomic64_inc(&scan->stat.rounds);
	scan->interval_ns = next_interval(scan);
	begin_round(scan);
	scan->next_ns = max(now, scan->round_start_ns + scan->interval_ns / mem_scan_boost(scan));
	scan->round_start_ns = scan->next_ns;
	return 0;
}

static bool keep(void *group, u64 location)
{
	return mem_scan_keep(group, location);
}

/* What guests that ended and pages that changed have left in the index, a part at each step. */
static void sweep(struct mem_scan *scan, struct mem_group *group)
{
	spin_lock(&group->lock);
	mem_index_sweep(&group->index, --scan->sweep, keep, group);
	spin_unlock(&group->lock);
}

/* All its chunks were visited: no page is known any more whose frame no index knows. */
static void leave_group(struct mem_scan *scan, struct mem_group *group)
{
	spin_lock(&group->lock);
	group->index.lost -= scan->lost;
	spin_unlock(&group->lock);
	scan->lost = 0;
	scan->group++;
	scan->in_group = false;
}

static u32 scan_some(struct mem_scan *scan, u64 now)
{
	struct mem_group *group = scan->closing ? NULL : mem_group_from(scan->pool, scan->group);
	struct mem_chunk *chunk;
	bool end;
	u32 pages = 0;

	if (!group)
		return close_round(scan, now);
	if (!scan->in_group || group->serial != scan->group)
		enter_group(scan, group);
	if (scan->sweep) {
		sweep(scan, group);
	} else if ((chunk = next_chunk(scan, group, &end))) {
		pages = mem_scan_visit(scan, group, chunk);
		scan->pool->host->file_put(chunk->file);
	} else if (end) {
		leave_group(scan, group);
	}
	mem_group_put(group);
	return pages;
}

/* ------------------------------------------------------------------ budget -- */

u32 mem_scan_boost(const struct mem_scan *scan)
{
	u32 percent = min(READ_ONCE(scan->pressure_percent), 100u);

	return 1 + percent * (BOOST_MAX - 1) / 100;
}

/* How long the budget makes a step last that took so much of the CPU and hashed so many pages. */
static u64 cost_ns(const struct mem_scan *scan, u64 cpu_ns, u64 pages)
{
	u64 boost = mem_scan_boost(scan);
	u64 rate = READ_ONCE(scan->pages_per_second) * boost;
	u64 percent = min(max(READ_ONCE(scan->cpu_percent), 1u) * boost, (u64)100);

	return max(rate ? div64_u64(pages * NS_PER_S, rate) : 0, div64_u64(cpu_ns * 100, percent));
}

/*
 * What the thread ran since the last step. Most of it is that step's or this one's: the clock it is
 * read from may lag behind, so that no more can be said of a single step.
 */
static u64 ran_ns(struct mem_scan *scan)
{
	u64 before = scan->run_ns;

	scan->run_ns = scan->pool->host->run_ns();
	return scan->run_ns - before;
}

struct mem_scan_step mem_scan_step(struct mem_pool *pool)
{
	struct mem_scan *scan = pool->scan;
	struct mem_scan_step step = { 0 };
	u64 now = pool->host->now_ns(), end, ran, hashed = atomic64_read(&scan->stat.hashed);

	if (!READ_ONCE(scan->run)) {
		ran_ns(scan);
		step.sleep_ns = U64_MAX;
		return step;
	}
	if (READ_ONCE(pool->reserve.low)) {
		step.sleep_ns = RESERVE_WAIT_NS;
		return step;
	}
	if (READ_ONCE(scan->restart) && !scan->full)
		begin_round(scan);
	else if (now + DEBT_NS < scan->next_ns) {
		step.sleep_ns = scan->next_ns - now;
		return step;
	}
	step.visited = scan_some(scan, now);
	end = pool->host->now_ns();
	hashed = atomic64_read(&scan->stat.hashed) - hashed;
	ran = ran_ns(scan);
	atomic64_add(ran, &scan->stat.cpu_ns);
	scan->next_ns = max(scan->next_ns, now) +
			cost_ns(scan, ran, hashed + step.visited / SKIP_COST);
	if (scan->next_ns > end + DEBT_NS)
		step.sleep_ns = scan->next_ns - end;
	return step;
}

/* ---------------------------------------------------------------- estimate -- */

/* Private pages of files that may share. */
static u64 private_pages(struct mem_pool *pool)
{
	struct mem_file *file;
	u64 pages = 0;

	spin_lock(&pool->lock);
	list_for_each_entry(file, &pool->files, node)
		if (!file->never_share)
			pages += atomic64_read(&file->stat.present) -
				 atomic64_read(&file->stat.shared);
	spin_unlock(&pool->lock);
	return pages;
}

/*
 * What has not been looked at saves as much, page for page, as what has of late. Not more than
 * there is: of what was counted a round ago some may be gone.
 */
u64 mem_scan_estimate(struct mem_pool *pool)
{
	const struct mem_scan *scan = pool->scan;
	u64 looked = READ_ONCE(scan->looked), gained = READ_ONCE(scan->gained);
	u64 todo = READ_ONCE(scan->postponed_before), seen = READ_ONCE(scan->seen);
	u64 pages = private_pages(pool);

	if (READ_ONCE(scan->full) || !atomic64_read(&scan->stat.rounds))
		todo += pages > seen ? pages - seen : 0;
	return looked ? min(div64_u64(todo * gained, looked), pages) : 0;
}
