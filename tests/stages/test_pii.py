from __future__ import annotations

import ipaddress
import re
import time
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from stages.pii import Pii, is_public

EMAIL, IP = "|||EMAIL_ADDRESS|||", "|||IP_ADDRESS|||"


def rows(*texts: str | None, **config: Any) -> list[dict[str, Any]]:
    ids = pa.array([bytes([row]) * 16 for row in range(len(texts))], pa.binary())
    batch = pa.RecordBatch.from_pydict({"doc_id": ids, "text": pa.array(texts, pa.large_string())})
    result: list[dict[str, Any]] = Pii(**config).build()(batch).to_pylist()
    return result


def masked(text: str, **config: Any) -> str:
    (row,) = rows(text, **config)
    assert (row["pii_emails"], row["pii_ips"]) == (row["text"].count(EMAIL), row["text"].count(IP))
    result: str = row["text"]
    return result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jo@example.org.", f"Write to {EMAIL}."),
        ("Jo.Doe+x_y%z@Mail.Example.CO.UK,", f"{EMAIL},"),
        ("o'brien@example.ie 'jo@example.org'", f"{EMAIL} '{EMAIL}'"),
        ("<jo@example.org> mailto:jo@example.org?x", f"<{EMAIL}> mailto:{EMAIL}?x"),
        ("...jo@example.org -jo@example.org-", f"...{EMAIL} -{EMAIL}-"),
        ("\u8054\u7cfbjo@example.org\u8c22", f"\u8054\u7cfb{EMAIL}\u8c22"),
        ("https://h.org/jo@example.org", f"https://h.org/{EMAIL}"),
        ("jo@xn--mller-kva.de", EMAIL),
        ("jo@[8.8.8.8]", EMAIL),
        ("jo@localhost", "jo@localhost"),
        ("jo@example.1", "jo@example.1"),
        ("jo.@example.org", "jo.@example.org"),
        ("jo @example.org @jo", "jo @example.org @jo"),
        (f"{'a' * 64}@example.org", EMAIL),
        (f"{'a' * 65}@example.org", f"{'a' * 65}@example.org"),
        (f"jo@{'b' * 63}.org jo@{'b' * 64}.org", f"{EMAIL} jo@{'b' * 64}.org"),
    ],
)
def test_emails(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8.8.8.8", IP),
        ("(8.8.8.8), 8.8.8.8:53 and 8.8.8.8/24.", f"({IP}), {IP}:53 and {IP}/24."),
        ("8.8.8.8-8.8.8.9", f"{IP}-{IP}"),
        ("8.8.8.8.", f"{IP}."),
        ("9.7.3.1. Syntax\n9.7.3.2.\u00a0Use", "9.7.3.1. Syntax\n9.7.3.2.\u00a0Use"),  # headings
        ("9.7.3.1 Syntax, see 9.7.3.2. Use", f"{IP} Syntax, see {IP}. Use"),
        (
            "8.8.8.8.8 v8.8.8.8 8.8.8 08.8.8.8 256.8.8.8 8.8.8.8x",
            "8.8.8.8.8 v8.8.8.8 8.8.8 08.8.8.8 256.8.8.8 8.8.8.8x",
        ),
        (
            "10.0.0.1 172.16.0.1 192.168.1.1 127.0.0.1 203.0.113.9",
            "10.0.0.1 172.16.0.1 192.168.1.1 127.0.0.1 203.0.113.9",
        ),
        ("172.15.255.255 172.32.0.0 223.255.255.255 224.0.0.1", f"{IP} {IP} {IP} 224.0.0.1"),
        ("2606:4700:4700::1111: hi, 2A00:1450::, 2001:4860::/32", f"{IP}: hi, {IP}, {IP}/32"),
        ("2606:4700:4700::1111 and [2A00:1450:0:0:0:0:0:200e]:80", f"{IP} and [{IP}]:80"),
        (
            "12:30:45 fe80::1 ::1 2001:db8::1 std::abs 2001::: 2606:4700",
            "12:30:45 fe80::1 ::1 2001:db8::1 std::abs 2001::: 2606:4700",
        ),
    ],
)
def test_ip_addresses(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("jo@example.org jo@example.1", f"{EMAIL} {EMAIL}"),
        ("Jo@Example.ORG", EMAIL),
        ("\u00e9jo@example.org", "\u00e9jo@example.org"),  # no word begins there
        ("\u212ao@example.org", "\u212ao@example.org"),  # the sign of kelvin is no K
        ("jo/doe=x@example.org", EMAIL),
        ("v8.8.8.8.8", f"v{IP}.8"),
        ("10.0.0.1 2606:4700:4700::1111", "10.0.0.1 2606:4700:4700::1111"),
    ],
)
def test_as_datatrove_does(text: str, expected: str) -> None:
    assert masked(text, variant="datatrove") == expected


def test_placeholders_are_taken_in_turn_and_kinds_can_be_off() -> None:
    text = "a@example.org b@example.org c@example.org 8.8.8.8"
    (row, again) = rows(text, text, email=["x@example.com", "y@example.com"], ip=None)
    assert row["text"] == again["text"] == "x@example.com y@example.com x@example.com 8.8.8.8"
    assert (row["pii_emails"], row["pii_ips"]) == (3, 0)
    assert rows(text, email=None, ip="<ip>")[0]["text"] == "a@example.org b@example.org c@example.org <ip>"


def test_max_spans() -> None:
    inside, outside = rows("a@b.de " * 4 + "8.8.8.8", "a@b.de " * 4 + "8.8.8.8 8.8.4.4", max_spans=5)
    assert inside["drop_reason"] is None
    assert (outside["drop_reason"], outside["drop_value"], outside["drop_limit"]) == ("max_spans", 6.0, 5.0)
    assert "drop_reason" not in rows("a@b.de " * 99)[0]
    assert (Pii().contract().rules, Pii(max_spans=0).contract().rules) == ((), ("max_spans",))


def test_texts_without_stay() -> None:
    texts = ["", None, "no address @ all, 1.2.3"]
    assert [row["text"] for row in rows(*texts)] == texts


@given(st.ip_addresses())
def test_public_is_what_python_says_but_for_multicast(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if address.version == 4:
        relays = ipaddress.ip_network("192.88.99.0/24")
        own = address.is_multicast or address in relays or address in ipaddress.ip_network("192.0.0.0/24")
        assert is_public(str(address)) == (address.is_global and not own)
    elif is_public(str(address)):
        assert address.is_global


@given(st.text(st.sampled_from("ab.@-'1:%\u00e9 "), max_size=40))
def test_what_is_masked_has_the_shape_of_an_address(text: str) -> None:
    """An oracle of one line: what is left around placeholders is the text, and each stands for x@y.z."""
    (row,) = rows(text, email="\x7f".replace("\x7f", "#"), ip=None)
    pattern = re.escape(row["text"]).replace(r"\#", r"([A-Za-z0-9._%+'-]+@[A-Za-z0-9.-]+\.[a-z][a-z0-9-]*[a-z0-9])")
    assert re.fullmatch(pattern, text)


@pytest.mark.parametrize("variant", ["ours", "datatrove"])
@pytest.mark.parametrize(
    "piece",
    ["a", "a.", "a-", "@", "a@", "a@b.", "1.", "1.2.3.4.5", "2001:", "2001:db8::", "'", ".a", "%"],
)
def test_time_is_linear(variant: str, piece: str) -> None:
    """A pattern that goes back for every character would need hours for this; any machine is done in seconds."""
    started = time.process_time()
    rows(piece * (300_000 // len(piece)) + "@", variant=variant)
    assert time.process_time() - started < 10


def test_placeholders_must_be_text() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Pii, {"email": "a\x00"}, "r.yaml: documents.pii")
    assert str(caught.value) == (
        "r.yaml: documents.pii.email: placeholders must be text without control characters, got 'a\\x00'."
        " Take them out."
    )
    with pytest.raises(ConfigError, match=r"documents\.pii\.email"):
        validate(Pii, {"email": []}, "r.yaml: documents.pii")
