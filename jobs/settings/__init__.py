"""Every setting there is. `conf/` holds the values; `jobs.settings.load` merges and checks them."""

from jobs.settings.base import Section
from jobs.settings.candidates import Candidates
from jobs.settings.features import Features
from jobs.settings.ingest import Ingest
from jobs.settings.maintenance import Maintenance
from jobs.settings.platform import Platform
from jobs.settings.publish import Publish
from jobs.settings.ranking import Ranking
from jobs.settings.related import ImageDedup, Neighbours, Related
from jobs.settings.simulator import Simulator
from jobs.settings.validation import Validation


class Settings(Section):
    """All settings, by section. A section's values stand in conf/base/<section>.yaml."""

    platform: Platform = Platform()
    """Folders and Spark."""
    simulator: Simulator = Simulator()
    """The simulated Pinterest that `pinlake world` writes."""
    ingest: Ingest = Ingest()
    """Outside world to bronze and silver."""
    features: Features = Features()
    """Signals and statistics."""
    candidates: Candidates = Candidates()
    """Candidate sources."""
    neighbours: Neighbours = Neighbours()
    """Nearest neighbours of pins."""
    image_dedup: ImageDedup = ImageDedup()
    """Clusters of near-duplicate images."""
    related: Related = Related()
    """Related pins."""
    ranking: Ranking = Ranking()
    """Feeds."""
    validation: Validation = Validation()
    """Checks."""
    publish: Publish = Publish()
    """Gate, generations, stores."""
    maintenance: Maintenance = Maintenance()
    """Old versions, small files."""
