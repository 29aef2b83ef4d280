"""What an audit says: a page like the report's, and a short text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataproc.disk import move, temporary
from dataproc.storage import Folder
from jobs.dedup_audit import Audit, OtherPlan, PlanFigures
from jobs.dedup_estimates import Estimate
from jobs.funnel import share
from jobs.pages import render_page

PAGE = "audit.html"


def write(folder: Folder, audit: Audit, out: Path | None = None) -> str:
    """Write the page as audit.html of the run, or to `out`, in one step; return where it is."""
    text = page(audit)
    if out is None:
        folder.write_text(PAGE, text)
        return f"{folder.url}/{PAGE}"
    with temporary(out.parent, out) as making:
        making.write_text(text, encoding="utf-8")
        move(making, out)
    return str(out)


def page(audit: Audit) -> str:
    """Return the page, self-contained HTML."""
    other = audit.other
    return render_page(
        "audit_template.html",
        audit=audit,
        plan=describe(audit.own.plan),
        notes=list(notes(audit)),
        other_plan=other and _unit(other.figures.plan),
        other_sentence=other and _dropped(audit, other),
        other_told=other and _how(other.figures),
    )


def render(audit: Audit) -> str:
    """Return the figures in a few lines."""
    own = audit.own
    limit = own.plan["min_jaccard"]
    lines = [
        f"{audit.run}: {describe(own.plan)}",
        f"{audit.documents:,} documents came to near-duplicate dedup, {audit.dropped:,} of them were dropped"
        f" ({share(audit.dropped, audit.documents)}).",
        f"{audit.drawn:,} of them were compared with all by brute force; {own.pairs:,} pairs of at least {limit} are"
        " known:",
        f"  in one cluster                                {_told(own.recall)}",
        f"  met in a band                                 {_told(own.met)}",
        f"  kept documents with such a pair that was kept {_told(own.left)}",
    ]
    for size in audit.classes:
        if size.clusters:
            most = "+" if size.most is None else f"-{size.most:,}" if size.most > size.least else ""
            name = f"{size.least:,}{most}"
            lines.append(f"  clusters of {name:<12} {size.clusters:>12,}, {size.documents - size.clusters:,} dropped")
    if audit.other is not None:
        lines += [_dropped(audit, audit.other), f"  {_how(audit.other.figures)}"]
    return "\n".join([*lines, *notes(audit)])


def notes(audit: Audit) -> Iterator[str]:
    """Yield what has to be known of the figures."""
    if audit.own.measured_by == "minhash":
        yield (
            "signatures/ holds no shingles, so similarities are estimated by the signatures: what they misjudge, recall"
            " misjudges too."
        )


def describe(plan: dict[str, Any]) -> str:
    """Return a plan in a sentence."""
    verified = {"jaccard": "true Jaccard", "signature": "similarity of signatures"}
    by = verified.get(plan["verification"])
    judged = f"pairs of a {by} of at least {plan['min_jaccard']} link" if by else "all pairs of a band link"
    return f"{plan['num_bands']} bands x {plan['rows_per_band']} rows over {_unit(plan)}; {judged}."


def _unit(plan: dict[str, Any]) -> str:
    return f"shingles of {plan['shingle_size']} {plan['unit']}"


def _dropped(audit: Audit, other: OtherPlan) -> str:
    """Say what another plan would drop."""
    found = other.dropped
    about = "" if other.exact else "about "
    between = "" if other.exact else f" (95% interval {found.low:,.0f} to {found.high:,.0f})"
    return (
        f"With {describe(other.figures.plan)[:-1]}, {about}{found.value:,.0f} documents would be dropped{between},"
        f" instead of {audit.dropped:,}."
    )


def _how(figures: PlanFigures) -> str:
    source = {
        "shingles": "by the shingles of signatures/",
        "minhash": "by the signatures, which only estimate it",
        "text": "by shingles made of the texts",
    }
    return f"Pairs known of at least {figures.plan['min_jaccard']} ({source[figures.measured_by]}): {figures.pairs:,}."


def _told(estimate: Estimate | None) -> str:
    if estimate is None:
        return f"{'-':>7} (there was none)"
    if estimate.low == estimate.high:
        return f"{estimate.value:7.2%} (exactly: all were drawn)"
    return f"{estimate.value:7.2%} (95% interval {estimate.low:.2%} to {estimate.high:.2%})"
