"""What tests read and change behind the gallery's back: its rows, and the connection to its file.

Only this file knows where a Gallery keeps its store and its index.
"""

from facesearch.storage.forgetting import forget_person


def store_of(gallery):
    return gallery._session.store


def live_index_of(gallery):
    """Return the gallery's index and statistics in memory."""
    return gallery._session.live


def select(gallery, sql, values=()):
    """Return the rows that `sql` selects from the gallery."""
    return store_of(gallery).db.rows(sql, values)


def execute(gallery, sql, values=()):
    """Change rows as no decision would."""
    store_of(gallery).db.execute(sql, values)


def run_script(gallery, script):
    """Run several SQL statements."""
    connection_of(gallery).executescript(script)


def forget_rows(gallery, name):
    """Delete a person's rows as `forget` does, and leave erasing their bytes for later."""
    store = store_of(gallery)
    with store.transaction():
        forget_person(store, store.people.id_of(name))


def connection_of(gallery):
    """Return the sqlite3 connection of the gallery's file."""
    return store_of(gallery).db.connection


def set_connection(gallery, connection):
    """Let the gallery use another connection, which may fail on purpose."""
    store_of(gallery).db.connection = connection


def make_read_only(gallery):
    """Let the gallery take its file for one that cannot be written."""
    store_of(gallery).db.read_only = True
