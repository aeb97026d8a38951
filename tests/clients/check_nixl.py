"""The object plugin of NIXL, on a machine without a GPU."""

from __future__ import annotations

import time
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.clients.case import ClientCase, Matrix, Place
from tests.live.case import MIB, some_bytes

try:
    import numpy
    from nixl_cu12._api import nixl_agent, nixl_agent_config
except ImportError:
    nixl_agent = None

SIZE = 9 * MIB + 1
DEVICE = 7
"""By which a transfer finds the key that was registered."""

WAIT_S = 60.0


class Nixl(Matrix, ClientCase):
    """Write, read, read a range, query: by the SDK, and by CRT above a threshold."""

    section = "NIXL: Dynamo KVBM, SGLang HiCache, llm-d"

    def exercise(self, place: Place) -> None:
        """Both engines of the plugin, each with a key of its own."""
        if nixl_agent is None:
            raise SkipTest("nixl-cu12 is not installed")
        bucket = self.new_bucket_name(place)
        self.server.s3().create_bucket(Bucket=bucket)
        self.with_environment(**({"AWS_CA_BUNDLE": place.ca} if place.tls else {}))
        snippet = place.fill_in(self.page.snippets[0]).replace('"bucket": "bucket"', f'"bucket": "{bucket}"')
        if place.tls:
            snippet = self.page.variant('"scheme": "http"', '"scheme": "https"', snippet)
        if place.virtual:
            old, new = '"use_virtual_addressing": "false"', '"use_virtual_addressing": "true"'
            snippet = self.page.variant(old, new, snippet)
        for engine, further in (("sdk", {}), ("crt", {"crtMinLimit": str(MIB)})):
            parameters = {**self.run_python(snippet)["parameters"], **further}
            if place.tls:
                assert '`"ca_bundle": "/path/to/ca.pem"`' in self.page.text
                parameters["ca_bundle"] = place.ca
            self.exchange(f"{engine}-{bucket}", parameters, f"kv@{engine}/0")
            self.assertSame(self.stored(bucket)[f"kv@{engine}/0"], some_bytes(SIZE))

    def exchange(self, name: str, parameters: dict[str, str], key: str) -> None:
        """One agent writes an object, asks for it, and reads it whole and in part."""
        agent = nixl_agent(name, nixl_agent_config(backends=[]))
        agent.create_backend("OBJ", parameters)
        source = numpy.frombuffer(some_bytes(SIZE), dtype=numpy.uint8).copy()
        target = numpy.zeros(SIZE, dtype=numpy.uint8)
        for buffer in (source, target):
            agent.register_memory([(buffer.ctypes.data, SIZE, 0, "")], "DRAM", backends=["OBJ"])
        agent.register_memory([(0, SIZE, DEVICE, key)], "OBJ", backends=["OBJ"])

        def transfer(operation: str, buffer: Any, offset: int, size: int) -> str:
            here = agent.get_xfer_descs([(buffer.ctypes.data, size, 0)], "DRAM")
            there = agent.get_xfer_descs([(offset, size, DEVICE)], "OBJ")
            handle = agent.initialize_xfer(operation, here, there, name, backends=["OBJ"])
            state = agent.transfer(handle)
            give_up = time.monotonic() + WAIT_S
            while state == "PROC" and time.monotonic() < give_up:
                time.sleep(0.002)  # the agent has nothing that could be waited for
                state = agent.check_xfer_state(handle)
            agent.release_xfer_handle(handle)
            return str(state)

        self.assertEqual(agent.query_memory([(0, 0, 0, key)], "OBJ", "OBJ"), [None])
        self.assertEqual(transfer("WRITE", source, 0, SIZE), "DONE")
        self.assertEqual(transfer("READ", target, 0, SIZE), "DONE")
        self.assertTrue((source == target).all())
        self.assertEqual(transfer("READ", target, 5_000_000, 3_000_000), "DONE")
        self.assertTrue((source[5_000_000:8_000_000] == target[:3_000_000]).all())
        self.assertEqual(agent.query_memory([(0, 0, 0, key)], "OBJ", "OBJ"), [{}])
