#!/usr/bin/env bash
# Everything that needs a GPU, with the python3, torch and nvcc of this machine; nothing is downloaded.
#
#   bench/on_gpu.sh [build] [test] [sanitize] [bench]     all four where none is named
#
# A step that fails does not keep the next from being tried; the last lines say how each went. What is written:
# bench/results/<gpu>-<date>.{log,md,json}.
set -uo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
export PATH="$PATH:/usr/local/cuda/bin"
export PYTHONUNBUFFERED=1 CI=true NETSCULPT_CUDA=1

gpu=$("$PYTHON" -c 'import re, torch; print(re.sub(r"\W+", "-", torch.cuda.get_device_name()).lower())' 2>/dev/null) || {
  echo "on_gpu.sh: $PYTHON has no torch that sees a GPU" >&2
  exit 2
}
# Only this GPU's architecture, where none is asked for: a quarter of the time to compile.
export TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST:-$("$PYTHON" -c \
  'import torch; print("{}.{}".format(*torch.cuda.get_device_capability()))')}
mkdir -p bench/results
results=bench/results/$gpu-$(date +%F)

build() {
  rm -f build/built-*  # what make built in place is replaced
  "$PYTHON" setup.py -q build_ext --inplace && "$PYTHON" - <<'PY'
import json, netsculpt
info = netsculpt.build_info()
print(json.dumps(info, indent=2))
assert info["cpu_library"] == info["cuda_library"] == "loaded"
PY
}

run_tests() { "$PYTHON" -m pytest -q --durations=10; }

# Only our kernels are instrumented, and torch's allocator is told to keep nothing, so that reading past a tensor's end
# is reading past an allocation's end.
sanitize() {
  local tool failed=0
  for tool in memcheck racecheck synccheck; do
    echo "-- $tool"
    PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool "$tool" --target-processes all \
      --kernel-name kns=netsculpt --error-exitcode 9 \
      "$PYTHON" -m pytest -q -x tests/ops -k "cuda and not compiles" --hypothesis-profile=few || failed=1
  done
  return $failed
}

run_bench() { "$PYTHON" -m bench --device cuda --markdown "$results.md" --json "$results.json"; }

declare -A how=([build]=build [test]=run_tests [sanitize]=sanitize [bench]=run_bench)
steps=("$@")
[ $# -gt 0 ] || steps=(build test sanitize bench)

summary=() status=0
for step in "${steps[@]}"; do
  if [ -z "${how[$step]:-}" ]; then
    echo "on_gpu.sh: no step named $step" >&2
    exit 2
  fi
  echo "== $step" | tee -a "$results.log"
  start=$SECONDS
  if "${how[$step]}" 2>&1 | tee -a "$results.log"; then outcome=ok; else outcome=FAILED status=1; fi
  summary+=("$step: $outcome, $((SECONDS - start)) s")
done
printf '%s\n' "" "== $gpu" "${summary[@]}" | tee -a "$results.log"
exit $status
