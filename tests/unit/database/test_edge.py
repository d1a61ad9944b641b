import asyncio
import time

import psycopg
import psycopg_pool
import pytest
from psycopg import errors

from github_banners.database.connect import (
    TRANSIENT_ERRORS,
    _wait_in_steps,
    is_connection_loss,
    mapping_driver_errors,
)
from github_banners.errors import DatabaseUnavailable

# What we did wrong: these are never taken for a server that is away.
LOUD = (
    psycopg.ProgrammingError,
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.NotSupportedError,
    psycopg.InternalError,
    # Classes of SQL that nothing of ours uses; psycopg gives them no family.
    errors.DiagnosticsException,
    errors.InvalidGrantOperation,
    errors.InvalidGrantor,
    errors.InvalidLocatorSpecification,
    errors.InvalidRoleSpecification,
    errors.InvalidTransactionInitiation,
    errors.LocatorException,
    errors.NoAdditionalDynamicResultSetsReturned,
    errors.NoData,
    errors.SnapshotTooOld,
    errors.SqlStatementNotYetComplete,
    errors.StackedDiagnosticsAccessedWithoutActiveHandler,
    errors.TriggeredActionException,
)


def family(base: type[BaseException]) -> set[type[BaseException]]:
    return {base}.union(*(family(child) for child in base.__subclasses__()))


FOREIGN = sorted(
    (family(psycopg.Error) - {psycopg.Error, psycopg.DatabaseError})
    | {
        one
        for one in vars(psycopg_pool).values()
        if isinstance(one, type) and issubclass(one, Exception)
    },
    key=lambda one: one.__name__,
)


def test_the_list_of_foreign_errors_is_long() -> None:
    assert len(FOREIGN) > 200


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda one: one.__name__)
def test_every_foreign_error_is_ours_or_loud(foreign: type[Exception]) -> None:
    assert issubclass(foreign, TRANSIENT_ERRORS + LOUD)


@pytest.mark.parametrize(
    "foreign",
    [
        psycopg.OperationalError,
        psycopg.InterfaceError,
        errors.DiskFull,
        errors.AdminShutdown,
        errors.CannotConnectNow,
        errors.TooManyConnections,
        errors.QueryCanceled,
        errors.DeadlockDetected,
        errors.SerializationFailure,
        errors.ReadOnlySqlTransaction,
        errors.IdleInTransactionSessionTimeout,
        errors.ConnectionTimeout,
        errors.UndefinedTable,
        errors.InsufficientPrivilege,
        psycopg_pool.PoolTimeout,
        psycopg_pool.PoolClosed,
        psycopg_pool.TooManyRequests,
    ],
)
def test_what_passes_becomes_ours(foreign: type[Exception]) -> None:
    cause = foreign("the disk of /secret/path is full")
    with pytest.raises(DatabaseUnavailable) as caught, mapping_driver_errors():
        raise cause
    assert caught.value.__cause__ is cause
    assert caught.value.public_message == "can't get preview"


@pytest.mark.parametrize(
    "foreign",
    [errors.UndefinedFunction, errors.UniqueViolation, errors.NotNullViolation, errors.SyntaxError],
)
def test_our_own_mistakes_stay_loud(foreign: type[Exception]) -> None:
    with pytest.raises(foreign), mapping_driver_errors():
        raise foreign


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (psycopg.OperationalError("the connection is closed"), True),
        (psycopg_pool.PoolTimeout(), True),
        (errors.AdminShutdown(), True),
        (errors.ConnectionFailure(), True),
        (errors.DiskFull(), False),
        (errors.DeadlockDetected(), False),
        (errors.QueryCanceled(), False),
        (psycopg.DataError("text can't contain NUL"), False),
        (errors.UniqueViolation(), False),
    ],
)
def test_a_server_that_answers_with_an_error_is_not_lost(cause: Exception, expected: bool) -> None:
    assert is_connection_loss(cause) is expected


async def test_wait_in_steps_pause_of_the_process_is_not_a_silent_server() -> None:
    """The event loop stands still for longer than a server may be silent; then the answer arrives."""

    async def answer() -> str:
        for _ in range(20):
            await asyncio.sleep(0)
        return "here"

    asyncio.get_running_loop().call_soon(time.sleep, 0.2)
    task = asyncio.create_task(answer())
    await _wait_in_steps(task, 0.1)
    assert task.result() == "here"


async def test_wait_in_steps_silent_server_is_given_up() -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    await _wait_in_steps(task, 0.01)
    assert not task.done()
    task.cancel()
