"""A comparison's figure. Imported only where matplotlib is."""

import io
from collections.abc import Mapping, Sequence
from decimal import Decimal

from matplotlib.figure import Figure


class Plot(Figure):
    """Shows itself in a notebook that knows nothing of pyplot."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=100)
        return picture.getvalue()


def bars(names: Sequence[str], panels: Mapping[str, Sequence[float | None]]) -> Plot:
    """A panel for each title, with a bar for each name; a dash stands for what isn't known."""
    number = max(len(panels), 1)
    figure = Plot(figsize=(max(2.6 * number, 4), 0.7 + 0.4 * len(names)), layout="constrained")
    axes = figure.subplots(1, number, squeeze=False, sharey=True)[0]
    for place, (title, values) in zip(axes, panels.items(), strict=False):
        rows = range(len(names))
        drawn = place.barh(rows, [value or 0 for value in values], color=[f"C{at % 10}" for at in rows])
        place.bar_label(
            drawn, ["\N{EN DASH}" if value is None else f"{Decimal(f'{value:.3g}'):f}" for value in values], padding=3
        )
        place.set_yticks(rows, names, parse_math=False)
        place.margins(x=0.35)
        place.set_xticks([])
        place.set_title(title)
        place.spines[["top", "right", "bottom"]].set_visible(False)
    axes[0].invert_yaxis()
    return figure
