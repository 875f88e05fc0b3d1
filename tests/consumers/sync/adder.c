/*
 * An external program that wants nothing of Lamina but its queues, in C99 and (built as such) in
 * C++17: one thread sends numbers by a queue, another adds them up; a ring gives the sum back.
 */
#include <lamina/queue.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 1000 };

typedef struct work {
    lamina_queue *q;
    lamina_spsc_end sums;
    long numbers[N];
} work;

static void *add_up(void *arg)
{
    work *w = (work *)arg;
    void *item = NULL;
    long sum = 0;
    while (lamina_queue_pop_wait(w->q, &item, 0) == LAMINA_OK) sum += *(long *)item;
    if (!lamina_spsc_push(&w->sums, &sum)) printf("full\n");
    return NULL;
}

int main(void)
{
    static work w;
    lamina_spsc_end end;
    pthread_t other;
    const size_t bytes = lamina_spsc_bytes(sizeof(long), 4);
    void *ring = NULL;
    long sum = 0, i;
    if (posix_memalign(&ring, LAMINA_SPSC_ALIGN, bytes)) return 1;
    if (lamina_queue_create(NULL, &w.q) != LAMINA_OK ||
        lamina_spsc_init(ring, bytes, sizeof(long), 4) != LAMINA_OK ||
        lamina_spsc_producer(ring, bytes, &w.sums) != LAMINA_OK ||
        lamina_spsc_consumer(ring, bytes, &end) != LAMINA_OK ||
        pthread_create(&other, NULL, add_up, &w) != 0)
        return 1;
    for (i = 0; i < N; i++) {
        w.numbers[i] = i;
        if (lamina_queue_push(w.q, &w.numbers[i]) != LAMINA_OK) return 1;
    }
    if (lamina_queue_close(w.q) != LAMINA_OK) return 1;
    pthread_join(other, NULL);
    if (!lamina_spsc_pop(&end, &sum)) return 1;
    lamina_queue_destroy(w.q);
    free(ring);
    printf("%ld by %s\n", sum, lamina_status_name(LAMINA_OK));
    return 0;
}
