"""The configuration of a changefeed: the file given to `cdc cli changefeed create --config`.

In: TOML with TiCDC's own keys, and `sink-uri` and `server-timezone` at its top. Out: a `Changefeed`. What was left out
has TiCDC's default. Settings under which rows or their order are lost are refused here, with the way to mend them.
"""

import tomllib
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.common.errors import ConfigError, SourceError


class _Part(BaseModel):
    """A block of TiCDC's file; what does not concern a reader is left alone."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True
    )


class Csv(_Part):
    """[sink.csv]: how rows are written."""

    delimiter: str = Field(",", min_length=1, max_length=3)
    quote: str = Field('"', max_length=1)
    """Empty: nothing is quoted, and text escapes by backslash."""
    null: str = "\\N"
    include_commit_ts: bool = False
    binary_encoding_method: Literal["base64", "hex"] = "base64"
    output_old_value: bool = False
    output_field_header: bool = False


class Storage(_Part):
    """[sink.cloud-storage-config]."""

    output_raw_change_event: bool = False
    use_table_id_as_path: bool = False


class Sink(_Part):
    """[sink]."""

    protocol: str = ""
    terminator: str = ""
    """What ends a record; empty: CRLF."""
    date_separator: Literal["none", "year", "month", "day"] = "day"
    enable_partition_separator: bool = True
    csv: Csv = Csv()
    cloud_storage_config: Storage = Storage()


class Changefeed(_Part):
    """The whole file."""

    sink_uri: str = ""
    server_timezone: str = ""
    """Zone of TIMESTAMP values: the server's --tz; empty: ingest.timezone."""
    sink: Sink = Sink()

    @property
    def protocol(self) -> str:
        """Return canal-json or csv; the URI takes precedence over the file. Empty where neither sets it."""
        return self.parameters.get("protocol") or self.sink.protocol

    @property
    def parameters(self) -> dict[str, str]:
        """Return the URI's parameters."""
        return dict(parse_qsl(urlsplit(self.sink_uri).query))


def read_changefeed(path: Path) -> Changefeed:
    """Read the file.

    Raises:
        ConfigError: it is missing, no TOML, or a value is none that TiCDC takes.
        SourceError: such a changefeed cannot be ingested safely.
    """
    try:
        changefeed = Changefeed.model_validate(tomllib.loads(path.read_text()))
        ZoneInfo(changefeed.server_timezone or "UTC")
    except FileNotFoundError:
        raise ConfigError(f"--changefeed {path}: no such file. Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--changefeed {path} is not valid TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"--changefeed {path}: {key} = {first['input']!r}: {first['msg']}.") from None
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError(
            f"--changefeed {path}: server-timezone = {changefeed.server_timezone!r} is not a time zone. Examples: UTC, "
            "Asia/Shanghai."
        ) from None
    for problem in _problems(changefeed):
        raise SourceError(f"--changefeed {path}: {problem}")
    return changefeed


def _problems(changefeed: Changefeed) -> list[str]:
    """Return why the feed cannot be ingested safely, each with what to change at the source."""
    sink, parameters = changefeed.sink, changefeed.parameters
    csv = changefeed.protocol == "csv"
    found: list[tuple[Any, str]] = [
        (
            changefeed.protocol not in {"", "csv", "canal-json"},
            f"protocol={changefeed.protocol}: only canal-json and csv go to a storage sink. Create the changefeed with "
            "protocol=canal-json&enable-tidb-extension=true.",
        ),
        (
            csv and not sink.csv.include_commit_ts,
            "sink.csv.include-commit-ts is false, so rows have no order and repetitions cannot be recognised. Create "
            "the changefeed with include-commit-ts = true.",
        ),
        (
            changefeed.protocol == "canal-json" and parameters.get("enable-tidb-extension", "").lower() != "true",
            "the sink-uri lacks enable-tidb-extension=true, so rows carry no commit-ts: `es` counts milliseconds, and "
            "orders no two changes within one. Add it to the sink-uri.",
        ),
        (
            csv and sink.cloud_storage_config.output_raw_change_event and not sink.csv.output_old_value,
            "sink.cloud-storage-config.output-raw-change-event is true on CSV without old values: an update that "
            "changes a key would leave the old key behind. Set it to false, or sink.csv.output-old-value to true.",
        ),
        (
            csv and not sink.csv.quote and not sink.csv.null.startswith("\\"),
            f"sink.csv.null = {sink.csv.null!r} with an empty sink.csv.quote: such a text cannot be distinguished from "
            "NULL. Set null to '\\N' or quote to '\"'.",
        ),
        (
            not sink.enable_partition_separator,
            "sink.enable-partition-separator is false: the files of a table's partitions overwrite each other "
            "(tiflow #11979). Set it to true.",
        ),
    ]
    return [text for wrong, text in found if wrong]
