"""Write what the docs take from the code: `make docs`. A test fails when it is stale.

stages.md and commands.md are written whole, performance.md has tables of the figures in benchmarks/results.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from dataproc.config import Config
from dataproc.stage import Stage
from jobs.cli import app
from jobs.recipe import Alarms, DedupConfig
from stages.exact_dedup import ExactDedup
from stages.line_dedup import LineDedup
from stages.minhash_plan import MinhashDedup
from stages.registry import STAGES
from stages.substring_dedup import SubstringDedup
from stages.url_dedup import UrlDedup

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"
HEAD = "Written by `make docs` from the code; edit the docstrings instead.\n"
INTRODUCTION = """\
A recipe lists stages by name, with the fields that differ from the defaults: `gopher_quality: {min_words: 30}`.
Under another name, `use` says which is meant: `english: {use: threshold, column: language_score, min: 0.8}`.
Every stage takes `annotate: true`, which flags instead of dropping.
"""

SECTIONS_INTRODUCTION = """\
# Sections of a recipe that are no stages

What those of `dedup` do is told in [dedup.md](dedup.md).
"""
SECTIONS: dict[str, type[Config]] = {
    "dedup": DedupConfig,
    "dedup.url": UrlDedup,
    "dedup.exact": ExactDedup,
    "dedup.minhash": MinhashDedup,
    "dedup.alarms": Alarms,
    "lines": LineDedup,
    "substrings": SubstringDedup,
}


def pages() -> dict[str, str]:
    """Return the text of each generated page by its file name."""
    return {
        "stages.md": "\n".join(_stages()),
        "commands.md": "\n".join(_commands()),
        "performance.md": _with_figures((HERE / "performance.md").read_text(encoding="utf-8")),
    }


def _with_figures(text: str) -> str:
    """Return the page with the table of NAME.jsonl between `<!-- NAME.jsonl -->` and the next `<!-- end -->`."""
    return re.sub(
        r"(<!-- (\w+\.jsonl) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{_figures(RESULTS / found[2])}{found[3]}",
        text,
        flags=re.DOTALL,
    )


def _figures(results: Path) -> str:
    """Return the figures of a benchmark as a table, for one not run yet a sentence."""
    if not results.exists():
        return "Not measured yet.\n"
    rows = ["| figure | value | unit | beside | its value | ratio | goal |", "|---|--:|---|---|--:|--:|--:|"]
    for line in results.read_text(encoding="utf-8").splitlines():
        figure = json.loads(line)
        value, peer, ratio, goal = (
            "" if figure[key] is None else f"{float(f'{figure[key]:.4g}'):,.12g}"
            for key in ("value", "peer_value", "ratio", "goal")
        )
        rows.append(
            f"| {figure['name']} | {value} | {figure['unit']} | {figure['peer'] or ''} | {peer} | {ratio} | {goal} |"
        )
    return "\n".join([*rows, ""])


def _stages() -> Iterator[str]:
    yield f"# Stages\n\n{HEAD}"
    yield INTRODUCTION
    for name, kind in STAGES.items():
        yield f"## {name}\n\n{inspect.cleandoc(kind.__doc__ or '')}\n"
        yield from _contract(kind)
        yield from _fields(kind)
    yield SECTIONS_INTRODUCTION
    for name, section in SECTIONS.items():
        yield f"## {name}\n\n{inspect.cleandoc(section.__doc__ or '')}\n"
        yield from _fields(section)


def _fields(kind: type[Config]) -> Iterator[str]:
    fields = {field: info for field, info in kind.model_fields.items() if field != "annotate"}
    if fields:
        yield "| field | default | meaning |\n|---|---|---|"
    for field, info in fields.items():
        yield f"| `{field}` | {_default(info)} | {_cell(info.description)} |"
    yield f"\nMore: `{kind.__module__.replace('.', '/')}.py`.\n"


def _contract(kind: type[Stage]) -> Iterator[str]:
    """Say what the stage reads, writes and drops by, where its defaults alone decide that."""
    if any(info.is_required() for info in kind.model_fields.values()):
        return
    contract = kind().contract()
    lines = {
        "Reads": [f"`{column}`" for column in contract.reads],
        "Writes": [f"`{column}` ({kind})" for column, kind in contract.writes.items()],
        "By default drops by": [f"`{rule}`" for rule in contract.rules],
    }
    yield " ".join(f"{verb} {', '.join(names)}." for verb, names in lines.items() if names) + "\n"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "must be given"
    value = info.get_default(call_default_factory=True)
    return f"`{_cell(json.dumps(to_jsonable_python(value), ensure_ascii=True))}`"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _commands() -> Iterator[str]:
    group: Any = typer.main.get_command(app)
    yield f"# The dataproc command\n\n{HEAD}\n{group.epilog}\n"
    yield from _command(group, "dataproc")


def _command(command: Any, name: str) -> Iterator[str]:
    """Tell of a command, or of all those of a group."""
    if hasattr(command, "commands"):
        for word, inner in command.commands.items():
            yield from _command(inner, f"{name} {word}")
        return
    by_kind: dict[str, list[Any]] = {"argument": [], "option": []}
    for parameter in command.params:
        by_kind[parameter.param_type_name].append(parameter)
    arguments = [argument.metavar or argument.name.upper() for argument in by_kind["argument"]]
    yield f"## {' '.join([name, *arguments])}\n\n{inspect.cleandoc(command.help or '')}\n"
    if by_kind["option"]:
        yield "| option | default | meaning |\n|---|---|---|"
    for option in by_kind["option"]:
        shown = "must be given" if option.required else "" if option.default in (None, False) else f"`{option.default}`"
        yield f"| `{option.opts[0]}` | {shown} | {_cell(option.help)} |"
    yield ""


def main() -> None:
    """Write the pages; with --check, only say which are stale, and exit with 1 then."""
    stale = [name for name, text in pages().items() if not _same(HERE / name, text)]
    if "--check" in sys.argv:
        sys.exit(f"stale: {', '.join(stale)}. Run make docs." if stale else 0)
    for name in stale:
        (HERE / name).write_text(pages()[name], encoding="utf-8")


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    main()
