/*
 * The memory of a scene (stmc_int.h): which writes a load may return, and what an operation does to
 * the views and clocks of its thread. RC11 by views (Kang et al., POPL 2017, without promises):
 * a store takes the next number of its location, a read raises the view of its thread, an acquire
 * joins what the message was given. seq_cst: a store raises the floor of its location for seq_cst
 * loads; a fence joins the knowledge of all fences before it (Lahav et al., PLDI 2017).
 */
#include <stdlib.h>
#include <string.h>

#include "stmc_int.h"

#define C (&stmc_now)

static bool acquires(stmc_order o)
{
    return o == STMC_acquire || o == STMC_acq_rel || o == STMC_seq_cst;
}

static bool releases(stmc_order o)
{
    return o == STMC_release || o == STMC_acq_rel || o == STMC_seq_cst;
}

void stmc_join(clock *into, const clock *from)
{
    for (int i = 0; i < N_THREADS; i++)
        if (from->at[i] > into->at[i]) into->at[i] = from->at[i];
}

void stmc_know(knowledge *into, const knowledge *from)
{
    stmc_join(&into->vc, &from->vc);
    for (int i = 0; i < C->n_locs; i++)
        if (from->view[i] > into->view[i]) into->view[i] = from->view[i];
}

bool stmc_before(const clock *a, const clock *b)
{
    for (int i = 0; i < N_THREADS; i++)
        if (a->at[i] > b->at[i]) return false;
    return true;
}

static message *append(location *l, uint64_t value, int t)
{
    if (l->n_messages == l->room) {
        const uint32_t room = l->room ? 2 * l->room : 8;
        message *grown = realloc(l->messages, room * sizeof *grown);
        if (!grown) {
            stmc_fail("out of memory for the writes of a location");
            return NULL;
        }
        l->messages = grown, l->room = room;
    }
    message *m = &l->messages[l->n_messages++];
    m->value = value;
    m->thread = t;
    memset(&m->given, 0, sizeof m->given);
    return m;
}

int stmc_location(void *p, size_t n)
{
    for (int i = C->n_locs - 1; i >= 0; i--) {
        if (C->locs[i].p != (char *)p) continue;
        if (C->locs[i].n == n) return i;
        stmc_fail("a location of %zu bytes is used with %zu", C->locs[i].n, n);
        return 0;
    }
    if (C->n_locs == MAX_LOCS) {
        stmc_fail("a scene may have %d atomic locations: make it smaller", MAX_LOCS);
        return 0;
    }
    const int i = C->n_locs++;
    location *l = &C->locs[i];
    l->p = p, l->n = n, l->n_messages = 0, l->sc_floor = 0;
    memset(&l->used, 0, sizeof l->used);
    memset(&l->kept, 0, sizeof l->kept);
    uint64_t value = 0;
    memcpy(&value, p, n);
    append(l, value, 0);
    return i;
}

void stmc_atomic_init(void *p, size_t n, uint64_t value)
{
    stmc_plain(p, n, 1, "an atomic's first value", 0);
    memcpy(p, &value, n);
    const int i = stmc_location(p, n);
    location *l = &C->locs[i];
    thread *t = &C->threads[C->self];
    if (l->n_messages > 1 || l->messages[0].value != value) {
        append(l, value, C->self);
        t->know.view[i] = l->n_messages - 1;
    }
    l->used.at[C->self] = t->know.vc.at[C->self];
}

/* The last operation published what came before it, up to the clock less one. */
void stmc_kept(const void *p, size_t n)
{
    const int self = C->self;
    location *l = &C->locs[stmc_location((void *)(uintptr_t)p, n)];
    l->kept.at[self] = C->threads[self].know.vc.at[self] - 1;
    stmc_leave();
}

static bool overwrites(int t, const pending *op)
{
    const clock *kept = &C->locs[op->loc].kept, *now = &C->threads[t].know.vc;
    for (int i = 0; i < N_THREADS; i++) {
        if (i == t || kept->at[i] <= now->at[i]) continue;
        stmc_fail("race: thread %d stores %s, which thread %d may still load, though it counts on "
                  "the old value: nothing orders the two",
                  t, op->site->text, i);
        return true;
    }
    return false;
}

int stmc_readable(int t, const pending *op, uint32_t *out, int most)
{
    const location *l = &C->locs[op->loc];
    uint32_t low = C->threads[t].know.view[op->loc];
    if (op->order == STMC_seq_cst && l->sc_floor > low) low = l->sc_floor;
    if (op->floor > low) low = op->floor;
    int n = 0;
    for (uint32_t m = l->n_messages; m-- > low && n < most;)
        if (op->op != STMC_CAS || l->messages[m].value != op->expected) out[n++] = m;
    return n;
}

static void read_message(int t, const pending *op, uint32_t m, stmc_order order)
{
    thread *th = &C->threads[t];
    const message *from = &C->locs[op->loc].messages[m];
    if (m > th->know.view[op->loc]) th->know.view[op->loc] = m;
    if (acquires(order))
        stmc_know(&th->know, &from->given);
    else
        stmc_know(&th->acquired, &from->given);
}

/* `from`: number + 1 of the message that a read-modify-write continues; 0 for a store. */
static void write_message(int t, const pending *op, uint64_t value, uint32_t from)
{
    thread *th = &C->threads[t];
    location *l = &C->locs[op->loc];
    message *m = overwrites(t, op) ? NULL : append(l, value, t);
    if (!m) return;
    const uint32_t number = l->n_messages - 1;
    th->know.view[op->loc] = number;
    if (releases(op->order))
        stmc_know(&m->given, &th->know);
    else
        stmc_know(&m->given, &th->released);
    m->given.view[op->loc] = number;
    if (from) stmc_know(&m->given, &l->messages[from - 1].given);
    if (op->order == STMC_seq_cst) l->sc_floor = number;
    C->n_writes += memcmp(l->p, &value, l->n) != 0; /* else no spinner has anything new to see */
    memcpy(l->p, &value, l->n);
}

static void sc_fence(thread *th)
{
    stmc_know(&th->know, &C->sc);
    for (int i = 0; i < C->n_locs; i++)
        if (C->locs[i].sc_floor > th->know.view[i]) th->know.view[i] = C->locs[i].sc_floor;
    for (int i = 0; i < C->n_locs; i++) {
        if (th->know.view[i] > C->sc.view[i]) C->sc.view[i] = th->know.view[i];
        if (C->sc.view[i] > C->locs[i].sc_floor) C->locs[i].sc_floor = C->sc.view[i];
    }
}

static void fence(int t, stmc_order order)
{
    thread *th = &C->threads[t];
    if (acquires(order)) stmc_know(&th->know, &th->acquired);
    if (order == STMC_seq_cst) sc_fence(th);
    if (releases(order)) th->released = th->know;
}

/* membarrier: a fence on every thread, then one more here, so that both directions are seen. */
static void heavy(int t)
{
    for (int i = 1; i <= C->n_threads; i++) fence(i, STMC_seq_cst);
    fence(t, STMC_seq_cst);
    for (int i = 1; i <= C->n_threads; i++) fence(i, STMC_seq_cst);
}

static uint64_t modify(const pending *op, uint64_t old)
{
    const uint64_t mask = op->n == 8 ? ~(uint64_t)0 : ((uint64_t)1 << (8 * op->n)) - 1;
    switch (op->op) {
    case STMC_ADD: return (old + op->value) & mask;
    case STMC_SUB: return (old - op->value) & mask;
    case STMC_OR: return old | op->value;
    case STMC_AND: return old & op->value;
    default: return op->value;
    }
}

static void wake(location *l, uint64_t most)
{
    for (int i = 1; i <= C->n_threads && most; i++) {
        thread *w = &C->threads[i];
        if (w->state != RUN_WAITING || w->next.p != (void *)l->p) continue;
        w->state = RUN_READY;
        w->woken = true;
        most--;
    }
}

static void perform_at(int t, pending *op, uint32_t m, step *s)
{
    thread *th = &C->threads[t];
    location *l = &C->locs[op->loc];
    const uint32_t newest = l->n_messages - 1;
    switch (op->op) {
    case STMC_LOAD:
        op->result = l->messages[m].value;
        s->read = m + 1;
        read_message(t, op, m, op->order);
        break;
    case STMC_STORE:
        write_message(t, op, op->value, 0);
        s->written = l->n_messages;
        break;
    case STMC_CAS:
        op->result = l->messages[m].value == op->expected;
        s->read = m + 1;
        read_message(t, op, m, op->order);
        op->expected = l->messages[m].value;
        if (!op->result) break;
        write_message(t, op, op->value, m + 1);
        s->written = l->n_messages;
        break;
    case STMC_WAIT: /* the kernel looks at the newest value */
        op->result = l->messages[newest].value != op->value;
        s->read = newest + 1;
        th->know.view[op->loc] = newest;
        if (!op->result) th->state = RUN_WAITING;
        break;
    case STMC_WAKE: wake(l, op->value); break;
    default: /* exchange, add, sub, or, and */
        op->result = l->messages[newest].value;
        s->read = newest + 1;
        read_message(t, op, newest, op->order);
        write_message(t, op, modify(op, op->result), newest + 1);
        s->written = l->n_messages;
    }
}

void stmc_perform(int t, uint32_t m)
{
    thread *th = &C->threads[t];
    pending *op = &th->next;
    if (C->n_steps == MAX_STEPS) {
        stmc_fail("%d operations and no end: a loop that nothing ends, or a scene too large",
                  MAX_STEPS);
        return;
    }
    step *s = &C->steps[C->n_steps++];
    *s = (step){.thread = t};
    C->n_ops[t]++;
    if (op->site && op->site->state) op->site->state->n_done++;
    switch (op->op) {
    case STMC_FENCE: fence(t, op->order); break;
    case STMC_HEAVY:
        if (op->order == STMC_seq_cst) heavy(t); /* a mutant takes it away */
        break;
    case STMC_YIELD: break;
    default:
        if (!stmc_begun(op->p, op->n)) return;
        perform_at(t, op, m, s);
        C->locs[op->loc].used.at[t] = th->know.vc.at[t];
        s->newest = C->locs[op->loc].n_messages;
    }
    th->know.vc.at[t]++; /* what follows is not part of what this published */
    s->op = *op;
}
