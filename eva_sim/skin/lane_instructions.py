"""Vector instructions on rows of LANES faces, for `lanes.py`.

Why this module emits LLVM IR, and how to change it
---------------------------------------------------
Numba cannot know that two rows do not overlap. So it unrolls a short loop over lanes into scalar code
instead of using vector instructions. The functions marked `@intrinsic` therefore emit vector instructions
themselves, through llvmlite. Everything else is ordinary numba.

- An intrinsic's docstring gives its formula, and the argument order. Its `generate` function is Python
  that runs once, at compile time, and emits instructions: `_Rows.load` and `_Rows.store` access rows,
  `_spread` copies a number to all lanes, `_multiply_add` and `_subtract` are arithmetic, `_Total` is an
  accumulator in registers, and `cgutils.for_range` is a loop at run time.
- An intrinsic is called through its wrapper in `lanes.py` (`dot`, `add_scaled`, `add_outer`, ...) or
  `preconditioner.py`, which has the plain loop for one face in its other branch. Change both together.
- Nothing checks types or bounds: a wrong index reads foreign memory. To try a new formula, write the plain
  loop first and compare both; `tests/skin/test_lanes.py` compares lanes with single faces and with the
  double-precision reference.
- Results are bit-reproducible, so the order of additions is part of the behaviour. `_FUSE` allows fused
  multiply-adds, as `compiled` does.
- `LANES` fits AVX-512. On narrower processors LLVM splits the vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16  # single precision numbers in the widest vector of today's processors (AVX-512)
ROW = 3 * LANES
TOGETHER = 4  # modes, or outer products, that are added at once
PANEL = 4  # columns of the factor that are processed together; they occupy 12 of 32 vector registers
_VECTOR, _INDEX, _WORD = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64), ir.IntType(32)
_FUSE = ("contract",)
Vectors = list[Any]  # the x, y and z of LANES faces, in three vector registers


class _Rows:
    """Loads and stores of whole rows of an array argument."""

    def __init__(self, context: Any, builder: Any, kind: Any, array: Any) -> None:
        self._builder = builder
        self._data = context.make_array(kind)(context, builder, array).data

    def _places(self, row: Any) -> Vectors:
        b = self._builder
        wide = b.zext(row, _INDEX) if row.type.width < 64 else row
        first = b.mul(wide, _INDEX(ROW))
        starts = (b.gep(self._data, [b.add(first, _INDEX(LANES * k))]) for k in range(3))
        return [b.bitcast(start, _VECTOR.as_pointer()) for start in starts]

    def load(self, row: Any) -> Vectors:
        values = [self._builder.load(place) for place in self._places(row)]
        for value in values:
            value.align = 4
        return values

    def load_lanes(self, n: Any) -> Vectors:
        """Loads LANES numbers, those of index n in an array (N, LANES), for x, y and z alike."""
        start = self._builder.gep(self._data, [self._builder.mul(n, _INDEX(LANES))])
        value = self._builder.load(self._builder.bitcast(start, _VECTOR.as_pointer()))
        value.align = 4
        return [value] * 3

    def store(self, values: Vectors, row: Any) -> None:
        for value, place in zip(values, self._places(row), strict=True):
            self._builder.store(value, place).align = 4


def _spread(builder: Any, number: Any) -> Any:
    """Copies one number to all lanes of a vector."""
    empty = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(empty, number, _WORD(0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_WORD, LANES), [0] * LANES))


def _multiply_add(builder: Any, a: Vectors, b: Vectors, c: Vectors) -> Vectors:
    return [
        builder.fadd(builder.fmul(x, y, flags=_FUSE), z, flags=_FUSE) for x, y, z in zip(a, b, c, strict=True)
    ]


class _Total:
    """Accumulators of a loop; the compiler keeps them in registers."""

    def __init__(self, builder: Any, begin: Vectors) -> None:
        self._builder = builder
        self._room = [cgutils.alloca_once_value(builder, value) for value in begin]

    def get(self) -> Vectors:
        return [self._builder.load(room) for room in self._room]

    def set(self, values: Vectors) -> None:
        for value, room in zip(values, self._room, strict=True):
            self._builder.store(value, room)


def _element(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.load(builder.gep(context.make_array(kind)(context, builder, array).data, [index]))


def _procedure(generate: Callable[..., None]) -> Callable[..., Any]:
    """Makes the type function of an intrinsic that returns nothing.

    Args:
        generate: emits the code; takes context, builder, argument types and arguments.
    """

    def typed(typing: Any, *kinds: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            generate(context, builder, signature.args, arguments)
            return context.get_dummy_value()

        return types.void(*kinds), code

    return typed


@intrinsic
def add_row(typing, out, i, a, j):  # type: ignore[no-untyped-def]
    """out[i] += a[j]."""

    def generate(context, builder, kinds, arguments):  # type: ignore[no-untyped-def]
        target = _Rows(context, builder, kinds[0], arguments[0])
        value = _Rows(context, builder, kinds[2], arguments[2]).load(arguments[3])
        both = zip(target.load(arguments[1]), value, strict=True)
        target.store([builder.fadd(x, y) for x, y in both], arguments[1])

    return _procedure(generate)(typing, out, i, a, j)


@intrinsic
def dot_rows(typing, out, a, first, b, start, count):  # type: ignore[no-untyped-def]
    """out[0] = sum over n of a[first + n] * b[start + n]."""

    def generate(context, builder, kinds, arguments):  # type: ignore[no-untyped-def]
        left = _Rows(context, builder, kinds[1], arguments[1])
        right = _Rows(context, builder, kinds[3], arguments[3])
        total = _Total(builder, [ir.Constant(_VECTOR, [0.0] * LANES)] * 3)
        with cgutils.for_range(builder, arguments[5]) as loop:
            value = left.load(builder.add(arguments[2], loop.index))
            other = right.load(builder.add(arguments[4], loop.index))
            total.set(_multiply_add(builder, value, other, total.get()))
        _Rows(context, builder, kinds[0], arguments[0]).store(total.get(), _INDEX(0))

    return _procedure(generate)(typing, out, a, first, b, start, count)


@intrinsic
def add_scaled_rows(typing, out, scale, a, first, count):  # type: ignore[no-untyped-def]
    """out[n] += scale[0] * a[first + n]."""

    def generate(context, builder, kinds, arguments):  # type: ignore[no-untyped-def]
        target = _Rows(context, builder, kinds[0], arguments[0])
        factor = _Rows(context, builder, kinds[1], arguments[1]).load(_INDEX(0))
        source = _Rows(context, builder, kinds[2], arguments[2])
        with cgutils.for_range(builder, arguments[4]) as loop:
            value = source.load(builder.add(arguments[3], loop.index))
            target.store(_multiply_add(builder, factor, value, target.load(loop.index)), loop.index)

    return _procedure(generate)(typing, out, scale, a, first, count)


@intrinsic
def scale_rows(typing, out, scale, count):  # type: ignore[no-untyped-def]
    """out[n] *= scale[0]."""

    def generate(context, builder, kinds, arguments):  # type: ignore[no-untyped-def]
        target = _Rows(context, builder, kinds[0], arguments[0])
        factor = _Rows(context, builder, kinds[1], arguments[1]).load(_INDEX(0))
        with cgutils.for_range(builder, arguments[2]) as loop:
            both = zip(factor, target.load(loop.index), strict=True)
            target.store([builder.fmul(x, y) for x, y in both], loop.index)

    return _procedure(generate)(typing, out, scale, count)


@intrinsic
def step_rows(typing, steps, first, trial, scale, direction, x, count):  # type: ignore[no-untyped-def]
    """steps[first + n] = scale[0] * direction[n]; trial[n] = x[n] + steps[first + n]."""

    def generate(context, builder, kinds, arguments):  # type: ignore[no-untyped-def]
        steps, trial, direction, x = (_Rows(context, builder, kinds[k], arguments[k]) for k in (0, 2, 4, 5))
        factor = _Rows(context, builder, kinds[3], arguments[3]).load(_INDEX(0))
        with cgutils.for_range(builder, arguments[6]) as loop:
            both = zip(factor, direction.load(loop.index), strict=True)
            step = [builder.fmul(a, b) for a, b in both]
            steps.store(step, builder.add(arguments[1], loop.index))
            both = zip(x.load(loop.index), step, strict=True)
            trial.store([builder.fadd(a, b) for a, b in both], loop.index)

    return _procedure(generate)(typing, steps, first, trial, scale, direction, x, count)


@intrinsic
def pair_rows(typing, out, changes, first, after, before, steps, count):  # type: ignore[no-untyped-def]
    """changes[first + n] = after[n] - before[n]; sums over n of steps[first + n] times others into `out`.

    out[0] is the sum of steps * before, out[1] that of steps * changes.
    """

    def generate(context, builder, kinds, arguments):  # type: ignore[no-untyped-def]
        changes, after, before, steps = (
            _Rows(context, builder, kinds[k], arguments[k]) for k in (1, 3, 4, 5)
        )
        slope, product = (_Total(builder, [ir.Constant(_VECTOR, [0.0] * LANES)] * 3) for _ in range(2))
        with cgutils.for_range(builder, arguments[6]) as loop:
            place = builder.add(arguments[2], loop.index)
            step, old = steps.load(place), before.load(loop.index)
            change = [builder.fsub(a, b) for a, b in zip(after.load(loop.index), old, strict=True)]
            changes.store(change, place)
            slope.set(_multiply_add(builder, step, old, slope.get()))
            product.set(_multiply_add(builder, step, change, product.get()))
        out = _Rows(context, builder, kinds[0], arguments[0])
        out.store(slope.get(), _INDEX(0))
        out.store(product.get(), _INDEX(1))

    return _procedure(generate)(typing, out, changes, first, after, before, steps, count)


def _add_products(together: int, numbers: int) -> Any:
    """Makes an intrinsic that adds so many products at once: a row is then loaded and stored once for all.

    Args:
        together: number of products.
        numbers: per vertex of a product; 3 go with one factor per face, 1 goes with a vector per face.
    """

    @intrinsic
    def add(typing, out, products, r, width, factors, start, stop):  # type: ignore[no-untyped-def]
        """out[n] += sum over products j from r of the numbers of vertex n, times factors[j].

        n goes from `start` to `stop`; `width` is the length of a product.
        """

        def generate(context, builder, kinds, arguments):  # type: ignore[no-untyped-def]
            target, vectors = (_Rows(context, builder, kinds[k], arguments[k]) for k in (0, 4))
            number = _numbers(context, builder, kinds, arguments)
            places = [builder.add(arguments[2], _INDEX(j)) for j in range(together)]
            load = vectors.load if numbers == 1 else vectors.load_lanes
            factors = [load(place) for place in places]
            with cgutils.for_range(builder, builder.sub(arguments[6], arguments[5])) as loop:
                n = builder.add(arguments[5], loop.index)
                value = target.load(n)
                for place, factor in zip(places, factors, strict=True):
                    first = builder.add(builder.mul(place, arguments[3]), builder.mul(n, _INDEX(numbers)))
                    shares = [
                        _spread(builder, number(1, builder.add(first, _INDEX(k)))) for k in range(numbers)
                    ]
                    value = _multiply_add(builder, shares * (3 // numbers), factor, value)
                target.store(value, n)

        return _procedure(generate)(typing, out, products, r, width, factors, start, stop)

    return add


add_mode_rows, add_modes_rows = _add_products(1, 3), _add_products(TOGETHER, 3)
add_outer_row, add_outer_rows = _add_products(1, 1), _add_products(TOGETHER, 1)


@intrinsic
def push_panel(typing, x, first, corner, rows, values, start, stop):  # type: ignore[no-untyped-def]
    """Forward substitution with PANEL columns from `first`; see `Preconditioner` for the arrays."""

    def generate(context, builder, kinds, arguments):  # type: ignore[no-untyped-def]
        field = _Rows(context, builder, kinds[0], arguments[0])
        number = _numbers(context, builder, kinds, arguments)
        pivots: list[Vectors] = []
        for k in range(PANEL):
            place = builder.add(arguments[1], _INDEX(k))
            value = field.load(place)
            for j, pivot in enumerate(pivots):
                value = _subtract(builder, value, number(2, _INDEX(PANEL * k + j)), pivot)
            field.store(value, place)
            pivots.append(value)
        with cgutils.for_range(builder, builder.sub(arguments[6], arguments[5])) as loop:
            n = builder.add(arguments[5], loop.index)
            row = _element(context, builder, kinds[3], arguments[3], n)
            value = field.load(row)
            for k, pivot in enumerate(pivots):
                entry = builder.add(builder.mul(n, _INDEX(PANEL)), _INDEX(k))
                value = _subtract(builder, value, number(4, entry), pivot)
            field.store(value, row)

    return _procedure(generate)(typing, x, first, corner, rows, values, start, stop)


@intrinsic
def pull_panel(typing, x, first, inverse, corner, rows, values, start, stop):  # type: ignore[no-untyped-def]
    """Backward substitution, the diagonal included, with PANEL columns from `first`."""

    def generate(context, builder, kinds, arguments):  # type: ignore[no-untyped-def]
        field = _Rows(context, builder, kinds[0], arguments[0])
        number = _numbers(context, builder, kinds, arguments)
        places = [builder.add(arguments[1], _INDEX(k)) for k in range(PANEL)]
        totals = []
        for place in places:
            over = _spread(builder, number(2, place))
            totals.append(_Total(builder, [builder.fmul(over, value) for value in field.load(place)]))
        with cgutils.for_range(builder, builder.sub(arguments[7], arguments[6])) as loop:
            n = builder.add(arguments[6], loop.index)
            value = field.load(_element(context, builder, kinds[4], arguments[4], n))
            for k, total in enumerate(totals):
                entry = builder.add(builder.mul(n, _INDEX(PANEL)), _INDEX(k))
                total.set(_subtract(builder, total.get(), number(5, entry), value))
        solved: dict[int, Vectors] = {}
        for k in reversed(range(PANEL)):
            value = totals[k].get()
            for j, other in solved.items():
                value = _subtract(builder, value, number(3, _INDEX(PANEL * j + k)), other)
            field.store(value, places[k])
            solved[k] = value

    return _procedure(generate)(typing, x, first, inverse, corner, rows, values, start, stop)


def _numbers(context: Any, builder: Any, kinds: Any, arguments: Any) -> Callable[[int, Any], Any]:
    """Returns a function that reads number `index` of array argument `which`, as flat memory."""
    return lambda which, index: _element(context, builder, kinds[which], arguments[which], index)


def _subtract(builder: Any, value: Vectors, number: Any, row: Vectors) -> Vectors:
    """Returns value - number * row."""
    return _multiply_add(builder, [_spread(builder, builder.fneg(number))] * 3, row, value)
