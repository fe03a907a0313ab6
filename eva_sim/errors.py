"""Every error a user can cause or meet, each with one sentence on what to do next."""


class EvaError(Exception):
    """Base of all errors raised on purpose by this package."""


class CommandError(EvaError, ValueError):
    """A command has the wrong shape, is not a number, or leaves the range -1..1."""


class PhysicsError(EvaError, RuntimeError):
    """The simulation diverged or could not be solved; the state is not to be used."""


class RenderError(EvaError, RuntimeError):
    """Pictures cannot be made here, for example because no OpenGL library is installed."""


class MediaError(EvaError, ValueError):
    """A clip, camera or picture is missing, unreadable or shows no face."""


class DataError(EvaError, ValueError):
    """A data set, checkpoint or asset file is missing, damaged or of another face."""
