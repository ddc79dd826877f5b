"""Draws the medians of `results.json` as SVG: a dot for each contender and workload, on a logarithmic
scale of times. It has a background of its own, so that it can be read on light and dark pages.

    plot.py RESULTS.JSON OUTPUT.SVG
"""

import json
import sys

import matplotlib

matplotlib.use("svg")
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

GROUND, INK, FAINT = "#fbfaf8", "#24292f", "#d5d3cf"
# Colours that colour-blind people can tell apart. Each contender also has a mark of its own.
MARKS = {
    "limit": ("#8a8a8a", "|"),
    "codejail": ("#0072b2", "o"),
    "bare Python": ("#e69f00", "D"),
    "original": ("#d55e00", "s"),
}


def median_ms(series):
    times = series["sorted_us"]
    return times[(len(times) + 1) // 2 - 1] / 1000


def draw(results, path):
    workloads = list(dict.fromkeys(series["workload"] for series in results["latency"]))
    figure = Figure(figsize=(8, 0.8 + 0.42 * len(workloads)), facecolor=GROUND, layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor(GROUND)
    for name, (colour, mark) in MARKS.items():
        points = [series for series in results["latency"] if series["contender"] == name]
        x = [median_ms(series) for series in points]
        y = [workloads.index(series["workload"]) for series in points]
        axes.plot(x, y, mark, color=colour, label=name, markersize=9, markeredgewidth=2, linestyle="none")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} ms"))
    axes.set_yticks(range(len(workloads)), workloads)
    axes.invert_yaxis()
    axes.grid(color=FAINT)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    machine = results["machine"]
    axes.set_title(
        f"Median time per execution, one client: {machine['cores']} x {machine['processor']}, {machine['date']}",
        color=INK,
        fontsize=10,
        loc="left",
    )
    legend = axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=len(MARKS), frameon=False)
    for text in legend.get_texts():
        text.set_color(INK)
    # There is no date and the ids are fixed, so that the same results give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "codejail"
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        draw(json.load(file), sys.argv[2])
