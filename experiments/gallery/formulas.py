"""Formulas typeset: a line of plain text becomes MathML, which browsers draw without a script.

    out[i] = sum_{a} x[i*s + a] * kernel[a]        floor({n - k}/{s}) + 1        p_low        W^T

`sum`, `max` and `min` take what stands below them, `{above}/{below}` is a fraction, `_` and `^` set
a name or a group low and high.
"""

import re
from html import escape

_TOKEN = re.compile(r"\s*([A-Za-zα-ω]+|\d+(?:\.\d+)?|<=|!=|[^\sA-Za-z\d])")
_BIG = {"sum": "<mo>∑</mo>", "max": "<mi>max</mi>", "min": "<mi>min</mi>", "mean": "<mi>mean</mi>"}
_WORDS = ("max", "min", "mean")  # which would touch what follows
_FENCES = {"floor": ("⌊", "⌋"), "ceil": ("⌈", "⌉"), "abs": ("|", "|")}
_SIGNS = {"*": "·", "-": "−", "<=": "≤", "!=": "≠"}


def mathml(text: str) -> str:
    """The formula as an element on a line of its own."""
    return f'<math display="block"><mrow>{_Parser(text).rows()}</mrow></math>'


class _Parser:
    """Reads tokens one after another."""

    def __init__(self, text: str):
        self._tokens, self._at = _TOKEN.findall(text), 0

    def rows(self, end: str = "") -> str:
        """Everything up to the token `end`, which is taken."""
        parts = []
        while self._at < len(self._tokens):
            if self._peek() == end:
                self._at += 1
                return "".join(parts)
            parts.append(self._item())
        if end:
            raise ValueError(f"no {end!r} in the formula {' '.join(self._tokens)}")
        return "".join(parts)

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _item(self) -> str:
        """An atom with what is set low or high."""
        token = self._peek()
        atom = self._atom()
        while self._peek() in ("_", "^"):
            sign = self._take()
            other = self._atom()
            tag = "msup" if sign == "^" else "munder" if token in _BIG else "msub"
            atom = f"<{tag}>{atom}{other}</{tag}>"
        return atom + '<mspace width="0.2em"></mspace>' if token in _WORDS else atom

    def _atom(self) -> str:
        token = self._take()
        if token == "{":
            row = f"<mrow>{self.rows('}')}</mrow>"
            if self._peek() == "/" and self._tokens[self._at + 1 : self._at + 2] == ["{"]:
                self._at += 2
                return f"<mfrac>{row}<mrow>{self.rows('}')}</mrow></mfrac>"
            return row
        if token in _FENCES and self._peek() == "(":
            self._at += 1
            left, right = _FENCES[token]
            return f"<mrow><mo>{left}</mo>{self.rows(')')}<mo>{right}</mo></mrow>"
        if token == "(":
            return f"<mrow><mo>(</mo>{self.rows(')')}<mo>)</mo></mrow>"
        if token in _BIG:
            return _BIG[token]
        if token[0].isalpha():
            return f"<mi>{token}</mi>"
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        return f"<mo>{escape(_SIGNS.get(token, token))}</mo>"
