"""The page that says which client passed which case."""

from conformance.plan import Case

HEAD = """# Conformance

Every client runs the same [cases](../tests/conformance/cases) against real servers. `scripts/conformance` runs them
and writes this page. [How it works](../tests/conformance/README.md).

"""
PROBLEM_CHARACTERS = 120
# Case → client → what is wrong.
Results = dict[str, dict[str, list[str]]]


def page(cases: list[Case], clients: list[str], results: Results) -> str:
    """The whole page: a row per case, a column per client, and the reasons of what does not apply."""
    rows = [f"| case | {' | '.join(clients)} |", f"|---|{'---|' * len(clients)}"]
    notes: dict[str, str] = {}
    for case in cases:
        cells = []
        for client in clients:
            if why := case.get("not_for", {}).get(client):
                notes.setdefault(why, f"[{len(notes) + 1}]")
                cells.append(f"does not apply {notes[why]}")
            else:
                problems = results.get(case["name"], {}).get(client, ["did not run"])
                cells.append("passed" if not problems else f"FAILED: {_cell(problems[0])}")
        rows.append(f"| {case['says']} (`{case['name']}`) | {' | '.join(cells)} |")
    return HEAD + "\n".join(rows) + "\n\n" + "".join(f"{number} {why}.\n" for why, number in notes.items())


def _cell(problem: str) -> str:
    return problem[:PROBLEM_CHARACTERS].replace("|", "/").replace("\n", " ")
