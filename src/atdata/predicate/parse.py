"""Reading a predicate from text: a tokenizer and a parser by precedence, bounded in every way."""

import math
from collections.abc import Callable
from typing import Any, Never

from atdata._exceptions import PredicateSyntaxError
from atdata.predicate.constants import constant, constants, expression
from atdata.predicate.nodes import (
    CONDITIONS,
    MAX_SIZE,
    Between,
    Computed,
    Condition,
    Constant,
    Contains,
    Expression,
    IsIn,
    IsNan,
    IsNull,
    Matches,
    Name,
    Operator,
    Sign,
    StartsWith,
    TooLargeError,
    Truth,
    all_of,
    any_of,
    compared,
    names,
    negated,
    negative,
)
from atdata.predicate.predicate import Predicate
from atdata.predicate.rows import compute
from atdata.predicate.tokens import Token, tokens

LONGEST = 1 << 20
"""Characters that a text may have."""
_DEEPEST = 200
"""Brackets in brackets, and other things in each other."""

_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN = range(1, 8)
_COMPARISONS: dict[str, Operator] = {
    "=": "==",
    "==": "==",
    "!=": "!=",
    "<>": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
_SIGNS: dict[str, tuple[Sign, int]] = {
    "+": ("+", _SUM),
    "-": ("-", _SUM),
    "*": ("*", _PRODUCT),
    "/": ("/", _PRODUCT),
    "%": ("%", _PRODUCT),
}
_FUNCTIONS = ("contains", "startswith", "matches")
_AFTER = "a comparison, such as > 1, in (...), between, is null, contains"

type _Part = Expression | Condition


def parse(text: str) -> Predicate:
    """Read a predicate from its text form.

    The words are those of SQL: `= == != <> < <= > >=`, `and or not`, `in (...)`, `between ... and
    ...`, `is null`, `is nan`, `contains`, `startswith` and `matches`, in any case. Text stands in
    single quotes, a strange name in double quotes, and both double a quote inside. There are
    `true`, `false`, `timestamp '2024-01-31 12:00:00+00:00'`, `date '...'`, `time '...'`, and
    `duration '90.5'` in seconds.

    Raises:
        PredicateSyntaxError: It cannot be read. The error shows where, and what may stand there.

    Examples:
        >>> parse("score > 0.9 and label in ('cat', 'dog') and not (name is null)")
        (F.score > 0.9) & F.label.isin(['cat', 'dog']) & ~F.name.is_null()
        >>> parse("score > > 1")
        Traceback (most recent call last):
        atdata._exceptions.PredicateSyntaxError: a value is wanted, not '>'
          score > > 1
                  ^
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need not check types
        raise TypeError(f"a predicate is read from text, not from a {type(text).__name__}")
    if len(text) > LONGEST:
        reason = f"a text of {len(text)} characters; {LONGEST} are enough"
        raise PredicateSyntaxError(reason, text[:60], 0)
    try:
        return Predicate(_Parser(text).whole())
    except RecursionError:  # the caller stands deep already
        raise PredicateSyntaxError("this is nested too deep", text, 0) from None


class _Parser:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._token = next(self._tokens)
        self._following = next(self._tokens, self._token)
        self._depth = 0

    def whole(self) -> Condition:
        """The condition that all of the text is."""
        start = self._token
        found = self._condition(self._part(_OR), start)
        if self._token.kind != "end":
            self._fail(f"{_AFTER}, `and` or `or` is wanted, not {self._token.shown}")
        return found

    def _next(self) -> Token:
        token, self._token = self._token, self._following
        self._following = next(self._tokens, self._following)
        return token

    def _took(self, what: str) -> bool:
        """Step over a word or sign, if it is what comes next."""
        if self._token.key != what:
            return False
        self._next()
        return True

    def _need(self, what: str) -> None:
        if not self._took(what):
            self._fail(f"{what!r} is wanted, not {self._token.shown}")

    def _fail(self, reason: str, token: Token | None = None) -> Never:
        raise PredicateSyntaxError(reason, self._text, (token or self._token).at)

    def _made[**P, R](
        self, token: Token, make: Callable[P, R], *args: P.args, **kw: P.kwargs
    ) -> R:
        """What a function makes; what it refuses is shown in the text."""
        try:
            return make(*args, **kw)
        except TooLargeError as error:
            self._fail(str(error), token)
        except (ValueError, TypeError) as error:
            self._fail(str(error), token)

    def _part(self, least: int) -> _Part:
        """Everything that binds at least so tightly."""
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail(f"this is nested more than {_DEEPEST} deep")
        start = self._token
        left = self._first()
        while (binds := self._binding()) >= least:
            left = self._joined(left, binds, start)
        self._depth -= 1
        return left

    def _binding(self) -> int:
        """How tightly what comes next binds what is before it; 0 if it does not."""
        key = self._token.key
        if key in _SIGNS:
            return _SIGNS[key][1]
        if key in _COMPARISONS or key in ("in", "between", "is", *_FUNCTIONS):
            return _COMPARISON
        if key == "not" and self._following.key in ("in", "between", *_FUNCTIONS):
            return _COMPARISON
        return {"and": _AND, "or": _OR, "&": _AND, "|": _OR}.get(key, 0)

    def _joined(self, left: _Part, binds: int, start: Token) -> _Part:
        token = self._token
        if binds in (_AND, _OR):
            conditions = [self._condition(left, start)]
            size = conditions[0].size
            while self._binding() == binds:
                word, begin = self._next(), self._token
                conditions.append(self._condition(self._part(binds + 1), begin))
                size += conditions[-1].size
                if size > MAX_SIZE:
                    self._fail(str(TooLargeError()), word)
            join = all_of if binds == _AND else any_of
            return self._made(token, join, conditions)
        if binds == _COMPARISON:
            found = self._comparison(self._expression(left, start))
            if self._binding() == _COMPARISON:
                self._fail("comparisons have no chains: write a < b and b < c, or between")
            return found
        self._next()
        begin = self._token
        right = self._expression(self._part(binds + 1), begin)
        sign = _SIGNS[token.key][0]
        one = self._expression(left, start)
        if isinstance(one, Constant) and isinstance(right, Constant):
            return self._made(token, constant, compute(sign, one.value, right.value))
        return self._made(token, Computed, sign, one, right)

    def _first(self) -> _Part:
        token = self._next()
        match token.kind:
            case "name":
                return Name(token.value)
            case "value":
                return self._made(token, constant, token.value)
            case "word" if token.key == "not":
                begin = self._token
                return self._made(token, negated, self._condition(self._part(_NOT), begin))
            case "word" if token.key in _FUNCTIONS and self._token.key == "(":
                return self._function(token)
            case "word":
                return self._word(token)
            case _ if token.key == "(":
                inner = self._part(_OR)
                self._need(")")
                return inner
            case _ if token.key == "[":
                return self._made(token, constant, self._values("]"))
            case _ if token.key in ("-", "+"):
                begin = self._token
                operand = self._expression(self._part(_SIGN), begin)
                return self._made(token, negative, operand) if token.key == "-" else operand
            case _ if token.key == "~":
                begin = self._token
                return self._made(token, negated, self._condition(self._part(_SIGN), begin))
            case _:
                return self._fail(f"a value is wanted, not {token.shown}", token)

    def _word(self, token: Token) -> Constant:
        if token.key in ("true", "false"):
            return Constant(token.key == "true")
        if token.key in ("inf", "infinity"):
            return Constant(math.inf)
        if token.key == "nan":
            self._fail("NaN is equal to nothing: write x is nan, or not x is nan", token)
        if token.key in ("null", "none"):
            self._fail("null is equal to nothing: write x is null, or x is not null", token)
        return self._fail(
            f'a value is wanted; a field of this name is written "{token.key}"', token
        )

    def _comparison(self, left: Expression) -> Condition:
        token = self._next()
        if token.key == "not":
            return self._made(token, negated, self._comparison(left))
        if token.key == "is":
            negate = self._took("not")
            if not (found := self._is(left)):
                self._fail(f"null or nan is wanted, not {self._token.shown}")
            return negated(found) if negate else found
        if token.key == "in":
            end = "]" if self._took("[") else ")"
            if end == ")":
                self._need("(")
            values = self._made(token, constants, self._values(end))
            return self._made(token, IsIn, left, values)
        if token.key == "between":
            low = self._sum()
            self._need("and")
            return self._made(token, Between, left, low, self._sum())
        if token.key in _FUNCTIONS:
            return self._asked(token, left, self._sum())
        return self._made(token, self._ordered, token, left, self._sum())

    def _ordered(self, token: Token, left: Expression, right: Expression) -> Condition:
        if isinstance(left, Constant) and isinstance(right, Constant):
            raise TypeError("both sides are values, and one must be a field")
        return compared(_COMPARISONS[token.key], left, right)

    def _is(self, left: Expression) -> Condition | None:
        if self._took("null") or self._took("none"):
            return IsNull(left)
        return IsNan(left) if self._took("nan") else None

    def _asked(self, token: Token, operand: Expression, argument: Expression) -> Condition:
        if token.key == "contains":
            return self._made(token, Contains, operand, argument)
        if not isinstance(argument, Constant) or not isinstance(argument.value, str):
            self._fail(f"{token.key} takes text in single quotes", token)
        if token.key == "startswith":
            return self._made(token, StartsWith, operand, argument.value)
        return self._made(token, Matches, operand, self._made(token, expression, argument.value))

    def _function(self, token: Token) -> Condition:
        self._need("(")
        operand = self._sum()
        self._need(",")
        found = self._asked(token, operand, self._sum())
        self._need(")")
        return found

    def _sum(self) -> Expression:
        begin = self._token
        return self._expression(self._part(_SUM), begin)

    def _values(self, end: str) -> list[Any]:
        """The constants up to a closing bracket, with commas between them."""
        found: list[Any] = []
        while not self._took(end):
            if found:
                self._need(",")
            if self._took("null") or self._took("none"):
                found.append(None)
                continue
            token = self._token
            one = self._sum()
            if not isinstance(one, Constant):
                self._fail("values are wanted here, and this is no value", token)
            found.append(one.value)
        return found

    def _expression(self, part: _Part, token: Token) -> Expression:
        if isinstance(part, CONDITIONS):
            self._fail("a value or field is wanted, and this is a condition", token)
        return part

    def _condition(self, part: _Part, token: Token) -> Condition:
        """A part as a condition: one, or a bool field by itself."""
        if isinstance(part, CONDITIONS):
            if next(names(part), None) is None:
                self._fail("a condition without a field", token)
            return part
        if isinstance(part, Constant):
            self._fail(f"a condition is wanted, and {part.value!r} is a value", token)
        return self._made(token, Truth, part)
