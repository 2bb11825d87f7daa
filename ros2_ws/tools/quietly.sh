#!/usr/bin/env bash
# Runs a long command with its output in a log and one line of progress on the terminal.
#
#   quietly.sh <log> <what it does> <command...>
#
# When the command fails, the last lines of the log are shown.
set -uo pipefail

log=$1 what=$2
shift 2
mkdir -p "$(dirname "$log")"
start=$SECONDS
"$@" >"$log" 2>&1 &
child=$!
trap 'kill -INT "$child" 2>/dev/null; wait "$child"; exit 130' INT TERM

echo "$what (log: $log)"
while kill -0 "$child" 2>/dev/null; do
  if [[ -t 1 ]]; then
    printf '\r\033[K  %3ds  %.90s' $((SECONDS - start)) "$(tail -n 1 "$log" | tr -d '\r')"
  fi
  sleep 0.5
done
if [[ -t 1 ]]; then printf '\r\033[K'; fi

if ! wait "$child"; then
  echo "FAILED after $((SECONDS - start)) s: $what. The end of $log:" >&2
  tail -n 25 "$log" >&2
  exit 1
fi
echo "  done in $((SECONDS - start)) s"
