/*
 * Dining philosophers by rank. A fork is a queue with one token in it: who pops the token has the
 * fork, who pushes it back lays the fork down. Each philosopher takes the fork with the lower
 * number first; so nobody who holds a fork waits for one of lower rank, no circle can close, and
 * all eat.
 */
#include <lamina/queue.h>

#include <pthread.h>
#include <stdio.h>

enum { SEATS = 5, MEALS = 2000 };

static lamina_queue *fork_at[SEATS];
static long users[SEATS]; /* of each fork, changed only by who has it */
static long eaten[SEATS];

static void *take(int i)
{
    void *token = NULL;
    return lamina_queue_pop_wait(fork_at[i], &token, 0) == LAMINA_OK ? token : NULL;
}

static int lay_down(int i, void *token)
{
    return lamina_queue_push(fork_at[i], token) == LAMINA_OK;
}

static void *dine(void *arg)
{
    const int seat = (int)((long *)arg - eaten), other = (seat + 1) % SEATS;
    const int low = seat < other ? seat : other, high = seat < other ? other : seat;
    for (int i = 0; i < MEALS; i++) {
        void *first = take(low), *second = take(high);
        if (!first || !second) return NULL;
        users[low]++;
        users[high]++;
        eaten[seat]++;
        if (!lay_down(high, second) || !lay_down(low, first)) return NULL;
    }
    return NULL;
}

int main(void)
{
    pthread_t t[SEATS];
    long meals = 0, uses = 0;
    for (int i = 0; i < SEATS; i++)
        if (lamina_queue_create(NULL, &fork_at[i]) != LAMINA_OK || !lay_down(i, &fork_at[i]))
            return 1;
    for (int i = 0; i < SEATS; i++) pthread_create(&t[i], NULL, dine, &eaten[i]);
    for (int i = 0; i < SEATS; i++) pthread_join(t[i], NULL);
    for (int i = 0; i < SEATS; i++) {
        meals += eaten[i];
        uses += users[i];
        lamina_queue_destroy(fork_at[i]);
    }
    printf("%ld meals, %ld uses of a fork\n", meals, uses);
    return 0;
}
