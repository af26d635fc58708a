# SPDX-License-Identifier: Apache-2.0
"""Writes tests/eval: two tiny decoders, questions in the shapes of published data sets, and what
lm-evaluation-harness (PyPI lm_eval) makes of them with its own task definitions.

    HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 python tests/ref/eval_cases.py
"""
import importlib.util, json, os, pathlib, random, shutil, sys, types

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
for missing in ("sacrebleu", "rouge_score"):  # TruthfulQA's other metrics ask for them
    if importlib.util.find_spec(missing) is None:
        sys.modules[missing] = types.SimpleNamespace(rouge_scorer=None, scoring=None)
import lm_eval, torch, transformers, yaml
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM

ROOT = pathlib.Path(__file__).resolve().parents[1]
OUT = ROOT / "eval"
TASKS = pathlib.Path(lm_eval.__file__).parent / "tasks"
WORDS = ("river stone the of lamp green quickly walks under seven Winter café naïve don't mother's "
         "running house 3.14 42 (see) über Ünlü wind; boats, harbour \u4f60\u597d old [note] a in"
         ).split()
QUESTIONS, EXAMPLES = 30, 5


def words(r, low, high):
    return " ".join(r.choice(WORDS) for _ in range(r.randint(low, high)))


def mmlu(r):
    n = 4
    return {"question": r.choice(["", "  "]) + words(r, 4, 12) + r.choice(["?", "? ", "\n"]),
            "subject": "high_school_geography", "choices": [words(r, 1, 5) for _ in range(n)],
            "answer": r.randrange(n)}


def arc(r):
    n = r.randint(3, 5)
    labels = list("ABCDE"[:n]) if r.random() < .7 else [str(i + 1) for i in range(n)]
    return {"id": "x", "question": words(r, 4, 12) + "?", "answerKey": r.choice(labels),
            "choices": {"text": [words(r, 1, 6) for _ in range(n)], "label": labels}}


def hellaswag(r):
    end = lambda: r.choice(["", "[step] ", " "]) + words(r, 2, 9) + r.choice([".", "  [title] ", ""])
    return {"ind": 1, "activity_label": words(r, 1, 3).title(), "ctx_a": words(r, 3, 9) + ".",
            "ctx_b": r.choice(["", words(r, 1, 3)]), "ctx": "not read",
            "endings": [end() for _ in range(4)], "label": str(r.randrange(4))}


def winogrande(r):
    return {"sentence": words(r, 3, 8) + " _ " + words(r, 2, 6) + ".", "option1": words(r, 1, 2),
            "option2": words(r, 1, 2), "answer": str(r.randint(1, 2))}


def truthfulqa(r):
    n, t = r.randint(3, 6), r.randint(1, 2)
    return {"question": words(r, 4, 8) + "?",
            "mc1_targets": {"choices": [words(r, 2, 5) for _ in range(n)], "labels": [1] + [0] * (n - 1)},
            "mc2_targets": {"choices": [words(r, 1, 4) for _ in range(n)], "labels": [1] * t + [0] * (n - t)}}


def choices(r):
    n = r.randint(2, 4)
    return {"context": r.choice([words(r, 3, 9), words(r, 3, 9) + " ", words(r, 2, 4) + " \n"]),
            "choices": [words(r, 1, 4) for _ in range(n)], "gold": r.randrange(n)}


MAKERS = {f.__name__: f for f in (mmlu, arc, hellaswag, winogrande, truthfulqa, choices)}
YAML = {"mmlu": "mmlu/default/_default_template_yaml", "arc": "arc/arc_easy.yaml",
        "hellaswag": "hellaswag/hellaswag.yaml", "winogrande": "winogrande/default.yaml",
        "truthfulqa": "truthfulqa/truthfulqa_mc2.yaml"}
RUNS = [("mmlu", 0), ("mmlu", 3), ("arc", 0), ("arc", 5), ("hellaswag", 0), ("hellaswag", 2),
        ("winogrande", 0), ("winogrande", 2), ("truthfulqa", 0), ("choices", 0), ("choices", 2)]


def official(name):
    """A task's own definition, its functions imported."""
    if name == "choices":
        return {"output_type": "multiple_choice", "doc_to_text": "{{context}}",
                "doc_to_choice": "{{choices}}", "doc_to_target": "{{gold}}",
                "metric_list": [{"metric": m} for m in ("acc", "acc_norm")]}
    path = TASKS / YAML[name]

    class Loader(yaml.SafeLoader):
        pass

    def function(loader, node):
        module, attribute = node.value.rsplit(".", 1)
        spec = importlib.util.spec_from_file_location(f"{name}_{module}", path.parent / f"{module}.py")
        m = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(m)
        return getattr(m, attribute)

    Loader.add_constructor("!function", function)
    config = yaml.load(path.read_text(), Loader)
    if "include" in config:
        config = {**yaml.load((path.parent / config.pop("include")).read_text(), Loader), **config}
    if name in ("mmlu", "arc", "hellaswag", "winogrande"):
        config["metric_list"] = [{"metric": m} for m in ("acc", "acc_norm")]
    return config


def task_of(name, shots):
    config = official(name)
    for key in ("dataset_name", "tag", "training_split", "validation_split", "test_split",
                "fewshot_split", "should_decontaminate", "doc_to_decontamination_query"):
        config.pop(key, None)
    data = {"test": str(OUT / f"{name}.jsonl"), "train": str(OUT / f"{name}.train.jsonl")}
    config |= {"task": f"own_{name}_{shots}", "dataset_path": "json",
               "dataset_kwargs": {"data_files": data}, "test_split": "test",
               "training_split": "train", "fewshot_split": "train", "num_fewshot": shots,
               "fewshot_config": {"sampler": "first_n"}}
    if name == "mmlu":
        config["description"] = ("The following are multiple choice questions (with answers) about "
                                 "high school geography.\n\n")
    return ConfigurableTask(config=config)


def make_models():
    torch.manual_seed(1)
    common = dict(initializer_range=.25, tie_word_embeddings=False)
    made = []
    for kind, source in (("llama", "llama2"), ("gpt2", "gpt2")):
        folder = OUT / kind
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(ROOT / "ref/tokenizer_cases" / source / "tokenizer.json", folder)
        raw = json.loads((folder / "tokenizer.json").read_text())
        special = [t["content"] for t in raw["added_tokens"]]
        names = {"llama": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
                 "gpt2": {"bos_token": special[0], "eos_token": special[0]}}[kind]
        (folder / "tokenizer_config.json").write_text(json.dumps(
            {"tokenizer_class": "PreTrainedTokenizerFast", **names}, indent=1) + "\n")
        vocab = max(max(raw["model"]["vocab"].values()), max(t["id"] for t in raw["added_tokens"])) + 1
        if kind == "llama":
            config = transformers.LlamaConfig(
                vocab_size=vocab, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=320,
                bos_token_id=1, eos_token_id=2, **common)
        else:
            config = transformers.GPT2Config(
                vocab_size=vocab, n_embd=24, n_layer=2, n_head=4, n_positions=384,
                bos_token_id=0, eos_token_id=0, initializer_range=.25)
        model = transformers.AutoModelForCausalLM.from_config(config).half()
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        made.append(kind)
    return made


def main():
    OUT.mkdir(exist_ok=True)
    for name, make in MAKERS.items():
        r = random.Random(name)
        for part, n in (("", QUESTIONS), (".train", EXAMPLES)):
            lines = [json.dumps(make(r), ensure_ascii=False) for _ in range(n)]
            (OUT / f"{name}{part}.jsonl").write_text("\n".join(lines) + "\n")
    r = random.Random("text")
    texts = [words(r, 3, 30), words(r, 300, 320) + "\n", "  two\n\nwords "]
    (OUT / "text.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    expected = {}
    for kind in make_models():
        lm = HFLM(pretrained=str(OUT / kind), dtype="float32", device="cpu", batch_size=1)
        runs = {}
        for name, shots in RUNS:
            result = lm_eval.simple_evaluate(lm, tasks=[task_of(name, shots)], log_samples=True,
                                             bootstrap_iters=0, num_fewshot=shots)
            task = f"own_{name}_{shots}"
            scores = {k.split(",")[0]: v for k, v in result["results"][task].items()
                      if k.startswith("acc")}
            samples = sorted(result["samples"][task], key=lambda s: s["doc_id"])
            runs[f"{name}/{shots}"] = {
                **{k: v for k, v in scores.items() if "stderr" not in k},
                "each": [{"loglik": [round(float(x[0]), 6) for x in s["filtered_resps"]],
                          **{k: float(s[k]) for k in ("acc", "acc_norm") if k in s}}
                         for s in samples]}
            print(kind, name, shots, scores)
        config = {"task": "own_text", "dataset_path": "json", "test_split": "test",
                  "dataset_kwargs": {"data_files": {"test": str(OUT / "text.jsonl")}},
                  "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}",
                  "metric_list": [{"metric": m} for m in
                                  ("word_perplexity", "byte_perplexity", "bits_per_byte")]}
        result = lm_eval.simple_evaluate(lm, tasks=[ConfigurableTask(config=config)], bootstrap_iters=0)
        runs["text"] = {k.split(",")[0]: v for k, v in result["results"]["own_text"].items()
                        if "perplexity" in k or "bits" in k if "stderr" not in k}
        expected[kind] = runs
    (OUT / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


main()
