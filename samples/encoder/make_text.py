# SPDX-License-Identifier: Apache-2.0
"""Writes what the sample encoder is trained on: a vocabulary and sentences about sixteen subjects.

    python3 make_text.py OUT_DIR      config.json, vocab.txt, tokenizer_config.json, train.tsv, test.tsv

The subjects are lists of words (a thesaurus, written for this project). A sentence strings words of one
subject together with everyday words and, now and then, a word of another subject; its label is the
subject. An encoder that learns to name subjects has learnt which words belong together, which is what
few-shot training on ../data needs. None of the sentences of ../data occurs here; only the pieces of
their words are in the vocabulary.
"""
import json
import pathlib
import random
import re
import sys

SUBJECTS = {
    "money": """invoice bill billed charge charged fee price pay paid payment euros cents refund reimbursed owe owed
        debit debited card credit bank visa receipt voucher coupon discount promo sum amount total statement dunning
        reminder instalments tariff accountant bookkeeping tax vat settle settled transfer transferred money checkout
        transaction deposit dollars cost rates monthly double twice position collection agency late fees prorated
        booked account declined accept due salesman advertise percent hand full extra additional billing""",
    "post": """parcel package box carton shipment shipping consignment courier driver postman carrier tracking deliver
        delivered delivery arrive arrived arrives address street neighbour door letterbox depot pickup locker customs
        packing slip wrapped bell gate goods article order ordered received sent house workplace reach come came bring
        missing broken crushed torn pieces damaged transport turned stranger home absent half contents wrong size
        colour picked red blue pack stuck couriers closed fetch waiting days""",
    "machines": """app program screen crash crashes freezes freeze hangs login log password passphrase credentials
        website browser site page blank load loads spins wifi wireless network connection connect router bluetooth
        pair device button power turn switches dead light update firmware software installation setup version error
        code reset email link verification text synchronised backup files file data cloud battery charging charger hot
        warm sound microphone picture flickers search notifications computer phone laptop tablet restart reboots loop
        display settings photos empty runs locked invalid typed user name fails unknown video""",
    "leaving": """cancel cancellation terminate end ends ended notice contract subscription membership renew renewal
        renewed automatic delete remove removed erase close withdraw return undo stop unsubscribe newsletter leave
        leaving trial test demo lapse quit quitting goodbye term extended revoke consent provider advertising offers
        agreement relationship possible date period weeks continue need abroad moving plan mind changed longer
        profile system good give back confirmation confirm proof over out use died""",
    "praise": """wonderful enjoyed happy friendly patient kind kindly helpful excellent worth fair good value recommend
        love loved great beautiful moving delicious clean quiet delight marvellous smile charming warm welcomed
        attentive polite perfectly superb reliable bargain lovely gladly cheap brilliant praised stars thank better
        fantastic adored gem funny heavenly spotless cosy care surprised exactly again friends best fine nice pleased
        glad perfect well pleasant cheerful grateful""",
    "blame": """terrible bored angry rude slow nobody unhelpful poor expensive waste warn hate horrible ugly annoying
        cold tasteless dirty loud dreadful miserable headache arrogant nuisance careless impolite constantly shoddy
        unreliable costly useless complained regret worse disgusting loathed mess dull silly foul filthy smelled
        ashamed disaster disappointed never rip awful bad worst sad boring nasty gone broke sorry unpleasant
        hopeless bother""",
    "food": """bread soup apple cheese dinner lunch breakfast cook kitchen plate spoon salt sugar rice fish meat salad
        cake coffee tea kettle oven recipe hungry taste menu waiter table restaurant""",
    "travel": """train plane boat trip hotel ticket station airport luggage passport journey road bridge map guide tour
        beach holiday guest booking platform flight harbour taxi bus""",
    "weather": """rain sun wind snow cloudy storm cold warm winter summer spring autumn ice sky thunder fog degrees
        umbrella wet dry shade sunny frost""",
    "family": """mother father sister brother child children aunt uncle cousin parents grandmother wedding baby
        daughter son wife husband birthday present colleague""",
    "body": """head hand foot eye ear nose mouth tooth back knee arm leg heart blood skin doctor pain fever medicine
        hospital tired sleep cough""",
    "sport": """football tennis swim run race team match goal ball player coach win lose score bicycle jump ski medal
        stadium training gym band watch fitness""",
    "school": """teacher pupil lesson book exam desk pencil class homework university student learn read write library
        language history chalk course workshop lamp reading""",
    "animals": """dog cat horse cow sheep bird goose fish mouse rabbit fox bear wolf bee ant spider tail wing feather
        paw nest stable farm""",
    "music": """song singer guitar piano violin drum choir concert orchestra melody note band radio record dance stage
        loudspeaker headset speaker film play exhibition audio room gallery""",
    "house": """wall roof window garden chair sofa bed lamp carpet floor ceiling stairs kitchen bathroom cellar paint
        brick vacuum robot doorbell camera thermostat printer keyboard machine""",
}
EVERYDAY = """the a my our your this that is was has have had not no and or but with for of in on at to from by it we i
    you they he she there here now then still already very so too again when what why how can could would should please
    hello hi dear all one two some any last next week month day year time since after before until although because if
    me us them will be been do does did get got want like only more than up down out who where""".split()
PER_SUBJECT = {"train": 900, "test": 60}
HIDDEN, LAYERS, HEADS, FFN, POSITIONS, PIECES = 96, 2, 4, 256, 128, 2400


def sentence(r, subject):
    words = SUBJECTS[subject].split()
    others = [w for s, t in SUBJECTS.items() if s != subject for w in t.split()]
    line = r.choices(words, k=r.randint(1, 5))
    line += r.choices(others, k=r.choice((0, 0, 1)) if len(line) > 2 else 0)
    r.shuffle(line)
    out = []
    for w in line:
        out += r.choices(EVERYDAY, k=r.randint(0, 3)) + [w]
    out += r.choices(EVERYDAY, k=r.randint(0, 2))
    text = " ".join(out)
    return text[0].upper() + text[1:] + r.choice((".", "?", "", "!"))


def vocabulary(texts):
    """Letters, frequent ends of words, then whole words by how often they occur."""
    count, ends = {}, {}
    for t in texts:
        for w in re.findall(r"[a-z0-9]+|[^\sa-z0-9]", t.lower()):
            count[w] = count.get(w, 0) + 1
            for k in range(1, min(4, len(w))):
                ends[w[-k:]] = ends.get(w[-k:], 0) + 1
    chars = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list(".,!?'\"()-:;/&%$+*=@#") + list(chars)
    pieces += ["##" + c for c in chars]
    pieces += ["##" + e for e in sorted(ends, key=lambda e: (-ends[e], e))[:150] if "##" + e not in pieces]
    for w in sorted(count, key=lambda w: (-count[w], w)):
        if w not in pieces and len(pieces) < PIECES and not w.isdigit():
            pieces.append(w)
    return pieces


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    texts = []
    for part, n in PER_SUBJECT.items():
        r = random.Random(f"encoder-{part}")
        rows = [(sentence(r, s), s) for s in SUBJECTS for _ in range(n)]
        r.shuffle(rows)
        texts += [t for t, _ in rows] if part == "train" else []
        (out / f"{part}.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t{y}\n" for t, y in rows), encoding="utf-8")
    sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "data"))
    import grammar
    words = [t for name in dir(grammar) if name.isupper() for t in [getattr(grammar, name)]]
    texts += [" ".join(t.values()) if isinstance(t, dict) else " ".join(t) if isinstance(t, tuple) else t for t in words]
    pieces = vocabulary(texts)
    (out / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    (out / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": POSITIONS}, indent=1) + "\n")
    (out / "config.json").write_text(json.dumps({
        "architectures": ["BertForSequenceClassification"], "model_type": "bert", "vocab_size": len(pieces),
        "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": FFN,
        "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1, "initializer_range": 0.05, "layer_norm_eps": 1e-12, "pad_token_id": 0,
        "position_embedding_type": "absolute"}, indent=1) + "\n")
    print(f"{len(pieces)} pieces, {len(texts)} texts in {out}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
