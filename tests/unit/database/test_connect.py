"""Errors of the driver, and waiting for responses."""

import asyncio
import time

import psycopg
import psycopg_pool
import pytest
from psycopg import errors

from github_banners.database.connect import (
    TRANSIENT_ERRORS,
    is_connection_loss,
    mapping_driver_errors,
    wait_in_steps,
)
from github_banners.errors import DatabaseUnavailable

# Caused by bugs of ours; never treated as an unavailable server.
BUGS = (
    psycopg.ProgrammingError,
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.NotSupportedError,
    psycopg.InternalError,
    # Classes of SQL features that we do not use; psycopg gives them no common base class.
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


def subclasses(base: type[BaseException]) -> set[type[BaseException]]:
    return {base}.union(*(subclasses(child) for child in base.__subclasses__()))


DRIVER_ERRORS = sorted(
    (subclasses(psycopg.Error) - {psycopg.Error, psycopg.DatabaseError})
    | {
        member
        for member in vars(psycopg_pool).values()
        if isinstance(member, type) and issubclass(member, Exception)
    },
    key=lambda error_class: error_class.__name__,
)


def test_driver_errors_are_found() -> None:
    assert len(DRIVER_ERRORS) > 200


@pytest.mark.parametrize("error_class", DRIVER_ERRORS, ids=lambda error_class: error_class.__name__)
def test_driver_errors_are_transient_or_bugs(error_class: type[Exception]) -> None:
    assert issubclass(error_class, TRANSIENT_ERRORS + BUGS)


@pytest.mark.parametrize(
    "error_class",
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
def test_mapping_driver_errors_transient_error_is_unavailable(error_class: type[Exception]) -> None:
    cause = error_class("the disk of /secret/path is full")
    with pytest.raises(DatabaseUnavailable) as error_info, mapping_driver_errors():
        raise cause
    assert error_info.value.__cause__ is cause
    assert error_info.value.public_message == "can't get preview"


@pytest.mark.parametrize(
    "error_class",
    [errors.UndefinedFunction, errors.UniqueViolation, errors.NotNullViolation, errors.SyntaxError],
)
def test_mapping_driver_errors_bug_keeps_type(error_class: type[Exception]) -> None:
    with pytest.raises(error_class), mapping_driver_errors():
        raise error_class


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
def test_is_connection_loss_error_response_is_false(cause: Exception, expected: bool) -> None:
    assert is_connection_loss(cause) is expected


async def test_wait_in_steps_paused_process_still_gets_result() -> None:
    """The event loop is blocked for longer than the timeout; then the response arrives."""

    async def respond() -> str:
        for _ in range(20):
            await asyncio.sleep(0)
        return "response"

    asyncio.get_running_loop().call_soon(time.sleep, 0.2)
    task = asyncio.create_task(respond())
    await wait_in_steps(task, 0.1)
    assert task.result() == "response"


async def test_wait_in_steps_silent_server_times_out() -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    await wait_in_steps(task, 0.01)
    assert not task.done()
    task.cancel()
