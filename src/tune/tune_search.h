/*
 * The search for one problem: which choice the next run shall use, and who won. It knows numbers
 * alone: whoever measures asks lmn_search_next, measures that choice, and feeds the time back.
 *
 * A pair is one time of the rule (choice 0) and one of a rival, next to each other in time, the
 * order turning from pair to pair; its ratio is the rule's time over the rival's. All rivals take
 * part in a round in turn. After 3 and 6 rounds the better half stays, and who is clearly slower
 * goes at once; the last one has won if, over 15 pairs or more,
 *
 *   the median ratio is above `least`, and so many pairs say so that chance would make it 1 % of
 *   the time at most (sign test, ties against).
 *
 * A promising one that the sign test does not confirm gets up to 31 pairs.
 */
#ifndef LMN_TUNE_SEARCH_H
#define LMN_TUNE_SEARCH_H

#include "kernels/choice.h"

enum { LMN_SEARCH_PAIRS = 31, LMN_SEARCH_JUDGED = 15 };
#define LMN_SEARCH_LEAST 1.03

/* Ratios of one rival. */
typedef struct lmn_pairs {
    float ratio[LMN_SEARCH_PAIRS];
    int32_t n;
} lmn_pairs;

typedef struct lmn_search {
    int32_t n;                            /* rivals: choices 1 .. n */
    lmn_pairs pairs[LMN_CHOICE_MOST + 1]; /* by choice; [0] is not used */
    bool out[LMN_CHOICE_MOST + 1];
    int32_t rival, target; /* now measured; pairs that each rival shall have in this stage */
    double first;          /* the first time of the pair under way, 0 = none yet */
    bool done;
    int32_t winner; /* when done: a choice, 0 = the rule stays */
    double gain;    /* its median ratio; of the best one seen, if the rule stays */
    double least;
} lmn_search;

/* `n` rivals; 0: done at once. */
void lmn_search_init(lmn_search *s, int32_t n);
/* The choice to measure now; 0 when done. */
int32_t lmn_search_next(const lmn_search *s);
/* The time of lmn_search_next(s); <= 0, or a disturbed pair: lmn_search_again. */
void lmn_search_feed(lmn_search *s, double ns);
/* Forget the pair under way. */
void lmn_search_again(lmn_search *s);
/* No more time: who has 15 pairs is judged, else the rule stays. */
void lmn_search_stop(lmn_search *s);
/* Pairs still to come if nobody drops out: for a forecast. */
int32_t lmn_search_left(const lmn_search *s);
/* Pairs that a search of n rivals takes at most, without the extra ones of the sign test. */
int32_t lmn_search_cost(int32_t n);

double lmn_pairs_median(const lmn_pairs *p);
/* Are so many ratios above 1 that chance would be 1 % at most? */
bool lmn_pairs_sure(const lmn_pairs *p);

#endif
