"""Every setting there is. `conf/` holds the values; `jobs.settings` merges and checks them."""

from jobs.config.base import Section
from jobs.config.candidates import Candidates
from jobs.config.features import Features
from jobs.config.ingest import Ingest
from jobs.config.maintenance import Maintenance
from jobs.config.platform import Platform
from jobs.config.publish import Publish
from jobs.config.ranking import Ranking
from jobs.config.validation import Validation
from jobs.config.visual import Visual
from jobs.config.world import World


class Settings(Section):
    """All settings, by section. A section's values stand in conf/base/<section>.yaml."""

    platform: Platform = Platform()
    """Folders and Spark."""
    world: World = World()
    """The made-up Pinterest."""
    ingest: Ingest = Ingest()
    """Outside world to bronze and silver."""
    features: Features = Features()
    """Signals and statistics."""
    candidates: Candidates = Candidates()
    """Candidate sources."""
    visual: Visual = Visual()
    """Embeddings, neighbours, related pins."""
    ranking: Ranking = Ranking()
    """Feeds."""
    validation: Validation = Validation()
    """Checks."""
    publish: Publish = Publish()
    """Gate, generations, stores."""
    maintenance: Maintenance = Maintenance()
    """Old versions, small files."""
