"""Draws docs/demo.svg, the README's picture: what `make demo` prints. Run it with the project's Python."""

import subprocess
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
WIDTH, LINE, PAD = 700, 17, 20
NO_BREAK = "\u00a0"  # SVG folds the other kind
COLOURS = {"+": "#7ee787", "-": "#ffa198", "@": "#79c0ff"}


def main() -> None:
    command = [sys.executable, str(ROOT / "examples" / "demo.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip("\n").splitlines()
    height = LINE * (len(printed) + 1) + 2 * PAD
    rows = [
        f'<text x="{PAD}" y="{PAD + LINE * number}" fill="{_colour(row)}">{escape(row).replace(" ", NO_BREAK)}</text>'
        for number, row in enumerate(["$ make demo", *printed], 1)
        if row
    ]
    frame = f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#0d1117"/>'
    style = 'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13"'
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" {style}>'
    (ROOT / "docs" / "demo.svg").write_text("\n".join([picture, frame, *rows, "</svg>\n"]))


def _colour(row: str) -> str:
    if "source=stale" in row or row.startswith("$"):
        return "#f2cc60"
    return COLOURS.get(row[:1], "#e6edf3")


if __name__ == "__main__":
    main()
