from __future__ import annotations

from typing import Any, get_args

import pytest
import yaml

from dataproc.kernels.words import split_words
from jobs.recipe import RECIPES, load_recipe
from stages import fineweb2
from stages.by_language import CHARACTERS_ARE_WORDS
from stages.fineweb_quality import FinewebQuality
from stages.gopher_quality import GopherQuality
from stages.gopher_repetition import GopherRepetition, Rule
from tests.dataproc.kernels.texts import column
from tests.stages.rule_sets import apply

LANGUAGES = set(fineweb2.limits("max_dup_lines"))

# configs/*.yml of huggingface/fineweb-2 d0defb2
PUBLISHED: dict[str, dict[str, float]] = {
    "ces": {"max_dup_lines": 0.311, "max_top_2gram": 0.206, "max_dup_10grams": 0.109, "min_line_punct": 0.06},
    "deu": {
        "max_mean_word_length": 15,
        "min_mean_word_length": 0,
        "min_alpha_words": 0.774,
        "max_newline_ratio": 0.152,
    },
    "fra": {"min_line_punct": 0.1, "min_alpha_words": 0.812, "max_top_4gram": 0.134, "max_dup_5grams": 0.15},
    "rus": {"min_line_punct": 0.231, "max_newline_ratio": 0.139, "max_mean_word_length": 11},
    "ara": {"max_dup_lines": 0.304, "min_line_punct": 0.143},  # arb_Arab
    "jpn": {"max_top_2gram": 0.239, "min_alpha_words": 0.759},
}


@pytest.mark.parametrize("language", PUBLISHED)
def test_limits_are_the_published_ones(language: str) -> None:
    for rule, limit in PUBLISHED[language].items():
        assert fineweb2.limits(rule)[language] == limit


def test_languages() -> None:
    assert len(LANGUAGES) == 174
    assert "eng" not in LANGUAGES
    assert load_recipe("fineweb2").documents.stages["language_id"].languages == tuple(sorted(LANGUAGES))
    rules = [*fineweb2.LIMITS, *fineweb2.NGRAMS]
    assert all(set(fineweb2.limits(rule)) >= LANGUAGES for rule in rules)
    assert fineweb2.limits("max_dup_paragraphs") == {}


def test_what_is_asked_of_words_is_off_where_characters_are_words() -> None:
    for rule in ("min_mean_word_length", "max_mean_word_length", "max_dup_5grams", "max_dup_10grams"):
        assert all(fineweb2.limits(rule)[language] is None for language in CHARACTERS_ARE_WORDS)
    assert fineweb2.limits("max_top_2gram")["cmn"] == 0.256


def test_stop_words_are_single_words() -> None:
    lists = fineweb2.stop_words()
    assert LANGUAGES - set(lists) == {"khm", "lao", "tha"}
    assert lists["ces"] == ("v", "a", "se", "na", "je", "z", "s", "do")
    assert lists["fra"][:7] == ("de", "la", "le", "et", "\u00e0", "en", "l")  # "l'" there
    for words in lists.values():
        assert len(set(words)) == len(words) >= 2
        assert len(split_words(column([*words])).starts) == len(words)


def test_a_null_turns_a_rule_off_and_a_language_of_its_own_comes_first() -> None:
    text = "slovo " * 9
    config: dict[str, Any] = dict.fromkeys(get_args(Rule))
    assert apply(GopherRepetition(variant="fineweb2", **config), text, "ces")["drop_reason"] is None
    config["max_top_2gram"] = 0.2
    assert apply(GopherRepetition(variant="fineweb2", **config), text, "ces")["drop_limit"] == 0.206
    own = GopherRepetition(variant="fineweb2", **config, languages={"cs": {"max_top_2gram": 0.1}})
    assert apply(own, text, "ces")["drop_limit"] == 0.1
    assert apply(own, text, "eng")["drop_limit"] == 0.2
    assert apply(GopherQuality(variant="fineweb2"), "v se", "ces")["drop_reason"] == "min_words"
    assert apply(FinewebQuality(variant="fineweb2"), "ne", "ces")["drop_limit"] == 0.06


def test_a_recipes_list_takes_the_place_of_the_published() -> None:
    stage = GopherQuality(variant="fineweb2", stop_words={"cs": ("jablko", "hru\u0161ka")})
    assert stage.lists()["ces"] == ("jablko", "hru\u0161ka")
    assert stage.lists()["deu"] == fineweb2.stop_words()["deu"]


def test_stop_words_stand_as_listed() -> None:
    """In small letters, as published, and whole, joiners too: no folding, which is another in Turkish."""
    assert all(word == word.lower() for words in fineweb2.stop_words().values() for word in words)
    stage = GopherQuality(variant="fineweb2")
    for text, found in (("ve ile", 2), ("VE \u0130LE Ve \u0130le ILE", 0), ("ve ve bir", 2)):
        assert apply(stage, text, "tur")["gopher_stop_words"] == found
    joined = "\u0642\u0627\u06cc\u0646\u0627\u0642\u200c\u0644\u0627\u0631"
    for text, found in ((f"{joined} \u0648", 2), (joined.replace("\u200c", ""), 0)):
        assert apply(stage, text, "azb")["gopher_stop_words"] == found


def test_the_file_is_part_of_the_fingerprint() -> None:
    for kind in (GopherQuality, GopherRepetition, FinewebQuality):
        assert "fineweb2" in kind(variant="fineweb2").contract().assets
        assert "fineweb2" not in kind().contract().assets


def test_table() -> None:
    """The commonest script, members of macrolanguages, bounds of shares, words that are none."""
    config = {
        **dict.fromkeys(fineweb2.LIMITS.values(), 0.5),
        **{"line_punct_thr": -1, "dup_line_frac": 1.3, "max_avg_word_length": 12},
        **{"top_n_grams": [[2, 0.2], [3, 1.2], [4, 0.1]], "dup_n_grams": [[size, 0.1] for size in range(5, 11)]},
    }
    configs = {
        "uzn_Cyrl": {**config, "stopwords": ["\u0432\u0430", "va", "\u0130le", ",", "l'", "va"]},
        "uzn_Latn": {**config, "stopwords": ["a b", "c d", "e"]},
    }
    cyrillic, latin = (
        fineweb2.table(configs, documents, ["eng", "uzb"]).splitlines()[3].split("\t")
        for documents in ({"uzn_Cyrl": 2, "uzn_Latn": 1}, {"uzn_Latn": 1})
    )
    assert cyrillic[:5] == ["uzb", "uzn_Cyrl", "1", "0.5", "0"]
    assert cyrillic[-1] == "\u0432\u0430 va \u0130le l"
    assert (latin[1], latin[6], latin[9], latin[-1]) == ("uzn_Latn", "12", "1", "")


def test_all_rules_names_every_rule_set() -> None:
    """The bench's "all rule sets together", and the way to see what each would do."""
    stages = yaml.safe_load((RECIPES / "all_rules.yaml").read_text(encoding="utf-8"))["documents"]["stages"]
    assert {name for name, fields in stages.items() if fields.get("annotate")} == {
        *("url_filter", "language_id", "gopher_quality", "gopher_repetition", "fineweb_quality", "nemo_quality"),
        *("madlad", "repeated_runs", "unigram_divergence", "bad_words", "boilerplate", "refinedweb_lines", "c4"),
    }
