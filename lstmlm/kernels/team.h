/* Threads: those of PyTorch's own pool, because the threads of a second pool would compete with them for the cores. */

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

static Thread this_thread(void) { return (Thread){team.size ? team.size() : 1, team.rank ? team.rank() : 0, 0}; }

static void run(int threads, void (*part)(void *), void *job) {
    if (threads > 1 && team.parallel)
        team.parallel(part, job, threads, 0);
    else
        part(job);
}
