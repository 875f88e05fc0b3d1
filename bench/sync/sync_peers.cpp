// The queues of others in bench_sync: Boost.Lockfree, oneTBB, moodycamel. A header that is not
// there leaves its rows out and its name in sync_missing. Rows end with an empty one.
#include "sync_bench.h"

#include <utility>

#if __has_include(<boost/lockfree/spsc_queue.hpp>)
#define HAVE_BOOST 1
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#endif
#if __has_include(<concurrentqueue/concurrentqueue.h>)
#define HAVE_MOODYCAMEL 1
#include <concurrentqueue/concurrentqueue.h>
#endif
#if HAVE_TBB && __has_include(<tbb/concurrent_queue.h>)
#include <tbb/concurrent_queue.h>
#endif

namespace
{
template <class Q> void drop(void *q)
{
    delete static_cast<Q *>(q);
}

#if HAVE_BOOST
using boost_pair = boost::lockfree::spsc_queue<uint64_t>;
void *boost_pair_make(uint32_t ring)
{
    return new boost_pair(ring);
}
SYNC_PAIR_LOOPS(boost1, boost_pair, q->push(item), q->pop(item))
SYNC_TRIP_LOOPS(boost1, boost_pair, q->push(item), q->pop(item))
SYNC_BATCH_LOOPS(boost8, boost_pair, 8, q->push(words, n), q->pop(words, n))
SYNC_BATCH_LOOPS(boost32, boost_pair, 32, q->push(words, n), q->pop(words, n))
SYNC_BATCH_LOOPS(boost256, boost_pair, 256, q->push(words, n), q->pop(words, n))

using boost_many = boost::lockfree::queue<uint64_t>;
void *boost_many_make(uint32_t ring)
{
    return new boost_many(ring);
}
SYNC_MANY_LOOPS(boostn, boost_many, (void)0, q->push(item), (void)0, (void)0, q->pop(item), (void)0)

using boost_fixed = boost::lockfree::queue<uint64_t, boost::lockfree::capacity<SYNC_RING>>;
void *boost_fixed_make(uint32_t)
{
    return new boost_fixed;
}
SYNC_MANY_LOOPS(boostf, boost_fixed, (void)0, q->bounded_push(item), (void)0, (void)0, q->pop(item),
                (void)0)
#endif

#if HAVE_MOODYCAMEL
using moody = moodycamel::ConcurrentQueue<uint64_t>;
void *moody_make(uint32_t ring)
{
    return new moody(ring);
}
// Tokens for a pair live beside the queue: one producer, one consumer.
struct moody_pair {
    moody queue;
    moodycamel::ProducerToken in{queue};
    moodycamel::ConsumerToken out{queue};
    explicit moody_pair(uint32_t ring) : queue(ring) {}
};
void *moody_pair_make(uint32_t ring)
{
    return new moody_pair(ring);
}
SYNC_PAIR_LOOPS(moody1, moody_pair, q->queue.try_enqueue(q->in, item),
                q->queue.try_dequeue(q->out, item))
SYNC_TRIP_LOOPS(moody1, moody_pair, q->queue.try_enqueue(q->in, item),
                q->queue.try_dequeue(q->out, item))
SYNC_BATCH_LOOPS(moody32, moody_pair, 32, q->queue.try_enqueue_bulk(q->in, words, n) ? n : 0,
                 q->queue.try_dequeue_bulk(q->out, words, n))
SYNC_MANY_LOOPS(moodyn, moody, (void)0, q->enqueue(item), (void)0, (void)0, q->try_dequeue(item),
                (void)0)
SYNC_MANY_LOOPS(moodyt, moody, moodycamel::ProducerToken token(*q), q->enqueue(token, item),
                (void)0, moodycamel::ConsumerToken token(*q), q->try_dequeue(token, item), (void)0)
#endif

#if HAVE_TBB
using tbb_many = tbb::concurrent_queue<uint64_t>;
void *tbb_make(uint32_t)
{
    return new tbb_many;
}
SYNC_MANY_LOOPS(tbbn, tbb_many, (void)0, (q->push(item), true), (void)0, (void)0, q->try_pop(item),
                (void)0)
#endif

// Throughput alone, or with round trips: rows as the C side writes them by name.
[[maybe_unused]] sync_queue_kind row(const char *name, const char *order, const char *progress,
                                     void *(*make)(uint32_t), void (*destroy)(void *),
                                     decltype(sync_queue_kind::produce) produce,
                                     decltype(sync_queue_kind::consume) consume,
                                     decltype(sync_queue_kind::client) client = nullptr,
                                     decltype(sync_queue_kind::server) server = nullptr)
{
    return {name,    order,   progress, false,  make,    destroy,
            produce, consume, client,   server, nullptr, nullptr};
}
} // namespace

extern "C" {
const sync_queue_kind sync_spsc_peers[] = {
#if HAVE_BOOST
    row("boost::lockfree::spsc_queue", "FIFO", "wait-free", boost_pair_make, drop<boost_pair>,
        boost1_produce, boost1_consume, boost1_client, boost1_server),
    row("boost::lockfree::spsc_queue by 8", "FIFO", "wait-free", boost_pair_make, drop<boost_pair>,
        boost8_produce, boost8_consume),
    row("boost::lockfree::spsc_queue by 32", "FIFO", "wait-free", boost_pair_make, drop<boost_pair>,
        boost32_produce, boost32_consume),
    row("boost::lockfree::spsc_queue by 256", "FIFO", "wait-free", boost_pair_make,
        drop<boost_pair>, boost256_produce, boost256_consume),
#endif
#if HAVE_MOODYCAMEL
    row("moodycamel, tokens", "FIFO of a producer", "lock-free", moody_pair_make, drop<moody_pair>,
        moody1_produce, moody1_consume, moody1_client, moody1_server),
    row("moodycamel, tokens by 32", "FIFO of a producer", "lock-free", moody_pair_make,
        drop<moody_pair>, moody32_produce, moody32_consume),
#endif
    sync_queue_kind{},
};

const sync_queue_kind sync_mpmc_peers[] = {
#if HAVE_BOOST
    row("boost::lockfree::queue", "strict FIFO", "lock-free", boost_many_make, drop<boost_many>,
        boostn_produce, boostn_consume),
    row("boost::lockfree::queue, fixed", "strict FIFO", "lock-free", boost_fixed_make,
        drop<boost_fixed>, boostf_produce, boostf_consume),
#endif
#if HAVE_TBB
    row("oneTBB concurrent_queue", "strict FIFO", "blocking", tbb_make, drop<tbb_many>,
        tbbn_produce, tbbn_consume),
#endif
#if HAVE_MOODYCAMEL
    row("moodycamel, tokens", "FIFO of a producer", "lock-free", moody_make, drop<moody>,
        moodyt_produce, moodyt_consume),
    row("moodycamel", "FIFO of a producer", "lock-free", moody_make, drop<moody>, moodyn_produce,
        moodyn_consume),
#endif
    sync_queue_kind{},
};

const char *const sync_missing[] = {
#if !HAVE_BOOST
    "Boost.Lockfree (libboost-dev)",
#endif
#if !HAVE_MOODYCAMEL
    "moodycamel (libconcurrentqueue-dev)",
#endif
#if !HAVE_TBB
    "oneTBB (libtbb-dev)",
#endif
    nullptr,
};
}
