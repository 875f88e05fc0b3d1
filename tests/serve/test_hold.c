/*
 * How long answers of a loop that runs a model itself wait for those of its next runs, by a clock
 * that is an argument.
 */
#include "serve/server_int.h"

#include "t.h"

#define MS UINT64_C(1000000)

static void test_until_the_last(t_env *env)
{
    (void)env;
    uint64_t until = 0;
    lmn_model_here here = {.more = true, .waited_ns = 20 * MS, .ran_ns = 2 * MS};
    T_CHECK(lmn_call_holds(&until, &here, 100 * MS)); /* a fourth of 20 ms: two runs more */
    T_EQ(until, 105 * MS);
    here.waited_ns = 80 * MS; /* the first of those that wait has set it */
    T_CHECK(lmn_call_holds(&until, &here, 102 * MS));
    T_EQ(until, 105 * MS);
    T_CHECK(!lmn_call_holds(&until, &here, 104 * MS)); /* the next would end after it */
    T_EQ(until, 0);
    T_CHECK(lmn_call_holds(&until, &here, 106 * MS)); /* a new wait, now of the most there is */
    T_EQ(until, 114 * MS);
    here.more = false;
    T_CHECK(!lmn_call_holds(&until, &here, 108 * MS)); /* nothing comes after */
    T_EQ(until, 0);
}

static void test_bounds(t_env *env)
{
    (void)env;
    uint64_t until = 0;
    lmn_model_here here = {.more = true, .waited_ns = 8 * MS, .ran_ns = 2 * MS};
    T_CHECK(lmn_call_holds(&until, &here, 10 * MS)); /* the next ends when the wait does */
    here.ran_ns++, until = 0;
    T_CHECK(!lmn_call_holds(&until, &here, 10 * MS)); /* and so late that nothing ever waits */
    T_EQ(until, 0);
    here.waited_ns = 0, here.ran_ns = 1;
    T_CHECK(!lmn_call_holds(&until, &here, 10 * MS)); /* who has not waited waits for nobody */
    here = (lmn_model_here){.more = true, .waited_ns = UINT64_MAX, .ran_ns = 8 * MS};
    T_CHECK(lmn_call_holds(&until, &here, 10 * MS));
    T_EQ(until, 18 * MS);
}

T_MAIN(T_TEST(test_until_the_last), T_TEST(test_bounds))
