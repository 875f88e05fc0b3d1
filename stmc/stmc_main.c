/*
 * The program of a harness: options, one line a scene, and --mutate, which weakens every atomic
 * operation by one step and asks which scene notices.
 */
#include <stdlib.h>
#include <string.h>

#include "stmc_int.h"

#define C (&stmc_now)

static const char HELP[] =
    "usage: %s [options]\n"
    "Checks every scene of this harness under every schedule the C11 memory model allows.\n"
    "\n"
    "  --only=TEXT        scenes whose name holds TEXT\n"
    "  --preemptions=N    only schedules with at most N preemptions (larger scenes)\n"
    "  --random           random priorities instead of all schedules; see --runs, --seed\n"
    "  --runs=N           stop a scene after N runs (default 10,000,000; --random: 100,000)\n"
    "  --seed=N           of --random (default 1)\n"
    "  --replay=PATH      the one schedule that a failure printed\n"
    "  --mutate           weaken each ordering one step; list what notices\n"
    "  --markdown         a table in Markdown; a scene that --runs cuts off is walked once more\n"
    "                     with as many preemptions, at most 2, as N runs allow\n"
    "\n"
    "exit status: 0 every scene holds (--mutate: 95 %% of the mutants are noticed), 1 not, 2 "
    "usage\n"
    "example: %s --only=ring --mutate\n";

static bool number(const char *arg, const char *name, uint64_t *out)
{
    const size_t n = strlen(name);
    if (strncmp(arg, name, n) != 0 || !arg[n]) return false;
    char *end;
    *out = strtoull(arg + n, &end, 10);
    return *end == '\0';
}

static bool read_option(const char *a, options *o)
{
    uint64_t v;
    if (!strncmp(a, "--only=", 7))
        o->only = a + 7;
    else if (!strncmp(a, "--replay=", 9))
        o->replay = a + 9;
    else if (number(a, "--preemptions=", &v))
        o->mode = SEARCH_BOUNDED, o->preemptions = (int)v;
    else if (number(a, "--runs=", &v))
        o->max_runs = v;
    else if (number(a, "--seed=", &v))
        o->seed = v;
    else if (!strcmp(a, "--random"))
        o->mode = SEARCH_RANDOM;
    else if (!strcmp(a, "--mutate"))
        o->mutate = true;
    else if (!strcmp(a, "--markdown"))
        o->markdown = true;
    else
        return false;
    return true;
}

bool stmc_wanted(const stmc_scene *scene)
{
    return !C->opt.only || strstr(scene->name, C->opt.only);
}

static bool is_cut(void)
{
    return C->n_runs >= C->opt.max_runs;
}

static unsigned long long whole_runs(void)
{
    return C->n_runs - C->n_pruned;
}

static void print_line(const stmc_scene *scene)
{
    printf("%s: ok, %llu runs%s, %llu cut short as seen\n", scene->name, whole_runs(),
           C->opt.mode == SEARCH_RANDOM    ? " at random"
           : is_cut()                      ? ", NOT ALL"
           : C->opt.mode == SEARCH_BOUNDED ? ", all within the bound"
                                           : ", all there are",
           (unsigned long long)C->n_pruned);
}

/* Too large to exhaust: the most preemptions, at most 2, with which all schedules are walked. */
static bool walk_bounded(const stmc_scene *scene)
{
    bool held = true;
    C->opt.mode = SEARCH_BOUNDED;
    C->opt.preemptions = 3;
    do {
        C->opt.preemptions--;
        held = stmc_search(scene);
    } while (held && is_cut() && C->opt.preemptions > 0);
    C->opt.mode = SEARCH_ALL;
    if (held && !is_cut())
        printf("; all %llu with at most %d preemption%s", whole_runs(), C->opt.preemptions,
               C->opt.preemptions == 1 ? "" : "s");
    return held;
}

/* The scene, the atomic operations of each thread in its longest run, what was searched. False: the
 * second walk failed. */
static bool print_row(const stmc_scene *scene)
{
    printf("| %s | ", scene->name);
    for (int t = 1; t <= C->n_threads; t++) printf("%s%u", t > 1 ? " + " : "", C->most_ops[t]);
    printf(" | %llu | ", whole_runs());
    bool held = true;
    if (C->opt.mode == SEARCH_RANDOM) {
        printf("at random");
    } else if (!is_cut()) {
        printf(C->opt.mode == SEARCH_ALL ? "all" : "at most %d preemptions", C->opt.preemptions);
    } else {
        printf("not all");
        if (C->opt.mode == SEARCH_ALL) held = walk_bounded(scene);
    }
    printf(" |\n");
    (void)fflush(stdout);
    return held;
}

static int check(const stmc_scene *scenes, size_t n)
{
    int n_checked = 0;
    if (C->opt.markdown)
        printf(
            "| scene | operations of its threads | executions | searched |\n|---|---|---|---|\n");
    for (size_t i = 0; i < n; i++) {
        if (!stmc_wanted(&scenes[i])) continue;
        n_checked++;
        bool held = stmc_search(&scenes[i]);
        if (held && C->opt.replay)
            printf("%s: the replay holds\n", scenes[i].name);
        else if (held && C->opt.markdown)
            held = print_row(&scenes[i]);
        else if (held)
            print_line(&scenes[i]);
        if (held) continue;
        stmc_print_failure();
        return 1;
    }
    if (!n_checked) printf("no scene is called that\n");
    return n_checked ? 0 : 2;
}

int stmc_main(int argc, char **argv, const stmc_scene *scenes, size_t n)
{
    C->opt = (options){.seed = 1};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help")) {
            printf(HELP, argv[0], argv[0]);
            return 0;
        }
        if (!read_option(argv[i], &C->opt)) {
            fprintf(stderr, "%s: unknown option %s; --help lists them\n", argv[0], argv[i]);
            return 2;
        }
    }
    if (!C->opt.max_runs) C->opt.max_runs = C->opt.mode == SEARCH_RANDOM ? 100000 : 10000000;
    return C->opt.mutate ? stmc_mutate(scenes, n) : check(scenes, n);
}
