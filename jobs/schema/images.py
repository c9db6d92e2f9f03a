"""Silver's tables of images: what ingest found out about the files that pins name. The bytes stay where they are."""

from jobs.schema.columns import RUN_ID, Column
from jobs.schema.table import AsOf, Table

_SIGNATURE = Column("image_signature", "string", "Hex digest naming the image file.", nullable=False)

IMAGE_FEATURES = Table(
    name="silver.image_features",
    comment="What images look like, in numbers: hash, colors, style. A row an image file, named by its signature.",
    grain="one row per image_signature, and one more for each day its file was missing",
    keys=("image_signature", "at"),
    time=AsOf.STATIC,
    optional=True,
    columns=(
        _SIGNATURE,
        Column("width", "int", "Pixels across, upright; null where there is a fault."),
        Column("height", "int", "Pixels down."),
        Column("phash", "bigint", "64-bit DCT hash, its bits as a signed number: images alike differ in few bits."),
        Column(
            "histogram", "binary", "Shares of 256 colors (16 hues, 4 saturations, 4 values), little-endian float16."
        ),
        Column("colors", "array<string>", "Dominant colors as #rrggbb, the largest share first, three at most."),
        Column("style", "string", "dark, light, vivid or muted, then plain or busy: light-plain."),
        Column(
            "fault", "string", "Why there are no numbers, such as truncated_image or missing_image; null if there are."
        ),
        Column("at", "timestamp", "When it was read.", nullable=False),
        RUN_ID,
    ),
)

IMAGE_EMBEDDINGS = Table(
    name="silver.image_embeddings",
    comment="What an ONNX model makes of images, where embeddings are computed here. A row an image file and model.",
    grain="one row per image_signature and model, and one more for each day its file was missing",
    keys=("image_signature", "model", "at"),
    time=AsOf.STATIC,
    optional=True,
    columns=(
        _SIGNATURE,
        Column(
            "model", "string", "Name, digest of the file and digest of the preparation: name@sha.prep.", nullable=False
        ),
        Column("dim", "int", "Number of values; null where there is a fault."),
        Column("embedding", "binary", "Unit-length vector, little-endian float16, dim values."),
        Column("fault", "string", "Why there is no vector, such as missing_image or nan_embedding; null if there is."),
        Column("at", "timestamp", "When it was computed.", nullable=False),
        RUN_ID,
    ),
)
