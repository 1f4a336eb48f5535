"""What `weighbridge run` does, without its words: names -> plan -> folder -> records -> reports."""

from __future__ import annotations

from rich.console import Console

from bench.cli.progress import Display
from bench.report.write import write_run
from bench.run.folders import Done, Options, note, run_folder, to_do
from bench.run.jobs import Planned
from bench.run.runner import run
from bench.storage import journals


def weigh(planned: Planned, options: Options, console: Console) -> Done:
    """Weighs what is not done yet and writes the reports; they are written after an interrupt, too."""
    folder = run_folder(options)
    with journals.writing(folder) as journal:
        note(options, journal)
        todo = to_do(journal, planned.cells, options, console)
        with Display(console, done=len(planned.cells) - len(todo), total=len(planned.cells)) as display:
            try:
                records = run(planned, todo, journal, display, options)
            finally:
                write_run(folder, planned.reference)
    wanted = {cell.id for cell in planned.cells}
    return Done(folder=folder, records=[record for record in records if record.cell.id in wanted])
