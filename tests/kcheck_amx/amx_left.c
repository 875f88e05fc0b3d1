/*
 * Before every case of kcheck, by the linker's --wrap: did the one before leave tiles configured?
 */
#include "kcheck/kcheck.h"
#include "kcheck_amx/amx_model.h"

void __real_kc_case(kc_ctx *kc);
void __wrap_kc_case(kc_ctx *kc);

void __wrap_kc_case(kc_ctx *kc)
{
    if (amx_model_left()) kc_fail(kc, "a call has left tiles configured");
    __real_kc_case(kc);
}
