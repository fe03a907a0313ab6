"""What all workers share: they open what they need once, and then do numbered jobs, one at a time each."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager

from eva_sim.errors import EvaError

#: Opens what a worker needs for all of its jobs; yields the function that does a job.
OpenWork = Callable[[], AbstractContextManager[Callable[[int], None]]]


class Workers(ABC):
    """Does numbered jobs.

    A job leaves its result in a file, so that results do not depend on who does the job.

    Attributes:
        count: greatest number of workers.
    """

    count: int

    @abstractmethod
    def run_jobs(self, open_work: OpenWork, jobs: Iterable[int]) -> Generator[int, None, None]:
        """Yields each job once it is done.

        Close the generator to end early; a job that is under way is then given up.

        Args:
            open_work: called once by each worker; must pickle if it goes to another process.
            jobs: drawn one by one, each when a worker is free.

        Raises:
            EvaError: a worker is lost. Errors of a job are raised as they are.
        """


class ThisProcess(Workers):
    """Does the jobs in this process, one after the other."""

    count = 1

    def run_jobs(self, open_work: OpenWork, jobs: Iterable[int]) -> Generator[int, None, None]:
        with open_work() as work:
            for job in jobs:
                work(job)
                yield job


def picklable(error: Exception) -> Exception:
    """Returns an error as it is if another process can read it, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever the error holds
        return EvaError(f"{type(error).__name__}: {error}")
    return error
