"""Readers of training texts: one per format, each yields documents with their label, language and group.

A group is what must not be in training and test at once: a web site, a book, a page. Paths come from the command line,
names of files below it from the config. Readers undo what is only an artefact of a source (wiki markup, Project
Gutenberg's licence, ruby), or a model would learn the artefact.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from classifiers.languages import UNDETERMINED, parse_language
from dataproc.errors import ConfigError, InputError
from dataproc.text import clean_text


@dataclass(frozen=True)
class Document:
    """One text of a source, as it is there."""

    text: str
    group: str
    language: str = UNDETERMINED
    """ISO 639-3."""
    kind: str = ""
    """What the source calls it: its own label, page type or genre."""
    url: str = ""


Reader = Callable[[Path], Iterator[Document]]


def read_documents(reader: str, path: Path) -> Iterator[Document]:
    """Yield a file's or folder's documents under the text contract; raises ConfigError or InputError."""
    if reader not in READERS:
        raise ConfigError(f'reader must be one of {", ".join(sorted(READERS))}, got "{reader}". Choose one.')
    if not path.exists():
        raise InputError(f"training source {path} must exist, got none. Give its folder with --data.")
    for document in READERS[reader](path):
        yield Document(clean_text(document.text), document.group, document.language, document.kind, document.url)


def jsonl(path: Path) -> Iterator[Document]:
    """JSON lines with `text` and optionally url, language, and label or page_type.

    The group is the host of the url, else the line.
    """
    for number, line in enumerate(_lines(path)):
        row = json.loads(line)
        url = row.get("url") or ""
        kind = row.get("label") or row.get("page_type") or ""
        language = parse_language(row["language"]) if row.get("language") else UNDETERMINED
        yield Document(row.get("text") or "", urlsplit(url).netloc or str(number), language, kind, url)


def language_tsv(path: Path) -> Iterator[Document]:
    """Lines of ISO 639-3 code, raw label, text; wiki headings (`== Notes ==`) lose their marks."""
    for number, line in enumerate(_lines(path)):
        language, kind, text = line.split("\t", 2)
        code = "lat" if language == "la" else parse_language(language)
        yield Document(re.sub(r"={2,}", " ", text), str(number), code, kind)


def labelled_tsv(path: Path) -> Iterator[Document]:
    """Lines of label, text; the file's folder may be a language (`fr/dev.tsv`)."""
    files = sorted(path.rglob("*.tsv")) if path.is_dir() else [path]
    for file in files:
        language = _language_or_und(file.parent.name)
        for number, line in enumerate(_lines(file)):
            kind, text = line.split("\t", 1)
            yield Document(text, f"{file.parent.name}/{number}", language, kind)


def line_labels(path: Path) -> Iterator[Document]:
    """`<language>/*.json`: pages as lines with a label each; yields a page's lines of each label as one text."""
    for file in sorted(path.rglob("*.json")):
        for number, page in enumerate(json.loads(file.read_text(encoding="utf-8"))):
            labels = [str(label) for label in page["labels"]]
            for kind in sorted(set(labels)):
                text = "\n".join(line for line, label in zip(page["text"], labels, strict=True) if label == kind)
                group = f"{file.parent.name}/{file.stem}/{number}"
                yield Document(text, group, _language_or_und(file.parent.name), kind)


def wikitext(path: Path) -> Iterator[Document]:
    """WikiText-2: tokenised articles under ` = Title = `, rare words as <unk>; yields them with spaces as usual."""
    articles = re.split(r"(?m)^ = ([^=\n]+) = $", path.read_text(encoding="utf-8"))
    for title, body in zip(articles[1::2], articles[2::2], strict=True):
        text = re.sub(r" @(.)@ ", r"\1", body).replace("<unk>", " ")
        text = re.sub(r"(?m)^ (= )+(.*?) (= )+$", r"\2", text)
        text = re.sub(r" ([.,;:?!)\]%]|'s\b)", r"\1", re.sub(r"([(\[]) ", r"\1", text))
        yield Document(text, title.strip(), "eng")


def books(path: Path) -> Iterator[Document]:
    """Plain text books, one group each; the language is the folder's name or starts the file's (`de_a.txt`)."""
    for file in sorted(path.rglob("*.txt")):
        text = file.read_text(encoding="utf-8-sig")
        text = re.split(r"\*\*\* ?START OF TH.*?\*\*\*", text, maxsplit=1)[-1]
        text = re.split(r"\*\*\* ?END OF TH", text, maxsplit=1)[0]
        folder = _ELTEC.get(file.parent.name, file.parent.name)
        language = _language_or_und(folder)
        yield Document(
            text, file.stem, language if language != UNDETERMINED else _language_or_und(file.stem.split("_")[0])
        )


# Folder names of ELTeC that are ISO 639-2/B codes or abbreviations.
_ELTEC = {"cze": "ces", "gre": "ell", "rom": "ron"}


def aozora(path: Path) -> Iterator[Document]:
    """Aozora Bunko: Shift_JIS, less reading aids, editors' notes, the legend on top and the colophon at the end."""
    for file in sorted(path.rglob("*.txt")):
        text = file.read_text(encoding="cp932", errors="replace")
        text = re.sub("-{20,}.*?-{20,}", "", text, count=1, flags=re.DOTALL)
        text = re.split("\n\u5e95\u672c\uff1a", text, maxsplit=1)[0]
        yield Document(re.sub("\u300a.*?\u300b|\uff3b\uff03.*?\uff3d|\uff5c", "", text), file.stem, "jpn")


def conllu(path: Path) -> Iterator[Document]:
    """English Web Treebank: `<genre>/*.conllu`; sentences from their `# text` comments. The kind is the genre."""
    for file in sorted(path.rglob("*.conllu")):
        sentences = re.findall(r"(?m)^# text = (.*)$", file.read_text(encoding="utf-8"))
        yield Document(" ".join(sentences), file.name, "eng", file.parent.name)


def html(path: Path) -> Iterator[Document]:
    """Folders of HTML pages, main text by resiliparse; language as the folder's or file's name (`pt-BR`, `de__a`)."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    for file in sorted(path.rglob("*.html")):
        body = file.read_bytes()
        tree = bytes_to_str(body, detect_encoding(body, from_html_meta=True) or "utf-8")
        text = extract_plain_text(tree, main_content=True, alt_texts=False, preserve_formatting=True)
        folder = file.parent.name
        language = _language_or_und(folder.split("-")[0])
        if language == UNDETERMINED:
            language = _language_or_und(file.name.split("__")[0].split("-")[0])
        yield Document(text, str(file.relative_to(path)), language, folder)


READERS: Mapping[str, Reader] = {
    reader.__name__: reader
    for reader in (jsonl, language_tsv, labelled_tsv, line_labels, wikitext, books, aozora, conllu, html)
}
"""The names a config can give as `reader`."""


def _lines(path: Path) -> Iterator[str]:
    opener: Callable[..., IO[str]] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", errors="replace") as file:
        for line in file:
            yield line.rstrip("\n")


def _language_or_und(code: str) -> str:
    try:
        return parse_language(code)
    except ConfigError:
        return UNDETERMINED
