/*
 * The page at "/": a table of models written by the server, which a script keeps up to date where
 * scripts run. What comes out of files is escaped; the script sets text, never markup. Also the
 * description of the protocol for machines, /openapi.json.
 */
#include "serve/server_int.h"

#include "base/os/os_env.h"
#include "base/os/os_time.h"

#include <string.h>

const char lmn_page_css[] =
    ":root{color-scheme:light dark;--ink:#1b1f24;--dim:#5b6570;--paper:#fff;--line:#d8dee4;"
    "--good:#1a7f37;--bad:#b42318;--bar:#4078c0}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--dim:#9aa4af;--paper:#12161b;"
    "--line:#2d343c;--good:#4ac26b;--bad:#ff7b72;--bar:#6ea8fe}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:72rem;padding:1rem;font:15px/1.5 system-ui,sans-serif;"
    "color:var(--ink);background:var(--paper)}\n"
    "h1{font-size:1.3rem;margin:.2rem 0}\n"
    "p,dl{color:var(--dim);margin:.3rem 0 1rem}\n"
    "dl{display:flex;flex-wrap:wrap;gap:.3rem 1.6rem}dt,dd{display:inline;margin:0}"
    "dd{color:var(--ink);font-variant-numeric:tabular-nums;margin-left:.4rem}\n"
    ".wide{overflow-x:auto}\n"
    "table{border-collapse:collapse;width:100%}\n"
    "th,td{padding:.35rem .7rem;border-bottom:1px solid var(--line);text-align:right;"
    "white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    "th{font-weight:600;color:var(--dim)}th:first-child,td:first-child,.why{text-align:left}\n"
    ".why{white-space:normal;min-width:14rem;color:var(--dim)}\n"
    "@media(max-width:60rem){.why{min-width:28rem}}\n"
    ".good{color:var(--good)}.bad{color:var(--bad)}\n"
    "a{color:var(--bar)}svg{display:block;width:100%;height:56px;margin:.3rem 0 1rem}"
    "polyline{fill:none;stroke:var(--bar);stroke-width:1.5}\n"
    "[hidden]{display:none}\n";

const char lmn_page_js[] =
    "'use strict';\n"
    "const $=id=>document.getElementById(id);\n"
    "const digits=(v,n)=>v.toLocaleString('en',{maximumFractionDigits:n});\n"
    "let last=null,rates=[];\n"
    "function cell(row,text,kind){const td=row.insertCell();td.textContent=text;"
    "if(kind)td.className=kind;}\n"
    "function batch(s){const l=s.lamina.batch_rows;let n=0,best=null;for(const b of l)"
    "if(b.count>n){n=b.count;best=b.at_most;}return best?'<= '+best:'-';}\n"
    "async function get(path,opts){const r=await fetch(path,opts);"
    "if(!r.ok)throw new Error(path);return r.json();}\n"
    "async function turn(){\n"
    "  try{\n"
    "    const [stats,index]=await Promise.all([get('/v2/models/stats'),"
    "get('/v2/repository/index',{method:'POST'})]);\n"
    "    const by=new Map(stats.model_stats.map(s=>[s.name+'/'+s.version,s]));\n"
    "    const body=document.createElement('tbody');let total=0;\n"
    "    for(const m of index){\n"
    "      const row=body.insertRow(),s=by.get(m.name+'/'+m.version);\n"
    "      cell(row,m.name);cell(row,m.version);"
    "cell(row,m.state.toLowerCase(),m.state==='READY'?'good':'bad');\n"
    "      if(s){const i=s.inference_stats,l=s.lamina;total+=i.success.count;\n"
    "        cell(row,digits(i.success.count,0));cell(row,digits(i.fail.count,0));"
    "cell(row,digits(l.p50_ms,3));cell(row,digits(l.p99_ms,3));"
    "cell(row,digits(l.queued,0));cell(row,batch(s));}\n"
    "      else for(let k=0;k<6;k++)cell(row,'-');\n"
    "      cell(row,m.reason,'why');\n"
    "    }\n"
    "    $('models').tBodies[0].replaceWith(body);\n"
    "    const now=performance.now();\n"
    "    if(last){rates.push(Math.max(0,(total-last.total)*1000/(now-last.now)));"
    "rates=rates.slice(-120);draw();}\n"
    "    last={total,now};$('state').textContent='live';$('state').className='good';\n"
    "  }catch(e){$('state').textContent='no answer';$('state').className='bad';last=null;}\n"
    "  setTimeout(turn,1000);\n"
    "}\n"
    "function draw(){const top=Math.max(1,...rates),n=rates.length;\n"
    "  $('line').setAttribute('points',rates.map((v,i)=>(600-(n-1-i)*5)+','+(54-52*v/top))"
    ".join(' '));\n"
    "  $('rate').textContent=digits(rates[n-1],0)+' requests/s';$('chart').hidden=false;}\n"
    "turn();\n";

/* Paths of the protocol; a parameter for each brace in them. `body` is the schema of what is
 * posted. */
static const struct {
    const char *path, *id;
    bool get, post;
    const char *body;
} PATHS[] = {{"/v2", "server", true, false, NULL},
             {"/v2/health/live", "live", true, false, NULL},
             {"/v2/health/ready", "ready", true, false, NULL},
             {"/v2/models/stats", "all_stats", true, false, NULL},
             {"/v2/models/{model}", "model", true, false, NULL},
             {"/v2/models/{model}/ready", "model_ready", true, false, NULL},
             {"/v2/models/{model}/config", "model_config", true, false, NULL},
             {"/v2/models/{model}/stats", "model_stats", true, false, NULL},
             {"/v2/models/{model}/infer", "infer", false, true, "infer"},
             {"/v2/models/{model}/versions/{version}", "version", true, false, NULL},
             {"/v2/models/{model}/versions/{version}/ready", "version_ready", true, false, NULL},
             {"/v2/models/{model}/versions/{version}/config", "version_config", true, false, NULL},
             {"/v2/models/{model}/versions/{version}/stats", "version_stats", true, false, NULL},
             {"/v2/models/{model}/versions/{version}/infer", "version_infer", false, true, "infer"},
             {"/v2/models/{model}/trace/setting", "model_traces", true, true, "settings"},
             {"/v2/trace/setting", "traces", true, true, "settings"},
             {"/v2/logging", "logging", true, true, "settings"},
             {"/v2/repository/index", "index", true, true, "which"},
             {"/metrics", "metrics", true, false, NULL}};

static void path_parameter(lmn_jsonw *w, const char *name, const char *pattern)
{
    lmn_jsonw_object(w, NULL);
    lmn_jsonw_str(w, "name", name);
    lmn_jsonw_str(w, "in", "path");
    lmn_jsonw_bool(w, "required", true);
    lmn_jsonw_object(w, "schema");
    lmn_jsonw_str(w, "type", "string");
    lmn_jsonw_str(w, "pattern", pattern);
    lmn_jsonw_end(w);
    lmn_jsonw_end(w);
}

static void json_content(lmn_jsonw *w, const char *schema)
{
    lmn_jsonw_object(w, "content");
    lmn_jsonw_object(w, "application/json");
    lmn_jsonw_object(w, "schema");
    lmn_jsonw_str(w, "$ref", schema);
    for (int i = 0; i < 3; i++) lmn_jsonw_end(w);
}

/* "get" or "post"; the answer has a schema only where it is an error. */
static void operation(lmn_jsonw *w, size_t i, bool post)
{
    char text[64];
    (void)lmn_format(text, sizeof text, "%s%s", post && PATHS[i].get ? "post_" : "", PATHS[i].id);
    lmn_jsonw_object(w, post ? "post" : "get");
    lmn_jsonw_str(w, "operationId", text);
    lmn_jsonw_array(w, "parameters");
    if (strstr(PATHS[i].path, "{model}"))
        path_parameter(w, "model", "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$");
    if (strstr(PATHS[i].path, "{version}")) path_parameter(w, "version", "^[1-9][0-9]{0,17}$");
    lmn_jsonw_end(w);
    if (post) {
        lmn_jsonw_object(w, "requestBody");
        lmn_jsonw_bool(w, "required", !PATHS[i].get);
        (void)lmn_format(text, sizeof text, "#/components/schemas/%s", PATHS[i].body);
        json_content(w, text);
        lmn_jsonw_end(w);
    }
    lmn_jsonw_object(w, "responses");
    lmn_jsonw_object(w, "200");
    lmn_jsonw_str(w, "description", "the answer");
    lmn_jsonw_end(w);
    lmn_jsonw_object(w, "default");
    lmn_jsonw_str(w, "description", "what was wrong, in a sentence");
    json_content(w, "#/components/schemas/error");
    for (int k = 0; k < 3; k++) lmn_jsonw_end(w);
}

static void path_item(lmn_jsonw *w, size_t i)
{
    lmn_jsonw_object(w, PATHS[i].path);
    if (PATHS[i].get) operation(w, i, false);
    if (PATHS[i].post) operation(w, i, true);
    lmn_jsonw_end(w);
}

static void property(lmn_jsonw *w, const char *name, const char *type)
{
    lmn_jsonw_object(w, name);
    lmn_jsonw_str(w, "type", type);
}

static void required(lmn_jsonw *w, const char *const *names, size_t n)
{
    lmn_jsonw_array(w, "required");
    for (size_t i = 0; i < n; i++) lmn_jsonw_str(w, NULL, names[i]);
    lmn_jsonw_end(w);
}

/* A list of integers, strings ... */
static void list_of(lmn_jsonw *w, const char *name, const char *type)
{
    property(w, name, "array");
    property(w, "items", type);
    lmn_jsonw_end(w);
    lmn_jsonw_end(w);
}

static void schemas(lmn_jsonw *w)
{
    static const char *const ERROR[] = {"error"}, *const INFER[] = {"inputs"};
    static const char *const INPUT[] = {"name", "shape", "datatype"};
    property(w, "error", "object");
    required(w, ERROR, 1);
    lmn_jsonw_object(w, "properties");
    property(w, "error", "string");
    for (int i = 0; i < 3; i++) lmn_jsonw_end(w);
    property(w, "settings", "object");
    lmn_jsonw_end(w);
    property(w, "which", "object");
    lmn_jsonw_object(w, "properties");
    property(w, "ready", "boolean");
    for (int i = 0; i < 3; i++) lmn_jsonw_end(w);
    property(w, "infer", "object");
    required(w, INFER, 1);
    lmn_jsonw_object(w, "properties");
    property(w, "id", "string");
    lmn_jsonw_end(w);
    property(w, "inputs", "array");
    property(w, "items", "object");
    required(w, INPUT, LMN_COUNT(INPUT));
    lmn_jsonw_object(w, "properties");
    property(w, "name", "string");
    lmn_jsonw_end(w);
    list_of(w, "shape", "integer");
    property(w, "datatype", "string");
    lmn_jsonw_end(w);
    property(w, "parameters", "object");
    lmn_jsonw_end(w);
    property(w, "data", "array");
    lmn_jsonw_object(w, "items"); /* of any type */
    for (int i = 0; i < 7; i++) lmn_jsonw_end(w);
}

void lmn_openapi_write(lmn_jsonw *w)
{
    lmn_jsonw_object(w, NULL);
    lmn_jsonw_str(w, "openapi", "3.0.3");
    lmn_jsonw_object(w, "info");
    lmn_jsonw_str(w, "title", "Lamina: Open Inference Protocol, version 2");
    lmn_jsonw_str(w, "version", LAMINA_VERSION_STRING);
    lmn_jsonw_end(w);
    lmn_jsonw_object(w, "paths");
    for (size_t i = 0; i < LMN_COUNT(PATHS); i++) path_item(w, i);
    lmn_jsonw_end(w);
    lmn_jsonw_object(w, "components");
    lmn_jsonw_object(w, "schemas");
    schemas(w);
    for (int i = 0; i < 3; i++) lmn_jsonw_end(w);
}

static void escaped(lmn_strbuf *b, const char *s)
{
    for (; *s; s++) {
        if (*s == '<')
            lmn_strbuf_str(b, "&lt;");
        else if (*s == '>')
            lmn_strbuf_str(b, "&gt;");
        else if (*s == '&')
            lmn_strbuf_str(b, "&amp;");
        else if (*s == '"')
            lmn_strbuf_str(b, "&quot;");
        else
            lmn_strbuf_char(b, *s);
    }
}

typedef struct writer {
    lamina_server *s;
    const lmn_serve_loop *l;
    lmn_strbuf *out;
} writer;

static const lmn_version *version_of(const lmn_serve_loop *l, const lmn_repo_row *row)
{
    bool known;
    const lmn_span name = {(const uint8_t *)row->name, strlen(row->name)};
    return row->version ? lmn_repo_find(&l->view, name, row->version, &known) : NULL;
}

static void numbers(const writer *w, const lmn_version *v)
{
    lmn_hist_sum sum = {{0}, 0, 0};
    lmn_model_stats m = {0};
    uint64_t failed = 0, most = 0;
    int best = -1;
    for (uint32_t i = 0; i < v->n_shards; i++) {
        lmn_hist_collect(&sum, &v->shards[i].stage[LMN_STAGE_TOTAL]);
        for (int k = LMN_OUTCOME_OK + 1; k < LMN_OUTCOMES; k++)
            failed += lmn_atomic_load(&v->shards[i].outcome[k], relaxed);
    }
    lmn_model_get_stats(v->model, &m);
    for (int i = 0; i < 33; i++)
        if (m.batch_rows[i] > most) {
            most = m.batch_rows[i];
            best = i;
        }
    lmn_strbuf_printf(w->out, "<td>%llu<td>%llu<td>%.3f<td>%.3f<td>%llu", (unsigned long long)sum.n,
                      (unsigned long long)failed, lmn_hist_quantile(&sum, 0.5) * 1e3,
                      lmn_hist_quantile(&sum, 0.99) * 1e3, (unsigned long long)m.n_queued);
    if (best < 0)
        lmn_strbuf_str(w->out, "<td>-");
    else
        lmn_strbuf_printf(w->out, "<td>&lt;= %llu", 1ull << best);
}

static void page_row(void *ctx, const lmn_repo_row *row)
{
    const writer *w = ctx;
    const bool ready = strcmp(row->state, "READY") == 0;
    const lmn_version *v = version_of(w->l, row);
    lmn_strbuf_str(w->out, "<tr><td>");
    escaped(w->out, row->name);
    if (row->version)
        lmn_strbuf_printf(w->out, "<td>%llu", (unsigned long long)row->version);
    else
        lmn_strbuf_str(w->out, "<td>");
    lmn_strbuf_printf(w->out, "<td class=\"%s\">%s", ready ? "good" : "bad",
                      ready                                ? "ready"
                      : strcmp(row->state, "LOADING") == 0 ? "loading"
                                                           : "unavailable");
    if (v)
        numbers(w, v);
    else
        lmn_strbuf_str(w->out, "<td>-<td>-<td>-<td>-<td>-<td>-");
    lmn_strbuf_str(w->out, "<td class=\"why\">");
    escaped(w->out, row->reason);
    lmn_strbuf_str(w->out, "</tr>\n");
}

void lmn_page_write(lamina_server *s, lmn_serve_loop *l, lmn_strbuf *out)
{
    writer w = {s, l, out};
    lmn_http_stats st;
    lmn_http_get_stats(s->http, &st);
    lmn_strbuf_str(out,
                   "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                   "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                   "<title>Lamina</title><link rel=\"stylesheet\" href=\"/page.css\">"
                   "<script src=\"/page.js\" defer></script></head><body>\n<h1>Lamina</h1>\n<dl>");
    lmn_strbuf_printf(out, "<div><dt>version<dd>%s</div>", LAMINA_VERSION_STRING);
    lmn_strbuf_printf(out, "<div><dt>up<dd>%llu s</div>",
                      (unsigned long long)((lmn_now_ns() - s->started_ns) / 1000000000u));
    lmn_strbuf_printf(out, "<div><dt>connections<dd>%llu</div>", (unsigned long long)st.open);
    lmn_strbuf_printf(out, "<div><dt>memory<dd>%llu MB</div>",
                      (unsigned long long)(lmn_os_resident() >> 20));
    lmn_strbuf_str(out,
                   "<div><dt>this page<dd id=\"state\">as of now</div></dl>\n"
                   "<div id=\"chart\" hidden><div id=\"rate\"></div><svg viewBox=\"0 0 600 56\" "
                   "preserveAspectRatio=\"none\" role=\"img\" aria-label=\"requests a second, "
                   "the last two minutes\"><polyline id=\"line\" points=\"\"/></svg></div>\n"
                   "<div class=\"wide\"><table id=\"models\"><thead><tr><th>model<th>version"
                   "<th>state<th>answered<th>failed<th>p50 ms<th>p99 ms<th>waiting"
                   "<th>usual batch<th class=\"why\">note</tr></thead>\n<tbody>\n");
    lmn_repo_index(s->repo, page_row, &w);
    lmn_strbuf_str(out, "</tbody></table></div>\n<p><a href=\"/metrics\">metrics</a> &middot; "
                        "<a href=\"/openapi.json\">openapi.json</a> &middot; "
                        "<a href=\"/v2\">/v2</a></p>\n</body></html>\n");
}
