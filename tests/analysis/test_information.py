"""What may explain a change beside the keys: what is in it, and what must not be."""

from bench.analysis.information import information_of
from bench.identity import BUCKETS
from tests import records
from tests.test_identity import VOLATILE

MACHINE = records.CPU.model_copy(update={"driver": "570.1", "id": "ci-7"})
RUN = records.run(["resnet18"], ["partial"], machine=MACHINE)
RECORD = records.result(records.cell("resnet18", "partial", 0))
STEADY = {
    *("machine.sm_clock_max_mhz", "machine.memory_clock_max_mhz", "machine.cpu_max_mhz"),
    "machine.sm_clock_application_mhz",  # set by hand
}
"""Named like readings, and the same at every run."""


def test_it_has_the_driver_and_the_code_and_nothing_of_the_keys() -> None:
    found = information_of(RUN, [RECORD])
    assert found["machine.driver"] == "570.1"
    assert found["bench.version"] == "0.1.0"
    assert found["bench.commit"] is None
    assert "machine.torch" not in found  # numerics
    assert "machine.cpu_model" not in found  # performance


def test_records_of_two_commits_name_both() -> None:
    provenance = RECORD.provenance.model_copy(update={"commit": "1a2b"})
    later = provenance.model_copy(update={"commit": "3c4d"})
    made = [RECORD.model_copy(update={"provenance": one}) for one in (later, provenance)]
    assert information_of(RUN, made)["bench.commit"] == "1a2b and 3c4d"


def test_it_tells_one_machine_of_a_kind_from_another_and_has_no_reading() -> None:
    found = information_of(RUN, [RECORD])
    assert found["machine.id"] == "ci-7"
    assert BUCKETS["machine.id"] == "information"
    changing = [path for path in found for word in VOLATILE if word in path]
    assert set(changing) <= STEADY
