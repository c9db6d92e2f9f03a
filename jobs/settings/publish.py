"""How a generation is gated, kept and served."""

from typing import Literal

from pydantic import Field, SecretStr

from jobs.settings.base import Section


class Publish(Section):
    """Gate, generations, stores."""

    store: Literal["rocksdb", "memcached", "redis"] = "rocksdb"
    """Kind of store that serves generations: rocksdb (embedded), memcached or redis."""
    path: str = ".pinlake/store"
    """Folder of the embedded store, on a file system that driver and executors share."""
    nodes: tuple[str, ...] = ("127.0.0.1:11211",)
    """Servers of memcached (one or several), each as host:port, or of Redis (one), also as a URL, rediss:// for TLS."""
    password: SecretStr = SecretStr("")
    """Password of Redis: give it as PINLAKE_PUBLISH__PASSWORD in the environment, never in a file."""
    user: str = ""
    """User of Redis' access control; empty is its default user."""
    database: int = Field(0, ge=0)
    """Number of the database of Redis; one in the URL wins."""
    tls: bool = False
    """Whether Redis is spoken to in TLS, as under rediss://."""
    tls_ca: str = ""
    """File of the authority that signed Redis' certificate; empty takes those that the system trusts."""
    timeout_seconds: float = Field(1.0, gt=0)
    """Longest wait for a server's answer; a reader then goes on without that server."""
    lease_seconds: int = Field(30, ge=2)
    """How long after a publisher's death the next one may start; servers only, the embedded store knows at once."""
    grace_seconds: float = Field(60.0, ge=0)
    """How long a retired generation stays readable on servers, for requests that began with it."""
    keep_generations: int = Field(3, ge=2)
    """Generations kept for rollback, the served and the one before it among them."""
    fallback_length: int = Field(100, ge=1)
    """Pins in the feed of users without one of their own."""
    fallback_owner_cap: int = Field(5, ge=1)
    """Pins of one creator in a fallback feed."""
    short_feed: int = Field(20, ge=1)
    """A feed with fewer pins counts as short at the gate."""
    churn_depth: int = Field(20, ge=1)
    """Places from the top that the gate compares with the served generation."""
    verify_sample: int = Field(1000, ge=1)
    """Values of each surface that are read back through the reader before the pointer moves."""
    pointer_seconds: float = Field(2.0, gt=0)
    """Longest time a reader goes on with the pointer it knows."""
