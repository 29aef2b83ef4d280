"""MinHash signatures, documents a second on one core: ours beside datasketch, with the same values.

datasketch gets shingle hashes that are ready made, as a list per document; ours is measured from those hashes and,
with words and shingles, from the text.
"""

from __future__ import annotations

from itertools import pairwise

import datasketch
import numpy as np
import numpy.typing as npt

from benchmarks.figures import Figure, megabytes, sample_texts, seconds, write
from dataproc.kernels.minhash import minhash_signatures
from dataproc.kernels.shingles import shingle_hashes

NUM_HASHES = 112


def main() -> None:
    texts = sample_texts()
    hashes, offsets = shingle_hashes(texts)
    sets = [hashes[start:stop] for start, stop in pairwise(offsets.tolist())]

    def theirs() -> list[npt.NDArray[np.uint32]]:
        made = []
        for values in sets:
            minhash = datasketch.MinHash(NUM_HASHES, hashfunc=lambda value: value & 0xFFFFFFFF, scheme="affine32")
            minhash.update_batch(values.tolist())
            made.append(minhash.hashvalues)
        return made

    assert np.array_equal(np.stack(theirs()), minhash_signatures(hashes, offsets, NUM_HASHES)), "signatures differ"
    ours, whole, peer = seconds(
        lambda: minhash_signatures(hashes, offsets, NUM_HASHES),
        lambda: minhash_signatures(*shingle_hashes(texts), NUM_HASHES),
        theirs,
        repeats=3,
    )
    count = len(texts)
    write(
        "signatures",
        [
            Figure("signatures of ready shingles", count / ours, "docs/s", "datasketch", count / peer, 10),
            Figure("text to signatures", count / whole, "docs/s", "datasketch, ready shingles", count / peer, 1),
            Figure("text to signatures", megabytes(texts) / whole, "MB/s"),
        ],
    )


if __name__ == "__main__":
    main()
