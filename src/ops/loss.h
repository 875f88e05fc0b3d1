/*
 * Cross entropy over class scores [N, C, D...]: the part NegativeLogLikelihoodLoss and
 * SoftmaxCrossEntropyLoss share. Labels equal to ignore_index contribute nothing; the mean divides
 * by the sum of the weights of the labels that count. Any other label outside [0, C) is an error.
 */
#ifndef LMN_OPS_LOSS_H
#define LMN_OPS_LOSS_H

#include "ops/op.h"

/* Shape of the loss (output 0); with log_prob, output 1 is like the scores. */
lamina_status lmn_loss_infer(lmn_infer *ic);
/* softmax: the scores are logits, else log probabilities. */
lamina_status lmn_loss_eval(lmn_eval *ec, bool softmax);

#endif
