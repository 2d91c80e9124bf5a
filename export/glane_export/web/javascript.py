"""Writes the Python of Snowball's generated stemmers as JavaScript, statement by statement.

They use a small part of the language, in which both read alike; whatever is outside of it is
refused. A `try` that only a jump leaves becomes a labelled block.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Sequence
from functools import singledispatch

INFIX: dict[type[ast.AST], str] = {
    **{ast.Eq: "===", ast.NotEq: "!==", ast.Is: "===", ast.Lt: "<", ast.LtE: "<="},
    **{ast.Gt: ">", ast.GtE: ">=", ast.Add: "+", ast.Sub: "-", ast.RShift: ">>"},
    **{ast.Or: "||", ast.And: "&&"},
}

METHOD = "__r_"
"""What the names of a stemmer's own methods begin with."""

GROUP = "g_"
"""What the names of sets of letters begin with; small ones are strings."""

SKIPPED = ("stemWords",)
"""Methods that a search has no use for."""


class NotCarried(ValueError):
    """A part of Python that is not written as JavaScript here."""


def classes(source: str) -> str:
    r"""Return the classes of a module, but those that a stemmer only jumps with.

    Args:
        source: Python; what it imports is to be there under the same names.

    Raises:
        NotCarried: If it uses a part of Python that is not known here.

    >>> source = "class A(B):\n    n = 0\n    def __r_f(self, s):\n        self.n += len(s)"
    >>> print(classes(source))
    export class A extends B {
      n = 0;
      r_f(s) {
        this.n += s.length;
      }
    }
    """
    found = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    written = [_class(node) for node in found if not _is_jump(node)]
    return "\n".join(line for lines in written for line in lines)


def _is_jump(node: ast.ClassDef) -> bool:
    return [ast.unparse(base) for base in node.bases] == ["BaseException"]


def _class(node: ast.ClassDef) -> list[str]:
    base = "".join(f" extends {_expression(base)}" for base in node.bases)
    members = [line for member in node.body for line in _member(member)]
    return [f"export class {node.name}{base} {{", *_indented(members), "}"]


def _member(node: ast.stmt) -> list[str]:
    """Return a member: tables belong to the class, numbers and flags to each stemmer."""
    if isinstance(node, ast.FunctionDef):
        return [] if node.name in SKIPPED else _function(node)
    if isinstance(node, ast.Assign):
        name, value = _expression(node.targets[0]), _expression(node.value)
        if name.startswith(GROUP) and isinstance(node.value, ast.Constant):
            return [f"static {name} = new Set({value});"]
        return [f"{'' if isinstance(node.value, ast.Constant) else 'static '}{name} = {value};"]
    return _statement(node)


def _function(node: ast.FunctionDef) -> list[str]:
    name = "constructor" if node.name == "__init__" else _name(node.name)
    own, *given = [argument.arg for argument in node.args.args]
    if own != "self" or node.args.kwonlyargs or node.args.vararg or node.args.kwarg:
        raise NotCarried(f"the arguments of {node.name}")
    defaults = [f" = {_expression(default)}" for default in node.args.defaults]
    defaults = [""] * (len(given) - len(defaults)) + defaults
    arguments = ", ".join(map("".join, zip(given, defaults, strict=True)))
    stored = (each.id for each in _names(node.body) if isinstance(each.ctx, ast.Store))
    variables = sorted(set(stored) - set(given))
    declared = [f"let {', '.join(variables)};"] if variables else []
    body = _block(node.body)
    return [f"{name}({arguments}) {{", *_indented(declared), *body, "}"]


def _names(body: Sequence[ast.stmt]) -> Iterable[ast.Name]:
    return (each for node in body for each in ast.walk(node) if isinstance(each, ast.Name))


def _block(body: Sequence[ast.stmt]) -> list[str]:
    return _indented([line for node in body for line in _statement(node)])


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _name(name: str) -> str:
    return "this" if name == "self" else name.replace(METHOD, "r_", 1)


@singledispatch
def _statement(node: ast.stmt) -> list[str]:
    raise NotCarried(f"line {node.lineno}: {type(node).__name__}")


@_statement.register
def _(node: ast.Assign) -> list[str]:
    if len(node.targets) != 1:
        raise NotCarried(f"line {node.lineno}: several targets")
    return [f"{_expression(node.targets[0])} = {_expression(node.value)};"]


@_statement.register
def _(node: ast.AugAssign) -> list[str]:
    sign = INFIX[type(node.op)]
    return [f"{_expression(node.target)} {sign}= {_expression(node.value)};"]


@_statement.register
def _(node: ast.Expr) -> list[str]:
    is_docstring = isinstance(node.value, ast.Constant)
    return [] if is_docstring else [f"{_expression(node.value)};"]


@_statement.register
def _(node: ast.If) -> list[str]:
    lines = [f"if ({_expression(node.test)}) {{", *_block(node.body)]
    if node.orelse:
        lines += ["} else {", *_block(node.orelse)]
    return [*lines, "}"]


@_statement.register
def _(node: ast.While) -> list[str]:
    return [f"while ({_expression(node.test)}) {{", *_block(node.body), "}"]


@_statement.register
def _(node: ast.For) -> list[str]:
    return [f"for ({_turns(node)}) {{", *_block(node.body), "}"]


def _turns(node: ast.For) -> str:
    """Return the head of a loop, over numbers or over what is listed."""
    name = _expression(node.target)
    if not (isinstance(node.iter, ast.Call) and ast.unparse(node.iter.func) == "range"):
        return f"{name} of {_expression(node.iter)}"
    first, last, *step = [_expression(argument) for argument in node.iter.args]
    if step == ["-1"]:
        return f"{name} = {first}; {name} > {last}; {name}--"
    if step:
        raise NotCarried(f"line {node.lineno}: steps of {step[0]}")
    return f"{name} = {first}; {name} < {last}; {name}++"


@_statement.register
def _(node: ast.Try) -> list[str]:
    (handler,) = node.handlers
    if node.orelse or node.finalbody or not isinstance(handler.body[0], ast.Pass):
        raise NotCarried(f"line {node.lineno}: a handler that does something")
    assert handler.type is not None, "Snowball names what it catches"
    return [f"{_expression(handler.type)}: {{", *_block(node.body), "}"]


@_statement.register
def _(node: ast.Raise) -> list[str]:
    if not isinstance(node.exc, ast.Call):
        raise NotCarried(f"line {node.lineno}: raise")
    return [f"break {_expression(node.exc.func)};"]


@_statement.register
def _(node: ast.Return) -> list[str]:
    return ["return;" if node.value is None else f"return {_expression(node.value)};"]


@_statement.register(ast.Pass | ast.Assert)
def _(node: ast.stmt) -> list[str]:
    return []


@_statement.register(ast.Break | ast.Continue)
def _(node: ast.stmt) -> list[str]:
    return [f"{type(node).__name__.lower()};"]


@singledispatch
def _expression(node: ast.expr) -> str:
    raise NotCarried(f"line {node.lineno}: {ast.unparse(node)}")


@_expression.register
def _(node: ast.Constant) -> str:
    if node.value is None or isinstance(node.value, bool | int | str):
        return json.dumps(node.value, ensure_ascii=False)
    raise NotCarried(f"line {node.lineno}: {node.value!r}")


@_expression.register
def _(node: ast.Name) -> str:
    if node.id.startswith(METHOD):  # in a table, called for the stemmer that looks there
        return f"(stemmer) => stemmer.{_name(node.id)}()"
    return _name(node.id)


@_expression.register
def _(node: ast.Attribute) -> str:
    return f"{_expression(node.value)}.{_name(node.attr)}"


@_expression.register(ast.List | ast.Tuple)
def _(node: ast.List | ast.Tuple) -> str:
    return f"[{', '.join(map(_expression, node.elts))}]"


@_expression.register
def _(node: ast.Set) -> str:
    return f"new Set([{', '.join(map(_expression, node.elts))}])"


@_expression.register
def _(node: ast.Subscript) -> str:
    value = _expression(node.value)
    if not isinstance(node.slice, ast.Slice):
        return f"{value}[{_expression(node.slice)}]"
    ends = [end for end in (node.slice.lower, node.slice.upper) if end is not None]
    if node.slice.step is not None or node.slice.lower is None:
        raise NotCarried(f"line {node.lineno}: {ast.unparse(node)}")
    return f"{value}.slice({', '.join(map(_expression, ends))})"


@_expression.register
def _(node: ast.Compare) -> str:
    (right,), (sign,) = node.comparators, node.ops
    if isinstance(sign, ast.In | ast.NotIn):
        mark = "!" if isinstance(sign, ast.NotIn) else ""
        return f"{mark}{_expression(right)}.has({_expression(node.left)})"
    return f"({_expression(node.left)} {INFIX[type(sign)]} {_expression(right)})"


@_expression.register
def _(node: ast.BoolOp) -> str:
    return f"({f' {INFIX[type(node.op)]} '.join(map(_expression, node.values))})"


@_expression.register
def _(node: ast.BinOp) -> str:
    return f"({_expression(node.left)} {INFIX[type(node.op)]} {_expression(node.right)})"


@_expression.register
def _(node: ast.UnaryOp) -> str:
    return f"{'!' if isinstance(node.op, ast.Not) else '-'}{_expression(node.operand)}"


@_expression.register
def _(node: ast.Call) -> str:
    arguments = [_expression(argument) for argument in node.args]
    called = ast.unparse(node.func)
    if called == "len":
        return f"{arguments[0]}.length"
    if called == "ord":
        return f"{arguments[0]}.charCodeAt(0)"
    if called == "min":
        return f"Math.min({', '.join(arguments)})"
    if called.endswith((".startswith", ".endswith")):
        return _within(node, arguments)
    make = "new " if called[0].isupper() else ""
    return f"{make}{_expression(node.func)}({', '.join(arguments)})"


def _within(node: ast.Call, arguments: list[str]) -> str:
    """Return whether a stretch of a string begins or ends with another, as Python asks it."""
    assert isinstance(node.func, ast.Attribute), "what is called is a method"
    text, (sought, start, stop) = _expression(node.func.value), arguments
    found = f"startsWith({sought}, {start})"
    if node.func.attr == "endswith":
        found = f"endsWith({sought}, {stop})"
    return f"({start} + {sought}.length <= {stop} && {text}.{found})"
