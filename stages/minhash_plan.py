"""Which pairs MinHash finds: unit and length of shingles, bands, rows; the published plans by name.

A pair of Jaccard s shares a band with probability 1 - (1 - s^rows)^bands, a step whose middle is near
(1 / bands)^(1 / rows). Sources of the plans: the papers and repositories in docs/dedup.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from dataproc.config import Config
from dataproc.tokens.tokenizers import TokenizerConfig
from stages.rules import filled

Unit = Literal["words", "characters", "tokens"]


def _plan(unit: Unit, shingle_size: int, num_bands: int, rows_per_band: int) -> dict[str, Any]:
    return {"unit": unit, "shingle_size": shingle_size, "num_bands": num_bands, "rows_per_band": rows_per_band}


PLANS: Mapping[str, Mapping[str, Any]] = {
    "fineweb": _plan("words", 5, 14, 8),  # FineWeb, FineWeb2
    "essential_web": _plan("words", 5, 14, 9),  # also DCLM's check over the whole corpus
    "redpajama_07": _plan("words", 13, 14, 9),
    "redpajama_08": _plan("words", 13, 9, 13),  # also MAP-Neo
    "olmo3": _plan("tokens", 5, 26, 11),
    "dclm": _plan("tokens", 5, 93, 15),
    "refinedweb": _plan("words", 5, 450, 20),
    "nemotron": _plan("characters", 24, 20, 13),  # also NeMo Curator's default
    "zyda2": _plan("characters", 25, 8, 16),
}
"""Plan -> the fields that it fills."""


class MinhashDedup(Config):
    """Keep one of each cluster of documents that are linked by pairs with similarity of at least `min_jaccard`."""

    plan: Literal[
        "fineweb",
        "essential_web",
        "redpajama_07",
        "redpajama_08",
        "olmo3",
        "dclm",
        "refinedweb",
        "nemotron",
        "zyda2",
    ] = "fineweb"
    """A published plan, which fills the next four fields where they are not given."""
    unit: Unit = "words"
    """What a shingle is made of: folded words, characters of the folded text, or tokens of `tokenizer`."""
    shingle_size: int = Field(5, gt=0)
    """Units in a shingle."""
    num_bands: int = Field(14, gt=0)
    """Documents that agree in all rows of one band are compared."""
    rows_per_band: int = Field(8, gt=0)
    """Hashes in a band."""
    verification: Literal["jaccard", "signature", "none"] = "jaccard"
    """How a pair that met in a band is judged: by the true Jaccard of its shingles, by the share of equal hashes in its
    signatures (less to store and move, with an error of about 0.04 at 112 hashes), or not at all."""
    min_jaccard: float = Field(0.8, ge=0, le=1)
    """Least similarity that links a pair."""
    check_keeper: bool = False
    """Drop a member of a cluster only if its similarity with the document kept in its stead is enough too. Others of
    the cluster are led again by the best of them, so that a chain a-b-c-d does not drop d for an unlike a."""
    max_rounds: int = Field(8, gt=0)
    """Rounds of leading in a band, and in a cluster with `check_keeper`; members left are counted and reported."""
    scheme: Literal["affine32", "affine64", "legacy", "fast"] = "affine32"
    """Hash functions: the first three as in datasketch 2, of 32 or 64 bits, or modulo 2^61 - 1 as before version 2;
    `fast` is fast similarity sketching, one pass over the shingles for all hashes, with values that no library has."""
    seed: int = Field(1, ge=0, lt=1 << 32)
    """Of the hash functions; 1 is datasketch's default."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """Of the unit `tokens`; it need not be that of the tokens step, whose change then leaves dedup as it is."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        return filled(values, PLANS, "fineweb", key="plan")

    @model_validator(mode="after")
    def _check(self) -> MinhashDedup:
        if self.check_keeper and self.verification == "none":
            raise ValueError('check_keeper needs a similarity, got verification "none". Use jaccard or signature.')
        return self

    @property
    def num_hashes(self) -> int:
        """Return the length of a signature."""
        return self.num_bands * self.rows_per_band

    @property
    def hash_type(self) -> np.dtype[Any]:
        """Return the type of a hash of a signature."""
        return np.dtype("<u4" if self.scheme in ("affine32", "fast") else "<u8")

    @property
    def sketch(self) -> Literal["shingles", "minhash"]:
        """Return the column of signatures/ by which pairs are verified."""
        return "minhash" if self.verification == "signature" else "shingles"

    def signed(self) -> dict[str, Any]:
        """Return what decides a document's `minhash` and `shingles`, for fingerprints."""
        decides: dict[str, Any] = {
            "shingles": [self.unit, self.shingle_size],
            "hashes": [self.scheme, self.num_hashes, self.seed],
            "with_shingles": self.verification == "jaccard",
        }
        if self.unit == "tokens":
            decides["vocabulary"] = dict(self.tokenizer.vocabulary().checksums())
        return decides


def candidate_probability(jaccard: float, num_bands: int, rows_per_band: int) -> float:
    """Return the probability that a pair of that Jaccard meets in a band.

    Example: round(candidate_probability(0.8, 14, 8), 2) == 0.92
    Source: Leskovec, Rajaraman, Ullman 2014, Mining of Massive Datasets, section 3.4.2.
    """
    return float(1 - (1 - jaccard**rows_per_band) ** num_bands)
