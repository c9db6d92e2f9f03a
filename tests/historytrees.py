"""The trees that TiCDC writes of the histories of tests/histories.py."""

import json
import random


def write(root, histories, seed, since=0, until=1 << 60):
    """Write the trees of histories below a folder, cut into files at random, lines in any order and some twice.

    Args:
        root: the folder; what lies there already stays as it is, as TiCDC never changes a file.
        histories: one database each.
        seed: of the cuts and of what comes twice.
        since: only what came after this commit_ts,
        until: up to this one.
    """
    for history in histories:
        chance = random.Random(f"{seed} {history.schema} {since}")
        files = {path: text for path, text in history.schemas.items() if int(path.split("_")[-2]) <= until}
        groups: dict[tuple[str, int], list[str]] = {}
        for name, version, ts, line in history.lines:
            if since < ts <= until:
                groups.setdefault((name, version), []).append(line)
        for (name, version), lines in groups.items():
            shuffled = chance.sample(lines, len(lines)) + chance.choices(lines, k=chance.randrange(3))
            cuts = sorted(chance.randrange(len(shuffled) + 1) for _ in range(chance.randrange(3)))
            pieces = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(shuffled)], strict=True) if a < b]
            folder = f"{history.schema}/{name}/{version}"
            first = 1 + len(list((root / folder).glob("CDC*.json")))  # numbers go on, without a gap
            for number, piece in enumerate(pieces, first):
                files[f"{folder}/CDC{number:06d}.json"] = "\r\n".join(piece) + "\r\n"
            files[f"{folder}/meta/CDC.index"] = f"CDC{first + len(pieces) - 1:06d}.json\n"
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content)


def checkpoint(root, ts):
    """Write the feed's checkpoint."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "metadata").write_text(json.dumps({"checkpoint-ts": ts}))
