"""The original and our services, once for all tests here."""

import pytest
from comparison import can_run, sides


@pytest.fixture(scope="session")
def all_sides(tmp_path_factory):
    reason = can_run()
    if reason:
        pytest.skip(reason)
    # Every uid of the sandboxes must be able to enter.
    directory = tmp_path_factory.mktemp("fidelity")
    with sides(directory) as up:
        yield up
