"""The texts that parity is measured on, where the user gives none, and those that go wrong."""

from __future__ import annotations

MIN_TEXTS = 20
"""Fewer texts than this say nothing about the order of the first ten."""

ORDINARY = (
    "Bread rises because yeast turns sugar into gas.",
    "How do I reset a forgotten password?",
    "The train to the coast leaves at 7:45 from platform 3.",
    "Red blood cells carry oxygen with an iron-bearing protein.",
    "Interest is compounded monthly at 3.9 % a year.",
    "Penguins stand in turns at the edge of the crowd, where the wind is worst.",
    "A lock of hair is enough to tell what a mammoth ate.",
    "Cheap flights in winter",
    "The court held that silence alone is no acceptance of an offer.",
    "Tighten the bolts crosswise, first by hand and then with a torque wrench set to 90 Nm.",
    "def area(radius): return 3.14159 * radius ** 2",
    "Error 0x80070005: access is denied while the update is being installed",
    "Volcanic ash makes a heavy but fertile soil.",
    "She tuned the second string a little flat and played the scale again.",
    "Why does ice float on water?",
    "Lentils need no soaking; chickpeas do, and they forgive being forgotten overnight.",
    "The vaccine lowered admissions to hospital by 62 % among people above seventy.",
    "Tides are highest when sun and moon pull along one line.",
    "Our shop accepts returns within thirty days if the label is still on.",
    "A glacier is a river that takes a century to answer.",
    "Mice without the receptor slept less and learned the maze more slowly.",
    "What is the capital of the province that borders both lakes?",
    "The bridge was closed in 1987 after divers found the second pier washed out.",
    "Sort the list first; then the nearest pair lies side by side.",
    "Olive trees bear well every other year.",
    "The minister resigned on Tuesday, two days before the report was due.",
    "Keep the saw cool, let it do the work, and stop when it starts to bind.",
    "Copper roofs turn green as the metal takes up carbon dioxide and water from the air.",
    "Two cups of flour, one of milk, three eggs, a pinch of salt.",
    "Neutrinos pass through a light year of lead as if it were not there.",
    "The goalkeeper guessed left, the ball went right, and the season was over.",
    "To renew a residence permit, bring the old card, two photographs and proof of income.",
    "Owls hear with one ear higher than the other, which tells them how high the mouse is.",
    "Rents rose twice as fast as wages in the five largest cities.",
    "The novel opens with a letter that nobody was meant to read.",
    "Aspirin thins the blood; do not take it before an operation without asking.",
    "Salt lowers the freezing point of water, so roads are gritted before the frost.",
    "A hash table trades memory for time.",
    "The monks brewed beer because the water of the town was not safe to drink.",
    "best walking boots wide feet waterproof",
    "The satellite loses about two metres of height with every orbit and must be lifted again.",
    "Children who grow up with two languages switch between tasks more easily, some studies say; "
    "larger ones, which measured income and schooling as well, found no difference.",
    "The first telegraph cable under the Atlantic worked for three weeks. The operators could "
    "barely read the signal, raised the voltage to two thousand volts, and so burned through the "
    "insulation of a line that had taken four attempts and two ships to lay.",
    "Sourdough is a community: wild yeasts raise the dough, bacteria make it sour, and each lives "
    "on what the other leaves. Keep it warm and the bacteria win; keep it cool and the bread will "
    "be mild. Feeding it more often has the same effect as cold, since acid is diluted each time.",
    "The pump would not start. The fuse was whole, the switch passed current, and the motor turned "
    "by hand. In the end it was the float, which had filled with water over the winter and lay on "
    "the bottom of the shaft, telling the pump that there was nothing to do.",
    "In a market with few sellers each must guess what the others will do. If all hold prices up, "
    "all gain; if one lowers them, it gains more, for a while. That such agreements break down "
    "without anyone's enforcing them is what students learn first, and that they often do not is "
    "what they learn second.",
    "Wolves returned to the valley after seventy years. The deer left the open banks, willows grew "
    "back, beavers found something to build with, and the stream, slowed by their dams, began to "
    "wander. Whether the wolves alone did this, or the wet years that came at the same time, is "
    "still argued about by people who agree on every measurement.",
    "A contract may be void, voidable or merely unenforceable. The first never existed, the second "
    "lives until one side ends it, and the third exists but no court will help. A sale of land "
    "agreed by a handshake belongs, in many countries, to the last kind.",
    "Patients were drawn by lot into two groups. One received the drug for twelve weeks, the other "
    "tablets of the same shape and taste. Neither they nor their doctors knew which. Of 412 who "
    "began, 377 finished; pain fell by 2.1 points on a scale of ten in the first group and by 1.6 "
    "in the second. The difference could be chance: the interval reaches from -0.1 to 1.1. More "
    "people in the treated group slept badly, and four left the trial because of it.",
    "To move the database, stop the writers, wait until the replica has caught up, and compare the "
    "two row counts. Promote the replica. Point one application at it and watch the error rate for "
    "ten minutes; then the others. Keep the old machine, switched to reading only, for a week: the "
    "day after you delete it is the day somebody asks for the report that only it could make.",
    "Stars of the sun's kind burn hydrogen for ten thousand million years, then swell, lose their "
    "outer layers and cool as white dwarfs the size of the earth. Stars eight times as heavy live "
    "a hundredth as long. When their iron core can no longer be held up by pressure it falls "
    "inward in less than a second; the rest bounces off and is thrown out, carrying with it most "
    "of the oxygen, magnesium and silicon of which planets, and people, are made. What remains is "
    "a neutron star or, if too much falls back, a black hole.",
    "The town had two bakeries, three churches and a railway station at which the express did not "
    "stop. On market days farmers came with onions and with news; on other days there was neither. "
    "When the paper mill opened, it brought a doctor, a cinema, and a smell that visitors noticed "
    "and residents denied. When it closed, forty years later, the cinema went first. The doctor "
    "stayed, being by then too old to be wanted elsewhere, and it was he who persuaded the council "
    "to keep the swimming pool open, on the ground that it was cheaper than what he would "
    "otherwise have to prescribe.",
)
"""Sentences and paragraphs on many subjects, from three words to a hundred."""

ODD = (
    "",
    " ",
    "?",
    "...!?;:,--()",
    "(*)" * 40,
    "C",
    "5",
    "a",
    "\x00",
    "Z" * 300,
    "検索エンジンは文書を単語に分けて索引を作る。",
    "深い森の中に小さな湖があります。",
    "المكتبة مفتوحة من التاسعة صباحا حتى الخامسة مساء.",
    "Мы читали книгу вслух, пока не погас свет.",
    "ฝนตกหนักตลอดทั้งคืน",
    "🎉🔥🚀",
    "Good 👍🏽 morning ☀️",
    "naïve café, Straße, Ångström",
    "https://example.org/a/b?c=d&e=f#g",
)
"""Nothing, punctuation only, single characters, other scripts, signs."""


CANARIES = (*[text for text in ORDINARY if 5 <= len(text.split()) <= 12][:3], ODD[11], ODD[17])
"""Few and short: a folder carries what its model makes of them."""


def too_long(n_tokens: int) -> tuple[str, str]:
    """Return two texts of more than `n_tokens` tokens: varied, and one word again and again."""
    varied = " ".join(ORDINARY)
    n_words = len(varied.split())
    return " ".join([varied] * (n_tokens // n_words + 1)), "again " * (n_tokens + 1)


def query_of(text: str) -> str:
    """Return a query taken from a text: up to eight words from its middle.

    >>> query_of("Why does ice float on water?")
    'Why does ice float on water?'
    """
    words = text.split()
    start = max(0, len(words) // 2 - 4)
    return " ".join(words[start : start + 8])
