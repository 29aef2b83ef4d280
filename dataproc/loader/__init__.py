"""From token shards and a mixture.json to training batches: `StreamingLoader`."""

from dataproc.loader.batch import Batch
from dataproc.loader.loader import StreamingLoader

__all__ = ["Batch", "StreamingLoader"]
