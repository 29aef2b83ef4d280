"""FineWeb-2's limits and stop words by language, for the rule sets' variant `fineweb2`.

Their authors derived them from each language's web and reference texts. Where a language is written in several scripts,
the limits of the script with most documents stand; a macrolanguage of ours has those of its member with most.

Their words are those of a tokenizer per language, ours the pieces of `dataproc.kernels.pieces`, with signs, for all, so
the numbers mean nearly, not just the same here. Where our words are characters, what is asked of words is off: their
mean length, and n-grams that repeat. Stop words that are no single word to us ("l'" is) are left out, and the whole
list where that is more than half of it, as in Thai. `python -m stages.fineweb2 CLONE` writes fineweb2.tsv anew from a
clone of the repository.

Source: Penedo et al. 2025, https://arxiv.org/abs/2506.20920, section 4; huggingface/fineweb-2 d0defb2, configs/*.yml,
Apache-2.0.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from classifiers.languages import parse_language
from dataproc.ids import file_hash
from stages.by_language import CHARACTERS_ARE_WORDS

TABLE = Path(__file__).with_name("fineweb2.tsv")

SHARES = {
    "max_dup_lines": "dup_line_frac",
    "min_alpha_words": "max_non_alpha_words_ratio",
    "min_line_punct": "line_punct_thr",
}
LIMITS = {
    **SHARES,
    "min_mean_word_length": "min_avg_word_length",
    "max_mean_word_length": "max_avg_word_length",
    "max_newline_ratio": "new_line_ratio",
}
NGRAMS = {
    **{f"max_top_{size}gram": ("top_n_grams", size) for size in (2, 3, 4)},
    **{f"max_dup_{size}grams": ("dup_n_grams", size) for size in (5, 6, 7, 8, 9, 10)},
}
"""Our names of rules and theirs; of the first, shares of something, they write -1 or more than 1 for "no limit"."""

MEMBERS = {
    **{"ara": "arb", "aze": "azj", "egl": "eml", "est": "ekk", "grn": "gug", "kom": "kpv", "kur": "kmr", "lav": "lvs"},
    **{"mlg": "plt", "mon": "khk", "msa": "zsm", "nci": "nhe", "nep": "npi", "ori": "ory", "pus": "pbt", "que": "quy"},
    **{"sqi": "als", "swa": "swh", "tgl": "fil", "uzb": "uzn", "yid": "ydd"},
}
"""Our code -> that of the configuration taken for it."""


def assets() -> dict[str, str]:
    """Return name -> checksum of the table, for contracts."""
    return {"fineweb2": file_hash(TABLE)}


@cache
def limits(rule: str) -> dict[str, float | None]:
    """Return the limit of each language, ISO 639-3, for one rule of a rule set; None = off. Other rules have none.

    Example: limits("max_dup_lines")["ces"] == 0.311
    """
    own: dict[str, float | None] = {row["language"]: float(row[rule]) for row in _rows() if rule in row}
    by_words = "mean_word_length" in rule or (rule.startswith("max_dup_") and rule.endswith("grams"))
    return own | dict.fromkeys(CHARACTERS_ARE_WORDS) if by_words else own


@cache
def stop_words() -> dict[str, tuple[str, ...]]:
    """Return the stop words of each language that has any.

    Example: stop_words()["ces"][:3] == ("v", "a", "se")
    """
    return {row["language"]: tuple(row["stop_words"].split()) for row in _rows() if row["stop_words"]}


def _rows() -> Iterator[dict[str, str]]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t", quoting=csv.QUOTE_NONE)


def table(configs: Mapping[str, Mapping[str, Any]], documents: Mapping[str, int], languages: list[str]) -> str:
    """Return the text of fineweb2.tsv: configurations and number of documents by name, such as ces_Latn."""
    lines = [
        "# Limits and stop words of FineWeb-2 by language. Written by `python -m stages.fineweb2`, which documents it.",
        "# Source: huggingface/fineweb-2 d0defb2, configs/*.yml, Apache-2.0.",
        "\t".join(["language", "config", *LIMITS, *NGRAMS, "stop_words"]),
    ]
    for language in sorted(languages):
        member = MEMBERS.get(language, language)
        scripts = sorted(name for name in configs if name.startswith(f"{member}_"))
        if scripts:
            name = max(scripts, key=lambda script: documents.get(script, 0))
            lines.append("\t".join([language, name, *_cells(configs[name])]))
    return "\n".join(lines) + "\n"


def _cells(config: Mapping[str, Any]) -> Iterator[str]:
    for rule, theirs in LIMITS.items():
        value = config[theirs]
        yield f"{min(max(value, 0), 1) if rule in SHARES else value:g}"
    for key, size in NGRAMS.values():
        yield f"{min(dict(config[key])[size], 1):g}"
    words = [_words(word) for word in dict.fromkeys(config["stopwords"])]
    kept = dict.fromkeys(found[0] for found in words if len(found) == 1)
    yield " ".join(kept) if 2 * len(kept) >= max(len(words), 4) else ""  # two are asked for, so two are too few


def _words(text: str) -> list[str]:
    """Return the words in a text, as they stand there: so they are compared. Example: "l'" has "l"."""
    import pyarrow as pa

    from dataproc.kernels.words import split_words

    words = split_words(pa.array([text]))
    return [words.data[a:b].tobytes().decode() for a, b in zip(words.starts, words.ends, strict=True)]


def main(clone: Path) -> None:
    """Write fineweb2.tsv from a clone of huggingface/fineweb-2, for the languages of lid.176."""
    configs = {path.stem: yaml.safe_load(path.read_bytes()) for path in (clone / "configs").glob("*.yml")}
    with (clone / "fineweb2-language-distribution.csv").open(encoding="utf-8", newline="") as file:
        documents = {row["subset"]: int(row["documents"]) for row in csv.DictReader(file) if row["split"] == "train"}
    names = (TABLE.parent.parent / "classifiers" / "languages.tsv").read_text(encoding="utf-8").splitlines()
    languages = {parse_language(line.split("\t")[1]) for line in names if not line.startswith("#")}
    TABLE.write_text(table(configs, documents, sorted(languages)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
