#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/ref/tokenizer_cases/STYLE/{tokenizer.json,cases.json}: small tokenizers of every
style that models come with, trained on text made here, and what the `tokenizers` package makes of
odd texts with them. Run it again only to change the cases:

    python tests/ref/tokenizer_cases.py [FOLDER]

A case is {"a": hex, "b": hex or absent, "max": n, "special": bool, "ids": [..], "types": [..],
"mask": [..], "skip": hex, "all": hex}: the bytes of the texts, the encoding, and the text decoded
from it without and with special tokens.
"""
import base64
import json
import pathlib
import random
import struct
import sys
from tokenizers import (AddedToken, Regex, Tokenizer, decoders as D, models as M, normalizers as N,
                        pre_tokenizers as P, processors as C, trainers as T)

R = random.Random(20260101)

SENTENCES = r"""The river runs north past the old mill, and nobody swims there before June.
Her answer was short: "No, I won't, and you can't make me!" He'd heard that we're leaving.
Prices rose by 12.5% in 2024; they're expected to fall 3-4% (maybe 5%) next year.
Don't write 1,000,000 as 1.000.000 unless you're asked to; it's confusing, isn't it?
Le café était fermé, alors nous avons bu du thé près de la fenêtre. Ça va, élève ?
Die Straße war naß, und über den Dächern hing schwerer Nebel. Größe, Übung, Äpfel.
El niño pidió más jalapeños; ¿quién sabrá por qué? ¡Qué sueño!
Поезд уходит в семь часов, но мы ещё не собрались. Ёжик, объём, йод.
Το τρένο φεύγει στις επτά και δεν έχουμε ακόμα ετοιμαστεί. Ώς, ὀδός.
הרכבת יוצאת בשבע ועדיין לא ארזנו. שָׁלוֹם
يغادر القطار في السابعة ولم نحزم أمتعتنا بعد. العَرَبِيَّة ٣٤٥
रेलगाड़ी सात बजे निकलती है और हमने अभी तक सामान नहीं बाँधा। क़िला १२३
火车七点开,我们还没有收拾好。今天天气很好！
列車は七時に出ますが、まだ荷造りをしていません。カタカナ ｶﾀｶﾅ ガギグ
기차는 일곱 시에 떠나는데 우리는 아직 짐을 싸지 않았다.
รถไฟออกเจ็ดโมงแต่เรายังไม่ได้เก็บของ
Tàu rời ga lúc bảy giờ mà chúng tôi vẫn chưa xếp đồ. Việt Nam, Nguyễn.
İstanbul'da ışık ve ILIK su; DIŞARI çık.
def f(x, y=3):\n\treturn {"a": x ** 2, 'b': [y // 2]}  # comment\r\n
https://example.org/a/b?c=d&e=f#g  mail@example.org  ~/dir_name/file-2.tar.gz
Good 👍🏽 morning 👩‍👩‍👧‍👦 🇫🇷 ☺️ 🏳️‍🌈 ❤️‍🔥 emoji 🫨 and more…
CamelCaseWords snake_case_words SHOUTING lower MiXeD ǅ ß ẞ ﬁﬂ ① ½ ² ㍿ ﷺ""".split("\n")
SENTENCES = [s.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r") for s in SENTENCES]

BLOCKS = """20-7e 20-7e 61-7a a0-ff 100-24f 300-36f 370-3ff 400-52f 590-5ff 600-6ff 900-97f e00-e7f
1100-11ff 1e00-1fff 2000-206f 2070-218f 2190-27bf 2e80-2fff 3000-30ff 3400-4dbf 4e00-9fff ac00-d7ff
e000-f8ff f900-fdff fe00-ffff 10400-107ff 11000-11fff 1d100-1d7ff 1f300-1f9ff 1fa00-1fbff
20000-2a6df 2ebf0-2ee5f 2f800-2fa1f 30000-323af e0000-e01ef""".split()
SPACES = " \t\n\r\v\f\x85\xa0\u1680\u2003\u2028\u202f\u3000"
ODD = ["\0", "\1", "\x1f", "\x7f", "\x9f", "\xad", "\u200b", "\u200d", "\u2060", "\ufeff", "\ufffd",
       "\u180e", "\u0345", "\u2581", "Ġ", "e\u0301", "\u0323\u0301", "\u1100\u1161\u11a8", "q\u0307\u0323",
       "'s", "'LL", "'ſ", " 'VE", "<s>", "</s>", "<unk>", " <mask> ", "[CLS]", "[SEP]", "[MASK]", "[UNK]",
       "<|endoftext|>", "<pad>", "<0x41>", "Added Tok", "added tok", "lone", "xlonex", " left", "right ",
       "\ud7ff", "\U0010ffff", "12345678", "   ", "\r\n\r\n", "á̂", "①́"]


def odd_text(n):
    out = []
    for _ in range(R.randint(1, n)):
        k = R.random()
        if k < .4:
            s = R.choice(SENTENCES)
            i = R.randrange(len(s))
            out.append(s[i:i + R.randint(1, 25)])
        elif k < .6:
            out.append(R.choice(ODD))
        elif k < .75:
            out.append(R.choice(SPACES) * R.choice([1, 1, 2, 5]))
        elif k < .78:
            out.append(R.choice("ab1 é漢\u0301-") * R.randint(1, 30))
        else:
            a, b = (int(x, 16) for x in R.choice(BLOCKS).split("-"))
            out.append("".join(map(chr, (R.randint(a, b) for _ in range(R.randint(1, 4))))))
    return "".join(out)


def broken(raw):
    raw = bytearray(raw)
    for _ in range(R.randint(1, 4)):
        i = R.randint(0, len(raw))
        raw[i:i] = R.choice([b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80",
                             b"\xf0\x9f\x98", b"\xff", b"\xf8\x88\x80\x80\x80"])
    return bytes(raw)


def texts():
    fixed = [b"", b" ", b"\0", b"\n\n", b"a", b"Hello, world!", b"a" * 101 + b" " + b"b" * 100]
    return (fixed + [odd_text(7).encode("utf-8", "surrogatepass") for _ in range(22)]
            + [broken(odd_text(4).encode("utf-8", "surrogatepass")) for _ in range(8)])


def as_text(raw):
    return raw.decode("utf-8", "replace")


def case(tok, a, b, most, special):
    tok.no_truncation()
    if most:
        tok.enable_truncation(most)
    e = tok.encode(as_text(a), None if b is None else as_text(b), add_special_tokens=special)
    tok.no_truncation()
    out = {"a": a.hex()}
    if b is not None:
        out["b"] = b.hex()
    out.update(max=most, special=special, ids=e.ids, types=e.type_ids, mask=e.special_tokens_mask,
               skip=tok.decode(e.ids).encode().hex(),
               all=tok.decode(e.ids, skip_special_tokens=False).encode().hex())
    return out


def cases(tok):
    out = [case(tok, a, None, 0, i % 3 != 0) for i, a in enumerate(texts())]
    short = [t for t in texts() if len(t) < 120]
    for i in range(12):
        a, b = R.choice(short), R.choice(short)
        out.append(case(tok, a, b if i % 4 else None, R.choice([0, 4, 5, 8, 13]), i % 3 != 2))
    return out


def train(tok, trainer):
    tok.train_from_iterator(SENTENCES * 3, trainer)
    return tok


def bert(lower):
    tok = Tokenizer(M.WordPiece(unk_token="[UNK]"))
    tok.normalizer = N.BertNormalizer(lowercase=lower, strip_accents=None,
                                      handle_chinese_chars=True, clean_text=True)
    tok.pre_tokenizer = P.BertPreTokenizer()
    tok.decoder = D.WordPiece()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    train(tok, T.WordPieceTrainer(vocab_size=500, special_tokens=names, show_progress=False,
                                  limit_alphabet=250))
    if lower:
        tok.post_processor = C.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    else:
        tok.post_processor = C.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tok


def roberta():
    tok = Tokenizer(M.BPE())
    tok.pre_tokenizer = P.ByteLevel(add_prefix_space=False)
    tok.decoder = D.ByteLevel()
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    train(tok, T.BpeTrainer(vocab_size=480, special_tokens=names, show_progress=False,
                            initial_alphabet=P.ByteLevel.alphabet()))
    tok.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    tok.post_processor = C.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True,
                                             add_prefix_space=False)
    return tok


def byte_level(split, norm=None, template=False, ignore=False, prefix=False):
    tok = Tokenizer(M.BPE(ignore_merges=ignore))
    if norm:
        tok.normalizer = norm
    level = P.ByteLevel(add_prefix_space=prefix, use_regex=split is None)
    tok.pre_tokenizer = level if split is None else P.Sequence(
        [P.Split(Regex(split), "isolated"), level])
    tok.decoder = D.ByteLevel()
    train(tok, T.BpeTrainer(vocab_size=450, special_tokens=["<|endoftext|>", "<s>"],
                            show_progress=False, initial_alphabet=P.ByteLevel.alphabet()))
    tok.post_processor = C.ByteLevel(trim_offsets=True)
    if template:
        tok.post_processor = C.Sequence([C.ByteLevel(trim_offsets=False), C.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])])
    return tok


LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m"
         r"|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def llama2(metaspace):
    tok = Tokenizer(M.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if metaspace:
        tok.pre_tokenizer = P.Metaspace(prepend_scheme="first", split=False)
    else:
        tok.normalizer = N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")])
    names = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]
    trained = Tokenizer(M.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = P.Metaspace()
    train(trained, T.BpeTrainer(vocab_size=700, special_tokens=names, show_progress=False,
                                limit_alphabet=150))
    model = json.loads(trained.to_str())
    ours = json.loads(tok.to_str())
    ours["model"]["vocab"], ours["model"]["merges"] = model["model"]["vocab"], model["model"]["merges"]
    tok = Tokenizer.from_str(json.dumps(ours))
    tok.add_special_tokens(["<unk>", "<s>", "</s>"])
    if metaspace:
        tok.decoder = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(),
                                  D.Strip(" ", 1, 0)])
    else:
        tok.decoder = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(),
                                  D.Strip(content=" ", left=1)])
    tok.post_processor = C.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return tok


def charsmap(table):
    """SentencePiece's table of replacements: a double array trie, and the texts it points into."""
    text, trie = b"", {}
    for key, value in table.items():
        node = trie
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node[None] = len(text)
        text += value.encode() + b"\0"
    units, used = [0] * 4096, {0}

    def place(node, at):
        labels = sorted(b or 0 for b in node)
        base = next(b for b in range(1, 4096) if not any((b ^ x) in used for x in labels))
        used.update(base ^ x for x in labels)
        offset = at ^ base
        units[at] |= offset << 10 if offset < 1 << 21 else 0
        if None in node:
            units[at] |= 1 << 8
            units[base] = node[None] | 1 << 31
        for byte, child in node.items():
            if byte is not None:
                units[base ^ byte] |= byte
                place(child, base ^ byte)

    place(trie, 0)
    blob = struct.pack("<4096I", *units)
    return base64.b64encode(struct.pack("<I", len(blob)) + blob + text).decode()


def unigram(precompiled):
    tok = Tokenizer(M.Unigram())
    replace = N.Replace(Regex(" {2,}"), " ")
    tok.normalizer = N.Sequence([N.Nmt(), N.NFKC(), replace])
    tok.pre_tokenizer = P.Metaspace()
    tok.decoder = D.Metaspace()
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    if precompiled:
        names += ["<0x%02X>" % b for b in range(256)]
    train(tok, T.UnigramTrainer(vocab_size=1000, special_tokens=names, unk_token="<unk>",
                                show_progress=False))
    model = json.loads(tok.to_str())
    if precompiled:
        model["model"]["byte_fallback"] = True
        model["added_tokens"] = [t for t in model["added_tokens"] if not t["content"].startswith("<0x")]
        table = {"①": "1", "ﬁ": "fi", "é": "é", "ｶ": "カ", "㍿": "株式会社", "\u3000": " ",
                 "\t": " ", "\n": " ", "²": "2", "e\u0301": "é", "\u200b": "", "á": "a", "Ｈ": "H"}
        model["normalizer"] = {"type": "Sequence", "normalizers": [
            {"type": "Precompiled", "precompiled_charsmap": charsmap(table)},
            {"type": "Strip", "strip_left": False, "strip_right": True},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]}
        model["decoder"] = {"type": "Sequence", "decoders": [
            {"type": "ByteFallback"}, {"type": "Metaspace", "replacement": "▁",
                                       "prepend_scheme": "always", "split": True}]}
    tok = Tokenizer.from_str(json.dumps(model))
    tok.post_processor = C.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)])
    return tok


def wordlevel():
    tok = Tokenizer(M.WordLevel(unk_token="[UNK]"))
    tok.normalizer = N.Sequence([N.NFKD(), N.StripAccents(), N.Lowercase(), N.Strip()])
    tok.pre_tokenizer = P.Sequence([P.Whitespace(), P.Digits(individual_digits=True),
                                    P.Punctuation("merged_with_next")])
    train(tok, T.WordLevelTrainer(vocab_size=200, special_tokens=["[UNK]"], show_progress=False))
    tok.add_tokens([AddedToken("Added Tok", normalized=True), AddedToken("lone", single_word=True),
                    AddedToken("left", lstrip=True, normalized=False),
                    AddedToken("right", rstrip=True), AddedToken("é", normalized=False)])
    return tok


def clip():
    tok = Tokenizer(M.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    tok.normalizer = N.Sequence([N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()])
    tok.pre_tokenizer = P.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"),
                                "removed", invert=True)
    tok.decoder = D.BPEDecoder("</w>")
    train(tok, T.BpeTrainer(vocab_size=400, special_tokens=["<|endoftext|>"], show_progress=False,
                            end_of_word_suffix="</w>", limit_alphabet=120))
    return tok


STYLES = {
    "bert_lower": lambda: bert(True),
    "bert_cased": lambda: bert(False),
    "roberta": roberta,
    "gpt2": lambda: byte_level(None, prefix=True),
    "llama3": lambda: byte_level(LLAMA3, template=True, ignore=True),
    "qwen2": lambda: byte_level(QWEN2, norm=N.NFC()),
    "o200k": lambda: byte_level(O200K),
    "llama2": lambda: llama2(False),
    "metaspace": lambda: llama2(True),
    "unigram": lambda: unigram(False),
    "precompiled": lambda: unigram(True),
    "wordlevel": wordlevel,
    "clip": clip,
}


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                        pathlib.Path(__file__).parent / "tokenizer_cases")
    for name, make in STYLES.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        R.seed(name)
        tok = make()
        text = json.dumps(json.loads(tok.to_str()), ensure_ascii=False, separators=(",", ":"))
        (folder / "tokenizer.json").write_text(text)
        tok = Tokenizer.from_str(text)
        rows = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases(tok))
        (folder / "cases.json").write_text('{"cases":[\n' + rows + "\n]}\n")


if __name__ == "__main__":
    main()
