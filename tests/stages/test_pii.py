from __future__ import annotations

import ipaddress
import re
import time
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from stages.pii import Pii, is_public
from stages.pii_numbers import is_card, is_iban
from tests.stages.pii_oracle import oracle
from tests.stages.rule_sets import repeating

EMAIL, IP = "|||EMAIL_ADDRESS|||", "|||IP_ADDRESS|||"
MASKS = {"phone": "|||PHONE|||", "iban": "|||IBAN|||", "card": "|||CARD|||", "secret": "|||SECRET|||"}


def rows(*texts: str | None, **config: Any) -> list[dict[str, Any]]:
    ids = pa.array([bytes([row]) * 16 for row in range(len(texts))], pa.binary())
    batch = pa.RecordBatch.from_pydict({"doc_id": ids, "text": pa.array(texts, pa.large_string())})
    result: list[dict[str, Any]] = Pii(**config).build()(batch).to_pylist()
    return result


PII = ["jo@example.org", "8.8.8.8", "2606:4700::1111", "+49 30 1234567", "Tel. 030/1234567", "212-555-0123"]
NUMBERS = ["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32", "4111 1111 1111 1111", "AKIAQ2W3E4R5T6Y7UABC"]
PARTS = ["1 (212) 555-0123", "3782 822463 10005", "2019-2021", "phone no. ", "Fax", "\u7535\u8bdd", "[8.8.8.8]", "::"]
PARTS += ["+1 ", "(0)", " - ", ".org", "a@b-c.", "12:", "25", "555-", "'", "\xa0", "GB"]


@pytest.mark.parametrize("variant", ["ours", "datatrove"])
@settings(max_examples=40)
@given(text=st.lists(repeating | st.sampled_from([*PII, *NUMBERS, *PARTS, *"@.:+-19aA "])).map("".join))
def test_equals_the_oracle(variant: Any, text: str) -> None:
    config = Pii(variant=variant, **{kind: (mask,) for kind, mask in MASKS.items()})
    (row,) = rows(text, **config.model_dump())
    expected = oracle(text, config)
    assert {name: row[name] for name in expected} == expected


def masked(text: str, **config: Any) -> str:
    (row,) = rows(text, **config)
    assert {name: count for name, count in row.items() if name.startswith("pii_")} == {
        "pii_emails": row["text"].count(EMAIL),
        "pii_ips": row["text"].count(IP),
        **{f"pii_{kind}s": row["text"].count(MASKS[kind]) for kind in MASKS if kind in config},
    }
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
    ("inside", "outside"),
    [
        ("[+49 30 1234567]", "+49 30 123"),
        ("[+49 (0)30/123 45-67].", "+49,301,234,567"),
        ("[+1 212 555 0123]", "+1 112 555 0123"),
        ("[+39 06 1234567]", "+20 06 1234567"),  # Italy's keep their 0
        ("[+442071234567]", "+4420712345678901"),
        ("([+852 2545 2710])", "a+852 2545 2710 1+852 2545 2710"),
        ("[(212) 555-0123], [(212)555.0123]", "(112) 555-0123 (212) 155-0123"),
        ("[212-555-0123] [1-212-555-0123]", "212-555 0123 212 555 0123 9212-555-0123"),
        ("[212.555.0123]", "212.555-0123 212.555.0123.5 1.212.555.01234"),
        ("[1 (800) 555-0123]", "/212-555-0123 212-555-0123/ x=212-555-0123"),
        ("Tel.: [030 1234567]", "Hotel: 030 1234567"),
        ("Phone [555 0123] or fax: [555-0124]", "phone 555 012"),
        ("T\u00e9l : [01 48 51 01 47]", "tel 1234567890123456 mobile: 2019-2021"),
        ("TEL\uff1a[0512-55111066] \u96fb\u8a71: [02-2345-6789]", "\u96fb\u6c17: 02-2345-6789"),
        ("\u0442\u0435\u043b. [8 800 555 35 35]", "\u043e\u0442\u0435\u043b. 8 800 555 35 35"),
        ("mobile number: [06 12 34 56 78]", "mobile\n0612345678 mobile games 0612345678"),
    ],
)
def test_phones(inside: str, outside: str) -> None:
    check("phone", inside, outside)


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("[DE89370400440532013000]", "DE88370400440532013000"),  # the remainder
        ("([GB82 WEST 1234 5698 7654 32])", "GB82 WEST 1234 5698 7654 32X"),
        ("[FI43 2183 1800 0090 55] Nordea", "FI43 2183 1800 0090 5"),
        ("[NO9386011117947].", "XNO9386011117947 no9386011117947"),
        ("[MT84 MALT 0110 0001 2345 MTLC AST0 01S]", "MT84-MALT-0110-0001-2345-MTLC-AST0-01S"),
        ("IBAN:[FR14\u00a02004\u00a01010\u00a00505\u00a00001\u00a03M02\u00a0606]", "US14 2004 1010 0505 0001 3M02 606"),
    ],
)
def test_ibans(inside: str, outside: str) -> None:
    check("iban", inside, outside)


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("[4111 1111 1111 1111]", "4111 1111 1111 1112"),  # the check digit
        ("[5555-5555-5555-4444].", "5555-5555 5555-4444"),
        ("[2221000000000009] [2720990000000007]", "2220000000000000 2721000000000004"),
        ("[3782 822463 10005]", "3682 822463 10005"),
        ("[30569309025904]", "id=30569309025904 30569309025904/"),
        ("[6011111111111117], [3530111333300000]", "16011111111111117 6011111111111117.5"),
        ("[2200 0000 0000 0004]", "1111 1111 1111 1117"),
        ("card:\n[6200000000000005]", "4222222222222"),  # 13 digits are a bar code
    ],
)
def test_cards(inside: str, outside: str) -> None:
    check("card", inside, outside)


RANDOM = "Zq3vT9xW1cKb7Lr5Nd2Hy8Pf4Gm6Js0AeUoIlQwERtYuPzXcVbN1m2K3j4H5g6F7d8S9a0QqWwEeRrTtYyUuIiOoPpLlKkJjHhGgFf"
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{RANDOM[:64]}\n{RANDOM[:20]}==\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("[AKIAQ2W3E4R5T6Y7UABC]", "AKIAIOSFODNN7EXAMPLE AKIAQ2W3E4R5T6Y7UAB AKIAQ2W3E4R5T6Y7UAB1"),
        (f"token [ghp_{RANDOM[:36]}]", f"ghp_{'x' * 36} ghp_{RANDOM[:35]} xghp_{RANDOM[:36]}"),
        (f"[github_pat_{RANDOM[:22]}_{RANDOM[:59]}]", f"github_pat_{RANDOM[:22]}"),
        (f"[glpat-{RANDOM[:20]}]", f"glpat-{RANDOM[:19]}"),
        (f"[xoxb-123456789012-{RANDOM[:24]}]", "xoxb-your-token"),
        (f"'[sk_live_{RANDOM[:24]}]'", f"pk_live_{RANDOM[:24]}"),
        (f"?key=[AIza{RANDOM[:35]}]&", f"?key=AIza{RANDOM[:34]}&"),
        (f"[GOCSPX-{RANDOM[:28]}] [npm_{RANDOM[:36]}]", f"GOCSPX-{RANDOM[:27]} npm_{RANDOM[:37]}"),
        (f"[pypi-AgEIcHlwaS5vcmc{RANDOM[:60]}]", f"pypi-{RANDOM[:60]}"),
        (f"[hf_{'QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi'}]", "hf_hub_download"),
        (f"[sk-{RANDOM[:20]}T3BlbkFJ{RANDOM[20:40]}]", f"sk-{RANDOM[:48]}"),
        (f"[sk-ant-api03-{RANDOM[:93]}]", "sk-ant-api03-..."),
        (f"[SG.{RANDOM[:22]}.{RANDOM[:43]}]", f"SG.{RANDOM[:22]}"),
        (f"bot[1234567890:AA{RANDOM[:33]}]"[0:3] + f" [1234567890:AA{RANDOM[:33]}]", "12:34:56:AA"),
        (f"[dop_v1_{'0123456789abcdef' * 4}]", f"dop_v1_{'0123456789abcdef' * 3}"),
        (
            f"Bearer [eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{RANDOM[:43]}]",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0",
        ),
        (f'aws_secret_access_key = "[{RANDOM[:40]}]"', f'secret = "{RANDOM[:40]}"'),
        (
            f"https://hooks.slack.com/services/[T01234567/B01234567/{RANDOM[:24]}]",
            "https://hooks.slack.com/services/T000/B000/XXXX",
        ),
        (f"AccountKey=[{RANDOM[:86]}==];", f"AccountKey={RANDOM[:86]};"),
        (f"a\n[{KEY}]\nb", KEY.replace("PRIVATE", "PUBLIC")),
        (f"[{KEY.replace('RSA ', '')}]", KEY[:-30]),
    ],
)
def test_secrets(inside: str, outside: str) -> None:
    check("secret", inside, outside)


def check(kind: str, inside: str, outside: str) -> None:
    """What stands between brackets is masked, and nothing else."""
    config = {kind: MASKS[kind], "ip": None, "email": None}
    text = re.sub(r"[\[\]]", "", inside)
    (row, other) = rows(text, outside, **config)
    assert row["text"] == re.sub(r"\[[^\]]*\]", MASKS[kind], inside)
    assert row[f"pii_{kind}s"] == inside.count("[")
    assert (other["text"], other[f"pii_{kind}s"]) == (outside, 0)


def test_all_kinds_together() -> None:
    text = f"jo@example.org, 8.8.8.8, +49 30 1234567, DE89370400440532013000, 4111111111111111, ghp_{RANDOM[:36]}"
    assert masked(text, **MASKS) == ", ".join([EMAIL, IP, *MASKS.values()])
    assert rows(text, **MASKS, max_spans=5)[0]["drop_value"] == 6
    assert rows(text, email=None, ip=None)[0] == {"doc_id": bytes(16), "text": text}
    assert "drop_reason" in rows(text, email=None, ip=None, max_spans=0)[0]


@given(st.integers(0, 10**11 - 1))
def test_one_check_digit_of_ten_is_right(number: int) -> None:
    assert sum(is_card(f"4{number:011d}{digit}") for digit in range(10)) == 1
    assert sum(is_iban(f"DE{check:02d}{number:018d}") for check in range(2, 99)) == 1


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
    assert row["pii_emails"] == 3
    assert "pii_ips" not in row
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
    [
        *(
            "a",
            "a.",
            "a-",
            "@",
            "a@",
            "a@b.",
            "1.",
            "1.2.3.4.5",
            "2001:",
            "2001:db8::",
            "'",
            ".a",
            "%",
            "1",
            "+1",
            "+1 ",
        ),
        *("+", "tel ", "tel: 1 ", "4111 ", "DE89 ", "DE893704", "eyJ", "eyJhbGciOiJIUzI1NiJ9.eyJ", "xoxb-1-", "sk-"),
        *("-----BEGIN PRIVATE KEY-----", "-", "212-555-", "sk-T3BlbkFJ", "(212) "),
    ],
)
def test_time_is_linear(variant: str, piece: str) -> None:
    """A pattern that goes back for every character would need hours for this; any machine is done in seconds."""
    started = time.process_time()
    rows(piece * (300_000 // len(piece)) + "@", variant=variant, **(MASKS if variant == "ours" else {}))
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
