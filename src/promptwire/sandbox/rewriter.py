"""The rewriting of a checked template, so that all it does goes through the hooks."""

from collections.abc import Callable, Iterator

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from promptwire.sandbox.data import Data, words
from promptwire.templates import Path

_GUARDS = words("d default defined undefined")


def _hook(name: str, node: Data, *args: Data) -> nodes.Filter:
    wrapped = [arg if isinstance(arg, nodes.Node) else nodes.Const(arg) for arg in args]
    return nodes.Filter(node, "$" + name, wrapped, [], None, None, lineno=node.lineno)


def _path(node: nodes.Node) -> str:
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            return f"{_path(node.node)}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=str(key))):
            return f"{_path(node.node)}.{key}"
        case nodes.Getitem():
            return f"{_path(node.node)}[{node.arg.value if isinstance(node.arg, nodes.Const) else '...'}]"
        case _:
            return "(...)"


def spelled_names(tree: nodes.Node) -> frozenset[str]:
    """The names and paths that stand in a template, so that a message may hold them."""
    paths = [_path(node) for node in tree.find_all((nodes.Name, nodes.Getattr, nodes.Getitem))]
    texts = [node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)]
    return frozenset(paths).union(*(text.split(".") for text in texts))


def settled_names(tree: nodes.Node) -> frozenset[str]:
    """The names that a template assigns, or doesn't insist on."""
    guarded = [node.node for node in tree.find_all((nodes.Filter, nodes.Test)) if node.name in _GUARDS]
    assigned = [node for node in tree.find_all(nodes.Name) if node.ctx != "load"]
    macros = [node.name for node in tree.find_all(nodes.Macro)]
    return frozenset([*macros, *(node.name for node in (*guarded, *assigned) if isinstance(node, nodes.Name))])


def read_paths(tree: nodes.Node) -> tuple[Path, ...]:
    """What a template reads, as its text tells: ``("user", "name")``; ``("user",)`` may read all of it."""
    return tuple(dict.fromkeys(_read_paths(tree)))


def _read_paths(node: nodes.Node) -> Iterator[Path]:
    path = _keys(node)
    if path is not None:
        yield path
        return
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):  # a method's name is no key
        yield from _read_paths(node.node.node)
        children = node.iter_child_nodes(exclude=("node",))
    else:
        children = node.iter_child_nodes()
    for child in children:
        yield from _read_paths(child)


def _keys(node: nodes.Node) -> Path | None:
    match node:
        case nodes.Name(ctx="load"):
            return (node.name,)
        case nodes.Getattr(attr=key) | nodes.Getitem(arg=nodes.Const(value=str(key))):
            above = _keys(node.node)
            return None if above is None else (*above, key)
        case _:
            return None


class Rewriter(NodeTransformer):
    """Puts the hooks in."""

    def get_visitor(self, node: nodes.Node) -> Callable[..., nodes.Node] | None:
        visitor: Callable[..., nodes.Node] | None = getattr(self, f"rewrite_{type(node).__name__.lower()}", None)
        return visitor

    def rewrite_templatedata(self, node: nodes.TemplateData) -> nodes.Node:
        # As an expression it is charged wherever it is written, in a macro's buffer too.
        return nodes.Const(node.data, lineno=node.lineno)

    def rewrite_getattr(self, node: nodes.Getattr) -> nodes.Node:
        path = _path(node)
        self.generic_visit(node)
        return _hook("get", node.node, node.attr, path)

    def rewrite_getitem(self, node: nodes.Getitem) -> nodes.Node:
        path = _path(node)
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            return _hook("slice", node.node, node.arg.start, node.arg.stop, node.arg.step)
        return _hook("get", node.node, node.arg, path)

    def rewrite_call(self, node: nodes.Call) -> nodes.Node:
        if isinstance(node.node, nodes.Getattr):
            node.node = _hook("method", node.node.node, node.node.attr)
        return self.generic_visit(node)

    def rewrite_compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        return _hook("compare", node.expr, *(part for operand in node.ops for part in (operand.op, operand.expr)))

    def rewrite_concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _hook("concat", *node.nodes)

    def rewrite_list(self, node: nodes.List | nodes.Tuple | nodes.Dict) -> nodes.Node:
        self.generic_visit(node)
        return node if isinstance(node, nodes.Tuple) and node.ctx != "load" else _hook("literal", node)

    def rewrite_pair(self, node: nodes.Pair) -> nodes.Node:
        self.generic_visit(node)
        node.key = _hook("key", node.key)
        return node

    def rewrite_for(self, node: nodes.For) -> nodes.Node:
        self.rewrite_macro(node)
        node.iter = _hook("loop", node.iter)
        if node.test is not None:
            node.test = _hook("used", node.test)
        return node

    def rewrite_macro(self, node: nodes.For | nodes.Macro | nodes.CallBlock) -> nodes.Node:
        # What no hook sees, plain names and literals, is paid for by the dozen each time the body runs.
        weight = 1 + (sum(1 for _ in node.find_all(nodes.Node)) >> 5)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_hook("enter", nodes.Const(weight)), lineno=node.lineno))
        return node

    def rewrite_if(self, node: nodes.Node) -> nodes.Node:
        self.generic_visit(node)
        tested = node.fields[0]
        setattr(node, tested, _hook("used", getattr(node, tested)))
        return node

    rewrite_dict = rewrite_tuple = rewrite_list
    rewrite_callblock = rewrite_macro
    rewrite_condexpr = rewrite_and = rewrite_or = rewrite_not = rewrite_if
