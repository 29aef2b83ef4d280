"""Self-contained HTML pages: one template each, with one style and a few parts that all share.

A page asks for nothing from anywhere: style and drawings are inside, there is no script, and its policy forbids both.
What it shows comes from strangers, so everything is escaped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from jobs.funnel import number, share
from jobs.run_state import duration


def render_page(template: str, **values: Any) -> str:
    """Return the page of a template of this folder; a value that it names and does not get is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count="{:,}".format, short=short, number=number, readable=readable, duration=duration)
    environment.globals["share"] = share
    return environment.get_template(template).render(values)


def short(value: float) -> str:
    """Return a count that fits a headline.

    Example: short(2_990_530) == "2.99 M", short(2012) == "2,012".
    """
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= 1e5 and value >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {letter}"
    return f"{value:,.0f}"


def readable(value: float) -> str:
    """Return a measured value as a reader takes it in: three digits, or a short count.

    Example: readable(0.98765) == "0.988", readable(1234567) == "1.23 M".
    """
    return short(value) if value >= 1000 else f"{value:.3g}"
