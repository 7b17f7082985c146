#!/usr/bin/env bash
# The nightly recipe: release what was collected, train on it, and if the model is better, embed the catalogue with it,
# switch the index, and promote. docs/nightly.md explains each step.
#
#   ITEMS=catalogue.jsonl SWITCH_INDEX=./switch-index.sh examples/nightly.sh [OPTION OF `clickstream train`...]
#
# Environment:
#   ITEMS         The catalogue: JSON lines, each with `object_id` and the fields of the item template.
#   SWITCH_INDEX  A command of yours. It is called with the file of vectors and the model version, builds an index
#                 beside the one in use, and switches searches to both together. It may be called again with the same.
#   VECTORS       Folder for the vectors. Default: vectors.
#   MIN_SESSIONS  A night with fewer sessions in the batch trains nothing. Default: 1000.
#   NIGHT         Names this night. Default: the date (UTC). The same night may be run again after any failure: every
#                 step that is done already stays as it is.
#
# Exit code 0: done, or nothing to do tonight. Otherwise the code of the step that failed, as docs/reference/exit-codes.md
# lists them: 4 means run it again later.
set -euo pipefail
: "${ITEMS:?names the catalogue}" "${SWITCH_INDEX:?names the command that switches the index}"
vectors=${VECTORS:-vectors} night=${NIGHT:-$(date -u +%F)}

field() { # prints a field of the JSON object on stdin, as `jq -r .a.b` does: field a b
  python3 -c 'import functools, json, sys; print(functools.reduce(dict.get, sys.argv[1:], json.load(sys.stdin)))' "$@"
}

serving() { # prints the version that serves; nothing if none does
  clickstream models --json --limit 1000 |
    python3 -c 'import json, sys; print(*[each["model_version_id"] for each in map(json.loads, sys.stdin) if each["serving"]])'
}

# 1. Release. Code 5 with a batch on stdout: it has too few sessions and goes on collecting.
code=0
batch=$(clickstream release --release-id "night-$night" --min-sessions "${MIN_SESSIONS:-1000}" --json) || code=$?
if [ "$code" -eq 5 ] && [ -n "$batch" ]; then
  echo "nothing to do tonight"
  exit 0
fi
[ "$code" -eq 0 ] || exit "$code"

# 2. Train, and wait for the end. Without --base-model, the run starts from the version that serves, if there is one.
run=$(clickstream train "$(field batch_id <<<"$batch")" --run-id "night-$night" --watch --json "$@" | tail -n 1) || code=$?

# 3. The gate: is the model better, beyond noise, than the one that it started from?
if [ "$code" -eq 7 ]; then
  echo "no better model tonight"
  exit 0
fi
[ "$code" -eq 0 ] || exit "$code"
version=$(field model_version model_version_id <<<"$run")
base=$(field model_version parent_model_version_id <<<"$run")

# 4. Embed the catalogue. Code 3: some items have no text, and stderr says how many.
mkdir -p "$vectors"
file=$vectors/$version.npy
if [ ! -e "$file" ]; then # it appears when it is complete
  clickstream embed --file "$ITEMS" --out "$file" --model-version "$version" || code=$?
  [ "$code" -eq 0 ] || [ "$code" -eq 3 ] || exit "$code"
fi

# 5. Switch the index, vectors and version together. An older night that is run again must not switch it back.
now=$(serving)
if [ "$now" != "$base" ] && [ "$now" != "$version" ]; then
  echo "$now serves by now, and the gate compared $version with ${base:-the configured base model}: nothing was switched" >&2
  exit 5
fi
"$SWITCH_INDEX" "$file" "$version"

# 6. Promote, unless another version serves by now than the one that the gate compared with.
clickstream promote "$version" --expect "$base" --request-id "night-$night"
