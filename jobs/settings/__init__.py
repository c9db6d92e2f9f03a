"""All settings: type, bounds, default and sentence. `jobs.settings.load` merges conf/ over the defaults."""

from jobs.settings.base import Section
from jobs.settings.candidates import Candidates
from jobs.settings.features import Features
from jobs.settings.ingest import Ingest
from jobs.settings.platform import Maintenance, Platform, Validation
from jobs.settings.publish import Publish
from jobs.settings.ranking import Ranking
from jobs.settings.related import ImageDedup, Neighbours, Related
from jobs.settings.simulator import Simulator


class Settings(Section):
    """All settings, by section. conf/base/<section>.yaml is written from these models."""

    platform: Platform = Platform()
    """Folders and the Spark session; relative paths start at the project's root."""
    simulator: Simulator = Simulator()
    """The simulated Pinterest that `pinlake world` writes."""
    ingest: Ingest = Ingest()
    """Sources, and how their files are read into bronze and silver."""
    features: Features = Features()
    """Weights, windows and smoothing of user behaviour."""
    candidates: Candidates = Candidates()
    """Candidate sources."""
    neighbours: Neighbours = Neighbours()
    """Nearest neighbours of pins in embedding space."""
    image_dedup: ImageDedup = ImageDedup()
    """Clusters of near-duplicate images."""
    related: Related = Related()
    """Related pins: sources, blend and lists."""
    ranking: Ranking = Ranking()
    """Learned ranker, rules, diversification, experiment arms."""
    validation: Validation = Validation()
    """Checks of tables."""
    publish: Publish = Publish()
    """Gate, generations, stores."""
    maintenance: Maintenance = Maintenance()
    """`pinlake maintain`: old versions, deleted rows, file sizes."""
