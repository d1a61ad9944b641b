"""
Every place that starts a task has a test in which the work of the task fails.

The places are found in the source; a new one without a test fails `test_every_task_has_a_failing_case`.
The background tasks of the api have one for each SQL statement, in `test_fault_list`.
"""

import ast
from pathlib import Path

from tests.field.call_finder import SOURCE, called_name, find_calls

TESTS = Path(__file__).parents[1]
PACKAGES = ("api", "stats", "renderer", "messaging", "storage", "database", "github")
STARTING_CALLS = {"create_task", "ensure_future", "run_in_executor", "to_thread", "Thread"}

LOOKUP, EVENTS, FAULTS, STORES = (
    f"integration/test_{name}.py::test_" for name in ("lookup", "events", "fault_list", "stores")
)
ONE_STALE_OWNER = LOOKUP + "find_by_login_unforeseen_error_in_a_batch_fails_one_owner"
CASES = {
    "api.background_tasks:run_background_tasks": FAULTS
    + "failing_statement_ends_no_background_task",
    "api.banner_service:BannerService.read_stored_drawing": (
        "integration/test_outbox.py::test_read_stored_drawing_failure_is_none"
    ),
    "api.outbox:Outbox.publish_batch": (
        "integration/test_outbox.py"
        "::test_publish_batch_unexpected_error_is_logged_once_and_retried_later"
    ),
    "api.png_converter:PngConverter._start": (
        "unit/api/test_png_converter.py::test_to_png_picture_that_fails_does_not_open_circuit"
    ),
    "api.admission:ServedUsers.check_files": (
        "unit/api/test_served_users.py"
        "::test_check_files_unusable_file_keeps_the_list_and_is_logged_once"
    ),
    "api.refresh:Refresh.run": FAULTS + "failing_statement_ends_no_background_task",
    "stats.data_lookup:DataLookup._fetch": (
        "integration/test_banner_data.py::test_data_that_can_not_be_saved_is_shown"
    ),
    "stats.fetch:SingleFlight.join_or_start": (
        LOOKUP + "find_by_login_unforeseen_error_returns_stale_numbers_and_is_logged_once"
    ),
    "stats.snapshots:BackgroundWriter.schedule": (
        LOOKUP + "find_by_login_unsavable_owner_of_a_batch_fails_alone"
    ),
    "stats.stale_refresher:StaleRefresher._collect": ONE_STALE_OWNER,
    "stats.stale_refresher:StaleRefresher.refresh": ONE_STALE_OWNER,
    "renderer.batching:Batcher._send_due": (
        "unit/renderer/test_batching.py::test_store_failed_call_fails_each_picture"
    ),
    "renderer.update_consumer:UpdateConsumer.run": (
        "unit/renderer/test_update_consumer.py::test_broker_down_is_waited_for"
    ),
    "renderer.worker:Worker._spawn": (
        "field/test_messages.py::test_update_consumer_bad_record_fails_alone_and_is_logged_once"
    ),
    "messaging.consumer:KafkaConsumer._close_consumer": EVENTS + "poll_broken_client_is_replaced",
    "messaging.consumer:force_close": EVENTS + "clients_broker_hanging_fail_within_seconds",
    "messaging.producer:KafkaProducer._abandon": EVENTS + "send_too_large_message_is_refused_alone",
    "messaging.producer:KafkaProducer._send": EVENTS + "clients_without_a_broker_are_unavailable",
    "storage.folder_store:FolderStore.put": (
        "integration/test_storage.py::test_put_full_disk_keeps_the_old_picture"
    ),
    "storage.folder_store:FolderStore.put_many": (
        "integration/test_storage_service.py::test_store_many_invalid_banner_fails_alone"
    ),
    "storage.folder_store:FolderStore.remove": STORES + "unavailable_until_it_is_back",
    "storage.folder_store:FolderStore.get_version": STORES + "unavailable_until_it_is_back",
    "storage.folder_store:FolderStore.list_paths": STORES + "unavailable_until_it_is_back",
    "storage.bucket_store:BucketStore._put": STORES + "put_many_has_a_result_each",
    "database.connect:Database.run_within": (
        "integration/database/test_connect.py::test_run_within_late_job_failure_is_contained"
    ),
    "database.migrations:migrate": FAULTS + "failing_statement_ends_no_background_task",
    "tasks:gather_or_cancel": "unit/test_tasks.py::test_gather_or_cancel_first_failure_is_raised_and_the_task_goes_on",
}
"""The place that starts a task (`package.module:function`) -> the test."""

NO_DATA = {
    "api.background_tasks:_wait_for_first_attempt": "waits for an event",
    "api.public_routes:page_routes.docs_page": "reads our own file for a request",
    "tasks:wait_with_timeout": "waits for another task",
    "database.change_listener:ChangeListener._probe": "waits for an event",
    "database.connect_errors:explain_login_error": "connects once, at start",
    "database.embedded:_Supervisor.__init__": "waits for our own process",
}


def starts_task(call: ast.Call) -> bool:
    return called_name(call) in STARTING_CALLS


def test_every_task_has_a_failing_case() -> None:
    in_packages = (file for name in PACKAGES for file in (SOURCE / name).rglob("*.py"))
    places = {*find_calls([*SOURCE.glob("*.py"), *in_packages], starts_task)}
    assert sorted(places ^ (CASES.keys() | NO_DATA.keys())) == []


def test_named_tests_exist() -> None:
    for test in CASES.values():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (TESTS / file).read_text(), test
