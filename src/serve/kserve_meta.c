/*
 * Metadata of the server and of a model, in the field names of KServe v2 and Triton.
 */
#include "serve/kserve_int.h"

#include "base/number.h"

static void ports(lmn_jsonw *w, const char *key, const lmn_serve_port *p, uint32_t n)
{
    lmn_jsonw_array(w, key);
    for (uint32_t i = 0; i < n; i++) {
        const char *type = lmn_kserve_type(p[i].dtype);
        lmn_jsonw_object(w, NULL);
        lmn_jsonw_str(w, "name", p[i].name);
        lmn_jsonw_str(w, "datatype", type ? type : "INVALID");
        lmn_jsonw_array(w, "shape");
        if (p[i].rank < 0) lmn_jsonw_i64(w, NULL, -1); /* the protocol cannot say "any rank" */
        for (int32_t k = 0; k < p[i].rank; k++) lmn_jsonw_i64(w, NULL, p[i].dims[k]);
        lmn_jsonw_end(w);
        lmn_jsonw_end(w);
    }
    lmn_jsonw_end(w);
}

void lmn_kserve_model_metadata(lmn_jsonw *w, const lmn_signature *s, const uint64_t *versions,
                               uint32_t n)
{
    lmn_jsonw_object(w, NULL);
    lmn_jsonw_str(w, "name", s->model);
    lmn_jsonw_array(w, "versions");
    for (uint32_t i = 0; i < n; i++) {
        char text[LMN_NUMBER_BYTES];
        lmn_jsonw_strn(w, NULL, text, lmn_u64_write(text, versions[i]));
    }
    lmn_jsonw_end(w);
    lmn_jsonw_str(w, "platform", s->platform);
    ports(w, "inputs", s->in, s->n_in);
    ports(w, "outputs", s->out, s->n_out);
    lmn_jsonw_end(w);
}

const char *const lmn_kserve_extensions[] = {
    "classification",      "binary_tensor_data", "parameters", "schedule_policy",
    "model_configuration", "model_repository",   "statistics"};
const uint32_t lmn_kserve_n_extensions = LMN_COUNT(lmn_kserve_extensions);

void lmn_kserve_server_metadata(lmn_jsonw *w)
{
    lmn_jsonw_object(w, NULL);
    lmn_jsonw_str(w, "name", "lamina");
    lmn_jsonw_str(w, "version", LAMINA_VERSION_STRING);
    lmn_jsonw_array(w, "extensions");
    for (uint32_t i = 0; i < lmn_kserve_n_extensions; i++)
        lmn_jsonw_str(w, NULL, lmn_kserve_extensions[i]);
    lmn_jsonw_end(w);
    lmn_jsonw_end(w);
}
