"""The gold tables: what analysts query and the publisher reads. One partition an as-of."""

from jobs.schema.columns import (
    ARM,
    CATEGORY,
    COLOR,
    CREATED_AT,
    CREATOR_ID,
    IMAGE_SIGNATURE,
    PIN_ID,
    POSITION,
    RANK,
    REASON,
    REASON_ID,
    SCORE,
    SOURCE,
    STYLE,
    USER_ID,
    Column,
)
from jobs.schema.table import gold

EVIDENCE_KIND = Column("evidence_kind", "string", "What the source went by: pin, category, user or none.")
EVIDENCE_ID = Column("evidence_id", "bigint", "Pin or user the source went by; null where it has none.")
RULE = Column("rule", "string", "Name of the rule that removed the pin.")

INTERACTIONS = gold(
    "interactions",
    "What each user did with each pin, counted and decayed: the signal that collaborative filtering learns from.",
    "one row per user and pin with at least one save, closeup, click or hide",
    "user_id pin_id",
    USER_ID,
    PIN_ID,
    Column("saves", "int", "Saves to any board, live at the cut."),
    Column("closeups", "int", "Times the user opened the pin."),
    Column("clicks", "int", "Times the user followed the pin's link."),
    Column("hides", "int", "Times the user hid or reported the pin."),
    Column("weight", "double", "Sum of event weights, each halved every features.half_life_days; 0 if hidden."),
    Column("first_ts", "timestamp", "First signal, UTC."),
    Column("last_ts", "timestamp", "Newest signal, UTC."),
)
PIN_STATS = gold(
    "pin_stats",
    "How each pin does, with the facts the rules need. Holds every live pin, whoever may see it.",
    "one row per pin alive at the cut",
    "pin_id",
    PIN_ID,
    CREATOR_ID,
    CATEGORY,
    COLOR,
    STYLE,
    IMAGE_SIGNATURE,
    CREATED_AT,
    Column("visibility", "string", "public, protected or secret: the privacy of the board the pin was made on."),
    Column("age_days", "double", "Days from creation to the cut."),
    Column("impressions", "bigint", "Times shown, all surfaces, in features.window_days."),
    Column("closeups", "bigint", "Times opened in the window."),
    Column("clicks", "bigint", "Times its link was followed in the window."),
    Column("saves", "bigint", "Saves to public boards, all time, live at the cut."),
    Column("recent_saves", "bigint", "Saves to public boards in features.trend_days."),
    Column("hides", "bigint", "Times hidden or reported in the window."),
    Column(
        "save_rate",
        "double",
        "Saves per impression in the window, smoothed towards the category (Beta prior).",
    ),
    Column("popularity", "double", "Public saves, each halved every features.half_life_days."),
)
USER_PROFILE = gold(
    "user_profile",
    "What is known of a user: tastes, habits, activity.",
    "one row per user alive at the cut",
    "user_id",
    USER_ID,
    Column("created_at", "timestamp", "When the account was made, UTC."),
    Column("n_saves", "int", "Live saves to any board."),
    Column("n_events", "int", "Events in features.window_days."),
    Column("last_active", "timestamp", "Newest event or save, UTC; null if none."),
    Column("is_active", "boolean", "At least one event or save in features.active_days: gets a feed of its own."),
    Column(
        "categories",
        "map<string,float>",
        "Share of decayed weight by category, '' of pins without one; at most ten, the largest.",
    ),
    Column("hours", "array<float>", "Share of events by UTC hour, 24 numbers; empty without events."),
    Column(
        "weekdays",
        "array<float>",
        "Share of events by weekday, Monday first, 7 numbers; empty without events.",
    ),
    Column("recent_saves", "array<bigint>", "Newest saved pins, newest first, at most features.recent_saves."),
    Column("taste", "binary", "Decayed mean of recent saves' embeddings, unit length, little-endian float16."),
)
CF_FACTORS = gold(
    "cf_factors",
    "Factors of implicit ALS: the inner product of a user's and a pin's says how likely a save is.",
    "one row per user or pin seen in training",
    "kind id",
    Column("kind", "string", "user or pin.", nullable=False),
    Column("id", "bigint", "user_id or pin_id, by kind.", nullable=False),
    Column("factor", "binary", "Factor vector, little-endian float32.", nullable=False),
)
PIN_NEIGHBOURS = gold(
    "pin_neighbours",
    "Nearest pins of each pin in embedding space; content candidates and related pins start here.",
    "one row per pin and neighbour, neighbours.k at most",
    "pin_id neighbour_id",
    PIN_ID,
    Column("neighbour_id", "bigint", "The pin that is near.", nullable=False),
    RANK,
    SCORE.means("Cosine of the two embeddings, 1 for equal."),
)
NEIGHBOUR_CELLS = gold(
    "ann_index",
    "The index that neighbours are searched in: cells of an inverted file. Empty where all pins can be compared.",
    "one row per cell",
    "cell",
    Column(
        "version", "string", "Embedding model, dim, settings, cut trained for, digest: two never mix.", nullable=False
    ),
    Column("cell", "int", "Number of the cell, from 0.", nullable=False),
    Column("centroid", "binary", "Middle of the cell, unit length, little-endian float32.", nullable=False),
    Column("probes", "int", "Cells that a pin looks into, nearest first.", nullable=False),
    Column("trained_on", "date", "Cut that the cells were trained for.", nullable=False),
    Column("trained_pins", "bigint", "Pins there were then."),
    Column("recall", "double", "Share of the true neighbours that so many probes found of a sample then."),
    Column("lower", "double", "Lower end of its 95 % interval: what neighbours.min_recall asks for."),
    Column("upper", "double", "Upper end of it."),
    Column("sampled", "int", "Pins of the sample."),
)
NEIGHBOUR_RECALL = gold(
    "neighbour_recall",
    "Audit of the neighbours: a sample of pins compared with all others, another sample each day.",
    "one row, none without embeddings",
    "",
    Column("pins", "bigint", "Public pins with a usable embedding of the model.", nullable=False),
    Column(
        "left_out",
        "bigint",
        "Public pins whose embedding is NaN, infinite or zero: no list holds them.",
        nullable=False,
    ),
    Column("sampled", "int", "Pins looked up."),
    Column("recall", "double", "Mean share of their true neighbours that their lists hold."),
    Column("lower", "double", "Lower end of the 95 % interval over pins."),
    Column("upper", "double", "Upper end of the 95 % interval over pins."),
    Column("target", "double", "What is asked for: neighbours.min_recall, or 1 where all pins are compared."),
    Column("version", "string", "Index searched; null where all pins are compared."),
    Column("probes", "int", "Cells that a pin looked into; null likewise."),
    Column("trained_on", "date", "Cut that the index was trained for; null likewise."),
)
HASH_PAIRS = gold(
    "hash_pairs",
    "Which hashes of images are near one another: near-duplicates are proposed by them, and confirmed by embeddings.",
    "one row per hash, and one per pair of near hashes",
    "low high",
    Column(
        "low", "bigint", "Hash of an image that a live pin carries, its 64 bits as a signed number.", nullable=False
    ),
    Column(
        "high", "bigint", "The other hash, greater; the same in the row that says the hash is there.", nullable=False
    ),
    Column("distance", "int", "Bits in which they differ, 0 for a hash and itself.", nullable=False),
    Column("radius", "int", "image_dedup.hash_radius that was looked for: farther hashes are no pair.", nullable=False),
)
IMAGE_CLUSTERS = gold(
    "image_clusters",
    "Which images show the same thing: near-duplicates together, under an id that lasts, with what their pins did.",
    "one row per image that a live pin carries",
    "image_signature",
    IMAGE_SIGNATURE.required(),
    Column("image_id", "bigint", "Lowest live pin with the image, which stands for it.", nullable=False),
    Column("cluster_id", "bigint", "Cluster: the lowest image when it was born, for good.", nullable=False),
    Column("pins", "int", "Live pins that carry the image."),
    Column("saves", "bigint", "Their saves to public boards, all time."),
)
TRENDING = gold(
    "trending",
    "Pins rising faster than expected, by category: a rise over expectation, not volume.",
    "one row per category and pin, candidates.trending.per_category at most",
    "category pin_id",
    CATEGORY.required().means("Category the creator chose; '' for pins without one."),
    PIN_ID,
    RANK,
    SCORE.means("Rise in standard deviations: (observed - expected) / sqrt(expected + 1)."),
    Column("observed", "double", "Distinct public savers and openers in features.trend_days."),
    Column("expected", "double", "The same from the rate before, and from the category for new pins."),
)
CANDIDATES = gold(
    "candidates",
    "Pins a source proposes to a user, before ranking and rules. One partition a source.",
    "one row per source, user and pin",
    "source user_id pin_id",
    SOURCE,
    USER_ID,
    PIN_ID,
    SCORE,
    RANK,
    EVIDENCE_KIND,
    EVIDENCE_ID,
    sub_partition="source",
)
RANKER = gold(
    "ranker",
    "The learned ranker of an as-of, whole: enough to score again years later.",
    "one row",
    "",
    Column(
        "model", "string", "xgboost model as JSON (Booster.save_raw); null where there was too little to learn from."
    ),
    Column("features", "array<string>", "Feature names in the model's order.", nullable=False),
    Column("trained_rows", "bigint", "Labelled proposals it learned from."),
    Column("positives", "bigint", "Those that ended in a save, click or closeup."),
    Column("auc", "double", "Area under the ROC curve on held-out users, positives against the rest."),
    Column("importance", "map<string,float>", "Share of total gain by feature."),
)
RANKED = gold(
    "ranked",
    "Every candidate with its score and what became of it: the home feed and the drops are read from here.",
    "one row per user and candidate pin",
    "user_id pin_id",
    USER_ID,
    PIN_ID,
    SCORE.means("Ranker's score; higher is better."),
    Column("sources", "array<string>", "Sources that proposed the pin, best rank first."),
    REASON,
    REASON_ID,
    CATEGORY,
    CREATOR_ID,
    RULE.means("Rule that removed the pin; null where it may be shown."),
    ARM,
    Column("position", "int", "Place in the feed after diversification; null where it did not get in."),
)
HOME_FEED = gold(
    "home_feed",
    "The feed of each active user, in order, with reasons: what is published.",
    "one row per user and position",
    "user_id position",
    USER_ID,
    POSITION,
    PIN_ID,
    SCORE.means("Ranker's score; higher is better."),
    SOURCE.means("Candidate source that ranked the pin best."),
    REASON,
    REASON_ID,
    ARM,
)
FEED_DROPS = gold(
    "feed_drops",
    "Why not: candidates that a rule or the length of the feed kept out.",
    "one row per user and dropped pin, ranking.drops_per_user at most",
    "user_id pin_id",
    USER_ID,
    PIN_ID,
    RULE.required().means("Name of the rule that removed the pin; length where it found no place."),
    SCORE.means("Ranker's score; higher is better."),
    SOURCE.means("Candidate source that ranked the pin best."),
)
RELATED_PIN_ID = Column("related_pin_id", "bigint", "The pin to show.", nullable=False)
RELATED_PAIRS = gold(
    "related_pairs",
    "What each source says of two public pins, brought to 0..1: related pins are blended, and judged, from it.",
    "one row per pin and related pin that at least one source knows",
    "pin_id related_pin_id",
    PIN_ID,
    RELATED_PIN_ID.means("The other pin."),
    Column("similarity", "float", "Cosine of the two embeddings; null where it is not among the nearest."),
    Column("co_saves", "int", "Public boards that hold both pins."),
    Column("looks_alike", "float", "Cosine times place among the nearest, 0 to 1; null where it is not among them."),
    Column("saved_together", "float", "Co-save rate as a share of the pin's best, times trust; null without."),
    Column("co_viewed", "float", "The same of sittings in which people opened both; null without."),
    Column("same_link", "float", "1 where both lead to one page; else null."),
    Column(
        "collaborative",
        "float",
        "Cosine of collaborative filtering factors times place among the nearest; null without.",
    ),
)
RELATED_PINS = gold(
    "related_pins",
    "Pins to show beside a pin: neighbours, co-saves, sittings and links blended.",
    "one row per pin and position",
    "pin_id position",
    PIN_ID,
    POSITION,
    RELATED_PIN_ID,
    SCORE,
    Column("similarity", "float", "Cosine of the two embeddings; null where it is not among the nearest."),
    Column("co_saves", "int", "Public boards that hold both pins."),
    REASON.means(
        "looks_alike, saved_together, both, co_viewed, same_link, collaborative, duplicate (from the list of a "
        "near-duplicate), or popular (of the category)."
    ),
)
RELATED_EVALUATIONS = gold(
    "related_evaluations",
    "How good the related pins of horizon_days ago were, judged by what was saved since; each source alone beside.",
    "one row per model, segment, metric and k",
    "model segment metric k",
    Column(
        "model",
        "string",
        "related_pins (the lists as they were), a source alone, popular, or related_pins_minus_ a source (paired).",
        nullable=False,
    ),
    Column(
        "segment", "string", "Query pins judged: all, head, torso or tail, a third of all saves each.", nullable=False
    ),
    Column("metric", "string", "recall, save_rate, save_rate_others or save_gain.", nullable=False),
    Column("k", "int", "Places of the list that count.", nullable=False),
    Column(
        "value",
        "double",
        "recall: mean share of the next co-saves listed; others: saves per impression; null if none was judged.",
    ),
    Column("lower", "double", "Lower end of the 95 % interval, over query pins, or over users for saves."),
    Column("upper", "double", "Upper end of the 95 % interval."),
    Column("judged", "bigint", "What it rests on: query pins for recall, logged impressions for the others."),
    Column("hits", "bigint", "Next co-saves listed, or saves of those impressions; null for differences."),
)
EVALUATIONS = gold(
    "evaluations",
    "How good the lists of horizon_days ago were, judged by what users saved since. Popularity always beside.",
    "one row per model, metric and k",
    "model metric k",
    Column(
        "model",
        "string",
        "home_feed, popularity, a candidate source, or home_feed_minus_popularity (paired by user).",
        nullable=False,
    ),
    Column("metric", "string", "hr, ndcg, recall or coverage.", nullable=False),
    Column("k", "int", "Length of the list judged.", nullable=False),
    Column("value", "double", "Mean over users; coverage: share of the catalogue shown.", nullable=False),
    Column("lower", "double", "Lower end of the 95 % interval over users."),
    Column("upper", "double", "Upper end of the 95 % interval over users."),
    Column("users", "bigint", "Users judged: those who had a feed and saved something new since."),
)

GOLD = (
    INTERACTIONS,
    PIN_STATS,
    USER_PROFILE,
    NEIGHBOUR_CELLS,
    PIN_NEIGHBOURS,
    NEIGHBOUR_RECALL,
    HASH_PAIRS,
    IMAGE_CLUSTERS,
    CF_FACTORS,
    TRENDING,
    CANDIDATES,
    RANKER,
    RANKED,
    HOME_FEED,
    FEED_DROPS,
    RELATED_PAIRS,
    RELATED_PINS,
    EVALUATIONS,
    RELATED_EVALUATIONS,
)
