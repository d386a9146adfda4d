"""What Numba has no word for: asking for memory that will be read soon, and sets of bits."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

BLOCK = 64
"""Elements that ``nonzero`` looks at."""


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = make_array(signature.args[0])(context, builder, args[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        place = builder.bitcast(builder.gep(data, [args[1]]), byte)
        # To read, to keep in all caches, data.
        builder.call(function, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, index), generate


def _nonzero(typing_context: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = make_array(signature.args[0])(context, builder, args[0]).data
        element = context.get_data_type(signature.args[0].dtype)
        block = ir.VectorType(element, BLOCK)
        place = builder.bitcast(builder.gep(data, [args[1]]), block.as_pointer())
        values = builder.load(place, align=signature.args[0].dtype.bitwidth // 8)
        some = builder.icmp_signed("!=", values, ir.Constant(block, None))
        return builder.bitcast(some, ir.IntType(BLOCK))

    return types.uint64(array, index), generate


def _lowest(typing_context: Any, bits: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return builder.cttz(args[0], context.get_constant(types.boolean, False))

    return types.int64(types.uint64), generate


def _ones(typing_context: Any, bits: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return builder.ctpop(args[0])

    return types.int64(types.uint64), generate


prefetch: Any = intrinsic(_prefetch)
"""``prefetch(array, i)``: the line of cache with element i, counted in memory order. Outside the
array it does nothing."""

nonzero: Any = intrinsic(_nonzero)
"""``nonzero(array, i)``: a bit for each of the ``BLOCK`` elements from i on that is not 0. They
must all be in the array, which has one dimension."""

lowest: Any = intrinsic(_lowest)
"""``lowest(bits)``: the place of the lowest bit that is set, of a ``uint64`` that is not 0."""

ones: Any = intrinsic(_ones)
"""``ones(bits)``: how many bits of a ``uint64`` are set."""
