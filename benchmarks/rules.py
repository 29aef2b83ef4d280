"""Rule sets, MB of text a second on one core: ours beside datatrove's, on the same texts, with the decisions compared.

CPU time on both sides. datatrove runs once over NUM_DOCS English documents, spread over the bench texts
(`benchmarks.texts`): each filter alone, then the four as one chain, in which they share its cache of words. Ours, in
batches as a run has them, is the fastest of some repeats: the first one compiles. The four are those of recipe
`fineweb`, variant `datatrove` each. Decisions are compared document by document, kept or dropped, with datatrove as it
is and with an oracle, datatrove's rules on our pieces and sentences; results/rules.json counts the pairs of reasons
where they differ. docs/conformance.md explains them. The rules as the papers have them are compared as well, without a
goal: they are other rules.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.figures import RESULTS, Figure, write
from benchmarks.texts import bench_texts
from dataproc.errors import ConfigError
from dataproc.kernels.line_rules import cut_citations
from dataproc.kernels.lines import split_lines
from dataproc.kernels.pieces import split_pieces
from dataproc.kernels.sentences import count_sentences
from dataproc.stage import BuiltStage, Stage, run_stages
from jobs.recipe import load_recipe
from stages.bad_words import BadWords
from stages.fineweb_quality import VARIANTS, FinewebQuality
from stages.gopher_quality import GopherQuality
from stages.gopher_repetition import GopherRepetition
from stages.language_id import LanguageId
from stages.refinedweb_lines import RefinedwebLines

NUM_DOCS = 1_200
BATCH_BYTES = 8 << 20
PEER = "datatrove 0.10.0"
PEERS = Path(os.environ.get("PEERS", ".venv-peers"))

RULE_SETS = ("gopher_repetition", "gopher_quality", "c4", "fineweb_quality")
OTHERS: dict[str, Stage] = {"refinedweb_lines": RefinedwebLines(), "bad_words": BadWords()}


def main() -> None:
    python = PEERS / "bin" / "python"
    if not python.exists():
        raise ConfigError(f"{python} must hold the peers, got none. Run `make peers`.")
    texts, told = bench_texts()
    everything = with_language(texts)
    english = np.flatnonzero(pc.equal(everything["language"], "eng").to_numpy(zero_copy_only=False))
    rows = english[np.unique(np.linspace(0, len(english) - 1, min(NUM_DOCS, len(english))).astype(int))]
    sample = everything.take(pa.array(rows))
    size = megabytes(sample)
    print(f"{told}: {len(texts):,} documents, of which {len(rows):,} English ones, {size:.1f} MB, go to the peer.")
    theirs = run_peer(python, sample["text"])

    figures = []
    recipe = load_recipe("fineweb").documents.stages
    chain = {name: recipe[name] for name in RULE_SETS}
    for name, stage in chain.items():
        figures.append(rate(name, {name: stage}, sample, theirs["seconds"][name]))
    figures.append(rate("the four as one chain", chain, sample, theirs["seconds"]["chain"], goal=200))
    for name, stage in OTHERS.items():
        figures.append(rate(name, {name: stage}, sample))
    stages = load_recipe("default").documents.stages
    rules = dict(list(stages.items())[list(stages).index("language_id") + 1 :])
    name = f"rule sets of recipe default ({', '.join(rules)}), all languages"
    figures.append(rate(name, rules, everything, goal=20))

    letters = only("min_alpha_words")
    compared: dict[str, Stage] = {
        **chain,
        "gopher_quality": GopherQuality(variant="datatrove", min_alpha_words=None),
        "letter rule": GopherQuality(variant="datatrove", **letters),
    }
    papers: dict[str, Stage] = {
        "gopher_repetition": GopherRepetition(),
        "gopher_quality": GopherQuality(min_alpha_words=None),
        "letter rule": GopherQuality(**letters),
        "fineweb_quality": FinewebQuality(variant="paper", **VARIANTS["datatrove"]),
    }
    differences = {}
    for name, stage in compared.items():
        mine, goal = dropped(stage, sample), None if name == "letter rule" else 98
        for peer, reasons, least in (("datatrove", theirs["reasons"], goal), ("oracle", theirs["oracle"], 99.9)):
            figures.append(agreement(f"{name}: same as {peer}", mine, reasons[name], least))
            differences[f"{name}, {peer}"] = difference(mine, reasons[name])
    for name, stage in papers.items():
        mine = dropped(stage, sample)
        figures.append(
            agreement(f"{name}, lines and words of the paper: same as datatrove", mine, theirs["reasons"][name])
        )
        differences[f"{name} of the paper, datatrove"] = difference(mine, theirs["reasons"][name])
    write("rules", figures)
    (RESULTS / "rules.json").write_text(json.dumps(differences, indent=1) + "\n", encoding="utf-8")


def with_language(texts: pa.Array) -> pa.RecordBatch:
    """Return the texts with doc_id and the language that our model gives them."""
    ids = pa.array([k.to_bytes(16, "big") for k in range(len(texts))])
    batch = pa.RecordBatch.from_arrays([ids, texts], ["doc_id", "text"])
    return LanguageId(min_score=None).build()(batch).select(["doc_id", "text", "language"])


def megabytes(batch: pa.RecordBatch) -> float:
    return float(pc.sum(pc.binary_length(batch["text"])).as_py() / 1e6)


def batches(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield the rows in batches of some BATCH_BYTES, each in buffers of its own."""
    ends = np.cumsum(pc.binary_length(batch["text"]).to_numpy()) // BATCH_BYTES
    for number in np.unique(ends):
        yield batch.filter(pa.array(ends == number))


def rate(
    name: str,
    stages: Mapping[str, Stage],
    batch: pa.RecordBatch,
    peer_s: float | None = None,
    goal: float | None = None,
) -> Figure:
    """Return the MB a second of a chain of our stages, beside the peer's CPU seconds for the same texts."""
    built = [BuiltStage(name, stage.build()) for name, stage in stages.items()]
    parts, size = list(batches(batch)), megabytes(batch)
    ours = cpu_seconds(lambda: [run_stages(built, part, {}) for part in parts])
    if peer_s is None:
        return Figure(name, size / ours, "MB/s", goal=goal)
    return Figure(name, size / ours, "MB/s", PEER, size / peer_s, goal)


def cpu_seconds(function: Callable[[], object], repeats: int = 7) -> float:
    """Return the least CPU seconds of some calls, after one that compiles: other programs only ever add to it."""
    function()
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        function()
        taken.append(time.process_time() - started)
    return min(taken)


def run_peer(python: Path, texts: pa.Array) -> dict[str, Any]:
    """Return what peer_datatrove.py says of the texts."""
    words = split_pieces(texts)
    lines, _ = cut_citations(split_lines(texts))
    spelled = spell(words.data, words.starts, words.ends)
    counts = count_sentences(lines).tolist()
    given = {
        "texts": texts.to_pylist(),
        "words": [spelled[a:b] for a, b in zip(words.offsets[:-1], words.offsets[1:], strict=True)],
        "sentences": dict(zip(spell(lines.data, lines.starts, lines.ends), counts, strict=True)),
    }
    given["sentences"] = {line.strip(): count for line, count in given["sentences"].items()}
    with tempfile.TemporaryDirectory() as folder:
        read, result = Path(folder, "in.json"), Path(folder, "out.json")
        read.write_text(json.dumps(given), encoding="utf-8")
        subprocess.run([python, Path(__file__).with_name("peer_datatrove.py"), read, result], check=True)
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return found


def spell(data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> list[str]:
    whole = data.tobytes()
    return [whole[a:b].decode() for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]


def only(rule: str) -> dict[str, Any]:
    """Return a config of Gopher's quality rules that has all but one turned off."""
    return {other: None for other in GopherQuality().contract().rules if other != rule}


def dropped(stage: Stage, batch: pa.RecordBatch) -> list[str | None]:
    """Return why each row is dropped, None for those kept."""
    reasons: list[str | None] = stage.build()(batch)["drop_reason"].to_pylist()
    return reasons


def agreement(name: str, ours: Sequence[str | None], theirs: Sequence[str | None], goal: float | None = None) -> Figure:
    same = sum((mine is None) == (their is None) for mine, their in zip(ours, theirs, strict=True))
    return Figure(name, 100 * same / len(ours), "% of documents", goal=goal)


def difference(ours: Sequence[str | None], theirs: Sequence[str | None]) -> dict[str, int]:
    """Count the pairs of reasons of documents that only one of the two keeps."""
    pairs = zip(ours, theirs, strict=True)
    counted = Counter(f"{mine} | {their}" for mine, their in pairs if (mine is None) != (their is None))
    return dict(counted.most_common())


if __name__ == "__main__":
    main()
