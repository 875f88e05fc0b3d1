/*
 * Corpus replay without a fuzzer: feeds every file of the folders given as arguments, and prefixes
 * of them (all of the small ones while the corpus is small), to LLVMFuzzerTestOneInput. Each input
 * lies in a block of its exact size, so that the address sanitizer sees one byte read too far.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_MAX 1024u
#define PREFIXES_IN_ALL 8192u
#define INPUT_MAX (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The fuzzers' own mutators link against this; a replay mutates nothing. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    (void)data, (void)max_size;
    return size;
}

static size_t n_inputs, prefix_step = 1;

static void feed(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy) exit(1);
    if (n) memcpy(copy, data, n);
    (void)LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    n_inputs++;
}

static void replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) {
        printf("cannot read %s\n", path);
        exit(1);
    }
    long n = ftell(f);
    rewind(f);
    uint8_t *data = n >= 0 && n <= (long)INPUT_MAX ? malloc((size_t)n + 1) : NULL;
    if (!data || fread(data, 1, (size_t)n, f) != (size_t)n) {
        printf("cannot read %s\n", path);
        exit(1);
    }
    (void)fclose(f);
    for (size_t k = 0; k < (size_t)n && k < PREFIX_MAX; k += prefix_step) feed(data, k);
    feed(data, (size_t)n);
    free(data);
}

/* Feed, or only count, the files of a folder. */
static size_t each_file(const char *path, bool replay)
{
    char file[4096];
    size_t n = 0;
    DIR *dir = opendir(path);
    if (!dir) return 0;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (d->d_name[0] == '.') continue;
        (void)snprintf(file, sizeof file, "%s/%s", path, d->d_name);
        if (replay) replay_file(file);
        n++;
    }
    (void)closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    size_t n_files = 0;
    feed(NULL, 0);
    for (int i = 1; i < argc; i++) n_files += each_file(argv[i], false);
    if (n_files > PREFIXES_IN_ALL / PREFIX_MAX)
        prefix_step = n_files * PREFIX_MAX / PREFIXES_IN_ALL;
    for (int i = 1; i < argc; i++) (void)each_file(argv[i], true);
    printf("%zu files, %zu inputs\n", n_files, n_inputs);
    return n_files ? 0 : 77; /* no corpus: nothing was shown */
}
