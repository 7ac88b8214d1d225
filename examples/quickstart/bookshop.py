"""The bookshop behind the quickstart: its books, customers and orders, the same on every machine.

Everything is drawn from ``random.Random(seed)``, so two builds with one seed are equal, and a test can
compare what landed in the tables with what was served.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Record = dict[str, Any]
"""One JSON object, as the API serves it."""

SEED = 7
OPENING = datetime(2025, 1, 2, 8, 0, tzinfo=UTC)

CLASSICS = (
    ("Middlemarch", "George Eliot"),
    ("Les Misérables", "Victor Hugo"),
    ("Moby-Dick; or, The Whale", "Herman Melville"),
    ("Frankenstein; or, The Modern Prometheus", "Mary Shelley"),
    ("Pride and Prejudice", "Jane Austen"),
    ("Jane Eyre", "Charlotte Brontë"),
    ("Wuthering Heights", "Emily Brontë"),
    ("Der Zauberberg", "Thomas Mann"),
    ("Die Verwandlung", "Franz Kafka"),
    ("Effi Briest", "Theodor Fontane"),
    ("Don Quijote de la Mancha", "Miguel de Cervantes"),
    ("La Regenta", "Leopoldo Alas"),
    ("Madame Bovary", "Gustave Flaubert"),
    ("Germinal", "Émile Zola"),
    ("Le Rouge et le Noir", "Stendhal"),
    ("Анна Каренина", "Лев Толстой"),
    ("Преступление и наказание", "Фёдор Достоевский"),
    ("I promessi sposi", "Alessandro Manzoni"),
    ("Il fu Mattia Pascal", "Luigi Pirandello"),
    ("Os Maias", "Eça de Queirós"),
    ("Dom Casmurro", "Machado de Assis"),
    ("Max Havelaar", "Multatuli"),
    ("Gösta Berlings saga", "Selma Lagerlöf"),
    ("Sult", "Knut Hamsun"),
    ("Niels Lyhne", "J. P. Jacobsen"),
    ("Lalka", "Bolesław Prus"),
    ("R.U.R.", "Karel Čapek"),
    ("Great Expectations", "Charles Dickens"),
    ("The Time Machine", "H. G. Wells"),
    ("The Picture of Dorian Gray", "Oscar Wilde"),
    ('"Carmilla", a Tale', "Sheridan Le Fanu"),
    ("Little Women", "Louisa May Alcott"),
    ("Walden", "Henry David Thoreau"),
    ("The Awakening", "Kate Chopin"),
    ("吾輩は猫である", "夏目漱石"),
    ("Dracula", "Bram Stoker"),
)
CITIES = {
    "DE": ("Leipzig", "Hamburg", "Freiburg"),
    "FR": ("Lyon", "Nantes", "Besançon"),
    "NL": ("Utrecht", "Leiden"),
    "IE": ("Galway", "Cork"),
    "ES": ("Sevilla", "A Coruña"),
    "IT": ("Torino", "Bologna"),
    "SE": ("Göteborg", "Malmö"),
    "PL": ("Kraków", "Łódź"),
}
GIVEN_NAMES = ("Ada", "Björn", "Chiara", "Dorota", "Eoin", "Fenna", "Göran", "Hélène", "Iñigo", "Jan")
FAMILY_NAMES = ("Kowalska", "Lindqvist", "Müller", "Nowak", "O'Brien", "Pérez", "Rossi", "Smit", "Térrier")
STREETS = ("Lindenstraße", "Rue du Port", "Oudegracht", "Calle Mayor", "Via Roma", "Storgatan")
STATUSES = ("placed", "shipped", "delivered", "delivered", "delivered", "cancelled")


@dataclass(frozen=True, slots=True)
class Bookshop:
    """What the API serves: three collections, each in the order of its key."""

    products: tuple[Record, ...]
    customers: tuple[Record, ...]
    orders: tuple[Record, ...]


def seeded(seed: int, purpose: str) -> random.Random:
    """Return a generator of its own for each purpose, so that one collection's size leaves the others as
    they are. It draws example data and guards nothing.
    """
    return random.Random(f"{seed}/{purpose}")  # noqa: S311


def money(cents: int) -> str:
    """Return an amount as shops write it in JSON: a string, so that no cent is lost in a float."""
    return f"{cents // 100}.{cents % 100:02d}"


def timestamp(moment: datetime) -> str:
    """Return a moment in UTC as ISO 8601 with seconds and ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def build_bookshop(*, customers: int = 420, orders: int = 2_400, seed: int = SEED) -> Bookshop:
    """Build the shop's records.

    Arguments:
        customers: how many customers there are; at least 1 where there are orders.
        orders: how many orders they placed.
        seed: the same seed gives the same records, on every machine.
    """
    products = tuple(_products(seeded(seed, "products")))
    people = tuple(_customers(seeded(seed, "customers"), customers))
    return Bookshop(products, people, tuple(_orders(seeded(seed, "orders"), orders, people, products)))


def _products(rng: random.Random) -> list[Record]:
    return [
        {
            "sku": f"BK-{number:04d}",
            "title": title,
            "author": author,
            "price": money(rng.randrange(790, 3990)),
        }
        for number, (title, author) in enumerate(CLASSICS, start=1)
    ]


def _customers(rng: random.Random, count: int) -> list[Record]:
    people = []
    for number in range(1, count + 1):
        joined = OPENING + timedelta(seconds=rng.randrange(120 * 86_400))
        people.append(
            {
                "customer_id": number,
                "name": f"{rng.choice(GIVEN_NAMES)} {rng.choice(FAMILY_NAMES)}",
                "email": f"reader{number:04d}@example.org",
                "country": rng.choice(tuple(CITIES)),
                "newsletter": rng.random() < 0.4,
                "joined_at": timestamp(joined),
            }
        )
    return people


def _orders(
    rng: random.Random, count: int, people: tuple[Record, ...], products: tuple[Record, ...]
) -> list[Record]:
    orders = []
    placed = OPENING + timedelta(days=120)
    for number in range(1, count + 1):
        placed += timedelta(seconds=rng.randrange(60, 7_200))
        person = rng.choice(people)
        orders.append(
            {
                "order_id": 100_000 + number,
                "customer_id": person["customer_id"],
                "status": rng.choice(STATUSES),
                "placed_at": timestamp(placed),
                "currency": "EUR",
                "shipping_address": _address(rng, person["country"]),
                "lines": [_line(rng, book) for book in rng.sample(products, rng.randrange(1, 5))],
            }
        )
    return orders


def _address(rng: random.Random, country: str) -> Record:
    return {
        "street": f"{rng.choice(STREETS)} {rng.randrange(1, 180)}",
        "postcode": f"{rng.randrange(1_000, 99_999):05d}",
        "city": rng.choice(CITIES[country]),
        "country": country,
    }


def _line(rng: random.Random, book: Record) -> Record:
    return {"sku": book["sku"], "quantity": rng.choice((1, 1, 1, 2, 3)), "unit_price": book["price"]}
