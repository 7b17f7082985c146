"""The cases as the clients get them: one list, with every short form written out.

README.md in this folder describes the short forms.
"""

import json
import re
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "cases"
PACKAGE = "embedding_studio.clickstream.v1"
DOMAIN = "clickstream.embedding_studio"
COUNTER = "$i"
Case = dict[str, Any]


def cases() -> list[Case]:
    """Every case, in the order of the files and within them."""
    found: list[Case] = []
    for path in sorted(CASES.glob("*.json")):
        found += json.loads(path.read_text("utf-8"))
    return [{**case, "steps": [_step(step) for step in case["steps"]]} for case in found]


def _step(step: dict[str, Any]) -> dict[str, Any]:
    call = _full(step["call"])
    requests = step.get("requests", [step.get("request", {})])
    written = {**step, "call": call, "as": _full(step.get("as", call)), "requests": _built(requests)}
    written.pop("request", None)
    return {**written, "expect": _expected(_built(step["expect"]))}


def _full(call: str) -> str:
    return call if "." in call else f"{PACKAGE}.{call}"


def _built(value: Any) -> Any:
    """Writes out `{"$text": N}` and `{"$repeat": N, "of": …}`; `$i` in the latter is a number of four digits."""
    if isinstance(value, list):
        return [_built(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "$text" in value:
        return "a" * int(value["$text"])
    if "$repeat" in value:
        one = json.dumps(_built(value["of"]))
        repeated = [json.loads(one.replace(COUNTER, f"{number:04d}")) for number in range(value["$repeat"])]
        return repeated + _built(value.get("then", []))
    return {key: _built(each) for key, each in value.items()}


def _expected(expect: dict[str, Any]) -> dict[str, Any]:
    """Writes `reason`, `fields`, `retry` and `quota` as the details that they stand for."""
    written = {"code": "OK", **expect}
    details: dict[str, Any] = written.setdefault("details", {})
    if reason := written.pop("reason", None):
        info = {"reason": f"ERROR_REASON_{reason}", "domain": DOMAIN, "metadata": written.pop("metadata", {})}
        details["google.rpc.ErrorInfo"] = info
    if fields := written.pop("fields", None):
        violations = [{"field": field, "reason": f"ERROR_REASON_{why}"} for field, why in fields.items()]
        details["google.rpc.BadRequest"] = {"fieldViolations": violations}
    if written.pop("retry", False):
        details["google.rpc.RetryInfo"] = {"retryDelay": "*"}
    if written.pop("quota", False):
        details["google.rpc.QuotaFailure"] = {"violations": "*"}
    if "response" in written:
        written["responses"] = [written.pop("response")]
    return written


def called(all_cases: list[Case]) -> set[str]:
    """The methods that the cases call, as `package.Service/Method`."""
    return {step["call"] for case in all_cases for step in case["steps"]}


def reasons(all_cases: list[Case]) -> set[str]:
    """The error reasons that the cases expect, without the prefix of their enum."""
    return set(re.findall(r"ERROR_REASON_(\w+)", json.dumps([case["steps"] for case in all_cases])))
