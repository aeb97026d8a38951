"""How hard the tests try: the short form that the suite has, or what ``make torture`` asks for.

| in the environment | means                                                        |
|--------------------|--------------------------------------------------------------|
| ``S3GW_TORTURE=N`` | N times as many rounds, and the large numbers where N is not 0 |
| ``S3GW_SEED=N``    | other faults, at other moments                               |
"""

from __future__ import annotations

import os

TORTURE = int(os.environ.get("S3GW_TORTURE", "0"))
RUNS = max(1, TORTURE)
SEED = int(os.environ.get("S3GW_SEED", "20261122"))
