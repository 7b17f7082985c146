"""The Python client of the conformance cases: stubs of its own, without the package `clickstream`.

`python runner.py PLAN` prints one line of JSON per case: `{"case": NAME, "problems": [...]}`. README.md beside the
cases says what a plan holds.
"""

import importlib
import json
import queue
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.json_format import MessageToDict, ParseDict
from google.rpc import error_details_pb2  # noqa: F401 (registers the types of details)
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc
from grpc_status import rpc_status

PATIENCE = 20.0
STUBS = {
    "grpc.health.v1.Health": health_pb2_grpc.HealthStub,
    "grpc.reflection.v1alpha.ServerReflection": reflection_pb2_grpc.ServerReflectionStub,
}
RETRIES = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "1s",
                    "maxBackoff": "5s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
                },
            }
        ]
    }
)


class Client:
    """The channels to the servers of a plan, and what earlier steps saved."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.servers = plan["servers"]
        self.variables = dict(plan["variables"])
        self.channels: dict[str, grpc.Channel] = {}
        self.open_calls: list[Any] = []

    def channel(self, server: str, step: dict[str, Any]) -> grpc.Channel:
        """The channel of the case's server, with the options of the step."""
        at = self.servers[server]
        key = json.dumps([server, step.get("retry"), step.get("gzip")])
        if key not in self.channels:
            options = [("grpc.service_config", RETRIES)] if step.get("retry") else [("grpc.enable_retries", 0)]
            packed = grpc.Compression.Gzip if step.get("gzip") else None
            if "ca" in at:
                credentials = grpc.ssl_channel_credentials(Path(at["ca"]).read_bytes())
                self.channels[key] = grpc.secure_channel(at["address"], credentials, options, packed)
            else:
                self.channels[key] = grpc.insecure_channel(at["address"], options, packed)
        return self.channels[key]

    def call(self, server: str, step: dict[str, Any]) -> dict[str, Any]:
        """Makes the call of a step; returns its outcome: code, message, details and responses."""
        name, method = step["as"].rsplit("/", 1)
        service = descriptor_pool.Default().FindServiceByName(name)
        described = service.methods_by_name[method]
        request = message_factory.GetMessageClass(described.input_type)
        requests = [ParseDict(each, request()) for each in step["requests"]]
        metadata = [
            (key, bytes(value, "utf-8") if key.endswith("-bin") else value)
            for key, value in step.get("metadata", {}).items()
        ]
        if "token" in step:
            metadata.append(("authorization", f"Bearer {self.servers[server]['tokens'][step['token']]}"))
        options = {
            "timeout": step.get("deadline_ms", PATIENCE * 1000) / 1000,
            "metadata": metadata,
            "wait_for_ready": step.get("wait_for_ready", False),
        }
        callable_ = self._callable(server, step, service, described)
        responses: list[Any] = []
        try:
            if not described.server_streaming:
                responses.append(callable_(requests[0], **options))
            else:
                self._stream(callable_, requests, step, described.client_streaming, options, responses)
        except grpc.RpcError as error:
            return outcome(error, responses)
        return {"code": "OK", "message": "", "details": {}, "responses": [MessageToDict(each) for each in responses]}

    def _callable(self, server: str, step: dict[str, Any], service: Any, described: Any) -> Any:
        channel = self.channel(server, step)
        if step["call"] != step["as"]:
            answer = message_factory.GetMessageClass(described.output_type)
            return channel.stream_stream(f"/{step['call']}", lambda each: each.SerializeToString(), answer.FromString)
        stub = STUBS.get(service.full_name)
        if stub is None:
            module = importlib.import_module(service.file.name.removesuffix(".proto").replace("/", ".") + "_pb2_grpc")
            stub = getattr(module, f"{service.name}Stub")
        return getattr(stub(channel), described.name)

    def _stream(
        self, stream: Any, requests: list[Any], step: dict[str, Any], sends: bool, options: Any, responses: list[Any]
    ) -> None:
        outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        call = stream(iter(outbox.get, None) if sends else requests[0], **options)
        if step.get("lockstep"):
            for each in requests:
                outbox.put(each)
                responses.append(next(call))
        else:
            for each in requests:
                outbox.put(each)
        if step.get("open"):
            responses.append(next(call))
            self.open_calls.append((call, outbox))
            return
        if step.get("half_close", True):
            outbox.put(None)
        try:
            for response in call:
                responses.append(response)
                if len(responses) == step.get("cancel_after"):
                    call.cancel()
        finally:
            outbox.put(None)

    def run(self, case: dict[str, Any]) -> list[str]:
        """Runs the steps of a case up to the first that fails; returns what is wrong."""
        try:
            for number, raw in enumerate(case["steps"], 1):
                if problems := self._step(case["server"], raw):
                    return [f"step {number}: {problem}" for problem in problems]
            return []
        except Exception as error:
            return [f"step {number}: {type(error).__name__}: {error}"]
        finally:
            for call, outbox in self.open_calls:
                call.cancel()
                outbox.put(None)
            self.open_calls.clear()

    def _step(self, server: str, raw: dict[str, Any]) -> list[str]:
        step = json.loads(filled(json.dumps(raw), self.variables))
        problems: list[str] = []
        for _ in range(step.get("times", 1)):
            result = self.call(server, step)
            problems = list(differences(step["expect"], result, ""))
            if bool(problems) != step.get("until", False):
                break
        for name, path in step.get("save", {}).items():
            found: Any = result
            for part in path.split("."):
                found = found[int(part)] if isinstance(found, list) else found[part]
            self.variables[name] = found
        return problems


def outcome(error: Any, responses: list[Any]) -> dict[str, Any]:
    """How a failed call ended; its details under the names of their types."""
    status = rpc_status.from_call(error)
    details = [MessageToDict(each) for each in status.details] if status else []
    return {
        "code": error.code().name,
        "message": error.details(),
        "details": {each["@type"].rpartition("/")[2]: each for each in details},
        "responses": [MessageToDict(each) for each in responses],
    }


def filled(text: str, variables: dict[str, str]) -> str:
    """The text with each `${name}` replaced."""
    for name, value in variables.items():
        text = text.replace(f"${{{name}}}", value)
    return text


def differences(expected: Any, actual: Any, path: str) -> Iterator[str]:
    """Where the answer is not as expected. What the case does not name may be anything."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            yield from differences(value, child(actual, key), f"{path}.{key}")
    elif isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            yield f"{path}: {len(expected)} expected, not {json.dumps(actual)[:300]}"
            return
        for index, value in enumerate(expected):
            yield from differences(value, actual[index], f"{path}.{index}")
    elif not same(expected, actual):
        yield f"{path}: {json.dumps(expected)[:300]} expected, not {json.dumps(actual)[:300]}"


def child(actual: Any, key: str) -> Any:
    """A member of an object, an element of a list, or its `length`; None if there is none."""
    if isinstance(actual, list):
        return len(actual) if key == "length" else actual[int(key)] if int(key) < len(actual) else None
    return actual.get(key) if isinstance(actual, dict) else None


def same(expected: Any, actual: Any) -> bool:
    """Whether two plain values are the same. An absent field is one with its default."""
    if expected == "*":
        return actual not in (None, 0, "0", False, "", [], {})
    if isinstance(expected, str) and expected.startswith("~"):
        return expected[1:] in str(actual)
    if actual is None:
        return expected in (None, 0, "0", False, "")
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, int | float):
        return isinstance(actual, int | float) and float(expected) == float(actual)
    return bool(expected == actual)


def main() -> None:
    """Runs every case of the plan."""
    plan = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    stubs = Path(plan["contract"]).parent
    sys.path.insert(0, str(stubs))
    for path in sorted(stubs.rglob("*_pb2_grpc.py")):
        importlib.import_module(".".join(path.relative_to(stubs).with_suffix("").parts))
    client = Client(plan)
    for case in plan["cases"]:
        print(json.dumps({"case": case["name"], "problems": client.run(case)}), flush=True)


if __name__ == "__main__":
    main()
