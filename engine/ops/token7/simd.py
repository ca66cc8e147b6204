"""Products of rows and sums of rows as vectors of 16 or 64 numbers, emitted as LLVM's instructions: Numba has
no word for them.

Processors with VNNI multiply 64 (or 32) pairs of bytes and add them by fours in one instruction; for others
the same is spelt out.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils

from engine.ops.token7.compiled import emitted

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_F32 = ir.FloatType()
_BYTES, _INTS, _FLOATS = ir.VectorType(_I8, 64), ir.VectorType(_I32, 16), ir.VectorType(_F32, 16)
_SHORTS4, _INTS4, _FLOATS4 = (ir.VectorType(each, 4) for each in (_I16, _I32, _F32))

FINE = 256  # a fine digit is so many times smaller than a coarse one
_SHIFT = 8
_DISTANCE, _SCALES_DISTANCE = 2048, 256  # bytes; what was quickest for 4-bit numbers, no help for others
FLIP = 128  # what is added to a signed byte to make it an unsigned one


def byte_product() -> str:
    """Which instruction multiplies bytes here: "avx512vnni", "avxvnni", or "" for none."""
    features = binding.get_host_cpu_features()
    wide = features.get("avx512vnni", False) and features.get("avx512bw", False)
    return "avx512vnni" if wide else "avxvnni" if features.get("avxvnni", False) else ""


_PRODUCT = byte_product()


def _function(builder: Any, name: str, kind: ir.FunctionType) -> ir.Function:
    return builder.module.globals.get(name) or ir.Function(builder.module, kind, name)


def _times(value: float, of: ir.VectorType) -> ir.Constant:
    return ir.Constant(of, [value] * of.count)


def _add_products(builder: Any, total: Any, unsigned: Any, signed: Any) -> Any:
    """total [16] + the products of 64 bytes each, added by fours."""
    if _PRODUCT == "avx512vnni":
        kind = ir.FunctionType(_INTS, [_INTS] * 3)
        product = _function(builder, "llvm.x86.avx512.vpdpbusd.512", kind)
        return builder.call(
            product, [total, builder.bitcast(unsigned, _INTS), builder.bitcast(signed, _INTS)]
        )
    if _PRODUCT == "avxvnni":
        return _by_halves(builder, total, builder.bitcast(unsigned, _INTS), builder.bitcast(signed, _INTS))
    return _spelt_out(builder, total, unsigned, signed)


def _by_halves(builder: Any, *vectors: Any) -> Any:
    half = ir.VectorType(_I32, 8)
    product = _function(builder, "llvm.x86.avx512.vpdpbusd.256", ir.FunctionType(half, [half] * 3))
    done = [builder.call(product, [_part(builder, x, start, 8) for x in vectors]) for start in (0, 8)]
    both = ir.Constant(_INTS, list(range(16)))
    return builder.shuffle_vector(*done, both)


def _part(builder: Any, x: Any, start: int, count: int) -> Any:
    mask = ir.Constant(ir.VectorType(_I32, count), list(range(start, start + count)))
    return builder.shuffle_vector(x, x, mask)


def _spelt_out(builder: Any, total: Any, unsigned: Any, signed: Any) -> Any:
    wide, wider = ir.VectorType(_I16, 64), ir.VectorType(_I32, 64)
    # 255 · 127 fits in 16 bits
    product = builder.mul(builder.zext(unsigned, wide), builder.sext(signed, wide))
    product = builder.sext(product, wider)
    for place in range(4):
        mask = ir.Constant(_INTS, list(range(place, 64, 4)))
        total = builder.add(total, builder.shuffle_vector(product, product, mask))
    return total


def _load(builder: Any, address: Any, offset: Any, of: Any) -> Any:
    """From any address: weights lie in a file's memory as they come."""
    found = builder.load(builder.inttoptr(builder.add(address, offset), of.as_pointer()))
    found.align = 1
    return found


def _ahead(builder: Any, address: Any, offset: Any, distance: int) -> None:
    """Has memory fetched that is wanted soon. Behind the end of a matrix that does nothing."""
    kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
    place = builder.add(builder.add(address, offset), ir.Constant(_I64, distance))
    how = [ir.Constant(_I32, each) for each in (0, 3, 1)]  # to read, close, data
    builder.call(
        _function(builder, "llvm.prefetch.p0", kind), [builder.inttoptr(place, _I8.as_pointer()), *how]
    )


def _at(builder: Any, index: Any, stride: int, more: int = 0) -> Any:
    offset = builder.mul(index, ir.Constant(_I64, stride))
    return builder.add(offset, ir.Constant(_I64, more)) if more else offset


@emitted
def dot_bytes(typing: Any, row: Any, coarse: Any, fine: Any, blocks: Any) -> Any:  # noqa: ARG001  Numba's signature
    """Σ (byte + 128)·digit, for coarse and fine digits: int32 each.

    Args (addresses): a row of signed bytes, and of both digits; how many blocks of 64 there are.
    """
    signature = types.UniTuple(types.int32, 2)(*[types.int64] * 4)

    def made(context: Any, builder: Any, its: Any, args: Any) -> Any:
        row, coarse, fine, blocks = args
        sums = [cgutils.alloca_once_value(builder, _times(0, _INTS)) for _ in range(2)]
        with cgutils.for_range(builder, blocks) as loop:
            offset = _at(builder, loop.index, 64)
            bytes_ = builder.xor(_load(builder, row, offset, _BYTES), _times(-FLIP, _BYTES))
            for digits, total in zip((coarse, fine), sums, strict=True):
                more = _load(builder, digits, offset, _BYTES)
                builder.store(_add_products(builder, builder.load(total), bytes_, more), total)
        add = _function(builder, "llvm.vector.reduce.add.v16i32", ir.FunctionType(_I32, [_INTS]))
        whole = [builder.call(add, [builder.load(total)]) for total in sums]
        return context.make_tuple(builder, its.return_type, whole)

    return signature, made


@emitted
def dot_nibbles(typing: Any, row: Any, scales: Any, coarse: Any, fine: Any, less: Any, blocks: Any) -> Any:  # noqa: ARG001  Numba's signature
    """Σ (nibble − 8)·scale·(coarse·256 + fine): fp32.

    Args (addresses): a row of `engine.quant`'s form int4, its scales in bf16; the digits that `prepare_int4`
        makes, and what is to be taken off, 16 int32 a block; how many blocks of 128 there are.
    """
    signature = types.float32(*[types.int64] * 6)

    def made(context: Any, builder: Any, its: Any, args: Any) -> Any:  # noqa: ARG001  Numba's signature
        row, scales, coarse, fine, less, blocks = args
        total = cgutils.alloca_once_value(builder, _times(0.0, _FLOATS))
        fma = _function(builder, "llvm.fma.v16f32", ir.FunctionType(_FLOATS, [_FLOATS] * 3))
        with cgutils.for_range(builder, blocks) as loop:
            i = loop.index
            _ahead(builder, row, _at(builder, i, 64), _DISTANCE)
            pair = _load(builder, row, _at(builder, i, 64), _BYTES)
            halves = (builder.and_(pair, _times(15, _BYTES)), builder.lshr(pair, _times(4, _BYTES)))
            large, small = _times(0, _INTS), _load(builder, less, _at(builder, i, 64), _INTS)
            for half, nibbles in enumerate(halves):
                offset = _at(builder, i, 128, 64 * half)
                large = _add_products(builder, large, nibbles, _load(builder, coarse, offset, _BYTES))
                small = _add_products(builder, small, nibbles, _load(builder, fine, offset, _BYTES))
            both = builder.add(builder.shl(large, _times(_SHIFT, _INTS)), small)
            scale = _four_scales(builder, scales, _at(builder, i, 8))
            more = builder.call(fma, [builder.sitofp(both, _FLOATS), scale, builder.load(total)])
            builder.store(more, total)
        _ahead(builder, scales, ir.Constant(_I64, 0), _SCALES_DISTANCE)
        return _sum(builder, builder.load(total))

    return signature, made


def _four_scales(builder: Any, address: Any, offset: Any) -> Any:
    """Of four groups in bf16, each for the four lanes of its group."""
    bits = builder.zext(_load(builder, address, offset, _SHORTS4), _INTS4)
    scales = builder.bitcast(builder.shl(bits, _times(16, _INTS4)), _FLOATS4)
    mask = ir.Constant(_INTS, [lane // 4 for lane in range(16)])
    return builder.shuffle_vector(scales, scales, mask)


# ------------------------------------------------------------------------- floating-point numbers


def dot_of(form: str) -> Any:
    """A function that multiplies a row with activations in fp32, in two sums at once: fp32.

    Its arguments (addresses, but for the count): the row, the activations, how many times 32 numbers.
    """
    lanes = ir.VectorType(_LANES[form], 16)
    size = {"fp32": 4}.get(form, 2)

    def made(context: Any, builder: Any, its: Any, args: Any) -> Any:  # noqa: ARG001  Numba's signature
        row, x, blocks = args
        fma = _function(builder, "llvm.fma.v16f32", ir.FunctionType(_FLOATS, [_FLOATS] * 3))
        sums = [cgutils.alloca_once_value(builder, _times(0.0, _FLOATS)) for _ in range(2)]
        with cgutils.for_range(builder, blocks) as loop:
            for i, total in enumerate(sums):
                numbers = _load(builder, row, _at(builder, loop.index, 32 * size, 16 * size * i), lanes)
                more = _load(builder, x, _at(builder, loop.index, 128, 64 * i), _FLOATS)
                builder.store(
                    builder.call(fma, [_widen(builder, form, numbers), more, builder.load(total)]), total
                )
        return _sum(builder, builder.fadd(*[builder.load(total) for total in sums]))

    def typed(typing: Any, row: Any, x: Any, blocks: Any) -> Any:  # noqa: ARG001  Numba's signature
        return types.float32(*[types.int64] * 3), made

    return emitted(typed)


def _sum(builder: Any, vector: Any) -> Any:
    kind = ir.FunctionType(_F32, [_F32, _FLOATS])
    add = _function(builder, "llvm.vector.reduce.fadd.v16f32", kind)
    return builder.call(add, [ir.Constant(_F32, 0.0), vector], fastmath=("reassoc",))


# ------------------------------------------------------------------------------------------ sums of rows


def _widen(builder: Any, form: str, found: Any) -> Any:
    """16 numbers as they lie in memory → fp32."""
    if form == "bf16":
        bits = builder.shl(builder.zext(found, _INTS), _times(16, _INTS))
        return builder.bitcast(bits, _FLOATS)
    if form == "fp16":
        return builder.fpext(builder.bitcast(found, ir.VectorType(ir.HalfType(), 16)), _FLOATS)
    return builder.uitofp(found, _FLOATS) if form == "bytes" else found


_LANES = {"fp32": _F32, "bf16": _I16, "fp16": _I16, "bytes": _I8}


def rows_of(form: str, together: int) -> Any:
    """A function that adds so many rows of one form to a sum, from left to right as memory is quickest.

    Its arguments (addresses, but for counts): the rows' first columns that are taken, the bytes from one row
    to the next, the numbers of the rows, the share of each, how many times 16 columns, where they are added.
    """
    lanes = ir.VectorType(_LANES[form], 16)
    size = {"fp32": 4, "bytes": 1}.get(form, 2)

    def made(context: Any, builder: Any, its: Any, args: Any) -> Any:  # noqa: ARG001  Numba's signature
        first, stride, rows, shares, blocks, out = args
        fma = _function(builder, "llvm.fma.v16f32", ir.FunctionType(_FLOATS, [_FLOATS] * 3))
        starts, weights = [], []
        for i in range(together):
            row = _load(builder, rows, ir.Constant(_I64, 8 * i), _I64)
            starts.append(builder.add(first, builder.mul(row, stride)))
            weights.append(_spread(builder, _load(builder, shares, ir.Constant(_I64, 4 * i), _F32)))
        with cgutils.for_range(builder, blocks) as loop:
            place, offset = _at(builder, loop.index, 64), _at(builder, loop.index, 16 * size)
            total = _load(builder, out, place, _FLOATS)
            for start, weight in zip(starts, weights, strict=True):
                numbers = _widen(builder, form, _load(builder, start, offset, lanes))
                total = builder.call(fma, [weight, numbers, total])
            to = builder.inttoptr(builder.add(out, place), _FLOATS.as_pointer())
            builder.store(total, to).align = 1
        return context.get_dummy_value()

    def typed(typing: Any, first: Any, stride: Any, rows: Any, shares: Any, blocks: Any, out: Any) -> Any:  # noqa: ARG001  Numba's signature
        return types.void(*[types.int64] * 6), made

    return emitted(typed)


def columns_of(form: str, vectors: int) -> Any:
    """A function that adds rows lying one after the other, each of `vectors` times 16 columns, in registers.

    Its arguments (addresses, but for the count): the rows, the share of each, how many, where they are added.
    """
    lanes = ir.VectorType(_LANES[form], 16)
    size = {"fp32": 4}.get(form, 2)

    def made(context: Any, builder: Any, its: Any, args: Any) -> Any:  # noqa: ARG001  Numba's signature
        rows, shares, count, out = args
        fma = _function(builder, "llvm.fma.v16f32", ir.FunctionType(_FLOATS, [_FLOATS] * 3))
        places = [ir.Constant(_I64, 64 * i) for i in range(vectors)]
        sums = [cgutils.alloca_once_value(builder, _load(builder, out, place, _FLOATS)) for place in places]
        with cgutils.for_range(builder, count) as loop:
            share = _spread(builder, _load(builder, shares, _at(builder, loop.index, 4), _F32))
            for i, total in enumerate(sums):
                offset = _at(builder, loop.index, 16 * size * vectors, 16 * size * i)
                numbers = _widen(builder, form, _load(builder, rows, offset, lanes))
                builder.store(builder.call(fma, [share, numbers, builder.load(total)]), total)
        for place, total in zip(places, sums, strict=True):
            to = builder.inttoptr(builder.add(out, place), _FLOATS.as_pointer())
            builder.store(builder.load(total), to).align = 1
        return context.get_dummy_value()

    def typed(typing: Any, rows: Any, shares: Any, count: Any, out: Any) -> Any:  # noqa: ARG001  Numba's signature
        return types.void(*[types.int64] * 4), made

    return emitted(typed)


def _spread(builder: Any, number: Any) -> Any:
    """To all 16 lanes."""
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), number, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, one, _times(0, _INTS))
