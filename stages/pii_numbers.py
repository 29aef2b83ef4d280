r"""Telephone, bank account and card numbers in text: patterns, and what a number must be to count.

A number on the web is far more often a price, an identifier or a date than one of these, so each has to prove itself.
- IBAN: its country's length, and the remainder 1 by 97 (ISO 13616); written at a stretch or in groups of four.
- Card: the prefix and length of a network, and the check digit of Luhn (ISO/IEC 7812-1); at a stretch or in the card's
  groups. Lengths that bar codes and identifiers share (13, and above 16) are left.
- Telephone: "+" and a country code in use (ITU-T E.164), then a subscriber number that begins as those do; the ten
  digits of North America with parentheses, hyphens or dots; or any groups of digits behind a word such as "Tel.".

Deviation: Dolma's pattern for telephone numbers (https://arxiv.org/abs/2402.00159, section 5.3) is any ten digits
behind white space, which takes identifiers as well, and knows North America only.
"""

from __future__ import annotations

import re
from itertools import starmap

# Lengths by country: SWIFT's IBAN registry, release 99.
_IBAN_LENGTHS = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_SPACE = "[ \u00a0]"


def _iban_of(length: int, countries: str) -> str:
    groups, rest = divmod(length - 4, 4)
    tail = f"{_SPACE}?[A-Z0-9]{{{rest}}}" if rest else ""
    return rf"(?:{countries.replace(' ', '|')})[0-9]{{2}}(?:{_SPACE}?[A-Z0-9]{{4}}){{{groups}}}{tail}"


IBAN_HINT = rf"[A-Z]{{2}}[0-9]{{2}}{_SPACE}?[A-Z0-9]{{4}}{_SPACE}?[A-Z0-9]{{3}}"
IBAN = re.compile(
    rf"(?<![A-Za-z0-9])(?=[A-Z]{{2}}[0-9]{{2}})(?:{'|'.join(starmap(_iban_of, _IBAN_LENGTHS.items()))})"
    "(?![A-Za-z0-9])",
    re.ASCII,
)


def is_iban(number: str) -> bool:
    """Say whether letters and digits, with their spaces, leave 1 by 97.

    Example: "GB82 WEST 1234 5698 7654 32" does.
    """
    plain = re.sub(_SPACE, "", number)
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


# Networks: Visa, Mastercard, Discover, JCB, UnionPay and Mir of 16 digits; American Express of 15; Diners of 14.
_SIXTEEN = (
    r"(?:4[0-9]{3}|5[1-5][0-9]{2}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720|20[0-4])|6011|64[4-9][0-9]"
    r"|65[0-9]{2}|62[0-9]{2}|35(?:2[89]|[3-8][0-9]))"
)
_FOUR = "[0-9]{4}"
CARD_HINT = rf"[2-6][0-9]{{3}}[ \x{{a0}}-]?{_FOUR}[0-9 \x{{a0}}-][0-9]{{4}}"
CARD = re.compile(
    r"(?<![\w/=#&%+.,:-])(?:"
    rf"{_SIXTEEN}(?P<a>[ \xa0-]?){_FOUR}(?P=a){_FOUR}(?P=a){_FOUR}"
    r"|3[47][0-9]{2}(?P<b>[ \xa0-]?)[0-9]{6}(?P=b)[0-9]{5}"
    r"|3(?:0[0-5]|[689][0-9])[0-9](?P<c>[ \xa0-]?)[0-9]{6}(?P=c)[0-9]{4}"
    r")(?![\w/=#&%-]|[.,][0-9])"
)


def is_card(number: str) -> bool:
    """Say whether the last of the digits is the check digit of the others.

    Example: it is of "4111 1111 1111 1111".
    """
    digits = [int(char) for char in number if char.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


# Country codes in use, ITU-T E.164 of 2016 with later changes.
_COUNTRY = re.compile(
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|21[1-368]|2[234][0-9]|25[0-8]|26[0-9]|29[01789]|35[0-9]"
    r"|37[0-8]|38[0-35-79]|42[013]|50[0-9]|59[0-9]|67[02-9]|68[0-35-9]|69[0-2]|85[02356]|88[06]|96[0-8]|97[0-79]|99[2-68]"
)
_NORTH_AMERICA = re.compile("[2-9][0-8][0-9][2-9][0-9]{6}")
_GAP = r"(?:[ \xa0][/\u2013-][ \xa0]|[ \xa0./\u2011\u2013-]|[ \xa0]?[()][ \xa0/-]?)"
_GROUPS = rf"[0-9]{{1,15}}(?:{_GAP}[0-9]{{1,15}}){{0,8}}(?!\w)"
_AREA = "[2-9][0-8][0-9]"
_LOCAL = r"[2-9][0-9]{2}(?(gap)(?P=gap)|[.-])[0-9]{4}(?![\w/=-]|[.][0-9])"

# Patterns begin with a set of characters, which `re` looks for quickly; what must not stand before it comes second.
PHONE_HINT = r"\+\(?[0-9]|[0-9]{3}(?:\)[ \x{a0}]?|[.-])[0-9]{3}[.-][0-9]{4}"
PHONE = re.compile(
    r"[+(1-9](?<![\w+/=.-].)(?:"
    rf"(?<=\+)\(?{_GROUPS}"
    rf"|(?:(?:(?<=1)[ .-]\(|(?<=\()){_AREA}\)[ \xa0]?|(?:(?<=1)[ .-][2-9]|(?<=[2-9]))[0-8][0-9](?P<gap>[.-])){_LOCAL})"
)

_LABELS = {
    "Tt": "el|elephone|elefon[eo]?|\u00e9l|\u00e9l\u00e9phone|el\u00e9fono|lf",
    "Pp": "hone|h",
    "Ff": "on|ax",
    "Mm": "ob|obile?|\u00f3vil",
    "Cc": "ell|elular",
    "Hh": "andy|otline",
    "Ww": "hats ?[Aa]pp",
    "\u0422\u0442": "\u0435\u043b|\u0435\u043b\u0435\u0444\u043e\u043d",
    "\u0424\u0444": "\u0430\u043a\u0441",
    "\u96fb": "\u8a71",
    "\u7535": "\u8bdd",
    "\u624b": "\u673a|\u6a5f",
    "\uc804": "\ud654",
}
_LABEL = "|".join(f"(?<=[{first}])(?i:{rest})" for first, rest in _LABELS.items())
LABELLED_PHONE_HINT = rf"(?i:{'|'.join(f'[{first}](?:{rest})' for first, rest in _LABELS.items())})[^0-9\n]{{0,9}}[0-9]"
LABELLED_PHONE = re.compile(
    rf"[{''.join(_LABELS)}](?<![^\W\u3000-\uffff].)(?:{_LABEL})(?:[ \xa0](?i:numbers?|no|nr)(?!\w))?"
    rf"[ \xa0.:\uff1a#|-]{{0,4}}(?P<masked>\(?{_GROUPS})"
)
_YEARS = re.compile(r"(?:19|20)[0-9]{2}\D+(?:19|20)[0-9]{2}")


def is_labelled_phone(number: str) -> bool:
    """Say whether groups of digits behind a word such as "Tel." can be a telephone number, and not years or a price.

    Example: "555 0123" can, "2019-2021" can't.
    """
    return 7 <= len(re.sub("[^0-9]", "", number)) <= 15 and not _YEARS.fullmatch(number)


def is_phone(number: str) -> bool:
    """Say whether what the pattern has found is a number of a country; without a "+" it is, of North America.

    Example: is_phone("+49 (0)30 1234567"), but not "+20 000 000", for no subscriber's number begins with 0.
    """
    if not number.startswith("+"):
        return True
    digits = re.sub("[^0-9]", "", number.replace("(0)", ""))
    country = _COUNTRY.match(digits)
    if country is None or not 8 <= len(digits) <= 15:
        return False
    rest = digits[country.end() :]
    if country[0] == "1":
        return _NORTH_AMERICA.fullmatch(rest) is not None
    return rest[0] != "0" or country[0] == "39"  # Italy's keep their 0
