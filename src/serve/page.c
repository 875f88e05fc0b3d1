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
    ":root{color-scheme:light dark;--ink:#1b1f24;--dim:#57606a;--paper:#fff;--line:#d8dee4;"
    "--good:#1a7f37;--bad:#b42318;--bar:#2f67b0}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--dim:#9aa4af;--paper:#12161b;"
    "--line:#2d343c;--good:#4ac26b;--bad:#ff7b72;--bar:#6ea8fe}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:72rem;padding:1rem;font:15px/1.5 system-ui,sans-serif;"
    "color:var(--ink);background:var(--paper)}\n"
    "h1{font-size:1.3rem;margin:.2rem 0}h2{font-size:1rem;margin:1.4rem 0 .3rem}\n"
    "p,dl{color:var(--dim);margin:.3rem 0 1rem}\n"
    "dl{display:flex;flex-wrap:wrap;gap:.3rem 1.6rem}dt,dd{display:inline;margin:0}"
    "dd{color:var(--ink);font-variant-numeric:tabular-nums;margin-left:.4rem}\n"
    "table{border-collapse:collapse;width:100%}\n"
    "th,td{padding:.35rem .6rem;border-bottom:1px solid var(--line);text-align:right;"
    "vertical-align:top;font-variant-numeric:tabular-nums}\n"
    "thead th{font-weight:600;color:var(--dim);vertical-align:bottom}\n"
    "th:first-child,td:first-child{text-align:left;padding-left:0}\n"
    "tbody th{font-weight:600;overflow-wrap:anywhere}\n"
    ".why{display:block;font-weight:400;color:var(--dim)}\n"
    ".good{color:var(--good)}.bad{color:var(--bad)}\n"
    "a{color:var(--bar)}svg{display:block;width:100%;height:56px;"
    "border-bottom:1px solid var(--line)}\n"
    "polyline{fill:none;stroke:var(--bar);stroke-width:1.5;vector-effect:non-scaling-stroke}\n"
    "[hidden]{display:none}\n"
    "@media(max-width:60rem){thead{position:absolute;left:-999rem}table,tbody{display:block}"
    "tr{display:grid;grid-template-columns:repeat(3,1fr);gap:0 .8rem;padding:.5rem 0;"
    "border-bottom:1px solid var(--line)}tbody th{grid-column:1/-1;padding:0 0 .3rem}"
    "th,td{border:0}td{text-align:left;padding:.1rem 0}"
    "td::before{content:attr(data-k);display:block;font-size:.8rem;color:var(--dim)}}\n";

const char lmn_page_js[] =
    "'use strict';\n"
    "const $=id=>document.getElementById(id);\n"
    "const digits=(v,n)=>v.toLocaleString('en',{maximumFractionDigits:n});\n"
    "const KEYS=[...$('models').tHead.rows[0].cells].map(c=>c.textContent);\n"
    "let last=null,rates=[],turns=0;\n"
    "function cell(row,text,kind){const td=row.insertCell();td.textContent=text;"
    "td.dataset.k=KEYS[row.cells.length-1];if(kind)td.className=kind;}\n"
    "function name(row,text,why){const th=document.createElement('th');th.scope='row';"
    "th.textContent=text;if(why){const s=document.createElement('span');s.className='why';"
    "s.textContent=why;th.append(s);}row.append(th);}\n"
    "function batch(s){const l=s.lamina.batch_rows;let n=0,best=null;for(const b of l)"
    "if(b.count>n){n=b.count;best=b.at_most;}return best?(best>1?'\\u2264 ':'')+best:'-';}\n"
    "async function get(path,opts){const r=await fetch(path,opts);"
    "if(!r.ok)throw new Error(path);return r;}\n"
    "async function json(path,opts){return (await get(path,opts)).json();}\n"
    "function value(text,name){const m=text.match(new RegExp('^'+name+' ([0-9.e+]+)$','m'));"
    "return m?Number(m[1]):0;}\n"
    "async function process(){const t=await(await get('/metrics')).text();\n"
    "  $('up').textContent=digits(value(t,'lamina_uptime_seconds'),0)+' s';\n"
    "  $('open').textContent=digits(value(t,'lamina_http_connections'),0);\n"
    "  $('memory').textContent=digits(value(t,'lamina_memory_bytes{pool=\"resident\"}')/1048576,0)"
    "+' MB';}\n"
    "async function turn(){\n"
    "  try{\n"
    "    const [stats,index]=await Promise.all([json('/v2/models/stats'),"
    "json('/v2/repository/index',{method:'POST'})]);\n"
    "    const by=new Map(stats.model_stats.map(s=>[s.name+'/'+s.version,s]));\n"
    "    const body=document.createElement('tbody');let total=0,ready=0;\n"
    "    for(const m of index){\n"
    "      const row=body.insertRow(),s=by.get(m.name+'/'+m.version);\n"
    "      const late=s&&s.lamina.overdue>0,ok=m.state==='READY'&&!late;ready+=ok;\n"
    "      name(row,m.name,late?'a run takes '+digits(s.lamina.run_ms/1000,0)+' s, far longer "
    "than it should':m.reason);\n"
    "      cell(row,m.version||'-');"
    "cell(row,late?'overdue':m.state.toLowerCase(),ok?'good':'bad');\n"
    "      if(s){const i=s.inference_stats,l=s.lamina;total+=i.success.count;\n"
    "        cell(row,digits(i.success.count,0));cell(row,digits(i.fail.count,0));"
    "const n=i.success.count;cell(row,n?digits(l.p50_ms,3):'-');"
    "cell(row,n?digits(l.p99_ms,3):'-');"
    "cell(row,digits(l.queued,0));cell(row,batch(s));}\n"
    "      else for(let k=0;k<6;k++)cell(row,'-');\n"
    "    }\n"
    "    if(index.length)$('models').tBodies[0].replaceWith(body);\n"
    "    $('ready').textContent=ready+' of '+index.length;\n"
    "    if(turns++%5===0)await process();\n"
    "    const now=performance.now();\n"
    "    if(last){rates.push(Math.max(0,(total-last.total)*1000/(now-last.now)));"
    "rates=rates.slice(-120);draw();}\n"
    "    last={total,now};$('state').textContent='live';$('state').className='good';\n"
    "  }catch(e){$('state').textContent='no answer';$('state').className='bad';last=null;}\n"
    "  setTimeout(turn,1000);\n"
    "}\n"
    "function draw(){const most=Math.max(...rates),top=Math.max(1,most),n=rates.length;\n"
    "  $('line').setAttribute('points',rates.map((v,i)=>(600-(n-1-i)*5)+','+(54-52*v/top))"
    ".join(' '));\n"
    "  $('rate').textContent=digits(rates[n-1],0)+' requests a second, at most '+digits(most,0)"
    "+' in two minutes';$('chart').hidden=false;}\n"
    "turn();\n";

/* Paths of the protocol; a parameter for each brace in them, and how long to watch. `body` is the
 * schema of what is posted. A region is memory that a client lends: its descriptor goes with the
 * request that registers it. */
static const struct {
    const char *path, *id;
    bool get, post;
    const char *body;
} PATHS[] = {
    {"/v2", "server", true, false, NULL},
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
    {"/v2/systemsharedmemory/status", "regions", true, false, NULL},
    {"/v2/systemsharedmemory/unregister", "regions_unregister", false, true, NULL},
    {"/v2/systemsharedmemory/region/{region}/status", "region", true, false, NULL},
    {"/v2/systemsharedmemory/region/{region}/register", "region_register", false, true, "region"},
    {"/v2/systemsharedmemory/region/{region}/unregister", "region_unregister", false, true, NULL},
    {"/v2/admin/trace", "admin_trace", true, false, NULL},
    {"/v2/admin/profile", "admin_profile", true, false, NULL},
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

static void seconds_parameter(lmn_jsonw *w)
{
    lmn_jsonw_object(w, NULL);
    lmn_jsonw_str(w, "name", "seconds");
    lmn_jsonw_str(w, "in", "query");
    lmn_jsonw_object(w, "schema");
    lmn_jsonw_str(w, "type", "integer");
    lmn_jsonw_u64(w, "minimum", 1);
    lmn_jsonw_u64(w, "maximum", 60);
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
    static const char NAME[] = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$";
    char text[64];
    (void)lmn_format(text, sizeof text, "%s%s", post && PATHS[i].get ? "post_" : "", PATHS[i].id);
    lmn_jsonw_object(w, post ? "post" : "get");
    lmn_jsonw_str(w, "operationId", text);
    lmn_jsonw_array(w, "parameters");
    if (strstr(PATHS[i].path, "{model}")) path_parameter(w, "model", NAME);
    if (strstr(PATHS[i].path, "{region}")) path_parameter(w, "region", NAME);
    if (strstr(PATHS[i].path, "{version}")) path_parameter(w, "version", "^[1-9][0-9]{0,17}$");
    if (strstr(PATHS[i].path, "/admin/")) seconds_parameter(w);
    lmn_jsonw_end(w);
    if (post && PATHS[i].body) {
        lmn_jsonw_object(w, "requestBody");
        lmn_jsonw_bool(w, "required", strcmp(PATHS[i].body, "infer") == 0);
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
    property(w, "region", "object");
    lmn_jsonw_object(w, "properties");
    property(w, "byte_size", "integer");
    lmn_jsonw_end(w);
    property(w, "offset", "integer");
    for (int i = 0; i < 3; i++) lmn_jsonw_end(w);
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
    uint32_t rows, ready;
} writer;

static const lmn_version *version_of(const lmn_serve_loop *l, const lmn_repo_row *row)
{
    bool known;
    const lmn_span name = {(const uint8_t *)row->name, strlen(row->name)};
    return row->version ? lmn_repo_find(&l->view, name, row->version, &known) : NULL;
}

static void numbers(const writer *w, const lmn_version *v, const lmn_model_stats *m)
{
    lmn_hist_sum sum = {{0}, 0, 0};
    uint64_t failed = 0, most = 0;
    int best = -1;
    for (uint32_t i = 0; i < v->n_shards; i++) {
        lmn_hist_collect(&sum, &v->shards[i].stage[LMN_STAGE_TOTAL]);
        for (int k = LMN_OUTCOME_OK + 1; k < LMN_OUTCOMES; k++)
            failed += lmn_atomic_load(&v->shards[i].outcome[k], relaxed);
    }
    for (int i = 0; i < 33; i++)
        if (m->batch_rows[i] > most) {
            most = m->batch_rows[i];
            best = i;
        }
    lmn_strbuf_printf(w->out, "<td data-k=\"answered\">%llu<td data-k=\"failed\">%llu",
                      (unsigned long long)sum.n, (unsigned long long)failed);
    if (sum.n)
        lmn_strbuf_printf(w->out, "<td data-k=\"p50 ms\">%.3f<td data-k=\"p99 ms\">%.3f",
                          lmn_hist_quantile(&sum, 0.5) * 1e3, lmn_hist_quantile(&sum, 0.99) * 1e3);
    else
        lmn_strbuf_str(w->out, "<td data-k=\"p50 ms\">-<td data-k=\"p99 ms\">-");
    lmn_strbuf_printf(w->out, "<td data-k=\"waiting\">%llu<td data-k=\"usual batch\">",
                      (unsigned long long)m->n_queued);
    if (best < 0)
        lmn_strbuf_char(w->out, '-');
    else
        lmn_strbuf_printf(w->out, best ? "&le; %llu" : "%llu", 1ull << best);
}

static void note(const writer *w, const lmn_repo_row *row, const lmn_model_stats *m)
{
    if (!m->n_overdue && !*row->reason) return;
    lmn_strbuf_str(w->out, "<span class=\"why\">");
    if (m->n_overdue)
        lmn_strbuf_printf(w->out, "a run takes %.0f s, far longer than it should",
                          (double)m->longest_ns * 1e-9);
    else
        escaped(w->out, row->reason);
    lmn_strbuf_str(w->out, "</span>");
}

static void page_row(void *ctx, const lmn_repo_row *row)
{
    writer *w = ctx;
    const lmn_version *v = version_of(w->l, row);
    lmn_model_stats m = {0};
    if (v) lmn_model_get_stats(v->model, &m);
    const bool ready = strcmp(row->state, "READY") == 0, good = ready && !m.n_overdue;
    w->rows++;
    w->ready += good;
    lmn_strbuf_str(w->out, "<tr><th scope=\"row\">");
    escaped(w->out, row->name);
    note(w, row, &m);
    if (row->version)
        lmn_strbuf_printf(w->out, "<td data-k=\"version\">%llu", (unsigned long long)row->version);
    else
        lmn_strbuf_str(w->out, "<td data-k=\"version\">-");
    lmn_strbuf_printf(w->out, "<td data-k=\"state\" class=\"%s\">%s", good ? "good" : "bad",
                      m.n_overdue                          ? "overdue"
                      : ready                              ? "ready"
                      : strcmp(row->state, "LOADING") == 0 ? "loading"
                                                           : "unavailable");
    if (v)
        numbers(w, v, &m);
    else
        lmn_strbuf_str(w->out, "<td data-k=\"answered\">-<td data-k=\"failed\">-"
                               "<td data-k=\"p50 ms\">-<td data-k=\"p99 ms\">-"
                               "<td data-k=\"waiting\">-<td data-k=\"usual batch\">-");
    lmn_strbuf_str(w->out, "</tr>\n");
}

/* What stands above the table; the rows were written already, and counted. */
static void page_head(const writer *w, lmn_strbuf *out)
{
    lmn_http_stats st;
    lmn_http_get_stats(w->s->http, &st);
    lmn_strbuf_str(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                        "<title>Lamina</title><link rel=\"stylesheet\" href=\"/page.css\">"
                        "<script src=\"/page.js\" defer></script></head><body><main>\n"
                        "<h1>Lamina</h1>\n<dl>");
    lmn_strbuf_printf(out, "<div><dt>version<dd>%s</div>", LAMINA_VERSION_STRING);
    lmn_strbuf_printf(out, "<div><dt>up<dd id=\"up\">%llu s</div>",
                      (unsigned long long)((lmn_now_ns() - w->s->started_ns) / 1000000000u));
    lmn_strbuf_printf(out, "<div><dt>ready<dd id=\"ready\">%u of %u</div>", w->ready, w->rows);
    lmn_strbuf_printf(out, "<div><dt>connections<dd id=\"open\">%llu</div>",
                      (unsigned long long)st.open);
    lmn_strbuf_printf(out, "<div><dt>memory<dd id=\"memory\">%llu MB</div>",
                      (unsigned long long)(lmn_os_resident() >> 20));
    lmn_strbuf_str(out,
                   "<div><dt>this page<dd id=\"state\">as of now</div></dl>\n"
                   "<div id=\"chart\" hidden><div id=\"rate\"></div><svg viewBox=\"0 0 600 56\" "
                   "preserveAspectRatio=\"none\" role=\"img\" aria-label=\"requests a second, "
                   "the last two minutes\"><polyline id=\"line\" points=\"\"/></svg></div>\n"
                   "<h2 id=\"title\">Models</h2>\n<table id=\"models\" aria-labelledby=\"title\">"
                   "<thead><tr><th scope=\"col\">model<th scope=\"col\">version<th scope=\"col\">"
                   "state<th scope=\"col\">answered<th scope=\"col\">failed<th scope=\"col\">p50 ms"
                   "<th scope=\"col\">p99 ms<th scope=\"col\">waiting<th scope=\"col\">usual batch"
                   "</tr></thead>\n<tbody>\n");
}

void lmn_page_write(lamina_server *s, lmn_serve_loop *l, lmn_strbuf *out)
{
    lmn_strbuf rows;
    lmn_strbuf_init(&rows, s->alloc, LMN_SERVE_TEXT_MAX);
    writer w = {s, l, &rows, 0, 0};
    lmn_repo_index(s->repo, page_row, &w);
    page_head(&w, out);
    lmn_strbuf_add(out, rows.p, rows.n);
    if (rows.status != LAMINA_OK) out->status = rows.status;
    if (!w.rows) lmn_strbuf_str(out, "<tr><td colspan=\"9\">There are no models yet.</tr>\n");
    lmn_strbuf_finish(&rows);
    lmn_strbuf_str(out, "</tbody></table>\n</main><p><a href=\"/metrics\">metrics</a> &middot; "
                        "<a href=\"/openapi.json\">openapi.json</a> &middot; "
                        "<a href=\"/v2\">/v2</a></p>\n</body></html>\n");
}
