"""The runs that were never stopped, which all others are held against: (contents, seconds)."""

import pytest
from lives import HOW, SHORT, unbroken


@pytest.fixture(scope="session")
def short(tmp_path_factory):
    return unbroken(tmp_path_factory.mktemp("short"), SHORT)


@pytest.fixture(scope="session")
def long(tmp_path_factory):
    return unbroken(tmp_path_factory.mktemp("long"), HOW)


@pytest.fixture(scope="session")
def whole(short):
    return short[0]
