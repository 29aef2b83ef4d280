"""report/index.html: the funnel, the limits, what stages cost, and documents to read, in one file.

It asks for nothing from anywhere: style and drawings are inside, there is no script, and its policy forbids both. Pages
are hostile, so everything is escaped. Figures are those of the manifests; documents are a fixed choice of few.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2

from dataproc.storage import Folder
from jobs.funnel import Funnel, number, read_funnel, read_record, share
from jobs.report_documents import count_languages, largest_clusters, pick_dropped, pick_kept
from jobs.report_histograms import draw_histograms
from jobs.run_state import duration
from jobs.times import read_times

TEMPLATE = "report_template.html"


def write_report(folder: Folder) -> None:
    """Write report/index.html of a run, finished or not, and its figures as report/funnel.json.

    Raises InputError when the folder holds no run, ShardError when its figures do not add up or a part is damaged.
    """
    funnel = read_funnel(folder)
    folder.write_text("report/funnel.json", json.dumps(asdict(funnel), indent=1) + "\n")
    folder.write_text("report/index.html", _html(folder, funnel))


def _html(folder: Folder, funnel: Funnel) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count="{:,}".format, short=short, number=number, readable=readable, duration=duration)
    environment.globals["share"] = share
    languages, language_parts = count_languages(folder, funnel)
    return environment.get_template(TEMPLATE).render(
        record=read_record(folder),
        funnel=funnel,
        reasons=_reasons(folder, funnel),
        kept=pick_kept(folder, funnel),
        languages=languages,
        language_parts=language_parts,
        clusters=largest_clusters(folder, funnel),
        histograms=draw_histograms(folder, funnel),
        times=read_times(folder, funnel),
    )


def _reasons(folder: Folder, funnel: Funnel) -> list[dict[str, Any]]:
    """Return each reason that dropped documents, most frequent first, with examples."""
    examples = pick_dropped(folder, funnel)
    reasons = [
        {
            "step": step.name,
            "stage": stage.name,
            "rule": rule.name,
            "dropped": rule.dropped,
            "examples": examples[step.name, f"{stage.name}.{rule.name}"],
        }
        for step, stage, rule in funnel.rules()
        if rule.dropped
    ]
    return sorted(reasons, key=lambda reason: (-reason["dropped"], reason["stage"], reason["rule"]))


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
