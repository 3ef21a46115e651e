r"""Convert LaTeX formulas of docstrings to text: ``\frac{x}{\delta^2}`` is ``x/δ²``."""

from __future__ import annotations

import re
import unicodedata

_WORDS = {
    "sum": "Σ", "prod": "Π", "langle": "⟨", "rangle": "⟩", "lVert": "‖", "rVert": "‖", "|": "‖",
    "le": "≤", "ge": "≥", "ne": "≠", "in": "∈", "cup": "\u222a", "cap": "∩",
    "ldots": "…",
    "cdot": "·", "left": "", "right": "", "Big": "", "textstyle": "", "quad": "  ",
    "qquad": "   ", ",": " ", ";": " ", "{": "{", "}": "}", "#": "#", "varepsilon": "ε",
    "varphi": "φ",
}  # fmt: skip
_OVER = {"bar": "\u0304", "overline": "\u0304", "hat": "\u0302"}
_RAISED = str.maketrans("0123456789+-n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ")
_TOKEN = re.compile(r"\\([a-zA-Z]+|.)|([{}^_])|(\s+)|(.)", re.DOTALL)


def in_text(latex: str) -> str:
    """Return a LaTeX formula as text."""
    tokens = [match.group() for match in _TOKEN.finditer(latex)]
    text = re.sub(r" {2,}", "  ", _joined(tokens, ""))
    text = re.sub(r" *([\u222a≤≥≠∈∩·]) *", r" \1 ", text)
    text = re.sub(r"\b(log|exp|max|min|cosh?|arctan)(_\S+)? +\(", r"\1\2(", text)
    return re.sub(r"\s+([,)\]])", r"\1", text).strip()


def _joined(tokens: list[str], end: str) -> str:
    parts: list[str] = []
    while tokens and tokens[0] != end:
        parts.append(_next(tokens))
    if tokens:
        tokens.pop(0)
    return "".join(parts)


def _group(tokens: list[str]) -> str:
    """Return the argument of a command or superscript: a group in braces or one token."""
    while tokens and tokens[0].isspace():
        tokens.pop(0)
    return _next(tokens).strip() if tokens else ""


def _next(tokens: list[str]) -> str:
    token = tokens.pop(0)
    if token == "{":
        return _joined(tokens, "}")
    if token == "^":
        power = _group(tokens)
        raised = power.translate(_RAISED)
        plain = raised != power and not set(power) - set("0123456789+-n")
        return raised if plain else f"^{_enclosed(power)}"
    if token == "_":
        return f"_{_enclosed(_group(tokens))}"
    if token.isspace():
        return " "
    if not token.startswith("\\"):
        return token
    name = token[1:]
    if name in ("frac", "tfrac"):
        above, below = _group(tokens), _group(tokens)
        return f"{_enclosed(above)}/{_enclosed(below)}"
    if name == "sqrt":
        return f"√{_enclosed(_group(tokens))}"
    if name in _OVER:
        return "".join(one + _OVER[name] for one in _group(tokens))
    if name in ("mathrm", "text", "operatorname"):
        return _group(tokens)
    if name in _WORDS:
        return _WORDS[name]
    size = "CAPITAL" if name[0].isupper() else "SMALL"
    letter = "LAMDA" if name.lower() == "lambda" else name.upper()
    try:
        return unicodedata.lookup(f"GREEK {size} LETTER {letter}")
    except KeyError:
        return f"{name} "  # log, exp, max, ...


def _enclosed(text: str) -> str:
    """Add parentheses unless the text is one word or already enclosed."""
    simple = re.fullmatch(r"[\w\u0300-\u036f²³\u2032…]+|[([{|‖⟨][^()\[\]{}|‖⟨⟩]*[)\]}|‖⟩]|.", text)
    return text if simple else f"({text})"
