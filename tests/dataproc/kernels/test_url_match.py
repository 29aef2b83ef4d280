"""Hash tables, automata and addresses against plain Python."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.automaton import ALPHABET, build_automaton
from dataproc.kernels.buffers import text_buffers
from dataproc.kernels.hash_table import build_table, find
from dataproc.kernels.hashing import hash_text
from dataproc.kernels.url_match import (
    ALLOW,
    DOMAIN,
    HARD_WORD,
    OPT_OUT,
    SUBWORD,
    URL,
    addresses,
    count_slashes,
    match_addresses,
    match_words,
)

URLS = st.text("aAbB.:/@?#[]www-_ \u00fc\t", max_size=30) | st.text(max_size=20)


def address_of(url: str) -> tuple[str, str]:
    """The oracle: host and the rest of an address."""
    text = url.strip("".join(map(chr, range(33))))
    match = re.match(r"(?:[a-zA-Z0-9+.-]+:)?//", text)
    text = text[match.end() :] if match else text
    host = re.split(r"[/?#\\]", text, maxsplit=1)[0]
    rest = text[len(host) :].split("#")[0]
    host = host.rpartition("@")[2]
    port = re.search(r":[^\]:]*$", host)
    host = (host[: port.start()] if port else host).rstrip(".")
    host = "".join(char.lower() if char.isascii() else char for char in host)
    if host.startswith("www.") and "." in host[4:]:
        host = host[4:]
    return host, rest.rstrip("/")


@given(st.lists(URLS, max_size=4))
def test_addresses(urls: list[str]) -> None:
    found = addresses(text_buffers(pa.array(urls, pa.string())))
    for k, url in enumerate(urls):
        whole = found.data[found.offsets[k] : found.offsets[k + 1]].tobytes().decode()
        host = found.data[found.offsets[k] : found.host_ends[k]].tobytes().decode()
        assert (host, whole) == (address_of(url)[0], "".join(address_of(url)))
        assert found.odd[k] == (re.fullmatch(r"[a-z0-9._:\[\]-]*", host) is None)


def test_count_slashes() -> None:
    assert count_slashes(addresses(text_buffers(pa.array(["a", "a/b?c/d", "a/b"])))) == 3
    assert count_slashes(addresses(text_buffers(pa.array([], pa.string())))) == 0


@given(st.dictionaries(st.integers(0, 2**64 - 1), st.integers(1, 2**31 - 1), max_size=80), st.integers(0, 2**64 - 1))
def test_tables_hold_what_was_put_in(entries: dict[int, int], other: int) -> None:
    table = build_table(np.array(list(entries), np.uint64), np.array(list(entries.values()), np.int32))
    for key in {*entries, other, 0}:
        assert find(table.keys, table.values, np.uint64(key)) == entries.get(key, 0)


def test_values_of_equal_keys_are_joined() -> None:
    table = build_table(np.array([7, 7, 7 + 16], np.uint64), np.array([1, 4, 2], np.int32))
    assert [find(table.keys, table.values, np.uint64(key)) for key in (7, 23, 39)] == [5, 2, 0]


@given(st.sets(st.text("ab1", min_size=1, max_size=4), max_size=6), st.text("ab1", max_size=20))
def test_automata_find_every_pattern(patterns: set[str], text: str) -> None:
    moves, ends = build_automaton(patterns)
    state, found = 0, []
    for end, char in enumerate(text, start=1):
        state = int(moves[state, ALPHABET.index(char)])
        assert ends[state] == any(text[:end].endswith(pattern) for pattern in patterns)
        found.append(ends[state])
    assert any(found) == any(pattern in text for pattern in patterns)


SITES = {"a.b": DOMAIN, "b": ALLOW, "a.a/b": URL, "b.a/a": OPT_OUT, "b.a/a/b?a": OPT_OUT, "a": DOMAIN | OPT_OUT}


@given(st.text("ab./?", max_size=16))
def test_match_addresses(url: str) -> None:
    host, rest = address_of(url)
    domains = {host[at:] for at in range(len(host)) if at == 0 or host[at - 1] == "."}
    whole = host + rest
    above = {whole, *(whole[:at] for at in range(len(host), len(whole)) if whole[at] in "/?")}
    expected = 0
    for entry, bits in SITES.items():
        expected |= bits & (DOMAIN | ALLOW | OPT_OUT) if entry in domains else 0
        expected |= bits & URL if entry == whole else 0
        expected |= bits & (ALLOW | OPT_OUT) if entry in above else 0
    table = build_table(np.array([hash_text(site) for site in SITES], np.uint64), np.array([*SITES.values()], np.int32))
    found = match_addresses(addresses(text_buffers(pa.array([url]))), table, max_slashes=3)
    assert found.tolist() == [expected]


@given(st.lists(st.text("aAbB1_-/\u00fc", max_size=20), max_size=3))
def test_match_words(urls: list[str]) -> None:
    hard, soft, parts = {"ab"}, {"a": 1.0, "b": 0.5, "ab": 2.0}, {"bb", "1a"}
    keys = [hash_text(word) for word in (*hard, *soft)]
    table = build_table(np.array(keys, np.uint64), np.array([HARD_WORD, 1, 2, 3], np.int32))
    weights = np.array([0.0, *soft.values()])
    found, scores = match_words(text_buffers(pa.array(urls, pa.string())), table, weights, build_automaton(parts))
    for k, url in enumerate(urls):
        words = set(re.split("[^a-z0-9]+", re.sub("[A-Z]", lambda match: match[0].lower(), url)))
        joined = re.sub("[^a-z0-9]", "", re.sub("[A-Z]", lambda match: match[0].lower(), url))
        assert bool(found[k] & HARD_WORD) == bool(words & hard)
        assert scores[k] == sum(weight for word, weight in soft.items() if word in words)
        assert bool(found[k] & SUBWORD) == any(part in joined for part in parts)


def test_a_host_of_a_million_dots_takes_no_time() -> None:
    urls = text_buffers(pa.array(["http://" + "a." * 1_000_000 + "b/"]))
    table = build_table(np.array([hash_text("b")], np.uint64), np.array([DOMAIN], np.int32))
    assert match_addresses(addresses(urls), table, 0).tolist() == [DOMAIN]


@pytest.mark.parametrize("size", [0, 1, 1000, 100_000])
def test_tables_are_at_most_five_eighths_full(size: int) -> None:
    table = build_table(np.arange(1, size + 1, dtype=np.uint64), np.ones(size, np.int32))
    assert size <= len(table.keys) * 5 / 8
