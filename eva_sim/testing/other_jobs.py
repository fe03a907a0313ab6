"""A busy computer: jobs that use every core, beside which a test runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

#: A job that uses a core until it is ended, or its parent is.
_JOB = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(100_000))"


@contextmanager
def other_jobs(count: int | None = None) -> Iterator[None]:
    """Runs jobs beside the block.

    Args:
        count: number of jobs; one for each core if None.
    """
    with ExitStack() as stack:
        for _ in range(count or os.cpu_count() or 1):
            job = stack.enter_context(subprocess.Popen([sys.executable, "-c", _JOB]))
            stack.callback(job.kill)
        yield
