"""report/index.html: the funnel, the limits, what stages cost, and documents to read, in one file (`jobs.pages`).

Figures are those of the manifests; documents are a fixed choice of few.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from dataproc.storage import Folder
from jobs.funnel import Funnel, read_funnel, read_record
from jobs.pages import render_page
from jobs.report_documents import count_languages, largest_clusters, pick_dropped, pick_kept
from jobs.report_histograms import draw_histograms
from jobs.times import read_times


def write_report(folder: Folder) -> None:
    """Write report/index.html of a run, finished or not, and its figures as report/funnel.json.

    Raises InputError when the folder holds no run, ShardError when its figures do not add up or a part is damaged.
    """
    funnel = read_funnel(folder)
    folder.write_text("report/funnel.json", json.dumps(asdict(funnel), indent=1) + "\n")
    folder.write_text("report/index.html", _html(folder, funnel))


def _html(folder: Folder, funnel: Funnel) -> str:
    languages, language_parts = count_languages(folder, funnel)
    return render_page(
        "report_template.html",
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
