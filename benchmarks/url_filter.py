"""URLs a second on one core with 4.5 million blocked domains, and the memory that it takes, beside datatrove's filter.

Domains and URLs are made: two URLs of five lie on a listed domain or below one, the others beside. Words are those of
the shipped lists. datatrove 0.10 gets the same lists and, since it is slow, fewer URLs; it runs in the virtualenv of
`make peers`, and without that our figures stand alone.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

from benchmarks.figures import Figure, seconds, write
from stages.url_filter import UrlFilter
from stages.url_lists import SHIPPED, UrlList

PEERS = Path(os.environ.get("PEERS", ".venv-peers"))
NUM_DOMAINS = 4_500_000
NUM_URLS = 500_000
NUM_PEER_URLS = 20_000
BATCH_ROWS = 512
GOAL_BYTES = 1e9

_SYLLABLES = [first + second for first in "bdfghklmnp" for second in "ao"]
_TLDS = ("com", "org", "net", "co.uk", "de", "info", "com.br", "xyz")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        domains, urls = Path(folder) / "domains.txt", Path(folder) / "urls.txt"
        with domains.open("w") as out:
            out.writelines(f"{_domain(2 * k)}\n" for k in range(NUM_DOMAINS))
        urls.write_text("\n".join(islice(_urls(), NUM_PEER_URLS)) + "\n")
        columns = list(_batches())
        judge = UrlFilter(domains=(UrlList(list=str(domains)),), urls=()).build()
        (taken,) = seconds(lambda: [judge(batch) for batch in columns], repeats=3)
        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        first = pa.RecordBatch.from_pydict({"url": pa.array(islice(_urls(), NUM_PEER_URLS), pa.string())})
        kept = judge(first)["drop_reason"].null_count
        theirs = _peer(domains, urls, kept)
    rate, name = NUM_URLS / taken, f"{NUM_DOMAINS / 1e6:.2g} M domains, batches of {BATCH_ROWS}"
    figures = [
        Figure(name, rate, "URLs/s", goal=100_000),
        Figure("1 GB over the memory of the process", GOAL_BYTES / peak_bytes, "times", goal=1),
    ]
    if theirs is not None:
        figures.insert(1, Figure(name, rate, "URLs/s", "datatrove", theirs))
    write("url_filter", figures)


def _domain(number: int) -> str:
    """Return the domain of a number; different ones differ."""
    rest = number
    name: list[str] = []
    while rest or len(name) < 3:
        rest, syllable = divmod(rest, len(_SYLLABLES))
        name.append(_SYLLABLES[syllable])
    return f"{''.join(name)}.{_TLDS[number % 7 if number % 2 == 0 else 7]}"


def _urls() -> Iterator[str]:
    """Yield URLs without end: for k, a domain that is listed if k % 5 is 0 or 1, with and without a host below it."""
    for k in range(1 << 60):
        number = 2 * (k * 7919 % NUM_DOMAINS) + (k % 5 > 1)
        host = ("www.", "", "shop.of.")[k % 3] + _domain(number)
        path = "/".join(_SYLLABLES[(k + step * step) % len(_SYLLABLES)] * 3 for step in range(k % 6))
        yield f"https://{host}/{path}{'.html' if k % 2 else f'?page={k}&sort=asc'}"


def _batches() -> Iterator[pa.RecordBatch]:
    urls = _urls()
    for _ in range(0, NUM_URLS, BATCH_ROWS):
        yield pa.RecordBatch.from_pydict({"url": pa.array(islice(urls, BATCH_ROWS), pa.string())})


def _peer(domains: Path, urls: Path, kept: int) -> float | None:
    """Return the URLs a second of datatrove, None without its virtualenv; it must keep as many as ours."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        return None
    script = Path(__file__).with_name("url_filter_peer.py")
    command = [str(python), str(script), str(domains), str(urls), str(SHIPPED)]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"kept of {NUM_PEER_URLS:,} URLs: ours {kept:,}, datatrove {result['kept']:,}")
    return NUM_PEER_URLS / float(result["seconds"])


if __name__ == "__main__":
    main()
