/*
 * Fork and join: Fibonacci numbers by a task for every call (work stealing spreads them), and the
 * sum of 1/k over a million k by a reduction, whose bits are the same for any number of threads.
 */
#include <lamina/pool.h>

#include <stdio.h>

typedef struct fib {
    int n;
    long *out;
} fib;

static void fib_task(lamina_worker *w, void *payload)
{
    const fib f = *(const fib *)payload;
    long a = 0, b = 0;
    if (f.n < 2) {
        *f.out = f.n;
        return;
    }
    const fib left = {f.n - 1, &a};
    fib right = {f.n - 2, &b};
    lamina_group g;
    lamina_group_init(&g, w);
    lamina_spawn(w, &g, fib_task, NULL, &left, sizeof left); /* others may take it */
    fib_task(w, &right);                                     /* meanwhile this one */
    lamina_group_wait(&g);                                   /* works while it waits */
    *f.out = a + b;
}

static void map(void *arg, int64_t begin, int64_t end, void *partial)
{
    double *sum = partial;
    (void)arg;
    for (int64_t k = begin; k < end; k++) *sum += 1.0 / (double)(k + 1);
}

static void combine(void *arg, void *into, const void *partial)
{
    (void)arg;
    *(double *)into += *(const double *)partial;
}

static double harmonic(uint32_t width)
{
    const lamina_pool_opts opts = {.size = sizeof opts, .width = width};
    const lamina_reduction r = {
        .size = sizeof r, .n = 1000000, .partial = sizeof(double), .map = map, .combine = combine};
    lamina_pool *pool;
    double sum = 0;
    if (lamina_pool_create(&opts, &pool) != LAMINA_OK) return 0;
    if (lamina_pool_reduce(pool, &r, &sum) != LAMINA_OK) sum = 0;
    lamina_pool_destroy(pool);
    return sum;
}

int main(void)
{
    lamina_pool *pool;
    lamina_worker *me;
    long result = 0;
    fib f = {22, &result};
    if (lamina_pool_create(NULL, &pool) != LAMINA_OK) return 1;
    if (lamina_pool_enter(pool, &me) != LAMINA_OK) return 1;
    fib_task(me, &f);
    lamina_pool_leave(me);
    lamina_pool_destroy(pool);
    printf("fib(22) = %ld\n", result);
    printf("harmonic sum %.6f, bits %s\n", harmonic(1),
           harmonic(1) == harmonic(4) ? "the same" : "different");
    return 0;
}
