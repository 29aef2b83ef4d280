"""Keys and secrets in text, by the formats that their issuers publish; each begins or ends with a mark of its own.

Passwords and keys without such a mark (a line `password = ...`) are not looked for: on web pages those are examples and
forms. A token of few different characters (`ghp_xxxx...`) or that calls itself an EXAMPLE is a placeholder and stays.
Formats: pages of the issuers, named at each; most are also those of GitHub's secret scanning
(https://docs.github.com/code-security/secret-scanning/introduction/supported-secret-scanning-patterns).
"""

from __future__ import annotations

import re

_TOKENS = (
    "(?:AKIA|ASIA)[A-Z2-7]{16}",  # AWS access key ids
    "gh[pousr]_[A-Za-z0-9]{36}",  # GitHub: personal, OAuth, user, server, refresh
    "github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
    "glpat-[A-Za-z0-9_-]{20}",  # GitLab
    "xox[abeoprs]-[0-9]{9,13}-[A-Za-z0-9-]{10,100}",  # Slack
    "(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{24,247}",  # Stripe's secret and restricted keys; publishable ones are public
    "AIza[A-Za-z0-9_-]{35}",  # Google API
    "GOCSPX-[A-Za-z0-9_-]{28}",  # Google OAuth client
    "npm_[A-Za-z0-9]{36}",
    "pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,400}",
    "hf_[A-Za-z]{34}",  # Hugging Face
    "sk-(?:(?:proj|svcacct|admin)-)?[A-Za-z0-9_-]{20,80}T3BlbkFJ[A-Za-z0-9_-]{20,80}",  # OpenAI
    "sk-ant-[a-z]{3,6}[0-9]{2}-[A-Za-z0-9_-]{80,120}",  # Anthropic
    r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",  # SendGrid
    "[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",  # Telegram bots
    "dop_v1_[0-9a-f]{64}",  # DigitalOcean
    r"eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,8000}\.[A-Za-z0-9_-]{20,1500}",  # JSON Web Token, RFC 7519, signed
)
# A secret behind its name, or in an address.
_NAMED = (
    r"(?i:aws_?secret_?access_?key)[\"']?[ \t]{0,4}[:=]{1,2}[ \t]{0,4}[\"']?"
    "(?P<aws>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    "hooks\\.slack\\.com/services/(?P<slack>T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{24})(?![A-Za-z0-9])",
    "AccountKey=(?P<azure>[A-Za-z0-9+/]{86}==)",
)
# RFC 7468 and OpenPGP (RFC 9580): the text between hyphens, headers and all; one without an end is cut text, not a key.
_BLOCK = (
    "-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    "(?:[^-]|-(?!----)){64,20000}+-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
)

SECRET_HINT = (
    r"A[KS]IA[A-Z2-7]|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|[sr]k_(?:live|test)_|AIza|GOCSPX-|npm_[A-Za-z0-9]{9}"
    r"|pypi-AgE|hf_[A-Za-z]{9}|T3BlbkFJ|sk-ant-|SG\.[A-Za-z0-9_-]{22}|:AA[A-Za-z0-9_-]{33}|dop_v1_|\.eyJ|(?i:secret_?access_?key)"
    "|hooks\\.slack\\.com|AccountKey=|PRIVATE KEY"
)
SECRET = re.compile(
    rf"(?<![A-Za-z0-9_-])(?:{'|'.join(_TOKENS)})(?![A-Za-z0-9_-])|{'|'.join(_NAMED)}|{_BLOCK}",
    re.ASCII,
)

_LEAST_DIFFERENT = 10


def is_secret(found: str) -> bool:
    """Say whether a match is more than a placeholder.

    Example: not so "ghp_" and 36 times x, nor AWS's own "AKIAIOSFODNN7EXAMPLE".
    """
    return len(set(found)) >= _LEAST_DIFFERENT and "EXAMPLE" not in found
