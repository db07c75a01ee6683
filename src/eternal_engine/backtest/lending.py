"""Teach the compiler to pass large tuples by reference; the functions that it compiles do not know.

Spreading all fields of parameters, books and states over every call makes compiling take minutes and every hour slow,
and so does counting references. A tuple that is read, or whose arrays are changed in place, is lent: a pointer into
the caller's frame, without any counting. A tuple that is renewed by `_replace` becomes a counted structure.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def lend(values: Any) -> Any:
    """Give the pointer to a tuple that outlives the call; plain code, which needs none, gets the tuple."""
    return values


def refer(values: Any) -> Any:
    """Give the counted structure of a tuple that is renewed; plain code gets the tuple."""
    return values


def spread(values: Any) -> Any:
    """Give the plain tuple of a counted structure, to hand it back to Python or to renew it often without memory."""
    return values


def compiled_text(lines: list[str], scope: dict[str, Any]) -> Any:
    """Make a function from lines of our own field names only."""
    exec("\n".join(lines), scope)  # noqa: S102  # nosec B102
    return scope["impl"]


def teach_lending(kinds: tuple[type, ...]) -> None:
    """Teach the compiler to lend tuples of these kinds."""
    constant: Any = import_module("llvmlite.ir").Constant
    cgutils: Any = import_module("numba.core.cgutils")
    models: Any = import_module("numba.core.datamodel.models")
    templates: Any = import_module("numba.core.typing.templates")
    extending: Any = import_module("numba.extending")
    types: Any = import_module("numba.types")

    class Lent(types.Type):  # type: ignore[misc]
        """Name the pointer to a tuple."""

        def __init__(self, of: Any) -> None:
            self.of = of
            super().__init__(name=f"Lent({of})")

    def lendable(seen: Any) -> bool:
        return isinstance(seen, types.BaseNamedTuple) and seen.instance_class in kinds

    @extending.register_model(Lent)
    class LentModel(models.PrimitiveModel):  # type: ignore[misc]
        def __init__(self, manager: Any, lent: Any) -> None:
            super().__init__(manager, lent, manager.lookup(lent.of).get_value_type().as_pointer())

    @extending.infer_getattr
    class LentAttributes(templates.AttributeTemplate):  # type: ignore[misc]
        key = Lent

        def generic_resolve(self, lent: Any, name: str) -> Any:
            if name not in lent.of.fields:
                return None
            field = lent.of.types[lent.of.fields.index(name)]
            return Lent(field) if lendable(field) else field

    def lent_field(context: Any, builder: Any, lent: Any, pointer: Any, name: str) -> Any:
        index = lent.of.fields.index(name)
        field = lent.of.types[index]
        place = cgutils.gep_inbounds(builder, pointer, 0, index)
        if lendable(field):
            return place
        value = builder.load(place)
        if not isinstance(field, types.Array):
            return value
        # An array without its owner: the caller keeps it alive, and nothing is counted.
        seen = context.make_array(field)(context, builder, value)
        seen.meminfo = constant(seen.meminfo.type, None)
        seen.parent = constant(seen.parent.type, None)
        return seen._getvalue()

    extending.lower_getattr_generic(Lent)(lent_field)

    def type_of_lent(_context: Any) -> Any:
        def of(values: Any) -> Any:
            return Lent(values) if lendable(values) else None

        return of

    # Not a function of its own: the pointer is into the frame of the caller.
    def lent(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return cgutils.alloca_once_value(builder, arguments[0])

    extending.type_callable(lend)(type_of_lent)
    extending.lower_builtin(lend, types.BaseNamedTuple)(lent)


def teach_renewal(kinds: tuple[type, ...]) -> None:
    """Teach the compiler counted structures for tuples of these kinds: `refer`, `spread` and their `_replace`."""
    structref: Any = import_module("numba.experimental.structref")
    types: Any = import_module("numba.types")

    twins: dict[type, Any] = {}
    for kind in kinds:
        twin = structref.register(type(f"{kind.__name__}Reference", (types.StructRef,), {}))
        structref.define_attributes(twin)
        twins[kind] = twin
    _teach_references(twins)
    _teach_replace(twins)


def _teach_references(twins: dict[type, Any]) -> None:
    structref: Any = import_module("numba.experimental.structref")
    extending: Any = import_module("numba.extending")
    types: Any = import_module("numba.types")

    kinds = {twin: kind for kind, twin in twins.items()}

    def is_renewed(seen: Any) -> bool:
        return isinstance(seen, types.BaseNamedTuple) and seen.instance_class in twins

    def twin_of(seen: Any) -> Any:
        if not is_renewed(seen):
            return seen
        fields = zip(seen.fields, seen.types, strict=True)
        return twins[seen.instance_class]([(name, twin_of(kind)) for name, kind in fields])

    def refer_compiled(values: Any) -> Any:
        lines = ["def impl(values):", "    out = new(twin)"]
        for name, kind in zip(values.fields, values.types, strict=True):
            lines.append(f"    out.{name} = {f'refer(values.{name})' if is_renewed(kind) else f'values.{name}'}")
        return compiled_text(
            [*lines, "    return out"], {"new": structref.new, "twin": twin_of(values), "refer": refer}
        )

    def spread_compiled(values: Any) -> Any:
        parts = [
            f"spread(values.{name})" if type(seen) in kinds else f"values.{name}"
            for name, seen in values.field_dict.items()
        ]
        lines = ["def impl(values):", f"    return kind({', '.join(parts)})"]
        return compiled_text(lines, {"kind": kinds[type(values)], "spread": spread})

    # The compiler compares the signatures to the letter, annotations included.
    for taught, function in ((refer, refer_compiled), (spread, spread_compiled)):
        function.__annotations__ = {}
        extending.overload(taught)(function)


def _teach_replace(twins: dict[type, Any]) -> None:
    structref: Any = import_module("numba.experimental.structref")
    extending: Any = import_module("numba.extending")
    types: Any = import_module("numba.types")

    absent = (types.Omitted, types.NoneType)

    def build(self: Any, seen: dict[str, Any], names: tuple[str, ...], text: str) -> Any:
        given = {n for n in names if seen[n] is not None and not isinstance(seen[n], absent)}
        lines = [f"def impl(self, {text}):", "    out = new(twin)"]
        lines += [f"    out.{name} = {name if name in given else f'self.{name}'}" for name in names]
        return compiled_text([*lines, "    return out"], {"new": structref.new, "twin": self})

    for kind, twin in twins.items():
        fields: tuple[str, ...] = getattr(kind, "_fields")  # noqa: B009 (a named tuple's, unknown to the types)
        signature = ", ".join(f"{name}=None" for name in fields)
        scope: dict[str, Any] = {"build": build, "names": fields, "text": signature}
        lines = [f"def impl(self, {signature}):", "    return build(self, locals(), names, text)"]
        extending.overload_method(twin, "_replace")(compiled_text(lines, scope))


def teach_value(kind: type) -> None:
    """Teach the compiler `_replace` for plain tuples of a kind; it can know one such method, so for one kind only."""
    extending: Any = import_module("numba.extending")
    types: Any = import_module("numba.types")

    absent = (types.Omitted, types.NoneType)
    fields: tuple[str, ...] = getattr(kind, "_fields")  # noqa: B009 (a named tuple's, unknown to the types)
    signature = ", ".join(f"{name}=None" for name in fields)

    def build(self: Any, seen: dict[str, Any]) -> Any:
        if self.instance_class is not kind:
            return None
        given = {n for n in fields if seen[n] is not None and not isinstance(seen[n], absent)}
        parts = ", ".join(name if name in given else f"self.{name}" for name in fields)
        return compiled_text([f"def impl(self, {signature}):", f"    return kind({parts})"], {"kind": kind})

    lines = [f"def impl(self, {signature}):", "    return build(self, locals())"]
    extending.overload_method(types.NamedTuple, "_replace")(compiled_text(lines, {"build": build}))
