"""The catalogue of faults, a row for each: what is put in a run's way, and what must come of it."""

from catalogue.files import FILES
from catalogue.machine import MACHINE
from catalogue.user import USER

CATALOGUE = [*USER, *FILES, *MACHINE]
