"""From a LightGBM booster to the look-up tables that serving answers from.

The value of a set of features is the tree's expected output when splits on them go as the pattern
says, and all others both ways in proportion to their training rows (path-dependent TreeSHAP).
"""

from __future__ import annotations

from itertools import combinations
from math import factorial
from typing import Any

import lightgbm as lgb
import numpy as np

from features.calendar import Float64, Int64
from features.errors import ConfigError
from serving.models.churn.trees import MAX_SPLITS, TreeTables


def tree_tables(booster: lgb.Booster, *, groups: Int64, group_count: int) -> TreeTables:
    """Work out a booster's tables.

    ``booster``: Binary objective, numeric features only, at most ``MAX_SPLITS`` splits a tree.
    ``groups``: Index of each feature's group, int64[k].

    Raises:
        ConfigError: A tree has more splits than a table can hold.
    """
    roots = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    splits = [_splits(root) for root in roots]
    width = max([len(found) for found in splits] + [1])
    if width > MAX_SPLITS:
        raise ConfigError("leaves of a tree", got=width + 1, expected=f"at most {MAX_SPLITS + 1}")
    shape = (len(roots), width)
    feature = np.full(shape, -1, dtype=np.int64)
    threshold = np.zeros(shape)
    missing_left = np.zeros(shape, dtype=bool)
    table = np.zeros((len(roots), 2**width, group_count + 1))
    base = 0.0
    for t, (root, found) in enumerate(zip(roots, splits, strict=True)):
        for b, node in enumerate(found):
            feature[t, b] = node["split_feature"]
            threshold[t, b] = node["threshold"]
            missing_left[t, b] = _missing_goes_left(node)
        values, mean = _shapley(root, found)
        base += mean
        # Patterns of the splits that a tree lacks never occur; their rows stay zero.
        for j, phi in values.items():
            table[t, : len(phi), groups[j]] += phi
        table[t, : 2 ** len(found), -1] = _expected(root, _left(len(found)), frozenset(values))
    return TreeTables(feature, threshold, missing_left, table, base)


def _splits(root: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a tree's splits in preorder; each is marked with its place."""
    found: list[dict[str, Any]] = []
    stack = [root]
    while stack:
        node = stack.pop()
        if "split_feature" in node:
            node["place"] = len(found)
            found.append(node)
            stack += [node["right_child"], node["left_child"]]
    return found


def _missing_goes_left(node: dict[str, Any]) -> bool:
    if node["missing_type"] == "NaN":
        return bool(node["default_left"])
    # Where training saw no missing value, LightGBM reads one as zero.
    return bool(node["threshold"] >= 0.0)


def _left(count: int) -> Any:
    """Return which splits send each pattern left, bool[2^count, count]."""
    patterns = np.arange(2**count)[:, None]
    return (patterns >> np.arange(count)) & 1 == 1


def _expected(node: dict[str, Any], left: Any, known: frozenset[int]) -> Float64:
    """Return the expected output under each pattern when only some features are known."""
    if "split_feature" not in node:
        return np.full(len(left), float(node["leaf_value"]))
    a = _expected(node["left_child"], left, known)
    b = _expected(node["right_child"], left, known)
    if node["split_feature"] in known:
        return np.where(left[:, node["place"]], a, b)
    share = _rows(node["left_child"]) / _rows(node)
    return np.asarray(share * a + (1 - share) * b)


def _rows(node: dict[str, Any]) -> float:
    return float(node["internal_count"] if "split_feature" in node else node["leaf_count"])


def _shapley(
    root: dict[str, Any], splits: list[dict[str, Any]]
) -> tuple[dict[int, Float64], float]:
    """Return each feature's Shapley value under each pattern, and the mean output."""
    players = sorted({node["split_feature"] for node in splits})
    left = _left(len(splits))
    worth = {
        frozenset(some): _expected(root, left, frozenset(some))
        for size in range(len(players) + 1)
        for some in combinations(players, size)
    }
    n = len(players)
    values = {}
    for player in players:
        phi = np.zeros(len(left))
        for some, value in worth.items():
            if player not in some:
                share = factorial(len(some)) * factorial(n - len(some) - 1) / factorial(n)
                phi += share * (worth[some | {player}] - value)
        values[player] = phi
    return values, float(worth[frozenset()][0])
