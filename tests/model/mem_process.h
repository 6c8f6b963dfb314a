/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside the machine of mem_machine.h: what its host and the other processors do to processes
 * (mem_process.c), and where these let the others run (mem_machine.c).
 */
#ifndef TESTS_MODEL_MEM_PROCESS_H
#define TESTS_MODEL_MEM_PROCESS_H

#include "tests/model/mem_machine.h"

/* Of one mapping, pages [first, first + nr) of its file: taken away, made read-only. */
void mm_zap(struct mm *m, struct mm_vma *v, u64 first, u64 nr);
void mm_write_protect(struct mm *m, struct mm_vma *v, u64 first, u64 nr);

/* Pending faults that keep @frame locked or, without one, that are of mapping @vma go on. */
void mm_finish(struct mm *m, struct mem_frame *frame, int vma);

/* What a processor does without a fault. False: it would fault. */
bool mm_touch(struct mm *m, int vma, u64 index, unsigned int offset, bool write, u64 value);

/* What happens elsewhere while mem/ is between two instructions; @frame: where to look, or NULL. */
void mm_others_run(struct mm *m, struct mem_frame *frame);

#endif
