-- Everything beside the entries. One row; every commit writes it, so it tells how much was committed.
-- seal_rows and seal_sums are the number of rows, and the wrapping sum of their checksums, of all tables below but entry.
CREATE TABLE log (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch BLOB NOT NULL,
    commits INTEGER NOT NULL,
    places INTEGER NOT NULL,
    last_person INTEGER NOT NULL,
    last_device INTEGER NOT NULL,
    seal_rows INTEGER NOT NULL,
    seal_sums INTEGER NOT NULL,
    durability INTEGER NOT NULL,
    boot TEXT NOT NULL,
    clean INTEGER NOT NULL,
    sum INTEGER NOT NULL
);

-- Entries. key = room * 2^40 + number in the room; place counts the entries of all rooms.
CREATE TABLE entry (
    key INTEGER PRIMARY KEY,
    place INTEGER NOT NULL,
    time INTEGER NOT NULL,
    written INTEGER NOT NULL,
    person INTEGER,
    name TEXT NOT NULL,
    device INTEGER,
    counter INTEGER,
    kind INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    reply_to INTEGER,
    body BLOB NOT NULL,
    sum INTEGER NOT NULL
);

CREATE TABLE head (
    room INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    time INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    sum INTEGER NOT NULL
);

CREATE TABLE person (
    person INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    credential BLOB,
    sum INTEGER NOT NULL
);

CREATE TABLE device (
    device INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    person INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    sum INTEGER NOT NULL
);

CREATE TABLE room (
    room INTEGER PRIMARY KEY,
    name TEXT,
    low INTEGER,
    high INTEGER,
    topic TEXT NOT NULL,
    sum INTEGER NOT NULL
);

CREATE TABLE member (
    room INTEGER NOT NULL,
    person INTEGER NOT NULL,
    read INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (room, person)
) WITHOUT ROWID;

CREATE TABLE mention (
    room INTEGER NOT NULL,
    person INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (room, person, seq)
) WITHOUT ROWID;

-- Who is named by an entry, for edits, deletes and trimming.
CREATE INDEX mention_by_entry ON mention (room, seq);

CREATE TABLE file (
    hash BLOB NOT NULL,
    room INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (hash, room, seq)
) WITHOUT ROWID;

CREATE TABLE edit (
    room INTEGER NOT NULL,
    target INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (room, target, seq)
) WITHOUT ROWID;
