"""Plots as SVG that stands in the page: drawn by matplotlib as wide as a phone; colors are the page's own.

Each color is drawn as a placeholder and then named by its CSS variable, so one image is right in light and in dark.
Text stays text: it can be read aloud, searched and enlarged.
"""

import io
import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

from jobs.report.formatting import MODELS, RULES
from jobs.report.funnel import Funnel
from jobs.report.quality import FEED, POPULARITY, Estimate, Quality

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

COLORS = {
    "#010101": "--ink", "#020202": "--soft", "#030303": "--edge", "#040404": "--feed", "#050505": "--base",
    "#060606": "--other", "#070707": "--pale", "#080808": "--middle",
}  # fmt: skip
"""Placeholder -> CSS variable of the page."""
_OF = {variable.removeprefix("--"): placeholder for placeholder, variable in COLORS.items()}
_WIDTH = 4.0
"""Inches. matplotlib's SVG has 72 units an inch, so 288: a phone shows it a little enlarged."""

_STYLE: dict[Any, Any] = {"svg.fonttype": "none", "font.size": 10.5, "text.parse_math": False}


def _styled(draw: Callable[..., str]) -> Callable[..., str]:
    """Draw in the page's style: a text takes its own from where it is made, not from where it is written."""

    @wraps(draw)
    def drawn(*args: Any) -> str:
        import matplotlib as mpl

        with mpl.rc_context(_STYLE):
            return draw(*args)

    return drawn


@_styled
def plot_models(quality: Quality, metric: str, percent: bool) -> str:
    """Return each model's estimate with its interval, the best on top; the feed and popularity stand out."""
    models = quality.models(metric)
    figure, axes = _canvas(0.46 + 0.34 * len(models))
    scale = 100 if percent else 1
    for place, (model, found) in enumerate(reversed(models)):
        color = _OF[{FEED: "feed", POPULARITY: "base"}.get(model, "other")]
        value, (low, high) = found.value * scale, (_ends(found, scale))
        axes.plot([low, high], [place, place], color=color, linewidth=3, solid_capstyle="round", alpha=0.55)
        axes.plot([value], [place], "o", color=color, markersize=7)
        said = f"{value:.0f} %" if percent and value >= 9.95 else f"{value:.1f} %" if percent else f"{value:.3f}"
        axes.annotate(said, (high, place), (7, 0), textcoords="offset points", va="center", color=_OF["ink"])
    top = max(_ends(found, scale)[1] for _, found in models)
    axes.set_xlim(0, top * 1.22 or 1)
    axes.set_ylim(-0.6, len(models) - 0.4)
    _names(axes, [MODELS.get(model, model) for model, _ in reversed(models)])
    return _svg(figure, f"models-{metric}")


@_styled
def plot_history(quality: Quality) -> str:
    """Return the feed and popularity over past as-of dates, with their intervals."""
    from matplotlib.dates import date2num

    figure, axes = _canvas(2.1)
    days = [day for day, _, _ in quality.history]
    at = [float(date2num(day)) for day in days]
    for place, name in ((1, "feed"), (2, "base")):
        found: list[Any] = [row[place] for row in quality.history]
        color = _OF[name]
        lows, highs = zip(*[_ends(one, 1) for one in found], strict=True)
        axes.fill_between(at, lows, highs, color=color, alpha=0.18, linewidth=0)
        axes.plot(at, [one.value for one in found], color=color, linewidth=2, marker="o", markersize=4)
        label = MODELS[FEED if name == "feed" else POPULARITY]
        # on the lines themselves, so that no legend has to be matched by color
        axes.annotate(label, (at[0], highs[0]), (0, 5), textcoords="offset points", color=color, ha="left")
    axes.set_ylim(0, max(one.upper or one.value for row in quality.history for one in row[1:]) * 1.25 or 1)
    ticks = sorted({0, len(days) // 2, len(days) - 1})
    axes.set_xticks([at[n] for n in ticks], [f"{days[n]:%d %b}" for n in ticks])
    axes.tick_params(axis="y", labelsize=9)
    axes.grid(axis="y", color=_OF["edge"], linewidth=0.8)
    return _svg(figure, "history")


@_styled
def plot_funnel(funnel: Funnel) -> str:
    """Return, by source, what it proposed, what the rules let through, and what stands in a feed."""
    figure, axes = _canvas(0.36 + 0.78 * len(funnel.sources))
    largest = max(stage.proposed for stage in funnel.sources.values())
    for place, (source, stage) in enumerate(funnel.sources.items()):
        top = -place * 1.4
        axes.text(0, top + 0.32, source, color=_OF["ink"], va="center", weight="bold")
        for row, (number, color) in enumerate(
            ((stage.proposed, "pale"), (stage.allowed, "middle"), (stage.shown, "feed"))
        ):
            at = top - 0.02 - row * 0.27
            axes.barh([at], [number], height=0.23, color=_OF[color])
            axes.text(number + largest * 0.015, at, f"{number:,}", color=_OF["soft"], va="center", size=9)
    axes.set_xlim(0, largest * 1.2)
    axes.set_ylim(-(len(funnel.sources) - 1) * 1.4 - 0.75, 0.6)
    axes.axis("off")
    return _svg(figure, "funnel")


@_styled
def plot_drops(funnel: Funnel) -> str:
    """Return how many pairs of user and pin each rule stopped."""
    rows = [(RULES.get(rule, rule), number) for rule, number in reversed(list(funnel.drops.items()))]
    figure, axes = _canvas(0.2 + 0.44 * len(rows))
    largest = max(number for _, number in rows)
    for place, (name, number) in enumerate(rows):
        # a bar that can be seen, however few there are
        axes.barh([place], [max(number, largest * 0.004)], height=0.3, color=_OF["middle"])
        axes.text(0, place + 0.36, name, color=_OF["ink"], va="center")
        axes.text(number + largest * 0.015, place, f"{number:,}", color=_OF["soft"], va="center", size=9)
    axes.set_xlim(0, largest * 1.2)
    axes.set_ylim(-0.35, len(rows) - 0.35)
    axes.axis("off")
    return _svg(figure, "drops")


def _ends(found: Estimate, scale: float) -> tuple[float, float]:
    low = found.value if found.lower is None else found.lower
    high = found.value if found.upper is None else found.upper
    return max(low, 0) * scale, high * scale


def _names(axes: "Axes", names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, pad=6)
    axes.tick_params(axis="x", labelsize=9)
    axes.grid(axis="x", color=_OF["edge"], linewidth=0.8)
    axes.set_axisbelow(True)


def _canvas(height: float) -> tuple["Canvas", "Axes"]:
    """Return an empty plot without a frame, `height` inches high."""
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=_OF["soft"], length=0)
    axes.tick_params(axis="y", labelcolor=_OF["ink"])
    return figure, axes


_NOT_NEEDED = re.compile(
    r'^.*?(?=<svg)|<metadata>.*?</metadata>|<style.*?</style>|\sxmlns(?::\w+)?="[^"]*"|\s(?:width|height)="[0-9.]+pt"'
    # the page's type, so that labels look like the text around them
    r"|font-family: [^;\"]*;?",
    re.DOTALL,
)


def _svg(figure: "Canvas", name: str) -> str:
    """Return the plot as an <svg> element that depends on nothing outside it."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):  # so that two plots share no id, and a page can be compared
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = _NOT_NEEDED.sub("", text.getvalue()).replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", svg)
    for placeholder, variable in COLORS.items():
        svg = svg.replace(placeholder, f"var({variable})")
    return svg.strip()
