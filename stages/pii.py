r"""Personal data masked in the text, by kind, and counted, with a limit for the document.

On by default are e-mail and public IP addresses, as in FineWeb; telephone numbers, IBANs and card numbers
(`stages/pii_numbers.py`) and secrets (`stages/pii_secrets.py`) are looked for where they have a placeholder.

Private, reserved and documentation addresses say nothing about a person and stay. Which networks those are is a list
here and not Python's, whose answer changes between versions. Patterns are bounded, so that the time is linear.

Variants. `ours`: any case, an address may stand in "mailto:", quotes or after a word of another script; an IPv4
address is four numbers on their own, not part of a longer one such as a version, nor the number of a heading (at the
start of a line, a full stop and white space after it: "9.7.3.1. Regular expressions"). `datatrove`: the
patterns of datatrove 0.10 (`formatters/pii.py`), IPv4 only, anywhere in a longer number; those of April 2024, by which
FineWeb was made, knew small letters only. Deviations there: at most 64 characters before the @ (RFC 5321) and 63
between dots (RFC 1035), nothing for IPv6 literals behind it, and placeholders begin anew in each document, where
datatrove's go on.
Dolma's limit is `max_spans: 5` (https://arxiv.org/abs/2402.00159, section 5.3: up to five are masked, six drop).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BeforeValidator, Field

from dataproc.stage import Contract, Drops, Stage, Transform, with_columns
from dataproc.text import clean_text
from stages.pii_numbers import (
    CARD,
    CARD_HINT,
    IBAN,
    IBAN_HINT,
    LABELLED_PHONE,
    LABELLED_PHONE_HINT,
    PHONE,
    PHONE_HINT,
    is_card,
    is_iban,
    is_labelled_phone,
    is_phone,
)
from stages.pii_secrets import SECRET, SECRET_HINT, is_secret


def _check_placeholders(placeholders: tuple[str, ...]) -> tuple[str, ...]:
    for placeholder in placeholders:
        if placeholder != clean_text(placeholder):
            raise ValueError(
                f"placeholders must be text without control characters, got {placeholder!r}. Take them out."
            )
    return placeholders


Placeholders = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1),
    AfterValidator(_check_placeholders),
]


class Pii(Stage):
    """Put placeholders for addresses, numbers and secrets, and drop documents that hold too many."""

    variant: Literal["ours", "datatrove"] = "ours"
    """Which patterns; see the top of `stages/pii.py`."""
    email: Placeholders | None = ("|||EMAIL_ADDRESS|||",)
    """What is put for an e-mail address: a string, or a list taken in turn within a document; null leaves them."""
    ip: Placeholders | None = ("|||IP_ADDRESS|||",)
    """The same for public IPv4 and IPv6 addresses."""
    phone: Placeholders | None = None
    """The same for telephone numbers. Example: "|||PHONE_NUMBER|||", as in Dolma."""
    iban: Placeholders | None = None
    """The same for numbers of bank accounts. Example: "|||IBAN|||"."""
    card: Placeholders | None = None
    """The same for numbers of payment cards. Example: "|||CARD_NUMBER|||"."""
    secret: Placeholders | None = None
    """The same for keys and tokens of known formats, private keys among them. Example: "|||SECRET|||"."""
    max_spans: Annotated[int, Field(ge=0)] | None = None
    """Most masks of a document, all kinds together; null allows any number."""

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        return Contract(
            reads=("text",),
            writes={"text": pa.large_string(), **{kind.column: pa.int64() for kind in _kinds(self)}},
            rules=() if self.max_spans is None else ("max_spans",),
        )

    def build(self) -> Transform:
        """Compile the patterns and return `pii`."""
        return partial(pii, config=self, kinds=list(_kinds(self)))


class Kind(NamedTuple):
    """A kind of personal data."""

    column: str
    hint: str  # RE2; a text without a match of it holds none
    pattern: re.Pattern[str]  # what its group in MASKED that has matched holds is masked, else all
    is_one: Callable[[str], bool]  # says of a match whether it counts
    placeholders: tuple[str, ...]


def pii(batch: pa.RecordBatch, config: Pii, kinds: list[Kind]) -> pa.RecordBatch:
    """Write `text` with placeholders and the number of each kind (int64), mark documents above `max_spans`.

    batch: N rows, needs `text` (large_string; null counts 0). Counts are pii_emails, pii_ips, pii_phones, pii_ibans,
    pii_cards and pii_secrets, each if it is looked for. Example: "Write to Jo.Doe@example.org or 8.8.8.8, not
    10.0.0.1" -> "Write to |||EMAIL_ADDRESS||| or |||IP_ADDRESS|||, not 10.0.0.1", one of each.
    """
    text = batch["text"]
    counts = {kind.column: np.zeros(batch.num_rows, np.int64) for kind in kinds}
    for kind in kinds:
        hinted = pc.fill_null(pc.match_substring_regex(text, kind.hint), False)
        rows = np.flatnonzero(hinted.to_numpy(zero_copy_only=False))
        masked = [_mask(one, kind) for one in text.filter(hinted).to_pylist()]
        counts[kind.column][rows] += np.array([count for _, count in masked], np.int64)
        text = pc.replace_with_mask(text, hinted, pa.array([one for one, _ in masked], pa.large_string()))
    written = {"text": text, **counts}
    if config.max_spans is None:
        return with_columns(batch, written)
    drops = Drops(batch)
    drops.above("max_spans", sum(counts.values(), np.zeros(batch.num_rows, np.int64)), config.max_spans)
    return drops.mark(written)


def _mask(text: str, kind: Kind) -> tuple[str, int]:
    """Return the text with placeholders, and how many."""
    pieces, end, count = [], 0, 0
    for match in kind.pattern.finditer(text):
        group = match.lastgroup if match.lastgroup in MASKED else 0
        if kind.is_one(match[group]):
            pieces += [text[end : match.start(group)], kind.placeholders[count % len(kind.placeholders)]]
            end = match.end(group)
            count += 1
    return "".join([*pieces, text[end:]]), count


MASKED = frozenset({"masked", "aws", "slack", "azure"})
"""Names of the groups that are masked without what stands around them."""

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)"
_IPV4 = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

# One start in each run of name characters (quotes and dots before it are passed over); the last label has a letter
# first and no digit or letter after it.
_NAME = r"[a-z0-9._%+'-]"
EMAIL = re.compile(
    rf"(?i)(?<!{_NAME})['.%+-]*+(?P<masked>(?={_NAME}{{1,64}}@){_NAME}*+(?<![.'])@"
    rf"(?:(?:{_LABEL}\.){{1,126}}[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])(?![a-z0-9])|\[{_IPV4}\]))",
    re.ASCII,
)
_DATATROVE_NAME = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_DATATROVE_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
DATATROVE_EMAIL = re.compile(
    rf"\b(?=(?:{_DATATROVE_NAME}|\.){{1,64}}@){_DATATROVE_NAME}+(?:\.{_DATATROVE_NAME}+)*@"
    rf"(?:(?:{_DATATROVE_LABEL}\.)+{_DATATROVE_LABEL}|\[{_IPV4}\])"
)
IP = re.compile(
    rf"(?m:(?!^{_IPV4}\.[\s\xa0]))(?<![\w.]){_IPV4}(?!\w|\.\d)"
    r"|(?<![\w:.])(?=[0-9a-f]{1,4}:)[0-9a-f:]{2,38}(?:[0-9a-f]|::)(?!\w|:[\w:])",  # a colon behind it is not its own
    re.IGNORECASE | re.ASCII,
)
DATATROVE_IP = re.compile(_IPV4)

# IANA special-purpose registries of 2026, https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast.
_NOT_PUBLIC = [
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
]
_PUBLIC_6 = IPv6Network("2000::/3")  # all that is given out
_NOT_PUBLIC_6 = [IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "3fff::/20")]


def is_public(address: str) -> bool:
    """Say whether the string is an IP address that can belong to someone.

    Example: is_public("8.8.8.8") and is_public("2606:4700::1111"), not so "192.168.0.1", "08.8.8.8" and "12:30:45".
    """
    try:
        if ":" not in address:
            four = IPv4Address(address)
            return not any(four in network for network in _NOT_PUBLIC)
        six = IPv6Address(address)
    except AddressValueError:
        return False
    return six in _PUBLIC_6 and not any(six in network for network in _NOT_PUBLIC_6)


def _kinds(config: Pii) -> Iterator[Kind]:
    """Yield the kinds that are on; what one has masked, those behind it don't see: the surest come first."""
    ours = config.variant == "ours"
    if config.secret is not None:
        yield Kind("pii_secrets", SECRET_HINT, SECRET, is_secret, config.secret)
    if config.email is not None:
        yield Kind("pii_emails", "@", EMAIL if ours else DATATROVE_EMAIL, bool, config.email)
    if config.ip is not None:
        hint = r"\d\.\d{1,3}\.\d{1,3}\.\d" + (r"|[23][0-9a-fA-F]{3}:" if ours else "")
        yield Kind("pii_ips", hint, IP if ours else DATATROVE_IP, is_public, config.ip)
    if config.iban is not None:
        yield Kind("pii_ibans", IBAN_HINT, IBAN, is_iban, config.iban)
    if config.card is not None:
        yield Kind("pii_cards", CARD_HINT, CARD, is_card, config.card)
    if config.phone is not None:
        yield Kind("pii_phones", PHONE_HINT, PHONE, is_phone, config.phone)
        yield Kind("pii_phones", LABELLED_PHONE_HINT, LABELLED_PHONE, is_labelled_phone, config.phone)
