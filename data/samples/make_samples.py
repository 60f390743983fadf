"""Write the sample texts, messages and instructions, reproducibly from one seed.

Run it as ``python data/samples/make_samples.py``. A small grammar builds the sentences
from words, so that a small model learns visible regularities within a minute, and the Arabic has
everything that cleaning removes.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

SEED = 20_26
TEXT_BYTES = 300_000
N_MESSAGES, N_INSTRUCTIONS, N_PREFERENCES = 800, 1_600, 300

NAMES = ["Adam", "Clara", "Daniel", "Edith", "Farid", "Grace", "Hanna", "Ibrahim", "Julia", "Karim",
         "Laila", "Martin", "Nora", "Omar", "Rosa", "Samir", "Tom", "Yusuf"]  # fmt: skip
TRADES = ["baker", "carpenter", "doctor", "farmer", "fisher", "gardener", "judge", "merchant",
          "miller", "potter", "sailor", "scribe", "shepherd", "smith", "tailor", "teacher",
          "weaver"]  # fmt: skip
PLACES = ["the harbour", "the market", "the old bridge", "the garden", "the library", "the valley",
          "the mill", "the river", "the city gate", "the orchard", "the school", "the well"]  # fmt: skip
THINGS = ["a lamp", "a letter", "a basket of figs", "a copper bowl", "a wooden chest", "a map",
          "a bundle of wool", "a jar of honey", "a knife", "a book of songs", "a key", "a coat"]  # fmt: skip
SEASONS = ["In spring", "In summer", "In autumn", "In winter", "One morning", "One evening",
           "After the rain", "Before sunrise", "At noon", "On market day"]  # fmt: skip
MOODS = ["patient", "proud", "weary", "cheerful", "silent", "careful", "curious", "generous"]
SAYINGS = ["what is kept too long is lost", "a road is made by walking",
           "the river does not ask the stone", "who plants a tree plants shade",
           "a small lamp is enough for a small room", "haste carries water in a sieve",
           "the well is valued when it is dry", "a true word needs no oath"]  # fmt: skip

ARABIC_NAMES = [
    "أَحْمَدُ",
    "خَالِدٌ",
    "زَيْنَبُ",
    "سَلْمَى",
    "عُمَرُ",
    "فَاطِمَةُ",
    "مَرْيَمُ",
    "يُوسُفُ",
    "حَسَنٌ",
    "لَيْلَى",
    "سَعِيدٌ",
    "نُورَةُ",
]
ARABIC_TRADES = [
    "الْخَبَّازُ",
    "النَّجَّارُ",
    "الطَّبِيبُ",
    "الْفَلَّاحُ",
    "الصَّيَّادُ",
    "الْمُعَلِّمُ",
    "التَّاجِرُ",
    "الْكَاتِبُ",
    "الْحَدَّادُ",
    "الْخَيَّاطُ",
]
ARABIC_PLACES = [
    "السُّوقِ",
    "الْمَدِينَةِ",
    "الْبُسْتَانِ",
    "الْمَكْتَبَةِ",
    "النَّهْرِ",
    "الْقَرْيَةِ",
    "الْجَبَلِ",
    "الْمَدْرَسَةِ",
    "الْبِئْرِ",
    "الْمِينَاءِ",
]
ARABIC_THINGS = [
    "كِتَابًا",
    "مِصْبَاحًا",
    "رِسَالَةً",
    "سَلَّةَ تِينٍ",
    "جَرَّةَ عَسَلٍ",
    "ثَوْبًا",
    "مِفْتَاحًا",
    "خَرِيطَةً",
    "صُنْدُوقًا",
    "خُبْزًا",
]
ARABIC_VERBS = ["وَجَدَ", "اشْتَرَى", "حَمَلَ", "أَعْطَى", "رَأَى", "أَخَذَ", "صَنَعَ", "بَاعَ"]
ARABIC_TIMES = [
    "فِي الصَّبَاحِ",
    "فِي الْمَسَاءِ",
    "بَعْدَ الْمَطَرِ",
    "قَبْلَ الْفَجْرِ",
    "فِي الشِّتَاءِ",
    "فِي الرَّبِيعِ",
    "ذَاتَ يَوْمٍ",
    "يَوْمَ السُّوقِ",
]
ARABIC_SAYINGS = [
    "مَنْ زَرَعَ شَجَرَةً زَرَعَ ظِلًّا",
    "الصَّبْرُ مِفْتَاحُ الْفَرَجِ",
    "الطَّرِيقُ يُصْنَعُ بِالْمَشْيِ",
    "خَيْرُ الْكَلَامِ مَا قَلَّ وَدَلَّ",
    "الْعِلْمُ نُورٌ وَالْجَهْلُ ظَلَامٌ",
    "مَنْ جَدَّ وَجَدَ",
    "الْوَقْتُ كَالسَّيْفِ",
]

DIACRITICS = dict.fromkeys(range(0x64B, 0x653))


def english_document(draw: random.Random) -> str:
    """A short tale: who went where, what was found, what was said."""
    name, other = draw.sample(NAMES, 2)
    trade, place, thing = draw.choice(TRADES), draw.choice(PLACES), draw.choice(THINGS)
    sentences = [
        f"{draw.choice(SEASONS)} {name} the {trade} went to {place} and found {thing} there.",
        f"“Whose is this?” asked {name}, for {name} was {draw.choice(MOODS)} and would not keep it.",
        f"{other} came by {draw.choice(PLACES)} and said that {draw.choice(SAYINGS)}.",
        f"So they carried {thing} — it was worth {draw.randint(2, 90)} coins — to {draw.choice(PLACES)}.",
        f"The {draw.choice(TRADES)} of the town laughed and gave {other} {draw.choice(THINGS)}.",
        f"From that day on {name} and {other} were friends, and the {trade} never forgot it…",
        f"Nobody in {place} knew who had lost {thing}, though everyone had a story about it.",
    ]
    kept = sentences[:3] + draw.sample(sentences[3:], draw.randint(1, 3))
    return " ".join(kept)


def arabic_document(draw: random.Random) -> str:
    """A short tale with full diacritics, and with all that is to be cleaned away."""
    name, other = draw.sample(ARABIC_NAMES, 2)
    trade, place, thing = (draw.choice(w) for w in (ARABIC_TRADES, ARABIC_PLACES, ARABIC_THINGS))
    number = draw.randint(1, 999)
    digits = draw.choice([str, arabic_digits, eastern_digits])(number)
    sentences = [
        f"{draw.choice(ARABIC_TIMES)} ذَهَبَ {name} {trade} إِلَى {place} فَ{draw.choice(ARABIC_VERBS)} {thing}.",
        f"قَالَ {other}: «{draw.choice(ARABIC_SAYINGS)}»، ثُمَّ سَكَتَ.",
        f"ثُمَّ {draw.choice(ARABIC_VERBS)} {other} {draw.choice(ARABIC_THINGS)} مِنْ {draw.choice(ARABIC_PLACES)} ({digits}).",
        f"وَكَانَ {name} يُحِبُّ {place} ـ وَكَانَ {other} صَدِيقَهُ ـ مُنْذُ {digits} يَوْمًا؛",
        f"فَقَالَ {trade}: هَلْ {draw.choice(ARABIC_VERBS)} {other} {thing}؟ [انظر صفحة {digits}]",
        f"وَرَجَعَ {name} إِلَى {draw.choice(ARABIC_PLACES)} وَهُوَ يَقُولُ: {draw.choice(ARABIC_SAYINGS)}.",
    ]
    kept = sentences[:2] + draw.sample(sentences[2:], draw.randint(1, 3))
    text = " ".join(kept)
    if draw.random() < 0.15:
        text += f"\n{draw.choice(['-----', '=====', f'- {digits} -', f'صفحة {digits}'])}"
    if draw.random() < 0.2:
        text = text.replace("الْ", "الْـ", 1).replace(".", "\u200f.", 1)
    return text


def arabic_digits(number: int) -> str:
    """A number in Arabic-Indic digits."""
    return str(number).translate({ord(str(i)): chr(0x660 + i) for i in range(10)})


def eastern_digits(number: int) -> str:
    """A number in Eastern Arabic-Indic digits."""
    return str(number).translate({ord(str(i)): chr(0x6F0 + i) for i in range(10)})


def documents(make: Callable[[random.Random], str], draw: random.Random) -> str:
    """Documents with a blank line between them, up to the wanted size."""
    parts, size = [], 0
    while size < TEXT_BYTES:
        parts.append(make(draw))
        size += len(parts[-1].encode()) + 2
    return "\n\n".join(parts) + "\n"


def message(draw: random.Random, label: str) -> str:
    """Two sentences. Both kinds speak of money, prizes and calls; only how differs."""
    (name, other), (trade, work) = draw.sample(NAMES, 2), draw.sample(TRADES, 2)
    (place, there), thing = draw.sample(PLACES, 2), draw.choice(THINGS)
    bare = thing.removeprefix("a ")
    amount, code, hour = draw.randint(5, 900), draw.randint(1000, 9999), draw.randint(1, 12)
    spam = (
        [
            f"You won {amount} coins and {thing}!",
            f"FINAL NOTICE for {name}: your free {bare} leaves {place} today.",
            f"Dear {trade}, {amount} coins are waiting at {place}.",
            f"Hot offer of {name} the {trade}: {thing} for {amount} coins.",
            f"{name}, you were chosen for a free {bare} from {place}.",
            f"Urgent: your account at {place} loses {amount} coins tonight.",
            f"Win a trip to {place} with {name}, and {thing}!",
            f"No {trade} in {place} pays {amount} coins for {thing}, and you pay nothing.",
        ],
        [
            f"Reply YES to {code} and claim it from {other}",
            f"Call {code} now and ask for {other} the {work}",
            f"Text WIN to {code}, it costs {amount} cents in {there}",
            f"Send your name and {amount} coins to {code}",
            f"Confirm at {code} before {hour}, or {other} gets it",
            f"Text STOP to {code} to end, {other} knows why",
        ],
    )
    ham = (
        [
            f"Hi {name}, can you call me when you leave {place}?",
            f"I paid {amount} coins for {thing} at {place}, can you believe it?",
            f"{name} the {trade} won the race to {place} today!",
            f"Please bring {thing} for {name} the {trade}.",
            f"Sorry I am late, {place} was closed and {name} had {thing}.",
            f"The code for the door of {place} is {code}, {name}.",
            f"Thanks for {thing}, {name}, from the {trade} too!",
            f"No need to reply now, {name}, I only wanted to claim {thing} at {place}.",
        ],
        [
            f"We go to {there} at {hour} to celebrate with {other}",
            f"Now I owe {amount} coins to {other} the {work}",
            f"Tell {other} at {there} before {hour} today",
            f"I will text you at {hour} from {there}",
            f"Wait at {there}, the {work} has a free ticket for {other}",
            f"{other} the {work} won a prize, ask about it in {there}",
        ],
    )
    return " ".join(map(draw.choice, spam if label == "spam" else ham))


def instruction(draw: random.Random) -> dict[str, str]:
    """A question whose answer stands in a sentence of the kind that the texts have."""
    sentence, answers = draw.choice([english_facts, arabic_facts])(draw)
    asked = draw.choice(sorted(answers))
    return {"instruction": asked, "input": sentence, "output": answers[asked]}


def english_facts(draw: random.Random) -> tuple[str, dict[str, str]]:
    """A sentence, and the questions that it answers."""
    name, trade = draw.choice(NAMES), draw.choice(TRADES)
    place, thing, season = draw.choice(PLACES), draw.choice(THINGS), draw.choice(SEASONS)
    return draw.choice([
        (f"{season} {name} the {trade} went to {place} and found {thing} there.",
         {f"Where did {name} go?": place, f"What did {name} find?": thing,
          f"Who is {name}?": f"the {trade}", f"Who found {thing}?": name}),
        (f"The {trade} of the town laughed and gave {name} {thing}.",
         {"Who laughed?": f"the {trade}", f"Who got {thing}?": name, f"What did {name} get?": thing}),
    ])  # fmt: skip


def arabic_facts(draw: random.Random) -> tuple[str, dict[str, str]]:
    """A sentence without diacritics, as cleaning leaves it, and the questions that it answers."""
    name, other = (n.translate(DIACRITICS) for n in draw.sample(ARABIC_NAMES, 2))
    trade, place, thing, time, saying = (
        draw.choice(words).translate(DIACRITICS)
        for words in (ARABIC_TRADES, ARABIC_PLACES, ARABIC_THINGS, ARABIC_TIMES, ARABIC_SAYINGS)
    )
    return draw.choice([
        (f"{time} ذهب {name} {trade} إلى {place} فوجد {thing}.",
         {"من ذهب؟": name, f"إلى أين ذهب {name}؟": place, f"ماذا وجد {name}؟": thing}),
        (f"قال {other}: {saying}، ثم سكت.", {"من سكت؟": other, f"ماذا قال {other}؟": saying}),
        (f"ورجع {name} إلى {place} وهو يقول: {saying}.",
         {"من رجع؟": name, f"إلى أين رجع {name}؟": place, f"ماذا قال {name}؟": saying}),
    ])  # fmt: skip


def preference(draw: random.Random) -> dict[str, str]:
    """A question with the right answer alone, and one that is wrong or hidden in chatter."""
    asked = instruction(draw)
    answer = asked.pop("output")
    wrong = instruction(draw)["output"]
    chatter = [f"Well, let me think. It may be {answer}, I suppose.",
               f"I am not sure, but perhaps {answer}, or something like that.",
               f"{answer}? No. Yes. {answer}, then, if you say so."]  # fmt: skip
    worse = draw.choice([*chatter, wrong if wrong != answer else "I do not know."])
    return {**asked, "chosen": answer, "rejected": worse}


def write_all(folder: Path) -> None:
    """Write every sample file into a folder."""
    draw = random.Random(SEED)
    files = {
        "text/english.txt": documents(english_document, draw),
        "text/arabic.txt": documents(arabic_document, draw),
    }
    labels = ["spam"] * (N_MESSAGES * 3 // 8) + ["ham"] * (N_MESSAGES * 5 // 8)
    draw.shuffle(labels)
    rows = [f"{label}\t{message(draw, label)}" for label in labels]
    files["messages.tsv"] = "\n".join(["label\ttext", *rows]) + "\n"
    examples = [instruction(draw) for _ in range(N_INSTRUCTIONS)]
    files["instructions.json"] = json.dumps(examples, ensure_ascii=False, indent=1) + "\n"
    apart = random.Random(SEED + 1)  # so that the files above do not depend on this one
    pairs = [preference(apart) for _ in range(N_PREFERENCES)]
    files["preferences.json"] = json.dumps(pairs, ensure_ascii=False, indent=1) + "\n"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write_all(Path(__file__).parent)
