"""A trainer ends within its grace, also while a training does not ask whether it may go on (R20)."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
from embedding_studio.clickstream.internal.v1 import fine_tuning_service_pb2 as pb
from embedding_studio.clickstream.internal.v1.fine_tuning_service_pb2_grpc import FineTuningServiceStub

TRAINER = """
import sys, time
from clickstream.app import trainer
from clickstream.cli import main
def deaf(*_, **__):
    print("training", flush=True)
    time.sleep(600)
trainer._train_into = lambda *_: deaf
sys.argv = ["clickstream", "trainer", "--listen", sys.argv[1], "--data-dir", sys.argv[2]]
main()
"""
GRACE = 2.0


def test_r20_a_trainer_whose_training_does_not_ask_ends_within_its_grace(tmp_path: Path) -> None:
    """R20: SIGTERM during a loop that does not ask ends the process within the grace, with exit code 0."""
    address = f"unix:{tmp_path}/trainer.sock"
    with subprocess.Popen(
        [sys.executable, "-c", TRAINER, address, str(tmp_path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"CLICKSTREAM_SHUTDOWN_GRACE": str(GRACE)},
    ) as process:
        try:
            with grpc.insecure_channel(address) as channel:
                hold = threading.Event()

                def requests():  # type: ignore[no-untyped-def]
                    yield pb.FineTuneRequest(start=pb.FineTuneStart(run_id="run-1"))
                    hold.wait(30)

                call = FineTuningServiceStub(channel).FineTune(requests(), wait_for_ready=True)
                assert process.stdout is not None
                assert process.stdout.readline() == b"training\n"
                began = time.monotonic()
                process.send_signal(signal.SIGTERM)
                assert process.wait(GRACE + 10) == 0
                assert time.monotonic() - began < GRACE + 1.5
                hold.set()
                call.cancel()
        finally:
            process.kill()
