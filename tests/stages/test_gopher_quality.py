from __future__ import annotations

import pickle
from functools import cache
from typing import Any, get_args

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from dataproc.kernels.char_classes import ALONE, FORMAT, LETTER, tables
from dataproc.kernels.lines import BULLETS
from dataproc.kernels.sentences import sentence_ends
from dataproc.stage import BuiltStage, StageCounts, Transform, run_stages
from stages.gopher_quality import COLUMNS, ENGLISH, SIGNS, GopherQuality, Rule, mean_word_lengths
from tests.dataproc.kernels.texts import PATHOLOGICAL, rows
from tests.stages.rule_sets import SPACES, lines_of, pieces_of, published, repeating, tokens_of, words_of

ALL_OFF: dict[str, Any] = dict.fromkeys(get_args(Rule))
WORDS = "the lion and the mouse have come to be friends with the king of that wood "  # 16 words, 8 stop words

Outcome = tuple[str | None, float | None, float | None]


def batch(texts: list[str | None], language: str | None = "eng") -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "doc_id": [b"%d" % k for k in range(len(texts))],
            "text": pa.array(texts, pa.large_string()),
            "language": pa.array([language] * len(texts), pa.string()),
        }
    )


def apply(text: str | None, language: str | None = "eng", **limits: Any) -> dict[str, Any]:
    row: dict[str, Any] = GopherQuality(**limits).build()(batch([text], language)).to_pylist()[0]
    return row


def outcome(text: str, **limits: Any) -> Outcome:
    row = apply(text, **ALL_OFF | limits)
    return row["drop_reason"], row["drop_value"], row["drop_limit"]


KEPT: Outcome = (None, None, None)

# rule, limit, a text just inside, one just outside, and what the latter measures
RULES: list[tuple[str, float, str, str, float]] = [
    ("min_words", 50, "word " * 50, "word " * 49, 49),
    ("max_words", 100_000, "word " * 100_000, "word " * 100_001, 100_001),
    ("min_mean_word_length", 3.0, "four it " * 25, "four it " * 25 + "it", 152 / 51),
    (
        "max_mean_word_length",
        10.0,
        "elevenchars nine\u00e9hars " * 9,
        "elevenchars elevenchars",
        11.0,
    ),
    ("max_hash_ratio", 0.1, "#tag " + "word " * 9, "#tag " + "word " * 8, 1 / 9),
    ("max_ellipsis_ratio", 0.1, "wait... " + "word " * 9, "wait\u2026 " + "word " * 8, 1 / 9),
    ("max_bullet_lines", 0.9, "- item\n" * 9 + "end", "- item\n" * 10 + "end", 10 / 11),
    ("max_ellipsis_lines", 0.3, "more...\n" * 3 + "word\n" * 7, "more...\n" * 3 + "word\n" * 6, 3 / 9),
    ("min_alpha_words", 0.8, "word word word word 5", "word word word word | --", 4 / 6),
    ("min_stop_words", 2, "the lion and", "the lion the lion The", 1),
]


@pytest.mark.parametrize(("rule", "limit", "inside", "outside", "value"), RULES, ids=[rule[0] for rule in RULES])
class TestRules:
    def test_inside(self, rule: str, limit: float, inside: str, outside: str, value: float) -> None:
        assert outcome(inside, **{rule: limit}) == KEPT

    def test_outside(self, rule: str, limit: float, inside: str, outside: str, value: float) -> None:
        assert outcome(outside, **{rule: limit}) == (rule, value, limit)

    def test_off(self, rule: str, limit: float, inside: str, outside: str, value: float) -> None:
        assert outcome(outside, **{rule: None}) == KEPT

    def test_the_limit_is_the_papers(self, rule: str, limit: float, inside: str, outside: str, value: float) -> None:
        assert getattr(GopherQuality(), rule) == limit


def oracle(text: str, variant: str = "paper", language: str = "eng") -> dict[str, Any]:
    """Return the columns and the drop reason."""
    own = published(language) if variant == "fineweb2" else {"stop_words": " ".join(ENGLISH)}
    if variant == "paper":
        words = all_words = words_of(text)[0]
        lines, bullets, tokens = lines_of(text), tuple(BULLETS), tokens_of(text)
        listed = {"".join(char for char in word if kind(char) != FORMAT).lower() for word in words}
    else:
        all_words = tokens = pieces_of(text)
        words = [word for word in all_words if any(char not in SIGNS + sentence_ends() for char in word)]
        lines, bullets = text.removesuffix("\n").split("\n") if text else [], ("-", "\u2022")
        listed = set(all_words)
    stripped = [line.strip(SPACES) for line in lines]
    measured = [
        len(words),
        len("".join(words)) / max(len(words), 1),
        text.count("#") / max(len(all_words), 1),
        (text.count("...") + text.count("\u2026")) / max(len(all_words), 1),
        sum(line.startswith(bullets) for line in stripped) / max(len(lines), 1),
        sum(line.endswith(("...", "\u2026")) for line in stripped) / max(len(lines), 1),
        sum(any(kind(char) in (LETTER, ALONE) for char in token) for token in tokens) / max(len(tokens), 1),
        len(listed & set(own["stop_words"].split())),
    ]
    columns = dict(zip(COLUMNS, measured, strict=True))
    broken = [
        rule
        for rule, paper, *_ in RULES
        for limit in [float(own.get(rule, paper))]
        for value in [columns["num_words" if rule[4:] == "words" else f"gopher_{rule[4:]}"]]
        if (value < limit if rule.startswith("min_") else value > limit)
    ]
    return {**columns, "drop_reason": broken[0] if broken else None}


def kind(char: str) -> int:
    return int(tables().classes[ord(char)])


@cache
def built(variant: Any) -> Transform:
    return GopherQuality(variant=variant).build()


@pytest.mark.parametrize(("variant", "language"), [("paper", "eng"), ("datatrove", "eng"), ("fineweb2", "jpn")])
@given(
    text=st.lists(
        repeating | st.sampled_from([WORDS, "- item\n", "THE of, der\n", "\u306e\u306b\u5e74 ", "#", "\u2022 "])
    ).map("".join)
)
def test_equals_the_oracle(variant: str, language: str, text: str) -> None:
    expected, row = oracle(text, variant, language), built(variant)(batch([text], language)).to_pylist()[0]
    assert {name: row[name] for name in expected} == expected


def test_every_rule_is_tested_and_a_field() -> None:
    assert [rule for rule, *_ in RULES] == list(get_args(Rule)) == list(GopherQuality().contract().rules)
    assert set(get_args(Rule)) <= set(GopherQuality.model_fields)


def test_a_good_text_is_kept_and_measured() -> None:
    row = apply(WORDS * 4)
    expected: dict[str, Any] = {
        "num_words": 64,
        "gopher_mean_word_length": 58 / 16,
        "gopher_hash_ratio": 0.0,
        "gopher_ellipsis_ratio": 0.0,
        "gopher_bullet_lines": 0.0,
        "gopher_ellipsis_lines": 0.0,
        "gopher_alpha_words": 1.0,
        "gopher_stop_words": 8,
    }
    assert {name: row[name] for name in COLUMNS} == expected
    assert row["drop_reason"] is None


def test_the_first_broken_rule_is_the_reason() -> None:
    assert apply("# # #")["drop_reason"] == "min_words"
    assert apply("# # #", min_words=None)["drop_reason"] == "min_mean_word_length"
    assert apply("# # #", min_words=None, min_mean_word_length=None)["drop_reason"] == "max_hash_ratio"


def test_example_of_the_docstring() -> None:
    row = apply("The end...")
    assert (row["num_words"], row["gopher_mean_word_length"], row["gopher_ellipsis_ratio"]) == (2, 3.0, 0.5)
    assert row["gopher_stop_words"] == 1


@pytest.mark.parametrize("text", [None, "", "\n\n", "--- *** ..."])
def test_texts_without_words_measure_zero(text: str | None) -> None:
    row = apply(text)
    assert (row["num_words"], row["gopher_mean_word_length"], row["gopher_stop_words"]) == (0, 0.0, 0)
    assert (row["drop_reason"], row["drop_value"], row["drop_limit"]) == ("min_words", 0, 50)


def test_blank_lines_are_not_lines() -> None:
    """Else a list with a blank line after each item could not break the rule."""
    assert outcome("- item\n\n" * 10, max_bullet_lines=0.9) == ("max_bullet_lines", 1.0, 0.9)


class TestLanguages:
    chinese = "\u6211\u4eec\u5728\u5317\u4eac\u5403\u996d\u3002" * 10  # seven characters and a full stop
    thai = "\u0e09\u0e31\u0e19\u0e01\u0e34\u0e19\u0e02\u0e49\u0e32\u0e27 " * 20

    def test_texts_without_spaces_are_not_dropped_for_short_words(self) -> None:
        for text, language in ((self.chinese, "cmn"), (self.chinese, "jpn"), (self.thai, "tha")):
            assert apply(text, language)["drop_reason"] is None
        assert apply(self.chinese, "cmn")["gopher_mean_word_length"] == 1.0
        assert apply(self.chinese, "eng")["drop_reason"] == "min_mean_word_length"

    @pytest.mark.parametrize(
        ("text", "language", "limit"),
        [
            ("b\u1ea3o v\u1ec7 t\u1ed1t \u1edf \u0111\u00e2u v\u1eady " * 10, "vie", "min_mean_word_length"),
            ("\ub098\ub294 \uc624\ub298 \ud559\uad50\uc5d0 \uac04\ub2e4 " * 15, "kor", "min_mean_word_length"),
            ("inatsisartut qinigaanikkut oqaatigineqarpoq " * 20, "kal", "max_mean_word_length"),
        ],
    )
    def test_languages_of_short_and_long_words(self, text: str, language: str, limit: str) -> None:
        assert apply(text, language)["drop_reason"] is None
        assert apply(text, None)["drop_reason"] == limit

    def test_ordinary_texts_of_these_languages_lie_outside_the_papers_limits(self) -> None:
        lengths = mean_word_lengths()
        assert {"cmn", "jpn", "tha", "khm", "lao", "mya", "kor", "vie", "mal"} <= set(lengths)
        assert {"eng", "deu", "fra", "rus", "ara", "hin", "fin", "tur"}.isdisjoint(lengths)
        assert not [length for length in lengths.values() if 3.5 <= length <= 9]

    def test_unless_the_recipe_says_so(self) -> None:
        own: dict[str, Any] = {"zh": {"min_mean_word_length": 2, "min_words": 1000}}
        row = apply(self.chinese, "cmn", languages=own)
        assert (row["drop_reason"], row["drop_value"], row["drop_limit"]) == ("min_words", 70, 1000)
        own = {"cmn": {"min_mean_word_length": 1.5}}
        assert apply(self.chinese, "cmn", languages=own)["drop_reason"] == "min_mean_word_length"

    def test_limits_of_single_languages(self) -> None:
        long = "donaudampfschifffahrt " * 60
        assert apply(long, "deu")["drop_reason"] == "max_mean_word_length"
        assert apply(long, "deu", languages={"de": {"max_mean_word_length": 21}})["drop_reason"] is None
        assert apply(long, "deu", languages={"de": {"max_mean_word_length": None}})["drop_reason"] is None
        assert apply(long, "fin", languages={"de": {"max_mean_word_length": None}})["drop_limit"] == 10

    def test_stop_words_only_where_there_is_a_list(self) -> None:
        german = "der mond ist aufgegangen die goldnen sternlein prangen " * 8
        assert apply(german, "eng")["drop_reason"] == "min_stop_words"
        for language in ("deu", None):
            row = apply(german, language)
            assert (row["drop_reason"], row["gopher_stop_words"]) == (None, None)
        listed = apply(german, "deu", stop_words={"de": ["und", "die", "DER"]})
        assert (listed["drop_reason"], listed["gopher_stop_words"]) == (None, 2)
        assert apply(german, "deu", stop_words={"de": ["und", "oder", "Die"]})["drop_reason"] == "min_stop_words"

    def test_stop_words_are_whole_words(self) -> None:
        assert apply("Then other bees, tofu, off-hand android withers: that's it")["gopher_stop_words"] == 1

    def test_rows_of_many_languages_in_one_batch(self) -> None:
        texts = [WORDS * 4, "der mond und die " * 15, self.chinese, None]
        many = batch(texts).set_column(2, "language", pa.array(["eng", "deu", "cmn", "eng"]))
        result = GopherQuality().build()(many)
        assert result["gopher_stop_words"].to_pylist() == [8, None, None, 0]
        assert result["drop_reason"].to_pylist() == [None, None, None, "min_words"]


@given(values=rows)
def test_a_row_does_not_depend_on_its_batch(values: list[str | None]) -> None:
    stage = GopherQuality().build()
    whole = stage(batch(values))
    assert whole.schema.names == ["doc_id", "text", "language", *COLUMNS, "drop_reason", "drop_value", "drop_limit"]
    assert {name: whole.schema.field(name).type for name in COLUMNS} == COLUMNS
    assert whole["text"].to_pylist() == values
    alone = [stage(batch(values)[k : k + 1]).to_pylist()[0] for k in range(len(values))]
    assert whole.to_pylist() == alone


def test_string_columns_and_slices() -> None:
    narrow = batch(["skipped", WORDS * 4])
    narrow = narrow.set_column(1, "text", narrow["text"].cast(pa.string()))[1:]
    assert GopherQuality().build()(narrow)["num_words"].to_pylist() == [64]


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert apply(text)["drop_reason"] in ("min_words", "max_words")


def test_in_the_loop() -> None:
    counts: dict[str, StageCounts] = {}
    stage = BuiltStage("gopher_quality", pickle.loads(pickle.dumps(GopherQuality().build())))
    kept, dropped = run_stages([stage], batch([WORDS * 4, "short"]), counts)
    assert kept["doc_id"].to_pylist() == [b"0"]
    assert dropped[0]["drop_reason"].to_pylist() == ["gopher_quality.min_words"]


def test_json_round_trip() -> None:
    config = GopherQuality(min_words=None, languages={"de": {"max_words": None}}, stop_words={"fr": ["le", "la"]})
    assert GopherQuality.model_validate_json(config.model_dump_json()) == config
    assert config.languages == {"deu": {"max_words": None}}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"min_word": 1}, 'r: g.min_word is not a key of GopherQuality. Did you mean "min_words"?'),
        ({"min_words": -1}, "r: g.min_words must be greater than or equal to 0, got -1. Correct it in the config."),
        (
            {"min_alpha_words": 80},
            "r: g.min_alpha_words must be less than or equal to 1, got 80. Correct it in the config.",
        ),
        ({"min_words": 9, "max_words": 5}, "r: g: min_words must be at most max_words, got 9 and 5. Change one."),
        (
            {"languages": {"de": {"max_mean_word_length": 2}}},
            "r: g: min_mean_word_length must be at most max_mean_word_length, got 3 and 2 for deu. Change one.",
        ),
        (
            {"stop_words": {"en": ["don't"]}},
            'r: g.stop_words: stop words must be single words, got "don\'t" for eng. Split it.',
        ),
        (
            {"stop_words": {"ja": ["\u3067\u3059"]}},
            'r: g.stop_words: stop words must be single words, got "\u3067\u3059" for jpn. Split it.',
        ),
        ({"stop_words": {"en": [""]}}, 'r: g.stop_words: stop words must be single words, got "" for eng. Split it.'),
        (
            {"stop_words": {"de": ["und"]}},
            "r: g: min_stop_words must be at most 1, the words listed, got 2 for deu. Add words.",
        ),
        (
            {"languages": {"en": {}, "eng": {}}},
            "r: g.languages: languages must be named once each, got ['en', 'eng']. Keep one code of each.",
        ),
    ],
)
def test_errors(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(GopherQuality, values, "r: g")
    assert str(error.value) == sentence


def test_a_misspelt_rule_of_a_language_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"^r: g\.languages\.de\.min_word\.\[key\] must be 'min_words', .*, got 'min_word'"
    ):
        validate(GopherQuality, {"languages": {"de": {"min_word": 1}}}, "r: g")
