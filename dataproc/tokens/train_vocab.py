"""Train a byte-level BPE vocabulary and write it as `<name>.tiktoken` (rank lines) and `<name>.json` (how to use it).

    python -m dataproc.tokens.train_vocab --packs PACKS --out dataproc/tokens/vocab

made the shipped `web32k`. Every byte is a token, so any text encodes; no normalisation, so decode(encode(x)) == x.
Texts of one source are capped per group (a language, a book), and English counts several times, as it does in a crawl:
32,768 ids are shared by about 100 languages, and these numbers decide how. Pages on which extraction is measured are
left out. The same texts give the same bytes: the trainer breaks ties by token id, and nothing is sampled.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataproc.text import clean_text
from dataproc.tokens.backends import O200K_PATTERN as PATTERN  # gigatoken knows it, and marks stay in words

EOS = "<|endoftext|>"
SPECIALS = (EOS, "<|bos|>", "<|pad|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
NUM_SPECIALS = 16  # the rest are reserved, so that a trained model can get new ones without a new vocabulary


@dataclass(frozen=True)
class Text:
    """One text to learn from; `group` is what the cap of its source counts: a language, a book."""

    source: str
    group: str
    text: str


def train(texts: Iterable[str], vocab_size: int) -> list[bytes]:
    """Return the tokens of a byte-level BPE in rank order: 256 bytes, then merges, `vocab_size` in all.

    Raises ValueError when the texts hold too few different words for so many merges.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    to_byte = _byte_of_letter()
    tokens = [bytes([byte]) for byte in range(256)]
    tokens += [bytes(to_byte[letter] for letter in left + right) for left, right in merges]
    if len(tokens) != vocab_size or len(set(tokens)) != vocab_size:
        raise ValueError(
            f"train must find {vocab_size:,} different tokens, got {len(set(tokens)):,}. Give it more text."
        )
    return tokens


def _byte_of_letter() -> dict[str, int]:
    """The letters by which byte-level BPE spells bytes (GPT-2): printable Latin-1 as itself, the rest from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


def write_vocabulary(tokens: list[bytes], folder: Path, name: str, about: dict[str, Any]) -> None:
    """Write `<name>.tiktoken` and `<name>.json`; special tokens take the ids after the ranks."""
    lines = b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))
    reserved = tuple(f"<|reserved_{number}|>" for number in range(NUM_SPECIALS - len(SPECIALS)))
    description = {
        "name": name,
        "sha256": hashlib.sha256(lines).hexdigest(),
        "pattern": PATTERN,
        "special_tokens": {token: len(tokens) + number for number, token in enumerate(SPECIALS + reserved)},
        "eos": EOS,
        "bos": "<|bos|>",
        **about,
    }
    (folder / f"{name}.tiktoken").write_bytes(lines)
    (folder / f"{name}.json").write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


CAPS = {
    "pages": 400_000,  # UTF-8 bytes of one group (here: a package and language) that are learned from
    "wonderland": 8_000,
    "wikitext2": 3_000_000,
    "books": 300_000,
    "ewt": 2_000_000,
    "wikipedia": 600_000,
    "lingua": 60_000,
    "tatoeba": 20_000,
    "udhr": 6_000,
}
ENGLISH_TIMES = 4
"""How often an English text is learned from."""

LICENCES = {
    "pages": "documentation of seven Debian packages, licences in jobs/sample/README.md",
    "wonderland": "Unicode test corpora, one book in 254 languages, Unicode-3.0",
    "wikitext2": "WikiText-2, CC-BY-SA-3.0",
    "books": "ELTeC, CC-BY-4.0; Project Gutenberg and Aozora, public domain",
    "ewt": "English Web Treebank of Universal Dependencies, CC-BY-SA-4.0",
    "wikipedia": "Wikipedia documents in 23 languages, CC-BY-SA-4.0",
    "lingua": "test sentences of the lingua language detector, Apache-2.0",
    "tatoeba": "Tatoeba, CC-BY-2.0-FR",
    "udhr": "Universal Declaration of Human Rights, free",
}


def capped(texts: Iterable[Text]) -> Iterator[Text]:
    """Yield texts until their group has given its source's cap of bytes."""
    given: Counter[tuple[str, str]] = Counter()
    for text in texts:
        key = (text.source, text.group)
        if given[key] < CAPS[text.source]:
            yield text
            given[key] += len(text.text.encode())


def is_english(text: Text) -> bool:
    """Say whether the group of a text is an English one, as its source names it."""
    return bool(re.search(r"^en[g_]|^ENG|/en\b", text.group))


def pack_texts(packs: Path) -> Iterator[Text]:
    """Yield the free texts of the packs, in a fixed order."""
    folder = packs / "text"
    for file in sorted(folder.glob("wikitext2_*.txt")):
        yield from _pieces("wikitext2", "eng", file.read_text(encoding="utf-8"))
    for file in sorted([*folder.glob("gutenberg_multi/*.txt"), *folder.glob("eltec/*/*.txt")]):
        yield from _pieces("books", file.name, file.read_text(encoding="utf-8"))
    for file in sorted(folder.glob("aozora_sjis/*.txt")):
        yield from _pieces("books", "aozora", file.read_bytes().decode("shift_jis", "replace"))
    for file in sorted(folder.glob("ewt_web/*/*.conllu")):
        lines = file.read_text(encoding="utf-8").split("\n")
        sentences = [line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")]
        yield Text("ewt", "eng", clean_text("\n".join(sentences)))
    for source, name in (
        ("wikipedia", "wikidocs22_validation"),
        ("lingua", "lingua75_sentences"),
        ("tatoeba", "tatoeba112"),
        ("udhr", "udhr"),
    ):
        with gzip.open(packs / "lid" / f"{name}.tsv.gz", "rt", encoding="utf-8", newline="\n") as rows:
            for row in rows:
                language, _, text = row.rstrip("\n").split("\t", 2)
                yield Text(source, language, clean_text(text))


def _pieces(source: str, group: str, text: str, size: int = 20_000) -> Iterator[Text]:
    """Cut a book at paragraph ends into pieces of about `size` characters, so that a cap can end inside it."""
    piece: list[str] = []
    for paragraph in clean_text(text).split("\n\n"):
        piece.append(paragraph)
        if sum(map(len, piece)) >= size:
            yield Text(source, group, "\n\n".join(piece))
            piece = []
    yield Text(source, group, "\n\n".join(piece))


def page_texts(packs: Path) -> Iterator[Text]:
    """Yield the main text of the documentation pages, one group a package and language, exact repeats left out."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    seen = set()
    for file in sorted((packs / "html_multi").glob("**/*.html")):
        html = file.read_bytes()
        text = clean_text(extract_plain_text(bytes_to_str(html, detect_encoding(html) or "utf-8"), main_content=True))
        if text not in seen:
            seen.add(text)
            language = file.parent.name if "__usr__" not in file.name else file.name.split("__")[0]
            package = file.relative_to(packs).parts[1]
            yield Text("wonderland" if package == "unicode_test_corpora" else "pages", f"{package}/{language}", text)


def main() -> None:
    """Parse the command line, train and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--packs", type=Path, required=True, help="folder with html_multi/, text/ and lid/")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "vocab", help="folder to write to")
    parser.add_argument("--name", default="web32k")
    parser.add_argument("--size", type=int, default=32_768, help="number of ids, special tokens included")
    args = parser.parse_args()
    texts = [text for texts in (page_texts(args.packs), pack_texts(args.packs)) for text in capped(texts)]
    learned: Counter[str] = Counter()
    for text in texts:
        learned[text.source] += len(text.text.encode())
    repeated = (text.text for text in texts for _ in range(ENGLISH_TIMES if is_english(text) else 1))
    tokens = train(repeated, args.size - NUM_SPECIALS)
    trained_on = [
        {"source": source, "bytes": learned[source], "licence": LICENCES[source]} for source in sorted(learned)
    ]
    write_vocabulary(tokens, args.out, args.name, {"trained_on": trained_on, "licence": "Apache-2.0"})


if __name__ == "__main__":
    main()
