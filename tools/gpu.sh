#!/usr/bin/env bash
# Measures what needs a GPU, on a machine that has one and nothing else of ours: speed of training beside PyTorch,
# gradients of the CUDA runtimes against those of the CPU, the message when memory runs out, the paper's grid.
#
#   tools/gpu.sh BIN DATA OUT
#
#   BIN   a folder with `temper`, `temper-torch` and the example `train_step`, built anywhere with the libtorch
#         version that this machine's PyTorch has
#   DATA  a folder of photographs larger than 200 pixels a side
#   OUT   where each step leaves NAME.log, and summary.tsv its exit status and seconds
#
# Environment: DEVICE=cpu tries every step without a GPU, on a small network [default: cuda];
# ORT_DYLIB_PATH names ONNX Runtime's library, beside which its CUDA provider lies; PYTHON an interpreter with
# torch [default: python3]; ONLY="speed-amp grid" runs these steps alone. A step that fails does not stop the others.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=$(realpath "${1:?usage: gpu.sh BIN DATA OUT}"); data=$(realpath "${2:?}"); mkdir -p "${3:?}"; out=$(realpath "$3")
device=${DEVICE:-cuda}; python=${PYTHON:-python3}; failed=0

# PyTorch's own libraries, and the CUDA ones that were installed beside it.
LIBTORCH=$("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))') || exit 2
cuda=$(find "$LIBTORCH/../nvidia" -maxdepth 2 -name lib -printf '%p:' 2> /dev/null)
export LIBTORCH LD_LIBRARY_PATH=$LIBTORCH/lib:$cuda${LD_LIBRARY_PATH:-}
if [ "$device" = cpu ]; then
    size=small turns=3 ort=ort torch=torch steps=60 images=2 crop=32 batch=4 patch=16 patience=4
else
    size=full turns=15 ort=ort:cuda torch=torch:cuda steps=400 images=20 crop=96 batch=16 patch=48 patience=1
fi
mkdir -p "$out/images"
find "$data" -maxdepth 1 -type f | sort | head -n $images | xargs -I{} ln -sf {} "$out/images/"
printf 'step\tstatus\tseconds\n' > "$out/summary.tsv"

# step NAME LIMIT COMMAND...: runs it for at most LIMIT seconds.
step() {
    local name=$1 limit=$(($2 * patience)); shift 2
    case " ${ONLY:-$name} " in *" $name "*) ;; *) return ;; esac
    local start=$SECONDS
    timeout "$limit" "$@" > "$out/$name.log" 2>&1
    local status=$?
    printf '%s\t%d\t%d\n' "$name" "$status" $((SECONDS - start)) | tee -a "$out/summary.tsv"
    [ $status -eq 0 ] || failed=1
}

speed() { # PRECISION FLAGS...
    "$python" tests/scripts/pytorch_train_step.py "$bin/train_step" "$data" --device "$device" --size $size \
        --turns $turns --batch $batch --patch $patch --pause 0 --at-most 1.0 "$@"
}

train() { # OUT STEPS FLAGS...
    local to=$1 count=$2; shift 2
    "$bin/temper" harden --no-audit --arch edsr --size $size --steps "$count" --batch $batch --patch $patch \
        --device "$device" --data "$data" --out "$to" --overwrite "$@"
}

machine() {
    nvidia-smi || [ "$device" = cpu ] || return 1
    "$python" -c 'import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())' &&
        "$bin/temper" doctor
}

# The message names the batch that fits; a batch of millions fits nowhere.
out_of_memory() {
    [ "$device" = cpu ] && { echo "needs a GPU: a CPU swaps before it refuses"; return 0; }
    local said
    said=$("$bin/temper" harden --no-audit --arch edsr --size full --steps 1 --batch 65536 --patch 48 \
        --device "$device" --data "$data" --out "$out/memory" --overwrite 2>&1) && { echo "it fitted"; return 1; }
    echo "$said"
    grep -qi 'batch' <<< "$said"
}

two_at_once() {
    train "$out/first" $steps & local one=$!
    train "$out/second" $steps & local two=$!
    wait $one && wait $two
}

runtimes() { # gradients and outputs of the device's runtimes against the CPU's, and attacks from each on each
    "$bin/temper" parity "$out/trained/model.onnx" --runtime "ort,$ort,$torch" --tolerance rel=1e-4 --images "$out/images" &&
        "$bin/temper" audit "$out/trained/model.onnx" --images "$out/images" --crop $crop --attack apgd \
            --budget 4 --iterations 20 --runtime "ort,$ort,$torch" --out "$out/runtimes" --no-cache
}

grid() { # the paper's: 1, 2, 4, 8, 16, 32/255, I-FGSM of 50 steps
    "$bin/temper" audit "$out/trained/model.onnx" --truth "$out/images" --crop $crop --attack ifgsm \
        --budget 1,2,4,8,16,32 --iterations 50 --batch 8 --runtime "$ort" --out "$out/grid" --no-cache
}

export -f speed train machine out_of_memory two_at_once runtimes grid
export bin data out device python size turns ort torch steps images crop batch patch
run() { local name=$1 limit=$2; shift 2; step "$name" "$limit" bash -c "$*"; }

run machine 60 machine
run speed-float32 90 NVIDIA_TF32_OVERRIDE=0 speed
run speed-tf32 90 speed
run speed-amp 90 speed --amp
run train 90 'train "$out/trained" $steps'
run out-of-memory 60 out_of_memory
run two-at-once 120 two_at_once
run runtimes 120 NVIDIA_TF32_OVERRIDE=0 runtimes
run grid 180 grid
exit $failed
