"""What every backend and every task must hold, for whoever plugs one in.

    pytest --pyargs weighbridge.bench.cli.conformance --backend NAME    # an installed one, or --task NAME

Or, in tests of one's own, where what a backend cannot do is announced:

    from weighbridge.bench.cli.conformance import BackendConformance, NotYet

    class TestMine(BackendConformance):
        backend = "mine"
        announced = (NotYet("test_a_strided_batch_is_the_same_batch", "upstream copies wrongly", ValueError),)

See docs/plug-ins.md.
"""

from weighbridge.bench.cli.conformance.announced import Never as Never
from weighbridge.bench.cli.conformance.announced import NotImplementedHere as NotImplementedHere
from weighbridge.bench.cli.conformance.announced import NotYet as NotYet
from weighbridge.bench.cli.conformance.announced import Replaced as Replaced
from weighbridge.bench.cli.conformance.backend import BackendConformance as BackendConformance
from weighbridge.bench.cli.conformance.subject import Case as Case
from weighbridge.bench.cli.conformance.task import TaskConformance as TaskConformance
