// The pools of others in bench_sync: oneTBB's task_group, a pool of threads under a mutex, and
// std::async for the record (a thread a task; it is asked for few).
#include "sync_bench.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#if HAVE_TBB && __has_include(<tbb/task_group.h>)
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#define HAVE_TASKS 1
#endif

namespace
{
#if HAVE_TASKS
struct tbb_pool {
    tbb::global_control control;
    tbb::task_arena arena;
    explicit tbb_pool(uint32_t threads)
        : control(tbb::global_control::max_allowed_parallelism, threads),
          arena(static_cast<int>(threads))
    {
    }
};
void *tbb_make(uint32_t threads)
{
    return new tbb_pool(threads);
}
void tbb_destroy(void *p)
{
    delete static_cast<tbb_pool *>(p);
}
void tbb_empty(void *p, uint8_t *done, uint64_t n)
{
    static_cast<tbb_pool *>(p)->arena.execute([=] {
        tbb::task_group g;
        for (uint64_t i = 0; i < n; i++) g.run([done, i] { ++done[i]; });
        g.wait();
    });
}
uint64_t tbb_fib_in(uint32_t n)
{
    if (n < 2) return n;
    uint64_t a = 0;
    tbb::task_group g;
    g.run([&a, n] { a = tbb_fib_in(n - 1); });
    const uint64_t b = tbb_fib_in(n - 2);
    g.wait();
    return a + b;
}
uint64_t tbb_fib(void *p, uint32_t n)
{
    uint64_t value = 0;
    static_cast<tbb_pool *>(p)->arena.execute([&] { value = tbb_fib_in(n); });
    return value;
}
#endif

// The pool one writes at first: a deque, a lock, a condition.
class mutex_pool
{
    std::mutex lock;
    std::condition_variable work, idle;
    std::deque<std::function<void()>> tasks;
    uint64_t left = 0;
    bool ending = false;
    std::vector<std::thread> threads;

    void serve()
    {
        std::unique_lock<std::mutex> held(lock);
        for (;;) {
            work.wait(held, [this] { return ending || !tasks.empty(); });
            if (tasks.empty()) return;
            auto task = std::move(tasks.front());
            tasks.pop_front();
            held.unlock();
            task();
            held.lock();
            if (--left == 0) idle.notify_all();
        }
    }

  public:
    explicit mutex_pool(uint32_t n)
    {
        for (uint32_t i = 0; i < n; i++) threads.emplace_back([this] { serve(); });
    }
    ~mutex_pool()
    {
        {
            std::lock_guard<std::mutex> held(lock);
            ending = true;
        }
        work.notify_all();
        for (auto &t : threads) t.join();
    }
    template <class F> void run(F task)
    {
        {
            std::lock_guard<std::mutex> held(lock);
            tasks.emplace_back(std::move(task));
            left++;
        }
        work.notify_one();
    }
    void wait()
    {
        std::unique_lock<std::mutex> held(lock);
        idle.wait(held, [this] { return left == 0; });
    }
};
void *mutex_make(uint32_t threads)
{
    return new mutex_pool(threads);
}
void mutex_destroy(void *p)
{
    delete static_cast<mutex_pool *>(p);
}
void mutex_empty(void *p, uint8_t *done, uint64_t n)
{
    auto *pool = static_cast<mutex_pool *>(p);
    for (uint64_t i = 0; i < n; i++) pool->run([done, i] { ++done[i]; });
    pool->wait();
}

void *async_make(uint32_t)
{
    return nullptr;
}
void async_destroy(void *) {}
void async_empty(void *, uint8_t *done, uint64_t n)
{
    std::vector<std::future<void>> all;
    for (uint64_t i = 0; i < n; i++)
        all.push_back(std::async(std::launch::async, [done, i] { ++done[i]; }));
    for (auto &f : all) f.get();
}
} // namespace

extern "C" {
const sync_pool_kind sync_pool_peers[] = {
#if HAVE_TASKS
    {"oneTBB task_group", false, tbb_make, tbb_destroy, tbb_empty, tbb_fib, 0, nullptr},
#endif
    {"mutex pool", false, mutex_make, mutex_destroy, mutex_empty, nullptr, 0, nullptr},
    {"std::async", false, async_make, async_destroy, async_empty, nullptr, 2000, nullptr},
    {},
};
}
