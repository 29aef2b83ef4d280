"""The stages a recipe can use, by name.

Importing them stays cheap: models, extractors and compilers are imported when a stage is built.
"""

from __future__ import annotations

from dataproc.stage import Stage
from stages.assign_bucket import AssignBucket
from stages.bad_words import BadWords
from stages.boilerplate import Boilerplate
from stages.c4 import C4
from stages.extract_text import ExtractText
from stages.fineweb_quality import FinewebQuality
from stages.gopher_quality import GopherQuality
from stages.gopher_repetition import GopherRepetition
from stages.http_response import HttpResponse
from stages.language_id import LanguageId
from stages.madlad import Madlad
from stages.nemo_quality import NemoQuality
from stages.parse_url import ParseUrl
from stages.pii import Pii
from stages.refinedweb_lines import RefinedwebLines
from stages.repeated_runs import RepeatedRuns
from stages.score import Score
from stages.threshold import Threshold
from stages.unigram_divergence import UnigramDivergence
from stages.url_filter import UrlFilter

STAGES: dict[str, type[Stage]] = {
    "assign_bucket": AssignBucket,
    "bad_words": BadWords,
    "boilerplate": Boilerplate,
    "c4": C4,
    "extract_text": ExtractText,
    "fineweb_quality": FinewebQuality,
    "gopher_quality": GopherQuality,
    "gopher_repetition": GopherRepetition,
    "http_response": HttpResponse,
    "language_id": LanguageId,
    "madlad": Madlad,
    "nemo_quality": NemoQuality,
    "parse_url": ParseUrl,
    "pii": Pii,
    "refinedweb_lines": RefinedwebLines,
    "repeated_runs": RepeatedRuns,
    "score": Score,
    "threshold": Threshold,
    "unigram_divergence": UnigramDivergence,
    "url_filter": UrlFilter,
}
