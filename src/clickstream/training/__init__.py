"""The fine-tuning module: training inputs in, a measured model version out.

The only package that imports torch, transformers, sentence-transformers and numpy. That takes seconds, so
`clickstream serve` imports it only once a run starts, or a text is embedded, in its process.
"""

from clickstream.training.progress import Canceled
from clickstream.training.run import fine_tune

__all__ = ["Canceled", "fine_tune"]
