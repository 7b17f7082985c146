"""The fine-tuning module: training inputs in, a measured model version out.

Sole importer of torch, transformers, sentence-transformers and numpy; importing it takes seconds, so
`clickstream serve` only does when a run starts in its process.
"""

from clickstream.training.progress import Canceled
from clickstream.training.run import fine_tune

__all__ = ["Canceled", "fine_tune"]
