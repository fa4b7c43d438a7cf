#!/usr/bin/env python3
"""Opens pages of reports in headless Chromium, in light, dark and at the width of a phone, and fails where one logs an
error, asks for anything from elsewhere, has a plot whose points lie outside it, or breaks a rule of axe-core (WCAG 2.1
A and AA, and best practice).

    tools/check_page.py audit/report.html ...

Needs `chromium` (Debian: apt-get install chromium; CHROMIUM names another program) and npm, which brings axe-core, or
AXE with the path of an axe.min.js. It is no part of `make test`, which needs no browser.
"""

import html
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

AXE = "axe-core@4.10.3"
VIEWS = {
    "light": ["--window-size=1100,1400"],
    "dark": ["--window-size=1100,1400", "--blink-settings=preferredColorScheme=0"],
    "phone": ["--window-size=500,900"],
}
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --enable-logging=stderr"
).split()

# Runs in the page: errors from the first line on, then what axe and the plots say, as JSON in an attribute.
BEFORE = "window.faults = []; window.addEventListener('error', e => faults.push(e.message));"
AFTER = """
const plots = [...document.querySelectorAll('.charts figure > svg')].map(svg => {
  const box = svg.viewBox.baseVal;
  const points = [...svg.querySelectorAll('circle')];
  const outside = points.filter(p => !(p.cx.baseVal.value >= 0 && p.cx.baseVal.value <= box.width
    && p.cy.baseVal.value >= 0 && p.cy.baseVal.value <= box.height));
  return { points: points.length, cells: svg.querySelectorAll('.cell').length, outside: outside.length };
});
document.querySelectorAll('details').forEach(it => it.open = true);
const zoom = document.querySelector('.pictures button');
let zoomed = null;
if (zoom) {
  zoom.click();
  const dialog = document.querySelector('dialog');
  zoomed = dialog.open && dialog.querySelector('img').naturalWidth > 0;
  dialog.close();
}
const broken = [...document.querySelectorAll('.pictures img')].filter(i => i.loading !== 'lazy' && !i.naturalWidth);
axe.run(document).then(found => {
  const rules = found.violations.map(v => v.id + ' (' + v.impact + '): ' + v.nodes.map(n => n.html).slice(0, 3).join(' | '));
  const wide = document.documentElement.scrollWidth > window.innerWidth;
  document.body.setAttribute('data-checked', JSON.stringify({
    faults, rules, passes: found.passes.length, plots, zoomed, broken: broken.length, wide
  }));
});
"""


def axe_source(folder):
    if "AXE" in os.environ:
        return pathlib.Path(os.environ["AXE"]).read_text()
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, AXE], check=True)
    return (pathlib.Path(folder) / "node_modules/axe-core/axe.min.js").read_text()


def instrumented(page, axe):
    """The page with our scripts inside: inline ones are allowed, and nothing from elsewhere."""
    page = page.replace("default-src 'none'; style-src", "default-src 'none'; script-src 'unsafe-inline'; style-src", 1)
    page = page.replace("<head>", "<head><script>" + BEFORE + "</script>", 1)
    scripts = "<script>" + axe.replace("</script", "<\\/script") + "</script><script>" + AFTER + "</script>"
    head, tail = page.rsplit("</body>", 1)
    return head + scripts + "</body>" + tail


def checked(path, view, folder):
    command = [os.environ.get("CHROMIUM", "chromium"), *FLAGS, *VIEWS[view], f"--user-data-dir={folder}/{view}"]
    command += ["--virtual-time-budget=60000", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<body[^>]* data-checked="([^"]*)"', done.stdout)
    if not found:
        sys.exit(f"{path}: the page did not come to its end: {done.stderr[-2000:]}")
    return json.loads(html.unescape(found[1])), said


def complaints(answer, said, page):
    lines = [f"logged: {line}" for line in said] + [f"error: {fault}" for fault in answer["faults"]]
    lines += [f"accessibility: {rule}" for rule in answer["rules"]]
    lines += [f"a plot has {plot['outside']} points outside it" for plot in answer["plots"] if plot["outside"]]
    lines += ["a plot is empty" for plot in answer["plots"] if not plot["points"] + plot["cells"]]
    if answer["zoomed"] is False:
        lines.append("a picture does not enlarge")
    if answer["broken"]:
        lines.append(f"{answer['broken']} pictures do not load")
    if answer["wide"]:
        lines.append("the page is wider than the window")
    if re.search(r'(src|href)="(?!data:|#)', page):
        lines.append("it names something outside itself")
    return lines


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        axe = axe_source(folder)
        for name in sys.argv[1:]:
            page = pathlib.Path(name).read_text()
            copy = pathlib.Path(folder) / "page.html"
            copy.write_text(instrumented(page, axe))
            for view in VIEWS:
                answer, said = checked(copy, view, folder)
                lines = complaints(answer, said, page)
                failed = failed or bool(lines)
                points = sum(plot["points"] for plot in answer["plots"])
                print(f"{name}, {view}: {len(page) / 1e6:.2f} MB, {len(answer['plots'])} plots of {points} points, "
                      f"{answer['passes']} rules of axe pass, {len(lines)} complaints")
                for line in lines:
                    print("  " + line)
    sys.exit(failed)


if __name__ == "__main__":
    main()
