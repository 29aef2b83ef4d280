"""The `dataproc` command: one function per verb, a thin shell over the library; heavy imports wait until needed."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dataproc.errors import DataprocError

if TYPE_CHECKING:
    from dataproc.storage import Folder
    from jobs.pipeline import Order

EXIT_CODES = (
    "Exit codes: 0 well, 1 problems found by verify, or an error of the machine, 2 wrong option, recipe or mix,"
    " 3 input, 4 schema, 5 a unit or file failed, 6 the folder holds another run or what is none, 7 a file cannot be"
    " stored (a full disk), 130 Ctrl-C."
)

app = typer.Typer(
    help="Turn web crawls into training tokens.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
dedup = typer.Typer(help="Look into deduplication.", no_args_is_help=True)
app.add_typer(dedup, name="dedup")
console = Console()
errors = Console(stderr=True)


class EngineName(StrEnum):
    """The names of `dataproc.engines.ENGINES`, which is not imported for the sake of --help."""

    local = "local"
    ray = "ray"
    spark = "spark"
    ray_spark = "ray+spark"


RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run (its OUT).")]
EngineOption = Annotated[
    EngineName,
    typer.Option(
        "--engine",
        help="Where the work is done: this machine, the Ray cluster of RAY_ADDRESS, the Spark of SPARK_MASTER, or units"
        " on Ray and exchanges on Spark.",
    ),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Units worked on at once; default: one per core.")]


@app.command()
def run(
    crawl: Annotated[
        str,
        typer.Option(
            help='"sample", a Common Crawl id, or a file, folder, glob or list of WARC, WET, Parquet or JSONL files,'
            " local or any URL."
        ),
    ],
    recipe: Annotated[str, typer.Option(help="Name of a shipped recipe, or the path of a .yaml file.")] = "default",
    out: Annotated[
        str | None, typer.Option(help="Folder of the run; default: runs/CRAWL-RECIPE. An existing run is resumed.")
    ] = None,
    engine: EngineOption = EngineName.local,
    workers: Workers = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read only the first N files of the crawl.")] = None,
    limit_docs: Annotated[
        int | None, typer.Option(min=1, help="Read only the first N documents; to plan that, they are read once more.")
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where the paths of a list start; for a Common Crawl id, e.g. s3://commoncrawl"
            " instead of https://data.commoncrawl.org.",
        ),
    ] = None,
    redo: Annotated[
        str | None,
        typer.Option(
            metavar="STEP",
            help="Rebuild a step and all built on it: documents, signatures, dedup, lines, substrings, scores, buckets,"
            " tokens, mixture.",
        ),
    ] = None,
    reuse: Annotated[
        str | None, typer.Option(metavar="RUN", help="Take finished datasets with equal fingerprints from another run.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN",
            help="Drop what a finished run with `dedup.index: true` has; for several, once each, oldest first.",
        ),
    ] = None,
) -> None:
    """Run a recipe on a crawl: documents, dedup, scores, tokens, mixture, report."""
    from dataproc.storage import Folder
    from jobs.pipeline import Order
    from jobs.recipe import load_recipe, with_against

    loaded = load_recipe(recipe)
    order = Order(crawl, with_against(loaded, against) if against else loaded, recipe, limit, limit_docs, root)
    _run(order, Folder(out or order.default_out()), engine, workers, redo, reuse)


@app.command()
def resume(run: RunArgument, engine: EngineOption = EngineName.local, workers: Workers = None) -> None:
    """Go on with a run that was stopped; finished parts stay as they are."""
    from dataproc.storage import Folder
    from jobs.pipeline import read_order

    folder = Folder(run)
    _run(read_order(folder), folder, engine, workers)


@app.command()
def status(
    run: RunArgument,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show it anew every two seconds while the run goes on.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Tell from another terminal or machine how far a run is: units, pace, time left, failures; by its events alone."""
    from dataproc.storage import Folder
    from jobs.status import Watch, show

    watch = Watch(Folder(run))
    if json:
        typer.echo(watch.to_json())
    else:
        show(watch, console, follow=follow)


@app.command()
def report(run: RunArgument) -> None:
    """Print the funnel and where the time went, and write report/index.html anew."""
    from dataproc.storage import Folder
    from jobs.report import write_report

    folder = Folder(run)
    write_report(folder)
    _finish(folder, with_times=True)


@app.command()
def mix(
    run: RunArgument,
    mix: Annotated[str, typer.Option(help="Name of a shipped mix, or the path of a .yaml file.")] = "natural",
    out: Annotated[Path | None, typer.Option(help="File to write; default: RUN/mixture.json.")] = None,
) -> None:
    """Make mixture.json from a run's token shards: tokens, epochs and what is missing per bucket."""
    from dataproc.storage import Folder
    from jobs.mixture import remix, render
    from jobs.pipeline import read_order

    folder = Folder(run)
    console.print(render(remix(folder, mix, read_order(folder).recipe.seed, out)))


@app.command()
def explain(
    run: RunArgument,
    document: Annotated[str, typer.Argument(metavar="URL|DOC_ID", help="A URL, or 32 hex digits.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Tell one document's whole life: where it came from, what kept or dropped it, where its tokens are."""
    from dataproc.storage import Folder
    from jobs.explain import explain as find
    from jobs.explain import render

    life = find(Folder(run), document)
    if json:
        typer.echo(life.to_json())
    else:
        console.print(render(life))


@app.command()
def verify(run: RunArgument) -> None:
    """Check every file of a run against its manifests, every sidecar against its documents, every token shard."""
    from dataproc.storage import Folder
    from jobs.verify import verify_run

    problems = 0
    for problem in verify_run(Folder(run)):
        problems += 1
        errors.print(str(problem), highlight=False, soft_wrap=True, markup=False)
    if problems:
        errors.print(f"{problems} problem{'s' if problems > 1 else ''}.")
        raise typer.Exit(1)
    console.print("Every file is what its manifest says.")


@dedup.command()
def audit(
    run: RunArgument,
    sample: Annotated[
        int, typer.Option(min=1, help="Documents that are compared with all others, to estimate recall.")
    ] = 1000,
    plan: Annotated[
        str | None,
        typer.Option(
            metavar="PLAN",
            help='What else to ask about: a plan of docs/dedup.md or fields of dedup.minhash, as "olmo3",'
            ' "min_jaccard=0.7" or "olmo3, min_jaccard=0.7".',
        ),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="Make dedup anew with --plan, in RUN/.scratch, instead of estimating what it drops."
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Page to write; default: RUN/audit.html.")] = None,
    engine: EngineOption = EngineName.local,
    workers: Workers = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a summary.")] = False,
) -> None:
    """Audit near-duplicate dedup: recall against brute force, clusters to look at, and what another plan would drop."""
    from contextlib import closing

    from dataproc.engines import find_engine
    from dataproc.storage import Folder
    from jobs import dedup_audit_page
    from jobs.dedup_audit import audit as look
    from jobs.progress import ProgressDisplay

    folder = Folder(run)
    progress = ProgressDisplay(errors if json else console)
    with closing(find_engine(engine.value)(workers)) as started:
        found = look(folder, started, sample, plan, exact=exact, progress=progress)
    place = dedup_audit_page.write(folder, found, out)
    if json:
        typer.echo(found.to_json())
    else:
        console.print(dedup_audit_page.render(found), highlight=False, soft_wrap=True, markup=False)
        console.print(f"Page: {place}", highlight=False, soft_wrap=True, markup=False)


@app.command()
def train_classifier(
    config: Annotated[str, typer.Argument(help='"quality", "domain", or the path of a training .yaml.')],
    data: Annotated[Path, typer.Option(help="Folder with the texts that the config names.")],
    out: Annotated[Path, typer.Option(help="Folder for the model, its card and the held-out figures.")],
) -> None:
    """Train a fastText classifier from labelled sources, whole sources held out; the same data gives the same bytes."""
    from jobs.train_classifier import run as train

    train(config, data, out)


@app.command()
def build_unigrams(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Folder of a run, or JSON Lines, Parquet or WET files.")
    ],
    language: Annotated[str, typer.Option(help="Language of the texts; of a run, its documents in that language.")],
    out: Annotated[Path, typer.Option(help="File to write: .tsv or .tsv.gz.")],
    max_words: Annotated[int, typer.Option(min=1, help="Most frequent words kept.")] = 131072,
    max_text_bytes: Annotated[int, typer.Option(min=1, help="Texts read, in bytes of UTF-8.")] = 1 << 30,
) -> None:
    """Count the words of a language, as the reference of stage unigram_divergence."""
    from classifiers.languages import parse_language
    from jobs.build_unigrams import build_unigrams as build

    unigrams = build(source, parse_language(language), out, max_words, max_text_bytes)
    told = (
        f"{out}: {len(unigrams.words):,} of {unigrams.total:,} words of {unigrams.documents:,} documents."
        f" Their divergence by quantile: {', '.join(f'{q} {v}' for q, v in unigrams.divergence.items())}."
    )
    console.print(told, highlight=False, soft_wrap=True, markup=False)


def _run(
    order: Order,
    folder: Folder,
    engine: EngineName,
    workers: int | None,
    redo: str | None = None,
    reuse: str | None = None,
) -> None:
    from jobs.pipeline import run_pipeline
    from jobs.progress import ProgressDisplay

    try:
        run_pipeline(
            order, folder, ProgressDisplay(console), engine=engine.value, workers=workers, redo=redo, reuse=reuse
        )
    except KeyboardInterrupt:
        told = f"Stopped. `dataproc resume {folder.url}` goes on where it was."
        errors.print(told, highlight=False, soft_wrap=True, markup=False)
        raise typer.Exit(130) from None
    _finish(folder)


def _finish(folder: Folder, *, with_times: bool = False) -> None:
    from jobs import times
    from jobs.funnel import read_funnel, render

    funnel = read_funnel(folder)
    console.print(render(funnel))
    if with_times:
        console.print(times.render(times.read_times(folder, funnel)))
    console.print(f"Report: {folder.url}/report/index.html", highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command; errors of the user and the machine are one sentence on stderr and an exit code, no traceback."""
    try:
        app(standalone_mode=True)
    except (DataprocError, OSError) as error:
        errors.print(f"{type(error).__name__}: {error}", highlight=False, soft_wrap=True, markup=False)
        # Not sys.exit: library threads that still want the GIL would abort the interpreter while it shuts down.
        sys.stdout.flush()
        os._exit(error.exit_code if isinstance(error, DataprocError) else 1)


if __name__ == "__main__":
    main()
