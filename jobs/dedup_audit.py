"""`dataproc dedup audit RUN`: how much near-duplicate dedup finds, what it took for duplicates, what others would.

Recall is estimated on a sample of documents that are compared with all others by brute force (`jobs.dedup_sample`); an
estimate comes with its confidence interval. Everything is read part by part, and nothing is written but the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from rich.console import Console

from dataproc.config import validate
from dataproc.engines import Engine
from dataproc.errors import ConfigError, InputError
from dataproc.shards import Dataset, read_description
from dataproc.storage import Folder
from dataproc.tables import read_part
from jobs.dedup_anew import dropped_anew
from jobs.dedup_clusters import CLASSES, WORST, Cluster, count_clusters, least_alike
from jobs.dedup_compare import NUM_BINS, Compared, Example, compare_sample
from jobs.dedup_estimates import Estimate, ratio_of_pairs, scaled_total, share_of
from jobs.dedup_evidence import rounds_of
from jobs.dedup_pairs import PairReader, ShownPair
from jobs.dedup_sample import Draw, Sample, draw_sample
from jobs.dedup_scope import Scope
from jobs.dedup_view import View
from jobs.funnel import read_recipe
from jobs.lookup import parts_done
from jobs.progress import ProgressDisplay, Watched
from jobs.signatures import VERSION
from stages.minhash_plan import MinhashDedup, candidate_probability

EDGE_BINS = 50
LET_GO = 4
"""Documents shown that another plan would keep."""


@dataclass(frozen=True)
class Bin:
    """Pairs of drawn documents by their similarity, from `low` up to `high`."""

    low: float
    high: float
    pairs: int
    expected: float
    """How many should meet in a band."""
    met: int
    found: int
    """Of them, in one cluster."""


@dataclass(frozen=True)
class PlanFigures:
    """What a plan finds, by the sample; estimates are None where there is nothing to estimate from."""

    plan: dict[str, Any]
    measured_by: str
    """shingles, minhash (an estimate of the similarity) or text."""
    curve: list[tuple[float, float]]
    """(similarity, probability to meet in a band)."""
    pairs: int
    """Known pairs of at least min_jaccard."""
    recall: Estimate | None
    """Share of such pairs of the run that are in one cluster."""
    met: Estimate | None
    """Share that meets in a band."""
    left: Estimate | None
    """Share of the documents that were kept, and have such a pair with another that was kept."""
    bins: list[Bin]


@dataclass(frozen=True)
class OtherPlan:
    """What another plan would do with the documents that came to near-duplicate dedup."""

    figures: PlanFigures
    dropped: Estimate
    exact: bool
    """Whether dedup was made anew with it, instead of estimated on the sample."""
    gained: list[ShownPair]
    """Pairs that it links, and that are not in one cluster now."""
    let_go: list[ShownPair]
    """Dropped documents that it links with nothing, each beside the one kept in its stead."""


@dataclass(frozen=True)
class SizeClass:
    """Clusters of `least` to `most` documents (null: any more), some of them shown."""

    least: int
    most: int | None
    clusters: int
    documents: int
    shown: list[ShownCluster]


@dataclass(frozen=True)
class ShownCluster:
    """A cluster: the one kept beside the members least like it."""

    documents: int
    measured: int
    pairs: list[ShownPair]


@dataclass(frozen=True)
class Audit:
    """The figures of an audit."""

    run: str
    documents: int
    """That came to near-duplicate dedup."""
    dropped: int
    drawn: int
    own: PlanFigures
    missed: list[ShownPair]
    edges: list[int]
    """Pairs compared, by their similarity in EDGE_BINS bins from 0 to 1; empty where nothing is verified."""
    linked: int
    """Of them, those that were similar enough."""
    classes: list[SizeClass]
    other: OtherPlan | None

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(asdict(self), indent=1)


@dataclass(frozen=True)
class _Run:
    """What the manifests of a finished dedup say."""

    folder: Folder
    minhash: MinhashDedup
    scope: Scope
    earlier: tuple[Folder, ...]
    signed: Mapping[str, Any]
    """What its signatures/ are made by, see `MinhashDedup.signed`."""


def audit(
    folder: Folder,
    engine: Engine,
    size: int,
    plan: str | None = None,
    *,
    exact: bool = False,
    progress: ProgressDisplay | None = None,
) -> Audit:
    """Return the audit of a run by a sample of `size` documents; `plan` is another one to ask about, see `other_plan`.

    With `exact`, dedup is made anew with it (`jobs.dedup_anew`), instead of estimated on the sample. Without `progress`
    nothing is shown. Raises InputError for what is no run whose near-duplicate dedup is done; ConfigError for an
    unknown plan; ShardError when a part is damaged.
    """
    run = _open(folder)
    other = None if plan is None else other_plan(run.minhash, plan)
    if exact and (other is None or run.earlier):
        got = "no plan" if other is None else "a run that was deduplicated against others"
        raise ConfigError(f"--exact must come with --plan, for a run without earlier ones, got {got}. Leave it out.")
    parts = parts_done(folder, "dedup")
    watched = Watched(engine, progress or ProgressDisplay(Console(quiet=True)))
    sample = draw_sample(watched, Draw(folder, run.scope, size, bool(run.earlier)), parts)
    view = _view(run, run.minhash)
    own = _compare(watched, run, view, sample, parts)
    reader = PairReader(folder, run.earlier)
    edges, linked = _edges(watched, run)
    return Audit(
        run=folder.url,
        documents=sample.population,
        dropped=sample.dropped,
        drawn=len(sample.place),
        own=_figures(view, sample, own),
        missed=[reader.pair(one.place, one.other, *_facts(one, view)) for one in own.missed],
        edges=edges,
        linked=linked,
        classes=_classes(watched, run, view, reader),
        other=None if other is None else _other(watched, run, other, sample, own, parts, reader, exact=exact),
    )


def _open(folder: Folder) -> _Run:
    made = read_description(folder, "dedup")
    if made is None:
        raise InputError(f"{folder.url} must hold a run with dedup, got no manifests/dedup. Give the OUT of a run.")
    done = len(Dataset(folder, "dedup", made["made_from"], made["parts"]).done())
    if done != made["parts"]:
        raise InputError(
            f"{folder.url} must hold a run whose dedup is done, got {done} of {made['parts']} parts."
            f" Run `dataproc resume {folder.url}`."
        )
    dedup = made["made_from"]["dedup"]
    if dedup["minhash"] is None:
        raise InputError(
            f"{folder.url} must hold a run with near-duplicate dedup, got dedup.minhash: null in its recipe."
            " There is nothing to audit in equal URLs and texts."
        )
    minhash = validate(MinhashDedup, dedup["minhash"], f"{folder.url}: dedup.minhash")
    against = read_recipe(folder).dedup.against if made["made_from"]["against"] else ()
    signatures = (read_description(folder, "signatures") or {"made_from": {}})["made_from"]
    if (version := signatures.get("version")) != VERSION:
        raise InputError(
            f"{folder.url} must have signatures of version {VERSION}, got {version}."
            " Run it again with --redo signatures."
        )
    return _Run(folder, minhash, dedup["scope"], tuple(map(Folder, against)), signatures["minhash"])


def other_plan(own: MinhashDedup, text: str) -> MinhashDedup:
    """Return the plan that a text names: a published one, fields of dedup.minhash, or both; the rest is as in `own`.

    Raises ConfigError. Example: "olmo3, min_jaccard=0.7", or "num_bands=20".
    """
    given: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        try:
            given[name.strip() if equals else "plan"] = yaml.safe_load(value) if equals else name.strip()
        except yaml.YAMLError as error:
            raise ConfigError(f"--plan must give fields as name=value, got {part!r}. Correct the value.") from error
    if not given:
        raise ConfigError(f"--plan must be a plan or fields of dedup.minhash, got {text!r}. Give olmo3, say.")
    kept = own.model_dump(mode="json")
    if "plan" in given:
        kept = {name: kept[name] for name in kept if name not in ("unit", "shingle_size", "num_bands", "rows_per_band")}
    return validate(MinhashDedup, {**kept, **given}, "--plan")


def _compare(engine: Watched, run: _Run, view: View, sample: Sample, parts: Sequence[int]) -> Compared:
    return compare_sample(engine, run.folder, run.scope, bool(run.earlier), view, sample, parts)


def _figures(view: View, sample: Sample, found: Compared) -> PlanFigures:
    config = view.config
    kept = int(sample.kept.sum())
    all_kept = sample.population - sample.dropped
    return PlanFigures(
        plan=config.model_dump(mode="json", exclude={"tokenizer"} if config.unit != "tokens" else None),
        measured_by=view.source,
        curve=[(s / 100, candidate_probability(s / 100, config.num_bands, config.rows_per_band)) for s in range(101)],
        pairs=int(found.pairs.sum()),
        recall=ratio_of_pairs(found.found, found.pairs, sample.population),
        met=ratio_of_pairs(found.met, found.pairs, sample.population),
        left=share_of(int((found.left > 0).sum()), kept, all_kept),
        bins=[
            Bin(k / NUM_BINS, (k + 1) / NUM_BINS, int(pairs), int(expected) / 1e6, int(met), int(together))
            for k, (pairs, met, together, expected) in enumerate(zip(*found.bins, found.expected, strict=True))
        ],
    )


def _facts(example: Example, view: View) -> list[str]:
    measure = "similarity by their signatures" if view.source == "minhash" else "Jaccard"
    return [f"{measure} {example.similarity:.3f}", "met in a band" if example.met else "met in no band"]


def _other(
    engine: Watched,
    run: _Run,
    config: MinhashDedup,
    sample: Sample,
    own: Compared,
    parts: Sequence[int],
    reader: PairReader,
    *,
    exact: bool,
) -> OtherPlan:
    view = _view(run, config)
    found = _compare(engine, run, view, sample, parts)
    now, then = (_share_dropped(one) for one in (own, found))
    alone = np.flatnonzero((found.linked == 0) & ~sample.kept)
    keepers = [(int(sample.place[k]), own.keepers.get(int(sample.cluster[k]))) for k in alone]
    dropped = scaled_total(sample.dropped, now, then, sample.population)
    if exact:
        signed = view.source == "shingles" or (view.source == "minhash" and config.verification != "jaccard")
        anew = dropped_anew(run.folder, engine.engine, engine.progress, config, signed=signed)
        dropped = Estimate(anew, anew, anew)
    return OtherPlan(
        figures=_figures(view, sample, found),
        dropped=dropped,
        exact=exact,
        gained=[reader.pair(one.place, one.other, *_facts(one, view)) for one in found.gained],
        let_go=[reader.pair(keeper, place) for place, keeper in keepers if keeper is not None][:LET_GO],
    )


def _share_dropped(found: Compared) -> npt.NDArray[np.float64]:
    """Return 1 - 1 / (1 + linked) of each drawn document: of a cluster in which all pairs are linked, one stays.

    In others too little is dropped by it, now and then.
    """
    return 1 - 1 / (1 + found.linked)


def _view(run: _Run, config: MinhashDedup) -> View:
    """Return how a plan sees the run: by signatures/ if they are those of the plan, else by the text."""
    signed = config.signed()
    if any(signed.get(name) != run.signed.get(name) for name in ("shingles", "vocabulary", "hashes")):
        return View(config, "text")
    return View(config, "shingles" if run.signed["with_shingles"] else "minhash")


@dataclass(frozen=True)
class _CountEdges:
    """The pairs compared in a part of a round, by their similarity, and how many were linked."""

    folder: Folder
    min_jaccard: float

    def __call__(self, unit: tuple[str, int]) -> npt.NDArray[np.int64]:
        counts = np.zeros(EDGE_BINS + 1, np.int64)
        for batch in read_part(self.folder, *unit, ["jaccard", "first"]):
            jaccard = batch["jaccard"].filter(batch["first"]).to_numpy()
            bins = np.minimum((jaccard * EDGE_BINS + 1e-9).astype(np.int64), EDGE_BINS - 1)
            counts[:EDGE_BINS] += np.bincount(bins, minlength=EDGE_BINS)
            counts[EDGE_BINS] += int((jaccard >= self.min_jaccard).sum())
        return counts


def _edges(engine: Watched, run: _Run) -> tuple[list[int], int]:
    rounds = [name for name, measured in rounds_of(run.folder) if measured]
    units = [(name, part) for name in rounds for part in parts_done(run.folder, name)]
    if not units:
        return [], 0
    counts = sum(engine.map("dedup audit: edges", _CountEdges(run.folder, run.minhash.min_jaccard), units))
    return counts[:EDGE_BINS].tolist(), int(counts[EDGE_BINS])


def _classes(engine: Watched, run: _Run, view: View, reader: PairReader) -> list[SizeClass]:
    found = count_clusters(engine, run.folder, bool(run.earlier))
    most = [*(least - 1 for least in CLASSES[1:]), None]
    rows = zip(CLASSES, most, found.clusters, found.documents, found.picked, strict=True)
    return [
        SizeClass(least, last, clusters, documents, [_shown(run, view, reader, one) for one in picked])
        for least, last, clusters, documents, picked in rows
    ]


def _shown(run: _Run, view: View, reader: PairReader, cluster: Cluster) -> ShownCluster:
    worst = least_alike(run.folder, run.earlier, view.config, cluster)
    measure = "Jaccard" if view.source == "shingles" else "similarity by their signatures"
    pairs = [reader.pair(cluster.keeper, place, f"{measure} {alike:.3f}") for place, alike in worst[:WORST]]
    return ShownCluster(cluster.documents, len(cluster.members), pairs)
