"""Draws a dashboard of Grafana as SVG, with the answers of a Prometheus to the dashboard's own expressions.

Usage: picture.py DASHBOARD.json PROMETHEUS_URL FROM TO (unix seconds) >PICTURE.svg. It needs Python alone, and fails
if an expression has no answer, since that panel would be empty. It knows the panels and units that the dashboard has.
"""

import html
import json
import math
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

STEP = 2
RATE_INTERVAL = 20
# Pixels: a column and a row of Grafana's grid, and the gap between panels.
COLUMN, ROW, GAP, HEADER = 46, 25, 6, 44
PAGE, PANEL, EDGE, GRID, TEXT, FAINT = "#111217", "#181b1f", "#2c3235", "#26292f", "#d5d6db", "#9a9ba3"
COLOURS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#5fd3d9", "#e0b4f0", "#a8d99c",
           "#fff08a", "#8ab8ff", "#ffb357", "#ff8a99"]
SUFFIXES = {"reqps": " req/s", "ops": " ops/s"}


def say(text):
    print(f"picture.py: {text}", file=sys.stderr)


def ask(prometheus, expression, start, end):
    """The series of an expression, each as its labels and its finite points."""
    for name, value in [("$__rate_interval", f"{RATE_INTERVAL}s"), ("$__range", f"{round(end - start)}s"),
                        ("$job", ".+"), ("$instance", ".+")]:
        expression = expression.replace(name, value)
    query = urllib.parse.urlencode({"query": expression, "start": start, "end": end, "step": STEP})
    try:
        reply = urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{query}")
    except urllib.error.HTTPError as refusal:
        sys.exit(f"picture.py: {expression}: {refusal.read().decode()}")
    found = []
    for series in json.load(reply)["data"]["result"]:
        points = [(at - start, float(value)) for at, value in series["values"]]
        points = [point for point in points if math.isfinite(point[1])]
        if points:
            found.append((series["metric"], points))
    return found


def number(value):
    """Three digits at most, without zeros at the end."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def scaled(value, unit):
    """A value as Grafana writes it in this unit."""
    if unit == "percentunit":
        return number(value * 100) + " %"
    if unit == "s":
        for size, name in [(86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")]:
            if abs(value) >= size:
                return f"{number(value / size)} {name}"
        return f"{number(value * 1e6)} µs" if value else "0 s"
    if unit == "bytes":
        size, name = next((row for row in [(2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")] if abs(value) >= row[0]),
                          (1, "B"))
        return f"{number(value / size)} {name}"
    return number(value) + SUFFIXES.get(unit, "")


def step_of_axis(most, unit):
    """The distance of the lines of an axis, so that four or five of them reach to its end."""
    if unit == "s" and most > 90:
        return next((step for step in [30, 60, 120, 300, 600, 1800, 3600, 7200] if most / step <= 5), most / 4)
    base = 2.0 ** math.floor(math.log2(most / 4)) if unit == "bytes" else 10.0 ** math.floor(math.log10(most / 4))
    return next(base * factor for factor in [1, 2, 2.5, 5, 10] if most / (base * factor) <= 4.6)


def text(x, y, words, size=10, colour=TEXT, **more):
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}"{more}>{html.escape(words)}</text>'


def width_of(words, size=10):
    return len(words) * size * 0.54


def lines_of(points, place):
    """The pieces of a line, which breaks where points are missing. Points on a level line are left out."""
    pieces, last = [], None
    for at, value in points:
        if last is None or at - last > 2 * STEP:
            pieces.append([])
        pieces[-1].append(tuple(round(part, 1) for part in place(at, value)))
        last = at
    for piece in pieces:
        yield [point for i, point in enumerate(piece)
               if i in (0, len(piece) - 1) or not piece[i - 1][1] == point[1] == piece[i + 1][1]]


def draw_line(points, place, colour, bottom):
    drawn = []
    for piece in lines_of(points, place):
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in piece)
        if len(piece) > 1:
            drawn.append(f'<path d="{path}V{bottom:g}H{piece[0][0]:g}Z" fill="{colour}" fill-opacity=".08"/>')
        drawn.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.3" stroke-linecap="round"/>')
    return drawn


def draw_stat(panel, series, box, unit, seconds):
    """The last value as a large number, above the line of its values."""
    x, y, width, height = box
    points = series[0][1]
    most = max(value for _, value in points) or 1

    def place(at, value):
        return x + 1 + at / seconds * (width - 2), y + height - 2 - value / most * height * 0.3

    return draw_line(points, place, COLOURS[0], y + height - 1) + [
        text(x + width / 2, y + height * 0.58, scaled(points[-1][1], unit), 23, COLOURS[0], text_anchor="middle",
             font_weight="600")]


def draw_legend(series, box):
    """The names under the plot, as many in a line as fit, and how high they are."""
    x, y, width, height = box
    rows, room = [[]], 0
    for i, (name, _) in enumerate(series):
        need = width_of(name, 9.5) + 22
        if rows[-1] and room + need > width - 16:
            rows.append([])
            room = 0
        rows[-1].append((x + 10 + room, name, COLOURS[i % len(COLOURS)]))
        room += need
    drawn = []
    for i, row in enumerate(rows):
        line = y + height - 7 - 13 * (len(rows) - 1 - i)
        for left, name, colour in row:
            drawn.append(f'<rect x="{left:g}" y="{line - 4:g}" width="10" height="3" rx="1" fill="{colour}"/>')
            drawn.append(text(left + 14, line, name, 9.5))
    return drawn, 13 * len(rows)


def draw_time_series(panel, series, box, unit, seconds):
    x, y, width, height = box
    drawn, legend = draw_legend(series, box)
    values = [value for _, points in series for _, value in points]
    most = max(max(values), 0.0)
    least = min(min(values), 0.0)
    if most - least <= 0:
        most = 1.0
    step = step_of_axis(most - least, unit)
    if panel["fieldConfig"]["defaults"].get("decimals") == 0:
        step = max(1, math.ceil(step))
    low, high = math.floor(least / step + 1e-9) * step, math.ceil(most / step - 1e-9) * step
    ticks = [low + i * step for i in range(round((high - low) / step) + 1)]
    names = [scaled(tick, unit) for tick in ticks]
    left, right = x + 14 + max(map(width_of, names)), x + width - 12
    top, bottom = y + 30, y + height - legend - 26
    if bottom - top < 50:
        say(f"{panel['title']}: the legend leaves little room")

    def place(at, value):
        return left + at / seconds * (right - left), bottom - (value - low) / (high - low) * (bottom - top)

    for tick, name in zip(ticks, names):
        level = place(0, tick)[1]
        drawn.append(f'<path d="M{left:g} {level:.1f}H{right:g}" stroke="{GRID}"/>')
        drawn.append(text(left - 6, round(level + 3.5, 1), name, colour=FAINT, text_anchor="end"))
    for minute in range(int(seconds // 60) + 1):
        at = place(minute * 60, low)[0]
        drawn.append(f'<path d="M{at:.1f} {top:g}V{bottom:g}" stroke="{GRID}"/>')
        label = f"{minute} min" if minute else "0"
        anchor = "end" if right - at < width_of(label) / 2 else "middle"
        drawn.append(text(round(at, 1), bottom + 14, label, colour=FAINT, text_anchor=anchor))
    for i, (_, points) in enumerate(series):
        drawn += draw_line(points, place, COLOURS[i % len(COLOURS)], place(0, max(low, 0))[1])
    return drawn


def legend_of(form, labels):
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda name: labels.get(name[1], ""), form)


def draw_panel(panel, prometheus, start, end, empty):
    grid = panel["gridPos"]
    x, y = grid["x"] * COLUMN + GAP / 2, grid["y"] * ROW + HEADER
    width, height = grid["w"] * COLUMN - GAP, grid["h"] * ROW - GAP
    if panel["type"] == "row":
        return [f'<path d="M{x + 5:g} {y + 8:g}l4 4l4 -4" fill="none" stroke="{TEXT}" stroke-width="1.5"/>',
                text(x + 20, y + 15, panel["title"], 13, font_weight="600")]
    series = []
    for target in panel["targets"]:
        answers = ask(prometheus, target["expr"], start, end)
        if not answers:
            empty.append(f"{panel['title']}: {target['expr']}")
        series += [(legend_of(target["legendFormat"], labels), points) for labels, points in answers]
    drawn = [f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="2" fill="{PANEL}" stroke="{EDGE}"/>',
             text(x + 10, y + 17, panel["title"], 11.5, font_weight="600")]
    if not series:
        return drawn
    draw = {"stat": draw_stat, "timeseries": draw_time_series}[panel["type"]]
    unit = panel["fieldConfig"]["defaults"]["unit"]
    return drawn + draw(panel, series, (x, y, width, height), unit, end - start)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        dashboard = json.load(file)
    prometheus, start, end = sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    panels, empty = dashboard["panels"], []
    width = 24 * COLUMN
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * ROW + HEADER
    drawn = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             'font-family="Inter, Roboto, Helvetica, Arial, sans-serif">',
             f"<title>The dashboard {html.escape(dashboard['title'])} with the figures of a real run</title>",
             f'<rect width="{width}" height="{height}" fill="{PAGE}"/>',
             text(12, 28, dashboard["title"], 17, font_weight="600")]
    right = width - 12
    for words in [f"{round((end - start) / 60)} minutes", "Instance: All", "Job: All"]:
        drawn.append(text(right, 28, words, 11, FAINT, text_anchor="end"))
        right -= width_of(words, 11) + 22
    for panel in panels:
        drawn += draw_panel(panel, prometheus, start, end, empty)
    print("\n".join(drawn + ["</svg>"]))
    for expression in empty:
        say(f"no answer: {expression}")
    sys.exit(1 if empty else 0)


main()
