/*
 * lamina/lamina.h - everything a user of the library needs, in one include.
 *
 * base: statuses, engine. tensor: values. model: loading. session: running.
 * io: values from files. info: what was chosen. device: own devices.
 * view: graphs to look at. plugin: operators from shared libraries,
 * loaded into an engine. quantize: models in 8 and 4 bits. log: a log
 * that may be written from anywhere, and its collector. trace: one
 * timeline of what happened, readable from other processes. gemm:
 * matrix products alone. tune: other ways of reading and cutting,
 * measured for a model on this machine and kept for later sessions.
 * client: asking a model server, in one call after the other. loadgen:
 * loading it with requests and timing the answers honestly.
 * serve: a model server in your process: a file or a folder of models
 * over HTTP with the KServe v2 protocol, batches, bounds, models that
 * are replaced while requests are answered, metrics.
 *
 * A program needs nothing else of Lamina, and links one library.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_LAMINA_H
#define LAMINA_LAMINA_H

#include "lamina/base.h"
#include "lamina/client.h"
#include "lamina/device.h"
#include "lamina/gemm.h"
#include "lamina/info.h"
#include "lamina/io.h"
#include "lamina/loadgen.h"
#include "lamina/log.h"
#include "lamina/model.h"
#include "lamina/plugin.h"
#include "lamina/prepack.h"
#include "lamina/quantize.h"
#include "lamina/serve.h"
#include "lamina/session.h"
#include "lamina/tensor.h"
#include "lamina/trace.h"
#include "lamina/tune.h"
#include "lamina/view.h"

#endif /* LAMINA_LAMINA_H */
