"""Loaded weights cannot be pulled away."""

import subprocess
import sys
from pathlib import Path

from support.tiny_encoder import make_tiny_encoder

EMBED = """
import sys
from pathlib import Path
from clickstream.training.encoder.encoder import embed, load_encoder
folder = Path(sys.argv[1])
encoder = load_encoder(str(folder), 8, "cpu")
before = embed(encoder, "query", ["red shoe"], lambda: None)
for weights in folder.rglob("*.safetensors"):
    weights.write_bytes(b"")
after = embed(encoder, "query", ["red shoe"], lambda: None)
assert (before == after).all()
print("the same")
"""


def test_overwritten_weights_stay_loaded(tmp_path: Path) -> None:
    """Weights that are overwritten in place, as by `cp` or a restore, change nothing."""
    folder = make_tiny_encoder(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-c", EMBED, str(folder)], capture_output=True, text=True, check=False, timeout=90
    )
    assert ran.returncode == 0, (ran.returncode, ran.stderr[-500:])
    assert ran.stdout == "the same\n"
