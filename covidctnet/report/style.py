"""One look for all figures: sober, safe for colour-blind readers, without pyplot's global state."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

_P = ParamSpec("_P")

DPI = 110

INK = "#1d2733"
SOFT = "#66727f"
RULE = "#d5dbe1"
PANEL = "#f5f7f9"
ALERT = "#b42318"

# Okabe and Ito's palette, which people with any common colour blindness can tell apart.
CLASS_COLOURS = ("#0072b2", "#d55e00", "#009e73")
POSITIVE = "#d55e00"
NEGATIVE = "#0072b2"
TRUTH = "#f0e442"

SIGNED = LinearSegmentedColormap.from_list(
    "signed", ["#08306b", "#0072b2", "#9ecae8", "#ffffff", "#f6b58a", "#d55e00", "#6e2c00"]
)
SHARE = LinearSegmentedColormap.from_list("share", ["#ffffff", "#cfe3f1", "#6aaed6", "#0b4a7f"])

_SETTINGS: Any = {
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Draw a figure with this module's settings, and leave matplotlib's own as they were."""

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with rc_context(_SETTINGS):
            figure = draw(*args, **kwargs)
            # Ticks are made when a figure is first drawn, and would take the settings of then.
            figure.draw_without_rendering()
            return figure

    return drawn


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def bare(axes: Axes) -> None:
    """Take ticks and frame away, for images."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
