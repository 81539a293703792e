-- Offers of files whose uploads are not complete.
CREATE TABLE offer (
    room INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    transfer BLOB NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (room, seq)
) WITHOUT ROWID;

-- Who has fetched which file.
CREATE TABLE fetched (
    room INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    person INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (room, seq, person)
) WITHOUT ROWID;
