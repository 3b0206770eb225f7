# What the scripts beside this one share.

# stage NAME SECONDS COMMAND...: says what runs, what it should take on two processors, and what it took. Nothing fails for
# being slow.
stage() {
  local name=$1 budget=$2 start=$SECONDS
  shift 2
  echo "== $name (budget $budget s)"
  "$@"
  echo "== $name: $((SECONDS - start)) s of $budget s"
}

# install PACKAGE...: those that are missing.
install() {
  local missing=() package
  for package; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
  ((${#missing[@]})) || return 0
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"
}

# The instruction sets that Pacer has kernels for, and those that this machine can run.
instruction_sets() { echo sse2 avx2 avx512; }
own_instruction_sets() { .build/debug/bench-suite list backends | sed -n 's/^instruction sets: //p' | tr -d ,; }

# tests COMMAND...: runs tests, adds them up in $counts, and fails where one was skipped that should have run. What may be
# skipped here is what this machine cannot have: arithmetic in 16 bits, and the golden values outside of our own checkouts.
counts=${counts:-$(mktemp)}
tests() {
  local log status=0 allowed='cannot compute in float16'
  [ -d ../shared/golden ] || allowed+='|no folder ../shared'
  log=$(mktemp)
  "$@" >"$log" 2>&1 || status=$?
  grep -E '^✘|recorded an issue|^error:' "$log" | cut -c1-2000 || true
  grep '➜.*skipped' "$log" || true
  grep -E 'Test run with [0-9]+ tests' "$log" | tail -n 1 || tail -n 30 "$log"
  local all skipped failed
  all=$(sed -nE 's/.*Test run with ([0-9]+) tests.*/\1/p' "$log" | tail -n 1)
  skipped=$(grep -c '➜ Test .*skipped' "$log") || true
  failed=$(grep -c '^✘ Test ".*failed after' "$log") || true
  echo "$((${all:-0} - skipped - failed)) $failed $skipped" >>"$counts"
  if grep '➜.*skipped' "$log" | grep -vE "$allowed"; then
    echo "the tests above were skipped, and should run here" >&2
    status=1
  fi
  rm -f "$log"
  return "$status"
}

# The plain count of all tests that were run.
count() { awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s }' "$counts"; }

# README's commands: the lines of its blocks marked sh, one a line.
readme_commands() { awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside && !/^#/' "${1:-README.md}"; }
