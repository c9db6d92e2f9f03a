"""conf/base states every setting of features and candidates, with the value the model defaults to."""

from pathlib import Path

import pytest
import yaml

from jobs.settings import Settings
from jobs.settings.load import flat

BASE = Path(__file__).parents[3] / "conf" / "base"


@pytest.mark.parametrize("section", ["features", "candidates"])
def test_the_file_holds_every_setting_with_its_default(section):
    model = getattr(Settings(), section)
    given = yaml.safe_load((BASE / f"{section}.yaml").read_text())
    assert flat(type(model).model_validate(given)) == flat(model)
    assert _keys(given) == set(flat(model))


def _keys(given, prefix=""):
    keys = set()
    for key, value in given.items():
        keys |= _keys(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key}
    return keys
