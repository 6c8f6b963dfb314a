/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Actors that take turns, all in one thread. Wherever one is about to use what others share (kapi_step(), locks) another
 * one may go on, but mostly does not: the actor of the highest priority runs until it waits, or until one of
 * a few steps that were chosen beforehand, at which it gets the lowest one.
 *
 *   actor 0   ━━━━━━━━┓ step 112: last now     ┏━ drops it ━━━━ over ┓
 *   actor 1           ┗━━━━━━┓ wants its lock  ┃                     ┗━━━━━━ over
 *   actor 2                  ┗━━━━━━━━━━ over ━┛
 *
 * Whoever has waited goes on when the next change comes to him, not at once: so the one that let him go does more
 * meanwhile. Few changes suffice: nearly all bugs need one or two in the right places, and a run has up to five
 * (after "probabilistic concurrency testing").
 */
#ifndef PENUMBRA_TESTS_EXPLORE_STEPS_H
#define PENUMBRA_TESTS_EXPLORE_STEPS_H

#include "kapi.h"

#define ACTORS		4
#define STEPS_CHANGES	8

enum steps_end { STEPS_OVER, STEPS_DEADLOCK, STEPS_ENDLESS };

/* No actors, no changes of priority yet. */
void steps_begin(void);
void steps_change_at(unsigned long step);
/* The next actor, the first is 0: fn(its number). Of a high priority runs first; not below 0. */
void steps_actor(int priority, void (*fn)(unsigned int actor));
/* Until all are over. After any other end nothing that they shared is of use. */
enum steps_end steps_run(void);

/* Who runs; -1: none, steps_run() does not. */
int steps_me(void);
/* Steps since steps_begin(); changes of actor since the program began. */
unsigned long steps_done(void);
unsigned long steps_switches(void);

/* The actor that runs: all others first. */
void steps_give_way(void);
/* Wait for a steps_wake() of somebody else's; for anything, so look again. */
void steps_wait(void);
void steps_wake(void);

#endif
