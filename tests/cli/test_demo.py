"""The demo as a process: it takes its own server with it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import children, is_alive, take_ctrl_c
from support.servers import wait_for


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_stopped_demo_stops_its_server(
    mongod_program: None, torch_installed: None, tmp_path: Path, signum: signal.Signals, code: int
) -> None:
    """SIGTERM, Ctrl-C and kill -9 end the demo, its server and the embedded MongoDB."""
    command = [sys.executable, "-m", "clickstream", "demo", "--data-dir", str(tmp_path)]
    demo = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=take_ctrl_c)
    log = tmp_path / "server.log"
    try:
        wait_for(lambda: log.exists() and "listening on" in log.read_text())
        [server] = children(demo.pid)
        [mongod] = children(server)
        demo.send_signal(signum)
        assert demo.wait(60) == code
        wait_for(lambda: not is_alive(server) and not is_alive(mongod))
    finally:
        demo.kill()
        demo.wait()
