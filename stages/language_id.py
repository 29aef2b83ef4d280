"""Language and script of each document by fastText lid.176; drops languages not asked for or not certain.

The model reads at most four windows of 1,000 characters spread over the text (on 1,261 web pages: the same label as the
whole text for every page, and the same side of 0.65). A text without letters has language `und`, script `Zyyy` and
score 0.

Deviation: FineWeb, RefinedWeb and DCLM set their threshold of 0.65 on lid.176.bin (126 MB) and on whole texts; this is
the compressed lid.176.ftz (0.9 MB), whose scores differ a little. Source: Joulin et al. 2016,
https://arxiv.org/abs/1607.01759; threshold: Penedo et al. 2024, https://arxiv.org/abs/2406.17557, section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field, field_validator, model_validator

from classifiers import Classifier, load, to_decimal
from classifiers.cards import Card, load_card
from classifiers.languages import UNDETERMINED, label_language
from classifiers.scripts import NO_SCRIPT, main_scripts
from dataproc.errors import ConfigError
from dataproc.stage import Contract, Drops, Stage, Transform
from stages.by_language import by_code, limits

Probability = Annotated[float, Field(ge=0, le=1)]


class LanguageId(Stage):
    """Write language, script and score of each document; drop those of other languages or below a score."""

    model: str = "lid.176"
    """Model card: a shipped name, or the path of a card file."""
    languages: tuple[str, ...] | None = None
    """Languages kept, as ISO 639-1 or 639-3 codes (`en` = `eng`); null keeps all."""
    min_score: Probability | None = 0.65
    """Least score kept, compared with the score as stored (four decimals); null keeps all."""
    min_scores: Annotated[dict[str, Probability | None], AfterValidator(by_code)] = Field({})
    """Least score of single languages, in place of `min_score`. Example: {"zh": 0.5}"""

    @field_validator("languages")
    @classmethod
    def _parse_languages(cls, codes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if codes is None:
            return None
        if not codes:
            raise ValueError("languages must name at least one language or be null, got []. Write null to keep all.")
        return tuple(by_code(dict.fromkeys(codes)))

    @model_validator(mode="after")
    def _check_languages(self) -> LanguageId:
        try:
            known = set(_languages(load_card(self.model)))
        except ConfigError as error:
            raise ValueError(str(error)) from error
        for code in (*(self.languages or ()), *self.min_scores):
            if code not in known:
                raise ValueError(
                    f'languages must be among those of {self.model}, got "{code}". Its card lists its labels.'
                )
        return self

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        card = load_card(self.model)
        return Contract(
            reads=("text",),
            writes={
                "language": pa.string(),
                "script": pa.string(),
                "language_label": pa.string(),
                "language_score": pa.float32(),
            },
            rules=tuple(self._rules()),
            measures={"min_score": "language_score"},
            assets=card.assets(),
        )

    def _rules(self) -> Iterator[str]:
        """Yield the rules that are on: one that can't drop must not show in the funnel."""
        if self.languages is not None:
            yield "languages"
        if any(limit is not None for limit in (self.min_score, *self.min_scores.values())):
            yield "min_score"

    def build(self) -> Transform:
        """Load the model and return `language_id`."""
        return partial(language_id, classifier=load(self.model), config=self)


def language_id(batch: pa.RecordBatch, classifier: Classifier, config: LanguageId) -> pa.RecordBatch:
    """Add the language columns and mark rows that break a rule.

    batch: N rows, needs `text`. Adds language (ISO 639-3), script (ISO 15924), language_label (the model's own label,
    null for a text without letters), language_score (float32 in [0, 1]) and the drop columns; drop_value is the score,
    drop_limit the least score of that language.
    Example: "Bonjour tout le monde" -> fra, Latn, fr, 0.98.
    """
    from dataproc.kernels.windows import spread_windows

    labels, windows = classifier.card.labels, classifier.card.windows
    scripts = np.array(main_scripts(spread_windows(batch["text"], windows.count, windows.chars)), object)
    index, score = classifier.predict(batch["text"])
    # What a model says about digits and marks alone is its prior, not a measurement.
    found = (index >= 0) & (scripts != NO_SCRIPT)
    index, score = np.where(found, index, len(labels)), np.where(found, score, np.float32(0))
    languages = pa.array([*_languages(classifier.card), UNDETERMINED]).take(pa.array(index))

    drops = Drops(batch)
    if config.languages is not None:
        wanted = pa.array(config.languages, pa.string())
        drops.where("languages", pc.invert(pc.is_in(languages, value_set=wanted)))
    drops.below("min_score", to_decimal(score), limits(languages, config.min_score, config.min_scores))
    return drops.mark(
        {
            "language": languages,
            "script": pa.array(scripts, pa.string()),
            "language_label": pa.array([*labels, None], pa.string()).take(pa.array(index)),
            "language_score": pa.array(score),
        }
    )


def _languages(card: Card) -> list[str]:
    """Return the ISO 639-3 code of each label of the card."""
    return [label_language(label) for label in card.labels]
