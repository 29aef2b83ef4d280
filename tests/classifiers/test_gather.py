from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from classifiers.gather import Example, gather
from classifiers.training_config import TrainingConfig
from classifiers.training_data import read_documents
from dataproc.config import validate
from dataproc.errors import ConfigError

LONG = "a sentence of several ordinary words stands here. " * 30


def read(reader: str, path: Path) -> list[tuple[str, str, str]]:
    """Return (text, language, kind) of each document."""
    return [(document.text, document.language, document.kind) for document in read_documents(reader, path)]


def test_tables(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.tsv.gz", "wt", encoding="utf-8") as file:
        file.write("deu\tde\t== Titel == Text\nla\tla\tsalve\n")
    assert read("language_tsv", tmp_path / "a.tsv.gz") == [("  Titel   Text", "deu", "de"), ("salve", "lat", "la")]
    (tmp_path / "fr").mkdir()
    (tmp_path / "fr" / "dev.tsv").write_text("NE NA\tBonjour\tmonde\n", encoding="utf-8")
    assert read("labelled_tsv", tmp_path) == [("Bonjour\tmonde", "fra", "NE NA")]
    assert read("labelled_tsv", tmp_path / "fr" / "dev.tsv") == [("Bonjour\tmonde", "fra", "NE NA")]


def test_line_labels_part_a_page(tmp_path: Path) -> None:
    (tmp_path / "es").mkdir()
    page = {"text": ["Inicio", "Una frase entera.", "Menu"], "labels": [0, 1, 0]}
    (tmp_path / "es" / "train.json").write_text(json.dumps([page]), encoding="utf-8")
    assert read("line_labels", tmp_path) == [("Inicio\nMenu", "spa", "0"), ("Una frase entera.", "spa", "1")]


def test_wikitext_loses_its_tokenisation(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text(
        " \n = Lobster = \n \n It is 7 @.@ 5 m ( 25 ft ) long .\n = = Use = = \n Food .\n = Next = \n More .\n",
        encoding="utf-8",
    )
    first, second = read("wikitext", tmp_path / "w.txt")
    assert " ".join(first[0].split()) == "It is 7.5 m (25 ft) long. Use Food."
    assert (second[0].strip(), second[1]) == ("More.", "eng")


def test_books_lose_licence_and_reading_aids(tmp_path: Path) -> None:
    book = "\ufeffLicence\n*** START OF THE PROJECT X ***\nErster Teil\n*** END OF THE PROJECT X ***\nLicence"
    (tmp_path / "de_faust.txt").write_text(book, encoding="utf-8")
    (tmp_path / "cze").mkdir()
    (tmp_path / "cze" / "CS1.txt").write_text("Boure", encoding="utf-8")
    assert read("books", tmp_path) == [("Boure", "ces", ""), ("\nErster Teil\n", "deu", "")]
    japanese = "\u984c\n\u6f22\u300a\u304b\u3093\u300b\u5b57\n\u5e95\u672c\uff1a\u5168\u96c6"
    (tmp_path / "ja").mkdir()
    (tmp_path / "ja" / "1.txt").write_bytes(japanese.encode("cp932"))
    assert read("aozora", tmp_path / "ja") == [("\u984c\n\u6f22\u5b57", "jpn", "")]


def test_treebank_and_html(tmp_path: Path) -> None:
    (tmp_path / "email").mkdir()
    (tmp_path / "email" / "1.conllu").write_text("# text = Hi .\n1\tHi\n\n# text = Bye .\n", encoding="utf-8")
    assert read("conllu", tmp_path) == [("Hi . Bye .", "eng", "email")]
    (tmp_path / "pt-BR").mkdir()
    (tmp_path / "pt-BR" / "a.html").write_text(f"<html><body><main><p>{LONG}</p></main></body></html>")
    [(text, language, kind)] = read("html", tmp_path)
    assert (" ".join(text.split()), language, kind) == (LONG.strip(), "por", "pt-BR")


def test_unknown_reader(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'reader must be one of aozora, books, .*, got "csv"'):
        read("csv", tmp_path)


def gathered(folder: Path, *sources: dict[str, Any], **config: Any) -> list[Example]:
    values = {"name": "t", "description": "", "labels": ["low", "high"], "licence": "CC0-1.0", **config}
    values["sources"] = [{"reader": "jsonl", "licence": "CC0-1.0", "path": "a.jsonl", **source} for source in sources]
    return gather(validate(TrainingConfig, values, "t"), folder)


def write_sites(folder: Path, num_sites: int) -> None:
    rows = [
        {
            "text": f"site {k} {LONG}",
            "url": f"https://s{k}.org/{page}",
            "label": "low" if k % 2 else "high",
            "language": "en",
        }
        for k in range(num_sites)
        for page in range(2)
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_a_site_is_never_in_training_and_test(tmp_path: Path) -> None:
    write_sites(tmp_path, 60)
    both = {"labels": {"low": "low", "high": "high"}, "role": "split"}
    examples = gathered(tmp_path, {"name": "a", **both}, {"name": "b", **both})
    sites = {role: {e.text.split()[1] for e in examples if e.role == role} for role in ("train", "heldout")}
    starts = {role: {s for s in found if s.isdigit()} for role, found in sites.items()}
    assert starts["train"].isdisjoint(starts["heldout"])
    assert 8 <= len(starts["heldout"]) <= 28
    assert [e.text for e in examples] == [
        e.text for e in gathered(tmp_path, {"name": "a", **both}, {"name": "b", **both})
    ]


def test_adding_a_source_does_not_move_another(tmp_path: Path) -> None:
    write_sites(tmp_path, 10)
    first = {"name": "a", "label": "high"}
    alone = gathered(tmp_path, first)
    with_other = gathered(tmp_path, first, {"name": "b", "label": "low"})
    assert [e for e in with_other if e.source == "a"] == alone


def test_balance_gives_each_language_as_many_of_both_labels(tmp_path: Path) -> None:
    rows = [("en", "low")] * 9 + [("en", "high")] * 4 + [("fr", "high")] * 5
    lines = [
        json.dumps({"text": f"{k} {LONG}"[:400], "label": label, "language": language})
        for k, (language, label) in enumerate(rows)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    source = {"name": "a", "labels": {"low": "low", "high": "high"}}
    lengths = {"min_chars": 300, "max_chars": 300}
    counts = Counter((e.language, e.label) for e in gathered(tmp_path, source, balance="language", passages=lengths))
    assert counts == {("eng", "low"): 4, ("eng", "high"): 4}


def test_caps_and_urls(tmp_path: Path) -> None:
    write_sites(tmp_path, 10)
    capped = gathered(tmp_path, {"name": "a", "label": "high", "max_passages": 7, "max_per_group": 1})
    assert len(capped) == 7
    only = gathered(tmp_path, {"name": "a", "label": "high", "url_pattern": r"s[12]\.", "exclude_url_pattern": "/1$"})
    assert {e.text.split()[1] for e in only if e.text.startswith("site")} == {"1", "2"}


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ([{"name": "a"}], "a must have either label or labels, got none. Give one."),
        ([{"name": "a", "label": "good"}], 'a: label must be one of low, high, got "good".'),
        ([{"name": "a", "label": "low"}] * 2, r"sources must have different names, got \['a'\] twice."),
    ],
)
def test_wrong_sources(tmp_path: Path, sources: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        gathered(tmp_path, *sources)
