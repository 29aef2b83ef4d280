"""What stage `pii` masks, in plain Python: one place of a text after the other, no hint, none of the stage's patterns.

Shared are three registries, which are lists and not rules: lengths of IBANs, country codes, formats of secrets.
"""

from __future__ import annotations

import ipaddress
import re
import string
from collections.abc import Callable, Iterator
from typing import Any

from stages import pii_numbers, pii_secrets
from stages.pii import Pii

Found = tuple[int, int, bool]  # from, to, and whether it counts; either way the search goes on behind it
Fit = Callable[[str, int], Found | None]  # what begins at a place of a text
Find = Callable[[str], Iterator[Found]]

DIGITS, CAPITALS, ALNUM = set(string.digits), set(string.ascii_uppercase), set(string.ascii_letters + string.digits)
SPACES = {" ", "\xa0"}


def oracle(text: str, config: Pii) -> dict[str, Any]:
    """Return the text with placeholders and the counts."""
    counts: dict[str, int] = {}
    for kind, find in OURS if config.variant == "ours" else DATATROVE:
        placeholders = getattr(config, kind)
        if placeholders is not None:
            pieces, end = [], 0
            spans = [(start, stop) for start, stop, counted in find(text) if counted]
            for number, (start, stop) in enumerate(spans):
                pieces += [text[end:start], placeholders[number % len(placeholders)]]
                end = stop
            text = "".join([*pieces, text[end:]])
            counts[f"pii_{kind}s"] = counts.get(f"pii_{kind}s", 0) + len(spans)
    return {"text": text, **counts}


def each(start: str, fit: Fit) -> Find:
    """Return what finds each fit at a place where `start` matches, but for places inside the one before."""
    places = re.compile(start)

    def find(text: str) -> Iterator[Found]:
        end = 0
        for place in places.finditer(text):
            if place.start() >= end and (found := fit(text, place.start())) is not None:
                yield found
                end = found[1]

    return find


def run(chars: str, text: str, at: int) -> str:
    """Return the characters from a place on that a class of `re` holds."""
    return re.compile(f"[{chars}]*").match(text, at)[0]  # type: ignore[index]


def is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def email(text: str, at: int) -> Found | None:
    """A name, less the dots and quotes before it, and labels of which the last begins with a letter."""
    whole = run("a-zA-Z0-9._%+'-", text, at)
    name, end = whole.lstrip("'.%+-"), at + len(whole)
    if not 1 <= len(name) <= 64 or name[-1] in ".'" or text[end : end + 1] != "@":
        return None
    stop = domain(text, end + 1, True) or literal(text, end + 1)
    return stop and (end - len(name), stop, True)


def datatrove_email(text: str, at: int) -> Found | None:
    name = run("a-zA-Z0-9!#$%&'*+/=?^_`{|}~.-", text, at)
    end = at + len(name)
    if len(name) > 64 or "" in name.split(".") or text[end : end + 1] != "@":
        return None
    stop = domain(text, end + 1, False) or literal(text, end + 1)
    return stop and (at, stop, True)


def domain(text: str, at: int, ours: bool) -> Any:
    """Return the end of the longest domain; to us its last label is a word of its own, two letters or more."""
    whole = run("a-zA-Z0-9.-", text, at)
    for size in range(len(whole), 0, -1):
        *others, last = labels = whole[:size].split(".")
        behind = text[at + size : at + size + 1]
        if ours and (len(last) < 2 or not last[0].isalpha() or behind in ALNUM or len(others) > 126):
            continue
        if others and all(1 <= len(label) <= 63 and label.strip("-") == label for label in labels):
            return at + size
    return None


def literal(text: str, at: int) -> Any:
    found = re.compile(r"\[([0-9.]*)\]").match(text, at)
    return found.end() if found and is_ipv4(found[1].split(".")) else None


def is_ipv4(numbers: list[str]) -> bool:
    return len(numbers) == 4 and all(
        {*number} <= DIGITS and 1 <= len(number) <= 3 and int(number) <= 255 for number in numbers
    )


def ip(text: str, at: int) -> Found | None:
    """Four numbers that are not part of more, nor the number of a heading; or all of a run of digits and colons."""
    *numbers, rest = (run("a-zA-Z0-9_.", text, at) + "...").split(".", 4)
    stop = at + len(".".join(numbers))
    if is_ipv4(numbers) and rest[:1] not in DIGITS:
        heading = re.compile(r"\.[ \t\n\r\f\v\xa0]").match(text, stop) and text[:at].rpartition("\n")[2] == ""
        return None if heading else (at, stop, is_public(text[at:stop]))
    whole = run("0-9a-fA-F:", text, at)
    if text[at - 1 : at] == ":" or not 1 <= whole.find(":") <= 4:
        return None
    for size in range(min(len(whole), 40), 2, -1):
        address, stop = whole[:size], at + size
        ended = size <= 39 if address[-1] != ":" else address[-2:] == "::" and size >= 4
        if ended and re.compile(r":?[a-zA-Z0-9_]|::").match(text, stop) is None:
            return at, stop, is_public(address)
    return None


def datatrove_ip(text: str, at: int) -> Found | None:
    """Four numbers anywhere, of the last as many digits as go."""
    found = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})").match(text, at)
    if found is None or not is_ipv4([*found.groups()[:3], "0"]):
        return None
    stop = found.end() if int(found[4]) <= 255 else found.end() - 1
    return at, stop, is_public(text[at:stop])


def is_public(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if found.version == 4:
        others = (ipaddress.ip_network(network) for network in ("192.88.99.0/24", "192.0.0.0/24", "224.0.0.0/4"))
        return found.is_global and not any(found in network for network in others)
    return found.exploded.startswith(("2", "3")) and not found.exploded.startswith(
        ("2001:00", "2001:01", "2001:0db8", "3fff:0")
    )


IBAN_LENGTHS = {code: length for length, codes in pii_numbers._IBAN_LENGTHS.items() for code in codes.split()}


def iban(text: str, at: int) -> Found | None:
    """As many letters and digits as the country has, with a space between four and four or not."""
    number, stop = text[at : at + 4], at + 4
    while len(number) < IBAN_LENGTHS.get(number[:2], 0):
        stop += text[stop : stop + 1] in SPACES
        group = text[stop : stop + min(4, IBAN_LENGTHS[number[:2]] - len(number))]
        if not group or not {*group} <= CAPITALS | DIGITS:
            return None
        number, stop = number + group, stop + len(group)
    if number[:2] not in IBAN_LENGTHS or text[stop : stop + 1] in ALNUM:
        return None
    remainder = 0
    for char in number[4:] + number[:4]:
        remainder = (remainder * (10 if char in DIGITS else 100) + int(char, 36)) % 97
    return at, stop, remainder == 1


def card(text: str, at: int) -> Found | None:
    """The groups of the network, at a stretch or with the same sign between them."""
    gap = text[at + 4 : at + 5] if text[at + 4 : at + 5] in SPACES | {"-"} else ""
    number, stop = text[at : at + 4], at + 4
    for size in groups(int(number)):
        group = text[stop + len(gap) : stop + len(gap) + size]
        if not text.startswith(gap, stop) or len(group) < size or not {*group} <= DIGITS:
            return None
        number, stop = number + group, stop + len(gap) + size
    if len(number) == 4 or re.compile(r"[\w/=#&%-]|[.,][0-9]").match(text, stop):
        return None
    digits = [int(digit) for digit in reversed(number)]
    return at, stop, (sum(digits[::2]) + sum(int("0246813579"[digit]) for digit in digits[1::2])) % 10 == 0


def groups(first: int) -> tuple[int, ...]:
    """Return the sizes of the groups behind the first four digits, by network."""
    visa, mastercard = 4000 <= first <= 4999, 5100 <= first <= 5599 or 2221 <= first <= 2720
    discover, jcb = first == 6011 or 6440 <= first <= 6599, 3528 <= first <= 3589
    union_pay, mir = 6200 <= first <= 6299, 2200 <= first <= 2204
    if visa or mastercard or discover or jcb or union_pay or mir:
        return 4, 4, 4
    if first // 100 in (34, 37):  # American Express
        return 6, 5
    return (6, 4) if 3000 <= first <= 3059 or first // 100 in (36, 38, 39) else ()  # Diners


GAPS = {
    *(f"{before}{dash}{behind}" for before in SPACES for dash in "/\u2013-" for behind in SPACES),
    *" \xa0./\u2011\u2013-",
    *(f"{before}{bracket}{behind}" for before in ("", *SPACES) for bracket in "()" for behind in ("", *SPACES, *"/-")),
}


def number_end(text: str, at: int) -> int | None:
    """Return the end of the last of up to nine groups of digits behind which no letter stands."""
    at += text[at : at + 1] == "("
    end = None
    for _ in range(9):
        digits = run("0-9", text, at)
        if not 1 <= len(digits) <= 15:
            break
        at += len(digits)
        if not is_word(text[at : at + 1]):
            end = at
        gap = run("^0-9", text[at : at + 4], 0)
        if gap not in GAPS:
            break
        at += len(gap)
    return end


NORTH_AMERICAN = re.compile(
    r"(?:1[ .-])?(?:\([2-9][0-8][0-9]\)[ \xa0]?[2-9][0-9]{2}[.-]|[2-9][0-8][0-9]([.-])[2-9][0-9]{2}\1)[0-9]{4}"
)


def phone(text: str, at: int) -> Found | None:
    if text[at] == "+":
        stop = number_end(text, at + 1)
        return None if stop is None else (at, stop, is_international(text[at:stop]))
    found = NORTH_AMERICAN.match(text, at)
    if found is None or re.compile(r"[\w/=-]|\.[0-9]").match(text, found.end()):
        return None
    return at, found.end(), True


COUNTRIES = {str(code) for code in range(1000) if pii_numbers._COUNTRY.fullmatch(str(code))}


def is_international(number: str) -> bool:
    digits = "".join(char for char in number.replace("(0)", "") if char in DIGITS)
    codes = [digits[:size] for size in (1, 2, 3) if digits[:size] in COUNTRIES]
    if not codes or not 8 <= len(digits) <= 15:
        return False
    rest = digits[len(codes[0]) :]
    if codes[0] == "1":
        return len(rest) == 10 and rest[0] > "1" and rest[1] < "9" and rest[3] > "1"
    return rest[0] != "0" or codes[0] == "39"


LABELS = (
    "tel|telephone|telefon|telefone|telefono|t\u00e9l|t\u00e9l\u00e9phone|tel\u00e9fono|tlf|ph|phone|fon|fax"
    "|mob|mobil|mobile|m\u00f3vil|cell|celular|handy|hotline|whatsapp|whats app"
    "|\u0442\u0435\u043b|\u0442\u0435\u043b\u0435\u0444\u043e\u043d|\u0444\u0430\u043a\u0441"
    "|\u96fb\u8a71|\u7535\u8bdd|\u624b\u673a|\u624b\u6a5f|\uc804\ud654"
)
LABELLED = [f"[{label[0]}{label[0].upper()}](?i:{label[1:]})" for label in LABELS.split("|")]
BEHIND_LABEL = re.compile(r"(?:[ \xa0](?i:number|numbers|no|nr)(?!\w))?[ \xa0.:\uff1a#|-]{0,4}")


def labelled_phone(text: str, at: int) -> Found | None:
    for label in LABELLED:
        if named := re.compile(label).match(text, at):
            start = BEHIND_LABEL.match(text, named.end()).end()  # type: ignore[union-attr]
            stop = number_end(text, start)
            if stop is not None:
                number = text[start:stop]
                parts = re.split("[^0-9]+", number)
                years = len(parts) == 2 and all(re.fullmatch("(19|20)..", part) for part in parts)
                return start, stop, 7 <= len("".join(parts)) <= 15 and not years
    return None


def secrets(text: str) -> Iterator[Found]:
    """The first of all formats, in the order of the list where two begin at one place."""
    tokens = [rf"(?<![\w-]){token}(?![\w-])" for token in pii_secrets._TOKENS]
    formats = [re.compile(one, re.ASCII) for one in (*tokens, *pii_secrets._NAMED, pii_secrets._BLOCK)]
    end = 0
    while matches := [match for one in formats if (match := one.search(text, end))]:
        first = min(matches, key=lambda match: match.start())
        start, stop = first.span(first.lastgroup or 0)
        yield start, stop, len({*text[start:stop]}) >= 10 and "EXAMPLE" not in text[start:stop]
        end = first.end()


# The order of the kinds: what one has masked, those behind it don't see.
OURS: list[tuple[str, Find]] = [
    ("secret", secrets),
    ("email", each(r"(?<![a-zA-Z0-9._%+'-])[a-zA-Z0-9._%+'-]", email)),
    ("ip", each(r"(?<![a-zA-Z0-9_.])[0-9a-fA-F]", ip)),
    ("iban", each("(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}", iban)),
    ("card", each(r"(?<![\w/=#&%+.,:-])[0-9]{4}", card)),
    ("phone", each(r"(?<![\w+/=.-])[+(1-9]", phone)),
    ("phone", each(rf"(?<![^\W\u3000-\uffff])(?:{'|'.join(LABELLED)})", labelled_phone)),
]
DATATROVE: list[tuple[str, Find]] = [
    ("secret", secrets),
    ("email", each(r"\b[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]", datatrove_email)),
    ("ip", each("[0-9]", datatrove_ip)),
    *OURS[3:],
]
