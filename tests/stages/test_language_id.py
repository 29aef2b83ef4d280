from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from classifiers.cards import load_card
from dataproc.config import validate
from dataproc.errors import ConfigError
from stages.language_id import LanguageId

TEXTS = {
    "eng": "All human beings are born free and equal in dignity and rights.",
    "fra": "Tous les \u00eatres humains naissent libres et \u00e9gaux en dignit\u00e9 et en droits.",
    "deu": "Alle Menschen sind frei und gleich an W\u00fcrde und Rechten geboren.",
    "spa": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "ita": "Tutti gli esseri umani nascono liberi ed eguali in dignit\u00e0 e diritti.",
    "nld": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren.",
    "pol": "Wszyscy ludzie rodz\u0105 si\u0119 wolni i r\u00f3wni pod wzgl\u0119dem swej godno\u015bci i swych praw.",
    "fin": "Kaikki ihmiset syntyv\u00e4t vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan.",
    "hun": "Minden emberi l\u00e9ny szabadon sz\u00fcletik \u00e9s egyenl\u0151 m\u00e9lt\u00f3s\u00e1ga \u00e9s joga van.",  # noqa: E501
    "rus": "\u0412\u0441\u0435 \u043b\u044e\u0434\u0438 \u0440\u043e\u0436\u0434\u0430\u044e\u0442\u0441\u044f \u0441\u0432\u043e\u0431\u043e\u0434\u043d\u044b\u043c\u0438.",  # noqa: E501
    "cmn": "\u4eba\u4eba\u751f\u800c\u81ea\u7531\uff0c\u5728\u5c0a\u4e25\u548c\u6743\u5229\u4e0a\u4e00\u5f8b\u5e73\u7b49\u3002",  # noqa: E501
    "jpn": "\u3059\u3079\u3066\u306e\u4eba\u9593\u306f\u3001\u751f\u307e\u308c\u306a\u304c\u3089\u306b\u3057\u3066\u81ea\u7531\u3067\u3042\u308b\u3002",  # noqa: E501
    "kor": "\ubaa8\ub4e0 \uc0ac\ub78c\uc740 \ud0dc\uc5b4\ub0a0 \ub54c\ubd80\ud130 \uc790\uc720\ub85c\uc6b0\uba70 \ud3c9\ub4f1\ud558\ub2e4.",  # noqa: E501
}


def apply(texts: list[str | None], **config: Any) -> list[dict[str, Any]]:
    batch = pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})
    rows: list[dict[str, Any]] = LanguageId(**config).build()(batch).to_pylist()
    return rows


def test_a_dozen_languages() -> None:
    rows = apply(list(TEXTS.values()), min_score=None)
    assert [row["language"] for row in rows] == list(TEXTS)
    assert [row["script"] for row in rows] == ["Latn"] * 9 + ["Cyrl", "Hani", "Jpan", "Hang"]
    assert [row["drop_reason"] for row in rows] == [None] * 13


def test_texts_without_letters_are_undetermined() -> None:
    for row in apply(["", "42 - 17 !", None, "\n\0\n"]):
        assert (row["language"], row["script"], row["language_label"], row["language_score"]) == (
            "und",
            "Zyyy",
            None,
            0,
        )
        assert (row["drop_reason"], row["drop_value"], row["drop_limit"]) == ("min_score", 0, 0.65)


def test_min_score_keeps_a_document_at_the_limit() -> None:
    score = round(apply([TEXTS["eng"]], min_score=None)[0]["language_score"], 4)
    assert apply([TEXTS["eng"]], min_score=score)[0]["drop_reason"] is None
    dropped = apply([TEXTS["eng"]], min_score=min(score + 0.0001, 1.0), min_scores={"fr": None})[0]
    assert dropped["drop_reason"] == ("min_score" if score < 1 else None)


def test_limits_of_single_languages() -> None:
    rows = apply([TEXTS["eng"], TEXTS["fra"]], min_score=None, min_scores={"en": 1.0})
    assert [row["drop_reason"] for row in rows] == ["min_score", None]
    assert rows[0]["drop_limit"] == 1.0


def test_languages() -> None:
    rows = apply([TEXTS["eng"], TEXTS["fra"]], languages=["en"], min_score=None)
    assert [row["drop_reason"] for row in rows] == [None, "languages"]


def test_contract_names_only_rules_that_are_on() -> None:
    assert LanguageId().contract().rules == ("min_score",)
    assert LanguageId(languages=("en",)).contract().rules == ("languages", "min_score")
    assert LanguageId(min_score=None).contract().rules == ()
    assert LanguageId(min_score=None, min_scores={"fr": 0.5}).contract().rules == ("min_score",)
    assert LanguageId().contract().assets["lid.176.ftz"] == load_card("lid.176").sha256


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"languages": []}, "languages must name at least one language or be null"),
        ({"languages": ["e1"]}, "language must be an ISO 639-1 or 639-3 code such as en or eng"),
        ({"languages": ["qqq"]}, 'languages must be among those of lid.176, got "qqq"'),
        ({"min_scores": {"en": 0.5, "eng": 0.6}}, "languages must be named once each"),
        ({"model": "lid"}, 'model card "lid" does not exist'),
    ],
)
def test_wrong_configs(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        validate(LanguageId, config, "recipe")
