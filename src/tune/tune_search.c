/*
 * Successive halving by paired ratios (tune_search.h).
 */
#include "tune/tune_search.h"

static const int32_t STAGES[] = {3, 6, LMN_SEARCH_JUDGED};
enum { N_STAGES = 3, EXTRA = 4 /* pairs added while the sign test hesitates */ };
static const double slower = 0.98;    /* out at once, when three pairs say so */
static const double hopeless = 1.005; /* not worth the pairs of the last stage */

double lmn_pairs_median(const lmn_pairs *p)
{
    float r[LMN_SEARCH_PAIRS];
    if (p->n == 0) return 0;
    for (int32_t i = 0; i < p->n; i++) {
        int32_t k = i;
        for (; k > 0 && r[k - 1] > p->ratio[i]; k--) r[k] = r[k - 1];
        r[k] = p->ratio[i];
    }
    return p->n % 2 ? (double)r[p->n / 2] : ((double)r[p->n / 2 - 1] + (double)r[p->n / 2]) / 2;
}

bool lmn_pairs_sure(const lmn_pairs *p)
{
    int32_t wins = 0;
    for (int32_t i = 0; i < p->n; i++) wins += p->ratio[i] > 1.0f;
    /* P(X >= wins) of n fair coins, summed from the top */
    double term = 1, tail = 0;
    for (int32_t i = 0; i < p->n; i++) term *= 0.5;
    for (int32_t k = p->n; k >= wins; k--) {
        tail += term;
        term = term * k / (p->n - k + 1);
    }
    return p->n > 0 && tail <= 0.01;
}

void lmn_search_init(lmn_search *s, int32_t n)
{
    *s = (lmn_search){.n = n, .rival = 1, .target = STAGES[0], .done = n == 0, .gain = 0};
    s->least = LMN_SEARCH_LEAST;
}

/* In a pair of odd number the rival comes first. */
static bool rival_first(const lmn_search *s)
{
    return s->pairs[s->rival].n % 2 == 1;
}

int32_t lmn_search_next(const lmn_search *s)
{
    if (s->done) return 0;
    return rival_first(s) == (s->first == 0) ? s->rival : 0;
}

void lmn_search_again(lmn_search *s)
{
    s->first = 0;
}

/* The best that is left, 0 = nobody; *left counts them. */
static int32_t best_of(const lmn_search *s, int32_t *left)
{
    int32_t best = 0;
    *left = 0;
    for (int32_t i = 1; i <= s->n; i++) {
        if (s->out[i]) continue;
        (*left)++;
        if (!best || lmn_pairs_median(&s->pairs[i]) > lmn_pairs_median(&s->pairs[best])) best = i;
    }
    return best;
}

static void judge(lmn_search *s, int32_t best)
{
    const lmn_pairs *p = &s->pairs[best];
    s->done = true;
    s->gain = best ? lmn_pairs_median(p) : 0;
    const bool won = best && p->n >= LMN_SEARCH_JUDGED && s->gain > s->least && lmn_pairs_sure(p);
    s->winner = won ? best : 0;
}

/* Only the better half stays, of those who are not clearly slower. */
static int32_t halve(lmn_search *s)
{
    int32_t left, best = best_of(s, &left);
    for (int32_t i = 1; i <= s->n; i++) {
        if (s->out[i] || lmn_pairs_median(&s->pairs[i]) >= slower) continue;
        s->out[i] = true, left--;
    }
    const int32_t stay = (left + 1) / 2;
    while (left > stay) {
        int32_t worst = 0;
        for (int32_t i = s->n; i >= 1; i--)
            if (!s->out[i] &&
                (!worst || lmn_pairs_median(&s->pairs[i]) < lmn_pairs_median(&s->pairs[worst])))
                worst = i;
        s->out[worst] = true, left--;
    }
    return left ? best : 0;
}

/* All rivals have the pairs of this stage. */
static void end_stage(lmn_search *s)
{
    int32_t left, stage = 0;
    while (stage < N_STAGES && s->target != STAGES[stage]) stage++;
    if (stage >= N_STAGES - 1) {
        const int32_t best = best_of(s, &left);
        const lmn_pairs *p = &s->pairs[best];
        const bool hopes = lmn_pairs_median(p) > s->least && !lmn_pairs_sure(p);
        if (!hopes || s->target + EXTRA > LMN_SEARCH_PAIRS) {
            judge(s, best);
            return;
        }
        for (int32_t i = 1; i <= s->n; i++) s->out[i] = i != best;
        s->target += EXTRA;
        return;
    }
    const int32_t seen = best_of(s, &left), best = halve(s);
    if (!best || (stage > 0 && lmn_pairs_median(&s->pairs[best]) < hopeless)) {
        s->done = true;
        s->gain = lmn_pairs_median(&s->pairs[seen]);
        return;
    }
    s->target = STAGES[stage + 1];
}

/* The next rival of this round, the next round, or the next stage. */
static void advance(lmn_search *s)
{
    const int32_t round = s->pairs[s->rival].n;
    do s->rival++;
    while (s->rival <= s->n && s->out[s->rival]);
    if (s->rival <= s->n) return;
    if (round >= s->target) end_stage(s);
    s->rival = 1;
    while (!s->done && s->out[s->rival]) s->rival++;
}

void lmn_search_feed(lmn_search *s, double ns)
{
    if (s->done || !(ns > 0)) return;
    if (s->first == 0) {
        s->first = ns;
        return;
    }
    lmn_pairs *p = &s->pairs[s->rival];
    p->ratio[p->n] = (float)(rival_first(s) ? ns / s->first : s->first / ns);
    p->n++;
    s->first = 0;
    advance(s);
}

void lmn_search_stop(lmn_search *s)
{
    int32_t left;
    if (!s->done) judge(s, best_of(s, &left));
}

int32_t lmn_search_cost(int32_t n)
{
    int32_t cost = 0;
    for (int i = 0; i < N_STAGES; i++) {
        cost += n * (STAGES[i] - (i ? STAGES[i - 1] : 0));
        n = (n + 1) / 2;
    }
    return cost;
}

int32_t lmn_search_left(const lmn_search *s)
{
    int32_t n = 0, cost = 0, target = s->target;
    if (s->done) return 0;
    for (int32_t i = 1; i <= s->n; i++) {
        if (s->out[i]) continue;
        n++;
        cost += target > s->pairs[i].n ? target - s->pairs[i].n : 0;
    }
    for (int i = 0; i < N_STAGES; i++) {
        if (STAGES[i] <= target) continue;
        n = (n + 1) / 2;
        cost += n * (STAGES[i] - target);
        target = STAGES[i];
    }
    return cost;
}
