"""Vocabulary of the simulator: categories, topics, colors, styles, names, titles."""

from typing import Final

TOPICS: Final[dict[str, tuple[str, ...]]] = {
    "animals": ("cat", "puppy", "aquarium", "bird"),
    "architecture": ("cabin", "skyscraper", "brutalism", "bridge"),
    "art": ("watercolour", "ceramics", "linocut", "mural"),
    "beauty": ("nail", "skincare", "makeup", "perfume"),
    "cars": ("roadster", "camper van", "motorbike", "rally"),
    "crafts": ("crochet", "quilt", "woodwork", "origami"),
    "design": ("typography", "poster", "logo", "packaging"),
    "education": ("phonics", "science kit", "study notes", "classroom"),
    "fashion": ("linen outfit", "sneaker", "vintage dress", "streetwear"),
    "film": ("film noir", "anime", "western", "stop motion"),
    "fitness": ("yoga", "running", "climbing", "pilates"),
    "food": ("ramen", "sourdough", "vegan bowl", "cake"),
    "garden": ("succulent", "raised bed", "rose", "pond"),
    "hair": ("braid", "bob cut", "curls", "fade"),
    "history": ("art deco", "castle", "viking", "space race"),
    "holidays": ("halloween", "winter table", "lantern", "picnic"),
    "home": ("kitchen shelf", "rug", "reading nook", "bathroom tile"),
    "kids": ("treehouse", "sensory play", "lunchbox", "nursery"),
    "music": ("vinyl", "ukulele", "festival", "synthesizer"),
    "nature": ("mountain", "forest", "coral reef", "desert"),
    "photography": ("portrait light", "macro", "street photo", "long exposure"),
    "tattoos": ("fine line", "blackwork", "botanical ink", "script"),
    "travel": ("lisbon", "kyoto", "road trip", "island"),
    "weddings": ("bouquet", "invitation", "venue", "rings"),
}
CATEGORIES: Final = tuple(TOPICS)
TOPIC_NAMES: Final = tuple(topic for topics in TOPICS.values() for topic in topics)
TOPIC_CATEGORY: Final = tuple(i for i, topics in enumerate(TOPICS.values()) for _ in topics)
"""Place in CATEGORIES of each topic."""

COLORS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (206, 62, 62),
    "orange": (232, 138, 58),
    "yellow": (238, 202, 84),
    "olive": (142, 148, 74),
    "green": (82, 158, 92),
    "teal": (58, 150, 150),
    "blue": (72, 118, 200),
    "purple": (128, 92, 178),
    "pink": (228, 134, 166),
    "brown": (140, 98, 70),
    "grey": (138, 142, 150),
    "cream": (236, 222, 196),
}
COLOR_NAMES: Final = tuple(COLORS)
STYLES: Final = ("minimal", "boho", "vintage", "modern", "rustic", "pastel", "bold", "sketch")

PRIVACY: Final = ("public", "protected", "secret")
STATUS: Final = ("active", "suspended", "deactivated")
COUNTRIES: Final = ("US", "BR", "MX", "DE", "FR", "GB", "JP", "IN", "IT", "CA", "ES", "PL", "NG", "KR", "AU", "SE")

FIRST: Final = (
    "ada", "bela", "chidi", "dora", "emil", "fatima", "goran", "hana", "ines", "jonas", "kiran", "lena", "mateo",
    "nora", "otto", "priya", "quinn", "rosa", "sven", "tala", "uma", "vera", "wanda", "xenia", "yusuf", "zoe",
)  # fmt: skip
ADJECTIVES: Final = (
    "easy", "tiny", "bright", "calm", "weekend", "favourite", "slow", "clever", "cosy", "simple", "wild", "golden",
    "quiet", "fresh", "budget", "perfect", "little", "hand-made", "early", "late",
)  # fmt: skip
NOUNS: Final = (
    "ideas", "inspiration", "at home", "for beginners", "step by step", "in autumn", "before and after", "tutorial",
    "mood", "palette", "to try", "we love", "in an hour", "for two", "on a shelf", "outdoors",
)  # fmt: skip
ODD_TITLES: Final = (
    'The "best" one, ever',
    "back\\slash and C:\\temp",
    "two\nlines",
    "tab\there; semi; comma, done",
    "\\N",
    "crème brûlée 🍮 für alle",
    "<b>bold</b> & bright",
    "'single' quotes",
    "日本の庭",
    "",
)
"""Titles with characters that CSV and JSON must escape."""
