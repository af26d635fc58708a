# SPDX-License-Identifier: Apache-2.0
"""A small invented world for the sample decoder: who lives where and does what, opposites, plurals,
sums, lists. Each thing to know is an Item: statements and questions for the text that the decoder is
trained on from nothing (make_text.py), instructions for tuning it (make_instructions.py), with other
wordings. People, jobs, pets and tastes are invented; the rest is what everybody knows.
"""
import collections

Item = collections.namedtuple("Item", "task key statements questions instructions answer wrong")
# key: what is asked about, by which items are held back; questions are answered by `answer` as well;
# wrong: other answers of the same kind, for multiple choice. Instructions may be (instruction, input).

NAMES = """Anna Ben Clara David Emma Felix Greta Henry Ida Jonas Karla Leo Mara Noah Olga Paul Rita Simon Tina
    Victor Wanda Xaver Yara Zoe Alma Boris Carla Dora Emil Flora Georg Hanna Igor Julia Kurt Laura Marco Nina
    Otto Petra Ralf Sara Tom Ute Vera Walter Adam Berta Conrad Diana Erik Frieda Gustav Helga Ivan Jana Klaus
    Lena Mia Nora Oskar Pia Robert Sofia Theo Ursula Viola Wilma Aron Bella Cora Daria Elias Fiona Gina Hugo
    Iris Jakob Kira Lukas Moritz Nadia Oliver Paula Rosa Stefan Tilda Uwe Valentin Willi""".split()
CITY = dict(x.split(":") for x in """Rome:Italy Paris:France Berlin:Germany Madrid:Spain London:England Vienna:Austria
    Oslo:Norway Athens:Greece Lisbon:Portugal Dublin:Ireland Prague:Czechia Warsaw:Poland Cairo:Egypt Tokyo:Japan
    Delhi:India Lima:Peru Bern:Switzerland Helsinki:Finland Ankara:Turkey Havana:Cuba Hanoi:Vietnam Ottawa:Canada
    Nairobi:Kenya Budapest:Hungary""".split())
JOBS = """baker teacher doctor nurse farmer singer painter driver cook lawyer pilot writer judge carpenter gardener
    tailor plumber dentist waiter sailor""".split()
PETS = "cat dog horse rabbit parrot goldfish turtle hamster goat duck donkey snake".split()
FOODS = "bread cheese soup rice fish honey cake pizza salad pasta chocolate yoghurt pancakes beans".split()
OPPOSITES = """hot:cold big:small old:young good:bad fast:slow high:low happy:sad light:dark full:empty wet:dry
    hard:soft rich:poor long:short thick:thin clean:dirty early:late open:closed loud:quiet strong:weak
    cheap:expensive near:far left:right up:down in:out always:never first:last true:false right:wrong heavy:light
    wide:narrow deep:shallow sweet:sour brave:afraid sharp:blunt safe:dangerous awake:asleep alive:dead begin:end
    love:hate push:pull buy:sell give:take win:lose laugh:cry north:south east:west day:night summer:winter
    morning:evening war:peace friend:enemy question:answer before:after inside:outside above:below add:remove
    remember:forget whisper:shout""".split()
NOUNS = """apple fruit apples|banana fruit bananas|cherry fruit cherries|pear fruit pears|plum fruit plums|lemon fruit
    lemons|peach fruit peaches|carrot vegetable carrots|potato vegetable potatoes|tomato vegetable tomatoes|onion
    vegetable onions|leek vegetable leeks|hammer tool hammers|saw tool saws|knife tool knives|axe tool axes|brush
    tool brushes|chair piece-of-furniture chairs|table piece-of-furniture tables|bed piece-of-furniture beds|shelf
    piece-of-furniture shelves|bench piece-of-furniture benches|wolf animal wolves|mouse animal mice|goose animal
    geese|fox animal foxes|pony animal ponies|ox animal oxen|lion animal lions|bear animal bears|calf animal calves|bus
    vehicle buses|car vehicle cars|train vehicle trains|lorry vehicle lorries|ferry vehicle ferries|boat vehicle
    boats|flute instrument flutes|violin instrument violins|drum instrument drums|trumpet instrument trumpets|piano
    instrument pianos|shirt piece-of-clothing shirts|coat piece-of-clothing coats|scarf piece-of-clothing scarves|dress
    piece-of-clothing dresses|hat piece-of-clothing hats|rose flower roses|tulip flower tulips|daisy flower
    daisies|lily flower lilies|foot part-of-the-body feet|tooth part-of-the-body teeth|hand part-of-the-body hands|knee
    part-of-the-body knees|church building churches|house building houses|tower building towers|library building
    libraries|factory building factories""".split("|")
PAST = """go:went see:saw eat:ate run:ran sing:sang write:wrote drink:drank swim:swam take:took give:gave come:came
    find:found buy:bought think:thought teach:taught catch:caught bring:brought sleep:slept keep:kept leave:left
    feel:felt make:made say:said sit:sat stand:stood speak:spoke break:broke drive:drove ride:rode fall:fell
    fly:flew draw:drew grow:grew know:knew throw:threw begin:began win:won lose:lost sell:sold tell:told hear:heard
    meet:met build:built send:sent walk:walked work:worked play:played open:opened help:helped jump:jumped""".split()
COLOURS = """snow:white grass:green blood:red coal:black lemons:yellow the-sky:blue carrots:orange milk:white
    leaves:green tomatoes:red the-night:black the-sun:yellow the-sea:blue chocolate:brown clouds:grey ashes:grey
    cherries:red frogs:green bears:brown swans:white bananas:yellow ravens:black elephants:grey salt:white
    strawberries:red cucumbers:green pigs:pink flamingos:pink violets:purple plums:purple""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
WORDS = "one two three four five six".split()


def a(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def fixed(r):
    """Everything that is known: a list of Items, the same for the same random generator."""
    items = []

    def add(task, key, answer, pool, statements, questions, instructions):
        items.append(Item(task, key, statements, questions, instructions, answer,
                          sorted({p for p in pool if p != answer})))

    for n in NAMES:
        city, job, pet, food = r.choice(list(CITY)), r.choice(JOBS), r.choice(PETS), r.choice(FOODS)
        add("lives", n, city, CITY,
            [f"{n} lives in {city}.", f"The home of {n} is in {city}.", f"{n} has a house in {city}."],
            [f"Where does {n} live?", f"Where is the home of {n}?"],
            [f"Name the city where {n} lives.", f"Tell me in which city {n} lives.", f"Find the city of {n}.",
             f"Which city is home to {n}?"])
        add("job", n, job, JOBS,
            [f"{n} is {a(job)}.", f"{n} works as {a(job)}.", f"The job of {n} is {job}."],
            [f"What does {n} do?", f"What is the job of {n}?"],
            [f"Name the job of {n}.", f"Tell me what {n} works as.", f"What work does {n} do?",
             f"Say which job {n} has."])
        add("pet", n, pet, PETS,
            [f"{n} has {a(pet)}.", f"The pet of {n} is {a(pet)}.", f"{n} lives with {a(pet)}."],
            [f"What pet does {n} have?", f"What is the pet of {n}?"],
            [f"Name the pet of {n}.", f"Tell me which animal {n} has.", f"Which animal lives with {n}?",
             f"Say which pet {n} has."])
        add("likes", n, food, FOODS,
            [f"{n} likes {food}.", f"{n} loves to eat {food}.", f"The food that {n} likes best is {food}."],
            [f"What does {n} like?", f"What does {n} love to eat?"],
            [f"Name the food that {n} likes.", f"Tell me what {n} likes to eat.", f"What food should I bring for {n}?",
             f"Say what {n} likes best."])
        about = f"{n} is {a(job)}, lives in {city}, has {a(pet)} and likes {food}."
        add("about", n, about, [], [about], [f"Who is {n}?"],
            [f"Describe {n}.", f"Tell me about {n}.", f"Write a sentence about {n}.", f"Say who {n} is."])
    for c, land in CITY.items():
        add("country", c, land, CITY.values(),
            [f"{c} is in {land}.", f"{c} is a city in {land}.", f"A city in {land} is {c}."],
            [f"Where is {c}?", f"In which country is {c}?"],
            [f"Name the country of {c}.", f"Tell me the country in which {c} is.", f"To which country does {c} belong?",
             f"Find the country where {c} is."])
    both = [p.split(":") for p in OPPOSITES]
    once = collections.Counter(x for p in both for x in p)
    for x, y in both + [p[::-1] for p in both]:
        if once[x] == 1:
            add("opposite", x, y, [w for p in both for w in p if w != x],
                [f"The opposite of {x} is {y}.", f"{x} is the opposite of {y}.", f"Not {x} but {y}."],
                [f"What is the opposite of {x}?"],
                [f"Name the opposite of {x}.", ("Write the opposite of this word.", x),
                 f"Give me the opposite of {x}.", f"Turn {x} into its opposite."])
    nouns = [n.split() for n in NOUNS]
    for one, kind, many in nouns:
        kind = kind.replace("-", " ")
        add("plural", one, many, [n[2] for n in nouns],
            [f"One {one}, two {many}.", f"The plural of {one} is {many}.", f"I had one {one}, now I have many {many}."],
            [f"What is the plural of {one}?"],
            [f"Name the plural of {one}.", ("Write the plural of this word.", one),
             f"Give me the plural of {one}.", f"Write {one} in the plural."])
        add("kind", one, kind, [n[1].replace("-", " ") for n in nouns],
            [f"{a(one).capitalize()} is {a(kind)}.", f"{many.capitalize()}: each is {a(kind)}.",
             f"I know {a(kind)}: the {one}."],
            [f"What is {a(one)}?", f"What kind of thing is {a(one)}?"],
            [f"Name the kind of thing that {a(one)} is.", ("Which kind of thing is this?", one),
             f"Tell me what {a(one)} is.", f"Say what kind of thing {a(one)} is."])
    for x, y in (p.split(":") for p in PAST):
        add("past", x, y, [p.split(":")[1] for p in PAST],
            [f"Today I {x}, yesterday I {y}.", f"The past of {x} is {y}.", f"They {y}, and now we {x} too."],
            [f"What is the past of {x}?"],
            [f"Name the past of {x}.", ("Write the past of this word.", x),
             f"Give me the past of {x}.", f"Write {x} in the past."])
    for x, y in (p.replace("-", " ").split(":") for p in COLOURS):
        is_ = "are" if x.endswith("s") and x != "grass" else "is"
        add("colour", x, y, [p.split(":")[1] for p in COLOURS],
            [f"{x.capitalize()} {is_} {y}.", f"The colour of {x} is {y}.", f"As {y} as {x}."],
            [f"What colour {is_} {x}?"],
            [f"Name the colour of {x}.", ("Which colour does this have?", x),
             f"Tell me which colour {x} {'have' if is_ == 'are' else 'has'}.", f"Say what colour {x} {is_}."])
    for row in (DAYS, MONTHS):
        for i, x in enumerate(row):
            y = row[(i + 1) % len(row)]
            add("next", x, y, row,
                [f"After {x} comes {y}.", f"{x}, then {y}.", f"Before {y} comes {x}."], [f"What comes after {x}?"],
                [f"Name what comes after {x}.", f"Tell me what follows {x}.", f"What follows {x}?",
                 f"Say what is next after {x}."])
    for x in range(13):
        for y in range(13):
            add("sum", (x, y), str(x + y), [str(max(0, x + y + d)) for d in (-2, -1, 1, 2, 10)],
                [f"{x} + {y} = {x + y}.", f"{x} plus {y} is {x + y}.", f"{x} and {y} make {x + y}."],
                [f"What is {x} plus {y}?", f"What is {x} + {y}?"],
                [f"Add {x} and {y}.", ("Find the sum.", f"{x} + {y}"),
                 f"Tell me what {x} plus {y} is.", f"Find the sum of {x} and {y}."])
            if y <= x:
                add("difference", (x, y), str(x - y), [str(max(0, x - y + d)) for d in (-2, -1, 1, 2, 10)],
                    [f"{x} - {y} = {x - y}.", f"{x} less {y} is {x - y}.", f"{y} from {x} leaves {x - y}."],
                    [f"What is {x} less {y}?", f"What is {x} - {y}?"],
                    [f"Take {y} from {x}.", ("Find the difference.", f"{x} - {y}"),
                     f"Tell me what {x} less {y} is.", f"Remove {y} from {x}."])
    return items


def drawn(r):
    """An Item about a list of words, or about numbers: new each time."""
    kind = r.choice("first last reverse count repeat larger sort".split())
    if kind in ("larger", "sort"):
        n = r.sample(range(31), 2 if kind == "larger" else 3)
        text = ", ".join(map(str, n))
        if kind == "larger":
            x, y, top = *n, max(n)
            return Item(kind, text, [f"Of {x} and {y}, {top} is larger.", f"{top} is larger than {min(n)}."],
                        [f"Which is larger, {x} or {y}?"],
                        [f"Name the larger number: {x} or {y}.", ("Which number is larger?", f"{x}, {y}"),
                         f"Tell me which is larger: {x} or {y}.", f"Find the larger of {x} and {y}."],
                        str(top), [str(min(n))])
        done = ", ".join(map(str, sorted(n)))
        return Item(kind, text, [f"{text} sorted: {done}."], [f"How is {text} sorted?"],
                    [f"Sort these numbers: {text}.", ("Sort the numbers.", text),
                     f"Put these numbers in order: {text}.", f"Write these numbers sorted: {text}."], done, [])
    pool = [n.split()[0] for n in NOUNS] + NAMES[:24] + [o.split(":")[0] for o in OPPOSITES[:24]]
    words = r.sample(pool, r.randint(2, 5))
    text = ", ".join(words)
    result, wording, ask, order = {
        "first": (words[0], "first", "What is the first of {}?", "Name the first word of {}"),
        "last": (words[-1], "last", "What is the last of {}?", "Name the last word of {}"),
        "reverse": (", ".join(words[::-1]), "in reverse", "What is {} in reverse?", "Write {} in reverse"),
        "count": (WORDS[len(words) - 1], "count", "How many words are {}?", "Count the words of {}"),
        "repeat": (text, "again", "What is {} again?", "Repeat {}"),
    }[kind]
    instructions = {
        "first": [f"Find the first word: {text}.", f"Which word is first: {text}?"],
        "last": [f"Find the last word: {text}.", f"Which word is last: {text}?"],
        "reverse": [f"Turn this list around: {text}.", f"Put this list in reverse: {text}."],
        "count": [f"Count these words: {text}.", f"How many words are these: {text}?"],
        "repeat": [f"Say this again: {text}.", f"Write this again: {text}."],
    }[kind]
    instructions[1:1] = [order.format("this list") + f": {text}.", (order.format("the list") + ".", text)]
    wrong = {"first": words[1:], "last": words[:-1], "count": [w for w in WORDS[1:5] if w != result]}.get(kind, [])
    return Item(kind, text, [f"{text}; {wording}: {result}."], [ask.format(text)], instructions, result, wrong)
