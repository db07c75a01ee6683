"""Make compiled code lighter to load and to run than numba makes it by itself.

Both functions reach into numba, whose version is locked; where a name has changed they change nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def count_without_locks() -> None:
    """Count references without locking the memory bus: the loop runs on one thread, under the interpreter's lock.

    To be called before anything is compiled or loaded.
    """
    ir: Any = import_module("llvmlite.ir")
    runtime: Any = import_module("numba.core.runtime.nrtdynmod")
    word: Any = runtime._word_type

    def define(module: Any, op: str, ordering: str) -> Any:
        """Define the function that adds ("add") or subtracts ("sub") one and gives the new count."""
        del ordering
        counted = ir.Function(module, ir.FunctionType(word, [word.as_pointer()]), name=f"nrt_atomic_{op}")
        builder = ir.IRBuilder(counted.append_basic_block())
        count = getattr(builder, op)(builder.load(counted.args[0]), ir.Constant(word, 1))
        builder.store(count, counted.args[0])
        builder.ret(count)
        return counted

    runtime._define_atomic_inc_dec = define


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
