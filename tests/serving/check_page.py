"""
The page at "/" in headless Chromium: at two widths, with and without scripts, models with long
names, broken ones and none; nothing that its Content-Security-Policy forbids, contrast of every
colour in both schemes. `check_page.py LAMINA [DIR]`: pictures into DIR.
"""
import html.parser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from serving import SLOW, Server, finish, replace, scale_model, want

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
if not CHROMIUM:
    print("chromium is not there")
    sys.exit(77)
LONG = "bert-base-uncased-finetuned-on-something-with-a-very-long-name.v2024-11-22_final_final2"


def browse(url, width, *more):
    """The page as it stands after some seconds, and what the browser complained of."""
    args = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--enable-logging=stderr", f"--window-size={width},800", "--virtual-time-budget=4000",
            *more]
    with tempfile.TemporaryDirectory() as profile:
        p = subprocess.run([*args, f"--user-data-dir={profile}", url], capture_output=True,
                           text=True, timeout=120 * SLOW, check=False)
    return p.stdout, [v for v in p.stderr.splitlines() if "CONSOLE" in v]


class Cells(html.parser.HTMLParser):
    """Rows of the table's body, as texts."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.at, self.body = [], None, False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tbody":
            self.body = True
        if self.body and tag == "tr":
            self.rows.append([])
        self.at = self.rows[-1] if self.body and tag in ("td", "th") and self.rows else self.at
        if self.body and tag in ("td", "th"):
            self.at.append("")

    def handle_endtag(self, tag):
        self.body = self.body and tag != "tbody"

    def handle_data(self, data):
        if self.body and self.at:
            self.at[-1] += data.strip()


def luminance(color):
    if len(color) == 4:
        color = "#" + "".join(2 * c for c in color[1:])
    parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(css):
    """WCAG AA: 4.5 to 1 for text, in both schemes."""
    schemes = [dict(re.findall(r"--(\w+):(#[0-9a-f]+)", block))
               for block in re.findall(r":root\{([^}]*)\}", css)]
    want(len(schemes) == 2, "two schemes")
    for scheme in schemes:
        paper = luminance(scheme["paper"])
        for name in ("ink", "dim", "good", "bad", "bar"):
            a, b = sorted((paper, luminance(scheme[name])))
            want((b + 0.05) / (a + 0.05) >= 4.5, f"contrast of {name} in {scheme}")


def judge(s):
    url = f"http://127.0.0.1:{s.port}/"
    for width in (1280, 390):
        text, said = browse(url, width, "--dump-dom")
        want(not said, f"the browser complains: {said}")
        want('id="state" class="good">live<' in text, f"the script does not run at {width}")
        rows = Cells(text).rows
        want(any(r[0].startswith(LONG) and r[2] == "ready" for r in rows), f"{rows}")
        want(any(r[0].startswith("broken") and r[2] == "unavailable" and len(r[0]) > 10
                 for r in rows), f"{rows}")
    got, headers, page = s.ask("GET", "/")
    page = page.decode()
    rows = Cells(page).rows
    want(got == 200 and "as of now" in page and len(rows) == 4 and all(len(r) == 9 for r in rows),
         f"without scripts: {rows}")
    a = [r for r in rows if r[0] == "a"]
    want(len(a) == 1 and a[0][3] == "3" and a[0][4] == "1" and float(a[0][5]) > 0, f"{a}")
    policy = headers["Content-Security-Policy"]
    want("default-src 'none'" in policy and "unsafe" not in policy, policy)
    want(not re.search(r"\son\w+=|style=|<script>", page), "something inline")
    want(page.count("<h1>") == 1 and "<main>" in page and 'lang="en"' in page and
         page.count('scope="col"') == 9 and page.count('scope="row"') == 4, "names of things")
    contrast(s.ask("GET", "/page.css")[2].decode())


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as tmp:
        d = pathlib.Path(tmp)
        for name in (LONG, "a"):
            replace(d / "models" / name / "1" / "model.onnx", scale_model(2))
        replace(d / "models" / "broken" / "1" / "model.onnx", b"no model")
        replace(d / "models" / "wrong" / "config.json", '{"max_batch_size": "<b>lots</b>"}')
        replace(d / "models" / "wrong" / "1" / "model.onnx", scale_model(2))
        with Server(program, d / "models") as s:
            for _ in range(3):
                s.infer("a", [1] * 4)
            s.infer("a", [1])
            judge(s)
            for width in (1280, 390) if len(sys.argv) > 2 else ():
                picture = os.path.join(os.path.abspath(sys.argv[2]), f"page-{width}.png")
                browse(f"http://127.0.0.1:{s.port}/", width, f"--screenshot={picture}")
        (d / "empty").mkdir()
        with Server(program, d / "empty") as s:
            text, said = browse(f"http://127.0.0.1:{s.port}/", 800, "--dump-dom")
            want("There are no models yet" in text and not said, f"an empty folder: {said}")
    finish()


if __name__ == "__main__":
    main()
