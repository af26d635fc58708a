#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A checkpoint of random bf16 weights for a Llama's config.json, where only memory and time matter.
#   tests/bench/random_llama.sh CONFIG FOLDER [SHARDS [TOKENIZER]]
# CONFIG: a config.json; FOLDER: made here; TOKENIZER: a folder whose tokenizer files are copied.
# Weights repeat a block of 64 Ki numbers of either sign between 2^-7 and 2^-6, a standard deviation
# of 0.012; those of norms are 1.
set -eu
config=$1 out=$2 shards=${3:-1} tokenizer=${4:-}
field() { grep -oP "\"$1\": *\K[0-9]+|\"$1\": *\Ktrue" "$config" | head -n 1; }
vocab=$(field vocab_size) d=$(field hidden_size) layers=$(field num_hidden_layers) f=$(field intermediate_size)
heads=$(field num_attention_heads) kv=$(field num_key_value_heads) dh=$(field head_dim)
kv=${kv:-$heads} dh=${dh:-$((d / heads))}
mkdir -p "$out"
cp "$config" "$out/config.json"
[ -z "$tokenizer" ] || cp "$tokenizer"/tokenizer* "$out"
block=$(mktemp)
trap 'rm -f "$block"' EXIT

# little endian: 8 bits of mantissa and exponent, then sign and exponent
# shellcheck disable=SC2059 # the bytes are the format
printf "$(awk 'BEGIN { srand(1)
    for (i = 0; i < 65536; i++) printf "\\x%02x\\x%02x", int(rand() * 128), rand() < .5 ? 60 : 188 }')" >"$block"
for _ in 1 2 3 4 5 6; do cat "$block" "$block" >"$block.2" && mv "$block.2" "$block"; done # 8 MiB
weights() { # BYTES
    local left=$1 size
    size=$(stat -c %s "$block")
    for (( ; left >= size; left -= size)); do cat "$block"; done
    head -c "$left" "$block"
}
ones() { # BYTES
    head -c "$1" < <(yes $'\x80\x3f' | tr -d '\n')
}

tensors() { # "name rows columns", columns 0: a vector
    echo "model.embed_tokens.weight $vocab $d"
    for ((i = 0; i < layers; i++)); do
        local l=model.layers.$i
        printf "$l.%s\n" "input_layernorm.weight $d 0" "self_attn.q_proj.weight $((heads * dh)) $d" \
            "self_attn.k_proj.weight $((kv * dh)) $d" "self_attn.v_proj.weight $((kv * dh)) $d" \
            "self_attn.o_proj.weight $d $((heads * dh))" "post_attention_layernorm.weight $d 0" \
            "mlp.gate_proj.weight $f $d" "mlp.up_proj.weight $f $d" "mlp.down_proj.weight $d $f"
    done
    echo "model.norm.weight $d 0"
    [ "$(field tie_word_embeddings)" = true ] || echo "lm_head.weight $vocab $d"
}

shard() { # FILE, tensors on standard input
    local header='' at=0 name rows columns bytes list=()
    while read -r name rows columns; do
        bytes=$((2 * rows * (columns ? columns : 1)))
        header+="${header:+,}\"$name\":{\"dtype\":\"BF16\",\"shape\":[$rows$([ "$columns" = 0 ] || echo ",$columns")],"
        header+="\"data_offsets\":[$at,$((at + bytes))]}"
        at=$((at + bytes))
        list+=("$columns $bytes")
    done
    header="{$header}"
    local n=${#header} le=''
    for ((i = 0; i < 8; i++)); do le+=$(printf '\\x%02x' $((n >> 8 * i & 255))); done
    {
        # shellcheck disable=SC2059
        printf "$le"
        printf %s "$header"
        for t in "${list[@]}"; do
            if [ "${t% *}" = 0 ]; then ones "${t#* }"; else weights "${t#* }"; fi
        done
    } >"$1"
}

if [ "$shards" = 1 ]; then
    tensors | shard "$out/model.safetensors"
    exit
fi
total=$(tensors | wc -l) each=$((($(tensors | wc -l) + shards - 1) / shards)) map=''
for ((s = 1; s <= shards; s++)); do
    file=$(printf 'model-%05d-of-%05d.safetensors' "$s" "$shards")
    from=$(((s - 1) * each + 1)) to=$((s * each < total ? s * each : total))
    tensors | sed -n "${from},${to}p" | shard "$out/$file"
    map+=$(tensors | sed -n "${from},${to}p" | awk -v f="$file" '{ printf "\"%s\":\"%s\",", $1, f }')
done
echo "{\"metadata\":{},\"weight_map\":{${map%,}}}" >"$out/model.safetensors.index.json"
