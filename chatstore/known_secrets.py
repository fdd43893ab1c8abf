"""`redact_secrets`: what is known by its form, or by the name that stands before it."""

from __future__ import annotations

from typing import Final

from chatstore.redaction import Finder, Redactor

_NAMES = (
    "(?=[PSCARIMpscarim])(?i:pass(?:wor[dt]|wd|phrase|code)|mot de passe|secret|credentials?"
    "|(?:api|access|private|account)[_-]?key|(?:access|auth|refresh|session|id)[_-]?token)"
)
_IS = r"[ \t\u00a0\u202f]{0,8}(?:=>|[:=])\*{0,2}[ \t]{0,8}"
_QUOTE = r"\\{0,4}[\"']"
_PLAIN = r"[^\s\"'\\,;&<>]"
# A comma goes on where no other name and value follow it, as they do in a list of options.
_WITH_COMMAS = rf"(?:{_PLAIN}|,(?=(?![\w.-]{{1,64}}[:=]){_PLAIN}))"
_MORE = rf"{_PLAIN}(?:{_PLAIN}|,){{0,4223}}"
"""What may become a value with commas: as long as one and what is looked at behind it."""
_WORD, _START = "[A-Za-z0-9_-]", "(?<![A-Za-z0-9_-])"
_NO_VALUE = (
    r"[-<$(\[{%*|>]|(?i:option|flag|arg|param|switch|value|prompt|is|and|or|to|for|with|in|if|on|from|as|can|will|must|should"
    r"|was|are|be|has|at|by|which|that|when|instead|here)\w*\b"
)
_PEM = r"(?:[A-Za-z0-9+/=\s\\:,]|-(?!-))"
_JWT = (f"{_WORD}{{7,4096}}", f"{_WORD}{{1,4096}}")
_USER = r"[^\s/?#\"'<>]"


def _finder(before: str, secret: str, begun: str, after: str = "") -> Finder:
    return Finder(f"{before}({secret}){after}", f"{before}({begun})\\Z")


def _any_of(before: str, *kinds: tuple[str, str, str]) -> Finder:
    """One search for several: what stands before the secret, the secret, and what is begun of it."""
    find = "|".join(f"{own}({secret})" for own, secret, _ in kinds)
    return Finder(f"{before}(?:{find})", rf"{before}(?:{'|'.join(f'{own}({begun})' for own, _, begun in kinds)})\Z")


def _named(double: str, single: str, escaped: str, plain: str, below: str, within: str, end: str = "") -> str:
    """A name, an equals sign or colon, and a value: in quotes, in quotes that are escaped, or a word; or on a line of
    its own below the name; or within an element of the name."""
    quoted = rf"(?:{_QUOTE})?{_IS}(?:\"({double})|'({single})|\\{{1,4}}[\"']({escaped}))"
    elsewhere = rf":[ \t]{{0,8}}\r?\n[ \t]{{1,16}}{below}|>{within}"
    return rf"{_NAMES}(?:\*{{0,2}}(?:{quoted}|{_IS}({plain}))|{elsewhere}){end}"


_SECRETS = (
    Finder(
        _named(
            r'(?:[^"\\\n]|\\.){1,4096}',
            r"(?:[^'\\\n]|\\.){1,4096}",
            r"[^\"'\\\n]{1,4096}",
            rf"(?!\*|\[redacted\]|(?:str|None|null|true|false)\b)(?={_PLAIN}){_WITH_COMMAS}{{0,4095}}(?![)\]}}]){_PLAIN}",
            # With a digit, for what stands there in code and in schemas has none.
            rf"((?=[^\s\d]{{0,255}}\d){_PLAIN}{{1,256}}(?<!:))(?=[ \t]{{0,8}}(?:\r?\n|\Z))",
            r"([^<>\n]{1,1024})(?=</)",
        ),
        _named(
            r'(?:[^"\\\n]|\\.){0,4096}\\?',
            r"(?:[^'\\\n]|\\.){0,4096}\\?",
            r"[^\"'\\\n]{1,4096}",
            _MORE,
            rf"({_PLAIN}{{1,256}}[ \t]{{0,8}}\r?)",
            r"([^<>\n]{1,1024}<?)",
            end=r"\Z",
        ),
    ),
    _any_of(
        rf"--{_WORD}{{0,32}}?{_NAMES}[ \t]{{1,8}}",
        ('"', r"[^\"\n]{1,4096}", r"[^\"\n]{1,4096}"),
        ("'", r"[^'\n]{1,4096}", r"[^'\n]{1,4096}"),
        ("", rf"(?!{_NO_VALUE}){_PLAIN}{{0,4095}}(?![)\]}}.:?!`]){_PLAIN}", f"{_PLAIN}{{1,4096}}"),
    ),
    _finder(
        r"(?i:authorization)(?:\\{0,4}[\"'])?[ \t]{0,8}[:=][ \t]{0,8}(?:\\{0,4}[\"'])?"
        r"(?i:bearer|basic|token|apikey)[ \t]{1,8}",
        f"{_PLAIN}{{1,4096}}",
        f"{_PLAIN}{{1,4096}}",
    ),
    _finder(r"(?i:bearer)[ \t]{1,8}", r"[\w.~+/=-]{20,4096}", r"[\w.~+/=-]{1,4096}"),
    _any_of(
        _START,
        # A digit or capital, for names in lower case with hyphens are no keys.
        ("sk-", f"(?={_WORD}{{0,4095}}[A-Z0-9]){_WORD}{{20,4096}}", f"{_WORD}{{1,4096}}"),
        (r"(?:gh[a-z]_|github_pat_|glpat-|AIza|ya29\.)", f"{_WORD}{{20,4096}}", f"{_WORD}{{1,4096}}"),
        ("x(?:ox[a-z]|app)-", f"{_WORD}{{10,4096}}", f"{_WORD}{{1,4096}}"),
        ("[sr]k_(?:live|test)_", "[A-Za-z0-9]{16,4096}", "[A-Za-z0-9]{1,4096}"),
        ("hf_", "[A-Za-z0-9]{30,4096}", "[A-Za-z0-9]{1,4096}"),
        ("eyJ", rf"{_JWT[0]}(?:\.{_JWT[0]}){{2}}", rf"{_JWT[1]}(?:\.{_JWT[1]}){{0,2}}\.?"),
    ),
    _finder("(?<![A-Za-z0-9])(?:AKIA|ASIA)", "[A-Z0-9]{16}", "[A-Z0-9]{1,16}", "(?![A-Za-z0-9])"),
    _finder("-----BEGIN [A-Z ]{0,32}PRIVATE KEY(?: BLOCK)?-----", f"{_PEM}{{16,16384}}", f"{_PEM}{{1,16384}}"),
    _finder("://", rf"{_USER}{{0,1023}}:{_USER}{{1,1024}}", f"{_USER}{{1,2048}}", "@"),
)

redact_secrets: Final = Redactor([])._with(_SECRETS, f"{_NAMES}|(?i:authorization)")
"""Replaces API keys (OpenAI, Anthropic, AWS, GitHub, GitLab, Slack, Stripe, Hugging Face, Google), JSON Web Tokens,
private keys in PEM, passwords and such after their names (also `--password …` and `<password>…</password>`),
`Authorization:` headers, and users with passwords in URLs, of up to 4,096 characters (PEM:
16,384; URLs: 1,024). It goes by their form: it can miss a secret, and hide what is none."""
