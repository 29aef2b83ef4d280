"""Bits of 64-bit masks, for use inside other kernels: numba has no names for these instructions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numba import types
from numba.extending import intrinsic

from dataproc.kernels.jit import kernel

NONE, ONE, ALL = np.uint64(0), np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)


def _popcount(typing: Any, value: Any) -> Any:
    return types.int64(types.uint64), lambda context, builder, signature, args: builder.ctpop(args[0])


def _lowest(typing: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), generate


popcount = cast(Callable[[Any], Any], intrinsic(_popcount))
"""Return the number of ones of a uint64, as int64."""

lowest = cast(Callable[[Any], Any], intrinsic(_lowest))
"""Return the place of the lowest one of a uint64 that is not 0, as int64."""


@kernel
def below(size: int) -> Any:
    """Return the mask of the first `size` bits, 64 at most."""
    return ALL if size >= 64 else (ONE << np.uint64(size)) - ONE
