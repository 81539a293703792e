-- Who has spoken: in a room of two, each of them who wrote there or opened it; in the first room of all, everybody
-- who ever posted anywhere.
CREATE TABLE spoke (
    room INTEGER NOT NULL,
    person INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (room, person)
) WITHOUT ROWID;

-- Whom somebody has blocked.
CREATE TABLE block (
    person INTEGER NOT NULL,
    other INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (person, other)
) WITHOUT ROWID;
