"""Jinja for templates that somebody else may edit: bounded in time, memory and reach by construction.

Templates are parsed by jinja2, checked against lists of what is allowed, and rewritten so that every lookup, loop,
operator, comparison, filter, test, call and piece of output goes through a hook that sees the render's own budget.
Hooks are filters whose names start with ``$``, which a template can't spell. They take the context, so jinja2
folds nothing at compile time. Values are JSON-like copies: there is no Python object to walk from.
"""

from promptwire.sandbox.template import JinjaTemplate

__all__ = ["JinjaTemplate"]
