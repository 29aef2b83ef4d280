"""Does a text hold one of many patterns?  Aho-Corasick over lower-case ASCII letters and digits.

One table look a character, however many patterns; 144 bytes a state, and about one state a character of the patterns.
Source: A. V. Aho and M. J. Corasick 1975, "Efficient string matching: an aid to bibliographic search".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class Automaton(NamedTuple):
    """The states of an automaton that starts in state 0; read-only."""

    moves: npt.NDArray[np.int32]  # [S, 36] next state by character of ALPHABET
    ends: npt.NDArray[np.bool_]  # [S] does a pattern end here?


def build_automaton(patterns: Iterable[str]) -> Automaton:
    """Return the automaton of patterns over ALPHABET, none of them empty; no pattern gives one that finds nothing.

    Example: that of "ab" and "b" ends at each b.
    """
    trie: list[dict[int, int]] = [{}]
    last = set[int]()
    for pattern in sorted(set(patterns)):
        state = 0
        for char in pattern:
            move = ALPHABET.index(char)
            if move not in trie[state]:
                trie[state][move] = len(trie)
                trie.append({})
            state = trie[state][move]
        last.add(state)
    moves = np.zeros((len(trie), len(ALPHABET)), np.int32)
    ends = np.zeros(len(trie), np.bool_)
    ends[list(last)] = True
    fallback = np.zeros(len(trie), np.int32)  # the state of the longest other suffix
    queue = [0]
    for state in queue:  # by length: the fallback of a state is complete before it
        moves[state] = moves[fallback[state]]
        for move, child in trie[state].items():
            fallback[child] = moves[state, move] if state else 0
            ends[child] |= ends[fallback[child]]
            queue.append(child)
        for move, child in trie[state].items():
            moves[state, move] = child
    return Automaton(frozen(moves), frozen(ends))
