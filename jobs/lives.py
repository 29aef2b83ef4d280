"""A document's life as a run tells it: where it is in the input, every signal, what dropped or kept it, its tokens.

Everything is read from the run: what the recipe was is taken from the manifests, so that runs of other versions can
be read too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dataproc.cuts import cut_text
from dataproc.errors import ShardError
from dataproc.shards import entry_name, read_description
from dataproc.storage import Folder
from dataproc.tables import part_name
from dataproc.tokens.reader import TokenReader
from dataproc.tokens.shards import shard_name
from jobs.cuts import CUTTING
from jobs.dedup_evidence import Pair, read_evidence
from jobs.funnel import read_recipe
from jobs.lookup import DROPPED, Row, find_rows, read_rows
from stages.places import run_part_row

IDENTITY = ("doc_id", "url", "input", "position", "length", "text", "flags")
"""Columns of documents/ that are no signals."""

MAX_MEMBERS = 100


@dataclass
class Life:
    """What a run knows of one document; ids are hex."""

    doc_id: str
    url: str | None
    input: str
    position: int
    length: int | None
    """Bytes of the record in the input, from `position` on; null when it was not kept by the documents step."""
    file: str
    row: int
    """Row of that file of the run which holds the document, or says why it was dropped."""
    fate: str
    """kept, dropped, failed (could not be read), or pending when the run has not got so far."""
    passed: list[str] = field(default_factory=list)
    """Stages that the document passed, in order."""
    dropped: Row | None = None
    """step, reason, value and limit of the rule that dropped it."""
    signals: Row = field(default_factory=dict)
    """Every other column of documents/."""
    flags: list[str] = field(default_factory=list)
    """Reasons of stages that only annotate."""
    scores: Row = field(default_factory=dict)
    """Every column of scores/."""
    duplicate_of: list[Row] = field(default_factory=list)
    """The documents kept in its stead (doc_id, url, reason), the last of which stays, or is of an earlier `run`."""
    cluster_size: int | None = None
    """Documents in its cluster, itself included; 1 when it has no duplicates, null before dedup has decided."""
    cluster: list[Row] = field(default_factory=list)
    """The other documents of its cluster, the one kept first, at most MAX_MEMBERS: doc_id, url, reason dropped."""
    links: list[Row] = field(default_factory=list)
    """Pairs (a, b, jaccard) that lead from it, or its exact copy, to the one kept; Jaccard null if not verified."""
    pairs: list[Row] = field(default_factory=list)
    """Every pair that it was compared in: doc_id of the other, jaccard, and whether that linked them."""
    cuts: list[Row] = field(default_factory=list)
    """Cuts of the text: the step, start and end in its UTF-8 bytes, what is put there, and the text cut."""
    bucket: str | None = None
    bypassed: str | None = None
    """Reason of the policy that its score outweighed."""
    tokens: Row | None = None
    """shard, offset and length in tokens (EOS included), their text, whether it is the text after cuts."""
    text: str | None = None
    """Of documents/, or as much as dropped/ has."""


class LifeReader:
    """Gathers what the datasets of a run say of one row."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._order = {name: _stage_order(folder, name) for name in ("documents", "buckets")}

    def life(self, dataset: str, part: int, row: int) -> Life:
        """Return the life of the document at a row of documents/ or dropped/documents/."""
        (found,) = read_rows(self._folder, dataset, part, [row])
        life = Life(
            doc_id=found["doc_id"].hex(),
            url=found["url"],
            input=found["input"],
            position=found["position"],
            length=found.get("length"),
            file=part_name(dataset, part),
            row=row,
            fate="pending",
            text=found["text"],
        )
        if dataset != "documents":
            self._drop(life, "documents", found)
            return life
        life.passed = list(self._order["documents"])
        life.signals = {name: value for name, value in found.items() if name not in IDENTITY}
        life.flags = found["flags"] or []
        life.scores = {
            name: value for name, value in self._beside("scores", part, row, life).items() if name != "doc_id"
        }
        self._dedup(life, part, row)
        for step in CUTTING:
            if life.dropped is None:
                self._cuts(life, step, part, row)
        if life.dropped is None:
            self._bucket(life, part, row)
        return life

    def _drop(self, life: Life, step: str, row: Row) -> None:
        life.dropped = {"step": step, **{name: row[name] for name in ("reason", "value", "limit")}}
        stage = row["reason"].partition(".")[0]
        life.fate = "failed" if stage == "failed" else "dropped"
        order = self._order.get(step, [])
        life.passed += order[: order.index(stage)] if stage in order else []

    def _beside(self, dataset: str, part: int, row: int, life: Life) -> Row:
        """Return the row of a sidecar, empty when its part is not done; it has to be this document's."""
        if not self._folder.exists(entry_name(dataset, part)):
            return {}
        (found,) = read_rows(self._folder, dataset, part, [row])
        if found["doc_id"].hex() != life.doc_id:
            raise ShardError(
                f"{part_name(dataset, part)} row {row} must hold doc_id {life.doc_id}, got {found['doc_id'].hex()}."
                " Run `dataproc verify`."
            )
        return found

    def _dedup(self, life: Life, part: int, row: int) -> None:
        decided = self._beside("dedup", part, row, life)
        if not decided:
            return
        evidence = read_evidence(self._folder, decided["doc_id"], part << 32 | row)
        life.duplicate_of = self._named(evidence.keepers)
        life.cluster_size = decided["cluster_size"] or 1 + len(evidence.members)
        life.cluster = self._named(evidence.members[:MAX_MEMBERS])
        life.links = [{"a": pair.a.hex(), "b": pair.b.hex(), "jaccard": pair.jaccard} for pair in evidence.links]
        life.pairs = [_pair(pair, decided["doc_id"]) for pair in evidence.pairs]
        if decided["duplicate_of"] is not None:
            self._dropped_at(life, "dedup", part)
        else:
            life.passed.append("dedup")

    def _cuts(self, life: Life, step: str, part: int, row: int) -> None:
        decided = self._beside(step, part, row, life)
        if not decided:
            return
        text = (life.text or "").encode()
        earlier = {cut["start"] for cut in life.cuts}  # a later sidecar has them too
        for cut in decided["cuts"] or []:
            if cut["start"] not in earlier:
                life.cuts.append({"step": step, **cut, "text": text[cut["start"] : cut["end"]].decode()})
        life.cuts.sort(key=lambda cut: cut["start"])
        if decided["cut_reason"] is not None:
            self._dropped_at(life, step, part)
        else:
            life.passed.append(step)

    def _named(self, found: Sequence[tuple[bytes, int, str]]) -> list[Row]:
        """Return doc_id, url and reason of documents, and the run of those of earlier runs; each part is read once."""
        by_part: dict[int, list[int]] = {}
        for _, place, _ in found:
            by_part.setdefault(place >> 32, []).append(place & 0xFFFFFFFF)
        known: dict[int, Row] = {}
        for part, rows in by_part.items():
            run, within, _ = run_part_row(part << 32)
            name = None if run is None else read_recipe(self._folder).dedup.against[run]
            folder = self._folder if name is None else Folder(name)
            for row, values in zip(rows, read_rows(folder, "documents", within, rows, ["url"]), strict=True):
                known[part << 32 | row] = values if name is None else {**values, "run": name}
        return [{"doc_id": one.hex(), **known[place], "reason": reason or None} for one, place, reason in found]

    def _bucket(self, life: Life, part: int, row: int) -> None:
        decided = self._beside("buckets", part, row, life)
        if not decided:
            return
        life.bypassed = decided.get("bypassed")
        if decided["bucket"] is None:
            self._dropped_at(life, "buckets", part)
            return
        life.fate, life.bucket = "kept", decided["bucket"]
        life.passed += self._order["buckets"]
        life.tokens = self._tokens(life)

    def _dropped_at(self, life: Life, step: str, part: int) -> None:
        """Add what dropped/<step>/ says; its part holds the documents of the same part of documents/."""
        places = list(find_rows(self._folder, DROPPED[step], [part], "doc_id", [bytes.fromhex(life.doc_id)]))
        if len(places) != 1:
            raise ShardError(
                f"{part_name(DROPPED[step], part)} must hold doc_id {life.doc_id} once, got {len(places)} rows."
                f" Run `dataproc verify`, or rebuild it with --redo {step}."
            )
        (found,) = read_rows(self._folder, DROPPED[step], part, [places[0][1]])
        self._drop(life, step, found)

    def _tokens(self, life: Life) -> Row | None:
        """Return where the tokens are and what they decode to; None while the tokens step is not done."""
        name = f"tokens/{life.bucket}"
        if not self._folder.exists(f"{name}/manifest.json"):
            return None
        reader = TokenReader(Folder(f"{self._folder.url}/{name}"))
        number = reader.find(bytes.fromhex(life.doc_id))
        if number is None:
            raise ShardError(f"{name} must hold doc_id {life.doc_id}, got no such row. Run `dataproc verify`.")
        (place,) = reader.document_table(np.array([number])).to_pylist()
        ends = np.cumsum([shard.tokens for shard in reader.manifest.shards])
        shard = int(np.searchsorted(ends, place["start"], side="right"))
        first = int(ends[shard]) - reader.manifest.shards[shard].tokens
        decoded = self._decode(reader, reader.read(place["start"], place["stop"]).tolist())
        return {
            "file": f"{name}/{shard_name(reader.manifest.shards[shard].index)}.bin",
            "offset": place["start"] - first,
            "length": place["stop"] - place["start"],
            "tokenizer": reader.manifest.tokenizer.name,
            "is_the_text": decoded == cut_text(life.text, life.cuts),
            "decoded": decoded,
        }

    def _decode(self, reader: TokenReader, ids: Sequence[int]) -> str:
        """Decode with the tokenizer that made the tokens, and with no other of that name."""
        stage = read_recipe(self._folder).tokens.stage()
        want, got = reader.manifest.tokenizer, stage.info()
        if want != got:
            raise ShardError(
                f"{reader.folder.url} must be decoded with {want.name} of sha256 {want.sha256}, got {got.sha256}."
                " Bring the vocabulary that the run was made with."
            )
        return stage.tokenizer.load().decode(ids[1 if stage.bos else 0 : -1])


def _stage_order(folder: Folder, step: str) -> list[str]:
    """Return the names of a step's stages as its manifest lists them."""
    made_from = (read_description(folder, step) or {"made_from": {}})["made_from"]
    order: list[str] = made_from.get("documents", made_from).get("order", [])
    return [*(["policy"] if made_from.get("drop_flagged") else []), *order]


def _pair(pair: Pair, doc_id: bytes) -> Row:
    other = pair.b if pair.a == doc_id else pair.a
    return {"doc_id": other.hex(), "jaccard": pair.jaccard, "linked": pair.linked}
