"""The stages a recipe can use, by name.

Importing them stays cheap: models, extractors and compilers are imported when a stage is built.
"""

from __future__ import annotations

from dataproc.stage import Stage
from stages.assign_bucket import AssignBucket
from stages.extract_text import ExtractText
from stages.gopher_quality import GopherQuality
from stages.http_response import HttpResponse
from stages.language_id import LanguageId
from stages.parse_url import ParseUrl
from stages.pii import Pii
from stages.refinedweb_lines import RefinedwebLines
from stages.score import Score
from stages.threshold import Threshold

STAGES: dict[str, type[Stage]] = {
    "assign_bucket": AssignBucket,
    "extract_text": ExtractText,
    "gopher_quality": GopherQuality,
    "http_response": HttpResponse,
    "language_id": LanguageId,
    "parse_url": ParseUrl,
    "pii": Pii,
    "refinedweb_lines": RefinedwebLines,
    "score": Score,
    "threshold": Threshold,
}
