"""The simulated shop: who its users are, what it sells, how taste drifts, and the true probability of a click.

    world = World(seed=7)
    world.click_probability(users, items, positions, day=date)     # the truth, float64 [n]

Everything follows from the seed. A day needs no other day: state that moves with time (popularity, season, taste) is a
function of the day number.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EPOCH = datetime.date(2026, 1, 1)
"""Day 0 of the drift."""

CATEGORIES = ("shoes", "jackets", "phones", "lamps", "books", "toys", "garden", "kitchen", "sports", "beauty")
ADJECTIVES = ("red", "blue", "light", "warm", "classic", "new", "small", "large", "smart", "soft", "dark", "fresh")
NOUNS = {
    "shoes": ("sneaker", "boot", "sandal"),
    "jackets": ("parka", "coat", "vest"),
    "phones": ("phone", "case", "charger"),
    "lamps": ("lamp", "bulb", "lantern"),
    "books": ("novel", "atlas", "cookbook"),
    "toys": ("puzzle", "robot", "doll"),
    "garden": ("spade", "hose", "planter"),
    "kitchen": ("pan", "knife", "kettle"),
    "sports": ("ball", "racket", "mat"),
    "beauty": ("cream", "soap", "perfume"),
}
COUNTRIES = ("de", "fr", "us", "jp", "br")
DEVICES = ("phone", "desktop", "tablet")
POSITIONS = 10
"""Items shown in a list."""
_TASTE = 6
_BIAS = -3.4
_POSITION_DECAY = 0.16


def _generator(seed: int, *stream: int) -> np.random.Generator:
    """An independent stream for each purpose and day (Philox, counter-based)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *stream])))


@dataclass(frozen=True)
class World:
    """`user_count` returning users and `item_count` items, drawn from `seed`."""

    seed: int
    user_count: int = 4000
    item_count: int = 400

    @cached_property
    def category(self) -> Ints:
        """Category number of each item."""
        return _generator(self.seed, 1).integers(0, len(CATEGORIES), self.item_count)

    @cached_property
    def price(self) -> Floats:
        """Price of each item in euro, log-normal."""
        prices: Floats = np.exp(_generator(self.seed, 2).normal(3.2, 0.7, self.item_count))
        return np.round(prices, 2)

    @cached_property
    def title(self) -> npt.NDArray[np.str_]:
        """A few words for each item, the last one says what it is."""
        draw = _generator(self.seed, 3)
        adjectives = draw.integers(0, len(ADJECTIVES), (self.item_count, 2))
        nouns = draw.integers(0, 3, self.item_count)
        return np.array(
            [
                f"{ADJECTIVES[a]} {ADJECTIVES[b]} {NOUNS[CATEGORIES[c]][n]}"
                for (a, b), n, c in zip(adjectives, nouns, self.category, strict=True)
            ]
        )

    @cached_property
    def item_taste(self) -> Floats:
        """`[items, 6]`; items of a category lie close together."""
        draw = _generator(self.seed, 4)
        centres = draw.normal(0, 1, (len(CATEGORIES), _TASTE))
        return centres[self.category] + draw.normal(0, 0.5, (self.item_count, _TASTE))

    @cached_property
    def user_taste(self) -> Floats:
        """`[users, 6]`, where taste starts on day 0."""
        return _generator(self.seed, 5).normal(0, 0.55, (self.user_count, _TASTE))

    @cached_property
    def user_drift(self) -> Floats:
        """`[users, 6]`, direction in which a user's taste turns."""
        return _generator(self.seed, 6).normal(0, 0.55, (self.user_count, _TASTE))

    @cached_property
    def user_activity(self) -> Floats:
        """Relative number of visits of each user, heavy-tailed; sums to 1."""
        weights = _generator(self.seed, 7).pareto(1.8, self.user_count) + 0.2
        return weights / weights.sum()

    @cached_property
    def user_country(self) -> Ints:
        return _generator(self.seed, 8).choice(len(COUNTRIES), self.user_count, p=[0.4, 0.2, 0.2, 0.1, 0.1])

    def category_appeal(self, day: datetime.date) -> Floats:
        """`[categories]`: fashion that comes and goes within two weeks. This is what makes yesterday's model stale."""
        phase = _generator(self.seed, 9).uniform(0, 2 * np.pi, len(CATEGORIES))
        return 0.9 * np.sin(2 * np.pi * self.day_number(day) / 14 + phase)

    def item_appeal(self, day: datetime.date) -> Floats:
        """`[items]`: its category's fashion, its own quality, and a novelty that moves by the day."""
        quality = _generator(self.seed, 10).normal(0, 0.4, self.item_count)
        novelty_phase = _generator(self.seed, 11).uniform(0, 2 * np.pi, self.item_count)
        novelty = 0.5 * np.sin(2 * np.pi * self.day_number(day) / 9 + novelty_phase)
        return self.category_appeal(day)[self.category] + quality + novelty

    def taste(self, day: datetime.date) -> Floats:
        """`[users, 6]` on `day`: turns slowly, with a period of two months."""
        angle = 2 * np.pi * self.day_number(day) / 60
        return np.cos(angle) * self.user_taste + np.sin(angle) * self.user_drift

    def click_probability(self, users: Ints, items: Ints, positions: Ints, *, day: datetime.date) -> Floats:
        """The truth: probability of a click, `[n]`, for users, items and positions `[n]` (0 is the top of the list)."""
        affinity = np.einsum("ij,ij->i", self.taste(day)[users], self.item_taste[items])
        price = -0.25 * (np.log(self.price[items]) - 3.2)
        logit = _BIAS + self.item_appeal(day)[items] + affinity + price - _POSITION_DECAY * positions
        return 1 / (1 + np.exp(-logit))

    @staticmethod
    def day_number(day: datetime.date) -> int:
        return (day - EPOCH).days

    def generator(self, day: datetime.date, purpose: int) -> np.random.Generator:
        """The random stream of one day and purpose."""
        return _generator(self.seed, 1000 + purpose, self.day_number(day) + 10_000)
