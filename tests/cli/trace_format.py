"""
The Trace Event Format, strictly: every event is one of the phases below with all that the phase
needs and nothing else; slices of a thread nest; what begins ends, once and not before; an arrow
leaves from inside a slice and arrives at one; numbers are finite. As the format's description has
it ("Trace Event Format", chromium.org) and readers of it (Perfetto, speedscope) rely on.
"""
import json

NUMBER = (int, float)
# Phase: needed fields, beside ph, name, pid, tid.
NEEDED = {
    "M": {"args": dict},
    "X": {"cat": str, "ts": NUMBER, "dur": NUMBER, "args": dict},
    "B": {"cat": str, "ts": NUMBER},
    "E": {"ts": NUMBER},
    "i": {"cat": str, "ts": NUMBER, "s": str, "args": dict},
    "C": {"cat": str, "ts": NUMBER, "args": dict},
    "b": {"cat": str, "ts": NUMBER, "id": (int, str), "args": dict},
    "e": {"cat": str, "ts": NUMBER, "id": (int, str)},
    "s": {"cat": str, "ts": NUMBER, "id": (int, str)},
    "f": {"cat": str, "ts": NUMBER, "id": (int, str), "bp": str},
}
ALL = {"ph": str, "name": str, "pid": int, "tid": int}


def ns(us):
    return round(us * 1000)


def fields(e):
    """What is wrong with one event by itself."""
    ph = e.get("ph")
    if ph not in NEEDED:
        return [f"no such phase: {ph!r}"]
    want = {**ALL, **NEEDED[ph]}
    wrong = [f"{ph} without {k}" for k in want if k not in e]
    wrong += [f"{ph} with {k}" for k in e if k not in want]
    wrong += [f"{ph}: {k} is {e[k]!r}" for k, kind in want.items()
              if k in e and (not isinstance(e[k], kind) or isinstance(e[k], bool))]
    wrong += [f"{ph}: {k} is below 0" for k in ("ts", "dur", "pid", "tid")
              if isinstance(e.get(k), NUMBER) and e[k] < 0]
    if ph == "i" and e.get("s") not in ("g", "p", "t"):
        wrong.append(f"scope {e.get('s')!r}")
    if ph == "f" and e.get("bp") != "e":
        wrong.append(f"binding point {e.get('bp')!r}")
    if ph == "M" and e.get("name") not in ("process_name", "thread_name"):
        wrong.append(f"metadata {e.get('name')!r}")
    args = e.get("args", {})
    if ph == "M" and not isinstance(args.get("name"), str):
        wrong.append("metadata without a name")
    if ph == "C" and not (args and all(isinstance(v, NUMBER) for v in args.values())):
        wrong.append(f"a counter of {args!r}")
    return wrong


def slices(events):
    """Slices of each thread as (start, end), and what does not nest or balance."""
    wrong, found = [], {}
    threads = {(e["pid"], e["tid"]) for e in events if e["ph"] in "XBE"}
    for thread in threads:
        mine = [e for e in events if e["ph"] in "XBE" and (e["pid"], e["tid"]) == thread]
        spans = [(ns(e["ts"]), ns(e["ts"]) + ns(e["dur"]), e["name"]) for e in mine
                 if e["ph"] == "X"]
        opened = []
        for e in mine:
            if e["ph"] == "B":
                opened.append(e)
            elif e["ph"] == "E" and not opened:
                wrong.append(f"{e['name']} ends and has not begun")
            elif e["ph"] == "E":
                b = opened.pop()
                spans.append((ns(b["ts"]), ns(e["ts"]), b["name"]))
        wrong += [f"{b['name']} does not end" for b in opened]
        stack = []
        for start, end, name in sorted(spans, key=lambda s: (s[0], -s[1])):
            while stack and stack[-1] <= start:
                stack.pop()
            if stack and end > stack[-1]:
                wrong.append(f"{name} at {start} leaves its parent")
            stack.append(end)
        found[thread] = spans
    return found, wrong


def pairs(events, begin, end):
    """(begin, end) of asynchronous events or arrows, and which lack the other half."""
    wrong, found, opened = [], [], {}
    for e in (e for e in events if e["ph"] in (begin, end)):
        key = (e["pid"], e["cat"], e["id"])
        if e["ph"] == begin:
            if key in opened:
                wrong.append(f"{begin} {key} twice")
            opened[key] = e
        elif e["ph"] == end:
            b = opened.pop(key, None)
            if b is None:
                wrong.append(f"{end} {key} without {begin}")
            elif ns(b["ts"]) > ns(e["ts"]) or b["name"] != e["name"]:
                wrong.append(f"{key}: {b} does not go with {e}")
            else:
                found.append((b, e))
    wrong += [f"{begin} {key} without {end}" for key in opened]
    return found, wrong


def arrows(events, spans):
    found, wrong = pairs(events, "s", "f")
    for both in found:
        for e in both:
            at, thread = ns(e["ts"]), (e["pid"], e["tid"])
            if not any(start <= at <= end for start, end, _ in spans.get(thread, [])):
                wrong.append(f"an arrow touches nothing at {at} in {thread}")
    return wrong


def names(events):
    """Each process and each thread with events is named, once."""
    wrong = []
    threads = {(e["pid"], e["tid"]) for e in events if e["ph"] not in "M"}
    named = [(e["pid"], e["tid"]) for e in events
             if e["ph"] == "M" and e["name"] == "thread_name"]
    processes = [e["pid"] for e in events if e["ph"] == "M" and e["name"] == "process_name"]
    wrong += [f"thread {t} has no name" for t in threads - set(named)]
    wrong += ["a thread is named twice"] if len(set(named)) != len(named) else []
    if sorted(processes) != sorted({e["pid"] for e in events}):
        wrong.append(f"processes named: {processes}")
    return wrong


def no_constant(text):
    raise ValueError(f"{text} is not JSON")


def problems_of(text):
    """All that is wrong with a trace; an empty list: nothing."""
    trace = json.loads(text, parse_constant=no_constant)
    if set(trace) != {"displayTimeUnit", "otherData", "traceEvents"}:
        return [f"the object has {sorted(trace)}"]
    wrong = [] if trace["displayTimeUnit"] in ("ms", "ns") else ["the unit of time"]
    events = trace["traceEvents"]
    for e in events:
        wrong += fields(e)
    if wrong:
        return wrong
    spans, wrong = slices(events)
    wrong += pairs(events, "b", "e")[1]
    return wrong + arrows(events, spans) + names(events)
