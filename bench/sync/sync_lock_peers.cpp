// The caches of others in bench_sync: the usual one, written out (a mutex, a hash table, a list, a
// shared pointer to each value), and oneTBB's, where it is. Rows end with an empty one.
#include "sync_locks.h"

#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#if HAVE_TBB && __has_include(<tbb/concurrent_lru_cache.h>)
#define HAVE_TBB_CACHE 1
#define TBB_PREVIEW_CONCURRENT_LRU_CACHE 1
#include <tbb/concurrent_lru_cache.h>
#endif

namespace
{
// Builds under its lock, which is the simplest way to build once.
class usual
{
  public:
    std::shared_ptr<uint64_t> get(uint64_t key)
    {
        std::lock_guard<std::mutex> guard(lock_);
        auto at = at_.find(key);
        if (at != at_.end()) {
            order_.splice(order_.begin(), order_, at->second.place);
            return at->second.value;
        }
        if (at_.size() == SYNC_CACHE_ENTRIES) {
            at_.erase(order_.back());
            order_.pop_back();
        }
        order_.push_front(key);
        auto value = std::make_shared<uint64_t>(key + 1);
        at_[key] = {value, order_.begin()};
        return value;
    }

  private:
    struct entry {
        std::shared_ptr<uint64_t> value;
        std::list<uint64_t>::iterator place;
    };
    std::mutex lock_;
    std::list<uint64_t> order_;
    std::unordered_map<uint64_t, entry> at_;
};

void *usual_make()
{
    return new usual;
}

void usual_destroy(void *x)
{
    delete static_cast<usual *>(x);
}

uint64_t usual_ask(void *x, uint64_t n, uint64_t keys, uint64_t seed)
{
    uint64_t wrong = 0;
    for (; n; n--) {
        const uint64_t k = sync_random(&seed) % keys;
        wrong += *static_cast<usual *>(x)->get(k) != k + 1;
    }
    return wrong;
}

#if HAVE_TBB_CACHE
using tbb_cache = tbb::concurrent_lru_cache<uint64_t, uint64_t>;

uint64_t tbb_build(uint64_t key)
{
    return key + 1;
}

void *tbb_make()
{
    return new tbb_cache(tbb_build, SYNC_CACHE_ENTRIES);
}

void tbb_destroy(void *x)
{
    delete static_cast<tbb_cache *>(x);
}

uint64_t tbb_ask(void *x, uint64_t n, uint64_t keys, uint64_t seed)
{
    uint64_t wrong = 0;
    for (; n; n--) {
        const uint64_t k = sync_random(&seed) % keys;
        tbb_cache::handle h = (*static_cast<tbb_cache *>(x))[k];
        wrong += h.value() != k + 1;
    }
    return wrong;
}
#endif
} // namespace

extern "C" const sync_lock_kind sync_locks_others[] = {
    {"mutex, map and list", "blocking", false, true, usual_make, usual_destroy, nullptr, usual_ask},
#if HAVE_TBB_CACHE
    {"oneTBB concurrent_lru_cache", "blocking", false, true, tbb_make, tbb_destroy, nullptr,
     tbb_ask},
#endif
    {nullptr, nullptr, false, false, nullptr, nullptr, nullptr, nullptr},
};
