/*
 * A single-flight cache: eight threads ask for three words; each is "fetched" once, however many
 * ask while it is under way. Small notes come from a pool that the threads share.
 */
#include <lamina/arena.h>
#include <lamina/lru.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS = 8, ASKS = 500 };

typedef struct note {
    char text[64];
} note;

static lamina_lru *cache;
static lamina_magpool *notes;
static const char *const WORDS[3] = {"alpha", "beta", "gamma"};

/* Slow, as what one caches is. */
static lamina_status fetch(void *ctx, const void *key, size_t n, void **value, size_t *bytes,
                           lamina_error *err)
{
    const struct timespec moment = {0, 2000000};
    char *copy = malloc(n + 1);
    (void)ctx, (void)err;
    if (!copy) return LAMINA_E_NOMEM;
    nanosleep(&moment, NULL);
    memcpy(copy, key, n);
    copy[n] = 0;
    *value = copy;
    *bytes = n + 1;
    return LAMINA_OK;
}

static void drop(void *ctx, void *value, size_t bytes)
{
    (void)ctx, (void)bytes;
    free(value);
}

static void *ask(void *arg)
{
    long *good = arg;
    for (int i = 0; i < ASKS; i++) {
        const char *word = WORDS[i % 3];
        lamina_lru_entry *e;
        if (lamina_lru_get(cache, word, strlen(word), fetch, NULL, 0, &e, NULL) != LAMINA_OK)
            continue;
        note *n = lamina_magpool_take(notes);
        if (n) {
            snprintf(n->text, sizeof n->text, "got %s", (const char *)lamina_lru_value(e));
            *good += strcmp(n->text + 4, word) == 0;
        }
        lamina_magpool_give(notes, n);
        lamina_lru_release(e); /* evicted or not, it lived until here */
    }
    return NULL;
}

int main(void)
{
    const lamina_lru_opts opts = {.size = sizeof opts, .max_bytes = 4096, .drop = drop};
    const lamina_objpool_opts note_opts = {.size = sizeof note_opts, .object_bytes = sizeof(note)};
    lamina_lru_stats s = {.size = sizeof s};
    pthread_t t[THREADS];
    long good[THREADS] = {0}, all = 0;
    if (lamina_lru_create(&opts, &cache) != LAMINA_OK ||
        lamina_magpool_create(&note_opts, &notes) != LAMINA_OK)
        return 1;
    for (int i = 0; i < THREADS; i++) pthread_create(&t[i], NULL, ask, &good[i]);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    for (int i = 0; i < THREADS; i++) all += good[i];
    if (lamina_lru_describe(cache, &s) != LAMINA_OK) return 1;
    lamina_lru_destroy(cache);
    lamina_magpool_destroy(notes);
    printf("%ld answers, %d fetches\n", all, (int)s.misses);
    return 0;
}
