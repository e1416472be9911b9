"""State of the workers of one machine, in a file: SQLite in WAL mode, each step one transaction.

Times in the file are seconds since 1970, so that it outlives a restart; a clock that jumps moves what is in it by as
much. The file is made for its owner alone to read: kept answers hold what callers said. All of it can be thrown away:
who runs meanwhile notices at its next round, decides alone for a moment, and meets the others in a new file.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from .backend import NOBODY, ONCE_S, SMALL_FACT_BYTES, BackendError, CooldownNews, FactNews, Granted, Missed, News
from .contract import Admission, Amount, Cooldown, HealthScope, NotAdmitted, Probe, ScopeKind, merged
from .ledger import SLOT_WAIT_S, Count, after, may_probe, probe_name, used, wait_for

VERSION = 2
"""Of the tables. A file of another version is left alone, and this process decides by itself."""
BUSY_S = 1.0
"""Longest wait for another's transaction: they take microseconds, but a disk may stall."""
_AGAIN_S = 0.005
"""Between two tries to make a new file ready while others do so."""
_MAKING = threading.Lock()
"""Of the process, as locks on files are: nobody in it may lock a new file before who made it has closed it."""
RETENTION_S = 86_400.0
"""How long an epoch is remembered after its cooldown: longer than any request lives."""
MAX_IDLE = 10
"""Connections that are kept for the next one: of the courier, of the asker, and of the threads that look facts up."""
SWEEP_S = 30.0
"""Between two sweeps of what has ended."""
_TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS news (number INTEGER NOT NULL);
INSERT INTO news SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM news);
CREATE TABLE IF NOT EXISTS cooldowns (
    scope TEXT PRIMARY KEY, entry BLOB NOT NULL, until REAL NOT NULL, number INTEGER NOT NULL, writer TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS cooldowns_by_number ON cooldowns (number);
CREATE TABLE IF NOT EXISTS facts (
    name TEXT PRIMARY KEY, value BLOB NOT NULL, ends_at REAL NOT NULL, number INTEGER NOT NULL, writer TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS facts_by_number ON facts (number);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value REAL NOT NULL, ends_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS slots (
    name TEXT NOT NULL, holder TEXT NOT NULL, ends_at REAL NOT NULL, PRIMARY KEY (name, holder));
CREATE TABLE IF NOT EXISTS done (name TEXT PRIMARY KEY, is_taken INTEGER NOT NULL, ends_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS done_by_end ON done (ends_at);
PRAGMA user_version = {VERSION};
COMMIT;
"""
NEWS_S = 60.0
"""How long is told that a fact has ended, or was forgotten: longer than a place that failed is left alone."""
_FACTS = f"""
SELECT name, CASE WHEN length(value) <= {SMALL_FACT_BYTES} THEN value END, ends_at FROM facts
WHERE number > ? AND number <= ? AND writer <> ?
"""
_COOLDOWN = msgspec.json.Decoder(Cooldown)
_KEY = msgspec.json.Decoder(tuple[str, str])
_SCOPE = msgspec.json.Decoder(tuple[str, str, str])


class SQLiteBackend:
    """A `Backend` in a file.

    Args:
        path: Of the file; it is made, its folder is not.
        wall_now: Seconds since 1970.
        max_fact_bytes: Of the values of all facts; the oldest go first.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        wall_now: Callable[[], float] = time.time,
        max_fact_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._path = Path(path)
        self._now = wall_now
        self._max_fact_bytes = max_fact_bytes
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._inherited: list[sqlite3.Connection] = []
        """Of the process that forked this one: closing them would be seen there."""
        self._pid = os.getpid()
        self._file: tuple[int, int] | None = None
        """Device and inode of the file that is used; None: it is to be opened."""
        self._files = 0
        """How many were taken away: connections to those are not kept, cursors of those mean nothing."""
        self._is_closed = False
        self._swept_at = 0.0

    # --- opening ------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Make the file and its tables; remove now and then what has ended.

        Raises:
            BackendError: Also if somebody took the file away that was used so far; the next time it is made anew.
        """
        self._is_closed = False
        if self._is_gone():
            raise BackendError("the file of state was taken away: what was in it is lost")
        with self._lent():
            pass
        now = self._now()
        if now - self._swept_at >= SWEEP_S:
            self._swept_at = now
            with self._step() as connection:
                _sweep(connection, now, self._max_fact_bytes)

    def close(self) -> None:
        """Close the connections; one that is in use is closed when it comes back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle, self._file = self._idle, [], None
        for connection in idle:
            connection.close()

    def _is_gone(self) -> bool:
        """Tell whether the file is another one than before, or none; let go of the one that was used."""
        with self._lock:
            if self._file in (None, _identity(self._path)):
                return False
            idle, self._idle, self._file = self._idle, [], None
            self._files += 1
        for connection in idle:
            connection.close()
        return True

    @contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection to one thread."""
        try:
            files = self._files
            connection = self._idle_one() or self._connect()
            try:
                yield connection
            finally:
                self._put_back(connection, files)
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            raise BackendError(f"the file of state: {type(error).__name__}: {_text(error)}") from None

    def _idle_one(self) -> sqlite3.Connection | None:
        """Take one that is idle. One that was made before a fork is never used, nor closed: it is the parent's."""
        with self._lock:
            if self._pid != os.getpid():
                self._pid, self._inherited, self._idle = os.getpid(), self._idle, []
            return self._idle.pop() if self._idle else None

    def _put_back(self, connection: sqlite3.Connection, files: int) -> None:
        """Keep a connection for the next one, unless enough are kept or its file is gone."""
        with self._lock:
            is_kept = not self._is_closed and files == self._files and len(self._idle) < MAX_IDLE
            if is_kept:
                self._idle.append(connection)
        if not is_kept:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        _make(self._path)
        connection = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        with ExitStack() as unless_ready:
            unless_ready.callback(connection.close)
            _prepare(connection)
            unless_ready.pop_all()
        with self._lock:
            self._file = self._file or _identity(self._path)
        return connection

    @contextmanager
    def _step(self) -> Iterator[sqlite3.Connection]:
        """One transaction: whole, or not at all."""
        with self._lent() as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:  # commits, or rolls back
                yield connection

    # --- news ---------------------------------------------------------------------------------------------------------

    def write(self, writer: str, news: Sequence[News]) -> None:
        """Merge cooldowns, replace facts."""
        now = self._now()
        with self._step() as connection:
            (number,) = connection.execute("UPDATE news SET number = number + 1 RETURNING number").fetchone()
            for one in news:
                match one:
                    case CooldownNews():
                        _merge(connection, one, now, number, writer)
                    case FactNews(table=table, key=key, value=value, ttl_s=ttl_s):
                        row = (_key(table, key), value if ttl_s > 0 else b"", now + ttl_s, number, writer)
                        connection.execute("REPLACE INTO facts VALUES (?, ?, ?, ?, ?)", row)

    def read(self, writer: str, cursor: str) -> tuple[str, Sequence[News | Missed]]:
        """Return what others wrote since a cursor: which file it was, the last write to it that was seen, and when."""
        now = self._now()
        file, last, at = cursor.split(":") if cursor else ("", "", "")
        is_going_on = file == str(self._files)
        since = int(last) if is_going_on else 0
        news: list[News | Missed] = [Missed()] if is_going_on and now - float(at) >= NEWS_S else []
        with self._lent() as connection:
            (number,) = connection.execute("SELECT number FROM news").fetchone()
            bounds = (since, number, writer)
            news += [
                CooldownNews(_scope(scope), _cooldown(entry, until, now))
                for scope, entry, until in connection.execute(
                    "SELECT scope, entry, until FROM cooldowns WHERE number > ? AND number <= ? AND writer <> ?", bounds
                )
            ]
            if is_going_on:
                rows = connection.execute(_FACTS, bounds)
                news += [_fact_news(name, value, ends_at - now) for name, value, ends_at in rows]
        return f"{self._files}:{number}:{now}", news

    def find(self, table: str, keys: Sequence[str]) -> Mapping[str, tuple[bytes, float]]:
        """Return the facts that there are."""
        now = self._now()
        found: dict[str, tuple[bytes, float]] = {}
        with self._lent() as connection:
            for key in keys:
                row = connection.execute(
                    "SELECT value, ends_at - ? FROM facts WHERE name = ? AND ends_at > ?", (now, _key(table, key), now)
                ).fetchone()
                if row is not None:
                    found[key] = row
        return found

    # --- slots and amounts --------------------------------------------------------------------------------------------

    def admit(self, admissions: Sequence[Admission], lease_s: float, once: str) -> list[NotAdmitted | Granted]:
        """Judge several in one transaction."""
        now = self._now()
        with self._step() as connection:
            if _was_done(connection, once) is not None:
                return [NotAdmitted(admission.holder, SLOT_WAIT_S) for admission in admissions]
            answers = [_judge(connection, admission, now, lease_s) for admission in admissions]
            for place, answer in enumerate(answers):
                if isinstance(answer, Granted):
                    _note_done(connection, f"{once} {place}", now)
            return answers

    def undo(self, admissions: Sequence[Admission], once: str) -> None:
        """Take back what was taken under a name."""
        now = self._now()
        with self._step() as connection:
            _note_done(connection, once, now)
            for place, admission in enumerate(admissions):
                if _was_done(connection, f"{once} {place}"):
                    _note_done(connection, f"{once} {place}", now, is_taken=False)
                    rows = [(name, admission.holder) for name in _held(admission)]
                    connection.executemany("DELETE FROM slots WHERE name = ? AND holder = ?", rows)
                    for amount in admission.amounts:
                        _add(connection, msgspec.structs.replace(amount, amount=-amount.amount), now)

    def leave(self, left: Mapping[str, Sequence[str]]) -> None:
        """Give back slots and probes."""
        rows = [(name, holder) for holder, names in left.items() for name in names]
        with self._step() as connection:
            connection.executemany("DELETE FROM slots WHERE name = ? AND holder = ?", rows)

    def renew(self, held: Mapping[str, Sequence[str]], lease_s: float) -> None:
        """Let what these holders hold live on."""
        now = self._now()
        rows = [(now + lease_s, name, holder, now) for holder, names in held.items() for name in names]
        if rows:
            with self._step() as connection:
                connection.executemany(
                    "UPDATE slots SET ends_at = ? WHERE name = ? AND holder = ? AND ends_at > ?", rows
                )

    def add(self, amounts: Sequence[Amount], once: str) -> None:
        """Count what was used."""
        now = self._now()
        with self._step() as connection:
            if _was_done(connection, once) is not None:
                return
            _note_done(connection, once, now)
            for amount in amounts:
                _add(connection, amount, now)


def _make(path: Path) -> None:
    """Make the file, for its owner alone, if there is none; one that is there is not opened here.

    Whoever closes a descriptor of a file lets go of all locks of its process on it (POSIX), those of SQLite's own
    connections as well; the next worker that ends would then take the log away from under those that run.
    """
    with _MAKING, suppress(FileExistsError):
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _prepare(connection: sqlite3.Connection) -> None:
    """Bring the file into WAL mode with its tables, whoever comes first; wait for the others who do so.

    SQLite does not wait where two change the mode of a new file at once, as all workers of a machine do that start
    together: one of them is told at once that the file is locked, however long its timeout is. So it is asked again.
    """
    ends_at = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # a crash of the machine may lose the last moments
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise BackendError(f"the file of state is of version {version}; this program knows {VERSION}")
            if version == 0:
                connection.executescript(_TABLES)
            return
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() >= ends_at:
                raise
        time.sleep(_AGAIN_S)


def _merge(connection: sqlite3.Connection, news: CooldownNews, now: float, number: int, writer: str) -> None:
    """Merge news of a scope. Nothing new leaves the row its number and its writer: some have yet to hear of that."""
    name = _key(news.scope.kind, news.scope.name, news.scope.model)
    row = connection.execute("SELECT entry, until FROM cooldowns WHERE scope = ?", (name,)).fetchone()
    known = None if row is None else _cooldown(row[0], row[1], now)
    total = news.entry if known is None else merged(news.entry, known)
    if total != known:
        knows_it = writer if total == news.entry else NOBODY
        values = (name, msgspec.json.encode(total), now + total.until, number, knows_it)
        connection.execute("REPLACE INTO cooldowns VALUES (?, ?, ?, ?, ?)", values)


def _judge(
    connection: sqlite3.Connection, admission: Admission, now: float, lease_s: float
) -> NotAdmitted | Granted:  # fmt: skip
    refusal = _refusal(connection, admission, now)
    if refusal is not None:
        return refusal
    rows = [(name, admission.holder, now + lease_s) for name in _held(admission)]
    connection.executemany("REPLACE INTO slots VALUES (?, ?, ?)", rows)
    return Granted(tuple([_add(connection, amount, now) for amount in admission.amounts]))


def _held(admission: Admission) -> list[str]:
    return [*map(probe_name, admission.probes), *[slot.name for slot in admission.slots]]


def _was_done(connection: sqlite3.Connection, name: str) -> bool | None:
    """Tell whether what was taken under a name is still taken; None: nothing was done under it."""
    row = connection.execute("SELECT is_taken FROM done WHERE name = ?", (name,)).fetchone()
    return None if row is None else bool(row[0])


def _note_done(connection: sqlite3.Connection, name: str, now: float, *, is_taken: bool = True) -> None:
    connection.execute("REPLACE INTO done VALUES (?, ?, ?)", (name, is_taken, now + ONCE_S))


def _refusal(connection: sqlite3.Connection, admission: Admission, now: float) -> NotAdmitted | None:
    for probe in admission.probes:
        if not may_probe(probe, _known(connection, probe, now), 0.0) or _holders(connection, probe_name(probe), now):
            return NotAdmitted(str(probe.scope), SLOT_WAIT_S)
    for slot in admission.slots:
        if _holders(connection, slot.name, now) >= slot.limit:
            return NotAdmitted(slot.name, SLOT_WAIT_S)
    for amount in admission.amounts:
        wait_s = wait_for(amount, _count(connection, amount.name), now)
        if wait_s > 0:
            return NotAdmitted(amount.name, wait_s)
    return None


def _known(connection: sqlite3.Connection, probe: Probe, now: float) -> Cooldown | None:
    scope = probe.scope
    row = connection.execute(
        "SELECT entry, until FROM cooldowns WHERE scope = ?", (_key(scope.kind, scope.name, scope.model),)
    ).fetchone()
    return None if row is None else _cooldown(row[0], row[1], now)


def _holders(connection: sqlite3.Connection, name: str, now: float) -> int:
    row = connection.execute("SELECT count(*) FROM slots WHERE name = ? AND ends_at > ?", (name, now)).fetchone()
    return int(row[0])


def _count(connection: sqlite3.Connection, name: str) -> Count | None:
    row = connection.execute("SELECT value, ends_at FROM counts WHERE name = ?", (name,)).fetchone()
    return None if row is None else Count(*row)


def _add(connection: sqlite3.Connection, amount: Amount, now: float) -> float:
    """Count an amount; return how much is used now."""
    count = after(amount, _count(connection, amount.name), now)
    connection.execute("REPLACE INTO counts VALUES (?, ?, ?)", (amount.name, count.value, count.ends_at))
    return used(amount, count, now)


def _sweep(connection: sqlite3.Connection, now: float, max_fact_bytes: int) -> None:
    """Remove what has ended, and the oldest facts where all of them are too large."""
    connection.execute("DELETE FROM facts WHERE ends_at <= ?", (now - NEWS_S,))
    connection.execute("DELETE FROM counts WHERE ends_at <= ?", (now,))
    connection.execute("DELETE FROM slots WHERE ends_at <= ?", (now,))
    connection.execute("DELETE FROM done WHERE ends_at <= ?", (now,))
    connection.execute("DELETE FROM cooldowns WHERE until <= ?", (now - RETENTION_S,))
    connection.execute(
        "DELETE FROM facts WHERE name IN (SELECT name FROM"
        " (SELECT name, sum(length(value)) OVER (ORDER BY number DESC, name) AS total FROM facts) WHERE total > ?)",
        (max_fact_bytes,),
    )


def _cooldown(entry: bytes, until: float, now: float) -> Cooldown:
    """Return a row's cooldown, its end as a duration."""
    return msgspec.structs.replace(_COOLDOWN.decode(entry), until=until - now)


def _fact_news(name: str, value: bytes | None, ttl_s: float) -> FactNews:
    """Return what is told of a fact; None: it is too large to be told itself."""
    return FactNews(*_KEY.decode(name), b"", 0) if value is None else FactNews(*_KEY.decode(name), value, ttl_s)


def _scope(name: str) -> HealthScope:
    kind, scope_name, model = _SCOPE.decode(name)
    return HealthScope(_KINDS[kind], scope_name, model)


_KINDS: dict[str, ScopeKind] = {"origin": "origin", "account": "account", "model": "model"}


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell one file from another that has its name; None: there is none to be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _key(*parts: str) -> str:
    """Return several names as one: no character in one of them makes it another."""
    return msgspec.json.encode(parts).decode()


def _text(error: BaseException) -> str:
    """Return what went wrong in the words of the system; SQLite's own texts hold no values."""
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
