"""Everything that exists before anybody acts."""

from dataclasses import dataclass

from jobs.settings.simulator import Simulator
from jobs.simulator.clock import Clock
from jobs.simulator.links import Links, make_links
from jobs.simulator.people import Boards, People, make_boards, make_people
from jobs.simulator.pins import Pins, make_pins


@dataclass(frozen=True)
class Entities:
    """Who and what a world consists of."""

    people: People
    boards: Boards
    pins: Pins
    board_follows: Links
    user_follows: Links
    blocks: Links


def make_cast(world: Simulator, when: Clock) -> Entities:
    """Return users, boards, pins and links of the world that the settings ask for."""
    people = make_people(world, when)
    boards = make_boards(world, when, people)
    pins = make_pins(world, when, people, boards)
    return Entities(people, boards, pins, *make_links(world, when, people, boards, pins))
