# SPDX-License-Identifier: Apache-2.0
"""Writes tests/generate: tiny decoders with random weights, and what transformers' generate makes
of prompts with them.

    python make_generate_cases.py OUT_DIR

Each case is a folder with a Hugging Face model (bf16 weights, computed in f32) and expected.json:
    prompts     token ids
    greedy      what generate(do_sample=False) gives behind each, end token included
    penalised   the same with repetition_penalty=1.3
    text        of prompt and greedy completion, without the end token ("text" alone)
    margin      the smallest lead of a chosen token, in logits: rounding must not turn one
"text" has a tokenizer and a chat template as well. Needs torch, transformers, tokenizers, peft.
"""
import json
import pathlib
import shutil
import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

BASE = dict(vocab_size=96, hidden_size=16, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=24, max_position_embeddings=96,
            attention_dropout=0.0, initializer_range=0.4, bos_token_id=1, eos_token_id=2,
            pad_token_id=0, head_dim=4)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=32)
GEMMA = dict(BASE, sliding_window=8, query_pre_attn_scalar=4, num_hidden_layers=4)
CASES = {
    "llama": ("llama", dict(BASE, rope_parameters=LLAMA3)),
    "llama-tied": ("llama", dict(BASE, tie_word_embeddings=True, num_key_value_heads=1)),
    "mistral": ("mistral", dict(BASE, sliding_window=8)),
    "qwen2": ("qwen2", BASE),
    "qwen3": ("qwen3", dict(BASE, head_dim=6)),
    "gemma2": ("gemma2", dict(GEMMA, attn_logit_softcapping=3.0, final_logit_softcapping=5.0)),
    "gemma3": ("gemma3_text", dict(GEMMA, sliding_window_pattern=2)),
    "phi3": ("phi3", {k: v for k, v in BASE.items() if k != "head_dim"}),
    "gpt2": ("gpt2", dict(vocab_size=96, n_embd=16, n_layer=3, n_head=4, n_positions=96,
                          resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
                          initializer_range=0.4, bos_token_id=1, eos_token_id=2)),
    "lora": ("llama", BASE),
    "text": ("llama", dict(BASE, vocab_size=384)),
}
LENGTHS = [1, 5, 17, 40, 3, 9]
NEW = 24


def complete(model, ids, **options):
    out = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=NEW,
                         attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                         output_logits=True, return_dict_in_generate=True, **options)
    new = out.sequences[0, len(ids):].tolist()
    lead = 1e9
    for step in out.logits:
        top = step[0].topk(2).values
        lead = min(lead, float(top[0] - top[1]))
    return new, lead


def end_token(texts):
    """A token that ends one of the texts somewhere behind its beginning and few others."""
    def spoilt(t):
        return sum(t in x for x in texts)
    candidates = {t for x in texts for t in x if 4 <= x.index(t) <= 20}
    return min(sorted(candidates) or [2], key=spoilt)


def sentencepiece_style(folder):
    """A tokenizer in Llama 2's style: words behind U+2581, bytes for what is not known."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors, trainers
    text = ["the cat sat on the mat and the dog sat on the log", "what is the name of the cat",
            "a red dog and a blue cat", "say yes or no to the question", "user assistant system"]
    trainer = trainers.BpeTrainer(vocab_size=110, show_progress=False)
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.train_from_iterator(text, trainer)
    learnt = json.loads(learner.to_str())["model"]
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for i in range(256):
        vocab[f"<0x{i:02X}>"] = len(vocab)
    for piece in sorted(learnt["vocab"], key=learnt["vocab"].get):
        vocab.setdefault(piece, len(vocab))
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in learnt["merges"]]
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=True, fuse_unk=True,
                               unk_token="<unk>"))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                     decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False)
                            for t in ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")])
    tok.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B",
                                                       special_tokens=[("<s>", 1)])
    tok.save(str(folder / "tokenizer.json"))
    chatml = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
              "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
              "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
    (folder / "tokenizer_config.json").write_text(json.dumps(
        dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", chat_template=chatml,
             tokenizer_class="LlamaTokenizerFast"), indent=2) + "\n")
    return tok


def sound(text):
    """What may end up in a test: no margin that rounding could turn."""
    return text["margin"] > 2e-3


def make(name, out, seed):
    kind, cfg = CASES[name]
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **cfg), attn_implementation="eager").eval()
    with torch.no_grad():  # norms and biases are not all alike either
        for p in model.parameters():
            if p.ndim == 1:
                p.add_(torch.randn_like(p) * 0.1)
            p.copy_(p.to(torch.bfloat16))
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    base = model
    if name == "lora":
        from peft import LoraConfig, get_peft_model
        model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM",
                                                 target_modules=["q_proj", "up_proj", "down_proj"]))
        for n, p in model.named_parameters():
            if "lora_" in n:
                torch.nn.init.normal_(p, std=0.3)
        model.eval()
    tok = sentencepiece_style(folder) if name == "text" else None
    g = torch.Generator().manual_seed(seed)
    prompts = [torch.randint(3, cfg["vocab_size"], (n,), generator=g).tolist() for n in LENGTHS]
    if tok:
        prompts = [tok.encode(t).ids for t in ("the cat", "say yes or", "Grüße 日本, what is", "")]
    base.generation_config = GenerationConfig(bos_token_id=1)
    free = [complete(model, p)[0] for p in prompts]
    base.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=[2, end_token(free)])
    result = dict(prompts=prompts, margin=1e9, greedy=[], penalised=[])
    for p in prompts:
        for key, options in (("greedy", {}), ("penalised", dict(repetition_penalty=1.3))):
            new, lead = complete(model, p, **options)
            result[key].append(new)
            result["margin"] = min(result["margin"], lead)
    if tok:
        ends = base.generation_config.eos_token_id
        result["text"] = [tok.decode(p + [t for t in n if t not in ends])
                          for p, n in zip(prompts, result["greedy"])]
    if name == "lora":
        model.save_pretrained(folder / "adapter")
        (folder / "adapter" / "README.md").unlink(missing_ok=True)
        base = model.unload()
    base.to(torch.bfloat16).save_pretrained(folder)
    (folder / "expected.json").write_text(json.dumps(result) + "\n")
    return result


def main():
    out = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)
    for name in CASES:
        for seed in range(1, 60):
            result = make(name, out, seed)
            if sound(result) and len({len(n) for n in result["greedy"]}) > 1:
                break
        else:
            sys.exit(f"{name}: no seed without a near tie")
        print(f"{name}: seed {seed}, margin {result['margin']:.4f}, "
              f"lengths {[len(n) for n in result['greedy']]}")


if __name__ == "__main__":
    main()
