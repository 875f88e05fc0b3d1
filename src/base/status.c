/*
 * Names and texts of statuses, out of the one list in lamina/base.h.
 */
#include "base/types.h"

const char *lamina_status_name(lamina_status status)
{
    switch (status) {
#define X(name, value, text) \
    case value: return #name;
        LAMINA_STATUS_LIST(X)
#undef X
    default: return "E_UNKNOWN";
    }
}

const char *lamina_status_text(lamina_status status)
{
    switch (status) {
#define X(name, value, text) \
    case value: return text;
        LAMINA_STATUS_LIST(X)
#undef X
    default: return "unknown status";
    }
}

const char *lamina_version(void)
{
    return LAMINA_VERSION_STRING;
}
