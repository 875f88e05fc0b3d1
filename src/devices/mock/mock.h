/*
 * The mock device: runs what it is told to by reference evaluation, counts what it is asked, and
 * fails on request. For tests of placement and of errors that a real device gives once a year.
 * Built in, never registered by itself: lamina_device_register(engine, &lmn_device_mock, options,
 * &err).
 *
 * Options, separated by spaces: "ops=A,B" supports only these operators of the default domain
 * (without it: all); "fail=K" the K-th execution, counted from 1, fails with E_DEVICE.
 */
#ifndef LMN_DEVICES_MOCK_H
#define LMN_DEVICES_MOCK_H

#include "lamina/device.h"

extern const lamina_device_vtable lmn_device_mock;

typedef struct lmn_mock_counts {
    int64_t supports, compiled, freed, executed;
} lmn_mock_counts;

/* Counters of an instance so far; `self` is what open() made. */
void lmn_mock_count(void *self, lmn_mock_counts *out);

#endif
