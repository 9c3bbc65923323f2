#!/usr/bin/env bash
# `millrace bench` with a node of its own: prints every key, and leaves nothing behind, also when it
# is interrupted. Nothing here looks at how fast anything was.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
millrace=${MILLRACE_BUILD:-$root/build}/millrace
[[ -x $millrace ]] || { echo "$millrace is not built"; exit 77; }

TMPDIR=$(mktemp -d /var/tmp/millrace-interop-bench-XXXXXX)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

fail() { echo "FAIL $*"; exit 1; }

check_nothing_left() {
  local left
  left=$(find "$TMPDIR" -mindepth 1 -path '*millrace-bench-*' | head -n 3)
  [[ -z $left ]] || fail "$1: left behind: $left"
  if pgrep -f -- "$TMPDIR" > /dev/null; then fail "$1: processes left behind"; fi
}

"$millrace" bench rtt --self --path udp --count 100 -o json > "$TMPDIR/rtt.json"
python3 - "$TMPDIR/rtt.json" << 'PYTHON'
import json, sys

document = json.load(open(sys.argv[1]))
keys = """path ack size_bytes count p50_ns p99_ns p999_ns p9999_ns max_ns records_per_s bytes_per_s
          durability floor_p50_ns floor_p99_ns ratio_p50 ratio_p99""".split()
missing = [key for key in keys if key not in document]
assert not missing, f"missing keys: {missing}"
assert (document["path"], document["ack"]) == ("udp", "durable"), document
assert document["count"] == 100 and document["size_bytes"] == 128, document
assert 0 < document["p50_ns"] <= document["p99_ns"] <= document["max_ns"], document
assert document["durability"] in ("plp", "fua", "flush", "unsafe"), document
assert document["ratio_p50"] is None, document
PYTHON
check_nothing_left "rtt"
echo "ok rtt prints every key and leaves nothing behind"

"$millrace" bench throughput --self --path udp --ack memory --count 20000 --partitions 3 \
  --with-floor -o json > "$TMPDIR/throughput.json"
python3 - "$TMPDIR/throughput.json" << 'PYTHON'
import json, sys

document = json.load(open(sys.argv[1]))
assert document["count"] == 20000 and document["partitions"] == 3, document
assert document["records_per_s"] > 0 and document["floor_bytes_per_s"] > 0, document
PYTHON
check_nothing_left "throughput"
echo "ok throughput over three partitions beside its floor"

"$millrace" bench rtt --self --path udp --count 500000 > "$TMPDIR/interrupted.txt" 2>&1 &
bench=$!
until pgrep -f -- "millraced.*$TMPDIR" > /dev/null; do
  kill -0 $bench 2> /dev/null || fail "the bench ended by itself: $(cat "$TMPDIR/interrupted.txt")"
  sleep 0.1
done
kill -INT $bench
status=0
wait $bench || status=$?
[[ $status -eq 130 ]] || fail "interrupted: exit status $status: $(cat "$TMPDIR/interrupted.txt")"
check_nothing_left "interrupted"
echo "ok an interrupted run leaves nothing behind"

status=0
"$millrace" bench rtt --path memif > "$TMPDIR/usage.txt" 2>&1 || status=$?
[[ $status -eq 2 ]] || fail "memif without a node: exit status $status"
grep -q -- '--self' "$TMPDIR/usage.txt" || fail "memif without a node: no hint"
echo "ok memif without a node says what to give"
