#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every wrong input gets one line that names it, a non-zero exit, and leaves nothing half-written.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
model model
texts train.tsv 24 1
config run.yaml
train() { refuses "$1" 1 "$2" "$tt" train run.yaml "${@:3}"; }

# --- the command line ---
"$tt" >/dev/null 2>&1
[ $? = 2 ] && ok "no command" || fail "no command" "exit code not 2"
refuses "unknown command" 2 'trian' "$tt" trian
refuses "unknown option" 2 'frobnicate' "$tt" train run.yaml --frobnicate
refuses "option without its value" 2 'device' "$tt" train run.yaml --device
refuses "train without a file" 2 'config|usage' "$tt" train
refuses "verify without a case" 2 'case|usage' "$tt" verify
check "help" "$tt" --help
for c in train eval predict plan verify devices tokenize tune bench; do
    check "$c --help" "$tt" "$c" --help
done

# --- the description of a run ---
refuses "no such description" 1 'none\.yaml' "$tt" train none.yaml
bad() { # NAME PATTERN LINE...
    local name=$1 pattern=$2
    shift 2
    config bad.yaml "$@"
    refuses "$name" 1 "$pattern" "$tt" train bad.yaml
}
bad "unknown section" 'bad\.yaml:1[0-9]: .*opimizer' 'opimizer:' '  lr: 3'
bad "unknown key" 'bad\.yaml:1[0-9]: .*kep' 'select:' '  kep: 0.3'
bad "wrong type" 'bad\.yaml:1[0-9]: .*keep' 'select:' '  keep: [1, 2]'
bad "a word for a number" 'bad\.yaml:1[0-9]: .*rank' 'method:' '  name: lora' '  rank: many'
bad "unknown choice" 'bad\.yaml:1[0-9]: .*name' 'method:' '  name: loqra'
bad "broken YAML" 'bad\.yaml:1[0-9]' 'select: {keep: 0.3'
: >empty.yaml
refuses "empty description" 1 'model\.path|data\.train|empty' "$tt" train empty.yaml
over() { refuses "$1" 2 "$2" "$tt" train run.yaml "$3"; }
over "learning rate NaN" 'train\.lr.*nan' train.lr=nan
over "learning rate 0" 'train\.lr' train.lr=0
over "learning rate below 0" 'train\.lr' train.lr=-1e-3
over "learning rate infinite" 'train\.lr' train.lr=inf
over "keep 0" 'select\.keep' select.keep=0
over "keep below 0" 'select\.keep' select.keep=-0.5
over "keep NaN" 'select\.keep' select.keep=nan
over "batch 0" 'train\.batch' train.batch=0
over "batch not whole" 'train\.batch' train.batch=2.5
over "trailing letters" 'train\.batch' train.batch=4x
over "epochs below 0" 'train\.epochs' train.epochs=-1
over "dropout 1" 'model\.hidden_dropout' model.hidden_dropout=1
over "number too large" 'train\.steps' train.steps=99999999999999999999
over "unknown key given" 'train\.lrr' train.lrr=1
over "no value given" 'train\.lr' train.lr=
refuses "unknown module for an adapter" 1 'targets' "$tt" train run.yaml method.name=lora \
    method.targets=nosuchlayer

# --- the model ---
broken() { # NAME PATTERN COMMAND...: changes a fresh copy of the model, in whose folder it runs
    local name=$1 pattern=$2
    shift 2
    model broken
    (cd broken && "$@") || fail "$name" "could not be set up"
    refuses "$name" 1 "$pattern" "$tt" train run.yaml model.path=broken
}
cut_to() { head -c "$2" "$1" >x && mv x "$1"; }
put() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
size() { stat -c %s "$1"; }
first() { echo $((8 + $(od -An -t u8 -N 8 "$1"))); } # offset of the first number in a safetensors file
nan_first() { put model.safetensors "$(first model.safetensors)" '\x00\x00\xc0\x7f'; }
inf_first() { put model.safetensors "$(first model.safetensors)" '\x00\x00\x80\x7f'; }
f=model.safetensors
train "no such model" 'nowhere' model.path=nowhere
train "a file for a model" 'run\.yaml' model.path=run.yaml
broken "no config.json" 'config\.json' rm config.json
broken "config.json cut" 'config\.json' cut_to config.json 100
broken "config.json empty" 'config\.json' cut_to config.json 0
broken "unknown architecture" 'config\.json.*frobnet' \
    sed -i 's/"model_type": "bert"/"model_type": "frobnet"/' config.json
broken "no model_type" 'model_type' sed -i '/"model_type"/d' config.json
broken "unknown activation" 'hidden_act.*swoosh' sed -i 's/"hidden_act": "gelu"/"hidden_act": "swoosh"/' config.json
broken "heads do not divide" 'heads|hidden_size' \
    sed -i 's/"num_attention_heads": 4/"num_attention_heads": 5/' config.json
broken "size 0" 'hidden_size|intermediate_size' sed -i 's/"hidden_size": 32/"hidden_size": 0/' config.json
broken "size below 0" 'num_hidden_layers' sed -i 's/"num_hidden_layers": 3/"num_hidden_layers": -3/' config.json
broken "layers without end" 'num_hidden_layers' \
    sed -i 's/"num_hidden_layers": 3/"num_hidden_layers": 10000000/' config.json
broken "size a word" 'vocab_size' sed -i 's/"vocab_size": 96/"vocab_size": "many"/' config.json
broken "relative positions" 'position_embedding_type|relative' \
    sed -i 's/"hidden_size"/"position_embedding_type": "relative_key", "hidden_size"/' config.json
broken "wrong shapes" 'model\.safetensors.*(56|57)|(56|57).*model\.safetensors|intermediate.*(57|56)' \
    sed -i 's/"intermediate_size": 56/"intermediate_size": 57/' config.json
broken "layers missing" 'layer\.3' sed -i 's/"num_hidden_layers": 3/"num_hidden_layers": 4/' config.json
broken "vocabulary too small" 'word_embeddings|vocab' sed -i 's/"vocab_size": 96/"vocab_size": 95/' config.json
broken "no weights" 'safetensors' rm $f
broken "weights empty" 'model\.safetensors' cut_to $f 0
broken "weights cut in the header" 'model\.safetensors' cut_to $f 60
broken "weights cut in the data" 'model\.safetensors' cut_to $f 100000
broken "weights one byte short" 'model\.safetensors' cut_to $f $(($(size model/$f) - 1))
broken "header longer than the file" 'model\.safetensors' put $f 0 '\xff\xff\xff\x7f'
broken "header length absurd" 'model\.safetensors' put $f 0 '\xff\xff\xff\xff\xff\xff\xff\xff'
broken "header no JSON" 'model\.safetensors' put $f 8 'nonsense'
broken "weights NaN" 'model\.safetensors.*(finite|nan)' nan_first
broken "weights infinite" 'model\.safetensors.*(finite|inf)' inf_first
broken "no tokenizer" 'tokenizer\.json|vocab\.txt' rm vocab.txt
broken "tokenizer.json cut" 'tokenizer\.json' sh -c 'printf "{\"version\": " >tokenizer.json'
broken "tokenizer.json of an unknown kind" 'tokenizer\.json' \
    sh -c 'printf "{\"model\": {\"type\": \"Abacus\", \"vocab\": {}}}" >tokenizer.json'
broken "vocabulary larger than the model's" 'vocab|token' \
    sh -c 'sed -i "s/^film$/nothing/" vocab.txt; printf "film\nfood\nday\n" >>vocab.txt'
model broken bert-small-shards
head -n 40 broken/vocab.txt >vocab && mv vocab broken/vocab.txt
rm -f broken/model-00002-of-00004.safetensors
refuses "a shard missing" 1 '00002-of-00004' "$tt" train run.yaml model.path=broken

refuses "adapters on random weights" 1 'random_weights' "$tt" train run.yaml method.name=lora \
    model.random_weights=true

# --- the data ---
lines() { # NAME PATTERN FILE LINE... (printf)
    local name=$1 pattern=$2 file=$3
    shift 3
    printf "$@" >"$file"
    refuses "$name" 1 "$pattern" "$tt" train run.yaml data.train="$file"
}
train "no such data" 'missing\.tsv' data.train=missing.tsv
train "a folder for data" 'model' data.train=model
train "unknown kind of file" 'data\.bin' data.train=data.bin
lines "data empty" 'none\.tsv' none.tsv ''
lines "only a header" 'head\.tsv' head.tsv 'text\tlabel\n'
lines "label column missing" 'label' col.tsv 'text\tclass\ngood\tyes\nbad\tno\n'
lines "text column missing" 'text' col2.tsv 'words\tlabel\ngood\tyes\nbad\tno\n'
lines "label missing in a line" 'short\.tsv.*3|line 3' short.tsv 'text\tlabel\ngood\tyes\nbad\nfine\tyes\n'
lines "label empty in a line" 'blank\.tsv.*3|line 3' blank.tsv 'text\tlabel\ngood\tyes\nbad\t\nfine\tyes\n'
lines "one class only" 'one\.tsv|class|label' one.tsv 'text\tlabel\ngood\tyes\nfine\tyes\n'
lines "JSONL broken" 'broken\.jsonl.*2|line 2' broken.jsonl '{"text":"good","label":"a"}\n{"text": "bad\n'
lines "JSONL without label" 'nolabel\.jsonl.*2|line 2' nolabel.jsonl '{"text":"good","label":"a"}\n{"text":"bad"}\n'
lines "JSONL text no string" 'number\.jsonl.*2|line 2' number.jsonl \
    '{"text":"good","label":"a"}\n{"text":[1],"label":"b"}\n'
lines "JSONL a list" 'list\.jsonl.*1|line 1' list.jsonl '[1,2]\n[3,4]\n'
lines "CSV quote open" 'open\.csv' open.csv 'text,label\n"good,yes\nbad,no\n'
printf 'text\tlabel\ngood\t1.5\nbad\tmuch\n' >words.tsv
refuses "target a word" 1 'words\.tsv.*3|line 3' "$tt" train run.yaml data.train=words.tsv task=regress
printf 'text\tlabel\ngood\t1.5\nbad\tnan\n' >nan.tsv
refuses "target NaN" 1 'nan\.tsv.*3|line 3' "$tt" train run.yaml data.train=nan.tsv task=regress
printf 'text\tlabel\ngood\tperhaps\n' >eval.tsv
train "evaluation with an unknown label" 'perhaps' data.eval=eval.tsv
printf 'text,label\ngood,"per\nhaps\033[1m"\n' >eval.csv
train "a label with a line break" 'per haps [^\0-\x1f]+$' data.eval=eval.csv
train "shots more than there are" '1000000' data.shots=1000000
train "all held back" 'eval_count|held|eval' data.eval_count=24
train "longer than the model" 'max_len|512|64' data.max_len=65

# --- the device ---
mkdir nodevices
OCL_ICD_VENDORS=$work/nodevices refuses "no OpenCL device" 1 'OpenCL|device' "$tt" train run.yaml
OCL_ICD_VENDORS=$work/nodevices refuses "no device to list" 1 'OpenCL|device|pocl' "$tt" devices
train "no such device" 'gpu99' --device gpu99
TT_DEVICE=99 refuses "no such device in the environment" 1 'TT_DEVICE' "$tt" train run.yaml
TT_DEVICE_MEMORY=64k refuses "too little memory" 1 'memory|bytes|MiB|KiB' "$tt" train run.yaml
TT_MAX_ALLOC=1k refuses "allocations too small" 1 'alloc|memory|KiB|bytes' "$tt" train run.yaml
train "unknown GEMM provider" 'abacus' --gemm abacus

# --- the output ---
train "output below a file" 'run\.yaml' output.dir=run.yaml/sub
"$tt" train run.yaml output.dir=taken >log 2>&1 || fail "a run to be in the way" "$(tail -n 1 log)"
train "an earlier run in the way" 'taken.*--resume' output.dir=taken
refuses "resuming another run" 1 'train\.lr|lr' "$tt" train run.yaml output.dir=taken train.lr=1e-5 --resume
printf 'text\tlabel\ngood film\tyes\nbad film\tno\n' >other.tsv
train "resuming with other data" 'data|train' output.dir=taken data.train=other.tsv --resume

# --- the other commands ---
refuses "eval without a model" 1 'nowhere' "$tt" eval nowhere train.tsv
refuses "predict without a model" 1 'nowhere' "$tt" predict nowhere train.tsv
refuses "tokenize without a model" 1 'nowhere' "$tt" tokenize --model nowhere text
refuses "plan without a model" 1 'nowhere' "$tt" plan --model nowhere
refuses "bench without a model" 1 'nowhere' "$tt" bench step --model nowhere
refuses "plan with a bad number" 2 'batch' "$tt" plan --model model --batch -3
refuses "plan longer than the model" 1 'seq' "$tt" plan --model model --seq 65
refuses "eval without data" 2 'DATA|data' "$tt" eval model
refuses "eval on no such data" 1 'missing\.tsv' "$tt" eval model missing.tsv
refuses "predict on no such file" 1 'missing\.txt' "$tt" predict model missing.txt

# --- verify: its verdicts are on standard output ---
verdict() { # NAME PATTERN CASE
    "$tt" verify --gemm tile "$3" >log 2>&1
    if [ $? = 1 ] && grep -qP "^FAIL .*$2" log; then ok "$1"; else fail "$1" "$(tail -n 2 log | tr '\n' ' ')"; fi
}
cp -r "$root/tests/cases/bert-small-lora-1" case
chmod -R u+w case
verdict "verify nowhere" 'nowhere' nowhere
put case/expected.safetensors $(($(size case/expected.safetensors) - 4)) '\x00\x00\x80\x41'
verdict "verify sees a wrong number" 'error' case
put case/expected.safetensors $(($(size case/expected.safetensors) - 4)) '\x00\x00\xc0\x7f'
verdict "verify sees NaN" '' case
cp "$root/tests/cases/bert-small-lora-1/expected.safetensors" case
sed -i 's/grad\.base_model\.model\.classifier\.bias/dumm.base_model.model.classifier.bias/' case/expected.safetensors
verdict "verify misses a tensor" 'classifier\.bias' case
printf '{' >case/case.json
verdict "verify of a broken case.json" 'case\.json' case
finish
