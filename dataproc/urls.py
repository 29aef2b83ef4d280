"""URLs: their host, and the canonical form in which two URLs of one page are equal.

The form is RFC 3986, section 6.2.2 and 6.2.3 (case, percent-encoding, dot segments, default port, empty path), with
what web archives leave out of their keys (SURT, as in Common Crawl's index): scheme, user, `www.`, fragment, the
order of query parameters, session ids; and parameters that only tell where a visitor came from. Unlike SURT it keeps
the case of path and query and the slash at the end of a path: to servers these can be other pages.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

TRACKING = frozenset(
    {"dclid", "fbclid", "gbraid", "gclid", "gclsrc", "igshid"}
    | {"mc_cid", "mc_eid", "msclkid", "twclid", "wbraid", "yclid"}
)
"""Parameters that links of campaigns carry besides utm_*, in lower case."""

DEFAULT_PORTS = (80, 443)
"""Of http and https; since the scheme does not tell pages apart, neither do these."""

_SESSION = re.compile(
    r"(?:jsessionid|phpsessid|aspsessionid[a-z]{8})=.*|(?:sid|sessionid|session_id)=[0-9a-z]{32}",
    re.IGNORECASE | re.DOTALL,
)
_PATH_SESSION = re.compile(r";jsessionid=[^/?]*|\([a-z]?\([0-9a-z]{24}\)\)/", re.IGNORECASE)  # Java; ASP.NET
_HOST = re.compile(r"\s*(?:(?:[A-Za-z0-9+.-]+:)?//)?(?:[^/?#\\@]*@)*([^/?#\\:\s]*)")
_PLAIN_HOST = re.compile(r"(?:[a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}")
_PLAIN_URL = re.compile(rf"https?://({_PLAIN_HOST.pattern})(?=[/?#]|\Z)")
"""Nearly all URLs of a crawl, of which the library would say the same in five times the time."""
_ESCAPE = re.compile("%([0-9a-fA-F]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_KEPT = "!$&'()*+,;=:@/?%[]|"
"""Characters that stand as they are in paths and queries; others are percent-encoded."""


def host_of(url: str | None) -> str | None:
    """Return the lower-case host of a URL; null for none and for what is no URL."""
    if not url:
        return None
    if (plain := _PLAIN_URL.match(url)) is not None:
        return plain[1]
    try:
        return urlsplit(url).hostname or None
    except ValueError:  # an unclosed bracket of an IPv6 address, for one
        return None


def ascii_host(host: str) -> str:
    """Return a host as DNS has it: lower case, IDNA 2003 (Python's codec, whose tables never change).

    What is no name comes back percent-encoded. Example: "B\u00fccher.example" -> "xn--bcher-kva.example"
    """
    if _PLAIN_HOST.fullmatch(host) is not None:
        return host
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:  # an empty or over-long label, or characters newer than IDNA 2003
        return quote(host.lower(), safe="[]:%", errors="replace")


def registered_domain(host: str) -> str:
    """Return the part of a host that one owner has, by the Public Suffix List, private suffixes such as github.io too.

    What is no more than a suffix, an address or one label is returned as it is. The list is that of the library
    `publicsuffixlist`, whose version so is part of what this says. Example: "a.b.example.org" -> "example.org",
    "www.example.co.uk" -> "example.co.uk", "a.me.github.io" -> "me.github.io", "192.0.2.1" -> "192.0.2.1"
    Source: https://publicsuffix.org
    """
    name = quote(ascii_host(host).rstrip("."), safe="[]:%")
    if name.rpartition(".")[2].isdigit() or ":" in name:
        return name
    return _public_suffixes().privatesuffix(name) or name


@cache
def _public_suffixes() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def with_ascii_host(url: str) -> str:
    """Return a URL, with or without a scheme, whose host is as DNS has it; all else stays as it is."""
    match = _HOST.match(url)
    assert match is not None  # every part may be empty
    before, host = match[0][: match.start(1) - match.start()], match[1]
    return url if host.isascii() else f"{before}{ascii_host(host)}{url[match.end() :]}"


def canonical_url(url: str | None) -> str | None:
    """Return the canonical form of an http or https URL, and null for any other.

    Example: "HTTP://www.Example.org:80/a/../%7Eb?z=1&utm_source=x&a=2#top" -> "https://example.org/~b?a=2&z=1"
    """
    try:
        parts = urlsplit((url or "").strip())
        host, port = parts.hostname, parts.port
    except ValueError:  # an unclosed bracket, or a port that is no number
        return None
    if parts.scheme not in ("http", "https") or not host:
        return None
    return f"https://{_authority(host, port)}{_path(parts.path)}{_query(parts.query)}"


def _authority(host: str, port: int | None) -> str:
    name = ascii_host(host).rstrip(".")
    while name.startswith("www.") and "." in name[4:]:
        name = name[4:]
    if ":" in name:
        name = f"[{name}]"
    return name if port in (None, *DEFAULT_PORTS) else f"{name}:{port}"


def _path(path: str) -> str:
    """Return a path without session ids and dot segments (RFC 3986, section 5.2.4)."""
    segments: list[str] = []
    found = _PATH_SESSION.sub("", _encoded(path)).split("/")[1:] or [""]
    for segment in found:
        if segment == "..":
            del segments[-1:]
        elif segment != ".":
            segments.append(segment)
    if found[-1] in (".", ".."):
        segments.append("")
    return "/" + "/".join(segments)


def _query(query: str) -> str:
    """Return the parameters that say which page is meant, sorted by name; equal names keep their order."""
    kept = [parameter for parameter in _encoded(query).split("&") if parameter and not _says_nothing(parameter)]
    kept.sort(key=lambda parameter: parameter.partition("=")[0])
    return "?" + "&".join(kept) if kept else ""


def _says_nothing(parameter: str) -> bool:
    name = parameter.partition("=")[0].lower()
    return name.startswith("utm_") or name in TRACKING or _SESSION.fullmatch(parameter) is not None


def _encoded(text: str) -> str:
    """Return text with unreserved characters plain and all that a URL cannot hold percent-encoded, in upper case."""
    return _ESCAPE.sub(_escape, quote(text, safe=_KEPT, errors="replace"))


def _escape(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if char in _UNRESERVED else match[0].upper()
