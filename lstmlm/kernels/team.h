/* Threads: those of PyTorch's own pool, because the threads of a second pool would compete with them for the cores. */

#include <sched.h>

#include "vectors.h"

static struct {
    void (*parallel)(void (*part)(void *), void *job, unsigned threads, unsigned flags); /* GOMP_parallel */
    int (*size)(void), (*rank)(void);
} team;

void use_team(void *parallel, void *size, void *rank) {
    team.parallel = parallel;
    team.size = size;
    team.rank = rank;
}

typedef struct { int size, rank, met; } Thread;

INLINE Thread this_thread(void) { return (Thread){team.size ? team.size() : 1, team.rank ? team.rank() : 0, 0}; }

INLINE void run(int threads, void (*part)(void *), void *job) {
    if (threads > 1 && team.parallel)
        team.parallel(part, job, threads, 0);
    else
        part(job);
}

/* A barrier: wait until all threads of the team have called it; they share `arrived`. */
INLINE void meet(Thread *me, int *arrived) {
    if (me->size == 1) return;
    int everyone = ++me->met * me->size;
    __atomic_add_fetch(arrived, 1, __ATOMIC_ACQ_REL);
    for (int turns = 0; __atomic_load_n(arrived, __ATOMIC_ACQUIRE) < everyone; turns++)
        if (turns > 10000) sched_yield(); /* the thread that is waited for may need this core */
}

/* Where part `part` of `parts` of a number of things begins */
INLINE int share(int of, int part, int parts) { return (int)((int64_t)of * part / parts); }
