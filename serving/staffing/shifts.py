"""Agents an interval, filled up to blocks that people can work: the least paid time that covers.

Blocks are at least as long as asked, begin and end with intervals, and lie within one run of open
intervals. In cumulative starts and ends every constraint of the linear program bounds a difference
of two unknowns: the matrix is totally unimodular, so that a corner of the program is whole.

Source: Bartholdi, Orlin and Ratliff, "Cyclic scheduling via integer programs with circular ones",
Operations Research 28 (1980); Schrijver, Theory of Linear and Integer Programming (1986), ch. 19.
"""

from __future__ import annotations

import numpy as np

from features.calendar import Bool, Int64
from serving.staffing.goal import expect


def cover(required: Int64, *, is_open: Bool, interval_minutes: int, block_minutes: int) -> Int64:
    """Return the agents on duty of least paid time that cover a requirement in whole blocks.

    The result, int64[h], is at least ``required`` where open and 0 where closed; of several plans
    of the same paid time always the same one. Blocks are rounded up to whole intervals; an open
    run shorter than a block is worked whole, by its greatest requirement.

    Raises:
        InputError: A value is out of range; the error's field names it.

    >>> day = dict(is_open=np.ones(4, dtype=bool), interval_minutes=60, block_minutes=120)
    >>> int(cover(np.array([1, 3, 1, 1]), **day).sum())  # the third at 1 stays for an hour more
    7
    """
    for i in np.flatnonzero(required < 0)[:1]:
        expect(False, f"required[{i}]", int(required[i]), "agents, at least 0")
    expect(block_minutes >= 0, "block_minutes", block_minutes, "at least 0")
    needed = np.where(is_open, required, 0)
    block = -(-block_minutes // interval_minutes)
    if block <= 1:
        return needed
    long_enough = is_open.copy()
    for begin, end in _open_runs(is_open):
        if end - begin <= block:
            needed[begin:end] = needed[begin:end].max()
            long_enough[begin:end] = False
    if needed[long_enough].any():
        needed[long_enough] = _least_cover(np.where(long_enough, needed, 0), long_enough, block)[
            long_enough
        ]
    return needed


def _open_runs(is_open: Bool) -> list[tuple[int, int]]:
    """Return begin and end of each run of open intervals."""
    steps = np.diff(np.concatenate([[0], is_open.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True))


def _least_cover(needed: Int64, is_open: Bool, block: int) -> Int64:
    """Return the covering agents of least sum, int64[h]; no open run is shorter than a block."""
    from scipy import sparse
    from scipy.optimize import Bounds, LinearConstraint, milp

    h = len(needed)
    one = sparse.eye_array(h)
    rise = one - sparse.eye_array(h, k=-1)
    begun_lately = one
    for lag in range(1, min(block, h)):
        begun_lately = begun_lately + sparse.eye_array(h, k=-lag)
    # Whoever is more than before has begun; who began within a block is still there. The second
    # also keeps blocks from reaching into closed intervals, where nobody may be.
    rows = sparse.block_array([[rise, -one], [-one, begun_lately]], format="csc")
    least = np.concatenate([needed, np.zeros(h)])
    may_begin = is_open & (np.arange(h) <= h - block)
    most = np.where(np.concatenate([is_open, may_begin]), np.inf, 0.0)
    solution = milp(
        np.repeat([1.0, 0.0], h),
        constraints=LinearConstraint(rows, ub=0.0),
        bounds=Bounds(least, most),
        options={"presolve": False},  # it costs more than it saves here
    )
    whole: Int64 = np.rint(np.asarray(solution.x)[:h]).astype(np.int64)
    return whole
