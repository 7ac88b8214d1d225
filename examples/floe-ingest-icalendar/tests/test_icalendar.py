"""The kit's tests on files and on a feed, and what is special about calendars."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from floe_ingest import ErrorCategory
from floe_ingest.testing import SourceContract

EVENT = """BEGIN:VEVENT
UID:{uid}
DTSTAMP:202401{day:02}T080000Z
DTSTART:202402{day:02}T090000Z
DURATION:PT1H
SUMMARY:Meeting {uid}
END:VEVENT
"""


def calendar(*days: int) -> str:
    events = "".join(EVENT.format(uid=f"e{day}", day=day) for day in days)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:tests\n{events}END:VCALENDAR\n"


def row(day: int) -> dict:
    return {
        "uid": f"e{day}",
        "recurrence_id": "",
        "summary": f"Meeting e{day}",
        "starts_at": datetime(2024, 2, day, 9, tzinfo=UTC),
        "ends_at": datetime(2024, 2, day, 10, tzinfo=UTC),
        "all_day": False,
        "modified_at": datetime(2024, 1, day, 8, tzinfo=UTC),
    }


class TestFiles(SourceContract):
    source_type = "icalendar"
    cursor_field = "modified_at"
    big_rows = 4_000

    def make_source(self, folder):
        (folder / "team.ics").write_text(calendar(1, 2))
        return {"path": str(folder)}

    def expected(self):
        return {"events": [row(1), row(2)]}

    def add_rows(self, folder):
        (folder / "more.ics").write_text(calendar(3))
        return {"events": [row(3)]}

    def make_empty(self, folder):
        (folder / "team.ics").write_text(calendar())
        return {"path": str(folder)}

    def make_big(self, folder, rows):
        events = "".join(EVENT.format(uid=f"e{number}", day=1 + number % 28) for number in range(rows))
        (folder / "team.ics").write_text(f"BEGIN:VCALENDAR\n{events}END:VCALENDAR\n")
        return {"path": str(folder)}

    def make_broken(self, folder):
        (folder / "cut.ics").write_text(calendar(1)[:-20])
        (folder / "nonsense.ics").write_text("<html>please log in</html>")
        return {
            "cut off": ({"path": str(folder / "cut.ics")}, ErrorCategory.PERMANENT),
            "no calendar": ({"path": str(folder / "nonsense.ics")}, ErrorCategory.PERMANENT),
            "two places": ({"path": "a", "url": "b"}, ErrorCategory.CONFIGURATION),
        }

    def make_unreachable(self, folder):
        return {"path": str(folder / "absent")}

    def test_times_of_all_kinds(self, loader, source_folder):
        (source_folder / "team.ics").write_text(KINDS)
        loaded = loader("icalendar", {"path": str(source_folder), "timezone": "Europe/Zurich"})
        rows = {each["uid"]: each for each in loaded.rows("events")}
        assert rows["day"]["all_day"] is True
        assert rows["day"]["starts_at"] == datetime(2024, 1, 31, 23, tzinfo=UTC)
        assert rows["zone"]["starts_at"] == datetime(2024, 7, 1, 13, tzinfo=UTC)
        assert rows["floating"]["starts_at"] == datetime(2024, 7, 1, 7, tzinfo=UTC)
        assert rows["floating"]["categories"] == ["work", "remote"]
        assert rows["floating"]["attendees"] == ["mailto:a@example.com", "mailto:b@example.com"]
        assert rows["zone"]["recurrence"] == "FREQ=WEEKLY;COUNT=3"
        assert loaded.result.extra["calendars"] == 1


KINDS = """BEGIN:VCALENDAR
VERSION:2.0
BEGIN:VEVENT
UID:day
DTSTART;VALUE=DATE:20240201
END:VEVENT
BEGIN:VEVENT
UID:zone
DTSTART;TZID=America/New_York:20240701T090000
RRULE:FREQ=WEEKLY;COUNT=3
END:VEVENT
BEGIN:VEVENT
UID:floating
DTSTART:20240701T090000
CATEGORIES:work,remote
ATTENDEE:mailto:a@example.com
ATTENDEE:mailto:b@example.com
END:VEVENT
END:VCALENDAR
"""


class TestFeed(SourceContract):
    source_type = "icalendar"
    cursor_field = "modified_at"

    @pytest.fixture(autouse=True)
    def feed(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        yield
        self.server.shutdown()
        self.server.server_close()

    def serve(self, text, status=200):
        self.server.text, self.server.status = text, status
        return {"url": f"http://127.0.0.1:{self.server.server_port}/private-0a1b2c3d4e/basic.ics"}

    def make_source(self, folder):
        return self.serve(calendar(1, 2))

    def expected(self):
        return {"events": [row(1), row(2)]}

    def add_rows(self, folder):
        self.serve(calendar(1, 2, 3))
        return {"events": [row(3)]}

    def make_empty(self, folder):
        return self.serve(calendar())

    def make_broken(self, folder):
        return {"no permission": (self.serve("no", 403), ErrorCategory.PERMANENT)}

    def make_unreachable(self, folder):
        return {"url": "http://127.0.0.1:1/private-0a1b2c3d4e/basic.ics"}


class Handler(BaseHTTPRequestHandler):
    """Serves one feed."""

    def do_GET(self):
        body = self.server.text.encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/calendar")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass
