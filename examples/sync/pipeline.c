/*
 * A pipeline: one thread makes numbers, one squares them, two add the squares up. A ring stands
 * between the first two (one to one: items are written where the other reads them, in spans), a
 * queue with a bound before the last two (one to many; who is too quick waits).
 */
#include <lamina/queue.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 100000, RING = 256, BACKLOG = 512, ADDERS = 2 };

static lamina_spsc_end in, out; /* the two ends of the ring */
static lamina_queue *squares;
static long sums[ADDERS];

static void *make(void *arg)
{
    long i = 1;
    (void)arg;
    while (i <= N) {
        lamina_items run[2];
        const size_t n = lamina_spsc_reserve(&in, 32, run); /* up to 32 places */
        size_t used = 0;
        for (int r = 0; r < 2; r++)
            for (size_t k = 0; k < run[r].n && i <= N; k++, used++) ((long *)run[r].data)[k] = i++;
        lamina_spsc_commit(&in, used);
        if (n == 0) sched_yield(); /* full */
    }
    return NULL;
}

static void *square(void *arg)
{
    static long value[N]; /* items of the queue are pointers */
    long done = 0;
    (void)arg;
    while (done < N) {
        lamina_items run[2];
        const size_t n = lamina_spsc_peek(&out, 32, run);
        for (int r = 0; r < 2; r++)
            for (size_t k = 0; k < run[r].n; k++, done++) {
                const long x = ((long *)run[r].data)[k];
                value[done] = x * x;
                if (lamina_queue_push_wait(squares, &value[done], 0) != LAMINA_OK) abort();
            }
        lamina_spsc_release(&out, n);
        if (n == 0) sched_yield(); /* empty */
    }
    if (lamina_queue_close(squares) != LAMINA_OK) abort();
    return NULL;
}

static void *add(void *arg)
{
    long *sum = arg;
    void *item;
    while (lamina_queue_pop_wait(squares, &item, 0) == LAMINA_OK) *sum += *(long *)item;
    return NULL; /* closed, and everything delivered */
}

int main(void)
{
    const lamina_queue_opts opts = {.size = sizeof opts, .capacity = BACKLOG};
    const size_t bytes = lamina_spsc_bytes(sizeof(long), RING);
    void *ring = aligned_alloc(LAMINA_SPSC_ALIGN, bytes);
    pthread_t t[2 + ADDERS];
    if (!ring || lamina_spsc_init(ring, bytes, sizeof(long), RING) != LAMINA_OK ||
        lamina_spsc_producer(ring, bytes, &in) != LAMINA_OK ||
        lamina_spsc_consumer(ring, bytes, &out) != LAMINA_OK ||
        lamina_queue_create(&opts, &squares) != LAMINA_OK)
        return 1;
    pthread_create(&t[0], NULL, make, NULL);
    pthread_create(&t[1], NULL, square, NULL);
    for (int i = 0; i < ADDERS; i++) pthread_create(&t[2 + i], NULL, add, &sums[i]);
    for (int i = 0; i < 2 + ADDERS; i++) pthread_join(t[i], NULL);
    lamina_queue_destroy(squares);
    free(ring);
    printf("sum of squares: %ld\n", sums[0] + sums[1]);
    return 0;
}
