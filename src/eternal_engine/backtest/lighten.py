"""Make compiled code lighter to load and to run than numba makes it by itself.

All of it reaches into numba, whose version is locked: where a name has changed, compiling ends with its error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

# The library that everything compiled is linked into, by its function's name.
WHOLE: Final = "entry"
COUNTING: Final = ("NRT_incref", "NRT_decref")


@contextmanager
def lean_code() -> Iterator[None]:
    """Compile without what a loop of ours never needs: negative indices, and counting references by calls.

    Indices are taken as they are: no compiled function may count from an array's end (a test runs the loop on arrays
    that refuse it). References are counted in place, without locks: the loop has one thread, under the interpreter's
    lock, and what is lent has no count, which the compiler then sees. Both made a third of all instructions.
    """
    arrays: Any = import_module("numba.np.arrayobj")
    library: Any = import_module("numba.core.codegen").CPUCodeLibrary
    types: Any = import_module("numba.types")
    binding: Any = import_module("llvmlite.binding")
    as_python, optimize = arrays.fix_integer_index, library._optimize_final_module

    def as_it_is(context: Any, builder: Any, kind: Any, index: Any, size: Any) -> Any:
        del size
        return context.cast(builder, index, kind, types.intp if kind.signed else types.uintp)

    def optimize_counts(self: Any) -> None:
        optimize(self)
        if self.name == WHOLE:
            module = self._final_module
            module.link_in(binding.parse_assembly(counting_text()))
            for name in COUNTING:
                module.get_function(name).linkage = "internal"
            passes, builder = self._codegen._module_pass_manager()
            passes.run(module, builder)

    arrays.fix_integer_index, library._optimize_final_module = as_it_is, optimize_counts
    try:
        yield
    finally:
        arrays.fix_integer_index, library._optimize_final_module = as_python, optimize


def counting_text() -> str:
    """Give the functions that count a reference and drop it, to stand in the place of their calls."""
    ir: Any = import_module("llvmlite.ir")
    word, pointer = ir.IntType(64), ir.PointerType(ir.IntType(8))
    kind = ir.FunctionType(ir.VoidType(), [pointer])
    module = ir.Module("counting")
    destroy = ir.Function(module, kind, name="NRT_MemInfo_call_dtor")
    for name, change in zip(COUNTING, (1, -1), strict=True):
        function = ir.Function(module, kind, name=name)
        function.attributes.add("alwaysinline")
        begin, count, done = (function.append_basic_block() for _ in range(3))
        builder = ir.IRBuilder(begin)
        builder.cbranch(builder.icmp_unsigned("==", function.args[0], ir.Constant(pointer, None)), done, count)
        builder.position_at_end(count)
        place = builder.bitcast(function.args[0], word.as_pointer())
        left = builder.add(builder.load(place), ir.Constant(word, change))
        builder.store(left, place)
        if change > 0:
            builder.branch(done)
        else:
            last = function.append_basic_block()
            builder.cbranch(builder.icmp_unsigned("==", left, ir.Constant(word, 0)), last, done).set_weights([1, 9])
            builder.position_at_end(last)
            builder.call(destroy, [function.args[0]])
            builder.branch(done)
        builder.position_at_end(done)
        builder.ret_void()
    return str(module)


def lightened(result: Any) -> Any:
    """Keep the bitcode of a compiled function out of the cache: megabytes that only other functions could inline.

    Loading looks up two names in it; a stub defines them.
    """
    library, described = result.library, result.fndesc
    whole = library.serialize_using_object_code
    names = (described.llvm_func_name, described.llvm_cpython_wrapper_name)

    def serialize() -> tuple[str, str, tuple[bytes, bytes]]:
        name, kind, (code, _) = whole()
        llvm: Any = import_module("llvmlite.binding")
        stub = llvm.parse_assembly("\n".join(f'define void @"{name}"() {{ ret void }}' for name in names))
        return name, kind, (code, stub.as_bitcode())

    library.serialize_using_object_code = serialize
    return result
