"""Recipes: the typed tree behind jobs/recipes/*.yaml, checked as a whole before anything starts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BeforeValidator, Field, PlainSerializer

from dataproc.config import Config, load_yaml, validate
from dataproc.errors import ConfigError, suggest
from dataproc.inputs import InputConfig
from dataproc.schema import RAW
from dataproc.stage import Stage, check_plan
from dataproc.tokens.tokenizers import TokenizerConfig
from jobs.dedup_scope import Scope
from jobs.mix import load_mix
from stages.exact_dedup import ExactDedup
from stages.flagged import Bypass, covers
from stages.line_dedup import LineDedup
from stages.minhash_plan import MinhashDedup
from stages.places import MAX_EARLIER
from stages.registry import STAGES
from stages.substring_dedup import SubstringDedup
from stages.tokenize_text import TokenizeText
from stages.url_dedup import UrlDedup

RECIPES = Path(__file__).parent / "recipes"

RESERVED = ("failed", "dedup", "lines", "substrings", "policy")
"""Names that no stage can have: the first halves of the drop reasons that no stage gives."""


def parse_stages(values: object) -> dict[str, Stage]:
    """Return the stages of a mapping name -> fields; `use:` names the stage when the name is another.

    Raises ValueError, to which a validator adds file and key.
    Example: {"english": {"use": "threshold", "column": "language_score", "min": 0.65}}
    """
    if not isinstance(values, Mapping):
        raise ValueError(
            f"stages must be a mapping of names to fields, got {type(values).__name__}. See the shipped recipes."
        )
    try:
        return {name: _parse_stage(name, fields) for name, fields in values.items()}
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _parse_stage(name: object, fields: object) -> Stage:
    if isinstance(fields, Stage):
        return fields
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name) or name in RESERVED:
        raise ValueError(
            f"names of stages must be lower-case letters, digits and _, and none of {', '.join(RESERVED)},"
            f" got {name!r}. Give it another name, and name the stage in `use`."
        )
    if fields is not None and not isinstance(fields, Mapping):
        raise ValueError(f"{name} must be a mapping of fields, got {fields!r}. Write `{name}: {{}}` for the defaults.")
    values = dict(fields or {})
    kind = values.pop("use", name)
    if kind not in STAGES:
        raise ValueError(f'{name} must use a known stage, got "{kind}".{suggest(str(kind), STAGES)}')
    return validate(STAGES[kind], values, name)


def _dump_stages(stages: Mapping[str, Stage]) -> dict[str, Any]:
    names = {stage: name for name, stage in STAGES.items()}
    return {name: {"use": names[type(stage)], **stage.model_dump(mode="json")} for name, stage in stages.items()}


Stages = Annotated[dict[str, Any], BeforeValidator(parse_stages), PlainSerializer(_dump_stages)]
"""Stages in order, by their names in the recipe; the name is the first half of their drop reasons."""


class DocumentsConfig(Config):
    """crawl -> documents/: read, extract, identify, judge by rules."""

    stages: Stages
    dropped_text: Literal["none", "excerpt", "full"] = "excerpt"
    """How much text of a dropped document is kept for the report: none, the first 400 characters, or all."""


class Alarms(Config):
    """When the funnel and the report warn of dedup: nothing is done about it."""

    max_dropped: float = Field(0.9, ge=0, le=1)
    """Largest share of the documents of a source, a crawl or a registered domain, that is dropped without a word."""
    min_docs: int = Field(1000, gt=0)
    """Fewest documents of a source that is looked at."""
    max_cluster: int = Field(100_000, gt=0)
    """Most documents that one stands for without a word."""


class DedupConfig(Config):
    """documents/ -> signatures/, dedup/: equal URLs, then equal texts, then near duplicates among what is left."""

    url: UrlDedup | None = None  # off by default: null in a recipe must turn off what its parent has
    """Equal URLs; null is off, as for the next two."""
    exact: ExactDedup | None = None
    """Equal texts."""
    minhash: MinhashDedup | None = None
    """Near duplicates."""
    keep: Literal["newest", "longest", "first", "best"] = "newest"
    """Which copy of equal or similar texts stays: last captured, longest text, least doc_id, or greatest value in
    `best_by`; doc_id breaks ties. Copies with fewer flags of annotating stages come before all others: the policy may
    drop the flagged."""
    best_by: str | None = None
    """Column of numbers of documents/ for the policy `best`: put the stage that writes it (`score`, say) into
    documents.stages."""
    scope: Scope = "global"
    """Documents of different languages, or crawls (Common Crawl's id, or the first folder in an input's name), are no
    duplicates of each other unless this is global."""
    against: tuple[str, ...] = Field((), max_length=MAX_EARLIER)
    """Earlier runs (their OUT), in order: what they have is dropped here. `dataproc run --against` sets it too."""
    index: bool = False
    """Store the leaders of bands, so that later runs can name this one in `against`: about 28 bytes for each band of a
    document."""
    alarms: Alarms | None = Alarms()
    """When to warn; null is never."""
    partition_bytes: int = Field(256 << 20, gt=0)
    """Text per partition of an exchange, of which there are at most 4,096; decides the number of intermediate parts,
    never the result."""


class ScoresConfig(Config):
    """documents/ -> scores/: classifier columns beside the documents; annotates only."""

    stages: Stages = {}


class PolicyConfig(Config):
    """documents/, dedup/, scores/ -> buckets/: the one place that decides which document is trained on, and as what."""

    drop_flagged: tuple[str, ...] = ()
    """Reasons ("stage.rule", or "stage.*") of annotating stages that drop a document here."""
    bypass: Bypass | None = None
    """Score that outweighs such reasons."""
    stages: Stages


class TokensConfig(Config):
    """documents/ and buckets/ -> tokens/<bucket>/."""

    tokenizer: TokenizerConfig = TokenizerConfig()
    bos: bool = False
    """Open each document with the tokenizer's begin-of-document token; an end-of-document token always ends it."""
    shard_text_bytes: int = Field(1 << 30, gt=0)
    """Text that goes into one token shard, about; a bucket has ceil(its text / this) shards."""

    def stage(self) -> TokenizeText:
        """Return the stage that encodes the texts."""
        return TokenizeText(tokenizer=self.tokenizer, bos=self.bos)


class Recipe(Config):
    """One way from a crawl to tokens."""

    description: str
    source: str
    """Where the numbers come from: paper or repository, with version."""
    deviations: tuple[str, ...] = ()
    """Each way in which this differs from the source."""
    seed: int = Field(0, ge=0, lt=1 << 63)
    """Of the order of documents in token shards, of the buckets of `lines` and `substrings`, and of the mixture."""
    input: InputConfig = InputConfig()
    documents: DocumentsConfig
    dedup: DedupConfig = DedupConfig()
    lines: LineDedup | None = None
    """documents/, dedup/ -> lines/: cut frequent lines when tokens are written; null is off."""
    substrings: SubstringDedup | None = None
    """documents/, dedup/, lines/ -> substrings/: cut what occurs elsewhere, likewise; null is off."""
    scores: ScoresConfig = ScoresConfig()
    policy: PolicyConfig
    tokens: TokensConfig = TokensConfig()
    mix: str = "natural"
    """Name or path of the mix that the run ends with; `dataproc mix` makes others from the same shards."""

    def document_columns(self) -> dict[str, pa.DataType]:
        """Return the columns of documents/ in order: those of the input but `html`, then what the stages write."""
        columns = check_plan(self.documents.stages, {field.name: field.type for field in RAW}, "documents.stages")
        columns.pop("html")
        columns["flags"] = columns.get("flags", pa.list_(pa.string()))
        return columns

    def score_columns(self) -> dict[str, pa.DataType]:
        """Return the columns that the score stages write."""
        documents = self.document_columns()
        columns = check_plan(self.scores.stages, documents, "scores.stages")
        return {name: kind for name, kind in columns.items() if name not in documents}

    def policy_columns(self) -> dict[str, pa.DataType]:
        """Return every column that a policy stage can read or has written, `bucket` among them."""
        beside = {"cluster_size": pa.int64(), **self.document_columns(), **self.score_columns()}
        return check_plan(self.policy.stages, beside, "policy.stages")


def load_recipe(name: str) -> Recipe:
    """Return the checked recipe of a shipped name or a .yaml path.

    Raises ConfigError, before anything starts, for unknown keys, stages, columns and mixes, with a suggestion; for
    values out of bounds; for a score stage that drops or overwrites, and for documents without a language or a bucket.
    """
    recipe = validate(Recipe, load_yaml(name, RECIPES, "recipe"), name)
    try:
        check_recipe(recipe)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
    return recipe


def with_against(recipe: Recipe, runs: Sequence[str]) -> Recipe:
    """Return the recipe with other earlier runs to deduplicate against. Raises ConfigError for too many."""
    values = recipe.dedup.model_dump(mode="json") | {"against": list(runs)}
    return recipe.model_copy(update={"dedup": validate(DedupConfig, values, "--against")})


def check_recipe(recipe: Recipe) -> None:
    """Raise ConfigError for what no single field can tell: columns, flags, tokenizer and mix; see `load_recipe`."""
    if "language" not in recipe.document_columns():
        raise ConfigError(
            "documents.stages must write the column language, which token shards record, got no stage that does."
            " Add language_id; with `min_score: null` it drops nothing."
        )
    _check_keep(recipe)
    _check_scores(recipe)
    if "bucket" not in recipe.policy_columns():
        raise ConfigError("policy.stages must write the column bucket, got no stage that does. Add assign_bucket.")
    _check_flags(recipe)
    recipe.tokens.stage().contract()
    load_mix(recipe.mix)


def _check_keep(recipe: Recipe) -> None:
    """Refuse a column to keep by that is not there, no number, or not asked for."""
    dedup, columns = recipe.dedup, recipe.document_columns()
    policies = [dedup.keep] if dedup.url is None else [dedup.keep, dedup.url.keep]
    if ("best" in policies) != (dedup.best_by is not None):
        raise ConfigError(
            f"dedup.best_by must be given with the policy best and with no other, got {dedup.best_by} and"
            f" {', '.join(policies)}. Set dedup.keep: best and the column."
        )
    if dedup.best_by is None:
        return
    if dedup.best_by in recipe.score_columns():
        raise ConfigError(
            f'dedup.best_by must be a column of documents/, got "{dedup.best_by}" of scores/, which come after dedup.'
            " Move its stage to documents.stages."
        )
    if dedup.best_by not in columns:
        raise ConfigError(
            f'dedup.best_by names "{dedup.best_by}", which no stage of documents writes.'
            f"{suggest(dedup.best_by, columns)}"
        )
    kind = columns[dedup.best_by]
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ConfigError(
            f"dedup.best_by must be a column of numbers, got {dedup.best_by} of type {kind}. Name a score."
        )


def _check_scores(recipe: Recipe) -> None:
    taken = dict.fromkeys(recipe.document_columns(), "documents/")
    for stage, config in recipe.scores.stages.items():
        contract = config.contract()
        if contract.rules:
            raise ConfigError(f"scores.stages.{stage} must not drop documents. Move it to policy.stages.")
        for column in contract.writes:
            if column in taken:
                raise ConfigError(
                    f'scores.stages.{stage} must write a column of its own, got "{column}", which {taken[column]} has.'
                    " Give it another name."
                )
            taken[column] = f"scores.stages.{stage}"


def _check_flags(recipe: Recipe) -> None:
    known = {
        f"{stage}.{rule}" for stage, c in recipe.documents.stages.items() if c.annotate for rule in c.contract().rules
    }
    known |= {f"{reason.split('.')[0]}.*" for reason in known}
    _check_known(recipe.policy.drop_flagged, known, "policy.drop_flagged")
    if recipe.lines is not None:
        _check_known(recipe.lines.spare_flagged, known, "lines.spare_flagged")
    if recipe.policy.bypass is not None:
        _check_bypass(recipe, recipe.policy.bypass, known, "policy.bypass")


def _check_known(reasons: Iterable[str], known: Set[str], where: str) -> None:
    for reason in reasons:
        if reason not in known:
            raise ConfigError(f'{where} names "{reason}", which no annotating stage gives.{suggest(reason, known)}')


def _check_bypass(recipe: Recipe, bypass: Bypass, known: Set[str], where: str) -> None:
    """Refuse a bypass that could never help."""
    dropping = recipe.policy.drop_flagged
    if not dropping:
        raise ConfigError(f"{where} needs reasons that drop, got none. List them in policy.drop_flagged.")
    reasons = bypass.reasons or ()
    _check_known(reasons, known, f"{where}.reasons")
    for reason in reasons:
        if not any(covers(reason, one) or covers(one, reason) for one in dropping):
            raise ConfigError(
                f'{where}.reasons must name what policy.drop_flagged drops by, got "{reason}".'
                f"{suggest(reason, dropping)}"
            )
    columns = {**recipe.document_columns(), **recipe.score_columns()}
    for column in bypass.reads:
        if column not in columns:
            raise ConfigError(f'{where} reads column "{column}", which nobody writes.{suggest(column, columns)}')
    kind = columns[bypass.column]
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ConfigError(
            f"{where}.column must be a column of numbers, got {bypass.column} of type {kind}. Name a score."
        )
